/* SPDX-License-Identifier: ISC */
/*
 * record.c - what is written down about transfers: intents and outcomes in the
 * audit log, a line each in sft.ndjson.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/auditrec.h"
#include "common/child.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/sftname.h"
#include "sftd/transfer.h"

/* One that is on its way to auditd. */
struct intent {
	uint32_t transfer;
	enum audit_event event;
	void (*then)(struct transfer *t, bool ok, const char *why);
};

static const char *const states[] = {
	[TRANSFER_WAITING] = "waiting",
	[TRANSFER_CONNECTING] = "connecting",
	[TRANSFER_OFFERED] = "offered",
	[TRANSFER_MOVING] = "moving",
	[TRANSFER_FINISHING] = "finishing",
	[TRANSFER_PAUSED] = "paused",
	[TRANSFER_DONE] = "done",
	[TRANSFER_FAILED] = "failed",
	[TRANSFER_REFUSED] = "refused",
	[TRANSFER_CANCELLED] = "cancelled",
};

static bool
append(const struct msg_AUDIT_APPEND *m, chan_done *done, void *arg)
{
	struct chan *auditd = child_peer(PROC_AUDITD);
	uint32_t id;

	if (auditd == NULL || !chan_has_room(auditd, MSG_MAX_LEN) ||
	    (id = chan_ask(auditd, MSG_AUDIT_APPEND, done, arg)) == 0)
		return false;
	(void)chan_send_AUDIT_APPEND(auditd, id, -1, m);
	return true;
}

static void
on_written(struct chan *auditd, struct msg *m, void *arg)
{
	struct msg_REFUSED no;

	(void)auditd;
	(void)arg;
	if (m != NULL && m->type == MSG_REFUSED &&
	    msg_get_REFUSED(&m->body, &no))
		log_warnx("how a transfer ended is not in the audit log: %s",
		    no.text);
}

static void
describe(struct auditrec *r, const struct transfer *t)
{
	static const uint8_t none[32];
	char shown[SFTNAME_SHOWN_SIZE], key[IDENTITY_TEXT_SIZE];
	const struct sft_offer *o = &t->what.offer;

	auditrec_text(r, AUDIT_ATTR_PEER, t->what.peer);
	if (t->conn != NULL && memcmp(t->conn->key, none, 32) != 0) {
		identity_text(t->conn->key, key);
		auditrec_text(r, AUDIT_ATTR_PEER_KEY, key);
		auditrec_num(r, AUDIT_ATTR_SEQ, t->conn->seq);
		auditrec_bytes(r, AUDIT_ATTR_HEAD, t->conn->head, 32);
		auditrec_num(r, AUDIT_ATTR_SESSION, t->conn->session);
	}
	if (o->name_len > 0) {
		(void)sftname_show(o->name, o->name_len, shown, sizeof(shown));
		auditrec_text(r, AUDIT_ATTR_FILE, shown);
	}
	auditrec_num(r, AUDIT_ATTR_BYTES, o->size);
	if (memcmp(t->what.digest, none, 32) != 0)
		auditrec_bytes(r, AUDIT_ATTR_OFFER, t->what.digest, 32);
	if (memcmp(t->what.id, none, SFT_ID_LEN) != 0) {
		auditrec_bytes(r, AUDIT_ATTR_TRANSFER, t->what.id, SFT_ID_LEN);
		auditrec_num(r, AUDIT_ATTR_EPOCH, t->what.epoch);
	}
}

static enum audit_event
event_of(const struct transfer *t)
{
	return t->receives ? AUDIT_FILE_TAKING : AUDIT_FILE_SENDING;
}

/* An intent that nobody waits for any more: nothing was done. */
static void
abandon(const struct intent *i, uint64_t number)
{
	static struct auditrec r;

	auditrec_init(&r, i->event, AUDIT_OUTCOME, AUDIT_FAILED);
	r.msg.intent = number;
	auditrec_text(&r, AUDIT_ATTR_REASON, "it was given up before it began");
	(void)append(auditrec_msg(&r), on_written, NULL);
}

static void
on_intent(struct chan *auditd, struct msg *m, void *arg)
{
	struct msg_AUDIT_APPENDED done;
	struct msg_REFUSED no = { .text = "auditd went away" };
	struct intent *i = arg;
	struct transfer *t = transfer_numbered(i->transfer);
	bool wanted = t != NULL && t->pending == i;
	bool ok = m != NULL && m->type != MSG_REFUSED;

	(void)auditd;
	if (ok && !msg_get_AUDIT_APPENDED(&m->body, &done))
		fatalx("malformed AUDIT_APPENDED");
	if (!ok && m != NULL && !msg_get_REFUSED(&m->body, &no))
		fatalx("malformed REFUSED");
	if (wanted) {
		t->pending = NULL;
		t->intent = ok ? done.number : 0;
		i->then(t, ok, no.text);
	} else if (ok)
		abandon(i, done.number);
	free(i);
}

