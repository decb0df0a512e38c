/* SPDX-License-Identifier: ISC */
/*
 * store.h - sftd's folder: small files that are durable when they are told of.
 *
 *	incoming/<id>/	what is not complete: partial.h
 *	receipts/	<id>.json, for good
 *	sent/		<digest of an offer>: what we know of having offered it
 */
#ifndef CLAW_SFTD_STORE_H
#define CLAW_SFTD_STORE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sftframe.h"

#define STORE_HEX_ID (2 * SFT_ID_LEN + 1)
#define STORE_SMALL_MAX 16384 /* bytes of any file that is read whole */

/*
 * The two folders of policy/descriptors.def; what is missing is made. 0 or
 * -errno. Descriptors stay the caller's.
 */
int store_open(int sft_dir, int files_dir);
void store_close(void);

int store_incoming(void);  /* descriptor of incoming/ */
int store_delivered(void); /* of the folder of files that are complete */

/* Bytes that a file may take now, a reserve left aside; 0: none. */
uint64_t store_room(void);

/* And how many files; UINT64_MAX where the file system does not count them. */
uint64_t store_inodes(void);

void store_hex(const uint8_t *p, size_t n, char *out);
/* Exactly n bytes as 2n lower-case digits. */
bool store_unhex(const char *text, uint8_t *out, size_t n);

/*
 * A file appears whole or not at all, in place of one that is there, and is
 * durable when this returns. 0 or -errno.
 */
int store_put(int dir, const char *name, const void *data, size_t len);
/* Reads at most size bytes, all there are. Their number, -EFBIG or -errno. */
ssize_t store_get(int dir, const char *name, void *out, size_t size);
/* As store_put(): it is gone. 0 also where it was not there. */
int store_drop(int dir, const char *name);

/* --- what was offered by us --------------------------------------------- */

/* The highest epoch seen of that offer; 0: none. */
uint64_t store_epoch(const uint8_t digest[32]);
/*
 * A receiver's answer: its id and epoch are kept. 0; -ESTALE: a later attempt
 * is known, or this one; or -errno.
 */
int store_epoch_set(const uint8_t digest[32], uint64_t epoch,
    const uint8_t id[SFT_ID_LEN]);
/* Forget offers that nobody has repeated for that long. */
void store_sweep_sent(uint64_t seconds);

/* --- receipts ------------------------------------------------------------ */

/*
 * Keep a receipt, which has been verified, as text. The offer, if it is that
 * which was sealed, goes with it. 0; -EEXIST: its id is that of another one,
 * which stays; or -errno. Repeating it does no harm.
 */
int store_receipt(const uint8_t *receipt, size_t len,
    const struct sft_offer *offer);
/* Its text: bytes, -ENOENT or -errno. */
ssize_t
store_receipt_text(const uint8_t id[SFT_ID_LEN], char *out, size_t size);

#endif
