/* SPDX-License-Identifier: ISC */
/*
 * identity.c - a node's public key as people and configurations write it.
 */
#include <errno.h>
#include <string.h>

#include "common/b64.h"
#include "common/identity.h"

#define TEXT_PREFIX "ed25519:"
#define DID_PREFIX "did:key:z" /* z: multibase for base58btc */
#define CODED_LEN (2 + IDENTITY_LEN)
#define DIGITS_MAX 47 /* base58 digits of 34 bytes, at most */

static const char alphabet[] =
    "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* n bytes from base58, as a number: leading zero bytes are not told. */
static int
base58_decode(const char *s, uint8_t *out, size_t n)
{
	const char *d;
	uint32_t carry;
	size_t i;

	memset(out, 0, n);
	if (strlen(s) > DIGITS_MAX)
		return -EINVAL;
	for (; *s != '\0'; s++) {
		if ((d = strchr(alphabet, *s)) == NULL)
			return -EINVAL;
		carry = (uint32_t)(d - alphabet);
		for (i = n; i-- > 0;) {
			carry += (uint32_t)out[i] * 58;
			out[i] = (uint8_t)carry;
			carry >>= 8;
		}
		if (carry != 0)
			return -EINVAL;
	}
	return 0;
}

static void
base58_encode(const uint8_t *in, size_t n, char out[DIGITS_MAX + 1])
{
	uint8_t digit[DIGITS_MAX] = { 0 };
	size_t i, k, used = 0;
	uint32_t carry;

	for (i = 0; i < n; i++) {
		carry = in[i];
		for (k = 0; k < used || carry != 0; k++) {
			carry += (uint32_t)digit[k] * 256;
			digit[k] = (uint8_t)(carry % 58);
			carry /= 58;
		}
		used = k > used ? k : used;
	}
	for (i = 0; i < used; i++)
		out[i] = alphabet[digit[used - 1 - i]];
	out[used] = '\0';
}

int
identity_parse(const char *text, uint8_t pub[IDENTITY_LEN])
{
	size_t key = strlen(TEXT_PREFIX), did = strlen(DID_PREFIX);
	uint8_t coded[CODED_LEN];

	if (strncmp(text, TEXT_PREFIX, key) == 0)
		return b64url_decode(text + key, strlen(text + key), pub,
			   IDENTITY_LEN) == IDENTITY_LEN ?
		    0 :
		    -EINVAL;
	/* A leading '1' would be a zero byte, which the codec is not. */
	if (strncmp(text, DID_PREFIX, did) != 0 || text[did] == '1' ||
	    base58_decode(text + did, coded, sizeof(coded)) != 0 ||
	    coded[0] != 0xed || coded[1] != 0x01)
		return -EINVAL;
	memcpy(pub, coded + 2, IDENTITY_LEN);
	return 0;
}

void
identity_text(const uint8_t pub[IDENTITY_LEN], char out[IDENTITY_TEXT_SIZE])
{
	size_t n = strlen(TEXT_PREFIX);

	memcpy(out, TEXT_PREFIX, n);
	(void)b64url_encode(pub, IDENTITY_LEN, out + n, IDENTITY_TEXT_SIZE - n);
}

void
identity_did(const uint8_t pub[IDENTITY_LEN], char out[IDENTITY_TEXT_SIZE])
{
	uint8_t coded[CODED_LEN] = { 0xed, 0x01 };
	size_t n = strlen(DID_PREFIX);

	memcpy(coded + 2, pub, IDENTITY_LEN);
	memcpy(out, DID_PREFIX, n);
	base58_encode(coded, sizeof(coded), out + n);
}
