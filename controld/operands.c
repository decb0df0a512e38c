/* SPDX-License-Identifier: ISC */
/*
 * operands.c - an operator's update of the registry: JSON in, a checked
 * struct out.
 *
 * What each operation takes is one table. The names are those that the lines
 * of the registry have (claw-registry(5)).
 */
#include <stdio.h>
#include <string.h>

#include "common/b64.h"
#include "common/capability.h"
#include "common/identity.h"
#include "controld/operands.h"
#include "controld/pass.h"

enum type {
	TEXT,	      /* into size bytes */
	KEY,	      /* Ed25519 */
	SEALING,      /* X25519 */
	HASH,	      /* 64 digits, perhaps behind "sha256:" */
	NEXT,	      /* a HASH that says that it is there */
	NUMBER32,     /* up to 2^31-1 */
	NUMBER64,     /* up to 2^53-1 */
	CAPABILITIES, /* names */
	ADDRESSES,
	AUTHORITIES, /* Ed25519 keys */
	FRESH	     /* the same, "" where an authority has none */
};

#define U(member) offsetof(struct registry_update, member)
#define UNSIZED 0

static const struct operand {
	enum registry_op op;
	const char *name;
	enum type type;
	bool needed;
	size_t at;
	size_t size;
} table[] = {
	{ REGISTRY_AUTHORITIES, "authorities", AUTHORITIES, true, 0, UNSIZED },
	{ REGISTRY_AUTHORITIES, "fresh", FRESH, false, 0, UNSIZED },
	{ REGISTRY_AUTHORITIES, "threshold", NUMBER32, true, U(set.threshold),
	    UNSIZED },
	{ REGISTRY_NODE_ADD, "name", TEXT, true, U(node.name),
	    REGISTRY_NAME_SIZE },
	{ REGISTRY_NODE_ADD, "identity", KEY, true, U(node.identity), UNSIZED },
	{ REGISTRY_NODE_ADD, "sealing", SEALING, true, U(node.sealing),
	    UNSIZED },
	{ REGISTRY_NODE_ADD, "next", NEXT, false, U(node.next), UNSIZED },
	{ REGISTRY_NODE_ADD, "capabilities", CAPABILITIES, false,
	    U(node.capabilities), UNSIZED },
	{ REGISTRY_NODE_ADD, "zone", TEXT, false, U(node.zone),
	    REGISTRY_ZONE_SIZE },
	{ REGISTRY_NODE_ADD, "addresses", ADDRESSES, false, 0, UNSIZED },
	{ REGISTRY_NODE_ADD, "expiry", NUMBER64, false, U(node.expiry_s),
	    UNSIZED },
	{ REGISTRY_NODE_ANCHOR, "name", TEXT, true, U(node.name),
	    REGISTRY_NAME_SIZE },
	{ REGISTRY_NODE_ANCHOR, "identity", KEY, true, U(node.identity),
	    UNSIZED },
	{ REGISTRY_NODE_ANCHOR, "sealing", SEALING, true, U(node.sealing),
	    UNSIZED },
	{ REGISTRY_NODE_ANCHOR, "next", NEXT, false, U(node.next), UNSIZED },
	{ REGISTRY_NODE_ANCHOR, "ksn", NUMBER64, true, U(node.ksn), UNSIZED },
	{ REGISTRY_NODE_ANCHOR, "event", HASH, true, U(node.event), UNSIZED },
	{ REGISTRY_NODE_REVOKE, "name", TEXT, true, U(node.name),
	    REGISTRY_NAME_SIZE },
	{ REGISTRY_NODE_REVOKE, "reason", TEXT, false, U(reason),
	    REGISTRY_REASON_SIZE },
	{ REGISTRY_BINARY_ALLOW, "name", TEXT, true, U(binary.name),
	    REGISTRY_NAME_SIZE },
	{ REGISTRY_BINARY_ALLOW, "version", TEXT, true, U(binary.version),
	    REGISTRY_VERSION_SIZE },
	{ REGISTRY_BINARY_ALLOW, "channel", TEXT, true, U(binary.channel),
	    REGISTRY_CHANNEL_SIZE },
	{ REGISTRY_BINARY_ALLOW, "sha256", HASH, true, U(binary.sha256),
	    UNSIZED },
	{ REGISTRY_BINARY_ALLOW, "capabilities", CAPABILITIES, false,
	    U(binary.capabilities), UNSIZED },
	{ REGISTRY_BINARY_REVOKE, "sha256", HASH, true, U(binary.sha256),
	    UNSIZED },
	{ REGISTRY_BINARY_REVOKE, "reason", TEXT, false, U(reason),
	    REGISTRY_REASON_SIZE },
	{ REGISTRY_DEVELOPER_ADD, "name", TEXT, true, U(developer.name),
	    REGISTRY_NAME_SIZE },
	{ REGISTRY_DEVELOPER_ADD, "key", KEY, true, U(developer.key), UNSIZED },
	{ REGISTRY_DEVELOPER_REVOKE, "name", TEXT, true, U(developer.name),
	    REGISTRY_NAME_SIZE },
	{ REGISTRY_DEVELOPER_REVOKE, "reason", TEXT, false, U(reason),
	    REGISTRY_REASON_SIZE },
	{ REGISTRY_POLICY, "soft_s", NUMBER32, true, U(windows.soft_s),
	    UNSIZED },
	{ REGISTRY_POLICY, "hard_s", NUMBER32, true, U(windows.hard_s),
	    UNSIZED },
	{ REGISTRY_RESOLVE, "chosen", HASH, true, U(resolve.chosen), UNSIZED },
};

