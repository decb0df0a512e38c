/* SPDX-License-Identifier: ISC */
/*
 * test_lastsigned.c - keyd signs no checkpoint that contradicts the last one:
 * every true step forward may be signed, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "attestd/lastsigned.h"
#include "common/merkle.h"
#include "common/shardname.h"

#define N 40
#define SHARD "2026-11"
#define NOVEMBER 1795000000 /* 2026-11-18 */

static merkle_hash leaf[N];
static merkle_hash root[N + 1]; /* root[n] of the first n leaves */

static const char not_open[] = "that shard is not open";
static const char smaller[] = "smaller than the last checkpoint";
static const char too_large[] = "larger than a log can be";
static const char malformed[] = "malformed proof";
static const char not_consistent[] = "not consistent with the last checkpoint";

static int
setup(void **state)
{
	struct merkle m;
	uint8_t i;

	(void)state;
	merkle_init(&m);
	merkle_root(&m, root[0]);
	for (i = 0; i < N; i++) {
		merkle_leaf(&i, 1, leaf[i]);
		merkle_append(&m, leaf[i]);
		merkle_root(&m, root[i + 1]);
	}
	return 0;
}

static uint64_t
order_of(const char *shard)
{
	uint64_t order;

	assert_true(shardname_parse(shard, &order));
	return order;
}

/* keyd after it has signed the first m lines of SHARD. */
static struct lastsigned
after(uint64_t m)
{
	struct lastsigned l = { 0 };

	lastsigned_begin(&l, order_of(SHARD));
	if (m > 0)
		lastsigned_put(&l, m, root[m]);
	return l;
}

static uint8_t proof[2048];

/* What an honest auditd asks for next: n lines, and that m are among them. */
static struct msg_CHECKPOINT_SIGN
step(uint64_t m, uint64_t n)
{
	struct msg_CHECKPOINT_SIGN want = { .size = n, .proof = proof };
	int count = 0;

	snprintf(want.shard, sizeof(want.shard), SHARD);
	memcpy(want.root, root[n], sizeof(want.root));
	if (m > 0)
		count = merkle_prove_consistency((const merkle_hash *)leaf, m,
		    n, (merkle_hash *)(void *)proof);
	assert_true(count >= 0);
	want.proof_len = (uint16_t)(count * MERKLE_HASH_LEN);
	return want;
}

static void
refused(const struct lastsigned *l, const struct msg_CHECKPOINT_SIGN *want,
    const char *why)
{
	const char *said = lastsigned_sign_refused(l, want);

	assert_non_null(said);
	assert_string_equal(said, why);
}

static void
test_every_true_step_may_be_signed(void **state)
{
	struct msg_CHECKPOINT_SIGN want;
	struct lastsigned l;
	uint64_t m, n;

	(void)state;
	for (m = 0; m <= N; m++)
		for (n = m == 0 ? 1 : m; n <= N; n++) {
			l = after(m);
			want = step(m, n);
			assert_null(lastsigned_sign_refused(&l, &want));
		}
}

