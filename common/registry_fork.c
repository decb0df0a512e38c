/* SPDX-License-Identifier: ISC */
/*
 * registry_fork.c - lines that others have and we have not: branches, forks,
 * and the update that ends one.
 *
 * A branch is kept as lines whose signatures were enough when they came, by
 * the authorities of the branch itself. Nothing of a branch is in force, with
 * one exception: while the registry is forked, a revocation that would have
 * been valid at the fork counts, whichever branch it is on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/registry_int.h"

/* How far back to pull when a line follows nothing that we have. */
#define STEP_BACK 64

static void
drop_branch(struct registry *r, size_t i)
{
	reg_lines_free(&r->branch[i].lines);
	r->branches--;
	memmove(r->branch + i, r->branch + i + 1,
	    (r->branches - i) * sizeof(r->branch[0]));
	memset(&r->branch[r->branches], 0, sizeof(r->branch[0]));
}

static bool
decides_after(const struct registry *r, uint64_t seq)
{
	size_t i;

	for (i = r->lines.n; i-- > seq + 1;)
		if (r->lines.line[i]->decides)
			return true;
	return false;
}

static bool
is_line(const struct registry *r, uint64_t seq, const registry_hash hash)
{
	const uint8_t *ours = registry_hash_at(r, seq);

	return ours != NULL && memcmp(ours, hash, REGISTRY_HASH_LEN) == 0;
}

/* --- the fork ------------------------------------------------------------ */

/*
 * Revocations on a branch that count at the fork: those by its authorities.
 * Ours all count: what was revoked here does not come back over a fork.
 */
static void
revoke_lines(struct reg_state *s, const struct reg_lines *lines, size_t from,
    bool ours)
{
	struct reg_parsed p;
	size_t i;

	for (i = from; i < lines->n; i++)
		if (reg_parse(lines->line[i]->text, lines->line[i]->len, &p) ==
			NULL &&
		    (ours ||
			reg_members(&p, reg_set(s)) >= reg_set(s)->threshold))
			reg_state_revoke(s, &p.u);
}

void
reg_fork_update(struct registry *r)
{
	struct reg_state *s;
	const char *why;
	size_t i;

	r->forked = false;
	r->common = r->state->seq;
	for (i = 0; i < r->branches; i++)
		if (r->branch[i].decides &&
		    decides_after(r, r->branch[i].parent)) {
			r->forked = true;
			if (r->branch[i].parent < r->common)
				r->common = r->branch[i].parent;
		}
	if (!r->forked) {
		reg_state_free(r->common_state);
		r->common_state = NULL;
		return;
	}
	/* Without it nothing is in force: registry_standing() knows. */
	reg_state_free(r->common_state);
	r->common_state = NULL;
	s = reg_replay(r, (size_t)r->common + 1, NULL, &why);
	if (s == NULL)
		return;
	revoke_lines(s, &r->lines, (size_t)r->common + 1, true);
	for (i = 0; i < r->branches; i++)
		revoke_lines(s, &r->branch[i].lines, 0, false);
	r->common_state = s;
}

/* --- branches ------------------------------------------------------------ */

/* After the chain changed: what of a branch is the chain's now is not the
 * branch's any more, and a branch that follows nothing is none. */
static void
rebase(struct registry *r)
{
	struct reg_branch *b;
	size_t i = 0, k;

	while (i < r->branches) {
		b = &r->branch[i];
		for (k = 0; k < b->lines.n &&
		     is_line(r, b->parent + 1 + k, b->lines.line[k]->hash);
		     k++)
			reg_line_free(b->lines.line[k]);
		b->lines.n -= k;
		memmove(b->lines.line, b->lines.line + k,
		    b->lines.n * sizeof(struct reg_line *));
		b->parent += k;
		for (b->decides = false, k = 0; k < b->lines.n; k++)
			b->decides = b->decides || b->lines.line[k]->decides;
		if (b->lines.n == 0 ||
		    !is_line(r, b->parent, b->lines.line[0]->prev) ||
		    reg_is_settled(r->state, b->parent))
			drop_branch(r, i);
		else
			i++;
	}
}