#define OPERANDS (sizeof(table) / sizeof(table[0]))

static bool
take_text(const json_t *v, char *out, size_t size)
{
	size_t len = json_string_length(v);

	if (len == 0 || len >= size)
		return false;
	memcpy(out, json_string_value(v), len + 1);
	return true;
}

static bool
take_hash(const json_t *v, uint8_t *out)
{
	const char *s = json_string_value(v);

	if (s == NULL)
		return false;
	if (strncmp(s, "sha256:", 7) == 0)
		s += 7;
	if (strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64)
		return false;
	pass_bytes(s, out, 32);
	return true;
}

static bool
take_key(const json_t *v, uint8_t *out)
{
	return json_is_string(v) &&
	    identity_parse(json_string_value(v), out) == 0;
}

static bool
take_sealing(const json_t *v, uint8_t *out)
{
	const char *s = json_string_value(v);

	return s != NULL && strncmp(s, "x25519:", 7) == 0 &&
	    b64url_decode(s + 7, strlen(s + 7), out, 32) == 32;
}

static bool
take_number(const json_t *v, json_int_t max, json_int_t *out)
{
	*out = json_integer_value(v);
	return json_is_integer(v) && *out >= 0 && *out <= max;
}

static bool
take_capabilities(const json_t *v, uint8_t *at)
{
	uint64_t bit, mask = 0;
	const json_t *name;
	size_t i;

	json_array_foreach(v, i, name)
	{
		bit = json_is_string(name) ?
		    capability_of(json_string_value(name),
			json_string_length(name)) :
		    0;
		if (bit == 0 || (mask & bit) != 0)
			return false;
		mask |= bit;
	}
	memcpy(at, &mask, sizeof(mask));
	return json_is_array(v);
}

static bool
take_addresses(const json_t *v, struct registry_node_operands *n)
{
	const json_t *address;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) > REGISTRY_ADDRESSES_MAX)
		return false;
	json_array_foreach(v, i, address)
	{
		if (!take_text(address, n->address[i], sizeof(n->address[i])))
			return false;
	}
	n->addresses = (uint32_t)json_array_size(v);
	return true;
}

/* The keys of a set; with `gaps` some may be "". */
static bool
take_keys(const json_t *v, registry_key *out, bool gaps)
{
	const json_t *key;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) > REGISTRY_AUTHORITIES_MAX)
		return false;
	json_array_foreach(v, i, key)
	{
		if (gaps && json_is_string(key) && json_string_length(key) == 0)
			continue;
		if (!take_key(key, out[i]))
			return false;
	}
	return true;
}

static bool
take(const struct operand *o, const json_t *v, struct registry_update *u)
{
	union {
		struct registry_update *u;
		uint8_t *bytes;
		char *text;
	} base = { .u = u };
	json_int_t number;
	uint32_t small;
	uint64_t large;

	switch (o->type) {
	case TEXT:
		return take_text(v, base.text + o->at, o->size);
	case KEY:
		return take_key(v, base.bytes + o->at);
	case SEALING:
		return take_sealing(v, base.bytes + o->at);
	case NEXT:
		u->node.has_next = true;
		return take_hash(v, base.bytes + o->at);
	case HASH:
		return take_hash(v, base.bytes + o->at);
	case NUMBER32:
		if (!take_number(v, INT32_MAX, &number))
			return false;
		small = (uint32_t)number;
		memcpy(base.bytes + o->at, &small, sizeof(small));
		return true;
	case NUMBER64:
		if (!take_number(v, REGISTRY_NUMBER_MAX, &number))
			return false;
		large = (uint64_t)number;
		memcpy(base.bytes + o->at, &large, sizeof(large));
		return true;
	case CAPABILITIES:
		return take_capabilities(v, base.bytes + o->at);
	case ADDRESSES:
		return take_addresses(v, &u->node);
	case AUTHORITIES:
		u->set.count = (uint32_t)json_array_size(v);
		return take_keys(v, u->set.authority, false);
	case FRESH:
		u->set.has_fresh = true;
		return take_keys(v, u->set.fresh, true);
	}
	return false;
}

