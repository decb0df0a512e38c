/* SPDX-License-Identifier: ISC */
/*
 * transfer.c - what is sent and taken: the list, and what both directions do
 * alike.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "sftd/incoming.h"
#include "sftd/transfer.h"

#define ENDED_MAX 256 /* remembered */
#define TICK_S 2
/* A session that has no transfer: it was to offer one, or to say goodbye. */
#define IDLE_US (UINT64_C(30) * 1000000)
/* The rate is that of so long. */
#define RATE_US UINT64_C(1000000)
/* Clients hear at most so often how it goes. */
#define SAY_US UINT64_C(250000)
#define STALL_S 180

struct msg_CONFIG_SFTD sftd_config;
static struct transfer_list all = TAILQ_HEAD_INITIALIZER(all);
static uint32_t last_number;
static struct event *tick;

uint64_t
transfer_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct transfer_list *
transfer_all(void)
{
	return &all;
}

bool
transfer_ended(const struct transfer *t)
{
	return t->state >= TRANSFER_DONE;
}

void
transfer_free(struct transfer *t)
{
	TAILQ_REMOVE(&all, t, entry);
	record_forget(t);
	if (t->conn != NULL)
		t->conn->arg = NULL;
	if (t->source != -1)
		close(t->source);
	client_free(t->client);
	if (t->retry != NULL)
		event_free(t->retry);
	free(t);
}

/* What has ended and has nothing on the disk any more is let go of. */
static void
trim(void)
{
	struct transfer *t, *next;
	unsigned int n = 0;

	TAILQ_FOREACH(t, &all, entry)
		n += transfer_ended(t) ? 1 : 0;
	for (t = TAILQ_FIRST(&all); t != NULL && n > ENDED_MAX; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (!transfer_ended(t) || t->conn != NULL ||
		    t->client != NULL ||
		    (t->receives && t->state == TRANSFER_DONE))
			continue;
		transfer_free(t);
		n--;
	}
}

struct transfer *
transfer_new(bool receives, const char *peer)
{
	struct transfer *t;

	trim();
	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatalx("out of memory");
	t->number = ++last_number;
	t->receives = receives;
	t->source = -1;
	t->started_ms = transfer_wall_ms();
	t->alive_us = conn_now_us();
	snprintf(t->what.peer, sizeof(t->what.peer), "%s", peer);
	TAILQ_INSERT_TAIL(&all, t, entry);
	return t;
}

struct transfer *
transfer_numbered(uint32_t number)
{
	struct transfer *t;

	TAILQ_FOREACH(t, &all, entry)
		if (t->number == number)
			return t;
	return NULL;
}

struct transfer *
transfer_of(const struct conn *c)
{
	struct transfer *t;

	if (c == NULL)
		return NULL;
	TAILQ_FOREACH(t, &all, entry)
		if (t->conn == c)
			return t;
	return NULL;
}

void
transfer_id(const struct transfer *t, uint8_t id[SFT_ID_LEN])
{
	static const uint8_t none[SFT_ID_LEN];
	unsigned int i;

	memcpy(id, t->what.id, SFT_ID_LEN);
	if (memcmp(id, none, SFT_ID_LEN) != 0)
		return;
	for (i = 0; i < 4; i++)
		id[SFT_ID_LEN - 1 - i] = (uint8_t)(t->number >> (8 * i));
}

struct transfer *
transfer_with(const uint8_t id[SFT_ID_LEN])
{
	static const uint8_t none[12];
	uint8_t own[SFT_ID_LEN];
	struct transfer *t;

	/* Who was told of it before there was an id goes on with what he has.
	 */
	if (memcmp(id, none, sizeof(none)) == 0)
		return transfer_numbered((uint32_t)id[12] << 24 |
		    (uint32_t)id[13] << 16 | (uint32_t)id[14] << 8 | id[15]);
	/* The youngest: one that was sent twice has one id. */
	TAILQ_FOREACH_REVERSE(t, &all, transfer_list, entry)
	{
		transfer_id(t, own);
		if (memcmp(own, id, SFT_ID_LEN) == 0)
			return t;
	}
	return NULL;
}

