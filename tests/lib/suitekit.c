/* SPDX-License-Identifier: ISC */
/*
 * suitekit.c - the real keyd and auditd, started as clawd starts them.
 *
 * The order is clawd/boot.c's, written down as one straight line: HELLO, keys,
 * configuration, channels, START.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/kept.h"
#include "clawd/place.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "suitekit.h"

#define NOBODYS_UID 61184
#define FDS_MAX 8
#define PARKED 64
#define STEP_WITHIN_MS 30000

struct process {
	pid_t pid; /* 0: none */
	struct chan *chan;
	bool hello, gone;
};

struct writer {
	TAILQ_ENTRY(writer) entry;
	struct chan *chan, **slot;
};

struct suitekit {
	struct suitekit_opts opts;
	struct conf conf;
	struct event_base *base;
	struct event *timer;
	struct sandbox_given given;
	struct process process[PROC_MAX];
	TAILQ_HEAD(, writer) writers;
	uint32_t generation;
};

/* What clawd hears from its children. */

static void
on_hello(struct chan *c, struct msg *m)
{
	struct process *p = chan_arg(c);
	struct msg_HELLO hello;

	if (!msg_get_HELLO(&m->body, &hello) || hello.failed != 0 ||
	    hello.schema != msg_schema())
		fatalx("a process of another build, or an open sandbox");
	p->hello = true;
}

static void
on_noted(struct chan *c, struct msg *m)
{
	struct msg_CHECKPOINT_NOTED noted;

	(void)c;
	if (msg_get_CHECKPOINT_NOTED(&m->body, &noted))
		kept_put_checkpoint(&noted);
}

static void
on_violation(struct chan *c, struct msg *m)
{
	struct msg_VIOLATION v;

	(void)c;
	if (msg_get_VIOLATION(&m->body, &v))
		log_errorx("violation reported: %s", v.reason);
}

static void
child_closed(struct chan *c)
{
	struct process *p = chan_arg(c);

	p->gone = true;
	p->chan = NULL;
	chan_free(c);
}

static void
child_broken(struct chan *c, uint16_t type, const char *reason)
{
	(void)type;
	(void)reason;
	child_closed(c);
}

static const struct chan_handlers parent_handlers[] = {
	{ MSG_HELLO, on_hello },
	{ MSG_CHECKPOINT_NOTED, on_noted },
	{ MSG_VIOLATION, on_violation },
	{ 0, NULL },
};

static const struct chan_ops parent_ops = {
	.handlers = parent_handlers,
	.closed = child_closed,
	.violation = child_broken,
};

static void
writer_closed(struct chan *c)
{
	struct writer *w = chan_arg(c);

	*w->slot = NULL;
	w->chan = NULL;
	chan_free(c);
}

static void
writer_broken(struct chan *c, uint16_t type, const char *reason)
{
	(void)type;
	(void)reason;
	writer_closed(c);
}

/* attestd hears of each checkpoint; here nobody needs to. */
static void
on_latest(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
}

static const struct chan_handlers writer_handlers[] = {
	{ MSG_CHECKPOINT_LATEST, on_latest },
	{ 0, NULL },
};

static const struct chan_ops writer_ops = {
	.handlers = writer_handlers,
	.closed = writer_closed,
	.violation = writer_broken,
};

/* Birth. */

static bool
lay_out(const int fds[FDS_MAX])
{
	int parked[FDS_MAX], i;

	for (i = 0; i < FDS_MAX; i++) {
		parked[i] = -1;
		if (fds[i] != -1 &&
		    (parked[i] = fcntl(fds[i], F_DUPFD, PARKED)) == -1)
			return false;
	}
	for (i = 0; i < FDS_MAX; i++)
		if (parked[i] == -1)
			close(i);
		else if (dup2(parked[i], i) == -1)
			return false;
	return close_range(FDS_MAX, ~0U, 0) == 0;
}

