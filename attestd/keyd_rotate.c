/* SPDX-License-Identifier: ISC */
/*
 * keyd_rotate.c - this node's keys are replaced by its next ones.
 *
 * The order comes from controld, with the recovery code. The files come from
 * clawd, one after the other: next.key, which the code opens, and two unnamed
 * ones for the new keys and the key after them. When clawd has those on the
 * disk the rotation is signed and given to controld, who brings it to attestd.
 * Nothing has changed until attestd brings the rotation back as one that the
 * registry has: it is what decides, after a crash too. Then clawd gives the
 * files their names, and the keys before are forgotten.
 *
 * Leaves are signed by the old key for SPREAD_S more: peers hear of the
 * rotation over links that are up, and have to know it before they are shown
 * a leaf by the new key. They take the old one for ten minutes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attestd/keyd.h"
#include "attestd/keystore.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"

#define SPREAD_S 10

enum file { FILE_NEXT, FILE_NEW_KEY, FILE_NEW_NEXT, FILES };

static struct {
	bool active;
	struct chan *controld; /* NULL: it has gone */
	uint32_t request;
	enum file file;
	char code[RECOVERY_TEXT_SIZE];
	uint64_t ksn;
	uint8_t prev[32];
	bool ours;    /* what is revealed was made in this life */
	bool decided; /* the registry has it, peers are hearing of it */
	struct event *spread;
	uint8_t strange[32]; /* the identity that was complained of */
} my;

/* Opening next.key by the code; *code is 0, or why it could not be. */
static void
open_next(int fd, const char *words, uint16_t *code, char why[128])
{
	unsigned int word = 0;
	int r = keystore_reveal(fd, words, &word);

	*code = r == 0 ? 0 : r == -EACCES ? EPERM : r == -EINVAL ? EINVAL : EIO;
	if (r == -EACCES)
		snprintf(why, 128,
		    "that is not the recovery code of this node's next key; "
		    "nothing was changed");
	else if (r == -EBADMSG)
		snprintf(why, 128,
		    "keys/next.key is damaged; bring it back from a backup");
	else if (r == -EINVAL && word > 0)
		snprintf(why, 128,
		    "word %u of the recovery code is none of the list's", word);
	else if (r == -EINVAL)
		snprintf(why, 128, "a recovery code has twelve words");
	else
		snprintf(why, 128, "keys/next.key could not be opened");
}

/* The keys are lost (claw node:recover). */

void
keyd_on_recover(struct chan *c, struct msg *m)
{
	struct msg_RECOVERED done = { 0 };
	struct msg_RECOVER want;
	uint16_t code;
	char why[128];

	if (!msg_get_RECOVER(&m->body, &want))
		fatalx("malformed RECOVER");
	open_next(m->fd, want.code, &code, why);
	explicit_bzero(&want, sizeof(want));
	if (code != 0)
		chan_refuse(c, m, code, false, "%s", why);
	else
		(void)chan_send_RECOVERED(c, m->id, -1, &done);
}

void
keyd_on_recover_key(struct chan *c, struct msg *m)
{
	struct msg_KEY_PUBLIC pub = { 0 };
	int r = keystore_rotate_key(m->fd);

	if (r == 0)
		r = keystore_take_revealed();
	if (r == 0)
		r = keystore_public(KEY_IDENTITY, pub.identity);
	if (r == 0)
		r = keystore_public(KEY_SEALING, pub.sealing);
	if (r == 0)
		(void)chan_send_KEY_PUBLIC(c, m->id, -1, &pub);
	else
		chan_refuse(c, m, (uint16_t)-r, false, "%s", strerror(-r));
}

void
keyd_on_recover_next(struct chan *c, struct msg *m)
{
	struct msg_RECOVERED done = { 0 };
	int r = keystore_rotate_next(m->fd);

	if (r == 0)
		(void)chan_send_RECOVERED(c, m->id, -1, &done);
	else
		chan_refuse(c, m, (uint16_t)-r, false, "%s", strerror(-r));
}

/* Whether the registry commits to it: it waits to be revealed. */
static bool
is_next(const uint8_t key[KEY_PUBLIC_LEN], const struct follow_self *self)
{
	uint8_t hash[32];

	return self->has_next && regupdate_next_hash(key, hash) == 0 &&
	    memcmp(hash, self->next, sizeof(hash)) == 0;
}

