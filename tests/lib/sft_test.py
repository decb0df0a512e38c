# SPDX-License-Identifier: ISC
"""sft_test - what the tests of file transfers share: two nodes, a file between
them, and what must hold when it is there.

Beta sends to alpha; between them there may be a Proxy (link_test.py), since
alpha then takes files at a port of its own and the proxy has the one that beta
dials.
"""

import filecmp
import json
import os
import random
import shutil
import subprocess
import threading
import time

import claw_test
from claw_test import LONG, ROOT, Failure, binary, equal, ok, wait_for
from link_test import Proxy
from mesh_test import Peer, free_port

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BOTH = "sft.send,sft.receive"
B3SUM = shutil.which("b3sum")


class Joined(Peer):
    """Made with a ticket of another's."""

    def __init__(self, name, first, capabilities=BOTH, config=None):
        super().__init__(name, first.as_user, init=False)
        given = ["--capabilities", capabilities] if capabilities else []
        ticket = first.claw("node:invite", "--name", name, *given,
                            check=True).stdout
        made = self.run("claw", "init", "--dir", self.dir, "--name", name,
                        "--listen", self.address, "--join", "-", input=ticket)
        if made.returncode != 0:
            raise Failure("claw init --join: exit %d\n%s%s" % (
                made.returncode, made.stdout, made.stderr))
        self.configure(config or {})


