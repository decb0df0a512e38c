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

/* The methods that have rooms of their own: peers.c */
void peers_ping(struct request *r);
void peers_why(struct request *r);
void peers_links(struct request *r);
/* lines.c */
void lines_show(struct request *r);
void lines_read(struct request *r);
void lines_import(struct request *r);
void lines_submit(struct request *r);
/* updates.c */
void updates_order(struct request *r);
void updates_propose(struct request *r);
void updates_inspect(struct request *r);
void updates_sign(struct request *r);
/* clock.c */
void clock_reset(struct request *r);
/* invites.c */
void invites_open(struct request *r);
void invites_list(struct request *r);
void invites_answer(struct request *r);
/* authority.c */
void authority_show(struct request *r);
/* rotation.c */
void rotation_order(struct request *r);
/* files.c */
void files_send(struct request *r);
void files_list(struct request *r);
void files_order(struct request *r);
void files_receipt(struct request *r);
/* tokens.c */
void tokens_mint(struct request *r);
void tokens_check(struct request *r);

/* Orders that clawd has not answered by now are answered as taken. */
void methods_give_up(void);

#endif
