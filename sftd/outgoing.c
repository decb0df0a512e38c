/* SPDX-License-Identifier: ISC */
/*
 * outgoing.c - files that are sent.
 *
 * An operator orders one, his client brings the source; then attempts, until
 * one ends with a receipt or it makes no sense to go on: recorded, the peer's
 * address found, dialled, attested, offered, taken. What is known of the peer
 * comes from attestd, what is known of the file from the descriptor, and that
 * all has arrived is what the receipt says under the peer's signature.
 */
#include <sys/stat.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/capability.h"
#include "common/child.h"
#include "common/evidence.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/receipt.h"
#include "common/sftname.h"
#include "sftd/outgoing.h"
#include "sftd/store.h"

#define SECOND UINT64_C(1000000)
/* A client that brings no source. */
#define WAITING_US (30 * SECOND)
/* A worker that moves nothing: longer than it waits for its peer itself. */
#define STALL_US (180 * SECOND)
/* One that has not been taken yet, or re-reads what the other end has. */
#define OFFERED_US (3600 * SECOND)
#define BACKOFF_MS 250
#define BACKOFF_MAX_MS 30000
/* How long one goes on trying without getting anywhere. */
#define PATIENCE_US (600 * SECOND)
#define PATIENCE_DETACHED_US (86400 * SECOND)
#define PAUSED_MAX 64
#define AUTO_STREAMS 4
#define STREAM_CONNECT_S 10
#define BUSY_TRIES 5
/* A worker that has nothing to do any more ends by itself. */
#define LINGER_US (30 * SECOND)
/* Clients give up who says nothing for a minute. */
#define SILENT_US (10 * SECOND)
#define STREAMS_AUTO 255

static bool ending;

static void begin_attempt(struct transfer *t);
static void attempt_over(struct transfer *t);

/* What the client hears. */

static void
say(struct transfer *t, struct event_line *l)
{
	client_say(t->client, l->text, event_end(l), false);
}

static void
say_error(struct transfer *t)
{
	struct event_line l;

	event_begin(&l, "error");
	event_num(&l, "code", t->code);
	event_str(&l, "name", sft_code_name(t->code));
	event_bool(&l, "by_peer", t->by_peer);
	event_bool(&l, "reached", t->up);
	event_bool(&l, "retryable", event_retryable(t->code));
	event_str(&l, "hint", event_hint(t->code));
	event_str(&l, "text", t->text);
	say(t, &l);
}

static void
say_offer(struct transfer *t)
{
	const struct sft_offer *o = &t->what.offer;
	uint8_t id[SFT_ID_LEN];
	struct event_line l;

	transfer_id(t, id);
	event_begin(&l, "offer");
	event_hex(&l, "id", id, sizeof(id));
	event_str(&l, "peer", t->what.peer);
	event_text(&l, "name", o->name, o->name_len);
	event_num(&l, "size", o->size);
	event_num(&l, "chunk", UINT64_C(1) << o->chunk_log2);
	event_num(&l, "streams", o->streams);
	if (o->tree)
		event_bool(&l, "tree", true);
	say(t, &l);
}

static void
let_client_go(struct transfer *t)
{
	struct client *c = t->client;

	t->client = NULL;
	client_end(c);
}

/* Who does not wait for the end hears that it goes on without him. */
static void
say_detached(struct transfer *t)
{
	uint8_t id[SFT_ID_LEN];
	struct event_line l;

	if (!t->detached || t->client == NULL)
		return;
	transfer_id(t, id);
	event_begin(&l, "detached");
	event_hex(&l, "id", id, sizeof(id));
	event_str(&l, "peer", t->what.peer);
	say(t, &l);
	let_client_go(t);
}

/* The end. */

static void
close_source(struct transfer *t)
{
	if (t->source != -1)
		close(t->source);
	t->source = -1;
}

/* It has ended for good; its session, if there is one, ends by itself. */
static void
over(struct transfer *t, enum transfer_state state)
{
	if (t->retry != NULL)
		evtimer_del(t->retry);
	transfer_end(t, state);
	close_source(t);
	if (state != TRANSFER_DONE)
		say_error(t);
	let_client_go(t);
}

static void
paused(struct transfer *t)
{
	transfer_end(t, TRANSFER_PAUSED);
	say_error(t);
	let_client_go(t);
}

