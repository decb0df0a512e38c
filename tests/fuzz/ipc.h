/* SPDX-License-Identifier: ISC */
/*
 * ipc.h - a process of the house under the words of a sibling taken over.
 *
 * fuzz_ipc_<process>.c includes the process's own source, then this: the real
 * handlers behind the real gate and channels, on real socketpairs, without
 * clawd, sandbox, disk (a folder on a memory file system) and fork. clawd's
 * words are honest, every sibling's are the input's.
 *
 * The input is a run of steps. A step: one byte (low three bits what, the
 * rest which peer), then for a packet
 *	u16  type
 *	u8   how: bits 0-2 the request id (see id_for()), 3-4 the header
 *	     (right, wrong length, flags, cut short), 5-7 descriptors
 *	u8   length of the body; 255: the next two bytes are
 *	     body
 */
#ifndef TESTS_FUZZ_IPC_H
#define TESTS_FUZZ_IPC_H

#include <sys/socket.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/counters.h"
#include "tests/fuzz/silent.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);
__attribute__((noreturn)) static void ipc_exit(int status);

/* Who ends itself in the middle of a call frees nothing. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

/*
 * Two files in one: a local name of the one may be a global of the other.
 * The process ends itself: for a fuzzer that is the end of the run.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#define _exit ipc_exit
#include "common/child.c"
#undef _exit
#pragma GCC diagnostic pop

/* What the process's file says of itself. */
static void ipc_begin(void);		/* before each run */
static void ipc_config(struct wbuf *w); /* body of its CONFIG */
static void ipc_step(uint8_t what);	/* what is left of the 3 bits */
static void ipc_reply(enum proc peer, const struct msg *m); /* it said */
static void ipc_end(void);				    /* after each run */
static bool ipc_may_die(const char *why);

static struct {
	const uint8_t *data;
	size_t len;
	sigjmp_buf over;
	int low;   /* from here on, all are a run's own */
	bool dead; /* it has ended itself */
	unsigned int connects;
	int end[PROC_MAX + 1];	     /* our ends of its channels */
	uint32_t next_id[PROC_MAX];  /* of our requests */
	uint32_t asked[PROC_MAX][8]; /* its requests to that peer */
	unsigned int asks[PROC_MAX];
	uint32_t last_id[PROC_MAX];
	uint32_t session; /* of the worker that was connected last */
	uint32_t session_of[PROC_MAX]; /* of each kind's last */
	uint8_t owner[512];	       /* which kind of worker has it */
	int file; /* a regular one, if it is ever sent one */
} ipc;

static void
ipc_exit(int status)
{
	(void)status;
	ipc.dead = true;
	siglongjmp(ipc.over, 1);
}

/* A fatal that a sibling can bring about is found. */
__attribute__((noreturn)) static void
die(const char *why)
{
	if (ipc_may_die(why))
		ipc_exit(70);
	fprintf(stderr, "a sibling made it say: %s\n", why);
	abort();
}

static uint8_t
take(void)
{
	if (ipc.len == 0)
		return 0;
	ipc.len--;
	return *ipc.data++;
}

static uint16_t
take16(void)
{
	uint8_t high = take();

	return (uint16_t)(high << 8 | take());
}

/* Runs what is due; every priority gets its turn. */
static void
turn(void)
{
	int i;

	/* One that was left by a jump is not entered again. */
	for (i = 0; i < 4 && !ipc.dead; i++)
		event_base_loop(my.base, EVLOOP_NONBLOCK);
}

static void
put_packet_to(enum proc p, const void *data, size_t len, const int *fds,
    unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control;
	union {
		const void *in;
		void *out;
	} base = { .in = data };
	struct iovec iov = { base.out, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	}
	(void)sendmsg(ipc.end[p], &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A message as an honest process composes it. body: NULL, it has none. */
static void
send_to(enum proc p, uint16_t type, uint32_t id, const struct wbuf *body,
    int fd)
{
	uint8_t packet[MSG_MAX_LEN];
	struct wbuf w;

	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, type);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, body == NULL ? 0 : (uint32_t)body->len);
	wbuf_u32(&w, id);
	if (body != NULL)
		wbuf_put(&w, body->data, body->len);
	if (ipc.end[p] != -1)
		put_packet_to(p, packet, w.len, &fd, fd == -1 ? 0 : 1);
}

/* One packet of clawd's: honest. */
static void
clawd_says(uint16_t type, uint32_t id, const struct wbuf *body, int fd)
{
	send_to(PROC_CLAWD, type, id, body, fd);
	turn();
}

