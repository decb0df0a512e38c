/* SPDX-License-Identifier: ISC */
/*
 * ticket.c - the invitation that one person gives another.
 *
 * A ticket is typed, pasted, read aloud: the checksum tells a slip from a
 * forgery before any of it is believed. It keeps nothing out that somebody
 * means to bring in; what a ticket is worth is decided by the inviter, who
 * knows its key.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/ed25519.h"
#include "common/merkle.h"
#include "common/nodename.h"
#include "common/ticket.h"

#define SUM_LEN 4
#define PREFIX_LEN (sizeof(TICKET_PREFIX) - 1)
/* version, expiry, name, two keys, count, addresses, seed, checksum */
#define BODY_MAX                                                               \
	(1 + 8 + 2 + TICKET_NAME_MAX + 64 + 1 +                                \
	    TICKET_ADDRS_MAX * (2 + TICKET_ADDR_MAX) + TICKET_SEED_LEN +       \
	    SUM_LEN)

_Static_assert(PREFIX_LEN + B64URL_LEN(BODY_MAX) < TICKET_TEXT_MAX,
    "every ticket fits");

static const char *const words[] = {
#define WORD(word) word,
#include "common/words.def"
#undef WORD
};
_Static_assert(sizeof(words) / sizeof(words[0]) == 2048, "eleven bits a word");

/* A decimal port, 1 to 65535, without leading zeros. */
static bool
port_ok(const char *s)
{
	unsigned int port = 0;
	size_t i;

	for (i = 0; s[i] >= '0' && s[i] <= '9' && i < 6; i++)
		port = port * 10 + (unsigned int)(s[i] - '0');
	return i > 0 && s[i] == '\0' && s[0] != '0' && port <= 65535;
}

/* host:port, or [host]:port for what has colons itself. */
static bool
addr_ok(const char *s)
{
	const char *colon = strrchr(s, ':');
	size_t host, i;

	if (colon == NULL || colon == s || !port_ok(colon + 1))
		return false;
	host = (size_t)(colon - s);
	if (s[0] == '[') {
		if (host < 3 || s[host - 1] != ']')
			return false;
		s++;
		host -= 2;
	} else if (memchr(s, ':', host) != NULL) {
		return false;
	}
	/* Names, IPv4, IPv6 with a zone; nothing that a terminal obeys. */
	for (i = 0; i < host; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
			(s[i] >= 'A' && s[i] <= 'Z') ||
			(s[i] >= '0' && s[i] <= '9') ||
			strchr("-_.:%", s[i]) != NULL))
			return false;
	return true;
}

static bool
ticket_ok(const struct ticket *t)
{
	size_t i;

	if (!nodename_ok(t->name, strnlen(t->name, sizeof(t->name))) ||
	    t->expiry > INT64_MAX || !ed25519_pub_ok(t->inviter) ||
	    t->n_addrs == 0 || t->n_addrs > TICKET_ADDRS_MAX)
		return false;
	for (i = 0; i < t->n_addrs; i++)
		if (strnlen(t->addr[i], sizeof(t->addr[i])) > TICKET_ADDR_MAX ||
		    !addr_ok(t->addr[i]))
			return false;
	return true;
}

/* Over the prefix too, so that no text of another kind has it by chance. */
static void
checksum(const uint8_t *body, size_t len, uint8_t out[SUM_LEN])
{
	uint8_t in[PREFIX_LEN + BODY_MAX], hash[32];

	memcpy(in, TICKET_PREFIX, PREFIX_LEN);
	memcpy(in + PREFIX_LEN, body, len);
	merkle_sha256(in, PREFIX_LEN + len, hash);
	memcpy(out, hash, SUM_LEN);
	explicit_bzero(in, sizeof(in));
}

