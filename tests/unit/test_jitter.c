/* SPDX-License-Identifier: ISC */
/*
 * test_jitter.c - what a listener hears of a stream that comes over a bad
 * line: simulated time, a line that loses, delays and reorders by a seed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "voiced/jitter.h"

#define S 1000000 /* us */
#define BASE_US 40000
#define WAITING_MAX 256
#define TOC_10MS 0xf0 /* CELT, mono, one frame */
#define TOC_20MS 0xf8
#define TOC_40MS 0x10 /* SILK, mono, one frame */
#define TOC_60MS 0x18

static const uint8_t sizes[] = { TOC_10MS, TOC_20MS, TOC_40MS, TOC_60MS };
#define SIZES sizeof(sizes)

/* The line and who speaks on it. */
struct line {
	uint64_t seed;
	unsigned int loss;	/* of 10,000 packets */
	unsigned int jitter_us; /* more than BASE_US, uniform */
	int ppm;		/* the sender's clock is slower by so much */
	uint8_t toc;		/* 0: TOC_20MS */
	unsigned int copies;	/* of each packet, besides itself */
	uint16_t seq;
	uint32_t timestamp;
	/* Later by this, of what is sent from one time to the other. */
	unsigned int later_us;
	int64_t later_from, later_to;
	bool stalled; /* and all of it comes at the end of that time */
	/* Silence: of each second that much is not sent, after a DTX packet. */
	unsigned int silent_frames;
};

struct packet {
	int64_t arrival;
	struct rtp rtp;
	uint8_t payload[64];
};

struct sim {
	struct line line;
	struct jitter j;
	uint64_t rng;
	uint32_t next; /* frame to be sent */
	uint16_t seq;
	struct packet waiting[WAITING_MAX];
	size_t n;
	/* the listener */
	uint64_t heard; /* samples since zero */
	int64_t last;	/* frame played last */
	unsigned int frames, fec, conceals, comforts, disorder;
	int adjust_max;
	int64_t wait_us, wait_max_us; /* sum and most: BASE_US is not in it */
};

