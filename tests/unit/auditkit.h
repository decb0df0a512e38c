/* SPDX-License-Identifier: ISC */
/*
 * auditkit.h - shards with keys of their own for the tests of the audit log.
 */
#ifndef TESTS_AUDITKIT_H
#define TESTS_AUDITKIT_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "auditd/shard.h"
#include "common/note.h"

#define KIT_BOOT "00000000-1111-2222-3333-444444444444"
#define KIT_TS INT64_C(1795258800000) /* 2026-11-21T11:00:00Z */

struct kit_key {
	EVP_PKEY *pkey;
	uint8_t pub[32];
};

/* The key whose 32-byte seed is `seed` repeated. */
void kit_key(struct kit_key *, uint8_t seed);
void kit_key_free(struct kit_key *);
void kit_sign(const struct kit_key *, const void *, size_t, uint8_t sig[64]);

/* A new directory on a memory file system where there is one. */
void kit_tmpdir(char *buf, size_t size);
/* Remove a tree, by path. */
void kit_rmtree(const char *path);
void kit_read_file(const char *path, char **data, size_t *len);
void kit_write_file(const char *path, const void *data, size_t len);

struct kit_node {
	char dir[256]; /* audit directory */
	int fd;
	struct kit_key identity;
	struct kit_key log; /* of the shard opened last */
	struct note_vkey vkey;
	char vkey_text[NOTE_VKEY_MAX];
	char identity_text[80]; /* ed25519:... */
	char note[4096];	/* last checkpoint */
	size_t note_len;
	char expect[80]; /* of the last checkpoint */
};

void kit_node(struct kit_node *);
void kit_node_free(struct kit_node *); /* removes the directory */
/* Open (or open again) a shard; a new one gets its first line, committed. */
struct shard *
kit_open(struct kit_node *, const char *name, struct shard_report *);
/* Append one line of some variety; `i` varies it. */
void kit_append(struct shard *, uint64_t i);
/* The same, as short as a line can be. */
void kit_append_short(struct shard *, uint64_t i);
/* Append n lines and commit. */
void kit_fill(struct shard *, uint64_t n);
/* Sign and publish a checkpoint of what is committed. */
int kit_checkpoint(struct kit_node *, struct shard *);
/* The note of a checkpoint of the shard at a size, not published. */
void kit_note(struct kit_node *, const struct shard *, uint64_t size);

#endif
