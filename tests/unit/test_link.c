/* SPDX-License-Identifier: ISC */
/*
 * test_link.c - a link between two real linkds, and a linkd under a peer that
 * has proved who it is and then does not keep to the protocol.
 *
 * The linkds run in their sandbox; the rest of the house is linkkit.c. The
 * wrong peer is a puppet: attested TLS of this program, over which a test
 * sends the bytes that it wants.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/atls.h"
#include "common/welcome.h"
#include "linkd/frame.h"
#include "tests/lib/linkkit.h"

#define MS 20000 /* for a handshake, in tests that are not about it */

static struct side a, b;

static void
socketpair_to(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX,
			     SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			     pair),
	    0);
}

/* Two linkds, ready; a is the client. */
static void
start_both(void)
{
	assert_true(linkkit_start(&a, "alpha", &b));
	assert_true(linkkit_start(&b, "beta", &a));
}

static void
join_both(uint8_t purpose)
{
	int pair[2];

	socketpair_to(pair);
	linkkit_serve(&a, EVIDENCE_CLIENT, purpose, pair[0], MS);
	linkkit_serve(&b, EVIDENCE_SERVER, 0, pair[1], MS);
}

static void
both_up(uint8_t purpose)
{
	join_both(purpose);
	assert_true(linkkit_until_set(&a.up));
	assert_true(linkkit_until_set(&b.up));
}

/* Over in order: told, and exited with 0. */
static void
ended_well(struct side *s)
{
	assert_true(linkkit_until_set(&s->down));
	assert_true(linkkit_until_set(&s->ended));
	assert_int_equal(s->status, 0);
	assert_string_equal(s->fault, "");
}

static void
end_both(void)
{
	linkkit_end(&a);
	linkkit_end(&b);
}

static void
says(const char *text, const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", what, text);
}

static void
test_good_link(void **state)
{
	uint8_t head[32];

	(void)state;
	start_both();
	a.checkpoint = "alpha's log";
	a.theirs = "beta's log as alpha has it";
	b.checkpoint = "beta's log";
	b.theirs = "alpha's log as beta has it";
	a.seq = b.seq = 5;
	both_up(EVIDENCE_MESH);
	assert_int_equal(a.link_up.purpose, EVIDENCE_MESH);
	assert_int_equal(b.link_up.purpose, EVIDENCE_MESH);
	assert_int_equal(a.link_up.seq, 5);
	linkkit_head(5, head);
	assert_memory_equal(a.link_up.head, head, 32);
	assert_true(a.link_up.leaf_us > 0 && a.link_up.verdict_us > 0);
	assert_true(a.link_up.secured_us > a.link_up.verdict_us);
	assert_true(a.link_up.welcome_us >= a.link_up.secured_us);
	assert_true(linkkit_until_set(&a.checked));
	assert_true(linkkit_until_set(&b.checked));
	assert_string_equal(a.mine, "alpha's log as beta has it");
	assert_string_equal(a.yours, "beta's log");
	assert_string_equal(b.mine, "beta's log as alpha has it");
	assert_string_equal(b.yours, "alpha's log");
	linkkit_ping(&a);
	linkkit_ping(&b);
	assert_true(linkkit_until_set(&a.pong));
	assert_true(linkkit_until_set(&b.pong));
	/* Neither pulls from who has the same. */
	assert_int_equal(a.reads + b.reads + a.offers + b.offers, 0);
	(void)chan_send_LINK_CLOSE(a.meshd, 0, -1,
	    &(struct msg_LINK_CLOSE){ .end_of_body = 0 });
	ended_well(&a);
	ended_well(&b);
	assert_int_equal(a.link_down.by_peer, 0);
	assert_int_equal(b.link_down.by_peer, 1);
	assert_false(a.failed || b.failed);
	end_both();
}

/* What attestd holds of either log it is not told again. */
static void
test_nothing_new(void **state)
{
	(void)state;
	start_both();
	a.checkpoint = b.theirs = "alpha's log";
	b.checkpoint = a.theirs = "beta's log";
	a.seq = b.seq = 5;
	both_up(EVIDENCE_MESH);
	(void)chan_send_LINK_CLOSE(a.meshd, 0, -1,
	    &(struct msg_LINK_CLOSE){ .end_of_body = 0 });
	ended_well(&a);
	ended_well(&b);
	assert_false(a.checked || b.checked);
	end_both();
}