static void
fail(struct transfer *t, uint8_t code, const char *text)
{
	transfer_why(t, code, false, "%s", text);
	over(t, TRANSFER_FAILED);
}

bool
outgoing_pause(struct transfer *t, const char *why)
{
	if (transfer_ended(t) || t->state == TRANSFER_PAUSED ||
	    t->state == TRANSFER_WAITING)
		return false;
	if (t->retry != NULL)
		evtimer_del(t->retry);
	t->code = 0;
	transfer_stop(t, SFT_PAUSED, why);
	paused(t);
	return true;
}

bool
outgoing_resume(struct transfer *t)
{
	if (t->state != TRANSFER_PAUSED || t->conn != NULL || t->source == -1 ||
	    ending)
		return false;
	t->detached = true; /* nobody listens */
	t->patience_us = conn_now_us() + PATIENCE_DETACHED_US;
	begin_attempt(t);
	return true;
}

bool
outgoing_cancel(struct transfer *t)
{
	if (transfer_ended(t))
		return false;
	t->code = 0;
	transfer_stop(t, SFT_CANCELLED, "an operator has cancelled it");
	over(t, TRANSFER_CANCELLED);
	return true;
}

void
outgoing_end(void)
{
	struct transfer *t;

	ending = true;
	TAILQ_FOREACH(t, transfer_all(), entry) {
		if (t->receives || !transfer_active(t))
			continue;
		t->code = 0;
		transfer_stop(t, SFT_STOPPING, "this node stops");
		over(t, TRANSFER_FAILED);
	}
}

/* The order. */

static const char *
order_refused(const struct msg_FILE_SEND *s, uint16_t *code)
{
	enum sftname_verdict v = sftname_check(s->name, s->name_len);

	*code = EINVAL;
	if (!nodename_ok(s->peer, strlen(s->peer)))
		return "that is no name of a node";
	if (strcmp(s->peer, sftd_config.node) == 0)
		return "that is this node";
	if (v != SFTNAME_OK)
		return sftname_why(v);
	if (s->chunk_log2 != 0 &&
	    (s->chunk_log2 < SFT_CHUNK_LOG2_MIN ||
		s->chunk_log2 > SFT_CHUNK_LOG2_MAX))
		return "a chunk is 1M, 2M, 4M, 8M, 16M or 32M";
	if (s->streams > SFT_STREAMS_MAX && s->streams != STREAMS_AUTO)
		return "there are 1 to 8 streams";
	if (s->tree > 1 || (s->tree != 0 && s->replace != 0))
		return "a folder replaces nothing";
	if (s->packed > 2)
		return "there is compression where it pays, and none";
	*code = EAGAIN;
	if (ending)
		return "this node stops";
	if (transfer_count() >= sftd_config.max_transfers)
		return "as many transfers are under way as may be "
		       "(sft.max_transfers)";
	return NULL;
}

void
outgoing_on_send(struct chan *c, struct msg *m)
{
	struct msg_FILE_TAKEN taken;
	struct msg_FILE_SEND s;
	struct transfer *t;
	const char *why;
	uint16_t code;
	uint8_t streams;

	if (!msg_get_FILE_SEND(&m->body, &s))
		fatalx("malformed FILE_SEND");
	if ((why = order_refused(&s, &code)) != NULL) {
		chan_refuse(c, m, code, code == EAGAIN, "%s", why);
		return;
	}
	t = transfer_new(false, s.peer);
	memcpy(t->what.offer.name, s.name, s.name_len);
	t->what.offer.name_len = s.name_len;
	t->what.offer.chunk_log2 =
	    s.chunk_log2 != 0 ? s.chunk_log2 : sftd_config.chunk_log2;
	streams = s.streams != 0 ? s.streams : sftd_config.streams;
	t->what.offer.streams =
	    streams == 0 || streams == STREAMS_AUTO ? AUTO_STREAMS : streams;
	t->what.offer.replace = s.replace != 0;
	t->what.offer.dry = s.dry != 0;
	t->what.offer.tree = s.tree != 0;
	t->what.offer.packed =
	    s.packed == 1 || (s.packed == 0 && sftd_config.packed != 0);
	t->detached = s.detach != 0;
	t->rate_wanted = s.rate;
	transfer_set(t, TRANSFER_WAITING);
	taken.transfer = t->number;
	(void)chan_send_FILE_TAKEN(c, m->id, -1, &taken);
}

