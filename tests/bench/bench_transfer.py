#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a transfer costs and how long it takes, against what others need.

Ours and its peers take turns, and medians are compared. The limit is
bench_transfer_limit: TLS 1.3 and BLAKE3 at both ends, and nothing else. CPU is
of all processes of both ends: of both nodes with all they start, or of the
peer's client and server. Beside it stands what the whole machine did in that
time, which is the transfer's only on a machine that does nothing else.

Memory that was given back to the host is expensive to get again, so a file of
the same size is written and removed before each round.

Usage: bench_transfer.py [-m MIB] [-w MIB] [-r ROUNDS] [-s STREAMS] [PART...]

    -m  size of the file (4096); half of it for disk, a quarter for the others
    -w  size of the file over links (256)
    -r  rounds (5)
    -s  streams (2)

PART: loopback disk slow far lossy pack version tree resume memory flood; all
without one.
$CLAW_BENCH_DIR is a folder on the disk (/var/tmp).
"""

import getopt
import json
import os
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))

from bench_attest import Flood  # noqa: E402
from claw_test import (ROOT, Failure, Skip, die_with_parent,  # noqa: E402
                       free_port, wait_for)
from link_test import Link, private  # noqa: E402
from mesh_test import Peer, member  # noqa: E402

BUILD = os.environ.get("CLAW_TEST_BUILD", "build")
MEMORY = "/dev/shm"
DISK = os.environ.get("CLAW_BENCH_DIR", "/var/tmp")
TICK = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
CIPHER = "aes128-gcm@openssh.com"
CHUNK = 8 * MIB  # sft.chunk_size, and what its journal looks like
JOURNAL_HEAD, JOURNAL_RECORD = 256, 64
FLOOD = 10000
FILES = 10000
FAR_STREAMS = "auto"
SSH_OPTIONS = ("-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
               "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")

# What it costs


def ticks(pid):
    """Of a process and all its children that have ended, and what runs."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(n) for n in fields[11:15]) / TICK


def children(pid):
    found = []
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, thread)) as f:
            found += [int(child) for child in f.read().split()]
    return found


def tree(pid):
    """The pids of a process and all that it has started."""
    found = [pid]
    for child in children(pid):
        try:
            found += tree(child)
        except OSError:
            continue
    return found


def cpu_s(roots):
    """Of these processes, what they started, and what we have waited for."""
    used = sum(os.times()[2:4])
    for root in roots:
        for pid in tree(root):
            try:
                used += ticks(pid)
            except OSError:
                continue
    return used


def busy_s():
    with open("/proc/stat") as f:
        n = [int(word) for word in f.readline().split()[1:8]]
    return (n[0] + n[1] + n[2] + n[5] + n[6]) / TICK


class Run:
    """One transfer: wall_s, cpu_s, busy_s and the file's size."""

    def __init__(self, size, work, roots=(), quiet=None):
        before, busy = cpu_s(roots), busy_s()
        start = time.monotonic()
        work()
        self.wall_s = time.monotonic() - start
        if quiet is not None:
            wait_for(quiet, 10)
        self.busy_s = busy_s() - busy
        self.cpu_s = cpu_s(roots) - before
        self.size = size

    @property
    def rate(self):
        return self.size / self.wall_s / 1e6

    @property
    def cpu(self):
        return self.cpu_s / self.size * (1 << 30)

    @property
    def busy(self):
        return self.busy_s / self.size * (1 << 30)


