/* SPDX-License-Identifier: ISC */
/*
 * test_callseal.c - a call's messages are read by whom they are for, once, as
 * they were written, under the head that they came with.
 *
 * The bytes expected were made with another program (Python's cryptography)
 * from what callseal.h says.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "common/callseal.h"

#define BOX                                                                    \
	"a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209"     \
	"e6838f95bf8eaa2ee547d0b02eaea1a357dc8cae01"
#define CALLER_0 "0000000000000000751b5657bfca56c3766924416cda314ed82375"
#define CALLER_1 "00000000000000016984c9debeebf1c98b05c36e98415b81af56e7"
#define CALLEE_0 "00000000000000001ddaf86ef068159a7526c759cbd3ab1a8f7fba"
#define CALLEE_1 "00000000000000010a9f18a052d1968ae21fbb09ad57fe23b28f82"

static const uint8_t r_secret[32] = { [0 ... 31] = 1 };
static const uint8_t s_secret[32] = { [0 ... 31] = 2 };
static const uint8_t h_offer[32] = { [0 ... 31] = 3 };
static const uint8_t h_answer[32] = { [0 ... 31] = 4 };
static uint8_t head[CALL_HEAD_LEN], r_share[32], s_share[32];
static uint8_t out[CALL_BODY_MAX + CALLSEAL_BOX_MORE + 1],
    text[CALL_BODY_MAX + 1];
static EVP_PKEY *sealing;

static int
setup(void **state)
{
	static const uint8_t id[CALL_ID_LEN] = { [0 ... 15] = 9 };

	(void)state;
	call_head_put(head, CALL_OFFER, id);
	sealing =
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, s_secret, 32);
	assert_int_equal(callseal_share(r_secret, r_share), 0);
	assert_int_equal(callseal_share(s_secret, s_share), 0);
	memset(text, 't', sizeof(text));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(sealing);
	return 0;
}

static void
is(const uint8_t *got, ssize_t n, const char *hex)
{
	static const char digit[] = "0123456789abcdef";
	size_t i;

	assert_int_equal(n, strlen(hex) / 2);
	for (i = 0; i < (size_t)n; i++) {
		assert_int_equal(digit[got[i] >> 4], hex[2 * i]);
		assert_int_equal(digit[got[i] & 15], hex[2 * i + 1]);
	}
}

/* --- boxes -------------------------------------------------------------- */

static ssize_t
open_box(EVP_PKEY *own, size_t len)
{
	uint8_t key[CALLSEAL_KEY_LEN];
	int r = callseal_box_key(own, out, key);

	return r != 0 ?
	    r :
	    callseal_box_open(key, head, out, len, text, sizeof(text));
}

static void
test_box(void **state)
{
	ssize_t n =
	    callseal_box(r_secret, s_share, head, "offer", 5, out, sizeof(out));

	(void)state;
	is(out, n, BOX);
	assert_int_equal(open_box(sealing, (size_t)n), 5);
	assert_memory_equal(text, "offer", 5);
}

static void
test_box_sizes(void **state)
{
	uint8_t key[CALLSEAL_KEY_LEN];
	ssize_t n;

	(void)state;
	n = callseal_box(r_secret, s_share, head, text, CALL_BODY_MAX, out,
	    sizeof(out));
	assert_int_equal(n, CALL_BODY_MAX + CALLSEAL_BOX_MORE);
	assert_int_equal(open_box(sealing, (size_t)n), CALL_BODY_MAX);
	assert_int_equal(callseal_box(r_secret, s_share, head, text,
			     CALL_BODY_MAX + 1, out, sizeof(out)),
	    -ENOSPC);
	assert_int_equal(callseal_box(r_secret, s_share, head, text, 9, out,
			     9 + CALLSEAL_BOX_MORE - 1),
	    -ENOSPC);
	n = callseal_box(r_secret, s_share, head, text, 9, out, sizeof(out));
	assert_int_equal(callseal_box_key(sealing, out, key), 0);
	assert_int_equal(callseal_box_open(key, head, out, (size_t)n, text, 8),
	    -ENOSPC);
	/* Nothing is a text, too. */
	n = callseal_box(r_secret, s_share, head, text, 0, out, sizeof(out));
	assert_int_equal(n, CALLSEAL_BOX_MORE);
	assert_int_equal(open_box(sealing, (size_t)n), 0);
}

