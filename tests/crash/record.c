/* SPDX-License-Identifier: ISC */
/*
 * record.c - records what a process does to files, and makes it fail
 * (record.h). Built as a library of its own and loaded with LD_PRELOAD.
 *
 * Owns nothing of the process. Not seen: stdio's own writes, writes through
 * mmap(2), and data that the kernel moves (sendfile, copy_file_range).
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

void crash_mark(const char *);

static struct record_head *head;
static char process[16];
static long (*next_syscall)(long, ...);

#define RAW(...)                                                               \
	(next_syscall != NULL ? next_syscall : find_syscall())(__VA_ARGS__)

static long (*find_syscall(void))(long, ...)
{
	/* The way POSIX has it, without a cast that compilers frown at. */
	*(void **)&next_syscall = dlsym(RTLD_NEXT, "syscall");
	return next_syscall;
}

__attribute__((constructor)) static void
map_file(void)
{
	const char *name = getenv("CRASH_RECORD");
	struct stat st;
	void *at;
	int fd;

	snprintf(process, sizeof(process), "%s", program_invocation_short_name);
	find_syscall();
	if (name == NULL ||
	    (fd = (int)RAW(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC)) ==
		-1)
		return;
	if (fstat(fd, &st) == 0 && st.st_size > RECORD_HEAD) {
		at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
		if (at != MAP_FAILED &&
		    ((struct record_head *)at)->magic == RECORD_MAGIC)
			head = at;
	}
	close(fd);
}

/* What is to happen to this call: 0 nothing, an errno, or RECORD_SHORT. */
static int
fate(enum record_call c)
{
	struct record_fault *f;
	uint64_t n;
	int found = 0, i;

	for (i = 0; head != NULL && i < RECORD_FAULTS; i++) {
		f = &head->faults[i];
		if (!(f->calls & 1U << c) ||
		    (f->process[0] != '\0' &&
			strncmp(f->process, process, sizeof(process)) != 0))
			continue;
		n = atomic_fetch_add(&f->seen, 1) + 1;
		if (n < f->first || n > f->last)
			continue;
		if (f->error == RECORD_DIE)
			__builtin_trap();
		found = f->error;
		if (found == RECORD_SHORT) {
			f->error = ENOSPC;
			f->last++;
		}
	}
	return found;
}

/* Append. Leaves errno alone. */

struct name {
	uint64_t dir;
	const char *text;
};

static void
append(struct record *r, const struct name *name, const struct name *name2,
    const struct iovec *iov, size_t data_len)
{
	uint64_t at, size;
	uint8_t *to;
	size_t len, i;

	r->pid = (uint32_t)getpid();
	if (name != NULL) {
		r->dir = name->dir;
		r->name_len = (uint16_t)strlen(name->text);
	}
	if (name2 != NULL) {
		r->dir2 = name2->dir;
		r->name2_len = (uint16_t)strlen(name2->text);
	}
	size = sizeof(*r) + r->name_len + r->name2_len + data_len;
	size = (size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
	r->size = size;
	at = atomic_fetch_add(&head->tail, size);
	if (at > head->size || size > head->size - at) {
		atomic_fetch_add(&head->lost, 1);
		return;
	}
	to = (uint8_t *)head + at + sizeof(*r);
	if (name != NULL)
		to = mempcpy(to, name->text, r->name_len);
	if (name2 != NULL)
		to = mempcpy(to, name2->text, r->name2_len);
	for (i = 0; data_len > 0; i++, data_len -= len) {
		len = iov[i].iov_len < data_len ? iov[i].iov_len : data_len;
		to = mempcpy(to, iov[i].iov_base, len);
	}
	r->ready = 0;
	memcpy((uint8_t *)head + at, r, sizeof(*r));
	atomic_store(&((struct record *)(void *)((uint8_t *)head + at))->ready,
	    1);
}

/* The inode of a file or folder on the device that is recorded, or 0. */
static uint64_t
inode_of(int fd)
{
	struct stat st;
	int saved = errno;
	bool good = head != NULL && fstat(fd, &st) == 0 &&
	    st.st_dev == head->device &&
	    (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));

	errno = saved;
	return good ? st.st_ino : 0;
}

/* The folder that a path's last component is in, and that component. */
static struct name
name_of(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct name n = { 0, slash == NULL ? path : slash + 1 };
	char dir[PATH_MAX];
	int fd, saved = errno;

	if (head == NULL)
		return n;
	if (slash == NULL && dirfd != AT_FDCWD) {
		n.dir = inode_of(dirfd);
		return n;
	}
	if (slash == NULL)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s",
		    slash == path ? 1 : (int)(slash - path), path);
	fd = (int)RAW(SYS_openat, dirfd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1) {
		n.dir = inode_of(fd);
		close(fd);
	}
	errno = saved;
	return n;
}

