/* SPDX-License-Identifier: ISC */
/*
 * rtpstat.c - how a stream is received: RFC 3550's own algorithms.
 */
#include <string.h>

#include "voiced/rtpstat.h"

/* RFC 3550 A.1 */
#define MIN_SEQUENTIAL 2
#define MAX_DROPOUT 3000
#define MAX_MISORDER 100
#define SEQ_MOD (UINT32_C(1) << 16)

#define US_PER_S UINT64_C(1000000)
#define ROUND_TRIP_MAX (UINT32_C(60) << 16) /* in 1/65536 s: a minute */

/* NTP's format, 32.32 bits of a second. */
static uint64_t
ntp(uint64_t us)
{
	return us / US_PER_S << 32 | (us % US_PER_S << 32) / US_PER_S;
}

static uint32_t
ntp_middle(uint64_t ntp64)
{
	return (uint32_t)(ntp64 >> 16);
}

static uint32_t
samples(uint64_t us)
{
	return (uint32_t)(us / 1000 * (RTP_RATE / 1000) +
	    us % 1000 * (RTP_RATE / 1000) / 1000);
}

static void
begin(struct rtpstat_in *s, uint16_t seq)
{
	s->base_seq = s->max_seq = seq;
	s->bad_seq = SEQ_MOD + 1; /* is none */
	s->cycles = 0;
	s->received = s->received_prior = s->expected_prior = 0;
}

void
rtpstat_in_init(struct rtpstat_in *s, uint32_t ssrc)
{
	memset(s, 0, sizeof(*s));
	s->ssrc = ssrc;
	s->probation = MIN_SEQUENTIAL;
	s->bad_seq = SEQ_MOD + 1;
	/* No packet can be the one after it. */
	s->base_seq = SEQ_MOD;
}

/* A.1's update_seq(). */
static bool
place(struct rtpstat_in *s, uint16_t seq)
{
	uint16_t ahead = (uint16_t)(seq - s->max_seq);

	if (s->probation > 0) {
		if (s->base_seq == SEQ_MOD || ahead != 1)
			s->probation = MIN_SEQUENTIAL;
		s->probation--;
		begin(s, seq);
		if (s->probation > 0)
			return false;
	} else if (ahead < MAX_DROPOUT) {
		if (seq < s->max_seq)
			s->cycles += SEQ_MOD;
		s->max_seq = seq;
	} else if (ahead <= SEQ_MOD - MAX_MISORDER) {
		if (seq != s->bad_seq) {
			s->bad_seq = (seq + 1) & (SEQ_MOD - 1);
			return false;
		}
		/* Two in a row: the other end has begun anew. */
		begin(s, seq);
		s->timed = false;
	} /* else late or twice, and counts */
	s->received++;
	return true;
}

bool
rtpstat_received(struct rtpstat_in *s, const struct rtp *p, uint64_t arrival_us)
{
	uint32_t transit = samples(arrival_us) - p->timestamp;
	uint32_t d = transit - s->transit;

	if (!place(s, p->seq))
		return false;
	/* A.8; the first one has nothing to be compared with. */
	if (s->timed) {
		if (d > INT32_MAX)
			d = 0 - d;
		s->jitter = s->jitter + d - ((s->jitter + 8) >> 4);
	}
	s->transit = transit;
	s->timed = true;
	return true;
}

void
rtpstat_sr(struct rtpstat_in *s, const struct rtcp *p, uint64_t arrival_us)
{
	s->sr = true;
	s->sr_us = arrival_us;
	s->sr_ntp = ntp_middle(p->ntp);
}

static uint64_t
expected(const struct rtpstat_in *s)
{
	if (s->received == 0)
		return 0;
	return (uint64_t)s->cycles + s->max_seq - s->base_seq + 1;
}

int64_t
rtpstat_lost(const struct rtpstat_in *s)
{
	return (int64_t)(expected(s) - s->received);
}

/* A.3 */
void
rtpstat_report(struct rtpstat_in *s, uint64_t now_us, struct rtcp_report *b)
{
	int64_t lost = rtpstat_lost(s), lost_interval;
	uint64_t expected_interval, jitter = s->jitter >> 4, dlsr;

	memset(b, 0, sizeof(*b));
	expected_interval = expected(s) - s->expected_prior;
	lost_interval =
	    (int64_t)(expected_interval - (s->received - s->received_prior));
	s->expected_prior = expected(s);
	s->received_prior = s->received;

	b->ssrc = s->ssrc;
	/* Below 1: an interval in which none came expects none. */
	if (lost_interval > 0)
		b->fraction = (uint8_t)((uint64_t)lost_interval * 256 /
		    expected_interval);
	b->lost = lost > 0x7fffff ? 0x7fffff :
	    lost < -0x800000	  ? -0x800000 :
				    (int32_t)lost;
	b->highest = s->cycles + s->max_seq;
	b->jitter = jitter > UINT32_MAX ? UINT32_MAX : (uint32_t)jitter;
	if (s->sr) {
		dlsr = now_us > s->sr_us ? ntp(now_us - s->sr_us) >> 16 : 0;
		b->lsr = s->sr_ntp;
		b->dlsr = dlsr > UINT32_MAX ? UINT32_MAX : (uint32_t)dlsr;
	}
}

void
rtpstat_sent(struct rtpstat_out *s, const struct rtp *p)
{
	s->packets++;
	s->bytes += (uint32_t)p->len;
}

void
rtpstat_sender(const struct rtpstat_out *s, uint64_t now_us, uint32_t timestamp,
    struct rtcp *p)
{
	memset(p, 0, sizeof(*p));
	p->type = RTCP_SR;
	p->ssrc = s->ssrc;
	p->ntp = ntp(now_us);
	p->timestamp = timestamp;
	p->packets = s->packets;
	p->bytes = s->bytes;
}

int64_t
rtpstat_round_trip(const struct rtcp_report *b, uint64_t now_us)
{
	uint32_t trip = ntp_middle(ntp(now_us)) - b->lsr - b->dlsr;

	if (b->lsr == 0)
		return -1;
	/* Both ends round: a little less than nothing is nothing. */
	if (trip > UINT32_MAX - 64)
		return 0;
	return trip > ROUND_TRIP_MAX ? -1 : (int64_t)(trip * US_PER_S >> 16);
}
