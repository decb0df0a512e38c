#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""test_docs - what the documents say is there is there, and the other way.

The tables of claw-ipc(7), claw-metrics(7), claw-manifest(5) and claw-auditd(8)
are compared with policy/ word by word; with --write they are made anew. Of the other pages it is
asked that no verb, key or method is missing. README and doc/ may name no file, no
test and no command that does not exist.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap

from claw_test import (NOBODYS_UID, ROOT, SANITIZERS, STAGE, Node, contains,
                       equal, free_port, main, ok, skip, stage, test)

TOP = os.path.realpath(os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", ".."))
TEXTS = ("README.md", "SECURITY.md", "doc/architecture.md",
         "doc/threat-model.md", "doc/controls.md")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def arguments(body):
    """The arguments of a macro's call, and where it ends."""
    found, depth, quoted, one = [], 1, False, ""
    for at, c in enumerate(body):
        quoted ^= c == '"'
        depth += 0 if quoted else (c == "(") - (c == ")")
        if depth == 0:
            return found + [one.strip()], at
        if c == "," and depth == 1 and not quoted:
            found.append(one.strip())
            one = ""
        else:
            one += c
    raise ValueError("a macro's call does not end")


def rows(table, *macros):
    """The calls of these macros in a table, as [macro, argument...]."""
    text = re.sub(r"/\*.*?\*/", "", read(table), flags=re.S)
    text = re.sub(r"^#.*(\\\n.*)*$", "", text, flags=re.M)
    found = []
    for call in re.finditer(r"^\s*(%s)\(" % "|".join(macros), text, re.M):
        found.append([call.group(1)] + arguments(text[call.end():])[0])
    ok(found, "%s: no %s" % (table, macros))
    return found


def unquote(text):
    text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text))
    return re.sub(r"\\(.)", r"\1", text)


def plain(page):
    """What a manual page says, without what its markup does to words."""
    return read(page).replace("\\-", "-").replace("\\&", "")


# Tables that are made


def wrapped(text):
    return "\n".join(textwrap.wrap(text, 78, break_on_hyphens=False))


SETS = dict(re.findall(r"^#define (\w+) (.*P\(.*|.*WORKERS.*)$",
                       read("policy/messages.def"), re.M))


def people(mask):
    """A set of processes in words, whichever way the table writes it."""
    everybody = [r[1].lower() for r in rows("policy/processes.def", "PROC")]
    for _ in SETS:
        mask = re.sub(r"\w+", lambda m: SETS.get(m.group(), m.group()), mask)
    who = [p.lower() for p in re.findall(r"P\((\w+)\)", mask)]
    if mask == "EVERYONE" or set(who) == set(everybody):
        return "every process"
    if set(who) == set(everybody) - {"clawd"}:
        return "every process but clawd"
    ok(who, "nobody in " + mask)
    return " and ".join(filter(None, [", ".join(who[:-1]), who[-1]]))


def states(mask):
    return "in any state" if mask == "ANYTIME" else "in " + " or ".join(
        mask.replace(" ", "").split("|"))


KINDS = {"NO_FD": "", "FD_CHANNEL": ", with a socket", "FD_FILE":
         ", with a file", "FD_STREAM": ", with a connection",
         "FD_FOLDER": ", with a directory"}


def how_often(limit, reply):
    if limit == "REPLY_ONLY":
        return "a reply"
    if limit == "ONCE":
        return "once"
    return "at most %s %s" % (
        limit, "a second" if reply == "NONE" else "unanswered")


def field(kind, args):
    words = {"FIX": "fixed %s", "STR": "text %s", "BYTES": "bytes %s"}
    if kind in words:
        return "%s %s" % (args[0], words[kind] % args[1])
    return "%s %s" % (args[0], kind.lower())


