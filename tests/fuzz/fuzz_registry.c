/* SPDX-License-Identifier: ISC */
/*
 * fuzz_registry.c - the registry under lines from anywhere.
 *
 * The input's first byte says how the rest is read:
 *	0	one line, as it is, to all parsers of lines
 *	1	the binary form of an update or a rotation
 *	else	steps: updates and rotations that are put together of the
 *		input's bytes, signed by keys that the registry knows, damaged
 *		at times, and offered to a small registry with 2 of 3
 *		authorities
 *
 * What must hold after each step: what was refused changed nothing; the chain,
 * read again by somebody else, is the same chain; while forked nothing counts
 * that rests on the updates after the fork; no key that was revoked counts.
 */
#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/registry.h"

#define KEYS 24 /* 0-2 authorities, 3-5 others, 6-11 fresh, then nodes */
#define STEPS 20
#define T0 UINT64_C(1795270000)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static EVP_PKEY *private_key[KEYS];
static registry_key public_key[KEYS];

static const uint8_t *in;
static size_t left;

static uint8_t
byte(void)
{
	if (left == 0)
		return 0;
	left--;
	return *in++;
}

static void
must(bool so)
{
	if (!so)
		abort();
}

static void
make_keys(void)
{
	uint8_t seed[32] = { 0 };
	size_t i, len;

	for (i = 0; i < KEYS && private_key[i] == NULL; i++) {
		seed[0] = (uint8_t)(i + 1);
		private_key[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519,
		    NULL, seed, sizeof(seed));
		len = sizeof(public_key[i]);
		must(private_key[i] != NULL &&
		    EVP_PKEY_get_raw_public_key(private_key[i], public_key[i],
			&len) == 1);
	}
}

static void
sign(size_t who, const void *msg, size_t len, struct registry_signature *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = sizeof(out->sig);

	memcpy(out->kid, public_key[who], sizeof(out->kid));
	must(ctx != NULL &&
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, private_key[who]) == 1 &&
	    EVP_DigestSign(ctx, out->sig, &n, msg, len) == 1);
	EVP_MD_CTX_free(ctx);
}

/* Those whose bits are set sign. */
static ssize_t
line_of(const struct registry_update *u, uint32_t who, char *out, size_t size)
{
	struct registry_signature sigs[KEYS];
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	ssize_t len = regupdate_signed_bytes(u, msg, sizeof(msg));
	size_t i, n = 0;

	for (i = 0; i < KEYS && len > 0; i++)
		if ((who & (UINT32_C(1) << i)) != 0)
			sign(i, msg, (size_t)len, &sigs[n++]);
	return len < 0 ? len : regupdate_line(u, sigs, n, out, size);
}

static void
a_set(struct registry_set *s)
{
	uint8_t b = byte();
	uint32_t i;

	s->count = 1 + b % 3;
	s->threshold = s->count / 2 + 1;
	s->has_fresh = (b & 64) != 0;
	for (i = 0; i < s->count; i++) {
		memcpy(s->authority[i], public_key[i + ((b & 32) ? 3 : 0)], 32);
		memcpy(s->fresh[i], public_key[6 + i + ((b & 32) ? 3 : 0)], 32);
	}
	if (!s->has_fresh)
		memset(s->fresh, 0, sizeof(s->fresh));
}

static void
a_name(char *out)
{
	out[0] = (char)('a' + byte() % 4);
	out[1] = '\0';
}

static void
a_node(struct registry_node_operands *n)
{
	uint8_t b = byte();

	a_name(n->name);
	memcpy(n->identity, public_key[12 + b % 12], 32);
	memset(n->sealing, 1 + b, sizeof(n->sealing));
	n->has_next = (b & 16) == 0;
	if (n->has_next)
		must(regupdate_next_hash(public_key[12 + (b + 1) % 12],
			 n->next) == 0);
	n->capabilities = byte() & 31;
	n->expiry_s = (b & 32) != 0 ? T0 + b : 0;
	n->ksn = 1 + byte() % 4;
	memset(n->event, 9, sizeof(n->event));
}

static uint64_t
a_time(void)
{
	uint8_t b = byte();

	return T0 + (uint64_t)(b & 63) * 3600 * 24 - (b >= 192 ? 1000 : 0);
}

/* Hashes to follow: the chain's, and those of lines that were made here. */
static struct {
	uint64_t seq;
	registry_hash hash;
} made[STEPS + 1];
static size_t n_made;

