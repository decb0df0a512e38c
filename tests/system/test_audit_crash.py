#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Whoever is killed, and when: what was acknowledged is in the audit log, once,
under the number that was acknowledged, and the log verifies. CLAW_LONG=1 kills
a thousand times."""

import json
import os
import random
import signal
import socket
import threading
import time

from audit_test import OK, Play, new_node
from claw_test import LONG, diag, equal, main, ok, test, wait_for

ROUNDS = 1000 if LONG else 50
NODE_ROUNDS = 60 if LONG else 6
SEED = int(os.environ.get("CLAW_SEED", random.randrange(1 << 31)))

# How long a case may take before it counts as hung: a start reads the whole
# log, and the log grows with each round.
START_S, ROUND_S = 120, 10


class Limit:
    """Ends the process that a case waits for when its time is over."""

    def __init__(self, rounds, process):
        self.seconds = START_S + ROUND_S * rounds
        self.over = False
        self.process = process
        self.timer = threading.Timer(self.seconds, self.end)
        self.timer.daemon = True

    def end(self):
        self.over = True
        self.process.kill()

    def __enter__(self):
        self.timer.start()
        return self

    def __exit__(self, *unused):
        self.timer.cancel()
        ok(not self.over, "not done in %d s" % self.seconds)


@test("kill -9 of auditd and keyd while eight writers write, %d times"
      % ROUNDS)
def crash():
    with Play() as play:
        # A checkpoint every 5 ms, so that some are on their way, too.
        equal(play.do("conf", 75, 90, 4 << 20, 5), "ok", "conf")
        with Limit(ROUNDS, play.process):
            answer = play.do("crash", ROUNDS, SEED)
        diag("seed %d: %s" % (SEED, answer))
        ok(answer.startswith("crashed "), answer)
        said = answer.split()[1:]
        count = {k: int(v) for k, v in zip(said[::2], said[1::2])}
        equal(count["lost"], 0, "acknowledged records that are not there")
        ok(count["acknowledged"] > ROUNDS, "records were acknowledged")
        ok(count["torn_by_us"] > 0, "some tails were torn")
        play.start()
        play.note("the end")
        play.stop()
        play.verified("--expect", play.expectation(), want=(OK,))


class Writer(threading.Thread):
    """Writes notes through the API until it is cut off."""

    def __init__(self, node, name):
        super().__init__(daemon=True)
        self.node, self.name_, self.acknowledged = node, name, {}
        self.start()

    def run(self):
        run = os.path.join(self.node.dir, "run")
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(os.path.join(run, "claw.sock"))
                answers = s.makefile("rb")
                with open(os.path.join(run, "cookie")) as f:
                    self.ask(s, answers, "auth", cookie=f.read().strip())
                number = 0
                while True:
                    text = "%s-%d" % (self.name_, number)
                    answer = self.ask(s, answers, "audit.note", text=text)
                    number += 1
                    if "result" in answer:
                        self.acknowledged[text] = answer["result"]
        except (OSError, ValueError):
            pass

    def ask(self, s, answers, method, **params):
        s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                              "params": params}).encode() + b"\n")
        return json.loads(answers.readline())


def kill_something(node, who):
    if who == "all":
        victims = list(node.everybody().values())
    elif who == "clawd":
        victims = [node.pid]
    else:
        victims = [node.children().get(who)]
    # Writers of a node that nobody killed would never be cut off.
    ok(None not in victims, "there is no %s to kill" % who)
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@test("kill -9 of clawd, any process, or all while clients write notes")
def crash_of_a_node():
    random.seed(SEED)
    node = new_node()
    play = None
    acknowledged = {}
    seconds = START_S + ROUND_S * NODE_ROUNDS
    end = time.monotonic() + seconds
    for number in range(NODE_ROUNDS):
        ok(time.monotonic() < end, "%d rounds of %d are done after %d s"
           % (number, NODE_ROUNDS, seconds))
        who = ("auditd", "clawd", "all", "keyd", "controld",
               "clawd")[number % 6]
        node.start()
        writers = [Writer(node, "%d-%d" % (number, i)) for i in range(4)]
        wait_for(lambda: any(w.acknowledged for w in writers), 20,
                 "an acknowledgement")
        time.sleep(random.random() * 0.2)
        kill_something(node, who)
        for writer in writers:
            writer.join(30)
            ok(not writer.is_alive(), "a writer goes on after the kill")
            acknowledged.update(writer.acknowledged)
        if who in ("clawd", "all"):
            node.wait()
            wait_for(lambda: not alive(node), 10, "the end of all")
        else:
            node.stop()
    node.start()
    equal(node.stop(), 0, "exit of clawd")
    play = Play(node)
    seen = {}
    for line in play.lines():
        text = line["act"].get("text")
        if text is not None:
            seen.setdefault(text, []).append(line["env"]["n"])
    diag("seed %d: %d notes acknowledged" % (SEED, len(acknowledged)))
    for text, answer in acknowledged.items():
        equal(seen.get(text), [answer["n"]], "where note %s is" % text)
    ok(all(len(numbers) == 1 for numbers in seen.values()),
       "no note is there twice")
    play.verified("--expect", play.expectation(), want=(OK,))
    play.close()


def alive(node):
    """Whether a process of the node's directory still writes."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            for fd in os.listdir("/proc/%s/fd" % entry):
                if os.readlink("/proc/%s/fd/%s" % (entry, fd)).startswith(
                        node.dir):
                    return True
        except OSError:
            continue
    return False


if __name__ == "__main__":
    main()
