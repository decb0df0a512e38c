/* SPDX-License-Identifier: ISC */
/*
 * test_follow.c - keyd believes of the registry what enough authorities have
 * signed, in its place, and goes back for a resolve alone.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attestd/follow.h"
#include "common/buf.h"
#include "common/registry.h"

#define US "node1"
#define CAPS UINT64_C(0x3)

/* Keys by number: authorities, keys for fresh, nodes. */
enum { AUTH = 1, FRESH = 11, NODE = 21 };

struct step {
	struct registry_update u;
	struct registry_signature sig[8];
	size_t n;
	registry_hash hash;
};

static struct follow f;
static struct step genesis, ours; /* 2 of 3; then this node */

static EVP_PKEY *
key(int who)
{
	uint8_t seed[32];
	EVP_PKEY *k;

	memset(seed, who, sizeof(seed));
	k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
	    sizeof(seed));
	assert_non_null(k);
	return k;
}

static void public(int who, registry_key out)
{
	size_t len = REGISTRY_KEY_LEN;
	EVP_PKEY *k = key(who);

	assert_int_equal(EVP_PKEY_get_raw_public_key(k, out, &len), 1);
	EVP_PKEY_free(k);
}

static void
sign(int who, const void *msg, size_t len, struct registry_signature *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = sizeof(out->sig);
	EVP_PKEY *k = key(who);

	public(who, out->kid);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, k), 1);
	assert_int_equal(EVP_DigestSign(ctx, out->sig, &n, msg, len), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(k);
}

static int
by_kid(const void *a, const void *b)
{
	return memcmp(a, b, REGISTRY_KEY_LEN);
}

/* Signed by those, up to a 0. */
static void
signed_by(struct step *s, const int *who)
{
	static char line[REGISTRY_LINE_MAX + 1];
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	ssize_t len = regupdate_signed_bytes(&s->u, msg, sizeof(msg));

	assert_true(len > 0);
	for (s->n = 0; who[s->n] != 0; s->n++)
		sign(who[s->n], msg, (size_t)len, &s->sig[s->n]);
	qsort(s->sig, s->n, sizeof(s->sig[0]), by_kid);
	if (s->u.op != REGISTRY_GENESIS) {
		assert_int_equal(regupdate_hash(&s->u, s->hash), 0);
		return;
	}
	len = regupdate_line(&s->u, s->sig, s->n, line, sizeof(line));
	assert_true(len > 0);
	assert_int_equal(registry_genesis_hash(line, (size_t)len, s->hash), 0);
}

#define BY(...) ((const int[]){ __VA_ARGS__, 0 })
#define TWO BY(AUTH, AUTH + 1)

/* An update that follows another one. */
static struct step
after(const struct step *before, enum registry_op op)
{
	struct step s = { .u = { .v = REGISTRY_VERSION, .op = op } };

	s.u.seq = before->u.seq + 1;
	s.u.time_s = 1795270000 + s.u.seq;
	memcpy(s.u.prev, before->hash, sizeof(s.u.prev));
	return s;
}

static void
set_of(struct registry_set *set, uint32_t threshold, const int *who)
{
	memset(set, 0, sizeof(*set));
	set->threshold = threshold;
	set->has_fresh = true;
	for (; who[set->count] != 0; set->count++) {
		public(who[set->count], set->authority[set->count]);
		public(who[set->count] + FRESH - AUTH, set->fresh[set->count]);
	}
}

static void
commit_to(struct registry_node_operands *o, int next)
{
	registry_key k;

	public(next, k);
	o->has_next = true;
	assert_int_equal(regupdate_next_hash(k, o->next), 0);
}

static struct step
adds(const struct step *before, const char *name, int who, uint64_t caps)
{
	struct step s = after(before, REGISTRY_NODE_ADD);

	snprintf(s.u.node.name, sizeof(s.u.node.name), "%s", name);
	public(who, s.u.node.identity);
	memset(s.u.node.sealing, 0x55, sizeof(s.u.node.sealing));
	s.u.node.capabilities = caps;
	commit_to(&s.u.node, who + 1);
	return s;
}

static struct step
revokes(const struct step *before, const char *name)
{
	struct step s = after(before, REGISTRY_NODE_REVOKE);

	snprintf(s.u.node.name, sizeof(s.u.node.name), "%s", name);
	return s;
}

