/* SPDX-License-Identifier: ISC */
/*
 * pool.h - workers that wait for a connection.
 */
#ifndef CLAW_DOOR_POOL_H
#define CLAW_DOOR_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"

/* worker: what is started. ready: called when one more is idle. */
void pool_prepare(enum proc worker, void (*ready)(void));
/* How many wait when nobody needs one; at most UINT8_MAX. */
void pool_configure(unsigned int idle);
/* So many connections wait for one: more are started. */
void pool_needs(unsigned int waiting);

/*
 * Takes one, whose channel and session are the caller's then. NULL: none. For
 * a stranger the last one is none, unless one is all that is kept.
 */
struct chan *pool_take(uint32_t *session, bool stranger);

/* A worker's channel has ended; true if it was one of the pool's. */
bool pool_forget(struct chan *c);

/* No new ones; those that wait end. */
void pool_drain(void);

#endif
