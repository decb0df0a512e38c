/* SPDX-License-Identifier: ISC */
/*
 * fuzz_note.c - signed notes, vkeys and checkpoints: any bytes.
 *
 * A checkpoint that is read must be written again as the same bytes, and so
 * must a vkey.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
checkpoint(const char *s, size_t len)
{
	struct note_checkpoint c;
	char again[NOTE_BODY_MAX];
	ssize_t n;

	if (note_checkpoint_parse(s, len, &c) != 0)
		return;
	n = note_checkpoint_format(&c, again, sizeof(again));
	if (n != (ssize_t)len || memcmp(again, s, len) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t pub[32] = { 1 };
	struct note_vkey keys[2], v;
	char again[NOTE_VKEY_MAX];
	const char *s = (const char *)data;
	struct note n;
	ssize_t k;

	if (note_vkey_parse(s, len, &v) == 0) {
		k = note_vkey_format(&v, again, sizeof(again));
		if (k != (ssize_t)len || memcmp(again, s, len) != 0)
			abort();
	}
	checkpoint(s, len);
	if (note_parse(s, len, &n) != 0)
		return 0;
	checkpoint(n.text, n.text_len);
	note_vkey_make(&keys[0], "n", NOTE_ED25519, pub);
	note_vkey_make(&keys[1], "w", NOTE_COSIGNATURE, pub);
	/* The key of the note's own first signature, so that it is tried. */
	if (n.nsigs > 0)
		keys[0].id = n.sig[0].id;
	(void)note_verify(&n, keys, 2, NULL, NULL);
	return 0;
}
