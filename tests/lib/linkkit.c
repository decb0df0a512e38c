/* SPDX-License-Identifier: ISC */
/*
 * linkkit.c - the real linkd, and everybody it speaks with played by a test.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "linkkit.h"

#define NOBODYS_UID 61184
#define PARKED 64
#define FAR_TOO_LONG_S 60

static struct event_base *base;
static uint32_t sessions;

struct event_base *
linkkit_base(void)
{
	if (base == NULL) {
		base = event_base_new();
		signal(SIGPIPE, SIG_IGN);
	}
	return base;
}

/* Waiting. */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void
turn(unsigned int ms)
{
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };
	struct event *timer = evtimer_new(linkkit_base(), on_timer, NULL);

	evtimer_add(timer, &tv);
	event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

bool
linkkit_until(bool (*done)(void *arg), void *arg)
{
	double end = now_s() + FAR_TOO_LONG_S;

	while (!done(arg))
		if (now_s() > end)
			return false;
		else
			turn(50);
	return true;
}

static bool
is_set(void *arg)
{
	return *(bool *)arg;
}

bool
linkkit_until_set(const bool *flag)
{
	union {
		const void *in;
		void *out;
	} p = { .in = flag };

	return linkkit_until(is_set, p.out);
}

struct least {
	const unsigned int *n;
	unsigned int least;
};

static bool
has_come(void *arg)
{
	const struct least *l = arg;

	return *l->n >= l->least;
}

bool
linkkit_until_count(const unsigned int *n, unsigned int least)
{
	struct least l = { n, least };

	return linkkit_until(has_come, &l);
}

void
linkkit_wait(unsigned int ms)
{
	double end = now_s() + ms / 1000.0;

	while (now_s() < end)
		turn(10);
}

/* The registry. */

void
linkkit_head(uint64_t seq, uint8_t out[32])
{
	memset(out, 0, 32);
	snprintf((char *)out, 32, "head of %llu", (unsigned long long)seq);
}

static void
on_read(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	struct msg_REGISTRY_LINES out = { 0 };
	struct msg_REGISTRY_READ ask;
	char lines[8192];
	size_t n = 0;
	uint64_t i;

	if (!msg_get_REGISTRY_READ(&m->body, &ask))
		abort();
	s->reads++;
	for (i = ask.from;
	     ask.rotations == 0 && i <= s->seq && n < sizeof(lines) - 32; i++)
		n += (size_t)snprintf(lines + n, 32, "line %llu\n",
		    (unsigned long long)i);
	out.more = ask.rotations == 0 && i <= s->seq;
	out.next = i;
	out.lines = (const uint8_t *)lines;
	out.lines_len = (uint16_t)n;
	(void)chan_send_REGISTRY_LINES(c, m->id, -1, &out);
}

static void
on_offer(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	struct msg_REGISTRY_TAKEN out = { 0 };
	struct msg_REGISTRY_OFFER offer;
	char lines[24577], *p, *save = NULL;
	unsigned long long n;

	if (!msg_get_REGISTRY_OFFER(&m->body, &offer))
		abort();
	s->offers++;
	memcpy(lines, offer.lines, offer.lines_len);
	lines[offer.lines_len] = '\0';
	for (p = strtok_r(lines, "\n", &save); p != NULL;
	     p = strtok_r(NULL, "\n", &save))
		if (sscanf(p, "line %llu", &n) != 1 || n > s->seq + 1) {
			snprintf(out.why, sizeof(out.why),
			    "%.20s does not follow", p);
			break;
		} else if (n == s->seq + 1) {
			s->seq++;
			out.taken++;
		}
	out.seq = s->seq;
	linkkit_head(s->seq, out.head);
	(void)chan_send_REGISTRY_TAKEN(c, m->id, -1, &out);
}

/* keyd. */

