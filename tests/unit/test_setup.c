/* SPDX-License-Identifier: ISC */
/*
 * test_setup.c - no candidate and no media before both ends have proved who
 * they are, whatever happens in whatever order.
 *
 * The machine is walked together with a monitor that remembers what was asked
 * and answered. Both are finite, so every order of events of every length is
 * tried, each event also too late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "voiced/setup.h"

#define NOW 1000
#define HOOK_MS 700

/* --- the monitor -------------------------------------------------------- */

#define ENDS (SETUP_SEND_END | SETUP_SEND_SEALED_END)
#define ICE                                                                    \
	(SETUP_TAKE | SETUP_SEND_CANDIDATES | SETUP_RESTART |                  \
	    SETUP_SEND_RESTART | SETUP_MEDIA)
#define CALLER_ONLY                                                            \
	(SETUP_SEND_OFFER | SETUP_MAKE_PROOF | SETUP_JUDGE_ANSWER |            \
	    SETUP_SEND_CONFIRM)
#define CALLEE_ONLY                                                            \
	(SETUP_SEND_RETRY | SETUP_JUDGE_OFFER | SETUP_ASK_HOOK |               \
	    SETUP_SEND_ANSWER | SETUP_JUDGE_CONFIRM | SETUP_HOLD)

struct monitor {
	bool caller;
	uint32_t done; /* all actions so far */
	/* Answers to what was asked before them, and messages after ours. */
	bool offer_good, allowed, leaf, answer_good, confirm_good, finished;
	bool proof, got_answer, got_confirm, granted;
	bool closed;
	uint8_t offers;
};

static void
note(struct monitor *m, enum setup_event e)
{
	uint32_t d = m->done;

	m->offer_good |= e == SETUP_OFFER_GOOD && (d & SETUP_JUDGE_OFFER) != 0;
	m->allowed |= e == SETUP_ALLOWED && (d & SETUP_ASK_HOOK) != 0;
	m->leaf |= e == SETUP_HAS_LEAF && (d & SETUP_MAKE_LEAF) != 0;
	m->answer_good |=
	    e == SETUP_ANSWER_GOOD && (d & SETUP_JUDGE_ANSWER) != 0;
	m->confirm_good |=
	    e == SETUP_CONFIRM_GOOD && (d & SETUP_JUDGE_CONFIRM) != 0;
	m->finished |= e == SETUP_FINISHED && (d & SETUP_FEED) != 0;
	m->proof |= e == SETUP_PROOF && (d & SETUP_MAKE_PROOF) != 0;
	m->got_answer |= e == SETUP_GOT_ANSWER && (d & SETUP_SEND_OFFER) != 0;
	m->got_confirm |=
	    e == SETUP_GOT_CONFIRM && (d & SETUP_SEND_ANSWER) != 0;
	m->granted |=
	    e == SETUP_GOT_CANDIDATES && (d & SETUP_SEND_CONFIRM) != 0;
}

static void
judge_caller(const struct monitor *m, uint32_t actions)
{
	assert_int_equal(actions & CALLEE_ONLY, 0);
	if ((actions & SETUP_SEND_OFFER) != 0 && m->offers > 0)
		assert_true(m->offers == 1 && m->proof);
	if ((actions & SETUP_JUDGE_ANSWER) != 0)
		assert_true(m->got_answer);
	/* The nonce to answer, and the flight, are the judged ANSWER's. */
	if ((actions & (SETUP_MAKE_LEAF | SETUP_FEED)) != 0)
		assert_true(m->answer_good);
	if ((actions & SETUP_SEND_CONFIRM) != 0)
		assert_true(m->answer_good && m->leaf && m->finished);
	if ((actions & ICE) != 0)
		assert_true((m->done & SETUP_SEND_CONFIRM) != 0);
	if ((actions & ICE & ~(uint32_t)SETUP_SEND_CANDIDATES) != 0)
		assert_true(m->granted);
	if ((actions & SETUP_SEND_SEALED_END) != 0)
		assert_true((m->done & SETUP_SEND_CONFIRM) != 0);
}

static void
judge_callee(const struct monitor *m, uint32_t actions)
{
	assert_int_equal(actions & CALLER_ONLY, 0);
	if ((actions & SETUP_ASK_HOOK) != 0)
		assert_true(m->offer_good);
	if ((actions & (SETUP_MAKE_LEAF | SETUP_SEND_ANSWER)) != 0)
		assert_true(m->offer_good && m->allowed);
	if ((actions & SETUP_SEND_ANSWER) != 0)
		assert_true(m->leaf);
	if ((actions & (SETUP_JUDGE_CONFIRM | SETUP_HOLD)) != 0)
		assert_true(m->got_confirm);
	if ((actions & SETUP_FEED) != 0)
		assert_true(m->confirm_good);
	if ((actions & ICE) != 0)
		assert_true(m->confirm_good && m->finished);
	if ((actions & SETUP_SEND_SEALED_END) != 0)
		assert_true((m->done & SETUP_SEND_ANSWER) != 0);
}

