/* SPDX-License-Identifier: ISC */
/*
 * registry_int.h - what the files of the registry's engine share.
 *
 * registry_parse.c	lines into structs; their one form
 * registry_state.c	what an update does to the state
 * registry_sign.c	whose signatures an update needs that follows a state
 * registry_votes.c	who signed, and whether that is enough (keyd's, too)
 * registry_rotate.c	a node's own rotations
 * registry_fork.c	branches, forks, `resolve`
 * registry.c		the chain, and what others ask
 */
#ifndef CLAW_COMMON_REGISTRY_INT_H
#define CLAW_COMMON_REGISTRY_INT_H

#include "common/registry.h"

/* A line, taken apart. */
struct reg_parsed {
	struct registry_update u;
	registry_hash hash;
	size_t n;
	struct registry_signature sig[REGISTRY_SIGS_MAX];
};

struct reg_turn_parsed {
	struct registry_rotation r;
	registry_hash hash;
	size_t n;
	struct registry_signature sig[2];
};

/* NULL, or what is wrong. */
const char *reg_parse(const char *line, size_t len, struct reg_parsed *);
const char *
reg_parse_turn(const char *line, size_t len, struct reg_turn_parsed *);

/* --- state --------------------------------------------------------------- */

/* A rotation that the chain does not hold yet. */
struct reg_turn {
	uint64_t ksn;
	registry_hash hash;
	registry_hash prev;
	registry_hash next;    /* what was committed to before it */
	registry_key identity; /* the key before it */
};

struct reg_node {
	struct registry_node n;
	struct reg_turn *turn;
	size_t turns, turns_cap;
};

/* A key that somebody has or had. */
struct reg_held {
	registry_key key;
	uint64_t owner; /* number of the update that added its owner */
	bool revoked;
	bool on_chain; /* not known by a rotation alone */
};

/* From `seq` on these are the authorities. */
struct reg_era {
	uint64_t seq, time_s;
	struct registry_set set;
};

/* Branches that leave at a number from common on, before seq, are over. */
struct reg_settled {
	uint64_t common, seq;
};

struct reg_state {
	bool empty;
	uint64_t seq;
	registry_hash head;
	struct registry_windows windows;
	uint64_t stated[REGISTRY_AUTHORITIES_MAX]; /* last time, by authority */
	struct reg_node **node;			   /* by name */
	size_t nodes, nodes_cap, nodes_live;
	struct registry_binary **binary; /* by name, version, hash */
	size_t binaries, binaries_cap, binaries_live;
	struct registry_developer **developer; /* by name */
	size_t developers, developers_cap, developers_live;
	struct reg_held *held; /* by key */
	size_t helds, helds_cap;
	struct reg_era *era; /* by seq; the last one is in force */
	size_t eras, eras_cap;
	struct reg_settled *settled;
	size_t settleds, settleds_cap;
	/* Made by reg_state_reserve(). */
	struct reg_node *new_node;
	struct registry_binary *new_binary;
	struct registry_developer *new_developer;
};

struct reg_state *reg_state_new(void);
void reg_state_free(struct reg_state *);

/* The authorities in force, and those after the update with that number. */
const struct registry_set *reg_set(const struct reg_state *);
const struct registry_set *reg_set_at(const struct reg_state *, uint64_t seq);
/* See registry_time(). */
uint64_t reg_time(const struct reg_state *);
/* No branch may leave before this number, which is not above limit: see
 * claw-registry(5), Forks. */
uint64_t reg_final(const struct reg_state *, uint64_t limit);
bool reg_is_settled(const struct reg_state *, uint64_t parent);

struct reg_node *reg_node(const struct reg_state *, const char *name);
struct reg_held *reg_held(const struct reg_state *, const registry_key);
struct registry_binary *
reg_binary(const struct reg_state *, const registry_hash);
struct registry_developer *
reg_developer(const struct reg_state *, const char *name);

/* Whether the update fits the state; place and signatures are not looked at. */
const char *
reg_state_check(const struct reg_state *, const struct registry_update *);
/* Make room, so that reg_state_apply() cannot fail. 0 or -ENOMEM. */
int reg_state_reserve(struct reg_state *, const struct registry_update *);
/* Apply what was checked and reserved for. */
void reg_state_apply(struct reg_state *, const struct reg_parsed *);
/* A revocation alone, if what it revokes is there. */
void reg_state_revoke(struct reg_state *, const struct registry_update *);
/* Remember a key, or that it is on the chain now; there is room. */
void reg_held_add(struct reg_state *, const registry_key, uint64_t owner,
    bool on_chain);

