/* SPDX-License-Identifier: ISC */
/*
 * file_tree.c - a folder, or several sources, as one file: common/bundle.h.
 *
 * It is read with the rights of who runs claw. What is in a folder may change
 * while it is walked: each part is opened in the folder above it and through
 * no link, a file is as long as it was when it was opened, or nothing is sent.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/file.h"
#include "claw/out.h"
#include "common/bundle.h"

#define ROOM ((size_t)1 << 20)

struct packer {
	const struct cmd *c;
	struct file_tree *t;
	int out;
	int status; /* of what was said last */
	uint64_t entries, bytes;
	uint64_t latest; /* of the sources' times */
	size_t used;
	uint8_t room[ROOM];
	/* The name of what is just packed. */
	char name[SFTNAME_MAX + 2];
	size_t len;
};

/* What a folder has in it, or the sources, in order. */
struct list {
	char **name;
	size_t n, room;
};

static bool
say(struct packer *p, int status, const char *what)
{
	char shown[SFTNAME_SHOWN_SIZE];

	(void)sftname_show((const uint8_t *)p->name, p->len, shown,
	    sizeof(shown));
	p->status = out_error(p->c, stderr, status, "FailedError", "%s: %s",
	    shown, what);
	return false;
}

/* --- the file that comes of it --------------------------------------------
 */

static bool
flush(struct packer *p)
{
	size_t done = 0;
	ssize_t n;

	while (done < p->used) {
		n = write(p->out, p->room + done, p->used - done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			p->status = out_error(p->c, stderr, EX_IOERR,
			    "FailedError",
			    "the folder could not be put together: %s; TMPDIR "
			    "says where it is",
			    strerror(errno));
			return false;
		}
		done += (size_t)n;
	}
	p->used = 0;
	return true;
}

static uint64_t
time_of(const struct stat *st)
{
	return st->st_mtim.tv_sec < 0 ?
	    0 :
	    (uint64_t)st->st_mtim.tv_sec * 1000000000 +
		(uint64_t)st->st_mtim.tv_nsec;
}

static bool
put_entry(struct packer *p, struct bundle_entry *e)
{
	enum sftname_verdict v;
	ssize_t n;

	v = sftname_check((const uint8_t *)p->name, p->len);
	if (v != SFTNAME_OK)
		return say(p, EX_DATAERR, sftname_why(v));
	if (p->entries == BUNDLE_ENTRIES_MAX)
		return say(p, EX_DATAERR,
		    "there are more files than one folder may have");
	e->name_len = (uint16_t)p->len;
	memcpy(e->name, p->name, p->len);
	if (ROOM - p->used < BUNDLE_ENTRY_LEN + SFTNAME_MAX && !flush(p))
		return false;
	n = bundle_entry(e, p->room + p->used, ROOM - p->used);
	if (n < 0)
		return say(p, EX_DATAERR, "it cannot be sent");
	p->used += (size_t)n;
	p->entries++;
	return true;
}

/* --- what is packed --------------------------------------------------------
 */

static bool
pack_file(struct packer *p, int fd, const struct stat *st)
{
	struct bundle_entry e = { .type = BUNDLE_FILE,
		.runs = (st->st_mode & S_IXUSR) != 0,
		.mtime_ns = time_of(st),
		.size = (uint64_t)st->st_size };
	uint64_t left = e.size;
	size_t want;
	ssize_t n;
	char more;

	if (!put_entry(p, &e))
		return false;
	while (left > 0) {
		if (p->used == ROOM && !flush(p))
			return false;
		want = ROOM - p->used < left ? ROOM - p->used : (size_t)left;
		n = read(fd, p->room + p->used, want);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return say(p, EX_NOINPUT, strerror(errno));
		if (n == 0)
			return say(p, EX_DATAERR,
			    "it became shorter while it was read");
		p->used += (size_t)n;
		left -= (uint64_t)n;
	}
	if (read(fd, &more, 1) != 0)
		return say(p, EX_DATAERR, "it became longer while it was read");
	p->bytes += e.size;
	return true;
}

