/* SPDX-License-Identifier: ISC */
/*
 * sftd.c - file transfer: who may, where files go, what is signed about it.
 *
 * It takes and makes the connections of transfers and hands each to an xferd,
 * which has TLS and the bytes. What must not be in the hands of a process that
 * a peer may have taken over is done here: names, the partial file's place,
 * the commit, the seal and the receipt.
 */
#include "common/child.h"
#include "common/log.h"

static struct msg_CONFIG_SFTD staged, config;

static const char *
stage(struct msg *m)
{
	if (!msg_get_CONFIG_SFTD(&m->body, &staged) || staged.chunk_log2 < 20 ||
	    staged.chunk_log2 > 25 || staged.streams > 8 ||
	    staged.max_transfers == 0)
		return "malformed configuration";
	return NULL;
}

static void
commit(void)
{
	config = staged;
}

static void
start(void)
{
	child_ready();
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

static const struct child sftd = {
	.self = PROC_SFTD,
	.from_parent = none,
	.from_peers = none,
	.config = MSG_CONFIG_SFTD,
	.stage = stage,
	.commit = commit,
	.start = start,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	child_run(&sftd, argc, argv);
}
