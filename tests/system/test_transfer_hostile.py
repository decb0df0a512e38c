#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A peer that is who it says it is, and breaks the protocol of transfers.

A rogue (tests/lib/rogue_test.py) is in the registry, so its handshakes are
good; then it lies, as the sender of a file or as its receiver. Each lie has to
be refused with a reason, that reason has to be in the audit log, no file may be
there that should not be, and the node goes on with the processes that it had
and the memory that it had.
"""

import hashlib
import hmac
import os
import re
import socket
import struct
import subprocess
import sys
import time

import claw_test
from claw_test import (LONG, SANITIZERS, Failure, Node, diag, equal, main, ok,
                       skip, test, wait_for)
from crash_test import Recording
from mesh_test import Peer, free_port
from rogue_test import (ABORT, ACCEPT, ACK, AGAIN, BASIS, CHUNK, DONE, END,
                        HAVE, JOIN, MIB, OFFER, PACKED, PING, PONG, RECEIPT,
                        REFUSE, REPLACE, SAME, SEAL, Ended, File, Receiving,
                        Rogue, Sending, block, frame, seal_text, zstd)
from sft_test import blake3

sys.path.insert(0, os.path.join(os.environ.get("srcdir", "."), "tests",
                                "bench"))

DENIED, TOO_LARGE, BAD_NAME, EXISTS, MISMATCH, PROTOCOL, IO, BUSY, TIMEOUT, \
    EPOCH = 1, 2, 4, 5, 7, 8, 9, 13, 15, 16
SFTD_MIB = 24   # of memory, whatever comes
STRANGERS = 10000


class Scene:
    """One node and a rogue that it knows; the same for many attacks."""

    number = 0

    def __init__(self, address=None, options=None, wait=5000, before=None):
        self.node = Peer("alpha", config=options)
        if before is not None:
            before(self.node)
        self.node.start()
        claw_test.staged = None
        Scene.number += 1
        self.rogue = Rogue("rogue", 0x700 + Scene.number, wait)
        self.node.add("rogue", self.rogue.identity, address=address)
        self.rogue.knows(self.node).begin()
        self.pids = self.node.children()
        self.pool = len(self.node.workers("xferd"))
        self.count = 0

    def done(self):
        """Nobody has fallen over, and nothing is left of the attacks."""
        self.rogue.end()
        equal(self.node.children(), self.pids, "the suite after all of it")
        wait_for(lambda: len(self.node.workers("xferd")) == self.pool, 30)
        used = resident(self.pids["sftd"])
        ok(used < SFTD_MIB, "sftd has %d MiB" % used)
        bad = [line for line in self.node.log().splitlines()
               if "killed by" in line or "violation" in line
               or any(ord(c) < 32 for c in line)]
        equal(bad, [], "what should not be in the log")
        self.node.discard()

    def file(self, **fields):
        self.count += 1
        return File(**dict({"name": b"f%d" % self.count}, **fields))

    def delivered(self):
        """What lies where the rogue's files go."""
        top = os.path.join(self.node.dir, "data", "files")
        return sorted(os.path.relpath(os.path.join(folder, name), top)
                      for folder, _, names in os.walk(top)
                      for name in names
                      if not os.path.islink(os.path.join(folder, name)))


def resident(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) // 1024


def reason(scene, since, wanted, kinds=("file.receive", "file.denied",
                                        "file.send")):
    """The audit log says why, in words with that in it."""
    def found():
        for kind in kinds:
            for act in scene.node.events(kind, since):
                if wanted in act.get("reason", ""):
                    return act
        return None
    try:
        return wait_for(found, 10)
    except Failure:
        raise Failure("no reason with %r in %r" % (wanted, [
            act for kind in kinds
            for act in scene.node.events(kind, since)])) from None


def refused(scene, what, attack, code, text, **fields):
    """An attack of a sender whose offer was taken."""
    before, since = scene.delivered(), scene.node.since()
    sending = Sending(scene.rogue, scene.node, scene.file(**fields))
    if not sending.offer():
        raise Failure("%s: not taken: %r" % (what, sending.word))
    try:
        attack(sending)
        word = sending.control.last_word()
    except Ended:
        word = sending.control.last_word()
    try:
        equal(word[0], code, "the code of %r" % (word,))
        ok(text in word[1], "%r has no %r" % (word, text))
        act = reason(scene, since, text, ("file.receive",))
        equal(act.get("outcome"), "failed", "outcome")
        equal(scene.delivered(), before, "what is delivered")
    except Failure as why:
        raise Failure("%s: %s" % (what, why)) from None
    close(sending)


def close(sending):
    for session in (*sending.streams.values(), sending.control):
        session.close()


def honest(scene, **fields):
    """What a good node sends arrives."""
    sending = Sending(scene.rogue, scene.node, scene.file(**fields))
    ok(sending.offer(), "an honest offer is refused")
    sending.all_chunks()
    sending.finish()
    path = "rogue/" + sending.file.name.decode()
    ok(path in scene.delivered(), "%s was not delivered" % path)
    close(sending)


# As the sender: chunks


def again(sending, send):
    """A wrong chunk is asked for again, three times; the fourth is the end."""
    s = sending.joined()
    for _ in range(3):
        send(s)
        kind, body = sending.control.hear()
        equal((kind, body), (AGAIN, b"\0\0\0\0\1"), "the answer")
    send(s)


def twice(sending):
    s = sending.joined()
    sending.chunk(s, 0)
    sending.chunk(s, 0)


def head(kind, index, length, flags=0, spare=0):
    return struct.pack(">BBHII", kind, flags, spare, index, length)


def one_head(data):
    def attack(sending):
        sending.joined().send(data)
    return attack


