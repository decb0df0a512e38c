/* SPDX-License-Identifier: ISC */
/*
 * listen.c - the sockets that clawd keeps while processes come and go.
 */
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/listen.h"
#include "common/log.h"
#include "common/netaddr.h"

/* Of the local sockets; on the network a full queue costs who calls a second.
 */
#define BACKLOG 128
#define BIND_MS 2000
#define BIND_AGAIN_MS 25

static const char *const names[] = { "claw.sock", "metrics.sock", "cookie" };

static bool
path_in_run(const struct conf *conf, const char *name, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/%s", conf->node_run_dir, name);

	return n > 0 && (size_t)n < size;
}

/*
 * A unix socket that operators may connect to. It is bound under another
 * name and renamed, so that it never exists with a mode that is too wide.
 */
static int
listen_unix(const struct conf *conf, const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char path[CONF_TEXT_MAX], temp[64];
	gid_t group = account_operators();
	int fd;

	snprintf(temp, sizeof(temp), ".%s.new", name);
	if (!path_in_run(conf, name, path, sizeof(path)) ||
	    !path_in_run(conf, temp, sun.sun_path, sizeof(sun.sun_path))) {
		log_errorx("%s: too long for a socket", conf->node_run_dir);
		return -1;
	}
	unlink(sun.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 ||
	    bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    chmod(sun.sun_path, group == ACCOUNT_NO_GROUP ? 0600 : 0660) ==
		-1 ||
	    (group != ACCOUNT_NO_GROUP &&
		chown(sun.sun_path, (uid_t)-1, group) == -1) ||
	    listen(fd, BACKLOG) == -1 || rename(sun.sun_path, path) == -1) {
		log_warn("cannot listen on %s", path);
		if (fd != -1)
			close(fd);
		return -1;
	}
	return fd;
}

/* Transfers listen on the next port, unless told otherwise. */
static void
next_port(struct sockaddr_storage *ss)
{
	in_port_t *port = ss->ss_family == AF_INET6 ?
	    &((struct sockaddr_in6 *)ss)->sin6_port :
	    &((struct sockaddr_in *)ss)->sin_port;

	if (*port != 0)
		*port = htons((uint16_t)(ntohs(*port) + 1));
}

/*
 * Processes of a clawd that was killed end by themselves, but not at once, and
 * hold the port until they have.
 */
static int
bind_soon(int fd, const struct sockaddr_storage *ss, socklen_t len)
{
	const struct timespec pause = { .tv_nsec = BIND_AGAIN_MS * 1000000L };
	unsigned int waited_ms;

	for (waited_ms = 0;; waited_ms += BIND_AGAIN_MS) {
		if (bind(fd, (const struct sockaddr *)ss, len) == 0)
			return 0;
		if (errno != EADDRINUSE || waited_ms >= BIND_MS)
			return -1;
		(void)nanosleep(&pause, NULL);
	}
}

static int
listen_tcp(const char *key, const char *addr, bool next)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd, one = 1;

	if (netaddr_parse(addr, &ss, &len) != 0) {
		log_errorx("%s: %s is no address", key, addr);
		return -1;
	}
	if (next)
		next_port(&ss);
	fd =
	    socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1 ||
	    bind_soon(fd, &ss, len) == -1 || listen(fd, SOMAXCONN) == -1) {
		log_warn("cannot listen on %s%s (%s)",
		    next ? "the port after " : "", addr, key);
		if (fd != -1)
			close(fd);
		return -1;
	}
	return fd;
}

bool
listen_open(const struct conf *conf, struct spawn_listen *out)
{
	out->metrics_tcp = out->mesh = out->sft = -1;
	out->control = listen_unix(conf, "claw.sock");
	out->metrics = listen_unix(conf, "metrics.sock");
	if (out->control == -1 || out->metrics == -1)
		return false;
	if (conf->metrics_listen[0] != '\0')
		out->metrics_tcp =
		    listen_tcp("metrics.listen", conf->metrics_listen, false);
	if (conf->node_listen[0] != '\0')
		out->mesh = listen_tcp("node.listen", conf->node_listen, false);
	if (conf->sft_listen[0] != '\0')
		out->sft = listen_tcp("sft.listen", conf->sft_listen, false);
	else if (conf->node_listen[0] != '\0')
		out->sft = listen_tcp("sft.listen", conf->node_listen, true);
	return (conf->metrics_listen[0] == '\0' || out->metrics_tcp != -1) &&
	    (conf->node_listen[0] == '\0' ||
		(out->mesh != -1 && out->sft != -1)) &&
	    (conf->sft_listen[0] == '\0' || out->sft != -1);
}

bool
listen_lock(const struct conf *conf)
{
	char path[CONF_TEXT_MAX], pid[24] = "";
	ssize_t n;
	int fd;

	if (!path_in_run(conf, "clawd.pid", path, sizeof(path)))
		return false;
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1) {
		log_warn("%s", path);
		return false;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		n = read(fd, pid, sizeof(pid) - 1);
		pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
		log_errorx("this node runs already, as pid %s (%s); stop it "
			   "with `claw node:stop`",
		    pid, path);
		close(fd);
		return false;
	}
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) == -1 ||
	    write(fd, pid, strlen(pid)) != (ssize_t)strlen(pid))
		log_warn("%s", path);
	return true; /* held until clawd ends */
}

bool
listen_cookie(const struct conf *conf, uint8_t cookie[32])
{
	char path[CONF_TEXT_MAX], hex[66];
	int fd, i;
	bool ok;

	if (getrandom(cookie, 32, 0) != 32)
		fatal("no random numbers");
	if (!path_in_run(conf, "cookie", path, sizeof(path)))
		return false;
	for (i = 0; i < 32; i++)
		snprintf(hex + i * 2, 3, "%02x", cookie[i]);
	hex[64] = '\n';
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	ok = fd != -1 && write(fd, hex, 65) == 65;
	if (!ok)
		log_warn("%s", path);
	if (fd != -1)
		close(fd);
	explicit_bzero(hex, sizeof(hex));
	return ok;
}

void
listen_close(const struct conf *conf)
{
	char path[CONF_TEXT_MAX];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (path_in_run(conf, names[i], path, sizeof(path)))
			unlink(path);
}
