/* SPDX-License-Identifier: ISC */
/*
 * fuzz_token.c - what a peer shows for a token: any text.
 *
 * A token that is read has one spelling: its claims are written again as the
 * same text. So that the claims are reached without a search for base64, the
 * input is also taken as the claims of a token.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/token.h"

#define HEADER "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9."
#define HEADER_LEN (sizeof(HEADER) - 1)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
lookup(void *arg, const uint8_t key[32], uint64_t *cap)
{
	(void)arg;
	(void)key;
	*cap = UINT64_MAX;
	return 0;
}

static void
one(const char *text, size_t len)
{
	char input[TOKEN_MAX], again[TOKEN_MAX];
	struct token_expect e = { .registry = UINT64_MAX, .lookup = lookup };
	struct token t;
	ssize_t n;

	if (token_parse(text, len, &t) != TOKEN_OK)
		return;
	n = token_signing_input(&t.claims, input, sizeof(input));
	if (n < 0 || (size_t)n != t.input_len)
		abort();
	n = token_compose(input, (size_t)n, t.sig, again, sizeof(again));
	if (n != (ssize_t)len || memcmp(again, text, len) != 0)
		abort();
	memcpy(e.aud, t.claims.aud, sizeof(e.aud));
	memcpy(e.leaf, t.claims.cnf, sizeof(e.leaf));
	e.now = t.claims.iat;
	(void)token_verify(&t, &e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t sig[TOKEN_SIG_LEN];
	char input[2 * TOKEN_MAX], text[3 * TOKEN_MAX];
	ssize_t n;

	one((const char *)data, len);
	if (len > TOKEN_MAX / 2)
		return 0;
	memcpy(input, HEADER, HEADER_LEN);
	n = b64url_encode(data, len, input + HEADER_LEN,
	    sizeof(input) - HEADER_LEN);
	if (n < 0)
		abort();
	n = token_compose(input, HEADER_LEN + (size_t)n, sig, text,
	    sizeof(text));
	if (n > 0)
		one(text, (size_t)n);
	return 0;
}
