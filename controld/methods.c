/* SPDX-License-Identifier: ISC */
/*
 * methods.c - what controld does for each method of policy/methods.def.
 *
 * It answers from what it knows, or passes a message on and answers when the
 * reply comes. An order goes to auditd first and to clawd when its record is
 * durable: no audit, no action. Nobody on a channel is asked for more at a
 * time than messages.def allows; who comes too late is told to try again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/auditrec.h"
#include "common/chan.h"
#include "common/child.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/procstate.h"
#include "common/sandbox.h"
#include "controld/methods.h"

#define ORDERS_MAX 16 /* as many as methods.def lets be under way */

static struct {
	char node[64];
	struct msg_PROC_STATUS process[PROC_MAX];
	bool known[PROC_MAX];
	unsigned int under_way[RPC_METHODS];
	/* Orders that clawd has not answered yet. */
	struct order {
		struct request *request;
		uint32_t id;
	} orders[ORDERS_MAX];
	bool draining;
} my;

static void
answer(struct request *r, json_t *result)
{
	my.under_way[r->rpc.method]--;
	client_answer(r, result);
}

static void
refuse(struct request *r, const struct rpc_error *e)
{
	my.under_way[r->rpc.method]--;
	client_refuse(r, e);
}

static void
unavailable(struct request *r, const char *what)
{
	struct rpc_error e;

	rpc_fail(&e, RPC_UNAVAILABLE, true, "%s; try again shortly", what);
	refuse(r, &e);
}

/* What another process said no to. */
static void
refused(struct request *r, struct msg *m)
{
	struct msg_REFUSED no;
	struct rpc_error e;
	enum rpc_failure f = RPC_FAILED;

	if (!msg_get_REFUSED(&m->body, &no))
		fatalx("malformed REFUSED");
	if (no.retry != 0 || no.code == ENOSPC)
		f = RPC_UNAVAILABLE;
	else if (no.code == EPERM || no.code == EACCES)
		f = RPC_POLICY;
	else if (r->rpc.method == RPC_RELOAD)
		f = RPC_CONFIG;
	rpc_fail(&e, f, no.retry != 0, "%s", no.text);
	refuse(r, &e);
}

/* Whether a request can be put on the channel now. */
static bool
reachable(const struct chan *c)
{
	return c != NULL && chan_has_room(c, MSG_MAX_LEN);
}

/* Orders: recorded by auditd, then carried out by clawd. */

static void
on_order_done(struct chan *c, struct msg *m, void *arg)
{
	struct order *order = arg;
	struct request *r = order->request;
	struct msg_ORDER_DONE done;

	(void)c;
	order->request = NULL;
	if (m == NULL)
		unavailable(r, "clawd is going down");
	else if (m->type == MSG_REFUSED)
		refused(r, m);
	else if (!msg_get_ORDER_DONE(&m->body, &done))
		fatalx("malformed ORDER_DONE");
	else
		answer(r,
		    json_pack("{s:b, s:s}", "done", 1, "text", done.text));
}

static void
send_order(struct request *r, uint32_t id)
{
	struct msg_RELOAD reload = { 0 };
	struct msg_RESTART restart = { .graceful = 1 };
	struct msg_SHUTDOWN shutdown = { 0 };

	switch (r->rpc.method) {
	case RPC_RELOAD:
		(void)chan_send_RELOAD(child_parent(), id, -1, &reload);
		break;
	case RPC_NODE_RESTART:
		(void)chan_send_RESTART(child_parent(), id, -1, &restart);
		break;
	case RPC_NODE_STOP:
		(void)chan_send_SHUTDOWN(child_parent(), id, -1, &shutdown);
		break;
	default:
		fatalx("%s is no order", rpc_method_def(r->rpc.method)->name);
	}
}

static uint16_t
order_type(enum rpc_method m)
{
	return m == RPC_RELOAD	  ? MSG_RELOAD :
	    m == RPC_NODE_RESTART ? MSG_RESTART :
				    MSG_SHUTDOWN;
}

static void
pass_on(struct request *r)
{
	struct order *order = NULL;
	size_t i;

	for (i = 0; i < ORDERS_MAX && order == NULL; i++)
		if (my.orders[i].request == NULL)
			order = &my.orders[i];
	if (order == NULL || my.draining) {
		unavailable(r, "controld is being replaced");
		return;
	}
	order->id = chan_ask(child_parent(), order_type(r->rpc.method),
	    on_order_done, order);
	if (order->id == 0) {
		unavailable(r, "out of memory");
		return;
	}
	order->request = r;
	send_order(r, order->id);
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;

	(void)c;
	if (m == NULL)
		unavailable(r, "auditd went away; nothing was done");
	else if (m->type == MSG_REFUSED)
		refused(r, m);
	else
		pass_on(r);
}

