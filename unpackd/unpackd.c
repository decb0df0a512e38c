/* SPDX-License-Identifier: ISC */
/*
 * unpackd.c - a worker: unpacks one folder that a peer has sent.
 *
 * sftd hands it a directory, which it made for this, and the folder as it came,
 * one file whose hash the peer has sealed. It confines itself to the directory
 * before it reads a byte of the file, unpacks, has all of it made durable,
 * answers and ends. What it parses is a peer's: that is why it is a process of
 * its own, which holds nothing else, and can read nothing by any name.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/sftframe.h"
#include "unpackd/unpack.h"

#define ANSWER_MS 1000
#define PIECE ((size_t)1 << 18)
#define PIECES 16 /* at a time; in between it hears whether it is to end */

static struct {
	int dir, file;
	uint64_t at, size;
	struct chan *broker;
	uint32_t ask;
	struct event *event;
	struct unpack unpack;
	uint8_t piece[PIECE];
} job = { .dir = -1, .file = -1 };

__attribute__((noreturn)) static void
answer(int error)
{
	struct msg_UNPACKED done = { .entries = job.unpack.reader.entries,
		.bytes = job.unpack.reader.bytes };

	unpack_close(&job.unpack);
	if (error != 0) {
		done.code = error == -EBADMSG		 ? SFT_PROTOCOL :
		    error == -ENOSPC || error == -EDQUOT ? SFT_NO_SPACE :
							   SFT_IO;
		snprintf(done.text, sizeof(done.text), "%s",
		    job.unpack.why[0] != '\0' ? job.unpack.why :
						strerror(-error));
	}
	(void)chan_send_UNPACKED(job.broker, job.ask, -1, &done);
	chan_flush(job.broker, ANSWER_MS);
	/* The directory is nobody's until we have ended. */
	_exit(0);
}

/* All that there is; then nothing was made that is not durable. */
static int
finish(void)
{
	int r = unpack_end(&job.unpack);

	/* The directory is only a name to us: the file is on the same disk. */
	if (r == 0 && syncfs(job.file) == -1)
		r = -errno;
	return r;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct timeval soon = { 0, 0 };
	unsigned int i;
	ssize_t n;
	int r = 0;

	(void)fd;
	(void)what;
	(void)arg;
	for (i = 0; r == 0 && i < PIECES && job.at < job.size; i++) {
		n = pread(job.file, job.piece, sizeof(job.piece),
		    (off_t)job.at);
		if (n <= 0) {
			r = n == 0 ? -EIO : -errno;
			break;
		}
		job.at += (uint64_t)n;
		r = unpack_feed(&job.unpack, job.piece, (size_t)n);
	}
	/* Who unpacked it came no further: there is no more to be removed. */
	if (r == -EBADMSG && job.unpack.remove) {
		r = 0;
		job.at = job.size;
	}
	if (r == 0 && job.at < job.size)
		evtimer_add(job.event, &soon);
	else
		answer(r == 0 ? finish() : r);
}

static void
prepare(void)
{
	umask(027);
	job.event = evtimer_new(child_base(), on_turn, NULL);
	if (job.event == NULL)
		fatalx("out of memory");
}

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_WORKER config;

	return msg_get_CONFIG_WORKER(&m->body, &config) ?
	    NULL :
	    "malformed configuration";
}

static void
on_into(struct chan *c, struct msg *m)
{
	int r;

	if (job.dir != -1) {
		child_violation(c, m, "a second directory");
		return;
	}
	job.dir = m->fd;
	m->fd = -1;
	r = sandbox_enter_dir(job.dir);
	if (r != 0)
		fatalx("cannot be confined to its directory: %s", strerror(-r));
}

static void
on_unpack(struct chan *c, struct msg *m)
{
	struct timeval soon = { 0, 0 };
	struct msg_UNPACK want;
	struct stat st;

	if (!msg_get_UNPACK(&m->body, &want))
		fatalx("malformed UNPACK");
	if (job.dir == -1 || job.file != -1 || fstat(m->fd, &st) == -1 ||
	    (uint64_t)st.st_size != want.size) {
		child_violation(c, m, "nothing to unpack, or nowhere");
		return;
	}
	job.file = m->fd;
	m->fd = -1;
	job.size = want.size;
	job.broker = c;
	job.ask = m->id;
	(void)posix_fadvise(job.file, 0, 0, POSIX_FADV_SEQUENTIAL);
	unpack_init(&job.unpack, job.dir, want.remove != 0, want.room);
	evtimer_add(job.event, &soon);
}

/* The broker lets go: the job is done, or nobody wants it. */
static void
peer_down(struct chan *c)
{
	(void)c;
	_exit(0);
}

static const struct chan_handlers from_broker[] = {
	{ MSG_UNPACK_INTO, on_into },
	{ MSG_UNPACK, on_unpack },
	{ 0, NULL },
};

static const struct child unpackd = {
	.self = PROC_UNPACKD,
	.from_peers = from_broker,
	.prepare = prepare,
	.config = MSG_CONFIG_WORKER,
	.stage = stage,
	.peer_down = peer_down,
};

int
main(int argc, char **argv)
{
	child_run(&unpackd, argc, argv);
}
