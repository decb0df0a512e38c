/* SPDX-License-Identifier: ISC */
/*
 * follow.c - what keyd knows of the registry, by what is signed alone.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attestd/follow.h"
#include "common/buf.h"
#include "common/registry_int.h"

#define FORM 1 /* of what is kept */

static const char gap[] = "updates before it are missing";

void
follow_begin(struct follow *f, const char *name, const registry_hash genesis)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "%s", name);
	memcpy(f->genesis, genesis, sizeof(f->genesis));
}

static bool
same(const registry_hash a, const registry_hash b)
{
	return memcmp(a, b, REGISTRY_HASH_LEN) == 0;
}

/* --- its place ----------------------------------------------------------- */

/* The hash of a genesis is that of its line. */
static int
hash_of(struct reg_parsed *p)
{
	static char line[REGISTRY_LINE_MAX + 1];
	ssize_t len;

	if (p->u.op != REGISTRY_GENESIS)
		return regupdate_hash(&p->u, p->hash);
	len = regupdate_line(&p->u, p->sig, p->n, line, sizeof(line));
	return len < 0 ? (int)len :
			 registry_genesis_hash(line, (size_t)len, p->hash);
}

static const char *
check_place(const struct follow *f, const struct follow_state *s,
    const struct reg_parsed *p)
{
	const struct registry_update *u = &p->u;

	if (!s->begun) {
		if (u->op != REGISTRY_GENESIS)
			return gap;
		return same(p->hash, f->genesis) ?
		    NULL :
		    "not the genesis of this node's registry";
	}
	if (u->op == REGISTRY_GENESIS)
		return "a second genesis";
	if (u->seq == s->seq + 1 && same(u->prev, s->head))
		return NULL;
	/* What came after it decided nothing. */
	if (u->seq == s->base_seq + 1 && same(u->prev, s->base))
		return NULL;
	if (u->seq > s->seq + 1)
		return gap;
	return u->seq == s->seq + 1 ?
	    "it does not follow the update before it" :
	    "an update from before";
}

/* --- who signed it ------------------------------------------------------- */

static const struct registry_set *
set_now(const struct follow_state *s)
{
	return &s->era[s->eras - 1].set;
}

/* The authorities after the update with that number; NULL: not known here. */
static const struct registry_set *
set_at(const struct follow_state *s, uint64_t seq)
{
	uint32_t i = s->eras;

	while (i-- > 0)
		if (s->era[i].seq <= seq)
			return &s->era[i].set;
	return NULL;
}

static const char *
check_signers(const struct follow_state *s, const struct reg_parsed *p)
{
	const struct registry_set *set, *other = NULL;
	struct reg_votes votes;
	const char *why;

	if (p->u.op == REGISTRY_GENESIS) {
		set = &p->u.set;
	} else if (p->u.op == REGISTRY_RESOLVE) {
		set = set_at(s, p->u.resolve.common);
		if (set == NULL)
			return "it resolves what is older than is known here";
		other = set_now(s); /* may sign, too */
	} else {
		set = set_now(s);
		if (p->u.op == REGISTRY_AUTHORITIES)
			other = &p->u.set;
	}
	why = reg_votes(p, set, other, &votes);
	if (p->u.op == REGISTRY_RESOLVE)
		votes.need_new = 0;
	if (why == NULL && !reg_enough(&p->u, &votes))
		why = "too few authorities have signed it";
	return why;
}

/* --- what it says of this node ------------------------------------------- */

static bool
is_ours(const struct follow *f, const struct registry_update *u)
{
	return (u->op == REGISTRY_NODE_ADD || u->op == REGISTRY_NODE_ANCHOR ||
		   u->op == REGISTRY_NODE_REVOKE) &&
	    strcmp(u->node.name, f->name) == 0;
}

static const char *
check_self(const struct follow *f, const struct follow_state *s,
    const struct registry_update *u)
{
	if (!is_ours(f, u))
		return NULL;
	if (u->op == REGISTRY_NODE_ADD)
		return s->self.there ? "a node of that name is there" : NULL;
	if (!s->self.there)
		return "no node of that name is there";
	if (u->op == REGISTRY_NODE_ANCHOR &&
	    u->node.ksn <= s->self.anchored_ksn)
		return "a rotation that is not newer than the one in the chain";
	return NULL;
}

