/* SPDX-License-Identifier: ISC */
/*
 * registry_rotate.c - a node replaces its own keys, without an authority.
 *
 * The next identity key was committed to before; whoever stole the present one
 * cannot rotate. Two rotations with one number show that the node's keys are
 * in two hands: the node is suspended, and nobody else is concerned.
 */
#include <errno.h>
#include <string.h>

#include "common/registry_int.h"

/* A number that we have. */
static enum registry_turn
again(struct reg_node *n, const struct reg_turn_parsed *p, const char **why)
{
	const struct reg_turn *t = n->turn;
	size_t i;

	for (i = 0; i < n->turns && t->ksn != p->r.ksn; i++)
		t++;
	if (i == n->turns)
		return REGISTRY_TURN_KNOWN;
	if (memcmp(t->hash, p->hash, REGISTRY_HASH_LEN) == 0 || n->n.suspended)
		return REGISTRY_TURN_KNOWN;
	if (memcmp(t->prev, p->r.prev, REGISTRY_HASH_LEN) != 0)
		*why = "it does not follow the rotation before it";
	else if (!reg_committed(p->r.identity, t->next))
		*why = "a key that was not committed to";
	else
		*why = reg_turn_signers(p, t->identity);
	if (*why != NULL)
		return REGISTRY_TURN_BAD;
	n->n.suspended = true;
	return REGISTRY_TURN_TWO;
}

static const char *
check_turn(const struct reg_state *s, const struct reg_node *n,
    const struct reg_turn_parsed *p)
{
	if (n->n.suspended)
		return "a node that is suspended";
	if (memcmp(n->n.rotation, p->r.prev, REGISTRY_HASH_LEN) != 0)
		return "it does not follow the rotation before it";
	if (!n->n.has_next || !reg_committed(p->r.identity, n->n.next))
		return "a key that was not committed to";
	if (reg_held(s, p->r.identity) != NULL)
		return "a key that somebody has or had";
	if (n->turns >= REGISTRY_UNANCHORED_MAX)
		return "64 rotations that no authority has taken into the chain";
	return reg_turn_signers(p, n->n.identity);
}

enum registry_turn
reg_turn(struct reg_state *s, const struct reg_turn_parsed *p, const char **why)
{
	struct reg_node *r = reg_node(s, p->r.name);
	struct registry_node *n;
	struct reg_turn *t;

	*why = NULL;
	if (r == NULL || r->n.revoked) {
		*why = "no node of that name is there";
		return REGISTRY_TURN_BAD;
	}
	n = &r->n;
	if (p->r.ksn <= n->ksn)
		return again(r, p, why);
	if (p->r.ksn > n->ksn + 1)
		return REGISTRY_TURN_AHEAD;
	*why = check_turn(s, r, p);
	if (*why == NULL &&
	    (reg_grow(&r->turn, &r->turns_cap, r->turns + 1,
		 sizeof(*r->turn)) != 0 ||
		reg_grow(&s->held, &s->helds_cap, s->helds + 1,
		    sizeof(*s->held)) != 0))
		*why = "out of memory";
	if (*why != NULL)
		return REGISTRY_TURN_BAD;
	t = &r->turn[r->turns++];
	t->ksn = p->r.ksn;
	memcpy(t->hash, p->hash, sizeof(t->hash));
	memcpy(t->prev, p->r.prev, sizeof(t->prev));
	memcpy(t->next, n->next, sizeof(t->next));
	memcpy(t->identity, n->identity, sizeof(t->identity));
	reg_held_add(s, p->r.identity, n->added_seq, false);
	n->has_previous = true;
	memcpy(n->previous, n->identity, sizeof(n->previous));
	n->replaced_s = p->r.time_s;
	memcpy(n->identity, p->r.identity, sizeof(n->identity));
	memcpy(n->sealing, p->r.sealing, sizeof(n->sealing));
	n->has_next = p->r.has_next;
	memcpy(n->next, p->r.next, sizeof(n->next));
	n->ksn = p->r.ksn;
	memcpy(n->rotation, p->hash, sizeof(n->rotation));
	return REGISTRY_TURNED;
}
