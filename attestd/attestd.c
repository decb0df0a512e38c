/* SPDX-License-Identifier: ISC */
/*
 * attestd.c - verifies: who may be believed.
 *
 * It keeps the registry below the one directory it may open, held to the
 * genesis hash that the configuration pins, and judges peers by it. It holds
 * no key and has no network.
 *
 *	meshd     opens sessions, hears who a peer is and where peers are
 *	linkd     brings its peer's evidence and lines of the registry
 *	controld  operators' updates, invites, questions
 *	keyd      signs updates and tokens, and hears of the head
 *	auditd    records what was verified, before anybody acts on it
 */
#include <jansson.h>

#include <stdio.h>
#include <string.h>

#include "attestd/attestd.h"
#include "attestd/joining.h"
#include "common/child.h"
#include "common/log.h"
#include "common/merkle.h"

struct attestd attestd;

static struct attestd staged;

static void
prepare(void)
{
	/* Finds the algorithms while their libraries can be opened. */
	if (merkle_setup() != 0)
		fatalx("OpenSSL lacks SHA-256");
	json_object_seed(0);
}

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_ATTESTD c;

	if (!msg_get_CONFIG_ATTESTD(&m->body, &c))
		return "malformed configuration";
	snprintf(staged.node, sizeof(staged.node), "%s", c.node);
	memcpy(staged.genesis, c.genesis, sizeof(staged.genesis));
	memcpy(staged.identity, c.identity, sizeof(staged.identity));
	memcpy(staged.sealing, c.sealing, sizeof(staged.sealing));
	staged.floor_seq = c.floor_seq;
	memcpy(staged.floor_head, c.floor_head, sizeof(staged.floor_head));
	return NULL;
}

static void
commit(void)
{
	staged.registry = attestd.registry;
	attestd = staged;
	if (attestd.registry != NULL && !registry_empty(attestd.registry))
		rotation_self();
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED)
		log_warnx("a record could not be written");
}

bool
attestd_can_record(void)
{
	struct chan *auditd = child_peer(PROC_AUDITD);

	return joining_now() || /* there is no log yet */
	    (auditd != NULL && chan_has_room(auditd, MSG_MAX_LEN));
}

bool
attestd_record(struct auditrec *r, chan_done *done, void *arg)
{
	struct chan *auditd = child_peer(PROC_AUDITD);
	uint32_t id = 0;

	if (joining_now())
		return false;
	if (attestd_can_record())
		id = chan_ask(auditd, MSG_AUDIT_APPEND,
		    done != NULL ? done : on_recorded, arg);
	if (id == 0) {
		log_warnx("no auditd to record with");
		return false;
	}
	(void)chan_send_AUDIT_APPEND(auditd, id, -1, auditrec_msg(r));
	clock_recorded();
	return true;
}

/* Ready once it is on record which registry this node believes. */
static void
on_loaded(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED)
		log_warnx("the registry in force could not be recorded");
	else
		clock_loaded(m);
	child_ready();
}

static void
start(void)
{
	struct auditrec r;
	const char *why;

	if (joining_now()) {
		joining_start(DESC_REGISTRY_DIR);
		if (child_peer(PROC_KEYD) != NULL)
			chain_tell(child_peer(PROC_KEYD));
		child_ready();
		return;
	}
	clock_load(DESC_REGISTRY_DIR);
	witness_load(DESC_REGISTRY_DIR);
	why = chain_load(DESC_REGISTRY_DIR);
	if (why == NULL)
		why = invite_load(DESC_REGISTRY_DIR);
	if (why != NULL)
		fatalx("%s", why);
	rotation_self();
	log_info("registry verified: sequence %llu, %u of %u authorities",
	    (unsigned long long)registry_seq(attestd.registry),
	    registry_set(attestd.registry)->threshold,
	    registry_set(attestd.registry)->count);
	if (child_peer(PROC_KEYD) != NULL)
		chain_tell(child_peer(PROC_KEYD));
	chain_keep_fresh();
	auditrec_init(&r, AUDIT_REGISTRY_LOADED, AUDIT_SINGLE, AUDIT_OK);
	auditrec_num(&r, AUDIT_ATTR_SEQ, registry_seq(attestd.registry));
	auditrec_bytes(&r, AUDIT_ATTR_SHA256, registry_head(attestd.registry),
	    32);
	if (!attestd_record(&r, on_loaded, NULL))
		fatalx("no channel to auditd");
}

