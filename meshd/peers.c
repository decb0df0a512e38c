/* SPDX-License-Identifier: ISC */
/*
 * peers.c - who is to be linked with, and the links there are.
 *
 * Peers are those that attestd names, with addresses out of the registry, and
 * the configured addresses of nobody in particular. Each is dialled until
 * there is a link, whoever dialled it, and again when the link has ended:
 * sooner at first, then later and later, and never all at the same moment.
 * Of several addresses one after the other is dialled, without a pause.
 *
 * Two nodes may dial each other at the same time. Both see both links; the
 * one dialled by the lexicographically lower name stays, and the other is
 * closed by its own dialler, after a moment: `claw node:ping` makes a link
 * that is over by itself before.
 */
#include <sys/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "meshd/peers.h"

#define PEERS_MAX 4096
#define DIALS_MAX 32 /* at a time */
#define BACKOFF_MS 200
#define BACKOFF_MAX_MS 60000
/* A link that held for so long was a good one. */
#define GOOD_S 10
#define SETTLE_S 2

struct peer {
	TAILQ_ENTRY(peer) entry;
	char name[CONN_NAME_SIZE];  /* "": a configured address */
	char found[CONN_NAME_SIZE]; /* who was there the last time */
	struct route route;	    /* empty: not any more */
	bool wanted;		    /* while a configuration is taken */
	struct conn *dialled;
	uint32_t backoff_ms;
	bool complained;
	struct event *timer;
};

static struct {
	char self[CONN_NAME_SIZE];
	struct route self_route;
	unsigned int max_links;
	TAILQ_HEAD(, peer) all;
	unsigned int count;
	struct event *settle;
	bool started, ended;
} known = { .all = TAILQ_HEAD_INITIALIZER(known.all) };

static void dial(evutil_socket_t, short, void *);

static bool
is_link(const struct conn *c)
{
	return c->state == CONN_UP && c->user == &peers_user &&
	    c->purpose == EVIDENCE_MESH;
}

struct conn *
peers_link(const char *name)
{
	struct conn *c;

	if (name[0] == '\0')
		return NULL;
	TAILQ_FOREACH(c, conn_all(), entry)
		if (is_link(c) && strcmp(c->peer, name) == 0)
			return c;
	return NULL;
}

static struct peer *
named(const char *name)
{
	struct peer *p;

	TAILQ_FOREACH(p, &known.all, entry)
		if (name[0] != '\0' && strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

bool
peers_is_self(const char *name)
{
	return strcmp(name, known.self) == 0;
}

bool
peers_route(const char *name, struct route *out)
{
	const struct peer *p = named(name);

	if (p == NULL || p->route.n == 0)
		TAILQ_FOREACH(p, &known.all, entry)
			if (name[0] != '\0' && p->name[0] == '\0' &&
			    p->route.n > 0 && strcmp(p->found, name) == 0)
				break;
	if (p == NULL)
		return false;
	*out = p->route;
	out->tried = 0;
	return true;
}

static bool
is_at(const struct route *r, const uint8_t key[ADDRESS_KEY_LEN])
{
	unsigned int i;

	for (i = 0; i < r->n; i++)
		if (memcmp(r->at[i].key, key, ADDRESS_KEY_LEN) == 0)
			return true;
	return false;
}

bool
peers_expected(const uint8_t key[ADDRESS_KEY_LEN])
{
	const struct peer *p;

	TAILQ_FOREACH(p, &known.all, entry)
		if (p->name[0] != '\0' && is_at(&p->route, key))
			return true;
	return false;
}

/* When it is dialled. */

static void
dial_in(struct peer *p, uint32_t ms)
{
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };

	if (known.started && !known.ended)
		evtimer_add(p->timer, &tv);
}

static void
dial_later(struct peer *p)
{
	uint32_t chance = 0;

	p->backoff_ms = p->backoff_ms == 0     ? BACKOFF_MS :
	    p->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS :
						 p->backoff_ms * 2;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) == -1)
		chance = (uint32_t)conn_now_us();
	dial_in(p, p->backoff_ms / 2 + chance % (p->backoff_ms / 2 + 1));
}

static void
dial_now(struct peer *p)
{
	p->backoff_ms = 0;
	dial_in(p, 0);
}

void
peers_dial_now(const char *name)
{
	struct peer *p = named(name);

	if (p != NULL && p->dialled == NULL)
		dial_now(p);
}

