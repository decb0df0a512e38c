/* SPDX-License-Identifier: ISC */
/*
 * buf.c - bounded cursors for writing and reading fixed-width fields.
 */
#include <endian.h>
#include <string.h>

#include "common/buf.h"

void
wbuf_init(struct wbuf *w, void *data, size_t size)
{
	w->data = data;
	w->size = size;
	w->len = 0;
	w->failed = false;
}

void
wbuf_put(struct wbuf *w, const void *p, size_t n)
{
	if (w->failed || n > w->size - w->len) {
		w->failed = true;
		return;
	}
	if (n > 0)
		memcpy(w->data + w->len, p, n);
	w->len += n;
}

void
wbuf_u8(struct wbuf *w, uint8_t v)
{
	wbuf_put(w, &v, sizeof(v));
}

void
wbuf_u16(struct wbuf *w, uint16_t v)
{
	v = htobe16(v);
	wbuf_put(w, &v, sizeof(v));
}

void
wbuf_u32(struct wbuf *w, uint32_t v)
{
	v = htobe32(v);
	wbuf_put(w, &v, sizeof(v));
}

void
wbuf_u64(struct wbuf *w, uint64_t v)
{
	v = htobe64(v);
	wbuf_put(w, &v, sizeof(v));
}

void
wbuf_bytes(struct wbuf *w, const void *p, size_t n)
{
	if (n > UINT16_MAX) {
		w->failed = true;
		return;
	}
	wbuf_u16(w, (uint16_t)n);
	wbuf_put(w, p, n);
}

void
rbuf_init(struct rbuf *r, const void *data, size_t len)
{
	r->data = data;
	r->len = len;
	r->failed = false;
}

const uint8_t *
rbuf_take(struct rbuf *r, size_t n)
{
	const uint8_t *p = r->data;

	if (r->failed || n > r->len) {
		r->failed = true;
		return NULL;
	}
	r->data += n;
	r->len -= n;
	return p;
}

uint8_t
rbuf_u8(struct rbuf *r)
{
	const uint8_t *p = rbuf_take(r, 1);

	return p == NULL ? 0 : *p;
}

uint16_t
rbuf_u16(struct rbuf *r)
{
	const uint8_t *p = rbuf_take(r, sizeof(uint16_t));
	uint16_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

uint32_t
rbuf_u32(struct rbuf *r)
{
	const uint8_t *p = rbuf_take(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

uint64_t
rbuf_u64(struct rbuf *r)
{
	const uint8_t *p = rbuf_take(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

const uint8_t *
rbuf_bytes(struct rbuf *r, uint16_t *n)
{
	const uint8_t *p;

	*n = rbuf_u16(r);
	p = rbuf_take(r, *n);
	if (p == NULL)
		*n = 0;
	return p;
}

bool
rbuf_done(const struct rbuf *r)
{
	return !r->failed && r->len == 0;
}
