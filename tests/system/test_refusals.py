# SPDX-License-Identifier: ISC
"""Who is no node of ours is refused, whatever it tries: at both ends the
reason is said, it is in the audit log, and not a byte of what it sends is
acted on.

An impostor (impostor.c) dials a real node and is dialled by it, each time
with one thing wrong. Then real nodes refuse each other. As root every point
is made twice, with the accounts of the house and as an ordinary user.
"""

import atexit
import os
import subprocess
import time
from types import SimpleNamespace

from claw_test import (Node, ROOT, contains, diag, equal, main, ok, test,
                       wait_for)
from mesh_test import Impostor, Peer, member

WELCOME, PONG, LINES, JOINED, BYE = 1, 3, 6, 10, 11
# What answers a request, or acts on one.
ANSWERS = {PONG, LINES, JOINED}

UNKNOWN = "no node of that name"
REVOKED = "has revoked it"
EXPIRED = "has expired"


class House:
    """A node, and who may and who may not talk to it. Made once: what is
    refused leaves nothing behind."""

    made = {}

    def __init__(self, as_user):
        self.alpha = Peer("alpha", as_user,
                          {"mesh.handshake_timeout": "1500ms"}).start()
        # Of all points, not of one.
        Node.alive.remove(self.alpha)
        atexit.register(self.alpha.discard)
        self.guest = Impostor("guest", 1)
        self.gone = Impostor("gone", 2)
        self.late = Impostor("late", 3)
        self.nobody = Impostor("nobody", 4)
        self.other = Impostor("guest", 5)  # guest's name, another's key
        self.alpha.add("guest", self.guest.identity)
        self.alpha.add("gone", self.gone.identity)
        self.alpha.add("late", self.late.identity, expires="1s")
        self.alpha.revoke("gone")
        for impostor in (self.guest, self.gone, self.late, self.nobody,
                         self.other):
            impostor.knows(self.alpha)
        time.sleep(1.1)
        self.place = 0

    @classmethod
    def of(cls, as_user):
        if as_user not in cls.made:
            cls.made[as_user] = cls(as_user)
        return cls.made[as_user]

    def elsewhere(self):
        """An address that was not there before: of each neighbourhood only so
        many refusals a minute are recorded singly."""
        self.place += 1
        return "127.0.%d.1" % self.place

    def unharmed(self):
        """Not a link is left, and whoever may come still may."""
        wait_for(lambda: not self.alpha.links(), what="the end of the link")
        saw = self.guest.connect(self.alpha.address, then="ping", wait=300)
        equal(saw["frames"][:2], [WELCOME, PONG], "what the guest was told")
        wait_for(lambda: not self.alpha.links(), what="the end of its link")


def both(name):
    """A test for either kind of account."""
    def mark(function):
        kinds = [(True, "")]
        if ROOT:
            kinds = [(False, ""), (True, ", as an ordinary user")]
        for as_user, suffix in kinds:
            def run(as_user=as_user):
                house = House.of(as_user)
                since = house.alpha.since()
                try:
                    function(house)
                except Exception:
                    diag(house.alpha.log()[since[0]:])
                    raise
            test(name + suffix)(run)
        return function
    return mark


def comes(house, who, alert, reason, frames=(), **options):
    """An impostor dials the node, and is refused for that reason."""
    alpha, since = house.alpha, house.alpha.since()
    options.setdefault("from", house.elsewhere())
    saw = who.connect(alpha.address, **options)
    equal(saw["alert"], alert, "the alert that came")
    equal(saw["frames"], list(frames), "frames that came")
    alpha.wait_log(reason, since)
    act = alpha.wait_event("peer.refused", since, reason=reason,
                           role="server", outcome="denied")
    contains(act["address"], options["from"], "the address recorded")
    return saw, act