static void
forget(struct peer *p)
{
	evtimer_del(p->timer);
	p->route.n = 0;
	if (p->dialled != NULL)
		return; /* when that has ended */
	TAILQ_REMOVE(&known.all, p, entry);
	known.count--;
	event_free(p->timer);
	free(p);
}

static struct peer *
add(const char *name, const struct route *r)
{
	struct peer *p;

	if (known.count == PEERS_MAX) {
		log_warnx("over %d peers: %s is not dialled", PEERS_MAX,
		    name[0] != '\0' ? name : route_address(r)->text);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL ||
	    (p->timer = evtimer_new(child_base(), dial, p)) == NULL)
		fatalx("out of memory");
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->route = *r;
	TAILQ_INSERT_TAIL(&known.all, p, entry);
	known.count++;
	return p;
}

/* Another entry says who lives at that address. */
static bool
has_owner(const struct peer *p)
{
	const char *at = route_address(&p->route)->text;
	const struct peer *o;

	if (p->name[0] != '\0')
		return false;
	if (route_has(&known.self_route, at))
		return true;
	TAILQ_FOREACH(o, &known.all, entry)
		if (o->name[0] != '\0' && route_has(&o->route, at))
			return true;
	return false;
}

static void
dial(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct conn_counts n;

	(void)fd;
	(void)what;
	if (p->dialled != NULL || p->route.n == 0 ||
	    peers_link(p->name[0] != '\0' ? p->name : p->found) != NULL)
		return;
	if (has_owner(p)) {
		dial_in(p, BACKOFF_MAX_MS);
		return;
	}
	conn_count(&n, NULL);
	if (!conn_can_attest() || n.dialled >= DIALS_MAX ||
	    n.up >= known.max_links) {
		dial_later(p);
		return;
	}
	p->dialled = conn_dial(route_address(&p->route),
	    route_seconds(&p->route), EVIDENCE_MESH, p->name, &peers_user, p);
	if (p->dialled == NULL)
		dial_later(p);
}

/* What came of it. */

static const char *
dialler(const struct conn *c)
{
	return c->role == EVIDENCE_CLIENT ? known.self : c->peer;
}

/* Two links to one peer: is this the one of ours that is to go? */
static bool
is_surplus(const struct conn *c)
{
	const struct conn *o;
	int order;

	if (!is_link(c) || c->role != EVIDENCE_CLIENT)
		return false;
	TAILQ_FOREACH(o, conn_all(), entry) {
		if (o == c || !is_link(o) || strcmp(o->peer, c->peer) != 0)
			continue;
		order = strcmp(dialler(o), dialler(c));
		if (order < 0 || (order == 0 && o->up_us < c->up_us))
			return true;
	}
	return false;
}

static void
on_settle(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c;

	(void)fd;
	(void)what;
	(void)arg;
	TAILQ_FOREACH(c, conn_all(), entry)
		if (is_surplus(c))
			conn_close(c, "there is another link to this peer");
}

static void
link_up(struct conn *c)
{
	struct timeval settle = { SETTLE_S, 0 };
	struct peer *p = c->arg;
	struct conn_counts n;

	conn_count(&n, NULL);
	if (n.up > known.max_links) {
		conn_close(c, "there are mesh.max_links links already");
		return;
	}
	if (c->purpose != EVIDENCE_MESH)
		return;
	if (p != NULL) {
		snprintf(p->found, sizeof(p->found), "%s", c->peer);
		p->complained = false;
		route_good(&p->route);
	}
	log_info("linked with %s at %s", c->peer, c->address.text);
	evtimer_add(known.settle, &settle);
}

/* Who is to be dialled again now that this one is gone. */
static void
miss(const char *name)
{
	struct peer *p;

	TAILQ_FOREACH(p, &known.all, entry)
		if (p->dialled == NULL && p->route.n > 0 &&
		    strcmp(p->name[0] != '\0' ? p->name : p->found, name) == 0)
			dial_later(p);
}

/* Nobody was there, or somebody else was. */
static void
dial_next(struct peer *p)
{
	if (route_next(&p->route))
		dial_in(p, 0);
	else {
		p->complained = true; /* of each, once */
		dial_later(p);
	}
}

