/* SPDX-License-Identifier: ISC */
/*
 * outgoing.c - files that are sent.
 *
 * An operator orders one, his client brings the source; then attempts, until
 * one ends with a receipt or it makes no sense to go on. What is known of the
 * file comes from the descriptor. How an attempt goes is attempt.c.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "common/sftname.h"
#include "sftd/attempt.h"
#include "sftd/outgoing.h"
#include "sftd/store.h"

#define SECOND UINT64_C(1000000)
/* A client that brings no source. */
#define WAITING_US (30 * SECOND)
#define BACKOFF_MS 250
#define BACKOFF_MAX_MS 30000
/* How long one goes on trying without getting anywhere. */
#define PATIENCE_US (600 * SECOND)
#define PATIENCE_DETACHED_US (86400 * SECOND)
#define PAUSED_MAX 64
#define BUSY_TRIES 5
/* A worker that has nothing to do any more ends by itself. */
#define LINGER_US (30 * SECOND)
/* Clients give up who says nothing for a minute. */
#define SILENT_US (10 * SECOND)
#define STREAMS_AUTO 255

static bool ending;

/* What the client hears. */

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
	transfer_tell(t, &l);
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
	transfer_tell(t, &l);
}

static void
let_client_go(struct transfer *t)
{
	struct client *c = t->client;

	t->client = NULL;
	client_end(c);
}

void
outgoing_under_way(struct transfer *t)
{
	uint8_t id[SFT_ID_LEN];
	struct event_line l;

	if (!t->detached || t->client == NULL)
		return;
	transfer_id(t, id);
	event_begin(&l, "detached");
	event_hex(&l, "id", id, sizeof(id));
	event_str(&l, "peer", t->what.peer);
	transfer_tell(t, &l);
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
	attempt_begin(t);
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
	t->auto_streams = streams == 0 || streams == STREAMS_AUTO;
	t->what.offer.streams = t->auto_streams ? SFT_STREAMS_MAX : streams;
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
	attempt_begin(t);
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

/* An attempt is over; is there another one? */

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct transfer *t = arg;

	(void)fd;
	(void)what;
	attempt_begin(t);
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
	transfer_tell(t, &l);
	outgoing_under_way(t);
	record_outcome(t, TRANSFER_FAILED);
	transfer_set(t, TRANSFER_CONNECTING);
	evtimer_add(t->retry, &tv);
}

static void
dry_run_over(struct transfer *t)
{
	struct event_line l;

	event_begin(&l, "dry-run");
	event_str(&l, "text", t->text);
	transfer_tell(t, &l);
	transfer_end(t, TRANSFER_DONE);
	let_client_go(t);
	transfer_free(t); /* there is nothing to show of it */
}

void
outgoing_missed(struct transfer *t)
{
	bool refused;

	if (t->what.offer.dry && t->by_peer && t->code == SFT_CANCELLED) {
		dry_run_over(t);
		return;
	}
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

void
outgoing_done(struct transfer *t)
{
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
	else if (t->state == TRANSFER_OFFERED && still > transfer_stall_us(t))
		transfer_stop(t, SFT_TIMEOUT, "the peer did not answer");
	else if ((t->state == TRANSFER_MOVING ||
		     t->state == TRANSFER_FINISHING) &&
	    still > transfer_stall_us(t))
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
