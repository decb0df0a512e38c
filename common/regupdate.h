/* SPDX-License-Identifier: ISC */
/*
 * regupdate.h - one update of the registry, one rotation of a node's keys.
 *
 * Each has three forms: a struct, the canonical JSON that is signed
 * (claw-registry(5)), and a fixed binary form that messages carry. This room
 * makes the last two of the first and checks it; it parses no JSON, so that
 * keyd can show what it signs to nobody but itself. Nothing is allocated.
 */
#ifndef CLAW_COMMON_REGUPDATE_H
#define CLAW_COMMON_REGUPDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REGISTRY_VERSION 1
#define REGISTRY_AUTHORITIES_MAX 32
#define REGISTRY_ADDRESSES_MAX 4
#define REGISTRY_HEADS_MAX 8
/* Of an `authorities`: the old set and the new one may be disjoint. */
#define REGISTRY_SIGS_MAX (2 * REGISTRY_AUTHORITIES_MAX)
#define REGISTRY_WINDOW_MAX INT32_MAX	     /* seconds */
#define REGISTRY_NUMBER_MAX 9007199254740991 /* 2^53-1: JSON's integers */

#define REGISTRY_KEY_LEN 32
#define REGISTRY_HASH_LEN 32
#define REGISTRY_SIG_LEN 64

/* Sizes of texts with their NUL. */
#define REGISTRY_NAME_SIZE 64	  /* [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? */
#define REGISTRY_ZONE_SIZE 64	  /* like a name, or empty */
#define REGISTRY_CHANNEL_SIZE 32  /* like a name */
#define REGISTRY_VERSION_SIZE 64  /* [A-Za-z0-9][A-Za-z0-9.+_~-]* */
#define REGISTRY_ADDRESS_SIZE 128 /* HOST:PORT or [IPV6]:PORT */
#define REGISTRY_REASON_SIZE 128  /* [A-Za-z0-9 .,:;()_/+-]*, may be empty */

#define REGUPDATE_JSON_MAX 6144	 /* of `u` or `r`, with a NUL */
#define REGUPDATE_BYTES_MAX 4096 /* of the binary form */
/* The same with its length and signatures. */
#define REGUPDATE_SIGNED_BYTES_MAX                                             \
	(3 + REGUPDATE_BYTES_MAX +                                             \
	    REGISTRY_SIGS_MAX * (REGISTRY_KEY_LEN + REGISTRY_SIG_LEN))
#define REGISTRY_LINE_MAX 16384 /* of a line, without its newline */
/* What is signed: prefix, NUL, JSON. */
#define REGUPDATE_SIGNED_MAX (32 + REGUPDATE_JSON_MAX)

enum registry_op {
	REGISTRY_GENESIS = 0,
	REGISTRY_AUTHORITIES,
	REGISTRY_NODE_ADD,
	REGISTRY_NODE_ANCHOR,
	REGISTRY_NODE_REVOKE,
	REGISTRY_BINARY_ALLOW,
	REGISTRY_BINARY_REVOKE,
	REGISTRY_DEVELOPER_ADD,
	REGISTRY_DEVELOPER_REVOKE,
	REGISTRY_POLICY,
	REGISTRY_FRESH,
	REGISTRY_RESOLVE,
	REGISTRY_OP_MAX
};

typedef uint8_t registry_key[REGISTRY_KEY_LEN];
typedef uint8_t registry_hash[REGISTRY_HASH_LEN];

/* GENESIS, AUTHORITIES */
struct registry_set {
	uint32_t count;
	uint32_t threshold; /* more than half of count */
	bool has_fresh;	    /* fresh[i] is authority i's, all 0: none */
	registry_key authority[REGISTRY_AUTHORITIES_MAX];
	registry_key fresh[REGISTRY_AUTHORITIES_MAX];
};

/* GENESIS, POLICY: seconds without news */
struct registry_windows {
	uint32_t soft_s, hard_s; /* 1 <= soft <= hard <= REGISTRY_WINDOW_MAX */
};

/* NODE_ADD (all but ksn and event), NODE_ANCHOR (name to next, ksn, event),
 * NODE_REVOKE (name) */
struct registry_node_operands {
	char name[REGISTRY_NAME_SIZE];
	registry_key identity; /* Ed25519 */
	registry_key sealing;  /* X25519 */
	bool has_next;
	registry_hash next; /* regupdate_next_hash() of the next identity */
	uint64_t capabilities;
	char zone[REGISTRY_ZONE_SIZE];
	uint32_t addresses;
	char address[REGISTRY_ADDRESSES_MAX][REGISTRY_ADDRESS_SIZE];
	uint64_t expiry_s; /* since 1970; 0: none */
	uint64_t ksn;	   /* number of the rotation anchored */
	registry_hash event;
};

/* BINARY_ALLOW, BINARY_REVOKE (sha256 alone) */
struct registry_binary_operands {
	char name[REGISTRY_NAME_SIZE];
	char version[REGISTRY_VERSION_SIZE];
	char channel[REGISTRY_CHANNEL_SIZE];
	registry_hash sha256;
	uint64_t capabilities;
};

/* DEVELOPER_ADD, DEVELOPER_REVOKE (name alone) */
struct registry_developer_operands {
	char name[REGISTRY_NAME_SIZE];
	registry_key key; /* Ed25519 */
};

