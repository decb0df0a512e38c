/* SPDX-License-Identifier: ISC */
/*
 * reload.c - a new configuration, in two phases, all or nothing.
 *
 * Read and check the whole file; have every process check its part and put it
 * by; only when all have, tell all to take it. Whatever fails before that
 * leaves the configuration in force as it was.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/notify.h"
#include "clawd/record.h"
#include "clawd/suite.h"
#include "common/log.h"

static struct {
	bool running;
	struct conf conf;
	uint32_t generation;
	unsigned int waiting; /* answers still to come */
	bool refused;
	char text[256];
	order_done *done;
	void *arg;
} reload;

static void
finish(bool ok)
{
	struct timespec now;
	struct auditrec r;

	reload.running = false;
	clock_gettime(CLOCK_REALTIME, &now);
	counter_set(COUNTER_CONFIG_OK, ok ? 1 : 0);
	if (ok) {
		counter_set(COUNTER_CONFIG_TIME, (uint64_t)now.tv_sec);
		counter_set(COUNTER_CONFIG_GENERATION, suite.generation);
		snprintf(reload.text, sizeof(reload.text),
		    "configuration %u is in force", suite.generation);
		log_info("%s", reload.text);
	} else
		log_errorx("not reloaded: %s", reload.text);
	auditrec_init(&r, AUDIT_CONFIG_RELOAD, AUDIT_SINGLE,
	    ok ? AUDIT_OK : AUDIT_DENIED);
	auditrec_num(&r, AUDIT_ATTR_GENERATION, suite.generation);
	auditrec_text(&r, AUDIT_ATTR_REASON, reload.text);
	record_send(&r);
	notify_ready();
	if (reload.done != NULL)
		reload.done(ok, reload.text, reload.arg);
}

static void
on_committed(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	/* One that died instead gets the new configuration when it starts. */
	if (m != NULL && m->type == MSG_REFUSED)
		log_errorx("a process would not take what it had checked");
	if (--reload.waiting == 0)
		finish(true);
}

static void
commit(void)
{
	struct msg_CONFIG_COMMIT commit = { .generation = reload.generation };
	struct instance *in;

	suite.conf = reload.conf;
	suite.generation = reload.generation;
	log_set_level(
	    (enum log_level)(suite.conf.log_level - CONF_LOG_LEVEL_ERROR));
	reload.waiting = 1;
	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->generation == reload.generation && in->chan != NULL) {
			reload.waiting++;
			(void)chan_send_CONFIG_COMMIT(in->chan,
			    chan_ask(in->chan, MSG_CONFIG_COMMIT, on_committed,
				NULL),
			    -1, &commit);
		}
	if (--reload.waiting == 0)
		finish(true);
}

static void
abort_all(void)
{
	struct msg_CONFIG_ABORT m = { .generation = reload.generation };
	struct instance *in;

	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->generation == reload.generation) {
			in->generation = suite.generation;
			if (in->chan != NULL)
				(void)chan_send_CONFIG_ABORT(in->chan, 0, -1,
				    &m);
		}
}

static void
all_answered(void)
{
	if (!reload.refused) {
		commit();
		return;
	}
	abort_all();
	finish(false);
}

static void
on_staged(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REFUSED no;
	struct rbuf body;

	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED) {
		no.text[0] = '\0';
		if (m != NULL) {
			body = m->body;
			(void)msg_get_REFUSED(&body, &no);
		}
		reload.refused = true;
		snprintf(reload.text, sizeof(reload.text), "%s: %.180s",
		    proc_name(chan_peer(c)),
		    m == NULL ? "ended while it checked" : no.text);
	}
	if (--reload.waiting == 0)
		all_answered();
}

static void
stage(void)
{
	struct instance *in;

	reload.refused = false;
	reload.generation = suite.generation + 1;
	reload.waiting = 1;
	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->state == PROCSTATE_READY && in->chan != NULL) {
			reload.waiting++;
			in->generation = reload.generation;
			(void)boot_send_config(in, &reload.conf,
			    reload.generation, on_staged);
		}
	if (--reload.waiting == 0)
		all_answered();
}

static bool
read_file(void)
{
	struct conf_errors errors;
	char fixed[128];
	size_t i;
	int r;

	conf_errors_init(&errors);
	r = conf_load(&reload.conf, &errors, suite.conf.file, environ);
	for (i = 0; i < errors.n; i++) {
		conf_errors_text(&errors, i, reload.text, sizeof(reload.text));
		log_errorx("%s", reload.text);
	}
	if (r != 0)
		conf_errors_text(&errors, 0, reload.text, sizeof(reload.text));
	conf_errors_free(&errors);
	if (r != 0)
		return false;
	if (conf_diff_fixed(&suite.conf, &reload.conf, fixed, sizeof(fixed)) ==
	    0)
		return true;
	snprintf(reload.text, sizeof(reload.text),
	    "only a restart can change %s", fixed);
	return false;
}

/* A process that is just starting would be left with the old one. */
static bool
all_ready(void)
{
	struct instance *in;
	unsigned int p;

	TAILQ_FOREACH(in, &suite.all, entry)
		if (in->state == PROCSTATE_STARTING &&
		    in->proc < PROC_SUITE_END)
			return false; /* of workers, another can be had */
	for (p = PROC_KEYD; p < PROC_SUITE_END; p++)
		if (!suite_ready((enum proc)p))
			return false;
	return true;
}

void
reload_start(order_done *done, void *arg)
{
	if (reload.running || suite.state != SUITE_RUNNING || !all_ready()) {
		log_warnx("reload: not now");
		if (done != NULL)
			done(false,
			    "a start, a stop or another reload is "
			    "under way; try again",
			    arg);
		return;
	}
	reload.running = true;
	reload.done = done;
	reload.arg = arg;
	notify_reloading();
	if (read_file())
		stage();
	else
		finish(false);
}
