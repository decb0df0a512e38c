/* SPDX-License-Identifier: ISC */
/*
 * b64.c - strict base64 and base64url.
 *
 * Owns two alphabets.  Text from anywhere may enter; only the one canonical
 * spelling of a byte string comes through.
 */
#include <errno.h>

#include "common/b64.h"

static const char std_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Value of a digit of either alphabet, whose last two digits are c62, c63. */
static int
digit(char c, char c62, char c63)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == c62)
		return 62;
	if (c == c63)
		return 63;
	return -1;
}

/* Encode without padding; the number of characters. */
static size_t
put(const uint8_t *in, size_t len, char *out, const char *alphabet)
{
	size_t n = 0;
	uint32_t w;

	for (; len >= 3; in += 3, len -= 3) {
		w = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		out[n++] = alphabet[w >> 18];
		out[n++] = alphabet[w >> 12 & 63];
		out[n++] = alphabet[w >> 6 & 63];
		out[n++] = alphabet[w & 63];
	}
	if (len == 0)
		return n;
	w = (uint32_t)in[0] << 16;
	if (len == 2)
		w |= (uint32_t)in[1] << 8;
	out[n++] = alphabet[w >> 18];
	out[n++] = alphabet[w >> 12 & 63];
	if (len == 2)
		out[n++] = alphabet[w >> 6 & 63];
	return n;
}

size_t
b64_put(const void *in, size_t len, char *out)
{
	size_t n;

	n = put(in, len, out, std_alphabet);
	while (n % 4 != 0)
		out[n++] = '=';
	return n;
}

ssize_t
b64_encode(const void *in, size_t len, char *out, size_t size)
{
	size_t n;

	if (size == 0 || len > (SIZE_MAX >> 2) || B64_LEN(len) > size - 1)
		return -ENOSPC;
	n = b64_put(in, len, out);
	out[n] = '\0';
	return (ssize_t)n;
}

ssize_t
b64url_encode(const void *in, size_t len, char *out, size_t size)
{
	size_t n;

	if (size == 0 || len > (SIZE_MAX >> 3) || B64URL_LEN(len) > size - 1)
		return -ENOSPC;
	n = put(in, len, out, url_alphabet);
	out[n] = '\0';
	return (ssize_t)n;
}

/* Decode len digits (no padding) of the alphabet that ends in c62, c63. */
static ssize_t
get(const char *in, size_t len, uint8_t *out, size_t size, char c62, char c63)
{
	uint32_t acc = 0;
	size_t i, n = 0;
	unsigned bits = 0;
	int v;

	if (len % 4 == 1)
		return -EINVAL;
	if (out != NULL && len / 4 * 3 + (len % 4 * 6 / 8) > size)
		return -ENOSPC;
	for (i = 0; i < len; i++) {
		if ((v = digit(in[i], c62, c63)) == -1)
			return -EINVAL;
		acc = (acc << 6 | (uint32_t)v) & 0xffffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (out != NULL)
			out[n] = (uint8_t)(acc >> bits);
		n++;
	}
	/* The bits behind the last byte must be zero. */
	if ((acc & ((1u << bits) - 1)) != 0)
		return -EINVAL;
	return (ssize_t)n;
}

ssize_t
b64_decode(const char *in, size_t len, void *out, size_t size)
{
	if (len % 4 != 0)
		return -EINVAL;
	if (len != 0 && in[len - 1] == '=')
		len -= in[len - 2] == '=' ? 2 : 1;
	return get(in, len, out, size, '+', '/');
}

ssize_t
b64url_decode(const char *in, size_t len, void *out, size_t size)
{
	return get(in, len, out, size, '-', '_');
}
