/* SPDX-License-Identifier: ISC */
/*
 * judge.h - whether a leaf certificate proves that a peer is who it says.
 *
 * A pure function of the leaf, of what this end knows of the session, and of
 * the registry. It asks no clock and tells nobody.
 */
#ifndef CLAW_ATTESTD_JUDGE_H
#define CLAW_ATTESTD_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/evidence.h"
#include "common/registry.h"

#define JUDGE_NONCE_S 30 /* a challenge is good for so long */
#define JUDGE_SKEW_S 600 /* a leaf's dates may be off by that */
/* Attested by a key that has been replaced: again soon, by the new one. */
#define JUDGE_OLD_KEY_S 90
/* How long a node has for its lines whose key we do not know. */
#define JUDGE_PULL_S 60
#define JUDGE_SESSION_S 3600 /* then the peer attests again */
#define JUDGE_REASON_MAX 256

/* What this end knows. */
struct judge_session {
	const char *self;      /* our name */
	uint8_t role;	       /* ours, of enum evidence_role */
	uint8_t purpose;       /* that the handshake agreed on */
	const char *dialled;   /* "" if nobody by name */
	const uint8_t *nonce;  /* our challenge, 32 bytes; NULL: none is open */
	const uint8_t *prover; /* the peer's, as it came in the handshake */
	const uint8_t *spki;   /* that this session had before; NULL: none */
	uint64_t now_s;	       /* never below the registry's own time */
};

struct judgement {
	uint8_t alert; /* 0: attested; else of common/atls.h */
	bool newer; /* the peer has a newer registry than we, or newer keys */
	bool unproven; /* let in for its lines alone: they verify themselves */
	bool fork;     /* and this: another one */
	bool skewed;   /* its clock and ours differ by more than JUDGE_SKEW_S */
	char peer[EVIDENCE_NAME_SIZE]; /* as it calls itself; "": unreadable */
	uint8_t key[32];	       /* under which it is attested */
	uint64_t capabilities;
	uint64_t until_s; /* attest again before */
	char reason[JUDGE_REASON_MAX];
	struct evidence ev;
	uint8_t sig[EVIDENCE_SIG_LEN];
};

/*
 * Judges. With purpose EVIDENCE_JOIN the signature and the registry are left
 * to who reads the JOIN: the key is not known before.
 */
void judge(const struct registry *r, const struct judge_session *s,
    const uint8_t *leaf, size_t len, struct judgement *out);

/*
 * Whether the registry lets that node in now: 0, or an alert with the reason
 * and how to mend it in text. Also for sessions under way.
 */
uint8_t judge_standing(enum registry_standing standing, const char *name,
    char *text, size_t size);

/* The same for this node's own registry, which may be too old to judge by. */
uint8_t judge_freshness(const struct registry *r, uint64_t now_s, char *text,
    size_t size);

#endif
