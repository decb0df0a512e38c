/* SPDX-License-Identifier: ISC */
/*
 * evidence.c - the leaf certificate that is the answer to a challenge.
 *
 * Owns the certificate's layout and nothing else: no key, no clock, no policy.
 * keyd builds with it and attestd reads with it, so it is in both of them what
 * stands between a peer's bytes and a key: a small DER writer, a walk along
 * the one structure that there is, and a comparison of the result with what
 * the writer would have made. libcrypto is used for SHA-256, and to read a
 * point out of a key of our own.
 *
 * The writer goes from the end to the beginning, so that a length is known
 * when it is written.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "common/buf.h"
#include "common/ed25519.h"
#include "common/evidence.h"
#include "common/nodename.h"

#define DER_BOOLEAN 0x01
#define DER_INTEGER 0x02
#define DER_BITS 0x03
#define DER_OCTETS 0x04
#define DER_OID 0x06
#define DER_UTF8 0x0c
#define DER_UTCTIME 0x17
#define DER_GENTIME 0x18
#define DER_SEQUENCE 0x30
#define DER_SET 0x31
#define DER_CONTEXT(n) (uint8_t)(0xa0 | (n))

#define VERSION 1
#define PEER_LEN (EVIDENCE_NAME_SIZE - 1)
/* version, role, purpose, two nonces, seq, head, caps, peer's name */
#define BODY_LEN (3 + 2 * 32 + 8 + 2 * EVIDENCE_HASH_LEN + PEER_LEN)
#define SERIAL_LEN 16
#define YEAR_9999_END INT64_C(253402300799)

/* 2.25.60674061053774860195388818262367798488, a random UUID: ITU-T X.667. */
static const uint8_t oid_evidence[] = { 0x69, 0xdb, 0xa5, 0xb3, 0x8a, 0xf3,
	0xef, 0xea, 0xa7, 0xcd, 0xaf, 0x93, 0x85, 0xf5, 0xcb, 0xda, 0xa8, 0x89,
	0x58 };
static const uint8_t oid_cn[] = { 0x55, 0x04, 0x03 };
/* AlgorithmIdentifier of Ed25519: RFC 8410. */
static const uint8_t alg_ed25519[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65,
	0x70 };
static const uint8_t version3[] = { 0xa0, 0x03, 0x02, 0x01, 0x02 };
/* SubjectPublicKeyInfo of P-256 up to the point: RFC 5480; 4: uncompressed. */
static const uint8_t spki_head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a,
	0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
	0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };

static const char *const roles[] = { "?", "client", "server", "caller",
	"callee" };
static const char *const purposes[] = { "?", "mesh", "sft", "voice", "join",
	"registry" };
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *
evidence_role_name(uint8_t role)
{
	return role < COUNT(roles) ? roles[role] : "?";
}

const char *
evidence_purpose_name(uint8_t purpose)
{
	return purpose < COUNT(purposes) ? purposes[purpose] : "?";
}

/* --- writing ------------------------------------------------------------ */

struct der {
	uint8_t data[EVIDENCE_CERT_MAX];
	size_t at; /* what is written begins here */
	bool failed;
};

static void
der_init(struct der *d)
{
	d->at = sizeof(d->data);
	d->failed = false;
}

static void
der_raw(struct der *d, const void *p, size_t n)
{
	if (d->failed || n > d->at) {
		d->failed = true;
		return;
	}
	d->at -= n;
	memcpy(d->data + d->at, p, n);
}

/* Make what was written since "end" the contents of a tag. */
static void
der_wrap(struct der *d, size_t end, uint8_t tag)
{
	size_t len = end - d->at;
	uint8_t head[4] = { tag };
	size_t n = 1;

	if (len > 0xffff) {
		d->failed = true;
		return;
	}
	if (len > 0xff) {
		head[n++] = 0x82;
		head[n++] = (uint8_t)(len >> 8);
	} else if (len > 0x7f)
		head[n++] = 0x81;
	head[n++] = (uint8_t)(len & 0xff);
	der_raw(d, head, n);
}

static void
der_put(struct der *d, uint8_t tag, const void *p, size_t n)
{
	size_t end = d->at;

	der_raw(d, p, n);
	der_wrap(d, end, tag);
}

static ssize_t
der_out(const struct der *d, uint8_t *out, size_t size)
{
	size_t len = sizeof(d->data) - d->at;

	if (d->failed || len > size)
		return -ENOSPC;
	memcpy(out, d->data + d->at, len);
	return (ssize_t)len;
}

static void
put_name(struct der *d, const char *cn)
{
	size_t end = d->at;

	der_put(d, DER_UTF8, cn, strlen(cn));
	der_put(d, DER_OID, oid_cn, sizeof(oid_cn));
	der_wrap(d, end, DER_SEQUENCE);
	der_wrap(d, end, DER_SET);
	der_wrap(d, end, DER_SEQUENCE);
}

