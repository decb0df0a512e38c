/* SPDX-License-Identifier: ISC */
/*
 * link.c - the one connection of this process: from the socket to its end.
 *
 *	GREETING	attested TLS, then WELCOME (common/greet.h)
 *	UP		frames, each judged by its head first
 *	CLOSING		all have been told; what is queued leaves, then exit
 *
 * Every wait has an end: the greeting has the time that meshd gave, a link
 * that is up has to show life.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/counters.h"
#include "common/evidence.h"
#include "common/greet.h"
#include "common/log.h"
#include "common/rehearsal.h"
#include "linkd/join.h"
#include "linkd/joiner.h"
#include "linkd/link.h"
#include "linkd/pull.h"
#include "linkd/reattest.h"

/* What is queued has this long to leave. */
#define CLOSING_MS 500
#define CLOSING_STEP_MS 10
/* A silent peer is asked for a sign of life, and given up. */
#define SILENCE_ASK_S 20
#define SILENCE_END_S 40
/* On a link that is made for one purpose, the peer is to get to it. */
#define SILENCE_OTHER_S 60
/* More frames within a second are a flood. */
#define FRAMES_A_SECOND 256
#define PINGS_MAX 16
/* HAVE follows HAVE no sooner. */
#define HAVE_MS 100

static struct {
	enum state { IDLE, GREETING, UP, CLOSING } state;
	struct atls_ctx *ctx;
	EVP_PKEY *key;	     /* until a connection takes it */
	struct greet *greet; /* until it is up */
	struct atls *tls;
	uint8_t role, purpose;
	uint64_t start_us;
	uint32_t handshake_ms;
	struct event *deadline; /* of silence */
	struct event *closing;
	unsigned int closing_ms;
	bool draining;

	bool judged; /* it was attestd that refused the peer */

	uint8_t spki[LINK_SPKI_LEN];
	uint8_t own_nonce[32], peer_nonce[32];
	uint64_t seq; /* our registry */
	uint8_t head[32], turns[32];

	uint8_t in[FRAME_MAX]; /* the frame that is being read */
	size_t in_len, in_need;
	uint64_t second, heard_us;
	unsigned int frames;

	struct event *have; /* while one was just sent */
	bool have_again;
	struct {
		struct chan *chan; /* NULL: our own, or free */
		uint32_t id;
		uint64_t number, sent_us;
	} ping[PINGS_MAX];
	uint64_t pings;
} lk;

static const struct atls_ops ops;

uint64_t
link_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

bool
link_is_up(void)
{
	return lk.state == UP;
}

uint8_t
link_role(void)
{
	return lk.role;
}

uint8_t
link_purpose(void)
{
	return lk.purpose;
}

const uint8_t *
link_spki(void)
{
	return lk.spki;
}

uint8_t *
link_own_nonce(void)
{
	return lk.own_nonce;
}

uint8_t *
link_peer_nonce(void)
{
	return lk.peer_nonce;
}

uint64_t
link_own_seq(void)
{
	return lk.seq;
}

bool
link_binding(uint8_t exporter[32], uint8_t own[32], uint8_t peer[32])
{
	return atls_exporter(lk.tls, exporter) == 0 &&
	    atls_leaf_hash(lk.tls, ATLS_OWN, own) == 0 &&
	    atls_leaf_hash(lk.tls, ATLS_PEER, peer) == 0;
}

/* The end. */

static void
finish(void)
{
	static const enum proc told[] = { PROC_ATTESTD, PROC_MESHD };
	size_t i;

	atls_free(lk.tls);
	lk.tls = NULL;
	for (i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		if (child_peer(told[i]) != NULL)
			chan_flush(child_peer(told[i]), 1000);
	if (lk.draining)
		child_drained();
	_exit(0);
}

static void
on_closing(evutil_socket_t fd, short what, void *arg)
{
	struct timeval step = { 0, CLOSING_STEP_MS * 1000 };

	(void)fd;
	(void)what;
	(void)arg;
	lk.closing_ms += CLOSING_STEP_MS;
	if (lk.tls == NULL || atls_flushed(lk.tls) ||
	    lk.closing_ms >= CLOSING_MS)
		finish();
	evtimer_add(lk.closing, &step);
}

/* The processes that hold this link's state hear of its end. */
static void
tell(uint8_t alert, bool by_peer, const char *reason)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct chan *meshd = child_peer(PROC_MESHD);
	struct msg_LINK_FAILED failed = { .by_peer = by_peer };
	struct msg_LINK_DOWN down = { .alert = alert, .by_peer = by_peer };

	snprintf(failed.reason, sizeof(failed.reason), "%s", reason);
	snprintf(down.reason, sizeof(down.reason), "%s", reason);
	if (lk.state != IDLE && lk.state != UP && !lk.judged && attestd != NULL)
		(void)chan_send_LINK_FAILED(attestd, 0, -1, &failed);
	if (lk.state != IDLE && meshd != NULL)
		(void)chan_send_LINK_DOWN(meshd, 0, -1, &down);
}

