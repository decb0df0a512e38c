/* SPDX-License-Identifier: ISC */
/*
 * receive.c - the receiving end: the partial file, what of it is there.
 *
 * Each stream's thread reads a chunk, hashes it while it is in the cache and
 * writes it to its place, then compares its value with the one that came
 * behind it. Only then it counts, and only when commit.c has made it durable
 * the peer is told. A chunk that is wrong costs itself and no other.
 *
 * The journal is a hint: before anything is said to be there, it is hashed.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/b3tree.h"
#include "common/log.h"
#include "xferd/commit.h"
#include "xferd/control.h"
#include "xferd/receive.h"
#include "xferd/stream.h"
#include "xferd/xfer.h"

enum state { MISSING, COMING, WRITTEN, DURABLE };

static struct {
	struct sftjournal *journal; /* the committer's, once it runs */

	/* Under the lock. */
	uint8_t *state; /* enum state, a chunk */
	uint8_t *tries;
	uint32_t next;	   /* chunk to be hashed */
	unsigned int hash; /* threads that still do */
	uint32_t left;	   /* neither written nor durable */
	uint32_t durables;
	uint64_t durable; /* bytes */
	uint64_t agains;
	uint32_t ack[SFT_LIST_MAX], nacks;
	uint32_t again[SFT_STREAMS_MAX * (XFER_TRIES + 1)], nagains;

	bool began;   /* HAVE was said */
	bool resumed; /* with something in it */
} rc;

static uint32_t
length(uint32_t index)
{
	return sft_chunk_len(xf.offer.size, xf.offer.chunk_log2, index);
}

/* A file of one chunk has no chaining value: its root stands for it. */
static void
take_value(const struct b3tree *t, b3tree_value out)
{
	if ((xf.chunks == 1 ? b3tree_end_file(t, out) : b3tree_end(t, out)) !=
	    0)
		fatalx("a chunk without a value");
}

/* --- what is there already ---------------------------------------------- */

/* 1: it is what the journal says; 0: it is not; or a negative errno. */
static int
check_claim(uint32_t index, const uint8_t *claimed, uint8_t *buf)
{
	uint64_t at = (uint64_t)index << xf.offer.chunk_log2;
	uint32_t left = length(index);
	b3tree_value v;
	struct b3tree t;
	ssize_t r;

	if (b3tree_begin(&t, xf.offer.chunk_log2, index) != 0)
		fatalx("no such chunk");
	while (left > 0) {
		r = pread(xf.file, buf, left < XFER_PIECE ? left : XFER_PIECE,
		    (off_t)at);
		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0)
			return r == 0 ? 0 : -errno;
		(void)b3tree_update(&t, buf, (size_t)r);
		left -= (uint32_t)r;
		at += (uint64_t)r;
	}
	take_value(&t, v);
	return memcmp(v, claimed, sizeof(v)) == 0;
}

/* With the lock: the next chunk that is claimed. */
static bool
next_claim(uint32_t *index)
{
	while (!xf.stop && rc.next < xf.chunks)
		if (sftjournal_has(rc.journal, *index = rc.next++))
			return true;
	return false;
}

/* A thread that hashes what the journal claims. */
static void *
hash_run(void *arg)
{
	uint8_t *buf = aligned_alloc(4096, XFER_PIECE);
	uint8_t claimed[SFT_VALUE_LEN];
	uint32_t i;
	int r = 0;

	(void)arg;
	pthread_mutex_lock(&xf.lock);
	while (buf != NULL && r >= 0 && next_claim(&i)) {
		memcpy(claimed, sftjournal_value(rc.journal, i),
		    sizeof(claimed));
		pthread_mutex_unlock(&xf.lock);
		r = check_claim(i, claimed, buf);
		pthread_mutex_lock(&xf.lock);
		if (r == 1) {
			rc.state[i] = DURABLE;
			rc.durables++;
			rc.durable += length(i);
			rc.left--;
		} else
			sftjournal_drop(rc.journal, i);
	}
	rc.hash--;
	pthread_mutex_unlock(&xf.lock);
	free(buf);
	if (buf == NULL || r < 0)
		xfer_fault(SFT_IO, false, "reading the partial file: %s",
		    strerror(buf == NULL ? ENOMEM : -r));
	xfer_wake();
	return NULL;
}

