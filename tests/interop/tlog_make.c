/* SPDX-License-Identifier: ISC */
/*
 * tlog_make.c - an audit log and proofs over it, for software that we did not
 * write to judge.  Usage: tlog_make; prints the directory and then a line per
 * fact, all hashes in base64:
 *   dir PATH | vkey KEY | incl INDEX SIZE ROOT LEAF HASH...
 *   cons OLD OLDROOT SIZE ROOT HASH...
 * The caller removes the directory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/auditkit.h"
#include "common/b64.h"
#include "common/merkle.h"

#define MAX_LINES 70000

static void
put(const uint8_t *h)
{
	char b64[B64_LEN(MERKLE_HASH_LEN) + 1];

	b64_encode(h, MERKLE_HASH_LEN, b64, sizeof(b64));
	printf(" %s", b64);
}

static void
inclusion(const merkle_hash *leaf, uint64_t n, uint64_t i)
{
	merkle_hash p[MERKLE_PROOF_MAX], root;
	int k, c = merkle_prove_inclusion(leaf, n, i, p);

	merkle_root_of(leaf, n, root);
	printf("incl %" PRIu64 " %" PRIu64, i, n);
	put(root);
	put(leaf[i]);
	for (k = 0; k < c; k++)
		put(p[k]);
	putchar('\n');
}

static void
consistency(uint64_t m, const merkle_hash rootm, uint64_t n,
    const merkle_hash rootn, const merkle_hash *p, int c)
{
	int k;

	printf("cons %" PRIu64, m);
	put(rootm);
	printf(" %" PRIu64, n);
	put(rootn);
	for (k = 0; k < c; k++)
		put(p[k]);
	putchar('\n');
}

/* Checkpoints at odd sizes, each with the proof that keyd gets. */
static void
grow(struct kit_node *n, struct shard *s, uint64_t lines)
{
	merkle_hash p[MERKLE_PROOF_MAX], old, new;
	uint64_t m;
	int c;

	while (shard_size(s) < lines) {
		m = shard_checkpoint_size(s);
		if (m != 0)
			shard_root(s, m, old);
		kit_fill(s,
		    m < 20 ? 3 :
			m / 3 + 1 > lines - shard_size(s) ?
			     lines - shard_size(s) :
			     m / 3 + 1);
		shard_root(s, shard_size(s), new);
		c = shard_consistency(s, shard_size(s), p);
		if (m != 0)
			consistency(m, old, shard_size(s), new,
			    (const merkle_hash *)p, c);
		if (kit_checkpoint(n, s) != 0)
			abort();
	}
}

int
main(int argc, char **argv)
{
	uint64_t i, lines = argc > 1 ? strtoull(argv[1], NULL, 10) : 65793;
	merkle_hash *leaf;
	struct kit_node n;
	struct shard *s;
	char path[340], *data, *p, *nl;
	size_t len;

	if (lines > MAX_LINES || lines < 300)
		return 64;
	kit_node(&n);
	printf("dir %s/2026-11\n", n.dir);
	s = kit_open(&n, "2026-11", NULL);
	grow(&n, s, lines);
	shard_close(s);
	printf("vkey %s\n", n.vkey_text);
	snprintf(path, sizeof(path), "%s/2026-11/log.ndjson", n.dir);
	kit_read_file(path, &data, &len);
	if ((leaf = calloc(lines, sizeof(*leaf))) == NULL)
		return 1;
	for (i = 0, p = data; i < lines; i++, p = nl + 1) {
		nl = strchr(p, '\n');
		merkle_leaf(p, (size_t)(nl - p), leaf[i]);
	}
	for (i = 0; i < 200; i++)
		inclusion((const merkle_hash *)leaf, lines, i * (lines / 200));
	for (i = 0; i < 300; i += 7)
		inclusion((const merkle_hash *)leaf, i + 1, i / 2);
	inclusion((const merkle_hash *)leaf, lines, lines - 1);
	free(leaf);
	free(data);
	kit_key_free(&n.identity);
	kit_key_free(&n.log);
	return 0;
}
