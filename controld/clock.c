/* SPDX-License-Identifier: ISC */
/*
 * clock.c - the machine's clock is right, says the operator.
 */
#include "common/child.h"
#include "common/log.h"
#include "controld/methods.h"
#include "controld/pass.h"

static void
on_reset(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_CLOCK_IS is;

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_CLOCK_IS(&m->body, &is))
		fatalx("malformed CLOCK_IS");
	pass_answer(r,
	    json_pack("{s:I, s:I}", "now", (json_int_t)is.now, "before",
		(json_int_t)is.before));
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	static const struct msg_CLOCK_RESET want;
	struct request *r = arg;
	uint32_t id;

	(void)c;
	if (!pass_good(r, m, "auditd"))
		return;
	id = pass_ask(r, PROC_ATTESTD, MSG_CLOCK_RESET, on_reset, r);
	if (id != 0)
		(void)chan_send_CLOCK_RESET(child_peer(PROC_ATTESTD), id, -1,
		    &want);
}

void
clock_reset(struct request *r)
{
	static struct auditrec rec;

	pass_order(r, &rec);
	(void)pass_record(r, &rec, on_recorded, r);
}
