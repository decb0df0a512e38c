# SPDX-License-Identifier: ISC
"""audit_test - what the tests of the audit log share: a node whose keyd and
auditd are real and whose other processes a script plays (suiteplay.c)."""

import json
import os
import re
import subprocess

from claw_test import Failure, Node, binary, equal, ok, reachable

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
OK, NO_EXPECTATION, TAIL, DAMAGE = 0, 81, 80, 79


def built(name):
    path = os.path.join(BUILD, "tests", "lib", name)
    if not os.path.exists(path):
        raise Failure("%s is not built: make check-programs" % path)
    return reachable(path)


def new_node(top=None):
    """A node whose identity we wrote down when it was made."""
    node = Node(as_user=True, init=False)
    if top is not None:
        node.dir = os.path.join(top, "n")
        node.config = os.path.join(node.dir, "claw.yaml")
    made = node.run("claw", "init", "--dir", node.dir, "--name", node.name,
                    "--listen", node.listen)
    found = re.search(r"ed25519:[\w-]+", made.stdout)
    if made.returncode != 0 or found is None:
        raise Failure("claw init: " + made.stdout + made.stderr)
    node.identity = found.group()
    return node


class Play:
    """keyd and auditd of a node, and siblings that write what we say."""

    def __init__(self, node=None, faults=False):
        self.node = node or new_node()
        self.audit = os.path.join(self.node.dir, "log", "audit")
        self.log = open(self.node.log_path, "ab")
        extra = []
        if faults:
            extra = [built("faults.so"),
                     os.path.join(self.node.dir, "faults")]
        self.process = subprocess.Popen(
            [built("suiteplay"), self.node.dir,
             os.path.dirname(binary("keyd")), *extra],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
            text=True, bufsize=1, env=self.node.env,
            **self.node.credentials())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)
        self.log.close()

    def do(self, *words):
        """One command; its answer."""
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer == "":
            raise Failure("suiteplay has ended\n" + self.node.log()[-2000:])
        return answer.strip()

    def start(self):
        equal(self.do("start"), "started", "start")

    def stop(self):
        equal(self.do("stop"), "stopped", "stop")

    def note(self, text, who="controld"):
        """Record it; (shard, number)."""
        answer = self.do("note", who, text).split()
        equal(answer[0], "appended", "note: " + " ".join(answer))
        return answer[1], int(answer[2])

    # What lies on the disk.

    def months(self):
        return sorted(os.listdir(self.audit), key=month_key)

    def path(self, month, *names):
        return os.path.join(self.audit, month, *names)

    def lines(self, month=None):
        """The records of a shard, oldest first."""
        with open(self.path(month or self.months()[-1], "log.ndjson")) as f:
            return [json.loads(line) for line in f]

    def events(self, month=None):
        return [line["act"]["event"] for line in self.lines(month)]

    def expectation(self, month=None):
        """SIZE:ROOT of the published checkpoint, for --expect."""
        with open(self.path(month or self.months()[-1], "checkpoint")) as f:
            text = f.read().split("\n")
        return "%s:%s" % (text[1], text[2])

    def verify(self, *args):
        """audit:verify on the log as it is; its exit status."""
        done = self.node.run("claw", "audit:verify", "--dir", self.audit,
                             "--vkey", self.node.identity, *args)
        self.said = done.stdout + done.stderr
        return done.returncode

    def verified(self, *args, want=(OK, TAIL, NO_EXPECTATION)):
        status = self.verify(*args)
        ok(status in want, "audit:verify: %d\n%s" % (status, self.said))


def month_key(name):
    month, _, part = name.partition(".")
    return month, int(part or 0)
