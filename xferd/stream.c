/* SPDX-License-Identifier: ISC */
/*
 * stream.c - the data streams of a transfer.
 *
 * One that breaks is not the end: the others go on. Who notices says LOST on
 * the control session, and the receiver always says how many chunks had come
 * whole by it; what is beyond them is sent again, by whichever stream is free.
 * Then another one is dialled in its place, a few times.
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

/* Connected, and not yet allowed to speak: then it is too old to be good. */
#define STALE_NS UINT64_C(2000000000)
/* Dialled for others that were lost; keyd has 16 leaves an hour for us. */
#define REPLACED_MAX 7

struct stream {
	enum { NONE, DIALLED, QUEUED, GREETING, RUNNING, ENDED, LOST } state;
	uint8_t index;
	int fd; /* QUEUED */
	uint64_t since_ns;
	struct greet *greet; /* GREETING */
	struct atls *tls;
	uint8_t exporter[SFT_EXPORTER_LEN];

	/* Of the sending end. */
	uint8_t birth; /* which one this is, of all that there were */
	bool told;     /* the peer, that it is lost */
	bool heard;    /* from it: */
	uint32_t came; /* that so many chunks had come whole */

	/* Under the lock, once it is RUNNING. */
	uint32_t chunks; /* begun, or come whole */
	bool leave;	 /* its thread is to end */
	bool left;	 /* and has */
	bool broken;	 /* because of this: */
	bool by_peer;
	char why[192];
};

static struct {
	unsigned int count; /* offered; agreed on, when it has begun */
	uint8_t route[SFT_STREAMS_MAX][SFT_ROUTE_LEN];
	struct stream stream[SFT_STREAMS_MAX];
	bool begun;   /* agreed on */
	uint8_t born; /* of those that ran */
	unsigned int replaced;
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
	pthread_mutex_lock(&xf.lock);
	s->broken = true;
	s->by_peer = greet_blames_peer(why, &alert);
	snprintf(s->why, sizeof(s->why), "%s", why);
	pthread_mutex_unlock(&xf.lock);
}

uint8_t
stream_birth(const struct stream *s)
{
	return s->birth;
}

uint32_t
stream_chunk(struct stream *s)
{
	return s->chunks++;
}

bool
stream_leaves(const struct stream *s)
{
	return s->leave;
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
	s->left = true;
	pthread_mutex_unlock(&xf.lock);
	xfer_wake();
	return NULL;
}

/* --- lost ones ---------------------------------------------------------- */

static void
dial(struct stream *s)
{
	struct msg_XFER_DIAL ask = { .index = s->index };

	s->state = DIALLED;
	(void)chan_send_XFER_DIAL(child_peer(PROC_SFTD), 0, -1, &ask);
}

/* Without any stream, the attempt is over. */
static void
look_for_others(const struct stream *last, bool by_peer, const char *why)
{
	unsigned int i;

	for (i = 0; i < st.count; i++)
		if (st.stream[i].state >= DIALLED &&
		    st.stream[i].state <= RUNNING)
			return;
	xfer_fail(SFT_TIMEOUT, by_peer, "stream %u: %.200s", last->index, why);
}

/*
 * It is not there, or not any more, and nothing is to be said about it. Of the
 * receiving end somebody may come in its place.
 */
static void
gone(struct stream *s, bool by_peer, const char *why)
{
	struct msg_XFER_ROUTE again = { .index = s->index };

	log_info("stream %u: %s", s->index, why);
	s->state = xf.sends ? LOST : NONE;
	if (!control_is_moving() || !is_needed())
		return;
	if (xf.sends)
		look_for_others(s, by_peer, why);
	else
		(void)chan_send_XFER_ROUTE(child_peer(PROC_SFTD), 0, -1,
		    &again);
}

/* One that was not up yet: nothing has come by it. */
static void
not_up(struct stream *s, bool by_peer, const char *why)
{
	if (!xf.sends)
		control_lost(s->index, 0);
	gone(s, by_peer, why);
}

