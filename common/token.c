/* SPDX-License-Identifier: ISC */
/*
 * token.c - capability tokens: made of typed fields, and taken apart again.
 *
 * The claims have one spelling. The reader therefore only walks along it: each
 * piece of fixed text, each value between them, then the end. A member more, a
 * member twice, a space, another order: it stops there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/b64.h"
#include "common/capability.h"
#include "common/ed25519.h"
#include "common/identity.h"
#include "common/token.h"

/* base64url of {"alg":"EdDSA","typ":"JWT"}, and the dot. */
#define HEADER "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9."
#define HEADER_LEN (sizeof(HEADER) - 1)
#define CLAIMS_MAX 1408
#define NUMBER_MAX UINT64_C(9007199254740991) /* 2^53-1: JSON's integers */
#define SIG_CHARS B64URL_LEN(TOKEN_SIG_LEN)

_Static_assert(HEADER_LEN + B64URL_LEN(CLAIMS_MAX) + 1 + SIG_CHARS < TOKEN_MAX,
    "every token fits");

static const char *const texts[TOKEN_VERDICT_MAX] = {
	[TOKEN_OK] = "good",
	[TOKEN_TOO_LONG] = "longer than a token may be",
	[TOKEN_MALFORMED] = "not three parts of base64url",
	[TOKEN_HEADER] = "another header than EdDSA's JWT",
	[TOKEN_CLAIMS] = "claims that are not a token's",
	[TOKEN_LIFE] = "lives longer than a token may",
	[TOKEN_NOT_YET] = "issued in the future: look at both clocks",
	[TOKEN_EXPIRED] = "expired",
	[TOKEN_AUDIENCE] = "made for another node",
	[TOKEN_HOLDER] = "shown by another than its holder",
	[TOKEN_REGISTRY] = "needs a newer registry than ours",
	[TOKEN_ISSUER] = "issued by a key that no node has",
	[TOKEN_ISSUER_ENDED] = "issued by a key that is no longer valid",
	[TOKEN_SUBJECT] = "held by a key that no node has",
	[TOKEN_SUBJECT_ENDED] = "held by a key that is no longer valid",
	[TOKEN_BEYOND] = "grants what its issuer may not do",
	[TOKEN_SIGNATURE] = "not signed by its issuer",
};

const char *
token_verdict_text(enum token_verdict v)
{
	return v < TOKEN_VERDICT_MAX ? texts[v] : "?";
}

/* TOKEN_OK, or what makes these claims no token's. */
static enum token_verdict
claims_ok(const struct token_claims *c)
{
	if (c->cap == 0 || (c->cap & ~capability_all()) != 0 ||
	    c->exp > NUMBER_MAX || c->iat > NUMBER_MAX || c->reg > NUMBER_MAX ||
	    c->exp <= c->iat || !ed25519_pub_ok(c->iss) ||
	    !ed25519_pub_ok(c->sub) || !ed25519_pub_ok(c->aud))
		return TOKEN_CLAIMS;
	return c->exp - c->iat > TOKEN_LIFE_MAX ? TOKEN_LIFE : TOKEN_OK;
}

