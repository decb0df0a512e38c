#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What is installed is what was promised to whoever packages and audits it:
each process links what it may and no more, every program is hardened, and the
unit, the accounts and the folders are such that systemd has nothing to say.
"""

import os
import re
import shutil
import subprocess
import tempfile

from claw_test import (PROCESSES, USER_PREFIX, WORKERS, binary, contains,
                       equal, main, ok, skip, stage, test)

LIBC = {"libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1",
        "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
KEYD = {"libcrypto", "libevent_core", "libseccomp"}
PROGRAMS = ("claw", "clawd") + PROCESSES + WORKERS
EXPOSURE_MAX = 31    # tenths; what CAP_SYS_ADMIN costs stands in the unit


def output(*command):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def need(tool):
    if shutil.which(tool) is None:
        skip("no " + tool)


def readelf(flag, program):
    need("readelf")
    status, text = output("readelf", "-W", flag, binary(program))
    equal(status, 0, "readelf of " + program)
    return text


def needed(program):
    """Names of the libraries a program names itself, without version."""
    names = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d", program))
    return {re.split(r"[-.]", name)[0] for name in names if name not in LIBC}


@test("keyd links libcrypto, libevent_core and libseccomp and nothing else")
def keyd_links_little():
    equal(needed("keyd"), KEYD, "keyd")


@test("only linkd and xferd link libssl, and only metricd an HTTP server")
def only_peers_workers_link_tls():
    for program in PROGRAMS:
        libraries = needed(program)
        equal("libssl" in libraries, program in ("linkd", "xferd"),
              "whether %s links libssl" % program)
        ok("libevent" not in libraries, program + " links all of libevent")
        ok(program == "metricd" or "libevent_extra" not in libraries,
           program + " links libevent_extra")


@test("no process that holds or records anything links a parser of YAML")
def parsers_stay_outside():
    for program in PROCESSES + WORKERS:
        ok("libyaml" not in needed(program), program + " links libyaml")


@test("every program is position independent, bound early, without an "
      "executable stack")
def hardened():
    for program in PROGRAMS:
        contains(readelf("-h", program), "DYN", program + " is no PIE")
        contains(readelf("-d", program), "BIND_NOW", program)
        headers = readelf("-l", program)
        contains(headers, "GNU_RELRO", program)
        stack = re.search(r"GNU_STACK.*", headers)
        ok(stack and "RWE" not in stack.group(), program + "'s stack")


def with_unit(*command):
    """Run a command on a copy of the unit that names the staged programs."""
    source = os.path.join(stage(), "lib/systemd/system/clawd.service")
    with open(source) as f:
        text = f.read()
    ok("@" not in re.sub(r"#.*|SystemCallFilter=.*", "", text),
       "a placeholder was left in clawd.service")
    ok("${" not in text, "a variable of make was left in clawd.service")
    need(command[0])
    text = re.sub(r"(Exec\w+=)\S*/(s?bin/\w+)", r"\1%s/\2" % stage(), text)
    with tempfile.TemporaryDirectory(prefix="claw-unit-") as folder:
        path = os.path.join(folder, "clawd.service")
        with open(path, "w") as f:
            f.write(text)
        return output(*command, path)


@test("systemd has nothing to say about the unit")
def unit_verifies():
    equal(with_unit("systemd-analyze", "verify", "--man=no"), (0, ""),
          "systemd-analyze verify")


@test("the unit's exposure stays below what it is today")
def unit_exposure():
    status, text = with_unit("systemd-analyze", "security", "--offline=true",
                             "--threshold=%d" % EXPOSURE_MAX)
    equal(status, 0, "exposure: " + text[-200:])


@test("sysusers.d makes an account for each process and the operators' group")
def sysusers():
    path = os.path.join(stage(), "lib/sysusers.d/claw.conf")
    with open(path) as f:
        text = f.read()
    for process in PROCESSES + WORKERS:
        contains(text, "u %s%s " % (USER_PREFIX, process), "claw.conf")
    contains(text, "g claw ", "claw.conf")
    need("systemd-sysusers")
    with tempfile.TemporaryDirectory(prefix="claw-sysusers-") as root:
        os.mkdir(os.path.join(root, "etc"))
        status, text = output("systemd-sysusers", "--root=" + root, path)
        equal(status, 0, text)
        with open(os.path.join(root, "etc/passwd")) as f:
            made = f.read()
    for process in PROCESSES + WORKERS:
        contains(made, USER_PREFIX + process + ":", "passwd")


@test("tmpfiles.d makes the folders of the keys and the log for their owners")
def tmpfiles():
    path = os.path.join(stage(), "lib/tmpfiles.d/claw.conf")
    with open(path) as f:
        lines = [line.split() for line in f
                 if line.strip() and not line.startswith("#")]
    made = {tuple(line[1].split("/")[-2:]): line[2:5] for line in lines}
    equal(made[("claw", "keys")], ["0700", "root", "root"], "keys")
    equal(made[("log", "claw")], ["0755", "root", "root"], "log")
    equal(made[("claw", "registry")],
          ["0750", "root", USER_PREFIX + "attestd"], "registry")
    equal([line[2:5] for line in lines if line[1].endswith("log/claw/audit")],
          [["2750", USER_PREFIX + "auditd", "claw"]], "log/claw/audit")
    equal(made[("claw", "sft")], ["2700", USER_PREFIX + "sftd", "claw"], "sft")
    equal(made[("claw", "files")],
          ["2750", USER_PREFIX + "sftd", "claw"], "files")
    equal(made[("claw", "sft.ndjson")], ["0640", "root", "claw"], "sft.ndjson")


@test("the shell scripts are clean")
def shell_scripts():
    need("shellcheck")
    source = os.environ.get("srcdir", ".")
    scripts = [os.path.join(source, name) for name in (
        "quickstart", ".ci/run", "tests/tap", "tests/debian13.sh",
        "tests/fuzz/smoke", "tests/fuzz/test_corpus.sh", "man/lint")]
    status, text = output("shellcheck", *scripts)
    equal(status, 0, text)


main()
