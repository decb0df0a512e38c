/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_sftd.c - sftd under a keyd, an attestd, an auditd, a controld and
 * workers taken over, with clients and connections, on real folders in a
 * memory file system. What it dials is nothing: a connection that was made.
 */
#include <sys/socket.h>

#include <unistd.h>

#include "common/child.h"

static int fuzz_socket(void);
static int fuzz_connect(int fd);
/* Descriptors that cannot be one of a run's own. */
enum { FUZZ_SFT_DIR = 200, FUZZ_FILES_DIR, FUZZ_LOG, FUZZ_SOURCE };
#define DESC_SFT_DIR FUZZ_SFT_DIR
#define DESC_FILES_DIR FUZZ_FILES_DIR
#define DESC_SFT_LOG FUZZ_LOG

#define socket(domain, type, protocol) fuzz_socket()
#define connect(fd, address, len) fuzz_connect(fd)
/* Rooms in one, and names that more than one of them uses. */
#define take door_take
#include "door/accept.c"
#undef take
#define end conn_end
#include "door/conn.c"
#undef end
#undef connect
#undef socket
#include "door/pool.c"
#include "sftd/record.c"
#include "sftd/transfer.c"
#define main sftd_main
int sftd_main(int, char **);
#include "sftd/sftd.c"
#undef main

#include "sftd/commit.h"
#include "tests/fuzz/ipc.h"
#define BROKER_WORKER PROC_XFERD
#include "tests/fuzz/broker.h"
#include "tests/fuzz/scratch.h"
#include "tests/lib/sftkit.h"

#define CLIENTS_MAX 8
#define SIZE 3000

/* Our ends of what is no channel. */
static int others[CLIENTS_MAX];
static unsigned int others_next;

static void
broker_keep(int fd)
{
	int *slot = &others[others_next++ % CLIENTS_MAX];

	if (*slot != -1)
		close(*slot);
	*slot = fd;
}

static struct transfer *
some_transfer(uint8_t how)
{
	struct transfer *t;
	unsigned int n = 0;

	TAILQ_FOREACH(t, transfer_all(), entry)
		if (n++ == how % 4u)
			return t;
	return TAILQ_FIRST(transfer_all());
}

/* A new one, or a stream of one that is taken. */
static void
somebody_connects(uint8_t how)
{
	struct address from = { .text = "192.0.2.1:7947", .key = { 4, how } };
	struct transfer *t = some_transfer(how);
	uint8_t first[16] = { 0x16 };
	int fd;

	if (!conn_can_attest() || door.ended)
		return;
	if ((how & 1) != 0 && t != NULL)
		memcpy(first, t->route[how % SFT_STREAMS_MAX], sizeof(first));
	fd = fuzz_socket();
	if (write(others[(others_next - 1) % CLIENTS_MAX], first,
		how % 7 == 6 ? 5 : sizeof(first)) == -1)
		abort();
	if (how % 5 == 4)
		broker_keep(-1);
	conn_accepted(fd, &from, how % 2 != 0, how % 3 == 0);
}

static void
siblings_answer(uint8_t how)
{
	struct msg_AUDIT_APPENDED written = { .shard = "2026-01",
		.number = how };
	uint8_t seal[SFT_SEAL_MAX], receipt[SFT_RECEIPT_MAX], body[2048];
	const struct transfer *t = some_transfer(take());
	struct msg_SEALED sealed = { .seal = seal };
	struct msg_RECEIPTED receipted = { .receipt = receipt };
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	switch (how % 4) {
	case 0:
		msg_put_AUDIT_APPENDED(&w, &written);
		send_to(PROC_AUDITD, MSG_AUDIT_APPENDED, id_for(PROC_AUDITD, 5),
		    &w, -1);
		break;
	case 1:
		send_to(PROC_KEYD, MSG_SESSION_SET, id_for(PROC_KEYD, 5), &w,
		    -1);
		break;
	case 2:
		if (t == NULL)
			break;
		sealed.seal_len =
		    (uint16_t)sftkit_seal("node1", "node2", t->what.id,
			t->what.digest, t->root, t->what.offer.size, seal);
		msg_put_SEALED(&w, &sealed);
		send_to(PROC_KEYD, MSG_SEALED, id_for(PROC_KEYD, 5), &w, -1);
		break;
	default:
		if (t == NULL)
			break;
		receipted.receipt_len = (uint16_t)sftkit_receipt("node1",
		    t->seal, t->seal_len, receipt);
		if (receipted.receipt_len == 0)
			break;
		msg_put_RECEIPTED(&w, &receipted);
		send_to(PROC_KEYD, MSG_RECEIPTED, id_for(PROC_KEYD, 5), &w, -1);
		break;
	}
}

