#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The registry as operators have it: orders that are in force when they are
answered, proposals that several authorities sign, exports that verify
anywhere, and histories that are refused (claw(1), claw-registry(5))."""

import base64
import concurrent.futures
import glob
import json
import os
import re
import secrets
import subprocess

from claw_test import (Failure, Node, contains, equal, free_port, main, ok, test,
                       wait_for)

# Public keys of RFC 8032, section 7.1.
KEYS = ["ed25519:" + base64.urlsafe_b64encode(bytes.fromhex(k)).decode()
        .rstrip("=") for k in (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf")]
LEAF = "ab" * 32


def sealing():
    return "x25519:" + base64.urlsafe_b64encode(
        secrets.token_bytes(32)).decode().rstrip("=")


def registry_file(node, name="registry.ndjson"):
    return os.path.join(node.dir, "data", "registry", name)


def write(path, data):
    """Over what is there, whose owner and mode stay."""
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def lines(node):
    return read(registry_file(node)).splitlines(keepends=True)


def genesis(node):
    with open(node.config) as f:
        return re.search(r"sha256:[0-9a-f]{64}", f.read())[0]


def authority(node):
    """The key of a node that has made a registry of its own."""
    return json.loads(lines(node)[0])["u"]["authorities"][0]


def own_key(node):
    """The identity of a node that has not started yet."""
    return json.loads(lines(node)[1])["u"]["identity"]


def new(name="node1", listen=""):
    """A node that no other reaches, unless told: it learns by files alone."""
    node = Node(name)
    node.claw("config:set", "node.listen=" + listen, check=True)
    return node


def adopt(node, other):
    """Before its first start: it believes the other's registry instead."""
    write(registry_file(node), read(registry_file(other)))
    if os.path.exists(registry_file(node, "registry.floor")):
        os.unlink(registry_file(node, "registry.floor"))
    node.claw("config:set", "node.registry.genesis=" + genesis(other),
              check=True)


def show(node):
    return json.loads(node.claw("registry:show", "--json", check=True).stdout)


def position(node):
    answer = show(node)
    return answer["seq"], answer["head"]


def followed(node):
    """keyd, too, is at the registry's last update: a token names it."""
    def there():
        token = node.claw("token:mint", "--audience", identity(node),
                          "--leaf", LEAF, check=True).stdout
        claims = token.split(".")[1]
        claims += "=" * (-len(claims) % 4)
        return json.loads(base64.urlsafe_b64decode(claims))["reg"] == \
            position(node)[0]

    wait_for(there, 10, "keyd to follow the registry")


def names(node, standing=None):
    """Whom the registry names, besides the node that made it."""
    return [n["name"] for n in show(node)["nodes"]
            if standing in (None, n["standing"]) and n["added"] != 1]


def add(node, name, key, *args):
    return node.claw("node:add", name, key, "--sealing", sealing(), *args,
                     check=True)


def refused(done, status, says, what=""):
    equal(done.returncode, status, "%s: %s%s" % (what, done.stdout,
                                                 done.stderr))
    contains(done.stderr, says, what)
    ok(len(done.stderr) > 10 and done.stderr.startswith("claw: "), done.stderr)


def audit(node):
    """The records of the log, in their order."""
    found = []
    for path in sorted(glob.glob(os.path.join(node.dir, "log", "audit", "*",
                                              "log.ndjson"))):
        with open(path) as f:
            found += [json.loads(line) for line in f]
    return found


def events(node):
    return [json.dumps(record) for record in audit(node)]


def path(node, name):
    return os.path.join(node.top, name)


def export(node, name):
    to = path(node, name)
    node.claw("registry:export", to, check=True)
    return to


# Orders


