/* SPDX-License-Identifier: ISC */
/*
 * keyd_authority.c - an operator sees this node's authority key, which is made
 * if there is none.
 *
 * A node that joined has no such key. Its public half goes to those who are
 * authorities, and the private one never leaves the node: it is written,
 * sealed, into a file without a name, and clawd has it on the disk before
 * anybody sees the public one. In here it stays no longer than the answer
 * takes, unless a permit has it open.
 */
#include <errno.h>
#include <string.h>

#include "attestd/keyd.h"
#include "attestd/keystore.h"
#include "common/child.h"
#include "common/log.h"

static struct {
	bool asked;	       /* clawd */
	struct chan *controld; /* NULL: it has gone */
	uint32_t request;
	uint8_t key[KEY_PUBLIC_LEN]; /* which is shown when its file is kept */
} my;

static void
answer(const uint8_t key[KEY_PUBLIC_LEN], bool is_new)
{
	struct msg_AUTHORITY_SHOWN done = { .is_new = is_new };

	memcpy(done.authority, key, sizeof(done.authority));
	if (keystore_public(KEY_FRESH, done.fresh) != 0)
		fatalx("there is a node without a key for fresh");
	if (my.controld != NULL)
		(void)chan_send_AUTHORITY_SHOWN(my.controld, my.request, -1,
		    &done);
}

static void
fail(uint16_t code, const char *why)
{
	struct msg m = { .id = my.request };

	log_warnx("no authority key is shown: %s", why);
	if (my.controld != NULL)
		chan_refuse(my.controld, &m, code, false, "%s", why);
}

static void
end(void)
{
	my.asked = false;
	my.controld = NULL;
	keyd_forget_authority();
}

static bool
refused(const struct msg *m)
{
	struct msg_REFUSED no;

	if (!chan_is_refused(m, &no))
		return false;
	fail(no.code, no.text);
	end();
	return true;
}

static void
on_kept(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (refused(m))
		return;
	answer(my.key, true);
	end();
}

static void
on_file(struct chan *c, struct msg *m, void *arg)
{
	struct msg_AUTHORITY_FILE_HANDED handed;
	struct msg_AUTHORITY_KEEP keep = { 0 };
	int r;

	(void)arg;
	if (refused(m))
		return;
	if (!msg_get_AUTHORITY_FILE_HANDED(&m->body, &handed))
		fatalx("malformed AUTHORITY_FILE_HANDED");
	r = handed.is_new != 0 ? keystore_create_authority(m->fd) :
				 keystore_load_authority(m->fd);
	if (r == 0)
		r = keystore_public(KEY_AUTHORITY, my.key);
	if (r == 0 && handed.is_new != 0) {
		(void)chan_send_AUTHORITY_KEEP(c,
		    chan_ask(c, MSG_AUTHORITY_KEEP, on_kept, NULL), -1, &keep);
		return;
	}
	if (r == 0)
		answer(my.key, false);
	else if (handed.is_new != 0)
		fail(EIO, "the new key could not be written");
	else
		fail(EIO,
		    "keys/authority.key was not sealed by this node's present "
		    "keys, or is damaged: bring back the one that was; if it "
		    "is lost, move the file away, and another key is made");
	end();
}

void
keyd_on_authority_show(struct chan *c, struct msg *m)
{
	struct msg_AUTHORITY_FILE want = { 0 };
	struct chan *clawd = child_parent();
	uint8_t pub[KEY_PUBLIC_LEN];

	if (my.asked) {
		keyd_refuse(c, m, EAGAIN, "it is being asked for already");
		return;
	}
	my.controld = c;
	my.request = m->id;
	if (keystore_public(KEY_AUTHORITY, pub) == 0) {
		answer(pub, false);
		my.controld = NULL;
		return;
	}
	my.asked = true;
	(void)chan_send_AUTHORITY_FILE(clawd,
	    chan_ask(clawd, MSG_AUTHORITY_FILE, on_file, NULL), -1, &want);
}

void
keyd_authority_gone(const struct chan *controld)
{
	if (my.controld == controld)
		my.controld = NULL;
}
