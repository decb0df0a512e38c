/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_xferd.c - xferd under a keyd, an attestd and an sftd taken over, and
 * under a peer that was attested.
 *
 * TLS is a stub that is always of the same mind: the input says how far each
 * connection is and which frames the peer sends. Threads are functions that the
 * input has called; where one would wait it is left, and begun anew when it is
 * called again. Time is the input's.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/b3tree.h"
#include "common/child.h"
#include "common/greet.h"
#include "common/log.h"
#include "common/receipt.h"
#include "common/sftblock.h"
#include "common/sftjournal.h"
#include "xferd/basis.h"
#include "xferd/commit.h"
#include "xferd/control.h"
#include "xferd/pack.h"
#include "xferd/receive.h"
#include "xferd/send.h"
#include "xferd/stream.h"
#include "xferd/xfer.h"

__attribute__((noreturn)) static void fuzz_exit(int status);
static int fuzz_thread(pthread_t *t, void *(*run)(void *), void *arg);
static int fuzz_wait(void);
static int fuzz_wait_until(const struct timespec *ts);
static int fuzz_clock(struct timespec *ts);
static void *fuzz_buffer(size_t size);
static void fuzz_no_buffer(void *p);
static void *fuzz_block(size_t size);
static struct pack *fuzz_pack(bool allowed, size_t before, size_t behind);
static struct sftblock_unpacker *fuzz_unpacker(void);

#define _exit fuzz_exit
#define pthread_create(t, attr, run, arg) fuzz_thread(t, run, arg)
#define pthread_cond_wait(c, l) fuzz_wait()
#define pthread_cond_timedwait(c, l, ts) fuzz_wait_until(ts)
#define clock_gettime(which, ts) fuzz_clock(ts)
#include "xferd/xfer.c"
#undef clock_gettime
#undef pthread_cond_timedwait
#undef pthread_cond_wait
#undef pthread_create
/* Rooms in one, and names that more than one of them uses. */
#define run commit_run
#define cm committer
#include "xferd/commit.c"
#undef cm
#undef run
#include "xferd/basis.c"
#include "xferd/pack.c"
/* A thread that is left frees nothing. */
#define aligned_alloc(a, n) fuzz_buffer(n)
#define free(p) fuzz_no_buffer(p)
#define malloc(n) fuzz_block(n)
#define pack_new fuzz_pack
#define pack_free(k) (void)(k)
#define sftblock_unpacker_new fuzz_unpacker
#define sftblock_unpacker_free(u) (void)(u)
#define state send_chunk_state
#define length send_length
#define take_value send_take_value
#define hash_run send_hash_run
#define take_chunk send_take_chunk
#include "xferd/send.c"
#undef take_chunk
#undef hash_run
#undef take_value
#undef length
#undef state
#define state receive_chunk_state
#define take_head receive_take_head
#include "xferd/receive.c"
#undef take_head
#undef state
#undef sftblock_unpacker_free
#undef sftblock_unpacker_new
#undef pack_free
#undef pack_new
#undef malloc
#undef free
#undef aligned_alloc
#define GREETING STREAM_GREETING
#define run stream_run
#define greeted stream_greeted
#include "xferd/stream.c"
#undef greeted
#undef run
#undef GREETING
#define on_offer control_on_offer
#define on_ping control_on_ping
#define say control_say
#include "xferd/control.c"
#undef say
#undef on_ping
#undef on_offer
#define main xferd_main
int xferd_main(int, char **);
#include "xferd/xferd.c"
#undef main
#undef _exit

#include "tests/fuzz/ipc.h"
#include "tests/lib/sftkit.h"

#define SESSIONS 12 /* control, streams, and some that failed */
#define THREADS 16
#define OWN "node"
#define PEER "peer"

static const uint64_t sizes[] = { 3000, 0, 1, (1 << 20) + 5 };

static struct {
	bool silent; /* keyd and attestd say only what the input says */
	uint8_t until;
	uint64_t now_ns;
	sigjmp_buf park;
	struct {
		void *(*run)(void *);
		void *arg;
	} thread[THREADS];
	unsigned int threads;
	uint64_t size;
	uint8_t log2; /* of the journal that it is handed */
	int file, journal, basis, values;
} fz;

/* With its last words heard. */
static void
fuzz_exit(int status)
{
	listen_to_all();
	ipc_exit(status);
}

/* --- threads and time --------------------------------------------------- */

