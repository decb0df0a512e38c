/* SPDX-License-Identifier: ISC */
/*
 * proc.h - the names of the house's processes.
 *
 * The list itself is policy/processes.def. What a process does between exec
 * and its event loop is in common/child.h.
 */
#ifndef CLAW_COMMON_PROC_H
#define CLAW_COMMON_PROC_H

#include <stdbool.h>
#include <stdint.h>

enum proc {
#define PROC(id, name, kind, network, user, purpose) PROC_##id,
#include "policy/processes.def"
#undef PROC
	PROC_MAX,
/* Those that run as long as the node does come before this one. */
#define SUITE 1
#define WORKER 0
#define PROC(id, name, kind, network, user, purpose) +kind
	PROC_SUITE_END = 0
#include "policy/processes.def"
#undef PROC
#undef SUITE
#undef WORKER
};

/* Bit of a process in a set of processes. */
#define PROC_BIT(p) ((uint32_t)1 << (unsigned int)(p))

/* Name as in processes.def; "?" for a number out of range. */
const char *proc_name(enum proc p);

/* The process of that name, or PROC_MAX. */
enum proc proc_by_name(const char *name);

/* Account it runs as under root, without the prefix; "" for clawd. */
const char *proc_user(enum proc p);

/* Whether the process may ever see the host's network. */
bool proc_has_network(enum proc p);

#endif
