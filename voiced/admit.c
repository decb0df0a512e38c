/* SPDX-License-Identifier: ISC */
/*
 * admit.c - which offers may become half-open calls.
 */
#include <stdio.h>
#include <string.h>

#include "voiced/admit.h"

void
admit_init(struct admit *a)
{
	memset(a, 0, sizeof(*a));
}

static bool
same(const struct admit_key *a, const struct admit_key *b)
{
	return memcmp(a->id, b->id, sizeof(a->id)) == 0 &&
	    strcmp(a->caller, b->caller) == 0;
}

static struct admit_place *
find(struct admit *a, const struct admit_key *key)
{
	size_t i;

	for (i = 0; i < ADMIT_ALL; i++)
		if (a->place[i].taken && same(&a->place[i].key, key))
			return &a->place[i];
	return NULL;
}

/* What is remembered of one caller. */
struct memory {
	bool seen; /* this very offer */
	size_t n;
	struct admit_seen *free;
};

static struct memory
remembered(struct admit *a, const struct admit_key *key, uint64_t now_s)
{
	struct memory m = { .seen = find(a, key) != NULL };
	struct admit_seen *s;

	for (s = a->seen; s < a->seen + ADMIT_SEEN_MAX; s++) {
		if (s->expires_s < now_s) {
			m.free = s;
		} else if (strcmp(s->key.caller, key->caller) == 0) {
			m.n++;
			if (same(&s->key, key))
				m.seen = true;
		}
	}
	if (m.n >= ADMIT_SEEN_PER_CALLER)
		m.free = NULL;
	return m;
}

/* The oldest that is not proven, of one caller or (NULL) of all. */
static struct admit_place *
unproven(struct admit *a, const char *caller)
{
	struct admit_place *p, *oldest = NULL;

	for (p = a->place; p < a->place + ADMIT_ALL; p++)
		if (p->taken && !p->proven &&
		    (caller == NULL || strcmp(p->key.caller, caller) == 0) &&
		    (oldest == NULL || p->turn < oldest->turn))
			oldest = p;
	return oldest;
}

/* Where there is room for one more of this caller's; NULL: nowhere. */
static struct admit_place *
room(struct admit *a, const char *caller, bool proven)
{
	struct admit_place *p, *free = NULL;
	size_t own = 0;

	for (p = a->place; p < a->place + ADMIT_ALL; p++) {
		if (!p->taken)
			free = p;
		else if (strcmp(p->key.caller, caller) == 0)
			own++;
	}
	if (own >= (proven ? ADMIT_PROVEN_PER_CALLER : ADMIT_PER_CALLER))
		return proven ? unproven(a, caller) : NULL;
	if (free == NULL && proven)
		return unproven(a, NULL);
	return free;
}

enum admit_answer
admit_offer(struct admit *a, const struct call_offer *o, bool proven,
    uint64_t now_s, struct admit_key *out)
{
	struct admit_key key = { .caller = "" };
	struct admit_place *p;
	struct memory m;

	out->caller[0] = '\0';
	snprintf(key.caller, sizeof(key.caller), "%s", o->caller);
	memcpy(key.id, o->id, sizeof(key.id));
	if (o->expires_s < now_s)
		return ADMIT_STALE;
	if (o->expires_s - now_s > CALL_EXPIRY_MAX_S)
		return ADMIT_CLOCK;
	m = remembered(a, &key, now_s);
	if (m.seen)
		return ADMIT_SEEN;
	/* A proof is good once: it is remembered by who gave the nonce. */
	p = room(a, key.caller, proven);
	if (p == NULL || (m.free == NULL && !proven))
		return proven ? ADMIT_BUSY : ADMIT_RETRY;
	if (p->taken)
		*out = p->key;
	if (m.free != NULL)
		*m.free = (struct admit_seen){ key, o->expires_s };
	*p = (struct admit_place){ key, true, proven, a->turn++ };
	return ADMIT_YES;
}

void
admit_done(struct admit *a, const struct admit_key *key)
{
	struct admit_place *p = find(a, key);

	if (p != NULL)
		p->taken = false;
}
