#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Strangers in any number, links that end and come back, and what links cost a
node that has nothing to do.

Nothing is timed here but what is promised: that a revocation ends sessions
within two seconds, and what ten idle links take. Other tests run on the same
machine, so that only CLAW_LONG=1 asks for the promise; the figures are
reported."""

import collections
import os
import re
import select
import signal
import socket
import struct
import threading
import time

from claw_test import (LONG, Failure, contains, diag, equal, main, need_root,
                       ok, skip, test, wait_for)
from mesh_test import Peer, member

PENDING, PER_ADDRESS, SINGLY = 8, 3, 20
VISITS = 4096  # attestd/visits.h
FLOOD = 10000 if LONG else 1000
REVOKED_S = 2 if LONG else 10
LINKS = 10
IDLE_S = 30 if LONG else 5
IDLE_PERCENT = 0.2 if LONG else 2.0
IDLE_KB = 45 * 1024 if LONG else 90 * 1024
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def processes(node):
    """{pid: name} of a node, each worker too."""
    found = {node.pid: "clawd"}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % entry) as f:
                head, tail = f.read().rsplit(")", 1)
            if int(tail.split()[1]) == node.pid:
                found[int(entry)] = head.split("(", 1)[1]
        except OSError:
            continue
    return found


def called(node, name):
    return [pid for pid, what in processes(node).items() if what == name]


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # a worker whose connection has ended meanwhile


def linkds(node):
    return called(node, "linkd")


def descriptors(node):
    """How many each process of the suite has open."""
    return {name: len(os.listdir("/proc/%d/fd" % pid))
            for pid, name in processes(node).items() if name != "linkd"}


def counter(node, name):
    text = node.claw("metrics:print", check=True).stdout
    found = re.search(r"^%s(?:\{[^}]*\})? (\d+)" % name, text, re.M)
    if found is None:
        raise Failure("no counter %s in\n%s" % (name, text))
    return int(found.group(1))


def pair(config=None):
    alpha = Peer("alpha", config=config).start()
    beta = member(alpha, "beta", address=False).start()
    alpha.wait_links("beta")
    beta.wait_links("alpha")
    return alpha, beta


def settled(node):
    """Workers for its links, and two that wait."""
    return wait_for(lambda: len(linkds(node)) == len(node.links()) + 2, 30)


# Strangers


def stranger(node, number, says=b""):
    s = socket.socket()
    s.bind(("127.0.%d.%d" % (1 + number // 200, 1 + number % 200), 0))
    s.connect(("127.0.0.1", node.port))
    try:
        s.sendall(says)
    except OSError:
        pass
    return s


def kept(strangers):
    """Those that the node has not turned away."""
    gone = select.select(strangers, [], [], 0)[0]
    return [s for s in strangers if s not in gone]


@test("strangers get the room that is theirs, each address its part, and peers "
      "have their own")
def room():
    alpha, beta = pair({"mesh.max_pending": PENDING,
                        "mesh.per_address": PER_ADDRESS,
                        "mesh.handshake_timeout": "60s"})
    before = counter(alpha, "claw_mesh_turned_away_total")
    one = [stranger(alpha, 0) for _ in range(2 * PER_ADDRESS)]
    wait_for(lambda: len(kept(one)) == PER_ADDRESS)
    many = [stranger(alpha, 1 + n) for n in range(4 * PENDING)]
    wait_for(lambda: len(kept(one + many)) == PENDING)
    equal(counter(alpha, "claw_mesh_turned_away_total") - before,
          len(one + many) - PENDING, "who was turned away")
    # None of them has spoken: no worker is spent on them.
    settled(alpha)
    for _ in range(5):
        status, told = beta.ping(alpha.address)
        equal(status, 0, "node:ping past them: %r" % told)
    equal(len(kept(one + many)), PENDING, "who is still there")
    beta.wait_links("alpha")
    for s in one + many:
        s.close()


@test("a flood is bounded, leaves nothing behind, and fills no log")
def flood():
    need_root()  # to count others' descriptors
    alpha, beta = pair({"mesh.handshake_timeout": "1s"})
    settled(alpha)
    before, since = descriptors(alpha), alpha.since()
    size = len(alpha.records())
    link = alpha.links()[0]["session"]
    live, pings = [], 0
    for number in range(FLOOD):
        live.append(stranger(alpha, number % 5000,
                             os.urandom(200) if number % 2 else b""))
        if len(live) > 200:
            live.pop(0).close()
        if number % (FLOOD // 10) == 0:
            status, told = beta.ping(alpha.address)
            equal(status, 0, "node:ping through the flood: %r" % told)
            ok(len(linkds(alpha)) < 200, "workers without number")
            pings += 1
    for s in live:
        s.close()
    equal(alpha.links()[0]["session"], link, "the link that there was")
    wait_for(lambda: counter(alpha, "claw_mesh_pending") == 0, 30)
    settled(alpha)
    # One more of the clock: a summary follows within the minute.
    more = alpha.wait_event("peer.refused-more", since, timeout=90)
    ok(more["count"] > 0, "a summary of nothing")
    wait_for(lambda: descriptors(alpha) == before, 30,
             "descriptors as before")
    refused = alpha.events("peer.refused", since)
    ok(SINGLY <= len(refused), "%d recorded singly" % len(refused))
    grown = len(alpha.records()) - size
    ok(grown < 600, "%d records of %d strangers" % (grown, FLOOD))
    diag("%d strangers, %d node:pings: %d records, %d of them singly"
         % (FLOOD, pings, grown, len(refused)))


# Links


@test("a revocation ends the sessions of every connected node")
def revoked():
    alpha = Peer("alpha").start()
    beta = member(alpha, "beta").start()
    gamma = member(alpha, "gamma").start()
    for node, others in ((alpha, ("beta", "gamma")), (beta, ("alpha", "gamma")),
                         (gamma, ("alpha", "beta"))):
        node.wait_links(*others)
    alpha.revoke("gamma")
    start = time.monotonic()
    alpha.wait_links("beta", timeout=REVOKED_S)
    beta.wait_links("alpha", timeout=REVOKED_S)
    diag("gone everywhere after %.2f s" % (time.monotonic() - start))
    gamma.wait_links(timeout=REVOKED_S)
    for node in (alpha, beta):
        node.wait_event("peer.ended", peer="gamma", reason="revoked")
    status, told = gamma.ping(beta.address)
    equal(status, 1, "node:ping of who was revoked: %r" % told)


@test("links come back whoever was killed")
def back():
    alpha, beta = pair()
    for node in (alpha, beta):
        for name in ("meshd", "linkd", "attestd"):
            pids = wait_for(lambda: called(node, name))
            for pid in pids:
                kill(pid)
            wait_for(lambda: not set(pids) & set(processes(node)))
            for one, other in ((alpha, "beta"), (beta, "alpha")):
                wait_for(lambda: one.claw("node:links").returncode == 0, 30)
                one.wait_links(other, timeout=30)
            # 75 while one that is asked is away.
            wait_for(lambda: beta.claw("node:ping", alpha.address)
                     .returncode == 0, 30,
                     what="a good node:ping after %s of %s" % (
                         name, node.name))
        node.kill()
        node.start()
        for one, other in ((alpha, "beta"), (beta, "alpha")):
            one.wait_links(other, timeout=90)


@test("a peer that comes in a loop is refused after a while and its refusals "
      "are summed up; others are not refused, nor is it for ever")
def loop():
    if not LONG:
        skip("takes minutes: CLAW_LONG=1")
    alpha, beta = pair()
    gamma = member(alpha, "gamma").start()
    alpha.wait_links("beta", "gamma")
    since, size = alpha.since(), len(alpha.records())
    seen, reasons = collections.Counter(), set()

    def come():
        for _ in range((VISITS + 600) // 8):
            status, told = beta.ping(alpha.address)
            seen[status] += 1
            if status != 0:
                reasons.add(told["reason"])

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ok(seen[0] >= VISITS - 10, "let in %d times" % seen[0])
    ok(seen[1] > 0, "never refused")
    for reason in reasons:
        contains(reason, "its log says why (alert 49)", "the refusal")
    equal(gamma.ping(alpha.address)[0], 0, "node:ping by gamma")
    alpha.wait_links("beta", "gamma")  # that stays
    refused = [act for act in alpha.events("peer.refused", since)
               if act.get("peer") == "beta"]
    ok(0 < len(refused) <= 60, "%d refusals recorded singly" % len(refused))
    contains(refused[0]["reason"], "comes too often", "the record")
    alpha.wait_event("peer.refused-more", since, timeout=90)
    diag("let in %d times, refused %d times: %d records" % (
        seen[0], seen[1], len(alpha.records()) - size))
    equal(beta.ping(alpha.address)[0], 0, "node:ping a while later")


# Idle


def pages(pid):
    """Numbers of the pages of memory that a process has."""
    found = set()
    with open("/proc/%d/maps" % pid) as f, \
            open("/proc/%d/pagemap" % pid, "rb", buffering=0) as g:
        for line in f:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if start >= 1 << 47:
                continue  # the kernel's
            g.seek(start // (PAGE_KB * 1024) * 8)
            data = g.read((end - start) // (PAGE_KB * 1024) * 8)
            for (entry,) in struct.iter_unpack("<Q", data):
                if entry >> 63:
                    found.add(entry & ((1 << 55) - 1))
    return found


def cpu_ns(pid):
    try:
        with open("/proc/%d/schedstat" % pid) as f:
            return int(f.read().split()[0])
    except OSError:
        return 0


@test("ten links that are idle cost next to nothing")
def idle():
    need_root()
    hub = Peer("hub").start()
    spokes = [member(hub, "spoke%d" % n, address=False).start()
              for n in range(LINKS)]
    hub.wait_links(*(node.name for node in spokes), timeout=60)
    time.sleep(3)
    settled(hub)
    # Eleven nodes share libraries, so that the share of each, its PSS, is
    # less than what one alone would have. This is every page that it has.
    sizes, every, workers = {}, set(), 0
    for pid, name in processes(hub).items():
        own = pages(pid)
        sizes[name] = sizes.get(name, 0) + len(own - every) * PAGE_KB
        every |= own
        workers += name == "linkd"
    total = len(every) * PAGE_KB
    diag("%.1f MB with %d links and %d linkds: %s" % (
        total / 1024, LINKS, workers, ", ".join(
            "%s %.1f" % (name, kb / 1024) for name, kb in sizes.items())))
    before = {pid: cpu_ns(pid) for pid in processes(hub)}
    time.sleep(IDLE_S)
    used = sum(cpu_ns(pid) - ns for pid, ns in before.items())
    percent = used / (IDLE_S * 10 ** 9) * 100
    diag("%.3f %% of a core over %d s" % (percent, IDLE_S))
    equal(set(before), set(processes(hub)), "nobody came or went")
    ok(total < IDLE_KB, "%d kB" % total)
    ok(percent < IDLE_PERCENT, "%.3f %% of a core" % percent)


main()
