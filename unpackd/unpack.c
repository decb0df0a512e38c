/* SPDX-License-Identifier: ISC */
/*
 * unpack.c - a bundle's entries made below a directory, or taken away again.
 *
 * The reader has judged names, links and order. Here no path is walked: each
 * folder is opened in the one above it, as what was made there and not through
 * a link, and everything is made by the last part of its name. Folders are
 * held as places to go through only: nothing here can list one.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unpackd/unpack.h"

/* As a single file that has come: operators read it. */
#define FILE_MODE 0640
#define RUNS_MODE 0750
#define FOLDER_MODE 0750
/* What the smallest takes of a disk, and its folder's entry. */
#define LEAST_FILE 4096

void
unpack_init(struct unpack *u, int dir, bool remove, uint64_t room)
{
	memset(u, 0, sizeof(*u));
	bundle_reader_init(&u->reader);
	u->remove = remove;
	u->room = room;
	u->file = -1;
	u->folder[0].fd = dir;
}

/* What went wrong, with the entry's name as it is shown. */
static int
fail(struct unpack *u, int error, const char *what)
{
	char shown[128];

	(void)sftname_show(u->reader.entry.name, u->reader.entry.name_len,
	    shown, sizeof(shown));
	snprintf(u->why, sizeof(u->why), "%s %s: %s", what, shown,
	    strerror(error));
	return -error;
}

static void
times(struct timespec ts[2], uint64_t mtime_ns)
{
	ts[0] = (struct timespec){ 0, UTIME_OMIT };
	ts[1] = (struct timespec){ (time_t)(mtime_ns / 1000000000),
		(long)(mtime_ns % 1000000000) };
}

/* The last folder is left: nothing more is made in it. */
static int
leave(struct unpack *u)
{
	struct unpack_folder *f = &u->folder[u->depth--];
	struct timespec ts[2];
	char name[SFTNAME_PART_MAX + 1];
	int above = u->folder[u->depth].fd;
	size_t n = (size_t)f->end - f->name_at;

	memcpy(name, u->path + f->name_at, n);
	name[n] = '\0';
	if (f->fd != -1)
		close(f->fd);
	if (u->remove) {
		if (f->fd != -1 && unlinkat(above, name, AT_REMOVEDIR) == -1)
			return fail(u, errno, "cannot remove a folder before");
		return 0;
	}
	times(ts, f->mtime_ns);
	if (utimensat(above, name, ts, AT_SYMLINK_NOFOLLOW) == -1)
		return fail(u, errno, "cannot set the time of what is before");
	return 0;
}

/* Folders that the entry is not below are left. */
static int
climb(struct unpack *u)
{
	const struct bundle_entry *e = &u->reader.entry;
	const struct unpack_folder *f;
	int r = 0;

	while (r == 0 && u->depth > 0) {
		f = &u->folder[u->depth];
		if (e->name_len > f->end && e->name[f->end] == '/' &&
		    memcmp(e->name, u->path, f->end) == 0)
			break;
		r = leave(u);
	}
	return r;
}

/* After an open that failed: what is no folder need not stay, either. */
static bool
is_gone(int dir, const char *name)
{
	return errno == ENOENT ||
	    (errno == ENOTDIR && unlinkat(dir, name, 0) == 0);
}

static int
make_folder(struct unpack *u, int dir, const char *name)
{
	const struct bundle_entry *e = &u->reader.entry;
	struct unpack_folder *f;
	int fd;

	if (!u->remove && mkdirat(dir, name, FOLDER_MODE) == -1 &&
	    errno != EEXIST)
		return fail(u, errno, "cannot make the folder");
	/* To be removed, and not there: nothing is below it either. */
	fd = dir == -1 ?
	    -1 :
	    openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 && dir != -1 && !(u->remove && is_gone(dir, name)))
		return fail(u, errno, "cannot enter the folder");
	f = &u->folder[++u->depth];
	f->fd = fd;
	f->mtime_ns = e->mtime_ns;
	f->end = e->name_len;
	f->name_at = (uint16_t)(e->name_len - strlen(name));
	memcpy(u->path, e->name, e->name_len);
	return 0;
}

