/* SPDX-License-Identifier: ISC */
/*
 * jitter.c - the jitter buffer: what is played when, and what when nothing
 * is there. jitter.h says how the delay is found.
 *
 * All arithmetic is in samples of 48 kHz, in 64 bits: a peer's timestamps are
 * 32 bits wide and taken by their difference to the last one, and only within
 * SPAN of where the stream is, so nothing here grows beyond what time does.
 */
#include <errno.h>
#include <string.h>

#include "voiced/jitter.h"

#define MS (RTP_RATE / 1000)
#define FRAME_DEFAULT (20 * MS) /* until a packet has said it */
#define OPUS_MAX (120 * MS)	/* of one packet */
#define DTX_LEN_MAX 2 /* bytes: Opus says with it that silence follows */

/* Of JITTER_WINDOW packets one in fifty may be late. */
#define LATE_ONE_IN 50
#define LATE_MAX (JITTER_WINDOW / LATE_ONE_IN)
#define RECENT 8
/* Beyond the quantile, for what does not show in arrivals. */
#define MARGIN (2 * JITTER_STEP)
/* What is supposed of a stream's jitter while its packets are few. */
#define JITTER_FIRST (20 * MS)
/* What is further off is another stream; transits of one differ by less. */
#define SPAN (2 * RTP_RATE)
#define FOREVER (INT64_C(1) << 62)
/* Faster and slower by so much is heard by nobody: 0.8 %. */
#define ADJUST_ONE_IN 128
/* The schedule is met within a second, so that its own noise is not. */
#define ADJUST_TIME RTP_RATE

#define DRIFT_BLOCK (10 * RTP_RATE)
#define DRIFT_MAX_PPB 1000000 /* beyond it, the path has changed */
#define DRIFT_SMOOTH 8
#define SEEN_BITS 64

static int64_t
samples_of(uint64_t us)
{
	return (int64_t)(us / 1000 * MS + us % 1000 * MS / 1000);
}

static int64_t
clamp(int64_t v, int64_t least, int64_t most)
{
	return v < least ? least : v > most ? most : v;
}

void
jitter_init(struct jitter *j)
{
	memset(j, 0, sizeof(*j));
	j->samples = FRAME_DEFAULT;
}

int
jitter_opus_samples(const uint8_t *p, size_t len)
{
	static const uint16_t silk[] = { 480, 960, 1920, 2880 };
	unsigned int config, size, count;

	if (len == 0)
		return -EBADMSG;
	config = p[0] >> 3;
	if (config < 12)
		size = silk[config % 4];
	else if (config < 16)
		size = silk[config % 2];
	else
		size = 120u << config % 4;
	switch (p[0] & 3) {
	case 0:
		count = 1;
		break;
	case 3:
		count = len > 1 ? p[1] & 0x3f : 0;
		break;
	default:
		count = 2;
	}
	if (count == 0 || count * size > OPUS_MAX)
		return -EBADMSG;
	return (int)(count * size);
}

/* --- when ---------------------------------------------------------------- */

/*
 * The offset by the transits there are: all but the latest few are in time.
 * Not so much more than the fastest of the last packets alone, so that a path
 * that is longer now is no jitter.
 */
static void
schedule(struct jitter *j)
{
	int64_t top[LATE_MAX + 1], least = INT64_MAX, recent = INT64_MAX, t;
	unsigned int i, k, n = 0, late = j->n_transit / LATE_ONE_IN;

	for (i = 0; i < j->n_transit; i++) {
		/* Back in time. */
		t = j->transit[(j->next_transit + JITTER_WINDOW - 1 - i) %
		    JITTER_WINDOW];
		if (t < least)
			least = t;
		if (i < RECENT)
			recent = least;
		for (k = n; k > 0 && top[k - 1] < t; k--)
			if (k <= LATE_MAX)
				top[k] = top[k - 1];
		if (k <= LATE_MAX)
			top[k] = t;
		if (n <= LATE_MAX)
			n++;
	}
	j->offset = top[late] + MARGIN;
	if (j->offset > recent + JITTER_DELAY_MAX)
		j->offset = recent + JITTER_DELAY_MAX;
	j->stats.delay = j->offset - least;
}

static void
add_transit(struct jitter *j, int64_t transit)
{
	j->transit[j->next_transit] = transit;
	j->next_transit = (j->next_transit + 1) % JITTER_WINDOW;
	if (j->n_transit < JITTER_WINDOW)
		j->n_transit++;
}

/* The first packet in a while: how late others are can only be supposed. */
static void
suppose(struct jitter *j, int64_t transit)
{
	j->n_transit = j->next_transit = 0;
	add_transit(j, transit + JITTER_FIRST);
	schedule(j);
}

/*
 * How the fastest packet of ten seconds moves against that of the ten before.
 * For those who ask how the clocks agree: playout goes by the offset.
 */
