/* SPDX-License-Identifier: ISC */
/*
 * fuzz_frame.c - frames of a link: any bytes after a head.
 *
 * What is read must be written again as the same bytes, and what the head's
 * check turns away must not be read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/evidence.h"
#include "common/welcome.h"
#include "linkd/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* The first byte is the purpose, then comes a frame. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct welcome w;
	static uint8_t again[FRAME_MAX];
	struct frame f;
	uint32_t said;
	uint8_t type;
	ssize_t n;

	if (len < 1 + FRAME_HEAD_LEN)
		return 0;
	if (welcome_len(data + 1) == (ssize_t)len - 1)
		(void)welcome_parse(data + 1, len - 1, &w);
	frame_head_get(data + 1, &type, &said);
	if (frame_head_check(data[0], type, said) != NULL) {
		/* On no kind of link: then it is none. */
		if (frame_head_check(EVIDENCE_MESH, type, said) != NULL &&
		    frame_head_check(EVIDENCE_JOIN, type, said) != NULL &&
		    said == len - 1 - FRAME_HEAD_LEN &&
		    frame_parse(type, data + 1 + FRAME_HEAD_LEN, said, &f) == 0)
			abort();
		return 0;
	}
	if (said != len - 1 - FRAME_HEAD_LEN ||
	    frame_parse(type, data + 1 + FRAME_HEAD_LEN, said, &f) != 0)
		return 0;
	n = frame_format(&f, again, sizeof(again));
	if (n != (ssize_t)len - 1 || memcmp(again, data + 1, len - 1) != 0)
		abort();
	return 0;
}