size_t
linkkit_leaf(struct side *s, uint8_t role, uint8_t purpose,
    const uint8_t spki[EVIDENCE_SPKI_LEN], const uint8_t verifier[32],
    const uint8_t prover[32], uint8_t *out, size_t size)
{
	struct evidence ev = { .role = role,
		.purpose = purpose,
		.seq = s->seq };
	uint8_t tbs[EVIDENCE_TBS_MAX], sig[EVIDENCE_SIG_LEN];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = sizeof(sig);
	ssize_t n;

	snprintf(ev.name, sizeof(ev.name), "%s", s->name);
	memcpy(ev.verifier_nonce, verifier, 32);
	memcpy(ev.prover_nonce, prover, 32);
	linkkit_head(s->seq, ev.head);
	memcpy(ev.spki, spki, sizeof(ev.spki));
	ev.not_before = time(NULL) - 60;
	ev.not_after = ev.not_before + 600;
	n = evidence_tbs(&ev, tbs, sizeof(tbs));
	if (n < 0 || ctx == NULL ||
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, s->identity) != 1 ||
	    EVP_DigestSign(ctx, sig, &len, tbs, (size_t)n) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
	n = evidence_cert(tbs, (size_t)n, sig, out, size);
	if (n < 0)
		abort();
	return (size_t)n;
}

static void
on_leaf(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	uint8_t der[EVIDENCE_CERT_MAX];
	struct msg_LEAF_ISSUED out = { .leaf = der };
	struct msg_LEAF ask;

	if (!msg_get_LEAF(&m->body, &ask))
		abort();
	if (s->mute_leaf)
		return;
	if (s->refuse_leaf) {
		chan_refuse(c, m, EPERM, false, "the test says no");
		return;
	}
	if (s->leaves++ > 0 && memcmp(s->spki, ask.spki, sizeof(s->spki)) != 0)
		snprintf(s->fault, sizeof(s->fault), "another session key");
	memcpy(s->spki, ask.spki, sizeof(s->spki));
	out.leaf_len = (uint16_t)linkkit_leaf(s, s->role, ask.purpose, ask.spki,
	    ask.verifier, ask.prover, der, sizeof(der));
	(void)chan_send_LEAF_ISSUED(c, m->id, -1, &out);
}

/* attestd. */

static void
new_nonce(struct side *s)
{
	memset(s->nonce, 0, sizeof(s->nonce));
	snprintf((char *)s->nonce, sizeof(s->nonce), "%s %u", s->name,
	    ++s->nonces);
}

/* NULL, or what is wrong with the evidence. */
static const char *
judge(struct side *s, const struct msg_JUDGE *ask)
{
	uint8_t sig[EVIDENCE_SIG_LEN];
	struct evidence ev;

	if (evidence_parse(ask->leaf, ask->leaf_len, &ev, sig) != 0)
		return "no leaf";
	if (evidence_verify_sig(&ev, sig, s->other->key) != 0)
		return "signature";
	if (memcmp(ev.verifier_nonce, s->nonce, 32) != 0)
		return "verifier's nonce";
	if (memcmp(ev.prover_nonce, ask->prover, 32) != 0)
		return "prover's nonce";
	if (ev.purpose != ask->purpose || ev.role == s->role)
		return "purpose or role";
	if (s->judged > 0 && memcmp(ev.spki, s->seen_spki, 91) != 0)
		return "another session key";
	memcpy(s->seen_spki, ev.spki, sizeof(s->seen_spki));
	return NULL;
}

