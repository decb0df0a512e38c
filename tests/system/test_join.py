#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""One ticket, one set of keys: a node joins with a ticket and nothing else lets
it in; whoever is cut off, and when, there is either no node or a whole one,
and the same command goes on.

Two real nodes on this machine, with users of their own where the test runs as
root. The cuts are made by tests/system/cutoff. CLAW_LONG=1 makes all of them.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from claw_test import (LONG, ROOT, Failure, Node, binary, contains, diag,
                       equal, free_port, main, need_root, ok, reachable, skip, test,
                       wait_for)

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
CUTS = 1 if LONG else 16  # steps between two cuts, at most
PREFIX = "claw-join-1:"


def new_inviter(name="alpha"):
    node = Node(name, init=False)
    node.address = "127.0.0.1:%d" % free_port()
    made = node.run("claw", "init", "--dir", node.dir, "--name", name,
                    "--listen", node.address)
    equal(made.returncode, 0, made.stdout + made.stderr)
    return node.start()


def invite(node, name="beta", *flags):
    """A ticket."""
    done = node.claw("node:invite", "--name", name, *flags, check=True)
    return next(w for w in done.stdout.split() if w.startswith(PREFIX))


def new_joiner(name="beta"):
    return Node(name, init=False)


def join(node, ticket, *flags, stdin=None, name=None):
    if "--listen" not in flags:  # where nobody else does
        flags += ("--listen", node.listen)
    return node.run("claw", "init", "--dir", node.dir, "--name",
                    name or node.name, "--join", ticket, *flags, input=stdin)


def joined(node, ticket):
    done = join(node, ticket)
    equal(done.returncode, 0, done.stdout + done.stderr)
    return done


def path(node, *parts):
    return os.path.join(node.dir, *parts)


def registry(node):
    """[u] of the chain on the disk."""
    with open(path(node, "data", "registry", "registry.ndjson")) as f:
        return [json.loads(line)["u"] for line in f]


def added(node, name="beta"):
    return [u for u in registry(node)
            if u["op"] == "node-add" and u["name"] == name]


def records(node, event):
    found = []
    for folder, _, files in os.walk(path(node, "log", "audit")):
        for name in files:
            if name.endswith(".ndjson"):
                with open(os.path.join(folder, name)) as f:
                    found += [r["act"] for r in map(json.loads, f)
                              if r["act"]["event"] == event]
    return found


def everything(node):
    """Every byte below a node's folder, and its log."""
    text = node.log().encode()
    for folder, _, files in os.walk(node.dir):
        for name in files:
            if os.path.isfile(os.path.join(folder, name)):
                with open(os.path.join(folder, name), "rb") as f:
                    text += f.read()
    return text


def no_node(node):
    ok(not os.path.exists(node.config), "there is a configuration")
    ok(not os.path.exists(path(node, "data", "keys", "node.key")),
       "there is a node.key")


def whole(node):
    """A node that joined starts and finds the others."""
    ok(not os.path.exists(path(node, "data", "keys", "node.key.joining")),
       "the keys have two names")
    equal(len(added(node, node.name)), 1, "node-add of itself")
    node.start()
    wait_for(lambda: "linked with" in node.log(), what="a link")


# Tickets as somebody changes them


def body_of(ticket):
    text = ticket[len(PREFIX):]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ticket_of(body):
    """With the checksum that it then has to have."""
    body = body[:-4]
    body += hashlib.sha256(PREFIX.encode() + body).digest()[:4]
    return PREFIX + base64.urlsafe_b64encode(body).decode().rstrip("=")


def with_address(ticket, old, new):
    old, new = old.encode(), new.encode()
    body = body_of(ticket)
    return ticket_of(body.replace(bytes([0, len(old)]) + old,
                                  bytes([0, len(new)]) + new))


def with_other_seed(ticket):
    body = bytearray(body_of(ticket))
    body[-5] ^= 1
    return ticket_of(bytes(body))


