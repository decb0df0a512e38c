/* SPDX-License-Identifier: ISC */
/*
 * suite.c - who runs, in which order they start and stop.
 *
 * Start: one after the other in the order of processes.def, each ready before
 * the next; keyd first and alone. Stop: the reverse, each drained. When keyd
 * or auditd is lost, everything but metricd stops and starts again.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/notify.h"
#include "clawd/record.h"
#include "clawd/suite.h"
#include "common/log.h"

#define DRAIN_MS 5000
#define RECORDS_WAIT_MS 2000 /* for node.stop to become durable */
#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 30000
#define LASTED_MS 2000

struct suite suite;

uint64_t
suite_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool
suite_ready(enum proc p)
{
	struct instance *in = suite.slot[p].cur;

	return in != NULL && in->state == PROCSTATE_READY;
}

void
suite_status(enum proc p)
{
	struct instance *to = suite.slot[PROC_CONTROLD].cur;
	struct slot *s = &suite.slot[p];
	struct msg_PROC_STATUS m = { .proc = (uint8_t)p,
		.uid = (uint32_t)account_uid(p),
		.restarts = s->ends };

	if (p >= PROC_SUITE_END)
		return;
	counter_set((enum counter)(COUNTER_UP_KEYD + (int)p - PROC_KEYD),
	    suite_ready(p) ? 1 : 0);
	if (to == NULL || to->chan == NULL || to->state != PROCSTATE_READY)
		return;
	m.state =
	    s->restart != NULL && event_pending(s->restart, EV_TIMEOUT, NULL) ?
	    PROCSTATE_WAITING :
	    PROCSTATE_DOWN;
	snprintf(m.last_end, sizeof(m.last_end), "%s", s->last_end);
	if (s->cur != NULL) {
		m.state = (uint8_t)s->cur->state;
		m.pid = (uint32_t)s->cur->pid;
		m.layers = s->cur->layers;
		m.probes = s->cur->probes;
		m.failed = s->cur->failed;
		m.missing = s->cur->missing;
		m.started_ms = s->cur->started_ms;
	}
	(void)chan_send_PROC_STATUS(to->chan, 0, -1, &m);
}

void
instance_kill(struct instance *in, const char *why)
{
	if (in->why[0] == '\0')
		snprintf(in->why, sizeof(in->why), "%s", why);
	kill(in->pid, SIGKILL);
}

void
instance_gone(struct instance *in)
{
	TAILQ_REMOVE(&suite.all, in, entry);
	if (in->deadline != NULL)
		event_free(in->deadline);
	chan_free(in->chan);
	free(in);
}

static void
on_drained(struct chan *c, struct msg *m, void *arg)
{
	/* It exits by itself now; its end is what counts. */
	(void)c;
	(void)m;
	(void)arg;
}

static void
on_drain_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct instance *in = arg;

	(void)fd;
	(void)what;
	log_warnx("%s does not finish in time", proc_name(in->proc));
	instance_kill(in, "did not finish in time");
}

void
instance_drain(struct instance *in)
{
	struct timeval tv = { (DRAIN_MS + 1000) / 1000, 0 };
	struct msg_DRAIN drain = { .timeout_ms = DRAIN_MS };

	if (in->expected)
		return;
	in->expected = true;
	in->state = PROCSTATE_DRAINING;
	if (in->deadline != NULL)
		event_free(in->deadline);
	in->deadline = evtimer_new(suite.base, on_drain_timeout, in);
	/* A worker that has nothing to finish ends with its channel. */
	if (in->worker != NULL && in->connected == false && in->chan != NULL &&
	    in->deadline != NULL && evtimer_add(in->deadline, &tv) == 0) {
		chan_free(in->chan);
		in->chan = NULL;
		return;
	}
	if (in->deadline == NULL || evtimer_add(in->deadline, &tv) == -1 ||
	    in->chan == NULL ||
	    chan_send_DRAIN(in->chan,
		chan_ask(in->chan, MSG_DRAIN, on_drained, in), -1, &drain) != 0)
		instance_kill(in, "could not be told to finish");
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (suite.state == SUITE_WAITING)
		suite.state = SUITE_STARTING;
	suite_advance();
}

static void
advance_after(uint32_t ms)
{
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };

	evtimer_add(suite.again, &tv);
}

static void
advance_start(void)
{
	struct auditrec r;
	unsigned int p;

	for (p = PROC_KEYD; p < PROC_SUITE_END; p++) {
		if (suite_ready((enum proc)p))
			continue;
		if (suite.slot[p].cur == NULL &&
		    boot_start((enum proc)p) == NULL) {
			suite.exit_status = EXIT_FAILURE;
			suite_stop(EXIT_FAILURE);
		}
		return;
	}
	suite.state = SUITE_RUNNING;
	suite.ran_ms = suite_now_ms();
	counter_set(COUNTER_SUITE_READY, 1);
	auditrec_init(&r, AUDIT_NODE_START, AUDIT_SINGLE, AUDIT_OK);
	auditrec_text(&r, AUDIT_ATTR_VERSION, CLAW_VERSION);
	auditrec_num(&r, AUDIT_ATTR_PID, (uint64_t)getpid());
	record_send(&r);
	if (!suite.ever_ran)
		notify_ready();
	suite.ever_ran = true;
	notify_status("node %s is ready", suite.conf.node_name);
	log_info("node %s is ready", suite.conf.node_name);
}

