/* SPDX-License-Identifier: ISC */
/*
 * registry_parse.c - a line of the registry into a struct.
 *
 * The parser need not be strict about what it does not look at: what it read
 * is written again by regupdate_line(), and must be the very same bytes. A
 * member that is not known, white space, a number written in another way, an
 * escape, members or signatures in another order: all of them differ.
 */
#include <jansson.h>

#include <string.h>

#include "common/b64.h"
#include "common/capability.h"
#include "common/identity.h"
#include "common/registry_int.h"

#define KEY_PREFIX "ed25519:"
#define SEALING_PREFIX "x25519:"
#define HASH_PREFIX "sha256:"

static const char not_canonical[] =
    "not in canonical form, or with a member that is not known";

static bool
get_number(const json_t *o, const char *member, uint64_t max, uint64_t *out)
{
	const json_t *v = json_object_get(o, member);
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n > max)
		return false;
	*out = (uint64_t)n;
	return true;
}

static bool
get_u32(const json_t *o, const char *member, uint32_t *out)
{
	uint64_t v;

	if (!get_number(o, member, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool
get_text(const json_t *o, const char *member, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, member));
	size_t len = s == NULL ? size : strlen(s);

	if (len >= size)
		return false;
	memcpy(out, s, len + 1);
	return true;
}

static bool
optional_text(const json_t *o, const char *member, char *out, size_t size)
{
	return json_object_get(o, member) == NULL ||
	    get_text(o, member, out, size);
}

static bool
key_of(const json_t *v, registry_key out)
{
	const char *s = json_string_value(v);

	/* did:key is for people; in a line a key has one form. */
	return s != NULL && strncmp(s, KEY_PREFIX, strlen(KEY_PREFIX)) == 0 &&
	    identity_parse(s, out) == 0;
}

static bool
get_key(const json_t *o, const char *member, registry_key out)
{
	return key_of(json_object_get(o, member), out);
}

static bool
get_sealing(const json_t *o, registry_key out)
{
	const char *s = json_string_value(json_object_get(o, "sealing"));
	size_t n = strlen(SEALING_PREFIX);

	return s != NULL && strncmp(s, SEALING_PREFIX, n) == 0 &&
	    b64url_decode(s + n, strlen(s + n), out, REGISTRY_KEY_LEN) ==
	    REGISTRY_KEY_LEN;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
hash_of(const char *s, const char *prefix, registry_hash out)
{
	size_t i, n = strlen(prefix);
	int hi, lo;

	if (s == NULL || strncmp(s, prefix, n) != 0 ||
	    strlen(s + n) != (size_t)REGISTRY_HASH_LEN * 2)
		return false;
	for (i = 0; i < REGISTRY_HASH_LEN; i++) {
		hi = hex_digit(s[n + i * 2]);
		lo = hex_digit(s[n + i * 2 + 1]);
		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi * 16 + lo);
	}
	return true;
}

static bool
get_hash(const json_t *o, const char *member, registry_hash out)
{
	return hash_of(json_string_value(json_object_get(o, member)),
	    HASH_PREFIX, out);
}

static bool
get_capabilities(const json_t *o, uint64_t *mask)
{
	const json_t *list = json_object_get(o, "capabilities"), *v;
	const char *name;
	uint64_t bit;
	size_t i;

	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, v)
	{
		name = json_string_value(v);
		bit = name == NULL ? 0 : capability_of(name, strlen(name));
		if (bit == 0)
			return false;
		*mask |= bit;
	}
	return true;
}

static bool
get_set(const json_t *u, struct registry_set *s)
{
	const json_t *keys = json_object_get(u, "authorities");
	const json_t *fresh = json_object_get(u, "fresh"), *v;
	size_t i, n = json_array_size(keys);

	if (n == 0 || n > REGISTRY_AUTHORITIES_MAX ||
	    !get_u32(u, "threshold", &s->threshold))
		return false;
	s->count = (uint32_t)n;
	json_array_foreach(keys, i, v)
	{
		if (!key_of(v, s->authority[i]))
			return false;
	}
	if (fresh == NULL)
		return true;
	s->has_fresh = true;
	if (json_array_size(fresh) != n)
		return false;
	json_array_foreach(fresh, i, v)
	{
		if (!json_is_string(v))
			return false;
		if (json_string_length(v) > 0 && !key_of(v, s->fresh[i]))
			return false;
	}
	return true;
}

