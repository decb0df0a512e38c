/* SPDX-License-Identifier: ISC */
/*
 * msg.h - the messages of policy/messages.def as C: numbers, bodies, codec.
 *
 * A packet on a channel is a header of 12 bytes (type u16, flags u16 that
 * must be 0, body length u32, request id u32, big-endian), then the body.
 * Each message NAME gives
 *	MSG_NAME                  its number
 *	struct msg_NAME           its fields
 *	msg_put_NAME(w, m)        writes the body
 *	msg_get_NAME(r, m)        reads it; false unless exactly that is there
 * STR(f, max) is `char f[max + 1]`; BYTES(f, max) is `const uint8_t *f` and
 * `uint16_t f_len`, pointing into the packet when read.
 */
#ifndef CLAW_COMMON_MSG_H
#define CLAW_COMMON_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/proc.h"

#define MSG_HEADER_LEN 12
#define MSG_MAX_LEN 32768 /* of a whole packet */

enum msg_type {
	MSG_NONE = 0,
#define MSG(name, number, ...) MSG_##name = (number),
#include "policy/messages.def"
};

#define MSG(name, ...) struct msg_##name {
#define U8(f) uint8_t f;
#define U16(f) uint16_t f;
#define U32(f) uint32_t f;
#define U64(f) uint64_t f;
#define FIX(f, n) uint8_t f[n];
#define STR(f, max) char f[(max) + 1];
#define BYTES(f, max)                                                          \
	const uint8_t *f;                                                      \
	uint16_t f##_len;
#define END(name)                                                              \
	char end_of_body;                                                      \
	}                                                                      \
	;                                                                      \
	void msg_put_##name(struct wbuf *, const struct msg_##name *);         \
	bool msg_get_##name(struct rbuf *, struct msg_##name *);
#include "policy/messages.def"

/* When a receiver takes a message. */
enum msg_when { WHEN_BOOT = 1, WHEN_RUN = 2, WHEN_DRAIN = 4 };

/* The descriptor that comes with a message. */
enum msg_fd { FD_NONE, FD_IS_CHANNEL, FD_IS_STREAM, FD_IS_FILE, FD_IS_FOLDER };

/* Special values of msg_rule.limit */
#define LIMIT_ONCE UINT32_MAX
#define LIMIT_REPLY (UINT32_MAX - 1)

/* What the table says of one message. */
struct msg_rule {
	uint16_t type;
	uint16_t reply; /* MSG_NONE if it has none */
	uint32_t senders;
	uint32_t receivers;
	uint32_t when; /* bits of msg_when */
	uint32_t limit;
	enum msg_fd fd;
	const char *name;
};

/* The rule of a type, or NULL for a type that does not exist. */
const struct msg_rule *msg_rule(uint16_t type);

/* All rules, for tests and fuzzers. */
const struct msg_rule *msg_rules(size_t *count);

/* Index of a rule in msg_rules(), to keep counts beside it. */
size_t msg_index(const struct msg_rule *rule);

/* The most messages that the schema may hold. */
#define MSG_COUNT_MAX 256

/* "AUDIT_APPEND", or "unknown". */
const char *msg_name(uint16_t type);

/*
 * Whether a body is well formed: every field within its bounds, texts clean,
 * nothing left over. What passes here is taken by msg_get_NAME().
 */
bool msg_body_valid(const struct msg_rule *rule, const void *body, size_t len);

/* A checksum of the whole schema: two ends that differ must not talk. */
uint32_t msg_schema(void);

#endif