ssize_t
ticket_format(const struct ticket *t, char *out, size_t size)
{
	uint8_t body[BODY_MAX], sum[SUM_LEN];
	struct wbuf w;
	ssize_t n = -EINVAL;
	size_t i;

	wbuf_init(&w, body, sizeof(body));
	if (!ticket_ok(t))
		goto out;
	wbuf_u8(&w, TICKET_VERSION);
	wbuf_u64(&w, t->expiry);
	wbuf_bytes(&w, t->name, strlen(t->name));
	wbuf_put(&w, t->genesis, sizeof(t->genesis));
	wbuf_put(&w, t->inviter, sizeof(t->inviter));
	wbuf_u8(&w, (uint8_t)t->n_addrs);
	for (i = 0; i < t->n_addrs; i++)
		wbuf_bytes(&w, t->addr[i], strlen(t->addr[i]));
	wbuf_put(&w, t->seed, sizeof(t->seed));
	checksum(body, w.len, sum);
	wbuf_put(&w, sum, sizeof(sum));
	n = -ENOSPC;
	if (w.failed || size <= PREFIX_LEN)
		goto out;
	n = b64url_encode(body, w.len, out + PREFIX_LEN, size - PREFIX_LEN);
	if (n < 0)
		goto out;
	memcpy(out, TICKET_PREFIX, PREFIX_LEN);
	n += (ssize_t)PREFIX_LEN;
out:
	explicit_bzero(body, sizeof(body));
	return n;
}

static void
get_text(struct rbuf *r, char *out, size_t size)
{
	const uint8_t *p;
	uint16_t n;

	p = rbuf_bytes(r, &n);
	if (p == NULL || n >= size || memchr(p, '\0', n) != NULL) {
		r->failed = true;
		return;
	}
	memcpy(out, p, n);
	out[n] = '\0';
}

static void
get_fixed(struct rbuf *r, uint8_t *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

/* What lies between version and checksum. */
static bool
get_fields(struct rbuf *r, struct ticket *t)
{
	size_t i;

	t->expiry = rbuf_u64(r);
	get_text(r, t->name, sizeof(t->name));
	get_fixed(r, t->genesis, sizeof(t->genesis));
	get_fixed(r, t->inviter, sizeof(t->inviter));
	t->n_addrs = rbuf_u8(r);
	if (t->n_addrs > TICKET_ADDRS_MAX)
		return false;
	for (i = 0; i < t->n_addrs; i++)
		get_text(r, t->addr[i], sizeof(t->addr[i]));
	get_fixed(r, t->seed, sizeof(t->seed));
	return rbuf_done(r) && ticket_ok(t);
}

static int
parse_body(const uint8_t *body, size_t len, struct ticket *t, const char **why)
{
	uint8_t sum[SUM_LEN];
	struct rbuf r;
	uint8_t version;

	if (len > 1 + SUM_LEN)
		checksum(body, len - SUM_LEN, sum);
	if (len <= 1 + SUM_LEN ||
	    memcmp(sum, body + len - SUM_LEN, SUM_LEN) != 0) {
		*why = "the ticket is damaged or mistyped: its checksum does "
		       "not fit; copy it again, all of it";
		return -EBADMSG;
	}
	rbuf_init(&r, body, len - SUM_LEN);
	version = rbuf_u8(&r);
	if (version > TICKET_VERSION) {
		*why = "the ticket is of a newer version of claw; update this "
		       "one";
		return -EPROTONOSUPPORT;
	}
	if (version != TICKET_VERSION || !get_fields(&r, t)) {
		*why = "the ticket is whole, but says nothing that can be; "
		       "ask for a new one";
		return -EBADMSG;
	}
	return 0;
}

/* claw-join-<a number above 1>: is a ticket of a version to come. */
static bool
newer_prefix(const char *s, size_t len)
{
	static const char stem[] = "claw-join-";
	size_t i, n = sizeof(stem) - 1;

	if (len <= n || memcmp(s, stem, n) != 0 || s[n] == '0')
		return false;
	for (i = n; i < len && s[i] >= '0' && s[i] <= '9'; i++)
		;
	return i > n && i < len && s[i] == ':' && (i > n + 1 || s[n] > '1');
}

int
ticket_parse(const char *text, size_t len, struct ticket *t, const char **why)
{
	uint8_t body[BODY_MAX];
	ssize_t n;
	int ret;

	memset(t, 0, sizeof(*t));
	*why = "";
	if (len < PREFIX_LEN || memcmp(text, TICKET_PREFIX, PREFIX_LEN) != 0) {
		if (newer_prefix(text, len)) {
			*why = "the ticket is of a newer version of claw; "
			       "update this one";
			return -EPROTONOSUPPORT;
		}
		*why = "this is no ticket: a ticket begins with "
		       "\"" TICKET_PREFIX "\"";
		return -EINVAL;
	}
	n = b64url_decode(text + PREFIX_LEN, len - PREFIX_LEN, body,
	    sizeof(body));
	if (n < 0) {
		*why = "the ticket is damaged or mistyped: it has characters "
		       "that no ticket has, or a wrong length; copy it again";
		ret = -EBADMSG;
	} else {
		ret = parse_body(body, (size_t)n, t, why);
	}
	explicit_bzero(body, sizeof(body));
	if (ret != 0)
		ticket_clear(t);
	return ret;
}

void
ticket_clear(struct ticket *t)
{
	explicit_bzero(t, sizeof(*t));
}

/* HKDF-SHA256, RFC 5869. */
static bool
derive(const uint8_t seed[TICKET_SEED_LEN], const uint8_t genesis[32],
    uint8_t out[TICKET_KEY_LEN])
{
	uint8_t ikm[TICKET_SEED_LEN], salt[32];
	char digest[] = "SHA256", info[] = "claw/ticket/v1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, digest,
		    sizeof(digest) - 1),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, ikm, sizeof(ikm)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, salt,
		    sizeof(salt)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, info,
		    sizeof(info) - 1),
		OSSL_PARAM_END,
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	bool ok;

	memcpy(ikm, seed, sizeof(ikm));
	memcpy(salt, genesis, sizeof(salt));
	ok = ctx != NULL &&
	    EVP_KDF_derive(ctx, out, TICKET_KEY_LEN, params) == 1;
	explicit_bzero(ikm, sizeof(ikm));
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