static bool
pack_link(struct packer *p, int dir, const char *name)
{
	struct bundle_entry e = { .type = BUNDLE_LINK };
	char target[BUNDLE_LINK_MAX + 1];
	ssize_t n;

	if (!p->t->links) {
		p->t->links_left++;
		return true;
	}
	n = readlinkat(dir, name, target, sizeof(target));
	if (n == -1)
		return say(p, EX_NOINPUT, strerror(errno));
	if (!bundle_link_ok((const uint8_t *)p->name, p->len,
		(const uint8_t *)target, (size_t)n)) {
		p->t->links_left++;
		return true;
	}
	e.size = (uint64_t)n;
	if (!put_entry(p, &e) ||
	    (ROOM - p->used < BUNDLE_LINK_MAX && !flush(p)))
		return false;
	memcpy(p->room + p->used, target, (size_t)n);
	p->used += (size_t)n;
	return true;
}

static bool pack_folder(struct packer *p, int fd, unsigned int depth);

/* One thing that is open, by what it is. Closes it. */
static bool
pack_open(struct packer *p, int fd, unsigned int depth)
{
	struct bundle_entry e = { .type = BUNDLE_FOLDER };
	struct stat st;
	bool good;

	if (fstat(fd, &st) == -1)
		good = say(p, EX_NOINPUT, strerror(errno));
	else if (S_ISREG(st.st_mode))
		good = pack_file(p, fd, &st);
	else if (S_ISDIR(st.st_mode)) {
		e.mtime_ns = time_of(&st);
		good = put_entry(p, &e) && pack_folder(p, fd, depth);
	} else
		good = say(p, EX_DATAERR, "it is no file any more");
	close(fd);
	return good;
}

static bool
pack_one(struct packer *p, int dir, const char *name, unsigned int depth)
{
	char shown[SFTNAME_SHOWN_SIZE];
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return say(p, EX_NOINPUT, strerror(errno));
	if (S_ISLNK(st.st_mode))
		return pack_link(p, dir, name);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		(void)sftname_show((const uint8_t *)p->name, p->len, shown,
		    sizeof(shown));
		fprintf(stderr, "claw: left out: %s, which is no file\n",
		    shown);
		return true;
	}
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd == -1 ? say(p, EX_NOINPUT, strerror(errno)) :
			  pack_open(p, fd, depth);
}

/* --- in order --------------------------------------------------------------
 */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
list_add(struct list *l, const char *name)
{
	size_t room = l->room == 0 ? 64 : 2 * l->room;
	char **more;

	if (l->n == l->room) {
		more = reallocarray(l->name, room, sizeof(*more));
		if (more == NULL)
			return false;
		l->name = more;
		l->room = room;
	}
	l->name[l->n] = strdup(name);
	return l->name[l->n++] != NULL;
}

static void
list_free(struct list *l)
{
	while (l->n > 0)
		free(l->name[--l->n]);
	free(l->name);
}

static bool
list_read(struct list *l, int fd)
{
	const struct dirent *e;
	DIR *d;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	d = copy == -1 ? NULL : fdopendir(copy);
	if (d == NULL) {
		if (copy != -1)
			close(copy);
		return false;
	}
	errno = 0;
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 && !list_add(l, e->d_name))
			break;
	if (e != NULL)
		errno = ENOMEM;
	copy = errno;
	closedir(d);
	errno = copy;
	if (copy == 0 && l->n > 1)
		qsort(l->name, l->n, sizeof(*l->name), by_name);
	return copy == 0;
}

/* The name of what is packed: one part more. */
static bool
descend(struct packer *p, const char *part)
{
	size_t n = strlen(part), slash = p->len > 0 ? 1 : 0;

	if (p->len + slash + n > SFTNAME_MAX)
		return say(p, EX_DATAERR, "a name in it is too long");
	if (slash != 0)
		p->name[p->len++] = '/';
	memcpy(p->name + p->len, part, n + 1);
	p->len += n;
	return true;
}

