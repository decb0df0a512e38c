/* SPDX-License-Identifier: ISC */
/*
 * test_sessions.c - one challenge, one verdict: what a worker that was taken
 * over, with a true leaf of its peer's in its hands, gets attestd to say.
 */
#include <sys/socket.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "attestd/attestd.h"
#include "attestd/joining.h"
#include "attestd/visits.h"
#include "common/atls.h"
#include "common/capability.h"
#include "common/child.h"
#include "common/evidence.h"

#define T0 UINT64_C(1795270000)
#define CAPS UINT64_C(3)
#define AGAIN_MAX 32 /* of sessions.c */
#define STREAMS 8

enum who { AUTHORITY, PEER, WHO_MAX };

static EVP_PKEY *keys[WHO_MAX];
static uint8_t pub[WHO_MAX][32], spki[EVIDENCE_SPKI_LEN];

struct attestd attestd = { .node = "alpha" };

static struct event_base *base;
static struct chan *link_here, *link_there, *mesh_here, *mesh_there;
static uint64_t boot_s;
static uint8_t nonce[32];
static uint8_t refusal[AUDITREC_MAX_LEN];
static size_t refusal_len;
static unsigned int attested, refusals, told, violations;
static enum proc broker, worker;
static struct {
	chan_done *done;
	void *arg;
} held[STREAMS + 1]; /* records that are not durable yet */
static unsigned int helds;
static bool hold;
static unsigned int accepted, ended; /* verdicts */
static int alert; /* of the last JUDGE; -1: it was refused as a request */
static bool renonced;
static char text[256];

static void
sign(enum who who, const void *p, size_t len, uint8_t sig[64])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = 64;

	assert_int_equal(EVP_DigestSignInit(c, NULL, NULL, NULL, keys[who]), 1);
	assert_int_equal(EVP_DigestSign(c, sig, &n, p, len), 1);
	EVP_MD_CTX_free(c);
}

/* What the room calls. */

uint64_t
attestd_now(void)
{
	return T0 + 100;
}

uint64_t
attestd_boot(void)
{
	return boot_s;
}

bool
attestd_record(struct auditrec *r, chan_done *done, void *arg)
{
	struct msg m = { .type = MSG_AUDIT_APPENDED };

	attested += auditrec_msg(r)->event == AUDIT_PEER_ATTESTED;
	if (auditrec_msg(r)->event == AUDIT_PEER_REFUSED) {
		refusals++;
		refusal_len = r->w.len;
		memcpy(refusal, r->attrs, refusal_len);
	}
	if (done != NULL && hold) {
		held[helds].done = done;
		held[helds++].arg = arg;
	} else if (done != NULL)
		done(NULL, &m, arg);
	return true;
}

struct event_base *
child_base(void)
{
	return base;
}

struct chan *
child_peer(enum proc peer)
{
	return peer == broker ? mesh_here : NULL;
}

uint32_t
child_session(const struct chan *c)
{
	return c == link_here ? 7 : 0;
}

void
child_violation(struct chan *c, const struct msg *m, const char *reason)
{
	(void)c;
	(void)m;
	violations++;
	print_message("violation: %s\n", reason);
}

const char *
joining_refuses(const struct evidence *ev, const uint8_t sig[EVIDENCE_SIG_LEN])
{
	(void)ev;
	(void)sig;
	return "this node joins nobody";
}

bool
invite_any_open(void)
{
	return false;
}

bool
invite_is_open(const char *name)
{
	(void)name;
	return false;
}

bool
refusals_singly(const char *address)
{
	(void)address;
	return true;
}

/* Both ends of both channels. */

static void
on_attested(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
	told++;
}

static const struct chan_handlers handlers[] = {
	{ MSG_SESSION_OPEN, sessions_on_open },
	{ MSG_JUDGE, sessions_on_judge },
	{ MSG_RENONCE, sessions_on_renonce },
	{ MSG_STRANGER, sessions_on_stranger },
	{ MSG_SESSION_ATTESTED, on_attested },
	{ 0, NULL },
};

static void
closed(struct chan *c)
{
	(void)c;
}

