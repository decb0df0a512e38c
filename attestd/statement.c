/* SPDX-License-Identifier: ISC */
/*
 * statement.c - the statements that keyd signs.
 *
 * Formats: claw-audit(5) for checkpoints and log keys, claw-registry(5) for
 * the genesis line.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "attestd/statement.h"
#include "common/b64.h"
#include "common/identity.h"
#include "common/note.h"

#define REGISTRY_PREFIX "claw/registry/v1"

int
statement_origin(const struct statement_node *node, const char *shard,
    char *out, size_t size)
{
	const uint8_t *g = node->genesis;
	int n;

	n = snprintf(out, size, "%02x%02x%02x%02x%02x%02x%02x%02x/%s/%s", g[0],
	    g[1], g[2], g[3], g[4], g[5], g[6], g[7], node->name, shard);
	return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}

static int
checkpoint_body(const struct statement_node *node, const char *shard,
    uint64_t size, const uint8_t root[32], char *body, size_t *len)
{
	struct note_checkpoint cp = { .size = size };
	ssize_t n;
	int r;

	r = statement_origin(node, shard, cp.origin, sizeof(cp.origin));
	if (r != 0)
		return r;
	memcpy(cp.root, root, sizeof(cp.root));
	n = note_checkpoint_format(&cp, body, NOTE_BODY_MAX);
	*len = n < 0 ? 0 : (size_t)n;
	return n < 0 ? (int)n : 0;
}

int
statement_checkpoint(const struct statement_node *node, const char *shard,
    uint64_t size, const uint8_t root[32], uint8_t sig[KEY_SIGNATURE_LEN])
{
	char body[NOTE_BODY_MAX];
	size_t len;
	int r;

	r = checkpoint_body(node, shard, size, root, body, &len);
	return r != 0 ? r : keystore_sign(KEY_LOG, body, len, sig);
}

bool
statement_checkpoint_ours(const struct statement_node *node, const char *shard,
    uint64_t size, const uint8_t root[32], const uint8_t sig[KEY_SIGNATURE_LEN])
{
	uint8_t pub[KEY_PUBLIC_LEN];
	char body[NOTE_BODY_MAX];
	size_t len;

	return checkpoint_body(node, shard, size, root, body, &len) == 0 &&
	    keystore_public(KEY_LOG, pub) == 0 &&
	    note_ed25519(pub, body, len, sig) == 0;
}

int
statement_log_key(const struct statement_node *node, const char *shard,
    const void *previous, size_t previous_len, uint8_t sig[KEY_SIGNATURE_LEN])
{
	uint8_t pub[KEY_PUBLIC_LEN], hash[32], text[NOTE_ENDORSE_MAX];
	char origin[NOTE_NAME_MAX + 1], vkey[NOTE_VKEY_MAX], prev[48] = "";
	struct note_vkey key;
	ssize_t n;
	int r;

	r = statement_origin(node, shard, origin, sizeof(origin));
	if (r == 0)
		r = keystore_public(KEY_LOG, pub);
	if (r == 0)
		r = note_vkey_make(&key, origin, NOTE_ED25519, pub);
	if (r != 0)
		return r;
	n = note_vkey_format(&key, vkey, sizeof(vkey));
	if (n < 0)
		return (int)n;
	if (previous_len > 0) {
		if (EVP_Digest(previous, previous_len, hash, NULL, EVP_sha256(),
			NULL) != 1 ||
		    b64_encode(hash, sizeof(hash), prev, sizeof(prev)) < 0)
			return -EIO;
	}
	n = note_endorse_statement(node->name, prev, shard, vkey, text,
	    sizeof(text));
	return n < 0 ? (int)n :
		       keystore_sign(KEY_IDENTITY, text, (size_t)n, sig);
}

int
statement_genesis(uint64_t time_s, uint32_t soft_s, uint32_t hard_s, char *line,
    size_t size)
{
	char text[640], kid[IDENTITY_TEXT_SIZE], sig64[96];
	uint8_t pub[KEY_PUBLIC_LEN], sig[KEY_SIGNATURE_LEN];
	size_t head = sizeof(REGISTRY_PREFIX);
	int n, r;

	r = keystore_public(KEY_AUTHORITY, pub);
	if (r != 0)
		return r;
	identity_text(pub, kid);
	/* The prefix with its NUL, then the update: keys sorted, no spaces. */
	memcpy(text, REGISTRY_PREFIX, head);
	n = snprintf(text + head, sizeof(text) - head,
	    "{\"authorities\":[\"%s\"],\"hard_s\":%" PRIu32
	    ",\"op\":\"genesis\",\"prev\":\"\",\"seq\":0,\"soft_s\":%" PRIu32
	    ",\"threshold\":1,\"time\":%" PRIu64 ",\"v\":1}",
	    kid, hard_s, soft_s, time_s);
	if (n < 0 || (size_t)n >= sizeof(text) - head)
		return -ENOSPC;
	r = keystore_sign(KEY_AUTHORITY, text, head + (size_t)n, sig);
	if (r != 0)
		return r;
	if (b64_encode(sig, sizeof(sig), sig64, sizeof(sig64)) < 0)
		return -ENOSPC;
	n = snprintf(line, size,
	    "{\"sigs\":[{\"kid\":\"%s\",\"sig\":\"%s\"}],\"u\":%s}", kid, sig64,
	    text + head);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}
