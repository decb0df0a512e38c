/* SPDX-License-Identifier: ISC */
/*
 * test_call.c - the messages of a call have one encoding, each bound holds on
 * the way out and on the way in, and what is signed is all of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "common/buf.h"
#include "common/call.h"

static struct call_offer offer;
static struct call_answer answer;
static struct call_confirm confirm;
static uint8_t body[CALL_BODY_MAX + 1], public_key[32];

static void
sign(const uint8_t *text, ssize_t n, uint8_t sig[64])
{
	static const uint8_t seed[32] = { 7 };
	size_t len = 64, pub_len = 32;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key =
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);

	assert_true(n > 0);
	assert_int_equal(EVP_PKEY_get_raw_public_key(key, public_key, &pub_len),
	    1);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &len, text, (size_t)n), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void
fill_flight(struct call_flight *f, uint8_t n, uint16_t len)
{
	size_t i;

	f->n = n;
	for (i = 0; i < n && i < CALL_FLIGHT_MAX; i++) {
		f->datagram[i].len = len;
		memset(f->datagram[i].data, (int)(0x16 + i),
		    len > CALL_DATAGRAM_MAX ? CALL_DATAGRAM_MAX : len);
	}
}

static struct call_candidate
candidate(uint8_t type)
{
	struct call_candidate c = { .component = 1,
		.transport = CALL_UDP,
		.type = type,
		.priority = 2130706431,
		.foundation = "1",
		.at = { 4, { 192, 0, 2, 7 }, 40000 } };

	if (type != CALL_HOST)
		c.related =
		    (struct call_address){ 6, { 0x20, 1, 0xd, 0xb8 }, 0 };
	return c;
}

static int
setup(void **state)
{
	uint8_t text[CALL_SIGNED_MAX];
	struct call_ice ice = { "ufr+", "passwordpasswordpass/0" };
	struct call_media media = { CALL_OPUS, 20, CALL_FEC, 32000 };

	(void)state;
	memset(&offer, 0, sizeof(offer));
	memset(offer.id, 1, sizeof(offer.id));
	strcpy(offer.caller, "alpha");
	strcpy(offer.callee, "beta");
	memset(offer.nonce, 2, 32);
	memset(offer.spki, 3, 32);
	memset(offer.share, 4, 32);
	offer.expires_s = 1700000000;
	offer.ice = ice;
	offer.media = media;
	fill_flight(&offer.flight, 1, 200);
	sign(text, call_offer_signed(&offer, text, sizeof(text)), offer.sig);
	memset(&answer, 0, sizeof(answer));
	assert_int_equal(call_offer_hash(&offer, answer.offer), 0);
	strcpy(answer.caller, "alpha");
	strcpy(answer.callee, "beta");
	memset(answer.nonce, 5, 32);
	memset(answer.share, 6, 32);
	answer.ice = ice;
	answer.media = media;
	answer.leaf.len = 100;
	memset(answer.leaf.der, 0x30, 100);
	fill_flight(&answer.flight, 2, 100);
	sign(text, call_answer_signed(&answer, text, sizeof(text)), answer.sig);
	memset(&confirm, 0, sizeof(confirm));
	confirm.leaf = answer.leaf;
	fill_flight(&confirm.flight, 2, 50);
	confirm.candidates.n = 2;
	confirm.candidates.c[0] = candidate(CALL_HOST);
	confirm.candidates.c[1] = candidate(CALL_SRFLX);
	return 0;
}

/* One parser and its formatter, over any struct. */
struct kind {
	const char *name;
	int (*parse)(const uint8_t *, size_t, void *);
	ssize_t (*format)(const void *, uint8_t *, size_t);
	void *sample;
	size_t size;
};

#define KIND(what)                                                             \
	static int parse_##what(const uint8_t *in, size_t len, void *m)        \
	{                                                                      \
		return call_##what##_parse(in, len, m);                        \
	}                                                                      \
	static ssize_t format_##what(const void *m, uint8_t *out, size_t size) \
	{                                                                      \
		return call_##what##_format(m, out, size);                     \
	}
KIND(offer)
KIND(answer)
KIND(confirm)
KIND(candidates)
KIND(restart)

