/* SPDX-License-Identifier: ISC */
/*
 * test_dtls.c - DTLS for calls: both ends in memory, what each refuses, what
 * gets lost, and what is no DTLS at all.
 *
 * Two of the libraries' functions are this file's: the clock of NSS's timers,
 * so that time passes only where a test says so; and the way in which
 * extension hooks are installed, so that a peer may offer other profiles of
 * SRTP than ours do.
 */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/evidence.h"
#include "voiced/dtls.h"

#define HOUR 3600000U
#define REFUSED (-EKEYREVOKED)

/* --- time, and who offers what ------------------------------------------ */

static uint32_t now_ms;

uint32_t PR_IntervalNow(void);

uint32_t
PR_IntervalNow(void)
{
	return now_ms;
}

typedef int (*writer_fn)(void *fd, int message, uint8_t *data,
    unsigned int *len, unsigned int max, void *arg);
typedef int (*install_fn)(void *fd, uint16_t extension, writer_fn writer,
    void *writer_arg, void *handler, void *handler_arg);

/* What a client offers instead: NULL: as it is, "": nothing at all. */
static const uint8_t *offered;
static size_t offered_len;
static writer_fn real_writer;
static install_fn real_install;

static int
writer(void *fd, int message, uint8_t *data, unsigned int *len,
    unsigned int max, void *arg)
{
	int r = real_writer(fd, message, data, len, max, arg);

	if (!r || message != 1 || offered == NULL)
		return r;
	memcpy(data, offered, offered_len);
	*len = (unsigned int)offered_len;
	return offered_len != 0;
}

static int
install(void *fd, uint16_t extension, writer_fn w, void *writer_arg,
    void *handler, void *handler_arg)
{
	real_writer = w;
	return real_install(fd, extension, writer, writer_arg, handler,
	    handler_arg);
}

void *SSL_GetExperimentalAPI(const char *name);

void *
SSL_GetExperimentalAPI(const char *name)
{
	void *(*real)(const char *);
	void *f = dlsym(RTLD_NEXT, "SSL_GetExperimentalAPI");

	memcpy(&real, &f, sizeof(real));
	f = real(name);
	if (strcmp(name, "SSL_InstallExtensionHooks") != 0)
		return f;
	memcpy(&real_install, &f, sizeof(real_install));
	memcpy(&f, &(install_fn){ install }, sizeof(f));
	return f;
}

/* --- two ends ----------------------------------------------------------- */

struct end {
	struct dtls_ctx *ctx;
	EVP_PKEY *key;
	uint8_t leaf[EVIDENCE_CERT_MAX];
	size_t leaf_len;

	struct dtls *a;
	const struct end *peer;
	int verdict;	/* of the peer's leaf */
	unsigned asked; /* for it */
	uint8_t flight[DTLS_FLIGHT_MAX];
	size_t flight_len;
	unsigned flights;
};

struct pair {
	struct end client, server;
};

static void
end_send(const uint8_t *flight, size_t len, void *arg)
{
	struct end *e = arg;

	/* Two flights in one are a flight. */
	assert_true(len != 0 && len <= sizeof(e->flight) - e->flight_len);
	memcpy(e->flight + e->flight_len, flight, len);
	e->flight_len += len;
	e->flights++;
}

static int
end_leaf(const uint8_t *der, size_t len, void *arg)
{
	struct end *e = arg;

	assert_false(dtls_done(e->a));
	assert_int_equal(len, e->peer->leaf_len);
	assert_memory_equal(der, e->peer->leaf, len);
	e->asked++;
	return e->verdict;
}

static const struct dtls_ops ops = { end_send, end_leaf };

