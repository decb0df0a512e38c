#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""test_sandbox - each sandbox bites, and each layer of it alone.

For every process and every forbidden act tests/sandbox/bite makes a process
that enters exactly that sandbox and tries exactly that act. What has to come
of it stands in the tables below, written without looking at policy/: done, an
errno, or the signal that ended it. All of it runs as root (users of their own)
and as a normal user without an entry in /etc/passwd.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile

from claw_test import (NETWORKED as OUTWARD, PROCESSES as SUITE, ROOT,
                       SANITIZERS, WORKERS, Failure, equal, main, need_root,
                       ok, skip, test)

PROCESSES = SUITE + WORKERS

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
USER_UID = 61185  # the normal user
OTHER_UID = 61186  # somebody else
FIRST_UID = 61201  # under root, a user for each process

KILLED = "SIGSYS"

# What every process meets with all layers in place.
ALL = {
    "nothing": "done",
    "stdio": "done",
    "nonblock": "done",
    "prlimit-read": "done",
    "abort": "SIGABRT",
    # memory that can be written and run
    "wx-mmap": KILLED,
    "x-mmap": KILLED,
    "mprotect-x": KILLED,
    "memfd": KILLED,
    # programs, processes, threads
    "execve": KILLED,
    "execveat": KILLED,
    "fork": KILLED,
    "clone3": KILLED,
    "vfork": KILLED,
    "clone-process": KILLED,
    "clone-namespace": KILLED,
    "thread": KILLED,
    "unshare": KILLED,
    # sockets
    "socket-inet": "EAFNOSUPPORT",
    "socket-inet6": "EAFNOSUPPORT",
    "socket-udp": "EAFNOSUPPORT",
    "socket-raw": "EAFNOSUPPORT",
    "socket-sctp": "EAFNOSUPPORT",
    "socket-unix": "EAFNOSUPPORT",
    "socket-netlink": "EAFNOSUPPORT",
    "socketpair": KILLED,
    "connect-unix": KILLED,
    "connect-abstract": KILLED,
    "connect-tcp": KILLED,
    "bind-tcp": KILLED,
    "listen-tcp": KILLED,
    "shutdown": KILLED,
    "fastopen": KILLED,
    # files
    "open-passwd": "EACCES",
    "open-dotdot": "EACCES",
    "open-key": "EACCES",
    "open-private": "EACCES",
    "open-mem": "EACCES",
    "resolver": "EACCES",
    "write-outside": "EACCES",
    "write-inside": "EACCES",
    "open-truncating": "EACCES",
    "read-inside": "EACCES",
    "list": KILLED,
    "rename-out": KILLED,
    "unlink": KILLED,
    "fchmod": KILLED,
    "grow": KILLED,
    "cut-back": KILLED,
    "punch-hole": KILLED,
    "shared-map": "done",
    "open-by-handle": KILLED,
    "mount": KILLED,
    # a sibling
    "ptrace": KILLED,
    "traceme": KILLED,
    "kill": KILLED,
    "tgkill": KILLED,
    "tgkill-abort": KILLED,
    "sigqueue": KILLED,
    "setown": KILLED,
    "setsig": KILLED,
    "o-async": KILLED,
    "fiosetown": KILLED,
    "siocspgrp": KILLED,
    "tiocsti": KILLED,
    "vm-readv": KILLED,
    "pidfd-open": KILLED,
    "pidfd-getfd": KILLED,
    "prlimit": KILLED,
    # the kernel's wider doors
    "io-uring": KILLED,
    "userfaultfd": KILLED,
    "bpf": KILLED,
    "keyctl": KILLED,
    "perf-event": KILLED,
    # back to more power
    "setuid": KILLED,
    "setuid-one": KILLED,
    "be-dumpable": KILLED,
    "x32": KILLED,
    "i386": KILLED,
}