/* Changed, cut, under another head, for another node: closed. */
static void
test_box_closed(void **state)
{
	static const uint8_t zero[5];
	EVP_PKEY *other =
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, r_secret, 32);
	size_t i, n;

	(void)state;
	n = (size_t)callseal_box(r_secret, s_share, head, "offer", 5, out,
	    sizeof(out));
	for (i = 0; i < n; i++) {
		out[i] ^= 1;
		assert_int_equal(open_box(sealing, n), -EBADMSG);
		assert_memory_equal(text, zero, 5);
		out[i] ^= 1;
		assert_int_equal(open_box(sealing, i), -EBADMSG);
	}
	for (i = 0; i < CALL_HEAD_LEN; i++) {
		head[i] ^= 1;
		assert_int_equal(open_box(sealing, n), -EBADMSG);
		head[i] ^= 1;
	}
	assert_int_equal(open_box(other, n), -EBADMSG);
	assert_int_equal(open_box(sealing, n), 5);
	EVP_PKEY_free(other);
}

/* Of small order (RFC 7748, 6.1): every secret with them is zero. */
static const uint8_t small[][32] = {
	{ 0 },
	{ 1 },
	{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
	    0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
	    0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
	{ 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
	    0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
	    0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57 },
	{ 0xec, [1 ... 30] = 0xff, 0x7f },
	{ 0xed, [1 ... 30] = 0xff, 0x7f },
	{ 0xee, [1 ... 30] = 0xff, 0x7f },
};

static void
test_small_order(void **state)
{
	static const uint8_t zero[32];
	uint8_t key[CALLSEAL_KEY_LEN];
	struct callseal s, none;
	size_t i;

	(void)state;
	memset(&none, 0, sizeof(none));
	for (i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		memset(key, 1, sizeof(key));
		memset(&s, 1, sizeof(s));
		assert_int_equal(callseal_box(r_secret, small[i], head, "x", 1,
				     out, sizeof(out)),
		    -EKEYREJECTED);
		assert_int_equal(callseal_box_key(sealing, small[i], key),
		    -EKEYREJECTED);
		assert_memory_equal(key, zero, sizeof(key));
		assert_int_equal(callseal_start(&s, true, r_secret, small[i],
				     h_offer, h_answer),
		    -EKEYREJECTED);
		assert_memory_equal(&s, &none, sizeof(s));
	}
}

/* --- frames ------------------------------------------------------------- */

static struct callseal a, b;

static void
start(void)
{
	assert_int_equal(
	    callseal_start(&a, true, r_secret, s_share, h_offer, h_answer), 0);
	assert_int_equal(
	    callseal_start(&b, false, s_secret, r_share, h_offer, h_answer), 0);
}

static void
test_frames(void **state)
{
	ssize_t n;

	(void)state;
	start();
	n = callseal_frame(&a, head, "end", 3, out, sizeof(out));
	is(out, n, CALLER_0);
	assert_int_equal(
	    callseal_frame_open(&b, head, out, (size_t)n, text, sizeof(text)),
	    3);
	assert_memory_equal(text, "end", 3);
	n = callseal_frame(&a, head, "end", 3, out, sizeof(out));
	is(out, n, CALLER_1);
	n = callseal_frame(&b, head, "end", 3, out, sizeof(out));
	is(out, n, CALLEE_0);
	assert_int_equal(
	    callseal_frame_open(&a, head, out, (size_t)n, text, sizeof(text)),
	    3);
	n = callseal_frame(&b, head, "end", 3, out, sizeof(out));
	is(out, n, CALLEE_1);
}

/* Once, in order, and not back to who wrote it. */
static void
test_once(void **state)
{
	uint8_t first[64];
	ssize_t n;
	size_t len;

	(void)state;
	start();
	n = callseal_frame(&a, head, "1", 1, first, sizeof(first));
	len = (size_t)n;
	assert_int_equal(
	    callseal_frame_open(&a, head, first, len, text, sizeof(text)),
	    -EBADMSG);
	assert_int_equal(callseal_frame(&a, head, "2", 1, out, sizeof(out)), n);
	assert_int_equal(callseal_frame(&a, head, "3", 1, out, sizeof(out)), n);
	assert_int_equal(
	    callseal_frame_open(&b, head, out, len, text, sizeof(text)), 1);
	assert_int_equal(
	    callseal_frame_open(&b, head, out, len, text, sizeof(text)),
	    -EALREADY);
	assert_int_equal(
	    callseal_frame_open(&b, head, first, len, text, sizeof(text)),
	    -EALREADY);
	assert_int_equal(b.in, 3);
}

static void
test_frame_closed(void **state)
{
	size_t i, n;

	(void)state;
	start();
	n = (size_t)callseal_frame(&a, head, "end", 3, out, sizeof(out));
	for (i = 0; i < n; i++) {
		out[i] ^= 1;
		assert_int_equal(
		    callseal_frame_open(&b, head, out, n, text, sizeof(text)),
		    -EBADMSG);
		out[i] ^= 1;
		assert_int_equal(
		    callseal_frame_open(&b, head, out, i, text, sizeof(text)),
		    -EBADMSG);
	}
	for (i = 0; i < CALL_HEAD_LEN; i++) {
		head[i] ^= 1;
		assert_int_equal(
		    callseal_frame_open(&b, head, out, n, text, sizeof(text)),
		    -EBADMSG);
		head[i] ^= 1;
	}
	assert_int_equal(b.in, 0); /* none of that counted */
	assert_int_equal(callseal_frame_open(&b, head, out, n, text, 2),
	    -ENOSPC);
	assert_int_equal(
	    callseal_frame_open(&b, head, out, n, text, sizeof(text)), 3);
}

/* One bit of either hash, and the two ends have nothing to say. */
static void
test_hashes(void **state)
{
	uint8_t hash[32];
	size_t n;

	(void)state;
	start();
	n = (size_t)callseal_frame(&a, head, "end", 3, out, sizeof(out));
	memcpy(hash, h_offer, 32);
	hash[31] ^= 1;
	callseal_start(&b, false, s_secret, r_share, hash, h_answer);
	assert_int_equal(
	    callseal_frame_open(&b, head, out, n, text, sizeof(text)),
	    -EBADMSG);
	memcpy(hash, h_answer, 32);
	hash[0] ^= 1;
	callseal_start(&b, false, s_secret, r_share, h_offer, hash);
	assert_int_equal(
	    callseal_frame_open(&b, head, out, n, text, sizeof(text)),
	    -EBADMSG);
}

/* As the other end could make it, which has the key: under the last number. */
static size_t
last_frame(void)
{
	static const uint8_t ones[8] = { [0 ... 7] = 0xff };
	uint8_t iv[12] = { [4 ... 11] = 0xff };
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	memcpy(out, ones, 8);
	assert_int_equal(EVP_EncryptInit_ex2(ctx, EVP_chacha20_poly1305(),
			     a.out_key, iv, NULL),
	    1);
	EVP_EncryptUpdate(ctx, NULL, &n, head, sizeof(head));
	EVP_EncryptUpdate(ctx, NULL, &n, ones, sizeof(ones));
	EVP_EncryptUpdate(ctx, out + 8, &n, (const uint8_t *)"end", 3);
	EVP_EncryptFinal_ex(ctx, out + 11, &n);
	EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + 11);
	EVP_CIPHER_CTX_free(ctx);
	return 3 + CALLSEAL_FRAME_MORE;
}

