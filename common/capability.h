/* SPDX-License-Identifier: ISC */
/*
 * capability.h - names and bits of policy/capabilities.def.
 *
 * In memory and in messages capabilities are a mask of 64 bits, in texts they
 * are names. A name that is not in the table has no bit, a bit that is not in
 * the table has no name.
 */
#ifndef CLAW_COMMON_CAPABILITY_H
#define CLAW_COMMON_CAPABILITY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CAPABILITY(id, bit, name, what) CAPABILITY_BIT_##id = (bit),
enum capability_bit {
#include "policy/capabilities.def"
};
#undef CAPABILITY

#define CAPABILITY_MASK(id) (UINT64_C(1) << CAPABILITY_BIT_##id)

#define CAPABILITIES_MAX 64
/* Every name in one list, with its commas and NUL. */
#define CAPABILITY_LIST_MAX 2048

/*
 * SHA-256 of a mask as eight bytes, highest first: what a leaf says of the
 * capabilities in force. 0, or -EIO if the library fails.
 */
int capability_digest(uint64_t mask, uint8_t out[32]);

/* Every bit that has a name. */
uint64_t capability_all(void);

/* The mask of one name of len bytes; 0: no such capability. */
uint64_t capability_of(const char *name, size_t len);

/* The names of a mask in byte order; how many. Bits without a name: none. */
size_t capability_names(uint64_t mask, const char *names[CAPABILITIES_MAX]);

/* What a name allows, in a few words; NULL: no such capability. */
const char *capability_text(const char *name);

/* "a,b": length without NUL, -ENOSPC, or -EINVAL for a bit without a name. */
ssize_t capability_list(uint64_t mask, char *out, size_t size);

/*
 * Parse "a,b" in any order, "" being none. 0; -EINVAL: a name that is not
 * known, empty, or there twice.
 */
int capability_parse(const char *list, uint64_t *mask);

#endif
