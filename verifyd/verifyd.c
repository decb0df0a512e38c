/* SPDX-License-Identifier: ISC */
/*
 * verifyd.c - a worker: reads a shard of the audit log through.
 *
 * auditd hands it the log as a descriptor and says how many lines it
 * holds and what they hash to. It parses every line, follows the chain,
 * computes the tree, answers and ends. What it parses may have been tampered
 * with: that is why it is a process of its own, which holds one file and no
 * key.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auditd/line.h"
#include "auditd/reader.h"
#include "common/child.h"
#include "common/log.h"
#include "common/merkle.h"

static void
prepare(void)
{
	if (merkle_setup() != 0)
		fatalx("OpenSSL lacks SHA-256");
}

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_WORKER config;

	return msg_get_CONFIG_WORKER(&m->body, &config) ?
	    NULL :
	    "malformed configuration";
}

/* One line against the chain so far. NULL, or what is wrong with it. */
static const char *
take_line(struct merkle *tree, merkle_hash prev, const char *line, size_t len)
{
	struct line_view view;

	if (line_parse(line, len, &view) != 0)
		return "is no line of an audit log";
	if (view.env.n != tree->size)
		return "has another number";
	if (memcmp(view.env.prev, prev, sizeof(view.env.prev)) != 0)
		return "does not follow from the one before";
	merkle_leaf(line, len, prev);
	merkle_append(tree, (const uint8_t *)prev);
	return NULL;
}

/* The first `size` lines of the file: do they hash to `root`? */
static void
verify(int fd, const struct msg_VERIFY *want, struct msg_VERIFIED *out)
{
	merkle_hash prev = { 0 }, root;
	struct reader reader;
	struct merkle tree;
	const char *line, *why = NULL;
	size_t len;
	int r;

	merkle_init(&tree);
	if (reader_open(&reader, fd, 0, UINT64_MAX) != 0)
		fatalx("out of memory");
	while (why == NULL && tree.size < want->size) {
		r = reader_next(&reader, &line, &len);
		why = r == 1 ? take_line(&tree, prev, line, len) :
		    r == 0   ? "is missing" :
			       "cannot be read";
	}
	reader_close(&reader);
	out->size = tree.size;
	if (why != NULL) {
		snprintf(out->what, sizeof(out->what), "line %llu %s",
		    (unsigned long long)tree.size, why);
		return;
	}
	merkle_root(&tree, root);
	if (memcmp(root, want->root, sizeof(root)) == 0)
		out->sound = 1;
	else
		snprintf(out->what, sizeof(out->what),
		    "the lines are not those that were written");
}

static void
on_verify(struct chan *c, struct msg *m)
{
	struct msg_VERIFIED done = { 0 };
	struct msg_VERIFY want;

	if (!msg_get_VERIFY(&m->body, &want))
		fatalx("malformed VERIFY");
	verify(m->fd, &want, &done);
	(void)chan_send_VERIFIED(c, m->id, -1, &done);
}

/* The broker lets go: the job is done. */
static void
peer_down(struct chan *c)
{
	(void)c;
	_exit(0);
}

static const struct chan_handlers from_broker[] = {
	{ MSG_VERIFY, on_verify },
	{ 0, NULL },
};

static const struct child verifyd = {
	.self = PROC_VERIFYD,
	.from_peers = from_broker,
	.prepare = prepare,
	.config = MSG_CONFIG_WORKER,
	.stage = stage,
	.peer_down = peer_down,
};

int
main(int argc, char **argv)
{
	child_run(&verifyd, argc, argv);
}