static void
on_judge(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	struct msg_VERDICT v = { .alert = s->alert, .seq = s->seq };
	struct msg_JUDGE ask;
	const char *wrong;

	if (!msg_get_JUDGE(&m->body, &ask))
		abort();
	if (s->mute_judge)
		return;
	if (s->refuse_judge) {
		chan_refuse(c, m, EPERM, false, "the test says no");
		return;
	}
	wrong = judge(s, &ask);
	if (wrong != NULL) {
		snprintf(s->fault, sizeof(s->fault), "evidence: %s", wrong);
		v.alert = 42;
	}
	snprintf(v.peer, sizeof(v.peer), "%s", s->other->name);
	snprintf(v.reason, sizeof(v.reason), "%s",
	    wrong != NULL     ? wrong :
		s->alert != 0 ? "the test says so" :
				"");
	v.until = (uint64_t)time(NULL) + s->verdict_s;
	linkkit_head(s->seq, v.head);
	v.checkpoint = (const uint8_t *)s->checkpoint;
	v.checkpoint_len = (uint16_t)strlen(s->checkpoint);
	v.theirs = (const uint8_t *)s->theirs;
	v.theirs_len = (uint16_t)strlen(s->theirs);
	(void)chan_send_VERDICT(c, m->id, -1, &v);
	s->judged++;
}

static void
on_renonce(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	struct msg_NONCE out;

	new_nonce(s);
	memcpy(out.nonce, s->nonce, sizeof(out.nonce));
	(void)chan_send_NONCE(c, m->id, -1, &out);
}

static void
on_checkpoints(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	struct msg_PEER_CHECKPOINTS cps;

	if (!msg_get_PEER_CHECKPOINTS(&m->body, &cps))
		abort();
	s->checked = true;
	snprintf(s->mine, sizeof(s->mine), "%.*s", cps.ours_len, cps.ours);
	snprintf(s->yours, sizeof(s->yours), "%.*s", cps.theirs_len,
	    cps.theirs);
}

static void
on_failed(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);

	if (!msg_get_LINK_FAILED(&m->body, &s->link_failed))
		abort();
	s->failed = true;
}

static void
on_join(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	struct msg_JOIN_ANSWER out = { .seq = s->seq,
		.text = "welcome \xc3\xa4" };

	if (!msg_get_JOIN_ASK(&m->body, &s->join_ask))
		abort();
	s->joined++;
	(void)chan_send_JOIN_ANSWER(c, m->id, -1, &out);
}

/* meshd. */

static void
on_up(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);

	if (!msg_get_LINK_UP(&m->body, &s->link_up))
		abort();
	s->up = true;
}

static void
on_down(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);

	if (!msg_get_LINK_DOWN(&m->body, &s->link_down))
		abort();
	s->down = true;
}

static void
on_pong(struct chan *c, struct msg *m, void *arg)
{
	struct side *s = arg;

	(void)c;
	if (m != NULL && m->type == MSG_LINK_PONG &&
	    msg_get_LINK_PONG(&m->body, &s->link_pong))
		s->pong = true;
}

static void
on_pulled(struct chan *c, struct msg *m, void *arg)
{
	struct side *s = arg;

	(void)c;
	if (m != NULL && m->type == MSG_LINK_PULLED &&
	    msg_get_LINK_PULLED(&m->body, &s->link_pulled))
		s->pulled = true;
}

void
linkkit_ping(struct side *s)
{
	struct msg_LINK_PING ping = { 0 };

	s->pong = false;
	(void)chan_send_LINK_PING(s->meshd,
	    chan_ask(s->meshd, MSG_LINK_PING, on_pong, s), -1, &ping);
}

void
linkkit_pull(struct side *s)
{
	struct msg_LINK_PULL pull = { 0 };

	s->pulled = false;
	(void)chan_send_LINK_PULL(s->meshd,
	    chan_ask(s->meshd, MSG_LINK_PULL, on_pulled, s), -1, &pull);
}

void
linkkit_move_head(struct side *s, uint64_t seq)
{
	struct msg_HEAD_MOVED moved = { .seq = seq };

	s->seq = seq;
	linkkit_head(seq, moved.head);
	(void)chan_send_HEAD_MOVED(s->attestd, 0, -1, &moved);
}

void
linkkit_end_session(struct side *s, const char *reason)
{
	struct msg_SESSION_END end = { 0 };

	snprintf(end.reason, sizeof(end.reason), "%s", reason);
	(void)chan_send_SESSION_END(s->attestd, 0, -1, &end);
}

/* clawd. */

