/* SPDX-License-Identifier: ISC */
/*
 * statement.h - the statements that keyd signs, each built here from typed
 * fields.
 *
 * Nothing signs bytes that came from outside: a caller names values, and this
 * room decides what they look like, under which prefix, and by which key.
 * All return 0 or -errno.
 */
#ifndef CLAW_ATTESTD_STATEMENT_H
#define CLAW_ATTESTD_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attestd/keystore.h"
#include "common/evidence.h"
#include "common/join.h"
#include "common/msg.h"
#include "common/receipt.h"
#include "common/regupdate.h"
#include "common/token.h"

/* Who this node is; set from the configuration before anything is signed. */
struct statement_node {
	char name[64];
	uint8_t genesis[32];
};

/* "<16 hex of genesis>/<node>/<shard>": the log's origin. */
int statement_origin(const struct statement_node *node, const char *shard,
    char *out, size_t size);

/* A checkpoint's body (C2SP tlog-checkpoint), signed by the log key. */
int statement_checkpoint(const struct statement_node *node, const char *shard,
    uint64_t size, const uint8_t root[32], uint8_t sig[KEY_SIGNATURE_LEN]);

/* Whether the open log key has signed exactly that checkpoint. */
bool statement_checkpoint_ours(const struct statement_node *node,
    const char *shard, uint64_t size, const uint8_t root[32],
    const uint8_t sig[KEY_SIGNATURE_LEN]);

/* The open log key, endorsed by the identity (claw-audit(5)). */
int statement_log_key(const struct statement_node *node, const char *shard,
    const void *previous, size_t previous_len, uint8_t sig[KEY_SIGNATURE_LEN]);

/*
 * A leaf certificate (evidence.h): name and dates are filled in here. Its
 * length, or negative.
 */
ssize_t statement_leaf(const struct statement_node *node, struct evidence *ev,
    uint8_t *out, size_t size);

/*
 * JOIN (join.h): this node, reached at these addresses, asks to be registered,
 * with the ticket's key and its own. Length of the body, or negative.
 */
ssize_t statement_join(const struct statement_node *node,
    const struct netaddr_list *at, const uint8_t *seed,
    const struct join_binding *binding, uint8_t *out, size_t size);

/* A request to join by file (joinreq.h). */
int statement_request(const char *node, const struct netaddr_list *at,
    uint8_t sig[KEY_SIGNATURE_LEN]);

/* An update of the registry, by the authority key or the key for `fresh`. */
int statement_update(const struct registry_update *u,
    struct registry_signature *out);

/*
 * The line of the rotation that is under way, without newline: signed by the
 * identity that it reveals, and by the present one. Length, or negative.
 */
ssize_t statement_rotation(const struct statement_node *node, uint64_t ksn,
    const uint8_t prev[32], char *line, size_t size);

/*
 * The same for keys that are the node's already, the ones before being lost:
 * signed by the identity that it reveals, alone.
 */
ssize_t statement_reveal(const struct statement_node *node, uint64_t ksn,
    const uint8_t prev[32], char *line, size_t size);

/* A token over these claims; iss, sub, iat and jti are filled in here. */
ssize_t statement_token(struct token_claims *claims, uint32_t seconds,
    char *out, size_t size);

/*
 * A seal and a receipt (receipt.h): the name, the time and the key of who
 * signs are filled in here. Length, or negative.
 */
ssize_t statement_seal(const struct statement_node *node,
    struct receipt_seal *seal, uint8_t *out, size_t size);
ssize_t statement_receipt(struct receipt *r, uint8_t *out, size_t size);

/*
 * The first two lines of a registry: one authority, threshold 1, and this
 * node with every capability; signed by the authority key. Length of both
 * with their newlines, or -errno.
 */
int
statement_genesis(const struct msg_GENESIS_SIGN *m, char *lines, size_t size);

#endif
