#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Who sets the clock back brings nothing back: time does not go behind what
the registry and the node's own audit log have seen, and when these were ahead
an operator says so.

Real nodes, whose keyd, auditd and attestd see another time (tests/lib/faults).
"""

import atexit
import json
import mmap
import os
import shutil
import struct
import tempfile

import claw_test
from claw_test import contains, equal, main, ok, test, wait_for
from mesh_test import BUILD, Impostor, Peer

DAY = 86400
BENT = ("keyd", "auditd", "attestd")
BEHIND = "this machine's clock is"


class Clock:
    """How far the clock of all nodes is from the right one."""

    def __init__(self, path):
        size = 4096  # of which struct faults is the beginning
        with open(path, "wb") as f:
            f.write(b"\0" * size)
        os.chmod(path, 0o666)
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), size)

    def set(self, seconds):
        self.page[:8] = struct.pack("=q", seconds * 1000)


def prepare():
    """A staged tree in which the clock can be bent."""
    top = tempfile.mkdtemp(prefix="claw-clock-")
    atexit.register(shutil.rmtree, top, True)
    os.chmod(top, 0o755)
    tree = os.path.join(top, "root")
    shutil.copytree(claw_test.stage(), tree)
    shutil.copy(os.path.join(BUILD, "tests", "lib", "faults.so"), top)
    os.chmod(os.path.join(top, "faults.so"), 0o755)
    real = os.path.join(tree, "libexec", "claw", "real")
    os.mkdir(real)
    for process in BENT:
        path = os.path.join(tree, "libexec", "claw", process)
        os.rename(path, os.path.join(real, process))
        with open(path, "w") as f:
            f.write('#!/bin/sh\nFAULTS=%s/page LD_PRELOAD=%s/faults.so '
                    'exec %s/%s "$@"\n' % (top, top, real, process))
        os.chmod(path, 0o755)
    claw_test.staged = tree
    return Clock(os.path.join(top, "page"))


clock = prepare()


def at(node, seconds):
    """Start it again by a clock that is so far off."""
    if node.process.poll() is None:
        equal(node.stop(), 0, "clawd's exit status")
    clock.set(seconds)
    size = len(node.log())
    node.start()
    return size


def standing(node, name):
    return json.loads(node.claw("node:why", name, "--json").stdout)["standing"]


def with_guest(expires):
    clock.set(0)
    node = Peer("alpha").start()
    node.add("guest", Impostor("guest", 7).identity, expires=expires)
    return node


def reset(node):
    done = node.claw("clock:reset", "--json", check=True)
    return json.loads(done.stdout)


def verified(node):
    """The log is good, every shard of it."""
    vkeys = []
    top = os.path.join(node.dir, "log", "audit")
    for shard in sorted(os.listdir(top)):
        vkeys += ["--vkey", json.loads(open(os.path.join(
            top, shard, "log.ndjson")).readline())["act"]["vkey"]]
    node.stop()
    done = node.claw("audit:verify", *vkeys)
    ok(done.returncode in (0, 81), done.stdout + done.stderr)


@test("a clock that is set back a year brings back nothing that has expired")
def back():
    node = with_guest("2s")
    wait_for(lambda: standing(node, "guest") == "expired", 10, "the expiry")
    node.claw("audit:note", "the last record", check=True)
    since = at(node, -365 * DAY)
    equal(standing(node, "guest"), "expired", "a year before")
    contains(node.log()[since:], BEHIND, "the log")
    contains(node.log()[since:], "claw clock:reset", "what to do")


@test("the last record of the audit log is a floor, though no authority has "
      "said anything since, and after a crash as well")
def audit_line():
    node = with_guest("100d")
    equal(standing(node, "guest"), "ok", "at first")
    at(node, 200 * DAY)
    equal(standing(node, "guest"), "expired", "in 200 days")
    node.claw("audit:note", "the last record", check=True)
    node.kill()
    since = at(node, 0)
    equal(standing(node, "guest"), "expired", "set back")
    contains(node.log()[since:], BEHIND, "the log")
    verified(node)


@test("an operator resets it: recorded, from then on the machine's clock "
      "counts, also after a restart, and it is a floor again")
def operator():
    node = with_guest("100d")
    at(node, 200 * DAY)
    node.claw("audit:note", "ahead", check=True)
    at(node, 0)
    equal(standing(node, "guest"), "expired", "ahead")
    since = node.since()
    told = reset(node)
    ok(199 * DAY < told["before"] - told["now"] < 201 * DAY, told)
    record = node.wait_event("clock.reset", since)
    ok(199 * DAY < record["seconds"] < 201 * DAY, record)
    ok([act for act in node.events("api.order", since)
        if act["method"] == "clock.reset"], "the order is not recorded")
    equal(standing(node, "guest"), "ok", "reset")
    size = at(node, 0)
    equal(standing(node, "guest"), "ok", "after a restart")
    ok(BEHIND not in node.log()[size:], "it is behind")
    at(node, 150 * DAY)
    equal(standing(node, "guest"), "expired", "in 150 days")
    at(node, 50 * DAY)
    equal(standing(node, "guest"), "expired", "set back again")
    verified(node)


@test("a registry that was signed by a clock that was ahead is a floor too, "
      "and is reset with it")
def registry():
    node = with_guest("100d")
    at(node, 200 * DAY)
    node.claw("registry:policy", "--soft", "2d", "--hard", "20d", check=True)
    at(node, 0)
    reset(node)
    equal(standing(node, "guest"), "ok", "reset")
    size = at(node, 0)
    equal(standing(node, "guest"), "ok", "after a restart")
    ok(BEHIND not in node.log()[size:], "it is behind")
    # What is signed by the right clock counts.
    node.claw("registry:policy", "--soft", "2d", "--hard", "21d", check=True)
    equal(standing(node, "guest"), "ok", "after another update")
    with open(os.path.join(node.dir, "data", "registry", "clock"), "w") as f:
        f.write("nonsense\n")
    size = at(node, 0)
    contains(node.log()[size:], "it is damaged", "a damaged file is told")
    equal(standing(node, "guest"), "ok", "and counts for nothing")


@test("while nothing is ahead a reset changes nothing")
def nothing():
    node = with_guest("100d")
    told = reset(node)
    ok(abs(told["before"] - told["now"]) <= 1, told)
    equal(standing(node, "guest"), "ok", "the guest")
    done = node.claw("clock:reset")
    contains(done.stdout, "goes by this machine's clock", "what it says")


main()
