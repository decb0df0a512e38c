/* SPDX-License-Identifier: ISC */
/*
 * utf8.h - strict UTF-8 (RFC 3629): one character at a time.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decode the character at s, of which len > 0 bytes may be read.  Return its
 * length (1 to 4) and its code point, or 0 if these bytes are not UTF-8
 * (overlong, surrogate, beyond U+10FFFF, cut short).
 */
size_t utf8_next(const uint8_t *s, size_t len, uint32_t *cp);

#endif /* COMMON_UTF8_H */
