/* SPDX-License-Identifier: ISC */
/*
 * rtpstat.h - how a stream is received, and how long the way there and back
 * is: the statistics of RFC 3550, sections 6.4 and A.1, A.3, A.8.
 *
 * Times are microseconds of one clock that never steps; its zero is nobody's
 * business (section 4 allows a clock that began when the machine did). These
 * are numbers for reports: whether a packet is played is for jitter.h.
 */
#ifndef CLAW_VOICED_RTPSTAT_H
#define CLAW_VOICED_RTPSTAT_H

#include <stdbool.h>
#include <stdint.h>

#include "voiced/rtcp.h"
#include "voiced/rtp.h"

/* What comes from one source. */
struct rtpstat_in {
	uint32_t ssrc;
	uint16_t max_seq;
	uint32_t cycles;	/* 2^16 for each wrap */
	uint32_t base_seq;	/* the first one */
	uint32_t bad_seq;	/* where a source that began anew would go on */
	unsigned int probation; /* packets until the source counts */
	uint64_t received;
	uint64_t expected_prior, received_prior; /* at the last report */
	bool timed;				 /* transit is known */
	uint32_t transit;			 /* of the last one, samples */
	uint64_t jitter;			 /* in 1/16 samples */
	bool sr;				 /* one has come: */
	uint64_t sr_us;
	uint32_t sr_ntp; /* its middle 32 bits */
};

/* What we send. */
struct rtpstat_out {
	uint32_t ssrc;
	uint32_t packets, bytes; /* payload; modulo 2^32 as in SR */
};

void rtpstat_in_init(struct rtpstat_in *, uint32_t ssrc);

/*
 * A packet of that source has come. False while it does not count: the first
 * ones of a source, and those with a sequence number far off.
 */
bool
rtpstat_received(struct rtpstat_in *, const struct rtp *, uint64_t arrival_us);
/* An SR of that source has come. */
void rtpstat_sr(struct rtpstat_in *, const struct rtcp *, uint64_t arrival_us);
/* Lost so far; negative if more came than were sent. */
int64_t rtpstat_lost(const struct rtpstat_in *);
/* The block for our next SR or RR; begins the next interval. */
void rtpstat_report(struct rtpstat_in *, uint64_t now_us, struct rtcp_report *);

void rtpstat_sent(struct rtpstat_out *, const struct rtp *);
/*
 * The head of an SR without reports; timestamp is that of a sample that is
 * recorded now.
 */
void rtpstat_sender(const struct rtpstat_out *, uint64_t now_us,
    uint32_t timestamp, struct rtcp *);

/*
 * Round trip in microseconds by a report about us that has come now; -1 when
 * it answers no SR of ours, or cannot be true.
 */
int64_t rtpstat_round_trip(const struct rtcp_report *, uint64_t now_us);

#endif
