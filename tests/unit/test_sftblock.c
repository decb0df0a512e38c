/* SPDX-License-Identifier: ISC */
/*
 * test_sftblock.c - a block is what was compressed, to the byte; and one that
 * is shorter, longer, of another format, or no block at all is refused,
 * whatever it would become.
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
#include <zstd.h>

#include "common/sftblock.h"

#define FULL SFTBLOCK_SIZE

static uint8_t plain[2 * FULL], packed[4 * FULL], back[2 * FULL + 64];
static struct sftblock_packer *p;
static struct sftblock_unpacker *u;

/* Words, in no order. */
static void
write_words(size_t n)
{
	static const char *const word[] = { "claw ", "node ", "peer ",
		"transfer ", "chunk ", "receipt ", "seal ", "journal\n" };
	size_t at = 0, k;

	srand(1);
	while (at < n) {
		const char *w = word[rand() % 8];

		k = strlen(w);
		memcpy(plain + at, w, k < n - at ? k : n - at);
		at += k < n - at ? k : n - at;
	}
}

static void
write_noise(size_t n)
{
	size_t i;

	srand(2);
	for (i = 0; i < n; i++)
		plain[i] = (uint8_t)(rand() >> 7);
}

static void
comes_back(size_t n)
{
	size_t len = sftblock_pack(p, plain, n, packed, n - 1);

	if (len == 0 || len >= n)
		fail_msg("%zu bytes become %zu", n, len);
	memset(back, 0xee, sizeof(back));
	assert_int_equal(sftblock_unpack(u, packed, len, back, n), 0);
	assert_memory_equal(back, plain, n);
	/* Nothing behind it. */
	assert_int_equal(back[n], 0xee);
}

static void
test_both_ways(void **state)
{
	static const size_t size[] = { 200, 1023, 1024, 65536, FULL - 1, FULL };
	size_t i;

	(void)state;
	write_words(FULL);
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		comes_back(size[i]);
	memset(plain, 0, FULL);
	comes_back(FULL);
	assert_true(sftblock_pack(p, plain, FULL, packed, FULL) < 100);
}

static void
test_noise(void **state)
{
	(void)state;
	write_noise(FULL);
	assert_int_equal(sftblock_pack(p, plain, FULL, packed, FULL / 10 * 9),
	    0);
	/* The next one does not suffer from it. */
	write_words(FULL);
	comes_back(FULL);
}

static void
refuses(const void *in, size_t len, size_t n)
{
	assert_int_equal(sftblock_unpack(u, in, len, back, n), -EBADMSG);
}

static void
test_wrong_length(void **state)
{
	size_t len;

	(void)state;
	write_words(FULL);
	len = sftblock_pack(p, plain, FULL, packed, FULL);
	refuses(packed, len, FULL - 1);
	refuses(packed, len, 1);
	refuses(packed, len, FULL + 1);
	refuses(packed, len - 1, FULL);
	refuses(packed, len + 1, FULL);
	refuses(packed, 4, FULL);
	refuses(packed, 0, FULL);
	/* It is not spoilt by what was wrong. */
	assert_int_equal(sftblock_unpack(u, packed, len, back, FULL), 0);
}

/* A bomb: as much as fits into a frame, for what has one block to go to. */
static void
test_expands_too_far(void **state)
{
	uint8_t *zero = calloc(1, 64 << 20);
	size_t len;

	(void)state;
	assert_non_null(zero);
	len = ZSTD_compress(packed, sizeof(packed), zero, 64 << 20, 3);
	assert_false(ZSTD_isError(len));
	refuses(packed, len, FULL);
	free(zero);
}

/* One that does not say how much it is, and becomes more. */
static void
test_unsaid_length(void **state)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_outBuffer out = { packed, sizeof(packed), 0 };
	ZSTD_inBuffer in = { plain, 2 * FULL, 0 };

	(void)state;
	write_words(2 * FULL);
	assert_non_null(c);
	/* In two parts, or it would know. */
	in.size = FULL;
	assert_int_equal(ZSTD_compressStream2(c, &out, &in, ZSTD_e_flush), 0);
	in.size = 2 * FULL;
	assert_int_equal(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	memset(back, 0xee, sizeof(back));
	refuses(packed, out.pos, FULL);
	assert_int_equal(back[FULL], 0xee);
}

