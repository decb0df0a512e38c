/* SPDX-License-Identifier: ISC */
/*
 * check.h - the open shard read through by a worker, for an operator.
 */
#ifndef CLAW_AUDITD_CHECK_H
#define CLAW_AUDITD_CHECK_H

#include "common/chan.h"

/* AUDIT_CHECK, from controld; answered when the worker has. */
void check_on_request(struct chan *c, struct msg *m);

/* WORKER_ENDED, from clawd. */
void check_on_worker_ended(struct chan *c, struct msg *m);

/* Nobody of this channel is to be answered any more. */
void check_forget(struct chan *c);

#endif
