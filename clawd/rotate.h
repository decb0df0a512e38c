/* SPDX-License-Identifier: ISC */
/*
 * rotate.h - the files of a rotation of the node's keys.
 */
#ifndef CLAW_CLAWD_ROTATE_H
#define CLAW_CLAWD_ROTATE_H

#include "common/chan.h"

/* keyd's requests. */
void rotate_on_file(struct chan *c, struct msg *m);
void rotate_on_keep(struct chan *c, struct msg *m);
void rotate_on_done(struct chan *c, struct msg *m);
void rotate_on_drop(struct chan *c, struct msg *m);

/* keyd starts: the keys of a rotation that was interrupted, if there are. */
void rotate_hand_over(struct chan *keyd);

#endif
