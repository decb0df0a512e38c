/* SPDX-License-Identifier: ISC */
/*
 * order.c - what controld passes on from operators: reload, restart, stop.
 *
 * A graceful restart goes through the processes one by one, as
 * policy/supervision.def says for each. The listening sockets are clawd's:
 * nobody who connects meanwhile is turned away.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clawd/record.h"
#include "clawd/suite.h"
#include "common/log.h"

/* Who waits for the end of an order; the channel may be gone by then. */
struct order {
	enum proc proc;
	pid_t pid;
	uint32_t id;
};

static struct {
	bool running;
	enum proc proc; /* being replaced */
	bool started;	/* its successor */
	pid_t old;	/* the one it replaces */
	struct order order;
} restart;

static struct chan *
order_chan(const struct order *o)
{
	struct instance *in;

	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->pid == o->pid && in->proc == o->proc)
			return in->chan;
	return NULL;
}

static struct order
order_of(struct chan *c, const struct msg *m)
{
	const struct instance *in = chan_arg(c);

	return (struct order){ in->proc, in->pid, m->id };
}

static void
answer(const struct order *o, bool ok, const char *text)
{
	struct chan *c = order_chan(o);
	struct msg m = { .id = o->id };
	struct msg_ORDER_DONE done = { 0 };

	if (c == NULL)
		return;
	if (!ok) {
		chan_refuse(c, &m, EINVAL, false, "%s", text);
		return;
	}
	snprintf(done.text, sizeof(done.text), "%s", text);
	(void)chan_send_ORDER_DONE(c, o->id, -1, &done);
}

static void
reloaded(bool ok, const char *text, void *arg)
{
	struct order *o = arg;

	answer(o, ok, text);
	free(o);
}

void
order_on_reload(struct chan *c, struct msg *m)
{
	struct order *o = malloc(sizeof(*o));

	if (o == NULL)
		fatalx("out of memory");
	*o = order_of(c, m);
	reload_start(reloaded, o);
}

void
order_on_shutdown(struct chan *c, struct msg *m)
{
	struct msg_ORDER_DONE done = { .text = "the node stops" };

	(void)chan_send_ORDER_DONE(c, m->id, -1, &done);
	suite_stop(EXIT_SUCCESS);
}

static void
restarted(bool ok, const char *text)
{
	restart.running = false;
	record_event(AUDIT_NODE_RESTART, ok ? AUDIT_OK : AUDIT_FAILED);
	log_info("graceful restart: %s", text);
	answer(&restart.order, ok, text);
}

/* Takes the next step if the last one is done. */
void
order_advance(void)
{
	struct slot *s;

	while (restart.running) {
		if (suite.state != SUITE_RUNNING) {
			restarted(false, "the node is stopping");
			return;
		}
		if (restart.proc == PROC_SUITE_END) {
			restarted(true, "all but keyd have been replaced");
			return;
		}
		s = &suite.slot[restart.proc];
		switch (supervise_graceful(restart.proc)) {
		case GRACEFUL_KEEP:
			break;
		case GRACEFUL_OVERLAP:
			if (!restart.started) {
				restart.started = true;
				if (boot_start(restart.proc) == NULL) {
					restarted(false, "cannot start");
					return;
				}
				return;
			}
			if (s->next != NULL)
				return; /* not ready yet */
			if (s->cur == NULL || s->cur->pid == restart.old) {
				restarted(false,
				    "a new process did not "
				    "become ready; the old ones "
				    "go on");
				return;
			}
			break;
		case GRACEFUL_SERIAL:
			if (!restart.started) {
				restart.started = true;
				if (restart.proc == PROC_AUDITD)
					record_auditd(NULL);
				instance_drain(s->cur);
				return;
			}
			if (s->cur == NULL &&
			    boot_start(restart.proc) == NULL) {
				restarted(false, "cannot start");
				suite_lost(restart.proc);
				return;
			}
			if (s->cur->pid == restart.old ||
			    s->cur->state != PROCSTATE_READY)
				return;
			break;
		}
		restart.proc++;
		restart.started = false;
		if (restart.proc < PROC_SUITE_END)
			restart.old = suite.slot[restart.proc].cur == NULL ?
			    -1 :
			    suite.slot[restart.proc].cur->pid;
	}
}

void
order_on_restart(struct chan *c, struct msg *m)
{
	unsigned int p;

	for (p = PROC_KEYD; p < PROC_SUITE_END; p++)
		if (!suite_ready((enum proc)p) || suite.slot[p].next != NULL)
			break;
	if (restart.running || p != PROC_SUITE_END ||
	    suite.state != SUITE_RUNNING) {
		chan_refuse(c, m, EAGAIN, true,
		    "a process is being started or replaced already");
		return;
	}
	restart.running = true;
	restart.started = false;
	restart.proc = PROC_KEYD;
	restart.old = suite.slot[PROC_KEYD].cur->pid;
	restart.order = order_of(c, m);
	order_advance();
}