static void
peer_up(struct chan *c)
{
	if (chan_peer(c) == PROC_LINKD || chan_peer(c) == PROC_XFERD)
		sessions_worker(c, true);
	else
		chain_tell(c);
}

static void
peer_down(struct chan *c)
{
	if (chan_peer(c) == PROC_LINKD || chan_peer(c) == PROC_XFERD)
		sessions_worker(c, false);
	else if (chan_peer(c) == PROC_MESHD || chan_peer(c) == PROC_SFTD)
		sessions_broker_gone(chan_peer(c));
	else
		rotation_gone(c);
}

static void
on_identity_show(struct chan *c, struct msg *m)
{
	const struct registry_set *set = registry_set(attestd.registry);
	struct msg_IDENTITY id = { .seq = registry_seq(attestd.registry),
		.authorities = set->count,
		.threshold = set->threshold };

	snprintf(id.node, sizeof(id.node), "%s", attestd.node);
	memcpy(id.identity, attestd.identity, sizeof(id.identity));
	memcpy(id.sealing, attestd.sealing, sizeof(id.sealing));
	memcpy(id.genesis, attestd.genesis, sizeof(id.genesis));
	memcpy(id.head, registry_head(attestd.registry), sizeof(id.head));
	(void)chan_send_IDENTITY(c, m->id, -1, &id);
}

static void
on_offer(struct chan *c, struct msg *m)
{
	if (joining_now())
		joining_on_offer(c, m);
	else
		chain_on_offer(c, m);
}

static const struct chan_handlers from_clawd[] = {
	{ MSG_JOINING, joining_on_begin },
	{ MSG_JOIN_CHECK, joining_on_check },
	{ 0, NULL },
};

static const struct chan_handlers from_siblings[] = {
	{ MSG_IDENTITY_SHOW, on_identity_show },
	{ MSG_REGISTRY_READ, chain_on_read },
	{ MSG_REGISTRY_OFFER, on_offer },
	{ MSG_REGISTRY_UPDATE, chain_on_update },
	{ MSG_REGISTRY_COSIGN, chain_on_cosign },
	{ MSG_REGISTRY_INSPECT, chain_on_inspect },
	{ MSG_ROTATION_PLACE, rotation_on_place },
	{ MSG_ROTATION_TAKE, rotation_on_take },
	{ MSG_CLOCK_RESET, clock_on_reset },
	{ MSG_WHY, rights_on_why },
	{ MSG_TOKEN_MINT, rights_on_mint },
	{ MSG_TOKEN_CHECK, rights_on_check },
	{ MSG_PEER_FIND, chain_on_find },
	{ MSG_SESSION_OPEN, sessions_on_open },
	{ MSG_SESSION_CLOSED, sessions_on_closed },
	{ MSG_STRANGER, sessions_on_stranger },
	{ MSG_JUDGE, sessions_on_judge },
	{ MSG_RENONCE, sessions_on_renonce },
	{ MSG_CHECKPOINT_LATEST, witness_on_latest },
	{ MSG_PEER_CHECKPOINTS, sessions_on_checkpoints },
	{ MSG_LINK_FAILED, sessions_on_failed },
	{ MSG_INVITE_OPEN, invite_on_open },
	{ MSG_INVITE_SHOW, invite_on_show },
	{ MSG_INVITE_ANSWER, invite_on_answer },
	{ MSG_JOIN_ASK, invite_on_join },
	{ 0, NULL },
};

static const struct child child = {
	.self = PROC_ATTESTD,
	.from_parent = from_clawd,
	.from_peers = from_siblings,
	.prepare = prepare,
	.config = MSG_CONFIG_ATTESTD,
	.stage = stage,
	.commit = commit,
	.start = start,
	.peer_up = peer_up,
	.peer_down = peer_down,
};

int
main(int argc, char **argv)
{
	child_run(&child, argc, argv);
}