static uint64_t
draw(struct sim *s)
{
	uint64_t z = (s->rng += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static unsigned int
frame_samples(const struct line *l)
{
	return (unsigned int)jitter_opus_samples(&l->toc, 1);
}

static int64_t
sent_us(const struct line *l, uint32_t frame)
{
	int64_t us = (int64_t)frame * frame_samples(l) * 1000 / 48;

	return us + us / S * l->ppm + us % S * l->ppm / S;
}

static void
arrive(struct sim *s, const struct packet *p)
{
	size_t i = s->n++;

	assert_true(s->n <= WAITING_MAX);
	for (; i > 0 && s->waiting[i - 1].arrival < p->arrival; i--)
		s->waiting[i] = s->waiting[i - 1];
	s->waiting[i] = *p;
}

static bool
is_silent(const struct line *l, uint32_t frame)
{
	unsigned int in_second = frame % (RTP_RATE / frame_samples(l));

	return in_second != 0 && in_second <= l->silent_frames;
}

/* One frame leaves, or does not, being silence. */
static void
send_frame(struct sim *s)
{
	const struct line *l = &s->line;
	struct packet p;
	uint32_t frame = s->next++;
	unsigned int i;

	memset(&p, 0, sizeof(p));
	if (is_silent(l, frame) && is_silent(l, frame - 1))
		return;
	p.arrival = sent_us(l, frame);
	p.payload[0] = l->toc;
	memcpy(p.payload + 2, &frame, sizeof(frame));
	p.rtp.len = is_silent(l, frame) ? 2 : sizeof(p.payload);
	p.rtp.ssrc = 7;
	p.rtp.seq = s->seq++;
	p.rtp.timestamp = l->timestamp + frame * frame_samples(l);
	if (p.arrival >= l->later_from && p.arrival < l->later_to)
		p.arrival = l->stalled ? l->later_to : p.arrival + l->later_us;
	p.arrival += BASE_US;
	for (i = 0; i <= l->copies; i++) {
		struct packet one = p;

		if (draw(s) % 10000 < l->loss)
			continue;
		if (l->jitter_us > 0)
			one.arrival += (int64_t)(draw(s) % l->jitter_us);
		arrive(s, &one);
	}
}

static void
deliver(struct sim *s, int64_t until)
{
	struct packet *p;

	while (sent_us(&s->line, s->next) <= until)
		send_frame(s);
	while (s->n > 0 && s->waiting[s->n - 1].arrival <= until) {
		p = &s->waiting[--s->n];
		p->rtp.payload = p->payload;
		jitter_put(&s->j, &p->rtp, (uint64_t)p->arrival);
	}
}

static void
hear(struct sim *s, int64_t now, const struct jitter_out *out)
{
	uint32_t frame = 0;
	int64_t wait;

	if (out->len > 2)
		memcpy(&frame, out->data + 2, sizeof(frame));
	switch (out->kind) {
	case JITTER_FRAME:
		s->frames++;
		if (out->len <= 2)
			break;
		s->disorder += frame <= s->last;
		s->last = frame;
		wait = now - sent_us(&s->line, frame) - BASE_US;
		s->wait_us += wait;
		if (wait > s->wait_max_us)
			s->wait_max_us = wait;
		if (abs(out->adjust) > s->adjust_max)
			s->adjust_max = abs(out->adjust);
		break;
	case JITTER_FEC:
		s->disorder += frame <= s->last + 1;
		s->fec++;
		break;
	case JITTER_CONCEAL:
		s->conceals++;
		break;
	case JITTER_COMFORT:
		s->comforts++;
	}
}

static void
count_anew(struct sim *s)
{
	s->frames = s->fec = s->conceals = s->comforts = 0;
	s->adjust_max = 0;
	s->wait_us = s->wait_max_us = 0;
}

/* Listens for so long, pulling each frame when the one before has ended. */
static void
listen_for(struct sim *s, int64_t us)
{
	uint64_t end = s->heard + (uint64_t)us * 48 / 1000;
	struct jitter_out out;
	int64_t now;

	while (s->heard < end) {
		now = (int64_t)(s->heard * 1000 / 48);
		deliver(s, now);
		jitter_get(&s->j, (uint64_t)now, &out);
		assert_true(out.samples >= JITTER_STEP);
		assert_int_equal(out.samples % JITTER_STEP, 0);
		assert_true(out.kind == JITTER_FRAME || out.adjust == 0);
		assert_int_equal(out.data != NULL,
		    out.kind == JITTER_FRAME || out.kind == JITTER_FEC);
		hear(s, now, &out);
		s->heard += (uint64_t)((int)out.samples + out.adjust);
	}
}

static struct sim *
open_line(const struct line *l)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->line = *l;
	if (l->toc == 0)
		s->line.toc = TOC_20MS;
	s->rng = l->seed;
	s->seq = l->seq;
	s->last = -1;
	jitter_init(&s->j);
	return s;
}

static int64_t
wait_mean(const struct sim *s)
{
	return s->frames == 0 ? 0 : s->wait_us / s->frames;
}

static void
test_a_good_line(void **state)
{
	struct sim *s;
	size_t i;

	(void)state;
	for (i = 0; i < SIZES; i++) {
		s = open_line(&(struct line){ .toc = sizes[i] });
		listen_for(s, 60 * S);
		assert_int_equal(s->fec + s->conceals + s->disorder, 0);
		/* Not one is missing: what remains is on its way. */
		assert_in_range(s->next - s->frames, 0, 10);
		/* What is supposed at first is given up when it is not so. */
		count_anew(s);
		listen_for(s, S);
		assert_in_range(wait_mean(s), 1000, 10000);
		free(s);
	}
}

/* What was put in the place of frames, in 1/100 %, and the mean wait. */
static void
measure(const struct line *l, unsigned int *replaced, int64_t *mean)
{
	struct sim *s = open_line(l);

	listen_for(s, 120 * S);
	assert_int_equal(s->disorder, 0);
	*replaced = (s->fec + s->conceals) * 10000 / s->next;
	*mean = wait_mean(s);
	free(s);
}

static void
test_a_bad_line(void **state)
{
	struct line l = { .jitter_us = 30000 };
	unsigned int replaced, i;
	int64_t mean;

	(void)state;
	for (i = 0; i < 20; i++) {
		l.seed = i;
		l.toc = sizes[i % SIZES];
		/* Reordered, and none lost: next to nothing is missed. */
		l.loss = 0;
		measure(&l, &replaced, &mean);
		assert_in_range(replaced, 0, 20);
		l.loss = 100;
		measure(&l, &replaced, &mean);
		assert_in_range(replaced, 50, 599);
		assert_in_range(mean, 1, 60000);
		l.loss = 500;
		measure(&l, &replaced, &mean);
		assert_in_range(replaced, 350, 1199);
		assert_in_range(mean, 1, 60000);
	}
}

static void
test_some_of_what_is_lost_has_a_copy(void **state)
{
	struct sim *s = open_line(
	    &(struct line){ .seed = 3, .loss = 200, .jitter_us = 30000 });

	(void)state;
	/* Where packets wait for others the next one is often there. */
	listen_for(s, 120 * S);
	assert_true(s->fec * 3 > s->conceals);
	assert_int_equal(s->j.stats.recovered, s->fec * 960);
	assert_int_equal(s->disorder, 0);
	free(s);
}

static void
test_an_hour_of_drift(void **state)
{
	struct sim *s;
	unsigned int i;
	int ppm;

	(void)state;
	for (i = 0; i < 2 * SIZES; i++) {
		ppm = i % 2 == 0 ? 200 : -200;
		s = open_line(&(struct line){ .seed = i,
		    .toc = sizes[i / 2],
		    .jitter_us = 5000,
		    .ppm = ppm });
		listen_for(s, 10 * S);
		count_anew(s);
		listen_for(s, 3600 * (int64_t)S);
		/* No gap, and no more than a sample in 10 ms. */
		assert_int_equal(s->fec + s->conceals + s->comforts, 0);
		assert_int_equal(s->j.stats.late + s->disorder, 0);
		assert_in_range(s->adjust_max, 1,
		    frame_samples(&s->line) / 480);
		assert_in_range(wait_mean(s), 5000, 15000);
		assert_in_range(s->wait_max_us, 5000, 15000);
		assert_in_range(llabs(s->j.stats.drift_ppb - 1000 * ppm), 0,
		    20000);
		free(s);
	}
}

static void
test_numbers_that_wrap(void **state)
{
	struct sim *s = open_line(&(struct line){ .seed = 1,
	    .jitter_us = 30000,
	    .seq = 65530,
	    .timestamp = (uint32_t)-5 * 960 });

	(void)state;
	/* And the sequence numbers once more. */
	listen_for(s, 1400 * S);
	assert_int_equal(s->j.stats.restarts, 1);
	assert_in_range(s->fec + s->conceals, 0, 30);
	assert_int_equal(s->disorder, 0);
	free(s);
}

static void
test_duplicates(void **state)
{
	struct sim *s = open_line(
	    &(struct line){ .seed = 2, .jitter_us = 30000, .copies = 2 });

	(void)state;
	listen_for(s, 60 * S);
	assert_in_range(s->next - s->frames, 0, 12);
	assert_in_range(s->j.stats.duplicates, 2 * s->frames,
	    2 * (s->frames + 12));
	assert_int_equal(s->disorder, 0);
	/* The first of three is the one that counts for the delay. */
	assert_in_range(wait_mean(s), 5000, 35000);
	free(s);
}

static void
test_silence_is_no_loss(void **state)
{
	struct sim *s = open_line(&(
	    struct line){ .seed = 4, .jitter_us = 20000, .silent_frames = 25 });
	unsigned int replaced;

	(void)state;
	listen_for(s, 60 * S);
	assert_in_range(s->fec + s->conceals, 0, 3);
	assert_in_range(s->j.stats.comfort / 960, 23 * 59, 25 * 61);
	/* What is lost of the speech in between still is. */
	s->line.loss = 1000;
	count_anew(s);
	listen_for(s, 60 * S);
	replaced = s->fec + s->conceals;
	assert_in_range(replaced, 100, 500);
	assert_int_equal(s->disorder, 0);
	free(s);
}

static void
test_an_hour_of_silence(void **state)
{
	static const int ppm[] = { 200, -200 };
	struct sim *s;
	uint32_t frame;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		s = open_line(&(struct line){ .seed = 4, .ppm = ppm[i] });
		listen_for(s, 5 * S);
		s->line.silent_frames = 1;
		while (!is_silent(&s->line, s->next - 1))
			listen_for(s, 20000);
		s->line.silent_frames = 0;
		frame = s->next;
		s->next += 3600 * 50;
		listen_for(s,
		    sent_us(&s->line, s->next) - sent_us(&s->line, frame));
		count_anew(s);
		/* The clocks are 720 ms apart, and not a frame is missed. */
		listen_for(s, 10 * S);
		assert_int_equal(s->fec + s->conceals + s->disorder, 0);
		assert_in_range(s->frames, 490, 501);
		assert_int_equal(s->j.stats.restarts, 1);
		count_anew(s);
		listen_for(s, S);
		assert_in_range(wait_mean(s), 1000, 15000);
		free(s);
	}
}

