/* SPDX-License-Identifier: ISC */
/*
 * test_registry.c - whom a node believes: every rule of claw-registry(5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/capability.h"
#include "common/registry_file.h"

#define T0 UINT64_C(1795270000)
#define DAY UINT64_C(86400)
#define YEAR (365 * DAY)

/* --- keys ---------------------------------------------------------------- */

/* Who signs: the seed of a key is its number. */
enum {
	AUTH = 1,   /* AUTH + 0..9: authorities */
	FRESH = 20, /* their keys for fresh */
	NODE = 100, /* identity keys */
	NEXT = 1000,
};

static EVP_PKEY *
private_key(uint32_t who)
{
	uint8_t seed[32] = { 0 };
	EVP_PKEY *key;

	memcpy(seed, &who, sizeof(who));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
	    sizeof(seed));
	assert_non_null(key);
	return key;
}

static void
public_key(uint32_t who, uint8_t out[32])
{
	EVP_PKEY *key = private_key(who);
	size_t len = 32;

	assert_int_equal(EVP_PKEY_get_raw_public_key(key, out, &len), 1);
	EVP_PKEY_free(key);
}

static void
sign(uint32_t who, const void *msg, size_t len, struct registry_signature *out)
{
	EVP_PKEY *key = private_key(who);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = sizeof(out->sig);

	public_key(who, out->kid);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, out->sig, &n, msg, len), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

/* --- lines --------------------------------------------------------------- */

struct line {
	char text[REGISTRY_LINE_MAX + 1];
	size_t len;
	registry_hash hash;
};

/* Signers end in 0. */
static void
line_of(struct line *l, const struct registry_update *u, const uint32_t *who)
{
	struct registry_signature sigs[REGISTRY_SIGS_MAX];
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	ssize_t len = regupdate_signed_bytes(u, msg, sizeof(msg)), n;
	size_t i;

	assert_true(len > 0);
	for (i = 0; who[i] != 0; i++)
		sign(who[i], msg, (size_t)len, &sigs[i]);
	n = regupdate_line(u, sigs, i, l->text, sizeof(l->text));
	assert_true(n > 0);
	l->len = (size_t)n;
	if (u->op == REGISTRY_GENESIS)
		assert_int_equal(
		    registry_genesis_hash(l->text, l->len, l->hash), 0);
	else
		assert_int_equal(regupdate_hash(u, l->hash), 0);
}

#define BY(...)                                                                \
	(const uint32_t[])                                                     \
	{                                                                      \
		__VA_ARGS__, 0                                                 \
	}
#define NOBODY BY(0)

static void
text(char *out, size_t size, const char *s)
{
	assert_true((size_t)snprintf(out, size, "%s", s) < size);
}

#define SET(field, s) text(field, sizeof(field), s)

/* n authorities from `first` on, k of them; their keys for fresh too. */
static struct registry_set
set_of(uint32_t first, uint32_t n, uint32_t k, bool fresh)
{
	struct registry_set s = { .count = n, .threshold = k };
	uint32_t i;

	s.has_fresh = fresh;
	for (i = 0; i < n; i++) {
		public_key(first + i, s.authority[i]);
		if (fresh)
			public_key(first + i - AUTH + FRESH, s.fresh[i]);
	}
	return s;
}

static struct registry_update
genesis_of(uint32_t n, uint32_t k, bool fresh)
{
	struct registry_update u;

	memset(&u, 0, sizeof(u));
	u.v = 1;
	u.op = REGISTRY_GENESIS;
	u.time_s = T0;
	u.windows.soft_s = DAY;
	u.windows.hard_s = 14 * DAY;
	u.set = set_of(AUTH, n, k, fresh);
	return u;
}

static struct registry *
begin_with(const struct registry_update *u, const uint32_t *who)
{
	struct registry *r;
	const char *why;
	struct line l;

	line_of(&l, u, who);
	r = registry_new(l.hash);
	assert_non_null(r);
	assert_true(registry_empty(r));
	assert_int_equal(registry_apply(r, l.text, l.len, &why), 0);
	return r;
}

/* A registry with n authorities of which k must sign. */
static struct registry *
begin(uint32_t n, uint32_t k)
{
	struct registry_update u = genesis_of(n, k, true);
	uint32_t who[11] = { 0 }, i;

	for (i = 0; i < k; i++)
		who[i] = AUTH + i;
	return begin_with(&u, who);
}

static struct registry_update
update(enum registry_op op)
{
	struct registry_update u;

	memset(&u, 0, sizeof(u));
	u.v = 1;
	u.op = op;
	u.time_s = T0 + 60;
	return u;
}

static struct registry_update
node_add(const char *name, uint32_t key)
{
	struct registry_update u = update(REGISTRY_NODE_ADD);

	SET(u.node.name, name);
	public_key(key, u.node.identity);
	memset(u.node.sealing, 0x55, sizeof(u.node.sealing));
	u.node.has_next = true;
	public_key(key + NEXT, u.node.next);
	assert_int_equal(regupdate_next_hash(u.node.next, u.node.next), 0);
	u.node.capabilities = CAPABILITY_MASK(SFT_SEND);
	return u;
}

static struct registry_update
node_revoke(const char *name)
{
	struct registry_update u = update(REGISTRY_NODE_REVOKE);

	SET(u.node.name, name);
	SET(u.reason, "lost");
	return u;
}

static struct registry_update
binary_allow(uint8_t number)
{
	struct registry_update u = update(REGISTRY_BINARY_ALLOW);

	SET(u.binary.name, "bridge");
	SET(u.binary.version, "1.0");
	SET(u.binary.channel, "ga");
	memset(u.binary.sha256, number, sizeof(u.binary.sha256));
	return u;
}

/* Where it stands: after the line with that hash and number. */
static void
after(struct registry_update *u, uint64_t seq, const uint8_t *hash)
{
	u->seq = seq + 1;
	memcpy(u->prev, hash, sizeof(u->prev));
}

static void
at_head(struct registry_update *u, const struct registry *r)
{
	after(u, registry_seq(r), registry_head(r));
}

/* A refusal leaves everything as it was. */
static const char *
refused(struct registry *r, const char *line, size_t len)
{
	uint64_t seq = registry_seq(r), time = registry_time(r);
	const char *why = NULL;
	registry_hash head;

	memcpy(head, registry_head(r), sizeof(head));
	assert_int_equal(registry_apply(r, line, len, &why), -EBADMSG);
	assert_non_null(why);
	assert_int_equal(registry_seq(r), seq);
	assert_int_equal(registry_time(r), time);
	assert_memory_equal(registry_head(r), head, sizeof(head));
	return why;
}

static const char *
try(struct registry *r, struct registry_update u, const uint32_t *who)
{
	struct line l;

	at_head(&u, r);
	line_of(&l, &u, who);
	return refused(r, l.text, l.len);
}

static void
apply(struct registry *r, struct registry_update u, const uint32_t *who)
{
	const char *why = NULL;
	struct line l;
	int e;

	at_head(&u, r);
	line_of(&l, &u, who);
	e = registry_apply(r, l.text, l.len, &why);
	if (e != 0)
		fail_msg("refused: %s", why);
	assert_memory_equal(registry_head(r), l.hash, sizeof(l.hash));
	assert_int_equal(registry_seq(r), u.seq);
}

static enum registry_offer
offer(struct registry *r, const struct line *l)
{
	const char *why;
	uint64_t from;

	return registry_offer(r, l->text, l->len, &from, &why);
}

static enum registry_standing
standing(const struct registry *r, const char *name, uint32_t key, uint64_t now)
{
	registry_key pub;

	public_key(key, pub);
	return registry_standing(r, name, pub, now);
}

/* --- the chain ----------------------------------------------------------- */

static void
test_genesis(void **state)
{
	struct registry_update u = genesis_of(3, 2, false);
	struct registry *r;
	registry_hash pin;
	const char *why;
	struct line l;

	(void)state;
	line_of(&l, &u, BY(AUTH, AUTH + 2));
	memcpy(pin, l.hash, sizeof(pin));
	pin[0] ^= 1;
	r = registry_new(pin);
	assert_int_equal(registry_apply(r, l.text, l.len, &why), -EBADMSG);
	assert_string_equal(why,
	    "not the genesis that was given by "
	    "node.registry.genesis or --genesis");
	assert_true(registry_empty(r));
	registry_free(r);

	r = begin_with(&u, BY(AUTH, AUTH + 2));
	assert_int_equal(registry_seq(r), 0);
	assert_int_equal(registry_set(r)->count, 3);
	assert_int_equal(registry_windows(r).hard_s, 14 * DAY);
	assert_memory_equal(registry_head(r), registry_genesis(r), 32);
	assert_memory_equal(registry_hash_at(r, 0), registry_genesis(r), 32);
	assert_null(registry_hash_at(r, 1));
	/* Nothing follows line 0 that has its number. */
	assert_string_equal(refused(r, l.text, l.len), "a second genesis");
	registry_free(r);

	/* Its own threshold holds for it. */
	line_of(&l, &u, BY(AUTH));
	r = registry_new(l.hash);
	assert_int_equal(registry_apply(r, l.text, l.len, &why), -EBADMSG);
	assert_string_equal(why, "signed by 1, and 2 must");
	registry_free(r);
}