def recycle(folder, size):
    """Memory, or blocks, that the destination will take, touched before."""
    path, zeros = os.path.join(folder, "recycled"), bytes(MIB)
    with open(path, "wb", buffering=0) as f:
        for _ in range(size // MIB):
            f.write(zeros)
    os.unlink(path)


def make_source(folder, size):
    path = os.path.join(folder, "source")
    block = os.urandom(8 * MIB)
    with open(path, "wb", buffering=0) as f:
        for at in range(0, size, len(block)):
            f.write(at.to_bytes(8, "big"))
            f.write(block[8:min(len(block), size - at)])
    os.chmod(path, 0o644)
    return path


def make_tree(folder, size):
    """FILES files in folders of a hundred."""
    path, length = os.path.join(folder, "source"), size // FILES
    for number in range(FILES):
        inner = os.path.join(path, "%03d" % (number // 100))
        if number % 100 == 0:
            os.makedirs(inner, 0o755)
        with open(os.path.join(inner, "%05d" % number), "wb") as f:
            f.write(os.urandom(length))
    return path


def make_text(folder, size):
    """Programs and manuals: this project's own, over and over."""
    top = os.environ.get("srcdir", ".")
    found = [os.path.join(at, name) for at, _, names in os.walk(top)
             for name in sorted(names)
             if name.endswith((".c", ".h", ".py", ".def", ".md"))
             or name[-2:] in (".1", ".5", ".7", ".8")]
    path, left = os.path.join(folder, "source"), size
    with open(path, "wb") as f:
        while left > 0:
            for source in found:
                with open(source, "rb") as one:
                    left -= f.write(one.read()[:left])
    os.chmod(path, 0o644)
    return path


def run(*command, timeout=900, **keywords):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, timeout=timeout,
                          stdin=subprocess.DEVNULL, **keywords)
    if done.returncode != 0:
        raise Failure("%s: exit %d\n%s%s" % (
            " ".join(command), done.returncode, done.stdout, done.stderr))
    return done.stdout


# Who takes part: each has a name, is_there() and send()


class Place:
    """Where a transfer goes: a folder, loopback or the ends of a link."""

    def __init__(self, folder, size, link=None, source=make_source):
        self.top = tempfile.mkdtemp(prefix="claw-bench-", dir=folder)
        os.chmod(self.top, 0o755)
        self.folder, self.size, self.link = folder, size, link
        self.source = source(self.top, size)
        self.target = os.path.join(self.top, "target")
        self.address = link.address["b"] if link else "127.0.0.1"

    def run(self, end, *command, **keywords):
        if self.link is None:
            return run(*command, **keywords)
        with self.link.inside(end):
            return run(*command, **keywords)

    def start(self, end, *command):
        """A server that says what is wrong with it."""
        def begin():
            return subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                    preexec_fn=die_with_parent)
        if self.link is None:
            return begin()
        with self.link.inside(end):
            return begin()

    def listens(self, port):
        def there():
            try:
                if self.link is None:
                    socket.create_connection((self.address, port), 1).close()
                else:
                    with self.link.inside("b"):
                        socket.create_connection((self.address, port),
                                                 1).close()
                return True
            except OSError:
                return False
        wait_for(there, 10)

    def compare(self, path):
        """What arrived is what was sent; then it is removed."""
        run("cmp", self.source, path)
        os.unlink(path)

    def settle(self):
        """What a party's time ends with."""

    def rsync(self, target):
        """Its arguments."""
        return [self.source, target]

    def discard(self):
        shutil.rmtree(self.top, ignore_errors=True)


class Tree(Place):
    """A folder is copied; on a disk it is there when that says so. What came
    is kept to the end: for minutes ext4 looks in vain at each inode that was
    given back, and who makes ten thousand files then pays ten times."""

    def __init__(self, folder, size):
        super().__init__(folder, size, source=make_tree)
        self.kept = 0

    def settle(self):
        if self.folder != MEMORY:
            run("sync", "-f", self.top)

    def rsync(self, target):
        return ["-rt", self.source + "/", target]

    def compare(self, path):
        run("diff", "-r", self.source, path)
        self.kept += 1
        os.rename(path, os.path.join(self.top, "kept-%d" % self.kept))


class Ours:
    """Beta sends to alpha."""

    def __init__(self, place, streams, name="ours", options=()):
        self.place, self.name, self.count = place, name, 0
        self.options = ("--streams", str(streams), *options)
        at = (place.link, "b") if place.link else None
        tempfile.tempdir = place.folder
        self.alpha = Peer("alpha", True, at=at).start()
        at = (place.link, "a") if place.link else None
        self.beta = member(self.alpha, "beta", at=at).start()
        tempfile.tempdir = None
        self.beta.wait_links("alpha")
        self.roots = [self.alpha.pid, self.beta.pid]

    def arguments(self, name, *options):
        return ("file:send", "--target-node", "alpha", "--source",
                self.place.source, "--name", name, *self.options, *options)

    def arrived(self, name):
        return os.path.join(self.alpha.dir, "data", "files", "beta", name)

    def workers(self):
        return {pid: node for node in (self.alpha, self.beta)
                for pid in node.workers("xferd")}

    def send(self):
        self.count += 1
        name, had = "%d" % self.count, self.workers()

        def work():
            self.beta.claw(*self.arguments(name), check=True, timeout=900)
            self.place.settle()

        done = Run(
            self.place.size, work, self.roots,
            lambda: len(had.keys() & self.workers().keys()) <= len(had) - 2)
        self.place.compare(self.arrived(name))
        return done

    def discard(self):
        for node in (self.beta, self.alpha):
            node.discard()


class Limit:
    name = "limit"

    def __init__(self, place, streams):
        self.place = place
        self.streams = str(streams)

    def send(self):
        program = os.path.join(BUILD, "tests", "bench", "bench_transfer_limit")
        told = run(program, "-r", "1", "-n", self.streams, self.place.source,
                   self.place.target)
        words = dict(word.split("=") for word in
                     told.splitlines()[-1].split()[1:])
        done = Run(self.place.size, lambda: None)
        gib = self.place.size / (1 << 30)
        done.wall_s = float(words["wall_s"])
        done.cpu_s = float(words["cpu_s_per_gib"]) * gib
        done.busy_s = float(words["busy_s_per_gib"]) * gib
        return done

    def discard(self):
        pass


class Server:
    """A peer with a server of its own at the far end."""

    def begin(self, place, *command):
        self.place = place
        self.process = place.start("b", *command)
        place.listens(self.port)

    def idle(self):
        return children(self.process.pid) == []

    def send(self):
        def work():
            self.copy()
            self.place.settle()

        wait_for(self.idle, 10)
        done = Run(self.place.size, work, [self.process.pid], self.idle)
        self.place.compare(self.place.target)
        return done

    def discard(self):
        self.process.kill()
        self.process.wait()


class Ssh(Server):
    """A server that knows one key, for scp and for rsync over it."""

    def __init__(self, place):
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="claw-ssh-", dir=place.top)
        self.key = os.path.join(self.dir, "key")
        for name in ("key", "host"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                os.path.join(self.dir, name))
        config = os.path.join(self.dir, "config")
        with open(config, "w") as f:
            f.write("Port %d\nListenAddress %s\nHostKey %s/host\n"
                    "AuthorizedKeysFile %s/key.pub\nUsePAM no\n"
                    "StrictModes no\nPidFile none\nMaxStartups 100\n"
                    "PermitRootLogin yes\nLogLevel QUIET\n"
                    # The shell's own start is not what is measured.
                    "SetEnv SHLVL=2\n"
                    "Subsystem sftp internal-sftp\n"
                    % (self.port, place.address, self.dir, self.dir))
        if ROOT:  # where sshd locks up what talks to strangers
            os.makedirs("/run/sshd", 0o755, exist_ok=True)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.begin(place, shutil.which("sshd", path=os.environ["PATH"]
                                       + ":/usr/sbin"), "-D", "-e", "-f",
                   config)

    def scp(self):
        self.place.run("a", "scp", "-q", "-F", "/dev/null", "-c", CIPHER,
                       "-i", self.key, "-P", str(self.port), *SSH_OPTIONS,
                       self.place.source, "%s@%s:%s" % (
                           self.user, self.place.address, self.place.target))

    def rsync(self):
        self.place.run("a", "rsync", "-e", " ".join(
            ("ssh", "-F", "/dev/null", "-c", CIPHER, "-i", self.key, "-p",
             str(self.port), *SSH_OPTIONS)), *self.place.rsync(
                "%s@%s:%s" % (self.user, self.place.address,
                              self.place.target)))


