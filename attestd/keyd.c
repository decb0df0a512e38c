/* SPDX-License-Identifier: ISC */
/*
 * keyd.c - holds the node's keys and signs statements.
 *
 * No files, no network, no parsing. clawd hands over the key file as a
 * descriptor after this process has shown that its sandbox is closed; from
 * then on it owns channels and locked memory, nothing else. What may be
 * signed, and for whom, is decided by the channel a request comes in on:
 *
 *	clawd    creates keys and a registry's first line (claw init only)
 *	auditd   log keys and checkpoints, each consistent with the last
 *	         (keyd_log.c)
 *	controld permits: one update of the registry, one invite; a rotation
 *	         of the node's keys, with the recovery code (keyd_rotate.c)
 *	attestd  updates that a permit covers, tokens (keyd_registry.c); the
 *		 registry, which is believed for its signatures alone
 *		 (keyd_follow.c)
 *	meshd    which role a session has
 *	linkd    its session's leaf certificate (keyd_session.c); a joiner's
 *	         JOIN (keyd_join.c)
 *
 * keyd waits for nobody: every request is answered at once, but for those
 * that need files of clawd's.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attestd/keyd.h"
#include "attestd/keystore.h"
#include "attestd/session.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/merkle.h"

struct keyd keyd;

static struct statement_node node_staged;

static void
prepare(void)
{
	keystore_init();
	if (merkle_setup() != 0)
		fatalx("OpenSSL lacks SHA-256");
}

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_KEYD config;

	if (!msg_get_CONFIG_KEYD(&m->body, &config))
		return "malformed configuration";
	if (keyd.node.name[0] != '\0' &&
	    (strcmp(keyd.node.name, config.node) != 0 ||
		memcmp(keyd.node.genesis, config.genesis, 32) != 0))
		return "a node does not change its name or its registry";
	snprintf(node_staged.name, sizeof(node_staged.name), "%s", config.node);
	memcpy(node_staged.genesis, config.genesis, 32);
	return NULL;
}

static void
commit(void)
{
	keyd.node = node_staged;
}

static void
start(void)
{
	uint8_t pub[KEY_PUBLIC_LEN];

	if (keystore_public(KEY_IDENTITY, pub) != 0)
		fatalx("clawd starts keyd without its keys");
	keyd_follow_start();
	child_ready();
}

void
keyd_refuse(struct chan *c, struct msg *m, uint16_t code, const char *why)
{
	counter_add(COUNTER_SIGN_REFUSED, 1);
	log_warnx("%s: %s refused: %s", proc_name(chan_peer(c)), m->rule->name,
	    why);
	chan_refuse(c, m, code, code == EAGAIN, "%s", why);
}

/* Files that clawd opened. */

static void
answer_public(struct chan *c, struct msg *m)
{
	struct msg_KEY_PUBLIC pub = { 0 };

	(void)keystore_next(pub.next);
	if (keystore_public(KEY_IDENTITY, pub.identity) != 0 ||
	    keystore_public(KEY_SEALING, pub.sealing) != 0)
		fatalx("keys loaded and not there");
	(void)chan_send_KEY_PUBLIC(c, m->id, -1, &pub);
}

static void
on_key_file(struct chan *c, struct msg *m)
{
	int r = keystore_load(m->fd);

	if (r == 0)
		answer_public(c, m);
	else
		chan_refuse(c, m, (uint16_t)-r, false, "%s",
		    r == -EBADMSG ? "it is damaged, or no key file; restore "
				    "it from a backup" :
				    strerror(-r));
}

static void
on_key_create(struct chan *c, struct msg *m)
{
	int r = keystore_create(m->fd);

	if (r == 0)
		answer_public(c, m);
	else
		chan_refuse(c, m, (uint16_t)-r, false, "%s", strerror(-r));
}

static void
on_authority_create(struct chan *c, struct msg *m)
{
	struct msg_AUTHORITY_PUBLIC pub;
	int r = keystore_create_authority(m->fd);

	if (r == 0)
		r = keystore_public(KEY_AUTHORITY, pub.authority);
	if (r == 0)
		(void)chan_send_AUTHORITY_PUBLIC(c, m->id, -1, &pub);
	else
		chan_refuse(c, m, (uint16_t)-r, false, "%s", strerror(-r));
}