def with_expiry(ticket, seconds):
    body = body_of(ticket)
    return ticket_of(body[:1] + seconds.to_bytes(8, "big") + body[9:])


# It joins


@test("a ticket makes a node, both ends print the same six words, and the two "
      "find each other")
def good():
    a, b = new_inviter(), new_joiner()
    done = joined(b, invite(a))
    words = done.stdout.splitlines()[1].strip()
    equal(len(words.split()), 6, "words of the joiner")
    contains(a.log(), words, "log of the inviter")
    contains(a.claw("invite:list", check=True).stdout, words, "invite:list")
    with open(b.config) as f:
        contains(f.read(), a.address, "gossip_peers")
    equal(len(added(a)), 1, "node-add at the inviter")
    whole(b)
    used = records(a, "invite.closed")
    equal(len(records(a, "invite.opened")), 1, "invite.opened")
    equal([r["reason"] for r in used], ["used"], "invite.closed")


@test("the ticket from standard input or a file; without --name it is the "
      "ticket's")
def from_stdin():
    a = new_inviter()
    b = new_joiner()
    done = join(b, "-", stdin=invite(a) + "\n")
    equal(done.returncode, 0, done.stderr)
    c = new_joiner("gamma")
    ticket = os.path.join(c.top, "ticket")
    with open(ticket, "w") as f:
        f.write(invite(a, "gamma") + "\n")
    os.chmod(ticket, 0o644)
    done = c.run("clawd", "--init", "--dir", c.dir, "--join", "@" + ticket)
    equal(done.returncode, 0, done.stderr)
    whole(c)


@test("the ticket is in no argument that others see, in no log and no file of "
      "either node")
def unseen():
    a, b = new_inviter(), new_joiner()
    ticket = invite(a, "beta", "--confirm")
    secret = body_of(ticket)[-20:-4]
    process = subprocess.Popen(
        [binary("claw"), "init", "--dir", b.dir, "--name", "beta", "--join",
         ticket], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=b.env, **b.credentials())
    try:
        wait_for(lambda: "waiting" in a.claw("invite:list").stdout,
                 what="the joiner")
        seen = b""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name in ("cmdline", "environ"):
                try:
                    with open("/proc/%s/%s" % (pid, name), "rb") as f:
                        text = f.read()
                except OSError:
                    continue
                if int(pid) != os.getpid():
                    seen += text
        ok(ticket.encode() not in seen, "the ticket is in an argument")
    finally:
        a.claw("invite:confirm", "beta", check=True)
        out = process.communicate(timeout=60)[0]
    equal(process.returncode, 0, out)
    whole(b)
    for node in (a, b):
        text = everything(node) + out.encode()
        for form in (ticket.encode(), secret, secret.hex().encode(),
                     base64.urlsafe_b64encode(secret)[:20]):
            ok(form not in text, "the ticket in %s" % node.name)


# It does not join


def refuse(a, ticket, status, text, name="beta"):
    """The joiner's words; there is no node, and nobody was added."""
    b = new_joiner(name)
    done = join(b, ticket)
    equal(done.returncode, status, done.stdout + done.stderr)
    contains(done.stderr, text, "what it says")
    no_node(b)
    return b


@test("a wrong, a damaged, an expired ticket, one for another name: refused, "
      "and nobody is added")
def wrong():
    a = new_inviter()
    ticket = invite(a)
    refuse(a, with_other_seed(ticket), 77, "no invite with that ticket")
    # The joiner's answer does not wait for it: nothing follows from a no.
    wait_for(lambda: records(a, "peer.refused"))
    contains(records(a, "peer.refused")[-1]["reason"],
             "no invite with that ticket", "audit of the inviter")
    refuse(a, ticket[:-1] + ("A" if ticket[-1] != "A" else "B"), 65, "")
    refuse(a, "claw-join-1:", 65, "")
    refuse(a, ticket, 65, "is for beta", name="gamma")
    refuse(a, with_expiry(ticket, int(time.time()) - 1), 77, "has expired")
    equal(added(a), [], "node-add")
    # What was tried with another ticket leaves the real one good.
    joined(new_joiner(), ticket)


