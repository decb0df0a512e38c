/* SPDX-License-Identifier: ISC */
/*
 * attempt.c - one attempt to send a file.
 *
 * Recorded, the peer's address found, dialled, attested, offered, taken,
 * sealed, receipted. What is known of the peer comes from attestd, and that
 * all has arrived is what the receipt says under the peer's signature. Whether
 * there is another one after it is decided in outgoing.c.
 */
#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/capability.h"
#include "common/child.h"
#include "common/evidence.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/receipt.h"
#include "sftd/attempt.h"
#include "sftd/outgoing.h"
#include "sftd/store.h"

#define STREAM_CONNECT_S 10
/* Of an attempt: each of its streams, once more where they came too early, and
 * for those that were lost. */
#define DIALS_MAX (3 * SFT_STREAMS_MAX)

/* Recorded, found, dialled. */

/* The port after that of links, where the registry says links are. */
static bool
next_port(const struct address *a, struct sockaddr_storage *out)
{
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;
	uint16_t port;

	*out = a->ss;
	if (a->ss.ss_family == AF_INET) {
		memcpy(&sin, out, sizeof(sin));
		port = ntohs(sin.sin_port);
		sin.sin_port = htons((uint16_t)(port + 1));
		memcpy(out, &sin, sizeof(sin));
	} else {
		memcpy(&sin6, out, sizeof(sin6));
		port = ntohs(sin6.sin6_port);
		sin6.sin6_port = htons((uint16_t)(port + 1));
		memcpy(out, &sin6, sizeof(sin6));
	}
	return port != UINT16_MAX;
}

static void out_up(struct conn *c);
static void out_down(struct conn *c);
static const struct conn_user out_user = { NULL, out_up, out_down };

static bool
dial(struct transfer *t)
{
	t->conn = conn_dial(route_address(&t->way), route_seconds(&t->way),
	    EVIDENCE_SFT, t->what.peer, &out_user, t);
	return t->conn != NULL;
}

/* Addresses of its links; false: there is none. */
static bool
find_way(struct transfer *t, const char *addresses)
{
	struct sockaddr_storage ss;
	unsigned int i, n = 0;

	if (!route_parse(addresses, &t->way))
		return false;
	for (i = 0; i < t->way.n; i++)
		if (next_port(&t->way.at[i], &ss) &&
		    address_of(&ss, t->way.at[i].len, &t->way.at[n]))
			n++;
	t->way.n = n;
	return n > 0;
}

static void
on_found(struct chan *attestd, struct msg *m, void *arg)
{
	struct transfer *t = transfer_numbered((uint32_t)(uintptr_t)arg);
	struct msg_PEER_FOUND found;
	struct msg_REFUSED no;

	(void)attestd;
	if (t == NULL || t->state != TRANSFER_CONNECTING || t->conn != NULL)
		return;
	if (m == NULL) {
		transfer_why(t, SFT_STOPPING, false, "attestd is away");
		outgoing_missed(t);
		return;
	}
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		transfer_why(t, no.retry ? SFT_STOPPING : SFT_DENIED, false,
		    "%.200s", no.text);
		outgoing_missed(t);
		return;
	}
	if (!msg_get_PEER_FOUND(&m->body, &found))
		fatalx("malformed PEER_FOUND");
	if (!find_way(t, found.addresses))
		transfer_why(t, SFT_DENIED, false,
		    "nobody knows an address of %s: the registry says none",
		    t->what.peer);
	else if (dial(t))
		return;
	else
		transfer_why(t, SFT_BUSY, false,
		    "there are too many connections");
	outgoing_missed(t);
}

