/* SPDX-License-Identifier: ISC */
/*
 * suite.h - the processes of the node, as clawd runs them.
 *
 *	suite.c      who runs, in which order they start and stop
 *	boot.c       from fork to READY: proof of the sandbox, keys,
 *	             configuration, channels to siblings
 *	supervise.c  ends, silence and violations: policy/supervision.def
 *	reload.c     a new configuration, in two phases
 *	worker.c     processes started for one job, at a broker's request
 *	order.c      what operators want
 *
 * A slot is a place in the house (one for each process name), an instance is
 * one life of the process in it. While a process is replaced gracefully its
 * slot has two instances: the one that serves and the one that drains.
 */
#ifndef CLAW_CLAWD_SUITE_H
#define CLAW_CLAWD_SUITE_H

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>

#include <stdbool.h>
#include <stdint.h>

#include "clawd/spawn.h"
#include "common/chan.h"
#include "common/conf.h"
#include "common/counters.h"
#include "common/procstate.h"

struct instance {
	TAILQ_ENTRY(instance) entry;
	enum proc proc;
	pid_t pid;
	struct chan *chan; /* NULL once it is closed */
	enum procstate state;
	bool expected;		/* we have asked it to end */
	char why[64];		/* why we killed it, if we did */
	struct event *deadline; /* to become ready, or to drain */
	uint64_t ready_ms;	/* CLOCK_BOOTTIME */
	uint64_t started_ms;	/* wall clock */
	uint64_t pinged_ms;	/* 0: no PING is unanswered */
	uint32_t generation;	/* configuration it has */
	uint32_t layers, probes, failed, missing;
	bool connected;	       /* has its channels, and was told to start */
	uint32_t session;      /* a worker's, as its channels are tagged */
	struct worker *worker; /* its job, if it is a worker */
};

enum on_end { ON_END_RESTART, ON_END_STOP_SUITE, ON_END_REPORT };
enum graceful { GRACEFUL_OVERLAP, GRACEFUL_SERIAL, GRACEFUL_KEEP };

struct slot {
	struct instance *cur;
	struct instance *next; /* about to take over from cur */
	int page;	       /* counter page, read-only */
	uint32_t ends;	       /* that nobody asked for */
	uint32_t backoff_ms;
	struct event *restart;
	char last_end[128];
};

enum suite_state {
	SUITE_STARTING,
	SUITE_RUNNING,
	SUITE_STOPPING,
	SUITE_WAITING /* stopped, until the back-off is over */
};

TAILQ_HEAD(instances, instance);

struct suite {
	struct event_base *base;
	struct spawn spawn;
	struct conf conf; /* in force */
	uint32_t generation;
	enum suite_state state;
	bool ever_ran;	  /* all have been ready once */
	bool exit_wanted; /* what STOPPING leads to */
	int exit_status;
	uint32_t backoff_ms;
	uint64_t ran_ms; /* since when RUNNING */
	struct event *tick, *again;
	uint8_t cookie[32];
	uint8_t identity[32]; /* public keys, as keyd said them */
	uint8_t sealing[32];
	uint32_t sessions; /* the last that was given to a worker */
	struct slot slot[PROC_MAX];
	struct instances all;
};

extern struct suite suite;

/* suite.c */
void suite_start(void);
void suite_stop(int exit_status);
void suite_advance(void);
void suite_lost(enum proc p);	/* keyd or auditd: stop all, start again */
void suite_status(enum proc p); /* tell controld */
bool suite_ready(enum proc p);
void instance_drain(struct instance *in);
void instance_kill(struct instance *in, const char *why);
void instance_gone(struct instance *in); /* frees it */
uint64_t suite_now_ms(void);

/* boot.c */
struct instance *boot_start(enum proc p);
int boot_send_config(struct instance *in, const struct conf *conf,
    uint32_t generation, chan_done *done);
void boot_check_handlers(void);

/* supervise.c */
uint32_t supervise_backoff_min(enum proc p);
enum graceful supervise_graceful(enum proc p);
void supervise_children(void); /* SIGCHLD */
void supervise_tick(void);     /* once a second */
void supervise_violation(struct chan *c, uint16_t type, const char *reason);
void supervise_closed(struct chan *c);
void supervise_on_report(struct chan *c, struct msg *m); /* VIOLATION */

/* worker.c */
void worker_on_start(struct chan *c, struct msg *m); /* WORKER_START */
void worker_connect(struct instance *in);
void worker_ready(struct instance *in);
void worker_gone(struct instance *in, const char *how);
uint32_t worker_ready_ms(enum proc p);
struct instance *worker_of(enum proc p, uint32_t session);

/* reload.c: done is called once, ok or not, with a text for the operator. */
typedef void order_done(bool ok, const char *text, void *arg);
void reload_start(order_done *done, void *arg);

/* order.c: what controld passes on from operators. */
void order_on_reload(struct chan *c, struct msg *m);
void order_on_restart(struct chan *c, struct msg *m);
void order_on_shutdown(struct chan *c, struct msg *m);
void order_advance(void); /* an instance became ready, or has gone */

#endif
