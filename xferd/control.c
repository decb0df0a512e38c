/* SPDX-License-Identifier: ISC */
/*
 * control.c - the control session: its connection, frames in turn, the end.
 *
 * A peer's bytes come in as frames of sftframe.h: the head is judged before a
 * byte of the body is waited for, and by the state before it is parsed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/greet.h"
#include "common/log.h"
#include "common/receipt.h"
#include "common/rehearsal.h"
#include "xferd/basis.h"
#include "xferd/control.h"
#include "xferd/receive.h"
#include "xferd/send.h"
#include "xferd/stream.h"
#include "xferd/xfer.h"

#define TICK_MS 100 /* progress is told so often, at most */
#define NS_PER_S UINT64_C(1000000000)
#define CLOSING_STEP_MS 10
#define CLOSING_MS 500
#define SETTLING_MS 3000 /* what was received becomes durable */
#define PING_S 10
#define SILENCE_S 30
/* Less data than this in that time is none. */
#define TRICKLE_S 30
#define TRICKLE 1024
/* A receiver's disk may take this long for a group. */
#define DURABLE_S 120
/* An OFFER has so long to come, and its answer. */
#define OFFER_S 30
/* And as long as it may hash what it has; meanwhile it answers PINGs. */
#define ANSWER_S 120
#define DONE_S 10
#define FRAMES_A_SECOND 1000
/* Threads that hash what a journal claims. */
#define HASHERS 4

static struct {
	enum state {
		IDLE,
		GREETING,
		OFFERING,
		ASKED,
		HAVING,
		GOING,
		MOVING,
		SEALING,
		SEALED,
		CLOSING
	} state;
	uint64_t since_ns; /* in this state */
	bool up, draining, told;
	struct atls_ctx *ctx;
	EVP_PKEY *key;
	struct greet *greet;
	struct atls *tls;
	uint32_t handshake_ms;
	char own[EVIDENCE_NAME_SIZE], peer[EVIDENCE_NAME_SIZE];
	uint64_t until; /* our verdict on the peer holds */
	uint8_t exporter[SFT_EXPORTER_LEN];
	struct event *tick, *closing;
	unsigned int closing_ms;

	bool has_offer; /* sftd's */
	uint64_t rate;
	struct sft_accept accept;
	bool accepted;	     /* ACCEPT was said */
	uint32_t basis_from; /* as far as BASIS was said */
	uint32_t have_from;  /* HAVE was said, or heard */
	int journal;
	uint8_t seal[SFT_SEAL_MAX]; /* the peer's, */
	size_t seal_len;
	uint8_t root[SFT_VALUE_LEN]; /* of what it is */

	uint8_t in[SFT_FRAME_MAX];
	size_t in_len, in_need;
	uint64_t heard_ns, pinged_ns, pings, second;
	unsigned int frames;
	uint64_t moved, durable, resent; /* as told last */
	uint64_t alive, alive_ns;	 /* data, and when it grew */
} ct = { .journal = -1 };

static const struct atls_ops ops;

static void
enter(enum state state)
{
	ct.state = state;
	ct.since_ns = ct.alive_ns = xfer_now_ns();
}

bool
control_is_moving(void)
{
	return ct.state >= MOVING && ct.state < CLOSING;
}

bool
control_is_over(void)
{
	return ct.state == CLOSING;
}

bool
control_is_peer(const char *name)
{
	return strcmp(name, ct.peer) == 0;
}

void
control_exporter(uint8_t out[SFT_EXPORTER_LEN])
{
	memcpy(out, ct.exporter, SFT_EXPORTER_LEN);
}

struct atls_ctx *
control_tls(void)
{
	return ct.ctx;
}

EVP_PKEY *
control_key(void)
{
	EVP_PKEY_up_ref(ct.key);
	return ct.key;
}

uint32_t
control_handshake_ms(void)
{
	return ct.handshake_ms;
}

/* --- what sftd hears ---------------------------------------------------- */

static void
tell_progress(void)
{
	struct msg_XFER_PROGRESS p = { 0 };

	p.moved = atomic_load_explicit(&xf.moved, memory_order_relaxed);
	if (xf.sends)
		send_state(&p.durable, &p.same, &p.resent);
	else
		receive_state(&p.durable, &p.same, &p.resent);
	p.wire = atomic_load_explicit(&xf.wire, memory_order_relaxed);
	if (p.moved == ct.moved && p.durable == ct.durable &&
	    p.resent == ct.resent)
		return;
	p.limit = (uint8_t)xfer_limit();
	ct.moved = p.moved;
	ct.durable = p.durable;
	ct.resent = p.resent;
	(void)chan_send_XFER_PROGRESS(child_peer(PROC_SFTD), 0, -1, &p);
}