@test("a node is added, shown, revoked; each order is recorded before it is")
def add_and_revoke():
    with Node() as node:
        equal(names(node), [], "a new registry")
        done = add(node, "tokyo", KEYS[0], "--capabilities",
                   "sft.send,voice.accept", "--address", "192.0.2.1:7946",
                   "--address", "[2001:db8::1]:7946", "--zone", "asia",
                   "--expires", "90d")
        contains(done.stdout, "in force: update 2", "answer")
        tokyo = next(n for n in show(node)["nodes"]
                     if n["name"] == "tokyo")
        equal((tokyo["name"], tokyo["standing"], tokyo["identity"],
               tokyo["zone"], tokyo["added"]),
              ("tokyo", "ok", KEYS[0], "asia", 2), "the node")
        equal(tokyo["capabilities"], ["sft.send", "voice.accept"], "it may")
        equal(tokyo["addresses"], ["192.0.2.1:7946", "[2001:db8::1]:7946"],
              "it is at")
        equal(node.claw("node:why", "tokyo").returncode, 0, "why")
        contains(node.claw("registry:show").stdout, "tokyo", "as text")
        node.claw("node:revoke", "tokyo", "--reason", "lost on a train",
                  check=True)
        equal(names(node, "revoked"), ["tokyo"], "revoked")
        done = node.claw("node:why", "tokyo")
        equal(done.returncode, 1, "why")
        contains(done.stdout, "revoked", "why")
        equal(node.claw("node:why", "osaka").returncode, 1, "unknown")
        log = events(node)
        for op in ("node-add", "node-revoke"):
            places = [next(i for i, text in enumerate(log)
                           if '"%s"' % event in text and op in text)
                      for event in ("api.order", "registry.signed",
                                    "registry.updated")]
            equal(places, sorted(places), "order of the records of " + op)


@test("an answered order survives a power cut")
def durable():
    node = Node()
    node.start()
    add(node, "tokyo", KEYS[0])
    before = position(node)
    node.kill()
    node.start()
    equal(position(node), before, "after the cut")


@test("orders of many operators at a time: each is carried out, none forks")
def at_once():
    node = new()
    node.start()

    def order(number):
        return node.claw("binary:allow", "agent", "1.%d" % number,
                         "%064x" % (number + 1))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in pool.map(order, range(24)):
            equal((done.returncode, done.stderr), (0, ""), "an order")
    equal((position(node)[0], show(node)["fork"]), (25, None), "in one line")


@test("binaries, developers, windows: allowed, shown, revoked")
def the_rest():
    with Node() as node:
        binary = path(node, "agent")
        write(binary, b"#!/bin/sh\n")
        digest = subprocess.run(["sha256sum", binary], text=True,
                                stdout=subprocess.PIPE).stdout.split()[0]
        node.claw("binary:allow", "agent", "1.0.0", binary,
                  "--capabilities", "sft.send", check=True)
        node.claw("binary:allow", "agent", "1.0.1", "00" * 32, "--channel",
                  "beta", check=True)
        node.claw("developer:add", "ann", KEYS[0], check=True)
        node.claw("registry:policy", "--soft", "12h", "--hard", "7d",
                  check=True)
        answer = show(node)
        found = {b["version"]: b for b in answer["binaries"]}
        equal(found["1.0.0"]["sha256"], "sha256:" + digest, "of the file")
        equal(found["1.0.1"]["channel"], "beta", "channel")
        equal(answer["developers"][0]["key"], KEYS[0], "developer")
        equal((answer["soft_s"], answer["hard_s"]), (43200, 604800), "windows")
        node.claw("binary:revoke", digest, "--reason", "old", check=True)
        node.claw("developer:revoke", "ann", check=True)
        answer = show(node)
        equal([b["version"] for b in answer["binaries"] if b["revoked"]],
              ["1.0.0"], "revoked")
        ok(answer["developers"][0]["revoked"], "revoked")


