/* SPDX-License-Identifier: ISC */
/*
 * init.h - `claw init`: a new node, with a registry of its own or in one that
 * there is.
 */
#ifndef CLAW_CLAWD_INIT_H
#define CLAW_CLAWD_INIT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/netaddr.h"

struct init_opts {
	const char *dir; /* NULL: the system's folders */
	const char *name;
	const char *listen; /* NULL: the default */
	/* Where others reach it; none given: as it listens. */
	const char *address[NETADDR_MAX];
	size_t addresses;
	bool insecure;
	bool no_recovery; /* no next key */
	/* Of a join: */
	const char *join;     /* "-": from stdin, "@FILE", or a ticket */
	const char *request;  /* write a request to this file */
	const char *complete; /* a registry that has added this node, */
	const char *genesis;  /* and the hash that it is held to */
};

/*
 * Makes folders, keys, the registry's first line and claw.yaml, in this
 * order: a node exists when its configuration does. Keys are made by keyd in
 * unnamed files. The process's exit status.
 */
int init_node(const struct init_opts *opts);

/*
 * The same for a node that joins a registry which others have. Keys are kept
 * as keys/node.key.joining from before anybody hears of them, so that the
 * same command goes on where it was interrupted. The process's exit status.
 */
int join_node(const struct init_opts *opts);

#endif