/* The client, and the source. */

static const char *
look_at_source(struct transfer *t, int fd, uint8_t *code)
{
	struct sft_offer *o = &t->what.offer;
	struct stat st;
	int flags;

	*code = SFT_IO;
	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || fstat(fd, &st) == -1)
		return "the source cannot be looked at";
	if (!S_ISREG(st.st_mode) || (flags & O_PATH) != 0 ||
	    (flags & O_ACCMODE) == O_WRONLY)
		return "the source is no regular file that can be read";
	*code = SFT_TOO_LARGE;
	if ((uint64_t)st.st_size > sftd_config.max_bytes)
		return "the file is larger than sft.max_bytes";
	if (!sft_size_ok((uint64_t)st.st_size, o->chunk_log2))
		return "too many chunks: choose a larger chunk size";
	o->size = (uint64_t)st.st_size;
	o->mode = st.st_mode & 0777;
	o->mtime_ns = st.st_mtim.tv_sec < 0 ?
	    0 :
	    (uint64_t)st.st_mtim.tv_sec * 1000000000 +
		(uint64_t)st.st_mtim.tv_nsec;
	return NULL;
}

/* One before that was paused, of the same file: this one goes on with it. */
static bool
make_way(struct transfer *t)
{
	struct transfer *o;
	unsigned int stopped = 0;

	o = transfer_offer(false, t->what.peer, t->what.digest);
	if (o != NULL && o != t) {
		if (o->state != TRANSFER_PAUSED)
			return false;
		t->durable = o->durable;
		o->code = 0;
		transfer_why(o, SFT_CANCELLED, false, "it was sent anew");
		over(o, TRANSFER_CANCELLED);
	}
	TAILQ_FOREACH(o, transfer_all(), entry)
		stopped += !o->receives && o->state == TRANSFER_PAUSED ? 1 : 0;
	if (stopped <= PAUSED_MAX)
		return true;
	TAILQ_FOREACH(o, transfer_all(), entry)
		if (!o->receives && o->state == TRANSFER_PAUSED)
			break;
	o->code = 0;
	transfer_why(o, SFT_CANCELLED, false,
	    "too many were paused; send it again to go on");
	over(o, TRANSFER_CANCELLED);
	return true;
}

static void
on_source(void *arg, int fd)
{
	struct transfer *t = arg;
	struct sft_offer *o = &t->what.offer;
	const char *why;
	uint32_t chunks;
	uint8_t code;

	if (t->state != TRANSFER_WAITING) {
		close(fd);
		return;
	}
	if ((why = look_at_source(t, fd, &code)) != NULL) {
		close(fd);
		fail(t, code, why);
		return;
	}
	t->source = fd;
	chunks = sft_chunks(o->size, o->chunk_log2);
	if (o->streams > chunks)
		o->streams = chunks == 0 ? 1 : (uint8_t)chunks;
	sft_offer_digest(o, sftd_config.node, t->what.peer, t->what.digest);
	if (!make_way(t)) {
		transfer_why(t, SFT_BUSY, false, "it is being sent already");
		memset(t->what.digest, 0, sizeof(t->what.digest));
		over(t, TRANSFER_FAILED);
		return;
	}
	say_offer(t);
	t->patience_us =
	    conn_now_us() + (t->detached ? PATIENCE_DETACHED_US : PATIENCE_US);
	begin_attempt(t);
}

static void
on_gone(void *arg)
{
	struct transfer *t = arg;

	t->client = NULL;
	if (t->state == TRANSFER_WAITING)
		fail(t, SFT_CANCELLED, "its client has gone");
	else if (!t->detached)
		(void)outgoing_pause(t, "its client has gone");
}

static const struct client_user of_client = { on_source, on_gone };

void
outgoing_on_client(struct chan *c, struct msg *m)
{
	struct msg_FILE_CLIENT which;
	struct transfer *t;

	(void)c;
	if (!msg_get_FILE_CLIENT(&m->body, &which))
		fatalx("malformed FILE_CLIENT");
	t = transfer_numbered(which.transfer);
	/* It may have ended meanwhile; the connection then does as well. */
	if (t == NULL || t->receives || !transfer_active(t) ||
	    t->client != NULL)
		return;
	t->client =
	    client_new(m->fd, t->state == TRANSFER_WAITING, &of_client, t);
	m->fd = -1;
}

