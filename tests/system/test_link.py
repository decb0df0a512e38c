#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The link that the tests break connections with does what its manual says."""

import errno
import hashlib
import random
import select
import socket
import struct
import threading
import time

from claw_test import Failure, contains, equal, main, ok, test, wait_for
from link_test import Link, Proxy, private
from mesh_test import Peer, member

PORT = 5001
DATA = random.Random(7).randbytes(4 << 20)


class Sink(threading.Thread):
    """Takes one connection and all that it brings."""

    def __init__(self, listener, answer=b""):
        super().__init__(daemon=True)
        self.listener, self.answer = listener, answer
        self.data, self.end = bytearray(), None
        self.connected = threading.Event()
        self.start()

    def run(self):
        self.socket, _ = self.listener.accept()
        self.connected.set()
        try:
            self.socket.sendall(self.answer)
            while True:
                piece = self.socket.recv(1 << 16)
                if piece == b"":
                    self.end = "end"
                    return
                self.data += piece
        except OSError as error:
            self.end = errno.errorcode[error.errno]


def received(s):
    """Bytes that came in on a TCP socket, read or not: TCP_INFO."""
    at = 128  # tcpi_bytes_received
    return struct.unpack_from("=Q", s.getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, 256), at)[0]


def listen(link):
    with link.inside("b"):
        return socket.create_server(("", PORT))


def connect(link):
    with link.inside("a"):
        s = socket.socket()
    s.settimeout(30)
    s.connect((link.address["b"], PORT))
    return s


def send(s, data):
    """Send in the background; what stops it is .error."""
    def run():
        try:
            s.sendall(data)
        except OSError as error:
            thread.error = error
    thread = threading.Thread(target=run, daemon=True)
    thread.error = None
    thread.start()
    return thread


def datagrams(link, count, size=200, every=0.0, settle=True):
    """Numbered datagrams from a to b: what arrived, in order, and counts.

    A datagram that was changed on the way counts as None."""
    with link.inside("b"):
        to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        to.bind(("", PORT))
    with link.inside("a"):
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect((link.address["b"], PORT))
    before = link.stats()["ab"]
    got = []

    def drain():
        while select.select([to], [], [], 0)[0]:
            text = to.recv(2048)
            good = hashlib.sha256(text[:-32]).digest() == text[-32:]
            got.append(struct.unpack("!I", text[:4])[0] if good else None)
    for number in range(count):
        body = struct.pack("!I", number) + bytes(size - 36)
        out.send(body + hashlib.sha256(body).digest())
        if number % 64 == 63:
            drain()
            wait_for(lambda: link.stats()["ab"]["taken"]
                     - before["taken"] == number + 1, 10,
                     "the link takes what is sent")
        if every:
            time.sleep(every)
    wait_for(lambda: link.stats()["ab"]["taken"] - before["taken"] == count,
             10, "the link takes what is sent")
    after = (link.settled() if settle else link.stats())["ab"]
    drain()
    out.close()
    to.close()
    return got, {name: after[name] - before[name] for name in after}


def within(count, of, chance, what):
    """Six standard deviations; once in 500 million runs it is chance."""
    want, off = of * chance, 6 * (of * chance * (1 - chance)) ** 0.5
    ok(abs(count - want) <= off, "%s: %d of %d" % (what, count, of))


@test("nothing happens to what nobody spoils, and every segment is counted")
def plain():
    with Link() as link:
        got, count = datagrams(link, 500)
        equal(got, list(range(500)), "datagrams")
        equal((count["taken"], count["delivered"]), (500, 500), "counts")
        listener = listen(link)
        sink = Sink(listener)
        with connect(link) as s:
            s.sendall(DATA)
        sink.join(30)
        equal(bytes(sink.data), DATA, "a stream")
        equal(link.stats()["ab"]["payload_bytes"], len(DATA),
              "payload that passed")
        with link.inside("a"):
            six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with link.inside("b"):
            to = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        to.settimeout(10)
        to.bind(("::", PORT))
        six.sendto(b"six", (link.address6["b"], PORT))
        equal(to.recv(100), b"six", "IPv6")


