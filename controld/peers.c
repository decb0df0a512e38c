/* SPDX-License-Identifier: ISC */
/*
 * peers.c - other nodes: trying one, why one is refused, the links there are.
 *
 * What a peer said is told as it is; that it was clean text the channel has
 * seen to.
 */
#include <stdio.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "common/regupdate.h"
#include "controld/list.h"
#include "controld/methods.h"
#include "controld/pass.h"

static void
on_tried(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_PEER_TRIED t;

	(void)c;
	if (!pass_good(r, m, "meshd"))
		return;
	if (!msg_get_PEER_TRIED(&m->body, &t))
		fatalx("malformed PEER_TRIED");
	/* Nobody is refused before a connection is there. */
	pass_answer(r,
	    json_pack("{s:b, s:b, s:i, s:b, s:s, s:s, s:I, s:o, s:s, "
		      "s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
		"attested", t.attested != 0, "reached",
		t.attested != 0 || t.connect_us != 0, "alert", (int)t.alert,
		"by_peer", t.by_peer != 0, "peer", t.peer, "address", t.address,
		"seq", (json_int_t)t.seq, "head", pass_hash(t.head), "reason",
		t.reason, "us", "connect", (json_int_t)t.connect_us, "leaf",
		(json_int_t)t.leaf_us, "verdict", (json_int_t)t.verdict_us,
		"handshake", (json_int_t)t.secured_us, "welcome",
		(json_int_t)t.welcome_us, "round_trip", (json_int_t)t.ping_us));
}

void
peers_ping(struct request *r)
{
	const char *name = rpc_text(&r->rpc, "name");
	const char *address = rpc_text(&r->rpc, "address");
	struct msg_TRY_PEER want = { 0 };
	uint32_t id;

	if (name == NULL && address == NULL) {
		pass_fail(r, RPC_INVALID_PARAMS, "give a name or an address");
		return;
	}
	if ((name != NULL && !regupdate_name_ok(name)) ||
	    (address != NULL && !regupdate_address_ok(address))) {
		pass_fail(r, RPC_INVALID_PARAMS,
		    "a name is one that a node can have, an address is "
		    "HOST:PORT");
		return;
	}
	snprintf(want.peer, sizeof(want.peer), "%s", name != NULL ? name : "");
	snprintf(want.address, sizeof(want.address), "%s",
	    address != NULL ? address : "");
	id = pass_ask(r, PROC_MESHD, MSG_TRY_PEER, on_tried, r);
	if (id != 0)
		(void)chan_send_TRY_PEER(child_peer(PROC_MESHD), id, -1, &want);
}

static void
on_why(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_WHY_SAID said;

	(void)c;
	if (!pass_good(r, m, "attestd"))
		return;
	if (!msg_get_WHY_SAID(&m->body, &said))
		fatalx("malformed WHY_SAID");
	pass_answer(r,
	    json_pack("{s:b, s:s, s:s, s:o, s:o, s:I, s:I, s:s, s:I}",
		"admitted", said.admitted != 0, "standing", said.standing,
		"text", said.text, "identity", pass_key(said.identity),
		"capabilities", pass_names(said.capabilities), "expiry",
		(json_int_t)said.expiry, "added", (json_int_t)said.added,
		"last_refusal", said.last, "last_refusal_ms",
		(json_int_t)said.last_ms));
}

void
peers_why(struct request *r)
{
	const char *name = rpc_text(&r->rpc, "name");
	struct msg_WHY want;
	uint32_t id;

	if (!regupdate_name_ok(name)) {
		pass_fail(r, RPC_INVALID_PARAMS,
		    "name: no node can be called that");
		return;
	}
	snprintf(want.name, sizeof(want.name), "%s", name);
	id = pass_ask(r, PROC_ATTESTD, MSG_WHY, on_why, r);
	if (id != 0)
		(void)chan_send_WHY(child_peer(PROC_ATTESTD), id, -1, &want);
}

/* Links. */

static void
ask_link(struct chan *meshd, uint32_t id, uint32_t index)
{
	struct msg_LINK_SHOW want = { .index = index };

	(void)chan_send_LINK_SHOW(meshd, id, -1, &want);
}

static uint32_t
read_link(struct msg *m, json_t **one)
{
	struct msg_LINK link;

	if (!msg_get_LINK(&m->body, &link))
		fatalx("malformed LINK");
	*one = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "peer", link.peer,
	    "address", link.address, "role",
	    link.role == EVIDENCE_CLIENT ? "client" : "server", "session",
	    (json_int_t)link.session, "since_ms", (json_int_t)link.since_ms,
	    "seq", (json_int_t)link.seq);
	return link.count;
}

void
peers_links(struct request *r)
{
	static const struct list_of links = { PROC_MESHD, MSG_LINK_SHOW,
		"links", 512, ask_link, read_link };

	list_answer(r, &links);
}
