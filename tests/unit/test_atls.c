/* SPDX-License-Identifier: ISC */
/*
 * test_atls.c - no byte before both have judged, and both know why not.
 *
 * Ends of ours and, where an end must misbehave, OpenSSL's own, over socket
 * pairs on one event base.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/atls_int.h"
#include "common/evidence.h"

#define EXT 0xff41
#define PATIENCE_S 60
#define BULK (3 * ATLS_QUEUE_MAX)

/* When an end of ours is to be freed in the middle. */
enum moment {
	NEVER,
	AT_LEAF,
	AT_VERDICT,
	AT_SECURED,
	AT_READABLE,
	AT_CLOSED,
	AT_FAILED,
	MOMENTS
};

struct end {
	struct atls *a;
	enum atls_role role;
	/* what it shall do */
	int verdict;  /* an alert, 0, or -1: none */
	int leaf;     /* 1: a good one, 0: none to be had, -1: no answer */
	int delay_ms; /* before either answer */
	enum moment die;
	const char *say; /* once secured */
	size_t want;	 /* reads no more than this */
	/* what it saw */
	int leaf_asked, verdict_asked, secured, closed, failed, writable;
	char why[256];
	char heard[64];
	size_t heard_len;
	struct event *later;
};

static struct event_base *base;
static struct atls_ctx *ctx;
static EVP_PKEY *identity;
static uint8_t identity_pub[32];
static struct end c, s;
static const char *const mesh[] = { "claw-mesh/1", NULL };
static const char *const sft[] = { "claw-sft/1", NULL };
static const char *const both[] = { "claw-sft/1", "claw-mesh/1", NULL };

/* --- ends of ours ------------------------------------------------------- */

static size_t
issue(uint8_t role, const uint8_t nonce[32], const uint8_t *spki,
    uint8_t cert[EVIDENCE_CERT_MAX])
{
	uint8_t tbs[EVIDENCE_TBS_MAX], sig[EVIDENCE_SIG_LEN];
	struct evidence ev = { 0 };
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	size_t siglen = sizeof(sig);
	ssize_t n;

	ev.role = role;
	ev.purpose = EVIDENCE_MESH;
	(void)snprintf(ev.name, sizeof(ev.name), "node-%u", role);
	memcpy(ev.verifier_nonce, nonce, 32);
	ev.not_before = 1795270217;
	ev.not_after = ev.not_before + EVIDENCE_VALID_MAX;
	memcpy(ev.spki, spki, EVIDENCE_SPKI_LEN);
	n = evidence_tbs(&ev, tbs, sizeof(tbs));
	assert_true(n > 0);
	assert_int_equal(EVP_DigestSignInit(m, NULL, NULL, NULL, identity), 1);
	assert_int_equal(EVP_DigestSign(m, sig, &siglen, tbs, (size_t)n), 1);
	EVP_MD_CTX_free(m);
	n = evidence_cert(tbs, (size_t)n, sig, cert, EVIDENCE_CERT_MAX);
	assert_true(n > 0);
	return (size_t)n;
}

static bool
dies(struct end *e, enum moment now)
{
	if (e->die != now)
		return false;
	atls_free(e->a);
	e->a = NULL;
	return true;
}

static uint8_t spki_of[3][EVIDENCE_SPKI_LEN];

static void
answer(evutil_socket_t fd, short what, void *arg)
{
	uint8_t cert[EVIDENCE_CERT_MAX];
	struct end *e = arg;
	size_t n;

	(void)fd;
	(void)what;
	if (e->a == NULL)
		return;
	/* What is not asked now is refused, and nothing comes of it. */
	(void)atls_verdict(e->a, (enum atls_alert)e->verdict);
	if (!e->leaf_asked || e->leaf < 0)
		return;
	if (e->leaf == 0) {
		(void)atls_leaf(e->a, NULL, 0);
		return;
	}
	n = issue((uint8_t)e->role, atls_peer_nonce(e->a), spki_of[e->role],
	    cert);
	(void)atls_leaf(e->a, cert, n);
}

static void
soon(struct end *e)
{
	struct timeval tv = { 0, e->delay_ms * 1000 };

	if (e->delay_ms == 0)
		answer(-1, 0, e);
	else
		assert_int_equal(event_add(e->later, &tv), 0);
}

static void
want_leaf(struct atls *a, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	struct end *e = arg;

	e->leaf_asked++;
	assert_int_equal(len, EVIDENCE_SPKI_LEN);
	assert_memory_equal(nonce, atls_peer_nonce(a), ATLS_NONCE_LEN);
	memcpy(spki_of[e->role], spki, len);
	assert_int_equal(atls_read(a, &(char){ 0 }, 1), -ENOTCONN);
	assert_int_equal(atls_write(a, "x", 1), -ENOTCONN);
	if (!dies(e, AT_LEAF) && e->leaf >= 0)
		soon(e);
}

/* What attestd does, as far as it matters here. */
static void
want_verdict(struct atls *a, const uint8_t *leaf, size_t len, void *arg)
{
	struct end *e = arg;
	struct evidence ev;
	uint8_t sig[EVIDENCE_SIG_LEN], hash[ATLS_HASH_LEN];

	e->verdict_asked++;
	assert_int_equal(evidence_parse(leaf, len, &ev, sig), 0);
	assert_int_equal(evidence_verify_sig(&ev, sig, identity_pub), 0);
	assert_int_equal(ev.role, 3 - e->role);
	assert_int_equal(ev.verifier_nonce[0], 0x10 + e->role);
	assert_int_equal(atls_leaf_hash(a, ATLS_PEER, hash), 0);
	assert_int_equal(atls_read(a, &(char){ 0 }, 1), -ENOTCONN);
	assert_int_equal(atls_write(a, "x", 1), -ENOTCONN);
	if (!dies(e, AT_VERDICT) && e->verdict >= 0)
		soon(e);
}

