/* SPDX-License-Identifier: ISC */
/*
 * out.h - what a person or a program sees of claw: errors, colours, JSON.
 */
#ifndef CLAW_CLAW_OUT_H
#define CLAW_CLAW_OUT_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "claw/cmd.h"

/*
 * Says what is wrong and what to do: "claw: ..." or, under --json, one line
 * {"schema":"claw.error/1",...}. Returns the exit status that it was given.
 */
int out_error(const struct cmd *c, FILE *err, int status, const char *name,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The same with what an API error says of itself. */
int out_error_retry(const struct cmd *c, FILE *err, int status,
    const char *name, bool retryable, const char *text);

/*
 * Prints one line of JSON with "schema":"claw.<verb>/1" added; takes the
 * object over. The exit status.
 */
int out_json(const struct cmd *c, json_t *object);

/* Flushes stdout: status, or 74 if what was printed did not arrive. */
int out_finish(int status);

enum out_style { OUT_PLAIN, OUT_BOLD, OUT_GOOD, OUT_WARN, OUT_BAD, OUT_DIM };

/* Escape sequences, or "" where there is no colour. */
const char *out_on(const struct cmd *c, FILE *out, enum out_style style);
const char *out_off(const struct cmd *c, FILE *out);

#endif