/* RESOLVE: prev is the chosen head */
struct registry_resolve_operands {
	uint64_t common; /* last sequence number that the branches share */
	uint32_t heads;
	registry_hash head[REGISTRY_HEADS_MAX]; /* ascending, chosen is one */
	registry_hash chosen;
};

struct registry_update {
	uint32_t v; /* REGISTRY_VERSION */
	enum registry_op op;
	uint64_t seq;
	registry_hash prev; /* all 0 for GENESIS */
	uint64_t time_s;    /* since 1970 */
	struct registry_set set;
	struct registry_windows windows;
	union {
		struct registry_node_operands node;
		struct registry_binary_operands binary;
		struct registry_developer_operands developer;
		struct registry_resolve_operands resolve;
	};
	char reason[REGISTRY_REASON_SIZE]; /* of the three revocations */
};

/* A node replaces its own keys. */
struct registry_rotation {
	uint32_t v; /* REGISTRY_VERSION */
	char name[REGISTRY_NAME_SIZE];
	uint64_t ksn;	    /* 1 for the first after node-add */
	registry_hash prev; /* regupdate_rotation_hash() of the one before; for
			     * the first the hash of the node-add */
	registry_key identity; /* the key committed to, now revealed */
	registry_key sealing;
	bool has_next;
	registry_hash next;
	uint64_t time_s;
};

struct registry_signature {
	registry_key kid;
	uint8_t sig[REGISTRY_SIG_LEN];
};

/* "node-add" and so on; NULL if there is no such op. */
const char *regupdate_op_name(enum registry_op);
/* REGISTRY_OP_MAX: no such op. */
enum registry_op regupdate_op(const char *name);

/* What a name, an address ("host:port") or a reason must look like. */
bool regupdate_name_ok(const char *);
bool regupdate_address_ok(const char *);
bool regupdate_reason_ok(const char *);

/* The commitment to an identity key: SHA-256("claw/next/v1" 0x00 key). */
int regupdate_next_hash(const registry_key key, registry_hash out);

/*
 * Bounds and characters of every field that the op has. NULL, or what is
 * wrong (static text). All that follow check first and answer -EINVAL.
 */
const char *regupdate_check(const struct registry_update *);
const char *regupdate_check_rotation(const struct registry_rotation *);

/* Canonical JSON of `u` or `r`, NUL behind it: its length, or -ENOSPC. */
ssize_t regupdate_json(const struct registry_update *, char *out, size_t size);
ssize_t regupdate_rotation_json(const struct registry_rotation *, char *out,
    size_t size);

/*
 * What is signed: "claw/registry/v1" or "claw/rotation/v1", 0x00, the JSON.
 * Its length (at most REGUPDATE_SIGNED_MAX), or -ENOSPC.
 */
ssize_t
regupdate_signed_bytes(const struct registry_update *, void *out, size_t size);
ssize_t regupdate_rotation_signed_bytes(const struct registry_rotation *,
    void *out, size_t size);

/*
 * SHA-256 of what is signed: what the next update's `prev` must be. The
 * genesis is different, see registry_genesis_hash(). 0 or negative.
 */
int regupdate_hash(const struct registry_update *, registry_hash out);
int
regupdate_rotation_hash(const struct registry_rotation *, registry_hash out);

/*
 * What a permit to sign names: SHA-256 of the update's binary form without its
 * place in the chain, seq, prev and time.
 */
int regupdate_digest(const struct registry_update *, registry_hash out);

/* The binary form, for messages: its length, or -ENOSPC. */
ssize_t regupdate_put(const struct registry_update *, void *out, size_t size);
ssize_t regupdate_rotation_put(const struct registry_rotation *, void *out,
    size_t size);
/* 0, or -EBADMSG for what regupdate_put() would not have made. */
int regupdate_get(struct registry_update *, const void *data, size_t len);
int regupdate_rotation_get(struct registry_rotation *, const void *data,
    size_t len);

/*
 * With its signatures, for one message that carries many. put: its length, or
 * -ENOSPC. get takes one off the front of r: 0, or -EBADMSG for what put would
 * not have made; of an update the signatures are in the order of their keys,
 * and sigs has room for REGISTRY_SIGS_MAX, of a rotation for 2.
 */
struct rbuf;
ssize_t regupdate_signed_put(const struct registry_update *,
    const struct registry_signature *sigs, size_t n, void *out, size_t size);
ssize_t regupdate_rotation_signed_put(const struct registry_rotation *,
    const struct registry_signature *sigs, size_t n, void *out, size_t size);
int regupdate_signed_get(struct registry_update *,
    struct registry_signature *sigs, size_t *n, struct rbuf *r);
int regupdate_rotation_signed_get(struct registry_rotation *,
    struct registry_signature sigs[2], size_t *n, struct rbuf *r);

/*
 * A line, without newline, NUL behind it: {"sigs":[...],"u":...}. The
 * signatures are put in the order of their keys. No signature at all makes a
 * proposal that others add theirs to. Length, -ENOSPC; -EINVAL: a key twice.
 */
ssize_t regupdate_line(const struct registry_update *,
    const struct registry_signature *sigs, size_t n, char *out, size_t size);
/* {"r":...,"sigs":[...]}: the new key's signature, then the old one's. */
ssize_t regupdate_rotation_line(const struct registry_rotation *,
    const struct registry_signature *sigs, size_t n, char *out, size_t size);

/* One Ed25519 signature: 0 or -EKEYREJECTED. */
int regupdate_verify(const struct registry_signature *, const void *msg,
    size_t len);

#endif
