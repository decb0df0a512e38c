/* SPDX-License-Identifier: ISC */
/*
 * registry.c - the chain of updates that says whom this node believes.
 */
#include <openssl/evp.h>

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attestd/registry.h"
#include "common/b64.h"
#include "common/identity.h"
#include "common/note.h"

#define PREFIX "claw/registry/v1"
#define KEY_PREFIX "ed25519:"
#define CANONICAL (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII)

/* "ed25519:<base64url>" as 32 bytes. */
static bool
key_bytes(const json_t *text, uint8_t out[32])
{
	const char *s = json_string_value(text);

	/* One form alone: a line has one way to be written. */
	return s != NULL && strncmp(s, KEY_PREFIX, strlen(KEY_PREFIX)) == 0 &&
	    identity_parse(s, out) == 0;
}

/* Whether the parsed line, written again, is the very line. */
static bool
is_canonical(const json_t *root, const char *line, size_t len)
{
	char *again = json_dumps(root, CANONICAL);
	bool same = again != NULL && strlen(again) == len &&
	    memcmp(again, line, len) == 0;

	free(again);
	return same;
}

static bool
read_windows(const json_t *u, struct registry *r)
{
	json_int_t soft = json_integer_value(json_object_get(u, "soft_s"));
	json_int_t hard = json_integer_value(json_object_get(u, "hard_s"));

	r->soft_s = (uint32_t)soft;
	r->hard_s = (uint32_t)hard;
	return soft > 0 && hard >= soft && hard <= INT32_MAX;
}

static const char *
read_genesis(const json_t *u, struct registry *r)
{
	const json_t *keys = json_object_get(u, "authorities"), *key;
	const char *op = json_string_value(json_object_get(u, "op"));
	const char *prev = json_string_value(json_object_get(u, "prev"));
	json_int_t k = json_integer_value(json_object_get(u, "threshold"));
	size_t i, n = json_array_size(keys), l;

	if (json_object_size(u) != 9 ||
	    json_integer_value(json_object_get(u, "v")) != 1)
		return "of another version";
	if (op == NULL || strcmp(op, "genesis") != 0 || prev == NULL ||
	    prev[0] != '\0' || !json_is_integer(json_object_get(u, "seq")) ||
	    json_integer_value(json_object_get(u, "seq")) != 0 ||
	    !json_is_integer(json_object_get(u, "time")) || !read_windows(u, r))
		return "not a genesis";
	if (n == 0 || n > REGISTRY_AUTHORITIES_MAX || k < 1 || (size_t)k > n ||
	    (size_t)k * 2 <= n)
		return "its threshold is not more than half of its authorities";
	json_array_foreach(keys, i, key)
	{
		if (!key_bytes(key, r->authority[i]))
			return "an authority that is no key";
		for (l = 0; l < i; l++)
			if (memcmp(r->authority[l], r->authority[i], 32) == 0)
				return "an authority named twice";
	}
	r->authorities = (uint32_t)n;
	r->threshold = (uint32_t)k;
	r->seq = 0;
	return NULL;
}

/* Which authority signed the update; -1: none, or the signature is wrong. */
static int
signer(const json_t *sig, const struct registry *r, const void *msg, size_t len)
{
	const char *text = json_string_value(json_object_get(sig, "sig"));
	uint8_t key[32], raw[64];
	uint32_t i;

	if (json_object_size(sig) != 2 || text == NULL ||
	    !key_bytes(json_object_get(sig, "kid"), key) ||
	    b64_decode(text, strlen(text), raw, sizeof(raw)) != sizeof(raw))
		return -1;
	for (i = 0; i < r->authorities; i++)
		if (memcmp(r->authority[i], key, sizeof(key)) == 0)
			return note_ed25519(key, msg, len, raw) == 0 ? (int)i :
								       -1;
	return -1;
}

static const char *
check_signatures(const json_t *sigs, const json_t *u, const struct registry *r)
{
	uint8_t msg[sizeof(PREFIX) + REGISTRY_LINE_MAX];
	uint32_t seen = 0, count = 0;
	const json_t *sig;
	size_t i, len;
	int who;

	memcpy(msg, PREFIX, sizeof(PREFIX));
	len = json_dumpb(u, (char *)msg + sizeof(PREFIX), REGISTRY_LINE_MAX,
	    CANONICAL);
	if (len == 0 || len > REGISTRY_LINE_MAX)
		return "too long";
	json_array_foreach(sigs, i, sig)
	{
		who = signer(sig, r, msg, sizeof(PREFIX) + len);
		if (who == -1 || (seen & (UINT32_C(1) << who)) != 0)
			return "a signature that is wrong, or there twice";
		seen |= UINT32_C(1) << who;
		count++;
	}
	return count >= r->threshold ? NULL : "too few signatures";
}

const char *
registry_genesis(const char *line, size_t len, const uint8_t pin[32],
    struct registry *out)
{
	const char *why;
	json_t *root, *u;

	memset(out, 0, sizeof(*out));
	if (len > REGISTRY_LINE_MAX ||
	    EVP_Digest(line, len, out->head, NULL, EVP_sha256(), NULL) != 1)
		return "too long";
	if (memcmp(out->head, pin, 32) != 0)
		return "not the genesis that node.registry.genesis pins";
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	u = json_object_get(root, "u");
	if (!json_is_object(u) || json_object_size(root) != 2 ||
	    !json_is_array(json_object_get(root, "sigs")) ||
	    !is_canonical(root, line, len))
		why = "not an update in canonical form";
	else if ((why = read_genesis(u, out)) == NULL)
		why = check_signatures(json_object_get(root, "sigs"), u, out);
	json_decref(root);
	return why;
}

const char *
registry_load(int dirfd, const uint8_t pin[32], struct registry *out)
{
	char line[REGISTRY_LINE_MAX + 2], *end;
	ssize_t n;
	int fd;

	fd =
	    openat(dirfd, "registry.ndjson", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return strerror(errno);
	n = read(fd, line, sizeof(line));
	close(fd);
	if (n <= 0)
		return "empty";
	end = memchr(line, '\n', (size_t)n);
	if (end == NULL)
		return "its first line does not end";
	if (end + 1 != line + n)
		return "it has updates that this version does not know";
	return registry_genesis(line, (size_t)(end - line), pin, out);
}
