/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_linkd.c - linkd under a keyd, an attestd and a meshd taken over,
 * and under a peer that was attested.
 *
 * TLS is a stub that is always of the same mind: the input says when it asks
 * for a leaf or a verdict, when it is secured, and what the peer sends.
 */
#include "common/child.h"

static void ipc_exit_now(int status) __attribute__((noreturn));
#include <unistd.h>
#define _exit ipc_exit_now
/* Rooms in one, and names that more than one of them uses. */
#include "linkd/join.c"
#define on_answer joiner_on_answer
#define on_no_answer joiner_on_no_answer
#include "linkd/joiner.c"
#undef ANSWER_S
#undef on_no_answer
#undef on_answer
#define on_serve pull_on_serve
#define finish pull_finish
#define begin pull_begin
#define on_no_answer pull_on_no_answer
#include "linkd/pull.c"
#undef on_no_answer
#undef begin
#undef finish
#undef on_serve
#undef ANSWER_S
#define on_leaf re_on_leaf
#define on_verdict re_on_verdict
#define on_no_answer re_on_no_answer
#include "linkd/reattest.c"
#undef on_no_answer
#undef on_verdict
#undef on_leaf
#undef ANSWER_S
#define end link_end
#include "linkd/link.c"
#undef end
#define main linkd_main
int linkd_main(int, char **);
#define on_close linkd_on_close
#include "linkd/linkd.c"
#undef on_close
#undef main
#undef _exit

#define step ipc_one_step
#include "tests/fuzz/ipc.h"
#undef step

static void
ipc_exit_now(int status)
{
	ipc_exit(status);
}

/* TLS that does as the input says. */

static struct {
	bool there, leaf_asked, verdict_asked, secured;
	const struct atls_ops *ops;
	void *arg;
	int fd;
	uint8_t nonce; /* its first byte chooses the protocol */
	uint8_t bytes[256];
	size_t len;
} tls;
static uint8_t a_nonce[32] = "nonce", a_key;

/* An address that is not NULL and is not looked at. */
static struct atls *
some_tls(void)
{
	union {
		uint8_t *byte;
		struct atls *tls;
	} p = { .byte = &a_key };

	return p.tls;
}

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
	union {
		uint8_t *byte;
		EVP_PKEY *key;
	} p = { .byte = &a_key };

	return p.key;
}
struct atls *
atls_new(struct atls_ctx *c, struct event_base *base, int fd,
    enum atls_role role, const char *const *alpns,
    const uint8_t nonce[ATLS_NONCE_LEN], EVP_PKEY *key,
    const struct atls_ops *o, void *arg)
{
	(void)c;
	(void)base;
	(void)role;
	(void)alpns;
	(void)key;
	tls.nonce = nonce[0];
	tls.ops = o;
	tls.arg = arg;
	tls.there = true;
	tls.fd = fd;
	return some_tls();
}
void
atls_own(struct atls *a, const struct atls_ops *o, void *arg)
{
	if (a == NULL)
		abort();
	tls.ops = o;
	tls.arg = arg;
}
void
atls_free(struct atls *a)
{
	if (a != NULL && tls.there)
		close(tls.fd);
	if (a != NULL)
		tls.there = false;
}
int
atls_leaf(struct atls *a, const uint8_t *der, size_t len)
{
	(void)a;
	(void)der;
	(void)len;
	return 0;
}
int
atls_verdict(struct atls *a, enum atls_alert alert)
{
	(void)a;
	(void)alert;
	return 0;
}
ssize_t
atls_read(struct atls *a, void *buf, size_t n)
{
	if (a == NULL)
		abort();
	if (tls.len == 0)
		return -EAGAIN;
	if (n > tls.len)
		n = tls.len;
	memcpy(buf, tls.bytes, n);
	tls.len -= n;
	memmove(tls.bytes, tls.bytes + n, tls.len);
	return (ssize_t)n;
}
int
atls_write(struct atls *a, const void *buf, size_t n)
{
	if (a == NULL || !tls.there || n == 0 || buf == NULL)
		abort();
	return n % 997 == 0 ? -EAGAIN : 0;
}
void
atls_shutdown(struct atls *a)
{
	(void)a;
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
	(void)a;
	return tls.secured;
}
int
atls_exporter(struct atls *a, uint8_t out[ATLS_HASH_LEN])
{
	(void)a;
	memset(out, 0, ATLS_HASH_LEN);
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
	return lk.role == EVIDENCE_CLIENT ? lk.purpose == EVIDENCE_JOIN ?
					    "claw-join/1" :
		lk.purpose == EVIDENCE_MESH ? "claw-mesh/1" :
					      "claw-registry/1" :
	    tls.nonce % 3 == 0		  ? "claw-mesh/1" :
	    tls.nonce % 3 == 1		  ? "claw-registry/1" :
					    "claw-join/1";
}
void
atls_times(const struct atls *a, struct atls_times *out)
{
	(void)a;
	memset(out, 0, sizeof(*out));
}

