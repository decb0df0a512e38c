/* SPDX-License-Identifier: ISC */
/*
 * ed25519.c - strict verification of Ed25519 signatures.
 *
 * OpenSSL checks S < L and compares R with the bytes that it computes, so that
 * R has one encoding. It takes keys of small order, and keys whose y is not
 * reduced: those stop here.
 */
#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/ed25519.h"

/*
 * y of the eight points of small order (RFC 8032 section 5.1, little-endian,
 * without the sign): of order 1, 2, 4 and 8. Both signs of x are meant.
 */
static const uint8_t small_order[][ED25519_PUB_LEN] = {
	{ 0x01 },
	{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
	{ 0x00 },
	{ 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
	    0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
	    0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
	{ 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
	    0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
	    0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a },
};

/* Whether y, without the sign, is below p = 2^255 - 19. */
static bool
reduced(const uint8_t y[ED25519_PUB_LEN])
{
	size_t i;

	for (i = 1; i < ED25519_PUB_LEN - 1; i++)
		if (y[i] != 0xff)
			return true;
	return y[ED25519_PUB_LEN - 1] != 0x7f || y[0] < 0xed;
}

bool
ed25519_pub_ok(const uint8_t pub[ED25519_PUB_LEN])
{
	uint8_t y[ED25519_PUB_LEN];
	size_t i;

	memcpy(y, pub, sizeof(y));
	y[sizeof(y) - 1] &= 0x7f;
	if (!reduced(y))
		return false;
	for (i = 0; i < sizeof(small_order) / sizeof(small_order[0]); i++)
		if (memcmp(y, small_order[i], sizeof(y)) == 0)
			return false;
	return true;
}

int
ed25519_verify(const uint8_t pub[ED25519_PUB_LEN], const void *msg, size_t len,
    const uint8_t sig[ED25519_SIG_LEN])
{
	EVP_PKEY *key;
	EVP_MD_CTX *ctx;
	int ok = 0;

	if (!ed25519_pub_ok(pub))
		return -EKEYREJECTED;
	key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub,
	    ED25519_PUB_LEN);
	ctx = EVP_MD_CTX_new();
	if (key != NULL && ctx != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1)
		ok = EVP_DigestVerify(ctx, sig, ED25519_SIG_LEN, msg, len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok ? 0 : -EKEYREJECTED;
}
