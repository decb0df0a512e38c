/* SPDX-License-Identifier: ISC */
/*
 * authority.h - the file of this node's authority key, for keyd.
 */
#ifndef CLAW_CLAWD_AUTHORITY_H
#define CLAW_CLAWD_AUTHORITY_H

#include "common/chan.h"

#define AUTHORITY_FILE_NAME "authority.key"

/* keyd's requests. */
void authority_on_wanted(struct chan *c, struct msg *m);
void authority_on_file(struct chan *c, struct msg *m);
void authority_on_keep(struct chan *c, struct msg *m);

#endif
