/* SPDX-License-Identifier: ISC */
/*
 * link.h - the one connection of this process: from the socket to its end.
 *
 *	link.c		handshake, WELCOME, frames in and out, the end
 *	reattest.c	both ends prove themselves again: CHALLENGE, EVIDENCE
 *	pull.c		lines of the registry: PULL, LINES
 *	join.c		a node that wants to be one of us: JOIN, JOINED
 *	joiner.c	the other end of that
 */
#ifndef CLAW_LINKD_LINK_H
#define CLAW_LINKD_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/atls.h"
#include "common/chan.h"
#include "linkd/frame.h"

#define LINK_SPKI_LEN 91
#define LINK_REASON_SIZE 256

/* Once, before the sandbox: TLS and a first key. */
void link_prepare(void);
/* Once, in it: READY, and a handshake with itself when nothing comes. */
void link_start(void);

/* LINK_SERVE: take the socket over. False: it names no link that there is. */
bool link_serve(const struct msg_LINK_SERVE *serve, int fd);

/*
 * The end: attestd and meshd are told why, the peer with a BYE, and the
 * process exits when that has left. Frames that come later are not read.
 */
__attribute__((format(printf, 2, 3))) void
link_close(enum frame_bye code, const char *fmt, ...);

/* clawd asks for it: the same, and then child_drained(). */
void link_drain(void);

/* Both have said WELCOME, and it is not closing. */
bool link_is_up(void);
/* Of common/evidence.h. */
uint8_t link_role(void);
uint8_t link_purpose(void);

/* Sends a frame; a peer that leaves no room for it is given up. */
void link_send(const struct frame *f);

/* LINK_PING: answered when the peer has. */
void link_ping(struct chan *c, struct msg *m);

/* Our registry as attestd said last; a lower one is forgotten. */
void
link_own_head(uint64_t seq, const uint8_t head[32], const uint8_t turns[32]);
uint64_t link_own_seq(void);
const uint8_t *link_own_turns(void);
/* HEAD_MOVED: the peer is told, and both attest again. */
void link_head_moved(const struct msg_HEAD_MOVED *m);

/* Our key of this session, and the two last challenges. */
const uint8_t *link_spki(void);
uint8_t *link_own_nonce(void);
uint8_t *link_peer_nonce(void);
/* What ties JOIN to this session. */
bool link_binding(uint8_t exporter[32], uint8_t own[32], uint8_t peer[32]);

/* CLOCK_MONOTONIC. */
uint64_t link_now_us(void);

#endif