static void
attestd_says(uint8_t how)
{
	struct msg_SESSION_OPENED opened = { .joins = 0 };
	struct msg_SESSION_ATTESTED who = { .session = next_session - how % 4,
		.peer = "node2",
		.purpose = how & 16 ? EVIDENCE_MESH : EVIDENCE_SFT,
		.capabilities = how & 32 ? 0 : UINT64_MAX,
		.own = how & 64 ? 0 : UINT64_MAX };
	struct msg_PEER_FOUND found = {
		.addresses = "192.0.2.2:7946 [2001:db8::1]:7946"
	};
	uint8_t body[512], seed[32];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	switch (take() % 3) {
	case 0:
		msg_put_SESSION_OPENED(&w, &opened);
		send_to(PROC_ATTESTD, MSG_SESSION_OPENED,
		    id_for(PROC_ATTESTD, 5), &w, -1);
		break;
	case 1:
		sftkit_key("node2", seed, who.key);
		msg_put_SESSION_ATTESTED(&w, &who);
		send_to(PROC_ATTESTD, MSG_SESSION_ATTESTED, 0, &w, -1);
		break;
	default:
		if (how & 1)
			found.addresses[0] = '\0';
		msg_put_PEER_FOUND(&w, &found);
		send_to(PROC_ATTESTD, MSG_PEER_FOUND, id_for(PROC_ATTESTD, 5),
		    &w, -1);
		break;
	}
}

static void
put_offered(struct wbuf *w, uint8_t how)
{
	static const char *const names[] = { "a", "b/c", "../d", "e\n" };
	const char *name = names[how % 4];
	struct sft_offer o = { .size = SIZE,
		.mtime_ns = how,
		.mode = 0644,
		.chunk_log2 = 20,
		.streams = (uint8_t)(1 + how % 8),
		.replace = how & 4,
		.dry = how & 8,
		.epoch = how };
	struct msg_XFER_OFFERED m = { .size = o.size,
		.mtime_ns = o.mtime_ns,
		.mode = o.mode,
		.chunk_log2 = o.chunk_log2,
		.streams = o.streams,
		.replace = o.replace,
		.dry = o.dry,
		.epoch = o.epoch };

	o.name_len = m.name_len = (uint16_t)strlen(name);
	memcpy(o.name, name, o.name_len);
	m.name = o.name;
	sft_offer_digest(&o, "node2", "node1", m.offer);
	msg_put_XFER_OFFERED(w, &m);
}

/* What a worker of a receiver says, and means. */
static void
receiver_says(uint8_t how, struct wbuf *w, uint32_t id)
{
	struct conn *c = conn_of(current);
	struct transfer *t = transfer_of(c);
	struct msg_XFER_COMPLETE m = { .size = SIZE };
	uint8_t seal[SFT_SEAL_MAX];

	if (how % 2 == 0 || t == NULL) {
		put_offered(w, take());
		send_to(PROC_XFERD, MSG_XFER_OFFERED, id, w, -1);
		return;
	}
	memset(m.root, how & 2 ? 7 : 0, sizeof(m.root));
	m.seal = seal;
	m.seal_len = (uint16_t)sftkit_seal("node2", "node1", t->what.id,
	    t->what.digest, m.root, SIZE, seal);
	seal[how % m.seal_len] ^= how & 4;
	msg_put_XFER_COMPLETE(w, &m);
	send_to(PROC_XFERD, MSG_XFER_COMPLETE, id, w, -1);
}

