#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Files between two real nodes: what was sent is what arrives, whatever its
size; both sign for it; and what is said of it is true, to who sends, in the
logs and in the counters."""

import json
import os
import random
import re
import shutil
import subprocess
import time

from claw_test import (LONG, Failure, binary, contains, diag, equal, main, ok,
                       skip, test, wait_for)
from sft_test import (GIB, MIB, Duo, Joined, Sending, blake3, kill, metric,
                      modes)

SIZES = (0, 1, 1023, 1024, 1025)


def sizes(chunk):
    return SIZES + (chunk - 1, chunk, chunk + 1, 3 * chunk)


# Whole


@test("what arrives is what was sent, and its hash is the receipt's, for every "
      "size around a chunk's")
def every_size():
    for as_user in modes():
        with Duo(as_user) as duo:
            logs = range(20, 26) if LONG else (20, 22) if as_user else (20,)
            for log2 in logs:
                chunk = 1 << log2
                for size in sizes(chunk):
                    source = duo.file(size)
                    s = duo.sent(source, "--chunk-size", "%dM" % (chunk >> 20))
                    there = duo.check(s, source)
                    if size <= 2000:
                        with open(source, "rb") as f:
                            equal(s.last("receipt")["blake3"],
                                  blake3(f.read()), "BLAKE3 of %d" % size)
                    os.unlink(source)
                    os.unlink(there)


@test("files of random sizes, chunks and streams arrive whole")
def random_sizes():
    rng = random.Random(5)
    with Duo() as duo:
        for _ in range(200 if LONG else 12):
            size = int(2 ** rng.uniform(0, 25)) + rng.choice((-1, 0, 1))
            source = duo.file(max(size, 0), rng.random())
            s = duo.sent(source, "--chunk-size",
                         "%dM" % (1 << rng.randrange(6)),
                         "--streams", str(rng.randint(1, 8)))
            there = duo.check(s, source)
            os.unlink(there)
            os.unlink(source)


@test("5 GiB, and 20 GiB of which little is there")
def huge():
    if not LONG:
        skip("CLAW_LONG=1")
    if shutil.disk_usage("/tmp").free < 45 * GIB:
        skip("needs 45 GiB of disk")
    with Duo(env={"CLAW_SFT_MAX_BYTES": "32G"}) as duo:
        for log2, source in ((20, duo.sparse(20 * GIB)),
                             (23, duo.file(5 * GIB))):
            s = duo.sent(source, "--chunk-size", "%dM" % (1 << log2 - 20),
                         timeout=1800)
            there = duo.check(s, source)
            os.unlink(there)
            os.unlink(source)


@test("a receipt verifies, and with one byte changed in file or receipt it "
      "does not")
def receipts():
    with Duo() as duo:
        source = duo.file(2 * MIB + 5)
        s = duo.sent(source, "--chunk-size", "1M")
        duo.check(s, source)
        transfer = s.last("receipt")["id"]
        with open(source, "rb") as f:
            data = f.read()
        for at in (0, MIB - 1, MIB, len(data) - 1):
            spoilt = os.path.join(duo.beta.top, "spoilt")
            with open(spoilt, "wb") as f:
                f.write(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
            os.chmod(spoilt, 0o644)
            duo.verify(duo.beta, spoilt, transfer, good=False)
        for spoilt_data in (data[:-1], data + b"\0", b""):
            with open(spoilt, "wb") as f:
                f.write(spoilt_data)
            duo.verify(duo.beta, spoilt, transfer, good=False)
        receipt = os.path.join(duo.beta.top, "receipt.json")
        with open(duo.receipt_path(duo.beta, transfer)) as f:
            text = f.read()
        # Each value of it, with another digit or letter.
        spots = [m.start(1) + (m.end(1) - m.start(1)) // 2
                 for m in re.finditer(r': "?(?:ed25519:|sha256:)?'
                                      r'([A-Za-z0-9_-]{2,}|\d)', text)]
        ok(len(spots) > 15, "values: %d" % len(spots))
        good = []
        for at in spots:
            was = text[at]
            other = ("4" if was != "4" else "5") if was.isdigit() \
                else ("b" if was != "b" else "c")
            with open(receipt, "w") as f:
                f.write(text[:at] + other + text[at + 1:])
            os.chmod(receipt, 0o644)
            done = duo.beta.claw("file:verify-receipt", source, receipt)
            if done.returncode == 0:
                good.append(text[max(at - 30, 0):at + 10])
        equal(good, [], "changed where nobody noticed")


@test("a receipt verifies without a node, by an export of the registry and "
      "the hash of its first line; with anything else in it, it does not")
def offline():
    with Duo() as duo:
        source = duo.file(MIB + 5)
        transfer = duo.sent(source).last("receipt")["id"]

        def kept(name, text):
            path = os.path.join(duo.beta.top, name)
            with open(path, "w") as f:
                f.write(text)
            os.chmod(path, 0o644)
            return path
        receipt = kept("receipt.json", duo.beta.claw(
            "file:receipt", transfer, check=True).stdout)
        text = duo.beta.claw("registry:export", check=True).stdout
        export = kept("export", text)
        genesis = json.loads(duo.beta.claw(
            "registry:show", "--json", check=True).stdout)["genesis"]
        for node in duo.nodes():
            node.stop()

        def verify(*args, **keywords):
            return subprocess.run(
                [binary("claw"), "file:verify-receipt", *args], env={},
                cwd="/", text=True, capture_output=True, timeout=60,
                check=False, **duo.beta.credentials())
        whole = ("--registry", export, "--genesis", genesis)
        done = verify(source, receipt, *whole)
        equal(done.returncode, 0, "offline: " + done.stderr)
        contains(done.stdout, "good: beta sent it to alpha", "said")
        other = genesis[:-1] + ("0" if genesis[-1] != "0" else "1")
        lines = text.splitlines(keepends=True)
        for status, what, args in (
                (65, "another genesis",
                 (source, receipt, *whole[:3], other)),
                (65, "an export that lacks the sender",
                 (source, receipt, "--registry",
                  kept("short", "".join(lines[:-1])), *whole[2:])),
                (65, "an export that was changed",
                 (source, receipt, "--registry",
                  kept("changed", text.replace('"beta"', '"zeta"')),
                  *whole[2:])),
                (1, "another file",
                 (kept("other", "x" * (MIB + 5)), receipt, *whole)),
                (64, "no genesis", (source, receipt, *whole[:2])),
                (64, "no registry", (source, receipt, *whole[2:]))):
            done = verify(*args)
            equal(done.returncode, status, what + ": " + done.stderr)
            ok(done.stderr and not done.stdout, what + ": " + done.stdout)


@test("standard input is sent under the name that is given")
def stdin():
    with Duo() as duo:
        source = duo.file(3 * MIB + 7)
        with open(source, "rb") as f:
            s = duo.sent("-", "--name", "in/put.bin", stdin=f)
        duo.check(s, source, "in/put.bin")
        with open(source, "rb") as f:
            s = duo.send("-", stdin=f)
            equal(s.wait(), 64, "without a name")


# What is asked for


@test("a dry run sends nothing, and says what would be")
def dry_run():
    with Duo() as duo:
        source = duo.file(MIB)
        s = duo.sent(source, "--dry-run")
        contains(s.last("dry-run")["text"], "would be taken", "dry run")
        ok(not os.path.exists(duo.arrived("file1")), "it is there")
        equal(duo.receipts(duo.alpha), set(), "receipts")
        equal(os.listdir(os.path.join(duo.alpha.dir, "data", "sft",
                                      "incoming")), [], "incoming")
        # Nobody reads anywhere that a file was sent.
        end = duo.beta.wait_event("file.send", outcome="ok")
        ok("blake3" not in end, "%r" % end)
        contains(end["reason"], "only asked for", "reason")
        equal([line["result"] for line in lines(duo.beta)], ["dry-run"],
              "results")
        ok("blake3" not in lines(duo.beta)[0], "%r" % lines(duo.beta))
        equal(metric(duo.beta, 'claw_sft_transfers_total{result="done"}'), 0,
              "done")
        contains(duo.beta.claw("file:list").stdout, "no transfers", "list")
        duo.sent(source)
        s = duo.sent(source, "--dry-run")
        contains(s.last("dry-run")["text"], "there already", "dry run")
        s = duo.send(duo.file(MIB, 2), "--name", "file1", "--dry-run")
        equal(s.wait(), 73, "dry run of a name that is taken")


@test("a name that is taken is refused, and replaced if that is asked for")
def exists():
    with Duo() as duo:
        first, second = duo.file(MIB, 1), duo.file(MIB + 1, 2)
        duo.check(duo.sent(first, "--name", "name"), first, "name")
        s = duo.send(second, "--name", "name")
        equal(s.wait(), 73, "exit")
        equal(s.error()["name"], "exists", "error")
        equal(s.error()["by_peer"], True, "by the peer")
        # A person reads what to do, too.
        contains(duo.beta.claw("file:send", "--target-node", "alpha",
                               "--source", second, "--name", "name").stderr,
                 "--replace", "what a person reads")
        s = duo.sent(second, "--name", "name", "--replace")
        duo.check(s, second, "name")
        # What was delivered stands; that it was asked for twice harms nobody.
        s = duo.sent(second, "--name", "name", "--replace")
        duo.check(s, second, "name")


@test("the same command again, when it was all sent, gives the same receipt")
def twice():
    with Duo() as duo:
        source = duo.file(5 * MIB)
        a = duo.sent(source, "--chunk-size", "1M")
        b = duo.sent(source, "--chunk-size", "1M")
        equal(b.last("accepted")["resumed"], True, "resumed")
        equal(b.last("accepted")["have"], 5 * MIB, "have")
        equal(b.last("receipt")["id"], a.last("receipt")["id"], "id")
        duo.check(b, source)
        # One that somebody took away comes anew.
        os.unlink(duo.arrived("file1"))
        c = duo.sent(source, "--chunk-size", "1M")
        equal(c.last("accepted")["have"], 0, "have")
        duo.check(c, source)


@test("a limit is kept")
def limit():
    with Duo() as duo:
        source = duo.file(6 * MIB)
        start = time.monotonic()
        duo.check(duo.sent(source, "--limit", "3M", "--chunk-size", "1M"),
                  source)
        took = time.monotonic() - start
        diag("6 MiB at 3 MiB/s: %.1f s" % took)
        # The first tenth of a second goes at once.
        ok(took > 1.7, "%.1f s" % took)


def slowly(duo, size=24 * MIB, rate="6M", *flags):
    """One on its way, of which something is durable."""
    source = duo.file(size)
    s = duo.send(source, "--limit", rate, "--chunk-size", "1M", *flags)
    s.wait_event("progress", durable=2 * MIB)
    return source, s


@test("an interrupted command, typed again, goes on where it was and says so")
def typed_again():
    with Duo() as duo:
        source, s = slowly(duo)
        s.stop()
        was = s.durable()
        s = duo.send(source, "--chunk-size", "1M")
        if s.wait() != 0:
            # The first attempt was just ending.
            ok(s.error().get("retryable"), "%r" % s.events)
            diag("a second time: " + s.error()["text"])
            s = duo.sent(source, "--chunk-size", "1M")
        duo.check(s, source)
        a = s.last("accepted")
        equal(a["resumed"], True, "resumed")
        ok(was <= a["have"] < 24 * MIB, "durable %d, have %d" % (
            was, a["have"]))
        for node in duo.nodes():
            value = metric(node, "claw_sft_resumed_total")
            ok(value >= 1, "%s: resumed %d" % (node.name, value))
        text = duo.beta.claw("file:send", "--target-node", "alpha", "--source",
                             source, "--chunk-size", "1M").stdout
        contains(text, "resumes transfer", "what a person reads")


@test("paused and resumed, by either end; cancelled, nothing is left")
def orders():
    with Duo() as duo:
        source, s = slowly(duo)
        transfer = s.last("accepted")["id"]
        duo.beta.claw("file:pause", transfer, check=True)
        equal(s.wait(20), 75, "exit of a paused one")
        equal(s.error()["name"], "paused", "error")
        contains(duo.beta.claw("file:show", transfer).stdout, "paused", "show")
        was = s.durable()
        wait_for(lambda: duo.beta.claw("file:resume", transfer).returncode
                 == 0, 10, "resume")
        wait_for(lambda: state_of(duo.beta, transfer) == "done", 60, "the end")
        ok(transfer in duo.receipts(duo.beta), "receipt")
        equal(os.stat(duo.arrived("file1")).st_size, 24 * MIB, "size")
        ok(was > 0, "durable")

        # By the receiver: its sender waits, or comes again.
        source, s = slowly(duo)
        transfer = s.last("accepted")["id"]
        duo.alpha.claw("file:pause", transfer, check=True)
        equal(s.wait(20), 75, "exit of one that the receiver paused")
        again = duo.send(source, "--chunk-size", "1M")
        equal(again.wait(20), 75, "while it is paused")
        denied(duo.alpha, "paused")
        duo.alpha.claw("file:resume", transfer, check=True)
        s = duo.sent(source, "--chunk-size", "1M")
        ok(s.last("accepted")["have"] > 0, "%r" % s.events)
        duo.check(s, source)

        for node in duo.nodes():
            source, s = slowly(duo)
            transfer = s.last("accepted")["id"]
            node.claw("file:cancel", transfer, check=True)
            equal(s.wait(20), 1, "exit of one that %s cancelled" % node.name)
            incoming = os.path.join(duo.alpha.dir, "data", "sft", "incoming",
                                    transfer)
            wait_for(lambda: not os.path.exists(incoming), 10,
                     "the partial file's removal, by " + node.name)
            name = os.path.basename(source)
            ok(not os.path.exists(duo.arrived(name)), "it is there")
            ok(transfer not in duo.receipts(duo.alpha), "receipt")


def state_of(node, transfer):
    found = json.loads(node.claw("file:list", "--json",
                                 check=True).stdout)["transfers"]
    return [t["state"] for t in found if t["id"] == transfer][-1]


@test("detached, it arrives without its client")
def detached():
    with Duo() as duo:
        source = duo.file(8 * MIB)
        s = duo.sent(source, "--detach", "--limit", "8M", "--chunk-size", "1M")
        transfer = s.last("detached")["id"]
        ok(not os.path.exists(duo.arrived("file1")), "it is there already")
        wait_for(lambda: state_of(duo.beta, transfer) == "done", 60, "the end")
        duo.verify(duo.alpha, duo.arrived("file1"), transfer)
        # Told of one that nobody has taken yet: what was told stays good.
        duo.alpha.stop()
        s = duo.sent(duo.file(MIB), "--detach")
        transfer = s.last("detached")["id"]
        ok(transfer.startswith("0" * 24), transfer)
        duo.beta.claw("file:pause", transfer, check=True)
        duo.alpha.start()
        wait_for(lambda: duo.beta.claw("file:resume", transfer).returncode
                 == 0, 10, "resume")
        shown = wait_for(lambda: [
            t for t in [json.loads(duo.beta.claw(
                "file:show", "--json", transfer, check=True).stdout)]
            if t["state"] == "done"], 60, "the end")[0]
        ok(shown["id"] != transfer, "no id of the receiver's")
        text = duo.beta.claw("file:receipt", transfer, check=True).stdout
        equal(json.loads(text)["transfer"], shown["id"], "receipt")


# What is refused


@test("a source that changes under way: code 6, and nothing of it arrives")
def source_changed():
    def append(f):
        f.seek(0, 2)
        f.write(b"x")

    def overwrite(f):
        f.seek(0)
        f.write(b"x" * 10)

    def shorten(f):
        f.truncate(5 * MIB)
    with Duo() as duo:
        for change in (append, overwrite, shorten):
            source, s = slowly(duo, 12 * MIB)
            with open(source, "r+b") as f:
                change(f)
            equal(s.wait(), 65, "exit after " + change.__name__)
            equal(s.error()["code"], 6, "code after " + change.__name__)
            equal(s.error()["retryable"], True, "retryable")
            name = os.path.basename(source)
            ok(not os.path.exists(duo.arrived(name)), "it is there")
            # As it is now it can be sent.
            duo.check(duo.sent(source, "--chunk-size", "1M"), source)


@test("a source that is another one, as long and as old as before, is not "
      "mixed with what came of it: told once, then sent whole")
def source_was_another():
    def alter(source, to):
        was = os.stat(source)
        with open(source, "r+b") as f:
            f.write(to)
        os.utime(source, ns=(was.st_atime_ns, was.st_mtime_ns))

    with Duo() as duo:
        source, s = slowly(duo, 12 * MIB)
        s.stop()
        alter(source, b"another")
        wait_for(lambda: state_of(duo.alpha, s.last("accepted")["id"])
                 == "paused", 10, "the end of the first")
        s = duo.send(source, "--chunk-size", "1M")
        equal(s.wait(), 65, "exit: %r" % s.events)
        equal(s.error()["name"], "source-changed", "error")
        duo.check(duo.sent(source, "--chunk-size", "1M"), source)
        # When it was delivered it is another file, and asks to replace it.
        alter(source, b"a third")
        equal(duo.send(source, "--chunk-size", "1M").wait(), 65, "exit")
        s = duo.send(source, "--chunk-size", "1M")
        equal(s.wait(), 73, "exit: %r" % s.events)
        equal(len(duo.receipts(duo.alpha)), 1, "receipts")


@test("without sft.send or sft.receive in the registry: denied, with the "
      "reason at both ends and in both logs")
def capabilities():
    with Duo(capabilities="sft.receive") as duo:
        source = duo.file(MIB)
        s = duo.send(source)
        equal(s.wait(), 77, "exit without sft.send")
        equal(s.error()["name"], "denied", "error")
        contains(s.error()["text"], "sft.send", "reason")
        denied(duo.beta, "sft.send")
        denied(duo.alpha, "sft.send")
        ok(not os.path.exists(duo.arrived("file1")), "it is there")

        # The other direction: alpha has all, gamma does not take files.
        gamma = Joined("gamma", duo.alpha, "sft.send")
        gamma.start()
        gamma.wait_links("alpha", "beta")
        back = Sending(duo.alpha, source, to="gamma")
        equal(back.wait(), 77, "exit to one without sft.receive")
        contains(back.error()["text"], "sft.receive", "reason")
        denied(duo.alpha, "sft.receive")
        denied(gamma, "sft.receive")
        # Beta may take: alpha sends to it.
        forth = Sending(duo.alpha, source, to="beta")
        equal(forth.wait(), 0, "alpha to beta: %r" % forth.events)


def denied(node, text):
    node.wait_event("file.denied", reason=text)


@test("a file that is larger than sft.max_bytes is refused, at either end")
def too_large():
    with Duo(start=False) as duo:
        duo.beta.start(env={"CLAW_SFT_MAX_BYTES": "3M"})
        duo.beta.wait_links("alpha")
        s = duo.send(duo.file(3 * MIB + 1))
        equal(s.wait(), 77, "exit")
        equal(s.error()["name"], "too-large", "error")
        equal(s.error()["by_peer"], False, "by the peer")
        duo.sent(duo.file(3 * MIB))
        duo.beta.stop()
        duo.beta.start()
        duo.alpha.stop()
        duo.alpha.start(env={"CLAW_SFT_MAX_BYTES": "2M"})
        duo.beta.wait_links("alpha")
        s = duo.send(duo.file(2 * MIB + 1))
        equal(s.wait(), 77, "exit")
        equal(s.error()["name"], "too-large", "error")
        equal(s.error()["by_peer"], True, "by the peer")
        contains(s.error()["text"], str(2 * MIB), "reason")
        duo.alpha.wait_event("file.denied", reason="too-large", peer="beta")
        duo.sent(duo.file(2 * MIB))


@test("what cannot be sent is told before anything is")
def wrong_orders():
    with Duo() as duo:
        source = duo.file(10)
        for status, flags in (
                (64, ["--chunk-size", "3M"]), (64, ["--chunk-size", "64M"]),
                (64, ["--streams", "9"]), (64, ["--streams", "0"]),
                (64, ["--limit", "0"]), (64, ["--limit", "1023"]),
                (64, ["--enc", "none"]), (65, ["--name", "../x"]),
                (65, ["--name", "a\nb"]), (65, ["--name", b"\xff"])):
            s = duo.send(source, *flags)
            equal(s.wait(), status, "%r" % flags)
        s = duo.send(source, "--chunk-size", "3M")
        s.wait()
        contains(s.errors + str(s.events), "2M", "the nearest")
        s = duo.send(os.path.join(duo.beta.top, "none"))
        equal(s.wait(), 66, "no such file")
        folder = os.path.join(duo.beta.top, "folder")
        os.mkdir(folder, 0o755)
        s = duo.send(folder, "--replace")
        equal(s.wait(), 64, "a folder that replaces")
        duo.beta.env["TMPDIR"] = os.path.join(folder, "none")
        for it in (folder, "-"):
            s = duo.send(it, "--name", "x")
            equal(s.wait(), 73, "no room to put it together")
        del duo.beta.env["TMPDIR"]
        s = duo.send("/dev/null")
        equal(s.wait(), 66, "no file")
        s = duo.send(source, to="nobody")
        equal(s.wait(), 77, "a node that there is not")
        duo.alpha.stop()
        s = duo.send(source)
        equal(s.wait(), 69, "a node that does not run: %r" % s.events)


# What is said of it


EVENTS = {
    "offer": {"id": str, "peer": str, "name": str, "size": int, "chunk": int,
              "streams": int},
    "attested": {"peer": str, "key": str, "address": str,
                 "registry": int},
    "accepted": {"id": str, "resumed": bool, "have": int, "epoch": int},
    "progress": {"sent": int, "durable": int, "size": int, "resent": int,
                 "rate": int, "limit": str},
    "again": {"chunks": int, "resent": int},
    "retry": {"attempt": int, "in_ms": int, "code": int, "name": str,
              "text": str},
    "committed": {"blake3": str, "size": int},
    "receipt": {"id": str, "peer": str, "blake3": str, "size": int,
                "resent": int, "ms": int},
    "error": {"code": int, "name": str, "by_peer": bool, "reached": bool,
              "retryable": bool, "hint": str, "text": str},
    "detached": {"id": str, "peer": str},
    "dry-run": {"text": str},
}


def check_schema(events):
    for e in events:
        e = dict(e)
        wanted = EVENTS[e.pop("event")]
        missing = {k for k, t in wanted.items() if type(e.get(k)) is not t}
        ok(not missing, "%r: not as it should be: %r" % (e, missing))


@test("the events of --json are those of the manual")
def events():
    with Duo() as duo:
        source, s = slowly(duo, 8 * MIB, "4M")
        kill(duo.alpha.workers("xferd")[0])  # one that may wait for a peer
        for pid in duo.alpha.workers("xferd"):
            kill(pid)
        equal(s.wait(), 0, "exit: %r" % s.events)
        names = [e["event"] for e in s.events]
        equal(names[0], "offer", "first")
        equal(names[-2:], ["committed", "receipt"], "last")
        ok("retry" in names, "names: %r" % names)
        check_schema(s.events)
        durable = [e["durable"] for e in s.all("progress")]
        equal(durable, sorted(durable), "durable never goes back")
        equal(durable[-1], 8 * MIB, "durable at the end")
        other = duo.send(duo.file(9), "--name", "../x")
        ok(other.wait() != 0, "a name that leads out")
        for e in (duo.sent(duo.file(8), "--detach"),
                  duo.sent(duo.file(7), "--dry-run"),
                  duo.send(duo.file(7, 3), "--name", "file1"),
                  ):
            e.wait()
            check_schema(e.events)


def identity(node):
    """Its key, as it says itself."""
    return json.loads(node.claw("node:show", "--json",
                                check=True).stdout)["identity"]


def lines(node):
    with open(os.path.join(node.dir, "log", "sft.ndjson")) as f:
        return [json.loads(line) for line in f]


@test("a line in sft.ndjson, counters, and an intent and its outcome in the "
      "audit log of either end")
def records():
    for as_user in modes():
        with Duo(as_user) as duo:
            source = duo.file(3 * MIB)
            s = duo.sent(source, "--chunk-size", "1M")
            told = s.last("receipt")
            for node, event, direction, peer in (
                    (duo.beta, "file.send", "out", "alpha"),
                    (duo.alpha, "file.receive", "in", "beta")):
                line = wait_for(lambda: lines(node), 5, "a line")[-1]
                for key, want in (("direction", direction), ("peer", peer),
                                  ("name", "file1"), ("size", 3 * MIB),
                                  ("result", "done"), ("durable", 3 * MIB),
                                  ("blake3", told["blake3"]),
                                  ("id", told["id"]), ("receipt", True)):
                    equal(line.get(key), want, "%s: %s" % (node.name, key))
                end = node.wait_event(event, outcome="ok",
                                      blake3=told["blake3"])
                equal((end["bytes"], end["peer"], end["file"],
                       end["transfer"]), (3 * MIB, peer, "file1", told["id"]),
                      "outcome at " + node.name)
                intents = [r for r in node.records()
                           if r["env"]["n"] == end["intent"]]
                equal(len(intents), 1, "intents")
                equal(intents[0]["act"]["event"], event, "the intent's event")
                equal(intents[0]["act"]["phase"], "intent", "its phase")
                equal(metric(node, 'claw_sft_bytes_total{direction="%s"}'
                             % direction), 3 * MIB, "bytes at " + node.name)
                equal(metric(node, 'claw_sft_transfers_total{result="done"}'),
                      1, "done at " + node.name)
                equal(metric(node, "claw_sft_transfers_active"), 0, "active")
            # And of one that is refused.
            s = duo.send(duo.file(MIB, 9), "--name", "file1")
            equal(s.wait(), 73, "exit")
            for node, role, peer in ((duo.alpha, "receiver", duo.beta),
                                     (duo.beta, "sender", duo.alpha)):
                no = node.wait_event("file.denied", role=role, reason="exists",
                                     outcome="denied")
                # Who it was, by which key, under which registry.
                equal((no["peer_key"], no["file"], no["bytes"]),
                      (identity(peer), "file1", MIB), "denied")
                ok(no["seq"] > 0 and len(no["head"]) > 40, "%r" % no)
                equal(lines(node)[-1]["result"], "refused", "line")
                equal(metric(node,
                             'claw_sft_transfers_total{result="refused"}'), 1,
                      "refused at " + node.name)


@test("who sent what to whom, when, how much, by which key and under which "
      "registry, is in a copy of the log, as claw-sftd(8) says")
def from_the_log():
    if shutil.which("jq") is None:
        skip("no jq")
    with open(os.path.join(os.environ.get("srcdir", "."), "man",
                           "claw-sftd.8"), encoding="utf-8") as f:
        recipe = "jq -r" + f.read().split("\njq -r")[1].split("\n.Ed")[0]
    with Duo() as duo:
        source = duo.file(MIB)
        told = duo.sent(source).last("receipt")
        equal(duo.send(duo.file(9), "--name", "file1").wait(), 73, "exit")
        for node, other, kinds in (
                (duo.alpha, duo.beta, ["file.receive", "file.denied"]),
                (duo.beta, duo.alpha, ["file.send", "file.denied",
                                       "file.send"])):
            node.wait_event("file.denied")
            shutil.copytree(os.path.join(node.dir, "log", "audit"),
                            os.path.join(node.top, "copy"))
            out = subprocess.run(
                ["sh", "-c", recipe.replace("\\e", "\\")], cwd=node.top,
                check=True, text=True, stdout=subprocess.PIPE).stdout
            rows = [line.split("\t") for line in out.splitlines()]
            equal([row[1] for row in rows], kinds, "what")
            with open(duo.receipt_path(node, told["id"])) as f:
                receipt = json.load(f)
            me = receipt["sender" if node is duo.beta else "receiver"]
            equal(rows[0][2:], ["ok", other.name, identity(other), "file1",
                                str(MIB), told["blake3"],
                                str(me["registry"]["seq"]),
                                me["registry"]["head"].partition(":")[2],
                                told["id"], "-"], "of what was sent")
            equal(rows[1][2:7] + rows[1][8:10],
                  ["denied", other.name, identity(other), "file1", "9"] +
                  rows[0][8:10], "of what was refused")
            contains(rows[1][11], "a file of that name", "why")
            ok(re.fullmatch(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", rows[0][0]),
               rows[0][0])


# Side by side


@test("a hundred, one after the other")
def hundred():
    with Duo() as duo:
        source = duo.file(1000)
        for i in range(100):
            duo.sent(source, "--name", "f%d" % i)
        equal(len(os.listdir(duo.arrived(""))), 100, "files")
        equal(len(duo.receipts(duo.beta)), 100, "receipts")


@test("two at once, and more; the same file twice at once is sent once")
def at_once():
    with Duo() as duo:
        sources = [duo.file(6 * MIB, seed) for seed in range(4)]
        running = [duo.send(source, "--limit", "6M", "--chunk-size", "1M")
                   for source in sources]
        twice = None
        running[0].wait_event("accepted")
        twice = duo.send(sources[0], "--chunk-size", "1M")
        equal(twice.wait(), 75, "the same file at the same time")
        equal(twice.error()["name"], "busy", "error")
        for s, source in zip(running, sources):
            equal(s.wait(), 0, "exit: %r" % s.events)
            duo.check(s, source)


@test("a transfer goes on when a process that has no part in it is killed, or "
      "replaced")
def unrelated():
    with Duo() as duo:
        source, s = slowly(duo, 40 * MIB, "5M")
        for node in duo.nodes():
            for name in ("controld", "meshd", "metricd", "attestd"):
                if node is duo.beta and name == "controld":
                    continue
                was = node.children()[name]
                kill(was)
                wait_for(lambda: node.children().get(name) not in (None, was),
                         10, "another " + name)
        ok(s.runs(), "it has ended: %r" % s.events[-3:])
        was = duo.beta.children()["controld"]
        kill(was)
        wait_for(lambda: duo.beta.children().get("controld")
                 not in (None, was), 10, "another controld")
        equal(s.wait(), 0, "exit: %r" % s.events[-5:])
        equal(s.all("again") + s.all("retry"), [], "again")
        equal(len(s.all("accepted")), 1, "accepted")
        duo.check(s, source)


if __name__ == "__main__":
    main()
