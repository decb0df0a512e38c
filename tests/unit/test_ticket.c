/* SPDX-License-Identifier: ISC */
/*
 * test_ticket.c - a ticket is what was handed over or nothing: every slip of
 * a finger is told as one; its key and its words are the same at both ends;
 * and a JOIN holds for one session, one name and one set of keys.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "common/b64.h"
#include "common/join.h"
#include "common/merkle.h"
#include "common/ticket.h"

/* RFC 8032 section 7.1, test 1. */
static const uint8_t inviter[32] = { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a,
	0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
	0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51,
	0x1a };

static struct ticket
example(void)
{
	struct ticket t = { .expiry = 1795270217,
		.name = "agent-tokyo-07",
		.n_addrs = 2,
		.addr = { "192.0.2.7:7946", "[2001:db8::7]:7946" } };
	size_t i;

	for (i = 0; i < 32; i++)
		t.genesis[i] = (uint8_t)i;
	for (i = 0; i < TICKET_SEED_LEN; i++)
		t.seed[i] = (uint8_t)(0xa0 + i);
	memcpy(t.inviter, inviter, sizeof(inviter));
	return t;
}

static void
test_both_ways(void **state)
{
	struct ticket t = example(), back;
	char text[TICKET_TEXT_MAX], again[TICKET_TEXT_MAX];
	const char *why;
	ssize_t n;

	(void)state;
	n = ticket_format(&t, text, sizeof(text));
	assert_true(n > 0 && (size_t)n == strlen(text));
	assert_int_equal(ticket_parse(text, (size_t)n, &back, &why), 0);
	assert_memory_equal(&back, &t, sizeof(t));
	assert_int_equal(ticket_format(&back, again, sizeof(again)), n);
	assert_string_equal(again, text);
	/* The whole text of this one is frozen with version 1. */
	assert_string_equal(text,
	    "claw-join-1:AQAAAABrAaZJAA5hZ2VudC10b2t5by0wNwABAgMEBQYHCAkK"
	    "CwwNDg8QERITFBUWFxgZGhscHR4f11qYAYKxCrfVS_7TyWQHOg7hcvPapiMl"
	    "rwIaaPcHURoCAA4xOTIuMC4yLjc6Nzk0NgASWzIwMDE6ZGI4Ojo3XTo3OTQ2"
	    "oKGio6SlpqeoqaqrrK2ur512O4M");
	assert_int_equal(ticket_format(&t, text, (size_t)n), -ENOSPC);
}

/* Every character replaced, every neighbour swapped, every length. */
static void
test_slips(void **state)
{
	static const char others[] = "Aa0-_=: \n\x7f\xc3";
	struct ticket t = example(), back, none = { 0 };
	char text[TICKET_TEXT_MAX], bad[TICKET_TEXT_MAX];
	const char *why;
	size_t i, k, n;
	int ret;

	(void)state;
	n = (size_t)ticket_format(&t, text, sizeof(text));
	for (i = 0; i < n; i++) {
		for (k = 0; k < sizeof(others) - 1; k++) {
			memcpy(bad, text, n);
			bad[i] = others[k];
			if (bad[i] == text[i])
				continue;
			ret = ticket_parse(bad, n, &back, &why);
			assert_true(ret == -EBADMSG || ret == -EINVAL);
			assert_true(why[0] != '\0');
			assert_memory_equal(&back, &none, sizeof(back));
		}
		memcpy(bad, text, n);
		bad[i] = text[i + 1 < n ? i + 1 : i];
		bad[i + 1 < n ? i + 1 : i] = text[i];
		if (memcmp(bad, text, n) != 0)
			assert_int_not_equal(ticket_parse(bad, n, &back, &why),
			    0);
		assert_int_not_equal(ticket_parse(text, i, &back, &why), 0);
	}
	memcpy(bad, text, n);
	bad[n] = '\n';
	assert_int_equal(ticket_parse(bad, n + 1, &back, &why), -EBADMSG);
	bad[n] = 'A';
	assert_int_equal(ticket_parse(bad, n + 1, &back, &why), -EBADMSG);
}

static int
why_of(const char *text, const char *part)
{
	struct ticket t;
	const char *why;
	int ret = ticket_parse(text, strlen(text), &t, &why);

	if (strstr(why, part) == NULL)
		fail_msg("%s: %s", text, why);
	return ret;
}

