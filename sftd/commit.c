/* SPDX-License-Identifier: ISC */
/*
 * commit.c - the end of a file that is taken: from the last chunk to its name.
 *
 * A name that came from a peer is walked part by part, each opened beneath the
 * one before and through no symbolic link, whoever may be changing the folders
 * meanwhile.
 */
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/openat2.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/sftname.h"
#include "sftd/commit.h"
#include "sftd/store.h"

#define FINISH_MAGIC UINT64_C(0x636c61772f666e01) /* "claw/fn", version 1 */
#define FINISH_LEN (8 + 32 + 8 + 1)
#define FOLDER_MODE 0750
/* Operators read what has come; who may run it, they say. */
#define FILE_MODE(offered) (mode_t)(0640 | ((offered)&0110))

static int
open_beneath(int dir, const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd == -1 ? -errno : (int)fd;
}

static int
write_finish(int dir, const struct finish *f)
{
	uint8_t data[FINISH_LEN];
	struct wbuf w;

	wbuf_init(&w, data, sizeof(data));
	wbuf_u64(&w, FINISH_MAGIC);
	wbuf_put(&w, f->root, sizeof(f->root));
	wbuf_u64(&w, f->inode);
	wbuf_u8(&w, f->placed);
	return store_put(dir, "finish", data, w.len);
}

static int
read_finish(int dir, struct finish *f)
{
	uint8_t data[FINISH_LEN];
	struct rbuf r;
	ssize_t n;

	memset(f, 0, sizeof(*f));
	n = store_get(dir, "finish", data, sizeof(data));
	if (n < 0)
		return (int)n;
	rbuf_init(&r, data, (size_t)n);
	if (n != FINISH_LEN || rbuf_u64(&r) != FINISH_MAGIC)
		return -EBADMSG;
	memcpy(f->root, rbuf_take(&r, sizeof(f->root)), sizeof(f->root));
	f->inode = rbuf_u64(&r);
	f->placed = rbuf_u8(&r) != 0;
	return 0;
}

/* 1: begin. */

static int
set_times(int fd, uint64_t mtime_ns)
{
	struct timespec ts[2] = { { 0, UTIME_OMIT },
		{ (time_t)(mtime_ns / 1000000000),
		    (long)(mtime_ns % 1000000000) } };

	return futimens(fd, ts);
}

/*
 * A folder was synced by who unpacked it; what it is called there is not yet.
 * It gets its mode and time when it has its name: until then it must stay such
 * that it can be unpacked once more.
 */
