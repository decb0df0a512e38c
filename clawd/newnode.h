/* SPDX-License-Identifier: ISC */
/*
 * newnode.h - the folders and files of a node that is being made.
 *
 * What claw init does alone (init.c) and with an invitation (join.c) ends the
 * same way: a node exists when its configuration does, and that is written
 * last.
 */
#ifndef CLAW_CLAWD_NEWNODE_H
#define CLAW_CLAWD_NEWNODE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "clawd/init.h"
#include "clawd/place.h"
#include "common/conf.h"
#include "common/recovery.h"

#define EX_DATA 65
#define EX_CANTCREAT 73
#define EX_CONFIG 78

struct newnode {
	const struct init_opts *opts;
	const char *name;
	struct conf conf;
	char file[CONF_PATH_MAX]; /* claw.yaml */
	uint8_t genesis[32];
	char peers[1024];	/* for node.sync.gossip_peers */
	struct netaddr_list at; /* where others reach it */
};

/* The configuration as it will be, checked before anything is made. */
bool newnode_plan(struct newnode *n);
/* The folders; and nobody else makes a node there at the same time. */
bool newnode_make(struct newnode *n);

/* claw.yaml: from here on there is a node. */
bool newnode_write_conf(const struct newnode *n);
/* What was made, on standard output. */
void newnode_say(const struct newnode *n, const uint8_t identity[32]);
/* The recovery code, once, past every buffer; then it is wiped. */
void newnode_say_code(char code[RECOVERY_TEXT_SIZE]);

#endif
