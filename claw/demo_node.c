/* SPDX-License-Identifier: ISC */
/*
 * demo_node.c - nodes in a temporary folder, for claw demo.
 *
 * Makes one with clawd --init, starts it, waits for its READY=1 and stops it.
 * Where root runs the demo the nodes belong to a user that owns nothing else,
 * who gets a copy of the programs if he could not reach them.
 */
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "claw/demo.h"
#include "claw/path.h"
#include "common/proc.h"

#define READY_MS 15000
#define STOP_MS 10000
#define ENV_MAX 128
#define NOTIFY_MAX 128
#define DEMO_TMP_MAX 60 /* a socket's name below it has to fit as well */

static bool
complain(const char *what)
{
	fprintf(stderr, "claw demo: %s: %s\n", what, strerror(errno));
	return false;
}

static bool
copy_file(const char *from, const char *to, mode_t mode)
{
	char buf[65536];
	ssize_t n = -1;
	int in, out;

	in = open(from, O_RDONLY | O_CLOEXEC);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (in != -1 && out != -1)
		while ((n = read(in, buf, sizeof(buf))) > 0)
			if (write(out, buf, (size_t)n) != n) {
				n = -1;
				break;
			}
	if (in != -1)
		close(in);
	if (out != -1 && close(out) == -1)
		n = -1;
	return n == 0 || complain(to);
}

/* Whether anybody can get there: every folder on the way lets others pass. */
static bool
is_reachable(const char *path)
{
	char part[PATH_MAX];
	struct stat st;
	char *slash;

	if (realpath(path, part) == NULL || stat(part, &st) == -1 ||
	    (st.st_mode & S_IXOTH) == 0)
		return false;
	while ((slash = strrchr(part, '/')) != NULL && slash != part) {
		*slash = '\0';
		if (stat(part, &st) == -1 || (st.st_mode & S_IXOTH) == 0)
			return false;
	}
	return true;
}

/* sbin/clawd and libexec/claw below the temporary folder. */
static bool
copy_programs(struct demo_place *p)
{
	static const char *const folders[] = { "sbin", "libexec",
		"libexec/claw" };
	char from[PATH_MAX], file[PATH_MAX * 2], to[PATH_MAX];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		snprintf(to, sizeof(to), "%s/%s", p->top, folders[i]);
		if (mkdir(to, 0755) == -1)
			return complain(to);
	}
	snprintf(to, sizeof(to), "%s/sbin/clawd", p->top);
	if (!copy_file(p->clawd, to, 0755))
		return false;
	memcpy(p->clawd, to, sizeof(p->clawd));
	path_libexec(from);
	for (i = PROC_CLAWD + 1; i < PROC_MAX; i++) {
		snprintf(file, sizeof(file), "%s/%s", from,
		    proc_name((enum proc)i));
		snprintf(to, sizeof(to), "%s/libexec/claw/%s", p->top,
		    proc_name((enum proc)i));
		if (!copy_file(file, to, 0755))
			return false;
	}
	return true;
}

bool
demo_folder(struct demo_place *p, uid_t uid)
{
	const char *tmp = getenv("TMPDIR");
	mode_t old = umask(022);
	bool good;

	if (tmp == NULL || tmp[0] != '/' || strlen(tmp) > DEMO_TMP_MAX)
		tmp = "/tmp";
	snprintf(p->top, sizeof(p->top), "%s/claw-demo-XXXXXX", tmp);
	if (mkdtemp(p->top) == NULL) {
		complain(p->top);
		p->top[0] = '\0';
		return false;
	}
	path_clawd(p->clawd);
	good = uid == geteuid() || is_reachable(p->clawd) || copy_programs(p);
	umask(old);
	if (!good)
		return false;
	return uid == geteuid() || chown(p->top, uid, (gid_t)uid) == 0 ||
	    complain(p->top);
}