@test("a stream takes no less time than its bytes at the rate, nor much more")
def rate():
    with Link("ab rate 40mbit, queue 128k") as link:
        sink = Sink(listen(link))
        start = time.monotonic()
        with connect(link) as s:
            s.sendall(DATA)
        sink.join(60)
        took = time.monotonic() - start
        least = len(DATA) * 8 / 40e6
        equal(bytes(sink.data), DATA, "the stream")
        ok(least <= took <= 10 * least, "%.2f s, of %.2f" % (took, least))


@test("a round trip takes twice the delay, jitter on top, in order")
def delay():
    with Link("delay 100ms") as link:
        Sink(listen(link))
        start = time.monotonic()
        connect(link)
        took = time.monotonic() - start
        ok(0.2 <= took < 5, "a round trip of %.3f s" % took)
    with Link("delay 10ms, jitter 40ms") as link:
        got, _ = datagrams(link, 300)
        equal(got, list(range(300)), "the order")


@test("segments are lost as often as said, alike for the same seed")
def loss():
    seen = []
    for seed in (5, 5, 6):
        with Link("ab loss 5%", seed=seed) as link:
            got, count = datagrams(link, 4000)
        equal(count["taken"], count["lost"] + count["delivered"], "counts")
        equal(len(got), count["delivered"], "datagrams")
        within(count["lost"], 4000, 0.05, "lost")
        seen.append(got)
    ok(seen[0] == seen[1], "the same seed, the same losses")
    ok(seen[0] != seen[2], "another seed, other losses")
    with Link("ab loss 5%, ab burst 8", seed=5) as link:
        got, count = datagrams(link, 4000)
    runs = sum(1 for a, b in zip(got, got[1:]) if b != a + 1)
    ok(count["lost"] / runs > 3, "%d lost in %d runs" % (count["lost"], runs))


@test("segments are duplicated and overtaken, as often as said")
def duplicates():
    with Link("ab duplicate 10%") as link:
        got, count = datagrams(link, 2000)
        equal(len(got), 2000 + count["duplicated"], "datagrams")
        equal(sorted(set(got)), list(range(2000)), "all are there")
        within(count["duplicated"], 2000, 0.1, "duplicated")
    with Link("ab reorder 10%, hold 30ms") as link:
        got, count = datagrams(link, 2000)
        equal(sorted(got), list(range(2000)), "all are there")
        within(count["reordered"], 2000, 0.1, "reordered")
        ok(got != sorted(got), "some were overtaken")


@test("a flipped bit is seen by the checksum, a corrupted one is not")
def bits():
    with Link("ab flip 10%") as link:
        got, count = datagrams(link, 2000)
        within(count["flipped"], 2000, 0.1, "flipped")
        equal(count["delivered"], 2000, "delivered")
        equal(len(got), 2000 - count["flipped"], "datagrams")
        ok(None not in got, "what arrived is right")
    with Link("ab corrupt 10%") as link:
        got, count = datagrams(link, 2000)
        within(count["corrupted"], 2000, 0.1, "corrupted")
        equal(len(got), 2000, "datagrams")
        equal(got.count(None), count["corrupted"], "wrong datagrams")


@test("trains are taken apart right: a stream arrives whole over a link that "
      "loses, duplicates, reorders and flips")
def rough():
    with Link("rate 200mbit, delay 2ms, loss 0.5%, duplicate 0.5%, "
              "reorder 0.5%, hold 3ms, flip 0.5%") as link:
        sink = Sink(listen(link))
        with connect(link) as s:
            s.sendall(DATA)
        sink.join(60)
        equal(bytes(sink.data), DATA, "the stream")
        count = link.settled()["ab"]
        for name in ("lost", "duplicated", "reordered", "flipped"):
            ok(count[name] > 0, "%s: %d" % (name, count[name]))
        equal(count["taken"] + count["duplicated"],
              count["delivered"] + count["lost"] + count["queue_dropped"]
              + count["refused"], "where all segments are")


@test("what finds no room in the queue is dropped, and counted")
def queue():
    with Link("ab rate 1mbit, ab queue 10k") as link:
        got, count = datagrams(link, 100, size=1000)
        ok(count["queue_dropped"] > 0, "dropped")
        equal(count["taken"], count["delivered"] + count["queue_dropped"],
              "counts")
        equal(len(got), count["delivered"], "datagrams")
        ok(5000 < count["queue_max_bytes"] <= 10240,
           "longest queue: %d" % count["queue_max_bytes"])


