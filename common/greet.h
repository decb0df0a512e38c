/* SPDX-License-Identifier: ISC */
/*
 * greet.h - a worker's connection, from a socket to WELCOME said by both.
 *
 *	NONCE		only for a session's further connections: attestd is
 *			asked for another challenge
 *	HANDSHAKE	attested TLS (atls.h): keyd is asked for our leaf,
 *			attestd for a verdict on the peer's
 *	WELCOME		secured; the server says WELCOME first, the client
 *			when it has read and checked that. Nothing else is
 *			sent or taken
 *
 * What follows is its owner's. All three together have one deadline, and each
 * answer of keyd and attestd another. Of one session several connections may
 * greet at a time where attestd gives it a challenge for each (NONCE).
 */
#ifndef CLAW_COMMON_GREET_H
#define CLAW_COMMON_GREET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/atls.h"
#include "common/evidence.h"
#include "common/welcome.h"

#define GREET_REASON_SIZE 256
#define GREET_PURPOSE(p) (UINT32_C(1) << (p))
/* keyd and attestd each have this long to answer. */
#define GREET_ANSWER_MS 2000

struct greet;

struct greet_want {
	uint8_t role;	       /* EVIDENCE_CLIENT or EVIDENCE_SERVER */
	uint32_t purposes;     /* GREET_PURPOSE()s; a client names one */
	uint32_t handshake_ms; /* for all of it */
	bool renonce;	       /* the session has used its challenge */
	uint8_t nonce[32];     /* else: the challenge */
};

/* How it came out. What points is good until the callback returns. */
struct greet_result {
	/*
	 * The owner's from now on, to be given callbacks by atls_own(). NULL:
	 * it is closed already. Where it came to nothing and this is secured,
	 * a close_notify is still to be sent.
	 */
	struct atls *tls;
	const struct welcome *theirs; /* NULL: it came to nothing */

	/* What was agreed on, and who it is. */
	uint8_t purpose;
	char own[EVIDENCE_NAME_SIZE];  /* by our leaf */
	char peer[EVIDENCE_NAME_SIZE]; /* by the verdict */
	uint64_t capabilities;	       /* the peer's */
	uint64_t until; /* the verdict holds; seconds since 1970 */
	uint64_t seq;	/* our registry */
	uint8_t head[32], turns[32];
	uint8_t spki[EVIDENCE_SPKI_LEN]; /* of our key */
	uint8_t own_nonce[32], peer_nonce[32];
	size_t bytes_in, bytes_out; /* of WELCOME */
	bool news;	   /* it has a checkpoint that attestd does not hold */
	uint64_t start_us; /* CLOCK_MONOTONIC */

	/* Why it came to nothing. */
	char why[GREET_REASON_SIZE];
	uint8_t alert; /* of TLS, 0: none */
	bool by_peer;
	bool judged; /* it was attestd that refused the peer */
};

/* Once; the greet itself is gone when it returns. */
typedef void
greet_done(struct greet *g, const struct greet_result *r, void *arg);

/*
 * Begin with a connected socket. fd and key are taken over, also on failure:
 * NULL with errno EINVAL (no such role or purpose) or ENOMEM. done is called
 * from the event loop.
 */
struct greet *greet_new(struct atls_ctx *ctx, int fd, EVP_PKEY *key,
    const struct greet_want *want, greet_done *done, void *arg);

/*
 * Give up: done is not called. The connection is the caller's, or NULL if
 * there is none yet or no more. The first reason of ours, if there was one, is
 * put into why.
 */
struct atls *greet_give_up(struct greet *g, char why[GREET_REASON_SIZE]);

/* Our registry has moved; a lower one is forgotten. */
void greet_own_head(struct greet *g, uint64_t seq, const uint8_t head[32],
    const uint8_t turns[32]);

/* "claw-mesh/1"; NULL for a purpose that no connection has. */
const char *greet_protocol(uint8_t purpose);

/*
 * Whose doing a failure of atls was, from its sentence. The alert that the
 * peer sent, 0 if it sent none.
 */
bool greet_blames_peer(const char *why, uint8_t *alert);

#endif