static void
test_server_refuses(void **state)
{
	(void)state;
	start_both();
	b.alert = 44;
	join_both(EVIDENCE_MESH);
	ended_well(&a);
	ended_well(&b);
	assert_int_equal(b.link_down.alert, 44);
	assert_int_equal(b.link_down.by_peer, 0);
	assert_string_equal(b.link_down.reason, "the test says so");
	assert_int_equal(a.link_down.alert, 44);
	assert_int_equal(a.link_down.by_peer, 1);
	/* attestd hears of it where it does not know it already. */
	assert_false(b.failed);
	assert_true(a.failed);
	assert_int_equal(a.link_failed.by_peer, 1);
	assert_false(a.up || b.up);
	end_both();
}

static void
test_client_refuses(void **state)
{
	(void)state;
	start_both();
	a.alert = 48;
	join_both(EVIDENCE_MESH);
	ended_well(&a);
	ended_well(&b);
	assert_int_equal(a.link_down.alert, 48);
	assert_int_equal(a.link_down.by_peer, 0);
	assert_int_equal(b.link_down.alert, 48);
	assert_int_equal(b.link_down.by_peer, 1);
	assert_false(a.failed);
	assert_true(b.failed);
	assert_false(a.up || b.up);
	end_both();
}

/* A node whose keyd has no leaf, or whose attestd has no verdict. */
static void
test_no_leaf_no_verdict(void **state)
{
	static const char *const why[] = { "no leaf from keyd: the test",
		"no verdict from attestd: the test", "no leaf from keyd: the",
		"no verdict from attestd: the test" };
	struct side *s;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		start_both();
		s = i < 2 ? &a : &b;
		s->refuse_leaf = i % 2 == 0;
		s->refuse_judge = i % 2 == 1;
		join_both(EVIDENCE_MESH);
		ended_well(&a);
		ended_well(&b);
		says(s->link_down.reason, why[i]);
		assert_false(a.up || b.up);
		end_both();
	}
}

static void
test_keyd_or_attestd_silent(void **state)
{
	struct side *s;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		start_both();
		s = i < 2 ? &a : &b;
		s->mute_leaf = i % 2 == 0;
		s->mute_judge = i % 2 == 1;
		join_both(EVIDENCE_MESH);
		ended_well(&a);
		ended_well(&b);
		assert_true(s->failed);
		assert_false(a.up || b.up);
		end_both();
	}
}

/* The newer registry is pulled, whoever has it; both attest again. */
static void
test_head_moves(void **state)
{
	(void)state;
	start_both();
	a.seq = b.seq = 3;
	both_up(EVIDENCE_MESH);
	assert_int_equal(a.judged, 1);
	assert_int_equal(b.judged, 1);
	linkkit_move_head(&a, 1500); /* more than one frame of lines */
	assert_true(linkkit_until_count(&b.offers, 2));
	while (b.seq != 1500)
		assert_true(linkkit_until_count(&b.offers, b.offers + 1));
	/* a attests b again at once, b has not moved by itself. */
	assert_true(linkkit_until_count(&a.judged, 2));
	linkkit_move_head(&b, 1501);
	assert_true(linkkit_until_count(&b.judged, 2));
	assert_true(linkkit_until_count(&a.offers, 1));
	/* Both at the same moment. */
	linkkit_move_head(&a, 1502);
	linkkit_move_head(&b, 1502);
	assert_true(linkkit_until_count(&a.judged, 3));
	assert_true(linkkit_until_count(&b.judged, 3));
	assert_false(a.down || b.down);
	assert_string_equal(a.fault, "");
	assert_string_equal(b.fault, "");
	end_both();
}

/* Who comes with an older registry pulls by itself. */
static void
test_behind_at_welcome(void **state)
{
	(void)state;
	start_both();
	b.seq = 40;
	both_up(EVIDENCE_MESH);
	assert_true(linkkit_until_count(&a.offers, 1));
	linkkit_wait(50);
	assert_int_equal(a.seq, 40);
	assert_false(a.down || b.down);
	end_both();
}