bool
transfer_active(const struct transfer *t)
{
	return t->state < TRANSFER_PAUSED;
}

struct transfer *
transfer_offer(bool receives, const char *peer, const uint8_t digest[32])
{
	struct transfer *t;

	TAILQ_FOREACH(t, &all, entry)
		if (t->receives == receives &&
		    (!transfer_ended(t) ||
			(receives && t->state == TRANSFER_DONE)) &&
		    strcmp(t->what.peer, peer) == 0 &&
		    memcmp(t->what.digest, digest, 32) == 0)
			return t;
	return NULL;
}

unsigned int
transfer_count(void)
{
	const struct transfer *t;
	unsigned int n = 0;

	TAILQ_FOREACH(t, &all, entry)
		if (transfer_active(t))
			n++;
	return n;
}

static void
count_active(void)
{
	const struct transfer *t;
	unsigned int in = 0, out = 0;

	TAILQ_FOREACH(t, &all, entry)
		if (transfer_active(t)) {
			in += t->receives ? 1 : 0;
			out += t->receives ? 0 : 1;
		}
	counter_set(COUNTER_SFT_IN, in);
	counter_set(COUNTER_SFT_OUT, out);
}

void
transfer_set(struct transfer *t, enum transfer_state state)
{
	t->state = state;
	t->alive_us = conn_now_us();
	count_active();
}

void
transfer_why(struct transfer *t, uint8_t code, bool by_peer, const char *fmt,
    ...)
{
	va_list ap;

	if (t->code != 0)
		return;
	t->code = code;
	t->by_peer = by_peer;
	va_start(ap, fmt);
	vsnprintf(t->text, sizeof(t->text), fmt, ap);
	va_end(ap);
}

void
transfer_begin(struct transfer *t)
{
	t->code = t->stop_code = 0;
	t->by_peer = t->up = false;
	t->text[0] = '\0';
	t->ask = 0;
	t->dials = t->routes = t->reopened = 0;
	t->limit = 0;
	t->rate = t->rate_us = t->rate_moved = 0;
	t->ended_ms = 0;
	memset(&t->now, 0, sizeof(t->now));
}

void
transfer_stop(struct transfer *t, uint8_t code, const char *text)
{
	transfer_why(t, code, false, "%s", text);
	t->stop_code = code;
	if (t->conn != NULL)
		conn_close(t->conn, text);
}

void
transfer_end(struct transfer *t, enum transfer_state state)
{
	static const enum counter counters[] = {
		[TRANSFER_DONE] = COUNTER_SFT_DONE,
		[TRANSFER_FAILED] = COUNTER_SFT_FAILED,
		[TRANSFER_REFUSED] = COUNTER_SFT_REFUSED,
		[TRANSFER_CANCELLED] = COUNTER_SFT_FAILED,
	};

	transfer_set(t, state);
	t->ended_ms = transfer_wall_ms();
	record_forget(t);
	record_outcome(t, state);
	record_line(t);
	/* What was only asked for, and would be taken, was not sent. */
	if (state > TRANSFER_DONE ||
	    (state == TRANSFER_DONE && !t->what.offer.dry))
		counter_add(counters[state], 1);
}

uint64_t
transfer_stall_us(const struct transfer *t)
{
	return (STALL_S + sft_reread_s(t->what.offer.size)) * 1000000;
}

/* What workers say. */

static const char *
check_progress(const struct transfer *t, const struct msg_XFER_PROGRESS *p)
{
	if (t->state != TRANSFER_MOVING && t->state != TRANSFER_FINISHING)
		return "progress of what does not move";
	if (p->durable > t->what.offer.size || p->same > p->durable)
		return "more durable than there is";
	if (p->durable < t->now.durable || p->moved < t->now.moved ||
	    p->resent < t->now.resent || p->same < t->now.same ||
	    p->wire < t->now.wire)
		return "progress backwards";
	if (p->limit > SFT_LIMIT_RATE)
		return "no limit that there is";
	return NULL;
}

