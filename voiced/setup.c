/* SPDX-License-Identifier: ISC */
/*
 * setup.c - the set-up of one call, as a state machine.
 *
 * One table says what goes on; what ends a call is the same in every state and
 * stands below it. doc/model/call.pml shows why each step waits for the one
 * before.
 */
#include <stddef.h>

#include "voiced/setup.h"

static const struct step {
	enum setup_state state;
	enum setup_event event;
	enum setup_state next;
	uint32_t actions;
} steps[] = {
	{ SETUP_CALLER, SETUP_DIAL, SETUP_OFFERED, SETUP_SEND_OFFER },
	{ SETUP_OFFERED, SETUP_GOT_RETRY, SETUP_PROVING, SETUP_MAKE_PROOF },
	{ SETUP_PROVING, SETUP_PROOF, SETUP_REOFFERED, SETUP_SEND_OFFER },
	{ SETUP_OFFERED, SETUP_GOT_ANSWER, SETUP_ANSWER, SETUP_JUDGE_ANSWER },
	{ SETUP_REOFFERED, SETUP_GOT_ANSWER, SETUP_ANSWER, SETUP_JUDGE_ANSWER },
	{ SETUP_ANSWER, SETUP_ANSWER_GOOD, SETUP_LEAF, SETUP_MAKE_LEAF },
	{ SETUP_LEAF, SETUP_HAS_LEAF, SETUP_FLIGHT, SETUP_FEED },
	{ SETUP_FLIGHT, SETUP_FINISHED, SETUP_CONFIRMED, SETUP_SEND_CONFIRM },
	{ SETUP_CONFIRMED, SETUP_GATHERED, SETUP_CONFIRMED,
	    SETUP_SEND_CANDIDATES },
	{ SETUP_CONFIRMED, SETUP_GOT_CANDIDATES, SETUP_UP,
	    SETUP_TAKE | SETUP_MEDIA },

	{ SETUP_CALLEE, SETUP_GOT_OFFER, SETUP_OFFER, SETUP_JUDGE_OFFER },
	{ SETUP_OFFER, SETUP_OFFER_GOOD, SETUP_HOOK, SETUP_ASK_HOOK },
	/* No END: the caller keeps its call, or the first copy's goes on. */
	{ SETUP_OFFER, SETUP_CROWDED, SETUP_OVER,
	    SETUP_SEND_RETRY | SETUP_CLOSE },
	{ SETUP_OFFER, SETUP_SEEN, SETUP_OVER, SETUP_CLOSE },
	{ SETUP_HOOK, SETUP_ALLOWED, SETUP_CALLEE_LEAF, SETUP_MAKE_LEAF },
	{ SETUP_CALLEE_LEAF, SETUP_HAS_LEAF, SETUP_ANSWERED,
	    SETUP_SEND_ANSWER },
	{ SETUP_ANSWERED, SETUP_GOT_CONFIRM, SETUP_CONFIRM,
	    SETUP_JUDGE_CONFIRM | SETUP_HOLD },
	{ SETUP_CONFIRM, SETUP_CONFIRM_GOOD, SETUP_FINISH, SETUP_FEED },
	{ SETUP_CONFIRM, SETUP_GOT_CANDIDATES, SETUP_CONFIRM, SETUP_HOLD },
	{ SETUP_FINISH, SETUP_GOT_CANDIDATES, SETUP_FINISH, SETUP_HOLD },
	{ SETUP_FINISH, SETUP_FINISHED, SETUP_UP,
	    SETUP_TAKE | SETUP_SEND_CANDIDATES | SETUP_MEDIA },

	{ SETUP_UP, SETUP_GATHERED, SETUP_UP, SETUP_SEND_CANDIDATES },
	{ SETUP_UP, SETUP_GOT_CANDIDATES, SETUP_UP, SETUP_TAKE },
	{ SETUP_UP, SETUP_RESTARTING, SETUP_UP, SETUP_SEND_RESTART },
	{ SETUP_UP, SETUP_GOT_RESTART, SETUP_UP, SETUP_RESTART },
};

/* How the other end is told that it is over, so that it believes it. */
enum told {
	NOTHING, /* it knows of no call */
	CLEAR,
	SEALED
};

/*
 * Of each state: how long it may last, why it is over then, how we end it, and
 * whether an END in clear ends it.
 */
