/* SPDX-License-Identifier: ISC */
/*
 * commit.h - the end of a file that is taken: from the last chunk to its name.
 *
 *	0 (a folder)	it has been unpacked and is durable: tree.h
 *	1 begin		size; mode and time; fsync; finish says what is to be
 *			done, and with which inode
 *	2 place		folders below files/<peer>/; renamed there; all folders
 *			synced; finish says that it is done
 *	3 receipt	keyd's, kept in receipts/ and beside the finish
 *
 * Each may be repeated from its beginning after a crash anywhere in it. Up to
 * the record of step 1 the file is not complete, from there on it will have
 * its name, and a receipt is signed only after step 2.
 */
#ifndef CLAW_SFTD_COMMIT_H
#define CLAW_SFTD_COMMIT_H

#include "sftd/partial.h"

struct finish {
	uint8_t root[32];
	uint64_t inode; /* of the file, or of the tree */
	bool placed;
};

/* 0; -EFBIG: it has not the size that was offered; or -errno. */
int commit_begin(const struct partial *p, const uint8_t root[32]);
/*
 * 0; -EEXIST: something has that name and was not to be replaced; -ESTALE: it
 * is not what commit_begin() saw, but was put back from a copy; -ELOOP or
 * -ENOTDIR: the way leads through what is no folder; or -errno. After an error
 * commit_undo() makes it an incomplete one again.
 */
int commit_place(const struct partial *p);
int commit_undo(const struct partial *p);
int commit_receipt(const struct partial *p, const uint8_t *receipt, size_t len);

/* What finish says. 0, -ENOENT: not begun; or -errno. */
int commit_state(const struct partial *p, struct finish *f);
/* The receipt that was kept: its length, -ENOENT, or -errno. */
ssize_t commit_answer(const struct partial *p, uint8_t *out, size_t size);

/*
 * What was placed, for reading, if it is still what was placed. A descriptor,
 * -ENOENT, or -errno.
 */
int commit_placed(const struct partial *p, const struct finish *f);

/*
 * Another file of the same size under its name, for reading: maybe the same
 * one, put back from a copy. A descriptor, -ENOENT, or -errno.
 */
int commit_instead(const struct partial *p);
/* Its contents are those that were placed: so it counts as placed, with the
 * time that it was offered with. 0 or -errno. */
int commit_adopt(const struct partial *p);

/*
 * What is under a name in a folder below files/: 0 nothing, S_IFREG, S_IFDIR
 * and so on; -ELOOP or -ENOTDIR: the way leads through what is no folder; or
 * -errno.
 */
int commit_there(const char *into, const uint8_t *name, size_t len);

#endif
