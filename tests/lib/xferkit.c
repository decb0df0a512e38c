/* SPDX-License-Identifier: ISC */
/*
 * xferkit.c - two real xferds, and everybody they speak with played by a test.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <blake3.h>

#include "common/evidence.h"
#include "common/log.h"
#include "common/receipt.h"
#include "common/sftjournal.h"
#include "tests/lib/xferkit.h"

#define MS 60000
#define BLOCK (1024 * 1024)

static uint32_t sessions = 5000;

/* --- files -------------------------------------------------------------- */

static int
open_in(const struct xfile *f, const char *name, int flags)
{
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd == -1) {
		perror(path);
		abort();
	}
	return fd;
}

/* Incompressible and cheap: xorshift. */
static void
fill(uint64_t *p, size_t words, uint64_t *state)
{
	uint64_t x = *state;
	size_t i;

	for (i = 0; i < words; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = x;
	}
	*state = x;
}

void
xferkit_file(struct xfile *f, const char *below, uint64_t size, uint8_t log2,
    uint64_t zero)
{
	static uint64_t block[BLOCK / 8], seed = 88172645463325252;
	blake3_hasher h;
	uint64_t at;
	size_t n;
	int fd;

	memset(f, 0, sizeof(*f));
	f->size = size;
	f->log2 = log2;
	snprintf(f->dir, sizeof(f->dir), "%s/xfer.XXXXXX", below);
	if (mkdtemp(f->dir) == NULL)
		abort();
	fd = open_in(f, "source", O_CREAT | O_RDWR);
	if (ftruncate(fd, (off_t)size) == -1)
		abort();
	blake3_hasher_init(&h);
	for (at = 0; at < size; at += n) {
		n = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
		if (at < zero)
			memset(block, 0, sizeof(block));
		else
			fill(block, BLOCK / 8, &seed);
		blake3_hasher_update(&h, block, n);
		if (at >= zero && pwrite(fd, block, n, (off_t)at) != (ssize_t)n)
			abort();
	}
	blake3_hasher_finalize(&h, f->root, 32);
	fill((uint64_t *)(void *)block, 2, &seed);
	memcpy(f->id, block, sizeof(f->id));
	close(fd);
}

void
xferkit_remove(struct xfile *f)
{
	static const char *const name[] = { "source", "partial", "journal",
		"basis", "basis.journal" };
	char path[320];
	size_t i;

	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, name[i]);
		(void)unlink(path);
	}
	(void)rmdir(f->dir);
}

static void
hash_source(struct xfile *f)
{
	static uint8_t block[BLOCK];
	int fd = open_in(f, "source", O_RDONLY);
	blake3_hasher h;
	ssize_t n;

	blake3_hasher_init(&h);
	while ((n = read(fd, block, sizeof(block))) > 0)
		blake3_hasher_update(&h, block, (size_t)n);
	if (n == -1)
		abort();
	blake3_hasher_finalize(&h, f->root, 32);
	close(fd);
}

void
xferkit_words(struct xfile *f, const char *below, uint64_t size, uint8_t log2)
{
	static const char words[] = "a file of words, which compress; ";
	char line[64];
	uint64_t at;
	FILE *out;
	int n;

	xferkit_file(f, below, size, log2, size);
	out = fdopen(open_in(f, "source", O_RDWR), "r+");
	if (out == NULL)
		abort();
	for (at = 0; at < size; at += (uint64_t)n) {
		n = snprintf(line, sizeof(line), "%llu %s",
		    (unsigned long long)(at * 2654435761 % 100003), words);
		if ((uint64_t)n > size - at)
			n = (int)(size - at);
		if (fwrite(line, 1, (size_t)n, out) != (size_t)n)
			abort();
	}
	if (fclose(out) != 0)
		abort();
	hash_source(f);
}

void
xferkit_keep(struct xfile *f)
{
	static const char *const move[][2] = { { "partial", "basis" },
		{ "journal", "basis.journal" } };
	char from[320], to[320];
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(from, sizeof(from), "%s/%s", f->dir, move[i][0]);
		snprintf(to, sizeof(to), "%s/%s", f->dir, move[i][1]);
		if (rename(from, to) == -1)
			abort();
	}
}