static const char *
differs(const struct sftjournal_head *h)
{
	if (memcmp(h->offer, xf.digest, sizeof(h->offer)) != 0)
		return "the journal is of another offer";
	if (memcmp(h->id, xf.id, sizeof(h->id)) != 0)
		return "the journal is of another transfer";
	if (h->size != xf.offer.size || h->chunk_log2 != xf.offer.chunk_log2)
		return "the journal is of another size";
	return NULL;
}

const char *
receive_begin(int partial, int journal, uint64_t epoch, unsigned int threads,
    enum sft_code *code)
{
	const char *why;
	struct stat now;
	int r;

	xf.file = partial;
	*code = SFT_IO;
	if (fstat(partial, &now) == -1 || !S_ISREG(now.st_mode) ||
	    (uint64_t)now.st_size != xf.offer.size)
		return "the partial file has another size";
	r = sftjournal_open(journal, &rc.journal);
	if (r != 0)
		return strerror(-r);
	why = differs(sftjournal_head(rc.journal));
	if (why != NULL)
		return why;
	/* Durable before the peer hears of it; of the first it is there. */
	if (epoch > sftjournal_epoch(rc.journal) &&
	    (r = sftjournal_bump(rc.journal, epoch)) != 0)
		return strerror(-r);
	if (epoch < sftjournal_epoch(rc.journal)) {
		*code = SFT_EPOCH;
		return "the journal knows a later attempt";
	}
	xf.chunks = sftjournal_chunks(rc.journal);
	rc.state = calloc(xf.chunks + 1u, 1);
	rc.tries = calloc(xf.chunks + 1u, 1);
	if (rc.state == NULL || rc.tries == NULL)
		return "out of memory";
	rc.left = xf.chunks;
	if (sftjournal_claimed(rc.journal) == 0)
		threads = 0;
	rc.hash = threads;
	while (threads-- > 0)
		if (!xfer_thread(hash_run, NULL))
			return "no thread";
	xfer_wake();
	return NULL;
}

const uint8_t *
receive_bits(void)
{
	return sftjournal_bits(rc.journal);
}

/* --- a stream's thread -------------------------------------------------- */

/* The head of the next chunk; false: END, or it has failed. */
static bool
take_head(struct stream *s, uint32_t *index, uint32_t *len)
{
	uint8_t head[SFT_CHUNK_HEAD_LEN];
	uint64_t since = xfer_now_ns();
	const char *wrong = NULL;
	ssize_t n;

	if (!stream_get(s, head, SFT_HEAD_LEN))
		return false;
	n = sft_data_len(head);
	if (n == SFT_HEAD_LEN) {
		pthread_mutex_lock(&xf.lock);
		wrong = receive_is_whole() ?
		    NULL :
		    "ends a stream before all is there";
		pthread_mutex_unlock(&xf.lock);
		if (wrong != NULL)
			xfer_fault(SFT_PROTOCOL, false, "peer %s", wrong);
		return false;
	}
	if (n > SFT_HEAD_LEN &&
	    !stream_get(s, head + SFT_HEAD_LEN, (size_t)n - SFT_HEAD_LEN))
		return false;
	(void)xfer_spent(SFT_LIMIT_NETWORK, since);
	if (n < 0 ||
	    sft_chunk_parse(head, xf.offer.size, xf.offer.chunk_log2, index,
		len) != 0)
		wrong = "a chunk that this file does not have";
	else {
		pthread_mutex_lock(&xf.lock);
		if (rc.state[*index] != MISSING)
			wrong = "a chunk that is there, or on its way";
		else
			rc.state[*index] = COMING;
		pthread_mutex_unlock(&xf.lock);
	}
	if (wrong != NULL)
		xfer_fault(SFT_PROTOCOL, false, "peer sent %s", wrong);
	return wrong == NULL;
}

static bool
is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/*
 * Whether nothing was ever written where this chunk goes. It is the file system
 * that says so; one that does not know says no. The offset that all threads
 * share is moved and means nothing.
 */
