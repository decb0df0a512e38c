#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What an xferd that was taken over gains of sftd, in every state.

It serves as an honest one until it has said a certain thing; then it says one
thing more, well formed, as whoever took it over would. At most its own
transfer ends: sftd goes on as the process that it is, what is under its name is
right, there is a receipt only of what is there, and the same command given
again ends as it should. tests/system/test_hostile.py has what is not well
formed, and the states before somebody was attested.
"""

import os
import random
import struct
import subprocess

from claw_test import LONG, Failure, diag, equal, main, ok, reachable, test
from cut_test import SEED, Recorded
from mesh_test import BUILD
from rogue_test import File
from sft_test import MIB

LAST = {"receiver": ("XFER_UP", "XFER_OFFERED", "XFER_PROGRESS",
                     "XFER_COMPLETE"),
        "sender": ("XFER_UP", "XFER_TAKEN", "XFER_DIAL", "XFER_PROGRESS",
                   "XFER_SEAL", "XFER_RECEIPT")}


def types():
    """Numbers of messages, and which are requests."""
    program = reachable(os.path.join(BUILD, "tests", "system", "hostile"))
    text = subprocess.run([program, "--schema"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found = {}
    for line in text.splitlines():
        words = line.split()
        if words[0] != "event":
            found[words[1]] = (int(words[0]), words[7] != "0")
    return found


def data(b):
    return struct.pack(">H", len(b)) + b


def offered(name, file):
    """A true offer, of something else."""
    return (data(name) + struct.pack(
        ">QQHBBBBQ", file.size, file.mtime, file.mode, file.log, file.streams,
        0, 0, 0) + file.digest("beta", "alpha") + b"\0")


EVIL = File(b"evil", 5)
WORDS = [
    ("XFER_UP", b""),
    ("XFER_OFFERED", offered(b"evil", EVIL)),
    ("XFER_OFFERED", offered(b"../evil", File(b"../evil", 5))),
    ("XFER_OFFERED", offered(b"evil", File(b"other", 5))),
    ("XFER_TAKEN", struct.pack(">16sQ32sBQ", b"\x80" + bytes(15), 2 ** 62,
                               bytes(32), 1, 0)),
    ("XFER_DIAL", b"\0"),
    ("XFER_DIAL", b"\xff"),
    ("XFER_PROGRESS", struct.pack(">QQQB", 2 ** 64 - 1, 2 ** 64 - 1, 2 ** 63,
                                  255)),
    ("XFER_SEAL", bytes(32) + struct.pack(">Q", 3 * MIB - 77)),
    ("XFER_COMPLETE", bytes(32) + struct.pack(">Q", 3 * MIB - 77)
     + data(bytes(300))),
    ("XFER_COMPLETE", bytes(32) + struct.pack(">Q", 1) + data(b"")),
    ("XFER_RECEIPT", data(bytes(300))),
    ("XFER_FAILED", b"\xff\1" + data(b"of my own")),
    ("XFER_FAILED", b"\3\1" + data(b"cancelled, so to say")),
]


def one(r, after, packet):
    """One transfer in which that is said after that."""
    duo, node = r.duo, r.node
    sftd = node.children()["sftd"]
    source = r.file()
    r.recording.insert(after, packet)
    s = duo.send(source, *r.flags())
    s.wait(120)
    said = r.recording.inserted()
    r.recording.insert(0, b"")
    r.nothing_wrong(source)
    there = os.path.exists(duo.arrived(os.path.basename(source)))
    for told in s.all("receipt"):
        ok(there, "a receipt of no file: %r" % told)
    for transfer in {e["id"] for e in s.all("accepted")}:
        ok(there or transfer not in duo.receipts(duo.alpha),
           "a receipt was signed for what is not there")
    equal(node.children().get("sftd"), sftd, "the process that sftd is")
    for name in os.listdir(os.path.join(duo.alpha.dir, "data", "files")):
        equal(name, "beta", "whose files are there")
    ok(not os.path.lexists(duo.arrived("evil")), "what was not offered came")
    r.again(source)
    return said


def leave(r):
    """What was recorded of violations."""
    if r is None:
        return []
    try:
        return ["%s: %s" % (v["message"], v["reason"])
                for v in r.node.events("process.violation")]
    finally:
        r.__exit__()


def every(side):
    number, rng = types(), random.Random(SEED)
    cases = [(after, what, body) for after in LAST[side]
             for what, body in WORDS]
    if not LONG:
        cases = rng.sample(cases, 20)
    said, found, r = 0, [], None
    try:
        for after, what, body in cases:
            # A new pair now and then: the recording has an end.
            if r is None or r.recording.position() > 100 * MIB:
                r, old = None, r
                found += leave(old)
                r = Recorded(sender=side == "sender")
            kind, asks = number[what]
            packet = struct.pack(">HHII", kind, 0, len(body),
                                 0x7000 if asks else 0) + body
            try:
                said += one(r, number[after][0], packet)
            except Failure as why:
                raise Failure("%s %r after %s, at the %s: %s" % (
                    what, body, after, side, why)) from None
    finally:
        found += leave(r)
    diag("\n".join(sorted(set(found))))
    diag("%d words said, %d of them the end of who said them" % (
        said, len(found)))
    ok(said > len(cases) // 2 and len(found) > len(cases) // 4, "words")


@test("whatever an xferd of the receiver says after what it has said: sftd goes "
      "on, delivers no wrong file, signs for none, and the file arrives")
def receiver():
    every("receiver")


@test("likewise of the sender")
def sender():
    every("sender")


if __name__ == "__main__":
    main()
