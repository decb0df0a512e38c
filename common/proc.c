/* SPDX-License-Identifier: ISC */
/*
 * proc.c - the names of the house's processes, from policy/processes.def.
 */
#include <string.h>

#include "common/proc.h"

enum { NETWORK_NO, NETWORK_YES };

static const struct {
	const char *name;
	const char *user;
	bool network;
} procs[PROC_MAX] = {
#define PROC(id, name, kind, network, user, purpose)                           \
	[PROC_##id] = { name, user, network == NETWORK_YES },
#include "policy/processes.def"
#undef PROC
};

const char *
proc_name(enum proc p)
{
	return (unsigned int)p < PROC_MAX ? procs[p].name : "?";
}

enum proc
proc_by_name(const char *name)
{
	unsigned int i;

	for (i = 0; i < PROC_MAX; i++)
		if (strcmp(procs[i].name, name) == 0)
			return (enum proc)i;
	return PROC_MAX;
}

const char *
proc_user(enum proc p)
{
	return (unsigned int)p < PROC_MAX ? procs[p].user : "";
}

bool
proc_has_network(enum proc p)
{
	return (unsigned int)p < PROC_MAX && procs[p].network;
}
