/* SPDX-License-Identifier: ISC */
/*
 * rehash.h - a file is read again before it is committed (sft.verify: disk).
 */
#ifndef CLAW_SFTD_REHASH_H
#define CLAW_SFTD_REHASH_H

#include <stdint.h>

struct rehash;

/*
 * Hashes size bytes of fd, which stays the caller's, piece by piece beside all
 * else. then() is called from the event loop: error is 0 or an errno,
 * negative; the rehash is gone by then.
 */
struct rehash *rehash_new(int fd, uint64_t size,
    void (*then)(void *arg, int error, const uint8_t root[32]), void *arg);
/* NULL is fine; nobody is called. */
void rehash_free(struct rehash *r);

#endif
