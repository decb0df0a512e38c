/* SPDX-License-Identifier: ISC */
/*
 * fuzz_joinreq.c - the request of a node that joins by file, from whoever
 * brought the file: any bytes.
 *
 * What is taken is written again as the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/joinreq.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char again[JOINREQ_TEXT_MAX];
	struct joinreq j;
	ssize_t n;

	if (joinreq_parse((const char *)data, len, &j) != 0)
		return 0;
	n = joinreq_format(&j, again, sizeof(again));
	if (n < 0 || (size_t)n != len || memcmp(again, data, len) != 0)
		abort();
	return 0;
}
