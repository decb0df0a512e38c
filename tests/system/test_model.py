#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""test_model - the models of doc/model: they hold, and they can fail.

Spin searches every state of the handshake, the join and the call set-up. The
protocol as it is must hold with every statement reached; each variant that
lacks something it needs must have a trail that ends in a broken promise; and
what the models are about must be reachable at all. doc/model/README.md says
what each macro takes away.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import tempfile

from claw_test import LONG, Failure, equal, main, ok, skip, test

TOP = os.path.realpath(os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", ".."))
MODELS = os.path.join(TOP, "doc", "model")
MEMORY_MB = 1500

# The protocol, and what may be missing without a promise broken.
HOLDS = {
    "handshake": [
        "",
        "NO_THEFT NO_NONCE NO_ROLE NO_PEER BARE_WELCOME",
        "WEAK_TLS SIGNED_WELCOME",
    ],
    "join": ["", "NO_CONTEXT", "NO_LEAFKEY"],
    "call": ["", "NO_THEFT NO_NONCE NO_ROLE NO_PEER NO_SPKI"],
}
HOLDS_LONG = {
    "handshake": ["BARE_WELCOME", "EARLY_WELCOME"],
    "join": [],
    "call": ["NO_PEER", "NO_CALLEE", "NO_NA", "NO_OFFER_HASH", "NO_SPKI",
             "NO_ROLE", "NO_KEY_HASHES"],
}
BREAKS = {
    "handshake": ["NO_NONCE", "NO_ROLE", "NO_PEER", "NO_WELCOME",
                  "EARLY_WELCOME BARE_WELCOME", "WEAK_TLS",
                  "WEAK_TLS SIGNED_WELCOME NO_EXPORTER"],
    "join": ["NO_NONCE", "NO_INVITER", "NO_NAME", "NO_KEYS", "NO_IDSIG",
             "NO_CONTEXT NO_LEAFKEY", "NO_CONTEXT NO_NONCE", "LATE_USED",
             "CHECK_THEN_MARK"],
    "call": ["NO_NB", "NO_CALLEE NO_PEER", "NO_CALLER",
             "NO_OFFER_HASH NO_NA", "NO_SPKI NO_NA", "NO_SPKI NO_ROLE",
             "EARLY_GRANT", "EARLY_MEDIA"],
}
REACH = {"handshake": 6, "join": 7, "call": 6}


def search(model, macros, folder):
    """Search one variant; pan's words and whether there is a trail."""
    where = tempfile.mkdtemp(dir=folder)
    flags = ["-D" + macro for macro in macros.split()]

    def run(*command):
        done = subprocess.run(command, cwd=where, text=True, timeout=600,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        ok(done.returncode == 0, "%s: %s" % (" ".join(command), done.stdout))
        return done.stdout

    # The name of the trail comes from that of the model.
    run("spin", "-a", *flags, os.path.join(MODELS, model + ".pml"))
    run("gcc", "-O2" if not macros else "-O1", "-w", "-DSAFETY",
        "-DMEMLIM=%d" % MEMORY_MB, "-o", "pan", "pan.c")
    text = run("./pan", "-m10000")
    trail = any(name.endswith(".trail") for name in os.listdir(where))
    shutil.rmtree(where)
    found = re.search(r"errors: (\d+)", text)
    ok(found, "%s %s: no result: %s" % (model, macros, text))
    return int(found.group(1)), trail, text


def search_all(model, variants):
    """Search variants at once, as many as there are processors."""
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            skip("needs " + tool)
    with tempfile.TemporaryDirectory(prefix="claw-model-") as folder, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(variants, pool.map(
            lambda macros: search(model, macros, folder), variants)))


def must_hold(model):
    variants = HOLDS[model] + (HOLDS_LONG[model] if LONG else [])
    for macros, (errors, trail, text) in search_all(model, variants).items():
        what = "%s %s" % (model, macros)
        ok(errors == 0 and not trail, "%s: %s" % (what, text))
        for sign in ("Search not completed", "max search depth",
                     "error:", "memory limit"):
            ok(sign not in text, "%s: %s" % (what, text))
        if not macros:
            equal(set(re.findall(r"\((\d+) of \d+ states\)", text)), {"0"},
                  what + ": states that are not reached")
            equal(text.count("unreached in"),
                  len(re.findall(r"\(0 of \d+ states\)", text)),
                  what + ": what is unreached")


def must_break(model, variants):
    for macros, (errors, trail, text) in search_all(model, variants).items():
        if errors != 1 or not trail or "assertion violated" not in text:
            raise Failure("%s %s: no trail: %s" % (model, macros, text))


@test("handshake: peers, roles, nonces and session agree; no byte before both "
      "verdicts; one worker taken over is no other")
def handshake():
    must_hold("handshake")


@test("handshake: every variant that lacks what it needs is found out")
def handshake_breaks():
    must_break("handshake", BREAKS["handshake"])


@test("join: a ticket admits one key, in the session that its owner had")
def join():
    must_hold("join")


@test("join: every variant that lacks what it needs is found out")
def join_breaks():
    must_break("join", BREAKS["join"])


@test("call: caller and callee agree; no media before CONFIRM is verified")
def call():
    must_hold("call")


@test("call: every variant that lacks what it needs is found out")
def call_breaks():
    must_break("call", BREAKS["call"])


@test("what the models are about can happen in them")
def reach():
    for model, count in REACH.items():
        must_break(model, ["REACH=%d" % n for n in range(1, count + 1)])


main()