class Over:
    """scp or rsync, over that server."""

    def __init__(self, ssh, name):
        self.ssh, self.name = ssh, name
        self.copy = {"scp": ssh.scp, "rsync+ssh": ssh.rsync}[name]

    def send(self):
        self.ssh.copy = self.copy
        return self.ssh.send()

    def discard(self):
        self.ssh.discard()


class Rsyncd(Server):
    name = "rsyncd"

    def __init__(self, place):
        self.port = free_port()
        config = os.path.join(place.top, "rsyncd.conf")
        with open(config, "w") as f:
            f.write("use chroot = no\n[b]\npath = %s\nread only = no\n"
                    % place.top)
            if ROOT:
                f.write("uid = root\ngid = root\n")
        self.begin(place, "rsync", "--daemon", "--no-detach", "--config",
                   config, "--port", str(self.port), "--log-file=/dev/null",
                   "--address", place.address)

    def copy(self):
        self.place.run("a", "rsync", self.place.source, "rsync://%s:%d/b/%s"
                       % (self.place.address, self.port,
                          os.path.basename(self.place.target)))


class Plain:
    """A file over TCP, and nothing else: until the last byte is written."""

    name = "plain TCP"

    def __init__(self, place):
        self.place = place

    def receive(self, listener):
        room = bytearray(MIB)
        s = listener.accept()[0]
        with open(self.place.target, "wb", buffering=0) as f:
            while n := s.recv_into(room):
                f.write(memoryview(room)[:n])
        s.close()

    def copy(self):
        with self.place.link.inside("b"):
            listener = socket.create_server((self.place.address, 0))
        reader = threading.Thread(target=self.receive, args=(listener,))
        reader.start()
        with self.place.link.inside("a"):
            s = socket.socket()
        s.connect(listener.getsockname())
        with open(self.place.source, "rb") as f:
            s.sendfile(f)
        s.close()
        reader.join()
        listener.close()

    def send(self):
        done = Run(self.place.size, self.copy)
        self.place.compare(self.place.target)
        return done

    def discard(self):
        pass


