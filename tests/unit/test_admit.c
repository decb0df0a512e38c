/* SPDX-License-Identifier: ISC */
/*
 * test_admit.c - an offer is good once; nobody has more than a few calls
 * half-open; and who proves that it is there gets in, whatever others do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "voiced/admit.h"

#define NOW 1700000000

static struct admit a;
static struct admit_key out;
static uint32_t next_id;

static int
setup(void **state)
{
	(void)state;
	admit_init(&a);
	next_id = 0;
	return 0;
}

static struct call_offer
offer_of(const char *caller)
{
	struct call_offer o = { .expires_s = NOW + CALL_EXPIRY_S };

	snprintf(o.caller, sizeof(o.caller), "%s", caller);
	next_id++;
	memcpy(o.id, &next_id, sizeof(next_id));
	return o;
}

static enum admit_answer
ask(const char *caller, bool proven)
{
	struct call_offer o = offer_of(caller);

	return admit_offer(&a, &o, proven, NOW, &out);
}

static struct admit_key
key_of(const struct call_offer *o)
{
	struct admit_key k = { .caller = "" };

	memcpy(k.caller, o->caller, sizeof(k.caller));
	memcpy(k.id, o->id, sizeof(k.id));
	return k;
}

static void
test_once(void **state)
{
	struct call_offer o = offer_of("alpha"), p = offer_of("alpha");
	struct admit_key k = key_of(&o);

	(void)state;
	assert_int_equal(admit_offer(&a, &o, false, NOW, &out), ADMIT_YES);
	assert_int_equal(admit_offer(&a, &o, false, NOW, &out), ADMIT_SEEN);
	/* Another's of the same number is another. */
	memcpy(p.id, o.id, sizeof(p.id));
	strcpy(p.caller, "beta");
	assert_int_equal(admit_offer(&a, &p, false, NOW, &out), ADMIT_YES);
	admit_done(&a, &k);
	assert_int_equal(admit_offer(&a, &o, false, NOW, &out), ADMIT_SEEN);
	assert_int_equal(admit_offer(&a, &o, true, NOW, &out), ADMIT_SEEN);
	/* To its last second, and then it is too old. */
	assert_int_equal(admit_offer(&a, &o, false, o.expires_s, &out),
	    ADMIT_SEEN);
	assert_int_equal(admit_offer(&a, &o, false, o.expires_s + 1, &out),
	    ADMIT_STALE);
	assert_int_equal(ask("alpha", false), ADMIT_YES);
}

static void
test_expiry(void **state)
{
	struct call_offer o = offer_of("alpha");

	(void)state;
	o.expires_s = NOW + CALL_EXPIRY_MAX_S + 1;
	assert_int_equal(admit_offer(&a, &o, true, NOW, &out), ADMIT_CLOCK);
	o.expires_s = UINT64_MAX;
	assert_int_equal(admit_offer(&a, &o, true, NOW, &out), ADMIT_CLOCK);
	o.expires_s = NOW - 1;
	assert_int_equal(admit_offer(&a, &o, true, NOW, &out), ADMIT_STALE);
	o.expires_s = 0;
	assert_int_equal(admit_offer(&a, &o, true, NOW, &out), ADMIT_STALE);
	o.expires_s = NOW + CALL_EXPIRY_MAX_S;
	assert_int_equal(admit_offer(&a, &o, false, NOW, &out), ADMIT_YES);
}

static void
test_per_caller(void **state)
{
	struct call_offer o = offer_of("alpha");
	struct admit_key k = key_of(&o);
	int i;

	(void)state;
	assert_int_equal(admit_offer(&a, &o, false, NOW, &out), ADMIT_YES);
	for (i = 1; i < ADMIT_PER_CALLER; i++)
		assert_int_equal(ask("alpha", false), ADMIT_YES);
	assert_int_equal(ask("alpha", false), ADMIT_RETRY);
	assert_int_equal(ask("beta", false), ADMIT_YES);
	/* With a proof it gets more, and nobody has to go. */
	for (; i < ADMIT_PROVEN_PER_CALLER; i++) {
		assert_int_equal(ask("alpha", true), ADMIT_YES);
		assert_string_equal(out.caller, "");
	}
	/* Then its own that are not proven go, the oldest first. */
	assert_int_equal(ask("alpha", true), ADMIT_YES);
	assert_string_equal(out.caller, "alpha");
	assert_memory_equal(out.id, k.id, sizeof(k.id));
	for (i = 1; i < ADMIT_PER_CALLER; i++)
		assert_int_equal(ask("alpha", true), ADMIT_YES);
	assert_int_equal(ask("alpha", true), ADMIT_BUSY);
	assert_string_equal(out.caller, "");
	assert_int_equal(ask("beta", false), ADMIT_YES);
}