/* Another key than before. */
static void
turn_to(struct follow_self *self, const registry_key identity)
{
	if (memcmp(self->identity, identity, REGISTRY_KEY_LEN) == 0)
		return;
	memcpy(self->previous, self->identity, REGISTRY_KEY_LEN);
	memcpy(self->identity, identity, REGISTRY_KEY_LEN);
}

static void
set_ksn(struct follow_self *self, uint64_t ksn, const registry_hash rotation)
{
	self->ksn = ksn;
	if (ksn > self->top_ksn)
		self->top_ksn = ksn;
	memcpy(self->rotation, rotation, sizeof(self->rotation));
}

static void
set_next(struct follow_self *self, bool has_next, const registry_hash next)
{
	self->has_next = has_next;
	memcpy(self->next, next, REGISTRY_HASH_LEN);
}

/* Rotations that came after what is anchored are brought again. */
static void
anchor_self(struct follow_self *self, const struct registry_node_operands *o)
{
	self->anchored_ksn = o->ksn;
	turn_to(self, o->identity);
	set_next(self, o->has_next, o->next);
	set_ksn(self, o->ksn, o->event);
}

static void
apply_self(const struct follow *f, struct follow_self *self,
    const struct reg_parsed *p)
{
	const struct registry_node_operands *o = &p->u.node;

	if (!is_ours(f, &p->u))
		return;
	if (p->u.op == REGISTRY_NODE_ANCHOR) {
		anchor_self(self, o);
		return;
	}
	memset(self, 0, sizeof(*self));
	if (p->u.op == REGISTRY_NODE_REVOKE)
		return;
	self->there = true;
	memcpy(self->identity, o->identity, sizeof(self->identity));
	set_next(self, o->has_next, o->next);
	self->capabilities = o->capabilities;
	memcpy(self->rotation, p->hash, sizeof(self->rotation));
}

/* --- what it changes ----------------------------------------------------- */

static void
apply_set(struct follow_state *s, const struct registry_update *u)
{
	if (s->eras == FOLLOW_ERAS) {
		memmove(s->era, s->era + 1, sizeof(s->era) - sizeof(s->era[0]));
		s->eras--;
	}
	s->era[s->eras].seq = u->seq;
	s->era[s->eras].set = u->set;
	s->eras++;
}

static void
apply(const struct follow *f, struct follow_state *s,
    const struct reg_parsed *p)
{
	s->begun = true;
	s->seq = p->u.seq;
	memcpy(s->head, p->hash, sizeof(s->head));
	if (p->u.op != REGISTRY_FRESH) {
		s->base_seq = p->u.seq;
		memcpy(s->base, p->hash, sizeof(s->base));
	}
	if (p->u.op == REGISTRY_GENESIS || p->u.op == REGISTRY_AUTHORITIES)
		apply_set(s, &p->u);
	/* What it has settled cannot be settled by it again. */
	if (p->u.op == REGISTRY_RESOLVE)
		s->stood_n = 0;
	memcpy(s->stood[s->stood_n++ % FOLLOW_STOOD], p->hash,
	    REGISTRY_HASH_LEN);
	apply_self(f, &s->self, p);
}

static const char *
take(const struct follow *f, struct follow_state *s, const struct reg_parsed *p)
{
	const char *why = check_place(f, s, p);

	if (why == NULL)
		why = check_self(f, s, &p->u);
	if (why == NULL)
		why = check_signers(s, p);
	if (why == NULL)
		apply(f, s, p);
	return why;
}

/* --- again from the genesis on ------------------------------------------- */

static bool
names_us(const struct registry_update *u, const struct follow_state *now)
{
	uint32_t i, k;

	for (i = 0; i < u->resolve.heads; i++)
		for (k = 0; k < now->stood_n && k < FOLLOW_STOOD; k++)
			if (same(u->resolve.head[i], now->stood[k]))
				return true;
	return false;
}

