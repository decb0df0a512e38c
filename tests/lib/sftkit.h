/* SPDX-License-Identifier: ISC */
/*
 * sftkit.h - seals and receipts that two nodes of a test have signed.
 */
#ifndef TESTS_LIB_SFTKIT_H
#define TESTS_LIB_SFTKIT_H

#include <openssl/evp.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/receipt.h"

static void
sftkit_key(const char *node, uint8_t seed[32], uint8_t public[32])
{
	size_t n = 32;
	EVP_PKEY *key;

	memset(seed, 0, 32);
	memcpy(seed, node, strlen(node) < 32 ? strlen(node) : 32);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	if (key == NULL || EVP_PKEY_get_raw_public_key(key, public, &n) != 1)
		abort();
	EVP_PKEY_free(key);
}

static void
sftkit_sign(const char *node, const uint8_t *p, size_t len, uint8_t sig[64])
{
	uint8_t seed[32], public[32];
	size_t n = 64;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key;

	sftkit_key(node, seed, public);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	if (ctx == NULL || key == NULL ||
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, sig, &n, p, len) != 1)
		abort();
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
}

static void
sftkit_signer(struct receipt_signer *s, const char *node)
{
	uint8_t seed[32];

	snprintf(s->name, sizeof(s->name), "%s", node);
	s->seq = 7;
	s->time_s = 1700000000;
	sftkit_key(node, seed, s->key);
}

/* Its length. */
static size_t
sftkit_seal(const char *sender, const char *receiver, const uint8_t id[16],
    const uint8_t offer[32], const uint8_t root[32], uint64_t size,
    uint8_t out[SFT_SEAL_MAX])
{
	uint8_t bytes[RECEIPT_SEAL_MAX];
	struct receipt_seal s;
	ssize_t n;

	memset(&s, 0, sizeof(s));
	memcpy(s.id, id, 16);
	memcpy(s.offer, offer, 32);
	memcpy(s.root, root, 32);
	s.size = size;
	sftkit_signer(&s.sender, sender);
	snprintf(s.receiver, sizeof(s.receiver), "%s", receiver);
	if ((n = receipt_seal_signed(&s, bytes, sizeof(bytes))) < 0)
		abort();
	sftkit_sign(sender, bytes, (size_t)n, s.sender.sig);
	if ((n = receipt_seal_format(&s, out, SFT_SEAL_MAX)) < 0)
		abort();
	return (size_t)n;
}

/* Of a seal; 0 where it is none. */
static size_t
sftkit_receipt(const char *receiver, const uint8_t *seal, size_t len,
    uint8_t out[SFT_RECEIPT_MAX])
{
	uint8_t bytes[RECEIPT_MAX];
	struct receipt r;
	ssize_t n;

	memset(&r, 0, sizeof(r));
	if (receipt_seal_parse(seal, len, &r.seal) != 0)
		return 0;
	sftkit_signer(&r.receiver, receiver);
	snprintf(r.receiver.name, sizeof(r.receiver.name), "%s",
	    r.seal.receiver);
	if ((n = receipt_signed(&r, bytes, sizeof(bytes))) < 0)
		abort();
	sftkit_sign(receiver, bytes, (size_t)n, r.receiver.sig);
	if ((n = receipt_format(&r, out, SFT_RECEIPT_MAX)) < 0)
		abort();
	return (size_t)n;
}

#endif