static void
send_serve(void)
{
	struct msg_LINK_SERVE serve = { .handshake_ms = 1000 };
	uint8_t body[256], how = take();
	struct wbuf w;
	int pair[2];

	serve.role = 1 + how % 2;
	serve.purpose = serve.role == EVIDENCE_SERVER ? 0 :
	    how & 2				      ? EVIDENCE_MESH :
	    how & 4				      ? EVIDENCE_JOIN :
							EVIDENCE_REGISTRY;
	serve.joins = how >> 7;
	serve.nonce[0] = how >> 3;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	wbuf_init(&w, body, sizeof(body));
	msg_put_LINK_SERVE(&w, &serve);
	send_to(PROC_MESHD, MSG_LINK_SERVE, 0, &w, pair[0]);
	close(pair[0]);
	turn();
	close(pair[1]);
}

static void
answer_leaf(void)
{
	static const uint8_t leaf[] = "leaf";
	struct msg_LEAF_ISSUED out = { .leaf = leaf, .leaf_len = take() % 5 };
	uint8_t body[64];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	msg_put_LEAF_ISSUED(&w, &out);
	send_to(PROC_KEYD, MSG_LEAF_ISSUED, id_for(PROC_KEYD, 5), &w, -1);
}

static void
answer_verdict(uint8_t how)
{
	struct msg_VERDICT out = { .until = how & 1 ? UINT64_MAX : 0,
		.seq = take() };
	uint8_t body[512];
	struct wbuf w;

	out.alert = how & 2 ? take() : 0;
	wbuf_init(&w, body, sizeof(body));
	msg_put_VERDICT(&w, &out);
	send_to(PROC_ATTESTD, MSG_VERDICT, id_for(PROC_ATTESTD, 5), &w, -1);
}

/* Bytes of the peer; before WELCOME mostly the right ones. */
static void
peer_says(void)
{
	struct welcome hi = { .role =
				  EVIDENCE_CLIENT + EVIDENCE_SERVER - lk.role };
	ssize_t n;
	uint8_t i, len;

	if (lk.greet != NULL && (take() & 7) != 0) {
		hi.seq = take();
		n = welcome_format(&hi, tls.bytes, sizeof(tls.bytes));
		tls.len = n < 0 ? 0 : (size_t)n;
	} else {
		/* The head's type and length cost the input no more. */
		i = take();
		len = take() % 100;
		frame_head_put(tls.bytes, i, len);
		for (i = 0; i < len; i++)
			tls.bytes[FRAME_HEAD_LEN + i] = take();
		tls.len = (size_t)FRAME_HEAD_LEN + len;
	}
	tls.ops->readable(some_tls(), tls.arg);
}

/* What TLS does next. */
static void
tls_step(uint8_t how)
{
	static const uint8_t spki[LINK_SPKI_LEN];

	if (!tls.there || (lk.tls == NULL && lk.greet == NULL))
		return;
	if (how == 31)
		tls.ops->failed(some_tls(), "peer refused us: so (alert 42)",
		    tls.arg);
	else if (how == 30 && tls.secured)
		tls.ops->closed(some_tls(), tls.arg);
	else if (lk.greet == NULL)
		peer_says();
	else if (!tls.leaf_asked) {
		tls.leaf_asked = true;
		tls.ops->want_leaf(some_tls(), a_nonce, spki, sizeof(spki),
		    tls.arg);
	} else if (!tls.verdict_asked) {
		tls.verdict_asked = true;
		tls.ops->want_verdict(some_tls(), spki, sizeof(spki), tls.arg);
	} else if (!tls.secured) {
		tls.secured = true;
		tls.ops->secured(some_tls(), tls.arg);
	} else
		peer_says();
}

static void
ipc_step(uint8_t what)
{
	if ((what & 7) == 6)
		tls_step(what >> 3);
	else if ((what >> 3) % 4 == 0)
		send_serve();
	else if ((what >> 3) % 4 == 1)
		answer_leaf();
	else
		answer_verdict(what >> 5);
}

static void
ipc_begin(void)
{
	memset(&lk, 0, sizeof(lk));
	memset(&re, 0, sizeof(re));
	memset(&pl, 0, sizeof(pl));
	memset(&join, 0, sizeof(join));
	memset(&jn, 0, sizeof(jn));
	memset(&tls, 0, sizeof(tls));
	link_prepare();
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_WORKER config = { .generation = 1 };

	msg_put_CONFIG_WORKER(w, &config);
}

/* It says that a link is up once, and only when both have said WELCOME. */
static void
ipc_reply(enum proc peer, const struct msg *m)
{
	(void)peer;
	if (m->type == MSG_LINK_UP && !tls.secured)
		abort();
}

static void
ipc_end(void)
{
	struct event *ev[] = { lk.deadline, lk.closing, lk.have, re.due,
		re.answer, pl.answer, pl.serve, jn.answer };
	char why[GREET_REASON_SIZE];
	size_t i;

	if (lk.greet != NULL)
		lk.tls = greet_give_up(lk.greet, why);
	for (i = 0; i < sizeof(ev) / sizeof(ev[0]); i++)
		if (ev[i] != NULL)
			event_free(ev[i]);
	atls_free(lk.tls);
	lk.tls = NULL;
}

static bool
ipc_may_die(const char *why)
{
	/* keyd stands above it, and is believed to sign what it signs. */
	return strcmp(why, "malformed JOIN_SIGNED") == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&linkd, data, len);
}
