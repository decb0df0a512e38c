/* SPDX-License-Identifier: ISC */
/*
 * attestd.h - what the rooms of attestd share.
 *
 *	attestd.c   configuration, start, who asks for what
 *	clock.c     what time it is
 *	chain.c     the registry: updates, peers' lines, who hears of it
 *	sessions.c  challenges and verdicts, one session each
 *	judge.c     whether a leaf proves what it says
 *	refusals.c  which refusals of strangers are recorded singly
 *	visits.c    how often a peer that would be let in may come
 *	invite.c    invites, and who joins by them
 *	joining.c   the other end: this node joins and does not exist yet
 *	witness.c   what peers' logs looked like when they were last shown
 *	tell_keyd.c the registry, for keyd
 *	rotation.c  this node's own rotation of its keys
 *	rights.c    capability tokens; what the registry says of a name
 */
#ifndef CLAW_ATTESTD_ATTESTD_H
#define CLAW_ATTESTD_ATTESTD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/auditrec.h"
#include "common/chan.h"
#include "common/registry.h"

struct attestd {
	char node[64];
	uint8_t genesis[32];
	uint8_t identity[32];
	uint8_t sealing[32];
	uint64_t floor_seq; /* how far the registry has been, 0: not known */
	uint8_t floor_head[32];
	struct registry *registry;
};

extern struct attestd attestd;

/* clock.c */
/* Seconds since the epoch, never before what the registry's authorities say or
 * our last record; and of a clock that does not go back. */
uint64_t attestd_now(void);
uint64_t attestd_boot(void);
/* Whether it was reset before; with the answer to a first record, how far the
 * log is; that a record is written now. */
void clock_load(int dirfd);
void clock_loaded(struct msg *m);
void clock_recorded(void);
void clock_on_reset(struct chan *c, struct msg *m);

/* Whether a record could be asked for now: no audit, no action. */
bool attestd_can_record(void);

/*
 * Has a record written. done (may be NULL) is called with NULL or REFUSED if
 * that failed. False: it cannot be asked for now, and done is not called.
 */
bool attestd_record(struct auditrec *r, chan_done *done, void *arg);

/* chain.c */
/* Reads it. NULL, or what is wrong. */
const char *chain_load(int dirfd);
/* Tells keyd or meshd: after a start, when one of them is new. */
void chain_tell(struct chan *c);
/* "fresh", daily, where this node is an authority. */
void chain_keep_fresh(void);
/*
 * An update with an authority's signature, by keyd: fills in v, seq, prev and
 * time, asks keyd, applies. done is called once: *why NULL if it was applied,
 * or line is a proposal that needs more signatures (applied false).
 */
struct chain_result {
	const char *why;
	uint16_t code; /* errno, with why */
	bool applied;
	uint32_t have, need;
	const char *line;
	size_t len;
};
typedef void chain_done(const struct chain_result *result, void *arg);
void chain_update(struct registry_update *u, chain_done *done, void *arg);
/* One rotation, durable when this returns. NULL, or why it is not taken. */
const char *chain_turn(const char *line, size_t len);
void chain_on_read(struct chan *c, struct msg *m);
void chain_on_find(struct chan *c, struct msg *m);
void chain_on_offer(struct chan *c, struct msg *m);
void chain_on_update(struct chan *c, struct msg *m);
void chain_on_cosign(struct chan *c, struct msg *m);
void chain_on_inspect(struct chan *c, struct msg *m);

/* tell_keyd.c */
/* The registry has moved, or keyd is new. */
void tell_keyd_registry(struct chan *keyd, bool new);

/* sessions.c */
void sessions_worker(struct chan *c, bool up);
void sessions_broker_gone(enum proc broker);
/* The registry has moved: tell them, end those it no longer allows. */
void sessions_review(void);
void sessions_on_open(struct chan *c, struct msg *m);
void sessions_on_closed(struct chan *c, struct msg *m);
void sessions_on_stranger(struct chan *c, struct msg *m);
void sessions_on_judge(struct chan *c, struct msg *m);
void sessions_on_renonce(struct chan *c, struct msg *m);
void sessions_on_checkpoints(struct chan *c, struct msg *m);
void sessions_on_failed(struct chan *c, struct msg *m);
/* Of a joiner's session: its leaf, whose signature is still to be checked. */
struct evidence;
const struct evidence *sessions_joiner(const struct chan *c,
    const uint8_t **sig, const char **address);
/* The channel of a session's worker; NULL: it has gone. */
struct chan *sessions_chan(uint32_t session);
/* The last refusal of a peer by that name; NULL: none is remembered. */
const char *sessions_last_refusal(const char *peer, uint64_t *at_ms);

/* refusals.c */
/* Whether this refusal is recorded singly; the rest is summed up. */
bool refusals_singly(const char *address);

/* invite.c */
const char *invite_load(int dirfd);
bool invite_is_open(const char *name);
bool invite_any_open(void);
void invite_on_open(struct chan *c, struct msg *m);
void invite_on_show(struct chan *c, struct msg *m);
void invite_on_answer(struct chan *c, struct msg *m);
void invite_on_join(struct chan *c, struct msg *m);

/* witness.c */
void witness_load(int dirfd);
void witness_on_latest(struct chan *c, struct msg *m);
/* The newest checkpoint of our log, and of a peer's as it was last shown; 0
 * bytes: none. Both are at most 2048 bytes. */
size_t witness_own(const uint8_t **note);
size_t witness_of(const char *peer, uint8_t out[2048]);
/* Now, to say of a session later when it began. */
uint64_t witness_now(void);
/* What a peer's WELCOME said in a session that began then. NULL, or what of it
 * is malformed. */
const char *witness_take(const char *peer, uint64_t began, const void *theirs,
    size_t theirs_len, const void *ours, size_t ours_len);

/* rotation.c */
/* Which of our keys the registry has now: attestd.identity. */
void rotation_self(void);
void rotation_on_place(struct chan *c, struct msg *m);
void rotation_on_take(struct chan *c, struct msg *m);
/* Our identity is the one that the registry commits to, the key before being
 * lost: has keyd reveal it. False: it is not so. */
bool rotation_reveal(struct chan *keyd);
void rotation_gone(const struct chan *c);

/* rights.c */
void rights_on_why(struct chan *c, struct msg *m);
void rights_on_mint(struct chan *c, struct msg *m);
void rights_on_check(struct chan *c, struct msg *m);

#endif
