#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""claw on the command line: exit statuses as claw(1) lists them, JSON where
it is asked for, one table behind help, completions and manual, a doctor who
finds what is wrong, and a demo that leaves nothing behind."""

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from claw_test import (NOBODYS_UID, ROOT, Node, binary, contains, equal, main,
                       need_root, ok, stage, test, wait_for)

HERE = os.path.dirname(os.path.abspath(__file__))
MANUAL = os.path.join(HERE, "..", "..", "man", "claw.1")


def claw(*args, env=None, **keywords):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CLAW_")}
    return subprocess.run([binary("claw"), *args], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60,
                          env=dict(clean, **(env or {})), **keywords)


def table():
    done = claw("help", "--json")
    equal(done.returncode, 0, "help --json")
    answer = json.loads(done.stdout)
    equal(answer["schema"], "claw.help/1", "schema")
    return answer


@test("usage errors: status 64, on stderr, with what was perhaps meant")
def usage():
    for args, says in ((("statsu",), "did you mean status?"),
                       (("status", "--jsno"), "did you mean --json?"),
                       (("audit", "tial"), "did you mean audit:tail?"),
                       (("audit:prove",), "wants N"),
                       (("audit:prove", "x"), "number"),
                       (("audit:verify",), "--vkey"),
                       (("init",), "--name"),
                       (("config:set", "nonsense"), "key=value"),
                       (("node:restart",), "--graceful"),
                       (("completion", "tcsh"), "bash, zsh or fish")):
        done = claw(*args)
        equal(done.returncode, 64, args)
        equal(done.stdout, "", args)
        contains(done.stderr, says, args)


@test("help is no error, for each verb in both spellings")
def help_is_no_error():
    equal(claw("--help").stderr, "", "on stdout")
    for verb in table()["verbs"]:
        texts = set()
        for args in (("help", verb["name"]), (verb["name"], "--help"),
                     ("help", *verb["name"].split(":")),
                     (*verb["name"].split(":"), "-h")):
            done = claw(*args)
            equal((done.returncode, done.stderr), (0, ""), args)
            texts.add(done.stdout)
        equal(len(texts), 1, "the same text for " + verb["name"])
        contains(texts.pop(), verb["what"], verb["name"])
        contains(claw("--help").stdout, verb["what"], verb["name"])


def manual_synopsis():
    """{verb: (flags, operands)} of claw(1)."""
    with open(MANUAL) as f:
        text = f.read()
    part = text.split(".Sh SYNOPSIS\n")[1].split(".Sh ")[0]
    found = {}
    for chunk in part.split(".Nm")[1:]:
        verb = re.search(r"^\.Cm (\S+)", chunk, re.M)
        if verb is None:
            continue
        flags = re.findall(r"^\.(?:Op )?Fl Fl (\S+)(?: Ar (\S+))?", chunk, re.M)
        operands = re.findall(r"^\.(?:Op )?Ar (\S+)", chunk, re.M)
        found[verb[1]] = (sorted((n, a or "") for n, a in flags), operands)
    return found


@test("the manual's synopsis is the table")
def manual():
    found = manual_synopsis()
    verbs = {v["name"]: v for v in table()["verbs"]}
    equal(sorted(found), sorted(verbs), "verbs of claw(1)")
    for name, verb in verbs.items():
        flags = sorted((f["name"], f["argument"]) for f in verb["flags"])
        equal(found[name][0], flags, "flags of " + name)
        operands = re.sub(r"[][]", "", verb["operands"]).split()
        equal(found[name][1], operands, "operands of " + name)


@test("bash completes verbs and flags from the table")
def complete_bash():
    script = claw("completion", "bash").stdout
    verbs = {v["name"]: v for v in table()["verbs"]}

    def words(*line):
        ask = script + """
