/* SPDX-License-Identifier: ISC */
/*
 * invites.c - inviting a node, and saying yes or no to who comes.
 *
 * Opening an invite is an order: it is recorded, then keyd gets a permit to
 * have one node of that name added with at most these capabilities, then
 * attestd opens the invite. The ticket itself never comes here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attestd/invite.h"
#include "common/child.h"
#include "common/log.h"
#include "controld/methods.h"
#include "controld/pass.h"

#define LONGEST_S 86400 /* as long as keyd gives a permit for */

/* Permits of invites that this controld has opened, to end them with those. */
static struct {
	char name[REGISTRY_NAME_SIZE];
	uint32_t permit; /* 0: free */
} permits[INVITES_MAX];

struct opening {
	struct request *request;
	struct msg_INVITE_OPEN want;
	uint32_t permit;
};

static void
end_permit(uint32_t permit)
{
	const struct msg_PERMIT_END end = { .permit = permit };
	struct chan *keyd = child_peer(PROC_KEYD);

	if (keyd != NULL && permit != 0)
		(void)chan_send_PERMIT_END(keyd, 0, -1, &end);
}

static void
forget(const char *name)
{
	size_t i;

	for (i = 0; i < INVITES_MAX; i++)
		if (permits[i].permit != 0 &&
		    strcmp(permits[i].name, name) == 0) {
			end_permit(permits[i].permit);
			permits[i].permit = 0;
		}
}

/* One name has one invite. Where no place is left, the permit ends when the
 * invite would have. */
static void
remember(const char *name, uint32_t permit)
{
	size_t i;

	forget(name);
	for (i = 0; i < INVITES_MAX; i++)
		if (permits[i].permit == 0)
			break;
	if (i == INVITES_MAX)
		return;
	snprintf(permits[i].name, sizeof(permits[i].name), "%s", name);
	permits[i].permit = permit;
}

static void
on_opened(struct chan *c, struct msg *m, void *arg)
{
	struct opening *o = arg;
	struct msg_INVITE_OPENED done;

	(void)c;
	if (!pass_good(o->request, m, "attestd")) {
		end_permit(o->permit);
		free(o);
		return;
	}
	if (!msg_get_INVITE_OPENED(&m->body, &done))
		fatalx("malformed INVITE_OPENED");
	remember(o->want.name, o->permit);
	pass_answer(o->request,
	    json_pack("{s:s, s:I}", "name", o->want.name, "expiry",
		(json_int_t)o->want.expiry));
	free(o);
}

static void
on_permitted(struct chan *c, struct msg *m, void *arg)
{
	struct opening *o = arg;
	struct msg_PERMITTED done;
	uint32_t id;

	(void)c;
	if (!pass_good(o->request, m, "keyd")) {
		free(o);
		return;
	}
	if (!msg_get_PERMITTED(&m->body, &done))
		fatalx("malformed PERMITTED");
	o->permit = done.permit;
	id = pass_ask(o->request, PROC_ATTESTD, MSG_INVITE_OPEN, on_opened, o);
	if (id != 0) {
		(void)chan_send_INVITE_OPEN(child_peer(PROC_ATTESTD), id, -1,
		    &o->want);
		return;
	}
	end_permit(o->permit);
	free(o);
}

/* Seconds that it stays open; 0: none. */
static uint64_t
seconds_left(uint64_t expiry)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return expiry > (uint64_t)now.tv_sec ? expiry - (uint64_t)now.tv_sec :
					       0;
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct msg_PERMIT want = { .op = REGISTRY_NODE_ADD };
	struct opening *o = arg;
	uint64_t left = seconds_left(o->want.expiry);
	uint32_t id = 0;

	(void)c;
	if (!pass_good(o->request, m, "auditd")) {
		free(o);
		return;
	}
	if (pass_draining())
		pass_unavailable(o->request, "controld is being replaced");
	else if (left == 0)
		pass_fail(o->request, RPC_REGISTRY, "the invite has expired");
	else
		id = pass_ask(o->request, PROC_KEYD, MSG_PERMIT, on_permitted,
		    o);
	memcpy(want.pinned, o->want.pinned, sizeof(want.pinned));
	if (id == 0) {
		free(o);
		return;
	}
	want.seconds = (uint32_t)left;
	want.capabilities = o->want.capabilities;
	snprintf(want.subject, sizeof(want.subject), "%s", o->want.name);
	(void)chan_send_PERMIT(child_peer(PROC_KEYD), id, -1, &want);
}

static bool
name_good(struct request *r)
{
	if (regupdate_name_ok(rpc_text(&r->rpc, "name")))
		return true;
	pass_fail(r, RPC_INVALID_PARAMS, "name: no node can be called that");
	return false;
}

