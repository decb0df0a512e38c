/* SPDX-License-Identifier: ISC */
/*
 * conn.c - a connection: from the socket to the end of the worker that has it.
 *
 * Not one byte of it is read here, but for a route where the door has them.
 * When a worker is idle, keyd and attestd are asked side by side to open its
 * session; when both have, the worker gets the socket and the broker forgets
 * it. Who the peer is says attestd, never the worker; that it works says the
 * worker. A connection is up when both have spoken.
 */
#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "door/conn.h"
#include "door/pool.h"

/* A connection that no worker takes, or whose session nobody opens. */
#define WAITING_S 10
/* More than clawd ever gives workers. */
#define CONNS_MAX 1024
/* Sessions being opened at a time; the gates of keyd and attestd take 512. */
#define OPENING_MAX 256
#define CALLERS_MAX 512 /* addresses remembered */
/* What a socket holds that cannot leave yet: more of it only grows cold. */
#define UNSENT_BYTES (256 * 1024)
/* The first byte of a TLS connection, and of no route. */
#define TLS_HANDSHAKE 0x16
#define TOLD_MAX 500 /* policy/messages.def has four times that */

/* As in STRANGER. */
enum stranger { SAID_NOTHING, NO_TLS, NO_ROUTE };

static struct {
	struct conn_list all;
	unsigned int opening;
	uint32_t handshake_ms;
	const struct door *door;
	struct event *ended; /* somebody may be waiting for the room */
	uint8_t caller[CALLERS_MAX][ADDRESS_KEY_LEN];
	unsigned int next_caller;
	uint64_t told_s;   /* the second in which attestd was told of */
	unsigned int told; /* so many who were sent away */
} conns = { .all = TAILQ_HEAD_INITIALIZER(conns.all) };

uint64_t
conn_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t
wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const struct conn_list *
conn_all(void)
{
	return &conns.all;
}

struct conn *
conn_of(uint32_t session)
{
	struct conn *c;

	TAILQ_FOREACH(c, &conns.all, entry)
		if (session != 0 && c->session == session)
			return c;
	return NULL;
}

struct conn *
conn_with(const struct chan *worker)
{
	struct conn *c;

	TAILQ_FOREACH(c, &conns.all, entry)
		if (c->worker == worker)
			return c;
	return NULL;
}

void
conn_count(struct conn_counts *n, const uint8_t key[ADDRESS_KEY_LEN])
{
	const struct conn *c;

	memset(n, 0, sizeof(*n));
	TAILQ_FOREACH(c, &conns.all, entry) {
		n->all++;
		if (c->state == CONN_UP)
			n->up++;
		if (c->state == CONN_UP || c->state == CONN_CLOSING)
			continue;
		if (c->role == EVIDENCE_CLIENT) {
			n->dialled++;
			continue;
		}
		n->pending_in++;
		n->known += c->known ? 1 : 0;
		if (key != NULL &&
		    memcmp(key, c->address.key, ADDRESS_KEY_LEN) == 0)
			n->same_key++;
	}
}

static void
count(void)
{
	struct conn_counts n;

	conn_count(&n, NULL);
	if (conns.door->up != COUNTER_MAX)
		counter_set(conns.door->up, n.up);
	if (conns.door->pending != COUNTER_MAX)
		counter_set(conns.door->pending, n.pending_in + n.dialled);
}

static void
count_one(enum counter c)
{
	if (c != COUNTER_MAX)
		counter_add(c, 1);
}

/*
 * Most who dial have no address in the registry. What is remembered of them
 * gives them room before others and nothing else, so that it needs no end.
 */
static void
remember(const struct conn *c)
{
	unsigned int i;

	if (c->role != EVIDENCE_SERVER)
		return;
	for (i = 0; i < CALLERS_MAX; i++)
		if (memcmp(conns.caller[i], c->address.key, ADDRESS_KEY_LEN) ==
		    0)
			return;
	memcpy(conns.caller[conns.next_caller], c->address.key,
	    ADDRESS_KEY_LEN);
	conns.next_caller = (conns.next_caller + 1) % CALLERS_MAX;
}