def is_dialled(house, who, alert, reason, frames=(), **options):
    """The node dials an impostor, and refuses it for that reason."""
    alpha, since = house.alpha, house.alpha.since()
    saw, status, told = who.answer(alpha, **options)
    equal(saw["alert"], alert, "the alert that came")
    equal(saw["frames"], list(frames), "frames that came")
    equal((status, told["attested"]), (1, False), "what node:ping says")
    contains(told["reason"], reason, "why, by node:ping")
    alpha.wait_log(reason, since)
    act = alpha.wait_event("peer.refused", since, reason=reason,
                           role="client", outcome="denied")
    equal(act["address"], told["address"], "the address recorded")
    return saw, act


@both("who may come is attested, answered and recorded, whoever dials")
def may_come(house):
    alpha, since = house.alpha, house.alpha.since()
    saw = house.guest.connect(alpha.address, then="ping", wait=300)
    equal(saw["frames"][:2], [WELCOME, PONG], "frames")
    alpha.wait_event("peer.attested", since, peer="guest", role="server",
                     purpose="mesh", key=house.guest.identity)
    since = alpha.since()
    saw, status, told = house.guest.answer(alpha, wait=300)
    equal((status, told["attested"], told["peer"]), (0, True, "guest"),
          "node:ping")
    alpha.wait_event("peer.attested", since, peer="guest", role="client")
    equal(alpha.events("peer.refused", since), [], "refusals")


# Who it is. (what, whose key, alert, reason, options)

IDENTITIES = (
    ("a node that the registry does not know", "nobody", 48, UNKNOWN, {}),
    ("a node that was revoked", "gone", 44, REVOKED, {}),
    ("a node whose entry has expired", "late", 45, EXPIRED, {}),
    ("a known name with another key", "other", 42, "not by the key", {}),
    ("another node's name", "guest", 42, "not by the key",
     {"name": "late"}),
)

# What it shows, whoever dials.
EVIDENCE = (
    ("evidence for another challenge", 42, "another challenge",
     {"lie": "nonce"}),
    ("another session's leaf", 42, "another session's", {"lie": "prover"}),
    ("evidence for another purpose", 42,
     "is for purpose registry, and this is mesh", {"purpose": 5}),
    ("evidence for a file transfer", 42,
     "is for purpose sft, and this is mesh", {"purpose": 2}),
    ("evidence for another peer", 42, "the leaf is for late",
     {"peer": "late"}),
    ("our own name", 42, "our own name", {"name": "alpha", "peer": "-"}),
    ("a leaf whose key it does not have", 51, "", {"lie": "keymismatch"}),
    ("a certificate that is no leaf", 42, "no leaf certificate",
     {"lie": "notleaf"}),
    ("two certificates", 42, "more than one certificate",
     {"lie": "twocerts"}),
    ("other capabilities than it has", 49, "other capabilities",
     {"caps": "0x3"}),
    ("another registry", 49, "its registry is another one",
     {"head": "77" * 32}),
)


def points_of_evidence():
    for what, who, alert, reason, options in IDENTITIES:
        @both("refused when it comes: " + what)
        def _(house, who=who, alert=alert, reason=reason, options=options):
            saw, act = comes(house, getattr(house, who), alert, reason,
                             **options)
            equal(saw["bytes"], 0, "bytes of data that came")
            equal(act["peer"], options.get("name", getattr(house, who).name),
                  "who it said it is")
            house.unharmed()

        @both("refused when it is dialled: " + what)
        def _(house, who=who, alert=alert, reason=reason, options=options):
            saw, _ = is_dialled(house, getattr(house, who), alert, reason,
                                **options)
            ok(not saw["handshake"], "the handshake is over")
            equal(saw["bytes"], 0, "bytes of data that came")
    for what, alert, reason, options in EVIDENCE:
        @both("refused when it comes: " + what)
        def _(house, alert=alert, reason=reason, options=options):
            saw, _ = comes(house, house.guest, alert, reason, **options)
            equal(saw["bytes"], 0, "bytes of data that came")

        @both("refused when it is dialled: " + what)
        def _(house, alert=alert, reason=reason, options=options):
            saw, _ = is_dialled(house, house.guest, alert, reason, **options)
            ok(not saw["handshake"], "the handshake is over")
            equal(saw["bytes"], 0, "bytes of data that came")


points_of_evidence()


@both("refused: evidence that does not say for whom it is")
def for_nobody(house):
    comes(house, house.guest, 42, "does not say for whom", peer="-")


