#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What an attested handshake costs, between two real nodes on this machine.

CPU is that of all processes of both nodes, from the scheduler's accounts, less
what they use when nothing happens. What a linkd costs before there is a
connection for it and when it ends is the pool's, and told apart, and so is
clawd, which has no other part in it, and what the others do for a worker that
has nothing to do yet. The peer is a bare mutual TLS 1.3 handshake in one process
(bench_handshake), in turns with ours and, like ours, with a pause before each:
what has done something else meanwhile costs more; without it is told beside.
The latency is node.ping's own, once with the audit log in memory (nothing to
wait for in fdatasync) and once on the disk.

Then as many handshakes at a time as get the most done, and a flood of
strangers that a node:ping has to get through.

Usage: bench_attest.py [handshakes [connections of the flood]]
$CLAW_BENCH_DIR is a folder on the disk.
"""

import json
import os
import select
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))

import claw_test  # noqa: E402
from claw_test import Failure, wait_for  # noqa: E402
from mesh_test import Peer  # noqa: E402

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
TICK = os.sysconf("SC_CLK_TCK")
ROUNDS = 10
AT_ONCE = (4, 8, 12)  # mesh.per_address is 16
CPU_RATIO = 2.5
LATENCY_MS = 1.0
RATE = 100
FLOOD_MS = 50
FLOOD_OPEN = 500
WARM = 20
PAUSE_S = 0.1


# Two nodes


class Joined(Peer):
    """Beta, made with a ticket of alpha's."""

    def __init__(self, first):
        super().__init__("beta", True, init=False)
        ticket = first.claw("node:invite", "--name", "beta",
                            check=True).stdout
        made = self.run("claw", "init", "--dir", self.dir, "--name", "beta",
                        "--listen", "127.0.0.1:%d" % self.port, "--join", "-",
                        input=ticket)
        if made.returncode != 0:
            raise Failure("claw init --join: exit %d\n%s%s" % (
                made.returncode, made.stdout, made.stderr))


class Pair:
    """Alpha is called, beta calls. folder: where the logs are."""

    def __init__(self, folder):
        tempfile.tempdir = folder
        self.alpha = Peer("alpha", True)
        self.alpha.start()
        self.beta = Joined(self.alpha)
        self.beta.start()
        self.beta.wait_links("alpha")
        self.api = Api(self.beta)
        tempfile.tempdir = None

    def nodes(self):
        return (self.alpha, self.beta)

    def discard(self):
        self.api.close()
        for node in self.nodes():
            node.discard()


class Api:
    """A connection to a node's control socket."""

    def __init__(self, node):
        run = os.path.join(node.dir, "run")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(run, "claw.sock"))
        with open(os.path.join(run, "cookie")) as f:
            self.call("auth", {"cookie": f.read().strip()})

    def send(self, method, params):
        self.socket.sendall(json.dumps({
            "jsonrpc": "2.0", "id": 1, "method": method,
            "params": params}).encode() + b"\n")

    def answer(self):
        text = self.socket.recv(65536)
        while not text.endswith(b"\n"):
            text += self.socket.recv(65536)
        answer = json.loads(text)
        if "result" not in answer:
            raise Failure(text.decode())
        return answer["result"]

    def call(self, method, params):
        self.send(method, params)
        return self.answer()

    def ping(self):
        """node.ping's times, in ms, if it was attested."""
        told = self.call("node.ping", {"name": "alpha"})
        if not told["attested"]:
            raise Failure("not attested: %s" % told["reason"])
        return {name: us / 1e3 for name, us in told["us"].items()}

    def close(self):
        self.socket.close()


# Processor time, in ms


def running_ms(pid):
    with open("/proc/%d/schedstat" % pid) as f:
        return int(f.read().split()[0]) / 1e6


def reaped_ms(pid):
    """Of all children of a process that have ended."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) * 1000 / TICK


def suite(node):
    """{name: pid} without workers, which come and go."""
    found = {name: pid for name, pid in node.children().items()
             if name in claw_test.PROCESSES}
    found["clawd"] = node.pid
    return found


def used_ms(node):
    used = {name: running_ms(pid) for name, pid in suite(node).items()}
    used["linkd"] = reaped_ms(node.pid)
    return used


def difference(after, before):
    return {name: after[name] - before[name] for name in after}


def rest():
    """Until workers that were let go of have ended and others have begun."""
    time.sleep(1.0)


def workers(pair):
    """{pid: ms} of the linkds of both nodes."""
    found = {}
    for node in pair.nodes():
        for pid in workers_of(node):
            try:
                found[pid] = running_ms(pid)
            except OSError:
                continue
    return found


def workers_of(node):
    """Pids of the linkds of a node."""
    with open("/proc/%d/task/%d/children" % (node.pid, node.pid)) as f:
        found = []
        for pid in f.read().split():
            try:
                with open("/proc/%s/comm" % pid) as g:
                    if g.read().strip() == "linkd":
                        found.append(int(pid))
            except OSError:
                continue
        return found


def parts(rounds, pause_s=0):
    """{part: (CPU us, wall us)}: bench_handshake's medians."""
    done = subprocess.run(
        [os.path.join(BUILD, "tests", "bench", "bench_handshake"),
         str(rounds), str(int(pause_s * 1e6))], check=True, text=True, stdout=subprocess.PIPE)
    found = {}
    for line in done.stdout.splitlines():
        name, cpu, wall = line.split()
        found[name] = (float(cpu), float(wall))
    return found