static void
test_registry_link(void **state)
{
	(void)state;
	start_both();
	b.seq = 12;
	both_up(EVIDENCE_REGISTRY);
	assert_int_equal(b.link_up.purpose, EVIDENCE_REGISTRY);
	linkkit_pull(&a);
	assert_true(linkkit_until_set(&a.pulled));
	assert_int_equal(a.link_pulled.taken, 12);
	assert_string_equal(a.link_pulled.why, "");
	assert_int_equal(a.seq, 12);
	linkkit_ping(&a);
	assert_true(linkkit_until_set(&a.pong));
	/* It is no mesh link: nothing attests again there. */
	linkkit_move_head(&b, 13);
	linkkit_wait(50);
	assert_false(a.down || b.down);
	end_both();
}

static void
test_session_end(void **state)
{
	(void)state;
	start_both();
	both_up(EVIDENCE_MESH);
	linkkit_end_session(&a, "beta was revoked by update 7");
	ended_well(&a);
	ended_well(&b);
	assert_string_equal(a.link_down.reason, "beta was revoked by update 7");
	assert_int_equal(b.link_down.by_peer, 1);
	says(b.link_down.reason, "registry no longer allows");
	assert_false(a.failed || b.failed);
	end_both();
}

static void
test_not_attested_again(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		start_both();
		both_up(EVIDENCE_MESH);
		a.alert = i == 0 ? 44 : 0;
		b.refuse_leaf = i == 1;
		b.mute_leaf = i == 2;
		linkkit_move_head(&a, 1);
		ended_well(&a);
		ended_well(&b);
		if (i == 0)
			says(a.link_down.reason, "not attested again");
		if (i == 1)
			says(b.link_down.reason, "no leaf from keyd");
		if (i == 2)
			says(a.link_down.reason, "did not attest again");
		end_both();
	}
}

/* A verdict that ends soon is renewed before. */
static void
test_before_the_verdict_ends(void **state)
{
	(void)state;
	start_both();
	a.verdict_s = 61;
	both_up(EVIDENCE_MESH);
	assert_true(linkkit_until_count(&a.judged, 3));
	assert_int_equal(b.judged, 1);
	assert_false(a.down || b.down);
	assert_string_equal(a.fault, "");
	end_both();
}

/* The link outlives attestd; the new one judges the peer, too. */
static void
test_another_attestd(void **state)
{
	(void)state;
	start_both();
	both_up(EVIDENCE_MESH);
	linkkit_new_attestd(&a);
	assert_true(linkkit_until_count(&a.judged, 2));
	linkkit_ping(&b);
	assert_true(linkkit_until_set(&b.pong));
	assert_false(a.down || b.down);
	end_both();
}

static void
on_drained(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	*(bool *)arg = m != NULL && m->type == MSG_DRAINED;
}

static void
test_drain(void **state)
{
	struct msg_DRAIN drain = { .timeout_ms = 5000 };
	bool drained = false;

	(void)state;
	start_both();
	both_up(EVIDENCE_MESH);
	(void)chan_send_DRAIN(a.clawd,
	    chan_ask(a.clawd, MSG_DRAIN, on_drained, &drained), -1, &drain);
	assert_true(linkkit_until_set(&drained));
	assert_true(linkkit_until_set(&a.ended));
	assert_int_equal(a.status, 0);
	ended_well(&b);
	says(b.link_down.reason, "stopping");
	end_both();
}

/* The puppet. */

static struct {
	struct atls_ctx *ctx;
	struct atls *tls;
	uint8_t role, purpose;
	bool secured, closed;
	struct welcome mine;
	uint8_t got[70000];
	size_t len;
} p;

static void
puppet_leaf(struct atls *t, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	uint8_t der[EVIDENCE_CERT_MAX];
	size_t n;

	(void)arg;
	assert_int_equal(len, EVIDENCE_SPKI_LEN);
	n = linkkit_leaf(&b, p.role, p.purpose, spki, nonce, b.nonce, der,
	    sizeof(der));
	assert_int_equal(atls_leaf(t, der, n), 0);
}

static void
puppet_verdict(struct atls *t, const uint8_t *leaf, size_t len, void *arg)
{
	(void)leaf;
	(void)len;
	(void)arg;
	assert_int_equal(atls_verdict(t, ATLS_ACCEPT), 0);
}

static void
puppet_secured(struct atls *t, void *arg)
{
	(void)arg;
	p.secured = true;
	p.mine.role = p.role;
	linkkit_head(0, p.mine.head);
	assert_int_equal(atls_leaf_hash(t, ATLS_OWN, p.mine.own_leaf), 0);
	assert_int_equal(atls_leaf_hash(t, ATLS_PEER, p.mine.peer_leaf), 0);
	assert_int_equal(atls_exporter(t, p.mine.exporter), 0);
}

