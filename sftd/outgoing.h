/* SPDX-License-Identifier: ISC */
/*
 * outgoing.h - files that are sent.
 */
#ifndef CLAW_SFTD_OUTGOING_H
#define CLAW_SFTD_OUTGOING_H

#include "sftd/transfer.h"

void outgoing_prepare(void);
/* Nothing new, and what is under way is told to end. */
void outgoing_end(void);

/* An operator's orders; true: it could be done. */
bool outgoing_pause(struct transfer *t, const char *why);
bool outgoing_resume(struct transfer *t);
bool outgoing_cancel(struct transfer *t);

/* Messages of controld. */
void outgoing_on_send(struct chan *c, struct msg *m);
void outgoing_on_client(struct chan *c, struct msg *m);

/* How an attempt goes: who does not wait for the end is told and let go. */
void outgoing_under_way(struct transfer *t);
/* It ended with a receipt; or without, and transfer_why() has said why. */
void outgoing_done(struct transfer *t);
void outgoing_missed(struct transfer *t);

#endif
