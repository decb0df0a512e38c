/* SPDX-License-Identifier: ISC */
/*
 * test_sftrule.c - sft.accept: which rule decides, and what is told of one
 * that cannot be meant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/sftrule.h"

static struct sftrule rule;

/* The number of the rule that decides; 0: none. */
static unsigned int
first(const char *all, const char *peer, const char *name)
{
	unsigned int number;
	char why[256];

	if (sftrule_check(all, &number, why, sizeof(why)) != 0)
		fail_msg("rule %u of \"%s\": %s", number, all, why);
	return sftrule_first(all, peer, (const uint8_t *)name, strlen(name),
		   &rule) ?
	    rule.number :
	    0;
}

static void
the_first_that_fits_decides(void **state)
{
	static const char all[] = "deny peer=guest-*; "
				  "allow peer=a,b-? name=*.iso,*.img; "
				  "deny name=*.iso; allow peer=b-1";

	(void)state;
	assert_int_equal(first(all, "guest-1", "x"), 1);
	assert_false(rule.allow);
	assert_int_equal(first(all, "a", "d/x.img"), 2);
	assert_true(rule.allow);
	assert_int_equal(first(all, "b-1", "x.iso"), 2);
	assert_int_equal(first(all, "b-12", "x.iso"), 3);
	assert_int_equal(first(all, "b-1", "x.txt"), 4);
	assert_int_equal(first(all, "a", "x.txt"), 0);
	assert_int_equal(first("allow", "anybody", "anything"), 1);
	assert_int_equal(first("", "anybody", "anything"), 0);
}

static void
what_a_rule_says(void **state)
{
	(void)state;
	assert_int_equal(first("allow", "a", "x"), 1);
	assert_true(rule.allow && rule.replace);
	assert_true(rule.max_size == UINT64_MAX);
	assert_string_equal(rule.into, "");
	assert_int_equal(
	    first("allow  into=from/tokyo max_size=3G replace=no ", "a", "x"),
	    1);
	assert_true(rule.allow && !rule.replace);
	assert_true(rule.max_size == UINT64_C(3) << 30);
	assert_string_equal(rule.into, "from/tokyo");
	assert_int_equal(first("allow max_size=512KiB", "a", "x"), 1);
	assert_int_equal(rule.max_size, 512 << 10);
	assert_int_equal(first("deny name=x; allow", "a", "y"), 2);
	assert_int_equal(rule.len, 5);
	assert_memory_equal(rule.text, "allow", 5);
}

static void
patterns(void **state)
{
	static const struct {
		const char *globs, *text;
		bool fits;
	} cases[] = {
		{ "*", "", true },
		{ "*", "a/b", true },
		{ "", "", true },
		{ "", "a", false },
		{ "a", "a", true },
		{ "a", "ab", false },
		{ "ab", "a", false },
		{ "?", "a", true },
		{ "?", "", false },
		{ "?", "ab", false },
		{ "?", "\xc3\xa4", true },
		{ "x?y", "x\xe2\x82\xacy", true },
		{ "??", "\xc3\xa4", false },
		{ "*.iso", "a/b.iso", true },
		{ "*.iso", "a.iso.txt", false },
		{ "*.iso", ".iso", true },
		{ "a*b*c", "a-b-b-c", true },
		{ "a*b*c", "a-c-b", false },
		{ "*a*", "xay", true },
		{ "in/*", "in/", true },
		{ "in/*", "out/in/x", false },
		{ "a,b", "b", true },
		{ "a,b", "a,b", false },
		{ "a*,*b", "cb", true },
		{ "A", "a", false },
	};
	char many[256], text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (sftrule_fits(cases[i].globs, (const uint8_t *)cases[i].text,
			strlen(cases[i].text)) != cases[i].fits)
			fail_msg("\"%s\", \"%s\"", cases[i].globs,
			    cases[i].text);
	/* One that would take for ever if each star were tried. */
	for (i = 0; i + 2 < sizeof(many); i += 2)
		memcpy(many + i, "*a", 2);
	memcpy(many + i, "b", 2);
	memset(text, 'a', sizeof(text));
	assert_false(sftrule_fits(many, (uint8_t *)text, sizeof(text)));
}

static void
faults(void **state)
{
	static const struct {
		const char *all;
		unsigned int number;
		const char *why;
	} cases[] = {
		{ "permit", 1, "begins with allow or deny" },
		{ "allow; alow", 2, "is never reached" },
		{ "deny peer=a; alow", 2, "begins with allow or deny" },
		{ "allowed peer=a", 1, "begins with allow or deny" },
		{ "allow peers=a", 1, "did you mean \"peer=\"" },
		{ "allow peer", 1, "did you mean \"peer=\"" },
		{ "allow secret", 1, "peer=, name=, max_size=, into= and" },
		{ "allow peer=", 1, "peer= takes names of nodes" },
		{ "allow peer=a,,b", 1, "peer= takes names of nodes" },
		{ "allow peer=a,", 1, "peer= takes names of nodes" },
		{ "allow peer=,a", 1, "peer= takes names of nodes" },
		{ "allow peer=A", 1, "peer= takes names of nodes" },
		{ "allow name=", 1, "name= takes names of files" },
		{ "allow peer=a peer=b", 1, "has peer= twice; put a comma" },
		{ "allow replace=yes replace=yes", 1, "has replace= twice" },
		{ "allow max_size=10", 1, "max_size= takes a size" },
		{ "allow max_size=10MB", 1, "max_size= takes a size" },
		{ "allow max_size=G", 1, "max_size= takes a size" },
		{ "allow max_size=08M", 1, "max_size= takes a size" },
		{ "allow max_size=999999999999T", 1, "is too large" },
		{ "allow into=/srv", 1, "below data_dir/files" },
		{ "allow into=../x", 1, "below data_dir/files" },
		{ "allow into=a//b", 1, "below data_dir/files" },
		{ "allow replace=true", 1, "yes or no" },
		{ "allow name=a;deny", 1, "semicolon" },
		{ "allow name=\"a\"", 1, "quote" },
		{ "allow name=a\\ b", 1, "backslash" },
		{ "deny max_size=1G", 1, "only peer= and name=" },
		{ "deny into=a", 1, "only peer= and name=" },
		{ "deny replace=no", 1, "only peer= and name=" },
		{ "allow peer=a; allow; deny peer=b", 3, "is never reached" },
	};
	unsigned int number;
	char why[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (sftrule_check(cases[i].all, &number, why, sizeof(why)) == 0)
			fail_msg("taken: \"%s\"", cases[i].all);
		if (number != cases[i].number ||
		    strstr(why, cases[i].why) == NULL)
			fail_msg("\"%s\": %u, \"%s\"", cases[i].all, number,
			    why);
		assert_null(strstr(why, "secret"));
	}
}

static void
too_long(void **state)
{
	char text[512];
	unsigned int number;
	char why[256];

	(void)state;
	snprintf(text, sizeof(text), "allow name=%0255d", 0);
	assert_int_equal(sftrule_check(text, &number, why, sizeof(why)), 0);
	snprintf(text, sizeof(text), "allow name=%0256d", 0);
	assert_int_not_equal(sftrule_check(text, &number, why, sizeof(why)), 0);
	assert_non_null(strstr(why, "255 bytes"));
	snprintf(text, sizeof(text), "allow into=%0256d", 0);
	assert_int_not_equal(sftrule_check(text, &number, why, sizeof(why)), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_fits_decides),
		cmocka_unit_test(what_a_rule_says),
		cmocka_unit_test(patterns),
		cmocka_unit_test(faults),
		cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
