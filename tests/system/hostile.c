/* SPDX-License-Identifier: ISC */
/*
 * hostile.c - a process of the house that was taken over.
 *
 * Installed as libexec/claw/<process>, with the honest one in the folder real/
 * beside it, it is started by the real clawd in the real suite. It takes
 * the next line of ./attacks that has no turn yet (./turns/<process> counts),
 * starts as an honest process would, serves long enough for clawd to think
 * well of it, attacks once and then says what came of it. With no line left,
 * or none for this process, it becomes the honest one.
 *
 *	hostile --schema    what messages.def says, for who writes attacks
 *
 * A line: PROCESS WHEN CHANNEL ATTACK [NUMBER [NUMBER]]. WHEN: "first" is
 * before HELLO, "boot" before READY, "run" after it, "box" the same from
 * inside the sandbox.
 */
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/auditrec.h"
#include "common/child.h"
#include "common/evidence.h"
#include "common/msg.h"
#include "common/registry_file.h"
#include "common/sandbox.h"
#include "common/shardname.h"

#define SERVE_MS 2500 /* clawd forgives who has lasted two seconds */
#define AFTER_MS 2500 /* a violation is ended long before */

static enum proc self;
static int chans[PROC_MAX];
static uint32_t ids[PROC_MAX];	/* of our requests */
static uint32_t owed[PROC_MAX]; /* last request that came, unanswered */
static uint16_t owed_type[PROC_MAX];
static char when[16], channel[16], attack[24];
static long arg[2];
static int line_number;
static enum proc target;
static bool attacking; /* say what comes on the target's channel */
static bool keep_owed; /* do not answer the target any more */
static int file_fd, sock_fd;

