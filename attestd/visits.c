/* SPDX-License-Identifier: ISC */
/*
 * visits.c - how often a peer that would be let in may come.
 */
#include <stdio.h>
#include <string.h>

#include "attestd/visits.h"
#include "common/evidence.h"

static struct visitor {
	char peer[EVIDENCE_NAME_SIZE];
	uint32_t left;
	uint64_t at_s; /* when that was counted */
} visitors[VISITS_PEERS];
static unsigned int visitor_count;

static void
refill(struct visitor *v, uint64_t now_s)
{
	uint64_t more = now_s - v->at_s;

	v->left = more >= VISITS_BURST - v->left ? VISITS_BURST :
						   v->left + (uint32_t)more;
	v->at_s = now_s;
}

static struct visitor *
visitor(const char *peer, uint64_t now_s)
{
	struct visitor *v, *idlest = visitors;

	for (v = visitors; v < visitors + visitor_count; v++) {
		refill(v, now_s);
		if (strcmp(v->peer, peer) == 0)
			return v;
		if (v->left > idlest->left)
			idlest = v;
	}
	v = visitor_count < VISITS_PEERS ? &visitors[visitor_count++] : idlest;
	*v = (struct visitor){ .left = VISITS_BURST, .at_s = now_s };
	snprintf(v->peer, sizeof(v->peer), "%s", peer);
	return v;
}

bool
visits_allow(const char *peer, uint64_t now_s)
{
	struct visitor *v = visitor(peer, now_s);

	if (v->left == 0)
		return false;
	v->left--;
	return true;
}
