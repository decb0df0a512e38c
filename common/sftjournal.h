/* SPDX-License-Identifier: ISC */
/*
 * sftjournal.h - the journal of a partial file: which chunks are on the disk,
 * and with which values.
 *
 * A header of SFTJOURNAL_HEAD_LEN bytes, then records of
 * SFTJOURNAL_RECORD_LEN, each with a check that covers everything before it
 * (claw-protocol(7) has the layout).  What a crash has torn is found by that
 * and written over; nothing is cut off, so a descriptor, pread, pwrite and
 * fdatasync are enough.
 *
 * A journal is a hint: it can be older than the partial file, and whoever
 * wrote it may have been taken over.  A chunk counts when its bytes hash to
 * its value.
 *
 * Not for several threads at once: the caller has the lock.
 */
#ifndef CLAW_COMMON_SFTJOURNAL_H
#define CLAW_COMMON_SFTJOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/nodename.h"
#include "common/sftframe.h"

#define SFTJOURNAL_VERSION 1
#define SFTJOURNAL_HEAD_LEN 256
#define SFTJOURNAL_RECORD_LEN 64
#define SFTJOURNAL_BATCH_MAX 256 /* claims in one append */
/* Records that a file of n chunks can have; then it has to be begun anew. */
#define SFTJOURNAL_RECORDS_MAX(n) (UINT64_C(4) * (n) + 4096)

struct sftjournal_head {
	uint8_t id[SFT_ID_LEN];
	char sender[NODENAME_MAX + 1];
	char receiver[NODENAME_MAX + 1];
	uint8_t offer[32]; /* digest: sft_offer_digest() */
	uint64_t size;
	uint8_t chunk_log2;
	uint64_t epoch; /* of the first attempt, 1 to SFT_EPOCH_MAX */
};

struct sftjournal_claim {
	uint32_t index;
	uint8_t value[SFT_VALUE_LEN];
};

struct sftjournal;

/*
 * Write the header at the beginning of fd, an empty file, and sync it.  0,
 * -EINVAL (not a header), -EEXIST (not empty), or what the disk says.
 */
int sftjournal_create(int fd, const struct sftjournal_head *);

/*
 * The header alone.  0; -ENODATA: too short, so never completed; -EBADMSG:
 * none, or damaged; -EPROTONOSUPPORT: of another version; or what the disk
 * says.
 */
int sftjournal_peek(int fd, struct sftjournal_head *);

/*
 * Read all of it, up to the first record that is not whole; appending goes on
 * there.  fd stays the caller's and has to stay open.  As sftjournal_peek(),
 * or -ENOMEM: a bit and 32 bytes a chunk, of which the system gives the latter
 * as they are used.
 */
int sftjournal_open(int fd, struct sftjournal **);
/* Frees it (NULL is fine); writes nothing, closes nothing. */
void sftjournal_close(struct sftjournal *);

const struct sftjournal_head *sftjournal_head(const struct sftjournal *);
/* The latest epoch. */
uint64_t sftjournal_epoch(const struct sftjournal *);
uint64_t sftjournal_records(const struct sftjournal *);
/* Whether bytes were found behind the last whole record. */
bool sftjournal_torn(const struct sftjournal *);

/*
 * A new attempt begins: durable when it returns.  epoch is greater than the
 * latest; -EINVAL otherwise.  Other errors as sftjournal_sync().
 */
int sftjournal_bump(struct sftjournal *, uint64_t epoch);

/*
 * Claim n (1 to SFTJOURNAL_BATCH_MAX) chunks, whose bytes are durable, by one
 * write.  A later claim of a chunk replaces the earlier one.  -EINVAL (n, an
 * index), -EFBIG (SFTJOURNAL_RECORDS_MAX), or what the disk says: then nothing
 * is claimed, and the next append goes to the same place.
 */
int sftjournal_append(struct sftjournal *, const struct sftjournal_claim *,
    size_t n);
/*
 * Make appended claims durable.  An error is final: what was lost is not
 * known, so every later call fails with it too.
 */
int sftjournal_sync(struct sftjournal *);

/* --- what is claimed ---------------------------------------------------- */

uint32_t sftjournal_chunks(const struct sftjournal *);
uint32_t sftjournal_claimed(const struct sftjournal *); /* how many */
bool sftjournal_has(const struct sftjournal *, uint32_t index);
/* The claimed value, or NULL; stays until the journal is closed. */
const uint8_t *sftjournal_value(const struct sftjournal *, uint32_t index);
/*
 * Forget a claim whose bytes hash to something else.  In memory only: it is
 * found out again the next time, unless a new claim has replaced it.
 */
void sftjournal_drop(struct sftjournal *, uint32_t index);
/* For sft_have_format(): a bit a chunk. */
const uint8_t *sftjournal_bits(const struct sftjournal *);
/*
 * All values, one after the other; those of chunks that are not claimed mean
 * nothing.  For folding once sftjournal_claimed() is sftjournal_chunks().
 */
const uint8_t (*sftjournal_values(const struct sftjournal *))[SFT_VALUE_LEN];

#endif
