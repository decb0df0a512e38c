/* SPDX-License-Identifier: ISC */
/*
 * joiner.c - this node asks to be added, on a link of claw-join/1.
 *
 * It is the client's end, and there is only one while a node is made: keyd
 * signs no JOIN for a node that runs. JOIN is signed once for this session
 * and sent as often as the inviter says that it has to wait.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "linkd/joiner.h"
#include "linkd/link.h"

/* The inviter records and signs before it answers. */
#define ANSWER_S 20

static struct {
	uint8_t body[FRAME_JOIN_MAX];
	size_t len; /* 0: not signed yet */
	bool asked;
	uint32_t request;
	struct event *answer;
} jn;

static void
on_no_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	link_close(BYE_SILENT, "the inviter did not answer within %d s",
	    ANSWER_S);
}

static void
send_join(void)
{
	struct frame f = { .type = FRAME_JOIN, .data = jn.body, .len = jn.len };
	struct timeval tv = { ANSWER_S, 0 };

	if (jn.answer == NULL &&
	    (jn.answer = evtimer_new(child_base(), on_no_answer, NULL)) == NULL)
		fatalx("out of memory");
	evtimer_add(jn.answer, &tv);
	link_send(&f);
}

static void
on_signed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REFUSED no = { .text = "it is gone" };
	struct msg_JOIN_SIGNED done;

	(void)c;
	(void)arg;
	if (!link_is_up())
		return;
	if (m == NULL || m->type == MSG_REFUSED) {
		if (m != NULL && !msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		link_close(BYE_ERROR, "no JOIN from keyd: %.200s", no.text);
		return;
	}
	if (!msg_get_JOIN_SIGNED(&m->body, &done) || done.join_len == 0 ||
	    done.join_len > sizeof(jn.body))
		fatalx("malformed JOIN_SIGNED");
	memcpy(jn.body, done.join, done.join_len);
	jn.len = done.join_len;
	send_join();
}

void
joiner_on_request(struct chan *c, struct msg *m)
{
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_JOIN_SIGN ask;

	if (jn.asked || !link_is_up() || link_role() != EVIDENCE_CLIENT ||
	    link_purpose() != EVIDENCE_JOIN || keyd == NULL ||
	    !link_binding(ask.exporter, ask.own_leaf, ask.peer_leaf)) {
		chan_refuse(c, m, EINVAL, false, "nobody joins on this link");
		return;
	}
	jn.asked = true;
	jn.request = m->id;
	if (jn.len > 0)
		send_join();
	else
		(void)chan_send_JOIN_SIGN(keyd,
		    chan_ask(keyd, MSG_JOIN_SIGN, on_signed, NULL), -1, &ask);
}

void
joiner_on_joined(const struct frame *f)
{
	struct msg_LINK_JOINED done = { .status = f->code, .seq = f->seq };

	if (!jn.asked || jn.len == 0) {
		link_close(BYE_PROTOCOL,
		    "peer sent JOINED to who asked nothing");
		return;
	}
	jn.asked = false;
	evtimer_del(jn.answer);
	snprintf(done.text, sizeof(done.text), "%s", f->text);
	if (child_peer(PROC_MESHD) != NULL)
		(void)chan_send_LINK_JOINED(child_peer(PROC_MESHD), jn.request,
		    -1, &done);
}
