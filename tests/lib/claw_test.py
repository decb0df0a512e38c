# SPDX-License-Identifier: ISC
"""claw_test - what the system tests share: points and nodes.

A test is a script of functions marked @test("the promise"); main() runs them
in order and speaks TAP. A Node is a clawd of its own in a temporary directory,
started from the staged installation that `make check` names in CLAW_TEST_ROOT.

As root a node may run in either of two ways: as_user=True drops to an account
that nobody has; otherwise it runs as root, and accounts() has given this
process (and what it starts) a private view of /etc/passwd and /etc/group in
which the house's accounts exist. The machine's own files stay as they are.
"""

import atexit
import collections
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

STAGE = os.environ.get("CLAW_TEST_ROOT", "build/root")
LONG = os.environ.get("CLAW_LONG", "") not in ("", "0")
SANITIZERS = os.environ.get("CLAW_TEST_SANITIZERS", "") == "1"
USER_PREFIX = os.environ.get("CLAW_TEST_USER_PREFIX", "_claw_")
ROOT = os.geteuid() == 0
PROCESSES = ("keyd", "auditd", "attestd", "metricd", "controld", "meshd",
             "sftd")
WORKERS = ("verifyd", "linkd", "xferd", "unpackd")
# Who reaches the network, and parses nothing of it.
NETWORKED = ("meshd", "sftd")
POOL = 2  # of linkd, that wait for the next connection (mesh.pool)
XFERDS = 1  # that wait for the next transfer

# Far from what a distribution gives away, and nobody's in /etc/passwd.
NOBODYS_UID = 61184
FIRST_ACCOUNT = 61200
GROUP_ID = 61190

CLONE_NEWNS = 0x00020000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)

# Points


class Skip(Exception):
    """Raised by a test that cannot be run here; says why."""


class Failure(Exception):
    """What a point found wrong."""


tests = []


def test(name):
    """Mark a function as a test; its name is the promise it proves."""
    def mark(function):
        tests.append((name, function))
        return function
    return mark


def ok(condition, what):
    if not condition:
        raise Failure(what)


def equal(got, want, what):
    if got != want:
        raise Failure("%s: got %r, want %r" % (what, got, want))


def contains(text, part, what):
    if part not in text:
        raise Failure("%s: no %r in %r" % (what, part, text))


def skip(why):
    raise Skip(why)


def need_root():
    if not ROOT:
        skip("needs root")


def diag(text):
    for line in str(text).splitlines():
        print("# " + line)


def main():
    """Run every test of the script and exit."""
    failed = 0
    print("1..%d" % len(tests), flush=True)
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print("ok %d - %s" % (number, name), flush=True)
        except Skip as why:
            print("ok %d - %s # SKIP %s" % (number, name, why), flush=True)
        except Exception as error:
            failed += 1
            print("not ok %d - %s" % (number, name))
            if isinstance(error, Failure):
                diag(error)
            diag(traceback.format_exc())
            for node in Node.alive:
                diag("log of %s:" % node.name)
                diag(node.log()[-4000:])
            sys.stdout.flush()
        finally:
            for node in list(Node.alive):
                node.discard()
    sys.exit(0 if failed == 0 else 1)


# Where the installation is, and who may reach it

staged = None


def reachable(path):
    """The path, or a copy of what lies there that every account can reach."""
    path = os.path.realpath(path)
    folder = path
    while folder != "/" and os.stat(folder).st_mode & 0o001:
        folder = os.path.dirname(folder)
    if not ROOT or folder == "/":
        return path
    top = tempfile.mkdtemp(prefix="claw-copy-")
    os.chmod(top, 0o755)
    atexit.register(remove_copy, top, os.getpid())
    copy = os.path.join(top, os.path.basename(path))
    if os.path.isdir(path):
        shutil.copytree(path, copy)
    else:
        shutil.copy(path, copy)
    return copy


def remove_copy(top, owner):
    if os.getpid() == owner:
        shutil.rmtree(top, ignore_errors=True)


def stage():
    """The staged installation, where every account can reach it."""
    global staged
    if staged is None:
        if not os.path.exists(os.path.join(STAGE, "sbin", "clawd")):
            raise Failure("no clawd in %s: run make stage" % STAGE)
        staged = reachable(STAGE)
    return staged


