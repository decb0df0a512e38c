/* SPDX-License-Identifier: ISC */
/*
 * jitter.h - the buffer between a network that delivers when it likes and an
 * ear that wants a frame each 20 ms.
 *
 * It has no clock, no codec and no samples: packets and times go in, and out
 * comes what the decoder is to do next and by how many samples the frame is
 * to be made longer or shorter. Memory is the struct; nothing is allocated.
 *
 * How long packets wait. A packet's transit is its arrival minus its
 * timestamp: a number with an unknown zero, in which delay, jitter and the
 * drift of the two clocks are all there is. Playout is so long after the
 * timestamp that of the last 100 packets no more than two would have been too
 * late: a quantile of recent delays, as WebRTC's NetEq has it (its 95th of
 * the delay relative to the fastest packet of 2 s), but of the transit
 * itself, as speexdsp's buffer does, so that a drifting clock moves it and
 * needs no loop of its own. A frame that did not come is replaced by
 * concealment, and if packets were later than was thought the gap is made
 * longer at once, which costs nothing that was not lost already. Back to less
 * delay it goes by playing 0.8 % faster, which nobody hears, and in silence
 * by leaving silence out.
 */
#ifndef CLAW_VOICED_JITTER_H
#define CLAW_VOICED_JITTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "voiced/rtp.h"

/* 64 frames of 10 ms, the shortest that we send, are more than the delay. */
#define JITTER_SLOTS 64
#define JITTER_PAYLOAD_MAX 1472 /* of a datagram on Ethernet */
#define JITTER_WINDOW 100	/* packets that decide on the delay */
#define JITTER_DELAY_MAX (RTP_RATE * 2 / 5) /* 400 ms above the fast ones */
#define JITTER_STEP (RTP_RATE / 400)	    /* 2.5 ms: Opus' least frame */

enum jitter_kind {
	JITTER_FRAME,	/* decode data */
	JITTER_FEC,	/* lost: decode the copy of it that data may have */
	JITTER_CONCEAL, /* lost or late: the decoder invents */
	JITTER_COMFORT	/* silence: nothing was sent, nothing is lost */
};

struct jitter_out {
	enum jitter_kind kind;
	const uint8_t *data; /* FRAME, FEC: until the next put; else NULL */
	size_t len;
	unsigned int samples; /* to be decoded, a multiple of JITTER_STEP */
	int adjust; /* FRAME: make these so many more, or fewer; else 0 */
};

/* Since the beginning; samples unless another unit is said. */
struct jitter_stats {
	uint64_t frames;     /* packets played */
	uint64_t late;	     /* packets that came in vain */
	uint64_t duplicates; /* packets */
	uint64_t overflows;  /* packets thrown out by newer ones */
	uint64_t restarts;   /* times a stream began, the first too */
	uint64_t played, recovered, concealed, comfort;
	uint64_t added, taken; /* by adjust */
	int64_t delay;	       /* now, above the fastest of the window */
	int64_t drift_ppb;     /* > 0: the sender's clock is the slower one */
};

struct jitter_slot {
	int64_t ts;	      /* timestamp, unwrapped */
	unsigned int samples; /* that the packet holds; 0: the slot is free */
	uint16_t seq;
	size_t len;
	uint8_t data[JITTER_PAYLOAD_MAX];
};

struct jitter {
	bool started; /* a packet has come */
	uint32_t ssrc;
	int64_t pos;	/* what is to be played next */
	int64_t played; /* the end of the last frame played */
	uint16_t seq;	/* of that frame */
	bool quiet;	/* silence follows it; also before the first one */
	unsigned int samples; /* of a frame, the last one's */
	int64_t offset;	      /* play so long after the timestamp */

	int64_t newest;	    /* timestamp of the last packet that came */
	int64_t arrival;    /* and when */
	uint16_t top;	    /* the highest sequence number, */
	uint64_t seen;	    /* and which of those below it have come */
	bool jumped;	    /* the last packet was far off, */
	uint16_t jump_next; /* and this one after it is believed */

	int64_t transit[JITTER_WINDOW];
	unsigned int n_transit, next_transit;

	/* the drift: least transit of ten seconds, and of those before */
	int64_t block_start, block_min;
	int64_t last_start, last_min;
	unsigned int blocks;

	struct jitter_stats stats;
	struct jitter_slot slot[JITTER_SLOTS];
};

void jitter_init(struct jitter *);

/*
 * A packet of Opus has come; the payload is copied. 0; -EBADMSG for a payload
 * that is none of Opus' (RFC 6716 section 3.4, as far as the length of the
 * frame tells) or too long; -EEXIST for a duplicate; -ETIME for one that is
 * too late, -ESTALE for one that is of another time altogether: if the next
 * one follows it, the sender has begun anew, and so does the buffer.
 */
int jitter_put(struct jitter *, const struct rtp *, uint64_t arrival_us);

/*
 * What is to be played at that time, which is when the first of these samples
 * will be heard, by the clock of the arrivals: what is still queued before
 * them counts, and when the caller's thread woke does not. Afterwards samples
 * and adjust together are what it lasts.
 */
void jitter_get(struct jitter *, uint64_t play_us, struct jitter_out *);

/*
 * Samples at 48 kHz of an Opus packet (RFC 6716 section 3.1 and 3.2), 120 to
 * 5760, or -EBADMSG.
 */
int jitter_opus_samples(const uint8_t *, size_t len);

#endif
