/* SPDX-License-Identifier: ISC */
/*
 * registry_sign.c - who signed an update, and whether that is enough.
 */
#include <errno.h>
#include <string.h>

#include "common/registry_int.h"

/* The bit of a key in a list of them; 0: it is not there. */
static uint32_t
bit_of(const registry_key *keys, uint32_t n, const registry_key key)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (memcmp(keys[i], key, REGISTRY_KEY_LEN) == 0)
			return UINT32_C(1) << i;
	return 0;
}

const char *
reg_votes(const struct reg_parsed *p, const struct registry_set *set,
    const struct registry_set *other, struct reg_votes *v)
{
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	ssize_t len = regupdate_signed_bytes(&p->u, msg, sizeof(msg));
	const uint8_t *kid;
	bool first, second, fresh;
	size_t i;

	memset(v, 0, sizeof(*v));
	v->need = set->threshold;
	v->need_new = other == NULL ? 0 : other->threshold;
	if (len < 0)
		return "not an update";
	/* A line has its signers in order, so that nobody is there twice. */
	for (i = 0; i < p->n; i++) {
		kid = p->sig[i].kid;
		first = bit_of(set->authority, set->count, kid) != 0;
		second = other != NULL &&
		    bit_of(other->authority, other->count, kid) != 0;
		fresh = p->u.op == REGISTRY_FRESH && set->has_fresh &&
		    bit_of(set->fresh, set->count, kid) != 0;
		if (!first && !second && !fresh)
			return "signed by a key that may not sign it";
		if (regupdate_verify(&p->sig[i], msg, (size_t)len) != 0)
			return "a signature that is wrong";
		v->have += first;
		v->have_new += second;
		v->fresh = v->fresh || fresh;
	}
	return NULL;
}

bool
reg_enough(const struct registry_update *u, const struct reg_votes *v)
{
	if (u->op == REGISTRY_FRESH && v->fresh)
		return true;
	return v->have >= v->need && v->have_new >= v->need_new;
}

uint32_t
reg_members(const struct reg_parsed *p, const struct registry_set *set)
{
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < p->n; i++)
		n += bit_of(set->authority, set->count, p->sig[i].kid) != 0;
	return n;
}

const char *
reg_count(const struct reg_parsed *p, const struct reg_state *s,
    struct reg_votes *v)
{
	const struct registry_set *set, *other = NULL;

	if (p->u.op == REGISTRY_GENESIS) {
		set = &p->u.set;
	} else if (p->u.op == REGISTRY_RESOLVE) {
		set = reg_set_at(s, p->u.resolve.common);
		/* Who was replaced long ago does not decide alone any more. */
		if (reg_final(s, UINT64_MAX) > p->u.resolve.common)
			other = reg_set(s);
	} else {
		set = reg_set(s);
		if (p->u.op == REGISTRY_AUTHORITIES)
			other = &p->u.set;
	}
	return reg_votes(p, set, other, v);
}

const char *
reg_too_few(struct registry *r, const struct registry_update *u,
    const struct reg_votes *v)
{
	if (reg_enough(u, v))
		return NULL;
	if (v->have < v->need)
		return reg_why(r, "signed by %u, and %u must", v->have,
		    v->need);
	return reg_why(r, "signed by %u of the %s authorities, and %u must",
	    v->have_new, u->op == REGISTRY_RESOLVE ? "present" : "new",
	    v->need_new);
}
