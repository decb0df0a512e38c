/* SPDX-License-Identifier: ISC */
/*
 * errand_try.c - a peer is tried for an operator (`claw node:ping`).
 *
 * Always a new connection and the whole of it: dial, handshake, both leaves,
 * both verdicts, WELCOME, then there and back, then the end. It is no link
 * and takes none's place. Of several addresses the next is tried where one was
 * of no use; if all were, it is told of the one that got furthest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "meshd/errand.h"
#include "meshd/peers.h"

#define TRIALS_MAX 64
#define WITHIN_S 10

struct trial {
	TAILQ_ENTRY(trial) entry;
	struct chan *client; /* NULL: answered, or gone */
	uint32_t id;
	struct conn *conn;
	struct route route;
	struct event *timer; /* NULL: nothing more is tried */
	struct msg_PEER_TRIED out;
};

static TAILQ_HEAD(, trial) trials = TAILQ_HEAD_INITIALIZER(trials);
static unsigned int trial_count;

static void
answer(struct trial *t)
{
	if (t->client != NULL)
		(void)chan_send_PEER_TRIED(t->client, t->id, -1, &t->out);
	t->client = NULL;
}

static void
end(struct trial *t)
{
	TAILQ_REMOVE(&trials, t, entry);
	trial_count--;
	if (t->timer != NULL)
		event_free(t->timer);
	free(t);
}

static void
on_overdue(evutil_socket_t fd, short what, void *arg)
{
	static const char *const during[] = {
		[CONN_DIALLING] = "the connection was not accepted",
		[CONN_WAITING] = "no process was free for it",
		[CONN_OPENING] = "keyd or attestd did not open a session",
		[CONN_HANDSHAKE] = "the handshake was not over",
		[CONN_UP] = "it was attested, and did not answer",
		[CONN_CLOSING] = "it did not end",
	};
	struct trial *t = arg;

	(void)fd;
	(void)what;
	event_free(t->timer);
	t->timer = NULL;
	t->out.connect_us = t->conn->connect_us;
	snprintf(t->out.address, sizeof(t->out.address), "%s",
	    t->conn->address.text);
	snprintf(t->out.reason, sizeof(t->out.reason), "%s within %d s",
	    during[t->conn->state], WITHIN_S);
	answer(t);
	conn_close(t->conn, "it took too long");
}

static void
on_pong(struct chan *c, struct msg *m, void *arg)
{
	uint32_t session = (uint32_t)(uintptr_t)arg;
	struct msg_LINK_PONG pong;
	struct trial *t;

	(void)c;
	TAILQ_FOREACH(t, &trials, entry)
		if (t->conn->session == session)
			break;
	/* Without an answer it is down() that says why, or the timer. */
	if (t == NULL || m == NULL || m->type == MSG_REFUSED)
		return;
	if (!msg_get_LINK_PONG(&m->body, &pong))
		fatalx("malformed LINK_PONG");
	t->out.ping_us = pong.us;
	t->out.attested = 1;
	answer(t);
	conn_close(t->conn, "it was tried");
}

static void trial_up(struct conn *);
static void trial_down(struct conn *);

static const struct conn_user trial_user = { NULL, trial_up, trial_down };

static bool
dial_trial(struct trial *t)
{
	t->conn = conn_dial(route_address(&t->route), route_seconds(&t->route),
	    EVIDENCE_MESH, t->out.peer, &trial_user, t);
	return t->conn != NULL;
}

static void
trial_up(struct conn *c)
{
	struct msg_LINK_PING ping = { 0 };
	struct trial *t = c->arg;

	snprintf(t->out.peer, sizeof(t->out.peer), "%s", c->peer);
	snprintf(t->out.address, sizeof(t->out.address), "%s", c->address.text);
	t->out.reason[0] = '\0';
	t->out.alert = t->out.by_peer = 0;
	t->out.seq = c->link.seq;
	memcpy(t->out.head, c->link.head, sizeof(t->out.head));
	t->out.connect_us = c->connect_us;
	t->out.leaf_us = c->link.leaf_us;
	t->out.verdict_us = c->link.verdict_us;
	t->out.secured_us = c->link.secured_us;
	t->out.welcome_us = c->link.welcome_us;
	(void)chan_send_LINK_PING(c->worker,
	    chan_ask(c->worker, MSG_LINK_PING, on_pong,
		(void *)(uintptr_t)c->session),
	    -1, &ping);
}

static void
trial_down(struct conn *c)
{
	struct trial *t = c->arg;

	/* Who was there and refused says more than who was not. */
	if (c->connect_us != 0 || t->out.connect_us == 0) {
		t->out.alert = c->alert;
		t->out.by_peer = c->by_peer;
		t->out.connect_us = c->connect_us;
		snprintf(t->out.address, sizeof(t->out.address), "%s",
		    c->address.text);
		snprintf(t->out.reason, sizeof(t->out.reason), "%s", c->reason);
	}
	if (t->client != NULL && t->timer != NULL && c->up_us == 0 &&
	    route_next(&t->route) && dial_trial(t))
		return;
	answer(t);
	end(t);
}

/* Where it is; false: it was refused. */
static bool
where(struct chan *c, const struct msg *m, const struct msg_TRY_PEER *try,
    struct route *r)
{
	struct address a;

	if (peers_is_self(try->peer))
		chan_refuse(c, m, EINVAL, false, "that is this node");
	else if (try->address[0] != '\0' && !address_parse(try->address, &a))
		chan_refuse(c, m, EINVAL, false,
		    "%s is no numeric address with a port", try->address);
	else if (try->address[0] == '\0' && !peers_route(try->peer, r))
		chan_refuse(c, m, ENOENT, false,
		    "the registry says no address of %s; give one",
		    try->peer[0] != '\0' ? try->peer : "a peer without a name");
	else if (!conn_can_attest() || trial_count == TRIALS_MAX)
		chan_refuse(c, m, EAGAIN, true,
		    trial_count == TRIALS_MAX ?
			"too many peers are being tried" :
			"keyd or attestd is away; nobody can be attested now");
	else {
		if (try->address[0] != '\0')
			route_to(&a, r);
		return true;
	}
	return false;
}

void
errand_on_try(struct chan *c, struct msg *m)
{
	struct timeval tv = { WITHIN_S, 0 };
	struct msg_TRY_PEER try;
	struct route route;
	struct trial *t;

	if (!msg_get_TRY_PEER(&m->body, &try))
		fatalx("malformed TRY_PEER");
	if (!where(c, m, &try, &route))
		return;
	t = calloc(1, sizeof(*t));
	if (t == NULL ||
	    (t->timer = evtimer_new(child_base(), on_overdue, t)) == NULL)
		fatalx("out of memory");
	t->route = route;
	snprintf(t->out.peer, sizeof(t->out.peer), "%s", try.peer);
	if (!dial_trial(t)) {
		event_free(t->timer);
		free(t);
		chan_refuse(c, m, EAGAIN, true,
		    "there are too many connections");
		return;
	}
	t->client = c;
	t->id = m->id;
	evtimer_add(t->timer, &tv);
	TAILQ_INSERT_TAIL(&trials, t, entry);
	trial_count++;
}

void
errand_forget(struct chan *c)
{
	struct trial *t;

	TAILQ_FOREACH(t, &trials, entry)
		if (t->client == c)
			t->client = NULL;
}
