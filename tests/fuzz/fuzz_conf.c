/* SPDX-License-Identifier: ISC */
/*
 * fuzz_conf.c - any bytes as claw.yaml: they are refused with a reason that
 * can be printed, or they are a configuration that is read back the same
 * after it was printed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_errors(const struct conf_errors *e)
{
	char *text = NULL;
	size_t len = 0, i;
	FILE *f;

	if (e->n == 0)
		abort();
	f = open_memstream(&text, &len);
	if (f == NULL)
		abort();
	conf_errors_print(e, f);
	if (fclose(f) != 0)
		abort();
	for (i = 0; i < len; i++)
		if ((text[i] < ' ' && text[i] > 0 && text[i] != '\n') ||
		    text[i] == 0 || text[i] == 0x7f)
			abort();
	free(text);
}

static void
check_printing(const struct conf *c)
{
	enum conf_key changed[CONF_KEY_MAX];
	struct conf_errors e;
	struct conf again;
	char *text = NULL;
	size_t len = 0;
	FILE *f;

	f = open_memstream(&text, &len);
	if (f == NULL)
		abort();
	conf_print(c, f, true);
	if (fclose(f) != 0)
		abort();
	conf_errors_init(&e);
	if (conf_parse(&again, &e, "printed", text, len) != 0 ||
	    conf_diff(c, &again, changed) != 0)
		abort();
	conf_errors_free(&e);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct conf_errors e;
	struct conf c;

	conf_errors_init(&e);
	if (conf_parse(&c, &e, "/x/claw.yaml", (const char *)data, len) != 0)
		check_errors(&e);
	else
		check_printing(&c);
	conf_errors_free(&e);
	return 0;
}
