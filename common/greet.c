/* SPDX-License-Identifier: ISC */
/*
 * greet.c - a worker's connection, from a socket to WELCOME said by both.
 *
 * Owns the connection until then. A peer's bytes come in through atls, and
 * here as one frame of WELCOME's length at most.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/greet.h"
#include "common/log.h"

struct greet {
	enum { NONCE, HANDSHAKE, WELCOME, OVER } state;
	struct greet_want want;
	struct atls_ctx *ctx;
	int fd;	       /* until a connection has it, */
	EVP_PKEY *key; /* and this */
	struct atls *tls;
	struct event *deadline;
	uint32_t nonce_id, leaf_id, verdict_id; /* asked; 0: not */
	struct greet_result r;
	struct welcome mine, theirs;
	uint8_t in[WELCOME_FRAME_MAX];
	size_t in_len, in_need;
	greet_done *done;
	void *arg;
};

static const struct {
	const char *alpn;
	uint8_t purpose;
} protocols[] = {
	{ "claw-mesh/1", EVIDENCE_MESH },
	{ "claw-registry/1", EVIDENCE_REGISTRY },
	{ "claw-join/1", EVIDENCE_JOIN },
	{ "claw-sft/1", EVIDENCE_SFT },
};
#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

const char *
greet_protocol(uint8_t purpose)
{
	size_t i;

	for (i = 0; i < PROTOCOLS; i++)
		if (protocols[i].purpose == purpose)
			return protocols[i].alpn;
	return NULL;
}