__attribute__((noreturn)) static void
become(const struct suitekit *k, enum proc p, const int fds[FDS_MAX],
    pid_t parent)
{
	struct sandbox_given given = k->given;
	struct sandbox_report rep;
	char path[PATH_MAX], text[SANDBOX_GIVEN_SIZE], name[32];
	char preload[PATH_MAX], faults[PATH_MAX];
	char insecure[] = "--insecure-no-sandbox";
	char *argv[] = { name, text, NULL, NULL };
	char *envp[] = { NULL, NULL, NULL };

#ifdef CLAW_SANITIZERS
	argv[2] = insecure;
#else
	(void)insecure;
#endif
	setsid();
	umask(077);
	snprintf(name, sizeof(name), "%s", proc_name(p));
	snprintf(path, sizeof(path), "%s/%s", k->opts.libexec, name);
	if (k->opts.preload != NULL) {
		snprintf(preload, sizeof(preload), "LD_PRELOAD=%s",
		    k->opts.preload);
		snprintf(faults, sizeof(faults), "FAULTS=%s", k->opts.faults);
		envp[0] = preload;
		envp[1] = faults;
	}
	if (!lay_out(fds))
		fatal("%s: descriptors", name);
	if (sandbox_child_drop(p, getuid(), getgid(), parent, SANDBOX_ALL,
		&given, &rep) != 0)
		fatalx("%s: %s", name, rep.text);
	if (sandbox_given_format(&given, text, sizeof(text)) != 0)
		fatalx("%s: sandbox argument", name);
	execve(path, argv, envp);
	fatal("%s", path);
}

static int
counter_page(const struct suitekit *k, enum proc p)
{
	char path[CONF_TEXT_MAX], name[CONF_TEXT_MAX + 16];
	int fd;

	if (!place_path(&k->conf, PLACE_COUNTERS, path, sizeof(path)))
		return -1;
	(void)mkdir(k->conf.node_run_dir, 0755);
	(void)mkdir(path, 0755);
	snprintf(name, sizeof(name), "%s/%s", path, proc_name(p));
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd == -1 || counters_format(fd) != 0)
		fatal("%s", name);
	return fd;
}

static void
spawn(struct suitekit *k, enum proc p)
{
	struct process *in = &k->process[p];
	int fds[FDS_MAX], pair[2], i;
	pid_t parent = getpid();

	for (i = 0; i < FDS_MAX; i++)
		fds[i] = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		fatal("socketpair");
	fds[0] = fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[2] = k->opts.log_fd;
	fds[CHILD_PARENT_FD] = pair[1];
	fds[CHILD_COUNTERS_FD] = counter_page(k, p);
	if (p == PROC_AUDITD) {
		fds[DESC_AUDIT_DIR] = place_open_dir(&k->conf, PLACE_AUDIT_LOG);
		fds[DESC_AUDIT_STATE] =
		    place_open_dir(&k->conf, PLACE_AUDIT_STATE);
		if (fds[DESC_AUDIT_DIR] == -1 || fds[DESC_AUDIT_STATE] == -1)
			fatal("folders of the audit log");
	}
	memset(in, 0, sizeof(*in));
	in->pid = fork();
	if (in->pid == -1)
		fatal("fork");
	if (in->pid == 0)
		become(k, p, fds, parent);
	close(fds[0]);
	for (i = CHILD_PARENT_FD; i < FDS_MAX; i++)
		if (fds[i] != -1)
			close(fds[i]);
	in->chan = chan_new(k->base, pair[0], PROC_CLAWD, p, &parent_ops, in);
	if (in->chan == NULL)
		fatal("channel to %s", proc_name(p));
}

/* A step of the start: a request, and its answer waited for. */

struct step {
	bool done;
	uint16_t type; /* of the answer; MSG_NONE: it is gone */
};

static void
on_step(struct chan *c, struct msg *m, void *arg)
{
	struct step *s = arg;
	struct msg_REFUSED no;

	(void)c;
	s->done = true;
	s->type = m == NULL ? MSG_NONE : m->type;
	if (m != NULL && m->type == MSG_REFUSED &&
	    msg_get_REFUSED(&m->body, &no))
		log_errorx("refused: %s", no.text);
}

