#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""How long node.show takes: from a client through controld to attestd and back,
as an ordinary user, after `auth`. The peer is a bare echo of as many bytes over
a Unix socket, in turns with it. Usage: bench_api.py [requests]"""

import json
import os
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))

from claw_test import Node  # noqa: E402

LIMIT_MS = 0.3
BATCH = 200


def echo(size):
    """A process that answers every packet of ours with so many bytes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    if os.fork() == 0:
        ours.close()
        answer = b"x" * size
        while theirs.recv(65536):
            theirs.sendall(answer)
        os._exit(0)
    theirs.close()
    return ours


def exchange(s, request, end, times):
    """BATCH requests, one after the other; the last answer."""
    for _ in range(BATCH):
        start = time.perf_counter()
        s.sendall(request)
        answer = s.recv(65536)
        while not end(answer):
            answer += s.recv(65536)
        times.append((time.perf_counter() - start) * 1e3)
    return answer


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    node = Node(as_user=True)
    try:
        node.start()
        run = os.path.join(node.dir, "run")
        api = socket.socket(socket.AF_UNIX)
        api.connect(os.path.join(run, "claw.sock"))
        with open(os.path.join(run, "cookie")) as f:
            cookie = f.read().strip()
        api.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "auth",
                                "params": {"cookie": cookie}}).encode()
                    + b"\n")
        api.recv(65536)
        request = b'{"jsonrpc":"2.0","id":2,"method":"node.show"}\n'
        ours, bare = [], []
        answer = exchange(api, request, lambda a: a.endswith(b"\n"), ours)
        if "result" not in json.loads(answer):
            sys.exit("node.show: %s" % answer.decode())
        size = len(answer)
        peer = echo(size)
        ours.clear()
        while len(ours) < count:
            exchange(api, request, lambda a: a.endswith(b"\n"), ours)
            exchange(peer, request, lambda a: len(a) == size, bare)
        peer.close()
        api.close()
    finally:
        node.discard()
    ours_ms, bare_ms = statistics.median(ours), statistics.median(bare)
    print("%d requests, answers of %d bytes, medians" % (len(ours), size))
    print("node.show through controld to attestd  %.3f ms (%.1f asked)"
          % (ours_ms, LIMIT_MS))
    print("peer: bare echo over a Unix socket     %.3f ms" % bare_ms)
    print("node.show / bare echo                  %.1f" % (ours_ms / bare_ms))
    sys.exit(0 if ours_ms < LIMIT_MS else 1)


if __name__ == "__main__":
    main()