/* Evidence, as keyd makes it: signed by an Ed25519 key that NSS cannot read. */
static void
make_leaf(struct end *e, const char *name, const char *peer, uint8_t role)
{
	struct evidence ev = { .role = role,
		.purpose = EVIDENCE_VOICE,
		.not_after = EVIDENCE_VALID_MAX };
	EVP_PKEY *node = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t tbs[EVIDENCE_TBS_MAX], sig[EVIDENCE_SIG_LEN];
	size_t sig_len = sizeof(sig);
	ssize_t n;

	assert_non_null(node);
	assert_non_null(md);
	(void)snprintf(ev.name, sizeof(ev.name), "%s", name);
	(void)snprintf(ev.peer, sizeof(ev.peer), "%s", peer);
	assert_int_equal(evidence_spki(e->key, ev.spki), 0);
	n = evidence_tbs(&ev, tbs, sizeof(tbs));
	assert_true(n > 0);
	assert_int_equal(EVP_DigestSignInit(md, NULL, NULL, NULL, node), 1);
	assert_int_equal(EVP_DigestSign(md, sig, &sig_len, tbs, (size_t)n), 1);
	n = evidence_cert(tbs, (size_t)n, sig, e->leaf, sizeof(e->leaf));
	assert_true(n > 0);
	e->leaf_len = (size_t)n;
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(node);
}

static void
end_new(struct end *e, enum dtls_role role)
{
	bool client = role == DTLS_CLIENT;

	e->key = EVP_EC_gen("P-256");
	assert_non_null(e->key);
	make_leaf(e, client ? "lyra" : "orion", client ? "orion" : "lyra",
	    client ? EVIDENCE_CALLER : EVIDENCE_CALLEE);
	e->ctx = dtls_ctx_new(e->key);
	assert_non_null(e->ctx);
	if (role == DTLS_SERVER)
		assert_int_equal(dtls_ctx_leaf(e->ctx, e->leaf, e->leaf_len),
		    0);
	e->a = dtls_new(e->ctx, role, &ops, e);
	assert_non_null(e->a);
	/* As in a call: the caller's leaf answers to ANSWER. */
	if (client) {
		assert_int_equal(dtls_start(e->a), 0);
		assert_int_equal(dtls_ctx_leaf(e->ctx, e->leaf, e->leaf_len),
		    0);
	}
}

static void
end_free(struct end *e)
{
	dtls_close(e->a);
	dtls_ctx_free(e->ctx);
	EVP_PKEY_free(e->key);
}

static void
pair_new(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	p->client.peer = &p->server;
	p->server.peer = &p->client;
	end_new(&p->server, DTLS_SERVER);
	end_new(&p->client, DTLS_CLIENT);
	assert_int_equal(p->client.flights, 1);
}

static void
pair_free(struct pair *p)
{
	end_free(&p->client);
	end_free(&p->server);
}

/* What one end has sent, as a flight, to the other. */
static int
pass(struct end *from, struct end *to)
{
	uint8_t flight[DTLS_FLIGHT_MAX];
	size_t len = from->flight_len;

	memcpy(flight, from->flight, len);
	from->flight_len = 0;
	return dtls_feed_flight(to->a, flight, len);
}

static void
keys_agree(struct pair *p, enum dtls_profile profile, size_t len)
{
	struct dtls_keys c, s;

	assert_true(dtls_done(p->client.a) && dtls_done(p->server.a));
	assert_int_equal(dtls_keys(p->client.a, &c), 0);
	assert_int_equal(dtls_keys(p->server.a, &s), 0);
	assert_int_equal(c.profile, profile);
	assert_int_equal(s.profile, profile);
	assert_int_equal(c.len, len);
	assert_int_equal(s.len, len);
	assert_memory_equal(c.send, s.receive, DTLS_KEY_MAX);
	assert_memory_equal(s.send, c.receive, DTLS_KEY_MAX);
	assert_memory_not_equal(c.send, c.receive, 16);
	assert_memory_not_equal(c.send + 16, c.receive + 16, len - 16);
}

/* A whole handshake, each flight as one. */
static void
shake(struct pair *p)
{
	assert_int_equal(pass(&p->client, &p->server), 0);
	assert_int_equal(pass(&p->server, &p->client), 0);
	assert_int_equal(pass(&p->client, &p->server), 0);
	assert_int_equal(pass(&p->server, &p->client), 0);
}

/* --- tests -------------------------------------------------------------- */

