/* SPDX-License-Identifier: ISC */
/*
 * atls.c - attested TLS 1.3 over a connected socket and libevent.
 *
 * Owns the socket, the SSL and the one-time key of one connection. A peer's
 * bytes enter through OpenSSL; what is bounded is said in atls_int.h.
 *
 * Everything happens in one function, step(), that the event loop runs: when
 * the socket is ready, when the owner has answered, and when something is owed
 * to the owner. So no callback runs within a call of the owner's, and the owner
 * may free the connection in any of them.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "common/atls_int.h"
#include "common/evidence.h"

#define WHOLE_MS 10000
#define ANSWER_MS 2000
#define READ_TURNS 64 /* records without data, in one atls_read() */
#define DRAIN_MAX 65536
#define EXPORTER "EXPORTER-claw-session"

static void step(struct atls *a);

static uint64_t
now_us(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct atls_ctx *
atls_ctx_new(char *why, size_t size)
{
	struct atls_ctx *ctx = calloc(1, sizeof(*ctx));
	const char *s;

	if (ctx == NULL) {
		(void)snprintf(why, size, "out of memory");
		return NULL;
	}
	if (atls_tls_init(ctx) != 0) {
		s = ERR_reason_error_string(ERR_peek_error());
		(void)snprintf(why, size, "OpenSSL cannot do what we need: %s",
		    s == NULL ? "no reason given" : s);
		ERR_clear_error();
		atls_ctx_free(ctx);
		return NULL;
	}
	atls_ctx_limits(ctx, WHOLE_MS, ANSWER_MS);
	return ctx;
}

void
atls_ctx_free(struct atls_ctx *ctx)
{
	if (ctx == NULL)
		return;
	atls_tls_fini(ctx);
	free(ctx);
}

void
atls_ctx_limits(struct atls_ctx *ctx, unsigned int whole, unsigned int answer)
{
	ctx->whole.tv_sec = whole / 1000;
	ctx->whole.tv_usec = whole % 1000 * 1000;
	ctx->answer.tv_sec = answer / 1000;
	ctx->answer.tv_usec = answer % 1000 * 1000;
}

int
atls_ctx_prefer_fast(struct atls_ctx *ctx)
{
	return atls_tls_prefer_fast(ctx);
}

EVP_PKEY *
atls_key_new(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (key != NULL)
		atls_blank_for(key);
	ERR_clear_error();
	return key;
}

/* --- the end ------------------------------------------------------------ */

static void
event_drop(struct event **ev)
{
	if (*ev != NULL)
		event_free(*ev);
	*ev = NULL;
}

static void
stop(struct atls *a)
{
	event_drop(&a->rd);
	event_drop(&a->wr);
	event_drop(&a->whole);
	event_drop(&a->answer);
}

void
atls_stop(struct atls *a)
{
	stop(a);
	event_drop(&a->kick);
}

static void
destroy(struct atls *a)
{
	/*
	 * OpenSSL leaks a fiber that is suspended: let it run to its end. It
	 * finds a refusal and a socket that is closed.
	 */
	if (a->ssl != NULL && SSL_waiting_for_async(a->ssl)) {
		a->verdict = ATLS_ANSWERED;
		a->alert = ATLS_BAD;
		(void)SSL_do_handshake(a->ssl);
	}
	SSL_free(a->ssl);
	ERR_clear_error();
	X509_free(a->x509);
	EVP_PKEY_free(a->key);
	OPENSSL_free(a->peer_leaf);
	if (a->queue != NULL)
		explicit_bzero(a->queue, ATLS_QUEUE_MAX);
	free(a->queue);
	free(a->batch);
	explicit_bzero(a, sizeof(*a));
	free(a);
}

void
atls_free(struct atls *a)
{
	if (a == NULL)
		return;
	atls_stop(a);
	if (a->fd != -1)
		(void)close(a->fd);
	a->fd = -1;
	a->state = ATLS_FAILED;
	a->freed = true;
	if (a->calls == 0)
		destroy(a);
}

/*
 * What the peer has sent and nobody will read: a socket that is closed over
 * unread bytes is reset, and a reset may overtake our alert.
 */
static void
drain(struct atls *a)
{
	char buf[4096];
	size_t all = 0;
	ssize_t n;

	(void)shutdown(a->fd, SHUT_WR);
	while (all < DRAIN_MAX) {
		n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n <= 0)
			break;
		all += (size_t)n;
	}
}