static const struct kind kinds[] = {
	{ "OFFER", parse_offer, format_offer, &offer, sizeof(offer) },
	{ "ANSWER", parse_answer, format_answer, &answer, sizeof(answer) },
	{ "CONFIRM", parse_confirm, format_confirm, &confirm, sizeof(confirm) },
	{ "CANDIDATES", parse_candidates, format_candidates,
	    &confirm.candidates, sizeof(confirm.candidates) },
	{ "RESTART", parse_restart, format_restart, &offer.ice,
	    sizeof(offer.ice) },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static size_t
there_and_back(const struct kind *k)
{
	uint8_t *got = malloc(k->size);
	ssize_t n = k->format(k->sample, body, sizeof(body));

	assert_true(n > 0);
	assert_int_equal(k->format(k->sample, body, (size_t)n - 1), -ENOSPC);
	assert_int_equal(k->format(k->sample, body, (size_t)n), n);
	assert_int_equal(k->parse(body, (size_t)n, got), 0);
	assert_memory_equal(got, k->sample, k->size);
	free(got);
	return (size_t)n;
}

static void
test_there_and_back(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < KINDS; i++)
		there_and_back(&kinds[i]);
}

static void
longest_ice(struct call_ice *i)
{
	memset(i->ufrag, 'u', CALL_CREDENTIAL_MAX);
	memset(i->pwd, 'p', CALL_CREDENTIAL_MAX);
}

static void
longest_candidate(struct call_candidate *c)
{
	*c = candidate(CALL_RELAY);
	c->component = 2;
	c->transport = CALL_TCP_SO;
	c->priority = INT32_MAX;
	memset(c->foundation, 'f', CALL_FOUNDATION_MAX);
	c->at = (struct call_address){ 6, { 0x20, 1, 0xd, 0xb8 }, 65535 };
}

/* As long as can be: exactly what the constants promise. */
static void
test_longest(void **state)
{
	size_t i;

	(void)state;
	memset(offer.caller, 'a', sizeof(offer.caller) - 1);
	memset(offer.callee, 'b', sizeof(offer.callee) - 1);
	memcpy(answer.caller, offer.caller, sizeof(answer.caller));
	memcpy(answer.callee, offer.callee, sizeof(answer.callee));
	offer.expires_s = INT64_MAX;
	offer.leaf.len = answer.leaf.len = confirm.leaf.len = EVIDENCE_CERT_MAX;
	longest_ice(&offer.ice);
	longest_ice(&answer.ice);
	fill_flight(&offer.flight, CALL_FLIGHT_MAX, CALL_DATAGRAM_MAX);
	fill_flight(&answer.flight, CALL_FLIGHT_MAX, CALL_DATAGRAM_MAX);
	fill_flight(&confirm.flight, CALL_FLIGHT_MAX, CALL_DATAGRAM_MAX);
	confirm.candidates.n = CALL_CANDIDATES_MAX;
	for (i = 0; i < CALL_CANDIDATES_MAX; i++)
		longest_candidate(&confirm.candidates.c[i]);
	assert_int_equal(there_and_back(&kinds[0]), CALL_OFFER_MAX);
	assert_int_equal(there_and_back(&kinds[1]), CALL_ANSWER_MAX);
	assert_int_equal(there_and_back(&kinds[2]), CALL_CONFIRM_MAX);
	assert_int_equal(there_and_back(&kinds[3]), CALL_CANDIDATES_BYTES);
	assert_int_equal(there_and_back(&kinds[4]), CALL_ICE_BYTES);
}

/* Any byte may be anything: not read, or written again as it was. */
static void
test_one_encoding(void **state)
{
	uint8_t again[CALL_BODY_MAX], *got, was;
	size_t i, at, n, read;
	unsigned int v;

	(void)state;
	for (i = 0; i < KINDS; i++) {
		got = malloc(kinds[i].size);
		n = there_and_back(&kinds[i]);
		read = 0;
		for (at = 0; at < n; at++) {
			was = body[at];
			for (v = 0; v < 256; v++) {
				body[at] = (uint8_t)v;
				if (kinds[i].parse(body, n, got) != 0)
					continue;
				read++;
				assert_int_equal(
				    kinds[i].format(got, again, sizeof(again)),
				    n);
				assert_memory_equal(again, body, n);
			}
			body[at] = was;
		}
		assert_true(read > n);
		free(got);
	}
}