/* However long a flight is under way in signalling, nothing is sent again. */
static void
test_call(void **state)
{
	struct dtls_keys keys;
	struct pair p;

	(void)state;
	pair_new(&p);
	assert_int_equal(dtls_keys(p.client.a, &keys), -ENOTCONN);
	now_ms += HOUR;
	assert_int_equal(pass(&p.client, &p.server), 0);
	now_ms += HOUR;
	assert_int_equal(p.server.asked, 0);
	assert_false(dtls_done(p.server.a) || dtls_done(p.client.a));
	assert_int_equal(dtls_keys(p.server.a, &keys), -ENOTCONN);
	assert_int_equal(pass(&p.server, &p.client), 0);
	now_ms += HOUR;
	assert_true(dtls_done(p.client.a));
	assert_int_equal(p.client.asked, 1);
	assert_int_equal(p.server.asked, 0);
	assert_false(dtls_done(p.server.a));
	assert_int_equal(dtls_keys(p.server.a, &keys), -ENOTCONN);
	assert_int_equal(pass(&p.client, &p.server), 0);
	assert_true(dtls_done(p.server.a));
	assert_int_equal(p.server.asked, 1);
	now_ms += HOUR;
	assert_int_equal(pass(&p.server, &p.client), 0);
	assert_int_equal(p.client.flights, 2);
	assert_int_equal(p.server.flights, 2);
	assert_int_equal(p.client.flight_len + p.server.flight_len, 0);
	keys_agree(&p, DTLS_AEAD_AES_128_GCM, 28);
	assert_string_equal(dtls_suite(p.client.a),
	    "DTLS 1.3 TLS_AES_128_GCM_SHA256 X25519");
	assert_string_equal(dtls_suite(p.server.a), dtls_suite(p.client.a));
	assert_string_equal(dtls_error(p.server.a), "");
	pair_free(&p);
}

static void
test_close(void **state)
{
	static const uint8_t bye[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9,
		0, 2, 1, 0 };
	struct pair p;

	(void)state;
	pair_new(&p);
	shake(&p);
	dtls_close(p.client.a);
	p.client.a = NULL;
	assert_true(p.client.flight_len != 0);
	assert_int_equal(pass(&p.client, &p.server), -ESHUTDOWN);
	assert_false(dtls_done(p.server.a));
	assert_int_equal(dtls_start(p.server.a), -ESHUTDOWN);
	assert_int_equal(dtls_deadline(p.server.a), -1);
	pair_free(&p);
	/* In clear, before there are keys. */
	pair_new(&p);
	assert_int_equal(dtls_feed(p.client.a, bye, sizeof(bye)), -ESHUTDOWN);
	pair_free(&p);
}

static void
test_server_refused(void **state)
{
	struct pair p;

	(void)state;
	pair_new(&p);
	p.client.verdict = REFUSED;
	assert_int_equal(pass(&p.client, &p.server), 0);
	assert_int_equal(pass(&p.server, &p.client), REFUSED);
	assert_int_equal(p.client.asked, 1);
	assert_false(dtls_done(p.client.a));
	assert_non_null(strstr(dtls_error(p.client.a), "leaf was refused"));
	/* It learns that, and not who refused it. */
	assert_int_equal(pass(&p.client, &p.server), -ECONNREFUSED);
	assert_int_equal(p.server.asked, 0);
	assert_false(dtls_done(p.server.a));
	assert_int_equal(dtls_start(p.client.a), REFUSED);
	assert_int_equal(p.client.flight_len, 0);
	pair_free(&p);
}

static void
test_client_refused(void **state)
{
	struct dtls_keys keys;
	struct pair p;

	(void)state;
	pair_new(&p);
	p.server.verdict = REFUSED;
	assert_int_equal(pass(&p.client, &p.server), 0);
	assert_int_equal(pass(&p.server, &p.client), 0);
	assert_int_equal(pass(&p.client, &p.server), REFUSED);
	assert_int_equal(p.server.asked, 1);
	assert_false(dtls_done(p.server.a));
	assert_int_equal(dtls_keys(p.server.a, &keys), -ENOTCONN);
	/* It was done, and is no more. */
	assert_true(dtls_done(p.client.a));
	assert_int_equal(pass(&p.server, &p.client), -ECONNREFUSED);
	assert_false(dtls_done(p.client.a));
	assert_int_equal(dtls_keys(p.client.a, &keys), -ENOTCONN);
	pair_free(&p);
}