/* Only from step(). */
static void
fail(struct atls *a)
{
	char why[ATLS_WHY_SIZE];

	atls_why_text(a, why, sizeof(why));
	ERR_clear_error();
	stop(a);
	drain(a);
	a->state = ATLS_FAILED;
	a->ops->failed(a, why, a->arg);
}

/* From elsewhere: the reason is kept, and step() fails. */
static int
fail_later(struct atls *a)
{
	char why[ATLS_WHY_SIZE];

	atls_why_text(a, why, sizeof(why));
	ERR_clear_error();
	atls_why_set(a, "%s", why);
	event_active(a->kick, 0, 0);
	return -ENOTCONN;
}

/* --- the handshake ------------------------------------------------------ */

static void
ask(struct atls *a)
{
	if (a->leaf == ATLS_TO_ASK || a->verdict == ATLS_TO_ASK)
		(void)event_add(a->answer, &a->ctx->answer);
	if (a->leaf == ATLS_TO_ASK) {
		uint8_t spki[EVIDENCE_SPKI_LEN];

		a->leaf = ATLS_ASKED;
		a->times.leaf_asked = now_us();
		if (evidence_spki(a->key, spki) == 0)
			a->ops->want_leaf(a, a->peer_nonce, spki, sizeof(spki),
			    a->arg);
		else
			(void)atls_leaf(a, NULL, 0);
	} else if (a->verdict == ATLS_TO_ASK) {
		a->verdict = ATLS_ASKED;
		a->times.verdict_asked = now_us();
		a->ops->want_verdict(a, a->peer_leaf, a->peer_leaf_len, a->arg);
	}
}

static void
secure(struct atls *a)
{
	if (!atls_tls_complete(a)) {
		fail(a);
		return;
	}
	event_drop(&a->whole);
	event_drop(&a->answer);
	a->state = ATLS_SECURED;
	a->times.secured = now_us();
	a->read_again = true;
	event_active(a->kick, 0, 0);
	a->ops->secured(a, a->arg);
}