def messages():
    out, fields = [".Bl -tag -width Ds"], []
    table = rows("policy/messages.def", "MSG", "U8", "U16", "U32", "U64",
                 "FIX", "STR", "BYTES", "END")
    for macro, *args in table:
        if macro == "MSG":
            name, number, senders, receivers, when, fd, limit, reply = args
            fields = []
            out.append(".It Sy %s No %s" % (name, number))
            out.append(wrapped("From %s to %s, %s%s; %s." % (
                people(senders), people(receivers),
                states(when), KINDS[fd], how_often(limit, reply))))
            if reply != "NONE":
                out.append("Its reply is\n.Sy %s ." % reply)
        elif macro == "END":
            if fields:
                out.append(wrapped("Body: %s." % ", ".join(fields)))
        else:
            fields.append(field(macro, args))
    return "\n".join(out + [".El"])


def topology():
    return "\n".join([".Bl -column \"controld\" \"controld\" \"purpose\"",
                      ".It Em between Ta Em and Ta Em for"] + [
        ".It %s Ta %s Ta %s" % (a.lower(), b.lower(), unquote(why))
        for _, a, b, why in rows("policy/topology.def", "CHANNEL")] + [".El"])


def workers():
    return "\n".join([".Bl -column \"verifyd\" \"controld\" \"at once\" \"why\"",
                      ".It Em worker Ta Em broker Ta Em at once Ta Em why"] + [
        ".It %s Ta %s Ta %s Ta %s" % (
            worker.lower(), broker.lower(), most, unquote(why))
        for _, worker, broker, most, *_, why in rows(
            "policy/workers.def", "WORKER")] + [".El"])


def supervision():
    out = [".Bl -column \"controld\" \"stop suite\" \"silence\" \"100 to 30000 ms\""
           " \"graceful\"",
           ".It Em Process Ta Em end Ta Em silence Ta Em pause Ta Em graceful"]
    for _, proc, end, stall, pause, most, graceful, _ in rows(
            "policy/supervision.def", "SUPERVISE"):
        wait = "%s to %s ms" % (pause, most) if most != "0" else "-"
        out.append(".It %s Ta %s Ta %s ms Ta %s Ta %s" % (
            proc.lower(), end.lower().replace("_", " "), stall, wait,
            graceful.lower()))
    return "\n".join(out + [".El"])


def events():
    out = [".Bl -tag -width Ds"]
    for _, _, _, name, senders, what in rows(
            "policy/audit_events.def", "EVENT"):
        out.append(".It Li %s" % unquote(name))
        out.append(wrapped("From %s: %s." % (
            people(senders), unquote(what))))
    return "\n".join(out + [".El"])


def attributes():
    kinds = {"TEXT": "text", "NUM": "number", "HEX": "hexadecimal",
             "B64": "base64"}
    out = [".Bl -column \"prev_checkpoint\" \"hexadecimal\" \"bytes\" \"from\"",
           ".It Em Name Ta Em kind Ta Em bytes Ta Em from"]
    for _, _, number, name, kind, most in rows(
            "policy/audit_attrs.def", "ATTR"):
        out.append(".It %s Ta %s Ta %s Ta %s" % (
            unquote(name), kinds[kind], most,
            "auditd" if int(number) >= 128 else "any"))
    return "\n".join(out + [".El"])


def counters():
    """One entry a name; the labels and processes of all its rows."""
    entries = {}
    for _, _, process, name, kind, labels, what in rows(
            "policy/counters.def", "COUNTER"):
        entry = entries.setdefault(unquote(name), [
            "each" if process == "ANY" else process.lower(),
            "counter" if kind == "COUNT" else "gauge", [], unquote(what)])
        if unquote(labels):
            entry[2].append(unquote(labels))
    out = [".Bl -tag -width Ds"]
    for name, (process, kind, labels, what) in entries.items():
        out.append(".It Li %s" % name)
        out.append(".Pq %s , %s" % (kind, process))
        out.append(wrapped(what + "."))
        if labels:
            out.append(wrapped("Labels: %s." % ", ".join(labels)))
    return "\n".join(out + [".El"])


def capabilities():
    return "\n".join([".Bl -tag -width \"voice.connect\""] + [
        ".It Li %s\n%s." % (unquote(name), wrapped(unquote(what)).capitalize())
        for _, _, _, name, what in rows(
            "policy/capabilities.def", "CAPABILITY")] + [".El"])