/* A client that is asked too early has nothing to show. */
static void
test_no_leaf(void **state)
{
	struct end other;
	struct pair p;

	(void)state;
	pair_new(&p);
	memset(&other, 0, sizeof(other));
	other.peer = &p.server;
	other.ctx = dtls_ctx_new(p.client.key);
	assert_non_null(other.ctx);
	assert_null(dtls_new(other.ctx, DTLS_SERVER, &ops, &other));
	assert_int_equal(errno, EINVAL);
	other.a = dtls_new(other.ctx, DTLS_CLIENT, &ops, &other);
	assert_non_null(other.a);
	assert_int_equal(dtls_start(other.a), 0);
	assert_int_equal(pass(&other, &p.server), 0);
	assert_true(pass(&p.server, &other) < 0);
	assert_false(dtls_done(other.a));
	assert_true(pass(&other, &p.server) < 0);
	assert_int_equal(p.server.asked, 0);
	assert_false(dtls_done(p.server.a));
	end_free(&other);
	pair_free(&p);
}

static void
test_leaf_of_another(void **state)
{
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct dtls_ctx *ctx;
	struct pair p;

	(void)state;
	pair_new(&p);
	assert_int_equal(
	    dtls_ctx_leaf(p.client.ctx, p.client.leaf, p.client.leaf_len),
	    -EALREADY);
	ctx = dtls_ctx_new(p.client.key);
	assert_non_null(ctx);
	assert_int_equal(dtls_ctx_leaf(ctx, p.server.leaf, p.server.leaf_len),
	    -EINVAL);
	assert_int_equal(dtls_ctx_leaf(ctx, p.client.leaf, 40), -EINVAL);
	assert_int_equal(dtls_ctx_leaf(ctx, p.client.leaf, 0), -EINVAL);
	assert_int_equal(dtls_ctx_leaf(ctx, p.client.leaf, p.client.leaf_len),
	    0);
	dtls_ctx_free(ctx);
	assert_null(dtls_ctx_new(ed));
	assert_int_equal(errno, EINVAL);
	EVP_PKEY_free(ed);
	pair_free(&p);
}

/* --- on a path that loses ----------------------------------------------- */

/* What becomes of the datagrams sent, counted over both ends. */
struct path {
	uint64_t lost;	/* a bit for each that is */
	uint64_t twice; /* and for each that comes again, behind the next */
	uint64_t bent;	/* and for each in which a bit is another, */
	size_t at;	/* so far from its end */
	unsigned sent;
};

static void
deliver(struct path *path, struct end *from, struct end *to)
{
	static uint8_t again[DTLS_DATAGRAM_MAX];
	uint8_t flight[DTLS_FLIGHT_MAX];
	const uint8_t *f = flight, *d;
	size_t len = from->flight_len, n, again_len = 0;
	uint64_t bit;

	memcpy(flight, from->flight, len);
	from->flight_len = 0;
	while (dtls_next(&f, &len, &d, &n)) {
		assert_true(path->sent < 64);
		bit = 1ULL << path->sent++;
		if (path->bent & bit)
			flight[d - flight + (ptrdiff_t)(n - 1 - path->at)] ^= 1;
		if (!(path->lost & bit))
			assert_int_equal(dtls_feed(to->a, d, n), 0);
		if (again_len != 0)
			assert_int_equal(dtls_feed(to->a, again, again_len), 0);
		again_len = 0;
		if (path->twice & bit) {
			memcpy(again, d, n);
			again_len = n;
		}
	}
	if (again_len != 0)
		assert_int_equal(dtls_feed(to->a, again, again_len), 0);
	assert_int_equal(len, 0);
}

static int
sooner(int x, int y)
{
	return y < 0 || (x >= 0 && x < y) ? x : y;
}

/* Until both are done and neither waits for less than ten seconds. */
static unsigned
converse(struct path *path)
{
	uint32_t start = now_ms;
	struct pair p;
	int wait;

	pair_new(&p);
	for (;;) {
		while (p.client.flight_len + p.server.flight_len != 0) {
			deliver(path, &p.client, &p.server);
			deliver(path, &p.server, &p.client);
		}
		wait = sooner(dtls_deadline(p.client.a),
		    dtls_deadline(p.server.a));
		if (wait < 0 || wait > 10000)
			break;
		now_ms += (uint32_t)wait;
		assert_int_equal(dtls_on_deadline(p.client.a), 0);
		assert_int_equal(dtls_on_deadline(p.server.a), 0);
		assert_true(now_ms - start < 5000);
	}
	assert_int_equal(p.client.asked, 1);
	assert_int_equal(p.server.asked, 1);
	keys_agree(&p, DTLS_AEAD_AES_128_GCM, 28);
	pair_free(&p);
	return now_ms - start;
}

