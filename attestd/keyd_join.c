/* SPDX-License-Identifier: ISC */
/*
 * keyd_join.c - JOIN, while this node does not exist yet (claw init --join).
 *
 * clawd brings the ticket's seed before keyd is told to start; a node that
 * runs never gets one, so it signs no JOIN and makes no leaf of a joiner.
 * keyd makes what is signed of its own keys, the registry that it was
 * configured for, and the session: a worker's word counts only for the leaf
 * that keyd made for it. The seed goes with this process, which ends when the
 * joining does.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <errno.h>
#include <string.h>

#include "attestd/keyd.h"
#include "attestd/session.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/ticket.h"

#define SIGNED_MAX 256 /* one for each session */

static struct {
	uint8_t *seed; /* NULL: nobody joins */
	struct netaddr_list at;
	uint32_t session;
	uint8_t leaf[32]; /* of that session */
	unsigned int signatures;
} my;

void
keyd_on_join_begin(struct chan *c, struct msg *m)
{
	struct msg_JOIN_BEGIN begin;

	(void)c;
	if (!msg_get_JOIN_BEGIN(&m->body, &begin) ||
	    netaddr_list_parse(&my.at, begin.addresses) != NULL)
		fatalx("malformed JOIN_BEGIN");
	my.seed = OPENSSL_secure_malloc(TICKET_SEED_LEN);
	if (my.seed == NULL)
		fatalx("out of locked memory");
	memcpy(my.seed, begin.seed, TICKET_SEED_LEN);
	explicit_bzero(&begin, sizeof(begin));
	session_allow_join();
}

void
keyd_join_leaf(uint32_t session, const uint8_t *leaf, size_t len)
{
	if (my.seed == NULL)
		return;
	my.session = session;
	if (EVP_Digest(leaf, len, my.leaf, NULL, EVP_sha256(), NULL) != 1)
		fatalx("SHA-256 failed");
}

static const char *
refused(const struct chan *c, const struct msg_JOIN_SIGN *want)
{
	if (my.seed == NULL)
		return "this node joins nobody";
	if (my.session == 0 || my.session != child_session(c) ||
	    CRYPTO_memcmp(my.leaf, want->own_leaf, sizeof(my.leaf)) != 0)
		return "not of a session that had its leaf from here";
	if (my.signatures >= SIGNED_MAX)
		return "it has been asked for too often";
	return NULL;
}

void
keyd_on_join_sign(struct chan *c, struct msg *m)
{
	uint8_t body[JOIN_BODY_MAX];
	struct msg_JOIN_SIGNED done = { .join = body };
	struct join_binding b;
	struct msg_JOIN_SIGN want;
	const char *why;
	ssize_t n;

	if (!msg_get_JOIN_SIGN(&m->body, &want))
		fatalx("malformed JOIN_SIGN");
	why = refused(c, &want);
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	memcpy(b.exporter, want.exporter, sizeof(b.exporter));
	memcpy(b.genesis, keyd.node.genesis, sizeof(b.genesis));
	memcpy(b.client_leaf, want.own_leaf, sizeof(b.client_leaf));
	memcpy(b.server_leaf, want.peer_leaf, sizeof(b.server_leaf));
	n = statement_join(&keyd.node, &my.at, my.seed, &b, body, sizeof(body));
	if (n < 0) {
		keyd_refuse(c, m, EIO, "the request could not be signed");
		return;
	}
	my.signatures++;
	counter_add(COUNTER_SIGNATURES, 2);
	done.join_len = (uint16_t)n;
	(void)chan_send_JOIN_SIGNED(c, m->id, -1, &done);
}

void
keyd_on_request_sign(struct chan *c, struct msg *m)
{
	struct msg_REQUEST_SIGNED done;
	struct msg_REQUEST_SIGN want;
	struct netaddr_list at;

	if (!msg_get_REQUEST_SIGN(&m->body, &want) ||
	    netaddr_list_parse(&at, want.addresses) != NULL)
		fatalx("malformed REQUEST_SIGN");
	if (statement_request(want.node, &at, done.signature) != 0) {
		keyd_refuse(c, m, EINVAL, "there are no keys, or no such name");
		return;
	}
	counter_add(COUNTER_SIGNATURES, 1);
	(void)chan_send_REQUEST_SIGNED(c, m->id, -1, &done);
}