static void
on_genesis_sign(struct chan *c, struct msg *m)
{
	struct msg_GENESIS_SIGN want;
	struct msg_GENESIS_SIGNED done;
	char line[4096];
	int n;

	if (!msg_get_GENESIS_SIGN(&m->body, &want))
		fatalx("malformed GENESIS_SIGN");
	n = statement_genesis(&want, line, sizeof(line));
	keystore_forget(KEY_AUTHORITY);
	if (n < 0) {
		keyd_refuse(c, m, (uint16_t)-n, "no authority key was made");
		return;
	}
	counter_add(COUNTER_SIGNATURES, 1);
	done.line = (const uint8_t *)line;
	done.line_len = (uint16_t)n;
	(void)chan_send_GENESIS_SIGNED(c, m->id, -1, &done);
}

static void
on_checkpoint_known(struct chan *c, struct msg *m)
{
	struct msg_CHECKPOINT_KNOWN known;

	(void)c;
	if (!msg_get_CHECKPOINT_KNOWN(&m->body, &known) ||
	    !lastsigned_known(&keyd.last, &known))
		fatalx("malformed CHECKPOINT_KNOWN");
}

static void
peer_down(struct chan *c)
{
	switch (chan_peer(c)) {
	case PROC_CONTROLD:
		keyd_controld_gone(c);
		keyd_rotate_gone(c);
		keyd_authority_gone(c);
		break;
	case PROC_MESHD:
	case PROC_SFTD:
		/* What the one that takes its place has said stays. */
		if (child_peer(chan_peer(c)) == NULL)
			session_end_unclaimed(chan_peer(c));
		break;
	case PROC_LINKD:
	case PROC_XFERD:
		session_end(child_session(c));
		break;
	default:
		break;
	}
}

/* Which channel may ask for what: messages.def says it, this does it. */
static const struct chan_handlers from_clawd[] = {
	{ MSG_KEY_FILE, on_key_file },
	{ MSG_KEY_CREATE, on_key_create },
	{ MSG_AUTHORITY_CREATE, on_authority_create },
	{ MSG_GENESIS_SIGN, on_genesis_sign },
	{ MSG_CHECKPOINT_KNOWN, on_checkpoint_known },
	{ MSG_REGISTRY_KNOWN, keyd_on_registry_known },
	{ MSG_JOIN_BEGIN, keyd_on_join_begin },
	{ MSG_NEXT_CREATE, keyd_on_next_create },
	{ MSG_NEXT_FILE, keyd_on_next_file },
	{ MSG_ROTATING_FILE, keyd_on_rotating_file },
	{ MSG_RECOVER, keyd_on_recover },
	{ MSG_RECOVER_KEY, keyd_on_recover_key },
	{ MSG_RECOVER_NEXT, keyd_on_recover_next },
	{ MSG_REQUEST_SIGN, keyd_on_request_sign },
	{ 0, NULL },
};

static const struct chan_handlers from_siblings[] = {
	{ MSG_LOGKEY_NEW, keyd_on_logkey_new },
	{ MSG_LOGKEY_OPEN, keyd_on_logkey_open },
	{ MSG_LOGKEY_CLOSE, keyd_on_logkey_close },
	{ MSG_CHECKPOINT_SIGN, keyd_on_checkpoint_sign },
	{ MSG_PERMIT, keyd_on_permit },
	{ MSG_PERMIT_END, keyd_on_permit_end },
	{ MSG_PERMIT_SHOW, keyd_on_permit_show },
	{ MSG_UPDATE_SIGN, keyd_on_update_sign },
	{ MSG_TOKEN_SIGN, keyd_on_token_sign },
	{ MSG_AUTHORITY_SHOW, keyd_on_authority_show },
	{ MSG_ROTATE, keyd_on_rotate },
	{ MSG_REVEAL, keyd_on_reveal },
	{ MSG_FOLLOW, keyd_on_follow },
	{ MSG_SESSION_ROLE, keyd_on_session_role },
	{ MSG_SESSION_PEER, keyd_on_session_peer },
	{ MSG_LEAF, keyd_on_leaf },
	{ MSG_JOIN_SIGN, keyd_on_join_sign },
	{ MSG_SEAL, keyd_on_seal },
	{ MSG_RECEIPT, keyd_on_receipt },
	{ 0, NULL },
};

static const struct child child = {
	.self = PROC_KEYD,
	.from_parent = from_clawd,
	.from_peers = from_siblings,
	.prepare = prepare,
	.config = MSG_CONFIG_KEYD,
	.stage = stage,
	.commit = commit,
	.start = start,
	.peer_down = peer_down,
};

int
main(int argc, char **argv)
{
	child_run(&child, argc, argv);
}
