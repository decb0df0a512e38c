/* SPDX-License-Identifier: ISC */
/*
 * methods.h - what controld does for each method of policy/methods.def.
 */
#ifndef CLAW_CONTROLD_METHODS_H
#define CLAW_CONTROLD_METHODS_H

#include <stdint.h>

#include "common/msg.h"
#include "controld/client.h"

/* Does what was asked, and answers now or later. */
void methods_request(struct request *r);

/* What the answers contain, as clawd told it last. */
void methods_set_node(const char *name);
void methods_set_process(const struct msg_PROC_STATUS *status);

/* controld is about to end: no order is passed on any more. */
void methods_drain(void);

/* Orders that clawd has not answered by now are answered as taken. */
void methods_give_up(void);

#endif