static const char *
wanted(enum type type)
{
	static const char *const texts[] = {
		[TEXT] = "a text that is not too long",
		[KEY] = "a public key, as ed25519:... or did:key:...",
		[SEALING] = "a public key, as x25519:...",
		[HASH] = "64 hexadecimal digits",
		[NEXT] = "64 hexadecimal digits",
		[NUMBER32] = "an integer from 0 to 2147483647",
		[NUMBER64] = "an integer that is not negative",
		[CAPABILITIES] = "a list of capabilities that are known",
		[ADDRESSES] = "a list of at most 4 addresses",
		[AUTHORITIES] = "a list of at most 32 public keys",
		[FRESH] = "a list of public keys, one for each authority",
	};

	return texts[type];
}

static bool
only_known(enum registry_op op, const json_t *operands)
{
	size_t i, known = 0;

	for (i = 0; i < OPERANDS; i++)
		if (table[i].op == op &&
		    json_object_get(operands, table[i].name) != NULL)
			known++;
	return known == json_object_size(operands);
}

/* What was given is not repeated: it may be anything. */
static void
say_known(enum registry_op op, char *why, size_t size)
{
	char list[256] = "";
	size_t i, n = 0;

	for (i = 0; i < OPERANDS; i++)
		if (table[i].op == op && n < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n,
			    "%s%s", n > 0 ? ", " : "", table[i].name);
	snprintf(why, size, "operands: %s takes %s, and nothing else",
	    regupdate_op_name(op), list);
}

/* A place in the chain that a binary form can have. */
static void
place(struct registry_update *u)
{
	struct registry_resolve_operands *r = &u->resolve;
	bool first;

	u->v = REGISTRY_VERSION;
	u->seq = 2;
	if (u->op != REGISTRY_RESOLVE)
		return;
	memcpy(u->prev, r->chosen, sizeof(u->prev));
	memcpy(r->head[0], r->chosen, sizeof(r->head[0]));
	memcpy(r->head[1], r->chosen, sizeof(r->head[1]));
	/* Another head than the chosen one, in the right order. */
	first = (r->chosen[31] & 1) != 0;
	r->head[first ? 0 : 1][31] ^= 1;
	r->heads = 2;
}

static bool
take_all(const json_t *operands, struct registry_update *u, char *why,
    size_t size)
{
	const struct operand *o;
	const json_t *v;

	for (o = table; o < table + OPERANDS; o++) {
		if (o->op != u->op)
			continue;
		v = json_object_get(operands, o->name);
		if (v == NULL && !o->needed)
			continue;
		if (v == NULL || !take(o, v, u)) {
			snprintf(why, size, "%s: %s: give %s",
			    regupdate_op_name(u->op), o->name, wanted(o->type));
			return false;
		}
	}
	return true;
}

bool
operands_read(const char *op, const json_t *operands, struct registry_update *u,
    char *why, size_t size)
{
	const char *wrong;

	memset(u, 0, sizeof(*u));
	u->op = regupdate_op(op);
	if (u->op == REGISTRY_OP_MAX || u->op == REGISTRY_GENESIS ||
	    u->op == REGISTRY_FRESH) {
		snprintf(why, size,
		    "op: no operation that an operator can order; "
		    "claw-registry(5) lists those there are");
		return false;
	}
	if (!only_known(u->op, operands)) {
		say_known(u->op, why, size);
		return false;
	}
	if (!take_all(operands, u, why, size))
		return false;
	place(u);
	if (u->op == REGISTRY_AUTHORITIES && u->set.has_fresh &&
	    json_array_size(json_object_get(operands, "fresh")) !=
		u->set.count) {
		snprintf(why, size, "authorities: fresh: give %s",
		    wanted(FRESH));
		return false;
	}
	wrong = regupdate_check(u);
	if (wrong != NULL)
		snprintf(why, size, "%s: %s", regupdate_op_name(u->op), wrong);
	return wrong == NULL;
}

const char *
operands_subject(const struct registry_update *u)
{
	switch (u->op) {
	case REGISTRY_NODE_ADD:
	case REGISTRY_NODE_ANCHOR:
	case REGISTRY_NODE_REVOKE:
		return u->node.name;
	case REGISTRY_BINARY_ALLOW:
		return u->binary.name;
	case REGISTRY_DEVELOPER_ADD:
	case REGISTRY_DEVELOPER_REVOKE:
		return u->developer.name;
	default:
		return "";
	}
}
