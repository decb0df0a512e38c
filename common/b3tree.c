/* SPDX-License-Identifier: ISC */
/*
 * b3tree.c - chaining values of subtrees by BLAKE3's public C interface.
 *
 * The library has no call for a subtree, but its hasher is a struct in its
 * header. Told that it stands at a chunk's offset (the leaf counter), with as
 * many subtrees on its left as there are (the stack's depth; it never looks at
 * them, since what it merges lies within the chunk), it hashes the chunk with
 * its vector code. What it leaves behind, at most one leaf's last block and a
 * stack of subtrees, is folded here without the root's flag. The compression
 * function below is that of the specification, section 2.2; it runs some
 * twenty times a chunk.
 *
 * Those fields are the library's private detail. The assertions here and
 * b3tree_selftest() stand in for the promise that it does not make.
 *
 * Owns nothing. Bytes from anyone may enter; every length is checked.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/b3tree.h"

#define LEAF_LOG 10
#define STACK_MOST 64

/* Section 2.1, table 3 of the specification. */
enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static_assert(BLAKE3_OUT_LEN == B3TREE_LEN && BLAKE3_BLOCK_LEN == 64 &&
	BLAKE3_CHUNK_LEN == 1 << LEAF_LOG && BLAKE3_MAX_DEPTH == 54,
    "BLAKE3's constants");
static_assert(sizeof(((blake3_hasher *)0)->key) == 32 &&
	sizeof(((blake3_hasher *)0)->chunk.cv) == 32 &&
	sizeof(((blake3_hasher *)0)->chunk.chunk_counter) == 8 &&
	sizeof(((blake3_hasher *)0)->chunk.buf) == BLAKE3_BLOCK_LEN &&
	sizeof(((blake3_hasher *)0)->chunk.buf_len) == 1 &&
	sizeof(((blake3_hasher *)0)->chunk.blocks_compressed) == 1 &&
	sizeof(((blake3_hasher *)0)->cv_stack_len) == 1 &&
	sizeof(((blake3_hasher *)0)->cv_stack) ==
	    (BLAKE3_MAX_DEPTH + 1) * BLAKE3_OUT_LEN,
    "the fields of blake3_hasher are those that b3tree.c was written for");
static_assert(offsetof(blake3_hasher, key) == 0 &&
	offsetof(blake3_hasher, chunk) == 32 &&
	offsetof(blake3_chunk_state, cv) == 0 &&
	offsetof(blake3_chunk_state, chunk_counter) == 32 &&
	offsetof(blake3_chunk_state, buf) == 40 &&
	offsetof(blake3_chunk_state, buf_len) == 104 &&
	offsetof(blake3_chunk_state, blocks_compressed) == 105 &&
	offsetof(blake3_chunk_state, flags) == 106 &&
	offsetof(blake3_hasher, cv_stack) ==
	    offsetof(blake3_hasher, cv_stack_len) + 1,
    "the order of blake3_hasher is the one that b3tree.c was written for");
static_assert(sizeof(blake3_chunk_state) < 107 + _Alignof(uint64_t) &&
	offsetof(blake3_hasher, cv_stack_len) ==
	    32 + sizeof(blake3_chunk_state) &&
	sizeof(blake3_hasher) < offsetof(blake3_hasher, cv_stack) +
		sizeof(((blake3_hasher *)0)->cv_stack) + _Alignof(uint64_t),
    "blake3_hasher has no field that b3tree.c does not know");

