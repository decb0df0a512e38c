/* SPDX-License-Identifier: ISC */
/*
 * tile.c - tiles of c2sp.org/tlog-tiles below a directory descriptor.
 *
 * Owns the names and the bytes of tiles.  Paths from a directory that somebody
 * handed in may enter; only exactly spelled ones are tiles.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/tile.h"

#define WALK_DEPTH_MAX 12
#define TEMP_NAME ".new"

/* Shift that turns a tree size into the number of full tiles of a level. */
static unsigned
shift(int level)
{
	return level == TILE_ENTRIES ? 8u : 8u * ((unsigned)level + 1);
}

static uint64_t
full_tiles(int level, uint64_t size)
{
	return shift(level) >= 64 ? 0 : size >> shift(level);
}

int
tile_partial(int level, uint64_t size, struct tile *t)
{
	t->level = level;
	t->index = full_tiles(level, size);
	t->width = (unsigned)(size >> (shift(level) - 8) & (TILE_WIDTH - 1));
	return t->width != 0;
}

int
tile_expected(const struct tile *t, uint64_t size)
{
	struct tile p;

	if (t->width == TILE_WIDTH)
		return t->index < full_tiles(t->level, size);
	return tile_partial(t->level, size, &p) && p.index == t->index &&
	    p.width == t->width;
}

/* 1234067 is x001/x234/067. */
static int
put_index(char *buf, size_t size, uint64_t index)
{
	uint64_t group[7];
	size_t n = 0, len = 0;
	int r;

	do {
		group[n++] = index % 1000;
		index /= 1000;
	} while (index != 0);
	while (n-- > 0) {
		r = snprintf(buf + len, size - len, "%s%03" PRIu64 "%s",
		    n != 0 ? "x" : "", group[n], n != 0 ? "/" : "");
		if (r < 0 || (size_t)r >= size - len)
			return -ENOSPC;
		len += (size_t)r;
	}
	return (int)len;
}

ssize_t
tile_path(const struct tile *t, char *buf, size_t size)
{
	int head, r;

	if (t->level < TILE_ENTRIES || t->level >= TILE_LEVELS ||
	    t->width == 0 || t->width > TILE_WIDTH)
		return -EINVAL;
	if (t->level == TILE_ENTRIES)
		head = snprintf(buf, size, "tile/entries/");
	else
		head = snprintf(buf, size, "tile/%d/", t->level);
	if (head < 0 || (size_t)head >= size)
		return -ENOSPC;
	r = put_index(buf + head, size - (size_t)head, t->index);
	if (r < 0)
		return r;
	head += r;
	if (t->width == TILE_WIDTH)
		return head;
	r = snprintf(buf + head, size - (size_t)head, ".p/%u", t->width);
	if (r < 0 || (size_t)r >= size - (size_t)head)
		return -ENOSPC;
	return head + r;
}

/* Up to `most` digits at *p; -1 if there is none. */
static int
digits(const char **p, const char *end, int most)
{
	int v = 0, n = 0;

	while (*p < end && n < most && **p >= '0' && **p <= '9') {
		v = v * 10 + (*(*p)++ - '0');
		n++;
	}
	return n == 0 ? -1 : v;
}

/*
 * Read loosely, spell again, compare: the one way not to accept a name that
 * the writer would not write.
 */
int
tile_path_parse(const char *s, size_t len, struct tile *t)
{
	char again[TILE_PATH_MAX];
	const char *p = s, *end = s + len;
	ssize_t n;
	int v, more;

	if (len >= sizeof(again) || len < 8 || memcmp(p, "tile/", 5) != 0)
		return -EINVAL;
	p += 5;
	t->level = TILE_ENTRIES;
	if (len >= 13 && memcmp(p, "entries", 7) == 0)
		p += 7;
	else if ((t->level = digits(&p, end, 1)) < 0)
		return -EINVAL;
	t->index = 0;
	do {
		if (p == end || *p++ != '/')
			return -EINVAL;
		more = p < end && *p == 'x';
		p += more;
		if ((v = digits(&p, end, 3)) < 0 ||
		    t->index > (UINT64_MAX - 999) / 1000)
			return -EINVAL;
		t->index = t->index * 1000 + (uint64_t)v;
	} while (more);
	t->width = TILE_WIDTH;
	if (p != end) {
		if (end - p < 4 || memcmp(p, ".p/", 3) != 0)
			return -EINVAL;
		p += 3;
		v = digits(&p, end, 3);
		if (v < 1 || v >= (int)TILE_WIDTH)
			return -EINVAL;
		t->width = (unsigned)v;
	}
	n = tile_path(t, again, sizeof(again));
	if (n != (ssize_t)len || memcmp(again, s, len) != 0)
		return -EINVAL;
	return 0;
}

void
tile_grow_init(struct tile_grow *g)
{
	memset(g, 0, sizeof(*g));
}

