/* SPDX-License-Identifier: ISC */
/*
 * buf.h - bounded cursors for writing and reading fixed-width fields.
 *
 * Both kinds remember their first error, so that a run of calls is checked
 * once at its end. All integers are big-endian. Nothing is allocated.
 */
#ifndef CLAW_COMMON_BUF_H
#define CLAW_COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes into memory that the caller owns. */
struct wbuf {
	uint8_t *data;
	size_t size; /* bytes there are */
	size_t len;  /* bytes written */
	bool failed; /* something did not fit */
};

/* Reads from memory that the caller owns. */
struct rbuf {
	const uint8_t *data;
	size_t len; /* bytes left */
	bool failed;
};

void wbuf_init(struct wbuf *w, void *data, size_t size);
void wbuf_put(struct wbuf *w, const void *p, size_t n);
void wbuf_u8(struct wbuf *w, uint8_t v);
void wbuf_u16(struct wbuf *w, uint16_t v);
void wbuf_u32(struct wbuf *w, uint32_t v);
void wbuf_u64(struct wbuf *w, uint64_t v);
/* A u16 length, then the bytes. */
void wbuf_bytes(struct wbuf *w, const void *p, size_t n);

void rbuf_init(struct rbuf *r, const void *data, size_t len);
/* The next n bytes in place, or NULL. */
const uint8_t *rbuf_take(struct rbuf *r, size_t n);
uint8_t rbuf_u8(struct rbuf *r);
uint16_t rbuf_u16(struct rbuf *r);
uint32_t rbuf_u32(struct rbuf *r);
uint64_t rbuf_u64(struct rbuf *r);
/* A u16 length and that many bytes in place; *n is 0 on failure. */
const uint8_t *rbuf_bytes(struct rbuf *r, uint16_t *n);
/* True when nothing failed and nothing is left. */
bool rbuf_done(const struct rbuf *r);

#endif