static void
shake(struct atls *a)
{
	int ret;

	if (a->leaf == ATLS_ASKED || a->verdict == ATLS_ASKED)
		return;
	ERR_clear_error();
	ret = SSL_do_handshake(a->ssl);
	if (ret == 1) {
		secure(a);
		return;
	}
	switch (SSL_get_error(a->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		/* Without AUTO_RETRY this may be said with bytes waiting. */
		if (a->blocked)
			(void)event_add(a->rd, NULL);
		else
			event_active(a->kick, 0, 0);
		break;
	case SSL_ERROR_WANT_WRITE:
		(void)event_add(a->wr, NULL);
		break;
	case SSL_ERROR_WANT_X509_LOOKUP:
	case SSL_ERROR_WANT_ASYNC:
		ask(a);
		break;
	default:
		fail(a);
	}
}

int
atls_leaf(struct atls *a, const uint8_t *der, size_t len)
{
	if (a->state != ATLS_HANDSHAKING || a->leaf != ATLS_ASKED)
		return -EINVAL;
	a->leaf = ATLS_ANSWERED;
	a->times.leaf_answered = now_us();
	(void)event_del(a->answer);
	event_active(a->kick, 0, 0);
	if (der == NULL) {
		atls_why_set(a, "no certificate was to be had for this peer");
		return 0;
	}
	a->x509 = atls_x509(a->key, der, len);
	if (a->x509 == NULL ||
	    evidence_hash(der, len, a->hash[ATLS_OWN]) != 0) {
		X509_free(a->x509);
		a->x509 = NULL;
		atls_why_set(a, "our own certificate cannot be read");
	} else
		a->have_hash[ATLS_OWN] = true;
	ERR_clear_error();
	return 0;
}

/* What is none of the five is the first of them, and never an acceptance. */
static int
one_of_ours(enum atls_alert alert)
{
	switch (alert) {
	case ATLS_ACCEPT:
	case ATLS_REVOKED:
	case ATLS_EXPIRED:
	case ATLS_UNKNOWN:
	case ATLS_POLICY:
		return (int)alert;
	case ATLS_BAD:
	default:
		return ATLS_BAD;
	}
}

int
atls_verdict(struct atls *a, enum atls_alert alert)
{
	if (a->state != ATLS_HANDSHAKING || a->verdict != ATLS_ASKED)
		return -EINVAL;
	a->verdict = ATLS_ANSWERED;
	a->alert = one_of_ours(alert);
	a->times.verdict_answered = now_us();
	(void)event_del(a->answer);
	event_active(a->kick, 0, 0);
	return 0;
}

/* --- after it ----------------------------------------------------------- */

/* Send what is queued, and our close_notify behind it. -ENOTCONN: failed. */
static int
flush(struct atls *a)
{
	size_t n;
	int ret = 1;

	while (a->queue_len > 0) {
		ERR_clear_error();
		ret = SSL_write_ex(a->ssl, a->queue + a->queue_at, a->queue_len,
		    &n);
		if (ret != 1)
			break;
		a->queue_at += n;
		a->queue_len -= n;
	}
	if (ret == 1 && a->shut && !a->shut_sent) {
		ERR_clear_error();
		ret = SSL_shutdown(a->ssl);
		if (ret >= 0) {
			a->shut_sent = true;
			(void)shutdown(a->fd, SHUT_WR);
			ret = 1;
		}
	}
	if (ret == 1)
		return 0;
	if (SSL_get_error(a->ssl, ret) != SSL_ERROR_WANT_WRITE)
		return fail_later(a);
	(void)event_add(a->wr, NULL);
	return 0;
}

/* Whether the connection is still there. */
static bool
tell(struct atls *a)
{
	if (a->write_due && a->queue_len <= ATLS_QUEUE_MAX / 2) {
		a->write_due = false;
		a->ops->writable(a, a->arg);
		if (a->freed)
			return false;
	}
	if (a->read_again && a->why[0] == '\0') {
		a->read_again = false;
		a->ops->readable(a, a->arg);
		if (a->freed)
			return false;
	}
	if (a->close_due && !a->close_told) {
		a->close_told = true;
		a->ops->closed(a, a->arg);
	}
	return !a->freed;
}

static void
step(struct atls *a)
{
	a->calls++;
	a->blocked = false;
	if (a->state == ATLS_HANDSHAKING)
		shake(a);
	else if (a->state == ATLS_SECURED) {
		if (a->why[0] == '\0')
			(void)flush(a);
		if (tell(a) && a->state == ATLS_SECURED && a->why[0] != '\0')
			fail(a);
	}
	a->calls--;
	if (a->freed && a->calls == 0)
		destroy(a);
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	struct atls *a = arg;

	(void)fd;
	(void)what;
	a->read_again = true;
	step(a);
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct atls *a = arg;

	(void)fd;
	(void)what;
	if (a->read_wants_write)
		a->read_again = true;
	a->read_wants_write = false;
	step(a);
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	step(arg);
}

static void
on_whole(evutil_socket_t fd, short what, void *arg)
{
	struct atls *a = arg;

	(void)fd;
	(void)what;
	atls_why_set(a, "no end of the handshake within %ld ms",
	    (long)a->ctx->whole.tv_sec * 1000 +
		(long)a->ctx->whole.tv_usec / 1000);
	a->calls++;
	fail(a);
	a->calls--;
	if (a->freed && a->calls == 0)
		destroy(a);
}

/* Nobody answered in time, and that is an answer. */
static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct atls *a = arg;
	long ms = (long)a->ctx->answer.tv_sec * 1000 +
	    (long)a->ctx->answer.tv_usec / 1000;

	(void)fd;
	(void)what;
	if (a->leaf == ATLS_ASKED) {
		atls_why_set(a, "no certificate of ours within %ld ms", ms);
		(void)atls_leaf(a, NULL, 0);
	} else if (a->verdict == ATLS_ASKED) {
		atls_why_set(a, "we refused the peer: no verdict within %ld ms",
		    ms);
		(void)atls_verdict(a, ATLS_BAD);
	}
}

