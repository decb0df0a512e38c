/* SPDX-License-Identifier: ISC */
/*
 * spawn.h - fork and exec of a process, with exactly what it may hold.
 *
 * A child gets /dev/null as 0 and 1, the log as 2, its channel as 3, its
 * counter page as 4, and what policy/descriptors.def names from 5 on; every
 * other descriptor is closed. Its environment is empty but for how to log.
 */
#ifndef CLAW_CLAWD_SPAWN_H
#define CLAW_CLAWD_SPAWN_H

#include <sys/types.h>

#include <stdbool.h>

#include "common/conf.h"
#include "common/proc.h"

/* Sockets that clawd keeps while processes come and go; -1: none. */
struct spawn_listen {
	int control;
	int metrics;
	int metrics_tcp;
	int mesh;
	int sft;
};

struct spawn {
	const struct conf *conf;
	struct spawn_listen listen;
	int log_fd;	   /* where descriptor 2 leads */
	bool log_priority; /* whether lines begin with "<N>" */
	bool insecure;	   /* --insecure-no-sandbox, sanitizer builds only */
};

/*
 * Finds the folder of the processes' binaries, and out what namespaces a user
 * may have here. Once, before the first spawn_start() and before this process
 * stops being dumpable: then its children could not map users.
 */
void spawn_setup(void);

/* The folder found by spawn_setup(). */
const char *spawn_libexec(void);

/*
 * Starts process p. *channel is our end of its channel, *page its counter
 * page opened read-only. The pid, or -1 after saying why in the log.
 */
pid_t spawn_start(const struct spawn *s, enum proc p, int *channel, int *page);

#endif