static void
test_other_formats(void **state)
{
	/* A frame to be skipped; magic numbers of 0.1 to 0.7. */
	static const uint8_t first[][4] = { { 0x50, 0x2a, 0x4d, 0x18 },
		{ 0x1e, 0xb5, 0x2f, 0xfd }, { 0x22, 0xb5, 0x2f, 0xfd },
		{ 0x23, 0xb5, 0x2f, 0xfd }, { 0x24, 0xb5, 0x2f, 0xfd },
		{ 0x25, 0xb5, 0x2f, 0xfd }, { 0x26, 0xb5, 0x2f, 0xfd },
		{ 0x27, 0xb5, 0x2f, 0xfd } };
	size_t i, len;

	(void)state;
	write_words(FULL);
	len = sftblock_pack(p, plain, FULL, packed, FULL);
	for (i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		memcpy(packed, first[i], 4);
		refuses(packed, len, FULL);
	}
	/* Two frames that are right together. */
	len = sftblock_pack(p, plain, FULL / 2, packed, FULL);
	len += sftblock_pack(p, plain, FULL / 2, packed + len, FULL);
	refuses(packed, len, FULL);
	/* A good one and one to be skipped. */
	len = sftblock_pack(p, plain, FULL, packed, FULL);
	memcpy(packed + len, "\x50\x2a\x4d\x18\0\0\0", 8);
	refuses(packed, len + 8, FULL);
}

/* Each byte of one, changed: what comes out has its length, or nothing does. */
static void
test_damaged(void **state)
{
	size_t i, len;

	(void)state;
	write_words(4096);
	len = sftblock_pack(p, plain, 4096, packed, 4096);
	for (i = 0; i < len; i++) {
		packed[i] ^= 0x41;
		memset(back + 4096, 0xee, 64);
		(void)sftblock_unpack(u, packed, len, back, 4096);
		assert_int_equal(back[4096], 0xee);
		packed[i] ^= 0x41;
	}
}

static int
head(const char *in, size_t n)
{
	struct sftblock_head h;

	return sftblock_head_parse((const uint8_t *)in, n, &h);
}

static void
test_head(void **state)
{
	struct sftblock_head h = { true, FULL };
	uint8_t out[SFTBLOCK_HEAD_LEN];

	(void)state;
	sftblock_head_format(&h, out);
	assert_memory_equal(out, "\x80\2\0\0", 4);
	memset(&h, 0, sizeof(h));
	assert_int_equal(sftblock_head_parse(out, FULL, &h), 0);
	assert_true(h.stored);
	assert_int_equal(h.len, FULL);
	assert_int_equal(head("\x80\2\0\0", FULL - 1), -EBADMSG);
	assert_int_equal(head("\x80\1\xff\xff", FULL), -EBADMSG);
	h = (struct sftblock_head){ false, FULL - 1 };
	sftblock_head_format(&h, out);
	assert_memory_equal(out, "\0\1\xff\xff", 4);
	assert_int_equal(sftblock_head_parse(out, FULL, &h), 0);
	assert_false(h.stored);
	assert_int_equal(head("\0\2\0\0", FULL), -EBADMSG);
	assert_int_equal(head("\0\0\0\0", FULL), -EBADMSG);
	assert_int_equal(head("\x7f\xff\xff\xff", FULL), -EBADMSG);
	assert_int_equal(head("\xff\xff\xff\xff", FULL), -EBADMSG);
	assert_int_equal(head("\0\0\0\1", 1), -EBADMSG);
	assert_int_equal(head("\x80\0\0\1", 1), 0);
}

static int
set_up(void **state)
{
	(void)state;
	p = sftblock_packer_new();
	u = sftblock_unpacker_new();
	return p == NULL || u == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	sftblock_packer_free(p);
	sftblock_unpacker_free(u);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_wrong_length),
		cmocka_unit_test(test_expands_too_far),
		cmocka_unit_test(test_unsaid_length),
		cmocka_unit_test(test_other_formats),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_head),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
