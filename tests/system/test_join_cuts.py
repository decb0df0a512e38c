#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A join, with each process of either side cut off at each of its steps: it is
refused or goes on, that is on record, and there is never half a node.

A step is a call that leaves a trace: on the disk, on a channel, on the network
(tests/lib/faults). The process ends just before it. test_join.py does the same
to clawd, which makes the joiner. CLAW_LONG=1 makes all cuts.
"""

import atexit
import mmap
import os
import shutil
import struct
import tempfile
import time

import claw_test
from claw_test import LONG, diag, equal, main, ok, test, wait_for
from mesh_test import BUILD
from test_join import (added, invite, join, new_inviter, new_joiner, no_node,
                       path, records)

claw_test.tests.clear()  # those of test_join

JOINER = ("keyd", "attestd", "linkd")
INVITER = ("keyd", "auditd", "attestd", "linkd", "meshd", "controld")
AT = 16 + 6 * 32  # of struct faults: traces, cut_at
CUTS = 5  # of each process, at most, where not all are made
LASTED_S = 2.2  # then clawd forgives an end


class Tree:
    """A staged tree whose processes can be cut off."""

    def __init__(self, processes):
        self.top = tempfile.mkdtemp(prefix="claw-cuts-")
        atexit.register(shutil.rmtree, self.top, True)
        os.chmod(self.top, 0o755)
        self.tree = os.path.join(self.top, "root")
        shutil.copytree(claw_test.stage(), self.tree)
        shutil.copy(os.path.join(BUILD, "tests", "lib", "faults.so"), self.top)
        os.chmod(os.path.join(self.top, "faults.so"), 0o755)
        self.real = os.path.join(self.tree, "libexec", "claw", "real")
        os.mkdir(self.real)
        self.pages = {}
        for process in processes:
            self.wrap(process)

    def wrap(self, process):
        page = os.path.join(self.top, process + ".page")
        with open(page, "wb") as f:
            f.write(b"\0" * 4096)
        os.chmod(page, 0o666)
        with open(page, "r+b") as f:
            self.pages[process] = mmap.mmap(f.fileno(), 4096)
        path = os.path.join(self.tree, "libexec", "claw", process)
        os.rename(path, os.path.join(self.real, process))
        with open(path, "w") as f:
            f.write('#!/bin/sh\nFAULTS=%s LD_PRELOAD=%s/faults.so '
                    'exec %s/%s "$@"\n' % (page, self.top, self.real, process))
        os.chmod(path, 0o755)

    def begin(self, process=None, step=0):
        """From now on steps are counted; that one is not made."""
        for name, page in self.pages.items():
            page[AT:AT + 16] = struct.pack(
                "=QQ", 0, step if name == process else 0)

    def steps(self, process):
        return struct.unpack("=Q", self.pages[process][AT:AT + 8])[0]

    def was_cut(self, process):
        return self.pages[process][AT + 8:AT + 16] == b"\0" * 8


plain = claw_test.stage()
joiners, inviters = Tree(JOINER), Tree(INVITER)


def use(tree):
    """What is started now is from there."""
    claw_test.staged = tree.tree if tree else plain


def points(steps):
    """Which steps are not made."""
    if LONG or steps <= CUTS:
        return range(1, steps + 1)
    return sorted({1 + i * (steps - 1) // (CUTS - 1) for i in range(CUTS)})


def attempt(node, ticket):
    """One more time; what clawd said."""
    if os.path.exists(node.config):
        return 0, ""
    for _ in range(100):
        done = join(node, ticket)
        if "another claw init" not in done.stderr:
            break
        time.sleep(0.05)
    return done.returncode, done.stdout + done.stderr


def keys_of(node):
    for name in ("node.key", "node.key.joining"):
        try:
            with open(path(node, "data", "keys", name), "rb") as f:
                return f.read()
        except OSError:
            continue
    return None


def is_whole(a, c, keys, when):
    """A node that is one in both registries, with the keys it began with, and
    that the other attests."""
    ok(os.path.exists(c.config), when + ": there is no node")
    ok(keys is None or keys == keys_of(c), when + ": other keys")
    for node in (a, c):
        equal(len(added(node, c.name)), 1, "%s: node-add in the registry of %s"
              % (when, node.name))
    equal(added(a, c.name), added(c, c.name), when + ": node-add")


def attests(a, c):
    use(None)
    c.start()
    wait_for(lambda: c.claw("node:ping", a.address).returncode == 0, 30,
             "a handshake of %s" % c.name)
    c.stop()


@test("a joiner whose keyd, attestd or linkd ends at any step: the same command "
      "goes on with the same keys")
def joiner():
    use(None)
    a = new_inviter()
    number = cuts = 0
    for process in JOINER:
        use(None)
        c, ticket = new_joiner("j-%s" % process), invite(a, "j-%s" % process)
        use(joiners)
        joiners.begin()
        equal(attempt(c, ticket)[0], 0, "an attempt that is not cut off")
        steps = joiners.steps(process)
        ok(steps >= 5, "%s: only %d steps" % (process, steps))
        c.discard()
        by_itself = 0
        for step in points(steps):
            number += 1
            when = "%s cut at %d of %d" % (process, step, steps)
            use(None)
            c = new_joiner("j%d" % number)
            ticket = invite(a, c.name)
            use(joiners)
            joiners.begin(process, step)
            status, out = attempt(c, ticket)
            cuts += joiners.was_cut(process)
            by_itself += status == 0
            keys = keys_of(c)
            if status != 0:
                ok("not joined" in out or "clawd" in out, when + ": " + out)
                no_node(c)
            joiners.begin()
            status, out = attempt(c, ticket)
            equal(status, 0, "%s: it does not go on: %s" % (when, out))
            is_whole(a, c, keys, when)
            if number % 6 == 1:
                attests(a, c)
            c.discard()
            if number % 25 == 0:  # keyd keeps so many permits open
                use(None)
                a.discard()
                a = new_inviter()
        diag("%s: %d steps, %d joined by the same command" % (
            process, steps, by_itself))
    ok(cuts >= 10, "only %d cuts" % cuts)
    equal(records(a, "ticket-reuse"), [], "ticket-reuse")


def bent_inviter():
    use(inviters)
    inviters.begin()
    a = new_inviter()
    use(None)
    return a


def is_ready(a):
    return a.claw("node:show").returncode == 0 and \
        a.claw("node:links").returncode == 0


@test("an inviter whose keyd, auditd, attestd, linkd, meshd or controld ends at "
      "any step: who joins is added once or, by the same keys, after another "
      "invite; each invite has its end on record")
def inviter():
    a = bent_inviter()
    number = cuts = 0
    for process in INVITER:
        wait_for(lambda: is_ready(a), 40, "the inviter before " + process)
        c = new_joiner("i-%s" % process)
        ticket = invite(a, c.name)
        inviters.begin()
        equal(attempt(c, ticket)[0], 0, "an attempt that is not cut off")
        steps = max(inviters.steps(process), 1)
        c.discard()
        again = 0
        for step in points(steps):
            number += 1
            when = "%s cut at %d of %d" % (process, step, steps)
            wait_for(lambda: is_ready(a), 40, when + ": the inviter")
            c = new_joiner("i%d" % number)
            ticket = invite(a, c.name)
            time.sleep(LASTED_S)
            inviters.begin(process, step)
            status, out = attempt(c, ticket)
            keys = keys_of(c)
            cuts += inviters.was_cut(process)
            inviters.begin()
            if status != 0:
                ok(status in (75, 77), "%s: %d: %s" % (when, status, out))
                no_node(c)
                wait_for(lambda: is_ready(a), 40, when + ": the inviter")
                status, out = attempt(c, ticket)
            if status != 0:
                # The permit went with keyd: an operator says it again.
                ok("restarted" in out, "%s: %s" % (when, out))
                again += 1
                status, out = attempt(c, invite(a, c.name))
            equal(status, 0, "%s: it does not go on: %s" % (when, out))
            is_whole(a, c, keys, when)
            ended = [r["reason"] for r in records(a, "invite.closed")
                     if r["node"] == c.name]
            ok("used" in ended, "%s: %r on record" % (when, ended))
            if number % 6 == 1:
                attests(a, c)
            c.discard()
            if number % 25 == 0:
                a.discard()
                a = bent_inviter()
        diag("%s: %d steps, %d needed another invite" % (process, steps, again))
    ok(cuts >= 10, "only %d cuts" % cuts)
    equal(records(a, "ticket-reuse"), [], "ticket-reuse")
    equal(a.stop(), 0, "clawd's exit status")


main()
