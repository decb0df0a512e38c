/* SPDX-License-Identifier: ISC */
/*
 * shard_int.h - what shard.c and shard_recover.c share, and nobody else.
 */
#ifndef AUDITD_SHARD_INT_H
#define AUDITD_SHARD_INT_H

#include "auditd/shard.h"
#include "common/tile.h"

struct shard {
	char name[SHARD_NAME_MAX];
	int dirfd;
	int log;
	bool readonly; /* damaged: nothing may be added */
	bool dead;     /* a write or sync failed: what is on disk is unknown */

	struct merkle tail; /* committed lines */
	uint64_t bytes;	    /* their bytes */
	merkle_hash prev;   /* leaf hash of the last committed line */
	uint64_t alloc_end; /* blocks are allocated up to here */
	uint64_t reserve;   /* what shard_reserve() was asked to keep */

	char *buf; /* lines that wait for a commit */
	size_t buf_len;
	size_t buf_cap;
	size_t pending;
	merkle_hash pending_prev;

	bool has_checkpoint;
	struct merkle base;  /* frontier at the published checkpoint */
	uint64_t base_bytes; /* offset behind its last line */
	merkle_hash *leaf;   /* leaf hashes since, committed and pending */
	size_t nleaf;
	size_t leaf_cap;
	struct tile_grow grow; /* tiles at base */
	struct tile_grow work; /* the same while publishing */
};

/* Room for one more leaf hash: 0 or -ENOMEM. */
int shard_leaf_add(struct shard *, const merkle_hash);
/*
 * Grow tiles from g (at byte *off of the log) to `size`; every full tile is
 * emitted.
 */
int shard_grow(const struct shard *, struct tile_grow *g, uint64_t *off,
    uint64_t size, tile_emit_fn *, void *arg);
int shard_recover(struct shard *, struct shard_report *);

#endif /* AUDITD_SHARD_INT_H */
