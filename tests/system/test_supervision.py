#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Whatever process is taken away, what policy/supervision.def says happens:
the right ones are replaced and no others, it is on record, nothing is left
over and nothing is lost. CLAW_LONG=1 takes each away a hundred times in a row.

Faults come from outside: signals, and tests/system/inject, which makes a
process do what its sandbox forbids, or run no further.
"""

import contextlib
import glob
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

from claw_test import (LONG, POOL, PROCESSES, ROOT, XFERDS, Failure, Node,
                       contains, diag, equal, main, need_root, ok, reachable,
                       test, wait_for)

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
ROUNDS = 100 if LONG else 3
CRASHES = 20 if LONG else 5
LASTED = 2.05  # seconds after which the back-off begins anew
STALLED = 5    # seconds of silence, and then two to the next question

# What stands in policy/supervision.def, written without looking at it.
STOPS_SUITE = ("keyd", "auditd")
STOP_ORDER = ("sftd", "meshd", "controld", "attestd", "auditd", "keyd")
# Workers that wait for something to do.
POOLS = {"linkd": POOL, "xferd": XFERDS}

FAULTS = {
    "SIGKILL": "killed by SIGKILL",
    "SIGSEGV": "killed by SIGSEGV",
    "SIGSTOP": "killed by SIGKILL: was stopped by SIGSTOP",
    "violation": "killed by SIGSYS: forbidden system call",
}


def inject(what, pid):
    return subprocess.Popen(
        [reachable(os.path.join(BUILD, "tests", "system", "inject")), what,
         str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)


def strike(fault, pid):
    if fault == "violation":
        equal(inject("call", pid).wait(20), 0, "inject")
    else:
        os.kill(pid, getattr(signal, fault))


def records(node):
    """What the audit log holds, oldest first."""
    found = []
    for path in sorted(glob.glob(os.path.join(
            node.dir, "log", "audit", "*", "log.ndjson"))):
        with open(path) as f:
            found += [json.loads(line)["act"] for line in f
                      if line.endswith("\n")]
    return found


def ended(node, pid):
    return [r for r in records(node)
            if r["event"] == "process.ended" and r["pid"] == pid]


def descriptors(node):
    """How many each process has, clawd included."""
    pids = dict(node.children(), clawd=node.pid)
    return {name: len(os.listdir("/proc/%d/fd" % pids[name]))
            for name in PROCESSES + ("clawd",)}


def pool_is_full(node):
    """Two linkd and an xferd wait, and whoever has channels to them has those
    and no more."""
    for name, many in POOLS.items():
        wait_for(lambda: len(node.workers(name)) == many, 10,
                 "the pool of " + name)
    before = None
    while before != descriptors(node):
        before = descriptors(node)
        time.sleep(0.2)
    return before


def new_log(node, start):
    with open(node.log_path, errors="replace") as f:
        f.seek(start)
        return f.read()


def stamp(line):
    hours, minutes, seconds = re.search(
        r"T(\d+):(\d+):([\d.]+)Z", line).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def reaction(text, first, last):
    """Seconds between two lines of the log, as clawd saw them."""
    lines = text.splitlines()
    begin = next(line for line in lines if first in line)
    end = next(line for line in reversed(lines) if last in line)
    return (stamp(end) - stamp(begin)) % 86400


def whole(node):
    return set(node.children()) >= set(PROCESSES)


def check_replaced(process, before, after):
    for name in PROCESSES:
        gone = name == process or (process in STOPS_SUITE
                                   and name != "metricd")
        if gone:
            ok(after[name] != before[name], "%s lost: %s is the old one" % (
                process, name))
        else:
            equal(after[name], before[name], "%s lost: pid of %s" % (
                process, name))


def check_stop_order(process, text):
    done = re.findall(r'msg="(\w+)\[\d+\] has finished"', text)
    equal(tuple(p for p in done if p not in POOLS),
          tuple(p for p in STOP_ORDER if p != process),
          "%s lost: the order of the stop" % process)
    # A worker is its broker's: none outlives what serves it.
    workers = sum(p in POOLS for p in done)
    ok(all(p in POOLS for p in done[:workers]),
       "%s lost: the workers come first: %s" % (process, done))


def one_round(node, process, fault):
    """One fault, and all that has to come of it. Seconds it took."""
    before = node.children()
    mark = os.path.getsize(node.log_path)
    sign = ("node %s is ready" % node.name if process in STOPS_SUITE
            else 'msg="%s is ready"' % process)
    strike(fault, before[process])
    wait_for(lambda: sign in new_log(node, mark), 30,
             "%s of %s: readiness" % (fault, process))
    text = new_log(node, mark)
    after = node.children()
    check_replaced(process, before, after)
    how = wait_for(lambda: ended(node, before[process]), 10,
                   "%s of %s: its record" % (fault, process))
    equal(how[0]["reason"], FAULTS[fault], "%s of %s" % (fault, process))
    equal(how[0]["process"], process, "process on record")
    if process in STOPS_SUITE:
        check_stop_order(process, text)
    return reaction(text, "%s[%d]" % (process, before[process]), sign)


def rounds(node, process, fault, count, times):
    """Faults in a row: nothing leaks."""
    before = None
    for _ in range(count):
        time.sleep(LASTED)
        if before is None:
            before = pool_is_full(node)
        times.append(one_round(node, process, fault))
    wait_for(lambda: descriptors(node) == before, 5,
             "descriptors as before (%s, %s)" % (before, descriptors(node)))
    stops = [r for r in records(node) if r["event"] == "suite.stop"]
    if process in STOPS_SUITE:
        ok(len(stops) >= count, "suite.stop on record %d times" % len(stops))
    else:
        equal(stops, [], "suite.stop on record")


def at_once(jobs):
    """Run functions side by side, each with a node of its own."""
    wrong = []

    def run(job):
        try:
            job()
        except BaseException as error:
            wrong.append(error)
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def all_faults(fault):
    need_root()
    times = {process: [] for process in PROCESSES}
    nodes = []
    for number, process in enumerate(PROCESSES):
        as_user = number % 2 == 0
        nodes.append((process, Node("n-" + process, as_user).start()))
    at_once([lambda node=node, process=process: rounds(
        node, process, fault, ROUNDS, times[process])
        for process, node in nodes])
    for process, node in nodes:
        node.discard()
    for process in PROCESSES:
        late = [t for t in times[process] if t > 1]
        diag("%s of %s, %d times: ready again after %.3f s (median), %.3f s "
             "at most" % (fault, process, len(times[process]), sorted(
                 times[process])[len(times[process]) // 2],
                 max(times[process])))
        if LONG:
            equal(late, [], "more than a second")


@test("SIGKILL: the right ones start again, the rest go on, it is on record")
def sigkill():
    all_faults("SIGKILL")


@test("SIGSEGV: the right ones start again, the rest go on, it is on record")
def sigsegv():
    all_faults("SIGSEGV")


@test("SIGSTOP: a process that was stopped is ended and started again")
def sigstop():
    all_faults("SIGSTOP")


@test("a forbidden system call: the process dies of SIGSYS, which is named")
def violation():
    all_faults("violation")


@test("a process that says nothing any more is ended, and that is on record")
def silence():
    need_root()

    def silent(process, node):
        before = node.children()
        mark = os.path.getsize(node.log_path)
        holder = inject("hold", before[process])
        equal(holder.stdout.readline(), "held\n", "inject")
        started = time.monotonic()
        wait_for(lambda: ended(node, before[process]), 3 * STALLED,
                 "the end of silent " + process)
        took = time.monotonic() - started
        holder.kill()
        holder.wait()
        ok(took > STALLED, "%s was ended after %.1f s" % (process, took))
        equal(ended(node, before[process])[0]["reason"],
              "killed by SIGKILL: did not answer", process)
        wait_for(lambda: whole(node), 10, "all processes")
        contains(new_log(node, mark), "does not answer", "log")
    nodes = [(p, Node("n-" + p, as_user=True).start()) for p in PROCESSES]
    at_once([lambda p=p, n=n: silent(p, n) for p, n in nodes])


@test("a process that dies at once each time waits longer each time")
def back_off():
    with Node() as node:
        for wait in (100, 200, 400, 800):
            pid = node.children()["metricd"]
            mark = os.path.getsize(node.log_path)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: 'msg="metricd is ready"' in new_log(node, mark),
                     20, "metricd")
            contains(new_log(node, mark),
                     "metricd starts again in %d ms" % wait, "log")
        time.sleep(LASTED)
        mark = os.path.getsize(node.log_path)
        os.kill(node.children()["metricd"], signal.SIGKILL)
        wait_for(lambda: "metricd starts again in 100 ms"
                 in new_log(node, mark), 20, "back-off from the beginning")
    with Node() as node:
        wait_for(lambda: "node %s is ready" % node.name in node.log(), 5,
                 "the log")
        for wait in (200, 400, 800):
            mark = os.path.getsize(node.log_path)
            os.kill(node.children()["keyd"], signal.SIGKILL)
            wait_for(lambda: "node %s is ready" % node.name
                     in new_log(node, mark), 20, "the suite")
            contains(new_log(node, mark),
                     "all is stopped; starting again in %d ms" % wait, "log")


def gone(pids):
    def look():
        for pid in pids:
            try:
                with open("/proc/%d/stat" % pid) as f:
                    if f.read().rsplit(")", 1)[1].split()[0] != "Z":
                        return False
            except OSError:
                continue
        return True
    return look


@test("clawd killed: within a second no process is left, whenever it was")
def orphans():
    for as_user in (True, False) if ROOT else (True,):
        node = Node(as_user=as_user)
        for crash in range(CRASHES):
            node.start(wait=crash == 0)
            if crash != 0:
                time.sleep(random.random() * 0.15)
            pids = [pid for _, pid in node.running()]
            node.kill()
            wait_for(gone(pids), 1, "the end of all processes")
            equal(node.running(), [], "children of the dead clawd")
        node.start()
        contains([r["event"] for r in records(node)], "node.unclean",
                 "the record of the crash")
        node.discard()


@test("keyd or auditd dies while the other is being started again: no matter")
def both_at_once():
    need_root()
    with Node() as node:
        for first, second in (("keyd", "auditd"), ("auditd", "keyd"),
                              ("controld", "auditd"), ("keyd", "metricd")):
            time.sleep(LASTED)
            pids = node.children()
            mark = os.path.getsize(node.log_path)
            # clawd would end the second for want of the first.
            os.kill(node.pid, signal.SIGSTOP)
            os.kill(pids[first], signal.SIGKILL)
            os.kill(pids[second], signal.SIGKILL)
            os.kill(node.pid, signal.SIGCONT)
            wait_for(lambda: "node %s is ready" % node.name
                     in new_log(node, mark), 20, "the suite")
            wait_for(lambda: whole(node), 10, "all processes")
            for name in (first, second):
                wait_for(lambda: ended(node, pids[name]), 10,
                         "the record of " + name)


# Workers


def broker_dies(broker, worker):
    need_root()
    with Node() as node:
        pool_is_full(node)
        suite, old = node.children(), node.workers(worker)
        os.kill(suite[broker], signal.SIGKILL)
        wait_for(gone(old), 10, "the end of the old one's workers")
        wait_for(lambda: whole(node), 10, "all processes")
        held = pool_is_full(node)
        equal(set(node.workers(worker)) & set(old), set(), "workers that stayed")
        now = node.children()
        for name in PROCESSES:
            equal(now[name] == suite[name], name != broker,
                  "whether %s was kept" % name)
        # Nobody keeps a channel to who is gone.
        mark = os.path.getsize(node.log_path)
        time.sleep(LASTED)
        os.kill(now[broker], signal.SIGKILL)
        wait_for(lambda: 'msg="%s is ready"' % broker in new_log(node, mark),
                 10, broker)
        wait_for(lambda: len(node.workers(worker)) == POOLS[worker] and
                 descriptors(node) == held, 10, "descriptors as before")


@test("meshd dies: its links end with it, and the new one has its own")
def links_of_meshd():
    broker_dies("meshd", "linkd")


@test("sftd dies: its transfers end with it, and the new one has its own")
def transfers_of_sftd():
    broker_dies("sftd", "xferd")


def worker_dies(worker):
    need_root()
    with Node() as node:
        held = pool_is_full(node)
        for fault, how in FAULTS.items():
            suite, old = node.children(), node.workers(worker)
            strike(fault, old[0])
            wait_for(lambda: old[0] not in node.workers(worker) and
                     len(node.workers(worker)) == POOLS[worker], 15,
                     "another " + worker)
            ok(set(old[1:]) <= set(node.workers(worker)),
               "%s: the other %s" % (fault, worker))
            equal(node.children(), suite, "%s: the suite" % fault)
            record = wait_for(lambda: ended(node, old[0]), 10,
                              "%s: its record" % fault)[0]
            equal(record["process"], worker, "process on record")
            equal(record["reason"], how, fault)
            wait_for(lambda: descriptors(node) == held, 10,
                     "%s: descriptors as before" % fault)
        equal(node.claw("api:ping").returncode, 0, "answer")


@test("a linkd dies: the others and the suite go on, and another takes its "
      "place; it is on record")
def one_link():
    worker_dies("linkd")


@test("an xferd dies: the suite goes on, and another takes its place; it is on "
      "record")
def one_transfer():
    worker_dies("xferd")


# Orders


class Client:
    """One connection to the control socket."""

    def __init__(self, node):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(os.path.join(node.dir, "run", "claw.sock"))
        self.file = self.socket.makefile("rb")
        with open(os.path.join(node.dir, "run", "cookie")) as f:
            ok("result" in self.ask("auth", cookie=f.read().strip()),
               "the cookie")

    def ask(self, method, **params):
        self.socket.sendall(json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": method,
             "params": params}).encode() + b"\n")
        line = self.file.readline()
        return json.loads(line) if line else None

    def close(self):
        self.file.close()
        self.socket.close()


@test("a graceful restart over the API loses no request under load")
def graceful():
    with Node() as node:
        stop = threading.Event()
        acknowledged, refused = [], []
        held = pool_is_full(node) if ROOT else None

        def load(number):
            i = 0
            while not stop.is_set():
                text = "note %d/%d" % (number, i)
                client = Client(node)
                answer = client.ask("audit.note", text=text)
                client.close()
                if answer is not None and "result" in answer:
                    acknowledged.append(text)
                elif answer is not None and \
                        answer["error"]["data"]["retryable"]:
                    refused.append(text)
                else:
                    raise Failure("request %s: %s" % (text, answer))
                i += 1

        def restarts():
            try:
                for _ in range(3):
                    time.sleep(0.3)
                    pids = node.children()
                    answer = Client(node).ask("node.restart", graceful=True)
                    ok(answer is not None and "result" in answer,
                       "restart: %s" % answer)
                    wait_for(lambda: whole(node), 10, "all processes")
                    now = node.children()
                    for name in PROCESSES:
                        equal(now[name] == pids[name], name == "keyd",
                              "whether %s was kept" % name)
            finally:
                stop.set()
        at_once([lambda n=n: load(n) for n in range(4)] + [restarts])
        noted = [r["text"] for r in records(node)
                 if r["event"] == "audit.note"]
        missing = set(acknowledged) - set(noted)
        equal(missing, set(), "acknowledged and not on record")
        ends = [r for r in records(node) if r["event"] == "process.ended"]
        equal(ends, [], "ends nobody asked for")
        if ROOT:
            wait_for(lambda: descriptors(node) == held, 10,
                     "descriptors as before: %s, %s" % (
                         held, descriptors(node)))
        diag("%d notes acknowledged, %d told to try again" % (
            len(acknowledged), len(refused)))


def level(node, text):
    with open(node.config) as f:
        kept = f.read().split("log:")[0]
    with open(node.config, "w") as f:
        f.write(kept + text)


@test("a reload takes all of a configuration or nothing of it")
def reload():
    with Node() as node:
        def again(text, sign):
            mark = os.path.getsize(node.log_path)
            level(node, text)
            node.signal(signal.SIGHUP)
            wait_for(lambda: sign in new_log(node, mark), 10, sign)
            return new_log(node, mark)
        pids = node.children()
        again("log:\n  level: debug\n", "configuration 2 is in force")
        text = again("log:\n  level: debug\n  levle: info\n", "not reloaded")
        contains(text, "levle", "the error")
        text = again("log:\n  level: info\n  destination: syslog\n",
                     "not reloaded")
        contains(text, "log.destination", "what only a restart can change")
        again("log:\n  level: debug\n", "configuration 3 is in force")
        equal(node.children(), pids, "processes")
        outcomes = [r["outcome"] for r in wait_for(
            lambda: [r for r in records(node)
                     if r["event"] == "config.reload"][:4], 5, "records")]
        equal(outcomes, ["ok", "denied", "denied", "ok"], "on record")


@test("systemd is told: ready, reloading, watchdog, stopping")
def notify():
    node = Node()
    node.start(env={"WATCHDOG_USEC": "2000000"})
    node.states = []
    ok(node.wait_state("WATCHDOG=1", 10), "no WATCHDOG=1")
    node.states = []
    node.signal(signal.SIGHUP)
    ok(node.wait_state("RELOADING=1", 10), "no RELOADING=1")
    contains(node.states[-1], "MONOTONIC_USEC=", "RELOADING=1")
    ok(node.wait_state("READY=1", 10), "no READY=1 after the reload")
    node.signal(signal.SIGTERM)
    ok(node.wait_state("STOPPING=1", 10), "no STOPPING=1")
    equal(node.wait(), 0, "exit status")


@test("two nodes live on one machine, and know nothing of each other")
def two_nodes():
    with Node("east") as east, Node("west") as west:
        for node in (east, west):
            pool_is_full(node)
        both = [{pid for _, pid in n.running()} for n in (east, west)]
        equal(both[0] & both[1], set(), "processes in common")
        os.kill(east.children()["keyd"], signal.SIGKILL)
        wait_for(lambda: east.log().count("node east is ready") == 2, 20,
                 "the other's restart")
        equal({pid for _, pid in west.running()}, both[1], "west")
        for node in (east, west):
            equal(node.status()["node"]["name"] if isinstance(
                node.status().get("node"), dict) else node.name, node.name,
                "name")
            equal(node.claw("audit:note", "here").returncode, 0, "note")


@test("a second clawd on a node is told who runs it already")
def second_clawd():
    with Node() as node:
        pids = node.children()
        done = node.run("clawd", "-f", node.config)
        equal(done.returncode, 78, "exit status")
        contains(done.stderr, "pid %d" % node.pid, "what it says")
        equal(node.children(), pids, "processes")
        equal(node.claw("api:ping").returncode, 0, "answer")
        equal(node.status() is not None, True, "status")


@contextlib.contextmanager
def changed(path, mode=None, uid=None, away=False):
    was = os.lstat(path)
    if mode is not None:
        os.chmod(path, mode)
    if uid is not None:
        os.chown(path, uid, -1)
    if away:
        os.rename(path, path + ".away")
    try:
        yield
    finally:
        if away:
            os.rename(path + ".away", path)
        os.chown(path, was.st_uid, was.st_gid)
        os.chmod(path, was.st_mode & 0o7777)


@test("what is wrong with a node's files is said: owner, mode, and the cure")
def files():
    node = Node()
    key = os.path.join(node.dir, "data", "keys", "node.key")

    def start():
        done = node.run("clawd", "-f", node.config)
        equal(done.returncode, 78, "exit status\n" + done.stderr)
        return done.stderr
    with changed(key, mode=0o644):
        text = start()
        contains(text, "mode 0644", "mode that is")
        contains(text, "at most 0600", "mode that should be")
        contains(text, "chmod 0600 " + key, "cure")
    with changed(os.path.dirname(key), mode=0o755):
        contains(start(), "chmod 0700", "folder of the keys")
    with changed(key, away=True):
        text = start()
        contains(text, key + " is missing", "missing key")
        contains(text, "backup", "cure")
    if ROOT:
        with Node(as_user=False) as other:
            other.stop()
            key = os.path.join(other.dir, "data", "keys", "node.key")
            with changed(key, uid=4711):
                done = other.run("clawd", "-f", other.config)
                contains(done.stderr, "belongs to uid 4711 and should belong "
                         "to uid 0", "owner")
                contains(done.stderr, "chown 0 " + key, "cure")
    # Damaged: keyd says so, and nothing else starts.
    node.stop()
    with open(key if not ROOT else os.path.join(
            node.dir, "data", "keys", "node.key"), "r+b") as f:
        f.seek(20)
        f.write(b"damage")
    done = node.run("clawd", "-f", node.config)
    ok(done.returncode != 0, "a damaged key is taken")
    contains(done.stderr, "keys/node.key: it is damaged", "what it says")


main()