/* What is wrong is said: no ticket, a typing error, a newer version. */
static void
test_reasons(void **state)
{
	struct ticket t = example();
	char text[TICKET_TEXT_MAX], in[12 + 400];
	uint8_t body[400], hash[32];
	ssize_t n;

	(void)state;
	assert_int_equal(why_of("", "no ticket"), -EINVAL);
	assert_int_equal(why_of("claw-join-", "no ticket"), -EINVAL);
	assert_int_equal(why_of("ed25519:AAAA", "no ticket"), -EINVAL);
	assert_int_equal(why_of("claw-join-1:", "damaged"), -EBADMSG);
	assert_int_equal(why_of("claw-join-1:AAAAAAAA", "checksum"), -EBADMSG);
	assert_int_equal(why_of("claw-join-2:AAAA", "newer"), -EPROTONOSUPPORT);
	ticket_format(&t, text, sizeof(text));
	text[20] = text[20] == 'A' ? 'B' : 'A';
	assert_int_equal(why_of(text, "checksum"), -EBADMSG);

	/* A version to come has another byte and a good checksum. */
	ticket_format(&t, text, sizeof(text));
	n = b64url_decode(text + 12, strlen(text) - 12, body, sizeof(body));
	assert_true(n > 4);
	body[0] = 2;
	memcpy(in, TICKET_PREFIX, 12);
	memcpy(in + 12, body, (size_t)n - 4);
	merkle_sha256(in, 12 + (size_t)n - 4, hash);
	memcpy(body + n - 4, hash, 4);
	b64url_encode(body, (size_t)n, text + 12, sizeof(text) - 12);
	assert_int_equal(why_of(text, "newer"), -EPROTONOSUPPORT);
}

/* What no ticket may say, nobody can write either. */
static void
test_bounds(void **state)
{
	static const char *const bad[] = { "", "host", "host:", ":1", "host:0",
		"host:65536", "host:01", "a b:1", "::1:7946", "[]:1",
		"[::1]7946", "host:1 ", "h\x1b[2J:1", "host:999999" };
	struct ticket t;
	char text[TICKET_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		t = example();
		snprintf(t.addr[1], sizeof(t.addr[1]), "%s", bad[i]);
		assert_int_equal(ticket_format(&t, text, sizeof(text)),
		    -EINVAL);
	}
	t = example();
	t.n_addrs = 0;
	assert_int_equal(ticket_format(&t, text, sizeof(text)), -EINVAL);
	t.n_addrs = 5;
	assert_int_equal(ticket_format(&t, text, sizeof(text)), -EINVAL);
	t = example();
	memcpy(t.name, "Upper", 6);
	assert_int_equal(ticket_format(&t, text, sizeof(text)), -EINVAL);
	t = example();
	memset(t.inviter, 0, sizeof(t.inviter));
	assert_int_equal(ticket_format(&t, text, sizeof(text)), -EINVAL);
	/* The longest of all has room. */
	t = example();
	memset(t.name, 'n', TICKET_NAME_MAX);
	t.n_addrs = TICKET_ADDRS_MAX;
	for (i = 0; i < TICKET_ADDRS_MAX; i++) {
		memset(t.addr[i], 'h', TICKET_ADDR_MAX);
		memcpy(t.addr[i] + TICKET_ADDR_MAX - 5, ":7946", 6);
	}
	assert_true(ticket_format(&t, text, sizeof(text)) > 0);
}

/*
 * The key and the words of the example, as python3's hmac, hashlib and
 * cryptography give them.
 */
static void
test_key_and_words(void **state)
{
	static const uint8_t want[32] = { 0xd5, 0x2e, 0xfc, 0xde, 0x86, 0xdc,
		0x41, 0x1c, 0x06, 0x22, 0x84, 0xe4, 0xec, 0x33, 0x88, 0x4d,
		0x54, 0x38, 0xf8, 0x86, 0x9d, 0x94, 0x0d, 0x6e, 0xeb, 0xa8,
		0x01, 0xe0, 0xfc, 0xcd, 0x0e, 0xac };
	struct ticket t = example();
	char words[TICKET_WORDS_SIZE];
	uint8_t key[32], pub[32], again[32];

	(void)state;
	assert_int_equal(ticket_key(t.seed, t.genesis, key, pub), 0);
	assert_memory_equal(pub, want, sizeof(want));
	assert_int_equal(ticket_key(t.seed, t.genesis, NULL, again), 0);
	assert_memory_equal(again, pub, sizeof(pub));
	t.genesis[31] ^= 1;
	assert_int_equal(ticket_key(t.seed, t.genesis, NULL, again), 0);
	assert_memory_not_equal(again, pub, sizeof(pub));
	t.genesis[31] ^= 1;
	ticket_words(t.genesis, inviter, words);
	assert_string_equal(words, "wink exchange shoot alarm make turtle");
}

static void
sign(const uint8_t seed[32], const uint8_t *msg, size_t len, uint8_t sig[64])
{
	size_t n = 64;
	EVP_PKEY *key;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, msg, len), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

struct joining {
	struct join join;
	struct join_binding binding;
	uint8_t ticket_key[32], identity_key[32];
};

