/* SPDX-License-Identifier: ISC */
/*
 * check.c - the open shard read through by a worker, for an operator.
 *
 * auditd trusts what it holds in memory; this compares it with what lies on
 * the disk. One check at a time; its outcome is recorded.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auditd/check.h"
#include "auditd/journal.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/shardname.h"

static struct {
	struct chan *client; /* who asked; NULL: nobody (any more) */
	uint32_t id;
	struct chan *worker;
	bool running;
	char shard[SHARDNAME_SIZE]; /* that is read */
} check;

static void
answer(const struct msg_VERIFIED *v, const char *failed)
{
	struct msg_AUDIT_CHECKED done = { .size = v->size, .sound = v->sound };
	struct msg m = { .id = check.id };

	check.running = false;
	if (check.client == NULL)
		return;
	if (failed != NULL) {
		chan_refuse(check.client, &m, ECHILD, true, "%s", failed);
		return;
	}
	snprintf(done.shard, sizeof(done.shard), "%s", check.shard);
	snprintf(done.what, sizeof(done.what), "%s", v->what);
	(void)chan_send_AUDIT_CHECKED(check.client, check.id, -1, &done);
}

static void
record(const struct msg_VERIFIED *v)
{
	const char *outcome = v->sound ? "ok" : "failed";
	struct line_attr attrs[] = {
		{ .name = "by", .data = "auditd", .len = 6 },
		{ .name = "event", .data = "audit.checked", .len = 13 },
		{ .name = "outcome", .data = outcome, .len = strlen(outcome) },
		{ .name = "reason", .data = v->what, .len = strlen(v->what) },
		{ .name = "records", .type = LINE_U64, .u64 = v->size },
	};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	counter_set(COUNTER_AUDIT_CHECKED, (uint64_t)now.tv_sec);
	counter_set(COUNTER_AUDIT_SOUND, v->sound);
	if (!v->sound)
		log_errorx("the audit log on the disk is damaged: %s", v->what);
	(void)journal_append(attrs, 5, JOURNAL_RUNNING, NULL, 0, NULL);
}

static void
on_verified(struct chan *c, struct msg *m, void *arg)
{
	struct msg_VERIFIED v = { 0 };

	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED) {
		/* peer_down() has freed the channel, or is about to. */
		answer(&v, "the worker ended before it was done");
		return;
	}
	if (!msg_get_VERIFIED(&m->body, &v))
		fatalx("malformed VERIFIED");
	record(&v);
	answer(&v, NULL);
	check.worker = NULL;
	child_worker_end(c); /* its job is done: it ends */
}

static void
on_worker(struct chan *clawd, struct msg *m, void *arg)
{
	struct msg_VERIFY want = { 0 };
	struct msg_VERIFIED none = { 0 };
	struct msg_WORKER_STARTED done;
	int log;

	(void)clawd;
	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED) {
		answer(&none, "no worker could be started");
		return;
	}
	if (!msg_get_WORKER_STARTED(&m->body, &done))
		fatalx("malformed WORKER_STARTED");
	check.worker = child_worker(PROC_VERIFYD, done.session, m->fd);
	m->fd = -1;
	log = journal_head(check.shard, &want.size, want.root);
	if (check.worker == NULL || log == -1) {
		child_worker_end(check.worker);
		check.worker = NULL;
		answer(&none, "a new shard is being opened; try again");
		return;
	}
	(void)chan_send_VERIFY(check.worker,
	    chan_ask(check.worker, MSG_VERIFY, on_verified, NULL), log, &want);
	close(log);
}

void
check_on_request(struct chan *c, struct msg *m)
{
	struct msg_WORKER_START want = { .proc = PROC_VERIFYD };
	struct chan *clawd = child_parent();

	if (check.running) {
		chan_refuse(c, m, EBUSY, true, "a check is under way");
		return;
	}
	check.running = true;
	check.client = c;
	check.id = m->id;
	(void)chan_send_WORKER_START(clawd,
	    chan_ask(clawd, MSG_WORKER_START, on_worker, NULL), -1, &want);
}

void
check_on_worker_ended(struct chan *c, struct msg *m)
{
	struct msg_WORKER_ENDED ended;

	(void)c;
	if (!msg_get_WORKER_ENDED(&m->body, &ended))
		fatalx("malformed WORKER_ENDED");
	if (ended.how[0] != '\0')
		log_warnx("verifyd[%u] %s", ended.pid, ended.how);
}

void
check_forget(struct chan *c)
{
	if (check.client == c)
		check.client = NULL;
	if (check.worker == c)
		check.worker = NULL;
}