@test("a ticket whose time is over at the inviter is refused there, whatever "
      "its text says")
def expired():
    a = new_inviter()
    ticket = invite(a, "beta", "--expires", "3s")
    wait_for(lambda: "expired" in a.claw("invite:list").stdout,
             what="the expiry")
    refuse(a, with_expiry(ticket, int(time.time()) + 600), 77,
           "no open invite")
    # The same while another invite keeps the door open.
    invite(a, "gamma")
    refuse(a, with_expiry(ticket, int(time.time()) + 600), 77, "")
    equal(added(a), [], "node-add")


@test("a withdrawn invite lets nobody in")
def withdrawn():
    a = new_inviter()
    ticket = invite(a)
    a.claw("invite:close", "beta", check=True)
    refuse(a, ticket, 77, "no open invite")
    equal(added(a), [], "node-add")
    equal([r["reason"] for r in records(a, "invite.closed")],
          ["withdrawn"], "invite.closed")


@test("used again with other keys: refused, in the audit log, and the operator "
      "is told")
def reuse():
    a, b = new_inviter(), new_joiner()
    ticket = invite(a)
    joined(b, ticket)
    refuse(a, ticket, 77, "used with other keys")
    wait_for(lambda: records(a, "ticket-reuse"))
    equal(len(records(a, "ticket-reuse")), 1, "ticket-reuse")
    contains(a.log(), "came again with other keys", "log of the inviter")
    equal(len(added(a)), 1, "node-add")
    whole(b)


@test("used again with the same keys: the same answer")
def again():
    a, b = new_inviter(), new_joiner()
    ticket = invite(a)
    joined(b, ticket)
    for _ in range(2):
        os.unlink(b.config)
        for key in ("node.key", "next.key"):
            os.rename(path(b, "data", "keys", key),
                      path(b, "data", "keys", key + ".joining"))
        os.unlink(path(b, "data", "registry", "registry.ndjson"))
        joined(b, ticket)
    equal(len(added(a)), 1, "node-add")
    equal(records(a, "ticket-reuse"), [], "ticket-reuse")
    whole(b)


@test("somebody in the middle who knows the ticket's text, but has not the "
      "inviter's key, gets nothing")
def middle():
    a, m = new_inviter(), new_inviter("mallory")
    ticket = invite(a)
    invite(m)  # his door is open, for the same name
    b = refuse(a, with_address(ticket, a.address, m.address), 77,
               "not the inviter that the ticket names")
    equal(added(m), [], "node-add at mallory")
    ok("has joined" not in m.log(), "mallory believes it")
    ok("used" not in m.claw("invite:list").stdout, "mallory saw a JOIN")
    # The keys are the same when the right one is found.
    keys = open(path(b, "data", "keys", "node.key.joining"), "rb").read()
    joined(b, ticket)
    equal(open(path(b, "data", "keys", "node.key"), "rb").read(), keys,
          "keys")
    whole(b)


@test("a server that is no node at all, and one that nobody hears")
def no_server():
    a = new_inviter()
    ticket = invite(a)
    refuse(a, with_address(ticket, a.address, "127.0.0.1:%d" % free_port()),
           75, "cannot be reached")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]

        def talk():
            peer = s.accept()[0]
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.close()

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        refuse(a, with_address(ticket, a.address, "127.0.0.1:%d" % port), 75,
               "127.0.0.1")
        thread.join(10)
    joined(new_joiner(), ticket)


