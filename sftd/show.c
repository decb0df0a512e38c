/* SPDX-License-Identifier: ISC */
/*
 * show.c - what operators ask and order.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/log.h"
#include "sftd/incoming.h"
#include "sftd/outgoing.h"
#include "sftd/show.h"
#include "sftd/store.h"

enum order { PAUSE = 1, RESUME = 2, CANCEL = 3 };

void
show_on_show(struct chan *c, struct msg *m)
{
	const struct transfer *t, *this = NULL;
	struct msg_FILE out = { 0 };
	struct msg_FILE_SHOW ask;

	if (!msg_get_FILE_SHOW(&m->body, &ask))
		fatalx("malformed FILE_SHOW");
	TAILQ_FOREACH(t, transfer_all(), entry)
		if (out.count++ == ask.index)
			this = t;
	if ((t = this) != NULL) {
		transfer_id(t, out.id);
		out.number = t->number;
		out.receives = t->receives;
		out.state = (uint8_t)t->state;
		snprintf(out.peer, sizeof(out.peer), "%s", t->what.peer);
		out.name = t->what.offer.name;
		out.name_len = t->what.offer.name_len;
		out.size = t->what.offer.size;
		out.durable = t->durable;
		out.resent = t->resent;
		out.same = t->same;
		out.wire = t->wire;
		out.streams = t->what.offer.streams;
		snprintf(out.congestion, sizeof(out.congestion), "%s",
		    t->congestion);
		out.started_ms = t->started_ms;
		out.ended_ms = t->ended_ms;
		memcpy(out.root, t->root, sizeof(out.root));
		snprintf(out.text, sizeof(out.text), "%s", t->text);
	}
	(void)chan_send_FILE(c, m->id, -1, &out);
}

void
show_on_order(struct chan *c, struct msg *m)
{
	static const char *const done[] = {
		[PAUSE] = "it cannot be paused: it does not move",
		[RESUME] = "it cannot go on: it was not paused, or is still "
			   "stopping, or its source is gone; send it again",
		[CANCEL] = "it cannot be cancelled: it has ended",
	};
	struct msg_FILE_ORDER order;
	struct msg_FILE_DONE ok = { 0 };
	struct transfer *t;
	bool could;

	if (!msg_get_FILE_ORDER(&m->body, &order))
		fatalx("malformed FILE_ORDER");
	if (order.order < PAUSE || order.order > CANCEL) {
		child_violation(c, m, "no order that there is");
		return;
	}
	if ((t = transfer_with(order.id)) == NULL) {
		chan_refuse(c, m, ENOENT, false, "there is no such transfer");
		return;
	}
	if (order.order == PAUSE)
		could = t->receives ?
		    incoming_pause(t) :
		    outgoing_pause(t, "an operator has paused it");
	else if (order.order == RESUME)
		could = t->receives ? incoming_resume(t) : outgoing_resume(t);
	else
		could = t->receives ? incoming_cancel(t) : outgoing_cancel(t);
	if (could)
		(void)chan_send_FILE_DONE(c, m->id, -1, &ok);
	else
		chan_refuse(c, m, EBUSY, false, "%s", done[order.order]);
}

void
show_on_receipt(struct chan *c, struct msg *m)
{
	struct msg_FILE_RECEIPT_IS is = { 0 };
	struct msg_FILE_RECEIPT ask;
	const struct transfer *t;
	char text[8192];
	ssize_t n;

	if (!msg_get_FILE_RECEIPT(&m->body, &ask))
		fatalx("malformed FILE_RECEIPT");
	t = transfer_with(ask.id);
	n = store_receipt_text(t != NULL ? t->what.id : ask.id, text,
	    sizeof(text));
	if (n < 0) {
		chan_refuse(c, m, ENOENT, false, "%s",
		    n == -ENOENT ? "there is no receipt of that transfer" :
				   strerror((int)-n));
		return;
	}
	is.receipt = (const uint8_t *)text;
	is.receipt_len = (uint16_t)n;
	(void)chan_send_FILE_RECEIPT_IS(c, m->id, -1, &is);
}
