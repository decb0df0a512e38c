#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Links between nodes: one for each two, again when it has ended, and no more
connections from anybody than the limits say.

Real nodes on this machine, with users of their own where the test runs as
root.
"""

import os
import signal
import socket
import time

from claw_test import contains, equal, main, ok, test, wait_for
from mesh_test import Peer, free_port, member


def two(config=None):
    """Two nodes that have found each other."""
    a = Peer("alpha", config=config).start()
    b = member(a, "beta", config).start()
    a.wait_links("beta")
    b.wait_links("alpha")
    return a, b


def one_each(a, b):
    wait_for(lambda: [l["peer"] for l in a.links()] == ["beta"] and
             [l["peer"] for l in b.links()] == ["alpha"], 20)


def counter(node, name):
    text = node.claw("metrics:print", check=True).stdout
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return 0.0


def stop(*nodes):
    for node in nodes:
        node.stop()


@test("two nodes that know each other's addresses have one link, and a ping "
      "takes the place of none")
def one_link():
    a, b = two()
    for _ in range(3):
        equal(a.ping("beta")[0], 0, "alpha pings beta")
        equal(b.ping("alpha")[0], 0, "beta pings alpha")
    time.sleep(3)
    one_each(a, b)
    since = a.links()[0]
    equal(a.ping("beta")[0], 0, "alpha pings beta")
    time.sleep(3)
    equal(a.links()[0], since, "the link is the same")
    # The pool is full again, and nothing else is left.
    wait_for(lambda: len(a.workers()) == 3, 10)
    stop(a, b)


@test("an address in the registry that nobody can dial, because it is a name, "
      "stops no link")
def name_for_address():
    a, b = two()
    a.add("ghost", "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
          address="ghost.example:7946")
    wait_for(lambda: b.head() == a.head(), 10)
    time.sleep(1)
    for node in (a, b):
        contains(node.claw("status").stdout, "meshd     ready", "meshd")
        ok("meshd starts again" not in node.log(), "meshd was not replaced")
    one_each(a, b)
    stop(a, b)


def nobody_accepts():
    """An address whose connections are neither accepted nor refused."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(0)
    held = [s]
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(s.getsockname())
        held.append(c)
    time.sleep(0.2)
    return held, "127.0.0.1:%d" % s.getsockname()[1]


@test("of several addresses each is tried: nobody there, nobody answering, "
      "somebody else, then the peer")
def several_addresses():
    a = Peer("alpha", init=False)
    # Whom the others do not dial.
    made = a.run("claw", "init", "--dir", a.dir, "--name", "alpha",
                 "--listen", a.address, "--address", "none")
    equal(made.returncode, 0, made.stderr)
    a.start()
    other = Peer("other").start()
    held, silent = nobody_accepts()
    dead = "127.0.0.1:%d" % free_port()
    b = member(a, "beta", address=[dead, silent, other.address, True]).start()
    status, answer = a.ping("beta")
    equal(status, 0, answer)
    equal(answer["address"], b.address, "where it answered")
    wait_for(lambda: [(l["address"], l["role"]) for l in a.links()] ==
             [(b.address, "client")], 30)
    for address in (dead, silent, other.address):
        wait_for(lambda: "no link with beta at " + address in a.log(), 10)
    # All are of no use: it is told of who was there.
    b.stop()
    status, answer = a.ping("beta")
    equal(status, 1, answer)
    equal(answer["address"], other.address, "who was there")
    for s in held:
        s.close()
    stop(a, other)


@test("a peer whose address only the configuration says is pinged by the name "
      "that it was met with")
def met():
    a = Peer("alpha").start()
    b = member(a, "beta", address=False).start()
    b.wait_links("alpha")
    asked = a.claw("node:ping", "beta")
    ok(asked.returncode != 0, asked.stdout)
    contains(asked.stdout + asked.stderr, "says no address", "why")
    a.claw("config:set", "node.sync.gossip_peers=" + b.address, check=True)
    a.claw("reload", check=True)
    wait_for(lambda: a.claw("node:ping", "beta").returncode == 0, 20)
    equal(a.ping("beta")[1]["address"], b.address, "where it answered")
    stop(a, b)


@test("a link that has ended is made again: its process killed, a node away, "
      "meshd replaced")
def again():
    a, b = two()
    time.sleep(3)  # until no link is left that is one too many
    one_each(a, b)
    held = a.workers()
    for pid in held:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not set(held) & set(a.workers()), 10)
    a.wait_links("beta")
    b.wait_links("alpha")
    b.stop()
    a.wait_links()
    b.start()
    a.wait_links("beta")
    b.wait_links("alpha")
    os.kill(a.children()["meshd"], signal.SIGKILL)
    wait_for(lambda: "meshd" in a.children(), 10)
    wait_for(lambda: a.claw("node:links").returncode == 0, 20)
    a.wait_links("beta")
    b.wait_links("alpha")
    stop(a, b)


@test("a link outlives attestd, and the next attestd judges its peer, too")
def another_attestd():
    a, b = two()
    time.sleep(3)
    one_each(a, b)
    link = a.links()[0]
    since = a.since()
    old = a.children()["attestd"]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: a.children().get("attestd", old) != old, 20)
    a.wait_event("peer.attested", since, timeout=20)
    wait_for(lambda: a.links() and a.links()[0] == link, 10)
    equal(a.ping("beta")[0], 0, "alpha pings beta")
    stop(a, b)


@test("connections of one address over the limit are closed unread, and a peer "
      "from elsewhere gets in meanwhile")
def over_the_limit():
    a = Peer("alpha", config={"mesh.per_address": 4,
                              "mesh.handshake_timeout": "20s"}).start()
    away = "claw_mesh_turned_away_total"
    before = counter(a, away)
    flood = [socket.create_connection(("127.0.0.1", a.port))
             for _ in range(20)]
    wait_for(lambda: counter(a, away) >= before + 16, 10)
    closed = 0
    for s in flood:
        s.settimeout(0.5)
        try:
            closed += s.recv(1) == b""
        except socket.timeout:
            pass
        except ConnectionResetError:
            closed += 1
    equal(closed, 16, "connections that were closed")
    with socket.socket() as s:
        s.bind(("127.0.0.2", 0))
        s.connect(("127.0.0.1", a.port))
        s.settimeout(0.5)
        try:
            s.recv(1)
            ok(False, "one of another address was closed")
        except socket.timeout:
            pass
    for s in flood:
        s.close()
    wait_for(lambda: counter(a, "claw_mesh_pending") == 0, 20)
    stop(a)


@test("who connects and says nothing is closed when mesh.handshake_timeout is "
      "over")
def silent():
    a = Peer("alpha", config={"mesh.handshake_timeout": "300ms"}).start()
    with socket.create_connection(("127.0.0.1", a.port)) as s:
        s.settimeout(20)
        try:
            equal(s.recv(1), b"", "the end")
        except ConnectionResetError:
            pass
    stop(a)


@test("a node stops in order with links up, and its peer knows why")
def stops():
    a, b = two()
    since = a.since()
    equal(b.stop(), 0, "beta's exit")
    a.wait_log("link with beta", since)
    contains(a.log()[since[0]:], "peer closed the link: it is stopping",
             "why the link has ended")
    stop(a)


if __name__ == "__main__":
    main()
