/* SPDX-License-Identifier: ISC */
/*
 * receipt.c - SEAL and RECEIPT as bytes: what is signed, how it is read.
 *
 * keyd links this for what it signs, everybody else for what was signed. There
 * is one spelling of each, so what was parsed is written again as the same
 * bytes, and a signature is looked at over those.
 */
#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/ed25519.h"
#include "common/receipt.h"

#define SEAL_PREFIX "claw/seal/v1"
#define RECEIPT_PREFIX "claw/receipt/v1"
#define SIG_LEN ED25519_SIG_LEN

/* --- writing ------------------------------------------------------------ */

static bool
signer_ok(const struct receipt_signer *s)
{
	return s->seq <= INT64_MAX && s->time_s <= INT64_MAX &&
	    nodename_ok(s->name, strnlen(s->name, sizeof(s->name)));
}

static bool
seal_ok(const struct receipt_seal *s)
{
	return s->size <= INT64_MAX && signer_ok(&s->sender) &&
	    nodename_ok(s->receiver,
		strnlen(s->receiver, sizeof(s->receiver))) &&
	    strcmp(s->sender.name, s->receiver) != 0;
}

/* Beside its seal. */
static bool
receipt_ok(const struct receipt *r)
{
	return signer_ok(&r->receiver) &&
	    strcmp(r->seal.receiver, r->receiver.name) == 0;
}

static void
put_name(struct wbuf *w, const char *name)
{
	size_t n = strlen(name);

	wbuf_u8(w, (uint8_t)n);
	wbuf_put(w, name, n);
}

static void
put_signer(struct wbuf *w, const struct receipt_signer *s)
{
	wbuf_u64(w, s->seq);
	wbuf_put(w, s->head, sizeof(s->head));
	wbuf_u64(w, s->time_s);
	wbuf_put(w, s->key, sizeof(s->key));
}

static ssize_t
written(const struct wbuf *w)
{
	return w->failed ? -ENOSPC : (ssize_t)w->len;
}

ssize_t
receipt_seal_signed(const struct receipt_seal *s, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!seal_ok(s))
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_put(&w, SEAL_PREFIX, sizeof(SEAL_PREFIX)); /* with its zero */
	wbuf_put(&w, s->id, sizeof(s->id));
	wbuf_put(&w, s->offer, sizeof(s->offer));
	wbuf_put(&w, s->root, sizeof(s->root));
	wbuf_u64(&w, s->size);
	put_name(&w, s->sender.name);
	put_name(&w, s->receiver);
	put_signer(&w, &s->sender);
	return written(&w);
}

/* The signature behind n bytes that are signed. */
static ssize_t
add_signature(ssize_t n, const uint8_t sig[SIG_LEN], uint8_t *out, size_t size)
{
	if (n < 0)
		return n;
	if (size - (size_t)n < SIG_LEN)
		return -ENOSPC;
	memcpy(out + n, sig, SIG_LEN);
	return n + SIG_LEN;
}

ssize_t
receipt_seal_format(const struct receipt_seal *s, uint8_t *out, size_t size)
{
	return add_signature(receipt_seal_signed(s, out, size), s->sender.sig,
	    out, size);
}

ssize_t
receipt_signed(const struct receipt *r, uint8_t *out, size_t size)
{
	uint8_t seal[RECEIPT_SEAL_MAX];
	struct wbuf w;
	ssize_t n;

	if ((n = receipt_seal_format(&r->seal, seal, sizeof(seal))) < 0)
		return n;
	if (!receipt_ok(r))
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_put(&w, RECEIPT_PREFIX, sizeof(RECEIPT_PREFIX));
	wbuf_bytes(&w, seal, (size_t)n);
	put_signer(&w, &r->receiver);
	return written(&w);
}

ssize_t
receipt_format(const struct receipt *r, uint8_t *out, size_t size)
{
	return add_signature(receipt_signed(r, out, size), r->receiver.sig, out,
	    size);
}

/* --- reading ------------------------------------------------------------ */

