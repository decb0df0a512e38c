/* SPDX-License-Identifier: ISC */
/*
 * registry.h - whom this node believes: the chain, verified and applied.
 *
 * The engine takes lines (claw-registry(5)) from anywhere and believes none of
 * them: each is parsed, held against its canonical form, its place in the
 * chain, and the authorities of the state before it. A line that is refused
 * changes nothing. The engine keeps the lines, so that peers can pull them and
 * branches can be compared; files are registry_file.h's.
 *
 * A branch that holds nothing but `fresh` updates decides nothing: it gives
 * way to one that decides something, and of two such branches the one whose
 * first update has the lower hash stays. Two branches that both decide
 * something are a fork.
 *
 * Times are seconds since 1970. `now_s` is the caller's clock, already raised
 * to its floor (registry_time() and the last audit line). Reasons (`why`) are
 * static texts or live in the registry until its next call.
 */
#ifndef CLAW_COMMON_REGISTRY_H
#define CLAW_COMMON_REGISTRY_H

#include "common/regupdate.h"

/* What can be there at one time; they bind additions only. */
#define REGISTRY_NODES_MAX 4096
#define REGISTRY_BINARIES_MAX 4096
#define REGISTRY_DEVELOPERS_MAX 1024
/* Rotations of one node that no `node-anchor` has taken into the chain. */
#define REGISTRY_UNANCHORED_MAX 64
/* Other branches, and what they may hold. */
#define REGISTRY_BRANCHES_MAX 8
#define REGISTRY_BRANCH_LINES_MAX 4096

#define REGISTRY_OVERLAP_S 600 /* the previous key of a node still counts */
#define REGISTRY_SKEW_S 600    /* an update may be from that far ahead */

struct registry;

struct registry_node {
	char name[REGISTRY_NAME_SIZE];
	registry_key identity;
	bool has_previous; /* there was a key before, replaced then */
	registry_key previous;
	uint64_t replaced_s;
	registry_key sealing;
	bool has_next;
	registry_hash next;
	uint64_t capabilities;
	char zone[REGISTRY_ZONE_SIZE];
	uint32_t addresses;
	char address[REGISTRY_ADDRESSES_MAX][REGISTRY_ADDRESS_SIZE];
	uint64_t expiry_s; /* 0: none */
	uint64_t added_seq;
	uint64_t revoked_seq;		   /* if revoked */
	char reason[REGISTRY_REASON_SIZE]; /* if revoked */
	uint64_t ksn;		/* number of its last rotation, 0: none */
	uint64_t anchored_ksn;	/* the last one that is in the chain */
	registry_hash rotation; /* what the next rotation's prev must be */
	bool revoked;
	bool suspended; /* it made two rotations with one number */
};

struct registry_binary {
	char name[REGISTRY_NAME_SIZE];
	char version[REGISTRY_VERSION_SIZE];
	char channel[REGISTRY_CHANNEL_SIZE];
	registry_hash sha256;
	uint64_t capabilities;
	uint64_t added_seq;
	bool revoked;
	char reason[REGISTRY_REASON_SIZE];
};

struct registry_developer {
	char name[REGISTRY_NAME_SIZE];
	registry_key key;
	uint64_t added_seq;
	bool revoked;
	char reason[REGISTRY_REASON_SIZE];
};

/* Empty, waiting for the line that hashes to pin. NULL: no memory. */
struct registry *registry_new(const registry_hash pin);
void registry_free(struct registry *);

/* SHA-256 of line 0, without its newline: the pin, and line 1's `prev`. */
int registry_genesis_hash(const char *line, size_t len, registry_hash out);

/*
 * The next line of the chain (without its newline), when a chain that is
 * ours is read; what is new comes through registry_offer(). 0: applied;
 * -EBADMSG, nothing changed: *why says what is wrong; -ENOMEM likewise.
 */
int registry_apply(struct registry *, const char *line, size_t len,
    const char **why);