static bool
get_windows(const json_t *u, struct registry_windows *w)
{
	return get_u32(u, "soft_s", &w->soft_s) &&
	    get_u32(u, "hard_s", &w->hard_s);
}

static bool
get_node_keys(const json_t *u, struct registry_node_operands *n)
{
	n->has_next = json_object_get(u, "next") != NULL;
	return get_text(u, "name", n->name, sizeof(n->name)) &&
	    get_key(u, "identity", n->identity) && get_sealing(u, n->sealing) &&
	    (!n->has_next || get_hash(u, "next", n->next));
}

static bool
get_node(const json_t *u, struct registry_node_operands *n)
{
	const json_t *list = json_object_get(u, "addresses"), *v;
	size_t i, len;

	if (json_array_size(list) > REGISTRY_ADDRESSES_MAX)
		return false;
	n->addresses = (uint32_t)json_array_size(list);
	json_array_foreach(list, i, v)
	{
		len = json_string_length(v);
		if (!json_is_string(v) || len >= sizeof(n->address[i]))
			return false;
		memcpy(n->address[i], json_string_value(v), len + 1);
	}
	return get_node_keys(u, n) && get_capabilities(u, &n->capabilities) &&
	    optional_text(u, "zone", n->zone, sizeof(n->zone)) &&
	    (json_object_get(u, "expiry") == NULL ||
		get_number(u, "expiry", REGISTRY_NUMBER_MAX, &n->expiry_s));
}

static bool
get_binary(const json_t *u, struct registry_binary_operands *b)
{
	return get_text(u, "name", b->name, sizeof(b->name)) &&
	    get_text(u, "version", b->version, sizeof(b->version)) &&
	    get_text(u, "channel", b->channel, sizeof(b->channel)) &&
	    get_capabilities(u, &b->capabilities);
}

static bool
get_resolve(const json_t *u, struct registry_resolve_operands *r)
{
	const json_t *list = json_object_get(u, "heads"), *v;
	size_t i;

	if (json_array_size(list) > REGISTRY_HEADS_MAX)
		return false;
	r->heads = (uint32_t)json_array_size(list);
	json_array_foreach(list, i, v)
	{
		if (!hash_of(json_string_value(v), HASH_PREFIX, r->head[i]))
			return false;
	}
	return get_hash(u, "chosen", r->chosen) &&
	    get_number(u, "common", REGISTRY_NUMBER_MAX, &r->common);
}

static bool
get_operands(const json_t *o, struct registry_update *u)
{
	switch (u->op) {
	case REGISTRY_GENESIS:
		return get_windows(o, &u->windows) && get_set(o, &u->set);
	case REGISTRY_AUTHORITIES:
		return get_set(o, &u->set);
	case REGISTRY_NODE_ADD:
		return get_node(o, &u->node);
	case REGISTRY_NODE_ANCHOR:
		return get_node_keys(o, &u->node) &&
		    get_hash(o, "event", u->node.event) &&
		    get_number(o, "ksn", REGISTRY_NUMBER_MAX, &u->node.ksn);
	case REGISTRY_NODE_REVOKE:
		return get_text(o, "name", u->node.name, sizeof(u->node.name));
	case REGISTRY_BINARY_ALLOW:
	case REGISTRY_BINARY_REVOKE:
		return hash_of(json_string_value(json_object_get(o, "sha256")),
			   "", u->binary.sha256) &&
		    (u->op == REGISTRY_BINARY_REVOKE ||
			get_binary(o, &u->binary));
	case REGISTRY_DEVELOPER_ADD:
	case REGISTRY_DEVELOPER_REVOKE:
		return get_text(o, "name", u->developer.name,
			   sizeof(u->developer.name)) &&
		    (u->op == REGISTRY_DEVELOPER_REVOKE ||
			get_key(o, "key", u->developer.key));
	case REGISTRY_POLICY:
		return get_windows(o, &u->windows);
	case REGISTRY_RESOLVE:
		return get_resolve(o, &u->resolve);
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
	return true;
}

static const char *
get_update(const json_t *o, struct registry_update *u)
{
	const char *op = json_string_value(json_object_get(o, "op"));

	if (!get_u32(o, "v", &u->v) || u->v != REGISTRY_VERSION)
		return "of another version";
	u->op = op == NULL ? REGISTRY_OP_MAX : regupdate_op(op);
	if (u->op == REGISTRY_OP_MAX)
		return "an operation that is not known";
	if (!get_number(o, "seq", REGISTRY_NUMBER_MAX, &u->seq) ||
	    !get_number(o, "time", REGISTRY_NUMBER_MAX, &u->time_s) ||
	    (u->op != REGISTRY_GENESIS && !get_hash(o, "prev", u->prev)) ||
	    !optional_text(o, "reason", u->reason, sizeof(u->reason)) ||
	    !get_operands(o, u))
		return "a member that is missing, or not as it must be";
	return regupdate_check(u);
}

static const char *
get_signatures(const json_t *list, struct registry_signature *sigs, size_t max,
    size_t *n)
{
	const json_t *v;
	const char *text;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > max)
		return "no list of signatures, or one that is too long";
	*n = json_array_size(list);
	json_array_foreach(list, i, v)
	{
		text = json_string_value(json_object_get(v, "sig"));
		if (text == NULL || !get_key(v, "kid", sigs[i].kid) ||
		    b64_decode(text, strlen(text), sigs[i].sig,
			REGISTRY_SIG_LEN) != REGISTRY_SIG_LEN)
			return "a signature that is none";
	}
	return NULL;
}