static int
fuzz_thread(pthread_t *t, void *(*run)(void *), void *arg)
{
	*t = pthread_self();
	if (fz.threads == THREADS)
		return EAGAIN;
	fz.thread[fz.threads].run = run;
	fz.thread[fz.threads++].arg = arg;
	return 0;
}

/* The lock is held. */
static int
fuzz_wait(void)
{
	pthread_mutex_unlock(&xf.lock);
	siglongjmp(fz.park, 1);
}

static int
fuzz_wait_until(const struct timespec *ts)
{
	uint64_t ns = (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;

	if (ns > fz.now_ns)
		fz.now_ns = ns;
	return ETIMEDOUT;
}

static int
fuzz_clock(struct timespec *ts)
{
	ts->tv_sec = (time_t)(fz.now_ns / 1000000000);
	ts->tv_nsec = (long)(fz.now_ns % 1000000000);
	return 0;
}

static uint8_t a_buffer[4096 + XFER_PIECE];

static void *
fuzz_buffer(size_t size)
{
	return size <= sizeof(a_buffer) ? a_buffer : NULL;
}

/* Room for a block as it comes, and what is made of one, for whoever runs. */
static uint8_t a_block[SFTBLOCK_SIZE];
static struct pack *a_pack;
static struct sftblock_unpacker *an_unpacker;

static void
fuzz_no_buffer(void *p)
{
	if (p != a_buffer && p != a_block && p != NULL)
		abort();
}

static void *
fuzz_block(size_t size)
{
	return size <= sizeof(a_block) ? a_block : NULL;
}

static struct pack *
fuzz_pack(bool allowed, size_t before, size_t behind)
{
	if (a_pack == NULL)
		a_pack = pack_new(true, before, behind);
	if (a_pack == NULL)
		abort();
	a_pack->allowed = allowed;
	a_pack->on = allowed; /* whatever time it takes */
	a_pack->plain_ns = a_pack->packed_ns = 0;
	return a_pack;
}

static struct sftblock_unpacker *
fuzz_unpacker(void)
{
	if (an_unpacker == NULL)
		an_unpacker = sftblock_unpacker_new();
	return an_unpacker;
}

static void
run_thread(uint8_t how)
{
	unsigned int i;

	if (fz.threads == 0)
		return;
	i = how % fz.threads;
	if (sigsetjmp(fz.park, 0) != 0)
		return;
	(void)fz.thread[i].run(fz.thread[i].arg);
	fz.thread[i] = fz.thread[--fz.threads];
}

/* --- TLS that does as the input says ------------------------------------ */

struct atls {
	bool used, leaf_asked, verdict_asked, answered, secured, detached;
	int fd;
	const struct atls_ops *ops;
	void *arg;
	uint8_t bytes[SFT_FRAME_MAX];
	size_t len;

	/* Of a stream: what its peer has said, and which chunk comes. */
	size_t said;
	uint8_t how;
};

static struct atls tls[SESSIONS];
static const uint8_t a_nonce[32] = "nonce";
static uint8_t a_key;

struct atls_ctx *
atls_ctx_new(char *why, size_t size)
{
	union {
		uint8_t *byte;
		struct atls_ctx *ctx;
	} p = { .byte = &a_key };

	(void)why;
	(void)size;
	return p.ctx;
}
void
atls_ctx_limits(struct atls_ctx *c, unsigned int whole, unsigned int answer)
{
	(void)c;
	(void)whole;
	(void)answer;
}
int
atls_ctx_prefer_fast(struct atls_ctx *c)
{
	(void)c;
	return 0;
}
int
atls_rehearse(struct atls_ctx *c, const int fds[2])
{
	(void)c;
	(void)close(fds[0]);
	(void)close(fds[1]);
	return 0;
}
EVP_PKEY *
atls_key_new(void)
{
	static EVP_PKEY *key;

	if (key == NULL)
		key = EVP_PKEY_new();
	return key != NULL && EVP_PKEY_up_ref(key) == 1 ? key : NULL;
}
struct atls *
atls_new(struct atls_ctx *c, struct event_base *base, int fd,
    enum atls_role role, const char *const *alpns,
    const uint8_t nonce[ATLS_NONCE_LEN], EVP_PKEY *key,
    const struct atls_ops *o, void *arg)
{
	unsigned int i;

	(void)c;
	(void)base;
	(void)role;
	(void)alpns;
	(void)nonce;
	EVP_PKEY_free(key);
	for (i = 0; i < SESSIONS && tls[i].used; i++)
		continue;
	if (i == SESSIONS) {
		close(fd);
		return NULL;
	}
	memset(&tls[i], 0, sizeof(tls[i]));
	tls[i].used = true;
	tls[i].fd = fd;
	tls[i].ops = o;
	tls[i].arg = arg;
	return &tls[i];
}
void
atls_own(struct atls *a, const struct atls_ops *o, void *arg)
{
	a->ops = o;
	a->arg = arg;
}
void
atls_free(struct atls *a)
{
	if (a == NULL)
		return;
	if (!a->used)
		abort();
	a->used = false;
	close(a->fd);
}
int
atls_leaf(struct atls *a, const uint8_t *der, size_t len)
{
	(void)der;
	a->answered = len > 0;
	return 0;
}
int
atls_verdict(struct atls *a, enum atls_alert alert)
{
	a->answered = alert == ATLS_ACCEPT;
	return 0;
}
ssize_t
atls_read(struct atls *a, void *buf, size_t n)
{
	if (!a->used)
		abort();
	if (a->len == 0)
		return -EAGAIN;
	if (n > a->len)
		n = a->len;
	memcpy(buf, a->bytes, n);
	a->len -= n;
	memmove(a->bytes, a->bytes + n, a->len);
	return (ssize_t)n;
}
int
atls_write(struct atls *a, const void *buf, size_t n)
{
	if (!a->used || n == 0 || buf == NULL)
		abort();
	return n % 251 == 0 ? -EAGAIN : 0;
}
void
atls_shutdown(struct atls *a)
{
	(void)a;
}
int
atls_detach(struct atls *a)
{
	if (!a->secured || a->detached)
		abort();
	a->detached = true;
	return 0;
}
int
atls_send(struct atls *a, const void *buf, size_t n, char *why, size_t size)
{
	if (!a->detached || n == 0 || buf == NULL)
		abort();
	if ((a->how & 3) != 3)
		return 0;
	snprintf(why, size, "so");
	return -EIO;
}
void
atls_bye(struct atls *a)
{
	(void)a;
}
void
atls_interrupt(struct atls *a)
{
	if (!a->detached)
		abort();
}
size_t
atls_queued(const struct atls *a)
{
	(void)a;
	return 1;
}
bool
atls_flushed(const struct atls *a)
{
	(void)a;
	return true;
}
bool
atls_is_secured(const struct atls *a)
{
	return a->secured;
}
int
atls_exporter(struct atls *a, uint8_t out[ATLS_HASH_LEN])
{
	memset(out, 1 + (int)(a - tls), ATLS_HASH_LEN);
	return 0;
}
int
atls_leaf_hash(const struct atls *a, enum atls_whose whose,
    uint8_t out[ATLS_HASH_LEN])
{
	(void)a;
	(void)whose;
	memset(out, 0, ATLS_HASH_LEN);
	return 0;
}
const uint8_t *
atls_peer_nonce(const struct atls *a)
{
	(void)a;
	return a_nonce;
}
const char *
atls_alpn(const struct atls *a)
{
	(void)a;
	return "claw-sft/1";
}
const char *
atls_suite(struct atls *a)
{
	(void)a;
	return "";
}
void
atls_times(const struct atls *a, struct atls_times *out)
{
	(void)a;
	memset(out, 0, sizeof(*out));
}

/* --- the file ----------------------------------------------------------- */

/* Every byte of it is the same. */
static void
chunk_value(uint32_t index, uint32_t len, bool only, b3tree_value out)
{
	static uint8_t bytes[65536];
	struct b3tree t;
	uint32_t n;

	memset(bytes, 7, sizeof(bytes));
	if (b3tree_begin(&t, 20, index) != 0)
		abort();
	for (; len > 0; len -= n) {
		n = len < sizeof(bytes) ? len : (uint32_t)sizeof(bytes);
		if (b3tree_update(&t, bytes, n) != 0)
			abort();
	}
	if ((only ? b3tree_end_file(&t, out) : b3tree_end(&t, out)) != 0)
		abort();
}

static void
file_root(b3tree_value out)
{
	uint32_t n = sft_chunks(fz.size, 20), i;
	b3tree_value v[4];

	for (i = 0; i < n; i++)
		chunk_value(i, sft_chunk_len(fz.size, 20, i), n == 1, v[i]);
	if (n == 1)
		memcpy(out, v[0], sizeof(v[0]));
	else if (b3tree_root((const b3tree_value *)v, n, out) != 0)
		abort();
}

static void
fill_file(bool full)
{
	static uint8_t bytes[(1 << 20) + 5];

	memset(bytes, full ? 7 : 0, (size_t)fz.size);
	if (ftruncate(fz.file, 0) == -1 ||
	    ftruncate(fz.file, (off_t)fz.size) == -1 ||
	    (full && pwrite(fz.file, bytes, (size_t)fz.size, 0) == -1))
		abort();
}

static struct sft_offer
an_offer(uint8_t how)
{
	struct sft_offer o = { .size = fz.size,
		.mtime_ns = 5,
		.mode = 0644,
		.chunk_log2 = 20,
		.streams = (uint8_t)(1 + how % 3),
		.dry = (how & 64) != 0,
		.tree = (how & 128) != 0,
		.packed = (how & 8) != 0,
		.name_len = 1,
		.name = { 'f' } };

	return o;
}

/* As sftd has made it, with or without what was there before. */
static void
make_journal(uint8_t how)
{
	struct sftjournal_head h = { .id = { 3 },
		.sender = PEER,
		.receiver = OWN,
		.size = fz.size,
		.chunk_log2 = 20,
		.epoch = 1 };
	struct sftjournal_claim claim = { .index = 0 };
	struct sftjournal *j;

	memcpy(h.offer, xf.digest, sizeof(h.offer));
	h.offer[0] ^= (how & 16) != 0;
	if (ftruncate(fz.journal, 0) == -1 ||
	    sftjournal_create(fz.journal, &h) != 0)
		abort();
	fill_file((how & 4) != 0);
	if ((how & 8) == 0 || fz.size == 0 ||
	    sftjournal_open(fz.journal, &j) != 0)
		return;
	chunk_value(0, sft_chunk_len(fz.size, 20, 0), fz.size <= 1 << 20,
	    claim.value);
	if (sftjournal_append(j, &claim, 1) != 0)
		abort();
	sftjournal_close(j);
}

/* An earlier file, which has the first chunk, and its journal. */
static void
make_basis(uint8_t how)
{
	struct sftjournal_head h = { .id = { 4 },
		.sender = PEER,
		.receiver = OWN,
		.size = fz.size,
		.chunk_log2 = how & 1 ? 20 : 21,
		.epoch = 1 };
	struct sftjournal_claim claim = { .index = 0 };
	static uint8_t bytes[1 << 20];
	struct sftjournal *j;

	memset(bytes, how & 2 ? 7 : 8, sizeof(bytes));
	if (ftruncate(fz.basis, 0) == -1 || ftruncate(fz.values, 0) == -1 ||
	    ftruncate(fz.basis, (off_t)fz.size) == -1 ||
	    pwrite(fz.basis, bytes, how & 4 ? sizeof(bytes) : 1, 0) == -1 ||
	    sftjournal_create(fz.values, &h) != 0 ||
	    sftjournal_open(fz.values, &j) != 0)
		abort();
	for (; claim.index < sftjournal_chunks(j); claim.index++) {
		if (claim.index == 0 && h.chunk_log2 == 20)
			chunk_value(0, sft_chunk_len(fz.size, 20, 0),
			    fz.size <= 1 << 20, claim.value);
		if (sftjournal_append(j, &claim, 1) != 0)
			abort();
	}
	sftjournal_close(j);
}

/* --- a stream's peer ---------------------------------------------------- */

static struct {
	uint8_t bytes[(2 << 20) + 4096];
	size_t len;
	uint64_t
	    size; /* of which file, and how: it costs too much to do twice */
	uint8_t how;
} said;

/* The bytes of a chunk as they are, or in blocks. */
static size_t
put_bytes(uint8_t *out, uint32_t len, bool packed)
{
	static uint8_t piece[SFTBLOCK_SIZE];
	static struct sftblock_packer *packer;
	struct sftblock_head h;
	size_t at = 0, n;

	if (packer == NULL)
		packer = sftblock_packer_new();
	memset(piece, 7, sizeof(piece));
	for (; len > 0; len -= (uint32_t)n) {
		n = len < sizeof(piece) ? len : sizeof(piece);
		h.len = (uint32_t)n;
		if (packed) {
			h.len = (uint32_t)sftblock_pack(packer, piece, n,
			    out + at + SFTBLOCK_HEAD_LEN, n - 1);
			h.stored = h.len == 0;
			h.len = h.stored ? (uint32_t)n : h.len;
			sftblock_head_format(&h, out + at);
			at += SFTBLOCK_HEAD_LEN;
		}
		if (!packed || h.stored)
			memcpy(out + at, piece, n);
		at += h.len;
	}
	return at;
}

/* All that comes after JOIN: one chunk, then nothing more. */
static void
make_said(uint8_t how)
{
	struct sft_chunk c = { .same = (how & 24) == 16,
		.packed = (how & 24) == 8,
		.index = sft_chunks(fz.size, 20) < 2 ? 0 : how >> 2 & 1 };
	b3tree_value v;

	if (said.size == fz.size && said.how == how && said.len > 0)
		return;
	said.size = fz.size;
	said.how = how;
	said.len = 0;
	if (fz.size == 0)
		return;
	c.len = sft_chunk_len(fz.size, 20, c.index);
	sft_chunk_format(&c, said.bytes);
	said.len = SFT_CHUNK_HEAD_LEN;
	if (!c.same)
		said.len += put_bytes(said.bytes + said.len, c.len, c.packed);
	/* A byte of it is another one. */
	if ((how & 24) == 24)
		said.bytes[(size_t)how % said.len] ^= how;
	chunk_value(c.index, c.len, fz.size <= 1 << 20, v);
	v[0] ^= (how & 3) == 2;
	memcpy(said.bytes + said.len, v, sizeof(v));
	said.len += sizeof(v);
}

/* JOIN, then a chunk, in the pieces that it reads. */
ssize_t
atls_recv(struct atls *a, void *buf, size_t n, char *why, size_t size)
{
	struct sft_join join = { .index = (uint8_t)(a->how >> 5) };
	uint8_t control[SFT_EXPORTER_LEN], own[SFT_EXPORTER_LEN];

	if (!a->detached)
		abort();
	make_said(a->how);
	if (a->said == 0 && n == SFT_JOIN_LEN) {
		control_exporter(control);
		(void)atls_exporter(a, own);
		memcpy(join.id, xf.id, sizeof(join.id));
		if (sft_join_mac(control, own, xf.id, join.index, join.mac) !=
			0 ||
		    sft_join_format(&join, buf) != 0)
			abort();
	} else if (a->said >= SFT_JOIN_LEN &&
	    n <= said.len - (a->said - SFT_JOIN_LEN)) {
		memcpy(buf, said.bytes + (a->said - SFT_JOIN_LEN), n);
	} else if ((a->how & 3) == 3) {
		snprintf(why, size, "so");
		return -EIO;
	} else
		siglongjmp(fz.park, 1);
	a->said += n;
	return (ssize_t)n;
}

/* --- what siblings say -------------------------------------------------- */

/* A socket; what is said to it nobody reads. */
static void
send_socket(uint16_t type, const struct wbuf *w)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	send_to(PROC_SFTD, type, 0, w, pair[0]);
	close(pair[0]);
	turn();
	close(pair[1]);
}

