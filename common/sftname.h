/* SPDX-License-Identifier: ISC */
/*
 * sftname.h - names of files that a peer proposes.
 *
 * A name is relative, UTF-8, with '/' between its parts.  It is refused rather
 * than mended: two ends have to mean the same file by the same bytes, so
 * nothing is normalized, cut or replaced.
 */
#ifndef CLAW_COMMON_SFTNAME_H
#define CLAW_COMMON_SFTNAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SFTNAME_MAX 1024     /* bytes */
#define SFTNAME_PART_MAX 255 /* bytes between two slashes */
#define SFTNAME_DEPTH_MAX 32 /* parts */
/* Of any name, shown, with its NUL. */
#define SFTNAME_SHOWN_SIZE (4 * SFTNAME_MAX + 1)

enum sftname_verdict {
	SFTNAME_OK,
	SFTNAME_EMPTY,
	SFTNAME_LONG,	   /* more than SFTNAME_MAX */
	SFTNAME_ABSOLUTE,  /* begins with '/' */
	SFTNAME_PART_NONE, /* "//", or '/' at the end */
	SFTNAME_DOTS,	   /* a part is "." or ".." */
	SFTNAME_PART_LONG, /* more than SFTNAME_PART_MAX */
	SFTNAME_DEEP,	   /* more than SFTNAME_DEPTH_MAX */
	SFTNAME_UTF8,	   /* not UTF-8 */
	SFTNAME_CONTROL,   /* NUL, a control character, a line's end */
	SFTNAME_INVISIBLE, /* changes the direction of text, or is not seen */
	SFTNAME_SPACE,	   /* a part begins or ends with white space */
	SFTNAME_VERDICTS
};

/*
 * Whether a file may be called this, below a folder that is the peer's.
 * Allowed on purpose: a leading '.', '-' or '~', a backslash, quotes, U+200C
 * and U+200D, without which some languages cannot be written.
 */
enum sftname_verdict sftname_check(const uint8_t *name, size_t len);

/* A verdict in words: "the name has a part that is . or ..". */
const char *sftname_why(enum sftname_verdict);

/*
 * Any bytes, for a terminal or a log: characters that sftname_check() lets
 * pass as they are, the bytes of everything else as \xNN, a backslash twice.
 * What does not fit is cut at a character and ends with "..."; always ends
 * with a NUL (size >= 4).  Returns its length.
 */
size_t sftname_show(const uint8_t *name, size_t len, char *out, size_t size);

#endif
