/* SPDX-License-Identifier: ISC */
/*
 * unpack.h - a bundle's entries made below a directory, or taken away again.
 */
#ifndef CLAW_UNPACKD_UNPACK_H
#define CLAW_UNPACKD_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bundle.h"

#define UNPACK_WHY_SIZE 256

struct unpack {
	struct bundle_reader reader;
	bool remove;
	uint64_t room;
	int file; /* that is being written, or -1 */
	/* The folders that lead to the last entry; the first is the one that
	 * all are below, and stays the caller's. */
	struct unpack_folder {
		int fd;
		uint64_t mtime_ns;
		uint16_t name_at; /* its last part, in path */
		uint16_t end;	  /* of its name, in path */
	} folder[SFTNAME_DEPTH_MAX + 1];
	unsigned int depth;
	uint8_t path[SFTNAME_MAX + 1];
	char why[UNPACK_WHY_SIZE]; /* after an error */
};

/*
 * dir: may be O_PATH; stays the caller's.  What a run before has left there,
 * of the same bundle, is replaced.  room: bytes that it may take of the disk.
 */
void unpack_init(struct unpack *, int dir, bool remove, uint64_t room);

/*
 * The next bytes of the bundle.  0; -EBADMSG: it is no bundle; or the errno of
 * what could not be done.
 */
int unpack_feed(struct unpack *, const uint8_t *, size_t);

/*
 * The bundle is at its end, or what is to be removed goes no further: folders
 * get their times, or are removed.  0 or as above.
 */
int unpack_end(struct unpack *);

/* Descriptors that are open. */
void unpack_close(struct unpack *);

#endif
