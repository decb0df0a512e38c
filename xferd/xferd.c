/* SPDX-License-Identifier: ISC */
/*
 * xferd.c - a worker: one end of one file transfer.
 *
 * sftd hands it connected sockets and one file. It speaks TLS with whoever is
 * at the other end and holds nothing but that one transfer.
 */
#include "common/child.h"
#include "common/log.h"

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_WORKER config;

	return msg_get_CONFIG_WORKER(&m->body, &config) ?
	    NULL :
	    "malformed configuration";
}

static void
drain(uint32_t timeout_ms)
{
	(void)timeout_ms;
	child_drained();
}

static const struct chan_handlers none[] = {
	{ 0, NULL },
};

static const struct child xferd = {
	.self = PROC_XFERD,
	.from_peers = none,
	.config = MSG_CONFIG_WORKER,
	.stage = stage,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	child_run(&xferd, argc, argv);
}