/* Depth is bounded by what a name may be. */
static bool
pack_folder(struct packer *p, int fd, unsigned int depth)
{
	struct list l = { .n = 0 };
	size_t i, len = p->len;
	bool good = true;

	if (depth > SFTNAME_DEPTH_MAX)
		return say(p, EX_DATAERR, "folders are too deep");
	if (!list_read(&l, fd))
		good = say(p, EX_NOINPUT, strerror(errno));
	for (i = 0; good && i < l.n; i++) {
		good = descend(p, l.name[i]) &&
		    pack_one(p, fd, l.name[i], depth + 1);
		p->len = len;
		p->name[len] = '\0';
	}
	list_free(&l);
	return good;
}

/* --- sources ---------------------------------------------------------------
 */

static int
open_top(const struct cmd *c, const char *path, struct packer *p)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1 || fstat(fd, &st) == -1) {
		p->status = out_error(c, stderr, EX_NOINPUT, "FailedError",
		    "%s: %s", path, strerror(errno));
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (time_of(&st) > p->latest)
		p->latest = time_of(&st);
	return fd;
}

/* Each under the last part of its name. */
static bool
pack_sources(struct packer *p, const char *const *sources, size_t n)
{
	const char *path[CMD_GIVEN_MAX];
	char *copy, *part;
	struct list l = { .n = 0 };
	size_t i, k;
	bool good = n <= CMD_GIVEN_MAX;
	int fd;

	for (i = 0; good && i < n; i++) {
		copy = strdup(sources[i]);
		part = copy == NULL ? NULL : basename(copy);
		good = part != NULL && list_add(&l, part);
		free(copy);
	}
	if (good)
		qsort(l.name, l.n, sizeof(*l.name), by_name);
	for (i = 0; good && i < l.n; i++) {
		if (i > 0 && strcmp(l.name[i], l.name[i - 1]) == 0) {
			p->status =
			    out_error(p->c, stderr, EX_USAGE, "UsageError",
				"two sources are called %s", l.name[i]);
			good = false;
			break;
		}
		for (k = 0; k < n; k++) {
			copy = strdup(sources[k]);
			part = copy == NULL ? NULL : basename(copy);
			if (part != NULL && strcmp(part, l.name[i]) == 0)
				path[i] = sources[k];
			free(copy);
		}
		good = (fd = open_top(p->c, path[i], p)) != -1 &&
		    descend(p, l.name[i]) && pack_open(p, fd, 1);
		p->len = 0;
	}
	list_free(&l);
	return good;
}

static bool
pack(struct packer *p, const char *const *sources, size_t n)
{
	bool good;
	int fd;

	p->used = BUNDLE_HEAD_LEN; /* written when all is known */
	if (n > 1)
		good = pack_sources(p, sources, n);
	else {
		fd = open_top(p->c, sources[0], p);
		good = fd != -1 && pack_folder(p, fd, 0);
		if (fd != -1)
			close(fd);
	}
	return good && flush(p);
}

/* Its head, and a time by which the same command offers the same again. */
static bool
finish(struct packer *p)
{
	uint8_t head[BUNDLE_HEAD_LEN];
	struct timespec ts[2] = { { 0, UTIME_OMIT },
		{ (time_t)(p->latest / 1000000000),
		    (long)(p->latest % 1000000000) } };

	if (bundle_head(p->entries, p->bytes, head) == 0 &&
	    pwrite(p->out, head, sizeof(head), 0) == sizeof(head) &&
	    futimens(p->out, ts) == 0 && lseek(p->out, 0, SEEK_SET) == 0)
		return true;
	p->status = out_error(p->c, stderr, EX_IOERR, "FailedError",
	    "the folder could not be put together: %s", strerror(errno));
	return false;
}

int
file_tree(const struct cmd *c, const char *const *sources, size_t n,
    struct file_tree *t)
{
	struct packer *p = calloc(1, sizeof(*p));
	int fd;

	if (p == NULL)
		return -out_error(c, stderr, EX_OSERR, "FailedError",
		    "out of memory");
	p->c = c;
	p->t = t;
	p->status = EX_OSERR; /* what was said nothing of: no memory */
	t->links_left = 0;
	fd = p->out = file_spool(c, "the folder as one file");
	if (fd >= 0 && (!pack(p, sources, n) || !finish(p))) {
		close(fd);
		fd = -p->status;
	}
	free(p);
	return fd;
}
