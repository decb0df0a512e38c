#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The key is nowhere else: the node's private keys are in keyd's locked memory
and in no other process, core, argument or log, whatever the node does.

tests/system/keyscan reads the memory of every process from outside, as root,
and looks for each key in all its forms (see there). Everything is tried twice:
with a user for each process, and as one normal user for all of them.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from claw_test import (LONG, NOBODYS_UID, POOL, PROCESSES, ROOT, WORKERS,
                       XFERDS, Failure, Node, account_uid, binary, diag, equal,
                       main, need_root, ok, reachable, skip, test, wait_for)
from mesh_test import Peer, code_of

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
RACES = 50 if LONG else 3
NOTES = 25
SIBLINGS = [p for p in PROCESSES + WORKERS if p != "keyd"]
# What the C library and libevent hold at rest, beside channels.
EVENT_LOOP = ("anon_inode:[eventpoll]", "anon_inode:[eventfd]",
              "anon_inode:[timerfd]", "pipe:")


def tool(name):
    return reachable(os.path.join(BUILD, "tests", name))


def keyscan(*args, may_fail=False):
    done = subprocess.run([tool("system/keyscan"), *map(str, args)],
                          text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)
    if done.returncode != 0 and not may_fail:
        raise Failure("keyscan: exit %d: %s%s" % (
            done.returncode, done.stdout[-400:], done.stderr[-400:]))
    return done.stdout


def found(text):
    """[(process, key, form, flags, mapping)] of keyscan's answer."""
    return [tuple(line.split(" ", 6)[2:]) for line in text.splitlines()
            if line.startswith("found ")]


def both(function):
    """Run a test with users of their own, and as one normal user."""
    def run():
        need_root()
        for as_user in (False, True):
            with Node(as_user=as_user) as node:
                function(node)
    return run


def data(node):
    return os.path.join(node.dir, "data")


def everybody(node):
    return node.everybody()


KEYS = ("identity", "sealing", "wrapping", "fresh", "log")


def keyd_alone(node, when, keys=KEYS, rests=True, may=()):
    """Scan all processes: the keys named are in keyd and nothing is anywhere
    else; while it rests, in locked memory that no core holds. The forms.
    The authority key is not there unless keys or may name it."""
    pids = everybody(node)
    hits = found(keyscan(data(node), *pids.values()))
    for process, key, form, flags, mapping in hits:
        ok(process == "keyd", "%s: %s's %s (%s) in %s" % (
            when, key, form, mapping, process))
        ok(not rests or flags == "lo+dd", "%s: %s's %s in keyd's %s, flags %s" % (
            when, key, form, mapping, flags))
    for key in keys:
        ok(any(hit[1] == key for hit in hits),
           "%s: keyscan does not find the %s key in keyd" % (when, key))
    ok("authority" in keys + may or all(hit[1] != "authority" for hit in hits),
       "%s: the authority key is open" % when)
    return {hit[2] for hit in hits}


def use(node):
    """Records and checkpoints: keyd signs."""
    for i in range(5):
        node.claw("audit:note", "used %d" % i, check=True)


@test("keys are in keyd alone after the start, in locked memory")
@both
def at_start(node):
    diag("forms in keyd: " + " ".join(sorted(keyd_alone(node, "start"))))


@test("keys are in keyd alone while and after it signs")
@both
def in_use(node):
    done = subprocess.Popen(
        ["sh", "-c", 'i=0; while [ $i -lt %d ]; do i=$((i+1)); '
         '"$0" -f "$1" audit:note "$i" >/dev/null || exit 1; done' % NOTES,
         binary("claw"), node.config], stdin=subprocess.DEVNULL,
        env=node.env, **node.credentials())
    scans = 0
    while done.poll() is None:
        keyd_alone(node, "in use", rests=False)
        scans += 1
    equal(done.returncode, 0, "notes")
    keyd_alone(node, "after use")
    diag("%d scans during %d notes" % (scans, NOTES))


@test("the authority key is open while an invite is, in keyd's locked memory "
      "alone, and is forgotten with it")
@both
def authority(node):
    keyd_alone(node, "before the invite")
    node.claw("node:invite", "--name", "guest", check=True)
    keyd_alone(node, "an invite is open", KEYS + ("authority",))
    use(node)
    keyd_alone(node, "after use", KEYS + ("authority",))
    node.claw("invite:close", "guest", check=True)
    keyd_alone(node, "the invite is closed")