class Sending:
    """claw file:send --json, as it runs. seen: called with each event."""

    def __init__(self, node, source, *flags, to="alpha", stdin=None,
                 seen=None):
        self.events = []
        self.seen = seen
        self.process = subprocess.Popen(
            [binary("claw"), "-f", node.config, "file:send", "--json",
             "--target-node", to, "--source", source, *flags],
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=node.env, cwd=node.top, **node.credentials())
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            if self.seen is not None:
                self.seen(event)
            self.events.append(event)

    def wait(self, timeout=120):
        """The exit status."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("file:send still runs after %d s: %r" % (
                timeout, self.events[-5:])) from None
        self.reader.join(10)
        self.errors = self.process.stderr.read()
        return self.process.returncode

    def runs(self):
        return self.process.poll() is None

    def stop(self):
        """As by ^C."""
        self.process.terminate()
        self.process.wait()
        self.reader.join(10)

    def all(self, name):
        return [e for e in list(self.events) if e.get("event") == name]

    def last(self, name):
        found = self.all(name)
        return found[-1] if found else None

    def wait_event(self, name, timeout=30, **least):
        """The first such event whose numbers are at least those."""
        def found():
            for e in self.all(name):
                if all(e[k] >= v for k, v in least.items()):
                    return e
            if not self.runs() and not self.reader.is_alive():
                raise Failure("no %s %r: %r" % (name, least, self.events))
            return None
        return wait_for(found, timeout, "%s %r" % (name, least))

    def durable(self):
        """Bytes that were told to be durable over there."""
        told = [e["durable"] for e in self.all("progress")]
        told += [e["have"] for e in self.all("accepted")]
        return max(told, default=0)

    def error(self):
        return self.last("error") or {}


class Duo:
    """Beta sends to alpha. config, environment: of both; proxied: with a
    proxy in between, begin_proxy() for a new one."""

    def __init__(self, as_user=True, config=None, env=None, proxied=False,
                 start=True, capabilities=BOTH, before=None):
        config = dict(config or {})
        self.env = env or {}
        self.alpha = Peer("alpha", as_user)
        self.sft_port = self.alpha.port + 1
        self.proxy = None
        if proxied:
            self.sft_port = free_port()
            self.alpha.configure(
                dict(config, **{"sft.listen": "127.0.0.1:%d" % self.sft_port}))
        else:
            self.alpha.configure(config)
        if before is not None:
            before(self)
        self.alpha.start(env=self.env)
        if before is not None:
            claw_test.staged = None
        self.beta = Joined("beta", self.alpha, capabilities, config)
        self.count = 0
        if proxied:
            self.begin_proxy()
        if start:
            self.beta.start(env=self.env)
            self.beta.wait_links("alpha")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.proxy is not None:
            self.proxy.close()
        self.beta.discard()
        self.alpha.discard()

    def nodes(self):
        return (self.alpha, self.beta)

    def begin_proxy(self):
        if self.proxy is not None:
            self.proxy.close()
        self.proxy = Proxy(self.sft_port, port=self.alpha.port + 1)
        return self.proxy

    # Files

    def file(self, size, seed=None, name=None):
        """A source of that size, with contents from the seed."""
        self.count += 1
        path = os.path.join(self.beta.top, name or "file%d" % self.count)
        rng = random.Random(size if seed is None else seed)
        with open(path, "wb") as f:
            left = size
            while left > 0:
                n = min(left, 8 * MIB)
                f.write(rng.randbytes(n))
                left -= n
        os.chmod(path, 0o644)
        return path

    def words(self, size, seed=3):
        """One that compresses."""
        path, rng = self.file(0), random.Random(seed)
        some = [b"%x " % rng.getrandbits(rng.randint(4, 30))
                for _ in range(500)]
        with open(path, "wb") as f:
            left = size
            while left > 0:
                left -= f.write(b"".join(rng.choices(some, k=8 * KIB))[:left])
        return path

    def sparse(self, size, parts=8, seed=1):
        """One with little in it."""
        path = self.file(0)
        rng = random.Random(seed)
        with open(path, "r+b") as f:
            f.truncate(size)
            for i in range(parts):
                f.seek(size * i // parts)
                f.write(rng.randbytes(MIB + 1))
            f.truncate(size)
        return path

    def arrived(self, name, sender="beta"):
        return os.path.join(self.alpha.dir, "data", "files", sender, name)

    def send(self, source, *flags, **keywords):
        return Sending(self.beta, source, *flags, **keywords)

    def sent(self, source, *flags, timeout=120, **keywords):
        """One that has to arrive."""
        s = self.send(source, *flags, **keywords)
        status = s.wait(timeout)
        if status != 0:
            raise Failure("file:send: exit %d\n%r\n%s" % (
                status, s.events, s.errors))
        return s

    # What must hold

    def receipts(self, node):
        folder = os.path.join(node.dir, "data", "sft", "receipts")
        return {name[:-5] for name in os.listdir(folder)
                if name.endswith(".json")}

    def receipt_path(self, node, transfer):
        return os.path.join(node.dir, "data", "sft", "receipts",
                            transfer + ".json")

    def check(self, sending, source, name=None, receipts=True):
        """It is there, it is the same, and both have signed for it."""
        there = self.arrived(name or os.path.basename(source))
        told = sending.last("receipt")
        ok(told is not None, "no receipt: %r" % sending.events)
        equal(os.stat(there).st_size, os.stat(source).st_size, "size")
        ok(filecmp.cmp(source, there, shallow=False), "other contents")
        if B3SUM:
            out = subprocess.run([B3SUM, "--no-names", there], check=True,
                                 text=True, stdout=subprocess.PIPE).stdout
            equal(out.strip(), told["blake3"], "b3sum")
        if not receipts:
            return there
        for node in self.nodes():
            # What was killed is on its way back.
            done = wait_for(lambda: answered(node, "file:receipt",
                                             told["id"]), 40, "an answer")
            equal(done.returncode, 0, "file:receipt: " + done.stderr)
            shown = json.loads(done.stdout)
            equal(shown["file"]["blake3"], told["blake3"], "receipt's root")
            equal(shown["file"]["size"], os.stat(source).st_size,
                  "receipt's size")
        self.verify(self.alpha, there, told["id"])
        return there

    def verify(self, node, path, transfer, good=True):
        """claw file:verify-receipt with the node's own receipt."""
        done = wait_for(lambda: answered(
            node, "file:verify-receipt", "--json", path,
            self.receipt_path(node, transfer)), 40, "an answer")
        if good:
            equal(done.returncode, 0, "verify-receipt: %s%s" % (
                done.stdout, done.stderr))
            equal(json.loads(done.stdout)["good"], True, "good")
        else:
            ok(done.returncode != 0, "verify-receipt says " + done.stdout)
        return done

    def journal(self, transfer):
        """The chunks that the receiver's journal claims."""
        path = os.path.join(self.alpha.dir, "data", "sft", "incoming",
                            transfer, "journal")
        try:
            with open(path, "rb") as f:
                return claims(f.read())
        except FileNotFoundError:
            return set()


