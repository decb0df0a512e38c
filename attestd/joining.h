/* SPDX-License-Identifier: ISC */
/*
 * joining.h - attestd while this node does not exist yet (claw init --join).
 *
 * The registry is pulled from the inviter, who is known by the ticket, and is
 * held to the ticket's genesis. It is written when it names this node with
 * exactly the keys it has, and not before.
 */
#ifndef CLAW_ATTESTD_JOINING_H
#define CLAW_ATTESTD_JOINING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"
#include "common/evidence.h"

/* clawd said so before the start. */
bool joining_now(void);
void joining_on_begin(struct chan *c, struct msg *m);

/* An empty registry, or what an attempt before this one wrote. */
void joining_start(int dirfd);

/* Why this leaf is not the inviter's; NULL if it is. */
const char *joining_refuses(const struct evidence *leaf,
    const uint8_t sig[EVIDENCE_SIG_LEN]);

/* Lines, kept in memory. */
void joining_on_offer(struct chan *c, struct msg *m);
/* Does the registry name us? Then it is written. */
void joining_on_check(struct chan *c, struct msg *m);

#endif