static void
hand_basis(uint8_t how)
{
	struct msg_XFER_BASIS is = { .which = (how & 8) != 0 };
	uint8_t body[8];
	struct wbuf w;
	int i;

	make_basis(how);
	for (i = 0; i < 2; i++, is.which ^= 1) {
		wbuf_init(&w, body, sizeof(body));
		msg_put_XFER_BASIS(&w, &is);
		send_to(PROC_SFTD, MSG_XFER_BASIS, 0, &w,
		    is.which == 0 ? fz.basis : fz.values);
	}
}

static void
sftd_hands(uint8_t how, struct wbuf *w)
{
	struct msg_XFER_SERVE serve = { .role = 1 + how % 2,
		.handshake_ms = 1000,
		.window = UINT64_C(1) << (how >> 1 & 31) };
	struct msg_XFER_STREAM stream = { .index = how % 9 };
	struct msg_XFER_NO_STREAM no = { .index = how % 9, .text = "so" };
	struct msg_XFER_JOURNAL journal = { 0 };
	struct sft_offer o = an_offer(how);
	struct msg_XFER_OFFER offer = { .name = o.name,
		.name_len = o.name_len,
		.size = o.size,
		.mtime_ns = o.mtime_ns,
		.mode = o.mode,
		.chunk_log2 = o.chunk_log2,
		.streams = o.streams,
		.dry = o.dry,
		.tree = o.tree,
		.packed = o.packed,
		.rate = how & 32 ? how : 0 };

	switch (take() % 5) {
	case 4:
		msg_put_XFER_NO_STREAM(w, &no);
		send_to(PROC_SFTD, MSG_XFER_NO_STREAM, 0, w, -1);
		break;
	case 0:
		msg_put_XFER_SERVE(w, &serve);
		send_socket(MSG_XFER_SERVE, w);
		break;
	case 1:
		fill_file(true);
		msg_put_XFER_OFFER(w, &offer);
		send_to(PROC_SFTD, MSG_XFER_OFFER, 0, w, fz.file);
		break;
	case 2:
		make_journal(how);
		msg_put_XFER_JOURNAL(w, &journal);
		send_to(PROC_SFTD, MSG_XFER_JOURNAL, 0, w, fz.journal);
		if ((how & 32) != 0)
			hand_basis(take());
		break;
	default:
		msg_put_XFER_STREAM(w, &stream);
		send_socket(MSG_XFER_STREAM, w);
		break;
	}
}

