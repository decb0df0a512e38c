/* SPDX-License-Identifier: ISC */
/*
 * rtcp.h - RTCP packets, one at a time out of a compound one and into it
 * (RFC 3550 section 6).
 *
 * Ask rtcp_check() first: what is damaged anywhere is used nowhere. Compound
 * packets of reduced size are taken too (RFC 5506), so any type may be first.
 */
#ifndef CLAW_VOICED_RTCP_H
#define CLAW_VOICED_RTCP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

#define RTCP_COUNT_MAX 31 /* reports or sources of one packet: five bits */
#define RTCP_CNAME_MAX 255

enum rtcp_type {
	RTCP_SR = 200,
	RTCP_RR = 201,
	RTCP_SDES = 202,
	RTCP_BYE = 203
};

/* How one source is received (section 6.4.1). */
struct rtcp_report {
	uint32_t ssrc;
	uint8_t fraction; /* lost since the last report, in 1/256 */
	int32_t lost;	  /* of all, 24 bits; duplicates make it negative */
	uint32_t highest; /* extended sequence number */
	uint32_t jitter;  /* in samples */
	uint32_t lsr;	  /* middle of the last SR's NTP time, or 0 */
	uint32_t dlsr;	  /* since that SR came, in 1/65536 s */
};

struct rtcp {
	uint8_t type;  /* enum rtcp_type or another, which has no more */
	uint8_t count; /* of the array below that the type has */
	uint32_t ssrc; /* SR, RR: who says it; SDES: the first chunk's */
	/* SR */
	uint64_t ntp;
	uint32_t timestamp;
	uint32_t packets, bytes; /* sent, modulo 2^32 */
	/* SDES: CNAME of the first chunk, NULL if it has none */
	const uint8_t *cname;
	uint8_t cname_len;
	union {
		struct rtcp_report report[RTCP_COUNT_MAX]; /* SR, RR */
		uint32_t source[RTCP_COUNT_MAX];	   /* BYE */
	};
};

/* The whole of a compound packet: 0 or -EBADMSG. */
int rtcp_check(const uint8_t *, size_t len);

/*
 * The next packet of a compound one, r over what is left of it. 1, 0 at the
 * end, or -EBADMSG.
 */
int rtcp_next(struct rbuf *r, struct rtcp *);

/*
 * One packet. The length, -EINVAL for what cannot be said (a type that is
 * none of the four, counts and lost out of range, an SDES without CNAME), or
 * -ENOSPC.
 */
ssize_t rtcp_format(const struct rtcp *, uint8_t *out, size_t size);

#endif
