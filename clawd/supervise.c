/* SPDX-License-Identifier: ISC */
/*
 * supervise.c - ends, silence and violations, as policy/supervision.def says.
 */
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clawd/notify.h"
#include "clawd/record.h"
#include "clawd/signame.h"
#include "clawd/suite.h"
#include "common/log.h"

#define PING_EVERY_S 2
#define LASTED_MS 2000

static const struct {
	enum on_end on_end;
	uint32_t stall_ms;
	uint32_t backoff_ms;
	uint32_t backoff_max_ms;
	enum graceful graceful;
} policy[PROC_MAX] = {
#define RESTART ON_END_RESTART
#define REPORT ON_END_REPORT
#define STOP_SUITE ON_END_STOP_SUITE
#define OVERLAP GRACEFUL_OVERLAP
#define SERIAL GRACEFUL_SERIAL
#define KEEP GRACEFUL_KEEP
#define SUPERVISE(proc, on_end, stall, backoff, backoff_max, graceful, why)    \
	[PROC_##proc] = { on_end, stall, backoff, backoff_max, graceful },
#include "policy/supervision.def"
#undef SUPERVISE
};

uint32_t
supervise_backoff_min(enum proc p)
{
	return policy[p].backoff_ms;
}

enum graceful
supervise_graceful(enum proc p)
{
	return policy[p].graceful;
}

static struct instance *
by_pid(pid_t pid)
{
	struct instance *in;

	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->pid == pid)
			return in;
	return NULL;
}

/* "killed by SIGSEGV", "exited with status 78", and why if we know. */
static void
describe(const struct instance *in, int status, char *out, size_t size)
{
	const char *dot = in->why[0] != '\0' ? ": " : "";

	if (WIFSIGNALED(status))
		snprintf(out, size, "killed by %s%s%s%.63s",
		    signame(WTERMSIG(status)),
		    WTERMSIG(status) == SIGSYS && in->why[0] == '\0' ?
			": forbidden system call" :
			"",
		    dot, in->why);
	else
		snprintf(out, size, "exited with status %d%s%s",
		    WEXITSTATUS(status), dot, in->why);
}

static void
record_end(const struct instance *in, const char *how)
{
	struct auditrec r;

	auditrec_init(&r, AUDIT_PROCESS_ENDED, AUDIT_SINGLE, AUDIT_FAILED);
	auditrec_text(&r, AUDIT_ATTR_PROCESS, proc_name(in->proc));
	auditrec_num(&r, AUDIT_ATTR_PID, (uint64_t)in->pid);
	auditrec_text(&r, AUDIT_ATTR_REASON, how);
	record_send(&r);
}

static void
on_restart(evutil_socket_t fd, short what, void *arg)
{
	struct slot *s = arg;
	struct timeval second = { 1, 0 };
	enum proc p = (enum proc)(s - suite.slot);

	(void)fd;
	(void)what;
	if (suite.state == SUITE_STOPPING || s->cur != NULL)
		return;
	if (boot_start(p) == NULL)
		evtimer_add(s->restart, &second);
	suite_status(p);
}

static void
restart_later(enum proc p, bool lasted)
{
	struct slot *s = &suite.slot[p];
	struct timeval tv;

	if (lasted || s->backoff_ms == 0)
		s->backoff_ms = policy[p].backoff_ms;
	else if ((s->backoff_ms *= 2) > policy[p].backoff_max_ms)
		s->backoff_ms = policy[p].backoff_max_ms;
	if (s->restart == NULL)
		s->restart = evtimer_new(suite.base, on_restart, s);
	tv.tv_sec = s->backoff_ms / 1000;
	tv.tv_usec = (suseconds_t)(s->backoff_ms % 1000) * 1000;
	if (s->restart == NULL || evtimer_add(s->restart, &tv) == -1)
		fatalx("out of memory");
	log_info("%s starts again in %u ms", proc_name(p), s->backoff_ms);
}

