/* SPDX-License-Identifier: ISC */
/*
 * suitekit.h - the real keyd and auditd, started as clawd starts them.
 *
 * The kit takes clawd's place: it gives birth to both processes in their
 * sandboxes, hands over keys, configuration and channels, keeps the copy of
 * the last checkpoint, and plays any number of siblings that write records.
 * Everything runs in the caller's thread, inside the kit's event loop.
 */
#ifndef TESTS_SUITEKIT_H
#define TESTS_SUITEKIT_H

#include <event2/event.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/auditrec.h"
#include "common/chan.h"
#include "common/conf.h"

struct suitekit;

struct suitekit_opts {
	const char *dir;     /* a node that `clawd --init` has made */
	const char *libexec; /* where keyd and auditd are */
	const char *preload; /* a library to load into both, or NULL */
	const char *faults;  /* its shared page (faults.h), or NULL */
	int log_fd;	     /* descriptor 2 of both */
};

/* Values of claw.yaml that a caller may change between starts. */
struct conf *suitekit_conf(struct suitekit *);

struct suitekit *suitekit_new(const struct suitekit_opts *);
void suitekit_free(struct suitekit *);

/*
 * As root: become an account that nobody has, for good, and give it dir. The
 * kit works as an ordinary user does. *libexec is replaced by a copy below
 * dir that this account can reach.
 */
void suitekit_drop_root(const char *dir, const char **libexec);

/* A new node in dir, by the clawd beside libexec. 0 or -1. */
int suitekit_init_node(const char *libexec, const char *dir);

/* Both to READY: 0, or -1 with everything ended again. */
int suitekit_start(struct suitekit *);

/* Drain both, as `clawd` stops: 0 if both ended with 0. */
int suitekit_stop(struct suitekit *);

/* SIGKILL to one of them; nobody is waited for. */
void suitekit_kill(struct suitekit *, enum proc);

/* SIGKILL to both, wait, free all channels. */
void suitekit_end(struct suitekit *);

/* Whether neither has ended. */
bool suitekit_alive(const struct suitekit *);
pid_t suitekit_pid(const struct suitekit *, enum proc);

struct event_base *suitekit_base(struct suitekit *);
/* Handle what is there, waiting at most that long for it to come. */
void suitekit_turn(struct suitekit *, uint32_t ms);

/*
 * One more channel to auditd, as that sibling (clawd: the one there is).
 * *out becomes NULL when it is closed; its waiters are called before.
 */
void suitekit_writer(struct suitekit *, enum proc as, struct chan **out);

/* Close such a channel: that sibling is dead. */
void suitekit_drop(struct suitekit *, struct chan **);

/* Send a record; done is called once (chan.h). False if it cannot be. */
bool suitekit_append(struct chan *, struct auditrec *, chan_done *, void *arg);

#endif