static void
test_lost(void **state)
{
	struct path path = { 0 };
	unsigned i, k, n;

	(void)state;
	(void)converse(&path);
	n = path.sent;
	assert_true(n >= 4 && n < 16);
	for (i = 0; i < n; i++) {
		for (k = i; k < n; k++) {
			path = (struct path){ .lost = 1ULL << i | 1ULL << k };
			/* Something waited for was lost, and time passed. */
			assert_true(converse(&path) >= 10);
			assert_true(path.sent > n);
		}
	}
}

static void
test_twice(void **state)
{
	struct path path = { 0 };
	unsigned i, n;

	(void)state;
	(void)converse(&path);
	n = path.sent;
	for (i = 0; i < n; i++) {
		path = (struct path){ .twice = 1ULL << i };
		(void)converse(&path);
	}
	path = (struct path){ .twice = UINT64_MAX };
	(void)converse(&path);
}

/* What is sealed and damaged is as if it were lost. */
static void
test_damaged(void **state)
{
	struct path path = { 0 };
	unsigned i, n;
	size_t at;

	(void)state;
	(void)converse(&path);
	n = path.sent;
	for (i = 1; i < n; i++) {
		for (at = 0; at < 40; at += 13) {
			path = (struct path){ .bent = 1ULL << i, .at = at };
			(void)converse(&path);
			assert_true(path.sent > n);
		}
	}
}

/* --- what is no DTLS ---------------------------------------------------- */

static uint32_t seed = 1;

static uint8_t
noise(void)
{
	seed = seed * 1664525 + 1013904223;
	return (uint8_t)(seed >> 24);
}

static void
feed_noise(struct end *e)
{
	uint8_t junk[DTLS_DATAGRAM_MAX + 1];
	size_t i, n, first;

	/* Each first byte, so that each kind of record is among them. */
	for (first = 0; first < 256; first++) {
		n = 1 + noise() % 64U;
		for (i = 0; i < n; i++)
			junk[i] = noise();
		junk[0] = (uint8_t)first;
		assert_int_equal(dtls_feed(e->a, junk, n), 0);
	}
	memset(junk, 0x2f, sizeof(junk));
	assert_int_equal(dtls_feed(e->a, junk, 0), 0);
	assert_int_equal(dtls_feed(e->a, junk, sizeof(junk)), 0);
	assert_int_equal(dtls_feed(e->a, junk, sizeof(junk) - 1), 0);
}

static void
test_noise(void **state)
{
	struct pair p;

	(void)state;
	pair_new(&p);
	feed_noise(&p.server);
	feed_noise(&p.client);
	assert_int_equal(pass(&p.client, &p.server), 0);
	feed_noise(&p.server);
	feed_noise(&p.client);
	assert_int_equal(pass(&p.server, &p.client), 0);
	feed_noise(&p.server);
	feed_noise(&p.client);
	assert_int_equal(pass(&p.client, &p.server), 0);
	feed_noise(&p.server);
	feed_noise(&p.client);
	assert_int_equal(pass(&p.server, &p.client), 0);
	keys_agree(&p, DTLS_AEAD_AES_128_GCM, 28);
	pair_free(&p);
}

/* A fatal alert in clear, as anybody may send it, once there are keys. */
static void
test_forged_alert(void **state)
{
	static const uint8_t alert[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9,
		0, 2, 2, 40 };
	struct pair p;

	(void)state;
	pair_new(&p);
	assert_int_equal(pass(&p.client, &p.server), 0);
	assert_int_equal(dtls_feed(p.server.a, alert, sizeof(alert)), 0);
	assert_int_equal(pass(&p.server, &p.client), 0);
	assert_int_equal(dtls_feed(p.client.a, alert, sizeof(alert)), 0);
	assert_int_equal(pass(&p.client, &p.server), 0);
	assert_int_equal(dtls_feed(p.server.a, alert, sizeof(alert)), 0);
	keys_agree(&p, DTLS_AEAD_AES_128_GCM, 28);
	pair_free(&p);
}

