/* SPDX-License-Identifier: ISC */
/*
 * fuzz_tile.c - tile paths, entry bundles, and proofs from strangers.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/merkle.h"
#include "common/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static uint64_t
u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Sizes and hashes as they come; it must end and read nothing else. */
static void
proofs(const uint8_t *data, size_t len)
{
	merkle_hash proof[MERKLE_PROOF_MAX], root = { 0 };
	size_t count;

	if (len < 16)
		return;
	count = (len - 16) / MERKLE_HASH_LEN;
	if (count > MERKLE_PROOF_MAX)
		count = MERKLE_PROOF_MAX;
	memcpy(proof, data + 16, count * MERKLE_HASH_LEN);
	(void)merkle_verify_inclusion(u64(data), u64(data + 8), root,
	    (const merkle_hash *)proof, count, root);
	(void)merkle_verify_consistency(u64(data), root, u64(data + 8), root,
	    (const merkle_hash *)proof, count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char again[TILE_PATH_MAX];
	const uint8_t *entry;
	size_t off = 0, n, sum = 0;
	struct tile t;

	if (tile_path_parse((const char *)data, len, &t) == 0 &&
	    (tile_path(&t, again, sizeof(again)) != (ssize_t)len ||
		memcmp(again, data, len) != 0))
		abort();
	while (tile_entry_next(data, len, &off, &entry, &n) == 1)
		sum += 2 + n;
	if (sum > len)
		abort();
	proofs(data, len);
	return 0;
}
