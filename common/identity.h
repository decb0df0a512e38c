/* SPDX-License-Identifier: ISC */
/*
 * identity.h - a node's public key as people and configurations write it.
 *
 *	ed25519:<base64url without padding>
 *	did:key:z6Mk…            W3C did:key, multicodec 0xed01, base58btc
 *
 * Both are accepted wherever a key is typed.
 */
#ifndef CLAW_COMMON_IDENTITY_H
#define CLAW_COMMON_IDENTITY_H

#include <stdint.h>

#define IDENTITY_LEN 32
#define IDENTITY_TEXT_SIZE 64 /* of either form, with its NUL */

/* 0, or -EINVAL for what is neither, or not written in the one right way. */
int identity_parse(const char *text, uint8_t pub[IDENTITY_LEN]);

void
identity_text(const uint8_t pub[IDENTITY_LEN], char out[IDENTITY_TEXT_SIZE]);
void
identity_did(const uint8_t pub[IDENTITY_LEN], char out[IDENTITY_TEXT_SIZE]);

#endif