/* --- the end ------------------------------------------------------------ */

static void
finish(void)
{
	static const enum proc heard[] = { PROC_ATTESTD, PROC_SFTD };
	size_t i;

	for (i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
		if (child_peer(heard[i]) != NULL)
			chan_flush(child_peer(heard[i]), 1000);
	if (ct.draining)
		child_drained();
	_exit(0);
}

static void
on_closing(evutil_socket_t fd, short what, void *arg)
{
	struct timeval step = { 0, CLOSING_STEP_MS * 1000 };
	bool left;

	(void)fd;
	(void)what;
	(void)arg;
	ct.closing_ms += CLOSING_STEP_MS;
	left = ct.tls == NULL || atls_flushed(ct.tls) ||
	    ct.closing_ms >= CLOSING_MS;
	if (left && (receive_settled() || ct.closing_ms >= SETTLING_MS))
		finish();
	evtimer_add(ct.closing, &step);
}

static void
close_down(void)
{
	struct timeval step = { 0, CLOSING_STEP_MS * 1000 };

	enter(CLOSING);
	evtimer_del(ct.tick);
	streams_interrupt();
	if (ct.tls != NULL && ct.up)
		atls_shutdown(ct.tls);
	else {
		atls_free(ct.tls);
		ct.tls = NULL;
	}
	/* From the event loop: who called this may have more to do. */
	evtimer_add(ct.closing, &step);
}

static bool
put(ssize_t n, const uint8_t *frame)
{
	if (n < 0)
		fatalx("a frame cannot be sent: %s", strerror((int)-n));
	return ct.tls != NULL && atls_write(ct.tls, frame, (size_t)n) == 0;
}

/* What a peer has to take; one that leaves no room is given up. */
static void
say(ssize_t n, const uint8_t *frame)
{
	if (!put(n, frame) && ct.state != CLOSING && ct.tls != NULL &&
	    atls_queued(ct.tls) > 0)
		xfer_fail(SFT_TIMEOUT, false,
		    "peer does not read what it is sent");
}

static void
end(enum sft_type word, enum sft_code code, bool by_peer, const char *text)
{
	struct msg_XFER_FAILED failed = { .code = (uint8_t)code,
		.by_peer = by_peer };
	uint8_t out[SFT_SMALL_MAX];

	if (ct.state == CLOSING)
		return;
	log_debug("transfer ends: %s", text);
	if (ct.state >= HAVING)
		tell_progress();
	snprintf(failed.text, sizeof(failed.text), "%s", text);
	/* One that waits in the pool has nothing that could fail. */
	if (ct.state != IDLE && child_peer(PROC_SFTD) != NULL)
		(void)chan_send_XFER_FAILED(child_peer(PROC_SFTD), 0, -1,
		    &failed);
	if (ct.up && !by_peer)
		(void)put(sft_reason_format(word, code, text, out, sizeof(out)),
		    out);
	close_down();
}

void
control_fail(enum sft_code code, bool by_peer, const char *text)
{
	char unsaid[GREET_REASON_SIZE];

	if (ct.greet != NULL) {
		atls_free(greet_give_up(ct.greet, unsaid));
		ct.greet = NULL;
	}
	end(SFT_ABORT, code, by_peer, text);
}

void
control_drain(void)
{
	struct timeval now = { 0, 0 };

	ct.draining = true;
	xfer_fail(SFT_STOPPING, false, "this node stops");
	evtimer_add(ct.closing, &now);
}

/* A code that sftd put into REFUSED. */
static enum sft_code
code_of(const struct msg_REFUSED *no)
{
	return no->code >= 1 && no->code <= SFT_CODE_MAX ?
	    (enum sft_code)no->code :
	    SFT_DENIED;
}

/* An answer of sftd's that is none: what it said, to the peer as well. */
static void
refused(struct msg *m, enum sft_type word)
{
	struct msg_REFUSED no;

	if (m == NULL) {
		xfer_fail(SFT_STOPPING, false, "sftd is gone");
		return;
	}
	if (!msg_get_REFUSED(&m->body, &no))
		fatalx("malformed REFUSED");
	pthread_mutex_lock(&xf.lock);
	xf.stop = true;
	pthread_cond_broadcast(&xf.changed);
	pthread_mutex_unlock(&xf.lock);
	end(word, code_of(&no), false, no.text);
}

/* --- the sending end ---------------------------------------------------- */

static void
say_offer(void)
{
	uint8_t out[SFT_SMALL_MAX];

	sft_offer_digest(&xf.offer, ct.own, ct.peer, xf.digest);
	enter(ASKED);
	say(sft_offer_format(&xf.offer, out, sizeof(out)), out);
	/* Who has part of it reads that first: a connection would wait long. */
	if (xf.chunks > 0 && xf.offer.epoch == 0 && !xf.offer.dry)
		streams_ahead(xf.offer.streams);
}

bool
control_offer(const struct msg_XFER_OFFER *m, int fd)
{
	struct sft_offer *o = &xf.offer;
	uint8_t out[SFT_SMALL_MAX];
	enum sft_code code;
	const char *why;

	if (!xf.sends || ct.has_offer || ct.state == IDLE)
		return false;
	ct.has_offer = true;
	o->size = m->size;
	o->mtime_ns = m->mtime_ns;
	o->mode = m->mode & 0777;
	o->chunk_log2 = m->chunk_log2;
	o->streams = m->streams;
	o->replace = m->replace != 0;
	o->dry = m->dry != 0;
	o->tree = m->tree != 0;
	o->packed = m->packed != 0;
	o->epoch = m->epoch;
	o->name_len = m->name_len;
	memcpy(o->name, m->name, m->name_len);
	if (sft_offer_format(o, out, sizeof(out)) < 0)
		return false;
	why = send_offer(fd, m->rate, &code);
	if (why != NULL)
		xfer_fail(code, false, "%s", why);
	else if (ct.state == OFFERING)
		say_offer();
	return true;
}

static void
on_go(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (ct.state != GOING)
		return;
	if (m == NULL || m->type == MSG_REFUSED) {
		refused(m, SFT_ABORT);
		return;
	}
	if (xf.offer.dry) {
		xfer_fail(SFT_CANCELLED, false, "it was only asked for");
		return;
	}
	enter(MOVING);
	if (!send_begin())
		xfer_fail(SFT_IO, false, "no thread to hash");
	else if (xf.chunks > 0 && send_had() < xf.offer.size)
		streams_begin(&ct.accept);
}

static void
on_accept(const uint8_t *body, size_t len)
{
	if (sft_accept_parse(body, len, &ct.accept) != 0 ||
	    !sft_accept_fits(&xf.offer, &ct.accept)) {
		xfer_fail(SFT_PROTOCOL, false, "peer's ACCEPT does not fit");
		return;
	}
	memcpy(xf.id, ct.accept.id, sizeof(xf.id));
	if (ct.accept.window < xf.window)
		xf.window = ct.accept.window;
	xf.packed = ct.accept.packed;
	enter(HAVING);
}

static void
on_have(const uint8_t *body, size_t len)
{
	struct chan *sftd = child_peer(PROC_SFTD);
	struct msg_XFER_TAKEN taken = { .epoch = ct.accept.epoch,
		.streams = ct.accept.streams };
	struct sft_ranges ranges;
	bool last;

	if (sft_have_parse(body, len, xf.chunks, &ct.have_from, &last,
		&ranges) != 0) {
		xfer_fail(SFT_PROTOCOL, false, "peer's HAVE is malformed");
		return;
	}
	send_have(&ranges);
	if (!last)
		return;
	enter(GOING);
	memcpy(taken.id, xf.id, sizeof(taken.id));
	memcpy(taken.offer, xf.digest, sizeof(taken.offer));
	taken.have = send_had();
	(void)chan_send_XFER_TAKEN(sftd,
	    chan_ask(sftd, MSG_XFER_TAKEN, on_go, NULL), -1, &taken);
}

static void
on_sealed(struct chan *c, struct msg *m, void *arg)
{
	uint8_t out[SFT_SMALL_MAX];
	struct msg_XFER_SEALED sealed;

	(void)c;
	(void)arg;
	if (ct.state != SEALING)
		return;
	if (m == NULL || m->type == MSG_REFUSED) {
		refused(m, SFT_ABORT);
		return;
	}
	if (!msg_get_XFER_SEALED(&m->body, &sealed))
		fatalx("malformed XFER_SEALED");
	enter(SEALED);
	say(sft_signed_format(SFT_SEAL, sealed.seal, sealed.seal_len, out,
		sizeof(out)),
	    out);
}

void
control_seal(const uint8_t root[SFT_VALUE_LEN])
{
	struct chan *sftd = child_peer(PROC_SFTD);
	struct msg_XFER_SEAL seal = { .size = xf.offer.size };

	tell_progress();
	memcpy(seal.root, root, sizeof(seal.root));
	enter(SEALING);
	(void)chan_send_XFER_SEAL(sftd,
	    chan_ask(sftd, MSG_XFER_SEAL, on_sealed, NULL), -1, &seal);
}

static void
on_receipt(const uint8_t *body, size_t len)
{
	struct msg_XFER_RECEIPT kept = { .receipt = body,
		.receipt_len = (uint16_t)len };
	uint8_t out[SFT_HEAD_LEN];

	if (!send_is_finished()) {
		xfer_fail(SFT_PROTOCOL, false,
		    "peer signs for what it has not acknowledged");
		return;
	}
	tell_progress();
	(void)chan_send_XFER_RECEIPT(child_peer(PROC_SFTD), 0, -1, &kept);
	say(sft_empty_format(SFT_DONE, out, sizeof(out)), out);
	close_down();
}

/* --- the receiving end -------------------------------------------------- */

bool
control_ack(const uint32_t *index, uint32_t n)
{
	static uint8_t out[SFT_FRAME_MAX];

	return put(sft_ack_format(index, n, out, sizeof(out)), out);
}

bool
control_again(uint32_t index, enum sft_again_why why)
{
	uint8_t out[SFT_SMALL_MAX];

	return put(sft_again_format(index, (uint8_t)why, out, sizeof(out)),
	    out);
}

void
control_lost(uint8_t index, uint32_t chunks)
{
	uint8_t out[SFT_SMALL_MAX];

	if (control_is_moving())
		say(sft_lost_format(index, chunks, out, sizeof(out)), out);
}

static bool
say_basis(void)
{
	static uint8_t out[SFT_FRAME_MAX];
	const uint8_t(*value)[SFT_VALUE_LEN];
	uint32_t n, all;

	value = basis_values(&all);
	for (; ct.basis_from < all; ct.basis_from += n) {
		n = all - ct.basis_from;
		if (n > SFT_BASIS_LIST_MAX)
			n = SFT_BASIS_LIST_MAX;
		if (!put(sft_basis_format(value + ct.basis_from, ct.basis_from,
			     n, out, sizeof(out)),
			out))
			return false;
	}
	return true;
}

static bool
say_have(void)
{
	static uint8_t out[SFT_FRAME_MAX];
	uint32_t from;
	bool last = false;

	while (!last) {
		from = ct.have_from;
		if (!put(sft_have_format(receive_bits(), xf.chunks, &from,
			     &last, out, sizeof(out)),
			out))
			return false;
		ct.have_from = from;
	}
	return true;
}

bool
control_have(void)
{
	uint8_t out[SFT_SMALL_MAX];

	if (!ct.accepted) {
		ct.accepted = true;
		ct.accept.window = xf.window;
		say(sft_accept_format(&ct.accept, out, sizeof(out)), out);
	}
	if (ct.state == CLOSING || !say_basis() || !say_have())
		return false;
	enter(MOVING);
	streams_begin(&ct.accept);
	return true;
}

bool
control_journal(int fd)
{
	if (ct.state == CLOSING) {
		/* It has ended while sftd made it. */
		close(fd);
		return true;
	}
	if (xf.sends || ct.journal != -1 || ct.state != ASKED)
		return false;
	ct.journal = fd;
	return true;
}

bool
control_basis(uint8_t which, int fd)
{
	if (ct.state == CLOSING) {
		close(fd);
		return true;
	}
	return !xf.sends && ct.state == ASKED && basis_take(which, fd);
}

/* What sftd has said is bounded by the same table as what a peer says. */
static bool
accept_from(const struct msg_XFER_TAKE *take)
{
	struct sft_accept *a = &ct.accept;
	uint8_t out[SFT_SMALL_MAX];

	if (take->streams < 1 || take->streams > SFT_STREAMS_MAX ||
	    take->routes_len != take->streams * SFT_ROUTE_LEN)
		return false;
	memcpy(a->id, take->id, sizeof(a->id));
	a->epoch = take->epoch;
	a->streams = take->streams;
	memcpy(a->route, take->routes, take->routes_len);
	a->window = xf.window;
	a->packed = xf.packed = take->packed != 0 && xf.offer.packed;
	return sft_accept_format(a, out, sizeof(out)) > 0 &&
	    sft_accept_fits(&xf.offer, a);
}

static void
on_take(struct chan *c, struct msg *m, void *arg)
{
	unsigned int threads;
	struct msg_XFER_TAKE take;
	enum sft_code code;
	const char *why;
	int fd;

	(void)arg;
	if (ct.state != ASKED)
		return;
	if (m == NULL || m->type == MSG_REFUSED) {
		refused(m, SFT_REFUSE);
		return;
	}
	if (!msg_get_XFER_TAKE(&m->body, &take))
		fatalx("malformed XFER_TAKE");
	if (!accept_from(&take) || ct.journal == -1) {
		child_violation(c, m, "an answer to another offer");
		return;
	}
	fd = m->fd;
	m->fd = -1;
	memcpy(xf.id, take.id, sizeof(xf.id));
	threads = take.streams < HASHERS ? take.streams : HASHERS;
	enter(HAVING);
	why = receive_begin(fd, ct.journal, take.epoch, threads, &code);
	if (why != NULL)
		xfer_fail(code, false, "resuming: %s", why);
}

static void
on_offer(const uint8_t *body, size_t len)
{
	struct chan *sftd = child_peer(PROC_SFTD);
	struct sft_offer *o = &xf.offer;
	struct msg_XFER_OFFERED told;

	if (sft_offer_parse(body, len, o) != 0) {
		xfer_fail(SFT_PROTOCOL, false, "peer's OFFER is malformed");
		return;
	}
	sft_offer_digest(o, ct.peer, ct.own, xf.digest);
	told = (struct msg_XFER_OFFERED){ .name = o->name,
		.name_len = o->name_len,
		.size = o->size,
		.mtime_ns = o->mtime_ns,
		.mode = o->mode,
		.chunk_log2 = o->chunk_log2,
		.streams = o->streams,
		.replace = o->replace,
		.dry = o->dry,
		.tree = o->tree,
		.epoch = o->epoch };
	memcpy(told.offer, xf.digest, sizeof(told.offer));
	enter(ASKED);
	(void)chan_send_XFER_OFFERED(sftd,
	    chan_ask(sftd, MSG_XFER_OFFERED, on_take, NULL), -1, &told);
}

static void
on_committed(struct chan *c, struct msg *m, void *arg)
{
	uint8_t out[SFT_SMALL_MAX];
	struct msg_XFER_COMMITTED done;

	(void)c;
	(void)arg;
	if (ct.state != SEALING)
		return;
	if (m == NULL || m->type == MSG_REFUSED) {
		refused(m, SFT_ABORT);
		return;
	}
	if (!msg_get_XFER_COMMITTED(&m->body, &done))
		fatalx("malformed XFER_COMMITTED");
	enter(SEALED);
	say(sft_signed_format(SFT_RECEIPT, done.receipt, done.receipt_len, out,
		sizeof(out)),
	    out);
}

void
control_whole(void)
{
	struct msg_XFER_COMPLETE complete = { .size = xf.offer.size,
		.seal = ct.seal,
		.seal_len = (uint16_t)ct.seal_len };
	struct chan *sftd = child_peer(PROC_SFTD);

	if (ct.state != MOVING || ct.seal_len == 0 ||
	    !receive_root(complete.root))
		return;
	if (memcmp(complete.root, ct.root, sizeof(ct.root)) != 0) {
		/* Every chunk is what its sender said then, or says now. */
		if (receive_resumed())
			xfer_fail(SFT_SOURCE_CHANGED, false,
			    "the source is not what it was when a part of it "
			    "came; that part is given up");
		else
			xfer_fail(SFT_HASH_MISMATCH, false,
			    "peer has sealed another root");
		return;
	}
	tell_progress();
	enter(SEALING);
	(void)chan_send_XFER_COMPLETE(sftd,
	    chan_ask(sftd, MSG_XFER_COMPLETE, on_committed, NULL), -1,
	    &complete);
}

/* It is kept until all that it is about is durable. */
static void
on_seal(const uint8_t *body, size_t len)
{
	struct receipt_seal seal;
	const char *wrong;

	if (ct.seal_len > 0) {
		xfer_fail(SFT_PROTOCOL, false, "peer seals twice");
		return;
	}
	if (receipt_seal_parse(body, len, &seal) != 0) {
		xfer_fail(SFT_PROTOCOL, false, "peer's seal is malformed");
		return;
	}
	wrong = receipt_seal_differs(&seal, xf.id, xf.digest, seal.root,
	    xf.offer.size, ct.peer, ct.own);
	if (wrong != NULL) {
		xfer_fail(SFT_PROTOCOL, false, "peer has sealed another %s",
		    wrong);
		return;
	}
	memcpy(ct.root, seal.root, sizeof(ct.root));
	memcpy(ct.seal, body, len);
	ct.seal_len = len;
	receive_turn();
}

/* --- frames ------------------------------------------------------------- */

static void
on_reason(uint8_t type, const uint8_t *body, size_t len)
{
	struct sft_reason r;

	if (sft_reason_parse(body, len, &r) != 0)
		xfer_fail(SFT_PROTOCOL, false, "peer's %s is malformed",
		    sft_type_name(type));
	else
		xfer_fail((enum sft_code)r.code, true, "%s", r.text);
}

static void
on_ping(const uint8_t *body, size_t len)
{
	uint8_t out[SFT_SMALL_MAX];
	uint64_t number;

	if (sft_ping_parse(body, len, &number) != 0)
		xfer_fail(SFT_PROTOCOL, false, "peer's PING is malformed");
	else
		say(sft_ping_format(SFT_PONG, number, out, sizeof(out)), out);
}

static void
on_ack(const uint8_t *body, size_t len)
{
	struct sft_ranges indices;

	if (sft_ack_parse(body, len, xf.chunks, &indices) != 0 ||
	    !send_acked(&indices))
		xfer_fail(SFT_PROTOCOL, false,
		    "peer acknowledges what it was not sent");
	else
		send_turn();
}

static void
on_again(const uint8_t *body, size_t len)
{
	uint32_t index;
	const char *wrong;
	uint8_t why;

	if (sft_again_parse(body, len, xf.chunks, &index, &why) != 0)
		wrong = "peer's AGAIN is malformed";
	else
		wrong = send_again(index, (enum sft_again_why)why);
	if (wrong != NULL)
		xfer_fail(SFT_HASH_MISMATCH, false, "%s", wrong);
}

static void
on_lost(const uint8_t *body, size_t len)
{
	const char *wrong = NULL;
	uint32_t chunks;
	uint8_t index;

	if (sft_lost_parse(body, len, &index, &chunks) != 0)
		wrong = "peer's LOST is malformed";
	else
		wrong = streams_lost(index, chunks);
	if (wrong != NULL)
		xfer_fail(SFT_PROTOCOL, false, "%s", wrong);
}

/* When a type may come: in this state, at that end. */
static bool
is_in_turn(uint8_t type)
{
	static const struct {
		uint8_t type;
		bool sends; /* the end that hears it */
		enum state state;
	} turns[] = {
		{ SFT_OFFER, false, OFFERING },
		{ SFT_SEAL, false, MOVING },
		{ SFT_DONE, false, SEALED },
		{ SFT_ACCEPT, true, ASKED },
		{ SFT_REFUSE, true, ASKED },
		{ SFT_BASIS, true, HAVING },
		{ SFT_HAVE, true, HAVING },
		{ SFT_RECEIPT, true, SEALED },
	};
	size_t i;

	if (type == SFT_ABORT || type == SFT_PING || type == SFT_PONG)
		return true;
	if (type == SFT_LOST)
		return control_is_moving();
	/* The seal leaves before all is durable over there. */
	if (xf.sends && (type == SFT_ACK || type == SFT_AGAIN))
		return control_is_moving();
	for (i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
		if (turns[i].type == type && turns[i].sends == xf.sends)
			return turns[i].state == ct.state;
	return false;
}

static void
dispatch(uint8_t type, const uint8_t *body, size_t len)
{
	switch (type) {
	case SFT_OFFER:
		on_offer(body, len);
		break;
	case SFT_ACCEPT:
		on_accept(body, len);
		break;
	case SFT_BASIS:
		if (!send_basis(body, len))
			xfer_fail(SFT_PROTOCOL, false,
			    "peer's BASIS is malformed");
		break;
	case SFT_HAVE:
		on_have(body, len);
		break;
	case SFT_REFUSE:
	case SFT_ABORT:
		on_reason(type, body, len);
		break;
	case SFT_ACK:
		on_ack(body, len);
		break;
	case SFT_AGAIN:
		on_again(body, len);
		break;
	case SFT_LOST:
		on_lost(body, len);
		break;
	case SFT_SEAL:
		on_seal(body, len);
		break;
	case SFT_RECEIPT:
		on_receipt(body, len);
		break;
	case SFT_PING:
		on_ping(body, len);
		break;
	case SFT_DONE:
		close_down();
		break;
	default: /* PONG: that it came is all it says */
		break;
	}
}

static void
take_frame(void)
{
	uint64_t now = xfer_now_ns();

	ct.heard_ns = now;
	if (ct.second != now / NS_PER_S) {
		ct.second = now / NS_PER_S;
		ct.frames = 0;
	}
	if (++ct.frames > FRAMES_A_SECOND)
		xfer_fail(SFT_PROTOCOL, false,
		    "peer floods: over %d frames a second", FRAMES_A_SECOND);
	else if (!is_in_turn(ct.in[0]))
		xfer_fail(SFT_PROTOCOL, false, "peer sent %s out of turn",
		    sft_type_name(ct.in[0]));
	else
		dispatch(ct.in[0], ct.in + SFT_HEAD_LEN,
		    ct.in_len - SFT_HEAD_LEN);
}

static bool
take_head(void)
{
	uint32_t len;
	uint8_t type;

	if (sft_head_parse(ct.in, xf.sends ? SFT_RECEIVER : SFT_SENDER, &type,
		&len) != 0) {
		xfer_fail(SFT_PROTOCOL, false,
		    "peer sent a frame that is none (type %u)", ct.in[0]);
		return false;
	}
	ct.in_need = SFT_HEAD_LEN + (size_t)len;
	return true;
}

/* One more piece of the frame. False: nothing more now, or ever. */
static bool
read_some(void)
{
	ssize_t n;

	if (ct.in_len < ct.in_need) {
		n = atls_read(ct.tls, ct.in + ct.in_len,
		    ct.in_need - ct.in_len);
		if (n <= 0)
			return false; /* closed() or failed() says the rest */
		ct.in_len += (size_t)n;
		if (ct.in_len < ct.in_need)
			return true;
	}
	if (ct.in_need == SFT_HEAD_LEN && !take_head())
		return false;
	if (ct.in_len == ct.in_need) {
		take_frame();
		ct.in_len = 0;
		ct.in_need = SFT_HEAD_LEN;
	}
	return true;
}

static void
readable(struct atls *a, void *arg)
{
	uint8_t scrap[4096];

	(void)arg;
	while (ct.state != CLOSING && read_some())
		;
	/* What comes after the end is taken, so that our word gets there. */
	while (ct.state == CLOSING && ct.tls != NULL &&
	    atls_read(a, scrap, sizeof(scrap)) > 0)
		;
}

static void
writable(struct atls *a, void *arg)
{
	(void)a;
	(void)arg;
	if (!xf.sends)
		receive_turn();
}

static void
tls_closed(struct atls *a, void *arg)
{
	(void)a;
	(void)arg;
	/* It has our receipt, or will ask for it again. */
	if (!xf.sends && ct.state == SEALED)
		close_down();
	else
		xfer_fail(SFT_TIMEOUT, true, "peer closed the connection");
}

static void
failed(struct atls *a, const char *why, void *arg)
{
	uint8_t alert;
	bool by_peer = greet_blames_peer(why, &alert);

	(void)a;
	(void)arg;
	if (!xf.sends && ct.state == SEALED)
		close_down();
	else
		xfer_fail(SFT_TIMEOUT, by_peer, "%s", why);
	atls_free(ct.tls);
	ct.tls = NULL;
}

static const struct atls_ops ops = {
	.readable = readable,
	.writable = writable,
	.closed = tls_closed,
	.failed = failed,
};

/* --- time --------------------------------------------------------------- */

static bool
is_overdue(uint64_t since_ns, uint64_t seconds, uint64_t now)
{
	return now - since_ns > seconds * NS_PER_S;
}

/* Data has to move, where there is something to be waited for. */
static void
look_at_data(uint64_t now)
{
	uint64_t moved, durable, same, resent;
	bool waits = xf.sends ? send_waits() : receive_waits();

	moved = atomic_load_explicit(&xf.moved, memory_order_relaxed);
	if (xf.sends)
		send_state(&durable, &same, &resent);
	else
		receive_state(&durable, &same, &resent);
	moved += durable;
	if (!waits || moved >= ct.alive + TRICKLE) {
		ct.alive = moved;
		ct.alive_ns = now;
	} else if (is_overdue(ct.alive_ns, xf.sends ? DURABLE_S : TRICKLE_S,
		       now))
		xfer_fail(SFT_TIMEOUT, false,
		    xf.sends ? "peer has made nothing durable for %u s" :
			       "peer has sent nothing for %u s",
		    xf.sends ? DURABLE_S : TRICKLE_S);
}

static void
look_at_peer(uint64_t now)
{
	uint8_t out[SFT_SMALL_MAX];

	if (is_overdue(ct.heard_ns, SILENCE_S, now))
		xfer_fail(SFT_TIMEOUT, false,
		    "nothing was heard of the peer for %d s", SILENCE_S);
	else if (is_overdue(ct.heard_ns, PING_S, now) &&
	    is_overdue(ct.pinged_ns, PING_S, now)) {
		ct.pinged_ns = now;
		say(sft_ping_format(SFT_PING, ++ct.pings, out, sizeof(out)),
		    out);
	} else if ((uint64_t)time(NULL) >= ct.until)
		/* Nobody did anything wrong: the next attempt goes on. */
		xfer_fail(SFT_TIMEOUT, false,
		    "what the peer has proven holds no longer; resuming, it "
		    "proves itself again");
	else if (!xf.sends && ct.state == OFFERING &&
	    is_overdue(ct.since_ns, OFFER_S, now))
		xfer_fail(SFT_TIMEOUT, false, "peer offers nothing");
	else if (xf.sends && ct.state == ASKED &&
	    is_overdue(ct.since_ns, ANSWER_S + sft_reread_s(xf.offer.size),
		now))
		xfer_fail(SFT_TIMEOUT, false, "peer does not answer the offer");
	else if (!xf.sends && ct.state == SEALED &&
	    is_overdue(ct.since_ns, DONE_S, now))
		close_down();
	else if (control_is_moving())
		look_at_data(now);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (ct.state >= HAVING && ct.state < CLOSING)
		tell_progress();
	if (ct.up && ct.state < CLOSING)
		look_at_peer(xfer_now_ns());
}

/* --- the beginning ------------------------------------------------------ */

static void
report_up(const struct greet_result *r)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	const struct welcome *theirs = r->theirs;
	struct msg_PEER_CHECKPOINTS cps = { .theirs = theirs->mine,
		.theirs_len = theirs->mine_len,
		.ours = theirs->yours,
		.ours_len = theirs->yours_len };
	struct msg_XFER_UP up = { 0 };

	if (attestd != NULL && r->news)
		(void)chan_send_PEER_CHECKPOINTS(attestd, 0, -1, &cps);
	(void)chan_send_XFER_UP(child_peer(PROC_SFTD), 0, -1, &up);
}

static void
report_not_up(const struct greet_result *r)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_LINK_FAILED no = { .by_peer = r->by_peer };

	snprintf(no.reason, sizeof(no.reason), "%s", r->why);
	if (!r->judged && attestd != NULL)
		(void)chan_send_LINK_FAILED(attestd, 0, -1, &no);
	xfer_fail(SFT_ATTESTATION, r->by_peer, "%s", r->why);
}

