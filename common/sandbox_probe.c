/* SPDX-License-Identifier: ISC */
/*
 * sandbox_probe.c - a process tries its own walls.
 *
 * Every probe of policy/probes.def is one function here. All of them are
 * calls that are answered, with an error where the wall stands; where the
 * filter kills, only a process made to die can tell (tests/sandbox).
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "common/sandbox_int.h"

static struct sandbox_origin origin = { .status_fd = -1 };

/* What /proc/self/status said while it was open. */
static bool untraced, status_agrees;

void
sandbox_probe_prepare(const struct sandbox_origin *o)
{
	origin = *o;
	untraced = status_agrees = false;
}

void
sandbox_probe_close(void)
{
	if (origin.status_fd != -1)
		close(origin.status_fd);
	origin.status_fd = -1;
}

static bool
has_line(const char *status, const char *line)
{
	const char *p;

	p = strstr(status, line);
	return p != NULL && p[strlen(line)] == '\n';
}

static void
read_status(void)
{
	char buf[8192];
	size_t used = 0;
	ssize_t n;

	if (origin.status_fd == -1)
		return;
	while (used < sizeof(buf) - 1 &&
	    (n = read(origin.status_fd, buf + used, sizeof(buf) - 1 - used)) >
		0)
		used += (size_t)n;
	buf[used] = '\0';
	untraced = has_line(buf, "\nTracerPid:\t0");
	status_agrees =
	    has_line(buf, "\nNoNewPrivs:\t1") && has_line(buf, "\nSeccomp:\t2");
	sandbox_probe_close();
}

/* Whether a call that returns a descriptor was refused with this errno. */
static bool
refused(long fd, int err)
{
	if (fd == -1)
		return errno == err;
	close((int)fd);
	return false;
}

static bool
probe_canary(void)
{
	return prctl(SANDBOX_CANARY_OPTION, 0, 0, 0, 0) == -1 &&
	    errno == SANDBOX_CANARY_ERRNO;
}

static bool
probe_seccomp_mode(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
}

static bool
probe_no_new_privs(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static bool
probe_dumpable(void)
{
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}

static bool
probe_tracer(void)
{
	return untraced;
}

static bool
probe_status(void)
{
	return status_agrees;
}

static bool
probe_capabilities(void)
{
	return sandbox_has_no_capabilities();
}

static bool
probe_user(void)
{
	uid_t r, e, s;

	return getresuid(&r, &e, &s) == 0 && r == e && e == s && e != 0 &&
	    (!origin.told || e != origin.given.uid);
}

static bool
probe_network(void)
{
	return origin.netns != 0 && origin.netns != origin.given.netns;
}

static bool
probe_ipc(void)
{
	return origin.ipcns != 0 && origin.ipcns != origin.given.ipcns &&
	    origin.utsns != 0 && origin.utsns != origin.given.utsns;
}

static bool
probe_limits(void)
{
	struct rlimit nproc, core;

	return getrlimit(RLIMIT_NPROC, &nproc) == 0 &&
	    getrlimit(RLIMIT_CORE, &core) == 0 && nproc.rlim_max == 0 &&
	    core.rlim_max == 0;
}

static bool
probe_core(void)
{
	struct rlimit core;

	return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
}

static bool
probe_open_passwd(void)
{
	return refused(syscall(SYS_openat, AT_FDCWD, "/etc/passwd",
			   O_RDONLY | O_CLOEXEC, 0),
		   EACCES) ||
	    errno == ENOENT;
}

static bool
probe_open_root(void)
{
	return refused(syscall(SYS_openat, AT_FDCWD, "/",
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0),
	    EACCES);
}

static bool
probe_open_legacy(void)
{
#ifdef SYS_open
	return refused(
	    syscall(SYS_open, "/etc/passwd", O_RDONLY | O_CLOEXEC, 0), EACCES);
#else
	return true;
#endif
}

static bool
probe_socket_inet(void)
{
	return refused(socket(AF_INET, SOCK_STREAM, 0), EAFNOSUPPORT);
}

static bool
probe_socket_unix(void)
{
	return refused(socket(AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
}

static bool (*const probe[PROBE_MAX])(void) = {
	[PROBE_CANARY] = probe_canary,
	[PROBE_SECCOMP_MODE] = probe_seccomp_mode,
	[PROBE_NO_NEW_PRIVS] = probe_no_new_privs,
	[PROBE_DUMPABLE] = probe_dumpable,
	[PROBE_TRACER] = probe_tracer,
	[PROBE_STATUS] = probe_status,
	[PROBE_CAPABILITIES] = probe_capabilities,
	[PROBE_USER] = probe_user,
	[PROBE_NETWORK] = probe_network,
	[PROBE_IPC] = probe_ipc,
	[PROBE_LIMITS] = probe_limits,
	[PROBE_CORE] = probe_core,
	[PROBE_OPEN_PASSWD] = probe_open_passwd,
	[PROBE_OPEN_ROOT] = probe_open_root,
	[PROBE_OPEN_LEGACY] = probe_open_legacy,
	[PROBE_SOCKET_INET] = probe_socket_inet,
	[PROBE_SOCKET_UNIX] = probe_socket_unix,
};

int
sandbox_probe(enum proc self, struct sandbox_report *rep)
{
	uint32_t set = sandbox_probes_of(self, rep->layers);
	unsigned int i;

	rep->passed = rep->failed = 0;
	read_status();
	for (i = 0; i < PROBE_MAX; i++) {
		if ((set & SANDBOX_BIT(i)) == 0)
			continue;
		if (probe[i]())
			rep->passed |= SANDBOX_BIT(i);
		else if (rep->failed == 0) {
			rep->failed |= SANDBOX_BIT(i);
			sandbox_fail(rep, "probe",
			    sandbox_probe_name((enum sandbox_probe)i), EPERM);
		} else
			rep->failed |= SANDBOX_BIT(i);
	}
	return rep->failed == 0 ? 0 : -EPERM;
}
