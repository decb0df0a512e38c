#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a crash may leave is found: a program that forgets to sync something is
caught, one that does not is not, and calls fail when they are told to; also in
our daemons, in their sandboxes."""

import errno
import os
import shutil
import signal
import subprocess
import tempfile

import claw_test
from audit_test import Play
from claw_test import (SANITIZERS, diag, equal, main, ok, reachable, skip,
                       test, wait_for)
from crash_test import (ALLOCATE, BUILD, DIE, FDATASYNC, FSYNC, MARK, OPEN,
                        RENAME, SHORT, WRITE, Recording)

CHUNK = 8192
CALLS = (WRITE, ALLOCATE, FSYNC, FDATASYNC, OPEN, RENAME)


class Run:
    """A run of writer, recorded."""

    def __init__(self, mode, prepare=None):
        if SANITIZERS:
            skip("a sanitizer's run time wants to be loaded first")
        self.top = tempfile.mkdtemp(prefix="claw-writer-")
        self.folder = os.path.join(self.top, "w")
        os.mkdir(self.folder)
        self.mode = mode
        self.recording = Recording(self.folder)
        if prepare is not None:
            prepare(self.recording)
        self.status = subprocess.run(
            [reachable(os.path.join(BUILD, "tests", "crash", "writer")),
             mode, self.folder], stderr=subprocess.PIPE,
            env=dict(os.environ, **self.recording.env())).returncode

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.recording.close()
        shutil.rmtree(self.top)

    def here(self):
        """The folder as it is."""
        found = {}
        for name in os.listdir(os.fsencode(self.folder)):
            with open(os.path.join(os.fsencode(self.folder), name),
                      "rb") as f:
                found[name] = f.read()
        return found

    def wrong(self, **how):
        """(how many states, those that break a promise)."""
        count, bad = 0, []
        for state in self.recording.states(**how):
            count += 1
            if not CHECKS[self.mode](state.tree, len(state.marks)):
                bad.append(state)
        return count, bad


def replaced(tree, promised):
    contents = [bytes([ord("a") + n]) * (5000 + n * 3000) for n in range(3)]
    if b"final" not in tree:
        return promised == 0
    return tree[b"final"] in contents[max(promised - 1, 0):]


def moved(tree, promised):
    at = [name for name in (b"from/final", b"to/final")
          if tree.get(name) == b"moved"]
    return promised == 0 or (promised == 1 and len(at) > 0) \
        or at == [b"to/final"]


def journalled(tree, promised):
    lines = tree.get(b"journal", b"").split(b"\n")[:-1]
    data = tree.get(b"data", b"")
    for n, line in enumerate(lines):
        if line == str(n).encode() and \
                data[n * CHUNK:(n + 1) * CHUNK] != \
                bytes([ord("A") + n]) * CHUNK:
            return False
    return len(lines) >= promised


CHECKS = {mode: replaced for mode in (
    "replace", "no-dir-sync", "no-file-sync", "late-sync", "believes-retry")}
CHECKS.update({"journal": journalled, "journal-first": journalled,
               "move": moved, "no-source-sync": moved})


@test("a program that syncs what it must keeps its promises in every state")
def right():
    for mode in ("replace", "journal", "move"):
        with Run(mode) as run:
            equal(run.status, 0, "exit of writer")
            states = list(run.recording.states())
            if mode != "move":
                ok(run.here() in [state.tree for state in states],
                   "the folder as it is is one of them")
            for how in ({}, {"ordered": True}, {"exhaustive": 4096},
                        {"exhaustive": 1, "samples": 100, "seed": 5}):
                count, bad = run.wrong(**how)
                diag("%s: %d states" % (mode, count))
                ok(count > 10, "states: %d" % count)
                ok(not bad, "%d wrong, first %r" % (len(bad), bad[:1]))


@test("one that forgets a sync, or does it too late, is caught")
def flaws():
    for mode in ("no-dir-sync", "no-file-sync", "late-sync", "journal-first",
                 "no-source-sync"):
        with Run(mode) as run:
            equal(run.status, 0, "exit of writer")
            count, bad = run.wrong()
            diag("%s: %d of %d states are wrong" % (mode, len(bad), count))
            ok(bad, mode + " is not caught")
            ok(len(bad) < count, mode + ": not all is wrong")
            if mode not in ("no-dir-sync", "no-source-sync"):
                ok(run.wrong(ordered=True)[1],
                   mode + " is not caught with names in order")


@test("the same seed gives the same states")
def seeds():
    with Run("journal-first") as run:
        def trees(seed):
            return [s.tree for s in run.recording.states(
                seed=seed, exhaustive=1, samples=20)]
        ok(trees(3) == trees(3), "the same seed")
        ok(trees(3) != trees(4), "another seed")


@test("what a failed fsync covered is lost for later ones, too")
def failed_sync():
    def once(recording):
        recording.fault(0, [FDATASYNC], errno.EIO, 2)
    with Run("replace", once) as run:
        equal(run.status, 1, "exit of writer")
        count, bad = run.wrong()
        ok(not bad, "wrong: %r" % bad[:1])
    with Run("believes-retry", once) as run:
        equal(run.status, 0, "exit of writer")
        ok(run.wrong()[1], "who believes the second fsync is not caught")


@test("ENOSPC, EIO, a short write and a failing sync at every call: what was "
      "promised is there, in every state")
def faults():
    for mode in ("replace", "journal"):
        for error in (errno.ENOSPC, errno.EIO, SHORT):
            calls = (WRITE,) if error == SHORT else CALLS
            number = 0
            while True:
                number += 1
                with Run(mode, lambda r: r.fault(
                        3, calls, error, number)) as run:
                    if run.recording.seen(3) < number:
                        equal(run.status, 0, "exit of writer")
                        ok(number > 3, "calls: %d" % number)
                        break
                    equal(run.status, 1, "exit of writer, %s %d at call %d"
                          % (mode, error, number))
                    bad = run.wrong(samples=10)[1]
                    ok(not bad, "%s, %d at call %d: %r" % (
                        mode, error, number, bad[:1]))


@test("a process ends before any call that it is to end before")
def deaths():
    number = 0
    while True:
        number += 1
        with Run("replace", lambda r: r.fault(
                0, CALLS, DIE, number, process="writer")) as run:
            if run.status == 0:
                break
            ok(run.status in (-signal.SIGILL, -signal.SIGTRAP),
               "exit %d" % run.status)
            done = [op for op in run.recording.ops() if op.call != MARK]
            equal(len(done), number - 1, "calls before")
            ok(replaced(run.here(), sum(
                op.call == MARK for op in run.recording.ops())),
               "the folder: %r" % run.here())
    equal(number, 3 * 5 + 1, "points")
    with Run("replace", lambda r: r.fault(
            0, CALLS, DIE, 1, process="other")) as run:
        equal(run.status, 0, "a fault of another process")


@test("a state is made as a folder")
def materialised():
    with Run("move") as run:
        state = list(run.recording.states())[-1]
        folder = os.path.join(run.top, "state")
        state.write(folder)
        with open(os.path.join(folder, "to", "final"), "rb") as f:
            equal(f.read(), b"moved", "to/final")
        equal(sorted(os.listdir(folder)), ["from", "to"], "folders")


@test("a daemon is recorded in its sandbox: what auditd acknowledged is in "
      "its log in every state")
def daemon():
    if SANITIZERS:
        skip("a sanitizer's run time wants to be loaded first")
    node = claw_test.Node(as_user=True)
    audit = os.path.join(node.dir, "log")
    with Recording(audit) as recording:
        recording.preload("auditd")
        try:
            promised, positions = [], []
            play = Play(node)
            play.start()
            for i in range(6):
                promised.append(b"promise %d." % i)
                play.note(promised[-1].decode())
                positions.append(recording.position())
            play.stop()
            play.close()
            kinds = {op.call for op in recording.ops()}
            ok(WRITE in kinds and kinds & {FSYNC, FDATASYNC},
               "what was recorded: %r" % kinds)
            count = 0
            for state in recording.states(samples=20, promises=positions):
                count += 1
                log = b"".join(data for path, data in state.tree.items()
                               if path.endswith(b"log.ndjson"))
                for text in promised[:state.promises]:
                    ok(text in log, "%r is not in %r" % (text, state))
            diag("%d states of auditd" % count)
            ok(count > 20, "states")
        finally:
            claw_test.staged = None


@test("a node runs with daemons that are recorded, and that fail as told")
def node_of_recorded():
    if SANITIZERS:
        skip("a sanitizer's run time wants to be loaded first")
    node = claw_test.Node()
    with Recording(os.path.join(node.dir, "log")) as recording:
        recording.preload("auditd")
        try:
            node.start()
            ok(any(op.call in (FSYNC, FDATASYNC) for op in recording.ops()),
               "what was recorded: %r" % recording.ops())
            auditd = node.children()["auditd"]
            recording.fault(0, [WRITE], DIE, process="auditd")
            node.claw("audit:note", "the last")
            wait_for(lambda: node.children().get("auditd") not in (
                None, auditd), 20, "another auditd")
            equal(recording.seen(0) >= 1, True, "the fault was met")
            equal(node.stop(), 0, "exit of clawd")
        finally:
            claw_test.staged = None


if __name__ == "__main__":
    main()