static struct step
fresh(const struct step *before, int who, uint64_t time_s)
{
	struct step s = after(before, REGISTRY_FRESH);

	s.u.time_s += time_s;
	signed_by(&s, BY(who));
	return s;
}

static const char *
offer(const struct step *s)
{
	return follow_update(&f, &s->u, s->sig, s->n);
}

static void
taken(const struct step *s)
{
	const char *why = offer(s);

	if (why != NULL)
		fail_msg("not taken: %s", why);
}

static void
refused(const struct step *s, const char *why)
{
	struct follow_state before = f.now;
	const char *said = offer(s);

	assert_non_null(said);
	assert_non_null(strstr(said, why));
	assert_memory_equal(&f.now, &before, sizeof(before));
}

static uint64_t
caps_of(int who)
{
	registry_key k;

	public(who, k);
	return follow_capabilities(&f, k);
}

/* A registry of three authorities, two of whom must sign, and this node. */
static int
setup(void **state)
{
	(void)state;
	memset(&genesis, 0, sizeof(genesis));
	genesis.u.v = REGISTRY_VERSION;
	genesis.u.op = REGISTRY_GENESIS;
	genesis.u.time_s = 1795270000;
	genesis.u.windows.soft_s = genesis.u.windows.hard_s = 86400;
	set_of(&genesis.u.set, 2, BY(AUTH, AUTH + 1, AUTH + 2));
	signed_by(&genesis, TWO);
	ours = adds(&genesis, US, NODE, CAPS);
	signed_by(&ours, TWO);
	follow_begin(&f, US, genesis.hash);
	return 0;
}

static void
begin(void)
{
	taken(&genesis);
	taken(&ours);
}

/* It begins with the one genesis that is pinned, signed as it demands. */
static void
test_genesis(void **state)
{
	struct step other = genesis, second;

	(void)state;
	assert_int_equal(caps_of(NODE), 0);
	refused(&ours, "missing");
	other.u.windows.hard_s++;
	signed_by(&other, TWO);
	refused(&other, "not the genesis");
	/* The pin is on the line, with its signatures. */
	other = genesis;
	signed_by(&other, BY(AUTH));
	follow_begin(&f, US, other.hash);
	refused(&other, "too few");
	follow_begin(&f, US, genesis.hash);
	taken(&genesis);
	second = genesis;
	refused(&second, "a second genesis");
	assert_int_equal(f.now.seq, 0);
	assert_memory_equal(f.now.head, genesis.hash, 32);
}

/* Each follows the one before it: none is left out, none comes twice. */
static void
test_place(void **state)
{
	struct step a, b, wrong;

	(void)state;
	begin();
	a = adds(&ours, "guest", NODE + 4, 1);
	signed_by(&a, TWO);
	b = revokes(&a, "guest");
	signed_by(&b, TWO);
	refused(&b, "missing");
	wrong = a;
	wrong.u.prev[0] ^= 1;
	signed_by(&wrong, TWO);
	refused(&wrong, "does not follow");
	wrong = a;
	wrong.u.seq = 1000000;
	signed_by(&wrong, TWO);
	refused(&wrong, "missing");
	wrong = a;
	wrong.u.seq = 1;
	signed_by(&wrong, TWO);
	refused(&wrong, "from before");
	taken(&a);
	refused(&a, "from before");
	refused(&ours, "from before");
	taken(&b);
	refused(&a, "from before");
	assert_int_equal(f.now.seq, 3);
	assert_memory_equal(f.now.head, b.hash, 32);
}

/* As many as must sign have signed, each by a key of its own. */
static void
test_signers(void **state)
{
	struct registry_signature all[REGISTRY_SIGS_MAX + 1];
	struct step s;

	(void)state;
	begin();
	s = adds(&ours, "guest", NODE + 4, 1);
	s.n = 0;
	refused(&s, "too few");
	signed_by(&s, BY(AUTH));
	refused(&s, "too few");
	signed_by(&s, BY(AUTH, NODE));
	refused(&s, "may not sign");
	signed_by(&s, BY(AUTH, FRESH));
	refused(&s, "may not sign");
	signed_by(&s, TWO);
	s.sig[1].sig[5] ^= 1;
	refused(&s, "wrong");
	signed_by(&s, TWO);
	s.u.node.capabilities = 2;
	refused(&s, "wrong");
	memset(all, 0, sizeof(all));
	assert_string_equal(follow_update(&f, &s.u, all, REGISTRY_SIGS_MAX + 1),
	    "more signatures than there can be");
	signed_by(&s, BY(AUTH + 1, AUTH + 2));
	taken(&s);
}