/* Whether a branch takes the place of what follows its parent. */
static bool
stands_above(const struct registry *r, const struct reg_branch *b)
{
	if (decides_after(r, b->parent))
		return false;
	if (b->decides || b->parent + 1 >= r->lines.n)
		return true;
	return memcmp(b->lines.line[0]->hash,
		   r->lines.line[b->parent + 1]->hash, REGISTRY_HASH_LEN) < 0;
}

/*
 * Put a branch in the place of the `fresh` updates that follow its parent. Its
 * last line alone can be one that does not fit: the others are `fresh`, or it
 * would have been here before.
 */
static const char *
switch_to(struct registry *r, size_t which)
{
	struct reg_branch b = r->branch[which];
	const struct reg_line *last = b.lines.line[b.lines.n - 1];
	struct reg_parsed p;
	const char *why;
	size_t i;

	why = reg_parse(last->text, last->len, &p);
	if (why == NULL)
		why = reg_state_check(r->state, &p.u);
	if (why != NULL)
		return why;
	reg_pop(r, b.parent);
	for (i = 0; i < b.lines.n; i++) {
		last = b.lines.line[i];
		if (reg_parse(last->text, last->len, &p) != NULL ||
		    reg_append(r, last->text, last->len, &p, &why) != 0)
			break;
	}
	rebase(r);
	return NULL;
}

/* The authorities that judge what follows a branch's line; at 0: its first. */
static const struct registry_set *
set_on_branch(const struct registry *r, const struct reg_branch *b, size_t at)
{
	while (at > 0)
		if (b->lines.line[--at]->set != NULL)
			return b->lines.line[at]->set;
	return reg_set_at(r->state, b->parent);
}

/* Verify and count, on a branch after its line at-1. */
static const char *
count_on_branch(const struct registry *r, const struct reg_branch *b, size_t at,
    const struct reg_parsed *p, struct reg_votes *v)
{
	const struct registry_set *set = set_on_branch(r, b, at);
	const struct registry_set *other = NULL;
	uint64_t common = p->u.resolve.common;
	const char *why;

	if (p->u.op == REGISTRY_AUTHORITIES) {
		other = &p->u.set;
	} else if (p->u.op == REGISTRY_RESOLVE) {
		/* Today's authorities may sign too; whether they must is seen
		 * when the branch is replayed. */
		other = set;
		set = common <= b->parent ?
		    reg_set_at(r->state, common) :
		    set_on_branch(r, b, (size_t)(common - b->parent));
	}
	why = reg_votes(p, set, other, v);
	if (p->u.op == REGISTRY_RESOLVE)
		v->need_new = 0;
	return why;
}

static size_t
kept_lines(const struct registry *r)
{
	size_t i, n = 0;

	for (i = 0; i < r->branches; i++)
		n += r->branch[i].lines.n;
	return n;
}

/* Room for n more lines: branches that decide nothing go, but not *keep. */
static bool
make_room(struct registry *r, size_t *keep, size_t n, size_t branches)
{
	size_t i;

	while (kept_lines(r) + n > REGISTRY_BRANCH_LINES_MAX ||
	    r->branches + branches > REGISTRY_BRANCHES_MAX) {
		for (i = 0; i < r->branches; i++)
			if (i != *keep && !r->branch[i].decides)
				break;
		if (i == r->branches)
			return false;
		drop_branch(r, i);
		if (*keep != SIZE_MAX && i < *keep)
			(*keep)--;
	}
	return true;
}

/* A branch that begins as another one does. */
static int
copy_lines(struct reg_lines *out, const struct reg_lines *from, size_t n)
{
	struct reg_parsed p;
	struct reg_line *l;
	size_t i;

	if (reg_lines_reserve(out, n + 1) != 0)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (reg_parse(from->line[i]->text, from->line[i]->len, &p) !=
		    NULL)
			return -EBADMSG;
		l = reg_line_new(from->line[i]->text, from->line[i]->len, &p);
		if (l == NULL)
			return -ENOMEM;
		out->line[out->n++] = l;
	}
	return 0;
}

