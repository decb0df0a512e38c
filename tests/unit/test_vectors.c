/* SPDX-License-Identifier: ISC */
/*
 * test_vectors.c - what others published to compare with: RFC 8032, did:key,
 * Wycheproof, RFC 8785.
 *
 * Our verdict on each of Wycheproof's tests is frozen in the files beside
 * this one: a library that changes its mind is noticed here and not by two
 * nodes that no longer agree.  Each file says at its head which package its
 * tests come from; it has that package's set whole.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "common/b64.h"
#include "common/ed25519.h"
#include "common/identity.h"
#include "common/note.h"
#include "common/token.h"

#define MSG_MAX 1024

static size_t
unhex(const char *s, uint8_t *out, size_t size)
{
	size_t n = 0;
	unsigned int v;

	if (strcmp(s, "-") == 0)
		return 0;
	for (; s[0] != '\0' && s[0] != '\n'; s += 2) {
		assert_true(n < size);
		assert_int_equal(sscanf(s, "%2x", &v), 1);
		out[n++] = (uint8_t)v;
	}
	return n;
}

static void
sign(const char *seed, const uint8_t *msg, size_t len, uint8_t pub[32],
    uint8_t sig[64])
{
	uint8_t raw[32];
	size_t n = 32, k = 64;
	EVP_PKEY *key;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	unhex(seed, raw, sizeof(raw));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, 32);
	assert_non_null(key);
	assert_int_equal(EVP_PKEY_get_raw_public_key(key, pub, &n), 1);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &k, msg, len), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

/* Section 7.1; its test of 1023 bytes is number 83 of Wycheproof's. */
static void
test_rfc8032(void **state)
{
	static const struct {
		const char *seed, *pub, *msg, *sig;
	} v[] = {
		{ "9d61b19deffd5a60ba844af492ec2cc4"
		  "4449c5697b326919703bac031cae7f60",
		    "d75a980182b10ab7d54bfed3c964073a"
		    "0ee172f3daa62325af021a68f707511a",
		    "-",
		    "e5564300c360ac729086e2cc806e828a"
		    "84877f1eb8e5d974d873e06522490155"
		    "5fb8821590a33bacc61e39701cf9b46b"
		    "d25bf5f0595bbe24655141438e7a100b" },
		{ "4ccd089b28ff96da9db6c346ec114e0f"
		  "5b8a319f35aba624da8cf6ed4fb8a6fb",
		    "3d4017c3e843895a92b70aa74d1b7ebc"
		    "9c982ccf2ec4968cc0cd55f12af4660c",
		    "72",
		    "92a009a9f0d4cab8720e820b5f642540"
		    "a2b27b5416503f8fb3762223ebdb69da"
		    "085ac1e43e15996e458f3613d0f11d8c"
		    "387b2eaeb4302aeeb00d291612bb0c00" },
		{ "c5aa8df43f9f837bedb7442f31dcb7b1"
		  "66d38535076f094b85ce3a2e0b4458f7",
		    "fc51cd8e6218a1a38da47ed00230f058"
		    "0816ed13ba3303ac5deb911548908025",
		    "af82",
		    "6291d657deec24024827e69c3abe01a3"
		    "0ce548a284743a445e3680d7db5ac3ac"
		    "18ff9b538d16f290ae67f760984dc659"
		    "4a7c15e9716ed28dc027beceea1ec40a" },
		{ "833fe62409237b9d62ec77587520911e"
		  "9a759cec1d19755b7da901b96dca3d42",
		    "ec172b93ad5e563bf4932c70e1245034"
		    "c35467ef2efd4d64ebf819683467e2bf",
		    "ddaf35a193617abacc417349ae204131"
		    "12e6fa4e89a97ea20a9eeee64b55d39a"
		    "2192992a274fc1a836ba3c23a3feebbd"
		    "454d4423643ce80e2a9ac94fa54ca49f",
		    "dc2a4459e7369633a52b1bf277839a00"
		    "201009a3efbf3ecb69bea2186c26b589"
		    "09351fc9ac90b3ecfdfbc7c66431e030"
		    "3dca179c138ac17ad9bef1177331a704" },
	};
	uint8_t pub[32], want_pub[32], msg[64], sig[64], want_sig[64];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		unhex(v[i].pub, want_pub, sizeof(want_pub));
		unhex(v[i].sig, want_sig, sizeof(want_sig));
		len = unhex(v[i].msg, msg, sizeof(msg));
		sign(v[i].seed, msg, len, pub, sig);
		assert_memory_equal(pub, want_pub, sizeof(pub));
		assert_memory_equal(sig, want_sig, sizeof(sig));
		assert_int_equal(ed25519_verify(pub, msg, len, sig), 0);
		sig[0] ^= 1;
		assert_int_not_equal(ed25519_verify(pub, msg, len, sig), 0);
	}
}

