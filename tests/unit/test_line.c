/* SPDX-License-Identifier: ISC */
/*
 * test_line.c - a line of the audit log is canonical JSON whatever text
 * strangers put into it, and nothing else is read.
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
#include <jansson.h>

#include "auditd/line.h"
#include "auditkit.h"

#define TAIL                                                                   \
	",\"asig\":[],\"env\":{\"boot\":\"" KIT_BOOT "\",\"mono\":5,"          \
	"\"n\":7,\"prev\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","   \
	"\"ts\":\"2026-11-21T11:00:00.000Z\"}}"

static struct line_env env = {
	.boot = KIT_BOOT, .mono_ms = 5, .n = 7, .ts_ms = KIT_TS
};

/* jansson reads it and writes the same bytes. */
static bool
canonical(const char *line, size_t len)
{
	json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	char *again;
	bool same;

	if (j == NULL)
		return false;
	again = json_dumps(j, JSON_SORT_KEYS | JSON_COMPACT);
	same = strlen(again) == len && memcmp(again, line, len) == 0;
	free(again);
	json_decref(j);
	return same;
}

static const char *
text_line(const void *text, size_t len)
{
	static char buf[LINE_BYTES_MAX + 1];
	struct line_attr a = { "t", LINE_TEXT, 0, text, len };
	ssize_t n = line_write(buf, LINE_BYTES_MAX, &a, 1, NULL, 0, &env);

	assert_true(n > 0);
	assert_true(canonical(buf, (size_t)n));
	buf[n] = '\0';
	return buf;
}

static void
test_exact(void **state)
{
	uint8_t raw[3] = { 0xde, 0xad, 0x0f }, sig[64] = { 0 };
	struct line_attr a[] = { { "b", LINE_B64, 0, raw, 3 },
		{ "h", LINE_HEX, 0, raw, 3 },
		{ "n", LINE_U64, LINE_INT_MAX, NULL, 0 },
		{ "t", LINE_TEXT, 0, "x", 1 } };
	struct line_sig s = { "did:key:z6Mk", "origin", sig, 3 };
	char buf[1024];
	ssize_t n;

	(void)state;
	n = line_write(buf, sizeof(buf), a, 4, &s, 1, &env);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_string_equal(buf,
	    "{\"act\":{\"b\":\"3q0P\",\"h\":\"dead0f\","
	    "\"n\":9007199254740991,\"t\":\"x\"},\"asig\":[{\"kid\":\"did:key:"
	    "z6Mk\",\"role\":\"origin\",\"sig\":\"AAAA\"}],\"env\":{\"boot\":\"" KIT_BOOT
	    "\",\"mono\":5,\"n\":7,\"prev\":\"AAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAAAAAAAAAAAA=\",\"ts\":\"2026-11-21T11:00:00.000Z\"}}");
	assert_true(canonical(buf, (size_t)n));
}

static void
test_text_from_strangers(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} v[] = { { "a\nb", 3, "a\\\\x0ab" }, { "\0", 1, "\\\\x00" },
		{ "\x1b[2J", 4, "\\\\x1b[2J" }, { "\x7f", 1, "\\\\x7f" },
		{ "\"", 1, "\\\"" }, { "\\", 1, "\\\\" },
		{ "\\x41", 4, "\\\\x5cx41" }, { "\\\\x", 3, "\\\\\\\\x5cx" },
		{ "/", 1, "/" }, { "caf\xc3\xa9", 5, "caf\xc3\xa9" },
		{ "\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80" },
		{ "\xc2\x85", 2, "\\\\xc2\\\\x85" }, { "\xff", 1, "\\\\xff" },
		{ "\xc0\xaf", 2, "\\\\xc0\\\\xaf" }, { "\xc3", 1, "\\\\xc3" },
		{ "\xed\xa0\x80", 3, "\\\\xed\\\\xa0\\\\x80" },
		{ "\xe2\x80\xa8", 3, "\xe2\x80\xa8" } };
	char want[512], back[64];
	struct line_view view;
	const char *line;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		line = text_line(v[i].in, v[i].len);
		snprintf(want, sizeof(want), "{\"act\":{\"t\":\"%s\"}" TAIL,
		    v[i].out);
		assert_string_equal(line, want);
		assert_int_equal(line_parse(line, strlen(line), &view), 0);
		assert_int_equal(line_bytes(&view, "t", back, sizeof(back)),
		    v[i].len);
		assert_memory_equal(back, v[i].in, v[i].len);
	}
}

/* Any bytes go in, come out again, and the line is canonical. */
static void
test_any_bytes(void **state)
{
	static const char alphabet[] = "\\x05\"\n\xc3\xa9\xff"
				       "a";
	uint8_t in[24];
	char out[200];
	struct line_view v;
	const char *line;
	unsigned seed = 1;
	size_t i, k, len;

	(void)state;
	for (i = 0; i < 20000; i++) {
		len = (size_t)rand_r(&seed) % sizeof(in);
		for (k = 0; k < len; k++)
			in[k] = i % 2 != 0 ?
			    (uint8_t)rand_r(&seed) :
			    (uint8_t)alphabet[rand_r(&seed) % 10];
		line = text_line(in, len);
		assert_int_equal(line_parse(line, strlen(line), &v), 0);
		assert_int_equal(line_bytes(&v, "t", out, sizeof(out)), len);
		assert_memory_equal(out, in, len);
	}
}

