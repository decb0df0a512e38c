/* SPDX-License-Identifier: ISC */
/*
 * sandbox_int.h - what the sandbox's own files share, and nobody else.
 */
#ifndef CLAW_COMMON_SANDBOX_INT_H
#define CLAW_COMMON_SANDBOX_INT_H

#include "common/sandbox.h"

/* Sets of processes, as the tables write them. */
#define P(id) PROC_BIT(PROC_##id)
#define P_ALL ((PROC_BIT(PROC_MAX) - 1) & ~PROC_BIT(PROC_CLAWD))

/*
 * Write "<what>: <detail>: <strerror(err)>" into the report; returns -err.
 * detail may be NULL.
 */
int sandbox_fail(struct sandbox_report *rep, const char *what,
    const char *detail, int err);

/* Inode number of /proc/self/ns/<name>, or 0. */
uint64_t sandbox_namespace(const char *name);

/*
 * Empty the bounding set where we may, and the effective, permitted,
 * inheritable and ambient sets always; 0 or a negative errno.
 */
int sandbox_drop_bounding(void);
int sandbox_drop_capabilities(void);

/*
 * A user namespace that knows one user and one group, our own under their own
 * numbers, and in it the namespaces asked for (CLONE_NEW*). 0 or a negative
 * errno; then it may be in some of them, and there is no way back. The other
 * one tries that in a child.
 */
int sandbox_unshare(int flags);
int sandbox_try_unshare(int flags);

/* Whether the effective, permitted, inheritable and ambient sets are empty. */
bool sandbox_has_no_capabilities(void);

/* What the probes have to know and cannot learn inside. */
struct sandbox_origin {
	struct sandbox_given given;
	bool told;	/* given is from clawd */
	int status_fd;	/* /proc/self/status, -1 once it was read */
	uint64_t netns; /* our own */
	uint64_t ipcns;
	uint64_t utsns;
};

/* Hand the above to the probes, once. */
void sandbox_probe_prepare(const struct sandbox_origin *origin);

/* The probes have read what they need of /proc; close it. */
void sandbox_probe_close(void);

#endif
