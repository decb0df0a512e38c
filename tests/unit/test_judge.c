/* SPDX-License-Identifier: ISC */
/*
 * test_judge.c - who is let in, and for what reason who is not.
 *
 * One leaf that is right in everything, for either role, and then one change
 * at a time: of the leaf, of what this end knows, or of the registry.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "attestd/judge.h"
#include "common/atls.h"
#include "common/capability.h"

#define T0 UINT64_C(1795270000) /* of the genesis */
#define SOFT_S 1000
#define HARD_S 5000
#define CAPS UINT64_C(0x5)
#define EXPIRY_S (T0 + 2000)

/* Keys, each of a seed of its own. */
enum who {
	AUTHORITY,
	HOME,
	PEER,
	PEER_NEXT,
	PEER_THIRD,
	PEER_OTHER,
	GUEST,
	STRANGER,
	WHO_MAX
};

static EVP_PKEY *keys[WHO_MAX];
static registry_key pub[WHO_MAX];
static uint8_t spki[2][EVIDENCE_SPKI_LEN];

static struct registry *reg;
static struct judge_session session;
static struct evidence leaf;
static struct judgement got;
static uint8_t nonce[32], prover[32];

static int
group_setup(void **state)
{
	uint8_t seed[32], *p;
	EVP_PKEY *ec;
	size_t i, n;

	(void)state;
	for (i = 0; i < WHO_MAX; i++) {
		memset(seed, (int)i + 1, sizeof(seed));
		keys[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
		    seed, sizeof(seed));
		n = sizeof(pub[i]);
		if (keys[i] == NULL ||
		    EVP_PKEY_get_raw_public_key(keys[i], pub[i], &n) != 1)
			return -1;
	}
	for (i = 0; i < 2; i++) {
		ec = EVP_EC_gen("P-256");
		p = spki[i];
		if (ec == NULL || i2d_PUBKEY(ec, &p) != EVIDENCE_SPKI_LEN)
			return -1;
		EVP_PKEY_free(ec);
	}
	return 0;
}

static int
group_teardown(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < WHO_MAX; i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

static void
sign(enum who who, const void *text, size_t len, uint8_t sig[64])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = 64;

	assert_int_equal(EVP_DigestSignInit(c, NULL, NULL, NULL, keys[who]), 1);
	assert_int_equal(EVP_DigestSign(c, sig, &n, text, len), 1);
	EVP_MD_CTX_free(c);
}

/* The registry. */

static size_t
line_of(const struct registry_update *u, char *line)
{
	static uint8_t text[REGUPDATE_SIGNED_MAX];
	struct registry_signature s;
	ssize_t n;

	n = regupdate_signed_bytes(u, text, sizeof(text));
	assert_true(n > 0);
	memcpy(s.kid, pub[AUTHORITY], sizeof(s.kid));
	sign(AUTHORITY, text, (size_t)n, s.sig);
	n = regupdate_line(u, &s, 1, line, REGISTRY_LINE_MAX);
	assert_true(n > 0);
	return (size_t)n;
}

/* An update that an authority signed at that time. */
static void
order(struct registry_update *u, uint64_t time_s)
{
	static char line[REGISTRY_LINE_MAX];
	const char *why;
	size_t n;

	u->time_s = time_s;
	why = registry_propose(reg, u);
	if (why != NULL)
		fail_msg("%s", why);
	n = line_of(u, line);
	assert_int_equal(registry_apply(reg, line, n, &why), 0);
}

static struct registry_update
adds(const char *name, enum who who, uint64_t expiry_s)
{
	struct registry_update u = { .op = REGISTRY_NODE_ADD };

	snprintf(u.node.name, sizeof(u.node.name), "%s", name);
	memcpy(u.node.identity, pub[who], sizeof(registry_key));
	memset(u.node.sealing, 0x55, sizeof(registry_key));
	u.node.has_next = true;
	assert_int_equal(regupdate_next_hash(pub[PEER_NEXT], u.node.next), 0);
	u.node.capabilities = CAPS;
	u.node.expiry_s = expiry_s;
	return u;
}

