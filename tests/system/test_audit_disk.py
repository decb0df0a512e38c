#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A disk that is full, or fails: new work is refused with a clear error, what
runs is recorded to its end, nothing acknowledged is lost, and where nobody
knows what the disk holds, auditd stops."""

import errno
import os
import subprocess
import sys

from audit_test import OK, Play, new_node
from claw_test import (CLONE_NEWNS, MS_PRIVATE, MS_REC, NOBODYS_UID, ROOT,
                       contains, equal, libc, main, mount, ok, test, wait_for)

SIZE = 24 << 20
PWRITE, FDATASYNC, FSYNC, FALLOCATE, RENAMEAT, FTRUNCATE = range(6)
SHORT = -1


def small_disk(node):
    """The node's log folder on a file system of its own, 24 MB."""
    path = os.path.join(node.dir, "log")
    options = b"size=%d,mode=0700" % SIZE
    if ROOT:
        options += b",uid=%d,gid=%d" % (NOBODYS_UID, NOBODYS_UID)
    ok(libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, options) == 0,
       "mounting a small disk")
    os.mkdir(os.path.join(path, "audit"), 0o750)
    os.chown(os.path.join(path, "audit"), node.uid, node.uid)
    return path


def ballast(disk, leave):
    """Fill the disk, but for so many bytes."""
    name = os.path.join(disk, "ballast")
    with open(name, "ab") as f:
        free = os.statvfs(disk).f_bfree * 4096
        if free > leave:
            os.posix_fallocate(f.fileno(), f.tell(), free - leave)
    return name


def settings(play, reserve=2 << 20):
    equal(play.do("conf", 50, 80, reserve, 100), "ok", "conf")


@test("above warn_at it is recorded, above refuse_at new work is refused, "
      "below it goes on")
