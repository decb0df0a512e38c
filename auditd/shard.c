/* SPDX-License-Identifier: ISC */
/*
 * shard.c - one month of the audit log: append, commit, publish.
 *
 * Owns the shard's directory, its log and the state of its tree.  Attributes
 * and signed checkpoints enter from auditd; nothing else writes here.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auditd/reader.h"
#include "auditd/shard.h"
#include "auditd/shard_int.h"
#include "common/note.h"

/* Allocated ahead of need, so that fallocate(2) is not called per commit. */
#define RESERVE_STEP (1u << 20)

static int
sync_write(int fd, const char *data, size_t len, uint64_t off)
{
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, data, len, (off_t)off);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EIO : -errno;
		data += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

int
shard_before(int auditfd, uint64_t before, char name[SHARD_NAME_MAX])
{
	uint64_t order, newest = 0;
	struct dirent *e;
	DIR *d;
	int fd;

	fd = openat(auditfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(d)) != NULL)
		if (shardname_parse(e->d_name, &order) && order > newest &&
		    order < before)
			newest = order;
	closedir(d);
	if (newest == 0)
		return -ENOENT;
	shardname_format(newest, name);
	return 0;
}

int
shard_newest(int auditfd, char name[SHARD_NAME_MAX])
{
	return shard_before(auditfd, UINT64_MAX, name);
}

