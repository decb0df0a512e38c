/* SPDX-License-Identifier: ISC */
/*
 * rtcp.c - RTCP packets: sender and receiver reports, names, goodbyes.
 *
 * Bytes of a peer. Types that are none of ours are passed over by their
 * length: feedback, extended reports and APP are nothing that is asked for.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "voiced/rtcp.h"

#define VERSION 2
#define VERSION_SHIFT 6
#define PADDING 0x20
#define COUNT_MASK 0x1f
#define WORD 4
#define LOST_MAX 0x7fffff
#define LOST_MIN (-0x800000)

#define SDES_END 0
#define SDES_CNAME 1

static void
get_reports(struct rbuf *r, struct rtcp *p)
{
	struct rtcp_report *b;
	uint32_t lost;

	for (b = p->report; b < p->report + p->count; b++) {
		b->ssrc = rbuf_u32(r);
		lost = rbuf_u32(r);
		b->fraction = (uint8_t)(lost >> 24);
		lost &= 0xffffff;
		b->lost = (int32_t)lost - (lost > LOST_MAX ? 1 << 24 : 0);
		b->highest = rbuf_u32(r);
		b->jitter = rbuf_u32(r);
		b->lsr = rbuf_u32(r);
		b->dlsr = rbuf_u32(r);
	}
}

/* Items up to the one that ends them, which fills the chunk's last word. */
static void
get_chunk(struct rbuf *r, const uint8_t **cname, uint8_t *cname_len)
{
	const uint8_t *text;
	uint8_t type, len;

	while ((type = rbuf_u8(r)) != SDES_END) {
		len = rbuf_u8(r);
		text = rbuf_take(r, len);
		if (text != NULL && type == SDES_CNAME) {
			*cname = text;
			*cname_len = len;
		}
	}
	/* Packets are whole words: so much is left of this one. */
	rbuf_take(r, r->len % WORD);
}

static void
get_sdes(struct rbuf *r, struct rtcp *p)
{
	const uint8_t *other;
	uint8_t other_len;
	unsigned int i;

	for (i = 0; i < p->count && !r->failed; i++)
		if (i == 0) {
			p->ssrc = rbuf_u32(r);
			get_chunk(r, &p->cname, &p->cname_len);
		} else {
			rbuf_u32(r);
			get_chunk(r, &other, &other_len);
		}
}

static void
get_body(struct rbuf *r, struct rtcp *p)
{
	unsigned int i;

	switch (p->type) {
	case RTCP_SR:
		p->ssrc = rbuf_u32(r);
		p->ntp = rbuf_u64(r);
		p->timestamp = rbuf_u32(r);
		p->packets = rbuf_u32(r);
		p->bytes = rbuf_u32(r);
		get_reports(r, p);
		break;
	case RTCP_RR:
		p->ssrc = rbuf_u32(r);
		get_reports(r, p);
		break;
	case RTCP_SDES:
		get_sdes(r, p);
		break;
	case RTCP_BYE:
		for (i = 0; i < p->count; i++)
			p->source[i] = rbuf_u32(r);
		break;
	default:
		/* What its count means is not known. */
		p->count = 0;
	}
}

int
rtcp_next(struct rbuf *r, struct rtcp *p)
{
	struct rbuf body;
	const uint8_t *data;
	uint8_t bits;
	size_t len;

	if (r->len == 0)
		return r->failed ? -EBADMSG : 0;
	memset(p, 0, sizeof(*p));
	bits = rbuf_u8(r);
	p->type = rbuf_u8(r);
	p->count = bits & COUNT_MASK;
	len = (size_t)rbuf_u16(r) * WORD;
	data = rbuf_take(r, len);
	if (data == NULL || bits >> VERSION_SHIFT != VERSION)
		return -EBADMSG;
	if (bits & PADDING) {
		/* Whole words, and of the last packet alone (6.4.1). */
		if (r->len != 0 || len == 0 || data[len - 1] == 0 ||
		    data[len - 1] % WORD != 0 || data[len - 1] > len)
			return -EBADMSG;
		len -= data[len - 1];
	}
	rbuf_init(&body, data, len);
	get_body(&body, p);
	/* What is left is the extension of a profile, or BYE's reason. */
	return body.failed ? -EBADMSG : 1;
}

int
rtcp_check(const uint8_t *data, size_t len)
{
	struct rtcp p;
	struct rbuf r;
	int rc;

	if (len == 0)
		return -EBADMSG;
	rbuf_init(&r, data, len);
	while ((rc = rtcp_next(&r, &p)) > 0)
		;
	return rc;
}

static bool
can_be_said(const struct rtcp *p)
{
	unsigned int i;

	if (p->type == RTCP_SDES)
		return p->count == 1 && p->cname != NULL;
	if (p->type < RTCP_SR || p->type > RTCP_BYE ||
	    p->count > RTCP_COUNT_MAX)
		return false;
	if (p->type == RTCP_BYE)
		return true;
	for (i = 0; i < p->count; i++)
		if (p->report[i].lost < LOST_MIN ||
		    p->report[i].lost > LOST_MAX)
			return false;
	return true;
}

static void
put_report(struct wbuf *w, const struct rtcp_report *b)
{
	wbuf_u32(w, b->ssrc);
	wbuf_u32(w,
	    (uint32_t)b->fraction << 24 | ((uint32_t)b->lost & 0xffffff));
	wbuf_u32(w, b->highest);
	wbuf_u32(w, b->jitter);
	wbuf_u32(w, b->lsr);
	wbuf_u32(w, b->dlsr);
}

static void
put_body(struct wbuf *w, const struct rtcp *p)
{
	unsigned int i;

	if (p->type != RTCP_BYE)
		wbuf_u32(w, p->ssrc);
	if (p->type == RTCP_SR) {
		wbuf_u64(w, p->ntp);
		wbuf_u32(w, p->timestamp);
		wbuf_u32(w, p->packets);
		wbuf_u32(w, p->bytes);
	}
	if (p->type == RTCP_SDES) {
		wbuf_u8(w, SDES_CNAME);
		wbuf_u8(w, p->cname_len);
		wbuf_put(w, p->cname, p->cname_len);
		/* One end at least, then to the word. */
		do
			wbuf_u8(w, SDES_END);
		while (!w->failed && w->len % WORD != 0);
		return;
	}
	for (i = 0; i < p->count; i++)
		if (p->type == RTCP_BYE)
			wbuf_u32(w, p->source[i]);
		else
			put_report(w, &p->report[i]);
}

ssize_t
rtcp_format(const struct rtcp *p, uint8_t *out, size_t size)
{
	struct wbuf w, head;

	if (!can_be_said(p))
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_u32(&w, 0); /* the head, when the length is known */
	put_body(&w, p);
	if (w.failed)
		return -ENOSPC;
	wbuf_init(&head, out, WORD);
	wbuf_u8(&head, (uint8_t)(VERSION << VERSION_SHIFT | p->count));
	wbuf_u8(&head, p->type);
	wbuf_u16(&head, (uint16_t)(w.len / WORD - 1));
	return (ssize_t)w.len;
}
