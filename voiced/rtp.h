/* SPDX-License-Identifier: ISC */
/*
 * rtp.h - RTP packets (RFC 3550), and which protocol a datagram is of when
 * STUN, DTLS, RTP and RTCP share a port (RFC 7983, RFC 5761).
 *
 * Bytes of a peer: SRTP is opened before they come here, but a peer that was
 * attested may lie all the same. Nothing is allocated or remembered.
 */
#ifndef CLAW_VOICED_RTP_H
#define CLAW_VOICED_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_RATE 48000	/* Hz: every clock here is Opus' (RFC 7587 4.1) */
#define RTP_HEAD_LEN 12 /* of what we send: no CSRC, no extension */

enum rtp_kind {
	RTP_KIND_NONE, /* dropped: of no protocol that is spoken here */
	RTP_KIND_STUN,
	RTP_KIND_DTLS,
	RTP_KIND_RTP,
	RTP_KIND_RTCP
};

struct rtp {
	bool marker;  /* first of a talkspurt */
	uint8_t type; /* payload type, 0 to 127 */
	uint16_t seq;
	uint32_t timestamp; /* in samples */
	uint32_t ssrc;
	const uint8_t *payload; /* in the bytes it was read from */
	size_t len;		/* without padding; may be 0 */
};

/*
 * By the first byte, RTCP by the second one too. What is shorter than the
 * shortest message of its protocol is of none.
 */
enum rtp_kind rtp_kind(const uint8_t *, size_t len);

/*
 * A whole packet, SRTP's tag taken off. CSRCs and extension are passed over:
 * there is no mixer, and no extension is negotiated. 0 or -EBADMSG.
 */
int rtp_parse(const uint8_t *, size_t len, struct rtp *);

/*
 * The head; the payload goes behind it. 0, or -EINVAL for a type that is none
 * or that RFC 5761 section 4 leaves to RTCP (64 to 95).
 */
int rtp_head_format(const struct rtp *, uint8_t out[RTP_HEAD_LEN]);

#endif
