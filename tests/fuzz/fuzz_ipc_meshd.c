/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_meshd.c - meshd under a keyd, an attestd, a controld and workers
 * taken over. What it dials is nothing: a connection that has been made.
 */
#include <sys/socket.h>

#include <unistd.h>

#include "common/child.h"

static int fuzz_socket(void);
static int fuzz_connect(int fd);
#define socket(domain, type, protocol) fuzz_socket()
#define connect(fd, address, len) fuzz_connect(fd)
/* Rooms in one, and names that more than one of them uses. */
#define take door_take
#include "door/accept.c"
#undef take
#include "door/address.c"
#define end conn_end
#include "door/conn.c"
#undef end
#undef connect
#undef socket
#include "door/pool.c"
#include "meshd/links.c"
#define add peers_add
#undef BACKOFF_MS
#undef BACKOFF_MAX_MS
#include "meshd/peers.c"
#undef add
#define begin pull_begin
#define end pull_end
#define where pull_where
#define on_overdue pull_on_overdue
#include "meshd/errand_pull.c"
#undef on_overdue
#undef begin
#undef where
#undef end
#undef WITHIN_S
#define end trial_end
#define where trial_where
#define on_overdue trial_on_overdue
#include "meshd/errand_try.c"
#undef on_overdue
#undef where
#undef end
#define main meshd_main
int meshd_main(int, char **);
#include "meshd/meshd.c"
#undef main

#include "tests/fuzz/ipc.h"

#define WORKERS_MAX 32

static uint32_t next_session;
/* Our ends of the workers' channels; ipc.h knows the current one. */
static int workers[WORKERS_MAX + 1];
static uint32_t current;

static void
use_worker(uint32_t session)
{
	workers[current] = ipc.end[PROC_LINKD];
	current = session <= WORKERS_MAX ? session : 0;
	ipc.end[PROC_LINKD] = workers[current];
}

static int
fuzz_socket(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		pair) == -1)
		abort();
	close(pair[1]);
	return pair[0];
}

static int
fuzz_connect(int fd)
{
	(void)fd;
	return 0;
}

static void
send_to(enum proc p, uint16_t type, uint32_t id, const struct wbuf *body)
{
	uint8_t packet[MSG_MAX_LEN];
	struct wbuf w;

	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, type);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, (uint32_t)body->len);
	wbuf_u32(&w, id);
	wbuf_put(&w, body->data, body->len);
	if (ipc.end[p] != -1)
		put_packet_to(p, packet, w.len, NULL, 0);
}

static void
somebody_connects(uint8_t how)
{
	struct address from = { .text = "192.0.2.1:7946", .key = { 4, how } };

	if (conn_can_attest() && !door.ended)
		conn_accepted(fuzz_socket(), &from, how % 2 != 0);
}

static void
answer_keyd(void)
{
	uint8_t body[4];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	send_to(PROC_KEYD, MSG_SESSION_SET, id_for(PROC_KEYD, 5), &w);
}

static void
attestd_says(uint8_t how)
{
	struct msg_SESSION_OPENED opened = { .joins = how & 1 };
	struct msg_SESSION_ATTESTED who = { .session = next_session - how % 4,
		.peer = "node2",
		.purpose = EVIDENCE_MESH };
	struct msg_PEER_ADDRESS at = { .peer = "node2",
		.addresses = "192.0.2.2:7946 192.0.2.3:7946" };
	struct msg_PULL_WANTED pull = { .session = who.session,
		.peer = "node2" };
	uint8_t body[256];
	struct wbuf w;

	who.peer[4] = pull.peer[4] = at.peer[4] = (char)('1' + how % 3);
	if (how & 8)
		at.addresses[0] = '\0';
	wbuf_init(&w, body, sizeof(body));
	switch (take() % 4) {
	case 0:
		msg_put_SESSION_OPENED(&w, &opened);
		send_to(PROC_ATTESTD, MSG_SESSION_OPENED,
		    id_for(PROC_ATTESTD, 5), &w);
		break;
	case 1:
		msg_put_SESSION_ATTESTED(&w, &who);
		send_to(PROC_ATTESTD, MSG_SESSION_ATTESTED, 0, &w);
		break;
	case 2:
		msg_put_PEER_ADDRESS(&w, &at);
		send_to(PROC_ATTESTD, MSG_PEER_ADDRESS, 0, &w);
		break;
	default:
		msg_put_PULL_WANTED(&w, &pull);
		send_to(PROC_ATTESTD, MSG_PULL_WANTED, 0, &w);
		break;
	}
}