@test("the authority key is gone when the order that needed it is done")
@both
def one_order(node):
    done = subprocess.Popen(
        [binary("claw"), "-f", node.config, "registry:policy",
         "--soft", "20h", "--hard", "10d"], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, env=node.env, **node.credentials())
    while done.poll() is None:
        keyd_alone(node, "while it is signed", rests=False,
                   may=("authority",))
    equal(done.returncode, 0, "registry:policy")
    keyd_alone(node, "after the order")


@test("keys are in keyd alone after reload and graceful restart")
@both
def after_reload(node):
    with open(node.config, "a") as f:
        f.write("log:\n  level: debug\n")
    node.signal(signal.SIGHUP)
    wait_for(lambda: "configuration 2 is in force" in node.log(), 10,
             "the reload")
    use(node)
    keyd_alone(node, "reload")
    node.claw("node:restart", "--graceful", check=True)
    use(node)
    keyd_alone(node, "graceful restart")


@test("keys are in keyd alone after keyd was lost and started again")
@both
def after_loss(node):
    before = node.children()
    os.kill(before["keyd"], signal.SIGKILL)
    wait_for(lambda: node.log().count("controld is ready") >= 2, 20,
             "the restart")
    keyd_alone(node, "second start")


def init_watched(as_user):
    """claw init under ptrace: scanned after each of its system calls."""
    node = Node(as_user=as_user, init=False)
    os.makedirs(node.dir)
    os.chown(node.dir, node.uid, -1)
    answer = keyscan("-i", data(node), node.uid if as_user else 0,
                     binary("clawd"), "--init", "--dir", node.dir,
                     "--name", node.name, "--listen", node.listen)
    looks = int(re.search(r"^looked (\d+)$", answer, re.M).group(1))
    hits = found(answer)
    ok(looks >= 10, "only %d looks" % looks)
    for process, key, form, flags, mapping in hits:
        ok(process == "keyd", "%s's %s in %s" % (key, form, process))
    for key in ("identity", "sealing", "wrapping", "fresh", "authority"):
        ok(any(hit[1] == key for hit in hits),
           "%s was not seen in keyd while it was made" % key)
    loose = {hit[1:] for hit in hits if hit[3] != "lo+dd"}
    diag("%d looks; while keyd computed, outside locked memory: %s" % (
        looks, sorted(loose)))
    # Nobody else has the key afterwards: not in any file but its own.
    for folder, _, names in os.walk(node.dir):
        for name in names:
            path = os.path.join(folder, name)
            if not path.endswith("/keys/node.key"):
                equal(found(keyscan(data(node), path)), [], path)


@test("keys are made in keyd: clawd --init never has them")
def while_made():
    need_root()
    for as_user in (False, True):
        init_watched(as_user)


def cores(*folders):
    return [os.path.join(folder, name) for folder in folders
            for name in os.listdir(folder)
            if re.fullmatch(r"core(\.\d+)?", name)]


def start_wanting_cores(node):
    node.stop()
    limit = "ulimit -c unlimited; exec \"$@\""
    node.start(wrapper=("sh", "-c", limit, "sh"))
    with open("/proc/sys/kernel/core_pattern") as f:
        if f.read().startswith("|"):
            skip("cores go to a program here")


@test("a process that is made to dump core leaves none: no keys, no cookie")
@both
def no_core(node):
    start_wanting_cores(node)
    # A core does appear here, from a process that is not ours.
    plain = subprocess.Popen(
        ["sh", "-c", "ulimit -c unlimited; exec sleep 100"], cwd=node.top,
        **node.credentials())
    time.sleep(0.2)
    plain.send_signal(signal.SIGABRT)
    plain.wait()
    left = cores(node.top)
    ok(left, "no core of a plain process: this test proves nothing here")
    for path in left:
        os.unlink(path)
    for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT):
        pids = node.children()
        folders = {os.readlink("/proc/%d/cwd" % pid)
                   for pid in everybody(node).values()} | {node.top, "/"}
        ready = node.log().count("controld is ready")
        os.kill(pids["keyd"], number)
        wait_for(lambda: node.log().count("controld is ready") > ready, 20,
                 "the restart")
        equal(cores(*folders), [], "cores of keyd after %s" % number.name)
    # Its parent too, which knows the cookie.
    node.process.send_signal(signal.SIGABRT)
    node.process.wait()
    equal(cores(node.top, "/"), [], "cores of clawd")


