/* SPDX-License-Identifier: ISC */
/*
 * spawn.c - fork and exec of a process, with exactly what it may hold.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/place.h"
#include "clawd/spawn.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/sandbox.h"

#define FDS_MAX 16   /* highest number a child is born with, plus one */
#define ABOVE_FDS 64 /* where sources are parked before they are laid out */

static char libexec[PATH_MAX - 32];
static struct sandbox_given given_base;

void
spawn_setup(void)
{
	char self[PATH_MAX - 64], probe[PATH_MAX];
	char *slash;
	ssize_t n;

	sandbox_given_init(&given_base);
	snprintf(libexec, sizeof(libexec), "%s", CLAW_LIBEXECDIR);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return;
	self[n] = '\0';
	/* A tree that was moved as a whole: sbin/clawd, libexec/claw/. */
	slash = strrchr(self, '/');
	*slash = '\0';
	snprintf(probe, sizeof(probe), "%s/../libexec/claw/keyd", self);
	if (access(probe, X_OK) == 0)
		snprintf(libexec, sizeof(libexec), "%s/../libexec/claw", self);
}

const char *
spawn_libexec(void)
{
	return libexec;
}

/* The counter page of p, read-write in fds[4] and read-only in *page. */
static bool
open_page(const struct conf *conf, enum proc p, int *rw, int *ro)
{
	char path[CONF_TEXT_MAX], name[CONF_TEXT_MAX + 16];
	int r;

	*rw = *ro = -1;
	if (!place_path(conf, PLACE_COUNTERS, path, sizeof(path)))
		return false;
	snprintf(name, sizeof(name), "%s/%s", path, proc_name(p));
	*rw = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (*rw == -1 || (r = counters_format(*rw)) != 0 ||
	    (*ro = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) == -1) {
		log_warn("counter page %s", name);
		if (*rw != -1)
			close(*rw);
		return false;
	}
	return true;
}

/* What descriptors.def gives p, opened; fds[number], -1 where nothing. */
static bool
open_descriptors(const struct spawn *s, enum proc p, int fds[FDS_MAX])
{
	switch (p) {
	case PROC_AUDITD:
		fds[DESC_AUDIT_DIR] = place_open_dir(s->conf, PLACE_AUDIT_LOG);
		fds[DESC_AUDIT_STATE] =
		    place_open_dir(s->conf, PLACE_AUDIT_STATE);
		if (fds[DESC_AUDIT_DIR] == -1 || fds[DESC_AUDIT_STATE] == -1) {
			log_warn("folders of the audit log");
			return false;
		}
		break;
	case PROC_ATTESTD:
		fds[DESC_REGISTRY_DIR] =
		    place_open_dir(s->conf, PLACE_REGISTRY);
		if (fds[DESC_REGISTRY_DIR] == -1) {
			log_warn("folder of the registry");
			return false;
		}
		break;
	case PROC_CONTROLD:
		fds[DESC_CONTROL_SOCKET] = s->listen.control;
		break;
	case PROC_METRICD:
		fds[DESC_METRICS_SOCKET] = s->listen.metrics;
		fds[DESC_METRICS_TCP] = s->listen.metrics_tcp;
		break;
	case PROC_MESHD:
		fds[DESC_MESH_SOCKET] = s->listen.mesh;
		break;
	case PROC_SFTD:
		fds[DESC_SFT_SOCKET] = s->listen.sft;
		fds[DESC_SFT_DIR] = place_open_dir(s->conf, PLACE_SFT);
		fds[DESC_FILES_DIR] = place_open_dir(s->conf, PLACE_FILES);
		fds[DESC_SFT_LOG] = place_open_log(s->conf, PLACE_SFT_LOG);
		if (fds[DESC_SFT_DIR] == -1 || fds[DESC_FILES_DIR] == -1 ||
		    fds[DESC_SFT_LOG] == -1) {
			log_warn("folders of file transfer, or its log");
			return false;
		}
		break;
	default:
		break;
	}
	return true;
}