static void
test_all(void **state)
{
	struct call_offer o[ADMIT_ALL];
	struct admit_key k;
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < ADMIT_ALL; i++) {
		snprintf(name, sizeof(name), "node-%d", i);
		o[i] = offer_of(name);
		assert_int_equal(admit_offer(&a, &o[i], false, NOW, &out),
		    ADMIT_YES);
	}
	assert_int_equal(ask("alpha", false), ADMIT_RETRY);
	/* The oldest gives way to who proves that it is there. */
	assert_int_equal(ask("alpha", true), ADMIT_YES);
	assert_string_equal(out.caller, "node-0");
	assert_int_equal(ask("beta", true), ADMIT_YES);
	assert_string_equal(out.caller, "node-1");
	/* One that is done leaves room, and nobody has to go. */
	k = key_of(&o[2]);
	admit_done(&a, &k);
	admit_done(&a, &k);
	assert_int_equal(ask("gamma", false), ADMIT_YES);
	assert_string_equal(out.caller, "");
	assert_int_equal(ask("delta", false), ADMIT_RETRY);
}

/* All places are for who is there: no more, and nobody is put out. */
static void
test_all_proven(void **state)
{
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < ADMIT_ALL; i++) {
		snprintf(name, sizeof(name), "node-%d", i);
		assert_int_equal(ask(name, true), ADMIT_YES);
	}
	assert_int_equal(ask("alpha", true), ADMIT_BUSY);
	assert_int_equal(ask("alpha", false), ADMIT_RETRY);
}

/* Calls that are set up as fast as they can be, and nothing but copies. */
static void
test_remembered(void **state)
{
	struct call_offer o;
	struct admit_key k;
	int i;

	(void)state;
	for (i = 0; i < ADMIT_SEEN_PER_CALLER; i++) {
		o = offer_of("alpha");
		k = key_of(&o);
		assert_int_equal(admit_offer(&a, &o, false, NOW, &out),
		    ADMIT_YES);
		admit_done(&a, &k);
	}
	/* A place is free, but not to remember. */
	assert_int_equal(ask("alpha", false), ADMIT_RETRY);
	assert_int_equal(ask("beta", false), ADMIT_YES);
	assert_int_equal(ask("alpha", true), ADMIT_YES);
	/* All of that has expired. */
	o = offer_of("alpha");
	o.expires_s = NOW + CALL_EXPIRY_S + 2;
	assert_int_equal(
	    admit_offer(&a, &o, false, NOW + CALL_EXPIRY_S + 1, &out),
	    ADMIT_YES);
}

static void
test_memory_is_full(void **state)
{
	struct call_offer o;
	struct admit_key k;
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < ADMIT_SEEN_MAX; i++) {
		snprintf(name, sizeof(name), "node-%d", i % 8);
		o = offer_of(name);
		k = key_of(&o);
		assert_int_equal(admit_offer(&a, &o, false, NOW, &out),
		    ADMIT_YES);
		admit_done(&a, &k);
	}
	assert_int_equal(ask("alpha", false), ADMIT_RETRY);
	assert_int_equal(admit_offer(&a, &o, false, NOW, &out), ADMIT_SEEN);
	/* What is half-open is known all the same. */
	o = offer_of("alpha");
	assert_int_equal(admit_offer(&a, &o, true, NOW, &out), ADMIT_YES);
	assert_int_equal(admit_offer(&a, &o, true, NOW, &out), ADMIT_SEEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_once, setup),
		cmocka_unit_test_setup(test_expiry, setup),
		cmocka_unit_test_setup(test_per_caller, setup),
		cmocka_unit_test_setup(test_all, setup),
		cmocka_unit_test_setup(test_all_proven, setup),
		cmocka_unit_test_setup(test_remembered, setup),
		cmocka_unit_test_setup(test_memory_is_full, setup),
	};

	return cmocka_run_group_tests_name("admit", tests, NULL, NULL);
}
