/* SPDX-License-Identifier: ISC */
/*
 * fuzz_auditrec.c - attributes of a record: any bytes.
 *
 * What is read stays within the record and its definition, and is read as
 * the same when it is written again.
 */
#include <stdlib.h>
#include <string.h>

#include "common/auditrec.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
write_again(const struct auditrec_attr *a, int n, const uint8_t *data,
    size_t len)
{
	static struct auditrec r;
	unsigned int number;
	int i;

	auditrec_init(&r, AUDIT_NOTE, AUDIT_SINGLE, AUDIT_OK);
	for (i = 0; i < n; i++) {
		for (number = 0; audit_attr_def(number) != a[i].def;)
			number++;
		if (number >= 128)
			abort();
		if (a[i].def->type == AUDIT_NUM)
			auditrec_num(&r, (enum audit_attr)number, a[i].num);
		else
			auditrec_bytes(&r, (enum audit_attr)number, a[i].data,
			    a[i].len);
	}
	if (r.w.failed || r.w.len != len || memcmp(r.attrs, data, len) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct auditrec_attr a[AUDITREC_MAX_ATTRS];
	int i, n;

	if (len > AUDITREC_MAX_LEN)
		return 0;
	n = auditrec_read(data, len, a);
	for (i = 0; i < n; i++)
		if (a[i].def->type != AUDIT_NUM &&
		    (a[i].data < data || a[i].len > a[i].def->max ||
			a[i].data + a[i].len > data + len))
			abort();
	if (n >= 0)
		write_again(a, n, data, len);
	return 0;
}
