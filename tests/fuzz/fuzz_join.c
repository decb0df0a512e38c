/* SPDX-License-Identifier: ISC */
/*
 * fuzz_join.c - JOIN from somebody who has nothing but a ticket, or not even
 * that: any bytes.
 *
 * A body that is read is written again as the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct join_binding session;
	uint8_t again[JOIN_BODY_MAX], text[JOIN_SIGNED_MAX];
	const char *why;
	struct wbuf w;
	struct join j;

	if (join_get(data, len, &j) != 0)
		return 0;
	wbuf_init(&w, again, sizeof(again));
	if (join_put(&w, &j) != 0 || w.len != len ||
	    memcmp(again, data, len) != 0)
		abort();
	if (join_signed_bytes(&session, &j, text, sizeof(text)) < 0)
		abort();
	(void)join_verify(&j, &session, j.name, j.ticket, &why);
	return 0;
}