void
demo_node(struct demo_node *n, const struct demo_place *place,
    const char *folder, const char *name)
{
	memset(n, 0, sizeof(*n));
	n->clawd = place->clawd;
	n->name = name;
	n->notify = -1;
	snprintf(n->dir, sizeof(n->dir), "%s/%s", place->top, folder);
	snprintf(n->config, sizeof(n->config), "%s/claw.yaml", n->dir);
	snprintf(n->log, sizeof(n->log), "%s/log/audit", n->dir);
	snprintf(n->output, sizeof(n->output), "%s.output", n->dir);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void
demo_remove(const char *top)
{
	if (top[0] != '\0')
		(void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* clawd, its input from fd (or none), its output into the node's file. */
static pid_t
start(struct demo_node *n, int in, const char *const argv[], char *const envp[])
{
	pid_t parent = getpid(), pid;
	int fd;

	pid = fork();
	if (pid != 0)
		return pid;
	/* Whatever becomes of the demo, its node ends with it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	fd = open(n->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd != -1) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	if (in == -1)
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (in != -1)
		dup2(in, STDIN_FILENO);
	path_exec(argv, envp);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Why it failed: what its programs said, unless the demo is to end anyway. */
static bool
failed(const struct demo_node *n, const char *what)
{
	char line[1024];
	FILE *f;

	if (demo_interrupted)
		return false;
	fprintf(stderr, "claw demo: %s:\n", what);
	f = fopen(n->output, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		fprintf(stderr, "  | %s", line);
	if (f != NULL)
		fclose(f);
	return false;
}

/* The environment without what is meant for another node; how much it is. */
static size_t
clean_env(char *const envp[], char *env[static ENV_MAX])
{
	size_t i, k = 0;

	for (i = 0; envp[i] != NULL && k < ENV_MAX - 1; i++)
		if (strncmp(envp[i], "NOTIFY_SOCKET=", 14) != 0 &&
		    strncmp(envp[i], "CLAW_", 5) != 0)
			env[k++] = envp[i];
	env[k] = NULL;
	return k;
}

static bool
port_is_free(uint16_t port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
	} addr = { .in = { .sin_family = AF_INET,
		       .sin_port = htons(port),
		       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd != -1 && bind(fd, &addr.any, sizeof(addr.in)) == 0;

	if (fd != -1)
		close(fd);
	return good;
}

/*
 * Nobody else is to reach the demo's node, and it is to be in nobody's way. A
 * node takes the port after its own, too (sft.listen): even ones, so that no
 * two nodes meet, and below those that the kernel gives to who connects.
 */
static bool
free_address(char out[static 32])
{
	unsigned int tries;
	uint16_t port;

	for (tries = 0; tries < 1000; tries++) {
		if (getrandom(&port, sizeof(port), 0) != sizeof(port))
			break;
		port = (uint16_t)(10240 + port % 10880 * 2);
		if (!port_is_free(port) || !port_is_free((uint16_t)(port + 1)))
			continue;
		snprintf(out, 32, "127.0.0.1:%u", (unsigned int)port);
		return true;
	}
	return complain("a port of 127.0.0.1");
}

/* A pipe out of which the text can be read: the end to read from, or -1. */
static int
full_pipe(const char *text)
{
	size_t len = strlen(text);
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return -1;
	if (write(fds[1], text, len) != (ssize_t)len ||
	    fcntl(fds[0], F_SETFL, 0) == -1) {
		close(fds[0]);
		fds[0] = -1;
	}
	close(fds[1]);
	return fds[0];
}

/* The end of what start() began; a signal to us ends it. */
static bool
ended_well(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid) {
		if (errno != EINTR)
			return complain("clawd --init");
		(void)kill(pid, SIGTERM);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool
demo_init(struct demo_node *n, const char *ticket, char *const envp[])
{
	char *env[ENV_MAX];
	const char *argv[12] = { n->clawd, "--init", "--dir", n->dir, "--name",
		n->name, "--listen", n->address };
	size_t k = 8;
	int in = -1;
	pid_t pid;

	if (!free_address(n->address))
		return false;
	if (ticket != NULL) {
		argv[k++] = "--join";
		argv[k++] = "-";
		in = full_pipe(ticket);
		if (in == -1)
			return complain("pipe");
	}
#ifdef CLAW_SANITIZERS
	argv[k++] = "--insecure-no-sandbox";
#endif
	argv[k] = NULL;
	(void)clean_env(envp, env);
	pid = start(n, in, argv, env);
	if (in != -1)
		close(in);
	if (pid == -1)
		return complain("fork");
	return ended_well(pid) || failed(n, "no node could be made");
}

bool
demo_said(const struct demo_node *n, const char *before, char *out, size_t size)
{
	char line[1024];
	FILE *f = fopen(n->output, "re");
	bool found = false;

	out[0] = '\0';
	while (!found && f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, before) != NULL &&
		    fgets(line, sizeof(line), f) != NULL)
			found = snprintf(out, size, "%.*s",
				    (int)strcspn(line, "\n") -
					(int)strspn(line, " "),
				    line + strspn(line, " ")) < (int)size;
	if (f != NULL)
		fclose(f);
	return found;
}

static bool
open_notify(struct demo_node *n, char variable[static NOTIFY_MAX])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (snprintf(sun.sun_path, sizeof(sun.sun_path), "%s.ready", n->dir) >=
	    (int)sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return complain(n->dir);
	}
	n->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->notify == -1 ||
	    bind(n->notify, (const struct sockaddr *)&sun, sizeof(sun)) == -1)
		return complain(sun.sun_path);
	snprintf(variable, NOTIFY_MAX, "NOTIFY_SOCKET=%s", sun.sun_path);
	return true;
}

/* Until READY=1, or the end of clawd. */
static bool
wait_ready(struct demo_node *n)
{
	struct pollfd pfd = { .fd = n->notify, .events = POLLIN };
	char text[1024];
	int waited_ms;
	ssize_t len;

	for (waited_ms = 0; waited_ms < READY_MS; waited_ms += 50) {
		if (waitpid(n->pid, NULL, WNOHANG) == n->pid) {
			n->pid = 0;
			return false;
		}
		if (poll(&pfd, 1, 50) != 1)
			continue;
		len = recv(n->notify, text, sizeof(text) - 1, 0);
		text[len > 0 ? len : 0] = '\0';
		if (strstr(text, "READY=1") != NULL)
			return true;
	}
	return false;
}

bool
demo_start(struct demo_node *n, char *const envp[])
{
	char variable[NOTIFY_MAX];
	const char *const argv[] = { n->clawd, "-f", n->config,
#ifdef CLAW_SANITIZERS
		"--insecure-no-sandbox",
#endif
		NULL };
	char *env[ENV_MAX + 1];
	size_t k;

	if (!open_notify(n, variable))
		return false;
	k = clean_env(envp, env);
	env[k++] = variable;
	env[k] = NULL;
	n->pid = start(n, -1, argv, env);
	if (n->pid == -1) {
		n->pid = 0;
		return complain("fork");
	}
	n->ending = false;
	return wait_ready(n) || failed(n, "the node did not become ready");
}

bool
demo_load(struct demo_node *n)
{
	struct conf_errors errors;
	bool good;

	conf_errors_init(&errors);
	good = conf_load(&n->conf, &errors, n->config, NULL) == 0;
	conf_errors_free(&errors);
	return good;
}

void
demo_end(struct demo_node *n)
{
	if (n->pid != 0 && !n->ending)
		(void)kill(n->pid, SIGTERM);
	n->ending = true;
}

bool
demo_stop(struct demo_node *n)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int waited_ms, status = 0;

	if (n->pid == 0)
		return true;
	demo_end(n);
	for (waited_ms = 0; waited_ms < STOP_MS; waited_ms += 20) {
		if (waitpid(n->pid, &status, WNOHANG) == n->pid) {
			n->pid = 0;
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		}
		(void)nanosleep(&pause, NULL);
	}
	(void)kill(n->pid, SIGKILL);
	(void)waitpid(n->pid, NULL, 0);
	n->pid = 0;
	fprintf(stderr, "claw demo: the node did not stop\n");
	return false;
}

/* Copies of the log. nftw() has no argument for its callback. */
static struct {
	size_t prefix;
	const char *to;
	bool failed;
} copying;

static int
copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char to[PATH_MAX];

	(void)ftw;
	snprintf(to, sizeof(to), "%s%s", copying.to, path + copying.prefix);
	if (type == FTW_D) {
		if (mkdir(to, 0700) == -1)
			copying.failed = true;
	} else if (type == FTW_F && S_ISREG(st->st_mode) &&
	    !copy_file(path, to, 0600))
		copying.failed = true;
	return copying.failed ? 1 : 0;
}

bool
demo_copy(const char *from, const char *to)
{
	copying.prefix = strlen(from);
	copying.to = to;
	copying.failed = false;
	return nftw(from, copy_one, 16, FTW_PHYS) == 0 && !copying.failed;
}
