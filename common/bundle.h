/* SPDX-License-Identifier: ISC */
/*
 * bundle.h - a folder as one file, so that it can be sent, resumed, sealed
 * and receipted as one.
 *
 * The layout is in claw-protocol(7): a head, then entries, each followed by
 * its bytes.  The same folder gives the same bytes: names are in one order,
 * and of the mode only goes in whether a file may be run.  What a reader is
 * given may come from a peer; it takes pieces of any length, holds one name
 * and one link at a time, and allocates nothing.
 */
#ifndef CLAW_COMMON_BUNDLE_H
#define CLAW_COMMON_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/sftname.h"

#define BUNDLE_HEAD_LEN 24	   /* magic, entries, bytes of files */
#define BUNDLE_ENTRY_LEN 20	   /* without its name */
#define BUNDLE_LINK_MAX 1023	   /* bytes of a link's target */
#define BUNDLE_ENTRIES_MAX 1000000 /* of a bundle */

enum bundle_type { BUNDLE_FILE = 1, BUNDLE_FOLDER = 2, BUNDLE_LINK = 3 };

struct bundle_entry {
	enum bundle_type type;
	bool runs;	   /* a file that its owner may run */
	uint64_t mtime_ns; /* since 1970, at most INT64_MAX; of a link 0 */
	uint64_t size;	   /* of the file or of the target; of a folder 0 */
	uint16_t name_len;
	uint8_t name[SFTNAME_MAX + 1]; /* sftname_check(); a NUL at its end */
};

/*
 * The order of a bundle: parts of names are compared one after the other, as
 * bytes, a folder is before what is in it.  <0, 0, >0.
 */
int
bundle_order(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

/*
 * Whether a link of this name, in a bundle, may lead there: it is relative,
 * goes up only at its beginning, and not above the bundle's folder.  Followed
 * through any number of links of this kind, one stays below that folder.
 */
bool bundle_link_ok(const uint8_t *name, size_t name_len, const uint8_t *target,
    size_t len);

/* --- to write ----------------------------------------------------------- */

/* A head, when all entries are known; 0, or -EINVAL: they are too many. */
int bundle_head(uint64_t entries, uint64_t bytes, uint8_t out[BUNDLE_HEAD_LEN]);

/*
 * An entry, without the bytes that follow it.  Its length, or -EINVAL for what
 * a reader would not take for itself alone (order and place are the caller's),
 * or -ENOSPC.
 */
ssize_t bundle_entry(const struct bundle_entry *, uint8_t *out, size_t size);

/* --- to read ------------------------------------------------------------ */

enum bundle_event {
	BUNDLE_MORE,  /* the input is used up, and the bundle is not at its
			 end */
	BUNDLE_ENTRY, /* the reader's entry (and target) */
	BUNDLE_BYTES, /* some of the last entry's, which is a file */
	BUNDLE_DONE   /* all was read, and the input is at its end */
};

struct bundle_reader {
	/* After BUNDLE_ENTRY; the target of a link has entry.size bytes. */
	struct bundle_entry entry;
	uint8_t target[BUNDLE_LINK_MAX + 1]; /* a NUL at its end */
	uint64_t entries;		     /* that there are to be */
	uint64_t bytes;			     /* of all files */
	const char *why;		     /* after -EBADMSG */

	/* The reader's own. */
	int state;
	uint64_t entries_left, bytes_left, left;
	uint16_t path_len; /* of the last entry */
	bool path_is_folder;
	uint8_t path[SFTNAME_MAX];
	size_t have, need;
	uint8_t part[BUNDLE_ENTRY_LEN + SFTNAME_MAX];
};

void bundle_reader_init(struct bundle_reader *);

/*
 * Goes on with the input, of which *in and *len say what is left, to the next
 * event.  For BUNDLE_BYTES *bytes and *n are within the input.  -EBADMSG: it
 * is no bundle, or something is behind its end; r->why says why.
 */
int bundle_next(struct bundle_reader *, const uint8_t **in, size_t *len,
    const uint8_t **bytes, size_t *n);

/* Whether all was read, and nothing is missing. */
bool bundle_complete(const struct bundle_reader *);

#endif