def binary(name):
    """Path of claw, clawd or one of the processes."""
    folder = {"claw": "bin", "clawd": "sbin"}.get(name, "libexec/claw")
    return os.path.join(stage(), folder, name)


def mount(source, target, flags):
    if libc.mount(os.fsencode(source), os.fsencode(target), None,
                  ctypes.c_ulong(flags), None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, "mount %s: %s" % (target, os.strerror(error)))


accounts_made = False


def accounts():
    """Give this process a private /etc with the house's accounts."""
    global accounts_made
    if accounts_made:
        return
    need_root()
    if libc.unshare(CLONE_NEWNS) != 0:
        skip("cannot make a mount namespace: "
             + os.strerror(ctypes.get_errno()))
    mount("none", "/", MS_REC | MS_PRIVATE)
    folder = tempfile.mkdtemp(prefix="claw-etc-")
    os.chmod(folder, 0o755)
    # Without those that a node of this machine's has.
    passwd, group = ["".join(
        line for line in open("/etc/" + name)
        if not line.startswith((USER_PREFIX, "claw:")))
        for name in ("passwd", "group")]
    group += "claw:x:%d:\n" % GROUP_ID
    for number, name in enumerate(PROCESSES + WORKERS, FIRST_ACCOUNT):
        entry = USER_PREFIX + name
        passwd += "%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n" % (
            entry, number, number)
        group += "%s:x:%d:\n" % (entry, number)
    for name, text in (("passwd", passwd), ("group", group)):
        path = os.path.join(folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o644)
        mount(path, "/etc/" + name, MS_BIND)
    # The files live on through the mounts alone.
    shutil.rmtree(folder)
    accounts_made = True


def account_uid(process):
    """The uid that a process has in a node run as root."""
    return FIRST_ACCOUNT + (PROCESSES + WORKERS).index(process)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


# Nodes


# Of the 170 there are the last ones given; by then the others are free again.
ports_given = collections.deque(maxlen=85)


def free_port():
    """A TCP port of 127.0.0.1 that nobody has, nor the one after it.

    Below those that the kernel gives away, so that none of them is taken
    between this and the node's start by who asked for no port in particular;
    even, so that no node's second port is another one's first; and of a part
    that is this process's, since who runs at the same time may start its node
    later than it has asked.
    """
    for unused in range(1000):
        port = 10240 + 2 * (random.randrange(170) * 64 + os.getpid() % 64)
        if port in ports_given:
            continue
        with socket.socket() as s, socket.socket() as after:
            try:
                s.bind(("127.0.0.1", port))
                after.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        ports_given.append(port)
        return port
    raise Failure("no free port on 127.0.0.1")