/* Of the sending end: it is known what has come, and its thread has left. */
static void
settle(struct stream *s)
{
	send_lost(s->birth, s->came);
	if (st.replaced < REPLACED_MAX && control_is_moving()) {
		log_info("stream %u: %s; dialled again", s->index, s->why);
		st.replaced++;
		dial(s);
	} else
		gone(s, s->by_peer, s->why);
}

static void
left(struct stream *s)
{
	if (!s->broken && !s->leave) {
		s->state = ENDED;
		return;
	}
	if (s->tls != NULL) {
		atls_free(s->tls);
		s->tls = NULL;
	}
	if (!xf.sends) {
		control_lost(s->index, s->chunks);
		gone(s, s->by_peer, s->why);
	} else if (s->heard)
		settle(s);
	else if (!s->told) {
		s->told = true;
		control_lost(s->index, 0);
	}
}

void
streams_turn(void)
{
	unsigned int i;
	bool over;

	for (i = 0; i < st.count && !control_is_over(); i++) {
		pthread_mutex_lock(&xf.lock);
		over = st.stream[i].state == RUNNING && st.stream[i].left;
		pthread_mutex_unlock(&xf.lock);
		if (over)
			left(&st.stream[i]);
	}
}

/* Its thread is called back. */
static void
call_back(struct stream *s)
{
	pthread_mutex_lock(&xf.lock);
	s->leave = true;
	pthread_cond_broadcast(&xf.changed);
	pthread_mutex_unlock(&xf.lock);
	if (s->tls != NULL)
		atls_interrupt(s->tls);
	xfer_wake();
}

/* Of the receiving end: its peer has given it up. */
static void
given_up(struct stream *s)
{
	char unsaid[GREET_REASON_SIZE];

	if (s->state == RUNNING)
		call_back(s);
	else if (s->state == GREETING) {
		atls_free(greet_give_up(s->greet, unsaid));
		s->greet = NULL;
		not_up(s, true, "peer has lost it");
	}
}

const char *
streams_lost(uint8_t index, uint32_t chunks)
{
	struct stream *s = &st.stream[index];
	uint32_t begun;

	if (index >= st.count)
		return "peer has lost a stream that there is not";
	if (!xf.sends) {
		given_up(s);
		return NULL;
	}
	pthread_mutex_lock(&xf.lock);
	begun = s->state == RUNNING ? s->chunks : 0;
	pthread_mutex_unlock(&xf.lock);
	if (chunks > begun)
		return "peer has received more than it was sent";
	if (s->state != RUNNING && s->state != GREETING)
		return NULL; /* we have given it up as well */
	if (s->heard)
		return "peer has lost a stream twice";
	s->heard = true;
	s->came = chunks;
	if (s->state == RUNNING)
		call_back(s);
	return NULL;
}

void
streams_none(uint8_t index, const char *why)
{
	struct stream *s = &st.stream[index % SFT_STREAMS_MAX];

	if (s->state != DIALLED || control_is_over())
		return;
	if (st.begun)
		not_up(s, false, why);
	else
		s->state = NONE; /* once more, when it is needed */
}

/* --- on the way there --------------------------------------------------- */

static void
start(struct stream *s)
{
	int r = atls_exporter(s->tls, s->exporter);

	if (r == 0)
		r = atls_detach(s->tls);
	if (r != 0 || s->heard) {
		atls_free(s->tls);
		s->tls = NULL;
		not_up(s, false, r != 0 ? strerror(-r) : "peer has lost it");
		return;
	}
	s->birth = st.born++;
	s->chunks = 0;
	s->told = s->leave = s->left = s->broken = s->by_peer = false;
	snprintf(s->why, sizeof(s->why), "peer has lost it");
	pthread_mutex_lock(&xf.lock);
	s->state = RUNNING;
	st.running++;
	pthread_mutex_unlock(&xf.lock);
	if (!xfer_thread(run, s))
		xfer_fail(SFT_IO, false, "no thread for stream %u", s->index);
}