static struct registry_update
revokes(const char *name)
{
	struct registry_update u = { .op = REGISTRY_NODE_REVOKE };

	snprintf(u.node.name, sizeof(u.node.name), "%s", name);
	return u;
}

static void
said_fresh(uint64_t time_s)
{
	struct registry_update u = { .op = REGISTRY_FRESH };

	order(&u, time_s);
}

/* "peer" replaces its key by the one it committed to. */
static enum registry_turn
rotates(uint64_t time_s, uint8_t sealing)
{
	static char line[REGISTRY_LINE_MAX];
	static uint8_t text[REGUPDATE_SIGNED_MAX];
	struct registry_rotation t = { .v = REGISTRY_VERSION,
		.name = "peer",
		.ksn = 1,
		.has_next = true,
		.time_s = time_s };
	struct registry_signature s;
	const char *why;
	ssize_t n;

	memcpy(t.prev,
	    registry_hash_at(reg, registry_node(reg, "peer")->added_seq),
	    sizeof(t.prev));
	memcpy(t.identity, pub[PEER_NEXT], sizeof(t.identity));
	memset(t.sealing, sealing, sizeof(t.sealing));
	assert_int_equal(regupdate_next_hash(pub[PEER_THIRD], t.next), 0);
	n = regupdate_rotation_signed_bytes(&t, text, sizeof(text));
	assert_true(n > 0);
	memcpy(s.kid, pub[PEER_NEXT], sizeof(s.kid));
	sign(PEER_NEXT, text, (size_t)n, s.sig);
	n = regupdate_rotation_line(&t, &s, 1, line, sizeof(line));
	assert_true(n > 0);
	return registry_rotate(reg, line, (size_t)n, &why);
}

static void
found_registry(void)
{
	struct registry_update u = { .v = REGISTRY_VERSION,
		.op = REGISTRY_GENESIS,
		.time_s = T0,
		.windows = { SOFT_S, HARD_S },
		.set = { .count = 1, .threshold = 1 } };
	static char line[REGISTRY_LINE_MAX];
	registry_hash pin;
	const char *why;
	size_t n;

	memcpy(u.set.authority[0], pub[AUTHORITY], sizeof(registry_key));
	n = line_of(&u, line);
	assert_int_equal(registry_genesis_hash(line, n, pin), 0);
	reg = registry_new(pin);
	assert_non_null(reg);
	assert_int_equal(registry_apply(reg, line, n, &why), 0);
	u = adds("home", HOME, 0);
	order(&u, T0 + 1);
	u = adds("peer", PEER, 0);
	order(&u, T0 + 2);
	u = adds("guest", GUEST, EXPIRY_S);
	order(&u, T0 + 3);
}

/* The leaf and this end. */

static void
at(uint64_t now_s)
{
	session.now_s = now_s;
	leaf.not_before = (int64_t)now_s - 300;
	leaf.not_after = (int64_t)now_s + 300;
}

/* The peer's registry is the one that we have up to there. */
static void
peer_is_at(uint64_t seq)
{
	leaf.seq = seq;
	memcpy(leaf.head, registry_hash_at(reg, seq), sizeof(leaf.head));
}

static int
setup(void **state)
{
	(void)state;
	found_registry();
	memset(nonce, 0xa1, sizeof(nonce));
	memset(prover, 0xb2, sizeof(prover));
	session = (struct judge_session){ .self = "home",
		.role = EVIDENCE_SERVER,
		.purpose = EVIDENCE_MESH,
		.dialled = "",
		.nonce = nonce,
		.prover = prover };
	leaf = (struct evidence){ .role = EVIDENCE_CLIENT,
		.purpose = EVIDENCE_MESH,
		.name = "peer",
		.peer = "home" };
	memcpy(leaf.verifier_nonce, nonce, sizeof(nonce));
	memcpy(leaf.prover_nonce, prover, sizeof(prover));
	memcpy(leaf.spki, spki[0], sizeof(leaf.spki));
	capability_digest(CAPS, leaf.caps);
	peer_is_at(registry_seq(reg));
	at(T0 + 10);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	registry_free(reg);
	reg = NULL;
	return 0;
}