static void
greeted(struct greet *g, const struct greet_result *r, void *arg)
{
	(void)g;
	(void)arg;
	ct.greet = NULL;
	ct.tls = r->tls;
	if (ct.tls != NULL)
		atls_own(ct.tls, &ops, NULL);
	if (r->theirs == NULL) {
		ct.up = ct.tls != NULL && atls_is_secured(ct.tls);
		report_not_up(r);
		return;
	}
	if (atls_exporter(ct.tls, ct.exporter) != 0)
		fatalx("TLS has no exporter");
	ct.up = true;
	ct.until = r->until;
	ct.heard_ns = xfer_now_ns();
	snprintf(ct.own, sizeof(ct.own), "%s", r->own);
	snprintf(ct.peer, sizeof(ct.peer), "%s", r->peer);
	enter(OFFERING);
	report_up(r);
	if (xf.sends && ct.has_offer)
		say_offer();
}

bool
control_serve(const struct msg_XFER_SERVE *serve, int fd)
{
	struct greet_want want = { .role = serve->role,
		.purposes = GREET_PURPOSE(EVIDENCE_SFT),
		.handshake_ms = serve->handshake_ms };
	struct timeval tick = { 0, TICK_MS * 1000 };

	if ((serve->role != EVIDENCE_CLIENT &&
		serve->role != EVIDENCE_SERVER) ||
	    ct.state != IDLE || serve->window == 0)
		return false;
	xf.sends = serve->role == EVIDENCE_CLIENT;
	xf.window = serve->window;
	ct.handshake_ms = serve->handshake_ms;
	memcpy(want.nonce, serve->nonce, sizeof(want.nonce));
	enter(GREETING);
	ct.greet = greet_new(ct.ctx, fd, control_key(), &want, greeted, NULL);
	if (ct.greet == NULL)
		fatal("TLS");
	evtimer_add(ct.tick, &tick);
	return true;
}

void
control_head(const struct msg_HEAD_MOVED *m)
{
	if (ct.greet != NULL)
		greet_own_head(ct.greet, m->seq, m->head, m->turns);
	streams_head(m->seq, m->head, m->turns);
}

static bool
is_idle(void)
{
	return ct.state == IDLE;
}

void
control_prepare(void)
{
	char why[256];

	ct.ctx = atls_ctx_new(why, sizeof(why));
	if (ct.ctx == NULL || atls_ctx_prefer_fast(ct.ctx) != 0)
		fatalx("TLS: %s", ct.ctx == NULL ? why : "no AES-128-GCM");
	rehearsal_prepare(ct.ctx, is_idle);
	ct.key = atls_key_new();
	ct.in_need = SFT_HEAD_LEN;
	ct.tick = event_new(child_base(), -1, EV_PERSIST, on_tick, NULL);
	ct.closing = evtimer_new(child_base(), on_closing, NULL);
	if (ct.key == NULL || ct.tick == NULL || ct.closing == NULL)
		fatalx("out of memory");
}

/* In the sandbox, which forks while it closes. */
void
control_start(void)
{
	rehearsal_start();
	child_ready();
}
