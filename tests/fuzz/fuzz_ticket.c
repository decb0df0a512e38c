/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ticket.c - what somebody pastes for a ticket: any text.
 *
 * A ticket that is read is written again as the same text. So that the fields
 * are reached, the input is also taken as the body of a ticket whose checksum
 * is right.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/merkle.h"
#include "common/ticket.h"

#define PREFIX_LEN (sizeof(TICKET_PREFIX) - 1)
#define BODY_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
one(const char *text, size_t len)
{
	char again[TICKET_TEXT_MAX], words[TICKET_WORDS_SIZE];
	struct ticket t, none = { 0 };
	const char *why;
	ssize_t n;

	if (ticket_parse(text, len, &t, &why) != 0) {
		/* Nothing half-read is left, and there is a reason. */
		if (memcmp(&t, &none, sizeof(t)) != 0 || why[0] == '\0')
			abort();
		return;
	}
	n = ticket_format(&t, again, sizeof(again));
	if (n != (ssize_t)len || memcmp(again, text, len) != 0)
		abort();
	ticket_words(t.genesis, t.inviter, words);
	if (memchr(words, '\0', sizeof(words)) == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[PREFIX_LEN + B64URL_LEN(BODY_MAX + 4) + 1];
	uint8_t body[PREFIX_LEN + BODY_MAX + 4], hash[32];
	ssize_t n;

	one((const char *)data, len);
	if (len > BODY_MAX)
		return 0;
	memcpy(body, TICKET_PREFIX, PREFIX_LEN);
	memcpy(body + PREFIX_LEN, data, len);
	merkle_sha256(body, PREFIX_LEN + len, hash);
	memcpy(body + PREFIX_LEN + len, hash, 4);
	memcpy(text, TICKET_PREFIX, PREFIX_LEN);
	n = b64url_encode(body + PREFIX_LEN, len + 4, text + PREFIX_LEN,
	    sizeof(text) - PREFIX_LEN);
	if (n < 0)
		abort();
	one(text, PREFIX_LEN + (size_t)n);
	return 0;
}
