/* SPDX-License-Identifier: ISC */
/*
 * b3tree.h - BLAKE3 of a file whose chunks are hashed apart.
 *
 * BLAKE3 is a binary tree over leaves of 1024 bytes. A chunk of 2^log bytes
 * that lies at a multiple of its size is one subtree of it, and so is the
 * shorter chunk at the file's end. Its chaining value depends on where it lies
 * and on nothing around it: chunks are hashed in any order, by anyone, and
 * their values fold to what b3sum prints for the file.
 *
 * A file of at most one chunk has no chaining values: its chunk is the root,
 * and is hashed as one.
 */
#ifndef COMMON_B3TREE_H
#define COMMON_B3TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <blake3.h>

#define B3TREE_LEN 32
/* What the tree allows here: from one leaf to 32 MiB. */
#define B3TREE_LOG_LEAST 10
#define B3TREE_LOG_MOST 25
/* Slower below: the vector code hashes 16 leaves at once. */
#define B3TREE_PIECE (64 * 1024)

/* A chaining value or a root; the type does not tell, the caller knows. */
typedef uint8_t b3tree_value[B3TREE_LEN];

/* A chunk that is being hashed. Its fields are this room's. */
struct b3tree {
	blake3_hasher hasher;
	uint64_t left; /* bytes until the chunk is full */
	uint64_t index;
	unsigned int log;
};

/*
 * Prove that the library hashes as it must and that its hasher is built as
 * this room relies on. Call it at start, before there are threads. 0, or
 * -ENOTSUP: nothing here may be used, and *why says what is wrong.
 */
int b3tree_selftest(const char **why);

/* How many chunks a file of size bytes has; the last may be short. */
uint64_t b3tree_chunks(uint64_t size, unsigned int log);

/*
 * Begin chunk number index of a file that is cut into chunks of 2^log bytes.
 * -EINVAL: log out of range, or the chunk would lie beyond 2^63 - 1.
 */
int b3tree_begin(struct b3tree *, unsigned int log, uint64_t index);
/*
 * Take the chunk's next bytes, in pieces of B3TREE_PIECE or more where speed
 * matters. -EFBIG: more than the chunk holds; nothing was taken.
 */
int b3tree_update(struct b3tree *, const void *data, size_t len);
/*
 * The chunk's chaining value. -EINVAL where it has none: no bytes, or chunk 0
 * ends early, which makes it the whole file.
 */
int b3tree_end(const struct b3tree *, b3tree_value out);
/* The root of a file that is chunk 0 and no more. -EINVAL for another. */
int b3tree_end_file(const struct b3tree *, b3tree_value root);

/*
 * Fold n chaining values of neighbouring chunks to that of the chunk of twice,
 * four times ... the size which they fill, or fill up to the file's end. The
 * first must be the larger chunk's first. out may be one of value. -EINVAL if
 * n is 0.
 */
int b3tree_fold(const b3tree_value *value, uint64_t n, b3tree_value out);
/*
 * Fold the values of all chunks of a file to its root. Of no values that is
 * the root of the empty file; -EINVAL for one (see above).
 */
int b3tree_root(const b3tree_value *value, uint64_t n, b3tree_value root);

#endif /* COMMON_B3TREE_H */