bool
conn_expected(const uint8_t key[ADDRESS_KEY_LEN])
{
	unsigned int i;

	for (i = 0; i < CALLERS_MAX; i++)
		if (memcmp(conns.caller[i], key, ADDRESS_KEY_LEN) == 0)
			return true;
	return conns.door->expected != NULL && conns.door->expected(key);
}

/* The end. */

/* The first one given is the one that counts. */
__attribute__((format(printf, 2, 3))) static void
give_reason(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	if (c->reason[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(c->reason, sizeof(c->reason), fmt, ap);
	va_end(ap);
}

/* Everybody forgets it. */
static void
end(struct conn *c)
{
	struct msg_SESSION_CLOSED closed = { .session = c->session };
	struct chan *attestd = child_peer(PROC_ATTESTD), *worker = c->worker;

	TAILQ_REMOVE(&conns.all, c, entry);
	if (c->state == CONN_OPENING)
		conns.opening--;
	if (c->opened && attestd != NULL)
		(void)chan_send_SESSION_CLOSED(attestd, 0, -1, &closed);
	if (c->event != NULL)
		event_free(c->event);
	if (c->fd != -1)
		close(c->fd);
	c->worker = NULL;
	child_worker_end(worker);
	give_reason(c, "%s", "the connection has ended");
	c->user->down(c);
	free(c);
	count();
	event_active(conns.ended, EV_TIMEOUT, 1);
}

/*
 * No worker had it and no session was opened, so that attestd knows nothing of
 * it. Past what a second has room for it is counted among those turned away.
 */
static void
send_away(struct conn *c, enum stranger how, const char *reason)
{
	struct msg_STRANGER who = { .how = (uint8_t)how };
	struct chan *attestd = child_peer(PROC_ATTESTD);
	uint64_t now = conn_now_us() / 1000000;

	if (now != conns.told_s) {
		conns.told_s = now;
		conns.told = 0;
	}
	if (attestd != NULL && conns.told < TOLD_MAX) {
		conns.told++;
		snprintf(who.address, sizeof(who.address), "%s",
		    c->address.text);
		(void)chan_send_STRANGER(attestd, 0, -1, &who);
	} else
		count_one(conns.door->turned_away);
	give_reason(c, "%s", reason);
	end(c);
}

static void
on_ended(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	conn_advance();
	conns.door->changed();
}

static void
on_overdue(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->state == CONN_KNOCKING) {
		send_away(c, SAID_NOTHING, "nothing came in time");
		return;
	}
	give_reason(c, "%s",
	    c->state == CONN_WAITING ?
		"no process was free for it in time" :
		c->state == CONN_OPENING ?
		"keyd or attestd did not open it in time" :
		"its process did not end in time");
	end(c);
}

static bool
limit_wait(struct conn *c, unsigned int seconds)
{
	struct timeval tv = { (time_t)seconds, 0 };

	if (c->event != NULL)
		event_free(c->event);
	c->event = evtimer_new(child_base(), on_overdue, c);
	return c->event != NULL && evtimer_add(c->event, &tv) == 0;
}

void
conn_close(struct conn *c, const char *reason)
{
	struct timeval now = { 0, 0 };
	bool has_worker = c->state == CONN_HANDSHAKE || c->state == CONN_UP;

	if (c->state == CONN_CLOSING)
		return;
	give_reason(c, "%s", reason);
	if (has_worker && c->worker != NULL)
		conns.door->stop(c);
	if (c->state == CONN_OPENING)
		conns.opening--;
	c->state = CONN_CLOSING;
	count();
	if (!limit_wait(c, conns.door->ends_in))
		fatalx("out of memory");
	if (!has_worker)
		evtimer_add(c->event, &now); /* never from in here */
}

bool
conn_forget(struct chan *worker)
{
	struct conn *c = conn_with(worker);

	if (c == NULL)
		return false;
	c->worker = NULL; /* child.c frees it */
	give_reason(c, "%s", "the process that held it has ended");
	end(c);
	return true;
}

void
conn_on_worker_ended(struct chan *clawd, struct msg *m)
{
	struct msg_WORKER_ENDED ended;
	struct conn *c;

	(void)clawd;
	if (!msg_get_WORKER_ENDED(&m->body, &ended))
		fatalx("malformed WORKER_ENDED");
	if (ended.how[0] != '\0')
		log_warnx("%s[%u] %s", proc_name(conns.door->worker), ended.pid,
		    ended.how);
	/* Its last words may still be in its channel, which ends by itself. */
	c = conn_of(ended.session);
	if (c != NULL && c->worker == NULL)
		end(c);
}

/* The session. */

static void
serve(struct conn *c)
{
	conns.opening--;
	c->state = CONN_HANDSHAKE;
	event_free(c->event);
	c->event = NULL;
	c->start_us = conn_now_us();
	conns.door->serve(c, conns.handshake_ms);
	close(c->fd);
	c->fd = -1;
}

/* An answer for a session that may be over. NULL, or its connection. */
static struct conn *
answered(struct msg *m, void *arg, const char *who)
{
	struct conn *c = conn_of((uint32_t)(uintptr_t)arg);
	struct msg_REFUSED no;

	if (c == NULL || c->state != CONN_OPENING)
		return NULL;
	if (m != NULL && m->type != MSG_REFUSED)
		return c;
	if (m != NULL && msg_get_REFUSED(&m->body, &no))
		snprintf(c->reason, sizeof(c->reason), "%s: %.200s", who,
		    no.text);
	conn_close(c, "keyd or attestd is gone");
	return NULL;
}

static void
on_session_set(struct chan *keyd, struct msg *m, void *arg)
{
	struct conn *c = answered(m, arg, "keyd");

	(void)keyd;
	if (c == NULL)
		return;
	c->role_set = true;
	if (c->nonce_set)
		serve(c);
}

static void
on_session_opened(struct chan *attestd, struct msg *m, void *arg)
{
	struct conn *c = answered(m, arg, "attestd");
	struct msg_SESSION_OPENED opened;

	(void)attestd;
	if (c == NULL)
		return;
	if (!msg_get_SESSION_OPENED(&m->body, &opened))
		fatalx("malformed SESSION_OPENED");
	memcpy(c->nonce, opened.nonce, sizeof(c->nonce));
	c->joins = opened.joins;
	c->nonce_set = true;
	if (c->role_set)
		serve(c);
}

static void
say_open(struct conn *c, struct chan *attestd, chan_done *done)
{
	struct msg_SESSION_OPEN open = { .session = c->session,
		.role = c->role,
		.purpose = c->role == EVIDENCE_CLIENT ? c->purpose : 0 };

	/* Whom we dialled; of a link that is up, who attestd said it is. */
	if (c->role == EVIDENCE_CLIENT || c->state == CONN_UP)
		snprintf(open.peer, sizeof(open.peer), "%s", c->peer);
	snprintf(open.address, sizeof(open.address), "%s", c->address.text);
	c->opened = true;
	(void)chan_send_SESSION_OPEN(attestd,
	    chan_ask(attestd, MSG_SESSION_OPEN, done,
		(void *)(uintptr_t)c->session),
	    -1, &open);
}

static void
open_session(struct conn *c)
{
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_SESSION_ROLE role = { .session = c->session,
		.role = c->role,
		.purpose = c->role == EVIDENCE_CLIENT ? c->purpose : 0 };

	snprintf(role.peer, sizeof(role.peer), "%s", c->peer);
	(void)chan_send_SESSION_ROLE(keyd,
	    chan_ask(keyd, MSG_SESSION_ROLE, on_session_set,
		(void *)(uintptr_t)c->session),
	    -1, &role);
	say_open(c, child_peer(PROC_ATTESTD), on_session_opened);
}

bool
conn_can_attest(void)
{
	return child_peer(PROC_KEYD) != NULL &&
	    child_peer(PROC_ATTESTD) != NULL;
}

/* How many of one kind still wait for a worker. */
static unsigned int
advance(bool strangers)
{
	struct conn *c;
	unsigned int waiting = 0;

	TAILQ_FOREACH(c, &conns.all, entry) {
		if (c->state != CONN_WAITING ||
		    strangers != (c->role == EVIDENCE_SERVER && !c->known))
			continue;
		if (conn_can_attest() && conns.opening < OPENING_MAX &&
		    (c->worker = pool_take(&c->session, strangers)) != NULL) {
			c->state = CONN_OPENING;
			conns.opening++;
			open_session(c);
		} else
			waiting++;
	}
	return waiting;
}

/* Whom we dial and who may be a peer first: strangers can come in any number.
 */
void
conn_advance(void)
{
	unsigned int waiting = advance(false);

	pool_needs(waiting + advance(true));
}

static void
on_reopened(struct chan *attestd, struct msg *m, void *arg)
{
	struct conn *c = conn_of((uint32_t)(uintptr_t)arg);

	(void)attestd;
	/* Without it the link ends with its verdict. */
	if (m != NULL && m->type == MSG_REFUSED && c != NULL)
		log_warnx("attestd does not take the link to %s over", c->peer);
}

void
conn_reopen(struct chan *attestd)
{
	struct conn *c;

	TAILQ_FOREACH(c, &conns.all, entry)
		if (c->state == CONN_UP)
			say_open(c, attestd, on_reopened);
}

/* Up, and down. */

static void
advance_up(struct conn *c)
{
	if (!c->attested || !c->linked || c->state != CONN_HANDSHAKE)
		return;
	c->state = CONN_UP;
	c->up_us = conn_now_us();
	c->since_ms = wall_ms();
	count();
	remember(c);
	conns.door->changed();
	c->user->up(c);
}

bool
conn_worker_up(struct conn *c)
{
	if (c->state != CONN_HANDSHAKE && c->state != CONN_CLOSING)
		return false;
	c->linked = true;
	advance_up(c);
	return true;
}

void
conn_on_attested(struct chan *attestd, struct msg *m)
{
	struct msg_SESSION_ATTESTED who;
	struct conn *c;

	(void)attestd;
	if (!msg_get_SESSION_ATTESTED(&m->body, &who))
		fatalx("malformed SESSION_ATTESTED");
	c = conn_of(who.session);
	if (c == NULL || (c->state != CONN_HANDSHAKE && c->state != CONN_UP))
		return; /* who has gone is nobody */
	/* Who attests again is the same: attestd sees to it. */
	if (c->attested && strcmp(c->peer, who.peer) != 0)
		return;
	memcpy(c->key, who.key, sizeof(c->key));
	memcpy(c->head, who.head, sizeof(c->head));
	c->capabilities = who.capabilities;
	c->own = who.own;
	c->seq = who.seq;
	if (c->state == CONN_UP)
		return;
	c->attested = true;
	c->purpose = who.purpose;
	snprintf(c->peer, sizeof(c->peer), "%s", who.peer);
	advance_up(c);
}

bool
conn_worker_down(struct conn *c, const char *reason)
{
	if (c->state != CONN_HANDSHAKE && c->state != CONN_UP &&
	    c->state != CONN_CLOSING)
		return false;
	give_reason(c, "%s", reason);
	/*
	 * Its process says goodbye to the peer and ends; its channel is let
	 * go of when it does, or when it takes too long.
	 */
	if (c->state != CONN_CLOSING) {
		c->state = CONN_CLOSING;
		count();
		if (!limit_wait(c, conns.door->ends_in))
			fatalx("out of memory");
	}
	return true;
}

/* The beginning. */

static struct conn *
add(int fd, const struct address *a, uint8_t role, const struct conn_user *user)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->fd = fd;
	c->address = *a;
	c->role = role;
	c->user = user;
	c->start_us = conn_now_us();
	TAILQ_INSERT_TAIL(&conns.all, c, entry);
	return c;
}