@test("what the rules or the table do not allow is refused by its name")
def wrong_orders():
    with Node() as node:
        add(node, "tokyo", KEYS[0])
        before = position(node)
        for args, status, says in (
                (("node:add", "tokyo", KEYS[1], "--sealing", sealing()),
                 65, "name"),
                (("node:add", "osaka", KEYS[0], "--sealing", sealing()),
                 65, "key"),
                (("node:add", "osaka", KEYS[1]), 64, "--sealing"),
                (("node:add", "osaka", "ed25519:AAAA", "--sealing",
                  sealing()), 65, "identity"),
                (("node:add", "osaka", KEYS[1], "--sealing", KEYS[1]),
                 65, "sealing"),
                (("node:add", "Osaka", KEYS[1], "--sealing", sealing()),
                 65, "name"),
                (("node:add", "osaka", KEYS[1], "--sealing", sealing(),
                  "--capabilities", "root"), 64, "sft.send"),
                (("node:add", "osaka", KEYS[1], "--sealing", sealing(),
                  "--address", "nowhere"), 65, "address"),
                (("node:add", "osaka", KEYS[1], "--sealing", sealing(),
                  "--expires", "soon"), 64, "90d"),
                (("node:revoke", "osaka"), 65, "no node"),
                (("node:revoke", "tokyo", "--reason", "\u00e9"), 65, "reason"),
                (("developer:revoke", "ann"), 65, "no developer"),
                (("binary:revoke", "00" * 32), 65, "binary"),
                (("registry:policy", "--soft", "7d", "--hard", "12h"),
                 64, "--hard"),
                (("registry:policy",), 64, "--soft"),
                (("registry:resolve", "00" * 32), 65, "no fork"),
                (("registry:authority:remove", authority(node)), 65, "last"),
                (("registry:authority:remove", KEYS[2]), 65, "no authority"),
                (("registry:authority:add", authority(node)), 65, "already"),
                (("registry:authority:add", KEYS[2], "--threshold", "1"),
                 64, "--threshold"),
                (("registry:propose", "node-revoke", "tokyo"), 64, "name="),
                (("registry:propose", "node-revoke", "nme=tokyo"),
                 65, "takes name, reason"),
                (("registry:propose", "explode", "name=tokyo"), 65, "op:"),
                (("registry:sign", "/nonexistent"), 74, "/nonexistent"),
                (("registry:import", "/nonexistent"), 74, "/nonexistent")):
            refused(node.claw(*args), status, says, args)
        equal(position(node), before, "nothing has changed")


# Exports


@test("an export verifies without a node; what was changed in it does not")
def verify():
    node = Node()
    node.start()
    add(node, "tokyo", KEYS[0])
    add(node, "osaka", KEYS[1])
    node.claw("node:revoke", "tokyo", check=True)
    good = read(export(node, "whole"))
    seq, head = position(node)
    pin = genesis(node)
    node.stop()
    parts = good.splitlines(keepends=True)
    copy = path(node, "copy")

    def check(data, pinned=pin, *args):
        write(copy, data)
        return node.run("claw", "registry:verify", copy, "--genesis", pinned,
                        *args)

    done = check(good)
    equal((done.returncode, done.stdout), (0, "%d:%s\n" % (seq, head)),
          "as it is")
    equal(json.loads(check(good, pin, "--json").stdout)["seq"], seq, "JSON")
    # The beginning of a history is one.
    contains(check(b"".join(parts[:2])).stdout, "1:sha256:", "a part")
    wrong = [b"", b"\n", good[:-1], b"x" + good, good + b"x\n",
             b"".join(parts[1:]), b"".join(parts[:1] + parts[2:]),
             b"".join(parts[:2] + parts[1:]),
             b"".join([parts[0], parts[2], parts[1]] + parts[3:]),
             good.replace(b'"osaka"', b'"osakb"'),
             good.replace(b'"seq":2', b'"seq":2 ')]
    for i in range(0, len(good), 41):
        wrong.append(good[:i] + bytes([good[i] ^ 1]) + good[i + 1:])
    for data in wrong:
        done = check(data)
        equal((done.returncode, done.stdout), (65, ""),
              "of %d bytes: %s" % (len(data), done.stderr))
    refused(check(good, "00" * 32), 65, "genesis", "another's")
    refused(node.run("claw", "registry:verify", copy), 64, "--genesis",
            "nothing to hold it to")
    refused(node.run("claw", "registry:verify", "/nonexistent", "--genesis",
                     pin), 74, "nonexistent", "no file")


