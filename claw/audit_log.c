/* SPDX-License-Identifier: ISC */
/*
 * audit_log.c - finding and opening shards for the audit verbs.
 *
 * Owns descriptors for reading only.  Directories and files that somebody
 * handed in enter here: links, pipes and oversized files do not.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auditd/reader.h"
#include "auditd/shard.h"
#include "claw/audit_log.h"
#include "common/b64.h"

static int
by_order(const void *a, const void *b)
{
	const struct shard_ref *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

static int
list(struct audit_dir *d)
{
	struct shard_ref *p, ref;
	struct dirent *e;
	int fd, ret = 0;
	DIR *dir;

	fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while (ret == 0 && (e = readdir(dir)) != NULL) {
		if (!shardname_parse(e->d_name, &ref.order))
			continue;
		shardname_format(ref.order, ref.name);
		p = reallocarray(d->shard, d->n + 1, sizeof(*p));
		if (p == NULL || d->n == AUDIT_SHARDS_MAX) {
			d->shard = p != NULL ? p : d->shard;
			ret = -ENOMEM;
			break;
		}
		d->shard = p;
		d->shard[d->n++] = ref;
	}
	closedir(dir);
	if (d->n > 1)
		qsort(d->shard, d->n, sizeof(*d->shard), by_order);
	return ret;
}

static bool
has(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The last element of a path, where that is a shard's name. */
static void
own_name(const char *path, struct shard_ref *ref)
{
	char buf[SHARDNAME_SIZE];
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	memset(ref, 0, sizeof(*ref));
	if (end - start >= sizeof(buf))
		return;
	memcpy(buf, path + start, end - start);
	buf[end - start] = '\0';
	if (shardname_parse(buf, &ref->order))
		memcpy(ref->name, buf, sizeof(buf));
}

int
audit_dir_open(struct audit_dir *d, const char *path)
{
	int ret;

	memset(d, 0, sizeof(*d));
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd == -1)
		return -errno;
	if (has(d->fd, SHARD_LOG) || has(d->fd, SHARD_CHECKPOINT) ||
	    has(d->fd, "tile")) {
		d->single = true;
		d->shard = calloc(1, sizeof(*d->shard));
		if (d->shard == NULL) {
			ret = -ENOMEM;
			goto fail;
		}
		own_name(path, d->shard);
		d->n = 1;
		return 0;
	}
	if ((ret = list(d)) == 0 && d->n == 0)
		ret = -ENOMSG;
	if (ret == 0)
		return 0;
fail:
	audit_dir_close(d);
	return ret;
}

void
audit_dir_close(struct audit_dir *d)
{
	if (d->fd != -1)
		close(d->fd);
	d->fd = -1;
	free(d->shard);
	d->shard = NULL;
	d->n = 0;
}

int
audit_dir_shard(const struct audit_dir *d, size_t i)
{
	int fd;

	fd = openat(d->fd, d->single ? "." : d->shard[i].name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd == -1 ? -errno : fd;
}

int
audit_file_open(int dirfd, const char *name)
{
	struct stat st;
	int fd;

	fd =
	    openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -ELOOP;
}

int
audit_file_read(int dirfd, const char *name, size_t max, char **data,
    size_t *len)
{
	struct stat st;
	char *buf = NULL;
	size_t got = 0;
	ssize_t n;
	int fd, ret = 0;

	*data = NULL;
	*len = 0;
	if ((fd = audit_file_open(dirfd, name)) < 0)
		return fd;
	if (fstat(fd, &st) == -1)
		ret = -errno;
	else if ((uint64_t)st.st_size > max)
		ret = -EFBIG;
	else if ((buf = malloc((size_t)st.st_size + 1)) == NULL)
		ret = -ENOMEM;
	while (ret == 0 && got < (size_t)st.st_size) {
		n = read(fd, buf + got, (size_t)st.st_size - got);
		if (n == -1 && errno != EINTR)
			ret = -errno;
		if (n == 0)
			break;
		if (n > 0)
			got += (size_t)n;
	}
	close(fd);
	if (ret != 0) {
		free(buf);
		return ret;
	}
	buf[got] = '\0';
	*data = buf;
	*len = got;
	return 0;
}

/* <anything>/<node>/<shard> */
static int
split_origin(const char *origin, struct shard_head *h)
{
	const char *last, *p;
	size_t len;

	if ((last = strrchr(origin, '/')) == NULL ||
	    strcmp(last + 1, h->shard) != 0)
		return -EBADMSG;
	for (p = last; p > origin && p[-1] != '/'; p--)
		;
	len = (size_t)(last - p);
	if (p == origin || len == 0)
		return -EBADMSG;
	memcpy(h->node, p, len);
	h->node[len] = '\0';
	return 0;
}

int
shard_head_read(const char *line, size_t len, struct shard_head *h,
    const char **why)
{
	char b64[B64_LEN(NOTE_SIG_LEN) + 1], event[32];
	struct line_view v;
	uint64_t order;
	ssize_t n;

	memset(h, 0, sizeof(*h));
	if ((h->prev = malloc(LINE_BYTES_MAX + 1)) == NULL)
		return -ENOMEM;
	*why = "is not an audit line";
	if (line_parse(line, len, &v) != 0)
		return -EBADMSG;
	*why = "does not open a shard (event shard.open)";
	if (line_text(&v, "event", event, sizeof(event)) < 0 ||
	    strcmp(event, "shard.open") != 0)
		return -EBADMSG;
	*why = "states no shard";
	if (line_text(&v, "shard", h->shard, sizeof(h->shard)) < 0 ||
	    !shardname_parse(h->shard, &order))
		return -EBADMSG;
	*why = "states no usable vkey";
	n = line_text(&v, "vkey", h->vkey_text, sizeof(h->vkey_text));
	if (n < 0 || note_vkey_parse(h->vkey_text, (size_t)n, &h->vkey) != 0 ||
	    h->vkey.type != NOTE_ED25519)
		return -EBADMSG;
	*why = "states a vkey that is not named after its shard";
	if (split_origin(h->vkey.name, h) != 0)
		return -EBADMSG;
	*why = "carries no endorsement of its log key";
	n = line_text(&v, "endorsement", b64, sizeof(b64));
	if (n < 0 ||
	    b64_decode(b64, (size_t)n, h->endorsement,
		sizeof(h->endorsement)) != sizeof(h->endorsement))
		return -EBADMSG;
	*why = "has no prev_checkpoint";
	n = line_bytes(&v, "prev_checkpoint", h->prev, LINE_BYTES_MAX + 1);
	if (n < 0)
		return -EBADMSG;
	h->prev_len = (size_t)n;
	return 0;
}

int
shard_head_load(int log, struct shard_head *h, const char **why)
{
	struct reader r;
	const char *line;
	size_t len;
	int ret;

	memset(h, 0, sizeof(*h));
	*why = "out of memory";
	if ((ret = reader_open(&r, log, 0, UINT64_MAX)) != 0)
		return ret;
	*why = "is not there";
	ret = reader_next(&r, &line, &len);
	ret = ret == 1 ? shard_head_read(line, len, h, why) : -EBADMSG;
	reader_close(&r);
	return ret;
}

void
shard_head_free(struct shard_head *h)
{
	free(h->prev);
	h->prev = NULL;
}