def background(node, ticket):
    return subprocess.Popen(
        [binary("claw"), "init", "--dir", node.dir, "--name", node.name,
         "--join", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=node.env,
        **node.credentials()), ticket


def feed(started):
    process, ticket = started
    process.stdin.write(ticket + "\n")
    process.stdin.flush()
    return process


def outcome(process):
    out = process.communicate(timeout=90)[0]
    return process.returncode, out


@test("--confirm: it waits until an operator has said yes, and is not added "
      "before")
def confirm_yes():
    a, b = new_inviter(), new_joiner()
    process = feed(background(b, invite(a, "beta", "--confirm")))
    wait_for(lambda: "waiting" in a.claw("invite:list").stdout, what="it")
    equal(added(a), [], "node-add before the yes")
    no_node(b)
    a.claw("invite:confirm", "beta", check=True)
    status, out = outcome(process)
    equal(status, 0, out)
    whole(b)


@test("--confirm: after a no there is no node")
def confirm_no():
    a, b = new_inviter(), new_joiner()
    process = feed(background(b, invite(a, "beta", "--confirm")))
    wait_for(lambda: "waiting" in a.claw("invite:list").stdout, what="it")
    a.claw("invite:close", "beta", check=True)
    status, out = outcome(process)
    equal(status, 77, out)
    contains(out, "withdrawn", "what it says")
    no_node(b)
    equal(added(a), [], "node-add")


@test("--pubkey: the ticket is good for one key alone")
def pubkey():
    a, b = new_inviter(), new_joiner()
    # Its keys are made, and shown, before anybody hears of them.
    first = join(b, with_address(invite(a), a.address,
                                 "127.0.0.1:%d" % free_port()))
    key = re.search(r"ed25519:[\w-]+", first.stdout).group()
    ticket = invite(a, "beta", "--pubkey", key)
    refuse(a, ticket, 77, "for another key")
    joined(b, ticket)
    equal(added(a)[0]["identity"], key, "identity")
    whole(b)


@test("by file, with no connection at all: a request there, the registry back; "
      "a wrong hash or another node's registry makes no node")
def by_file():
    a, b = new_inviter(), new_joiner()
    started = ["claw", "init", "--dir", b.dir, "--name", "beta"]
    for _ in range(2):  # the second time with the same keys
        done = b.run(*started, "--request", "-")
        equal(done.returncode, 0, done.stderr)
        text = done.stdout.splitlines()[-1]
        want = json.loads(text)
    with open(path(b, "data", "keys", "node.key.joining"), "rb") as f:
        keys = f.read()
    no_node(b)
    exported = os.path.join(b.top, "registry")
    genesis = json.loads(a.claw("registry:show", "--json",
                                check=True).stdout)["genesis"]
    if not genesis.startswith("sha256:"):
        genesis = "sha256:" + genesis

    def complete(genesis):
        with open(exported, "w") as f:
            f.write(a.claw("registry:export", "-", check=True).stdout)
        os.chmod(exported, 0o644)
        return b.run(*started, "--complete", exported, "--genesis", genesis)

    done = complete(genesis)
    equal(done.returncode, 65, done.stdout + done.stderr)
    contains(done.stderr, "does not name beta", "before node:add")
    no_node(b)
    a.claw("node:add", "beta", want["identity"], "--sealing", want["sealing"],
           check=True)
    done = complete("sha256:" + "0" * 64)
    equal(done.returncode, 65, done.stdout + done.stderr)
    no_node(b)
    done = complete(genesis)
    equal(done.returncode, 0, done.stdout + done.stderr)
    with open(path(b, "data", "keys", "node.key"), "rb") as f:
        equal(f.read(), keys, "keys")
    b.start()
    done = b.claw("node:ping", a.address)
    equal(done.returncode, 0, done.stdout + done.stderr)


# Cut off


def cut(node, number, ticket):
    """Joins until the number-th trace. (status, how many there were)."""
    done = subprocess.run(
        [reachable(os.path.join(BUILD, "tests", "system", "cutoff")),
         str(number), binary("clawd"), "--init", "--dir", node.dir, "--name",
         node.name, "--join", "-", "--listen", node.listen],
        input=ticket + "\n", text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
        env=node.env)
    last = done.stderr.split()[-1:] or ["0"]
    return done.returncode, int(last[0]) if last[0].isdigit() else 0


def complete(node, ticket):
    if os.path.exists(node.config):
        return subprocess.CompletedProcess([], 0, "", "")
    return join(node, ticket)


def unlocked(done):
    return done if "another claw init" not in done.stderr else None


@test("a joiner that is cut off at any step: no node or a whole one, the same "
      "command goes on, with the same keys")
def cut_joiner():
    need_root()
    a, b = new_inviter(), new_joiner()
    status, steps = cut(b, 1000000, invite(a))
    equal(status, 0, "an attempt that is not cut off")
    ok(steps > 20, "only %d steps" % steps)
    points = list(range(1, steps + 1, CUTS))
    # Around the end lie the files.
    points += [p for p in range(steps - 14, steps + 1) if p not in points]
    for number, point in enumerate(points):
        name = "b%d" % number
        c, ticket = new_joiner(name), invite(a, name)
        status, _ = cut(c, point, ticket)
        half = path(c, "data", "keys", "node.key.joining")
        whole_already = os.path.exists(c.config)
        keys = open(half, "rb").read() if os.path.exists(half) else None
        if not whole_already:
            equal(status, 99, "cut %d of %d" % (point, steps))
            # What was under way takes a moment to see that it is over.
            done = wait_for(lambda: unlocked(complete(c, ticket)),
                            what="the lock")
            ok(os.path.exists(c.config), "cut %d: it did not go on: %d %s" % (
                point, done.returncode, done.stdout + done.stderr))
        final = open(path(c, "data", "keys", "node.key"), "rb").read()
        ok(keys is None or keys == final, "cut %d: other keys" % point)
        equal(len(added(a, name)), 1, "cut %d: node-add" % point)
        equal(len(added(c, name)), 1, "cut %d: in its registry" % point)
        if number % 8 == 0 or whole_already:
            c.start()
            c.stop()
        c.discard()
    equal(records(a, "ticket-reuse"), [], "ticket-reuse")


@test("who was added and cut off before he knew, and whose ticket is over: the "
      "registry by file makes the node, with the same keys")
def added_and_late():
    need_root()
    a, b = new_inviter(), new_joiner()
    born, point = time.time(), 30
    ticket = invite(a, "beta", "--expires", "20s")
    while not added(a):
        ok(cut(b, point, ticket)[0] == 99, "cut %d" % point)
        point += 1
    no_node(b)
    with open(path(b, "data", "keys", "node.key.joining"), "rb") as f:
        keys = f.read()
    for name in ("registry.ndjson", "registry.ndjson.joining"):
        if os.path.exists(path(b, "data", "registry", name)):
            os.unlink(path(b, "data", "registry", name))
    time.sleep(max(0, born + 21 - time.time()))
    done = join(b, ticket)
    equal(done.returncode, 77, done.stderr)
    contains(done.stderr, "expired", "a ticket that is over")
    exported = os.path.join(b.top, "registry")
    with open(exported, "w") as f:
        f.write(a.claw("registry:export", "-", check=True).stdout)
    os.chmod(exported, 0o644)
    genesis = json.loads(a.claw("registry:show", "--json",
                                check=True).stdout)["genesis"]
    done = b.run("claw", "init", "--dir", b.dir, "--name", "beta",
                 "--complete", exported, "--genesis", genesis)
    equal(done.returncode, 0, done.stdout + done.stderr)
    with open(path(b, "data", "keys", "node.key"), "rb") as f:
        equal(f.read(), keys, "keys")
    equal(len(added(a)), 1, "node-add")
    b.start()
    done = b.claw("node:ping", a.address)
    equal(done.returncode, 0, done.stdout + done.stderr)


def hold(pid):
    process = subprocess.Popen(
        [reachable(os.path.join(BUILD, "tests", "system", "inject")), "hold",
         str(pid)], stdout=subprocess.PIPE, text=True)
    return process


def used_on_disk(node):
    try:
        with open(path(node, "data", "registry", "invites.ndjson")) as f:
            return '"state":"used"' in f.read()
    except OSError:
        return False


@test("attestd of the inviter dies between used and node-add: the joiner goes "
      "on by itself, and is added once")
def attestd_dies():
    need_root()
    a, b = new_inviter(), new_joiner()
    ticket = invite(a)
    held = hold(a.children()["auditd"])
    process = feed(background(b, ticket))
    try:
        wait_for(lambda: used_on_disk(a), what="used(keys) on the disk")
        equal(added(a), [], "node-add before its record")
        os.kill(a.children()["attestd"], signal.SIGKILL)
    finally:
        held.kill()
        held.wait()
    status, out = outcome(process)
    equal(status, 0, out)
    equal(len(added(a)), 1, "node-add")
    refuse(a, ticket, 77, "")
    equal(len(added(a)), 1, "node-add")
    whole(b)


@test("the inviter loses its power between used and node-add: nobody is added, "
      "the ticket stays with its keys, and a new invite lets them in")
def inviter_dies():
    need_root()
    a, b = new_inviter(), new_joiner()
    ticket = invite(a)
    held = hold(a.children()["auditd"])
    process = feed(background(b, ticket))
    wait_for(lambda: used_on_disk(a), what="used(keys) on the disk")
    a.kill()
    held.kill()
    held.wait()
    status, out = outcome(process)
    ok(status in (75, 77), "%d: %s" % (status, out))
    no_node(b)
    a.start()
    equal(added(a), [], "node-add")
    # keyd's permit went with the power: an operator has to say it again.
    wait_for(lambda: " void " in a.claw("invite:list").stdout,
             what="the end of the invite")
    contains(records(a, "invite.closed")[-1]["reason"], "restarted", "audit")
    refuse(a, ticket, 77, "no open invite")
    keys = open(path(b, "data", "keys", "node.key.joining"), "rb").read()
    joined(b, invite(a))
    equal(open(path(b, "data", "keys", "node.key"), "rb").read(), keys,
          "keys")
    whole(b)


@test("keyd of the inviter dies: its invites are void, which both ends are "
      "told and both ends' records say, and a new invite lets them in")
def keyd_dies():
    need_root()
    a, b, c = new_inviter(), new_joiner(), new_joiner("gamma")
    unused, asked = invite(a), invite(a, "gamma", "--confirm")
    process = feed(background(c, asked))
    wait_for(lambda: "waiting" in a.claw("invite:list").stdout, what="it")
    os.kill(a.children()["keyd"], signal.SIGKILL)
    wait_for(lambda: a.log().count("meshd is ready") == 2, 30, "the restart")
    status, out = outcome(process)
    ok(status in (75, 77), "%d: %s" % (status, out))
    contains(out, "the node was restarted since", "what the joiner is told")
    refuse(a, unused, 77, "the node was restarted since")
    wait_for(lambda: a.claw("invite:list").stdout.count(" void ") == 2,
             what="the end of the invites")
    for name in ("beta", "gamma"):
        contains(a.log(), "the invite for %s is void" % name, "the log")
        gone = [r for r in records(a, "invite.closed") if r["node"] == name]
        equal([(r["outcome"], r["reason"]) for r in gone],
              [("failed", "the node was restarted")], "invite.closed")
        done = a.claw("invite:confirm", name)
        ok(done.returncode != 0, "confirmed a void invite")
    contains(records(a, "peer.refused")[-1]["reason"],
             "wants to speak claw-join/1, which we do not speak now",
             "audit of the inviter")
    equal(added(a), [], "node-add")
    no_node(c)
    # While another invite keeps the door open it is said by name.
    ticket = invite(a)
    done = join(c, asked)
    equal(done.returncode, 77, done.stderr)
    joined(b, ticket)
    joined(c, invite(a, "gamma"))
    equal(len(added(a)) + len(added(a, "gamma")), 2, "node-add")
    whole(b)


if __name__ == "__main__":
    main()