static void
secured(struct atls *a, void *arg)
{
	struct end *e = arg;

	assert_int_equal(e->heard_len, 0);
	assert_int_equal(e->leaf_asked, 1);
	assert_int_equal(e->verdict_asked, 1);
	e->secured++;
	/* The other end may be gone already. */
	if (e->say != NULL)
		(void)atls_write(a, e->say, strlen(e->say));
	(void)dies(e, AT_SECURED);
}

static void
readable(struct atls *a, void *arg)
{
	struct end *e = arg;
	char buf[8192];
	ssize_t n;

	assert_int_equal(e->secured, 1);
	while (e->heard_len < e->want) {
		n = atls_read(a, buf, sizeof(buf));
		if (n <= 0)
			return;
		if (e->heard_len + (size_t)n < sizeof(e->heard))
			memcpy(e->heard + e->heard_len, buf, (size_t)n);
		e->heard_len += (size_t)n;
		if (dies(e, AT_READABLE))
			return;
	}
}

static void
writable(struct atls *a, void *arg)
{
	(void)a;
	((struct end *)arg)->writable++;
}

static void
closed(struct atls *a, void *arg)
{
	struct end *e = arg;

	e->closed++;
	assert_int_equal(atls_read(a, &(char){ 0 }, 1), 0);
	(void)dies(e, AT_CLOSED);
}

static void
failed(struct atls *a, const char *why, void *arg)
{
	struct end *e = arg;

	e->failed++;
	(void)snprintf(e->why, sizeof(e->why), "%s", why);
	assert_false(atls_is_secured(a));
	assert_int_equal(atls_read(a, &(char){ 0 }, 1), -ENOTCONN);
	assert_int_equal(atls_write(a, "x", 1), -ENOTCONN);
	(void)dies(e, AT_FAILED);
}

static const struct atls_ops ops = { want_leaf, want_verdict, secured, readable,
	writable, closed, failed };

static void
open_end(struct end *e, int fd, const char *const *alpns)
{
	uint8_t nonce[ATLS_NONCE_LEN];

	memset(nonce, 0x10 + (int)e->role, sizeof(nonce));
	e->a = atls_new(ctx, base, fd, e->role, alpns, nonce, atls_key_new(),
	    &ops, e);
	assert_non_null(e->a);
}

static void
sockets(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX,
			     SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd),
	    0);
}

static void
pair(const char *const *client, const char *const *server)
{
	int fd[2];

	sockets(fd);
	open_end(&c, fd[0], client);
	open_end(&s, fd[1], server);
}

static void
late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* Run the loop until the condition holds. */
#define UNTIL(condition)                                                       \
	do {                                                                   \
		struct timeval tv = { PATIENCE_S, 0 };                         \
		bool too_late = false;                                         \
		struct event *ev = evtimer_new(base, late, &too_late);         \
		(void)event_add(ev, &tv);                                      \
		while (!(condition) && !too_late)                              \
			(void)event_base_loop(base, EVLOOP_ONCE);              \
		event_free(ev);                                                \
		if (too_late)                                                  \
			fail_msg("client: %s; server: %s", c.why, s.why);      \
	} while (0)

