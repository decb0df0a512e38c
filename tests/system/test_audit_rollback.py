#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A log that is not what was signed is never signed again: it stays as it is,
and its successor says so. Months change when two clocks agree, with the key of
the old month destroyed and its last checkpoint in the new one."""

import datetime
import os
import shutil
import time

from audit_test import OK, Play
from claw_test import equal, main, ok, test, wait_for

DAY = 86400 * 1000
ROLLED = "audit.rolled-back"


def settings(play, every=50):
    equal(play.do("conf", 75, 90, 1 << 20, every), "ok", "conf")


def fill(play, count, text="note"):
    for i in range(count):
        play.note("%s %d" % (text, i))
    play.do("wait", 200)


def copy_of(play):
    """An older copy of the whole log folder."""
    kept = os.path.join(play.node.top, "copy")
    shutil.copytree(play.audit, kept)
    return kept


def restore(play, kept):
    shutil.rmtree(play.audit)
    shutil.copytree(kept, play.audit)
    for folder, _, names in os.walk(play.audit):
        for name in ["."] + names:
            os.chown(os.path.join(folder, name), play.node.uid, -1)


def goes_on(play, month, closed=None):
    """The log goes on in <month>.1, which says why, and all verifies."""
    play.start()
    play.note("after")
    equal(play.months()[-1], month + ".1", "the new shard")
    equal(play.events()[:2], ["shard.open", ROLLED], "its first lines")
    play.stop()
    play.start()
    play.note("and once more")
    equal(play.months()[-1], month + ".1", "the shard is kept")
    play.stop()


def case(spoil, also=None):
    """Two stretches of records, something spoilt in between, a new start."""
    with Play() as play:
        settings(play)
        play.start()
        fill(play, 5, "old")
        play.stop()
        kept = copy_of(play)
        play.start()
        fill(play, 5, "new")
        play.stop()
        month = play.months()[-1]
        signed = play.expectation()
        spoil(play, month, kept)
        path = play.path(month, "log.ndjson")
        before = open(path, "rb").read() if os.path.exists(path) else b""
        goes_on(play, month)
        if os.path.exists(path):
            equal(open(path, "rb").read(), before,
                  "the shard that was closed as it was")
        status = play.verify("--expect", signed)
        if also is not None:
            also(play, month, status)


@test("an older copy of the log was restored")
def older_copy():
    case(lambda play, month, kept: restore(play, kept))


@test("signed records were cut off")
def truncated():
    def spoil(play, month, kept):
        path = play.path(month, "log.ndjson")
        lines = open(path, "rb").read().splitlines(True)
        with open(path, "r+b") as f:
            f.truncate(sum(map(len, lines[:-2])))
    case(spoil)


@test("signed records were cut off, and the checkpoint taken away")
def truncated_without_checkpoint():
    def spoil(play, month, kept):
        path = play.path(month, "log.ndjson")
        lines = open(path, "rb").read().splitlines(True)
        with open(path, "r+b") as f:
            f.truncate(sum(map(len, lines[:-2])))
        os.unlink(play.path(month, "checkpoint"))
    case(spoil)


@test("a signed record was changed")
def changed():
    def spoil(play, month, kept):
        path = play.path(month, "log.ndjson")
        data = open(path, "rb").read()
        with open(path, "wb") as f:
            f.write(data.replace(b"new 3", b"new 4"))
    case(spoil)


@test("the log was emptied, its checkpoint taken away")
def emptied():
    def spoil(play, month, kept):
        os.truncate(play.path(month, "log.ndjson"), 0)
        os.unlink(play.path(month, "checkpoint"))
    case(spoil)


@test("the whole month was removed")
def removed():
    case(lambda play, month, kept: shutil.rmtree(play.path(month)))


@test("an older month was put in the place of this one")
def other_month():
    def spoil(play, month, kept):
        os.rename(play.path(month), play.path("2020-01"))
    case(spoil)


@test("the sealed log key is lost")
def lost_key():
    def spoil(play, month, kept):
        os.unlink(os.path.join(play.node.dir, "data", "audit",
                               "logkey-" + month))

    def also(play, month, status):
        play.verified("--expect", play.expectation(), want=(OK,))
    case(spoil, also)


@test("the sealed log key is another")
def other_key():
    def spoil(play, month, kept):
        path = os.path.join(play.node.dir, "data", "audit",
                            "logkey-" + month)
        data = bytearray(open(path, "rb").read())
        data[-1] ^= 1
        with open(path, "wb") as f:
            f.write(data)
    case(spoil)


@test("the other copy of the checkpoint is lost: nothing is rolled back")
def lost_copy():
    with Play() as play:
        settings(play)
        play.start()
        fill(play, 5)
        play.stop()
        node = play.node
        os.unlink(os.path.join(node.dir, "data", "keys", "checkpoint"))
        play.close()
        with Play(node) as again:
            settings(again)
            again.start()
            again.note("after")
            again.stop()
            equal(len(again.months()), 1, "shards")
            ok(ROLLED not in again.events(), "nothing is said")
            again.verified("--expect", again.expectation(), want=(OK,))


@test("a crash while a shard is made leaves no gap in the chain of notes")
def crash_while_made():
    with Play(faults=True) as play:
        settings(play)
        at(play, "2026-10-31T23:00:00")
        play.start()
        fill(play, 3)
        play.stop()
        note = open(play.path("2026-10", "checkpoint")).read()
        at(play, "2026-11-02T00:00:00")
        play.start()
        play.note("november")
        wait_for(lambda: play.do("wait", 50) and
                 "2026-11" in play.months(), 10, "the new month")
        play.do("kill", "both")
        # As if the crash had come before the first line: twice, with and
        # without the file of the log.
        last = open(play.path("2026-10", "checkpoint")).read()
        ok(last != note, "the closing checkpoint")
        for name in ("checkpoint", "tile"):
            path = play.path("2026-11", name)
            shutil.rmtree(path) if os.path.isdir(path) else \
                os.path.exists(path) and os.unlink(path)
        shutil.rmtree(play.path("2026-11"))
        os.mkdir(play.path("2026-11"))
        os.chown(play.path("2026-11"), play.node.uid, -1)
        play.start()
        equal(embedded(play, play.months()[-1]), last,
              "the note of the month before")
        play.stop()


def embedded(play, month):
    """The note in the first line of a shard."""
    note = play.lines(month)[0]["act"]["prev_checkpoint"]
    return note.replace("\\x0a", "\n")


def at(play, when, boot=0):
    """Set the wall clock of keyd and auditd."""
    then = datetime.datetime.fromisoformat(when + "+00:00").timestamp()
    equal(play.do("clock", int((then - time.time()) * 1000), boot), "ok",
          "clock")


@test("at the end of a month the last checkpoint is signed, the key "
      "destroyed, and the next month begins with that note")
def month_ends():
    with Play(faults=True) as play:
        settings(play)
        at(play, "2026-10-31T23:59:58")
        play.start()
        fill(play, 3, "october")
        key = os.path.join(play.node.dir, "data", "audit", "logkey-2026-10")
        ok(os.path.exists(key), "the key of october")

        def november():
            play.note("meanwhile")
            play.do("wait", 100)
            return "2026-11" in play.months()
        wait_for(november, 20, "november")
        play.note("november")
        ok(not os.path.exists(key), "the key is destroyed")
        with open(play.path("2026-10", "checkpoint")) as f:
            equal(embedded(play, "2026-11"), f.read(), "the embedded note")
        size = int(play.expectation("2026-10").split(":")[0])
        equal(size, len(play.lines("2026-10")), "all of october is signed")
        play.stop()
        play.verified("--expect", play.expectation(), want=(OK,))
        play.start()
        play.note("the month goes on")
        equal(play.months(), ["2026-10", "2026-11"], "the shards")
        play.stop()


@test("a part of a month gives way to the next month, too")
def part_ends():
    with Play(faults=True) as play:
        settings(play)
        at(play, "2026-10-31T12:00:00")
        play.start()
        fill(play, 3)
        play.stop()
        os.unlink(os.path.join(play.node.dir, "data", "audit",
                               "logkey-2026-10"))
        play.start()
        play.note("a part")
        equal(play.months(), ["2026-10", "2026-10.1"], "the shards")
        play.stop()
        at(play, "2026-11-01T12:00:00")
        play.start()
        play.note("november")
        wait_for(lambda: play.do("wait", 50) and play.months()[-1] ==
                 "2026-11", 10, "november")
        play.stop()
        play.verified("--expect", play.expectation(), want=(OK,))


@test("an open intent keeps its month open until its outcome is there")
def intent_over_months():
    with Play(faults=True) as play:
        settings(play)
        at(play, "2026-10-31T23:59:59")
        play.start()
        number = play.do("intent", "attestd", "work").split()[2]
        play.do("wait", 1200)
        play.note("november already")
        play.do("wait", 200)
        equal(play.months(), ["2026-10"], "the shards")
        equal(play.do("outcome", "attestd", number, "done").split()[1],
              "2026-10", "where the outcome is")
        wait_for(lambda: play.do("wait", 50) and
                 play.months()[-1] == "2026-11", 10, "november")
        play.stop()


@test("a wall clock that is a year off changes no month; it is recorded once")
def clock_off():
    for days in (366, -366):
        with Play(faults=True) as play:
            settings(play)
            at(play, "2026-10-15T12:00:00")
            play.start()
            fill(play, 3)
            equal(play.do("clock", days * DAY, 0), "ok", "clock")
            fill(play, 3)
            fill(play, 3)
            equal(play.months(), ["2026-10"], "the shards")
            equal(play.events().count("audit.clock"), 1, "audit.clock")
            play.stop()
            play.verified("--expect", play.expectation(), want=(OK,))


@test("intents of a process that died, or of a run that did, get an outcome")
def abandoned():
    with Play() as play:
        settings(play)
        play.start()
        one = int(play.do("intent", "attestd", "one").split()[2])
        two = int(play.do("intent", "attestd", "two").split()[2])
        play.do("outcome", "attestd", two, "done")
        play.do("drop", "attestd")
        play.note("later")
        three = int(play.do("intent", "controld", "three").split()[2])
        play.do("kill", "both")
        play.start()
        play.note("after the crash")
        play.stop()
        left = [(line["act"]["intent"], line["act"]["outcome"])
                for line in play.lines()
                if line["act"]["event"] == "audit.abandoned"]
        equal(left, [(one, "unknown"), (three, "unknown")], "abandoned")
        play.verified("--expect", play.expectation(), want=(OK,))


if __name__ == "__main__":
    main()