/* We dialled it. */
static void
as_client(void)
{
	session.role = EVIDENCE_CLIENT;
	session.dialled = "peer";
	leaf.role = EVIDENCE_SERVER;
	leaf.peer[0] = '\0';
}

static void
for_registry(void)
{
	session.purpose = leaf.purpose = EVIDENCE_REGISTRY;
}

static void
present(enum who signer)
{
	uint8_t tbs[EVIDENCE_TBS_MAX], cert[EVIDENCE_CERT_MAX], sig[64];
	ssize_t n;

	n = evidence_tbs(&leaf, tbs, sizeof(tbs));
	assert_true(n > 0);
	sign(signer, tbs, (size_t)n, sig);
	n = evidence_cert(tbs, (size_t)n, sig, cert, sizeof(cert));
	assert_true(n > 0);
	memset(&got, 0xff, sizeof(got));
	judge(reg, &session, cert, (size_t)n, &got);
}

static void
passes_by(enum who signer)
{
	present(signer);
	if (got.alert != ATLS_ACCEPT)
		print_error("refused: %s\n", got.reason);
	assert_int_equal(got.alert, ATLS_ACCEPT);
	assert_string_equal(got.reason, "");
	assert_string_equal(got.peer, leaf.name);
}

static void
fails_by(enum who signer, uint8_t alert, const char *reason)
{
	present(signer);
	if (got.alert != alert || strstr(got.reason, reason) == NULL)
		print_error("alert %u: %s\n", got.alert, got.reason);
	assert_int_equal(got.alert, alert);
	assert_non_null(strstr(got.reason, reason));
	assert_string_equal(got.peer, leaf.name);
}

#define passes() passes_by(PEER)
#define fails(alert, reason) fails_by(PEER, alert, reason)

/* What it takes to be let in, and what follows from it. */
static void
test_let_in(void **state)
{
	(void)state;
	passes();
	assert_memory_equal(got.key, pub[PEER], sizeof(got.key));
	assert_int_equal(got.capabilities, CAPS);
	assert_int_equal(got.until_s, session.now_s + JUDGE_SESSION_S);
	assert_false(got.newer);
	assert_false(got.fork);
	assert_false(got.skewed);
	assert_memory_equal(&got.ev, &leaf, sizeof(leaf));
	as_client();
	passes();
	/* Nobody was dialled by name: whoever answers, if we know it. */
	session.dialled = "";
	passes();
	/* Again, within a session: each knows the other then. */
	session.dialled = "peer";
	session.spki = spki[0];
	snprintf(leaf.peer, sizeof(leaf.peer), "home");
	passes();
}

static void
test_no_leaf(void **state)
{
	uint8_t bytes[EVIDENCE_CERT_MAX] = { 0x30, 0x82 };

	(void)state;
	judge(reg, &session, bytes, sizeof(bytes), &got);
	assert_int_equal(got.alert, ATLS_BAD);
	assert_string_equal(got.peer, "");
	assert_non_null(strstr(got.reason, "no leaf certificate"));
	judge(reg, &session, bytes, 0, &got);
	assert_int_equal(got.alert, ATLS_BAD);
}

/* Replayed, or made for another's challenge. */
static void
test_challenge(void **state)
{
	(void)state;
	session.nonce = NULL;
	fails(ATLS_BAD, "no challenge of ours that is still open");
	session.nonce = nonce;
	leaf.verifier_nonce[31] ^= 1;
	fails(ATLS_BAD, "another challenge");
	leaf.verifier_nonce[31] ^= 1;
	leaf.verifier_nonce[0] ^= 0x80;
	fails(ATLS_BAD, "another challenge");
}

static void
test_another_session(void **state)
{
	(void)state;
	leaf.prover_nonce[31] ^= 1;
	fails(ATLS_BAD, "another session's");
	leaf.prover_nonce[31] ^= 1;
	session.spki = spki[1];
	fails(ATLS_BAD, "another key than this session's");
	session.spki = spki[0];
	passes();
}

