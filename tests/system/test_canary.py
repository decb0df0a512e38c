#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A secret that somebody puts where it does not belong goes no further.

Canaries that look like a key, a passphrase and a token are put into every
input there is, valid and not; afterwards none may be in a log, an audit
record, a metric, a file of the node that is not the one it was put into, the
arguments or environment of a process, or a core.

What counts: who types something wrong at a terminal sees it there again, with
the line of the file; that is no leak, and nobody else is shown it. Where
standard error is not a terminal it is a log: then an error names the place and
a key only where it is one of ours or resembles one, and never a value. The
text of audit.note is recorded because it was given to be recorded; nothing
else shows it.
"""

import glob
import http.client
import json
import os
import pty
import re
import secrets
import signal
import socket
import subprocess
import time

from claw_test import (PROCESSES, ROOT, Failure, Node, binary, contains,
                       equal, main, ok, test, wait_for)

planted = []


def canary(kind, where):
    """A secret of its own for each place; what leaks says from where."""
    word = secrets.token_hex(16)
    planted.append((word, "%s in %s" % (kind, where)))
    return {"key": word + word, "passphrase": "correct horse %s" % word,
            "token": "claw_tok_%s" % word}[kind]


def three(where):
    return [canary(kind, where) for kind in ("key", "passphrase", "token")]


def search(data, place):
    if isinstance(data, str):
        data = data.encode()
    lower = data.lower()
    for word, what in planted:
        if word.encode() in lower or bytes.fromhex(word) in data:
            at = max(lower.find(word.encode()), 0)
            raise Failure("%s shows the %s: %r" % (
                place, what, data[max(at - 200, 0):at + 100]))


def files(node, but=()):
    paths = [node.log_path]
    for folder, _, names in os.walk(node.dir):
        paths += [os.path.join(folder, name) for name in names]
    for path in paths:
        if path in but or not os.path.isfile(path):
            continue
        try:
            with open(path, "rb") as f:
                search(f.read(), path)
        except FileNotFoundError:
            continue


def metrics(node):
    """What metricd serves on its socket."""
    connection = http.client.HTTPConnection("node")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(os.path.join(node.dir, "run", "metrics.sock"))
    connection.request("GET", "/metrics")
    return connection.getresponse().read()


def processes(node):
    """Arguments and environment, as /proc and ps tell them."""
    for pid in node.everybody().values():
        for name in ("cmdline", "environ", "comm"):
            if name == "environ" and (pid == node.pid or not ROOT):
                continue  # clawd's own, as whoever started it set it
            with open("/proc/%d/%s" % (pid, name), "rb") as f:
                search(f.read(), "/proc/%d/%s" % (pid, name))
    ps = subprocess.run(["ps", "-eww", "-o", "pid,args"],
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    search(ps.stdout, "ps")


def look(node, but=()):
    """Everything that a node shows of itself."""
    files(node, but)
    if node.process is not None and node.process.poll() is None:
        processes(node)
        search(metrics(node), "metrics")
        for verb in (("metrics:print",), ("status", "--json"), ("status",),
                     ("doctor",), ("audit:tail", "-n", "100"),
                     ("node:show",)):
            done = node.claw(*verb)
            search(done.stdout + done.stderr, "claw " + verb[0])


def rewrite(path, text):
    with open(path, "w") as f:
        f.write(text)


def wrong_configurations():
    """[text to be put behind the good file]: canaries as values and names."""
    k, p, t = three("claw.yaml, values of the wrong type")
    found = ["audit:\n  warn_at: \"%s\"\n" % k,
             "audit:\n  reserve: \"%s\"\n" % p,
             "audit:\n  checkpoint_interval: %s\n" % t]
    k, p, t = three("claw.yaml, values that are none of those allowed")
    found += ["log:\n  level: %s\n" % k, "log:\n  destination: \"%s\"\n" % p,
              "metrics:\n  listen: \"%s\"\n" % t]
    k, p, t = three("claw.yaml, values of keys that there are not")
    found += ["log:\n  passphrase: %s\n" % k, "token: %s\n" % p,
              "audit:\n  api_key: {deep: [%s]}\n" % t]
    k, p, t = three("claw.yaml, names of keys")
    found += ["log:\n  %s: info\n" % k, "\"%s\": 1\n" % p,
              "log:\n  %s: 1\n  %s: 2\n" % (t, t)]
    k, p, t = three("claw.yaml, what is not YAML")
    found += ["log: {level: \"%s\n" % k, "\t%s: [\n" % p, "- %s\n}" % t]
    k, p, t = three("claw.yaml, tags, anchors and duplicates")
    found += ["log:\n  level: !%s info\n" % k.replace(" ", ""),
              "log:\n  level: &a%s info\n" % t,
              "log:\n  level: info\n  level: \"%s\"\n" % p]
    return found


@test("claw.yaml with secrets in it: neither a start nor a reload shows them")
def configuration():
    with Node() as node:
        with open(node.config) as f:
            good = f.read()
        reloads = 0
        for wrong in wrong_configurations():
            rewrite(node.config, good + wrong)
            done = node.run("clawd", "-f", node.config)
            equal(done.returncode, 78, "clawd with %r" % wrong)
            search(done.stderr + done.stdout, "clawd's log")
            node.signal(signal.SIGHUP)
            reloads += 1
            wait_for(lambda: node.log().count("not reloaded") == reloads, 10,
                     "the reload's end")
        look(node, but=(node.config,))
        # A comment is nobody's business either.
        k, p, t = three("claw.yaml, comments")
        rewrite(node.config, good + "# %s\n# %s\n#%s\n" % (k, p, t))
        node.signal(signal.SIGHUP)
        wait_for(lambda: "is in force" in node.log(), 10, "the reload")
        look(node, but=(node.config,))


@test("at a terminal, and there alone, an error shows the line of the file")
def terminal():
    node = Node()
    with open(node.config, "a") as f:
        f.write("log:\n  level: %s\n" % canary("token", "an open terminal"))
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [binary("clawd"), "-n", "-f", node.config], stdin=theirs,
        stdout=theirs, stderr=theirs, env=node.env, **node.credentials())
    os.close(theirs)
    text = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(ours)
    equal(done.wait(20), 78, "exit status")
    contains(text.decode(), planted[-1][0], "what the person sees")
    files(node, but=(node.config,))


@test("environment with secrets in it: no log, no process that is started")
def environment():
    k, p, t = three("the environment")
    node = Node(env={"SOMEBODYS_PASSPHRASE": p, "AWS_SECRET_ACCESS_KEY": k,
                     "GITHUB_TOKEN": t})
    node.start()
    look(node)
    node.stop()
    k, p, t = three("CLAW_ variables that are wrong")
    for name, value in (("CLAW_LOG_LEVEL", k), ("CLAW_AUDIT_WARN_AT", p),
                        ("CLAW_NODE_DATA_DIR", ""), ("CLAW_PASSPHRASE", p),
                        ("CLAW_TOKEN", t), ("CLAW_METRICS_LISTEN", t),
                        ("CLAW_NODE_NAME", k), ("CLAW_CONTROL_GROUP", t)):
        done = node.run("clawd", "-n", "-f", node.config, env={name: value})
        search(done.stderr + done.stdout, "clawd's log with %s" % name)
    files(node)


@test("arguments that are wrong stay with who typed them")
def arguments():
    with Node() as node:
        k, p, t = three("arguments")
        for args in (("--token", t), ("--passphrase=" + p,), (k,),
                     ("status", k), ("status", "--key", k),
                     ("init", "--name", p), ("node:restart", t),
                     ("audit:prove", k), ("audit:verify", "--vkey", k),
                     ("audit:verify", "--expect", t), ("completion", t),
                     ("audit:tail", "-n", p), ("node:show", "--as", t)):
            done = node.claw(*args)
            ok(done.returncode != 0, "claw %s is taken" % args[0])
        for args in (("--key", k), ("-f", p), (t,)):
            ok(node.run("clawd", *args).returncode != 0, "clawd takes it")
        k, p, t = three("config:set")
        for change in ("log.level=" + k, "audit.warn_at=" + p,
                       "secret.token=" + t, "node.registry.genesis=" + k,
                       "metrics.listen=" + t, p + "=1", k):
            ok(node.claw("config:set", change).returncode != 0,
               "config:set takes it")
        look(node)


def talk(path, *pieces, answers=True):
    """Send bytes to a unix socket and read until the end."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(path)
        for piece in pieces:
            try:
                s.sendall(piece)
            except OSError:
                break
        try:
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass


def request(method, params=None, **members):
    return json.dumps(dict({"jsonrpc": "2.0", "id": 1, "method": method,
                            "params": params or {}}, **members)
                      ).encode() + b"\n"


@test("the control socket: requests with secrets in them, right and wrong")
def api():
    with Node() as node:
        path = os.path.join(node.dir, "run", "claw.sock")
        with open(os.path.join(node.dir, "run", "cookie")) as f:
            login = request("auth", {"cookie": f.read().strip()})
        for kind in ("key", "passphrase", "token"):
            word = canary(kind, "requests")
            wrong = [
                word.encode() + b"\n", b'{"token": "' + word.encode() + b"\n",
                request(word), request("ping", {word: word}),
                request("status", {"token": word}),
                request("status", token=word), request("ping", id=word),
                request("ping", id={"a": word}), request("ping", jsonrpc=word),
                request("node.restart", {"graceful": word}),
                request("audit.note", {"text": 1, "passphrase": word}),
                request("audit.note", {"text": word, "key": word}),
                request("auth", {"cookie": word}),
                request("auth", {"cookie": word, word: 1}),
                request("reload", [word]), b"[" + request("ping") + b"]\n",
                word.encode() * 3000 + b"\n",
            ]
            for line in wrong:
                talk(path, login, line)
                talk(path, line)
        # Who may not is on record, without what was said.
        talk(path, request("auth", {"cookie": canary("key", "cookies")[:64]}))
        look(node)