__attribute__((format(printf, 1, 2))) static void
say(const char *fmt, ...)
{
	char text[400];
	va_list ap;
	int n, k;

	n = snprintf(text, sizeof(text), "hostile %d %s[%d] ", line_number,
	    proc_name(self), (int)getpid());
	va_start(ap, fmt);
	k = vsnprintf(text + n, sizeof(text) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += k < (int)sizeof(text) - n - 1 ? k : (int)sizeof(text) - n - 2;
	text[n++] = '\n';
	(void)!write(STDERR_FILENO, text, (size_t)n);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Sends bytes with nfds copies of fd. False when the channel is gone. */
static bool
put_raw(enum proc p, const void *data, size_t len, int fd, unsigned int nfds)
{
	static union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control;
	union {
		const void *in;
		void *out;
	} base = { .in = data };
	struct iovec iov = { base.out, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd pfd = { .fd = chans[p], .events = POLLOUT };
	struct cmsghdr *cm;
	unsigned int i;

	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cm) + i * sizeof(int), &fd,
			    sizeof(int));
	}
	while (sendmsg(chans[p], &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		if (errno != EAGAIN || poll(&pfd, 1, AFTER_MS) != 1)
			return false;
	return true;
}

static size_t
compose(uint8_t *out, uint16_t type, uint16_t flags, uint32_t id,
    const void *body, size_t len)
{
	struct wbuf w;

	wbuf_init(&w, out, 2 * MSG_MAX_LEN);
	wbuf_u16(&w, type);
	wbuf_u16(&w, flags);
	wbuf_u32(&w, (uint32_t)len);
	wbuf_u32(&w, id);
	wbuf_put(&w, body, len);
	return w.len;
}

static bool
put(enum proc p, uint16_t type, uint32_t id, const void *body, size_t len)
{
	static uint8_t packet[2 * MSG_MAX_LEN];
	size_t n = compose(packet, type, 0, id, body, len);

	return put_raw(p, packet, n, -1, 0);
}

/* The shortest body of zeros that is well formed. */
static size_t
shortest(const struct msg_rule *r)
{
	static const uint8_t zero[MSG_MAX_LEN];
	size_t n;

	for (n = 0; n < sizeof(zero) && !msg_body_valid(r, zero, n); n++)
		continue;
	return n;
}

/* What an honest process would answer, nearly. */
static void
answer(enum proc p, const struct msg_rule *rule, uint32_t id, struct rbuf *body)
{
	static const uint8_t zero[MSG_MAX_LEN];
	uint16_t reply = rule->reply;
	uint8_t text[8] = { 0 };
	struct wbuf w;

	wbuf_init(&w, text, sizeof(text));
	switch (rule->type) {
	case MSG_AUDIT_APPEND:
		if (p == PROC_CLAWD)
			return; /* so that clawd keeps it for the next */
		break;
	case MSG_LOGKEY_OPEN:
	case MSG_AUDIT_CHECK:
		reply = MSG_REFUSED;
		break;
	case MSG_DRAIN:
		(void)put(p, reply, id, zero, 0);
		say("drained");
		_exit(0);
	default:
		break;
	}
	/* A generation is given back as it came. */
	if (reply == MSG_CONFIG_STAGED || reply == MSG_CONFIG_COMMITTED) {
		wbuf_u32(&w, rbuf_u32(body));
		(void)put(p, reply, id, text, 4);
	} else
		(void)put(p, reply, id, zero, shortest(msg_rule(reply)));
}

/* Of the session that a linkd has: its leaf, and that somebody was let in. */
static uint8_t own_leaf[32];

static void
note_answer(const struct msg_rule *rule, const struct rbuf *body)
{
	struct rbuf r = *body;
	struct msg_LEAF_ISSUED leaf;
	struct msg_VERDICT v;

	if (rule->type == MSG_LEAF_ISSUED && msg_get_LEAF_ISSUED(&r, &leaf))
		(void)EVP_Digest(leaf.leaf, leaf.leaf_len, own_leaf, NULL,
		    EVP_sha256(), NULL);
	if (rule->type == MSG_VERDICT && msg_get_VERDICT(&r, &v) &&
	    v.alert == 0)
		say("gets somebody let in");
}

static int given_dir = -1; /* an unpackd's */
static uint32_t hired;	   /* session of the worker that was asked for */
static bool started;	   /* START has come and is not answered */
static uint32_t start_id;

static void
take_message(enum proc p, const uint8_t *packet, size_t len, int fd)
{
	const struct msg_rule *rule;
	struct rbuf r;
	uint32_t id;
	uint8_t who;

	rbuf_init(&r, packet, len);
	rule = msg_rule(rbuf_u16(&r));
	(void)rbuf_take(&r, 6);
	id = rbuf_u32(&r);
	if (rule == NULL)
		return;
	if (attacking && p == target && rule->type != MSG_PING)
		say("gets %s", rule->name);
	note_answer(rule, &r);
	if (rule->type == MSG_WORKER_STARTED) {
		who = rbuf_u8(&r);
		(void)rbuf_u32(&r);
		hired = rbuf_u32(&r);
		if (who < PROC_MAX)
			chans[who] = fd;
		return;
	}
	if (rule->type == MSG_PEER) {
		who = rbuf_u8(&r);
		if (who < PROC_MAX) {
			/* Each worker has one of its own; they stay. */
			if (chans[who] != -1 && who < PROC_SUITE_END)
				close(chans[who]);
			chans[who] = fd;
			ids[who] = 0;
			return;
		}
	}
	if (rule->type == MSG_UNPACK_INTO) {
		given_dir = fd;
		return;
	}
	if (fd != -1)
		close(fd);
	if (rule->reply == MSG_NONE)
		return;
	if (rule->type == MSG_START) {
		started = true;
		start_id = id;
		return;
	}
	owed[p] = id;
	owed_type[p] = rule->type;
	if (!(keep_owed && p == target && rule->type != MSG_PING))
		answer(p, rule, id, &r);
}

/* One packet of a channel; false at its end. */
static bool
take(enum proc p)
{
	static uint8_t packet[MSG_MAX_LEN];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { packet, sizeof(packet) };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *cm;
	ssize_t n = recvmsg(chans[p], &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd = -1;

	if (n == -1 && errno == EAGAIN)
		return true;
	if (n <= 0) {
		/* clawd's too: its SIGKILL is what has to end us. */
		if (attacking && p == target)
			say("cut off");
		close(chans[p]);
		chans[p] = -1;
		return false;
	}
	cm = CMSG_FIRSTHDR(&mh);
	if (cm != NULL && cm->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	take_message(p, packet, (size_t)n, fd);
	return true;
}

/* Serves for that long, or until START has come (ms 0). */
static void
serve(uint64_t ms)
{
	uint64_t now = now_ms(), end = now + ms;
	struct pollfd pfd[PROC_MAX];
	unsigned int p;

	while (ms == 0 ? !started : (now = now_ms()) < end) {
		for (p = 0; p < PROC_MAX; p++)
			pfd[p] = (struct pollfd){ chans[p], POLLIN, 0 };
		(void)poll(pfd, PROC_MAX, ms == 0 ? -1 : (int)(end - now));
		for (p = 0; p < PROC_MAX; p++)
			if (chans[p] != -1 && chans[p] == pfd[p].fd &&
			    pfd[p].revents != 0)
				(void)take((enum proc)p);
	}
}

/* Attacks. */

/* Whether 0xff throughout is a body, too. */
static bool
takes_anything(const struct msg_rule *r)
{
	static uint8_t ones[MSG_MAX_LEN];
	size_t len = shortest(r);

	memset(ones, 0xff, len);
	return msg_body_valid(r, ones, len);
}

/* A request of this process to the target; else what own_message() says. */
static const struct msg_rule *own_message(void);

static const struct msg_rule *
own_request(void)
{
	const struct msg_rule *r;
	size_t i, n;

	r = msg_rules(&n);
	for (i = 0; i < n; i++, r++)
		if ((r->senders & PROC_BIT(self)) != 0 &&
		    (r->receivers & PROC_BIT(target)) != 0 &&
		    r->reply != MSG_NONE && r->fd == FD_NONE)
			return r;
	return own_message();
}

/* What this process may say on the target's channel, best with a text. */
static const struct msg_rule *
own_message(void)
{
	const struct msg_rule *r, *reply = NULL, *plain = NULL;
	size_t i, n;

	r = msg_rules(&n);
	for (i = 0; i < n; i++, r++) {
		if ((r->senders & PROC_BIT(self)) == 0 ||
		    (r->receivers & PROC_BIT(target)) == 0 ||
		    r->type == MSG_REFUSED || r->fd != FD_NONE)
			continue;
		if (r->type == MSG_VIOLATION || r->type == MSG_AUDIT_APPEND ||
		    r->type == MSG_LOGKEY_NEW)
			return r;
		if (r->limit == LIMIT_REPLY)
			reply = r;
		else if (r->type != MSG_HELLO &&
		    (plain == NULL || takes_anything(plain)))
			plain = r;
	}
	return plain != NULL ? plain :
	    reply != NULL    ? reply :
			       msg_rule(MSG_REFUSED);
}

static uint32_t
id_of(const struct msg_rule *r)
{
	return r->limit == LIMIT_REPLY ? owed[target] :
	    r->reply == MSG_NONE       ? 0 :
					 ++ids[target];
}

/* Lengths, flags and descriptors that are not as they should be. */
static void
malformed(void)
{
	static uint8_t packet[3 * MSG_MAX_LEN], body[2 * MSG_MAX_LEN];
	const struct msg_rule *r = own_message();
	size_t len = shortest(r), n;
	unsigned int fds = 0;
	int fd = file_fd;
	long how = arg[0];

	n = compose(packet, r->type, how == 1, id_of(r), body, len);
	switch (how) {
	case 0: /* a packet of no bytes */
		n = 0;
		break;
	case 1: /* flags, set above */
		break;
	case 2: /* half a header */
		n = MSG_HEADER_LEN / 2;
		break;
	case 3: /* shorter than it says, or than a body is */
		if (len == 0)
			packet[7] = 1;
		else
			n--;
		break;
	case 4: /* bytes behind the end */
		n++;
		break;
	case 5: /* and counted as if they belonged to it */
		packet[7]++;
		n++;
		break;
	case 6: /* more than a packet can be */
		n = MSG_MAX_LEN + 1;
		packet[6] = (uint8_t)((n - MSG_HEADER_LEN) >> 8);
		packet[7] = (uint8_t)(n - MSG_HEADER_LEN);
		break;
	case 7: /* a length that is a lie */
		memset(packet + 4, 0xff, 4);
		break;
	case 8: /* a text or bytes that run over the end */
		memset(packet + MSG_HEADER_LEN, 0xff, len);
		if (takes_anything(r))
			n++;
		break;
	case 9: /* no message of that number */
		packet[0] = 0x7f;
		break;
	case 10: /* no bytes, four descriptors */
		n = 0;
		fds = 4;
		break;
	case 11:
		fds = 1;
		break;
	case 12:
		fds = 4;
		break;
	case 13:
		fds = 253;
		break;
	case 14:
		fds = 1;
		fd = sock_fd;
		break;
	default:
		_exit(64);
	}
	(void)put_raw(target, packet, n, fd, fds);
}

/* A text with a control character in it, or longer than its bound. */
static void
bad_text(void)
{
	struct msg_VIOLATION v = { .proc = PROC_METRICD, .reason = "x\033[0m" };
	uint8_t body[512];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	msg_put_VIOLATION(&w, &v);
	if (arg[0] == 1) {
		w.len = 7; /* behind process, session and type */
		wbuf_u16(&w, 65);
		memset(body + w.len, 'x', 65);
		w.len += 65;
	}
	(void)put(target, MSG_VIOLATION, 0, body, w.len);
}

static void
one_type(void)
{
	static uint8_t packet[2 * MSG_MAX_LEN];
	static const uint8_t zero[MSG_MAX_LEN];
	const struct msg_rule *r = msg_rule((uint16_t)arg[0]);
	size_t n = compose(packet, r->type, 0,
	    r->limit == LIMIT_REPLY ? 7000 : id_of(r), zero, shortest(r));

	(void)put_raw(target, packet, n,
	    r->fd == FD_IS_FILE ? file_fd : sock_fd, r->fd != FD_NONE);
}

/* Request ids and answers. */
static void
out_of_turn(void)
{
	static const uint8_t zero[MSG_MAX_LEN];
	const struct msg_rule *r = own_message();
	size_t len = shortest(r);
	uint32_t id;

	switch (arg[0]) {
	case 0: /* a request that has no number, a notice that has one */
		(void)put(target, r->type, r->reply == MSG_NONE, zero, len);
		break;
	case 1: /* the same number twice */
		r = own_request();
		len = shortest(r);
		id = id_of(r);
		(void)put(target, r->type, id, zero, len);
		(void)put(target, r->type, id, zero, len);
		break;
	case 2: /* an answer that nobody asked for */
		(void)put(target, MSG_REFUSED, 4711, zero,
		    shortest(msg_rule(MSG_REFUSED)));
		break;
	case 3: /* two answers: the first was given while serving */
		(void)put(target, MSG_REFUSED, owed[target], zero,
		    shortest(msg_rule(MSG_REFUSED)));
		break;
	case 4: /* an answer of another type, when next asked */
		keep_owed = true;
		owed[target] = 0;
		while (owed[target] == 0)
			serve(100);
		r = msg_rule(msg_rule(owed_type[target])->reply == MSG_PONG ?
			MSG_READY :
			MSG_PONG);
		(void)put(target, r->type, owed[target], zero, shortest(r));
		break;
	default:
		_exit(64);
	}
}

/* More than anybody honest says. */
static void
flood(void)
{
	static uint8_t body[MSG_MAX_LEN];
	struct msg_CHECKPOINT_NOTED noted = { .shard = "2020-01", .size = 1 };
	const struct msg_rule *r = msg_rule((uint16_t)arg[0]);
	size_t len = shortest(r);
	struct wbuf w;
	long i, k;

	if (r->type == MSG_CHECKPOINT_NOTED) {
		wbuf_init(&w, body, sizeof(body));
		msg_put_CHECKPOINT_NOTED(&w, &noted);
		len = w.len;
	}

	/* Over the bound within two seconds, whenever a second begins. */
	for (k = 0; k < arg[1]; k++)
		if (!put(target, r->type, id_of(r), body, len))
			break;
	for (i = 0; i < 2000 && k == arg[1] && r->reply == MSG_NONE; i++)
		if (!put(target, r->type, id_of(r), body, len))
			break;
}

/* What auditd could be made to say to keyd; keyd refuses each. */
static void
lie_to_keyd(void)
{
	static uint8_t body[4096], junk[256] = { 1, 2, 3 };
	struct msg_CHECKPOINT_SIGN sign = { .size = 1, .proof = junk };
	struct msg_LOGKEY_NEW new = { .previous = junk, .previous_len = 9 };
	struct msg_LOGKEY_OPEN open = { .sealed = junk, .sealed_len = 61 };
	struct msg_LOGKEY_CLOSE close = { 0 };
	char shard[SHARDNAME_SIZE];
	struct wbuf w;
	long i;
	uint64_t order = shardname_order_at(time(NULL));

	wbuf_init(&w, body, sizeof(body));
	shardname_format(order, shard);
	switch (arg[0]) {
	case 0: /* a month that is over */
		snprintf(new.shard, sizeof(new.shard), "2020-01");
		msg_put_LOGKEY_NEW(&w, &new);
		break;
	case 1: /* one that has not begun */
		shardname_format(order + 10000, new.shard);
		msg_put_LOGKEY_NEW(&w, &new);
		break;
	case 2: /* the one that is open already */
		memcpy(new.shard, shard, sizeof(shard));
		msg_put_LOGKEY_NEW(&w, &new);
		break;
	case 3: /* no name of a shard */
		snprintf(new.shard, sizeof(new.shard), "../../etc");
		msg_put_LOGKEY_NEW(&w, &new);
		break;
	case 4: /* a sealed key that is none */
		memcpy(open.shard, shard, sizeof(shard));
		msg_put_LOGKEY_OPEN(&w, &open);
		break;
	case 5: /* checkpoints while no key is open, of other shards */
	case 6:
		snprintf(sign.shard, sizeof(sign.shard), "%s",
		    arg[0] == 5 ? shard : "2020-01");
		msg_put_CHECKPOINT_SIGN(&w, &sign);
		break;
	case 7:
		memcpy(close.shard, shard, sizeof(shard));
		msg_put_LOGKEY_CLOSE(&w, &close);
		break;
	default: /* faster than the budget: one at a time, all of them old */
		snprintf(new.shard, sizeof(new.shard), "2020-01");
		msg_put_LOGKEY_NEW(&w, &new);
		for (i = 0; i < 400; i++) {
			(void)put(target, MSG_LOGKEY_NEW, ++ids[target], body,
			    w.len);
			serve(1);
		}
		return;
	}
	(void)put(target,
	    arg[0] < 4	    ? MSG_LOGKEY_NEW :
		arg[0] == 4 ? MSG_LOGKEY_OPEN :
		arg[0] == 7 ? MSG_LOGKEY_CLOSE :
			      MSG_CHECKPOINT_SIGN,
	    ++ids[target], body, w.len);
}

static void
ask_for(uint16_t type, const struct wbuf *body)
{
	(void)put(target, type, ++ids[target], body->data, body->len);
}

/* What attestd could be made to have signed without an operator's order. */
static void
lie_about_update(void)
{
	static uint8_t body[8192], bytes[REGUPDATE_BYTES_MAX];
	static struct registry_update u;
	struct msg_UPDATE_SIGN sign = { .update = bytes };
	struct msg_TOKEN_SIGN token = { .seconds = 60 };
	struct wbuf w;
	ssize_t n;

	wbuf_init(&w, body, sizeof(body));
	u.v = REGISTRY_VERSION;
	u.seq = u.prev[0] = 1;
	u.time_s = (uint64_t)time(NULL);
	u.op = REGISTRY_NODE_REVOKE;
	snprintf(u.node.name, sizeof(u.node.name), "somebody");
	switch (arg[0]) {
	case 0: /* that somebody is out */
		break;
	case 1: /* that everything is well, a day ago */
		memset(&u.node, 0, sizeof(u.node));
		u.op = REGISTRY_FRESH;
		u.time_s -= 86400;
		break;
	case 2: /* that the windows are wide */
		memset(&u.node, 0, sizeof(u.node));
		u.op = REGISTRY_POLICY;
		u.windows.soft_s = u.windows.hard_s = 86400;
		break;
	case 3: /* tokens: of what nobody has, for ever, of nothing */
		token.capabilities = UINT64_MAX;
		break;
	case 4:
		token.capabilities = 1;
		token.seconds = UINT32_MAX;
		break;
	default:
		break;
	}
	if (arg[0] >= 3) {
		msg_put_TOKEN_SIGN(&w, &token);
		ask_for(MSG_TOKEN_SIGN, &w);
		return;
	}
	n = regupdate_put(&u, bytes, sizeof(bytes));
	if (n < 0)
		_exit(64);
	sign.update_len = (uint16_t)n;
	msg_put_UPDATE_SIGN(&w, &sign);
	ask_for(MSG_UPDATE_SIGN, &w);
}

/* The node's own registry, which attestd may read: its updates are real. */
static struct registry *
real_registry(void)
{
	static struct registry_file file;
	struct registry *r;
	char line[REGISTRY_LINE_MAX + 2];
	registry_hash pin;
	FILE *f;
	int fd;

	fd = openat(DESC_REGISTRY_DIR, "registry.ndjson", O_RDONLY | O_CLOEXEC);
	f = fd == -1 ? NULL : fdopen(fd, "r");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL ||
	    registry_genesis_hash(line, strcspn(line, "\n"), pin) != 0 ||
	    (r = registry_new(pin)) == NULL ||
	    registry_file_load(&file, DESC_REGISTRY_DIR, false, r) != NULL) {
		say("no registry");
		_exit(64);
	}
	fclose(f);
	return r;
}

/* By a key that is nobody's: what an attestd could sign. */
static void
forge(const struct registry_update *u, struct registry_signature *out)
{
	static const uint8_t seed[32] = { 1 };
	uint8_t text[REGUPDATE_SIGNED_MAX];
	ssize_t len = regupdate_signed_bytes(u, text, sizeof(text));
	size_t key = sizeof(out->kid), sig = sizeof(out->sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
	    sizeof(seed));

	if (len < 0 || EVP_PKEY_get_raw_public_key(k, out->kid, &key) != 1 ||
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, k) != 1 ||
	    EVP_DigestSign(ctx, out->sig, &sig, text, (size_t)len) != 1)
		_exit(64);
}

static void
bring(const struct registry_update *u, const struct registry_signature *sigs,
    size_t n, bool whole)
{
	static uint8_t body[MSG_MAX_LEN], line[REGUPDATE_SIGNED_BYTES_MAX];
	struct msg_FOLLOW m = { .whole = whole, .lines = line, .end = 1 };
	ssize_t len = regupdate_signed_put(u, sigs, n, line, sizeof(line));
	struct wbuf w;

	if (len < 0)
		_exit(64);
	m.lines_len = (uint16_t)len;
	wbuf_init(&w, body, sizeof(body));
	msg_put_FOLLOW(&w, &m);
	ask_for(MSG_FOLLOW, &w);
	serve(300);
}

/* A rotation of this node's keys that it never made. */
static void
bring_rotation(const struct registry *r)
{
	static uint8_t body[8192], line[REGUPDATE_SIGNED_BYTES_MAX];
	struct msg_FOLLOW m = { .rotations = 1, .lines = line, .end = 1 };
	struct registry_rotation turn = { .v = REGISTRY_VERSION, .ksn = 1 };
	const struct registry_node *node = registry_node_at(r, 0);
	static const uint8_t seed[32] = { 1 };
	struct registry_signature sig;
	size_t key = 32;
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
	    sizeof(seed));
	struct wbuf w;
	ssize_t len;

	snprintf(turn.name, sizeof(turn.name), "%s", node->name);
	memcpy(turn.prev, node->rotation, sizeof(turn.prev));
	memcpy(turn.sealing, node->sealing, sizeof(turn.sealing));
	(void)EVP_PKEY_get_raw_public_key(k, turn.identity, &key);
	turn.time_s = (uint64_t)time(NULL);
	memcpy(sig.kid, turn.identity, sizeof(sig.kid));
	memset(sig.sig, 7, sizeof(sig.sig));
	len = regupdate_rotation_signed_put(&turn, &sig, 1, line, sizeof(line));
	if (len < 0)
		_exit(64);
	m.lines_len = (uint16_t)len;
	wbuf_init(&w, body, sizeof(body));
	msg_put_FOLLOW(&w, &m);
	ask_for(MSG_FOLLOW, &w);
}

/* The registry as it is not: none of it is signed by those who must. */
static void
lie_about_registry(void)
{
	static struct registry_signature sigs[REGISTRY_SIGS_MAX];
	static struct registry_update u;
	struct registry *r = real_registry();
	uint64_t last = registry_seq(r);
	struct msg_REVEAL reveal = { .ksn = 1 };
	uint8_t body[64];
	struct wbuf w;
	size_t n = 0;

	(void)registry_update_at(r, arg[0] == 6 ? 0 : last, &u, sigs, &n);
	switch (arg[0]) {
	case 0: /* what it knows, again */
		break;
	case 1: /* the next one, signed by nobody */
	case 2: /* the same, by a key that is nobody's */
	case 3: /* the same, with what the last one was signed with */
		u.seq = last + 1;
		memcpy(u.prev, registry_head(r), sizeof(u.prev));
		u.op = REGISTRY_NODE_REVOKE;
		break;
	case 4: /* far ahead, over many that are left out */
		u.seq = 1000000;
		memcpy(u.prev, registry_head(r), sizeof(u.prev));
		break;
	case 5: /* real, but for what this node may do */
		u.node.capabilities ^= 1;
		break;
	case 6: /* from another genesis on */
		u.time_s++;
		break;
	case 7: /* other authorities */
		u.op = REGISTRY_AUTHORITIES;
		u.seq = last + 1;
		memcpy(u.prev, registry_head(r), sizeof(u.prev));
		u.set = *registry_set(r);
		break;
	case 8: /* that there is no more than the beginning of it */
		(void)registry_update_at(r, 0, &u, sigs, &n);
		break;
	case 9:
		bring_rotation(r);
		return;
	default: /* a rotation to be signed that nobody has ordered */
		memcpy(reveal.prev, registry_node_at(r, 0)->rotation, 32);
		wbuf_init(&w, body, sizeof(body));
		msg_put_REVEAL(&w, &reveal);
		ask_for(MSG_REVEAL, &w);
		return;
	}
	if (arg[0] == 1)
		n = 0;
	if (arg[0] == 2 || arg[0] == 7) {
		forge(&u, sigs);
		n = 1;
	}
	bring(&u, sigs, n, arg[0] == 6 || arg[0] == 8);
}

/* Permits that no operator can order. */
static void
lie_about_permit(void)
{
	struct msg_PERMIT p = { .op = REGISTRY_NODE_ADD,
		.subject = "guest",
		.capabilities = 1,
		.seconds = 60 };
	uint8_t body[256];
	struct wbuf w;

	switch (arg[0]) {
	case 0: /* another beginning of the registry */
		p.op = REGISTRY_GENESIS;
		p.digest[0] = 1;
		break;
	case 1:
		p.op = REGISTRY_FRESH;
		p.digest[0] = 1;
		break;
	case 2: /* as free as an invite, for who decides */
		p.op = REGISTRY_AUTHORITIES;
		break;
	case 3: /* an invite for nobody in particular */
		p.subject[0] = '\0';
		break;
	case 4: /* an order, and an invite, that last */
	case 5:
		p.digest[0] = arg[0] == 4;
		p.seconds = 1000000;
		break;
	default:
		p.op = 200;
		break;
	}
	wbuf_init(&w, body, sizeof(body));
	msg_put_PERMIT(&w, &p);
	ask_for(MSG_PERMIT, &w);
}

/* Sessions that a broker of connections has no business to make. */
static void
lie_about_role(void)
{
	struct msg_SESSION_ROLE r = { .session = 4711,
		.role = EVIDENCE_CLIENT,
		.purpose = EVIDENCE_MESH };
	uint8_t body[256];
	struct wbuf w;

	switch (arg[0]) {
	case 0: /* a session that is none */
		r.session = 0;
		break;
	case 1:
		r.role = EVIDENCE_CALLER;
		break;
	case 2:
		r.role = 0;
		break;
	case 3: /* this node is no joiner */
		r.purpose = EVIDENCE_JOIN;
		break;
	case 4:
		r.purpose = EVIDENCE_VOICE;
		break;
	default: /* a server that chooses purpose and peer */
		r.role = EVIDENCE_SERVER;
		snprintf(r.peer, sizeof(r.peer), "peer");
		break;
	}
	wbuf_init(&w, body, sizeof(body));
	msg_put_SESSION_ROLE(&w, &r);
	ask_for(MSG_SESSION_ROLE, &w);
}

static void hire(void);

static void
take_role(uint8_t role)
{
	struct msg_SESSION_ROLE r = { .session = hired,
		.role = role,
		.purpose = role == EVIDENCE_CLIENT ? EVIDENCE_SFT : 0 };
	uint8_t body[256];
	struct wbuf w;

	if (role == EVIDENCE_CLIENT)
		snprintf(r.peer, sizeof(r.peer), "peer");
	wbuf_init(&w, body, sizeof(body));
	msg_put_SESSION_ROLE(&w, &r);
	attacking = false; /* this is not it: the answer may be yes */
	ask_for(MSG_SESSION_ROLE, &w);
	serve(100);
	attacking = true;
}

static void
ask_seal(uint32_t session)
{
	struct msg_SEAL seal = { .session = session, .id = { 1 }, .size = 1 };
	uint8_t body[256];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	msg_put_SEAL(&w, &seal);
	ask_for(MSG_SEAL, &w);
	serve(20);
}

static void
ask_receipt(uint32_t session)
{
	static const uint8_t junk[256] = "claw/seal/v1";
	struct msg_RECEIPT receipt = { .session = session,
		.seal = junk,
		.seal_len = sizeof(junk) };
	uint8_t body[1024];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	msg_put_RECEIPT(&w, &receipt);
	ask_for(MSG_RECEIPT, &w);
	serve(20);
}

/*
 * Seals and receipts of sessions in which nothing was transferred: of none, of
 * meshd's, of one without a role, of one whose peer nobody has attested, and
 * each by the end that must not give it.
 */
static void
lie_about_transfer(void)
{
	uint32_t i;

	hire();
	switch (arg[0]) {
	case 0:
		ask_seal(0);
		ask_receipt(0);
		break;
	case 1:
		ask_seal(4711);
		ask_receipt(4711);
		break;
	case 2: /* clawd counts them up: those before are of meshd's linkds */
		for (i = hired > 16 ? hired - 16 : 1; i < hired; i++) {
			ask_seal(i);
			ask_receipt(i);
		}
		break;
	case 3:
		ask_seal(hired);
		ask_receipt(hired);
		break;
	case 4:
		take_role(EVIDENCE_CLIENT);
		ask_seal(hired);
		ask_seal(hired);
		break;
	case 5:
		take_role(EVIDENCE_CLIENT);
		ask_receipt(hired);
		break;
	case 6:
		take_role(EVIDENCE_SERVER);
		ask_seal(hired);
		break;
	default:
		take_role(EVIDENCE_SERVER);
		ask_receipt(hired);
		ask_receipt(hired);
		break;
	}
}

/* Leaves and a JOIN for a session that its broker has given no role. */
static void
lie_about_leaf(void)
{
	struct msg_LEAF leaf = { .purpose = (uint8_t)arg[0] };
	struct msg_JOIN_SIGN join = { .own_leaf = { 1 } };
	uint8_t body[512];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	if (arg[0] == 6) {
		msg_put_JOIN_SIGN(&w, &join);
		ask_for(MSG_JOIN_SIGN, &w);
		return;
	}
	msg_put_LEAF(&w, &leaf);
	ask_for(MSG_LEAF, &w);
}

static void
ask_leaf(uint8_t purpose)
{
	struct msg_LEAF leaf = { .purpose = purpose };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	uint8_t body[512], *p = leaf.spki;
	struct wbuf w;

	if (key == NULL || i2d_PUBKEY(key, &p) != (int)sizeof(leaf.spki))
		_exit(64);
	EVP_PKEY_free(key);
	wbuf_init(&w, body, sizeof(body));
	msg_put_LEAF(&w, &leaf);
	ask_for(MSG_LEAF, &w);
	serve(50);
}

static uint8_t
own_purpose(void)
{
	return self == PROC_XFERD ? EVIDENCE_SFT : EVIDENCE_MESH;
}

/* That leaf is no answer to any challenge. */
static void
ask_verdict(void)
{
	static const uint8_t junk[400] = { 0x30, 0x82, 0x01, 0x8c };
	struct msg_JUDGE judge = { .purpose = own_purpose(),
		.leaf = junk,
		.leaf_len = sizeof(junk) };
	uint8_t body[1024];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	msg_put_JUDGE(&w, &judge);
	ask_for(MSG_JUDGE, &w);
	serve(100);
}

/*
 * A worker whose session has its role, since somebody is connected: more than
 * its one leaf, leaves for something else, a JOIN, a second verdict, a fresh
 * challenge after it was refused, to be let in as a joiner.
 */
static void
ask_more(void)
{
	struct msg_JOIN_SIGN sign = { 0 };
	struct msg_JOIN_ASK join = { 0 };
	struct msg_RENONCE again = { 0 };
	uint8_t body[512], purpose;
	struct wbuf w;
	int i;

	wbuf_init(&w, body, sizeof(body));
	switch (arg[0]) {
	case 0:
		for (i = 0; i < 20; i++)
			ask_leaf(own_purpose());
		break;
	case 1:
		ask_leaf(EVIDENCE_REGISTRY);
		for (purpose = 0; purpose < 8; purpose++)
			ask_leaf(purpose);
		break;
	case 2:
		ask_leaf(EVIDENCE_MESH);
		memcpy(sign.own_leaf, own_leaf, sizeof(sign.own_leaf));
		msg_put_JOIN_SIGN(&w, &sign);
		ask_for(MSG_JOIN_SIGN, &w);
		break;
	case 3:
		ask_verdict();
		ask_verdict();
		msg_put_RENONCE(&w, &again);
		ask_for(MSG_RENONCE, &w);
		serve(100);
		ask_verdict();
		break;
	case 4: /* a joiner's leaf, while nobody is invited */
		ask_leaf(EVIDENCE_JOIN);
		break;
	default:
		msg_put_JOIN_ASK(&w, &join);
		ask_for(MSG_JOIN_ASK, &w);
		break;
	}
}

/* The honest key of the open shard, asked for and turned against its log. */
static void
lie_with_key(void)
{
	static uint8_t body[4096], file[256];
	static const uint8_t junk[64] = { 9 };
	struct msg_LOGKEY_OPEN open = { .sealed = file + 64 };
	struct msg_CHECKPOINT_SIGN sign = { .proof = junk };
	char path[64];
	struct wbuf w;
	uint64_t order = shardname_order_at(time(NULL)) + (uint64_t)arg[1];
	ssize_t n;
	int fd;

	shardname_format(order, open.shard);
	memcpy(sign.shard, open.shard, sizeof(sign.shard));
	snprintf(path, sizeof(path), "logkey-%s", open.shard);
	fd = openat(DESC_AUDIT_STATE, path, O_RDONLY | O_CLOEXEC);
	n = fd == -1 ? -1 : read(fd, file, sizeof(file));
	if (n <= 64) {
		say("no sealed key %s", path);
		_exit(64);
	}
	open.sealed_len = (uint16_t)(n - 64);
	wbuf_init(&w, body, sizeof(body));
	msg_put_LOGKEY_OPEN(&w, &open);
	(void)put(target, MSG_LOGKEY_OPEN, ++ids[target], body, w.len);
	serve(100);
	/* Another tree of many sizes, with no proof and with a bad one. */
	for (sign.size = 1; sign.size < 40; sign.size++) {
		sign.proof_len = sign.size % 2 == 0 ? 32 : 0;
		wbuf_init(&w, body, sizeof(body));
		msg_put_CHECKPOINT_SIGN(&w, &sign);
		(void)put(target, MSG_CHECKPOINT_SIGN, ++ids[target], body,
		    w.len);
		serve(2);
	}
}

static void
append(enum audit_event event, enum audit_phase phase,
    enum audit_outcome outcome, uint64_t intent, long what)
{
	static struct auditrec r;
	static uint8_t body[MSG_MAX_LEN];
	struct wbuf w;

	auditrec_init(&r, event, phase, outcome);
	r.msg.intent = intent;
	if (what == 1) /* auditd's own attribute */
		auditrec_bytes(&r, AUDIT_ATTR_SHARD, "2020-01", 7);
	if (what == 2) /* twice the same */
		for (int i = 0; i < 2; i++)
			auditrec_num(&r, AUDIT_ATTR_UID, 0);
	if (what == 3) { /* none of the table */
		wbuf_u8(&r.w, 77);
		wbuf_u16(&r.w, 0);
	}
	wbuf_init(&w, body, sizeof(body));
	msg_put_AUDIT_APPEND(&w, auditrec_msg(&r));
	(void)put(target, MSG_AUDIT_APPEND, ++ids[target], body, w.len);
}

/* Records that are not this process's to make. */
static void
lie_to_auditd(void)
{
	enum audit_event own = self == PROC_ATTESTD ? AUDIT_REGISTRY_LOADED :
	    self == PROC_SFTD			    ? AUDIT_FILE_DENIED :
						      AUDIT_NOTE;
	uint64_t i;

	switch (arg[0]) {
	case 0:
		append((enum audit_event)arg[1], AUDIT_SINGLE, AUDIT_OK, 0, 0);
		break;
	case 1:
	case 2:
	case 3:
		append(own, AUDIT_SINGLE, AUDIT_OK, 0, arg[0]);
		break;
	case 4: /* a phase and an outcome that do not go together */
		append(own, AUDIT_INTENT, AUDIT_OK, 0, 0);
		break;
	case 5:
		append(own, (enum audit_phase)9, AUDIT_OK, 0, 0);
		break;
	case 6: /* the outcome of somebody else's intent: refused */
		for (i = 1; i < 20; i++)
			append(own, AUDIT_OUTCOME, AUDIT_OK, i, 0);
		break;
	default:
		_exit(64);
	}
}

/* Asks and never reads the answers. */
static void
never_read(void)
{
	static const uint8_t zero[MSG_MAX_LEN];
	const struct msg_rule *r = msg_rule((uint16_t)arg[0]);
	struct auditrec rec;
	uint8_t body[MSG_MAX_LEN];
	struct wbuf w;
	long i;

	wbuf_init(&w, body, sizeof(body));
	wbuf_put(&w, zero, shortest(r));
	if (r->type == MSG_AUDIT_APPEND) {
		auditrec_init(&rec, AUDIT_NOTE, AUDIT_OUTCOME, AUDIT_OK);
		rec.msg.intent = 1;
		wbuf_init(&w, body, sizeof(body));
		msg_put_AUDIT_APPEND(&w, auditrec_msg(&rec));
	}
	for (i = 0; i < 2000000; i++)
		if (!put(target, r->type, ++ids[target], body, w.len))
			break;
	say("sent %ld unread", i);
}

static void
accuse(void)
{
	struct msg_VIOLATION v = { .proc = (uint8_t)arg[0],
		.type = MSG_PING,
		.reason = "was made up" };
	uint8_t body[128];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	msg_put_VIOLATION(&w, &v);
	(void)put(target, MSG_VIOLATION, 0, body, w.len);
}

/* It has answered that all is done, and goes on in its directory. */
static void
stay(void)
{
	uint64_t end = now_ms() + AFTER_MS;
	int fd;

	while (now_ms() < end && chans[PROC_CLAWD] != -1) {
		fd = openat(given_dir, "evil", O_WRONLY | O_CREAT | O_CLOEXEC,
		    0644);
		if (fd != -1)
			close(fd);
		serve(50);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} attacks[] = {
	{ "type", one_type },
	{ "malformed", malformed },
	{ "text", bad_text },
	{ "turn", out_of_turn },
	{ "flood", flood },
	{ "keyd", lie_to_keyd },
	{ "key", lie_with_key },
	{ "update", lie_about_update },
	{ "registry", lie_about_registry },
	{ "permit", lie_about_permit },
	{ "role", lie_about_role },
	{ "leaf", lie_about_leaf },
	{ "transfer", lie_about_transfer },
	{ "more", ask_more },
	{ "auditd", lie_to_auditd },
	{ "unread", never_read },
	{ "stay", stay },
	{ "accuse", accuse },
};

/* A broker's workers come when it asks for them. */
static void
hire(void)
{
	enum proc worker = self == PROC_MESHD ? PROC_LINKD :
	    target == PROC_UNPACKD	      ? PROC_UNPACKD :
						PROC_XFERD;
	struct msg_WORKER_START want = { .proc = (uint8_t)worker };
	uint64_t end = now_ms() + AFTER_MS;
	uint8_t body[8];
	struct wbuf w;

	if (self != PROC_MESHD && self != PROC_SFTD)
		return;
	wbuf_init(&w, body, sizeof(body));
	msg_put_WORKER_START(&w, &want);
	(void)put(PROC_CLAWD, MSG_WORKER_START, ++ids[PROC_CLAWD], body, w.len);
	while (chans[worker] == -1 && now_ms() < end)
		serve(50);
}

static void
strike(void)
{
	size_t i;

	attacking = true;
	say("attacks %s: %s %ld %ld", channel, attack, arg[0], arg[1]);
	if ((target == PROC_LINKD || target == PROC_XFERD ||
		target == PROC_UNPACKD) &&
	    chans[target] == -1)
		hire();
	if (chans[target] == -1) {
		say("no channel to %s", channel);
		_exit(64);
	}
	for (i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		if (strcmp(attacks[i].name, attack) == 0)
			attacks[i].run();
	serve(AFTER_MS);
	say("survived");
	_exit(98);
}

/* Beginnings. */

static void
hello(struct sandbox_report *rep)
{
	struct msg_HELLO h = { .schema = msg_schema(),
		.layers = rep->layers,
		.probes = rep->passed,
		.failed = rep->failed,
		.missing = rep->missing };
	uint8_t body[128];
	struct wbuf w;

	snprintf(h.version, sizeof(h.version), CLAW_VERSION);
	if (strcmp(attack, "hello") == 0) {
		say("attacks clawd: hello %ld", arg[0]);
		h.schema += arg[0] == 0;
		h.version[0] = arg[0] == 1 ? '9' : h.version[0];
		h.failed = arg[0] == 2;
	}
	wbuf_init(&w, body, sizeof(body));
	msg_put_HELLO(&w, &h);
	(void)put(PROC_CLAWD, MSG_HELLO, 0, body, w.len);
	if (strcmp(attack, "hello") == 0) {
		if (arg[0] == 3)
			(void)put(PROC_CLAWD, MSG_HELLO, 0, body, w.len);
		attacking = true;
		serve(AFTER_MS);
		say("survived");
		_exit(98);
	}
}

/* The next line of ./attacks that is ours; false if there is none left. */
static bool
next_attack(void)
{
	char path[64], line[128], who[16], count[16] = "";
	int fd, n, k, seen = 0;
	FILE *f;

	snprintf(path, sizeof(path), "turns/%s", proc_name(self));
	fd = open(path, O_RDWR | O_CLOEXEC);
	f = fopen("attacks", "re");
	/* Workers take turns at the same time. */
	if (fd == -1 || f == NULL || flock(fd, LOCK_EX) == -1)
		return false;
	(void)!read(fd, count, sizeof(count) - 1);
	n = atoi(count);
	while (fgets(line, sizeof(line), f) != NULL) {
		line_number++;
		if (sscanf(line, "%15s %15s %15s %23s %ld %ld", who, when,
			channel, attack, &arg[0], &arg[1]) < 4 ||
		    strcmp(who, proc_name(self)) != 0 || seen++ < n)
			continue;
		k = snprintf(count, sizeof(count), "%d", n + 1);
		(void)!pwrite(fd, count, (size_t)k, 0);
		fclose(f);
		close(fd);
		target = proc_by_name(channel);
		return target != PROC_MAX;
	}
	fclose(f);
	close(fd);
	return false;
}

/* real/<process>, beside this one. */
static void
become_honest(char **argv)
{
	char path[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		snprintf(slash, 32, "/real/%s", proc_name(self));
		execv(path, argv);
	}
	_exit(127);
}

static void
enter_sandbox(const char *text, struct sandbox_report *rep)
{
	enum {
		DIR_RO = SANDBOX_DIR_RO,
		DIR_RW = SANDBOX_DIR_RW,
		LISTEN = -1,
		APPEND = -2
	};
	static const struct {
		enum proc proc;
		int fd, rights;
	} table[] = {
#define DESC(id, proc, number, rights, what) { PROC_##proc, number, rights },
#include "policy/descriptors.def"
#undef DESC
	};
	struct sandbox_given given;
	struct sandbox_dir dirs[4];
	size_t i, n = 0;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].proc == self && table[i].rights >= 0)
			dirs[n++] = (struct sandbox_dir){ table[i].fd,
				(enum sandbox_rights)table[i].rights };
	if (sandbox_given_parse(text, &given) != 0 ||
	    sandbox_enter(self, &given, dirs, n, SANDBOX_ALL, rep) != 0) {
		say("sandbox: %s", rep->text);
		_exit(64);
	}
}

static int
print_schema(void)
{
	const struct msg_rule *r;
	size_t i, n;

	r = msg_rules(&n);
	for (i = 0; i < n; i++)
		printf("%u %s %u %u %u %u %u %u\n", r[i].type, r[i].name,
		    r[i].senders, r[i].receivers, r[i].when, (unsigned)r[i].fd,
		    r[i].limit, r[i].reply);
	for (i = 0; i < 256; i++)
		if (audit_event_name((unsigned int)i) != NULL)
			printf("event %zu %d %d %d\n", i,
			    audit_event_allowed((unsigned int)i, PROC_ATTESTD),
			    audit_event_allowed((unsigned int)i, PROC_CONTROLD),
			    audit_event_allowed((unsigned int)i, PROC_SFTD));
	return 0;
}

int
main(int argc, char **argv)
{
	struct sandbox_report rep = { 0 };
	const char *name = strrchr(argv[0], '/');
	unsigned int p;
	int pair[2];

	if (argc == 2 && strcmp(argv[1], "--schema") == 0)
		return print_schema();
	self = proc_by_name(name == NULL ? argv[0] : name + 1);
	if (self == PROC_MAX || argc < 2)
		return 64;
	if (!next_attack())
		become_honest(argv);
	for (p = 0; p < PROC_MAX; p++)
		chans[p] = -1;
	chans[PROC_CLAWD] = CHILD_PARENT_FD;
	file_fd = memfd_create("hostile", MFD_CLOEXEC);
	sock_fd =
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 ?
	    pair[0] :
	    -1;
	if (strcmp(when, "first") == 0 && strcmp(attack, "hello") != 0)
		strike();
	if (strcmp(when, "box") == 0)
		enter_sandbox(argv[1], &rep);
	hello(&rep);
	serve(0);
	if (strcmp(when, "boot") == 0)
		strike();
	(void)put(PROC_CLAWD, MSG_READY, start_id, NULL, 0);
	serve(SERVE_MS);
	strike();
}