static void
two_digits(char *out, int64_t v)
{
	out[0] = (char)('0' + v / 10);
	out[1] = (char)('0' + v % 10);
}

/*
 * RFC 5280, 4.1.2.5: UTCTime until 2049, GeneralizedTime from then on. The
 * calendar is Hinnant's civil_from_days; the C library's asks for a file of
 * time zones even where it needs none.
 */
static void
put_time(struct der *d, int64_t t)
{
	int64_t days = t / 86400, rest = t % 86400;
	int64_t era = (days + 719468) / 146097;
	int64_t doe = (days + 719468) % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	int64_t month = mp < 10 ? mp + 3 : mp - 9;
	int64_t year = yoe + era * 400 + (month <= 2);
	char s[15];

	two_digits(s, year / 100);
	two_digits(s + 2, year % 100);
	two_digits(s + 4, month);
	two_digits(s + 6, doy - (153 * mp + 2) / 5 + 1);
	two_digits(s + 8, rest / 3600);
	two_digits(s + 10, rest / 60 % 60);
	two_digits(s + 12, rest % 60);
	s[14] = 'Z';
	if (year < 2050)
		der_put(d, DER_UTCTIME, s + 2, sizeof(s) - 2);
	else
		der_put(d, DER_GENTIME, s, sizeof(s));
}

static void
put_body(const struct evidence *ev, uint8_t body[BODY_LEN])
{
	uint8_t peer[PEER_LEN] = { 0 };
	struct wbuf w;

	memcpy(peer, ev->peer, strlen(ev->peer));
	wbuf_init(&w, body, BODY_LEN);
	wbuf_u8(&w, VERSION);
	wbuf_u8(&w, ev->role);
	wbuf_u8(&w, ev->purpose);
	wbuf_put(&w, ev->verifier_nonce, sizeof(ev->verifier_nonce));
	wbuf_put(&w, ev->prover_nonce, sizeof(ev->prover_nonce));
	wbuf_u64(&w, ev->seq);
	wbuf_put(&w, ev->head, sizeof(ev->head));
	wbuf_put(&w, ev->caps, sizeof(ev->caps));
	wbuf_put(&w, peer, sizeof(peer));
}

/*
 * Of what differs between any two sessions: nonces and key. Made positive and
 * of full length, so that it needs no leading zero.
 */