static void
longer_path(unsigned int later_us)
{
	struct sim *s = open_line(&(struct line){ .seed = 6,
	    .later_us = later_us,
	    .later_from = 10 * S,
	    .later_to = 40 * S });
	unsigned int gap = later_us / 20000;
	uint32_t sent;

	listen_for(s, 10 * S);
	count_anew(s);
	listen_for(s, 2 * S);
	/*
	 * A gap as long as the path has become longer. Two packets may be
	 * late; the third one makes the delay longer, and what was late for
	 * the gap and has its time still to come is played after it.
	 */
	assert_in_range(s->conceals, gap - 1, gap + 8);
	assert_in_range(s->frames, 96 - gap, 101 - gap);
	assert_in_range(s->j.stats.late, 0, 3);
	count_anew(s);
	listen_for(s, 28 * S);
	assert_int_equal(s->fec + s->conceals, 0);
	/* The path is short again: no frame is thrown away for that. */
	sent = s->next;
	count_anew(s);
	listen_for(s, 20 * S);
	assert_in_range(s->frames - (s->next - sent), 4, gap + 5);
	assert_int_equal(s->fec + s->conceals + s->disorder, 0);
	assert_in_range(s->adjust_max, 1, 960 / 128);
	/* Nor are the clocks thought to differ. */
	assert_int_equal(s->j.stats.drift_ppb, 0);
	listen_for(s, 60 * S);
	count_anew(s);
	listen_for(s, S);
	assert_in_range(wait_mean(s), 1000, 10000);
	free(s);
}