@test("an export brings another node up to date, as far as it verifies")
def import_lines():
    first, second = new("tokyo"), new("osaka")
    adopt(second, first)
    first.start()
    second.start()
    for number in range(40):
        first.claw("binary:allow", "agent", "1.%d" % number,
                   "%064x" % (number + 1), check=True)
    whole = export(first, "whole")
    data = read(whole)
    refused(first.claw("registry:export", whole), 73, "exists", "over a file")
    part = path(second, "part")

    def offer(content):
        write(part, content)
        return second.claw("registry:import", part)

    refused(offer(b""), 65, "empty", "nothing")
    all_lines = data.splitlines(keepends=True)
    refused(offer(b"".join(all_lines[5:])), 65, "missing", "a gap")
    changed_line = all_lines[10].replace(b'"1.8"', b'"1.7"')
    ok(changed_line != all_lines[10], "what is changed")
    done = offer(b"".join(all_lines[:10] + [changed_line]))
    refused(done, 65, "8 lines before it were new", "a changed line")
    equal(position(second)[0], 9, "the good ones")
    done = offer(data)
    equal((done.returncode, done.stderr), (0, ""), "the whole")
    contains(done.stdout, "32 new lines", "the rest")
    equal(position(second), position(first), "the same registry")
    contains(offer(data).stdout, "0 new lines", "again")
    # From standard input, in one go with nothing of it an argument.
    equal(second.claw("registry:import", "-",
                      input=data.decode()).returncode, 0, "stdin")
    # An order there needs the authority's key, which is here.
    done = second.claw("node:revoke", "tokyo")
    ok(done.returncode != 0, "an order without an authority")
    stranger = new("kyoto")
    write(part, read(registry_file(stranger)))
    refused(second.claw("registry:import", part), 65, "", "another registry")
    equal(position(second), position(first), "nothing has changed")


# Several authorities


def three():
    """Three nodes, each with an authority key; the first one's registry."""
    nodes = [new(name) for name in ("tokyo", "osaka", "kyoto")]
    keys = [authority(node) for node in nodes]
    for node in nodes[1:]:
        adopt(node, nodes[0])
    for node in nodes:
        node.start()
    return nodes, keys


def proposal(node, *args):
    """An order that needs more signatures: the file it goes into."""
    done = node.claw(*args)
    equal(done.returncode, 1, "%s: %s%s" % (args, done.stdout, done.stderr))
    contains(done.stderr, "not in force", args)
    equal(done.stdout.count("\n"), 1, "one line")
    to = path(node, "proposal")
    write(to, done.stdout.encode())
    os.chown(to, node.uid, -1)
    return to


def hand(file, to):
    """Carry a file to another node's operator."""
    copy = path(to, "proposal")
    write(copy, read(file))
    os.chown(copy, to.uid, -1)
    return copy


def share(nodes):
    """Every node gets what the one that is ahead has."""
    best = max(nodes, key=lambda node: position(node)[0])
    data = best.claw("registry:export", check=True).stdout
    for node in nodes:
        equal(node.claw("registry:import", "-", input=data).returncode, 0,
              "import")
    equal(len({position(node) for node in nodes}), 1, "one history")


def two_of_three():
    nodes, keys = three()
    first, second, _ = nodes
    # Old and new authorities sign it.
    file = proposal(first, "registry:authority:add", keys[1])
    file = hand(file, second)
    done = second.claw("registry:sign", file, check=True)
    contains(done.stdout, "update 2 is in force", "signed")
    contains(done.stderr, '"op":"authorities"', "what is signed is shown")
    share(nodes)
    file = hand(proposal(first, "registry:authority:add", keys[2]), second)
    second.claw("registry:sign", file, check=True)
    share(nodes)
    answer = show(first)
    equal(([a["key"] for a in answer["authorities"]], answer["threshold"]),
          (keys, 2), "two of three")
    return nodes, keys