static void
test_no_flight(void **state)
{
	static uint8_t big[DTLS_FLIGHT_MAX + 1];
	static const uint8_t bad[][5] = { { 0 }, { 0, 0 }, { 0, 0, 0, 1, 22 },
		{ 0, 2, 22 }, { 0, 1, 22, 9 }, { 0xff, 0xff, 22, 22, 22 } };
	static const size_t len[] = { 1, 2, 5, 3, 4, 5 };
	struct pair p;
	size_t i;

	(void)state;
	pair_new(&p);
	for (i = 0; i < sizeof(len) / sizeof(len[0]); i++)
		assert_int_equal(dtls_feed_flight(p.server.a, bad[i], len[i]),
		    -EMSGSIZE);
	for (i = 0; i < sizeof(big); i += 3)
		memcpy(big + i, "\0\1\26", 3);
	assert_int_equal(sizeof(big) % 3, 0);
	assert_int_equal(dtls_feed_flight(p.server.a, big, sizeof(big)),
	    -EMSGSIZE);
	shake(&p);
	keys_agree(&p, DTLS_AEAD_AES_128_GCM, 28);
	pair_free(&p);
}

/* --- profiles of SRTP --------------------------------------------------- */

static void
offer(const void *bytes, size_t len)
{
	offered = bytes;
	offered_len = len;
}

static void
test_profiles(void **state)
{
	struct pair p;

	(void)state;
	/* What we like best wins, whatever comes first and with an MKI. */
	offer("\0\6\0\2\0\1\0\7\2mi", 11);
	pair_new(&p);
	shake(&p);
	keys_agree(&p, DTLS_AEAD_AES_128_GCM, 28);
	pair_free(&p);
	offer("\0\4\0\10\0\1\0", 7);
	pair_new(&p);
	shake(&p);
	keys_agree(&p, DTLS_AES_CM_128_HMAC_SHA1_80, 30);
	pair_free(&p);
	offer(NULL, 0);
}

static void
refused_profiles(const void *bytes, size_t len)
{
	struct pair p;

	offer(bytes, len);
	pair_new(&p);
	assert_int_equal(pass(&p.client, &p.server), -EPROTO);
	assert_non_null(strstr(dtls_error(p.server.a), "SRTP"));
	assert_int_equal(pass(&p.server, &p.client), -ECONNREFUSED);
	assert_int_equal(p.client.asked + p.server.asked, 0);
	pair_free(&p);
	offer(NULL, 0);
}

static void
test_no_profile(void **state)
{
	struct pair p;

	(void)state;
	refused_profiles("\0\4\0\10\0\2\0", 7); /* none of ours */
	refused_profiles("\0\3\0\7\0\0", 6);	/* half of one */
	refused_profiles("\0\6\0\7\0\1\0", 7);	/* longer than it is */
	refused_profiles("\0\4\0\7\0\1", 6);	/* no key identifier */
	refused_profiles("\0\4\0\7\0\1\0\0", 8);
	refused_profiles("\0\0\0", 3);
	refused_profiles("\0\7", 2);
	/* No use_srtp: neither leaf is looked at. */
	offer("", 0);
	pair_new(&p);
	assert_int_equal(pass(&p.client, &p.server), 0);
	assert_int_equal(pass(&p.server, &p.client), -EPROTO);
	assert_non_null(strstr(dtls_error(p.client.a), "speaks no SRTP"));
	assert_int_equal(p.client.asked + p.server.asked, 0);
	pair_free(&p);
	offer(NULL, 0);
}

/* --- DTLS 1.2 ----------------------------------------------------------- */

