/* SPDX-License-Identifier: ISC */
/*
 * basis.c - the receiving end: an earlier file of the same peer's, and what
 * its chunks were.
 */
#include <errno.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sftjournal.h"
#include "xferd/basis.h"
#include "xferd/xfer.h"

static struct {
	int fd[2]; /* by what XFER_BASIS says */
	struct sftjournal *journal;
	uint32_t n; /* chunks of it that this file may have, too */
} bs = { .fd = { -1, -1 } };

enum { FILE_IS, JOURNAL_IS };

bool
basis_take(uint8_t which, int fd)
{
	if (which > JOURNAL_IS || bs.fd[which] != -1)
		return false;
	bs.fd[which] = fd;
	return true;
}

/*
 * A chunk has the same value in both only where it has the same length. That of
 * a file of one chunk is a root, which those of others never are.
 */
static uint32_t
count_alike(const struct sftjournal_head *theirs)
{
	uint32_t n = sftjournal_chunks(bs.journal);

	if (theirs->chunk_log2 != xf.offer.chunk_log2 ||
	    sftjournal_claimed(bs.journal) != n)
		return 0;
	if (n > xf.chunks)
		n = xf.chunks;
	if (n > 0 &&
	    sft_chunk_len(theirs->size, theirs->chunk_log2, n - 1) !=
		sft_chunk_len(xf.offer.size, xf.offer.chunk_log2, n - 1))
		n--;
	return n < SFT_BASIS_MAX ? n : SFT_BASIS_MAX;
}

void
basis_begin(void)
{
	int r;

	if (bs.fd[FILE_IS] == -1 || bs.fd[JOURNAL_IS] == -1)
		return;
	r = sftjournal_open(bs.fd[JOURNAL_IS], &bs.journal);
	if (r != 0) {
		/* All of it is sent, then. */
		log_info("what an earlier file was is not known");
		bs.journal = NULL;
		return;
	}
	bs.n = count_alike(sftjournal_head(bs.journal));
}

const uint8_t (*basis_values(uint32_t *n))[SFT_VALUE_LEN]
{
	*n = bs.n;
	return bs.n > 0 ? sftjournal_values(bs.journal) : NULL;
}

const uint8_t *
basis_value(uint32_t index)
{
	return index < bs.n ? sftjournal_value(bs.journal, index) : NULL;
}

void
basis_drop(uint32_t index)
{
	sftjournal_drop(bs.journal, index);
}

bool
basis_read(uint8_t *buf, size_t n, uint64_t at)
{
	ssize_t r;

	while (n > 0) {
		r = pread(bs.fd[FILE_IS], buf, n, (off_t)at);
		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		buf += r;
		n -= (size_t)r;
		at += (uint64_t)r;
	}
	return true;
}
