/* SPDX-License-Identifier: ISC */
/*
 * fuzz_atls.c - a connection of ours, and a peer that says any bytes.
 *
 * The first byte of the input says whether we are the server, whether the
 * peer closes behind its bytes, and in how large pieces they come; the rest
 * is what it says. Everything is granted to it, a leaf and a verdict: no bytes
 * that know no key may lead to a session, and each end that fails says why.
 */
#include <sys/socket.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/atls.h"
#include "common/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct event_base *base;
static struct atls_ctx *ctx;
static EVP_PKEY *key;
static unsigned int failures;

static void
want_leaf(struct atls *a, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	static const uint8_t sig[EVIDENCE_SIG_LEN];
	uint8_t tbs[EVIDENCE_TBS_MAX], cert[EVIDENCE_CERT_MAX];
	struct evidence ev = { 0 };
	ssize_t n;

	(void)arg;
	ev.role = EVIDENCE_SERVER;
	ev.purpose = EVIDENCE_MESH;
	ev.name[0] = 'a';
	memcpy(ev.verifier_nonce, nonce, ATLS_NONCE_LEN);
	ev.not_after = 1;
	if (len != sizeof(ev.spki))
		abort();
	memcpy(ev.spki, spki, len);
	n = evidence_tbs(&ev, tbs, sizeof(tbs));
	if (n > 0)
		n = evidence_cert(tbs, (size_t)n, sig, cert, sizeof(cert));
	if (n <= 0 || atls_leaf(a, cert, (size_t)n) != 0)
		abort();
}

static void
want_verdict(struct atls *a, const uint8_t *leaf, size_t len, void *arg)
{
	(void)leaf;
	(void)arg;
	if (len > ATLS_LEAF_MAX || atls_verdict(a, ATLS_ACCEPT) != 0)
		abort();
}

static void
never(struct atls *a, void *arg)
{
	(void)a;
	(void)arg;
	abort();
}

static void
failed(struct atls *a, const char *why, void *arg)
{
	(void)a;
	(void)arg;
	if (why[0] == '\0')
		abort();
	failures++;
}

static const struct atls_ops ops = { want_leaf, want_verdict, never, never,
	never, never, failed };

static void
start(void)
{
	char why[128];

	base = event_base_new();
	ctx = atls_ctx_new(why, sizeof(why));
	key = atls_key_new();
	if (base == NULL || ctx == NULL || key == NULL)
		abort();
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 8; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const alpns[] = { "claw-mesh/1", NULL };
	static const uint8_t nonce[ATLS_NONCE_LEN];
	static const size_t pieces[] = { 1 << 20, 1000, 100, 5 };
	struct atls *a;
	uint8_t how;
	size_t n, piece;
	int fd[2];

	if (len < 1 || len > 40000)
		return 0;
	if (base == NULL)
		start();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0 ||
	    EVP_PKEY_up_ref(key) != 1)
		abort();
	failures = 0;
	how = data[0];
	a = atls_new(ctx, base, fd[0],
	    (how & 1) != 0 ? ATLS_CLIENT : ATLS_SERVER, alpns, nonce, key, &ops,
	    NULL);
	if (a == NULL)
		abort();
	turn();
	piece = pieces[how >> 2 & 3];
	if (piece == 5 && len > 2000)
		piece = 100;
	for (data++, len--; len > 0; data += n, len -= n) {
		n = len < piece ? len : piece;
		if (send(fd[1], data, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
		turn();
	}
	if ((how & 2) != 0) {
		(void)shutdown(fd[1], SHUT_WR);
		turn();
	}
	if (failures > 1)
		abort();
	atls_free(a);
	(void)close(fd[1]);
	turn();
	return 0;
}