void
tile_grow_free(struct tile_grow *g)
{
	free(g->bundle);
	tile_grow_init(g);
}

static int
bundle_room(struct tile_grow *g, size_t need)
{
	size_t cap = g->bundle_cap;
	uint8_t *p;

	/* At most 256 entries of 64 KiB: this cannot overflow. */
	if (need <= cap)
		return 0;
	for (cap = cap == 0 ? 65536 : cap; cap < need; cap *= 2)
		;
	if ((p = realloc(g->bundle, cap)) == NULL)
		return -ENOMEM;
	g->bundle = p;
	g->bundle_cap = cap;
	return 0;
}

int
tile_grow_copy(struct tile_grow *to, const struct tile_grow *from)
{
	int ret;

	if ((ret = bundle_room(to, from->bundle_len)) != 0)
		return ret;
	to->size = from->size;
	memcpy(to->part, from->part, sizeof(to->part));
	if (from->bundle_len != 0)
		memcpy(to->bundle, from->bundle, from->bundle_len);
	to->bundle_len = from->bundle_len;
	return 0;
}

/* Put a hash at its place; a level that is full goes up as one hash. */
static int
grow_hash(struct tile_grow *g, const merkle_hash leaf, tile_emit_fn *emit,
    void *arg)
{
	struct tile t = { 0, 0, TILE_WIDTH };
	merkle_hash h;
	unsigned at;
	int ret = 0;

	memcpy(h, leaf, sizeof(h));
	for (; t.level < TILE_LEVELS; t.level++) {
		at = (unsigned)(g->size >> (8 * t.level) & (TILE_WIDTH - 1));
		memcpy(g->part[t.level][at], h, sizeof(h));
		if (at != TILE_WIDTH - 1)
			break;
		t.index = full_tiles(t.level, g->size);
		if (emit != NULL)
			ret = emit(arg, &t, g->part[t.level][0],
			    sizeof(g->part[0]));
		if (ret != 0)
			return ret;
		merkle_root_of((const merkle_hash *)g->part[t.level],
		    TILE_WIDTH, h);
	}
	return 0;
}

int
tile_grow_add(struct tile_grow *g, const void *line, size_t len,
    const merkle_hash leaf, tile_emit_fn *emit, void *arg)
{
	struct tile t = { TILE_ENTRIES, g->size / TILE_WIDTH, TILE_WIDTH };
	uint8_t *p;
	int ret;

	if (len > TILE_ENTRY_MAX)
		return -EMSGSIZE;
	if ((ret = bundle_room(g, g->bundle_len + 2 + len)) != 0)
		return ret;
	p = g->bundle + g->bundle_len;
	p[0] = (uint8_t)(len >> 8);
	p[1] = (uint8_t)len;
	memcpy(p + 2, line, len);
	g->bundle_len += 2 + len;
	if (g->size % TILE_WIDTH == TILE_WIDTH - 1) {
		if (emit != NULL)
			ret = emit(arg, &t, g->bundle, g->bundle_len);
		g->bundle_len = 0;
	}
	if (ret == 0)
		ret = grow_hash(g, leaf, emit, arg);
	if (ret == 0)
		g->size++;
	return ret;
}

int
tile_grow_partials(const struct tile_grow *g, tile_emit_fn *emit, void *arg)
{
	struct tile t;
	int level, ret;

	for (level = TILE_ENTRIES; level < TILE_LEVELS; level++) {
		if (!tile_partial(level, g->size, &t))
			continue;
		if (level == TILE_ENTRIES)
			ret = emit(arg, &t, g->bundle, g->bundle_len);
		else
			ret = emit(arg, &t, g->part[level][0],
			    (size_t)t.width * MERKLE_HASH_LEN);
		if (ret != 0)
			return ret;
	}
	return 0;
}

int
tile_entry_next(const uint8_t *b, size_t len, size_t *off,
    const uint8_t **entry, size_t *entry_len)
{
	size_t n;

	if (*off == len)
		return 0;
	if (*off > len || len - *off < 2)
		return -EBADMSG;
	n = (size_t)b[*off] << 8 | b[*off + 1];
	if (len - *off - 2 < n)
		return -EBADMSG;
	*entry = b + *off + 2;
	*entry_len = n;
	*off += 2 + n;
	return 1;
}