static void
sftd_answers(uint8_t how, struct wbuf *w)
{
	uint32_t id = id_for(PROC_SFTD, 5);
	uint8_t bytes[SFT_RECEIPT_MAX], routes[SFT_STREAMS_MAX * SFT_ROUTE_LEN];
	struct msg_XFER_TAKE go = { .id = { 3 },
		.epoch = 1 + (how >> 3 & 3),
		.packed = (how & 64) != 0,
		.routes = routes };
	struct msg_XFER_SEALED sealed = { .seal = bytes };
	struct msg_XFER_COMMITTED done = { .receipt = bytes };
	struct msg_XFER_STOP stop = { .code = how, .text = "as it says" };
	b3tree_value root;
	unsigned int i;

	memset(routes, 1, sizeof(routes));
	for (i = 0; i < SFT_STREAMS_MAX; i++)
		routes[i * SFT_ROUTE_LEN] = (uint8_t)(0x30 + i);
	memset(bytes, how, sizeof(bytes));
	switch (take() % 5) {
	case 0:
		go.streams = how & 4 ? 1 : xf.offer.streams;
		go.routes_len = (uint16_t)(go.streams * SFT_ROUTE_LEN);
		msg_put_XFER_TAKE(w, &go);
		send_to(PROC_SFTD, MSG_XFER_TAKE, id, w, fz.file);
		break;
	case 1:
		send_to(PROC_SFTD, MSG_XFER_GO, id, w, -1);
		break;
	case 2:
		file_root(root);
		sealed.seal_len = (uint16_t)sftkit_seal(OWN, PEER, xf.id,
		    xf.digest, root, fz.size, bytes);
		msg_put_XFER_SEALED(w, &sealed);
		send_to(PROC_SFTD, MSG_XFER_SEALED, id, w, -1);
		break;
	case 3:
		done.receipt_len = 1 + how;
		msg_put_XFER_COMMITTED(w, &done);
		send_to(PROC_SFTD, MSG_XFER_COMMITTED, id, w, -1);
		break;
	default:
		msg_put_XFER_STOP(w, &stop);
		send_to(PROC_SFTD, MSG_XFER_STOP, 0, w, -1);
		break;
	}
}

