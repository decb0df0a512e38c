#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What contrib/systemd/clawd.service grants is enough, and each part of it is
needed: clawd runs with exactly the unit's capabilities, its processes get
their accounts and namespaces, one that hangs is ended, and without any one of
the capabilities something of that is lost.
"""

import os
import re
import shutil
import signal

from claw_test import (NETWORKED, POOL, PROCESSES, XFERDS, Failure, Node,
                       account_uid, equal, main, need_root, ok, skip, stage,
                       test, wait_for)


def granted():
    """The unit's capabilities, as setpriv writes them."""
    path = os.path.join(stage(), "lib/systemd/system/clawd.service")
    with open(path) as f:
        lines = re.findall(r"^CapabilityBoundingSet=(.*)", f.read(), re.M)
    return [name[4:].lower() for name in " ".join(lines).split()]


def start(node, capabilities):
    need_root()
    if shutil.which("setpriv") is None:
        skip("no setpriv")
    node.start(env={"INVOCATION_ID": "0" * 32}, timeout=20, wrapper=(
        "setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"
        + "".join(",+" + name for name in capabilities)))


def status(pid, key):
    with open("/proc/%d/status" % pid) as f:
        return re.search(r"^%s:\s*(.*)" % key, f.read(), re.M).group(1)


def confined(node):
    """What the capabilities are for; the first that is missing."""
    children = node.children()
    equal(sorted(children), sorted(PROCESSES), "the processes")
    outside = os.readlink("/proc/%d/ns/net" % node.pid)
    for name, pid in children.items():
        equal(status(pid, "Uid").split()[0], str(account_uid(name)), name)
        equal(status(pid, "CapBnd"), "0" * 16, name + "'s bounding set")
        equal(os.readlink("/proc/%d/ns/net" % pid) != outside,
              name not in NETWORKED, "whether %s has a network of its own" % name)
    # What an account of its own for each worker is for.
    for name, many in (("linkd", POOL), ("xferd", XFERDS)):
        wait_for(lambda: len(node.workers(name)) == many,
                 what="the pool of " + name)
        for pid in node.workers(name):
            wait_for(lambda: status(pid, "Seccomp") == "2", what="its filter")
            equal(status(pid, "Uid").split()[0], str(account_uid(name)), name)
            ok(os.readlink("/proc/%d/ns/net" % pid) != outside,
               name + " has clawd's network")
    old = children["controld"]
    os.kill(old, signal.SIGSTOP)
    wait_for(lambda: node.children().get("controld", old) != old,
             what="a new controld for the one that hangs")


@test("clawd does all its work with the unit's capabilities")
def capabilities_suffice():
    need_root()
    with_all = granted()
    ok("sys_admin" in with_all, "cannot read the unit")
    node = Node(as_user=False)
    start(node, with_all)
    confined(node)
    equal(node.stop(), 0, "clawd's exit")


@test("none of the unit's capabilities is there for nothing")
def capabilities_are_needed():
    need_root()
    with_all = granted()
    for name in with_all:
        node = Node(as_user=False)
        try:
            start(node, [other for other in with_all if other != name])
            confined(node)
        except Failure:
            continue
        finally:
            node.kill()
            node.discard()
        raise Failure("nothing is lost without CAP_" + name.upper())


main()
