/* SPDX-License-Identifier: ISC */
/*
 * regupdate.c - what an update of the registry, or a rotation, may hold.
 *
 * No text that passes has a character that JSON would escape.
 */
#include <string.h>

#include "common/capability.h"
#include "common/ed25519.h"
#include "common/regupdate.h"

static const char *const op_names[REGISTRY_OP_MAX] = {
	[REGISTRY_GENESIS] = "genesis",
	[REGISTRY_AUTHORITIES] = "authorities",
	[REGISTRY_NODE_ADD] = "node-add",
	[REGISTRY_NODE_ANCHOR] = "node-anchor",
	[REGISTRY_NODE_REVOKE] = "node-revoke",
	[REGISTRY_BINARY_ALLOW] = "binary-allow",
	[REGISTRY_BINARY_REVOKE] = "binary-revoke",
	[REGISTRY_DEVELOPER_ADD] = "developer-add",
	[REGISTRY_DEVELOPER_REVOKE] = "developer-revoke",
	[REGISTRY_POLICY] = "policy",
	[REGISTRY_FRESH] = "fresh",
	[REGISTRY_RESOLVE] = "resolve",
};

const char *
regupdate_op_name(enum registry_op op)
{
	return (unsigned int)op < REGISTRY_OP_MAX ? op_names[op] : NULL;
}

enum registry_op
regupdate_op(const char *name)
{
	unsigned int i;

	for (i = 0; i < REGISTRY_OP_MAX; i++)
		if (strcmp(op_names[i], name) == 0)
			break;
	return (enum registry_op)i;
}

/* --- texts --------------------------------------------------------------- */

static bool
alnum_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool
alnum(char c)
{
	return alnum_lower(c) || (c >= 'A' && c <= 'Z');
}

/* A NUL within size, and nothing but letters, digits and `others` before. */
static bool
made_of(const char *s, size_t size, const char *others)
{
	size_t i;

	for (i = 0; i < size && s[i] != '\0'; i++)
		if (!alnum(s[i]) && strchr(others, s[i]) == NULL)
			return false;
	return i < size;
}

