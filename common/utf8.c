/* SPDX-License-Identifier: ISC */
/*
 * utf8.c - strict UTF-8 (RFC 3629).
 *
 * Owns nothing; bytes from anywhere may enter.
 */
#include "common/utf8.h"

/* Continuation bytes of a lead byte and the smallest code point they may
 * encode: anything below is an overlong form. */
static size_t
lead(uint8_t b, uint32_t *bits, uint32_t *least)
{
	if ((b & 0xe0) == 0xc0) {
		*bits = b & 0x1fu;
		*least = 0x80;
		return 1;
	}
	if ((b & 0xf0) == 0xe0) {
		*bits = b & 0x0fu;
		*least = 0x800;
		return 2;
	}
	if ((b & 0xf8) == 0xf0) {
		*bits = b & 0x07u;
		*least = 0x10000;
		return 3;
	}
	return 0;
}

size_t
utf8_next(const uint8_t *s, size_t len, uint32_t *cp)
{
	uint32_t c = 0, least = 0;
	size_t i, more;

	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	more = lead(s[0], &c, &least);
	if (more == 0 || more >= len)
		return 0;
	for (i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*cp = c;
	return more + 1;
}
