/* SPDX-License-Identifier: ISC */
/*
 * test_b3tree.c - chunks hashed apart fold to the file's BLAKE3: the
 * reference's vectors, every edge of every chunk size, random sizes in random
 * orders.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/b3tree.h"

#define MIB (UINT64_C(1) << 20)
#define PERIOD 251
#define PIECE_MOST (256 * 1024)

/*
 * Made with the reference implementation in Rust, for the input and lengths of
 * its test vectors: 0, 1, ... 250 over and over.
 */
static const struct {
	uint64_t size;
	const char *hash;
} vector[] = {
	{ 0,
	    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" },
	{ 1,
	    "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213" },
	{ 2,
	    "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63" },
	{ 3,
	    "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f" },
	{ 4,
	    "f30f5ab28fe047904037f77b6da4fea1e27241c5d132638d8bedce9d40494f32" },
	{ 5,
	    "b40b44dfd97e7a84a996a91af8b85188c66c126940ba7aad2e7ae6b385402aa2" },
	{ 6,
	    "06c4e8ffb6872fad96f9aaca5eee1553eb62aed0ad7198cef42e87f6a616c844" },
	{ 7,
	    "3f8770f387faad08faa9d8414e9f449ac68e6ff0417f673f602a646a891419fe" },
	{ 8,
	    "2351207d04fc16ade43ccab08600939c7c1fa70a5c0aaca76063d04c3228eaeb" },
	{ 63,
	    "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b" },
	{ 64,
	    "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98" },
	{ 65,
	    "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee" },
	{ 127,
	    "d81293fda863f008c09e92fc382a81f5a0b4a1251cba1634016a0f86a6bd640d" },
	{ 128,
	    "f17e570564b26578c33bb7f44643f539624b05df1a76c81f30acd548c44b45ef" },
	{ 129,
	    "683aaae9f3c5ba37eaaf072aed0f9e30bac0865137bae68b1fde4ca2aebdcb12" },
	{ 1023,
	    "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11" },
	{ 1024,
	    "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7" },
	{ 1025,
	    "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444" },
	{ 2048,
	    "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a" },
	{ 2049,
	    "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030" },
	{ 3072,
	    "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2" },
	{ 3073,
	    "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3" },
	{ 4096,
	    "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969" },
	{ 4097,
	    "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995" },
	{ 5120,
	    "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833" },
	{ 5121,
	    "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff" },
	{ 6144,
	    "3e2e5b74e048f3add6d21faab3f83aa44d3b2278afb83b80b3c35164ebeca205" },
	{ 6145,
	    "f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f" },
	{ 7168,
	    "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a" },
	{ 7169,
	    "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817" },
	{ 8192,
	    "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63" },
	{ 8193,
	    "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b" },
	{ 16384,
	    "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4" },
	{ 31744,
	    "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47" },
	{ 102400,
	    "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085" },
};

/* The file that all of these tests hash: byte n is n modulo 251. */
static uint8_t pattern[PIECE_MOST + PERIOD];

static uint64_t
random_below(uint64_t n)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return n == 0 ? 0 : x % n;
}

static int
setup(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i % PERIOD);
	return 0;
}

static void
plain(uint64_t size, b3tree_value out)
{
	blake3_hasher h;
	uint64_t at;
	size_t n;

	blake3_hasher_init(&h);
	for (at = 0; at < size; at += n) {
		n = size - at < PIECE_MOST ? (size_t)(size - at) : PIECE_MOST;
		blake3_hasher_update(&h, pattern + at % PERIOD, n);
	}
	blake3_hasher_finalize(&h, out, B3TREE_LEN);
}

/* Chunk index of a file of size bytes; pieces of 1..piece bytes at random. */
static void
feed(struct b3tree *t, uint64_t size, unsigned int log, uint64_t index,
    size_t piece, bool vary)
{
	uint64_t at = index << log, end = (index + 1) << log;
	size_t n;

	if (end > size)
		end = size;
	assert_int_equal(b3tree_begin(t, log, index), 0);
	for (; at < end; at += n) {
		n = vary ? 1 + (size_t)random_below(piece) : piece;
		if (n > end - at)
			n = (size_t)(end - at);
		assert_int_equal(b3tree_update(t, pattern + at % PERIOD, n), 0);
	}
}

struct run {
	uint64_t size;
	unsigned int log;
	size_t piece;
	bool vary, shuffle;
};

