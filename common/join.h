/* SPDX-License-Identifier: ISC */
/*
 * join.h - JOIN, what a joiner sends to its inviter: who it wants to be, and
 * that it holds the ticket's key and the identity's.
 *
 * Both signatures are over
 *	"claw/join/v1" 0x00 || exporter || genesis || SHA-256 of the client's
 *	leaf || of the server's || u16 length of name, name || identity ||
 *	sealing || next || ticket's key || u8 how many addresses, each as a u16
 *	length and its text
 * and so hold in one TLS session only.  Needs libcrypto and nothing else.
 */
#ifndef CLAW_COMMON_JOIN_H
#define CLAW_COMMON_JOIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/netaddr.h"

#define JOIN_VERSION 1
#define JOIN_NAME_MAX 63
#define JOIN_SIG_LEN 64
/* u16 and name, four keys or hashes, addresses */
#define JOIN_CLAIMS_MAX (2 + JOIN_NAME_MAX + 4 * 32 + NETADDR_BYTES_MAX)
/* u8 version, claims, two signatures */
#define JOIN_BODY_MAX (1 + JOIN_CLAIMS_MAX + 2 * JOIN_SIG_LEN)
#define JOIN_SIGNED_MAX (13 + 4 * 32 + JOIN_CLAIMS_MAX)

struct join {
	char name[JOIN_NAME_MAX + 1];
	struct netaddr_list at; /* where others reach it; may be empty */
	uint8_t identity[32];	/* Ed25519 */
	uint8_t sealing[32];	/* X25519 */
	uint8_t next_hash[32];	/* SHA-256 of the next identity key */
	uint8_t ticket[32];	/* T's public half */
	uint8_t ticket_sig[JOIN_SIG_LEN];
	uint8_t identity_sig[JOIN_SIG_LEN];
};

/* The session that a JOIN belongs to. */
struct join_binding {
	uint8_t exporter[32];
	uint8_t genesis[32];
	uint8_t client_leaf[32]; /* SHA-256 of its DER: the joiner's */
	uint8_t server_leaf[32]; /* the inviter's */
};

/* Writes the body; -EINVAL for a name that no node can have, -ENOSPC. */
int join_put(struct wbuf *, const struct join *);
/* -EBADMSG unless exactly that is there; -EPROTONOSUPPORT: newer version;
 * -EADDRNOTAVAIL: an address that nobody can dial. */
int join_get(const void *, size_t len, struct join *);

/*
 * The bytes that are signed; keyd makes them of typed fields.  The signatures
 * in the struct are not looked at.  Length, -EINVAL or -ENOSPC.
 */
ssize_t join_signed_bytes(const struct join_binding *, const struct join *,
    uint8_t *out, size_t size);

/*
 * Whether this is the holder of the ticket, for the name that the invite was
 * made for; name and ticket (T's public half) are the invite's.  The caller
 * has found that the session's leaf verifies under join->identity.
 * 0 or -EKEYREJECTED, and then *why.
 */
int join_verify(const struct join *, const struct join_binding *,
    const char *name, const uint8_t ticket[32], const char **why);

#endif