/* Each bit of these bytes, one after the other. */
static void
refused_bit_by_bit(const struct lastsigned *l,
    const struct msg_CHECKPOINT_SIGN *want, uint8_t *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < 8 * len; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		refused(l, want, not_consistent);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

static void
test_no_step_with_one_bit_changed(void **state)
{
	struct msg_CHECKPOINT_SIGN want;
	struct lastsigned l;
	uint64_t m, n;

	(void)state;
	for (m = 1; m <= 12; m++)
		for (n = m; n <= 12; n++) {
			l = after(m);
			want = step(m, n);
			refused_bit_by_bit(&l, &want, want.root, 32);
			refused_bit_by_bit(&l, &want, l.root, 32);
			refused_bit_by_bit(&l, &want, proof, want.proof_len);
			assert_null(lastsigned_sign_refused(&l, &want));
		}
}

static void
test_no_step_by_another_proof(void **state)
{
	struct msg_CHECKPOINT_SIGN want = step(7, 20);
	struct lastsigned l = after(7);

	(void)state;
	want.proof_len = (uint16_t)(want.proof_len - MERKLE_HASH_LEN);
	refused(&l, &want, not_consistent);
	want.proof_len = 0;
	refused(&l, &want, not_consistent);
	want = step(8, 20); /* of another size */
	refused(&l, &want, not_consistent);
	want = step(7, 20);
	want.size = 40; /* to a size with longer paths */
	refused(&l, &want, not_consistent);
	want = step(7, 20);
	memset(proof + want.proof_len, 0, MERKLE_HASH_LEN); /* and more */
	want.proof_len = (uint16_t)(want.proof_len + MERKLE_HASH_LEN);
	refused(&l, &want, not_consistent);
}

static void
test_same_size_with_another_root(void **state)
{
	struct msg_CHECKPOINT_SIGN want = step(12, 12);
	struct lastsigned l = after(12);

	(void)state;
	assert_null(lastsigned_sign_refused(&l, &want));
	memcpy(want.root, root[13], sizeof(want.root));
	refused(&l, &want, not_consistent);
}

static void
test_smaller(void **state)
{
	struct msg_CHECKPOINT_SIGN want = step(0, 11);
	struct lastsigned l = after(12);

	(void)state;
	refused(&l, &want, smaller);
	want.size = 0;
	refused(&l, &want, smaller);
	l = after(0);
	refused(&l, &want, smaller);
}

static void
test_too_large(void **state)
{
	struct msg_CHECKPOINT_SIGN want = step(0, 1);
	struct lastsigned l = after(0);

	(void)state;
	want.size = INT64_MAX;
	assert_null(lastsigned_sign_refused(&l, &want));
	want.size++;
	refused(&l, &want, too_large);
	want.size = UINT64_MAX;
	refused(&l, &want, too_large);
}

static void
test_malformed_proof(void **state)
{
	struct msg_CHECKPOINT_SIGN want = step(7, 20);
	struct lastsigned l = after(7), first = after(0);

	(void)state;
	want.proof_len--;
	refused(&l, &want, malformed);
	refused(&first, &want, malformed);
	want.proof_len = (MERKLE_PROOF_MAX + 1) * MERKLE_HASH_LEN;
	/* No byte of it is looked at. */
	want.proof = NULL;
	refused(&l, &want, malformed);
	refused(&first, &want, malformed);
}

static void
test_not_open(void **state)
{
	struct msg_CHECKPOINT_SIGN want = step(7, 20);
	struct msg_CHECKPOINT_KNOWN known = { .shard = SHARD, .size = 7 };
	struct lastsigned none = { 0 }, l = after(7), kept = { 0 };
	uint64_t order;

	(void)state;
	refused(&none, &want, not_open);
	assert_false(lastsigned_close(&none, SHARD));
	assert_false(lastsigned_close(&l, "2026-12"));
	assert_null(lastsigned_sign_refused(&l, &want));
	assert_true(lastsigned_close(&l, SHARD));
	assert_false(lastsigned_close(&l, SHARD));
	refused(&l, &want, not_open);

	memcpy(known.root, root[7], sizeof(known.root));
	assert_true(lastsigned_known(&kept, &known));
	refused(&kept, &want, not_open);
	assert_null(lastsigned_open_refused(&kept, SHARD, &order));
	lastsigned_open(&kept, order);
	assert_null(lastsigned_sign_refused(&kept, &want));
}

static void
test_another_shard(void **state)
{
	static const char *const other[] = { "2026-10", "2026-12", "2026-11.1",
		"2026-1", "" };
	struct msg_CHECKPOINT_SIGN want = step(7, 20);
	struct lastsigned l = after(7), none = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		snprintf(want.shard, sizeof(want.shard), "%s", other[i]);
		refused(&l, &want, not_open);
		refused(&none, &want, not_open);
	}
}

