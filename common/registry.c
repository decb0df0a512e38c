/* SPDX-License-Identifier: ISC */
/*
 * registry.c - the chain: its lines, the state they make, and what others ask.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/registry_int.h"

#define SPARES (sizeof(((struct registry *)NULL)->spare) / sizeof(uint64_t))

const char *
reg_why(struct registry *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
	return r->why;
}

struct registry *
registry_new(const registry_hash pin)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (r == NULL || (r->state = reg_state_new()) == NULL) {
		free(r);
		return NULL;
	}
	memcpy(r->pin, pin, sizeof(r->pin));
	return r;
}

void
registry_free(struct registry *r)
{
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < r->branches; i++)
		reg_lines_free(&r->branch[i].lines);
	reg_lines_free(&r->lines);
	reg_lines_free(&r->turns);
	reg_state_free(r->state);
	reg_state_free(r->common_state);
	free(r);
}

/* --- lines --------------------------------------------------------------- */

struct reg_line *
reg_line_new(const char *line, size_t len, const struct reg_parsed *p)
{
	struct reg_line *l = calloc(1, sizeof(*l));

	if (l == NULL || (l->text = malloc(len + 1)) == NULL)
		goto fail;
	memcpy(l->text, line, len);
	l->text[len] = '\0';
	l->len = len;
	if (p == NULL)
		return l;
	l->seq = p->u.seq;
	l->time_s = p->u.time_s;
	memcpy(l->hash, p->hash, sizeof(l->hash));
	memcpy(l->prev, p->u.prev, sizeof(l->prev));
	l->decides = p->u.op != REGISTRY_FRESH;
	if (p->u.op == REGISTRY_AUTHORITIES) {
		if ((l->set = malloc(sizeof(*l->set))) == NULL)
			goto fail;
		*l->set = p->u.set;
	}
	if (!l->decides &&
	    (l->stated = calloc(REGISTRY_AUTHORITIES_MAX,
		 sizeof(*l->stated))) == NULL)
		goto fail;
	return l;
fail:
	reg_line_free(l);
	return NULL;
}

void
reg_line_free(struct reg_line *l)
{
	if (l == NULL)
		return;
	free(l->text);
	free(l->set);
	free(l->stated);
	free(l);
}

void
reg_lines_free(struct reg_lines *l)
{
	while (l->n > 0)
		reg_line_free(l->line[--l->n]);
	free(l->line);
	memset(l, 0, sizeof(*l));
}

int
reg_lines_reserve(struct reg_lines *l, size_t more)
{
	return reg_grow(&l->line, &l->cap, l->n + more,
	    sizeof(struct reg_line *));
}

/* --- the chain ----------------------------------------------------------- */

/* Place, contents and signatures, against the state before it. */
static const char *
check(struct registry *r, const struct reg_state *s, const struct reg_parsed *p)
{
	struct reg_votes votes;
	const char *why;

	if (s->empty) {
		if (memcmp(p->hash, r->pin, sizeof(p->hash)) != 0)
			return "not the genesis that was given by "
			       "node.registry.genesis or --genesis";
	} else if (p->u.op == REGISTRY_GENESIS) {
		return "a second genesis";
	} else if (p->u.seq != s->seq + 1) {
		return reg_why(r, "number %llu where %llu must follow",
		    (unsigned long long)p->u.seq,
		    (unsigned long long)s->seq + 1);
	} else if (memcmp(p->u.prev, s->head, sizeof(s->head)) != 0) {
		return "it does not follow the update before it";
	}
	why = reg_state_check(s, &p->u);
	if (why == NULL)
		why = reg_count(p, s, &votes);
	return why != NULL ? why : reg_too_few(r, &p->u, &votes);
}

void
reg_max_time(struct registry *r)
{
	size_t i;

	r->max_time = 0;
	for (i = 0; i < r->lines.n; i++)
		if (r->lines.line[i]->time_s > r->max_time)
			r->max_time = r->lines.line[i]->time_s;
	for (i = 0; i < r->spares && i < SPARES; i++)
		if (r->spare[i] > r->max_time)
			r->max_time = r->spare[i];
}

int
reg_append(struct registry *r, const char *line, size_t len,
    const struct reg_parsed *p, const char **why)
{
	struct reg_line *l;

	*why = check(r, r->state, p);
	if (*why != NULL)
		return -EBADMSG;
	l = reg_line_new(line, len, p);
	if (l == NULL || reg_lines_reserve(&r->lines, 1) != 0 ||
	    reg_state_reserve(r->state, &p->u) != 0) {
		reg_line_free(l);
		*why = "out of memory";
		return -ENOMEM;
	}
	if (l->stated != NULL)
		memcpy(l->stated, r->state->stated, sizeof(r->state->stated));
	r->lines.line[r->lines.n++] = l;
	if (l->time_s > r->max_time)
		r->max_time = l->time_s;
	reg_state_apply(r->state, p);
	return 0;
}