static void
get_fixed(struct rbuf *r, uint8_t *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

static void
get_name(struct rbuf *r, char out[NODENAME_MAX + 1])
{
	uint8_t n = rbuf_u8(r);
	const uint8_t *p = n <= NODENAME_MAX ? rbuf_take(r, n) : NULL;

	/* A NUL in it would end it early, and be another spelling. */
	if (p == NULL || !nodename_ok((const char *)p, n)) {
		r->failed = true;
		return;
	}
	memcpy(out, p, n);
	out[n] = '\0';
}

static void
get_signer(struct rbuf *r, struct receipt_signer *s)
{
	s->seq = rbuf_u64(r);
	get_fixed(r, s->head, sizeof(s->head));
	s->time_s = rbuf_u64(r);
	get_fixed(r, s->key, sizeof(s->key));
	get_fixed(r, s->sig, sizeof(s->sig));
}

static bool
get_prefix(struct rbuf *r, const char *prefix)
{
	size_t n = strlen(prefix) + 1;
	const uint8_t *p = rbuf_take(r, n);

	return p != NULL && memcmp(p, prefix, n) == 0;
}

int
receipt_seal_parse(const uint8_t *bytes, size_t len, struct receipt_seal *s)
{
	struct rbuf r;

	memset(s, 0, sizeof(*s));
	rbuf_init(&r, bytes, len);
	if (!get_prefix(&r, SEAL_PREFIX))
		return -EBADMSG;
	get_fixed(&r, s->id, sizeof(s->id));
	get_fixed(&r, s->offer, sizeof(s->offer));
	get_fixed(&r, s->root, sizeof(s->root));
	s->size = rbuf_u64(&r);
	get_name(&r, s->sender.name);
	get_name(&r, s->receiver);
	get_signer(&r, &s->sender);
	return rbuf_done(&r) && seal_ok(s) ? 0 : -EBADMSG;
}

int
receipt_parse(const uint8_t *bytes, size_t len, struct receipt *receipt)
{
	const uint8_t *seal;
	struct rbuf r;
	uint16_t n;

	memset(receipt, 0, sizeof(*receipt));
	rbuf_init(&r, bytes, len);
	if (!get_prefix(&r, RECEIPT_PREFIX))
		return -EBADMSG;
	seal = rbuf_bytes(&r, &n);
	if (receipt_seal_parse(seal, n, &receipt->seal) != 0)
		return -EBADMSG;
	get_signer(&r, &receipt->receiver);
	memcpy(receipt->receiver.name, receipt->seal.receiver,
	    sizeof(receipt->receiver.name));
	return rbuf_done(&r) && receipt_ok(receipt) ? 0 : -EBADMSG;
}

/* --- judging ------------------------------------------------------------ */

static int
verify(ssize_t n, const uint8_t *bytes, const struct receipt_signer *s,
    const uint8_t key[32])
{
	if (n < 0 || memcmp(s->key, key, sizeof(s->key)) != 0)
		return -EKEYREJECTED;
	return ed25519_verify(key, bytes, (size_t)n, s->sig);
}

int
receipt_seal_verify(const struct receipt_seal *s, const uint8_t key[32])
{
	uint8_t bytes[RECEIPT_SEAL_MAX];

	return verify(receipt_seal_signed(s, bytes, sizeof(bytes)), bytes,
	    &s->sender, key);
}

int
receipt_verify(const struct receipt *r, const uint8_t sender[32],
    const uint8_t receiver[32])
{
	uint8_t bytes[RECEIPT_MAX];
	int ret;

	if ((ret = receipt_seal_verify(&r->seal, sender)) != 0)
		return ret;
	return verify(receipt_signed(r, bytes, sizeof(bytes)), bytes,
	    &r->receiver, receiver);
}

const char *
receipt_seal_differs(const struct receipt_seal *s, const uint8_t id[SFT_ID_LEN],
    const uint8_t offer[32], const uint8_t root[32], uint64_t size,
    const char *sender, const char *receiver)
{
	if (memcmp(s->id, id, sizeof(s->id)) != 0)
		return "transfer";
	if (memcmp(s->offer, offer, sizeof(s->offer)) != 0)
		return "offer";
	if (memcmp(s->root, root, sizeof(s->root)) != 0)
		return "root";
	if (s->size != size)
		return "size";
	if (strcmp(s->sender.name, sender) != 0)
		return "sender";
	if (strcmp(s->receiver, receiver) != 0)
		return "receiver";
	return NULL;
}
