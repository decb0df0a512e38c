/* SPDX-License-Identifier: ISC */
/*
 * record.h - what clawd has to say to the audit log.
 *
 * auditd may be the very process that died. So a record that auditd has not
 * acknowledged lies in data_dir/keys/pending, and goes to the log once auditd
 * is there again: the death of auditd is recorded at its next start.
 */
#ifndef CLAW_CLAWD_RECORD_H
#define CLAW_CLAWD_RECORD_H

#include <stdbool.h>

#include "common/auditrec.h"
#include "common/chan.h"
#include "common/conf.h"

/* Opens the file and reads what an earlier run left. False after saying why
 * in the log. */
bool record_open(const struct conf *conf);

/* auditd takes records from now on, by c; NULL: not any more. */
void record_auditd(struct chan *c);

/* Records; never fails for the caller. */
void record_send(struct auditrec *r);

/* Shorthand for single records with one attribute or none. */
void record_event(enum audit_event event, enum audit_outcome outcome);

/* Whether everything sent so far is durable in the log. */
bool record_idle(void);

#endif
