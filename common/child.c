/* SPDX-License-Identifier: ISC */
/*
 * child.c - what every process below clawd does alike.
 */
#include <sys/queue.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/sandbox.h"

#define HANDLERS_MAX 48

/* A channel to a sibling or a worker: with the session it belongs to. */
struct tagged {
	TAILQ_ENTRY(tagged) entry;
	struct chan *chan;
	uint32_t session; /* 0: a sibling's */
	uint64_t serial;
};

static struct {
	const struct child *child;
	struct event_base *base;
	struct chan *parent;
	struct chan *peer[PROC_MAX];
	TAILQ_HEAD(, tagged) tagged;
	uint64_t serials;
	enum msg_when when;
	uint32_t start_id; /* of the START not answered yet */
	uint32_t drain_id;
	uint32_t staged; /* generation; 0: none */
	uint8_t staged_level;
	struct chan_handlers parent_handlers[HANDLERS_MAX];
} my;

static void on_parent_closed(struct chan *);
static void on_parent_violation(struct chan *, uint16_t, const char *);
static void on_peer_closed(struct chan *);
static void on_peer_violation(struct chan *, uint16_t, const char *);

static const struct chan_ops parent_ops = {
	.handlers = my.parent_handlers,
	.closed = on_parent_closed,
	.violation = on_parent_violation,
};

static struct chan_ops peer_ops = {
	.closed = on_peer_closed,
	.violation = on_peer_violation,
};

struct event_base *
child_base(void)
{
	return my.base;
}

struct chan *
child_parent(void)
{
	return my.parent;
}

struct chan *
child_peer(enum proc peer)
{
	return my.peer[peer];
}

uint32_t
child_session(const struct chan *c)
{
	const struct tagged *t = chan_arg(c);

	return t == NULL ? 0 : t->session;
}

uint64_t
child_serial(const struct chan *c)
{
	const struct tagged *t = chan_arg(c);

	return t == NULL ? 0 : t->serial;
}

struct chan *
child_with(uint64_t serial)
{
	const struct tagged *t;

	TAILQ_FOREACH(t, &my.tagged, entry)
		if (t->serial == serial)
			return t->chan;
	return NULL;
}

static void
set_when(enum msg_when when)
{
	struct tagged *t;

	my.when = when;
	chan_set_when(my.parent, when);
	TAILQ_FOREACH(t, &my.tagged, entry) {
		chan_set_when(t->chan, when);
		chan_resume(t->chan);
	}
}

/* Without a parent there is nobody to act for. */
static void
on_parent_closed(struct chan *c)
{
	(void)c;
	log_debug("clawd is gone");
	_exit(0);
}

static void
on_parent_violation(struct chan *c, uint16_t type, const char *reason)
{
	(void)c;
	fatalx("clawd sent %s: %s", msg_name(type), reason);
}

/*
 * A channel to a sibling or, with a session, one that a worker has a part
 * in. NULL when out of memory (fd is closed).
 */
static struct chan *
take_channel(enum proc peer, uint32_t session, int fd)
{
	struct tagged *t = calloc(1, sizeof(*t));
	struct chan *c;

	if (t == NULL) {
		close(fd);
		return NULL;
	}
	c = chan_new(my.base, fd, my.child->self, peer, &peer_ops, t);
	if (c == NULL) {
		free(t);
		return NULL;
	}
	chan_set_when(c, my.when);
	t->chan = c;
	t->session = session;
	t->serial = ++my.serials;
	TAILQ_INSERT_TAIL(&my.tagged, t, entry);
	return c;
}

static void
let_go(struct chan *c)
{
	struct tagged *t = chan_arg(c);

	chan_free(c); /* who waits for its answers may still ask whose it is */
	TAILQ_REMOVE(&my.tagged, t, entry);
	free(t);
}

static void
on_peer_closed(struct chan *c)
{
	if (my.peer[chan_peer(c)] == c)
		my.peer[chan_peer(c)] = NULL;
	if (my.child->peer_down != NULL)
		my.child->peer_down(c);
	let_go(c);
}

void
child_worker_accuse(enum proc worker, uint32_t session, uint16_t type,
    const char *reason)
{
	struct msg_VIOLATION v = { .proc = (uint8_t)worker,
		.session = session,
		.type = type };

	strncpy(v.reason, reason, sizeof(v.reason) - 1);
	(void)chan_send_VIOLATION(my.parent, 0, -1, &v);
}

static void
on_peer_violation(struct chan *c, uint16_t type, const char *reason)
{
	child_worker_accuse(chan_peer(c), child_session(c), type, reason);
	on_peer_closed(c);
}

struct chan *
child_worker(enum proc worker, uint32_t session, int fd)
{
	return take_channel(worker, session, fd);
}

void
child_worker_end(struct chan *c)
{
	if (c != NULL)
		let_go(c);
}

