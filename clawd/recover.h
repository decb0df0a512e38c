/* SPDX-License-Identifier: ISC */
/*
 * recover.h - `claw node:recover`: keys/node.key is lost.
 */
#ifndef CLAW_CLAWD_RECOVER_H
#define CLAW_CLAWD_RECOVER_H

#include <stdbool.h>

/*
 * Reads the recovery code from standard input. The next key takes the place
 * of the one that is lost; what is left of that is kept as node.key.lost.
 * suite.conf is the node's, which does not run. The process's exit status.
 */
int recover_node(bool insecure);

/* A start: what was cut off between its two files is finished. */
void recover_finish(void);

#endif
