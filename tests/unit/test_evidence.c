/* SPDX-License-Identifier: ISC */
/*
 * test_evidence.c - one certificate for one challenge, in one encoding.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/evidence.h"

static EVP_PKEY *identity, *session;
static uint8_t identity_pub[32];
static struct evidence good;

static int
group_setup(void **state)
{
	size_t n = sizeof(identity_pub);

	(void)state;
	identity = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	session = EVP_EC_gen("P-256");
	if (identity == NULL || session == NULL)
		return -1;
	return EVP_PKEY_get_raw_public_key(identity, identity_pub, &n) == 1 ?
	    0 :
	    -1;
}

static int
group_teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(identity);
	EVP_PKEY_free(session);
	return 0;
}

static int
setup(void **state)
{
	uint8_t *p = good.spki;

	(void)state;
	memset(&good, 0, sizeof(good));
	good.role = EVIDENCE_CLIENT;
	good.purpose = EVIDENCE_MESH;
	memcpy(good.name, "a", 2);
	memcpy(good.peer, "b-2", 4);
	memset(good.verifier_nonce, 0x11, 32);
	memset(good.prover_nonce, 0x22, 32);
	good.seq = UINT64_MAX;
	memset(good.head, 0x33, 32);
	memset(good.caps, 0x44, 32);
	good.not_before = 1795270217;
	good.not_after = good.not_before + EVIDENCE_VALID_MAX;
	return i2d_PUBKEY(session, &p) == EVIDENCE_SPKI_LEN ? 0 : -1;
}

static size_t
issue(const struct evidence *ev, uint8_t cert[EVIDENCE_CERT_MAX])
{
	uint8_t tbs[EVIDENCE_TBS_MAX], sig[EVIDENCE_SIG_LEN];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t siglen = sizeof(sig);
	ssize_t n;

	n = evidence_tbs(ev, tbs, sizeof(tbs));
	assert_true(n > 0);
	assert_int_equal(EVP_DigestSignInit(c, NULL, NULL, NULL, identity), 1);
	assert_int_equal(EVP_DigestSign(c, sig, &siglen, tbs, (size_t)n), 1);
	EVP_MD_CTX_free(c);
	n = evidence_cert(tbs, (size_t)n, sig, cert, EVIDENCE_CERT_MAX);
	assert_true(n > 0);
	return (size_t)n;
}

/* What is written is read, and so it is at every length and date. */
static void
test_there_and_back(void **state)
{
	static const int64_t dates[] = { 0, 951782399, 951782400, 951868800,
		1709164800, 2524607999, 2524608000, 4107542400,
		INT64_C(253402300200) };
	uint8_t cert[EVIDENCE_CERT_MAX], sig[EVIDENCE_SIG_LEN];
	struct evidence ev;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		good.not_before = dates[i];
		good.not_after = dates[i] + 599;
		n = issue(&good, cert);
		assert_int_equal(evidence_parse(cert, n, &ev, sig), 0);
		assert_memory_equal(&ev, &good, sizeof(ev));
	}
	for (i = 1; i < EVIDENCE_NAME_SIZE; i++) {
		memset(good.name, 'n', i);
		memset(good.peer, 'p', i);
		n = issue(&good, cert);
		assert_int_equal(evidence_parse(cert, n, &ev, sig), 0);
		assert_memory_equal(&ev, &good, sizeof(ev));
		assert_int_equal(evidence_verify_sig(&ev, sig, identity_pub),
		    0);
	}
}

/* Another program reads the same: OpenSSL's own parser, dates, signature. */
static void
test_openssl_reads_it(void **state)
{
	uint8_t cert[EVIDENCE_CERT_MAX];
	const uint8_t *p = cert;
	struct tm tm = { 0 };
	SSL_CTX *ctx;
	char cn[64];
	size_t n;
	X509 *x;

	(void)state;
	n = issue(&good, cert);
	x = d2i_X509(NULL, &p, (long)n);
	assert_non_null(x);
	assert_ptr_equal(p, cert + n);
	assert_int_equal(X509_get_version(x), 2);
	assert_int_equal(X509_verify(x, identity), 1);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(x),
			NID_commonName, cn, sizeof(cn)) > 0);
	assert_string_equal(cn, "a");
	assert_int_equal(
	    X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)),
	    0);
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(x), &tm), 1);
	assert_int_equal(timegm(&tm), good.not_before);
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm), 1);
	assert_int_equal(timegm(&tm), good.not_after);
	assert_int_equal(X509_get_ext_count(x), 1);
	assert_int_equal(X509_EXTENSION_get_critical(X509_get_ext(x, 0)), 1);
	assert_int_equal(
	    ASN1_INTEGER_get_int64(&(int64_t){ 0 }, X509_get0_serialNumber(x)),
	    0); /* 16 bytes do not fit, and are positive: */
	assert_int_equal(ASN1_STRING_type(X509_get0_serialNumber(x)),
	    V_ASN1_INTEGER);
	ctx = SSL_CTX_new(TLS_method());
	assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, session), 1);
	assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
	SSL_CTX_free(ctx);
	X509_free(x);
}