static int
make_serial(const uint8_t body[BODY_LEN], const uint8_t *spki,
    uint8_t out[SERIAL_LEN])
{
	uint8_t all[BODY_LEN + EVIDENCE_SPKI_LEN], hash[EVP_MAX_MD_SIZE];

	memcpy(all, body, BODY_LEN);
	memcpy(all + BODY_LEN, spki, EVIDENCE_SPKI_LEN);
	if (EVP_Digest(all, sizeof(all), hash, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	memcpy(out, hash, SERIAL_LEN);
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
	return 0;
}

static bool
name_ok(const char name[EVIDENCE_NAME_SIZE])
{
	return nodename_ok(name, strnlen(name, EVIDENCE_NAME_SIZE));
}

static bool
fields_ok(const struct evidence *ev)
{
	if (ev->role < EVIDENCE_CLIENT || ev->role > EVIDENCE_CALLEE ||
	    ev->purpose < EVIDENCE_MESH || ev->purpose > EVIDENCE_REGISTRY)
		return false;
	if (ev->role >= EVIDENCE_CALLER && ev->purpose != EVIDENCE_VOICE)
		return false;
	if (!name_ok(ev->name) || (ev->peer[0] != '\0' && !name_ok(ev->peer)) ||
	    strcmp(ev->name, ev->peer) == 0)
		return false;
	if (ev->not_before < 0 || ev->not_after > YEAR_9999_END ||
	    ev->not_after <= ev->not_before ||
	    ev->not_after - ev->not_before > EVIDENCE_VALID_MAX)
		return false;
	return memcmp(ev->spki, spki_head, sizeof(spki_head)) == 0;
}

ssize_t
evidence_tbs(const struct evidence *ev, uint8_t *out, size_t size)
{
	static const uint8_t yes = 0xff;
	uint8_t body[BODY_LEN], serial[SERIAL_LEN];
	struct der d;
	size_t all, end;
	int ret;

	if (!fields_ok(ev))
		return -EINVAL;
	put_body(ev, body);
	ret = make_serial(body, ev->spki, serial);
	if (ret != 0)
		return ret;
	der_init(&d);
	all = end = d.at;
	der_put(&d, DER_OCTETS, body, sizeof(body));
	der_put(&d, DER_BOOLEAN, &yes, 1); /* critical */
	der_put(&d, DER_OID, oid_evidence, sizeof(oid_evidence));
	der_wrap(&d, end, DER_SEQUENCE);
	der_wrap(&d, end, DER_SEQUENCE);
	der_wrap(&d, end, DER_CONTEXT(3));
	der_raw(&d, ev->spki, sizeof(ev->spki));
	put_name(&d, ev->name);
	end = d.at;
	put_time(&d, ev->not_after);
	put_time(&d, ev->not_before);
	der_wrap(&d, end, DER_SEQUENCE);
	put_name(&d, ev->name);
	der_raw(&d, alg_ed25519, sizeof(alg_ed25519));
	der_put(&d, DER_INTEGER, serial, sizeof(serial));
	der_raw(&d, version3, sizeof(version3));
	der_wrap(&d, all, DER_SEQUENCE);
	return der_out(&d, out, size);
}

ssize_t
evidence_cert(const uint8_t *tbs, size_t len,
    const uint8_t sig[EVIDENCE_SIG_LEN], uint8_t *out, size_t size)
{
	uint8_t bits[1 + EVIDENCE_SIG_LEN] = { 0 }; /* 0: no unused bits */
	struct der d;
	size_t end;

	if (len > EVIDENCE_TBS_MAX)
		return -EINVAL;
	memcpy(bits + 1, sig, EVIDENCE_SIG_LEN);
	der_init(&d);
	end = d.at;
	der_put(&d, DER_BITS, bits, sizeof(bits));
	der_raw(&d, alg_ed25519, sizeof(alg_ed25519));
	der_raw(&d, tbs, len);
	der_wrap(&d, end, DER_SEQUENCE);
	return der_out(&d, out, size);
}

/* --- reading ------------------------------------------------------------ */

/* The contents of the next element, which must have this tag. */
static struct rbuf
der_get(struct rbuf *r, uint8_t tag)
{
	struct rbuf inner = { NULL, 0, true };
	const uint8_t *p;
	size_t len;
	uint8_t first;

	if (rbuf_u8(r) != tag)
		r->failed = true;
	first = rbuf_u8(r);
	if (first == 0x82)
		len = rbuf_u16(r);
	else if (first == 0x81)
		len = rbuf_u8(r);
	else if (first < 0x80)
		len = first;
	else {
		r->failed = true;
		len = 0;
	}
	if (r->failed)
		return inner;
	p = rbuf_take(r, len);
	if (p != NULL)
		rbuf_init(&inner, p, len);
	return inner;
}

/* Bytes that are the same in every certificate are compared at the end. */
static void
der_skip(struct rbuf *r, uint8_t tag)
{
	(void)der_get(r, tag);
}

static void
get_name(struct rbuf *r, char name[EVIDENCE_NAME_SIZE])
{
	struct rbuf rdn = der_get(r, DER_SEQUENCE), set, pair, cn;

	set = der_get(&rdn, DER_SET);
	pair = der_get(&set, DER_SEQUENCE);
	der_skip(&pair, DER_OID);
	cn = der_get(&pair, DER_UTF8);
	if (cn.failed || cn.len >= EVIDENCE_NAME_SIZE) {
		r->failed = true;
		return;
	}
	memcpy(name, cn.data, cn.len);
	name[cn.len] = '\0';
}

static int64_t
digits(struct rbuf *r, size_t n)
{
	int64_t v = 0;
	uint8_t c;

	while (n-- > 0) {
		c = rbuf_u8(r);
		if (c < '0' || c > '9')
			r->failed = true;
		else
			v = v * 10 + (c - '0');
	}
	return v;
}

/* Hinnant's days_from_civil. A day that is none is found by comparison. */
static int64_t
get_time(struct rbuf *r)
{
	int64_t year, month, day, era, yoe, doy, t;
	bool utc = r->len > 0 && r->data[0] == DER_UTCTIME;
	struct rbuf s = der_get(r, utc ? DER_UTCTIME : DER_GENTIME);

	year = digits(&s, utc ? 2 : 4);
	if (utc)
		year += year < 50 ? 2000 : 1900;
	month = digits(&s, 2);
	day = digits(&s, 2);
	if (month <= 2)
		year--;
	era = year / 400;
	yoe = year % 400;
	doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	t = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
	t = t * 24 + digits(&s, 2);
	t = t * 60 + digits(&s, 2);
	t = t * 60 + digits(&s, 2);
	if (s.failed)
		r->failed = true;
	return t;
}

static void
get_body(struct rbuf *r, struct evidence *ev)
{
	const uint8_t *p;

	(void)rbuf_u8(r); /* version: compared */
	ev->role = rbuf_u8(r);
	ev->purpose = rbuf_u8(r);
	if ((p = rbuf_take(r, sizeof(ev->verifier_nonce))) != NULL)
		memcpy(ev->verifier_nonce, p, sizeof(ev->verifier_nonce));
	if ((p = rbuf_take(r, sizeof(ev->prover_nonce))) != NULL)
		memcpy(ev->prover_nonce, p, sizeof(ev->prover_nonce));
	ev->seq = rbuf_u64(r);
	if ((p = rbuf_take(r, sizeof(ev->head))) != NULL)
		memcpy(ev->head, p, sizeof(ev->head));
	if ((p = rbuf_take(r, sizeof(ev->caps))) != NULL)
		memcpy(ev->caps, p, sizeof(ev->caps));
	if ((p = rbuf_take(r, PEER_LEN)) != NULL)
		memcpy(ev->peer, p, PEER_LEN); /* its NUL is there already */
}

static void
get_tbs(struct rbuf *tbs, struct evidence *ev)
{
	struct rbuf validity, exts, list, ext, body;
	const uint8_t *spki;

	der_skip(tbs, DER_CONTEXT(0)); /* version */
	der_skip(tbs, DER_INTEGER);    /* serial */
	der_skip(tbs, DER_SEQUENCE);   /* algorithm */
	der_skip(tbs, DER_SEQUENCE);   /* issuer */
	validity = der_get(tbs, DER_SEQUENCE);
	ev->not_before = get_time(&validity);
	ev->not_after = get_time(&validity);
	get_name(tbs, ev->name);
	spki = rbuf_take(tbs, EVIDENCE_SPKI_LEN);
	if (spki != NULL)
		memcpy(ev->spki, spki, EVIDENCE_SPKI_LEN);
	exts = der_get(tbs, DER_CONTEXT(3));
	list = der_get(&exts, DER_SEQUENCE);
	ext = der_get(&list, DER_SEQUENCE);
	der_skip(&ext, DER_OID);
	der_skip(&ext, DER_BOOLEAN);
	body = der_get(&ext, DER_OCTETS);
	get_body(&body, ev);
	if (validity.failed || body.failed)
		tbs->failed = true;
}

int
evidence_parse(const uint8_t *der, size_t len, struct evidence *ev,
    uint8_t sig[EVIDENCE_SIG_LEN])
{
	uint8_t again[EVIDENCE_CERT_MAX], tbs[EVIDENCE_TBS_MAX];
	struct rbuf r, cert, inner;
	const uint8_t *s;
	ssize_t n;

	memset(ev, 0, sizeof(*ev));
	if (len > EVIDENCE_CERT_MAX)
		return -EBADMSG;
	rbuf_init(&r, der, len);
	cert = der_get(&r, DER_SEQUENCE);
	inner = der_get(&cert, DER_SEQUENCE);
	get_tbs(&inner, ev);
	/* The signature is at the end, whatever stands before it. */
	if (inner.failed || len < EVIDENCE_SIG_LEN)
		return -EBADMSG;
	s = der + len - EVIDENCE_SIG_LEN;
	n = evidence_tbs(ev, tbs, sizeof(tbs));
	if (n > 0)
		n = evidence_cert(tbs, (size_t)n, s, again, sizeof(again));
	if (n < 0 || (size_t)n != len || memcmp(again, der, len) != 0)
		return -EBADMSG;
	memcpy(sig, s, EVIDENCE_SIG_LEN);
	return 0;
}

int
evidence_verify_sig(const struct evidence *ev,
    const uint8_t sig[EVIDENCE_SIG_LEN], const uint8_t key[32])
{
	uint8_t tbs[EVIDENCE_TBS_MAX];
	ssize_t n = evidence_tbs(ev, tbs, sizeof(tbs));

	if (n < 0)
		return (int)n;
	return ed25519_verify(key, tbs, (size_t)n, sig);
}

int
evidence_spki(const EVP_PKEY *key, uint8_t out[EVIDENCE_SPKI_LEN])
{
	uint8_t point[EVIDENCE_SPKI_LEN];
	char group[32];
	size_t len;

	/* The point begins with the octet that ends spki_head. */
	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1 ||
	    strcmp(group, "prime256v1") != 0 ||
	    EVP_PKEY_get_octet_string_param(key,
		OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof(point),
		&len) != 1 ||
	    len != 1 + EVIDENCE_SPKI_LEN - sizeof(spki_head) || point[0] != 4)
		return -EINVAL;
	memcpy(out, spki_head, sizeof(spki_head));
	memcpy(out + sizeof(spki_head), point + 1, len - 1);
	return 0;
}

int
evidence_hash(const uint8_t *der, size_t len, uint8_t out[EVIDENCE_HASH_LEN])
{
	uint8_t hash[EVP_MAX_MD_SIZE];

	if (EVP_Digest(der, len, hash, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	memcpy(out, hash, EVIDENCE_HASH_LEN);
	return 0;
}