/* Adds to a text; what does not fit is seen in the end. */
static void add(char *out, size_t size, size_t *len, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void
add(char *out, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (*len >= size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(out + *len, size - *len, fmt, ap);
	va_end(ap);
	*len = n < 0 ? size : *len + (size_t)n;
}

/* The claims as JSON; their length, or 0 if they do not fit. */
static size_t
write_claims(const struct token_claims *c, char *out, size_t size)
{
	const char *names[CAPABILITIES_MAX];
	char aud[IDENTITY_TEXT_SIZE], iss[IDENTITY_TEXT_SIZE];
	char sub[IDENTITY_TEXT_SIZE], cnf[B64URL_LEN(32) + 1];
	char jti[B64URL_LEN(TOKEN_JTI_LEN) + 1];
	size_t i, n, len = 0;

	identity_did(c->aud, aud);
	identity_did(c->iss, iss);
	identity_did(c->sub, sub);
	b64url_encode(c->cnf, sizeof(c->cnf), cnf, sizeof(cnf));
	b64url_encode(c->jti, sizeof(c->jti), jti, sizeof(jti));
	add(out, size, &len, "{\"aud\":\"%s\",\"cap\":[", aud);
	n = capability_names(c->cap, names);
	for (i = 0; i < n; i++)
		add(out, size, &len, "%s\"%s\"", i > 0 ? "," : "", names[i]);
	add(out, size, &len,
	    "],\"cnf\":{\"x5t#S256\":\"%s\"},\"exp\":%" PRIu64
	    ",\"iat\":%" PRIu64 ",\"iss\":\"%s\",\"jti\":\"%s\","
	    "\"reg\":%" PRIu64 ",\"sub\":\"%s\"}",
	    cnf, c->exp, c->iat, iss, jti, c->reg, sub);
	return len < size ? len : 0;
}

ssize_t
token_signing_input(const struct token_claims *c, char *out, size_t size)
{
	char json[CLAIMS_MAX + 1];
	size_t len;
	ssize_t n;

	if (claims_ok(c) != TOKEN_OK)
		return -EINVAL;
	len = write_claims(c, json, sizeof(json));
	if (len == 0 || size <= HEADER_LEN)
		return -ENOSPC;
	memcpy(out, HEADER, HEADER_LEN);
	n = b64url_encode(json, len, out + HEADER_LEN, size - HEADER_LEN);
	return n < 0 ? n : n + (ssize_t)HEADER_LEN;
}

ssize_t
token_compose(const char *input, size_t len, const uint8_t sig[TOKEN_SIG_LEN],
    char *out, size_t size)
{
	if (len > TOKEN_MAX || size < len + 1 + SIG_CHARS + 1)
		return -ENOSPC;
	memcpy(out, input, len);
	out[len] = '.';
	b64url_encode(sig, TOKEN_SIG_LEN, out + len + 1, size - len - 1);
	return (ssize_t)(len + 1 + SIG_CHARS);
}

/* Reading: what is left of the claims, NULL once something was wrong. */
struct walk {
	const char *at, *end;
};

static bool
literal(struct walk *w, const char *text)
{
	size_t n = strlen(text);

	if (w->at == NULL || (size_t)(w->end - w->at) < n ||
	    memcmp(w->at, text, n) != 0) {
		w->at = NULL;
		return false;
	}
	w->at += n;
	return true;
}

/* What stands before the next quotation mark, which is passed. */
static const char *
quoted(struct walk *w, size_t *len)
{
	const char *at = w->at, *quote = NULL;

	*len = 0;
	if (at != NULL)
		quote = memchr(at, '"', (size_t)(w->end - at));
	if (quote == NULL) {
		w->at = NULL;
		return NULL;
	}
	*len = (size_t)(quote - at);
	w->at = quote + 1;
	return at;
}

static void
walk_did(struct walk *w, uint8_t key[32])
{
	char did[IDENTITY_TEXT_SIZE];
	size_t len;
	const char *s = quoted(w, &len);

	if (s == NULL)
		return;
	w->at = NULL;
	if (len < 8 || len >= sizeof(did) || memcmp(s, "did:key:", 8) != 0)
		return;
	memcpy(did, s, len);
	did[len] = '\0';
	if (strlen(did) == len && identity_parse(did, key) == 0)
		w->at = s + len + 1;
}

static void
walk_bytes(struct walk *w, uint8_t *out, size_t size)
{
	size_t len;
	const char *s = quoted(w, &len);

	if (s != NULL && b64url_decode(s, len, out, size) != (ssize_t)size)
		w->at = NULL;
}

static void
walk_number(struct walk *w, uint64_t *out)
{
	const char *start = w->at;
	uint64_t v = 0;

	if (start == NULL)
		return;
	while (w->at < w->end && *w->at >= '0' && *w->at <= '9' &&
	    w->at - start < 16)
		v = v * 10 + (uint64_t)(*w->at++ - '0');
	*out = v;
	if (w->at == start || (*start == '0' && w->at - start > 1) ||
	    v > NUMBER_MAX)
		w->at = NULL;
}

/* Names in byte order, so that none is there twice. */
static void
walk_caps(struct walk *w, uint64_t *mask)
{
	const char *s, *last = NULL;
	size_t len, last_len = 0, common;
	uint64_t bit;
	int order;

	*mask = 0;
	do {
		literal(w, "\"");
		s = quoted(w, &len);
		if (s == NULL)
			return;
		bit = capability_of(s, len);
		if (last != NULL) {
			common = len < last_len ? len : last_len;
			order = memcmp(last, s, common);
			if (order > 0 || (order == 0 && last_len >= len))
				bit = 0;
		}
		if (bit == 0) {
			w->at = NULL;
			return;
		}
		*mask |= bit;
		last = s;
		last_len = len;
	} while (w->at < w->end && *w->at == ',' && literal(w, ","));
}

static enum token_verdict
read_claims(const char *json, size_t len, struct token_claims *c)
{
	struct walk w = { json, json + len };

	literal(&w, "{\"aud\":\"");
	walk_did(&w, c->aud);
	literal(&w, ",\"cap\":[");
	walk_caps(&w, &c->cap);
	literal(&w, "],\"cnf\":{\"x5t#S256\":\"");
	walk_bytes(&w, c->cnf, sizeof(c->cnf));
	literal(&w, "},\"exp\":");
	walk_number(&w, &c->exp);
	literal(&w, ",\"iat\":");
	walk_number(&w, &c->iat);
	literal(&w, ",\"iss\":\"");
	walk_did(&w, c->iss);
	literal(&w, ",\"jti\":\"");
	walk_bytes(&w, c->jti, sizeof(c->jti));
	literal(&w, ",\"reg\":");
	walk_number(&w, &c->reg);
	literal(&w, ",\"sub\":\"");
	walk_did(&w, c->sub);
	literal(&w, "}");
	if (w.at != w.end)
		return TOKEN_CLAIMS;
	return claims_ok(c);
}

enum token_verdict
token_parse(const char *text, size_t len, struct token *t)
{
	char json[CLAIMS_MAX];
	const char *claims = text + HEADER_LEN, *dot;
	ssize_t n;

	memset(t, 0, sizeof(*t));
	if (len >= TOKEN_MAX)
		return TOKEN_TOO_LONG;
	dot = memchr(text, '.', len);
	if (dot == NULL)
		return TOKEN_MALFORMED;
	if (len < HEADER_LEN || memcmp(text, HEADER, HEADER_LEN) != 0)
		return b64url_decode(text, (size_t)(dot - text), NULL, 0) < 0 ?
		    TOKEN_MALFORMED :
		    TOKEN_HEADER;
	dot = memchr(claims, '.', len - HEADER_LEN);
	if (dot == NULL ||
	    b64url_decode(dot + 1, len - (size_t)(dot + 1 - text), t->sig,
		sizeof(t->sig)) != TOKEN_SIG_LEN)
		return TOKEN_MALFORMED;
	n = b64url_decode(claims, (size_t)(dot - claims), json, sizeof(json));
	if (n < 0)
		return n == -ENOSPC ? TOKEN_CLAIMS : TOKEN_MALFORMED;
	t->text = text;
	t->input_len = (size_t)(dot - text);
	return read_claims(json, (size_t)n, &t->claims);
}

/* Issuer and subject: what the registry knows of them. */
static enum token_verdict
known(const struct token_claims *c, const struct token_expect *e)
{
	uint64_t issuer = 0, subject = 0;
	int ret;

	ret = e->lookup(e->arg, c->iss, &issuer);
	if (ret != 0)
		return ret == -EKEYREVOKED ? TOKEN_ISSUER_ENDED : TOKEN_ISSUER;
	ret = e->lookup(e->arg, c->sub, &subject);
	if (ret != 0)
		return ret == -EKEYREVOKED ? TOKEN_SUBJECT_ENDED :
					     TOKEN_SUBJECT;
	/* Nobody gives away what they do not have. */
	return (c->cap & ~issuer) != 0 ? TOKEN_BEYOND : TOKEN_OK;
}

enum token_verdict
token_verify(const struct token *t, const struct token_expect *e)
{
	const struct token_claims *c = &t->claims;
	enum token_verdict v;

	v = claims_ok(c);
	if (v != TOKEN_OK)
		return v;
	if (c->iat > e->now && c->iat - e->now > TOKEN_SKEW_MAX)
		return TOKEN_NOT_YET;
	if (e->now >= c->exp)
		return TOKEN_EXPIRED;
	if (memcmp(c->aud, e->aud, sizeof(c->aud)) != 0)
		return TOKEN_AUDIENCE;
	if (memcmp(c->cnf, e->leaf, sizeof(c->cnf)) != 0)
		return TOKEN_HOLDER;
	if (c->reg > e->registry)
		return TOKEN_REGISTRY;
	v = known(c, e);
	if (v != TOKEN_OK)
		return v;
	return ed25519_verify(c->iss, t->text, t->input_len, t->sig) == 0 ?
	    TOKEN_OK :
	    TOKEN_SIGNATURE;
}

void
token_log_id(const uint8_t key[32], const uint8_t jti[TOKEN_JTI_LEN],
    char out[TOKEN_LOG_ID_SIZE])
{
	static const char label[] = "claw/token-log/v1"; /* NUL included */
	uint8_t in[sizeof(label) + TOKEN_JTI_LEN], mac[32];
	size_t i, len = 0;

	memcpy(in, label, sizeof(label));
	memcpy(in + sizeof(label), jti, TOKEN_JTI_LEN);
	/* A log line without an id is better than no log line. */
	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, 32, in,
		sizeof(in), mac, sizeof(mac), &len) == NULL ||
	    len != sizeof(mac))
		memset(mac, 0, sizeof(mac));
	for (i = 0; i < (TOKEN_LOG_ID_SIZE - 1) / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
}
