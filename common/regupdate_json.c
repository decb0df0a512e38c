/* SPDX-License-Identifier: ISC */
/*
 * regupdate_json.c - updates and rotations as canonical JSON, and what is
 * signed, hashed and made a line of it.
 *
 * The JSON is RFC 8785 by construction: members are written in the order of
 * their names, numbers are integers, and regupdate_check() lets no character
 * into a text that JSON would escape. A new member has to be put in its place.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/capability.h"
#include "common/ed25519.h"
#include "common/regupdate.h"

#define UPDATE_PREFIX "claw/registry/v1"
#define ROTATION_PREFIX "claw/rotation/v1"
#define NEXT_PREFIX "claw/next/v1"

static bool
is_revocation(enum registry_op op)
{
	return op == REGISTRY_NODE_REVOKE || op == REGISTRY_BINARY_REVOKE ||
	    op == REGISTRY_DEVELOPER_REVOKE;
}

static bool
has_windows(enum registry_op op)
{
	return op == REGISTRY_GENESIS || op == REGISTRY_POLICY;
}

static void put_text(struct wbuf *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
put_text(struct wbuf *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (w->failed)
		return;
	va_start(ap, fmt);
	n = vsnprintf((char *)w->data + w->len, w->size - w->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= w->size - w->len)
		w->failed = true;
	else
		w->len += (size_t)n;
}

static void
put_key(struct wbuf *w, const char *kind, const registry_key key)
{
	char text[B64URL_LEN(REGISTRY_KEY_LEN) + 1];

	(void)b64url_encode(key, REGISTRY_KEY_LEN, text, sizeof(text));
	put_text(w, "\"%s:%s\"", kind, text);
}

static void
put_hex(struct wbuf *w, const registry_hash hash)
{
	size_t i;

	for (i = 0; i < REGISTRY_HASH_LEN; i++)
		put_text(w, "%02x", hash[i]);
}

static void
put_hash(struct wbuf *w, const registry_hash hash)
{
	put_text(w, "\"sha256:");
	put_hex(w, hash);
	put_text(w, "\"");
}

static void
put_capabilities(struct wbuf *w, uint64_t mask)
{
	const char *names[CAPABILITIES_MAX];
	size_t i, n = capability_names(mask, names);

	put_text(w, "\"capabilities\":[");
	for (i = 0; i < n; i++)
		put_text(w, "%s\"%s\"", i > 0 ? "," : "", names[i]);
	put_text(w, "],");
}

static void
put_keys(struct wbuf *w, const char *member, const registry_key *keys,
    uint32_t n)
{
	static const registry_key none;
	uint32_t i;

	put_text(w, "\"%s\":[", member);
	for (i = 0; i < n; i++) {
		if (i > 0)
			put_text(w, ",");
		if (memcmp(keys[i], none, sizeof(none)) != 0)
			put_key(w, "ed25519", keys[i]);
		else
			put_text(w, "\"\"");
	}
	put_text(w, "],");
}

/* NODE_ADD and NODE_ANCHOR: what comes before "op". */
static void
put_node(struct wbuf *w, const struct registry_update *u)
{
	const struct registry_node_operands *n = &u->node;
	uint32_t i;

	if (u->op == REGISTRY_NODE_ADD) {
		for (i = 0; i < n->addresses; i++)
			put_text(w, "%s\"%s\"",
			    i == 0 ? "\"addresses\":[" : ",", n->address[i]);
		if (n->addresses > 0)
			put_text(w, "],");
		put_capabilities(w, n->capabilities);
		if (n->expiry_s != 0)
			put_text(w, "\"expiry\":%" PRIu64 ",", n->expiry_s);
	} else {
		put_text(w, "\"event\":");
		put_hash(w, n->event);
		put_text(w, ",");
	}
	put_text(w, "\"identity\":");
	put_key(w, "ed25519", n->identity);
	if (u->op == REGISTRY_NODE_ANCHOR)
		put_text(w, ",\"ksn\":%" PRIu64, n->ksn);
	put_text(w, ",\"name\":\"%s\",", n->name);
	if (n->has_next) {
		put_text(w, "\"next\":");
		put_hash(w, n->next);
		put_text(w, ",");
	}
}

static void
put_resolve(struct wbuf *w, const struct registry_resolve_operands *r)
{
	uint32_t i;

	put_text(w, "\"chosen\":");
	put_hash(w, r->chosen);
	put_text(w, ",\"common\":%" PRIu64 ",\"heads\":[", r->common);
	for (i = 0; i < r->heads; i++) {
		put_text(w, "%s", i > 0 ? "," : "");
		put_hash(w, r->head[i]);
	}
	put_text(w, "],");
}