static void
test_reflected(void **state)
{
	(void)state;
	leaf.role = EVIDENCE_SERVER;
	fails(ATLS_BAD, "speaks as server, as we do");
	leaf.role = EVIDENCE_CLIENT;
	as_client();
	leaf.role = EVIDENCE_CLIENT;
	fails(ATLS_BAD, "speaks as client, as we do");
	/* A call's roles are none of a link's. */
	session.purpose = leaf.purpose = EVIDENCE_VOICE;
	leaf.role = EVIDENCE_CALLER;
	fails(ATLS_BAD, "speaks as caller");
}

static void
test_own_name(void **state)
{
	(void)state;
	as_client();
	session.dialled = "";
	snprintf(leaf.name, sizeof(leaf.name), "home");
	fails_by(HOME, ATLS_BAD, "our own name");
}

static void
test_purpose(void **state)
{
	static const uint8_t others[] = { EVIDENCE_SFT, EVIDENCE_VOICE,
		EVIDENCE_JOIN, EVIDENCE_REGISTRY };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(others); i++) {
		leaf.purpose = others[i];
		fails(ATLS_BAD, "is for purpose");
	}
	leaf.purpose = EVIDENCE_MESH;
	session.purpose = EVIDENCE_REGISTRY;
	fails(ATLS_BAD, "is for purpose mesh, and this is registry");
	session.purpose = EVIDENCE_JOIN;
	fails(ATLS_BAD, "is for purpose mesh, and this is join");
}

/* To whom it is made out. */
static void
test_for_us(void **state)
{
	(void)state;
	leaf.peer[0] = '\0';
	fails(ATLS_BAD, "does not say for whom");
	snprintf(leaf.peer, sizeof(leaf.peer), "guest");
	fails(ATLS_BAD, "the leaf is for guest");
	snprintf(leaf.peer, sizeof(leaf.peer), "hom");
	fails(ATLS_BAD, "the leaf is for hom,");
	as_client();
	snprintf(leaf.peer, sizeof(leaf.peer), "guest");
	fails(ATLS_BAD, "the leaf is for guest");
}

static void
test_dialled(void **state)
{
	(void)state;
	as_client();
	session.dialled = "guest";
	fails(ATLS_BAD, "guest was dialled, peer answered");
	/* Nor may it become another one when it attests again. */
	session.role = EVIDENCE_SERVER;
	leaf.role = EVIDENCE_CLIENT;
	snprintf(leaf.peer, sizeof(leaf.peer), "home");
	fails(ATLS_BAD, "guest was dialled, peer answered");
}

static void
test_unknown(void **state)
{
	(void)state;
	snprintf(leaf.name, sizeof(leaf.name), "nobody");
	fails(ATLS_UNKNOWN, "no node of that name");
	fails_by(STRANGER, ATLS_UNKNOWN, "no node of that name");
	/* An authority is no node. */
	fails_by(AUTHORITY, ATLS_UNKNOWN, "no node of that name");
}

static void
test_wrong_key(void **state)
{
	(void)state;
	fails_by(STRANGER, ATLS_BAD, "not by the key");
	fails_by(GUEST, ATLS_BAD, "not by the key");
	fails_by(HOME, ATLS_BAD, "not by the key");
	/* Committed to, and not yet its key. */
	fails_by(PEER_NEXT, ATLS_BAD, "not by the key");
}

static void
test_revoked(void **state)
{
	struct registry_update u = revokes("peer");

	(void)state;
	order(&u, T0 + 5);
	fails(ATLS_REVOKED, "revoked");
	peer_is_at(registry_seq(reg));
	fails(ATLS_REVOKED, "revoked");
	fails_by(STRANGER, ATLS_REVOKED, "revoked");
	/* Its name is another node's now. */
	u = adds("peer", PEER_OTHER, 0);
	order(&u, T0 + 6);
	peer_is_at(registry_seq(reg));
	fails(ATLS_BAD, "not by the key");
	passes_by(PEER_OTHER);
}