/* Cut anywhere or with a byte more it is none, and nothing half-read stays. */
static void
test_cut(void **state)
{
	uint8_t *got, *none;
	size_t i, at, n;

	(void)state;
	for (i = 0; i < KINDS; i++) {
		got = malloc(kinds[i].size);
		none = calloc(1, kinds[i].size);
		n = there_and_back(&kinds[i]);
		body[n] = 0;
		for (at = 0; at <= n + 1; at++) {
			if (at == n)
				continue;
			assert_int_equal(kinds[i].parse(body, at, got),
			    -EBADMSG);
			assert_memory_equal(got, none, kinds[i].size);
		}
		free(got);
		free(none);
	}
}

/* --- what is signed ----------------------------------------------------- */

static void
test_signature(void **state)
{
	static const uint8_t other[32] = { 9 };
	struct call_offer o;
	struct call_answer a;
	size_t at, n;

	(void)state;
	assert_int_equal(call_offer_verify(&offer, public_key), 0);
	assert_int_equal(call_offer_verify(&offer, other), -EKEYREJECTED);
	n = there_and_back(&kinds[0]);
	for (at = 0; at < n; at++) {
		body[at] ^= 1;
		if (call_offer_parse(body, n, &o) == 0)
			assert_int_equal(call_offer_verify(&o, public_key),
			    -EKEYREJECTED);
		body[at] ^= 1;
	}
	assert_int_equal(call_answer_verify(&answer, public_key), 0);
	assert_int_equal(call_answer_verify(&answer, other), -EKEYREJECTED);
	n = there_and_back(&kinds[1]);
	for (at = 0; at < n; at++) {
		body[at] ^= 1;
		if (call_answer_parse(body, n, &a) == 0)
			assert_int_equal(call_answer_verify(&a, public_key),
			    -EKEYREJECTED);
		body[at] ^= 1;
	}
}

/* Under labels of their own: what is one is never the other. */
static void
test_labels(void **state)
{
	static const char first[] = "claw/call-offer/v1";
	static const char second[] = "claw/call-answer/v1";
	uint8_t text[CALL_SIGNED_MAX];
	ssize_t n;

	(void)state;
	n = call_offer_signed(&offer, text, sizeof(text));
	assert_int_equal(call_offer_signed(&offer, text, (size_t)n - 1),
	    -ENOSPC);
	assert_memory_equal(text, first, sizeof(first));
	assert_int_equal(call_offer_format(&offer, body, sizeof(body)),
	    n - (ssize_t)sizeof(first) + CALL_SIG_LEN);
	assert_memory_equal(text + sizeof(first), body,
	    (size_t)n - sizeof(first));
	n = call_answer_signed(&answer, text, sizeof(text));
	assert_memory_equal(text, second, sizeof(second));
	assert_int_equal(call_answer_format(&answer, body, sizeof(body)),
	    n - (ssize_t)sizeof(second) + CALL_SIG_LEN);
}

static void
test_answer_to_offer(void **state)
{
	struct call_offer o;
	struct call_answer a = answer;

	(void)state;
	assert_null(call_answer_differs(&answer, &offer));
	strcpy(a.caller, "gamma");
	assert_string_equal(call_answer_differs(&a, &offer), "caller");
	a = answer;
	strcpy(a.callee, "gamma");
	assert_string_equal(call_answer_differs(&a, &offer), "callee");
	o = offer;
	o.nonce[0] ^= 1;
	assert_string_equal(call_answer_differs(&answer, &o), "offer");
	o = offer; /* not signed, so not part of it */
	o.sig[0] ^= 1;
	assert_null(call_answer_differs(&answer, &o));
}

/* --- bounds, on the way out --------------------------------------------- */

#define NO_OFFER(change)                                                       \
	do {                                                                   \
		setup(NULL);                                                   \
		change;                                                        \
		assert_int_equal(                                              \
		    call_offer_format(&offer, body, sizeof(body)), -EINVAL);   \
	} while (0)