void
reg_pop(struct registry *r, uint64_t seq)
{
	struct reg_line *l;

	while (r->state->seq > seq) {
		l = r->lines.line[--r->lines.n];
		r->spare[r->spares++ % SPARES] = l->time_s;
		memcpy(r->state->stated, l->stated, sizeof(r->state->stated));
		r->state->seq--;
		reg_line_free(l);
	}
	memcpy(r->state->head, r->lines.line[seq]->hash, REGISTRY_HASH_LEN);
	reg_max_time(r);
}

uint64_t
reg_last_decision(const struct registry *r)
{
	uint64_t seq = r->state->seq;

	while (seq > 0 && !r->lines.line[seq]->decides)
		seq--;
	return seq;
}

/* known: it was checked when it came into the chain. */
static const char *
replay_line(struct registry *r, struct reg_state *s, const struct reg_line *l,
    bool known)
{
	struct reg_parsed p;
	const char *why = reg_parse(l->text, l->len, &p);

	if (why == NULL && !known)
		why = check(r, s, &p);
	if (why != NULL)
		return why;
	if (reg_state_reserve(s, &p.u) != 0)
		return "out of memory";
	if (l->stated != NULL)
		memcpy(l->stated, s->stated, sizeof(s->stated));
	reg_state_apply(s, &p);
	return NULL;
}

static void
replay_turns(struct reg_state *s, const struct reg_lines *turns)
{
	struct reg_turn_parsed p;
	const char *why;
	size_t i;

	for (i = 0; i < turns->n; i++)
		if (reg_parse_turn(turns->line[i]->text, turns->line[i]->len,
			&p) == NULL)
			(void)reg_turn(s, &p, &why);
}

struct reg_state *
reg_replay(struct registry *r, size_t n, const struct reg_lines *more,
    const char **why)
{
	struct reg_state *s = reg_state_new();
	size_t i;

	*why = s == NULL ? "out of memory" : NULL;
	for (i = 0; i < n && *why == NULL; i++)
		*why = replay_line(r, s, r->lines.line[i], true);
	for (i = 0; more != NULL && i < more->n && *why == NULL; i++)
		*why = replay_line(r, s, more->line[i], false);
	if (*why != NULL) {
		reg_state_free(s);
		return NULL;
	}
	replay_turns(s, &r->turns);
	return s;
}

int
registry_apply(struct registry *r, const char *line, size_t len,
    const char **why)
{
	struct reg_parsed p;
	int e;

	*why = reg_parse(line, len, &p);
	if (*why != NULL)
		return -EBADMSG;
	e = reg_append(r, line, len, &p, why);
	if (e == 0)
		reg_appended(r, &p);
	return e;
}

/* What a rotation does to the states in force. */
static enum registry_turn
turn(struct registry *r, const struct reg_turn_parsed *p, bool *changed,
    const char **why)
{
	enum registry_turn here = reg_turn(r->state, p, why), common = here;
	const char *ignored;

	if (r->common_state != NULL)
		common = reg_turn(r->common_state, p, &ignored);
	*changed = here == REGISTRY_TURNED || here == REGISTRY_TURN_TWO ||
	    common == REGISTRY_TURNED || common == REGISTRY_TURN_TWO;
	/* A node that is the common state's alone. */
	if (here == REGISTRY_TURN_BAD && common != REGISTRY_TURN_BAD) {
		*why = NULL;
		return common;
	}
	return here;
}

static enum registry_turn
take_turn(struct registry *r, const char *line, size_t len, bool keep,
    const char **why)
{
	enum registry_turn result = REGISTRY_TURN_BAD;
	struct reg_turn_parsed p;
	struct reg_line *l;
	bool changed;

	*why = reg_parse_turn(line, len, &p);
	if (*why != NULL)
		return REGISTRY_TURN_BAD;
	l = reg_line_new(line, len, NULL);
	if (l == NULL || reg_lines_reserve(&r->turns, 1) != 0) {
		reg_line_free(l);
		*why = "out of memory";
		return REGISTRY_TURN_BAD;
	}
	memcpy(l->hash, p.hash, sizeof(l->hash));
	result = turn(r, &p, &changed, why);
	if (changed || keep)
		r->turns.line[r->turns.n++] = l;
	else
		reg_line_free(l);
	return result;
}

