/* SPDX-License-Identifier: ISC */
/*
 * lastsigned.h - the last checkpoint that keyd has signed, and what it will
 * not sign after it.
 *
 * The rules by which no log can have two histories: shards only advance, a
 * shard only grows, and what it grows into has in it what was signed before.
 * Nothing here signs, sends or asks the time.
 */
#ifndef CLAW_ATTESTD_LASTSIGNED_H
#define CLAW_ATTESTD_LASTSIGNED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"

/* Shards begun in one life: a month is one, a log that was rolled back
 * another; and parts of a month that may be left out at a time. */
#define LASTSIGNED_SHARDS_MAX 64
#define LASTSIGNED_STEP 1000

struct lastsigned {
	uint64_t order; /* of its shard (shardname_parse()); 0: none is known */
	uint64_t size;	/* 0: none was signed for that shard */
	uint8_t root[32];
	bool open; /* the log key of that shard is with us */
	unsigned int begun;
};

/* What clawd has kept. False: that is no shard's name. */
bool
lastsigned_known(struct lastsigned *l, const struct msg_CHECKPOINT_KNOWN *);

/*
 * Why no key may be made for a new shard at this time (UTC, seconds); NULL if
 * one may: then *order is for lastsigned_begin().
 */
const char *lastsigned_begin_refused(const struct lastsigned *l,
    const char *shard, int64_t time_s, uint64_t *order);
void lastsigned_begin(struct lastsigned *l, uint64_t order);

/* The same for the key of a shard that there was. */
const char *lastsigned_open_refused(const struct lastsigned *l,
    const char *shard, uint64_t *order);
void lastsigned_open(struct lastsigned *l, uint64_t order);

/* False: that shard is not open. */
bool lastsigned_close(struct lastsigned *l, const char *shard);

/* Why a checkpoint may not be signed; NULL if it may. */
const char *lastsigned_sign_refused(const struct lastsigned *l,
    const struct msg_CHECKPOINT_SIGN *want);

/* The open shard has this checkpoint with our signature. */
void
lastsigned_put(struct lastsigned *l, uint64_t size, const uint8_t root[32]);

#endif
