/* SPDX-License-Identifier: ISC */
/*
 * receipt.h - SEAL and RECEIPT: what the sender of a file signs when all of it
 * is over there, and what the receiver signs when it is on its disk under its
 * name.  A receipt has the seal in it, so that one file proves both.
 *
 * The bytes are in claw-protocol(7), the JSON in claw-receipt(5).
 */
#ifndef CLAW_COMMON_RECEIPT_H
#define CLAW_COMMON_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/nodename.h"
#include "common/sftframe.h"

/* A seal: all but the names has a fixed length. */
#define RECEIPT_SEAL_MAX (247 + 2 * NODENAME_MAX)
#define RECEIPT_MAX (162 + RECEIPT_SEAL_MAX)
#define RECEIPT_JSON_MAX 8192 /* of any receipt, with a NUL */

/* Who signs, and when. */
struct receipt_signer {
	char name[NODENAME_MAX + 1];
	uint64_t seq;	  /* its registry: last update, at most INT64_MAX */
	uint8_t head[32]; /* and its hash */
	uint64_t time_s;  /* its clock, since 1970, at most INT64_MAX */
	uint8_t key[32];  /* its identity */
	uint8_t sig[64];
};

struct receipt_seal {
	uint8_t id[SFT_ID_LEN];
	uint8_t offer[32]; /* sft_offer_digest() */
	uint8_t root[32];  /* BLAKE3 of the file */
	uint64_t size;	   /* at most INT64_MAX */
	struct receipt_signer sender;
	char receiver[NODENAME_MAX + 1]; /* another node */
};

struct receipt {
	struct receipt_seal seal;
	struct receipt_signer receiver; /* its name is the seal's */
};

/*
 * What is signed, and the whole thing, which is that and the signature.  The
 * length, -EINVAL for what the parser would not take, or -ENOSPC.
 */
ssize_t receipt_seal_signed(const struct receipt_seal *, uint8_t *, size_t);
ssize_t receipt_seal_format(const struct receipt_seal *, uint8_t *, size_t);
ssize_t receipt_signed(const struct receipt *, uint8_t *, size_t);
ssize_t receipt_format(const struct receipt *, uint8_t *, size_t);

/* Exactly one spelling; no signature is looked at.  0 or -EBADMSG. */
int receipt_seal_parse(const uint8_t *, size_t, struct receipt_seal *);
int receipt_parse(const uint8_t *, size_t, struct receipt *);

/*
 * Whether it is signed by this key, which the caller has from the registry,
 * and not from the seal.  0 or -EKEYREJECTED.
 */
int receipt_seal_verify(const struct receipt_seal *, const uint8_t key[32]);
/* The same for both signatures. */
int receipt_verify(const struct receipt *, const uint8_t sender[32],
    const uint8_t receiver[32]);

/*
 * Whether a seal is of this transfer: NULL, or what the first field that
 * differs is called.
 */
const char *
receipt_seal_differs(const struct receipt_seal *, const uint8_t id[SFT_ID_LEN],
    const uint8_t offer[32], const uint8_t root[32], uint64_t size,
    const char *sender, const char *receiver);

/* --- as a file: receipt_json.c, which needs jansson --------------------- */

/*
 * A receipt and, if it is known, the offer that its digest is of; that makes
 * the file's name part of what is signed.
 */
struct receipt_file {
	struct receipt receipt;
	bool has_offer;
	struct sft_offer offer; /* epoch, streams, dry: no part */
};

/*
 * The text with its newline and a NUL.  Its length, -EINVAL (no receipt, or
 * the offer is not the one that was sealed), -ENOMEM or -ENOSPC.
 */
ssize_t receipt_json_write(const struct receipt_file *, char *out, size_t size);

/*
 * 0, or -EBADMSG and why (never NULL then) for a person.  An offer that is
 * given is the one that was sealed; signatures are for receipt_verify().
 */
int receipt_json_read(const char *text, size_t len, struct receipt_file *,
    const char **why);

#endif