NO_CHUNK = "a chunk that this file does not have"
CHUNKS = [
    ("a wrong chaining value", lambda s: again(s, lambda t: s.chunk(
        t, 0, value=bytes(32))), MISMATCH, "damaged again and again"),
    ("bytes that are not those of the value", lambda s: again(
        s, lambda t: s.chunk(t, 0, byte=9)), MISMATCH,
     "damaged again and again"),
    ("the chunk and value of another place", lambda s: again(
        s, lambda t: s.chunk(t, 1, said=0)), MISMATCH,
     "damaged again and again"),
    ("a byte too much, announced", lambda s: s.chunk(
        s.joined(), 0, length=MIB + 1), PROTOCOL, NO_CHUNK),
    ("a last chunk that is longer than the file", lambda s: s.chunk(
        s.joined(), 2, length=8, sent=8), PROTOCOL, NO_CHUNK),
    ("a byte too few, announced", lambda s: s.chunk(
        s.joined(), 0, length=MIB - 1), PROTOCOL, NO_CHUNK),
    ("a chunk of no bytes", one_head(head(CHUNK, 0, 0)), PROTOCOL, NO_CHUNK),
    ("a chunk of 4 GiB", one_head(head(CHUNK, 0, 2 ** 32 - 1)), PROTOCOL,
     NO_CHUNK),
    ("a chunk behind the end", one_head(head(CHUNK, 3, MIB)), PROTOCOL,
     NO_CHUNK),
    ("the last index there is", one_head(head(CHUNK, 2 ** 32 - 1, MIB)),
     PROTOCOL, NO_CHUNK),
    ("a chunk twice", twice, PROTOCOL, "that is there, or on its way"),
    ("flags that nobody knows", one_head(head(CHUNK, 0, MIB, 2)), PROTOCOL,
     NO_CHUNK),
    ("a compressed chunk that nobody agreed on", one_head(
        head(CHUNK, 0, MIB, 1)), PROTOCOL, "which was not agreed on"),
    ("a chunk that is the same as nothing", one_head(
        head(SAME, 0, MIB) + bytes(32)), PROTOCOL, "that was not offered"),
    ("one that is the same and compressed", one_head(
        head(SAME, 0, MIB, 1) + bytes(32)), PROTOCOL, NO_CHUNK),
    ("a frame of the control session on a stream",
     one_head(frame(SEAL, bytes(8))), PROTOCOL, NO_CHUNK),
    ("an end before all is there", one_head(frame(END)), PROTOCOL,
     "ends a stream before all is there"),
]


def swallowed(sending):
    """A byte more than was announced: what follows is none of ours."""
    s = sending.joined()
    sending.chunk(s, 0, sent=MIB + 1)
    sending.chunk(s, 1)


@test("a chunk that is wrong, too long, too short, nowhere, twice or none is "
      "refused, and nothing of its file is ever delivered")
def chunks():
    scene = Scene()
    for what, attack, code, text in CHUNKS:
        refused(scene, what, attack, code, text, size=2 * MIB + 7)
    refused(scene, "a byte too much, not announced", swallowed, PROTOCOL,
            NO_CHUNK, size=2 * MIB + 7)
    honest(scene, size=2 * MIB + 7)
    honest(scene, size=5)
    scene.done()


# As the sender: what need not be sent


def packed(*blocks):
    def attack(sending):
        ok(sending.packed, "it takes no compressed chunks")
        sending.packed_chunk(sending.joined(), 0, blocks)
    return attack


