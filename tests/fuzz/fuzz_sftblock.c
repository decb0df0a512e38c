/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sftblock.c - the blocks of a compressed chunk, as a peer sends them: any
 * bytes.
 *
 * The first two bytes say how long the chunk is; then it is read as xferd reads
 * it, block after block, each into a buffer of exactly its length, so that one
 * byte too many is found. What goes in packed by ourselves comes out again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/sftblock.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct sftblock_packer *packer;
static struct sftblock_unpacker *unpacker;

static void
prepare(void)
{
	if (packer == NULL)
		packer = sftblock_packer_new();
	if (unpacker == NULL)
		unpacker = sftblock_unpacker_new();
	if (packer == NULL || unpacker == NULL)
		abort();
}

static void
both_ways(const uint8_t *data, size_t n)
{
	uint8_t *out = malloc(n), *back = malloc(n);
	size_t len;

	if (out == NULL || back == NULL)
		abort();
	len = sftblock_pack(packer, data, n, out, n - 1);
	if (len >= n ||
	    (len > 0 &&
		(sftblock_unpack(unpacker, out, len, back, n) != 0 ||
		    memcmp(back, data, n) != 0)))
		abort();
	free(out);
	free(back);
}

/* One block; how many bytes it was, 0: none. */
static size_t
block(const uint8_t *data, size_t len, size_t n)
{
	uint8_t again[SFTBLOCK_HEAD_LEN], *in, *out;
	struct sftblock_head h;

	if (len < SFTBLOCK_HEAD_LEN || sftblock_head_parse(data, n, &h) != 0)
		return 0;
	sftblock_head_format(&h, again);
	if (memcmp(again, data, sizeof(again)) != 0 || h.len == 0 || h.len > n)
		abort();
	if (len - SFTBLOCK_HEAD_LEN < h.len)
		return 0;
	if (!h.stored) {
		in = malloc(h.len);
		out = malloc(n);
		if (in == NULL || out == NULL)
			abort();
		memcpy(in, data + SFTBLOCK_HEAD_LEN, h.len);
		(void)sftblock_unpack(unpacker, in, h.len, out, n);
		free(in);
		free(out);
	}
	return SFTBLOCK_HEAD_LEN + h.len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t left, n, used;

	if (len < 2)
		return 0;
	prepare();
	left = 1 + 4 * (size_t)(data[0] << 8 | data[1]);
	data += 2;
	len -= 2;
	if (len > 1)
		both_ways(data, len < SFTBLOCK_SIZE ? len : SFTBLOCK_SIZE);
	for (; left > 0; left -= n, data += used, len -= used) {
		n = left < SFTBLOCK_SIZE ? left : SFTBLOCK_SIZE;
		if ((used = block(data, len, n)) == 0)
			break;
	}
	return 0;
}