/* Values of all chunks, last first or in a random order. */
static b3tree_value *
values(const struct run *r, uint64_t *count)
{
	uint64_t n = b3tree_chunks(r->size, r->log), i, j, swap, *order;
	b3tree_value *v;
	struct b3tree t;

	v = calloc((size_t)n + 1, sizeof(*v));
	order = calloc((size_t)n + 1, sizeof(*order));
	assert_non_null(v);
	assert_non_null(order);
	for (i = 0; i < n; i++)
		order[i] = n - 1 - i;
	for (i = n; r->shuffle && i > 1; i--) {
		j = random_below(i);
		swap = order[i - 1];
		order[i - 1] = order[j];
		order[j] = swap;
	}
	for (i = 0; i < n; i++) {
		feed(&t, r->size, r->log, order[i], r->piece, r->vary);
		assert_int_equal(b3tree_end(&t, v[order[i]]), 0);
	}
	free(order);
	*count = n;
	return v;
}

static void
compose(const struct run *r, b3tree_value root)
{
	b3tree_value *v;
	struct b3tree t;
	uint64_t n;

	if (b3tree_chunks(r->size, r->log) == 1) {
		feed(&t, r->size, r->log, 0, r->piece, r->vary);
		assert_int_equal(b3tree_end_file(&t, root), 0);
		return;
	}
	v = values(r, &n);
	assert_int_equal(b3tree_root(v, n, root), 0);
	free(v);
}

static void
check(const struct run *r)
{
	b3tree_value want, got;

	plain(r->size, want);
	compose(r, got);
	if (memcmp(want, got, sizeof(want)) != 0)
		fail_msg("size %llu, chunks of 2^%u, pieces of %zu",
		    (unsigned long long)r->size, r->log, r->piece);
}

static void
test_selftest(void **state)
{
	const char *why = "";

	(void)state;
	assert_int_equal(b3tree_selftest(&why), 0);
	assert_null(why);
}

static void
test_reference_vectors(void **state)
{
	char hex[2 * B3TREE_LEN + 1];
	b3tree_value root;
	unsigned int log;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(vector) / sizeof(vector[0]); i++)
		for (log = B3TREE_LOG_LEAST; log <= B3TREE_LOG_MOST; log++) {
			compose(&(struct run){ .size = vector[i].size,
				    .log = log,
				    .piece = B3TREE_PIECE },
			    root);
			for (j = 0; j < sizeof(root); j++)
				snprintf(hex + 2 * j, 3, "%02x", root[j]);
			assert_string_equal(hex, vector[i].hash);
		}
}

/* 1 to 32 MiB, as they are transferred. */
static void
test_edges(void **state)
{
	static const int64_t off[] = { -1025, -1024, -1023, -65, -64, -63, -1,
		0, 1, 63, 64, 65, 1023, 1024, 1025, 333333 };
	static const size_t piece[] = { B3TREE_PIECE, 100001, PIECE_MOST };
	struct run r = { .size = 0 };
	unsigned int times;
	size_t i, k = 0;

	(void)state;
	for (r.log = 20; r.log <= 25; r.log++) {
		for (times = 1; times <= (r.log <= 22 ? 7 : 3); times++)
			for (i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
				/* Far from the first edges, few suffice. */
				if (r.log > 22 && times > 1 &&
				    (off[i] < -1 || off[i] > 1))
					continue;
				r.size = (times << r.log) + (uint64_t)off[i];
				r.piece = piece[k++ % 3];
				check(&r);
			}
		for (r.size = 0; r.size <= 1025; r.size++)
			if (r.size < 2 || r.size > 1022)
				check(&r);
	}
}

/* Small chunks give large trees. */
static void
test_random(void **state)
{
	struct run r = { .vary = true, .shuffle = true };
	unsigned int i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		r.log = B3TREE_LOG_LEAST + (unsigned int)random_below(8);
		r.size = random_below(1 + random_below(300 * 1024));
		r.piece = 1 + (size_t)random_below(r.size / 8 + 2000);
		check(&r);
	}
	for (i = 0; i < 60; i++) {
		r.log = 18 + (unsigned int)random_below(8);
		r.size = random_below(9 * MIB);
		r.piece = 1 + (size_t)random_below(PIECE_MOST);
		check(&r);
	}
}

