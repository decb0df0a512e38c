/* SPDX-License-Identifier: ISC */
/*
 * send.c - the sending end: the source, what of it is sent, what is durable
 * over there.
 *
 * Each stream's thread takes the next chunk that nobody has taken, as long as
 * the bytes that were sent and are not durable stay under the window; a slow
 * stream holds up its own chunk and no other. What is sent is read, hashed
 * while it is in the cache, and forgotten: a chunk that is to be sent again is
 * read again. Chunks that the receiver has already are hashed by a thread that
 * does nothing else; all values fold to the root.
 *
 * Of a chunk whose value the receiver has told (BASIS) the bytes need not be
 * sent if they hash to it. To find out costs one reading more where they do
 * not, so after a few that do not it is tried with one now and then.
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
#include "xferd/control.h"
#include "xferd/pack.h"
#include "xferd/send.h"
#include "xferd/stream.h"
#include "xferd/xfer.h"

/* Of the rate, what may go at once. */
#define BURST_NS 100000000
#define LEAST_PIECE (16 * 1024)
#define NS_PER_S UINT64_C(1000000000)
/* In front of a piece: the chunk's head, and the block's. */
#define HEADS (SFT_CHUNK_HEAD_LEN + SFTBLOCK_HEAD_LEN)
/* So many others one after the other: then only each of so many is tried. */
#define OTHERS 8
#define SELDOM 16

/* The n-th chunk of a stream; births are below 16. */
#define WAY_CHUNKS UINT32_C(0x0fffffff)
#define WAY(birth, n) ((uint32_t)(birth) << 28 | (n))

_Static_assert(SFTBLOCK_SIZE == XFER_PIECE, "a block is a piece");
_Static_assert(HEADS + XFER_PIECE + B3TREE_LEN <= 4096 + XFER_PIECE,
    "a piece, and what is around it");

enum state {
	UNSENT,
	TAKEN,
	SAME, /* taken, and sent by its value alone */
	ACKED
};
/* What is in value. */
enum known {
	NOTHING,
	OFFERED, /* what the receiver has of an earlier file */
	HASHED
};

static struct {
	struct stat was; /* the source, when it was offered */
	uint64_t rate;	 /* bytes a second; 0: no limit */
	size_t piece;

	/* Under the lock. */
	uint8_t *state; /* enum state, a chunk */
	uint8_t *tries; /* how often it was asked for again */
	uint32_t *way;	/* of what is TAKEN: by which stream, as which */
	b3tree_value *value;
	uint8_t *known;	     /* enum known, a chunk */
	unsigned int misses; /* one after the other, of what was OFFERED */
	uint32_t basis_from; /* in turn: no value below has yet to come */
	uint32_t next;	     /* no chunk before this one is UNSENT */
	uint64_t flying;     /* bytes taken and not durable */
	uint64_t durable;    /* bytes */
	uint64_t had;
	uint64_t same;	 /* bytes that were not sent */
	uint64_t resent; /* chunks */
	uint32_t acked, hashes;
	uint64_t free_ns; /* when the next byte may leave */
	bool sealing;
} sn;

const char *
send_offer(int fd, uint64_t rate, enum sft_code *code)
{
	xf.file = fd;
	*code = SFT_SOURCE_CHANGED;
	if (fstat(fd, &sn.was) == -1 || !S_ISREG(sn.was.st_mode))
		return "the source is no file";
	if ((uint64_t)sn.was.st_size != xf.offer.size)
		return "the source has another size";
	*code = SFT_TOO_LARGE;
	if (!sft_size_ok(xf.offer.size, xf.offer.chunk_log2))
		return "too many chunks of this size";
	xf.chunks = sft_chunks(xf.offer.size, xf.offer.chunk_log2);
	*code = SFT_IO;
	sn.state = calloc(xf.chunks + 1u, 1);
	sn.tries = calloc(xf.chunks + 1u, 1);
	sn.known = calloc(xf.chunks + 1u, 1);
	sn.value = calloc(xf.chunks + 1u, sizeof(*sn.value));
	sn.way = calloc(xf.chunks + 1u, sizeof(*sn.way));
	if (sn.state == NULL || sn.tries == NULL || sn.known == NULL ||
	    sn.value == NULL || sn.way == NULL)
		return "out of memory";
	sn.rate = rate;
	sn.piece = XFER_PIECE;
	while (rate != 0 && sn.piece > LEAST_PIECE && sn.piece > rate / 20)
		sn.piece /= 2;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return NULL;
}