static void
test_place_in_the_chain(void **state)
{
	struct registry *r = begin(1, 1);
	struct registry_update u = update(REGISTRY_FRESH);
	struct line l;

	(void)state;
	apply(r, u, BY(AUTH));
	apply(r, u, BY(AUTH));
	/* A gap, a number again, another line before. */
	after(&u, 3, registry_head(r));
	line_of(&l, &u, BY(AUTH));
	assert_string_equal(refused(r, l.text, l.len),
	    "number 4 where 3 must follow");
	after(&u, 1, registry_head(r));
	line_of(&l, &u, BY(AUTH));
	assert_string_equal(refused(r, l.text, l.len),
	    "number 2 where 3 must follow");
	after(&u, 2, registry_hash_at(r, 1));
	line_of(&l, &u, BY(AUTH));
	assert_string_equal(refused(r, l.text, l.len),
	    "it does not follow the update before it");
	registry_free(r);
}

static void
test_thresholds(void **state)
{
	struct registry *r = begin(3, 2);
	struct registry_update u = node_add("n1", NODE);
	struct registry_signature sig, more[3];
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	char line[REGISTRY_LINE_MAX + 1];
	const char *why;
	ssize_t len, n;
	struct line l;

	(void)state;
	assert_string_equal(try(r, u, BY(AUTH)), "signed by 1, and 2 must");
	assert_string_equal(try(r, u, NOBODY), "signed by 0, and 2 must");
	assert_string_equal(try(r, u, BY(AUTH, AUTH + 5)),
	    "signed by a key that may not sign it");
	assert_string_equal(try(r, u, BY(AUTH, AUTH + 1, NODE)),
	    "signed by a key that may not sign it");
	assert_string_equal(try(r, u, BY(AUTH, FRESH + 1)),
	    "signed by a key that may not sign it");
	/* One wrong signature among enough right ones. */
	at_head(&u, r);
	len = regupdate_signed_bytes(&u, msg, sizeof(msg));
	sign(AUTH, msg, (size_t)len, &more[0]);
	sign(AUTH + 1, msg, (size_t)len, &more[1]);
	sign(AUTH + 2, msg, (size_t)len - 1, &more[2]);
	n = regupdate_line(&u, more, 3, line, sizeof(line));
	assert_string_equal(refused(r, line, (size_t)n),
	    "a signature that is wrong");
	/* The same one twice, as a line by hand: its form is refused. */
	n = regupdate_line(&u, more, 1, line, sizeof(line));
	sig = more[0];
	assert_int_equal(
	    registry_add_signature(line, (size_t)n, &sig, line, sizeof(line)),
	    -EINVAL);
	line_of(&l, &u, BY(AUTH));
	n = snprintf(line, sizeof(line), "{\"sigs\":[%.*s,%s",
	    (int)(strstr(l.text, "],\"u\"") - l.text - 9), l.text + 9,
	    l.text + 9);
	assert_non_null(refused(r, line, (size_t)n));
	apply(r, u, BY(AUTH + 2, AUTH));
	assert_non_null(registry_node(r, "n1"));
	(void)why;
	registry_free(r);
}

/* What a signed line is written like is part of it. */
static void
test_one_form_alone(void **state)
{
	static const struct {
		const char *find, *put;
	} change[] = {
		{ "\"u\":{", "\"u\": {" },
		{ "\"seq\":1", "\"seq\":1.0" },
		{ "\"seq\":1", "\"seq\":01" },
		{ "\"seq\":1", "\"seq\":1e0" },
		{ "\"op\":\"node-add\"", "\"op\":\"node-adds\"" },
		{ "\"op\":\"node-add\"", "\"op\":\"node\\u002dadd\"" },
		{ "\"v\":1", "\"v\":1,\"w\":1" },
		{ "\"v\":1", "\"v\":2" },
		{ "\"v\":1", "\"v\":1,\"v\":1" },
		{ "\"seq\":1,", "\"seq\":1,\"seq\":1," },
		{ "\"time\":1795270060,\"v\":1",
		    "\"v\":1,\"time\":1795270060" },
		{ "\"time\":1795270060", "\"time\":\"1795270060\"" },
		{ "\"time\":1795270060", "\"time\":-1" },
		{ "\"prev\":\"sha256:", "\"prev\":\"" },
		{ "[\"sft.send\"]", "[\"sft.fly\"]" },
		{ "[\"sft.send\"]", "[\"sft.send\",\"sft.send\"]" },
		{ "\"identity\":\"ed25519:", "\"identity\":\"x25519:" },
		{ "\"next\":", "\"nexT\":" },
		{ "\"name\":\"n1\"", "\"name\":\"n1\\u0000\"" },
		{ "\"name\":\"n1\",", "" },
		{ "{\"sigs\":", "{\"a\":1,\"sigs\":" },
		{ "{\"sigs\":[", "{\"sigs\":[null," },
		{ "\"kid\":", "\"kiD\":" },
		{ "==\"}", "\"}" },
	};
	struct registry *r = begin(1, 1);
	struct registry_update u = node_add("n1", NODE);
	char line[REGISTRY_LINE_MAX * 2];
	const char *at;
	struct line l;
	size_t i;
	int n;

	(void)state;
	at_head(&u, r);
	line_of(&l, &u, BY(AUTH));
	for (i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		at = strstr(l.text, change[i].find);
		if (at == NULL)
			fail_msg("no %s", change[i].find);
		n = snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - l.text),
		    l.text, change[i].put, at + strlen(change[i].find));
		/* For its form, before anybody looks at a signature. */
		assert_string_not_equal(refused(r, line, (size_t)n),
		    "a signature that is wrong");
	}
	n = snprintf(line, sizeof(line), "%s ", l.text);
	assert_non_null(refused(r, line, (size_t)n));
	assert_non_null(refused(r, l.text, l.len - 1));
	assert_non_null(refused(r, "", 0));
	assert_non_null(refused(r, "null", 4));
	memset(line, ' ', sizeof(line));
	assert_string_equal(refused(r, line, REGISTRY_LINE_MAX + 1),
	    "longer than 16384 bytes");
	apply(r, u, BY(AUTH));
	registry_free(r);
}

static void
test_authorities_need_both_sets(void **state)
{
	struct registry *r = begin(3, 2);
	struct registry_update u = update(REGISTRY_AUTHORITIES);

	(void)state;
	u.set = set_of(AUTH + 3, 3, 2, false);
	assert_string_equal(try(r, u, BY(AUTH, AUTH + 1)),
	    "signed by 0 of the new authorities, and 2 must");
	assert_string_equal(try(r, u, BY(AUTH, AUTH + 1, AUTH + 4)),
	    "signed by 1 of the new authorities, and 2 must");
	assert_string_equal(try(r, u, BY(AUTH, AUTH + 3, AUTH + 4)),
	    "signed by 1, and 2 must");
	apply(r, u, BY(AUTH, AUTH + 1, AUTH + 3, AUTH + 5));
	/* From here on the old ones are nobody. */
	assert_string_equal(try(r, node_add("n1", NODE), BY(AUTH, AUTH + 1)),
	    "signed by a key that may not sign it");
	apply(r, node_add("n1", NODE), BY(AUTH + 3, AUTH + 4));
	/* Who is in both sets signs once for both. */
	u.set = set_of(AUTH + 4, 1, 1, false);
	assert_string_equal(try(r, u, BY(AUTH + 4)), "signed by 1, and 2 must");
	apply(r, u, BY(AUTH + 4, AUTH + 5));
	assert_int_equal(registry_set(r)->count, 1);
	registry_free(r);
}