static void
follow_drift(struct jitter *j, int64_t arrival, int64_t transit)
{
	int64_t elapsed, moved, ppb;

	if (transit < j->block_min)
		j->block_min = transit;
	if (arrival - j->block_start < DRIFT_BLOCK)
		return;
	elapsed = j->block_start - j->last_start;
	moved = clamp(j->block_min - j->last_min, -SPAN, SPAN);
	if (j->blocks > 0 && elapsed > 0) {
		ppb = moved * INT64_C(1000000000) / elapsed;
		if (ppb >= -DRIFT_MAX_PPB && ppb <= DRIFT_MAX_PPB)
			j->stats.drift_ppb += (ppb - j->stats.drift_ppb) /
			    (j->blocks < DRIFT_SMOOTH ? j->blocks :
							DRIFT_SMOOTH);
	}
	j->blocks++;
	j->last_start = j->block_start;
	j->last_min = j->block_min;
	j->block_start = arrival;
	j->block_min = transit;
}

/* --- packets ------------------------------------------------------------- */

/* A stream begins with this packet; what was of another is gone. */
static void
begin(struct jitter *j, const struct rtp *p, int64_t arrival)
{
	unsigned int i;

	for (i = 0; i < JITTER_SLOTS; i++)
		j->slot[i].samples = 0;
	j->started = true;
	j->ssrc = p->ssrc;
	/* Far from zero: one before it is not negative. */
	j->newest = (INT64_C(1) << 32) + p->timestamp;
	j->pos = j->newest;
	j->played = 0;
	j->quiet = true;
	j->top = p->seq;
	j->seen = 0;
	j->jumped = false;
	j->arrival = arrival;
	suppose(j, arrival - j->newest);
	j->block_start = arrival;
	j->block_min = arrival - j->newest;
	j->blocks = 0;
	j->stats.restarts++;
}

/* Is it the second packet of a stream that is not where it should be? */
static bool
confirmed(struct jitter *j, uint16_t seq)
{
	bool follows = j->jumped && seq == j->jump_next;

	j->jumped = true;
	j->jump_next = (uint16_t)(seq + 1);
	return follows;
}

/* Has this number come before? One out of sight has not. */
static bool
seen(struct jitter *j, uint16_t seq)
{
	int ahead = (int16_t)(seq - j->top);

	if (ahead > 0) {
		j->seen = ahead < SEEN_BITS ? j->seen << ahead : 0;
		j->top = seq;
		ahead = 0;
	}
	if (-ahead >= SEEN_BITS)
		return false;
	if (j->seen & UINT64_C(1) << -ahead)
		return true;
	j->seen |= UINT64_C(1) << -ahead;
	return false;
}

/* A free slot, or that of the oldest packet, which time has passed over. */
static struct jitter_slot *
room(struct jitter *j)
{
	struct jitter_slot *s, *oldest = j->slot;

	for (s = j->slot; s < j->slot + JITTER_SLOTS; s++) {
		if (s->samples == 0)
			return s;
		if (s->ts < oldest->ts)
			oldest = s;
	}
	j->stats.overflows++;
	return oldest;
}

int
jitter_put(struct jitter *j, const struct rtp *p, uint64_t arrival_us)
{
	int64_t arrival = samples_of(arrival_us), ts, transit;
	int samples = jitter_opus_samples(p->payload, p->len);
	struct jitter_slot *s;

	if (samples < 0 || p->len > JITTER_PAYLOAD_MAX)
		return -EBADMSG;
	if (!j->started || p->ssrc != j->ssrc)
		begin(j, p, arrival);
	ts = j->newest + (int32_t)(p->timestamp - (uint32_t)j->newest);
	transit = arrival - ts;
	if (transit < j->offset - SPAN || transit > j->offset + SPAN) {
		if (!confirmed(j, p->seq))
			return -ESTALE;
		begin(j, p, arrival);
		ts = j->newest;
		transit = arrival - ts;
	}
	j->jumped = false;
	if (seen(j, p->seq)) {
		j->stats.duplicates++;
		return -EEXIST;
	}
	if (arrival - j->arrival > SPAN)
		suppose(j, transit);
	j->arrival = arrival;
	j->newest = ts;
	add_transit(j, transit);
	schedule(j);
	follow_drift(j, arrival, transit);
	/* Late is what the frame after it was played before. */
	if (ts <= j->played - JITTER_STEP) {
		j->stats.late++;
		return -ETIME;
	}
	s = room(j);
	s->ts = ts;
	s->samples = (unsigned int)samples;
	s->seq = p->seq;
	s->len = p->len;
	memcpy(s->data, p->payload, p->len);
	return 0;
}

/* --- playing ------------------------------------------------------------- */

