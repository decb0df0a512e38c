/* SPDX-License-Identifier: ISC */
/*
 * session.h - which sessions keyd knows, and which leaf each may have.
 *
 * A session is the life of one worker that speaks with one peer. clawd tags
 * the worker's channel with it, its broker (meshd or sftd) says once in which
 * role it is and whom it dialled, attestd says who the peer has turned out to
 * be. A leaf is made
 * of these, never of what the worker says of itself:
 *
 *	server	for nobody by name, once; when the peer is attested, for it;
 *		always for the purpose of the first
 *	client	for the purpose that was dialled for, to who was dialled or,
 *		when the peer is attested, for it
 *
 * sftd's are for transfers and meshd's for all else. And no more than
 * SESSION_LEAVES in SESSION_LEAVES_S once the peer is known:
 * what streams and attesting again take.
 */
#ifndef CLAW_ATTESTD_SESSION_H
#define CLAW_ATTESTD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/evidence.h"
#include "common/msg.h"

#define SESSION_MAX 1024
#define SESSION_LEAVES 16
#define SESSION_LEAVES_S 3600

/* This node joins: a client's purpose may be EVIDENCE_JOIN. */
void session_allow_join(void);

/*
 * A broker's word. NULL, or why not: it has a role already, the purpose is not
 * that broker's, or there is no room.
 */
const char *session_role(const struct msg_SESSION_ROLE *m, enum proc broker);

/* attestd's word; what it says of a session that nobody knows is dropped. */
void session_peer(const struct msg_SESSION_PEER *m);

/* The worker has gone. */
void session_end(uint32_t session);
/* A broker has gone, and with it those of its that never had a worker. */
void session_end_unclaimed(enum proc broker);

/* Whether a worker of this kind may speak in it: linkd in meshd's, xferd in
 * sftd's. One that is not known is nobody's yet. */
bool session_is_for(uint32_t session, enum proc worker);

/*
 * Counts a leaf and fills in role, purpose and peer. NULL, or why there is
 * none. joins: an invite is open here. now_s: a clock that does not go back.
 */
const char *session_leaf(uint32_t session, uint8_t purpose, bool joins,
    uint64_t now_s, struct evidence *ev);

/*
 * The one statement about a transfer that a session may have: a seal where we
 * send (role client), a receipt where we receive. NULL and the attested peer,
 * or why not. It counts when session_said() is called.
 */
const char *session_transfer(uint32_t session, uint8_t role, const char **peer);
void session_said(uint32_t session);

#endif
