/* SPDX-License-Identifier: ISC */
/*
 * meshd.c - takes and makes connections to peers.
 *
 * It is the one process of the house with the network, and it reads nothing
 * from it: a connection is handed to a linkd of its own as soon as keyd and
 * attestd know its session. What meshd decides is how many there are, who is
 * dialled when, and which link ends.
 *
 *	door/		connections that come in and go out, how many, and
 *			linkds that wait for one
 *	links.c		what linkds say
 *	peers.c		who is to be linked with, and the links there are
 *	errand_pull.c	the registry is pulled from who knows a newer one
 *	errand_try.c	a peer is tried for an operator
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "door/accept.h"
#include "door/pool.h"
#include "meshd/errand.h"
#include "meshd/links.h"
#include "meshd/peers.h"

/* Before the time is up, links are told to end. */
#define DRAIN_MARGIN_MS 2500

static struct msg_CONFIG_MESHD staged;
static struct event *drain_due;
static bool started, draining;

/* A connection has ended, or come up. */
static void
on_changed(void)
{
	accept_update();
	if (draining && TAILQ_EMPTY(conn_all()))
		child_drained();
}

static void
end_links(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c;

	(void)fd;
	(void)what;
	(void)arg;
	TAILQ_FOREACH(c, conn_all(), entry)
		conn_close(c, "this node stops");
}

static const struct door door_of_links = {
	.worker = PROC_LINKD,
	.listening = DESC_MESH_SOCKET,
	.ends_in = 2,
	.up = COUNTER_MESH_LINKS,
	.pending = COUNTER_MESH_PENDING,
	.accepted = COUNTER_MESH_ACCEPTED,
	.dialled = COUNTER_MESH_DIALLED,
	.turned_away = COUNTER_MESH_TURNED_AWAY,
	.accepts = &peers_user,
	.changed = on_changed,
	.expected = peers_expected,
	.serve = links_serve,
	.stop = links_stop,
};

static void
prepare(void)
{
	conn_prepare(&door_of_links);
	pool_prepare(PROC_LINKD, conn_advance);
	peers_prepare();
	accept_prepare();
	drain_due = evtimer_new(child_base(), end_links, NULL);
	if (drain_due == NULL)
		fatalx("out of memory");
}

/* Configuration. */

static const char *
stage(struct msg *m)
{
	char one[ADDRESS_SIZE];
	struct address a;
	const char *p;
	size_t n;

	if (!msg_get_CONFIG_MESHD(&m->body, &staged) || staged.max_links == 0 ||
	    staged.max_pending == 0 || staged.per_address == 0 ||
	    staged.pool == 0)
		return "malformed configuration";
	for (p = staged.peers; *p != '\0'; p += n + strspn(p + n, " ")) {
		n = strcspn(p, " ");
		snprintf(one, sizeof(one), "%.*s", (int)n, p);
		if (n >= sizeof(one) || !address_parse(one, &a))
			return "an address of a peer is none";
	}
	return NULL;
}

static void
commit(void)
{
	struct accept_limits limits = { staged.max_links, staged.max_pending,
		staged.per_address };

	accept_configure(&limits);
	conn_configure(staged.handshake_ms);
	pool_configure(staged.pool);
	peers_configure(staged.node, staged.peers, staged.max_links);
	if (started)
		conn_advance(); /* the pool may be larger now */
	accept_update();
}

static void
start(void)
{
	child_ready();
	started = true;
	conn_advance(); /* fills the pool */
	peers_start();
	accept_update();
}

/* Siblings and workers. */

static void
peer_up(struct chan *c)
{
	if (!started)
		return; /* clawd gives workers to who is ready */
	if (chan_peer(c) == PROC_ATTESTD)
		conn_reopen(c);
	conn_advance();
	accept_update();
}

static void
peer_down(struct chan *c)
{
	if (chan_peer(c) == PROC_LINKD && !conn_forget(c) && pool_forget(c))
		conn_advance();
	if (chan_peer(c) == PROC_CONTROLD)
		errand_forget(c);
	accept_update();
}

static void
drain(uint32_t timeout_ms)
{
	uint32_t ms =
	    timeout_ms > DRAIN_MARGIN_MS ? timeout_ms - DRAIN_MARGIN_MS : 0;
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };

	draining = true;
	accept_end();
	peers_end();
	pool_drain();
	if (TAILQ_EMPTY(conn_all()))
		child_drained();
	evtimer_add(drain_due, &tv);
}

static const struct chan_handlers from_clawd[] = {
	{ MSG_WORKER_ENDED, conn_on_worker_ended },
	{ 0, NULL },
};

static const struct chan_handlers from_siblings[] = {
	{ MSG_LINK_UP, links_on_up },
	{ MSG_LINK_DOWN, links_on_down },
	{ MSG_SESSION_ATTESTED, conn_on_attested },
	{ MSG_PEER_ADDRESS, peers_on_address },
	{ MSG_PULL_WANTED, errand_on_pull_wanted },
	{ MSG_TRY_PEER, errand_on_try },
	{ MSG_LINK_SHOW, peers_on_link_show },
	{ 0, NULL },
};

static const struct child meshd = {
	.self = PROC_MESHD,
	.from_parent = from_clawd,
	.from_peers = from_siblings,
	.prepare = prepare,
	.config = MSG_CONFIG_MESHD,
	.stage = stage,
	.commit = commit,
	.start = start,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	child_run(&meshd, argc, argv);
}
