/* SPDX-License-Identifier: ISC */
/*
 * rtp.c - RTP packets, and which protocol a datagram is of.
 */
#include <errno.h>

#include "common/buf.h"
#include "voiced/rtp.h"

#define VERSION 2
#define VERSION_SHIFT 6
#define PADDING 0x20
#define EXTENSION 0x10
#define CSRC_COUNT 0x0f
#define MARKER 0x80
#define TYPE_MASK 0x7f

#define STUN_HEAD_LEN 20
#define RTCP_HEAD_LEN 8 /* with the SSRC, which SRTCP leaves in the clear */

enum rtp_kind
rtp_kind(const uint8_t *p, size_t len)
{
	if (len == 0)
		return RTP_KIND_NONE;
	if (p[0] <= 3)
		return len >= STUN_HEAD_LEN ? RTP_KIND_STUN : RTP_KIND_NONE;
	if (p[0] >= 20 && p[0] <= 63)
		return RTP_KIND_DTLS;
	if (p[0] < 128 || p[0] > 191 || len < RTCP_HEAD_LEN)
		return RTP_KIND_NONE;
	if (p[1] >= 192 && p[1] <= 223)
		return RTP_KIND_RTCP;
	return len >= RTP_HEAD_LEN ? RTP_KIND_RTP : RTP_KIND_NONE;
}

int
rtp_parse(const uint8_t *p, size_t len, struct rtp *out)
{
	struct rbuf r;
	uint8_t bits, type, padding;

	rbuf_init(&r, p, len);
	bits = rbuf_u8(&r);
	type = rbuf_u8(&r);
	out->marker = (type & MARKER) != 0;
	out->type = type & TYPE_MASK;
	out->seq = rbuf_u16(&r);
	out->timestamp = rbuf_u32(&r);
	out->ssrc = rbuf_u32(&r);
	rbuf_take(&r, (size_t)(bits & CSRC_COUNT) * 4);
	if (bits & EXTENSION) {
		rbuf_u16(&r);
		rbuf_take(&r, (size_t)rbuf_u16(&r) * 4);
	}
	if (r.failed || bits >> VERSION_SHIFT != VERSION)
		return -EBADMSG;
	out->payload = r.data;
	out->len = r.len;
	if (bits & PADDING) {
		padding = r.len > 0 ? r.data[r.len - 1] : 0;
		if (padding == 0 || padding > r.len)
			return -EBADMSG;
		out->len -= padding;
	}
	return 0;
}

int
rtp_head_format(const struct rtp *in, uint8_t out[RTP_HEAD_LEN])
{
	struct wbuf w;

	if (in->type > TYPE_MASK || (in->type >= 64 && in->type <= 95))
		return -EINVAL;
	wbuf_init(&w, out, RTP_HEAD_LEN);
	wbuf_u8(&w, VERSION << VERSION_SHIFT);
	wbuf_u8(&w, (uint8_t)(in->type | (in->marker ? MARKER : 0)));
	wbuf_u16(&w, in->seq);
	wbuf_u32(&w, in->timestamp);
	wbuf_u32(&w, in->ssrc);
	return 0;
}
