/* SPDX-License-Identifier: ISC */
/*
 * pull.c - lines of the registry over a link, in both directions.
 *
 * Lines verify themselves, so nothing of them is looked at here: what a peer
 * sends is offered to attestd, what a peer asks for comes from attestd. One
 * pull is under way at a time, first the chain from our head on, then the
 * rotations of nodes' keys. Lines that do not follow from ours are asked for
 * from further back: attestd is to see where two histories part.
 */
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "linkd/link.h"
#include "linkd/pull.h"

#define ANSWER_S 10
/* Answers to a peer follow each other no sooner. */
#define SERVE_MS 20
#define ROUNDS_MAX 65536
#define ASKERS_MAX 16
/* A peer whose lines were of no use is not pulled from by itself so soon. */
#define USELESS_S 30

static const uint64_t steps_back[] = { 64, 4096, UINT64_MAX };
#define STEPS_BACK (sizeof(steps_back) / sizeof(steps_back[0]))

static struct {
	/* Ours of the peer. */
	bool active, waiting; /* for LINES */
	uint8_t rotations;
	uint8_t more;
	uint64_t from, next;
	uint64_t rotations_from; /* where the last pull ended */
	uint32_t taken;
	unsigned int rounds, back;
	char why[LINK_REASON_SIZE];
	bool useless; /* its chain has nothing for us */
	struct event *answer;
	uint64_t not_before_us;
	uint64_t peer_seq; /* the most it said it has */
	/* Of its rotations: what it said last, and when we pulled them. */
	uint8_t peer_turns[32], pulled_turns[32];
	struct {
		struct chan *chan;
		uint32_t id;
	} asker[ASKERS_MAX];
	size_t askers;
	/* The peer's of us. */
	bool serving;
	struct frame wanted;
	struct event *serve;
	uint64_t served_us;
} pl;

static void finish(void);

static void
on_no_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	link_close(BYE_SILENT, "peer sent no LINES within %d s", ANSWER_S);
}

static void
ask_peer(void)
{
	struct frame f = { .type = FRAME_PULL,
		.rotations = pl.rotations,
		.from = pl.from };
	struct timeval tv = { ANSWER_S, 0 };

	if (pl.answer == NULL &&
	    (pl.answer = evtimer_new(child_base(), on_no_answer, NULL)) == NULL)
		fatalx("out of memory");
	pl.waiting = true;
	evtimer_add(pl.answer, &tv);
	link_send(&f);
}

static void
begin(uint8_t rotations, uint64_t from)
{
	pl.active = true;
	pl.rotations = rotations;
	pl.from = from;
	memcpy(pl.pulled_turns, pl.peer_turns, sizeof(pl.pulled_turns));
	pl.taken = 0;
	pl.rounds = 0;
	pl.back = 0;
	pl.why[0] = '\0';
	pl.useless = false;
	ask_peer();
}

/* The chain is through, or the rotations. */
static void
next_part(void)
{
	if (pl.rotations == 1) {
		/* Some may follow from what we did not have: all, next time. */
		pl.rotations_from = pl.why[0] == '\0' ? pl.next : 0;
		finish();
		return;
	}
	pl.useless = pl.taken == 0 && pl.why[0] != '\0';
	pl.rotations = 1;
	pl.from = pl.rotations_from;
	ask_peer();
}

/* Other rotations than ours, and than those it had when we asked. */
static bool
has_turns(void)
{
	static const uint8_t none[32];

	return memcmp(pl.peer_turns, none, sizeof(none)) != 0 &&
	    memcmp(pl.peer_turns, link_own_turns(), 32) != 0 &&
	    memcmp(pl.peer_turns, pl.pulled_turns, 32) != 0;
}

static void
finish(void)
{
	struct msg_LINK_PULLED done = { .taken = pl.taken };
	size_t i;

	pl.active = false;
	if (pl.useless || (pl.rotations == 0 && pl.why[0] != '\0'))
		pl.not_before_us = link_now_us() + USELESS_S * 1000000;
	snprintf(done.why, sizeof(done.why), "%s", pl.why);
	for (i = 0; i < pl.askers; i++)
		(void)chan_send_LINK_PULLED(pl.asker[i].chan, pl.asker[i].id,
		    -1, &done);
	pl.askers = 0;
	if (pl.peer_seq > link_own_seq() && pl.taken > 0 && pl.why[0] == '\0')
		begin(0, link_own_seq() + 1);
	else if (has_turns())
		begin(1, pl.rotations_from);
}

/* None of the lines was taken: they may follow from something before. */
static bool
step_back(void)
{
	uint64_t step;

	if (pl.rotations != 0 || pl.back == STEPS_BACK || pl.from == 0)
		return false;
	step = steps_back[pl.back++];
	pl.from = pl.from > step ? pl.from - step : 0;
	return true;
}

