/* SPDX-License-Identifier: ISC */
/*
 * test_sftname.c - a name that a peer proposes stays in its folder, and
 * neither a terminal nor a reader is misled by it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/sftname.h"

#define S(text) text, sizeof(text) - 1

static const struct {
	const char *name;
	size_t len;
	enum sftname_verdict verdict;
} names[] = {
	{ S("a"), SFTNAME_OK }, { S("report.pdf"), SFTNAME_OK },
	{ S("2026/11/report.pdf"), SFTNAME_OK },
	{ S(".hidden/-rf/~x/a b/back\\slash/\"'$(x)"), SFTNAME_OK },
	{ S("..."), SFTNAME_OK }, { S("..a/.b/a.."), SFTNAME_OK },
	{ S("gr\xc3\xbc\xc3\x9f.txt"), SFTNAME_OK },
	{ S("\xe6\x9d\xb1\xe4\xba\xac/\xf0\x9f\x97\xbc"), SFTNAME_OK },
	/* U+200C, U+200D: Persian, emoji */
	{ S("\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae"), SFTNAME_OK },
	{ S("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"), SFTNAME_OK },
	{ S(""), SFTNAME_EMPTY }, { S("/"), SFTNAME_ABSOLUTE },
	{ S("/etc/passwd"), SFTNAME_ABSOLUTE },
	{ S("a//b"), SFTNAME_PART_NONE }, { S("a/"), SFTNAME_PART_NONE },
	{ S("."), SFTNAME_DOTS }, { S(".."), SFTNAME_DOTS },
	{ S("../a"), SFTNAME_DOTS }, { S("a/../b"), SFTNAME_DOTS },
	{ S("a/./b"), SFTNAME_DOTS }, { S("a/.."), SFTNAME_DOTS },
	{ S("a\xff"), SFTNAME_UTF8 },
	{ S("\xc0\xae\xc0\xae/x"), SFTNAME_UTF8 }, /* overlong ".." */
	{ S("\xed\xa0\x80"), SFTNAME_UTF8 },	   /* a surrogate */
	{ S("a\xc3"), SFTNAME_UTF8 }, { S("a\xc3/b"), SFTNAME_UTF8 },
	{ S("\0"), SFTNAME_CONTROL }, { S("a\0b"), SFTNAME_CONTROL },
	{ S("a\nb"), SFTNAME_CONTROL }, { S("a\x1f"), SFTNAME_CONTROL },
	{ S("a\x1b[2J"), SFTNAME_CONTROL }, { S("a\x7f"), SFTNAME_CONTROL },
	{ S("a\xc2\x80"), SFTNAME_CONTROL },
	{ S("a\xc2\x9f"), SFTNAME_CONTROL },
	{ S("a\xe2\x80\xa8z"), SFTNAME_CONTROL }, /* U+2028 */
	{ S("a\xe2\x80\xa9z"), SFTNAME_CONTROL },
	{ S("a\xe2\x80\xae"
	    "fdp.exe"),
	    SFTNAME_INVISIBLE }, /* U+202E */
	{ S("a\xe2\x80\xaa"), SFTNAME_INVISIBLE },
	{ S("a\xe2\x81\xa6"), SFTNAME_INVISIBLE }, /* U+2066 */
	{ S("a\xe2\x81\xa0"), SFTNAME_INVISIBLE }, /* U+2060 */
	{ S("a\xe2\x81\xaf"), SFTNAME_INVISIBLE }, /* U+206F */
	{ S("a\xe2\x80\x8b"), SFTNAME_INVISIBLE }, /* U+200B */
	{ S("a\xe2\x80\x8e"), SFTNAME_INVISIBLE }, /* U+200E */
	{ S("a\xe2\x80\x8f"), SFTNAME_INVISIBLE },
	{ S("\xef\xbb\xbf"
	    "a"),
	    SFTNAME_INVISIBLE },		       /* U+FEFF */
	{ S("a\xc2\xad"), SFTNAME_INVISIBLE },	       /* soft hyphen */
	{ S("a\xcd\x8f"), SFTNAME_INVISIBLE },	       /* U+034F */
	{ S("a\xd8\x9c"), SFTNAME_INVISIBLE },	       /* U+061C */
	{ S("a\xe1\x85\x9f"), SFTNAME_INVISIBLE },     /* U+115F */
	{ S("a\xe1\x85\xa0"), SFTNAME_INVISIBLE },     /* U+1160 */
	{ S("a\xe1\xa0\x8e"), SFTNAME_INVISIBLE },     /* U+180E */
	{ S("a\xe3\x85\xa4"), SFTNAME_INVISIBLE },     /* U+3164 */
	{ S("a\xef\xbe\xa0"), SFTNAME_INVISIBLE },     /* U+FFA0 */
	{ S("a\xef\xb7\x90"), SFTNAME_INVISIBLE },     /* U+FDD0 */
	{ S("a\xef\xb7\xaf"), SFTNAME_INVISIBLE },     /* U+FDEF */
	{ S("a\xef\xbf\xb9"), SFTNAME_INVISIBLE },     /* U+FFF9 */
	{ S("a\xef\xbf\xbb"), SFTNAME_INVISIBLE },     /* U+FFFB */
	{ S("a\xef\xbf\xbe"), SFTNAME_INVISIBLE },     /* U+FFFE */
	{ S("a\xef\xbf\xbf"), SFTNAME_INVISIBLE },     /* U+FFFF */
	{ S("a\xf4\x8f\xbf\xbf"), SFTNAME_INVISIBLE }, /* U+10FFFF */
	{ S("a\xf3\xa0\x80\x81"), SFTNAME_INVISIBLE }, /* U+E0001 */
	{ S("a\xef\xbf\xbd"), SFTNAME_OK },	       /* U+FFFD */
	{ S("a b"), SFTNAME_OK }, { S(" a"), SFTNAME_SPACE },
	{ S("a "), SFTNAME_SPACE }, { S(" "), SFTNAME_SPACE },
	{ S("a /b"), SFTNAME_SPACE }, { S("a/ b"), SFTNAME_SPACE },
	{ S("a\xc2\xa0"), SFTNAME_SPACE },     /* U+00A0 */
	{ S("\xe1\x9a\x80z"), SFTNAME_SPACE }, /* U+1680 */
	{ S("\xe2\x80\x80z"), SFTNAME_SPACE }, /* U+2000 */
	{ S("\xe2\x80\x8az"), SFTNAME_SPACE }, /* U+200A */
	{ S("\xe2\x80\xafz"), SFTNAME_SPACE }, /* U+202F */
	{ S("\xe2\x81\x9fz"), SFTNAME_SPACE }, /* U+205F */
	{ S("a\xe3\x80\x80"), SFTNAME_SPACE }, /* U+3000 */
};