static void
judge(struct monitor *m, enum setup_event e, uint32_t actions)
{
	const uint32_t once = SETUP_SEND_ANSWER | SETUP_SEND_CONFIRM |
	    SETUP_MEDIA | SETUP_ASK_HOOK | SETUP_MAKE_LEAF | SETUP_FEED |
	    SETUP_CLOSE;

	if (m->closed)
		assert_int_equal(actions, 0);
	assert_int_equal(actions & m->done & once, 0);
	assert_int_not_equal(actions & ENDS, ENDS);
	if ((actions & ENDS) != 0)
		assert_int_equal(actions & ~(uint32_t)ENDS, SETUP_CLOSE);
	/* Who is told that it is over does not tell it again. */
	if ((e == SETUP_GOT_END || e == SETUP_GOT_SEALED))
		assert_int_equal(actions & ENDS, 0);
	if (m->caller)
		judge_caller(m, actions);
	else
		judge_callee(m, actions);
	m->done |= actions;
	m->closed |= (actions & SETUP_CLOSE) != 0;
	m->offers = (uint8_t)(m->offers + ((actions & SETUP_SEND_OFFER) != 0));
}

/* What ends a call always, and what never does. */
static void
judge_end(const struct monitor *m, enum setup_event e, uint32_t actions)
{
	bool sure = m->caller ? m->answer_good : m->got_confirm;

	if (m->closed)
		return;
	if (e == SETUP_HANGUP || e == SETUP_REFUSED || e == SETUP_GOT_SEALED)
		assert_int_not_equal(actions & SETUP_CLOSE, 0);
	if (e == SETUP_GOT_END)
		assert_int_equal((actions & SETUP_CLOSE) != 0, !sure);
	if (e == SETUP_CLOCK)
		assert_int_equal(actions, 0);
}

/* --- every order -------------------------------------------------------- */

struct node {
	struct setup s;
	struct monitor m;
};

#define NODES 4096
static struct node nodes[NODES];
static size_t n_nodes;

static void
visit(const struct node *n)
{
	size_t i;

	for (i = 0; i < n_nodes; i++)
		if (memcmp(&nodes[i], n, sizeof(*n)) == 0)
			return;
	assert_true(n_nodes < NODES);
	nodes[n_nodes++] = *n;
}

static void
late(const struct node *from, enum setup_event e)
{
	struct node n = *from;
	uint32_t actions;

	if (n.s.deadline_ms == UINT64_MAX)
		return;
	actions = setup_step(&n.s, e, CALL_HOOK, n.s.deadline_ms);
	assert_int_equal(n.s.state, SETUP_OVER);
	assert_int_equal(actions & ~(uint32_t)ENDS, SETUP_CLOSE);
	assert_true(n.s.reason == CALL_TIMEOUT || n.s.reason == CALL_FAULT ||
	    (from->s.state == SETUP_HOOK && n.s.reason == CALL_HOOK_FAILED));
	assert_false(n.s.theirs);
}

/* Number of states in which the call is up. */
static size_t
every_order(bool caller)
{
	struct node n;
	size_t i, up = 0;
	unsigned int e;
	uint32_t actions;

	n_nodes = 0;
	memset(&n, 0, sizeof(n));
	setup_init(&n.s, caller, HOOK_MS);
	n.m.caller = caller;
	visit(&n);
	for (i = 0; i < n_nodes; i++) {
		up += nodes[i].s.state == SETUP_UP;
		for (e = 0; e < SETUP_EVENTS; e++) {
			late(&nodes[i], (enum setup_event)e);
			n = nodes[i];
			actions = setup_step(&n.s, (enum setup_event)e,
			    CALL_HOOK, NOW);
			judge_end(&n.m, (enum setup_event)e, actions);
			note(&n.m, (enum setup_event)e);
			judge(&n.m, (enum setup_event)e, actions);
			assert_int_equal(n.s.state == SETUP_OVER, n.m.closed);
			if (n.m.closed)
				assert_int_not_equal(n.s.reason,
				    CALL_NO_REASON);
			visit(&n);
		}
	}
	return up;
}

static void
test_every_order(void **state)
{
	(void)state;
	assert_true(every_order(true) > 0);
	assert_true(every_order(false) > 0);
}

/* --- by hand ------------------------------------------------------------ */

static struct setup s;

static int
begin_caller(void **state)
{
	(void)state;
	setup_init(&s, true, HOOK_MS);
	return 0;
}

