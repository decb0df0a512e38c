/* SPDX-License-Identifier: ISC */
/*
 * list.c - what a sibling has several of, asked for one by one.
 */
#include <stdlib.h>

#include "common/child.h"
#include "controld/list.h"

struct list {
	const struct list_of *of;
	struct request *request;
	json_t *all;
	uint32_t index;
};

static void
let_go(struct list *l)
{
	json_decref(l->all);
	free(l);
}

static void
finish(struct list *l)
{
	pass_answer(l->request, json_pack("{s:O}", l->of->member, l->all));
	let_go(l);
}

static void
on_one(struct chan *c, struct msg *m, void *arg)
{
	struct list *l = arg;
	json_t *one;
	uint32_t id, count;

	if (!pass_good(l->request, m, proc_name(l->of->who))) {
		let_go(l);
		return;
	}
	count = l->of->read(m, &one);
	if (l->index < count)
		(void)json_array_append_new(l->all, one);
	else
		json_decref(one);
	id = ++l->index < count && l->index < l->of->most ?
	    chan_ask(c, l->of->type, on_one, l) :
	    0;
	if (id == 0)
		finish(l);
	else
		l->of->ask(c, id, l->index);
}

void
list_answer(struct request *r, const struct list_of *of)
{
	struct list *l = calloc(1, sizeof(*l));
	uint32_t id;

	if (l == NULL || (l->all = json_array()) == NULL) {
		free(l);
		pass_unavailable(r, "out of memory");
		return;
	}
	l->of = of;
	l->request = r;
	id = pass_ask(r, of->who, of->type, on_one, l);
	if (id == 0)
		let_go(l);
	else
		of->ask(child_peer(of->who), id, 0);
}