static void
idle(void)
{
	int i;

	for (i = 0; i < 20; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
}

static int
setup(void **state)
{
	(void)state;
	/* A new one: an assertion that fails in a callback leaves it busy. */
	base = event_base_new();
	if (base == NULL)
		return -1;
	memset(&c, 0, sizeof(c));
	memset(&s, 0, sizeof(s));
	c.role = ATLS_CLIENT;
	s.role = ATLS_SERVER;
	c.leaf = s.leaf = 1;
	c.want = s.want = SIZE_MAX;
	c.later = event_new(base, -1, 0, answer, &c);
	s.later = event_new(base, -1, 0, answer, &s);
	atls_ctx_limits(ctx, PATIENCE_S * 1000, PATIENCE_S * 1000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	event_free(c.later);
	event_free(s.later);
	atls_free(c.a);
	atls_free(s.a);
	event_base_free(base);
	ERR_clear_error();
	return 0;
}

/* --- ends that are OpenSSL's -------------------------------------------- */

struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
	bool certify; /* shows evidence, for the key below */
	bool mark;    /* sends the extension in Certificate, too */
	bool twice;   /* the certificate, and once more */
	EVP_PKEY *key;
	uint8_t nonce[33]; /* of the other side, behind its version */
};

static struct raw raw;

static int
raw_add(SSL *ssl, unsigned int type, unsigned int context,
    const unsigned char **out, size_t *len, X509 *x, size_t i, int *al,
    void *arg)
{
	static const uint8_t mark[] = { 1 };
	static uint8_t nonce[33];

	(void)ssl, (void)type, (void)x, (void)al, (void)arg;
	memset(nonce, 0x10 + (SSL_is_server(ssl) ? 2 : 1), sizeof(nonce));
	nonce[0] = 1;
	if ((context & SSL_EXT_TLS1_3_CERTIFICATE) != 0) {
		*out = mark;
		*len = 1;
		return raw.mark && i == 0;
	}
	*out = nonce;
	*len = sizeof(nonce);
	return 1;
}

static int
raw_parse(SSL *ssl, unsigned int type, unsigned int context,
    const unsigned char *in, size_t len, X509 *x, size_t i, int *al, void *arg)
{
	(void)ssl, (void)type, (void)x, (void)i, (void)al, (void)arg;
	if ((context & SSL_EXT_TLS1_3_CERTIFICATE) == 0 &&
	    len == sizeof(raw.nonce))
		memcpy(raw.nonce, in, len);
	return 1;
}

static int
raw_cert(SSL *ssl, void *arg)
{
	uint8_t cert[EVIDENCE_CERT_MAX], spki[EVIDENCE_SPKI_LEN], *p = spki;
	const uint8_t *q = cert;
	size_t n;
	X509 *x;

	(void)arg;
	if (!raw.certify)
		return 1;
	assert_int_equal(i2d_PUBKEY(raw.key, &p), sizeof(spki));
	n = issue(SSL_is_server(ssl) ? 2 : 1, raw.nonce + 1, spki, cert);
	x = d2i_X509(NULL, &q, (long)n);
	assert_int_equal(SSL_use_certificate(ssl, x), 1);
	assert_int_equal(SSL_use_PrivateKey(ssl, raw.key), 1);
	if (raw.twice)
		assert_int_equal(SSL_add1_chain_cert(ssl, x), 1);
	X509_free(x);
	return 1;
}

static int
raw_trust(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static int
raw_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	(void)ssl, (void)inlen, (void)arg;
	*out = in + 1;
	*outlen = in[0];
	return SSL_TLSEXT_ERR_OK;
}

/* An end that does everything right until a test changes it. */
static void
raw_new(bool server)
{
	memset(&raw, 0, sizeof(raw));
	raw.certify = raw.mark = true;
	raw.key = EVP_EC_gen("P-256");
	raw.ctx =
	    SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	assert_non_null(raw.ctx);
	SSL_CTX_set_verify(raw.ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(raw.ctx, raw_trust, NULL);
	SSL_CTX_set_cert_cb(raw.ctx, raw_cert, NULL);
	SSL_CTX_set_alpn_select_cb(raw.ctx, raw_alpn, NULL);
	SSL_CTX_set_num_tickets(raw.ctx, 0);
}

static void
raw_ext(void)
{
	assert_int_equal(SSL_CTX_add_custom_ext(raw.ctx, EXT,
			     SSL_EXT_CLIENT_HELLO |
				 SSL_EXT_TLS1_3_CERTIFICATE_REQUEST |
				 SSL_EXT_TLS1_3_CERTIFICATE,
			     raw_add, NULL, NULL, raw_parse, NULL),
	    1);
}

static void
raw_start(bool server, int fd)
{
	static const uint8_t alpn[] = "\x0b"
				      "claw-mesh/1";

	raw.ssl = SSL_new(raw.ctx);
	assert_non_null(raw.ssl);
	assert_int_equal(SSL_set_fd(raw.ssl, fd), 1);
	if (server)
		SSL_set_accept_state(raw.ssl);
	else {
		SSL_set_connect_state(raw.ssl);
		assert_int_equal(
		    SSL_set_alpn_protos(raw.ssl, alpn, sizeof(alpn) - 1), 0);
	}
}

/* Against an end of ours that is a server (a raw client), or a client. */
static void
raw_against(struct end *e)
{
	int fd[2];

	sockets(fd);
	open_end(e, fd[0], mesh);
	raw_start(e->role == ATLS_CLIENT, fd[1]);
}

/* One turn of either; what OpenSSL returned. */
static int
raw_turn(void)
{
	int ret;

	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	ERR_clear_error();
	ret = SSL_do_handshake(raw.ssl);
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	return ret;
}

/* Until our end has failed; what alert the raw one was told, or -1. */
static int
raw_refused(struct end *e)
{
	char byte;
	int i, ret;

	for (i = 0; i < 1000 && !e->failed; i++)
		(void)raw_turn();
	assert_int_equal(e->failed, 1);
	assert_int_equal(e->secured, 0);
	ERR_clear_error();
	ret = SSL_do_handshake(raw.ssl);
	if (ret == 1)
		ret = SSL_read(raw.ssl, &byte, 1);
	ret = ERR_GET_REASON(ERR_peek_error());
	ERR_clear_error();
	return ret > SSL_AD_REASON_OFFSET ? ret - SSL_AD_REASON_OFFSET : -1;
}

static void
raw_secured(struct end *e)
{
	int i;

	for (i = 0; i < 1000 && !e->failed; i++)
		if (raw_turn() == 1 && e->secured)
			return;
	fail_msg("raw peer: %s", e->why);
}

static void
raw_free(void)
{
	int fd = SSL_get_fd(raw.ssl);

	SSL_free(raw.ssl);
	SSL_CTX_free(raw.ctx);
	EVP_PKEY_free(raw.key);
	close(fd);
}

/* --- the good path ------------------------------------------------------ */

static void
check_session(void)
{
	uint8_t one[32], two[32];
	struct atls_times t;

	assert_int_equal(atls_exporter(c.a, one), 0);
	assert_int_equal(atls_exporter(s.a, two), 0);
	assert_memory_equal(one, two, 32);
	assert_int_equal(atls_leaf_hash(c.a, ATLS_OWN, one), 0);
	assert_int_equal(atls_leaf_hash(s.a, ATLS_PEER, two), 0);
	assert_memory_equal(one, two, 32);
	assert_int_equal(atls_leaf_hash(c.a, ATLS_PEER, one), 0);
	assert_int_equal(atls_leaf_hash(s.a, ATLS_OWN, two), 0);
	assert_memory_equal(one, two, 32);
	assert_string_equal(atls_alpn(c.a), "claw-mesh/1");
	assert_string_equal(atls_alpn(s.a), "claw-mesh/1");
	assert_string_equal(atls_suite(c.a), atls_suite(s.a));
	assert_non_null(strstr(atls_suite(c.a), "TLS_AES_256_GCM_SHA384 "));
	assert_int_equal(atls_peer_nonce(c.a)[5], 0x12);
	assert_int_equal(atls_peer_nonce(s.a)[5], 0x11);
	atls_times(c.a, &t);
	assert_true(t.start > 0 && t.start <= t.verdict_asked);
	assert_true(t.verdict_asked <= t.verdict_answered);
	assert_true(t.verdict_answered <= t.leaf_asked);
	assert_true(t.leaf_asked <= t.leaf_answered);
	assert_true(t.leaf_answered <= t.secured);
	atls_times(s.a, &t);
	assert_true(t.leaf_answered <= t.verdict_asked);
	assert_true(t.verdict_answered <= t.secured);
}

static void
test_good(void **state)
{
	uint8_t hash[32];

	(void)state;
	pair(mesh, both);
	assert_int_equal(atls_exporter(c.a, hash), -ENOTCONN);
	assert_int_equal(atls_leaf_hash(c.a, ATLS_OWN, hash), -ENOTCONN);
	assert_null(atls_alpn(c.a));
	assert_null(atls_peer_nonce(c.a));
	assert_int_equal(atls_leaf(c.a, hash, 32), -EINVAL);
	assert_int_equal(atls_verdict(c.a, ATLS_ACCEPT), -EINVAL);
	/* Nothing is called from within atls_new(). */
	assert_int_equal(c.leaf_asked + s.leaf_asked, 0);
	UNTIL(c.secured && s.secured);
	assert_int_equal(c.failed + s.failed, 0);
	check_session();
	assert_int_equal(atls_leaf(c.a, hash, 32), -EINVAL);
	assert_int_equal(atls_verdict(s.a, ATLS_BAD), -EINVAL);
}

/* The answers come later, from a timer, each on its own. */
static void
test_delayed(void **state)
{
	(void)state;
	c.delay_ms = s.delay_ms = 50;
	pair(mesh, mesh);
	UNTIL(c.secured && s.secured);
	check_session();
}

/* Two sessions of one node have nothing in common. */
static void
test_fresh(void **state)
{
	uint8_t one[32], two[32], leaf[2][32];

	pair(mesh, mesh);
	UNTIL(c.secured && s.secured);
	assert_int_equal(atls_exporter(c.a, one), 0);
	assert_int_equal(atls_leaf_hash(c.a, ATLS_OWN, leaf[0]), 0);
	teardown(state);
	setup(state);
	pair(mesh, mesh);
	UNTIL(c.secured && s.secured);
	assert_int_equal(atls_exporter(c.a, two), 0);
	assert_int_equal(atls_leaf_hash(c.a, ATLS_OWN, leaf[1]), 0);
	assert_memory_not_equal(one, two, 32);
	assert_memory_not_equal(leaf[0], leaf[1], 32);
}

/* What a client says before the server has judged it waits for the verdict. */
static void
test_data_before_verdict(void **state)
{
	(void)state;
	c.say = "early";
	s.delay_ms = 50;
	pair(mesh, mesh);
	UNTIL(c.secured);
	idle();
	assert_int_equal(s.secured, 0);
	assert_int_equal(s.heard_len, 0);
	UNTIL(s.heard_len == 5);
	assert_memory_equal(s.heard, "early", 5);
}

/* One end says that it is done; the other may still speak. */
static void
test_half_close(void **state)
{
	(void)state;
	c.say = "question";
	pair(mesh, mesh);
	UNTIL(c.secured && s.secured);
	atls_shutdown(c.a);
	assert_int_equal(atls_write(c.a, "x", 1), -ENOTCONN);
	UNTIL(s.closed);
	assert_true(atls_flushed(c.a));
	assert_int_equal(s.heard_len, 8);
	assert_memory_equal(s.heard, "question", 8);
	assert_int_equal(atls_write(s.a, "answer", 6), 0);
	atls_shutdown(s.a);
	UNTIL(c.closed);
	assert_memory_equal(c.heard, "answer", 6);
	assert_int_equal(c.failed + s.failed, 0);
	assert_int_equal(c.closed + s.closed, 2);
}

/* Without close_notify it is no orderly end. */
static void
test_cut_off(void **state)
{
	(void)state;
	pair(mesh, mesh);
	UNTIL(c.secured && s.secured);
	atls_free(c.a);
	c.a = NULL;
	UNTIL(s.failed);
	assert_string_equal(s.why, "peer closed without saying so");
	assert_int_equal(s.closed, 0);
}

/* A reader that does not read holds the writer back, and loses nothing. */
static void
test_bulk(void **state)
{
	static char block[64 * 1024];
	size_t sent = 0;
	int ret = 0;

	(void)state;
	s.want = 0;
	pair(mesh, mesh);
	UNTIL(c.secured && s.secured);
	assert_int_equal(atls_write(c.a, block, ATLS_QUEUE_MAX + 1), -EMSGSIZE);
	assert_int_equal(atls_write(c.a, block, 0), 0);
	while (sent < BULK && (ret = atls_write(c.a, block, 65536)) == 0)
		sent += 65536;
	assert_int_equal(ret, -EAGAIN);
	assert_true(atls_queued(c.a) > ATLS_QUEUE_MAX - 65536);
	idle();
	assert_int_equal(c.writable, 0);
	s.want = SIZE_MAX;
	readable(s.a, &s);
	while (sent < BULK) {
		UNTIL(c.writable);
		c.writable = 0;
		while (sent < BULK && atls_write(c.a, block, 65536) == 0)
			sent += 65536;
	}
	atls_shutdown(c.a);
	UNTIL(s.closed);
	assert_int_equal(s.heard_len, sent);
	assert_int_equal(atls_queued(c.a), 0);
}

/* --- refusals ----------------------------------------------------------- */

static const struct {
	int alert;
	const char *ours;   /* in the log of who refuses */
	const char *theirs; /* and of who is refused */
} alerts[] = {
	{ ATLS_BAD, "bad certificate (alert 42)",
	    "it does not take what we showed as proof (alert 42)" },
	{ ATLS_REVOKED, "certificate revoked (alert 44)",
	    "its registry has revoked us (alert 44)" },
	{ ATLS_EXPIRED, "certificate expired (alert 45)",
	    "our entry in its registry has expired (alert 45)" },
	{ ATLS_UNKNOWN, "unknown CA (alert 48)",
	    "its registry has no node of our name (alert 48)" },
	{ ATLS_POLICY, "access denied (alert 49)",
	    "it does not allow us now; its log says why (alert 49)" },
};

static void
refusal(struct end *judge, struct end *judged, size_t i)
{
	char text[128];

	judge->verdict = alerts[i].alert;
	pair(mesh, mesh);
	UNTIL(judge->failed && judged->failed);
	assert_int_equal(judge->secured, 0);
	(void)snprintf(text, sizeof(text), "we refused the peer: %s",
	    alerts[i].ours);
	assert_string_equal(judge->why, text);
	(void)snprintf(text, sizeof(text), "peer refused us: %s",
	    alerts[i].theirs);
	assert_string_equal(judged->why, text);
}

/* A client that refuses a server: neither is secured. */
static void
test_client_refuses(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
		teardown(state);
		setup(state);
		refusal(&c, &s, i);
		assert_int_equal(s.secured, 0);
		assert_int_equal(c.leaf_asked, 0);
		assert_int_equal(s.verdict_asked, 0);
	}
}

/*
 * A server that refuses a client, which has finished by then and learns it
 * from its first read: that is why there is a WELCOME.
 */
static void
test_server_refuses(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
		teardown(state);
		setup(state);
		refusal(&s, &c, i);
		assert_int_equal(c.heard_len, 0);
	}
}