class Fio:
    """What the disk writes, 8 MiB and a sync at a time."""

    name = "fio"

    def __init__(self, place):
        self.place = place

    def send(self):
        told = json.loads(run(
            "fio", "--name=write", "--rw=write", "--bs=8M", "--fdatasync=1",
            "--ioengine=psync", "--output-format=json", "--filename",
            self.place.target, "--size", str(self.place.size)))
        done = Run(self.place.size, lambda: None)
        # Its own clock begins when the file is laid out.
        done.wall_s = told["jobs"][0]["write"]["runtime"] / 1000
        os.unlink(self.place.target)
        return done

    def discard(self):
        pass


def have(*programs):
    """All of them; what is missing is told."""
    path = os.environ["PATH"] + ":/usr/sbin"
    missing = [p for p in programs if shutil.which(p, path=path) is None]
    if missing:
        print("    %s: not installed: skipped" % ", ".join(missing))
    return not missing


# What came of it

verdicts = []


def verdict(good, text):
    verdicts.append(good)
    print("%s  %s" % (text, "" if good else "  DOES NOT HOLD"), flush=True)


def ratio(what, got, asked, least=True):
    """Whether it is at least, or at most, what was asked for."""
    verdict(got >= asked if least else got <= asked,
            "%-44s %8.2f (%s %.2f asked)"
            % (what, got, "at least" if least else "at most", asked))


def title(text):
    print("%s; load %.1f" % (text, os.getloadavg()[0]), flush=True)