static void
test_offer_bounds(void **state)
{
	(void)state;
	NO_OFFER(offer.caller[0] = '\0');
	NO_OFFER(offer.caller[0] = 'A');
	NO_OFFER(memset(offer.callee, 'b', sizeof(offer.callee)));
	NO_OFFER(strcpy(offer.callee, offer.caller));
	NO_OFFER(offer.expires_s = UINT64_C(1) << 63);
	NO_OFFER(offer.ice.ufrag[3] = '\0');
	NO_OFFER(offer.ice.ufrag[0] = ' ');
	NO_OFFER(offer.ice.pwd[21] = '\0');
	NO_OFFER(offer.ice.pwd[0] = '\n');
	NO_OFFER(memset(offer.ice.pwd, 'p', sizeof(offer.ice.pwd)));
	NO_OFFER(offer.media.codec = 0);
	NO_OFFER(offer.media.codec = 2);
	NO_OFFER(offer.media.frame_ms = 30);
	NO_OFFER(offer.media.flags = 4);
	NO_OFFER(offer.media.bitrate = 5999);
	NO_OFFER(offer.media.bitrate = 510001);
	NO_OFFER(offer.leaf.len = EVIDENCE_CERT_MAX + 1);
	NO_OFFER(offer.flight.n = 0);
	NO_OFFER(offer.flight.n = CALL_FLIGHT_MAX + 1);
	NO_OFFER(offer.flight.datagram[0].len = 0);
	NO_OFFER(offer.flight.datagram[0].len = CALL_DATAGRAM_MAX + 1);
	setup(NULL);
	answer.leaf.len = 0;
	assert_int_equal(call_answer_format(&answer, body, sizeof(body)),
	    -EINVAL);
	assert_int_equal(call_answer_verify(&answer, public_key),
	    -EKEYREJECTED);
	confirm.leaf.len = 0;
	assert_int_equal(call_confirm_format(&confirm, body, sizeof(body)),
	    -EINVAL);
}

static void
no_candidate(const struct call_candidate *c)
{
	struct call_candidates l = { .n = 1 };

	l.c[0] = *c;
	assert_int_equal(call_candidates_format(&l, body, sizeof(body)),
	    -EINVAL);
}

#define NO_CANDIDATE(change)                                                   \
	do {                                                                   \
		c = candidate(CALL_HOST);                                      \
		change;                                                        \
		no_candidate(&c);                                              \
	} while (0)

static void
test_candidate_bounds(void **state)
{
	struct {
		struct call_candidates l;
		struct call_candidate more;
	} many = { .l.n = CALL_CANDIDATES_MAX + 1,
		.more = candidate(CALL_HOST) };
	struct call_candidate c;
	size_t i;

	(void)state;
	for (i = 0; i < CALL_CANDIDATES_MAX; i++)
		many.l.c[i] = candidate(CALL_HOST);
	assert_int_equal(call_candidates_format(&many.l, body, sizeof(body)),
	    -EINVAL);
	NO_CANDIDATE(c.component = 0);
	NO_CANDIDATE(c.component = 3);
	NO_CANDIDATE(c.transport = 0);
	NO_CANDIDATE(c.transport = CALL_TCP_SO + 1);
	NO_CANDIDATE(c.type = 0);
	NO_CANDIDATE(c.type = CALL_RELAY + 1);
	NO_CANDIDATE(c.priority = 0);
	NO_CANDIDATE(c.priority = UINT32_C(1) << 31);
	NO_CANDIDATE(c.foundation[0] = '\0');
	NO_CANDIDATE(c.foundation[0] = '-');
	NO_CANDIDATE(memset(c.foundation, 'f', sizeof(c.foundation)));
	NO_CANDIDATE(c.at.family = 0);
	NO_CANDIDATE(c.at.family = 5);
	NO_CANDIDATE(c.at.port = 0);
	/* A host is related to nothing; what is not a host, to something. */
	NO_CANDIDATE(c.related.family = 4);
	NO_CANDIDATE(c = candidate(CALL_SRFLX); c.related.family = 0);
	NO_CANDIDATE(c = candidate(CALL_RELAY); c.related.family = 7);
}

