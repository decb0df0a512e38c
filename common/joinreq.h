/* SPDX-License-Identifier: ISC */
/*
 * joinreq.h - the request of a node that joins by file: who it wants to be,
 * signed by the identity it names.
 *
 *	{"addresses":["..."],"identity":"ed25519:...","name":"...",
 *	"next":"sha256:...","sealing":"x25519:...","sig":"...","v":1}
 *
 * in one line, canonical JSON. The signature is over
 *	"claw/request/v1" 0x00 || u16 length of name, name || identity ||
 *	sealing || next || u8 how many addresses, each as a u16 length and text
 * where next is all zero for a node without a next key ("next" is then empty),
 * and shows that nothing was mistyped or exchanged on the way; that it is the
 * right node's is for the people who carry it. Needs libcrypto alone.
 */
#ifndef CLAW_COMMON_JOINREQ_H
#define CLAW_COMMON_JOINREQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/netaddr.h"

#define JOINREQ_NAME_MAX 63
#define JOINREQ_TEXT_MAX 1024 /* of any request, with its NUL */
#define JOINREQ_SIGNED_MAX                                                     \
	(16 + 2 + JOINREQ_NAME_MAX + 3 * 32 + NETADDR_BYTES_MAX)

struct joinreq {
	char name[JOINREQ_NAME_MAX + 1];
	struct netaddr_list at; /* where others reach it; may be empty */
	uint8_t identity[32];	/* Ed25519 */
	uint8_t sealing[32];	/* X25519 */
	uint8_t next[32]; /* hash of the next identity; 0: there is none */
	uint8_t sig[64];
};

bool joinreq_has_next(const struct joinreq *);

/* The bytes that are signed; keyd makes them of typed fields. Length,
 * -EINVAL for a name that no node can have, or -ENOSPC. */
ssize_t joinreq_signed_bytes(const struct joinreq *, uint8_t *out, size_t size);

/* The line, without newline. Length without the NUL, -EINVAL or -ENOSPC. */
ssize_t joinreq_format(const struct joinreq *, char *out, size_t size);

/*
 * Exactly what joinreq_format() writes, and its signature is good: 0;
 * -EBADMSG or -EKEYREJECTED.
 */
int joinreq_parse(const char *text, size_t len, struct joinreq *);

#endif