def limits():
    node = new_node()
    disk = small_disk(node)
    with Play(node) as play:
        settings(play)
        play.start()
        play.note("room enough")
        started = play.do("intent", "attestd", "work").split()
        equal(started[0], "appended", "an intent")
        name = ballast(disk, SIZE * 40 // 100)
        play.note("makes auditd look")
        wait_for(lambda: play.do("wait", 50) and
                 "audit.disk" in play.events(), 10, "audit.disk")
        play.note("a warning refuses nothing")
        ballast(disk, SIZE * 12 // 100)
        wait_for(lambda: play.do("note", "controld", "fills").startswith(
            "refused"), 10, "a refusal")
        answer = play.do("note", "controld", "new work")
        equal(answer.split()[:2], ["refused", str(errno.ENOSPC)], answer)
        contains(answer, "audit.refuse_at", "the error")
        ok(play.do("intent", "attestd", "more").startswith("refused"),
           "an intent is new work")
        equal(play.do("outcome", "attestd", started[2], "done").split()[0],
              "appended", "the outcome of what runs")
        equal(play.do("note", "clawd", "what happened").split()[0],
              "appended", "clawd's records")
        os.unlink(name)
        wait_for(lambda: play.do("wait", 50) and play.do(
            "note", "controld", "again").startswith("appended"), 10,
            "work after there is room")
        play.stop()
        play.verified("--expect", play.expectation(), want=(OK,))
        percents = [line["act"]["reason"] for line in play.lines()
                    if line["act"]["event"] == "audit.disk"]
        equal(percents, ["above audit.warn_at", "above audit.refuse_at",
                         "below the limits"], "what was recorded")
        numbers = [line["env"]["n"] for line in play.lines()]
        equal(numbers, list(range(len(numbers))), "numbers")
    umount(disk)


@test("no byte left: the reserve takes what runs, nothing acknowledged is "
      "lost, also over a crash")
def full():
    node = new_node()
    disk = small_disk(node)
    with Play(node) as play:
        equal(play.do("conf", 99, 100, 1 << 20, 100), "ok", "conf")
        play.start()
        intents = []
        for i in range(20):
            answer = play.do("intent", "attestd", "work %d" % i).split()
            equal(answer[0], "appended", "an intent")
            intents.append(answer[2])
        play.do("wait", 300)
        name = ballast(disk, 0)
        filled = play.do("fill", "controld", 4000, 2000).split()
        ok(int(filled[2]) > 0, "new work is refused: %s" % filled)
        equal(filled[3], "0", "nobody was cut off")
        for number in intents[:10]:
            equal(play.do("outcome", "attestd", number, "done").split()[0],
                  "appended", "an outcome on a full disk")
        equal(play.do("note", "clawd", "what happened").split()[0],
              "appended", "clawd's record on a full disk")
        before = len(play.lines())
        play.do("kill", "both")
        play.start()
        events = play.events()
        ok(len(events) >= before, "nothing is lost by the crash")
        wait_for(lambda: play.do("wait", 20) and
                 play.events().count("audit.abandoned") == 10, 10,
                 "outcomes for what was left open")
        answer = play.do("note", "controld", "new work")
        ok(answer.startswith("refused"), answer)
        os.unlink(name)
        wait_for(lambda: play.do("wait", 50) and play.do(
            "note", "controld", "again").startswith("appended"), 10,
            "work after there is room")
        play.stop()
        texts = [line["act"].get("text") for line in play.lines()]
        equal(texts.count("x" * 4000), int(filled[1]),
              "records that were acknowledged")
        play.verified("--expect", play.expectation(), want=(OK,))
    umount(disk)


def umount(disk):
    libc.umount2(os.fsencode(disk), 2)


@test("no room at any single write: refused or taken, never half")
def no_room_once():
    with Play(faults=True) as play:
        settings(play)
        play.start()
        taken = []
        for error in (errno.ENOSPC, errno.EDQUOT, SHORT):
            for after in range(3):
                play.do("fault", PWRITE, after, 1, error)
                for i in range(4):
                    text = "%d-%d-%d" % (error, after, i)
                    answer = play.do("note", "controld", text)
                    ok(answer.split()[0] in ("appended", "refused"), answer)
                    if answer.startswith("appended"):
                        taken.append((text, int(answer.split()[2])))
                play.do("wait", 120)
        play.stop()
        there = [(line["act"]["text"], line["env"]["n"])
                 for line in play.lines() if "text" in line["act"]]
        equal(there, taken, "what is there is what was acknowledged")
        play.verified("--expect", play.expectation(), want=(OK,))


@test("an intent or an outcome that found no room has not happened")
def no_room_for_an_intent():
    with Play(faults=True) as play:
        settings(play)
        play.start()
        number = play.do("intent", "attestd", "first").split()[2]
        play.do("fault", PWRITE, 0, 1, errno.ENOSPC)
        ok(play.do("intent", "attestd", "second").startswith("refused"),
           "an intent without room")
        play.do("fault", PWRITE, 0, 1, errno.ENOSPC)
        ok(play.do("outcome", "attestd", number, "lost").startswith(
            "refused"), "an outcome without room")
        equal(play.do("outcome", "attestd", number, "kept").split()[0],
              "appended", "the outcome, once more")
        play.do("drop", "attestd")
        play.note("the end")
        play.stop()
        equal(play.events().count("audit.abandoned"), 0,
              "nothing was left open")


@test("a write or sync that fails ends auditd, and what was acknowledged is "
      "there")
def broken_disk():
    for call in (PWRITE, FDATASYNC):
        with Play(faults=True) as play:
            settings(play)
            play.start()
            shard, number = play.note("good")
            play.do("fault", call, 0, 1, errno.EIO)
            equal(play.do("note", "controld", "never acknowledged"), "gone",
                  "after EIO nobody is told anything")
            wait_for(lambda: play.do("wait", 20) and
                     play.do("alive") == "no", 10, "the end of auditd")
            play.do("kill", "both")
            play.start()
            equal(play.lines()[number]["act"]["text"], "good", "the record")
            play.stop()
            play.verified("--expect", play.expectation(), want=(OK,))


@test("a checkpoint that finds no room is published when there is")
def no_room_for_a_checkpoint():
    with Play(faults=True) as play:
        settings(play)
        play.start()
        play.note("one")
        play.do("wait", 300)
        old = play.expectation()
        play.do("fault", RENAMEAT, 0, 1000000, errno.ENOSPC)
        play.note("two")
        play.do("wait", 400)
        equal(play.expectation(), old, "the published checkpoint")
        play.note("three is taken all the same")
        play.do("kill", "both")
        play.start()
        play.note("and four, with a checkpoint signed that is not published")
        play.do("fault", RENAMEAT, 0, 0, 0)
        play.do("wait", 400)
        play.stop()
        ok(play.expectation() != old, "a new checkpoint")
        play.verified("--expect", play.expectation(), want=(OK,))


def private():
    """A mount namespace of our own; as a user, within a user namespace."""
    if os.environ.get("AUDIT_DISK_INSIDE") == "1":
        return
    if ROOT:
        ok(libc.unshare(CLONE_NEWNS) == 0, "a mount namespace")
        mount("none", "/", MS_REC | MS_PRIVATE)
        return
    sys.exit(subprocess.call(
        ["unshare", "-Um", "--map-current-user", "--keep-caps",
         sys.executable, *sys.argv],
        env=dict(os.environ, AUDIT_DISK_INSIDE="1")))


if __name__ == "__main__":
    private()
    main()