/* keyd and attestd, unless the input speaks for them. */
static void
others_answer(const struct msg *m)
{
	static const uint8_t leaf[] = "leaf";
	struct msg_LEAF_ISSUED issued = { .leaf = leaf,
		.leaf_len = sizeof(leaf) };
	struct msg_VERDICT verdict = { .peer = PEER,
		.until = fz.until & 1 ? 0 : UINT64_MAX,
		.seq = 1 };
	struct msg_NONCE nonce = { .nonce = { 1 } };
	uint8_t body[1024];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	if (m->type == MSG_LEAF) {
		msg_put_LEAF_ISSUED(&w, &issued);
		send_to(PROC_KEYD, MSG_LEAF_ISSUED, m->id, &w, -1);
	} else if (m->type == MSG_JUDGE) {
		verdict.peer[0] ^= (char)(fz.until >> 1 & 1);
		msg_put_VERDICT(&w, &verdict);
		send_to(PROC_ATTESTD, MSG_VERDICT, m->id, &w, -1);
	} else if (m->type == MSG_RENONCE) {
		msg_put_NONCE(&w, &nonce);
		send_to(PROC_ATTESTD, MSG_NONCE, m->id, &w, -1);
	}
}

/* --- what the peer says ------------------------------------------------- */

static void
give(struct atls *a, ssize_t n)
{
	a->len = n < 0 ? 0 : (size_t)n;
	a->ops->readable(a, a->arg);
}