class Sample:
    """So many handshakes, one after the other."""

    def __init__(self, pair, count):
        self.times = []   # node.ping's
        self.linkd = []   # ms of both workers, from connection to goodbye
        self.started = []  # ms of one until it waits for a connection
        for _ in range(WARM):
            pair.api.ping()
        rest()
        before = [used_ms(node) for node in pair.nodes()]
        start = time.monotonic()
        for _ in range(count):
            self.one(pair)
        rest()
        seconds = time.monotonic() - start
        self.used = {}  # ms of each kind of process
        self.add(pair, before, count, 1)
        # What they do anyway, as long again.
        before = [used_ms(node) for node in pair.nodes()]
        time.sleep(seconds)
        self.add(pair, before, count, -1)

    def one(self, pair):
        time.sleep(PAUSE_S)  # the pool is full again
        before = workers(pair)
        self.times.append(pair.api.ping())
        # A worker says goodbye for a moment before it ends.
        after = workers(pair)
        done = [after[pid] - before[pid] for pid in before
                if pid in after and after[pid] - before[pid] > 0.2]
        if len(done) == 2:
            self.linkd.append(sum(done))
        self.started += [before[pid] for pid in before]

    def add(self, pair, before, count, sign):
        for node, was in zip(pair.nodes(), before):
            for name, ms in difference(used_ms(node), was).items():
                self.used[name] = self.used.get(name, 0) + sign * ms / count


def middle(times, name):
    return statistics.median(t[name] for t in times)


# How many, and who else is at the door


def rate(pair, at_once, count):
    """Handshakes a second, so many under way at a time."""
    select, apis = selectors.DefaultSelector(), []
    for _ in range(at_once):
        apis.append(Api(pair.beta))
        select.register(apis[-1].socket, selectors.EVENT_READ, apis[-1])
    start, sent, done, failed = time.monotonic(), 0, 0, 0
    for api in apis:
        api.send("node.ping", {"name": "alpha"})
        sent += 1
    while done < sent:
        for key, _ in select.select():
            done += 1
            failed += 0 if key.data.answer()["attested"] else 1
            if sent < count:
                key.data.send("node.ping", {"name": "alpha"})
                sent += 1
    seconds = time.monotonic() - start
    for api in apis:
        api.close()
    return (done - failed) / seconds, failed


