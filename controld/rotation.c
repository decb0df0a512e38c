/* SPDX-License-Identifier: ISC */
/*
 * rotation.c - this node replaces its own keys by its next ones.
 *
 * The order is recorded; attestd says which number the rotation has and what
 * it follows; keyd, with the recovery code, makes the keys and signs it;
 * attestd takes it. The code goes to keyd and nowhere else, and what held it
 * here is cleared.
 */
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "common/recovery.h"
#include "controld/methods.h"
#include "controld/pass.h"

/* Of a text that is the request's. */
static void
forget_code(struct request *r)
{
	const char *code = rpc_text(&r->rpc, "code");
	union {
		const char *in;
		char *out;
	} u = { .in = code };

	if (code != NULL)
		explicit_bzero(u.out, strlen(code));
}

static void
on_taken(struct chan *c, struct msg *m, void *arg)
{
	struct msg_ROTATION_TAKEN done;
	struct request *r = arg;

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_ROTATION_TAKEN(&m->body, &done))
		fatalx("malformed ROTATION_TAKEN");
	pass_answer(r,
	    json_pack("{s:I, s:o}", "ksn", (json_int_t)done.ksn, "identity",
		pass_key(done.identity)));
}

static void
on_rotated(struct chan *c, struct msg *m, void *arg)
{
	struct msg_ROTATION_TAKE want;
	struct msg_ROTATED done;
	struct request *r = arg;
	uint32_t id;

	(void)c;
	if (!pass_good(r, m, "keyd"))
		return;
	if (!msg_get_ROTATED(&m->body, &done))
		fatalx("malformed ROTATED");
	id = pass_ask(r, PROC_ATTESTD, MSG_ROTATION_TAKE, on_taken, r);
	if (id == 0)
		return;
	want.line = done.line;
	want.line_len = done.line_len;
	(void)chan_send_ROTATION_TAKE(child_peer(PROC_ATTESTD), id, -1, &want);
}

static void
on_placed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_ROTATION_PLACED done;
	struct msg_ROTATE want = { 0 };
	struct request *r = arg;
	uint32_t id;

	(void)c;
	if (m == NULL || m->type == MSG_REFUSED)
		forget_code(r);
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_ROTATION_PLACED(&m->body, &done))
		fatalx("malformed ROTATION_PLACED");
	snprintf(want.code, sizeof(want.code), "%s", rpc_text(&r->rpc, "code"));
	forget_code(r);
	want.ksn = done.ksn;
	memcpy(want.prev, done.prev, sizeof(want.prev));
	id = pass_ask(r, PROC_KEYD, MSG_ROTATE, on_rotated, r);
	if (id != 0)
		(void)chan_send_ROTATE(child_peer(PROC_KEYD), id, -1, &want);
	explicit_bzero(&want, sizeof(want));
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct msg_ROTATION_PLACE want = { 0 };
	struct request *r = arg;
	uint32_t id = 0;

	(void)c;
	if (m == NULL || m->type == MSG_REFUSED || pass_draining())
		forget_code(r);
	if (!pass_good(r, m, "auditd"))
		return;
	if (pass_draining())
		pass_unavailable(r, "controld is being replaced");
	else
		id =
		    pass_ask(r, PROC_ATTESTD, MSG_ROTATION_PLACE, on_placed, r);
	if (id != 0)
		(void)chan_send_ROTATION_PLACE(child_peer(PROC_ATTESTD), id, -1,
		    &want);
}

void
rotation_order(struct request *r)
{
	const char *text = rpc_text(&r->rpc, "code");
	uint8_t code[RECOVERY_LEN];
	static struct auditrec rec;
	unsigned int word;
	int bad = recovery_parse(text, code, &word);

	explicit_bzero(code, sizeof(code));
	if (bad != 0) {
		forget_code(r);
		pass_fail(r, RPC_INVALID_PARAMS,
		    "code: a recovery code is twelve words of the list that "
		    "claw init took it from");
		return;
	}
	pass_order(r, &rec);
	(void)pass_record(r, &rec, on_recorded, r);
}