static void
sender_says(uint8_t how, struct wbuf *w, uint32_t id)
{
	struct conn *c = conn_of(current);
	struct transfer *t = transfer_of(c);
	struct msg_XFER_TAKEN taken = { .id = { 0x80, 1 },
		.epoch = 1 + how,
		.streams = 1,
		.have = how * 8 };
	struct msg_XFER_DIAL dial = { .index = how / 4 % 2 };
	struct msg_XFER_SEAL seal = { .root = { 3 }, .size = SIZE };
	uint8_t bytes[SFT_RECEIPT_MAX];
	struct msg_XFER_RECEIPT receipt = { .receipt = bytes };

	switch (how % 4) {
	case 0:
		if (t != NULL)
			memcpy(taken.offer, t->what.digest, 32);
		msg_put_XFER_TAKEN(w, &taken);
		send_to(PROC_XFERD, MSG_XFER_TAKEN, id, w, -1);
		break;
	case 1:
		msg_put_XFER_DIAL(w, &dial);
		send_to(PROC_XFERD, MSG_XFER_DIAL, 0, w, -1);
		break;
	case 2:
		msg_put_XFER_SEAL(w, &seal);
		send_to(PROC_XFERD, MSG_XFER_SEAL, id, w, -1);
		break;
	default:
		if (t == NULL)
			break;
		receipt.receipt_len = (uint16_t)sftkit_receipt("node2", t->seal,
		    t->seal_len, bytes);
		if (receipt.receipt_len == 0)
			break;
		bytes[how % receipt.receipt_len] ^= how & 4;
		msg_put_XFER_RECEIPT(w, &receipt);
		send_to(PROC_XFERD, MSG_XFER_RECEIPT, 0, w, -1);
		break;
	}
}

static void
worker_says(uint8_t how)
{
	struct msg_XFER_UP up = { 0 };
	struct msg_XFER_FAILED failed = { .code = how,
		.by_peer = how & 1,
		.text = "as the input says" };
	struct msg_XFER_PROGRESS moved = { .moved = how,
		.durable = how,
		.resent = how / 8,
		.same = how / 2,
		.wire = how };
	uint8_t body[4096];
	struct wbuf w;
	uint32_t id;

	if (next_session > 0)
		use_worker(1 + take() % next_session);
	listen_to(PROC_XFERD);
	id = ++ipc.next_id[PROC_XFERD];
	wbuf_init(&w, body, sizeof(body));
	switch (take() % 5) {
	case 0:
		msg_put_XFER_UP(&w, &up);
		send_to(PROC_XFERD, MSG_XFER_UP, 0, &w, -1);
		break;
	case 1:
		msg_put_XFER_FAILED(&w, &failed);
		send_to(PROC_XFERD, MSG_XFER_FAILED, 0, &w, -1);
		break;
	case 2:
		msg_put_XFER_PROGRESS(&w, &moved);
		send_to(PROC_XFERD, MSG_XFER_PROGRESS, 0, &w, -1);
		break;
	case 3:
		receiver_says(how, &w, id);
		break;
	default:
		sender_says(how, &w, id);
		break;
	}
}

/* With the source, or with something else. */
static void
client_comes(uint8_t how)
{
	struct msg_FILE_CLIENT which = { .transfer = last_number - how % 2 };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte[] = "S";
	struct iovec iov = { byte, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int pair[2], source = how & 4 ? STDERR_FILENO : FUZZ_SOURCE;
	struct cmsghdr *cm;
	uint8_t body[8];
	struct wbuf w;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	memset(&control, 0, sizeof(control));
	if ((how & 8) == 0) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &source, sizeof(int));
	}
	(void)sendmsg(pair[0], &mh, MSG_NOSIGNAL);
	wbuf_init(&w, body, sizeof(body));
	msg_put_FILE_CLIENT(&w, &which);
	send_to(PROC_CONTROLD, MSG_FILE_CLIENT, 0, &w, pair[1]);
	close(pair[1]);
	broker_keep(pair[0]);
}