/* Every single bit counts: it is refused, or the signature does not fit. */
static void
test_every_bit(void **state)
{
	uint8_t cert[EVIDENCE_CERT_MAX], sig[EVIDENCE_SIG_LEN];
	struct evidence ev;
	size_t i, n;

	(void)state;
	n = issue(&good, cert);
	for (i = 0; i < n * 8; i++) {
		cert[i / 8] ^= (uint8_t)(1 << i % 8);
		if (evidence_parse(cert, n, &ev, sig) == 0)
			assert_int_equal(
			    evidence_verify_sig(&ev, sig, identity_pub),
			    -EKEYREJECTED);
		cert[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (i = 0; i < n; i++)
		assert_int_equal(evidence_parse(cert, i, &ev, sig), -EBADMSG);
	assert_true(n < sizeof(cert));
	cert[n] = 0;
	assert_int_equal(evidence_parse(cert, n + 1, &ev, sig), -EBADMSG);
}

/* One change to the good one, and nothing is written. */
#define REFUSED(change)                                                        \
	do {                                                                   \
		struct evidence bad = good;                                    \
		change;                                                        \
		assert_int_equal(evidence_tbs(&bad, tbs, sizeof(tbs)),         \
		    -EINVAL);                                                  \
	} while (0)

static void
test_refused(void **state)
{
	uint8_t tbs[EVIDENCE_TBS_MAX];

	(void)state;
	assert_true(evidence_tbs(&good, tbs, sizeof(tbs)) > 0);
	assert_int_equal(evidence_tbs(&good, tbs, 100), -ENOSPC);
	REFUSED(bad.role = 0);
	REFUSED(bad.role = 5);
	REFUSED(bad.role = EVIDENCE_CALLER); /* of a mesh */
	REFUSED(bad.purpose = 0);
	REFUSED(bad.purpose = 6);
	REFUSED(bad.name[0] = '\0');
	REFUSED(bad.name[0] = 'A');
	REFUSED(bad.name[0] = '-');
	REFUSED(memcpy(bad.name, "a-", 3));
	REFUSED(memcpy(bad.name, "a.b", 4));
	REFUSED(memset(bad.name, 'a', sizeof(bad.name)));
	REFUSED(memcpy(bad.peer, "a", 2)); /* to itself */
	REFUSED(memcpy(bad.peer, "b_", 3));
	REFUSED(bad.not_after = bad.not_before);
	REFUSED(bad.not_after++); /* over ten minutes */
	REFUSED(bad.not_before = -1; bad.not_after = 1);
	REFUSED(bad.not_after = INT64_C(253402300800);
		bad.not_before = bad.not_after - 1);
	REFUSED(bad.not_before = INT64_MIN);
	REFUSED(bad.spki[26] = 2); /* compressed */
	REFUSED(bad.spki[20] ^= 1);
	good.peer[0] = '\0';
	assert_true(evidence_tbs(&good, tbs, sizeof(tbs)) > 0);
}

static void
test_other_key(void **state)
{
	uint8_t cert[EVIDENCE_CERT_MAX], sig[EVIDENCE_SIG_LEN];
	uint8_t other[32] = { 1 }; /* of small order */
	struct evidence ev;
	size_t n;

	(void)state;
	n = issue(&good, cert);
	assert_int_equal(evidence_parse(cert, n, &ev, sig), 0);
	assert_int_equal(evidence_verify_sig(&ev, sig, identity_pub), 0);
	assert_int_equal(evidence_verify_sig(&ev, sig, other), -EKEYREJECTED);
	ev.seq--;
	assert_int_equal(evidence_verify_sig(&ev, sig, identity_pub),
	    -EKEYREJECTED);
	ev.role = 0;
	assert_int_equal(evidence_verify_sig(&ev, sig, identity_pub), -EINVAL);
}

/* The same challenge and key make the same certificate; others another. */
static void
test_serial(void **state)
{
	uint8_t one[EVIDENCE_TBS_MAX], two[EVIDENCE_TBS_MAX];
	ssize_t n;

	(void)state;
	n = evidence_tbs(&good, one, sizeof(one));
	assert_int_equal(evidence_tbs(&good, two, sizeof(two)), n);
	assert_memory_equal(one, two, (size_t)n);
	good.prover_nonce[0] ^= 1;
	assert_int_equal(evidence_tbs(&good, two, sizeof(two)), n);
	/* header 4, version 5, then the serial: 2 and 16 */
	assert_int_equal(one[9], 0x02);
	assert_int_equal(one[10], 16);
	assert_true(memcmp(one + 11, two + 11, 16) != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_there_and_back, setup),
		cmocka_unit_test_setup(test_openssl_reads_it, setup),
		cmocka_unit_test_setup(test_every_bit, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_other_key, setup),
		cmocka_unit_test_setup(test_serial, setup),
	};

	return cmocka_run_group_tests_name("evidence", tests, group_setup,
	    group_teardown);
}
