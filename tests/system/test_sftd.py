#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""test_sftd - what the broker of file transfers promises, between two nodes:
who may, where files go, what is written down, and that nothing that was begun
is lost when a process is."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("srcdir", "."), "tests/lib"))

from claw_test import ROOT, Failure, binary, main, ok, test, wait_for
from mesh_test import Peer, member

MIB = 1 << 20


def two(config=None, capabilities=None, as_user=not ROOT):
    """Nodes that know each other, up."""
    a = Peer("alpha", as_user, config=config).start()
    b = member(a, "beta", config, **(
        {} if capabilities is None else {"capabilities": capabilities}))
    b.start()
    return a, b


def source(node, name, size):
    path = os.path.join(node.dir, name)
    with open(path, "wb") as f:
        for _ in range(size // MIB):
            f.write(os.urandom(MIB))
        f.write(os.urandom(size % MIB))
    os.chmod(path, 0o644)
    return path


def send(node, to, path, *args, status=0):
    done = node.claw("file:send", "--target-node", to, "--source", path,
                     "--json", *args)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != status:
        raise Failure("file:send: exit %d and not %d\n%s%s" % (
            done.returncode, status, done.stdout, done.stderr))
    return events


def delivered(node, peer, name):
    return os.path.join(node.dir, "data", "files", peer, name)


def same(one, other):
    with open(one, "rb") as f, open(other, "rb") as g:
        return hashlib.sha256(f.read()).digest() == \
            hashlib.sha256(g.read()).digest()


def lines(node):
    with open(os.path.join(node.dir, "log", "sft.ndjson")) as f:
        return [json.loads(line) for line in f]


def incoming(node):
    return os.listdir(os.path.join(node.dir, "data", "sft", "incoming"))


@test("a file arrives whole under its peer's folder, with a receipt at both ends and a record of intent and outcome")
def arrives():
    arrives_as(not ROOT)


@test("the same with one user for all processes")
def arrives_as_user():
    arrives_as(True)


def arrives_as(as_user):
    a, b = two(as_user=as_user)
    path = source(a, "file.bin", 5 * MIB + 17)
    events = send(a, "beta", path)
    names = [e["event"] for e in events]
    ok(names[0] == "offer" and "attested" in names and
           "accepted" in names and names[-2:] == ["committed", "receipt"],
           "events: %s" % names)
    there = delivered(b, "alpha", "file.bin")
    ok(same(path, there), "what arrived is the same")
    ok(os.stat(there).st_mode & 0o777 == 0o640, "its mode")
    ok(int(os.stat(there).st_mtime) == int(os.stat(path).st_mtime),
           "its time")
    done = events[-1]
    for node, kind, peer in ((a, "file.send", "beta"),
                             (b, "file.receive", "alpha")):
        receipt = os.path.join(node.dir, "data", "sft", "receipts",
                               done["id"] + ".json")
        ok(os.path.exists(receipt), "receipt at %s" % node.name)
        intent = node.wait_event(kind, peer=peer)
        ok(intent.get("bytes") == 5 * MIB + 17, "intent: %s" % intent)
        node.wait_event(kind, blake3=done["blake3"], transfer=done["id"])
        line = lines(node)[-1]
        ok(line["result"] == "done" and line["id"] == done["id"] and
               line["blake3"] == done["blake3"], "line: %s" % line)
    ok(incoming(b) == [done["id"]], "what is left to answer again")


@test("nothing is overwritten unless it was said; the same file again is answered with its receipt")
def overwritten():
    a, b = two()
    path = source(a, "file.bin", 100)
    first = send(a, "beta", path)[-1]
    again = send(a, "beta", path)[-1]
    ok(again["event"] == "receipt" and again["id"] == first["id"],
           "the same transfer: %s" % again)
    os.unlink(path)
    source(a, "file.bin", 200)
    no = send(a, "beta", path, status=73)[-1]
    ok(no["name"] == "exists", "refused: %s" % no)
    b.wait_event("file.denied", peer="alpha", reason="exists")
    a.wait_event("file.denied", peer="beta", reason="exists")
    ok(os.path.getsize(delivered(b, "alpha", "file.bin")) == 100,
           "the first one")
    send(a, "beta", path, "--replace")
    ok(same(path, delivered(b, "alpha", "file.bin")), "replaced")


def put_back(path, data=None):
    """A copy in its place, with its owner and mode."""
    st = os.stat(path)
    if data is None:
        with open(path, "rb") as f:
            data = f.read()
    with open(path + ".copy", "wb") as f:
        f.write(data)
    os.chown(path + ".copy", st.st_uid, st.st_gid)
    os.chmod(path + ".copy", st.st_mode & 0o777)
    os.rename(path + ".copy", path)
    ok(os.stat(path).st_ino != st.st_ino, "another file")


@test("a delivered file that was put back from a copy is answered with its receipt; one that was changed is not, and it is said")
def from_backup():
    a, b = two()
    path = source(a, "file.bin", 3 * MIB + 17)
    first = send(a, "beta", path)[-1]
    there = delivered(b, "alpha", "file.bin")
    put_back(there)
    again = send(a, "beta", path)[-1]
    ok(again["event"] == "receipt" and again["id"] == first["id"],
           "put back: %s" % again)
    put_back(there)
    os.utime(there, (1, 1))
    b.stop()
    b.start()
    again = send(a, "beta", path)[-1]
    ok(again["event"] == "receipt" and again["id"] == first["id"],
           "with the node stopped: %s" % again)
    with open(there, "rb") as f:
        data = f.read()
    put_back(there, data[:-1] + bytes([data[-1] ^ 1]))
    no = send(a, "beta", path, status=73)[-1]
    ok(no["name"] == "exists" and "changed here" in no["text"],
           "changed: %s" % no)
    ok(os.path.getsize(there) == len(data) and not same(path, there),
           "it is as it was")
    send(a, "beta", path, "--replace")
    ok(same(path, there), "replaced")


@test("who lacks sft.send or sft.receive neither sends nor gets a file")
def capabilities():
    a, b = two(capabilities=("sft.send",))
    path = source(a, "file.bin", 100)
    no = send(a, "beta", path, status=77)[-1]
    ok(no["name"] == "denied", "refused: %s" % no)
    ok(os.listdir(os.path.join(b.dir, "data", "files")) == [],
           "nothing is there")


@test("a file over sft.max_bytes is refused before a byte of it is sent")
def too_large():
    a, b = two()
    b.stop()
    b.configure({"sft.max_bytes": "1M"})
    b.start()
    path = source(a, "file.bin", MIB + 1)
    no = send(a, "beta", path, status=77)[-1]
    ok(no["name"] == "too-large" and no["by_peer"], "refused: %s" % no)
    ok(incoming(b) == [], "nothing was begun")


RULES = ("deny name=*.key; allow peer=alpha name=*.iso into=images/iso "
         "replace=no max_size=64K; allow peer=gamma")


def ruled(node, rules):
    node.claw("config:set", "sft.accept=" + rules, check=True)
    node.claw("reload", check=True)


@test("sft.accept: the first rule that fits decides whether, where to and what is replaced; the peer hears why, the operator by which rule")
def rules():
    a, b = two()
    ruled(b, RULES)
    path = source(a, "x.iso", 100)
    send(a, "beta", path)
    ok(same(path, delivered(b, "images/iso", "x.iso")), "where the rule says")
    ok(lines(b)[-1]["into"] == "images/iso", "line: %s" % lines(b)[-1])
    # Its receipt again, wherever it lies.
    ok(send(a, "beta", path)[-1]["event"] == "receipt", "again")
    os.unlink(path)
    source(a, "x.iso", 101)
    for flags, status, name, rule, file in (
            (["--replace"], 73, "exists", "rule 2: allow peer=alpha", path),
            ([], 77, "denied", "rule 1: deny name=", source(a, "id.key", 1)),
            (["--name", "in/x.key"], 77, "denied", "rule 1", path),
            ([], 77, "too-large", "rule 2", source(a, "y.iso", 65537)),
            ([], 77, "denied", "no rule of", source(a, "x.txt", 1))):
        no = send(a, "beta", file, *flags, status=status)[-1]
        ok(no["name"] == name and no["by_peer"], "refused: %s" % no)
        ok("rule" not in no["text"], "what the peer hears: %s" % no)
        b.wait_event("file.denied", peer="alpha", reason=rule)
        ok(rule in lines(b)[-1]["text"], "line: %s" % lines(b)[-1])
    ok(os.path.getsize(delivered(b, "images/iso", "x.iso")) == 100,
           "the first one")
    ok(incoming(b) != [] and os.listdir(os.path.join(
        b.dir, "data", "files")) == ["images"], "nothing else came")


@test("sft.accept: what is wrong is told with its line and taken by nobody; what would be decided can be asked before")
def rules_checked():
    a, b = two()
    ruled(b, RULES)
    with open(b.config) as f:
        good = f.read()
    line = 1 + good[:good.index("accept: [")].count("\n")
    with open(b.config, "w") as f:
        f.write(good.replace('"allow peer=gamma"', '"allow pear=gamma"'))
    done = b.claw("config:check")
    ok(done.returncode == 78 and ":%d:" % line in done.stderr and
           'rule 3' in done.stderr and '"peer="' in done.stderr,
           "told: %s" % done.stderr)
    ok(b.claw("reload").returncode == 78, "not taken")
    no = send(a, "beta", source(a, "x.txt", 1), status=77)[-1]
    ok(no["name"] == "denied", "as before: %s" % no)
    with open(b.config, "w") as f:
        f.write(good.replace("allow peer=gamma", "allow peer=alp*"))
    asked = ("file:policy", "--json", "alpha")
    done = b.claw(*asked, "x.txt", check=True)
    ok(json.loads(done.stdout)["rule"] == 3, done.stdout)
    done = b.claw(*asked, "x.iso", "65K")
    said = json.loads(done.stdout)
    ok(done.returncode == 77 and not said["allowed"] and said["rule"] == 2 and
           said["into"] == "images/iso" and said["max_size"] == 65536 and
           not said["replace"], done.stdout)
    done = b.claw("file:policy", "alpha", "x.key")
    ok(done.returncode == 77 and "deny name=*.key" in done.stdout,
           done.stdout)
    ok(b.claw("file:policy", "alpha", "../x").returncode == 64, "no name")
    b.claw("reload", check=True)
    send(a, "beta", os.path.join(a.dir, "x.txt"))
    ok(os.path.exists(delivered(b, "alpha", "x.txt")), "the rule in force")


@test("a dry run is answered as the file would be, and leaves nothing")
def dry_run():
    a, b = two()
    path = source(a, "file.bin", 100)
    last = send(a, "beta", path, "--dry-run")[-1]
    ok(last["event"] == "dry-run", "answer: %s" % last)
    ok(incoming(b) == [], "nothing was begun")


@test("sft.verify: disk: what is committed was read back")
def read_back():
    a, b = two({"sft.verify": "disk"})
    path = source(a, "file.bin", 9 * MIB + 1)
    send(a, "beta", path)
    ok(same(path, delivered(b, "alpha", "file.bin")), "the same")


def begin(node, path, *args):
    return subprocess.Popen(
        [binary("claw"), "-f", node.config, "file:send", "--target-node",
         "beta", "--source", path, "--json", *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env=node.env, cwd=node.top,
        **node.credentials())


def until_moving(process):
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["durable"] > 0:
            return event
        if event["event"] == "error":
            raise Failure("ended: %s" % event)
    raise Failure("it never moved")


@test("whichever process is killed under a transfer, it goes on where it was and arrives whole")
def killed():
    a, b = two()
    for node, name in ((a, "xferd"), (b, "xferd"), (a, "sftd"), (b, "sftd")):
        path = source(a, "%s-%s" % (node.name, name), 40 * MIB)
        process = begin(a, path, "--limit", "20M")
        until_moving(process)
        for pid in node.workers(name):
            os.kill(pid, signal.SIGKILL)
        process.stdout.read()
        process.wait()
        # sftd's own death ends its clients; the same command goes on.
        if process.returncode != 0:
            wait_for(lambda: node.workers("sftd"), 10, "sftd is back")
            def repeated():
                done = a.claw("file:send", "--target-node", "beta",
                              "--source", path, "--json")
                return done if done.returncode == 0 else None
            wait_for(repeated, 30, "it goes on")
        ok(same(path, delivered(b, "alpha", os.path.basename(path))),
               "%s of %s killed: the same" % (name, node.name))


@test("a client that leaves pauses its transfer, unless it was detached")
def leaves():
    a, b = two()
    path = source(a, "file.bin", 40 * MIB)
    process = begin(a, path, "--limit", "10M")
    until_moving(process)
    process.kill()
    process.wait()
    wait_for(lambda: lines(a)[-1:] and lines(a)[-1]["result"] == "paused", 10,
             "paused")
    events = send(a, "beta", path)
    resumed = [e for e in events if e["event"] == "accepted"][0]
    ok(resumed["resumed"] and resumed["have"] > 0, "%s" % resumed)
    path = source(a, "other.bin", 10 * MIB)
    last = send(a, "beta", path, "--limit", "10M", "--detach")[-1]
    ok(last["event"] == "detached", "%s" % last)
    wait_for(lambda: os.path.exists(delivered(b, "alpha", "other.bin")), 20,
             "it arrives by itself")


def closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@test("strangers that say nothing, bring a route of nobody's, or come in any number are closed, and a transfer beside them arrives")
def strangers():
    a, b = two({"mesh.handshake_timeout": "1s"})
    path = source(a, "file.bin", 20 * MIB)
    process = begin(a, path, "--limit", "10M")
    until_moving(process)
    port = ("127.0.0.1", b.port + 1)
    crowd = []
    for i in range(400):
        one = socket.create_connection(port, 5)
        one.settimeout(10)
        if i % 2:
            one.sendall(bytes([1 + i % 20] * 16))
        crowd.append(one)
    for one in crowd:
        ok(closed(one), "it is closed")
    process.stdout.read()
    ok(process.wait() == 0, "the transfer is done")
    ok(same(path, delivered(b, "alpha", "file.bin")), "the same")
    wait_for(lambda: len(b.workers("xferd")) <= 2, 20, "workers as before")
    text = b.claw("metrics:print", check=True).stdout
    away = [line for line in text.splitlines()
            if line.startswith("claw_sft_turned_away_total ")]
    ok(float(away[0].split()[-1]) > 0, "turned away: %s" % away)


if __name__ == "__main__":
    main()