ssize_t
atls_read(struct atls *a, void *buf, size_t n)
{
	unsigned int turn;
	size_t got;
	int ret;

	if (a->state != ATLS_SECURED || (a->why[0] != '\0' && !a->close_due))
		return -ENOTCONN;
	if (a->close_due || n == 0)
		return 0;
	for (turn = 0; turn < READ_TURNS; turn++) {
		ERR_clear_error();
		a->blocked = false;
		ret = SSL_read_ex(a->ssl, buf, n, &got);
		if (a->why[0] != '\0')
			return fail_later(a);
		if (ret == 1) {
			a->app_bytes += got;
			return (ssize_t)got;
		}
		switch (SSL_get_error(a->ssl, ret)) {
		case SSL_ERROR_WANT_READ:
			if (!a->blocked)
				continue;
			(void)event_add(a->rd, NULL);
			return -EAGAIN;
		case SSL_ERROR_WANT_WRITE:
			a->read_wants_write = true;
			(void)event_add(a->wr, NULL);
			return -EAGAIN;
		case SSL_ERROR_ZERO_RETURN:
			a->close_due = true;
			event_active(a->kick, 0, 0);
			return 0;
		default:
			return fail_later(a);
		}
	}
	a->read_again = true;
	event_active(a->kick, 0, 0);
	return -EAGAIN;
}

/* Keep what the socket did not take. There is room: atls_write() looked. */
static int
enqueue(struct atls *a, const uint8_t *data, size_t n)
{
	if (a->queue == NULL)
		a->queue = malloc(ATLS_QUEUE_MAX);
	if (a->queue == NULL) {
		atls_why_set(a, "no memory for what is to be sent");
		return fail_later(a);
	}
	if (a->queue_len == 0)
		a->queue_at = 0;
	if (n > ATLS_QUEUE_MAX - a->queue_at - a->queue_len) {
		memmove(a->queue, a->queue + a->queue_at, a->queue_len);
		a->queue_at = 0;
	}
	memcpy(a->queue + a->queue_at + a->queue_len, data, n);
	a->queue_len += n;
	(void)event_add(a->wr, NULL);
	return 0;
}

int
atls_write(struct atls *a, const void *buf, size_t n)
{
	const uint8_t *p = buf;
	size_t sent;
	int ret;

	if (a->state != ATLS_SECURED || a->shut || a->why[0] != '\0')
		return -ENOTCONN;
	if (n > ATLS_QUEUE_MAX)
		return -EMSGSIZE;
	if (n > ATLS_QUEUE_MAX - a->queue_len) {
		a->write_due = true;
		return -EAGAIN;
	}
	while (a->queue_len == 0 && n > 0) {
		ERR_clear_error();
		ret = SSL_write_ex(a->ssl, p, n, &sent);
		if (ret != 1) {
			if (SSL_get_error(a->ssl, ret) != SSL_ERROR_WANT_WRITE)
				return fail_later(a);
			break;
		}
		p += sent;
		n -= sent;
	}
	return n > 0 ? enqueue(a, p, n) : 0;
}

void
atls_shutdown(struct atls *a)
{
	if (a->state != ATLS_SECURED || a->shut || a->why[0] != '\0')
		return;
	a->shut = true;
	(void)flush(a);
}

/* --- making it, asking it ------------------------------------------------ */

static int
copy_alpns(struct atls *a, const char *const *alpns)
{
	size_t i, n;

	for (i = 0; alpns[i] != NULL; i++) {
		n = strlen(alpns[i]);
		if (n == 0 || n >= ATLS_ALPN_SIZE || i == ATLS_ALPN_MAX)
			return -EINVAL;
		a->alpns[a->alpns_len++] = (uint8_t)n;
		memcpy(a->alpns + a->alpns_len, alpns[i], n);
		a->alpns_len += n;
	}
	if (i == 0 || (a->role == ATLS_CLIENT && i != 1))
		return -EINVAL;
	return 0;
}

