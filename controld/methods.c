/* SPDX-License-Identifier: ISC */
/*
 * methods.c - what controld does for each method of policy/methods.def.
 *
 * It answers from what it knows, or passes a message on and answers when the
 * reply comes. An order goes to auditd first and to clawd when its record is
 * durable: no audit, no action. Nobody on a channel is asked for more at a
 * time than messages.def allows; who comes too late is told to try again.
 * What concerns the registry and peers has rooms of its own.
 */
#include <stdio.h>
#include <string.h>

#include "common/auditrec.h"
#include "common/b64.h"
#include "common/child.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/procstate.h"
#include "common/sandbox.h"
#include "controld/methods.h"
#include "controld/pass.h"

#define ORDERS_MAX 16 /* as many as methods.def lets be under way */

static struct {
	char node[64];
	struct msg_PROC_STATUS process[PROC_MAX];
	bool known[PROC_MAX];
	/* Orders that clawd has not answered yet. */
	struct order {
		struct request *request;
		uint32_t id;
	} orders[ORDERS_MAX];
} my;

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
		pass_unavailable(r, "clawd is going down");
	else if (!pass_good(r, m, "clawd"))
		return;
	else if (!msg_get_ORDER_DONE(&m->body, &done))
		fatalx("malformed ORDER_DONE");
	else
		pass_answer(r,
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
	if (order == NULL || pass_draining()) {
		pass_unavailable(r, "controld is being replaced");
		return;
	}
	order->id = chan_ask(child_parent(), order_type(r->rpc.method),
	    on_order_done, order);
	if (order->id == 0) {
		pass_unavailable(r, "out of memory");
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
		pass_unavailable(r, "auditd went away; nothing was done");
	else if (pass_good(r, m, "auditd"))
		pass_on(r);
}

static void
do_order(struct request *r)
{
	static struct auditrec rec;

	pass_order(r, &rec);
	(void)pass_record(r, &rec, on_recorded, r);
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
	pass_refuse(r, &e);
}

/* What is answered from here. */

static void
do_auth(struct request *r)
{
	struct rpc_error e;

	if (client_authenticate(r->client, rpc_text(&r->rpc, "cookie"))) {
		pass_answer(r, json_pack("{s:b}", "authenticated", 1));
		return;
	}
	rpc_fail(&e, RPC_POLICY, false,
	    "that is not the cookie; read run_dir/cookie anew, it changes with "
	    "each start");
	pass_refuse(r, &e);
}

static void
do_ping(struct request *r)
{
	pass_answer(r, json_pack("{s:b}", "pong", 1));
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
	pass_answer(r,
	    json_pack("{s:s, s:s, s:b, s:i, s:o}", "node", my.node, "version",
		CLAW_VERSION, "ready", ready ? 1 : 0, "clients",
		(int)client_count(), "processes", list));
}

/* What another process answers. */

static void
on_identity(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_IDENTITY id;
	char key[IDENTITY_TEXT_SIZE], did[IDENTITY_TEXT_SIZE];
	char sealing[IDENTITY_TEXT_SIZE] = "x25519:";

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_IDENTITY(&m->body, &id))
		fatalx("malformed IDENTITY");
	identity_text(id.identity, key);
	identity_did(id.identity, did);
	(void)b64url_encode(id.sealing, sizeof(id.sealing), sealing + 7,
	    sizeof(sealing) - 7);
	pass_answer(r,
	    json_pack("{s:s, s:s, s:s, s:s, s:o, s:{s:I, s:o, s:I, s:I}}",
		"node", id.node, "identity", key, "did", did, "sealing",
		sealing, "genesis", pass_hash(id.genesis), "registry", "seq",
		(json_int_t)id.seq, "head", pass_hash(id.head), "authorities",
		(json_int_t)id.authorities, "threshold",
		(json_int_t)id.threshold));
}

static void
do_show(struct request *r)
{
	static const struct msg_IDENTITY_SHOW show;
	uint32_t id =
	    pass_ask(r, PROC_ATTESTD, MSG_IDENTITY_SHOW, on_identity, r);

	if (id != 0)
		(void)chan_send_IDENTITY_SHOW(child_peer(PROC_ATTESTD), id, -1,
		    &show);
}

static void
on_noted(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_AUDIT_APPENDED done;

	(void)c;
	if (m == NULL) {
		pass_unavailable(r,
		    "auditd went away; look with claw audit:tail "
		    "whether the note was written");
		return;
	}
	if (!pass_good(r, m, "auditd"))
		return;
	if (!msg_get_AUDIT_APPENDED(&m->body, &done))
		fatalx("malformed AUDIT_APPENDED");
	pass_answer(r,
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
	(void)pass_record(r, &rec, on_noted, r);
}

static void
on_checked(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_AUDIT_CHECKED done;

	(void)c;
	if (!pass_good(r, m, "auditd"))
		return;
	if (!msg_get_AUDIT_CHECKED(&m->body, &done))
		fatalx("malformed AUDIT_CHECKED");
	pass_answer(r,
	    json_pack("{s:s, s:I, s:b, s:s}", "shard", done.shard, "records",
		(json_int_t)done.size, "sound", (int)done.sound, "what",
		done.what));
}

static void
do_check(struct request *r)
{
	static const struct msg_AUDIT_CHECK check;
	uint32_t id = pass_ask(r, PROC_AUDITD, MSG_AUDIT_CHECK, on_checked, r);

	if (id != 0)
		(void)chan_send_AUDIT_CHECK(child_peer(PROC_AUDITD), id, -1,
		    &check);
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
		[RPC_NODE_PING] = peers_ping,
		[RPC_NODE_WHY] = peers_why,
		[RPC_NODE_LINKS] = peers_links,
		[RPC_CLOCK_RESET] = clock_reset,
		[RPC_REGISTRY_SHOW] = lines_show,
		[RPC_REGISTRY_LINES] = lines_read,
		[RPC_REGISTRY_IMPORT] = lines_import,
		[RPC_REGISTRY_UPDATE] = updates_order,
		[RPC_REGISTRY_PROPOSE] = updates_propose,
		[RPC_REGISTRY_INSPECT] = updates_inspect,
		[RPC_REGISTRY_SIGN] = updates_sign,
		[RPC_REGISTRY_SUBMIT] = lines_submit,
		[RPC_INVITE_OPEN] = invites_open,
		[RPC_INVITE_LIST] = invites_list,
		[RPC_INVITE_ANSWER] = invites_answer,
		[RPC_REGISTRY_AUTHORITY] = authority_show,
		[RPC_NODE_ROTATE] = rotation_order,
		[RPC_TOKEN_MINT] = tokens_mint,
		[RPC_TOKEN_CHECK] = tokens_check,
		[RPC_FILE_SEND] = files_send,
		[RPC_FILE_LIST] = files_list,
		[RPC_FILE_PAUSE] = files_order,
		[RPC_FILE_RESUME] = files_order,
		[RPC_FILE_CANCEL] = files_order,
		[RPC_FILE_RECEIPT] = files_receipt,
	};

	if (pass_begin(r))
		handlers[r->rpc.method](r);
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
	pass_drain();
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
		pass_answer(r,
		    json_pack("{s:b, s:s}", "done", 0, "text",
			"taken, and under way; the log says what came of it"));
	}
}