def gcore(pid, node, credentials):
    to = os.path.join(node.top, "gcore")
    subprocess.run(["gcore", "-o", to, str(pid)], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   cwd=node.top, timeout=120, **credentials)
    return "%s.%d" % (to, pid)


@test("gcore of keyd fails for its own user, and has no keys for root")
@both
def gcore_finds_nothing(node):
    if shutil.which("gcore") is None:
        skip("no gcore")
    pid = node.children()["keyd"]
    uid = node.uid if node.as_user else account_uid("keyd")
    path = gcore(pid, node, {"user": uid, "group": uid, "extra_groups": []})
    ok(not os.path.exists(path), "gcore made a core of keyd")
    path = gcore(pid, node, {})
    ok(os.path.exists(path), "gcore fails even for root")
    equal(found(keyscan(data(node), path)), [], "root's core of keyd")


@test("keyd at rest holds channels, its log and its event loop only")
@both
def descriptors(node):
    use(node)
    for name, many in (("linkd", POOL), ("xferd", XFERDS)):
        wait_for(lambda: len(node.workers(name)) == many, 10,
                 "the pool of " + name)
    time.sleep(0.5)
    pid = node.children()["keyd"]
    sockets = 0
    for number in os.listdir("/proc/%d/fd" % pid):
        to = os.readlink("/proc/%d/fd/%s" % (pid, number))
        if number in "01":
            equal(to, "/dev/null", "descriptor " + number)
        elif number == "2":
            equal(to, node.log_path, "descriptor 2")
        elif to.startswith("socket:"):
            sockets += 1
        else:
            ok(to.startswith(EVENT_LOOP), "descriptor %s is %s" % (number, to))
    # clawd's, auditd's, attestd's, controld's, meshd's, sftd's; a link's each
    # and a transfer's.
    equal(sockets, 6 + POOL + XFERDS, "channels")


@test("keyd's secrets cannot be swapped out or dumped, and are few")
@both
def locked(node):
    pid = node.children()["keyd"]
    with open("/proc/%d/status" % pid) as f:
        status = f.read()
    locked_kb = int(re.search(r"VmLck:\s+(\d+) kB", status).group(1))
    ok(locked_kb >= 64, "VmLck %d kB" % locked_kb)
    maps = open("/proc/%d/smaps" % pid).read().split("VmFlags:")
    good = [m for m in maps[1:] if " lo " in m.splitlines()[0]
            and " dd " in m.splitlines()[0]]
    equal(len(good), 1, "mappings that are locked and not dumped")


@test("no key in any process's arguments or environment")
@both
def arguments(node):
    use(node)
    files = ["/proc/%s/%s" % (pid, name)
             for pid in everybody(node).values()
             for name in ("cmdline", "environ", "comm")]
    equal(found(keyscan(data(node), *files)), [], "arguments")


@test("no key in the log, the audit log, the metrics or the counter pages")
@both
def files(node):
    use(node)
    node.claw("metrics:print", check=True)
    paths = [node.log_path, node.config]
    for name in ("log", "run", "data"):
        for folder, _, names in os.walk(os.path.join(node.dir, name)):
            paths += [os.path.join(folder, n) for n in names
                      if not n.endswith(".sock")]
    paths.remove(os.path.join(data(node), "keys", "node.key"))
    equal(found(keyscan(data(node), *paths)), [], "files")


# What is a secret and no key of keyd's at rest


def keyscan_more(node, code, ticket, *what):
    return found(keyscan("-x", code or "-", ticket or "-", data(node), *what))


MORE = ("code", "next", "ticket", "ticket-key")


def finds_more(node, code, ticket):
    """It does find them, where they are."""
    path = os.path.join(node.top, "secrets")
    with open(path, "w") as f:
        f.write("x" + code + "y" + ticket + "z")
    hits = {hit[1] for hit in keyscan_more(node, code, ticket, path)}
    equal(hits, {"code", "ticket"}, "what keyscan finds in a file")
    os.unlink(path)


@test("the next identity key, its recovery code and a ticket's secret are in no "
      "process of a node that runs and invites, and in no file")