/* An attempt: recorded, found, dialled. */

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
		attempt_over(t);
		return;
	}
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		transfer_why(t, no.retry ? SFT_STOPPING : SFT_DENIED, false,
		    "%.200s", no.text);
		attempt_over(t);
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
	attempt_over(t);
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
		attempt_over(t);
		return;
	}
	if (attestd == NULL || !conn_can_attest()) {
		transfer_why(t, SFT_STOPPING, false,
		    "keyd or attestd is away; nobody can be attested now");
		attempt_over(t);
		return;
	}
	snprintf(find.peer, sizeof(find.peer), "%s", t->what.peer);
	(void)chan_send_PEER_FIND(attestd,
	    chan_ask(attestd, MSG_PEER_FIND, on_found,
		(void *)(uintptr_t)t->number),
	    -1, &find);
}

static void
begin_attempt(struct transfer *t)
{
	transfer_begin(t);
	t->attempts++;
	t->what.offer.epoch = store_epoch(t->what.digest);
	transfer_set(t, TRANSFER_CONNECTING);
	record_intent(t, on_intent);
}

/* An attempt is over; is there another one? */

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct transfer *t = arg;

	(void)fd;
	(void)what;
	begin_attempt(t);
}

static bool
goes_on(const struct transfer *t)
{
	if (ending || !event_retryable(t->code) ||
	    conn_now_us() > t->patience_us)
		return false;
	if (t->code == SFT_PAUSED || t->code == SFT_SOURCE_CHANGED ||
	    t->code == SFT_HASH_MISMATCH || t->code == SFT_NO_SPACE)
		return false;
	/* Who stands before a terminal learns at once that nobody is there. */
	if (t->taken || t->detached)
		return true;
	/* It may not have noticed yet that the one before has broken. */
	return t->code == SFT_BUSY && t->by_peer && t->attempts < BUSY_TRIES;
}

static void
try_again(struct transfer *t)
{
	unsigned int n = t->attempts < 8 ? t->attempts : 8;
	uint32_t ms = (uint32_t)BACKOFF_MS << n;
	struct timeval tv;
	struct event_line l;

	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	tv = (struct timeval){ ms / 1000, (suseconds_t)(ms % 1000) * 1000 };
	if (t->retry == NULL)
		t->retry = evtimer_new(child_base(), on_retry, t);
	if (t->retry == NULL)
		fatalx("out of memory");
	event_begin(&l, "retry");
	event_num(&l, "attempt", t->attempts + 1);
	event_num(&l, "in_ms", ms);
	event_num(&l, "code", t->code);
	event_str(&l, "name", sft_code_name(t->code));
	event_str(&l, "text", t->text);
	say(t, &l);
	say_detached(t);
	record_outcome(t, TRANSFER_FAILED);
	transfer_set(t, TRANSFER_CONNECTING);
	evtimer_add(t->retry, &tv);
}

static void
attempt_over(struct transfer *t)
{
	bool refused;

	if (goes_on(t)) {
		try_again(t);
		return;
	}
	refused = (t->by_peer && t->state <= TRANSFER_OFFERED) ||
	    t->code == SFT_DENIED;
	if (refused)
		record_denied(t);
	if (t->code == SFT_PAUSED)
		paused(t);
	else
		over(t, refused ? TRANSFER_REFUSED : TRANSFER_FAILED);
}

static void
dry_run_over(struct transfer *t)
{
	struct event_line l;

	event_begin(&l, "dry-run");
	event_str(&l, "text", t->text);
	say(t, &l);
	transfer_end(t, TRANSFER_DONE);
	close_source(t);
	let_client_go(t);
}

static void
out_down(struct conn *c)
{
	struct transfer *t = c->arg;

	if (t == NULL || t->conn != c)
		return;
	t->conn = NULL;
	if (!transfer_active(t))
		return;
	if (t->what.offer.dry && t->by_peer && t->code == SFT_CANCELLED) {
		dry_run_over(t);
		return;
	}
	/* It was not the one that answers, maybe. */
	if (!t->up && t->code == 0 && route_next(&t->way) && dial(t))
		return;
	transfer_why(t, SFT_IO, false, "%s", c->reason);
	attempt_over(t);
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
	say(t, &l);
}