static void
on_intent(struct transfer *t, bool ok, const char *why)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_PEER_FIND find = { 0 };

	if (!ok) {
		transfer_why(t, SFT_STOPPING, false,
		    "it could not be recorded, so it was not done: %.150s",
		    why);
		outgoing_missed(t);
		return;
	}
	if (attestd == NULL || !conn_can_attest()) {
		transfer_why(t, SFT_STOPPING, false,
		    "keyd or attestd is away; nobody can be attested now");
		outgoing_missed(t);
		return;
	}
	snprintf(find.peer, sizeof(find.peer), "%s", t->what.peer);
	(void)chan_send_PEER_FIND(attestd,
	    chan_ask(attestd, MSG_PEER_FIND, on_found,
		(void *)(uintptr_t)t->number),
	    -1, &find);
}

void
attempt_begin(struct transfer *t)
{
	transfer_begin(t);
	t->attempts++;
	t->what.offer.epoch = store_epoch(t->what.digest);
	transfer_set(t, TRANSFER_CONNECTING);
	record_intent(t, on_intent);
}

static void
out_down(struct conn *c)
{
	struct transfer *t = c->arg;

	if (t == NULL || t->conn != c)
		return;
	if (!transfer_active(t)) {
		t->conn = NULL;
		return;
	}
	/* It was not the one that answers, maybe. */
	if (!t->up && t->code == 0 && route_next(&t->way) && dial(t))
		return;
	transfer_why(t, SFT_IO, false, "%s", c->reason);
	/* What is recorded of it says who the peer was, and by which key. */
	outgoing_missed(t);
	if (c->arg != NULL) /* or there is no such transfer any more */
		t->conn = NULL;
}

static void
say_attested(struct transfer *t)
{
	const struct conn *c = t->conn;
	char key[IDENTITY_TEXT_SIZE];
	struct event_line l;

	identity_text(c->key, key);
	event_begin(&l, "attested");
	event_str(&l, "peer", c->peer);
	event_str(&l, "key", key);
	event_str(&l, "address", c->address.text);
	event_num(&l, "registry", c->seq);
	transfer_tell(t, &l);
}

/* As many as that way asks for, and no more than there are chunks. */
static uint8_t
streams_for(const struct sft_offer *o, uint32_t connect_us)
{
	uint32_t chunks = sft_chunks(o->size, o->chunk_log2);
	uint8_t n = tune_streams(connect_us);

	return chunks == 0 ? 1 : chunks < n ? (uint8_t)chunks : n;
}

/* Attested: may we, may it; then it gets the offer and the source. */
static void
out_up(struct conn *c)
{
	struct transfer *t = c->arg;
	struct msg_XFER_OFFER offer = { 0 };
	struct sft_offer *o;

	if (t == NULL || t->conn != c || t->state != TRANSFER_CONNECTING) {
		conn_close(c, "there is nothing to send any more");
		return;
	}
	t->up = true;
	route_good(&t->way);
	if (strcmp(c->peer, t->what.peer) != 0 || c->purpose != EVIDENCE_SFT) {
		transfer_stop(t, SFT_ATTESTATION, "attested as another one");
		return;
	}
	if ((c->own & CAPABILITY_MASK(SFT_SEND)) == 0) {
		transfer_stop(t, SFT_DENIED,
		    "the registry does not give this node sft.send");
		return;
	}
	if ((c->capabilities & CAPABILITY_MASK(SFT_RECEIVE)) == 0) {
		transfer_stop(t, SFT_DENIED,
		    "the registry does not give the peer sft.receive");
		return;
	}
	say_attested(t);
	o = &t->what.offer;
	if (t->auto_streams)
		o->streams = streams_for(o, c->connect_us);
	offer.name = o->name;
	offer.name_len = o->name_len;
	offer.size = o->size;
	offer.mtime_ns = o->mtime_ns;
	offer.mode = o->mode;
	offer.chunk_log2 = o->chunk_log2;
	offer.streams = o->streams;
	offer.replace = o->replace;
	offer.dry = o->dry;
	offer.tree = o->tree;
	offer.packed = o->packed;
	offer.rate = t->rate_wanted;
	offer.epoch = o->epoch;
	transfer_set(t, TRANSFER_OFFERED);
	(void)chan_send_XFER_OFFER(c->worker, 0, t->source, &offer);
}