static uint32_t
length(uint32_t index)
{
	return sft_chunk_len(xf.offer.size, xf.offer.chunk_log2, index);
}

void
send_have(struct sft_ranges *ranges)
{
	uint32_t first, count;

	while (sft_ranges_next(ranges, &first, &count))
		for (; count > 0; count--, first++) {
			sn.state[first] = ACKED;
			sn.acked++;
			sn.had += length(first);
			sn.durable += length(first);
		}
}

bool
send_basis(const uint8_t *body, size_t len)
{
	const uint8_t *value;
	uint32_t first, n;

	if (sft_basis_parse(body, len, xf.chunks, &sn.basis_from, &first, &n,
		&value) != 0)
		return false;
	memcpy(sn.value[first], value, (size_t)n * sizeof(sn.value[0]));
	memset(sn.known + first, OFFERED, n);
	return true;
}

uint64_t
send_had(void)
{
	return sn.had;
}

/* --- reading and hashing ------------------------------------------------ */

static bool
stopped(void)
{
	bool stop;

	pthread_mutex_lock(&xf.lock);
	stop = xf.stop;
	pthread_mutex_unlock(&xf.lock);
	return stop;
}

/* All n bytes; false: it has failed, and that is told. */
static bool
read_source(uint8_t *buf, size_t n, uint64_t at)
{
	ssize_t r;

	while (n > 0) {
		r = pread(xf.file, buf, n, (off_t)at);
		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1) {
			xfer_fault(SFT_IO, false, "reading the source: %s",
			    strerror(errno));
			return false;
		}
		if (r == 0) {
			xfer_fault(SFT_SOURCE_CHANGED, false,
			    "the source has become shorter");
			return false;
		}
		buf += r;
		n -= (size_t)r;
		at += (uint64_t)r;
	}
	return true;
}

/* A file of one chunk has no chaining value: its root stands for it. */
static void
take_value(const struct b3tree *t, b3tree_value out)
{
	if ((xf.chunks == 1 ? b3tree_end_file(t, out) : b3tree_end(t, out)) !=
	    0)
		fatalx("a chunk without a value");
}

/*
 * The value of a chunk as it was read last. What was sent before with another
 * was refused over there, so the last is the one that counts.
 */
static void
keep_value(uint32_t index, const b3tree_value value)
{
	bool all;

	pthread_mutex_lock(&xf.lock);
	memcpy(sn.value[index], value, sizeof(b3tree_value));
	if (sn.known[index] != HASHED) {
		sn.known[index] = HASHED;
		sn.hashes++;
	}
	all = sn.hashes == xf.chunks;
	pthread_mutex_unlock(&xf.lock);
	if (all)
		xfer_wake(); /* it can be sealed */
}

/* A chunk's value, of which nothing is sent. False: that is told. */
static bool
hash_chunk(uint32_t index, uint8_t *buf, b3tree_value out)
{
	uint64_t at = (uint64_t)index << xf.offer.chunk_log2;
	uint32_t left, n;
	struct b3tree t;

	if (b3tree_begin(&t, xf.offer.chunk_log2, index) != 0)
		fatalx("no such chunk");
	for (left = length(index); left > 0; left -= n, at += n) {
		n = left < XFER_PIECE ? left : XFER_PIECE;
		if (!read_source(buf, n, at))
			return false;
		(void)b3tree_update(&t, buf, n);
	}
	take_value(&t, out);
	return true;
}

/* The thread that hashes what the receiver has. */
static void *
hash_run(void *arg)
{
	uint8_t *buf = aligned_alloc(4096, XFER_PIECE);
	b3tree_value v;
	bool wanted;
	uint32_t i;

	(void)arg;
	if (buf == NULL) {
		xfer_fault(SFT_IO, false, "out of memory");
		return NULL;
	}
	for (i = 0; i < xf.chunks && !stopped(); i++) {
		/* Of these the main thread changes none any more. */
		pthread_mutex_lock(&xf.lock);
		wanted = sn.state[i] == ACKED && sn.known[i] != HASHED;
		pthread_mutex_unlock(&xf.lock);
		if (!wanted)
			continue;
		if (!hash_chunk(i, buf, v))
			break;
		keep_value(i, v);
	}
	xfer_wake();
	free(buf);
	return NULL;
}

