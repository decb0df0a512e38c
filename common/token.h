/* SPDX-License-Identifier: ISC */
/*
 * token.h - capability tokens: what a node lets a holder do for some minutes,
 * without asking anybody.
 *
 * A token is a JWT (RFC 7519) signed with EdDSA (RFC 8037) by the issuer's
 * identity key, with exactly one spelling: the header is fixed, the claims
 * are canonical JSON in the order below.  Everything else is refused before
 * a signature is looked at, so there is no JSON parser here and no algorithm
 * to choose.
 *
 *	{"alg":"EdDSA","typ":"JWT"}
 *	{"aud":DID,"cap":[NAME...],"cnf":{"x5t#S256":THUMBPRINT},"exp":N,
 *	 "iat":N,"iss":DID,"jti":ID,"reg":N,"sub":DID}
 *
 * What is signed begins with "eyJ": it can be none of the statements that
 * keyd signs otherwise, which begin with "claw/".
 */
#ifndef CLAW_COMMON_TOKEN_H
#define CLAW_COMMON_TOKEN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TOKEN_MAX 2048	   /* characters of a token, with a NUL */
#define TOKEN_LIFE_MAX 600 /* seconds from iat to exp */
#define TOKEN_SKEW_MAX 60  /* seconds that iat may be ahead of us */
#define TOKEN_JTI_LEN 16
#define TOKEN_SIG_LEN 64
#define TOKEN_LOG_ID_SIZE 17 /* 16 hexadecimal digits and NUL */

struct token_claims {
	uint8_t iss[32]; /* identity keys; DIDs in the text */
	uint8_t sub[32];
	uint8_t aud[32];
	uint64_t iat;	 /* seconds since 1970 */
	uint64_t exp;	 /* at most TOKEN_LIFE_MAX after iat */
	uint8_t cnf[32]; /* SHA-256 of the holder's leaf, DER */
	uint64_t cap;	 /* bits of policy/capabilities.def, not 0 */
	uint64_t reg;	 /* the registry's seq must be at least this */
	uint8_t jti[TOKEN_JTI_LEN]; /* random */
};

struct token {
	struct token_claims claims;
	uint8_t sig[TOKEN_SIG_LEN];
	const char *text; /* the caller's, with the signing input first */
	size_t input_len;
};

enum token_verdict {
	TOKEN_OK,
	TOKEN_TOO_LONG,	    /* than TOKEN_MAX */
	TOKEN_MALFORMED,    /* not three parts of base64url */
	TOKEN_HEADER,	    /* not our header: another algorithm, say */
	TOKEN_CLAIMS,	    /* not our claims, or not in our spelling */
	TOKEN_LIFE,	    /* lives longer than a token may */
	TOKEN_NOT_YET,	    /* from the future */
	TOKEN_EXPIRED,	    /* exp is past */
	TOKEN_AUDIENCE,	    /* for somebody else */
	TOKEN_HOLDER,	    /* another leaf's */
	TOKEN_REGISTRY,	    /* our registry is older than it asks for */
	TOKEN_ISSUER,	    /* no node of ours has that key */
	TOKEN_ISSUER_ENDED, /* revoked, expired or rotated away */
	TOKEN_SUBJECT,	    /* the same of the holder */
	TOKEN_SUBJECT_ENDED,
	TOKEN_BEYOND,	 /* grants what the issuer may not do itself */
	TOKEN_SIGNATURE, /* is not the issuer's */
	TOKEN_VERDICT_MAX
};

/* For logs and people: "expired", ... */
const char *token_verdict_text(enum token_verdict);

/*
 * The bytes to sign, header "." claims; a NUL follows them.  Their length,
 * -EINVAL for claims that token_parse() would refuse, or -ENOSPC.
 */
ssize_t
token_signing_input(const struct token_claims *, char *out, size_t size);
/* The signing input and its signature become a token: length or -ENOSPC. */
ssize_t token_compose(const char *input, size_t len,
    const uint8_t sig[TOKEN_SIG_LEN], char *out, size_t size);

/*
 * Takes a token apart; nothing of it may be believed before token_verify().
 * text must outlive the struct.  TOKEN_OK, or one of TOO_LONG to LIFE.
 */
enum token_verdict token_parse(const char *text, size_t len, struct token *);

/*
 * What the registry says of an identity key: 0 and the node's capabilities,
 * -ENOENT: nobody's, -EKEYREVOKED: not any more.
 */
typedef int token_lookup(void *arg, const uint8_t key[32], uint64_t *cap);

struct token_expect {
	uint64_t now;	   /* seconds since 1970 */
	uint8_t aud[32];   /* our own identity key */
	uint8_t leaf[32];  /* SHA-256 of the leaf that the session showed */
	uint64_t registry; /* our registry's seq */
	token_lookup *lookup;
	void *arg;
};

/*
 * The first of the reasons above, in their order, for which this token is not
 * to be followed.  On TOKEN_OK the caller asks whether claims.cap has what is
 * wanted.
 */
enum token_verdict
token_verify(const struct token *, const struct token_expect *);

/*
 * What a log may show of a token: the first 8 bytes of HMAC-SHA256(key,
 * "claw/token-log/v1" 0x00 jti), in hexadecimal.  key is a random one of this
 * process, so that lines of one run can be told together and no jti be told
 * from them.
 */
void token_log_id(const uint8_t key[32], const uint8_t jti[TOKEN_JTI_LEN],
    char out[TOKEN_LOG_ID_SIZE]);

#endif
