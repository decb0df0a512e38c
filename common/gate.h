/* SPDX-License-Identifier: ISC */
/*
 * gate.h - what stands before every handler: is this packet allowed here?
 *
 * A gate belongs to one end of one channel. It holds what that end has asked
 * and been asked, and checks each packet against policy/messages.def: sender,
 * receiver, state, length, fields, descriptor, how many at once. It has no
 * socket and no clock; chan.c feeds it, tests and fuzzers do the same.
 */
#ifndef CLAW_COMMON_GATE_H
#define CLAW_COMMON_GATE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

/* A message that has passed. The body points into the packet. */
struct msg {
	const struct msg_rule *rule;
	uint16_t type;
	uint32_t id;
	struct rbuf body;
	int fd; /* the handler owns it if it takes it and sets -1; or -1 */
};

/* A request that is on its way, on either side. */
struct gate_request {
	TAILQ_ENTRY(gate_request) entry;
	const struct msg_rule *rule; /* of the request */
	uint32_t id;
	void *cookie; /* of who asked; NULL once given up */
};

TAILQ_HEAD(gate_requests, gate_request);

struct gate {
	enum proc self;
	enum proc peer;
	enum msg_when when;	    /* state of this end */
	struct gate_requests asked; /* by us, in the order of their ids */
	struct gate_requests owed;  /* by us to the peer */
	uint32_t next_id;	    /* of our requests */
	uint32_t peer_id;	    /* of the peer's last request */
	uint64_t second;	    /* that the counts below are of */
	uint32_t count[MSG_COUNT_MAX];
	bool once[MSG_COUNT_MAX];
	uint64_t late; /* answers dropped because nobody waits any more */
};

enum gate_verdict {
	GATE_PASS,  /* a request or a notice: call its handler */
	GATE_REPLY, /* an answer to *asked, which the caller must free */
	GATE_LATE,  /* an answer that nobody waits for: drop it */
	GATE_REFUSE /* a violation; *reason says which */
};

void gate_init(struct gate *g, enum proc self, enum proc peer);
void gate_clear(struct gate *g); /* frees both lists; calls nobody */

/*
 * Judges one packet. fd is the descriptor that came with it or -1, nfds how
 * many came; now_s any clock that does not go back. On GATE_PASS and
 * GATE_REPLY *m is filled; on GATE_REPLY *asked is the request it answers,
 * taken off the list.
 */
enum gate_verdict gate_check(struct gate *g, const void *packet, size_t len,
    int fd, unsigned int nfds, uint64_t now_s, struct msg *m,
    struct gate_request **asked, const char **reason);

/* Notes a request of ours and gives its id; 0 when out of memory. */
uint32_t gate_ask(struct gate *g, const struct msg_rule *rule, void *cookie);

/*
 * Notes that we answer the peer's request `id` with a message of `type`.
 * False if no such answer is owed: the caller has a fault.
 */
bool gate_answer(struct gate *g, uint32_t id, uint16_t type);

#endif
