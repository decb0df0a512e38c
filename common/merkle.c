/* SPDX-License-Identifier: ISC */
/*
 * merkle.c - the Merkle tree of RFC 6962 section 2.
 *
 * Owns one hashing context per thread.  Proofs from other processes may
 * enter; verifying them allocates nothing and is bounded.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/merkle.h"

static _Thread_local EVP_MD_CTX *ctx;
static _Thread_local EVP_MD *md;

int
merkle_setup(void)
{
	if (ctx != NULL)
		return 0;
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
	ctx = EVP_MD_CTX_new();
	/* Bind the digest now: every later init reuses its state. */
	if (md == NULL || ctx == NULL ||
	    EVP_DigestInit_ex2(ctx, md, NULL) != 1) {
		merkle_thread_end();
		return -ENOMEM;
	}
	return 0;
}

void
merkle_thread_end(void)
{
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	ctx = NULL;
	md = NULL;
}

/* A log must not go on with a hash that is not one. */
static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
begin(void)
{
	must(merkle_setup() == 0);
	must(EVP_DigestInit_ex2(ctx, NULL, NULL) == 1);
}

void
merkle_sha256(const void *data, size_t len, uint8_t out[32])
{
	begin();
	must(EVP_DigestUpdate(ctx, data, len) == 1);
	must(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

void
merkle_leaf(const void *data, size_t len, merkle_hash out)
{
	static const uint8_t prefix = 0x00;

	begin();
	must(EVP_DigestUpdate(ctx, &prefix, 1) == 1);
	must(EVP_DigestUpdate(ctx, data, len) == 1);
	must(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

void
merkle_node(const merkle_hash left, const merkle_hash right, merkle_hash out)
{
	uint8_t in[1 + 2 * MERKLE_HASH_LEN];

	in[0] = 0x01;
	memcpy(in + 1, left, MERKLE_HASH_LEN);
	memcpy(in + 1 + MERKLE_HASH_LEN, right, MERKLE_HASH_LEN);
	merkle_sha256(in, sizeof(in), out);
}

void
merkle_empty(merkle_hash out)
{
	merkle_sha256("", 0, out);
}

void
merkle_init(struct merkle *m)
{
	memset(m, 0, sizeof(*m));
}

void
merkle_append(struct merkle *m, const merkle_hash leaf)
{
	merkle_hash h;
	unsigned i;

	memcpy(h, leaf, sizeof(h));
	for (i = 0; (m->size >> i & 1) != 0; i++)
		merkle_node(m->peak[i], h, h);
	memcpy(m->peak[i], h, sizeof(h));
	m->size++;
}

/* Fold the peaks that the bits of `size` select, small to large. */
static void
fold(const struct merkle *m, uint64_t size, merkle_hash out)
{
	bool first = true;
	unsigned i;

	for (i = 0; i < MERKLE_PROOF_MAX; i++) {
		if ((size >> i & 1) == 0)
			continue;
		if (first)
			memcpy(out, m->peak[i], MERKLE_HASH_LEN);
		else
			merkle_node(m->peak[i], out, out);
		first = false;
	}
	if (first)
		merkle_empty(out);
}

void
merkle_root(const struct merkle *m, merkle_hash root)
{
	fold(m, m->size, root);
}

void
merkle_root_of(const merkle_hash *leaf, uint64_t n, merkle_hash root)
{
	struct merkle m;
	uint64_t i;

	/* Not merkle_init(): peaks are read only where size has a bit. */
	m.size = 0;
	for (i = 0; i < n; i++)
		merkle_append(&m, leaf[i]);
	fold(&m, n, root);
}

/*
 * Where a prover finds subtrees: below `first` only in the old frontier, from
 * there on in the leaves.
 */
struct source {
	const struct merkle *old; /* or NULL: first is 0 */
	const merkle_hash *leaf;
	uint64_t first;
};

/*
 * Root of the leaves lo..hi-1.  A subtree that a consistency proof needs from
 * below old->size is either one peak or the fold of the last ones, that is of
 * the peaks that the bits of its length select.
 */
static void
range_root(const struct source *s, uint64_t lo, uint64_t hi, merkle_hash out)
{
	if (lo < s->first)
		fold(s->old, hi - lo, out);
	else
		merkle_root_of(s->leaf + (lo - s->first), hi - lo, out);
}

/* Largest power of two smaller than n; n > 1. */
static uint64_t
split(uint64_t n)
{
	return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

/* Proofs are collected from the root downwards and told the other way. */
static void
reverse(merkle_hash *proof, int count)
{
	merkle_hash t;
	int i;

	for (i = 0; i < count / 2; i++) {
		memcpy(t, proof[i], sizeof(t));
		memcpy(proof[i], proof[count - 1 - i], sizeof(t));
		memcpy(proof[count - 1 - i], t, sizeof(t));
	}
}

/* PATH(m, D[n]) of RFC 6962 section 2.1.1. */
int
merkle_prove_inclusion(const merkle_hash *leaf, uint64_t n, uint64_t index,
    merkle_hash proof[MERKLE_PROOF_MAX])
{
	struct source s = { NULL, leaf, 0 };
	uint64_t k, lo = 0, hi = n;
	int count = 0;

	if (index >= n)
		return -EINVAL;
	while (hi - lo > 1) {
		k = lo + split(hi - lo);
		if (index < k) {
			range_root(&s, k, hi, proof[count++]);
			hi = k;
		} else {
			range_root(&s, lo, k, proof[count++]);
			lo = k;
		}
	}
	reverse(proof, count);
	return count;
}

/* SUBPROOF(m, D[n], true) of RFC 6962 section 2.1.2. */
static int
consistency(const struct source *s, uint64_t m, uint64_t n,
    merkle_hash proof[MERKLE_PROOF_MAX])
{
	uint64_t k, lo = 0, hi = n;
	bool whole = true;
	int count = 0;

	if (m > n)
		return -EINVAL;
	if (m == 0 || m == n)
		return 0;
	while (m != hi) {
		k = lo + split(hi - lo);
		if (m <= k) {
			range_root(s, k, hi, proof[count++]);
			hi = k;
		} else {
			range_root(s, lo, k, proof[count++]);
			lo = k;
			whole = false;
		}
	}
	if (!whole)
		range_root(s, lo, hi, proof[count++]);
	reverse(proof, count);
	return count;
}

int
merkle_prove_consistency(const merkle_hash *leaf, uint64_t m, uint64_t n,
    merkle_hash proof[MERKLE_PROOF_MAX])
{
	struct source s = { NULL, leaf, 0 };

	return consistency(&s, m, n, proof);
}

int
merkle_prove_consistency_from(const struct merkle *old,
    const merkle_hash *later, uint64_t count,
    merkle_hash proof[MERKLE_PROOF_MAX])
{
	struct source s = { old, later, old->size };

	if (count > UINT64_MAX - old->size)
		return -EINVAL;
	return consistency(&s, old->size, old->size + count, proof);
}

/* RFC 9162 section 2.1.3.2. */
int
merkle_verify_inclusion(uint64_t index, uint64_t size, const merkle_hash leaf,
    const merkle_hash *proof, size_t count, const merkle_hash root)
{
	uint64_t fn = index, sn;
	merkle_hash r;
	size_t i;

	if (index >= size || count > MERKLE_PROOF_MAX)
		return -EBADMSG;
	sn = size - 1;
	memcpy(r, leaf, sizeof(r));
	for (i = 0; i < count; i++) {
		if (sn == 0)
			return -EBADMSG;
		if ((fn & 1) != 0 || fn == sn) {
			merkle_node(proof[i], r, r);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else
			merkle_node(r, proof[i], r);
		fn >>= 1;
		sn >>= 1;
	}
	if (sn != 0 || memcmp(r, root, sizeof(r)) != 0)
		return -EBADMSG;
	return 0;
}

/* RFC 9162 section 2.1.4.2 for 0 < m < n. */
static int
verify_growth(uint64_t m, const merkle_hash rootm, uint64_t n,
    const merkle_hash rootn, const merkle_hash *proof, size_t count)
{
	uint64_t fn = m - 1, sn = n - 1;
	merkle_hash fr, sr;
	size_t i = 0;

	while ((fn & 1) != 0) {
		fn >>= 1;
		sn >>= 1;
	}
	/* An m that is a power of two is its own first node. */
	if ((m & (m - 1)) == 0)
		memcpy(fr, rootm, sizeof(fr));
	else if (count > 0)
		memcpy(fr, proof[i++], sizeof(fr));
	else
		return -EBADMSG;
	memcpy(sr, fr, sizeof(sr));
	for (; i < count; i++) {
		if (sn == 0)
			return -EBADMSG;
		if ((fn & 1) != 0 || fn == sn) {
			merkle_node(proof[i], fr, fr);
			merkle_node(proof[i], sr, sr);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else
			merkle_node(sr, proof[i], sr);
		fn >>= 1;
		sn >>= 1;
	}
	if (sn != 0 || memcmp(fr, rootm, sizeof(fr)) != 0 ||
	    memcmp(sr, rootn, sizeof(sr)) != 0)
		return -EBADMSG;
	return 0;
}

int
merkle_verify_consistency(uint64_t m, const merkle_hash rootm, uint64_t n,
    const merkle_hash rootn, const merkle_hash *proof, size_t count)
{
	merkle_hash empty;

	if (m > n || count > MERKLE_PROOF_MAX)
		return -EBADMSG;
	if (m != 0 && m != n)
		return verify_growth(m, rootm, n, rootn, proof, count);
	if (count != 0)
		return -EBADMSG;
	if (m == n && memcmp(rootm, rootn, sizeof(empty)) != 0)
		return -EBADMSG;
	merkle_empty(empty);
	if (m == 0 && memcmp(rootm, empty, sizeof(empty)) != 0)
		return -EBADMSG;
	return 0;
}