/* In the child: descriptors where they belong, the rest closed. */
static bool
lay_out(const int fds[FDS_MAX])
{
	int parked[FDS_MAX], i;

	for (i = 0; i < FDS_MAX; i++) {
		parked[i] = -1;
		if (fds[i] != -1 &&
		    (parked[i] = fcntl(fds[i], F_DUPFD, ABOVE_FDS)) == -1)
			return false;
	}
	for (i = 0; i < FDS_MAX; i++)
		if (parked[i] == -1)
			close(i);
		else if (dup2(parked[i], i) == -1)
			return false;
	return syscall(SYS_close_range, FDS_MAX, ~0U, 0) == 0;
}

__attribute__((noreturn)) static void
become(const struct spawn *s, enum proc p, const int fds[FDS_MAX], pid_t parent)
{
	struct sandbox_given given = given_base;
	struct sandbox_report rep;
	char path[PATH_MAX], text[SANDBOX_GIVEN_SIZE], name[32];
	char insecure[] = "--insecure-no-sandbox";
	char priority[] = "CLAW_LOG_PRIORITY=1";
	char *argv[] = { name, text, s->insecure ? insecure : NULL, NULL };
	char *envp[] = { s->log_priority ? priority : NULL, NULL };
	sigset_t none;
	int sig;

	/* A session of its own: a terminal's signals are not for it. */
	setsid();
	for (sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	snprintf(name, sizeof(name), "%s", proc_name(p));
	snprintf(path, sizeof(path), "%s/%s", libexec, proc_name(p));
	if (!lay_out(fds))
		fatal("%s: descriptors", name);
	/* The last thing as who we were: from here on it is the child's user.
	 */
	if (sandbox_child_drop(p, account_uid(p), account_gid(p), parent,
		SANDBOX_ALL, &given, &rep) != 0)
		fatalx("%s: %s", name, rep.text);
	if (sandbox_given_format(&given, text, sizeof(text)) != 0)
		fatalx("%s: sandbox argument", name);
	execve(path, argv, envp);
	fatal("%s cannot be executed; is the installation whole?", path);
}

static bool
is_listener(enum proc p, int number)
{
	static const struct {
		enum proc proc;
		int number;
		int rights;
	} table[] = {
#define LISTEN 1
#define DIR_RW 0
#define DIR_RO 0
#define APPEND 0
#define DESC(id, proc, number, rights, what) { PROC_##proc, number, rights },
#include "policy/descriptors.def"
#undef DESC
#undef LISTEN
#undef DIR_RW
#undef DIR_RO
#undef APPEND
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].proc == p && table[i].number == number)
			return table[i].rights != 0;
	return false;
}

static void
close_all(enum proc p, int fds[FDS_MAX])
{
	int i;

	/* Listening sockets and the log are kept, the rest was for the child.
	 */
	for (i = CHILD_PARENT_FD; i < FDS_MAX; i++)
		if (fds[i] != -1 && !is_listener(p, i))
			close(fds[i]);
	if (fds[0] != -1)
		close(fds[0]);
}

pid_t
spawn_start(const struct spawn *s, enum proc p, int *channel, int *page)
{
	int fds[FDS_MAX], pair[2] = { -1, -1 }, i;
	pid_t parent = getpid(), pid = -1;

	*channel = *page = -1;
	for (i = 0; i < FDS_MAX; i++)
		fds[i] = -1;
	fds[0] = fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[2] = s->log_fd;
	if (fds[0] == -1 ||
	    !open_page(s->conf, p, &fds[CHILD_COUNTERS_FD], page) ||
	    !open_descriptors(s, p, fds))
		goto out;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
		log_warn("channel to %s", proc_name(p));
		goto out;
	}
	fds[CHILD_PARENT_FD] = pair[1];
	pid = fork();
	if (pid == 0)
		become(s, p, fds, parent);
	if (pid == -1)
		log_warn("%s cannot be started", proc_name(p));
out:
	close_all(p, fds);
	if (pid != -1)
		*channel = pair[0];
	else if (pair[0] != -1)
		close(pair[0]);
	if (pid == -1 && *page != -1) {
		close(*page);
		*page = -1;
	}
	return pid;
}