# Where a process differs from the above.
DIFFERS = {
    # keyd writes one small file that it was given
    "keyd": {"grow": "SIGXFSZ", "cut-back": "done"},
    # auditd writes below its directory, and after recovery lists nothing
    "auditd": {
        "write-inside": "done",
        "read-inside": "done",
        "open-truncating": "done",
        "list": "EPERM",
        "rename-out": "EACCES",
        "grow": "done",
        "cut-back": "done",
    },
    # attestd reads and writes below its directory, and lists nothing
    "attestd": {
        "write-inside": "done",
        "read-inside": "done",
        "open-truncating": "done",
        "rename-out": "EACCES",
        "cut-back": "done",
    },
    # these end connections that they were given or have accepted
    "metricd": {"shutdown": "ENOTCONN"},
    "controld": {"shutdown": "ENOTCONN"},
    "linkd": {"shutdown": "ENOTCONN"},
    # meshd makes TCP connections and nothing else: it binds nothing and has
    # no socket of another kind to connect
    "meshd": {
        "socket-inet": "done",
        "socket-inet6": KILLED,
        "socket-udp": KILLED,
        "socket-raw": KILLED,
        "socket-sctp": KILLED,
        "connect-tcp": "ECONNREFUSED",
        "connect-unix": "EBADF",
        "connect-abstract": "EBADF",
    },
    # sftd does what meshd does, and works below its directory: it lists it,
    # and what it delivers gets its mode
    "sftd": {
        "write-inside": "done",
        "read-inside": "done",
        "open-truncating": "done",
        "list": "done",
        "rename-out": "EACCES",
        "fchmod": "EPERM" if ROOT else "done",  # it is not its owner
        "grow": "done",
        "cut-back": "done",
        "socket-inet": "done",
        "socket-inet6": KILLED,
        "socket-udp": KILLED,
        "socket-raw": KILLED,
        "socket-sctp": KILLED,
        "connect-tcp": "ECONNREFUSED",
        "connect-unix": "EBADF",
        "connect-abstract": "EBADF",
    },
    "verifyd": {},
    # unpackd makes what is not there below the directory that it will get by
    # message: until that has come nothing says where, and its user does
    "unpackd": {
        "write-outside": "done",
        "write-inside": KILLED,
        "open-truncating": KILLED,
    },
    # xferd writes the file that it was given; it makes threads, which are
    # held by all that holds it, and nothing that is more than a thread
    "xferd": {
        "grow": "done",
        "shutdown": "ENOTCONN",
        "clone3": "ENOSYS",
        "thread": "done",
        "thread-walls": "done",
        "thread-fork": KILLED,
        "thread-execve": KILLED,
        "thread-open": "EACCES",
        "thread-socket": "EAFNOSUPPORT",
        "thread-connect": KILLED,
        "thread-kill": KILLED,
    },
}

# What the filter alone cannot refuse, because it sees no paths.
SECCOMP_ALONE = {
    "keyd": {"grow": "done"},
    "auditd": {
        "open-passwd": "done",
        "open-dotdot": "done",
        "open-key": "done",
        "open-private": "done",
        "resolver": "done",
        "write-outside": "done",
        "rename-out": "done",
    },
    "attestd": {
        "open-passwd": "done",
        "open-dotdot": "done",
        "open-key": "done",
        "open-private": "done",
        "resolver": "done",
        "write-outside": "done",
        "rename-out": "done",
    },
    "sftd": {
        "open-passwd": "done",
        "open-dotdot": "done",
        "open-key": "done",
        "open-private": "done",
        "resolver": "done",
        "write-outside": "done",
        "rename-out": "done",
    },
}

SECCOMP_ALONE["unpackd"] = {
    "open-passwd": "done",
    "open-dotdot": "done",
    "open-key": "done",
    "open-private": "done",
    "resolver": "done",
    "open-mem": "done",
    "read-inside": "done",
    "write-outside": "done",
}

# What these layers leave to the processes that have the network, and to who
# gets a directory later.
NETWORKED = {
    "landlock": dict({name: {"connect-tcp": "ECONNREFUSED"}
                      for name in OUTWARD},
                     unpackd={"write-outside": "done"}),
    "network namespace": {name: {"connect-tcp": "ECONNREFUSED",
                                 "connect-abstract": "done"}
                          for name in OUTWARD},
}

