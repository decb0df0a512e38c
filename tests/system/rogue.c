/* SPDX-License-Identifier: ISC */
/*
 * rogue.c - a node that proves who it is, and then does what it is told.
 *
 *	rogue KEY=VALUE...
 *
 * Its handshakes and WELCOMEs are as they must be; every byte that comes after
 * is the test's. It takes a command a line on standard input and answers each
 * with a line of JSON. Bytes are hex. S is a name for a session, a digit.
 *
 *	open S ADDR:PORT [HEX]	dial, say HEX in clear, prove, be welcome:
 *				{"exporter":HEX} or {"end":TEXT}
 *	listen ADDR:PORT	{"port":N}
 *	take S			who dials; {"route":HEX,"exporter":HEX}, where
 *				the route is what came before TLS
 *	send S HEX		{} or {"end":TEXT}
 *	fill S BYTE COUNT	so many bytes of one value
 *	frame S			the next frame: {"type":N,"body":HEX}
 *	get S COUNT		{"bytes":HEX}
 *	skip S COUNT		as many bytes, unseen
 *	close S
 *	value LOG INDEX BYTE COUNT ONLY
 *				of a chunk that is nothing but that byte
 *	root LOG SIZE		of a file whose chunk i is nothing but i + 1
 *	hash HEX		the root of a file that is these bytes, and
 *				one chunk
 *	sign HEX		by its identity
 *
 *	seed=HEX name=TEXT seq=N head=HEX caps=N wait=MS
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>
#include <openssl/x509.h>

#include "common/atls.h"
#include "common/b3tree.h"
#include "common/capability.h"
#include "common/evidence.h"
#include "common/sftframe.h"
#include "common/welcome.h"

#define SESSIONS 10
#define HELLO_BYTE 0x16
#define LINE_MAX_BYTES (1 << 18)

static struct {
	EVP_PKEY *identity;
	struct evidence ev;
	uint64_t caps;
	int wait_ms;
} opt = { .wait_ms = 5000 };

static struct session {
	enum atls_role role;
	struct atls *tls;
	uint8_t nonce[ATLS_NONCE_LEN], spki[EVIDENCE_SPKI_LEN];
	struct welcome mine;
	bool secured;
	char end[256]; /* why it is over */
} sessions[SESSIONS];

static struct atls_ctx *ctx;
static struct event_base *base;
static int listener = -1;

__attribute__((noreturn, format(printf, 1, 2))) static void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "rogue: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(2);
}

/* Hex, in and out. */

static size_t
get_hex(const char *text, uint8_t *out, size_t size)
{
	size_t i, n = strlen(text) / 2;
	unsigned int byte;

	if (n > size || strlen(text) % 2 != 0)
		die("%zu bytes are too many, or none", n);
	for (i = 0; i < n; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			die("no hex: %s", text);
		out[i] = (uint8_t)byte;
	}
	return n;
}

static void
put_hex(const char *before, const uint8_t *p, size_t n, const char *after)
{
	size_t i;

	fputs(before, stdout);
	for (i = 0; i < n; i++)
		printf("%02x", p[i]);
	fputs(after, stdout);
}

/* The session's last word; quotes would end the JSON. */
static void
say_end(const struct session *s)
{
	const char *p;

	fputs("{\"end\":\"", stdout);
	for (p = s->end; *p != '\0'; p++)
		putchar(*p == '"' || *p == '\\' || *p < ' ' ? '?' : *p);
	puts("\"}");
}

/* Who it is. */