static void
puppet_readable(struct atls *t, void *arg)
{
	ssize_t n;

	(void)arg;
	while ((n = atls_read(t, p.got + p.len, sizeof(p.got) - p.len)) > 0)
		p.len += (size_t)n;
}

static void
puppet_writable(struct atls *t, void *arg)
{
	(void)t;
	(void)arg;
}

static void
puppet_closed(struct atls *t, void *arg)
{
	(void)t;
	(void)arg;
	p.closed = true;
}

static void
puppet_failed(struct atls *t, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	p.closed = true;
	atls_free(t);
	p.tls = NULL;
}

static const struct atls_ops puppet_ops = { puppet_leaf, puppet_verdict,
	puppet_secured, puppet_readable, puppet_writable, puppet_closed,
	puppet_failed };

/* linkd a with the puppet at the other end, as beta. */
static void
start_puppet(uint8_t role, uint8_t purpose, uint32_t ms)
{
	static const char *const names[] = { [EVIDENCE_MESH] = "claw-mesh/1",
		[EVIDENCE_REGISTRY] = "claw-registry/1",
		[EVIDENCE_JOIN] = "claw-join/1" };
	const char *alpns[] = { names[purpose], NULL };
	bool joins = a.joins;
	char why[128];
	int pair[2];

	assert_true(linkkit_start(&a, "alpha", &b));
	a.joins = joins;
	linkkit_identity(&b, "beta", &a);
	memset(b.nonce, 'p', sizeof(b.nonce));
	memset(&p.mine, 0, sizeof(p.mine));
	p.role = role;
	p.purpose = purpose;
	p.secured = p.closed = false;
	p.len = 0;
	if (p.ctx == NULL)
		p.ctx = atls_ctx_new(why, sizeof(why));
	assert_non_null(p.ctx);
	socketpair_to(pair);
	linkkit_serve(&a,
	    role == EVIDENCE_CLIENT ? EVIDENCE_SERVER : EVIDENCE_CLIENT,
	    role == EVIDENCE_CLIENT ? 0 : purpose, pair[0], ms);
	p.tls = atls_new(p.ctx, linkkit_base(), pair[1],
	    role == EVIDENCE_CLIENT ? ATLS_CLIENT : ATLS_SERVER, alpns, b.nonce,
	    atls_key_new(), &puppet_ops, NULL);
	assert_non_null(p.tls);
}

static void
end_puppet(void)
{
	atls_free(p.tls);
	p.tls = NULL;
	end_both();
}

static void
puppet_says_welcome(void)
{
	uint8_t out[WELCOME_FRAME_MAX];
	ssize_t n = welcome_format(&p.mine, out, sizeof(out));

	assert_true(n > 0);
	(void)atls_write(p.tls, out, (size_t)n);
}

static void
puppet_up(uint8_t role, uint8_t purpose)
{
	start_puppet(role, purpose, MS);
	assert_true(linkkit_until_set(&p.secured));
	puppet_says_welcome();
	assert_true(linkkit_until_set(&a.up));
}

static void
puppet_says(const struct frame *f)
{
	static uint8_t out[FRAME_MAX];
	ssize_t n = frame_format(f, out, sizeof(out));

	assert_true(n > 0);
	if (p.tls != NULL)
		(void)atls_write(p.tls, out, (size_t)n);
}

static bool
puppet_heard(void *arg)
{
	uint8_t want = *(uint8_t *)arg, type;
	uint32_t len;
	size_t at = 0;

	while (at + FRAME_HEAD_LEN <= p.len) {
		frame_head_get(p.got + at, &type, &len);
		if (type == want && at + FRAME_HEAD_LEN + len <= p.len)
			return true;
		at += FRAME_HEAD_LEN + len;
	}
	return false;
}

static bool
hears(uint8_t type)
{
	return linkkit_until(puppet_heard, &type);
}

static void
ends_saying(const char *what)
{
	ended_well(&a);
	says(a.link_down.reason, what);
	end_puppet();
}

