/* SPDX-License-Identifier: ISC */
/*
 * rollover.h - which shard is the open one: at a start, when a month is over,
 * and when the one there is cannot go on.
 */
#ifndef CLAW_AUDITD_ROLLOVER_H
#define CLAW_AUDITD_ROLLOVER_H

#include <stdint.h>

/*
 * Opens and recovers the newest shard, or makes one; ready is called once,
 * when records can be taken, and opened then and with each later shard. The
 * journal is configured before. Fatal if the log cannot be written.
 */
void rollover_start(void (*ready)(void), void (*opened)(void));

/* Intents that an earlier run of the shard left open, one call each. */
typedef void rollover_left_open(uint64_t number);
void rollover_each_left_open(rollover_left_open *fn);

#endif