/* What was read, written again, is the very line. */
static const char *
same(const char *line, size_t len, const char *again, ssize_t n)
{
	return n >= 0 && (size_t)n == len && memcmp(again, line, len) == 0 ?
	    NULL :
	    not_canonical;
}

const char *
reg_parse(const char *line, size_t len, struct reg_parsed *p)
{
	char again[REGISTRY_LINE_MAX + 1];
	const char *why;
	json_t *root;

	memset(p, 0, sizeof(*p));
	if (len > REGISTRY_LINE_MAX)
		return "longer than 16384 bytes";
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(json_object_get(root, "u"))) {
		json_decref(root);
		return "not an update";
	}
	why = get_signatures(json_object_get(root, "sigs"), p->sig,
	    REGISTRY_SIGS_MAX, &p->n);
	if (why == NULL)
		why = get_update(json_object_get(root, "u"), &p->u);
	json_decref(root);
	if (why != NULL)
		return why;
	why = same(line, len, again,
	    regupdate_line(&p->u, p->sig, p->n, again, sizeof(again)));
	if (why != NULL)
		return why;
	if ((p->u.op == REGISTRY_GENESIS ?
		    registry_genesis_hash(line, len, p->hash) :
		    regupdate_hash(&p->u, p->hash)) != 0)
		return "it could not be hashed";
	return NULL;
}

static const char *
get_turn(const json_t *o, struct registry_rotation *r)
{
	if (!get_u32(o, "v", &r->v) || r->v != REGISTRY_VERSION)
		return "of another version";
	r->has_next = json_object_get(o, "next") != NULL;
	if (!get_text(o, "name", r->name, sizeof(r->name)) ||
	    !get_number(o, "ksn", REGISTRY_NUMBER_MAX, &r->ksn) ||
	    !get_number(o, "time", REGISTRY_NUMBER_MAX, &r->time_s) ||
	    !get_hash(o, "prev", r->prev) ||
	    !get_key(o, "identity", r->identity) ||
	    !get_sealing(o, r->sealing) ||
	    (r->has_next && !get_hash(o, "next", r->next)))
		return "a member that is missing, or not as it must be";
	return regupdate_check_rotation(r);
}

const char *
reg_parse_turn(const char *line, size_t len, struct reg_turn_parsed *p)
{
	char again[REGISTRY_LINE_MAX + 1];
	const char *why;
	json_t *root;

	memset(p, 0, sizeof(*p));
	if (len > REGISTRY_LINE_MAX)
		return "longer than 16384 bytes";
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(json_object_get(root, "r"))) {
		json_decref(root);
		return "not a rotation";
	}
	why = get_signatures(json_object_get(root, "sigs"), p->sig, 2, &p->n);
	if (why == NULL)
		why = get_turn(json_object_get(root, "r"), &p->r);
	json_decref(root);
	if (why != NULL)
		return why;
	why = same(line, len, again,
	    regupdate_rotation_line(&p->r, p->sig, p->n, again, sizeof(again)));
	if (why == NULL && regupdate_rotation_hash(&p->r, p->hash) != 0)
		why = "it could not be hashed";
	return why;
}