static void
test_delay_grows_at_once_and_shrinks_slowly(void **state)
{
	(void)state;
	longer_path(100000);
	longer_path(350000);
}

static void
shorter_silence(unsigned int silent_frames)
{
	struct sim *s =
	    open_line(&(struct line){ .seed = 10, .jitter_us = 200000 });
	uint64_t late;
	uint16_t sent;

	listen_for(s, 10 * S);
	assert_true(wait_mean(s) > 150000);
	late = s->j.stats.late;
	s->line.jitter_us = 10000;
	s->line.silent_frames = silent_frames;
	listen_for(s, 8 * S);
	/* In speech it would take 23 seconds. All of what is said is heard. */
	sent = s->seq;
	count_anew(s);
	listen_for(s, 20 * S);
	assert_in_range(wait_mean(s), 5000, 40000);
	assert_int_equal(s->fec + s->conceals, 0);
	assert_int_equal(s->j.stats.late, late);
	sent = (uint16_t)(s->seq - sent);
	assert_in_range(s->frames, sent - 2, sent + 2);
	free(s);
}

static void
test_delay_is_left_out_of_silence(void **state)
{
	(void)state;
	shorter_silence(25);
	/* Longer than this silence: a part in each. */
	shorter_silence(5);
}

static void
test_a_path_that_is_much_longer(void **state)
{
	struct sim *s = open_line(&(struct line){ .seed = 6,
	    .later_us = 900000,
	    .later_from = 10 * S,
	    .later_to = 1000 * (int64_t)S });

	(void)state;
	/* More than jitter may be: eight packets, and it is believed. */
	listen_for(s, 10 * S);
	count_anew(s);
	listen_for(s, 5 * S);
	assert_in_range(s->conceals, 44, 60);
	assert_in_range(s->frames, 250 - 45 - 8, 250 - 44);
	assert_in_range(s->j.stats.late, 0, 8);
	free(s);
}