static void
violation(struct chan *c, uint16_t type, const char *reason)
{
	(void)c;
	fail_msg("%s: %s", msg_name(type), reason);
}

static const struct chan_ops ops = { handlers, closed, violation };

static void
pair_of(enum proc peer, struct chan **here, struct chan **there)
{
	int fd[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	*here = chan_new(base, fd[0], PROC_ATTESTD, peer, &ops, NULL);
	*there = chan_new(base, fd[1], peer, PROC_ATTESTD, &ops, NULL);
	chan_set_when(*here, WHEN_RUN);
	chan_set_when(*there, WHEN_RUN);
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
apply(struct registry_update *u)
{
	static uint8_t bytes[REGUPDATE_SIGNED_MAX];
	static char line[REGISTRY_LINE_MAX];
	struct registry_signature s;
	const char *why = "";
	ssize_t n;

	u->v = REGISTRY_VERSION;
	u->time_s = T0;
	if (u->op != REGISTRY_GENESIS)
		assert_null(registry_propose(attestd.registry, u));
	n = regupdate_signed_bytes(u, bytes, sizeof(bytes));
	assert_true(n > 0);
	memcpy(s.kid, pub[AUTHORITY], sizeof(s.kid));
	sign(AUTHORITY, bytes, (size_t)n, s.sig);
	n = regupdate_line(u, &s, 1, line, sizeof(line));
	assert_true(n > 0);
	if (u->op == REGISTRY_GENESIS) {
		assert_int_equal(
		    registry_genesis_hash(line, (size_t)n, attestd.genesis), 0);
		attestd.registry = registry_new(attestd.genesis);
	}
	assert_int_equal(
	    registry_apply(attestd.registry, line, (size_t)n, &why), 0);
}

static void
on_opened(struct chan *c, struct msg *m, void *arg)
{
	struct msg_SESSION_OPENED opened;

	(void)c;
	(void)arg;
	assert_int_equal(m->type, MSG_SESSION_OPENED);
	assert_true(msg_get_SESSION_OPENED(&m->body, &opened));
	memcpy(nonce, opened.nonce, sizeof(nonce));
}

static int
setup_for(enum proc of, enum proc by)
{
	struct msg_SESSION_OPEN open = { .session = 7,
		.role = EVIDENCE_SERVER,
		.address = "192.0.2.9:4711" };
	struct registry_update u = { .op = REGISTRY_GENESIS,
		.windows = { 86400, 1209600 },
		.set = { .count = 1, .threshold = 1 } };

	broker = of;
	worker = by;
	boot_s += 100000;
	attested = refusals = told = violations = helds = accepted = ended = 0;
	hold = false;
	memcpy(u.set.authority[0], pub[AUTHORITY], 32);
	apply(&u);
	memset(&u, 0, sizeof(u));
	u.op = REGISTRY_NODE_ADD;
	snprintf(u.node.name, sizeof(u.node.name), "beta");
	memcpy(u.node.identity, pub[PEER], 32);
	memset(u.node.sealing, 0x55, 32);
	u.node.capabilities = CAPS;
	apply(&u);
	pair_of(worker, &link_here, &link_there);
	pair_of(broker, &mesh_here, &mesh_there);
	sessions_worker(link_here, true);
	(void)chan_send_SESSION_OPEN(mesh_there,
	    chan_ask(mesh_there, MSG_SESSION_OPEN, on_opened, NULL), -1, &open);
	turn();
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_for(PROC_MESHD, PROC_LINKD);
}

static int
setup_transfer(void **state)
{
	(void)state;
	return setup_for(PROC_SFTD, PROC_XFERD);
}

static int
teardown(void **state)
{
	(void)state;
	sessions_worker(link_here, false);
	chan_free(link_here);
	chan_free(link_there);
	chan_free(mesh_here);
	chan_free(mesh_there);
	registry_free(attestd.registry);
	return 0;
}

static void
on_answer(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REFUSED no;
	struct msg_VERDICT v;
	struct msg_NONCE n;

	(void)c;
	(void)arg;
	if (m == NULL)
		return;
	if (m->type == MSG_REFUSED) {
		assert_true(msg_get_REFUSED(&m->body, &no));
		snprintf(text, sizeof(text), "%.255s", no.text);
	} else if (m->type == MSG_VERDICT) {
		assert_true(msg_get_VERDICT(&m->body, &v));
		alert = v.alert;
		accepted += v.alert == ATLS_ACCEPT;
		ended += strstr(v.reason, "has ended") != NULL;
		snprintf(text, sizeof(text), "%s", v.reason);
	} else {
		assert_true(msg_get_NONCE(&m->body, &n));
		memcpy(nonce, n.nonce, sizeof(nonce));
		renonced = true;
	}
}

/* Beta's true leaf over that challenge. */
static int
judge_over(const uint8_t challenge[32])
{
	uint8_t purpose = broker == PROC_SFTD ? EVIDENCE_SFT : EVIDENCE_MESH;
	struct evidence ev = { .role = EVIDENCE_CLIENT,
		.purpose = purpose,
		.name = "beta",
		.peer = "alpha",
		.seq = registry_seq(attestd.registry),
		.not_before = (int64_t)T0,
		.not_after = (int64_t)T0 + 300 };
	uint8_t tbs[EVIDENCE_TBS_MAX], leaf[EVIDENCE_CERT_MAX], sig[64];
	struct msg_JUDGE want = { .purpose = purpose, .leaf = leaf };
	ssize_t n;

	memcpy(ev.verifier_nonce, challenge, sizeof(ev.verifier_nonce));
	memcpy(ev.head, registry_head(attestd.registry), sizeof(ev.head));
	memcpy(ev.spki, spki, sizeof(ev.spki));
	assert_int_equal(capability_digest(CAPS, ev.caps), 0);
	n = evidence_tbs(&ev, tbs, sizeof(tbs));
	assert_true(n > 0);
	sign(PEER, tbs, (size_t)n, sig);
	n = evidence_cert(tbs, (size_t)n, sig, leaf, sizeof(leaf));
	assert_true(n > 0);
	want.leaf_len = (uint16_t)n;
	alert = -1;
	(void)chan_send_JUDGE(link_there,
	    chan_ask(link_there, MSG_JUDGE, on_answer, NULL), -1, &want);
	turn();
	return alert;
}

/* Over the one that was given last. */
static int
judge_leaf(void)
{
	return judge_over(nonce);
}

static bool
renonce(void)
{
	struct msg_RENONCE want = { 0 };

	renonced = false;
	(void)chan_send_RENONCE(link_there,
	    chan_ask(link_there, MSG_RENONCE, on_answer, NULL), -1, &want);
	turn();
	return renonced;
}

/* The promises. */

static void
test_once(void **state)
{
	(void)state;
	assert_int_equal(judge_leaf(), ATLS_ACCEPT);
	assert_int_equal(attested, 1);
	assert_int_equal(told, 1);
	/* The same leaf, over the same challenge. */
	assert_int_not_equal(judge_leaf(), ATLS_ACCEPT);
	assert_int_equal(attested, 1);
	assert_int_equal(refusals, 1);
	assert_int_equal(told, 1);
	/* That was the end of the session. */
	assert_false(renonce());
	assert_int_equal(judge_leaf(), -1);
	assert_int_equal(attested, 1);
}

static void
test_fresh(void **state)
{
	(void)state;
	assert_int_equal(judge_leaf(), ATLS_ACCEPT);
	assert_true(renonce());
	assert_int_equal(judge_leaf(), ATLS_ACCEPT);
	assert_int_equal(attested, 2);
}

/* A second challenge takes the place of the first. */
static void
test_old_challenge(void **state)
{
	uint8_t old[32];

	(void)state;
	memcpy(old, nonce, sizeof(old));
	assert_true(renonce());
	memcpy(nonce, old, sizeof(nonce));
	assert_int_not_equal(judge_leaf(), ATLS_ACCEPT);
	assert_int_equal(attested, 0);
}

static void
test_late(void **state)
{
	(void)state;
	boot_s += 31;
	assert_int_not_equal(judge_leaf(), ATLS_ACCEPT);
	assert_int_equal(attested, 0);
}

/* What it makes us record is bounded. */
static void
test_again_and_again(void **state)
{
	int i;

	(void)state;
	assert_int_equal(judge_leaf(), ATLS_ACCEPT);
	for (i = 0; i < AGAIN_MAX; i++) {
		assert_true(renonce());
		assert_int_equal(judge_leaf(), ATLS_ACCEPT);
	}
	assert_false(renonce());
	assert_non_null(strstr(text, "often enough"));
	assert_int_equal(attested, 1 + AGAIN_MAX);
	boot_s += 3600;
	assert_true(renonce());
	assert_int_equal(judge_leaf(), ATLS_ACCEPT);
}

static void
test_too_many_visits(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < VISITS_BURST; i++)
		assert_true(visits_allow("beta", boot_s));
	assert_int_equal(judge_leaf(), ATLS_POLICY);
	assert_non_null(strstr(text, "comes too often"));
	assert_int_equal(attested, 0);
	assert_int_equal(refusals, 1);
	assert_int_equal(told, 0);
}

/* The peer is known, and there are so many challenges more. */
static void
challenges(uint8_t given[][32], unsigned int n)
{
	unsigned int i, k;

	assert_int_equal(judge_leaf(), ATLS_ACCEPT);
	for (i = 0; i < n; i++) {
		assert_true(renonce());
		memcpy(given[i], nonce, 32);
		for (k = 0; k < i; k++)
			assert_memory_not_equal(given[k], given[i], 32);
	}
}

/* A transfer's streams are attested in any order, each once. */
static void
test_side_by_side(void **state)
{
	uint8_t given[STREAMS][32];
	int i;

	(void)state;
	challenges(given, STREAMS);
	for (i = STREAMS - 1; i >= 0; i--)
		assert_int_equal(judge_over(given[i]), ATLS_ACCEPT);
	assert_int_equal(attested, 1 + STREAMS);
	assert_int_not_equal(judge_over(given[3]), ATLS_ACCEPT);
	assert_int_equal(attested, 1 + STREAMS);
	assert_int_equal(refusals, 1);
	assert_false(renonce());
}

/* There are no more of them than streams: the oldest is open no more. */
static void
test_one_too_many(void **state)
{
	uint8_t given[STREAMS + 1][32];

	(void)state;
	challenges(given, STREAMS + 1);
	assert_int_equal(judge_over(given[1]), ATLS_ACCEPT);
	assert_int_not_equal(judge_over(given[0]), ATLS_ACCEPT);
	assert_int_equal(attested, 2);
}

/* Each is open for its own time. */
static void
test_one_late(void **state)
{
	uint8_t given[2][32];

	(void)state;
	challenges(given, 1);
	boot_s += 31;
	assert_true(renonce());
	assert_int_equal(judge_leaf(), ATLS_ACCEPT);
	assert_int_not_equal(judge_over(given[0]), ATLS_ACCEPT);
	assert_int_equal(attested, 2);
}

/* Before it is known who the peer is, there is one. */
static void
test_one_before(void **state)
{
	uint8_t first[32];

	(void)state;
	memcpy(first, nonce, sizeof(first));
	assert_true(renonce());
	assert_int_not_equal(judge_over(first), ATLS_ACCEPT);
	assert_int_equal(attested, 0);
}

static void
release(void)
{
	struct msg m = { .type = MSG_AUDIT_APPENDED };
	unsigned int i;

	for (i = 0; i < helds; i++)
		held[i].done(NULL, &m, held[i].arg);
	helds = 0;
	hold = false;
	turn();
}

/* Verdicts that wait for the disk side by side. */
static void
test_waiting(void **state)
{
	uint8_t given[STREAMS][32];
	int i;

	(void)state;
	challenges(given, STREAMS);
	hold = true;
	for (i = 0; i < STREAMS; i++)
		assert_int_equal(judge_over(given[i]), -1);
	assert_int_equal(told, 1);
	release();
	assert_int_equal(told, 1 + STREAMS);
	assert_int_equal(accepted, 1 + STREAMS);
	assert_int_equal(violations, 0);
}

/* One that is refused is the end of all of them. */
static void
test_waiting_refused(void **state)
{
	uint8_t given[2][32];

	(void)state;
	challenges(given, 2);
	hold = true;
	assert_int_equal(judge_over(given[0]), -1);
	assert_int_equal(judge_over(given[0]), -1);
	/* The refusal is durable first. */
	held[2] = held[0];
	held[0] = held[1];
	held[1] = held[2];
	release();
	assert_int_equal(accepted, 1);
	assert_int_equal(ended, 1);
	assert_int_equal(told, 1);
}

/* It ends while they wait. */
static void
test_waiting_gone(void **state)
{
	uint8_t given[2][32];

	(void)state;
	challenges(given, 2);
	hold = true;
	assert_int_equal(judge_over(given[0]), -1);
	assert_int_equal(judge_over(given[1]), -1);
	sessions_worker(link_here, false);
	release();
	assert_int_equal(accepted, 1);
	assert_int_equal(told, 1);
}

/* A link has one at a time. */
static void
test_link_floods(void **state)
{
	(void)state;
	hold = true;
	assert_int_equal(judge_leaf(), -1);
	assert_int_equal(judge_leaf(), -1);
	assert_int_equal(violations, 1);
	release();
	assert_int_equal(attested, 1);
}

static int
group_setup(void **state)
{
	EVP_PKEY *ec = EVP_EC_gen("P-256");
	uint8_t seed[32], *p = spki;
	size_t i, n;

	(void)state;
	base = event_base_new();
	for (i = 0; i < WHO_MAX; i++) {
		memset(seed, (int)i + 1, sizeof(seed));
		keys[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
		    seed, sizeof(seed));
		n = 32;
		if (keys[i] == NULL ||
		    EVP_PKEY_get_raw_public_key(keys[i], pub[i], &n) != 1)
			return -1;
	}
	n = (size_t)i2d_PUBKEY(ec, &p);
	EVP_PKEY_free(ec);
	return n == sizeof(spki) ? 0 : -1;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TRANSFER(f) cmocka_unit_test_setup_teardown(f, setup_transfer, teardown)

/* What the last refusal's record has there; NULL: nothing. */
static const struct auditrec_attr *
refusal_has(enum audit_attr which)
{
	static struct auditrec_attr found[AUDITREC_MAX_ATTRS];
	int i, n = auditrec_read(refusal, refusal_len, found);

	assert_true(n > 0);
	for (i = 0; i < n; i++)
		if (found[i].def == audit_attr_def(which))
			return &found[i];
	return NULL;
}

static void
refusal_says(enum audit_attr which, const char *says)
{
	const struct auditrec_attr *a = refusal_has(which);

	assert_non_null(a);
	assert_int_equal(a->len, strlen(says));
	assert_memory_equal(a->data, says, a->len);
}

/* Sent away without a session: recorded all the same, and of no session. */
static void
test_stranger(void **state)
{
	static const char *const reasons[] = { "peer said nothing",
		"peer speaks no TLS", "its route leads nowhere",
		"it is a stranger" };
	struct msg_STRANGER who = { .address = "192.0.2.77:1" };

	(void)state;
	for (who.how = 0; who.how < 4; who.how++) {
		(void)chan_send_STRANGER(mesh_there, 0, -1, &who);
		turn();
		assert_int_equal(refusals, who.how + 1);
		refusal_says(AUDIT_ATTR_ADDRESS, who.address);
		refusal_says(AUDIT_ATTR_REASON, reasons[who.how]);
		assert_null(refusal_has(AUDIT_ATTR_SESSION));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_once),
		CASE(test_fresh),
		CASE(test_old_challenge),
		CASE(test_late),
		CASE(test_again_and_again),
		CASE(test_too_many_visits),
		CASE(test_link_floods),
		CASE(test_stranger),
		TRANSFER(test_side_by_side),
		TRANSFER(test_one_too_many),
		TRANSFER(test_one_late),
		TRANSFER(test_one_before),
		TRANSFER(test_waiting),
		TRANSFER(test_waiting_refused),
		TRANSFER(test_waiting_gone),
	};

	return cmocka_run_group_tests_name("sessions", tests, group_setup,
	    NULL);
}