static void
want_leaf(struct atls *a, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	uint8_t tbs[EVIDENCE_TBS_MAX], cert[EVIDENCE_CERT_MAX];
	uint8_t sig[EVIDENCE_SIG_LEN];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct evidence ev = opt.ev;
	struct session *s = arg;
	size_t siglen = sizeof(sig);
	ssize_t n;

	if (len != sizeof(ev.spki))
		die("spki");
	memcpy(ev.spki, spki, len);
	memcpy(ev.verifier_nonce, nonce, sizeof(ev.verifier_nonce));
	memcpy(ev.prover_nonce, s->nonce, sizeof(ev.prover_nonce));
	ev.role = s->role == ATLS_CLIENT ? EVIDENCE_CLIENT : EVIDENCE_SERVER;
	ev.purpose = EVIDENCE_SFT;
	ev.not_before = time(NULL) - 300;
	ev.not_after = ev.not_before + 600;
	n = evidence_tbs(&ev, tbs, sizeof(tbs));
	if (n < 0 ||
	    EVP_DigestSignInit(md, NULL, NULL, NULL, opt.identity) != 1 ||
	    EVP_DigestSign(md, sig, &siglen, tbs, (size_t)n) != 1)
		die("leaf");
	EVP_MD_CTX_free(md);
	n = evidence_cert(tbs, (size_t)n, sig, cert, sizeof(cert));
	if (n < 0 || atls_leaf(a, cert, (size_t)n) != 0)
		die("leaf");
}

static void
want_verdict(struct atls *a, const uint8_t *leaf, size_t len, void *arg)
{
	uint8_t sig[EVIDENCE_SIG_LEN];
	struct evidence ev;
	struct session *s = arg;

	/* A client may know whom it speaks with before it says so. */
	if (s->role == ATLS_CLIENT && evidence_parse(leaf, len, &ev, sig) == 0)
		memcpy(opt.ev.peer, ev.name, sizeof(opt.ev.peer));
	(void)atls_verdict(a, ATLS_ACCEPT);
}

static void
secured(struct atls *a, void *arg)
{
	struct session *s = arg;

	(void)a;
	s->secured = true;
	event_base_loopbreak(base);
}

static void
failed(struct atls *a, const char *why, void *arg)
{
	struct session *s = arg;

	(void)a;
	snprintf(s->end, sizeof(s->end), "%s", why);
	event_base_loopbreak(base);
}

static void
nothing(struct atls *a, void *arg)
{
	(void)a;
	(void)arg;
}

static const struct atls_ops ops = { .want_leaf = want_leaf,
	.want_verdict = want_verdict,
	.secured = secured,
	.readable = nothing,
	.writable = nothing,
	.closed = nothing,
	.failed = failed };

/* Bytes. */

static bool
put(struct session *s, const void *p, size_t n)
{
	return s->tls != NULL &&
	    atls_send(s->tls, p, n, s->end, sizeof(s->end)) == 0;
}

static bool
get(struct session *s, uint8_t *p, size_t n)
{
	ssize_t r;

	while (n > 0) {
		if (s->tls == NULL)
			return false;
		r = atls_recv(s->tls, p, n, s->end, sizeof(s->end));
		if (r == 0)
			snprintf(s->end, sizeof(s->end), "closed");
		if (r <= 0)
			return false;
		p += r;
		n -= (size_t)r;
	}
	return true;
}

static bool
say_welcome(struct session *s)
{
	uint8_t out[WELCOME_FRAME_MAX];
	ssize_t n = welcome_format(&s->mine, out, sizeof(out));

	return n > 0 && put(s, out, (size_t)n);
}

static bool
hear_welcome(struct session *s)
{
	uint8_t in[WELCOME_FRAME_MAX];
	ssize_t n;

	if (!get(s, in, FRAME_HEAD_LEN))
		return false;
	n = welcome_len(in);
	if (n < 0) {
		snprintf(s->end, sizeof(s->end), "no WELCOME");
		return false;
	}
	return get(s, in + FRAME_HEAD_LEN, (size_t)n - FRAME_HEAD_LEN);
}

static bool
welcome(struct session *s)
{
	struct welcome *w = &s->mine;

	w->role = s->role == ATLS_CLIENT ? EVIDENCE_CLIENT : EVIDENCE_SERVER;
	w->seq = opt.ev.seq;
	memcpy(w->head, opt.ev.head, sizeof(w->head));
	if (atls_exporter(s->tls, w->exporter) != 0 ||
	    atls_leaf_hash(s->tls, ATLS_OWN, w->own_leaf) != 0 ||
	    atls_leaf_hash(s->tls, ATLS_PEER, w->peer_leaf) != 0 ||
	    atls_detach(s->tls) != 0)
		die("a session without an exporter");
	return s->role == ATLS_CLIENT ? hear_welcome(s) && say_welcome(s) :
					say_welcome(s) && hear_welcome(s);
}

