/* SPDX-License-Identifier: ISC */
/*
 * registry_state.c - who and what the chain names, and what an update changes.
 *
 * An update goes through three steps: reg_state_check() says whether it fits,
 * reg_state_reserve() makes room, reg_state_apply() changes the state and
 * cannot fail. Whether an update fits depends on the chain alone, never on
 * what else a node has heard, or nodes would part over it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/registry_int.h"

int
reg_grow(void *array, size_t *cap, size_t n, size_t each)
{
	size_t want = *cap == 0 ? 8 : *cap * 2;
	void *grown;

	if (n <= *cap)
		return 0;
	if (want < n)
		want = n;
	if (want > SIZE_MAX / each)
		return -ENOMEM;
	/* The pointer is of any type: it is read and written as bytes. */
	memcpy(&grown, array, sizeof(grown));
	grown = realloc(grown, want * each);
	if (grown == NULL)
		return -ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*cap = want;
	return 0;
}

struct reg_state *
reg_state_new(void)
{
	struct reg_state *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->empty = true;
	return s;
}

void
reg_state_free(struct reg_state *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->nodes; i++) {
		free(s->node[i]->turn);
		free(s->node[i]);
	}
	for (i = 0; i < s->binaries; i++)
		free(s->binary[i]);
	for (i = 0; i < s->developers; i++)
		free(s->developer[i]);
	free(s->node);
	free(s->binary);
	free(s->developer);
	free(s->held);
	free(s->era);
	free(s->settled);
	free(s->new_node);
	free(s->new_binary);
	free(s->new_developer);
	free(s);
}

/* --- looking up ---------------------------------------------------------- */