@both("refused: evidence in the verifier's own role")
def own_role(house):
    comes(house, house.guest, 42, "speaks as server, as we do", role=2)
    is_dialled(house, house.guest, 42, "speaks as client, as we do", role=1,
               peer="alpha")


@both("refused: a leaf of an earlier session, with its key")
def replayed(house):
    kept = os.path.join(house.alpha.top, "kept")
    house.guest.connect(house.alpha.address, keep=kept, wait=300)
    comes(house, house.guest, 42, "another challenge", show=kept)
    house.guest.answer(house.alpha, keep=kept, wait=300)
    is_dialled(house, house.guest, 42, "another challenge", show=kept)


@both("refused: the node's own leaf shown to it, also in answer to its own "
      "challenge")
def reflected(house):
    comes(house, house.guest, 42, "another challenge", lie="reflect")
    # By a second connection, the leaf is for this very challenge.
    is_dialled(house, house.guest, 42, "our own name", lie="mirror",
               via=house.alpha.address)


@both("refused: another node's true leaf, relayed by who has not its key")
def relayed(house):
    alpha, since = house.alpha, house.alpha.since()
    beta = member(alpha, "beta", address=False).start()
    house.guest.knows(alpha)
    saw, status, told = house.guest.answer(alpha, lie="mirror",
                                           via=beta.address)
    ok(not saw["handshake"], "the handshake is over")
    equal((saw["alert"], saw["frames"]), (51, []), "alert and frames")
    equal((status, told["attested"]), (1, False), "what node:ping says")
    alpha.wait_event("peer.refused", since, role="client", peer="beta",
                     address=told["address"])
    ok(told["address"] not in [link["address"] for link in alpha.links()],
       "there is a link with who had not the key")


# TLS

COMES_TLS = (
    ("no client certificate", 116, "it has no certificate",
     {"lie": "nocert"}),
    ("no challenge", 40, "does not challenge us", {"lie": "noext"}),
    ("a challenge of another version", 47, "another version of our extension",
     {"lie": "badext"}),
    ("no protocol", 120, "does not say what it wants", {"lie": "noalpn"}),
    ("another protocol", 120, "wants to speak h2, which we do not",
     {"alpn": "h2"}),
    ("a join where no invite is open", 120, "wants to speak claw-join/1, which",
     {"alpn": "claw-join/1", "purpose": 4}),
    ("TLS 1.2", 70, "TLS 1.2 only", {"lie": "tls12"}),
    ("resumption", 40, "tries to resume", {"lie": "psk"}),
    ("0-RTT data", 40, "tries to resume", {"lie": "early"}),
    ("plain HTTP", None, "speaks plain HTTP", {"lie": "http"}),
    ("bytes that are no TLS", None, "speaks no TLS", {"lie": "garbage"}),
    ("a record that is none", None, "", {"lie": "record"}),
    ("silence", None, "not over within 1500 ms", {"lie": "silent"}),
    # It may end with a reset: "connection lost in mid-handshake".
    ("an end in mid-handshake", None, "in mid-handshake",
     {"lie": "midclose"}),
)

DIALLED_TLS = (
    ("a server that asks for no certificate", 40, "asked for no certificate",
     {"lie": "noask"}),
    ("no challenge", 40, "does not challenge us", {"lie": "noext"}),
    ("a challenge of another version", 47, "another version of our extension",
     {"lie": "badext"}),
    ("no protocol", 40, "did not agree to speak claw-mesh/1",
     {"lie": "noalpn"}),
    ("TLS 1.2", None, "speaks no TLS 1.3", {"lie": "tls12"}),
    ("a ServerHello of TLS 1.2", 70, "speaks no TLS 1.3", {"lie": "hello12"}),
    ("plain HTTP", None, "speaks plain HTTP", {"lie": "http"}),
    ("bytes that are no TLS", None, "speaks no TLS", {"lie": "garbage"}),
    ("a record that is none", None, "", {"lie": "record"}),
    ("silence", None, "not over within 1500 ms", {"lie": "silent"}),
    ("an end in mid-handshake", None, "in mid-handshake",
     {"lie": "midclose"}),
)


