/* SPDX-License-Identifier: ISC */
/*
 * merkle.h - the Merkle tree of RFC 6962 section 2: hashing, compact range,
 * inclusion and consistency proofs.
 *
 * The verifying side allocates nothing and is bounded by MERKLE_PROOF_MAX
 * steps, so that keyd can judge a proof that it got from a process which may
 * have been taken over.
 */
#ifndef COMMON_MERKLE_H
#define COMMON_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#define MERKLE_HASH_LEN 32
#define MERKLE_PROOF_MAX 64

typedef uint8_t merkle_hash[MERKLE_HASH_LEN];

/*
 * The compact range ("frontier") of the first `size` leaves: peak[i] is the
 * root of a perfect subtree of 2^i leaves and means something only if bit i
 * of size is set; larger subtrees lie further left.  Copied by assignment.
 */
struct merkle {
	uint64_t size;
	merkle_hash peak[MERKLE_PROOF_MAX];
};

/*
 * Fetch the digest and make this thread's hashing context.  Call it once
 * before the sandbox closes (it may load a provider); otherwise the first hash
 * does it.  0 or -ENOMEM.  A hash that fails later aborts the process: a log
 * must not go on with a hash that is not one.
 */
int merkle_setup(void);
/* Free this thread's hashing context (a thread that ends calls it). */
void merkle_thread_end(void);

/* SHA-256(0x00 || data), SHA-256(0x01 || left || right), SHA-256(""). */
void merkle_leaf(const void *, size_t, merkle_hash out);
void
merkle_node(const merkle_hash left, const merkle_hash right, merkle_hash out);
void merkle_empty(merkle_hash out);
/* Plain SHA-256 by the same context. */
void merkle_sha256(const void *, size_t, uint8_t out[32]);

void merkle_init(struct merkle *);
/* Add a leaf *hash* (merkle_leaf). */
void merkle_append(struct merkle *, const merkle_hash leaf);
void merkle_root(const struct merkle *, merkle_hash root);
/* Root of n leaf hashes, O(n). */
void merkle_root_of(const merkle_hash *leaf, uint64_t n, merkle_hash root);

/*
 * Proofs over n leaf hashes.  Return the number of hashes put into proof
 * (0..MERKLE_PROOF_MAX), or -EINVAL (index >= n, m > n).
 */
int merkle_prove_inclusion(const merkle_hash *leaf, uint64_t n, uint64_t index,
    merkle_hash proof[MERKLE_PROOF_MAX]);
int merkle_prove_consistency(const merkle_hash *leaf, uint64_t m, uint64_t n,
    merkle_hash proof[MERKLE_PROOF_MAX]);
/*
 * The same consistency proof from old->size to old->size + count without the
 * leaves below: later[0..count) are the leaf hashes that came after.
 */
int merkle_prove_consistency_from(const struct merkle *old,
    const merkle_hash *later, uint64_t count,
    merkle_hash proof[MERKLE_PROOF_MAX]);

/*
 * Verify (RFC 6962 sections 2.1.1, 2.1.2 in the iterative form of RFC 9162
 * sections 2.1.3.2 and 2.1.4.2).  0, or -EBADMSG; never reads more than count
 * hashes.  From size 0 the proof is empty and the old root SHA-256("").
 */
int
merkle_verify_inclusion(uint64_t index, uint64_t size, const merkle_hash leaf,
    const merkle_hash *proof, size_t count, const merkle_hash root);
int merkle_verify_consistency(uint64_t m, const merkle_hash rootm, uint64_t n,
    const merkle_hash rootn, const merkle_hash *proof, size_t count);

#endif /* COMMON_MERKLE_H */