/* Takes what the process has said on one channel. */
static void
listen_to(enum proc p)
{
	uint8_t packet[MSG_MAX_LEN];
	struct msg m;
	ssize_t n;

	while (ipc.end[p] != -1 &&
	    (n = recv(ipc.end[p], packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		m = (struct msg){ .fd = -1 };
		rbuf_init(&m.body, packet, (size_t)n);
		m.type = rbuf_u16(&m.body);
		(void)rbuf_take(&m.body, 6);
		m.id = rbuf_u32(&m.body);
		m.rule = msg_rule(m.type);
		/* What an honest process says is what the schema allows. */
		if (m.rule == NULL ||
		    !msg_body_valid(m.rule, m.body.data, m.body.len) ||
		    (m.rule->senders & PROC_BIT(my.child->self)) == 0 ||
		    (m.rule->receivers & PROC_BIT(p)) == 0)
			abort();
		if (m.rule->reply != MSG_NONE)
			ipc.asked[p][ipc.asks[p]++ % 8] = m.id;
		ipc_reply(p, &m);
	}
}

static void
listen_to_all(void)
{
	unsigned int p;

	for (p = 0; p < PROC_MAX; p++)
		listen_to((enum proc)p);
}

/* A worker's channels are tagged with its session, which is never reused. */
static void
connect_peer(enum proc p)
{
	struct msg_PEER peer = { .proc = (uint8_t)p };
	uint8_t body[8];
	struct wbuf w;
	int pair[2];

	if (p >= PROC_SUITE_END) {
		peer.session = ipc.session_of[p] = ++ipc.session;
		ipc.owner[ipc.session % sizeof(ipc.owner)] = (uint8_t)p;
	} else if (my.child->self >= PROC_SUITE_END)
		peer.session = 1;

	/* clawd does not flood either. */
	if (ipc.connects++ == 500)
		ipc_exit(0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	if (ipc.end[p] != -1)
		close(ipc.end[p]);
	ipc.end[p] = pair[0];
	ipc.next_id[p] = ipc.last_id[p] = 0;
	ipc.asks[p] = 0;
	wbuf_init(&w, body, sizeof(body));
	msg_put_PEER(&w, &peer);
	clawd_says(MSG_PEER, 0, &w, pair[1]);
	close(pair[1]);
}

/* Whether clawd makes channels between the two; to a worker of its own a
 * broker gets one with its answer. */
static bool
is_neighbour(enum proc p)
{
	return p < PROC_SUITE_END || my.child->self == PROC_KEYD ||
	    my.child->self == PROC_ATTESTD;
}

/* The siblings it has a channel to from the start. */
static size_t
peers_of(enum proc self, enum proc out[PROC_MAX])
{
	static const struct {
		enum proc a, b;
	} topology[] = {
#define CHANNEL(a, b, why) { PROC_##a, PROC_##b },
#include "policy/topology.def"
#undef CHANNEL
	};
	static const enum proc broker[PROC_MAX] = {
#define WORKER(worker, broker, at_once, ready_ms, why)                         \
	[PROC_##worker] = PROC_##broker,
#include "policy/workers.def"
#undef WORKER
	};
	size_t i, n = 0;

	if (broker[self] != PROC_CLAWD)
		out[n++] = broker[self];

	for (i = 0; i < sizeof(topology) / sizeof(topology[0]); i++) {
		if (topology[i].a == self)
			out[n++] = topology[i].b;
		else if (topology[i].b == self)
			out[n++] = topology[i].a;
	}
	/* Who has nobody still has a gate: somebody stands before it. */
	if (n == 0)
		out[n++] = PROC_KEYD;
	return n;
}

static uint32_t
id_for(enum proc p, unsigned int mode)
{
	unsigned int n = ipc.asks[p] < 8 ? ipc.asks[p] : 8;

	switch (mode) {
	case 0:
	case 1:
		return ipc.last_id[p] = ++ipc.next_id[p];
	case 2:
		return ipc.last_id[p];
	case 3:
		return 0;
	case 4:
		return take16();
	default: /* answers one of its last requests */
		return n == 0 ?
		    1 :
		    ipc.asked[p][(ipc.asks[p] - 1 - (mode - 5) % n) % 8];
	}
}

static void
say(enum proc p)
{
	uint8_t packet[MSG_MAX_LEN + 512];
	uint16_t type = take16();
	uint8_t how = take();
	size_t len = take(), cut;
	uint32_t id = id_for(p, how & 7);
	unsigned int nfds = how >> 5, i;
	int fds[8];
	struct wbuf w;

	if (len == 255)
		len = take16() % (sizeof(packet) - MSG_HEADER_LEN);
	if (len > ipc.len)
		len = ipc.len;
	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, type);
	wbuf_u16(&w, (how >> 3 & 3) == 2 ? 1 : 0);
	wbuf_u32(&w, (uint32_t)len + ((how >> 3 & 3) == 1 ? 1 : 0));
	wbuf_u32(&w, id);
	wbuf_put(&w, ipc.data, len);
	ipc.data += len;
	ipc.len -= len;
	cut = (how >> 3 & 3) == 3 ? w.len % MSG_HEADER_LEN : w.len;
	/* Few inputs are to be about descriptors alone. */
	nfds = nfds < 5 ? 0 : nfds - 4;
	for (i = 0; i < nfds; i++)
		fds[i] = (how & 1) != 0 ? ipc.end[p] :
		    ipc.file != 0	? ipc.file :
					  STDERR_FILENO;
	if (ipc.end[p] != -1)
		put_packet_to(p, packet, cut, fds, nfds);
}

static void
step(void)
{
	enum proc peers[PROC_MAX];
	size_t n = peers_of(my.child->self, peers);
	uint8_t what = take();
	enum proc p;
	uint8_t body[4] = { 0, 0, 0, 0 };
	struct wbuf w;

	for (p = PROC_SUITE_END; p < PROC_MAX; p++)
		if (ipc.end[p] != -1 && !is_neighbour(p))
			peers[n++] = p;
	p = peers[(what >> 3) % n];
	switch (what & 7) {
	case 0:
	case 1:
	case 2:
		say(p);
		turn();
		break;
	case 3:
		say(p); /* and the next comes together with it */
		break;
	case 4:
		if ((what >> 3 & 3) == 0 && ipc.end[p] != -1) {
			close(ipc.end[p]);
			ipc.end[p] = -1;
			turn();
		} else if (is_neighbour(p))
			connect_peer(p);
		break;
	case 5:
		wbuf_init(&w, body, sizeof(body));
		w.len = 4;
		if (my.when != WHEN_DRAIN && (what >> 3) == 31)
			clawd_says(MSG_DRAIN, 1000, &w, -1);
		break;
	default:
		ipc_step(what);
		turn();
		break;
	}
	listen_to_all();
}

static void
set_up(const struct child *who)
{
	struct event_config *cfg = event_config_new();

	signal(SIGPIPE, SIG_IGN);
	if (my.base != NULL)
		event_base_free(my.base);
	memset(&my, 0, sizeof(my));
	TAILQ_INIT(&my.tagged);
	my.child = who;
	my.when = WHEN_BOOT;
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	my.base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	event_base_priority_init(my.base, 3);
	set_handlers(who);
}

static void
begin(const struct child *who)
{
	enum proc peers[PROC_MAX];
	size_t i, n = peers_of(who->self, peers);
	uint8_t body[2048], generation[4] = { 0, 0, 0, 1 };
	static int low;
	struct wbuf w;
	int pair[2];

	set_up(who);
	ipc_begin();
	if (low == 0 && (low = fcntl(0, F_DUPFD_CLOEXEC, 3)) != -1)
		close(low);
	ipc.low = low;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	ipc.end[PROC_CLAWD] = pair[0];
	my.parent = chan_new(my.base, pair[1], who->self, PROC_CLAWD,
	    &parent_ops, NULL);
	wbuf_init(&w, body, sizeof(body));
	ipc_config(&w);
	clawd_says(who->config, 11, &w, -1);
	wbuf_init(&w, generation, sizeof(generation));
	w.len = 4;
	clawd_says(MSG_CONFIG_COMMIT, 12, &w, -1);
	for (i = 0; i < n; i++)
		connect_peer(peers[i]);
	/* Some say their first words too early. */
	while (ipc.len > 0 && (*ipc.data & 7) == 3)
		step();
	clawd_says(MSG_START, 13, NULL, -1);
	listen_to_all();
}

static void
end_run(void)
{
	unsigned int p;

	while (!TAILQ_EMPTY(&my.tagged))
		on_peer_closed(TAILQ_FIRST(&my.tagged)->chan);
	for (p = 0; p < PROC_MAX; p++) {
		if (my.peer[p] != NULL)
			on_peer_closed(my.peer[p]);
		if (ipc.end[p] != -1)
			close(ipc.end[p]);
		ipc.end[p] = -1;
	}
	/* Channels that were replaced learn of their ends. */
	turn();
	chan_free(my.parent);
	my.parent = NULL;
}

/*
 * A process that ended itself left its descriptors to the kernel, which is
 * us; one that lives on has given back every one that it was sent.
 */
static void
close_left(void)
{
	int fd;

	if (ipc.low == 0)
		return;
	for (fd = ipc.low; fd < ipc.low + 32 && !ipc.dead; fd++)
		if (fcntl(fd, F_GETFD) != -1) {
			fprintf(stderr, "descriptor %d was left open\n", fd);
			abort();
		}
	(void)close_range((unsigned int)ipc.low, ~0U, 0);
}

static int
ipc_run(const struct child *who, const uint8_t *data, size_t len)
{
	volatile bool ended = false;
	unsigned int p;

	memset(&ipc, 0, sizeof(ipc));
	for (p = 0; p < PROC_MAX; p++)
		ipc.end[p] = -1;
	ipc.data = data;
	ipc.len = len;
	if (sigsetjmp(ipc.over, 0) == 0) {
		begin(who);
		while (ipc.len > 0)
			step();
	}
	if (!ended && sigsetjmp(ipc.over, 0) == 0) {
		ended = true;
		end_run();
	}
	ipc_end();
	close_left();
	return 0;
}

#endif