/*
 * What such a node starts with. The identity is signed as the one revealed,
 * where the registry that is followed here waits for that: another one with
 * the same number would have the node suspended.
 */
void
keyd_on_reveal(struct chan *c, struct msg *m)
{
	uint8_t pub[KEY_PUBLIC_LEN];
	struct msg_REVEALED done;
	struct msg_REVEAL want;
	char line[2048];
	ssize_t n;

	if (!msg_get_REVEAL(&m->body, &want))
		fatalx("malformed REVEAL");
	if (keystore_public(KEY_IDENTITY, pub) != 0 ||
	    !is_next(pub, &keyd.follow.now.self) ||
	    !follow_rotation_place(&keyd.follow, want.ksn, want.prev)) {
		keyd_refuse(c, m, EPERM,
		    "the registry does not wait for this node's key");
		return;
	}
	n = statement_reveal(&keyd.node, want.ksn, want.prev, line,
	    sizeof(line));
	if (n < 0) {
		keyd_refuse(c, m, EINVAL, "there is no next key");
		return;
	}
	counter_add(COUNTER_SIGNATURES, 1);
	done.line = (const uint8_t *)line;
	done.line_len = (uint16_t)n;
	(void)chan_send_REVEALED(c, m->id, -1, &done);
}

/* Making the next key, and what it commits to. */

void
keyd_on_next_create(struct chan *c, struct msg *m)
{
	struct msg_NEXT_MADE done;
	int r = keystore_create_next(m->fd, done.code);

	if (r == 0)
		(void)chan_send_NEXT_MADE(c, m->id, -1, &done);
	else
		chan_refuse(c, m, (uint16_t)-r, false, "%s", strerror(-r));
	explicit_bzero(&done, sizeof(done));
}

void
keyd_on_next_file(struct chan *c, struct msg *m)
{
	(void)c;
	if (keystore_note_next(m->fd) != 0)
		log_warnx("the next key's file is damaged: keys cannot be "
			  "rotated by it");
}

void
keyd_on_rotating_file(struct chan *c, struct msg *m)
{
	(void)c;
	if (keystore_load_revealed(m->fd) != 0)
		log_warnx("the keys of a rotation that was interrupted are "
			  "damaged");
}

/* The end of an order. */

static void
end(void)
{
	keystore_rotate_end();
	explicit_bzero(my.code, sizeof(my.code));
	my.active = false;
	my.controld = NULL;
}

/* No line of it has left this process, or none that was taken. */
static void
drop(void)
{
	struct msg_ROTATE_DROP dropped = { 0 };

	keystore_forget(KEY_REVEALED);
	keystore_forget(KEY_NEW_SEALING);
	my.ours = false;
	(void)chan_send_ROTATE_DROP(child_parent(), 0, -1, &dropped);
}

static void
fail(uint16_t code, const char *why)
{
	struct msg m = { .id = my.request };

	if (my.ours)
		drop();
	log_warnx("keys not rotated: %s", why);
	counter_add(COUNTER_SIGN_REFUSED, 1);
	if (my.controld != NULL)
		chan_refuse(my.controld, &m, code, code == EAGAIN, "%s", why);
	end();
}

static bool
refused(const struct msg *m)
{
	struct msg_REFUSED no;

	if (!chan_is_refused(m, &no))
		return false;
	fail(no.code, no.text);
	return true;
}

/* The order. */

static void
on_kept(struct chan *c, struct msg *m, void *arg)
{
	struct msg_ROTATED done;
	char line[2048];
	ssize_t n;

	(void)c;
	(void)arg;
	if (refused(m))
		return;
	n = statement_rotation(&keyd.node, my.ksn, my.prev, line, sizeof(line));
	if (n < 0) {
		fail(EIO, "the rotation could not be signed");
		return;
	}
	counter_add(COUNTER_SIGNATURES, 2);
	done.line = (const uint8_t *)line;
	done.line_len = (uint16_t)n;
	if (my.controld != NULL)
		(void)chan_send_ROTATED(my.controld, my.request, -1, &done);
	end();
}

static void
keep(void)
{
	struct msg_ROTATE_KEEP want = { 0 };
	struct chan *clawd = child_parent();

	(void)chan_send_ROTATE_KEEP(clawd,
	    chan_ask(clawd, MSG_ROTATE_KEEP, on_kept, NULL), -1, &want);
}

