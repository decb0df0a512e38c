/* SPDX-License-Identifier: ISC */
/*
 * reader.h - lines of a log file, one after the other, in bounded memory.
 */
#ifndef AUDITD_READER_H
#define AUDITD_READER_H

#include <stddef.h>
#include <stdint.h>

struct reader {
	int fd;
	char *buf;
	size_t start;	 /* next byte to hand out */
	size_t end;	 /* bytes in buf */
	uint64_t pos;	 /* file offset of buf[end] */
	uint64_t limit;	 /* read no further than this offset */
	uint64_t offset; /* of the line that reader_next() gave last */
};

/*
 * Read fd (not moved, pread) from offset `from` up to `limit`, or to the end
 * with UINT64_MAX.  0 or -ENOMEM.
 */
int reader_open(struct reader *, int fd, uint64_t from, uint64_t limit);
void reader_close(struct reader *);

/*
 * 1: a line without its newline, valid until the next call.  0: the end.
 * -EBADMSG: what follows is longer than any line or has no newline; *line and
 * *len show what there is of it.  Otherwise -errno.
 */
int reader_next(struct reader *, const char **line, size_t *len);
/* After -EBADMSG: go on behind the next newline.  0, or -ENOENT: none. */
int reader_skip(struct reader *);

#endif /* AUDITD_READER_H */
