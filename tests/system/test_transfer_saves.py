#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What need not be sent is not: chunks that the receiver has of an earlier file
of the same peer's, and what compressing takes off where the link is slow. What
arrives is what was sent all the same, and nobody learns what others have
sent."""

import json
import os
import shutil

from claw_test import contains, diag, equal, main, ok, test
from sft_test import KIB, MIB, Duo, Joined, Sending, kill, metric

CHUNKS = ("--chunk-size", "1M")


def change(path, at, data=b"changed"):
    """Other bytes there; later by a moment, as an editor would."""
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)
    later = os.stat(path).st_mtime + 10
    os.utime(path, (later, later))


def again(duo, source, *flags, name="file1"):
    """The version that is there now, in place of the one before."""
    s = duo.sent(source, *CHUNKS, "--name", name, "--replace", *flags)
    duo.check(s, source, name)
    return s.last("receipt")


# Earlier versions


@test("of an earlier version only the chunks that differ are sent, also after "
      "a restart of the receiver, and that is told")
def versions():
    with Duo() as duo:
        source = duo.file(24 * MIB + 5)
        first = duo.sent(source, *CHUNKS)
        duo.check(first, source)
        equal(first.last("receipt")["same_bytes"], 0, "of the first")
        change(source, 7 * MIB + 11)
        told = again(duo, source)
        equal(told["same_bytes"], 23 * MIB + 5, "same")
        ok(told["wire_bytes"] < MIB + 10 * KIB, "wire %d" %
           told["wire_bytes"])
        equal(told["resent"], 0, "resent")
        for node in duo.nodes():
            equal(metric(node, "claw_sft_same_bytes_total"), 23 * MIB + 5,
                  "counted by " + node.name)
            with open(os.path.join(node.dir, "log", "sft.ndjson")) as f:
                line = json.loads(f.read().splitlines()[-1])
            equal(line["same_bytes"], 23 * MIB + 5, "log of " + node.name)
            ok(line["wire_bytes"] < MIB + 10 * KIB, "log of " + node.name)
        contains(duo.beta.claw("file:show", told["id"]).stdout,
                 "there of an earlier file", "file:show")

        duo.alpha.stop()
        duo.alpha.start()
        duo.beta.wait_links("alpha")
        # Longer, and with other bytes in two places.
        change(source, 0)
        change(source, 24 * MIB, b"x" * (MIB + 7))
        told = again(duo, source)
        equal(told["same_bytes"], 23 * MIB, "same after a restart")
        # Nothing of it: inserted at the front, all of it has moved.
        with open(source, "rb") as f:
            data = f.read()
        with open(source, "wb") as f:
            f.write(b"!" + data)
        equal(again(duo, source)["same_bytes"], 0, "same when it was moved")


@test("a copy under another name that kept its time is not sent again")
def other_name():
    with Duo() as duo:
        source = duo.file(8 * MIB + 1)
        duo.check(duo.sent(source, *CHUNKS), source)
        copy = os.path.join(duo.beta.top, "copy")
        shutil.copy2(source, copy)
        s = duo.sent(copy, *CHUNKS)
        duo.check(s, copy)
        equal(s.last("receipt")["same_bytes"], 8 * MIB + 1, "same")
        # Nor is another file that only looks alike taken for it.
        spoilt = os.path.join(duo.beta.top, "spoilt")
        shutil.copy2(source, spoilt)
        was = os.stat(spoilt)
        with open(spoilt, "r+b") as f:
            f.seek(3 * MIB)
            f.write(b"changed")
        os.utime(spoilt, ns=(was.st_atime_ns, was.st_mtime_ns))
        s = duo.sent(spoilt, *CHUNKS)
        duo.check(s, spoilt)
        equal(s.last("receipt")["same_bytes"], 7 * MIB + 1, "same")


@test("what somebody has changed over there since comes anew")
def changed_there():
    with Duo() as duo:
        source = duo.file(8 * MIB)
        duo.check(duo.sent(source, *CHUNKS), source)
        # So that nothing but its contents shows it.
        there = duo.arrived("file1")
        was = os.stat(there)
        with open(there, "r+b") as f:
            f.seek(2 * MIB + 5)
            f.write(b"changed")
        os.utime(there, ns=(was.st_atime_ns, was.st_mtime_ns))
        change(source, 6 * MIB)
        told = again(duo, source)
        equal(told["same_bytes"], 6 * MIB, "same")
        equal(told["resent"], 0, "that was no damage")
        # By its time it is another one; and one that is gone is none.
        change(there, 5)
        change(source, 6 * MIB)
        equal(again(duo, source)["same_bytes"], 0, "same of another one")
        os.unlink(duo.arrived("file1"))
        change(source, 6 * MIB)
        equal(again(duo, source)["same_bytes"], 0, "same of none")


@test("nobody is told what another peer has sent, by whatever name or time")
def others():
    with Duo() as duo:
        gamma = Joined("gamma", duo.alpha)
        try:
            gamma.start()
            gamma.wait_links("alpha", "beta")
            source = duo.file(8 * MIB)
            duo.check(duo.sent(source, *CHUNKS), source)
            path = os.path.join(gamma.top, "file1")
            shutil.copy2(source, path)
            s = Sending(gamma, path, *CHUNKS)
            equal(s.wait(), 0, "file:send of gamma: %r" % s.events)
            equal(s.last("receipt")["same_bytes"], 0, "same of another's")
            equal(metric(duo.alpha, "claw_sft_same_bytes_total"), 0, "same")
        finally:
            gamma.discard()


@test("killed while it copies from an earlier version, it goes on and is right")
def killed():
    with Duo() as duo:
        source = duo.file(48 * MIB)
        duo.check(duo.sent(source, *CHUNKS), source)
        for i in range(0, 48, 6):
            change(source, i * MIB)
        s = duo.send(source, *CHUNKS, "--replace", "--limit", "2M")
        s.wait_event("progress", durable=6 * MIB)
        for pid in duo.alpha.workers("xferd"):
            kill(pid)
        equal(s.wait(), 0, "exit: %r" % s.events)
        ok(s.all("retry"), "nothing was interrupted")
        duo.check(s, source)
        told = s.last("receipt")
        ok(told["same_bytes"] > 30 * MIB, "same %d" % told["same_bytes"])
        ok(told["wire_bytes"] < 12 * MIB, "wire %d" % told["wire_bytes"])


# Compressed


@test("what is slow goes compressed if that is less, and never if somebody "
      "does not want it")
def compressed():
    with Duo() as duo:
        source = duo.words(6 * MIB)
        slow = CHUNKS + ("--limit", "2M")
        s = duo.sent(source, *slow)
        duo.check(s, source)
        wire = s.last("receipt")["wire_bytes"]
        diag("6 MiB of words at 2 MiB/s: %d bytes" % wire)
        ok(wire < 4 * MIB, "wire %d" % wire)
        s = duo.sent(source, *slow, "--name", "plain", "--compress", "never")
        duo.check(s, source, "plain")
        # A chunk's bytes were sent before, under another name.
        equal(s.last("receipt")["same_bytes"], 6 * MIB, "same")
        os.unlink(duo.arrived("plain"))
        os.unlink(duo.arrived("file1"))
        s = duo.sent(source, *slow, "--compress", "never")
        ok(s.last("receipt")["wire_bytes"] > 6 * MIB, "wire of never")
        noise = duo.file(4 * MIB)
        s = duo.sent(noise, *slow)
        duo.check(s, noise)
        wire = s.last("receipt")["wire_bytes"]
        ok(4 * MIB < wire < 4 * MIB + 20 * KIB, "wire of noise %d" % wire)
        s = duo.send(source, "--compress", "always")
        equal(s.wait(), 64, "exit")
        contains(s.errors, "auto", "what to do")
        # The receiver has a say.
        duo.alpha.claw("config:set", "sft.compress=never", check=True)
        duo.alpha.claw("reload", check=True)
        source = duo.words(3 * MIB)
        s = duo.sent(source, *slow, "--compress", "auto")
        duo.check(s, source)
        ok(s.last("receipt")["wire_bytes"] > 3 * MIB, "wire")


if __name__ == "__main__":
    main()