/*
 * The eight points of small order in every encoding: for each of them there
 * are signatures that fit any message or many, and OpenSSL takes them.
 */
static void
test_small_order(void **state)
{
	static const char *const keys[] = {
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		/* not reduced: p, p + 1, 2^255 - 1, each sign */
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	};
	/* R the neutral element, S = 0: of any message under the first. */
	uint8_t pub[32], sig[64] = { 1 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(unhex(keys[i], pub, sizeof(pub)), 32);
		assert_false(ed25519_pub_ok(pub));
		assert_int_not_equal(ed25519_verify(pub, "x", 1, sig), 0);
	}
	/* The nearest neighbour below p is no point of small order. */
	unhex("ebffffffffffffffffffffffffffffff"
	      "ffffffffffffffffffffffffffffff7f",
	    pub, sizeof(pub));
	assert_true(ed25519_pub_ok(pub));
}

static void
test_did_key(void **state)
{
	/* W3C did:key method, test vectors of Ed25519: seeds 0, 1, 2. */
	static const char *const dids[] = {
		"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
		"did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG",
		"did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf",
	};
	char did[IDENTITY_TEXT_SIZE], seed[65];
	uint8_t pub[32], back[32], sig[64];
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		snprintf(seed, sizeof(seed), "%064x", i);
		sign(seed, (const uint8_t *)"", 0, pub, sig);
		identity_did(pub, did);
		assert_string_equal(did, dids[i]);
		assert_int_equal(identity_parse(did, back), 0);
		assert_memory_equal(back, pub, sizeof(pub));
	}
}

/* A file of Wycheproof's, opened in the sources. */
static FILE *
vectors(const char *name)
{
	const char *top = getenv("srcdir");
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/unit/%s",
	    top != NULL ? top : ".", name);
	f = fopen(path, "r");
	assert_non_null(f);
	return f;
}

struct vector {
	unsigned int id;
	char result[16], verdict[16];
	char field[3][2 * MSG_MAX + 2];
};

static bool
next_vector(FILE *f, struct vector *v)
{
	static char line[8 * MSG_MAX];

	do {
		if (fgets(line, sizeof(line), f) == NULL)
			return false;
	} while (line[0] == '#');
	assert_int_equal(sscanf(line, "%u %15s %15s %2049s %2049s %2049s",
			     &v->id, v->result, v->verdict, v->field[0],
			     v->field[1], v->field[2]),
	    6);
	return true;
}

static void
frozen(const struct vector *v, const char *ours)
{
	if (strcmp(v->verdict, ours) != 0)
		fail_msg("tcId %u: %s, and was %s", v->id, ours, v->verdict);
	if (strcmp(v->result, "valid") == 0 ?
		strcmp(ours, "yes") != 0 :
		strcmp(v->result, "invalid") == 0 && strcmp(ours, "no") != 0)
		fail_msg("tcId %u: %s is for us %s", v->id, v->result, ours);
}

