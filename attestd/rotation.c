/* SPDX-License-Identifier: ISC */
/*
 * rotation.c - this node's own rotation, and what the registry says that its
 * keys are.
 *
 * controld asks for the place, has keyd sign the rotation, and brings it. A
 * line that is brought by anybody but who asked for the place last is not
 * taken: two orders at a time cannot make two rotations with one number.
 */
#include <errno.h>
#include <string.h>

#include "attestd/attestd.h"
#include "common/child.h"
#include "common/log.h"

static const struct chan *place; /* who has it */
static bool revealing;		 /* keyd was asked */

static const struct registry_node *
self(void)
{
	const struct registry_node *n =
	    registry_node(attestd.registry, attestd.node);

	return n != NULL && !n->revoked ? n : NULL;
}

void
rotation_self(void)
{
	const struct registry_node *n = self();

	/* keyd had the keys before when it was asked; it hears of it, too. */
	if (n != NULL && n->has_previous &&
	    memcmp(n->previous, attestd.identity, 32) == 0)
		memcpy(attestd.identity, n->identity, 32);
}

static const char *
refused(const struct registry_node *n)
{
	if (n == NULL)
		return "the registry does not name this node, or has revoked "
		       "it";
	if (memcmp(n->identity, attestd.identity, 32) != 0)
		return "the registry has other keys of this node";
	if (n->suspended)
		return "this node is suspended: it has made two rotations with "
		       "one number; have it revoked and added again";
	if (!n->has_next)
		return "this node was registered without a next key, so it "
		       "cannot rotate by itself; have it revoked, and added "
		       "with new keys";
	if (registry_forked(attestd.registry))
		return "the registry is forked; the authorities sign a resolve "
		       "first";
	return NULL;
}

void
rotation_on_place(struct chan *c, struct msg *m)
{
	const struct registry_node *n = self();
	struct msg_ROTATION_PLACED done = { 0 };
	const char *why = refused(n);

	if (why != NULL) {
		chan_refuse(c, m, EINVAL, false, "%s", why);
		return;
	}
	place = c;
	done.ksn = n->ksn + 1;
	memcpy(done.prev, n->rotation, sizeof(done.prev));
	(void)chan_send_ROTATION_PLACED(c, m->id, -1, &done);
}

void
rotation_on_take(struct chan *c, struct msg *m)
{
	struct msg_ROTATION_TAKEN done = { 0 };
	const struct registry_node *n;
	struct msg_ROTATION_TAKE want;
	const char *why;

	if (!msg_get_ROTATION_TAKE(&m->body, &want))
		fatalx("malformed ROTATION_TAKE");
	if (place != c) {
		chan_refuse(c, m, EAGAIN, true,
		    "another rotation has been begun since");
		return;
	}
	place = NULL;
	why = chain_turn((const char *)want.line, want.line_len);
	n = self();
	if (why != NULL || n == NULL) {
		chan_refuse(c, m, EINVAL, false, "%s",
		    why != NULL ? why : "this node was revoked");
		return;
	}
	done.ksn = n->ksn;
	memcpy(done.identity, n->identity, sizeof(done.identity));
	(void)chan_send_ROTATION_TAKEN(c, m->id, -1, &done);
}

static void
on_revealed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REVEALED done;
	struct msg_REFUSED no;
	const char *why;

	(void)c;
	(void)arg;
	revealing = false;
	if (m == NULL)
		return;
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		log_errorx("the recovered keys are not revealed: %s", no.text);
		return;
	}
	if (!msg_get_REVEALED(&m->body, &done))
		fatalx("malformed REVEALED");
	why = chain_turn((const char *)done.line, done.line_len);
	if (why != NULL)
		log_errorx("the recovered keys are not taken: %s", why);
	else
		log_info("the recovered keys are this node's now");
}

bool
rotation_reveal(struct chan *keyd)
{
	const struct registry_node *n = self();
	struct msg_REVEAL want;
	registry_hash hash;

	if (n == NULL || !n->has_next || n->suspended ||
	    regupdate_next_hash(attestd.identity, hash) != 0 ||
	    memcmp(hash, n->next, sizeof(hash)) != 0)
		return false;
	if (revealing)
		return true;
	revealing = true;
	want.ksn = n->ksn + 1;
	memcpy(want.prev, n->rotation, sizeof(want.prev));
	(void)chan_send_REVEAL(keyd,
	    chan_ask(keyd, MSG_REVEAL, on_revealed, NULL), -1, &want);
	return true;
}

void
rotation_gone(const struct chan *c)
{
	if (place == c)
		place = NULL;
}