/* Nobody is made to send to many, to none, or over a link of its choice. */
static void
test_candidate_addresses(void **state)
{
	static const struct {
		bool ok;
		uint8_t family;
		uint8_t addr[16];
	} cases[] = {
		{ true, 4, { 127, 0, 0, 1 } },
		{ true, 4, { 10, 0, 0, 1 } },
		{ true, 4, { 223, 255, 255, 255 } },
		{ false, 4, { 0, 0, 0, 0 } },
		{ false, 4, { 0, 1, 2, 3 } },
		{ false, 4, { 224, 0, 0, 251 } },
		{ false, 4, { 255, 255, 255, 255 } },
		{ true, 6, { [15] = 1 } },
		{ true, 6, { 0xfd, 0x12 } },
		{ true, 6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
		{ false, 6, { 0 } },
		{ false, 6, { 0xff, 0x02, [15] = 0xfb } },
		{ false, 6, { 0xfe, 0x80, [15] = 1 } },
		{ false, 6, { 0xfe, 0xbf, [15] = 1 } },
		{ true, 6, { 0xfe, 0xc0, [15] = 1 } },
		{ false, 6, { [10] = 0xff, 0xff, 224, 0, 0, 251 } },
		{ false, 6, { [10] = 0xff, 0xff, 10, 0, 0, 1 } },
	};
	struct call_candidates l = { .n = 1 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		l.c[0] = candidate(CALL_HOST);
		l.c[0].at.family = cases[i].family;
		memcpy(l.c[0].at.addr, cases[i].addr, 16);
		assert_int_equal(
		    call_candidates_format(&l, body, sizeof(body)) > 0,
		    cases[i].ok);
	}
}

/* --- and on the way in: written without our formatter ------------------- */

static const uint8_t fill[2048];

static void
test_credentials_in(void **state)
{
	char text[300];
	struct call_ice ice;
	struct wbuf w;
	size_t n;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (n = 0; n <= sizeof(text); n++) {
		wbuf_init(&w, body, sizeof(body));
		wbuf_bytes(&w, text, n);
		wbuf_bytes(&w, text, 30);
		assert_int_equal(call_restart_parse(body, w.len, &ice) == 0,
		    n >= 4 && n <= 256);
		wbuf_init(&w, body, sizeof(body));
		wbuf_bytes(&w, text, 8);
		wbuf_bytes(&w, text, n);
		assert_int_equal(call_restart_parse(body, w.len, &ice) == 0,
		    n >= 22 && n <= 256);
	}
	/* A NUL is no end. */
	text[25] = '\0';
	wbuf_init(&w, body, sizeof(body));
	wbuf_bytes(&w, text, 8);
	wbuf_bytes(&w, text, 26);
	assert_int_equal(call_restart_parse(body, w.len, &ice), -EBADMSG);
}

static int
confirm_in(size_t leaf, uint8_t datagrams, size_t len, uint8_t candidates)
{
	static const uint8_t host[] = { 1, 1, 1, 0, 0, 0, 9, 0, 1, 'f', 4, 192,
		0, 2, 1, 1, 2, 0 };
	struct call_confirm c;
	struct wbuf w;
	size_t i;

	wbuf_init(&w, body, sizeof(body));
	wbuf_bytes(&w, fill, leaf);
	wbuf_u8(&w, datagrams);
	for (i = 0; i < datagrams; i++)
		wbuf_bytes(&w, fill, len);
	wbuf_u8(&w, candidates);
	for (i = 0; i < candidates; i++)
		wbuf_put(&w, host, sizeof(host));
	assert_false(w.failed);
	return call_confirm_parse(body, w.len, &c);
}

static void
test_counts_in(void **state)
{
	size_t n;

	(void)state;
	for (n = 0; n < 1000; n++)
		assert_int_equal(confirm_in(n, 1, 1, 0) == 0,
		    n >= 1 && n <= EVIDENCE_CERT_MAX);
	for (n = 0; n < 6; n++)
		assert_int_equal(confirm_in(1, (uint8_t)n, 1, 0) == 0,
		    n >= 1 && n <= CALL_FLIGHT_MAX);
	assert_int_equal(confirm_in(1, 2, 0, 0), -EBADMSG);
	assert_int_equal(confirm_in(1, 2, CALL_DATAGRAM_MAX, 0), 0);
	assert_int_equal(confirm_in(1, 2, CALL_DATAGRAM_MAX + 1, 0), -EBADMSG);
	for (n = 0; n < 40; n++)
		assert_int_equal(confirm_in(1, 1, 1, (uint8_t)n) == 0,
		    n <= CALL_CANDIDATES_MAX);
}

static void
test_head(void **state)
{
	uint8_t head[CALL_HEAD_LEN], id[CALL_ID_LEN];
	enum call_type type;
	unsigned int v;
	size_t n;

	(void)state;
	call_head_put(head, CALL_ANSWER, offer.id);
	assert_int_equal(call_head_get(head, sizeof(head), &type, id), 0);
	assert_int_equal(type, CALL_ANSWER);
	assert_memory_equal(id, offer.id, sizeof(id));
	for (n = 0; n < sizeof(head); n++)
		assert_int_equal(call_head_get(head, n, &type, id), -EBADMSG);
	for (v = 0; v < 256; v++) {
		head[1] = (uint8_t)v;
		assert_int_equal(call_head_get(head, sizeof(head), &type, id) ==
			0,
		    v >= CALL_OFFER && v <= CALL_RETRY);
	}
	head[1] = CALL_OFFER;
	head[0] = CALL_VERSION + 1;
	assert_int_equal(call_head_get(head, sizeof(head), &type, id),
	    -EPROTONOSUPPORT);
	head[0] = 0;
	assert_int_equal(call_head_get(head, sizeof(head), &type, id),
	    -EBADMSG);
}

static void
test_reasons(void **state)
{
	enum call_reason got;
	uint8_t in[2] = { 0, 0 };
	unsigned int v;

	(void)state;
	for (v = 0; v < 256; v++) {
		bool ok = v > 0 && v < CALL_REASONS_END;

		in[0] = (uint8_t)v;
		assert_int_equal(call_end_parse(in, 1, &got) == 0, ok);
		assert_int_equal(got, ok ? v : CALL_NO_REASON);
		assert_int_equal(strcmp(call_reason_text(v), "?") != 0, ok);
		assert_int_equal(strcmp(call_reason_name(v), "?") != 0, ok);
	}
	in[0] = CALL_HANGUP;
	assert_int_equal(call_end_parse(in, 0, &got), -EBADMSG);
	assert_int_equal(call_end_parse(in, 2, &got), -EBADMSG);
	assert_string_equal(call_reason_name(CALL_ALLOWLIST), "ALLOWLIST");
}

static void
test_retry(void **state)
{
	uint8_t nonce[CALL_RETRY_LEN];
	size_t n;

	(void)state;
	for (n = 0; n < 40; n++)
		assert_int_equal(call_retry_parse(offer.nonce, n, nonce),
		    n == sizeof(nonce) ? 0 : -EBADMSG);
	assert_memory_equal(nonce, offer.nonce, sizeof(nonce));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_there_and_back, setup),
		cmocka_unit_test_setup(test_longest, setup),
		cmocka_unit_test_setup(test_one_encoding, setup),
		cmocka_unit_test_setup(test_cut, setup),
		cmocka_unit_test_setup(test_signature, setup),
		cmocka_unit_test_setup(test_labels, setup),
		cmocka_unit_test_setup(test_answer_to_offer, setup),
		cmocka_unit_test_setup(test_offer_bounds, setup),
		cmocka_unit_test_setup(test_candidate_bounds, setup),
		cmocka_unit_test_setup(test_candidate_addresses, setup),
		cmocka_unit_test_setup(test_credentials_in, setup),
		cmocka_unit_test_setup(test_counts_in, setup),
		cmocka_unit_test_setup(test_head, setup),
		cmocka_unit_test_setup(test_reasons, setup),
		cmocka_unit_test_setup(test_retry, setup),
	};

	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