static void
test_key_for_fresh(void **state)
{
	struct registry *r = begin(3, 2);
	struct registry_update u = update(REGISTRY_FRESH);

	(void)state;
	apply(r, u, BY(FRESH + 2));
	apply(r, u, BY(AUTH, AUTH + 1));
	apply(r, u, BY(AUTH, FRESH + 1));
	assert_string_equal(try(r, u, BY(AUTH)), "signed by 1, and 2 must");
	assert_string_equal(try(r, u, BY(FRESH + 3)),
	    "signed by a key that may not sign it");
	/* Nothing else, however many of them. */
	assert_non_null(try(r, node_revoke("n1"), BY(FRESH, FRESH + 1)));
	assert_string_equal(
	    try(r, node_add("n1", NODE), BY(FRESH, FRESH + 1, FRESH + 2)),
	    "signed by a key that may not sign it");
	u = update(REGISTRY_POLICY);
	u.windows.soft_s = 5;
	u.windows.hard_s = 6;
	assert_non_null(try(r, u, BY(FRESH, FRESH + 1)));
	apply(r, u, BY(AUTH + 1, AUTH + 2));
	assert_int_equal(registry_windows(r).soft_s, 5);
	registry_free(r);
}

static void
test_nodes(void **state)
{
	struct registry *r = begin(1, 1);
	struct registry_update u;
	registry_key key;

	(void)state;
	u = node_add("n2", NODE + 2);
	u.node.expiry_s = T0 + DAY;
	apply(r, u, BY(AUTH));
	apply(r, node_add("n1", NODE + 1), BY(AUTH));
	apply(r, node_add("n3", NODE + 3), BY(AUTH));
	assert_string_equal(registry_node_at(r, 0)->name, "n1");
	assert_string_equal(registry_node_at(r, 1)->name, "n2");
	assert_string_equal(registry_node_at(r, 2)->name, "n3");
	assert_null(registry_node_at(r, 3));
	assert_non_null(try(r, node_add("n1", NODE + 9), BY(AUTH)));
	assert_string_equal(try(r, node_add("n4", NODE + 1), BY(AUTH)),
	    "a key that somebody else has or had");
	assert_int_equal(standing(r, "n1", NODE + 1, T0), REGISTRY_OK);
	assert_int_equal(standing(r, "n1", NODE + 2, T0), REGISTRY_WRONG_KEY);
	assert_int_equal(standing(r, "n9", NODE + 1, T0), REGISTRY_UNKNOWN);
	assert_int_equal(standing(r, "n2", NODE + 2, T0 + DAY - 1),
	    REGISTRY_OK);
	assert_int_equal(standing(r, "n2", NODE + 2, T0 + DAY),
	    REGISTRY_EXPIRED);
	public_key(NODE + 3, key);
	assert_string_equal(registry_node_by_key(r, key)->name, "n3");
	assert_true(registry_ever_held(r, key));
	apply(r, node_revoke("n3"), BY(AUTH));
	assert_false(registry_ever_held(r, key));
	assert_int_equal(standing(r, "n3", NODE + 3, T0), REGISTRY_REVOKED);
	assert_string_equal(registry_node(r, "n3")->reason, "lost");
	assert_non_null(try(r, node_revoke("n3"), BY(AUTH)));
	assert_non_null(try(r, node_revoke("n9"), BY(AUTH)));
	/* The name can be used again, the key never. */
	assert_string_equal(try(r, node_add("n3", NODE + 3), BY(AUTH)),
	    "a key that was revoked");
	assert_string_equal(try(r, node_add("n9", NODE + 3), BY(AUTH)),
	    "a key that was revoked");
	apply(r, node_add("n3", NODE + 4), BY(AUTH));
	assert_int_equal(standing(r, "n3", NODE + 4, T0), REGISTRY_OK);
	assert_int_equal(standing(r, "n3", NODE + 3, T0), REGISTRY_REVOKED);
	registry_free(r);
}

static void
test_binaries_and_developers(void **state)
{
	struct registry *r = begin(1, 1);
	struct registry_update u = update(REGISTRY_BINARY_REVOKE);
	registry_hash hash;
	registry_key key;

	(void)state;
	apply(r, binary_allow(7), BY(AUTH));
	apply(r, binary_allow(3), BY(AUTH));
	assert_non_null(try(r, binary_allow(3), BY(AUTH)));
	assert_int_equal(registry_binary_at(r, 0)->sha256[0], 3);
	assert_int_equal(registry_binary_at(r, 1)->sha256[0], 7);
	memset(u.binary.sha256, 3, sizeof(u.binary.sha256));
	memcpy(hash, u.binary.sha256, sizeof(hash));
	apply(r, u, BY(AUTH));
	assert_true(registry_binary(r, hash)->revoked);
	assert_non_null(try(r, u, BY(AUTH)));
	assert_string_equal(try(r, binary_allow(3), BY(AUTH)),
	    "a binary that was revoked");

	u = update(REGISTRY_DEVELOPER_ADD);
	SET(u.developer.name, "alice");
	public_key(NODE, u.developer.key);
	memcpy(key, u.developer.key, sizeof(key));
	apply(r, u, BY(AUTH));
	assert_non_null(try(r, u, BY(AUTH)));
	/* A key has one owner. */
	assert_non_null(try(r, node_add("n1", NODE), BY(AUTH)));
	u.op = REGISTRY_DEVELOPER_REVOKE;
	apply(r, u, BY(AUTH));
	assert_true(registry_developer(r, "alice")->revoked);
	assert_false(registry_ever_held(r, key));
	u.op = REGISTRY_DEVELOPER_ADD;
	assert_string_equal(try(r, u, BY(AUTH)), "a key that was revoked");
	public_key(NODE + 1, u.developer.key);
	apply(r, u, BY(AUTH));
	assert_false(registry_developer_at(r, 0)->revoked);
	assert_null(registry_developer_at(r, 1));
	registry_free(r);
}

/* At the cap nothing more comes in, and everything can go. */
static void
test_removal_at_the_cap(void **state)
{
	struct registry *r = begin(1, 1);
	struct registry_update u;
	char name[16];
	uint32_t i;

	(void)state;
	for (i = 0; i < REGISTRY_DEVELOPERS_MAX; i++) {
		u = update(REGISTRY_DEVELOPER_ADD);
		(void)snprintf(name, sizeof(name), "d%u", i);
		SET(u.developer.name, name);
		public_key(NODE + i, u.developer.key);
		apply(r, u, BY(AUTH));
	}
	u = update(REGISTRY_DEVELOPER_ADD);
	SET(u.developer.name, "one-more");
	public_key(NODE + i, u.developer.key);
	assert_string_equal(try(r, u, BY(AUTH)),
	    "1024 developers are there; revoke one first");
	u.op = REGISTRY_DEVELOPER_REVOKE;
	SET(u.developer.name, "d77");
	apply(r, u, BY(AUTH));
	u.op = REGISTRY_DEVELOPER_ADD;
	SET(u.developer.name, "one-more");
	apply(r, u, BY(AUTH));
	registry_free(r);
}

/* --- time ---------------------------------------------------------------- */

static void
test_windows(void **state)
{
	struct registry *r = begin(1, 1);
	struct registry_update u = update(REGISTRY_FRESH);
	uint64_t age;

	(void)state;
	assert_int_equal(registry_freshness(r, T0, &age), REGISTRY_IS_FRESH);
	assert_int_equal(age, 0);
	assert_int_equal(registry_freshness(r, T0 + DAY, &age),
	    REGISTRY_IS_FRESH);
	assert_int_equal(registry_freshness(r, T0 + DAY + 1, &age),
	    REGISTRY_IS_SOFT);
	assert_int_equal(registry_freshness(r, T0 + 14 * DAY, NULL),
	    REGISTRY_IS_SOFT);
	assert_int_equal(registry_freshness(r, T0 + 14 * DAY + 1, &age),
	    REGISTRY_IS_HARD);
	assert_int_equal(age, 14 * DAY + 1);
	u.time_s = T0 + 14 * DAY;
	apply(r, u, BY(FRESH));
	assert_int_equal(registry_freshness(r, T0 + 14 * DAY + 1, NULL),
	    REGISTRY_IS_FRESH);
	registry_free(r);
}

