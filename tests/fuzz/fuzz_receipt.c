/* SPDX-License-Identifier: ISC */
/*
 * fuzz_receipt.c - seals and receipts of a peer, and receipts as files: any
 * bytes.
 *
 * Bytes that are read are written again as the same bytes; a file that is
 * read is written as a file that says the same. Nobody's signature fits.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
same(const uint8_t *data, size_t len, const uint8_t *again, ssize_t n)
{
	if (n != (ssize_t)len || memcmp(again, data, len) != 0)
		abort();
}

static void
as_file(const struct receipt_file *f)
{
	static char text[RECEIPT_JSON_MAX];
	struct receipt_file back;
	const char *why;
	ssize_t n;

	n = receipt_json_write(f, text, sizeof(text));
	if (n < 0 || receipt_json_read(text, (size_t)n, &back, &why) != 0 ||
	    memcmp(&back, f, sizeof(back)) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct receipt_file f;
	static const uint8_t key[32] = { 9 };
	uint8_t again[RECEIPT_MAX];
	struct receipt_seal seal;
	const char *why;

	if (receipt_seal_parse(data, len, &seal) == 0) {
		same(data, len, again,
		    receipt_seal_format(&seal, again, sizeof(again)));
		if (receipt_seal_verify(&seal, key) == 0)
			abort();
	}
	memset(&f, 0, sizeof(f));
	if (receipt_parse(data, len, &f.receipt) == 0) {
		same(data, len, again,
		    receipt_format(&f.receipt, again, sizeof(again)));
		if (receipt_verify(&f.receipt, key, key) == 0)
			abort();
		as_file(&f);
	}
	if (receipt_json_read((const char *)data, len, &f, &why) == 0)
		as_file(&f);
	else if (why == NULL)
		abort();
	return 0;
}