@test("two of three authorities, on three nodes, add and revoke")
def thresholds():
    nodes, keys = two_of_three()
    first, second, third = nodes
    file = proposal(third, "node:add", "nara", KEYS[0], "--sealing",
                    sealing())
    refused(third.claw("registry:submit", file), 65, "signed by 1",
            "k-1 signers")
    refused(third.claw("registry:sign", file), 65, "already",
            "the same one again")
    equal(names(third), [], "one is not enough")
    file = hand(file, first)
    done = first.claw("registry:sign", file, check=True)
    contains(done.stdout, "in force", "two are")
    equal(names(first), ["nara"], "added")
    # With both signatures it is an update anywhere.
    done = second.claw("registry:submit", hand(file, second), check=True)
    contains(done.stdout, "in force: update 4", "submitted")
    done = second.claw("registry:submit", hand(file, second), check=True)
    contains(done.stdout, "has it already", "again")
    share(nodes)
    # Proposed by nobody, signed by two.
    done = first.claw("registry:propose", "node-revoke", "name=nara",
                      "reason=gone", check=True)
    file = path(first, "by-nobody")
    write(file, done.stdout.encode())
    equal(json.loads(done.stdout)["sigs"], [], "unsigned")
    refused(first.claw("registry:submit", file), 65, "signed by 0", "k-2")
    file = hand(file, second)
    contains(second.claw("registry:sign", file, check=True).stdout,
             "1 of 2", "how far it is")
    file = hand(file, third)
    third.claw("registry:sign", file, check=True)
    equal(names(third, "revoked"), ["nara"], "revoked")
    share(nodes)
    equal(names(first, "revoked"), ["nara"], "everywhere")


@test("a proposal that was changed, is stale, or is another's is not signed")
def proposals_refused():
    nodes, _ = two_of_three()
    first, second, third = nodes
    file = proposal(first, "node:add", "nara", KEYS[0], "--sealing",
                    sealing())
    good = read(file)
    for wrong in (good.replace(b"nara", b"sara"),
                  good.replace(b'"seq":4', b'"seq":5'), b"x\n", b"\n",
                  good + good, good[:-3] + b"\n"):
        mine = path(second, "proposal")
        write(mine, wrong)
        done = second.claw("registry:sign", mine)
        equal(done.returncode, 65, done.stdout + done.stderr)
        equal(read(mine), wrong, "the file")
    # Another update comes first: this one can be none any more.
    other = hand(proposal(third, "developer:add", "ann", KEYS[1]), second)
    second.claw("registry:sign", other, check=True)
    refused(second.claw("registry:sign", hand(file, second)), 65, "",
            "a stale one")
    # Removing needs as many as everything else, and the threshold follows.
    share(nodes)
    keys = [a["key"] for a in show(first)["authorities"]]
    file = hand(proposal(first, "registry:authority:remove", keys[2]), second)
    second.claw("registry:sign", file, check=True)
    share(nodes)
    answer = show(first)
    equal(([a["key"] for a in answer["authorities"]], answer["threshold"]),
          (keys[:2], 2), "two of two")
    file = proposal(first, "node:add", "nara", KEYS[0], "--sealing",
                    sealing())
    done = third.claw("registry:sign", hand(file, third))
    ok(done.returncode != 0, "who was removed")
    equal(names(first), [], "nobody was added")


# Histories that are refused


def will_not_start(node, *says):
    try:
        node.start(timeout=4)
    except Failure:
        pass
    else:
        raise Failure("it starts")
    finally:
        node.kill()
    for part in says:
        contains(node.log(), part, "the log")


@test("an old backup of the registry is refused at the start, with a reason")
def backup():
    node = Node()
    node.start()
    add(node, "tokyo", KEYS[0])
    node.stop()
    old = read(registry_file(node))
    node.start()
    node.claw("node:revoke", "tokyo", check=True)
    node.stop()
    new = read(registry_file(node))
    write(registry_file(node), old)
    will_not_start(node, "rolled back", "bring it back from another node")
    # And with the whole folder, all that remembers there gone with it.
    floor = os.path.join(os.path.dirname(registry_file(node)),
                         "registry.floor")
    kept = read(floor)
    os.unlink(floor)
    will_not_start(node, "an old backup", "registry:export", "keys/registry")
    write(floor, kept)
    # And with what it was, it starts again.
    write(registry_file(node), new)
    node.start()
    equal(names(node, "revoked"), ["tokyo"], "revoked")