/* The next to stop: the reverse of the start; metricd only at the very end. */
static struct instance *
next_to_stop(void)
{
	struct instance *in;
	int p;

	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->expected && in->proc != PROC_METRICD)
			return in; /* one is on its way: wait for it */
	for (p = PROC_MAX - 1; p >= PROC_KEYD; p--) {
		if (p == PROC_METRICD)
			continue;
		TAILQ_FOREACH(in, &suite.all, entry)
			if (in->proc == (enum proc)p)
				return in;
	}
	TAILQ_FOREACH(in, &suite.all, entry)
		if (suite.exit_wanted || in->state != PROCSTATE_READY)
			return in;
	return NULL;
}

static void
stopped(void)
{
	if (suite.exit_wanted) {
		event_base_loopbreak(suite.base);
		return;
	}
	if (suite.ran_ms != 0 && suite_now_ms() - suite.ran_ms >= LASTED_MS)
		suite.backoff_ms = BACKOFF_MIN_MS;
	else
		suite.backoff_ms *= 2;
	if (suite.backoff_ms < BACKOFF_MIN_MS)
		suite.backoff_ms = BACKOFF_MIN_MS;
	if (suite.backoff_ms > BACKOFF_MAX_MS)
		suite.backoff_ms = BACKOFF_MAX_MS;
	suite.ran_ms = 0;
	suite.state = SUITE_WAITING;
	log_info("all is stopped; starting again in %u ms", suite.backoff_ms);
	advance_after(suite.backoff_ms);
}

static void
advance_stop(void)
{
	static uint64_t waiting_since;
	struct instance *in = next_to_stop();

	if (in == NULL) {
		stopped();
		return;
	}
	if (in->expected)
		return;
	/* What was recorded last has to reach the disk before auditd goes. */
	if (in->proc == PROC_AUDITD && suite_ready(PROC_AUDITD) &&
	    !record_idle()) {
		if (waiting_since == 0)
			waiting_since = suite_now_ms();
		if (suite_now_ms() - waiting_since < RECORDS_WAIT_MS) {
			advance_after(10);
			return;
		}
	}
	waiting_since = 0;
	if (in->proc == PROC_AUDITD)
		record_auditd(NULL);
	instance_drain(in);
}

void
suite_advance(void)
{
	switch (suite.state) {
	case SUITE_STARTING:
		advance_start();
		break;
	case SUITE_STOPPING:
		advance_stop();
		break;
	case SUITE_RUNNING:
	case SUITE_WAITING:
		break;
	}
}

static void
stop_restarts(void)
{
	unsigned int p;

	for (p = PROC_KEYD; p < PROC_SUITE_END; p++)
		if (suite.slot[p].restart != NULL)
			evtimer_del(suite.slot[p].restart);
}

void
suite_stop(int exit_status)
{
	suite.exit_status = exit_status;
	if (suite.exit_wanted)
		return;
	suite.exit_wanted = true;
	evtimer_del(suite.again);
	notify_stopping();
	stop_restarts();
	if (suite.state == SUITE_RUNNING)
		record_event(AUDIT_NODE_STOP, AUDIT_OK);
	suite.state = SUITE_STOPPING;
	suite_advance();
}

void
suite_lost(enum proc p)
{
	struct auditrec r;

	if (suite.state != SUITE_RUNNING && suite.state != SUITE_STARTING)
		return;
	counter_set(COUNTER_SUITE_READY, 0);
	notify_status("%s was lost: starting again", proc_name(p));
	log_errorx("%s is lost: everything but metricd stops", proc_name(p));
	auditrec_init(&r, AUDIT_SUITE_STOP, AUDIT_SINGLE, AUDIT_OK);
	auditrec_text(&r, AUDIT_ATTR_PROCESS, proc_name(p));
	record_send(&r);
	stop_restarts();
	suite.state = SUITE_STOPPING;
	suite_advance();
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	supervise_tick();
}

void
suite_start(void)
{
	struct timeval second = { 1, 0 };

	TAILQ_INIT(&suite.all);
	suite.tick = event_new(suite.base, -1, EV_PERSIST, on_tick, NULL);
	suite.again = evtimer_new(suite.base, on_again, NULL);
	if (suite.tick == NULL || suite.again == NULL ||
	    event_add(suite.tick, &second) == -1)
		fatalx("out of memory");
	suite.state = SUITE_STARTING;
	suite_advance();
}