void
xferkit_change(struct xfile *f, uint64_t size, uint64_t at)
{
	int fd = open_in(f, "source", O_RDWR);
	uint8_t byte;

	if (ftruncate(fd, (off_t)size) == -1 ||
	    pread(fd, &byte, 1, (off_t)at) != 1)
		abort();
	byte ^= 0x20;
	if (pwrite(fd, &byte, 1, (off_t)at) != 1)
		abort();
	close(fd);
	f->size = size;
	hash_source(f);
}

bool
xferkit_same(const struct xfile *f)
{
	static uint8_t a[BLOCK], b[BLOCK];
	int s = open_in(f, "source", O_RDONLY);
	int p = open_in(f, "partial", O_RDONLY);
	bool same = true;
	ssize_t n, m;

	do {
		n = read(s, a, sizeof(a));
		m = read(p, b, sizeof(b));
		same = n == m && n >= 0 && memcmp(a, b, (size_t)n) == 0;
	} while (same && n > 0);
	close(s);
	close(p);
	return same;
}

/* --- sockets ------------------------------------------------------------ */

void
xferkit_pair(bool tcp, int pair[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int l, one = 1;

	if (!tcp) {
		if (socketpair(AF_UNIX,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			pair) == -1)
			abort();
		return;
	}
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l == -1 || pair[0] == -1 ||
	    bind(l, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(l, 1) == -1 ||
	    getsockname(l, (struct sockaddr *)&sin, &len) == -1 ||
	    connect(pair[0], (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    (pair[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC)) == -1)
		abort();
	close(l);
	(void)setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
}

/* --- keyd, attestd ------------------------------------------------------ */

static void
on_leaf(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);
	uint8_t der[EVIDENCE_CERT_MAX];
	struct msg_LEAF_ISSUED out = { .leaf = der };
	struct msg_LEAF ask;

	if (!msg_get_LEAF(&m->body, &ask))
		abort();
	if (e->who.leaves++ > 0 &&
	    memcmp(e->who.spki, ask.spki, sizeof(ask.spki)) != 0)
		snprintf(e->fault, sizeof(e->fault), "another session key");
	if (ask.purpose != EVIDENCE_SFT)
		snprintf(e->fault, sizeof(e->fault), "another purpose");
	memcpy(e->who.spki, ask.spki, sizeof(ask.spki));
	out.leaf_len = (uint16_t)linkkit_leaf(&e->who, e->role, ask.purpose,
	    ask.spki, ask.verifier, ask.prover, der, sizeof(der));
	(void)chan_send_LEAF_ISSUED(c, m->id, -1, &out);
}

static void
new_nonce(struct xend *e)
{
	memset(e->who.nonce, 0, sizeof(e->who.nonce));
	snprintf((char *)e->who.nonce, sizeof(e->who.nonce), "%s %u",
	    e->who.name, ++e->who.nonces);
}

/* Any challenge that was made, once. */
static bool
answers(struct xend *e, const uint8_t nonce[32])
{
	char text[33] = "", name[33];
	unsigned int n;

	memcpy(text, nonce, 32);
	if (sscanf(text, "%32s %u", name, &n) != 2 ||
	    strcmp(name, e->who.name) != 0 || n > e->who.nonces ||
	    n >= sizeof(e->answered) || e->answered[n])
		return false;
	e->answered[n] = true;
	return true;
}

static const char *
judge(struct xend *e, const struct msg_JUDGE *ask)
{
	uint8_t sig[EVIDENCE_SIG_LEN];
	struct evidence ev;

	if (evidence_parse(ask->leaf, ask->leaf_len, &ev, sig) != 0)
		return "no leaf";
	if (evidence_verify_sig(&ev, sig, e->who.other->key) != 0)
		return "signature";
	if (!answers(e, ev.verifier_nonce))
		return "verifier's nonce";
	if (memcmp(ev.prover_nonce, ask->prover, 32) != 0)
		return "prover's nonce";
	if (ev.purpose != EVIDENCE_SFT || ev.role == e->role)
		return "purpose or role";
	if (e->who.judged > 0 &&
	    memcmp(ev.spki, e->who.seen_spki, sizeof(ev.spki)) != 0)
		return "another session key";
	memcpy(e->who.seen_spki, ev.spki, sizeof(ev.spki));
	return NULL;
}

static void
on_judge(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);
	struct msg_VERDICT v = { .alert = e->who.alert, .seq = e->who.seq };
	struct msg_JUDGE ask;
	const char *wrong;

	if (!msg_get_JUDGE(&m->body, &ask))
		abort();
	wrong = judge(e, &ask);
	if (wrong != NULL) {
		snprintf(e->fault, sizeof(e->fault), "evidence: %s", wrong);
		v.alert = 42;
	}
	snprintf(v.peer, sizeof(v.peer), "%s", e->who.other->name);
	snprintf(v.reason, sizeof(v.reason), "%s",
	    wrong != NULL ? wrong : "the test says so");
	v.until = (uint64_t)time(NULL) + e->who.verdict_s;
	linkkit_head(e->who.seq, v.head);
	(void)chan_send_VERDICT(c, m->id, -1, &v);
	e->who.judged++;
}

static void
on_renonce(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);
	struct msg_NONCE out;

	new_nonce(e);
	memcpy(out.nonce, e->who.nonce, sizeof(out.nonce));
	(void)chan_send_NONCE(c, m->id, -1, &out);
}