/* From a greeting that is over. */
static void
take_over(struct atls *tls)
{
	lk.greet = NULL;
	lk.tls = tls;
	if (tls != NULL)
		atls_own(tls, &ops, NULL);
}

static void
end(enum frame_bye code, uint8_t alert, bool by_peer, const char *reason)
{
	struct timeval step = { 0, CLOSING_STEP_MS * 1000 };
	struct frame bye = { .type = FRAME_BYE, .code = (uint8_t)code };
	uint8_t out[FRAME_HEAD_LEN + 1];
	char unsaid[GREET_REASON_SIZE];
	ssize_t n;

	if (lk.state == CLOSING)
		return;
	if (lk.greet != NULL)
		take_over(greet_give_up(lk.greet, unsaid));
	log_debug("link ends: %s", reason);
	tell(alert, by_peer, reason);
	if (lk.state == UP && !by_peer && lk.tls != NULL &&
	    (n = frame_format(&bye, out, sizeof(out))) > 0)
		(void)atls_write(lk.tls, out, (size_t)n);
	lk.state = CLOSING;
	if (lk.deadline != NULL)
		evtimer_del(lk.deadline);
	if (lk.tls != NULL && atls_is_secured(lk.tls))
		atls_shutdown(lk.tls);
	else {
		atls_free(lk.tls);
		lk.tls = NULL;
	}
	/* From the event loop: who called this may have more to do. */
	evtimer_add(lk.closing, &step);
}

void
link_close(enum frame_bye code, const char *fmt, ...)
{
	char reason[LINK_REASON_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	end(code, 0, false, reason);
}

void
link_drain(void)
{
	struct timeval now = { 0, 0 };

	lk.draining = true;
	link_close(BYE_STOPPING, "this node stops");
	evtimer_add(lk.closing, &now);
}

/* Sending. */

static void
send_bytes(const uint8_t *p, size_t n)
{
	int r = atls_write(lk.tls, p, n);

	if (r == 0)
		counter_add(COUNTER_LINK_BYTES_OUT, n);
	else if (r == -EAGAIN)
		link_close(BYE_SILENT, "peer does not read what it is sent");
	/* Otherwise failed() follows, and says why. */
}

void
link_send(const struct frame *f)
{
	static uint8_t out[FRAME_MAX];
	ssize_t n;

	if (lk.state != UP)
		return;
	n = frame_format(f, out, sizeof(out));
	if (n < 0)
		fatalx("%s cannot be sent: %s", frame_name(f->type),
		    strerror((int)-n));
	send_bytes(out, (size_t)n);
}

static void
send_have(void)
{
	struct frame f = { .type = FRAME_HAVE, .seq = lk.seq };
	struct timeval tv = { 0, HAVE_MS * 1000 };

	memcpy(f.hash, lk.head, sizeof(f.hash));
	memcpy(f.turns, lk.turns, sizeof(f.turns));
	link_send(&f);
	lk.have_again = false;
	evtimer_add(lk.have, &tv);
}

static void
on_have_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (lk.have_again && lk.state == UP)
		send_have();
}

void
link_own_head(uint64_t seq, const uint8_t head[32], const uint8_t turns[32])
{
	if (seq < lk.seq)
		return;
	lk.seq = seq;
	memcpy(lk.head, head, sizeof(lk.head));
	memcpy(lk.turns, turns, sizeof(lk.turns));
}

const uint8_t *
link_own_turns(void)
{
	return lk.turns;
}

void
link_head_moved(const struct msg_HEAD_MOVED *m)
{
	link_own_head(m->seq, m->head, m->turns);
	if (lk.greet != NULL)
		greet_own_head(lk.greet, m->seq, m->head, m->turns);
	if (lk.state != UP || lk.purpose != EVIDENCE_MESH)
		return;
	if (evtimer_pending(lk.have, NULL))
		lk.have_again = true;
	else
		send_have();
	reattest_soon();
}