/* An end that nobody asked for: what the table says. */
static void
unexpected_end(struct instance *in, int status)
{
	struct slot *s = &suite.slot[in->proc];
	bool serving = s->cur == in;
	bool lasted =
	    in->ready_ms != 0 && suite_now_ms() - in->ready_ms >= LASTED_MS;

	describe(in, status, s->last_end, sizeof(s->last_end));
	log_errorx("%s[%d] %s", proc_name(in->proc), (int)in->pid, s->last_end);
	s->ends++;
	record_end(in, s->last_end);
	if (in->proc < PROC_SUITE_END)
		counter_add((enum counter)(
				COUNTER_ENDS_KEYD + (int)in->proc - PROC_KEYD),
		    1);
	if (!serving)
		return; /* a successor or one that drained: the other serves */
	if (policy[in->proc].on_end == ON_END_STOP_SUITE) {
		if (suite.ever_ran)
			suite_lost(in->proc);
		else
			suite_stop(EXIT_FAILURE);
	} else if (!suite.ever_ran && !suite.exit_wanted) {
		/* The very first start: an error for who typed it. */
		suite_stop(EXIT_FAILURE);
	} else if (suite.state != SUITE_STOPPING)
		restart_later(in->proc, lasted);
}

static void
ended(struct instance *in, int status)
{
	struct slot *s = &suite.slot[in->proc];
	enum proc p = in->proc;
	bool serving = s->cur == in, asked = in->expected;

	if (serving && p == PROC_AUDITD)
		record_auditd(NULL);
	/* A worker whose broker let go of it ends by itself. */
	if (in->worker != NULL && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		asked = true;
	/* Its pid may be somebody else's by now: nobody stops or kills it. */
	in->expected = true;
	/* Who was asked to finish and was killed instead did not finish. */
	if (!asked || WIFSIGNALED(status))
		unexpected_end(in, status);
	else if (in->worker != NULL)
		log_debug("%s %u has finished", proc_name(p), in->session);
	else
		log_info("%s[%d] has finished", proc_name(p), (int)in->pid);
	if (in->worker != NULL)
		worker_gone(in, asked ? "" : s->last_end);
	if (serving)
		s->cur = NULL;
	if (s->next == in)
		s->next = NULL;
	instance_gone(in);
	suite_status(p);
	order_advance();
	suite_advance();
}

void
supervise_children(void)
{
	struct instance *in;
	char why[64];
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		in = by_pid(pid);
		if (in == NULL)
			continue;
		if (!WIFSTOPPED(status)) {
			ended(in, status);
			continue;
		}
		/* Half alive is worse than dead. */
		snprintf(why, sizeof(why), "was stopped by %s",
		    signame(WSTOPSIG(status)));
		log_errorx("%s[%d] %s", proc_name(in->proc), (int)pid, why);
		instance_kill(in, why);
	}
}

static void
on_pong(struct chan *c, struct msg *m, void *arg)
{
	struct instance *in = arg;

	(void)c;
	if (m != NULL)
		in->pinged_ms = 0;
}

static void
ping(struct instance *in, uint64_t now)
{
	struct msg_PING p = { 0 };

	in->pinged_ms = now;
	(void)chan_send_PING(in->chan,
	    chan_ask(in->chan, MSG_PING, on_pong, in), -1, &p);
}

void
supervise_tick(void)
{
	static unsigned int seconds;
	uint64_t now = suite_now_ms();
	struct instance *in;
	bool healthy = true;

	seconds++;
	TAILQ_FOREACH(in, &suite.all, entry) {
		if (in->state != PROCSTATE_READY || in->chan == NULL)
			continue;
		if (in->pinged_ms != 0 &&
		    now - in->pinged_ms > policy[in->proc].stall_ms) {
			healthy = false;
			log_errorx("%s[%d] does not answer",
			    proc_name(in->proc), (int)in->pid);
			instance_kill(in, "did not answer");
		} else if (in->pinged_ms == 0 && seconds % PING_EVERY_S == 0)
			ping(in, now);
	}
	if (healthy && notify_watchdog_ms() != 0 &&
	    seconds % ((notify_watchdog_ms() + 1999) / 2000) == 0)
		notify_watchdog();
}

