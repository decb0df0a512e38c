/* SPDX-License-Identifier: ISC */
/*
 * fuzz_rtp.c - datagrams of a peer: RTP, RTCP, and what is counted of them.
 *
 * What is read lies within the datagram; what is written of it is read as the
 * same; and a report that we make of anything can be sent.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "voiced/rtcp.h"
#include "voiced/rtp.h"
#include "voiced/rtpstat.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
read_rtp(struct rtpstat_in *in, const uint8_t *data, size_t len, uint64_t us)
{
	uint8_t head[RTP_HEAD_LEN];
	struct rtp p, q;

	if (rtp_parse(data, len, &p) != 0)
		return;
	if (p.payload < data + RTP_HEAD_LEN || p.payload + p.len > data + len)
		abort();
	(void)rtpstat_received(in, &p, us);
	if (rtp_head_format(&p, head) != 0)
		return;
	if (rtp_kind(head, sizeof(head)) != RTP_KIND_RTP ||
	    rtp_parse(head, sizeof(head), &q) != 0 || q.marker != p.marker ||
	    q.type != p.type || q.seq != p.seq || q.timestamp != p.timestamp ||
	    q.ssrc != p.ssrc)
		abort();
}

/* It came through rtcp_check(), so it can be said, or is of no use to us. */
static void
say_again(const struct rtcp *p)
{
	static uint8_t out[1024], again[1024];
	struct rtcp q;
	struct rbuf r;
	ssize_t n = rtcp_format(p, out, sizeof(out));

	if (n < 0) {
		if (p->type == RTCP_SR || p->type == RTCP_RR ||
		    p->type == RTCP_BYE)
			abort();
		return;
	}
	rbuf_init(&r, out, (size_t)n);
	if (rtcp_next(&r, &q) != 1 || r.len != 0 ||
	    rtcp_format(&q, again, sizeof(again)) != n ||
	    memcmp(out, again, (size_t)n) != 0)
		abort();
}

static void
read_rtcp(struct rtpstat_in *in, const uint8_t *data, size_t len, uint64_t us)
{
	struct rtcp p;
	struct rbuf r;
	unsigned int i;

	if (rtcp_check(data, len) != 0)
		return;
	rbuf_init(&r, data, len);
	while (rtcp_next(&r, &p) > 0) {
		if (p.cname != NULL &&
		    (p.cname < data || p.cname + p.cname_len > data + len))
			abort();
		if (p.type == RTCP_SR)
			rtpstat_sr(in, &p, us);
		if (p.type == RTCP_SR || p.type == RTCP_RR)
			for (i = 0; i < p.count; i++)
				(void)rtpstat_round_trip(&p.report[i], us);
		say_again(&p);
	}
	if (r.len != 0)
		abort();
}

/* Datagrams, each after two bytes of time and two of its length. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rtpstat_in in;
	struct rtcp rr = { .type = RTCP_RR, .count = 1 };
	const uint8_t *datagram;
	uint64_t us = 0;
	uint16_t n;
	struct rbuf r;

	rtpstat_in_init(&in, 1);
	rbuf_init(&r, data, len);
	while (r.len > 0) {
		us += (uint64_t)rbuf_u16(&r) * 1000;
		datagram = rbuf_bytes(&r, &n);
		if (datagram == NULL)
			break;
		(void)rtp_kind(datagram, n);
		read_rtp(&in, datagram, n, us);
		read_rtcp(&in, datagram, n, us);
		rtpstat_report(&in, us, &rr.report[0]);
		say_again(&rr);
	}
	return 0;
}
