/* SPDX-License-Identifier: ISC */
/*
 * rehearsal.c - when a worker rehearses: the timer and the pair of sockets.
 */
#include <sys/socket.h>

#include <unistd.h>

#include <event2/event.h>

#include "common/child.h"
#include "common/log.h"
#include "common/rehearsal.h"

/* Who has nothing to do for so long. */
#define IDLE_MS 40

static struct {
	struct atls_ctx *ctx;
	bool (*is_idle)(void);
	int pair[2];
	struct event *due;
} my;

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (!my.is_idle()) {
		(void)close(my.pair[0]);
		(void)close(my.pair[1]);
	} else if (atls_rehearse(my.ctx, my.pair) != 0)
		fatalx("TLS does not work in this sandbox");
}

void
rehearsal_prepare(struct atls_ctx *ctx, bool (*is_idle)(void))
{
	my.ctx = ctx;
	my.is_idle = is_idle;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		my.pair) == -1)
		fatal("socket pair");
	my.due = evtimer_new(child_base(), on_due, NULL);
	if (my.due == NULL)
		fatalx("out of memory");
}

void
rehearsal_start(void)
{
	const struct timeval idle = { 0, IDLE_MS * 1000 };

	evtimer_add(my.due, &idle);
}
