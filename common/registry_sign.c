/* SPDX-License-Identifier: ISC */
/*
 * registry_sign.c - whose signatures an update needs that follows a state.
 */
#include "common/registry_int.h"

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