/* Where a line belongs: after line at-1 of branch `which` (SIZE_MAX: a new
 * one), or of the chain. */
struct place {
	size_t which, at;
	uint64_t parent;
};

static bool
find_place(const struct registry *r, const struct reg_parsed *p,
    struct place *out)
{
	const struct reg_branch *b;
	size_t i, at;

	if (is_line(r, p->u.seq - 1, p->u.prev)) {
		*out = (struct place){ SIZE_MAX, 0, p->u.seq - 1 };
		return true;
	}
	for (i = 0; i < r->branches; i++) {
		b = &r->branch[i];
		if (p->u.seq < b->parent + 2 ||
		    p->u.seq - b->parent - 2 >= b->lines.n)
			continue;
		at = (size_t)(p->u.seq - b->parent - 1);
		if (memcmp(b->lines.line[at - 1]->hash, p->u.prev,
			REGISTRY_HASH_LEN) == 0) {
			*out = (struct place){ i, at, b->parent };
			return true;
		}
	}
	return false;
}

/* A new branch, as long as `at` says; *which is its index. */
static const char *
new_branch(struct registry *r, const struct place *at, size_t *which)
{
	struct reg_branch new = { .parent = at->parent };
	int e = 0;

	if (at->which != SIZE_MAX)
		e = copy_lines(&new.lines, &r->branch[at->which].lines, at->at);
	*which = SIZE_MAX;
	if (e == 0 && make_room(r, which, at->at + 1, 1)) {
		*which = r->branches++;
		r->branch[*which] = new;
		return NULL;
	}
	reg_lines_free(&new.lines);
	return e != 0 ? "out of memory" : "there are too many branches already";
}

static void
set_decides(struct reg_branch *b)
{
	size_t i;

	b->decides = false;
	for (i = 0; i < b->lines.n; i++)
		b->decides = b->decides || b->lines.line[i]->decides;
}

/* Put the line where it belongs; *which is its branch then. */
static const char *
keep_line(struct registry *r, const struct place *at, const char *line,
    size_t len, const struct reg_parsed *p, size_t *which)
{
	struct reg_line *l = reg_line_new(line, len, p);
	struct reg_branch *b;
	const char *why = NULL;

	if (l == NULL)
		return "out of memory";
	if (at->which == SIZE_MAX || at->at < r->branch[at->which].lines.n) {
		why = new_branch(r, at, which);
	} else {
		*which = at->which;
		if (!make_room(r, which, 1, 0))
			why = "there are too many branches already";
	}
	if (why != NULL) {
		reg_line_free(l);
		return why;
	}
	b = &r->branch[*which];
	if (reg_lines_reserve(&b->lines, 1) != 0) {
		reg_line_free(l);
		if (b->lines.n == 0)
			drop_branch(r, *which);
		return "out of memory";
	}
	b->lines.line[b->lines.n++] = l;
	set_decides(b);
	return NULL;
}

/* --- resolve ------------------------------------------------------------- */

/* A branch that was chosen becomes the chain. */
static const char *
take_branch(struct registry *r, size_t which)
{
	struct reg_branch b = r->branch[which];
	struct reg_state *s;
	const char *why;
	size_t i;

	s = reg_replay(r, (size_t)b.parent + 1, &b.lines, &why);
	if (s == NULL)
		return why;
	if (reg_lines_reserve(&r->lines, b.lines.n) != 0) {
		reg_state_free(s);
		return "out of memory";
	}
	while (r->lines.n > b.parent + 1)
		reg_line_free(r->lines.line[--r->lines.n]);
	for (i = 0; i < b.lines.n; i++)
		r->lines.line[r->lines.n++] = b.lines.line[i];
	r->branch[which].lines.n = 0;
	reg_state_free(r->state);
	r->state = s;
	r->spares = 0;
	reg_max_time(r);
	rebase(r);
	return NULL;
}