bool
send_begin(void)
{
	bool there = sn.acked > 0;

	xfer_wake();
	return !there || xfer_thread(hash_run, NULL);
}

/* --- a stream's thread -------------------------------------------------- */

/* With the lock: the next one is one that nobody has taken. */
static bool
has_unsent(void)
{
	while (sn.next < xf.chunks && sn.state[sn.next] != UNSENT)
		sn.next++;
	return sn.next < xf.chunks;
}

/* The next chunk to send; false: there is none for this stream any more. */
static bool
take_chunk(struct stream *s, uint32_t *index)
{
	uint64_t since = xfer_now_ns();
	bool got = false;

	pthread_mutex_lock(&xf.lock);
	for (;;) {
		if (xf.stop || xf.finished || stream_leaves(s))
			break;
		if (has_unsent() &&
		    (sn.flying == 0 ||
			sn.flying + length(sn.next) <= xf.window)) {
			*index = sn.next++;
			sn.state[*index] = TAKEN;
			sn.way[*index] = WAY(stream_birth(s), stream_chunk(s));
			sn.flying += length(*index);
			got = true;
			break;
		}
		xfer_wait();
	}
	pthread_mutex_unlock(&xf.lock);
	if (got)
		(void)xfer_spent(SFT_LIMIT_DISK, since);
	return got;
}

/* So many bytes may leave; waits for it. False: the transfer has ended. */
static bool
take_rate(size_t n)
{
	uint64_t now = xfer_now_ns(), at;
	bool stop;

	if (sn.rate == 0)
		return true;
	pthread_mutex_lock(&xf.lock);
	if (sn.free_ns + BURST_NS < now)
		sn.free_ns = now - BURST_NS;
	at = sn.free_ns;
	sn.free_ns += (uint64_t)((__uint128_t)n * NS_PER_S / sn.rate);
	while (!xf.stop && xfer_now_ns() < at)
		xfer_wait_until(at);
	stop = xf.stop;
	pthread_mutex_unlock(&xf.lock);
	(void)xfer_spent(SFT_LIMIT_RATE, now);
	return !stop;
}

/* As fast as may be. */
static bool
send_bytes(struct stream *s, const uint8_t *p, size_t n)
{
	uint64_t since;
	size_t m;

	atomic_fetch_add_explicit(&xf.wire, n, memory_order_relaxed);
	for (; n > 0; p += m, n -= m) {
		m = sn.rate == 0 || n < 2 * sn.piece ? n : sn.piece;
		if (!take_rate(m))
			return false;
		since = xfer_now_ns();
		if (!stream_send(s, p, m))
			return false;
		(void)xfer_spent(SFT_LIMIT_NETWORK, since);
	}
	return true;
}

/*
 * A piece of a chunk, with what goes before it and, as it is its last one,
 * behind it. buf has HEADS, and the piece.
 */
static bool
send_piece(struct stream *s, const struct sft_chunk *c, bool first,
    struct pack *k, uint8_t *buf, size_t n, const uint8_t *value)
{
	struct sftblock_head head = { .stored = true };
	uint64_t since = xfer_now_ns();
	uint8_t *from = buf + HEADS;
	size_t len = n;

	if (c->packed) {
		from = pack_block(k, from, n, &len);
		head.stored = from == buf + HEADS;
		head.len = (uint32_t)len;
	}
	if (value != NULL) {
		memcpy(from + len, value, B3TREE_LEN);
		len += B3TREE_LEN;
	}
	if (c->packed) {
		from -= SFTBLOCK_HEAD_LEN;
		len += SFTBLOCK_HEAD_LEN;
		sftblock_head_format(&head, from);
	}
	if (first) {
		from -= SFT_CHUNK_HEAD_LEN;
		len += SFT_CHUNK_HEAD_LEN;
		sft_chunk_format(c, from);
	}
	since = xfer_spent(SFT_LIMIT_SENDER, since);
	/* First: the receipt may be here before we have sent the last one. */
	atomic_fetch_add_explicit(&xf.moved, n, memory_order_relaxed);
	if (!send_bytes(s, from, len))
		return false;
	pack_sent(k, n, xfer_now_ns() - since);
	return true;
}