static bool
is_blank(uint32_t index)
{
	off_t at = (off_t)index << xf.offer.chunk_log2;
	off_t data = lseek(xf.file, at, SEEK_DATA);

	return data == -1 ? errno == ENXIO : data >= at + (off_t)length(index);
}

static bool
write_piece(const uint8_t *p, size_t n, uint64_t at, bool blank)
{
	ssize_t r;

	/* It is there: holes stay holes. */
	if (blank && is_zero(p, n))
		return true;
	while (n > 0) {
		r = pwrite(xf.file, p, n, (off_t)at);
		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0) {
			xfer_fault(r == -1 &&
				    (errno == ENOSPC || errno == EDQUOT) ?
				SFT_NO_SPACE :
				SFT_IO,
			    false, "writing the file: %s",
			    r == 0 ? "nothing was written" : strerror(errno));
			return false;
		}
		p += r;
		n -= (size_t)r;
		at += (uint64_t)r;
	}
	return true;
}

/* One whole chunk, and whether it is what the peer says it is. */
static bool
take_chunk(struct stream *s, uint32_t index, uint32_t left, uint8_t *buf,
    b3tree_value ours, bool *good)
{
	uint64_t at = (uint64_t)index << xf.offer.chunk_log2, since;
	b3tree_value theirs;
	struct b3tree t;
	bool blank = is_blank(index);
	uint32_t n;

	if (b3tree_begin(&t, xf.offer.chunk_log2, index) != 0)
		fatalx("no such chunk");
	for (; left > 0; left -= n, at += n) {
		n = left < XFER_PIECE ? left : XFER_PIECE;
		since = xfer_now_ns();
		if (!stream_get(s, buf, n))
			return false;
		since = xfer_spent(SFT_LIMIT_NETWORK, since);
		(void)b3tree_update(&t, buf, n);
		if (!write_piece(buf, n, at, blank))
			return false;
		(void)xfer_spent(SFT_LIMIT_DISK, since);
		atomic_fetch_add_explicit(&xf.moved, n, memory_order_relaxed);
	}
	if (!stream_get(s, theirs, sizeof(theirs)))
		return false;
	take_value(&t, ours);
	*good = memcmp(ours, theirs, sizeof(theirs)) == 0;
	return true;
}

/* With the lock. */
static bool
ask_again(uint32_t index)
{
	if (rc.tries[index]++ == XFER_TRIES)
		return false;
	rc.state[index] = MISSING;
	rc.agains++;
	/* A stream has one chunk at a time, and each so many tries. */
	while (rc.nagains == sizeof(rc.again) / sizeof(rc.again[0]) && !xf.stop)
		xfer_wait();
	if (!xf.stop)
		rc.again[rc.nagains++] = index;
	return true;
}

static bool
settle_chunk(struct stream *s, uint32_t index, const b3tree_value value,
    bool good)
{
	struct sftjournal_claim claim = { .index = index };
	uint64_t since = xfer_now_ns();
	bool ok;

	memcpy(claim.value, value, sizeof(claim.value));
	pthread_mutex_lock(&xf.lock);
	(void)stream_chunk(s);
	if (good) {
		rc.state[index] = WRITTEN;
		rc.left--;
		ok = commit_add(&claim, rc.left);
	} else
		ok = ask_again(index);
	pthread_mutex_unlock(&xf.lock);
	if (good)
		(void)xfer_spent(SFT_LIMIT_DISK, since);
	else if (ok)
		xfer_wake();
	else
		xfer_fault(SFT_HASH_MISMATCH, false,
		    "a chunk arrived damaged again and again");
	return ok;
}

/* Its stream has broken; another one may bring it. */
static void
put_back(uint32_t index)
{
	pthread_mutex_lock(&xf.lock);
	rc.state[index] = MISSING;
	pthread_mutex_unlock(&xf.lock);
}

void
receive_run(struct stream *s)
{
	uint8_t *buf = aligned_alloc(4096, XFER_PIECE);
	uint32_t index, len;
	b3tree_value value;
	bool good;

	if (buf == NULL)
		xfer_fault(SFT_IO, false, "out of memory");
	while (buf != NULL && take_head(s, &index, &len))
		if (!take_chunk(s, index, len, buf, value, &good)) {
			put_back(index);
			break;
		} else if (!settle_chunk(s, index, value, good))
			break;
	free(buf);
}

