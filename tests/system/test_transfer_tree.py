#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""test_transfer_tree - folders and several sources: what arrives is what was
sent, with names, contents, times and who may run what; nothing leads out of
it; a receipt is verified against either end's folder; and a half one is never
seen, whatever ends while it is unpacked."""

import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get("srcdir", "."), "tests/lib"))

from claw_test import Failure, main, ok, test, wait_for
from mesh_test import Peer, member
from sft_test import same

STAMP = 1700000000123456789


def two():
    a = Peer("alpha").start()
    b = member(a, "beta")
    b.start()
    return a, b


def send(node, to, *args, status=0):
    done = node.claw("file:send", "--target-node", to, "--json", *args,
                     timeout=120)
    if done.returncode != status:
        raise Failure("file:send: exit %d and not %d\n%s%s" % (
            done.returncode, status, done.stdout, done.stderr))
    return [json.loads(line) for line in done.stdout.splitlines()]


def put(path, data, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)
    os.utime(path, ns=(STAMP, STAMP + len(data)))


def plant(top):
    """A folder with what folders have in them."""
    put(os.path.join(top, "a"), b"alpha")
    put(os.path.join(top, "empty"), b"")
    put(os.path.join(top, "run.sh"), b"#!/bin/sh\n", 0o755)
    put(os.path.join(top, "sub!"), b"sorted after what is in sub")
    put(os.path.join(top, "sub", "deep", "er", "z"), os.urandom(70000))
    put(os.path.join(top, "sub", "\u6771\u4eac.txt"), b"wide")
    os.makedirs(os.path.join(top, "nothing"))
    os.symlink("../a", os.path.join(top, "sub", "link"))
    os.symlink("/etc/passwd", os.path.join(top, "out"))
    os.symlink("sub/../../x", os.path.join(top, "up"))
    os.mkfifo(os.path.join(top, "pipe"))
    for folder, _, _ in os.walk(top, topdown=False):
        os.utime(folder, ns=(STAMP, STAMP + 77))


def delivered(node, peer, name):
    return os.path.join(node.dir, "data", "files", peer, name)


def incoming(node):
    top = os.path.join(node.dir, "data", "sft", "incoming")
    return {name: os.listdir(os.path.join(top, name))
            for name in os.listdir(top)}


def receipt(node, events):
    path = os.path.join(node.dir, "receipt.json")
    with open(path, "w") as file:
        file.write(node.claw("file:receipt", events[-1]["id"],
                             check=True).stdout)
    return path


@test("a folder arrives with its names, contents, times and who may run what; links are left out; both ends' folders are what the receipt says")
def arrives():
    a, b = two()
    top = os.path.join(a.dir, "folder")
    plant(top)
    events = send(a, "beta", "--source", top)
    ok(events[0].get("tree") is True, "offer: %s" % events[0])
    ok(events[-1]["event"] == "receipt", "the end: %s" % events[-1])
    there = delivered(b, "alpha", "folder")
    same(top, there)
    ok(not os.path.lexists(os.path.join(there, "out")), "no link")
    ok(os.stat(there).st_mode & 0o7777 in (0o750, 0o2750), "mode of it")
    ok(os.stat(os.path.join(there, "a")).st_mode & 0o777 == 0o640, "of a file")
    ok(os.stat(os.path.join(there, "run.sh")).st_mode & 0o777 == 0o750,
       "of a program")
    ok(os.stat(os.path.join(there, "sub")).st_mode & 0o777 == 0o750,
       "of a folder in it")
    if os.getuid() == 0:
        ok(os.stat(os.path.join(there, "sub", "deep")).st_gid ==
           os.stat(os.path.dirname(there)).st_gid, "its group")
    proof = receipt(a, events)
    a.claw("file:verify-receipt", top, proof, check=True)
    a.claw("file:verify-receipt", there, proof, check=True)
    put(os.path.join(there, "a"), b"alphA")
    no = a.claw("file:verify-receipt", there, proof)
    ok(no.returncode == 1, "another folder: %d %s" % (
        no.returncode, no.stderr))
    again = send(a, "beta", "--source", top)
    ok(again[-1]["event"] == "receipt" and again[-1]["id"] == events[-1]["id"],
       "given again it is answered with its receipt")


@test("links go along where that is asked for, and only those that stay in the folder")
def links():
    a, b = two()
    top = os.path.join(a.dir, "folder")
    plant(top)
    events = send(a, "beta", "--source", top, "--symlinks")
    there = delivered(b, "alpha", "folder")
    same(top, there, links=True)
    ok(os.readlink(os.path.join(there, "sub", "link")) == "../a", "the link")
    for name in ("out", "up"):
        ok(not os.path.lexists(os.path.join(there, name)), name)
    a.claw("file:verify-receipt", there, receipt(a, events), check=True)


@test("several sources become one folder, which has to be given a name; nothing is overwritten")
def several():
    a, b = two()
    top = os.path.join(a.dir, "folder")
    plant(top)
    put(os.path.join(a.dir, "x", "one"), b"1")
    put(os.path.join(a.dir, "y", "one"), b"2")
    one, other = (os.path.join(a.dir, d, "one") for d in "xy")
    send(a, "beta", "--source", one, "--source", top, status=64)
    send(a, "beta", "--source", one, "--source", other, "--name", "n",
         status=64)
    send(a, "beta", "--source", top, "--source", one, "--name", "n/m")
    there = delivered(b, "alpha", "n/m")
    ok(sorted(os.listdir(there)) == ["folder", "one"], "what is there")
    same(top, os.path.join(there, "folder"))
    put(one, b"three")
    no = send(a, "beta", "--source", top, "--source", one, "--name", "n/m",
              status=73)
    ok(no[-1]["name"] == "exists", "refused: %s" % no[-1])
    send(a, "beta", "--source", top, "--replace", status=64)
    bad = os.path.join(a.dir, "bad")
    put(os.path.join(bad, "a\nb"), b"")
    send(a, "beta", "--source", bad, status=65)
    os.makedirs(os.path.join(a.dir, "void"))
    send(a, "beta", "--source", os.path.join(a.dir, "void"))
    ok(os.listdir(delivered(b, "alpha", "void")) == [], "an empty one")


@test("10,000 files; sftd, or who unpacks, killed meanwhile: a half one is never seen, and given again it arrives")
def killed():
    a, b = two()
    top = os.path.join(a.dir, "many")
    for i in range(10000):
        put(os.path.join(top, "%02d" % (i % 100), "f%04d" % i),
            b"%04d" % i * 16)
    there = delivered(b, "alpha", "many")
    stop = threading.Event()
    seen = []

    def watch():
        while not stop.is_set():
            if os.path.exists(there):
                seen.append(sum(len(f) for _, _, f in os.walk(there)))
                return
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    hits = set()
    for victim in ("unpackd", "sftd", "unpackd", "sftd"):
        done = []
        run = threading.Thread(target=lambda: done.append(a.claw(
            "file:send", "--target-node", "beta", "--source", top,
            timeout=120)))
        run.start()
        while not done and not b.workers("unpackd"):
            time.sleep(0.001)
        for pid in b.workers(victim) if not done else ():
            os.kill(pid, signal.SIGKILL)
            hits.add(victim)
        run.join()
    ok(hits, "nobody was killed in time")
    wait_for(lambda: a.claw("file:send", "--target-node", "beta", "--source",
                            top, timeout=120).returncode == 0, 60, "sent")
    stop.set()
    watcher.join()
    ok(seen in ([], [10000]), "seen at first: %s" % seen)
    same(top, there)
    wait_for(lambda: all("tree" not in names
                         for names in incoming(b).values()), 30,
             "nothing half is left: %s" % incoming(b))


if __name__ == "__main__":
    main()
