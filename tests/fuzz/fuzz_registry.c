/* SPDX-License-Identifier: ISC */
/*
 * fuzz_registry.c - the registry's first line: any bytes, pinned as they are.
 *
 * What is taken names each authority once and asks for more than half.
 */
#include <stdlib.h>

#include "attestd/registry.h"
#include "common/merkle.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct registry r;
	uint8_t pin[32];

	merkle_sha256(data, len, pin);
	if (registry_genesis((const char *)data, len, pin, &r) == NULL &&
	    (r.authorities == 0 || r.authorities > REGISTRY_AUTHORITIES_MAX ||
		r.threshold * 2 <= r.authorities || r.hard_s < r.soft_s))
		abort();
	pin[0] ^= 1;
	if (registry_genesis((const char *)data, len, pin, &r) == NULL)
		abort();
	return 0;
}
