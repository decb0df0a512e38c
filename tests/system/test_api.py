#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The control socket: who is let in, what is answered, and that no client can
take it from the others (claw-api(7))."""

import json
import os
import re
import signal
import socket
import threading
import time

from claw_test import (GROUP_ID, SANITIZERS, WORKERS, Node, account_uid,
                       contains, equal, main, need_root, ok, test, wait_for)

LINE_MAX = 65536
STRANGER = 61185


class Client:
    """A connection that has shown the cookie, unless told otherwise."""

    def __init__(self, node, auth=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(os.path.join(node.dir, "run", "claw.sock"))
        self.file = self.socket.makefile("rb")
        self.next = 0
        if auth:
            with open(os.path.join(node.dir, "run", "cookie")) as f:
                self.call("auth", cookie=f.read().strip())

    def raw(self, data):
        """Send bytes; what cannot be sent any more is no error here."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send(self, method, **params):
        self.next += 1
        self.raw(json.dumps({"jsonrpc": "2.0", "id": self.next,
                             "method": method,
                             "params": params}).encode() + b"\n")
        return self.next

    def line(self):
        """The next answer, or None at the end."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, method, **params):
        number = self.send(method, **params)
        answer = self.line()
        if answer is not None and answer["id"] is not None:
            equal(answer["id"], number, "id of the answer")
        return answer

    def call(self, method, **params):
        answer = self.ask(method, **params)
        ok(answer is not None, "%s: closed without an answer" % method)
        ok("result" in answer, "%s: %s" % (method, answer))
        return answer["result"]

    def ended(self):
        return self.line() is None

    def close(self):
        self.file.close()
        self.socket.close()


def refused(answer, name):
    ok(answer is not None and "error" in answer, "refused: %r" % (answer,))
    error = answer["error"]
    equal(error["data"]["name"], name, "name of the error: %r" % error)
    ok(isinstance(error["data"]["retryable"], bool), "retryable is told")
    ok(len(error["message"]) > 10, "a sentence: %r" % error)
    return error


def records(node, event):
    text = node.claw("audit:tail", "-n", "100000", "--json", check=True).stdout
    return [line["act"] for line in map(json.loads, text.splitlines())
            if line["act"]["event"] == event]


def settled(node, event, count):
    """The records of an event, once there are as many: what nobody waits for
    is on its way when the answer comes."""
    wait_for(lambda: len(records(node, event)) >= count, 10,
             "%d records of %s" % (count, event))
    return records(node, event)


@test("status tells each process, ready and behind its sandbox")
def status():
    with Node() as node:
        answer = Client(node).call("status")
        equal(answer["node"], node.name, "name")
        ok(answer["ready"], "ready")
        told = {p["name"]: p for p in answer["processes"]}
        for name, pid in node.children().items():
            if name in WORKERS:
                continue
            equal(told[name]["pid"], pid, "pid of " + name)
            equal(told[name]["state"], "ready", name)
            equal(told[name]["sandbox"]["probes_failed"], [], name)


@test("who this node is goes to attestd and back")
def show():
    with Node() as node:
        answer = Client(node).call("node.show")
        equal(answer["node"], node.name, "name")
        with open(node.config) as f:
            contains(f.read(), answer["genesis"], "the registry's genesis")
        equal(answer["registry"]["seq"], 1, "genesis, and the node itself")


@test("a note is answered when it is in the log")
def note():
    with Node() as node:
        client = Client(node)
        for text in ("plain", "h\u00e9 \U0001f980 \"quoted\"", "x" * 4096):
            n = client.call("audit.note", text=text)["n"]
            node_log = node.claw("audit:tail", "-n", "1", "--json", check=True)
            line = json.loads(node_log.stdout)
            equal(line["env"]["n"], n, "number")
            equal(line["act"]["text"], text, "text")
            equal(line["act"]["uid"], os.getuid(), "whose note it is")
        refused(client.ask("audit.note", text="x" * 4097), "InvalidError")


@test("without the cookie nothing is answered but auth")
def cookie():
    with Node(as_user=True) as node:
        client = Client(node, auth=False)
        refused(client.ask("status"), "PolicyError")
        ok(client.ended(), "and that was the end")
        client = Client(node, auth=False)
        refused(client.ask("auth", cookie="00" * 32), "PolicyError")
        ok(client.ended(), "and that was the end")
        client = Client(node, auth=False)
        refused(client.ask("auth", cookie="short"), "InvalidError")
        ok(client.ended(), "and that was the end")
        client = Client(node)
        client.call("ping")
        equal(len(settled(node, "api.denied", 2)), 2, "denials on record")


def as_other(uid, gid, groups, function):
    """What a function gives when another user calls it (through JSON)."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            answer = function()
        except Exception as error:
            answer = repr(error)
        os.write(writable, json.dumps(answer).encode())
        os._exit(0)
    os.close(writable)
    with open(readable) as f:
        answer = json.load(f)
    os.waitpid(child, 0)
    return answer