def in_turns(parties, rounds):
    """{name: [Run]}, in turns, with their medians told."""
    found = {party.name: [] for party in parties}
    for _ in range(rounds):
        for party in parties:
            recycle(party.place.top, party.place.size)
            found[party.name].append(party.send())
    for name, runs in found.items():
        print("    %-10s %6.0f MB/s (%.0f to %.0f) %7.2f s"
              "  CPU %5.2f s/GiB, machine %5.2f" % (
                  name, middle(runs, "rate"), min(r.rate for r in runs),
                  max(r.rate for r in runs), middle(runs, "wall_s"),
                  middle(runs, "cpu"), middle(runs, "busy")), flush=True)
    return found


def middle(runs, name):
    return statistics.median(getattr(r, name) for r in runs)


class Parties(list):
    """Ended all, whatever happens."""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for party in self:
            party.discard()


# The parts


class Options:
    mib, link_mib, rounds, streams = 4096, 256, 5, 2


def over_loopback(opt):
    place = Place(MEMORY, opt.mib * MIB)
    title("loopback, %d MiB in memory, %d streams, %d rounds"
          % (opt.mib, opt.streams, opt.rounds))
    try:
        with Parties() as all_of_them:
            all_of_them += [Limit(place, opt.streams),
                            Ours(place, opt.streams)]
            if have("ssh", "sshd"):
                ssh = Ssh(place)
                all_of_them.append(Over(ssh, "scp"))
                if have("rsync"):
                    all_of_them.append(Over(ssh, "rsync+ssh"))
            if have("rsync"):
                all_of_them.append(Rsyncd(place))
            for party in all_of_them:
                party.place = place
            found = in_turns(all_of_them, opt.rounds)
    finally:
        place.discard()
    loopback_verdicts(found)


def loopback_verdicts(found):
    def against(peer, figure):
        return middle(found["ours"], figure) / middle(found[peer], figure)

    ratio("rate, ours / limit", against("limit", "rate"), 0.85)
    ratio("CPU, ours / limit", against("limit", "cpu"), 1.15, False)
    if "scp" in found:
        ratio("CPU of the machine, ours / scp", against("scp", "busy"), 0.75,
              False)
        ratio("rate, ours / scp", against("scp", "rate"), 1.5)
    if "rsync+ssh" in found:
        ratio("CPU of the machine, ours / rsync over ssh",
              against("rsync+ssh", "busy"), 0.6, False)
        ratio("rate, ours / rsync over ssh", against("rsync+ssh", "rate"), 2)
    if "rsyncd" in found:
        ratio("rate, ours / rsync daemon", against("rsyncd", "rate"), 1)


