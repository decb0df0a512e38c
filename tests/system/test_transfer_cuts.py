#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Nothing is lost: whichever process dies at whichever end and moment,
wherever the connection is cut, whatever the disk refuses or forgets, the same
command given again ends with the right file and its receipt, without sending
what was acknowledged, and never is there a wrong file under its name."""

import errno
import filecmp
import os
import random
import shutil
import time

from claw_test import (LONG, Failure, diag, main, ok, test, wait_for, equal)
from cut_test import (CALLS, SEED, Recorded, die_everywhere, fail_everywhere,
                      wake_up)
from crash_test import FSYNC, RENAME
from sft_test import MIB, Duo, claims, kill, until_sent

ROUNDS = int(os.environ.get("CLAW_CUTS", "0")) or (2000 if LONG else 20)
WINDOW = 32 * MIB  # the least that there is
CONFIG = {"sft.resume_buffer": "32M"}


# Cuts and kills


class Round:
    """One file, cut once or more; what was acknowledged, and what was sent."""

    def __init__(self, duo, rng):
        self.duo, self.rng = duo, rng
        self.chunk = rng.choice((1, 1, 1, 2, 4, 8))
        top = 26 if rng.random() < 0.1 else 24.5
        # An earlier version serves where there is more than a chunk.
        versions = rng.random() < 0.3
        self.size = int(2 ** rng.uniform(20.5 if versions else 10, top)) \
            + rng.choice((-1, 0, 1))
        self.streams = rng.randint(1, 8)
        # A second, about; or as fast as it goes.
        self.rate = 0 if rng.random() < 0.3 else int(
            self.size * rng.uniform(0.7, 3)) + 100000
        # Noise, or words, which go compressed.
        self.words = rng.random() < 0.3
        self.source = duo.words(self.size, rng.random()) if self.words \
            else duo.file(self.size, rng.random())
        self.name = os.path.basename(self.source)
        self.id = None
        self.promised = 0
        self.journalled = set()
        self.cuts = self.met = self.again = self.same = 0
        self.what = ""
        self.base = None
        if versions:
            self.version()

    def version(self):
        """There is an earlier one, from which it differs here and there."""
        rng = self.rng
        self.base = self.source + ".base"
        shutil.copy2(self.source, self.base)
        # What the round before has killed is on its way back.
        sent = until_sent(self.duo, self.base, "--name", self.name,
                          "--chunk-size", "%dM" % self.chunk)
        self.duo.check(sent[-1], self.base, self.name)
        with open(self.source, "r+b") as f:
            for _ in range(rng.choice((0, 1, 1, 3, 10))):
                f.seek(rng.randrange(self.size))
                f.write(b"x")
            if rng.random() < 0.3:
                self.size = max(1, self.size + rng.choice((-1, 1)) *
                                rng.randrange(self.size))
                f.truncate(self.size)
        # Another one by its time, whatever came of it.
        os.utime(self.source, (1, 1))

    def arrives(self):
        """Whether it is there; nothing else but an earlier one may be."""
        path = self.duo.arrived(self.name)
        if not os.path.exists(path):
            ok(self.base is None, "the earlier one is gone")
            return False
        if filecmp.cmp(self.source, path, shallow=False):
            return os.stat(path).st_mtime == os.stat(self.source).st_mtime
        ok(self.base is not None and filecmp.cmp(self.base, path,
                                                 shallow=False),
           "a wrong file under its name")
        return False

    def flags(self):
        flags = ["--chunk-size", "%dM" % self.chunk, "--streams",
                 str(self.streams)] + (["--replace"] if self.base else [])
        return flags + (["--limit", str(self.rate)] if self.rate else [])

    def seen(self, event):
        if event["event"] == "accepted":
            if self.id is None:
                self.id = event["id"]
            equal(event["id"], self.id, "id of a transfer that goes on")
            if event["have"] < self.promised:
                self.lost = "have %d after %d were acknowledged" % (
                    event["have"], self.promised)
            self.promised = max(self.promised, event["have"])
        elif event["event"] == "progress":
            self.promised = max(self.promised, event["durable"])

    # What is done to it.

    def cut(self):
        """The connection, at some byte."""
        rng = self.rng
        count = len(self.duo.proxy.connections())
        number = count + rng.randint(1, 1 + min(
            self.streams, 1 + self.size // (self.chunk * MIB)))
        if rng.random() < 0.25:
            way, at = "down", int(2 ** rng.uniform(0, 13))
        else:
            way = "up"
            at = int(2 ** rng.uniform(0, 14)) if rng.random() < 0.3 else \
                rng.randrange((self.size >> (rng.randrange(8) if self.words
                                             or self.base else 0))
                              // self.streams + 3000)
        how = rng.choice(("reset", "reset", "close", "flip"))
        if LONG and rng.random() < 0.01:
            how = rng.choice(("silence", "half"))  # half a minute each
        self.what = "%s of connection %d, %s, at byte %d" % (
            how, number - count, way, at)
        self.duo.proxy.do(how, number, way, at)

    def kill(self):
        """A process at either end, at some moment."""
        rng, duo = self.rng, self.duo
        node = rng.choice(duo.nodes())
        who = rng.choice(("xferd", "xferd", "sftd", "sftd", "clawd", "keyd",
                          "attestd", "auditd", "controld"))
        self.what = "%s of %s is killed" % (who, node.name)
        time.sleep(rng.uniform(0, self.size / self.rate if self.rate
                               else 0.3))
        if who == "clawd":
            pids = [pid for _, pid in node.running()]
            node.kill()
            # They hold its port as long as they have not heard of it.
            wait_for(lambda: not any(os.path.exists("/proc/%d" % pid)
                                     for pid in pids), 10, "their end")
            node.start()
        elif who == "xferd":
            for pid in node.workers("xferd"):
                kill(pid)
        else:
            pid = node.children().get(who)
            if pid:
                kill(pid)

    # What must hold.

    def between(self, sending):
        """After each attempt."""
        if self.lost:
            raise Failure(self.lost)
        duo = self.duo
        there = self.arrives()
        signed = self.id is not None and self.id in duo.receipts(duo.alpha)
        kept = self.id is not None and self.id in duo.receipts(duo.beta)
        ok(there or not signed, "a receipt of no file")
        ok(signed or not kept, "the sender's receipt is the only one")
        if self.id is not None:
            now = duo.journal(self.id)
            ok(not self.journalled - now, "the journal forgot %r" % (
                self.journalled - now))
            self.journalled = now
            size = self.chunk * MIB
            claimed = sum(min(size, self.size - i * size) for i in now)
            ok(claimed >= self.promised or there,
               "%d durable were told, and %d are in the journal" % (
                   self.promised, claimed))

    def run(self):
        duo, rng = self.duo, self.rng
        self.lost = None
        if len(duo.proxy.connections()) > 150:
            duo.begin_proxy()
        before = len(duo.proxy.connections())
        end = time.monotonic() + 150
        attempts = 0
        self.cuts = rng.choice((1, 1, 1, 2, 3))
        left = self.cuts
        while True:
            killing = left > 0 and rng.random() < 0.5
            if left > 0 and not killing:
                self.cut()
            s = duo.send(self.source, *self.flags(), seen=self.seen)
            attempts += 1
            if killing:
                self.kill()
            left -= 1
            try:
                status = s.wait(150)
            except Failure as why:
                raise Failure("%s: %s" % (self.what, why)) from None
            self.between(s)
            if status != 0 or s.all("retry"):
                self.met += 1
            if status == 0:
                break
            error = s.error() or s.errors
            ok(error, "it ended with %d and no word" % status)
            if time.monotonic() > end:
                raise Failure("%s: not sent in 150 s, last %d: %r" % (
                    self.what, status, error))
            time.sleep(0.1)
        passed = sum(c["up"]["taken"] for c in
                     duo.proxy.connections()[before:])
        self.again = passed - self.size - 8192 * (
            len(duo.proxy.connections()) - before) - self.size // 50
        ok(self.again <= WINDOW * self.cuts, "%d bytes were sent again" %
           self.again)
        duo.check(s, self.source)
        self.same = s.last("receipt")["same_bytes"]
        os.unlink(duo.arrived(self.name))
        for path in (self.source, self.base):
            if path is not None:
                os.unlink(path)
        return attempts


@test("a process killed at either end, or the connection cut at any byte: the "
      "file is right, what was acknowledged is kept, little is sent again")
def cuts():
    rng = random.Random(SEED)
    duo, done, attempts, met, most, same = None, 0, 0, 0, 0, 0
    begun = time.monotonic()
    try:
        for number in range(ROUNDS):
            if number % 50 == 0:
                if duo is not None:
                    duo.__exit__()
                duo = Duo(config=dict(CONFIG, **{"sft.verify": rng.choice(
                    ("stream", "disk"))}), proxied=True)
            r = Round(duo, random.Random(rng.random()))
            try:
                attempts += r.run()
            except Exception:
                diag("round %d of seed %d: %s; %d bytes, chunks of %d MiB, "
                     "%d streams, %d a second%s%s" % (
                         number, SEED, r.what, r.size, r.chunk, r.streams,
                         r.rate, ", words" if r.words else "",
                         ", another version" if r.base else ""))
                raise
            done += 1
            met += 1 if r.met else 0
            most = max(most, r.again)
            same += 1 if r.same else 0
            if number % 50 == 49:
                print("# %d rounds, %d of them interrupted, %d commands, at "
                      "most %d bytes again" % (done, met, attempts, most),
                      flush=True)
    finally:
        diag("%d rounds in %.0f s, %d of them interrupted, %d commands, at "
             "most %d bytes again; %d with chunks of an earlier version" % (
                 done, time.monotonic() - begun, met, attempts, most, same))
        if duo is not None and duo.proxy is not None:
            duo.proxy.close()
            duo.proxy = None


@test("a stream that is cut, or damaged, is replaced: the attempt goes on, and "
      "little is sent again")
def lost_streams():
    with Duo(config=CONFIG, proxied=True) as duo:
        # As fast as each other, and none too fast: the third is to get as far
        # as its cut, and what comes in its place is to be needed still.
        duo.proxy.do("drip", 65536, 10)
        for how in ("reset", "close", "flip"):
            source = duo.file(24 * MIB)
            had = len(duo.proxy.connections())
            for stream, at in ((1, 3 * MIB), (3, 5 * MIB + 123)):
                duo.proxy.do(how, had + 1 + stream, "up", at)
            s = duo.send(source, "--chunk-size", "1M", "--streams", "3")
            equal(s.wait(), 0, "%s: %r %r" % (how, s.error(), s.errors))
            equal(s.all("retry"), [], how)
            ok(s.last("receipt")["resent"] > 0, "%s met nothing" % how)
            connections = duo.proxy.connections()[had:]
            equal(len(connections), 1 + 3 + 2, "connections, " + how)
            passed = sum(c["up"]["taken"] for c in connections)
            ok(passed < 25 * MIB + WINDOW, "%d bytes passed" % passed)
            duo.check(s, source)


@test("when no stream lives long enough the attempt is over, and the next goes "
      "on")
def no_stream():
    with Duo(config=CONFIG, proxied=True) as duo:
        source = duo.file(24 * MIB)
        duo.proxy.do("reset", "*", "up", 3 * MIB // 2)
        s = duo.send(source, "--chunk-size", "1M", "--streams", "1",
                     "--detach")
        equal(s.wait(), 0, "%r" % s.errors)
        ident = s.last("detached")["id"]
        wait_for(lambda: [r for r in duo.beta.events("file.send")
                          if "stream 0" in r.get("reason", "")], 60)
        duo.proxy.do("clear")
        wait_for(lambda: ident in duo.receipts(duo.beta), 60)
        ok(filecmp.cmp(source, duo.arrived(os.path.basename(source)),
                       shallow=False), "another file")


# Recorded


@test("sftd of the receiver dies before each call of a transfer that changes "
      "or syncs something: each is taken up again")
def points_sftd():
    ok(die_everywhere("sftd", False) > 8, "points")


@test("likewise its xferd")
def points_xferd():
    ok(die_everywhere("xferd", False) > 2, "points")


@test("likewise sftd of the sender")
def points_sender():
    ok(die_everywhere("sftd", True) > 0, "points")


@test("whatever a crash leaves of what was not synced: under its name is the "
      "right file or none, what was acknowledged is there, and it goes on")
def replay():
    with Recorded(size=2 * MIB + 4099, limit="6M") as r:
        duo, recording = r.duo, r.recording
        source = r.file()
        with open(source, "rb") as f:
            data = f.read()
        notes = []

        def seen(event):
            if event["event"] in ("progress", "receipt"):
                notes.append((recording.position(), event))
        s = duo.sent(source, *r.flags(), seen=seen)
        duo.check(s, source)
        transfer = s.last("receipt")["id"]
        name = b"files/beta/" + os.path.basename(source).encode()
        incoming = b"sft/incoming/" + transfer.encode() + b"/"
        signed = b"sft/receipts/" + transfer.encode() + b".json"
        count, placed, kept = 0, 0, []
        for ordered in (True, False):
            for state in recording.states(
                    seed=SEED, samples=60 if LONG else 14,
                    exhaustive=64 if LONG else 16, ordered=ordered,
                    promises=[p for p, _ in notes]):
                count += 1
                tree = state.tree
                if tree.get(name) is not None:
                    placed += 1
                    ok(tree[name] == data, "a wrong file under its name: %r"
                       % state)
                told = [e for _, e in notes[:state.promises]]
                ok(not (told and told[-1]["event"] == "receipt")
                   or (tree.get(name) == data and signed in tree),
                   "it was said to be there: %r" % state)
                durable = max([e.get("durable", 0) for e in told], default=0)
                if durable and name not in tree:
                    right = sum(
                        len(data[i * MIB:(i + 1) * MIB])
                        for i in claims(tree.get(incoming + b"journal", b""))
                        if tree.get(incoming + b"partial", b"")
                        [i * MIB:(i + 1) * MIB] == data[i * MIB:(i + 1) * MIB])
                    ok(right >= durable, "%d durable were told, and %d are: "
                       "%r" % (durable, right, state))
                if (signed in tree) and tree.get(name) != data:
                    raise Failure("a receipt of no file: %r" % state)
                if random.Random(count).random() < 0.02:
                    kept.append(state)
        diag("%d states, in %d of them it has its name" % (count, placed))
        ok(count > 300 and placed > 20, "states")
        # A node that wakes up in one of them.
        rng = random.Random(SEED)
        for state in rng.sample(kept, min(len(kept), 60 if LONG else 8)):
            wake_up(r, state, source)


@test("one that replaces: in every state that a crash leaves there is the old "
      "file or the new one")
def replaces():
    with Recorded(size=MIB + 4099) as r:
        duo, recording = r.duo, r.recording
        data, promises = [], []
        for flags in ((), ("--replace",)):
            source = r.file()
            with open(source, "rb") as f:
                data.append(f.read())
            duo.check(duo.sent(source, "--name", "n", *flags, *r.flags()),
                      source, "n")
            promises.append(recording.position())
        count = [0, 0, 0]
        for ordered in (True, False):
            for state in recording.states(
                    seed=SEED, samples=60 if LONG else 14,
                    exhaustive=64 if LONG else 16, ordered=ordered,
                    promises=promises):
                there = state.tree.get(b"files/beta/n")
                ok(there is None or there in data, "neither: %r" % state)
                ok(there is not None or state.promises == 0,
                   "none any more: %r" % state)
                ok(there == data[1] or state.promises < 2,
                   "the new one is gone: %r" % state)
                count[2 if there is None else data.index(there)] += 1
        diag("old %d, new %d, none %d" % tuple(count))
        ok(min(count) > 5, "states: %r" % count)


@test("a folder that cannot be synced once, after the file has its name in it: "
      "who has a receipt has the file, whatever a crash then leaves")
def failing_folder():
    with Recorded(size=MIB + 4099) as r:
        duo, recording = r.duo, r.recording
        for _ in range(2):
            source, start = r.file(), recording.position()
            duo.check(duo.sent(source, *r.flags()), source)
        # Which sync of sftd that is, counted in one where nothing fails.
        syncs = 0
        renamed = None
        ops = [op for op in recording.ops() if op.position >= start]
        sftd = next(op.pid for op in ops if op.call == RENAME
                    and op.name == b"partial")
        for op in (op for op in ops if op.pid == sftd):
            if op.call == RENAME and op.name == b"partial":
                renamed = op
            syncs += op.call == FSYNC
            if renamed and op.call == FSYNC and op.inode == renamed.dir2:
                break
        else:
            raise Failure("no sync of the folder after the rename")
        source = r.file()
        with open(source, "rb") as f:
            data = f.read()
        start = recording.position()
        recording.fault(0, (FSYNC,), errno.EIO, syncs, process="sftd")
        s = duo.send(source, *r.flags())
        s.wait(90)
        ok(recording.seen(0) >= syncs, "it was met")
        failed = [e for e in s.events if e["event"] in ("retry", "error")]
        ok(failed and failed[0]["name"] == "io", "told: %r" % s.events)
        recording.fault(0, CALLS, 0)
        last = s if s.last("receipt") else until_sent(duo, source,
                                                      *r.flags())[-1]
        duo.check(last, source)
        said = recording.position()
        name = b"files/beta/" + os.path.basename(source).encode()
        signed = b"sft/receipts/%s.json" % last.last("receipt")["id"].encode()
        count = 0
        for ordered in (True, False):
            for state in recording.states(
                    seed=SEED, samples=60 if LONG else 14,
                    exhaustive=64 if LONG else 16, ordered=ordered,
                    promises=[said]):
                there = state.tree.get(name)
                ok(there in (None, data), "a wrong file: %r" % state)
                if signed in state.tree or state.promises:
                    count += 1
                    ok(there == data, "a receipt of no file: %r" % state)
        diag("%d states with a receipt" % count)
        ok(count > 5, "states")


@test("no space, I/O errors, short writes and failing syncs at every call of "
      "the receiver's sftd: a clear error, nothing wrong, and it goes on")
def faults_sftd():
    met = fail_everywhere("sftd")
    ok(min(met.values()) > 0, "points: %r" % met)


@test("likewise of its xferd")
def faults_xferd():
    met = fail_everywhere("xferd")
    ok(sum(map(bool, met.values())) > 1, "points: %r" % met)


@test("likewise of the sender's sftd")
def faults_sender():
    met = fail_everywhere("sftd", True)
    ok(sum(map(bool, met.values())) > 1, "points: %r" % met)


if __name__ == "__main__":
    main()
