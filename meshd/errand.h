/* SPDX-License-Identifier: ISC */
/*
 * errand.h - connections made for one purpose, and ended when it is served.
 */
#ifndef CLAW_MESHD_ERRAND_H
#define CLAW_MESHD_ERRAND_H

#include "common/chan.h"

/* PULL_WANTED: the registry is to be pulled from that peer. */
void errand_on_pull_wanted(struct chan *c, struct msg *m);

/* TRY_PEER: how long does it take, and what does the peer say? */
void errand_on_try(struct chan *c, struct msg *m);
/* Nobody of this channel is to be answered any more. */
void errand_forget(struct chan *c);

#endif
