/* SPDX-License-Identifier: ISC */
/*
 * authority.c - this node's authority key, of which an operator sees the
 * public half. keyd makes one if there is none, so it is an order.
 */
#include "common/child.h"
#include "common/log.h"
#include "controld/methods.h"
#include "controld/pass.h"

static void
on_shown(struct chan *c, struct msg *m, void *arg)
{
	struct msg_AUTHORITY_SHOWN done;
	struct request *r = arg;

	(void)c;
	if (!pass_good(r, m, "keyd"))
		return;
	if (!msg_get_AUTHORITY_SHOWN(&m->body, &done))
		fatalx("malformed AUTHORITY_SHOWN");
	pass_answer(r,
	    json_pack("{s:o, s:o, s:b}", "authority", pass_key(done.authority),
		"fresh", pass_key(done.fresh), "new", done.is_new != 0));
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct msg_AUTHORITY_SHOW want = { 0 };
	struct request *r = arg;
	uint32_t id;

	(void)c;
	if (!pass_good(r, m, "auditd"))
		return;
	if (pass_draining()) {
		pass_unavailable(r, "controld is being replaced");
		return;
	}
	id = pass_ask(r, PROC_KEYD, MSG_AUTHORITY_SHOW, on_shown, r);
	if (id != 0)
		(void)chan_send_AUTHORITY_SHOW(child_peer(PROC_KEYD), id, -1,
		    &want);
}

void
authority_show(struct request *r)
{
	static struct auditrec rec;

	pass_order(r, &rec);
	(void)pass_record(r, &rec, on_recorded, r);
}
