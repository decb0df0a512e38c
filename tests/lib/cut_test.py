# SPDX-License-Identifier: ISC
"""cut_test - a transfer of which one end's daemons are recorded, die or fail at
any call (crash_test.py), and what must hold then.
"""

import errno
import filecmp
import os
import random
import shutil
import subprocess
import time

import claw_test
from claw_test import (LONG, SANITIZERS, Failure, diag, equal, ok, skip,
                       wait_for)
from crash_test import (ALLOCATE, ATTRIBUTES, DIE, FDATASYNC, FSYNC, LINK,
                        MKDIR, OPEN, RENAME, SHORT, SYMLINK, SYNCFS, TRUNCATE,
                        UNLINK, WRITE, Recording)
from sft_test import MIB, Duo, listing, same, until_sent

SEED = int(os.environ.get("CLAW_SEED", "1"))
CALLS = (WRITE, TRUNCATE, ALLOCATE, FSYNC, FDATASYNC, SYNCFS, OPEN, LINK,
         UNLINK, RENAME, MKDIR, SYMLINK, ATTRIBUTES)


class Recorded:
    """Two nodes; what sftd and its workers of one of them do to its folder is
    recorded, and may fail."""

    processes = ("sftd", "xferd")

    def __init__(self, sender=False, size=3 * MIB - 77, limit=None):
        if SANITIZERS:
            skip("a sanitizer's run time wants to be loaded first")
        self.recording = None
        if sender:
            self.duo = Duo(start=False)
            self.record(self.duo.beta)
            self.duo.beta.start()
            claw_test.staged = None
            self.duo.beta.wait_links("alpha")
        else:
            self.duo = Duo(before=lambda duo: self.record(duo.alpha))
        self.node = self.duo.beta if sender else self.duo.alpha
        self.size = size
        self.limit = limit

    def record(self, node):
        self.recording = Recording(os.path.join(node.dir, "data"),
                                   room=256 * MIB)
        self.recording.preload(*self.processes)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        claw_test.staged = None
        self.duo.__exit__()
        if self.recording is not None:
            self.recording.close()

    def file(self):
        return self.duo.file(self.size, self.duo.count)

    def flags(self):
        return ["--chunk-size", "1M", "--streams", "2"] + (
            ["--limit", self.limit] if self.limit else [])

    def clear(self):
        for slot in range(4):
            self.recording.fault(slot, CALLS, 0)

    def again(self, source, timeout=90):
        """The same command until it is there, as it must be."""
        self.clear()
        last = until_sent(self.duo, source, *self.flags(),
                          timeout=timeout)[-1]
        self.discard(self.check(last, source))
        self.discard(source)
        # The recording need not hold them all.
        if self.recording.position() > 128 * MIB:
            raise Failure("the recording is too small")


    def check(self, sending, source):
        """It has arrived and is signed for; where it is."""
        return self.duo.check(sending, source)

    def nothing_wrong(self, source):
        """Whatever is there is right."""
        there = self.duo.arrived(os.path.basename(source))
        if os.path.exists(there):
            ok(filecmp.cmp(source, there, shallow=False),
               "a wrong file under its name")

    @staticmethod
    def discard(path):
        os.unlink(path)


class RecordedTree(Recorded):
    """What is sent is a folder with something of every kind in it."""

    processes = ("sftd", "xferd", "unpackd")
    stamp = 1700000000123456789

    def file(self):
        duo = self.duo
        duo.count += 1
        top = os.path.join(duo.beta.top, "tree%d" % duo.count)
        rng = random.Random(duo.count)
        # More than one write, one, none; and one that can be run.
        for name, size, mode in (
                ("a", 300000, 0o644), ("empty", 0, 0o644),
                ("run", 4097, 0o755), ("sub/deep/z", 5, 0o644)):
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(rng.randbytes(size))
            os.chmod(path, mode)
            os.utime(path, ns=(self.stamp, self.stamp + size))
        os.makedirs(os.path.join(top, "void"))
        os.symlink("../a", os.path.join(top, "sub", "link"))
        for folder, _, _ in os.walk(top, topdown=False):
            os.utime(folder, ns=(self.stamp, self.stamp + 77))
        return top

    def flags(self):
        return super().flags() + ["--symlinks"]

    def check(self, sending, source):
        duo = self.duo
        there = duo.arrived(os.path.basename(source))
        told = sending.last("receipt")
        ok(told is not None, "no receipt: %r" % sending.events)
        same(source, there, links=True)
        for node in duo.nodes():
            wait_for(lambda: told["id"] in duo.receipts(node), 40, "a receipt")
        duo.verify(duo.alpha, there, told["id"])
        return there

    def nothing_wrong(self, source):
        there = self.duo.arrived(os.path.basename(source))
        if os.path.lexists(there):
            # Its own time comes when it has its name.
            equal(listing(there, True), listing(source, True),
                  "half a folder under its name")

    @staticmethod
    def discard(path):
        shutil.rmtree(path)


def step(rng):
    """To the next call: all of them, or one now and then."""
    return 1 if LONG else rng.randint(1, 6)


def pair_for(r, kind, sender):
    """A new one now and then: the recording has an end."""
    if r is not None and r.recording.position() <= 100 * MIB:
        return r
    if r is not None:
        r.__exit__()
    return kind(sender)