static const struct state {
	const char *name;
	uint32_t limit_ms; /* UINT32_MAX: that of the set-up alone */
	enum call_reason late;
	enum told end;
	bool hears_clear;
} states[SETUP_STATES] = {
#define OURS SETUP_STEP_MS, CALL_FAULT
#define THEIRS UINT32_MAX, CALL_TIMEOUT
	[SETUP_CALLER] = { "caller", THEIRS, NOTHING, true },
	[SETUP_OFFERED] = { "offered", THEIRS, CLEAR, true },
	[SETUP_PROVING] = { "proving", OURS, CLEAR, true },
	[SETUP_REOFFERED] = { "offered again", THEIRS, CLEAR, true },
	[SETUP_ANSWER] = { "judging the answer", OURS, CLEAR, true },
	[SETUP_LEAF] = { "leaf of the caller", OURS, CLEAR, false },
	[SETUP_FLIGHT] = { "DTLS of the caller", OURS, CLEAR, false },
	[SETUP_CONFIRMED] = { "confirmed", THEIRS, SEALED, false },
	[SETUP_CALLEE] = { "callee", THEIRS, NOTHING, true },
	[SETUP_OFFER] = { "judging the offer", OURS, CLEAR, true },
	[SETUP_HOOK] = { "asking the hook", 0, CALL_HOOK_FAILED, CLEAR, true },
	[SETUP_CALLEE_LEAF] = { "leaf of the callee", OURS, CLEAR, true },
	[SETUP_ANSWERED] = { "answered", THEIRS, SEALED, true },
	[SETUP_CONFIRM] = { "judging the caller", OURS, SEALED, false },
	[SETUP_FINISH] = { "DTLS of the callee", OURS, SEALED, false },
	[SETUP_UP] = { "up", THEIRS, SEALED, false },
	[SETUP_OVER] = { "over", THEIRS, NOTHING, false },
#undef OURS
#undef THEIRS
};

void
setup_init(struct setup *s, bool caller, uint32_t hook_ms)
{
	*s = (struct setup){ .state = caller ? SETUP_CALLER : SETUP_CALLEE,
		.end_ms = UINT64_MAX,
		.deadline_ms = UINT64_MAX,
		.hook_ms = hook_ms };
}

static void
enter(struct setup *s, enum setup_state next, uint64_t now_ms)
{
	uint32_t limit = states[next].limit_ms;

	if (s->state == SETUP_CALLER)
		s->end_ms = now_ms + SETUP_CALLER_MS;
	if (s->state == SETUP_CALLEE)
		s->end_ms = now_ms + SETUP_CALLEE_MS;
	if (next == SETUP_UP || next == SETUP_OVER)
		s->end_ms = UINT64_MAX;
	if (next == SETUP_HOOK)
		limit = s->hook_ms;
	/* What comes while a state lasts gives it no more time. */
	if (next != s->state) {
		s->deadline_ms = s->end_ms;
		if (limit != UINT32_MAX && now_ms + limit < s->end_ms)
			s->deadline_ms = now_ms + limit;
	}
	s->state = next;
}

static uint32_t
over(struct setup *s, enum call_reason reason, bool theirs)
{
	static const uint32_t end[] = { [NOTHING] = 0,
		[CLEAR] = SETUP_SEND_END,
		[SEALED] = SETUP_SEND_SEALED_END };
	uint32_t actions = theirs ? 0 : end[states[s->state].end];

	s->reason = reason;
	s->theirs = theirs;
	enter(s, SETUP_OVER, 0);
	return actions | SETUP_CLOSE;
}

/* What no step of the table is for. */
static uint32_t
otherwise(struct setup *s, enum setup_event event, enum call_reason reason)
{
	bool hears = states[s->state].hears_clear;

	switch (event) {
	case SETUP_REFUSED:
		return over(s, reason, false);
	case SETUP_HANGUP:
		return over(s, CALL_HANGUP, false);
	case SETUP_GOT_SEALED:
		return over(s, reason, true);
	case SETUP_GOT_END:
		return hears ? over(s, reason, true) : 0;
	/* Nobody but the other end can have sent these, and just once. */
	case SETUP_GOT_CONFIRM:
	case SETUP_GOT_CANDIDATES:
	case SETUP_GOT_RESTART:
		return over(s, CALL_PROTOCOL, false);
	/* A copy, or an answer to a question of before. */
	default:
		return 0;
	}
}

uint32_t
setup_step(struct setup *s, enum setup_event event, enum call_reason reason,
    uint64_t now_ms)
{
	const struct step *p;

	if (s->state == SETUP_OVER)
		return 0;
	if (now_ms >= s->deadline_ms)
		return over(s, states[s->state].late, false);
	for (p = steps; p < steps + sizeof(steps) / sizeof(steps[0]); p++)
		if (p->state == s->state && p->event == event)
			break;
	if (p == steps + sizeof(steps) / sizeof(steps[0]))
		return otherwise(s, event, reason);
	if ((p->actions & SETUP_HOLD) != 0 && s->held++ == SETUP_HELD_MAX)
		return over(s, CALL_PROTOCOL, false);
	if (p->next == SETUP_OVER)
		s->reason = event == SETUP_SEEN ? CALL_REPLAY : CALL_BUSY;
	enter(s, p->next, now_ms);
	return p->actions;
}

const char *
setup_state_name(enum setup_state state)
{
	return state < SETUP_STATES ? states[state].name : "?";
}