static void
test_expired(void **state)
{
	(void)state;
	snprintf(leaf.name, sizeof(leaf.name), "guest");
	at(EXPIRY_S - 1);
	passes_by(GUEST);
	assert_int_equal(got.until_s, EXPIRY_S);
	at(EXPIRY_S);
	fails_by(GUEST, ATLS_EXPIRED, "expired");
}

static void
test_suspended(void **state)
{
	(void)state;
	assert_int_equal(rotates(T0 + 5, 1), REGISTRY_TURNED);
	passes_by(PEER_NEXT);
	assert_int_equal(rotates(T0 + 6, 2), REGISTRY_TURN_TWO);
	fails_by(PEER_NEXT, ATLS_POLICY, "two rotations");
	fails(ATLS_POLICY, "two rotations");
}

/* Ten minutes more for the key before, so that no session is lost. */
static void
test_old_key(void **state)
{
	(void)state;
	assert_int_equal(rotates(T0 + 5, 1), REGISTRY_TURNED);
	at(T0 + 5 + REGISTRY_OVERLAP_S);
	passes();
	assert_memory_equal(got.key, pub[PEER], sizeof(got.key));
	passes_by(PEER_NEXT);
	assert_memory_equal(got.key, pub[PEER_NEXT], sizeof(got.key));
	fails_by(STRANGER, ATLS_BAD, "not by the key");
	at(T0 + 5 + REGISTRY_OVERLAP_S + 1);
	fails(ATLS_BAD, "not by the key");
	passes_by(PEER_NEXT);
}

/* Two branches: "late" is in one of them alone, "peer" in both. */
static void
fork_registry(void)
{
	static char line[REGISTRY_LINE_MAX];
	struct registry_update u = adds("late", STRANGER, 0), other;
	uint64_t from;
	const char *why;
	size_t n;

	other = adds("other", PEER_OTHER, 0);
	other.time_s = T0 + 6;
	assert_null(registry_propose(reg, &other));
	order(&u, T0 + 5);
	n = line_of(&other, line);
	assert_int_equal(registry_offer(reg, line, n, &from, &why),
	    REGISTRY_FORK);
	assert_true(registry_forked(reg));
}

static void
test_unsettled(void **state)
{
	(void)state;
	fork_registry();
	passes();
	/* Of a registry in dispute nothing is held against the peer. */
	peer_is_at(registry_seq(reg));
	capability_digest(CAPS | 2, leaf.caps);
	passes();
	/* Not known to be one of us, and not known to be none. */
	snprintf(leaf.name, sizeof(leaf.name), "late");
	fails_by(STRANGER, ATLS_POLICY, "two histories");
	for_registry();
	fails_by(STRANGER, ATLS_POLICY, "two histories");
}

/* Our own registry may be too old to judge by. */
static void
test_own_registry_stale(void **state)
{
	uint64_t last = T0 + 3, now_s;
	char text[JUDGE_REASON_MAX];

	(void)state;
	at(last + SOFT_S * 2);
	passes();
	for (now_s = last + HARD_S - 2;
	     registry_freshness(reg, now_s, NULL) != REGISTRY_IS_HARD; now_s++)
		assert_true(now_s < last + HARD_S + 2);
	at(now_s - 1);
	passes();
	at(now_s);
	fails(ATLS_POLICY, "had no news for");
	assert_non_null(strstr(got.reason, "5000 s"));
	assert_non_null(strstr(got.reason, "claw registry:import"));
	assert_int_equal(judge_freshness(reg, now_s, text, sizeof(text)),
	    ATLS_POLICY);
	/* A clock that went back by more than it may is none to judge by. */
	at(T0 - REGISTRY_SKEW_S - 10);
	fails(ATLS_POLICY, "check this machine's clock");
	said_fresh(now_s);
	at(now_s);
	peer_is_at(registry_seq(reg));
	passes();
}