static const uint32_t iv[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

static uint32_t
rotate(uint32_t x, unsigned int n)
{
	return x >> n | x << (32 - n);
}

static void
mix(uint32_t v[16], unsigned int a, unsigned int b, unsigned int c,
    unsigned int d, uint32_t x, uint32_t y)
{
	v[a] += v[b] + x;
	v[d] = rotate(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotate(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = rotate(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = rotate(v[b] ^ v[c], 7);
}

static void
seven_rounds(uint32_t v[16], uint32_t m[16])
{
	static const uint8_t permutation[16] = { 2, 6, 3, 10, 7, 0, 4, 13, 1,
		11, 12, 5, 9, 14, 15, 8 };
	uint32_t next[16];
	unsigned int round, i;

	for (round = 0; round < 7; round++) {
		for (i = 0; i < 4; i++)
			mix(v, i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1]);
		for (i = 0; i < 4; i++)
			mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4,
			    12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i]);
		for (i = 0; i < 16; i++)
			next[i] = m[permutation[i]];
		memcpy(m, next, sizeof(next));
	}
}

struct node {
	const uint32_t *cv;
	uint8_t block[BLAKE3_BLOCK_LEN];
	uint32_t len;
	uint64_t counter;
	uint32_t flags;
};

static void
compress(const struct node *n, b3tree_value out)
{
	uint32_t v[16], m[16], w;
	unsigned int i;

	for (i = 0; i < 16; i++)
		m[i] = (uint32_t)n->block[4 * i] |
		    (uint32_t)n->block[4 * i + 1] << 8 |
		    (uint32_t)n->block[4 * i + 2] << 16 |
		    (uint32_t)n->block[4 * i + 3] << 24;
	memcpy(v, n->cv, 32);
	memcpy(v + 8, iv, 16);
	v[12] = (uint32_t)n->counter;
	v[13] = (uint32_t)(n->counter >> 32);
	v[14] = n->len;
	v[15] = n->flags;
	seven_rounds(v, m);
	for (i = 0; i < 8; i++) {
		w = v[i] ^ v[i + 8];
		out[4 * i] = (uint8_t)w;
		out[4 * i + 1] = (uint8_t)(w >> 8);
		out[4 * i + 2] = (uint8_t)(w >> 16);
		out[4 * i + 3] = (uint8_t)(w >> 24);
	}
}

/* out may be left or right. */
static void
parent(const uint8_t *left, const uint8_t *right, uint32_t flags, uint8_t *out)
{
	struct node n = { .cv = iv,
		.len = BLAKE3_BLOCK_LEN,
		.flags = PARENT | flags };

	memcpy(n.block, left, B3TREE_LEN);
	memcpy(n.block + B3TREE_LEN, right, B3TREE_LEN);
	compress(&n, out);
}

uint64_t
b3tree_chunks(uint64_t size, unsigned int log)
{
	return (size >> log) + ((size & ((UINT64_C(1) << log) - 1)) != 0);
}

/* How many subtrees lie left of a leaf in the hasher's stack. */
static uint8_t
subtrees_left_of(uint64_t leaf)
{
	return (uint8_t)__builtin_popcountll(leaf);
}

int
b3tree_begin(struct b3tree *t, unsigned int log, uint64_t index)
{
	uint64_t leaf;

	if (log < B3TREE_LOG_LEAST || log > B3TREE_LOG_MOST ||
	    index >> (63 - log) != 0)
		return -EINVAL;
	leaf = index << (log - LEAF_LOG);
	blake3_hasher_init(&t->hasher);
	t->hasher.chunk.chunk_counter = leaf;
	t->hasher.cv_stack_len = subtrees_left_of(leaf);
	t->left = UINT64_C(1) << log;
	t->index = index;
	t->log = log;
	return 0;
}

int
b3tree_update(struct b3tree *t, const void *data, size_t len)
{
	if (len > t->left)
		return -EFBIG;
	if (len > 0)
		blake3_hasher_update(&t->hasher, data, len);
	t->left -= len;
	return 0;
}

/* The value of the leaf that the hasher has not finished yet. */
static void
last_leaf(const blake3_chunk_state *c, b3tree_value out)
{
	struct node n = { .cv = c->cv,
		.len = c->buf_len,
		.counter = c->chunk_counter,
		.flags = CHUNK_END };

	if (c->blocks_compressed == 0)
		n.flags |= CHUNK_START;
	memcpy(n.block, c->buf, c->buf_len);
	compress(&n, out);
}

int
b3tree_end(const struct b3tree *t, b3tree_value out)
{
	const blake3_hasher *h = &t->hasher;
	uint8_t below = subtrees_left_of(t->index << (t->log - LEAF_LOG));
	uint8_t depth = h->cv_stack_len;

	if (t->left == UINT64_C(1) << t->log || (t->index == 0 && t->left != 0))
		return -EINVAL;
	if (h->chunk.blocks_compressed != 0 || h->chunk.buf_len != 0)
		last_leaf(&h->chunk, out);
	else
		memcpy(out, h->cv_stack + B3TREE_LEN * --depth, B3TREE_LEN);
	while (depth > below)
		parent(h->cv_stack + B3TREE_LEN * --depth, out, 0, out);
	return 0;
}

int
b3tree_end_file(const struct b3tree *t, b3tree_value root)
{
	if (t->index != 0)
		return -EINVAL;
	blake3_hasher_finalize(&t->hasher, root, B3TREE_LEN);
	return 0;
}

/*
 * Left of the last value stand perfect subtrees, a larger one further left,
 * one for each bit of their number; the last value joins them from the right.
 */
static void
fold(const b3tree_value *value, uint64_t n, uint32_t flags, b3tree_value out)
{
	b3tree_value stack[STACK_MOST], v;
	unsigned int depth = 0;
	uint64_t i, merged;

	for (i = 0; i < n - 1; i++) {
		memcpy(v, value[i], sizeof(v));
		for (merged = i + 1; (merged & 1) == 0; merged >>= 1)
			parent(stack[--depth], v, 0, v);
		memcpy(stack[depth++], v, sizeof(v));
	}
	memcpy(v, value[n - 1], sizeof(v));
	while (depth > 0) {
		depth--;
		parent(stack[depth], v, depth == 0 ? flags : 0, v);
	}
	memcpy(out, v, sizeof(v));
}

int
b3tree_fold(const b3tree_value *value, uint64_t n, b3tree_value out)
{
	if (n == 0)
		return -EINVAL;
	fold(value, n, 0, out);
	return 0;
}

int
b3tree_root(const b3tree_value *value, uint64_t n, b3tree_value root)
{
	blake3_hasher h;

	if (n == 1)
		return -EINVAL;
	if (n == 0) {
		blake3_hasher_init(&h);
		blake3_hasher_finalize(&h, root, B3TREE_LEN);
	} else
		fold(value, n, ROOT, root);
	return 0;
}