/* Data. */

static size_t
total(const struct iovec *iov, int n)
{
	size_t len = 0;
	int i;

	for (i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* off -1: where the descriptor stands. */
static ssize_t
do_write(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	struct record r = { .call = RECORD_WRITE, .inode = inode_of(fd) };
	struct iovec half;
	ssize_t done;
	int f;

	if (r.inode == 0)
		f = 0;
	else
		f = fate(RECORD_WRITE);
	if (f > 0) {
		errno = f;
		return -1;
	}
	if (f == RECORD_SHORT && n > 0 && iov[0].iov_len > 1) {
		half.iov_base = iov[0].iov_base;
		half.iov_len = iov[0].iov_len / 2;
		iov = &half;
		n = 1;
	}
	if (off == -1 && flags == 0)
		done = n == 1 ?
		    RAW(SYS_write, fd, iov[0].iov_base, iov[0].iov_len) :
		    RAW(SYS_writev, fd, iov, n);
	else if (flags != 0)
		done = RAW(SYS_pwritev2, fd, iov, n, off, 0, flags);
	else
		done = n == 1 ? RAW(SYS_pwrite64, fd, iov[0].iov_base,
				    iov[0].iov_len, off) :
				RAW(SYS_pwritev, fd, iov, n, off, 0);
	if (done > 0 && r.inode != 0 && total(iov, n) >= (size_t)done) {
		/* Where it stood; also for what appends. */
		if (off == -1)
			off = (off_t)RAW(SYS_lseek, fd, 0, SEEK_CUR) - done;
		r.offset = (uint64_t)off;
		r.length = (uint64_t)done;
		append(&r, NULL, NULL, iov, (size_t)done);
	}
	return done;
}

ssize_t
write(int fd, const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };

	return do_write(fd, &iov, 1, -1, 0);
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t off)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };

	return do_write(fd, &iov, 1, off, 0);
}

ssize_t
writev(int fd, const struct iovec *iov, int n)
{
	return do_write(fd, iov, n, -1, 0);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	return do_write(fd, iov, n, off, 0);
}

ssize_t
pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	return do_write(fd, iov, n, off, flags);
}

/* One that changes an inode and has no data. */
static int
changed(enum record_call c, long done, uint64_t inode, int flags, off_t off,
    off_t len)
{
	struct record r = { .call = c,
		.inode = inode,
		.flags = (uint32_t)flags,
		.offset = (uint64_t)off,
		.length = (uint64_t)len,
		.error = done == -1 ? errno : 0 };
	bool sync =
	    c == RECORD_FSYNC || c == RECORD_FDATASYNC || c == RECORD_SYNCFS;

	/* A sync that fails has lost what it was to save. */
	if (inode != 0 && (done == 0 || sync))
		append(&r, NULL, NULL, NULL, 0);
	return (int)done;
}

static bool
fails(enum record_call c, uint64_t inode, long *done)
{
	int f = inode == 0 ? 0 : fate(c);

	*done = -1;
	if (f != 0)
		errno = f == RECORD_SHORT ? ENOSPC : f;
	return f != 0;
}

int
ftruncate(int fd, off_t len)
{
	uint64_t inode = inode_of(fd);
	long done;

	if (!fails(RECORD_TRUNCATE, inode, &done))
		done = RAW(SYS_ftruncate, fd, len);
	return changed(RECORD_TRUNCATE, done, inode, 0, len, 0);
}

int
fallocate(int fd, int mode, off_t off, off_t len)
{
	uint64_t inode = inode_of(fd);
	long done;

	if (!fails(RECORD_ALLOCATE, inode, &done))
		done = RAW(SYS_fallocate, fd, mode, off, len);
	return changed(RECORD_ALLOCATE, done, inode, mode, off, len);
}

int
posix_fallocate(int fd, off_t off, off_t len)
{
	int saved = errno, r = fallocate(fd, 0, off, len) == 0 ? 0 : errno;

	errno = saved;
	return r;
}

static int
sync_by(enum record_call c, long number, int fd)
{
	uint64_t inode = inode_of(fd);
	off_t began = head == NULL ? 0 : (off_t)atomic_load(&head->tail);
	long done;

	if (!fails(c, inode, &done))
		done = RAW(number, fd);
	return changed(c, done, inode, 0, began, 0);
}

