/* SPDX-License-Identifier: ISC */
/*
 * wire.c - one direction of the link (wire.h).
 *
 * A thread reads what the sender's device has, works out when each train of
 * segments arrives, keeps it in a heap until then, and writes it to the other
 * device. A train stays whole unless something happens to one of its segments
 * or it would be long on the wire, so that a fast link costs few calls.
 */
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "packet.h"
#include "wire.h"

#define SECOND 1000000000
#define BATCH 64
#define TRAIN_NS 1000000     /* a train is no longer than this on the wire */
#define SLACK_NS 20000	     /* how late the kernel may wake us */
#define UNDERWAY_MAX 2000000 /* packets */

enum chance { LOSE, DUPLICATE, REORDER, FLIP, CORRUPT, JITTER, WHERE };

struct entry {
	int64_t due;
	uint64_t order;
	struct packet *packet;
};

struct wire {
	pthread_mutex_t lock;
	pthread_t thread;
	int in, out, wake;
	uint64_t seed;
	atomic_bool stop;
	struct wire_settings set;
	struct wire_counts count;
	struct entry *heap;
	size_t entries, room;
	uint64_t segment; /* number of the next one that comes in */
	uint64_t order;
	int64_t free_at;  /* when the last in the queue has been sent */
	int64_t last_due; /* without reordering nothing overtakes */
	bool bursting, paused, dead;
	enum wire_cut cut;
	uint64_t cut_bytes; /* left until the cut */
	uint8_t buffer[sizeof(struct virtio_net_hdr) + PACKET_MAX];
};