int reg_grow(void *array, size_t *cap, size_t n, size_t each);

/* --- signatures ---------------------------------------------------------- */

struct reg_votes {
	uint32_t have, need;	     /* of those that must sign */
	uint32_t have_new, need_new; /* of the new set, or of today's */
	bool fresh;		     /* by a key for fresh */
};

/*
 * Verify every signature. set: the authorities before the update. other: for
 * `authorities` the new set, for `resolve` today's if it must sign too, else
 * NULL. NULL, or what is wrong; too few signatures are not.
 */
const char *reg_votes(const struct reg_parsed *, const struct registry_set *set,
    const struct registry_set *other, struct reg_votes *);
bool reg_enough(const struct registry_update *, const struct reg_votes *);
/* How many of the signers are in this set; nothing is verified. */
uint32_t reg_members(const struct reg_parsed *, const struct registry_set *set);
/* A rotation: signed by the key that it reveals, and by the old one if it
 * signed at all. NULL, or what is wrong. */
const char *
reg_turn_signers(const struct reg_turn_parsed *, const registry_key old);
/* Whether a key is the one that was committed to. */
bool reg_committed(const registry_key, const registry_hash next);
/* Verify and count for an update that follows this state. */
const char *reg_count(const struct reg_parsed *, const struct reg_state *,
    struct reg_votes *);
/* NULL: enough have signed. */
const char *reg_too_few(struct registry *, const struct registry_update *,
    const struct reg_votes *);

/* --- chain --------------------------------------------------------------- */

struct reg_line {
	char *text;
	size_t len;
	uint64_t seq, time_s;
	registry_hash hash, prev;
	bool decides;		  /* not `fresh` */
	struct registry_set *set; /* of an `authorities` */
	/* Of a `fresh`: what the authorities had stated before it. */
	uint64_t *stated;
};

struct reg_lines {
	struct reg_line **line;
	size_t n, cap;
};

struct reg_line *
reg_line_new(const char *line, size_t len, const struct reg_parsed *);
void reg_line_free(struct reg_line *);
void reg_lines_free(struct reg_lines *);
int reg_lines_reserve(struct reg_lines *, size_t more);

/* Lines that follow the chain's line number `parent`, but are not its. */
struct reg_branch {
	uint64_t parent;
	bool decides;
	struct reg_lines lines;
};

struct registry {
	registry_hash pin;
	struct reg_lines lines; /* the chain; index is the number */
	struct reg_state *state;
	struct reg_lines turns; /* rotations, as they came */
	struct reg_branch branch[REGISTRY_BRANCHES_MAX];
	size_t branches;
	uint64_t max_time;  /* of all lines of the chain */
	uint64_t spare[32]; /* times of `fresh` updates that gave way */
	size_t spares;
	bool forked;
	uint64_t common;
	struct reg_state *common_state;
	char why[160];
};

/* The state in force. */
const struct reg_state *reg_now(const struct registry *);
/* A reason with numbers or names in it. */
const char *reg_why(struct registry *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * A new state: the first n lines of the chain, then `more` (may be NULL), which
 * are checked in full, then all rotations. NULL: *why.
 */
struct reg_state *reg_replay(struct registry *, size_t n,
    const struct reg_lines *more, const char **why);
/* Check all of it and append it to the chain. 0, -EBADMSG, -ENOMEM. */
int reg_append(struct registry *, const char *line, size_t len,
    const struct reg_parsed *, const char **why);
/* Take the last lines away, all of them `fresh`, down to number seq. */
void reg_pop(struct registry *, uint64_t seq);
void reg_max_time(struct registry *);
/* Apply a rotation to a state. */
enum registry_turn
reg_turn(struct reg_state *, const struct reg_turn_parsed *, const char **why);
/* A rotation that was accepted before, from our own file. */
const char *reg_turn_kept(struct registry *, const char *line, size_t len);
/* The last number of the chain that decides something. */
uint64_t reg_last_decision(const struct registry *);
/* After the chain or the branches changed: is there a fork, where, what then?
 */
void reg_fork_update(struct registry *);
/* After the chain became longer. */
void reg_appended(struct registry *, const struct reg_parsed *);
/* See registry_signed() and registry_propose(). */
const char *reg_count_proposal(const struct registry *,
    const struct reg_parsed *, struct reg_votes *);
const char *reg_propose_resolve(struct registry *, struct registry_update *);

#endif