static void
on_taken(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_TAKEN t = { .why = "attestd is gone" };
	struct msg_REFUSED no;

	(void)c;
	(void)arg;
	if (!link_is_up())
		return;
	if (m != NULL && m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		snprintf(t.why, sizeof(t.why), "%.250s", no.text);
	} else if (m != NULL) {
		if (!msg_get_REGISTRY_TAKEN(&m->body, &t))
			fatalx("malformed REGISTRY_TAKEN");
		link_own_head(t.seq, t.head, t.turns);
	}
	pl.taken += t.taken;
	if (t.why[0] != '\0') {
		snprintf(pl.why, sizeof(pl.why), "%s", t.why);
		if (m != NULL && t.taken == 0 && step_back()) {
			ask_peer();
			return;
		}
	} else if (pl.rotations == 0)
		pl.why[0] = '\0';
	/* One rotation that does not fit says nothing of the others. */
	if (pl.more && m != NULL && (t.why[0] == '\0' || pl.rotations != 0) &&
	    ++pl.rounds < ROUNDS_MAX) {
		pl.from = pl.next;
		ask_peer();
	} else
		next_part();
}

void
pull_on_lines(const struct frame *f)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_REGISTRY_OFFER offer = { .rotations = f->rotations,
		.lines = f->data,
		.lines_len = (uint16_t)f->len };

	if (!pl.waiting || f->rotations != pl.rotations || f->from < pl.from ||
	    (f->more && f->from == pl.from)) {
		link_close(BYE_PROTOCOL,
		    pl.waiting ? "peer sent LINES that were not asked for" :
				 "peer sent LINES unasked");
		return;
	}
	pl.waiting = false;
	evtimer_del(pl.answer);
	pl.more = f->more;
	pl.next = f->from;
	if (f->len == 0)
		next_part();
	else if (attestd == NULL) {
		snprintf(pl.why, sizeof(pl.why), "attestd is gone");
		finish();
	} else
		(void)chan_send_REGISTRY_OFFER(attestd,
		    chan_ask(attestd, MSG_REGISTRY_OFFER, on_taken, NULL), -1,
		    &offer);
}

void
pull_if_newer(uint64_t seq, const uint8_t *turns)
{
	if (seq > pl.peer_seq)
		pl.peer_seq = seq;
	if (turns != NULL)
		memcpy(pl.peer_turns, turns, sizeof(pl.peer_turns));
	if (pl.active)
		return;
	if (seq > link_own_seq() && link_now_us() >= pl.not_before_us)
		begin(0, link_own_seq() + 1);
	else if (has_turns())
		begin(1, pl.rotations_from);
}

void
pull_on_request(struct chan *c, struct msg *m)
{
	if (!link_is_up() || pl.askers == ASKERS_MAX) {
		chan_refuse(c, m, EAGAIN, true, "the link is not up");
		return;
	}
	pl.asker[pl.askers].chan = c;
	pl.asker[pl.askers++].id = m->id;
	if (!pl.active)
		begin(0, link_own_seq() + 1);
}

/* The peer's of us. */

static void
on_read(struct chan *c, struct msg *m, void *arg)
{
	struct frame f = { .type = FRAME_LINES,
		.rotations = pl.wanted.rotations,
		.from = pl.wanted.from };
	struct msg_REGISTRY_LINES lines;

	(void)c;
	(void)arg;
	pl.serving = false;
	if (!link_is_up())
		return;
	/* Without attestd, or refused: there are no lines now. */
	if (m != NULL && m->type != MSG_REFUSED) {
		if (!msg_get_REGISTRY_LINES(&m->body, &lines))
			fatalx("malformed REGISTRY_LINES");
		f.more = lines.more != 0;
		f.from = lines.next;
		f.data = lines.lines;
		f.len = lines.lines_len;
	}
	link_send(&f);
}

static void
on_serve(evutil_socket_t fd, short what, void *arg)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_REGISTRY_READ ask = { .rotations = pl.wanted.rotations,
		.from = pl.wanted.from };

	(void)fd;
	(void)what;
	(void)arg;
	if (!link_is_up())
		return;
	pl.served_us = link_now_us();
	if (attestd == NULL)
		on_read(NULL, NULL, NULL);
	else
		(void)chan_send_REGISTRY_READ(attestd,
		    chan_ask(attestd, MSG_REGISTRY_READ, on_read, NULL), -1,
		    &ask);
}

void
pull_on_pull(const struct frame *f)
{
	uint64_t since = link_now_us() - pl.served_us;
	struct timeval tv = { 0, 0 };

	if (pl.serving) {
		link_close(BYE_PROTOCOL, "peer sent PULL twice at a time");
		return;
	}
	if (pl.serve == NULL &&
	    (pl.serve = evtimer_new(child_base(), on_serve, NULL)) == NULL)
		fatalx("out of memory");
	pl.serving = true;
	pl.wanted = *f;
	if (since < SERVE_MS * 1000)
		tv.tv_usec = (suseconds_t)(SERVE_MS * 1000 - since);
	evtimer_add(pl.serve, &tv);
}
