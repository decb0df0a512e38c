/* SPDX-License-Identifier: ISC */
/*
 * regupdate_bytes.c - updates and rotations as bytes, for messages.
 *
 * Every field that the operation has, in a fixed order; texts with their
 * length. What is read is held against regupdate_check(), and must be what
 * would be written: there is one form.
 */
#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/regupdate.h"

static void
put_str(struct wbuf *w, const char *s, size_t size)
{
	wbuf_bytes(w, s, strnlen(s, size - 1));
}

static void
get_str(struct rbuf *r, char *out, size_t size)
{
	uint16_t n;
	const uint8_t *p = rbuf_bytes(r, &n);

	if (p == NULL || n >= size || memchr(p, '\0', n) != NULL) {
		r->failed = true;
		return;
	}
	memcpy(out, p, n);
	out[n] = '\0';
}

static void
get_fix(struct rbuf *r, void *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

static bool
get_bool(struct rbuf *r)
{
	uint8_t v = rbuf_u8(r);

	if (v > 1)
		r->failed = true;
	return v == 1;
}

/* A number of things, at most max of them. */
static uint32_t
get_count(struct rbuf *r, uint32_t max)
{
	uint8_t n = rbuf_u8(r);

	if (n > max) {
		r->failed = true;
		return 0;
	}
	return n;
}

static void
put_set(struct wbuf *w, const struct registry_set *s)
{
	wbuf_u8(w, (uint8_t)s->count);
	wbuf_u8(w, (uint8_t)s->threshold);
	wbuf_u8(w, s->has_fresh);
	wbuf_put(w, s->authority, s->count * sizeof(s->authority[0]));
	if (s->has_fresh)
		wbuf_put(w, s->fresh, s->count * sizeof(s->fresh[0]));
}

static void
get_set(struct rbuf *r, struct registry_set *s)
{
	s->count = get_count(r, REGISTRY_AUTHORITIES_MAX);
	s->threshold = get_count(r, REGISTRY_AUTHORITIES_MAX);
	s->has_fresh = get_bool(r);
	get_fix(r, s->authority, s->count * sizeof(s->authority[0]));
	if (s->has_fresh)
		get_fix(r, s->fresh, s->count * sizeof(s->fresh[0]));
}

static void
put_keys(struct wbuf *w, const struct registry_node_operands *n)
{
	put_str(w, n->name, sizeof(n->name));
	wbuf_put(w, n->identity, sizeof(n->identity));
	wbuf_put(w, n->sealing, sizeof(n->sealing));
	wbuf_u8(w, n->has_next);
	if (n->has_next)
		wbuf_put(w, n->next, sizeof(n->next));
}

static void
get_keys(struct rbuf *r, struct registry_node_operands *n)
{
	get_str(r, n->name, sizeof(n->name));
	get_fix(r, n->identity, sizeof(n->identity));
	get_fix(r, n->sealing, sizeof(n->sealing));
	n->has_next = get_bool(r);
	if (n->has_next)
		get_fix(r, n->next, sizeof(n->next));
}

static void
put_node(struct wbuf *w, const struct registry_node_operands *n)
{
	uint32_t i;

	put_keys(w, n);
	wbuf_u64(w, n->capabilities);
	put_str(w, n->zone, sizeof(n->zone));
	wbuf_u64(w, n->expiry_s);
	wbuf_u8(w, (uint8_t)n->addresses);
	for (i = 0; i < n->addresses; i++)
		put_str(w, n->address[i], sizeof(n->address[i]));
}

static void
get_node(struct rbuf *r, struct registry_node_operands *n)
{
	uint32_t i;

	get_keys(r, n);
	n->capabilities = rbuf_u64(r);
	get_str(r, n->zone, sizeof(n->zone));
	n->expiry_s = rbuf_u64(r);
	n->addresses = get_count(r, REGISTRY_ADDRESSES_MAX);
	for (i = 0; i < n->addresses; i++)
		get_str(r, n->address[i], sizeof(n->address[i]));
}

static void
put_resolve(struct wbuf *w, const struct registry_resolve_operands *o)
{
	wbuf_u64(w, o->common);
	wbuf_put(w, o->chosen, sizeof(o->chosen));
	wbuf_u8(w, (uint8_t)o->heads);
	wbuf_put(w, o->head, o->heads * sizeof(o->head[0]));
}

static void
get_resolve(struct rbuf *r, struct registry_resolve_operands *o)
{
	o->common = rbuf_u64(r);
	get_fix(r, o->chosen, sizeof(o->chosen));
	o->heads = get_count(r, REGISTRY_HEADS_MAX);
	get_fix(r, o->head, o->heads * sizeof(o->head[0]));
}

static void
put_windows(struct wbuf *w, const struct registry_windows *o)
{
	wbuf_u32(w, o->soft_s);
	wbuf_u32(w, o->hard_s);
}

static void
get_windows(struct rbuf *r, struct registry_windows *o)
{
	o->soft_s = rbuf_u32(r);
	o->hard_s = rbuf_u32(r);
}

static void
put_operands(struct wbuf *w, const struct registry_update *u)
{
	switch (u->op) {
	case REGISTRY_GENESIS:
		put_windows(w, &u->windows);
		put_set(w, &u->set);
		break;
	case REGISTRY_AUTHORITIES:
		put_set(w, &u->set);
		break;
	case REGISTRY_NODE_ADD:
		put_node(w, &u->node);
		break;
	case REGISTRY_NODE_ANCHOR:
		put_keys(w, &u->node);
		wbuf_u64(w, u->node.ksn);
		wbuf_put(w, u->node.event, sizeof(u->node.event));
		break;
	case REGISTRY_NODE_REVOKE:
		put_str(w, u->node.name, sizeof(u->node.name));
		put_str(w, u->reason, sizeof(u->reason));
		break;
	case REGISTRY_BINARY_ALLOW:
		put_str(w, u->binary.name, sizeof(u->binary.name));
		put_str(w, u->binary.version, sizeof(u->binary.version));
		put_str(w, u->binary.channel, sizeof(u->binary.channel));
		wbuf_put(w, u->binary.sha256, sizeof(u->binary.sha256));
		wbuf_u64(w, u->binary.capabilities);
		break;
	case REGISTRY_BINARY_REVOKE:
		wbuf_put(w, u->binary.sha256, sizeof(u->binary.sha256));
		put_str(w, u->reason, sizeof(u->reason));
		break;
	case REGISTRY_DEVELOPER_ADD:
		put_str(w, u->developer.name, sizeof(u->developer.name));
		wbuf_put(w, u->developer.key, sizeof(u->developer.key));
		break;
	case REGISTRY_DEVELOPER_REVOKE:
		put_str(w, u->developer.name, sizeof(u->developer.name));
		put_str(w, u->reason, sizeof(u->reason));
		break;
	case REGISTRY_POLICY:
		put_windows(w, &u->windows);
		break;
	case REGISTRY_RESOLVE:
		put_resolve(w, &u->resolve);
		break;
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
}

static void
get_operands(struct rbuf *r, struct registry_update *u)
{
	switch (u->op) {
	case REGISTRY_GENESIS:
		get_windows(r, &u->windows);
		get_set(r, &u->set);
		break;
	case REGISTRY_AUTHORITIES:
		get_set(r, &u->set);
		break;
	case REGISTRY_NODE_ADD:
		get_node(r, &u->node);
		break;
	case REGISTRY_NODE_ANCHOR:
		get_keys(r, &u->node);
		u->node.ksn = rbuf_u64(r);
		get_fix(r, u->node.event, sizeof(u->node.event));
		break;
	case REGISTRY_NODE_REVOKE:
		get_str(r, u->node.name, sizeof(u->node.name));
		get_str(r, u->reason, sizeof(u->reason));
		break;
	case REGISTRY_BINARY_ALLOW:
		get_str(r, u->binary.name, sizeof(u->binary.name));
		get_str(r, u->binary.version, sizeof(u->binary.version));
		get_str(r, u->binary.channel, sizeof(u->binary.channel));
		get_fix(r, u->binary.sha256, sizeof(u->binary.sha256));
		u->binary.capabilities = rbuf_u64(r);
		break;
	case REGISTRY_BINARY_REVOKE:
		get_fix(r, u->binary.sha256, sizeof(u->binary.sha256));
		get_str(r, u->reason, sizeof(u->reason));
		break;
	case REGISTRY_DEVELOPER_ADD:
		get_str(r, u->developer.name, sizeof(u->developer.name));
		get_fix(r, u->developer.key, sizeof(u->developer.key));
		break;
	case REGISTRY_DEVELOPER_REVOKE:
		get_str(r, u->developer.name, sizeof(u->developer.name));
		get_str(r, u->reason, sizeof(u->reason));
		break;
	case REGISTRY_POLICY:
		get_windows(r, &u->windows);
		break;
	case REGISTRY_RESOLVE:
		get_resolve(r, &u->resolve);
		break;
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
}

ssize_t
regupdate_put(const struct registry_update *u, void *out, size_t size)
{
	struct wbuf w;

	if (regupdate_check(u) != NULL)
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_u8(&w, (uint8_t)u->v);
	wbuf_u8(&w, (uint8_t)u->op);
	wbuf_u64(&w, u->seq);
	wbuf_put(&w, u->prev, sizeof(u->prev));
	wbuf_u64(&w, u->time_s);
	put_operands(&w, u);
	return w.failed ? -ENOSPC : (ssize_t)w.len;
}

int
regupdate_get(struct registry_update *u, const void *data, size_t len)
{
	struct rbuf r;
	uint8_t op;

	memset(u, 0, sizeof(*u));
	rbuf_init(&r, data, len);
	u->v = rbuf_u8(&r);
	op = rbuf_u8(&r);
	if (op >= REGISTRY_OP_MAX)
		return -EBADMSG;
	u->op = (enum registry_op)op;
	u->seq = rbuf_u64(&r);
	get_fix(&r, u->prev, sizeof(u->prev));
	u->time_s = rbuf_u64(&r);
	get_operands(&r, u);
	return rbuf_done(&r) && regupdate_check(u) == NULL ? 0 : -EBADMSG;
}

ssize_t
regupdate_rotation_put(const struct registry_rotation *o, void *out,
    size_t size)
{
	struct wbuf w;

	if (regupdate_check_rotation(o) != NULL)
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_u8(&w, (uint8_t)o->v);
	put_str(&w, o->name, sizeof(o->name));
	wbuf_u64(&w, o->ksn);
	wbuf_put(&w, o->prev, sizeof(o->prev));
	wbuf_put(&w, o->identity, sizeof(o->identity));
	wbuf_put(&w, o->sealing, sizeof(o->sealing));
	wbuf_u8(&w, o->has_next);
	if (o->has_next)
		wbuf_put(&w, o->next, sizeof(o->next));
	wbuf_u64(&w, o->time_s);
	return w.failed ? -ENOSPC : (ssize_t)w.len;
}

int
regupdate_rotation_get(struct registry_rotation *o, const void *data,
    size_t len)
{
	struct rbuf r;

	memset(o, 0, sizeof(*o));
	rbuf_init(&r, data, len);
	o->v = rbuf_u8(&r);
	get_str(&r, o->name, sizeof(o->name));
	o->ksn = rbuf_u64(&r);
	get_fix(&r, o->prev, sizeof(o->prev));
	get_fix(&r, o->identity, sizeof(o->identity));
	get_fix(&r, o->sealing, sizeof(o->sealing));
	o->has_next = get_bool(&r);
	if (o->has_next)
		get_fix(&r, o->next, sizeof(o->next));
	o->time_s = rbuf_u64(&r);
	return rbuf_done(&r) && regupdate_check_rotation(o) == NULL ? 0 :
								      -EBADMSG;
}

/* u16 length, the update; u8 how many, the signatures. */
static ssize_t
put_signed(const void *bytes, ssize_t len,
    const struct registry_signature *sigs, size_t n, void *out, size_t size)
{
	struct wbuf w;
	size_t i;

	if (len < 0)
		return len;
	wbuf_init(&w, out, size);
	wbuf_bytes(&w, bytes, (size_t)len);
	wbuf_u8(&w, (uint8_t)n);
	for (i = 0; i < n; i++) {
		wbuf_put(&w, sigs[i].kid, sizeof(sigs[i].kid));
		wbuf_put(&w, sigs[i].sig, sizeof(sigs[i].sig));
	}
	return w.failed ? -ENOSPC : (ssize_t)w.len;
}

static size_t
get_signatures(struct rbuf *r, struct registry_signature *sigs, uint32_t max)
{
	size_t n = get_count(r, max), i;

	for (i = 0; i < n; i++) {
		get_fix(r, sigs[i].kid, sizeof(sigs[i].kid));
		get_fix(r, sigs[i].sig, sizeof(sigs[i].sig));
	}
	return n;
}

ssize_t
regupdate_signed_put(const struct registry_update *u,
    const struct registry_signature *sigs, size_t n, void *out, size_t size)
{
	uint8_t bytes[REGUPDATE_BYTES_MAX];

	if (n > REGISTRY_SIGS_MAX)
		return -EINVAL;
	return put_signed(bytes, regupdate_put(u, bytes, sizeof(bytes)), sigs,
	    n, out, size);
}

ssize_t
regupdate_rotation_signed_put(const struct registry_rotation *o,
    const struct registry_signature *sigs, size_t n, void *out, size_t size)
{
	uint8_t bytes[REGUPDATE_BYTES_MAX];

	if (n > 2)
		return -EINVAL;
	return put_signed(bytes,
	    regupdate_rotation_put(o, bytes, sizeof(bytes)), sigs, n, out,
	    size);
}

int
regupdate_signed_get(struct registry_update *u, struct registry_signature *sigs,
    size_t *n, struct rbuf *r)
{
	uint16_t len;
	const uint8_t *bytes = rbuf_bytes(r, &len);
	size_t i;

	*n = get_signatures(r, sigs, REGISTRY_SIGS_MAX);
	if (r->failed || regupdate_get(u, bytes, len) != 0)
		return -EBADMSG;
	/* So that nobody is there twice. */
	for (i = 1; i < *n; i++)
		if (memcmp(sigs[i - 1].kid, sigs[i].kid, REGISTRY_KEY_LEN) >= 0)
			return -EBADMSG;
	return 0;
}

int
regupdate_rotation_signed_get(struct registry_rotation *o,
    struct registry_signature sigs[2], size_t *n, struct rbuf *r)
{
	uint16_t len;
	const uint8_t *bytes = rbuf_bytes(r, &len);

	*n = get_signatures(r, sigs, 2);
	if (r->failed || regupdate_rotation_get(o, bytes, len) != 0)
		return -EBADMSG;
	return 0;
}