static bool
answered(struct suitekit *k, struct step *s)
{
	while (!s->done)
		suitekit_turn(k, STEP_WITHIN_MS);
	return s->type != MSG_NONE && s->type != MSG_REFUSED;
}

/* Send NAME with its fields and wait for the answer. */
#define ASK(k, p, name, fd, ...)                                               \
	ask_##name(k, p, fd, &(struct msg_##name){ __VA_ARGS__ })
#define ASKER(name)                                                            \
	static bool ask_##name(struct suitekit *k, enum proc p, int fd,        \
	    const struct msg_##name *m)                                        \
	{                                                                      \
		struct chan *c = k->process[p].chan;                           \
		struct step s = { 0 };                                         \
                                                                               \
		if (c == NULL)                                                 \
			return false;                                          \
		(void)chan_send_##name(c,                                      \
		    chan_ask(c, MSG_##name, on_step, &s), fd, m);              \
		return answered(k, &s);                                        \
	}
ASKER(KEY_FILE)
ASKER(CONFIG_KEYD)
ASKER(CONFIG_AUDITD)
ASKER(CONFIG_COMMIT)
ASKER(START)
ASKER(DRAIN)

static bool
wait_hello(struct suitekit *k, enum proc p)
{
	while (!k->process[p].hello && !k->process[p].gone)
		suitekit_turn(k, STEP_WITHIN_MS);
	return k->process[p].hello && k->process[p].chan != NULL;
}

static bool
start_keyd(struct suitekit *k)
{
	struct msg_CONFIG_KEYD conf = { .generation = ++k->generation,
		.log_level = LOG_LEVEL_INFO };
	struct msg_CHECKPOINT_KNOWN known;
	char path[CONF_TEXT_MAX];
	bool ok;
	int fd;

	if (!wait_hello(k, PROC_KEYD))
		return false;
	if (kept_checkpoint(&known))
		(void)chan_send_CHECKPOINT_KNOWN(k->process[PROC_KEYD].chan, 0,
		    -1, &known);
	if (!place_path(&k->conf, PLACE_NODE_KEY, path, sizeof(path)) ||
	    (fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		fatal("the node's key");
	ok = ASK(k, PROC_KEYD, KEY_FILE, fd, .end_of_body = 0);
	close(fd);
	snprintf(conf.node, sizeof(conf.node), "%s", k->conf.node_name);
	if (conf_hash_bytes(k->conf.registry_genesis, conf.genesis) != 0)
		fatalx("registry.genesis");
	ok = ok && ask_CONFIG_KEYD(k, PROC_KEYD, -1, &conf) &&
	    ASK(k, PROC_KEYD, CONFIG_COMMIT, -1, .generation = k->generation) &&
	    ASK(k, PROC_KEYD, START, -1, .end_of_body = 0);
	if (ok)
		chan_set_when(k->process[PROC_KEYD].chan, WHEN_RUN);
	return ok;
}

static void
connect_to_keyd(struct suitekit *k)
{
	struct msg_PEER to_auditd = { .proc = PROC_KEYD };
	struct msg_PEER to_keyd = { .proc = PROC_AUDITD };
	struct process *p = k->process;
	int pair[2];

	if (p[PROC_KEYD].chan == NULL || p[PROC_AUDITD].chan == NULL)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		fatal("socketpair");
	(void)chan_send_PEER(p[PROC_AUDITD].chan, 0, pair[0], &to_auditd);
	(void)chan_send_PEER(p[PROC_KEYD].chan, 0, pair[1], &to_keyd);
	close(pair[0]);
	close(pair[1]);
}

static bool
start_auditd(struct suitekit *k)
{
	struct msg_CONFIG_AUDITD conf = { .generation = ++k->generation,
		.log_level = LOG_LEVEL_INFO,
		.checkpoint_ms = (uint32_t)k->conf.audit_checkpoint_interval_ms,
		.warn_percent = (uint8_t)k->conf.audit_warn_at_percent,
		.refuse_percent = (uint8_t)k->conf.audit_refuse_at_percent,
		.reserve_bytes = k->conf.audit_reserve_bytes };

	snprintf(conf.node, sizeof(conf.node), "%s", k->conf.node_name);
	if (conf_hash_bytes(k->conf.registry_genesis, conf.genesis) != 0)
		fatalx("registry.genesis");
	if (!wait_hello(k, PROC_AUDITD) ||
	    !ask_CONFIG_AUDITD(k, PROC_AUDITD, -1, &conf) ||
	    !ASK(k, PROC_AUDITD, CONFIG_COMMIT, -1,
		.generation = k->generation))
		return false;
	connect_to_keyd(k);
	if (!ASK(k, PROC_AUDITD, START, -1, .end_of_body = 0))
		return false;
	chan_set_when(k->process[PROC_AUDITD].chan, WHEN_RUN);
	return true;
}

int
suitekit_start(struct suitekit *k)
{
	spawn(k, PROC_KEYD);
	spawn(k, PROC_AUDITD);
	if (start_keyd(k) && start_auditd(k))
		return 0;
	suitekit_end(k);
	return -1;
}

static void
free_writers(struct suitekit *k)
{
	struct writer *w;

	while ((w = TAILQ_FIRST(&k->writers)) != NULL) {
		TAILQ_REMOVE(&k->writers, w, entry);
		if (w->chan != NULL) {
			*w->slot = NULL;
			chan_free(w->chan);
		}
		free(w);
	}
}

static int
reap(struct process *p)
{
	int status = 0;

	if (p->pid > 0)
		while (waitpid(p->pid, &status, 0) == -1 && errno == EINTR)
			;
	p->pid = 0;
	if (p->chan != NULL) {
		struct chan *c = p->chan;

		p->chan = NULL;
		chan_free(c);
	}
	return status;
}

int
suitekit_stop(struct suitekit *k)
{
	bool ok;

	ok = ASK(k, PROC_AUDITD, DRAIN, -1, .timeout_ms = 5000);
	if (!ok)
		suitekit_kill(k, PROC_AUDITD);
	free_writers(k);
	ok = reap(&k->process[PROC_AUDITD]) == 0 && ok;
	ok = ASK(k, PROC_KEYD, DRAIN, -1, .timeout_ms = 5000) && ok;
	if (!ok)
		suitekit_kill(k, PROC_KEYD);
	return reap(&k->process[PROC_KEYD]) == 0 && ok ? 0 : -1;
}

void
suitekit_kill(struct suitekit *k, enum proc p)
{
	if (k->process[p].pid > 0)
		kill(k->process[p].pid, SIGKILL);
}

void
suitekit_end(struct suitekit *k)
{
	suitekit_kill(k, PROC_AUDITD);
	suitekit_kill(k, PROC_KEYD);
	/* What they had still said counts: an answer that left was given. */
	while ((k->process[PROC_AUDITD].pid > 0 &&
		   !k->process[PROC_AUDITD].gone) ||
	    (k->process[PROC_KEYD].pid > 0 && !k->process[PROC_KEYD].gone))
		suitekit_turn(k, 1000);
	event_base_loop(k->base, EVLOOP_NONBLOCK);
	free_writers(k);
	(void)reap(&k->process[PROC_AUDITD]);
	(void)reap(&k->process[PROC_KEYD]);
}

bool
suitekit_alive(const struct suitekit *k)
{
	const struct process *p = k->process;

	return p[PROC_KEYD].pid > 0 && !p[PROC_KEYD].gone &&
	    p[PROC_AUDITD].pid > 0 && !p[PROC_AUDITD].gone;
}

pid_t
suitekit_pid(const struct suitekit *k, enum proc p)
{
	return k->process[p].pid;
}

struct event_base *
suitekit_base(struct suitekit *k)
{
	return k->base;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

void
suitekit_turn(struct suitekit *k, uint32_t ms)
{
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };

	evtimer_add(k->timer, &tv);
	event_base_loop(k->base, EVLOOP_ONCE);
	evtimer_del(k->timer);
}

void
suitekit_writer(struct suitekit *k, enum proc as, struct chan **out)
{
	struct msg_PEER peer = { .proc = (uint8_t)as };
	struct chan *auditd = k->process[PROC_AUDITD].chan;
	struct writer *w;
	int pair[2];

	*out = auditd;
	if (as == PROC_CLAWD || auditd == NULL)
		return;
	if ((w = calloc(1, sizeof(*w))) == NULL ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		fatal("a writer");
	(void)chan_send_PEER(auditd, 0, pair[1], &peer);
	close(pair[1]);
	w->slot = out;
	w->chan = *out =
	    chan_new(k->base, pair[0], as, PROC_AUDITD, &writer_ops, w);
	if (*out == NULL)
		fatal("a writer");
	chan_set_when(*out, WHEN_RUN);
	TAILQ_INSERT_TAIL(&k->writers, w, entry);
}

void
suitekit_drop(struct suitekit *k, struct chan **slot)
{
	struct writer *w;

	TAILQ_FOREACH(w, &k->writers, entry)
		if (w->slot == slot && w->chan != NULL) {
			writer_closed(w->chan);
			return;
		}
}

bool
suitekit_append(struct chan *c, struct auditrec *r, chan_done *done, void *arg)
{
	if (c == NULL)
		return false;
	return chan_send_AUDIT_APPEND(c,
		   chan_ask(c, MSG_AUDIT_APPEND, done, arg), -1,
		   auditrec_msg(r)) == 0;
}

/* The node. */

struct conf *
suitekit_conf(struct suitekit *k)
{
	return &k->conf;
}

struct suitekit *
suitekit_new(const struct suitekit_opts *opts)
{
	struct suitekit *k = calloc(1, sizeof(*k));
	struct conf_errors e;
	char path[PATH_MAX];

	if (k == NULL)
		fatal("suitekit");
	signal(SIGPIPE, SIG_IGN);
	k->opts = *opts;
	TAILQ_INIT(&k->writers);
	conf_errors_init(&e);
	snprintf(path, sizeof(path), "%s/claw.yaml", opts->dir);
	if (conf_load(&k->conf, &e, path, NULL) != 0) {
		conf_errors_print(&e, stderr);
		fatalx("%s", path);
	}
	conf_errors_free(&e);
	k->base = event_base_new();
	if (k->base == NULL || !kept_open(&k->conf) ||
	    (k->timer = evtimer_new(k->base, on_timer, NULL)) == NULL)
		fatalx("suitekit");
	sandbox_given_init(&k->given);
	return k;
}

void
suitekit_free(struct suitekit *k)
{
	suitekit_end(k);
	event_free(k->timer);
	event_base_free(k->base);
	free(k);
}

static int
run(const char *const argv[])
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		union {
			const char *const *in;
			char *const *out;
		} args = { .in = argv };
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		execv(argv[0], args.out);
		_exit(127);
	}
	if (pid != -1)
		waitpid(pid, &status, 0);
	return status;
}

int
suitekit_init_node(const char *libexec, const char *dir)
{
	char clawd[PATH_MAX];
	const char *const argv[] = { clawd, "--init", "--dir", dir, "--name",
		"node1", "--listen", "127.0.0.1:7946", NULL };

	snprintf(clawd, sizeof(clawd), "%s/../../sbin/clawd", libexec);
	return run(argv) == 0 ? 0 : -1;
}

void
suitekit_drop_root(const char *dir, const char **libexec)
{
	static char copy[PATH_MAX];
	char from[PATH_MAX];
	const char *const cp[] = { "/bin/cp", "-a", from, copy, NULL };

	if (geteuid() != 0)
		return;
	snprintf(from, sizeof(from), "%s/../..", *libexec);
	snprintf(copy, sizeof(copy), "%s/root", dir);
	if (run(cp) != 0 || chmod(dir, 0755) == -1 ||
	    chown(dir, NOBODYS_UID, NOBODYS_UID) == -1 ||
	    setresgid(NOBODYS_UID, NOBODYS_UID, NOBODYS_UID) == -1 ||
	    setresuid(NOBODYS_UID, NOBODYS_UID, NOBODYS_UID) == -1)
		fatal("becoming an ordinary user");
	snprintf(copy, sizeof(copy), "%s/root/libexec/claw", dir);
	*libexec = copy;
}
