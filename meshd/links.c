/* SPDX-License-Identifier: ISC */
/*
 * links.c - what meshd and a linkd have to say to each other.
 */
#include <stdio.h>
#include <string.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "meshd/links.h"

void
links_serve(struct conn *c, uint32_t handshake_ms)
{
	struct msg_LINK_SERVE order = { .role = c->role,
		.purpose = c->role == EVIDENCE_CLIENT ? c->purpose : 0,
		.joins = c->role == EVIDENCE_SERVER ? c->joins : 0,
		.handshake_ms = handshake_ms };

	memcpy(order.nonce, c->nonce, sizeof(order.nonce));
	snprintf(order.address, sizeof(order.address), "%s", c->address.text);
	(void)chan_send_LINK_SERVE(c->worker, 0, c->fd, &order);
}

void
links_stop(struct conn *c)
{
	struct msg_LINK_CLOSE order = { 0 };

	(void)chan_send_LINK_CLOSE(c->worker, 0, -1, &order);
}

void
links_on_up(struct chan *worker, struct msg *m)
{
	struct conn *c = conn_with(worker);
	struct msg_LINK_UP up;

	if (!msg_get_LINK_UP(&m->body, &up))
		fatalx("malformed LINK_UP");
	if (c != NULL)
		c->link = up;
	if (c == NULL || !conn_worker_up(c))
		child_violation(worker, m, "up without a connection");
}

void
links_on_down(struct chan *worker, struct msg *m)
{
	struct conn *c = conn_with(worker);
	struct msg_LINK_DOWN down;

	if (!msg_get_LINK_DOWN(&m->body, &down))
		fatalx("malformed LINK_DOWN");
	if (c != NULL) {
		c->alert = down.alert;
		c->by_peer = down.by_peer;
	}
	if (c == NULL || !conn_worker_down(c, down.reason))
		child_violation(worker, m, "down without a connection");
}
