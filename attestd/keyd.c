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
 *
 * keyd waits for nobody: every request is answered at once.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attestd/keystore.h"
#include "attestd/lastsigned.h"
#include "attestd/statement.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/merkle.h"

/* Requests that a channel may make: so many at once, so many a second. */
#define AUDITD_BURST 100
#define AUDITD_PER_SECOND 20

static struct statement_node node, node_staged;

static struct lastsigned last;

static struct {
	uint64_t tokens;
	uint64_t second;
} budget = { AUDITD_BURST, 0 };

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
	if (node.name[0] != '\0' &&
	    (strcmp(node.name, config.node) != 0 ||
		memcmp(node.genesis, config.genesis, 32) != 0))
		return "a node does not change its name or its registry";
	snprintf(node_staged.name, sizeof(node_staged.name), "%s", config.node);
	memcpy(node_staged.genesis, config.genesis, 32);
	return NULL;
}

static void
commit(void)
{
	node = node_staged;
}

static void
start(void)
{
	uint8_t pub[KEY_PUBLIC_LEN];

	if (keystore_public(KEY_IDENTITY, pub) != 0)
		fatalx("clawd starts keyd without its keys");
	child_ready();
}

static void
refuse(struct chan *c, struct msg *m, uint16_t code, const char *why)
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
	struct msg_KEY_PUBLIC pub;

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
	char line[2048];
	int n;

	if (!msg_get_GENESIS_SIGN(&m->body, &want))
		fatalx("malformed GENESIS_SIGN");
	n = statement_genesis(want.time_s, want.soft_s, want.hard_s, line,
	    sizeof(line));
	keystore_forget(KEY_AUTHORITY);
	if (n < 0) {
		refuse(c, m, (uint16_t)-n, "no authority key was made");
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
	    !lastsigned_known(&last, &known))
		fatalx("malformed CHECKPOINT_KNOWN");
}

/* What auditd may ask for. */

static bool
within_budget(void)
{
	struct timespec now;
	uint64_t s, more;

	clock_gettime(CLOCK_BOOTTIME, &now);
	s = (uint64_t)now.tv_sec;
	more = (s - budget.second) * AUDITD_PER_SECOND;
	budget.second = s;
	budget.tokens += more < AUDITD_BURST ? more : AUDITD_BURST;
	if (budget.tokens > AUDITD_BURST)
		budget.tokens = AUDITD_BURST;
	if (budget.tokens == 0)
		return false;
	budget.tokens--;
	return true;
}

/* Tells clawd, which keeps the copy that auditd cannot touch. */
static void
note_last(const char *shard)
{
	struct msg_CHECKPOINT_NOTED noted = { .size = last.size };

	snprintf(noted.shard, sizeof(noted.shard), "%s", shard);
	memcpy(noted.root, last.root, sizeof(noted.root));
	(void)chan_send_CHECKPOINT_NOTED(child_parent(), 0, -1, &noted);
}

