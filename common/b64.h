/* SPDX-License-Identifier: ISC */
/*
 * b64.h - strict base64 (RFC 4648 section 4, padded) and base64url (section 5,
 * without padding).
 *
 * There is exactly one accepted spelling of every byte string: no white space,
 * no missing or surplus padding, no set bits behind the last byte.  A signed
 * text that could be spelled in two ways would be two texts.
 */
#ifndef COMMON_B64_H
#define COMMON_B64_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Characters that n bytes become (no NUL counted). */
#define B64_LEN(n) (((n) + 2) / 3 * 4)
#define B64URL_LEN(n) (((n)*4 + 2) / 3)

/*
 * Encode len bytes into out, which holds size bytes, and end it with a NUL.
 * Return the number of characters without the NUL, or -ENOSPC.
 */
ssize_t b64_encode(const void *, size_t, char *out, size_t size);
ssize_t b64url_encode(const void *, size_t, char *out, size_t size);

/* Encode without a terminating NUL; out must hold B64_LEN(len) bytes. */
size_t b64_put(const void *, size_t len, char *out);

/*
 * Decode len characters into out, which holds size bytes.  Return the number
 * of bytes, -EINVAL for anything but the canonical spelling, or -ENOSPC.
 * With out NULL the text is only checked (and size ignored).
 */
ssize_t b64_decode(const char *, size_t len, void *out, size_t size);
ssize_t b64url_decode(const char *, size_t len, void *out, size_t size);

#endif /* COMMON_B64_H */
