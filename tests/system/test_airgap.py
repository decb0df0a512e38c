#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A node that hears of no authority works until its registry is too old to
believe, then says so, and goes on once it has been brought a newer one. An
authority that runs says in time that there is nothing new.

The windows are made seconds long by the authority, as it may make them any
length (claw registry:policy): nothing else differs from days.
"""

from claw_test import Failure, contains, equal, main, ok, test, wait_for
from mesh_test import Peer, member

SOFT_S, HARD_S = 6, 24
LEAF = "ab" * 32


def token(node):
    """A token of the node's, for itself."""
    identity, _ = node.keys()
    return node.claw("token:mint", "--audience", identity, "--leaf", LEAF,
                     check=True).stdout


def check(node, text):
    return node.claw("token:check", "--leaf", LEAF, input=text)


def short_windows(node):
    node.claw("registry:policy", "--soft", "%ds" % SOFT_S, "--hard",
              "%ds" % HARD_S, check=True)


def age(node):
    return node.registry()["age_s"]


def cut_off():
    """(alpha, beta, gamma): alpha, the authority, has told the others of the
    windows and is gone."""
    alpha = Peer("alpha").start()
    beta = member(alpha, "beta").start()
    gamma = member(alpha, "gamma").start()
    for node in (beta, gamma):
        wait_for(lambda: "alpha" in [link["peer"] for link in node.links()],
                 20)
    short_windows(alpha)
    for node in (beta, gamma):
        wait_for(lambda: node.registry()["hard_s"] == HARD_S)
    alpha.kill()
    return alpha, beta, gamma


def works(node):
    """What is nobody else's business."""
    vkey = node.claw("audit:vkey", check=True).stdout.strip()
    for verb in (("status",), ("node:show",), ("registry:show",),
                 ("audit:note", "still here"), ("audit:check",),
                 ("metrics:print",)):
        node.claw(*verb, check=True)
    # 80: what was written last is not under a checkpoint yet; 81: all is, and
    # nobody has said how much there must be.
    done = node.claw("audit:verify", "--vkey", vkey)
    ok(done.returncode in (80, 81), "audit:verify: exit %d: %s%s" % (
        done.returncode, done.stdout, done.stderr))


def valid(node, text):
    done = check(node, text)
    equal(done.returncode, 0, "token:check: " + done.stdout + done.stderr)


def pings(node, peer):
    status, told = node.ping(peer)
    equal((status, told["attested"]), (0, True), "node:ping")


def held_inside(node, attempt):
    """What fails must have ended after the window to be forgiven: this machine
    may take as long as it likes."""
    try:
        attempt()
    except Failure:
        if age(node) < HARD_S:
            raise
        return False
    return True


@test("cut off from all authorities a node does everything until the hard "
      "window")
def inside():
    _, beta, gamma = cut_off()
    text = token(beta)
    wait_for(lambda: age(beta) > SOFT_S, HARD_S)
    tried = {
        "freshness": lambda: equal(beta.registry()["freshness"], "old",
                                   "past the soft window"),
        "what is nobody else's": lambda: works(beta),
        "the old token": lambda: valid(beta, text),
        "a new token": lambda: valid(beta, token(beta)),
        "node:ping": lambda: pings(beta, "gamma"),
    }
    held = set()
    while age(beta) < HARD_S:
        for what, attempt in tried.items():
            if held_inside(beta, attempt):
                held.add(what)
    equal(held, set(tried), "there was no time to try the others")


@test("past the hard window it refuses, says why and what mends it; a newer "
      "registry in a file mends it")
def past():
    alpha, beta, gamma = cut_off()
    text = token(beta)
    wait_for(lambda: age(beta) > HARD_S + 1, HARD_S + 10)
    since = beta.since()
    status, told = beta.ping("gamma")
    equal((status, told["attested"]), (1, False), "node:ping")
    contains(told["reason"], "hard window", "why")
    contains(told["reason"], "claw registry:import", "what mends it")
    beta.wait_event("peer.refused", since, reason="claw registry:import")
    beta.wait_log("claw registry:import", since)
    done = beta.claw("node:why", "gamma")
    equal(done.returncode, 1, "node:why")
    contains(done.stdout, "claw registry:import", "node:why")
    done = check(beta, text)
    equal(done.returncode, 1, "token:check: " + done.stdout + done.stderr)
    contains(done.stdout, "claw registry:import", "token:check")
    works(beta)
    # An authority that nobody can reach signs by itself.
    gamma.stop()
    beta.stop()
    alpha.start()
    alpha.claw("registry:policy", "--soft", "1d", "--hard", "14d", check=True)
    lines = alpha.claw("registry:export", check=True).stdout
    alpha.stop()
    beta.start()
    beta.claw("registry:import", "-", input=lines, check=True)
    equal(beta.registry()["freshness"], "fresh", "after the import")
    equal(check(beta, text).returncode, 0, "token:check after the import")
    # Who is still behind pulls from who is not.
    gamma.start()
    gamma.wait_links("beta")
    equal(gamma.registry()["freshness"], "fresh", "after the pull")
    equal(beta.claw("node:why", "gamma").returncode, 0, "node:why")


@test("an authority that runs says in time that there is nothing new")
def fresh():
    alpha = Peer("alpha").start()
    beta = member(alpha, "beta").start()
    beta.wait_links("alpha")
    short_windows(alpha)
    seq, _ = alpha.head()
    # keyd says it no oftener than every ten minutes: once is what there is.
    wait_for(lambda: alpha.head()[0] == seq + 1, 2 * SOFT_S)
    wait_for(lambda: beta.head()[0] == seq + 1)
    news = [update for update in beta.lines() if update["seq"] >= seq]
    equal(news[1]["op"], "fresh", "what the authority has said")
    ok(news[1]["time"] - news[0]["time"] <= SOFT_S, "it came too late")
    status, _ = beta.ping("alpha")
    equal(status, 0, "node:ping")


main()
