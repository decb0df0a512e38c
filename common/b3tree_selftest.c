/* SPDX-License-Identifier: ISC */
/*
 * b3tree_selftest.c - the library is the one that b3tree.c was written for.
 *
 * A shared library may be another than the header that was compiled against:
 * first the hasher itself is looked at, within a room that shows whether the
 * library takes more than its header says; then known answers, hashed whole,
 * and composed from chunks. It takes some milliseconds.
 *
 * The bytes are those of BLAKE3's test vectors: 0, 1, ... 250, and again. The
 * first answers are among them; the last ones are the reference
 * implementation's, for sizes that need chunks of a file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/b3tree.h"

#define MIB (1024 * 1024)
#define PERIOD 251
#define LEAF BLAKE3_CHUNK_LEN

static const struct {
	uint64_t size;
	const char *root;
} vector[] = {
	{ 0,
	    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" },
	{ 1,
	    "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213" },
	{ 1023,
	    "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11" },
	{ 1024,
	    "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7" },
	{ 1025,
	    "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444" },
	{ 31744,
	    "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47" },
	{ 102400,
	    "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085" },
	{ 2 * MIB,
	    "96fbba37478c16b7614c890b26832f67b541cf14e69ab8ebf0c739818588c9f1" },
	{ 2 * MIB + MIB / 2 + 1,
	    "91d2175f794f733b0d03440884c1c380676bc8343d077a28dfc3697bdabdf58b" },
};

struct bytes {
	uint8_t room[B3TREE_PIECE + PERIOD];
};

static void
fill(struct bytes *b)
{
	size_t i;

	for (i = 0; i < sizeof(b->room); i++)
		b->room[i] = (uint8_t)(i % PERIOD);
}

static bool
is_hex(const b3tree_value v, const char *hex)
{
	static const char digit[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < B3TREE_LEN; i++)
		if (hex[2 * i] != digit[v[i] >> 4] ||
		    hex[2 * i + 1] != digit[v[i] & 15])
			return false;
	return true;
}

/* What the struct must hold after three leaves and a bit. */
static bool
fields_are_ours(const blake3_hasher *h)
{
	return h->key[0] == 0x6a09e667 && h->key[7] == 0x5be0cd19 &&
	    h->chunk.chunk_counter == 3 && h->chunk.flags == 0 &&
	    h->chunk.blocks_compressed == 1 && h->chunk.buf_len == 6 &&
	    memcmp(h->chunk.cv, h->key, sizeof(h->key)) != 0 &&
	    memcmp(h->chunk.buf,
		(const uint8_t[]){ 3136 % PERIOD, 3137 % PERIOD, 3138 % PERIOD,
		    3139 % PERIOD, 3140 % PERIOD, 3141 % PERIOD },
		6) == 0 &&
	    h->cv_stack_len == 2;
}

/* Other bytes than the header's struct has stay as they were. */
static bool
layout_is_ours(const struct bytes *b)
{
	union {
		blake3_hasher hasher;
		uint8_t room[2 * sizeof(blake3_hasher)];
	} u;
	b3tree_value root;
	size_t i;

	memset(&u, 0xa5, sizeof(u));
	blake3_hasher_init(&u.hasher);
	blake3_hasher_update(&u.hasher, b->room, 3 * LEAF + 70);
	if (!fields_are_ours(&u.hasher))
		return false;
	blake3_hasher_finalize(&u.hasher, root, sizeof(root));
	for (i = sizeof(blake3_hasher); i < sizeof(u.room); i++)
		if (u.room[i] != 0xa5)
			return false;
	return true;
}

/* One chunk of the pattern, in pieces. */
static int
chunk_of(const struct bytes *b, uint64_t size, unsigned int log, uint64_t index,
    b3tree_value out)
{
	uint64_t at = index << log, end = (index + 1) << log;
	struct b3tree t;
	size_t n;
	int rc;

	if (end > size)
		end = size;
	if ((rc = b3tree_begin(&t, log, index)) != 0)
		return rc;
	for (; at < end; at += n) {
		n = end - at < B3TREE_PIECE ? (size_t)(end - at) : B3TREE_PIECE;
		if ((rc = b3tree_update(&t, b->room + at % PERIOD, n)) != 0)
			return rc;
	}
	return b3tree_chunks(size, log) <= 1 ? b3tree_end_file(&t, out) :
					       b3tree_end(&t, out);
}

/* The file from its chunks, the last one first. */
static int
composed(const struct bytes *b, uint64_t size, unsigned int log,
    b3tree_value root)
{
	uint64_t n = b3tree_chunks(size, log), i;
	b3tree_value value[128];

	if (n <= 1)
		return chunk_of(b, size, log, 0, root);
	if (n > sizeof(value) / sizeof(value[0]))
		return -EINVAL;
	for (i = n; i-- > 0;)
		if (chunk_of(b, size, log, i, value[i]) != 0)
			return -EINVAL;
	return b3tree_root(value, n, root);
}

static const char *
problem(const struct bytes *b)
{
	b3tree_value root;
	size_t i;

	if (!layout_is_ours(b))
		return "blake3_hasher is built otherwise than in its header";
	for (i = 0; i < sizeof(vector) / sizeof(vector[0]); i++) {
		if (composed(b, vector[i].size, B3TREE_LOG_MOST, root) != 0 ||
		    !is_hex(root, vector[i].root))
			return "a known answer came out wrong";
		if (composed(b, vector[i].size,
			vector[i].size < MIB ? B3TREE_LOG_LEAST : 20,
			root) != 0 ||
		    !is_hex(root, vector[i].root))
			return "chunks did not fold to the hash of the whole";
	}
	return NULL;
}

int
b3tree_selftest(const char **why)
{
	struct bytes *b = malloc(sizeof(*b));

	if (b == NULL) {
		*why = "out of memory";
		return -ENOMEM;
	}
	fill(b);
	*why = problem(b);
	free(b);
	return *why == NULL ? 0 : -ENOTSUP;
}