void
child_violation(struct chan *c, const struct msg *m, const char *reason)
{
	counter_add(COUNTER_VIOLATIONS, 1);
	log_warnx("%s sent %s: %s", proc_name(chan_peer(c)), msg_name(m->type),
	    reason);
	on_peer_violation(c, m->type, reason);
}

static void
on_peer(struct chan *parent, struct msg *m)
{
	struct msg_PEER peer;
	struct chan *c;

	(void)parent;
	if (!msg_get_PEER(&m->body, &peer) || peer.proc >= PROC_MAX)
		fatalx("clawd names a sibling that is none");
	c = take_channel((enum proc)peer.proc, peer.session, m->fd);
	m->fd = -1;
	if (c == NULL)
		fatal("channel to %s", proc_name((enum proc)peer.proc));
	/* Until START nothing is taken from siblings: they may be ahead. */
	if (my.when == WHEN_BOOT)
		chan_hold(c);
	/* The old channel, if any, lives until its other end has drained. */
	if (peer.proc < PROC_SUITE_END)
		my.peer[peer.proc] = c;
	if (my.child->peer_up != NULL)
		my.child->peer_up(c);
}

static void
on_config(struct chan *parent, struct msg *m)
{
	struct rbuf head = m->body;
	struct msg_CONFIG_STAGED ok;
	const char *why;

	/* Every CONFIG begins with its generation and the level of logs. */
	ok.generation = rbuf_u32(&head);
	my.staged_level = rbuf_u8(&head);
	why = my.staged_level > LOG_LEVEL_DEBUG ? "unknown log level" :
						  my.child->stage(m);
	if (why != NULL) {
		chan_refuse(parent, m, EINVAL, false, "%s", why);
		return;
	}
	my.staged = ok.generation;
	(void)chan_send_CONFIG_STAGED(parent, m->id, -1, &ok);
}

static void
on_commit(struct chan *parent, struct msg *m)
{
	struct msg_CONFIG_COMMIT commit;
	struct msg_CONFIG_COMMITTED done;

	if (!msg_get_CONFIG_COMMIT(&m->body, &commit) || my.staged == 0 ||
	    commit.generation != my.staged)
		fatalx("clawd commits what was not staged");
	log_set_level((enum log_level)my.staged_level);
	if (my.child->commit != NULL)
		my.child->commit();
	my.staged = 0;
	done.generation = commit.generation;
	(void)chan_send_CONFIG_COMMITTED(parent, m->id, -1, &done);
}

static void
on_abort(struct chan *parent, struct msg *m)
{
	(void)parent;
	(void)m;
	if (my.staged != 0 && my.child->abort != NULL)
		my.child->abort();
	my.staged = 0;
}

static void
on_start(struct chan *parent, struct msg *m)
{
	(void)parent;
	my.start_id = m->id;
	set_when(WHEN_RUN);
	if (my.child->start != NULL)
		my.child->start();
	else
		child_ready();
}

void
child_ready(void)
{
	struct timespec now;
	struct msg_READY ready = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	counter_set(COUNTER_START_TIME, (uint64_t)now.tv_sec);
	(void)chan_send_READY(my.parent, my.start_id, -1, &ready);
}

static void
on_ping(struct chan *parent, struct msg *m)
{
	struct msg_PONG pong = { 0 };

	(void)chan_send_PONG(parent, m->id, -1, &pong);
}

static void
on_drain(struct chan *parent, struct msg *m)
{
	struct msg_DRAIN drain;

	(void)parent;
	if (!msg_get_DRAIN(&m->body, &drain))
		fatalx("malformed DRAIN");
	my.drain_id = m->id;
	set_when(WHEN_DRAIN);
	if (my.child->drain != NULL)
		my.child->drain(drain.timeout_ms);
	else
		child_drained();
}

void
child_drained(void)
{
	struct msg_DRAINED done = { 0 };
	unsigned int p;

	for (p = 0; p < PROC_MAX; p++)
		if (my.peer[p] != NULL)
			chan_flush(my.peer[p], 1000);
	(void)chan_send_DRAINED(my.parent, my.drain_id, -1, &done);
	chan_flush(my.parent, 1000);
	_exit(0);
}

static void
add_handlers(size_t *n, const struct chan_handlers *h)
{
	for (; h != NULL && h->handler != NULL; h++) {
		if (*n == HANDLERS_MAX - 1)
			fatalx("raise HANDLERS_MAX");
		my.parent_handlers[(*n)++] = *h;
	}
}

static bool
has_handler(const struct chan_handlers *h, uint16_t type)
{
	for (; h->handler != NULL; h++)
		if (h->type == type)
			return true;
	return false;
}

