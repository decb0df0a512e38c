/* SPDX-License-Identifier: ISC */
/*
 * show.h - what operators ask and order.
 */
#ifndef CLAW_SFTD_SHOW_H
#define CLAW_SFTD_SHOW_H

#include "common/chan.h"

/* Messages of controld. */
void show_on_show(struct chan *c, struct msg *m);
void show_on_order(struct chan *c, struct msg *m);
void show_on_receipt(struct chan *c, struct msg *m);

#endif
