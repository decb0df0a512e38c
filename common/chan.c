/* SPDX-License-Identifier: ISC */
/*
 * chan.c - one end of a channel between two processes.
 *
 * Owns the socket, the queue of what could not be sent yet, and the callbacks
 * of who waits for an answer. Judgement is gate.c's.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/chan.h"
#include "common/counters.h"
#include "common/log.h"

/* A peer for whom this much lies unread has stopped working. */
#define QUEUE_MAX_BYTES (1u << 20)
/* Packets taken from one channel before the others get their turn: so many
 * with one call, and so many calls. */
#define READ_AT_ONCE 8
#define READ_ROUNDS 8
/* Socket buffers: room for a batch without a context switch for each. */
#define SOCKET_BUFFER_BYTES (1 << 20)
#define FDS_MAX 4

struct packet {
	TAILQ_ENTRY(packet) entry;
	size_t len;
	int fd;
	uint8_t data[];
};

struct waiter {
	chan_done *done;
	void *arg;
};

struct chan {
	int fd;
	struct event *readable;
	struct event *writable;
	struct event *broken; /* made active when a send has failed */
	struct gate gate;
	const struct chan_ops *ops;
	void *arg;
	TAILQ_HEAD(, packet) queue;
	size_t queued;
	uint16_t unread; /* first message that the peer left no room for */
	bool dead;	 /* the socket is of no more use */
	bool deaf;	 /* the peer has ended; its last words may be there */
	bool reset;	 /* that it had not read all was told */
	bool busy;	 /* on_readable() is at work with it */
	bool gone;	 /* chan_free() was called meanwhile */
};

static uint64_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

static void
break_channel(struct chan *c)
{
	if (c->dead)
		return;
	c->dead = true;
	event_del(c->readable);
	event_del(c->writable);
	event_active(c->broken, EV_TIMEOUT, 1);
}

static void
on_broken(evutil_socket_t fd, short what, void *arg)
{
	struct chan *c = arg;

	(void)fd;
	(void)what;
	if (c->unread == MSG_NONE) {
		c->ops->closed(c);
		return;
	}
	/* To let others' words pile up is as much a flood as to send one. */
	counter_add(COUNTER_VIOLATIONS, 1);
	log_warnx("%s does not read what it is sent (%s)",
	    proc_name(c->gate.peer), msg_name(c->unread));
	c->ops->violation(c, c->unread, "does not read");
}

static void
violation(struct chan *c, uint16_t type, const char *reason)
{
	c->dead = true;
	event_del(c->readable);
	event_del(c->writable);
	counter_add(COUNTER_VIOLATIONS, 1);
	log_warnx("%s sent %s (0x%04x): %s", proc_name(c->gate.peer),
	    msg_name(type), type, reason);
	c->ops->violation(c, type, reason);
}

/*
 * recvmsg(2) gives 0 for the end of the channel and for a packet of no bytes,
 * which nobody honest sends; the socket knows which it was.
 */
static bool
hung_up(int sock)
{
	struct pollfd pfd = { .fd = sock };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) != 0;
}

static void
dispatch(struct chan *c, struct msg *m)
{
	const struct chan_handlers *h;

	for (h = c->ops->handlers; h->handler != NULL; h++)
		if (h->type == m->type) {
			h->handler(c, m);
			return;
		}
	/* child.c and clawd check at start that this cannot be. */
	fatalx("no handler for %s", msg_name(m->type));
}

/* The one descriptor of a packet in *fd; closes the rest. Returns how many. */
static unsigned int
take_fds(struct msghdr *mh, int *fd)
{
	struct cmsghdr *cm;
	unsigned int count = 0;
	size_t i, n;
	int got;

	*fd = -1;
	for (cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++, count++) {
			memcpy(&got, CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(int));
			if (*fd == -1)
				*fd = got;
			else
				close(got);
		}
	}
	/* Surplus descriptors that did not fit were closed by the kernel. */
	return (mh->msg_flags & MSG_CTRUNC) != 0 ? FDS_MAX + 1 : count;
}