/* A sealed key of a shard long closed opens nothing. */
static void
test_shards_only_advance(void **state)
{
	struct lastsigned l = after(7);
	struct msg_CHECKPOINT_SIGN want = step(0, 6);
	uint64_t order;

	(void)state;
	assert_non_null(lastsigned_open_refused(&l, "2026-10", &order));
	assert_non_null(lastsigned_open_refused(&l, "no shard", &order));
	assert_non_null(lastsigned_begin_refused(&l, SHARD, NOVEMBER, &order));
	assert_non_null(
	    lastsigned_begin_refused(&l, "2026-10", NOVEMBER, &order));
	assert_non_null(
	    lastsigned_begin_refused(&l, "2026-11.", NOVEMBER, &order));
	/* The same once more forgets nothing. */
	assert_null(lastsigned_open_refused(&l, SHARD, &order));
	lastsigned_open(&l, order);
	refused(&l, &want, smaller);
	/* Another one begins with nothing. */
	assert_null(
	    lastsigned_begin_refused(&l, "2026-11.1", NOVEMBER, &order));
	lastsigned_begin(&l, order);
	refused(&l, &want, not_open);
	snprintf(want.shard, sizeof(want.shard), "2026-11.1");
	assert_null(lastsigned_sign_refused(&l, &want));
	/* While it has, a crash may have it made again. */
	assert_null(
	    lastsigned_begin_refused(&l, "2026-11.1", NOVEMBER, &order));
	lastsigned_put(&l, 1, root[1]);
	assert_non_null(
	    lastsigned_begin_refused(&l, "2026-11.1", NOVEMBER, &order));
	assert_non_null(lastsigned_open_refused(&l, SHARD, &order));
}

static void
test_names_are_not_used_up(void **state)
{
	struct lastsigned l = after(7);
	uint64_t order;
	int i;

	(void)state;
	assert_null(
	    lastsigned_begin_refused(&l, "2026-11.1000", NOVEMBER, &order));
	assert_non_null(
	    lastsigned_begin_refused(&l, "2026-11.1001", NOVEMBER, &order));
	assert_non_null(
	    lastsigned_begin_refused(&l, "2026-12", NOVEMBER, &order));
	assert_null(lastsigned_begin_refused(&l, "2026-12", NOVEMBER + 1296000,
	    &order));
	for (i = 1; i < LASTSIGNED_SHARDS_MAX; i++) {
		assert_null(lastsigned_begin_refused(&l, "2026-11.500",
		    NOVEMBER, &order));
		lastsigned_begin(&l, order);
	}
	assert_non_null(
	    lastsigned_begin_refused(&l, "2026-11.501", NOVEMBER, &order));
}

static void
test_known_is_believed(void **state)
{
	struct msg_CHECKPOINT_KNOWN known = { .shard = SHARD, .size = 12 };
	struct lastsigned l = { 0 };
	struct msg_CHECKPOINT_SIGN want = step(12, 30);
	uint64_t order;

	(void)state;
	memcpy(known.root, root[12], sizeof(known.root));
	assert_true(lastsigned_known(&l, &known));
	assert_null(lastsigned_open_refused(&l, SHARD, &order));
	lastsigned_open(&l, order);
	assert_null(lastsigned_sign_refused(&l, &want));
	want = step(11, 30);
	refused(&l, &want, not_consistent);
	known.shard[0] = 'x';
	assert_false(lastsigned_known(&l, &known));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_true_step_may_be_signed),
		cmocka_unit_test(test_no_step_with_one_bit_changed),
		cmocka_unit_test(test_no_step_by_another_proof),
		cmocka_unit_test(test_same_size_with_another_root),
		cmocka_unit_test(test_smaller),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_malformed_proof),
		cmocka_unit_test(test_not_open),
		cmocka_unit_test(test_another_shard),
		cmocka_unit_test(test_shards_only_advance),
		cmocka_unit_test(test_names_are_not_used_up),
		cmocka_unit_test(test_known_is_believed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