COMP_WORDS=(claw %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _claw
printf '%%s\\n' "${COMPREPLY[@]}"
""" % " ".join("'%s'" % w for w in line)
        done = subprocess.run(["bash", "-uec", ask], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal(done.stderr, "", line)
        return set(done.stdout.split())

    ok(set(verbs) <= words(""), "all verbs")
    equal(words("stat"), {"status"}, "stat")
    for name, verb in verbs.items():
        ok({"--" + f["name"] for f in verb["flags"]} <= words(name, "--"),
           "flags of " + name)
    equal(words("completion", ""), {"bash", "zsh", "fish"}
          | words("completion", "--"), "shells")


@test("the three shells' completions name every verb and flag")
def complete_all():
    answer = table()
    for shell in ("bash", "zsh", "fish"):
        text = claw("completion", shell).stdout
        plain = text.replace("\\", "")
        for verb in answer["verbs"]:
            contains(plain, verb["name"], shell)
            for flag in verb["flags"]:
                contains(plain, flag["name"], shell)
        if shutil.which(shell):
            done = subprocess.run([shell, "-n"], input=text, text=True,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            equal((done.returncode, done.stdout), (0, ""), shell + " -n")


@test("exit statuses with and without a node, as claw(1) lists them")
def statuses():
    equal(claw("-f", "/nonexistent/claw.yaml", "status").returncode, 78,
          "no configuration")
    node = Node()
    equal(node.claw("status").returncode, 69, "the node is down")
    equal(node.claw("audit:note", "x").returncode, 69, "the node is down")
    with node:
        for args in (("status",), ("api:ping",), ("node:show",),
                     ("audit:note", "x"), ("audit:tail",), ("audit:vkey",),
                     ("config:show",), ("config:check",), ("metrics:print",),
                     ("reload",)):
            done = node.claw(*args)
            equal((done.returncode, done.stderr), (0, ""), args)
        ok(node.claw("audit:prove", "99999").returncode in (1, 65), "no such")
        equal(node.claw("audit:note", "").returncode, 65, "an empty note")
        done = node.run("claw", "init", "--dir", node.dir, "--name", "other")
        ok(done.returncode != 0, "a node is not made over another")
        node.claw("config:check", check=True)


@test("--json on every verb that reads, each with its schema")
def as_json():
    with Node() as node:
        for args in (("status",), ("doctor",), ("api:ping",), ("node:show",),
                     ("config:show",), ("config:show", "--origin"),
                     ("config:check",), ("audit:vkey",), ("metrics:print",),
                     ("version",), ("audit:note", "x"), ("reload",),
                     ("registry:show",), ("node:why", node.name),
                     ("node:links",), ("invite:list",),
                     ("registry:propose", "policy", "soft_s=1", "hard_s=2"),
                     ("registry:policy", "--soft", "12h", "--hard", "7d")):
            done = node.claw(*args, "--json")
            equal((done.returncode, done.stderr), (0, ""), args)
            equal(done.stdout.count("\n"), 1, "one line: %s" % (args,))
            equal(json.loads(done.stdout)["schema"],
                  "claw.%s/1" % args[0], args)
        for line in node.claw("audit:tail", "--json").stdout.splitlines():
            json.loads(line)
        vkey = node.claw("audit:vkey").stdout.strip()
        wait_for(lambda: node.claw("audit:prove", "0").returncode == 0,
                 what="a checkpoint")
        done = node.claw("audit:prove", "0", "--json", check=True)
        equal(json.loads(done.stdout)["schema"], "claw.audit:prove/1", "it")
        done = node.claw("audit:verify", "--vkey", vkey, "--json")
        equal(done.returncode, 81, "no expectation given")
        equal(json.loads(done.stdout)["schema"], "claw.audit:verify/1", "it")


@test("errors are JSON under --json")
def json_errors():
    node = Node()
    for args, status, name in (
            (("status",), 69, "UnavailableError"),
            (("reload",), 69, "UnavailableError"),
            (("statsu",), 64, "UsageError"),
            (("audit:prove", "x"), 64, "UsageError"),
            (("audit:vkey", "--dir", "/nonexistent"), None, None),
            (("config:set", "log.levle=info"), 64, "UsageError")):
        done = node.claw(*args, "--json")
        equal(done.stdout, "", args)
        answer = json.loads(done.stderr)
        equal(answer["schema"], "claw.error/1", args)
        equal(answer["status"], done.returncode, args)
        ok(len(answer["error"]["message"]) > 10, args)
        if status is not None:
            equal(done.returncode, status, args)
            equal(answer["error"]["name"], name, args)
    done = claw("-f", "/nonexistent", "status", "--json")
    equal(json.loads(done.stderr)["error"]["name"], "ConfigError", "no file")
    node.discard()


@test("bare claw is the status, on a screen of twelve lines")
def bare():
    with Node() as node:
        done = node.run("claw", "-f", node.config)
        equal(done.returncode, 0, "exit")
        lines = done.stdout.splitlines()
        ok(len(lines) <= 12, "%d lines" % len(lines))
        contains(lines[0], node.name, "the node")
        contains(lines[-1], "next: claw", "what to do next")
        equal([re.sub(r"\d+ (s|min)\b|\s+", "", line) for line in lines],
              [re.sub(r"\d+ (s|min)\b|\s+", "", line)
               for line in node.claw("status").stdout.splitlines()], "status")


@test("colour only where it is wanted")
def colour():
    with Node() as node:
        ok("\033" not in node.claw("status").stdout, "a pipe")
        ok("\033" in node.claw("status", "--color=always").stdout, "always")
        for env, args, wanted in (
                ({"TERM": "xterm"}, (), True),
                ({"TERM": "xterm", "NO_COLOR": "1"}, (), False),
                ({"TERM": "xterm", "NO_COLOR": ""}, (), True),
                ({"TERM": "dumb"}, (), False),
                ({"TERM": "xterm"}, ("--color=never",), False)):
            ours, theirs = os.openpty()
            subprocess.run([binary("claw"), "-f", node.config, "status",
                            *args], stdout=theirs, cwd=node.top,
                           env=dict({k: v for k, v in node.env.items()
                                     if k != "NO_COLOR"}, **env),
                           **node.credentials())
            text = os.read(ours, 65536)
            os.close(ours)
            os.close(theirs)
            equal(b"\033" in text, wanted, "%s %s" % (env, args))


@test("output that cannot be written is an error")
def full_disk():
    with open("/dev/full", "w") as full:
        done = subprocess.run([binary("claw"), "help"], stdout=full,
                              stderr=subprocess.PIPE)
    equal(done.returncode, 74, "exit")


def checks(node):
    done = node.claw("doctor", "--json")
    answer = json.loads(done.stdout)
    return done.returncode, {c["id"]: c for c in answer["checks"]}


@test("the doctor finds nothing wrong with a new node, up or down")
def healthy():
    node = Node()
    status, found = checks(node)
    equal(status, 0, "down: %s" % [c for c in found.values()
                                   if c["result"] == "fail"])
    equal(found["node"]["result"], "warn", "down")
    with node:
        status, found = checks(node)
        bad = [c for c in found.values() if c["result"] == "fail"]
        equal((status, bad), (0, []), "up")
        for name in ("keyd", "auditd", "attestd", "metricd", "controld"):
            for kind in ("process", "sandbox", "kernel"):
                ok("%s.%s" % (kind, name) in found, kind + name)
            contains(found["kernel." + name]["message"], "Seccomp 2", name)
        text = node.claw("doctor").stdout
        for line in text.splitlines()[:-1]:
            ok(re.match(r"(ok  |warn|fail)  \S", line), line)


@test("the doctor finds what is wrong, and the fix mends it")
def sick():
    with Node() as node:
        for path, mode, name in (("data/keys", 0o755, "place.keys"),
                                 ("data/keys/node.key", 0o644,
                                  "place.node_key"),
                                 ("run/cookie", 0o644, "cookie")):
            full = os.path.join(node.dir, path)
            os.chmod(full, mode)
            status, found = checks(node)
            equal((status, found[name]["result"]), (1, "fail"), name)
            subprocess.run(found[name]["fix"], shell=True, check=True)
            status, found = checks(node)
            equal((status, found[name]["result"]), (0, "ok"), name)
        os.unlink(os.path.join(node.dir, "data/keys/node.key"))
        status, found = checks(node)
        equal((status, found["place.node_key"]["result"]), (1, "fail"), "key")


# Other tests show demos at the same time: these have a folder of their own.
DEMOS = tempfile.mkdtemp(prefix="claw-cli-", dir="/tmp")
os.chmod(DEMOS, 0o1777)
atexit.register(shutil.rmtree, DEMOS, True)
DEMO_ENV = dict(os.environ, TMPDIR=DEMOS)


def leftovers():
    return os.listdir(DEMOS)


def demo(*args, **keywords):
    return subprocess.run([binary("claw"), "demo", *args], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, cwd="/",
                          env=DEMO_ENV, **keywords)


@test("the demo holds, and leaves nothing behind")
def demo_holds():
    done = demo()
    equal((done.returncode, done.stderr), (0, ""), done.stdout)
    contains(done.stdout, "Everything held", "summary")
    equal(done.stdout.count("found (exit 79)"), 3, "what was tampered with")
    equal(done.stdout.count("refused, alpha's record"), 3, "impostors")
    for text in ("the same six words", "peer.attested", "peer.ended"):
        contains(done.stdout, text, "two nodes")
    equal(leftovers(), [], "left behind")
    answer = json.loads(demo("--json").stdout)
    ok(answer["held"] and answer["bad"] == 0, answer)
    if ROOT:
        done = demo(user=NOBODYS_UID, group=NOBODYS_UID, extra_groups=[])
        equal((done.returncode, done.stderr), (0, ""), "as a normal user")
    equal(leftovers(), [], "left behind")


@test("root's demo runs from a folder that only root can enter")
def demo_unreachable():
    need_root()
    with tempfile.TemporaryDirectory(prefix="claw-root-") as folder:
        copy = shutil.copytree(stage(), os.path.join(folder, "root"))
        os.chmod(folder, 0o700)
        done = subprocess.run([os.path.join(copy, "bin", "claw"), "demo"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120, env=DEMO_ENV)
        equal((done.returncode, done.stderr), (0, ""), done.stdout)


def wait_line(process, text):
    for line in process.stdout:
        if text in line:
            return
    ok(False, "it came to no " + text)


@test("an interrupted demo cleans up")
def demo_interrupted():
    for number, text in ((signal.SIGINT, "durable"),
                         (signal.SIGTERM, "six words"),
                         (signal.SIGHUP, "one link")):
        process = subprocess.Popen(
            [binary("claw"), "demo"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=DEMO_ENV)
        wait_line(process, text)
        process.send_signal(number)
        process.stdout.read()
        ok(process.wait(30) != 0, "not everything was shown")
        equal(leftovers(), [], "left behind")
    # Killed outright it cannot clean up, but its nodes end all the same.
    process = subprocess.Popen([binary("claw"), "demo"],
                               stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL, env=DEMO_ENV)
    wait_line(process, "dials alpha")  # three nodes run now
    process.kill()
    process.wait()
    left = leftovers()
    equal(len(left), 1, "its folder")
    path = os.path.join(DEMOS, left[0])

    def nobody_there():
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    if path.encode() in f.read():
                        return False
            except OSError:
                continue
        return True
    wait_for(nobody_there, 15, "the end of its nodes")
    shutil.rmtree(path)


if __name__ == "__main__":
    main()
