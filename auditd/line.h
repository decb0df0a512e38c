/* SPDX-License-Identifier: ISC */
/*
 * line.h - one line of the audit log: the only writer, and the strict reader.
 *
 * {"act":{..},"asig":[..],"env":{"boot":..,"mono":..,"n":..,"prev":..,
 * "ts":..}} in canonical form (RFC 8785), flat attributes only; claw-audit(5)
 * is the definition.
 */
#ifndef AUDITD_LINE_H
#define AUDITD_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/merkle.h"

#define LINE_BYTES_MAX 16384u /* without the newline */
#define LINE_NAME_MAX 64u     /* attribute name, [a-z][a-z0-9_]* */
#define LINE_ATTRS_MAX 64u
#define LINE_SIGS_MAX 16u
#define LINE_KID_MAX 255u /* bytes of "kid" */
#define LINE_ROLE_MAX 32u /* bytes of "role" */
#define LINE_SIG_MAX 128u /* bytes of a signature */
#define LINE_INT_MAX ((UINT64_C(1) << 53) - 1)
#define LINE_BOOT_LEN 36u
#define LINE_CLOCK_RESET "clock.reset" /* event: times before do not count */
#define LINE_TS_LEN 24u		       /* 2026-11-21T11:00:00.000Z */

enum line_type {
	LINE_TEXT, /* data, len: bytes from anywhere; shown safely */
	LINE_U64,  /* u64, at most LINE_INT_MAX */
	LINE_HEX,  /* data, len: bytes, written as lower-case hex */
	LINE_B64   /* data, len: bytes, written as base64 */
};

struct line_attr {
	const char *name;
	enum line_type type;
	uint64_t u64;
	const void *data;
	size_t len;
};

struct line_sig {
	const char *kid;
	const char *role;
	const uint8_t *sig;
	size_t sig_len;
};

struct line_env {
	char boot[LINE_BOOT_LEN + 1]; /* boot id, lower-case UUID */
	uint64_t mono_ms;	      /* CLOCK_BOOTTIME */
	uint64_t n;		      /* index of the line in its shard */
	merkle_hash prev; /* leaf hash of line n-1; zeros if n = 0 */
	int64_t ts_ms;	  /* UTC, milliseconds since 1970 */
};

/*
 * Write a line (no newline, no NUL) into buf.  Attributes come sorted by name,
 * without duplicates.  Text: valid UTF-8 stays; control characters (C0, DEL,
 * C1) and bytes that are not UTF-8 become \xNN, and so does the backslash of a
 * literal "\x", so that \xNN in a line always stands for a byte.
 * Length; -EINVAL: unsorted, bad name, number or env; -EMSGSIZE: longer than
 * size or LINE_BYTES_MAX.
 */
ssize_t line_write(char *buf, size_t size, const struct line_attr *, size_t,
    const struct line_sig *, size_t, const struct line_env *);

/* A checked line; pointers into the caller's buffer. */
struct line_view {
	struct line_env env;
	const char *act; /* the object with its braces */
	size_t act_len;
	const char *asig; /* the array with its brackets */
	size_t asig_len;
	bool is_intent;	 /* "phase":"intent" */
	bool has_intent; /* "intent":<n>: this is the outcome of line n */
	uint64_t intent;
};

/*
 * Check a line (without newline) against the whole grammar in one pass and
 * take it apart.  Whatever this accepts is canonical.  0 or -EBADMSG.
 */
int line_parse(const char *, size_t len, struct line_view *);

/*
 * Attribute of a parsed line by name.  Text comes unescaped from JSON (\xNN
 * stays as it is) with a NUL: length; -ENOENT; -EINVAL: other type; -ENOSPC.
 */
ssize_t
line_text(const struct line_view *, const char *name, char *buf, size_t size);
/*
 * The bytes that text was written from: \xNN is undone too, so they may
 * contain anything.  Otherwise like line_text(); ends with a NUL as well.
 */
ssize_t
line_bytes(const struct line_view *, const char *name, char *buf, size_t size);
int line_u64(const struct line_view *, const char *name, uint64_t *);
/*
 * Walk the attributes: *off starts at 0.  1 and the name and raw JSON value, 0
 * at the end.
 */
int line_next(const struct line_view *, size_t *off, const char **name,
    size_t *name_len, const char **value, size_t *value_len);

/* 2026-11-21T11:00:00.000Z; years 1970 to 9999.  0 or -EINVAL. */
int line_ts_format(int64_t ms, char out[LINE_TS_LEN + 1]);
int line_ts_parse(const char *, size_t len, int64_t *ms);

#endif /* AUDITD_LINE_H */
