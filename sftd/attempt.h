/* SPDX-License-Identifier: ISC */
/*
 * attempt.h - one attempt to send a file.
 */
#ifndef CLAW_SFTD_ATTEMPT_H
#define CLAW_SFTD_ATTEMPT_H

#include "sftd/transfer.h"

/* It ends in outgoing_done() or outgoing_missed(), maybe from in here. */
void attempt_begin(struct transfer *t);

/* Messages of workers. */
void attempt_on_taken(struct chan *c, struct msg *m);
void attempt_on_dial(struct chan *c, struct msg *m);
void attempt_on_seal(struct chan *c, struct msg *m);
void attempt_on_receipt(struct chan *c, struct msg *m);

#endif
