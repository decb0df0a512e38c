/* SPDX-License-Identifier: ISC */
/*
 * demo.h - the stage of claw demo: temporary nodes, copies of a log, and what
 * is done to them.
 */
#ifndef CLAW_CLAW_DEMO_H
#define CLAW_CLAW_DEMO_H

#include <sys/types.h>

#include <limits.h>
#include <signal.h>
#include <stdbool.h>

#include "claw/api.h"

#define DEMO_PATH_MAX 256
#define DEMO_ANSWER_MS 5000

/* The temporary folder, and the program that nodes are made of. */
struct demo_place {
	char top[DEMO_PATH_MAX];
	char clawd[PATH_MAX];
};

struct demo_node {
	const char *clawd;
	const char *name;
	char dir[DEMO_PATH_MAX + 16];
	char config[DEMO_PATH_MAX + 32];
	char log[DEMO_PATH_MAX + 32];	 /* its audit directory */
	char output[DEMO_PATH_MAX + 32]; /* what its processes say */
	char address[32];
	int notify;  /* socket that clawd says READY=1 to */
	pid_t pid;   /* clawd's, 0: not running */
	bool ending; /* it was told to stop */
	struct conf conf;
};

/* alpha, beta, which joins it, and a node that would like to be beta. */
struct demo {
	const struct cmd *cmd;
	struct demo_place place;
	struct demo_node alpha, beta, impostor;
	char vkey[512];
	char expect[128]; /* SIZE:ROOT */
	char early[128];  /* of the checkpoint of an hour ago, so to speak */
	unsigned int step;
	unsigned int held, failed;
	json_t *steps;
};

/* The signal that ends the demo early, 0 until then. */
extern volatile sig_atomic_t demo_interrupted;

/* A heading, and a thing that must be so; returns good. */
void demo_step(struct demo *, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool demo_held(struct demo *, bool good, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Acts. False: what follows has nothing to stand on. */
bool demo_join(struct demo *);
bool demo_attest(struct demo *);
bool demo_impostor(struct demo *);
bool demo_send(struct demo *);
bool demo_revoke(struct demo *);

/* Makes the temporary folder, for `uid`, and what clawd needs if that user
 * could not reach the installation. False after saying why on stderr. */
bool demo_folder(struct demo_place *p, uid_t uid);
void demo_remove(const char *top);

/* A node that is to be made in a folder of the place. */
void demo_node(struct demo_node *n, const struct demo_place *place,
    const char *folder, const char *name);
/* Each: false after saying why on stderr. ticket: the invite to join by, or
 * NULL. */
bool demo_init(struct demo_node *n, const char *ticket, char *const envp[]);
bool demo_load(struct demo_node *n);
bool demo_start(struct demo_node *n, char *const envp[]);
/* Tells it to stop; demo_stop() also waits. */
void demo_end(struct demo_node *n);
bool demo_stop(struct demo_node *n);
/* The line after the one with `before` in what its programs said. */
bool demo_said(const struct demo_node *n, const char *before, char *out,
    size_t size);

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
