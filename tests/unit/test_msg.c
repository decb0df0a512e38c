/* SPDX-License-Identifier: ISC */
/*
 * test_msg.c - every message of the schema is written and read as the same,
 * nothing else is read, and the schema does not contradict itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/msg.h"

static uint8_t bytes[MSG_MAX_LEN];
static uint8_t body[MSG_MAX_LEN], again[MSG_MAX_LEN];

/* Fields at their largest (most = true) or smallest, told apart by content. */
static bool most;
static uint8_t salt;

static uint64_t
number(void)
{
	uint64_t v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | ++salt;
	return v;
}

static void
text(char *out, size_t max)
{
	size_t i, n = most ? max : 0;

	for (i = 0; i < n; i++)
		out[i] = (char)('a' + (i + salt) % 26);
	out[n] = '\0';
	salt++;
}

/* fill_NAME(m), same_NAME(a, b) */
#define MSG(name, ...)                                                         \
	static void fill_##name(struct msg_##name *m)                          \
	{                                                                      \
		memset(m, 0, sizeof(*m));
#define U8(f) m->f = (uint8_t)number();
#define U16(f) m->f = (uint16_t)number();
#define U32(f) m->f = (uint32_t)number();
#define U64(f) m->f = number();
#define FIX(f, n) memset(m->f, ++salt, (n));
#define STR(f, max) text(m->f, (max));
#define BYTES(f, max)                                                          \
	m->f = bytes + ++salt;                                                 \
	m->f##_len = most ? (max) : 0;
#define END(name) }
#include "policy/messages.def"
#undef MSG
#undef U8
#undef U16
#undef U32
#undef U64
#undef FIX
#undef STR
#undef BYTES
#undef END

#define MSG(name, ...)                                                         \
	static void same_##name(const struct msg_##name *a,                    \
	    const struct msg_##name *b)                                        \
	{                                                                      \
		(void)a;                                                       \
		(void)b;
#define U8(f) assert_int_equal(a->f, b->f);
#define U16(f) assert_int_equal(a->f, b->f);
#define U32(f) assert_int_equal(a->f, b->f);
#define U64(f) assert_true(a->f == b->f);
#define FIX(f, n) assert_memory_equal(a->f, b->f, (n));
#define STR(f, max) assert_string_equal(a->f, b->f);
#define BYTES(f, max)                                                          \
	assert_int_equal(a->f##_len, b->f##_len);                              \
	if (a->f##_len > 0)                                                    \
		assert_memory_equal(a->f, b->f, a->f##_len);
#define END(name) }
#include "policy/messages.def"
#undef MSG
#undef U8
#undef U16
#undef U32
#undef U64
#undef FIX
#undef STR
#undef BYTES
#undef END

/* What is not exactly the body is none. */
static void
only_so(const struct msg_rule *rule, size_t len)
{
	size_t i;

	assert_true(len + MSG_HEADER_LEN <= MSG_MAX_LEN);
	assert_true(msg_body_valid(rule, body, len));
	for (i = 0; i < len; i++)
		assert_false(msg_body_valid(rule, body, i));
	body[len] = 0;
	assert_false(msg_body_valid(rule, body, len + 1));
}

#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define FIX(f, n)
#define STR(f, max)
#define BYTES(f, max)
#define END(name)
#define MSG(name, ...)                                                         \
	static size_t round_##name(void)                                       \
	{                                                                      \
		struct msg_##name a, b = { 0 };                                \
		struct wbuf w;                                                 \
		struct rbuf r;                                                 \
		size_t n;                                                      \
                                                                               \
		fill_##name(&a);                                               \
		wbuf_init(&w, body, sizeof(body));                             \
		msg_put_##name(&w, &a);                                        \
		assert_false(w.failed);                                        \
		rbuf_init(&r, body, w.len);                                    \
		assert_true(msg_get_##name(&r, &b));                           \
		same_##name(&a, &b);                                           \
		n = w.len;                                                     \
		wbuf_init(&w, again, sizeof(again));                           \
		msg_put_##name(&w, &b);                                        \
		assert_int_equal(w.len, n);                                    \
		assert_memory_equal(again, body, n);                           \
		rbuf_init(&r, body, n + 1);                                    \
		assert_false(msg_get_##name(&r, &b));                          \
		if (n > 0) {                                                   \
			rbuf_init(&r, body, n - 1);                            \
			assert_false(msg_get_##name(&r, &b));                  \
		}                                                              \
		return n;                                                      \
	}
#include "policy/messages.def"
#undef MSG

static void
test_round_trip(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (i = 0; i < 2; i++) {
		most = i == 1;
#define MSG(name, ...) only_so(msg_rule(MSG_##name), round_##name());
#include "policy/messages.def"
#undef MSG
	}
}

/* A text with a control character is no text, wherever it stands. */
static void
test_texts_are_clean(void **state)
{
	static const char bad[] = { 0, 1, '\n', '\r', '\t', 27, 31, 127 };
	struct msg_REFUSED no = { .text = "because" };
	struct msg_REFUSED out;
	struct wbuf w;
	struct rbuf r;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(bad); i++)
		for (k = 0; k < 7; k++) {
			wbuf_init(&w, body, sizeof(body));
			msg_put_REFUSED(&w, &no);
			body[w.len - 1 - k] = (uint8_t)bad[i];
			assert_false(
			    msg_body_valid(msg_rule(MSG_REFUSED), body, w.len));
			rbuf_init(&r, body, w.len);
			assert_false(msg_get_REFUSED(&r, &out));
		}
}

/* Nor is one that is not UTF-8; what an honest sender had to cut is. */
static void
test_texts_are_utf8(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: as it is */
	} v[] = { { "caf\xc3\xa9", NULL }, { "\xe2\x82\xac", NULL },
		{ "\xf0\x9f\x94\x91", NULL }, { "caf\xc3", "caf?" },
		{ "\xff\xfe", "??" }, { "\xc0\xaf", "??" },
		{ "\xed\xa0\x80", "???" }, { "a\nb", "a?b" },
		{ "\xc2\x9b"
		  "0m",
		    "??0m" },
		{ "\x1b[0m", "?[0m" } };
	struct msg_REFUSED no = { .code = 1 }, out;
	struct wbuf w;
	struct rbuf r;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		snprintf(no.text, sizeof(no.text), "%s", v[i].in);
		wbuf_init(&w, body, sizeof(body));
		msg_put_REFUSED(&w, &no);
		rbuf_init(&r, body, w.len);
		assert_true(msg_get_REFUSED(&r, &out));
		assert_string_equal(out.text,
		    v[i].out == NULL ? v[i].in : v[i].out);
		/* The same bytes from who does not care. */
		n = strlen(v[i].in);
		memcpy(body + w.len - n, v[i].in, n);
		assert_int_equal(
		    msg_body_valid(msg_rule(MSG_REFUSED), body, w.len),
		    v[i].out == NULL);
	}
}

/* One above a field's bound is refused, by whoever looks. */
static void
test_bounds(void **state)
{
	struct msg_REFUSED no;
	struct rbuf r;
	struct wbuf w;

	(void)state;
	wbuf_init(&w, body, sizeof(body));
	wbuf_u16(&w, 1);
	wbuf_u8(&w, 0);
	wbuf_u16(&w, 257);
	memset(body + w.len, 'x', 257);
	assert_false(msg_body_valid(msg_rule(MSG_REFUSED), body, w.len + 257));
	rbuf_init(&r, body, w.len + 257);
	assert_false(msg_get_REFUSED(&r, &no));
}

/* Numbers and names are unique; a type that is none has no rule. */
static void
test_numbers(void **state)
{
	const struct msg_rule *r;
	size_t i, k, n, known = 0;
	unsigned int type;

	(void)state;
	r = msg_rules(&n);
	for (i = 0; i < n; i++) {
		assert_ptr_equal(msg_rule(r[i].type), &r[i]);
		assert_int_equal(msg_index(&r[i]), i);
		assert_string_equal(msg_name(r[i].type), r[i].name);
		for (k = i + 1; k < n; k++) {
			assert_int_not_equal(r[i].type, r[k].type);
			assert_string_not_equal(r[i].name, r[k].name);
		}
	}
	for (type = 0; type <= UINT16_MAX; type++)
		known += msg_rule((uint16_t)type) != NULL;
	assert_int_equal(known, n);
	assert_null(msg_rule(MSG_NONE));
}

/* Whoever is asked can answer, and nobody answers who is never asked. */
static void
test_replies(void **state)
{
	const struct msg_rule *r, *reply;
	size_t i, k, n;

	(void)state;
	r = msg_rules(&n);
	for (i = 0; i < n; i++) {
		if (r[i].reply == MSG_NONE)
			continue;
		assert_true(r[i].limit != LIMIT_REPLY);
		reply = msg_rule(r[i].reply);
		assert_non_null(reply);
		assert_true(reply->limit == LIMIT_REPLY);
		assert_int_equal(r[i].receivers & ~reply->senders, 0);
		assert_int_equal(r[i].senders & ~reply->receivers, 0);
	}
	for (i = 0; i < n; i++) {
		if (r[i].limit != LIMIT_REPLY || r[i].type == MSG_REFUSED)
			continue;
		for (k = 0; k < n && r[k].reply != r[i].type; k++)
			continue;
		assert_int_not_equal(k, n);
	}
}

/* Nobody may say anything to itself, but for what everybody may say. */
static void
test_nobody_talks_to_itself(void **state)
{
	const struct msg_rule *r;
	size_t i, n;

	(void)state;
	r = msg_rules(&n);
	for (i = 0; i < n; i++) {
		if (r[i].type != MSG_REFUSED)
			assert_int_equal(r[i].senders & r[i].receivers, 0);
		assert_int_not_equal(r[i].when, 0);
		assert_int_not_equal(r[i].limit, 0);
	}
	assert_true(msg_schema() == msg_schema() && msg_schema() != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_texts_are_clean),
		cmocka_unit_test(test_texts_are_utf8),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_nobody_talks_to_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
