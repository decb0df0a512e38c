/* SPDX-License-Identifier: ISC */
/*
 * test_suggest.c - a mistyped word is answered with the word that was meant,
 * and a word like no other with none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/suggest.h"

static const char *const words[] = { "node", NULL, "audit", "control", "log",
	"metrics", "data_dir", "log_dir" };

static void
distance_counts_edits(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned int d;
	} cases[] = {
		{ "", "", 0 },
		{ "", "ab", 2 },
		{ "ab", "", 2 },
		{ "enabeld", "enabled", 1 },
		{ "enabled", "enabled", 0 },
		{ "enabld", "enabled", 1 },
		{ "eenabled", "enabled", 1 },
		{ "enabIed", "enabled", 1 },
		{ "neabeld", "enabled", 2 },
		{ "kitten", "sitting", 3 },
		{ "abcdef", "uvwxyz", 3 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(suggest_distance(cases[i].a, cases[i].b),
		    cases[i].d);
		assert_int_equal(suggest_distance(cases[i].b, cases[i].a),
		    cases[i].d);
	}
}

static void
words_of_any_length_are_survived(void **state)
{
	char longword[4096];

	(void)state;
	memset(longword, 'a', sizeof(longword) - 1);
	longword[sizeof(longword) - 1] = '\0';
	assert_int_equal(suggest_distance(longword, "a"), 3);
	assert_int_equal(suggest_distance("a", longword), 3);
	assert_int_equal(suggest_distance(longword, longword), 3);
	longword[63] = '\0';
	assert_int_equal(suggest_distance(longword, longword), 0);
	longword[0] = 'b';
	longword[62] = 'b';
	assert_int_equal(suggest_distance(longword, longword + 1), 1);
}

static const char *
nearest(const char *word)
{
	return suggest_nearest(word, words, sizeof(words) / sizeof(words[0]));
}

static void
the_nearest_word_is_named(void **state)
{
	(void)state;
	assert_string_equal(nearest("nodes"), "node");
	assert_string_equal(nearest("lgo"), "log");
	assert_string_equal(nearest("data-dir"), "data_dir");
	assert_string_equal(nearest("logdir"), "log_dir");
	assert_string_equal(nearest("metrcis"), "metrics");
}

static void
a_word_like_no_other_gets_none(void **state)
{
	(void)state;
	assert_null(nearest("voice"));
	assert_null(nearest(""));
	assert_null(nearest("xx"));
	assert_null(nearest("a"));
	assert_null(suggest_nearest("node", words, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distance_counts_edits),
		cmocka_unit_test(words_of_any_length_are_survived),
		cmocka_unit_test(the_nearest_word_is_named),
		cmocka_unit_test(a_word_like_no_other_gets_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