static void
over(struct session *s)
{
	atls_free(s->tls);
	s->tls = NULL;
}

static bool
meet(struct session *s, int fd, enum atls_role role)
{
	static const char *const alpns[] = { "claw-sft/1", NULL };
	struct timeval tv = { opt.wait_ms / 1000, (opt.wait_ms % 1000) * 1000 };

	memset(s, 0, sizeof(*s));
	s->role = role;
	if (RAND_bytes(s->nonce, sizeof(s->nonce)) != 1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) != 0 ||
	    evutil_make_socket_nonblocking(fd) != 0)
		die("socket");
	s->tls = atls_new(ctx, base, fd, role, alpns, s->nonce, atls_key_new(),
	    &ops, s);
	if (s->tls == NULL)
		die("TLS");
	while (!s->secured && s->end[0] == '\0')
		(void)event_base_loop(base, EVLOOP_ONCE);
	return s->secured && welcome(s);
}

/* Sockets. */

static struct sockaddr_in
address(const char *text)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN];
	size_t n = colon == NULL ? sizeof(host) : (size_t)(colon - text);

	if (n >= sizeof(host))
		die("no address: %s", text);
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1)
		die("no address: %s", text);
	sin.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return sin;
}

static void
report_met(struct session *s, bool met, const uint8_t *route)
{
	if (!met) {
		over(s);
		say_end(s);
		return;
	}
	put_hex("{\"route\":\"", route, route == NULL ? 0 : SFT_ROUTE_LEN,
	    "\",");
	put_hex("\"exporter\":\"", s->mine.exporter, sizeof(s->mine.exporter),
	    "\"}\n");
}

static void
cmd_open(struct session *s, char **arg)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sin = address(arg[0]);
	uint8_t first[256];
	size_t n = arg[1] == NULL ? 0 : get_hex(arg[1], first, sizeof(first));

	if (fd == -1 ||
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
	    (n > 0 && send(fd, first, n, MSG_NOSIGNAL) != (ssize_t)n)) {
		snprintf(s->end, sizeof(s->end), "%s", strerror(errno));
		say_end(s);
		(void)close(fd);
		return;
	}
	report_met(s, meet(s, fd, ATLS_CLIENT), NULL);
}

static void
cmd_listen(char **arg)
{
	struct sockaddr_in sin = address(arg[0]);
	socklen_t len = sizeof(sin);
	int on = 1;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener == -1 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) !=
		0 ||
	    bind(listener, (struct sockaddr *)&sin, len) != 0 ||
	    listen(listener, 16) != 0 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) != 0)
		die("%s: %s", arg[0], strerror(errno));
	printf("{\"port\":%u}\n", ntohs(sin.sin_port));
}

/* Streams that were dialled ahead, and not wanted, close without a word. */
static int
next_caller(uint8_t first[SFT_ROUTE_LEN])
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };
	ssize_t n;
	int fd;

	while (poll(&pfd, 1, opt.wait_ms) == 1 &&
	    (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) != -1) {
		n = recv(fd, first, SFT_ROUTE_LEN, MSG_PEEK | MSG_WAITALL);
		if (n == SFT_ROUTE_LEN)
			return fd;
		(void)close(fd);
	}
	return -1;
}

static void
cmd_take(struct session *s)
{
	uint8_t route[SFT_ROUTE_LEN];
	int fd = next_caller(route);
	bool has_route;

	if (fd == -1) {
		snprintf(s->end, sizeof(s->end), "nobody came");
		say_end(s);
		return;
	}
	has_route = route[0] != HELLO_BYTE;
	if (has_route)
		(void)recv(fd, route, sizeof(route), MSG_WAITALL);
	report_met(s, meet(s, fd, ATLS_SERVER), has_route ? route : NULL);
}

/* What it says and hears. */

static void
report_done(struct session *s, bool done)
{
	if (done)
		puts("{}");
	else
		say_end(s);
}

static void
cmd_send(struct session *s, char **arg)
{
	static uint8_t bytes[LINE_MAX_BYTES];
	size_t n = get_hex(arg[0], bytes, sizeof(bytes));

	report_done(s, put(s, bytes, n));
}