static void
test_refused_later(void **state)
{
	(void)state;
	s.delay_ms = 50;
	refusal(&s, &c, 1);
}

/* A number that is no verdict of ours accepts nobody. */
static void
test_odd_verdict(void **state)
{
	(void)state;
	s.verdict = 90;
	pair(mesh, mesh);
	UNTIL(c.failed && s.failed);
	assert_string_equal(c.why,
	    "peer refused us: it does not take what we showed as proof (alert 42)");
}

static void
test_no_leaf(void **state)
{
	s.leaf = 0;
	pair(mesh, mesh);
	UNTIL(c.failed && s.failed);
	assert_string_equal(s.why,
	    "no certificate was to be had for this peer");
	assert_string_equal(c.why,
	    "peer refused us: internal error (alert 80)");
	teardown(state);
	setup(state);
	c.leaf = 0;
	pair(mesh, mesh);
	UNTIL(c.failed && s.failed);
	assert_string_equal(c.why,
	    "no certificate was to be had for this peer");
	assert_string_equal(s.why,
	    "peer refused us: internal error (alert 80)");
}

/* keyd or attestd is silent: that is a refusal. */
static void
test_no_answer(void **state)
{
	atls_ctx_limits(ctx, PATIENCE_S * 1000, 20);
	s.verdict = -1;
	pair(mesh, mesh);
	UNTIL(c.failed && s.failed);
	assert_string_equal(s.why,
	    "we refused the peer: no verdict within 20 ms");
	assert_string_equal(c.why,
	    "peer refused us: it does not take what we showed as proof (alert 42)");
	teardown(state);
	setup(state);
	atls_ctx_limits(ctx, PATIENCE_S * 1000, 20);
	c.leaf = -1;
	pair(mesh, mesh);
	UNTIL(c.failed && s.failed);
	assert_string_equal(c.why, "no certificate of ours within 20 ms");
}