/* A file of that name, which is new whoever else was here. */
static int
create(int dir, const char *name, bool runs)
{
	mode_t mode = runs ? RUNS_MODE : FILE_MODE;
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags, mode);

	if (fd == -1 && errno == EEXIST && unlinkat(dir, name, 0) == 0)
		fd = openat(dir, name, flags, mode);
	return fd;
}

static int
end_file(struct unpack *u)
{
	struct timespec ts[2];
	int fd = u->file;

	u->file = -1;
	times(ts, u->reader.entry.mtime_ns);
	if (futimens(fd, ts) == -1) {
		close(fd);
		return fail(u, errno, "cannot set the time of");
	}
	return close(fd) == -1 ? fail(u, errno, "cannot write") : 0;
}

static int
make_file(struct unpack *u, int dir, const char *name)
{
	u->file = create(dir, name, u->reader.entry.runs);
	if (u->file == -1)
		return fail(u, errno, "cannot make the file");
	return u->reader.entry.size == 0 ? end_file(u) : 0;
}

static int
make_link(struct unpack *u, int dir, const char *name)
{
	const char *target = (const char *)u->reader.target;

	if (symlinkat(target, dir, name) == 0)
		return 0;
	if (errno == EEXIST && unlinkat(dir, name, 0) == 0 &&
	    symlinkat(target, dir, name) == 0)
		return 0;
	return fail(u, errno, "cannot make the link");
}

/* Before the first: a bundle of many small files is much smaller than they. */
static int
judge_room(struct unpack *u)
{
	uint64_t files = u->reader.entries * LEAST_FILE;

	if (u->remove ||
	    (files <= u->room && u->reader.bytes <= u->room - files))
		return 0;
	snprintf(u->why, sizeof(u->why),
	    "there is no room for %" PRIu64 " files of %" PRIu64 " bytes",
	    u->reader.entries, u->reader.bytes);
	return -ENOSPC;
}

static int
take_entry(struct unpack *u)
{
	const struct bundle_entry *e = &u->reader.entry;
	const char *slash = strrchr((const char *)e->name, '/');
	const char *name = slash == NULL ? (const char *)e->name : slash + 1;
	int dir, r = 0;

	if (u->reader.entries_left + 1 == u->reader.entries)
		r = judge_room(u);
	if (r != 0 || (r = climb(u)) != 0)
		return r;
	dir = u->folder[u->depth].fd;
	if (e->type == BUNDLE_FOLDER)
		return make_folder(u, dir, name);
	if (u->remove)
		return dir == -1 || unlinkat(dir, name, 0) == 0 ||
			errno == ENOENT ?
		    0 :
		    fail(u, errno, "cannot remove");
	return e->type == BUNDLE_FILE ? make_file(u, dir, name) :
					make_link(u, dir, name);
}

static int
write_bytes(struct unpack *u, const uint8_t *p, size_t n)
{
	ssize_t done;

	while (n > 0) {
		done = write(u->file, p, n);
		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return fail(u, errno, "cannot write");
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int
unpack_feed(struct unpack *u, const uint8_t *in, size_t len)
{
	const uint8_t *bytes;
	uint64_t left = u->reader.left;
	size_t n;
	int e, r = 0;

	while ((e = bundle_next(&u->reader, &in, &len, &bytes, &n)) >=
	    BUNDLE_ENTRY) {
		if (e == BUNDLE_DONE)
			return 0;
		if (e == BUNDLE_ENTRY)
			r = take_entry(u);
		else if (!u->remove) {
			r = write_bytes(u, bytes, n);
			if (r == 0 && n == left)
				r = end_file(u);
		}
		if (r != 0)
			return r;
		left = u->reader.left;
	}
	if (e < 0)
		snprintf(u->why, sizeof(u->why), "it is no folder: %s",
		    u->reader.why);
	return e;
}

int
unpack_end(struct unpack *u)
{
	int r = 0;

	if (!u->remove && !bundle_complete(&u->reader)) {
		snprintf(u->why, sizeof(u->why),
		    "it is no folder: it ends too early");
		return -EBADMSG;
	}
	while (r == 0 && u->depth > 0)
		r = leave(u);
	return r;
}

void
unpack_close(struct unpack *u)
{
	if (u->file != -1)
		close(u->file);
	u->file = -1;
	for (; u->depth > 0; u->depth--)
		if (u->folder[u->depth].fd != -1)
			close(u->folder[u->depth].fd);
}
