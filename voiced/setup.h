/* SPDX-License-Identifier: ISC */
/*
 * setup.h - the set-up of one call, at either end, as a state machine without
 * socket, clock or key.
 *
 * What has happened comes in as an event, what is to be done goes out as a set
 * of actions. The messages themselves (common/call.h) stay with who does it.
 * What holds whatever happens in whatever order:
 *
 *   - a callee sends and takes no candidate, and no media, before CONFIRM's
 *     leaf and DTLS's Finished have been verified;
 *   - it sends no ANSWER before the caller has been judged and the hook has
 *     said yes, so no candidate exists at the caller then either;
 *   - a caller sends no candidate before ANSWER and DTLS are verified, and
 *     takes none and sends no media before the callee's first message under
 *     the key, with which the callee says that it has granted.
 *
 * A message that cannot be opened, or is an answer to another offer, is no
 * event: anybody may have sent it. One that opens under the call's key and
 * does not parse is SETUP_REFUSED with CALL_PROTOCOL.
 *
 * END in clear counts for a caller until ANSWER is verified, for a callee
 * until CONFIRM comes: who could forge it could as well keep the messages
 * themselves. From then on it must be under the key, which a caller has as soon
 * as an ANSWER to its OFFER parses: what it is worth is judged after that.
 */
#ifndef CLAW_VOICED_SETUP_H
#define CLAW_VOICED_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/call.h"

/* A callee's half-open call, and one step of our own processes in a call. */
#define SETUP_CALLEE_MS 5000
#define SETUP_STEP_MS 2000
/* A caller's: as long as its OFFER is good for. */
#define SETUP_CALLER_MS (CALL_EXPIRY_S * 1000)
/* Messages with candidates that a callee keeps until it grants. */
#define SETUP_HELD_MAX 4

enum setup_state {
	SETUP_CALLER,	 /* has done nothing yet */
	SETUP_OFFERED,	 /* OFFER is out */
	SETUP_PROVING,	 /* makes a leaf over RETRY's nonce */
	SETUP_REOFFERED, /* the OFFER with it is out */
	SETUP_ANSWER,	 /* has ANSWER judged */
	SETUP_LEAF,	 /* makes the leaf for CONFIRM */
	SETUP_FLIGHT,	 /* DTLS with ANSWER's flight */
	SETUP_CONFIRMED, /* CONFIRM is out */

	SETUP_CALLEE,	   /* has done nothing yet */
	SETUP_OFFER,	   /* has OFFER judged */
	SETUP_HOOK,	   /* asks whether this caller may */
	SETUP_CALLEE_LEAF, /* makes the leaf for ANSWER, and its flight */
	SETUP_ANSWERED,	   /* ANSWER is out */
	SETUP_CONFIRM,	   /* has CONFIRM's leaf judged */
	SETUP_FINISH,	   /* DTLS with CONFIRM's flight */

	SETUP_UP,
	SETUP_OVER,
	SETUP_STATES
};

enum setup_event {
	/* Own processes. */
	SETUP_DIAL,	    /* caller: flight 1 is made */
	SETUP_OFFER_GOOD,   /* signature, registry, capability, list, place */
	SETUP_CROWDED,	    /* OFFER is good, but ask for more: admit.h */
	SETUP_SEEN,	    /* OFFER is good, and came before */
	SETUP_ALLOWED,	    /* the hook's yes; also if there is none */
	SETUP_PROOF,	    /* the leaf over RETRY's nonce is there */
	SETUP_ANSWER_GOOD,  /* signature, registry, leaf */
	SETUP_HAS_LEAF,	    /* own leaf is there; callee: flight 2 too */
	SETUP_CONFIRM_GOOD, /* leaf, and its key is the one OFFERed */
	SETUP_FINISHED,	    /* DTLS: the peer's Finished, with that leaf */
	SETUP_GATHERED,	    /* ICE has a candidate of ours */
	SETUP_RESTARTING,   /* ICE has new credentials */
	SETUP_REFUSED,	    /* any no, for a reason */
	SETUP_HANGUP,	    /* the user has had enough */
	SETUP_CLOCK,	    /* the deadline may have come */
	/* Messages. */
	SETUP_GOT_OFFER,
	SETUP_GOT_ANSWER, /* to our offer: call_answer_differs() */
	SETUP_GOT_RETRY,
	SETUP_GOT_END,	  /* in clear, with its reason */
	SETUP_GOT_SEALED, /* END under the key, with its reason */
	SETUP_GOT_CONFIRM,
	SETUP_GOT_CANDIDATES,
	SETUP_GOT_RESTART,
	SETUP_EVENTS
};

/* To be done in this order. */
enum setup_action {
	SETUP_SEND_OFFER = 1
	    << 0, /* with the leaf over RETRY's nonce, if any */
	SETUP_SEND_RETRY = 1 << 1,
	SETUP_JUDGE_OFFER = 1 << 2,
	SETUP_ASK_HOOK = 1 << 3,
	SETUP_MAKE_PROOF = 1 << 4,
	SETUP_JUDGE_ANSWER = 1 << 5,
	SETUP_MAKE_LEAF = 1 << 6,
	SETUP_SEND_ANSWER = 1 << 7,
	SETUP_JUDGE_CONFIRM = 1 << 8,
	SETUP_FEED = 1 << 9,	      /* DTLS with the peer's flight */
	SETUP_SEND_CONFIRM = 1 << 10, /* with all candidates there are */
	SETUP_HOLD = 1 << 11,	      /* keep the peer's candidates */
	SETUP_TAKE = 1 << 12,	      /* give ICE the peer's, and those kept */
	SETUP_SEND_CANDIDATES = 1 << 13, /* all that were not sent, or none */
	SETUP_MEDIA = 1 << 14,		 /* SRTP may be; ring, send, play */
	SETUP_RESTART = 1 << 15,	 /* ICE, to the peer's credentials */
	SETUP_SEND_RESTART = 1 << 16,
	SETUP_SEND_END = 1 << 17,	 /* in clear, with the reason */
	SETUP_SEND_SEALED_END = 1 << 18, /* under the key, with the reason */
	SETUP_CLOSE = 1 << 19		 /* wipe the keys; nothing follows */
};

struct setup {
	enum setup_state state;
	uint64_t end_ms;      /* of the whole set-up */
	uint64_t deadline_ms; /* when SETUP_CLOCK is due; UINT64_MAX: never */
	uint32_t hook_ms;
	unsigned int held;
	enum call_reason reason; /* why it is over */
	bool theirs;		 /* and that they said so */
};

/* hook_ms: how long a callee waits for its hook's yes; not 0. */
void setup_init(struct setup *, bool caller, uint32_t hook_ms);

/*
 * What is to be done: actions, or 0. reason is SETUP_REFUSED's, GOT_END's and
 * GOT_SEALED's. now_ms: a clock that does not go back. A step whose time is
 * over has failed, whatever the event.
 */
uint32_t
setup_step(struct setup *, enum setup_event, enum call_reason, uint64_t now_ms);

const char *setup_state_name(enum setup_state);

#endif
