/* SPDX-License-Identifier: ISC */
/*
 * permit.c - which updates of the registry keyd may sign, and for how long.
 */
#include <stdio.h>
#include <string.h>

#include "attestd/permit.h"

static struct permit {
	uint32_t id; /* 0: free */
	enum registry_op op;
	char subject[REGISTRY_NAME_SIZE];
	registry_hash digest;
	registry_key pinned;
	bool invite;
	bool used; /* an invite's: still good for leaves, not for an update */
	uint64_t capabilities;
	uint64_t until_s;
} permits[PERMIT_MAX];

static uint32_t last_id;

static struct {
	bool said;
	uint64_t at_s;
} fresh;

static bool
is_zero(const registry_hash h)
{
	static const registry_hash zero;

	return memcmp(h, zero, sizeof(zero)) == 0;
}

static void
expire(uint64_t now_s)
{
	size_t i;

	for (i = 0; i < PERMIT_MAX; i++)
		if (permits[i].until_s <= now_s)
			permits[i].id = 0;
}

static const char *
refused(const struct msg_PERMIT *m, bool invite)
{
	if (m->op >= REGISTRY_OP_MAX || m->op == REGISTRY_GENESIS ||
	    m->op == REGISTRY_FRESH)
		return "no permit is given for that";
	if (invite && (m->op != REGISTRY_NODE_ADD || m->subject[0] == '\0'))
		return "only a node is invited, by its name";
	if (m->seconds == 0 ||
	    m->seconds > (invite ? PERMIT_SECONDS_MAX : PERMIT_ORDER_S))
		return "a permit does not last that long";
	return NULL;
}

uint32_t
permit_add(const struct msg_PERMIT *m, uint64_t now_s, const char **why)
{
	bool invite = is_zero(m->digest);
	struct permit *p;

	*why = refused(m, invite);
	if (*why != NULL)
		return 0;
	expire(now_s);
	for (p = permits; p < permits + PERMIT_MAX; p++)
		if (p->id == 0 || p->used)
			break;
	if (p == permits + PERMIT_MAX) {
		*why = "too many invites and orders are open";
		return 0;
	}
	*p = (struct permit){ .id = ++last_id,
		.op = (enum registry_op)m->op,
		.invite = invite,
		.capabilities = m->capabilities,
		.until_s = now_s + m->seconds };
	snprintf(p->subject, sizeof(p->subject), "%s", m->subject);
	memcpy(p->digest, m->digest, sizeof(p->digest));
	memcpy(p->pinned, m->pinned, sizeof(p->pinned));
	return p->id;
}

void
permit_end(uint32_t id)
{
	size_t i;

	for (i = 0; i < PERMIT_MAX; i++)
		if (permits[i].id == id)
			permits[i].id = 0;
}

void
permit_end_orders(void)
{
	size_t i;

	for (i = 0; i < PERMIT_MAX; i++)
		if (!permits[i].invite)
			permits[i].id = 0;
}

bool
permit_any(uint64_t now_s)
{
	size_t i;

	expire(now_s);
	for (i = 0; i < PERMIT_MAX; i++)
		if (permits[i].id != 0 && !permits[i].used)
			return true;
	return false;
}

bool
permit_invites(uint64_t now_s)
{
	size_t i;

	expire(now_s);
	for (i = 0; i < PERMIT_MAX; i++)
		if (permits[i].id != 0 && permits[i].invite)
			return true;
	return false;
}

bool
permit_invited(const char *name, uint64_t now_s)
{
	size_t i;

	expire(now_s);
	for (i = 0; i < PERMIT_MAX; i++)
		if (permits[i].id != 0 && permits[i].invite &&
		    strcmp(permits[i].subject, name) == 0)
			return true;
	return false;
}

static bool
covers(const struct permit *p, const struct registry_update *u,
    const registry_hash digest)
{
	if (p->id == 0 || p->used || p->op != u->op)
		return false;
	if (!p->invite)
		return memcmp(p->digest, digest, sizeof(p->digest)) == 0;
	return strcmp(p->subject, u->node.name) == 0 &&
	    (u->node.capabilities & ~p->capabilities) == 0 &&
	    (is_zero(p->pinned) ||
		memcmp(p->pinned, u->node.identity, sizeof(p->pinned)) == 0);
}

bool
permit_use(const struct registry_update *u, uint64_t now_s)
{
	registry_hash digest;
	struct permit *p;

	expire(now_s);
	if (regupdate_digest(u, digest) != 0)
		return false;
	for (p = permits; p < permits + PERMIT_MAX; p++)
		if (covers(p, u, digest)) {
			/* Who joined may come again for the same answer. */
			p->used = p->invite;
			if (!p->invite)
				p->id = 0;
			return true;
		}
	return false;
}

bool
permit_fresh(uint64_t now_s)
{
	return !fresh.said || now_s - fresh.at_s >= PERMIT_FRESH_S;
}

void
permit_fresh_said(uint64_t now_s)
{
	fresh.said = true;
	fresh.at_s = now_s;
}
