/* SPDX-License-Identifier: ISC */
/*
 * demo.h - the stage of claw demo: a temporary node, copies of its log, and
 * what is done to them.
 */
#ifndef CLAW_CLAW_DEMO_H
#define CLAW_CLAW_DEMO_H

#include <sys/types.h>

#include <limits.h>
#include <stdbool.h>

#include "claw/api.h"

#define DEMO_PATH_MAX 256 /* a socket's name has to fit as well */

struct demo_node {
	char top[DEMO_PATH_MAX]; /* the temporary folder */
	char config[DEMO_PATH_MAX + 16];
	char log[DEMO_PATH_MAX + 16]; /* its audit directory */
	char clawd[PATH_MAX];
	int notify; /* socket that clawd says READY=1 to */
	pid_t pid;  /* clawd's, 0: not running */
	struct conf conf;
};

/* Makes the temporary folder, for `uid`, and what clawd needs if that user
 * could not reach the installation. False after saying why on stderr. */
bool demo_folder(struct demo_node *n, uid_t uid);
void demo_remove(const char *top);

/* Each: false after saying why on stderr. */
bool demo_init(struct demo_node *n, char *const envp[]);
bool demo_start(struct demo_node *n, char *const envp[]);
bool demo_stop(struct demo_node *n);

/* Copies of the log. */
bool demo_copy(const char *from, const char *to);
/* The newest shard's folder below an audit directory. */
bool demo_shard(const char *audit, char *out, size_t size);
/* SIZE:ROOT of the newest checkpoint. */
bool demo_checkpoint(const char *audit, char *out, size_t size);
/* One bit of the line in the middle; *where is its offset. */
bool demo_flip(const char *audit, long *where);
/* The line in the middle is taken out; *which is its number, from 0. */
bool demo_cut_line(const char *audit, long *which);

#endif
