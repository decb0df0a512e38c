/* SPDX-License-Identifier: ISC */
/*
 * join.h - a node that wants to be one of us, on a link of claw-join/1.
 */
#ifndef CLAW_LINKD_JOIN_H
#define CLAW_LINKD_JOIN_H

#include <stdbool.h>

#include "linkd/frame.h"

void join_on_join(const struct frame *f);
/* It was added: it may have the registry. */
bool join_is_done(void);
/* The peer has shown the ticket: until then nothing is known of it. */
bool join_has_ticket(void);

#endif