/* Make the directories above a path. */
static int
make_dirs(int dirfd, const char *path)
{
	char part[TILE_PATH_MAX];
	size_t i, len = strlen(path);

	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	for (i = 1; i < len; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdirat(dirfd, part, 0750) == -1 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int
write_all(int fd, const uint8_t *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, data, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

bool
tile_is_temp(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && strcmp(slash + 1, TEMP_NAME) == 0;
}

/*
 * Beside the tile: Landlock lets no file change its directory on kernels
 * before 5.19.
 */
static int
open_temp(int dirfd, const char *path, char temp[TILE_PATH_MAX])
{
	size_t dir = (size_t)(strrchr(path, '/') - path) + 1;
	int fd;

	if (dir + sizeof(TEMP_NAME) > TILE_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(temp, path, dir);
	memcpy(temp + dir, TEMP_NAME, sizeof(TEMP_NAME));
	fd = openat(dirfd, temp,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);

	return fd == -1 ? -errno : fd;
}

int
tile_write(int dirfd, const struct tile *t, const uint8_t *data, size_t len)
{
	char path[TILE_PATH_MAX], temp[TILE_PATH_MAX];
	ssize_t n;
	int fd, ret;

	if ((n = tile_path(t, path, sizeof(path))) < 0)
		return (int)n;
	fd = open_temp(dirfd, path, temp);
	if (fd == -ENOENT && (fd = make_dirs(dirfd, path)) == 0)
		fd = open_temp(dirfd, path, temp);
	if (fd < 0)
		return fd;
	ret = write_all(fd, data, len);
	if (close(fd) == -1 && ret == 0)
		ret = -errno;
	if (ret == 0 && renameat(dirfd, temp, dirfd, path) == -1)
		ret = -errno;
	if (ret != 0)
		unlinkat(dirfd, temp, 0);
	return ret;
}

int
tile_remove(int dirfd, const struct tile *t)
{
	char path[TILE_PATH_MAX];
	char *slash;
	ssize_t n;

	if ((n = tile_path(t, path, sizeof(path))) < 0)
		return (int)n;
	if (unlinkat(dirfd, path, 0) == -1 && errno != ENOENT)
		return -errno;
	if (t->width == TILE_WIDTH || (slash = strrchr(path, '/')) == NULL)
		return 0;
	*slash = '\0';
	if (unlinkat(dirfd, path, AT_REMOVEDIR) == -1 && errno != ENOENT &&
	    errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	return 0;
}

int
tile_remove_superseded(int dirfd, uint64_t a, uint64_t b)
{
	struct tile t;
	int level, ret;

	for (level = TILE_ENTRIES; level < TILE_LEVELS; level++) {
		if (!tile_partial(level, a, &t) || tile_expected(&t, b))
			continue;
		if ((ret = tile_remove(dirfd, &t)) != 0)
			return ret;
	}
	return 0;
}

/* The rest of the file is exactly data: 1, 0 or -errno. */
static int
fd_matches(int fd, const uint8_t *data, size_t len)
{
	uint8_t buf[16384];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != len)
		return 0;
	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		if ((size_t)n > len || memcmp(buf, data, (size_t)n) != 0)
			return 0;
		data += n;
		len -= (size_t)n;
	}
	return len == 0;
}

int
tile_matches(int dirfd, const struct tile *t, const uint8_t *data, size_t len)
{
	char path[TILE_PATH_MAX];
	ssize_t n;
	int fd, ret;

	if ((n = tile_path(t, path, sizeof(path))) < 0)
		return (int)n;
	/* NONBLOCK: a FIFO in a directory handed in must not hold us. */
	fd =
	    openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT || errno == ELOOP || errno == ENOTDIR ||
			errno == ENXIO ?
		    0 :
		    -errno;
	ret = fd_matches(fd, data, len);
	close(fd);
	return ret;
}

struct walk {
	int dirfd;
	tile_walk_fn *fn;
	void *arg;
	char path[512];
};

static int walk_dir(struct walk *, size_t, int);

/* One name in the directory whose path is the first len bytes. */
static int
walk_name(struct walk *w, size_t len, const char *name, int depth)
{
	struct stat st;
	size_t nlen = strlen(name);
	int ret;

	if (nlen + len + 2 > sizeof(w->path))
		return w->fn(w->arg, name, S_IFDIR);
	w->path[len] = '/';
	memcpy(w->path + len + 1, name, nlen + 1);
	if (fstatat(w->dirfd, w->path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		/* Another process published meanwhile. */
		ret = errno == ENOENT ? 0 : -errno;
	else if (S_ISDIR(st.st_mode) && depth < WALK_DEPTH_MAX)
		ret = walk_dir(w, len + 1 + nlen, depth + 1);
	else
		ret = w->fn(w->arg, w->path, st.st_mode & S_IFMT);
	w->path[len] = '\0';
	return ret;
}

static int
walk_dir(struct walk *w, size_t len, int depth)
{
	struct dirent *e;
	DIR *d;
	int fd, ret = 0;

	fd = openat(w->dirfd, w->path,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 0 : -errno;
	if ((d = fdopendir(fd)) == NULL) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (ret == 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		ret = walk_name(w, len, e->d_name, depth);
	}
	closedir(d);
	return ret;
}

int
tile_walk(int dirfd, tile_walk_fn *fn, void *arg)
{
	struct walk w = { dirfd, fn, arg, "tile" };

	return walk_dir(&w, 4, 0);
}
