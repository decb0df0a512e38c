/* SPDX-License-Identifier: ISC */
/*
 * worker.c - processes started for one job, at a broker's request.
 *
 * Brokers may not exec. They ask here, policy/workers.def says who may have
 * what, and clawd starts it like any process: sandbox first, then the one
 * channel to its broker. The broker is answered when the worker is ready,
 * with its end of that channel, and told when the worker has ended.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clawd/suite.h"
#include "common/log.h"

struct worker {
	pid_t broker;	  /* who asked */
	enum proc kind;	  /* of the broker */
	uint32_t request; /* to be answered; 0: it has been */
	int end;	  /* the broker's end, until it is handed over */
};

static const struct {
	enum proc worker, broker;
	unsigned int at_once;
	uint32_t ready_ms;
} table[] = {
#define WORKER(worker, broker, at_once, ready_ms, why)                         \
	{ PROC_##worker, PROC_##broker, at_once, ready_ms },
#include "policy/workers.def"
#undef WORKER
};

/* How many of that worker the broker may have; 0: it may not ask. */
static unsigned int
allowance(enum proc broker, unsigned int worker)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].broker == broker && table[i].worker == worker)
			return table[i].at_once;
	return 0;
}

uint32_t
worker_ready_ms(enum proc p)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].worker == p)
			return table[i].ready_ms;
	return 0;
}

static unsigned int
running(pid_t broker, unsigned int worker)
{
	struct instance *in;
	unsigned int n = 0;

	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->worker != NULL && in->proc == worker &&
		    in->worker->broker == broker)
			n++;
	return n;
}

struct instance *
worker_of(enum proc p, uint32_t session)
{
	struct instance *in;

	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->proc == p && in->session == session)
			return in;
	return NULL;
}

static struct chan *
broker_chan(const struct worker *w)
{
	struct instance *in;

	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->pid == w->broker && in->proc == w->kind)
			return in->chan;
	return NULL;
}

void
worker_on_start(struct chan *c, struct msg *m)
{
	struct instance *broker = chan_arg(c), *in;
	struct msg_WORKER_START want;
	unsigned int most;

	if (!msg_get_WORKER_START(&m->body, &want))
		fatalx("malformed WORKER_START");
	most = allowance(broker->proc, want.proc);
	if (most == 0) {
		supervise_violation(c, m->type, "a worker that is not its own");
		return;
	}
	if (running(broker->pid, want.proc) >= most ||
	    suite.state != SUITE_RUNNING) {
		chan_refuse(c, m, EAGAIN, true, "no more %s can be started now",
		    proc_name((enum proc)want.proc));
		return;
	}
	/* Peers can make us want many: that there are no more is no fault. */
	in = boot_start((enum proc)want.proc);
	if (in == NULL) {
		chan_refuse(c, m, EAGAIN, true, "%s cannot be started now",
		    proc_name((enum proc)want.proc));
		return;
	}
	in->worker = calloc(1, sizeof(*in->worker));
	if (in->worker == NULL)
		fatalx("worker %s", proc_name((enum proc)want.proc));
	*in->worker = (struct worker){ .broker = broker->pid,
		.kind = broker->proc,
		.request = m->id,
		.end = -1 };
	in->session = ++suite.sessions;
}

/* Its channel to its broker, before it is told to start. */
void
worker_connect(struct instance *in)
{
	struct msg_PEER peer = { .proc = (uint8_t)in->worker->kind,
		.session = in->session };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		fatal("channel to %s", proc_name(in->proc));
	(void)chan_send_PEER(in->chan, 0, pair[0], &peer);
	close(pair[0]);
	in->worker->end = pair[1];
}

void
worker_ready(struct instance *in)
{
	struct worker *w = in->worker;
	struct msg_WORKER_STARTED done = { .proc = (uint8_t)in->proc,
		.pid = (uint32_t)in->pid,
		.session = in->session };
	struct chan *c = broker_chan(w);

	if (c != NULL)
		(void)chan_send_WORKER_STARTED(c, w->request, w->end, &done);
	w->request = 0;
	close(w->end); /* without a broker the worker sees its channel end */
	w->end = -1;
}

void
worker_gone(struct instance *in, const char *how)
{
	struct worker *w = in->worker;
	struct chan *c = broker_chan(w);
	struct msg_WORKER_ENDED ended = { .proc = (uint8_t)in->proc,
		.pid = (uint32_t)in->pid,
		.session = in->session };
	struct msg m = { .id = w->request };

	snprintf(ended.how, sizeof(ended.how), "%s", how);
	if (c != NULL && w->request != 0)
		chan_refuse(c, &m, ECHILD, true, "%s could not be started",
		    proc_name(in->proc));
	else if (c != NULL)
		(void)chan_send_WORKER_ENDED(c, 0, -1, &ended);
	if (w->end != -1)
		close(w->end);
	free(w);
	in->worker = NULL;
}