/* A channel that closed belongs to a process that ends, or has to. */
void
supervise_closed(struct chan *c)
{
	struct instance *in = chan_arg(c);

	in->chan = NULL;
	if (suite.slot[in->proc].cur == in && in->proc == PROC_AUDITD)
		record_auditd(NULL);
	chan_free(c);
	if (!in->expected && in->worker == NULL)
		instance_kill(in, "");
}

static void
record_violation(enum proc who, const char *by, uint16_t type,
    const char *reason)
{
	struct auditrec r;

	auditrec_init(&r, AUDIT_PROCESS_VIOLATION, AUDIT_SINGLE, AUDIT_DENIED);
	auditrec_text(&r, AUDIT_ATTR_PROCESS, proc_name(who));
	auditrec_text(&r, AUDIT_ATTR_REPORTED_BY, by);
	auditrec_text(&r, AUDIT_ATTR_MESSAGE, msg_name(type));
	auditrec_text(&r, AUDIT_ATTR_REASON, reason);
	record_send(&r);
}

/* What a process said to clawd itself was refused by the gate. */
void
supervise_violation(struct chan *c, uint16_t type, const char *reason)
{
	struct instance *in = chan_arg(c);

	/* auditd's own violation waits for the next auditd. */
	if (suite.slot[in->proc].cur == in && in->proc == PROC_AUDITD)
		record_auditd(NULL);
	record_violation(in->proc, "clawd", type, reason);
	in->chan = NULL;
	chan_free(c);
	instance_kill(in, "said what it may not say");
}

/* Whether topology.def or workers.def gives the two a channel. */
static bool
are_connected(enum proc x, enum proc y)
{
	static const struct {
		enum proc a, b;
	} topology[] = {
#define CHANNEL(a, b, why) { PROC_##a, PROC_##b },
#include "policy/topology.def"
#undef CHANNEL
#define WORKER(a, b, at_once, ready_ms, why) { PROC_##a, PROC_##b },
#include "policy/workers.def"
#undef WORKER
	};
	size_t i;

	for (i = 0; i < sizeof(topology) / sizeof(topology[0]); i++)
		if ((topology[i].a == x && topology[i].b == y) ||
		    (topology[i].a == y && topology[i].b == x))
			return true;
	return false;
}

/*
 * One process accuses another. It can only know of whom it has a channel to;
 * of those, who starts earlier is believed: so a process that was taken over
 * cannot have keyd or auditd ended.
 */
void
supervise_on_report(struct chan *c, struct msg *m)
{
	struct instance *accuser = chan_arg(c), *accused;
	struct msg_VIOLATION v;
	const char *by = proc_name(accuser->proc);

	if (!msg_get_VIOLATION(&m->body, &v))
		fatalx("malformed VIOLATION");
	if (v.proc >= PROC_MAX ||
	    !are_connected(accuser->proc, (enum proc)v.proc)) {
		supervise_violation(c, m->type,
		    "accuses whom it does not know");
		return;
	}
	accused = v.proc < PROC_SUITE_END ?
	    suite.slot[v.proc].cur :
	    worker_of((enum proc)v.proc, v.session);
	record_violation((enum proc)v.proc, by, v.type, v.reason);
	if (v.proc < accuser->proc) {
		log_warnx("%s accuses %s, which stands above it", by,
		    proc_name((enum proc)v.proc));
		instance_kill(accuser, "accused a process that stands above");
	} else if (accused != NULL)
		instance_kill(accused, "said what it may not say");
}