static void
test_clock_a_year_off(void **state)
{
	struct registry *r = begin(3, 2);
	struct registry_update u = node_add("n1", NODE);
	uint64_t age;

	(void)state;
	assert_int_equal(registry_time(r), T0);
	/* One authority's clock is ahead: neither floor nor freshness move. */
	u = update(REGISTRY_FRESH);
	u.time_s = T0 + YEAR;
	apply(r, u, BY(FRESH));
	assert_int_equal(registry_time(r), T0);
	assert_int_equal(registry_freshness(r, T0 + 2 * DAY, &age),
	    REGISTRY_IS_SOFT);
	assert_int_equal(age, 2 * DAY);
	/* The chain goes on with the right time. */
	u.time_s = T0 + 2 * DAY;
	apply(r, u, BY(FRESH + 1));
	assert_int_equal(registry_freshness(r, T0 + 2 * DAY, &age),
	    REGISTRY_IS_FRESH);
	assert_int_equal(registry_time(r), T0 + 2 * DAY);
	/* A clock behind: an update is an update, but no news. */
	u = node_add("n1", NODE);
	u.time_s = T0 - YEAR;
	apply(r, u, BY(AUTH, AUTH + 2));
	assert_int_equal(registry_freshness(r, T0 + 4 * DAY, &age),
	    REGISTRY_IS_SOFT);
	assert_int_equal(age, 2 * DAY);
	assert_int_equal(standing(r, "n1", NODE, T0), REGISTRY_OK);
	/* And it is corrected by the next ones. */
	u = update(REGISTRY_FRESH);
	u.time_s = T0 + 5 * DAY;
	apply(r, u, BY(FRESH));
	apply(r, u, BY(FRESH + 2));
	assert_int_equal(registry_time(r), T0 + 5 * DAY);
	/* With both ahead the floor is ahead; freshness is not. */
	u.time_s = T0 + YEAR;
	apply(r, u, BY(AUTH, AUTH + 1));
	assert_int_equal(registry_time(r), T0 + YEAR);
	assert_int_equal(registry_freshness(r, T0 + 5 * DAY, &age),
	    REGISTRY_IS_FRESH);
	u.time_s = T0 + 6 * DAY;
	apply(r, u, BY(FRESH));
	apply(r, u, BY(FRESH + 1));
	assert_int_equal(registry_time(r), T0 + 6 * DAY);
	registry_free(r);
}

/* This node's clock: ahead is stale, behind is lifted by the floor. */
static void
test_own_clock_a_year_off(void **state)
{
	struct registry *r = begin(1, 1);
	uint64_t age;

	(void)state;
	assert_int_equal(registry_freshness(r, T0 + YEAR, &age),
	    REGISTRY_IS_HARD);
	assert_int_equal(registry_freshness(r, T0 - YEAR, &age),
	    REGISTRY_IS_HARD);
	assert_int_equal(age, UINT64_MAX);
	assert_int_equal(registry_freshness(r, registry_time(r), NULL),
	    REGISTRY_IS_FRESH);
	registry_free(r);
}

/* --- rotations ----------------------------------------------------------- */

static struct registry_rotation
rotation(const struct registry *r, const char *name, uint32_t to, uint64_t time)
{
	const struct registry_node *n = registry_node(r, name);
	struct registry_rotation t;

	memset(&t, 0, sizeof(t));
	t.v = 1;
	SET(t.name, name);
	t.ksn = n->ksn + 1;
	memcpy(t.prev, n->rotation, sizeof(t.prev));
	public_key(to, t.identity);
	memset(t.sealing, 0x66, sizeof(t.sealing));
	t.has_next = true;
	public_key(to + NEXT, t.next);
	assert_int_equal(regupdate_next_hash(t.next, t.next), 0);
	t.time_s = time;
	return t;
}

static enum registry_turn
turn_with(struct registry *r, const struct registry_rotation *t,
    const uint32_t *who, struct line *l)
{
	struct registry_signature sigs[4];
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	ssize_t len, n;
	const char *why;
	size_t i;

	len = regupdate_rotation_signed_bytes(t, msg, sizeof(msg));
	assert_true(len > 0);
	for (i = 0; who[i] != 0; i++)
		sign(who[i], msg, (size_t)len, &sigs[i]);
	n = regupdate_rotation_line(t, sigs, i, l->text, sizeof(l->text));
	assert_true(n > 0);
	l->len = (size_t)n;
	return registry_rotate(r, l->text, l->len, &why);
}

static enum registry_turn
turn(struct registry *r, const struct registry_rotation *t, const uint32_t *who)
{
	struct line l;

	return turn_with(r, t, who, &l);
}

#define K0 NODE
#define K1 (NODE + NEXT)
#define K2 (NODE + 2 * NEXT)
#define K3 (NODE + 3 * NEXT)

static void
test_rotation(void **state)
{
	struct registry *r = begin(1, 1);
	struct registry_rotation t, first;
	registry_key key;

	(void)state;
	apply(r, node_add("n1", K0), BY(AUTH));
	apply(r, node_add("n2", NODE + 7), BY(AUTH));
	first = t = rotation(r, "n1", K1, T0 + 100);
	/* Not by the key now in use, nor by an authority, nor unsigned. */
	assert_int_equal(turn(r, &t, BY(K0)), REGISTRY_TURN_BAD);
	assert_int_equal(turn(r, &t, BY(AUTH)), REGISTRY_TURN_BAD);
	assert_int_equal(turn(r, &t, NOBODY), REGISTRY_TURN_BAD);
	assert_int_equal(turn(r, &t, BY(K1, AUTH)), REGISTRY_TURN_BAD);
	/* A key that was not committed to. */
	t = rotation(r, "n1", K2, T0 + 100);
	assert_int_equal(turn(r, &t, BY(K2, K0)), REGISTRY_TURN_BAD);
	/* A number too far, another node's history. */
	t = first;
	t.ksn = 2;
	assert_int_equal(turn(r, &t, BY(K1, K0)), REGISTRY_TURN_AHEAD);
	t = first;
	memset(t.prev, 1, sizeof(t.prev));
	assert_int_equal(turn(r, &t, BY(K1, K0)), REGISTRY_TURN_BAD);
	t = first;
	SET(t.name, "n2");
	assert_int_equal(turn(r, &t, BY(K1, K0)), REGISTRY_TURN_BAD);
	SET(t.name, "n9");
	assert_int_equal(turn(r, &t, BY(K1, K0)), REGISTRY_TURN_BAD);
	assert_int_equal(registry_rotations(r), 0);

	assert_int_equal(turn(r, &first, BY(K1, K0)), REGISTRY_TURNED);
	assert_int_equal(turn(r, &first, BY(K1, K0)), REGISTRY_TURN_KNOWN);
	/* Without the old key's signature it is the same rotation. */
	assert_int_equal(turn(r, &first, BY(K1)), REGISTRY_TURN_KNOWN);
	assert_int_equal(registry_rotations(r), 1);
	assert_int_equal(standing(r, "n1", K1, T0 + 100), REGISTRY_OK);
	assert_int_equal(standing(r, "n1", K0, T0 + 700), REGISTRY_OLD_KEY_OK);
	assert_int_equal(standing(r, "n1", K0, T0 + 701), REGISTRY_WRONG_KEY);
	assert_int_equal(registry_node(r, "n1")->sealing[0], 0x66);
	public_key(K0, key);
	assert_true(registry_ever_held(r, key));

	/* The old key is lost: the next one is enough. */
	t = rotation(r, "n1", K2, T0 + 200);
	assert_int_equal(turn(r, &t, BY(K2)), REGISTRY_TURNED);
	assert_int_equal(registry_node(r, "n1")->ksn, 2);
	/* A time far ahead makes no long overlap. */
	t = rotation(r, "n1", K3, T0 + YEAR);
	assert_int_equal(turn(r, &t, BY(K3, K2)), REGISTRY_TURNED);
	assert_int_equal(standing(r, "n1", K2, T0 + 300), REGISTRY_WRONG_KEY);
	/* Revocation takes all its keys. */
	apply(r, node_revoke("n1"), BY(AUTH));
	assert_false(registry_ever_held(r, key));
	public_key(K2, key);
	assert_false(registry_ever_held(r, key));
	t.ksn++;
	assert_int_equal(turn(r, &t, BY(K3, K2)), REGISTRY_TURN_BAD);
	registry_free(r);
}