/* Another set of authorities: by the old one and the new one, from then on. */
static void
test_authorities(void **state)
{
	struct step s, t;

	(void)state;
	begin();
	s = after(&ours, REGISTRY_AUTHORITIES);
	set_of(&s.u.set, 2, BY(AUTH + 2, AUTH + 3));
	signed_by(&s, TWO);
	refused(&s, "too few");
	signed_by(&s, BY(AUTH + 2, AUTH + 3));
	refused(&s, "too few");
	signed_by(&s, BY(AUTH, AUTH + 2, AUTH + 3));
	taken(&s);
	t = adds(&s, "guest", NODE + 4, 1);
	signed_by(&t, TWO);
	refused(&t, "may not sign");
	signed_by(&t, BY(AUTH + 2, AUTH + 3));
	taken(&t);
}

/* `fresh` decides nothing: one says it, and it gives way. */
static void
test_fresh(void **state)
{
	struct step one, two, other, last;

	(void)state;
	begin();
	one = fresh(&ours, NODE, 0);
	refused(&one, "may not sign");
	one = fresh(&ours, FRESH, 0);
	taken(&one);
	two = fresh(&one, FRESH + 1, 0);
	taken(&two);
	assert_int_equal(f.now.seq, 3);
	assert_int_equal(f.now.base_seq, 1);
	other = fresh(&ours, FRESH + 2, 7);
	taken(&other);
	assert_int_equal(f.now.seq, 2);
	assert_memory_equal(f.now.head, other.hash, 32);
	assert_int_equal(caps_of(NODE), CAPS);
	/* What decides does so for good. */
	last = revokes(&ours, US);
	signed_by(&last, TWO);
	taken(&last);
	assert_int_equal(f.now.base_seq, 2);
	refused(&other, "from before");
	refused(&one, "from before");
	two = fresh(&other, FRESH, 0);
	refused(&two, "does not follow");
	assert_int_equal(caps_of(NODE), 0);
}

/* What this node may do is what its own entry says, for its own keys. */
static void
test_self(void **state)
{
	struct step s, t;

	(void)state;
	begin();
	assert_int_equal(caps_of(NODE), CAPS);
	assert_int_equal(caps_of(NODE + 1), 0);
	s = adds(&ours, US, NODE + 4, UINT64_C(0x7));
	signed_by(&s, TWO);
	refused(&s, "is there");
	s = adds(&ours, "node10", NODE + 4, UINT64_C(0x7));
	signed_by(&s, TWO);
	taken(&s);
	t = revokes(&s, "node10");
	signed_by(&t, TWO);
	taken(&t);
	assert_int_equal(caps_of(NODE), CAPS);
	assert_int_equal(caps_of(NODE + 4), 0);
	s = revokes(&t, US);
	signed_by(&s, TWO);
	taken(&s);
	assert_int_equal(caps_of(NODE), 0);
	t = revokes(&s, US);
	signed_by(&t, TWO);
	refused(&t, "no node");
	/* The name may come back; the old key does not. */
	t = adds(&s, US, NODE + 6, 1);
	signed_by(&t, TWO);
	taken(&t);
	assert_int_equal(caps_of(NODE), 0);
	assert_int_equal(caps_of(NODE + 6), 1);
}

struct turn {
	struct registry_rotation r;
	struct registry_signature sig[2];
	size_t n;
	registry_hash hash;
};

