/* SPDX-License-Identifier: ISC */
/*
 * accept.c - connections that come in, and how many.
 *
 * Anybody can connect. One address, or one /64, cannot take all the room for
 * those who have not proved who they are, nor can all of them together: what
 * is over the limit is closed unread. Those who come from where a peer may be
 * expected have as much room again, of their own: however many strangers there
 * are, a peer comes through. When the house is full, or nobody can be attested
 * because keyd or attestd is away, nothing is accepted and who comes waits in
 * the kernel's queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "door/accept.h"

/* Others get their turn after so many. */
#define AT_ONCE 16
/* Out of descriptors: it may pass. */
#define PAUSE_S 1

static struct {
	struct accept_limits limits;
	struct event *readable; /* NULL: nothing to listen on */
	struct event *pause;
	bool on, ended;
} door;

static void
turn_away(int fd)
{
	if (conn_door()->turned_away != COUNTER_MAX)
		counter_add(conn_door()->turned_away, 1);
	close(fd);
}

static void
take(int fd, const struct sockaddr_storage *ss, socklen_t len)
{
	struct conn_counts n;
	struct address from;
	unsigned int waiting;
	bool known;

	if (!address_of(ss, len, &from)) {
		turn_away(fd);
		return;
	}
	known = conn_expected(from.key);
	conn_count(&n, from.key);
	waiting = known ? n.known : n.pending_in - n.known;
	if (waiting >= door.limits.pending ||
	    n.same_key >= door.limits.per_address) {
		log_debug("%s is turned away: %u are waiting, %u of them from "
			  "there",
		    from.text, n.pending_in, n.same_key);
		turn_away(fd);
		return;
	}
	/* A worker costs what a stranger never pays. */
	conn_accepted(fd, &from, known, waiting >= door.limits.pending / 16);
}

static bool
full(void)
{
	struct conn_counts n;

	conn_count(&n, NULL);
	return n.all >= door.limits.links + 2 * door.limits.pending;
}

static void
on_connection(evutil_socket_t sock, short what, void *arg)
{
	struct timeval tv = { PAUSE_S, 0 };
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, i;

	(void)what;
	(void)arg;
	for (i = 0; i < AT_ONCE && !full(); i++) {
		len = sizeof(ss);
		fd = accept4(sock, (struct sockaddr *)&ss, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1)
			break;
		take(fd, &ss, len);
	}
	if (i < AT_ONCE && !full() &&
	    (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		errno == ENOMEM)) {
		log_warn("accept");
		evtimer_add(door.pause, &tv);
	}
	accept_update();
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	accept_update();
}

void
accept_update(void)
{
	bool on;

	if (door.readable == NULL)
		return;
	on = !door.ended && conn_can_attest() && !full() &&
	    !evtimer_pending(door.pause, NULL);
	if (on && !door.on)
		event_add(door.readable, NULL);
	else if (!on && door.on)
		event_del(door.readable);
	door.on = on;
}

void
accept_end(void)
{
	door.ended = true;
	accept_update();
}

void
accept_configure(const struct accept_limits *limits)
{
	door.limits = *limits;
}

void
accept_prepare(void)
{
	int fd = conn_door()->listening;
	socklen_t len = sizeof(int);
	int listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == -1 ||
	    !listens)
		return;
	door.readable = event_new(child_base(), fd, EV_READ | EV_PERSIST,
	    on_connection, NULL);
	door.pause = evtimer_new(child_base(), on_pause_over, NULL);
	if (door.readable == NULL || door.pause == NULL)
		fatalx("out of memory");
}
