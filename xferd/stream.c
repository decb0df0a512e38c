/* SPDX-License-Identifier: ISC */
/*
 * stream.c - the data streams of a transfer.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/greet.h"
#include "common/log.h"
#include "xferd/control.h"
#include "xferd/receive.h"
#include "xferd/send.h"
#include "xferd/stream.h"
#include "xferd/xfer.h"

struct stream {
	enum { NONE, DIALLED, QUEUED, GREETING, RUNNING, LOST } state;
	uint8_t index;
	int fd; /* QUEUED */
	struct atls *tls;
	uint8_t exporter[SFT_EXPORTER_LEN];
};

static struct {
	unsigned int count; /* agreed on */
	uint8_t route[SFT_STREAMS_MAX][SFT_ROUTE_LEN];
	struct stream stream[SFT_STREAMS_MAX];
	struct greet *greet; /* one at a time */
	unsigned int greeting;
	unsigned int running; /* under the lock */
} st;

unsigned int
streams_running(void)
{
	unsigned int n;

	pthread_mutex_lock(&xf.lock);
	n = st.running;
	pthread_mutex_unlock(&xf.lock);
	return n;
}

/* --- in a thread -------------------------------------------------------- */

/* Once all is over there, nobody minds how a stream ends. */
static bool
is_needed(void)
{
	bool needed;

	pthread_mutex_lock(&xf.lock);
	needed = !xf.finished && (xf.sends || !receive_is_whole());
	pthread_mutex_unlock(&xf.lock);
	return needed;
}

static void
lost(struct stream *s, const char *why)
{
	uint8_t alert;

	if (!is_needed())
		return;
	xfer_fault(SFT_TIMEOUT, greet_blames_peer(why, &alert),
	    "stream %u: %.200s", s->index, why);
}

bool
stream_send(struct stream *s, const void *buf, size_t n)
{
	char why[192];

	if (atls_send(s->tls, buf, n, why, sizeof(why)) == 0)
		return true;
	lost(s, why);
	return false;
}

bool
stream_get(struct stream *s, void *buf, size_t n)
{
	uint8_t *p = buf;
	char why[192];
	ssize_t r;

	while (n > 0) {
		r = atls_recv(s->tls, p, n, why, sizeof(why));
		if (r <= 0) {
			lost(s, r == 0 ? "peer closed it early" : why);
			return false;
		}
		p += r;
		n -= (size_t)r;
	}
	return true;
}

void
stream_bye(struct stream *s)
{
	atls_bye(s->tls);
}

static bool
say_join(struct stream *s)
{
	struct sft_join join = { .index = s->index };
	uint8_t control[SFT_EXPORTER_LEN], out[SFT_JOIN_LEN];

	control_exporter(control);
	memcpy(join.id, xf.id, sizeof(join.id));
	if (sft_join_mac(control, s->exporter, xf.id, s->index, join.mac) !=
		0 ||
	    sft_join_format(&join, out) != 0)
		fatalx("JOIN cannot be made");
	return stream_send(s, out, sizeof(out));
}

static bool
take_join(struct stream *s)
{
	uint8_t control[SFT_EXPORTER_LEN], in[SFT_JOIN_LEN];
	struct sft_join join;

	if (!stream_get(s, in, sizeof(in)))
		return false;
	control_exporter(control);
	if (sft_join_parse(in, &join) == 0 &&
	    sft_join_check(&join, control, s->exporter, xf.id, s->index) == 0)
		return true;
	xfer_fault(SFT_PROTOCOL, false, "stream %u does not join this transfer",
	    s->index);
	return false;
}

static void *
run(void *arg)
{
	struct stream *s = arg;

	if (xf.sends) {
		if (say_join(s))
			send_run(s);
	} else if (take_join(s))
		receive_run(s);
	pthread_mutex_lock(&xf.lock);
	st.running--;
	pthread_mutex_unlock(&xf.lock);
	xfer_wake();
	return NULL;
}

/* --- on the way there --------------------------------------------------- */

static void next_greeting(void);

/* Of the sending end, that is the end; the other waits for who comes. */
static void
not_up(struct stream *s, bool by_peer, const char *why)
{
	s->state = LOST;
	if (xf.sends)
		xfer_fail(SFT_TIMEOUT, by_peer, "stream %u: %.200s", s->index,
		    why);
	else
		log_warnx("stream %u: %s", s->index, why);
}

