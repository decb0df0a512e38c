/* SPDX-License-Identifier: ISC */
/*
 * test_sft_policy.c - which files are taken, and what the peer hears if not;
 * what clients hear, as JSON.
 */
#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/capability.h"
#include "sftd/event.h"
#include "sftd/policy.h"

static const struct policy policy = { .max_bytes = 1000, .max_transfers = 4 };
static struct sft_offer offer;
static struct policy_case is;
static struct sftrule rule;
static struct policy_verdict v;

static void
good(const char *name)
{
	memset(&offer, 0, sizeof(offer));
	offer.size = 1000;
	offer.chunk_log2 = 20;
	offer.streams = 2;
	offer.name_len = (uint16_t)strlen(name);
	memcpy(offer.name, name, offer.name_len);
	assert_true(
	    sftrule_first("allow", "alpha", offer.name, offer.name_len, &rule));
	is = (struct policy_case){ .peer = "alpha",
		.theirs = CAPABILITY_MASK(SFT_SEND),
		.ours = CAPABILITY_MASK(SFT_RECEIVE),
		.offer = &offer,
		.rule = &rule,
		.under_way = 3,
		.room = 1000,
		.inodes = 64 };
}

static void
judged(uint8_t code, const char *part)
{
	policy_judge(&policy, &is, &v);
	assert_int_equal(v.code, code);
	if (strstr(v.text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, v.text);
}

static void
test_taken(void **state)
{
	(void)state;
	good("a/b");
	judged(0, "");
	offer.size = 0;
	judged(0, "");
	is.there = S_IFREG;
	offer.replace = true;
	judged(0, "");
}

static void
test_rights(void **state)
{
	(void)state;
	good("a");
	is.theirs = CAPABILITY_MASK(SFT_RECEIVE);
	judged(SFT_DENIED, "alpha");
	good("a");
	is.ours = CAPABILITY_MASK(SFT_SEND);
	judged(SFT_DENIED, "sft.receive");
}

static void
test_size(void **state)
{
	(void)state;
	good("a");
	offer.size = 1001;
	is.room = 2000;
	judged(SFT_TOO_LARGE, "1000");
	good("a");
	is.room = 999;
	judged(SFT_NO_SPACE, "1000");
	/* Its room is taken already. */
	is.resumes = true;
	judged(0, "");
}

static void
test_inodes(void **state)
{
	(void)state;
	good("a");
	is.inodes = 63;
	judged(SFT_NO_SPACE, "inodes");
	is.resumes = true;
	judged(0, "");
}

static void
test_names(void **state)
{
	static const char *const bad[] = { "/etc/passwd", "../x", "a/../b",
		"a//b", "a/", ".", "x\n", "\033[31m" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		good(bad[i]);
		judged(SFT_BAD_NAME, "");
	}
	good("a/b");
	is.there = -ELOOP;
	judged(SFT_BAD_NAME, "folder");
	is.there = S_IFREG;
	judged(SFT_EXISTS, "replace");
	is.there = S_IFDIR;
	offer.replace = true;
	judged(SFT_EXISTS, "something else");
	offer.replace = false;
	offer.tree = true;
	judged(SFT_EXISTS, "give it another name");
	offer.tree = false;
	is.there = S_IFREG;
	is.changed = true;
	judged(SFT_EXISTS, "changed here after");
	offer.replace = true;
	judged(0, "");
	is.there = -EIO;
	judged(SFT_IO, "");
}

/* What the operator reads names the rule; what the peer reads does not. */
static void
by_rule(uint8_t code, const char *part)
{
	judged(code, "");
	if (strstr(v.whole, part) == NULL || strstr(v.text, part) != NULL ||
	    strncmp(v.whole, v.text, strlen(v.text)) != 0)
		fail_msg("\"%s\": \"%s\", \"%s\"", part, v.text, v.whole);
}

static void
ruled(const char *rules)
{
	good("a.iso");
	if (!sftrule_first(rules, "alpha", offer.name, offer.name_len, &rule))
		is.rule = NULL;
}

static void
test_rules(void **state)
{
	(void)state;
	ruled("deny name=*.img; allow peer=al*");
	judged(0, "");
	ruled("allow name=*.img; deny peer=al*");
	by_rule(SFT_DENIED, "(sft.accept, rule 2: deny peer=al*)");
	ruled("allow name=*.img");
	by_rule(SFT_DENIED, "(no rule of sft.accept fits it)");
	ruled("");
	by_rule(SFT_DENIED, "(no rule of sft.accept fits it)");
	/* Whoever may not send at all is told that, and no rule. */
	is.theirs = 0;
	judged(SFT_DENIED, "capability");
	ruled("deny");
	memcpy(offer.name, "../so", 5);
	judged(SFT_BAD_NAME, "");
}

static void
test_rule_of_size(void **state)
{
	struct policy small = { .max_bytes = 10, .max_transfers = 4 };

	(void)state;
	ruled("allow max_size=1K");
	is.room = 2000;
	offer.size = 1000;
	judged(0, "");
	ruled("allow max_size=1K");
	rule.max_size = 999;
	by_rule(SFT_TOO_LARGE, "(sft.accept, rule 1: allow max_size=1K)");
	assert_non_null(strstr(v.text, "999"));
	/* A rule allows no more than there is. */
	policy_judge(&small, &is, &v);
	assert_int_equal(v.code, SFT_TOO_LARGE);
	assert_string_equal(v.text, v.whole);
}

static void
test_rule_of_replacing(void **state)
{
	(void)state;
	ruled("allow replace=no");
	offer.replace = true;
	judged(0, "");
	is.there = S_IFREG;
	by_rule(SFT_EXISTS, "(sft.accept, rule 1: allow replace=no)");
	ruled("allow replace=yes");
	offer.replace = true;
	is.there = S_IFREG;
	judged(0, "");
}

static void
test_busy(void **state)
{
	(void)state;
	good("a");
	is.under_way = 4;
	judged(SFT_BUSY, "4");
}

static void
test_errors(void **state)
{
	static const struct {
		int error;
		uint8_t code;
	} table[] = { { -EEXIST, SFT_EXISTS }, { -ENOSPC, SFT_NO_SPACE },
		{ -EDQUOT, SFT_NO_SPACE }, { -ELOOP, SFT_BAD_NAME },
		{ -ENOTDIR, SFT_BAD_NAME }, { -ESTALE, SFT_EPOCH },
		{ -EIO, SFT_IO }, { -EFBIG, SFT_HASH_MISMATCH } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		policy_error(table[i].error, &v);
		assert_int_equal(v.code, table[i].code);
		assert_true(v.text[0] != '\0');
	}
}

/* Whatever the name: one line, and JSON that gives back what can be. */
static void
test_lines(void **state)
{
	static const char *const names[] = { "plain", "quo\"te\\s", "\xc3\xa4",
		"\x01\x02\n\r\t\x7f", "\xff\xfe raw" };
	struct event_line l;
	json_t *root;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		event_begin(&l, "offer");
		event_str(&l, "name", names[i]);
		event_num(&l, "size", 12);
		event_bool(&l, "dry", false);
		event_hex(&l, "id", (const uint8_t *)"\x01\xff", 2);
		event_time(&l, "time", 1700000000123);
		n = event_end(&l);
		assert_true(n > 0);
		assert_ptr_equal(memchr(l.text, '\n', n), l.text + n - 1);
		root = json_loadb(l.text, n, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(root);
		assert_string_equal(
		    json_string_value(json_object_get(root, "event")), "offer");
		assert_string_equal(
		    json_string_value(json_object_get(root, "name")),
		    i < 4 ? names[i] : "\\xff\\xfe raw");
		assert_string_equal(
		    json_string_value(json_object_get(root, "id")), "01ff");
		assert_string_equal(
		    json_string_value(json_object_get(root, "time")),
		    "2023-11-14T22:13:20.123Z");
		json_decref(root);
	}
}

static void
test_longest_line(void **state)
{
	uint8_t name[SFT_NAME_MAX];
	struct event_line l;

	(void)state;
	memset(name, 1, sizeof(name));
	event_begin(&l, "offer");
	event_text(&l, "name", name, sizeof(name));
	assert_true(event_end(&l) > 0);
	/* More than any: no line rather than half of one. */
	event_begin(&l, "offer");
	event_text(&l, "name", name, sizeof(name));
	event_text(&l, "name", name, sizeof(name));
	assert_int_equal(event_end(&l), 0);
}

static void
test_every_code(void **state)
{
	unsigned int code;

	(void)state;
	for (code = 1; code <= SFT_CODE_MAX; code++)
		assert_non_null(sft_code_name(code));
	assert_true(event_retryable(SFT_BUSY));
	assert_false(event_retryable(SFT_DENIED));
	assert_false(event_retryable(200));
	assert_string_equal(event_hint(200), "");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_inodes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_rule_of_size),
		cmocka_unit_test(test_rule_of_replacing),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_longest_line),
		cmocka_unit_test(test_every_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