/* There and back. */

void
link_ping(struct chan *c, struct msg *m)
{
	struct frame f = { .type = FRAME_PING };
	size_t i;

	for (i = 0; i < PINGS_MAX && lk.ping[i].sent_us != 0; i++)
		;
	if (lk.state != UP || i == PINGS_MAX) {
		chan_refuse(c, m, EAGAIN, true,
		    lk.state != UP ? "the link is not up" :
				     "too many pings are on their way");
		return;
	}
	lk.ping[i].chan = c;
	lk.ping[i].id = m->id;
	lk.ping[i].number = f.number = ++lk.pings;
	lk.ping[i].sent_us = link_now_us();
	link_send(&f);
}

static void
on_pong(const struct frame *f)
{
	struct msg_LINK_PONG pong;
	size_t i;

	for (i = 0; i < PINGS_MAX; i++)
		if (lk.ping[i].sent_us != 0 && lk.ping[i].number == f->number)
			break;
	if (i == PINGS_MAX) {
		link_close(BYE_PROTOCOL, "peer sent PONG to no PING");
		return;
	}
	pong.us = (uint32_t)(link_now_us() - lk.ping[i].sent_us);
	if (lk.ping[i].chan != NULL)
		(void)chan_send_LINK_PONG(lk.ping[i].chan, lk.ping[i].id, -1,
		    &pong);
	lk.ping[i].sent_us = 0;
}

/* A sign of life is asked for with a ping that nobody waits for. */
static void
on_silence(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = { SILENCE_ASK_S, 0 };
	uint64_t silent_s = (link_now_us() - lk.heard_us) / 1000000;
	struct frame f = { .type = FRAME_PING };

	(void)fd;
	(void)what;
	(void)arg;
	if (silent_s + 1 >=
	    (lk.purpose == EVIDENCE_MESH ? SILENCE_END_S : SILENCE_OTHER_S)) {
		link_close(BYE_SILENT, "nothing was heard of the peer for %u s",
		    (unsigned int)silent_s);
		return;
	}
	if (lk.purpose == EVIDENCE_MESH && silent_s + 1 >= SILENCE_ASK_S &&
	    lk.ping[PINGS_MAX - 1].sent_us == 0) {
		lk.ping[PINGS_MAX - 1].chan = NULL;
		lk.ping[PINGS_MAX - 1].number = f.number = ++lk.pings;
		lk.ping[PINGS_MAX - 1].sent_us = link_now_us();
		link_send(&f);
	}
	if (lk.state == UP)
		evtimer_add(lk.deadline, &tv);
}

/* WELCOME was said by both. */

static void
report_up(const struct welcome *theirs, bool news)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_PEER_CHECKPOINTS cps = { .theirs = theirs->mine,
		.theirs_len = theirs->mine_len,
		.ours = theirs->yours,
		.ours_len = theirs->yours_len };
	struct msg_LINK_UP up = { .purpose = lk.purpose, .seq = theirs->seq };
	struct atls_times t;

	atls_times(lk.tls, &t);
	memcpy(up.head, theirs->head, sizeof(up.head));
	up.leaf_us = (uint32_t)(t.leaf_answered - t.leaf_asked);
	up.verdict_us = (uint32_t)(t.verdict_answered - t.verdict_asked);
	up.secured_us = (uint32_t)(t.secured - lk.start_us);
	up.welcome_us = (uint32_t)(link_now_us() - lk.start_us);
	if (attestd != NULL && news && lk.purpose != EVIDENCE_JOIN)
		(void)chan_send_PEER_CHECKPOINTS(attestd, 0, -1, &cps);
	(void)chan_send_LINK_UP(child_peer(PROC_MESHD), 0, -1, &up);
}

static bool
is_zero(const uint8_t *p, size_t n)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n == 0;
}

/* It would join, and has not shown its ticket. */
static bool
is_stranger(void)
{
	return lk.purpose == EVIDENCE_JOIN && lk.role == EVIDENCE_SERVER &&
	    !join_has_ticket();
}