/* Whether the walk has come to what takes the place of where we are. */
static bool
leads_here(struct follow *f, const struct reg_parsed *p)
{
	const struct registry_set *set = set_now(&f->now);

	if (f->again.seq == f->now.base_seq &&
	    same(f->again.head, f->now.base)) {
		/* The same, and rotations that the chain does not have. */
		f->again.self = f->now.self;
		return true;
	}
	return p->u.op == REGISTRY_RESOLVE && names_us(&p->u, &f->now) &&
	    reg_members(p, set) >= set->threshold;
}

void
follow_walk(struct follow *f)
{
	memset(&f->again, 0, sizeof(f->again));
	f->walking = f->now.begun;
}

const char *
follow_end(struct follow *f)
{
	bool walked = f->walking;

	f->walking = false;
	return walked ? "it is another history than the one before, and no "
			"resolve leads from there to here" :
			NULL;
}

const struct follow_state *
follow_where(const struct follow *f)
{
	return f->walking ? &f->again : &f->now;
}

const char *
follow_update(struct follow *f, const struct registry_update *u,
    const struct registry_signature *sigs, size_t n)
{
	static struct reg_parsed p;
	const char *why;

	if (n > REGISTRY_SIGS_MAX)
		return "more signatures than there can be";
	memset(&p, 0, sizeof(p));
	p.u = *u;
	p.n = n;
	memcpy(p.sig, sigs, n * sizeof(*sigs));
	why = hash_of(&p) != 0 ? "not an update" :
				 take(f, f->walking ? &f->again : &f->now, &p);
	if (why != NULL) {
		f->walking = false;
	} else if (f->walking && leads_here(f, &p)) {
		f->now = f->again;
		f->walking = false;
	}
	return why;
}

const char *
follow_rotation(struct follow *f, const struct registry_rotation *r,
    const struct registry_signature sigs[2], size_t n)
{
	struct follow_self *self = &f->now.self;
	struct reg_turn_parsed p = { .r = *r, .n = n };
	const char *why;

	if (f->walking || !self->there || strcmp(r->name, f->name) != 0)
		return "not a rotation of this node";
	if (n == 0 || n > 2)
		return "not signed by one key or two";
	memcpy(p.sig, sigs, n * sizeof(*sigs));
	if (r->ksn != self->ksn + 1 || !same(r->prev, self->rotation))
		return "it does not follow the rotation before it";
	if (!self->has_next || !reg_committed(r->identity, self->next))
		return "a key that was not committed to";
	why = reg_turn_signers(&p, self->identity);
	if (why == NULL && regupdate_rotation_hash(r, p.hash) != 0)
		why = "not a rotation";
	if (why != NULL)
		return why;
	turn_to(self, r->identity);
	set_next(self, r->has_next, r->next);
	set_ksn(self, r->ksn, p.hash);
	return NULL;
}

bool
follow_rotation_place(const struct follow *f, uint64_t ksn,
    const registry_hash prev)
{
	const struct follow_self *self = &f->now.self;

	/* One that is anchored may hide those after it for a moment. */
	return self->there && ksn == self->ksn + 1 && ksn > self->top_ksn &&
	    same(prev, self->rotation);
}

uint64_t
follow_capabilities(const struct follow *f, const registry_key key)
{
	const struct follow_self *self = &f->now.self;

	/* For a moment the key before signs on: its leaves say the same. */
	return memcmp(self->identity, key, REGISTRY_KEY_LEN) == 0 ||
		memcmp(self->previous, key, REGISTRY_KEY_LEN) == 0 ?
	    self->capabilities :
	    0;
}

/* --- what is kept -------------------------------------------------------- */

static void
put_self(struct wbuf *w, const struct follow_self *self)
{
	wbuf_u8(w, self->there);
	wbuf_u8(w, self->has_next);
	wbuf_put(w, self->identity, sizeof(self->identity));
	wbuf_put(w, self->previous, sizeof(self->previous));
	wbuf_put(w, self->next, sizeof(self->next));
	wbuf_u64(w, self->capabilities);
	wbuf_u64(w, self->ksn);
	wbuf_u64(w, self->anchored_ksn);
	wbuf_u64(w, self->top_ksn);
	wbuf_put(w, self->rotation, sizeof(self->rotation));
}