/* A journal of 1 MiB values serves larger chunks. */
static void
test_values_nest(void **state)
{
	static const uint64_t size[] = { 8 * MIB + 1, 16 * MIB, 19 * MIB + 5,
		23 * MIB - 1, 40 * MIB };
	struct run r = { .piece = PIECE_MOST };
	b3tree_value *small, *large, v;
	uint64_t n, m, i, take;
	size_t k;

	(void)state;
	for (k = 0; k < sizeof(size) / sizeof(size[0]); k++) {
		r.size = size[k];
		r.log = 20;
		small = values(&r, &n);
		r.log = 23;
		large = values(&r, &m);
		for (i = 0; i < m; i++) {
			take = n - 8 * i < 8 ? n - 8 * i : 8;
			assert_int_equal(b3tree_fold(small + 8 * i, take, v),
			    0);
			assert_memory_equal(v, large[i], sizeof(v));
		}
		/* In place. */
		assert_int_equal(b3tree_fold(small, 8, small[0]), 0);
		assert_memory_equal(small[0], large[0], sizeof(v));
		free(small);
		free(large);
	}
}

/* A value holds for its place only, and none is a root. */
static void
test_bound_to_place(void **state)
{
	b3tree_value a, b;
	struct b3tree t;

	(void)state;
	assert_int_equal(b3tree_begin(&t, 20, 1), 0);
	assert_int_equal(b3tree_update(&t, pattern, 5), 0);
	assert_int_equal(b3tree_end(&t, a), 0);
	assert_int_equal(b3tree_begin(&t, 20, 2), 0);
	assert_int_equal(b3tree_update(&t, pattern, 5), 0);
	assert_int_equal(b3tree_end(&t, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	plain(5, b);
	assert_memory_not_equal(a, b, sizeof(a));
	/* Chunk 0, complete: one value as a part, another as the file. */
	feed(&t, MIB, 20, 0, PIECE_MOST, false);
	assert_int_equal(b3tree_end(&t, a), 0);
	assert_int_equal(b3tree_end_file(&t, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void
test_farthest_chunk(void **state)
{
	unsigned int log;
	struct b3tree t;
	b3tree_value v;

	(void)state;
	for (log = B3TREE_LOG_LEAST; log <= B3TREE_LOG_MOST; log++) {
		uint64_t last = (UINT64_C(1) << (63 - log)) - 1;
		size_t left = (size_t)1 << log, n;

		assert_int_equal(b3tree_begin(&t, log, last + 1), -EINVAL);
		assert_int_equal(b3tree_begin(&t, log, UINT64_MAX), -EINVAL);
		assert_int_equal(b3tree_begin(&t, log, last), 0);
		for (; left > 0; left -= n) {
			n = left < 99999 ? left : 99999;
			assert_int_equal(b3tree_update(&t, pattern, n), 0);
		}
		assert_int_equal(b3tree_end(&t, v), 0);
	}
}

static void
test_refused(void **state)
{
	b3tree_value v[2] = { { 0 } };
	struct b3tree t;

	(void)state;
	assert_int_equal(b3tree_begin(&t, B3TREE_LOG_LEAST - 1, 0), -EINVAL);
	assert_int_equal(b3tree_begin(&t, B3TREE_LOG_MOST + 1, 0), -EINVAL);
	assert_int_equal(b3tree_begin(&t, 10, 3), 0);
	assert_int_equal(b3tree_end(&t, v[0]), -EINVAL);
	assert_int_equal(b3tree_end_file(&t, v[0]), -EINVAL);
	assert_int_equal(b3tree_update(&t, pattern, 1025), -EFBIG);
	assert_int_equal(b3tree_update(&t, pattern, 1024), 0);
	assert_int_equal(b3tree_update(&t, pattern, 1), -EFBIG);
	assert_int_equal(b3tree_update(&t, NULL, 0), 0);
	assert_int_equal(b3tree_end(&t, v[0]), 0);
	assert_int_equal(b3tree_begin(&t, 10, 0), 0);
	assert_int_equal(b3tree_update(&t, pattern, 1023), 0);
	assert_int_equal(b3tree_end(&t, v[0]), -EINVAL);
	assert_int_equal(b3tree_end_file(&t, v[0]), 0);
	assert_int_equal(b3tree_fold(v, 0, v[0]), -EINVAL);
	assert_int_equal(b3tree_root(v, 1, v[1]), -EINVAL);
}

static void
test_counts(void **state)
{
	(void)state;
	assert_int_equal(b3tree_chunks(0, 20), 0);
	assert_int_equal(b3tree_chunks(1, 20), 1);
	assert_int_equal(b3tree_chunks(MIB, 20), 1);
	assert_int_equal(b3tree_chunks(MIB + 1, 20), 2);
	assert_int_equal(b3tree_chunks(UINT64_MAX, 20), UINT64_C(1) << 44);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selftest),
		cmocka_unit_test(test_reference_vectors),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_values_nest),
		cmocka_unit_test(test_bound_to_place),
		cmocka_unit_test(test_farthest_chunk),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