static uint8_t
purpose_of(const char *alpn)
{
	size_t i;

	for (i = 0; alpn != NULL && i < PROTOCOLS; i++)
		if (strcmp(protocols[i].alpn, alpn) == 0)
			return protocols[i].purpose;
	return 0;
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The first thing that went wrong is the reason. */
__attribute__((format(printf, 2, 3))) static void
because(struct greet *g, const char *fmt, ...)
{
	va_list ap;

	if (g->r.why[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(g->r.why, sizeof(g->r.why), fmt, ap);
	va_end(ap);
}

/* The end. */

static void
cancel(enum proc p, uint32_t *id)
{
	if (*id != 0 && child_peer(p) != NULL)
		chan_cancel(child_peer(p), *id);
	*id = 0;
}

/* All but the connection. */
static void
destroy(struct greet *g)
{
	cancel(PROC_ATTESTD, &g->nonce_id);
	cancel(PROC_KEYD, &g->leaf_id);
	cancel(PROC_ATTESTD, &g->verdict_id);
	if (g->deadline != NULL)
		event_free(g->deadline);
	if (g->fd != -1)
		(void)close(g->fd);
	EVP_PKEY_free(g->key);
	explicit_bzero(g, sizeof(*g));
	free(g);
}

static void
finish(struct greet *g)
{
	g->state = OVER;
	g->r.tls = g->tls;
	g->tls = NULL;
	g->done(g, &g->r, g->arg);
	destroy(g);
}

static void
fail(struct greet *g, bool by_peer)
{
	g->r.by_peer = by_peer;
	finish(g);
}

struct atls *
greet_give_up(struct greet *g, char why[GREET_REASON_SIZE])
{
	struct atls *tls = g->tls;

	memcpy(why, g->r.why, GREET_REASON_SIZE);
	destroy(g);
	return tls;
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct greet *g = arg;

	(void)fd;
	(void)what;
	/* What a question has met with before is not why we stop now. */
	g->r.why[0] = '\0';
	g->r.alert = 0;
	because(g,
	    g->state == WELCOME ? "peer sent no WELCOME within %u ms" :
				  "the handshake was not over within %u ms",
	    g->want.handshake_ms);
	fail(g, false);
}

/* The handshake's two questions. */

/* keyd has put our name there. */
static void
read_own_name(struct greet *g, const struct msg_LEAF_ISSUED *issued)
{
	uint8_t sig[EVIDENCE_SIG_LEN];
	struct evidence ev;

	if (evidence_parse(issued->leaf, issued->leaf_len, &ev, sig) == 0)
		memcpy(g->r.own, ev.name, sizeof(g->r.own));
}

static void
on_leaf(struct chan *c, struct msg *m, void *arg)
{
	struct msg_LEAF_ISSUED issued;
	struct greet *g = arg;
	struct msg_REFUSED no;

	(void)c;
	g->leaf_id = 0;
	if (m == NULL) {
		because(g, "keyd is gone");
		(void)atls_leaf(g->tls, NULL, 0);
	} else if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		because(g, "no leaf from keyd: %.200s", no.text);
		(void)atls_leaf(g->tls, NULL, 0);
	} else {
		if (!msg_get_LEAF_ISSUED(&m->body, &issued))
			fatalx("malformed LEAF_ISSUED");
		read_own_name(g, &issued);
		(void)atls_leaf(g->tls, issued.leaf, issued.leaf_len);
	}
}

static void
want_leaf(struct atls *a, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_LEAF ask = { 0 };
	struct greet *g = arg;

	if (g->want.role == EVIDENCE_SERVER)
		g->r.purpose = purpose_of(atls_alpn(a));
	if (keyd == NULL || len != sizeof(g->r.spki) || g->r.purpose == 0) {
		because(g, keyd == NULL ? "keyd is gone" : "no such protocol");
		(void)atls_leaf(a, NULL, 0);
		return;
	}
	memcpy(g->r.spki, spki, sizeof(g->r.spki));
	memcpy(g->r.peer_nonce, nonce, sizeof(g->r.peer_nonce));
	ask.purpose = g->r.purpose;
	memcpy(ask.spki, spki, sizeof(ask.spki));
	memcpy(ask.verifier, nonce, sizeof(ask.verifier));
	memcpy(ask.prover, g->r.own_nonce, sizeof(ask.prover));
	g->leaf_id = chan_ask(keyd, MSG_LEAF, on_leaf, g);
	(void)chan_send_LEAF(keyd, g->leaf_id, -1, &ask);
}

static enum atls_alert
alert_of(uint8_t alert)
{
	switch (alert) {
	case ATLS_ACCEPT:
	case ATLS_REVOKED:
	case ATLS_EXPIRED:
	case ATLS_UNKNOWN:
	case ATLS_POLICY:
		return (enum atls_alert)alert;
	default:
		return ATLS_BAD;
	}
}

void
greet_own_head(struct greet *g, uint64_t seq, const uint8_t head[32],
    const uint8_t turns[32])
{
	if (seq < g->r.seq)
		return;
	g->r.seq = seq;
	memcpy(g->r.head, head, sizeof(g->r.head));
	memcpy(g->r.turns, turns, sizeof(g->r.turns));
}

static void
accept_peer(struct greet *g, const struct msg_VERDICT *v)
{
	g->r.until = v->until;
	g->r.capabilities = v->capabilities;
	snprintf(g->r.peer, sizeof(g->r.peer), "%s", v->peer);
	greet_own_head(g, v->seq, v->head, v->turns);
	g->mine.mine_len = v->checkpoint_len;
	memcpy(g->mine.mine, v->checkpoint, v->checkpoint_len);
	g->mine.yours_len = v->theirs_len;
	memcpy(g->mine.yours, v->theirs, v->theirs_len);
}

static void
on_verdict(struct chan *c, struct msg *m, void *arg)
{
	struct greet *g = arg;
	struct msg_VERDICT v;
	struct msg_REFUSED no;

	(void)c;
	g->verdict_id = 0;
	if (m == NULL || m->type == MSG_REFUSED) {
		if (m != NULL && !msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		because(g, "no verdict from attestd: %.200s",
		    m == NULL ? "it is gone" : no.text);
		g->r.judged = m != NULL;
		g->r.alert = ATLS_BAD;
		(void)atls_verdict(g->tls, ATLS_BAD);
		return;
	}
	if (!msg_get_VERDICT(&m->body, &v))
		fatalx("malformed VERDICT");
	if (v.alert == ATLS_ACCEPT)
		accept_peer(g, &v);
	else {
		g->r.judged = true;
		g->r.alert = (uint8_t)alert_of(v.alert);
		because(g, "%s", v.reason);
	}
	(void)atls_verdict(g->tls, alert_of(v.alert));
}

static void
want_verdict(struct atls *a, const uint8_t *leaf, size_t len, void *arg)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	const uint8_t *nonce = atls_peer_nonce(a);
	struct greet *g = arg;
	struct msg_JUDGE ask = { .purpose = g->r.purpose,
		.leaf = leaf,
		.leaf_len = (uint16_t)len };

	if (attestd == NULL || nonce == NULL || len > 1024) {
		because(g,
		    attestd == NULL ? "attestd is gone" :
				      "the peer's leaf is none");
		g->r.alert = ATLS_BAD;
		(void)atls_verdict(a, ATLS_BAD);
		return;
	}
	memcpy(ask.prover, nonce, sizeof(ask.prover));
	g->verdict_id = chan_ask(attestd, MSG_JUDGE, on_verdict, g);
	(void)chan_send_JUDGE(attestd, g->verdict_id, -1, &ask);
}

/* WELCOME. */

static bool
say_welcome(struct greet *g)
{
	uint8_t out[WELCOME_FRAME_MAX];
	ssize_t n;

	g->mine.seq = g->r.seq;
	memcpy(g->mine.head, g->r.head, sizeof(g->mine.head));
	n = welcome_format(&g->mine, out, sizeof(out));
	if (n < 0)
		fatalx("WELCOME cannot be sent: %s", strerror((int)-n));
	g->r.bytes_out = (size_t)n;
	/* If it fails, failed() follows and says why. */
	return atls_write(g->tls, out, (size_t)n) == 0;
}

static bool
bind_session(struct greet *g)
{
	return atls_exporter(g->tls, g->mine.exporter) == 0 &&
	    atls_leaf_hash(g->tls, ATLS_OWN, g->mine.own_leaf) == 0 &&
	    atls_leaf_hash(g->tls, ATLS_PEER, g->mine.peer_leaf) == 0;
}

static void
secured(struct atls *a, void *arg)
{
	struct greet *g = arg;

	if (purpose_of(atls_alpn(a)) != g->r.purpose || !bind_session(g)) {
		because(g, "peer agreed to another protocol");
		fail(g, false);
		return;
	}
	g->state = WELCOME;
	g->mine.role = g->want.role;
	/* The peer's is compared with this before a client says its own. */
	g->mine.seq = g->r.seq;
	memcpy(g->mine.head, g->r.head, sizeof(g->mine.head));
	if (g->want.role == EVIDENCE_SERVER)
		(void)say_welcome(g);
}

static bool
same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* attestd gave us what it holds of either log with its verdict. */
static bool
shows_news(const struct greet *g)
{
	return !same(g->theirs.mine, g->theirs.mine_len, g->mine.yours,
		   g->mine.yours_len) ||
	    !same(g->theirs.yours, g->theirs.yours_len, g->mine.mine,
		g->mine.mine_len);
}

static void
take_welcome(struct greet *g)
{
	const char *differs;

	if (welcome_parse(g->in, g->in_len, &g->theirs) != 0) {
		because(g, "peer's WELCOME is malformed");
		fail(g, false);
		return;
	}
	differs = welcome_check(&g->mine, &g->theirs);
	if (differs != NULL) {
		because(g, "peer's WELCOME is not of this session: another %s",
		    differs);
		fail(g, false);
		return;
	}
	if (g->want.role == EVIDENCE_CLIENT && !say_welcome(g))
		return;
	g->r.bytes_in = g->in_len;
	g->r.news = shows_news(g);
	g->r.theirs = &g->theirs;
	finish(g);
}

/* The head is there: is it WELCOME's? */
static bool
take_head(struct greet *g)
{
	ssize_t n = welcome_len(g->in);
	uint32_t len;
	uint8_t type;

	if (n >= 0) {
		g->in_need = (size_t)n;
		return true;
	}
	frame_head_get(g->in, &type, &len);
	because(g, "peer sent something before WELCOME (type %u, %u bytes)",
	    type, len);
	fail(g, false);
	return false;
}

static void
readable(struct atls *a, void *arg)
{
	struct greet *g = arg;
	ssize_t n;

	while (g->state == WELCOME) {
		n = atls_read(a, g->in + g->in_len, g->in_need - g->in_len);
		if (n <= 0)
			return; /* closed() or failed() says the rest */
		g->in_len += (size_t)n;
		if (g->in_len < g->in_need)
			continue;
		if (g->in_need > FRAME_HEAD_LEN) {
			take_welcome(g);
			return;
		}
		if (!take_head(g))
			return;
	}
}

static void
writable(struct atls *a, void *arg)
{
	(void)a;
	(void)arg;
}

static void
tls_closed(struct atls *a, void *arg)
{
	struct greet *g = arg;

	(void)a;
	because(g,
	    g->state == WELCOME ? "peer closed before its WELCOME" :
				  "peer closed the connection");
	fail(g, true);
}

/*
 * atls says whose doing it was in words; an alert that the peer sent stands
 * at the end in brackets.
 */
bool
greet_blames_peer(const char *why, uint8_t *alert)
{
	bool by_peer = strncmp(why, "peer refused us", 15) == 0 ||
	    strncmp(why, "peer ended the session", 22) == 0;
	const char *at = strstr(why, "(alert ");

	*alert = by_peer && at != NULL ? (uint8_t)strtoul(at + 7, NULL, 10) : 0;
	return by_peer;
}

static void
failed(struct atls *a, const char *why, void *arg)
{
	struct greet *g = arg;
	uint8_t alert;
	bool by_peer = greet_blames_peer(why, &alert) && g->r.alert == 0;

	because(g, "%s", why);
	if (g->r.alert == 0)
		g->r.alert = alert;
	atls_free(a);
	g->tls = NULL;
	fail(g, by_peer);
}

static const struct atls_ops ops = {
	.want_leaf = want_leaf,
	.want_verdict = want_verdict,
	.secured = secured,
	.readable = readable,
	.writable = writable,
	.closed = tls_closed,
	.failed = failed,
};

/* The beginning. */

/* NULL-terminated, in the table's order. */
static void
choose(uint32_t purposes, const char *out[PROTOCOLS + 1])
{
	size_t i, n = 0;

	for (i = 0; i < PROTOCOLS; i++)
		if ((purposes & GREET_PURPOSE(protocols[i].purpose)) != 0)
			out[n++] = protocols[i].alpn;
	out[n] = NULL;
}

static int
begin(struct greet *g)
{
	const char *alpns[PROTOCOLS + 1];
	EVP_PKEY *key = g->key;
	int fd = g->fd;

	choose(g->want.purposes, alpns);
	if (g->want.role == EVIDENCE_CLIENT && alpns[0] != NULL)
		g->r.purpose = purpose_of(alpns[0]);
	atls_ctx_limits(g->ctx, g->want.handshake_ms + 1000, GREET_ANSWER_MS);
	g->key = NULL;
	g->fd = -1;
	g->state = HANDSHAKE;
	g->tls = atls_new(g->ctx, child_base(), fd,
	    g->want.role == EVIDENCE_SERVER ? ATLS_SERVER : ATLS_CLIENT, alpns,
	    g->r.own_nonce, key, &ops, g);
	return g->tls == NULL ? -errno : 0;
}

static void
on_nonce(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REFUSED no = { .text = "it is gone" };
	struct msg_NONCE nonce;
	struct greet *g = arg;
	int r;

	(void)c;
	g->nonce_id = 0;
	if (m == NULL || m->type == MSG_REFUSED) {
		if (m != NULL && !msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		because(g, "no challenge from attestd: %.200s", no.text);
		fail(g, false);
		return;
	}
	if (!msg_get_NONCE(&m->body, &nonce))
		fatalx("malformed NONCE");
	memcpy(g->r.own_nonce, nonce.nonce, sizeof(g->r.own_nonce));
	if ((r = begin(g)) != 0) {
		because(g, "TLS: %s", strerror(-r));
		fail(g, false);
	}
}

/* 0, or a negative errno. */
static int
ask_nonce(struct greet *g)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_RENONCE ask = { 0 };

	g->state = NONCE;
	if (attestd == NULL)
		return -ENOTCONN;
	g->nonce_id = chan_ask(attestd, MSG_RENONCE, on_nonce, g);
	return chan_send_RENONCE(attestd, g->nonce_id, -1, &ask);
}

/* Who knows what it offers; a client offers one thing. */
static bool
is_sound(const struct greet_want *want)
{
	uint32_t p = want->purposes;

	if (want->role == EVIDENCE_SERVER)
		return p != 0;
	return want->role == EVIDENCE_CLIENT && p != 0 && (p & (p - 1)) == 0;
}

struct greet *
greet_new(struct atls_ctx *ctx, int fd, EVP_PKEY *key,
    const struct greet_want *want, greet_done *done, void *arg)
{
	struct timeval tv = { want->handshake_ms / 1000,
		(suseconds_t)(want->handshake_ms % 1000) * 1000 };
	struct greet *g = calloc(1, sizeof(*g));
	int r = -ENOMEM;

	if (g == NULL) {
		(void)close(fd);
		EVP_PKEY_free(key);
		errno = ENOMEM;
		return NULL;
	}
	g->ctx = ctx;
	g->fd = fd;
	g->key = key;
	g->want = *want;
	g->done = done;
	g->arg = arg;
	g->in_need = FRAME_HEAD_LEN;
	g->r.start_us = now_us();
	memcpy(g->r.own_nonce, want->nonce, sizeof(g->r.own_nonce));
	g->deadline = evtimer_new(child_base(), on_deadline, g);
	if (key == NULL || !is_sound(want))
		r = -EINVAL;
	else if (g->deadline != NULL && evtimer_add(g->deadline, &tv) == 0)
		r = want->renonce ? ask_nonce(g) : begin(g);
	if (r == 0)
		return g;
	destroy(g);
	errno = -r;
	return NULL;
}
