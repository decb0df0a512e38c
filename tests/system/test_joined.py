#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a node that joined can do, with no configuration but what claw init
wrote: it is reached by its name, and it becomes an authority of the registry.

Real nodes on this machine, with users of their own where the test runs as
root.
"""

import json
import os
import subprocess

from claw_test import (binary, contains, equal, free_port, main, ok,
                       test, wait_for)
from mesh_test import SEALING, Peer

PREFIX = "claw-join-1:"
KEY = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


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
    return Peer(name, init=False)


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


# By file


def carry(text, name, node):
    """A file on a node's machine, brought there by somebody."""
    path = os.path.join(node.top, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o644)
    return path


@test("the whole join by files: request, node:add --request, export, complete; "
      "then each pings the other by name")
def offline():
    a, b = new_inviter(), new_joiner("beta")
    request = os.path.join(b.top, "request")
    os.chown(b.top, b.uid, -1)
    out = made(b, "--listen", b.address, "--request", request).stderr
    with open(request) as f:
        text = f.read()
    want = json.loads(text)
    equal(want["addresses"], [b.address], "its addresses")
    contains(out, want["identity"], "what the joiner shows")

    # Changed on the way, of another name or key, or no request at all.
    for wrong, flags, why in (
            (text.replace("beta", "bet0"), (), "changed on the way"),
            (text.replace(b.address, "127.0.0.1:1"), (), "changed on the way"),
            (text, ("gamma",), "of beta, not of gamma"),
            (text, ("beta", KEY), "of another key"),
            (text * 2, (), "no request"), ("{}", (), "no request"),
            ("x" * 5000, (), "longer than")):
        done = a.claw("node:add", "--request", carry(wrong, "wrong", a),
                      *flags)
        equal(done.returncode, 65, done.stdout + done.stderr)
        contains(done.stderr, why, flags)
    for flags in (("--sealing", SEALING), ("--next", "0" * 64)):
        done = a.claw("node:add", "--request", request, *flags)
        equal(done.returncode, 64, done.stdout + done.stderr)
    equal([u["op"] for u in updates(a)].count("node-add"), 1, "node-add")

    done = a.claw("node:add", "--request", carry(text, "request", a),
                  "--capabilities", "sft.send", "beta", check=True)
    contains(done.stderr, want["identity"], "what the authority shows")
    added = updates(a)[-1]
    for key in ("identity", "name", "sealing", "addresses"):
        equal(added[key], want[key], key)
    ok(want["next"].endswith(added["next"].rpartition(":")[2]), "next")

    exported = carry(a.claw("registry:export", "-", check=True).stdout,
                     "registry", b)
    genesis = json.loads(a.claw("registry:show", "--json",
                                check=True).stdout)["genesis"]
    made(b, "--listen", b.address, "--complete", exported, "--genesis",
         genesis)
    b.start()
    both_ping(a, b)


# It becomes an authority


def authority_key(node):
    return json.loads(node.claw("registry:authority:key", "--json",
                                check=True).stdout)


def authorities(node):
    shown = json.loads(node.claw("registry:show", "--json",
                                 check=True).stdout)
    return [a["key"] for a in shown["authorities"]], shown["threshold"]


def proposal(node, *args):
    """An order that others have to sign, too: its line."""
    done = node.claw(*args)
    equal(done.returncode, 1, "%s: %s%s" % (args, done.stdout, done.stderr))
    return done.stdout


def sign(node, line):
    done = node.claw("registry:sign", "-", input=line)
    equal(done.returncode, 0, done.stdout + done.stderr)
    return done.stdout


def same_head(*nodes):
    def one():
        return len({json.loads(n.claw("registry:show", "--json").stdout)
                    ["head"] for n in nodes}) == 1
    wait_for(one, what="one registry")


def joined(a, name):
    b = new_joiner(name)
    made(b, "--listen", b.address, "--join", "-",
         stdin=invite(a, name) + "\n")
    return b.start()


@test("two nodes that joined by ticket become, with the first, two of three "
      "authorities; each signs on its own machine")
def two_of_three():
    a = new_inviter()
    b, c = joined(a, "beta"), joined(a, "gamma")
    key_file = os.path.join(b.dir, "data", "keys", "authority.key")
    ok(not os.path.exists(key_file), "a node that joined has a key already")
    done = b.claw("node:add", "delta", authority_key(a)["authority"],
                  "--sealing", SEALING)
    ok(done.returncode != 0, "who is no authority signed")
    shown = [authority_key(n) for n in (a, b, c)]
    keys = [s["authority"] for s in shown]
    equal([s["new"] for s in shown], [False, True, True], "which are new")
    equal(len(set(keys + [s["fresh"] for s in shown])), 6, "keys")
    equal(os.stat(key_file).st_mode & 0o7777, 0o600, "mode of the key")
    # Asked again, it is the same; and so it is after a start.
    equal(authority_key(b), dict(shown[1], new=False), "beta's, again")
    b.stop()
    b.start()
    equal(authority_key(b), dict(shown[1], new=False), "after a start")
    equal(authorities(a), ([keys[0]], 1), "nobody has taken it in yet")
    ok("registry.authority" in [act["method"] for act in
                                b.events("api.order")], "it is on record")

    # Beta signs that it is one, too: two of two.
    line = proposal(a, "registry:authority:add", keys[1], "--fresh",
                    shown[1]["fresh"])
    contains(sign(b, line), '"op":"authorities"', "what beta has signed")
    wait_for(lambda: authorities(a) == (keys[:2], 2), what="two of two")
    same_head(a, b, c)
    # The third needs both.
    line = proposal(b, "registry:authority:add", keys[2], "--fresh",
                    shown[2]["fresh"])
    sign(a, line)
    for node in (a, b, c):
        wait_for(lambda: authorities(node) == (keys, 2), what="2 of 3")
    same_head(a, b, c)

    # Without the first one: two that joined admit and revoke.
    a.stop()
    line = proposal(b, "node:add", "delta", KEY, "--sealing", SEALING)
    sign(c, line)
    equal(addresses(c, "delta"), [], "delta is there")
    same_head(b, c)
    sign(b, proposal(c, "node:revoke", "delta"))
    same_head(b, c)
    a.start()
    same_head(a, b, c)
    equal([u["op"] for u in updates(a)][-2:], ["node-add", "node-revoke"],
          "what alpha has missed")


@test("an authority key of other keys of the node is not taken for its own")
def foreign_key():
    a = new_inviter()
    b, c = joined(a, "beta"), joined(a, "gamma")
    for node in (b, c):
        authority_key(node)
    files = [os.path.join(n.dir, "data", "keys", "authority.key")
             for n in (b, c)]
    with open(files[0], "rb") as f, open(files[1], "wb") as g:
        g.write(f.read())
    done = c.claw("registry:authority:key")
    equal(done.returncode, 1, done.stdout + done.stderr)
    contains(done.stderr, "was not sealed by this node", "what it says")
    # Lost, and moved away: another one.
    os.unlink(files[1])
    ok(authority_key(c)["new"], "a new key")


if __name__ == "__main__":
    main()
