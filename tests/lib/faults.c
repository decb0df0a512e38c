/* SPDX-License-Identifier: ISC */
/*
 * faults.c - clocks that are wrong and calls that fail, for the audit log's
 * tests (faults.h). Built as a library of its own and loaded with LD_PRELOAD.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

#ifdef __GLIBC__
int fallocate64(int, int, off64_t, off64_t);
#endif
int renameat(int, const char *, int, const char *);

static struct faults *faults;

__attribute__((constructor)) static void
map_page(void)
{
	const char *name = getenv("FAULTS");
	void *page;
	int fd;

	if (name == NULL || (fd = open(name, O_RDWR | O_CLOEXEC)) == -1)
		return;
	page = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		faults = page;
}

/* One that others will see is about to be made. Once: who takes the place of
 * this process goes on. */
static void
trace(void)
{
	if (faults == NULL || ++faults->traces != faults->cut_at)
		return;
	faults->cut_at = 0;
	__builtin_trap();
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	trace();
	return syscall(SYS_sendmsg, fd, m, flags);
}

ssize_t
send(int fd, const void *data, size_t len, int flags)
{
	trace();
	return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

ssize_t
write(int fd, const void *data, size_t len)
{
	if (fd > STDERR_FILENO)
		trace();
	return syscall(SYS_write, fd, data, len);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	if (fd > STDERR_FILENO)
		trace();
	return syscall(SYS_writev, fd, v, n);
}

int
unlinkat(int dir, const char *path, int flags)
{
	trace();
	return (int)syscall(SYS_unlinkat, dir, path, flags);
}

/* What is to happen to this call: 0 nothing, an errno, or FAULT_SHORT. */
static int64_t
fate(enum fault_call c)
{
	uint64_t n;

	trace();
	if (faults == NULL)
		return 0;
	n = ++faults->call[c].seen;
	return faults->call[c].first != 0 && n >= faults->call[c].first &&
		n <= faults->call[c].last ?
	    faults->call[c].error :
	    0;
}

static bool
fails(enum fault_call c)
{
	int64_t f = fate(c);

	if (f > 0)
		errno = (int)f;
	return f > 0;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ms = 0, ns;
	long r = syscall(SYS_clock_gettime, id, ts);

	if (r != 0 || faults == NULL)
		return (int)r;
	if (id == CLOCK_REALTIME)
		ms = faults->wall_ms;
	else if (id == CLOCK_BOOTTIME)
		ms = faults->boot_ms;
	ns = ts->tv_nsec + ms % 1000 * 1000000;
	ts->tv_sec += ms / 1000;
	if (ns < 0) {
		ns += 1000000000;
		ts->tv_sec--;
	} else if (ns >= 1000000000) {
		ns -= 1000000000;
		ts->tv_sec++;
	}
	ts->tv_nsec = ns;
	return 0;
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t off)
{
	int64_t f = fate(FAULT_PWRITE);

	if (f > 0) {
		errno = (int)f;
		return -1;
	}
	if (f == FAULT_SHORT) {
		/* The next one finds nothing left. */
		faults->call[FAULT_PWRITE].error = ENOSPC;
		faults->call[FAULT_PWRITE].last++;
		len = len / 2 + 1;
	}
	return syscall(SYS_pwrite64, fd, data, len, off);
}

#ifdef __GLIBC__
ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t off)
{
	return pwrite(fd, data, len, off);
}
#endif

int
fdatasync(int fd)
{
	return fails(FAULT_FDATASYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return fails(FAULT_FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int
fallocate(int fd, int mode, off_t off, off_t len)
{
	return fails(FAULT_FALLOCATE) ?
	    -1 :
	    (int)syscall(SYS_fallocate, fd, mode, off, len);
}

#ifdef __GLIBC__
int
fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	return fallocate(fd, mode, off, len);
}
#endif

int
renameat(int from, const char *old, int to, const char *new)
{
	return fails(FAULT_RENAMEAT) ?
	    -1 :
	    (int)syscall(SYS_renameat, from, old, to, new);
}

int
ftruncate(int fd, off_t len)
{
	return fails(FAULT_FTRUNCATE) ? -1 :
					(int)syscall(SYS_ftruncate, fd, len);
}

#ifdef __GLIBC__
int
ftruncate64(int fd, off64_t len)
{
	return ftruncate(fd, len);
}
#endif
