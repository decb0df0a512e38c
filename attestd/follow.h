/* SPDX-License-Identifier: ISC */
/*
 * follow.h - what keyd knows of the registry, by what is signed alone.
 *
 * attestd brings updates and this node's rotations; each is held against its
 * place in the chain and the authorities in force, as the engine does
 * (common/registry.h). What is kept of them is how far the chain has come, who
 * the authorities are, and what it says of this node; of other nodes, binaries
 * and developers nothing is known here.
 *
 *	it follows	the head; or the last update that decided something:
 *			the `fresh` ones that came after that give way
 *	it goes back	never, but for a `resolve`. Then attestd brings the
 *			chain again from the genesis on, which is kept aside
 *			until it contains where we are, or a `resolve` that
 *			names a head on which we stood, signed by enough of
 *			those who are the authorities here now
 *
 * Nothing is allocated.
 */
#ifndef CLAW_ATTESTD_FOLLOW_H
#define CLAW_ATTESTD_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/regupdate.h"

#define FOLLOW_BYTES_MAX 4096 /* of what is kept */
#define FOLLOW_STOOD 16	      /* heads that a `resolve` may name */
#define FOLLOW_ERAS 8	      /* sets of authorities, for a `resolve` */

/* What the registry says of this node. */
struct follow_self {
	bool there; /* named, and not revoked; else all of it is 0 */
	bool has_next;
	registry_key identity, previous; /* previous: 0 if there is none */
	registry_hash next;
	uint64_t capabilities;
	uint64_t ksn, anchored_ksn;
	uint64_t top_ksn;	/* the highest that it ever had */
	registry_hash rotation; /* what the next rotation's prev must be */
};

struct follow_state {
	bool begun; /* there is a genesis */
	uint64_t seq;
	registry_hash head;
	uint64_t base_seq; /* of the last update that decided something */
	registry_hash base;
	registry_hash stood[FOLLOW_STOOD]; /* since the last `resolve` */
	uint32_t stood_n;		   /* how many there ever were */
	struct {
		uint64_t seq; /* from then on */
		struct registry_set set;
	} era[FOLLOW_ERAS]; /* the last one is in force */
	uint32_t eras;
	struct follow_self self;
};

struct follow {
	char name[REGISTRY_NAME_SIZE];
	registry_hash genesis;
	struct follow_state now;
	bool walking; /* from the genesis on, again */
	struct follow_state again;
};

/* A node of that name, in the registry that this genesis pins. */
void
follow_begin(struct follow *, const char *name, const registry_hash genesis);

/*
 * One update, the next one of the chain. NULL: taken. Else why not, nothing
 * has changed, and a walk that was under way has ended.
 */
const char *follow_update(struct follow *, const struct registry_update *,
    const struct registry_signature *sigs, size_t n);
/* The next rotation of this node's keys; another node's is none. */
const char *follow_rotation(struct follow *, const struct registry_rotation *,
    const struct registry_signature sigs[2], size_t n);

/*
 * Whether that is the place of this node's next rotation: before it is signed,
 * so that there are no two with one number.
 */
bool follow_rotation_place(const struct follow *, uint64_t ksn,
    const registry_hash prev);

/* Updates come from the genesis on, again. */
void follow_walk(struct follow *);
/* There are no more. NULL, or why a walk that was under way led nowhere. */
const char *follow_end(struct follow *);

/* Where the next update is to follow: of a walk, while there is one. */
const struct follow_state *follow_where(const struct follow *);

/* What the node with this identity key may do; 0 where it is not ours. */
uint64_t follow_capabilities(const struct follow *, const registry_key);

/*
 * What is kept over a restart, FOLLOW_BYTES_MAX bytes at most: its length, or
 * -ENOSPC. get: 0; -EBADMSG, and nothing is known: damaged, of another form,
 * another node or another registry.
 */
ssize_t follow_put(const struct follow *, void *out, size_t size);
int follow_get(struct follow *, const void *data, size_t len);

#endif
