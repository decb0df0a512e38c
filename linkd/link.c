/* SPDX-License-Identifier: ISC */
/*
 * link.c - the one connection of this process: from the socket to its end.
 *
 *	HANDSHAKE	attested TLS (common/atls.h): keyd is asked for our
 *			leaf, attestd for a verdict on the peer's
 *	WELCOME		secured; the server says WELCOME first, the client
 *			when it has read and checked that. Nothing else is
 *			sent or taken
 *	UP		frames, each judged by its head first
 *	CLOSING		all have been told; what is queued leaves, then exit
 *
 * Every wait has an end: the handshake and WELCOME together have the time
 * that meshd gave, a link that is up has to show life.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/counters.h"
#include "common/evidence.h"
#include "common/log.h"
#include "linkd/join.h"
#include "linkd/link.h"
#include "linkd/pull.h"
#include "linkd/reattest.h"

/* keyd and attestd each have this long to answer. */
#define ANSWER_MS 2000
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
	enum state { IDLE, HANDSHAKE, WELCOME, UP, CLOSING } state;
	struct atls_ctx *ctx;
	EVP_PKEY *key; /* until a connection takes it */
	struct atls *tls;
	uint8_t role, purpose;
	uint64_t start_us;
	uint32_t handshake_ms;
	struct event *deadline; /* of the handshake, then of silence */
	struct event *closing;
	unsigned int closing_ms;
	bool draining;

	/* Why it fails, where we know better than TLS does. */
	char why[LINK_REASON_SIZE];
	uint8_t alert;
	bool judged; /* it was attestd that refused the peer */

	uint8_t spki[LINK_SPKI_LEN];
	uint8_t own_nonce[32], peer_nonce[32];
	uint64_t until;
	uint64_t seq; /* our registry */
	uint8_t head[32];
	struct welcome mine;

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

_Static_assert(FRAME_MAX >= WELCOME_FRAME_MAX, "one buffer for both");

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

static void
end(enum frame_bye code, uint8_t alert, bool by_peer, const char *reason)
{
	struct timeval step = { 0, CLOSING_STEP_MS * 1000 };
	struct frame bye = { .type = FRAME_BYE, .code = (uint8_t)code };
	uint8_t out[FRAME_HEAD_LEN + 1];
	ssize_t n;

	if (lk.state == CLOSING)
		return;
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

/* The first thing that went wrong is the reason. */
__attribute__((format(printf, 1, 2))) static void
because(const char *fmt, ...)
{
	va_list ap;

	if (lk.why[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(lk.why, sizeof(lk.why), fmt, ap);
	va_end(ap);
}

/* Purposes and protocols. */

static const struct {
	const char *alpn;
	uint8_t purpose;
} protocols[] = {
	{ "claw-mesh/1", EVIDENCE_MESH },
	{ "claw-registry/1", EVIDENCE_REGISTRY },
	{ "claw-join/1", EVIDENCE_JOIN }, /* last: only where one is open */
};
#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

static uint8_t
purpose_of(const char *alpn)
{
	size_t i;

	for (i = 0; alpn != NULL && i < PROTOCOLS; i++)
		if (strcmp(protocols[i].alpn, alpn) == 0)
			return protocols[i].purpose;
	return 0;
}

/* NULL-terminated; false: there is no such link. */
static bool
choose_alpns(const struct msg_LINK_SERVE *s, const char *out[PROTOCOLS + 1])
{
	size_t i, n = 0;

	for (i = 0; i < PROTOCOLS; i++)
		if (s->role == EVIDENCE_SERVER ?
			protocols[i].purpose != EVIDENCE_JOIN || s->joins :
			protocols[i].purpose == s->purpose &&
			    s->purpose != EVIDENCE_JOIN)
			out[n++] = protocols[i].alpn;
	out[n] = NULL;
	return n > 0 &&
	    (s->role == EVIDENCE_SERVER ? s->purpose == 0 :
					  s->role == EVIDENCE_CLIENT);
}

/* The handshake's two questions. */

static void
on_leaf(struct chan *c, struct msg *m, void *arg)
{
	struct msg_LEAF_ISSUED issued;
	struct msg_REFUSED no;

	(void)c;
	(void)arg;
	if (lk.state != HANDSHAKE)
		return;
	if (m == NULL) {
		because("keyd is gone");
		(void)atls_leaf(lk.tls, NULL, 0);
	} else if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		because("no leaf from keyd: %.200s", no.text);
		(void)atls_leaf(lk.tls, NULL, 0);
	} else {
		if (!msg_get_LEAF_ISSUED(&m->body, &issued))
			fatalx("malformed LEAF_ISSUED");
		(void)atls_leaf(lk.tls, issued.leaf, issued.leaf_len);
	}
}

static void
want_leaf(struct atls *a, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_LEAF ask = { 0 };

	(void)arg;
	lk.purpose = purpose_of(atls_alpn(a));
	if (lk.role == EVIDENCE_CLIENT && lk.purpose == 0)
		lk.purpose = lk.mine.role; /* not said yet: see link_serve() */
	if (keyd == NULL || len != sizeof(lk.spki) || lk.purpose == 0) {
		because(keyd == NULL ? "keyd is gone" : "no such protocol");
		(void)atls_leaf(a, NULL, 0);
		return;
	}
	memcpy(lk.spki, spki, sizeof(lk.spki));
	memcpy(lk.peer_nonce, nonce, sizeof(lk.peer_nonce));
	ask.purpose = lk.purpose;
	memcpy(ask.spki, spki, sizeof(ask.spki));
	memcpy(ask.verifier, nonce, sizeof(ask.verifier));
	memcpy(ask.prover, lk.own_nonce, sizeof(ask.prover));
	(void)chan_send_LEAF(keyd, chan_ask(keyd, MSG_LEAF, on_leaf, NULL), -1,
	    &ask);
}