# Each layer with the others off, and beside it what it does not stop.
LANDLOCK = {
    "open-passwd": "EACCES",
    "open-key": "EACCES",
    "open-dotdot": "EACCES",
    "write-outside": "EACCES",
    "execve": "EACCES",
    "connect-tcp": "EACCES",
    "bind-tcp": "EACCES",
    "ptrace": "EPERM",
    "vm-readv": "EPERM",
    "pidfd-getfd": "EPERM",
    "wx-mmap": "done",
    "kill": "done",
    "connect-unix": "done",
}
SCOPE = {
    "kill": "EPERM",
    "tgkill": "EPERM",
    "sigqueue": "EPERM",
    "connect-abstract": "EPERM",
    "connect-unix": "done",
    "open-passwd": "done",
}
LIMITS = {
    "keyd": {"fork": "EAGAIN", "grow": "SIGXFSZ"},
    "auditd": {"fork": "EAGAIN", "grow": "done"},
    "attestd": {"fork": "EAGAIN", "grow": "done"},
    "metricd": {"fork": "EAGAIN", "grow": "SIGXFSZ"},
    "verifyd": {"fork": "EAGAIN", "grow": "SIGXFSZ"},
    "controld": {"fork": "EAGAIN", "grow": "SIGXFSZ"},
    "meshd": {"fork": "EAGAIN", "grow": "SIGXFSZ"},
    "linkd": {"fork": "EAGAIN", "grow": "SIGXFSZ"},
    "sftd": {"fork": "EAGAIN", "grow": "done"},
    # a thread would count as a child: here the filter is the wall
    "xferd": {"fork": "done", "thread": "done", "grow": "done"},
    "unpackd": {"fork": "EAGAIN", "grow": "done"},
}
NETWORK = {
    "connect-tcp": "ENETUNREACH",
    "connect-abstract": "ECONNREFUSED",
    "connect-unix": "done",
}
USER = {
    "kill": "EPERM",
    "ptrace": "EPERM",
    "vm-readv": "EPERM",
    "pidfd-getfd": "EPERM",
    "open-private": "EACCES",
    "setuid": "EPERM",
    "wx-mmap": "done",
}
CAPABILITIES = {
    "setuid-one": "EPERM",
    "mount": "EPERM",
    "ptrace": "EPERM",
    "kill": "EPERM",
    "wx-mmap": "done",
}
# With no layer that matters everything used above has to work.
CONTROL = {
    "open-passwd": "done",
    "open-key": "done",
    "open-dotdot": "done",
    "write-outside": "done",
    "execve": "done",
    "ptrace": "done",
    "vm-readv": "EFAULT",  # allowed, and nothing mapped at that address
    "pidfd-getfd": "done",
    "wx-mmap": "done",
    "x-mmap": "done",
    "mprotect-x": "done",
    "kill": "done",
    "tgkill": "done",
    "sigqueue": "done",
    "setown": "done",
    "connect-unix": "done",
    "connect-abstract": "done",
    "connect-tcp": "ECONNREFUSED",
    "bind-tcp": "done",
    "fork": "done",
    "clone3": "done",
    "thread": "done",
    "grow": "done",
    "socket-inet": "done",
    "socket-unix": "done",
    "rename-out": "done",
}

NNP = "no_new_privs+"


def drop(uid):
    """A preexec that becomes uid, or does nothing for root."""
    def run():
        if uid != 0 and os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
    return run


