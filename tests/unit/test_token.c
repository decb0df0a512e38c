/* SPDX-License-Identifier: ISC */
/*
 * test_token.c - a token does what it says for whom it says and no longer; all
 * else is refused with its reason, and another spelling is no token.
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
#include "common/capability.h"
#include "common/token.h"

#define NOW UINT64_C(1795270217)
#define HEADER_LEN 37 /* with its dot */

static uint8_t key[3][32], pub[3][32];
enum { ISSUER, HOLDER, US };

static int
keys_make(void **state)
{
	EVP_PKEY *k;
	size_t i, n;

	(void)state;
	for (i = 0; i < 3; i++) {
		memset(key[i], (int)i + 1, 32);
		k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key[i],
		    32);
		n = 32;
		if (EVP_PKEY_get_raw_public_key(k, pub[i], &n) != 1)
			return -1;
		EVP_PKEY_free(k);
	}
	return 0;
}

static void
sign(const uint8_t *seed, const char *msg, size_t len, uint8_t sig[64])
{
	size_t n = 64;
	EVP_PKEY *k;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, k), 1);
	assert_int_equal(
	    EVP_DigestSign(ctx, sig, &n, (const uint8_t *)msg, len), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(k);
}

static struct token_claims
example(void)
{
	struct token_claims c = { .iat = NOW - 10,
		.exp = NOW + 290,
		.cap =
		    CAPABILITY_MASK(SFT_SEND) | CAPABILITY_MASK(VOICE_CONNECT),
		.reg = 41 };

	memcpy(c.iss, pub[ISSUER], 32);
	memcpy(c.sub, pub[HOLDER], 32);
	memcpy(c.aud, pub[US], 32);
	memset(c.cnf, 0xc0, sizeof(c.cnf));
	memset(c.jti, 0x11, sizeof(c.jti));
	return c;
}

/* What the registry says of the issuer and the holder. */
static struct {
	int of[2];
	uint64_t cap;
} registry;

static int
lookup(void *arg, const uint8_t k[32], uint64_t *cap)
{
	size_t i;

	assert_ptr_equal(arg, &registry);
	for (i = 0; i < 2; i++) {
		if (memcmp(k, pub[i], 32) != 0)
			continue;
		*cap = i == ISSUER ? registry.cap : 0;
		return registry.of[i];
	}
	return -ENOENT;
}

static struct token_expect
expectation(void)
{
	struct token_expect e = { .now = NOW,
		.registry = 41,
		.lookup = lookup,
		.arg = &registry };

	memcpy(e.aud, pub[US], 32);
	memset(e.leaf, 0xc0, sizeof(e.leaf));
	memset(&registry, 0, sizeof(registry));
	registry.cap = capability_all();
	return e;
}

static char text[TOKEN_MAX];
static struct token token;

static size_t
make(const struct token_claims *c)
{
	char input[TOKEN_MAX];
	uint8_t sig[64];
	ssize_t n;

	n = token_signing_input(c, input, sizeof(input));
	assert_true(n > 0);
	sign(key[ISSUER], input, (size_t)n, sig);
	n = token_compose(input, (size_t)n, sig, text, sizeof(text));
	assert_true(n > 0 && strlen(text) == (size_t)n);
	return (size_t)n;
}

static enum token_verdict
verdict(const struct token_claims *c, const struct token_expect *e)
{
	size_t n = make(c);

	assert_int_equal(token_parse(text, n, &token), TOKEN_OK);
	return token_verify(&token, e);
}