MADE = (("man/claw-ipc.7", "topology", topology),
        ("man/claw-ipc.7", "workers", workers),
        ("man/claw-ipc.7", "messages", messages),
        ("man/claw-ipc.7", "supervision", supervision),
        ("man/claw-metrics.7", "counters", counters),
        ("man/claw-manifest.5", "capabilities", capabilities),
        ("man/claw-auditd.8", "events", events),
        ("man/claw-auditd.8", "attributes", attributes))


def split(text, name):
    head, rest = re.split(r'(?<=\n)(?=\.\\" %s: made)' % name, text)
    mark, rest = rest.split("\n", 1)
    made, tail = rest.split('.\\" %s end\n' % name)
    return head + mark + "\n", made, '.\\" %s end\n' % name + tail


def write():
    for page, name, make in MADE:
        head, _, tail = split(read(page), name)
        text = head + make() + "\n" + tail
        with open(os.path.join(TOP, page), "w", encoding="ascii") as file:
            file.write(text)


@test("claw-ipc(7), claw-metrics(7), claw-manifest(5), claw-auditd(8): "
      "the tables of policy/")
def made():
    for page, name, make in MADE:
        _, old, _ = split(read(page), name)
        equal(old.split("\n"), (make() + "\n").split("\n"),
              "%s: %s (renew it with tests/system/test_docs.py --write)" %
              (page, name))


# Pages that must leave nothing out


def all_in(page, words):
    text = plain(page)
    missing = [w for w in words if not re.search(
        r"(?<![\w.:])%s(?![\w:])" % re.escape(w), text)]
    equal(missing, [], "missing in " + page)


def verbs():
    return [unquote(r[2]) for r in rows("claw/commands.def", "VERB")]


@test("claw(1): every verb and every flag")
def claw_page():
    all_in("man/claw.1", verbs())
    flags = {unquote(r[3]) for r in rows("claw/commands.def", "FLAG")}
    text = plain("man/claw.1")
    equal([f for f in sorted(flags)
           if not re.search(r"(?:Fl (?:-|Fl )|--)%s\b" % f, text)], [],
          "flags missing in claw(1)")


@test("claw.yaml(5): every key, and every variable of the environment")
def config_page():
    all_in("man/claw.yaml.5",
           [unquote(r[2]) for r in rows("policy/config.def", "KEY")])
    all_in("man/claw.yaml.5",
           [unquote(r[1]) for r in rows("policy/config.def", "ALIAS")])


@test("claw-api(7): every method and parameter")
def api_page():
    all_in("man/claw-api.7", [unquote(r[2])
                              for r in rows("policy/methods.def", "METHOD")])
    all_in("man/claw-api.7", [unquote(r[2])
                              for r in rows("policy/methods.def", "PARAM")])


@test("clawd(8): every place of the node")
def places_page():
    text = plain("man/clawd.8")
    for _, _, _, path, *_ in rows("policy/places.def", "PLACE"):
        path = unquote(path)
        if path:
            contains(text, path, "clawd(8)")


@test("doc/architecture.md: every process, folder and table")
def architecture():
    text = read("doc/architecture.md")
    for _, _, name, *_ in rows("policy/processes.def", "PROC"):
        contains(text, unquote(name), "processes")
    for name in sorted(os.listdir(os.path.join(TOP, "policy"))):
        if name.endswith(".def"):
            contains(text, name, "tables")
    for name in FOLDERS:
        contains(text, "`%s/`" % name, "folders")


# Texts that may name nothing that is not there

FOLDERS = ("attestd", "auditd", "claw", "clawd", "common", "contrib",
           "controld", "doc", "door", "linkd", "man", "meshd", "metricd",
           "policy", "sftd", "tests", "verifyd", "voiced", "xferd")


def named(text):
    """Files of the tree that a text names: links, and words in backquotes."""
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in link:
            yield link
    for word in re.findall(r"`([^`\s]+)`", text):
        if word.split("/")[0] in FOLDERS and "/" in word:
            yield word


