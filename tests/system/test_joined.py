#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a node that joined can do, with no configuration but what claw init
wrote: it is reached by its name.

Real nodes on this machine, with users of their own where the test runs as
root.
"""

import json
import os
import subprocess

from claw_test import (Node, binary, contains, equal, free_port, main, ok,
                       test, wait_for)
from mesh_test import Peer

PREFIX = "claw-join-1:"


def invite(node, name, *flags):
    done = node.claw("node:invite", "--name", name, *flags, check=True)
    return next(w for w in done.stdout.split() if w.startswith(PREFIX))


def init(node, *flags, stdin=None):
    return node.run("claw", "init", "--dir", node.dir, "--name", node.name,
                    *flags, input=stdin)


def made(node, *flags, stdin=None):
    done = init(node, *flags, stdin=stdin)
    equal(done.returncode, 0, done.stdout + done.stderr)
    return done


def new_inviter(name="alpha"):
    return Peer(name).start()


def new_joiner(name):
    node = Node(name, init=False)
    node.address = "127.0.0.1:%d" % free_port()
    return node


def updates(node):
    with open(os.path.join(node.dir, "data", "registry",
                           "registry.ndjson")) as f:
        return [json.loads(line)["u"] for line in f]


def addresses(node, name):
    """What the node's registry says of a node's addresses."""
    return [u.get("addresses", []) for u in updates(node)
            if u["op"] == "node-add" and u["name"] == name][-1]


def ping(node, name):
    def answered():
        done = node.claw("node:ping", name, "--json")
        return done.returncode == 0 and json.loads(done.stdout)["peer"] == name
    wait_for(answered, what="%s's ping of %s" % (node.name, name))


def both_ping(a, b):
    for one, other in ((a, b), (b, a)):
        ping(one, other.name)


# It is reached


@test("after a join each node pings the other by name, and the registry says "
      "where it listens")
def by_name():
    a, b = new_inviter(), new_joiner("beta")
    out = made(b, "--listen", b.address, "--join", "-",
               stdin=invite(a, "beta") + "\n").stdout
    contains(out, "reached at " + b.address, "what the joiner says")
    equal(addresses(a, "beta"), [b.address], "the registry's word")
    b.start()
    both_ping(a, b)


@test("who listens everywhere gets the address that the inviter sees; "
      "--address says it better, and none says nothing")
def wildcard():
    a = new_inviter()
    port = free_port()
    for name, flags, want in (
            ("beta", [], ["127.0.0.1:%d" % port]),
            ("gamma", ["--address", "192.0.2.7:7946",
                       "--address", "[2001:db8::7]:7946"],
             ["192.0.2.7:7946", "[2001:db8::7]:7946"]),
            ("delta", ["--address", "none"], [])):
        node = new_joiner(name)
        made(node, "--listen", "0.0.0.0:%d" % port, *flags, "--join", "-",
             stdin=invite(a, name) + "\n")
        equal(addresses(a, name), want, name)
        if name == "beta":
            node.start()
            both_ping(a, node)
            node.stop()


@test("an address that nobody could dial is refused before anything is made")
def unreachable():
    a = new_inviter()
    ticket = invite(a, "beta")
    for flags, text in (
            (["--address", "0.0.0.0:7946"], "no address of one machine"),
            (["--address", "node.example:7946"], "no numeric address"),
            (["--address", "192.0.2.7"], "no numeric address"),
            (["--address", "192.0.2.7:1", "--address", "192.0.2.7:1"],
             "named twice"),
            (["--address", "192.0.2.7:1"] * 5, "at most 4 times")):
        b = new_joiner("beta")
        done = init(b, *flags, "--join", "-", stdin=ticket + "\n")
        ok(done.returncode in (64, 65), "%s: exit %d" % (
            flags, done.returncode))
        contains(done.stderr, text, "what it says of %s" % flags)
        ok(not os.path.exists(os.path.join(b.dir, "data", "keys")),
           "keys were made")
        # The same for a node with a registry of its own.
        equal(init(b, *flags).returncode, done.returncode, "without a ticket")
    equal([u["op"] for u in updates(a)].count("node-add"), 1, "node-add")


@test("--confirm: who says yes sees the addresses before")
def confirm():
    a, b = new_inviter(), new_joiner("beta")
    process = subprocess.Popen(
        [binary("claw"), "init", "--dir", b.dir, "--name", "beta", "--listen",
         b.address, "--join", "-"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=b.env, **b.credentials())
    process.stdin.write(invite(a, "beta", "--confirm") + "\n")
    process.stdin.flush()
    wait_for(lambda: "waiting" in a.claw("invite:list").stdout, what="it")
    contains(a.claw("invite:list", check=True).stdout,
             "reached at " + b.address, "invite:list")
    contains(a.log(), "reached at " + b.address, "log of the inviter")
    shown = json.loads(a.claw("invite:list", "--json", check=True).stdout)
    equal(shown["invites"][0]["addresses"], b.address, "invite:list --json")
    a.claw("invite:confirm", "beta", check=True)
    out = process.communicate(timeout=90)[0]
    equal(process.returncode, 0, out)
    equal(addresses(a, "beta"), [b.address], "the registry's word")


if __name__ == "__main__":
    main()