static SSL *
old_new(SSL_CTX **ctx, bool server)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	SSL *ssl;

	*ctx = SSL_CTX_new(DTLS_method());
	assert_non_null(*ctx);
	assert_non_null(key);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 600));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(*ctx, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(*ctx, key), 1);
	assert_int_equal(
	    SSL_CTX_set_tlsext_use_srtp(*ctx, "SRTP_AEAD_AES_128_GCM"), 0);
	SSL_CTX_set_options(*ctx, SSL_OP_NO_QUERY_MTU);
	ssl = SSL_new(*ctx);
	assert_non_null(ssl);
	SSL_set_mtu(ssl, 1400);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	X509_free(x);
	EVP_PKEY_free(key);
	return ssl;
}

static void
old_free(SSL *ssl, SSL_CTX *ctx)
{
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
}

/* All that e has sent into ssl; its reason for an error, 0: none. */
static int
old_take(SSL *ssl, struct end *e)
{
	const uint8_t *f = e->flight, *d;
	size_t len = e->flight_len, n;
	int r = 0;

	e->flight_len = 0;
	ERR_clear_error();
	while (dtls_next(&f, &len, &d, &n)) {
		assert_int_equal(BIO_write(SSL_get_rbio(ssl), d, (int)n), n);
		if (SSL_do_handshake(ssl) != 1)
			r = ERR_GET_REASON(ERR_peek_error());
	}
	return r;
}

static int
old_give(SSL *ssl, struct end *e)
{
	uint8_t d[DTLS_DATAGRAM_MAX];
	int n = BIO_read(SSL_get_wbio(ssl), d, sizeof(d));

	assert_true(n > 0);
	return dtls_feed(e->a, d, (size_t)n);
}

static void
test_old_client(void **state)
{
	struct pair p;
	SSL_CTX *ctx;
	SSL *ssl;

	(void)state;
	pair_new(&p);
	ssl = old_new(&ctx, false);
	assert_true(SSL_do_handshake(ssl) != 1);
	assert_int_equal(old_give(ssl, &p.server), -EPROTONOSUPPORT);
	assert_int_equal(old_take(ssl, &p.server),
	    SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
	assert_int_equal(p.server.asked, 0);
	old_free(ssl, ctx);
	pair_free(&p);
}

static void
test_old_server(void **state)
{
	struct pair p;
	SSL_CTX *ctx;
	SSL *ssl;

	(void)state;
	pair_new(&p);
	ssl = old_new(&ctx, true);
	assert_int_equal(old_take(ssl, &p.client), SSL_R_NO_SHARED_CIPHER);
	assert_int_equal(old_give(ssl, &p.client), -ECONNREFUSED);
	assert_int_equal(p.client.asked, 0);
	old_free(ssl, ctx);
	pair_free(&p);
}

/* A ServerHello of 1.2, and one of the draft: the same with another version. */
static void
test_downgrade(void **state)
{
	uint8_t hello[] = { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 52, /**/
		2, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 40,			   /**/
		0xfe, 0xfd, [27] = 1, [59] = 0, 0x13, 0x01, 0, [64] = 0 };
	struct pair p;

	(void)state;
	pair_new(&p);
	assert_int_equal(sizeof(hello), 13 + 52);
	assert_int_equal(dtls_feed(p.client.a, hello, sizeof(hello)),
	    -EPROTONOSUPPORT);
	assert_int_equal(p.client.asked, 0);
	assert_non_null(strstr(dtls_error(p.client.a), "DTLS as client"));
	pair_free(&p);
}

/* --- the library -------------------------------------------------------- */

static int
library_init(void **state)
{
	char why[128] = "";

	(void)state;
	if (dtls_init(why, sizeof(why)) == 0)
		return 0;
	print_error("%s\n", why);
	return -1;
}

/* NSS says whether a key, a certificate or a socket is still held. */
static void
test_nothing_left(void **state)
{
	(void)state;
	assert_int_equal(strncmp(dtls_library(), "NSS 3.", 6), 0);
	assert_int_equal(dtls_fini(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_server_refused),
		cmocka_unit_test(test_client_refused),
		cmocka_unit_test(test_no_leaf),
		cmocka_unit_test(test_leaf_of_another),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_forged_alert),
		cmocka_unit_test(test_no_flight),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_no_profile),
		cmocka_unit_test(test_old_client),
		cmocka_unit_test(test_old_server),
		cmocka_unit_test(test_downgrade),
		cmocka_unit_test(test_nothing_left),
	};

	return cmocka_run_group_tests(tests, library_init, NULL);
}