static void
test_two_rotations_with_one_number(void **state)
{
	struct registry *r = begin(1, 1);
	struct registry_rotation one, two;
	struct registry_update u;

	(void)state;
	apply(r, node_add("n1", K0), BY(AUTH));
	apply(r, node_add("n2", NODE + 7), BY(AUTH));
	one = two = rotation(r, "n1", K1, T0 + 100);
	two.sealing[0] = 0x77;
	assert_int_equal(turn(r, &one, BY(K1, K0)), REGISTRY_TURNED);
	/* Whoever has not the next key cannot suspend a node. */
	assert_int_equal(turn(r, &two, BY(K0)), REGISTRY_TURN_BAD);
	assert_int_equal(standing(r, "n1", K1, T0), REGISTRY_OK);
	assert_int_equal(turn(r, &two, BY(K1)), REGISTRY_TURN_TWO);
	assert_int_equal(standing(r, "n1", K1, T0), REGISTRY_SUSPENDED);
	assert_int_equal(standing(r, "n2", NODE + 7, T0), REGISTRY_OK);
	assert_int_equal(turn(r, &two, BY(K1)), REGISTRY_TURN_KNOWN);
	assert_int_equal(registry_rotations(r), 2);
	one = rotation(r, "n1", K2, T0 + 200);
	assert_int_equal(turn(r, &one, BY(K2, K1)), REGISTRY_TURN_BAD);
	/* The authorities say which one holds. */
	u = update(REGISTRY_NODE_ANCHOR);
	SET(u.node.name, "n1");
	u.node.ksn = 1;
	memcpy(u.node.identity, two.identity, 32);
	memcpy(u.node.sealing, two.sealing, 32);
	u.node.has_next = true;
	memcpy(u.node.next, two.next, 32);
	assert_int_equal(regupdate_rotation_hash(&two, u.node.event), 0);
	apply(r, u, BY(AUTH));
	assert_int_equal(standing(r, "n1", K1, T0), REGISTRY_OK);
	assert_int_equal(registry_node(r, "n1")->sealing[0], 0x77);
	assert_non_null(try(r, u, BY(AUTH)));
	one = rotation(r, "n1", K2, T0 + 200);
	assert_int_equal(turn(r, &one, BY(K2, K1)), REGISTRY_TURNED);
	registry_free(r);
}

static void
test_anchor(void **state)
{
	struct registry *r = begin(1, 1), *late;
	struct registry_rotation t1, t2;
	struct registry_update u;
	const char *line, *why;
	size_t i, len;
	struct line l1;

	(void)state;
	apply(r, node_add("n1", K0), BY(AUTH));
	t1 = rotation(r, "n1", K1, T0 + 100);
	assert_int_equal(turn_with(r, &t1, BY(K1, K0), &l1), REGISTRY_TURNED);
	t2 = rotation(r, "n1", K2, T0 + 200);
	assert_int_equal(turn(r, &t2, BY(K2, K1)), REGISTRY_TURNED);
	u = update(REGISTRY_NODE_ANCHOR);
	SET(u.node.name, "n1");
	u.node.ksn = 1;
	memcpy(u.node.identity, t1.identity, 32);
	memcpy(u.node.sealing, t1.sealing, 32);
	u.node.has_next = true;
	memcpy(u.node.next, t1.next, 32);
	assert_int_equal(regupdate_rotation_hash(&t1, u.node.event), 0);
	apply(r, u, BY(AUTH));
	/* What came after it still holds. */
	assert_int_equal(registry_node(r, "n1")->ksn, 2);
	assert_int_equal(registry_node(r, "n1")->anchored_ksn, 1);
	assert_int_equal(standing(r, "n1", K2, T0), REGISTRY_OK);

	/* Somebody who has heard of none of it learns it from the chain. */
	late = registry_new(registry_genesis(r));
	for (i = 0; i <= registry_seq(r); i++) {
		line = registry_line(r, i, &len);
		assert_int_equal(registry_apply(late, line, len, &why), 0);
	}
	assert_int_equal(standing(late, "n1", K1, T0), REGISTRY_OK);
	assert_int_equal(registry_rotate(late, l1.text, l1.len, &why),
	    REGISTRY_TURN_KNOWN);
	assert_int_equal(turn(late, &t2, BY(K2, K1)), REGISTRY_TURNED);
	assert_int_equal(standing(late, "n1", K2, T0), REGISTRY_OK);
	registry_free(late);
	registry_free(r);
}

/* --- branches and forks -------------------------------------------------- */

/* Another copy of a chain, up to and with that number. */
static struct registry *
copy(const struct registry *r, uint64_t upto)
{
	struct registry *other = registry_new(registry_genesis(r));
	const char *line, *why;
	uint64_t i;
	size_t len;

	assert_non_null(other);
	for (i = 0; i <= upto; i++) {
		line = registry_line(r, i, &len);
		assert_int_equal(registry_apply(other, line, len, &why), 0);
	}
	return other;
}

/* A line that follows that number of a registry. */
static void
next_line(const struct registry *r, uint64_t seq, struct registry_update u,
    const uint32_t *who, struct line *l)
{
	after(&u, seq, registry_hash_at(r, seq));
	line_of(l, &u, who);
}

static void
follow(const struct line *before, uint64_t seq, struct registry_update u,
    const uint32_t *who, struct line *l)
{
	after(&u, seq, before->hash);
	line_of(l, &u, who);
}

/* That number's line. */
static void
take(struct line *l, const struct registry *r, uint64_t seq)
{
	const char *line = registry_line(r, seq, &l->len);

	assert_non_null(line);
	memcpy(l->text, line, l->len);
	memcpy(l->hash, registry_hash_at(r, seq), sizeof(l->hash));
}

static void
test_offers(void **state)
{
	struct registry *r = begin(3, 2), *other;
	uint64_t from, next;
	char range[4096];
	const char *why;
	struct line l;
	size_t n;

	(void)state;
	other = copy(r, 0);
	apply(r, node_add("n1", NODE), BY(AUTH, AUTH + 1));
	apply(r, node_add("n2", NODE + 1), BY(AUTH, AUTH + 1));
	n = registry_range(r, 1, range, sizeof(range), &next);
	assert_int_equal(next, 3);
	assert_int_equal(range[n - 1], '\n');
	/* Whole lines alone. */
	assert_true(registry_range(r, 1, range, n - 1, &next) < n / 2 + 20);
	assert_int_equal(next, 2);
	assert_int_equal(registry_range(r, 3, range, sizeof(range), &next), 0);

	take(&l, r, 2);
	assert_int_equal(registry_offer(other, l.text, l.len, &from, &why),
	    REGISTRY_AHEAD);
	assert_int_equal(from, 1);
	take(&l, r, 1);
	assert_int_equal(offer(other, &l), REGISTRY_NEXT);
	assert_int_equal(offer(other, &l), REGISTRY_KNOWN);
	/* With other signatures it is the same update. */
	next_line(r, 0, node_add("n1", NODE), BY(AUTH + 1, AUTH + 2), &l);
	assert_int_equal(offer(other, &l), REGISTRY_KNOWN);
	/* Too few for a branch. */
	next_line(r, 0, node_add("n8", NODE + 8), BY(AUTH), &l);
	assert_int_equal(offer(other, &l), REGISTRY_BAD);
	next_line(r, 0, update(REGISTRY_FRESH), BY(AUTH + 9), &l);
	assert_int_equal(offer(other, &l), REGISTRY_BAD);
	assert_false(registry_forked(other));
	l.len--;
	assert_int_equal(offer(other, &l), REGISTRY_BAD);
	registry_free(other);
	registry_free(r);
}

/* `fresh` gives way to what decides something, and never forks. */
static void
test_fresh_gives_way(void **state)
{
	struct registry *r = begin(3, 2), *other;
	struct registry_update u, f = update(REGISTRY_FRESH);
	struct line one, two, l;
	uint32_t have, need;
	uint64_t age;

	(void)state;
	/* A proposal follows what decided last, whatever comes between. */
	f.time_s = T0 + DAY;
	apply(r, f, BY(FRESH));
	u = node_add("n1", NODE);
	assert_null(registry_propose(r, &u));
	assert_int_equal(u.seq, 1);
	assert_memory_equal(u.prev, registry_genesis(r), 32);
	f.time_s = T0 + 2 * DAY;
	apply(r, f, BY(FRESH + 1));
	assert_int_equal(registry_seq(r), 2);
	line_of(&l, &u, BY(AUTH));
	assert_null(registry_signed(r, l.text, l.len, &have, &need, &u));
	assert_int_equal(have, 1);
	assert_int_equal(need, 2);
	assert_string_equal(u.node.name, "n1");
	assert_int_equal(offer(r, &l), REGISTRY_BAD);
	assert_int_equal(registry_seq(r), 2);
	line_of(&l, &u, BY(AUTH, AUTH + 2));
	assert_int_equal(offer(r, &l), REGISTRY_SWITCHED);
	assert_int_equal(registry_seq(r), 1);
	assert_non_null(registry_node(r, "n1"));
	assert_false(registry_forked(r));
	/* The news of what gave way is still news. */
	assert_int_equal(registry_freshness(r, T0 + 2 * DAY, &age),
	    REGISTRY_IS_FRESH);
	/* One that does not fit changes nothing. */
	apply(r, f, BY(FRESH));
	next_line(r, 1, node_add("n1", NODE + 1), BY(AUTH, AUTH + 1), &l);
	assert_int_equal(offer(r, &l), REGISTRY_BAD);
	assert_int_equal(registry_seq(r), 2);
	assert_int_equal(registry_branch_lines(r), 0);

	/* Two of them: everybody ends with the same one. */
	other = copy(r, 1);
	take(&one, r, 2);
	next_line(r, 1, f, BY(FRESH + 1), &two);
	f.time_s += 5;
	next_line(r, 1, f, BY(FRESH + 1), &two);
	assert_int_equal(offer(other, &two), REGISTRY_NEXT);
	assert_int_equal(offer(r, &two),
	    memcmp(two.hash, one.hash, 32) < 0 ? REGISTRY_SWITCHED :
						 REGISTRY_BRANCH);
	assert_int_equal(offer(other, &one),
	    memcmp(one.hash, two.hash, 32) < 0 ? REGISTRY_SWITCHED :
						 REGISTRY_BRANCH);
	assert_memory_equal(registry_head(r), registry_head(other), 32);
	/* What decides something is taken after either. */
	follow(&one, 2, node_add("n2", NODE + 2), BY(AUTH, AUTH + 1), &l);
	if (memcmp(registry_head(r), one.hash, 32) == 0) {
		assert_int_equal(offer(r, &l), REGISTRY_NEXT);
	} else {
		(void)offer(r, &one);
		assert_int_equal(offer(r, &l), REGISTRY_SWITCHED);
	}
	assert_non_null(registry_node(r, "n2"));
	assert_false(registry_forked(r));
	registry_free(other);
	registry_free(r);
}