static void
controld_asks(uint8_t how)
{
	struct msg_FILE_SEND s = { .peer = "node2",
		.name = (const uint8_t *)"x/y",
		.name_len = 3,
		.detach = how & 1,
		.dry = how == 7 };
	struct msg_FILE_ORDER order = { .order = (uint8_t)(1 + how % 3) };
	struct msg_FILE_RECEIPT receipt;
	struct msg_FILE_SHOW show = { .index = how };
	struct transfer *t = some_transfer(how);
	uint32_t id = ++ipc.next_id[PROC_CONTROLD];
	uint8_t body[256];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	switch (take() % 5) {
	case 0:
		msg_put_FILE_SEND(&w, &s);
		send_to(PROC_CONTROLD, MSG_FILE_SEND, id, &w, -1);
		break;
	case 1:
		client_comes(how);
		break;
	case 2:
		msg_put_FILE_SHOW(&w, &show);
		send_to(PROC_CONTROLD, MSG_FILE_SHOW, id, &w, -1);
		break;
	case 3:
		if (t != NULL)
			transfer_id(t, order.id);
		msg_put_FILE_ORDER(&w, &order);
		send_to(PROC_CONTROLD, MSG_FILE_ORDER, id, &w, -1);
		break;
	default:
		memset(&receipt, 0, sizeof(receipt));
		if (t != NULL)
			transfer_id(t, receipt.id);
		msg_put_FILE_RECEIPT(&w, &receipt);
		send_to(PROC_CONTROLD, MSG_FILE_RECEIPT, id, &w, -1);
		break;
	}
}

/* Somebody's connection ends, or time passes. */
static void
something_happens(uint8_t how)
{
	int *slot = &others[how % CLIENTS_MAX];

	if (how & 8) {
		on_tick(-1, 0, NULL);
		return;
	}
	if (*slot != -1)
		close(*slot);
	*slot = -1;
}

static void
ipc_step(uint8_t what)
{
	uint8_t how = what >> 3;

	if ((what & 7) == 6) {
		if (how % 4 == 0)
			somebody_connects(take());
		else if (how % 4 == 1)
			something_happens(how);
		else
			controld_asks(how >> 2);
	} else if (how % 4 == 0)
		attestd_says(take());
	else if (how % 4 == 1)
		siblings_answer(take());
	else
		worker_says(take());
}

static void
open_as(const char *name, int flags, int number)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	if ((flags & O_DIRECTORY) != 0 && mkdir(path, 0700) == -1)
		abort();
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd == -1 || dup3(fd, number, O_CLOEXEC) == -1)
		abort();
	close(fd);
}

static void
ipc_begin(void)
{
	size_t i;

	if (top[0] == '\0')
		scratch_make("sftd");
	else
		scratch_clean();
	open_as("sft", O_RDONLY | O_DIRECTORY, FUZZ_SFT_DIR);
	open_as("files", O_RDONLY | O_DIRECTORY, FUZZ_FILES_DIR);
	open_as("log", O_WRONLY | O_CREAT, FUZZ_LOG);
	open_as("source", O_RDWR | O_CREAT, FUZZ_SOURCE);
	if (ftruncate(FUZZ_SOURCE, SIZE) == -1)
		abort();
	door_begin();
	TAILQ_INIT(&all);
	last_number = 0;
	started = draining = false;
	others_next = 0;
	for (i = 0; i < CLIENTS_MAX; i++)
		others[i] = -1;
	prepare();
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_SFTD config = { .generation = 1,
		.accept = "allow",
		.node = "node1",
		.max_transfers = 4,
		.max_pending = 8,
		.per_address = 4,
		.handshake_ms = 1000,
		.pool = 2,
		.chunk_log2 = 20,
		.streams = 2,
		.window = 1 << 25,
		.max_bytes = 1 << 20 };

	msg_put_CONFIG_SFTD(w, &config);
}

static void
ipc_end(void)
{
	struct transfer *t;
	size_t i;

	workers_close();
	for (i = 0; i < CLIENTS_MAX; i++)
		if (others[i] != -1)
			close(others[i]);
	door_drop();
	/* Clients that are read out get their end. */
	if (!ipc.dead)
		event_base_loop(my.base, EVLOOP_NONBLOCK);
	while ((t = TAILQ_FIRST(&all)) != NULL)
		transfer_free(t);
	store_close();
	door_end();
	event_free(drain_due);
	event_free(hourly);
	event_free(tick);
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
	return ipc_run(&sftd, data, len);
}