@test("while it is down nothing passes; up again, TCP goes on")
def down():
    with Link() as link:
        sink = Sink(listen(link))
        s = connect(link)
        ok(sink.connected.wait(10), "a connection")
        link.do("down")
        got, count = datagrams(link, 20)
        equal((got, count["down_dropped"]), ([], 20), "datagrams")
        s.sendall(b"x" * 1000)
        time.sleep(0.3)
        equal(len(sink.data), 0, "bytes that came")
        link.do("up")
        wait_for(lambda: len(sink.data) == 1000, 30, "what was sent")


@test("while it pauses nothing arrives and nothing is lost")
def pauses():
    with Link("ab pause") as link:
        got, count = datagrams(link, 50, settle=False)
        equal((got, count["delivered"], count["underway"]), ([], 0, 50),
              "while it pauses")
        link.do("ab resume")
        equal(link.settled()["ab"]["delivered"], 50, "afterwards")


@test("cut after byte N: exactly so many arrive; silence, a reset, half a "
      "link")
def cuts():
    for bytes_before in (0, 1, 1447, 1448, 1449, 100000, 1234567):
        with Link() as link:
            sink = Sink(listen(link))
            s = connect(link)
            link.do("ab cut-after", bytes_before, "silence")
            send(s, DATA)
            wait_for(lambda: link.stats()["ab"]["cuts"] == 1, 10, "the cut")
            time.sleep(0.05)
            equal(len(sink.data), bytes_before, "bytes that came")
            equal(link.stats()["ab"]["payload_bytes"], bytes_before,
                  "payload that passed")
            link.do("up")
            wait_for(lambda: len(sink.data) == len(DATA), 60, "the rest")
            equal(bytes(sink.data), DATA, "the stream")
    with Link() as link:
        sink = Sink(listen(link))
        s = connect(link)
        link.do("ab cut-after 54321 reset")
        sender = send(s, DATA)
        sink.join(10)
        sender.join(10)
        # A reset takes away what was not read yet: the kernel has counted.
        equal((received(sink.socket), sink.end), (54321, "ECONNRESET"),
              "at the receiver")
        ok(isinstance(sender.error, ConnectionResetError),
           "at the sender: %r" % sender.error)
    with Link() as link:
        sink = Sink(listen(link))
        s = connect(link)
        link.do("ab cut-after 54321 half")
        send(s, DATA)
        wait_for(lambda: link.stats()["ab"]["cuts"] == 1, 10, "the cut")
        ok(sink.connected.wait(10), "a connection")
        sink.socket.sendall(b"the other way")
        equal(s.recv(100), b"the other way", "the other direction")
        equal(len(sink.data), 54321, "bytes that came")


@test("what it does not understand it says, and does nothing")
def nonsense():
    with Link("rate 1mbit") as link:
        for line in ("", "rate", "rate 5", "rate fast", "loss 2", "ab",
                     "delay -1ms", "ab cut-after", "cut-after 5 gently",
                     "rate 1mbit 2mbit", "stats now", "x" * 100):
            contains(link.ask(line), "error:", line)
        equal(link.ask("ba loss 1e-4"), "ok", "a word that it knows")


@test("two nodes over it: a ping takes its round trip, and they find each "
      "other again after it was down")
def nodes():
    with Link("delay 60ms") as link:
        a = Peer("alpha", at=(link, "a")).start()
        b = member(a, "beta", at=(link, "b")).start()
        a.wait_links("beta")
        start = time.monotonic()
        equal(a.ping("beta")[0], 0, "a ping")
        ok(time.monotonic() - start >= 0.12, "a round trip")
        link.do("down")
        ok(a.ping("beta")[0] != 0, "no ping while it is down")
        link.do("up")
        wait_for(lambda: a.ping("beta")[0] == 0, 60, "a ping again")
        ok(link.stats()["ab"]["payload_bytes"] > 0, "it went this way")
        for node in (a, b):
            equal(node.stop(), 0, "exit of clawd")


# The proxy