static void
cmd_fill(struct session *s, char **arg)
{
	size_t left = strtoul(arg[1], NULL, 0), n;
	uint8_t bytes[65536];
	bool good = true;

	memset(bytes, (int)strtoul(arg[0], NULL, 0), sizeof(bytes));
	for (; good && left > 0; left -= n) {
		n = left < sizeof(bytes) ? left : sizeof(bytes);
		good = put(s, bytes, n);
	}
	report_done(s, good);
}

static void
cmd_frame(struct session *s)
{
	static uint8_t body[1 << 16];
	uint8_t head[FRAME_HEAD_LEN], type;
	uint32_t len;

	if (!get(s, head, sizeof(head))) {
		say_end(s);
		return;
	}
	frame_head_get(head, &type, &len);
	if (len > sizeof(body))
		die("a frame of %u bytes", len);
	if (!get(s, body, len)) {
		say_end(s);
		return;
	}
	printf("{\"type\":%u,", type);
	put_hex("\"body\":\"", body, len, "\"}\n");
}

static void
cmd_get(struct session *s, char **arg, bool seen)
{
	size_t left = strtoul(arg[0], NULL, 0), n;
	uint8_t bytes[65536];

	if (seen && left > sizeof(bytes))
		die("that is too much to be seen");
	for (; left > 0; left -= n) {
		n = left < sizeof(bytes) ? left : sizeof(bytes);
		if (!get(s, bytes, n)) {
			say_end(s);
			return;
		}
		if (seen) {
			put_hex("{\"bytes\":\"", bytes, n, "\"}\n");
			return;
		}
	}
	puts("{}");
}

/* What can only be computed here. */

static void
value_of(unsigned int log, uint64_t index, uint8_t byte, size_t n, bool only,
    b3tree_value out)
{
	uint8_t bytes[65536];
	struct b3tree t;
	size_t k;

	memset(bytes, byte, sizeof(bytes));
	if (b3tree_begin(&t, log, index) != 0)
		die("no such chunk");
	for (; n > 0; n -= k) {
		k = n < sizeof(bytes) ? n : sizeof(bytes);
		if (b3tree_update(&t, bytes, k) != 0)
			die("no such chunk");
	}
	if ((only ? b3tree_end_file(&t, out) : b3tree_end(&t, out)) != 0)
		die("a chunk without a value");
}

static void
cmd_value(char **arg)
{
	b3tree_value v;

	value_of((unsigned int)strtoul(arg[0], NULL, 0),
	    strtoull(arg[1], NULL, 0), (uint8_t)strtoul(arg[2], NULL, 0),
	    strtoul(arg[3], NULL, 0), arg[4][0] == '1', v);
	put_hex("{\"value\":\"", v, sizeof(v), "\"}\n");
}

static void
cmd_root(char **arg)
{
	unsigned int log = (unsigned int)strtoul(arg[0], NULL, 0);
	uint64_t size = strtoull(arg[1], NULL, 0), n, i;
	b3tree_value *v, root;

	n = b3tree_chunks(size, log);
	v = calloc(n + 1, sizeof(*v));
	if (v == NULL)
		die("memory");
	for (i = 0; i < n; i++)
		value_of(log, i, (uint8_t)(i + 1),
		    sft_chunk_len(size, (uint8_t)log, (uint32_t)i), n == 1,
		    v[i]);
	if (n == 1)
		memcpy(root, v[0], sizeof(root));
	else if (b3tree_root(v, n, root) != 0)
		die("root");
	free(v);
	put_hex("{\"root\":\"", root, sizeof(root), "\"}\n");
}

static void
cmd_hash(char **arg)
{
	static uint8_t bytes[LINE_MAX_BYTES];
	size_t n = get_hex(arg[0], bytes, sizeof(bytes));
	b3tree_value root;
	struct b3tree t;

	if (b3tree_begin(&t, SFT_CHUNK_LOG2_MIN, 0) != 0 ||
	    b3tree_update(&t, bytes, n) != 0 || b3tree_end_file(&t, root) != 0)
		die("no hash");
	put_hex("{\"root\":\"", root, sizeof(root), "\"}\n");
}

