#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Never half a folder: whatever process dies before whichever call while a
folder is unpacked and gets its name, whatever the disk refuses or forgets,
under its name is all of it or nothing, and the same command given again ends
with the right folder and its receipt."""

import os
import random

from claw_test import LONG, diag, main, ok, test
from crash_test import Symlink
from cut_test import (SEED, RecordedTree, die_everywhere, fail_everywhere,
                      wake_up)


def contents(tree, top):
    """Of a state: what is below a folder, None where that is not there."""
    if top not in tree:
        return None
    return {path[len(top) + 1:]: data for path, data in tree.items()
            if path.startswith(top + b"/")}


def as_state(top):
    """A folder as a state has it."""
    found = {}
    top = os.fsencode(top)
    for at, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(at, name)
            key = os.path.relpath(path, top)
            if os.path.islink(path):
                found[key] = Symlink(os.readlink(path))
            elif os.path.isdir(path):
                found[key] = None
            else:
                with open(path, "rb") as f:
                    found[key] = f.read()
    return found


@test("unpackd dies before each call that makes something: the folder arrives "
      "all the same, and no half one is seen")
def points_unpackd():
    ok(die_everywhere("unpackd", kind=RecordedTree) > 3, "points")


@test("sftd of the receiver dies before each call of a folder's transfer and "
      "finish: likewise")
def points_sftd():
    ok(die_everywhere("sftd", kind=RecordedTree) > 8, "points")


@test("whatever a crash leaves of what was not synced: under its name is all "
      "of the folder or nothing, its receipt is of what is there, and it goes "
      "on")
def replay():
    with RecordedTree() as r:
        duo, recording = r.duo, r.recording
        source, notes = r.file(), []

        def seen(event):
            if event["event"] == "receipt":
                notes.append(recording.position())
        s = duo.sent(source, *r.flags(), seen=seen)
        r.check(s, source)
        transfer = s.last("receipt")["id"].encode()
        whole = as_state(source)
        name = b"files/beta/" + os.path.basename(source).encode()
        half = b"sft/incoming/" + transfer + b"/tree"
        signed = b"sft/receipts/" + transfer + b".json"
        count = placed = halves = 0
        kept = []
        for ordered in (True, False):
            for state in recording.states(
                    seed=SEED, samples=60 if LONG else 14,
                    exhaustive=64 if LONG else 16, ordered=ordered,
                    promises=notes):
                count += 1
                there = contents(state.tree, name)
                unpacked = contents(state.tree, half)
                placed += there is not None
                halves += unpacked not in (None, whole)
                ok(there in (None, whole),
                   "half a folder under its name: %r" % state)
                ok(there is not None or
                   (signed not in state.tree and state.promises == 0),
                   "a receipt of no folder: %r" % state)
                # No file system has a folder in two places.
                if (there is None or unpacked is None) and \
                        random.Random(count).random() < 0.03:
                    kept.append(state)
        diag("%d states: in %d it has its name, in %d it is half unpacked" % (
            count, placed, halves))
        ok(count > 200 and placed > 10 and halves > 20, "states")
        rng = random.Random(SEED)
        for state in rng.sample(kept, min(len(kept), 60 if LONG else 8)):
            wake_up(r, state, source)


@test("no space, I/O errors, short writes and a failing sync at each call of "
      "unpackd: a clear error, no half folder, and it goes on")
def faults_unpackd():
    met = fail_everywhere("unpackd", kind=RecordedTree)
    ok(min(met.values()) > 0, "points: %r" % met)


@test("likewise of the receiver's sftd, for a folder")
def faults_sftd():
    met = fail_everywhere("sftd", kind=RecordedTree)
    ok(min(met.values()) > 0, "points: %r" % met)


if __name__ == "__main__":
    main()