void
invites_open(struct request *r)
{
	static struct auditrec rec;
	uint64_t mask, left = seconds_left(rpc_number(&r->rpc, "expiry", 0));
	struct opening *o;

	if (!name_good(r) || !pass_capabilities(r, "capabilities", &mask))
		return;
	if (left == 0 || left > LONGEST_S) {
		pass_fail(r, RPC_INVALID_PARAMS,
		    "expiry: an invite is open for at most 24 hours from now");
		return;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL) {
		pass_unavailable(r, "out of memory");
		return;
	}
	o->request = r;
	snprintf(o->want.name, sizeof(o->want.name), "%s",
	    rpc_text(&r->rpc, "name"));
	(void)rpc_key(&r->rpc, "ticket_key", o->want.ticket);
	(void)rpc_key(&r->rpc, "pinned", o->want.pinned);
	o->want.capabilities = mask;
	o->want.expiry = rpc_number(&r->rpc, "expiry", 0);
	o->want.confirm = rpc_flag(&r->rpc, "confirm", false);
	pass_order(r, &rec);
	auditrec_text(&rec, AUDIT_ATTR_NODE, o->want.name);
	if (!pass_record(r, &rec, on_recorded, o))
		free(o);
}

/* The invites, asked for one by one. */

struct list {
	struct request *request;
	json_t *invites;
	struct msg_INVITE_SHOW want;
};

static const char *
state_name(uint8_t state)
{
	static const char *const names[] = {
		[INVITE_IS_OPEN] = "open",
		[INVITE_IS_WAITING] = "waiting",
		[INVITE_IS_USED] = "used",
		[INVITE_IS_CLOSED] = "closed",
		[INVITE_IS_EXPIRED] = "expired",
		[INVITE_IS_VOID] = "void",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

static json_t *
invite_json(const struct msg_INVITE *v)
{
	json_t *proposal = pass_text(v->proposal, v->proposal_len);

	return json_pack("{s:s, s:I, s:s, s:b, s:o, s:s, s:s, s:o}", "name",
	    v->name, "expiry", (json_int_t)v->expiry, "state",
	    state_name(v->state), "added", v->added != 0, "identity",
	    pass_key(v->identity), "words", v->words, "addresses", v->addresses,
	    "proposal", proposal != NULL ? proposal : json_string(""));
}

static void
finish(struct list *l)
{
	pass_answer(l->request, json_pack("{s:O}", "invites", l->invites));
	json_decref(l->invites);
	free(l);
}

static void
on_invite(struct chan *c, struct msg *m, void *arg)
{
	struct list *l = arg;
	struct msg_INVITE v;
	uint32_t id;

	if (!pass_good(l->request, m, "attestd")) {
		json_decref(l->invites);
		free(l);
		return;
	}
	if (!msg_get_INVITE(&m->body, &v))
		fatalx("malformed INVITE");
	if (l->want.index < v.count)
		(void)json_array_append_new(l->invites, invite_json(&v));
	if (++l->want.index >= v.count || l->want.index >= INVITES_MAX) {
		finish(l);
		return;
	}
	id = chan_ask(c, MSG_INVITE_SHOW, on_invite, l);
	if (id == 0)
		finish(l);
	else
		(void)chan_send_INVITE_SHOW(c, id, -1, &l->want);
}

void
invites_list(struct request *r)
{
	struct list *l = calloc(1, sizeof(*l));
	uint32_t id;

	if (l == NULL || (l->invites = json_array()) == NULL) {
		free(l);
		pass_unavailable(r, "out of memory");
		return;
	}
	l->request = r;
	id = pass_ask(r, PROC_ATTESTD, MSG_INVITE_SHOW, on_invite, l);
	if (id == 0) {
		json_decref(l->invites);
		free(l);
		return;
	}
	(void)chan_send_INVITE_SHOW(child_peer(PROC_ATTESTD), id, -1, &l->want);
}

/* Yes or no. */

static void
on_answered(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!rpc_flag(&r->rpc, "yes", false))
		forget(rpc_text(&r->rpc, "name"));
	pass_answer(r,
	    json_pack("{s:s, s:b}", "name", rpc_text(&r->rpc, "name"), "yes",
		(int)rpc_flag(&r->rpc, "yes", false)));
}

static void
on_answer_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_INVITE_ANSWER want = { .yes =
					      rpc_flag(&r->rpc, "yes", false) };
	uint32_t id;

	(void)c;
	if (!pass_good(r, m, "auditd"))
		return;
	snprintf(want.name, sizeof(want.name), "%s", rpc_text(&r->rpc, "name"));
	id = pass_ask(r, PROC_ATTESTD, MSG_INVITE_ANSWER, on_answered, r);
	if (id != 0)
		(void)chan_send_INVITE_ANSWER(child_peer(PROC_ATTESTD), id, -1,
		    &want);
}

void
invites_answer(struct request *r)
{
	static struct auditrec rec;

	if (!name_good(r))
		return;
	pass_order(r, &rec);
	auditrec_text(&rec, AUDIT_ATTR_NODE, rpc_text(&r->rpc, "name"));
	(void)pass_record(r, &rec, on_answer_recorded, r);
}