static void
test_wycheproof_ed25519(void **state)
{
	FILE *f = vectors("wycheproof_ed25519.txt");
	uint8_t pub[32], msg[MSG_MAX], sig[128];
	struct vector v;
	size_t n, len;
	unsigned int count = 0;
	bool good;

	(void)state;
	for (; next_vector(f, &v); count++) {
		assert_int_equal(unhex(v.field[0], pub, sizeof(pub)), 32);
		len = unhex(v.field[1], msg, sizeof(msg));
		n = unhex(v.field[2], sig, sizeof(sig));
		/* All our signatures are of fixed length. */
		good = n == ED25519_SIG_LEN &&
		    ed25519_verify(pub, msg, len, sig) == 0;
		frozen(&v, good ? "yes" : "no");
	}
	assert_int_equal(count, 145);
	fclose(f);
}

/* A secret of zeros, which any third party knows too, is refused. */
static void
test_wycheproof_x25519(void **state)
{
	FILE *f = vectors("wycheproof_x25519.txt");
	uint8_t pub[32], key[32], want[32], shared[32];
	unsigned int count = 0;
	struct vector v;
	EVP_PKEY *ours, *theirs;
	EVP_PKEY_CTX *ctx;
	size_t len;
	bool good;

	(void)state;
	for (; next_vector(f, &v); count++) {
		assert_int_equal(unhex(v.field[0], pub, sizeof(pub)), 32);
		assert_int_equal(unhex(v.field[1], key, sizeof(key)), 32);
		assert_int_equal(unhex(v.field[2], want, sizeof(want)), 32);
		ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, key,
		    sizeof(key));
		theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, pub,
		    sizeof(pub));
		ctx = EVP_PKEY_CTX_new(ours, NULL);
		len = sizeof(shared);
		good = EVP_PKEY_derive_init(ctx) == 1 &&
		    EVP_PKEY_derive_set_peer(ctx, theirs) == 1 &&
		    EVP_PKEY_derive(ctx, shared, &len) == 1;
		if (good)
			assert_memory_equal(shared, want, sizeof(want));
		frozen(&v, good ? "yes" : "refused");
		EVP_PKEY_CTX_free(ctx);
		EVP_PKEY_free(theirs);
		EVP_PKEY_free(ours);
	}
	assert_int_equal(count, 518);
	fclose(f);
}

/* Another's canonical form of this text is this text. */
static void
canonical(const char *text, size_t len)
{
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	char *again;

	assert_non_null(j);
	again = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
	assert_int_equal(strlen(again), len);
	assert_memory_equal(again, text, len);
	free(again);
	json_decref(j);
}

/* As far as it is emitted: members sorted, integers up to 2^53-1, no space. */
static void
test_rfc8785(void **state)
{
	static const uint64_t numbers[] = { 0, 1, 9007199254740991 };
	struct token_claims c = { .cap = 31 };
	char text[TOKEN_MAX], json[TOKEN_MAX];
	uint8_t statement[NOTE_ENDORSE_MAX], sig[64];
	size_t i, head = strlen("claw/log-key/v1") + 1;
	ssize_t n;

	(void)state;
	sign("01", (const uint8_t *)"", 0, c.iss, sig);
	memcpy(c.sub, c.iss, sizeof(c.sub));
	memcpy(c.aud, c.iss, sizeof(c.aud));
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		c.reg = numbers[i];
		c.exp = numbers[i] + (i < 2);
		c.iat = c.exp - 1;
		n = token_signing_input(&c, text, sizeof(text));
		assert_true(n > 37);
		n = b64url_decode(text + 37, (size_t)n - 37, json,
		    sizeof(json));
		assert_true(n > 0);
		canonical(json, (size_t)n);
	}
	c.reg = UINT64_C(9007199254740992);
	assert_true(token_signing_input(&c, text, sizeof(text)) < 0);
	n = note_endorse_statement("n-1", "", "2026-11",
	    "n+00000000+AA==", statement, sizeof(statement));
	assert_true(n > (ssize_t)head);
	canonical((const char *)statement + head, (size_t)n - head);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc8032),
		cmocka_unit_test(test_small_order),
		cmocka_unit_test(test_did_key),
		cmocka_unit_test(test_wycheproof_ed25519),
		cmocka_unit_test(test_wycheproof_x25519),
		cmocka_unit_test(test_rfc8785),
	};

	return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
