/* SPDX-License-Identifier: ISC */
/*
 * errand_pull.c - the registry is pulled from a peer that knows a newer one.
 *
 * Over the link there is; where there is none, over a connection that is made
 * for it: then one of the two does not let the other in as long as they
 * disagree, and claw-registry/1 admits who may at least be talked to. What
 * had failed is tried again once afterwards.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "meshd/errand.h"
#include "meshd/peers.h"

#define PULLS_MAX 16 /* at a time */
/* From one peer no sooner, and no longer. */
#define AGAIN_S 5
#define WITHIN_S 60
#define REMEMBERED 64

struct pull {
	TAILQ_ENTRY(pull) entry;
	char peer[CONN_NAME_SIZE];
	struct conn *conn; /* made for it; NULL: over a link */
	struct route route;
	uint32_t session; /* that was asked */
	struct event *timer;
};

static TAILQ_HEAD(, pull) pulls = TAILQ_HEAD_INITIALIZER(pulls);
static unsigned int pull_count;
static struct {
	char peer[CONN_NAME_SIZE];
	uint64_t at_us;
} recent[REMEMBERED];
static size_t recent_next;

static bool
too_soon(const char *peer)
{
	uint64_t now = conn_now_us();
	struct pull *p;
	size_t i;

	TAILQ_FOREACH(p, &pulls, entry)
		if (strcmp(p->peer, peer) == 0)
			return true;
	for (i = 0; i < REMEMBERED; i++)
		if (strcmp(recent[i].peer, peer) == 0 &&
		    now - recent[i].at_us < AGAIN_S * UINT64_C(1000000))
			return true;
	snprintf(recent[recent_next].peer, sizeof(recent[0].peer), "%s", peer);
	recent[recent_next].at_us = now;
	recent_next = (recent_next + 1) % REMEMBERED;
	return false;
}

static void
end(struct pull *p)
{
	struct conn *c = p->conn;

	TAILQ_REMOVE(&pulls, p, entry);
	pull_count--;
	if (p->timer != NULL)
		event_free(p->timer);
	free(p);
	if (c != NULL) {
		c->arg = NULL;
		conn_close(c, "the registry was pulled");
	}
}

static void
on_overdue(evutil_socket_t fd, short what, void *arg)
{
	struct pull *p = arg;

	(void)fd;
	(void)what;
	log_warnx("the registry of %s could not be pulled within %d s", p->peer,
	    WITHIN_S);
	end(p);
}

static void
on_pulled(struct chan *c, struct msg *m, void *arg)
{
	uint32_t session = (uint32_t)(uintptr_t)arg;
	struct msg_LINK_PULLED done;
	char peer[CONN_NAME_SIZE];
	struct pull *p;

	(void)c;
	TAILQ_FOREACH(p, &pulls, entry)
		if (p->session == session)
			break;
	if (p == NULL)
		return;
	snprintf(peer, sizeof(peer), "%s", p->peer);
	if (m == NULL || m->type == MSG_REFUSED) {
		if (m != NULL || p->conn == NULL)
			end(p); /* else down() does */
		return;
	}
	if (!msg_get_LINK_PULLED(&m->body, &done))
		fatalx("malformed LINK_PULLED");
	log_info("pulled %u lines of the registry from %s%s%s", done.taken,
	    peer, done.why[0] != '\0' ? ": " : "", done.why);
	end(p);
	if (done.taken > 0)
		peers_dial_now(peer);
}

static void
ask(struct pull *p, struct conn *c)
{
	struct msg_LINK_PULL order = { 0 };

	p->session = c->session;
	(void)chan_send_LINK_PULL(c->worker,
	    chan_ask(c->worker, MSG_LINK_PULL, on_pulled,
		(void *)(uintptr_t)c->session),
	    -1, &order);
}

static void
pull_up(struct conn *c)
{
	if (c->arg != NULL)
		ask(c->arg, c);
}

static void pull_down(struct conn *);

static const struct conn_user pull_user = { NULL, pull_up, pull_down };

static bool
dial_pull(struct pull *p)
{
	p->conn = conn_dial(route_address(&p->route), route_seconds(&p->route),
	    EVIDENCE_REGISTRY, p->peer, &pull_user, p);
	return p->conn != NULL;
}

static void
pull_down(struct conn *c)
{
	struct pull *p = c->arg;

	if (p == NULL)
		return;
	log_warnx("the registry of %s could not be pulled from %s: %s", p->peer,
	    c->address.text, c->reason);
	p->conn = NULL;
	if (c->up_us == 0 && route_next(&p->route) && dial_pull(p))
		return;
	end(p);
}

/* Where the registry says, or where that session was dialled to. */
static bool
where(const struct msg_PULL_WANTED *w, struct route *out)
{
	const struct conn *c;

	if (peers_route(w->peer, out))
		return true;
	c = conn_of(w->session);
	if (c == NULL || c->role != EVIDENCE_CLIENT)
		return false;
	route_to(&c->address, out);
	return true;
}

static bool
begin(struct pull *p, const struct msg_PULL_WANTED *w)
{
	struct timeval tv = { WITHIN_S, 0 };
	struct conn *link = peers_link(w->peer);

	p->timer = evtimer_new(child_base(), on_overdue, p);
	if (p->timer == NULL || evtimer_add(p->timer, &tv) == -1)
		fatalx("out of memory");
	if (link != NULL) {
		ask(p, link);
		return true;
	}
	return where(w, &p->route) && dial_pull(p);
}

void
errand_on_pull_wanted(struct chan *c, struct msg *m)
{
	struct msg_PULL_WANTED wanted;
	struct pull *p;

	(void)c;
	if (!msg_get_PULL_WANTED(&m->body, &wanted))
		fatalx("malformed PULL_WANTED");
	if (pull_count == PULLS_MAX || !conn_can_attest() ||
	    too_soon(wanted.peer))
		return;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		fatalx("out of memory");
	snprintf(p->peer, sizeof(p->peer), "%s", wanted.peer);
	TAILQ_INSERT_TAIL(&pulls, p, entry);
	pull_count++;
	if (!begin(p, &wanted))
		end(p);
}