/* Puts a record on its way; false: r has been answered. */
static bool
record(struct request *r, struct auditrec *rec, chan_done *done)
{
	struct chan *auditd = child_peer(PROC_AUDITD);
	uint32_t id = 0;

	if (reachable(auditd))
		id = chan_ask(auditd, MSG_AUDIT_APPEND, done, r);
	if (id == 0) {
		unavailable(r,
		    "auditd is not there to record it, so nothing "
		    "was done");
		return false;
	}
	(void)chan_send_AUDIT_APPEND(auditd, id, -1, auditrec_msg(rec));
	return true;
}

static void
do_order(struct request *r)
{
	static struct auditrec rec;

	auditrec_init(&rec, AUDIT_API_ORDER, AUDIT_SINGLE, AUDIT_OK);
	auditrec_num(&rec, AUDIT_ATTR_UID, r->uid);
	auditrec_text(&rec, AUDIT_ATTR_METHOD,
	    rpc_method_def(r->rpc.method)->name);
	(void)record(r, &rec, on_recorded);
}

static void
do_restart(struct request *r)
{
	struct rpc_error e;

	if (rpc_flag(&r->rpc, "graceful", true)) {
		do_order(r);
		return;
	}
	rpc_fail(&e, RPC_INVALID_PARAMS, false,
	    "only a graceful restart can be ordered here; for a hard one stop "
	    "the node and start clawd again");
	refuse(r, &e);
}

/* What is answered from here. */

static void
do_auth(struct request *r)
{
	struct rpc_error e;

	if (client_authenticate(r->client, rpc_text(&r->rpc, "cookie"))) {
		answer(r, json_pack("{s:b}", "authenticated", 1));
		return;
	}
	rpc_fail(&e, RPC_POLICY, false,
	    "that is not the cookie; read run_dir/cookie anew, it changes with "
	    "each start");
	refuse(r, &e);
}

static void
do_ping(struct request *r)
{
	answer(r, json_pack("{s:b}", "pong", 1));
}

static json_t *
bits_of(uint32_t bits, bool probes)
{
	json_t *list = json_array();
	unsigned int i;
	unsigned int n = probes ? (unsigned int)PROBE_MAX : LAYER_MAX;

	for (i = 0; i < n; i++)
		if ((bits & SANDBOX_BIT(i)) != 0)
			(void)json_array_append_new(list,
			    json_string(probes ?
				    sandbox_probe_name((enum sandbox_probe)i) :
				    sandbox_layer_name((enum sandbox_layer)i)));
	return list;
}

static json_t *
process_status(enum proc p)
{
	const struct msg_PROC_STATUS *s = &my.process[p];

	return json_pack(
	    "{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:{s:o, s:o, s:o, s:o}}",
	    "name", proc_name(p), "state", procstate_name(s->state), "pid",
	    (json_int_t)s->pid, "uid", (json_int_t)s->uid, "restarts",
	    (json_int_t)s->restarts, "started_ms", (json_int_t)s->started_ms,
	    "last_end", s->last_end, "sandbox", "layers",
	    bits_of(s->layers, false), "missing", bits_of(s->missing, false),
	    "probes_passed", bits_of(s->probes, true), "probes_failed",
	    bits_of(s->failed, true));
}

static void
do_status(struct request *r)
{
	json_t *list = json_array();
	bool ready = true;
	unsigned int p;

	for (p = 0; p < PROC_SUITE_END; p++) {
		if (my.known[p])
			(void)json_array_append_new(list,
			    process_status((enum proc)p));
		if (p != PROC_CLAWD &&
		    (!my.known[p] || my.process[p].state != PROCSTATE_READY))
			ready = false;
	}
	answer(r,
	    json_pack("{s:s, s:s, s:b, s:i, s:o}", "node", my.node, "version",
		CLAW_VERSION, "ready", ready ? 1 : 0, "clients",
		(int)client_count(), "processes", list));
}

/* What another process answers. */

static void
hash_text(const uint8_t hash[32], char out[72])
{
	size_t i;

	memcpy(out, "sha256:", 8);
	for (i = 0; i < 32; i++)
		snprintf(out + 7 + 2 * i, 3, "%02x", hash[i]);
}

