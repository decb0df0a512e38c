/* SPDX-License-Identifier: ISC */
/*
 * incoming.h - files that peers send.
 */
#ifndef CLAW_SFTD_INCOMING_H
#define CLAW_SFTD_INCOMING_H

#include "sftd/transfer.h"

/* Whom accepted connections are for. */
extern const struct conn_user incoming_user;

/* What runs before have left: finished, kept or swept. */
void incoming_load(void);
/* Nothing new, and what is under way is told to end. */
void incoming_end(void);

/* The door's: a data stream. */
void incoming_routed(struct conn *c, const uint8_t route[CONN_ROUTE_LEN]);

/* An operator's orders; true: it could be done. */
bool incoming_pause(struct transfer *t);
bool incoming_resume(struct transfer *t);
bool incoming_cancel(struct transfer *t);

/* A peer that was about to offer, and found that it may not. */
void incoming_not_offered(struct conn *, uint8_t code, bool by_peer,
    const char *text);

/* Messages of workers. */
void incoming_on_offered(struct chan *c, struct msg *m);
void incoming_on_complete(struct chan *c, struct msg *m);
void incoming_on_route(struct chan *c, struct msg *m);

#endif