static void
on_checkpoints(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
}

static void
on_link_failed(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);

	if (!msg_get_LINK_FAILED(&m->body, &e->who.link_failed))
		abort();
	e->who.failed = true;
}

/* --- sftd --------------------------------------------------------------- */

static void
on_up(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);

	(void)m;
	e->up = true;
}

void
xferkit_offer(struct xend *e)
{
	static const uint8_t name[] = "a file";
	struct msg_XFER_OFFER o = { .name = name,
		.name_len = sizeof(name) - 1,
		.size = e->file->size,
		.mode = 0640,
		.chunk_log2 = e->file->log2,
		.streams = e->streams,
		.rate = e->rate,
		.packed = e->packed,
		.epoch = e->file->epoch };
	int fd = open_in(e->file, "source", O_RDONLY);

	(void)chan_send_XFER_OFFER(e->sftd, 0, fd, &o);
	close(fd);
}

/* The journal of this attempt; a later epoch in it is the worker's to add. */
static void
next_epoch(struct xend *e, int fd)
{
	struct sftjournal_head h = { .size = e->file->size,
		.chunk_log2 = e->file->log2,
		.epoch = ++e->file->epoch };
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_size >= SFTJOURNAL_HEAD_LEN)
		return;
	if (ftruncate(fd, 0) == -1)
		abort();
	memcpy(h.id, e->file->id, sizeof(h.id));
	memcpy(h.offer, e->digest, sizeof(h.offer));
	snprintf(h.sender, sizeof(h.sender), "%s", e->other->who.name);
	snprintf(h.receiver, sizeof(h.receiver), "%s", e->who.name);
	if (sftjournal_create(fd, &h) != 0)
		abort();
}

static void
hand_basis(struct xend *e)
{
	static const char *const name[] = { "basis", "basis.journal" };
	struct msg_XFER_BASIS is;
	char path[320];
	int fd;

	for (is.which = 0; is.which < 2; is.which++) {
		snprintf(path, sizeof(path), "%s/%s", e->file->dir,
		    name[is.which]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd == -1)
			return;
		(void)chan_send_XFER_BASIS(e->sftd, 0, fd, &is);
		close(fd);
	}
}

static void
on_offered(struct chan *c, struct msg *m)
{
	static const struct msg_XFER_JOURNAL none;
	struct xend *e = chan_arg(c);
	struct msg_XFER_OFFERED o;
	struct msg_XFER_TAKE take = { 0 };
	uint8_t i;
	int p, j;

	if (!msg_get_XFER_OFFERED(&m->body, &o))
		abort();
	e->offered = true;
	memcpy(e->digest, o.offer, sizeof(e->digest));
	if (e->refuse != 0) {
		chan_refuse(c, m, e->refuse, false, "the test says no");
		return;
	}
	p = open_in(e->file, "partial", O_CREAT | O_RDWR);
	j = open_in(e->file, "journal", O_CREAT | O_RDWR);
	if (ftruncate(p, (off_t)o.size) == -1)
		abort();
	next_epoch(e, j);
	take.epoch = e->file->epoch;
	take.streams = o.streams;
	take.packed = e->packed;
	memcpy(take.id, e->file->id, sizeof(take.id));
	for (i = 0; i < o.streams; i++) {
		memset(e->route[i], 'r', SFT_ROUTE_LEN);
		e->route[i][1] = i;
		e->route[i][2] = (uint8_t)e->file->epoch;
	}
	take.routes = e->route[0];
	take.routes_len = (uint16_t)(o.streams * SFT_ROUTE_LEN);
	(void)chan_send_XFER_JOURNAL(c, 0, j, &none);
	hand_basis(e);
	(void)chan_send_XFER_TAKE(c, m->id, p, &take);
	close(p);
	close(j);
}