static void
on_identity(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_IDENTITY id;
	char genesis[72], head[72];
	char key[IDENTITY_TEXT_SIZE], did[IDENTITY_TEXT_SIZE];

	(void)c;
	if (m == NULL) {
		unavailable(r, "attestd went away");
		return;
	}
	if (m->type == MSG_REFUSED) {
		refused(r, m);
		return;
	}
	if (!msg_get_IDENTITY(&m->body, &id))
		fatalx("malformed IDENTITY");
	hash_text(id.genesis, genesis);
	hash_text(id.head, head);
	identity_text(id.identity, key);
	identity_did(id.identity, did);
	answer(r,
	    json_pack("{s:s, s:s, s:s, s:s, s:{s:I, s:s, s:I, s:I}}", "node",
		id.node, "identity", key, "did", did, "genesis", genesis,
		"registry", "seq", (json_int_t)id.seq, "head", head,
		"authorities", (json_int_t)id.authorities, "threshold",
		(json_int_t)id.threshold));
}

static void
do_show(struct request *r)
{
	static const struct msg_IDENTITY_SHOW show;
	struct chan *attestd = child_peer(PROC_ATTESTD);
	uint32_t id = 0;

	if (reachable(attestd))
		id = chan_ask(attestd, MSG_IDENTITY_SHOW, on_identity, r);
	if (id == 0)
		unavailable(r, "attestd is not running at the moment");
	else
		(void)chan_send_IDENTITY_SHOW(attestd, id, -1, &show);
}

static void
on_noted(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_AUDIT_APPENDED done;

	(void)c;
	if (m == NULL) {
		unavailable(r,
		    "auditd went away; look with claw audit:tail "
		    "whether the note was written");
		return;
	}
	if (m->type == MSG_REFUSED) {
		refused(r, m);
		return;
	}
	if (!msg_get_AUDIT_APPENDED(&m->body, &done))
		fatalx("malformed AUDIT_APPENDED");
	answer(r,
	    json_pack("{s:s, s:I}", "shard", done.shard, "n",
		(json_int_t)done.number));
}

static void
do_note(struct request *r)
{
	static struct auditrec rec;

	auditrec_init(&rec, AUDIT_NOTE, AUDIT_SINGLE, AUDIT_OK);
	auditrec_num(&rec, AUDIT_ATTR_UID, r->uid);
	auditrec_text(&rec, AUDIT_ATTR_TEXT, rpc_text(&r->rpc, "text"));
	(void)record(r, &rec, on_noted);
}

static void
on_checked(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_AUDIT_CHECKED done;

	(void)c;
	if (m == NULL) {
		unavailable(r, "auditd went away");
		return;
	}
	if (m->type == MSG_REFUSED) {
		refused(r, m);
		return;
	}
	if (!msg_get_AUDIT_CHECKED(&m->body, &done))
		fatalx("malformed AUDIT_CHECKED");
	answer(r,
	    json_pack("{s:s, s:I, s:b, s:s}", "shard", done.shard, "records",
		(json_int_t)done.size, "sound", (int)done.sound, "what",
		done.what));
}

static void
do_check(struct request *r)
{
	static const struct msg_AUDIT_CHECK check;
	struct chan *auditd = child_peer(PROC_AUDITD);
	uint32_t id = 0;

	if (reachable(auditd))
		id = chan_ask(auditd, MSG_AUDIT_CHECK, on_checked, r);
	if (id == 0)
		unavailable(r, "auditd is not running at the moment");
	else
		(void)chan_send_AUDIT_CHECK(auditd, id, -1, &check);
}

void
methods_request(struct request *r)
{
	static void (*const handlers[RPC_METHODS])(struct request *) = {
		[RPC_AUTH] = do_auth,
		[RPC_PING] = do_ping,
		[RPC_STATUS] = do_status,
		[RPC_NODE_SHOW] = do_show,
		[RPC_RELOAD] = do_order,
		[RPC_NODE_RESTART] = do_restart,
		[RPC_NODE_STOP] = do_order,
		[RPC_AUDIT_NOTE] = do_note,
		[RPC_AUDIT_CHECK] = do_check,
	};
	enum rpc_method m = r->rpc.method;

	if (my.under_way[m]++ < rpc_method_def(m)->at_once)
		handlers[m](r);
	else
		unavailable(r, "too many requests of this kind are under way");
}

void
methods_set_node(const char *name)
{
	snprintf(my.node, sizeof(my.node), "%s", name);
}

void
methods_set_process(const struct msg_PROC_STATUS *status)
{
	my.process[status->proc] = *status;
	my.known[status->proc] = true;
}

void
methods_drain(void)
{
	my.draining = true;
}

void
methods_give_up(void)
{
	struct order *o;
	struct request *r;

	for (o = my.orders; o < my.orders + ORDERS_MAX; o++) {
		r = o->request;
		if (r == NULL)
			continue;
		/* clawd waits for us, so we cannot wait for clawd. */
		chan_cancel(child_parent(), o->id);
		o->request = NULL;
		answer(r,
		    json_pack("{s:b, s:s}", "done", 0, "text",
			"taken, and under way; the log says what came of it"));
	}
}
