#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the kernel says of the processes of a running node, as a normal user
and as root: no new privileges, a filter, no capabilities, and, as root, a user
and namespaces of its own for each."""

import os

from claw_test import (NETWORKED, POOL, PROCESSES, XFERDS, Node, account_uid,
                       equal, main, need_root, ok, test, wait_for)


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f
                    if ":\t" in line)


def namespace(pid, kind):
    return os.readlink("/proc/%d/ns/%s" % (pid, kind))


def descriptors(pid):
    folder = "/proc/%d/fd" % pid
    return {int(fd): os.readlink(os.path.join(folder, fd))
            for fd in os.listdir(folder)}


def kind(name):
    """The process that a name of Node.everybody() is: linkd[123] is linkd."""
    return name.split("[")[0]


def pool_is_ready(node):
    links, ends = node.workers(), node.workers("xferd")
    return len(links) == POOL and len(ends) == XFERDS and all(
        status_of(pid)["Seccomp"] == "2" for pid in links + ends)


def check_namespaces(node, children):
    for space in ("net", "ipc", "uts"):
        alone = {name: pid for name, pid in children.items()
                 if space != "net" or name not in NETWORKED}
        seen = {namespace(pid, space) for pid in alone.values()}
        equal(len(seen), len(alone), space + " namespaces")
        ok(namespace(node.pid, space) not in seen, space + " is clawd's")
    for name in NETWORKED:
        equal(namespace(children[name], "net"), namespace(node.pid, "net"),
              name + " has the machine's network")


def check_layers(node):
    wait_for(lambda: pool_is_ready(node), 10, "the pools")
    children = node.everybody()
    del children["clawd"]
    equal(sorted(kind(name) for name in children),
          sorted(PROCESSES + POOL * ("linkd",) + XFERDS * ("xferd",)),
          "processes of the node")
    for name, pid in children.items():
        status = status_of(pid)
        equal(status["NoNewPrivs"], "1", name + " NoNewPrivs")
        equal(status["Seccomp"], "2", name + " Seccomp")
        for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            equal(int(status[caps], 16), 0, "%s %s" % (name, caps))
        equal(status["TracerPid"], "0", name + " TracerPid")
        equal(status["Threads"], "1", name + " threads")
    return children


@test("a normal user's node: every layer that needs no second user")
def as_user():
    with Node(as_user=True) as node:
        children = check_layers(node)
        if os.getuid() != 0:
            return # their /proc is root's: they are not dumpable
        check_namespaces(node, children)
        for name, pid in children.items():
            with open("/proc/%d/cmdline" % pid) as f:
                given = f.read().split("\0")[1]
            ok(given.endswith(",1"), "%s tried again what clawd had: %s" % (
                name, given))


@test("root's node: a user and namespaces of its own for each process")
def as_root():
    need_root()
    with Node(as_user=False) as node:
        children = check_layers(node)
        for name, pid in children.items():
            status = status_of(pid)
            equal(status["Uid"].split(), [str(account_uid(kind(name)))] * 4,
                  name + " users")
            equal(status["Groups"].strip(), "", name + " groups")
            equal(int(status["CapBnd"], 16), 0, name + " CapBnd")
        check_namespaces(node, children)


@test("no process holds a descriptor that its tables do not name")
def held():
    need_root()
    allowed = ("socket:", "anon_inode:", "pipe:")
    with Node(as_user=False) as node:
        children = check_layers(node)
        for name, pid in children.items():
            for fd, what in descriptors(pid).items():
                if fd < 3 or what.startswith(allowed):
                    continue
                ok(name in ("auditd", "attestd", "sftd") and
                   what.startswith(node.dir),
                   "%s holds %s" % (name, what))
                ok("keys" not in what, "%s holds %s" % (name, what))


@test("a worker is started for one job, confined like the others, and ends")
def worker():
    with Node() as node:
        wait_for(lambda: pool_is_ready(node), 10, "the pools")
        before = node.everybody()
        done = node.claw("audit:check", "--json", check=True)
        ok('"sound": true' in done.stdout or '"sound":true' in done.stdout,
           done.stdout)
        wait_for(lambda: not node.workers("verifyd"), 5, "verifyd's end")
        equal(node.everybody(), before, "processes after the check")
        tail = node.claw("audit:tail", check=True).stdout
        ok("audit.checked" in tail, "the check is recorded")


@test("a worker finds what was changed on the disk under the node")
def worker_finds():
    with Node() as node:
        node.claw("audit:note", "a note that is changed", check=True)
        node.claw("audit:check", check=True)
        for top, _, files in os.walk(os.path.join(node.dir, "log", "audit")):
            if "log.ndjson" in files:
                path = os.path.join(top, "log.ndjson")
        with open(path, "r+b") as f:
            at = f.read().index(b"that is changed")
            f.seek(at)
            f.write(b"This")
        done = node.claw("audit:check")
        equal(done.returncode, 79, "status of audit:check")
        ok("damaged" in done.stdout, done.stdout)


if __name__ == "__main__":
    main()
