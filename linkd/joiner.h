/* SPDX-License-Identifier: ISC */
/*
 * joiner.h - the other end of join.h: this node asks to be added.
 */
#ifndef CLAW_LINKD_JOINER_H
#define CLAW_LINKD_JOINER_H

#include "common/chan.h"
#include "linkd/frame.h"

/* LINK_JOIN: answered with what the inviter says. May come again. */
void joiner_on_request(struct chan *c, struct msg *m);
void joiner_on_joined(const struct frame *f);

#endif