int
ticket_key(const uint8_t seed[TICKET_SEED_LEN], const uint8_t genesis[32],
    uint8_t key[TICKET_KEY_LEN], uint8_t pub[TICKET_KEY_LEN])
{
	uint8_t raw[TICKET_KEY_LEN];
	size_t len = TICKET_KEY_LEN;
	EVP_PKEY *pkey = NULL;
	int ret = -EIO;

	if (!derive(seed, genesis, raw))
		goto out;
	pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw,
	    sizeof(raw));
	if (pkey == NULL || EVP_PKEY_get_raw_public_key(pkey, pub, &len) != 1 ||
	    len != TICKET_KEY_LEN)
		goto out;
	if (key != NULL)
		memcpy(key, raw, sizeof(raw));
	ret = 0;
out:
	EVP_PKEY_free(pkey);
	explicit_bzero(raw, sizeof(raw));
	return ret;
}

void
ticket_words(const uint8_t genesis[32], const uint8_t identity[32],
    char out[TICKET_WORDS_SIZE])
{
	uint8_t in[64], hash[32];
	size_t bit, i, k, len = 0, n;
	unsigned int index;

	memcpy(in, genesis, 32);
	memcpy(in + 32, identity, 32);
	merkle_sha256(in, sizeof(in), hash);
	for (i = 0, bit = 0; i < TICKET_WORDS; i++) {
		for (index = 0, k = 0; k < 11; k++, bit++)
			index =
			    index << 1 | (hash[bit / 8] >> (7 - bit % 8) & 1);
		n = strlen(words[index]);
		memcpy(out + len, words[index], n);
		len += n;
		out[len++] = i + 1 < TICKET_WORDS ? ' ' : '\0';
	}
}