static void
test_silent_peer(void **state)
{
	int fd[2];

	(void)state;
	atls_ctx_limits(ctx, 20, 10);
	sockets(fd);
	open_end(&s, fd[0], mesh);
	UNTIL(s.failed);
	assert_string_equal(s.why, "no end of the handshake within 20 ms");
	close(fd[1]);
}

static void
test_alpn(void **state)
{
	(void)state;
	pair(sft, mesh);
	UNTIL(c.failed && s.failed);
	assert_string_equal(s.why,
	    "peer wants to speak claw-sft/1, which we do not speak now "
	    "(alert 120)");
	assert_string_equal(c.why,
	    "peer refused us: it does not speak claw-sft/1 (alert 120)");
	assert_int_equal(c.verdict_asked + s.leaf_asked, 0);
}

static void
test_wrong_leaf(void **state)
{
	uint8_t spki[EVIDENCE_SPKI_LEN], *p = spki, cert[EVIDENCE_CERT_MAX];
	EVP_PKEY *other = EVP_EC_gen("P-256");
	size_t n;

	(void)state;
	assert_true(i2d_PUBKEY(other, &p) > 0);
	EVP_PKEY_free(other);
	n = issue(2, spki, spki, cert);
	s.leaf = -1;
	pair(mesh, mesh);
	UNTIL(s.leaf_asked);
	assert_int_equal(atls_leaf(s.a, cert, n), 0);
	assert_int_equal(atls_leaf(s.a, cert, n), -EINVAL);
	UNTIL(c.failed && s.failed);
	assert_string_equal(s.why, "our certificate is not for our key");
	teardown(state);
	setup(state);
	s.leaf = -1;
	pair(mesh, mesh);
	UNTIL(s.leaf_asked);
	assert_int_equal(atls_leaf(s.a, cert, n - 1), 0);
	UNTIL(c.failed && s.failed);
	assert_string_equal(s.why, "our own certificate cannot be read");
}

/* --- clients that are none of ours -------------------------------------- */

static void
test_raw_is_good(void **state)
{
	(void)state;
	raw_new(false);
	raw_ext();
	raw_against(&s);
	raw_secured(&s);
	assert_int_equal(SSL_write(raw.ssl, "hi", 2), 2);
	UNTIL(s.heard_len == 2);
	raw_free();
	teardown(state);
	setup(state);
	raw_new(true);
	raw_ext();
	raw_against(&c);
	raw_secured(&c);
	raw_free();
}

static void
test_client_without_extension(void **state)
{
	(void)state;
	raw_new(false);
	raw_against(&s);
	assert_int_equal(raw_refused(&s), SSL_AD_HANDSHAKE_FAILURE);
	assert_string_equal(s.why, "peer does not challenge us: no claw node");
	assert_int_equal(s.leaf_asked, 0);
	raw_free();
}

