/* SPDX-License-Identifier: ISC */
/*
 * keyd_session.c - leaf certificates, for the one session of a channel.
 *
 * A worker brings the key that it made and the challenge that its peer sent;
 * everything else in the leaf is keyd's to fill in (session.h, statement.h).
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "attestd/keyd.h"
#include "attestd/permit.h"
#include "attestd/session.h"
#include "common/capability.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"

static uint64_t
boot_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec;
}

void
keyd_on_session_role(struct chan *c, struct msg *m)
{
	struct msg_SESSION_SET done = { 0 };
	struct msg_SESSION_ROLE role;
	const char *why;

	if (!msg_get_SESSION_ROLE(&m->body, &role))
		fatalx("malformed SESSION_ROLE");
	why = session_role(&role, chan_peer(c));
	if (why != NULL)
		keyd_refuse(c, m, EPERM, why);
	else
		(void)chan_send_SESSION_SET(c, m->id, -1, &done);
}

void
keyd_on_session_peer(struct chan *c, struct msg *m)
{
	struct msg_SESSION_PEER peer;

	(void)c;
	if (!msg_get_SESSION_PEER(&m->body, &peer))
		fatalx("malformed SESSION_PEER");
	session_peer(&peer);
}

void
keyd_on_leaf(struct chan *c, struct msg *m)
{
	const struct follow_state *registry = &keyd.follow.now;
	struct evidence ev = { .seq = registry->seq };
	uint8_t leaf[EVIDENCE_CERT_MAX];
	struct msg_LEAF_ISSUED done;
	struct msg_LEAF want;
	const char *why;
	ssize_t n;

	if (!msg_get_LEAF(&m->body, &want))
		fatalx("malformed LEAF");
	if (!keyd.ready) {
		keyd_refuse(c, m, EAGAIN, "the registry is not known yet");
		return;
	}
	if (!session_is_for(child_session(c), chan_peer(c))) {
		keyd_refuse(c, m, EPERM, "another broker's session");
		return;
	}
	why = session_leaf(child_session(c), want.purpose,
	    permit_invites(boot_s()), boot_s(), &ev);
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	memcpy(ev.verifier_nonce, want.verifier, sizeof(ev.verifier_nonce));
	memcpy(ev.prover_nonce, want.prover, sizeof(ev.prover_nonce));
	memcpy(ev.spki, want.spki, sizeof(ev.spki));
	memcpy(ev.head, registry->head, sizeof(ev.head));
	if (capability_digest(keyd_capabilities(), ev.caps) != 0)
		fatalx("SHA-256 failed");
	n = statement_leaf(&keyd.node, &ev, leaf, sizeof(leaf));
	if (n < 0) {
		keyd_refuse(c, m, EINVAL, "that is no key for a leaf");
		return;
	}
	counter_add(COUNTER_LEAVES, 1);
	counter_add(COUNTER_SIGNATURES, 1);
	keyd_join_leaf(child_session(c), leaf, (size_t)n);
	done.leaf = leaf;
	done.leaf_len = (uint16_t)n;
	(void)chan_send_LEAF_ISSUED(c, m->id, -1, &done);
}