/* Types whose packets are wiped when they have been sent and handled. */
static bool
is_secret(uint16_t type)
{
	return type == MSG_JOIN_BEGIN || type == MSG_NEXT_MADE ||
	    type == MSG_ROTATE || type == MSG_RECOVER;
}

static void
judge(struct chan *c, const void *packet, size_t len, int fd, unsigned int nfds)
{
	struct gate_request *asked;
	struct waiter *w;
	struct msg m = { .fd = -1 };
	const char *reason;

	counter_add(COUNTER_MESSAGES_IN, 1);
	switch (gate_check(&c->gate, packet, len, fd, nfds, now_s(), &m, &asked,
	    &reason)) {
	case GATE_PASS:
		dispatch(c, &m);
		break;
	case GATE_REPLY:
		w = asked->cookie;
		free(asked);
		w->done(c, &m, w->arg);
		free(w);
		break;
	case GATE_LATE:
		counter_add(COUNTER_LATE_REPLIES, 1);
		break;
	case GATE_REFUSE:
		m.fd = fd;
		violation(c, m.type, reason);
		break;
	}
	if (m.fd != -1)
		close(m.fd);
}

/* Where packets arrive, several with one call; nobody keeps one. */
static uint8_t inbox[READ_AT_ONCE][MSG_MAX_LEN + 1];
/* CMSG_SPACE() is a multiple of the alignment: every row has it. */
static _Alignas(struct cmsghdr) char inbox_fds[READ_AT_ONCE][CMSG_SPACE(
    FDS_MAX * sizeof(int))];

/* How many packets came, or -1. */
static int
receive(int sock, struct mmsghdr got[READ_AT_ONCE])
{
	struct iovec iov[READ_AT_ONCE];
	int i;

	for (i = 0; i < READ_AT_ONCE; i++) {
		iov[i] = (struct iovec){ inbox[i], sizeof(inbox[i]) };
		got[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_control = inbox_fds[i],
			.msg_controllen = sizeof(inbox_fds[i]) };
	}
	return recvmmsg(sock, got, READ_AT_ONCE,
	    MSG_CMSG_CLOEXEC | MSG_DONTWAIT, NULL);
}

static void
take_packet(struct chan *c, int sock, struct mmsghdr *got, uint8_t *packet)
{
	unsigned int nfds;
	size_t len = got->msg_len;
	int fd;

	/* Even a packet of no bytes can bring descriptors. */
	nfds = take_fds(&got->msg_hdr, &fd);
	if (c->dead) {
		/* One before it was the last that counts. */
		if (fd != -1)
			close(fd);
		return;
	}
	if (len == 0 && nfds == 0 && hung_up(sock)) {
		break_channel(c);
		return;
	}
	if ((got->msg_hdr.msg_flags & MSG_TRUNC) != 0 || len > MSG_MAX_LEN)
		len = 0; /* judged as a packet without a header */
	judge(c, packet, len, fd, nfds);
	if (len >= MSG_HEADER_LEN &&
	    is_secret((uint16_t)(packet[0] << 8 | packet[1])))
		explicit_bzero(packet, len);
}

static void
on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct mmsghdr got[READ_AT_ONCE];
	struct chan *c = arg;
	int i, n, round;

	(void)what;
	c->busy = true;
	for (round = 0; round < READ_ROUNDS && !c->dead; round++) {
		n = receive(sock, got);
		/* Told before what it has sent, which is there still. */
		if (n == -1 && errno == ECONNRESET && !c->reset) {
			c->reset = true;
			continue;
		}
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			break_channel(c);
		for (i = 0; i < n; i++)
			take_packet(c, sock, &got[i], inbox[i]);
		if (n < READ_AT_ONCE)
			break;
	}
	c->busy = false;
	if (c->gone)
		free(c);
}