static void
on_taken(struct chan *c, struct msg *m)
{
	static const struct msg_XFER_GO go;
	struct xend *e = chan_arg(c);
	struct msg_XFER_TAKEN taken;

	if (!msg_get_XFER_TAKEN(&m->body, &taken))
		abort();
	e->taken = true;
	e->have = taken.have;
	memcpy(e->digest, taken.offer, sizeof(e->digest));
	(void)chan_send_XFER_GO(c, m->id, -1, &go);
}

void
xferkit_stream(struct xend *e, uint8_t index, int fd)
{
	struct msg_XFER_STREAM s = { .index = index };

	if (e->sftd != NULL)
		(void)chan_send_XFER_STREAM(e->sftd, 0, fd, &s);
	close(fd);
}

/* What the listener does: by its route id the connection finds its worker. */
static void
on_route(evutil_socket_t fd, short what, void *arg)
{
	struct xend *e = arg;
	uint8_t route[SFT_ROUTE_LEN];
	uint8_t i;

	(void)what;
	if (recv(fd, route, sizeof(route), 0) != sizeof(route)) {
		close(fd);
		return;
	}
	for (i = 0; i < SFT_STREAMS_MAX; i++)
		if (memcmp(e->route[i], route, sizeof(route)) == 0) {
			xferkit_stream(e, i, fd);
			return;
		}
	snprintf(e->fault, sizeof(e->fault), "a route that is none");
	close(fd);
}

static void
on_dial(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);
	struct msg_XFER_DIAL dial;
	int pair[2];

	if (!msg_get_XFER_DIAL(&m->body, &dial))
		abort();
	xferkit_pair(e->tcp, pair);
	if (e->line[dial.index] > 0)
		close(e->line[dial.index]);
	e->line[dial.index] = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
	e->dials++;
	if (e->keep_streams) {
		e->kept[dial.index] = pair[1];
	} else
		event_base_once(linkkit_base(), pair[1], EV_READ, on_route,
		    e->other, NULL);
	xferkit_stream(e, dial.index, pair[0]);
}

static void
on_route_again(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);

	(void)m;
	e->routes_again = true;
}

static void
on_progress(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);

	if (!msg_get_XFER_PROGRESS(&m->body, &e->progress))
		abort();
	e->progresses++;
}

static void
on_seal(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);
	struct receipt_seal seal = { .size = e->file->size };
	uint8_t out[SFT_SEAL_MAX];
	struct msg_XFER_SEALED sealed = { .seal = out };
	struct msg_XFER_SEAL ask;
	ssize_t n;

	if (!msg_get_XFER_SEAL(&m->body, &ask))
		abort();
	memcpy(e->root, ask.root, sizeof(e->root));
	memcpy(seal.id, e->file->id, sizeof(seal.id));
	memcpy(seal.offer, e->digest, sizeof(seal.offer));
	memcpy(seal.root, ask.root, sizeof(seal.root));
	snprintf(seal.sender.name, sizeof(seal.sender.name), "%s", e->who.name);
	snprintf(seal.receiver, sizeof(seal.receiver), "%s",
	    e->other->who.name);
	memcpy(seal.sender.key, e->who.key, sizeof(seal.sender.key));
	n = receipt_seal_format(&seal, out, sizeof(out));
	if (n < 0)
		abort();
	e->sealed = true;
	sealed.seal_len = (uint16_t)n;
	(void)chan_send_XFER_SEALED(c, m->id, -1, &sealed);
}