static void
test_client_without_certificate(void **state)
{
	(void)state;
	raw_new(false);
	raw_ext();
	raw.certify = false;
	raw_against(&s);
	assert_int_equal(raw_refused(&s), SSL_AD_CERTIFICATE_REQUIRED);
	assert_string_equal(s.why,
	    "we refused the peer: it has no certificate (alert 116)");
	assert_int_equal(s.verdict_asked, 0);
	raw_free();
}

static void
test_client_without_mark(void **state)
{
	(void)state;
	raw_new(false);
	raw_ext();
	raw.mark = false;
	raw_against(&s);
	assert_int_equal(raw_refused(&s), ATLS_BAD);
	assert_string_equal(s.why, "peer's certificate is none of ours");
	raw_free();
}

static void
test_client_with_chain(void **state)
{
	(void)state;
	raw_new(false);
	raw_ext();
	raw.twice = true;
	raw_against(&s);
	assert_int_equal(raw_refused(&s), ATLS_BAD);
	assert_string_equal(s.why, "peer sent more than one certificate");
	raw_free();
}

static void
test_client_of_tls12(void **state)
{
	(void)state;
	raw_new(false);
	assert_int_equal(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_2_VERSION),
	    1);
	raw_against(&s);
	assert_int_equal(raw_refused(&s), SSL_AD_PROTOCOL_VERSION);
	assert_string_equal(s.why, "peer speaks TLS 1.2 only, or less");
	raw_free();
}

/* A session that nobody gave it: enough to try to resume, and for 0-RTT. */
static int
raw_psk(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
    SSL_SESSION **out)
{
	static const uint8_t aes256[] = { 0x13, 0x02 }, key[48] = { 7 };
	SSL_SESSION *sess = SSL_SESSION_new();

	(void)md;
	assert_int_equal(SSL_SESSION_set1_master_key(sess, key, sizeof(key)),
	    1);
	assert_int_equal(
	    SSL_SESSION_set_cipher(sess, SSL_CIPHER_find(ssl, aes256)), 1);
	assert_int_equal(SSL_SESSION_set_protocol_version(sess, TLS1_3_VERSION),
	    1);
	assert_int_equal(SSL_SESSION_set_max_early_data(sess, 1000), 1);
	*id = key;
	*len = 8;
	*out = sess;
	return 1;
}

static void
test_resumption(void **state)
{
	size_t n;

	raw_new(false);
	raw_ext();
	SSL_CTX_set_psk_use_session_callback(raw.ctx, raw_psk);
	raw_against(&s);
	assert_int_equal(raw_refused(&s), SSL_AD_HANDSHAKE_FAILURE);
	assert_string_equal(s.why, "peer tries to resume a session");
	raw_free();
	teardown(state);
	setup(state);
	raw_new(false);
	raw_ext();
	SSL_CTX_set_psk_use_session_callback(raw.ctx, raw_psk);
	raw_against(&s);
	(void)SSL_write_early_data(raw.ssl, "0-RTT", 5, &n);
	UNTIL(s.failed);
	assert_string_equal(s.why, "peer tries to resume a session");
	assert_int_equal(s.heard_len, 0);
	raw_free();
}

/* Is told in a line of the log what it was. */
static void
says(const char *bytes, size_t n, const char *why)
{
	int fd[2];

	sockets(fd);
	open_end(&s, fd[0], mesh);
	assert_int_equal(write(fd[1], bytes, n), n);
	assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
	UNTIL(s.failed);
	assert_string_equal(s.why, why);
	close(fd[1]);
	teardown(NULL);
	setup(NULL);
}