int
fsync(int fd)
{
	return sync_by(RECORD_FSYNC, SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	return sync_by(RECORD_FDATASYNC, SYS_fdatasync, fd);
}

int
syncfs(int fd)
{
	return sync_by(RECORD_SYNCFS, SYS_syncfs, fd);
}

/* Names. */

/* A name has come or gone; inode: of what it names, where that matters. */
static int
named(enum record_call c, long done, const struct name *name,
    const struct name *to, uint64_t inode, unsigned int flags)
{
	struct record r = { .call = c, .inode = inode, .flags = flags };

	if (done != -1 && head != NULL &&
	    (name->dir != 0 || (to != NULL && to->dir != 0) ||
		(c == RECORD_OPEN && inode != 0)))
		append(&r, name, to, NULL, 0);
	return (int)done;
}

static int
do_open(int dirfd, const char *path, int flags, unsigned int mode,
    const void *how, size_t how_len)
{
	bool tmpfile = (flags & O_TMPFILE) == O_TMPFILE;
	bool matters =
	    head != NULL && ((flags & (O_CREAT | O_TRUNC)) != 0 || tmpfile);
	struct name n = { 0, "" };
	long done;

	if (!matters)
		return (int)(how != NULL ?
			RAW(SYS_openat2, dirfd, path, how, how_len) :
			RAW(SYS_openat, dirfd, path, flags, mode));
	if (!tmpfile)
		n = name_of(dirfd, path);
	if (fails(RECORD_OPEN, n.dir, &done))
		return -1;
	done = how != NULL ? RAW(SYS_openat2, dirfd, path, how, how_len) :
			     RAW(SYS_openat, dirfd, path, flags, mode);
	return named(RECORD_OPEN, done, &n, NULL,
	    done == -1 ? 0 : inode_of((int)done), (unsigned int)flags);
}

#define MODE(flags, mode)                                                      \
	do {                                                                   \
		va_list ap;                                                    \
		va_start(ap, flags);                                           \
		if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE)     \
			mode = va_arg(ap, unsigned int);                       \
		va_end(ap);                                                    \
	} while (0)

int
open(const char *path, int flags, ...)
{
	unsigned int mode = 0;

	MODE(flags, mode);
	return do_open(AT_FDCWD, path, flags, mode, NULL, 0);
}

int
openat(int dirfd, const char *path, int flags, ...)
{
	unsigned int mode = 0;

	MODE(flags, mode);
	return do_open(dirfd, path, flags, mode, NULL, 0);
}

int
creat(const char *path, mode_t mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, NULL,
	    0);
}

int
renameat2(int from, const char *old, int to, const char *new,
    unsigned int flags)
{
	struct name a = name_of(from, old), b = name_of(to, new);
	long done;

	if (!fails(RECORD_RENAME, a.dir, &done))
		done = RAW(SYS_renameat2, from, old, to, new, flags);
	return named(RECORD_RENAME, done, &a, &b, 0, flags);
}

int
renameat(int from, const char *old, int to, const char *new)
{
	struct name a = name_of(from, old), b = name_of(to, new);
	long done;

	/* By the number that the C library uses: a sandbox knows that one. */
	if (!fails(RECORD_RENAME, a.dir, &done))
		done = RAW(SYS_renameat, from, old, to, new);
	return named(RECORD_RENAME, done, &a, &b, 0, 0);
}

int
rename(const char *old, const char *new)
{
	return renameat(AT_FDCWD, old, AT_FDCWD, new);
}

int
linkat(int from, const char *old, int to, const char *new, int flags)
{
	struct name n = name_of(to, new);
	uint64_t inode = 0;
	int fd, saved;
	long done;

	if (fails(RECORD_LINK, n.dir, &done))
		return -1;
	done = RAW(SYS_linkat, from, old, to, new, flags);
	if (done == 0 && n.dir != 0) {
		saved = errno;
		fd = (int)RAW(SYS_openat, to, new,
		    O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd != -1) {
			inode = inode_of(fd);
			close(fd);
		}
		errno = saved;
	}
	return named(RECORD_LINK, done, &n, NULL, inode, 0);
}

