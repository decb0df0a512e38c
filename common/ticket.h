/* SPDX-License-Identifier: ISC */
/*
 * ticket.h - the invitation that one person gives another: join tickets, the
 * key in them, and the six words that both ends print.
 *
 *	claw-join-1:<base64url of version, expiry, name, genesis, inviter,
 *	addresses, seed, checksum>
 *
 * A ticket holds a secret, the seed: whoever has the text can join.  It never
 * goes into a log, and its struct is cleared after use.
 */
#ifndef CLAW_COMMON_TICKET_H
#define CLAW_COMMON_TICKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TICKET_PREFIX "claw-join-1:"
#define TICKET_VERSION 1
#define TICKET_NAME_MAX 63
#define TICKET_ADDRS_MAX 4
#define TICKET_ADDR_MAX 127 /* host:port or [host]:port */
#define TICKET_SEED_LEN 16
#define TICKET_KEY_LEN 32
#define TICKET_TEXT_MAX 1024 /* of any ticket, with its NUL */
#define TICKET_WORDS 6
#define TICKET_WORDS_SIZE                                                      \
	(TICKET_WORDS * 9) /* 8 letters and a space or NUL                     \
			    */

struct ticket {
	uint64_t expiry;		/* seconds since 1970 */
	char name[TICKET_NAME_MAX + 1]; /* the joiner's */
	uint8_t genesis[32];		/* hash of the registry's first line */
	uint8_t inviter[32];		/* its identity key */
	size_t n_addrs;			/* 1 to TICKET_ADDRS_MAX */
	char addr[TICKET_ADDRS_MAX][TICKET_ADDR_MAX + 1];
	uint8_t seed[TICKET_SEED_LEN]; /* the secret */
};

/*
 * The text, without newline.  Its length without the NUL, -EINVAL for a ticket
 * that ticket_parse() would not take, or -ENOSPC.
 */
ssize_t ticket_format(const struct ticket *, char *out, size_t size);

/*
 * Strict: exactly what ticket_format() writes, no white space around it.
 * 0; -EINVAL: no ticket at all; -EBADMSG: damaged or mistyped;
 * -EPROTONOSUPPORT: of a newer version.  *why (never NULL then) says it for a
 * person; it names nothing of the ticket.  Whether it has expired is for the
 * caller, who has the time.
 */
int
ticket_parse(const char *text, size_t len, struct ticket *, const char **why);

void ticket_clear(struct ticket *);

/*
 * The ticket's key T, Ed25519, from HKDF-SHA256 (RFC 5869) with the seed as
 * key, the genesis hash as salt and "claw/ticket/v1" as info.  The inviter
 * keeps pub only; key may be NULL.  0, or -EIO if the library fails.
 */
int ticket_key(const uint8_t seed[TICKET_SEED_LEN], const uint8_t genesis[32],
    uint8_t key[TICKET_KEY_LEN], uint8_t pub[TICKET_KEY_LEN]);

/*
 * Six words, one space between them: the first 66 bits of SHA-256(genesis ||
 * the joiner's identity key), eleven to a word of common/words.def.
 */
void ticket_words(const uint8_t genesis[32], const uint8_t identity[32],
    char out[TICKET_WORDS_SIZE]);

#endif