/* Reveals key `who`, after `prev`; signed by those. */
static struct turn
turns(uint64_t ksn, const registry_hash prev, int who, const int *signers)
{
	struct turn t = { .r = { .v = REGISTRY_VERSION,
			      .name = US,
			      .ksn = ksn,
			      .has_next = true,
			      .time_s = 1795280000 } };
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	registry_key next;
	ssize_t len;

	memcpy(t.r.prev, prev, sizeof(t.r.prev));
	public(who, t.r.identity);
	memset(t.r.sealing, 0x66, sizeof(t.r.sealing));
	public(who + 1, next);
	assert_int_equal(regupdate_next_hash(next, t.r.next), 0);
	len = regupdate_rotation_signed_bytes(&t.r, msg, sizeof(msg));
	assert_true(len > 0);
	for (; signers[t.n] != 0; t.n++)
		sign(signers[t.n], msg, (size_t)len, &t.sig[t.n]);
	assert_int_equal(regupdate_rotation_hash(&t.r, t.hash), 0);
	return t;
}

static const char *
turn(const struct turn *t)
{
	return follow_rotation(&f, &t->r, t->sig, t->n);
}

static void
not_turned(const struct turn *t, const char *why)
{
	struct follow_state before = f.now;
	const char *said = turn(t);

	assert_non_null(said);
	assert_non_null(strstr(said, why));
	assert_memory_equal(&f.now, &before, sizeof(before));
}

/* This node's keys turn by what was committed to, and by who signs. */
static void
test_rotation(void **state)
{
	struct turn t, good;

	(void)state;
	good = turns(1, ours.hash, NODE + 1, BY(NODE + 1, NODE));
	not_turned(&good, "not a rotation of this node");
	begin();
	t = good;
	snprintf(t.r.name, sizeof(t.r.name), "node10");
	not_turned(&t, "not a rotation of this node");
	t = turns(2, ours.hash, NODE + 1, BY(NODE + 1, NODE));
	not_turned(&t, "does not follow");
	t = turns(1, genesis.hash, NODE + 1, BY(NODE + 1, NODE));
	not_turned(&t, "does not follow");
	t = turns(1, ours.hash, NODE + 2, BY(NODE + 2, NODE));
	not_turned(&t, "not committed to");
	t = turns(1, ours.hash, NODE + 1, BY(NODE));
	not_turned(&t, "not signed by the key that it reveals");
	t = turns(1, ours.hash, NODE + 1, BY(NODE + 1, NODE + 5));
	not_turned(&t, "not the old one");
	t = good;
	t.sig[0].sig[3] ^= 1;
	not_turned(&t, "wrong");
	t = good;
	t.n = 0;
	not_turned(&t, "one key or two");
	t.n = 3;
	not_turned(&t, "one key or two");
	assert_null(turn(&good));
	assert_int_equal(caps_of(NODE), CAPS);
	assert_int_equal(caps_of(NODE + 1), CAPS);
	not_turned(&good, "does not follow");
	/* The old key being lost, by the new one alone. */
	t = turns(2, good.hash, NODE + 2, BY(NODE + 2));
	assert_null(turn(&t));
	assert_int_equal(caps_of(NODE), 0);
	assert_int_equal(caps_of(NODE + 2), CAPS);
	assert_int_equal(f.now.self.ksn, 2);
	/* Who commits to nothing does not turn. */
	f.now.self.has_next = false;
	t = turns(3, t.hash, NODE + 3, BY(NODE + 3));
	not_turned(&t, "not committed to");
}

static struct step
anchors(const struct step *before, const struct turn *t)
{
	struct step s = after(before, REGISTRY_NODE_ANCHOR);
	struct registry_node_operands *o = &s.u.node;

	memcpy(o->name, t->r.name, sizeof(o->name));
	memcpy(o->identity, t->r.identity, sizeof(o->identity));
	memcpy(o->sealing, t->r.sealing, sizeof(o->sealing));
	o->has_next = t->r.has_next;
	memcpy(o->next, t->r.next, sizeof(o->next));
	o->ksn = t->r.ksn;
	memcpy(o->event, t->hash, sizeof(o->event));
	signed_by(&s, TWO);
	return s;
}

/* A rotation in the chain; those after it come again. */
static void
test_anchor(void **state)
{
	struct turn t1, t2;
	struct step s, r;

	(void)state;
	t1 = turns(1, ours.hash, NODE + 1, BY(NODE + 1, NODE));
	t2 = turns(2, t1.hash, NODE + 2, BY(NODE + 2, NODE + 1));
	begin();
	assert_null(turn(&t1));
	assert_null(turn(&t2));
	s = anchors(&ours, &t1);
	taken(&s);
	assert_int_equal(f.now.self.ksn, 1);
	assert_int_equal(caps_of(NODE + 2), CAPS);
	assert_null(turn(&t2));
	assert_int_equal(f.now.self.ksn, 2);
	r = anchors(&s, &t1);
	refused(&r, "not newer");
	r = anchors(&s, &t2);
	taken(&r);
	assert_int_equal(f.now.self.ksn, 2);
	s = revokes(&r, US);
	signed_by(&s, TWO);
	taken(&s);
	t2.r.ksn = 3;
	r = anchors(&s, &t2);
	refused(&r, "no node");
}

