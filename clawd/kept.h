/* SPDX-License-Identifier: ISC */
/*
 * kept.h - how far the log and the registry have been, kept where the
 * processes that write them cannot reach.
 *
 * In keys/: the last checkpoint that keyd signed, the registry as far as keyd
 * has followed it. A log or a registry that is brought back from an old backup
 * is behind them.
 */
#ifndef CLAW_CLAWD_KEPT_H
#define CLAW_CLAWD_KEPT_H

#include <stdbool.h>

#include "common/conf.h"
#include "common/msg.h"

/* Opens both files. False after saying why in the log. */
bool kept_open(const struct conf *conf);

/* What was kept; false: nothing was yet. known->state is in memory of this
 * room and good until the next call. */
bool kept_checkpoint(struct msg_CHECKPOINT_KNOWN *known);
bool kept_registry(struct msg_REGISTRY_NOTED *known);

/* Keeps it, in place of the one before. */
void kept_put_checkpoint(const struct msg_CHECKPOINT_NOTED *noted);
void kept_put_registry(const struct msg_REGISTRY_NOTED *noted);

#endif
