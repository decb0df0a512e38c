#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A node replaces its own keys: with the recovery code and not without it,
nobody who is linked is lost, whoever was away catches up, a crash at any step
leaves one set of keys, and the code and the old keys are nowhere.

Real nodes on this machine. CLAW_LONG=1 makes all cuts and twenty sessions.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from claw_test import (LONG, Failure, Node, contains, diag, equal, main,
                       need_root, ok, reachable, test, wait_for)
from mesh_test import BUILD, Peer, free_port, member

SESSIONS = 20 if LONG else 4
HANDSHAKES = 100
SPREAD = 10  # seconds in which the old key still signs leaves
WORD = "abandon"


def keys(node, name=""):
    return os.path.join(node.dir, "data", "keys", name)


def key_files(node):
    """What the files of keys hold, by name."""
    found = {}
    for name in os.listdir(keys(node)):
        if ".key" in name:
            with open(keys(node, name), "rb") as f:
                found[name] = hashlib.sha256(f.read()).hexdigest()
    return found


def seed(node):
    """The secret half of the present identity."""
    with open(keys(node, "node.key"), "rb") as f:
        return f.read()[8:40]


def identity(node):
    return json.loads(
        node.claw("node:show", "--json", check=True).stdout)["identity"]


def seen_by(node, name):
    return json.loads(node.claw("node:why", name, "--json").stdout)


def rotations(node):
    path = os.path.join(node.dir, "data", "registry", "rotations.ndjson")
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(line)["r"] for line in f]


def rotate(node, code=None):
    return node.claw("node:attest", "--rotate-keys", "--algo",
                     "ed25519+x25519", input=(code or node.code) + "\n")


def rotated(node):
    """Rotate, and the new identity."""
    done = rotate(node)
    equal(done.returncode, 0, done.stderr)
    return re.search("ed25519:[A-Za-z0-9_-]+", done.stdout).group(0)


def settled(node):
    """The new keys have the names of the old ones."""
    wait_for(lambda: "node.key.rotating" not in os.listdir(keys(node)),
             SPREAD + 10, "the new keys' names")


def pair(**keywords):
    alpha = Peer("alpha", **keywords).start()
    beta = member(alpha, "beta").start()
    alpha.wait_links("beta")
    return alpha, beta


# The code


@test("claw init shows a recovery code once, and the registry commits to it")
def made():
    node = Peer("alpha")
    equal(len(node.code.split()), 12, "words")
    ok("next.key" in os.listdir(keys(node)), "keys/next.key is there")
    ok(node.next_hash(), "the registry has the hash of the next key")
    other = Node("beta", init=False)
    done = other.run("claw", "init", "--dir", other.dir, "--name", "beta",
                     "--listen", "127.0.0.1:%d" % free_port(),
                     "--no-recovery")
    equal(done.returncode, 0, done.stderr)
    ok("ecovery" not in done.stdout, done.stdout)
    ok("next.key" not in os.listdir(keys(other)), "no next.key")
    other.start()
    done = rotate(other, node.code)
    ok(done.returncode != 0, "rotated without a next key")
    contains(done.stderr, "without a next key", "why not")


@test("without the right code nothing is changed, and the error says why")
def wrong():
    node = Peer("alpha").start()
    before = key_files(node), identity(node)
    words = node.code.split()
    for code, status, part in (
            (" ".join([WORD] * 12), 77, "not the recovery code"),
            (" ".join(words[:-1]), 65, "12 words"),
            (" ".join(words[:3] + ["claws"] + words[4:]), 65, "word 4"),
            ("", 66, "no recovery code")):
        done = rotate(node, code) if code else node.claw(
            "node:attest", "--rotate-keys")
        equal(done.returncode, status, done.stderr)
        contains(done.stderr, part, "the error")
        # "that", "next" and "code" are words of codes, too.
        ok(not any(" ".join(words[at:at + 2]) in done.stderr
                   for at in range(len(words) - 1)),
           "the error repeats the code: " + done.stderr)
    done = node.claw("node:attest", "--rotate-keys", "--algo", "rsa",
                     input=node.code)
    equal(done.returncode, 64, done.stderr)
    contains(done.stderr, "ed25519+x25519", "the algorithm there is")
    equal((key_files(node), identity(node)), before, "keys")
    equal(rotations(node), [], "rotations")


