/* SPDX-License-Identifier: ISC */
/*
 * keystore.h - the node's private keys, in locked memory, in keyd alone.
 *
 * Owns every secret of the node. A key is named by enum key_id; no function
 * gives a private key out. Files are written and read through descriptors
 * that clawd opened; their form is claw-keyd(8), FILES.
 */
#ifndef CLAW_ATTESTD_KEYSTORE_H
#define CLAW_ATTESTD_KEYSTORE_H

#include <stddef.h>
#include <stdint.h>

#define KEY_PUBLIC_LEN 32
#define KEY_SIGNATURE_LEN 64
#define KEYSTORE_SEALED_LEN 61 /* version, nonce, seed, tag */

enum key_id {
	KEY_IDENTITY,  /* Ed25519: who this node is */
	KEY_SEALING,   /* X25519: what is sealed to this node */
	KEY_AUTHORITY, /* Ed25519: the registry's; only while a permit is */
	KEY_FRESH,     /* Ed25519: an authority's daily word that it lives */
	KEY_LOG,       /* Ed25519: checkpoints of the open shard */
	KEY_MAX
};

/* Locked memory for all that follows. Fatal if it cannot be had. */
void keystore_init(void);

/* New identity, sealing and wrapping keys, written to fd. 0 or -errno. */
int keystore_create(int fd);

/* The keys of a file that keystore_create() wrote. 0, -EBADMSG, -errno. */
int keystore_load(int fd);

/* A new authority key, wrapped, written to fd; usable until forgotten. */
int keystore_create_authority(int fd);

/* The authority key of such a file. -EBADMSG: not one of this node. */
int keystore_load_authority(int fd);

/* A new log key; sealed for the shard of that name into out. */
int keystore_create_log(const char *shard, uint8_t out[KEYSTORE_SEALED_LEN]);

/* Opens a sealed log key. -EBADMSG: not sealed here, or for this shard. */
int keystore_open_log(const char *shard, const uint8_t *sealed, size_t len);

void keystore_forget(enum key_id id);

/* 0, or -ENOKEY. */
int keystore_public(enum key_id id, uint8_t out[KEY_PUBLIC_LEN]);

/* PureEd25519 over exactly these bytes. Called by statement.c only. */
int keystore_sign(enum key_id id, const void *msg, size_t len,
    uint8_t sig[KEY_SIGNATURE_LEN]);

#endif
