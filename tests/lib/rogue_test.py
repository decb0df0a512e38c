# SPDX-License-Identifier: ISC
"""rogue_test - the protocol of file transfers, written a second time from
claw-protocol(7), so that a test can break any rule of it.

A Rogue is a node that is in the registry: tests/system/rogue does its
handshakes. What it says after them is made here. Chunk i of its files is
nothing but the byte i + 1, unless a File has data of its own, of one chunk.
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import subprocess
import time

from claw_test import Failure, reachable
from mesh_test import BUILD, Impostor

OFFER, ACCEPT, HAVE, REFUSE, ACK, AGAIN, SEAL, RECEIPT, ABORT, PING, PONG, \
    DONE, BASIS = range(1, 14)
JOIN, CHUNK, END, SAME = 20, 21, 22, 23
REPLACE, DRY, PACKED = 1, 2, 4  # flags of OFFER
MIB = 1 << 20


class Ended(Exception):
    """The other end let go; says why, as far as it can be seen."""


def frame(kind, body=b""):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def zstd(byte, size, said=None):
    """A frame that becomes so many of that byte; said: how many its head
    says."""
    blocks, left = b"", size
    while left > 0:
        n = min(left, 131072)
        left -= n
        blocks += (n << 3 | 1 << 1 | (left == 0)).to_bytes(3, "little") \
            + bytes([byte])
    return b"\x28\xb5\x2f\xfd\xa0" + (
        size if said is None else said).to_bytes(4, "little") + blocks


def block(data, stored=False, length=None):
    """A block of a compressed chunk."""
    n = len(data) if length is None else length
    return (n | stored << 31).to_bytes(4, "big") + data


class Rogue(Impostor):
    """role: who it is in its evidence follows from what it does."""

    def __init__(self, name, seed, wait=5000):
        super().__init__(name, seed)
        self.wait, self.process = wait, None
        key = self.identity.partition(":")[2]
        self.key = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))

    def begin(self):
        program = reachable(os.path.join(BUILD, "tests", "system", "rogue"))
        self.process = subprocess.Popen(
            [program, *self.arguments({"wait": self.wait})], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)
        return self

    def end(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def __enter__(self):
        return self.begin()

    def __exit__(self, *unused):
        self.end()

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line == "":
            raise Failure("rogue ended at %r" % (words,))
        answer = json.loads(line)
        if "end" in answer:
            raise Ended(answer["end"])
        return answer

    def bytes(self, field, *words):
        return bytes.fromhex(self.ask(*words)[field])

    def open(self, number, address, first=b""):
        return Session(self, number, self.ask(
            "open", number, address, first.hex()))

    def listen(self, address="127.0.0.1:0"):
        return self.ask("listen", address)["port"]

    def take(self, number):
        return Session(self, number, self.ask("take", number))

    def value(self, log, index, length, only, byte=None):
        return self.bytes("value", "value", log, index,
                          index + 1 if byte is None else byte, length,
                          1 if only else 0)

    def root(self, file):
        if file.data:
            return self.bytes("root", "hash", file.data.hex())
        return self.bytes("root", "root", file.log, file.size)

    def sign(self, text):
        return text + self.bytes("signature", "sign", text.hex())


class Session:
    """One connection after both were welcome."""

    def __init__(self, rogue, number, met):
        self.rogue, self.number = rogue, number
        self.exporter = bytes.fromhex(met["exporter"])
        self.route = bytes.fromhex(met["route"])

    def send(self, data):
        self.rogue.ask("send", self.number, data.hex())

    def fill(self, byte, count):
        self.rogue.ask("fill", self.number, byte, count)

    def say(self, kind, body=b""):
        self.send(frame(kind, body))

    def hear(self):
        """(type, body) of the next frame that is no PING."""
        while True:
            heard = self.rogue.ask("frame", self.number)
            body = bytes.fromhex(heard["body"])
            if heard["type"] != PING:
                return heard["type"], body
            self.say(PONG, body)

    def get(self, count):
        return self.rogue.bytes("bytes", "get", self.number, count)

    def skip(self, count):
        self.rogue.ask("skip", self.number, count)

    def close(self):
        self.rogue.ask("close", self.number)

    def last_word(self):
        """(code, text) of the REFUSE or ABORT that comes, or (0, the way in
        which it ended)."""
        try:
            while True:
                kind, body = self.hear()
                if kind in (REFUSE, ABORT):
                    return body[0], body[3:].decode()
                if kind == RECEIPT:
                    return 0, "receipt"
        except Ended as why:
            return 0, str(why)


class File:
    """What is offered; every field may be wrong."""

    def __init__(self, name=b"file", size=2 * MIB, data=None, **fields):
        self.name, self.data = name, data
        self.size = size if data is None else len(data)
        self.log, self.streams, self.epoch = 20, 1, 0
        self.mtime, self.mode, self.flags = 10 ** 18, 0o644, 0
        self.version, self.kind = 1, 0
        for field, value in fields.items():
            setattr(self, field, value)

    @property
    def chunks(self):
        return -(-self.size >> self.log) if self.size else 0

    def length(self, index):
        return min(1 << self.log, self.size - (index << self.log))

    def offer(self):
        return struct.pack(">BBQQHBBBQH", self.version, self.kind, self.size,
                           self.mtime, self.mode, self.log, self.streams,
                           self.flags, self.epoch, len(self.name)) + self.name

    def digest(self, sender, receiver):
        return hashlib.sha256(
            b"claw/offer/v1\0" + sender.encode() + b"\0" + receiver.encode()
            + b"\0" + struct.pack(
                ">BBQQHBBH", self.version, self.kind, self.size, self.mtime,
                self.mode & 0o777, self.log, self.flags & 1, len(self.name))
            + self.name).digest()


def names(sender, receiver):
    return (bytes([len(sender)]) + sender.encode()
            + bytes([len(receiver)]) + receiver.encode())


def seal_text(sending, **wrong):
    rogue, file = sending.rogue, sending.file
    sender, receiver = rogue.name, sending.node.name
    field = {"id": sending.id, "offer": file.digest(sender, receiver),
             "root": rogue.root(file), "size": file.size,
             "time": int(time.time()), "key": rogue.key, "sender": sender,
             "receiver": receiver}
    field.update(wrong)
    return (b"claw/seal/v1\0" + field["id"] + field["offer"] + field["root"]
            + struct.pack(">Q", field["size"])
            + names(field["sender"], field["receiver"])
            + struct.pack(">Q", rogue.seq) + bytes.fromhex(rogue.head)
            + struct.pack(">Q", field["time"]) + field["key"])


class Sending:
    """A rogue that sends a file to a node."""

    def __init__(self, rogue, node, file=None):
        self.rogue, self.node = rogue, node
        self.address = "127.0.0.1:%d" % (node.port + 1)
        self.file = file or File()
        self.control = rogue.open(0, self.address)
        self.streams = {}

    def offer(self):
        """True when it was taken; else the last word is in self.word."""
        self.control.say(OFFER, self.file.offer())
        kind, body = self.control.hear()
        if kind != ACCEPT:
            self.word = (body[0], body[3:].decode())
            return False
        self.id = body[:16]
        self.epoch, count = struct.unpack(">QB", body[16:25])
        self.routes = [body[25 + 16 * i:41 + 16 * i] for i in range(count)]
        self.window, self.packed = struct.unpack(">QB",
                                                 body[25 + 16 * count:])
        self.have, self.basis = [], {}
        while True:
            kind, body = self.control.hear()
            if kind == BASIS:
                first, = struct.unpack(">I", body[:4])
                for i in range(4, len(body), 32):
                    self.basis[first + (i - 4) // 32] = body[i:i + 32]
                continue
            if kind != HAVE:
                raise Failure("%d instead of HAVE" % kind)
            n, = struct.unpack(">I", body[:4])
            self.have += [struct.unpack(">II", body[4 + 8 * i:12 + 8 * i])
                          for i in range(n)]
            if n < 4096:
                return True

    def stream(self, index=0, route=None):
        s = self.rogue.open(1 + index, self.address,
                            self.routes[index] if route is None else route)
        self.streams[index] = s
        return s

    def join(self, index=0, **wrong):
        s = self.streams[index]
        field = {"id": self.id, "place": index, "exporter": s.exporter,
                 "key": self.control.exporter}
        field.update(wrong)
        mac = hmac.new(field["key"], b"claw/sft-join/v1\0"
                       + field["exporter"] + field["id"]
                       + bytes([field["place"]]), "sha256").digest()
        s.say(JOIN, field["id"] + bytes([field["place"]])
              + field.get("mac", mac))
        return s

    def joined(self, index=0):
        self.stream(index)
        return self.join(index)

    def chunk(self, s, index, said=None, length=None, sent=None, value=None,
              byte=None):
        """said, length: in its head; sent: bytes that come."""
        real = self.file.length(index)
        s.send(struct.pack(">BBHII", CHUNK, 0, 0,
                           index if said is None else said,
                           real if length is None else length))
        if self.file.data is not None:
            s.send(self.file.data)
            value = self.rogue.root(self.file)
        else:
            s.fill(index + 1 if byte is None else byte,
                   real if sent is None else sent)
        if value is None:
            value = self.rogue.value(self.file.log, index, real,
                                     self.file.chunks == 1)
        s.send(value)

    def same(self, s, index, value=None):
        """A chunk that is not sent, by the value that it was told."""
        s.send(struct.pack(">BBHII", SAME, 0, 0, index,
                           self.file.length(index))
               + (self.basis[index] if value is None else value))

    def packed_chunk(self, s, index, blocks):
        """A compressed one; blocks: whatever stands for them."""
        real = self.file.length(index)
        s.send(struct.pack(">BBHII", CHUNK, 1, 0, index, real))
        for block in blocks:
            s.send(block)
        s.send(self.rogue.value(self.file.log, index, real,
                                self.file.chunks == 1))

    def acked(self, count):
        """Until so many chunks were acknowledged."""
        while count > 0:
            kind, body = self.control.hear()
            if kind != ACK:
                raise Failure("%d instead of ACK: %r" % (kind, body))
            count -= struct.unpack(">I", body[:4])[0]

    def all_chunks(self):
        s = self.joined()
        had = {i for first, n in self.have for i in range(first, first + n)}
        left = [i for i in range(self.file.chunks) if i not in had]
        for i in left:
            self.chunk(s, i)
        self.acked(len(left))
        return s

    def seal(self, **wrong):
        self.control.say(SEAL, self.rogue.sign(seal_text(self, **wrong)))

    def finish(self):
        """What honest nodes do; the receipt."""
        self.seal()
        kind, body = self.control.hear()
        if kind != RECEIPT:
            raise Failure("%d instead of RECEIPT: %r" % (kind, body))
        self.control.say(DONE)
        return body


def next_control(rogue):
    """Streams of a transfer that is over by now may still wait in line."""
    for _ in range(8):
        try:
            session = rogue.take(0)
        except Ended as why:
            last = why
            if str(why) == "nobody came":
                raise
            continue
        if session.route == b"":
            return session
        session.close()
    raise last


class Receiving:
    """A rogue that a node sends a file to."""

    def __init__(self, rogue):
        self.rogue = rogue
        self.control = next_control(rogue)
        kind, body = self.control.hear()
        if kind != OFFER:
            raise Failure("%d instead of OFFER" % kind)
        (version, what, size, mtime, mode, log, streams, flags, epoch,
         n) = struct.unpack(">BBQQHBBBQH", body[:33])
        self.file = File(body[33:33 + n], size, mtime=mtime, mode=mode,
                         log=log, streams=streams, flags=flags, epoch=epoch)
        self.id = os.urandom(16)
        self.streams = {}

    def accept(self, streams=1, have=(), window=64 * MIB, epoch=None,
               routes=None, flags=0, basis=()):
        """basis: (first, values) of each BASIS."""
        if routes is None:
            routes = [b"r" + os.urandom(15) for _ in range(streams)]
        self.routes = routes
        self.control.say(ACCEPT, self.id + struct.pack(
            ">QB", self.file.epoch + 1 if epoch is None else epoch, streams)
            + b"".join(routes) + struct.pack(">QB", window, flags))
        for first, values in basis:
            self.control.say(BASIS, struct.pack(">I", first) + values)
        self.control.say(HAVE, struct.pack(">I", len(have)) + b"".join(
            struct.pack(">II", *r) for r in have))

    def stream(self, index=0):
        """Who dials, with a route of ours, and joins as it must."""
        s = self.streams[index] = self.rogue.take(1 + index)
        if s.route != self.routes[index]:
            raise Failure("another route than ours")
        join = s.get(4 + 49)
        want = hmac.new(self.control.exporter, b"claw/sft-join/v1\0"
                        + s.exporter + self.id + bytes([index]),
                        "sha256").digest()
        if join != frame(JOIN, self.id + bytes([index]) + want):
            raise Failure("its JOIN is not of this transfer")
        return s

    def chunk(self, s):
        """Index and value of one chunk, whose bytes nobody looks at."""
        index, length = struct.unpack(">II", s.get(12)[4:])
        s.skip(length)
        return index, s.get(32)

    def ack(self, *indices):
        self.control.say(ACK, struct.pack(">I%dI" % len(indices),
                                          len(indices), *indices))

    def all_chunks(self):
        s = self.stream()
        found = dict(self.chunk(s) for _ in range(self.file.chunks))
        self.ack(*found)
        return found

    def seal(self):
        kind, body = self.control.hear()
        if kind != SEAL:
            raise Failure("%d instead of SEAL: %r" % (kind, body))
        return body

    def receipt_text(self, seal, **wrong):
        field = {"time": int(time.time()), "key": self.rogue.key}
        field.update(wrong)
        return (b"claw/receipt/v1\0" + struct.pack(">H", len(seal)) + seal
                + struct.pack(">Q", self.rogue.seq)
                + bytes.fromhex(self.rogue.head)
                + struct.pack(">Q", field["time"]) + field["key"])

    def receipt(self, seal, **wrong):
        self.control.say(RECEIPT, self.rogue.sign(
            self.receipt_text(seal, **wrong)))