static int
find_tree(int dir, struct stat *st)
{
	if (fstatat(dir, "tree", st, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	if (!S_ISDIR(st->st_mode))
		return -ENOTDIR;
	return fsync(dir) == -1 ? -errno : 0;
}

int
commit_begin(const struct partial *p, const uint8_t root[32])
{
	struct finish f = { .placed = false };
	struct stat st;
	int dir, fd, r = 0;

	if ((dir = partial_dir(p)) < 0)
		return dir;
	/* Begun and placed before: it stays as it is. */
	if (read_finish(dir, &f) == 0 && f.placed) {
		close(dir);
		return memcmp(f.root, root, 32) == 0 ? 0 : -EBADMSG;
	}
	memcpy(f.root, root, sizeof(f.root));
	fd = openat(dir, "partial", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		r = -errno;
	else if (p->offer.tree)
		r = find_tree(dir, &st);
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != p->offer.size)
		r = -EFBIG;
	else if (fchmod(fd, FILE_MODE(p->offer.mode)) == -1 ||
	    set_times(fd, p->offer.mtime_ns) == -1 || fsync(fd) == -1)
		r = -errno;
	if (r == 0) {
		f.inode = (uint64_t)st.st_ino;
		r = write_finish(dir, &f);
	}
	if (fd != -1)
		close(fd);
	close(dir);
	return r;
}

/* 2: place. */

/* One folder more: opened, or made and synced. Closes dir. */
static int
enter(int dir, const char *part, bool make)
{
	int next;

	if (make && mkdirat(dir, part, FOLDER_MODE) == 0) {
		if (fsync(dir) == -1) {
			next = -errno;
			/* Made anew by the next attempt: see take_back(). */
			(void)unlinkat(dir, part, AT_REMOVEDIR);
			close(dir);
			return next;
		}
	} else if (make && errno != EEXIST) {
		next = -errno;
		close(dir);
		return next;
	}
	next = open_beneath(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	/* A folder that a crash has left may not be durable in its parent. */
	if (next >= 0 && make && fsync(dir) == -1) {
		close(next);
		next = -errno;
	}
	close(dir);
	return next;
}

/* Through all parts of a name but the last, which it leaves in last. */
static int
walk_to(int dir, const uint8_t *name, size_t len, bool make,
    char last[SFTNAME_PART_MAX + 1])
{
	const uint8_t *slash;
	size_t n;

	while (dir >= 0) {
		slash = memchr(name, '/', len);
		n = slash == NULL ? len : (size_t)(slash - name);
		memcpy(last, name, n);
		last[n] = '\0';
		if (slash == NULL)
			return dir;
		dir = enter(dir, last, make);
		name += n + 1;
		len -= n + 1;
	}
	return dir;
}

/*
 * The folder in which the name's last part is to be, and that part. A
 * descriptor or -errno.
 */
static int
walk(const char *into, const uint8_t *name, size_t len, bool make,
    char last[SFTNAME_PART_MAX + 1])
{
	const uint8_t *folder = (const uint8_t *)into;
	int dir;

	if (sftname_check(name, len) != SFTNAME_OK ||
	    sftname_check(folder, strlen(into)) != SFTNAME_OK)
		return -EINVAL;
	dir = fcntl(store_delivered(), F_DUPFD_CLOEXEC, 3);
	if (dir == -1)
		return -errno;
	dir = walk_to(dir, folder, strlen(into), make, last);
	if (dir >= 0)
		dir = enter(dir, last, make);
	return walk_to(dir, name, len, make, last);
}

int
commit_there(const char *into, const uint8_t *name, size_t len)
{
	char last[SFTNAME_PART_MAX + 1];
	struct stat st;
	int dir, r = 0;

	dir = walk(into, name, len, false, last);
	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	if (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) == 0)
		r = (int)(st.st_mode & S_IFMT);
	else if (errno != ENOENT)
		r = -errno;
	close(dir);
	return r;
}

/*
 * Renamed by a run or an attempt before, which may have been told that a
 * folder could not be synced. The kernel says so once; the next sync succeeds
 * and has not written what was lost. So it is taken back, and what follows is
 * done anew. Nobody has a receipt for it yet.
 */
static int
take_back(const struct finish *f, const char *name, int from, int to,
    const char *last)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	if (fstatat(to, last, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : -errno;
	if ((uint64_t)st.st_ino != f->inode)
		return 0;
	return renameat2(to, last, from, name, RENAME_NOREPLACE) == -1 ?
	    -errno :
	    0;
}

static int
move(const struct partial *p, const struct finish *f, int from, int to,
    const char *last)
{
	struct stat st, there;

	if (fstatat(from, "partial", &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	/* Put back from a copy, nobody knows of when. */
	if ((uint64_t)st.st_ino != f->inode)
		return -ESTALE;
	if (fstatat(to, last, &there, AT_SYMLINK_NOFOLLOW) == 0) {
		/* A crash may leave a file that was moved in both folders. */
		if (there.st_ino == st.st_ino && there.st_dev == st.st_dev)
			return unlinkat(from, "partial", 0) == -1 ? -errno : 0;
		/* What is no file gives way to nobody. */
		if (!S_ISREG(there.st_mode))
			return -EEXIST;
	}
	if (renameat2(from, "partial", to, last,
		p->replaces ? 0 : RENAME_NOREPLACE) == -1)
		return -errno;
	return 0;
}

/* The same for a folder. */
static int
move_tree(const struct partial *p, const struct finish *f, int from, int to,
    const char *last)
{
	struct stat st;
	int fd, r = 0;

	if (fstatat(from, "tree", &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	if ((uint64_t)st.st_ino != f->inode)
		return -ESTALE;
	if (renameat2(from, "tree", to, last, RENAME_NOREPLACE) == -1)
		return -errno;
	fd = open_beneath(to, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == -1)
		r = -errno;
	else if ((uint64_t)st.st_ino != f->inode)
		r = -EEXIST;
	else if (fchmod(fd, FOLDER_MODE) == -1 ||
	    set_times(fd, p->offer.mtime_ns) == -1 || fsync(fd) == -1)
		r = -errno;
	close(fd);
	return r;
}

int
commit_place(const struct partial *p)
{
	char last[SFTNAME_PART_MAX + 1];
	struct finish f;
	int from, to, r;

	if ((from = partial_dir(p)) < 0)
		return from;
	r = read_finish(from, &f);
	if (r != 0 || f.placed) {
		close(from);
		return r;
	}
	to = walk(p->into, p->offer.name, p->offer.name_len, true, last);
	if (to < 0) {
		close(from);
		return to;
	}
	r = take_back(&f, p->offer.tree ? "tree" : "partial", from, to, last);
	if (r == 0)
		r = p->offer.tree ? move_tree(p, &f, from, to, last) :
				    move(p, &f, from, to, last);
	if (r == 0 && (fsync(to) == -1 || fsync(from) == -1))
		r = -errno;
	if (r == 0) {
		f.placed = true;
		r = write_finish(from, &f);
	}
	close(to);
	close(from);
	return r;
}

int
commit_undo(const struct partial *p)
{
	struct stat st;
	int dir, r = 0;

	if ((dir = partial_dir(p)) < 0)
		return dir;
	/* Only where it still is incomplete. */
	if (fstatat(dir, p->offer.tree ? "tree" : "partial", &st,
		AT_SYMLINK_NOFOLLOW) == 0)
		r = store_drop(dir, "finish");
	close(dir);
	return r;
}

/* 3: the receipt. */

int
commit_receipt(const struct partial *p, const uint8_t *receipt, size_t len)
{
	int dir, r;

	if ((dir = partial_dir(p)) < 0)
		return dir;
	/* That in the folder of receipts first: the other one says that this
	 * has been done. */
	r = store_receipt(receipt, len, &p->offer);
	if (r == 0)
		r = store_put(dir, "receipt", receipt, len);
	close(dir);
	return r;
}

ssize_t
commit_answer(const struct partial *p, uint8_t *out, size_t size)
{
	ssize_t n;
	int dir;

	if ((dir = partial_dir(p)) < 0)
		return dir;
	n = store_get(dir, "receipt", out, size);
	close(dir);
	return n;
}

int
commit_state(const struct partial *p, struct finish *f)
{
	int dir, r;

	if ((dir = partial_dir(p)) < 0)
		return dir;
	r = read_finish(dir, f);
	close(dir);
	return r;
}

/* The folder as it came, if what was unpacked of it is still there. */
static int
placed_tree(const struct partial *p, const struct finish *f, int dir,
    const char *last)
{
	struct stat st;
	int fd;

	if (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	if (!S_ISDIR(st.st_mode) || (uint64_t)st.st_ino != f->inode)
		return -ENOENT;
	if ((dir = partial_dir(p)) < 0)
		return dir;
	fd = openat(dir, "partial", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	close(dir);
	return fd == -1 ? -errno : fd;
}

/* A file of that size under its name. */
static int
open_there(const struct partial *p, struct stat *st)
{
	char last[SFTNAME_PART_MAX + 1];
	int dir, fd;

	dir = walk(p->into, p->offer.name, p->offer.name_len, false, last);
	if (dir < 0)
		return dir;
	fd = open_beneath(dir, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	close(dir);
	if (fd < 0)
		return fd;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) &&
	    (uint64_t)st->st_size == p->offer.size)
		return fd;
	close(fd);
	return -ENOENT;
}

int
commit_placed(const struct partial *p, const struct finish *f)
{
	char last[SFTNAME_PART_MAX + 1];
	struct stat st;
	int dir, fd;

	if (p->offer.tree) {
		dir = walk(p->into, p->offer.name, p->offer.name_len, false,
		    last);
		if (dir < 0)
			return dir;
		fd = placed_tree(p, f, dir, last);
		close(dir);
		return fd;
	}
	fd = open_there(p, &st);
	if (fd < 0 ||
	    ((uint64_t)st.st_ino == f->inode &&
		(uint64_t)st.st_mtim.tv_sec == p->offer.mtime_ns / 1000000000 &&
		(uint64_t)st.st_mtim.tv_nsec == p->offer.mtime_ns % 1000000000))
		return fd;
	close(fd);
	return -ENOENT;
}

int
commit_instead(const struct partial *p)
{
	struct stat st;

	return p->offer.tree ? -ENOENT : open_there(p, &st);
}

int
commit_adopt(const struct partial *p)
{
	struct finish f;
	struct stat st;
	int dir, fd, r;

	if ((fd = open_there(p, &st)) < 0)
		return fd;
	if ((dir = partial_dir(p)) < 0) {
		close(fd);
		return dir;
	}
	r = read_finish(dir, &f);
	f.inode = (uint64_t)st.st_ino;
	f.placed = true;
	if (r == 0 &&
	    (set_times(fd, p->offer.mtime_ns) == -1 || fsync(fd) == -1))
		r = -errno;
	if (r == 0)
		r = write_finish(dir, &f);
	close(dir);
	close(fd);
	return r;
}