@test("a stranger is turned away, and floods neither the log nor the others")
def stranger():
    need_root()
    with Node(as_user=False) as node:
        os.chmod(os.path.join(node.dir, "run", "claw.sock"), 0o666)
        answers = as_other(
            STRANGER, STRANGER, [],
            lambda: [Client(node, auth=False).line() for _ in range(50)])
        equal(len(answers), 50, "answers")
        for answer in answers:
            refused(answer, "PolicyError")
        Client(node).call("ping")
        equal(len(settled(node, "api.denied", 20)), 20, "singly")
        node.stop()
        denied = settled(node, "api.denied", 21)
        equal(len(denied), 21, "and one summary")
        equal(denied[0]["uid"], STRANGER, "who")
        contains(denied[20]["reason"], "30 more", "the summary")


@test("members of the operators' group may, others may not (root)")
def operators():
    need_root()
    with Node(as_user=False) as node:
        path = os.path.join(node.dir, "run", "claw.sock")
        equal(os.stat(path).st_gid, GROUP_ID, "group of the socket")
        os.chmod(path, 0o666)

        def ping():
            return Client(node, auth=False).ask("ping")

        ok("result" in as_other(STRANGER, STRANGER, [GROUP_ID], ping),
           "supplementary group")
        ok("result" in as_other(STRANGER, GROUP_ID, [], ping),
           "primary group")
        refused(as_other(STRANGER, STRANGER, [], ping), "PolicyError")
        metricd = account_uid("metricd")
        refused(as_other(metricd, metricd, [], ping), "PolicyError")


@test("what is not a request is refused with a reason")
def malformed():
    with Node() as node:
        client = Client(node)
        for line in (b"[]", b"{}", b'{"jsonrpc":"2.0","id":1}',
                     b'{"jsonrpc":"2.0","id":1,"method":"launch"}',
                     b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}'):
            client.raw(line + b"\n")
            refused(client.line(), "InvalidError")
        contains(refused(client.ask("staus"), "InvalidError")["message"],
                 "status", "what was meant")
        client.call("ping")
        client.raw(b"GET / HTTP/1.1\r\n")
        refused(client.line(), "InvalidError")
        ok(client.ended(), "that is another language")


@test("a line has an end")
def long_line():
    with Node() as node:
        client = Client(node)
        line = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
        client.raw(line + b" " * (LINE_MAX - len(line)) + b"\n")
        ok("result" in client.line(), "a line of just that length")
        client.raw(b"x" * (LINE_MAX + 1))
        refused(client.line(), "InvalidError")
        ok(client.ended(), "a longer one ends it")
        Client(node).call("ping")


@test("requests sent in one go are all answered, each once")
def pipelined():
    with Node() as node:
        client = Client(node)
        first = client.next + 1
        numbers = [client.send("audit.note" if i % 3 == 0 else "node.show"
                               if i % 3 == 1 else "ping",
                               **({"text": str(i)} if i % 3 == 0 else {}))
                   for i in range(300)]
        equal(numbers[0], first, "numbering")
        answers = [client.line() for _ in numbers]
        ok(all("result" in a for a in answers), "all of them")
        equal(sorted(a["id"] for a in answers), numbers, "each once")


@test("a client that says goodbye early still gets its answers")
def half_closed():
    with Node() as node:
        client = Client(node)
        for text in ("a", "b", "c"):
            client.send("audit.note", text=text)
        client.socket.shutdown(socket.SHUT_WR)
        answers = [client.line() for _ in range(3)]
        ok(all(a and "result" in a for a in answers), str(answers))
        ok(client.ended(), "and then it is over")


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])


@test("who never reads costs little and holds up nobody")
def deaf():
    with Node() as node:
        pid = node.children()["controld"]
        before = rss_kb(pid)
        deaf_ones = [Client(node) for _ in range(8)]
        ask = b'{"jsonrpc":"2.0","id":1,"method":"status"}\n' * 1000
        for client in deaf_ones:
            client.socket.settimeout(0.5)
            try:
                for _ in range(50):
                    client.socket.sendall(ask)
            except socket.timeout:
                pass
        for _ in range(20):
            Client(node).call("ping")
        grown = rss_kb(pid) - before
        # The sanitizer keeps what was freed.
        limit = 256 if SANITIZERS else 16
        ok(grown < limit * 1024, "controld grew by %d kB" % grown)
        equal(node.children()["controld"], pid, "the same controld")