def die_everywhere(process, sender=False, kind=Recorded):
    """Dies before call 1, 2, 3 ... of one transfer; each is resumed."""
    number, met, rng = 0, 0, random.Random(SEED)
    r = None
    try:
        while True:
            number += step(rng)
            r = pair_for(r, kind, sender)
            source = r.file()
            duo = r.duo
            # One that ends soon after it began waits ever longer.
            if process == "sftd":
                time.sleep(2.2)
            r.recording.fault(0, CALLS, DIE, number, process=process)
            s = duo.send(source, *r.flags())
            s.wait(90)
            r.nothing_wrong(source)
            seen = r.recording.seen(0)
            name = os.path.basename(source)
            ids = {e["id"] for e in s.all("accepted")}
            for i in ids & duo.receipts(duo.alpha):
                ok(os.path.exists(duo.arrived(name)), "a receipt of no file, "
                   "before call %d" % number)
            if seen < number:
                equal(s.wait(), 0, "one that nothing happened to")
                break
            met += 1
            try:
                r.again(source)
            except Failure as why:
                raise Failure("before call %d of %s: %s" % (
                    number, process, why)) from None
    finally:
        if r is not None:
            r.__exit__()
    diag("%s of the %s: %d points" % (
        process, "sender" if sender else "receiver", met))
    return met


def wake_up(r, state, source):
    """Alpha as it is when it wakes up in that state; then it goes on."""
    duo, alpha = r.duo, r.duo.alpha
    alpha.stop()
    data = os.path.join(alpha.dir, "data")
    for top in ("sft", "files"):
        folder = os.path.join(data, top)
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        state.write(data, os.fsencode(top) + b"/")
    same_inode(data, source)
    subprocess.run(["chown", "-R", "-h", "--reference", data,
                    os.path.join(data, "sft"), os.path.join(data, "files")],
                   check=True)
    alpha.start()
    try:
        last = until_sent(duo, source, *r.flags(), timeout=60)[-1]
        r.check(last, source)
    except Failure as why:
        raise Failure("%s, in %r" % (why, state)) from None


def same_times(source, top):
    """Neither times nor who may run what is recorded; all of them are there
    when a folder is whole."""
    for at, folders, files in os.walk(top, topdown=False):
        for name in files + folders:
            path = os.path.join(at, name)
            st = os.lstat(os.path.join(source, os.path.relpath(path, top)))
            if not os.path.islink(path):
                os.chmod(path, st.st_mode & 0o777)
                os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))


def same_inode(data, source):
    """It is one file or folder, wherever it is, and has the number that finish
    says."""
    final = os.path.join(data, "files", "beta", os.path.basename(source))
    top = os.path.join(data, "sft", "incoming")
    for name in os.listdir(top) if os.path.isdir(top) else ():
        inode, partial = 0, os.path.join(top, name, "partial")
        tree = os.path.join(top, name, "tree")
        if os.path.isdir(source):
            for path in (final, tree):
                if os.path.exists(path):
                    inode = os.stat(path).st_ino
                    same_times(source, path)
        else:
            if os.path.exists(partial) and os.path.exists(final):
                os.unlink(partial)
                os.link(final, partial)
            for path in (final, partial):
                if os.path.exists(path):
                    inode = os.stat(path).st_ino
                    # Times are not recorded; finish comes after them.
                    st = os.stat(source)
                    os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))
        for path in (os.path.join(top, name, "finish"),
                     os.path.join(top, name, "finish.new")):
            if os.path.exists(path) and os.path.getsize(path) == 49:
                with open(path, "r+b") as f:
                    f.seek(40)
                    f.write(inode.to_bytes(8, "big"))


FAULTS = (("ENOSPC", (WRITE, ALLOCATE, TRUNCATE, OPEN, MKDIR, RENAME, SYMLINK),
           errno.ENOSPC),
          ("EIO", (WRITE, ALLOCATE, OPEN, RENAME, TRUNCATE, MKDIR, SYMLINK,
                   ATTRIBUTES), errno.EIO),
          ("short write", (WRITE,), SHORT),
          ("failing sync", (FSYNC, FDATASYNC, SYNCFS), errno.EIO))


def fail_everywhere(process, sender=False, kind=Recorded):
    """Call 1, 2, 3 ... of a transfer fails, in each way."""
    met, rng = {}, random.Random(SEED)
    for what, calls, error in FAULTS:
        number, r = 0, None
        met[what] = 0
        try:
            while True:
                number += step(rng)
                r = pair_for(r, kind, sender)
                source = r.file()
                duo = r.duo
                r.recording.fault(0, calls, error, number, process=process)
                s = duo.send(source, *r.flags())
                status = s.wait(90)
                seen = r.recording.seen(0)
                r.nothing_wrong(source)
                if seen < number:
                    equal(status, 0, "one that nothing happened to")
                    break
                met[what] += 1
                at = "%s at call %d of %s" % (what, number, process)
                if status != 0:
                    ok(s.error().get("text"), at + ": no word: %r" % s.events)
                    ok(s.error()["name"] in ("io", "no-space", "timeout",
                                             "stopping", "busy"),
                       "%s: %r" % (at, s.error()))
                try:
                    r.again(source)
                except Failure as why:
                    raise Failure("%s: %s\n%r" % (at, why, s.events)) from None
        finally:
            if r is not None:
                r.__exit__()
    diag("%s: %r" % (process, met))
    return met


