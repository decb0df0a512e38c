/* SPDX-License-Identifier: ISC */
/*
 * lastcp.h - the copy of the last checkpoint that auditd cannot touch.
 *
 * keyd tells of each checkpoint it signs; clawd keeps the newest in
 * data_dir/keys/checkpoint and gives it back to keyd at the next start, so
 * that a log that was rolled back is not signed again.
 */
#ifndef CLAW_CLAWD_LASTCP_H
#define CLAW_CLAWD_LASTCP_H

#include <stdbool.h>

#include "common/conf.h"
#include "common/msg.h"

/* Opens the file. False after saying why in the log. */
bool lastcp_open(const struct conf *conf);

/* The newest that is known; false if there is none. */
bool lastcp_get(struct msg_CHECKPOINT_KNOWN *known);

void lastcp_put(const struct msg_CHECKPOINT_NOTED *noted);

#endif
