/* SPDX-License-Identifier: ISC */
/*
 * rehearsal.h - when a worker that waits for a connection does a handshake with
 * itself (atls_rehearse()).
 *
 * Not at once: where connections come one upon the other, or one was waiting,
 * the processor has better to do, and such a worker never gets to it.
 */
#ifndef CLAW_COMMON_REHEARSAL_H
#define CLAW_COMMON_REHEARSAL_H

#include <stdbool.h>

#include "common/atls.h"

/*
 * Before the sandbox: what it needs is made. is_idle says whether there is
 * still nothing to do. Fatal where there is no memory or descriptor.
 */
void rehearsal_prepare(struct atls_ctx *ctx, bool (*is_idle)(void));

/* In the sandbox, after the last fork. Fatal, later, if TLS fails in it. */
void rehearsal_start(void);

#endif