static ssize_t
any_frame(struct atls *a)
{
	uint8_t type = take(), len = take(), i;

	frame_head_put(a->bytes, type, len);
	for (i = 0; i < len; i++)
		a->bytes[FRAME_HEAD_LEN + i] = take();
	return (ssize_t)FRAME_HEAD_LEN + len;
}

/* Of the sending end's peer. */
static ssize_t
receiver_says(uint8_t how, uint8_t *out, size_t size)
{
	struct sft_accept accept = { .id = { 3 },
		.epoch = xf.offer.epoch + 1,
		.streams = xf.offer.streams,
		.window = UINT64_C(1) << (how & 31),
		.packed = (how & 32) != 0 };
	uint8_t seal[SFT_SEAL_MAX], receipt[SFT_RECEIPT_MAX], bits = how;
	uint32_t index = how & 1, from = 0;
	b3tree_value root, value[1] = { { 0 } };
	unsigned int i;
	bool last;
	size_t n;

	for (i = 0; i < SFT_STREAMS_MAX; i++)
		accept.route[i][0] = (uint8_t)(0x30 + i);
	switch (take() % 8) {
	case 6:
		return sft_lost_format(how % 8, how >> 3, out, size);
	case 0:
		return sft_accept_format(&accept, out, size);
	case 1:
		return sft_have_format(&bits, xf.chunks < 9 ? xf.chunks : 8,
		    &from, &last, out, size);
	case 2:
		return sft_ack_format(&index, 1, out, size);
	case 3:
		return sft_again_format(index,
		    how & 2 ? SFT_AGAIN_BASIS : SFT_AGAIN_HASH, out, size);
	case 7:
		if (xf.chunks > 0)
			chunk_value(0, sft_chunk_len(fz.size, 20, 0),
			    xf.chunks == 1, value[0]);
		value[0][0] ^= (how & 4) != 0;
		return sft_basis_format((const uint8_t(*)[SFT_VALUE_LEN])value,
		    index, 1, out, size);
	case 4:
		file_root(root);
		n = sftkit_seal(OWN, PEER, xf.id, xf.digest, root, fz.size,
		    seal);
		n = sftkit_receipt(PEER, seal, n, receipt);
		return sft_signed_format(SFT_RECEIPT, receipt, n, out, size);
	default:
		return sft_reason_format(how & 1 ? SFT_REFUSE : SFT_ABORT,
		    1 + how % 16, "so", out, size);
	}
}