static void
greeted(struct greet *g, const struct greet_result *r, void *arg)
{
	struct stream *s = arg;

	(void)g;
	s->greet = NULL;
	s->tls = r->tls;
	if (!control_is_over() && r->theirs != NULL &&
	    control_is_peer(r->peer)) {
		start(s);
		return;
	}
	atls_free(s->tls);
	s->tls = NULL;
	if (control_is_over())
		return;
	/* Who comes as another one is no accident of the network's. */
	if (r->theirs != NULL)
		xfer_fail(SFT_ATTESTATION, false,
		    "stream %u: another node than the transfer's", s->index);
	else if (r->judged)
		xfer_fail(SFT_ATTESTATION, false, "stream %u: %.200s", s->index,
		    r->why);
	else
		not_up(s, r->by_peer, r->why);
}

/* The route is in clear, before TLS; a new socket has room for it. */
static bool
say_route(const struct stream *s, int fd)
{
	return send(fd, st.route[s->index], SFT_ROUTE_LEN, MSG_NOSIGNAL) ==
	    SFT_ROUTE_LEN;
}

/* All at the same time: attestd has a challenge for each. */
static void
greet(struct stream *s)
{
	struct greet_want want = {
		.role = xf.sends ? EVIDENCE_CLIENT : EVIDENCE_SERVER,
		.purposes = GREET_PURPOSE(EVIDENCE_SFT),
		.handshake_ms = control_handshake_ms(),
		.renonce = true,
	};
	int fd = s->fd;

	s->fd = -1;
	s->state = GREETING;
	s->heard = false;
	if (xf.sends && !say_route(s, fd)) {
		close(fd);
		not_up(s, false, strerror(errno));
		return;
	}
	s->greet =
	    greet_new(control_tls(), fd, control_key(), &want, greeted, s);
	if (s->greet == NULL)
		not_up(s, false, strerror(errno));
}

static void
init(void)
{
	unsigned int i;

	for (i = 0; i < SFT_STREAMS_MAX; i++) {
		st.stream[i].index = (uint8_t)i;
		st.stream[i].fd = -1;
	}
}

void
streams_ahead(unsigned int count)
{
	unsigned int i;

	init();
	st.count = count;
	for (i = 0; i < count; i++)
		dial(&st.stream[i]);
}

/* Nobody needs it, or the other end no longer waits for its route. */
static void
put_down(struct stream *s)
{
	close(s->fd);
	s->fd = -1;
	s->state = NONE;
}

void
streams_begin(const struct sft_accept *accept)
{
	struct stream *s;
	unsigned int i;

	if (st.count == 0)
		init();
	st.begun = true;
	st.count = accept->streams;
	memcpy(st.route, accept->route, sizeof(st.route));
	for (i = 0; xf.sends && i < SFT_STREAMS_MAX; i++) {
		s = &st.stream[i];
		if (s->state == QUEUED &&
		    (i >= st.count || xfer_now_ns() - s->since_ns > STALE_NS))
			put_down(s);
		if (s->state == QUEUED)
			greet(s);
		else if (s->state == NONE && i < st.count)
			dial(s);
	}
}

bool
streams_take(uint8_t index, int fd)
{
	struct stream *s = &st.stream[index % SFT_STREAMS_MAX];

	if (index >= st.count || s->state != (xf.sends ? DIALLED : NONE) ||
	    control_is_over() || fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		return false;
	s->state = QUEUED;
	s->fd = fd;
	s->since_ns = xfer_now_ns();
	if (st.begun)
		greet(s);
	return true;
}

void
streams_head(uint64_t seq, const uint8_t head[32], const uint8_t turns[32])
{
	unsigned int i;

	for (i = 0; i < SFT_STREAMS_MAX; i++)
		if (st.stream[i].greet != NULL)
			greet_own_head(st.stream[i].greet, seq, head, turns);
}

void
streams_interrupt(void)
{
	unsigned int i;

	for (i = 0; i < st.count; i++)
		if (st.stream[i].state == RUNNING)
			atls_interrupt(st.stream[i].tls);
}