def more():
    need_root()
    for as_user in (False, True):
        node = Peer("alpha", as_user).start()
        made = node.claw("node:invite", "--name", "guest", check=True).stdout
        ticket = next(w for w in made.split() if w.startswith("claw-join-1:"))
        finds_more(node, node.code, ticket)
        use(node)
        hits = keyscan_more(node, node.code, ticket,
                            *everybody(node).values())
        ok(any(hit[1] == "authority" for hit in hits), "the invite is not open")
        for process, key, form, flags, mapping in hits:
            ok(key not in MORE, "%s's %s in %s" % (key, form, process))
            ok(process == "keyd" and flags == "lo+dd", "%s's %s in %s %s %s" % (
                key, form, process, mapping, flags))
        paths = [os.path.join(folder, name)
                 for folder, _, names in os.walk(node.top) for name in names
                 if not name.endswith(".sock") and not name.endswith(".key")
                 and os.path.isfile(os.path.join(folder, name))]
        equal(keyscan_more(node, node.code, ticket, *paths), [], "files")
        node.discard()


@test("while a node joins, its ticket's secret is in its keyd alone, in locked "
      "memory, and its code is gone once it was shown")
def joining():
    need_root()
    for as_user in (False, True):
        alpha = Peer("alpha", as_user).start()
        made = alpha.claw("node:invite", "--name", "beta", "--confirm",
                          check=True).stdout
        ticket = next(w for w in made.split() if w.startswith("claw-join-1:"))
        beta = Peer("beta", as_user, init=False)
        said = os.path.join(beta.top, "said")
        with open(said, "w") as f:
            process = subprocess.Popen(
                [binary("clawd"), "--init", "--dir", beta.dir, "--name",
                 "beta", "--join", "-"], stdin=subprocess.PIPE, stdout=f,
                stderr=subprocess.STDOUT, text=True, env=beta.env,
                **beta.credentials())
            process.stdin.write(ticket + "\n")
            process.stdin.flush()
            wait_for(lambda: "waiting" in alpha.claw("invite:list").stdout,
                     what="the joiner")
        with open(said) as f:
            code = code_of(f.read())
        pids = [process.pid] + [
            int(pid) for pid in os.listdir("/proc") if pid.isdigit()
            and parent_of(pid) == process.pid]
        equal(len(pids), 4, "clawd, keyd, attestd and linkd")
        hits = keyscan_more(beta, code, ticket, *pids)
        ok(any(hit[1] == "ticket" for hit in hits), "no ticket in keyd")
        for who, key, form, flags, mapping in hits:
            ok(who == "keyd" and flags == "lo+dd" and
               key not in ("code", "next"), "%s's %s in %s %s %s" % (
                   key, form, who, mapping, flags))
        hits = [hit for hit in keyscan_more(
            beta, code, ticket, *everybody(alpha).values())
            if hit[1] in MORE + ("identity", "sealing", "wrapping")]
        equal(hits, [], "in the inviter")
        alpha.claw("invite:confirm", "beta", check=True)
        process.communicate(timeout=60)
        equal(process.returncode, 0, "the joiner's status")
        beta.discard()
        alpha.discard()


def parent_of(pid):
    try:
        with open("/proc/%s/stat" % pid) as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


# Attacks by processes of the same user


