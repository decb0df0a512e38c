#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A process that was taken over gains nothing.

tests/system/hostile takes the place of one process after another in a real
suite and attacks clawd and each sibling once in each of its lives. What it may
not say is its end; that is recorded; the others go on; keyd signs nothing that
it should not; nobody honest falls over.

Each process has nodes of its own, which all run at the same time, since what
takes the time is to last the two seconds that make clawd forgive. Without
CLAW_LONG only every seventh type of message is tried (tests/unit/test_gate
tries them all against the gate). All is done as one normal user for everybody;
as root every sixth attack (with CLAW_LONG each) once more with a user for each.
"""

import base64
import collections
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import claw_test
from claw_test import (LONG, PROCESSES, ROOT, WORKERS, Failure, Node, diag,
                       equal, main, ok, test, wait_for)
from mesh_test import Peer
from rogue_test import Ended, File, Rogue, Sending

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
SUITE = ("clawd",) + PROCESSES
ALL = SUITE + WORKERS  # in the order of enum proc
ATTACKERS = PROCESSES + ("linkd", "xferd", "unpackd")
CHANNELS = [("auditd", "keyd"), ("attestd", "auditd"), ("controld", "auditd"),
            ("controld", "attestd")]
# On these a third of the malformed packets and a seventh of a seventh of the
# types has to do, but with CLAW_LONG: it is the same gate.
MESH_CHANNELS = [("attestd", "keyd"), ("controld", "keyd"),
                 ("controld", "meshd"), ("meshd", "keyd"),
                 ("meshd", "attestd"), ("linkd", "keyd"),
                 ("linkd", "attestd"), ("linkd", "meshd"),
                 ("controld", "sftd"), ("sftd", "auditd"), ("sftd", "keyd"),
                 ("sftd", "attestd"), ("xferd", "keyd"),
                 ("xferd", "attestd"), ("xferd", "sftd"), ("unpackd", "sftd")]
LOST_WITH_SUITE = ("keyd", "auditd")
PER_NODE = 14
ANY_FD, NO_FD = None, 0
LIMIT_REPLY = 0xfffffffe
LIMIT_ONCE = 0xffffffff
# As claw-protocol(7) has it: one file, "a".
FOLDER = (b"claw/tr\1" + struct.pack(">QQ", 1, 5) + struct.pack(
    ">BBQQH", 1, 0, 0, 5, 1) + b"a" + b"alpha")
CRASHES = r"killed by SIG(SEGV|ABRT|BUS|FPE|ILL|SYS|TRAP)"


def bit(process):
    return 1 << ALL.index(process)


class Message:
    def __init__(self, words):
        self.type, self.name = int(words[0]), words[1]
        (self.senders, self.receivers, self.when, self.fd, self.limit,
         self.reply) = map(int, words[2:])


def read_schema(program):
    messages, events = {}, {}
    text = subprocess.run([program, "--schema"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    for line in text.splitlines():
        words = line.split()
        if words[0] == "event":
            events[int(words[1])] = {"attestd": words[2] == "1",
                                     "controld": words[3] == "1",
                                     "sftd": words[4] == "1"}
        else:
            message = Message(words)
            messages[message.name] = message
    return messages, events


def neighbours(process):
    """Whom it can attack. A worker that keyd attacks is in fuzz_ipc_linkd: here
    there is none while keyd answers nobody."""
    return ["clawd"] + [b if a == process else a
                        for a, b in CHANNELS + MESH_CHANNELS
                        if process in (a, b) and
                        (process, a) not in (("keyd", "linkd"),
                                             ("keyd", "xferd"))]


# Attacks: (line, class, what has to come of it)
#   ended     the gate ends the attacker, and says why in the audit log
#   above     the one attacked has no say over the attacker: it is the accuser
#             that is ended, and the audit log names whom it accused
#   dead      clawd ends it without a word having passed the gate
#   refused   each request is answered with no, or not at all
#   bounded   each request is answered as ALLOWED says, and no more
#   no        it is answered with no
#   believed  as above, since the accused stands below the attacker
#   allowed   an order is an order


# What a worker with a session gets at most: its one leaf, a verdict that lets
# nobody in.
ALLOWED = {"keyd more 0": {"LEAF_ISSUED": 1}, "keyd more 1": {"LEAF_ISSUED": 1},
           "keyd more 2": {"LEAF_ISSUED": 1}, "attestd more 3": {"VERDICT": 1},
           "keyd more 4": {}, "attestd more 5": {}}
JOINS = ("keyd more 2", "attestd more 5")


def outcome(process, channel):
    if channel == "clawd" or ALL.index(process) > ALL.index(channel):
        return "ended"
    return "above"


def own_types(process, channel, messages):
    return [m for m in messages.values()
            if m.senders & bit(process) and m.receivers & bit(channel)]


def generic(process, channel, messages):
    """What is tried on every channel of every process."""
    end = outcome(process, channel)
    run = "run %s" % channel
    own = own_types(process, channel, messages)
    requests = [m for m in own if m.limit != LIMIT_REPLY
                and m.name != "REFUSED"]
    # Without a request from there, an answer has no number to be wrong with.
    few = not LONG and ((process, channel) in MESH_CHANNELS or
                        (channel, process) in MESH_CHANNELS)
    for how in range(15)[ALL.index(process) % 3::3] if few else range(15):
        yield "%s malformed %d" % (run, how), "malformed packets", end
    others = sorted((m for m in messages.values() if m not in own),
                    key=lambda m: m.type)
    step = 1 if LONG else 49 if few else 7
    for m in others[ALL.index(process) % step::step]:
        yield "%s type %d" % (run, m.type), "types not its own", end
    if requests:
        yield "%s turn 0" % run, "requests and answers out of turn", end
    if any(m.reply for m in requests):
        yield "%s turn 1" % run, "requests and answers out of turn", end
    yield "%s turn 2" % run, "requests and answers out of turn", end
    if channel == "clawd":
        for how in (3, 4):
            yield ("%s turn %d" % (run, how),
                   "requests and answers out of turn", end)
        for how in range(2):
            yield "%s text %d" % (run, how), "malformed packets", end
        for how in range(4):
            yield ("first clawd hello %d" % how, "false beginnings",
                   "dead" if how < 3 else "ended")
        yield ("first clawd type %d" % messages["READY"].type,
               "false beginnings", end)
        yield ("boot clawd type %d" % messages["HELLO"].type,
               "false beginnings", end)
        yield ("box clawd type %d" % messages["PEER"].type,
               "types not its own", end)
        yield "%s flood %d 150" % (run, messages["VIOLATION"].type), \
            "floods", end
    else:
        yield ("box %s type %d" % (channel, messages["PEER"].type),
               "types not its own", end)


def accusations(process):
    for number, accused in enumerate(SUITE):
        known = accused in neighbours(process) and accused != "clawd"
        below = number > ALL.index(process)
        yield ("run clawd accuse %d" % number, "false accusations",
               "believed" if known and below else
               "above-accused" if known else "ended")
    yield "run clawd accuse 200", "false accusations", "ended"


def special(process, messages, events):
    number = {m.name: m.type for m in messages.values()}
    if process == "keyd":
        yield ("run clawd flood %d 250" % number["CHECKPOINT_NOTED"],
               "floods", "ended")
    if process == "controld":
        for name in ("RELOAD", "RESTART", "SHUTDOWN"):
            yield ("boot clawd type %d" % number[name],
                   "orders in the wrong state", "ended")
        yield "run clawd flood %d 5" % number["RELOAD"], "floods", "any"
        yield ("run attestd unread %d" % number["IDENTITY_SHOW"], "floods",
               "ended")
    lies = {"attestd": ("update", 6), "controld": ("permit", 7),
            "meshd": ("role", 6), "linkd": ("leaf", 7),
            "sftd": ("role", 6), "xferd": ("leaf", 6)}
    if process in lies:
        for how in range(lies[process][1]):
            yield ("run keyd %s %d" % (lies[process][0], how),
                   "lies to keyd", "refused")
    if process == "unpackd":
        yield "run sftd stay", "after its answer", "refused"
    if process == "sftd":
        for how in range(8):
            yield "run keyd transfer %d" % how, "lies to keyd", "refused"
    if process in ("linkd", "xferd"):
        for attack in ALLOWED:
            # What joins is a linkd's; another's JOIN does not pass the gate.
            if process == "linkd" or attack not in JOINS:
                yield ("run " + attack, "more than its session may have",
                       "bounded")
    if process == "attestd":
        for how in range(11):
            yield ("run keyd registry %d" % how, "lies about the registry",
                   "no")
    if process == "auditd":
        for how in range(9):
            yield "run keyd keyd %d" % how, "lies to keyd", "refused"
        yield "run keyd key", "lies to keyd", "refused"
        yield ("run keyd unread %d" % number["LOGKEY_CLOSE"], "floods",
               "ended")
    if process in ("attestd", "controld", "sftd"):
        for event, allowed in events.items():
            if not allowed[process]:
                yield ("run auditd auditd 0 %d" % event,
                       "records not its own", "ended")
        for how in range(1, 6):
            yield ("run auditd auditd %d" % how, "records not its own",
                   "ended")
        yield "run auditd auditd 6", "outcomes not its own", "refused"
    if process == "controld":
        yield ("run auditd unread %d" % number["AUDIT_APPEND"], "floods",
               "ended")


def attacks_of(process, messages, events):
    found = []
    for channel in neighbours(process):
        found += generic(process, channel, messages)
    found += accusations(process)
    found += special(process, messages, events)
    return [("%s %s" % (process, line), kind, end)
            for line, kind, end in found]


# The suite with hostile in everybody's place


class Campaign(threading.Thread):
    """One node, and a list of attacks by one of its processes."""

    def __init__(self, process, attacks, as_user):
        super().__init__(daemon=True)
        self.process, self.attacks = process, attacks
        # Who unpacks is there when there is something to unpack.
        self.node = (Peer if process == "unpackd" else Node)(
            name="n-" + process, as_user=as_user)
        self.rogue = None
        self.error = None
        self.before = self.after = {}
        self.records = []
        self.metrics = ""
        self.verify = None
        self.vkey = ""
        self.callers = []
        self.goes_on = None

    def run(self):
        try:
            self.play()
        except Exception as error:  # told by the tests
            self.error = error

    def path(self, *names):
        return os.path.join(self.node.top, *names)

    def play(self):
        node = self.node
        os.mkdir(self.path("turns"))
        os.chmod(self.path("turns"), 0o777)
        node.start()
        wait_for(self.signed, 30, "the first checkpoint")
        self.vkey = node.claw("audit:vkey", check=True).stdout.strip()
        self.before = node.children()
        turn = self.path("turns", self.process)
        with open(turn, "w"):
            os.chmod(turn, 0o666)
        with open(self.path("attacks"), "w") as f:
            f.write("".join(line + "\n" for line, _, _ in self.attacks))
        time.sleep(2.1)
        for pid in (node.workers(self.process) if self.process in WORKERS
                    else [self.before[self.process]]):
            os.kill(pid, signal.SIGKILL)
        knock = self.send_folder if self.process == "unpackd" else \
            self.knock if any(end == "bounded" for _, _, end in self.attacks) \
            else lambda: False
        wait_for(lambda: self.over() or knock(), 30 + 9 * len(self.attacks),
                 "the end of %s's attacks" % self.process)
        time.sleep(1)
        self.after = node.children()
        if self.process == "attestd":
            self.goes_on = self.follows()
        self.metrics = node.claw("metrics:print").stdout
        if self.rogue is not None:
            self.send_folder()  # to an honest one
            self.rogue.end()
            self.delivered = self.folders()
        equal(node.stop(), 0, "clawd's exit status")
        self.records = self.read_log()
        self.verify = node.claw("audit:verify", "--vkey", self.vkey,
                                timeout=120)

    def knock(self):
        """Somebody connects, so that the session of a worker has a role."""
        self.callers = self.callers[-8:]
        try:
            host, port = self.node.listen.rsplit(":", 1)
            port = int(port) + (self.process == "xferd")
            caller = socket.create_connection((host, port), 1)
            self.callers.append(caller)
            caller.sendall(b"\x16" + bytes(15))
        except OSError:
            pass  # its broker is not there yet
        return False

    def send_folder(self):
        """One comes, for which a worker is needed."""
        if self.rogue is None:
            self.rogue = Rogue("rogue", 0x7a00 + id(self) % 256, 10000)
            self.node.add("rogue", self.rogue.identity)
            self.rogue.knows(self.node).begin()
        sending = None
        try:
            self.callers.append(b"t%d" % len(self.callers))
            sending = Sending(self.rogue, self.node, File(
                self.callers[-1], data=FOLDER, kind=1))
            if sending.offer():
                sending.all_chunks()
                sending.seal()
                sending.control.last_word()
        except Ended:
            pass  # what comes of it is in the logs
        for session in (*sending.streams.values(), sending.control) \
                if sending else ():
            session.close()
        return False

    def folders(self):
        """Those that were delivered: what is in them."""
        top = os.path.join(self.node.dir, "data", "files", "rogue")
        return [sorted(os.listdir(os.path.join(top, name)))
                for name in (os.listdir(top) if os.path.isdir(top) else ())]

    def follows(self):
        """(the registry's last update, the last that a token names)"""
        node = self.node
        identity = json.loads(node.claw("node:show", "--json",
                                        check=True).stdout)["identity"]
        node.claw("binary:allow", "test", "1.0", "5" * 64, check=True)
        seq = json.loads(node.claw("registry:show", "--json",
                                   check=True).stdout)["seq"]
        token = node.claw("token:mint", "--audience", identity, "--leaf",
                          "5" * 64, check=True).stdout.strip()
        claims = token.split(".")[1]
        claims += "=" * (-len(claims) % 4)
        return seq, json.loads(base64.urlsafe_b64decode(claims))["reg"]

    def metric(self, name):
        match = re.search(r"^%s (\d+)" % name, self.metrics, re.M)
        ok(match, "no %s" % name)
        return int(match.group(1))

    def signed(self):
        self.metrics = self.node.claw("metrics:print").stdout
        return self.metric("claw_audit_checkpoint_records") > 0

    def over(self):
        """All lines have had their turn and the honest ones are ready."""
        if self.node.process.poll() is not None:
            raise Failure("clawd ended with %d" % self.node.process.poll())
        with open(self.path("turns", self.process)) as f:
            if int(f.read() or 0) < len(self.attacks):
                return False
        children = self.node.children()
        if set(children) != set(PROCESSES):
            return False
        for pid in [*children.values(), *self.node.workers(),
                    *self.node.workers("xferd")]:
            try:
                if "/real/" not in os.readlink("/proc/%d/exe" % pid):
                    return False
            except OSError:
                return False  # it has just ended
        done = self.node.claw("status", "--json")
        return done.returncode == 0 and json.loads(done.stdout)["ready"]

    def read_log(self):
        found = []
        top = os.path.join(self.node.dir, "log", "audit")
        for shard in sorted(os.listdir(top)):
            with open(os.path.join(top, shard, "log.ndjson")) as f:
                found += [json.loads(line)["act"] for line in f]
        return found

    def lives(self):
        """[(attack, pid, what the attacker said)]"""
        said = {}
        for line in self.node.log().splitlines():
            match = re.search(r"hostile (\d+) (\w+)\[(\d+)\] (.*)", line)
            if match:
                key = (int(match.group(1)), int(match.group(3)))
                said.setdefault(key, []).append(match.group(4))
        return [(self.attacks[number - 1], pid, text)
                for (number, pid), text in sorted(said.items())]

    def violations(self, process):
        return [r for r in self.records if r["event"] == "process.violation"
                and r["process"] == process]

    def ended(self, pid):
        return [r for r in self.records
                if r["event"] == "process.ended" and r["pid"] == pid]

    def judge(self, attack, pid, said):
        """None, or what is wrong with how this attack went."""
        line, _, end = attack
        dead = self.ended(pid)
        how = dead[0]["reason"] if dead else ""
        if not any(text.startswith("attacks") for text in said):
            return "it was not made: %s" % said
        if end == "ended":
            if "survived" in said or "SIGKILL" not in how:
                return "the attacker was not ended: %s; %s" % (said, how)
            if not how.endswith("said what it may not say"):
                return "ended for another reason: %s" % how
        elif end == "dead":
            if "survived" in said or "SIGKILL" not in how:
                return "the attacker was not ended: %s; %s" % (said, how)
        elif end == "above-accused":
            if not how.endswith("accused a process that stands above"):
                return "the accuser was not ended: %s; %s" % (said, how)
        elif end == "refused":
            # Its own key may be opened: that is what auditd is for.
            bad = [text for text in said if text.startswith("gets ")
                   and text not in ("gets REFUSED", "gets LOGKEY_OPENED")]
            if bad:
                return "it got more than a refusal: %s" % said
        elif end == "bounded":
            most = ALLOWED[line.split(" ", 2)[2]]
            got = collections.Counter(text.split()[1] for text in said
                                      if text.startswith("gets "))
            if not got["REFUSED"] and "VERDICT" not in most:
                return "it was refused nothing: %s" % said
            del got["REFUSED"]
            if any(got[name] > most.get(name, 0) for name in got) or \
                    any(got[name] == 0 for name in most):
                return "it got %r: %s" % (dict(got), said)
        elif end == "no":
            if [text for text in said if text.startswith("gets ")] != [
                    "gets REFUSED"]:
                return "it was not told no: %s" % said
        return None


messages = events = {}
campaigns = {process: [] for process in ATTACKERS}


def prepare():
    """A staged tree in which every process is hostile, or becomes honest."""
    global messages, events
    top = tempfile.mkdtemp(prefix="claw-hostile-")
    os.chmod(top, 0o755)
    tree = os.path.join(top, "root")
    shutil.copytree(claw_test.stage(), tree)
    hostile = os.path.join(BUILD, "tests", "system", "hostile")
    real = os.path.join(tree, "libexec", "claw", "real")
    os.mkdir(real)
    for process in ATTACKERS:
        path = os.path.join(tree, "libexec", "claw", process)
        os.rename(path, os.path.join(real, process))
        shutil.copy(hostile, path)
        os.chmod(path, 0o755)
    claw_test.staged = tree
    messages, events = read_schema(hostile)
    return top


def play(as_user, step):
    lists = {}
    for process in ATTACKERS:
        attacks = attacks_of(process, messages, events)[::step]
        count = max(1, (len(attacks) + PER_NODE - 1) // PER_NODE)
        # Those with somebody connected have a node of their own.
        served = [a for a in attacks if a[2] == "bounded"]
        others = [a for a in attacks if a[2] != "bounded"]
        lists[process] = [others[i::count] for i in range(count)]
        lists[process] += [served] if served else []
    waves = [(process, part) for process in ATTACKERS
             for part in lists[process]]
    running = []
    most = 24
    while waves or running:
        while waves and len(running) < most:
            process, part = waves.pop(0)
            campaign = Campaign(process, part, as_user)
            # Its node outlives the point that it was made in.
            Node.alive.remove(campaign.node)
            campaigns[process].append(campaign)
            campaign.start()
            running.append(campaign)
        running = [c for c in running if c.is_alive()]
        time.sleep(0.2)
    return sum(len(part) for list_ in lists.values() for part in list_)


def complain(campaign, text):
    if text:
        diag("%s of %s:\n%s" % ("log", campaign.process,
                                campaign.node.log()[-3000:]))
        raise Failure(text)


@test("every attack is made, in a suite that was started by the real clawd")
def made():
    diag("%d attacks as one user" % play(True, 1))
    if ROOT:
        diag("%d attacks with a user for each process"
             % play(False, 1 if LONG else 6))
    for process in ATTACKERS:
        for campaign in campaigns[process]:
            if campaign.error is not None:
                diag("%s: %s" % (process, campaign.error))
    for process in ATTACKERS:
        for campaign in campaigns[process]:
            if campaign.error is not None:
                complain(campaign, "%s: %s" % (process, campaign.error))
            equal(len(campaign.lives()), len(campaign.attacks),
                  "lives of hostile %s" % process)


def point(process, kind):
    @test("%s: %s" % (process, kind))
    def judged():
        wrong, count = [], 0
        for campaign in campaigns[process]:
            for attack, pid, said in campaign.lives():
                if attack[1] == kind:
                    count += 1
                    fault = campaign.judge(attack, pid, said)
                    if fault:
                        wrong.append("%s [%d]: %s" % (attack[0], pid, fault))
        diag("%d attacks" % count)
        ok(not wrong and count > 0, "\n".join(wrong) or "none was made")


for name in ATTACKERS:
    kinds = ["malformed packets", "types not its own",
             "requests and answers out of turn", "false beginnings",
             "false accusations", "floods"]
    if name not in ("keyd", "metricd", "unpackd"):
        kinds += ["lies to keyd"]
    if name == "unpackd":
        kinds += ["after its answer"]
    if name in ("linkd", "xferd"):
        kinds += ["more than its session may have"]
    if name == "attestd":
        kinds += ["lies about the registry"]
    if name in ("attestd", "controld", "sftd"):
        kinds += ["records not its own", "outcomes not its own"]
    if name == "controld":
        kinds += ["orders in the wrong state"]
    for kind in kinds:
        point(name, kind)


@test("each violation is in the audit log, with who said what")
def recorded():
    for process in ATTACKERS:
        for campaign in campaigns[process]:
            want = sum(1 for line, _, end in campaign.attacks
                       if end in ("ended", "above"))
            have = len(campaign.violations(process))
            ok(have >= want, "%s: %d violations recorded, %d attacks" % (
                process, have, want))
            for _, pid, said in campaign.lives():
                if "drained" not in said:
                    ok(campaign.ended(pid), "%s[%d] ended unrecorded: %s" % (
                        process, pid, said))


@test("the others go on, or stop and start in order with keyd and auditd")
def go_on():
    for process in ATTACKERS:
        for campaign in campaigns[process]:
            equal(set(campaign.after), set(PROCESSES), "processes afterwards")
            believed = any(end in ("believed", "above", "any")
                           for _, _, end in campaign.attacks)
            for other in PROCESSES:
                if process in LOST_WITH_SUITE or other == process or believed:
                    continue
                equal(campaign.after[other], campaign.before[other],
                      "pid of %s after the attacks of %s" % (other, process))
            # metricd stays whatever stops.
            if process != "metricd":
                equal(campaign.after["metricd"], campaign.before["metricd"],
                      "pid of metricd after the attacks of %s" % process)


@test("nobody honest falls over")
def no_crash():
    for process in ATTACKERS:
        for campaign in campaigns[process]:
            hostile = {pid for _, pid, _ in campaign.lives()}
            for line in campaign.node.log().splitlines():
                ok(not re.search(CRASHES, line), line)
                match = re.search(r"(\w+)\[(\d+)\] exited with status", line)
                ok(not match or int(match.group(2)) in hostile, line)
                ok("AddressSanitizer" not in line, line)


@test("keyd signs what it should, and counts what it refuses")
def signed():
    refused = 0
    for process in ATTACKERS:
        for campaign in campaigns[process]:
            # keyd itself signed nothing: it was not there. For folders that
            # come there are leaves and receipts.
            if process in ("keyd", "unpackd"):
                continue
            # 81: the log is sound, and nobody said how long it has to be.
            equal(campaign.verify.returncode, 81, "audit:verify after %s: %s%s"
                  % (process, campaign.verify.stdout, campaign.verify.stderr))
            shards = sum(r["event"] == "shard.open" for r in campaign.records)
            signatures = campaign.metric("claw_keyd_signatures_total")
            leaves = campaign.metric("claw_keyd_leaves_total")
            ok(leaves <= sum("LEAF_ISSUED" in ALLOWED.get(
                line.split(" ", 2)[2], {}) for line, _, _ in campaign.attacks),
                "%s: %d leaves" % (process, leaves))
            signatures -= leaves
            published = campaign.metric("claw_audit_checkpoints_total")
            # At the end: an update and a token that are in order.
            if process == "attestd":
                signatures -= 2
            # One more may have been lost with the auditd that was killed.
            ok(0 <= signatures - published - shards <= 1,
               "%s: %d signatures, %d checkpoints, %d shards" % (
                   process, signatures, published, shards))
            if process == "auditd":
                refused += campaign.metric("claw_keyd_refused_total")
    lies = sum(1 for c in campaigns["auditd"] for line, kind, _ in c.attacks
               if kind == "lies to keyd")
    ok(refused >= lies, "%d lies to keyd, %d refusals" % (lies, refused))


@test("a folder whose worker was taken over is not delivered, whatever that "
      "has answered; the next one is")
def folders_whole():
    for campaign in campaigns["unpackd"]:
        ok(campaign.delivered, "the last one did not arrive")
        for there in campaign.delivered:
            equal(there, ["a"], "what is in a folder that was delivered")


@test("what attestd made up of the registry is forgotten, the real one goes on")
def registry_goes_on():
    for campaign in campaigns["attestd"]:
        ok(campaign.goes_on and campaign.goes_on[0] > 1, "nothing was added")
        equal(campaign.goes_on[1], campaign.goes_on[0],
              "the update that a token names")
        ok(not re.search("keyd does not (take|follow)", campaign.node.log()),
           "the honest attestd was not believed")


@test("no process is left behind")
def no_orphan():
    tops = {c.node.top for list_ in campaigns.values() for c in list_}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            where = os.readlink("/proc/%s/cwd" % entry)
        except OSError:
            continue
        ok(where not in tops, "process %s is still in %s" % (entry, where))


if __name__ == "__main__":
    folder = prepare()
    try:
        main()
    finally:
        for list_ in campaigns.values():
            for c in list_:
                c.node.discard()
        shutil.rmtree(folder, ignore_errors=True)