static void
test_every_field_of_welcome(void **state)
{
	static const char *const field[] = { "role", "registry head",
		"sender's leaf", "receiver's leaf", "exporter" };
	uint8_t role;
	int i;

	(void)state;
	for (role = EVIDENCE_CLIENT; role <= EVIDENCE_SERVER; role++)
		for (i = 0; i < 5; i++) {
			start_puppet(role, EVIDENCE_MESH, MS);
			assert_true(linkkit_until_set(&p.secured));
			if (i == 0)
				p.mine.role =
				    EVIDENCE_CLIENT + EVIDENCE_SERVER - role;
			if (i == 1)
				p.mine.head[31] ^= 1;
			if (i == 2)
				p.mine.own_leaf[0] ^= 0x80;
			if (i == 3)
				p.mine.peer_leaf[7] ^= 1;
			if (i == 4)
				p.mine.exporter[31] ^= 1;
			puppet_says_welcome();
			ended_well(&a);
			assert_false(a.up);
			assert_true(a.failed);
			says(a.link_down.reason, field[i]);
			says(a.link_failed.reason, field[i]);
			/* As a client it has said nothing; not even BYE. */
			if (role == EVIDENCE_SERVER)
				assert_int_equal(p.len, 0);
			end_puppet();
		}
}

static void
test_something_else_than_welcome(void **state)
{
	struct frame ping = { .type = FRAME_PING };
	uint8_t out[WELCOME_FRAME_MAX];
	ssize_t n;

	(void)state;
	start_puppet(EVIDENCE_CLIENT, EVIDENCE_MESH, MS);
	assert_true(linkkit_until_set(&p.secured));
	puppet_says(&ping);
	ends_saying("before WELCOME");
	/* A checkpoint's length that is more than there is. */
	start_puppet(EVIDENCE_SERVER, EVIDENCE_MESH, MS);
	assert_true(linkkit_until_set(&p.secured));
	n = welcome_format(&p.mine, out, sizeof(out));
	assert_true(n > 0);
	out[n - 1] = 1;
	(void)atls_write(p.tls, out, (size_t)n);
	ends_saying("malformed");
	/* Welcome again: once is enough. */
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says_welcome();
	ends_saying("of a type that is none");
}

static void
send_head(uint8_t type, uint32_t len)
{
	uint8_t head[FRAME_HEAD_LEN];

	frame_head_put(head, type, len);
	(void)atls_write(p.tls, head, sizeof(head));
}

static void
test_heads_that_are_none(void **state)
{
	static const struct {
		uint8_t purpose, type;
		uint32_t len;
		const char *what;
	} v[] = { { EVIDENCE_MESH, FRAME_LINES, 0xffffff, "of a length" },
		{ EVIDENCE_MESH, FRAME_LINES, FRAME_BODY_MAX + 1,
		    "of a length" },
		{ EVIDENCE_MESH, FRAME_PING, 9, "of a length" },
		{ EVIDENCE_MESH, FRAME_EVIDENCE, 1025, "of a length" },
		{ EVIDENCE_MESH, 12, 0, "of a type that is none" },
		{ EVIDENCE_MESH, 255, 8, "of a type that is none" },
		{ EVIDENCE_MESH, 0, 0, "of a type that is none" },
		{ EVIDENCE_MESH, FRAME_JOIN, 300, "kind of link" },
		{ EVIDENCE_REGISTRY, FRAME_CHALLENGE, 32, "kind of link" },
		{ EVIDENCE_REGISTRY, FRAME_HAVE, 72, "kind of link" } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		puppet_up(EVIDENCE_CLIENT, v[i].purpose);
		send_head(v[i].type, v[i].len);
		ends_saying(v[i].what);
	}
}

/* Answers to what was not asked, and questions on top of questions. */
static void
test_out_of_turn(void **state)
{
	static const uint8_t body[] = "line 1\n";
	struct frame pong = { .type = FRAME_PONG, .number = 1 };
	struct frame lines = { .type = FRAME_LINES,
		.from = 2,
		.data = body,
		.len = 7 };
	struct frame evidence = { .type = FRAME_EVIDENCE,
		.data = body,
		.len = 7 };
	struct frame challenge = { .type = FRAME_CHALLENGE };
	struct frame pull = { .type = FRAME_PULL };
	struct frame have = { .type = FRAME_HAVE, .seq = 9 };

	(void)state;
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says(&pong);
	ends_saying("PONG to no PING");
	puppet_up(EVIDENCE_SERVER, EVIDENCE_MESH);
	puppet_says(&lines);
	ends_saying("LINES unasked");
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says(&evidence);
	ends_saying("EVIDENCE unasked");
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	a.mute_leaf = true;
	puppet_says(&challenge);
	puppet_says(&challenge);
	ends_saying("CHALLENGE twice");
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says(&pull);
	puppet_says(&pull);
	ends_saying("PULL twice");
	/* Lines of another place than was asked for. */
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says(&have);
	assert_true(hears(FRAME_PULL));
	lines.from = 0;
	puppet_says(&lines);
	ends_saying("not asked for");
	/* And such as would be asked for again for ever. */
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says(&have);
	assert_true(hears(FRAME_PULL));
	lines.from = 1;
	lines.more = 1;
	puppet_says(&lines);
	ends_saying("not asked for");
}