/* What its worker says. The transfer, or NULL: the worker was ended. */
static struct transfer *
said(struct chan *worker, struct msg *m, enum transfer_state state, bool *late)
{
	struct conn *c = conn_with(worker);
	struct transfer *t = transfer_of(c);

	/* It was told to end, and had not heard of it. */
	*late = c != NULL && c->state == CONN_CLOSING;
	if (*late)
		return NULL;
	if (t != NULL && !t->receives && t->state == state)
		return t;
	child_violation(worker, m, "not what is to be done");
	return NULL;
}

static void
refuse_late(struct chan *worker, const struct msg *m)
{
	chan_refuse(worker, m, SFT_STOPPING, false, "it is to end");
}

static void
say_taken(struct transfer *t)
{
	struct event_line l;

	event_begin(&l, "accepted");
	event_hex(&l, "id", t->what.id, sizeof(t->what.id));
	event_bool(&l, "resumed", t->have > 0 || t->what.offer.epoch > 0);
	event_num(&l, "have", t->have);
	event_num(&l, "epoch", t->what.epoch);
	event_num(&l, "streams", t->what.offer.streams);
	transfer_tell(t, &l);
}

void
attempt_on_taken(struct chan *worker, struct msg *m)
{
	static const uint8_t none[12];
	struct msg_XFER_GO go = { 0 };
	struct msg_XFER_TAKEN taken;
	struct transfer *t;
	bool late;
	int r;

	if (!msg_get_XFER_TAKEN(&m->body, &taken))
		fatalx("malformed XFER_TAKEN");
	t = said(worker, m, TRANSFER_OFFERED, &late);
	if (late)
		refuse_late(worker, m);
	if (t == NULL)
		return;
	if (memcmp(taken.offer, t->what.digest, 32) != 0 ||
	    taken.have > t->what.offer.size || taken.streams == 0 ||
	    taken.streams > t->what.offer.streams || t->what.offer.dry) {
		child_violation(worker, m, "another offer was taken");
		return;
	}
	/* Such an id is ours to give, as long as there is no other. */
	if (memcmp(taken.id, none, sizeof(none)) == 0) {
		transfer_why(t, SFT_PROTOCOL, true,
		    "the peer gave it the id of another transfer");
		chan_refuse(worker, m, t->code, false, "%s", t->text);
		transfer_stop(t, t->code, t->text);
		return;
	}
	r = store_epoch_set(t->what.digest, taken.epoch, taken.id);
	if (r != 0) {
		transfer_why(t, r == -ESTALE ? SFT_EPOCH : SFT_IO, false, "%s",
		    r == -ESTALE ? "a later attempt is known" : strerror(-r));
		chan_refuse(worker, m, t->code, false, "%s", t->text);
		transfer_stop(t, t->code, t->text);
		return;
	}
	if (taken.have > 0)
		counter_add(COUNTER_SFT_RESUMED, 1);
	memcpy(t->what.id, taken.id, sizeof(t->what.id));
	t->what.epoch = taken.epoch;
	t->what.offer.streams = taken.streams;
	t->taken = true;
	t->have = t->durable = taken.have;
	transfer_set(t, TRANSFER_MOVING);
	say_taken(t);
	outgoing_under_way(t);
	(void)chan_send_XFER_GO(worker, m->id, -1, &go);
}

/* Data streams. */

/*
 * While the peer decides, its streams are connected; others while it has not
 * got all that was sealed.
 */
static bool
may_dial(enum transfer_state state)
{
	return state == TRANSFER_OFFERED || state == TRANSFER_MOVING ||
	    state == TRANSFER_FINISHING;
}

/* Its worker, if it is still the one that has asked for this stream. */
static struct chan *
worker_of(const struct transfer *t, const struct conn *stream)
{
	return t != NULL && may_dial(t->state) && t->conn != NULL &&
		t->conn->state == CONN_UP && t->conn->session == stream->tag ?
	    t->conn->worker :
	    NULL;
}