static void
is_up(const struct greet_result *r)
{
	struct timeval silence = { SILENCE_ASK_S, 0 };
	const struct welcome *theirs = r->theirs;

	link_own_head(r->seq, r->head, r->turns);
	memcpy(lk.spki, r->spki, sizeof(lk.spki));
	memcpy(lk.own_nonce, r->own_nonce, sizeof(lk.own_nonce));
	memcpy(lk.peer_nonce, r->peer_nonce, sizeof(lk.peer_nonce));
	lk.state = UP;
	/* A stranger has no more time than for a handshake. */
	if (is_stranger()) {
		silence.tv_sec = lk.handshake_ms / 1000;
		silence.tv_usec = (suseconds_t)(lk.handshake_ms % 1000) * 1000;
	}
	evtimer_add(lk.deadline, &silence);
	report_up(theirs, r->news);
	if (lk.purpose != EVIDENCE_MESH)
		return;
	/* WELCOME says nothing of rotations. */
	if (theirs->seq != lk.seq || !is_zero(lk.turns, sizeof(lk.turns)))
		send_have();
	reattest_begin(r->until);
	pull_if_newer(theirs->seq, NULL);
}

static void
greeted(struct greet *g, const struct greet_result *r, void *arg)
{
	(void)g;
	(void)arg;
	take_over(r->tls);
	lk.purpose = r->purpose;
	lk.judged = r->judged;
	counter_add(COUNTER_LINK_BYTES_IN, r->bytes_in);
	counter_add(COUNTER_LINK_BYTES_OUT, r->bytes_out);
	if (r->theirs != NULL)
		is_up(r);
	else
		end(BYE_ERROR, r->alert, r->by_peer, r->why);
}

/* Frames. */

static void
on_bye(const struct frame *f)
{
	char reason[LINK_REASON_SIZE];

	snprintf(reason, sizeof(reason), "peer closed the link: %s",
	    frame_bye_text(f->code));
	end(BYE_DONE, 0, true, reason);
}

static void
dispatch(const struct frame *f)
{
	struct frame pong = { .type = FRAME_PONG, .number = f->number };

	switch (f->type) {
	case FRAME_PING:
		link_send(&pong);
		break;
	case FRAME_PONG:
		on_pong(f);
		break;
	case FRAME_HAVE:
		pull_if_newer(f->seq, f->turns);
		break;
	case FRAME_PULL:
		if (lk.purpose == EVIDENCE_JOIN && !join_is_done())
			link_close(BYE_PROTOCOL,
			    "peer sent PULL before it was added");
		else
			pull_on_pull(f);
		break;
	case FRAME_LINES:
		pull_on_lines(f);
		break;
	case FRAME_CHALLENGE:
		reattest_on_challenge(f);
		break;
	case FRAME_EVIDENCE:
		reattest_on_evidence(f);
		break;
	case FRAME_JOIN:
		join_on_join(f);
		break;
	case FRAME_JOINED:
		joiner_on_joined(f);
		break;
	case FRAME_BYE:
		on_bye(f);
		break;
	default:
		link_close(BYE_PROTOCOL, "peer sent %s to who asked nothing",
		    frame_name(f->type));
		break;
	}
}

static void
take_frame(void)
{
	uint64_t now = link_now_us();
	struct frame f;

	counter_add(COUNTER_LINK_BYTES_IN, lk.in_len);
	if (lk.second != now / 1000000) {
		lk.second = now / 1000000;
		lk.frames = 0;
	}
	lk.heard_us = now;
	if (++lk.frames > FRAMES_A_SECOND)
		link_close(BYE_PROTOCOL, "peer floods: over %d frames a second",
		    FRAMES_A_SECOND);
	else if (frame_parse(lk.in[0], lk.in + FRAME_HEAD_LEN,
		     lk.in_len - FRAME_HEAD_LEN, &f) != 0)
		link_close(BYE_PROTOCOL, "peer sent a malformed %s",
		    frame_name(lk.in[0]));
	else
		dispatch(&f);
}

/* The head is there: how long is the frame, and may it be? */
static bool
take_head(void)
{
	const char *wrong;
	uint32_t len;
	uint8_t type;

	frame_head_get(lk.in, &type, &len);
	lk.in_need = FRAME_HEAD_LEN + (size_t)len;
	wrong = frame_head_check(lk.purpose, type, len);
	if (wrong != NULL)
		link_close(BYE_PROTOCOL, "peer sent %s (type %u, %u bytes)",
		    wrong, type, len);
	return wrong == NULL;
}