static void
test_flood(void **state)
{
	struct frame ping = { .type = FRAME_PING };
	int i;

	(void)state;
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	for (i = 0; i < 2000 && p.tls != NULL; i++)
		puppet_says(&ping);
	ends_saying("floods");
}

/* Lines that do not follow: from further back, then no more of them. */
static void
test_useless_lines(void **state)
{
	static const uint8_t body[] = "line 77\n";
	struct frame lines = { .type = FRAME_LINES,
		.from = 78,
		.data = body,
		.len = 8 };
	struct frame empty = { .type = FRAME_LINES, .rotations = 1 };
	struct frame have = { .type = FRAME_HAVE, .seq = 78 };
	int i;

	(void)state;
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says(&have);
	for (i = 0; i < 2; i++) {
		assert_true(hears(FRAME_PULL));
		p.len = 0;
		puppet_says(&lines);
	}
	assert_true(hears(FRAME_PULL)); /* of rotations, at last */
	p.len = 0;
	puppet_says(&empty);
	puppet_says(&have); /* again: but it was of no use */
	linkkit_wait(100);
	assert_int_equal(p.len, 0);
	assert_int_equal(a.offers, 2);
	assert_false(a.down);
	end_puppet();
}

/* Rotations of nodes' keys move no head: HAVE says that there are others. */
static void
test_rotations(void **state)
{
	struct frame empty = { .type = FRAME_LINES, .rotations = 1 };
	struct frame have = { .type = FRAME_HAVE, .turns = "other" };

	(void)state;
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says(&have);
	assert_true(hears(FRAME_PULL));
	p.len = 0;
	puppet_says(&empty);
	puppet_says(&have); /* the same again: we have asked */
	linkkit_wait(100);
	assert_int_equal(p.len, 0);
	have.turns[0] ^= 1;
	puppet_says(&have);
	assert_true(hears(FRAME_PULL));
	p.len = 0;
	puppet_says(&empty);
	linkkit_wait(100);
	/* None at all are not others. */
	memset(have.turns, 0, sizeof(have.turns));
	puppet_says(&have);
	linkkit_wait(100);
	assert_int_equal(p.len, 0);
	assert_false(a.down);
	end_puppet();
}

/* Whoever asks and does not read what it gets is given up. */
static void
test_does_not_read(void **state)
{
	struct frame pull = { .type = FRAME_PULL };
	int fill;

	(void)state;
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	a.seq = 100000;
	p.len = sizeof(p.got); /* nothing more is read */
	for (fill = 0; fill < 1000 && !a.down; fill++) {
		puppet_says(&pull);
		linkkit_wait(40);
	}
	ended_well(&a);
	end_puppet();
}

static void
test_stalls(void **state)
{
	static const uint8_t hello[] = { 0x16, 0x03, 0x01 };
	struct frame have = { .type = FRAME_HAVE, .seq = 9 };
	uint8_t out[WELCOME_FRAME_MAX];
	int pair[2], i;
	ssize_t n;

	(void)state;
	/* Not a byte; a few bytes. */
	for (i = 0; i < 4; i++) {
		assert_true(linkkit_start(&a, "alpha", &b));
		socketpair_to(pair);
		if (i % 2 == 1)
			assert_int_equal(write(pair[1], hello, 3), 3);
		linkkit_serve(&a, i < 2 ? EVIDENCE_CLIENT : EVIDENCE_SERVER,
		    i < 2 ? EVIDENCE_MESH : 0, pair[0], 300);
		ended_well(&a);
		assert_true(a.failed);
		says(a.link_down.reason, "within 300 ms");
		close(pair[1]);
		linkkit_end(&a);
	}
	/* No WELCOME; half of one. */
	for (i = 0; i < 4; i++) {
		start_puppet(i < 2 ? EVIDENCE_CLIENT : EVIDENCE_SERVER,
		    EVIDENCE_MESH, 1500);
		assert_true(linkkit_until_set(&p.secured));
		n = welcome_format(&p.mine, out, sizeof(out));
		if (i % 2 == 1)
			(void)atls_write(p.tls, out, (size_t)n - 7);
		ends_saying("no WELCOME within 1500 ms");
	}
	/* No EVIDENCE, no LINES. */
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	linkkit_move_head(&a, 3);
	assert_true(hears(FRAME_CHALLENGE));
	ends_saying("did not attest again within");
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_MESH);
	puppet_says(&have);
	assert_true(hears(FRAME_PULL));
	ends_saying("no LINES within");
}

