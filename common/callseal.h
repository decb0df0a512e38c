/* SPDX-License-Identifier: ISC */
/*
 * callseal.h - who can read the messages of a call: OFFER and ANSWER are
 * sealed to a node's sealing key, all later ones are under the call's own.
 *
 *	box	r's public half || AEAD(k, 0, text)
 *		k = HKDF(X25519(r, S), R || S, "claw/call-seal/v1")
 *		r: made for this one box; S: the sealing key
 *	frame	u64 number || AEAD(k, number, text)
 *		k, k' = HKDF(X25519(e_a, e_b), SHA-256 of OFFER || of ANSWER,
 *		"claw/call/v1"): the caller's key, then the callee's
 *
 * HKDF (RFC 5869) with SHA-256: secret, salt, info. The AEAD is
 * ChaCha20-Poly1305 (RFC 8439): messages are short and few, so speed does not
 * choose; it takes the same time for every key on processors without AES
 * instructions too, and keyd has it already. Its additional data is the
 * message's head and, of a frame, the number. A secret of zeros, which a third
 * party can bring about and know, is refused (RFC 7748, 6.1).
 *
 * A sealing key stays in keyd: callseal_box_key() is its part, and who opens
 * the box has a key that opens this box only. Randomness comes in as an
 * argument. Needs libcrypto alone.
 */
#ifndef CLAW_COMMON_CALLSEAL_H
#define CLAW_COMMON_CALLSEAL_H

#include <openssl/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/call.h"

#define CALLSEAL_KEY_LEN 32
#define CALLSEAL_TAG_LEN 16
#define CALLSEAL_BOX_MORE (32 + CALLSEAL_TAG_LEN) /* than the text */
#define CALLSEAL_FRAME_MORE (8 + CALLSEAL_TAG_LEN)

/* One end's view of the keys; callseal_clear() when the call is over. */
struct callseal {
	uint8_t out_key[CALLSEAL_KEY_LEN];
	uint8_t in_key[CALLSEAL_KEY_LEN];
	uint64_t out; /* number of the next one */
	uint64_t in;  /* the lowest that is still taken */
};

/* The public half of 32 random bytes as an X25519 key. 0 or -EIO. */
int callseal_share(const uint8_t secret[32], uint8_t share[32]);

/*
 * A box for the owner of `to`. secret: 32 random bytes, for this call of the
 * function alone; who calls wipes them. The length; -EKEYREJECTED: nobody can
 * own that key; -ENOSPC, -EIO.
 */
ssize_t callseal_box(const uint8_t secret[32], const uint8_t to[32],
    const uint8_t head[CALL_HEAD_LEN], const void *text, size_t len,
    uint8_t *out, size_t size);

/*
 * The key of a box, from the sealing key and the box's first 32 bytes.
 * 0, -EKEYREJECTED or -EIO. The key is all zero unless 0.
 */
int callseal_box_key(EVP_PKEY *own, const uint8_t ephemeral[32],
    uint8_t key[CALLSEAL_KEY_LEN]);

/* Its text; the length, -EBADMSG (not made for this key and head), -ENOSPC. */
ssize_t callseal_box_open(const uint8_t key[CALLSEAL_KEY_LEN],
    const uint8_t head[CALL_HEAD_LEN], const uint8_t *box, size_t len,
    uint8_t *out, size_t size);

/*
 * The call's keys. secret: own, of the share that was sent; theirs: the share
 * that came; the hashes of OFFER and ANSWER. 0, -EKEYREJECTED or -EIO, and
 * then there are no keys in it.
 */
int callseal_start(struct callseal *, bool caller, const uint8_t secret[32],
    const uint8_t theirs[32], const uint8_t offer[32],
    const uint8_t answer[32]);

/* The length, -ENOSPC, -EOVERFLOW (2^64 - 1 frames), -EIO. */
ssize_t callseal_frame(struct callseal *, const uint8_t head[CALL_HEAD_LEN],
    const void *text, size_t len, uint8_t *out, size_t size);

/*
 * The length of the text; -EBADMSG: not from the other end; -EALREADY: its
 * number is no higher than one that was opened. One that is missing is no
 * error: who can drop it can drop all. Nothing changes unless it opens.
 */
ssize_t
callseal_frame_open(struct callseal *, const uint8_t head[CALL_HEAD_LEN],
    const uint8_t *frame, size_t len, uint8_t *out, size_t size);

void callseal_clear(struct callseal *);

#endif
