/* SPDX-License-Identifier: ISC */
/*
 * recover.c - `claw node:recover`: keys/node.key is lost.
 *
 * keyd is started as it will be later, and opens keys/next.key with the
 * recovery code. The next identity becomes the present one, with a new sealing
 * and a new wrapping key; a new next key is made. At the node's next start
 * attestd finds that this is the identity that the registry commits to, and
 * has it revealed there, signed by it alone.
 *
 *	next.key.recovered	the new next key; counts once there is a
 *	node.key		the new keys
 *	next.key		again, and the old one is gone
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/keytalk.h"
#include "clawd/listen.h"
#include "clawd/newnode.h"
#include "clawd/place.h"
#include "clawd/recover.h"
#include "clawd/suite.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/recovery.h"

#define EX_NOPERM 77

static struct {
	char code[RECOVERY_TEXT_SIZE];
	int next_fd, new_key_fd, new_next_fd;
	uint8_t identity[32];
	bool done;
	int status;
} job = { .next_fd = -1,
	.new_key_fd = -1,
	.new_next_fd = -1,
	.status = EX_CANTCREAT };

static void
give_up(const char *what)
{
	log_errorx("not recovered: %s", what);
}

static bool
refused(const struct msg *m)
{
	struct msg_REFUSED no;

	if (!chan_is_refused(m, &no))
		return false;
	job.status = no.code == EPERM ? EX_NOPERM :
	    m != NULL		      ? EX_DATA :
					EX_CANTCREAT;
	give_up(no.text);
	keytalk_end();
	return true;
}

static void
on_next(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (refused(m))
		return;
	job.done = true;
	keytalk_end();
}

static void
on_key(struct chan *c, struct msg *m, void *arg)
{
	struct msg_RECOVER_NEXT next = { 0 };
	struct msg_KEY_PUBLIC pub;

	(void)arg;
	if (refused(m))
		return;
	if (!msg_get_KEY_PUBLIC(&m->body, &pub))
		fatalx("malformed KEY_PUBLIC");
	memcpy(job.identity, pub.identity, sizeof(job.identity));
	(void)chan_send_RECOVER_NEXT(c,
	    chan_ask(c, MSG_RECOVER_NEXT, on_next, NULL), job.new_next_fd,
	    &next);
}

static void
on_opened(struct chan *c, struct msg *m, void *arg)
{
	struct msg_RECOVER_KEY key = { 0 };

	(void)arg;
	if (!refused(m))
		(void)chan_send_RECOVER_KEY(c,
		    chan_ask(c, MSG_RECOVER_KEY, on_key, NULL), job.new_key_fd,
		    &key);
}

static void
begin(struct chan *c)
{
	struct msg_RECOVER open = { .code = "" };

	memcpy(open.code, job.code, sizeof(open.code));
	(void)chan_send_RECOVER(c, chan_ask(c, MSG_RECOVER, on_opened, NULL),
	    job.next_fd, &open);
	explicit_bzero(&open, sizeof(open));
	explicit_bzero(job.code, sizeof(job.code));
}

static bool
ask_keyd(bool insecure)
{
	const struct keytalk talk = { .conf = &suite.conf,
		.insecure = insecure,
		.begin = begin,
		.failed = give_up };

	return keytalk_run(&talk) && job.done;
}

/* Files. */

static bool
rename_key(const char *from, const char *to)
{
	int dir = place_open_dir(&suite.conf, PLACE_KEYS);
	bool ok = dir != -1 &&
	    (renameat(dir, from, dir, to) == 0 || errno == ENOENT) &&
	    fsync(dir) == 0;

	if (!ok)
		log_warn("keys/%s", from);
	if (dir != -1)
		close(dir);
	return ok;
}

static bool
is_there(const char *name)
{
	int dir = place_open_dir(&suite.conf, PLACE_KEYS);
	bool there = dir != -1 && faccessat(dir, name, F_OK, 0) == 0;

	if (dir != -1)
		close(dir);
	return there;
}

void
recover_finish(void)
{
	if (is_there("next.key.recovered") && is_there("node.key"))
		(void)rename_key("next.key.recovered", "next.key");
}

static bool
publish(void)
{
	int dir = place_open_dir(&suite.conf, PLACE_KEYS);

	if (dir != -1) {
		(void)unlinkat(dir, "next.key.recovered", 0);
		close(dir);
	}
	return rename_key("node.key", "node.key.lost") &&
	    place_name(&suite.conf, job.new_next_fd, PLACE_KEYS,
		"next.key.recovered", 0600) &&
	    place_name(&suite.conf, job.new_key_fd, PLACE_KEYS, "node.key",
		0600) &&
	    rename_key("next.key.recovered", "next.key");
}

static bool
open_files(void)
{
	char path[CONF_TEXT_MAX + 64];

	if (!place_file(&suite.conf, PLACE_KEYS, "next.key", path,
		sizeof(path)))
		return false;
	job.next_fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (job.next_fd == -1)
		log_warn("%s", path);
	job.new_key_fd = place_unnamed(&suite.conf, PLACE_KEYS);
	job.new_next_fd = place_unnamed(&suite.conf, PLACE_KEYS);
	return job.next_fd != -1 && job.new_key_fd != -1 &&
	    job.new_next_fd != -1;
}

static bool
read_code(void)
{
	size_t n = 0;
	ssize_t r = 1;

	while (n < sizeof(job.code) - 1 && r > 0 &&
	    memchr(job.code, '\n', n) == NULL) {
		r = read(STDIN_FILENO, job.code + n, sizeof(job.code) - 1 - n);
		n += r > 0 ? (size_t)r : 0;
	}
	job.code[strcspn(job.code, "\r\n")] = '\0';
	if (n == 0)
		log_errorx("no recovery code came on standard input");
	return n > 0;
}

int
recover_node(bool insecure)
{
	char key[IDENTITY_TEXT_SIZE];

	if (!account_load(suite.conf.control_group) ||
	    !place_make(&suite.conf, false) || !listen_lock(&suite.conf))
		return EX_CONFIG;
	recover_finish();
	if (!open_files() || !read_code())
		return EX_CANTCREAT;
	if (!ask_keyd(insecure))
		return job.status;
	if (!publish())
		return EX_CANTCREAT;
	identity_text(job.identity, key);
	printf(
	    "node %s has its next keys now\n"
	    "  key    %s\n"
	    "Start it: it tells its registry, and every peer it meets. The "
	    "same recovery code is\n"
	    "for the next time. What node.key had sealed is lost with it: the "
	    "audit log goes on\n"
	    "in a new shard, and keys/authority.key, where there is one, "
	    "signs nothing any more.\n",
	    suite.conf.node_name, key);
	return EXIT_SUCCESS;
}
