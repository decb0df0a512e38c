/* SPDX-License-Identifier: ISC */
/*
 * init.h - `claw init`: a new node.
 */
#ifndef CLAW_CLAWD_INIT_H
#define CLAW_CLAWD_INIT_H

#include <stdbool.h>

struct init_opts {
	const char *dir; /* NULL: the system's folders */
	const char *name;
	const char *listen; /* NULL: the default */
	bool insecure;
};

/*
 * Makes folders, keys, the registry's first line and claw.yaml, in this
 * order: a node exists when its configuration does. Keys are made by keyd in
 * unnamed files. The process's exit status.
 */
int init_node(const struct init_opts *opts);

#endif
