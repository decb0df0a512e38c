/* SPDX-License-Identifier: ISC */
/*
 * updates.c - operators' updates of the registry.
 *
 * An order is recorded by auditd; then keyd is given a permit for exactly this
 * update; then attestd has it signed and takes it, or says how many more must
 * sign. A permit whose order came to nothing is ended at once. What needs no
 * signature of ours (a proposal, a look at one) needs none of this.
 *
 * An update names the one before it, so orders are carried out one after the
 * other: of two at a time one would follow what is no head any more.
 */
#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "controld/methods.h"
#include "controld/operands.h"
#include "controld/pass.h"

#define PERMIT_S 60

/* One request, over all the steps that it takes. */
struct job {
	TAILQ_ENTRY(job) entry; /* while it waits for its turn */
	void (*begin)(struct job *);
	struct request *request;
	struct registry_update update;
	uint32_t permit;
	/* The proposal that is signed; "" for an update of our own. */
	char line[REGISTRY_LINE_MAX + 1];
	size_t len;
};

static struct {
	TAILQ_HEAD(, job) waiting;
	struct job *current; /* the order that is carried out */
} my = { .waiting = TAILQ_HEAD_INITIALIZER(my.waiting) };

/* A job may be over before begin() returns: the loop stays one. */
static void
next_turn(void)
{
	static bool looking;
	struct job *j;

	if (looking)
		return;
	looking = true;
	while (my.current == NULL && (j = TAILQ_FIRST(&my.waiting)) != NULL) {
		TAILQ_REMOVE(&my.waiting, j, entry);
		my.current = j;
		j->begin(j);
	}
	looking = false;
}

static void
job_in_turn(struct job *j, void (*begin)(struct job *))
{
	j->begin = begin;
	TAILQ_INSERT_TAIL(&my.waiting, j, entry);
	next_turn();
}

static void
job_end(struct job *j)
{
	if (my.current == j)
		my.current = NULL;
	free(j);
	next_turn();
}

static struct job *
job_new(struct request *r)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		pass_unavailable(r, "out of memory");
	else
		j->request = r;
	return j;
}

/* Whether that is the answer to a step; if not, the job is over. */
static bool
good(struct job *j, struct msg *m, const char *who)
{
	if (pass_good(j->request, m, who))
		return true;
	job_end(j);
	return false;
}

static void
end_permit(const struct job *j)
{
	const struct msg_PERMIT_END end = { .permit = j->permit };
	struct chan *keyd = child_peer(PROC_KEYD);

	if (keyd != NULL && j->permit != 0)
		(void)chan_send_PERMIT_END(keyd, 0, -1, &end);
}

/* The last step. */

static void
answer_updated(struct request *r, const struct msg_REGISTRY_UPDATED *done)
{
	json_t *line = pass_text(done->line, done->line_len);

	if (line == NULL)
		pass_fail(r, RPC_FAILED, "attestd's line is no text");
	else
		pass_answer(r,
		    json_pack("{s:b, s:i, s:i, s:I, s:o, s:o}", "applied",
			done->applied != 0, "signatures", (int)done->signatures,
			"threshold", (int)done->threshold, "seq",
			(json_int_t)done->seq, "head", pass_hash(done->head),
			"line", line));
}

static void
on_updated(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_UPDATED done;
	struct job *j = arg;

	(void)c;
	if (m == NULL || m->type == MSG_REFUSED)
		end_permit(j);
	if (!good(j, m, "attestd"))
		return;
	if (!msg_get_REGISTRY_UPDATED(&m->body, &done))
		fatalx("malformed REGISTRY_UPDATED");
	answer_updated(j->request, &done);
	job_end(j);
}

/* False: the request has been answered. */
static bool
send_update(struct job *j, bool propose, chan_done *done)
{
	static uint8_t bytes[REGUPDATE_BYTES_MAX];
	struct msg_REGISTRY_UPDATE want = { .propose = propose,
		.update = bytes };
	ssize_t n = regupdate_put(&j->update, bytes, sizeof(bytes));
	uint32_t id;

	if (n < 0) {
		pass_fail(j->request, RPC_REGISTRY, "too large an update");
		return false;
	}
	want.update_len = (uint16_t)n;
	id = pass_ask(j->request, PROC_ATTESTD, MSG_REGISTRY_UPDATE, done, j);
	if (id != 0)
		(void)chan_send_REGISTRY_UPDATE(child_peer(PROC_ATTESTD), id,
		    -1, &want);
	return id != 0;
}

