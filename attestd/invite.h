/* SPDX-License-Identifier: ISC */
/*
 * invite.h - an invite, as attestd keeps it.
 *
 *	open	waits for somebody with its ticket
 *	waiting	somebody has come with keys; an operator has to say yes
 *	used	these keys may be added, and no others ever
 *	closed	withdrawn, or the operator said no
 *	expired	nobody came in time
 *	void	keyd's permit for it has gone, with a restart
 *
 * The ticket itself is not here: only its key's public half.
 */
#ifndef CLAW_ATTESTD_INVITE_H
#define CLAW_ATTESTD_INVITE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/netaddr.h"
#include "common/regupdate.h"

#define INVITES_MAX 64

enum invite_state {
	INVITE_IS_OPEN = 0,
	INVITE_IS_WAITING = 1,
	INVITE_IS_USED = 2,
	INVITE_IS_CLOSED = 3,
	INVITE_IS_EXPIRED = 4,
	INVITE_IS_VOID = 5
};

/* INVITE_IS_OPEN and so on as a person reads it. */
const char *invite_state_name(enum invite_state state);

struct invite {
	char name[REGISTRY_NAME_SIZE];
	uint8_t ticket[32];
	uint64_t capabilities;
	uint64_t expiry_s; /* since 1970 */
	bool confirm;
	uint8_t pinned[32]; /* all 0: any key */
	enum invite_state state;
	/* From waiting on: who came first. */
	bool has_keys;
	uint8_t identity[32], sealing[32], next_hash[32];
	struct netaddr_list at; /* where it says that others reach it */
	/* An authority's signature is there, others are missing. */
	char proposal[REGISTRY_LINE_MAX + 1];

	/* Not kept: */
	bool busy;	     /* a record or a signature is under way */
	bool recorded;	     /* that it was used, in this life */
	unsigned int reuses; /* of its ticket by others, in this life */
};

/* invite_file.c: the file "invites" below dirfd, replaced as a whole. */

/* How many are there (0: no file), or -errno; -EBADMSG: it is no such file. */
int invite_file_load(int dirfd, struct invite *all, unsigned int max);
/* Durable when it returns. 0 or -errno. */
int invite_file_save(int dirfd, const struct invite *all, unsigned int count);

#endif
