/* SPDX-License-Identifier: ISC */
/*
 * conftext.h - the text of a configuration file, its lines and places, and
 * errors that point at them. For the rooms that read and edit claw.yaml; what
 * the rest of the house needs of errors is in conf.h.
 */
#ifndef CLAW_COMMON_CONFTEXT_H
#define CLAW_COMMON_CONFTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"

/* Borrows the bytes; owns the line table. */
struct conftext {
	const char *buf;
	size_t len;
	size_t *line_at; /* offset of each line's first byte */
	unsigned int n_lines;
};

/* 0 or -ENOMEM. Lines end in \n; there is always at least one. */
int conftext_open(struct conftext *, const char *buf, size_t len);
void conftext_close(struct conftext *);

/* Byte offset of a column (characters, from 1) in a line (from 1), held
 * inside that line. */
size_t conftext_offset(const struct conftext *, unsigned int line,
    unsigned int column);

/* The opposite. */
void conftext_place(const struct conftext *, size_t offset, unsigned int *line,
    unsigned int *column);

/* Offset just past the line's last byte, before its \n. */
size_t conftext_line_end(const struct conftext *, unsigned int line);

/*
 * The UTF-8 character at p: its length in bytes and its number in *c, or 0
 * where there is none that is well formed (RFC 3629).
 */
size_t conftext_char(const char *p, size_t len, uint32_t *c);

/* Whether a value may hold it: no control characters, no line or paragraph
 * separators, no byte order mark, nothing unassignable. */
bool conftext_is_clean(uint32_t c);

/*
 * Adds an error at a place, kept in the order of the file. t NULL or line 0:
 * no source line. What cannot be printed safely becomes "?".
 */
void conf_errors_add(struct conf_errors *, const struct conftext *t,
    unsigned int line, unsigned int column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* The same, but shows the source line only up to the given column: what
 * stands behind an unknown key may be anybody's secret. */
void conf_errors_add_until(struct conf_errors *, const struct conftext *t,
    unsigned int line, unsigned int column, unsigned int until, const char *fmt,
    ...) __attribute__((format(printf, 6, 7)));

/* An error of a variable; the message begins with its name. */
void conf_errors_add_env(struct conf_errors *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether anything was added. */
bool conf_errors_any(const struct conf_errors *);

#endif