/* Of the receiving end's. */
static ssize_t
sender_says(uint8_t how, uint8_t *out, size_t size)
{
	struct sft_offer o = an_offer(how);
	uint8_t seal[SFT_SEAL_MAX];
	b3tree_value root;
	size_t n;

	switch (take() % 5) {
	case 4:
		return sft_lost_format(how % 8, 0, out, size);
	case 0:
		return sft_offer_format(&o, out, size);
	case 1:
		file_root(root);
		root[0] ^= how & 1;
		n = sftkit_seal(PEER, OWN, xf.id, xf.digest, root, fz.size,
		    seal);
		return sft_signed_format(SFT_SEAL, seal, n, out, size);
	case 2:
		return sft_empty_format(SFT_DONE, out, size);
	default:
		return sft_reason_format(SFT_ABORT, 1 + how % 16, "so", out,
		    size);
	}
}

static void
peer_says(uint8_t how)
{
	struct atls *a = ct.tls;

	if (a == NULL)
		return;
	/* A leaf of keyd's would say it. */
	snprintf(ct.own, sizeof(ct.own), "%s", OWN);
	if (how == 255)
		give(a, any_frame(a));
	else if (how == 254)
		a->ops->closed(a, a->arg);
	else if (how == 253)
		a->ops->failed(a, "so", a->arg);
	else if (xf.sends)
		give(a, receiver_says(how, a->bytes, sizeof(a->bytes)));
	else
		give(a, sender_says(how, a->bytes, sizeof(a->bytes)));
}

/* The next step of a handshake, in which nobody has been welcomed yet. */
static void
tls_step(uint8_t how)
{
	static const uint8_t spki[EVIDENCE_SPKI_LEN];
	struct atls *a = &tls[how % SESSIONS];
	struct welcome hi = { .role =
				  xf.sends ? EVIDENCE_SERVER : EVIDENCE_CLIENT,
		.seq = 1 };

	if (!a->used || a->detached || a == ct.tls)
		return;
	if (how >= 240)
		a->ops->failed(a, "peer refused us: so (alert 42)", a->arg);
	else if (!a->leaf_asked) {
		a->leaf_asked = true;
		a->ops->want_leaf(a, a_nonce, spki, sizeof(spki), a->arg);
	} else if (!a->verdict_asked && a->answered) {
		a->verdict_asked = true;
		a->answered = false;
		a->ops->want_verdict(a, spki, sizeof(spki), a->arg);
	} else if (!a->secured && a->verdict_asked && a->answered) {
		a->secured = true;
		a->ops->secured(a, a->arg);
	} else if (a->secured && how < 200) {
		(void)atls_exporter(a, hi.exporter);
		give(a, welcome_format(&hi, a->bytes, sizeof(a->bytes)));
	} else if (a->secured)
		give(a, any_frame(a));
}