static void
on_logkey_new(struct chan *c, struct msg *m)
{
	struct msg_LOGKEY_NEW want;
	struct msg_LOGKEY key;
	uint8_t sealed[KEYSTORE_SEALED_LEN];
	struct timespec now;
	const char *why;
	uint64_t order;

	if (!msg_get_LOGKEY_NEW(&m->body, &want))
		fatalx("malformed LOGKEY_NEW");
	if (!within_budget()) {
		refuse(c, m, EAGAIN, "too many requests");
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	why = lastsigned_begin_refused(&last, want.shard, now.tv_sec, &order);
	if (why != NULL) {
		refuse(c, m, EPERM, why);
		return;
	}
	if (keystore_create_log(want.shard, sealed) != 0 ||
	    keystore_public(KEY_LOG, key.public) != 0 ||
	    statement_log_key(&node, want.shard, want.previous,
		want.previous_len, key.endorsement) != 0)
		fatalx("log key for %s could not be made", want.shard);
	counter_add(COUNTER_SIGNATURES, 1);
	lastsigned_begin(&last, order);
	note_last(want.shard);
	key.sealed = sealed;
	key.sealed_len = sizeof(sealed);
	(void)chan_send_LOGKEY(c, m->id, -1, &key);
}

static void
on_logkey_open(struct chan *c, struct msg *m)
{
	struct msg_LOGKEY_OPEN want;
	struct msg_LOGKEY_OPENED key = { 0 };
	const char *why;
	uint64_t order;

	if (!msg_get_LOGKEY_OPEN(&m->body, &want))
		fatalx("malformed LOGKEY_OPEN");
	if (!within_budget()) {
		refuse(c, m, EAGAIN, "too many requests");
		return;
	}
	why = lastsigned_open_refused(&last, want.shard, &order);
	if (why != NULL) {
		refuse(c, m, EPERM, why);
		return;
	}
	if (keystore_open_log(want.shard, want.sealed, want.sealed_len) != 0) {
		refuse(c, m, EBADMSG, "not sealed by this node for this shard");
		return;
	}
	lastsigned_open(&last, order);
	/* A larger checkpoint with our own signature is one we have made. */
	if (want.size > last.size &&
	    statement_checkpoint_ours(&node, want.shard, want.size, want.root,
		want.signature))
		lastsigned_put(&last, want.size, want.root);
	if (keystore_public(KEY_LOG, key.public) != 0)
		fatalx("log key opened and not there");
	key.size = last.size;
	memcpy(key.root, last.root, sizeof(key.root));
	(void)chan_send_LOGKEY_OPENED(c, m->id, -1, &key);
}

static void
on_logkey_close(struct chan *c, struct msg *m)
{
	struct msg_LOGKEY_CLOSE want;
	struct msg_LOGKEY_CLOSED done = { 0 };

	if (!msg_get_LOGKEY_CLOSE(&m->body, &want))
		fatalx("malformed LOGKEY_CLOSE");
	if (!lastsigned_close(&last, want.shard)) {
		refuse(c, m, EPERM, "that shard is not open");
		return;
	}
	keystore_forget(KEY_LOG);
	(void)chan_send_LOGKEY_CLOSED(c, m->id, -1, &done);
}

static void
on_checkpoint_sign(struct chan *c, struct msg *m)
{
	struct msg_CHECKPOINT_SIGN want;
	struct msg_CHECKPOINT_SIGNED done;
	const char *why;

	if (!msg_get_CHECKPOINT_SIGN(&m->body, &want))
		fatalx("malformed CHECKPOINT_SIGN");
	if (!within_budget()) {
		refuse(c, m, EAGAIN, "too many requests");
		return;
	}
	why = lastsigned_sign_refused(&last, &want);
	if (why != NULL) {
		refuse(c, m, EPERM, why);
		return;
	}
	if (statement_checkpoint(&node, want.shard, want.size, want.root,
		done.signature) != 0)
		fatalx("checkpoint of %s could not be signed", want.shard);
	counter_add(COUNTER_SIGNATURES, 1);
	lastsigned_put(&last, want.size, want.root);
	note_last(want.shard);
	(void)chan_send_CHECKPOINT_SIGNED(c, m->id, -1, &done);
}

/* Which channel may ask for what: messages.def says it, this does it. */
static const struct chan_handlers from_clawd[] = {
	{ MSG_KEY_FILE, on_key_file },
	{ MSG_KEY_CREATE, on_key_create },
	{ MSG_AUTHORITY_CREATE, on_authority_create },
	{ MSG_GENESIS_SIGN, on_genesis_sign },
	{ MSG_CHECKPOINT_KNOWN, on_checkpoint_known },
	{ 0, NULL },
};

static const struct chan_handlers from_siblings[] = {
	{ MSG_LOGKEY_NEW, on_logkey_new },
	{ MSG_LOGKEY_OPEN, on_logkey_open },
	{ MSG_LOGKEY_CLOSE, on_logkey_close },
	{ MSG_CHECKPOINT_SIGN, on_checkpoint_sign },
	{ 0, NULL },
};

static const struct child keyd = {
	.self = PROC_KEYD,
	.from_parent = from_clawd,
	.from_peers = from_siblings,
	.prepare = prepare,
	.config = MSG_CONFIG_KEYD,
	.stage = stage,
	.commit = commit,
	.start = start,
};

int
main(int argc, char **argv)
{
	child_run(&keyd, argc, argv);
}