ssize_t
follow_put(const struct follow *f, void *out, size_t size)
{
	const struct follow_state *s = &f->now;
	struct registry_update era = { .v = REGISTRY_VERSION,
		.op = REGISTRY_AUTHORITIES };
	uint8_t bytes[REGUPDATE_BYTES_MAX];
	struct wbuf w;
	ssize_t n;
	uint32_t i, stood;

	if (!s->begun)
		return -EINVAL;
	/* The authorities, in the form that an update gives them. */
	era.seq = s->era[s->eras - 1].seq + 1;
	era.set = *set_now(s);
	n = regupdate_put(&era, bytes, sizeof(bytes));
	if (n < 0)
		return n;
	wbuf_init(&w, out, size);
	wbuf_u8(&w, FORM);
	wbuf_bytes(&w, f->name, strlen(f->name));
	wbuf_put(&w, f->genesis, sizeof(f->genesis));
	wbuf_u64(&w, s->seq);
	wbuf_put(&w, s->head, sizeof(s->head));
	wbuf_u64(&w, s->base_seq);
	wbuf_put(&w, s->base, sizeof(s->base));
	stood = s->stood_n < FOLLOW_STOOD ? s->stood_n : FOLLOW_STOOD;
	wbuf_u8(&w, (uint8_t)stood);
	for (i = s->stood_n - stood; i < s->stood_n; i++)
		wbuf_put(&w, s->stood[i % FOLLOW_STOOD], REGISTRY_HASH_LEN);
	wbuf_bytes(&w, bytes, (size_t)n);
	put_self(&w, &s->self);
	return w.failed ? -ENOSPC : (ssize_t)w.len;
}

static void
get_fix(struct rbuf *r, void *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

static void
get_self(struct rbuf *r, struct follow_self *self)
{
	self->there = rbuf_u8(r) != 0;
	self->has_next = rbuf_u8(r) != 0;
	get_fix(r, self->identity, sizeof(self->identity));
	get_fix(r, self->previous, sizeof(self->previous));
	get_fix(r, self->next, sizeof(self->next));
	self->capabilities = rbuf_u64(r);
	self->ksn = rbuf_u64(r);
	self->anchored_ksn = rbuf_u64(r);
	self->top_ksn = rbuf_u64(r);
	get_fix(r, self->rotation, sizeof(self->rotation));
}

static bool
get_ours(struct rbuf *r, const struct follow *f)
{
	const uint8_t *name, *genesis;
	uint16_t len;

	if (rbuf_u8(r) != FORM)
		return false;
	name = rbuf_bytes(r, &len);
	genesis = rbuf_take(r, REGISTRY_HASH_LEN);
	return genesis != NULL && len == strlen(f->name) &&
	    memcmp(name, f->name, len) == 0 && same(genesis, f->genesis);
}

int
follow_get(struct follow *f, const void *data, size_t len)
{
	struct follow_state s = { .begun = true, .eras = 1 };
	static struct registry_update era;
	const uint8_t *bytes;
	struct rbuf r;
	uint32_t i;
	uint16_t n;

	rbuf_init(&r, data, len);
	if (!get_ours(&r, f))
		return -EBADMSG;
	s.seq = rbuf_u64(&r);
	get_fix(&r, s.head, sizeof(s.head));
	s.base_seq = rbuf_u64(&r);
	get_fix(&r, s.base, sizeof(s.base));
	s.stood_n = rbuf_u8(&r);
	if (s.stood_n > FOLLOW_STOOD || s.base_seq > s.seq)
		return -EBADMSG;
	for (i = 0; i < s.stood_n; i++)
		get_fix(&r, s.stood[i], REGISTRY_HASH_LEN);
	bytes = rbuf_bytes(&r, &n);
	get_self(&r, &s.self);
	if (!rbuf_done(&r) || regupdate_get(&era, bytes, n) != 0 ||
	    era.op != REGISTRY_AUTHORITIES)
		return -EBADMSG;
	s.era[0].seq = era.seq - 1;
	s.era[0].set = era.set;
	f->now = s;
	f->walking = false;
	return 0;
}