@test("a changed, cut or foreign registry is refused at the start")
def changed():
    node, other = Node(), Node("other")
    node.start()
    add(node, "tokyo", KEYS[0])
    add(node, "osaka", KEYS[1])
    node.stop()
    good = read(registry_file(node))
    parts = good.splitlines(keepends=True)
    for wrong in (good.replace(b'"osaka"', b'"osakb"'), parts[0] + parts[2],
                  b"".join(parts[:2]), b"", read(registry_file(other))):
        write(registry_file(node), wrong)
        will_not_start(node, "registry")
    write(registry_file(node), good)
    node.start()
    equal(names(node), ["osaka", "tokyo"], "as it was")


@test("a torn last line of the registry is cut, and the rest is there")
def torn():
    node = Node()
    node.start()
    add(node, "tokyo", KEYS[0])
    before = position(node)
    node.kill()
    good = read(registry_file(node))
    for tail in (b"{", good.splitlines()[-1][:100]):
        write(registry_file(node), good + tail)
        node.start()
        equal(position(node), before, "after the cut")
        add(node, "n%d" % len(tail), KEYS[1 if len(tail) == 1 else 2])
        before = position(node)
        node.kill()
        good = read(registry_file(node))
        ok(good.endswith(b"\n"), "whole lines")


def twin(node, name):
    """The same node again, from a copy of all it has: what nobody should do."""
    copy = Node(name, init=False)
    subprocess.run(["cp", "-a", node.dir, copy.dir], check=True)
    with open(copy.config) as f:
        text = f.read().replace(node.dir, copy.dir)
    write(copy.config, text.encode())
    return copy


@test("two histories that both decide something are a fork until a resolve")
def fork():
    one = new()
    one.start()
    add(one, "tokyo", KEYS[0])
    common = position(one)[0]
    one.stop()
    two = twin(one, "twin")
    one.start()
    two.start()
    add(one, "osaka", KEYS[1])
    add(two, "nara", KEYS[2])
    two.claw("node:revoke", "tokyo", check=True)
    equal(show(one)["fork"], None, "no fork yet")
    theirs = export(two, "theirs")
    one.claw("registry:import", theirs, check=True)
    answer = show(one)
    ok(answer["fork"] is not None, "a fork")
    equal(answer["fork"]["common"], common, "what both share")
    equal(len(answer["fork"]["heads"]), 2, "heads")
    contains(one.claw("registry:show").stdout, "FORKED", "for a person")
    ok(any("registry.alarm" in text for text in events(one)), "the alarm")
    # Nobody's addition counts, everybody's revocation does.
    for name in ("osaka", "nara", "tokyo"):
        equal(one.claw("node:why", name).returncode, 1, name)
    chosen = position(two)[1]
    contains(answer["fork"]["heads"], chosen, "the other's head")
    refused(one.claw("registry:resolve", "00" * 32), 65, "head", "no head")
    one.claw("registry:resolve", chosen, check=True)
    answer = show(one)
    equal(answer["fork"], None, "resolved")
    equal(sorted(names(one, "ok")), ["nara"], "the chosen history")
    # keyd stood on the branch that is over, and found to the other one.
    followed(one)
    one.stop()
    one.start()
    followed(one)
    two.claw("registry:import", "-", check=True,
             input=one.claw("registry:export", check=True).stdout)
    equal(position(two), position(one), "the same registry")
    followed(two)
    for node in (one, two):
        ok("does not follow" not in node.log(), "keyd has followed")


# Other nodes


def free_address():
    return "127.0.0.1:%d" % free_port()


def identity(node):
    return json.loads(node.claw("node:show", "--json",
                                check=True).stdout)["identity"]


