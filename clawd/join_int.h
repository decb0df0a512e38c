/* SPDX-License-Identifier: ISC */
/*
 * join_int.h - what the rooms of a join share: who joins what, the processes
 * that were started for it, and how far it is.
 *
 *	join.c		the command: ticket, keys and configuration on the disk
 *	join_suite.c	the processes, each told what it works with
 *	join_link.c	the session with the inviter
 *	join_file.c	the same without a session: a request, a registry
 */
#ifndef CLAW_CLAWD_JOIN_INT_H
#define CLAW_CLAWD_JOIN_INT_H

#include <event2/event.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "clawd/init.h"
#include "clawd/newnode.h"
#include "common/chan.h"
#include "common/joinreq.h"
#include "common/ticket.h"

#define EX_TEMPFAIL 75
#define EX_NOPERM 77

/* A process that was started for this. */
struct join_process {
	enum proc proc;
	pid_t pid;
	struct chan *chan;  /* clawd's */
	struct chan *meshd; /* meshd's, which is us */
	void (*ready)(void);
};

struct joining {
	struct newnode nn;
	char name[TICKET_NAME_MAX + 1];
	struct ticket ticket; /* cleared at the end, its seed before */
	struct event_base *base;
	struct join_process keyd, attestd, linkd;
	struct event *again; /* the next attempt, or the next question */
	uint32_t session;
	int key_fd, next_fd, socket_fd;
	bool key_is_new;
	char code[RECOVERY_TEXT_SIZE]; /* wiped when it was shown */
	uint8_t identity[32], sealing[32];
	uint8_t nonce[32];
	bool role_set, opened, served;
	size_t addr;
	bool waits; /* the inviter knows us, and somebody has to say yes */
	unsigned int drops;  /* links that were up, and then not */
	unsigned int rounds; /* through all addresses, since one was up */
	char told[256];
	char why[512]; /* the last thing that went wrong */
	int status;
	bool joined;
	/* By file: */
	struct joinreq request;
	bool requested;
	FILE *lines;
	struct chan *as_linkd;
};

extern struct joining joining;

/* The end: why NULL for a good one. */
void join_leave(int status, const char *why);

/* join.c */
/* New keys get the names under which an attempt finds them again. */
bool join_keep_keys(void);

/* join_suite.c */
/* Runs until something ends it. */
void join_run(void);
/* Starts one; ready is called when it may be talked to. False: it is over. */
bool join_start(struct join_process *h, enum proc p, void (*ready)(void));
void join_end(struct join_process *h);
/* A channel between two of them; b NULL: to us, in meshd's place. */
void
join_connect(struct join_process *a, struct join_process *b, uint32_t session);
/* What may come over a channel of ours. */
extern const struct chan_ops join_ops;
/* REFUSED, or no answer any more: then it is over. */
bool join_given_up(const struct msg *m);
/* Does the registry, as attestd holds it, name us? Then it is done. If it does
 * not yet, not_yet is the exit status. */
void join_try_finish(int not_yet);

/* join_link.c */
/* The ticket's addresses, from the one that is up next. */
void join_next_address(void);
/* This session is over: the next address, from the event loop. */
void join_next_session(void);
/* The timer of both: the next attempt, or the next question. */
void join_prepare_link(void);
void join_on_link_up(struct chan *c, struct msg *m);
void join_on_link_down(struct chan *c, struct msg *m);

/* join_file.c */
/* What --request and --complete need. The exit status; 0: go on. */
int join_take_file(const struct init_opts *opts);
void join_sign_request(struct chan *keyd);
int join_write_request(void);
/* A registry of a file, as a linkd would bring it. */
void join_stand_for_linkd(void);
void join_offer_lines(void);

#endif
