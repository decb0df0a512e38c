/* SPDX-License-Identifier: ISC */
/*
 * basis.c - an earlier file of a peer's, from which it need not send again
 * what is the same.
 *
 * Nothing is kept for this that would not be kept anyway: what was delivered
 * is remembered with its journal, so that its sender can ask for the receipt
 * again (incoming.c). The peer hears the values of chunks that it has sent
 * itself, by the key that it proves now; of what others have sent it hears
 * nothing, by whatever name it asks. Whether the file is still what it was the
 * worker finds out when it copies.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/receipt.h"
#include "sftd/basis.h"
#include "sftd/commit.h"

/* So many are looked at, those that came last first. */
#define TRIES 16

enum { FILE_IS, JOURNAL_IS };

static bool
has_name(const struct sft_offer *a, const struct sft_offer *b)
{
	return a->name_len == b->name_len &&
	    memcmp(a->name, b->name, a->name_len) == 0;
}

static bool
looks_alike(const struct sft_offer *a, const struct sft_offer *b)
{
	return a->size == b->size && a->mtime_ns == b->mtime_ns;
}

static bool
is_of_use(const struct sft_offer *old, const struct sft_offer *new)
{
	return !old->tree &&
	    old->chunk_log2 ==
	    new->chunk_log2 &&sft_chunks(old->size, old->chunk_log2) <=
		SFT_BASIS_MAX;
}

/* Signed for to whom we speak with now: a name may have passed on. */
static bool
is_by_key(const struct transfer *o, const uint8_t key[32])
{
	uint8_t bytes[SFT_RECEIPT_MAX];
	struct receipt r;
	ssize_t n = commit_answer(&o->what, bytes, sizeof(bytes));

	return n > 0 && receipt_parse(bytes, (size_t)n, &r) == 0 &&
	    memcmp(r.seal.sender.key, key, 32) == 0;
}

static int
open_journal(const struct transfer *o)
{
	int dir = partial_dir(&o->what), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, "journal", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	close(dir);
	return fd;
}

/* Both descriptors, or false. */
static bool
open_both(const struct transfer *o, const uint8_t key[32], int fd[2])
{
	struct finish f;

	if (!is_by_key(o, key) || commit_state(&o->what, &f) != 0)
		return false;
	fd[FILE_IS] = commit_placed(&o->what, &f);
	if (fd[FILE_IS] < 0)
		return false;
	fd[JOURNAL_IS] = open_journal(o);
	if (fd[JOURNAL_IS] >= 0)
		return true;
	close(fd[FILE_IS]);
	return false;
}

static bool
find(const struct transfer *t,
    bool (*fits)(const struct sft_offer *, const struct sft_offer *), int fd[2])
{
	const struct sft_offer *offer = &t->what.offer;
	struct transfer *o;
	unsigned int tries = 0;

	TAILQ_FOREACH_REVERSE(o, transfer_all(), transfer_list, entry)
	{
		if (!o->receives || o->state != TRANSFER_DONE || !o->placed ||
		    strcmp(o->what.peer, t->what.peer) != 0 ||
		    !is_of_use(&o->what.offer, offer) ||
		    !fits(&o->what.offer, offer))
			continue;
		if (open_both(o, t->conn->key, fd))
			return true;
		if (++tries == TRIES)
			break;
	}
	return false;
}

void
basis_hand_over(const struct transfer *t)
{
	struct msg_XFER_BASIS is;
	int fd[2];

	if (t->what.offer.tree || t->what.offer.size == 0 ||
	    (!find(t, has_name, fd) && !find(t, looks_alike, fd)))
		return;
	for (is.which = FILE_IS; is.which <= JOURNAL_IS; is.which++) {
		(void)chan_send_XFER_BASIS(t->conn->worker, 0, fd[is.which],
		    &is);
		close(fd[is.which]);
	}
}
