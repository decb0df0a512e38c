# SPDX-License-Identifier: ISC
"""mesh_test - what the tests of links share: nodes that other nodes reach, and
the impostor (tests/system/impostor.c), which is one with something wrong.

A Peer has a port of its own on loopback. It begins with a registry of its
own, in which it is the authority; member() makes one that has another's.
"""

import json
import os
import re
import shutil
import subprocess

import claw_test
from claw_test import Failure, Node, ROOT, free_port, reachable, wait_for

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
# Any key will do where nothing is sealed.
SEALING = "x25519:B20k4sxf3WigOQopNoZO-WbJG9uAFJDsxOby5zQmIi4"
CAPABILITIES = ("sft.send", "sft.receive", "voice.connect", "voice.accept",
                "voice.bridge")


class Peer(Node):
    """A node that listens on loopback; config: {"mesh.pool": 4}.

    at: (Link, end): it lives at that end of a link (link_test.py) instead.
    """

    def __init__(self, name="alpha", as_user=not ROOT, config=None, init=True,
                 at=None):
        super().__init__(name, as_user, init=False)
        self.at = at
        self.port = free_port()
        host = "127.0.0.1" if at is None else at[0].address[at[1]]
        self.address = "%s:%d" % (host, self.port)
        if init:
            made = self.run("claw", "init", "--dir", self.dir, "--name", name,
                            "--listen", self.address)
            if made.returncode != 0:
                raise Failure("claw init: exit %d\n%s%s" % (
                    made.returncode, made.stdout, made.stderr))
            self.code = code_of(made.stdout)
            self.configure(config or {})

    def start(self, *args, **keywords):
        if self.at is None:
            return super().start(*args, **keywords)
        with self.at[0].inside(self.at[1]):
            return super().start(*args, **keywords)

    def configure(self, config):
        """Append sections to claw.yaml: one key each."""
        sections = {}
        for key, value in config.items():
            section, name = key.split(".")
            sections.setdefault(section, []).append((name, value))
        with open(self.config, "a") as f:
            for section, values in sections.items():
                f.write("%s:\n" % section)
                for name, value in values:
                    f.write("  %s: %s\n" % (name, value))

    # The registry

    @property
    def registry_path(self):
        return os.path.join(self.dir, "data", "registry", "registry.ndjson")

    def lines(self):
        """The updates of the registry, from its file."""
        with open(self.registry_path) as f:
            return [json.loads(line)["u"] for line in f]

    def keys(self):
        """(identity, sealing) with which the node was made."""
        for update in self.lines():
            if update["op"] == "node-add" and update["name"] == self.name:
                return update["identity"], update["sealing"]
        raise Failure("%s is not in its registry" % self.name)

    def registry(self):
        return json.loads(
            self.claw("registry:show", "--json", check=True).stdout)

    def head(self):
        """(sequence number, hash in hex) of the registry of a running node."""
        shown = self.registry()
        return shown["seq"], hex_of(shown["head"])

    def next_hash(self):
        """What it committed to when it was made; None: nothing."""
        for update in self.lines():
            if update["op"] == "node-add" and update["name"] == self.name:
                return update.get("next")
        raise Failure("%s is not in its registry" % self.name)

    def add(self, name, identity, sealing=SEALING, capabilities=None,
            address=None, expires=None, next_hash=None):
        args = ["--sealing", sealing]
        if next_hash:
            args += ["--next", next_hash]
        if capabilities is None:
            capabilities = CAPABILITIES
        if capabilities:
            args += ["--capabilities", ",".join(capabilities)]
        for one in [address] if isinstance(address, str) else address or ():
            args += ["--address", one]
        if expires:
            args += ["--expires", expires]
        self.claw("node:add", name, identity, *args, check=True)

    def revoke(self, name):
        self.claw("node:revoke", name, check=True)

    def believe(self, other):
        """Take another's registry instead of our own, by its file."""
        if self.process is not None and self.process.poll() is None:
            raise Failure("%s runs: it cannot change its registry" % self.name)
        folder = os.path.dirname(self.registry_path)
        for name in os.listdir(folder):
            if name != "registry.ndjson":
                os.unlink(os.path.join(folder, name))
        with open(self.registry_path, "wb") as f, \
                open(other.registry_path, "rb") as g:
            shutil.copyfileobj(g, f)
        with open(self.config) as f:
            text = f.read()
        genesis = re.search(r'genesis: "(sha256:\w+)"', other_config(other))
        text = re.sub(r'genesis: "sha256:\w+"',
                      'genesis: "%s"' % genesis.group(1), text)
        with open(self.config, "w") as f:
            f.write(text)

    # What it says

    def since(self):
        """Where log and audit log end: what comes later is the test's."""
        return len(self.log()), len(self.records())

    def records(self):
        """Every record of the audit log, as the node shows it."""
        done = self.claw("audit:tail", "--json", "-n", "10000", check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def events(self, kind, since=(0, 0)):
        return [record["act"] for record in self.records()[since[1]:]
                if record["act"].get("event") == kind]

    def wait_event(self, kind, since=(0, 0), timeout=10, **wanted):
        """The first record of that kind that has these attributes; a text
        has to be part of one."""
        def found():
            for act in self.events(kind, since):
                if all(fits(act.get(name), want)
                       for name, want in wanted.items()):
                    return act
            return None
        try:
            return wait_for(found, timeout)
        except Failure:
            raise Failure("%s: no record %s %r, but %s" % (
                self.name, kind, wanted, json.dumps(
                    [r["act"] for r in self.records()[since[1]:]]))) from None

    def wait_log(self, text, since=(0, 0), timeout=10):
        try:
            wait_for(lambda: text in self.log()[since[0]:], timeout)
        except Failure:
            raise Failure("%s: %r is not in the log:\n%s" % (
                self.name, text, self.log()[since[0]:])) from None

    # Links

    def ping(self, whom):
        """claw node:ping: its exit status and its answer."""
        done = self.claw("node:ping", whom, "--json")
        if not done.stdout.startswith("{"):
            raise Failure("node:ping %s: exit %d\n%s%s" % (
                whom, done.returncode, done.stdout, done.stderr))
        return done.returncode, json.loads(done.stdout)

    def links(self):
        return json.loads(
            self.claw("node:links", "--json", check=True).stdout)["links"]

    def wait_links(self, *names, timeout=20):
        """Wait until the links are those with these peers."""
        try:
            wait_for(lambda: sorted(link["peer"] for link in self.links())
                     == sorted(names), timeout)
        except Failure:
            raise Failure("%s: links are %r and not %r" % (
                self.name, self.links(), names)) from None


def code_of(text):
    """The recovery code in what claw init says."""
    found = re.search(r"^  ((?:[a-z]{3,8} ){11}[a-z]{3,8})$", text, re.M)
    return found.group(1) if found else None


def fits(value, want):
    if isinstance(want, str):
        return isinstance(value, str) and want in value
    return value == want


def other_config(node):
    with open(node.config) as f:
        return f.read()


def hex_of(text):
    """The hex of "sha256:...", as it is shown."""
    return text.partition(":")[2]


def member(first, name, config=None, address=True, at=None, **keywords):
    """A node, not started yet, that a running authority has added and whose
    registry is the authority's as it is now. address: True, one, or a list;
    in a list True is the node's own."""
    node = Peer(name, first.as_user, config, at=at)
    identity, sealing = node.keys()
    if isinstance(address, list):
        address = [node.address if one is True else one for one in address]
    first.add(name, identity, sealing,
              address=node.address if address is True else address,
              next_hash=node.next_hash(), **keywords)
    node.believe(first)
    return node


# The impostor


class Impostor:
    """A program that speaks the protocol by itself: who it is, and what of a
    registry it knows."""

    tool = None

    def __init__(self, name, seed):
        if Impostor.tool is None:
            path = os.path.join(BUILD, "tests", "system", "impostor")
            if not os.path.exists(path):
                raise Failure("%s is not built: make check-programs" % path)
            Impostor.tool = reachable(path)
        self.name = name
        self.seed = "%064x" % seed
        self.seq, self.head = 0, "0" * 64
        self.capabilities = "0x1f"
        self.identity = subprocess.run(
            [self.tool, "key", self.seed], check=True, text=True,
            stdout=subprocess.PIPE).stdout.strip()

    def knows(self, node):
        """Its registry is that node's, as it is now."""
        self.seq, self.head = node.head()
        return self

    def arguments(self, options):
        given = {"name": self.name, "seed": self.seed, "seq": self.seq,
                 "head": self.head, "caps": self.capabilities}
        given.update({key: value for key, value in options.items()
                      if value is not None})
        return ["%s=%s" % item for item in given.items()]

    def begin(self, address, **options):
        """Dial a node, and stay; end() says what was seen."""
        return subprocess.Popen(
            [self.tool, "connect", address, *self.arguments(options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, process):
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        return seen(process.returncode, out, err)

    def connect(self, address, **options):
        """Dial a node; what was seen."""
        return self.end(self.begin(address, **options))

    def answer(self, node, **options):
        """Be dialled by a node: what was seen here, and what the operator who
        asked for it was told."""
        process = subprocess.Popen(
            [self.tool, "listen", "127.0.0.1:0", *self.arguments(options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            port = json.loads(process.stdout.readline())["port"]
            status, told = node.ping("127.0.0.1:%d" % port)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        return seen(process.returncode, out, err), status, told


def seen(status, out, err):
    if status != 0:
        raise Failure("impostor: exit %d\n%s%s" % (status, out, err))
    return json.loads(out.splitlines()[-1])