static bool
send_chunk(struct stream *s, uint32_t index, struct pack *k, uint8_t *buf)
{
	const struct sft_chunk c = { .index = index,
		.len = length(index),
		.packed = pack_begin(k) };
	size_t most = c.packed ? SFTBLOCK_SIZE : sn.piece;
	uint64_t at = (uint64_t)index << xf.offer.chunk_log2, since;
	uint32_t left, n;
	b3tree_value v;
	struct b3tree t;

	if (b3tree_begin(&t, xf.offer.chunk_log2, index) != 0)
		fatalx("no such chunk");
	for (left = c.len; left > 0; left -= n, at += n) {
		n = left < most ? left : (uint32_t)most;
		since = xfer_now_ns();
		if (!read_source(buf + HEADS, n, at))
			return false;
		(void)b3tree_update(&t, buf + HEADS, n);
		if (n == left) {
			take_value(&t, v);
			keep_value(index, v);
		}
		(void)xfer_spent(SFT_LIMIT_SENDER, since);
		if (!send_piece(s, &c, left == c.len, k, buf, n,
			n == left ? v : NULL))
			return false;
	}
	return true;
}

/* With the lock: whether it may be what the receiver has. */
static bool
is_worth_a_look(uint32_t index)
{
	if (sn.known[index] != OFFERED)
		return false;
	if (sn.misses < OTHERS || index % SELDOM == 0)
		return true;
	sn.known[index] = NOTHING;
	return false;
}

/* *same: it is what the receiver has, and was sent as that. */
static bool
send_same(struct stream *s, uint32_t index, uint8_t *buf, bool *same)
{
	const struct sft_chunk c = { .index = index,
		.len = length(index),
		.same = true };
	uint64_t since = xfer_now_ns();
	uint8_t *v = buf + SFT_CHUNK_HEAD_LEN;
	bool all;

	pthread_mutex_lock(&xf.lock);
	*same = is_worth_a_look(index);
	pthread_mutex_unlock(&xf.lock);
	if (!*same)
		return true;
	if (!hash_chunk(index, buf + HEADS, v))
		return false;
	pthread_mutex_lock(&xf.lock);
	*same = memcmp(v, sn.value[index], B3TREE_LEN) == 0;
	sn.misses = *same ? 0 : sn.misses + 1;
	sn.known[index] = *same ? HASHED : NOTHING;
	if (*same) {
		sn.hashes++;
		sn.state[index] = SAME;
	}
	all = sn.hashes == xf.chunks;
	pthread_mutex_unlock(&xf.lock);
	if (all)
		xfer_wake();
	(void)xfer_spent(SFT_LIMIT_SENDER, since);
	sft_chunk_format(&c, buf);
	return !*same || send_bytes(s, buf, SFT_CHUNK_HEAD_LEN + B3TREE_LEN);
}

bool
send_is_finished(void)
{
	bool finished;

	pthread_mutex_lock(&xf.lock);
	finished = xf.finished && !xf.stop;
	pthread_mutex_unlock(&xf.lock);
	return finished;
}

void
send_run(struct stream *s)
{
	const size_t size = 4096 + XFER_PIECE;
	uint8_t *buf = aligned_alloc(4096, size), end[SFT_HEAD_LEN];
	struct pack *k = pack_new(xf.packed, HEADS, B3TREE_LEN);
	bool good = buf != NULL && k != NULL, same;
	uint32_t index;

	if (!good)
		xfer_fault(SFT_IO, false, "out of memory");
	while (good && take_chunk(s, &index))
		good = send_same(s, index, buf, &same) &&
		    (same || send_chunk(s, index, k, buf));
	if (good && send_is_finished() &&
	    sft_empty_format(SFT_END, end, sizeof(end)) == SFT_HEAD_LEN &&
	    stream_send(s, end, sizeof(end)))
		stream_bye(s);
	pack_free(k);
	free(buf);
}

/* --- what the receiver says --------------------------------------------- */

