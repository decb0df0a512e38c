# SPDX-License-Identifier: ISC
"""crash_test - what a crash may leave of what a process wrote, and calls that
fail (tests/crash/record.h; how to use it: tests/crash/README.md).

A Recording belongs to a folder. Processes started with its env(), or daemons
of a Node whose installation was prepared with preload(), are recorded; states()
then makes the folder as it could be after a crash at each point.
"""

import bisect
import errno
import hashlib
import mmap
import os
import random
import shutil
import struct
import tempfile

import claw_test
from claw_test import Failure, reachable

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
(WRITE, TRUNCATE, ALLOCATE, FSYNC, FDATASYNC, SYNCFS, OPEN, LINK, UNLINK,
 RENAME, MKDIR, MARK, SYMLINK, ATTRIBUTES) = range(14)
NAMES = ("write", "truncate", "allocate", "fsync", "fdatasync", "syncfs",
         "open", "link", "unlink", "rename", "mkdir", "mark", "symlink",
         "attributes")
SYNCS = (FSYNC, FDATASYNC, SYNCFS)
SHORT, DIE = -1, -2
BLOCK, SECTOR = 4096, 512
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE, INSERT = 1, 2, 8, 16, 32
HEAD = 4096
MAGIC = 0x3144524f43455231
FAULT = struct.Struct("=IiQQQ16s")
RECORD = struct.Struct("=IIQiIQQQQQIHH")


class Op:
    """One recorded call; where it stands in the recording is .position."""

    def __init__(self, position, fields, text):
        (_, self.call, self.size, self.error, self.pid, self.inode, self.dir,
         self.dir2, self.offset, self.length, self.flags, n, n2) = fields
        self.position = position
        self.name = text[:n]
        self.name2 = text[n:n + n2]
        self.data = text[n + n2:n + n2 + self.length] \
            if self.call == WRITE else b""

    def __repr__(self):
        return "%s inode %d %s %s at %d, %d bytes%s" % (
            NAMES[self.call], self.inode, self.name.decode(errors="replace"),
            self.name2.decode(errors="replace"), self.offset, self.length,
            " " + errno.errorcode[self.error] if self.error else "")


