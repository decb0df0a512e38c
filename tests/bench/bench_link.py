#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the tests' own link carries, and what it costs: four streams over
1 Gbit/s with a round trip of 100 ms, against the rate that was asked for."""

import socket
import sys
import threading
import time

from claw_test import Skip
from link_test import Link, private

RATE = 1e9
SECONDS = 8
STREAMS = 4


def drain(listener):
    def run(s):
        room = bytearray(1 << 20)
        while s.recv_into(room):
            pass
    for _ in range(STREAMS):
        threading.Thread(target=run, args=(listener.accept()[0],),
                         daemon=True).start()


def fill(s, end):
    data = bytes(1 << 20)
    while time.monotonic() < end:
        s.send(data)


def run(commands):
    with Link(commands) as link:
        with link.inside("b"):
            listener = socket.create_server(("", 5001))
        threading.Thread(target=drain, args=(listener,), daemon=True).start()
        end = time.monotonic() + SECONDS
        for _ in range(STREAMS):
            with link.inside("a"):
                s = socket.socket()
            s.connect((link.address["b"], 5001))
            threading.Thread(target=fill, args=(s, end),
                             daemon=True).start()
        time.sleep(SECONDS / 2)
        before, start = link.stats(), time.monotonic()
        time.sleep(SECONDS / 2 - 0.2)
        after, took = link.stats(), time.monotonic() - start
    bits = (after["ab"]["delivered_bytes"]
            - before["ab"]["delivered_bytes"]) * 8
    segments = sum(after[way]["delivered"] - before[way]["delivered"]
                   for way in ("ab", "ba"))
    cpu = (after["cpu_us"] - before["cpu_us"]) / 1e6
    print("%-48s %5.3f of the rate, %.2f of a core, %.2f us a segment"
          % (commands, bits / took / RATE, cpu / took, cpu / segments * 1e6))


if __name__ == "__main__":
    private()
    try:
        run("rate 1gbit, delay 50ms, queue 4m")
        run("rate 1gbit, delay 50ms, queue 4m, ab loss 0.01%")
    except Skip as why:
        sys.exit("skipped: %s" % why)