/* --- steps -------------------------------------------------------------- */

static void
time_passes(uint8_t seconds)
{
	fz.now_ns += (uint64_t)seconds * 1000000000;
	on_tick(-1, 0, NULL);
	if (ct.state == CLOSING && seconds > 0)
		on_closing(-1, 0, NULL);
}

static void
ipc_step(uint8_t what)
{
	uint8_t how = what >> 3, more = take(), body[2048];
	struct wbuf w;

	turn(); /* siblings have answered */
	wbuf_init(&w, body, sizeof(body));
	if ((what & 7) == 6) {
		if (how % 4 == 0)
			sftd_hands(more, &w);
		else if (how % 4 == 1)
			sftd_answers(more, &w);
		else if (how % 4 == 2)
			run_thread(more);
		else
			time_passes(more);
	} else if (how % 4 < 2)
		tls_step(more);
	else if (how % 4 == 2)
		peer_says(more);
	else if (more & 128)
		tls[more % SESSIONS].how = take();
	else {
		fz.silent = more & 64;
		fz.until = more;
	}
}

static void
ipc_begin(void)
{
	static int file, journal, basis, values;

	if (file == 0) {
		file = memfd_create("file", MFD_CLOEXEC);
		journal = memfd_create("journal", MFD_CLOEXEC);
		basis = memfd_create("basis", MFD_CLOEXEC);
		values = memfd_create("values", MFD_CLOEXEC);
	}
	memset(&fz, 0, sizeof(fz));
	fz.file = ipc.file = file;
	fz.journal = journal;
	fz.basis = basis;
	fz.values = values;
	fz.now_ns = UINT64_C(1000000000000);
	fz.size = sizes[take() % 4];
	memset(tls, 0, sizeof(tls));
	memset(&xf, 0, sizeof(xf));
	memset(&committer, 0, sizeof(committer));
	memset(&sn, 0, sizeof(sn));
	memset(&rc, 0, sizeof(rc));
	memset(&st, 0, sizeof(st));
	memset(&ct, 0, sizeof(ct));
	memset(&bs, 0, sizeof(bs));
	xf.file = ct.journal = bs.fd[0] = bs.fd[1] = -1;
	xfer_init();
	control_prepare();
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_WORKER config = { .generation = 1 };

	msg_put_CONFIG_WORKER(w, &config);
}

/*
 * What it says is only said when it is so: that the peer is one, and that all
 * is there.
 */
static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct msg_XFER_COMPLETE all;
	struct msg copy = *m;
	b3tree_value root;

	(void)peer;
	if (m->type == MSG_XFER_UP && !tls[0].secured)
		abort();
	if (m->type == MSG_XFER_COMPLETE) {
		file_root(root);
		if (!msg_get_XFER_COMPLETE(&copy.body, &all) ||
		    all.size != fz.size || memcmp(all.root, root, 32) != 0)
			abort();
	}
	if (!fz.silent)
		others_answer(m);
}

static void
ipc_end(void)
{
	char why[GREET_REASON_SIZE];
	unsigned int i;

	if (ct.greet != NULL)
		(void)greet_give_up(ct.greet, why);
	for (i = 0; i < SFT_STREAMS_MAX; i++)
		if (st.stream[i].greet != NULL)
			(void)greet_give_up(st.stream[i].greet, why);
	for (i = 0; i < SESSIONS; i++)
		if (tls[i].used)
			atls_free(&tls[i]);
	for (i = 0; i < SFT_STREAMS_MAX; i++)
		if (st.stream[i].state == QUEUED)
			close(st.stream[i].fd);
	if (xf.file != -1)
		close(xf.file);
	if (ct.journal != -1)
		close(ct.journal);
	for (i = 0; i < 2; i++)
		if (bs.fd[i] != -1)
			close(bs.fd[i]);
	sftjournal_close(bs.journal);
	sftjournal_close(rc.journal);
	free(rc.receive_chunk_state);
	free(rc.tries);
	free(sn.send_chunk_state);
	free(sn.tries);
	free(sn.known);
	free(sn.value);
	free(sn.way);
	event_free(ct.tick);
	event_free(ct.closing);
	event_free(rung);
	close(bell);
	EVP_PKEY_free(ct.key);
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
	return ipc_run(&xferd, data, len);
}
