/* SPDX-License-Identifier: ISC */
/*
 * lastsigned.c - the last checkpoint that keyd has signed, and what it will
 * not sign after it.
 *
 * What enters was asked for by auditd, which may have been taken over: fields
 * of a fixed width and one proof of bounded length. The state is the
 * caller's; so are the clock and the keys.
 */
#include <string.h>

#include "attestd/lastsigned.h"
#include "common/merkle.h"
#include "common/shardname.h"

bool
lastsigned_known(struct lastsigned *l, const struct msg_CHECKPOINT_KNOWN *known)
{
	if (!shardname_parse(known->shard, &l->order))
		return false;
	lastsigned_put(l, known->size, known->root);
	return true;
}

/*
 * Shards only advance, step by step, and never beyond the month that it is:
 * who takes auditd over cannot use up the names that are to come.
 */
const char *
lastsigned_begin_refused(const struct lastsigned *l, const char *shard,
    int64_t time_s, uint64_t *order)
{
	uint64_t first;

	if (!shardname_parse(shard, order))
		return "not the name of a shard";
	/* Once more the same, while nothing was signed for it: a crash. */
	if (*order < l->order || (*order == l->order && l->size > 0))
		return "a shard of that name or a later one was opened before";
	first = l->order / SHARDNAME_PARTS == *order / SHARDNAME_PARTS ?
	    l->order :
	    *order - *order % SHARDNAME_PARTS;
	if (l->order != 0 && *order > first + LASTSIGNED_STEP)
		return "too many parts of its month are left out";
	if (l->begun == LASTSIGNED_SHARDS_MAX)
		return "too many shards for one start of the node";
	if (*order >= shardname_order_at(time_s) + SHARDNAME_PARTS)
		return "that month has not begun by this machine's clock";
	return NULL;
}

void
lastsigned_begin(struct lastsigned *l, uint64_t order)
{
	l->begun++;
	l->open = true;
	l->order = order;
	l->size = 0;
	memset(l->root, 0, sizeof(l->root));
}

const char *
lastsigned_open_refused(const struct lastsigned *l, const char *shard,
    uint64_t *order)
{
	if (!shardname_parse(shard, order) || *order < l->order)
		return "older than the last shard signed for";
	return NULL;
}

void
lastsigned_open(struct lastsigned *l, uint64_t order)
{
	l->open = true;
	if (order > l->order) {
		l->order = order;
		l->size = 0;
	}
}

bool
lastsigned_close(struct lastsigned *l, const char *shard)
{
	uint64_t order;

	if (!shardname_parse(shard, &order) || !l->open || order != l->order)
		return false;
	l->open = false;
	return true;
}

const char *
lastsigned_sign_refused(const struct lastsigned *l,
    const struct msg_CHECKPOINT_SIGN *want)
{
	merkle_hash proof[MERKLE_PROOF_MAX];
	size_t count = want->proof_len / MERKLE_HASH_LEN;
	uint64_t order;

	if (!shardname_parse(want->shard, &order) || !l->open ||
	    order != l->order)
		return "that shard is not open";
	if (want->size == 0 || want->size < l->size)
		return "smaller than the last checkpoint";
	if (want->size > INT64_MAX)
		return "larger than a log can be";
	if (want->proof_len % MERKLE_HASH_LEN != 0 || count > MERKLE_PROOF_MAX)
		return "malformed proof";
	if (l->size == 0)
		return NULL;
	memcpy(proof, want->proof, want->proof_len);
	if (merkle_verify_consistency(l->size, l->root, want->size, want->root,
		(const merkle_hash *)proof, count) != 0)
		return "not consistent with the last checkpoint";
	return NULL;
}

void
lastsigned_put(struct lastsigned *l, uint64_t size, const uint8_t root[32])
{
	l->size = size;
	memcpy(l->root, root, sizeof(l->root));
}