/* Members whose names come before "op". */
static void
put_before_op(struct wbuf *w, const struct registry_update *u)
{
	switch (u->op) {
	case REGISTRY_GENESIS:
	case REGISTRY_AUTHORITIES:
		put_keys(w, "authorities", u->set.authority, u->set.count);
		if (u->set.has_fresh)
			put_keys(w, "fresh", u->set.fresh, u->set.count);
		break;
	case REGISTRY_NODE_ADD:
	case REGISTRY_NODE_ANCHOR:
		put_node(w, u);
		break;
	case REGISTRY_NODE_REVOKE:
		put_text(w, "\"name\":\"%s\",", u->node.name);
		break;
	case REGISTRY_BINARY_ALLOW:
		put_capabilities(w, u->binary.capabilities);
		put_text(w, "\"channel\":\"%s\",\"name\":\"%s\",",
		    u->binary.channel, u->binary.name);
		break;
	case REGISTRY_DEVELOPER_ADD:
		put_text(w, "\"key\":");
		put_key(w, "ed25519", u->developer.key);
		put_text(w, ",\"name\":\"%s\",", u->developer.name);
		break;
	case REGISTRY_DEVELOPER_REVOKE:
		put_text(w, "\"name\":\"%s\",", u->developer.name);
		break;
	case REGISTRY_RESOLVE:
		put_resolve(w, &u->resolve);
		break;
	case REGISTRY_BINARY_REVOKE:
	case REGISTRY_POLICY:
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
	if (has_windows(u->op))
		put_text(w, "\"hard_s\":%" PRIu32 ",", u->windows.hard_s);
}

/* Members after "prev" except "time" and "v". */
static void
put_after_prev(struct wbuf *w, const struct registry_update *u)
{
	if (is_revocation(u->op) && u->reason[0] != '\0')
		put_text(w, "\"reason\":\"%s\",", u->reason);
	if (u->op == REGISTRY_NODE_ADD || u->op == REGISTRY_NODE_ANCHOR) {
		put_text(w, "\"sealing\":");
		put_key(w, "x25519", u->node.sealing);
		put_text(w, ",");
	}
	put_text(w, "\"seq\":%" PRIu64 ",", u->seq);
	if (u->op == REGISTRY_BINARY_ALLOW || u->op == REGISTRY_BINARY_REVOKE) {
		put_text(w, "\"sha256\":\"");
		put_hex(w, u->binary.sha256);
		put_text(w, "\",");
	}
	if (has_windows(u->op))
		put_text(w, "\"soft_s\":%" PRIu32 ",", u->windows.soft_s);
	if (u->op == REGISTRY_GENESIS || u->op == REGISTRY_AUTHORITIES)
		put_text(w, "\"threshold\":%" PRIu32 ",", u->set.threshold);
}

static ssize_t
text_end(struct wbuf *w)
{
	/* put_text() leaves a NUL behind. */
	return w->failed ? -ENOSPC : (ssize_t)w->len;
}

ssize_t
regupdate_json(const struct registry_update *u, char *out, size_t size)
{
	struct wbuf w;

	if (regupdate_check(u) != NULL)
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_text(&w, "{");
	put_before_op(&w, u);
	put_text(&w, "\"op\":\"%s\",\"prev\":", regupdate_op_name(u->op));
	if (u->op == REGISTRY_GENESIS)
		put_text(&w, "\"\"");
	else
		put_hash(&w, u->prev);
	put_text(&w, ",");
	put_after_prev(&w, u);
	put_text(&w, "\"time\":%" PRIu64 ",\"v\":%" PRIu32, u->time_s, u->v);
	if (u->op == REGISTRY_BINARY_ALLOW)
		put_text(&w, ",\"version\":\"%s\"", u->binary.version);
	if (u->op == REGISTRY_NODE_ADD && u->node.zone[0] != '\0')
		put_text(&w, ",\"zone\":\"%s\"", u->node.zone);
	put_text(&w, "}");
	return text_end(&w);
}

ssize_t
regupdate_rotation_json(const struct registry_rotation *r, char *out,
    size_t size)
{
	struct wbuf w;

	if (regupdate_check_rotation(r) != NULL)
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_text(&w, "{\"identity\":");
	put_key(&w, "ed25519", r->identity);
	put_text(&w, ",\"ksn\":%" PRIu64 ",\"name\":\"%s\",", r->ksn, r->name);
	if (r->has_next) {
		put_text(&w, "\"next\":");
		put_hash(&w, r->next);
		put_text(&w, ",");
	}
	put_text(&w, "\"prev\":");
	put_hash(&w, r->prev);
	put_text(&w, ",\"sealing\":");
	put_key(&w, "x25519", r->sealing);
	put_text(&w, ",\"time\":%" PRIu64 ",\"v\":%" PRIu32 "}", r->time_s,
	    r->v);
	return text_end(&w);
}

/* --- what is signed and hashed ------------------------------------------- */

static ssize_t
with_prefix(const char *prefix, ssize_t json)
{
	return json < 0 ? json : (ssize_t)strlen(prefix) + 1 + json;
}

ssize_t
regupdate_signed_bytes(const struct registry_update *u, void *out, size_t size)
{
	size_t head = sizeof(UPDATE_PREFIX);

	if (size < head)
		return -ENOSPC;
	memcpy(out, UPDATE_PREFIX, head);
	return with_prefix(UPDATE_PREFIX,
	    regupdate_json(u, (char *)out + head, size - head));
}

ssize_t
regupdate_rotation_signed_bytes(const struct registry_rotation *r, void *out,
    size_t size)
{
	size_t head = sizeof(ROTATION_PREFIX);

	if (size < head)
		return -ENOSPC;
	memcpy(out, ROTATION_PREFIX, head);
	return with_prefix(ROTATION_PREFIX,
	    regupdate_rotation_json(r, (char *)out + head, size - head));
}

static int
digest(const void *data, ssize_t len, registry_hash out)
{
	if (len < 0)
		return (int)len;
	return EVP_Digest(data, (size_t)len, out, NULL, EVP_sha256(), NULL) ==
		1 ?
	    0 :
	    -EIO;
}

int
regupdate_hash(const struct registry_update *u, registry_hash out)
{
	uint8_t msg[REGUPDATE_SIGNED_MAX];

	return digest(msg, regupdate_signed_bytes(u, msg, sizeof(msg)), out);
}

int
regupdate_digest(const struct registry_update *u, registry_hash out)
{
	uint8_t bytes[REGUPDATE_BYTES_MAX];
	struct registry_update bare = *u;

	bare.v = REGISTRY_VERSION;
	bare.seq = u->op == REGISTRY_GENESIS ? 0 :
	    u->op == REGISTRY_RESOLVE	     ? u->resolve.common + 2 :
					       1;
	memset(bare.prev, 0, sizeof(bare.prev));
	if (u->op == REGISTRY_RESOLVE)
		memcpy(bare.prev, u->resolve.chosen, sizeof(bare.prev));
	bare.time_s = 0;
	return digest(bytes, regupdate_put(&bare, bytes, sizeof(bytes)), out);
}

int
regupdate_rotation_hash(const struct registry_rotation *r, registry_hash out)
{
	uint8_t msg[REGUPDATE_SIGNED_MAX];

	return digest(msg, regupdate_rotation_signed_bytes(r, msg, sizeof(msg)),
	    out);
}

int
regupdate_next_hash(const registry_key key, registry_hash out)
{
	uint8_t msg[sizeof(NEXT_PREFIX) + REGISTRY_KEY_LEN];

	memcpy(msg, NEXT_PREFIX, sizeof(NEXT_PREFIX));
	memcpy(msg + sizeof(NEXT_PREFIX), key, REGISTRY_KEY_LEN);
	return digest(msg, sizeof(msg), out);
}

int
regupdate_verify(const struct registry_signature *s, const void *msg,
    size_t len)
{
	return ed25519_verify(s->kid, msg, len, s->sig) == 0 ? 0 :
							       -EKEYREJECTED;
}

/* --- lines --------------------------------------------------------------- */

static void
put_signature(struct wbuf *w, const struct registry_signature *s, bool first)
{
	char sig[B64_LEN(REGISTRY_SIG_LEN) + 1];

	(void)b64_encode(s->sig, sizeof(s->sig), sig, sizeof(sig));
	put_text(w, "%s{\"kid\":", first ? "" : ",");
	put_key(w, "ed25519", s->kid);
	put_text(w, ",\"sig\":\"%s\"}", sig);
}

ssize_t
regupdate_line(const struct registry_update *u,
    const struct registry_signature *sigs, size_t n, char *out, size_t size)
{
	const struct registry_signature *order[REGISTRY_SIGS_MAX];
	struct wbuf w;
	ssize_t json;
	size_t i, k;

	if (n > REGISTRY_SIGS_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		for (k = i; k > 0; k--) {
			int d = memcmp(order[k - 1]->kid, sigs[i].kid,
			    REGISTRY_KEY_LEN);

			if (d == 0)
				return -EINVAL;
			if (d < 0)
				break;
			order[k] = order[k - 1];
		}
		order[k] = &sigs[i];
	}
	wbuf_init(&w, out, size);
	put_text(&w, "{\"sigs\":[");
	for (i = 0; i < n; i++)
		put_signature(&w, order[i], i == 0);
	put_text(&w, "],\"u\":");
	if (w.failed)
		return -ENOSPC;
	json = regupdate_json(u, out + w.len, size - w.len);
	if (json < 0)
		return json;
	w.len += (size_t)json;
	put_text(&w, "}");
	return text_end(&w);
}

ssize_t
regupdate_rotation_line(const struct registry_rotation *r,
    const struct registry_signature *sigs, size_t n, char *out, size_t size)
{
	struct wbuf w;
	ssize_t json;
	size_t i;

	if (n > 2)
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_text(&w, "{\"r\":");
	if (w.failed)
		return -ENOSPC;
	json = regupdate_rotation_json(r, out + w.len, size - w.len);
	if (json < 0)
		return json;
	w.len += (size_t)json;
	put_text(&w, ",\"sigs\":[");
	for (i = 0; i < n; i++)
		put_signature(&w, &sigs[i], i == 0);
	put_text(&w, "]}");
	return text_end(&w);
}