void
record_intent(struct transfer *t,
    void (*then)(struct transfer *t, bool ok, const char *why))
{
	static struct auditrec r;
	struct intent *i = calloc(1, sizeof(*i));

	if (i == NULL)
		fatalx("out of memory");
	i->transfer = t->number;
	i->event = event_of(t);
	i->then = then;
	t->pending = i;
	auditrec_init(&r, i->event, AUDIT_INTENT, AUDIT_NO_OUTCOME);
	describe(&r, t);
	if (append(auditrec_msg(&r), on_intent, i))
		return;
	free(i);
	t->pending = NULL;
	then(t, false, "auditd is not there to record it");
}

void
record_forget(struct transfer *t)
{
	t->pending = NULL;
}

static void
reason(struct auditrec *r, const struct transfer *t)
{
	char text[320];

	if (t->code == 0)
		return;
	if (t->what.offer.dry && t->state == TRANSFER_DONE)
		snprintf(text, sizeof(text), "only asked for: %s", t->text);
	else
		snprintf(text, sizeof(text), "%s%s: %s",
		    t->by_peer ? "peer: " : "", sft_code_name(t->code),
		    t->text);
	auditrec_text(r, AUDIT_ATTR_REASON, text);
}

void
record_outcome(struct transfer *t, enum transfer_state state)
{
	static struct auditrec r;

	if (t->intent == 0)
		return;
	auditrec_init(&r, event_of(t), AUDIT_OUTCOME,
	    state == TRANSFER_DONE	  ? AUDIT_OK :
		state == TRANSFER_REFUSED ? AUDIT_DENIED :
					    AUDIT_FAILED);
	r.msg.intent = t->intent;
	t->intent = 0;
	describe(&r, t);
	if (state == TRANSFER_DONE && !t->what.offer.dry)
		auditrec_bytes(&r, AUDIT_ATTR_BLAKE3, t->root, 32);
	reason(&r, t);
	if (!append(auditrec_msg(&r), on_written, NULL))
		log_warnx("auditd is not there: how a transfer ended is "
			  "recorded as unknown");
}

void
record_denied(const struct transfer *t)
{
	static struct auditrec r;

	auditrec_init(&r, AUDIT_FILE_DENIED, AUDIT_SINGLE, AUDIT_DENIED);
	describe(&r, t);
	auditrec_text(&r, AUDIT_ATTR_ROLE, t->receives ? "receiver" : "sender");
	reason(&r, t);
	(void)append(auditrec_msg(&r), on_written, NULL);
}

void
record_line(const struct transfer *t)
{
	bool sent_nothing = t->what.offer.dry && t->state == TRANSFER_DONE;
	static bool complained;
	struct event_line l;
	uint8_t id[SFT_ID_LEN];
	size_t n;

	transfer_id(t, id);
	event_begin(&l, NULL);
	event_time(&l, "time", t->ended_ms);
	event_hex(&l, "id", id, sizeof(id));
	event_str(&l, "direction", t->receives ? "in" : "out");
	event_str(&l, "peer", t->what.peer);
	event_text(&l, "name", t->what.offer.name, t->what.offer.name_len);
	event_num(&l, "size", t->what.offer.size);
	if (t->what.into[0] != '\0')
		event_str(&l, "into", t->what.into);
	event_str(&l, "result", sent_nothing ? "dry-run" : states[t->state]);
	event_num(&l, "durable", t->durable);
	event_num(&l, "resent", t->resent);
	event_num(&l, "same_bytes", t->same);
	event_num(&l, "wire_bytes", t->wire);
	event_num(&l, "streams", t->what.offer.streams);
	if (!t->receives)
		event_str(&l, "congestion", t->congestion);
	event_num(&l, "ms", t->ended_ms - t->started_ms);
	if (t->state == TRANSFER_DONE && !sent_nothing)
		event_hex(&l, "blake3", t->root, sizeof(t->root));
	event_bool(&l, "receipt", t->has_receipt);
	if (t->code != 0 && !sent_nothing) {
		event_str(&l, "code", sft_code_name(t->code));
		event_bool(&l, "by_peer", t->by_peer);
		event_str(&l, "text", t->text);
	}
	n = event_end(&l);
	if (n > 0 && write(DESC_SFT_LOG, l.text, n) == (ssize_t)n)
		complained = false;
	else if (!complained) {
		log_warn("sft.ndjson: a line is lost");
		complained = true;
	}
}
