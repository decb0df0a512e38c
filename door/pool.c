/* SPDX-License-Identifier: ISC */
/*
 * pool.c - workers that wait for a connection.
 *
 * A worker takes longer to start than a handshake takes, so some are started
 * ahead. One that is taken is replaced at once if another connection waits or
 * it was the last, else a moment later: a start and a handshake at a time would
 * only hold each other up. clawd may refuse (there are too many, or the node is
 * starting): then it is asked again later, and each time later. One that
 * ends before it was used counts as a refusal.
 */
#include "common/child.h"
#include "common/log.h"
#include "door/pool.h"

#define IDLE_MAX 255
#define STARTING_MAX 8 /* at a time; clawd's gate takes 16 */
#define REPLACE_MS 20
#define BACKOFF_MS 100
#define BACKOFF_MAX_MS 10000

static struct {
	enum proc worker;
	void (*ready)(void);
	unsigned int idle_wanted, waiting, starting;
	struct {
		struct chan *chan;
		uint32_t session;
	} idle[IDLE_MAX];
	unsigned int idles;
	unsigned int backoff_ms; /* 0: nothing is wrong */
	struct event *later, *replace;
	bool draining;
} pool;

static void start_some(void);

static void
back_off(void)
{
	struct timeval tv;

	pool.backoff_ms = pool.backoff_ms == 0	 ? BACKOFF_MS :
	    pool.backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS :
						   pool.backoff_ms * 2;
	tv.tv_sec = pool.backoff_ms / 1000;
	tv.tv_usec = (suseconds_t)(pool.backoff_ms % 1000) * 1000;
	if (!evtimer_pending(pool.later, NULL))
		evtimer_add(pool.later, &tv);
}

static void
on_started(struct chan *clawd, struct msg *m, void *arg)
{
	struct msg_WORKER_STARTED done;
	struct chan *c;

	(void)clawd;
	(void)arg;
	pool.starting--;
	if (m == NULL || m->type == MSG_REFUSED) {
		back_off();
		return;
	}
	if (!msg_get_WORKER_STARTED(&m->body, &done) ||
	    done.proc != (uint8_t)pool.worker || done.session == 0)
		fatalx("clawd started what it was not asked for");
	c = child_worker(pool.worker, done.session, m->fd);
	m->fd = -1;
	if (c == NULL || pool.draining || pool.idles == IDLE_MAX) {
		child_worker_end(c);
		return;
	}
	pool.idle[pool.idles].chan = c;
	pool.idle[pool.idles++].session = done.session;
	pool.ready();
	start_some();
}

static void
start_some(void)
{
	struct msg_WORKER_START want = { .proc = (uint8_t)pool.worker };
	struct chan *clawd = child_parent();

	while (!pool.draining && pool.starting < STARTING_MAX &&
	    !evtimer_pending(pool.later, NULL) &&
	    pool.idles + pool.starting < pool.idle_wanted + pool.waiting) {
		pool.starting++;
		(void)chan_send_WORKER_START(clawd,
		    chan_ask(clawd, MSG_WORKER_START, on_started, NULL), -1,
		    &want);
	}
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	start_some();
}

void
pool_prepare(enum proc worker, void (*ready)(void))
{
	pool.worker = worker;
	pool.ready = ready;
	pool.later = evtimer_new(child_base(), on_later, NULL);
	pool.replace = evtimer_new(child_base(), on_later, NULL);
	if (pool.later == NULL || pool.replace == NULL)
		fatalx("out of memory");
}

void
pool_configure(unsigned int idle)
{
	pool.idle_wanted = idle;
}

void
pool_needs(unsigned int waiting)
{
	struct timeval soon = { 0, REPLACE_MS * 1000 };

	pool.waiting = waiting;
	if (waiting > 0 || pool.idles + pool.starting == 0)
		start_some();
	else if (!evtimer_pending(pool.replace, NULL) &&
	    pool.idles + pool.starting < pool.idle_wanted)
		evtimer_add(pool.replace, &soon);
}

struct chan *
pool_take(uint32_t *session, bool stranger)
{
	struct chan *c;

	if (pool.idles <= (stranger && pool.idle_wanted > 1 ? 1 : 0))
		return NULL;
	pool.backoff_ms = 0;
	c = pool.idle[0].chan;
	*session = pool.idle[0].session;
	pool.idle[0] = pool.idle[--pool.idles];
	return c;
}

bool
pool_forget(struct chan *c)
{
	unsigned int i;

	for (i = 0; i < pool.idles; i++)
		if (pool.idle[i].chan == c) {
			pool.idle[i] = pool.idle[--pool.idles];
			back_off();
			return true;
		}
	return false;
}

void
pool_drain(void)
{
	pool.draining = true;
	evtimer_del(pool.later);
	evtimer_del(pool.replace);
	while (pool.idles > 0)
		child_worker_end(pool.idle[--pool.idles].chan);
}
