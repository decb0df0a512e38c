/* SPDX-License-Identifier: ISC */
/*
 * authority.c - the file of this node's authority key, for keyd.
 *
 * keys/authority.key is sealed. It is handed over while a permit needs it, or
 * when an operator wants to see its public half. A node that joined has none;
 * then an unnamed file is handed over, and gets its name when keyd has written
 * it: a crash leaves a whole one or none.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "clawd/authority.h"
#include "clawd/place.h"
#include "clawd/suite.h"
#include "common/log.h"

static int unnamed = -1;

static int
open_key(void)
{
	char path[CONF_TEXT_MAX + 16];

	if (!place_file(&suite.conf, PLACE_KEYS, AUTHORITY_FILE_NAME, path,
		sizeof(path)))
		return -1;
	return open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

void
authority_on_wanted(struct chan *c, struct msg *m)
{
	struct msg_AUTHORITY_HANDED done = { 0 };
	int fd = open_key();

	if (fd == -1) {
		chan_refuse(c, m, errno == ENOENT ? ENOENT : EIO, false,
		    errno == ENOENT ?
			"this node holds no authority key of the registry; ask "
			"on a node that does" :
			"the authority key cannot be read");
		return;
	}
	(void)chan_send_AUTHORITY_HANDED(c, m->id, fd, &done);
	close(fd);
}

static void
forget(void)
{
	if (unnamed != -1)
		close(unnamed);
	unnamed = -1;
}

void
authority_on_file(struct chan *c, struct msg *m)
{
	struct msg_AUTHORITY_FILE_HANDED done = { 0 };
	int fd = open_key();

	forget();
	if (fd == -1 && errno == ENOENT) {
		done.is_new = 1;
		fd = unnamed = place_unnamed(&suite.conf, PLACE_KEYS);
	}
	if (fd == -1) {
		chan_refuse(c, m, EIO, false,
		    "keys/" AUTHORITY_FILE_NAME " cannot be read, or made");
		return;
	}
	(void)chan_send_AUTHORITY_FILE_HANDED(c, m->id, fd, &done);
	if (fd != unnamed)
		close(fd);
}

void
authority_on_keep(struct chan *c, struct msg *m)
{
	struct msg_AUTHORITY_KEPT done = { 0 };

	if (unnamed == -1)
		supervise_violation(c, m->type, "no file was handed over");
	else if (place_name(&suite.conf, unnamed, PLACE_KEYS,
		     AUTHORITY_FILE_NAME, 0600))
		(void)chan_send_AUTHORITY_KEPT(c, m->id, -1, &done);
	else
		chan_refuse(c, m, EIO, false,
		    "keys/" AUTHORITY_FILE_NAME " could not be kept");
	forget();
}
