/* SPDX-License-Identifier: ISC */
/*
 * keyd_log.c - what auditd may ask keyd for: log keys and checkpoints, each
 * consistent with the last.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attestd/keyd.h"
#include "attestd/keystore.h"
#include "attestd/statement.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"

/* Requests that auditd may make: so many at once, so many a second. */
#define AUDITD_BURST 100
#define AUDITD_PER_SECOND 20

static struct {
	uint64_t tokens;
	uint64_t second;
} budget = { AUDITD_BURST, 0 };

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
	struct msg_CHECKPOINT_NOTED noted = { .size = keyd.last.size };

	snprintf(noted.shard, sizeof(noted.shard), "%s", shard);
	memcpy(noted.root, keyd.last.root, sizeof(noted.root));
	(void)chan_send_CHECKPOINT_NOTED(child_parent(), 0, -1, &noted);
}

void
keyd_on_logkey_new(struct chan *c, struct msg *m)
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
		keyd_refuse(c, m, EAGAIN, "too many requests");
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	why = lastsigned_begin_refused(&keyd.last, want.shard, now.tv_sec,
	    &order);
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	if (keystore_create_log(want.shard, sealed) != 0 ||
	    keystore_public(KEY_LOG, key.public) != 0 ||
	    statement_log_key(&keyd.node, want.shard, want.previous,
		want.previous_len, key.endorsement) != 0)
		fatalx("log key for %s could not be made", want.shard);
	counter_add(COUNTER_SIGNATURES, 1);
	lastsigned_begin(&keyd.last, order);
	note_last(want.shard);
	key.sealed = sealed;
	key.sealed_len = sizeof(sealed);
	(void)chan_send_LOGKEY(c, m->id, -1, &key);
}

void
keyd_on_logkey_open(struct chan *c, struct msg *m)
{
	struct msg_LOGKEY_OPEN want;
	struct msg_LOGKEY_OPENED key = { 0 };
	const char *why;
	uint64_t order;

	if (!msg_get_LOGKEY_OPEN(&m->body, &want))
		fatalx("malformed LOGKEY_OPEN");
	if (!within_budget()) {
		keyd_refuse(c, m, EAGAIN, "too many requests");
		return;
	}
	why = lastsigned_open_refused(&keyd.last, want.shard, &order);
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	if (keystore_open_log(want.shard, want.sealed, want.sealed_len) != 0) {
		keyd_refuse(c, m, EBADMSG,
		    "not sealed by this node for this shard");
		return;
	}
	lastsigned_open(&keyd.last, order);
	/* A larger checkpoint with our own signature is one we have made. */
	if (want.size > keyd.last.size &&
	    statement_checkpoint_ours(&keyd.node, want.shard, want.size,
		want.root, want.signature))
		lastsigned_put(&keyd.last, want.size, want.root);
	if (keystore_public(KEY_LOG, key.public) != 0)
		fatalx("log key opened and not there");
	key.size = keyd.last.size;
	memcpy(key.root, keyd.last.root, sizeof(key.root));
	(void)chan_send_LOGKEY_OPENED(c, m->id, -1, &key);
}

void
keyd_on_logkey_close(struct chan *c, struct msg *m)
{
	struct msg_LOGKEY_CLOSE want;
	struct msg_LOGKEY_CLOSED done = { 0 };

	if (!msg_get_LOGKEY_CLOSE(&m->body, &want))
		fatalx("malformed LOGKEY_CLOSE");
	if (!lastsigned_close(&keyd.last, want.shard)) {
		keyd_refuse(c, m, EPERM, "that shard is not open");
		return;
	}
	keystore_forget(KEY_LOG);
	(void)chan_send_LOGKEY_CLOSED(c, m->id, -1, &done);
}

void
keyd_on_checkpoint_sign(struct chan *c, struct msg *m)
{
	struct msg_CHECKPOINT_SIGN want;
	struct msg_CHECKPOINT_SIGNED done;
	const char *why;

	if (!msg_get_CHECKPOINT_SIGN(&m->body, &want))
		fatalx("malformed CHECKPOINT_SIGN");
	if (!within_budget()) {
		keyd_refuse(c, m, EAGAIN, "too many requests");
		return;
	}
	why = lastsigned_sign_refused(&keyd.last, &want);
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	if (statement_checkpoint(&keyd.node, want.shard, want.size, want.root,
		done.signature) != 0)
		fatalx("checkpoint of %s could not be signed", want.shard);
	counter_add(COUNTER_SIGNATURES, 1);
	lastsigned_put(&keyd.last, want.size, want.root);
	note_last(want.shard);
	(void)chan_send_CHECKPOINT_SIGNED(c, m->id, -1, &done);
}
