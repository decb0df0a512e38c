/* SPDX-License-Identifier: ISC */
/*
 * receive.c - the receiving end: the partial file, what of it is there.
 *
 * Each stream's thread reads a chunk, hashes it while it is in the cache and
 * writes it to its place, then compares its value with the one that came
 * behind it. Only then it counts, and only when commit.c has made it durable
 * the peer is told. A chunk that is wrong costs itself and no other. Whether
 * its bytes came as they are, in blocks, or from an earlier file (basis.c), all
 * of that is the same.
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
#include "common/sftblock.h"
#include "xferd/basis.h"
#include "xferd/commit.h"
#include "xferd/control.h"
#include "xferd/receive.h"
#include "xferd/stream.h"
#include "xferd/xfer.h"

_Static_assert(SFTBLOCK_SIZE == XFER_PIECE, "a block is a piece");

enum state {
	MISSING,
	COMING,
	WRITTEN,
	COPIED, /* written, and no byte of it was sent */
	DURABLE
};

/* What a stream's thread has. */
struct taker {
	struct stream *stream;
	uint8_t *buf; /* a piece */
	/* Once a chunk is packed: a block as it came. */
	uint8_t *block;
	struct sftblock_unpacker *unpacker;
};

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
	uint64_t same;	  /* of these: from an earlier file */
	uint64_t agains;
	unsigned int copying; /* threads that are not waiting for the peer */
	uint32_t ack[SFT_LIST_MAX], nacks;
	struct {
		uint32_t index;
		enum sft_again_why why;
	} again[SFT_STREAMS_MAX * (XFER_TRIES + 1)];
	uint32_t nagains;

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
	basis_begin();
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

static bool
get(struct stream *s, void *buf, size_t n)
{
	if (!stream_get(s, buf, n))
		return false;
	atomic_fetch_add_explicit(&xf.wire, n, memory_order_relaxed);
	return true;
}

