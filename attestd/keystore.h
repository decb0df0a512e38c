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

#include "common/recovery.h"

#define KEY_PUBLIC_LEN 32
#define KEY_SIGNATURE_LEN 64
#define KEYSTORE_SEALED_LEN 61 /* version, nonce, seed, tag */

enum key_id {
	KEY_IDENTITY,	 /* Ed25519: who this node is */
	KEY_SEALING,	 /* X25519: what is sealed to this node */
	KEY_AUTHORITY,	 /* Ed25519: the registry's; only while a permit is */
	KEY_FRESH,	 /* Ed25519: an authority's daily word that it lives */
	KEY_LOG,	 /* Ed25519: checkpoints of the open shard */
	KEY_REVEALED,	 /* Ed25519: the identity to be, during a rotation */
	KEY_NEW_SEALING, /* X25519: beside it */
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

/* --- rotation (keystore_next.c) ------------------------------------------ */

/*
 * A next identity key, written to fd sealed by a recovery code that is made
 * for it. The code in words; the caller wipes it.
 */
int keystore_create_next(int fd, char code[RECOVERY_TEXT_SIZE]);

/* Reads from such a file which key it commits to; that needs no code. */
int keystore_note_next(int fd);

/* regupdate_next_hash() of the next key made or noted last; -ENOKEY: none. */
int keystore_next(uint8_t hash[32]);

/*
 * Opens the file of the next key. It becomes KEY_REVEALED once
 * keystore_write_revealed() has written it to a new node.key, with a new
 * sealing key beside it. -EACCES: not by this code; -EINVAL: *word as
 * recovery_parse() says; -EBADMSG: damaged, or no such file.
 */
int keystore_reveal(int fd, const char *code, unsigned int *word);
int keystore_rotate_key(int fd);
/* Another next key, sealed by the same code. Ends what reveal began. */
int keystore_rotate_next(int fd);
/* Nothing is revealed, and no code is known, any more. */
void keystore_rotate_end(void);

/* KEY_REVEALED and KEY_NEW_SEALING, of a file of keystore_rotate_key(). */
int keystore_load_revealed(int fd);
/* They take the place of those before, which are forgotten. -ENOKEY. */
int keystore_take_revealed(void);

/* 0, or -ENOKEY. */
int keystore_public(enum key_id id, uint8_t out[KEY_PUBLIC_LEN]);

/* PureEd25519 over exactly these bytes. Called by statement.c only. */
int keystore_sign(enum key_id id, const void *msg, size_t len,
    uint8_t sig[KEY_SIGNATURE_LEN]);

#endif
