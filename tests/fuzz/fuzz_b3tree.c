/* SPDX-License-Identifier: ISC */
/*
 * fuzz_b3tree.c - a file hashed in chunks, in any order and in any pieces, has
 * the hash that it has as a whole; and values fold to those of larger chunks.
 *
 * The input says how: size of chunks, of pieces, of the file, the order; what
 * is left of it is repeated to be the file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/b3tree.h"

#define SIZE_MOST (192 * 1024)
#define CHUNKS_MOST (SIZE_MOST / 1024 + 1)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static uint8_t file[SIZE_MOST];
static b3tree_value value[CHUNKS_MOST];

struct how {
	unsigned int log;
	size_t size, piece, stride, first;
};

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static size_t
u16(const uint8_t *p)
{
	return (size_t)(p[0] | p[1] << 8);
}

static void
chunk(struct b3tree *t, const struct how *h, unsigned int log, size_t index)
{
	size_t at = index << log, end = (index + 1) << log, n;

	if (end > h->size)
		end = h->size;
	must(b3tree_begin(t, log, index) == 0);
	for (; at < end; at += n) {
		n = end - at < h->piece ? end - at : h->piece;
		must(b3tree_update(t, file + at, n) == 0);
	}
}

/* Every chunk once: a stride that shares no factor with their number. */
static void
hash_chunks(const struct how *h, size_t n)
{
	size_t stride = h->stride % n, a, b, r, i, at = h->first % n;
	struct b3tree t;

	for (;; stride++) {
		for (a = n, b = stride; b != 0; a = b, b = r)
			r = a % b;
		if (a == 1)
			break;
	}
	for (i = 0; i < n; i++, at = (at + stride) % n) {
		chunk(&t, h, h->log, at);
		must(b3tree_end(&t, value[at]) == 0);
	}
}

/* Values of chunks four times as large, each of at most four of ours. */
static void
check_nesting(const struct how *h, size_t n)
{
	b3tree_value large, folded;
	struct b3tree t;
	size_t i;

	for (i = 0; n > 4 && 4 * i < n; i++) {
		chunk(&t, h, h->log + 2, i);
		must(b3tree_end(&t, large) == 0 &&
		    b3tree_fold(value + 4 * i, n - 4 * i < 4 ? n - 4 * i : 4,
			folded) == 0 &&
		    memcmp(large, folded, sizeof(large)) == 0);
	}
}

static void
make_file(const struct how *h, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < h->size; i++)
		file[i] = (uint8_t)((len > 0 ? data[i % len] : 0) + i / 1024);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	b3tree_value want, got;
	struct b3tree t;
	blake3_hasher whole;
	struct how h;
	size_t n;

	if (len < 10)
		return 0;
	h.log = B3TREE_LOG_LEAST + data[0] % 8;
	h.size = (u16(data + 1) << 2 | data[3] % 4) % (SIZE_MOST + 1);
	h.piece = u16(data + 4) + 1;
	/* Single bytes of a large file take their time and show no more. */
	if (h.piece < h.size / 4096)
		h.piece = h.size / 4096;
	h.stride = u16(data + 6);
	h.first = u16(data + 8);
	make_file(&h, data + 10, len - 10);

	blake3_hasher_init(&whole);
	blake3_hasher_update(&whole, file, h.size);
	blake3_hasher_finalize(&whole, want, sizeof(want));
	n = (size_t)b3tree_chunks(h.size, h.log);
	if (n == 1) {
		chunk(&t, &h, h.log, 0);
		must(b3tree_end_file(&t, got) == 0);
	} else {
		if (n > 1)
			hash_chunks(&h, n);
		must(b3tree_root(value, n, got) == 0);
		check_nesting(&h, n);
	}
	must(memcmp(want, got, sizeof(want)) == 0);
	return 0;
}