static void
link_down(struct conn *c)
{
	struct peer *p = c->arg;
	bool was_up = c->up_us != 0 && c->purpose == EVIDENCE_MESH;
	bool good =
	    was_up && conn_now_us() - c->up_us >= GOOD_S * UINT64_C(1000000);
	struct peer *by_name = named(c->peer);

	if (was_up)
		log_info("link with %s at %s has ended: %s", c->peer,
		    c->address.text, c->reason);
	else if (p != NULL && !p->complained)
		log_warnx("no link with %s at %s: %s",
		    p->name[0] != '\0' ? p->name : "whoever is",
		    c->address.text, c->reason);
	if (good && p != NULL)
		p->backoff_ms = 0;
	if (good && by_name != NULL)
		by_name->backoff_ms = 0;
	if (p != NULL) {
		p->dialled = NULL;
		if (p->route.n == 0)
			forget(p);
		else if (!was_up)
			dial_next(p);
	}
	if (was_up && peers_link(c->peer) == NULL)
		miss(c->peer);
}

const struct conn_user peers_user = { NULL, link_up, link_down };

/* Who there is. */

void
peers_on_address(struct chan *c, struct msg *m)
{
	struct msg_PEER_ADDRESS at;
	struct route r;
	struct peer *p;

	if (!msg_get_PEER_ADDRESS(&m->body, &at))
		fatalx("malformed PEER_ADDRESS");
	if (at.peer[0] == '\0') {
		child_violation(c, m, "a peer without a name");
		return;
	}
	/* What stands in the registry is nobody's fault here. */
	if (!route_parse(at.addresses, &r))
		log_warnx("%s: %s are no numeric addresses with their ports",
		    at.peer, at.addresses);
	if (peers_is_self(at.peer)) {
		known.self_route = r;
		return;
	}
	p = named(at.peer);
	if (r.n == 0) {
		if (p != NULL)
			forget(p);
		return;
	}
	if (p == NULL) {
		if ((p = add(at.peer, &r)) != NULL)
			dial_now(p);
		return;
	}
	if (route_same(&p->route, &r))
		return;
	p->route = r;
	p->complained = false;
	dial_now(p);
}

void
peers_configure(const char *self, const char *addresses, unsigned int links)
{
	struct peer *p, *next;
	char one[ADDRESS_SIZE];
	struct address a;
	struct route r;
	size_t n;

	snprintf(known.self, sizeof(known.self), "%s", self);
	known.max_links = links;
	TAILQ_FOREACH(p, &known.all, entry)
		p->wanted = p->name[0] != '\0';
	for (; *addresses != '\0'; addresses += strspn(addresses, " ")) {
		n = strcspn(addresses, " ");
		snprintf(one, sizeof(one), "%.*s", (int)n, addresses);
		addresses += n;
		if (n >= sizeof(one) || !address_parse(one, &a))
			continue; /* stage() has looked */
		TAILQ_FOREACH(p, &known.all, entry)
			if (p->name[0] == '\0' && route_has(&p->route, a.text))
				break;
		route_to(&a, &r);
		if (p == NULL && (p = add("", &r)) != NULL)
			dial_now(p);
		if (p != NULL)
			p->wanted = true;
	}
	for (p = TAILQ_FIRST(&known.all); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (!p->wanted)
			forget(p);
	}
}

void
peers_start(void)
{
	struct peer *p;

	known.started = true;
	TAILQ_FOREACH(p, &known.all, entry)
		if (p->dialled == NULL)
			dial_now(p);
}

void
peers_end(void)
{
	struct peer *p;

	known.ended = true;
	TAILQ_FOREACH(p, &known.all, entry)
		evtimer_del(p->timer);
}

void
peers_prepare(void)
{
	known.settle = evtimer_new(child_base(), on_settle, NULL);
	if (known.settle == NULL)
		fatalx("out of memory");
}

void
peers_on_link_show(struct chan *c, struct msg *m)
{
	struct msg_LINK_SHOW ask;
	struct msg_LINK out = { 0 };
	const struct conn *l;

	if (!msg_get_LINK_SHOW(&m->body, &ask))
		fatalx("malformed LINK_SHOW");
	TAILQ_FOREACH(l, conn_all(), entry) {
		if (!is_link(l))
			continue;
		if (out.count++ != ask.index)
			continue;
		out.role = l->role;
		out.session = l->session;
		snprintf(out.peer, sizeof(out.peer), "%s", l->peer);
		snprintf(out.address, sizeof(out.address), "%s",
		    l->address.text);
		out.since_ms = l->since_ms;
		out.seq = l->link.seq;
	}
	(void)chan_send_LINK(c, m->id, -1, &out);
}