/* 1 sent, 0 would block, -errno. */
static int
put_packet(int sock, const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	union {
		const void *in;
		void *out;
	} base = { .in = data };
	struct iovec iov = { base.out, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	if (sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) != -1)
		return 1;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static void
drop_packet(struct chan *c, struct packet *p)
{
	TAILQ_REMOVE(&c->queue, p, entry);
	c->queued -= p->len;
	if (p->fd != -1)
		close(p->fd);
	if (is_secret((uint16_t)(p->data[0] << 8 | p->data[1])))
		explicit_bzero(p->data, p->len);
	free(p);
}

/* Nothing can be sent. Who has ended is heard to the end first. */
static void
cannot_send(struct chan *c)
{
	struct packet *p;

	if (c->unread != MSG_NONE || !hung_up(c->fd)) {
		break_channel(c);
		return;
	}
	c->deaf = true;
	event_del(c->writable);
	while ((p = TAILQ_FIRST(&c->queue)) != NULL)
		drop_packet(c, p);
}

static void
on_writable(evutil_socket_t sock, short what, void *arg)
{
	struct chan *c = arg;
	struct packet *p;
	int r;

	(void)what;
	while ((p = TAILQ_FIRST(&c->queue)) != NULL) {
		r = put_packet(sock, p->data, p->len, p->fd);
		if (r == 0)
			return;
		if (r < 0) {
			cannot_send(c);
			return;
		}
		drop_packet(c, p);
	}
	event_del(c->writable);
}

static int
enqueue(struct chan *c, const void *data, size_t len, int fd)
{
	struct packet *p;

	if (!chan_has_room(c, len))
		return -ENOBUFS;
	p = malloc(sizeof(*p) + len);
	if (p == NULL)
		return -ENOMEM;
	p->fd = -1;
	if (fd != -1 && (p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) == -1) {
		free(p);
		return -errno;
	}
	p->len = len;
	memcpy(p->data, data, len);
	if (TAILQ_EMPTY(&c->queue))
		event_add(c->writable, NULL);
	TAILQ_INSERT_TAIL(&c->queue, p, entry);
	c->queued += len;
	return 0;
}

/* Sends or queues a packet that has been composed. */
static int
output(struct chan *c, uint16_t type, uint32_t id, int fd, struct wbuf *w)
{
	const struct msg_rule *rule = msg_rule(type);
	struct wbuf head;
	int r;

	if (c->dead || c->deaf)
		return -EPIPE;
	if (w->failed || (rule->reply != MSG_NONE && id == 0)) {
		break_channel(c);
		return -EINVAL;
	}
	if (rule->limit == LIMIT_REPLY && !gate_answer(&c->gate, id, type))
		fatalx("%s to %s answers nothing", rule->name,
		    proc_name(c->gate.peer));
	wbuf_init(&head, w->data, MSG_HEADER_LEN);
	wbuf_u16(&head, type);
	wbuf_u16(&head, 0);
	wbuf_u32(&head, (uint32_t)(w->len - MSG_HEADER_LEN));
	wbuf_u32(&head, id);
	r = TAILQ_EMPTY(&c->queue) ? put_packet(c->fd, w->data, w->len, fd) : 0;
	if (r == 0)
		r = enqueue(c, w->data, w->len, fd);
	if (r < 0) {
		if (r == -ENOBUFS)
			c->unread = type;
		cannot_send(c);
		return r;
	}
	counter_add(COUNTER_MESSAGES_OUT, 1);
	return 0;
}

struct chan *
chan_new(struct event_base *base, int fd, enum proc self, enum proc peer,
    const struct chan_ops *ops, void *arg)
{
	struct chan *c = calloc(1, sizeof(*c));
	int size = SOCKET_BUFFER_BYTES;

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->ops = ops;
	c->arg = arg;
	TAILQ_INIT(&c->queue);
	gate_init(&c->gate, self, peer);
	/* Bounded by the system's own limit; less is slower, not wrong. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable =
	    event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	c->broken = event_new(base, -1, 0, on_broken, c);
	if (c->readable == NULL || c->writable == NULL || c->broken == NULL ||
	    event_add(c->readable, NULL) == -1) {
		chan_free(c);
		errno = ENOMEM;
		return NULL;
	}
	return c;
}

void
chan_free(struct chan *c)
{
	struct gate_request *r;
	struct packet *p;
	struct waiter *w;

	if (c == NULL || c->gone)
		return;
	c->dead = true;
	c->gone = true;
	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	if (c->broken != NULL)
		event_free(c->broken);
	while ((p = TAILQ_FIRST(&c->queue)) != NULL)
		drop_packet(c, p);
	while ((r = TAILQ_FIRST(&c->gate.asked)) != NULL) {
		TAILQ_REMOVE(&c->gate.asked, r, entry);
		w = r->cookie;
		free(r);
		if (w != NULL) {
			w->done(c, NULL, w->arg);
			free(w);
		}
	}
	gate_clear(&c->gate);
	close(c->fd);
	if (!c->busy)
		free(c);
}

enum proc
chan_peer(const struct chan *c)
{
	return c->gate.peer;
}

void *
chan_arg(const struct chan *c)
{
	return c->arg;
}

void
chan_set_when(struct chan *c, enum msg_when when)
{
	c->gate.when = when;
}

void
chan_hold(struct chan *c)
{
	event_del(c->readable);
}

void
chan_resume(struct chan *c)
{
	if (!c->dead)
		event_add(c->readable, NULL);
}

uint32_t
chan_ask(struct chan *c, uint16_t type, chan_done *done, void *arg)
{
	struct waiter *w = malloc(sizeof(*w));
	uint32_t id = 0;

	if (w != NULL) {
		w->done = done;
		w->arg = arg;
		id = gate_ask(&c->gate, msg_rule(type), w);
		if (id == 0)
			free(w);
	}
	return id;
}

void
chan_cancel(struct chan *c, uint32_t id)
{
	struct gate_request *r;

	TAILQ_FOREACH(r, &c->gate.asked, entry)
		if (r->id == id) {
			free(r->cookie);
			r->cookie = NULL;
			return;
		}
}

void
chan_refuse(struct chan *c, const struct msg *m, uint16_t code, bool retry,
    const char *fmt, ...)
{
	struct msg_REFUSED no = { .code = code, .retry = retry };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(no.text, sizeof(no.text), fmt, ap);
	va_end(ap);
	(void)chan_send_REFUSED(c, m->id, -1, &no);
}

bool
chan_is_refused(const struct msg *m, struct msg_REFUSED *no)
{
	struct rbuf body;

	*no = (struct msg_REFUSED){ .code = EIO,
		.text = "a process has ended; its log says why" };
	if (m == NULL)
		return true;
	if (m->type != MSG_REFUSED)
		return false;
	body = m->body;
	if (!msg_get_REFUSED(&body, no))
		fatalx("malformed REFUSED");
	return true;
}

bool
chan_has_room(const struct chan *c, size_t len)
{
	return !c->dead && c->queued + len <= QUEUE_MAX_BYTES;
}

void
chan_flush(struct chan *c, int timeout_ms)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLOUT };

	while (!c->dead && !TAILQ_EMPTY(&c->queue) &&
	    poll(&pfd, 1, timeout_ms) == 1)
		on_writable(c->fd, EV_WRITE, c);
}

/* Where packets are composed; sent or copied before anybody else can. */
static uint8_t outbox[MSG_MAX_LEN];

#define MSG(name, ...)                                                         \
	int chan_send_##name(struct chan *c, uint32_t id, int fd,              \
	    const struct msg_##name *m)                                        \
	{                                                                      \
		struct wbuf w;                                                 \
		int r;                                                         \
                                                                               \
		wbuf_init(&w, outbox, sizeof(outbox));                         \
		w.len = MSG_HEADER_LEN;                                        \
		msg_put_##name(&w, m);                                         \
		r = output(c, MSG_##name, id, fd, &w);                         \
		if (is_secret(MSG_##name))                                     \
			explicit_bzero(outbox, w.len);                         \
		return r;                                                      \
	}
#include "policy/messages.def"
