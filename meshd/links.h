/* SPDX-License-Identifier: ISC */
/*
 * links.h - what meshd and a linkd have to say to each other.
 */
#ifndef CLAW_MESHD_LINKS_H
#define CLAW_MESHD_LINKS_H

#include "door/conn.h"

/* The door's: a linkd gets a socket, and is told to end. */
void links_serve(struct conn *c, uint32_t handshake_ms);
void links_stop(struct conn *c);

/* Messages of linkd. */
void links_on_up(struct chan *c, struct msg *m);
void links_on_down(struct chan *c, struct msg *m);

#endif
