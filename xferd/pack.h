/* SPDX-License-Identifier: ISC */
/*
 * pack.h - the sending end: whether a stream compresses what it sends.
 *
 * Each stream measures for itself what a mebibyte takes to leave it, as it is
 * and compressed, all told: compressing, waiting for the network, waiting for
 * the rate. It does what takes less. Where bytes leave as fast as they come
 * nothing is tried, so that a fast link is not slowed down; where they do not
 * compress it is tried ever less often.
 */
#ifndef CLAW_XFERD_PACK_H
#define CLAW_XFERD_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sftblock.h"

struct pack;

/* room: bytes in front of a block and behind it for who sends. */
struct pack *pack_new(bool allowed, size_t before, size_t behind);
void pack_free(struct pack *p);

/* A chunk begins: whether it goes in blocks, stored or not. */
bool pack_begin(struct pack *p);

/*
 * A block of n bytes: what of it is to be sent, *len of it, with the room of
 * pack_new() around it. `in` itself, where it stays as it is.
 */
uint8_t *pack_block(struct pack *p, uint8_t *in, size_t n, size_t *len);

/* That many bytes of the file have left, which took so long. */
void pack_sent(struct pack *p, size_t n, uint64_t ns);

#endif