/* --- what the peer is told ---------------------------------------------- */

bool
receive_is_whole(void)
{
	return rc.durables == xf.chunks;
}

bool
receive_has_room(size_t n)
{
	return rc.nacks + n <= SFT_LIST_MAX;
}

void
receive_durable(const struct sftjournal_claim *claim, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		rc.state[claim[i].index] = DURABLE;
		rc.durable += length(claim[i].index);
		/* When it stops, nobody is told any more. */
		if (rc.nacks < SFT_LIST_MAX)
			rc.ack[rc.nacks++] = claim[i].index;
	}
	rc.durables += (uint32_t)n;
	pthread_cond_broadcast(&xf.changed);
}

/* The connection takes it all, or this is tried again when it has room. */
static void
say_acks(void)
{
	static uint32_t list[SFT_LIST_MAX];
	uint32_t n;

	pthread_mutex_lock(&xf.lock);
	n = rc.nacks;
	memcpy(list, rc.ack, n * sizeof(list[0]));
	pthread_mutex_unlock(&xf.lock);
	if (n == 0 || !control_ack(list, n))
		return;
	pthread_mutex_lock(&xf.lock);
	rc.nacks -= n;
	memmove(rc.ack, rc.ack + n, rc.nacks * sizeof(list[0]));
	pthread_cond_broadcast(&xf.changed);
	pthread_mutex_unlock(&xf.lock);
}

static void
say_agains(void)
{
	uint32_t index;

	for (;;) {
		pthread_mutex_lock(&xf.lock);
		index = rc.nagains > 0 ? rc.again[0] : 0;
		if (rc.nagains == 0 || !control_again(index))
			break;
		rc.nagains--;
		memmove(rc.again, rc.again + 1,
		    rc.nagains * sizeof(rc.again[0]));
		pthread_cond_broadcast(&xf.changed);
		pthread_mutex_unlock(&xf.lock);
	}
	pthread_mutex_unlock(&xf.lock);
}

void
receive_turn(void)
{
	bool hashed;

	if (control_is_over() || rc.state == NULL)
		return;
	pthread_mutex_lock(&xf.lock);
	hashed = rc.hash == 0;
	if (hashed && !rc.began)
		rc.resumed = rc.durables > 0;
	pthread_mutex_unlock(&xf.lock);
	if (hashed && !rc.began) {
		rc.began = true;
		control_have();
		if (!commit_begin(rc.journal))
			xfer_fail(SFT_IO, false, "no thread to sync");
		return;
	}
	say_acks();
	say_agains();
	control_whole();
}

bool
receive_resumed(void)
{
	return rc.resumed;
}

bool
receive_root(uint8_t root[SFT_VALUE_LEN])
{
	bool all;

	pthread_mutex_lock(&xf.lock);
	all = rc.began && rc.durables == xf.chunks && commit_is_idle() &&
	    rc.nacks == 0;
	if (all)
		xf.finished = true;
	pthread_mutex_unlock(&xf.lock);
	if (!all)
		return false;
	if (xf.chunks == 1)
		memcpy(root, sftjournal_value(rc.journal, 0), SFT_VALUE_LEN);
	else if (b3tree_root(sftjournal_values(rc.journal), xf.chunks, root) !=
	    0)
		fatalx("no root");
	return true;
}

void
receive_state(uint64_t *durable, uint64_t *again)
{
	pthread_mutex_lock(&xf.lock);
	*durable = rc.durable;
	*again = rc.agains;
	pthread_mutex_unlock(&xf.lock);
}

bool
receive_waits(void)
{
	bool waits;

	pthread_mutex_lock(&xf.lock);
	waits = rc.began && rc.left > 0 && commit_is_idle();
	pthread_mutex_unlock(&xf.lock);
	return waits;
}

bool
receive_settled(void)
{
	bool settled;

	pthread_mutex_lock(&xf.lock);
	settled = !rc.began || commit_is_idle();
	pthread_mutex_unlock(&xf.lock);
	return settled;
}