/* The last line of a branch did not do: nor does a branch made for it. */
static void
unkeep(struct registry *r, size_t which, bool made)
{
	struct reg_branch *b = &r->branch[which];

	if (made) {
		drop_branch(r, which);
		return;
	}
	reg_line_free(b->lines.line[--b->lines.n]);
	set_decides(b);
}

/* --- offers -------------------------------------------------------------- */

static bool
known_on_branch(const struct registry *r, const struct reg_parsed *p)
{
	const struct reg_branch *b;
	size_t i;
	uint64_t k;

	for (i = 0; i < r->branches; i++) {
		b = &r->branch[i];
		k = p->u.seq - b->parent - 1;
		if (p->u.seq > b->parent && k < b->lines.n &&
		    memcmp(b->lines.line[k]->hash, p->hash,
			REGISTRY_HASH_LEN) == 0)
			return true;
	}
	return false;
}

void
reg_appended(struct registry *r, const struct reg_parsed *p)
{
	if (p->u.op == REGISTRY_RESOLVE)
		rebase(r);
	if (r->branches > 0 || r->forked)
		reg_fork_update(r);
}

static enum registry_offer
offer_next(struct registry *r, const char *line, size_t len,
    const struct reg_parsed *p, const char **why)
{
	bool forked = r->forked;

	if (reg_append(r, line, len, p, why) != 0)
		return REGISTRY_BAD;
	reg_appended(r, p);
	return forked && !r->forked ? REGISTRY_RESOLVED : REGISTRY_NEXT;
}

static enum registry_offer
offer_branch(struct registry *r, const struct place *at, const char *line,
    size_t len, const struct reg_parsed *p, const char **why)
{
	struct reg_branch here = { .parent = at->parent };
	const struct reg_branch *on =
	    at->which == SIZE_MAX ? &here : &r->branch[at->which];
	bool made = at->which == SIZE_MAX || at->at < on->lines.n;
	bool forked = r->forked;
	struct reg_votes votes;
	size_t which = 0;

	*why = NULL;
	if (reg_is_settled(r->state, at->parent))
		*why = "of a branch that a resolve has ended";
	else if (at->parent <
	    reg_final(r->state, forked ? r->common : UINT64_MAX))
		*why = "of a branch that leaves before authorities who were "
		       "replaced long ago";
	else
		*why = count_on_branch(r, on, at->at, p, &votes);
	if (*why == NULL)
		*why = reg_too_few(r, &p->u, &votes);
	if (*why == NULL)
		*why = keep_line(r, at, line, len, p, &which);
	if (*why != NULL)
		return REGISTRY_BAD;
	if (forked && p->u.op == REGISTRY_RESOLVE &&
	    p->u.resolve.common <= r->branch[which].parent) {
		*why = take_branch(r, which);
		if (*why != NULL) {
			unkeep(r, which, made);
			return REGISTRY_BAD;
		}
		reg_fork_update(r);
		return REGISTRY_RESOLVED;
	}
	if (stands_above(r, &r->branch[which])) {
		*why = switch_to(r, which);
		if (*why != NULL) {
			unkeep(r, which, made);
			return REGISTRY_BAD;
		}
		reg_fork_update(r);
		return REGISTRY_SWITCHED;
	}
	if (p->u.op != REGISTRY_FRESH)
		reg_fork_update(r);
	return r->branch[which].decides &&
		decides_after(r, r->branch[which].parent) ?
	    REGISTRY_FORK :
	    REGISTRY_BRANCH;
}

