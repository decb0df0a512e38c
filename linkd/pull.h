/* SPDX-License-Identifier: ISC */
/*
 * pull.h - lines of the registry over a link, in both directions.
 */
#ifndef CLAW_LINKD_PULL_H
#define CLAW_LINKD_PULL_H

#include <stdint.h>

#include "common/chan.h"
#include "linkd/frame.h"

/*
 * The peer's registry, by WELCOME or HAVE: pulled if it has what we lack.
 * turns: digest of its rotations, NULL: not said.
 */
void pull_if_newer(uint64_t seq, const uint8_t *turns);
/* LINK_PULL: answered when it is over. */
void pull_on_request(struct chan *c, struct msg *m);

void pull_on_lines(const struct frame *f);
void pull_on_pull(const struct frame *f);

#endif
