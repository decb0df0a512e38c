/* SPDX-License-Identifier: ISC */
/*
 * xferd.c - a worker: one end of one file transfer.
 *
 * sftd hands it connected sockets and one file. It speaks TLS with whoever is
 * at the other end and holds nothing but that one transfer: no name of a file,
 * no folder, no key but those of its connections. xfer.h tells who does what.
 */
#include <malloc.h>
#include <unistd.h>

#include "common/b3tree.h"
#include "common/child.h"
#include "common/log.h"
#include "xferd/control.h"
#include "xferd/stream.h"
#include "xferd/xfer.h"

static void
prepare(void)
{
	const char *why;

#ifdef M_ARENA_MAX
	/* Threads allocate little, and seldom. */
	(void)mallopt(M_ARENA_MAX, 1);
#endif
	if (b3tree_selftest(&why) != 0)
		fatalx("BLAKE3: %s", why);
	xfer_init();
	control_prepare();
}

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_WORKER config;

	return msg_get_CONFIG_WORKER(&m->body, &config) ?
	    NULL :
	    "malformed configuration";
}

/* sftd's orders. What is handed over is ours when it was taken. */

static void
on_serve(struct chan *c, struct msg *m)
{
	struct msg_XFER_SERVE serve;

	if (!msg_get_XFER_SERVE(&m->body, &serve))
		fatalx("malformed XFER_SERVE");
	if (control_serve(&serve, m->fd))
		m->fd = -1;
	else
		child_violation(c, m, "a transfer that is none");
}

static void
on_offer(struct chan *c, struct msg *m)
{
	struct msg_XFER_OFFER offer;

	if (!msg_get_XFER_OFFER(&m->body, &offer))
		fatalx("malformed XFER_OFFER");
	if (control_offer(&offer, m->fd))
		m->fd = -1;
	else
		child_violation(c, m, "an offer that is none");
}

static void
on_journal(struct chan *c, struct msg *m)
{
	if (control_journal(m->fd))
		m->fd = -1;
	else
		child_violation(c, m, "a journal of nothing");
}

static void
on_basis(struct chan *c, struct msg *m)
{
	struct msg_XFER_BASIS basis;

	if (!msg_get_XFER_BASIS(&m->body, &basis))
		fatalx("malformed XFER_BASIS");
	if (control_basis(basis.which, m->fd))
		m->fd = -1;
	else
		child_violation(c, m, "a basis of nothing");
}

static void
on_stream(struct chan *c, struct msg *m)
{
	struct msg_XFER_STREAM stream;

	(void)c;
	if (!msg_get_XFER_STREAM(&m->body, &stream))
		fatalx("malformed XFER_STREAM");
	/* The transfer may have ended before it came. */
	if (streams_take(stream.index, m->fd))
		m->fd = -1;
	else
		log_debug("stream %u is not wanted", stream.index);
}

static void
on_no_stream(struct chan *c, struct msg *m)
{
	struct msg_XFER_NO_STREAM no;

	(void)c;
	if (!msg_get_XFER_NO_STREAM(&m->body, &no))
		fatalx("malformed XFER_NO_STREAM");
	streams_none(no.index, no.text);
}

static void
on_stop(struct chan *c, struct msg *m)
{
	struct msg_XFER_STOP stop;

	(void)c;
	if (!msg_get_XFER_STOP(&m->body, &stop))
		fatalx("malformed XFER_STOP");
	if (stop.code < 1 || stop.code > SFT_CODE_MAX)
		stop.code = SFT_STOPPING;
	xfer_fail((enum sft_code)stop.code, false, "%s", stop.text);
}

/* attestd's. */

static void
on_session_end(struct chan *c, struct msg *m)
{
	struct msg_SESSION_END end;

	(void)c;
	if (!msg_get_SESSION_END(&m->body, &end))
		fatalx("malformed SESSION_END");
	xfer_fail(SFT_ATTESTATION, false, "%s", end.reason);
}

static void
on_head_moved(struct chan *c, struct msg *m)
{
	struct msg_HEAD_MOVED moved;

	(void)c;
	if (!msg_get_HEAD_MOVED(&m->body, &moved))
		fatalx("malformed HEAD_MOVED");
	control_head(&moved);
}

/* The broker lets go: there is nobody to hold the transfer for. */
static void
peer_down(struct chan *c)
{
	if (chan_peer(c) == PROC_SFTD)
		_exit(0);
}

static void
drain(uint32_t timeout_ms)
{
	(void)timeout_ms;
	control_drain();
}

static const struct chan_handlers from_siblings[] = {
	{ MSG_XFER_SERVE, on_serve },
	{ MSG_XFER_OFFER, on_offer },
	{ MSG_XFER_JOURNAL, on_journal },
	{ MSG_XFER_BASIS, on_basis },
	{ MSG_XFER_STREAM, on_stream },
	{ MSG_XFER_NO_STREAM, on_no_stream },
	{ MSG_XFER_STOP, on_stop },
	{ MSG_SESSION_END, on_session_end },
	{ MSG_HEAD_MOVED, on_head_moved },
	{ 0, NULL },
};

static const struct child xferd = {
	.self = PROC_XFERD,
	.from_peers = from_siblings,
	.prepare = prepare,
	.config = MSG_CONFIG_WORKER,
	.stage = stage,
	.start = control_start,
	.peer_down = peer_down,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	child_run(&xferd, argc, argv);
}
