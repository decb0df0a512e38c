/* SPDX-License-Identifier: ISC */
/*
 * client.c - the connection of who sends a file.
 *
 * From a client comes one byte, 'S', with one descriptor; later only its end.
 * What else it sends is read and thrown away.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "sftd/client.h"

#define QUEUE_MAX 65536
/* Progress is left out above this. */
#define QUEUE_SOME 4096
/* One that is told the end has so long to read it. */
#define LINGER_S 5

struct client {
	int fd;
	bool brings; /* the source is still to come */
	bool ending;
	const struct client_user *user;
	void *arg;
	struct event *readable, *writable, *over;
	char queue[QUEUE_MAX];
	size_t len;
};

void
client_free(struct client *c)
{
	if (c == NULL)
		return;
	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	if (c->over != NULL)
		event_free(c->over);
	close(c->fd);
	free(c);
}

static void
lose(struct client *c)
{
	const struct client_user *user = c->user;
	void *arg = c->arg;
	bool ending = c->ending;

	client_free(c);
	if (!ending)
		user->gone(arg);
}

static void
on_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	lose(arg);
}

/* A byte and what came with it. -1: no descriptor. */
static ssize_t
receive(int sock, char *byte, int *fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { byte, 1 };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *cm;
	ssize_t n;
	size_t i;
	int one;

	*fd = -1;
	memset(&control, 0, sizeof(control));
	n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n == -1)
		return -1;
	/* Room for one may, by its alignment, be room for two. */
	for (cm = CMSG_FIRSTHDR(&mh); cm != NULL; cm = CMSG_NXTHDR(&mh, cm))
		for (i = 0; cm->cmsg_level == SOL_SOCKET &&
		     cm->cmsg_type == SCM_RIGHTS &&
		     CMSG_LEN((i + 1) * sizeof(int)) <= cm->cmsg_len;
		     i++) {
			memcpy(&one, CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(one));
			if (*fd == -1)
				*fd = one;
			else
				close(one);
		}
	return n;
}

static void
on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct client *c = arg;
	char byte;
	ssize_t n;
	int fd;

	(void)what;
	n = receive(sock, &byte, &fd);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && !c->ending && c->brings && byte == 'S' && fd != -1) {
		c->brings = false;
		c->user->source(c->arg, fd);
		return;
	}
	if (fd != -1)
		close(fd);
	if (n <= 0 || (c->brings && !c->ending))
		lose(c);
}

/* What it takes; false: it takes nothing any more. */
static bool
push(struct client *c)
{
	ssize_t n = send(c->fd, c->queue, c->len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0) {
		c->len -= (size_t)n;
		memmove(c->queue, c->queue + n, c->len);
	}
	return n != -1 || errno == EAGAIN || errno == EINTR;
}

static void
on_writable(evutil_socket_t sock, short what, void *arg)
{
	struct client *c = arg;

	(void)sock;
	(void)what;
	if (!push(c))
		lose(c);
	else if (c->len > 0)
		event_add(c->writable, NULL);
	else if (c->ending)
		lose(c);
}

struct client *
client_new(int fd, bool brings, const struct client_user *user, void *arg)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->brings = brings;
	c->user = user;
	c->arg = arg;
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	c->readable =
	    event_new(child_base(), fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(child_base(), fd, EV_WRITE, on_writable, c);
	c->over = evtimer_new(child_base(), on_over, c);
	if (c->readable == NULL || c->writable == NULL || c->over == NULL) {
		client_free(c);
		return NULL;
	}
	event_add(c->readable, NULL);
	return c;
}

void
client_say(struct client *c, const char *line, size_t len, bool more)
{
	struct timeval now = { 0, 0 };

	if (c == NULL || len == 0 || (more && c->len > QUEUE_SOME))
		return;
	if (len > sizeof(c->queue) - c->len) {
		evtimer_add(c->over, &now);
		return;
	}
	memcpy(c->queue + c->len, line, len);
	c->len += len;
	/* Now: the process may be about to end. Who is gone is found so later.
	 */
	if (!push(c) || c->len > 0)
		event_add(c->writable, NULL);
}

void
client_end(struct client *c)
{
	struct timeval linger = { LINGER_S, 0 };

	if (c == NULL)
		return;
	c->ending = true;
	event_add(c->writable, NULL);
	evtimer_add(c->over, &linger);
}