class Node:
    """A clawd of its own.

    as_user: run as an ordinary account (as_user=False needs root and takes
    the house's accounts into use). A test that runs as an ordinary account
    itself can only have as_user=True.
    """

    alive = []

    def __init__(self, name="node1", as_user=not ROOT, init=True, env=None):
        if not as_user:
            accounts()
        self.name = name
        self.as_user = as_user
        self.uid = NOBODYS_UID if as_user and ROOT else os.getuid()
        self.top = tempfile.mkdtemp(prefix="claw-")
        self.dir = os.path.join(self.top, "n")
        self.config = os.path.join(self.dir, "claw.yaml")
        self.log_path = os.path.join(self.top, "log")
        self.listen = "127.0.0.1:%d" % free_port()
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("CLAW_") and k != "NOTIFY_SOCKET"}
        self.env.update(env or {})
        self.process = None
        self.notify = None
        self.ready = False
        self.states = []
        os.chmod(self.top, 0o755)
        os.chown(self.top, self.uid, -1)
        Node.alive.append(self)
        if init:
            made = self.run("claw", "init", "--dir", self.dir, "--name", name,
                            "--listen", self.listen)
            if made.returncode != 0:
                raise Failure("claw init: exit %d\n%s%s" % (
                    made.returncode, made.stdout, made.stderr))

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.discard()

    def credentials(self):
        if self.as_user and ROOT:
            return {"user": self.uid, "group": self.uid, "extra_groups": []}
        return {}

    def run(self, name, *args, input=None, timeout=60, env=None, text=True):
        """Run a binary of the house as the node's account, to its end."""
        return subprocess.run(
            [binary(name), *args], input=input, text=text, timeout=timeout,
            stdin=subprocess.DEVNULL if input is None else None,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=dict(self.env, **(env or {})), cwd=self.top,
            **self.credentials())

    def claw(self, *args, check=False, **keywords):
        """Run a verb against this node: claw -f claw.yaml ARGS..."""
        done = self.run("claw", "-f", self.config, *args, **keywords)
        if check and done.returncode != 0:
            raise Failure("claw %s: exit %d\n%s%s" % (
                " ".join(args), done.returncode, done.stdout, done.stderr))
        return done

    def status(self):
        return json.loads(self.claw("status", "--json", check=True).stdout)

    def start(self, *args, wait=True, timeout=30, env=None, wrapper=()):
        """Start clawd in the foreground and wait until it says READY=1.

        wrapper: a command that executes clawd (setpriv and its arguments).
        """
        path = os.path.join(self.top, "notify")
        if self.notify is not None:
            self.notify.close()
        if os.path.exists(path):
            os.unlink(path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        os.chmod(path, 0o777)
        self.ready = False
        self.states = []
        if SANITIZERS:
            # Their run time does not live in a sandbox.
            args = ("--insecure-no-sandbox", *args)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, binary("clawd"), "-f", self.config, *args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(self.env, NOTIFY_SOCKET=path, **(env or {})),
                cwd=self.top, preexec_fn=die_with_parent,
                **self.credentials())
        if wait:
            self.wait_ready(timeout)
        return self

    def wait_state(self, wanted, timeout=30):
        """Wait for a line of sd_notify; True if it came."""
        end = time.monotonic() + timeout
        while not any(wanted in state for state in self.states):
            self.notify.settimeout(0.1)
            try:
                text = self.notify.recv(4096).decode()
                self.states.append(text)
                continue
            except socket.timeout:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                return False
        return True

    def wait_ready(self, timeout=30):
        self.ready = self.wait_state("READY=1", timeout)
        if not self.ready:
            how = self.process.poll()
            raise Failure("clawd %s\n%s" % (
                "is not ready after %d s" % timeout if how is None
                else "ended with %d before it was ready" % how,
                self.log()[-4000:]))

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        """[(name, pid)] of all processes that clawd has started."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % entry) as f:
                    head, tail = f.read().rsplit(")", 1)
                if int(tail.split()[1]) == self.pid:
                    found.append((head.split("(", 1)[1], int(entry)))
            except OSError:
                continue
        return found

    def children(self):
        """{name: pid} of the suite: what runs as long as the node does."""
        return {name: pid for name, pid in self.running()
                if name in PROCESSES}

    def everybody(self):
        """{name: pid} of all of them: clawd, the suite and each worker."""
        found = {"clawd": self.pid}
        for name, pid in self.running():
            if name != "clawd":  # one that has yet to execute its program
                found[name if name in PROCESSES
                      else "%s[%d]" % (name, pid)] = pid
        return found

    def workers(self, name="linkd"):
        """Pids of the workers of that name; meshd keeps two linkd ready."""
        return sorted(pid for who, pid in self.running() if who == name)

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=30):
        """Wait for clawd's end; its exit status (negative: a signal)."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure("clawd still runs after %d s\n%s" % (
                timeout, self.log()[-4000:])) from None

    def stop(self, timeout=30):
        """SIGTERM, and wait for the end."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """SIGKILL: the power cut."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def discard(self):
        """End the node whatever its state and remove its directory."""
        if self in Node.alive:
            Node.alive.remove(self)
        try:
            self.stop(10)
        except Failure:
            self.kill()
        if self.notify is not None:
            self.notify.close()
            self.notify = None
        shutil.rmtree(self.top, ignore_errors=True)


def wait_for(condition, timeout=10, what="the condition"):
    """Poll until condition() is true; its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("%s did not come in %d s" % (what, timeout))
        time.sleep(0.02)