int
link(const char *old, const char *new)
{
	return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int
unlinkat(int dirfd, const char *path, int flags)
{
	struct name n = name_of(dirfd, path);
	long done;

	if (!fails(RECORD_UNLINK, n.dir, &done))
		done = RAW(SYS_unlinkat, dirfd, path, flags);
	return named(RECORD_UNLINK, done, &n, NULL, 0, (unsigned int)flags);
}

int
unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int
rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int
mkdirat(int dirfd, const char *path, mode_t mode)
{
	struct name n = name_of(dirfd, path);
	uint64_t inode = 0;
	int fd, saved;
	long done;

	if (fails(RECORD_MKDIR, n.dir, &done))
		return -1;
	done = RAW(SYS_mkdirat, dirfd, path, mode);
	if (done == 0 && n.dir != 0) {
		saved = errno;
		fd = (int)RAW(SYS_openat, dirfd, path,
		    O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd != -1) {
			inode = inode_of(fd);
			close(fd);
		}
		errno = saved;
	}
	return named(RECORD_MKDIR, done, &n, NULL, inode, 0);
}

int
mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int
symlinkat(const char *to, int dirfd, const char *path)
{
	struct name n = name_of(dirfd, path), where = { 0, to };
	long done;

	if (!fails(RECORD_SYMLINK, n.dir, &done))
		done = RAW(SYS_symlinkat, to, dirfd, path);
	return named(RECORD_SYMLINK, done, &n, &where, 0, 0);
}

/* Time that has passed in here, and nowhere else. */
int
clock_gettime(clockid_t which, struct timespec *ts)
{
	long done = RAW(SYS_clock_gettime, which, ts);

	if (done == 0 && head != NULL &&
	    (which == CLOCK_MONOTONIC || which == CLOCK_MONOTONIC_COARSE))
		ts->tv_sec += (time_t)atomic_load(&head->ahead_s);
	return (int)done;
}

/* A process that says what it would not: once, on the same channel. */
ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t done = RAW(SYS_sendmsg, fd, m, flags);
	const uint8_t *p = m->msg_iovlen > 0 ? m->msg_iov[0].iov_base : NULL;
	uint32_t type;
	struct iovec more;
	struct msghdr with = { .msg_iov = &more, .msg_iovlen = 1 };

	if (done < 2 || head == NULL || m->msg_iov[0].iov_len < 2)
		return done;
	type = (uint32_t)p[0] << 8 | p[1];
	if (type != 0 &&
	    atomic_compare_exchange_strong(&head->after, &type, 0)) {
		more.iov_base = head->packet;
		more.iov_len = head->packet_len;
		(void)RAW(SYS_sendmsg, fd, &with, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	return done;
}

/* Modes and times: calls that fail and end, and no more. */

int
utimensat(int dirfd, const char *path, const struct timespec ts[2], int flags)
{
	struct name n = name_of(dirfd, path);
	long done;

	if (!fails(RECORD_ATTRIBUTES, n.dir, &done))
		done = RAW(SYS_utimensat, dirfd, path, ts, flags);
	return (int)done;
}

int
futimens(int fd, const struct timespec ts[2])
{
	long done;

	if (!fails(RECORD_ATTRIBUTES, inode_of(fd), &done))
		done = RAW(SYS_utimensat, fd, NULL, ts, 0);
	return (int)done;
}

int
fchmod(int fd, mode_t mode)
{
	long done;

	if (!fails(RECORD_ATTRIBUTES, inode_of(fd), &done))
		done = RAW(SYS_fchmod, fd, mode);
	return (int)done;
}

/* What the C library has no function for. */
long
syscall(long number, ...)
{
	long a[6];
	va_list ap;
	size_t i;

	va_start(ap, number);
	for (i = 0; i < sizeof(a) / sizeof(a[0]); i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2)
		/* struct open_how begins with the flags. */
		return do_open((int)a[0], (const char *)a[1],
		    (int)*(const uint64_t *)a[2], 0, (const void *)a[2],
		    (size_t)a[3]);
	if (number == SYS_renameat2)
		return renameat2((int)a[0], (const char *)a[1], (int)a[2],
		    (const char *)a[3], (unsigned int)a[4]);
	return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* For test programs: a promise that was made now. */
void
crash_mark(const char *text)
{
	struct record r = { .call = RECORD_MARK };
	struct name n = { 0, text };

	if (head != NULL)
		append(&r, &n, NULL, NULL, 0);
}

/* The names that the C library's headers may give these calls. */
#ifdef __GLIBC__
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
#define SAME(of) __attribute__((alias(#of)))
ssize_t pwrite64(int, const void *, size_t, off64_t) SAME(pwrite);
ssize_t pwritev64(int, const struct iovec *, int, off64_t) SAME(pwritev);
ssize_t
pwritev64v2(int, const struct iovec *, int, off64_t, int) SAME(pwritev2);
int ftruncate64(int, off64_t) SAME(ftruncate);
int fallocate64(int, int, off64_t, off64_t) SAME(fallocate);
int posix_fallocate64(int, off64_t, off64_t) SAME(posix_fallocate);
int open64(const char *, int, ...) SAME(open);
int openat64(int, const char *, int, ...) SAME(openat);
int creat64(const char *, mode_t) SAME(creat);

int
__open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0, NULL, 0);
}

int
__openat_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags, 0, NULL, 0);
}

int __open64_2(const char *, int) SAME(__open_2);
int __openat64_2(int, const char *, int) SAME(__openat_2);
#endif