static int
begin_callee(void **state)
{
	(void)state;
	setup_init(&s, false, HOOK_MS);
	return 0;
}

static void
goes(enum setup_event e, uint64_t now_ms, uint32_t actions)
{
	assert_int_equal(setup_step(&s, e, CALL_NO_REASON, now_ms), actions);
}

static void
test_caller(void **state)
{
	(void)state;
	goes(SETUP_DIAL, 10, SETUP_SEND_OFFER);
	goes(SETUP_GATHERED, 11, 0); /* CONFIRM will have it */
	goes(SETUP_GOT_ANSWER, 12, SETUP_JUDGE_ANSWER);
	goes(SETUP_GOT_ANSWER, 13, 0);
	goes(SETUP_ANSWER_GOOD, 14, SETUP_MAKE_LEAF);
	goes(SETUP_HAS_LEAF, 15, SETUP_FEED);
	goes(SETUP_FINISHED, 16, SETUP_SEND_CONFIRM);
	goes(SETUP_GATHERED, 17, SETUP_SEND_CANDIDATES);
	goes(SETUP_GOT_CANDIDATES, 18, SETUP_TAKE | SETUP_MEDIA);
	goes(SETUP_GOT_CANDIDATES, 19, SETUP_TAKE);
	goes(SETUP_GOT_RESTART, 20, SETUP_RESTART);
	goes(SETUP_CLOCK, UINT64_C(1) << 40, 0); /* for as long as it lasts */
	goes(SETUP_GOT_END, 22, 0);		 /* anybody's */
	goes(SETUP_HANGUP, 23, SETUP_SEND_SEALED_END | SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_HANGUP);
}

static void
test_retry(void **state)
{
	(void)state;
	goes(SETUP_DIAL, 10, SETUP_SEND_OFFER);
	goes(SETUP_GOT_RETRY, 11, SETUP_MAKE_PROOF);
	goes(SETUP_GOT_RETRY, 12, 0);
	goes(SETUP_PROOF, 13, SETUP_SEND_OFFER);
	goes(SETUP_GOT_RETRY, 14, 0); /* once */
	goes(SETUP_GOT_ANSWER, 15, SETUP_JUDGE_ANSWER);
}

static void
test_callee(void **state)
{
	(void)state;
	goes(SETUP_GOT_OFFER, 10, SETUP_JUDGE_OFFER);
	goes(SETUP_OFFER_GOOD, 11, SETUP_ASK_HOOK);
	goes(SETUP_ALLOWED, 12, SETUP_MAKE_LEAF);
	goes(SETUP_HAS_LEAF, 13, SETUP_SEND_ANSWER);
	goes(SETUP_GATHERED, 14, 0);
	goes(SETUP_GOT_CONFIRM, 15, SETUP_JUDGE_CONFIRM | SETUP_HOLD);
	goes(SETUP_GOT_CANDIDATES, 16, SETUP_HOLD);
	goes(SETUP_CONFIRM_GOOD, 17, SETUP_FEED);
	goes(SETUP_GATHERED, 18, 0);
	goes(SETUP_FINISHED, 19,
	    SETUP_TAKE | SETUP_SEND_CANDIDATES | SETUP_MEDIA);
	goes(SETUP_RESTARTING, 20, SETUP_SEND_RESTART);
	goes(SETUP_GOT_CONFIRM, 21, SETUP_SEND_SEALED_END | SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_PROTOCOL);
}

/* Before it may be told anything, a copy's caller hears nothing. */
static void
test_not_admitted(void **state)
{
	(void)state;
	goes(SETUP_GOT_OFFER, 10, SETUP_JUDGE_OFFER);
	goes(SETUP_SEEN, 11, SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_REPLAY);
	begin_callee(NULL);
	goes(SETUP_GOT_OFFER, 10, SETUP_JUDGE_OFFER);
	goes(SETUP_CROWDED, 11, SETUP_SEND_RETRY | SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_BUSY);
	begin_callee(NULL);
	goes(SETUP_GOT_OFFER, 10, SETUP_JUDGE_OFFER);
	assert_int_equal(setup_step(&s, SETUP_REFUSED, CALL_ALLOWLIST, 11),
	    SETUP_SEND_END | SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_ALLOWLIST);
	assert_false(s.theirs);
}

static void
test_their_reason(void **state)
{
	(void)state;
	goes(SETUP_DIAL, 10, SETUP_SEND_OFFER);
	assert_int_equal(setup_step(&s, SETUP_GOT_END, CALL_ALLOWLIST, 11),
	    SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_ALLOWLIST);
	assert_true(s.theirs);
}