static void
start(struct stream *s)
{
	int r = atls_exporter(s->tls, s->exporter);

	if (r == 0)
		r = atls_detach(s->tls);
	if (r != 0) {
		not_up(s, false, strerror(-r));
		return;
	}
	s->state = RUNNING;
	pthread_mutex_lock(&xf.lock);
	st.running++;
	pthread_mutex_unlock(&xf.lock);
	if (!xfer_thread(run, s))
		xfer_fail(SFT_IO, false, "no thread for stream %u", s->index);
}

static void
dial(unsigned int index)
{
	struct msg_XFER_DIAL ask = { .index = (uint8_t)index };

	if (index >= st.count)
		return;
	st.stream[index].state = DIALLED;
	(void)chan_send_XFER_DIAL(child_peer(PROC_SFTD), 0, -1, &ask);
}

static void
greeted(struct greet *g, const struct greet_result *r, void *arg)
{
	struct stream *s = arg;

	(void)g;
	st.greet = NULL;
	s->tls = r->tls;
	if (control_is_over()) {
		atls_free(s->tls);
		s->tls = NULL;
	} else if (r->theirs == NULL) {
		atls_free(s->tls);
		s->tls = NULL;
		not_up(s, r->by_peer, r->why);
	} else if (!control_is_peer(r->peer)) {
		atls_free(s->tls);
		s->tls = NULL;
		not_up(s, false, "another node than the transfer's");
	} else {
		start(s);
		/* By now the others may have carried all of it. */
		if (xf.sends && control_is_moving())
			dial(s->index + 1u);
	}
	next_greeting();
}

/* The route is in clear, before TLS; a new socket has room for it. */
static bool
say_route(const struct stream *s, int fd)
{
	return send(fd, st.route[s->index], SFT_ROUTE_LEN, MSG_NOSIGNAL) ==
	    SFT_ROUTE_LEN;
}

static void
next_greeting(void)
{
	struct greet_want want = {
		.role = xf.sends ? EVIDENCE_CLIENT : EVIDENCE_SERVER,
		.purposes = GREET_PURPOSE(EVIDENCE_SFT),
		.handshake_ms = control_handshake_ms(),
		.renonce = true,
	};
	struct stream *s = NULL;
	unsigned int i;
	int fd;

	if (st.greet != NULL || control_is_over())
		return;
	for (i = 0; i < st.count && s == NULL; i++)
		if (st.stream[i].state == QUEUED)
			s = &st.stream[i];
	if (s == NULL)
		return;
	fd = s->fd;
	s->fd = -1;
	s->state = GREETING;
	if (xf.sends && !say_route(s, fd)) {
		close(fd);
		not_up(s, false, strerror(errno));
		return;
	}
	st.greeting = s->index;
	st.greet =
	    greet_new(control_tls(), fd, control_key(), &want, greeted, s);
	if (st.greet == NULL)
		not_up(s, false, strerror(errno));
}

void
streams_begin(const struct sft_accept *accept)
{
	unsigned int i;

	st.count = accept->streams;
	memcpy(st.route, accept->route, sizeof(st.route));
	for (i = 0; i < SFT_STREAMS_MAX; i++) {
		st.stream[i].index = (uint8_t)i;
		st.stream[i].fd = -1;
	}
	if (xf.sends)
		dial(0);
}

bool
streams_take(uint8_t index, int fd)
{
	struct stream *s = &st.stream[index % SFT_STREAMS_MAX];

	if (index >= st.count || s->state != (xf.sends ? DIALLED : NONE) ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		return false;
	s->state = QUEUED;
	s->fd = fd;
	next_greeting();
	return true;
}

void
streams_head(uint64_t seq, const uint8_t head[32], const uint8_t turns[32])
{
	if (st.greet != NULL)
		greet_own_head(st.greet, seq, head, turns);
}

void
streams_interrupt(void)
{
	unsigned int i;

	for (i = 0; i < st.count; i++)
		if (st.stream[i].state == RUNNING)
			atls_interrupt(st.stream[i].tls);
}
