/* SPDX-License-Identifier: ISC */
/*
 * ed25519.h - strict verification of Ed25519 signatures.
 *
 * RFC 8032 leaves open what a verifier does with keys and signatures that no
 * signer makes, and libraries differ.  Two ends that judge one signature in
 * two ways are a fork, so there is one rule, and one place for it:
 *	S < L; A and R are the one encoding of their points; A is not of small
 *	order; the equation is taken without the cofactor.
 */
#ifndef CLAW_COMMON_ED25519_H
#define CLAW_COMMON_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ED25519_PUB_LEN 32
#define ED25519_SIG_LEN 64

/*
 * Whether somebody can own this key: it is written in the one right way and
 * its point is not one of the eight of small order, under which a signature
 * fits many messages.  (That it is a point at all is found on verification.)
 */
bool ed25519_pub_ok(const uint8_t pub[ED25519_PUB_LEN]);

/* 0, or -EKEYREJECTED for a signature or a key that does not do. */
int ed25519_verify(const uint8_t pub[ED25519_PUB_LEN], const void *msg,
    size_t len, const uint8_t sig[ED25519_SIG_LEN]);

#endif