def behind():
    """A listener, and a proxy before it."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, Proxy(listener.getsockname()[1])


def through(proxy):
    s = socket.create_connection(("127.0.0.1", proxy.port))
    s.settimeout(20)
    return s


def ended(proxy, number=0):
    """What the proxy says of a connection, once it has taken it."""
    return wait_for(lambda: proxy.connections()[number:], 20,
                    "connection %d" % number)[0]


@test("the proxy passes on what nobody spoils, both ways")
def proxy_plain():
    listener, proxy = behind()
    with proxy:
        sink = Sink(listener, b"hello")
        with through(proxy) as s:
            equal(s.recv(10), b"hello", "down")
            s.sendall(DATA)
        sink.join(20)
        equal(bytes(sink.data), DATA, "up")
        sink.socket.close()
        wait_for(lambda: ended(proxy)["end"] == "closed", 10, "its end")
    equal(proxy.stats()["connections"][0]["up"],
          {"taken": len(DATA), "passed": len(DATA), "swallowed": 0}, "counts")


@test("the proxy cuts connection K at byte N: reset, close, silence")
def proxy_cuts():
    for how, end in (("reset", "ECONNRESET"), ("close", "end"),
                     ("silence", None)):
        for before in (0, 1, 65535, 65536, 65537, 1234567):
            listener, proxy = behind()
            with proxy:
                proxy.do(how, 2, "up", before)
                first = Sink(listener)
                with through(proxy) as s:
                    s.sendall(DATA)
                first.join(20)
                equal(len(first.data), len(DATA), "connection 1")
                sink = Sink(listener)
                s = through(proxy)
                sender = send(s, DATA * 4)
                wait_for(lambda: ended(proxy, 1)["end"] == how, 20, how)
                if end is not None:
                    sink.join(20)
                    sender.join(20)
                    ok(isinstance(sender.error, OSError), "sender: none")
                else:
                    wait_for(lambda: len(sink.data) == before, 20, "bytes")
                    time.sleep(0.05)
                    ok(sender.error is None, "the sender knows nothing")
                equal((len(sink.data), sink.end), (before, end),
                      "%s at %d" % (how, before))


@test("half-open: from byte N on the proxy takes all and passes nothing on")
def proxy_half():
    listener, proxy = behind()
    with proxy:
        proxy.do("half * up 1000")
        sink = Sink(listener)
        with through(proxy) as s:
            s.sendall(DATA)
            wait_for(lambda: ended(proxy)["up"]["swallowed"]
                     == len(DATA) - 1000, 20, "all is swallowed")
            sink.socket.sendall(b"down")
            equal(s.recv(10), b"down", "the other direction")
            wait_for(lambda: len(sink.data) == 1000, 20, "1000 bytes")
            ok(sink.end is None, "no end is seen")


@test("the proxy flips bits at byte N, either way")
def proxy_flip():
    listener, proxy = behind()
    with proxy:
        proxy.do("flip 1 up 70000 0x81, flip 1 down 2")
        sink = Sink(listener, b"abc")
        with through(proxy) as s:
            equal(s.recv(10), b"abb", "down")
            s.sendall(DATA)
        sink.join(20)
        wrong = [i for i in range(len(DATA)) if DATA[i] != sink.data[i]]
        equal(wrong, [70000], "changed bytes")
        equal(DATA[70000] ^ sink.data[70000], 0x81, "changed bits")


@test("the proxy delays, drips, pauses and refuses")
def proxy_slow():
    listener, proxy = behind()
    with proxy:
        proxy.do("delay 100")
        start = time.monotonic()
        sink = Sink(listener, b"x")
        s = through(proxy)
        s.recv(1)
        s.sendall(b"y")
        wait_for(lambda: sink.data == b"y", 20, "a byte up")
        ok(time.monotonic() - start >= 0.2, "a round trip")
        proxy.do("delay 0, drip 10 20")
        start = time.monotonic()
        s.sendall(bytes(100))
        wait_for(lambda: len(sink.data) == 101, 20, "a slow drip")
        ok(time.monotonic() - start >= 0.17, "a drip")
        proxy.do("drip 0 0, pause")
        s.sendall(bytes(100))
        time.sleep(0.1)
        equal(len(sink.data), 101, "bytes while it pauses")
        proxy.do("resume")
        wait_for(lambda: len(sink.data) == 201, 20, "the rest")
        proxy.do("refuse")
        try:
            refused = through(proxy).recv(1) == b""
        except ConnectionError:
            refused = True
        ok(refused, "a connection while it refuses")
        for line in ("reset", "reset 1 up", "drip", "flip 1 up 5 256",
                     "reset 1 up 5 1", "reset x up 5"):
            try:
                proxy.do(line)
            except Failure:
                continue
            raise Failure("%r was taken" % line)


if __name__ == "__main__":
    private()
    main()
