/* SPDX-License-Identifier: ISC */
/*
 * linkd.c - a worker: one connection to one peer.
 *
 * meshd hands it a connected socket and says in which role. It speaks TLS
 * with whoever is at the other end: keyd makes the leaf that proves who we
 * are, attestd judges the peer's, and neither believes a word of linkd's about
 * itself. It holds one socket, one one-time key, and channels to these three.
 * When the link ends, it ends.
 *
 *	link.c		handshake, WELCOME, frames in and out, the end
 *	reattest.c	both ends prove themselves again
 *	pull.c		lines of the registry, in both directions
 *	join.c		a node that wants to be one of us
 *	joiner.c	we want to be one of them
 *	frame.c		frames as bytes
 */
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "linkd/joiner.h"
#include "linkd/link.h"
#include "linkd/pull.h"
#include "linkd/reattest.h"

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_WORKER config;

	return msg_get_CONFIG_WORKER(&m->body, &config) ?
	    NULL :
	    "malformed configuration";
}

/* meshd's orders. */

static void
on_serve(struct chan *c, struct msg *m)
{
	struct msg_LINK_SERVE serve;

	if (!msg_get_LINK_SERVE(&m->body, &serve))
		fatalx("malformed LINK_SERVE");
	if (!link_serve(&serve, m->fd)) {
		child_violation(c, m, "a link that is none");
		return;
	}
	m->fd = -1;
}

static void
on_close(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
	link_close(BYE_DONE, "closed by this node");
}

/* attestd's. */

static void
on_session_end(struct chan *c, struct msg *m)
{
	struct msg_SESSION_END end;

	(void)c;
	if (!msg_get_SESSION_END(&m->body, &end))
		fatalx("malformed SESSION_END");
	link_close(BYE_ENDED, "%s", end.reason);
}

static void
on_head_moved(struct chan *c, struct msg *m)
{
	struct msg_HEAD_MOVED moved;

	(void)c;
	if (!msg_get_HEAD_MOVED(&m->body, &moved))
		fatalx("malformed HEAD_MOVED");
	link_head_moved(&moved);
}

/* Another attestd has not seen this peer: it is to judge it, too. */
static void
peer_up(struct chan *c)
{
	if (chan_peer(c) == PROC_ATTESTD)
		reattest_soon();
}

/* The broker lets go: there is nobody to hold the link for. */
static void
peer_down(struct chan *c)
{
	if (chan_peer(c) == PROC_MESHD)
		_exit(0);
}

static void
drain(uint32_t timeout_ms)
{
	(void)timeout_ms;
	link_drain();
}

static const struct chan_handlers from_siblings[] = {
	{ MSG_LINK_SERVE, on_serve },
	{ MSG_LINK_CLOSE, on_close },
	{ MSG_LINK_PING, link_ping },
	{ MSG_LINK_PULL, pull_on_request },
	{ MSG_LINK_JOIN, joiner_on_request },
	{ MSG_SESSION_END, on_session_end },
	{ MSG_HEAD_MOVED, on_head_moved },
	{ 0, NULL },
};

static const struct child linkd = {
	.self = PROC_LINKD,
	.from_peers = from_siblings,
	.prepare = link_prepare,
	.config = MSG_CONFIG_WORKER,
	.stage = stage,
	.start = link_start,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	child_run(&linkd, argc, argv);
}
