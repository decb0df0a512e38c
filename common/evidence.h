/* SPDX-License-Identifier: ISC */
/*
 * evidence.h - the leaf certificate that is the answer to a challenge.
 *
 * A node proves who it is by an X.509 v3 certificate made for one session. It
 * certifies the session's one-time P-256 key, is signed by the node's Ed25519
 * key, and says in a critical extension what it answers: the verifier's nonce,
 * for which purpose, in which role, to whom, at which state of the registry.
 *
 * There is one encoding of a struct evidence and evidence_parse() takes no
 * other, so what is signed is a function of the fields. The layout is in
 * claw-protocol(7).
 */
#ifndef CLAW_COMMON_EVIDENCE_H
#define CLAW_COMMON_EVIDENCE_H

#include <openssl/types.h>

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#define EVIDENCE_NAME_SIZE 64 /* a node's name with its NUL */
#define EVIDENCE_HASH_LEN 32
#define EVIDENCE_SPKI_LEN 91
#define EVIDENCE_SIG_LEN 64
#define EVIDENCE_VALID_MAX 600 /* seconds */
#define EVIDENCE_TBS_MAX 640   /* room that always suffices */
#define EVIDENCE_CERT_MAX 768

enum evidence_role {
	EVIDENCE_CLIENT = 1,
	EVIDENCE_SERVER = 2,
	EVIDENCE_CALLER = 3, /* of a call; only with EVIDENCE_VOICE */
	EVIDENCE_CALLEE = 4
};

enum evidence_purpose {
	EVIDENCE_MESH = 1,
	EVIDENCE_SFT = 2,
	EVIDENCE_VOICE = 3,
	EVIDENCE_JOIN = 4,
	EVIDENCE_REGISTRY = 5
};

struct evidence {
	uint8_t role;			 /* enum evidence_role, the prover's */
	uint8_t purpose;		 /* enum evidence_purpose */
	char name[EVIDENCE_NAME_SIZE];	 /* the prover */
	char peer[EVIDENCE_NAME_SIZE];	 /* the verifier; "" if not known */
	uint8_t verifier_nonce[32];	 /* the challenge */
	uint8_t prover_nonce[32];	 /* what the prover challenges with */
	uint64_t seq;			 /* the prover's registry: update, */
	uint8_t head[EVIDENCE_HASH_LEN]; /* and its hash */
	uint8_t caps[EVIDENCE_HASH_LEN]; /* manifest and capabilities */
	int64_t not_before;		 /* seconds since 1970 */
	int64_t not_after;
	uint8_t spki[EVIDENCE_SPKI_LEN]; /* P-256, point uncompressed */
};

/*
 * Write the TBSCertificate: the bytes that the node's key signs. Returns
 * their number; -EINVAL: a field is out of its range (a name that is none,
 * peer and name the same, a caller without a call, more than
 * EVIDENCE_VALID_MAX seconds, another kind of key); -ENOSPC.
 */
ssize_t evidence_tbs(const struct evidence *ev, uint8_t *out, size_t size);

/*
 * Write the certificate: a TBSCertificate and the signature over it. Returns
 * its length, -EINVAL for a tbs that is longer than any, or -ENOSPC.
 */
ssize_t evidence_cert(const uint8_t *tbs, size_t len,
    const uint8_t sig[EVIDENCE_SIG_LEN], uint8_t *out, size_t size);

/*
 * Read a certificate. 0, or -EBADMSG for whatever evidence_tbs() and
 * evidence_cert() would not have written byte for byte. Nothing is verified
 * by this, neither the signature nor that now is within the dates.
 */
int evidence_parse(const uint8_t *der, size_t len, struct evidence *ev,
    uint8_t sig[EVIDENCE_SIG_LEN]);

/*
 * Whether key (Ed25519) made the signature over these fields. 0, -EINVAL
 * (fields that are no evidence), or -EKEYREJECTED.
 */
int evidence_verify_sig(const struct evidence *ev,
    const uint8_t sig[EVIDENCE_SIG_LEN], const uint8_t key[32]);

/*
 * The SubjectPublicKeyInfo of a P-256 key: what OpenSSL's i2d_PUBKEY() writes,
 * without the search for an encoder. 0, or -EINVAL for another kind of key.
 */
int evidence_spki(const EVP_PKEY *key, uint8_t out[EVIDENCE_SPKI_LEN]);

/* SHA-256 of a certificate, as WELCOME and the exporter use it. 0 or -EIO. */
int
evidence_hash(const uint8_t *der, size_t len, uint8_t out[EVIDENCE_HASH_LEN]);

/* "client", "mesh"...; "?" for a number that is none. */
const char *evidence_role_name(uint8_t role);
const char *evidence_purpose_name(uint8_t purpose);

#endif