static void
sign_join(struct joining *j)
{
	uint8_t text[JOIN_SIGNED_MAX];
	ssize_t n;

	n = join_signed_bytes(&j->binding, &j->join, text, sizeof(text));
	assert_true(n > 0);
	sign(j->ticket_key, text, (size_t)n, j->join.ticket_sig);
	sign(j->identity_key, text, (size_t)n, j->join.identity_sig);
}

static struct joining
joining(void)
{
	struct joining j = {
		.join = { .name = "agent-tokyo-07",
		    .at = { 2, { "198.51.100.7:7946", "[2001:db8::7]:7946" } } }
	};
	struct ticket t = example();
	EVP_PKEY *key;
	size_t n = 32;

	ticket_key(t.seed, t.genesis, j.ticket_key, j.join.ticket);
	memset(j.identity_key, 7, sizeof(j.identity_key));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
	    j.identity_key, 32);
	EVP_PKEY_get_raw_public_key(key, j.join.identity, &n);
	EVP_PKEY_free(key);
	memset(j.join.sealing, 3, 32);
	memset(j.join.next_hash, 4, 32);
	memset(&j.binding, 5, sizeof(j.binding));
	sign_join(&j);
	return j;
}

static int
verify(const struct joining *j)
{
	struct joining good = joining();
	const char *why;
	int ret;

	ret = join_verify(&j->join, &j->binding, "agent-tokyo-07",
	    good.join.ticket, &why);
	assert_true((ret == 0) == (why == NULL));
	return ret;
}

static void
test_join_codec(void **state)
{
	struct joining j = joining();
	uint8_t body[JOIN_BODY_MAX + 1];
	struct join back;
	struct wbuf w;
	size_t i;

	(void)state;
	wbuf_init(&w, body, JOIN_BODY_MAX);
	assert_int_equal(join_put(&w, &j.join), 0);
	assert_int_equal(join_get(body, w.len, &back), 0);
	assert_memory_equal(&back, &j.join, sizeof(back));
	for (i = 0; i < w.len; i++)
		assert_int_equal(join_get(body, i, &back), -EBADMSG);
	assert_int_equal(join_get(body, w.len + 1, &back), -EBADMSG);
	body[0] = 2;
	assert_int_equal(join_get(body, w.len, &back), -EPROTONOSUPPORT);
	body[0] = 0;
	assert_int_equal(join_get(body, w.len, &back), -EBADMSG);
	/* What nobody can dial is told from what is garbled. */
	strcpy(j.join.at.text[1], "[::]:7946");
	wbuf_init(&w, body, JOIN_BODY_MAX);
	assert_int_equal(join_put(&w, &j.join), 0);
	assert_int_equal(join_get(body, w.len, &back), -EADDRNOTAVAIL);
	assert_int_equal(join_get(body, w.len - 1, &back), -EBADMSG);
	memcpy(j.join.name, "-no", 4);
	wbuf_init(&w, body, JOIN_BODY_MAX);
	assert_int_equal(join_put(&w, &j.join), -EINVAL);
}

/* Each bit of what was signed: the session, the name, the keys, both hands. */
static void
test_join_bound(void **state)
{
	struct joining j = joining(), bad;
	uint8_t *p = (uint8_t *)&bad.binding;
	size_t i;

	(void)state;
	assert_int_equal(verify(&j), 0);
	for (i = 0; i < 8 * sizeof(bad.binding); i++) {
		bad = j;
		p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(verify(&bad), -EKEYREJECTED);
	}
	p = bad.join.identity;
	for (i = 0;
	     i < 8 * (sizeof(bad.join) - offsetof(struct join, identity));
	     i++) {
		bad = j;
		p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(verify(&bad), -EKEYREJECTED);
	}
	bad = j;
	bad.join.at.n = 1;
	assert_int_equal(verify(&bad), -EKEYREJECTED);
	bad = j;
	bad.join.at.text[0][2] ^= 1;
	assert_int_equal(verify(&bad), -EKEYREJECTED);
	/* Another name, another ticket, though well signed. */
	bad = j;
	memcpy(bad.join.name, "agent-tokyo-08", 15);
	sign_join(&bad);
	assert_int_equal(verify(&bad), -EKEYREJECTED);
	bad = j;
	memcpy(bad.join.ticket, j.join.identity, 32);
	memcpy(bad.ticket_key, j.identity_key, 32);
	sign_join(&bad);
	assert_int_equal(verify(&bad), -EKEYREJECTED);
	/* The ticket's key for an identity: the inviter would hold it too. */
	bad = j;
	memcpy(bad.join.identity, j.join.ticket, 32);
	memcpy(bad.identity_key, j.ticket_key, 32);
	sign_join(&bad);
	assert_int_equal(verify(&bad), -EKEYREJECTED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_slips),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_key_and_words),
		cmocka_unit_test(test_join_codec),
		cmocka_unit_test(test_join_bound),
	};

	return cmocka_run_group_tests_name("ticket", tests, NULL, NULL);
}
