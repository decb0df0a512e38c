#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""test_plugin - claw plugin:doctor, as somebody's continuous integration runs
it: no node, one file, an exit status, and lines that say what to do.
"""

import hashlib
import json
import os
import subprocess
import tempfile

from claw_test import contains, equal, main, ok, stage, test

GOOD = {
    "name": "my-enterprise-plugin",
    "version": "2.1.0",
    "binaryCapabilities": ["sft.send", "sft.receive", "voice.bridge"],
    "attestation": {"required": True, "keyType": "ed25519"},
    "binary": {"path": "bin/p", "sha256": "ab" * 32},
}


def doctor(content, *flags, name="manifest.json"):
    """The run over a file with this content; a dict is written as JSON."""
    if isinstance(content, dict):
        content = json.dumps(content, indent=2)
    if isinstance(content, str):
        content = content.encode()
    with tempfile.TemporaryDirectory() as top:
        path = os.path.join(top, name)
        with open(path, "wb") as file:
            file.write(content)
        return subprocess.run(
            [os.path.join(stage(), "bin", "claw"), "plugin:doctor", *flags,
             name], cwd=top, capture_output=True, text=True, env={})


def without(*names):
    return {k: v for k, v in GOOD.items() if k not in names}


def ids(done):
    return [f["id"] for f in json.loads(done.stdout)["findings"]]


@test("a good manifest: exit 0, its digest, nothing to mend")
def good():
    text = json.dumps(GOOD)
    done = doctor(text)
    equal(done.returncode, 0, done.stdout)
    contains(done.stdout, "good: my-enterprise-plugin 2.1.0", "stdout")
    contains(done.stdout, hashlib.sha256(text.encode()).hexdigest(), "digest")
    done = doctor(text, "--json")
    equal(done.returncode, 0, done.stdout)
    said = json.loads(done.stdout)
    equal(said["schema"], "claw.plugin:doctor/1", "schema")
    equal(said["findings"], [], "findings")
    equal(sorted(said["manifest"]["binaryCapabilities"]),
          sorted(GOOD["binaryCapabilities"]), "capabilities")
    equal(said["manifest"]["binary"], GOOD["binary"], "binary")


@test("a remark breaks nothing: exit 0")
def remark():
    done = doctor(without("binary"), "--json")
    equal((done.returncode, ids(done)), (0, ["no-binary"]), done.stdout)


@test("every fault in one run, each with line, column and what to do: exit 1")
def faults():
    bad = without("name")
    bad["atestation"] = bad.pop("attestation")
    bad["binaryCapabilities"] = ["sft.sendd"]
    done = doctor(bad)
    equal(done.returncode, 1, done.stdout)
    contains(done.stdout, "manifest.json:1:1: error: name is missing", "name")
    contains(done.stdout, "did you mean attestation?", "field")
    contains(done.stdout, "manifest.json:4:5: error: there is no capability "
             "sft.sendd; did you mean sft.send?", "capability")
    lines = done.stdout.splitlines()
    equal([n for n, line in enumerate(lines) if ": error: " in line and
           not lines[n + 1].startswith("    -> ")], [], "without a remedy")
    done = doctor(bad, "--json")
    equal(done.returncode, 1, done.stdout)
    said = json.loads(done.stdout)
    equal(said["breaking"], 4, "breaking")
    ok("manifest" not in said, "a broken manifest is shown as understood")


@test("what the beta had is refused, and the step of the migration named")
def beta():
    for bad, finding, step in (
            (without("binaryCapabilities"), "beta-capabilities", 1),
            (dict(GOOD, websocketFilePipe=True), "beta-websocketfilepipe", 2),
            (dict(GOOD, name="secure-file-transfer", version="v202653"),
             "beta-binary", 3)):
        done = doctor(bad)
        equal(done.returncode, 1, done.stdout)
        contains(done.stdout, "[%s]" % finding, "stdout")
        contains(done.stdout, "MIGRATION, step %d" % step, "stdout")


@test("not JSON: exit 65, and where it stops being JSON")
def not_json():
    for text, where in (("{\n  \"name\" 1}", "2:10"), ("", "1:1"),
                        ("{\"a\":1,\"a\":2}", "1:"), (b"\x00\xff", "1:")):
        done = doctor(text)
        equal(done.returncode, 65, done.stdout)
        contains(done.stdout, "manifest.json:" + where, "stdout")
        done = doctor(text, "--json")
        equal((done.returncode, ids(done)), (65, ["json"]), done.stdout)


@test("a manifest's own text cannot write on the terminal")
def terminal():
    done = doctor({"\x1b]0;title\x07": 1, "name": "\x1b[2J", "\u202e": 1})
    equal(done.returncode, 1, done.stdout)
    equal([c for c in done.stdout if not c.isascii() or
           (c < " " and c != "\n")], [], "characters")


@test("no file: exit 74; - reads standard input; more than one is usage")
def reading():
    claw = os.path.join(stage(), "bin", "claw")

    def run(*words, given=None):
        return subprocess.run([claw, "plugin:doctor", *words], input=given,
                              capture_output=True, text=True, env={})
    done = run("/nonexistent/manifest.json")
    equal(done.returncode, 74, done.stderr)
    contains(done.stderr, "/nonexistent/manifest.json", "stderr")
    done = run("-", given=json.dumps(GOOD))
    equal(done.returncode, 0, done.stdout + done.stderr)
    equal(run("-", given=" " * 65537).returncode, 65, "too long")
    equal(run("a", "b").returncode, 64, "two files")
    equal(run().returncode, 64, "no file")


@test("claw-manifest(5) shows a manifest that is good")
def page():
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    with open(os.path.join(top, "man", "claw-manifest.5"),
              encoding="ascii") as file:
        text = file.read()
    shown = text.split(".Bd -literal -offset indent\n")[1].split(".Ed")[0]
    done = doctor(shown.replace("<64 hexadecimal digits>", "ab" * 32))
    equal(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    main()