@test("node:ping says who answered, who refused, and who is not there")
def ping():
    address = free_address()
    first, second = new("tokyo", free_address()), new("osaka", address)
    adopt(second, first)
    first.start()
    second.start()
    done = first.claw("node:ping", free_address())
    equal(done.returncode, 69, "nobody is there: " + done.stdout)
    contains(done.stdout, "not reached", "why")
    done = first.claw("node:ping", address)
    equal(done.returncode, 1, "not in the registry: %s%s" % (done.stdout,
                                                             done.stderr))
    contains(done.stdout, "refused", "why")
    add(first, "osaka", identity(second), "--address", address)
    second.claw("registry:import", "-", check=True,
                input=first.claw("registry:export", check=True).stdout)
    for whom in (address, "osaka"):
        done = first.claw("node:ping", whom, "--json")
        equal(done.returncode, 0, "%s: %s%s" % (whom, done.stdout,
                                                done.stderr))
        answer = json.loads(done.stdout)
        equal((answer["attested"], answer["peer"], answer["seq"]),
              (True, "osaka", 2), "who")
        ok(all(answer["us"][part] > 0 for part in
               ("connect", "leaf", "verdict", "handshake", "welcome",
                "round_trip")), answer["us"])
    contains(first.claw("node:ping", "osaka").stdout, "is attested", "text")
    wait_for(lambda: "osaka" in first.claw("node:links").stdout, 20,
             "the link")
    first.claw("node:revoke", "osaka", check=True)
    done = first.claw("node:ping", address)
    equal(done.returncode, 1, done.stdout + done.stderr)
    contains(done.stdout, "revoked", "why")
    contains(first.claw("node:why", "osaka").stdout, "last refusal", "why")


@test("a ticket is alone on standard output; its invite is listed and closed")
def invites():
    with Node() as node:
        # It names the addresses that the registry has for the inviter.
        done = node.claw("node:invite", "--name", "nara")
        own = show(node)["nodes"][0]["addresses"]
        if own:
            body = done.stdout.strip().split(":")[1]
            contains(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)),
                     own[0].encode(), "the ticket")
            node.claw("invite:close", "nara", check=True)
        else:
            refused(done, 64, "--address", "no address")
        refused(node.claw("node:invite"), 64, "--name", "no name")
        for args, status, says in (
                (("--name", "Osaka"), 64, "--name"),
                (("--name", "osaka", "--expires", "2d"), 64, "--expires"),
                (("--name", "osaka", "--pubkey", "x"), 64, "--pubkey"),
                (("--name", "osaka", "--capabilities", "x"), 64, "sft.send"),
                (("--name", "node1"), 65, "node of that name")):
            refused(node.claw("node:invite", "--address", "192.0.2.1:1",
                              *args), status, says, args)
        done = node.claw("node:invite", "--name", "osaka", "--address",
                         "192.0.2.1:7946", "--expires", "1h", "--confirm",
                         "--pubkey", KEYS[0], check=True)
        ok(re.fullmatch(r"claw-join-1:[A-Za-z0-9_-]+\n", done.stdout),
           "one line")
        found = json.loads(node.claw("invite:list", "--json",
                                     check=True).stdout)["invites"]
        equal([(v["name"], v["state"], v["identity"]) for v in found
               if v["name"] == "osaka"], [("osaka", "open", None)], "listed")
        refused(node.claw("invite:confirm", "osaka"), 65, "nobody", "a yes")
        refused(node.claw("invite:close", "kyoto"), 65, "no open", "no such")
        node.claw("invite:close", "osaka", check=True)
        found = json.loads(node.claw("invite:list", "--json",
                                     check=True).stdout)["invites"]
        equal({v["state"] for v in found}, {"closed"}, "closed")
        text = "\n".join(events(node))
        contains(text, "invite.opened", "audit")
        contains(text, "invite.closed", "audit")