static void
set_socket(int fd)
{
	int one = 1, unsent = UNSENT_BYTES;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent,
	    sizeof(unsent));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

/* It is for a worker. */
static void
wait_for_worker(struct conn *c)
{
	c->state = CONN_WAITING;
	if (!limit_wait(c, WAITING_S))
		fatalx("out of memory");
	count();
	conn_advance();
}

static void
low_water(int fd, int bytes)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

/*
 * The first bytes are there, or the time is up. A ClientHello is far longer
 * than a route, so that both are there whole or are worth nothing.
 */
static void
on_knock(evutil_socket_t fd, short what, void *arg)
{
	uint8_t first[CONN_ROUTE_LEN];
	struct conn *c = arg;

	if ((what & EV_TIMEOUT) != 0) {
		on_overdue(fd, what, c);
		return;
	}
	if (recv(fd, first, sizeof(first), MSG_PEEK) != sizeof(first)) {
		send_away(c, SAID_NOTHING,
		    "it was closed before anything came");
		return;
	}
	low_water(fd, 1);
	if (first[0] == TLS_HANDSHAKE) {
		wait_for_worker(c);
		return;
	}
	if (conns.door->routed == NULL) {
		send_away(c, NO_TLS, "it speaks no TLS");
		return;
	}
	if (recv(fd, first, sizeof(first), 0) == sizeof(first))
		conns.door->routed(c, first);
	if (c->fd != -1) {
		send_away(c, NO_ROUTE, "its route leads nowhere");
		return;
	}
	give_reason(c, "%s", "it is a stream");
	end(c);
}