/* Where in an ordered array something is, or would be. */
static size_t
place(const void *array, size_t n, size_t each, const void *wanted,
    int (*order)(const void *wanted, const void *element))
{
	size_t lo = 0, hi = n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (order(wanted, (const uint8_t *)array + mid * each) > 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
order_node(const void *name, const void *element)
{
	struct reg_node *const *n = element;

	return strcmp(name, (*n)->n.name);
}

static int
order_developer(const void *name, const void *element)
{
	struct registry_developer *const *d = element;

	return strcmp(name, (*d)->name);
}

static int
order_binary(const void *wanted, const void *element)
{
	const struct registry_binary *a = wanted;
	struct registry_binary *const *b = element;
	int d = strcmp(a->name, (*b)->name);

	if (d == 0)
		d = strcmp(a->version, (*b)->version);
	return d != 0 ? d : memcmp(a->sha256, (*b)->sha256, REGISTRY_HASH_LEN);
}

static int
order_held(const void *key, const void *element)
{
	const struct reg_held *h = element;

	return memcmp(key, h->key, REGISTRY_KEY_LEN);
}

static size_t
node_place(const struct reg_state *s, const char *name)
{
	return place(s->node, s->nodes, sizeof(struct reg_node *), name,
	    order_node);
}

static size_t
developer_place(const struct reg_state *s, const char *name)
{
	return place(s->developer, s->developers,
	    sizeof(struct registry_developer *), name, order_developer);
}

static size_t
held_place(const struct reg_state *s, const registry_key key)
{
	return place(s->held, s->helds, sizeof(*s->held), key, order_held);
}

struct reg_node *
reg_node(const struct reg_state *s, const char *name)
{
	size_t i = node_place(s, name);

	return i < s->nodes && strcmp(s->node[i]->n.name, name) == 0 ?
	    s->node[i] :
	    NULL;
}

struct registry_developer *
reg_developer(const struct reg_state *s, const char *name)
{
	size_t i = developer_place(s, name);

	return i < s->developers && strcmp(s->developer[i]->name, name) == 0 ?
	    s->developer[i] :
	    NULL;
}

struct registry_binary *
reg_binary(const struct reg_state *s, const registry_hash sha256)
{
	size_t i;

	for (i = 0; i < s->binaries; i++)
		if (memcmp(s->binary[i]->sha256, sha256, REGISTRY_HASH_LEN) ==
		    0)
			return s->binary[i];
	return NULL;
}

struct reg_held *
reg_held(const struct reg_state *s, const registry_key key)
{
	size_t i = held_place(s, key);

	return i < s->helds &&
		memcmp(s->held[i].key, key, REGISTRY_KEY_LEN) == 0 ?
	    &s->held[i] :
	    NULL;
}

void
reg_held_add(struct reg_state *s, const registry_key key, uint64_t owner,
    bool on_chain)
{
	size_t i = held_place(s, key);
	struct reg_held *h = s->held + i;

	if (i == s->helds || memcmp(h->key, key, REGISTRY_KEY_LEN) != 0) {
		memmove(h + 1, h, (s->helds - i) * sizeof(*h));
		s->helds++;
		memset(h, 0, sizeof(*h));
		memcpy(h->key, key, REGISTRY_KEY_LEN);
		h->owner = owner;
	}
	/* What the chain says stands above what a rotation said. */
	if (on_chain && !h->on_chain) {
		h->on_chain = true;
		h->owner = owner;
		h->revoked = false;
	}
}

static void
held_revoke(struct reg_state *s, uint64_t owner)
{
	size_t i;

	for (i = 0; i < s->helds; i++)
		if (s->held[i].owner == owner)
			s->held[i].revoked = true;
}

const struct registry_set *
reg_set(const struct reg_state *s)
{
	static const struct registry_set nobody;

	return s->eras == 0 ? &nobody : &s->era[s->eras - 1].set;
}

const struct registry_set *
reg_set_at(const struct reg_state *s, uint64_t seq)
{
	size_t i = s->eras - 1;

	while (i > 0 && s->era[i].seq > seq)
		i--;
	return &s->era[i].set;
}

uint64_t
reg_time(const struct reg_state *s)
{
	uint64_t best = 0;
	uint32_t i, l, above, n;

	if (s->empty)
		return 0;
	n = reg_set(s)->count;
	for (i = 0; i < n; i++) {
		for (l = 0, above = 0; l < n; l++)
			above += s->stated[l] >= s->stated[i];
		if (above >= reg_set(s)->threshold && s->stated[i] > best)
			best = s->stated[i];
	}
	return best;
}

uint64_t
reg_final(const struct reg_state *s, uint64_t limit)
{
	uint64_t now = reg_time(s);
	size_t i;

	for (i = s->eras; i-- > 1;)
		if (s->era[i].seq <= limit && now > s->era[i].time_s &&
		    now - s->era[i].time_s > s->windows.hard_s)
			return s->era[i].seq;
	return 0;
}

bool
reg_is_settled(const struct reg_state *s, uint64_t parent)
{
	size_t i;

	for (i = 0; i < s->settleds; i++)
		if (parent >= s->settled[i].common &&
		    parent < s->settled[i].seq)
			return true;
	return false;
}

/* --- whether it fits ----------------------------------------------------- */

static const char *
check_key(const struct reg_state *s, const registry_key key)
{
	const struct reg_held *h = reg_held(s, key);

	if (h == NULL || !h->on_chain)
		return NULL;
	return h->revoked ? "a key that was revoked" :
			    "a key that somebody else has or had";
}

static const char *
check_node_add(const struct reg_state *s, const struct registry_update *u)
{
	const struct reg_node *n = reg_node(s, u->node.name);

	if (n != NULL && !n->n.revoked)
		return "a node of that name is there";
	if (s->nodes_live >= REGISTRY_NODES_MAX)
		return "4096 nodes are there; revoke one first";
	return check_key(s, u->node.identity);
}

static const char *
check_anchor(const struct reg_state *s, const struct registry_update *u)
{
	const struct reg_node *n = reg_node(s, u->node.name);
	const struct reg_held *h = reg_held(s, u->node.identity);

	if (n == NULL || n->n.revoked)
		return "no node of that name is there";
	if (u->node.ksn <= n->n.anchored_ksn)
		return "a rotation that is not newer than the one in the chain";
	if (h != NULL && h->on_chain &&
	    (h->revoked || h->owner != n->n.added_seq))
		return "a key that was revoked, or is somebody else's";
	return NULL;
}

static const char *
check_binary(const struct reg_state *s, const struct registry_update *u)
{
	const struct registry_binary *b = reg_binary(s, u->binary.sha256);

	if (u->op == REGISTRY_BINARY_REVOKE) {
		if (b == NULL)
			return "no binary with that hash is there";
		return b->revoked ? "that binary is revoked already" : NULL;
	}
	if (b != NULL)
		return b->revoked ? "a binary that was revoked" :
				    "a binary with that hash is there";
	if (s->binaries_live >= REGISTRY_BINARIES_MAX)
		return "4096 binaries are there; revoke one first";
	return NULL;
}

static const char *
check_developer(const struct reg_state *s, const struct registry_update *u)
{
	const struct registry_developer *d =
	    reg_developer(s, u->developer.name);

	if (u->op == REGISTRY_DEVELOPER_REVOKE)
		return d == NULL || d->revoked ?
		    "no developer of that name is there" :
		    NULL;
	if (d != NULL && !d->revoked)
		return "a developer of that name is there";
	if (s->developers_live >= REGISTRY_DEVELOPERS_MAX)
		return "1024 developers are there; revoke one first";
	return check_key(s, u->developer.key);
}

const char *
reg_state_check(const struct reg_state *s, const struct registry_update *u)
{
	const struct reg_node *n;

	switch (u->op) {
	case REGISTRY_NODE_ADD:
		return check_node_add(s, u);
	case REGISTRY_NODE_ANCHOR:
		return check_anchor(s, u);
	case REGISTRY_NODE_REVOKE:
		n = reg_node(s, u->node.name);
		return n == NULL || n->n.revoked ?
		    "no node of that name is there" :
		    NULL;
	case REGISTRY_BINARY_ALLOW:
	case REGISTRY_BINARY_REVOKE:
		return check_binary(s, u);
	case REGISTRY_DEVELOPER_ADD:
	case REGISTRY_DEVELOPER_REVOKE:
		return check_developer(s, u);
	case REGISTRY_RESOLVE:
		return reg_is_settled(s, u->resolve.common) ?
		    "a fork that was resolved before" :
		    NULL;
	case REGISTRY_GENESIS:
	case REGISTRY_AUTHORITIES:
	case REGISTRY_POLICY:
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
	return NULL;
}

/* --- what it changes ----------------------------------------------------- */

int
reg_state_reserve(struct reg_state *s, const struct registry_update *u)
{
	int r = 0;

	if ((u->op == REGISTRY_NODE_ADD && s->new_node == NULL &&
		(s->new_node = calloc(1, sizeof(*s->new_node))) == NULL) ||
	    (u->op == REGISTRY_BINARY_ALLOW && s->new_binary == NULL &&
		(s->new_binary = calloc(1, sizeof(*s->new_binary))) == NULL) ||
	    (u->op == REGISTRY_DEVELOPER_ADD && s->new_developer == NULL &&
		(s->new_developer = calloc(1, sizeof(*s->new_developer))) ==
		    NULL))
		return -ENOMEM;
	/* An anchor may bring a key that no rotation has shown us. */
	if (u->op == REGISTRY_NODE_ADD || u->op == REGISTRY_NODE_ANCHOR ||
	    u->op == REGISTRY_DEVELOPER_ADD)
		r = reg_grow(&s->held, &s->helds_cap, s->helds + 1,
		    sizeof(*s->held));
	if (r == 0 && u->op == REGISTRY_NODE_ADD)
		r = reg_grow(&s->node, &s->nodes_cap, s->nodes + 1,
		    sizeof(struct reg_node *));
	if (r == 0 && u->op == REGISTRY_BINARY_ALLOW)
		r = reg_grow(&s->binary, &s->binaries_cap, s->binaries + 1,
		    sizeof(struct registry_binary *));
	if (r == 0 && u->op == REGISTRY_DEVELOPER_ADD)
		r = reg_grow(&s->developer, &s->developers_cap,
		    s->developers + 1, sizeof(struct registry_developer *));
	if (r == 0 &&
	    (u->op == REGISTRY_GENESIS || u->op == REGISTRY_AUTHORITIES))
		r = reg_grow(&s->era, &s->eras_cap, s->eras + 1,
		    sizeof(*s->era));
	if (r == 0 && u->op == REGISTRY_RESOLVE)
		r = reg_grow(&s->settled, &s->settleds_cap, s->settleds + 1,
		    sizeof(*s->settled));
	return r;
}

static void
add_node(struct reg_state *s, const struct reg_parsed *p)
{
	const struct registry_node_operands *o = &p->u.node;
	struct reg_node *r = reg_node(s, o->name);
	struct registry_node *n;
	size_t at;

	if (r == NULL) {
		at = node_place(s, o->name);
		r = s->new_node;
		s->new_node = NULL;
		memmove(s->node + at + 1, s->node + at,
		    (s->nodes - at) * sizeof(struct reg_node *));
		s->node[at] = r;
		s->nodes++;
	}
	/* A name that was revoked is another node now. */
	r->turns = 0;
	n = &r->n;
	memset(n, 0, sizeof(*n));
	memcpy(n->name, o->name, sizeof(n->name));
	memcpy(n->identity, o->identity, sizeof(n->identity));
	memcpy(n->sealing, o->sealing, sizeof(n->sealing));
	n->has_next = o->has_next;
	memcpy(n->next, o->next, sizeof(n->next));
	n->capabilities = o->capabilities;
	memcpy(n->zone, o->zone, sizeof(n->zone));
	n->addresses = o->addresses;
	memcpy(n->address, o->address, sizeof(n->address));
	n->expiry_s = o->expiry_s;
	n->added_seq = p->u.seq;
	memcpy(n->rotation, p->hash, sizeof(n->rotation));
	s->nodes_live++;
	reg_held_add(s, o->identity, p->u.seq, true);
}

static void
anchor_node(struct reg_state *s, const struct reg_parsed *p)
{
	const struct registry_node_operands *o = &p->u.node;
	struct reg_node *r = reg_node(s, o->name);
	struct registry_node *n = &r->n;
	size_t i;

	reg_held_add(s, o->identity, n->added_seq, true);
	n->anchored_ksn = o->ksn;
	n->suspended = false;
	for (i = 0; i < r->turns; i++)
		if (r->turn[i].ksn == o->ksn &&
		    memcmp(r->turn[i].hash, o->event, REGISTRY_HASH_LEN) == 0)
			break;
	if (i + 1 < r->turns) {
		/* We know what came after it. */
		memmove(r->turn, r->turn + i + 1,
		    (r->turns - i - 1) * sizeof(*r->turn));
		r->turns -= i + 1;
		return;
	}
	r->turns = 0;
	if (memcmp(n->identity, o->identity, REGISTRY_KEY_LEN) != 0) {
		n->has_previous = true;
		memcpy(n->previous, n->identity, sizeof(n->previous));
		n->replaced_s = p->u.time_s;
	}
	memcpy(n->identity, o->identity, sizeof(n->identity));
	memcpy(n->sealing, o->sealing, sizeof(n->sealing));
	n->has_next = o->has_next;
	memcpy(n->next, o->next, sizeof(n->next));
	n->ksn = o->ksn;
	memcpy(n->rotation, o->event, sizeof(n->rotation));
}

static void
add_binary(struct reg_state *s, const struct registry_update *u)
{
	struct registry_binary *b = s->new_binary;
	size_t at;

	s->new_binary = NULL;
	memcpy(b->name, u->binary.name, sizeof(b->name));
	memcpy(b->version, u->binary.version, sizeof(b->version));
	memcpy(b->channel, u->binary.channel, sizeof(b->channel));
	memcpy(b->sha256, u->binary.sha256, sizeof(b->sha256));
	b->capabilities = u->binary.capabilities;
	b->added_seq = u->seq;
	at = place(s->binary, s->binaries, sizeof(struct registry_binary *), b,
	    order_binary);
	memmove(s->binary + at + 1, s->binary + at,
	    (s->binaries - at) * sizeof(struct registry_binary *));
	s->binary[at] = b;
	s->binaries++;
	s->binaries_live++;
}

static void
add_developer(struct reg_state *s, const struct registry_update *u)
{
	struct registry_developer *d = reg_developer(s, u->developer.name);
	size_t at;

	if (d == NULL) {
		at = developer_place(s, u->developer.name);
		d = s->new_developer;
		s->new_developer = NULL;
		memmove(s->developer + at + 1, s->developer + at,
		    (s->developers - at) * sizeof(struct registry_developer *));
		s->developer[at] = d;
		s->developers++;
	}
	memset(d, 0, sizeof(*d));
	memcpy(d->name, u->developer.name, sizeof(d->name));
	memcpy(d->key, u->developer.key, sizeof(d->key));
	d->added_seq = u->seq;
	s->developers_live++;
	reg_held_add(s, d->key, u->seq, true);
}

void
reg_state_revoke(struct reg_state *s, const struct registry_update *u)
{
	struct registry_developer *d;
	struct registry_binary *b;
	struct reg_node *n;

	if (u->op == REGISTRY_NODE_REVOKE &&
	    (n = reg_node(s, u->node.name)) != NULL && !n->n.revoked) {
		n->n.revoked = true;
		n->n.revoked_seq = u->seq;
		memcpy(n->n.reason, u->reason, sizeof(n->n.reason));
		held_revoke(s, n->n.added_seq);
		s->nodes_live--;
	} else if (u->op == REGISTRY_BINARY_REVOKE &&
	    (b = reg_binary(s, u->binary.sha256)) != NULL && !b->revoked) {
		b->revoked = true;
		memcpy(b->reason, u->reason, sizeof(b->reason));
		s->binaries_live--;
	} else if (u->op == REGISTRY_DEVELOPER_REVOKE &&
	    (d = reg_developer(s, u->developer.name)) != NULL && !d->revoked) {
		d->revoked = true;
		memcpy(d->reason, u->reason, sizeof(d->reason));
		held_revoke(s, d->added_seq);
		s->developers_live--;
	}
}

static void
new_era(struct reg_state *s, const struct registry_update *u)
{
	uint64_t before[REGISTRY_AUTHORITIES_MAX];
	const struct registry_set *old = s->eras == 0 ? NULL : reg_set(s);
	struct reg_era *era = s->era + s->eras;
	uint32_t i, l;

	memcpy(before, s->stated, sizeof(before));
	memset(s->stated, 0, sizeof(s->stated));
	for (i = 0; i < u->set.count && old != NULL; i++)
		for (l = 0; l < old->count; l++)
			if (memcmp(u->set.authority[i], old->authority[l],
				REGISTRY_KEY_LEN) == 0)
				s->stated[i] = before[l];
	era->seq = u->seq;
	era->time_s = u->time_s;
	era->set = u->set;
	s->eras++;
}

/* Who signed has stated a time. */
static void
state_time(struct reg_state *s, const struct reg_parsed *p)
{
	const struct registry_set *set = reg_set(s);
	uint32_t i;
	size_t l;

	for (i = 0; i < set->count; i++)
		for (l = 0; l < p->n; l++)
			if (memcmp(p->sig[l].kid, set->authority[i],
				REGISTRY_KEY_LEN) == 0 ||
			    (set->has_fresh &&
				memcmp(p->sig[l].kid, set->fresh[i],
				    REGISTRY_KEY_LEN) == 0))
				s->stated[i] = p->u.time_s;
}

void
reg_state_apply(struct reg_state *s, const struct reg_parsed *p)
{
	const struct registry_update *u = &p->u;

	switch (u->op) {
	case REGISTRY_GENESIS:
		s->windows = u->windows;
		new_era(s, u);
		break;
	case REGISTRY_AUTHORITIES:
		new_era(s, u);
		break;
	case REGISTRY_NODE_ADD:
		add_node(s, p);
		break;
	case REGISTRY_NODE_ANCHOR:
		anchor_node(s, p);
		break;
	case REGISTRY_NODE_REVOKE:
	case REGISTRY_BINARY_REVOKE:
	case REGISTRY_DEVELOPER_REVOKE:
		reg_state_revoke(s, u);
		break;
	case REGISTRY_BINARY_ALLOW:
		add_binary(s, u);
		break;
	case REGISTRY_DEVELOPER_ADD:
		add_developer(s, u);
		break;
	case REGISTRY_POLICY:
		s->windows = u->windows;
		break;
	case REGISTRY_RESOLVE:
		s->settled[s->settleds].common = u->resolve.common;
		s->settled[s->settleds].seq = u->seq;
		s->settleds++;
		break;
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
	state_time(s, p);
	s->empty = false;
	s->seq = u->seq;
	memcpy(s->head, p->hash, sizeof(s->head));
}