PIECE = 131072
WHOLE = zstd(1, PIECE)
NO_BLOCK = "does not decompress to what it must"
BLOCKS = [
    ("a bomb", packed(block(zstd(1, 1 << 30))), NO_BLOCK),
    ("a bomb that says it is none", packed(
        block(zstd(1, 1 << 30, PIECE))), NO_BLOCK),
    ("a byte too many", packed(block(zstd(1, PIECE + 1))), NO_BLOCK),
    ("a byte too few", packed(block(zstd(1, PIECE - 1))), NO_BLOCK),
    ("fewer than it says", packed(block(zstd(1, PIECE - 1, PIECE))),
     NO_BLOCK),
    ("half a frame", packed(block(WHOLE[:8])), NO_BLOCK),
    ("two frames", packed(block(zstd(1, PIECE // 2) * 2)), NO_BLOCK),
    ("something behind a frame", packed(block(WHOLE + b"x")), NO_BLOCK),
    ("a frame that is skipped", packed(
        block(b"\x50\x2a\x4d\x18" + bytes(60))), NO_BLOCK),
    ("a format of before 1.0", packed(
        block(b"\x27\xb5\x2f\xfd" + WHOLE[4:])), NO_BLOCK),
    ("no frame", packed(block(os.urandom(100))), NO_BLOCK),
    ("a block of nothing", packed(block(b"")), "a wrong length"),
    ("a block as long as what it is of", packed(
        block(b"", length=PIECE)), "a wrong length"),
    ("a block of 2 GiB", packed(block(b"", length=2 ** 31 - 1)),
     "a wrong length"),
    ("one that is stored, and longer", packed(
        block(b"", True, PIECE + 1)), "a wrong length"),
    ("one that is stored, and shorter", packed(
        block(b"x", True)), "a wrong length"),
]


def value_of_another(sending):
    sending.same(sending.joined(), 0, os.urandom(32))


def same_twice(sending):
    s = sending.joined()
    sending.same(s, 0)
    sending.same(s, 0)


@test("blocks that expand too far, that are cut or none end the transfer")
def blocks():
    scene = Scene()
    for what, attack, text in BLOCKS:
        refused(scene, what, attack, PROTOCOL, text, flags=PACKED)
    sending = Sending(scene.rogue, scene.node, scene.file(flags=PACKED))
    ok(sending.offer(), "not taken")
    s = sending.joined()
    for index in range(2):
        sending.packed_chunk(s, index, [
            block(zstd(index + 1, PIECE)) if i % 2 == 0
            else block(bytes([index + 1]) * PIECE, True)
            for i in range(MIB // PIECE)])
    sending.acked(2)
    sending.finish()
    close(sending)
    scene.done()


@test("a chunk that is not sent is one that the receiver has told of, by that "
      "value")
def same():
    scene = Scene()
    honest(scene, name=b"version")
    again = dict(name=b"version", flags=REPLACE)
    refused(scene, "another value", value_of_another, PROTOCOL,
            "another value than it was told", mtime=5, **again)
    refused(scene, "the same twice", same_twice, PROTOCOL,
            "there, or on its way", mtime=6, **again)
    refused(scene, "one behind the end", lambda s: s.joined().send(
        head(SAME, 2, MIB) + bytes(32)), PROTOCOL, NO_CHUNK, mtime=7, **again)
    # What has changed over there is asked for, once; then it has to come.
    path = os.path.join(scene.node.dir, "data", "files", "rogue", "version")
    was = os.stat(path)
    with open(path, "r+b") as f:
        f.write(b"changed")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

    def insists(sending):
        s = sending.joined()
        sending.same(s, 0)
        equal(sending.control.hear(), (AGAIN, b"\0\0\0\0\2"), "the answer")
        sending.same(s, 0)
    refused(scene, "what is not there any more", insists, PROTOCOL,
            "that was not offered", mtime=8, **again)
    sending = Sending(scene.rogue, scene.node, scene.file(mtime=9, **again))
    ok(sending.offer(), "not taken")
    equal(sorted(sending.basis), [0, 1], "what it may leave out")
    s = sending.joined()
    sending.same(s, 1)
    sending.chunk(s, 0)
    sending.acked(2)
    sending.finish()
    close(sending)
    with open(path, "rb") as f:
        equal(f.read(), b"\1" * MIB + b"\2" * MIB, "what is there")
    scene.done()


# As the sender: streams


def data_first(sending):
    sending.chunk(sending.stream(), 0)


NO_JOIN = "does not join this transfer"
JOINS = [
    ("a MAC of nothing", lambda s: (s.stream(), s.join(mac=bytes(32)))),
    ("a MAC with another session's key", lambda s: (
        s.stream(), s.join(key=os.urandom(32)))),
    ("a MAC of another stream", lambda s: (
        s.stream(), s.join(exporter=os.urandom(32)))),
    ("another stream's place", lambda s: (s.stream(), s.join(place=1))),
    ("another transfer", lambda s: (s.stream(), s.join(id=os.urandom(16)))),
    ("data before JOIN", data_first),
]


def elsewhere(scene):
    """Two transfers at once; the JOIN of one is said in the other."""
    first = Sending(scene.rogue, scene.node, scene.file())
    ok(first.offer(), "the first is not taken")
    second = Sending.__new__(Sending)
    second.rogue, second.node, second.streams = scene.rogue, scene.node, {}
    second.address, second.file = first.address, scene.file()
    second.control = scene.rogue.open(5, first.address)
    ok(second.offer(), "the second is not taken")
    since = scene.node.since()
    s = second.streams[3] = scene.rogue.open(6, first.address,
                                             second.routes[0])
    mac = hmac.new(first.control.exporter, b"claw/sft-join/v1\0" + s.exporter
                   + first.id + b"\0", "sha256").digest()
    s.say(JOIN, first.id + b"\0" + mac)
    equal(second.control.last_word()[0], PROTOCOL, "the second's end")
    reason(scene, since, NO_JOIN)
    close(second)
    first.all_chunks()
    first.finish()
    close(first)


def stray(scene, route):
    """A route that leads nowhere: closed without a word."""
    with socket.create_connection(("127.0.0.1", scene.node.port + 1)) as s:
        s.settimeout(20)
        s.sendall(route + b"\x16\x03\x01")
        try:
            equal(s.recv(1), b"", "the answer to a route that is none")
        except ConnectionResetError:
            pass


@test("a stream that does not join by what only this session knows ends the "
      "transfer; a route leads somewhere once, and a transfer beside it never "
      "notices")
def joins():
    scene = Scene()
    for what, attack in JOINS:
        refused(scene, what, attack, PROTOCOL, NO_JOIN, streams=2)
    elsewhere(scene)
    sending = Sending(scene.rogue, scene.node, scene.file())
    ok(sending.offer(), "not taken")
    sending.joined()
    stray(scene, sending.routes[0])
    stray(scene, bytes(16))
    sending.chunk(sending.streams[0], 0)
    stray(scene, sending.routes[0])
    sending.chunk(sending.streams[0], 1)
    sending.acked(2)
    sending.finish()
    close(sending)
    scene.done()


# As the sender: the control session


def sealed(**wrong):
    def attack(sending):
        sending.all_chunks()
        sending.seal(**wrong)
    return attack


def forged(sending):
    """A seal of the right content that another key has signed."""
    sending.all_chunks()
    sending.control.say(SEAL, seal_text(sending) + os.urandom(64))


SEALS = [
    ("a wrong root", sealed(root=bytes(32)), MISMATCH, "another"),
    ("another size", sealed(size=1), PROTOCOL, "another"),
    ("another transfer", sealed(id=bytes(16)), PROTOCOL, "another"),
    ("another offer", sealed(offer=bytes(32)), PROTOCOL, "another"),
    ("another sender", sealed(sender="gamma"), PROTOCOL, "another"),
    ("another receiver", sealed(receiver="gamma"), PROTOCOL, "another"),
    ("another's key", sealed(key=bytes(32)), PROTOCOL, "seal"),
    ("a signature of nothing", forged, PROTOCOL, "seal"),
    ("a seal that is none", lambda s: (
        s.all_chunks(), s.control.say(SEAL, bytes(200))), PROTOCOL, "seal"),
]

FRAMES = [
    ("two seals", lambda s: (s.seal(), s.seal()), PROTOCOL, "seals twice"),
    ("the end at once", lambda s: s.control.say(DONE), PROTOCOL,
     "DONE out of turn"),
    ("a second offer", lambda s: s.control.say(OFFER, s.file.offer()),
     PROTOCOL, "OFFER out of turn"),
    ("an answer of the receiver's", lambda s: s.control.say(
        ACK, struct.pack(">II", 1, 0)), PROTOCOL, "frame that is none"),
    ("a receipt", lambda s: s.control.say(RECEIPT, bytes(300)), PROTOCOL,
     "frame that is none"),
    ("a chunk on the control session", lambda s: s.control.send(
        head(CHUNK, 0, MIB)), PROTOCOL, "frame that is none"),
    ("a type that nobody knows", lambda s: s.control.say(99), PROTOCOL,
     "frame that is none"),
    ("16 MiB in one frame", lambda s: s.control.send(
        bytes([SEAL]) + b"\xff\xff\xff"), PROTOCOL, "frame that is none"),
    ("more frames than anybody needs", lambda s: [s.control.send(
        frame(10, bytes(8)) * 1000) for _ in range(8)], PROTOCOL, "floods"),
]


@test("a seal that is not of this file, this transfer and this peer brings no "
      "receipt and no file")
def seals():
    scene = Scene()
    for what, attack, code, text in SEALS:
        refused(scene, what, attack, code, text)
    honest(scene)
    scene.done()


@test("frames that are out of turn, too long or none end the transfer")
def frames():
    scene = Scene()
    for what, attack, code, text in FRAMES:
        refused(scene, what, attack, code, text)
    honest(scene)
    scene.done()


# As the sender: offers


OFFERS = [
    ("version", {"version": 2}), ("kind", {"kind": 7}),
    ("size", {"size": 2 ** 63}), ("small chunks", {"log": 19}),
    ("large chunks", {"log": 26}), ("no stream", {"streams": 0}),
    ("nine streams", {"streams": 9}), ("flags", {"flags": 128}),
    ("epoch", {"epoch": 2 ** 62}), ("time", {"mtime": 2 ** 63}),
    ("no name", {"name": b""}), ("a name of 1025 bytes",
                                 {"name": b"x" * 1025}),
]

NAMES = [b"../up", b"a/../../up", b"..", b".", b"/etc/passwd", b"//x", b"a//b",
         b"a/", b"nul\0nul", b"line\nline", b"\x1b[2J\x1b]0;owned\x07",
         b"\xff\xfe", b"x" * 256, b"/".join([b"d"] * 40), b"\xe2\x80\xaetxt.exe",
         b" x", b"x ", b"tab\tx", b"\r", b"a/./b", b"\xc2\x9b31m"]


def offer(scene, file):
    sending = Sending(scene.rogue, scene.node, file)
    try:
        ok(not sending.offer(), "%r was taken" % (vars(file),))
        return sending.word
    finally:
        close(sending)


@test("an offer that is malformed, too large or of a name that leads astray "
      "is refused, and no such name is ever shown as it is")
def offers():
    scene = Scene()
    for what, fields in OFFERS:
        word = offer(scene, scene.file(**fields))
        equal(word[0], PROTOCOL, "%s: %r" % (what, word))
    since = scene.node.since()
    for name in NAMES:
        word = offer(scene, File(name))
        equal(word[0], BAD_NAME, "%r: %r" % (name, word))
    shown = scene.node.events("file.denied", since)
    equal(len(shown), len(NAMES), "refused names in the audit log")
    for act in shown:
        ok(act["file"].isprintable() and "\u202e" not in act["file"],
           "%r is shown" % act["file"])
    equal(offer(scene, scene.file(size=2 ** 40, log=25))[0], TOO_LARGE,
          "a terabyte")
    for command in ("file:list", "audit:tail"):
        out = scene.node.claw(command, check=True).stdout
        ok(all(c.isprintable() or c == "\n" for c in out),
           "%s shows what moves a cursor" % command)
    equal(scene.delivered(), [], "what is delivered")
    honest(scene)
    scene.done()


@test("a name that leads through a link that was put there meanwhile, or that "
      "something has by now, writes nothing elsewhere")
def links():
    scene = Scene()
    outside = os.path.join(scene.node.top, "outside")
    os.mkdir(outside, 0o777)
    os.chmod(outside, 0o777)
    honest(scene, name=b"first/one")
    top = os.path.join(scene.node.dir, "data", "files", "rogue")

    def swap(name):
        def attack(sending):
            sending.all_chunks()
            os.symlink(outside, os.path.join(top, name))
            sending.seal()
        return attack

    def file_there(sending):
        sending.all_chunks()
        os.symlink(os.path.join(outside, "x"), os.path.join(top, "there"))
        sending.seal()

    refused(scene, "a folder is a link", swap("sub"), BAD_NAME, "name",
            name=b"sub/two")
    refused(scene, "the name is a link", file_there, EXISTS, "name",
            name=b"there")
    equal(os.listdir(outside), [], "what is outside")
    word = offer(scene, File(b"sub/three"))
    equal(word[0], BAD_NAME, "a link from the beginning: %r" % (word,))
    word = offer(scene, File(b"first/one", mtime=5))
    equal(word[0], EXISTS, "a name that is taken: %r" % (word,))
    equal(os.listdir(outside), [], "what is outside")
    honest(scene)
    scene.done()


# As the sender: folders


def bundle(*entries, count=None, size=None, magic=b"claw/tr\1", after=b""):
    """A bundle; count and size: what its head says instead of what is so."""
    real = sum(len(e[1]) for e in entries if e[0] == FILE)
    out = magic + struct.pack(">QQ", len(entries) if count is None else count,
                              real if size is None else size)
    for kind, body, name, *more in entries:
        out += struct.pack(">BBQQH", kind, *(more or (
            0, 0, 0 if kind == FOLDER else len(body))), len(name))
        out += name + body
    return out + after


FILE, FOLDER, LINK = 1, 2, 3
DEEP = [(FOLDER, b"", b"/".join([b"d"] * n)) for n in range(1, 41)]
BUNDLES = [("a member called %r" % name,
            bundle((FILE, b"x", name))) for name in NAMES] + [
    ("a folder called ..", bundle((FOLDER, b"", b".."))),
    ("a member of no name", bundle((FILE, b"x", b""))),
    ("a name of 1025 bytes", bundle((FILE, b"x", b"x" * 1025))),
    ("a member twice", bundle((FILE, b"x", b"a"), (FILE, b"y", b"a"))),
    ("a folder and a file of one name", bundle((FOLDER, b"", b"a"),
                                               (FILE, b"y", b"a"))),
    ("the wrong order", bundle((FILE, b"x", b"b"), (FILE, b"y", b"a"))),
    ("a member below a file", bundle((FILE, b"x", b"a"),
                                     (FILE, b"y", b"a/b"))),
    ("a member below a link", bundle((LINK, b".", b"a"),
                                     (FILE, b"y", b"a/b"))),
    ("a member of a folder that is not there", bundle((FILE, b"y", b"a/b"))),
    ("a link to /etc", bundle((LINK, b"/etc", b"a"))),
    ("a link out", bundle((FOLDER, b"", b"a"), (LINK, b"../..", b"a/b"))),
    ("a link down and out", bundle((LINK, b"a/../..", b"l"))),
    ("a link with a NUL", bundle((LINK, b"a\0b", b"l"))),
    ("a link of no bytes", bundle((LINK, b"", b"l"))),
    ("a link of 4000 bytes", bundle((LINK, b"a" * 4000, b"l"))),
    ("a link that can be run", bundle((LINK, b"a", b"l", 1, 0, 1))),
    ("a member that is larger than it says", bundle(
        (FILE, b"x" * 10, b"a", 0, 0, 3), size=3)),
    ("a member that is smaller than it says", bundle(
        (FILE, b"x" * 3, b"a", 0, 0, 10), size=10)),
    ("a member of 2^63 bytes", bundle((FILE, b"x", b"a", 0, 0, 2 ** 63),
                                      size=2 ** 63)),
    ("members of more bytes than the head says", bundle(
        (FILE, b"x", b"a"), (FILE, b"y", b"b"), size=1)),
    ("members of fewer", bundle((FILE, b"x", b"a"), size=2)),
    ("sizes that overflow", bundle(
        (FILE, b"x", b"a", 0, 0, 2 ** 63 - 1), (FILE, b"y", b"b", 0, 0, 2),
        size=1)),
    ("a folder with a size", bundle((FOLDER, b"", b"a", 0, 0, 7), size=7)),
    ("a time of 2^64", bundle((FILE, b"x", b"a", 0, 2 ** 64 - 1, 1))),
    ("a device", bundle((7, b"x", b"a", 0, 0, 1))),
    ("flags that nobody knows", bundle((FILE, b"x", b"a", 4, 0, 1))),
    ("2^64 - 1 members", bundle(count=2 ** 64 - 1)),
    ("a million members and one", bundle(count=1000001)),
    ("a million members that do not come", bundle((FILE, b"x", b"a"),
                                                  count=1000000)),
    ("a member more than it says", bundle((FILE, b"x", b"a"),
                                          (FILE, b"", b"b"), count=1)),
    ("folders 40 deep", bundle(*DEEP)),
    ("something behind the end", bundle((FILE, b"x", b"a"), after=b"x")),
    ("half a head", bundle()[:11]),
    ("half an entry", bundle((FILE, b"x", b"a"))[:-4]),
    ("nothing", b""),
    ("a file", b"#!/bin/sh\n" * 10),
    ("another version", bundle((FILE, b"x", b"a"), magic=b"claw/tr\2")),
]


def sealed_whole(sending):
    sending.all_chunks()
    sending.seal()


def folder(data, **fields):
    return dict({"data": data, "kind": 1}, **fields)


def honest_folder(scene, data, name):
    sending = Sending(scene.rogue, scene.node,
                      scene.file(name=name, **folder(data)))
    ok(sending.offer(), "an honest folder is refused: %r" % (
        getattr(sending, "word", None),))
    sending.all_chunks()
    sending.finish()
    close(sending)
    ok("rogue/%s/a" % name.decode() in scene.delivered(), "the honest one")


def below(scene):
    """Whatever lies where the rogue's folders go, and what is not whole."""
    top = os.path.join(scene.node.dir, "data")
    return [sorted(os.listdir(path)) if os.path.isdir(path) else []
            for path in (os.path.join(top, "files", "rogue"),
                         os.path.join(top, "sft", "incoming"))]


@test("a folder that is none, or leads out of itself, is refused with a reason "
      "and leaves nothing, neither under its name nor beside it")
def folders():
    scene = Scene(wait=60000)  # whatever the disk has to do
    for what, data in BUNDLES:
        refused(scene, what, sealed_whole, PROTOCOL, "it is no folder",
                **folder(data))
        wait_for(lambda: below(scene) == [[], []], 20,
                 "the end of %s: %r" % (what, below(scene)))
    good = bundle((FILE, b"alpha", b"a"), (FOLDER, b"", b"b"),
                  (LINK, b"../a", b"b/l"))
    honest_folder(scene, good, b"tree")
    scene.done()


@test("links that somebody puts where a folder is unpacked, before or "
      "meanwhile, lead nobody out of it; when they are gone it goes on")
def swapped():
    scene = Scene(wait=60000)  # whatever the disk has to do
    outside = os.path.join(scene.node.top, "outside")
    os.mkdir(outside, 0o777)
    os.chmod(outside, 0o777)
    with open(os.path.join(outside, "f"), "w") as f:
        f.write("as it was")
    os.chmod(os.path.join(outside, "f"), 0o666)
    incoming = os.path.join(scene.node.dir, "data", "sft", "incoming")
    many = [(FOLDER, b"", b"b")] + [
        (FILE, b"%04d" % i, b"b/%04d" % i) for i in range(3000)]
    data = bundle((FILE, b"alpha", b"a"), *many)

    def plant(path, to):
        def attack(sending):
            sending.all_chunks()
            tree = os.path.join(incoming, sending.id.hex(), "tree")
            if path:
                os.mkdir(tree, 0o777)
                os.chmod(tree, 0o777)
                # As if sftd had made it.
                st = os.stat(incoming)
                os.chown(tree, st.st_uid, st.st_gid)
            os.symlink(os.path.join(outside, to), os.path.join(tree, path)
                       if path else tree)
            sending.seal()
        return attack

    def meanwhile(sending):
        sending.all_chunks()
        sending.seal()
        tree = os.path.join(incoming, sending.id.hex(), "tree")
        end, swaps = time.monotonic() + 2, 0
        while time.monotonic() < end and swaps < 3:
            try:
                os.rename(os.path.join(tree, "b"),
                          os.path.join(scene.node.top, "b%d" % swaps))
                os.symlink(outside, os.path.join(tree, "b"))
                swaps += 1
            except OSError:
                pass
        diag("%d swaps" % swaps)

    def as_it_was():
        equal(os.listdir(outside), ["f"], "what is outside")
        with open(os.path.join(outside, "f")) as f:
            equal(f.read(), "as it was", "the file outside")

    refused(scene, "a folder in it is a link", plant("b", ""), IO,
            "cannot enter the folder b", **folder(data, name=b"t1"))
    as_it_was()
    refused(scene, "the folder is a link", plant("", ""), IO,
            "cannot be unpacked", **folder(data, name=b"t2"))
    as_it_was()
    sending = Sending(scene.rogue, scene.node, scene.file(
        **folder(data, name=b"t3")))
    ok(sending.offer(), "not taken")
    plant("a", "f")(sending)
    word = sending.control.last_word()
    equal(word, (0, "receipt"), "a link in a file's place gives way")
    close(sending)
    as_it_was()
    sending = Sending(scene.rogue, scene.node, scene.file(
        **folder(data, name=b"t4")))
    ok(sending.offer(), "not taken")
    meanwhile(sending)
    diag("the end: %r" % (sending.control.last_word(),))
    close(sending)
    as_it_was()
    # What was planted was cleared.
    honest_folder(scene, data, b"t1")
    scene.done()


# As the sender: again, and slowly


@test("an attempt that is played again gets another epoch and other routes, "
      "and what was agreed on before is worth nothing")
def replays():
    scene = Scene()
    file = scene.file(size=3 * MIB)
    first = Sending(scene.rogue, scene.node, file)
    ok(first.offer(), "not taken")
    s = first.joined()
    first.chunk(s, 0)
    first.acked(1)
    close(first)
    second = None
    for _ in range(50):  # the first is just ending
        second = Sending(scene.rogue, scene.node, file)
        if second.offer():
            break
        equal(second.word[0], BUSY, "the second attempt: %r" % (second.word,))
        close(second)
        time.sleep(0.1)
    equal(second.id, first.id, "the transfer")
    ok(second.epoch > first.epoch, "epochs %d and %d" % (first.epoch,
                                                        second.epoch))
    equal(second.have, [(0, 1)], "what it has")
    equal(set(first.routes) & set(second.routes), set(), "routes of both")
    stray(scene, first.routes[0])
    old = first.control.exporter
    second.stream()
    second.join(key=old)
    equal(second.control.last_word()[0], PROTOCOL, "an old JOIN")
    close(second)
    wait_for(lambda: len(scene.node.workers("xferd")) == scene.pool, 20)
    # Nothing comes after the last epoch there is, and nothing is lost by it.
    late = Sending(scene.rogue, scene.node, scene.file(epoch=2 ** 62 - 1))
    if late.offer():
        ok(late.epoch <= 2 ** 62, "epoch %d" % late.epoch)
    close(late)
    third = Sending(scene.rogue, scene.node, file)
    ok(third.offer(), "not taken: %r" % (getattr(third, "word", None),))
    third.all_chunks()
    third.finish()
    close(third)
    scene.done()


@test("who sends a byte a minute, or nothing, is given up in half a minute, "
      "wherever it stops")
def slow():
    scene = Scene()
    scene.rogue.end()
    scene.rogue.wait = 45000
    rogues, since = [], scene.node.since()
    for stop in ("offer", "stream", "join", "chunk"):
        rogue = Rogue("rogue", 0x700 + Scene.number, 45000)
        rogue.knows(scene.node).begin()
        sending = Sending(rogue, scene.node, scene.file())
        if stop != "offer":
            ok(sending.offer(), "not taken")
        if stop in ("join", "chunk"):
            sending.stream()
        if stop == "chunk":
            sending.join()
            sending.streams[0].send(head(CHUNK, 0, MIB) + b"\1")
        rogues.append((stop, rogue, sending))
    start = time.monotonic()
    for stop, rogue, sending in rogues:
        word = sending.control.last_word()
        equal(word[0], TIMEOUT, "stopped before %s: %r" % (stop, word))
        rogue.end()
    took = time.monotonic() - start
    ok(took < 45, "it took %.0f s" % took)
    reason(scene, since, "nothing for 30 s", ("file.receive",))
    scene.rogue.begin()
    honest(scene)
    scene.done()


@test("a peer that opens as many sessions as it can leaves room for others")
def greedy():
    scene = Scene()
    since, held, word = scene.node.since(), [], None
    address = "127.0.0.1:%d" % (scene.node.port + 1)
    rogues = [Rogue("rogue", 0x700 + Scene.number).knows(scene.node).begin()
              for _ in range(2)]
    for number in range(18):
        session = rogues[number // 9].open(number % 9, address)
        if number >= 8:
            word = session.last_word()
            equal(word[0], BUSY, "session %d: %r" % (number, word))
        held.append(session)
    reason(scene, since, "as many sessions as a peer may have")
    other = Rogue("other", 0x7fff)
    scene.node.add("other", other.identity)
    with other.knows(scene.node):
        sending = Sending(other, scene.node)
        ok(sending.offer(), "another peer's offer")
        sending.all_chunks()
        sending.finish()
        close(sending)
    for rogue in rogues:
        rogue.end()
    wait_for(lambda: len(scene.node.workers("xferd")) == scene.pool, 20)
    scene.rogue.knows(scene.node)
    scene.rogue.end()
    scene.rogue.begin()
    honest(scene)
    scene.done()


# As the receiver


def sends(scene, attack, status=None, text="", size=3 * MIB, options=()):
    """The node sends a file to the rogue; what the operator was told."""
    since = scene.node.since()
    scene.count += 1
    path = os.path.join(scene.node.top, "s%d" % scene.count)
    with open(path, "wb") as f:
        f.write(os.urandom(size))
    os.chmod(path, 0o644)
    process = subprocess.Popen(
        [claw_test.binary("claw"), "-f", scene.node.config, "file:send",
         "--target-node", "rogue", "--source", path, "--chunk-size", "1M",
         "--streams", "1", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=scene.node.env, **scene.node.credentials())
    try:
        try:
            receiving = Receiving(scene.rogue)
        except Ended as why:
            raise Failure("%s: %r" % (why, process.communicate(timeout=60)))
        try:
            attack(receiving)
            word = receiving.control.last_word()
        except Ended as why:
            word = (0, str(why))
        close(receiving)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return word, process.returncode, out + err, since


LIES = [
    ("more streams than were offered", lambda r: r.accept(streams=2)),
    ("no stream", lambda r: r.accept(streams=0, routes=[])),
    ("the epoch that it was told", lambda r: r.accept(epoch=r.file.epoch)),
    ("a window of nothing", lambda r: r.accept(window=0)),
    ("flags that nobody knows", lambda r: r.accept(flags=2)),
    ("values of chunks behind the end", lambda r: r.accept(
        basis=[(2, bytes(64))])),
    ("values of chunks twice", lambda r: r.accept(
        basis=[(0, bytes(64)), (1, bytes(32))])),
    ("half a value", lambda r: r.accept(basis=[(0, bytes(48))])),
    ("no value", lambda r: r.accept(basis=[(0, b"")])),
    ("values when it is late", lambda r: (
        r.accept(), r.control.say(BASIS, bytes(36)))),
    ("that a chunk is not the same any more, which it was not", lambda r: (
        r.accept(window=MIB), r.chunk(r.stream()),
        r.control.say(AGAIN, b"\0\0\0\0\2"))),
    ("a route that begins like TLS", lambda r: r.accept(
        routes=[b"\x16" + bytes(15)])),
    ("chunks behind the end", lambda r: r.accept(have=[(0, 4)])),
    ("chunks twice", lambda r: r.accept(have=[(0, 2), (1, 1)])),
    ("no chunk, as a range", lambda r: r.accept(have=[(0, 0)])),
    ("an acknowledgement of what was not sent", lambda r: (
        r.accept(window=MIB), r.chunk(r.stream()), r.ack(2))),
    ("an acknowledgement behind the end", lambda r: (
        r.accept(), r.chunk(r.stream()), r.ack(3))),
    ("an acknowledgement twice", lambda r: (
        r.accept(window=MIB), r.chunk(r.stream()), r.ack(0), r.ack(0))),
    ("an acknowledgement of nothing", lambda r: (
        r.accept(), r.control.say(ACK, bytes(4)))),
    ("a request for what was not sent", lambda r: (
        r.accept(window=MIB), r.chunk(r.stream()),
        r.control.say(AGAIN, b"\0\0\0\2\1"))),
    ("a receipt before there is a seal", lambda r: (
        r.accept(), r.control.say(RECEIPT, bytes(300)))),
    ("an offer of its own", lambda r: r.control.say(OFFER, r.file.offer())),
    ("a refusal that nobody knows", lambda r: r.control.say(
        REFUSE, bytes([99]) + struct.pack(">H", 1) + b"x")),
    ("a refusal that moves the cursor", lambda r: r.control.say(
        REFUSE, bytes([DENIED]) + struct.pack(">H", 8) + b"\x1b[2Jgone")),
    ("no word any more", lambda r: (r.accept(), r.control.close())),
    ("that it has what it was not sent, and acknowledges it", lambda r: (
        r.accept(have=[(0, 3)]), r.ack(0))),
    ("the same, and asks for it again", lambda r: (
        r.accept(have=[(0, 3)]), r.control.say(AGAIN, b"\0\0\0\0\1"))),
    ("the same, and gives no receipt", lambda r: (
        r.accept(have=[(0, 3)]), r.seal(), r.control.close())),
]


def insatiable(receiving):
    """The same chunk, again and again."""
    receiving.accept(window=MIB)
    s = receiving.stream()
    for _ in range(20):
        index, _ = receiving.chunk(s)
        receiving.control.say(AGAIN, struct.pack(">IB", index, 1))


def wrong_receipt(make):
    def attack(receiving):
        receiving.accept()
        receiving.all_chunks()
        make(receiving, receiving.seal())
    return attack


def other_seal(receiving, seal):
    """A receipt for another file, by the right key."""
    at = len(b"claw/seal/v1\0") + 16 + 32
    receiving.receipt(seal[:at] + bytes(32) + seal[at + 32:])


def unacknowledged(receiving):
    """It has all of it, signs for it, and acknowledged none of it."""
    receiving.accept()
    s = receiving.stream()
    for _ in range(receiving.file.chunks):
        receiving.chunk(s)
    receiving.receipt(receiving.seal())


RECEIPTS = [
    ("a receipt for what was not acknowledged", unacknowledged),
    ("a receipt for another file", wrong_receipt(other_seal)),
    ("a receipt by nobody's key", wrong_receipt(
        lambda r, seal: r.control.say(
            RECEIPT, r.receipt_text(seal) + os.urandom(64)))),
    ("a receipt by another's key", wrong_receipt(
        lambda r, seal: r.receipt(seal, key=bytes(32)))),
    ("a receipt that is none", wrong_receipt(
        lambda r, seal: r.control.say(RECEIPT, bytes(300)))),
    ("a receipt around no seal", wrong_receipt(
        lambda r, seal: r.receipt(bytes(len(seal))))),
    ("no receipt", wrong_receipt(lambda r, seal: r.control.close())),
]


@test("a receiver that lies about what it has, what it got or what it signs "
      "gets no more than its lie, and its operator is told")
def receivers():
    port = free_port()
    scene = Scene("127.0.0.1:%d" % port)
    scene.rogue.listen("127.0.0.1:%d" % (port + 1))
    kept = os.path.join(scene.node.dir, "data", "sft", "receipts")
    for what, attack in [*LIES, ("the same chunk for ever", insatiable),
                         *RECEIPTS]:
        word = None
        try:
            word, status, told, since = sends(scene, attack)
            ok(status not in (0, None), "exit %r, %r" % (status, told))
            ok(all(c.isprintable() or c == "\n" for c in told),
               "what is told moves the cursor: %r" % told)
            outcomes = wait_for(lambda: [
                act for kind in ("file.send", "file.denied")
                for act in scene.node.events(kind, since)
                if act.get("reason")], 10)
            ok(outcomes[-1]["outcome"] != "ok", "%r" % outcomes)
            equal(os.listdir(kept), [], "receipts")
        except Failure as why:
            raise Failure("%s: %s (its word: %r)" % (what, why, word)) \
                from None

    def good(receiving):
        receiving.accept()
        receiving.all_chunks()
        receiving.receipt(receiving.seal())
    _, status, told, _ = sends(scene, good)
    equal(status, 0, "an honest receiver: %r" % told)
    equal(len(os.listdir(kept)), 1, "receipts")
    scene.done()


@test("a receiver that says it has all of a file that it was not sent gets its "
      "seal, which is of the sender's own bytes, and no byte; it is its word "
      "that it signs")
def has_all():
    port = free_port()
    scene = Scene("127.0.0.1:%d" % port)
    scene.rogue.listen("127.0.0.1:%d" % (port + 1))
    seals = []

    def attack(receiving):
        receiving.accept(have=[(0, 1)])
        seals.append(receiving.seal())
        receiving.receipt(seals[0])
    _, status, told, _ = sends(scene, attack, size=3000)
    equal(status, 0, "exit: %r" % told)
    with open(os.path.join(scene.node.top, "s1"), "rb") as f:
        root = bytes.fromhex(blake3(f.read()))
    at = len(b"claw/seal/v1\0") + 16 + 32
    equal(seals[0][at:at + 32], root, "what is sealed")
    scene.done()


@test("a receiver that has all, shows life and never gives a receipt is given "
      "up after a while, and nothing says that the file is there")
def no_receipt():
    port = free_port()
    recording = None

    def record(node):
        nonlocal recording
        recording = Recording(os.path.join(node.dir, "data"))
        recording.preload("sftd")
    if SANITIZERS:
        skip("a sanitizer's run time wants to be loaded first")
    scene = Scene("127.0.0.1:%d" % port, before=record, wait=30000)
    scene.rogue.listen("127.0.0.1:%d" % (port + 1))
    words = []

    def attack(receiving):
        receiving.accept()
        receiving.all_chunks()
        receiving.seal()
        recording.pass_time(170)
        # It still waits, and wants to know whether anybody is there.
        receiving.control.say(PING, bytes(8))
        kind, _ = receiving.control.hear()
        equal(kind, PONG, "the answer to PING")
        recording.pass_time(60)
        words.append(receiving.control.last_word())
    try:
        _, status, told, since = sends(scene, attack)
        equal(words[0][0], TIMEOUT, "%r" % words)
        ok(status not in (0, None), "exit %r, %r" % (status, told))
        reason(scene, since, "nothing moved for too long", ("file.send",))
        equal(os.listdir(os.path.join(scene.node.dir, "data", "sft",
                                      "receipts")), [], "receipts")
    finally:
        recording.close()
    scene.done()


# Strangers


@test("while ten thousand strangers come, a file of a peer arrives, and when "
      "they are gone nothing is left of them")
def strangers():
    from bench_attest import Flood
    scene = Scene()
    before = resident(scene.pids["sftd"])
    flood = Flood(scene.node.port + 1, STRANGERS)
    try:
        rounds = 0
        while not flood.over():
            try:
                honest(scene, size=4 * MIB)
                rounds += 1
            except Ended:
                pass  # turned away among them; it comes again, as nodes do
    finally:
        pass
    ok(rounds > 0, "no file arrived meanwhile")
    after = resident(scene.pids["sftd"])
    ok(after - before < 4, "sftd grew from %d to %d MiB" % (before, after))
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % scene.pids["sftd"])) < 60,
             30)
    diag("%d files arrived meanwhile" % rounds)
    scene.done()


if __name__ == "__main__":
    main()