static void
stream_connected(struct conn *c)
{
	struct transfer *t = transfer_numbered((uint32_t)(uintptr_t)c->arg);
	struct msg_XFER_STREAM stream = { .index = c->index };
	struct chan *worker = worker_of(t, c);

	if (worker != NULL) {
		tune_socket(c->fd, c->connect_us, t->congestion);
		(void)chan_send_XFER_STREAM(worker, 0, c->fd, &stream);
	}
	close(c->fd);
	c->fd = -1;
}

static void
stream_down(struct conn *c)
{
	const struct transfer *t =
	    transfer_numbered((uint32_t)(uintptr_t)c->arg);
	struct msg_XFER_NO_STREAM no = { .index = c->index };
	struct chan *worker = worker_of(t, c);

	if (worker == NULL || c->connected)
		return;
	snprintf(no.text, sizeof(no.text), "%.250s", c->reason);
	(void)chan_send_XFER_NO_STREAM(worker, 0, -1, &no);
}

static const struct conn_user stream_user = { stream_connected, NULL,
	stream_down };

void
attempt_on_dial(struct chan *worker, struct msg *m)
{
	struct msg_XFER_DIAL dial;
	struct transfer *t;
	struct conn *c;
	bool late;

	if (!msg_get_XFER_DIAL(&m->body, &dial))
		fatalx("malformed XFER_DIAL");
	t = transfer_of(conn_with(worker));
	t = said(worker, m,
	    t != NULL && may_dial(t->state) ? t->state : TRANSFER_MOVING,
	    &late);
	if (t == NULL)
		return;
	if (dial.index >= t->what.offer.streams || t->dials == DIALS_MAX) {
		child_violation(worker, m, "no stream of this transfer");
		return;
	}
	t->dials++;
	c = conn_dial(&t->conn->address, STREAM_CONNECT_S, EVIDENCE_SFT,
	    t->what.peer, &stream_user, (void *)(uintptr_t)t->number);
	if (c == NULL)
		return;
	c->index = dial.index;
	c->tag = t->conn->session;
}

/* Seal and receipt. */

static void
on_sealed(struct chan *keyd, struct msg *m, void *arg)
{
	struct conn *c = conn_of((uint32_t)(uintptr_t)arg);
	struct transfer *t = transfer_of(c);
	struct msg_XFER_SEALED out = { 0 };
	struct msg request = { .type = MSG_XFER_SEAL };
	struct msg_SEALED sealed;

	(void)keyd;
	if (t == NULL || t->receives || t->state != TRANSFER_FINISHING ||
	    c->state != CONN_UP || t->ask == 0)
		return;
	request.id = t->ask;
	t->ask = 0;
	if (m == NULL || m->type == MSG_REFUSED) {
		chan_refuse(c->worker, &request, SFT_IO, true,
		    "keyd has not sealed it");
		transfer_stop(t, SFT_IO, "keyd has not sealed it");
		return;
	}
	if (!msg_get_SEALED(&m->body, &sealed))
		fatalx("malformed SEALED");
	memcpy(t->seal, sealed.seal, sealed.seal_len);
	t->seal_len = sealed.seal_len;
	out.seal = t->seal;
	out.seal_len = sealed.seal_len;
	(void)chan_send_XFER_SEALED(c->worker, request.id, -1, &out);
}