/* The first packet that does not begin before pos, give or take a step. */
static struct jitter_slot *
first_from(struct jitter *j, int64_t pos)
{
	struct jitter_slot *s, *first = NULL;

	for (s = j->slot; s < j->slot + JITTER_SLOTS; s++)
		if (s->samples != 0 && s->ts > pos - JITTER_STEP &&
		    (first == NULL || s->ts < first->ts))
			first = s;
	return first;
}

/*
 * Where the silence ends that follows the last frame: where packets are
 * missing before the next one, they are the last ones before it. The
 * timestamps went on during a silence, the sequence numbers did not (RFC 7587
 * section 3.1.3). Without a next one it has no end, or has not begun.
 */
static int64_t
silence_end(const struct jitter *j, const struct jitter_slot *next)
{
	uint16_t lost;

	if (next == NULL)
		return j->quiet ? FOREVER : j->pos;
	if (j->played == 0)
		return next->ts;
	lost = (uint16_t)(next->seq - j->seq - 1);
	return next->ts - (int64_t)lost * next->samples;
}

static void
play(struct jitter *j, struct jitter_slot *next, int64_t due,
    struct jitter_out *out)
{
	int64_t most = next->samples / ADJUST_ONE_IN, ahead;
	struct jitter_slot *s;

	/* Before its time: slower. Behind it: faster. */
	ahead = clamp(next->ts - due, -SPAN, SPAN);
	out->adjust =
	    (int)clamp(ahead * next->samples / ADJUST_TIME, -most, most);
	if (out->adjust > 0)
		j->stats.added += (uint64_t)out->adjust;
	else
		j->stats.taken += (uint64_t)-out->adjust;
	out->kind = JITTER_FRAME;
	out->data = next->data;
	out->len = next->len;
	out->samples = j->samples = next->samples;
	j->pos = j->played = next->ts + next->samples;
	j->seq = next->seq;
	j->quiet = next->len <= DTX_LEN_MAX;
	j->stats.frames++;
	j->stats.played += next->samples;
	next->samples = 0;
	for (s = j->slot; s < j->slot + JITTER_SLOTS; s++)
		if (s->samples != 0 && s->ts <= j->played - JITTER_STEP) {
			s->samples = 0;
			j->stats.late++;
		}
}

/* Nothing is there for now: silence, a loss, or too early. */
static void
fill(struct jitter *j, const struct jitter_slot *next, int64_t due,
    struct jitter_out *out)
{
	int64_t end = silence_end(j, next), most = j->samples;
	int64_t early = j->pos - due;
	bool silent = end - j->pos >= JITTER_STEP, wait;

	/* As much as is missing, and no more than a frame. */
	if (silent)
		most = clamp(end - j->pos, 0, most);
	else if (next != NULL)
		most = clamp(next->ts - j->pos, 0, most);
	wait = early >= JITTER_STEP;
	if (wait)
		most = clamp(early, 0, most);
	out->samples = (unsigned int)(most - most % JITTER_STEP);
	out->kind = JITTER_CONCEAL;
	if (silent) {
		out->kind = JITTER_COMFORT;
		j->stats.comfort += out->samples;
	} else if (!wait && next != NULL && next->len > DTX_LEN_MAX &&
	    next->ts - j->pos <= next->samples + JITTER_STEP) {
		out->kind = JITTER_FEC;
		out->data = next->data;
		out->len = next->len;
		j->stats.recovered += out->samples;
	} else
		j->stats.concealed += out->samples;
	if (!wait)
		j->pos += out->samples;
}

/*
 * Towards a time by whole frames, so that what comes begins where it is
 * looked for: a packet that is not there yet cannot say where it does.
 */
static void
move(struct jitter *j, int64_t to)
{
	j->pos += (to - j->pos) / j->samples * j->samples;
}

void
jitter_get(struct jitter *j, uint64_t play_us, struct jitter_out *out)
{
	int64_t due = samples_of(play_us) - j->offset, end;
	struct jitter_slot *next;

	memset(out, 0, sizeof(*out));
	if (!j->started) {
		out->kind = JITTER_COMFORT;
		out->samples = j->samples;
		j->stats.comfort += out->samples;
		return;
	}
	/*
	 * Ahead of time with a hole just behind: what was late for that may
	 * be there by now. Behind it by far: what was for then is too old.
	 */
	if (j->pos > due || j->pos < due - JITTER_DELAY_MAX)
		move(j, due > j->played ? due : j->played);
	next = first_from(j, j->pos);
	/* Silence can be left out. */
	end = silence_end(j, next);
	if (j->pos < due && j->pos < end)
		move(j, due < end ? due : end);
	if (next != NULL && next->ts < j->pos + JITTER_STEP)
		play(j, next, due, out);
	else
		fill(j, next, due, out);
}