/* A hook that hangs is a no. */
static void
test_hook_hangs(void **state)
{
	(void)state;
	goes(SETUP_GOT_OFFER, 10, SETUP_JUDGE_OFFER);
	goes(SETUP_OFFER_GOOD, 100, SETUP_ASK_HOOK);
	assert_int_equal(s.deadline_ms, 100 + HOOK_MS);
	goes(SETUP_CLOCK, 99 + HOOK_MS, 0);
	goes(SETUP_ALLOWED, 100 + HOOK_MS, SETUP_SEND_END | SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_HOOK_FAILED);
}

/* Each step of a callee is as slow as it may be: five seconds are five. */
static void
test_half_open(void **state)
{
	uint64_t t = 10;

	(void)state;
	setup_init(&s, false, UINT32_MAX - 1);
	goes(SETUP_GOT_OFFER, t, SETUP_JUDGE_OFFER);
	assert_int_equal(s.deadline_ms, t + SETUP_STEP_MS);
	goes(SETUP_OFFER_GOOD, t + 1900, SETUP_ASK_HOOK);
	assert_int_equal(s.deadline_ms, t + SETUP_CALLEE_MS);
	goes(SETUP_ALLOWED, t + 3800, SETUP_MAKE_LEAF);
	goes(SETUP_HAS_LEAF, t + 4900, SETUP_SEND_ANSWER);
	assert_int_equal(s.deadline_ms, t + SETUP_CALLEE_MS);
	goes(SETUP_GOT_CONFIRM, t + 4999, SETUP_JUDGE_CONFIRM | SETUP_HOLD);
	goes(SETUP_GOT_CANDIDATES, t + 4999, SETUP_HOLD);
	assert_int_equal(s.deadline_ms, t + SETUP_CALLEE_MS);
	goes(SETUP_CONFIRM_GOOD, t + 5000, SETUP_SEND_SEALED_END | SETUP_CLOSE);
}

/* Messages while a state lasts do not make it last longer. */
static void
test_no_more_time(void **state)
{
	(void)state;
	goes(SETUP_GOT_OFFER, 10, SETUP_JUDGE_OFFER);
	goes(SETUP_OFFER_GOOD, 10, SETUP_ASK_HOOK);
	goes(SETUP_ALLOWED, 10, SETUP_MAKE_LEAF);
	goes(SETUP_HAS_LEAF, 10, SETUP_SEND_ANSWER);
	goes(SETUP_GOT_CONFIRM, 20, SETUP_JUDGE_CONFIRM | SETUP_HOLD);
	goes(SETUP_GOT_CANDIDATES, 1500, SETUP_HOLD);
	assert_int_equal(s.deadline_ms, 20 + SETUP_STEP_MS);
	goes(SETUP_GOT_CANDIDATES, 1500, SETUP_HOLD);
	goes(SETUP_GOT_CANDIDATES, 1500, SETUP_HOLD);
	assert_int_equal(s.held, SETUP_HELD_MAX);
	goes(SETUP_GOT_CANDIDATES, 1500, SETUP_SEND_SEALED_END | SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_PROTOCOL);
}

static void
test_caller_waits(void **state)
{
	(void)state;
	goes(SETUP_DIAL, 10, SETUP_SEND_OFFER);
	assert_int_equal(s.deadline_ms, 10 + SETUP_CALLER_MS);
	goes(SETUP_GOT_RETRY, 9000, SETUP_MAKE_PROOF);
	assert_int_equal(s.deadline_ms, 9000 + SETUP_STEP_MS);
	goes(SETUP_PROOF, 9001, SETUP_SEND_OFFER);
	assert_int_equal(s.deadline_ms, 10 + SETUP_CALLER_MS);
	goes(SETUP_CLOCK, 10 + SETUP_CALLER_MS, SETUP_SEND_END | SETUP_CLOSE);
	assert_int_equal(s.reason, CALL_TIMEOUT);
}

static void
test_names(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < SETUP_STATES; i++)
		assert_non_null(setup_state_name((enum setup_state)i));
	assert_string_equal(setup_state_name(SETUP_STATES), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_order),
		cmocka_unit_test_setup(test_caller, begin_caller),
		cmocka_unit_test_setup(test_retry, begin_caller),
		cmocka_unit_test_setup(test_callee, begin_callee),
		cmocka_unit_test_setup(test_not_admitted, begin_callee),
		cmocka_unit_test_setup(test_their_reason, begin_caller),
		cmocka_unit_test_setup(test_hook_hangs, begin_callee),
		cmocka_unit_test(test_half_open),
		cmocka_unit_test_setup(test_no_more_time, begin_callee),
		cmocka_unit_test_setup(test_caller_waits, begin_caller),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("setup", tests, NULL, NULL);
}
