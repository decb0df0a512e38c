/* SPDX-License-Identifier: ISC */
/*
 * atls_rehearse.c - a handshake of this process with itself.
 *
 * The first one takes a process twice as long as the second: code and
 * relocations are read in, memory is touched, OpenSSL looks its algorithms up.
 * A worker that waits for a connection has the time for that.
 *
 * Nothing of it lasts or leaves: both ends are here, each has a key of its own
 * that is wiped with it, the leaves bear no signature, and the verdicts are
 * nobody's.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/atls_int.h"

/* Of about the length of a WELCOME. */
#define WORDS_LEN 512

struct side {
	struct atls *a;
	uint8_t role;
	size_t heard;
	bool over, failed;
};

static void
want_leaf(struct atls *a, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	struct evidence ev = { .role = ((const struct side *)arg)->role };
	uint8_t cert[EVIDENCE_CERT_MAX];
	ssize_t n;

	memcpy(ev.verifier_nonce, nonce, ATLS_NONCE_LEN);
	memcpy(ev.spki, spki, len);
	n = atls_unsigned(&ev, cert, sizeof(cert));
	(void)atls_leaf(a, n > 0 ? cert : NULL, n > 0 ? (size_t)n : 0);
}

static void
want_verdict(struct atls *a, const uint8_t *leaf, size_t len, void *arg)
{
	uint8_t sig[EVIDENCE_SIG_LEN];
	struct evidence ev;

	(void)arg;
	(void)atls_verdict(a,
	    evidence_parse(leaf, len, &ev, sig) == 0 ? ATLS_ACCEPT : ATLS_BAD);
}

static void
say(struct atls *a)
{
	uint8_t words[WORDS_LEN] = { 0 };

	(void)atls_write(a, words, sizeof(words));
}

static void
secured(struct atls *a, void *arg)
{
	const struct side *s = arg;
	uint8_t hash[ATLS_HASH_LEN];

	(void)atls_exporter(a, hash);
	if (s->role == EVIDENCE_SERVER)
		say(a);
}

static void
readable(struct atls *a, void *arg)
{
	uint8_t words[WORDS_LEN];
	struct side *s = arg;
	ssize_t n;

	while ((n = atls_read(a, words, sizeof(words))) > 0)
		s->heard += (size_t)n;
	if (s->heard < sizeof(words) || s->over)
		return;
	s->over = true;
	if (s->role == EVIDENCE_CLIENT)
		say(a);
	else
		atls_shutdown(a);
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
	(void)why;
	((struct side *)arg)->failed = true;
}

static const struct atls_ops ops = { want_leaf, want_verdict, secured, readable,
	nothing, nothing, failed };

static void
begin(struct side *s, struct atls_ctx *ctx, struct event_base *base, int fd)
{
	static const char *const mesh[] = { "claw-mesh/1", NULL };
	static const uint8_t nonce[ATLS_NONCE_LEN] = { 0 };

	s->a = atls_new(ctx, base, fd,
	    s->role == EVIDENCE_CLIENT ? ATLS_CLIENT : ATLS_SERVER, mesh, nonce,
	    atls_key_new(), &ops, s);
}

int
atls_rehearse(struct atls_ctx *ctx, const int fds[2])
{
	struct event_base *base = event_base_new(); /* ours runs: not again */
	struct side c = { .role = EVIDENCE_CLIENT };
	struct side s = { .role = EVIDENCE_SERVER };

	if (base == NULL) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		return -ENOMEM;
	}
	begin(&c, ctx, base, fds[0]);
	begin(&s, ctx, base, fds[1]);
	while (c.a != NULL && s.a != NULL && !c.failed && !s.failed && !s.over)
		if (event_base_loop(base, EVLOOP_ONCE) != 0)
			break;
	atls_free(c.a);
	atls_free(s.a);
	event_base_free(base);
	return s.over ? 0 : -EIO;
}
