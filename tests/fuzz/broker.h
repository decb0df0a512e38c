/* SPDX-License-Identifier: ISC */
/*
 * broker.h - for the targets that are brokers of connections: what they dial
 * and accept, and workers, each of which was taken over. Comes after ipc.h;
 * BROKER_WORKER is what their workers are.
 */
#ifndef CLAW_TESTS_FUZZ_BROKER_H
#define CLAW_TESTS_FUZZ_BROKER_H

#define WORKERS_MAX 32

static uint32_t next_session;
/* Our ends of the workers' channels; ipc.h knows the current one. */
static int workers[WORKERS_MAX + 1];
static uint32_t current;

static void
use_worker(uint32_t session)
{
	workers[current] = ipc.end[BROKER_WORKER];
	current = session <= WORKERS_MAX ? session : 0;
	ipc.end[BROKER_WORKER] = workers[current];
}

static void
workers_none(void)
{
	size_t i;

	next_session = current = 0;
	for (i = 0; i <= WORKERS_MAX; i++)
		workers[i] = -1;
}

static void
workers_close(void)
{
	size_t i;

	workers[current] = -1; /* closed already */
	for (i = 0; i <= WORKERS_MAX; i++)
		if (workers[i] != -1)
			close(workers[i]);
}

/* clawd starts the worker that it is asked for: another one taken over. */
static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct msg_WORKER_STARTED done = { .proc = BROKER_WORKER,
		.pid = 1,
		.session = next_session + 1 };
	uint8_t body[16];
	struct wbuf w;
	int pair[2];

	(void)peer;
	if (m->type != MSG_WORKER_START || next_session == WORKERS_MAX)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	workers[++next_session] = pair[0];
	use_worker(next_session);
	ipc.asks[BROKER_WORKER] = 0;
	wbuf_init(&w, body, sizeof(body));
	msg_put_WORKER_STARTED(&w, &done);
	clawd_says(MSG_WORKER_STARTED, m->id, &w, pair[1]);
	close(pair[1]);
}

/* A connection that has been made, whatever is done with it: our end. */
static void broker_keep(int fd);

static int
fuzz_socket(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		pair) == -1)
		abort();
	broker_keep(pair[1]);
	return pair[0];
}

static int
fuzz_connect(int fd)
{
	(void)fd;
	return 0;
}

/* The rooms of the door end with the run: who is connected, then the rest. */
static void
door_drop(void)
{
	struct tagged *t;
	struct conn *c;

	while ((t = TAILQ_FIRST(&my.tagged)) != NULL && t->chan != NULL)
		on_peer_closed(t->chan);
	while ((c = TAILQ_FIRST(&conns.all)) != NULL)
		conn_end(c);
}

static void
door_end(void)
{
	event_free(conns.ended);
	event_free(pool.later);
	event_free(pool.replace);
	if (door.readable != NULL)
		event_free(door.readable);
	if (door.pause != NULL)
		event_free(door.pause);
}

static void
door_begin(void)
{
	TAILQ_INIT(&my.tagged);
	memset(&conns, 0, sizeof(conns));
	TAILQ_INIT(&conns.all);
	memset(&pool, 0, sizeof(pool));
	memset(&door, 0, sizeof(door));
	workers_none();
}

#endif
