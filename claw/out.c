/* SPDX-License-Identifier: ISC */
/*
 * out.c - what a person or a program sees of claw: errors, colours, JSON.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/out.h"

#define TEXT_MAX 4096

int
out_error_retry(const struct cmd *c, FILE *err, int status, const char *name,
    bool retryable, const char *text)
{
	json_t *j;

	if (!c->json) {
		fprintf(err, "claw: %s\n", text);
		return status;
	}
	j = json_pack("{s:s, s:i, s:{s:s, s:s%, s:b}}", "schema",
	    "claw.error/1", "status", status, "error", "name", name, "message",
	    text, strlen(text), "retryable", retryable ? 1 : 0);
	if (j == NULL) /* not UTF-8: a file's name, most likely */
		j = json_pack("{s:s, s:i, s:{s:s, s:s, s:b}}", "schema",
		    "claw.error/1", "status", status, "error", "name", name,
		    "message", "an error that is not UTF-8; ask without --json",
		    "retryable", retryable ? 1 : 0);
	if (j != NULL) {
		(void)json_dumpf(j, err, JSON_COMPACT | JSON_SORT_KEYS);
		(void)fputc('\n', err);
	}
	json_decref(j);
	return status;
}

int
out_error(const struct cmd *c, FILE *err, int status, const char *name,
    const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return out_error_retry(c, err, status, name, false, text);
}

int
out_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return status == EX_OK ? EX_IOERR : status;
}

int
out_json(const struct cmd *c, json_t *object)
{
	char schema[64];
	int status = EX_IOERR;

	snprintf(schema, sizeof(schema), "claw.%s/1",
	    cmd_verb_def(c->verb)->name);
	if (object != NULL &&
	    json_object_set_new(object, "schema", json_string(schema)) == 0 &&
	    json_dumpf(object, stdout, JSON_COMPACT | JSON_SORT_KEYS) == 0 &&
	    fputc('\n', stdout) != EOF)
		status = out_finish(EX_OK);
	json_decref(object);
	return status;
}

static bool
has_color(const struct cmd *c, FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (c->color != COLOR_AUTO)
		return c->color == COLOR_ALWAYS;
	return (no == NULL || no[0] == '\0') && term != NULL &&
	    strcmp(term, "dumb") != 0 && isatty(fileno(out)) == 1;
}

const char *
out_on(const struct cmd *c, FILE *out, enum out_style style)
{
	static const char *const codes[] = {
		[OUT_PLAIN] = "",
		[OUT_BOLD] = "\033[1m",
		[OUT_GOOD] = "\033[32m",
		[OUT_WARN] = "\033[33m",
		[OUT_BAD] = "\033[31m",
		[OUT_DIM] = "\033[2m",
	};

	return has_color(c, out) ? codes[style] : "";
}

const char *
out_off(const struct cmd *c, FILE *out)
{
	return has_color(c, out) ? "\033[0m" : "";
}
