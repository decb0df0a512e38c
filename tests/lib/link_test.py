# SPDX-License-Identifier: ISC
"""link_test - links that are slow, far, lossy and cut, for tests and benches.

Link is two network namespaces with a link between them (tests/link/link.c),
Proxy a TCP proxy that breaks connections at a byte (tests/link/proxy.c); what
they can do is in tests/link/README.md. Both are context managers, and nothing
is left of either when the test ends, however it ends.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys

from claw_test import (ROOT, Failure, die_with_parent, libc, reachable, skip,
                       wait_for)

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
CLONE_NEWNET = 0x40000000
INSIDE = "LINK_TEST_INSIDE"


def loopback_up():
    with socket.socket() as s:
        request = struct.pack("16sh14x", b"lo", 0x49)  # up, running, loopback
        fcntl.ioctl(s, 0x8914, request)  # SIOCSIFFLAGS


def private():
    """Call first in a script that uses Link: as a user it goes on in a user
    and a network namespace of its own, from where it may enter the link's."""
    if ROOT:
        return
    if os.environ.get(INSIDE) == "1":
        loopback_up()
        return
    command = ["unshare", "-Un", "--map-current-user", "--keep-caps"]
    if subprocess.call(command + ["true"], stderr=subprocess.DEVNULL) == 0:
        os.execvpe("unshare", command + [sys.executable, *sys.argv],
                   dict(os.environ, **{INSIDE: "1"}))


class Ends:
    """Commands in, answers out; the last line tells what has happened."""

    def __init__(self, *arguments):
        path = os.path.join(BUILD, "tests", "link", arguments[0])
        if not os.path.exists(path):
            raise Failure("%s is not built: make check-programs" % path)
        self.process = subprocess.Popen(
            [reachable(path), *map(str, arguments[1:])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.PIPE, bufsize=1, preexec_fn=die_with_parent)
        self.ready = self.process.stdout.readline().split()
        self.last = None
        if self.ready[:1] != ["ready"]:
            why = self.process.stderr.read().strip()
            if self.process.wait() == 77:
                skip(why)
            raise Failure(why)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        return self.process.stdout.readline().strip()

    def do(self, *words):
        """A command of README.md; several are separated by commas."""
        for command in " ".join(map(str, words)).split(","):
            answer = self.ask(command.strip())
            if answer != "ok":
                raise Failure("%s: %s" % (command.strip(), answer))

    def stats(self):
        """What has happened so far; after the end, all of it."""
        return self.last or json.loads(self.ask("stats"))

    def close(self):
        """The end, and the statistics."""
        if self.last is None:
            try:
                out, _ = self.process.communicate(timeout=20)
                self.last = json.loads(out.splitlines()[-1])
            except (subprocess.TimeoutExpired, ValueError, IndexError):
                self.process.kill()
                self.process.wait()
                raise Failure("no statistics at the end") from None
        return self.last


class Link(Ends):
    """Two ends, "a" and "b", with one address each.

    with Link("rate 1gbit, delay 50ms, ba loss 0.01%") as link:
        with link.inside("a"):
            ... sockets and processes made here are at that end ...
    """

    address = {"a": "10.77.0.1", "b": "10.77.0.2"}
    address6 = {"a": "fd77::1", "b": "fd77::2"}

    def __init__(self, commands="", seed=1, mtu=1500):
        super().__init__("link", "-s", seed, "-m", mtu)
        pid, a, b = self.ready[1:4]
        self.netns = {"a": "/proc/%s/fd/%s" % (pid, a),
                      "b": "/proc/%s/fd/%s" % (pid, b)}
        if commands:
            self.do(commands)

    @contextlib.contextmanager
    def inside(self, end):
        """This thread, and what it makes meanwhile, is at that end."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(self.netns[end], os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "entering end " + end)
            yield self.address[end]
        finally:
            os.close(there)
            if libc.setns(home, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "leaving end " + end)
            os.close(home)

    def settled(self, timeout=10):
        """Wait until nothing is under way; the statistics then."""
        def quiet():
            now = self.stats()
            if now["ab"]["underway"] + now["ba"]["underway"] == 0:
                return now
            return None
        return wait_for(quiet, timeout, "the end of what is under way")


class Proxy(Ends):
    """127.0.0.1:port, and behind it the target, with what we say between."""

    def __init__(self, target_port, target="127.0.0.1", commands="",
                 listen="127.0.0.1", port=0):
        super().__init__("proxy", listen, port, target, target_port)
        self.port = int(self.ready[1])
        if commands:
            self.do(commands)

    def connections(self):
        return self.stats()["connections"]
