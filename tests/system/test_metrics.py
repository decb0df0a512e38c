#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The counters can be read whatever has happened to the other processes, in
the forms that Prometheus reads, and no reader can stop the others from it
(claw-metricd(8))."""

import json
import os
import re
import signal
import socket
import threading
import time

from claw_test import (Node, contains, equal, main, ok, test, wait_for)

SAMPLE = re.compile(r"[a-z_]+(\{[a-z_]+=\"[^\"\\\n]*\"(,[a-z_]+=\"[^\"]*\")*\})?"
                    r" [0-9]+$")
FAMILY = re.compile(r"# (HELP|TYPE) ([a-z_]+) (.+)$")


def connect(node, tcp=None):
    if tcp is not None:
        return socket.create_connection(("127.0.0.1", tcp), 10)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(os.path.join(node.dir, "run", "metrics.sock"))
    return s


def read_all(s):
    data = b""
    while True:
        part = s.recv(65536)
        if not part:
            return data
        data += part


def get(node, path="/metrics", method="GET", headers="", tcp=None, body=""):
    """(status, headers, body) of one request."""
    s = connect(node, tcp)
    s.sendall(("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n%s"
               % (method, path, headers, body)).encode())
    data = read_all(s).decode()
    s.close()
    head, _, text = data.partition("\r\n\r\n")
    ok(head.startswith("HTTP/1.1 "), "answer: %r" % data[:80])
    return int(head.split()[1]), head, text


def check_text(text, openmetrics):
    """Each family once, with its type, its samples right behind it."""
    lines = text.split("\n")
    equal(lines.pop(), "", "last line ends")
    if openmetrics:
        equal(lines.pop(), "# EOF", "end")
    types, seen, current = {}, set(), None
    for line in lines:
        match = FAMILY.match(line)
        if match and match[1] == "TYPE":
            ok(match[2] not in types, "twice: " + line)
            types[match[2]] = match[3]
            current = match[2]
        elif not match:
            ok(SAMPLE.match(line), "no sample: " + line)
            name = re.match("[a-z_]+", line)[0]
            family = name
            if openmetrics and types[current] == "counter":
                ok(name.endswith("_total"), line)
                family = name[:-len("_total")]
            equal(family, current, "family of " + line)
            ok(line.rsplit(" ", 1)[0] not in seen, "twice: " + line)
            seen.add(line.rsplit(" ", 1)[0])
    ok(len(seen) > 30, "%d samples" % len(seen))
    return types


@test("both forms are what Prometheus reads")
def forms():
    with Node() as node:
        status, head, text = get(node)
        equal(status, 200, "status")
        contains(head, "text/plain; version=0.0.4", "type")
        types = check_text(text, False)
        equal(types["claw_audit_records_total"], "counter", "a counter")
        equal(types["claw_process_up"], "gauge", "a gauge")
        status, head, text = get(
            node, headers="Accept: application/openmetrics-text;version=1.0.0,"
            "text/plain;q=0.5\r\n")
        contains(head, "application/openmetrics-text", "type")
        types = check_text(text, True)
        equal(types["claw_audit_records"], "counter", "a counter")
        check_text(node.claw("metrics:print", check=True).stdout, False)
        check_text(node.claw("metrics:print", "--openmetrics",
                             check=True).stdout, True)
        answer = json.loads(node.claw("metrics:print", "--json",
                                      check=True).stdout)
        equal(answer["schema"], "claw.metrics:print/1", "schema")
        check_text(answer["text"], False)


@test("there is /metrics, and nothing else")
def nothing_else():
    with Node() as node:
        equal(get(node, "/")[0], 200, "/")
        for path in ("/metrics/", "/x", "/../etc/passwd", "/%2e%2e/", "//"):
            equal(get(node, path)[0], 404, path)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
            status, head, _ = get(node, method=method)
            equal(status, 405, method)
            contains(head, "Allow: GET, HEAD", method)
        equal(get(node, "/metrics?x=1")[0], 200, "a query is no matter")
        status, _, text = get(node, method="HEAD")
        equal((status, text), (200, ""), "HEAD")


@test("what a process counts is what is served")
def counted():
    with Node() as node:
        def notes():
            match = re.search(r"^claw_audit_records_total (\d+)$",
                              get(node)[2], re.M)
            return int(match[1])
        before = notes()
        for _ in range(5):
            node.claw("audit:note", "x", check=True)
        ok(notes() >= before + 5, "records")


@test("over TCP too, where metrics.listen says so")
def tcp():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    node = Node()
    node.claw("config:set", "metrics.listen=127.0.0.1:%d" % port, check=True)
    with node:
        equal(get(node, tcp=port)[0], 200, "status")


def is_ready(node):
    done = node.claw("status", "--json")
    return done.returncode == 0 and json.loads(done.stdout)["ready"]


@test("whatever process is dead or stopped, the counters are served")
def independent():
    with Node() as node:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for name in ("controld", "attestd", "auditd", "keyd"):
                wait_for(lambda: is_ready(node), 60, "the suite")
                metricd = node.children()["metricd"]
                old = node.children()[name]
                os.kill(old, number)
                for _ in range(5):
                    equal(get(node)[0], 200, "%s %s" % (name, number))
                    equal(node.claw("metrics:print").returncode, 0, name)
                equal(node.children().get("metricd"), metricd,
                      "metricd is the same after " + name)
                # Its end has been noticed when there is another.
                wait_for(lambda: node.children().get(name, old) != old, 60,
                         "another " + name)


@test("a graceful restart turns no reader away")
def graceful():
    with Node() as node:
        failures = []
        over = threading.Event()

        def read():
            while not over.is_set():
                try:
                    equal(get(node)[0], 200, "status")
                except Exception as error:  # each kind is a failure
                    failures.append(repr(error))
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        before = node.children()["metricd"]
        node.claw("node:restart", "--graceful", check=True)
        over.set()
        for thread in threads:
            thread.join()
        ok(node.children()["metricd"] != before, "metricd was replaced")
        equal(failures, [], "failures")


@test("metrics:print reads the pages itself: metricd dead, or all of it")
def pages():
    with Node() as node:
        os.kill(node.children()["metricd"], signal.SIGSTOP)
        equal(node.claw("metrics:print").returncode, 0, "metricd stopped")
        node.stop()
        text = node.claw("metrics:print", check=True).stdout
        contains(text, "claw_audit_records_total", "the node is down")


@test("readers that are slow, silent or many do not keep others out")
def crowd():
    with Node() as node:
        pid = node.children()["metricd"]
        silent = []
        for _ in range(400):
            try:
                s = connect(node)
                silent.append(s)
                s.setblocking(False)
                s.send(b"GET /metr")
            except OSError:
                pass  # the queue is full
        # They have ten seconds; then there is room again.
        end = time.monotonic() + 40
        served = False
        while not served and time.monotonic() < end:
            try:
                served = get(node)[0] == 200
            except Exception:  # not yet
                time.sleep(0.5)
        ok(served, "not served")
        equal(node.children()["metricd"], pid, "the same metricd")
        for s in silent:
            s.close()


@test("a request that is too big is refused")
def too_big():
    with Node() as node:
        for data in (b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100000 + b"\r\n",
                     b"GET / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
                     + b"x" * 1000000,
                     b"\0" * 100000, b"\r\n" * 50000):
            s = connect(node)
            s.settimeout(15)
            try:
                s.sendall(data)
                answer = read_all(s)
                ok(b" 200 " not in answer[:20], "served: %r" % answer[:40])
            except (BrokenPipeError, ConnectionResetError):
                pass
            s.close()
        equal(get(node)[0], 200, "and goes on")


if __name__ == "__main__":
    main()