/* Before one is signed: no two are to have one number. */
static void
test_rotation_place(void **state)
{
	struct turn t1, t2;
	struct step s;

	(void)state;
	assert_false(follow_rotation_place(&f, 1, f.now.self.rotation));
	begin();
	assert_true(follow_rotation_place(&f, 1, ours.hash));
	assert_false(follow_rotation_place(&f, 2, ours.hash));
	assert_false(follow_rotation_place(&f, 1, genesis.hash));
	t1 = turns(1, ours.hash, NODE + 1, BY(NODE + 1, NODE));
	t2 = turns(2, t1.hash, NODE + 2, BY(NODE + 2, NODE + 1));
	assert_null(turn(&t1));
	assert_false(follow_rotation_place(&f, 1, ours.hash));
	assert_true(follow_rotation_place(&f, 2, t1.hash));
	assert_null(turn(&t2));
	/* Neither an anchor nor a walk takes them back. */
	s = anchors(&ours, &t1);
	taken(&s);
	assert_int_equal(f.now.self.ksn, 1);
	assert_false(follow_rotation_place(&f, 2, t1.hash));
	assert_null(turn(&t2));
	follow_walk(&f);
	taken(&genesis);
	taken(&ours);
	taken(&s);
	assert_false(f.walking);
	assert_int_equal(f.now.self.ksn, 2);
	assert_true(follow_rotation_place(&f, 3, t2.hash));
	s = revokes(&s, US);
	signed_by(&s, TWO);
	taken(&s);
	assert_false(follow_rotation_place(&f, 1, f.now.self.rotation));
}

/* From the genesis on again: what is no other history leads to the same. */
static void
test_walk(void **state)
{
	struct step a, b;
	struct turn t;

	(void)state;
	/* Who knows nothing yet walks anyway. */
	follow_walk(&f);
	assert_false(f.walking);
	begin();
	a = adds(&ours, "guest", NODE + 4, 1);
	signed_by(&a, TWO);
	taken(&a);
	follow_walk(&f);
	assert_true(f.walking);
	assert_false(follow_where(&f)->begun);
	taken(&genesis);
	taken(&ours);
	assert_int_equal(follow_where(&f)->seq, 1);
	t = turns(1, ours.hash, NODE + 1, BY(NODE + 1, NODE));
	not_turned(&t, "not a rotation of this node");
	/* Meanwhile all is as it was. */
	assert_int_equal(f.now.seq, 2);
	assert_int_equal(caps_of(NODE), CAPS);
	assert_non_null(follow_end(&f));
	assert_false(f.walking);
	assert_int_equal(f.now.seq, 2);
	follow_walk(&f);
	taken(&genesis);
	refused(&a, "missing");
	assert_false(f.walking);
	follow_walk(&f);
	taken(&genesis);
	taken(&ours);
	taken(&a);
	assert_false(f.walking);
	assert_null(follow_end(&f));
	b = fresh(&a, FRESH, 0);
	taken(&b);
	assert_int_equal(f.now.seq, 3);
}

/* common 1: ours is revoked on the one branch, on the other it is not. */
static struct step here, there, heads;

static void
fork_it(void)
{
	struct registry_resolve_operands *o = &heads.u.resolve;
	bool first;

	begin();
	here = revokes(&ours, US);
	signed_by(&here, TWO);
	there = adds(&ours, "guest", NODE + 4, 1);
	signed_by(&there, TWO);
	taken(&here);
	heads = after(&there, REGISTRY_RESOLVE);
	first = memcmp(here.hash, there.hash, 32) < 0;
	o->common = 1;
	o->heads = 2;
	memcpy(o->head[0], first ? here.hash : there.hash, 32);
	memcpy(o->head[1], first ? there.hash : here.hash, 32);
	memcpy(o->chosen, there.hash, 32);
}