static void
measure(struct transfer *t)
{
	uint64_t us = conn_now_us();

	if (t->rate_us == 0) {
		t->rate_us = us;
		t->rate_moved = t->now.moved;
	} else if (us - t->rate_us >= RATE_US) {
		t->rate = (t->now.moved - t->rate_moved) * 1000000 /
		    (us - t->rate_us);
		t->rate_us = us;
		t->rate_moved = t->now.moved;
	}
}

const char *
transfer_progress(struct transfer *t, const struct msg_XFER_PROGRESS *p)
{
	const char *wrong = check_progress(t, p);
	uint64_t more;

	if (wrong != NULL)
		return wrong;
	if (p->moved > t->now.moved || p->durable > t->now.durable)
		t->alive_us = conn_now_us();
	/* What was there already did not come now; what came may be durable
	 * only by the next report. */
	more =
	    p->durable > t->have + p->same ? p->durable - t->have - p->same : 0;
	if (more > p->moved)
		more = p->moved;
	if (more > t->now.counted) {
		counter_add(t->receives ? COUNTER_SFT_BYTES_IN :
					  COUNTER_SFT_BYTES_OUT,
		    more - t->now.counted);
		t->now.counted = more;
	}
	counter_add(COUNTER_SFT_RESENT, p->resent - t->now.resent);
	counter_add(COUNTER_SFT_SAME, p->same - t->now.same);
	counter_add(t->receives ? COUNTER_SFT_WIRE_IN : COUNTER_SFT_WIRE_OUT,
	    p->wire - t->now.wire);
	t->durable = p->durable;
	t->resent += p->resent - t->now.resent;
	t->same += p->same - t->now.same;
	t->wire += p->wire - t->now.wire;
	t->now.moved = p->moved;
	t->now.durable = p->durable;
	t->now.same = p->same;
	t->now.wire = p->wire;
	t->now.resent = p->resent;
	t->limit = p->limit;
	measure(t);
	return NULL;
}

void
transfer_tell(struct transfer *t, struct event_line *l)
{
	client_say(t->client, l->text, event_end(l), false);
}

void
transfer_say(struct transfer *t)
{
	struct event_line l;

	t->said_us = conn_now_us();
	if (t->client == NULL)
		return;
	event_begin(&l, "progress");
	event_num(&l, "sent", t->now.moved);
	event_num(&l, "durable", t->durable);
	event_num(&l, "size", t->what.offer.size);
	event_num(&l, "resent", t->resent);
	event_num(&l, "same_bytes", t->same);
	event_num(&l, "wire_bytes", t->wire);
	event_num(&l, "rate", t->rate);
	event_str(&l, "limit", sft_limit_name(t->limit));
	client_say(t->client, l.text, event_end(&l), true);
}

void
transfer_on_progress(struct chan *worker, struct msg *m)
{
	struct conn *c = conn_with(worker);
	struct transfer *t = transfer_of(c);
	struct msg_XFER_PROGRESS p;
	struct event_line l;
	const char *wrong;
	uint64_t before;

	if (!msg_get_XFER_PROGRESS(&m->body, &p))
		fatalx("malformed XFER_PROGRESS");
	/* The last ones may cross our word that it has ended. */
	if (c != NULL &&
	    (c->state == CONN_CLOSING || (t != NULL && transfer_ended(t))))
		return;
	before = t == NULL ? 0 : t->now.resent;
	wrong = t == NULL ? "progress without a transfer" :
			    transfer_progress(t, &p);
	if (wrong != NULL) {
		child_violation(worker, m, wrong);
		return;
	}
	if (p.resent > before) {
		event_begin(&l, "again");
		event_num(&l, "chunks", p.resent - before);
		event_num(&l, "resent", t->resent);
		transfer_tell(t, &l);
	}
	if (conn_now_us() - t->said_us >= SAY_US)
		transfer_say(t);
}