static void
test_good(void **state)
{
	struct token_claims c = example();
	struct token_expect e = expectation();
	char json[TOKEN_MAX];
	const char *dot;
	ssize_t n;

	(void)state;
	assert_int_equal(verdict(&c, &e), TOKEN_OK);
	assert_memory_equal(&token.claims, &c, sizeof(c));
	/* Any other implementation of RFC 7519 reads the same. */
	dot = strchr(text, '.');
	n = b64url_decode(text, (size_t)(dot - text), json, sizeof(json));
	json[n] = '\0';
	assert_string_equal(json, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}");
	n = b64url_decode(dot + 1, strcspn(dot + 1, "."), json, sizeof(json));
	json[n] = '\0';
	assert_string_equal(json,
	    "{\"aud\":\"did:key:z6MkvRXNYcE7MMduynWTgeKbDaT1iijDSC8pZqXZc"
	    "8rHPrf2\",\"cap\":[\"sft.send\",\"voice.connect\"],\"cnf\":{"
	    "\"x5t#S256\":\"wMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA\""
	    "},\"exp\":1795270507,\"iat\":1795270207,\"iss\":\"did:key:z6"
	    "Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX\",\"jti\":\"E"
	    "REREREREREREREREREREQ\",\"reg\":41,\"sub\":\"did:key:z6Mko9h"
	    "TggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH\"}");
}

/* Each reason, by changing one thing. */
static void
test_reasons(void **state)
{
	struct token_claims c = example();
	struct token_expect e = expectation();

	(void)state;
	c.iat = NOW + TOKEN_SKEW_MAX + 1;
	assert_int_equal(verdict(&c, &e), TOKEN_NOT_YET);
	c.iat = NOW + TOKEN_SKEW_MAX;
	assert_int_equal(verdict(&c, &e), TOKEN_OK);
	c = example();
	c.exp = NOW;
	assert_int_equal(verdict(&c, &e), TOKEN_EXPIRED);
	c.exp = NOW + 1;
	assert_int_equal(verdict(&c, &e), TOKEN_OK);
	c = example();
	memcpy(c.aud, pub[HOLDER], 32);
	assert_int_equal(verdict(&c, &e), TOKEN_AUDIENCE);
	c = example();
	c.cnf[31] ^= 1;
	assert_int_equal(verdict(&c, &e), TOKEN_HOLDER);
	c = example();
	c.reg = 42;
	assert_int_equal(verdict(&c, &e), TOKEN_REGISTRY);
	c.reg = 0;
	assert_int_equal(verdict(&c, &e), TOKEN_OK);
	c = example();
	memcpy(c.iss, pub[US], 32);
	assert_int_equal(verdict(&c, &e), TOKEN_ISSUER);
	c = example();
	memcpy(c.sub, pub[US], 32);
	assert_int_equal(verdict(&c, &e), TOKEN_SUBJECT);
	c = example();
	registry.of[ISSUER] = -EKEYREVOKED;
	assert_int_equal(verdict(&c, &e), TOKEN_ISSUER_ENDED);
	registry.of[ISSUER] = 0;
	registry.of[HOLDER] = -EKEYREVOKED;
	assert_int_equal(verdict(&c, &e), TOKEN_SUBJECT_ENDED);
	registry.of[HOLDER] = 0;
	registry.cap = CAPABILITY_MASK(SFT_SEND);
	assert_int_equal(verdict(&c, &e), TOKEN_BEYOND);
	registry.cap |= CAPABILITY_MASK(VOICE_CONNECT);
	assert_int_equal(verdict(&c, &e), TOKEN_OK);
	/* The holder signs for itself, in the issuer's name. */
	memcpy(key[ISSUER], key[HOLDER], 32);
	assert_int_equal(verdict(&c, &e), TOKEN_SIGNATURE);
	memset(key[ISSUER], 1, 32);
}

/* Claims that no token has are not made either. */
static void
test_not_made(void **state)
{
	struct token_claims c;
	char out[TOKEN_MAX];

	(void)state;
#define REFUSED(change)                                                        \
	do {                                                                   \
		c = example();                                                 \
		change;                                                        \
		assert_int_equal(token_signing_input(&c, out, sizeof(out)),    \
		    -EINVAL);                                                  \
	} while (0)
	REFUSED(c.exp = c.iat + TOKEN_LIFE_MAX + 1);
	REFUSED(c.exp = c.iat);
	REFUSED(c.exp = c.iat - 1);
	REFUSED(c.cap = 0);
	REFUSED(c.cap = UINT64_C(1) << 63);
	REFUSED(c.reg = UINT64_C(1) << 53);
	REFUSED(memset(c.iss, 0, 32));
	REFUSED(memset(c.sub, 0, 32));
	REFUSED(memset(c.aud, 0, 32));
	c = example();
	c.exp = c.iat + TOKEN_LIFE_MAX;
	assert_true(token_signing_input(&c, out, sizeof(out)) > 0);
	assert_int_equal(token_signing_input(&c, out, 40), -ENOSPC);
}

