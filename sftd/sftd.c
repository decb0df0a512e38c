/* SPDX-License-Identifier: ISC */
/*
 * sftd.c - file transfer: who may, where files go, what is signed about it.
 *
 * It takes and makes the connections of transfers and hands each to an xferd,
 * which has TLS and the bytes. What must not be in the hands of a process that
 * a peer may have taken over is done here: names, the partial file's place,
 * the commit, the seal and the receipt.
 *
 *	door/		connections that come in and go out, how many, and
 *			xferds that wait for one
 *	transfer.c	what is sent and taken; what both have in common
 *	outgoing.c	files that are sent
 *	attempt.c	one attempt at it, from its record to the receipt
 *	client.c	who sends one: brings the source, hears how it goes
 *	incoming.c	files that peers send
 *	policy.c	whether they are taken
 *	partial.c	a file that is not complete
 *	rehash.c	it is read again
 *	commit.c	it gets its name
 *	store.c		small files that are durable; receipts, epochs
 *	record.c	what is written down about it
 *	event.c		lines of JSON
 *	show.c		what operators ask and order
 */
#include <sys/stat.h>

#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "door/accept.h"
#include "door/pool.h"
#include "sftd/attempt.h"
#include "sftd/incoming.h"
#include "sftd/outgoing.h"
#include "sftd/show.h"
#include "sftd/store.h"
#include "sftd/tree.h"

static struct msg_CONFIG_SFTD staged;
static struct event *drain_due, *hourly;
static bool started, draining;

/* Before the time is up, who has not ended is left behind. */
#define DRAIN_MARGIN_MS 1000
/* What is known of having offered a file is forgotten when nobody has offered
 * it again for so long. */
#define SENT_S (UINT64_C(30) * 86400)

/* A connection has ended, or come up. */
static void
on_changed(void)
{
	accept_update();
	if (draining && TAILQ_EMPTY(conn_all()))
		child_drained();
}

static const struct door door_of_transfers = {
	.worker = PROC_XFERD,
	.listening = DESC_SFT_SOCKET,
	.ends_in = 10, /* what came is made durable first */
	.up = COUNTER_MAX,
	.pending = COUNTER_MAX,
	.accepted = COUNTER_MAX,
	.dialled = COUNTER_MAX,
	.turned_away = COUNTER_SFT_TURNED_AWAY,
	.accepts = &incoming_user,
	.changed = on_changed,
	.serve = transfer_serve,
	.stop = transfer_stop_worker,
	.routed = incoming_routed,
};

static void
on_drain_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	child_drained();
}

static void
on_hour(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	store_sweep_sent(SENT_S);
}

static void
prepare(void)
{
	umask(027);
	conn_prepare(&door_of_transfers);
	pool_prepare(PROC_XFERD, conn_advance);
	accept_prepare();
	transfer_prepare();
	outgoing_prepare();
	tree_prepare();
	tune_prepare();
	drain_due = evtimer_new(child_base(), on_drain_due, NULL);
	hourly = event_new(child_base(), -1, EV_PERSIST, on_hour, NULL);
	if (drain_due == NULL || hourly == NULL)
		fatalx("out of memory");
}

/* Configuration. */

static const char *
stage(struct msg *m)
{
	unsigned int rule;
	char why[256];

	if (!msg_get_CONFIG_SFTD(&m->body, &staged) ||
	    staged.chunk_log2 < SFT_CHUNK_LOG2_MIN ||
	    staged.chunk_log2 > SFT_CHUNK_LOG2_MAX ||
	    staged.streams > SFT_STREAMS_MAX || staged.max_transfers == 0 ||
	    staged.max_pending == 0 || staged.per_address == 0 ||
	    staged.pool == 0 ||
	    sftrule_check(staged.accept, &rule, why, sizeof(why)) != 0)
		return "malformed configuration";
	return NULL;
}

static void
commit(void)
{
	struct accept_limits limits;

	sftd_config = staged;
	limits = (struct accept_limits){ staged.max_transfers,
		staged.max_pending, staged.per_address };
	accept_configure(&limits);
	conn_configure(staged.handshake_ms);
	pool_configure(staged.pool);
	if (started)
		conn_advance(); /* the pool may be larger now */
	accept_update();
}

static void
start(void)
{
	int r = store_open(DESC_SFT_DIR, DESC_FILES_DIR);
	struct timeval hour = { 3600, 0 };

	if (r != 0)
		fatalx("data_dir/sft: %s", strerror(-r));
	incoming_load();
	store_sweep_sent(SENT_S);
	evtimer_add(hourly, &hour);
	child_ready();
	started = true;
	tree_begin();
	conn_advance(); /* fills the pool */
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
	if (chan_peer(c) == PROC_UNPACKD)
		tree_forget(c);
	else if (chan_peer(c) == PROC_XFERD && !conn_forget(c) &&
	    pool_forget(c))
		conn_advance();
	accept_update();
}

static void
drain(uint32_t timeout_ms)
{
	uint32_t ms =
	    timeout_ms > DRAIN_MARGIN_MS ? timeout_ms - DRAIN_MARGIN_MS : 0;
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };
	struct conn *c;

	draining = true;
	accept_end();
	pool_drain();
	outgoing_end();
	incoming_end();
	TAILQ_FOREACH(c, conn_all(), entry)
		conn_close(c, "this node stops");
	if (TAILQ_EMPTY(conn_all()))
		child_drained();
	evtimer_add(drain_due, &tv);
}

static void
on_worker_ended(struct chan *c, struct msg *m)
{
	if (!tree_on_worker_ended(m))
		conn_on_worker_ended(c, m);
}

static const struct chan_handlers from_clawd[] = {
	{ MSG_WORKER_ENDED, on_worker_ended },
	{ 0, NULL },
};

static const struct chan_handlers from_siblings[] = {
	{ MSG_SESSION_ATTESTED, conn_on_attested },
	{ MSG_FILE_SEND, outgoing_on_send },
	{ MSG_FILE_CLIENT, outgoing_on_client },
	{ MSG_FILE_SHOW, show_on_show },
	{ MSG_FILE_ORDER, show_on_order },
	{ MSG_FILE_RECEIPT, show_on_receipt },
	{ MSG_XFER_UP, transfer_on_up },
	{ MSG_XFER_FAILED, transfer_on_failed },
	{ MSG_XFER_PROGRESS, transfer_on_progress },
	{ MSG_XFER_OFFERED, incoming_on_offered },
	{ MSG_XFER_COMPLETE, incoming_on_complete },
	{ MSG_XFER_ROUTE, incoming_on_route },
	{ MSG_XFER_TAKEN, attempt_on_taken },
	{ MSG_XFER_DIAL, attempt_on_dial },
	{ MSG_XFER_SEAL, attempt_on_seal },
	{ MSG_XFER_RECEIPT, attempt_on_receipt },
	{ 0, NULL },
};

static const struct child sftd = {
	.self = PROC_SFTD,
	.from_parent = from_clawd,
	.from_peers = from_siblings,
	.prepare = prepare,
	.config = MSG_CONFIG_SFTD,
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
	child_run(&sftd, argc, argv);
}