@test("README and doc/: every file and every test that they name is there")
def files():
    for name in TEXTS:
        text = read(name)
        for path in named(text):
            base = os.path.dirname(name) if path.startswith("../") else ""
            path = path.split("#")[0]
            ok(os.path.exists(os.path.join(TOP, base, path)),
               "%s names %s" % (name, path))


@test("doc/threat-model.md: every claim names a test that make check runs")
def claims():
    section = read("doc/threat-model.md").split("## Claims")[1]
    section = section.split("\n## ")[0]
    lines = [line for line in section.splitlines()
             if line.startswith("|") and not re.match(r"\|[ -]*\|", line)]
    ok(len(lines) > 10, "few claims")
    run = read("tests/Makefile.inc")
    for line in lines[1:]:
        held = line.split("|")[2]
        ok("`tests/" in held, "no test in: " + line)
        for path, promises in re.findall(r"`(tests/[^`]+)`([^`]*)", held):
            name = os.path.splitext(path)[0]
            ok(re.search(r"(?<!\S)%s(\.\w+)?(?!\S)" % re.escape(name), run),
               "make check does not run " + path)
            text = re.sub(r'"\s*\n\s*"', "", read(path))
            for promise in re.findall(r'"([^"]+)"', promises):
                contains(text, promise, path)


@test("README and doc/: every page of the manual that they name is there")
def pages():
    for name in TEXTS:
        for page, section in re.findall(
                r"\b(clawd?(?:[.-]\w+)?)\(([1578])\)", read(name)):
            ok(os.path.exists(os.path.join(
                TOP, "man", "%s.%s" % (page, section))),
               "%s names %s(%s)" % (name, page, section))


def commands():
    """The claw commands that the texts show, as (text, words)."""
    for name in TEXTS:
        text = read(name)
        shown = re.findall(r"`((?:\S*/)?claw [^`\n]+)`", text)
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                for part in re.split(r"[|;]|&&", line.split(" # ")[0]):
                    part = re.sub(r"^\s*(?:\$|#|sudo(?: -\S+)*)?\s*", "", part)
                    if re.match(r"(?:\S*/)?claw(?:\s|$)", part):
                        shown.append(part)
        for line in shown:
            yield name, shlex.split(line)[1:]


@test("README and doc/: claw knows every command and flag that they show")
def commands_known():
    claw = os.path.join(STAGE, "bin", "claw")
    done = subprocess.run([claw, "help", "--json"], capture_output=True,
                          text=True, check=True)
    table = json.loads(done.stdout)
    table = table.get("data", table)
    every = {f["name"]: f for f in table["flags"]}
    flags = {v["name"]: {f["name"]: f for f in v["flags"]}
             for v in table["verbs"]}
    seen = 0
    for name, words in commands():
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] in ("-f", "--file") else words[1:]
        if not words:
            continue
        verb = words[0]
        ok(verb in flags, "%s shows claw %s" % (name, verb))
        for word in words[1:]:
            if word.startswith("--"):
                flag = word[2:].split("=")[0]
                ok(flag in flags[verb] or flag in every,
                   "%s shows claw %s %s" % (name, verb, word))
        done = subprocess.run([claw, "help", verb], capture_output=True,
                              text=True)
        equal(done.returncode, 0, "claw help " + verb)
        seen += 1
    ok(seen > 5, "README shows few commands")