def points_of_tls():
    for what, alert, reason, options in COMES_TLS:
        @both("refused when it comes: " + what)
        def _(house, alert=alert, reason=reason, options=options):
            alpha, since = house.alpha, house.alpha.since()
            place = house.elsewhere()
            saw = house.guest.connect(alpha.address, **options,
                                      **{"from": place})
            if alert is not None:
                equal(saw["alert"], alert, "the alert that came")
            equal((saw["bytes"], saw["frames"]), (0, []), "data that came")
            alpha.wait_log(reason, since)
            alpha.wait_event("peer.refused", since, reason=reason,
                             address=place, role="server")
            equal(alpha.events("peer.attested", since), [], "attested")
            house.unharmed()
    for what, alert, reason, options in DIALLED_TLS:
        @both("refused when it is dialled: " + what)
        def _(house, alert=alert, reason=reason, options=options):
            alpha, since = house.alpha, house.alpha.since()
            saw, status, told = house.guest.answer(alpha, **options)
            # A reset, because of bytes that we left unread, may overtake
            # our alert; nothing else may.
            if alert is not None and (saw["alert"], saw["end"]) != (
                    -1, "reset"):
                equal(saw["alert"], alert, "the alert that came")
            equal((saw["bytes"], saw["frames"]), (0, []), "data that came")
            equal((status, told["attested"]), (1, False), "node:ping")
            contains(told["reason"], reason, "why, by node:ping")
            alpha.wait_log(reason, since)
            alpha.wait_event("peer.refused", since, reason=reason,
                             role="client", address=told["address"])
            equal(alpha.events("peer.attested", since), [], "attested")


points_of_tls()


@both("a server that would resume later is left")
def tickets(house):
    alpha, since = house.alpha, house.alpha.since()
    saw, status, told = house.guest.answer(alpha, lie="tickets", wait=800)
    equal((status, told["attested"]), (1, False), "node:ping")
    contains(told["reason"], "handshake that is over", "why")
    ok(not ANSWERS & set(saw["frames"]), "it was answered: %r" % saw)
    alpha.wait_log("handshake that is over", since)
    alpha.wait_event("peer.refused", since, role="client",
                     reason="handshake that is over")