static void
walk_there(void)
{
	follow_walk(&f);
	taken(&genesis);
	taken(&ours);
	taken(&there);
}

/* Only a resolve takes back what was decided. */
static void
test_resolve(void **state)
{
	struct step s, past;

	(void)state;
	fork_it();
	refused(&there, "from before");
	walk_there();
	assert_int_equal(f.now.seq, 2);
	assert_int_equal(caps_of(NODE), 0);
	assert_non_null(follow_end(&f));
	walk_there();
	signed_by(&heads, BY(AUTH));
	refused(&heads, "too few");
	walk_there();
	signed_by(&heads, TWO);
	past = heads;
	taken(&heads);
	assert_false(f.walking);
	assert_int_equal(f.now.seq, 3);
	assert_int_equal(caps_of(NODE), CAPS);
	/* It does so once: what was decided since stays. */
	s = revokes(&heads, US);
	signed_by(&s, TWO);
	taken(&s);
	assert_int_equal(caps_of(NODE), 0);
	walk_there();
	taken(&past);
	assert_true(f.walking);
	assert_non_null(follow_end(&f));
	assert_int_equal(f.now.seq, 4);
	assert_int_equal(caps_of(NODE), 0);
}

/* One that speaks of other branches does not end ours. */
static void
test_resolve_others(void **state)
{
	static const registry_hash lowest;
	struct registry_resolve_operands *o = &heads.u.resolve;

	(void)state;
	fork_it();
	o->heads = 2;
	memcpy(o->head[0], lowest, 32);
	memcpy(o->head[1], there.hash, 32);
	signed_by(&heads, TWO);
	walk_there();
	taken(&heads);
	assert_true(f.walking);
	assert_non_null(follow_end(&f));
	assert_int_equal(caps_of(NODE), 0);
}

/* Who were authorities once do not decide for those who are it here. */
static void
test_resolve_replaced(void **state)
{
	struct step s;

	(void)state;
	fork_it();
	s = after(&here, REGISTRY_AUTHORITIES);
	set_of(&s.u.set, 2, BY(AUTH + 2, AUTH + 3));
	signed_by(&s, BY(AUTH, AUTH + 1, AUTH + 2, AUTH + 3));
	taken(&s);
	signed_by(&heads, TWO);
	walk_there();
	taken(&heads);
	assert_true(f.walking);
	assert_non_null(follow_end(&f));
	assert_int_equal(f.now.seq, 3);
	/* On the chosen branch it is an update like others. */
	s = after(&there, REGISTRY_AUTHORITIES);
	set_of(&s.u.set, 2, BY(AUTH + 2, AUTH + 3));
	signed_by(&s, BY(AUTH, AUTH + 1, AUTH + 2, AUTH + 3));
	setup(NULL);
	begin();
	taken(&there);
	taken(&s);
	heads = after(&s, REGISTRY_RESOLVE);
	heads.u.resolve.common = 1;
	heads.u.resolve.heads = 2;
	memcpy(heads.u.resolve.head[1], s.hash, 32);
	memcpy(heads.u.resolve.chosen, s.hash, 32);
	signed_by(&heads, BY(AUTH + 2, AUTH + 3));
	refused(&heads, "too few");
	signed_by(&heads, TWO);
	taken(&heads);
}