static void
test_no_tls(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	static const char ssh[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
	static const char answer_http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	int fd[2];

	(void)state;
	says(http, sizeof(http) - 1, "peer speaks plain HTTP, not TLS");
	says(ssh, sizeof(ssh) - 1, "peer speaks SSH, not TLS");
	says("\0\0\0\0\0\0\0\0", 8, "peer speaks no TLS");
	says("", 0, "peer closed in mid-handshake, and said nothing");
	says("\x16\x03\x01\x02", 4, "peer closed in mid-handshake");
	/* We called, and it was a web server. */
	sockets(fd);
	open_end(&c, fd[0], mesh);
	assert_true(write(fd[1], answer_http, sizeof(answer_http) - 1) > 0);
	UNTIL(c.failed);
	assert_string_equal(c.why, "peer speaks plain HTTP, not TLS");
	close(fd[1]);
}

/* --- servers that are none of ours -------------------------------------- */

static void
test_server_asks_nothing(void **state)
{
	(void)state;
	raw_new(true);
	raw_ext();
	SSL_CTX_set_verify(raw.ctx, SSL_VERIFY_NONE, NULL);
	raw_against(&c);
	assert_int_equal(raw_refused(&c), SSL_AD_HANDSHAKE_FAILURE);
	assert_string_equal(c.why, "peer asked for no certificate");
	assert_int_equal(c.verdict_asked + c.leaf_asked, 0);
	raw_free();
}

static void
test_server_without_extension(void **state)
{
	(void)state;
	raw_new(true);
	raw_against(&c);
	assert_int_equal(raw_refused(&c), SSL_AD_HANDSHAKE_FAILURE);
	assert_string_equal(c.why, "peer does not challenge us: no claw node");
	assert_int_equal(c.verdict_asked, 0);
	raw_free();
}

static void
test_server_without_alpn(void **state)
{
	(void)state;
	raw_new(true);
	raw_ext();
	SSL_CTX_set_alpn_select_cb(raw.ctx, NULL, NULL);
	raw_against(&c);
	assert_int_equal(raw_refused(&c), SSL_AD_HANDSHAKE_FAILURE);
	assert_string_equal(c.why, "peer did not agree to speak claw-mesh/1");
	raw_free();
}

static void
test_server_with_chain(void **state)
{
	(void)state;
	raw_new(true);
	raw_ext();
	raw.twice = true;
	raw_against(&c);
	assert_int_equal(raw_refused(&c), ATLS_BAD);
	assert_string_equal(c.why, "peer sent more than one certificate");
	raw_free();
}

static void
test_server_of_tls12(void **state)
{
	(void)state;
	raw_new(true);
	assert_int_equal(SSL_CTX_set_max_proto_version(raw.ctx, TLS1_2_VERSION),
	    1);
	raw_against(&c);
	(void)raw_refused(&c);
	assert_string_equal(c.why,
	    "peer refused us: it speaks no TLS 1.3 (alert 70)");
	raw_free();
}

/* --- after the handshake ------------------------------------------------ */

static void
test_tickets(void **state)
{
	(void)state;
	raw_new(true);
	raw_ext();
	SSL_CTX_set_num_tickets(raw.ctx, 2);
	SSL_CTX_set_session_id_context(raw.ctx, (const uint8_t *)"x", 1);
	raw_against(&c);
	raw_secured(&c);
	UNTIL(c.failed);
	assert_string_equal(c.why,
	    "peer goes on with a handshake that is over");
	raw_free();
}

static void
test_key_updates(void **state)
{
	int i;

	(void)state;
	raw_new(false);
	raw_ext();
	raw_against(&s);
	raw_secured(&s);
	/* Once in a while is how it should be, and is answered. */
	assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
	assert_int_equal(SSL_write(raw.ssl, "a", 1), 1);
	UNTIL(s.heard_len == 1);
	assert_int_equal(atls_write(s.a, "b", 1), 0);
	idle();
	assert_int_equal(SSL_read(raw.ssl, &(char){ 0 }, 1), 1);
	for (i = 0; i < 100 && !s.failed; i++) {
		(void)SSL_key_update(raw.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		(void)SSL_do_handshake(raw.ssl);
		idle();
	}
	assert_int_equal(s.failed, 1);
	assert_string_equal(s.why, "peer changes its key again and again");
	raw_free();
}

/* All at once in the socket, before we read any of it. */
static void
test_key_update_flood(void **state)
{
	int i;

	(void)state;
	raw_new(false);
	raw_ext();
	raw_against(&s);
	raw_secured(&s);
	for (i = 0; i < 500; i++) {
		(void)SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED);
		(void)SSL_do_handshake(raw.ssl);
	}
	UNTIL(s.failed);
	assert_string_equal(s.why, "peer changes its key again and again");
	raw_free();
}

/* A record whose text is "head", a length, and nothing that follows. */
static void
test_large_hello(void **state)
{
	static uint8_t rec[5 + 16384] = { 0x16, 3, 1, 0x40, 0, 1, 1, 0, 0 };
	int fd[2], i;

	(void)state;
	sockets(fd);
	open_end(&s, fd[0], mesh);
	for (i = 0; i < 10 && !s.failed; i++) {
		(void)send(fd[1], rec, sizeof(rec), MSG_NOSIGNAL);
		idle();
	}
	UNTIL(s.failed);
	assert_string_equal(s.why,
	    "peer said more than 32768 bytes before the handshake ended");
	close(fd[1]);
}

/* --- cut anywhere, freed anywhere --------------------------------------- */

/* Move what came; stop for good when "left" bytes have passed. */
static size_t
relay(int from, int to, size_t *left)
{
	char buf[65536];
	ssize_t n;

	n = recv(from, buf, *left < sizeof(buf) ? *left : sizeof(buf),
	    MSG_DONTWAIT);
	if (n <= 0)
		return 0;
	assert_int_equal(send(to, buf, (size_t)n, MSG_NOSIGNAL), n);
	*left -= (size_t)n;
	return (size_t)n;
}

/*
 * A whole handshake through a wire that lets so many bytes pass in each
 * direction and is cut then. How many passed.
 */
static void
through_wire(size_t to_server, size_t to_client, size_t passed[2])
{
	int near[2], far[2], i;

	sockets(near);
	sockets(far);
	open_end(&c, near[0], mesh);
	open_end(&s, far[0], mesh);
	passed[0] = passed[1] = 0;
	for (i = 0; i < 1000 && !(c.secured && s.secured); i++) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		passed[0] += relay(near[1], far[1], &to_server);
		passed[1] += relay(far[1], near[1], &to_client);
		if (to_server == 0 || to_client == 0)
			break;
	}
	close(near[1]);
	close(far[1]);
}

static void
test_cut_anywhere(void **state)
{
	size_t whole[2], passed[2], i, dir;

	through_wire(SIZE_MAX, SIZE_MAX, whole);
	assert_true(c.secured && s.secured);
	for (dir = 0; dir < 2; dir++)
		/* A signature may be some bytes shorter the next time. */
		for (i = 0; i + 8 < whole[dir]; i++) {
			teardown(state);
			setup(state);
			through_wire(dir == 0 ? i : SIZE_MAX,
			    dir == 1 ? i : SIZE_MAX, passed);
			UNTIL(c.failed && s.failed);
			assert_int_equal(s.secured, 0);
			/* The client's last flight is cut after its end. */
			if (dir == 1)
				assert_int_equal(c.secured, 0);
			assert_true(c.why[0] != '\0' && s.why[0] != '\0');
		}
}

static void
test_freed_anywhere(void **state)
{
	int i, side;

	for (side = 0; side < 2; side++)
		for (i = AT_LEAF; i < MOMENTS; i++) {
			struct end *e = side == 0 ? &c : &s;
			struct end *o = side == 0 ? &s : &c;

			teardown(state);
			setup(state);
			e->die = (enum moment)i;
			o->say = "x";
			o->verdict = i == AT_FAILED ? ATLS_BAD : 0;
			pair(mesh, mesh);
			if (i == AT_CLOSED) {
				UNTIL(e->secured && o->secured);
				atls_shutdown(o->a);
			}
			UNTIL(e->a == NULL);
			idle();
		}
}