class Flood:
    """Connections from many addresses, of which every other says something
    that is no TLS and the rest say nothing, until the node has enough of
    them. In a process of its own."""

    def __init__(self, port, total):
        self.port, self.total = port, total
        self.noise = os.urandom(300)
        self.read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.read)
            self.run()
            os.write(write, b"done")
            os._exit(0)
        os.close(write)

    def open(self, number):
        s = socket.socket()
        s.setblocking(False)
        s.bind(("127.0.%d.%d" % (1 + number // 200 % 200, 1 + number % 200),
                0))
        s.connect_ex(("127.0.0.1", self.port))
        # On loopback it is there already; else it says nothing.
        try:
            if number % 2:
                s.send(self.noise)
        except OSError:
            pass
        return s

    def run(self):
        """As little of its own as can be: who measures is beside it."""
        poll, live, opened = select.epoll(), {}, 0
        while opened < self.total or live:
            while opened < self.total and len(live) < FLOOD_OPEN:
                s = self.open(opened)
                live[s.fileno()] = s
                poll.register(s, select.EPOLLIN)
                opened += 1
            for fd, _ in poll.poll():
                try:
                    if live[fd].recv(4096):
                        continue
                except OSError:
                    pass
                live.pop(fd).close()

    def over(self):
        return bool(os.waitpid(self.pid, os.WNOHANG)[0])


def flood(pair, total):
    """How long node.ping took, in ms, while strangers came; and how many."""
    times, failed, start = [], 0, time.monotonic()
    strangers = Flood(pair.alpha.port, total)
    while not strangers.over():
        begun = time.monotonic()
        told = pair.api.call("node.ping", {"name": "alpha"})
        times.append((time.monotonic() - begun) * 1e3)
        failed += 0 if told["attested"] else 1
    return times, failed, time.monotonic() - start


# What came of it

verdicts = []


def verdict(good, text):
    verdicts.append(good)
    print("%s  %s" % (text, "" if good else "  DOES NOT HOLD"))


def adoption(pair):
    """ms of each kind of process for one more worker that waits: its channels
    are made, and nothing comes through them."""
    node = pair.alpha
    rest()
    before, had = used_ms(node), len(workers_of(node))
    node.claw("config:set", "mesh.pool=32", check=True)
    node.claw("reload", check=True)
    wait_for(lambda: len(workers_of(node)) >= 32, 60)
    rest()
    count = len(workers_of(node)) - had
    return {name: ms / count
            for name, ms in difference(used_ms(node), before).items()}


def report_cpu(samples, adopted, bare, looped):
    used = {name: statistics.median(s.used[name] for s in samples)
            for name in samples[0].used}
    linkd = [ms for s in samples for ms in s.linkd]
    started = statistics.median(ms for s in samples for ms in s.started)
    own = {name: used[name] - 2 * adopted[name]
           for name in ("meshd", "attestd", "keyd", "auditd")}
    own["linkd"] = statistics.median(linkd)
    total = sum(own.values()) * 1e3
    print("CPU of an attested handshake, both nodes    %9.0f us" % total)
    for name, ms in sorted(own.items(), key=lambda item: -item[1]):
        print("    %-10s                              %9.0f us"
              % (name, ms * 1e3))
    print("beside it, paid by the pool, for both workers:")
    print("    until they wait for a connection        %9.0f us"
          % (2e3 * started))
    print("    their end                               %9.0f us"
          % ((used["linkd"] - own["linkd"] - 2 * started) * 1e3))
    print("    clawd, which starts and reaps them      %9.0f us"
          % (used["clawd"] * 1e3))
    print("    keyd, attestd and meshd: their channels %9.0f us"
          % (2e3 * sum(adopted[name]
                       for name in ("keyd", "attestd", "meshd"))))
    print("peer: bare mutual TLS 1.3, one process      %9.0f us" % bare)
    print("    one after the other, without a pause    %9.0f us" % looped)
    verdict(total / bare <= CPU_RATIO, "CPU, attested / bare"
            "                        %9.2f (%.1f asked), %d samples"
            % (total / bare, CPU_RATIO, len(linkd)))


def report_latency(memory, disk, bare_ms):
    print("latency, medians                            memory      disk")
    for name in ("connect", "leaf", "verdict", "handshake", "welcome",
                 "round_trip"):
        print("    %-36s %8.3f  %8.3f ms" % (
            name, middle(memory, name), middle(disk, name)))
    print("peer: bare mutual TLS 1.3                   %8.3f ms" % bare_ms)
    more = middle(memory, "handshake") - bare_ms
    verdict(more <= LATENCY_MS, "handshake without fdatasync, more than bare"
            " %8.3f ms (%.0f asked)" % (more, LATENCY_MS))


def measure(memory, disk, count, strangers):
    samples, in_memory, on_disk, alone, looped = [], [], [], [], []
    for _ in range(ROUNDS):
        alone.append(parts(20, PAUSE_S))
        looped.append(parts(50)["bare-tls"])
        samples.append(Sample(memory, count // ROUNDS))
        in_memory += samples[-1].times
        for _ in range(count // ROUNDS):
            time.sleep(PAUSE_S)
            on_disk.append(disk.api.ping())
    part = {name: tuple(statistics.median(p[name][i] for p in alone)
                        for i in (0, 1)) for name in alone[0]}
    report_cpu(samples, adoption(disk), part["bare-tls"][0],
               statistics.median(cpu for cpu, _ in looped))
    print("parts, alone in one process:")
    for name in ("attested-tls", "one-time-key", "leaf", "verify"):
        print("    %-36s    %9.0f us" % (name, part[name][0]))
    report_latency(in_memory, on_disk, part["bare-tls"][1] / 1e3)
    rates = {n: rate(memory, n, count) for n in AT_ONCE}
    best = max(rates, key=lambda n: rates[n][0])
    verdict(rates[best][0] >= RATE, "handshakes a second, %2d at a time"
            "          %9.0f (%d asked), %d failed"
            % (best, rates[best][0], RATE, rates[best][1]))
    times, failed, seconds = flood(memory, strangers)
    verdict(failed == 0 and max(times) < FLOOD_MS,
            "node.ping while %d strangers came in %.0f s: %d, %d failed\n"
            "    median                                  %9.1f ms\n"
            "    longest                                 %9.1f ms (%d asked)"
            % (strangers, seconds, len(times), failed,
               statistics.median(times), max(times), FLOOD_MS))


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    strangers = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    memory = Pair("/dev/shm")
    try:
        disk = Pair(os.environ.get("CLAW_BENCH_DIR", "/var/tmp"))
        try:
            measure(memory, disk, count, strangers)
        finally:
            disk.discard()
    finally:
        memory.discard()
    sys.exit(0 if all(verdicts) else 1)


if __name__ == "__main__":
    main()