static bool
send_cosign(struct job *j)
{
	union {
		const char *in;
		const uint8_t *out;
	} line = { .in = j->line };
	const struct msg_REGISTRY_COSIGN want = { .line = line.out,
		.line_len = (uint16_t)j->len };
	uint32_t id = pass_ask(j->request, PROC_ATTESTD, MSG_REGISTRY_COSIGN,
	    on_updated, j);

	if (id != 0)
		(void)chan_send_REGISTRY_COSIGN(child_peer(PROC_ATTESTD), id,
		    -1, &want);
	return id != 0;
}

/* The steps before it, for what this node's authority signs. */

static void
on_permitted(struct chan *c, struct msg *m, void *arg)
{
	struct msg_PERMITTED done;
	struct job *j = arg;
	bool sent;

	(void)c;
	if (!good(j, m, "keyd"))
		return;
	if (!msg_get_PERMITTED(&m->body, &done))
		fatalx("malformed PERMITTED");
	j->permit = done.permit;
	sent = j->len > 0 ? send_cosign(j) : send_update(j, false, on_updated);
	if (!sent) {
		end_permit(j);
		job_end(j);
	}
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct msg_PERMIT want = { .seconds = PERMIT_S };
	struct job *j = arg;
	uint32_t id;

	(void)c;
	if (!good(j, m, "auditd"))
		return;
	if (pass_draining()) {
		pass_unavailable(j->request, "controld is being replaced");
		job_end(j);
		return;
	}
	want.op = (uint8_t)j->update.op;
	snprintf(want.subject, sizeof(want.subject), "%s",
	    operands_subject(&j->update));
	if (regupdate_digest(&j->update, want.digest) != 0)
		fatalx("an update without a digest");
	id = pass_ask(j->request, PROC_KEYD, MSG_PERMIT, on_permitted, j);
	if (id == 0)
		job_end(j);
	else
		(void)chan_send_PERMIT(child_peer(PROC_KEYD), id, -1, &want);
}

static bool
is_of_node(enum registry_op op)
{
	return op == REGISTRY_NODE_ADD || op == REGISTRY_NODE_ANCHOR ||
	    op == REGISTRY_NODE_REVOKE;
}

static void
order(struct job *j)
{
	static struct auditrec rec;
	const char *subject = operands_subject(&j->update);
	registry_hash digest;

	if (pass_draining()) {
		pass_unavailable(j->request, "controld is being replaced");
		job_end(j);
		return;
	}
	if (regupdate_digest(&j->update, digest) != 0) {
		pass_fail(j->request, RPC_REGISTRY, "too large an update");
		job_end(j);
		return;
	}
	pass_order(j->request, &rec);
	auditrec_text(&rec, AUDIT_ATTR_OP, regupdate_op_name(j->update.op));
	if (subject[0] != '\0')
		auditrec_text(&rec,
		    is_of_node(j->update.op) ? AUDIT_ATTR_NODE :
					       AUDIT_ATTR_TEXT,
		    subject);
	auditrec_bytes(&rec, AUDIT_ATTR_SHA256, digest, sizeof(digest));
	if (!pass_record(j->request, &rec, on_recorded, j))
		job_end(j);
}

/* A proposal: what it would do, then the order to sign it. */

static bool
take_inspected(struct msg *m, struct msg_REGISTRY_INSPECTED *done,
    struct registry_update *u)
{
	if (!msg_get_REGISTRY_INSPECTED(&m->body, done))
		fatalx("malformed REGISTRY_INSPECTED");
	return regupdate_get(u, done->update, done->update_len) == 0;
}

