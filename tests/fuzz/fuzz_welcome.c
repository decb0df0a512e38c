/* SPDX-License-Identifier: ISC */
/*
 * fuzz_welcome.c - the first frame of a peer: any bytes.
 *
 * What is read must be written again as the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/welcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t again[WELCOME_FRAME_MAX];
	struct welcome w, mine;
	ssize_t n;

	if (len >= FRAME_HEAD_LEN && welcome_len(data) > WELCOME_FRAME_MAX)
		abort();
	if (welcome_parse(data, len, &w) != 0)
		return 0;
	n = welcome_format(&w, again, sizeof(again));
	if (n != (ssize_t)len || memcmp(again, data, len) != 0)
		abort();
	/* Sent back to its sender it is always found out. */
	mine = w;
	if (welcome_check(&mine, &w) == NULL)
		abort();
	return 0;
}
