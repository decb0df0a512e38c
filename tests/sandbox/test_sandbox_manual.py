#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""test_sandbox_manual - claw-sandbox(7) says what the tables in policy/ say.

Somebody who reads the manual instead of the source must not be misled: layers,
limits, probes and each process's system calls are compared line by line.
With --write the lists of system calls in the page are renewed.
"""

import os
import re
import sys

from claw_test import PROCESSES, WORKERS, equal, main, test

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PAGE = os.path.join(TOP, "man", "claw-sandbox.7")


# verifyd makes no call beyond those of all.
OWN = PROCESSES + tuple(name for name in WORKERS if name != "verifyd")


def lines_of(table, macros):
    """The lines of policy/<table>.def as (macro, list of arguments)."""
    with open(os.path.join(TOP, "policy", table), encoding="ascii") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    found = []
    for macro, body in re.findall(
            r"^(%s)\((.*?)\)\n(?=\n|[A-Z]|\Z)" % "|".join(macros), text,
            flags=re.S | re.M):
        arguments = []
        depth, quoted, one = 0, False, ""
        for c in body:
            quoted ^= c == '"'
            depth += (c == "(") - (c == ")") if not quoted else 0
            if c == "," and depth == 0 and not quoted:
                arguments.append(one.strip())
                one = ""
            else:
                one += c
        arguments.append(one.strip())
        found.append((macro, arguments))
    return found


def unquote(text):
    return "".join(re.findall(r'"([^"]*)"', text))


def page():
    with open(PAGE, encoding="ascii") as file:
        return file.read()


def rows(section):
    text = page().split(".Sh " + section + "\n")[1].split("\n.Sh ")[0]
    text = text.split("\n.Bl -column")[1].split("\n.El")[0]
    return [[cell.strip() for cell in line[4:].split(" Ta ")]
            for line in text.splitlines() if line.startswith(".It ")][1:]


def calls():
    """Process, or "all", to the calls it may make beyond the others."""
    want = {name: set() for name in ("all",) + PROCESSES + WORKERS}
    for _, arguments in lines_of("syscalls.def", ["ALLOW"]):
        call, who = arguments[0], arguments[1]
        if who == "P_ALL":
            want["all"].add(call)
        else:
            for name in re.findall(r"P\((\w+)\)", who):
                want[name.lower()].add(call)
    return want


def listed():
    got = {}
    text = page().split(".Sh SYSTEM CALLS\n")[1]
    for name in ("all",) + OWN:
        part = text.split(".It Sy %s\n" % name)[1]
        part = re.split(r"\n\.(?:It|El)", part)[0]
        got[name] = part
    return got


def write():
    text = page()
    for name, old in listed().items():
        words = ", ".join(sorted(calls()[name])) + "."
        out, line = [], ""
        for word in words.split():
            if len(line) + len(word) >= 78:
                out.append(line)
                line = word
            else:
                line = (line + " " + word).strip()
        text = text.replace(".It Sy %s\n%s\n.El" % (name, old),
                            ".It Sy %s\n%s\n.El" %
                            (name, "\n".join(out + [line])))
        text = text.replace(".It Sy %s\n%s\n.It" % (name, old),
                            ".It Sy %s\n%s\n.It" %
                            (name, "\n".join(out + [line])))
    with open(PAGE, "w", encoding="ascii") as file:
        file.write(text)


@test("claw-sandbox(7): layers, and where they have to hold")
def layers():
    want = [[unquote(a[1])] + [need.lower() for need in a[2:6]]
            for _, a in lines_of("layers.def", ["LAYER"])]
    equal(rows("LAYERS"), want, "layers")


@test("claw-sandbox(7): resource limits")
def limits():
    want = [[a[0].lower()] +
            [x.replace("RLIM_INFINITY", "unlimited") for x in a[1:4]]
            for _, a in lines_of("limits.def", ["LIMITS"])]
    equal(rows("LIMITS"), want, "limits")


@test("claw-sandbox(7): probes, and the layer each tests")
def probes():
    names = {a[0]: unquote(a[1])
             for _, a in lines_of("layers.def", ["LAYER"])}
    want = [[unquote(a[1]), names[a[2]]]
            for _, a in lines_of("probes.def", ["PROBE"])]
    equal(rows("PROBES"), want, "probes")


@test("claw-sandbox(7): system calls of each process")
def system_calls():
    equal(calls()["verifyd"], set(), "verifyd")
    for name, text in listed().items():
        equal(set(re.findall(r"[a-z0-9_]+", text)), calls()[name], name)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        main()