static void
test_a_line_that_stalls(void **state)
{
	struct line l = { .seed = 8, .later_from = 10 * S, .stalled = true };
	struct sim *s;

	(void)state;
	/* 300 ms, of which all is played; 3 s, after which it goes on. */
	for (l.later_to = l.later_from + 300000; l.later_to <= 13 * S;
	     l.later_to += 2700000) {
		s = open_line(&l);
		listen_for(s, 14 * S);
		count_anew(s);
		listen_for(s, 60 * S);
		assert_in_range(s->frames, 2990, 3025);
		assert_int_equal(s->fec + s->conceals + s->disorder, 0);
		count_anew(s);
		listen_for(s, S);
		assert_in_range(wait_mean(s), 1000, 10000);
		free(s);
	}
}

static void
test_another_sender(void **state)
{
	struct sim *s = open_line(&(struct line){ .seed = 9 });

	(void)state;
	listen_for(s, 5 * S);
	count_anew(s);
	/* The same source begins anew: one packet is not believed yet. */
	s->seq = (uint16_t)(s->seq + 20000);
	s->line.timestamp += UINT32_C(2000000000);
	listen_for(s, 5 * S);
	assert_int_equal(s->j.stats.restarts, 2);
	assert_in_range(s->frames, 245, 251);
	/* Another source. */
	count_anew(s);
	s->j.ssrc = 8;
	listen_for(s, 5 * S);
	assert_int_equal(s->j.stats.restarts, 3);
	assert_in_range(s->frames, 245, 251);
	assert_int_equal(s->disorder, 0);
	free(s);
}

static int
put_bytes(struct jitter *j, uint16_t seq, uint32_t timestamp,
    uint64_t arrival_us, size_t len)
{
	static const uint8_t payload[10] = { TOC_20MS };
	struct rtp p = { .seq = seq,
		.timestamp = timestamp,
		.payload = payload,
		.len = len };

	return jitter_put(j, &p, arrival_us);
}

static int
put(struct jitter *j, uint16_t seq, uint32_t timestamp, uint64_t arrival_us)
{
	return put_bytes(j, seq, timestamp, arrival_us, 10);
}

static void
test_what_is_not_taken(void **state)
{
	static uint8_t payload[JITTER_PAYLOAD_MAX + 1] = { TOC_20MS };
	static struct jitter j;
	struct rtp p = { .payload = payload };
	struct jitter_out out;

	(void)state;
	jitter_init(&j);
	assert_int_equal(jitter_put(&j, &p, 0), -EBADMSG);
	p.len = sizeof(payload);
	assert_int_equal(jitter_put(&j, &p, 0), -EBADMSG);
	jitter_get(&j, 0, &out);
	assert_int_equal(out.kind, JITTER_COMFORT);
	assert_int_equal(out.samples, 960);
	assert_false(j.started);

	assert_int_equal(put(&j, 100, 96000, 1000000), 0);
	assert_int_equal(put(&j, 100, 96000, 1000000), -EEXIST);
	assert_int_equal(put(&j, 101, 96960, 1020000), 0);
	assert_int_equal(put(&j, 101, 96960, 1020000), -EEXIST);
	/* One from far away, and again, and one that follows none. */
	assert_int_equal(put(&j, 500, 1960000, 1040000), -ESTALE);
	assert_int_equal(put(&j, 500, 1960000, 1040000), -ESTALE);
	assert_int_equal(put(&j, 502, 1961920, 1040000), -ESTALE);
	assert_int_equal(put(&j, 102, 97920, 1040000), 0);
	assert_int_equal(j.stats.restarts, 1);
	do
		jitter_get(&j, 1100000, &out);
	while (out.kind != JITTER_FRAME || j.seq != 102);
	/* Before what was played. */
	assert_int_equal(put(&j, 99, 95040, 1100000), -ETIME);
	assert_int_equal(j.stats.late, 1);
}