static atomic_bool down;

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* splitmix64 (Steele, Lea, Flood 2014) of the segment's number. */
static uint64_t
draw(const struct wire *w, enum chance what, uint64_t number)
{
	uint64_t z = w->seed + (uint64_t)what * 0xd1342543de82ef95u +
	    (number + 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static double
uniform(const struct wire *w, enum chance what, uint64_t number)
{
	return (double)(draw(w, what, number) >> 11) / 9007199254740992.0;
}

static bool
happens(const struct wire *w, enum chance what, double p)
{
	return p > 0 && uniform(w, what, w->segment) < p;
}

/* Gilbert's model: of the segments so many are lost, so many in a row. */
static bool
is_lost(struct wire *w)
{
	double p = w->set.loss, burst = w->set.burst;

	if (p <= 0 || burst <= 1 || p >= 1)
		return happens(w, LOSE, p);
	w->bursting = w->bursting ? !happens(w, LOSE, 1 / burst) :
				    happens(w, LOSE, p / (burst * (1 - p)));
	return w->bursting;
}

/* The heap: what is due first is on top. */

static bool
sooner(const struct entry *a, const struct entry *b)
{
	return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void
push(struct wire *w, int64_t due, struct packet *p)
{
	struct entry e = { due, w->order++, p };
	size_t i = w->entries, up;

	if (w->entries == w->room) {
		w->room = w->room == 0 ? 1024 : w->room * 2;
		w->heap = reallocarray(w->heap, w->room, sizeof(*w->heap));
		if (w->heap == NULL)
			err(1, "packets under way");
	}
	for (w->entries++; i > 0; i = up) {
		up = (i - 1) / 2;
		if (!sooner(&e, &w->heap[up]))
			break;
		w->heap[i] = w->heap[up];
	}
	w->heap[i] = e;
	w->count.underway += packet_segments(p);
}

static struct packet *
pop(struct wire *w)
{
	struct packet *p = w->heap[0].packet;
	struct entry e = w->heap[--w->entries];
	size_t i = 0, down_to;

	while ((down_to = i * 2 + 1) < w->entries) {
		if (down_to + 1 < w->entries &&
		    sooner(&w->heap[down_to + 1], &w->heap[down_to]))
			down_to++;
		if (!sooner(&w->heap[down_to], &e))
			break;
		w->heap[i] = w->heap[down_to];
		i = down_to;
	}
	w->heap[i] = e;
	w->count.underway -= packet_segments(p);
	return p;
}

/* Coming in. */

/* How many of the segments find room in the queue, each of so many bytes. */
static unsigned int
find_room(struct wire *w, int64_t now, size_t bytes, unsigned int segments)
{
	double waiting, left;

	if (w->set.rate <= 0)
		return w->entries < UNDERWAY_MAX ? segments : 0;
	if (w->free_at < now)
		w->free_at = now;
	waiting = (double)(w->free_at - now) * w->set.rate / 8 / SECOND;
	if (waiting > (double)w->count.queue_max_bytes)
		w->count.queue_max_bytes = (uint64_t)waiting;
	left = (w->set.queue - waiting) / (double)bytes * segments;
	return left <= 0	    ? 0 :
	    left < (double)segments ? (unsigned int)left :
				      segments;
}

static int64_t
arrival(struct wire *w, int64_t now, size_t bytes, bool held)
{
	int64_t due = now;

	if (w->set.rate > 0) {
		w->free_at +=
		    (int64_t)((double)bytes * 8 * SECOND / w->set.rate);
		due = w->free_at;
	}
	due += (int64_t)w->set.delay;
	if (w->set.jitter > 0)
		due +=
		    (int64_t)(w->set.jitter * uniform(w, JITTER, w->segment));
	if (held)
		return due + (int64_t)w->set.hold;
	if (due < w->last_due)
		due = w->last_due;
	w->last_due = due;
	return due;
}

/* Some segments of a train that share a fate: bits of enum chance. */
static void
send_piece(struct wire *w, const struct packet *train, unsigned int first,
    unsigned int count, unsigned int fate)
{
	int64_t now = now_ns(), due;
	struct packet *p, *twin;
	unsigned int fit;
	size_t bytes;

	if (count == 0 || (p = packet_piece(train, first, count)) == NULL)
		return;
	fit = find_room(w, now, packet_wire_bytes(p), count);
	if (fit < count) {
		w->count.queue_dropped += count - fit;
		free(p);
		if (fit == 0 || (p = packet_piece(train, first, fit)) == NULL)
			return;
	}
	bytes = packet_wire_bytes(p);
	due = arrival(w, now, bytes, fate & 1U << REORDER);
	if (fate & 1U << LOSE) {
		w->count.lost++;
		free(p);
		return;
	}
	w->count.reordered += (fate >> REORDER) & 1;
	if (fate & (1U << FLIP | 1U << CORRUPT)) {
		packet_flip(p, draw(w, WHERE, w->segment),
		    fate & 1U << CORRUPT);
		w->count.flipped += (fate >> FLIP) & 1;
		w->count.corrupted += (fate >> CORRUPT) & 1;
	}
	if ((fate & 1U << DUPLICATE) &&
	    (twin = packet_piece(p, 0, packet_segments(p))) != NULL) {
		w->count.duplicated++;
		push(w, due, twin);
	}
	push(w, due, p);
}

static unsigned int
judge(struct wire *w)
{
	unsigned int fate = 0;

	if (is_lost(w))
		fate |= 1U << LOSE;
	if (happens(w, DUPLICATE, w->set.duplicate))
		fate |= 1U << DUPLICATE;
	if (happens(w, REORDER, w->set.reorder))
		fate |= 1U << REORDER;
	if (happens(w, FLIP, w->set.flip))
		fate |= 1U << FLIP;
	else if (happens(w, CORRUPT, w->set.corrupt))
		fate |= 1U << CORRUPT;
	return fate;
}

static void
take(struct wire *w, const struct packet *p)
{
	unsigned int n = packet_segments(p), first = 0, most = n, fate, i;
	size_t bytes = packet_wire_bytes(p);

	w->count.taken += n;
	w->count.taken_bytes += bytes;
	if (atomic_load(&down)) {
		w->count.down_dropped += n;
		w->segment += n;
		return;
	}
	if (w->set.rate > 0)
		most = (unsigned int)(w->set.rate / 8 / SECOND * TRAIN_NS /
		    ((double)bytes / n));
	if (most == 0)
		most = 1;
	for (i = 0; i < n; i++, w->segment++) {
		fate = judge(w);
		if (fate != 0) {
			send_piece(w, p, first, i - first, 0);
			send_piece(w, p, i, 1, fate);
			first = i + 1;
		} else if (i + 1 - first >= most) {
			send_piece(w, p, first, i + 1 - first, 0);
			first = i + 1;
		}
	}
	send_piece(w, p, first, n - first, 0);
}

/* Going out. */

static bool
put(int fd, const struct packet *p)
{
	size_t len = sizeof(p->hdr) + p->len;

	/* Header and IP lie side by side in struct packet. */
	_Static_assert(offsetof(struct packet, ip) ==
		offsetof(struct packet, hdr) + sizeof(p->hdr),
	    "nothing between header and packet");
	return write(fd, &p->hdr, len) == (ssize_t)len;
}

static void
reset_both(const struct wire *w, const struct packet *p, size_t payload)
{
	struct packet *r;
	int to_sender;

	for (to_sender = 0; to_sender < 2; to_sender++) {
		r = packet_reset(p, payload, to_sender == 1);
		if (r != NULL)
			put(to_sender ? w->in : w->out, r);
		free(r);
	}
}

static void
count_delivered(struct wire *w, const struct packet *p)
{
	w->count.delivered += packet_segments(p);
	w->count.delivered_bytes += packet_wire_bytes(p);
	w->count.payload_bytes += packet_payload(p);
}

/* The packet in which the cut lies. */
static void
cut_in(struct wire *w, struct packet *p)
{
	size_t keep = (size_t)w->cut_bytes;
	enum wire_cut how = w->cut;

	w->count.cuts++;
	w->count.swallowed_bytes += packet_payload(p) - keep;
	w->cut = WIRE_UNCUT;
	packet_truncate(p, keep);
	if (keep > 0 && put(w->out, p))
		count_delivered(w, p);
	if (how == WIRE_RESET)
		reset_both(w, p, keep);
	else if (how == WIRE_SILENCE)
		atomic_store(&down, true);
	else
		w->dead = true;
}

static void
deliver(struct wire *w, struct packet *p)
{
	size_t payload = packet_payload(p);

	if (atomic_load(&down)) {
		w->count.down_dropped += packet_segments(p);
	} else if (w->dead) {
		w->count.down_dropped += packet_segments(p);
		w->count.swallowed_bytes += payload;
	} else if (w->cut != WIRE_UNCUT && payload > 0 &&
	    payload >= w->cut_bytes) {
		cut_in(w, p);
	} else if (put(w->out, p)) {
		count_delivered(w, p);
		if (w->cut != WIRE_UNCUT)
			w->cut_bytes -= payload;
	} else
		w->count.refused += packet_segments(p);
	free(p);
}

/* One turn: what is due goes out, what has come is taken. True: more came. */
static bool
turn(struct wire *w)
{
	struct packet *p;
	ssize_t len;
	int i;

	for (i = 0; i < BATCH; i++) {
		while (
		    !w->paused && w->entries > 0 && w->heap[0].due <= now_ns())
			deliver(w, pop(w));
		len = read(w->in, w->buffer, sizeof(w->buffer));
		if (len <= 0)
			return false;
		if ((p = packet_new(w->buffer, (size_t)len)) == NULL)
			continue;
		/* Nobody asked for it, and runs are to be the same. */
		if (!packet_multicast(p))
			take(w, p);
		free(p);
	}
	return true;
}

static void *
run(void *arg)
{
	struct wire *w = arg;
	struct pollfd fds[2] = { { w->in, POLLIN, 0 }, { w->wake, POLLIN, 0 } };
	struct timespec wait;
	uint64_t unused;
	int64_t ns;
	bool more;

	prctl(PR_SET_TIMERSLACK, SLACK_NS);
	while (!atomic_load(&w->stop)) {
		pthread_mutex_lock(&w->lock);
		more = turn(w);
		ns = SECOND;
		if (w->entries > 0 && !w->paused)
			ns = w->heap[0].due - now_ns();
		pthread_mutex_unlock(&w->lock);
		if (more || ns <= 0)
			continue;
		wait.tv_sec = ns / SECOND;
		wait.tv_nsec = ns % SECOND;
		if (ppoll(fds, 2, &wait, NULL) == -1 && errno != EINTR)
			err(1, "poll");
		if (fds[1].revents &&
		    read(w->wake, &unused, sizeof(unused)) == -1)
			err(1, "wake");
	}
	return NULL;
}

static void
wake_up(struct wire *w)
{
	uint64_t one = 1;

	if (write(w->wake, &one, sizeof(one)) == -1)
		err(1, "wake");
}

struct wire *
wire_new(int in, int out, uint64_t seed)
{
	struct wire *w = calloc(1, sizeof(*w));
	int r;

	if (w == NULL || (w->wake = eventfd(0, EFD_CLOEXEC)) == -1)
		err(1, "wire");
	w->in = in;
	w->out = out;
	w->seed = seed;
#define FIELD(name, unit, value) w->set.name = value;
	WIRE_SETTINGS(FIELD)
#undef FIELD
	pthread_mutex_init(&w->lock, NULL);
	if ((r = pthread_create(&w->thread, NULL, run, w)) != 0) {
		errno = r;
		err(1, "thread");
	}
	return w;
}

void
wire_set(struct wire *w, const struct wire_settings *set)
{
	pthread_mutex_lock(&w->lock);
	w->set = *set;
	pthread_mutex_unlock(&w->lock);
	wake_up(w);
}

void
wire_get(struct wire *w, struct wire_settings *set)
{
	pthread_mutex_lock(&w->lock);
	*set = w->set;
	pthread_mutex_unlock(&w->lock);
}

struct wire_counts
wire_counted(struct wire *w)
{
	struct wire_counts c;

	pthread_mutex_lock(&w->lock);
	c = w->count;
	pthread_mutex_unlock(&w->lock);
	return c;
}

void
wire_pause(struct wire *w, bool yes)
{
	pthread_mutex_lock(&w->lock);
	w->paused = yes;
	pthread_mutex_unlock(&w->lock);
	wake_up(w);
}

void
wire_down(struct wire *w, bool yes)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&down, yes);
	if (!yes)
		w->dead = false;
	pthread_mutex_unlock(&w->lock);
	wake_up(w);
}

void
wire_cut(struct wire *w, enum wire_cut how, uint64_t bytes)
{
	pthread_mutex_lock(&w->lock);
	w->cut = how;
	w->cut_bytes = bytes;
	pthread_mutex_unlock(&w->lock);
}

void
wire_stop(struct wire *w)
{
	atomic_store(&w->stop, true);
	wake_up(w);
	pthread_join(w->thread, NULL);
	/* Of what is still under way the counts tell. */
}