bool
send_acked(struct sft_ranges *indices)
{
	bool good = true;
	uint32_t i;

	pthread_mutex_lock(&xf.lock);
	while (sft_ack_next(indices, &i)) {
		/* Its bytes were all sent: the value is known since then. */
		if ((sn.state[i] != TAKEN && sn.state[i] != SAME) ||
		    sn.known[i] != HASHED) {
			good = false;
			break;
		}
		sn.same += sn.state[i] == SAME ? length(i) : 0;
		sn.state[i] = ACKED;
		sn.acked++;
		sn.flying -= length(i);
		sn.durable += length(i);
	}
	pthread_cond_broadcast(&xf.changed);
	pthread_mutex_unlock(&xf.lock);
	return good;
}

const char *
send_again(uint32_t index, enum sft_again_why reason)
{
	bool same = reason == SFT_AGAIN_BASIS;
	const char *why = NULL;

	pthread_mutex_lock(&xf.lock);
	if (sn.state[index] != (same ? SAME : TAKEN) ||
	    sn.known[index] != HASHED)
		why = "peer asks again for what it was not sent";
	else if (!same && sn.tries[index]++ == XFER_TRIES)
		why = "a chunk arrived damaged again and again";
	else {
		/* Its bytes this time: the value is no more OFFERED. */
		sn.state[index] = UNSENT;
		sn.flying -= length(index);
		sn.resent += same ? 0 : 1;
		if (index < sn.next)
			sn.next = index;
	}
	pthread_cond_broadcast(&xf.changed);
	pthread_mutex_unlock(&xf.lock);
	return why;
}

void
send_lost(uint8_t birth, uint32_t came)
{
	uint32_t i;

	pthread_mutex_lock(&xf.lock);
	for (i = 0; i < xf.chunks; i++) {
		if ((sn.state[i] != TAKEN && sn.state[i] != SAME) ||
		    sn.way[i] < WAY(birth, came) ||
		    sn.way[i] > WAY(birth, WAY_CHUNKS))
			continue;
		sn.state[i] = UNSENT;
		sn.flying -= length(i);
		sn.resent++;
		if (i < sn.next)
			sn.next = i;
	}
	pthread_cond_broadcast(&xf.changed);
	pthread_mutex_unlock(&xf.lock);
}

/* --- the end ------------------------------------------------------------ */

static bool
unchanged(void)
{
	struct stat now;

	return fstat(xf.file, &now) == 0 && now.st_size == sn.was.st_size &&
	    now.st_mtim.tv_sec == sn.was.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == sn.was.st_mtim.tv_nsec &&
	    now.st_ctim.tv_sec == sn.was.st_ctim.tv_sec &&
	    now.st_ctim.tv_nsec == sn.was.st_ctim.tv_nsec;
}

/*
 * What was read is sealed once the last of it has been sent; the receiver keeps
 * that until all is durable, and may ask for chunks again before.
 */
static void
seal(void)
{
	b3tree_value root;

	sn.sealing = true;
	if (!unchanged()) {
		xfer_fail(SFT_SOURCE_CHANGED, false,
		    "the source was changed while it was sent");
		return;
	}
	if (xf.chunks == 1)
		memcpy(root, sn.value[0], sizeof(root));
	else if (b3tree_root((const b3tree_value *)sn.value, xf.chunks, root) !=
	    0)
		fatalx("no root");
	control_seal(root);
}

void
send_turn(void)
{
	bool sent;

	if (!control_is_moving())
		return;
	pthread_mutex_lock(&xf.lock);
	sent = sn.hashes == xf.chunks && !has_unsent();
	if (sent && sn.acked == xf.chunks) {
		xf.finished = true;
		pthread_cond_broadcast(&xf.changed);
	}
	pthread_mutex_unlock(&xf.lock);
	if (sent && !sn.sealing)
		seal();
}

void
send_state(uint64_t *durable, uint64_t *same, uint64_t *resent)
{
	pthread_mutex_lock(&xf.lock);
	*durable = sn.durable;
	*same = sn.same;
	*resent = sn.resent;
	pthread_mutex_unlock(&xf.lock);
}

bool
send_waits(void)
{
	bool waits;

	pthread_mutex_lock(&xf.lock);
	waits = sn.flying > 0;
	pthread_mutex_unlock(&xf.lock);
	return waits;
}