static void
listen_for_knock(struct conn *c)
{
	struct timeval within = { conns.handshake_ms / 1000,
		(suseconds_t)(conns.handshake_ms % 1000) * 1000 };

	c->state = CONN_KNOCKING;
	low_water(c->fd, CONN_ROUTE_LEN);
	c->event = event_new(child_base(), c->fd, EV_READ, on_knock, c);
	if (c->event == NULL || event_add(c->event, &within) == -1)
		fatalx("out of memory");
	count();
}

void
conn_accepted(int fd, const struct address *from, bool known, bool crowded)
{
	struct conn *c = add(fd, from, EVIDENCE_SERVER, conns.door->accepts);

	if (c == NULL) {
		close(fd);
		return;
	}
	count_one(conns.door->accepted);
	c->known = known;
	set_socket(fd);
	if (conns.door->routed != NULL || (crowded && !known))
		listen_for_knock(c);
	else
		wait_for_worker(c);
}

/* It has connected, has not, or has not in time. */
static void
on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	if ((what & EV_TIMEOUT) != 0)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		give_reason(c, "cannot connect: %s", strerror(error));
		end(c);
		return;
	}
	c->connect_us = (uint32_t)(conn_now_us() - c->start_us);
	c->connected = true;
	if (c->user->connected != NULL)
		c->user->connected(c);
	if (c->fd != -1)
		wait_for_worker(c);
	else
		end(c);
}