@both("plain openssl s_client is refused")
def s_client(house):
    alpha = house.alpha
    for args, reason in (((), "does not challenge us"),
                         (("-tls1_2",), "TLS 1.2 only"),
                         (("-alpn", "claw-mesh/1"), "does not challenge us")):
        since = alpha.since()
        done = subprocess.run(
            ["openssl", "s_client", "-bind", house.elsewhere() + ":0",
             "-connect", alpha.address, *args],
            input="GET / HTTP/1.0\r\n\r\n", text=True, timeout=30,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        ok(done.returncode != 0, "s_client says that it is connected")
        contains(done.stderr, "alert", "what s_client says")
        ok("BEGIN CERTIFICATE" not in done.stdout, "it was shown a leaf")
        alpha.wait_log(reason, since)
        alpha.wait_event("peer.refused", since, reason=reason)


# WELCOME

# What is sent, and what is said of it.
WELCOMES = (
    ("role", "another"), ("head", "another"), ("own", "another"),
    ("peer", "another"), ("exporter", "another"),
    ("type", "before WELCOME"), ("short", "before WELCOME"),
    ("checkpoint", "malformed"),
)


def points_of_welcome():
    for field, reason in WELCOMES:
        @both("WELCOME that differs ends it, who came: " + field)
        def _(house, field=field, reason=reason):
            alpha, since = house.alpha, house.alpha.since()
            place = house.elsewhere()
            saw = house.guest.connect(alpha.address, welcome=field,
                                      then="ping", **{"from": place})
            equal(saw["frames"], [WELCOME], "frames that came")
            ok(saw["end"] != "open", "it was left open")
            alpha.wait_log(reason, since)
            alpha.wait_event("peer.refused", since, reason=reason,
                             address=place, role="server")
            equal(alpha.links(), [], "links")

        @both("WELCOME that differs ends it, who was dialled: " + field)
        def _(house, field=field, reason=reason):
            alpha, since = house.alpha, house.alpha.since()
            saw, status, told = house.guest.answer(alpha, welcome=field,
                                                   then="ping")
            equal(saw["frames"], [], "frames that came")
            ok(saw["end"] != "open", "it was left open")
            equal((status, told["attested"]), (1, False), "node:ping")
            contains(told["reason"], reason, "why, by node:ping")
            alpha.wait_log(reason, since)
            alpha.wait_event("peer.refused", since, reason=reason,
                             address=told["address"], role="client")
            equal(alpha.links(), [], "links")


points_of_welcome()


@both("no WELCOME ends it, whoever dials")
def no_welcome(house):
    comes(house, house.guest, -1, "no WELCOME within", frames=[WELCOME],
          welcome="none")
    is_dialled(house, house.guest, -1, "no WELCOME within", welcome="none")


@both("nothing that is sent before WELCOME is acted on")
def before_welcome(house):
    alpha = house.alpha
    for what in ("ping", "pull", "have", "join", "evidence", "bye", "huge"):
        since = alpha.since()
        saw = house.guest.connect(alpha.address, early=what, wait=1500,
                                  **{"from": house.elsewhere()})
        ok(set(saw["frames"]) <= {WELCOME}, "%s: %r came" % (what, saw))
        ok(saw["end"] != "open", what + " left it open")
        alpha.wait_event("peer.refused", since, reason="before WELCOME",
                         role="server")
        since = alpha.since()
        saw, status, told = house.guest.answer(alpha, early=what, wait=1500)
        equal((saw["frames"], status), ([], 1), what + " to who dialled")
        alpha.wait_event("peer.refused", since, reason="before WELCOME",
                         role="client")
    equal(alpha.registry()["seq"], house.guest.seq, "the registry")


@both("what a stranger sends with its handshake is never acted on")
def stranger_talks(house):
    alpha = house.alpha
    for who in (house.nobody, house.gone, house.other):
        for what in ("ping", "pull", "join"):
            since = alpha.since()
            saw = who.connect(alpha.address, early=what,
                              **{"from": house.elsewhere()})
            equal((saw["bytes"], saw["frames"]), (0, []), "data that came")
            alpha.wait_event("peer.refused", since, peer=who.name)
            equal(alpha.events("peer.attested", since), [], "attested")


# The registry's own links

PULL = {"alpn": "claw-registry/1", "purpose": 5, "then": "pull"}


@both("who has expired may pull the registry, and do nothing else")
def may_pull(house):
    alpha = house.alpha
    for who in (house.late, house.guest):
        saw = who.connect(alpha.address, **PULL, wait=500)
        equal(saw["frames"], [WELCOME, LINES], "frames that came")
    for what in ("have", "join", "evidence"):
        saw = house.late.connect(alpha.address, wait=1500,
                                 **dict(PULL, then=what))
        equal(saw["frames"], [WELCOME, BYE], what + ": frames that came")
        equal(saw["end"], "closed", what + ": the end")
    equal(alpha.links(), [], "links")


@both("refused though it would but pull: who is unknown, revoked, or another")
def may_not_pull(house):
    for who, alert, reason in ((house.nobody, 48, UNKNOWN),
                               (house.gone, 44, REVOKED),
                               (house.other, 42, "not by the key")):
        comes(house, who, alert, reason, **PULL)
    comes(house, house.guest, 42, "is for purpose mesh, and this is registry",
          **dict(PULL, purpose=1))
    comes(house, house.guest, 42, "is for purpose registry, and this is mesh",
          **dict(PULL, alpn="claw-mesh/1"))


# An open invite

JOIN = {"alpn": "claw-join/1", "purpose": 4}


@both("an open invite lets nobody in but who has its ticket")
def invited(house):
    alpha = Peer("alpha", house.alpha.as_user).start()
    made = alpha.claw("node:invite", "--name", "newbie", check=True)
    newbie = Impostor("newbie", 1)
    nobody = house.nobody
    house = SimpleNamespace(alpha=alpha, elsewhere=house.elsewhere)
    comes(house, nobody, 48, "no invite is open for nobody", **JOIN)
    comes(house, newbie, 48, UNKNOWN)
    comes(house, newbie, 48, UNKNOWN, **PULL)
    comes(house, newbie, 42, "is for purpose join, and this is mesh",
          purpose=4)
    for what in ("pull", "have", "evidence"):
        saw = newbie.connect(alpha.address, then=what, **JOIN)
        equal((saw["frames"], saw["end"]), ([WELCOME, BYE], "closed"), what)
    for what in ("ping", "join"):
        _, act = comes(house, newbie, -1, "before WELCOME", early=what,
                       frames=[WELCOME], **JOIN)
        equal((act["peer"], act["purpose"]), ("newbie", "join"), "recorded")
    since = alpha.since()
    saw = newbie.connect(alpha.address, then="join", wait=500, **JOIN)
    equal(saw["frames"][:2], [WELCOME, JOINED], "what a bad JOIN gets")
    alpha.wait_event("peer.refused", since, peer="newbie", purpose="join")
    equal([node["name"] for node in alpha.registry()["nodes"]], ["alpha"],
          "the nodes")
    ok(made.stdout.split()[0] not in alpha.log(), "the ticket is in the log")


# A session under way

AGAIN = (
    ("nonce", "another challenge"), ("prover", "another session's"),
    ("key", "another key than this session's"),
    ("name", "guest was dialled, late answered"),
    ("purpose", "is for purpose registry, and this is mesh"),
    ("peer", "the leaf is for late"), ("replay", "another challenge"),
)


@both("who is challenged again has to prove itself again")
def again(house):
    alpha = Peer("alpha", house.alpha.as_user).start()
    guest = Impostor("guest", 1)
    alpha.add("guest", guest.identity)
    guest.knows(alpha)
    for number, (lie, reason) in enumerate((("", None),) + AGAIN):
        since = alpha.since()
        process = guest.begin(alpha.address, again=lie, wait=4000)
        alpha.wait_links("guest")
        # The registry moves, and so both attest again.
        alpha.add("more%d" % number, Impostor("more", 100 + number).identity)
        if reason is None:
            wait_for(lambda: len(alpha.events("peer.attested", since)) == 2,
                     what="the second record")
            alpha.wait_links("guest")
            process.terminate()
            process.communicate()
        else:
            saw = guest.end(process)
            ok(saw["end"] != "open", "%s left it open" % lie)
            equal(saw["frames"][-1:], [BYE], lie + ": what it was told")
            alpha.wait_event("peer.refused", since, reason=reason,
                             peer="late" if lie == "name" else "guest")
            alpha.wait_log(reason, since)
            equal(len(alpha.events("peer.attested", since)), 1, "attested")
        alpha.wait_links()


@both("who is challenged again and says nothing is left")
def again_silent(house):
    alpha = Peer("alpha", house.alpha.as_user).start()
    guest = Impostor("guest", 1)
    alpha.add("guest", guest.identity)
    guest.knows(alpha)
    process = guest.begin(alpha.address, again="silent", wait=15000)
    alpha.wait_links("guest")
    alpha.add("more", house.nobody.identity)
    saw = guest.end(process)
    equal((saw["end"], saw["frames"][-1:]), ("closed", [BYE]), "the end")
    alpha.wait_links()


@both("who is revoked has no session any more")
def ended(house):
    alpha = Peer("alpha", house.alpha.as_user).start()
    guest = Impostor("guest", 1)
    alpha.add("guest", guest.identity)
    guest.knows(alpha)
    process = guest.begin(alpha.address, wait=15000)
    alpha.wait_links("guest")
    since = alpha.since()
    alpha.revoke("guest")
    saw = guest.end(process)
    equal((saw["end"], saw["frames"][-1:]), ("closed", [BYE]), "the end")
    alpha.wait_event("peer.ended", since, peer="guest", reason=REVOKED,
                     role="server", outcome="denied")
    alpha.wait_log(REVOKED, since)
    saw = guest.connect(alpha.address)
    equal((saw["alert"], saw["bytes"]), (44, 0), "when it comes again")


# Real nodes

def two(house, name, **keywords):
    """A member that has links with nobody until it is told to."""
    return member(house.alpha, name, address=False, **keywords)


def refused_there(house, beta, alert, reason, says):
    """beta dials and alpha refuses it: both logs and records say why."""
    alpha = house.alpha
    here, there = alpha.since(), beta.since()
    status, told = beta.ping(alpha.address)
    equal((status, told["attested"], told["by_peer"], told["alert"]),
          (1, False, True, alert), "what node:ping says")
    contains(told["reason"], says, "why, by node:ping")
    alpha.wait_log(reason, here)
    alpha.wait_event("peer.refused", here, reason=reason, peer=beta.name,
                     role="server")
    beta.wait_log("refused us: " + says, there)
    beta.wait_event("peer.refused", there, reason="refused us: " + says,
                    role="client")
    ok(beta.name not in [link["peer"] for link in alpha.links()], "a link")
    equal(beta.links(), [], "links")


@both("two nodes: revoked, both logs say so")
def node_revoked(house):
    beta = two(house, "beta1")
    house.alpha.revoke("beta1")
    beta.start()
    refused_there(house, beta, 44, REVOKED, "its registry has revoked us (alert 44)")


@both("two nodes: expired, both logs say so")
def node_expired(house):
    beta = two(house, "beta2", expires="1s")
    time.sleep(1.1)
    beta.start()
    refused_there(house, beta, 45, EXPIRED, "our entry in its registry has expired (alert 45)")


@both("two nodes: not yet joined, both logs say so")
def node_unknown(house):
    beta = Peer("beta3", house.alpha.as_user)
    beta.believe(house.alpha)
    beta.start()
    refused_there(house, beta, 48, UNKNOWN, "its registry has no node of our name (alert 48)")


@both("two nodes of two registries: who dials refuses, both logs say so")
def node_of_another_house(house):
    alpha = house.alpha
    beta = Peer("beta4", alpha.as_user).start()
    here, there = alpha.since(), beta.since()
    status, told = beta.ping(alpha.address)
    equal((status, told["attested"], told["by_peer"], told["alert"]),
          (1, False, False, 48), "what node:ping says")
    beta.wait_event("peer.refused", there, reason=UNKNOWN, peer="alpha",
                    role="client")
    beta.wait_log(UNKNOWN, there)
    alpha.wait_log("refused us", here)
    alpha.wait_event("peer.refused", here, reason="refused us",
                     role="server")


@both("a stale registry at the prover: refused; a node pulls, and is let in")
def stale(house):
    alpha = Peer("old", house.alpha.as_user).start()
    alpha.claw("registry:policy", "--soft", "1s", "--hard", "6s", check=True)
    guest = Impostor("guest", 1)
    alpha.add("guest", guest.identity)
    beta = member(alpha, "beta", address=False)
    guest.knows(alpha)
    alpha.add("third", house.other.identity)
    time.sleep(7.1)
    # Our own news is fresh; they have lacked some for longer than they may.
    alpha.add("fourth", house.nobody.identity)
    since = alpha.since()
    saw = guest.connect(alpha.address)
    equal((saw["alert"], saw["bytes"]), (49, 0), "alert and data")
    alpha.wait_log("its registry is stale", since)
    alpha.wait_event("peer.refused", since, reason="its registry is stale",
                     peer="guest", role="server")
    # beta dials by itself: the registry names an address of the other's.
    since = alpha.since()
    beta.start()
    beta.wait_event("peer.refused", reason="had no news", peer="old",
                    role="client")
    beta.wait_log("had no news")
    alpha.wait_log("refused us: it does not allow us now; its log says why (alert 49)", since)
    alpha.wait_event("peer.refused", since, reason="refused us",
                     role="server")
    alpha.add("fifth", house.late.identity)
    wait_for(lambda: beta.registry()["seq"] == alpha.registry()["seq"],
             what="the registry that is pulled")
    alpha.add("sixth", house.gone.identity)
    wait_for(lambda: beta.ping(alpha.address)[0] == 0, what="attested")


if __name__ == "__main__":
    main()