static void
on_inspected(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_INSPECTED done;
	struct registry_update u;
	struct job *j = arg;

	if (!good(j, m, "attestd"))
		return;
	if (!take_inspected(m, &done, &u) ||
	    (j->update.op == REGISTRY_RESOLVE &&
		(u.op != REGISTRY_RESOLVE ||
		    memcmp(u.resolve.chosen, j->update.resolve.chosen,
			sizeof(u.resolve.chosen)) != 0))) {
		pass_fail(j->request, RPC_FAILED,
		    "attestd shows another update than was asked for");
		job_end(j);
		child_violation(c, m, "not the update that was asked for");
		return;
	}
	j->update = u;
	order(j);
}

static void
inspect(struct job *j, chan_done *done)
{
	union {
		const char *in;
		const uint8_t *out;
	} line = { .in = j->line };
	const struct msg_REGISTRY_INSPECT want = { .line = line.out,
		.line_len = (uint16_t)j->len };
	uint32_t id =
	    pass_ask(j->request, PROC_ATTESTD, MSG_REGISTRY_INSPECT, done, j);

	if (id == 0)
		job_end(j);
	else
		(void)chan_send_REGISTRY_INSPECT(child_peer(PROC_ATTESTD), id,
		    -1, &want);
}

/* The line of a request that asks about one. */
static struct job *
job_of_line(struct request *r)
{
	const char *line = rpc_text(&r->rpc, "line");
	struct job *j = job_new(r);

	if (j == NULL)
		return NULL;
	j->len = strlen(line);
	memcpy(j->line, line, j->len + 1);
	j->update.op = REGISTRY_OP_MAX;
	return j;
}

static void
begin_sign(struct job *j)
{
	inspect(j, on_inspected);
}

void
updates_sign(struct request *r)
{
	struct job *j = job_of_line(r);

	if (j != NULL)
		job_in_turn(j, begin_sign);
}

static void
on_shown(struct chan *c, struct msg *m, void *arg)
{
	static char text[REGUPDATE_JSON_MAX];
	struct msg_REGISTRY_INSPECTED done;
	struct registry_update u;
	struct job *j = arg;
	json_t *update = NULL;

	(void)c;
	if (!good(j, m, "attestd"))
		return;
	if (take_inspected(m, &done, &u) &&
	    regupdate_json(&u, text, sizeof(text)) > 0)
		update = json_loads(text, 0, NULL);
	if (update == NULL)
		pass_fail(j->request, RPC_FAILED, "attestd shows no update");
	else
		pass_answer(j->request,
		    json_pack("{s:o, s:i, s:i}", "update", update, "signatures",
			(int)done.signatures, "threshold",
			(int)done.threshold));
	job_end(j);
}

void
updates_inspect(struct request *r)
{
	struct job *j = job_of_line(r);

	if (j != NULL)
		inspect(j, on_shown);
}

/* An update of our own. */

static struct job *
job_of_operands(struct request *r)
{
	char why[256];
	struct job *j = job_new(r);

	if (j == NULL ||
	    operands_read(rpc_text(&r->rpc, "op"),
		json_object_get(r->rpc.params, "operands"), &j->update, why,
		sizeof(why)))
		return j;
	pass_fail(r, RPC_INVALID_PARAMS, "%s", why);
	job_end(j);
	return NULL;
}

/* Which heads a resolve names is not known here: attestd proposes it, and it
 * is signed like any proposal. */
static void
on_resolve(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_UPDATED done;
	struct job *j = arg;

	(void)c;
	if (!good(j, m, "attestd"))
		return;
	if (!msg_get_REGISTRY_UPDATED(&m->body, &done))
		fatalx("malformed REGISTRY_UPDATED");
	memcpy(j->line, done.line, done.line_len);
	j->len = done.line_len;
	inspect(j, on_inspected);
}

static void
begin_order(struct job *j)
{
	if (j->update.op != REGISTRY_RESOLVE)
		order(j);
	else if (!send_update(j, true, on_resolve))
		job_end(j);
}

void
updates_order(struct request *r)
{
	struct job *j = job_of_operands(r);

	if (j != NULL)
		job_in_turn(j, begin_order);
}

void
updates_propose(struct request *r)
{
	struct job *j = job_of_operands(r);

	if (j != NULL && !send_update(j, true, on_updated))
		job_end(j);
}