@test("a token is followed where and by whom it is meant, and no longer")
def tokens():
    first, second = new("tokyo"), new("osaka")
    key = own_key(second)
    first.start()
    add(first, "osaka", key, "--capabilities", "sft.send,sft.receive")
    adopt(second, first)
    second.start()
    mint = ("token:mint", "--leaf", LEAF)
    for args, status, says in (
            ((), 64, "--audience"), (("--audience", "x"), 65, "audience"),
            (("--audience", KEYS[0], "--ttl", "1h"), 64, "--ttl"),
            (("--audience", KEYS[0], "--capabilities", "x"), 64, "sft.send"),
            (("--audience", KEYS[0], "--capabilities", "voice.connect"), 77,
             "capability")):
        refused(second.claw(*mint, *args), status, says, args)
    refused(second.claw("token:mint", "--audience", KEYS[0]), 64, "--leaf",
            "no leaf")
    done = second.claw(*mint, "--audience", identity(first),
                       "--capabilities", "sft.send", "--ttl", "1m",
                       check=True)
    token = done.stdout.strip()
    equal((token.count("."), done.stderr), (2, ""), "alone on stdout")
    done = first.claw("token:check", "--leaf", LEAF, "--json",
                      input=token + "\n")
    equal(done.returncode, 0, done.stdout + done.stderr)
    answer = json.loads(done.stdout)
    equal((answer["good"], answer["issuer"], answer["capabilities"]),
          (True, "osaka", ["sft.send"]), "what it grants")
    other = token[:-9] + ("B" if token[-9] == "A" else "A") + token[-8:]
    for text, leaf in ((token, "00" * 32), (other, LEAF),
                       (token[:-1], LEAF), ("x", LEAF)):
        done = first.claw("token:check", "--leaf", leaf, input=text)
        equal(done.returncode, 1, "a wrong one: " + done.stdout)
        contains(done.stdout, "not followed", "why")
    equal(second.claw("token:check", "--leaf", LEAF, input=token).returncode,
          1, "for somebody else")
    first.claw("node:revoke", "osaka", check=True)
    equal(first.claw("token:check", "--leaf", LEAF, input=token).returncode,
          1, "of a node that was revoked")


# Secrets


def everything(node):
    """(place, bytes) of all that a node shows of itself."""
    yield "the log", node.log().encode()
    for folder, _, found in os.walk(node.dir):
        for name in found:
            full = os.path.join(folder, name)
            if os.path.isfile(full):
                yield full, read(full)
    for pid in [node.pid, *node.children().values()]:
        yield "/proc/%d/cmdline" % pid, read("/proc/%d/cmdline" % pid)
    for verb in ("status", "doctor", "invite:list", "registry:show",
                 "metrics:print", "registry:export"):
        done = node.claw(verb)
        yield "claw " + verb, (done.stdout + done.stderr).encode()
    done = node.claw("audit:tail", "-n", "1000")
    yield "the audit log", done.stdout.encode()


@test("no ticket, no token is in any log, file, argument or answer")
def canary():
    with Node() as node:
        secret = []
        for name in ("osaka", "nara"):
            ticket = node.claw("node:invite", "--name", name, "--address",
                               "192.0.2.1:7946", check=True).stdout.strip()
            body = ticket.split(":")[1]
            raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            # The seed stands before the checksum, whatever its size is.
            secret += [body[-40:].encode(), raw[-20:-4], raw[-24:-8]]
        node.claw("invite:close", "nara", check=True)
        for audience in (identity(node), KEYS[0]):
            token = node.claw("token:mint", "--audience", audience, "--leaf",
                              LEAF, check=True).stdout.strip()
            parts = token.split(".")
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
            secret += [parts[1].encode(), parts[2].encode(),
                       claims["jti"].encode()]
            node.claw("token:check", "--leaf", LEAF, input=token)
            node.claw("token:check", "--leaf", LEAF, input=token + "A")
            node.claw("token:check", "--leaf", LEAF, input=token + "\u00e9")
            # Where they do not belong they are not repeated either.
            word = parts[2]
            for args in (("node:ping", word), ("node:why", word),
                         ("invite:close", word), ("node:revoke", word),
                         ("node:revoke", "a", "--reason", word * 2),
                         ("registry:propose", word, "a=b"),
                         ("registry:propose", "policy", "%s=1" % word[:31]),
                         ("registry:resolve", word)):
                node.claw(*args)
            node.claw("registry:import", "-", input=word + "\n")
            node.claw("registry:sign", "-", input=word + "\n")
        for place, data in everything(node):
            for word in secret:
                ok(word not in data, "%s shows %r" % (place, word))


if __name__ == "__main__":
    main()