/* Whatever the gate may let through has somebody to take it. */
static void
set_handlers(const struct child *child)
{
	static const struct chan_handlers frame[] = { { MSG_PEER, on_peer },
		{ MSG_CONFIG_COMMIT, on_commit },
		{ MSG_CONFIG_ABORT, on_abort }, { MSG_START, on_start },
		{ MSG_PING, on_ping }, { MSG_DRAIN, on_drain }, { 0, NULL } };
	static const struct chan_handlers none[] = { { 0, NULL } };
	const struct chan_handlers config[] = { { child->config, on_config },
		{ 0, NULL } };
	const struct msg_rule *rules;
	size_t i, n = 0, count;

	add_handlers(&n, frame);
	add_handlers(&n, config);
	add_handlers(&n, child->from_parent);
	peer_ops.handlers =
	    child->from_peers != NULL ? child->from_peers : none;
	rules = msg_rules(&count);
	for (i = 0; i < count; i++) {
		if (rules[i].limit == LIMIT_REPLY ||
		    (rules[i].receivers & PROC_BIT(child->self)) == 0)
			continue;
		if ((rules[i].senders & PROC_BIT(PROC_CLAWD)) != 0 &&
		    !has_handler(my.parent_handlers, rules[i].type))
			fatalx("no handler for %s", rules[i].name);
		if ((rules[i].senders & ~PROC_BIT(PROC_CLAWD)) != 0 &&
		    !has_handler(peer_ops.handlers, rules[i].type))
			fatalx("no handler for %s", rules[i].name);
	}
}

/* The directories that descriptors.def gives this process. */
static size_t
own_dirs(enum proc self, struct sandbox_dir *dirs, size_t max)
{
	enum {
		DIR_RO = SANDBOX_DIR_RO,
		DIR_RW = SANDBOX_DIR_RW,
		LISTEN = -1,
		APPEND = -2
	};
	static const struct {
		enum proc proc;
		int fd;
		int rights;
	} table[] = {
#define DESC(id, proc, number, rights, what) { PROC_##proc, number, rights },
#include "policy/descriptors.def"
#undef DESC
	};
	size_t i, n = 0;

	for (i = 0; i < sizeof(table) / sizeof(table[0]) && n < max; i++)
		if (table[i].proc == self && table[i].rights >= 0)
			dirs[n++] = (struct sandbox_dir){ table[i].fd,
				(enum sandbox_rights)table[i].rights };
	return n;
}

static void
enter_sandbox(const struct child *child, const char *given_text)
{
	struct msg_HELLO hello = { .schema = msg_schema() };
	struct sandbox_given given;
	struct sandbox_report rep;
	struct sandbox_dir dirs[4];
	size_t ndirs;

	if (sandbox_given_parse(given_text, &given) != 0)
		fatalx("started by hand? It is clawd that starts %s",
		    proc_name(child->self));
	ndirs = own_dirs(child->self, dirs, 4);
	if (sandbox_enter(child->self, &given, dirs, ndirs, SANDBOX_ALL,
		&rep) != 0) {
		log_errorx("sandbox: %s", rep.text);
		_exit(78);
	}
	strncpy(hello.version, CLAW_VERSION, sizeof(hello.version) - 1);
	hello.layers = rep.layers;
	hello.probes = rep.passed;
	hello.failed = rep.failed;
	hello.missing = rep.missing;
	(void)chan_send_HELLO(my.parent, 0, -1, &hello);
}

void
child_run(const struct child *child, int argc, char **argv)
{
	struct event_config *cfg;
	int r;

	my.child = child;
	my.when = WHEN_BOOT;
	TAILQ_INIT(&my.tagged);
	log_init(proc_name(child->self), getenv("CLAW_LOG_PRIORITY") != NULL);
	if (argc < 2)
		fatalx("%s is started by clawd, not by hand",
		    proc_name(child->self));
#ifdef CLAW_SANITIZERS
	if (argc > 2 && strcmp(argv[2], "--insecure-no-sandbox") == 0)
		sandbox_set_insecure();
#endif
	signal(SIGPIPE, SIG_IGN);
	r = counters_attach(CHILD_COUNTERS_FD);
	if (r != 0)
		log_warnx("counter page: %s; counting nowhere", strerror(-r));
	close(CHILD_COUNTERS_FD);
	set_handlers(child);
	cfg = event_config_new();
	if (cfg == NULL ||
	    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK) == -1 ||
	    (my.base = event_base_new_with_config(cfg)) == NULL ||
	    event_base_priority_init(my.base, 3) == -1)
		fatalx("libevent has no event loop for us");
	event_config_free(cfg);
	if (child->prepare != NULL)
		child->prepare();
	my.parent = chan_new(my.base, CHILD_PARENT_FD, child->self, PROC_CLAWD,
	    &parent_ops, NULL);
	if (my.parent == NULL)
		fatal("channel to clawd");
	enter_sandbox(child, argv[1]);
	event_base_dispatch(my.base);
	fatalx("the event loop has ended");
}