/* The directory and an empty log, both durable. */
static int
make(int auditfd, const char *name)
{
	int dirfd, log, ret = 0;

	if (mkdirat(auditfd, name, 0750) == -1 && errno != EEXIST)
		return -errno;
	dirfd = openat(auditfd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd == -1)
		return -errno;
	log = openat(dirfd, SHARD_LOG,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (log == -1 || fsync(log) == -1 || fsync(dirfd) == -1 ||
	    fsync(auditfd) == -1)
		ret = -errno;
	if (log != -1)
		close(log);
	close(dirfd);
	return ret;
}

static int
open_files(int auditfd, struct shard *s)
{
	s->dirfd = openat(auditfd, s->name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->dirfd == -1)
		return -errno;
	s->log = openat(s->dirfd, SHARD_LOG, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return s->log == -1 ? -errno : 0;
}

/* The other copy of the last checkpoint is ahead of the published one. */
static int
adopt(struct shard *s, const struct shard_opts *o, struct shard_report *rep)
{
	struct note_checkpoint c;
	struct note n;
	int ret;

	if (note_parse(o->note, o->note_len, &n) != 0 ||
	    note_checkpoint_parse(n.text, n.text_len, &c) != 0)
		return -EINVAL;
	if (rep->damage != SHARD_SOUND || c.size < s->base.size)
		return 0;
	if (c.size > s->tail.size) {
		rep->damage = SHARD_SHORT;
		rep->damage_line = s->tail.size;
		rep->damage_offset = s->bytes;
	} else if (c.size > s->base.size || !s->has_checkpoint) {
		ret = shard_publish(s, o->note, o->note_len);
		if (ret != -EINVAL)
			return ret;
		rep->damage = SHARD_BAD_ROOT;
		rep->damage_line = c.size;
	} else if (memcmp(rep->checkpoint_root, c.root, sizeof(c.root)) != 0)
		rep->damage = SHARD_BAD_ROOT;
	s->readonly = rep->damage != SHARD_SOUND;
	return 0;
}

int
shard_open(int auditfd, const char *name, const struct shard_opts *opts,
    struct shard_report *rep, struct shard **out)
{
	struct shard *s;
	uint64_t order;
	int ret;

	*out = NULL;
	memset(rep, 0, sizeof(*rep));
	if (!shardname_parse(name, &order))
		return -EINVAL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	memcpy(s->name, name, strlen(name) + 1);
	s->dirfd = s->log = -1;
	ret = open_files(auditfd, s);
	if (ret == -ENOENT && opts->create) {
		if (s->dirfd != -1)
			close(s->dirfd);
		s->dirfd = -1;
		rep->created = true;
		if ((ret = make(auditfd, name)) == 0)
			ret = open_files(auditfd, s);
	}
	if (ret == 0)
		ret = shard_recover(s, rep);
	if (ret == 0 && opts->note != NULL)
		ret = adopt(s, opts, rep);
	if (ret != 0) {
		shard_close(s);
		shard_report_free(rep);
		return ret;
	}
	rep->checkpoint = s->base.size;
	*out = s;
	return 0;
}

void
shard_close(struct shard *s)
{
	if (s == NULL)
		return;
	if (s->log != -1)
		close(s->log);
	if (s->dirfd != -1)
		close(s->dirfd);
	tile_grow_free(&s->grow);
	tile_grow_free(&s->work);
	free(s->leaf);
	free(s->buf);
	free(s);
}

void
shard_report_free(struct shard_report *rep)
{
	free(rep->open);
	rep->open = NULL;
	rep->nopen = 0;
}

const char *
shard_name(const struct shard *s)
{
	return s->name;
}

uint64_t
shard_size(const struct shard *s)
{
	return s->tail.size;
}

uint64_t
shard_bytes(const struct shard *s)
{
	return s->bytes;
}

uint64_t
shard_pending(const struct shard *s)
{
	return s->pending;
}

uint64_t
shard_checkpoint_size(const struct shard *s)
{
	return s->base.size;
}

bool
shard_dead(const struct shard *s)
{
	return s->dead;
}

int
shard_leaf_add(struct shard *s, const merkle_hash h)
{
	merkle_hash *p;
	size_t cap;

	if (s->nleaf == s->leaf_cap) {
		cap = s->leaf_cap == 0 ? 1024 : s->leaf_cap * 2;
		p = reallocarray(s->leaf, cap, sizeof(*p));
		if (p == NULL)
			return -ENOMEM;
		s->leaf = p;
		s->leaf_cap = cap;
	}
	memcpy(s->leaf[s->nleaf++], h, MERKLE_HASH_LEN);
	return 0;
}

/* Room for a longest line and its newline. */
static int
buffer_room(struct shard *s)
{
	size_t cap = s->buf_cap == 0 ? 65536 : s->buf_cap * 2;
	char *p;

	if (s->buf_cap - s->buf_len > LINE_BYTES_MAX)
		return 0;
	if (cap > SHARD_BUFFER_MAX)
		return -EAGAIN;
	if ((p = realloc(s->buf, cap)) == NULL)
		return -ENOMEM;
	s->buf = p;
	s->buf_cap = cap;
	return 0;
}

int
shard_append(struct shard *s, const struct line_attr *attr, size_t nattr,
    const struct line_sig *sig, size_t nsig, struct line_env *env, uint64_t *n)
{
	merkle_hash leaf;
	ssize_t len;
	int ret;

	if (s->readonly || s->dead)
		return s->dead ? -ESHUTDOWN : -EROFS;
	if ((ret = buffer_room(s)) != 0)
		return ret;
	env->n = s->tail.size + s->pending;
	memcpy(env->prev, s->pending == 0 ? s->prev : s->pending_prev,
	    sizeof(env->prev));
	len = line_write(s->buf + s->buf_len, s->buf_cap - s->buf_len - 1, attr,
	    nattr, sig, nsig, env);
	if (len < 0)
		return (int)len;
	merkle_leaf(s->buf + s->buf_len, (size_t)len, leaf);
	if ((ret = shard_leaf_add(s, leaf)) != 0)
		return ret;
	memcpy(s->pending_prev, leaf, sizeof(leaf));
	s->buf_len += (size_t)len;
	s->buf[s->buf_len++] = '\n';
	s->pending++;
	if (n != NULL)
		*n = env->n;
	return 0;
}

/* Disk, quota or the limit on a file's size: all end when room is made. */
static bool
no_room(int ret)
{
	return ret == -ENOSPC || ret == -EDQUOT || ret == -EFBIG;
}

/*
 * Nothing of the buffer happened.  Cutting the file also frees the blocks that
 * were kept beyond its end, so the reserve is taken again at once.
 */
static int
roll_back(struct shard *s, int ret)
{
	s->nleaf -= s->pending;
	s->pending = 0;
	s->buf_len = 0;
	if (!no_room(ret)) {
		s->dead = true;
		return -EIO;
	}
	if (ftruncate(s->log, (off_t)s->bytes) == -1) {
		s->dead = true;
		return -EIO;
	}
	s->alloc_end = 0;
	if (s->reserve != 0)
		(void)shard_reserve(s, s->reserve);
	return -ENOSPC;
}

int
shard_commit(struct shard *s)
{
	size_t i;
	int ret;

	if (s->dead)
		return -ESHUTDOWN;
	if (s->pending == 0)
		return 0;
	ret = sync_write(s->log, s->buf, s->buf_len, s->bytes);
	if (ret != 0)
		return roll_back(s, ret);
	/*
	 * The kernel forgets dirty pages whose write-back failed: a second
	 * fdatasync that succeeds says nothing about them.
	 */
	if (fdatasync(s->log) == -1)
		return roll_back(s, -EIO);
	for (i = s->nleaf - s->pending; i < s->nleaf; i++)
		merkle_append(&s->tail, s->leaf[i]);
	memcpy(s->prev, s->pending_prev, sizeof(s->prev));
	s->bytes += s->buf_len;
	s->buf_len = 0;
	s->pending = 0;
	return 0;
}

int
shard_reserve(struct shard *s, uint64_t bytes)
{
	uint64_t ask = bytes + RESERVE_STEP;
	int ret;

	if (s->readonly || s->dead)
		return s->dead ? -ESHUTDOWN : -EROFS;
	if (bytes > INT64_MAX / 4)
		return -EINVAL;
	s->reserve = bytes;
	if (bytes == 0 || s->alloc_end >= s->bytes + bytes)
		return 0;
	do {
		ret = fallocate(s->log, FALLOC_FL_KEEP_SIZE, (off_t)s->bytes,
			  (off_t)ask) == -1 ?
		    -errno :
		    0;
		if (ret == 0)
			s->alloc_end = s->bytes + ask;
		else if (no_room(ret) && ask != bytes)
			ask = bytes;
		else if (ret != -EINTR)
			break;
	} while (ret != 0);
	return no_room(ret) ? -ENOSPC : ret;
}

uint64_t
shard_reserved(const struct shard *s)
{
	return s->alloc_end > s->bytes ? s->alloc_end - s->bytes : 0;
}

/* Frontier at a size between the published and the committed one. */
static int
frontier(const struct shard *s, uint64_t size, struct merkle *m)
{
	uint64_t i;

	if (size < s->base.size || size > s->tail.size)
		return -EINVAL;
	*m = s->base;
	for (i = 0; m->size < size; i++)
		merkle_append(m, s->leaf[i]);
	return 0;
}

int
shard_root(const struct shard *s, uint64_t size, merkle_hash root)
{
	struct merkle m;
	int ret;

	if (size == s->tail.size) {
		merkle_root(&s->tail, root);
		return 0;
	}
	if ((ret = frontier(s, size, &m)) == 0)
		merkle_root(&m, root);
	return ret;
}

int
shard_consistency(const struct shard *s, uint64_t size,
    merkle_hash proof[MERKLE_PROOF_MAX])
{
	if (size < s->base.size || size > s->tail.size)
		return -EINVAL;
	return merkle_prove_consistency_from(&s->base,
	    (const merkle_hash *)s->leaf, size - s->base.size, proof);
}

int
shard_grow(const struct shard *s, struct tile_grow *g, uint64_t *off,
    uint64_t size, tile_emit_fn *emit, void *arg)
{
	struct reader r;
	merkle_hash leaf;
	const char *line;
	size_t len;
	int ret;

	if ((ret = reader_open(&r, s->log, *off, s->bytes)) != 0)
		return ret;
	while (g->size < size) {
		if ((ret = reader_next(&r, &line, &len)) != 1) {
			ret = ret < 0 ? ret : -EBADMSG;
			goto out;
		}
		merkle_leaf(line, len, leaf);
		ret = tile_grow_add(g, line, len, leaf, emit, arg);
		if (ret != 0)
			goto out;
		*off = r.offset + len + 1;
	}
	ret = 0;
out:
	reader_close(&r);
	return ret;
}

/* Write a tile that the published size does not have already. */
static int
write_new(void *arg, const struct tile *t, const uint8_t *data, size_t len)
{
	const struct shard *s = arg;

	if (s->has_checkpoint && tile_expected(t, s->base.size))
		return 0;
	return tile_write(s->dirfd, t, data, len);
}

static int
write_checkpoint(const struct shard *s, const char *note, size_t len)
{
	int fd, ret;

	fd = openat(s->dirfd, SHARD_CHECKPOINT_TEMP,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd == -1)
		return -errno;
	ret = sync_write(fd, note, len, 0);
	if (ret == 0 && fdatasync(fd) == -1)
		ret = -errno;
	if (close(fd) == -1 && ret == 0)
		ret = -errno;
	if (ret == 0 &&
	    renameat(s->dirfd, SHARD_CHECKPOINT_TEMP, s->dirfd,
		SHARD_CHECKPOINT) == -1)
		ret = -errno;
	if (ret != 0) {
		unlinkat(s->dirfd, SHARD_CHECKPOINT_TEMP, 0);
		return ret;
	}
	return fsync(s->dirfd) == -1 ? -errno : 0;
}

/* Is this a checkpoint of these lines?  The frontier at its size. */
static int
judge(const struct shard *s, const char *note, size_t len, struct merkle *m)
{
	struct note_checkpoint c;
	struct note n;
	merkle_hash root;
	const char *slash;

	if (note_parse(note, len, &n) != 0 || n.nsigs == 0 ||
	    note_checkpoint_parse(n.text, n.text_len, &c) != 0)
		return -EINVAL;
	if ((slash = strrchr(c.origin, '/')) == NULL ||
	    strcmp(slash + 1, s->name) != 0 || c.size == 0)
		return -EINVAL;
	if (frontier(s, c.size, m) != 0)
		return -EINVAL;
	merkle_root(m, root);
	return memcmp(root, c.root, sizeof(root)) == 0 ? 0 : -EINVAL;
}

int
shard_publish(struct shard *s, const char *note, size_t len)
{
	struct tile_grow done;
	struct merkle m;
	uint64_t off = s->base_bytes, old = s->base.size;
	size_t gone;
	int ret;

	if (s->readonly)
		return -EROFS;
	if ((ret = judge(s, note, len, &m)) != 0)
		return ret;
	if ((ret = tile_grow_copy(&s->work, &s->grow)) != 0 ||
	    (ret = shard_grow(s, &s->work, &off, m.size, write_new, s)) != 0 ||
	    (ret = tile_grow_partials(&s->work, write_new, s)) != 0 ||
	    (ret = write_checkpoint(s, note, len)) != 0)
		return no_room(ret) ? -ENOSPC : ret;
	/* Left-overs are removed at the next start, should this fail. */
	(void)tile_remove_superseded(s->dirfd, old, m.size);
	done = s->grow;
	s->grow = s->work;
	s->work = done;
	gone = (size_t)(m.size - old);
	memmove(s->leaf, s->leaf + gone, (s->nleaf - gone) * sizeof(*s->leaf));
	s->nleaf -= gone;
	s->base = m;
	s->base_bytes = off;
	s->has_checkpoint = true;
	return 0;
}

static ssize_t
read_note(int dirfd, char *buf, size_t size)
{
	ssize_t n, got = 0;
	int fd, ret = 0;

	fd = openat(dirfd, SHARD_CHECKPOINT,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	while ((size_t)got < size) {
		n = read(fd, buf + got, size - (size_t)got);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			ret = -errno;
		if (n <= 0)
			break;
		got += n;
	}
	close(fd);
	if (ret != 0)
		return ret;
	if ((size_t)got == size)
		return -ENOSPC;
	buf[got] = '\0';
	return got;
}

ssize_t
shard_checkpoint_read(const struct shard *s, char *buf, size_t size)
{
	return read_note(s->dirfd, buf, size);
}

ssize_t
shard_checkpoint_of(int auditfd, const char *name, char *buf, size_t size)
{
	ssize_t n;
	int fd;

	fd = openat(auditfd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	n = read_note(fd, buf, size);
	close(fd);
	return n;
}

ssize_t
shard_read(const struct shard *s, uint64_t offset, char *buf, size_t len)
{
	size_t got = 0;
	ssize_t n;

	if (offset > s->bytes || len > s->bytes - offset || len > INT32_MAX)
		return -EINVAL;
	while (got < len) {
		n = pread(s->log, buf + got, len - got, (off_t)(offset + got));
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EIO : -errno;
		got += (size_t)n;
	}
	return (ssize_t)len;
}