enum registry_turn
registry_rotate(struct registry *r, const char *line, size_t len,
    const char **why)
{
	return take_turn(r, line, len, false, why);
}

const char *
reg_turn_kept(struct registry *r, const char *line, size_t len)
{
	size_t n = r->turns.n;
	const char *why;

	/* What does not fit any more is kept: it did when it was written. */
	(void)take_turn(r, line, len, true, &why);
	return r->turns.n > n ? NULL : why;
}

/* --- proposals ----------------------------------------------------------- */

const char *
registry_propose(struct registry *r, struct registry_update *u)
{
	const struct reg_held *h = NULL;
	uint64_t seq = r->state->seq;
	const char *why;

	if (r->state->empty)
		return "there is no registry yet";
	u->v = REGISTRY_VERSION;
	if (u->op == REGISTRY_RESOLVE)
		return reg_propose_resolve(r, u);
	if (u->op == REGISTRY_GENESIS)
		return "a second genesis";
	/* What decides something never rests on what may give way. */
	if (u->op != REGISTRY_FRESH)
		seq = reg_last_decision(r);
	u->seq = seq + 1;
	memcpy(u->prev, r->lines.line[seq]->hash, sizeof(u->prev));
	why = regupdate_check(u);
	if (why == NULL)
		why = reg_state_check(r->state, u);
	if (why != NULL)
		return why;
	/* Here we may know more than the chain does. */
	if (u->op == REGISTRY_NODE_ADD)
		h = reg_held(r->state, u->node.identity);
	else if (u->op == REGISTRY_DEVELOPER_ADD)
		h = reg_held(r->state, u->developer.key);
	return h == NULL ? NULL : "a key that somebody else has or had";
}

const char *
registry_signed(struct registry *r, const char *line, size_t len,
    uint32_t *have, uint32_t *need, struct registry_update *present)
{
	struct reg_votes v;
	struct reg_parsed p;
	const char *why = reg_parse(line, len, &p);

	memset(&v, 0, sizeof(v));
	if (why == NULL && r->state->empty)
		why = "there is no registry yet";
	if (why == NULL)
		why = reg_count_proposal(r, &p, &v);
	/* Of two sets that must sign, the one that still has to. */
	if (v.have >= v.need && v.have_new < v.need_new) {
		v.have = v.have_new;
		v.need = v.need_new;
	} else if (why == NULL && reg_enough(&p.u, &v) && v.have < v.need) {
		v.have = v.need; /* a key for fresh */
	}
	*have = v.have;
	*need = v.need;
	if (present != NULL)
		*present = p.u;
	return why;
}

ssize_t
registry_add_signature(const char *line, size_t len,
    const struct registry_signature *sig, char *out, size_t size)
{
	struct reg_parsed p;

	if (reg_parse(line, len, &p) != NULL || p.n >= REGISTRY_SIGS_MAX)
		return -EBADMSG;
	p.sig[p.n++] = *sig;
	return regupdate_line(&p.u, p.sig, p.n, out, size);
}

/* --- questions ----------------------------------------------------------- */

const struct reg_state *
reg_now(const struct registry *r)
{
	return r->forked && r->common_state != NULL ? r->common_state :
						      r->state;
}

bool
registry_empty(const struct registry *r)
{
	return r->state->empty;
}

uint64_t
registry_seq(const struct registry *r)
{
	return r->state->seq;
}

const uint8_t *
registry_head(const struct registry *r)
{
	return r->state->head;
}

const uint8_t *
registry_genesis(const struct registry *r)
{
	return r->pin;
}

const uint8_t *
registry_hash_at(const struct registry *r, uint64_t seq)
{
	return seq < r->lines.n ? r->lines.line[seq]->hash : NULL;
}

const char *
registry_line(const struct registry *r, uint64_t seq, size_t *len)
{
	if (seq >= r->lines.n)
		return NULL;
	*len = r->lines.line[seq]->len;
	return r->lines.line[seq]->text;
}

int
registry_update_at(const struct registry *r, uint64_t seq,
    struct registry_update *u, struct registry_signature *sigs, size_t *n)
{
	struct reg_parsed p;

	if (seq >= r->lines.n ||
	    reg_parse(r->lines.line[seq]->text, r->lines.line[seq]->len, &p) !=
		NULL)
		return -ENOENT;
	*u = p.u;
	memcpy(sigs, p.sig, p.n * sizeof(*sigs));
	*n = p.n;
	return 0;
}