/* The next keyd goes on from there, knowing no less. */
static void
test_kept(void **state)
{
	uint8_t bytes[FOLLOW_BYTES_MAX], more[FOLLOW_BYTES_MAX];
	struct step s, t;
	struct turn t1;
	ssize_t len, i;

	(void)state;
	assert_int_equal(follow_put(&f, bytes, sizeof(bytes)), -EINVAL);
	begin();
	t1 = turns(1, ours.hash, NODE + 1, BY(NODE + 1, NODE));
	assert_null(turn(&t1));
	s = after(&ours, REGISTRY_AUTHORITIES);
	set_of(&s.u.set, 2, BY(AUTH + 2, AUTH + 3));
	signed_by(&s, BY(AUTH, AUTH + 2, AUTH + 3));
	taken(&s);
	t = fresh(&s, FRESH + 2, 0);
	taken(&t);
	len = follow_put(&f, bytes, sizeof(bytes));
	assert_true(len > 0);
	assert_int_equal(follow_put(&f, more, (size_t)len - 1), -ENOSPC);

	follow_begin(&f, US, genesis.hash);
	for (i = 0; i < len; i++)
		assert_int_equal(follow_get(&f, bytes, (size_t)i), -EBADMSG);
	bytes[0]++;
	assert_int_equal(follow_get(&f, bytes, (size_t)len), -EBADMSG);
	bytes[0]--;
	follow_begin(&f, "node2", genesis.hash);
	assert_int_equal(follow_get(&f, bytes, (size_t)len), -EBADMSG);
	follow_begin(&f, US, ours.hash);
	assert_int_equal(follow_get(&f, bytes, (size_t)len), -EBADMSG);
	assert_false(f.now.begun);
	follow_begin(&f, US, genesis.hash);
	assert_int_equal(follow_get(&f, bytes, (size_t)len), 0);
	assert_int_equal(follow_put(&f, more, sizeof(more)), len);
	assert_memory_equal(more, bytes, (size_t)len);
	assert_int_equal(f.now.self.top_ksn, 1);

	assert_int_equal(caps_of(NODE + 1), CAPS);
	assert_int_equal(f.now.self.ksn, 1);
	refused(&ours, "from before");
	t = adds(&s, "guest", NODE + 4, 1);
	signed_by(&t, TWO);
	refused(&t, "may not sign");
	signed_by(&t, BY(AUTH + 2, AUTH + 3));
	taken(&t);
	/* Who the authorities were before is not kept. */
	s = after(&t, REGISTRY_RESOLVE);
	s.u.resolve.common = 1;
	s.u.resolve.heads = 2;
	memcpy(s.u.resolve.head[1], t.hash, 32);
	memcpy(s.u.resolve.chosen, t.hash, 32);
	signed_by(&s, TWO);
	refused(&s, "older than is known");
}

/* Which is of the length that it says, and can still not be. */
static void
test_kept_wrong(void **state)
{
	enum { BASE_SEQ = 1 + 2 + 5 + 32 + 8 + 32, STOOD = BASE_SEQ + 8 + 32 };
	uint8_t bytes[FOLLOW_BYTES_MAX], wrong[FOLLOW_BYTES_MAX], *p;
	struct step s;
	ssize_t len, n;
	size_t stood = STOOD + 1 + 2 * 32, set, self;

	(void)state;
	begin();
	len = follow_put(&f, bytes, sizeof(bytes));
	assert_true(len > 0);
	assert_int_equal(bytes[STOOD], 2);
	set = (size_t)(bytes[stood] << 8 | bytes[stood + 1]);
	self = (size_t)len - stood - 2 - set;

	memcpy(wrong, bytes, (size_t)len);
	wrong[BASE_SEQ] = 1;
	assert_int_equal(follow_get(&f, wrong, (size_t)len), -EBADMSG);
	/* More heads than there is room for. */
	memset(wrong + STOOD, 0, 17 * 32 + 1);
	wrong[BASE_SEQ] = 0;
	wrong[STOOD] = 17;
	p = wrong + STOOD + 1 + 17 * 32;
	memcpy(p, bytes + stood, (size_t)len - stood);
	assert_int_equal(follow_get(&f, wrong, (size_t)len + 15 * 32),
	    -EBADMSG);
	/* What says nothing of authorities. */
	s = after(&genesis, REGISTRY_FRESH);
	memcpy(wrong, bytes, stood);
	n = regupdate_put(&s.u, wrong + stood + 2, 1024);
	assert_true(n > 0 && n < 256);
	wrong[stood] = 0;
	wrong[stood + 1] = (uint8_t)n;
	memcpy(wrong + stood + 2 + n, bytes + (size_t)len - self, self);
	assert_int_equal(follow_get(&f, wrong, stood + 2 + (size_t)n + self),
	    -EBADMSG);
	assert_int_equal(follow_get(&f, bytes, (size_t)len), 0);
}

