/* SPDX-License-Identifier: ISC */
/*
 * bench_handshake.c - what the parts of an attested handshake cost.
 *
 * The peer is a bare mutual TLS 1.3 handshake with Ed25519 certificates, both
 * ends in one process over a socket pair, with the cipher suites and the key
 * exchange that ours has. Beside it, in turns: attested TLS in one process
 * with the leaves and the verdicts made on the spot (neither channels nor
 * records nor other processes); and alone the one-time key, a leaf, a leaf's
 * verification, and what a linkd does once before there is a connection.
 *
 * bench_attest.py runs this beside two real nodes.
 *
 * Usage: bench_handshake [rounds [pause]], "name cpu_us wall_us" to a line:
 * medians. pause: microseconds of nothing before each, so that the peer has
 * what ours has: a processor that has done something else meanwhile.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/atls.h"
#include "common/evidence.h"
#include "common/log.h"

#define ROUNDS_MAX 10000

static EVP_PKEY *identity;
static uint8_t identity_pub[32];
static SSL_CTX *bare_client, *bare_server;
static struct atls_ctx *ctx;
static struct event_base *base;

static double
clock_us(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
must(bool good, const char *what)
{
	if (!good)
		fatalx("%s", what);
}

/* The peer. */

static X509 *
self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	must(X509_set_version(x, 2) == 1 &&
		ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
		X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL &&
		X509_gmtime_adj(X509_getm_notAfter(x), 86400) != NULL &&
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		    (const unsigned char *)"node", -1, -1, 0) == 1 &&
		X509_set_issuer_name(x, name) == 1 &&
		X509_set_pubkey(x, key) == 1 && X509_sign(x, key, NULL) > 0,
	    "certificate");
	return x;
}

static SSL_CTX *
bare_ctx(const SSL_METHOD *method)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	SSL_CTX *c = SSL_CTX_new(method);
	X509 *x;

	must(c != NULL && key != NULL, "no TLS");
	x = self_signed(key);
	must(SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1 &&
		SSL_CTX_set_ciphersuites(c, "TLS_AES_256_GCM_SHA384") == 1 &&
		SSL_CTX_use_certificate(c, x) == 1 &&
		SSL_CTX_use_PrivateKey(c, key) == 1 &&
		SSL_CTX_set_num_tickets(c, 0) == 1,
	    "context");
	if (SSL_CTX_set1_groups_list(c, "X25519MLKEM768:X25519") != 1)
		must(SSL_CTX_set1_groups_list(c, "X25519") == 1, "groups");
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
	    NULL);
	X509_free(x);
	EVP_PKEY_free(key);
	return c;
}

/* Each trusts the other's certificate. */
static void
bare_prepare(void)
{
	bare_client = bare_ctx(TLS_client_method());
	bare_server = bare_ctx(TLS_server_method());
	must(X509_STORE_add_cert(SSL_CTX_get_cert_store(bare_client),
		 SSL_CTX_get0_certificate(bare_server)) == 1 &&
		X509_STORE_add_cert(SSL_CTX_get_cert_store(bare_server),
		    SSL_CTX_get0_certificate(bare_client)) == 1,
	    "trust");
}

static void
pair_up(int fds[2])
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		 fds) == 0,
	    "socketpair");
}

static void
bare(void)
{
	SSL *c = SSL_new(bare_client), *s = SSL_new(bare_server);
	int fds[2], rc = 0, rs = 0, turns;

	pair_up(fds);
	must(c != NULL && s != NULL && SSL_set_fd(c, fds[0]) == 1 &&
		SSL_set_fd(s, fds[1]) == 1,
	    "connection");
	for (turns = 0; turns < 16 && (rc != 1 || rs != 1); turns++) {
		if (rc != 1)
			rc = SSL_connect(c);
		if (rs != 1)
			rs = SSL_accept(s);
	}
	must(rc == 1 && rs == 1 && SSL_get_verify_result(c) == X509_V_OK &&
		SSL_get_verify_result(s) == X509_V_OK,
	    "the bare handshake failed");
	SSL_free(c);
	SSL_free(s);
	close(fds[0]);
	close(fds[1]);
}

/* Ours: leaves and verdicts. */

static size_t
issue(uint8_t role, const uint8_t nonce[32], const uint8_t *spki,
    uint8_t cert[EVIDENCE_CERT_MAX])
{
	struct evidence ev = { .role = role,
		.purpose = EVIDENCE_MESH,
		.not_before = 1795270217,
		.not_after = 1795270217 + EVIDENCE_VALID_MAX };
	uint8_t tbs[EVIDENCE_TBS_MAX], sig[EVIDENCE_SIG_LEN];
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	size_t len = sizeof(sig);
	ssize_t n;

	snprintf(ev.name, sizeof(ev.name), "node-%u", role);
	memcpy(ev.verifier_nonce, nonce, 32);
	memcpy(ev.spki, spki, EVIDENCE_SPKI_LEN);
	n = evidence_tbs(&ev, tbs, sizeof(tbs));
	must(n > 0 && EVP_DigestSignInit(m, NULL, NULL, NULL, identity) == 1 &&
		EVP_DigestSign(m, sig, &len, tbs, (size_t)n) == 1,
	    "leaf");
	EVP_MD_CTX_free(m);
	n = evidence_cert(tbs, (size_t)n, sig, cert, EVIDENCE_CERT_MAX);
	must(n > 0, "leaf");
	return (size_t)n;
}