static void
worker_says(uint8_t how)
{
	struct msg_LINK_UP up = { .purpose = EVIDENCE_MESH };
	struct msg_LINK_DOWN down = { .alert = how };
	struct msg_LINK_PONG pong = { .us = how };
	struct msg_LINK_PULLED pulled = { .taken = how };
	uint8_t body[512];
	struct wbuf w;

	if (next_session > 0)
		use_worker(1 + take() % next_session);
	listen_to(PROC_LINKD);
	wbuf_init(&w, body, sizeof(body));
	switch (how % 4) {
	case 0:
		msg_put_LINK_UP(&w, &up);
		send_to(PROC_LINKD, MSG_LINK_UP, 0, &w);
		break;
	case 1:
		msg_put_LINK_DOWN(&w, &down);
		send_to(PROC_LINKD, MSG_LINK_DOWN, 0, &w);
		break;
	case 2:
		msg_put_LINK_PONG(&w, &pong);
		send_to(PROC_LINKD, MSG_LINK_PONG, id_for(PROC_LINKD, 5), &w);
		break;
	default:
		msg_put_LINK_PULLED(&w, &pulled);
		send_to(PROC_LINKD, MSG_LINK_PULLED, id_for(PROC_LINKD, 5), &w);
		break;
	}
}

static void
controld_asks(uint8_t how)
{
	struct msg_TRY_PEER try = { .peer = "node2",
		.address = "192.0.2.9:7946" };
	uint8_t body[256];
	struct wbuf w;

	if (how & 1)
		try.address[0] = '\0';
	wbuf_init(&w, body, sizeof(body));
	msg_put_TRY_PEER(&w, &try);
	send_to(PROC_CONTROLD, MSG_TRY_PEER, ++ipc.next_id[PROC_CONTROLD], &w);
}

static void
ipc_step(uint8_t what)
{
	uint8_t how = what >> 3;

	if ((what & 7) == 6) {
		if (how % 3 == 0)
			somebody_connects(how);
		else if (how % 3 == 1)
			answer_keyd();
		else
			controld_asks(how);
	} else if (how & 16)
		worker_says(how & 15);
	else
		attestd_says(how);
}

static void
ipc_begin(void)
{
	size_t i;

	TAILQ_INIT(&my.tagged);
	memset(&conns, 0, sizeof(conns));
	TAILQ_INIT(&conns.all);
	memset(&known, 0, sizeof(known));
	TAILQ_INIT(&known.all);
	memset(&pool, 0, sizeof(pool));
	memset(&door, 0, sizeof(door));
	memset(recent, 0, sizeof(recent));
	TAILQ_INIT(&pulls);
	TAILQ_INIT(&trials);
	pull_count = trial_count = 0;
	recent_next = 0;
	started = draining = false;
	next_session = current = 0;
	for (i = 0; i <= WORKERS_MAX; i++)
		workers[i] = -1;
	prepare();
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_MESHD config = { .generation = 1,
		.node = "node1",
		.max_links = 8,
		.max_pending = 8,
		.per_address = 4,
		.handshake_ms = 1000,
		.pool = 2,
		.peers = "192.0.2.3:7946 [2001:db8::1]:7946" };

	msg_put_CONFIG_MESHD(w, &config);
}

/* clawd starts the worker that it is asked for: another one taken over. */
static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct msg_WORKER_STARTED done = { .proc = PROC_LINKD,
		.pid = 1,
		.session = next_session + 1 };
	uint8_t body[16];
	struct wbuf w;
	int pair[2];

	(void)peer;
	if (m->type != MSG_WORKER_START || next_session == WORKERS_MAX)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	workers[++next_session] = pair[0];
	use_worker(next_session);
	ipc.asks[PROC_LINKD] = 0;
	wbuf_init(&w, body, sizeof(body));
	msg_put_WORKER_STARTED(&w, &done);
	clawd_says(MSG_WORKER_STARTED, m->id, &w, pair[1]);
	close(pair[1]);
}

static void
ipc_end(void)
{
	struct conn *c;
	struct peer *p;
	struct tagged *t;
	size_t i;

	workers[current] = -1; /* closed already */
	for (i = 0; i <= WORKERS_MAX; i++)
		if (workers[i] != -1)
			close(workers[i]);
	while ((t = TAILQ_FIRST(&my.tagged)) != NULL && t->chan != NULL)
		on_peer_closed(t->chan);
	while ((c = TAILQ_FIRST(&conns.all)) != NULL)
		conn_end(c);
	while ((p = TAILQ_FIRST(&known.all)) != NULL)
		forget(p);
	event_free(conns.ended);
	event_free(known.settle);
	event_free(pool.later);
	event_free(drain_due);
	if (door.readable != NULL)
		event_free(door.readable);
	if (door.pause != NULL)
		event_free(door.pause);
}

static bool
ipc_may_die(const char *why)
{
	(void)why;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&meshd, data, len);
}