/* What a line that came from a peer turned out to be. */
enum registry_offer {
	REGISTRY_NEXT,	   /* applied: the chain is one longer */
	REGISTRY_KNOWN,	   /* we have it, here or on a branch */
	REGISTRY_SWITCHED, /* applied; updates that decided nothing gave way */
	REGISTRY_BRANCH,   /* of another branch, kept: it decides nothing yet */
	REGISTRY_FORK,	   /* of another branch that decides something: kept,
			    * the registry is forked */
	REGISTRY_RESOLVED, /* a `resolve` ended a fork; registry_forked()
			    * says whether there is another one */
	REGISTRY_AHEAD,	   /* follows nothing that we have: pull from *from */
	REGISTRY_BAD	   /* refused, *why says why; nothing changed */
};

/*
 * Any line of the chain, from a peer or a file. *from (for REGISTRY_AHEAD) is
 * the sequence number to pull from. After NEXT, SWITCHED, RESOLVED, BRANCH and
 * FORK the files are behind: registry_file_sync().
 */
enum registry_offer registry_offer(struct registry *, const char *line,
    size_t len, uint64_t *from, const char **why);

enum registry_turn {
	REGISTRY_TURNED,     /* applied */
	REGISTRY_TURN_KNOWN, /* we have it, or the chain is beyond it */
	REGISTRY_TURN_AHEAD, /* rotations between are missing */
	REGISTRY_TURN_TWO,   /* another one with this number: now suspended */
	REGISTRY_TURN_BAD    /* refused, *why says why; nothing changed */
};

/* A rotation, from evidence, gossip or a file. */
enum registry_turn registry_rotate(struct registry *, const char *line,
    size_t len, const char **why);

/*
 * Before signing: whether this update could be the next one, signatures
 * apart. v, seq and prev are filled in first: an update that decides something
 * follows the last one that did, so that no `fresh` that comes in between
 * makes it void. For a `resolve` the caller gives the chosen head and the
 * time, the rest is filled in. NULL, or why not.
 */
const char *registry_propose(struct registry *, struct registry_update *);
/*
 * How far a proposal is: a line with too few signatures, or none. *have of
 * *need authorities have signed it; of an `authorities` that the old set has
 * signed: of the new one. *present (may be NULL) is the update. NULL, or what
 * is wrong: a signature, a stranger's signature, an update that cannot be the
 * next one.
 */
const char *registry_signed(struct registry *, const char *line, size_t len,
    uint32_t *have, uint32_t *need, struct registry_update *present);
/*
 * Put one more signature into a proposal. Its new length; -EBADMSG: not one;
 * -EINVAL: that key signed it already; -ENOSPC.
 */
ssize_t registry_add_signature(const char *line, size_t len,
    const struct registry_signature *, char *out, size_t size);

/* --- the state ----------------------------------------------------------- */

bool registry_empty(const struct registry *);
uint64_t registry_seq(const struct registry *);
const uint8_t *registry_head(const struct registry *);	  /* 32 bytes */
const uint8_t *registry_genesis(const struct registry *); /* the pin */
/* The hash of the update with that number; NULL: there is none. */
const uint8_t *registry_hash_at(const struct registry *, uint64_t seq);
/* A line of the chain, without newline; NULL: there is none. */
const char *registry_line(const struct registry *, uint64_t seq, size_t *len);
/* The same, taken apart; sigs has room for REGISTRY_SIGS_MAX. 0, -ENOENT. */
int registry_update_at(const struct registry *, uint64_t seq,
    struct registry_update *, struct registry_signature *sigs, size_t *n);
/*
 * Lines from seq on, each with a newline, as many whole ones as fit in size.
 * Bytes written; *next gets the number of the first line that is not there.
 */
size_t registry_range(const struct registry *, uint64_t seq, char *out,
    size_t size, uint64_t *next);