class Recording:
    """Of what is done below a folder, from now on."""

    def __init__(self, folder, room=64 << 20):
        self.folder = os.path.realpath(folder)
        self.top = tempfile.mkdtemp(prefix="claw-record-")
        os.chmod(self.top, 0o755)
        self.path = os.path.join(self.top, "record")
        with open(self.path, "wb") as f:
            f.truncate(room)
        os.chmod(self.path, 0o666)
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), room)
        self.map[8:32] = struct.pack("=QQQ", room,
                                     os.stat(self.folder).st_dev, HEAD)
        self.map[0:8] = struct.pack("=Q", MAGIC)
        self.snapshot = Snapshot(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.map.close()
        self.file.close()
        shutil.rmtree(self.top, ignore_errors=True)

    def env(self):
        """What a process that is to be recorded has in its environment."""
        path = os.path.join(BUILD, "tests", "crash", "record.so")
        if not os.path.exists(path):
            raise Failure("%s is not built: make check-programs" % path)
        return {"LD_PRELOAD": reachable(path), "CRASH_RECORD": self.path}

    def preload(self, *processes):
        """Nodes started from now on have these daemons recorded.

        Their environment is empty: in a copy of the installation a launcher
        stands where each was, sets it, and executes the daemon."""
        old = claw_test.stage()
        stage = os.path.join(self.top, "stage")
        shutil.copytree(old, stage)
        folder = os.path.join(stage, "libexec", "claw")
        os.mkdir(os.path.join(folder, "real"))
        for name in processes:
            path = os.path.join(folder, name)
            real = os.path.join(folder, "real", name)
            os.rename(path, real)
            with open(path, "w") as f:
                f.write("#!/bin/sh\n" + "".join(
                    "export %s='%s'\n" % pair for pair in self.env().items())
                    + "exec '%s' \"$@\"\n" % real)
            os.chmod(path, 0o755)
        claw_test.staged = stage

    def position(self):
        """Where the next record goes: what is recorded before has been."""
        return struct.unpack("=Q", self.map[24:32])[0]

    def fault(self, slot, calls, error, first=1, last=None, process=""):
        """Calls first to last (of those in calls, in that process, from now
        on) fail with error, are SHORT, or let it DIE before. error 0: none."""
        bits = sum(1 << c for c in calls) if error else 0
        at = 40 + slot * FAULT.size
        # Nobody sees a slot that is half changed.
        self.map[at:at + 4] = bytes(4)
        new = FAULT.pack(bits, error, first, last or first, 0,
                         process.encode()[:15])
        self.map[at + 4:at + FAULT.size] = new[4:]
        self.map[at:at + 4] = new[:4]

    def pass_time(self, seconds):
        """So much more has passed for who is recorded (CLOCK_MONOTONIC)."""
        at = 40 + 16 * FAULT.size
        now, = struct.unpack("=q", self.map[at:at + 8])
        self.map[at:at + 8] = struct.pack("=q", now + seconds)

    def insert(self, after, packet):
        """The next process that sends a message of that type says this, too."""
        at = 40 + 16 * FAULT.size + 8
        self.map[at + 4:at + 8 + len(packet)] = struct.pack(
            "=I", len(packet)) + packet
        self.map[at:at + 4] = struct.pack("=I", after)

    def inserted(self):
        at = 40 + 16 * FAULT.size + 8
        return self.map[at:at + 4] == bytes(4)

    def seen(self, slot):
        """How many calls a slot has counted."""
        at = 40 + slot * FAULT.size
        return FAULT.unpack(self.map[at:at + FAULT.size])[4]

    def ops(self):
        """What was recorded, in order."""
        lost = struct.unpack("=Q", self.map[32:40])[0]
        if lost:
            raise Failure("%d calls found no room in the recording" % lost)
        found, at, end = [], HEAD, self.position()
        while at + RECORD.size <= end:
            fields = RECORD.unpack(self.map[at:at + RECORD.size])
            if not fields[0]:
                break  # killed in the middle of this one
            found.append(Op(at, fields,
                            self.map[at + RECORD.size:at + fields[2]]))
            at += fields[2]
        return found

    def states(self, seed=1, samples=40, exhaustive=256, ordered=False,
               promises=()):
        """Each folder that a crash may leave, once for each set of promises.

        Of a point with up to `exhaustive` possible folders all are made, else
        `samples` of them, by seed, among them the extremes. ordered: names
        reach the disk in the order of the calls, as most file systems have it;
        else only fsync of the folder says when. promises: positions that the
        test noted when it saw one kept; how many came before is .promises of
        a state."""
        rng = random.Random(seed)
        disk = Disk(self.snapshot)
        marks, seen = [], set()
        for op in [None] + self.ops():
            if op is not None:
                disk.apply(op)
                if op.call == MARK:
                    marks.append(op.name.decode())
            position = op.position + op.size if op is not None else HEAD
            kept = bisect.bisect_right(sorted(promises), position)
            for tree in disk.possible(rng, samples, exhaustive, ordered):
                key = (len(marks), kept, digest(tree))
                if key not in seen:
                    seen.add(key)
                    yield State(tree, list(marks), kept, op)


def digest(tree):
    h = hashlib.sha256()
    for path in sorted(tree):
        data = tree[path]
        h.update(struct.pack("=Iq", len(path),
                             -1 if data is None else len(data)))
        h.update(path + (data or b""))
    return h.digest()


class Symlink(bytes):
    """Where a symbolic link leads, in a state's tree."""


class State:
    """A folder as a crash may leave it: .tree {path: bytes, None a folder, or
    a Symlink}, .marks that were made before, and how many .promises."""

    def __init__(self, tree, marks, promises, op):
        self.tree, self.marks, self.promises = tree, marks, promises
        self.after = op

    def write(self, folder, below=b""):
        """Make it, or what of it is below that, in a folder in which that is
        empty or not there."""
        os.makedirs(folder, exist_ok=True)
        for path in sorted(self.tree):
            full = os.path.join(os.fsencode(folder), path)
            if not path.startswith(below):
                continue
            if self.tree[path] is None:
                os.mkdir(full, 0o700)
            elif isinstance(self.tree[path], Symlink):
                os.symlink(self.tree[path], full)
            else:
                with open(full, "wb") as f:
                    f.write(self.tree[path])

    def __repr__(self):
        return "after %r, marks %r: %r" % (self.after, self.marks, {
            k: v if v is None or len(v) < 40 else "%d bytes" % len(v)
            for k, v in self.tree.items()})


class Folder:
    def __init__(self):
        self.entries = {}


class Link:
    def __init__(self, target):
        self.target = Symlink(target)

    def content(self, _):
        return self.target


class File:
    """Contents: per block what it was on the disk last, and since then."""

    def __init__(self, data=b""):
        self.base = data
        self.blocks = {}  # number: [[position, bytes, doomed], ...]
        self.sizes = [[-1, len(data), False]]

    def versions(self, number):
        if number not in self.blocks:
            old = self.base[number * BLOCK:(number + 1) * BLOCK]
            self.blocks[number] = [[-1, old.ljust(BLOCK, b"\0"), False]]
        return self.blocks[number]

    def size(self):
        return self.sizes[-1][1]

    def resize(self, position, size):
        if size != self.size():
            self.sizes.append([position, size, False])

    def change(self, position, offset, data):
        end = offset + len(data)
        for number in range(offset // BLOCK, (end + BLOCK - 1) // BLOCK):
            start = number * BLOCK
            a, b = max(offset, start), min(end, start + BLOCK)
            versions = self.versions(number)
            old = versions[-1][1]
            versions.append([position, old[:a - start]
                             + data[a - offset:b - offset] + old[b - start:],
                             False])

    def zero(self, position, offset, end):
        # Blocks that nobody wrote and that were not there are zero already.
        end = min(end, max([len(self.base)]
                           + [(n + 1) * BLOCK for n in self.blocks]))
        if end > offset:
            self.change(position, offset, bytes(end - offset))

    def write(self, position, offset, data):
        self.change(position, offset, data)
        self.resize(position, max(self.size(), offset + len(data)))

    def truncate(self, position, size):
        if size < self.size():
            self.zero(position, size, self.size())
        self.resize(position, size)

    def allocate(self, op):
        end = op.offset + op.length
        if op.flags & (COLLAPSE | INSERT):
            raise Failure("not modelled: %r" % op)
        if op.flags & (PUNCH_HOLE | ZERO_RANGE):
            self.zero(op.position, op.offset, end)
        if not op.flags & (KEEP_SIZE | PUNCH_HOLE):
            self.resize(op.position, max(self.size(), end))

    def sync(self, began, failed):
        for versions in [self.sizes, *self.blocks.values()]:
            last = 0
            for i, version in enumerate(versions):
                if version[0] >= began:
                    break
                if failed and i > 0:
                    # Reported once; a later sync says nothing about it.
                    version[2] = True
                elif not version[2]:
                    last = i
            if not failed:
                del versions[:last]

    def pending(self):
        """Lists of versions of which a crash keeps any one."""
        return [v for v in [self.sizes, *self.blocks.values()] if len(v) > 1]

    def content(self, chosen):
        size = chosen.get(id(self.sizes), self.sizes[0][1])
        data = bytearray(self.base[:size].ljust(size, b"\0"))
        for number, versions in self.blocks.items():
            start = number * BLOCK
            if start < size:
                block = chosen.get(id(versions), versions[0][1])
                data[start:start + BLOCK] = block[:size - start]
        return bytes(data)


class Snapshot:
    """A folder as it was when the recording began: all of it is durable."""

    def __init__(self, folder):
        self.tree, self.inode = {}, {b"": os.stat(folder).st_ino}
        top = os.fsencode(folder)
        for at, folders, files in os.walk(top):
            for name in folders + files:
                path = os.path.join(at, name)
                if os.path.islink(path):
                    continue
                key = os.path.relpath(path, top)
                self.inode[key] = os.lstat(path).st_ino
                if name in folders:
                    self.tree[key] = None
                elif os.path.isfile(path):
                    with open(path, "rb") as f:
                        self.tree[key] = f.read()


class Half:
    """One name that comes (node) or goes (None) in one folder."""

    def __init__(self, position, folder, name, node, needs=None):
        self.position, self.folder, self.name = position, folder, name
        self.node, self.needs = node, needs
        self.synced = self.lost = False
        self.group = self


class Disk:
    """What is on the disk for certain, and what may be besides."""

    def __init__(self, snapshot):
        self.top = Folder()
        self.nodes = {snapshot.inode[b""]: self.top}
        self.files = []  # also those whose inode is another's by now
        at = {b"": self.top}
        for path in sorted(snapshot.tree):
            data = snapshot.tree[path]
            node = Folder() if data is None else self.new_file(data)
            at[path] = self.nodes[snapshot.inode[path]] = node
            at[os.path.dirname(path)].entries[os.path.basename(path)] = node
        self.halves = []
        # As the process sees it.
        self.live = {id(f): dict(f.entries) for f in at.values()
                     if isinstance(f, Folder)}

    def new_file(self, data=b""):
        self.files.append(File(data))
        return self.files[-1]

    # What happens.

    def apply(self, op):
        node = self.nodes.get(op.inode)
        if op.call in SYNCS:
            self.sync(op, node)
        elif op.call == WRITE and isinstance(node, File):
            node.write(op.position, op.offset, op.data)
        elif op.call == TRUNCATE and isinstance(node, File):
            node.truncate(op.position, op.offset)
        elif op.call == ALLOCATE and isinstance(node, File):
            node.allocate(op)
        elif op.call == RENAME:
            self.rename(op)
        elif op.call == OPEN and not op.name:
            self.nodes[op.inode] = self.new_file()
        elif op.call in (OPEN, LINK, MKDIR, UNLINK, SYMLINK):
            folder = self.nodes.get(op.dir)
            if isinstance(folder, Folder):
                self.named(op, folder, node)

    def named(self, op, folder, node):
        there = self.live[id(folder)].get(op.name)
        if op.call == UNLINK:
            self.set(Half(op.position, folder, op.name, None))
            return
        if op.call == OPEN and there is not None:
            if op.flags & os.O_TRUNC and isinstance(there, File):
                there.truncate(op.position, 0)
            return
        if op.call == LINK and node is None:
            raise Failure("a name for what nobody has seen: %r" % op)
        if op.call == SYMLINK:
            node = Link(op.name2)
        elif op.call != LINK:
            node = Folder() if op.call == MKDIR else self.new_file()
            self.nodes[op.inode] = node
            if op.call == MKDIR:
                self.live[id(node)] = {}
        self.set(Half(op.position, folder, op.name, node))

    def rename(self, op):
        a, b = self.nodes.get(op.dir), self.nodes.get(op.dir2)
        if not isinstance(a, Folder) or not isinstance(b, Folder):
            if isinstance(b, Folder):
                raise Failure("moved in from elsewhere: %r" % op)
            if isinstance(a, Folder):
                self.set(Half(op.position, a, op.name, None))
            return
        moved = self.live[id(a)].get(op.name)
        if moved is None:
            raise Failure("renamed what was not there: %r" % op)
        back = self.live[id(b)].get(op.name2) if op.flags & 2 else None
        come = Half(op.position, b, op.name2, moved)
        go = Half(op.position, a, op.name, back, needs=come)
        if a is b:
            go.group, go.needs = come, None
        self.set(come)
        self.set(go)

    def set(self, half):
        self.halves.append(half)
        names = self.live[id(half.folder)]
        if half.node is None:
            names.pop(half.name, None)
        else:
            names[half.name] = half.node

    def sync(self, op, node):
        every = op.call == SYNCFS
        for n in self.files if every else [node]:
            if isinstance(n, File):
                n.sync(op.offset, op.error != 0)
        for half in self.halves:
            if half.position < op.offset and (every or half.folder is node):
                # Reported once, as for files.
                half.lost |= op.error != 0
                half.synced = not half.lost
        while self.halves and self.certain(self.halves[0]):
            self.put(self.halves.pop(0))

    @staticmethod
    def certain(half):
        return half.synced and (half.needs is None or half.needs.synced)

    @staticmethod
    def put(half, entries=None):
        entries = half.folder.entries if entries is None else entries
        if half.node is None:
            entries.pop(half.name, None)
        else:
            entries[half.name] = half.node

    # What a crash may leave.

    def choices(self, rng, ordered):
        """[(what, [option, ...]), ...], the oldest option first."""
        found = []
        groups = [h for h in self.halves
                  if h.group is h and not self.certain(h)]
        if ordered and groups:
            found.append(("names", list(range(len(groups) + 1))))
        elif not ordered:
            found += [(h, [False, True]) for h in groups]
        for node in self.files:
            for versions in node.pending():
                options = [versions[0][1]]
                for old, new in zip(versions, versions[1:]):
                    if new[1] != old[1] and versions is not node.sizes:
                        options.append(torn(rng, old[1], new[1]))
                    options.append(new[1])
                found.append((id(versions), options))
        found.sort(key=lambda c: len(c[1]))
        return found, groups

    def possible(self, rng, samples, exhaustive, ordered):
        choices, groups = self.choices(rng, ordered)
        count = 1
        for _, options in choices:
            count *= len(options)
            if count > exhaustive:
                break
        if count <= exhaustive:
            picks = all_of([len(options) for _, options in choices])
        else:
            picks = some_of(rng, [len(o) for _, o in choices], samples)
        for pick in picks:
            chosen = {what: options[i] for (what, options), i
                      in zip(choices, pick)}
            if "names" in chosen:
                first = groups[:chosen.pop("names")]
                chosen.update({h: h in first for h in groups})
            yield self.tree(chosen)

    def tree(self, chosen):
        folders = {}

        def entries(folder):
            if id(folder) not in folders:
                folders[id(folder)] = dict(folder.entries)
            return folders[id(folder)]

        def there(half):
            return self.certain(half) or chosen.get(half.group, False)
        for half in self.halves:
            # What was moved is at its new place before it leaves the old.
            if there(half) and (half.needs is None or there(half.needs)):
                self.put(half, entries(half.folder))
        found = {}

        def walk(folder, path, depth):
            if depth > 64:
                raise Failure("folders within each other")
            for name, node in entries(folder).items():
                full = path + name
                if isinstance(node, Folder):
                    found[full] = None
                    walk(node, full + b"/", depth + 1)
                else:
                    found[full] = node.content(chosen)
        walk(self.top, b"", 0)
        return found


def torn(rng, old, new):
    """Sectors of one version, then of the other."""
    at = rng.randrange(1, BLOCK // SECTOR) * SECTOR
    return new[:at] + old[at:] if rng.random() < 0.5 else old[:at] + new[at:]


def all_of(lengths):
    pick = [0] * len(lengths)
    while True:
        yield tuple(pick)
        for i, length in enumerate(lengths):
            pick[i] += 1
            if pick[i] < length:
                break
            pick[i] = 0
        else:
            return


def some_of(rng, lengths, samples):
    """All old, all new, one thing alone, all but one thing, and by chance."""
    old = [0] * len(lengths)
    new = [length - 1 for length in lengths]
    picks = [tuple(old), tuple(new)]
    for i in rng.sample(range(len(lengths)), min(len(lengths), samples // 3)):
        picks.append(tuple(old[:i] + [new[i]] + old[i + 1:]))
        picks.append(tuple(new[:i] + [old[i]] + new[i + 1:]))
    while len(picks) < samples:
        bias = rng.random()
        picks.append(tuple(
            rng.randrange(n) if rng.random() < 0.3
            else (n - 1 if rng.random() < bias else 0) for n in lengths))
    return picks[:max(samples, 2)]


