/* SPDX-License-Identifier: ISC */
/*
 * linkkit.h - the real linkd, and everybody it speaks with played by a test.
 *
 * A side is one linkd in its sandbox, with a clawd, a keyd, an attestd and a
 * meshd that are this test: they say what the test tells them to say and
 * count what they are asked. keyd's leaves and attestd's verdicts are the real
 * thing otherwise (common/evidence.h). The registry is a list of numbers.
 */
#ifndef TESTS_LIB_LINKKIT_H
#define TESTS_LIB_LINKKIT_H

#include <event2/event.h>
#include <openssl/evp.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"
#include "common/evidence.h"

struct side {
	const char *name;
	struct side *other; /* whom it speaks with */
	EVP_PKEY *identity;
	uint8_t key[32];
	uint8_t role, purpose; /* of its LINK_SERVE; purpose 0: a server */

	/* What its keyd and attestd do. */
	uint8_t alert;	   /* of the next verdict; 0: judge */
	bool refuse_leaf;  /* keyd: no */
	bool refuse_judge; /* attestd: no */
	bool mute_leaf;	   /* no word at all */
	bool mute_judge;
	uint32_t verdict_s; /* how long a verdict holds */
	bool joins;
	uint64_t seq;
	uint8_t nonce[32]; /* the last that its attestd gave */
	const char *checkpoint, *theirs;

	/* What has happened. */
	pid_t pid;
	bool ready, up, down, failed, checked, ended;
	int status;
	unsigned int leaves, judged, nonces, offers, reads, joined;
	struct msg_LINK_UP link_up;
	struct msg_LINK_DOWN link_down;
	struct msg_LINK_FAILED link_failed;
	char mine[64], yours[64]; /* of PEER_CHECKPOINTS */
	struct msg_JOIN_ASK join_ask;
	char fault[128]; /* something that must not be */
	bool pong, pulled;
	struct msg_LINK_PONG link_pong;
	struct msg_LINK_PULLED link_pulled;
	uint8_t spki[EVIDENCE_SPKI_LEN], seen_spki[EVIDENCE_SPKI_LEN];

	struct chan *clawd, *keyd, *attestd, *meshd;
};

struct event_base *linkkit_base(void);

/*
 * A process below clawd, in its sandbox. Its pid, -1 if there is none to
 * start; *clawd is clawd's end of its channel.
 */
pid_t linkkit_spawn(enum proc proc, int *clawd);

/* Makes an identity and starts a linkd; false: there is none to start. */
bool linkkit_start(struct side *s, const char *name, struct side *other);
/* An identity and no linkd: for an end that the test plays itself. */
void linkkit_identity(struct side *s, const char *name, struct side *other);
/* Another attestd, as after a restart. */
void linkkit_new_attestd(struct side *s);
/* LINK_SERVE with that socket, which is closed. */
void linkkit_serve(struct side *s, uint8_t role, uint8_t purpose, int fd,
    uint32_t handshake_ms);
void linkkit_end(struct side *s);

/* Until that is true, or far too long. */
bool linkkit_until(bool (*done)(void *arg), void *arg);
bool linkkit_until_set(const bool *flag);
bool linkkit_until_count(const unsigned int *n, unsigned int least);
/* Lets things happen for so long. */
void linkkit_wait(unsigned int ms);

/* The leaf that this side's keyd would make. Its length. */
size_t linkkit_leaf(struct side *s, uint8_t role, uint8_t purpose,
    const uint8_t spki[EVIDENCE_SPKI_LEN], const uint8_t verifier[32],
    const uint8_t prover[32], uint8_t *out, size_t size);
/* Head of a registry of so many updates. */
void linkkit_head(uint64_t seq, uint8_t out[32]);

/* Orders of meshd's and attestd's. */
void linkkit_ping(struct side *s);
void linkkit_pull(struct side *s);
void linkkit_move_head(struct side *s, uint64_t seq);
void linkkit_end_session(struct side *s, const char *reason);

#endif