/* A number never comes twice; the last one is not used. */
static void
test_numbers_end(void **state)
{
	struct callseal none;
	size_t n;

	(void)state;
	start();
	a.out = UINT64_MAX - 1;
	n = (size_t)callseal_frame(&a, head, "end", 3, out, sizeof(out));
	assert_int_equal(
	    callseal_frame_open(&b, head, out, n, text, sizeof(text)), 3);
	assert_int_equal(b.in, UINT64_MAX);
	assert_int_equal(callseal_frame(&a, head, "end", 3, out, sizeof(out)),
	    -EOVERFLOW);
	n = last_frame();
	assert_int_equal(
	    callseal_frame_open(&b, head, out, n, text, sizeof(text)),
	    -EBADMSG);
	assert_int_equal(b.in, UINT64_MAX);
	assert_int_equal(
	    callseal_frame(&b, head, text, 9, out, 9 + CALLSEAL_FRAME_MORE - 1),
	    -ENOSPC);
	callseal_clear(&a);
	memset(&none, 0, sizeof(none));
	assert_memory_equal(&a, &none, sizeof(a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_box, setup, teardown),
		cmocka_unit_test_setup_teardown(test_box_sizes, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_box_closed, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_small_order, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frame_closed, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_hashes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers_end, setup,
		    teardown),
	};

	return cmocka_run_group_tests_name("callseal", tests, NULL, NULL);
}