@test("a note is in the audit log and nowhere else")
def note():
    with Node() as node:
        # Planted after the searches of the log itself.
        word = "claw_tok_" + secrets.token_hex(16)
        equal(node.claw("audit:note", word).returncode, 0, "note")
        with open(glob.glob(os.path.join(
                node.dir, "log", "audit", "*", "log.ndjson"))[0]) as f:
            contains(f.read(), word, "the audit log")
        for text, place in ((node.log(), "the log"),
                            (metrics(node).decode(), "the metrics"),
                            (node.claw("status").stdout, "the status")):
            ok(word not in text, place + " shows a note")


@test("the metrics socket: requests with secrets in them")
def scrapes():
    with Node() as node:
        path = os.path.join(node.dir, "run", "metrics.sock")
        k, p, t = (word.encode() for word in three("HTTP requests"))
        for line in (b"GET /" + k, b"GET /metrics?token=" + t, k + b" /",
                     b"POST /metrics", p, b"GET /metrics"):
            talk(path, line + b" HTTP/1.1\r\nHost: " + t
                 + b"\r\nAuthorization: Bearer " + t + b"\r\nX-Key: " + k
                 + b"\r\nContent-Length: 4\r\n\r\n" + p)
        look(node)


def damaged(path, where, at=0):
    """Put canaries over a file's bytes, as text and as they are."""
    k, p, t = three(where)
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        data = (bytes.fromhex(k) + p.encode() + t.encode())[:max(size - at, 0)]
        f.seek(at)
        f.write(data)


def starts_badly(node, path):
    done = node.run("clawd", "-f", node.config)
    ok(done.returncode != 0, "a damaged %s is taken" % path)
    search(done.stderr + done.stdout, "clawd's log")
    files(node, but=(path,))


@test("a damaged key file: its bytes are in no message")
def key_file():
    node = Node()
    path = os.path.join(node.dir, "data", "keys", "node.key")
    for at in (0, 8, 60):
        damaged(path, "node.key", at)
        starts_badly(node, path)
    with open(path, "wb") as f:
        f.write(canary("passphrase", "a key file that is text").encode())
    starts_badly(node, path)


@test("a damaged sealed log key, registry, log or record: no bytes of them")
def other_files():
    for name, at in (("data/audit/logkey-*", 64), ("data/audit/logkey-*", 0),
                     ("data/keys/pending", 0), ("data/keys/checkpoint", 16)):
        node = Node()
        node.start()
        node.stop()
        path = glob.glob(os.path.join(node.dir, name))[0]
        if os.path.getsize(path) == 0:
            with open(path, "wb") as f:
                f.write(b"\0" * 200)
        damaged(path, name, at)
        try:
            node.start(timeout=5)
        except Failure:
            pass
        search(node.log(), "the log")
        files(node, but=(path,))
        node.discard()
    node = Node()
    path = os.path.join(node.dir, "data", "registry", "registry.ndjson")
    damaged(path, "the registry")
    try:
        node.start(timeout=5)
    except Failure:
        pass
    search(node.log(), "the log")
    files(node, but=(path,))


@test("a torn tail of the log is cut, and not shown")
def torn_tail():
    node = Node()
    node.start()
    node.kill()
    path = glob.glob(os.path.join(node.dir, "log", "audit", "*",
                                  "log.ndjson"))[0]
    with open(path, "a") as f:
        f.write('{"act":{"token":"%s' % canary("token", "a torn tail"))
    node.start()
    look(node)


@test("what asked and was answered leaves no core: no secret in one")
def cores():
    node = Node(env={"GITHUB_TOKEN": canary("token", "the environment")})
    node.start(wrapper=("sh", "-c", "ulimit -c unlimited; exec \"$@\"", "sh"))
    path = os.path.join(node.dir, "run", "claw.sock")
    talk(path, request("ping", {"token": canary("token", "requests")}))
    for name in PROCESSES:
        ready = node.log().count("controld is ready")
        suite = name in ("keyd", "auditd", "controld")
        try:
            os.kill(node.children()[name], signal.SIGABRT)
        except PermissionError:
            continue
        if suite:
            wait_for(lambda: node.log().count("controld is ready") > ready,
                     20, "the restart")
        else:
            wait_for(lambda: set(node.children()) == set(PROCESSES), 20,
                     "the restart")
        time.sleep(0.2)
    node.process.send_signal(signal.SIGABRT)
    node.process.wait()
    for folder in (node.top, node.dir, "/"):
        equal([n for n in os.listdir(folder)
               if re.fullmatch(r"core(\.\d+)?", n)], [], "cores")
    files(node)


main()