/* Freed while a question is open: between the question and the answer. */
static void
test_freed_waiting(void **state)
{
	(void)state;
	s.verdict = -1;
	pair(mesh, mesh);
	UNTIL(s.verdict_asked);
	atls_free(s.a);
	s.a = NULL;
	UNTIL(c.failed);
	teardown(state);
	setup(state);
	c.leaf = -1;
	pair(mesh, mesh);
	UNTIL(c.leaf_asked);
	atls_free(c.a);
	c.a = NULL;
	UNTIL(s.failed);
	assert_non_null(strstr(s.why, " in mid-handshake"));
}

/* What cannot start takes socket and key with it all the same. */
static void
test_not_started(void **state)
{
	static const char *const none[] = { NULL };
	uint8_t nonce[32] = { 0 };
	int fd[2];

	(void)state;
	sockets(fd);
	assert_null(atls_new(ctx, base, fd[0], ATLS_CLIENT, both, nonce,
	    atls_key_new(), &ops, &c));
	assert_int_equal(errno, EINVAL);
	assert_null(atls_new(ctx, base, fd[1], ATLS_SERVER, none, nonce,
	    atls_key_new(), &ops, &c));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(fcntl(fd[0], F_GETFD), -1);
	assert_int_equal(fcntl(fd[1], F_GETFD), -1);
	sockets(fd);
	assert_null(atls_new(ctx, base, fd[0], ATLS_CLIENT, mesh, nonce, NULL,
	    &ops, &c));
	assert_int_equal(fcntl(fd[0], F_GETFD), -1);
	close(fd[1]);
	atls_free(NULL);
}

static EVP_PKEY *
renew(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
	*key = atls_key_new();
	return *key;
}

/* By its key's blank it is what it is when it is read. */
static void
test_blank(void **state)
{
	static const uint8_t nonce[32] = { 9 };
	uint8_t cert[EVIDENCE_CERT_MAX], spki[EVIDENCE_SPKI_LEN];
	EVP_PKEY *key = atls_key_new(), *other = atls_key_new();
	uint8_t *der = NULL;
	X509 *x;
	size_t n;

	(void)state;
	assert_int_equal(evidence_spki(key, spki), 0);
	n = issue(EVIDENCE_SERVER, nonce, spki, cert);
	x = atls_x509_blank(key, cert, n);
	assert_non_null(x);
	assert_int_equal(i2d_X509(x, &der), (int)n);
	assert_memory_equal(der, cert, n);
	assert_int_equal(X509_check_private_key(x, key), 1);
	assert_int_equal(X509_verify(x, identity), 1);
	X509_free(x);
	OPENSSL_free(der);
	/* Once; then, and where the leaf is another key's, as ever. */
	assert_null(atls_x509_blank(key, cert, n));
	assert_null(atls_x509_blank(other, cert, n));
	x = atls_x509(other, cert, n);
	assert_int_equal(X509_check_private_key(x, key), 1);
	X509_free(x);
	/* Cut short anywhere it is none. */
	while (n-- > 0)
		assert_null(atls_x509(renew(&other), cert, n));
	EVP_PKEY_free(other);
	EVP_PKEY_free(key);
}

/* With itself, as often as one likes; nothing is left of it. */
static void
test_rehearsal(void **state)
{
	int fd[2], i;

	(void)state;
	for (i = 0; i < 2; i++) {
		sockets(fd);
		assert_int_equal(atls_rehearse(ctx, fd), 0);
		assert_int_equal(fcntl(fd[0], F_GETFD), -1);
		assert_int_equal(fcntl(fd[1], F_GETFD), -1);
	}
}

static void
test_rehearsal_fails(void **state)
{
	int one[2], other[2], fd[2];

	(void)state;
	sockets(one);
	sockets(other);
	fd[0] = one[0];
	fd[1] = other[0];
	close(one[1]);
	close(other[1]);
	assert_int_equal(atls_rehearse(ctx, fd), -EIO);
	assert_int_equal(fcntl(fd[0], F_GETFD), -1);
	assert_int_equal(fcntl(fd[1], F_GETFD), -1);
}

static int
group_setup(void **state)
{
	size_t n = sizeof(identity_pub);
	char why[128];

	(void)state;
	ctx = atls_ctx_new(why, sizeof(why));
	if (ctx == NULL)
		print_error("%s\n", why);
	identity = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (ctx == NULL || identity == NULL)
		return -1;
	return EVP_PKEY_get_raw_public_key(identity, identity_pub, &n) == 1 ?
	    0 :
	    -1;
}

static int
group_teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(identity);
	atls_ctx_free(ctx);
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(good), T(delayed), T(fresh),
		T(data_before_verdict), T(half_close), T(cut_off), T(bulk),
		T(client_refuses), T(server_refuses), T(refused_later),
		T(odd_verdict), T(no_leaf), T(no_answer), T(silent_peer),
		T(alpn), T(wrong_leaf), T(raw_is_good),
		T(client_without_extension), T(client_without_certificate),
		T(client_without_mark), T(client_with_chain),
		T(client_of_tls12), T(resumption), T(no_tls),
		T(server_asks_nothing), T(server_without_extension),
		T(server_without_alpn), T(server_with_chain),
		T(server_of_tls12), T(tickets), T(key_updates),
		T(key_update_flood), T(large_hello), T(cut_anywhere),
		T(freed_anywhere), T(freed_waiting), T(not_started), T(blank),
		T(rehearsal), T(rehearsal_fails) };

	return cmocka_run_group_tests_name("atls", tests, group_setup,
	    group_teardown);
}