static void
an_update(struct registry *r, struct registry_update *u)
{
	size_t from = byte() % n_made;
	const char *why;

	memset(u, 0, sizeof(*u));
	u->v = REGISTRY_VERSION;
	u->op = (enum registry_op)(1 + byte() % (REGISTRY_OP_MAX - 1));
	u->time_s = a_time();
	switch (u->op) {
	case REGISTRY_AUTHORITIES:
		a_set(&u->set);
		break;
	case REGISTRY_NODE_ADD:
	case REGISTRY_NODE_ANCHOR:
	case REGISTRY_NODE_REVOKE:
		a_node(&u->node);
		break;
	case REGISTRY_BINARY_ALLOW:
	case REGISTRY_BINARY_REVOKE:
		a_name(u->binary.name);
		a_name(u->binary.version);
		a_name(u->binary.channel);
		u->binary.sha256[0] = byte() % 4;
		break;
	case REGISTRY_DEVELOPER_ADD:
	case REGISTRY_DEVELOPER_REVOKE:
		a_name(u->developer.name);
		memcpy(u->developer.key, public_key[12 + byte() % 12], 32);
		break;
	case REGISTRY_POLICY:
		u->windows.soft_s = 1 + byte();
		u->windows.hard_s = u->windows.soft_s * (1 + byte());
		break;
	case REGISTRY_RESOLVE:
		memcpy(u->resolve.chosen, made[from].hash, 32);
		break;
	case REGISTRY_GENESIS:
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
	if ((byte() & 1) != 0) {
		why = registry_propose(r, u);
		if (why == NULL)
			return;
	}
	u->seq = made[from].seq + 1;
	memcpy(u->prev, made[from].hash, sizeof(u->prev));
	if (u->op == REGISTRY_RESOLVE) {
		u->resolve.common = byte() % (u->seq + 1);
		u->resolve.heads = 2;
		memset(u->resolve.head, 0, sizeof(u->resolve.head));
		memcpy(u->resolve.head[1], u->resolve.chosen, 32);
	}
}

static uint32_t
signers(void)
{
	static const uint32_t some[] = { 3, 5, 6, 7, 3 | 8, 3 | 8 | 16, 24, 40,
		48, 56, 1, 2, 64, 128, 512, 1 << 12 };

	return some[byte() % (sizeof(some) / sizeof(some[0]))];
}

/* --- what must hold ------------------------------------------------------ */

static void
check_again(const struct registry *r)
{
	struct registry *other = registry_new(registry_genesis(r));
	const char *line, *why;
	uint64_t i;
	size_t len;

	must(other != NULL);
	for (i = 0; i <= registry_seq(r); i++) {
		line = registry_line(r, i, &len);
		must(registry_apply(other, line, len, &why) == 0);
		must(memcmp(registry_head(other), registry_hash_at(r, i), 32) ==
		    0);
	}
	must(registry_hash_at(r, i) == NULL);
	must(memcmp(registry_head(other), registry_head(r), 32) == 0);
	if (!registry_forked(r))
		must(registry_time(other) == registry_time(r) &&
		    registry_set(other)->count == registry_set(r)->count);
	registry_free(other);
}

static void
check_nodes(const struct registry *r)
{
	const struct registry_node *n, *before = NULL;
	enum registry_standing s;
	size_t i;

	for (i = 0; (n = registry_node_at(r, i)) != NULL; before = n, i++) {
		must(before == NULL || strcmp(before->name, n->name) < 0);
		s = registry_standing(r, n->name, n->identity, T0);
		must(!n->revoked || s == REGISTRY_REVOKED);
		must(!n->suspended || s != REGISTRY_OK);
		must(n->added_seq <= registry_common(r));
		if (s == REGISTRY_OK)
			must(registry_ever_held(r, n->identity));
	}
	must(!registry_forked(r) || registry_common(r) < registry_seq(r));
}

/* --- steps --------------------------------------------------------------- */

static void
offer(struct registry *r, const char *line, size_t len)
{
	uint64_t from, seq = registry_seq(r);
	size_t lines = registry_branch_lines(r);
	registry_hash head;
	const char *why = NULL;
	bool forked = registry_forked(r);
	enum registry_offer what;

	memcpy(head, registry_head(r), sizeof(head));
	what = registry_offer(r, line, len, &from, &why);
	must(what != REGISTRY_BAD || why != NULL);
	must(what != REGISTRY_FORK || registry_forked(r));
	must(what != REGISTRY_RESOLVED || forked);
	if (what == REGISTRY_NEXT || what == REGISTRY_SWITCHED ||
	    what == REGISTRY_RESOLVED)
		must(memcmp(head, registry_head(r), 32) != 0);
	else
		must(registry_seq(r) == seq &&
		    memcmp(head, registry_head(r), 32) == 0);
	/* A branch that decides nothing may have gone for room. */
	if (what == REGISTRY_BAD || what == REGISTRY_KNOWN ||
	    what == REGISTRY_AHEAD)
		must(registry_forked(r) == forked &&
		    registry_branch_lines(r) <= lines);
}

static void
step_update(struct registry *r)
{
	char line[REGISTRY_LINE_MAX + 1];
	struct registry_update u;
	uint32_t who, have, need;
	ssize_t n;

	an_update(r, &u);
	who = signers();
	n = line_of(&u, who, line, sizeof(line));
	if (n < 0)
		return;
	if (n_made <= STEPS && regupdate_hash(&u, made[n_made].hash) == 0)
		made[n_made++].seq = u.seq;
	if ((byte() & 15) == 15)
		line[byte() * UINT32_C(7) % (uint32_t)n] ^=
		    (char)(1 + byte() % 7);
	if ((who & 1) != 0)
		(void)registry_signed(r, line, (size_t)n, &have, &need, &u);
	offer(r, line, (size_t)n);
}

static void
step_rotation(struct registry *r)
{
	struct registry_signature sigs[2];
	uint8_t msg[REGUPDATE_SIGNED_MAX], b;
	char line[REGISTRY_LINE_MAX + 1];
	const struct registry_node *node;
	struct registry_rotation t;
	const char *why;
	ssize_t len;

	memset(&t, 0, sizeof(t));
	t.v = REGISTRY_VERSION;
	a_name(t.name);
	node = registry_node(r, t.name);
	b = byte();
	if (node != NULL) {
		t.ksn = node->ksn + 1 - ((b & 1) != 0 && node->ksn > 0);
		memcpy(t.prev, node->rotation, sizeof(t.prev));
	} else {
		t.ksn = 1;
	}
	b = byte();
	memcpy(t.identity, public_key[12 + b % 12], 32);
	memset(t.sealing, 1 + (b >> 6), sizeof(t.sealing));
	t.has_next = true;
	must(regupdate_next_hash(public_key[12 + (b + 1) % 12], t.next) == 0);
	t.time_s = a_time();
	len = regupdate_rotation_signed_bytes(&t, msg, sizeof(msg));
	must(len > 0);
	sign(12 + b % 12U, msg, (size_t)len, &sigs[0]);
	sign(12 + (b + 11U) % 12, msg, (size_t)len, &sigs[1]);
	len =
	    regupdate_rotation_line(&t, sigs, 1 + (b & 1U), line, sizeof(line));
	must(len > 0);
	(void)registry_rotate(r, line, (size_t)len, &why);
}

static struct registry *
begin(void)
{
	char line[REGISTRY_LINE_MAX + 1];
	struct registry_update u;
	struct registry *r;
	const char *why;
	uint32_t i;
	ssize_t n;

	memset(&u, 0, sizeof(u));
	u.v = REGISTRY_VERSION;
	u.op = REGISTRY_GENESIS;
	u.time_s = T0;
	u.windows.soft_s = 86400;
	u.windows.hard_s = 14 * 86400;
	u.set.count = 3;
	u.set.threshold = 2;
	u.set.has_fresh = true;
	for (i = 0; i < 3; i++) {
		memcpy(u.set.authority[i], public_key[i], 32);
		memcpy(u.set.fresh[i], public_key[6 + i], 32);
	}
	n = line_of(&u, 3, line, sizeof(line));
	must(
	    n > 0 && registry_genesis_hash(line, (size_t)n, made[0].hash) == 0);
	made[0].seq = 0;
	n_made = 1;
	r = registry_new(made[0].hash);
	must(r != NULL && registry_apply(r, line, (size_t)n, &why) == 0);
	return r;
}

static void
steps(void)
{
	struct registry *r = begin();
	uint64_t age;
	int i;

	for (i = 0; i < STEPS && left > 0; i++) {
		if ((byte() & 3) == 0)
			step_rotation(r);
		else
			step_update(r);
		check_nodes(r);
		(void)registry_freshness(r, a_time(), &age);
	}
	check_again(r);
	registry_free(r);
}

/* Any bytes, pinned as they are, and offered behind a genesis. */
static void
one_line(const char *line, size_t len)
{
	registry_hash pin;
	struct registry *r;
	const char *why;

	must(registry_genesis_hash(line, len, pin) == 0);
	r = registry_new(pin);
	must(r != NULL);
	if (registry_apply(r, line, len, &why) == 0) {
		must(registry_set(r)->threshold * 2 > registry_set(r)->count);
		check_again(r);
	}
	registry_free(r);
	r = begin();
	offer(r, line, len);
	(void)registry_rotate(r, line, len, &why);
	must(registry_rotations(r) == 0);
	registry_free(r);
}

static void
binary_form(const uint8_t *data, size_t len)
{
	uint8_t again[REGUPDATE_BYTES_MAX];
	char json[REGUPDATE_JSON_MAX];
	struct registry_rotation t;
	struct registry_update u;

	if (regupdate_get(&u, data, len) == 0) {
		must(regupdate_put(&u, again, sizeof(again)) == (ssize_t)len &&
		    memcmp(again, data, len) == 0);
		must(regupdate_json(&u, json, sizeof(json)) > 0);
	}
	if (regupdate_rotation_get(&t, data, len) == 0) {
		must(regupdate_rotation_put(&t, again, sizeof(again)) ==
			(ssize_t)len &&
		    memcmp(again, data, len) == 0);
		must(regupdate_rotation_json(&t, json, sizeof(json)) > 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	make_keys();
	if (len == 0)
		return 0;
	in = data + 1;
	left = len - 1;
	if (data[0] == 0)
		one_line((const char *)in, left);
	else if (data[0] == 1)
		binary_form(in, left);
	else
		steps();
	return 0;
}
