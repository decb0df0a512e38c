/* SPDX-License-Identifier: ISC */
/*
 * lines.c - the registry as lines: read out, taken in, and where it stands.
 *
 * Lines prove themselves and are verified by attestd; nothing here looks into
 * them.
 */
#include <stdlib.h>
#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "controld/methods.h"
#include "controld/operands.h"
#include "controld/pass.h"

#define LINES_MAX 24576 /* of REGISTRY_OFFER */

static void
on_lines(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_LINES done;
	struct request *r = arg;
	json_t *lines;

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_REGISTRY_LINES(&m->body, &done))
		fatalx("malformed REGISTRY_LINES");
	lines = pass_text(done.lines, done.lines_len);
	if (lines == NULL)
		pass_fail(r, RPC_FAILED, "attestd's lines are no text");
	else
		pass_answer(r,
		    json_pack("{s:o, s:b, s:I}", "lines", lines, "more",
			done.more != 0, "next", (json_int_t)done.next));
}

void
lines_read(struct request *r)
{
	const struct msg_REGISTRY_READ want = { .rotations = rpc_flag(&r->rpc,
						    "rotations", false),
		.from = rpc_number(&r->rpc, "from", 0) };
	uint32_t id = pass_ask(r, PROC_ATTESTD, MSG_REGISTRY_READ, on_lines, r);

	if (id != 0)
		(void)chan_send_REGISTRY_READ(child_peer(PROC_ATTESTD), id, -1,
		    &want);
}

/* Taken in. */

static void
on_taken(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_TAKEN done;
	struct request *r = arg;

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_REGISTRY_TAKEN(&m->body, &done))
		fatalx("malformed REGISTRY_TAKEN");
	if (done.why[0] != '\0' && r->rpc.method == RPC_REGISTRY_SUBMIT)
		pass_fail(r, RPC_REGISTRY, "%s", done.why);
	else
		pass_answer(r,
		    json_pack("{s:I, s:I, s:o, s:s}", "taken",
			(json_int_t)done.taken, "seq", (json_int_t)done.seq,
			"head", pass_hash(done.head), "why", done.why));
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	bool submits = r->rpc.method == RPC_REGISTRY_SUBMIT;
	const char *text = rpc_text(&r->rpc, submits ? "line" : "lines");
	struct msg_REGISTRY_OFFER want = { .rotations = rpc_flag(&r->rpc,
					       "rotations", false) };
	static uint8_t lines[LINES_MAX];
	size_t len = strlen(text);
	uint32_t id;

	(void)c;
	if (!pass_good(r, m, "auditd"))
		return;
	memcpy(lines, text, len);
	if (submits && text[len - 1] != '\n')
		lines[len++] = '\n';
	want.lines = lines;
	want.lines_len = (uint16_t)len;
	id = pass_ask(r, PROC_ATTESTD, MSG_REGISTRY_OFFER, on_taken, r);
	if (id != 0)
		(void)chan_send_REGISTRY_OFFER(child_peer(PROC_ATTESTD), id, -1,
		    &want);
}

void
lines_import(struct request *r)
{
	static struct auditrec rec;

	pass_order(r, &rec);
	(void)pass_record(r, &rec, on_recorded, r);
}

void
lines_submit(struct request *r)
{
	lines_import(r);
}

/*
 * Where it stands. A fork shows in that attestd can propose a `resolve`: it
 * names the heads there are.
 */

struct show {
	struct request *request;
	json_t *answer;
};

static void
finish(struct show *s)
{
	pass_answer(s->request, s->answer);
	free(s);
}

static json_t *
fork_of(const struct registry_update *u)
{
	json_t *heads = json_array();
	uint32_t i;

	for (i = 0; i < u->resolve.heads; i++)
		(void)json_array_append_new(heads,
		    pass_hash(u->resolve.head[i]));
	return json_pack("{s:I, s:o}", "common", (json_int_t)u->resolve.common,
	    "heads", heads);
}

static void
on_fork_inspected(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_INSPECTED done;
	static struct registry_update u;
	struct show *s = arg;

	(void)c;
	if (m != NULL && m->type != MSG_REFUSED) {
		if (!msg_get_REGISTRY_INSPECTED(&m->body, &done))
			fatalx("malformed REGISTRY_INSPECTED");
		if (regupdate_get(&u, done.update, done.update_len) == 0 &&
		    u.op == REGISTRY_RESOLVE)
			(void)json_object_set_new(s->answer, "fork",
			    fork_of(&u));
	}
	finish(s);
}

static void
on_fork(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_UPDATED done;
	struct msg_REGISTRY_INSPECT want;
	struct show *s = arg;
	uint32_t id;

	if (m == NULL || m->type == MSG_REFUSED) {
		finish(s);
		return;
	}
	if (!msg_get_REGISTRY_UPDATED(&m->body, &done))
		fatalx("malformed REGISTRY_UPDATED");
	id = chan_ask(c, MSG_REGISTRY_INSPECT, on_fork_inspected, s);
	if (id == 0) {
		finish(s);
		return;
	}
	want.line = done.line;
	want.line_len = done.line_len;
	(void)chan_send_REGISTRY_INSPECT(c, id, -1, &want);
}

static void
ask_fork(struct chan *c, struct show *s, const uint8_t head[32])
{
	static struct registry_update u;
	static uint8_t bytes[REGUPDATE_BYTES_MAX];
	struct msg_REGISTRY_UPDATE want = { .propose = 1, .update = bytes };
	json_t *operands = json_pack("{s:o}", "chosen", pass_hash(head));
	ssize_t n = -1;
	char why[128];
	uint32_t id = 0;

	if (operands_read("resolve", operands, &u, why, sizeof(why)))
		n = regupdate_put(&u, bytes, sizeof(bytes));
	json_decref(operands);
	if (n > 0)
		id = chan_ask(c, MSG_REGISTRY_UPDATE, on_fork, s);
	if (id == 0) {
		finish(s);
		return;
	}
	want.update_len = (uint16_t)n;
	(void)chan_send_REGISTRY_UPDATE(c, id, -1, &want);
}

static void
on_identity(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_IDENTITY id;
	struct show *s;

	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_IDENTITY(&m->body, &id))
		fatalx("malformed IDENTITY");
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		pass_unavailable(r, "out of memory");
		return;
	}
	s->request = r;
	s->answer = json_pack("{s:o, s:I, s:o, s:I, s:I, s:n}", "genesis",
	    pass_hash(id.genesis), "seq", (json_int_t)id.seq, "head",
	    pass_hash(id.head), "authorities", (json_int_t)id.authorities,
	    "threshold", (json_int_t)id.threshold, "fork");
	ask_fork(c, s, id.head);
}

void
lines_show(struct request *r)
{
	static const struct msg_IDENTITY_SHOW show;
	uint32_t id =
	    pass_ask(r, PROC_ATTESTD, MSG_IDENTITY_SHOW, on_identity, r);

	if (id != 0)
		(void)chan_send_IDENTITY_SHOW(child_peer(PROC_ATTESTD), id, -1,
		    &show);
}
