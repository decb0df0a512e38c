/* SPDX-License-Identifier: ISC */
/*
 * rehash.c - a file is read again before it is committed (sft.verify: disk).
 *
 * What was written is dropped from the page cache where the kernel lets it be,
 * so that it is the disk that is read. Others are served between two pieces.
 */
#include <blake3.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "sftd/rehash.h"

#define PIECE 65536
#define PIECES 32 /* at a time: about a millisecond */

struct rehash {
	int fd;
	uint64_t at, size;
	blake3_hasher hasher;
	void (*then)(void *arg, int error, const uint8_t root[32]);
	void *arg;
	struct event *event;
	uint8_t piece[PIECE];
};

void
rehash_free(struct rehash *r)
{
	if (r == NULL)
		return;
	if (r->event != NULL)
		event_free(r->event);
	close(r->fd);
	free(r);
}

static void
over(struct rehash *r, int error)
{
	void (*then)(void *, int, const uint8_t *) = r->then;
	uint8_t root[BLAKE3_OUT_LEN];
	void *arg = r->arg;

	blake3_hasher_finalize(&r->hasher, root, sizeof(root));
	rehash_free(r);
	then(arg, error, root);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct timeval soon = { 0, 0 };
	struct rehash *r = arg;
	unsigned int i;
	ssize_t n;

	(void)fd;
	(void)what;
	for (i = 0; i < PIECES && r->at < r->size; i++) {
		n = pread(r->fd, r->piece,
		    r->size - r->at < PIECE ? (size_t)(r->size - r->at) : PIECE,
		    (off_t)r->at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			over(r, n == 0 ? -EFBIG : -errno);
			return;
		}
		blake3_hasher_update(&r->hasher, r->piece, (size_t)n);
		r->at += (uint64_t)n;
	}
	if (r->at == r->size)
		over(r, 0);
	else
		evtimer_add(r->event, &soon);
}

struct rehash *
rehash_new(int fd, uint64_t size,
    void (*then)(void *arg, int error, const uint8_t root[32]), void *arg)
{
	struct rehash *r = calloc(1, sizeof(*r));
	struct timeval soon = { 0, 0 };

	if (r == NULL)
		fatalx("out of memory");
	r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r->size = size;
	r->then = then;
	r->arg = arg;
	blake3_hasher_init(&r->hasher);
	r->event = evtimer_new(child_base(), on_turn, r);
	if (r->fd == -1 || r->event == NULL ||
	    evtimer_add(r->event, &soon) == -1)
		fatal("out of memory or descriptors");
	(void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED);
	return r;
}
