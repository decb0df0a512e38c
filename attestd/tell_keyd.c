/* SPDX-License-Identifier: ISC */
/*
 * tell_keyd.c - keyd is brought the registry.
 *
 * keyd believes no word of ours about it, so it gets the updates themselves,
 * and the rotations of this node (follow.h). It says where it stands; what
 * follows from there is sent, a message at a time, each when the one before
 * was answered. Where it stands on a line that our chain does not have, what
 * decided something last is looked for; if we have not that either, it is all
 * brought again from the genesis on: after a `resolve` that is right, and
 * whether it is one is keyd's to see.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "attestd/attestd.h"
#include "common/child.h"
#include "common/log.h"

#define LINES_MAX 24576 /* of a message */

static struct {
	bool asked; /* an answer is outstanding */
	bool again; /* the registry has moved since */
	bool known; /* `at` is what keyd answered last */
	/* Of this round: */
	bool walked;   /* it was brought the whole */
	bool turned;   /* what was sent last is a rotation */
	bool ended;    /* it was told that there is no more */
	uint64_t sent; /* the number after the last update sent */
	struct msg_FOLLOWED at;
} my;

static void on_followed(struct chan *c, struct msg *m, void *arg);

static void
say(struct chan *keyd, const struct msg_FOLLOW *m)
{
	uint32_t id = chan_ask(keyd, MSG_FOLLOW, on_followed, NULL);

	my.turned = m->rotations != 0;
	my.asked = id != 0;
	if (id != 0)
		(void)chan_send_FOLLOW(keyd, id, -1, m);
}

static bool
have(uint64_t seq, const uint8_t hash[32])
{
	const uint8_t *ours = registry_hash_at(attestd.registry, seq);

	return ours != NULL && memcmp(ours, hash, 32) == 0;
}

/* Updates from a number on, as many as fit; *next: the first that did not. */
static size_t
updates_from(uint64_t from, uint8_t out[LINES_MAX], uint64_t *next)
{
	static struct registry_signature sigs[REGISTRY_SIGS_MAX];
	static struct registry_update u;
	size_t n, len = 0;
	ssize_t put;

	for (*next = from;
	     registry_update_at(attestd.registry, *next, &u, sigs, &n) == 0;
	     (*next)++) {
		put = regupdate_signed_put(&u, sigs, n, out + len,
		    LINES_MAX - len);
		if (put < 0)
			break;
		len += (size_t)put;
	}
	return len;
}

static void
send_updates(struct chan *keyd, uint64_t from, bool whole)
{
	static uint8_t lines[LINES_MAX];
	struct msg_FOLLOW m = { .whole = whole, .lines = lines };

	m.lines_len = (uint16_t)updates_from(from, lines, &my.sent);
	if (m.lines_len == 0)
		fatalx("an update that fits in no message");
	say(keyd, &m);
}

/* The next rotation of ours that keyd lacks. */
static bool
find_rotation(struct registry_rotation *turn, struct registry_signature sigs[2],
    size_t *n)
{
	const struct registry_node *self =
	    registry_node(attestd.registry, attestd.node);

	return self != NULL && !self->revoked && self->ksn > my.at.ksn &&
	    registry_rotation_after(attestd.registry, attestd.node, my.at.ksn,
		my.at.rotation, turn, sigs, n) == 0;
}

static bool
send_rotation(struct chan *keyd)
{
	uint8_t line[REGUPDATE_SIGNED_BYTES_MAX];
	struct msg_FOLLOW m = { .rotations = 1, .lines = line };
	struct registry_signature sigs[2];
	struct registry_rotation turn;
	ssize_t len;
	size_t n;

	if (!find_rotation(&turn, sigs, &n))
		return false;
	len = regupdate_rotation_signed_put(&turn, sigs, n, line, sizeof(line));
	if (len < 0)
		fatalx("a rotation that fits in no message");
	m.lines_len = (uint16_t)len;
	say(keyd, &m);
	return true;
}

/* The number of the update that it lacks next; 0 and *whole: all of them. */
static uint64_t
lacks(bool *whole)
{
	*whole = false;
	if (my.at.begun == 0)
		return 0;
	if (have(my.at.seq, my.at.head))
		return my.at.seq + 1;
	if (have(my.at.base_seq, my.at.base))
		return my.at.base_seq + 1;
	*whole = true;
	return 0;
}

/* That there is no more; false: it was said. */
static bool
send_end(struct chan *keyd)
{
	static const struct msg_FOLLOW end = { .end = 1,
		.lines = (const uint8_t *)"" };

	if (my.ended)
		return false;
	my.ended = true;
	say(keyd, &end);
	return true;
}

static bool
send_whole(struct chan *keyd)
{
	if (my.walked)
		return false;
	my.walked = true;
	send_updates(keyd, 0, true);
	return true;
}

/* What comes after where it stands. False: nothing, or nothing that helps. */
static bool
step(struct chan *keyd)
{
	uint64_t from;
	bool whole;

	if (registry_empty(attestd.registry))
		return send_end(keyd);
	from = lacks(&whole);
	if (from > registry_seq(attestd.registry))
		return send_rotation(keyd) || send_end(keyd);
	if (whole ? my.walked : from < my.sent) {
		if (my.again)
			return false; /* it is our chain that is another now */
		log_errorx("keyd does not follow the registry beyond update "
			   "%" PRIu64,
		    my.at.seq);
		return false;
	}
	if (whole)
		return send_whole(keyd);
	send_updates(keyd, from, false);
	return true;
}

static void
begin(struct chan *keyd)
{
	static const struct msg_FOLLOW where = { .lines = (const uint8_t *)"" };

	do {
		my.again = my.walked = my.ended = false;
		my.sent = 0;
		if (my.known)
			(void)step(keyd);
		else
			say(keyd, &where);
	} while (my.again && !my.asked);
}

static void
on_followed(struct chan *c, struct msg *m, void *arg)
{
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_REFUSED no;
	bool more = false;

	(void)c;
	(void)arg;
	my.asked = false;
	my.known = m != NULL && m->type == MSG_FOLLOWED;
	if (my.known) {
		if (!msg_get_FOLLOWED(&m->body, &my.at))
			fatalx("malformed FOLLOWED");
		more = keyd != NULL && step(keyd);
	} else if (m != NULL) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		log_warnx("keyd does not take what the registry has: %s",
		    no.text);
		/* A rotation that it does not take is no rotation; an update
		 * may be one of another branch. */
		if (keyd != NULL && my.turned)
			more = send_end(keyd);
		else if (keyd != NULL && !registry_empty(attestd.registry))
			more = send_whole(keyd);
	}
	if (more || keyd == NULL)
		return;
	if (my.again)
		begin(keyd);
	else if (my.ended && !registry_empty(attestd.registry))
		(void)rotation_reveal(keyd);
}

void
tell_keyd_registry(struct chan *keyd, bool new)
{
	if (new)
		my.known = false;
	my.again = my.asked;
	if (!my.asked)
		begin(keyd);
}
