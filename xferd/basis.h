/* SPDX-License-Identifier: ISC */
/*
 * basis.h - the receiving end: an earlier file of the same peer's, and what
 * its chunks were.
 *
 * sftd hands over the file, for reading, and the journal that it came with.
 * The journal is a hint, and somebody may have written to the file since: what
 * is copied is hashed on its way, as if it came from the peer.
 */
#ifndef CLAW_XFERD_BASIS_H
#define CLAW_XFERD_BASIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sftframe.h"

/* Before the transfer is taken. Which of the two fd is, which is taken over;
 * false: neither, or it is there. */
bool basis_take(uint8_t which, int fd);

/* When it is: of use, if both are there and fit this offer. */
void basis_begin(void);

/* For BASIS: values of chunks 0 to *n - 1. */
const uint8_t (*basis_values(uint32_t *n))[SFT_VALUE_LEN];

/* With the lock: the value of that chunk, as the peer was told; or NULL. */
const uint8_t *basis_value(uint32_t index);
/* With the lock: that is no more what it was. */
void basis_drop(uint32_t index);

/* n bytes at that place. False: they are not there any more. */
bool basis_read(uint8_t *buf, size_t n, uint64_t at);

#endif
