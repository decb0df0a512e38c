/* SPDX-License-Identifier: ISC */
/*
 * fuzz_confedit.c - any bytes as claw.yaml, any value for any key: the edit
 * is refused, or it does what was asked and nothing else, and doing it again
 * changes no byte.
 *
 * Input: one byte for the key, the value, a newline, the file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/confedit.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const char *file, size_t len, enum conf_key key, const char *value,
    const char *out, size_t out_len)
{
	enum conf_key changed[CONF_KEY_MAX];
	struct conf before, after;
	struct conf_errors e;
	char *again;
	size_t again_len, n;

	conf_errors_init(&e);
	if (conf_parse(&after, &e, "x", out, out_len) != 0 ||
	    after.origin[key].from != CONF_FROM_FILE)
		abort();
	if (confedit_text("x", out, out_len, key, value, &again, &again_len,
		&e) != 0 ||
	    again_len != out_len || memcmp(again, out, out_len) != 0)
		abort();
	free(again);
	if (conf_parse(&before, &e, "x", file, len) == 0) {
		n = conf_diff(&before, &after, changed);
		if (n > 1 || (n == 1 && changed[0] != key))
			abort();
	}
	conf_errors_free(&e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *file, *in = (const char *)data;
	struct conf_errors e;
	char value[256], *out;
	size_t n, out_len;

	file = len > 1 ? memchr(in + 1, '\n', len - 1) : NULL;
	if (file == NULL)
		return 0;
	n = (size_t)(file - in) - 1;
	if (n >= sizeof(value))
		return 0;
	memcpy(value, in + 1, n);
	value[n] = '\0';
	file++;
	len -= (size_t)(file - in);
	conf_errors_init(&e);
	if (confedit_text("x", file, len, data[0] % CONF_KEY_MAX, value, &out,
		&out_len, &e) == 0) {
		check(file, len, data[0] % CONF_KEY_MAX, value, out, out_len);
		free(out);
	} else if (e.n == 0) {
		abort();
	}
	conf_errors_free(&e);
	return 0;
}
