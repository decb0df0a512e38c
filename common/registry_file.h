/* SPDX-License-Identifier: ISC */
/*
 * registry_file.h - the registry's files, below one directory.
 *
 *	registry.ndjson		the chain
 *	rotations.ndjson	rotations, in the order of their arrival
 *	branches.ndjson		lines of other branches, while there are any
 *	registry.floor		how far we have been
 *
 * Reading needs no more than a directory that can be read. Writing appends
 * and syncs, or replaces a file as a whole (temporary name, sync, rename, sync
 * of the directory).
 */
#ifndef CLAW_COMMON_REGISTRY_FILE_H
#define CLAW_COMMON_REGISTRY_FILE_H

#include "common/registry.h"

#define REGISTRY_FILE_TEXT 192

struct registry_file {
	int dirfd;
	bool writable;
	bool torn; /* the end of a line was missing; nothing of it was read */
	/* What the files hold. */
	uint64_t lines, bytes;
	registry_hash head;
	size_t rotations;
	uint64_t rotation_bytes;
	registry_hash branches; /* of all lines, all 0: no file */
	/* The floor, as it is written. */
	bool floor;
	uint64_t floor_seq, floor_rotations;
	registry_hash floor_head, floor_hash;
	char error[REGISTRY_FILE_TEXT];
};

/*
 * Read all files below dirfd (which stays the caller's) into an empty
 * registry. NULL, or what is wrong and what to do about it: a text in
 * f->error. With writable, torn tails are cut and a missing or older floor is
 * written.
 */
const char *registry_file_load(struct registry_file *f, int dirfd,
    bool writable, struct registry *);

/*
 * Write what the registry has and the files have not; durable when it returns.
 * NULL, or what failed (f->error). The files then hold what they held, or a
 * part of it that loads; calling again continues.
 */
const char *registry_file_sync(struct registry_file *f, struct registry *);

#endif
