/* SPDX-License-Identifier: ISC */
/*
 * test_joinreq.c - a request to join by file is taken as it was signed, and
 * with any one byte changed it is not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "common/joinreq.h"

static char text[JOINREQ_TEXT_MAX];
static size_t len;
static struct joinreq made;

static int
setup(void **state)
{
	uint8_t seed[32], bytes[JOINREQ_SIGNED_MAX];
	size_t n = 32, sig_len = 64;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key;
	ssize_t r;

	(void)state;
	memset(seed, 7, sizeof(seed));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	strcpy(made.name, "beta-2");
	made.at.n = 2;
	strcpy(made.at.text[0], "198.51.100.7:7946");
	strcpy(made.at.text[1], "[2001:db8::7]:7946");
	memset(made.sealing, 0x5a, sizeof(made.sealing));
	memset(made.next, 0xa5, sizeof(made.next));
	assert_int_equal(EVP_PKEY_get_raw_public_key(key, made.identity, &n),
	    1);
	r = joinreq_signed_bytes(&made, bytes, sizeof(bytes));
	assert_true(r > 0);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(
	    EVP_DigestSign(ctx, made.sig, &sig_len, bytes, (size_t)r), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	r = joinreq_format(&made, text, sizeof(text));
	assert_true(r > 0);
	len = (size_t)r;
	return 0;
}

static void
there_and_back(void **state)
{
	struct joinreq got;

	(void)state;
	assert_int_equal(joinreq_parse(text, len, &got), 0);
	assert_string_equal(got.name, made.name);
	assert_memory_equal(&got.at, &made.at, sizeof(got.at));
	assert_memory_equal(got.identity, made.identity, 32);
	assert_memory_equal(got.sealing, made.sealing, 32);
	assert_memory_equal(got.next, made.next, 32);
	assert_memory_equal(got.sig, made.sig, 64);
}

static void
no_byte_changed(void **state)
{
	struct joinreq got;
	char bad[JOINREQ_TEXT_MAX];
	size_t i;
	int bit;

	(void)state;
	for (i = 0; i < len; i++)
		for (bit = 0; bit < 8; bit++) {
			memcpy(bad, text, len);
			bad[i] = (char)(bad[i] ^ 1 << bit);
			if (joinreq_parse(bad, len, &got) == 0)
				fail_msg("bit %d of byte %zu", bit, i);
		}
}

static void
no_other_length(void **state)
{
	struct joinreq got;
	char more[JOINREQ_TEXT_MAX * 2];
	size_t i;

	(void)state;
	for (i = 0; i < len; i++)
		assert_int_not_equal(joinreq_parse(text, i, &got), 0);
	memset(more, ' ', sizeof(more));
	memcpy(more, text, len);
	assert_int_not_equal(joinreq_parse(more, len + 1, &got), 0);
	assert_int_not_equal(joinreq_parse(more, sizeof(more), &got), 0);
}

static void
no_other_name(void **state)
{
	struct joinreq bad = made;
	char line[JOINREQ_TEXT_MAX];
	struct joinreq got;
	ssize_t n;

	(void)state;
	strcpy(bad.name, "beta-3");
	n = joinreq_format(&bad, line, sizeof(line));
	assert_true(n > 0);
	assert_int_equal(joinreq_parse(line, (size_t)n, &got), -EKEYREJECTED);
	bad = made;
	bad.at.n = 0;
	n = joinreq_format(&bad, line, sizeof(line));
	assert_true(n > 0);
	assert_int_equal(joinreq_parse(line, (size_t)n, &got), -EKEYREJECTED);
	strcpy(bad.name, "Beta");
	assert_int_equal(joinreq_format(&bad, line, sizeof(line)), -EINVAL);
	assert_int_equal(joinreq_format(&made, line, 100), -ENOSPC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(no_byte_changed),
		cmocka_unit_test(no_other_length),
		cmocka_unit_test(no_other_name),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
