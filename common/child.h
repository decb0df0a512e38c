/* SPDX-License-Identifier: ISC */
/*
 * child.h - what every process below clawd does alike.
 *
 * A process is a struct child: what it prepares before its sandbox closes,
 * which messages it handles, how it takes a configuration, starts and drains.
 * child_run() does the rest in the one right order: log, counters, prepare,
 * sandbox, HELLO, event loop. The fixed descriptors are policy/descriptors.def
 * and 0 to 4 as written there.
 */
#ifndef CLAW_COMMON_CHILD_H
#define CLAW_COMMON_CHILD_H

#include <event2/event.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"
#include "common/proc.h"

#define CHILD_PARENT_FD 3
#define CHILD_COUNTERS_FD 4

/* Numbers of policy/descriptors.def: DESC_AUDIT_DIR = 5, ... */
enum child_desc {
#define DESC(id, proc, number, rights, what) DESC_##id = (number),
#include "policy/descriptors.def"
#undef DESC
};

struct child {
	enum proc self;
	/* Messages beyond start, stop and reload; end with {0, NULL}. */
	const struct chan_handlers *from_parent;
	const struct chan_handlers *from_peers;
	/* Before the sandbox: libraries, anything that opens files. */
	void (*prepare)(void);
	/*
	 * The process's CONFIG message: check it and keep it aside. NULL, or
	 * why it cannot be taken (static text). commit and abort follow.
	 */
	uint16_t config;
	const char *(*stage)(struct msg *m);
	void (*commit)(void);
	void (*abort)(void);
	/* Configuration and siblings are there. Ends with child_ready(). */
	void (*start)(void);
	/*
	 * A sibling's channel is new, or about to be freed (all who waited
	 * for its answers are called with NULL then). Either may be NULL.
	 */
	void (*peer_up)(struct chan *c);
	void (*peer_down)(struct chan *c);
	/* Take nothing new; ends with child_drained(). NULL: nothing to do. */
	void (*drain)(uint32_t timeout_ms);
};

/* Never returns. */
__attribute__((noreturn)) void
child_run(const struct child *child, int argc, char **argv);

struct event_base *child_base(void);

/*
 * The channel to clawd, and to a sibling of the suite (NULL while there is
 * none). Channels to workers are many and have no place here: their requests
 * say who asks by child_session().
 */
struct chan *child_parent(void);
struct chan *child_peer(enum proc peer);

/*
 * Takes a descriptor as the channel to a worker that clawd has started for
 * us. It is served like a sibling's; who asked for the worker lets it go with
 * child_worker_end(). NULL when out of memory (fd is closed).
 */
struct chan *child_worker(enum proc worker, uint32_t session, int fd);
void child_worker_end(struct chan *c);
/*
 * Has clawd end a worker of ours, whose channel may be gone: what it said last,
 * and what is wrong with it. It is on record as a violation.
 */
void child_worker_accuse(enum proc worker, uint32_t session, uint16_t type,
    const char *reason);

/*
 * The session of a channel to or from a worker, as clawd tagged it; 0 for a
 * sibling's.
 */
uint32_t child_session(const struct chan *c);

/*
 * A number for a channel that no other ever has, and the channel of that
 * number, NULL when it has gone: who answers later keeps this and no pointer,
 * which the channel of a successor may have again.
 */
uint64_t child_serial(const struct chan *c);
struct chan *child_with(uint64_t serial);

/* Answers START and DRAIN. child_drained() does not return. */
void child_ready(void);
__attribute__((noreturn)) void child_drained(void);

/*
 * For a handler that finds what the schema cannot express but an honest
 * sender never sends: closes the channel and has the sender ended.
 */
void child_violation(struct chan *c, const struct msg *m, const char *reason);

#endif
