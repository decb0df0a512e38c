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
#define BROKER_WORKER PROC_LINKD
#include "tests/fuzz/broker.h"

static void
broker_keep(int fd)
{
	close(fd);
}

static void
somebody_connects(uint8_t how)
{
	struct address from = { .text = "192.0.2.1:7946", .key = { 4, how } };

	if (conn_can_attest() && !door.ended)
		conn_accepted(fuzz_socket(), &from, how % 2 != 0, how % 3 == 0);
}

static void
answer_keyd(void)
{
	uint8_t body[4];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	send_to(PROC_KEYD, MSG_SESSION_SET, id_for(PROC_KEYD, 5), &w, -1);
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
		    id_for(PROC_ATTESTD, 5), &w, -1);
		break;
	case 1:
		msg_put_SESSION_ATTESTED(&w, &who);
		send_to(PROC_ATTESTD, MSG_SESSION_ATTESTED, 0, &w, -1);
		break;
	case 2:
		msg_put_PEER_ADDRESS(&w, &at);
		send_to(PROC_ATTESTD, MSG_PEER_ADDRESS, 0, &w, -1);
		break;
	default:
		msg_put_PULL_WANTED(&w, &pull);
		send_to(PROC_ATTESTD, MSG_PULL_WANTED, 0, &w, -1);
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
		send_to(PROC_LINKD, MSG_LINK_UP, 0, &w, -1);
		break;
	case 1:
		msg_put_LINK_DOWN(&w, &down);
		send_to(PROC_LINKD, MSG_LINK_DOWN, 0, &w, -1);
		break;
	case 2:
		msg_put_LINK_PONG(&w, &pong);
		send_to(PROC_LINKD, MSG_LINK_PONG, id_for(PROC_LINKD, 5), &w,
		    -1);
		break;
	default:
		msg_put_LINK_PULLED(&w, &pulled);
		send_to(PROC_LINKD, MSG_LINK_PULLED, id_for(PROC_LINKD, 5), &w,
		    -1);
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
	send_to(PROC_CONTROLD, MSG_TRY_PEER, ++ipc.next_id[PROC_CONTROLD], &w,
	    -1);
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
	door_begin();
	memset(&known, 0, sizeof(known));
	TAILQ_INIT(&known.all);
	memset(recent, 0, sizeof(recent));
	TAILQ_INIT(&pulls);
	TAILQ_INIT(&trials);
	pull_count = trial_count = 0;
	recent_next = 0;
	started = draining = false;
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

static void
ipc_end(void)
{
	struct peer *p;

	workers_close();
	door_drop();
	while ((p = TAILQ_FIRST(&known.all)) != NULL)
		forget(p);
	door_end();
	event_free(known.settle);
	event_free(drain_due);
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