/* One more piece of the frame. False: nothing more now, or ever. */
static bool
read_some(void)
{
	ssize_t n;

	if (lk.in_len < lk.in_need) {
		n = atls_read(lk.tls, lk.in + lk.in_len,
		    lk.in_need - lk.in_len);
		if (n <= 0)
			return false; /* closed() or failed() says the rest */
		lk.in_len += (size_t)n;
		if (lk.in_len < lk.in_need)
			return true;
	}
	if (lk.in_need == FRAME_HEAD_LEN && !take_head())
		return false;
	if (lk.in_len == lk.in_need) {
		take_frame();
		lk.in_len = 0;
		lk.in_need = FRAME_HEAD_LEN;
	}
	return true;
}

static void
readable(struct atls *a, void *arg)
{
	uint8_t scrap[4096];

	(void)arg;
	while (lk.state == UP && read_some())
		;
	/* What comes after the end is taken, so that our BYE gets there. */
	while (lk.state == CLOSING && lk.tls != NULL &&
	    atls_read(a, scrap, sizeof(scrap)) > 0)
		;
}

static void
writable(struct atls *a, void *arg)
{
	/* A link that had to wait for room is closing already. */
	(void)a;
	(void)arg;
}

static void
tls_closed(struct atls *a, void *arg)
{
	(void)a;
	(void)arg;
	end(BYE_DONE, 0, true, "peer closed the connection");
}

static void
failed(struct atls *a, const char *why, void *arg)
{
	uint8_t alert;
	bool by_peer = greet_blames_peer(why, &alert);

	(void)a;
	(void)arg;
	end(BYE_ERROR, alert, by_peer, why);
	atls_free(lk.tls);
	lk.tls = NULL;
}

static const struct atls_ops ops = {
	.readable = readable,
	.writable = writable,
	.closed = tls_closed,
	.failed = failed,
};

/* The beginning. */

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	if (is_stranger())
		link_close(BYE_SILENT, "peer showed no ticket within %u ms",
		    lk.handshake_ms);
	else
		on_silence(fd, what, arg);
}

/* Of the purposes that a link can have; 0: there is no such link. */
static uint32_t
choose(const struct msg_LINK_SERVE *s)
{
	const uint32_t links =
	    GREET_PURPOSE(EVIDENCE_MESH) | GREET_PURPOSE(EVIDENCE_REGISTRY);
	const uint32_t joins = GREET_PURPOSE(EVIDENCE_JOIN);

	if (s->role == EVIDENCE_SERVER && s->purpose == 0)
		return s->joins ? links | joins : links;
	if (s->role == EVIDENCE_CLIENT && s->purpose < 32)
		return (links | joins) & GREET_PURPOSE(s->purpose);
	return 0;
}

static bool
is_idle(void)
{
	return lk.state == IDLE;
}

void
link_prepare(void)
{
	char why[256];

	lk.ctx = atls_ctx_new(why, sizeof(why));
	if (lk.ctx == NULL)
		fatalx("TLS: %s", why);
	rehearsal_prepare(lk.ctx, is_idle);
	lk.key = atls_key_new();
	if (lk.key == NULL)
		fatalx("out of memory");
	lk.in_need = FRAME_HEAD_LEN;
	lk.deadline = evtimer_new(child_base(), on_deadline, NULL);
	lk.closing = evtimer_new(child_base(), on_closing, NULL);
	lk.have = evtimer_new(child_base(), on_have_timer, NULL);
	if (lk.deadline == NULL || lk.closing == NULL || lk.have == NULL)
		fatalx("out of memory");
}

/* In the sandbox, which forks while it closes. */
void
link_start(void)
{
	rehearsal_start();
	child_ready();
}

bool
link_serve(const struct msg_LINK_SERVE *serve, int fd)
{
	struct greet_want want = { .role = serve->role,
		.purposes = choose(serve),
		.handshake_ms = serve->handshake_ms };
	EVP_PKEY *key = lk.key;

	if (want.purposes == 0)
		return false;
	lk.state = GREETING;
	lk.role = serve->role;
	lk.purpose = serve->purpose;
	lk.handshake_ms = serve->handshake_ms;
	lk.start_us = lk.heard_us = link_now_us();
	memcpy(want.nonce, serve->nonce, sizeof(want.nonce));
	lk.key = NULL;
	lk.greet = greet_new(lk.ctx, fd, key, &want, greeted, NULL);
	if (lk.greet == NULL)
		fatal("TLS");
	return true;
}