static void
test_peer_newer(void **state)
{
	(void)state;
	leaf.seq = registry_seq(reg) + 7;
	memset(leaf.head, 0x77, sizeof(leaf.head));
	memset(leaf.caps, 0x78, sizeof(leaf.caps));
	passes();
	assert_true(got.newer);
	assert_false(got.fork);
	/* It may be known there; that is a reason to pull, and no more. */
	snprintf(leaf.name, sizeof(leaf.name), "nobody");
	fails(ATLS_UNKNOWN, "no node of that name");
	assert_true(got.newer);
	snprintf(leaf.name, sizeof(leaf.name), "peer");
	fails_by(PEER_THIRD, ATLS_BAD, "not by the key");
	assert_true(got.newer);
}

/* By a key that we do not know: its lines are asked for, nothing else. */
static void
test_keys_newer(void **state)
{
	(void)state;
	fails_by(PEER_THIRD, ATLS_BAD, "not by the key");
	assert_true(got.newer);
	assert_false(got.unproven);
	for_registry();
	fails_by(PEER_THIRD, ATLS_BAD, "not by the key");
	as_client();
	passes_by(PEER_THIRD);
	assert_true(got.unproven);
	assert_int_equal(got.capabilities, 0);
	assert_int_equal(got.until_s, session.now_s + JUDGE_PULL_S);
	/* By the key that we know it is the node itself. */
	passes();
	assert_false(got.unproven);
	snprintf(leaf.name, sizeof(leaf.name), "nobody");
	session.dialled = "";
	fails_by(PEER_THIRD, ATLS_UNKNOWN, "no node of that name");
}

static void
test_fork(void **state)
{
	(void)state;
	leaf.head[0] ^= 1;
	fails(ATLS_POLICY, "another one from update 3");
	assert_true(got.fork);
	peer_is_at(1);
	passes();
	leaf.head[31] ^= 1;
	fails(ATLS_POLICY, "another one from update 1");
	assert_true(got.fork);
}

/* What it lacks is older than the hard window. */
static void
test_peer_stale(void **state)
{
	uint64_t behind = registry_seq(reg);

	(void)state;
	said_fresh(T0 + 100);
	said_fresh(T0 + 4000);
	at(T0 + 100 + HARD_S);
	passes();
	at(T0 + 100 + HARD_S + 1);
	fails(ATLS_POLICY, "its registry is stale: at update 3 of 5");
	peer_is_at(behind + 1);
	passes();
	peer_is_at(behind + 2);
	passes();
}

static void
test_capabilities(void **state)
{
	struct registry_update u;

	(void)state;
	capability_digest(CAPS | 2, leaf.caps);
	fails(ATLS_POLICY, "other capabilities");
	capability_digest(0, leaf.caps);
	fails(ATLS_POLICY, "other capabilities");
	/* It may not have heard what it was given since. */
	u = adds("more", STRANGER, 0);
	order(&u, T0 + 5);
	passes();
	assert_int_equal(got.capabilities, CAPS);
}

/* The challenge is the freshness: dates are noted, and refuse nobody. */
static void
test_skewed(void **state)
{
	(void)state;
	leaf.not_before = (int64_t)session.now_s + JUDGE_SKEW_S;
	leaf.not_after = leaf.not_before + 600;
	passes();
	assert_false(got.skewed);
	leaf.not_before++;
	leaf.not_after++;
	passes();
	assert_true(got.skewed);
	leaf.not_after = (int64_t)session.now_s - JUDGE_SKEW_S;
	leaf.not_before = leaf.not_after - 600;
	passes();
	assert_false(got.skewed);
	leaf.not_after--;
	leaf.not_before--;
	passes();
	assert_true(got.skewed);
	leaf.not_before = 0;
	leaf.not_after = 1;
	passes();
	assert_true(got.skewed);
}

/* Who fell behind may pull the lines: they verify themselves. */
static void
test_registry_pull(void **state)
{
	(void)state;
	for_registry();
	passes();
	/* our registry stale */
	at(T0 + 3 + 2 * HARD_S);
	passes();
	/* the peer's stale, other capabilities */
	said_fresh(T0 + 100);
	said_fresh(T0 + 2 * HARD_S);
	memset(leaf.caps, 0, sizeof(leaf.caps));
	passes();
	/* another history: how else would the fork be known */
	leaf.head[0] ^= 1;
	passes();
	/* expired */
	snprintf(leaf.name, sizeof(leaf.name), "guest");
	passes_by(GUEST);
}

