/* SPDX-License-Identifier: ISC */
/*
 * fuzz_line.c - the audit line's reader and writer.
 *
 * What the reader accepts, jansson reads and writes again as the same bytes;
 * what the writer makes of any text, the reader accepts and gives back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "auditd/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
canonical(const char *line, size_t len)
{
	static char again[LINE_BYTES_MAX];
	json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	size_t n;

	if (j == NULL)
		abort();
	n = json_dumpb(j, again, sizeof(again), JSON_SORT_KEYS | JSON_COMPACT);
	json_decref(j);
	if (n != len || memcmp(again, line, len) != 0)
		abort();
}

static void
walk(const struct line_view *v)
{
	const char *name, *value;
	size_t off = 0, nlen, vlen;
	char buf[64];
	uint64_t u;

	while (line_next(v, &off, &name, &nlen, &value, &vlen) == 1)
		if (nlen == 0 || vlen == 0)
			abort();
	(void)line_text(v, "event", buf, sizeof(buf));
	(void)line_bytes(v, "event", buf, sizeof(buf));
	(void)line_u64(v, "n", &u);
}

static void
written(const uint8_t *data, size_t len)
{
	static char line[LINE_BYTES_MAX], back[LINE_BYTES_MAX + 1];
	struct line_env env = { .boot = "00000000-1111-2222-3333-444444444444",
		.n = len };
	struct line_attr a = { "t", LINE_TEXT, 0, data, len };
	struct line_view v;
	ssize_t n;

	if ((n = line_write(line, sizeof(line), &a, 1, NULL, 0, &env)) < 0)
		return;
	if (line_parse(line, (size_t)n, &v) != 0 ||
	    line_bytes(&v, "t", back, sizeof(back)) != (ssize_t)len ||
	    memcmp(back, data, len) != 0)
		abort();
	canonical(line, (size_t)n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *s = (const char *)data;
	struct line_view v;

	if (line_parse(s, len, &v) == 0) {
		canonical(s, len);
		walk(&v);
	}
	written(data, len);
	return 0;
}