/* Opening next.key by the code. */
static void
reveal(int fd)
{
	char why[128];
	uint16_t code = 0;

	open_next(fd, my.code, &code, why);
	explicit_bzero(my.code, sizeof(my.code));
	if (code != 0)
		fail(code, why);
}

static void want_file(void);

static void
on_file(struct chan *c, struct msg *m, void *arg)
{
	int r = 0;

	(void)c;
	(void)arg;
	if (refused(m))
		return;
	if (my.file == FILE_NEXT)
		reveal(m->fd);
	else {
		my.ours = true;
		r = my.file == FILE_NEW_KEY ? keystore_rotate_key(m->fd) :
					      keystore_rotate_next(m->fd);
	}
	if (!my.active)
		return;
	if (r != 0)
		fail(EIO, "the new keys could not be written");
	else if (++my.file == FILES)
		keep();
	else
		want_file();
}

static void
want_file(void)
{
	struct msg_ROTATE_FILE want = { .which = (uint8_t)my.file };
	struct chan *clawd = child_parent();

	(void)chan_send_ROTATE_FILE(clawd,
	    chan_ask(clawd, MSG_ROTATE_FILE, on_file, NULL), -1, &want);
}

void
keyd_on_rotate(struct chan *c, struct msg *m)
{
	struct msg_ROTATE want;

	if (!msg_get_ROTATE(&m->body, &want))
		fatalx("malformed ROTATE");
	if (my.active || my.decided)
		keyd_refuse(c, m, EAGAIN,
		    "the keys are being rotated at this moment");
	else if (!follow_rotation_place(&keyd.follow, want.ksn, want.prev))
		keyd_refuse(c, m, EAGAIN,
		    "that is not the place of this node's next rotation in "
		    "the registry that keyd follows");
	else {
		my.active = true;
		my.controld = c;
		my.request = m->id;
		my.file = FILE_NEXT;
		my.ksn = want.ksn;
		memcpy(my.prev, want.prev, sizeof(my.prev));
		memcpy(my.code, want.code, sizeof(my.code));
		want_file();
	}
	explicit_bzero(&want, sizeof(want));
}

void
keyd_rotate_gone(const struct chan *controld)
{
	if (my.controld == controld)
		my.controld = NULL;
}

/* The registry decides. */

static void
take_over(void)
{
	struct msg_ROTATE_DONE done;

	if (keystore_take_revealed() != 0 ||
	    keystore_public(KEY_IDENTITY, done.identity) != 0)
		fatalx("the new keys are there and cannot be used");
	my.ours = my.decided = false;
	log_info("this node's keys are its next ones now; those before are "
		 "forgotten");
	(void)chan_send_ROTATE_DONE(child_parent(), 0, -1, &done);
}

static void
on_spread(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	take_over();
}

static void
decide(void)
{
	static const struct timeval tv = { SPREAD_S, 0 };

	if (!my.ours) {
		take_over(); /* after a start: it is older than that */
		return;
	}
	if (my.spread == NULL)
		my.spread = evtimer_new(child_base(), on_spread, NULL);
	if (my.spread == NULL || evtimer_add(my.spread, &tv) == -1)
		fatalx("libevent has no timer for us");
	my.decided = true;
}

void
keyd_rotate_self(const struct follow_self *self)
{
	const uint8_t *identity = self->identity;
	uint8_t pub[KEY_PUBLIC_LEN];

	if (!self->there || my.decided ||
	    keystore_public(KEY_IDENTITY, pub) != 0)
		return;
	if (memcmp(pub, identity, sizeof(pub)) == 0) {
		/* Of a run before, which attestd did not take in it. */
		if (!my.ours && keystore_public(KEY_REVEALED, pub) == 0)
			drop();
		return;
	}
	if (is_next(pub, self))
		return;
	if (keystore_public(KEY_REVEALED, pub) == 0 &&
	    memcmp(pub, identity, sizeof(pub)) == 0) {
		decide();
		return;
	}
	/* Once for each. */
	if (memcmp(my.strange, identity, sizeof(my.strange)) == 0)
		return;
	memcpy(my.strange, identity, sizeof(my.strange));
	log_errorx("the registry has other keys of this node than "
		   "keys/node.key: that is an old copy, or the name is "
		   "another node's; bring the newest copy back, or have the "
		   "node revoked and added again");
}