static void
on_complete(struct chan *c, struct msg *m)
{
	static const uint8_t receipt[] = "a receipt";
	struct xend *e = chan_arg(c);
	struct msg_XFER_COMMITTED done = { .receipt = receipt,
		.receipt_len = sizeof(receipt) - 1 };
	struct msg_XFER_COMPLETE complete;

	if (!msg_get_XFER_COMPLETE(&m->body, &complete))
		abort();
	e->complete = true;
	memcpy(e->root, complete.root, sizeof(e->root));
	(void)chan_send_XFER_COMMITTED(c, m->id, -1, &done);
}

static void
on_receipt(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);

	(void)m;
	e->receipt = true;
}

static void
on_failed(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);

	if (!msg_get_XFER_FAILED(&m->body, &e->failed))
		abort();
	e->has_failed = true;
}

/* --- clawd -------------------------------------------------------------- */

static void
on_hello(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);
	struct msg_HELLO hello;

	if (!msg_get_HELLO(&m->body, &hello) || hello.failed != 0)
		snprintf(e->fault, sizeof(e->fault), "its sandbox is open");
}

static void
on_violation(struct chan *c, struct msg *m)
{
	struct xend *e = chan_arg(c);
	struct msg_VIOLATION v;

	if (msg_get_VIOLATION(&m->body, &v))
		snprintf(e->fault, sizeof(e->fault), "it reported %s of %s",
		    v.reason, msg_name(v.type));
}

static void
closed(struct chan *c)
{
	struct xend *e = chan_arg(c);
	int status;

	if (c == e->clawd) {
		e->clawd = NULL;
		if (waitpid(e->pid, &status, 0) == e->pid) {
			e->status = status;
			e->pid = 0;
		}
		e->ended = true;
	} else if (c == e->keyd)
		e->keyd = NULL;
	else if (c == e->attestd)
		e->attestd = NULL;
	else if (c == e->sftd)
		e->sftd = NULL;
	chan_free(c);
}

static void
violation(struct chan *c, uint16_t type, const char *reason)
{
	struct xend *e = chan_arg(c);

	snprintf(e->fault, sizeof(e->fault), "it sent %s: %s", msg_name(type),
	    reason);
	closed(c);
}

#define OPS(who, ...)                                                          \
	static const struct chan_handlers who##_handlers[] = { __VA_ARGS__,    \
		{ 0, NULL } };                                                 \
	static const struct chan_ops who##_ops = { who##_handlers, closed,     \
		violation };
OPS(clawd, { MSG_HELLO, on_hello }, { MSG_VIOLATION, on_violation })
OPS(keyd, { MSG_LEAF, on_leaf })
OPS(attestd, { MSG_JUDGE, on_judge }, { MSG_RENONCE, on_renonce },
    { MSG_PEER_CHECKPOINTS, on_checkpoints },
    { MSG_LINK_FAILED, on_link_failed })
OPS(sftd, { MSG_XFER_UP, on_up }, { MSG_XFER_OFFERED, on_offered },
    { MSG_XFER_TAKEN, on_taken }, { MSG_XFER_DIAL, on_dial },
    { MSG_XFER_PROGRESS, on_progress }, { MSG_XFER_SEAL, on_seal },
    { MSG_XFER_COMPLETE, on_complete }, { MSG_XFER_RECEIPT, on_receipt },
    { MSG_XFER_FAILED, on_failed }, { MSG_XFER_ROUTE, on_route_again })

static struct chan *
sibling(struct xend *e, enum proc p, const struct chan_ops *ops)
{
	struct msg_PEER peer = { .proc = (uint8_t)p, .session = sessions };
	struct chan *c;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	(void)chan_send_PEER(e->clawd, 0, pair[1], &peer);
	close(pair[1]);
	c = chan_new(linkkit_base(), pair[0], p, PROC_XFERD, ops, e);
	chan_set_when(c, WHEN_RUN);
	return c;
}

static void
on_ready(struct chan *c, struct msg *m, void *arg)
{
	struct xend *e = arg;

	(void)c;
	e->ready = m != NULL && m->type == MSG_READY;
}