void
attempt_on_seal(struct chan *worker, struct msg *m)
{
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_XFER_SEAL seal;
	struct msg_SEAL ask = { 0 };
	struct transfer *t;
	bool late;

	if (!msg_get_XFER_SEAL(&m->body, &seal))
		fatalx("malformed XFER_SEAL");
	t = said(worker, m, TRANSFER_MOVING, &late);
	if (late)
		refuse_late(worker, m);
	if (t == NULL)
		return;
	if (seal.size != t->what.offer.size) {
		child_violation(worker, m, "another size than was offered");
		return;
	}
	memcpy(t->root, seal.root, sizeof(t->root));
	transfer_set(t, TRANSFER_FINISHING);
	if (keyd == NULL) {
		chan_refuse(worker, m, SFT_IO, true, "keyd is away");
		transfer_stop(t, SFT_STOPPING, "keyd is away");
		return;
	}
	t->ask = m->id;
	ask.session = t->conn->session;
	memcpy(ask.id, t->what.id, sizeof(ask.id));
	memcpy(ask.offer, t->what.digest, sizeof(ask.offer));
	memcpy(ask.root, seal.root, sizeof(ask.root));
	ask.size = seal.size;
	(void)chan_send_SEAL(keyd,
	    chan_ask(keyd, MSG_SEAL, on_sealed,
		(void *)(uintptr_t)t->conn->session),
	    -1, &ask);
}

/* NULL, or why it proves nothing. */
static const char *
judge_receipt(const struct transfer *t, const uint8_t *p, size_t len)
{
	struct receipt_seal ours;
	struct receipt r;
	const char *what;

	if (receipt_parse(p, len, &r) != 0)
		return "the receipt is none";
	if (receipt_seal_parse(t->seal, t->seal_len, &ours) != 0)
		return "there was no seal yet";
	what = receipt_seal_differs(&r.seal, t->what.id, t->what.digest,
	    t->root, t->what.offer.size, sftd_config.node, t->what.peer);
	if (what != NULL)
		return "the receipt is of something else";
	if (receipt_verify(&r, ours.sender.key, t->conn->key) != 0)
		return "the receipt is not signed as it must be";
	return NULL;
}

static void
say_receipt(struct transfer *t)
{
	struct event_line l;

	event_begin(&l, "committed");
	event_hex(&l, "blake3", t->root, sizeof(t->root));
	event_num(&l, "size", t->what.offer.size);
	transfer_tell(t, &l);
	event_begin(&l, "receipt");
	event_hex(&l, "id", t->what.id, sizeof(t->what.id));
	event_str(&l, "peer", t->what.peer);
	event_hex(&l, "blake3", t->root, sizeof(t->root));
	event_num(&l, "size", t->what.offer.size);
	event_num(&l, "resent", t->resent);
	event_num(&l, "same_bytes", t->same);
	event_num(&l, "wire_bytes", t->wire);
	event_num(&l, "streams", t->what.offer.streams);
	event_str(&l, "congestion", t->congestion);
	event_num(&l, "ms", transfer_wall_ms() - t->started_ms);
	transfer_tell(t, &l);
}

void
attempt_on_receipt(struct chan *worker, struct msg *m)
{
	struct msg_XFER_RECEIPT receipt;
	struct transfer *t;
	const char *why;
	bool late;
	int r;

	if (!msg_get_XFER_RECEIPT(&m->body, &receipt))
		fatalx("malformed XFER_RECEIPT");
	t = said(worker, m, TRANSFER_FINISHING, &late);
	if (t == NULL)
		return;
	if ((why = judge_receipt(t, receipt.receipt, receipt.receipt_len)) !=
	    NULL) {
		transfer_why(t, SFT_PROTOCOL, true, "%s", why);
		transfer_stop(t, SFT_PROTOCOL, why);
		return;
	}
	r = store_receipt(receipt.receipt, receipt.receipt_len, &t->what.offer);
	if (r == -EEXIST) {
		transfer_why(t, SFT_PROTOCOL, true,
		    "the peer gave it the id of another transfer");
		transfer_stop(t, SFT_PROTOCOL, t->text);
		return;
	}
	if (r != 0) {
		transfer_why(t, SFT_IO, false,
		    "the receipt could not be kept: %s", strerror(-r));
		transfer_stop(t, SFT_IO, t->text);
		return;
	}
	t->has_receipt = true;
	t->durable = t->what.offer.size;
	transfer_say(t);
	say_receipt(t);
	outgoing_done(t);
}