static void
test_registry_pull_old_key(void **state)
{
	(void)state;
	for_registry();
	assert_int_equal(rotates(T0 + 5, 1), REGISTRY_TURNED);
	at(T0 + 5 + REGISTRY_OVERLAP_S * 2);
	passes();
	passes_by(PEER_NEXT);
	assert_int_equal(rotates(T0 + 6, 2), REGISTRY_TURN_TWO);
	passes_by(PEER_NEXT);
	passes();
}

static void
test_registry_pull_refused(void **state)
{
	struct registry_update u = revokes("peer");

	(void)state;
	for_registry();
	fails_by(STRANGER, ATLS_BAD, "not by the key");
	fails_by(PEER_NEXT, ATLS_BAD, "not by the key");
	session.nonce = NULL;
	fails(ATLS_BAD, "no challenge");
	session.nonce = nonce;
	snprintf(leaf.name, sizeof(leaf.name), "nobody");
	fails(ATLS_UNKNOWN, "no node of that name");
	snprintf(leaf.name, sizeof(leaf.name), "peer");
	order(&u, T0 + 5);
	fails(ATLS_REVOKED, "revoked");
	fails_by(STRANGER, ATLS_REVOKED, "revoked");
}

/* A node to be: its key is judged with the JOIN, all the rest is here. */
static void
test_join(void **state)
{
	(void)state;
	session.purpose = leaf.purpose = EVIDENCE_JOIN;
	snprintf(leaf.name, sizeof(leaf.name), "nobody");
	leaf.seq = 0;
	memset(leaf.head, 0, sizeof(leaf.head));
	passes_by(STRANGER);
	assert_int_equal(got.capabilities, 0);
	leaf.verifier_nonce[0] ^= 1;
	fails_by(STRANGER, ATLS_BAD, "another challenge");
	leaf.verifier_nonce[0] ^= 1;
	leaf.prover_nonce[0] ^= 1;
	fails_by(STRANGER, ATLS_BAD, "another session's");
	leaf.prover_nonce[0] ^= 1;
	snprintf(leaf.peer, sizeof(leaf.peer), "guest");
	fails_by(STRANGER, ATLS_BAD, "the leaf is for guest");
}

/* Sessions under way are reviewed by the same table. */
static void
test_standing(void **state)
{
	static const struct {
		enum registry_standing standing;
		uint8_t alert;
	} all[] = { { REGISTRY_OK, 0 }, { REGISTRY_OLD_KEY_OK, 0 },
		{ REGISTRY_UNKNOWN, 48 }, { REGISTRY_REVOKED, 44 },
		{ REGISTRY_EXPIRED, 45 }, { REGISTRY_SUSPENDED, 49 },
		{ REGISTRY_WRONG_KEY, 42 }, { REGISTRY_UNSETTLED, 49 } };
	char text[JUDGE_REASON_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(
		    judge_standing(all[i].standing, "peer", text, sizeof(text)),
		    all[i].alert);
		assert_memory_equal(text, "peer: ", 6);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_let_in),
		TEST(test_no_leaf),
		TEST(test_challenge),
		TEST(test_another_session),
		TEST(test_reflected),
		TEST(test_own_name),
		TEST(test_purpose),
		TEST(test_for_us),
		TEST(test_dialled),
		TEST(test_unknown),
		TEST(test_wrong_key),
		TEST(test_revoked),
		TEST(test_expired),
		TEST(test_suspended),
		TEST(test_old_key),
		TEST(test_unsettled),
		TEST(test_own_registry_stale),
		TEST(test_peer_newer),
		TEST(test_keys_newer),
		TEST(test_fork),
		TEST(test_peer_stale),
		TEST(test_capabilities),
		TEST(test_skewed),
		TEST(test_registry_pull),
		TEST(test_registry_pull_old_key),
		TEST(test_registry_pull_refused),
		TEST(test_join),
		TEST(test_standing),
	};

	return cmocka_run_group_tests_name("judge", tests, group_setup,
	    group_teardown);
}