/* Many sets of authorities: the oldest are forgotten, none is mistaken. */
static void
test_eras(void **state)
{
	struct step s, last;
	uint64_t i;

	(void)state;
	begin();
	last = ours;
	for (i = 0; i < 2 * FOLLOW_ERAS; i++) {
		s = after(&last, REGISTRY_AUTHORITIES);
		set_of(&s.u.set, 1, i % 2 == 0 ? BY(AUTH) : BY(AUTH + 1));
		signed_by(&s, TWO);
		taken(&s);
		last = s;
	}
	assert_int_equal(f.now.eras, FOLLOW_ERAS);
	s = adds(&last, "guest", NODE + 4, 1);
	signed_by(&s, BY(AUTH));
	refused(&s, "may not sign");
	signed_by(&s, BY(AUTH + 1));
	taken(&s);
}

/* Of a message: one form, nobody in it twice. */
static void
test_bytes(void **state)
{
	uint8_t bytes[REGUPDATE_SIGNED_BYTES_MAX];
	struct registry_signature sig[REGISTRY_SIGS_MAX];
	struct registry_rotation turned;
	struct registry_update u;
	struct step s = ours;
	struct turn t;
	struct rbuf r;
	ssize_t len, i;
	size_t n;

	(void)state;
	len = regupdate_signed_put(&s.u, s.sig, s.n, bytes, sizeof(bytes));
	assert_true(len > 0);
	rbuf_init(&r, bytes, (size_t)len);
	assert_int_equal(regupdate_signed_get(&u, sig, &n, &r), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(sig, s.sig, 2 * sizeof(sig[0]));
	assert_true(rbuf_done(&r));
	for (i = 0; i < len; i++) {
		rbuf_init(&r, bytes, (size_t)i);
		assert_int_equal(regupdate_signed_get(&u, sig, &n, &r),
		    -EBADMSG);
	}
	/* The same authority twice is no two. */
	s.sig[1] = s.sig[0];
	len = regupdate_signed_put(&s.u, s.sig, s.n, bytes, sizeof(bytes));
	rbuf_init(&r, bytes, (size_t)len);
	assert_int_equal(regupdate_signed_get(&u, sig, &n, &r), -EBADMSG);
	s.sig[0] = ours.sig[1];
	s.sig[1] = ours.sig[0];
	len = regupdate_signed_put(&s.u, s.sig, s.n, bytes, sizeof(bytes));
	rbuf_init(&r, bytes, (size_t)len);
	assert_int_equal(regupdate_signed_get(&u, sig, &n, &r), -EBADMSG);

	t = turns(1, ours.hash, NODE + 1, BY(NODE + 1, NODE));
	len = regupdate_rotation_signed_put(&t.r, t.sig, t.n, bytes,
	    sizeof(bytes));
	assert_true(len > 0);
	rbuf_init(&r, bytes, (size_t)len);
	assert_int_equal(regupdate_rotation_signed_get(&turned, sig, &n, &r),
	    0);
	assert_int_equal(n, 2);
	assert_true(rbuf_done(&r));
	for (i = 0; i < len; i++) {
		rbuf_init(&r, bytes, (size_t)i);
		assert_int_equal(
		    regupdate_rotation_signed_get(&turned, sig, &n, &r),
		    -EBADMSG);
	}
	bytes[(size_t)len - 2 * (32 + 64) - 1] = 3;
	rbuf_init(&r, bytes, (size_t)len);
	assert_int_equal(regupdate_rotation_signed_get(&turned, sig, &n, &r),
	    -EBADMSG);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_genesis, setup),
		cmocka_unit_test_setup(test_place, setup),
		cmocka_unit_test_setup(test_signers, setup),
		cmocka_unit_test_setup(test_authorities, setup),
		cmocka_unit_test_setup(test_fresh, setup),
		cmocka_unit_test_setup(test_self, setup),
		cmocka_unit_test_setup(test_rotation, setup),
		cmocka_unit_test_setup(test_anchor, setup),
		cmocka_unit_test_setup(test_rotation_place, setup),
		cmocka_unit_test_setup(test_walk, setup),
		cmocka_unit_test_setup(test_resolve, setup),
		cmocka_unit_test_setup(test_resolve_others, setup),
		cmocka_unit_test_setup(test_resolve_replaced, setup),
		cmocka_unit_test_setup(test_kept, setup),
		cmocka_unit_test_setup(test_kept_wrong, setup),
		cmocka_unit_test_setup(test_eras, setup),
		cmocka_unit_test_setup(test_bytes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