static int
make_events(struct atls *a, struct event_base *base)
{
	a->rd = event_new(base, a->fd, EV_READ, on_read, a);
	a->wr = event_new(base, a->fd, EV_WRITE, on_write, a);
	a->kick = event_new(base, -1, 0, on_kick, a);
	a->whole = event_new(base, -1, 0, on_whole, a);
	a->answer = event_new(base, -1, 0, on_answer, a);
	if (a->rd == NULL || a->wr == NULL || a->kick == NULL ||
	    a->whole == NULL || a->answer == NULL ||
	    event_add(a->whole, &a->ctx->whole) != 0)
		return -ENOMEM;
	event_active(a->kick, 0, 0);
	return 0;
}

struct atls *
atls_new(struct atls_ctx *ctx, struct event_base *base, int fd,
    enum atls_role role, const char *const *alpns,
    const uint8_t nonce[ATLS_NONCE_LEN], EVP_PKEY *key,
    const struct atls_ops *ops, void *arg)
{
	struct atls *a = calloc(1, sizeof(*a));
	int ret = -ENOMEM;

	if (a == NULL) {
		(void)close(fd);
		EVP_PKEY_free(key);
		errno = ENOMEM;
		return NULL;
	}
	a->ctx = ctx;
	a->ops = ops;
	a->arg = arg;
	a->role = role;
	a->fd = fd;
	a->key = key;
	a->alert_in = -1;
	a->times.start = now_us();
	memcpy(a->nonce, nonce, ATLS_NONCE_LEN);
	if (key == NULL || (role != ATLS_CLIENT && role != ATLS_SERVER))
		ret = -EINVAL;
	else
		ret = copy_alpns(a, alpns);
	if (ret == 0)
		ret = atls_tls_new(a);
	if (ret == 0)
		ret = make_events(a, base);
	if (ret == 0)
		return a;
	atls_free(a);
	errno = -ret;
	return NULL;
}

void
atls_own(struct atls *a, const struct atls_ops *new, void *arg)
{
	a->ops = new;
	a->arg = arg;
	if (a->state != ATLS_SECURED)
		return;
	a->read_again = true;
	event_active(a->kick, 0, 0);
}

size_t
atls_queued(const struct atls *a)
{
	return a->queue_len;
}

bool
atls_flushed(const struct atls *a)
{
	return a->shut_sent;
}

bool
atls_is_secured(const struct atls *a)
{
	return a->state == ATLS_SECURED;
}

int
atls_exporter(struct atls *a, uint8_t out[ATLS_HASH_LEN])
{
	uint8_t context[2 * ATLS_HASH_LEN];
	bool client = a->role == ATLS_CLIENT;

	if (a->state != ATLS_SECURED)
		return -ENOTCONN;
	memcpy(context, a->hash[client ? ATLS_OWN : ATLS_PEER], ATLS_HASH_LEN);
	memcpy(context + ATLS_HASH_LEN, a->hash[client ? ATLS_PEER : ATLS_OWN],
	    ATLS_HASH_LEN);
	if (SSL_export_keying_material(a->ssl, out, ATLS_HASH_LEN, EXPORTER,
		sizeof(EXPORTER) - 1, context, sizeof(context), 1) == 1)
		return 0;
	ERR_clear_error();
	return -ENOTCONN;
}

int
atls_leaf_hash(const struct atls *a, enum atls_whose whose,
    uint8_t out[ATLS_HASH_LEN])
{
	if (!a->have_hash[whose])
		return -ENOTCONN;
	memcpy(out, a->hash[whose], ATLS_HASH_LEN);
	return 0;
}

const uint8_t *
atls_peer_nonce(const struct atls *a)
{
	return a->have_nonce ? a->peer_nonce : NULL;
}

const char *
atls_alpn(const struct atls *a)
{
	return a->alpn[0] == '\0' ? NULL : a->alpn;
}

const char *
atls_suite(struct atls *a)
{
	const char *group;

	if (a->state != ATLS_SECURED)
		return "";
	if (a->suite[0] == '\0') {
		group = SSL_group_to_name(a->ssl,
		    (int)SSL_get_negotiated_group(a->ssl));
		(void)snprintf(a->suite, sizeof(a->suite), "%s %s",
		    SSL_get_cipher_name(a->ssl), group == NULL ? "?" : group);
	}
	return a->suite;
}

void
atls_times(const struct atls *a, struct atls_times *out)
{
	*out = a->times;
}