class Yard:
    """The directory, the sockets and the sibling that bite is pointed at."""

    def __init__(self, uid, sibling_uid):
        if SANITIZERS:
            skip("the sanitizers' runtime does not live in a sandbox")
        self.uid = uid
        self.top = tempfile.mkdtemp(prefix="claw-bite-")
        os.chmod(self.top, 0o755)
        self.bite = os.path.join(self.top, "bite")
        shutil.copy(os.path.join(BUILD, "tests", "sandbox", "bite"), self.bite)
        os.chmod(self.bite, 0o755)
        for name in ("data", "outside"):
            os.mkdir(os.path.join(self.top, name))
            os.chmod(os.path.join(self.top, name), 0o777)
        self.fresh()
        path = os.path.join(self.top, "outside", "private")
        with open(path, "w", encoding="ascii") as out:
            out.write("private\n")
        os.chmod(path, 0o600)
        if ROOT:
            os.chown(path, sibling_uid, sibling_uid)
        path = os.path.join(self.top, "outside", "sock")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        os.chmod(path, 0o777)
        self.sock.listen(4096)
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind("\0" + path)
        self.abstract.listen(4096)
        self.sibling = subprocess.Popen(
            ["sleep", "1000"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=drop(sibling_uid))

    def fresh(self):
        """Undo what an act that was done has left behind."""
        for name, text in (("data/file", "file\n"), ("outside/key", "key\n")):
            path = os.path.join(self.top, name)
            if os.path.exists(path):
                os.unlink(path)
            with open(path, "w", encoding="ascii") as out:
                out.write(text)
            os.chmod(path, 0o666)
        for name in ("outside/made", "data/made"):
            path = os.path.join(self.top, name)
            if os.path.exists(path):
                os.unlink(path)

    def start(self, process, layers, act, **kw):
        uid = FIRST_UID + PROCESSES.index(process)
        env = dict(os.environ)
        env.update(kw.pop("env", {}))
        return subprocess.Popen(
            [self.bite, process, layers, act, self.top,
             str(self.sibling.pid), str(uid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, preexec_fn=drop(self.uid), env=env)

    def outcome(self, process, layers, act, **kw):
        self.fresh()
        proc = self.start(process, layers, act, **kw)
        out = proc.communicate(timeout=60)[0].decode().strip()
        if proc.returncode < 0:
            return signal.Signals(-proc.returncode).name
        if proc.returncode == 77:
            skip("%s: %s" % (layers, out))
        if proc.returncode != 0:
            return "exit %d: %s" % (proc.returncode, out)
        return out or "done"

    def close(self):
        self.sibling.kill()
        self.sibling.wait()
        self.sock.close()
        self.abstract.close()
        shutil.rmtree(self.top)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def compare(yard, process, layers, table):
    wrong = []
    for act, want in table.items():
        got = yard.outcome(process, layers, act)
        if got != want:
            wrong.append("%s %s %s: %s, not %s" %
                         (process, layers, act, got, want))
    if wrong:
        raise Failure("\n".join(wrong))


def normal_uid():
    return USER_UID if ROOT else os.geteuid()


def whole_table(process):
    table = dict(ALL)
    table.update(DIFFERS[process])
    return table


def status_of(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1)
                    for line in file if ":\t" in line)


def check_proc(yard, process, as_root):
    proc = yard.start(process, "all", "stay")
    try:
        equal(proc.stdout.readline(), b"ready\n", "%s entered" % process)
        status = status_of(proc.pid)
        equal(status["NoNewPrivs"], "1", "NoNewPrivs")
        equal(status["Seccomp"], "2", "Seccomp")
        equal(status["TracerPid"], "0", "TracerPid")
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            equal(int(status[name], 16), 0, name)
        if as_root:
            uid = FIRST_UID + PROCESSES.index(process)
            equal(status["Uid"].split(), [str(uid)] * 4, "Uid")
            equal(status["Gid"].split(), [str(uid)] * 4, "Gid")
            equal(status["Groups"].split(), [], "Groups")
        if ROOT:
            equal(int(status["CapBnd"], 16), 0, "CapBnd")
            for space in ("net", "ipc", "uts"):
                equal(os.stat("/proc/%d/ns/%s" % (proc.pid, space)).st_ino !=
                      os.stat("/proc/self/ns/%s" % space).st_ino,
                      space != "net" or process not in OUTWARD,
                      "%s namespace of its own" % space)
            with open("/proc/%d/limits" % proc.pid, encoding="ascii") as file:
                limits = file.read()
            # To the kernel a thread is a process.
            for name in (("Max core file size", "Max processes")
                         if process != "xferd" else ("Max core file size",)):
                line = [x for x in limits.splitlines() if x.startswith(name)]
                equal(line[0][len(name):].split()[:2], ["0", "0"], name)
    finally:
        proc.stdin.close()
        proc.wait()
        proc.stdout.close()


def attack(layers, attacker_uid):
    """What a process outside gets of one that entered with these layers."""
    with Yard(normal_uid(), normal_uid()) as yard:
        proc = yard.start("keyd", layers, "stay")
        first = proc.stdout.readline()
        if first.startswith(b"not to be had"):
            proc.communicate()
            skip("%s: not to be had here" % layers)
        equal(first, b"ready\n", "keyd entered")
        out = subprocess.run(
            [yard.bite, "keyd", "all", "attack", yard.top, str(proc.pid)],
            stdout=subprocess.PIPE, preexec_fn=drop(attacker_uid), check=True)
        proc.kill()
        proc.communicate()
        return out.stdout.decode().split()


def all_layers(process, as_root):
    @test("%s as %s: every forbidden act dies or fails as it should" %
          (process, "root" if as_root else "a normal user"))
    def run():
        if as_root:
            need_root()
        uid = FIRST_UID + PROCESSES.index(process)
        with Yard(0 if as_root else normal_uid(),
                  uid if as_root else normal_uid()) as yard:
            compare(yard, process, "all", whole_table(process))


def seccomp_alone(process):
    @test("%s: the filter holds with every other layer off" % process)
    def run():
        table = whole_table(process)
        table.update(SECCOMP_ALONE.get(process, {}))
        # with no Landlock the kernel decides, by the sibling's user
        if process in ("auditd", "attestd", "sftd"):
            del table["open-mem"]
        with Yard(normal_uid(), normal_uid()) as yard:
            compare(yard, process, NNP + "seccomp", table)


def proc_shows(process, as_root):
    @test("%s as %s: /proc shows the sandbox" %
          (process, "root" if as_root else "a normal user"))
    def run():
        if as_root:
            need_root()
        with Yard(0 if as_root else normal_uid(), normal_uid()) as yard:
            check_proc(yard, process, as_root)


for one in PROCESSES:
    for root in (True, False):
        all_layers(one, root)
        proc_shows(one, root)
    seccomp_alone(one)


def alone(name, layers, table, needs_root=False, other=False):
    """One layer for every process; as root with root's power, too."""
    @test("%s: bites with the other layers off" % name)
    def run():
        if needs_root:
            need_root()
        uid = 0 if needs_root else normal_uid()
        sibling = OTHER_UID if other else uid
        with Yard(uid, sibling) as yard:
            for process in PROCESSES:
                acts = dict(table.get(process, table))
                acts.update(NETWORKED.get(
                    layers.replace(NNP, ""), {}).get(process, {}))
                compare(yard, process, layers, acts)


@test("control: without the layers every one of these acts succeeds")
def control():
    with Yard(normal_uid(), normal_uid()) as yard:
        compare(yard, "keyd", "no_new_privs", CONTROL)
    if ROOT:
        with Yard(0, OTHER_UID) as yard:
            for act in ("setuid-one", "ptrace", "kill"):
                equal(yard.outcome("keyd", "no_new_privs", act), "done", act)


alone("landlock, normal user", NNP + "landlock", LANDLOCK)
alone("landlock, root", "landlock", LANDLOCK, needs_root=True)
alone("landlock scope, normal user", NNP + "landlock scope", SCOPE)
alone("landlock scope, root", "landlock scope", SCOPE, needs_root=True)
alone("resource limits", "resource limits", LIMITS)
alone("network namespace, normal user", "network namespace", NETWORK)
alone("network namespace, root", "network namespace", NETWORK,
      needs_root=True)
alone("distinct user", "distinct user", USER, needs_root=True, other=True)
alone("capabilities", "capabilities", CAPABILITIES, needs_root=True,
      other=True)


@test("not dumpable: nobody of the same user reads it, all other layers off")
def not_dumpable():
    equal(attack("no_new_privs", normal_uid()),
          ["done", "done", "EFAULT", "done"], "control")
    shut = ["EPERM", "EACCES", "EPERM", "EPERM"]
    equal(attack("not dumpable", normal_uid()), shut, "alone")


@test("not dumpable: the owner of its user namespace does not read it either")
def not_dumpable_in_namespace():
    shut = ["EPERM", "EACCES", "EPERM", "EPERM"]
    equal(attack("all", normal_uid()), shut, "all layers")
    equal(attack("not dumpable+network namespace", normal_uid()), shut,
          "namespaces and not dumpable")


@test("not dumpable: nor does a sibling of the same user, in no sandbox but "
      "its namespaces")
def not_dumpable_to_siblings():
    table = {"ptrace": "EPERM", "vm-readv": "EPERM", "pidfd-getfd": "EPERM",
             "open-mem": "EACCES"}
    with Yard(normal_uid(), normal_uid()) as yard:
        keyd = yard.start("keyd", "all", "stay")
        equal(keyd.stdout.readline(), b"ready\n", "keyd entered")
        target, yard.sibling.pid = yard.sibling.pid, keyd.pid
        try:
            for layers in ("no_new_privs", "network namespace"):
                compare(yard, "auditd", layers, table)
        finally:
            yard.sibling.pid = target
            keyd.kill()
            keyd.communicate()


@test("fails closed: what somebody already traces does not run")
def traced():
    with Yard(normal_uid(), normal_uid()) as yard:
        for process in PROCESSES:
            got = yard.outcome(process, "all", "nothing",
                               env={"BITE_TRACED": "1"})
            equal(got, "exit 78: probe: no tracer: Operation not permitted",
                  process)


@test("fails closed: a process with a thread that would stay free")
def threads():
    with Yard(normal_uid(), normal_uid()) as yard:
        got = yard.outcome("keyd", "all", "nothing", env={"BITE_THREAD": "1"})
        equal(got, "exit 78: process: has threads: Device or resource busy",
              "keyd")


@test("fails closed: a layer that cannot be laid is named and nothing runs")
def fails_closed():
    with Yard(normal_uid(), normal_uid()) as yard:
        # neither without root's power nor with no_new_privs
        for layer in ("seccomp", "landlock"):
            got = yard.outcome("keyd", layer, "nothing")
            ok(got.startswith("exit 78: %s: " % layer), got)
        # what is needed on a host of root's, a normal user has not
        got = yard.outcome("keyd", "all", "nothing",
                           env={"BITE_SURROUNDING": "0"})
        ok(got.startswith("exit 78: distinct user: "), got)
        got = yard.outcome("keyd", "network namespace", "nothing",
                           env={"BITE_SURROUNDING": "0"})
        ok(got.startswith("exit 78: network namespace: "), got)


@test("dies with clawd: what clawd asked of the kernel outlives the layers")
def dies_with_parent():
    layers = "+".join(("network namespace", "other namespaces",
                       "capabilities", "no_new_privs", "not dumpable"))
    with Yard(normal_uid(), normal_uid()) as yard:
        equal(yard.outcome("keyd", layers, "pdeathsig"), "done", "user")
    if ROOT:
        with Yard(0, 0) as yard:
            equal(yard.outcome("keyd", layers + "+distinct user",
                               "pdeathsig"), "done", "root")


@test("fails closed: root does not stay root")
def root_is_refused():
    need_root()
    with Yard(0, 0) as yard:
        proc = subprocess.run(
            [yard.bite, "keyd", "all", "nothing", yard.top,
             str(yard.sibling.pid), "0"], stdout=subprocess.PIPE, check=False)
        equal(proc.returncode, 78, "status")
        ok(proc.stdout.startswith(b"distinct user: "), proc.stdout)


if __name__ == "__main__":
    main()
