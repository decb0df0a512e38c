/* SPDX-License-Identifier: ISC */
/*
 * join.c - a node that wants to be one of us, on a link of claw-join/1.
 *
 * The inviter's end; the joiner's is joiner.c.
 * JOIN goes to attestd unread, with what ties it to this session; JOINED is
 * what attestd said. Who was added may pull the registry.
 */
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "linkd/join.h"
#include "linkd/link.h"

#define STATUS_ADDED 0
#define STATUS_WAITS 1
#define STATUS_REFUSED 2

static struct {
	bool asked;
	bool done;
	bool ticket; /* the peer has shown it */
} join;

/* A peer's frames hold printable ASCII. */
static void
answer(uint8_t status, uint64_t seq, const char *text)
{
	struct frame f = { .type = FRAME_JOINED, .code = status, .seq = seq };
	size_t i;

	for (i = 0; text[i] != '\0' && i < FRAME_TEXT_MAX; i++)
		f.text[i] = text[i] >= 0x20 && text[i] <= 0x7e ? text[i] : '?';
	link_send(&f);
}

/* attestd has gone, or is another one: in a new session it may know more. */
static void
again(const char *text)
{
	answer(STATUS_WAITS, 0, text);
	link_close(BYE_ERROR, "%s", text);
}

static void
on_answer(struct chan *c, struct msg *m, void *arg)
{
	struct msg_JOIN_ANSWER done;
	struct msg_REFUSED no;

	(void)c;
	(void)arg;
	join.asked = false;
	if (!link_is_up())
		return;
	if (m == NULL) {
		again("the inviter cannot answer now");
		return;
	}
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		if (no.retry)
			again(no.text);
		else {
			answer(STATUS_REFUSED, 0, no.text);
			link_close(BYE_REFUSED, "did not join: %.200s",
			    no.text);
		}
		return;
	}
	if (!msg_get_JOIN_ANSWER(&m->body, &done))
		fatalx("malformed JOIN_ANSWER");
	join.done = done.status == STATUS_ADDED;
	join.ticket = done.status != STATUS_REFUSED;
	answer(done.status, done.seq, done.text);
	if (!join.ticket)
		link_close(BYE_REFUSED, "did not join: %.200s", done.text);
}

void
join_on_join(const struct frame *f)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_JOIN_ASK ask = { .join = f->data,
		.join_len = (uint16_t)f->len };

	if (join.asked) {
		link_close(BYE_PROTOCOL, "peer sent JOIN twice at a time");
		return;
	}
	if (attestd == NULL ||
	    !link_binding(ask.exporter, ask.own_leaf, ask.peer_leaf)) {
		again("the inviter cannot answer now");
		return;
	}
	join.asked = true;
	(void)chan_send_JOIN_ASK(attestd,
	    chan_ask(attestd, MSG_JOIN_ASK, on_answer, NULL), -1, &ask);
}

bool
join_is_done(void)
{
	return join.done;
}

bool
join_has_ticket(void)
{
	return join.ticket;
}
