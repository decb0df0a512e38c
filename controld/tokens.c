/* SPDX-License-Identifier: ISC */
/*
 * tokens.c - capability tokens: having one signed, and checked.
 *
 * A token is a secret for as long as it lives: it goes to who asked for it and
 * nowhere else, and what held it is cleared.
 */
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "controld/methods.h"
#include "controld/pass.h"

static void
on_token(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_TOKEN done;

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_TOKEN(&m->body, &done))
		fatalx("malformed TOKEN");
	pass_answer(r, json_pack("{s:s}", "token", done.token));
	explicit_bzero(&done, sizeof(done));
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_TOKEN_MINT want = { 0 };
	uint32_t id;

	(void)c;
	if (!pass_good(r, m, "auditd"))
		return;
	if (!pass_capabilities(r, "capabilities", &want.capabilities))
		return;
	(void)rpc_key(&r->rpc, "audience", want.audience);
	pass_bytes(rpc_text(&r->rpc, "leaf"), want.leaf, sizeof(want.leaf));
	want.seconds = (uint32_t)rpc_number(&r->rpc, "seconds", 0);
	id = pass_ask(r, PROC_ATTESTD, MSG_TOKEN_MINT, on_token, r);
	if (id != 0)
		(void)chan_send_TOKEN_MINT(child_peer(PROC_ATTESTD), id, -1,
		    &want);
}

void
tokens_mint(struct request *r)
{
	static struct auditrec rec;
	uint64_t mask;

	if (!pass_capabilities(r, "capabilities", &mask))
		return;
	pass_order(r, &rec);
	(void)pass_record(r, &rec, on_recorded, r);
}

static void
on_checked(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_TOKEN_CHECKED done;

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_TOKEN_CHECKED(&m->body, &done))
		fatalx("malformed TOKEN_CHECKED");
	pass_answer(r,
	    json_pack("{s:b, s:s, s:s, s:o, s:I}", "good", done.good != 0,
		"why", done.why, "issuer", done.issuer, "capabilities",
		pass_names(done.capabilities), "expiry",
		(json_int_t)done.expiry));
}

/* Nothing but what a token is written with may stand in a message's text. */
static bool
is_token(const char *s)
{
	return s[strspn(s,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789-_.")] == '\0';
}

void
tokens_check(struct request *r)
{
	struct msg_TOKEN_CHECK want = { 0 };
	const char *token = rpc_text(&r->rpc, "token");
	uint32_t id;

	if (!is_token(token)) {
		pass_fail(r, RPC_INVALID_PARAMS, "token: that is none");
		return;
	}
	pass_bytes(rpc_text(&r->rpc, "leaf"), want.leaf, sizeof(want.leaf));
	id = pass_ask(r, PROC_ATTESTD, MSG_TOKEN_CHECK, on_checked, r);
	if (id == 0)
		return;
	snprintf(want.token, sizeof(want.token), "%s", token);
	(void)chan_send_TOKEN_CHECK(child_peer(PROC_ATTESTD), id, -1, &want);
	explicit_bzero(&want, sizeof(want));
}
