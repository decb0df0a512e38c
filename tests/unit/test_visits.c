/* SPDX-License-Identifier: ISC */
/*
 * test_visits.c - a peer that comes in a loop is refused after a while, and
 * others are not; nobody is refused who comes once a second.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "attestd/visits.h"

static unsigned int
come(const char *peer, uint64_t now_s, unsigned int times)
{
	unsigned int n = 0;

	while (times-- > 0)
		n += visits_allow(peer, now_s) ? 1 : 0;
	return n;
}

static void
test_loop(void **state)
{
	(void)state;
	assert_int_equal(come("beta", 100, 10 * VISITS_BURST), VISITS_BURST);
	assert_int_equal(come("gamma", 100, 100), 100);
	assert_int_equal(come("beta", 101, 100), 1);
	assert_int_equal(come("beta", 111, 100), 10);
	assert_int_equal(come("beta", 100000, 2 * VISITS_BURST), VISITS_BURST);
}

static void
test_once_a_second(void **state)
{
	uint64_t s;

	(void)state;
	for (s = 0; s < 3 * VISITS_BURST; s++)
		assert_true(visits_allow("delta", 200000 + s));
}

/* Who comes in a loop is not forgotten for those who come once. */
static void
test_many(void **state)
{
	char name[32];
	unsigned int i;

	(void)state;
	assert_int_equal(come("beta", 300000, VISITS_BURST + 1), VISITS_BURST);
	for (i = 0; i < 10 * VISITS_PEERS; i++) {
		snprintf(name, sizeof(name), "peer-%u", i);
		assert_int_equal(come(name, 300000, 2), 2);
	}
	assert_int_equal(come("beta", 300000, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_once_a_second),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("visits", tests, NULL, NULL);
}