struct conn *
conn_dial(const struct address *to, unsigned int seconds, uint8_t purpose,
    const char *peer, const struct conn_user *user, void *arg)
{
	struct timeval within = { seconds, 0 };
	struct conn_counts n;
	struct conn *c;
	int fd;

	conn_count(&n, NULL);
	if (n.all >= CONNS_MAX)
		return NULL;
	fd = socket(to->ss.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return NULL;
	if ((c = add(fd, to, EVIDENCE_CLIENT, user)) == NULL) {
		close(fd);
		return NULL;
	}
	c->arg = arg;
	c->purpose = purpose;
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	count_one(conns.door->dialled);
	set_socket(fd);
	c->state = CONN_DIALLING;
	count();
	if (connect(fd, (const struct sockaddr *)&to->ss, to->len) == -1 &&
	    errno != EINPROGRESS) {
		give_reason(c, "cannot connect: %s", strerror(errno));
		conn_close(c, "cannot connect");
		return c;
	}
	c->event = event_new(child_base(), fd, EV_WRITE, on_connected, c);
	if (c->event == NULL || event_add(c->event, &within) == -1)
		fatalx("out of memory");
	return c;
}

const struct door *
conn_door(void)
{
	return conns.door;
}

void
conn_prepare(const struct door *of)
{
	conns.door = of;
	conns.ended = event_new(child_base(), -1, 0, on_ended, NULL);
	if (conns.ended == NULL)
		fatalx("out of memory");
}

void
conn_configure(uint32_t handshake_ms)
{
	conns.handshake_ms = handshake_ms;
}
