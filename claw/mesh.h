/* SPDX-License-Identifier: ISC */
/*
 * mesh.h - what the verbs about other nodes and the registry share.
 */
#ifndef CLAW_CLAW_MESH_H
#define CLAW_CLAW_MESH_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "claw/api.h"
#include "claw/cmd.h"
#include "common/registry.h"
#include "common/ticket.h"

#define MESH_ASK_MS 15000
#define MESH_ORDER_MS 60000
#define MESH_REGISTRY_MAX (64u << 20) /* of an exported registry */

/*
 * Asks the configured node; takes params over. The result, which is the
 * caller's; NULL after saying why, with *status the exit status.
 */
json_t *mesh_ask(const struct cmd *c, const char *method, json_t *params,
    int timeout_ms, int *status);

/* Members of an answer; "?" and 0 where they are missing. */
const char *mesh_text(const json_t *o, const char *name);
long long mesh_number(const json_t *o, const char *name);
bool mesh_true(const json_t *o, const char *name);

/*
 * An update of the registry; takes operands over. Says what came of it: the
 * exit status, which is EXIT_NEGATIVE where more have to sign (the proposal is
 * printed then).
 */
int mesh_order(const struct cmd *c, const char *op, json_t *operands);
/*
 * Opens an invite as the flags of node:invite say: its ticket, which is a
 * secret, in t (zeroed before) and as text. The exit status.
 */
int
mesh_invite(const struct cmd *c, struct ticket *t, char text[TICKET_TEXT_MAX]);
/* The answer to an order or a signature; takes it over. */
int mesh_updated(const struct cmd *c, json_t *result);

/*
 * The node's registry, pulled and verified here, against the genesis that the
 * configuration pins. NULL after saying why; the caller frees it.
 */
struct registry *mesh_registry(const struct cmd *c, struct api *api,
    const struct conf *conf, int *status);
/* The same of an exported file, against a genesis hash that is known otherwise
 * (NULL: a usage error). */
struct registry *mesh_registry_file(const struct cmd *c, const char *path,
    const char *genesis, int *status);
/* Every line of an answer or a file: into r. NULL, or what is wrong. */
const char *mesh_take_lines(struct registry *r, const char *text, size_t len);

/*
 * The whole of a file, or of standard input for "-": a NUL behind it, the
 * caller frees it. NULL after saying why, with *status set.
 */
char *mesh_read(const struct cmd *c, const char *path, size_t max, size_t *len,
    int *status);

/* "30s", "10m", "24h", "90d" as seconds; false after saying that it is none,
 * or not from min to max. */
bool mesh_seconds(const struct cmd *c, enum cmd_flag f, const char *text,
    uint64_t min, uint64_t max, uint64_t *seconds);
/* "a,b" as a list of names, an empty one for NULL; NULL after saying why. */
json_t *mesh_names(const struct cmd *c, enum cmd_flag f, const char *list);
/* A hash of 64 digits, perhaps behind "sha256:". */
bool mesh_hash(const char *text, uint8_t out[32]);
/* Its 64 digits. */
void mesh_hex(const uint8_t hash[32], char out[65]);

/* A time as RFC 3339 in UTC. */
#define MESH_TIME_SIZE 32
const char *mesh_time(uint64_t seconds, char out[MESH_TIME_SIZE]);

#endif
