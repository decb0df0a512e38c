/* SPDX-License-Identifier: ISC */
/*
 * test_identity.c - a key has one name in each form, and only that one.
 *
 * Vectors: W3C did:key test suite (seeds 0 and 1 of ed25519-x25519.json).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/identity.h"

static const struct {
	const char *hex;
	const char *did;
} vectors[] = {
	{ "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
	    "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp" },
	{ "4cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29",
	    "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG" },
};

static void
key_of(const char *hex, uint8_t pub[IDENTITY_LEN])
{
	unsigned int byte;
	size_t i;

	for (i = 0; i < IDENTITY_LEN; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		pub[i] = (uint8_t)byte;
	}
}

static void
test_did_vectors(void **state)
{
	uint8_t pub[IDENTITY_LEN], back[IDENTITY_LEN];
	char text[IDENTITY_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		key_of(vectors[i].hex, pub);
		identity_did(pub, text);
		assert_string_equal(text, vectors[i].did);
		assert_int_equal(identity_parse(text, back), 0);
		assert_memory_equal(back, pub, sizeof(pub));
	}
}

static void
test_every_key_comes_back(void **state)
{
	uint8_t pub[IDENTITY_LEN], back[IDENTITY_LEN];
	char text[IDENTITY_TEXT_SIZE];
	unsigned int i, k;

	(void)state;
	for (i = 0; i < 4096; i++) {
		for (k = 0; k < sizeof(pub); k++)
			pub[k] =
			    (uint8_t)(i < 2 ? 0u - i :
					      (i * 2654435761u) >> (k % 24));
		identity_text(pub, text);
		assert_int_equal(identity_parse(text, back), 0);
		assert_memory_equal(back, pub, sizeof(pub));
		identity_did(pub, text);
		assert_int_equal(identity_parse(text, back), 0);
		assert_memory_equal(back, pub, sizeof(pub));
	}
}

static void
test_nothing_else_is_a_key(void **state)
{
	static const char *const wrong[] = { "", "ed25519:", "ed25519",
		"did:key:", "did:key:z", "did:web:example.org",
		"ED25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik",
		"ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=",
		"ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2il",
		"ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2i",
		"did:key:z16MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
		"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW0",
		"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWpp",
		"did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc" };
	uint8_t pub[IDENTITY_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (identity_parse(wrong[i], pub) == 0)
			fail_msg("taken for a key: %s", wrong[i]);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_did_vectors),
		cmocka_unit_test(test_every_key_comes_back),
		cmocka_unit_test(test_nothing_else_is_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