/*
 * 0 genesis, 1 n1, 2 n2, then both branches: ours has 3 n3, 4 n1 revoked;
 * theirs 3 n4, 4 n2 revoked.
 */
static struct registry *
forked(struct line *theirs3, struct line *theirs4)
{
	struct registry *r = begin(3, 2);

	apply(r, node_add("n1", NODE + 1), BY(AUTH, AUTH + 1));
	apply(r, node_add("n2", NODE + 2), BY(AUTH, AUTH + 1));
	next_line(r, 2, node_add("n4", NODE + 4), BY(AUTH, AUTH + 2), theirs3);
	follow(theirs3, 3, node_revoke("n2"), BY(AUTH + 1, AUTH + 2), theirs4);
	apply(r, node_add("n3", NODE + 3), BY(AUTH, AUTH + 1));
	apply(r, node_revoke("n1"), BY(AUTH, AUTH + 1));
	return r;
}

static void
test_fork(void **state)
{
	struct registry_update u = update(REGISTRY_FRESH);
	struct line t3, t4, l;
	struct registry *r = forked(&t3, &t4);
	registry_hash heads[REGISTRY_HEADS_MAX];

	(void)state;
	assert_int_equal(standing(r, "n3", NODE + 3, T0), REGISTRY_OK);
	assert_int_equal(offer(r, &t3), REGISTRY_FORK);
	assert_true(registry_forked(r));
	assert_int_equal(registry_common(r), 2);
	/* What rests on the updates after the fork is not in force. */
	assert_int_equal(standing(r, "n3", NODE + 3, T0), REGISTRY_UNSETTLED);
	assert_int_equal(standing(r, "n4", NODE + 4, T0), REGISTRY_UNKNOWN);
	assert_int_equal(standing(r, "n2", NODE + 2, T0), REGISTRY_OK);
	/* Ours revokes n1, by enough of the common authorities. */
	assert_int_equal(standing(r, "n1", NODE + 1, T0), REGISTRY_REVOKED);
	/* And theirs n2. */
	assert_int_equal(offer(r, &t4), REGISTRY_FORK);
	assert_int_equal(standing(r, "n2", NODE + 2, T0), REGISTRY_REVOKED);
	assert_int_equal(offer(r, &t4), REGISTRY_KNOWN);
	assert_int_equal(offer(r, &t3), REGISTRY_KNOWN);
	assert_int_equal(registry_branch_lines(r), 2);
	/* Both branches go on; nothing of it is news. */
	u.time_s = T0 + 20 * DAY;
	apply(r, u, BY(FRESH));
	assert_int_equal(registry_freshness(r, T0 + 20 * DAY, NULL),
	    REGISTRY_IS_HARD);
	next_line(r, registry_seq(r), node_add("n5", NODE + 5),
	    BY(AUTH, AUTH + 1), &l);
	assert_int_equal(offer(r, &l), REGISTRY_NEXT);
	assert_int_equal(standing(r, "n5", NODE + 5, T0), REGISTRY_UNSETTLED);
	assert_true(registry_forked(r));
	assert_int_equal(registry_heads(r, heads), 2);
	assert_true(memcmp(heads[0], heads[1], 32) < 0);
	registry_free(r);
}

static void
test_resolve_for_ours(void **state)
{
	struct registry_update u = update(REGISTRY_RESOLVE), bad;
	struct line t3, t4, l;
	struct registry *r = forked(&t3, &t4), *late;
	uint32_t have, need;

	(void)state;
	memcpy(u.resolve.chosen, registry_head(r), 32);
	assert_string_equal(registry_propose(r, &u), "there is no fork");
	assert_int_equal(offer(r, &t3), REGISTRY_FORK);
	assert_int_equal(offer(r, &t4), REGISTRY_FORK);
	assert_null(registry_propose(r, &u));
	assert_int_equal(u.resolve.common, 2);
	assert_int_equal(u.seq, 5);
	line_of(&l, &u, BY(AUTH));
	assert_null(registry_signed(r, l.text, l.len, &have, &need, &bad));
	assert_int_equal(have, 1);
	assert_int_equal(need, 2);
	assert_int_equal(offer(r, &l), REGISTRY_BAD);
	line_of(&l, &u, BY(FRESH, FRESH + 1));
	assert_int_equal(offer(r, &l), REGISTRY_BAD);
	assert_true(registry_forked(r));
	line_of(&l, &u, BY(AUTH + 2, AUTH + 1));
	assert_int_equal(offer(r, &l), REGISTRY_RESOLVED);
	assert_false(registry_forked(r));
	assert_int_equal(standing(r, "n3", NODE + 3, T0), REGISTRY_OK);
	assert_int_equal(standing(r, "n1", NODE + 1, T0), REGISTRY_REVOKED);
	/* The chosen branch alone: n2 is to be revoked again there. */
	assert_int_equal(standing(r, "n2", NODE + 2, T0), REGISTRY_OK);
	assert_int_equal(registry_branch_lines(r), 0);
	/* The other branch is over. */
	assert_int_equal(offer(r, &t3), REGISTRY_BAD);
	assert_false(registry_forked(r));
	/* Somebody who never saw the fork reads the same chain. */
	late = copy(r, registry_seq(r));
	assert_int_equal(offer(late, &t3), REGISTRY_BAD);
	assert_false(registry_forked(late));
	registry_free(late);
	registry_free(r);
}

static void
test_resolve_for_theirs(void **state)
{
	struct registry_update u = update(REGISTRY_RESOLVE);
	struct line t3, t4, l, next;
	struct registry *r = forked(&t3, &t4);
	struct registry_rotation t = rotation(r, "n2", NODE + 2 + NEXT, T0);

	(void)state;
	assert_int_equal(turn(r, &t, BY(NODE + 2 + NEXT)), REGISTRY_TURNED);
	assert_int_equal(offer(r, &t3), REGISTRY_FORK);
	/* A rotation before the fork still holds. */
	assert_int_equal(standing(r, "n2", NODE + 2 + NEXT, T0), REGISTRY_OK);
	assert_int_equal(offer(r, &t4), REGISTRY_FORK);
	memcpy(u.resolve.chosen, t4.hash, 32);
	assert_null(registry_propose(r, &u));
	assert_int_equal(u.seq, 5);
	line_of(&l, &u, BY(AUTH));
	assert_int_equal(offer(r, &l), REGISTRY_BAD);
	assert_int_equal(registry_branch_lines(r), 2);
	line_of(&l, &u, BY(AUTH, AUTH + 2));
	assert_int_equal(offer(r, &l), REGISTRY_RESOLVED);
	assert_false(registry_forked(r));
	assert_int_equal(registry_seq(r), 5);
	assert_memory_equal(registry_head(r), l.hash, 32);
	assert_int_equal(standing(r, "n1", NODE + 1, T0), REGISTRY_OK);
	assert_int_equal(standing(r, "n2", NODE + 2 + NEXT, T0),
	    REGISTRY_REVOKED);
	assert_int_equal(standing(r, "n4", NODE + 4, T0), REGISTRY_OK);
	assert_int_equal(standing(r, "n3", NODE + 3, T0), REGISTRY_UNKNOWN);
	follow(&l, 5, node_add("n6", NODE + 6), BY(AUTH, AUTH + 2), &next);
	assert_int_equal(offer(r, &next), REGISTRY_NEXT);
	registry_free(r);
}

