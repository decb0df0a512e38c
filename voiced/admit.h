/* SPDX-License-Identifier: ISC */
/*
 * admit.h - which offers may become half-open calls.
 *
 * An offer is signed by its caller, but nothing in it is of today: it may be a
 * copy, or one of thousands that were signed for the purpose. So
 *
 *   - an offer (caller, id) is taken once while it is good;
 *   - of one caller ADMIT_PER_CALLER calls are half-open at a time, of all
 *     ADMIT_ALL; each is for SETUP_CALLEE_MS at most (voiced/setup.h);
 *   - above that, or if too many offers are remembered, a caller has to prove
 *     that it is there, by a leaf over a nonce of RETRY. A caller that does
 *     may have ADMIT_PROVEN_PER_CALLER, and its offer takes the place of the
 *     oldest that is not proven where there is none free.
 *
 * Asked when the offer's signature has been verified: nobody can use up
 * another's places. Without clock: time comes in as an argument.
 */
#ifndef CLAW_VOICED_ADMIT_H
#define CLAW_VOICED_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/call.h"

#define ADMIT_PER_CALLER 2
#define ADMIT_PROVEN_PER_CALLER 8
#define ADMIT_ALL 16
/* Offers that are remembered; a caller's share: 68 calls a second for 15 s. */
#define ADMIT_SEEN_MAX 4096
#define ADMIT_SEEN_PER_CALLER 1024

enum admit_answer {
	ADMIT_YES,
	ADMIT_RETRY, /* prove first that you are there: SETUP_CROWDED */
	ADMIT_SEEN,  /* came before: SETUP_SEEN */
	ADMIT_STALE, /* SETUP_REFUSED with CALL_STALE, and so on */
	ADMIT_CLOCK,
	ADMIT_BUSY
};

/* Who calls, and which of its calls. */
struct admit_key {
	char caller[EVIDENCE_NAME_SIZE];
	uint8_t id[CALL_ID_LEN];
};

struct admit {
	struct admit_place {
		struct admit_key key;
		bool taken;
		bool proven;
		uint64_t turn; /* lower is older */
	} place[ADMIT_ALL];
	struct admit_seen {
		struct admit_key key;
		uint64_t expires_s; /* free from then on */
	} seen[ADMIT_SEEN_MAX];
	uint64_t turn;
};

void admit_init(struct admit *);

/*
 * proven: the offer has a leaf over a nonce that we gave out, and attestd says
 * that it is good. now_s: since 1970. Where the answer is yes and another call
 * had to make room, *out names it, to be refused with CALL_BUSY; else
 * out->caller is "".
 */
enum admit_answer admit_offer(struct admit *, const struct call_offer *,
    bool proven, uint64_t now_s, struct admit_key *out);

/* It is no longer half-open: granted, or over. Unknown: nothing. */
void admit_done(struct admit *, const struct admit_key *);

#endif