static bool
verify(const uint8_t *leaf, size_t len)
{
	uint8_t sig[EVIDENCE_SIG_LEN];
	struct evidence ev;

	return evidence_parse(leaf, len, &ev, sig) == 0 &&
	    evidence_verify_sig(&ev, sig, identity_pub) == 0;
}

static unsigned int up;

static void
want_leaf(struct atls *a, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	uint8_t cert[EVIDENCE_CERT_MAX];
	size_t n;

	(void)len;
	n = issue(*(const uint8_t *)arg, nonce, spki, cert);
	(void)atls_leaf(a, cert, n);
}

static void
want_verdict(struct atls *a, const uint8_t *leaf, size_t len, void *arg)
{
	(void)arg;
	(void)atls_verdict(a, verify(leaf, len) ? ATLS_ACCEPT : ATLS_BAD);
}

static void
secured(struct atls *a, void *arg)
{
	(void)a;
	(void)arg;
	up++;
}

static void
nothing(struct atls *a, void *arg)
{
	(void)a;
	(void)arg;
}

static void
failed(struct atls *a, const char *why, void *arg)
{
	(void)a;
	(void)arg;
	fatalx("the attested handshake failed: %s", why);
}

static const struct atls_ops ops = { want_leaf, want_verdict, secured, nothing,
	nothing, nothing, failed };

/* The keys are made ahead, as a linkd does, and counted by themselves. */
static EVP_PKEY *ahead[2];

static void
attested(void)
{
	static const char *const mesh[] = { "claw-mesh/1", NULL };
	static uint8_t roles[] = { EVIDENCE_CLIENT, EVIDENCE_SERVER };
	uint8_t nonce[ATLS_NONCE_LEN] = { 1 };
	struct atls *c, *s;
	int fds[2];

	pair_up(fds);
	up = 0;
	c = atls_new(ctx, base, fds[0], ATLS_CLIENT, mesh, nonce, ahead[0],
	    &ops, &roles[0]);
	s = atls_new(ctx, base, fds[1], ATLS_SERVER, mesh, nonce, ahead[1],
	    &ops, &roles[1]);
	must(c != NULL && s != NULL, "connection");
	while (up < 2)
		event_base_loop(base, EVLOOP_ONCE);
	atls_free(c);
	atls_free(s);
}

/* Alone. */

static uint8_t some_leaf[EVIDENCE_CERT_MAX], some_spki[EVIDENCE_SPKI_LEN];
static size_t some_leaf_len;

static void
make_key(void)
{
	EVP_PKEY *k = atls_key_new();

	must(k != NULL, "key");
	EVP_PKEY_free(k);
}

static void
make_leaf(void)
{
	static const uint8_t nonce[32] = { 7 };

	some_leaf_len = issue(EVIDENCE_CLIENT, nonce, some_spki, some_leaf);
}

static void
check_leaf(void)
{
	must(verify(some_leaf, some_leaf_len), "verify");
}

static void
prepare(void)
{
	uint8_t *p = some_spki;
	size_t len = sizeof(identity_pub);
	EVP_PKEY *key = atls_key_new();
	char why[256];

	identity = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	base = event_base_new();
	ctx = atls_ctx_new(why, sizeof(why));
	must(identity != NULL && base != NULL && ctx != NULL && key != NULL &&
		EVP_PKEY_get_raw_public_key(identity, identity_pub, &len) ==
		    1 &&
		i2d_PUBKEY(key, &p) == EVIDENCE_SPKI_LEN,
	    "keys");
	EVP_PKEY_free(key);
	bare_prepare();
	make_leaf();
}

/* Rounds in turns. */

static const struct {
	const char *name;
	void (*run)(void);
} parts[] = {
	{ "bare-tls", bare },
	{ "attested-tls", attested },
	{ "one-time-key", make_key },
	{ "leaf", make_leaf },
	{ "verify", check_leaf },
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static double cpu[PARTS][ROUNDS_MAX], wall[PARTS][ROUNDS_MAX];

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *v, size_t n)
{
	qsort(v, n, sizeof(v[0]), compare);
	return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void
round_of(size_t part, size_t round)
{
	double c, w;

	if (parts[part].run == attested) {
		ahead[0] = atls_key_new();
		ahead[1] = atls_key_new();
		must(ahead[0] != NULL && ahead[1] != NULL, "key");
	}
	c = clock_us(CLOCK_PROCESS_CPUTIME_ID);
	w = clock_us(CLOCK_MONOTONIC);
	parts[part].run();
	wall[part][round] = clock_us(CLOCK_MONOTONIC) - w;
	cpu[part][round] = clock_us(CLOCK_PROCESS_CPUTIME_ID) - c;
}

int
main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? (size_t)atoi(argv[1]) : 500, i, part;
	useconds_t pause_us = argc > 2 ? (useconds_t)atoi(argv[2]) : 0;

	log_init("bench_handshake", false);
	if (rounds == 0 || rounds > ROUNDS_MAX)
		fatalx("usage: bench_handshake [rounds [pause]]");
	prepare();
	for (i = 0; i < 10; i++) /* to warm up; overwritten */
		for (part = 0; part < PARTS; part++)
			round_of(part, 0);
	for (i = 0; i < rounds; i++)
		for (part = 0; part < PARTS; part++) {
			if (pause_us > 0)
				(void)usleep(pause_us);
			round_of(part, i);
		}
	for (part = 0; part < PARTS; part++)
		printf("%-14s %8.1f %8.1f\n", parts[part].name,
		    median(cpu[part], rounds), median(wall[part], rounds));
	return 0;
}