/* The head of the next chunk; false: END, or it has failed. */
static bool
take_head(struct stream *s, struct sft_chunk *c)
{
	uint8_t head[SFT_CHUNK_HEAD_LEN];
	uint64_t since = xfer_now_ns();
	const char *wrong = NULL;
	ssize_t n;

	if (!get(s, head, SFT_HEAD_LEN))
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
	    !get(s, head + SFT_HEAD_LEN, (size_t)n - SFT_HEAD_LEN))
		return false;
	(void)xfer_spent(SFT_LIMIT_NETWORK, since);
	if (n < 0 ||
	    sft_chunk_parse(head, xf.offer.size, xf.offer.chunk_log2, c) != 0)
		wrong = "a chunk that this file does not have";
	else if (c->packed && !xf.packed)
		wrong = "a compressed chunk, which was not agreed on";
	else {
		pthread_mutex_lock(&xf.lock);
		if (rc.state[c->index] != MISSING)
			wrong = "a chunk that is there, or on its way";
		else if (c->same && basis_value(c->index) == NULL)
			wrong = "the name of a chunk that was not offered";
		else
			rc.state[c->index] = COMING;
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

/* The next block: n bytes of the chunk. */
static bool
take_block(struct taker *k, uint32_t n)
{
	uint8_t head[SFTBLOCK_HEAD_LEN];
	struct sftblock_head h;

	if (k->block == NULL && (k->block = malloc(SFTBLOCK_SIZE)) == NULL) {
		xfer_fault(SFT_IO, false, "out of memory");
		return false;
	}
	if (!get(k->stream, head, sizeof(head)))
		return false;
	if (sftblock_head_parse(head, n, &h) != 0) {
		xfer_fault(SFT_PROTOCOL, false,
		    "peer sent a block of a wrong length");
		return false;
	}
	if (!get(k->stream, h.stored ? k->buf : k->block, h.len))
		return false;
	if (h.stored)
		return true;
	if (k->unpacker == NULL &&
	    (k->unpacker = sftblock_unpacker_new()) == NULL) {
		xfer_fault(SFT_IO, false, "out of memory");
		return false;
	}
	if (sftblock_unpack(k->unpacker, k->block, h.len, k->buf, n) == 0)
		return true;
	xfer_fault(SFT_PROTOCOL, false,
	    "peer sent a block that does not decompress to what it must");
	return false;
}

/* Into buf; *gone: what it was to be made from is not there any more. */
static bool
take_piece(struct taker *k, const struct sft_chunk *c, uint32_t n, uint64_t at,
    bool *gone)
{
	if (c->same) {
		*gone = !basis_read(k->buf, n, at);
		return !*gone;
	}
	return c->packed ? take_block(k, n) : get(k->stream, k->buf, n);
}

/* All bytes of a chunk to their place; as above. */
static bool
take_bytes(struct taker *k, const struct sft_chunk *c, b3tree_value ours,
    bool *gone)
{
	uint64_t at = (uint64_t)c->index << xf.offer.chunk_log2, since;
	bool blank = is_blank(c->index);
	uint32_t left, n;
	struct b3tree t;

	if (b3tree_begin(&t, xf.offer.chunk_log2, c->index) != 0)
		fatalx("no such chunk");
	for (left = c->len; left > 0; left -= n, at += n) {
		n = left < XFER_PIECE ? left : XFER_PIECE;
		since = xfer_now_ns();
		if (!take_piece(k, c, n, at, gone))
			return false;
		since = xfer_spent(c->same ? SFT_LIMIT_DISK : SFT_LIMIT_NETWORK,
		    since);
		(void)b3tree_update(&t, k->buf, n);
		if (!write_piece(k->buf, n, at, blank))
			return false;
		(void)xfer_spent(SFT_LIMIT_DISK, since);
		if (!c->same)
			atomic_fetch_add_explicit(&xf.moved, n,
			    memory_order_relaxed);
	}
	take_value(&t, ours);
	return true;
}

/* One whole chunk, and whether it is what the peer says it is. */
static bool
take_chunk(struct taker *k, const struct sft_chunk *c, b3tree_value ours,
    bool *good)
{
	b3tree_value theirs;
	bool gone;

	if (!take_bytes(k, c, ours, &gone) ||
	    !get(k->stream, theirs, sizeof(theirs)))
		return false;
	*good = memcmp(ours, theirs, sizeof(theirs)) == 0;
	return true;
}

static void
count_copying(int by)
{
	pthread_mutex_lock(&xf.lock);
	rc.copying += (unsigned int)by;
	pthread_mutex_unlock(&xf.lock);
}

/* One that the peer has not sent, since it hashes to what it was told. */
static bool
copy_chunk(struct taker *k, const struct sft_chunk *c, b3tree_value ours,
    bool *good)
{
	b3tree_value theirs;
	bool told, gone = false, copied;

	if (!get(k->stream, theirs, sizeof(theirs)))
		return false;
	pthread_mutex_lock(&xf.lock);
	told = memcmp(basis_value(c->index), theirs, sizeof(theirs)) == 0;
	pthread_mutex_unlock(&xf.lock);
	if (!told) {
		xfer_fault(SFT_PROTOCOL, false,
		    "peer names a chunk by another value than it was told");
		return false;
	}
	count_copying(1);
	copied = take_bytes(k, c, ours, &gone);
	count_copying(-1);
	*good = copied && memcmp(ours, theirs, sizeof(theirs)) == 0;
	return copied || gone;
}

/* With the lock. What was damaged is asked for so often, and no more. */
static bool
ask_again(uint32_t index, enum sft_again_why why)
{
	if (why == SFT_AGAIN_BASIS)
		basis_drop(index);
	else if (rc.tries[index]++ == XFER_TRIES)
		return false;
	else
		rc.agains++;
	rc.state[index] = MISSING;
	/* A stream has one chunk at a time, and each so many tries. */
	while (rc.nagains == sizeof(rc.again) / sizeof(rc.again[0]) && !xf.stop)
		xfer_wait();
	if (!xf.stop) {
		rc.again[rc.nagains].index = index;
		rc.again[rc.nagains++].why = why;
	}
	return true;
}

static bool
settle_chunk(struct stream *s, const struct sft_chunk *c,
    const b3tree_value value, bool good)
{
	struct sftjournal_claim claim = { .index = c->index };
	uint64_t since = xfer_now_ns();
	bool ok;

	memcpy(claim.value, value, sizeof(claim.value));
	pthread_mutex_lock(&xf.lock);
	(void)stream_chunk(s);
	if (good) {
		rc.state[c->index] = c->same ? COPIED : WRITTEN;
		rc.left--;
		ok = commit_add(&claim, rc.left);
	} else
		ok = ask_again(c->index,
		    c->same ? SFT_AGAIN_BASIS : SFT_AGAIN_HASH);
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
	struct taker k = { .stream = s,
		.buf = aligned_alloc(4096, XFER_PIECE) };
	struct sft_chunk c;
	b3tree_value value;
	bool good;

	if (k.buf == NULL)
		xfer_fault(SFT_IO, false, "out of memory");
	while (k.buf != NULL && take_head(s, &c))
		if (!(c.same ? copy_chunk(&k, &c, value, &good) :
			       take_chunk(&k, &c, value, &good))) {
			put_back(c.index);
			break;
		} else if (!settle_chunk(s, &c, value, good))
			break;
	sftblock_unpacker_free(k.unpacker);
	free(k.block);
	free(k.buf);
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
		if (rc.state[claim[i].index] == COPIED)
			rc.same += length(claim[i].index);
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
	for (;;) {
		pthread_mutex_lock(&xf.lock);
		if (rc.nagains == 0 ||
		    !control_again(rc.again[0].index, rc.again[0].why))
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
		if (!control_have())
			return;
		rc.began = true;
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
receive_state(uint64_t *durable, uint64_t *same, uint64_t *again)
{
	pthread_mutex_lock(&xf.lock);
	*durable = rc.durable;
	*same = rc.same;
	*again = rc.agains;
	pthread_mutex_unlock(&xf.lock);
}

bool
receive_waits(void)
{
	bool waits;

	pthread_mutex_lock(&xf.lock);
	waits = rc.began && rc.left > 0 && rc.copying == 0 && commit_is_idle();
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