size_t
registry_range(const struct registry *r, uint64_t seq, char *out, size_t size,
    uint64_t *next)
{
	const struct reg_line *l;
	size_t len = 0;

	for (*next = seq; *next < r->lines.n; (*next)++) {
		l = r->lines.line[*next];
		if (l->len + 1 > size - len)
			break;
		memcpy(out + len, l->text, l->len);
		len += l->len;
		out[len++] = '\n';
	}
	return len;
}

size_t
registry_rotations(const struct registry *r)
{
	return r->turns.n;
}

const char *
registry_rotation_line(const struct registry *r, size_t i, size_t *len)
{
	if (i >= r->turns.n)
		return NULL;
	*len = r->turns.line[i]->len;
	return r->turns.line[i]->text;
}

/* Canonical JSON has a name in one way only. */
static bool
line_names(const struct reg_line *l, const char *name)
{
	char member[REGISTRY_NAME_SIZE + 16];
	int len = snprintf(member, sizeof(member), "\"name\":\"%s\"", name);

	return len > 0 && memmem(l->text, l->len, member, (size_t)len) != NULL;
}

int
registry_rotation_after(const struct registry *r, const char *name,
    uint64_t ksn, const registry_hash prev, struct registry_rotation *out,
    struct registry_signature sigs[2], size_t *n)
{
	struct reg_turn_parsed p;
	size_t i;

	for (i = 0; i < r->turns.n; i++) {
		if (!line_names(r->turns.line[i], name) ||
		    reg_parse_turn(r->turns.line[i]->text,
			r->turns.line[i]->len, &p) != NULL ||
		    strcmp(p.r.name, name) != 0 || p.r.ksn != ksn + 1 ||
		    memcmp(p.r.prev, prev, REGISTRY_HASH_LEN) != 0)
			continue;
		*out = p.r;
		memcpy(sigs, p.sig, p.n * sizeof(*sigs));
		*n = p.n;
		return 0;
	}
	return -ENOENT;
}

void
registry_rotations_hash(const struct registry *r, size_t n, registry_hash out)
{
	uint8_t both[2 * REGISTRY_HASH_LEN] = { 0 };
	size_t i;

	for (i = 0; i < n && i < r->turns.n; i++) {
		memcpy(both + REGISTRY_HASH_LEN, r->turns.line[i]->hash,
		    REGISTRY_HASH_LEN);
		if (EVP_Digest(both, sizeof(both), both, NULL, EVP_sha256(),
			NULL) != 1)
			abort();
	}
	memcpy(out, both, REGISTRY_HASH_LEN);
}

/* name NUL, number of the rotation, its hash, whether it is suspended */
static bool
digest_turn(EVP_MD_CTX *ctx, const struct registry_node *n)
{
	uint8_t ksn[8], suspended = n->suspended ? 1 : 0;
	size_t i;

	for (i = 0; i < sizeof(ksn); i++)
		ksn[i] = (uint8_t)(n->ksn >> (56 - 8 * i));
	return EVP_DigestUpdate(ctx, n->name, strlen(n->name) + 1) == 1 &&
	    EVP_DigestUpdate(ctx, ksn, sizeof(ksn)) == 1 &&
	    EVP_DigestUpdate(ctx, n->rotation, sizeof(n->rotation)) == 1 &&
	    EVP_DigestUpdate(ctx, &suspended, 1) == 1;
}

void
registry_turns(const struct registry *r, registry_hash out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const struct registry_node *n;
	bool ok =
	    ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	bool any = false;
	size_t i;

	memset(out, 0, REGISTRY_HASH_LEN);
	for (i = 0; ok && (n = registry_node_at(r, i)) != NULL; i++)
		if (n->ksn > 0 && !n->revoked) {
			any = true;
			ok = digest_turn(ctx, n);
		}
	if (any && ok)
		ok = EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	if (!ok)
		abort();
	EVP_MD_CTX_free(ctx);
}

uint64_t
registry_time(const struct registry *r)
{
	return reg_time(reg_now(r));
}

const struct registry_set *
registry_set(const struct registry *r)
{
	return reg_set(reg_now(r));
}

struct registry_windows
registry_windows(const struct registry *r)
{
	return reg_now(r)->windows;
}

const struct registry_node *
registry_node(const struct registry *r, const char *name)
{
	const struct reg_node *n = reg_node(reg_now(r), name);

	return n == NULL ? NULL : &n->n;
}