static void
on_committed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_START start = { 0 };
	struct xend *e = arg;

	if (m == NULL || m->type != MSG_CONFIG_COMMITTED)
		return;
	sessions++;
	e->sftd = sibling(e, PROC_SFTD, &sftd_ops);
	e->keyd = sibling(e, PROC_KEYD, &keyd_ops);
	e->attestd = sibling(e, PROC_ATTESTD, &attestd_ops);
	(void)chan_send_START(c, chan_ask(c, MSG_START, on_ready, e), -1,
	    &start);
}

static void
on_staged(struct chan *c, struct msg *m, void *arg)
{
	struct msg_CONFIG_COMMIT commit = { .generation = 1 };

	if (m != NULL && m->type == MSG_CONFIG_STAGED)
		(void)chan_send_CONFIG_COMMIT(c,
		    chan_ask(c, MSG_CONFIG_COMMIT, on_committed, arg), -1,
		    &commit);
}

/* --- both --------------------------------------------------------------- */

bool
xferkit_start_one(struct xend *e, const char *name, struct xend *other,
    struct xfile *f, bool sends)
{
	struct msg_CONFIG_WORKER conf = { .generation = 1,
		.log_level = LOG_LEVEL_WARN };
	int clawd;

	memset(e, 0, sizeof(*e));
	linkkit_identity(&e->who, name, &other->who);
	e->other = other;
	e->file = f;
	e->sends = sends;
	e->role = sends ? EVIDENCE_CLIENT : EVIDENCE_SERVER;
	e->streams = 2;
	e->window = 256 * 1024 * 1024;
	(void)linkkit_base();
	e->pid = linkkit_spawn(PROC_XFERD, &clawd);
	if (e->pid == -1)
		return false;
	e->clawd = chan_new(linkkit_base(), clawd, PROC_CLAWD, PROC_XFERD,
	    &clawd_ops, e);
	(void)chan_send_CONFIG_WORKER(e->clawd,
	    chan_ask(e->clawd, MSG_CONFIG_WORKER, on_staged, e), -1, &conf);
	if (!linkkit_until_set(&e->ready))
		return false;
	chan_set_when(e->clawd, WHEN_RUN);
	return true;
}

bool
xferkit_start(struct xend *a, struct xend *b, struct xfile *f)
{
	return xferkit_start_one(a, "alpha", b, f, true) &&
	    xferkit_start_one(b, "beta", a, f, false);
}

void
xferkit_serve(struct xend *e, int fd)
{
	struct msg_XFER_SERVE serve = { .role = e->role,
		.handshake_ms = MS,
		.address = "192.0.2.1:7947",
		.window = e->window };

	new_nonce(e);
	memcpy(serve.nonce, e->who.nonce, sizeof(serve.nonce));
	(void)chan_send_XFER_SERVE(e->sftd, 0, fd, &serve);
	close(fd);
}

void
xferkit_go(struct xend *a, struct xend *b)
{
	int pair[2];

	xferkit_pair(a->tcp, pair);
	xferkit_serve(a, pair[0]);
	xferkit_serve(b, pair[1]);
	xferkit_offer(a);
}

static bool
both_ended(void *arg)
{
	struct xend **e = arg;

	/* Ended, and its last words were read. */
	return e[0]->ended && e[0]->sftd == NULL && e[1]->ended &&
	    e[1]->sftd == NULL;
}

bool
xferkit_until_ended(struct xend *a, struct xend *b)
{
	struct xend *e[] = { a, b };

	return linkkit_until(both_ended, e);
}

static void
end_one(struct xend *e)
{
	struct chan *c[] = { e->sftd, e->keyd, e->attestd, e->clawd };
	size_t i;

	e->sftd = e->keyd = e->attestd = e->clawd = NULL;
	for (i = 0; i < 4; i++)
		chan_free(c[i]);
	if (e->pid > 0)
		(void)waitpid(e->pid, NULL, 0);
	for (i = 0; i < SFT_STREAMS_MAX; i++) {
		if (e->kept[i] > 0)
			close(e->kept[i]);
		if (e->line[i] > 0)
			close(e->line[i]);
	}
	EVP_PKEY_free(e->who.identity);
	memset(e, 0, sizeof(*e));
}

void
xferkit_end(struct xend *a, struct xend *b)
{
	end_one(a);
	end_one(b);
}
