/* SPDX-License-Identifier: ISC */
/*
 * sandbox_user.c - the namespaces that a normal user can make.
 *
 * Each process makes its own, but whether this host lets a user is the same
 * for all of them: clawd tries it once and tells them, because a trial costs a
 * process and a set of namespaces.
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "common/sandbox_int.h"

static int
write_proc(const char *path, const char *text)
{
	ssize_t n;
	int fd;

	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n == -1) {
		n = -errno;
		close(fd);
		return (int)n;
	}
	close(fd);
	return 0;
}

static int
write_own_id(const char *path, unsigned int id)
{
	char line[64];

	snprintf(line, sizeof(line), "%u %u 1\n", id, id);
	return write_proc(path, line);
}

int
sandbox_unshare(int flags)
{
	unsigned int uid = geteuid(), gid = getegid();
	int rv;

	if (unshare(CLONE_NEWUSER) == -1)
		return -errno;
	if ((rv = write_proc("/proc/self/setgroups", "deny")) != 0 ||
	    (rv = write_own_id("/proc/self/uid_map", uid)) != 0 ||
	    (rv = write_own_id("/proc/self/gid_map", gid)) != 0)
		return rv;
	return unshare(flags) == -1 ? -errno : 0;
}

/* Some hosts allow the user namespace and then no map in it. */
int
sandbox_try_unshare(int flags)
{
	pid_t pid;
	int status;

	if ((pid = fork()) == -1)
		return -errno;
	if (pid == 0)
		_exit(-sandbox_unshare(flags) & 0xff);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}