/* Attested: may we, may it; then it gets the offer and the source. */
static void
out_up(struct conn *c)
{
	struct transfer *t = c->arg;
	struct msg_XFER_OFFER offer = { 0 };
	const struct sft_offer *o;

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
	say(t, &l);
}

void
outgoing_on_taken(struct chan *worker, struct msg *m)
{
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
	say_detached(t);
	(void)chan_send_XFER_GO(worker, m->id, -1, &go);
}

/* Data streams. */

static void
stream_connected(struct conn *c)
{
	struct transfer *t = transfer_numbered((uint32_t)(uintptr_t)c->arg);
	struct msg_XFER_STREAM stream = { .index = c->index };

	if (t != NULL && t->state == TRANSFER_MOVING && t->conn != NULL &&
	    t->conn->worker != NULL && t->conn->state == CONN_UP &&
	    t->what.epoch == c->tag)
		(void)chan_send_XFER_STREAM(t->conn->worker, 0, c->fd, &stream);
	close(c->fd);
	c->fd = -1;
}

static void
stream_down(struct conn *c)
{
	const struct transfer *t =
	    transfer_numbered((uint32_t)(uintptr_t)c->arg);

	/* The others carry it; without any, its worker moves nothing. */
	if (t != NULL && !c->connected)
		log_info("a stream to %s: %s", t->what.peer, c->reason);
}

static const struct conn_user stream_user = { stream_connected, NULL,
	stream_down };

void
outgoing_on_dial(struct chan *worker, struct msg *m)
{
	struct msg_XFER_DIAL dial;
	struct transfer *t;
	struct conn *c;
	bool late;

	if (!msg_get_XFER_DIAL(&m->body, &dial))
		fatalx("malformed XFER_DIAL");
	t = said(worker, m, TRANSFER_MOVING, &late);
	if (t == NULL)
		return;
	if (dial.index >= t->what.offer.streams ||
	    (t->dialled & 1u << dial.index) != 0) {
		child_violation(worker, m, "no stream of this transfer");
		return;
	}
	t->dialled |= (uint8_t)(1u << dial.index);
	c = conn_dial(&t->conn->address, STREAM_CONNECT_S, EVIDENCE_SFT,
	    t->what.peer, &stream_user, (void *)(uintptr_t)t->number);
	if (c == NULL)
		return;
	c->index = dial.index;
	c->tag = t->what.epoch;
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
outgoing_on_seal(struct chan *worker, struct msg *m)
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
	say(t, &l);
	event_begin(&l, "receipt");
	event_hex(&l, "id", t->what.id, sizeof(t->what.id));
	event_str(&l, "peer", t->what.peer);
	event_hex(&l, "blake3", t->root, sizeof(t->root));
	event_num(&l, "size", t->what.offer.size);
	event_num(&l, "resent", t->resent);
	event_num(&l, "same_bytes", t->same);
	event_num(&l, "wire_bytes", t->wire);
	event_num(&l, "ms", transfer_wall_ms() - t->started_ms);
	say(t, &l);
}

void
outgoing_on_receipt(struct chan *worker, struct msg *m)
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
	over(t, TRANSFER_DONE);
}

/* Time. */

void
outgoing_tick(struct transfer *t, uint64_t now)
{
	uint64_t still = now - t->alive_us;

	if (transfer_ended(t) && t->conn != NULL && still > LINGER_US)
		conn_close(t->conn, "its transfer has ended");
	else if (t->state == TRANSFER_WAITING && still > WAITING_US)
		fail(t, SFT_TIMEOUT, "no client brought the source");
	else if (t->state == TRANSFER_OFFERED && still > OFFERED_US)
		transfer_stop(t, SFT_TIMEOUT, "the peer did not answer");
	else if ((t->state == TRANSFER_MOVING ||
		     t->state == TRANSFER_FINISHING) &&
	    still > STALL_US)
		transfer_stop(t, SFT_TIMEOUT, "nothing moved for too long");
	if (t->client != NULL && t->state != TRANSFER_WAITING &&
	    now - t->said_us > SILENT_US)
		transfer_say(t);
	/* A peer that takes it again and again, and nothing of it, is left. */
	if (t->durable > t->best) {
		t->best = t->durable;
		t->attempts = 0;
		t->patience_us =
		    now + (t->detached ? PATIENCE_DETACHED_US : PATIENCE_US);
	}
}

void
outgoing_prepare(void)
{
	ending = false;
}
