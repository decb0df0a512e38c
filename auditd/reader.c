/* SPDX-License-Identifier: ISC */
/*
 * reader.c - lines of a log file, one after the other, in bounded memory.
 *
 * Owns one buffer.  Files from anywhere may enter; nothing is judged here but
 * the length of a line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auditd/line.h"
#include "auditd/reader.h"

#define BUFFER (256u * 1024)

int
reader_open(struct reader *r, int fd, uint64_t from, uint64_t limit)
{
	memset(r, 0, sizeof(*r));
	if ((r->buf = malloc(BUFFER)) == NULL)
		return -ENOMEM;
	r->fd = fd;
	r->pos = r->offset = from;
	r->limit = limit;
	return 0;
}

void
reader_close(struct reader *r)
{
	free(r->buf);
	r->buf = NULL;
}

/* More bytes behind those not handed out yet: their number or -errno. */
static ssize_t
fill(struct reader *r)
{
	size_t room;
	ssize_t n;

	memmove(r->buf, r->buf + r->start, r->end - r->start);
	r->end -= r->start;
	r->start = 0;
	room = BUFFER - r->end;
	if (room > r->limit - r->pos)
		room = (size_t)(r->limit - r->pos);
	do
		n = pread(r->fd, r->buf + r->end, room, (off_t)r->pos);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -errno;
	r->end += (size_t)n;
	r->pos += (uint64_t)n;
	return n;
}

int
reader_next(struct reader *r, const char **line, size_t *len)
{
	const char *nl;
	size_t have;
	ssize_t n;

	for (;;) {
		have = r->end - r->start;
		nl = memchr(r->buf + r->start, '\n', have);
		if (nl != NULL || have > LINE_BYTES_MAX)
			break;
		if ((n = fill(r)) < 0)
			return (int)n;
		if (n == 0)
			break;
	}
	*line = r->buf + r->start;
	r->offset = r->pos - have;
	*len = nl == NULL ? have : (size_t)(nl - *line);
	if (nl == NULL && have == 0)
		return 0;
	if (nl == NULL || *len > LINE_BYTES_MAX)
		return -EBADMSG;
	r->start += *len + 1;
	return 1;
}

int
reader_skip(struct reader *r)
{
	const char *nl;
	ssize_t n;

	for (;;) {
		nl = memchr(r->buf + r->start, '\n', r->end - r->start);
		if (nl != NULL)
			break;
		r->start = r->end;
		if ((n = fill(r)) <= 0)
			return n == 0 ? -ENOENT : (int)n;
	}
	r->start = (size_t)(nl + 1 - r->buf);
	return 0;
}