@test("no more clients than control.max_clients, and it can be changed")
def full():
    with Node() as node:
        node.claw("config:set", "control.max_clients=4", check=True)
        node.claw("reload", check=True)
        time.sleep(0.2)  # the connection of reload itself
        clients = [Client(node) for _ in range(4)]
        error = refused(Client(node, auth=False).line(), "UnavailableError")
        ok(error["data"]["retryable"], "later it may work")
        contains(error["message"], "max_clients", "what to change")
        clients.pop().close()
        wait_for(lambda: node.claw("api:ping").returncode == 0,
                 what="a place")


@test("half a line is cut off after a while")
def partial():
    with Node() as node:
        client = Client(node)
        client.raw(b'{"jsonrpc":')
        client.socket.settimeout(20)
        ok(client.ended(), "closed")
        Client(node).call("ping")


@test("an order is on record before it is carried out")
def recorded():
    with Node() as node:
        client = Client(node)
        ok(client.call("reload")["done"], "reload")
        settled(node, "config.reload", 1)
        text = node.claw("audit:tail", "-n", "100", "--json", check=True)
        events = [json.loads(line)["act"]["event"]
                  for line in text.stdout.splitlines()]
        ok("config.reload" in events, "carried out: %s" % events)
        ok(events.index("api.order") < events.index("config.reload"),
           "in this order: %s" % events)
        order = records(node, "api.order")[0]
        equal(order["method"], "reload", "which")
        equal(order["uid"], os.getuid(), "whose")


@test("a configuration that is wrong is refused by name and changes nothing")
def bad_reload():
    with Node() as node:
        with open(node.config) as f:
            good = f.read()
        with open(node.config, "a") as f:
            f.write("log:\n  levle: info\n")
        error = refused(Client(node).ask("reload"), "ConfigError")
        contains(error["message"], "levle", "what is wrong")
        with open(node.config, "w") as f:
            f.write(good)
        ok(Client(node).call("reload")["done"], "as before")


@test("without auditd nothing is ordered")
def no_audit():
    with Node() as node:
        client = Client(node)
        os.kill(node.children()["auditd"], signal.SIGKILL)
        answer = client.ask("node.stop")
        if answer is not None:
            error = refused(answer, "UnavailableError")
            ok(error["data"]["retryable"], "retryable")
        equal(node.process.poll(), None, "clawd runs")
        wait_for(lambda: node.claw("api:ping").returncode == 0, 30,
                 "the suite again")


@test("attestd may die: whoever asks for it is told to try again")
def no_attestd():
    with Node() as node:
        client = Client(node)
        told = 0
        for _ in range(5):
            pid = node.children().get("attestd")
            os.kill(pid, signal.SIGKILL)
            for _ in range(20):
                answer = client.ask("node.show")
                if "error" in answer:
                    ok(refused(answer, "UnavailableError")["data"]
                       ["retryable"], "retryable")
                    told += 1
            wait_for(lambda: node.children().get("attestd", pid) != pid
                     and "result" in client.ask("node.show"), 20, "attestd")
        ok(told > 0, "nobody noticed")
        client.call("ping")


@test("a graceful restart turns nobody away")
def graceful():
    with Node() as node:
        failures = []
        over = threading.Event()

        def work():
            while not over.is_set():
                try:
                    client = Client(node)
                    client.call("ping")
                    client.close()
                except Exception as error:  # each kind is a failure
                    failures.append(repr(error))
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        before = node.children()
        done = node.claw("node:restart", "--graceful", "--json", check=True)
        ok(json.loads(done.stdout)["done"], done.stdout)
        time.sleep(0.3)
        over.set()
        for thread in threads:
            thread.join()
        after = node.children()
        ok(before["controld"] != after["controld"], "controld was replaced")
        equal(failures, [], "failures")


@test("node.stop is answered, and then the node stops")
def stop():
    with Node() as node:
        contains(node.claw("node:stop", check=True).stdout, "stops", "answer")
        equal(node.wait(), 0, "clawd's exit")


@test("claw-api(7) describes each method of the table, and each parameter")
def manual():
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    with open(os.path.join(top, "policy", "methods.def")) as f:
        text = f.read().split("#ifdef METHOD")[1]
    with open(os.path.join(top, "man", "claw-api.7")) as f:
        page = f.read()
    methods = re.findall(r'^METHOD\(\w+, "([^"]+)"', text, re.M)
    ok(len(methods) > 5, "methods: %s" % methods)
    equal(re.findall(r"^\.It Li (\S+)$", page.split(".Ss Errors")[0], re.M),
          methods, "methods of claw-api(7)")
    for name in re.findall(r'^PARAM\(\w+, "([^"]+)"', text, re.M):
        ok(re.search(r"^\.Li %s( |$)" % name, page, re.M),
           "no parameter " + name)


if __name__ == "__main__":
    main()
