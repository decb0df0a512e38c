/* SPDX-License-Identifier: ISC */
/*
 * joinreq.c - the request of a node that joins by file.
 *
 * There is one spelling of a request, so it is read by its fixed parts and
 * then compared with what would have been written.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/ed25519.h"
#include "common/identity.h"
#include "common/joinreq.h"
#include "common/nodename.h"

static const char label[] = "claw/request/v1"; /* NUL included */

bool
joinreq_has_next(const struct joinreq *j)
{
	static const uint8_t none[32];

	return memcmp(j->next, none, sizeof(none)) != 0;
}

ssize_t
joinreq_signed_bytes(const struct joinreq *j, uint8_t *out, size_t size)
{
	size_t n = strnlen(j->name, sizeof(j->name));
	struct wbuf w;

	if (!nodename_ok(j->name, n))
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_put(&w, label, sizeof(label));
	wbuf_bytes(&w, j->name, n);
	wbuf_put(&w, j->identity, sizeof(j->identity));
	wbuf_put(&w, j->sealing, sizeof(j->sealing));
	wbuf_put(&w, j->next, sizeof(j->next));
	netaddr_put(&w, &j->at);
	return w.failed ? -ENOSPC : (ssize_t)w.len;
}

#define NEXT_SIZE 72 /* of "sha256:...", with its NUL */
#define ADDRESSES_SIZE (NETADDR_MAX * (NETADDR_SIZE + 3) + 1)

static void
next_text(bool has_next, const uint8_t next[32], char out[NEXT_SIZE])
{
	size_t i;

	out[0] = '\0';
	if (!has_next)
		return;
	snprintf(out, NEXT_SIZE, "sha256:");
	for (i = 0; i < 32; i++)
		snprintf(out + 7 + 2 * i, 3, "%02x", next[i]);
}

/* What is written differently is found when it is written again. */
static bool
next_parse(const char *text, uint8_t next[32])
{
	unsigned int byte;
	size_t i;

	if (text[0] == '\0')
		return true;
	if (strlen(text) != 7 + 64)
		return false;
	for (i = 0; i < 32; i++) {
		if (sscanf(text + 7 + 2 * i, "%2x", &byte) != 1)
			return false;
		next[i] = (uint8_t)byte;
	}
	return true;
}

/* They have no character that JSON escapes. */
static void
addresses_text(const struct netaddr_list *l, char out[ADDRESSES_SIZE])
{
	size_t i, at = 0;

	out[0] = '\0';
	for (i = 0; i < l->n; i++)
		at += (size_t)snprintf(out + at, ADDRESSES_SIZE - at,
		    "%s\"%s\"", i == 0 ? "" : ",", l->text[i]);
}

ssize_t
joinreq_format(const struct joinreq *j, char *out, size_t size)
{
	char key[IDENTITY_TEXT_SIZE], sealing[B64URL_LEN(32) + 1];
	char sig[B64_LEN(64) + 1], next[NEXT_SIZE], at[ADDRESSES_SIZE];
	int n;

	if (!nodename_ok(j->name, strnlen(j->name, sizeof(j->name))))
		return -EINVAL;
	identity_text(j->identity, key);
	next_text(joinreq_has_next(j), j->next, next);
	addresses_text(&j->at, at);
	if (b64url_encode(j->sealing, 32, sealing, sizeof(sealing)) < 0 ||
	    b64_encode(j->sig, 64, sig, sizeof(sig)) < 0)
		return -EINVAL;
	n = snprintf(out, size,
	    "{\"addresses\":[%s],\"identity\":\"%s\",\"name\":\"%s\","
	    "\"next\":\"%s\",\"sealing\":\"x25519:%s\",\"sig\":\"%s\",\"v\":1}",
	    at, key, j->name, next, sealing, sig);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

/* The text between this and the next quote; *at goes behind it. */
static bool
take(const char **at, const char *before, char *out, size_t size)
{
	size_t skip = strlen(before), n;

	if (strncmp(*at, before, skip) != 0)
		return false;
	*at += skip;
	n = strcspn(*at, "\"");
	if (n >= size)
		return false;
	memcpy(out, *at, n);
	out[n] = '\0';
	*at += n;
	return true;
}

static bool
read_addresses(const char **at, struct netaddr_list *l)
{
	static const char begin[] = "{\"addresses\":[";
	char one[NETADDR_SIZE];

	if (strncmp(*at, begin, sizeof(begin) - 1) != 0)
		return false;
	*at += sizeof(begin) - 1;
	while (**at == '"' || (l->n > 0 && **at == ',')) {
		if (!take(at, l->n > 0 ? ",\"" : "\"", one, sizeof(one)) ||
		    netaddr_add(l, one) != NULL || **at != '"')
			return false;
		(*at)++;
	}
	return true;
}

static bool
read_fields(const char *at, struct joinreq *j)
{
	char key[IDENTITY_TEXT_SIZE], sealing[64], sig[128], next[NEXT_SIZE];

	return read_addresses(&at, &j->at) &&
	    take(&at, "],\"identity\":\"", key, sizeof(key)) &&
	    take(&at, "\",\"name\":\"", j->name, sizeof(j->name)) &&
	    take(&at, "\",\"next\":\"", next, sizeof(next)) &&
	    take(&at, "\",\"sealing\":\"x25519:", sealing, sizeof(sealing)) &&
	    take(&at, "\",\"sig\":\"", sig, sizeof(sig)) &&
	    identity_parse(key, j->identity) == 0 &&
	    next_parse(next, j->next) &&
	    b64url_decode(sealing, strlen(sealing), j->sealing, 32) == 32 &&
	    b64_decode(sig, strlen(sig), j->sig, 64) == 64;
}

int
joinreq_parse(const char *text, size_t len, struct joinreq *j)
{
	char copy[JOINREQ_TEXT_MAX], again[JOINREQ_TEXT_MAX];
	uint8_t bytes[JOINREQ_SIGNED_MAX];
	ssize_t n;

	memset(j, 0, sizeof(*j));
	if (len >= sizeof(copy))
		return -EBADMSG;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!read_fields(copy, j))
		return -EBADMSG;
	n = joinreq_format(j, again, sizeof(again));
	if (n < 0 || (size_t)n != len || memcmp(again, text, len) != 0)
		return -EBADMSG;
	n = joinreq_signed_bytes(j, bytes, sizeof(bytes));
	if (n < 0)
		return -EBADMSG;
	return ed25519_verify(j->identity, bytes, (size_t)n, j->sig);
}