/* Authorities that one branch appointed revoke nothing at the fork. */
static void
test_revocation_by_later_authorities(void **state)
{
	struct registry_update u = update(REGISTRY_AUTHORITIES);
	struct registry *r = begin(3, 2);
	struct line l3, l4;

	(void)state;
	apply(r, node_add("n1", NODE + 1), BY(AUTH, AUTH + 1));
	apply(r, node_add("n2", NODE + 2), BY(AUTH, AUTH + 1));
	u.set = set_of(AUTH + 5, 3, 2, false);
	next_line(r, 1, u, BY(AUTH, AUTH + 2, AUTH + 5, AUTH + 6), &l3);
	follow(&l3, 2, node_revoke("n1"), BY(AUTH + 5, AUTH + 6), &l4);
	assert_int_equal(offer(r, &l3), REGISTRY_FORK);
	assert_int_equal(offer(r, &l4), REGISTRY_FORK);
	assert_int_equal(standing(r, "n1", NODE + 1, T0), REGISTRY_OK);
	assert_int_equal(registry_set(r)->count, 3);
	assert_int_equal(registry_common(r), 1);
	registry_free(r);
}

/* What was revoked here does not come back over a fork. */
static void
test_revoked_stays_revoked(void **state)
{
	struct registry_update u = update(REGISTRY_AUTHORITIES);
	struct registry *r = begin(1, 1);
	struct line l;

	(void)state;
	apply(r, node_add("n1", NODE + 1), BY(AUTH));
	apply(r, node_add("n2", NODE + 2), BY(AUTH));
	u.set = set_of(AUTH + 1, 1, 1, false);
	apply(r, u, BY(AUTH, AUTH + 1));
	apply(r, node_revoke("n1"), BY(AUTH + 1));
	next_line(r, 2, node_add("n9", NODE + 9), BY(AUTH), &l);
	assert_int_equal(offer(r, &l), REGISTRY_FORK);
	assert_int_equal(registry_common(r), 2);
	assert_int_equal(standing(r, "n1", NODE + 1, T0), REGISTRY_REVOKED);
	assert_int_equal(standing(r, "n2", NODE + 2, T0), REGISTRY_OK);
	registry_free(r);
}

/* Without a fork a resolve takes nothing away. */
static void
test_resolve_without_a_fork(void **state)
{
	struct registry_update u = update(REGISTRY_RESOLVE);
	struct registry *r = begin(1, 1);
	struct line l;

	(void)state;
	apply(r, node_add("n1", NODE + 1), BY(AUTH));
	apply(r, node_add("n2", NODE + 2), BY(AUTH));
	apply(r, node_revoke("n1"), BY(AUTH));
	u.resolve.common = 1;
	u.resolve.heads = 2;
	memset(u.resolve.head[0], 0, 32);
	memcpy(u.resolve.head[1], registry_hash_at(r, 2), 32);
	memcpy(u.resolve.chosen, registry_hash_at(r, 2), 32);
	next_line(r, 2, u, BY(AUTH), &l);
	assert_int_equal(offer(r, &l), REGISTRY_FORK);
	assert_int_equal(registry_common(r), 2);
	assert_int_equal(standing(r, "n1", NODE + 1, T0), REGISTRY_REVOKED);
	registry_free(r);
}

/* Who was replaced long ago makes no branch and decides no fork. */
static void
test_replaced_authorities(void **state)
{
	struct registry_update u = update(REGISTRY_AUTHORITIES);
	struct registry *r = begin(1, 1);
	struct line l;

	(void)state;
	apply(r, node_add("n1", NODE + 1), BY(AUTH));
	u.set = set_of(AUTH + 1, 1, 1, true);
	apply(r, u, BY(AUTH, AUTH + 1));
	u = update(REGISTRY_FRESH);
	u.time_s = T0 + 15 * DAY;
	apply(r, u, BY(FRESH + 1));
	next_line(r, 1, node_add("n9", NODE + 9), BY(AUTH), &l);
	assert_int_equal(offer(r, &l), REGISTRY_BAD);
	assert_false(registry_forked(r));
	u = update(REGISTRY_RESOLVE);
	u.resolve.common = 1;
	u.resolve.heads = 2;
	memset(u.resolve.head[0], 0, 32);
	memcpy(u.resolve.head[1], registry_head(r), 32);
	memcpy(u.resolve.chosen, registry_head(r), 32);
	assert_string_equal(try(r, u, BY(AUTH)),
	    "signed by 0 of the present authorities, and 1 must");
	apply(r, u, BY(AUTH, AUTH + 1));
	registry_free(r);
}

/* Branches that decide nothing do not fill memory. */
static void
test_many_branches(void **state)
{
	struct registry_update u = update(REGISTRY_FRESH);
	struct registry *r = begin(1, 1);
	struct line l;
	uint64_t i;

	(void)state;
	apply(r, node_add("n1", NODE + 1), BY(AUTH));
	for (i = 0; i < 40; i++) {
		u.time_s = T0 + 200 + i;
		next_line(r, 0, u, BY(FRESH), &l);
		assert_int_equal(offer(r, &l), REGISTRY_BRANCH);
		assert_true(registry_branch_lines(r) <= REGISTRY_BRANCHES_MAX);
	}
	assert_int_equal(registry_seq(r), 1);
	next_line(r, 0, node_add("n2", NODE + 2), BY(AUTH), &l);
	assert_int_equal(offer(r, &l), REGISTRY_FORK);
	registry_free(r);
}

/* --- files --------------------------------------------------------------- */

static char folder[64];