@test("README: a log can be verified by hand as it says")
def by_hand():
    if SANITIZERS:
        skip("the release build's business")
    if shutil.which("openssl") is None:
        skip("no openssl program")
    text = read("README.md").split("**By hand**")[1]
    signature = re.search(r"^```sh\n(.*?)^```", text, re.S | re.M).group(1)
    tree = re.search(r"^```python\n(.*?)^```", text, re.S | re.M).group(1)
    with Node("by-hand") as node:
        node.claw("audit:note", "by hand", check=True)
        node.stop()
        vkey = node.claw("audit:vkey", check=True).stdout.strip()
        audit = os.path.join(node.dir, "log", "audit")
        copy = os.path.join(node.top, "copy")
        shutil.copytree(os.path.join(audit, max(os.listdir(audit))), copy)

        def verify(*command):
            return subprocess.run(
                command, cwd=copy, env=dict(os.environ, vkey=vkey),
                capture_output=True, text=True)

        def both():
            return (verify("sh", "-ec", signature).returncode,
                    verify(sys.executable, "-c", tree).returncode)

        done = verify("sh", "-ec", signature)
        equal(done.returncode, 0, "signature: " + done.stdout + done.stderr)
        done = verify(sys.executable, "-c", tree)
        equal(done.returncode, 0, "tree: " + done.stderr)
        path = os.path.join(copy, "log.ndjson")
        with open(path, "r+b") as log:
            data = log.read().replace(b"by hand", b"by magic")
            log.seek(0)
            log.write(data)
        equal(both(), (0, 1), "a changed line: signature and tree")
        path = os.path.join(copy, "checkpoint")
        with open(path, encoding="utf-8") as note:
            text = note.read().split("\n")
        text[1] = str(int(text[1]) - 1)
        with open(path, "w", encoding="utf-8") as note:
            note.write("\n".join(text))
        ok(both()[0] != 0, "a changed checkpoint has a good signature")


@test("README: two machines become peers as it says, one sends a file, and is "
      "revoked")
def two_machines():
    if SANITIZERS:
        skip("the release build's business")
    text = read("README.md").split("\n## Two machines")[1] \
        .split("\n## Install")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
    equal(len(blocks), 3, "blocks")
    # Who reads it has a file, and takes the ID from what he is shown.
    ok(" ID " in blocks[1], "an ID")
    blocks[1] = "head -c 3000000 /dev/urandom >model.bin\n" + \
        blocks[1].replace(
            " ID ", " $(claw -f ./m2/claw.yaml file:list | cut -d' ' -f1) ") \
        .replace("--genesis HASH", "--genesis $(claw -f ./m1/claw.yaml "
                 "registry:show | sed -n 's/^registry *//p')")
    # And types no faster than a link is closed and that is recorded.
    blocks[2] = blocks[2].replace("claw -f ./m1/claw.yaml audit:tail",
                                  "sleep 2\nclaw -f ./m1/claw.yaml audit:tail")
    for port in ("7901", "7911"):
        ok(port in blocks[0], "no port " + port)
        blocks[0] = blocks[0].replace(port, str(free_port()))
    # Who types it goes on when clawd says that it is ready; so does this.
    script, waits = re.subn(
        r"^(clawd -f \S+) &.*$", r"""\1 2>log & pids="$pids $!"
        until grep -q 'node .* is ready' log; do sleep 0.05; done; rm log""",
        blocks[0], flags=re.M)
    equal(waits, 2, "nodes that are started")
    who = {"user": NOBODYS_UID, "group": NOBODYS_UID,
           "extra_groups": []} if ROOT else {}
    with tempfile.TemporaryDirectory(prefix="claw-readme-") as folder:
        os.chmod(folder, 0o777)
        done = subprocess.run(
            ["sh", "-c", "trap 'kill $pids; wait' EXIT\nset -e\n" +
             script + blocks[1] + "echo then\nset +e\n" + blocks[2]],
            cwd=folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120, env={"PATH": "%s/bin:%s/sbin:%s" % (
                stage(), stage(), os.environ["PATH"])}, **who)
    said = done.stdout + done.stderr
    first, _, then = done.stdout.partition("\nthen\n")
    for text in ("same six words", "agent-1 at 127.0.0.1", "is attested",
                 "agent-2 ", "signed by agent-1", "of   3.00 MB  model.bin",
                 "good: agent-2 sent it to agent-1"):
        contains(first, text, said)
    equal(first.count("good: agent-2 sent it"), 2, "with a node, and without")
    for text in ("in force: update 3", "revoked: agent-2", "peer.ended"):
        contains(then, text, said)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        main()