enum registry_offer
registry_offer(struct registry *r, const char *line, size_t len, uint64_t *from,
    const char **why)
{
	struct reg_parsed p;
	struct place at;

	*from = 0;
	*why = reg_parse(line, len, &p);
	if (*why != NULL)
		return REGISTRY_BAD;
	if (is_line(r, p.u.seq, p.hash))
		return REGISTRY_KNOWN;
	if (r->state->empty && p.u.seq > 0)
		return REGISTRY_AHEAD;
	if (p.u.seq == 0 ||
	    (p.u.seq == r->state->seq + 1 &&
		is_line(r, r->state->seq, p.u.prev)))
		return offer_next(r, line, len, &p, why);
	if (known_on_branch(r, &p))
		return REGISTRY_KNOWN;
	if (!find_place(r, &p, &at)) {
		if (p.u.seq == 1) {
			*why = "of another registry";
			return REGISTRY_BAD;
		}
		*from = r->state->seq + 1;
		if (p.u.seq <= *from)
			*from =
			    p.u.seq > STEP_BACK + 1 ? p.u.seq - STEP_BACK : 1;
		return REGISTRY_AHEAD;
	}
	return offer_branch(r, &at, line, len, &p, why);
}

/* --- proposals ----------------------------------------------------------- */

const char *
reg_count_proposal(const struct registry *r, const struct reg_parsed *p,
    struct reg_votes *v)
{
	struct reg_branch here = { 0 };
	struct place at;
	const char *why;

	if (p->u.seq == 0 || !find_place(r, p, &at))
		return "it does not follow the head of the chain";
	if (at.which == SIZE_MAX && !decides_after(r, at.parent)) {
		why = reg_state_check(r->state, &p->u);
		return why != NULL ? why : reg_count(p, r->state, v);
	}
	if (p->u.op != REGISTRY_RESOLVE)
		return "it does not follow the head of the chain";
	here.parent = at.parent;
	return count_on_branch(r,
	    at.which == SIZE_MAX ? &here : &r->branch[at.which], at.at, p, v);
}

const char *
reg_propose_resolve(struct registry *r, struct registry_update *u)
{
	struct registry_resolve_operands *o = &u->resolve;
	const struct reg_branch *b;
	size_t i;

	if (!r->forked)
		return "there is no fork";
	o->common = r->common;
	o->heads = registry_heads(r, o->head);
	memcpy(u->prev, o->chosen, sizeof(u->prev));
	u->seq = r->state->seq + 1;
	for (i = 0; i < r->branches; i++) {
		b = &r->branch[i];
		if (memcmp(b->lines.line[b->lines.n - 1]->hash, o->chosen,
			REGISTRY_HASH_LEN) == 0)
			u->seq = b->parent + b->lines.n + 1;
	}
	return regupdate_check(u);
}

/* --- questions ----------------------------------------------------------- */

bool
registry_forked(const struct registry *r)
{
	return r->forked;
}

uint64_t
registry_common(const struct registry *r)
{
	return r->forked ? r->common : r->state->seq;
}

uint32_t
registry_heads(const struct registry *r, registry_hash head[REGISTRY_HEADS_MAX])
{
	const uint8_t *h = r->state->head;
	uint32_t n = 0, k;
	size_t i = 0;

	for (;;) {
		for (k = n;
		     k > 0 && memcmp(head[k - 1], h, REGISTRY_HASH_LEN) > 0;
		     k--)
			memcpy(head[k], head[k - 1], REGISTRY_HASH_LEN);
		memcpy(head[k], h, REGISTRY_HASH_LEN);
		n++;
		while (i < r->branches && !r->branch[i].decides)
			i++;
		if (i == r->branches || n == REGISTRY_HEADS_MAX)
			return n;
		h = r->branch[i].lines.line[r->branch[i].lines.n - 1]->hash;
		i++;
	}
}

size_t
registry_branch_lines(const struct registry *r)
{
	return kept_lines(r);
}

const char *
registry_branch_line(const struct registry *r, size_t i, size_t *len)
{
	size_t k;

	for (k = 0; k < r->branches; k++) {
		if (i < r->branch[k].lines.n) {
			*len = r->branch[k].lines.line[i]->len;
			return r->branch[k].lines.line[i]->text;
		}
		i -= r->branch[k].lines.n;
	}
	return NULL;
}