def outside_attack(node, uid):
    """pidfd_getfd, /proc/PID/mem, process_vm_readv, ptrace from outside."""
    pid = node.children()["keyd"]
    credentials = {"user": uid, "group": uid, "extra_groups": []}
    done = subprocess.run(
        [tool("sandbox/bite"), "keyd", "all", "attack", "-", str(pid)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        **credentials)
    equal(done.returncode, 0, "bite")
    for way, how in zip(("pidfd_getfd", "mem", "process_vm_readv", "ptrace"),
                        done.stdout.split()):
        ok(how in ("EPERM", "EACCES"), "%s by uid %d: %s" % (way, uid, how))
    for name in ("fd", "maps", "environ", "auxv", "stack", "syscall",
                 "map_files", "pagemap", "smaps", "cwd", "exe", "root"):
        path = "/proc/%d/%s" % (pid, name)
        command = ["ls", "-l", path + "/"] if name in (
            "fd", "map_files", "cwd", "root") else ["cat", path]
        done = subprocess.run(command, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, **credentials)
        ok(done.stdout.strip() in ("", "total 0"),
           "uid %d reads %s: %r" % (uid, path, done.stdout[:80]))


@test("no process of the same user outside the node gets into keyd")
@both
def outside(node):
    outside_attack(node, node.uid if node.as_user else account_uid("keyd"))
    if not node.as_user:
        outside_attack(node, account_uid("auditd"))
        outside_attack(node, NOBODYS_UID)


def yard(node, uid):
    top = tempfile.mkdtemp(prefix="claw-yard-", dir=node.top)
    os.makedirs(os.path.join(top, "data"))
    os.makedirs(os.path.join(top, "outside"))
    open(os.path.join(top, "data", "file"), "w").close()
    for folder, _, names in os.walk(top):
        for path in [folder] + [os.path.join(folder, n) for n in names]:
            os.chown(path, uid, uid)
    return top


@test("no sibling gets into keyd, by any way that there is")
@both
def siblings(node):
    acts = ("ptrace", "vm-readv", "open-mem", "pidfd-open", "pidfd-getfd",
            "kill")
    keyd = node.children()["keyd"]
    for process in SIBLINGS:
        uid = node.uid if node.as_user else account_uid(process)
        top = yard(node, uid)
        keywords = node.credentials()
        for act in acts:
            done = subprocess.run(
                [tool("sandbox/bite"), process, "all", act, top, str(keyd),
                 str(uid)], stdin=subprocess.DEVNULL, text=True,
                stdout=subprocess.PIPE, **keywords)
            how = done.stdout.strip()
            ok(done.returncode == -signal.SIGSYS
               or how in ("EPERM", "EACCES"),
               "%s in the sandbox of %s: exit %d %s" % (
                   act, process, done.returncode, how))
    equal(node.children()["keyd"], keyd, "keyd")


def race(way, as_user, starts):
    """Try to get in from the moment that keyd exists."""
    node = Node(as_user=as_user)
    uid = node.uid if as_user else account_uid("auditd")
    fifo = os.path.join(node.top, "go")
    os.mkfifo(fifo)
    os.chmod(fifo, 0o666)
    won = dict.fromkeys(("opened", "attached", "fds", "refused"), 0)
    hits = []
    for _ in range(starts):
        node.start(wait=False, wrapper=(
            "sh", "-c", 'read x <"$0"; exec "$@"', fifo))
        racer = subprocess.Popen(
            [tool("system/keyscan"), "-r", way, data(node), str(uid),
             str(node.pid)], text=True, stdout=subprocess.PIPE)
        equal(racer.stdout.readline(), "waiting\n", "the attacker")
        with open(fifo, "w") as f:
            f.write("go\n")
        answer = racer.communicate(timeout=60)[0]
        equal(racer.returncode, 0, "the attacker")
        hits += found(answer)
        for name in won:
            won[name] += int(re.search(name + r" (\d+)", answer).group(1))
        node.wait_state("READY=1", 5)
        node.stop()
    node.discard()
    diag("%s, %d starts as %s: %s" % (
        way, starts, "one user" if as_user else "users of their own", won))
    return hits, won


def never_dumpable():
    """Whether keyd's program is one that its user cannot read: such a process
    cannot be looked into from its first moment on (execve(2))."""
    return os.stat(binary("keyd")).st_mode & 0o444 == 0


def races(way, modes=(False, True)):
    need_root()
    for as_user in modes:
        hits, won = race(way, as_user, RACES)
        ok(won["opened"] + won["refused"] + won["fds"] + won["attached"] > 0,
           "the attacker has not met keyd")
        equal(hits, [], "keys read")
        if not as_user or never_dumpable():
            equal(won["opened"] + won["fds"] + won["attached"], 0,
                  "ways into keyd")


def races_from_birth(way):
    """Between its exec and the moment that keyd shuts its door a program of
    the same user outside the node can begin to read it (siblings cannot: they
    are killed when they try, see above). It could read the key file as well,
    so this is required of that user only where keyd is never dumpable."""
    races(way, (False, True) if never_dumpable() else (False,))


@test("a race with keyd's start: process_vm_readv reads no key")
def race_vm():
    races_from_birth("vm")


@test("a race with keyd's start: whom ptrace got hold of is given no key")
def race_ptrace():
    races("ptrace")


@test("a race with keyd's start: no key file by pidfd_getfd")
def race_fds():
    races("fds")


@test("a race with keyd's start: /proc/PID/mem opened early reads no key")
def race_mem():
    races_from_birth("mem")


main()
