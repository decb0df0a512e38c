/* SPDX-License-Identifier: ISC */
/*
 * rotate.c - the files of a rotation of the node's keys.
 *
 *	1. keyd writes two unnamed files
 *	2. both are synced and named next.key.rotating, node.key.rotating, in
 *	   this order: the second one without the first does not come about
 *	3. attestd makes the rotation durable: now it counts
 *	4. next.key.rotating becomes next.key, node.key.rotating node.key
 *
 * While there is a node.key.rotating the registry says which keys are the
 * node's; keyd, which is handed both, finds out and has 4 done or the files
 * removed. So a crash at any step ends in one of two states, both whole.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clawd/place.h"
#include "clawd/rotate.h"
#include "clawd/suite.h"
#include "common/log.h"

#define ROTATING ".rotating"

enum { NEXT, NEW_KEY, NEW_NEXT };

static int unnamed[] = { -1, -1, -1 };

static bool
path_of(const char *name, const char *suffix, char *out, size_t size)
{
	char folder[CONF_TEXT_MAX];
	int n = -1;

	if (place_path(&suite.conf, PLACE_KEYS, folder, sizeof(folder)))
		n = snprintf(out, size, "%s/%s%s", folder, name, suffix);
	return n >= 0 && (size_t)n < size;
}

static void
forget(int which)
{
	if (unnamed[which] != -1)
		close(unnamed[which]);
	unnamed[which] = -1;
}

static int
open_next(void)
{
	char path[CONF_TEXT_MAX + 32];

	if (!path_of("next.key", "", path, sizeof(path)))
		return -1;
	return open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

void
rotate_on_file(struct chan *c, struct msg *m)
{
	struct msg_ROTATE_FILE_HANDED done = { 0 };
	struct msg_ROTATE_FILE want;
	int fd;

	if (!msg_get_ROTATE_FILE(&m->body, &want) || want.which > NEW_NEXT) {
		supervise_violation(c, m->type, "there is no such file");
		return;
	}
	if (want.which == NEXT) {
		forget(NEW_KEY);
		forget(NEW_NEXT);
	}
	forget(want.which);
	fd = want.which == NEXT ? open_next() :
				  place_unnamed(&suite.conf, PLACE_KEYS);
	unnamed[want.which] = fd;
	if (fd != -1)
		(void)chan_send_ROTATE_FILE_HANDED(c, m->id, fd, &done);
	else if (want.which == NEXT && errno == ENOENT)
		chan_refuse(c, m, ENOENT, false,
		    "this node has no next key (keys/next.key), so it cannot "
		    "rotate by itself: have it revoked, and added with new "
		    "keys");
	else
		chan_refuse(c, m, EIO, false, "keys/%s: %s",
		    want.which == NEXT ? "next.key" : "", strerror(errno));
	if (want.which == NEXT)
		forget(NEXT);
}

static bool
sync_folder(void)
{
	int dir = place_open_dir(&suite.conf, PLACE_KEYS);
	bool ok = dir != -1 && fsync(dir) == 0;

	if (dir != -1)
		close(dir);
	return ok;
}

static bool
remove_one(const char *name)
{
	char path[CONF_TEXT_MAX + 32];

	return path_of(name, ROTATING, path, sizeof(path)) &&
	    (unlink(path) == 0 || errno == ENOENT);
}

/* In this order, so that what counts is gone first. */
static bool
remove_both(void)
{
	return remove_one("node.key") && sync_folder() &&
	    remove_one("next.key");
}

static bool
name_one(int which, const char *name)
{
	char path[CONF_TEXT_MAX + 32], from[64];

	if (unnamed[which] == -1 ||
	    !path_of(name, ROTATING, path, sizeof(path)))
		return false;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", unnamed[which]);
	return fsync(unnamed[which]) == 0 &&
	    linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
}

void
rotate_on_keep(struct chan *c, struct msg *m)
{
	struct msg_ROTATE_KEPT done = { 0 };

	if (remove_both() && name_one(NEW_NEXT, "next.key") && sync_folder() &&
	    name_one(NEW_KEY, "node.key") && sync_folder())
		(void)chan_send_ROTATE_KEPT(c, m->id, -1, &done);
	else {
		log_warn("keys/*" ROTATING);
		chan_refuse(c, m, EIO, false, "the new keys cannot be kept: %s",
		    strerror(errno));
	}
	forget(NEW_KEY);
	forget(NEW_NEXT);
}

/* What a key file that has no name any more held. */
static void
overwrite(int fd)
{
	static const uint8_t zeros[256];
	struct stat st;

	if (fstat(fd, &st) == -1 || st.st_size > (off_t)sizeof(zeros) ||
	    pwrite(fd, zeros, (size_t)st.st_size, 0) != st.st_size ||
	    fsync(fd) == -1)
		log_warn("the old keys could not be overwritten");
}

/* A crash in between may have left the first one done. */
static bool
publish(const char *name)
{
	char from[CONF_TEXT_MAX + 32], to[CONF_TEXT_MAX + 32];
	bool ok = false;
	int old;

	if (!path_of(name, ROTATING, from, sizeof(from)) ||
	    !path_of(name, "", to, sizeof(to)))
		return false;
	if (access(from, F_OK) == -1 && errno == ENOENT)
		return true;
	old = open(to, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (rename(from, to) == 0 && sync_folder())
		ok = true;
	if (ok && old != -1)
		overwrite(old);
	if (old != -1)
		close(old);
	return ok;
}

void
rotate_on_done(struct chan *c, struct msg *m)
{
	struct msg_ROTATE_DONE done;

	(void)c;
	if (!msg_get_ROTATE_DONE(&m->body, &done))
		fatalx("malformed ROTATE_DONE");
	memcpy(suite.identity, done.identity, sizeof(suite.identity));
	if (!publish("next.key") || !publish("node.key"))
		log_warn("keys/*" ROTATING
			 " cannot be renamed; the next start does it");
}

void
rotate_on_drop(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
	if (!remove_both())
		log_warn("keys/*" ROTATING);
}

/* What the node commits to, if keyd has to say so. */
static void
hand_over_next(struct chan *keyd)
{
	struct msg_NEXT_FILE file = { 0 };
	int fd = open_next();

	if (fd == -1)
		return;
	(void)chan_send_NEXT_FILE(keyd, 0, fd, &file);
	close(fd);
}

void
rotate_hand_over(struct chan *keyd)
{
	struct msg_ROTATING_FILE file = { 0 };
	char path[CONF_TEXT_MAX + 32];
	int fd;

	hand_over_next(keyd);
	if (!path_of("node.key", ROTATING, path, sizeof(path)))
		return;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		/* Step 2 was not finished. */
		(void)remove_one("next.key");
		return;
	}
	log_info("a rotation of the keys was interrupted; the registry says "
		 "whether it counts");
	(void)chan_send_ROTATING_FILE(keyd, 0, fd, &file);
	close(fd);
}