/* Bytes that are no TLS at all. */
static void
test_no_tls(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\n\r\n";
	int pair[2];

	(void)state;
	assert_true(linkkit_start(&a, "alpha", &b));
	socketpair_to(pair);
	assert_int_equal(write(pair[1], http, sizeof(http)), sizeof(http));
	linkkit_serve(&a, EVIDENCE_SERVER, 0, pair[0], MS);
	ended_well(&a);
	says(a.link_down.reason, "HTTP");
	close(pair[1]);
	linkkit_end(&a);
}

static void
test_join(void **state)
{
	static const uint8_t body[] = "join me";
	struct frame join = { .type = FRAME_JOIN, .data = body, .len = 7 };
	struct frame pull = { .type = FRAME_PULL };

	(void)state;
	a.joins = true;
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_JOIN);
	assert_false(a.checked); /* a stranger's word on logs is nothing */
	puppet_says(&join);
	assert_true(hears(FRAME_JOINED));
	assert_int_equal(a.joined, 1);
	assert_memory_equal(a.join_ask.exporter, p.mine.exporter, 32);
	assert_memory_equal(a.join_ask.own_leaf, p.mine.peer_leaf, 32);
	assert_memory_equal(a.join_ask.peer_leaf, p.mine.own_leaf, 32);
	puppet_says(&pull);
	assert_true(hears(FRAME_LINES));
	end_puppet();
	/* Not before it was added. */
	a.joins = true;
	puppet_up(EVIDENCE_CLIENT, EVIDENCE_JOIN);
	puppet_says(&pull);
	ends_saying("before it was added");
	/* Nor where no invite is open. */
	a.joins = false;
	start_puppet(EVIDENCE_CLIENT, EVIDENCE_JOIN, MS);
	ended_well(&a);
	assert_false(p.secured || a.up);
	end_puppet();
}

/* meshd's orders that make no sense are its violation, not our end. */
static void
test_orders_that_are_none(void **state)
{
	static const struct {
		uint8_t role, purpose;
	} v[] = { { 0, 0 }, { EVIDENCE_SERVER, EVIDENCE_MESH },
		{ EVIDENCE_CLIENT, 0 }, { EVIDENCE_CLIENT, EVIDENCE_VOICE },
		{ 9, EVIDENCE_MESH } };
	size_t i;
	int pair[2];

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_true(linkkit_start(&a, "alpha", &b));
		socketpair_to(pair);
		linkkit_serve(&a, v[i].role, v[i].purpose, pair[0], MS);
		close(pair[1]);
		assert_true(linkkit_until_set(&a.ended));
		assert_int_equal(a.status, 0);
		says(a.fault, "it reported");
		linkkit_end(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_link),
		cmocka_unit_test(test_nothing_new),
		cmocka_unit_test(test_server_refuses),
		cmocka_unit_test(test_client_refuses),
		cmocka_unit_test(test_no_leaf_no_verdict),
		cmocka_unit_test(test_keyd_or_attestd_silent),
		cmocka_unit_test(test_head_moves),
		cmocka_unit_test(test_behind_at_welcome),
		cmocka_unit_test(test_registry_link),
		cmocka_unit_test(test_session_end),
		cmocka_unit_test(test_not_attested_again),
		cmocka_unit_test(test_before_the_verdict_ends),
		cmocka_unit_test(test_another_attestd),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_every_field_of_welcome),
		cmocka_unit_test(test_something_else_than_welcome),
		cmocka_unit_test(test_heads_that_are_none),
		cmocka_unit_test(test_out_of_turn),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_useless_lines),
		cmocka_unit_test(test_rotations),
		cmocka_unit_test(test_does_not_read),
		cmocka_unit_test(test_stalls),
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_orders_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