/* All rotations that are kept, in the order of their arrival. */
size_t registry_rotations(const struct registry *);
const char *
registry_rotation_line(const struct registry *, size_t i, size_t *len);
/* The rotation of that node that comes after number ksn, whose hash is prev,
 * with its one or two signatures. 0, -ENOENT. */
int registry_rotation_after(const struct registry *, const char *name,
    uint64_t ksn, const registry_hash prev, struct registry_rotation *,
    struct registry_signature sigs[2], size_t *n);
/* Running hash of the first n rotations (n 0: all 0). */
void
registry_rotations_hash(const struct registry *, size_t n, registry_hash out);

/*
 * A digest of which keys the nodes in force have by rotation: the same for
 * all who have the same chain and the same rotations, in whatever order they
 * came. All 0: there are none.
 */
void registry_turns(const struct registry *, registry_hash out);

/*
 * A time that at least `threshold` authorities have stated, each in the last
 * update that it signed: no fewer of them can put it ahead, and a corrected
 * clock corrects it. A floor for the node's own clock; 0: none.
 */
uint64_t registry_time(const struct registry *);

/* Authorities in force (of the common state while forked). */
const struct registry_set *registry_set(const struct registry *);
struct registry_windows registry_windows(const struct registry *);

/* The state in force: nodes, revoked ones too. NULL: none. */
const struct registry_node *
registry_node(const struct registry *, const char *name);
/* By its present key, or the previous one (registry_standing() judges it). */
const struct registry_node *
registry_node_by_key(const struct registry *, const registry_key);
/* In the order of names: the i-th, NULL at the end; revoked ones too. */
const struct registry_node *registry_node_at(const struct registry *, size_t i);
/* In the order of name, version, hash. */
const struct registry_binary *
registry_binary_at(const struct registry *, size_t i);
const struct registry_binary *
registry_binary(const struct registry *, const registry_hash sha256);
const struct registry_developer *
registry_developer_at(const struct registry *, size_t i);
const struct registry_developer *
registry_developer(const struct registry *, const char *name);

/* Some node or developer has or had this key, and it was not revoked. */
bool registry_ever_held(const struct registry *, const registry_key);

enum registry_standing {
	REGISTRY_OK,
	REGISTRY_OLD_KEY_OK, /* replaced at most REGISTRY_OVERLAP_S ago */
	REGISTRY_UNKNOWN,    /* no such node */
	REGISTRY_REVOKED,    /* the node, or the key it shows */
	REGISTRY_EXPIRED,
	REGISTRY_SUSPENDED,
	REGISTRY_WRONG_KEY,
	REGISTRY_UNSETTLED /* it rests on updates after the fork */
};

/* How a node stands that shows this key. */
enum registry_standing registry_standing(const struct registry *,
    const char *name, const registry_key, uint64_t now_s);

enum registry_freshness {
	REGISTRY_IS_FRESH,
	REGISTRY_IS_SOFT, /* stale: admit nobody new */
	REGISTRY_IS_HARD  /* stale: refuse */
};

/*
 * By the newest update that is not from more than REGISTRY_SKEW_S ahead of
 * now_s. *age_s (may be NULL) is its age, UINT64_MAX: there is none.
 */
enum registry_freshness
registry_freshness(const struct registry *, uint64_t now_s, uint64_t *age_s);

/* --- forks --------------------------------------------------------------- */

/*
 * Two branches decide different things. Until a `resolve` the state in force
 * is the last common one, less what our branch revoked, and what others did
 * with enough authorities of that common state.
 */
bool registry_forked(const struct registry *);
/* The last number that all branches share; registry_seq() if not forked. */
uint64_t registry_common(const struct registry *);
/* Heads for a `resolve`, ascending, ours among them. How many. */
uint32_t
registry_heads(const struct registry *, registry_hash head[REGISTRY_HEADS_MAX]);
/* Lines of other branches, in an order in which they can be offered again. */
size_t registry_branch_lines(const struct registry *);
const char *
registry_branch_line(const struct registry *, size_t i, size_t *len);

#endif
