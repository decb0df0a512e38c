/* SPDX-License-Identifier: ISC */
/*
 * commit.h - the receiving end's thread that makes durable.
 *
 * Chunks whose hash was right wait here. Data first, then the journal's
 * records of it, then the word to the peer: whatever a crash leaves, no chunk
 * is claimed that is not there.
 */
#ifndef CLAW_XFERD_COMMIT_H
#define CLAW_XFERD_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sftjournal.h"

/* False: no thread. The journal is this thread's until commit_is_idle(). */
bool commit_begin(struct sftjournal *journal);

/*
 * With the lock: a chunk that was written; waits while there is no room. left:
 * chunks that are still to come after it. False: the transfer has ended.
 */
bool commit_add(const struct sftjournal_claim *claim, uint32_t left);

/* With the lock: nothing waits, and nothing is being done. */
bool commit_is_idle(void);

#endif