static enum sftname_verdict
check(const char *name, size_t len)
{
	return sftname_check((const uint8_t *)name, len);
}

static void
test_names(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (check(names[i].name, names[i].len) != names[i].verdict)
			fail_msg("%s: %s, not: %s", names[i].name,
			    sftname_why(check(names[i].name, names[i].len)),
			    sftname_why(names[i].verdict));
}

static void
test_lengths(void **state)
{
	char name[SFTNAME_MAX + 2];
	size_t i;

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_int_equal(check(name, 255), SFTNAME_OK);
	assert_int_equal(check(name, 256), SFTNAME_PART_LONG);
	for (i = 255; i < sizeof(name); i += 256)
		name[i] = '/';
	name[1023] = 'a';
	name[767] = 'a';
	name[766] = '/';
	name[1022] = '/';
	assert_int_equal(check(name, 1024), SFTNAME_OK);
	assert_int_equal(check(name, 1025), SFTNAME_LONG);
	memset(name, 'a', sizeof(name));
	for (i = 1; i < 66; i += 2)
		name[i] = '/';
	assert_int_equal(check(name, 63), SFTNAME_OK); /* 32 parts */
	assert_int_equal(check(name, 65), SFTNAME_DEEP);
	/* Not a byte beyond is read. */
	assert_int_equal(check("ab/", 2), SFTNAME_OK);
	assert_int_equal(check("a\xc3\xbc", 2), SFTNAME_UTF8);
}

static void
test_why(void **state)
{
	unsigned int i, k;

	(void)state;
	for (i = 0; i < SFTNAME_VERDICTS; i++) {
		assert_non_null(sftname_why((enum sftname_verdict)i));
		for (k = 0; k < i; k++)
			assert_string_not_equal(
			    sftname_why((enum sftname_verdict)i),
			    sftname_why((enum sftname_verdict)k));
	}
	assert_non_null(sftname_why(SFTNAME_VERDICTS));
}

static void
show(const char *name, size_t len, size_t size, const char *want)
{
	char out[SFTNAME_SHOWN_SIZE];
	size_t n;

	memset(out, '#', sizeof(out));
	n = sftname_show((const uint8_t *)name, len, out, size);
	assert_string_equal(out, want);
	assert_int_equal(n, strlen(want));
	assert_true(n < size);
	if (size < sizeof(out))
		assert_int_equal(out[size], '#');
}

static void
test_show(void **state)
{
	(void)state;
	show(S(""), 4, "");
	show(S("a/b c"), 64, "a/b c");
	show(S("gr\xc3\xbc"), 64, "gr\xc3\xbc");
	show(S("\x1b[31m"), 64, "\\x1b[31m");
	show(S("a\0b\n"), 64, "a\\x00b\\x0a");
	show(S("\xc2\x9b"), 64, "\\xc2\\x9b");
	show(S("\xe2\x80\xae"), 64, "\\xe2\\x80\\xae");
	show(S("\xff\xc3"), 64, "\\xff\\xc3");
	/* What looks escaped was: no two names are shown alike. */
	show(S("\\x1b"), 64, "\\\\x1b");
}

static void
test_show_cut(void **state)
{
	char name[SFTNAME_MAX], out[SFTNAME_SHOWN_SIZE];

	(void)state;
	show(S("abc"), 4, "abc");
	show(S("abcd"), 4, "...");
	show(S("abcd"), 5, "abcd");
	show(S("abcdefgh"), 7, "abc...");
	/* Never in the middle of a character, or of an escape. */
	show(S("ab\xc3\xbc"
	       "defg"),
	    7, "ab...");
	show(S("a\x01"
	       "bcdefg"),
	    8, "a...");
	memset(name, 1, sizeof(name));
	assert_int_equal(
	    sftname_show((const uint8_t *)name, sizeof(name), out, sizeof(out)),
	    4 * SFTNAME_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_show_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
