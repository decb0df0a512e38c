/* SPDX-License-Identifier: ISC */
/*
 * keytalk.c - the conversation with a keyd that was started for one job.
 *
 * It is started just as it will be later, in its sandbox. Keys are never seen
 * here: keyd writes them into open files that have no name yet.
 */
#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clawd/keytalk.h"
#include "clawd/spawn.h"
#include "common/log.h"

static struct {
	const struct keytalk *talk;
	struct event_base *base;
	bool over;
	/* Of keys that are being made: */
	keytalk_made *made;
	int key_fd;
	struct keytalk_keys keys;
} my;

const char *
keytalk_hello(struct msg *m)
{
	struct msg_HELLO hello;

	if (!msg_get_HELLO(&m->body, &hello))
		fatalx("malformed HELLO");
	return hello.schema == msg_schema() && hello.failed == 0 ?
	    NULL :
	    "a process is of another version, or its sandbox is open";
}

/* Keys. */

static void
on_public(struct chan *c, struct msg *m, void *arg)
{
	struct msg_KEY_PUBLIC pub;
	struct msg_REFUSED no;

	(void)arg;
	if (chan_is_refused(m, &no))
		my.made(c, NULL, no.text);
	else {
		if (!msg_get_KEY_PUBLIC(&m->body, &pub))
			fatalx("malformed KEY_PUBLIC");
		memcpy(my.keys.identity, pub.identity, 32);
		memcpy(my.keys.sealing, pub.sealing, 32);
		memcpy(my.keys.next, pub.next, 32);
		my.made(c, &my.keys, NULL);
	}
	explicit_bzero(&my.keys, sizeof(my.keys));
}

static void
make_key(struct chan *c)
{
	struct msg_KEY_CREATE create = { 0 };

	(void)chan_send_KEY_CREATE(c,
	    chan_ask(c, MSG_KEY_CREATE, on_public, NULL), my.key_fd, &create);
}

static void
on_next(struct chan *c, struct msg *m, void *arg)
{
	struct msg_NEXT_MADE next;
	struct msg_REFUSED no;

	(void)arg;
	if (chan_is_refused(m, &no)) {
		my.made(c, NULL, no.text);
		return;
	}
	if (!msg_get_NEXT_MADE(&m->body, &next))
		fatalx("malformed NEXT_MADE");
	memcpy(my.keys.code, next.code, sizeof(my.keys.code));
	explicit_bzero(&next, sizeof(next));
	make_key(c);
}

void
keytalk_make(struct chan *c, int next_fd, int key_fd, keytalk_made *made)
{
	struct msg_NEXT_CREATE next = { 0 };

	my.made = made;
	my.key_fd = key_fd;
	if (next_fd == -1)
		make_key(c);
	else
		(void)chan_send_NEXT_CREATE(c,
		    chan_ask(c, MSG_NEXT_CREATE, on_next, NULL), next_fd,
		    &next);
}

void
keytalk_load(struct chan *c, int next_fd, int key_fd, keytalk_made *made)
{
	struct msg_NEXT_FILE next = { 0 };
	struct msg_KEY_FILE file = { 0 };

	my.made = made;
	if (next_fd != -1)
		(void)chan_send_NEXT_FILE(c, 0, next_fd, &next);
	(void)chan_send_KEY_FILE(c, chan_ask(c, MSG_KEY_FILE, on_public, NULL),
	    key_fd, &file);
}

/* A keyd of one's own. */

void
keytalk_end(void)
{
	my.over = true;
	event_base_loopbreak(my.base);
}

static void
fail(const char *why)
{
	if (!my.over)
		my.talk->failed(why);
	keytalk_end();
}

static void
on_hello(struct chan *c, struct msg *m)
{
	const char *why = keytalk_hello(m);

	if (why != NULL)
		fail(why);
	else
		my.talk->begin(c);
}

static void
on_closed(struct chan *c)
{
	(void)c;
	fail("keyd has ended; the log says why");
}

static void
on_violation(struct chan *c, uint16_t type, const char *reason)
{
	(void)c;
	log_warnx("%s: %s", msg_name(type), reason);
	fail("keyd said what it may not say");
}

static void
on_notice(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
}

bool
keytalk_run(const struct keytalk *talk)
{
	static const struct chan_handlers handlers[] = { { MSG_HELLO,
							     on_hello },
		{ MSG_VIOLATION, on_notice }, { 0, NULL } };
	static const struct chan_ops ops = { handlers, on_closed,
		on_violation };
	struct spawn s = { .conf = talk->conf,
		.log_fd = STDERR_FILENO,
		.insecure = talk->insecure };
	struct chan *c;
	int channel, page;
	pid_t pid;

	my.talk = talk;
	my.base = event_base_new();
	if (my.base == NULL)
		fatalx("out of memory");
	pid = spawn_start(&s, PROC_KEYD, &channel, &page);
	if (pid == -1)
		return false;
	close(page);
	c = chan_new(my.base, channel, PROC_CLAWD, PROC_KEYD, &ops, NULL);
	if (c == NULL)
		fatalx("out of memory");
	event_base_dispatch(my.base);
	chan_free(c); /* keyd ends with its channel */
	waitpid(pid, NULL, 0);
	return true;
}