static void
test_writer_refuses(void **state)
{
	static char big[LINE_BYTES_MAX + 10];
	struct line_attr a[2] = { { "b", LINE_U64, 1, NULL, 0 },
		{ "a", LINE_U64, 1, NULL, 0 } };
	struct line_env e = env;
	char buf[LINE_BYTES_MAX + 10];

	(void)state;
#define W(n, e) line_write(buf, sizeof(buf), a, (n), NULL, 0, (e))
	assert_int_equal(W(2, &env), -EINVAL);
	a[1].name = "b";
	assert_int_equal(W(2, &env), -EINVAL);
	a[1].name = "C";
	assert_int_equal(W(2, &env), -EINVAL);
	a[0].u64 = LINE_INT_MAX + 1;
	assert_int_equal(W(1, &env), -EINVAL);
	e.boot[8] = 'x';
	assert_int_equal(W(0, &e), -EINVAL);
	e = env;
	e.ts_ms = -1;
	assert_int_equal(W(0, &e), -EINVAL);
	memset(big, 'a', sizeof(big));
	a[0] = (struct line_attr){ "t", LINE_TEXT, 0, big, sizeof(big) };
	assert_int_equal(W(1, &env), -EMSGSIZE);
	/* The longest line that fits, and one byte more. */
	a[0].len = LINE_BYTES_MAX - (size_t)(W(0, &env) + 6);
	assert_int_equal(W(1, &env), LINE_BYTES_MAX);
	a[0].len++;
	assert_int_equal(W(1, &env), -EMSGSIZE);
	assert_int_equal(line_write(buf, 100, NULL, 0, NULL, 0, &env),
	    -EMSGSIZE);
}

static void
test_reader_refuses(void **state)
{
	static const char *const act[] = { "{", "{}x", "{\"a\":1", "{\"a\":01}",
		"{\"a\":-1}", "{\"a\":1.0}", "{\"a\":9007199254740992}",
		"{\"a\":1,\"a\":2}", "{\"b\":1,\"a\":2}", "{\"a\": 1}",
		"{\"A\":1}", "{\"\":1}", "{\"a\":true}", "{\"a\":null}",
		"{\"a\":{}}", "{\"a\":[]}", "{\"a\":\"\\n\"}",
		"{\"a\":\"\\/\"}", "{\"a\":\"\\u0041\"}", "{\"a\":\"\n\"}",
		"{\"a\":\"\x7f\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc2\x85\"}",
		"{\"a\":1,}", "{,\"a\":1}", "{\"intent\":\"1\"}",
		"{\"a\":\"x}" };
	char line[1024];
	struct line_view v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(act) / sizeof(act[0]); i++) {
		snprintf(line, sizeof(line), "{\"act\":%s" TAIL, act[i]);
		assert_int_equal(line_parse(line, strlen(line), &v), -EBADMSG);
	}
	snprintf(line, sizeof(line),
	    "{\"act\":{\"intent\":3,\"phase\":"
	    "\"intent\"}" TAIL);
	assert_int_equal(line_parse(line, strlen(line), &v), 0);
	assert_true(v.is_intent && v.has_intent && v.intent == 3);
	assert_int_equal(v.env.n, 7);
	assert_int_equal(v.env.mono_ms, 5);
	assert_int_equal(v.env.ts_ms, KIT_TS);
	/* Cut anywhere, or with something behind it. */
	for (i = 0; i < strlen(line); i++)
		assert_int_equal(line_parse(line, i, &v), -EBADMSG);
	memcpy(line + strlen(line), " ", 2);
	assert_int_equal(line_parse(line, strlen(line), &v), -EBADMSG);
}

static void
test_time(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} v[] = { { 0, "1970-01-01T00:00:00.000Z" },
		{ 951782400000, "2000-02-29T00:00:00.000Z" },
		{ KIT_TS, "2026-11-21T11:00:00.000Z" },
		{ INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" } };
	static const char *const bad[] = { "2026-02-29T00:00:00.000Z",
		"2026-13-01T00:00:00.000Z", "2026-00-01T00:00:00.000Z",
		"2026-01-00T00:00:00.000Z", "2026-01-01T24:00:00.000Z",
		"2026-01-01T00:60:00.000Z", "2026-01-01T00:00:60.000Z",
		"2026-01-01 00:00:00.000Z", "2026-01-01T00:00:00.000+",
		"2026-01-01T00:00:00.00Z", "1969-12-31T23:59:59.999Z" };
	char buf[LINE_TS_LEN + 1];
	int64_t ms, back;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(line_ts_format(v[i].ms, buf), 0);
		assert_string_equal(buf, v[i].text);
		assert_int_equal(line_ts_parse(buf, strlen(buf), &ms), 0);
		assert_int_equal(ms, v[i].ms);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(line_ts_parse(bad[i], strlen(bad[i]), &ms),
		    -EINVAL);
	assert_int_equal(line_ts_format(INT64_C(253402300800000), buf),
	    -EINVAL);
	for (ms = 0; ms < INT64_C(253402300800000);
	     ms += INT64_C(86400000) * 17 + 3601001) {
		assert_int_equal(line_ts_format(ms, buf), 0);
		assert_int_equal(line_ts_parse(buf, LINE_TS_LEN, &back), 0);
		assert_int_equal(back, ms);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_text_from_strangers),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_reader_refuses),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
