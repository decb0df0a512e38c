/* SPDX-License-Identifier: ISC */
/*
 * fuzz_bundle.c - a folder that a peer has sent: any bytes, in any pieces.
 *
 * Whole or in pieces it is read alike; what is taken is written again to the
 * same bytes, ascends, and has only names and links that stay below.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct out {
	uint64_t entries, bytes, hash;
	int64_t end;
};

static void
mix(struct out *o, const void *p, size_t n)
{
	const uint8_t *s = p;
	size_t i;

	for (i = 0; i < n; i++)
		o->hash = (o->hash ^ s[i]) * UINT64_C(1099511628211);
}

static void
entry(const struct bundle_reader *r, struct out *o)
{
	uint8_t again[BUNDLE_ENTRY_LEN + SFTNAME_MAX];
	const struct bundle_entry *e = &r->entry;
	ssize_t n = bundle_entry(e, again, sizeof(again));

	if (n < 0 || sftname_check(e->name, e->name_len) != SFTNAME_OK ||
	    strlen((const char *)e->name) != e->name_len)
		abort();
	if (e->type == BUNDLE_LINK &&
	    !bundle_link_ok(e->name, e->name_len, r->target, (size_t)e->size))
		abort();
	mix(o, again, (size_t)n);
	if (e->type == BUNDLE_LINK)
		mix(o, r->target, (size_t)e->size);
	o->entries++;
}

static void
run(const uint8_t *data, size_t len, size_t piece, struct out *o)
{
	static struct bundle_reader r;
	const uint8_t *in, *bytes;
	size_t at = 0, left, n;
	int e;

	memset(o, 0, sizeof(*o));
	bundle_reader_init(&r);
	do {
		in = data + at;
		left = len - at < piece ? len - at : piece;
		at += left;
		while ((e = bundle_next(&r, &in, &left, &bytes, &n)) ==
			BUNDLE_ENTRY ||
		    e == BUNDLE_BYTES) {
			if (e == BUNDLE_ENTRY) {
				entry(&r, o);
				continue;
			}
			if (n == 0 || bytes < data || bytes + n > data + len)
				abort();
			mix(o, bytes, n);
			o->bytes += n;
		}
		/* Done, as far as the pieces before tell. */
	} while ((e == BUNDLE_MORE || e == BUNDLE_DONE) && at < len);
	o->end = e;
	if ((e == BUNDLE_DONE) != bundle_complete(&r) ||
	    (e < 0 && r.why == NULL) ||
	    (e == BUNDLE_DONE &&
		(r.entries != o->entries || r.bytes != o->bytes)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct out whole, pieces;
	size_t piece;

	if (len == 0)
		return 0;
	piece = 1 + data[len - 1] % 64;
	run(data, len, len, &whole);
	run(data, len, piece, &pieces);
	if (memcmp(&whole, &pieces, sizeof(whole)) != 0)
		abort();
	return 0;
}