static void
test_each_frame_that_is_missing(void **state)
{
	static const enum jitter_kind kinds[] = { JITTER_FRAME, JITTER_FRAME,
		JITTER_CONCEAL, JITTER_FEC, JITTER_FRAME, JITTER_CONCEAL };
	static struct jitter j;
	struct jitter_out out;
	unsigned int i;

	(void)state;
	/* Of five the third and the fourth, of which the fifth has a copy. */
	jitter_init(&j);
	put(&j, 1, 0, 0);
	put(&j, 2, 960, 20000);
	put(&j, 5, 3840, 80000);
	for (i = 0; i < 6; i++) {
		jitter_get(&j, 25000 + i * 20000, &out);
		assert_int_equal(out.kind, kinds[i]);
		assert_int_equal(out.samples, 960);
	}
	assert_int_equal(j.stats.concealed, 2 * 960);
	/* Late for a loss after silence: the silence is left out, it is not. */
	jitter_init(&j);
	put_bytes(&j, 1, 0, 0, 2);
	jitter_get(&j, 25000, &out);
	assert_int_equal(out.kind, JITTER_FRAME);
	put(&j, 3, 300 * 48, 300000);
	jitter_get(&j, 345000, &out);
	assert_int_equal(out.kind, JITTER_FEC);
	/* What has never begun is missed by nobody. */
	jitter_init(&j);
	put(&j, 1, 0, 0);
	jitter_get(&j, 1000000, &out);
	assert_int_equal(out.kind, JITTER_COMFORT);
}

static void
test_delay_is_bounded(void **state)
{
	static struct jitter j;
	uint32_t i;

	(void)state;
	jitter_init(&j);
	for (i = 0; i < 500; i++) {
		put(&j, (uint16_t)i, i * 960,
		    i * 20000 + (i % 3 == 0 ? 1500000 : 0));
		assert_in_range(j.stats.delay, 0, JITTER_DELAY_MAX);
	}
	assert_int_equal(j.stats.delay, JITTER_DELAY_MAX);
}

static void
test_memory_is_bounded(void **state)
{
	static struct jitter j;
	struct jitter_out out;
	unsigned int i, n = 0;

	(void)state;
	jitter_init(&j);
	for (i = 0; i < 1000; i++)
		assert_int_equal(put(&j, (uint16_t)i, i * 960, i * 20000), 0);
	assert_int_equal(j.stats.overflows, 1000 - JITTER_SLOTS);
	/* The newest are there, the older ones of them are too old. */
	for (i = 0; i < 40; i++) {
		jitter_get(&j, 19500000 + i * 20000, &out);
		n += out.kind == JITTER_FRAME;
	}
	assert_in_range(n, 23, 26);
	assert_int_equal(j.seq, 999);
}

static void
test_lengths_of_opus_packets(void **state)
{
	/* RFC 6716 table 2, in 2.5 ms. */
	static const int table[32] = { 4, 8, 16, 24, 4, 8, 16, 24, 4, 8, 16, 24,
		4, 8, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8 };
	uint8_t p[2] = { 0 };
	int config, count;

	(void)state;
	assert_int_equal(jitter_opus_samples(p, 0), -EBADMSG);
	for (config = 0; config < 32; config++) {
		p[0] = (uint8_t)(config << 3);
		assert_int_equal(jitter_opus_samples(p, 1),
		    table[config] * 120);
		p[0] |= 1;
		assert_int_equal(jitter_opus_samples(p, 1),
		    table[config] * 240);
		p[0] ^= 3;
		assert_int_equal(jitter_opus_samples(p, 1),
		    table[config] * 240);
		p[0] |= 3;
		assert_int_equal(jitter_opus_samples(p, 1), -EBADMSG);
		for (count = 0; count < 64; count++) {
			p[1] = (uint8_t)(0xc0 | count);
			assert_int_equal(jitter_opus_samples(p, 2),
			    count == 0 || count * table[config] > 48 ?
				-EBADMSG :
				count * table[config] * 120);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_line),
		cmocka_unit_test(test_a_bad_line),
		cmocka_unit_test(test_some_of_what_is_lost_has_a_copy),
		cmocka_unit_test(test_an_hour_of_drift),
		cmocka_unit_test(test_numbers_that_wrap),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_silence_is_no_loss),
		cmocka_unit_test(test_an_hour_of_silence),
		cmocka_unit_test(test_delay_grows_at_once_and_shrinks_slowly),
		cmocka_unit_test(test_delay_is_left_out_of_silence),
		cmocka_unit_test(test_a_path_that_is_much_longer),
		cmocka_unit_test(test_a_line_that_stalls),
		cmocka_unit_test(test_another_sender),
		cmocka_unit_test(test_what_is_not_taken),
		cmocka_unit_test(test_each_frame_that_is_missing),
		cmocka_unit_test(test_delay_is_bounded),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_lengths_of_opus_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