static int
open_folder(void)
{
	int fd;

	text(folder, sizeof(folder), "/tmp/test_registry.XXXXXX");
	assert_non_null(mkdtemp(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void
close_folder(int fd)
{
	static const char *const names[] = { "registry.ndjson",
		"rotations.ndjson", "branches.ndjson", "registry.floor" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(fd, names[i], 0);
	close(fd);
	assert_int_equal(rmdir(folder), 0);
}

static size_t
slurp(int dir, const char *name, char *out, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, out, size);
	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

static void
spew(int dir, const char *name, const char *data, size_t len, int flags)
{
	int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* Line 0 as clawd writes it. */
static void
write_genesis(int dir, const struct registry *r)
{
	char line[REGISTRY_LINE_MAX + 1];
	size_t len;
	const char *text0 = registry_line(r, 0, &len);

	memcpy(line, text0, len);
	line[len] = '\n';
	spew(dir, "registry.ndjson", line, len + 1, O_TRUNC);
}

static struct registry *
load(int dir, const struct registry *like, struct registry_file *f,
    bool writable)
{
	struct registry *r = registry_new(registry_genesis(like));
	const char *why = registry_file_load(f, dir, writable, r);

	if (why != NULL)
		fail_msg("%s", why);
	return r;
}

static void
sync_ok(struct registry_file *f, struct registry *r)
{
	const char *why = registry_file_sync(f, r);

	if (why != NULL)
		fail_msg("%s", why);
}

static void
load_fails(int dir, const struct registry *like, const char *with)
{
	struct registry *r = registry_new(registry_genesis(like));
	struct registry_file f;
	const char *why = registry_file_load(&f, dir, false, r);

	assert_non_null(why);
	if (strstr(why, with) == NULL)
		fail_msg("%s", why);
	registry_free(r);
}

static void
test_files_come_back(void **state)
{
	struct registry *r = begin(1, 1), *again, *seen;
	struct registry_update u = update(REGISTRY_FRESH);
	struct registry_rotation t;
	struct registry_file f, g;
	int dir = open_folder();
	struct line l;

	(void)state;
	load_fails(dir, r, "registry.ndjson: No such file");
	write_genesis(dir, r);
	registry_free(load(dir, r, &f, false));
	assert_int_equal(faccessat(dir, "registry.floor", F_OK, 0), -1);
	again = load(dir, r, &f, true);
	apply(again, node_add("n1", K0), BY(AUTH));
	sync_ok(&f, again);
	apply(again, u, BY(FRESH));
	t = rotation(again, "n1", K1, T0);
	assert_int_equal(turn(again, &t, BY(K1)), REGISTRY_TURNED);
	sync_ok(&f, again);
	seen = load(dir, r, &g, false);
	assert_int_equal(registry_seq(seen), 2);
	assert_int_equal(standing(seen, "n1", K1, T0), REGISTRY_OK);
	registry_free(seen);
	/* An update takes the place of a `fresh`. */
	next_line(again, 1, node_add("n2", NODE + 2), BY(AUTH), &l);
	assert_int_equal(offer(again, &l), REGISTRY_SWITCHED);
	sync_ok(&f, again);
	seen = load(dir, r, &g, false);
	assert_memory_equal(registry_head(seen), registry_head(again), 32);
	registry_free(seen);
	/* A fork outlives the process. */
	next_line(again, 1, node_add("n3", NODE + 3), BY(AUTH), &l);
	assert_int_equal(offer(again, &l), REGISTRY_FORK);
	sync_ok(&f, again);
	seen = load(dir, r, &g, false);
	assert_true(registry_forked(seen));
	assert_int_equal(registry_common(seen), 1);
	registry_free(seen);
	/* And so does its end, against what we had. */
	u = update(REGISTRY_RESOLVE);
	memcpy(u.resolve.chosen, l.hash, 32);
	assert_null(registry_propose(again, &u));
	line_of(&l, &u, BY(AUTH));
	assert_int_equal(offer(again, &l), REGISTRY_RESOLVED);
	sync_ok(&f, again);
	assert_int_equal(faccessat(dir, "branches.ndjson", F_OK, 0), -1);
	seen = load(dir, r, &g, true);
	assert_false(registry_forked(seen));
	assert_int_equal(standing(seen, "n3", NODE + 3, T0), REGISTRY_OK);
	assert_int_equal(standing(seen, "n1", K1, T0), REGISTRY_OK);
	registry_free(seen);
	registry_free(again);
	registry_free(r);
	close_folder(dir);
}

static void
test_torn_tail(void **state)
{
	struct registry *r = begin(1, 1), *again;
	char before[4096], now[4096];
	struct registry_file f;
	int dir = open_folder();
	size_t n, part, len;
	const char *line;

	(void)state;
	write_genesis(dir, r);
	n = slurp(dir, "registry.ndjson", before, sizeof(before));
	apply(r, node_add("n1", NODE), BY(AUTH));
	line = registry_line(r, 1, &len);
	for (part = 1; part <= len; part += 37) {
		spew(dir, "registry.ndjson", line, part, O_APPEND);
		again = load(dir, r, &f, false);
		assert_true(f.torn);
		assert_int_equal(registry_seq(again), 0);
		registry_free(again);
		/* The writer cuts it. */
		again = load(dir, r, &f, true);
		assert_true(f.torn);
		assert_int_equal(
		    slurp(dir, "registry.ndjson", now, sizeof(now)), n);
		assert_memory_equal(now, before, n);
		registry_free(again);
	}
	/* Line 0 is not cut away. */
	spew(dir, "registry.ndjson", before, n - 1, O_TRUNC);
	load_fails(dir, r, "its first line does not end");
	/* A whole line that is wrong is no torn one. */
	spew(dir, "registry.ndjson", before, n, O_TRUNC);
	spew(dir, "registry.ndjson", "{}\n", 3, O_APPEND);
	load_fails(dir, r, "line 2: not an update");
	memset(now, ' ', sizeof(now));
	spew(dir, "registry.ndjson", before, n, O_TRUNC);
	for (part = 0; part < 5; part++)
		spew(dir, "registry.ndjson", now, sizeof(now), O_APPEND);
	load_fails(dir, r, "longer than 16384 bytes");
	registry_free(r);
	close_folder(dir);
}

/* A disk that takes a part of a line has taken nothing. */
static void
test_short_write(void **state)
{
	struct registry *r = begin(1, 1), *again, *seen;
	struct rlimit whole, little;
	char before[4096], now[4096];
	struct registry_file f, g;
	int dir = open_folder();
	const char *why;
	rlim_t more;
	size_t n;

	(void)state;
	write_genesis(dir, r);
	again = load(dir, r, &f, true);
	n = slurp(dir, "registry.ndjson", before, sizeof(before));
	apply(again, node_add("n1", NODE), BY(AUTH));
	apply(again, node_add("n2", NODE + 1), BY(AUTH));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole), 0);
	assert_ptr_not_equal(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	for (more = 0; more < 1200; more += 300) {
		little = whole;
		little.rlim_cur = n + more;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
		why = registry_file_sync(&f, again);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole), 0);
		assert_string_equal(why, "registry.ndjson: File too large");
		assert_int_equal(
		    slurp(dir, "registry.ndjson", now, sizeof(now)), n);
		assert_memory_equal(now, before, n);
	}
	/* What could not be written is written later. */
	sync_ok(&f, again);
	seen = load(dir, r, &g, false);
	assert_false(g.torn);
	assert_int_equal(registry_seq(seen), 2);
	registry_free(seen);
	registry_free(again);
	registry_free(r);
	close_folder(dir);
}

static void
test_old_backup(void **state)
{
	struct registry *r = begin(1, 1), *again, *other;
	char old[4096], old_turns[4096];
	struct registry_rotation t;
	struct registry_file f;
	int dir = open_folder();
	size_t n, turns;
	char line[REGISTRY_LINE_MAX];
	uint64_t next;

	(void)state;
	write_genesis(dir, r);
	again = load(dir, r, &f, true);
	apply(again, node_add("n1", K0), BY(AUTH));
	t = rotation(again, "n1", K1, T0);
	assert_int_equal(turn(again, &t, BY(K1)), REGISTRY_TURNED);
	sync_ok(&f, again);
	n = slurp(dir, "registry.ndjson", old, sizeof(old));
	turns = slurp(dir, "rotations.ndjson", old_turns, sizeof(old_turns));
	t = rotation(again, "n1", K2, T0);
	assert_int_equal(turn(again, &t, BY(K2)), REGISTRY_TURNED);
	sync_ok(&f, again);
	/* The rotations of last week: an old key would be good again. */
	spew(dir, "rotations.ndjson", old_turns, turns, O_TRUNC);
	load_fails(dir, r, "rotations.ndjson: rolled back");
	turns = registry_rotations(again);
	assert_int_equal(turns, 2);
	assert_int_equal(unlinkat(dir, "rotations.ndjson", 0), 0);
	load_fails(dir, r, "rotations.ndjson: rolled back");
	registry_free(again);

	assert_int_equal(unlinkat(dir, "registry.floor", 0), 0);
	again = load(dir, r, &f, true);
	apply(again, node_revoke("n1"), BY(AUTH));
	sync_ok(&f, again);
	spew(dir, "registry.ndjson", old, n, O_TRUNC);
	load_fails(dir, r, "registry.ndjson: rolled back: it ends at number 1");
	/* As long, and another history. */
	other = copy(again, 1);
	apply(other, node_add("n7", NODE + 7), BY(AUTH));
	n = registry_range(other, 0, line, sizeof(line), &next);
	spew(dir, "registry.ndjson", line, n, O_TRUNC);
	load_fails(dir, r, "number 2 is not the update that this node had");
	/* A floor that says nothing is not passed over. */
	spew(dir, "registry.floor", "claw-registry-floor-1\n2 ", 24, O_TRUNC);
	load_fails(dir, r, "registry.floor: damaged");
	registry_free(other);
	registry_free(again);
	registry_free(r);
	close_folder(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_genesis),
		cmocka_unit_test(test_place_in_the_chain),
		cmocka_unit_test(test_thresholds),
		cmocka_unit_test(test_one_form_alone),
		cmocka_unit_test(test_authorities_need_both_sets),
		cmocka_unit_test(test_key_for_fresh),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_binaries_and_developers),
		cmocka_unit_test(test_removal_at_the_cap),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_clock_a_year_off),
		cmocka_unit_test(test_own_clock_a_year_off),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_two_rotations_with_one_number),
		cmocka_unit_test(test_anchor),
		cmocka_unit_test(test_offers),
		cmocka_unit_test(test_fresh_gives_way),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_resolve_for_ours),
		cmocka_unit_test(test_resolve_for_theirs),
		cmocka_unit_test(test_revocation_by_later_authorities),
		cmocka_unit_test(test_revoked_stays_revoked),
		cmocka_unit_test(test_resolve_without_a_fork),
		cmocka_unit_test(test_replaced_authorities),
		cmocka_unit_test(test_many_branches),
		cmocka_unit_test(test_files_come_back),
		cmocka_unit_test(test_torn_tail),
		cmocka_unit_test(test_short_write),
		cmocka_unit_test(test_old_backup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