/* A peer that has half of all transfers leaves the others to the others. */
static bool
is_greedy(const struct conn *new)
{
	const struct conn *c;
	unsigned int n = 0;

	TAILQ_FOREACH(c, conn_all(), entry)
		if (c->state == CONN_UP && c->role == EVIDENCE_SERVER &&
		    strcmp(c->peer, new->peer) == 0)
			n++;
	return n > (sftd_config.max_transfers + 1u) / 2;
}

void
transfer_on_up(struct chan *worker, struct msg *m)
{
	struct msg_XFER_STOP stop = { .code = SFT_BUSY,
		.text = "as many sessions as a peer may have are under way" };
	struct conn *c = conn_with(worker);

	if (c == NULL || !conn_worker_up(c)) {
		child_violation(worker, m, "up without a connection");
		return;
	}
	if (c->role != EVIDENCE_SERVER || !is_greedy(c))
		return;
	incoming_not_offered(c, stop.code, false, stop.text);
	(void)chan_send_XFER_STOP(worker, 0, -1, &stop);
	conn_close(c, stop.text);
}

void
transfer_on_failed(struct chan *worker, struct msg *m)
{
	struct conn *c = conn_with(worker);
	struct transfer *t = transfer_of(c);
	struct msg_XFER_FAILED f;

	if (!msg_get_XFER_FAILED(&m->body, &f))
		fatalx("malformed XFER_FAILED");
	if (sft_code_name(f.code) == NULL || f.by_peer > 1) {
		child_violation(worker, m, "no code that there is");
		return;
	}
	if (t != NULL)
		transfer_why(t, f.code, f.by_peer != 0, "%s", f.text);
	else if (c != NULL && f.by_peer != 0 && f.code == SFT_DENIED)
		incoming_not_offered(c, f.code, true, f.text);
	if (c == NULL || !conn_worker_down(c, f.text))
		child_violation(worker, m, "failed without a connection");
}

/* The door's. */

void
transfer_serve(struct conn *c, uint32_t handshake_ms)
{
	struct msg_XFER_SERVE order = { .role = c->role,
		.handshake_ms = handshake_ms,
		.window = sftd_config.window };

	memcpy(order.nonce, c->nonce, sizeof(order.nonce));
	snprintf(order.address, sizeof(order.address), "%s", c->address.text);
	(void)chan_send_XFER_SERVE(c->worker, 0, c->fd, &order);
}

void
transfer_stop_worker(struct conn *c)
{
	const struct transfer *t = transfer_of(c);
	struct msg_XFER_STOP stop = { .code = SFT_STOPPING };

	if (t != NULL && t->stop_code != 0)
		stop.code = t->stop_code;
	snprintf(stop.text, sizeof(stop.text), "%s", c->reason);
	(void)chan_send_XFER_STOP(c->worker, 0, -1, &stop);
}

/* Time. */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = { TICK_S, 0 };
	uint64_t now = conn_now_us();
	struct transfer *t, *next;
	struct conn *c;

	(void)fd;
	(void)what;
	(void)arg;
	for (t = TAILQ_FIRST(&all); t != NULL; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (t->receives)
			incoming_tick(t, now);
		else
			outgoing_tick(t, now);
	}
	TAILQ_FOREACH(c, conn_all(), entry)
		if (c->state == CONN_UP && transfer_of(c) == NULL &&
		    now - c->up_us > IDLE_US)
			conn_close(c, "nothing was offered in time");
	evtimer_add(tick, &tv);
}

void
transfer_prepare(void)
{
	struct timeval tv = { TICK_S, 0 };

	tick = evtimer_new(child_base(), on_tick, NULL);
	if (tick == NULL || evtimer_add(tick, &tv) == -1)
		fatalx("out of memory");
}