static void
cmd_sign(char **arg)
{
	uint8_t bytes[2048], sig[64];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t n = get_hex(arg[0], bytes, sizeof(bytes)), siglen = sizeof(sig);

	if (EVP_DigestSignInit(md, NULL, NULL, NULL, opt.identity) != 1 ||
	    EVP_DigestSign(md, sig, &siglen, bytes, n) != 1)
		die("signature");
	EVP_MD_CTX_free(md);
	put_hex("{\"signature\":\"", sig, sizeof(sig), "\"}\n");
}

/* Commands. */

static void
obey(const char *what, struct session *s, char **arg)
{
	if (strcmp(what, "open") == 0)
		cmd_open(s, arg);
	else if (strcmp(what, "take") == 0)
		cmd_take(s);
	else if (strcmp(what, "send") == 0)
		cmd_send(s, arg);
	else if (strcmp(what, "fill") == 0)
		cmd_fill(s, arg);
	else if (strcmp(what, "frame") == 0)
		cmd_frame(s);
	else if (strcmp(what, "get") == 0)
		cmd_get(s, arg, true);
	else if (strcmp(what, "skip") == 0)
		cmd_get(s, arg, false);
	else if (strcmp(what, "close") == 0) {
		over(s);
		puts("{}");
	} else
		die("no such command: %s", what);
}

static void
command(char *line)
{
	char *word[8] = { NULL }, *rest = line, *w;
	struct session *s;
	size_t n = 0;

	while (n < 7 && (w = strsep(&rest, " \n")) != NULL)
		if (*w != '\0')
			word[n++] = w;
	if (n == 0)
		return;
	if (strcmp(word[0], "listen") == 0)
		cmd_listen(word + 1);
	else if (strcmp(word[0], "value") == 0)
		cmd_value(word + 1);
	else if (strcmp(word[0], "root") == 0)
		cmd_root(word + 1);
	else if (strcmp(word[0], "hash") == 0)
		cmd_hash(word + 1);
	else if (strcmp(word[0], "sign") == 0)
		cmd_sign(word + 1);
	else {
		s = &sessions[n < 2 ? 0 :
				      strtoul(word[1], NULL, 10) % SESSIONS];
		obey(word[0], s, word + 2);
	}
	fflush(stdout);
}

static void
option(const char *key, const char *value)
{
	uint8_t seed[32];

	if (strcmp(key, "seed") == 0) {
		(void)get_hex(value, seed, sizeof(seed));
		opt.identity = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519,
		    NULL, seed, sizeof(seed));
	} else if (strcmp(key, "name") == 0)
		snprintf(opt.ev.name, sizeof(opt.ev.name), "%s", value);
	else if (strcmp(key, "peer") == 0)
		snprintf(opt.ev.peer, sizeof(opt.ev.peer), "%s", value);
	else if (strcmp(key, "seq") == 0)
		opt.ev.seq = strtoull(value, NULL, 10);
	else if (strcmp(key, "head") == 0)
		(void)get_hex(value, opt.ev.head, sizeof(opt.ev.head));
	else if (strcmp(key, "caps") == 0)
		opt.caps = strtoull(value, NULL, 0);
	else if (strcmp(key, "wait") == 0)
		opt.wait_ms = atoi(value);
	else
		die("no such option: %s", key);
}

int
main(int argc, char **argv)
{
	static char line[2 * LINE_MAX_BYTES + 64];
	const char *wrong;
	char why[256], *value;
	int i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 1; i < argc; i++) {
		if ((value = strchr(argv[i], '=')) == NULL)
			die("no option: %s", argv[i]);
		*value++ = '\0';
		option(argv[i], value);
	}
	base = event_base_new();
	ctx = atls_ctx_new(why, sizeof(why));
	if (opt.identity == NULL || base == NULL || ctx == NULL ||
	    capability_digest(opt.caps, opt.ev.caps) != 0 ||
	    b3tree_selftest(&wrong) != 0)
		die("cannot begin");
	while (fgets(line, sizeof(line), stdin) != NULL)
		command(line);
	return 0;
}
