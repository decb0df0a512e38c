/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sftname.c - names that a peer proposes: any bytes.
 *
 * A good name is shown as it is but for its backslashes, and leads nowhere
 * but down; no name, good or bad, is shown with anything that a terminal
 * obeys.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/sftname.h"
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
harmless(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t cp;
	size_t i, n;

	if (strlen(s) != len)
		abort();
	for (i = 0; i < len; i += n) {
		n = utf8_next(p + i, len - i, &cp);
		if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||
		    (cp >= 0x202a && cp <= 0x202e))
			abort();
	}
}

static void
good(const uint8_t *data, size_t len, const char *shown, size_t n)
{
	size_t back = 0, i;

	if (len > SFTNAME_MAX || memchr(data, '\0', len) != NULL ||
	    data[0] == '/' || memmem(data, len, "//", 2) != NULL ||
	    memmem(data, len, "/../", 4) != NULL)
		abort();
	for (i = 0; i < n; i++, back++) {
		if (shown[i] == '\\' && shown[++i] != '\\')
			abort();
		if (back >= len || (uint8_t)shown[i] != data[back])
			abort();
	}
	if (back != len)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char out[SFTNAME_SHOWN_SIZE];
	size_t n, size;

	n = sftname_show(data, len, out, sizeof(out));
	harmless(out, n);
	if (sftname_check(data, len) == SFTNAME_OK)
		good(data, len, out, n);
	/* Cut where it may be. */
	if (len > 0) {
		size = 4 + data[0] % 60;
		n = sftname_show(data, len, out, size);
		if (n >= size)
			abort();
		harmless(out, n);
	}
	return 0;
}
