/* SPDX-License-Identifier: ISC */
/*
 * test_b64.c - one spelling for every byte string, and no other is read.
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

#include "common/b64.h"

/* RFC 4648 section 10. */
static void
test_rfc4648(void **state)
{
	static const char *const v[][2] = { { "", "" }, { "f", "Zg==" },
		{ "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	char text[16];
	uint8_t raw[16];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		n = strlen(v[i][0]);
		assert_int_equal(b64_encode(v[i][0], n, text, sizeof(text)),
		    B64_LEN(n));
		assert_string_equal(text, v[i][1]);
		assert_int_equal(b64_decode(text, strlen(text), raw, 16), n);
		assert_memory_equal(raw, v[i][0], n);
		assert_int_equal(b64url_encode(v[i][0], n, text, sizeof(text)),
		    B64URL_LEN(n));
		assert_int_equal(b64url_decode(text, strlen(text), raw, 16), n);
	}
}

static void
test_refuses(void **state)
{
	static const char *const bad[] = { "Zg",
		"Zg=", "Zh==", "Zm9=", "====", "=", "A===", "Zm9v\n", "Zm 9",
		"Zm9vYg==Zg==", "Zg==Zm9v", "Zm9-", "Zm9_", "Z=g=", "Z" };
	static const char *const badurl[] = { "Zg==", "Zh", "Zm9+", "Z",
		"Zm9vYmG" };
	uint8_t raw[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(b64_decode(bad[i], strlen(bad[i]), raw, 16),
		    -EINVAL);
		assert_int_equal(b64_decode(bad[i], strlen(bad[i]), NULL, 0),
		    -EINVAL);
	}
	for (i = 0; i < sizeof(badurl) / sizeof(badurl[0]); i++)
		assert_int_equal(
		    b64url_decode(badurl[i], strlen(badurl[i]), raw, 16),
		    -EINVAL);
	assert_int_equal(b64_decode("Zm9v", 4, raw, 2), -ENOSPC);
	assert_int_equal(b64_encode("foo", 3, (char *)raw, 4), -ENOSPC);
}

/* Of all four-character texts over two bytes, exactly one per value. */
static void
test_one_spelling(void **state)
{
	static uint8_t seen[65536];
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
				     "opqrstuvwxyz0123456789+/";
	char t[5] = "...=";
	uint8_t raw[3];
	size_t a, b, c, n = 0;

	(void)state;
	for (a = 0; a < 64; a++)
		for (b = 0; b < 64; b++)
			for (c = 0; c < 64; c++) {
				t[0] = digits[a];
				t[1] = digits[b];
				t[2] = digits[c];
				if (b64_decode(t, 4, raw, 3) != 2)
					continue;
				assert_int_equal(seen[raw[0] << 8 | raw[1]]++,
				    0);
				n++;
			}
	assert_int_equal(n, 65536);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc4648),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_one_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