/* A token around these claims, signed by the issuer. */
static enum token_verdict
parse_claims(const char *header, const char *json)
{
	char input[2 * TOKEN_MAX], whole[2 * TOKEN_MAX + 100];
	uint8_t sig[64] = { 0 };
	ssize_t n, k;

	n = b64url_encode(header, strlen(header), input, sizeof(input));
	input[n++] = '.';
	k = b64url_encode(json, strlen(json), input + n,
	    sizeof(input) - (size_t)n);
	assert_true(k > 0);
	n += k;
	sign(key[ISSUER], input, (size_t)n, sig);
	k = snprintf(whole, sizeof(whole), "%s.", input);
	k += b64url_encode(sig, sizeof(sig), whole + k, 100);
	return token_parse(whole, (size_t)k, &token);
}

static const char good_header[] = "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}";

/* The example's claims with one piece replaced. */
static enum token_verdict
with(const char *piece, const char *other)
{
	struct token_claims c = example();
	char json[TOKEN_MAX], changed[TOKEN_MAX];
	const char *at;
	ssize_t n;

	make(&c);
	n = b64url_decode(text + HEADER_LEN, strcspn(text + HEADER_LEN, "."),
	    json, sizeof(json) - 1);
	assert_true(n > 0);
	json[n] = '\0';
	at = strstr(json, piece);
	assert_non_null(at);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - json), json,
	    other, at + strlen(piece));
	return parse_claims(good_header, changed);
}

static void
test_one_spelling(void **state)
{
	static const char *const pieces[][2] = {
		{ "{\"aud\"", " {\"aud\"" },
		{ "\"sub\"", "\"sub\" " },
		{ ",\"cap\"", ", \"cap\"" },
		{ "\"aud\"", "\"\\u0061ud\"" },
		{ "\"exp\":1795270507", "\"exp\":1795270507.0" },
		{ "\"exp\":1795270507", "\"exp\":01795270507" },
		{ "\"exp\":1795270507", "\"exp\":1.795270507e9" },
		{ "\"exp\":1795270507", "\"exp\":\"1795270507\"" },
		{ "\"exp\":1795270507", "\"exp\":-1" },
		{ "\"exp\":1795270507", "\"exp\":99999999999999999999" },
		{ "\"exp\":1795270507",
		    "\"exp\":1795270507,\"exp\":1795270999" },
		{ "\"reg\":41", "\"nbf\":1,\"reg\":41" },
		{ "\"reg\":41,", "" },
		{ "\"reg\":41", "\"reg\":" },
		{ "[\"sft.send\",\"voice.connect\"]",
		    "[\"voice.connect\",\"sft.send\"]" },
		{ "[\"sft.send\",\"voice.connect\"]",
		    "[\"sft.send\",\"sft.send\"]" },
		{ "[\"sft.send\",\"voice.connect\"]", "[\"sft.send\",]" },
		{ "[\"sft.send\",\"voice.connect\"]", "[\"sft.delete\"]" },
		{ "[\"sft.send\",\"voice.connect\"]", "[]" },
		{ "[\"sft.send\",\"voice.connect\"]", "\"sft.send\"" },
		{ "EREREREREREREREREREREQ", "EREREREREREREREREREREf" },
		{ "EREREREREREREREREREREQ", "ERERERERERERERERERERE" },
		{ "\"sub\":\"did:key:", "\"sub\":\"ed25519:" },
		{ "did:key:z6Mk", "did:web:z6Mk" },
		{ "wMDAwMDA", "wMDA=MDA" },
		{ "x5t#S256", "jkt" },
	};
	size_t i;

	(void)state;
	assert_int_equal(with("\"reg\":41", "\"reg\":41"), TOKEN_OK);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		if (with(pieces[i][0], pieces[i][1]) != TOKEN_CLAIMS)
			fail_msg("%s for %s", pieces[i][1], pieces[i][0]);
	assert_int_equal(with("\"exp\":1795270507", "\"exp\":1795279999"),
	    TOKEN_LIFE);
	assert_int_equal(with("\"exp\":1795270507", "\"exp\":1795270207"),
	    TOKEN_CLAIMS);
}

