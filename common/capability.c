/* SPDX-License-Identifier: ISC */
/*
 * capability.c - names and bits of policy/capabilities.def.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/capability.h"

static const struct {
	uint64_t mask;
	const char *name;
	const char *what;
} table[] = {
#define CAPABILITY(id, bit, name, what) { UINT64_C(1) << (bit), name, what },
#include "policy/capabilities.def"
#undef CAPABILITY
};

#define TABLE_LEN (sizeof(table) / sizeof(table[0]))

uint64_t
capability_all(void)
{
	uint64_t mask = 0;
	size_t i;

	for (i = 0; i < TABLE_LEN; i++)
		mask |= table[i].mask;
	return mask;
}

uint64_t
capability_of(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < TABLE_LEN; i++)
		if (strlen(table[i].name) == len &&
		    memcmp(table[i].name, name, len) == 0)
			return table[i].mask;
	return 0;
}

size_t
capability_names(uint64_t mask, const char *names[CAPABILITIES_MAX])
{
	size_t i, k, n = 0;

	for (i = 0; i < TABLE_LEN; i++) {
		if ((mask & table[i].mask) == 0)
			continue;
		for (k = n; k > 0 && strcmp(names[k - 1], table[i].name) > 0;
		     k--)
			names[k] = names[k - 1];
		names[k] = table[i].name;
		n++;
	}
	return n;
}

const char *
capability_text(const char *name)
{
	size_t i;

	for (i = 0; i < TABLE_LEN; i++)
		if (strcmp(table[i].name, name) == 0)
			return table[i].what;
	return NULL;
}

ssize_t
capability_list(uint64_t mask, char *out, size_t size)
{
	const char *names[CAPABILITIES_MAX];
	size_t i, n, l, len = 0;

	if ((mask & ~capability_all()) != 0)
		return -EINVAL;
	if (size == 0)
		return -ENOSPC;
	n = capability_names(mask, names);
	for (i = 0; i < n; i++) {
		l = strlen(names[i]);
		if (l + 1 >= size - len)
			return -ENOSPC;
		if (i > 0)
			out[len++] = ',';
		memcpy(out + len, names[i], l);
		len += l;
	}
	out[len] = '\0';
	return (ssize_t)len;
}

int
capability_parse(const char *list, uint64_t *mask)
{
	size_t len;
	uint64_t bit;

	*mask = 0;
	while (*list != '\0') {
		len = strcspn(list, ",");
		bit = capability_of(list, len);
		if (bit == 0 || (*mask & bit) != 0)
			return -EINVAL;
		*mask |= bit;
		list += len;
		/* A comma that nothing follows names nothing. */
		if (*list == ',' && *++list == '\0')
			return -EINVAL;
	}
	return 0;
}

int
capability_digest(uint64_t mask, uint8_t out[32])
{
	uint8_t raw[8];
	struct wbuf w;

	wbuf_init(&w, raw, sizeof(raw));
	wbuf_u64(&w, mask);
	return EVP_Digest(raw, sizeof(raw), out, NULL, EVP_sha256(), NULL) ==
		1 ?
	    0 :
	    -EIO;
}