def metric(node, name):
    """A counter, all its labels together."""
    text = node.claw("metrics:print", check=True).stdout
    found = [float(line.rpartition(" ")[2]) for line in text.splitlines()
             if line.startswith(name)]
    if not found:
        raise Failure("no %s in %s" % (name, text))
    return sum(found)


def answered(node, *args):
    """A command's end, unless the node is not there at the moment."""
    done = node.claw(*args, timeout=3600 if LONG else 300)
    return None if done.returncode in (69, 75) else done


def claims(data):
    """Chunks claimed in a journal's bytes; checks are not looked at."""
    found = set()
    for at in range(256, len(data) - 63, 64):
        if data[at] == 1:
            found.add(int.from_bytes(data[at + 4:at + 8], "big"))
    return found


def listing(top, links):
    """Everything in a folder that is sent, by name."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            at = os.path.relpath(path, top)
            st = os.lstat(path)
            if os.path.islink(path):
                if links and os.readlink(path) == "../a":
                    found[at] = ("link", os.readlink(path))
            elif os.path.isdir(path):
                found[at] = ("folder", st.st_mtime_ns)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[at] = ("file", file.read(), st.st_mtime_ns,
                                 st.st_mode & 0o100)
    return found


def same(one, other, links=False):
    """Two folders, their own times included."""
    x, y = listing(one, links), listing(other, links)
    for name in sorted(set(x) | set(y)):
        ok(x.get(name) == y.get(name), "%s: %.200r and %.200r" % (
            name, x.get(name), y.get(name)))
    ok(os.stat(one).st_mtime_ns == os.stat(other).st_mtime_ns, "its time")


# BLAKE3 as its paper has it, slow: what our own is compared with.

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
      0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
START, END, PARENT, TOP = 1, 2, 4, 8
LANES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def rotated(x, n):
    return (x >> n | x << (32 - n)) & 0xFFFFFFFF


def compress(cv, block, counter, length, flags):
    m = [int.from_bytes(block[i:i + 4], "little") for i in range(0, 64, 4)]
    v = [*cv, *IV[:4], counter & 0xFFFFFFFF, counter >> 32, length, flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(LANES):
            for x, r, s in ((m[2 * i], 16, 12), (m[2 * i + 1], 8, 7)):
                v[a] = (v[a] + v[b] + x) & 0xFFFFFFFF
                v[d] = rotated(v[d] ^ v[a], r)
                v[c] = (v[c] + v[d]) & 0xFFFFFFFF
                v[b] = rotated(v[b] ^ v[c], s)
        m = [m[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def leaf(data, counter, top):
    cv = IV
    blocks = [data[i:i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        flags = (START if i == 0 else 0) \
            | ((END | top) if i == len(blocks) - 1 else 0)
        cv = compress(cv, block.ljust(64, b"\0"), counter, len(block), flags)
    return cv


def tree(data, counter, top):
    if len(data) <= 1024:
        return leaf(data, counter, top)
    half = 1024
    while half * 2 < len(data):
        half *= 2
    block = b"".join(
        x.to_bytes(4, "little")
        for x in tree(data[:half], counter, 0)
        + tree(data[half:], counter + half // 1024, 0))
    return compress(IV, block, 0, 64, PARENT | top)


def blake3(data):
    """The hash, in hex; about 100 KB/s."""
    return b"".join(x.to_bytes(4, "little")
                    for x in tree(data, 0, TOP)).hex()


def kill(pid):
    """SIGKILL, if it is still there."""
    try:
        os.kill(pid, 9)
        return True
    except ProcessLookupError:
        return False


def until_sent(duo, source, *flags, timeout=120, before=None, attempt=None):
    """The same command again and again, until it has arrived: all of them.

    before: called before each but the first; attempt: called with each that
    has ended."""
    attempts, end = [], time.monotonic() + timeout
    while True:
        s = duo.send(source, *flags)
        attempts.append(s)
        status = s.wait(max(end - time.monotonic(), 20))
        if attempt is not None:
            attempt(s)
        if status == 0:
            return attempts
        if time.monotonic() > end:
            raise Failure("not sent in %d s: %r" % (
                timeout, [a.error() or a.errors for a in attempts[-5:]]))
        if before is not None:
            before()
        time.sleep(0.2)


def modes():
    """As which accounts nodes run here."""
    return (True, False) if ROOT else (True,)