static void
test_headers(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\",\"typ\":\"JWT\"}",
		"{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
		"{\"alg\":\"Ed25519\",\"typ\":\"JWT\"}",
		"{\"typ\":\"JWT\",\"alg\":\"EdDSA\"}",
		"{\"alg\":\"EdDSA\"}",
		"{\"alg\":\"EdDSA\",\"kid\":\"../x\",\"typ\":\"JWT\"}",
		"{\"alg\":\"EdDSA\",\"jwk\":{},\"typ\":\"JWT\"}",
		"{\"alg\": \"EdDSA\",\"typ\":\"JWT\"}",
		"{}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_int_equal(parse_claims(headers[i], "{}"), TOKEN_HEADER);
}

static enum token_verdict
parse(const char *s)
{
	return token_parse(s, strlen(s), &token);
}

static void
test_malformed(void **state)
{
	struct token_claims c = example();
	char bad[3 * TOKEN_MAX];
	size_t i, n = make(&c);

	(void)state;
	assert_int_equal(parse(""), TOKEN_MALFORMED);
	assert_int_equal(parse("."), TOKEN_HEADER);
	assert_int_equal(parse(".."), TOKEN_HEADER);
	assert_int_equal(parse("a.b.c"), TOKEN_MALFORMED);
	for (i = 0; i < n; i++)
		assert_int_not_equal(token_parse(text, i, &token), TOKEN_OK);
	snprintf(bad, sizeof(bad), "%s.", text);
	assert_int_equal(parse(bad), TOKEN_MALFORMED);
	snprintf(bad, sizeof(bad), "%s=", text);
	assert_int_equal(parse(bad), TOKEN_MALFORMED);
	snprintf(bad, sizeof(bad), " %s", text);
	assert_int_equal(parse(bad), TOKEN_MALFORMED);
	memset(bad, 'A', TOKEN_MAX);
	assert_int_equal(token_parse(bad, TOKEN_MAX, &token), TOKEN_TOO_LONG);
	/* The last character has two bits that mean nothing: they are 0. */
	memcpy(bad, text, n + 1);
	bad[n - 1] = bad[n - 1] == 'A' ? 'B' : (char)(bad[n - 1] + 1);
	assert_int_not_equal(parse(bad), TOKEN_OK);
}

/* Every bit of a token: it is refused somewhere, or it is another's. */
static void
test_every_bit(void **state)
{
	struct token_claims c = example();
	struct token_expect e = expectation();
	size_t i, n = make(&c);
	char bad[TOKEN_MAX];

	(void)state;
	for (i = 0; i < 8 * n; i++) {
		memcpy(bad, text, n);
		bad[i / 8] = (char)((uint8_t)bad[i / 8] ^ 1u << i % 8);
		if (token_parse(bad, n, &token) == TOKEN_OK)
			assert_int_not_equal(token_verify(&token, &e),
			    TOKEN_OK);
	}
}

static void
test_log_id(void **state)
{
	uint8_t log_key[32] = { 1 }, jti[TOKEN_JTI_LEN];
	char id[TOKEN_LOG_ID_SIZE], other[TOKEN_LOG_ID_SIZE];
	size_t i;

	(void)state;
	memset(jti, 0x11, sizeof(jti));
	token_log_id(log_key, jti, id);
	/* Python: hmac.new(key, b"claw/token-log/v1\0" + jti, "sha256") */
	assert_string_equal(id, "37298c58b64db423");
	jti[0] ^= 1;
	token_log_id(log_key, jti, other);
	assert_string_not_equal(id, other);
	for (i = 0; i < TOKEN_VERDICT_MAX; i++)
		assert_true(
		    token_verdict_text((enum token_verdict)i)[0] != '\0');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_not_made),
		cmocka_unit_test(test_one_spelling),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_log_id),
	};

	return cmocka_run_group_tests_name("token", tests, keys_make, NULL);
}