def to_disk(opt):
    size = max(opt.mib // 2, 1) * MIB
    title("disk, %d MiB, %d rounds" % (size // MIB, opt.rounds))
    if not have("fio"):
        return
    place = Place(DISK, size)
    try:
        with Parties() as both:
            both += [Ours(place, opt.streams), Fio(place)]
            found = in_turns(both, opt.rounds)
    finally:
        place.discard()
    ratio("rate with fsync, ours / fio",
          middle(found["ours"], "rate") / middle(found["fio"], "rate"), 0.9)


def congestion(link):
    with link.inside("a"), \
            open("/proc/sys/net/ipv4/tcp_congestion_control") as f:
        return f.read().strip()


def over_link(opt, what, commands, peer, streams, asked):
    try:
        with Link(commands) as link:
            title("%s: %s; %d MiB, %s streams, %d rounds; TCP is %s" % (
                what, commands, opt.link_mib, streams, opt.rounds,
                congestion(link)))
            place = Place(MEMORY, opt.link_mib * MIB, link)
            try:
                with Parties() as both:
                    both += [Ours(place, streams)]
                    if peer == "scp" and not have("ssh", "sshd"):
                        return
                    both.append(Over(Ssh(place), "scp") if peer == "scp"
                                else Plain(place))
                    for party in both:
                        party.place = place
                    found = in_turns(both, opt.rounds)
            finally:
                place.discard()
    except Skip as why:
        print("    skipped: %s" % why)
        return
    ratio("rate, ours / %s" % peer, middle(found["ours"], "rate")
          / middle(found[peer], "rate"), asked)


def slow(opt):
    over_link(opt, "100 Mbit/s", "rate 100mbit, queue 256k", "plain TCP",
              opt.streams, 0.99)


def far(opt):
    over_link(opt, "1 Gbit/s, 100 ms", "rate 1gbit, delay 50ms, queue 4m",
              "scp", FAR_STREAMS, 4)


def lossy(opt):
    over_link(opt, "1 Gbit/s, 100 ms, 0.01 % loss",
              "rate 1gbit, delay 50ms, queue 4m, loss 0.01%", "scp",
              FAR_STREAMS, 4)


# What need not be sent


def both_ways(place, opt):
    """{auto, never: [Run]}; what each end of the first needed at most."""
    with Parties() as both:
        both += [Ours(place, opt.streams, name, ("--compress", name))
                 for name in ("auto", "never")]
        watch = Watch(both[0])
        watch.start()
        found = in_turns(both, opt.rounds)
        watch.over = True
        watch.join()
    return found, watch.most


def pack(opt):
    """Compressing costs nothing where it brings nothing, and brings much."""
    size = max(opt.mib // 4, 64)
    title("loopback, %d MiB that do not compress, %d streams, %d rounds"
          % (size, opt.streams, opt.rounds))
    place = Place(MEMORY, size * MIB)
    try:
        found, _ = both_ways(place, opt)
    finally:
        place.discard()
    ratio("rate, auto / never", middle(found["auto"], "rate")
          / middle(found["never"], "rate"), 0.97)
    ratio("CPU, auto / never", middle(found["auto"], "cpu")
          / middle(found["never"], "cpu"), 1.03, False)
    try:
        with Link("rate 100mbit, queue 256k") as link:
            title("100 Mbit/s, %d MiB of text" % opt.link_mib)
            place = Place(MEMORY, opt.link_mib * MIB, link, make_text)
            try:
                found, most = both_ways(place, opt)
            finally:
                place.discard()
    except Skip as why:
        print("    skipped: %s" % why)
        return
    ratio("rate, auto / never", middle(found["auto"], "rate")
          / middle(found["never"], "rate"), 2.5)
    for end, (serves, _, parts) in most.items():
        verdict(serves < 16, "PSS in MiB, who %s and compresses%15.1f (under "
                "16 asked; xferd %.1f)" % (end, serves, parts["xferd"]))


def version(opt):
    """A file of which one chunk is another one than in the version there."""
    try:
        with Link("rate 100mbit, queue 256k") as link:
            title("100 Mbit/s, %d MiB of which 8 differ" % opt.link_mib)
            place = Place(MEMORY, opt.link_mib * MIB, link)
            try:
                with Parties() as one:
                    ours = Ours(place, opt.streams)
                    one.append(ours)
                    first = Follow(ours, "version")
                    first.all()
                    damage(place.source, place.size // 2)
                    again = Follow(ours, "version", "--replace")
                    told = again.all()[-1]
                    place.compare(ours.arrived("version"))
            finally:
                place.discard()
    except Skip as why:
        print("    skipped: %s" % why)
        return
    print("    first %.2f s, again %.2f s with %d bytes on the wire" % (
        first.wall_s, again.wall_s, told["wire_bytes"]))
    ratio("rate, again / first", first.wall_s / again.wall_s, min(
        5, opt.link_mib / 16))


def small_files(opt):
    for folder, where in ((MEMORY, "in memory"), (DISK, "on disk, synced")):
        title("%d files of 4 KiB, %s, %d rounds" % (FILES, where, opt.rounds))
        if not have("ssh", "sshd", "rsync"):
            return
        place = Tree(folder, FILES * 4096)
        try:
            with Parties() as both:
                both.append(Ours(place, opt.streams))
                both.append(Over(Ssh(place), "rsync+ssh"))
                for party in both:
                    party.place = place
                found = in_turns(both, opt.rounds)
        finally:
            place.discard()
        ratio("rate, ours / rsync over ssh", middle(found["ours"], "rate") /
              middle(found["rsync+ssh"], "rate"), 1)


# Half of it is there


class Follow:
    """A transfer whose events are read while it goes."""

    def __init__(self, ours, name, *options):
        self.start = time.monotonic()
        node = ours.beta
        command = [os.path.join(node_binary(), "claw"), "-f", node.config,
                   *ours.arguments(name, "--json", *options)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=node.env, cwd=node.top, **node.credentials())

    def events(self):
        for line in self.process.stdout:
            yield json.loads(line)
        self.process.wait()

    def all(self):
        found = list(self.events())
        self.wall_s = time.monotonic() - self.start
        if self.process.returncode != 0:
            raise Failure("file:send: exit %d\n%r\n%s" % (
                self.process.returncode, found, self.process.stderr.read()))
        return found


def node_binary():
    import claw_test
    return os.path.dirname(claw_test.binary("claw"))


def half(ours, name):
    """Leaves it when half of it is durable; its id."""
    follow, number = Follow(ours, name, "--limit", "250MB/s"), None
    for event in follow.events():
        number = event.get("id", number)
        if event.get("durable", 0) >= ours.place.size / 2:
            ours.beta.claw("file:pause", number, check=True)
            break
    for event in follow.events():
        pass
    return number


def damage(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))


def kept(folder):
    """The chunks that the journal says are there, once it grows no more."""
    def still():
        before = os.stat(path).st_size
        time.sleep(0.5)
        return os.stat(path).st_size == before
    path = os.path.join(folder, "journal")
    wait_for(still, 20)
    return (os.stat(path).st_size - JOURNAL_HEAD) // JOURNAL_RECORD


def resume(ours, name, damaged=False):
    """(seconds, bytes that were taken as there, bytes made durable before)."""
    number = half(ours, name)
    folder = os.path.join(ours.alpha.dir, "data", "sft", "incoming", number)
    durable = kept(folder) * CHUNK
    if damaged:
        damage(os.path.join(folder, "partial"), ours.place.size // 4)
    recycle(ours.place.top, ours.place.size // 2)
    follow = Follow(ours, name)
    accepted = [e for e in follow.all() if e.get("event") == "accepted"]
    ours.place.compare(ours.arrived(name))
    return follow.wall_s, accepted[-1]["have"], durable


def resumed(opt):
    size = max(opt.mib // 4, 64) * MIB
    title("resume of a half-done %d MiB, %d rounds"
          % (size // MIB, opt.rounds))
    place = Place(MEMORY, size)
    try:
        with Parties() as one:
            ours = Ours(place, opt.streams)
            one.append(ours)
            fresh, again, have_bytes = [], [], []
            for n in range(opt.rounds):
                recycle(place.top, size)
                fresh.append(ours.send().wall_s)
                seconds, had, _ = resume(ours, "half%d" % n)
                again.append(seconds)
                have_bytes.append(had)
            _, hurt, durable = resume(ours, "hurt", True)
    finally:
        place.discard()
    whole, rest = statistics.median(fresh), statistics.median(again)
    print("    fresh %.2f s, resumed with %.0f %% there %.2f s" % (
        whole, 100 * statistics.median(have_bytes) / size, rest))
    verdict(rest < whole / 2 + 0.5, "resume, seconds%38.2f "
            "(less than %.2f asked)" % (rest, whole / 2 + 0.5))
    lost = (durable - hurt) / CHUNK
    verdict(lost == 1, "one damaged byte costs, in chunks%21.0f (1 asked)"
            % lost)


# What it needs while it goes


def pss(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0


def command_pss():
    """Of the command that waits for the transfer."""
    for pid in children(os.getpid()):
        try:
            with open("/proc/%d/comm" % pid) as f:
                if f.read().strip() == "claw":
                    return pss(pid)
        except OSError:
            continue
    return 0


class Watch(threading.Thread):
    """The most that an end needs: who serves the transfer, and all."""

    def __init__(self, ours):
        super().__init__(daemon=True)
        self.nodes = {"sends": ours.beta, "receives": ours.alpha}
        self.idle = {node: set(node.workers("xferd"))
                     for node in self.nodes.values()}
        self.most = {end: (0, 0, {}) for end in self.nodes}
        self.over = False

    def look(self, end, node):
        found = {}
        for name, pid in node.everybody().items():
            try:
                found[name] = pss(pid)
            except OSError:
                continue
        busiest = max((mib for name, mib in found.items()
                       if name.startswith("xferd")), default=0)
        parts = {"xferd": busiest, "sftd": found.get("sftd", 0),
                 "claw": command_pss() if end == "sends" else 0}
        serves = sum(parts.values())
        if serves > self.most[end][0]:
            self.most[end] = (serves, sum(found.values()), parts)

    def run(self):
        while not self.over:
            for end, node in self.nodes.items():
                self.look(end, node)
            time.sleep(0.02)


def memory(opt):
    title("memory, two streams")
    for size, chunk in ((opt.mib // 4, "8M"), (opt.mib, "8M"),
                        (opt.mib // 4, "32M")):
        place = Place(MEMORY, size * MIB)
        try:
            with Parties() as one:
                ours = Ours(place, 2, options=("--chunk-size", chunk))
                one.append(ours)
                watch = Watch(ours)
                watch.start()
                ours.send()
                watch.over = True
                watch.join()
        finally:
            place.discard()
        for end, (serves, everybody, parts) in watch.most.items():
            verdict(serves < 16, "PSS in MiB, who %-8s %4d MiB by %3s%13.1f"
                    " (under 16 asked; xferd %.1f, sftd %.1f, claw %.1f;"
                    " the whole node %.1f)"
                    % (end, size, chunk, serves, parts["xferd"],
                       parts["sftd"], parts["claw"], everybody))


# Strangers at the door


def flooded(opt):
    size = max(opt.mib // 4, 64) * MIB
    title("%d strangers at the port of transfers, %d MiB, %d rounds"
          % (FLOOD, size // MIB, opt.rounds))
    place = Place(MEMORY, size)
    alone, beside, lasted = [], [], []
    try:
        with Parties() as one:
            ours = Ours(place, opt.streams)
            one.append(ours)
            for _ in range(opt.rounds):
                recycle(place.top, size)
                alone.append(ours.send())
                recycle(place.top, size)
                start = time.monotonic()
                strangers = Flood(ours.alpha.port + 1, FLOOD)
                beside.append(ours.send())
                os.waitpid(strangers.pid, 0)
                lasted.append(time.monotonic() - start)
    finally:
        place.discard()
    print("    alone %.0f MB/s, beside them %.0f; they came for %.1f s"
          % (middle(alone, "rate"), middle(beside, "rate"),
             statistics.median(lasted)))
    ratio("rate beside strangers / alone",
          middle(beside, "rate") / middle(alone, "rate"), 0.8)


PARTS = {"loopback": over_loopback, "disk": to_disk, "slow": slow, "far": far,
         "lossy": lossy, "pack": pack, "version": version,
         "tree": small_files, "resume": resumed, "memory": memory,
         "flood": flooded}


def main():
    # What was begun is put away then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    opt = Options()
    given, parts = getopt.getopt(sys.argv[1:], "m:w:r:s:")
    for letter, value in given:
        setattr(opt, {"-m": "mib", "-w": "link_mib", "-r": "rounds",
                      "-s": "streams"}[letter], int(value))
    for part in parts or PARTS:
        if part not in PARTS:
            sys.exit("%s: one of %s" % (part, " ".join(PARTS)))
        PARTS[part](opt)
    sys.exit(0 if all(verdicts) else 1)


if __name__ == "__main__":
    private()
    main()
