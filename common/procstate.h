/* SPDX-License-Identifier: ISC */
/*
 * procstate.h - the states of a process as clawd tells them.
 *
 * clawd puts the number into PROC_STATUS, controld hands it on by name to
 * `claw status` and `claw doctor`.
 */
#ifndef CLAW_COMMON_PROCSTATE_H
#define CLAW_COMMON_PROCSTATE_H

enum procstate {
	PROCSTATE_DOWN,	    /* not running, and not about to */
	PROCSTATE_STARTING, /* forked, not ready yet */
	PROCSTATE_READY,
	PROCSTATE_DRAINING, /* finishes what it has, then ends */
	PROCSTATE_WAITING,  /* has ended and will be started again */
	PROCSTATE_MAX
};

static inline const char *
procstate_name(unsigned int state)
{
	static const char *const names[PROCSTATE_MAX] = { "down", "starting",
		"ready", "draining", "waiting to be restarted" };

	return state < PROCSTATE_MAX ? names[state] : "unknown";
}

#endif