/* A name that fits, NUL and all, into size bytes. */
static bool
is_name(const char *s, size_t size)
{
	size_t i, len = strnlen(s, size);

	if (len == 0 || len == size || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (i = 0; i < len; i++)
		if (!alnum_lower(s[i]) && s[i] != '-')
			return false;
	return true;
}

bool
regupdate_name_ok(const char *s)
{
	return is_name(s, REGISTRY_NAME_SIZE);
}

bool
regupdate_reason_ok(const char *s)
{
	return made_of(s, REGISTRY_REASON_SIZE, " .,:;()_/+-");
}

static bool
is_version(const char *s)
{
	return alnum(s[0]) && made_of(s, REGISTRY_VERSION_SIZE, ".+_~-");
}

/* 1 to 65535, written in the one right way. */
static bool
is_port(const char *s)
{
	uint32_t v = 0;
	size_t i;

	for (i = 0; s[i] >= '0' && s[i] <= '9' && i < 5; i++)
		v = v * 10 + (uint32_t)(s[i] - '0');
	return i > 0 && s[i] == '\0' && s[0] != '0' && v <= 65535;
}

bool
regupdate_address_ok(const char *s)
{
	const char *port, *inside = s[0] == '[' ? s + 1 : s;
	size_t len;

	if (!made_of(s, REGISTRY_ADDRESS_SIZE, ".:-_[]%"))
		return false;
	port = strrchr(s, ':');
	if (port == NULL || port == s || !is_port(port + 1))
		return false;
	if (inside == s) {
		len = strcspn(s, ":[]%");
		return len > 0 && s + len == port;
	}
	len = strcspn(inside, "[]");
	return len >= 2 && inside[len] == ']' && inside + len + 1 == port;
}

/* --- checks -------------------------------------------------------------- */

static bool
no_bytes(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	while (n-- > 0)
		any |= p[n];
	return any == 0;
}

/* Of a node: Ed25519 to sign with, X25519 to seal for. */
static bool
are_keys(const registry_key identity, const registry_key sealing)
{
	return ed25519_pub_ok(identity) && !no_bytes(sealing, REGISTRY_KEY_LEN);
}

static bool
twice(const registry_key *keys, uint32_t n, uint32_t i)
{
	uint32_t l;

	for (l = 0; l < n; l++)
		if (l != i && !no_bytes(keys[i], REGISTRY_KEY_LEN) &&
		    memcmp(keys[l], keys[i], REGISTRY_KEY_LEN) == 0)
			return true;
	return false;
}

static const char *
check_set(const struct registry_set *s)
{
	bool any = false;
	uint32_t i, l;

	if (s->count == 0 || s->count > REGISTRY_AUTHORITIES_MAX)
		return "it has no authority, or more than 32";
	if (s->threshold > s->count || s->threshold * 2 <= s->count)
		return "its threshold is not more than half of its authorities";
	for (i = 0; i < s->count; i++) {
		if (!ed25519_pub_ok(s->authority[i]))
			return "an authority that is no key";
		if (twice(s->authority, s->count, i))
			return "an authority named twice";
		if (!s->has_fresh || no_bytes(s->fresh[i], REGISTRY_KEY_LEN))
			continue;
		any = true;
		if (!ed25519_pub_ok(s->fresh[i]))
			return "a key for fresh that is none";
		if (twice(s->fresh, s->count, i))
			return "a key for fresh named twice";
		for (l = 0; l < s->count; l++)
			if (memcmp(s->fresh[i], s->authority[l],
				REGISTRY_KEY_LEN) == 0)
				return "a key for fresh that is an authority's";
	}
	return s->has_fresh && !any ? "a list of no keys for fresh" : NULL;
}

static const char *
check_windows(const struct registry_windows *w)
{
	if (w->soft_s == 0 || w->hard_s < w->soft_s ||
	    w->hard_s > REGISTRY_WINDOW_MAX)
		return "windows that are not 1 <= soft_s <= hard_s < 2^31";
	return NULL;
}

static const char *
check_keys(const struct registry_node_operands *n)
{
	if (!regupdate_name_ok(n->name))
		return "a name that no node can have";
	if (!are_keys(n->identity, n->sealing))
		return "a key that is none";
	if (n->has_next && no_bytes(n->next, REGISTRY_HASH_LEN))
		return "a commitment to no next key";
	return NULL;
}

static const char *
check_node(const struct registry_node_operands *n)
{
	const char *why = check_keys(n);
	uint32_t i, l;

	if (why != NULL)
		return why;
	if ((n->capabilities & ~capability_all()) != 0)
		return "a capability that is not known";
	if (strnlen(n->zone, sizeof(n->zone)) != 0 &&
	    !is_name(n->zone, sizeof(n->zone)))
		return "a zone that is no name";
	if (n->expiry_s > REGISTRY_NUMBER_MAX)
		return "an expiry that is no time";
	if (n->addresses > REGISTRY_ADDRESSES_MAX)
		return "more than 4 addresses";
	for (i = 0; i < n->addresses; i++) {
		if (!regupdate_address_ok(n->address[i]))
			return "an address that is not host:port";
		for (l = 0; l < i; l++)
			if (strcmp(n->address[l], n->address[i]) == 0)
				return "an address named twice";
	}
	return NULL;
}

static const char *
check_anchor(const struct registry_node_operands *n)
{
	if (n->ksn == 0 || n->ksn > REGISTRY_NUMBER_MAX)
		return "a rotation without a number";
	return check_keys(n);
}

static const char *
check_binary(const struct registry_binary_operands *b)
{
	if (!is_name(b->name, sizeof(b->name)))
		return "a name that no binary can have";
	if (!is_version(b->version))
		return "a version with characters that it cannot have";
	if (!is_name(b->channel, sizeof(b->channel)))
		return "a channel that is no name";
	if ((b->capabilities & ~capability_all()) != 0)
		return "a capability that is not known";
	return NULL;
}

static const char *
check_developer(const struct registry_developer_operands *d)
{
	if (!regupdate_name_ok(d->name))
		return "a name that no developer can have";
	return ed25519_pub_ok(d->key) ? NULL : "a key that is none";
}

static const char *
check_resolve(const struct registry_update *u)
{
	const struct registry_resolve_operands *r = &u->resolve;
	bool ours = false;
	uint32_t i;

	if (r->heads < 2 || r->heads > REGISTRY_HEADS_MAX)
		return "not 2 to 8 heads";
	for (i = 0; i < r->heads; i++) {
		if (i > 0 &&
		    memcmp(r->head[i - 1], r->head[i], REGISTRY_HASH_LEN) >= 0)
			return "heads that are not in ascending order";
		ours = ours ||
		    memcmp(r->head[i], r->chosen, REGISTRY_HASH_LEN) == 0;
	}
	if (!ours)
		return "a chosen head that is none of the heads";
	if (memcmp(r->chosen, u->prev, REGISTRY_HASH_LEN) != 0)
		return "a chosen head that is not the update before it";
	/* The chosen branch has one update of its own, at the least. */
	if (u->seq < 2 || r->common > u->seq - 2)
		return "a common number that is not before the chosen head's";
	return NULL;
}

static const char *
check_operands(const struct registry_update *u)
{
	const char *why;

	switch (u->op) {
	case REGISTRY_GENESIS:
		why = check_windows(&u->windows);
		return why != NULL ? why : check_set(&u->set);
	case REGISTRY_AUTHORITIES:
		return check_set(&u->set);
	case REGISTRY_NODE_ADD:
		return check_node(&u->node);
	case REGISTRY_NODE_ANCHOR:
		return check_anchor(&u->node);
	case REGISTRY_NODE_REVOKE:
		return regupdate_name_ok(u->node.name) ?
		    NULL :
		    "a name that no node can have";
	case REGISTRY_BINARY_ALLOW:
		return check_binary(&u->binary);
	case REGISTRY_DEVELOPER_ADD:
		return check_developer(&u->developer);
	case REGISTRY_DEVELOPER_REVOKE:
		return regupdate_name_ok(u->developer.name) ?
		    NULL :
		    "a name that no developer can have";
	case REGISTRY_POLICY:
		return check_windows(&u->windows);
	case REGISTRY_RESOLVE:
		return check_resolve(u);
	case REGISTRY_BINARY_REVOKE:
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
	return NULL;
}

static bool
has_reason(enum registry_op op)
{
	return op == REGISTRY_NODE_REVOKE || op == REGISTRY_BINARY_REVOKE ||
	    op == REGISTRY_DEVELOPER_REVOKE;
}

const char *
regupdate_check(const struct registry_update *u)
{
	if (u->v != REGISTRY_VERSION)
		return "of another version";
	if ((unsigned int)u->op >= REGISTRY_OP_MAX)
		return "an operation that is not known";
	if (u->seq > REGISTRY_NUMBER_MAX || u->time_s > REGISTRY_NUMBER_MAX)
		return "a number beyond 2^53-1";
	if ((u->op == REGISTRY_GENESIS) != (u->seq == 0))
		return "a genesis that is not the first, or a first that is "
		       "no genesis";
	if (u->op == REGISTRY_GENESIS && !no_bytes(u->prev, sizeof(u->prev)))
		return "a genesis with an update before it";
	if (has_reason(u->op) && !regupdate_reason_ok(u->reason))
		return "a reason with characters that it cannot have";
	return check_operands(u);
}

const char *
regupdate_check_rotation(const struct registry_rotation *r)
{
	if (r->v != REGISTRY_VERSION)
		return "of another version";
	if (!regupdate_name_ok(r->name))
		return "a name that no node can have";
	if (r->ksn == 0 || r->ksn > REGISTRY_NUMBER_MAX)
		return "a rotation without a number";
	if (r->time_s > REGISTRY_NUMBER_MAX)
		return "a number beyond 2^53-1";
	if (!are_keys(r->identity, r->sealing))
		return "a key that is none";
	if (r->has_next && no_bytes(r->next, sizeof(r->next)))
		return "a commitment to no next key";
	return NULL;
}