@test("the words may be typed in capitals, shortened, over commas")
def typed():
    node = Peer("alpha").start()
    old = identity(node)
    words = [word[:4].upper() for word in node.code.split()]
    done = rotate(node, ", ".join(words))
    equal(done.returncode, 0, done.stderr)
    ok(identity(node) != old, "the identity is another")


# Peers


def pings(node, whom, count, failures):
    for _ in range(count):
        status, told = node.ping(whom)
        if status != 0:
            failures.append((node.name, told))


@test("a rotation during running handshakes and open sessions loses none")
def loses_none():
    alpha = Peer("alpha", config={"mesh.pool": 8}).start()
    peers = [member(alpha, "peer%d" % i).start() for i in range(SESSIONS)]
    names = [peer.name for peer in peers]
    alpha.wait_links(*names, timeout=60)
    time.sleep(3)  # two may have dialled each other at one time
    alpha.wait_links(*names, timeout=60)
    before = {(link["peer"], link["session"]) for link in alpha.links()}
    logs = {peer.name: peer.since() for peer in peers}
    failures = []
    threads = []
    for i in range(10):
        peer = peers[i % len(peers)]
        ends = (peer, "alpha") if i % 2 else (alpha, peer.name)
        threads.append(threading.Thread(
            target=pings, args=(*ends, HANDSHAKES // 10, failures)))
    for thread in threads:
        thread.start()
    new = rotated(alpha)
    for thread in threads:
        thread.join()
    equal(failures, [], "handshakes that were refused")
    for peer in peers:
        wait_for(lambda: seen_by(peer, "alpha")["identity"] == new, 10,
                 "the rotation at " + peer.name)
    settled(alpha)
    for peer in peers:
        pings(peer, "alpha", 1, failures)
        pings(alpha, peer.name, 1, failures)
    equal(failures, [], "handshakes by the new key")
    for peer in peers:
        equal(peer.events("peer.refused", logs[peer.name]), [],
              "refusals at " + peer.name)
    # By the new key each proves itself again before the old one is void.
    time.sleep(60 if LONG else 0)
    equal({(link["peer"], link["session"]) for link in alpha.links()}, before,
          "the sessions")


@test("audit:verify finds the log good on both sides of a rotation")
def audit_goes_on():
    node = Peer("alpha").start()
    old = identity(node)
    node.claw("audit:note", "before", check=True)
    rotated(node)
    settled(node)
    node.claw("audit:note", "after", check=True)
    ok(node.events("key.rotated"), "the rotation is on record")
    ok(node.events("api.order"), "the order is on record")
    new = identity(node)
    node.stop()
    for given, good in (([old], True), ([new], False), ([new, old], True)):
        flags = [flag for key in given for flag in ("--vkey", key)]
        done = node.run("claw", "audit:verify", "--dir",
                        os.path.join(node.dir, "log", "audit"), *flags)
        # The log key of the open shard was endorsed by the key before.
        equal(done.returncode, 81 if good else 79, "%r: %s%s" % (
            given, done.stdout, done.stderr))


@test("a node that was away for five rotations and a revocation catches up")
def away():
    alpha, beta = pair()
    gamma = member(alpha, "gamma").start()
    alpha.wait_links("beta", "gamma")
    beta.stop()
    for _ in range(5):
        new = rotated(alpha)
        # A cut here ends in the new keys, too.
        alpha.kill()
        alpha.start()
        equal(identity(alpha), new, "the keys after the cut")
        ok("node.key.rotating" not in os.listdir(keys(alpha)), "file names")
    alpha.revoke("gamma")
    beta.start()
    alpha.wait_links("beta", timeout=40)
    equal(seen_by(beta, "alpha")["identity"], new, "alpha's key at beta")
    equal(len(rotations(beta)), 5, "rotations at beta")
    equal(seen_by(beta, "gamma")["standing"], "revoked", "gamma at beta")
    status, told = beta.ping("alpha")
    equal(status, 0, told)


@test("an authority takes a rotation into the chain: registry:anchor")
def anchored():
    alpha, beta = pair()
    new = rotated(beta)
    wait_for(lambda: seen_by(alpha, "beta")["identity"] == new, 10,
             "the rotation at alpha")
    done = alpha.claw("registry:anchor", "beta")
    equal(done.returncode, 0, done.stderr)
    update = alpha.lines()[-1]
    equal((update["op"], update["name"], update["identity"], update["ksn"]),
          ("node-anchor", "beta", new, 1), "the update")
    settled(beta)
    equal(alpha.ping("beta")[0], 0, "beta is attested")
    again = alpha.claw("registry:anchor", "beta")
    contains(again.stderr, "no rotation", "a second time")
    # The next one follows from what the chain has.
    newer = rotated(beta)
    wait_for(lambda: seen_by(alpha, "beta")["identity"] == newer, 10,
             "the second rotation at alpha")


@test("two rotations with one number suspend the node, and nobody else")
def two():
    alpha, beta = pair()
    gamma = member(alpha, "gamma").start()
    alpha.wait_links("beta", "gamma")
    beta.stop()
    copy = beta.dir + ".before"
    shutil.copytree(os.path.join(beta.dir, "data"), copy)
    beta.start()
    alpha.wait_links("beta", "gamma", timeout=40)
    rotated(beta)
    wait_for(lambda: len(rotations(alpha)) == 1, 10, "the first")
    settled(beta)
    beta.stop()
    # An old copy of the node comes back, alone, and rotates as well.
    data = os.path.join(beta.dir, "data")
    for name in ("keys/node.key", "keys/next.key", "keys/registry"):
        with open(os.path.join(copy, name), "rb") as f:
            old = f.read()
        with open(os.path.join(data, name), "wb") as f:
            f.write(old)
    for name in os.listdir(os.path.join(data, "registry")):
        if name.startswith(("rotations", "registry.floor")):
            os.unlink(os.path.join(data, "registry", name))
    alpha.stop()
    gamma.stop()
    beta.start()
    rotated(beta)
    alpha.start()
    gamma.start()
    wait_for(lambda: seen_by(alpha, "beta")["standing"] == "suspended", 40,
             "beta is suspended at alpha")
    alpha.wait_event("registry.alarm", reason="two rotations")
    wait_for(lambda: seen_by(gamma, "beta")["standing"] == "suspended", 40,
             "beta is suspended at gamma")
    alpha.wait_links("gamma", timeout=40)
    equal(alpha.ping("gamma")[0], 0, "gamma is attested")
    ok(alpha.ping("beta")[0] != 0, "beta is not")


@test("a node that lost its keys gets its next ones by the code: node:recover")
def recovered():
    alpha, beta = pair()
    running = beta.claw("node:recover", input=beta.code)
    ok(running.returncode != 0, "recovered while it runs")
    old = identity(beta)
    beta.stop()
    os.unlink(keys(beta, "node.key"))
    before = key_files(beta)
    done = beta.claw("node:recover", input=alpha.code)
    equal(done.returncode, 77, done.stderr)
    equal(key_files(beta), before, "keys after a wrong code")
    done = beta.claw("node:recover", input=beta.code)
    equal(done.returncode, 0, done.stderr)
    new = re.search("ed25519:[A-Za-z0-9_-]+", done.stdout).group(0)
    ok(new != old, "the identity")
    beta.start()
    beta.wait_log("recovered keys are this node's")
    equal(len(rotations(beta)), 1, "rotations")
    alpha.wait_links("beta", timeout=40)
    equal(seen_by(alpha, "beta")["identity"], new, "beta's key at alpha")
    equal(alpha.ping("beta")[0], 0, "beta is attested")
    # And from there on as before.
    newer = rotated(beta)
    wait_for(lambda: seen_by(alpha, "beta")["identity"] == newer, 10,
             "the next rotation at alpha")


# Crashes


def cut(node, process, number):
    """Rotate; the process is cut off before that call on the disk. Whether it
    was."""
    tool = reachable(os.path.join(BUILD, "tests", "system", "cutoff"))
    pid = node.pid if process == "clawd" else node.children()[process]
    follower = subprocess.Popen([tool, str(number), "-p", str(pid)],
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
    try:
        equal(follower.stdout.readline().strip(), "ready", "cutoff")
        rotate(node)
        try:
            follower.wait(SPREAD + 4)
        except subprocess.TimeoutExpired:
            return False
        equal(follower.returncode, 99, "cutoff")
        return True
    finally:
        follower.kill()
        follower.wait()


def whole(node, peer, when):
    """One set of keys, the registry's, and the peer takes it."""
    names = os.listdir(keys(node))
    wait_for(lambda: not [n for n in os.listdir(keys(node))
                          if "rotating" in n], SPREAD + 5,
             "%s: file names, and not %r" % (when, names))
    wait_for(lambda: peer.ping(node.name)[0] == 0, 30,
             "%s: a handshake" % when)
    equal(seen_by(peer, node.name)["identity"], identity(node), when)


@test("cut off at any step, a rotation has come about or it has not")
def cuts():
    need_root()
    alpha, beta = pair()
    count = 0
    for process in ("clawd", "attestd"):
        number = 1
        step = 1 if LONG else 3
        while number < 60:
            before = identity(alpha)
            if not cut(alpha, process, number):
                break
            count += 1
            when = "%s cut at %d" % (process, number)
            if process == "clawd":
                alpha.wait()
                alpha.start()
            else:
                wait_for(lambda: alpha.claw("node:show").returncode == 0, 20,
                         "attestd")
            whole(alpha, beta, when)
            diag("%s: %s" % (when, "the old keys" if identity(alpha) == before
                             else "the new keys"))
            number += step
        settled(alpha)
    ok(count >= 5, "%d cuts" % count)
    rotated(alpha)
    settled(alpha)
    whole(alpha, beta, "at the end")


# Secrets


def memory(pid):
    """Everything that a process has in memory."""
    with open("/proc/%d/maps" % pid) as maps, \
            open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            first, last = (int(n, 16) for n in line.split()[0].split("-"))
            if " r" not in line[:60] or "[v" in line:
                continue
            try:
                mem.seek(first)
                yield line.split()[-1], mem.read(last - first)
            except (OSError, ValueError, OverflowError):
                continue


def holders(node, *secrets):
    """Which processes have one of these in memory, and where."""
    found = []
    for name, pid in dict(node.children(), clawd=node.pid).items():
        for where, text in memory(pid):
            found += [(name, where, i) for i, secret in enumerate(secrets)
                      if secret in text]
    return found


@test("the code and the keys of before are nowhere after a rotation")
def nowhere():
    need_root()
    for as_user in (False, True):
        node = Peer("alpha", as_user).start()
        old = seed(node)
        ok(("keyd", 0) in [(n, i) for n, _, i in holders(node, old)],
           "the search finds the key where it is")
        seen = set()
        done = threading.Event()

        def watch():
            """ps, all the time."""
            while not done.is_set():
                for pid in filter(str.isdigit, os.listdir("/proc")):
                    for what in ("cmdline", "environ"):
                        try:
                            with open("/proc/%s/%s" % (pid, what), "rb") as f:
                                seen.add(f.read())
                        except OSError:
                            pass

        watcher = threading.Thread(target=watch)
        watcher.start()
        rotated(node)
        settled(node)
        done.set()
        watcher.join()
        code = node.code.encode()
        middle = " ".join(node.code.split()[3:7]).encode()
        ok(not any(middle in text for text in seen), "the code is in ps")
        equal(holders(node, code, middle), [], "who has the code in memory")
        equal(holders(node, old), [], "who has the old key in memory")
        ok(("keyd", 0) in [(n, i) for n, _, i in holders(node, seed(node))],
           "keyd has the new key")
        for folder, _, names in os.walk(node.top):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        text = f.read()
                    ok(middle not in text, "the code is in " + path)
                    ok(old not in text, "the old key is in " + path)
        node.discard()


if __name__ == "__main__":
    main()
