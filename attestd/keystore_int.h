/* SPDX-License-Identifier: ISC */
/*
 * keystore_int.h - what the rooms of the keystore share, and nobody else has.
 */
#ifndef CLAW_ATTESTD_KEYSTORE_INT_H
#define CLAW_ATTESTD_KEYSTORE_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attestd/keystore.h"

#define SEED_LEN 32
#define MAGIC_LEN 8

/* Keeps a key that is made of this seed. 0 or -EINVAL. */
int keystore_set(enum key_id id, const uint8_t seed[SEED_LEN]);
/* Whole, or -errno. */
int keystore_write(int fd, const uint8_t *p, size_t n);
int keystore_digest(const uint8_t *p, size_t n, uint8_t out[32]);
void keystore_wipe_stack(void);

/* A node.key of this identity and a new sealing key, which become
 * KEY_REVEALED and KEY_NEW_SEALING. */
int keystore_write_revealed(int fd, const uint8_t seed[SEED_LEN]);

/* A seed into KEYSTORE_SEALED_LEN bytes or back, under a key that follows
 * from a secret by HKDF. -EBADMSG: not sealed by it. */
int keystore_seal_by(bool encrypt, uint8_t *secret, size_t secret_len,
    const uint8_t *salt, size_t salt_len, const char *label, uint8_t *sealed,
    uint8_t *seed);

#endif
