/* SPDX-License-Identifier: ISC */
/*
 * tree.h - folders that have come whole, as one file: unpacked by workers.
 *
 * What is in a bundle is a peer's, so it is not looked at here: an unpackd
 * gets it, and the one empty directory that it goes to. What a worker has made
 * is its user's, so it is workers too that take it away again.
 */
#ifndef CLAW_SFTD_TREE_H
#define CLAW_SFTD_TREE_H

#include <stdint.h>

#include "common/chan.h"
#include "sftd/partial.h"

struct tree;

void tree_prepare(void);
/* sftd is ready: clawd starts workers for it. */
void tree_begin(void);

/*
 * Unpacks a transfer's file into its tree, durably. then is called once, from
 * the event loop: code 0, or of common/sftframe.h with words. NULL: that cannot
 * be begun.
 */
struct tree *tree_unpack(const struct partial *p,
    void (*then)(void *arg, uint8_t code, const char *text), void *arg);
/* Nobody wants it any more; nobody is called. NULL is allowed. */
void tree_let_go(struct tree *t);

/* A worker's channel has ended. */
void tree_forget(struct chan *c);
/* WORKER_ENDED: whether it was one of these. */
bool tree_on_worker_ended(const struct msg *m);

#endif