const struct registry_node *
registry_node_by_key(const struct registry *r, const registry_key key)
{
	const struct reg_state *s = reg_now(r);
	const struct registry_node *n, *before = NULL;
	size_t i;

	for (i = 0; i < s->nodes; i++) {
		n = &s->node[i]->n;
		if (memcmp(n->identity, key, REGISTRY_KEY_LEN) == 0)
			return n;
		if (n->has_previous &&
		    memcmp(n->previous, key, REGISTRY_KEY_LEN) == 0)
			before = n;
	}
	return before;
}

const struct registry_node *
registry_node_at(const struct registry *r, size_t i)
{
	const struct reg_state *s = reg_now(r);

	return i < s->nodes ? &s->node[i]->n : NULL;
}

const struct registry_binary *
registry_binary_at(const struct registry *r, size_t i)
{
	const struct reg_state *s = reg_now(r);

	return i < s->binaries ? s->binary[i] : NULL;
}

const struct registry_binary *
registry_binary(const struct registry *r, const registry_hash sha256)
{
	return reg_binary(reg_now(r), sha256);
}

const struct registry_developer *
registry_developer_at(const struct registry *r, size_t i)
{
	const struct reg_state *s = reg_now(r);

	return i < s->developers ? s->developer[i] : NULL;
}

const struct registry_developer *
registry_developer(const struct registry *r, const char *name)
{
	return reg_developer(reg_now(r), name);
}

bool
registry_ever_held(const struct registry *r, const registry_key key)
{
	const struct reg_held *here = reg_held(r->state, key);
	const struct reg_held *common = reg_held(reg_now(r), key);

	/* While forked: either may know it, neither may have revoked it. */
	if ((here != NULL && here->revoked) ||
	    (common != NULL && common->revoked))
		return false;
	return here != NULL || common != NULL;
}

enum registry_standing
registry_standing(const struct registry *r, const char *name,
    const registry_key key, uint64_t now_s)
{
	const struct reg_state *s = reg_now(r);
	const struct registry_node *n = registry_node(r, name);
	const struct reg_held *h = reg_held(s, key);

	/* No memory for the common state: nothing is in force. */
	if (r->forked && r->common_state == NULL)
		return REGISTRY_UNSETTLED;
	if (n == NULL)
		return r->forked && reg_node(r->state, name) != NULL ?
		    REGISTRY_UNSETTLED :
		    REGISTRY_UNKNOWN;
	if (n->revoked || (h != NULL && h->revoked))
		return REGISTRY_REVOKED;
	if (n->suspended)
		return REGISTRY_SUSPENDED;
	if (n->expiry_s != 0 && now_s >= n->expiry_s)
		return REGISTRY_EXPIRED;
	if (memcmp(n->identity, key, REGISTRY_KEY_LEN) == 0)
		return REGISTRY_OK;
	/* The time is the node's own word: no overlap that lasts for years. */
	if (n->has_previous &&
	    memcmp(n->previous, key, REGISTRY_KEY_LEN) == 0 &&
	    now_s <= n->replaced_s + REGISTRY_OVERLAP_S &&
	    now_s + REGISTRY_SKEW_S >= n->replaced_s)
		return REGISTRY_OLD_KEY_OK;
	return REGISTRY_WRONG_KEY;
}

/* The newest time up to `limit` that an update states; false: none. */
static bool
newest(const struct registry *r, uint64_t limit, uint64_t *out)
{
	size_t i, n = r->forked ? (size_t)r->common + 1 : r->lines.n;
	bool any = false;

	if (!r->forked && n > 0 && r->max_time <= limit) {
		*out = r->max_time;
		return true;
	}
	*out = 0;
	for (i = 0; i < n; i++)
		if (r->lines.line[i]->time_s <= limit) {
			any = true;
			if (r->lines.line[i]->time_s > *out)
				*out = r->lines.line[i]->time_s;
		}
	for (i = 0; !r->forked && i < r->spares && i < SPARES; i++)
		if (r->spare[i] <= limit && r->spare[i] > *out)
			*out = r->spare[i];
	return any;
}

enum registry_freshness
registry_freshness(const struct registry *r, uint64_t now_s, uint64_t *age_s)
{
	const struct registry_windows *w = &reg_now(r)->windows;
	uint64_t t, age = UINT64_MAX;

	if (newest(r, now_s + REGISTRY_SKEW_S, &t))
		age = now_s > t ? now_s - t : 0;
	if (age_s != NULL)
		*age_s = age;
	if (age > w->hard_s)
		return REGISTRY_IS_HARD;
	return age > w->soft_s ? REGISTRY_IS_SOFT : REGISTRY_IS_FRESH;
}