static void
on_hello(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	struct msg_HELLO hello;

	if (!msg_get_HELLO(&m->body, &hello) || hello.failed != 0)
		snprintf(s->fault, sizeof(s->fault), "its sandbox is open");
}

static void
on_violation(struct chan *c, struct msg *m)
{
	struct side *s = chan_arg(c);
	struct msg_VIOLATION v;

	if (msg_get_VIOLATION(&m->body, &v))
		snprintf(s->fault, sizeof(s->fault), "it reported %s of %s",
		    v.reason, msg_name(v.type));
}

static void
closed(struct chan *c)
{
	struct side *s = chan_arg(c);
	int status;

	if (c == s->clawd) {
		s->clawd = NULL;
		if (waitpid(s->pid, &status, 0) == s->pid) {
			s->status = status;
			s->pid = 0;
		}
		s->ended = true;
	} else if (c == s->keyd)
		s->keyd = NULL;
	else if (c == s->attestd)
		s->attestd = NULL;
	else if (c == s->meshd)
		s->meshd = NULL;
	chan_free(c);
}

static void
violation(struct chan *c, uint16_t type, const char *reason)
{
	struct side *s = chan_arg(c);

	snprintf(s->fault, sizeof(s->fault), "it sent %s: %s", msg_name(type),
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
    { MSG_PEER_CHECKPOINTS, on_checkpoints }, { MSG_LINK_FAILED, on_failed },
    { MSG_REGISTRY_READ, on_read }, { MSG_REGISTRY_OFFER, on_offer },
    { MSG_JOIN_ASK, on_join })
OPS(meshd, { MSG_LINK_UP, on_up }, { MSG_LINK_DOWN, on_down })

static struct chan *
sibling(struct side *s, enum proc p, const struct chan_ops *ops)
{
	struct msg_PEER peer = { .proc = (uint8_t)p, .session = sessions };
	struct chan *c;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	(void)chan_send_PEER(s->clawd, 0, pair[1], &peer);
	close(pair[1]);
	c = chan_new(base, pair[0], p, PROC_LINKD, ops, s);
	chan_set_when(c, WHEN_RUN);
	return c;
}

void
linkkit_new_attestd(struct side *s)
{
	struct chan *old = s->attestd;

	s->attestd = sibling(s, PROC_ATTESTD, &attestd_ops);
	chan_free(old);
}

static void
on_ready(struct chan *c, struct msg *m, void *arg)
{
	struct side *s = arg;

	(void)c;
	s->ready = m != NULL && m->type == MSG_READY;
}

static void
on_committed(struct chan *c, struct msg *m, void *arg)
{
	struct side *s = arg;
	struct msg_START start = { 0 };

	if (m == NULL || m->type != MSG_CONFIG_COMMITTED)
		return;
	sessions++;
	s->meshd = sibling(s, PROC_MESHD, &meshd_ops);
	s->keyd = sibling(s, PROC_KEYD, &keyd_ops);
	s->attestd = sibling(s, PROC_ATTESTD, &attestd_ops);
	(void)chan_send_START(c, chan_ask(c, MSG_START, on_ready, s), -1,
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

__attribute__((noreturn)) static void
become(enum proc proc, int binary, const int fds[5], pid_t parent)
{
	uid_t uid = geteuid() == 0 ? NOBODYS_UID : getuid();
	gid_t gid = geteuid() == 0 ? NOBODYS_UID : getgid();
	char name[16], text[SANDBOX_GIVEN_SIZE];
	char insecure[] = "--insecure-no-sandbox";
	char *argv[] = { name, text, NULL, NULL }, *envp[] = { NULL };
	struct sandbox_given given;
	struct sandbox_report rep;
	int i, parked[5];

#ifdef CLAW_SANITIZERS
	argv[2] = insecure;
#else
	(void)insecure;
#endif
	snprintf(name, sizeof(name), "%s", proc_name(proc));
	sandbox_given_init(&given);
	for (i = 0; i < 5; i++)
		parked[i] = fcntl(fds[i], F_DUPFD, PARKED);
	for (i = 0; i < 5; i++)
		if (dup2(parked[i], i) == -1)
			fatal("descriptors");
	binary = fcntl(binary, F_DUPFD_CLOEXEC, 128);
	(void)close_range(5, 127, 0);
	if (sandbox_child_drop(proc, uid, gid, parent, SANDBOX_ALL, &given,
		&rep) != 0)
		fatalx("%s", rep.text);
	if (sandbox_given_format(&given, text, sizeof(text)) != 0)
		fatalx("sandbox argument");
	fexecve(binary, argv, envp);
	fatal("%s", name);
}

void
linkkit_identity(struct side *s, const char *name, struct side *other)
{
	size_t len = sizeof(s->key);

	memset(s, 0, sizeof(*s));
	s->name = name;
	s->other = other;
	s->checkpoint = s->theirs = "";
	s->verdict_s = 3600;
	s->identity = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (s->identity == NULL ||
	    EVP_PKEY_get_raw_public_key(s->identity, s->key, &len) != 1)
		abort();
}

pid_t
linkkit_spawn(enum proc proc, int *clawd)
{
	const char *build = getenv("CLAW_TEST_BUILD");
	int pair[2], fds[5], binary;
	pid_t pid, parent = getpid();
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s/%s", build != NULL ? build : ".",
	    proc_name(proc), proc_name(proc));
	binary = open(path, O_RDONLY | O_CLOEXEC);
	if (binary == -1 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	fds[0] = fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[2] = STDERR_FILENO;
	fds[CHILD_PARENT_FD] = pair[1];
	fds[CHILD_COUNTERS_FD] = memfd_create("counters", MFD_CLOEXEC);
	if (counters_format(fds[CHILD_COUNTERS_FD]) != 0)
		return -1;
	pid = fork();
	if (pid == 0)
		become(proc, binary, fds, parent);
	close(binary);
	close(fds[0]);
	close(fds[CHILD_COUNTERS_FD]);
	close(pair[1]);
	*clawd = pair[0];
	return pid;
}

bool
linkkit_start(struct side *s, const char *name, struct side *other)
{
	struct msg_CONFIG_WORKER conf = { .generation = 1,
		.log_level = LOG_LEVEL_INFO };
	int clawd;

	linkkit_identity(s, name, other);
	(void)linkkit_base();
	s->pid = linkkit_spawn(PROC_LINKD, &clawd);
	if (s->pid == -1)
		return false;
	s->clawd = chan_new(base, clawd, PROC_CLAWD, PROC_LINKD, &clawd_ops, s);
	(void)chan_send_CONFIG_WORKER(s->clawd,
	    chan_ask(s->clawd, MSG_CONFIG_WORKER, on_staged, s), -1, &conf);
	if (!linkkit_until_set(&s->ready))
		return false;
	chan_set_when(s->clawd, WHEN_RUN);
	return true;
}

void
linkkit_serve(struct side *s, uint8_t role, uint8_t purpose, int fd,
    uint32_t handshake_ms)
{
	struct msg_LINK_SERVE serve = { .role = role,
		.purpose = purpose,
		.joins = s->joins,
		.handshake_ms = handshake_ms,
		.address = "192.0.2.1:7946" };

	s->role = role;
	s->purpose = purpose;
	new_nonce(s);
	memcpy(serve.nonce, s->nonce, sizeof(serve.nonce));
	(void)chan_send_LINK_SERVE(s->meshd, 0, fd, &serve);
	close(fd);
}

void
linkkit_end(struct side *s)
{
	struct chan *c[] = { s->meshd, s->keyd, s->attestd, s->clawd };
	size_t i;

	s->meshd = s->keyd = s->attestd = s->clawd = NULL;
	for (i = 0; i < 4; i++)
		chan_free(c[i]);
	if (s->pid > 0)
		(void)waitpid(s->pid, NULL, 0);
	EVP_PKEY_free(s->identity);
	memset(s, 0, sizeof(*s));
}
