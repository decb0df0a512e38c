/* SPDX-License-Identifier: ISC */
/*
 * keyd_transfer.c - seals and receipts of file transfers.
 *
 * sftd names a session, and what was sent in it. Who the two nodes are, when
 * it is and under which state of the registry is filled in here, and a session
 * has one such word (session.h): a sender's seal, or a receiver's receipt for
 * a seal that its peer made for us.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attestd/keyd.h"
#include "attestd/session.h"
#include "attestd/statement.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/receipt.h"

void
keyd_on_seal(struct chan *c, struct msg *m)
{
	struct receipt_seal seal = { .size = 0 };
	uint8_t out[RECEIPT_SEAL_MAX];
	struct msg_SEALED done;
	struct msg_SEAL want;
	const char *peer, *why;
	ssize_t n;

	if (!msg_get_SEAL(&m->body, &want))
		fatalx("malformed SEAL");
	why = !keyd.ready ?
	    "the registry is not known yet" :
	    session_transfer(want.session, EVIDENCE_CLIENT, &peer);
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	memcpy(seal.id, want.id, sizeof(seal.id));
	memcpy(seal.offer, want.offer, sizeof(seal.offer));
	memcpy(seal.root, want.root, sizeof(seal.root));
	seal.size = want.size;
	snprintf(seal.receiver, sizeof(seal.receiver), "%s", peer);
	seal.sender.seq = keyd.follow.now.seq;
	memcpy(seal.sender.head, keyd.follow.now.head,
	    sizeof(seal.sender.head));
	n = statement_seal(&keyd.node, &seal, out, sizeof(out));
	if (n < 0) {
		keyd_refuse(c, m, EINVAL, "that cannot be sealed");
		return;
	}
	session_said(want.session);
	counter_add(COUNTER_SIGNATURES, 1);
	done.seal = out;
	done.seal_len = (uint16_t)n;
	(void)chan_send_SEALED(c, m->id, -1, &done);
}

void
keyd_on_receipt(struct chan *c, struct msg *m)
{
	struct receipt r = { .receiver = { .seq = keyd.follow.now.seq } };
	uint8_t out[RECEIPT_MAX];
	struct msg_RECEIPTED done;
	struct msg_RECEIPT want;
	const char *peer, *why;
	ssize_t n;

	if (!msg_get_RECEIPT(&m->body, &want))
		fatalx("malformed RECEIPT");
	why = !keyd.ready ?
	    "the registry is not known yet" :
	    session_transfer(want.session, EVIDENCE_SERVER, &peer);
	/* Its signature is sftd's to check, who knows the peer's key. */
	if (why == NULL &&
	    receipt_seal_parse(want.seal, want.seal_len, &r.seal) != 0)
		why = "that is no seal";
	if (why == NULL &&
	    (strcmp(r.seal.sender.name, peer) != 0 ||
		strcmp(r.seal.receiver, keyd.node.name) != 0))
		why = "the seal is not from this session's peer to us";
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	memcpy(r.receiver.head, keyd.follow.now.head, sizeof(r.receiver.head));
	n = statement_receipt(&r, out, sizeof(out));
	if (n < 0) {
		keyd_refuse(c, m, EINVAL, "no receipt can be made of that");
		return;
	}
	session_said(want.session);
	counter_add(COUNTER_SIGNATURES, 1);
	done.receipt = out;
	done.receipt_len = (uint16_t)n;
	(void)chan_send_RECEIPTED(c, m->id, -1, &done);
}
