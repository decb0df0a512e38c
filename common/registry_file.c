/* SPDX-License-Identifier: ISC */
/*
 * registry_file.c - the registry's files: read, appended to, replaced.
 *
 * registry.floor remembers, apart from the files that it is about, the last
 * update that decided something and how many rotations there were. A backup
 * that was put back does not have them, and is refused. It is written after
 * them: a crash in between leaves a floor that is too low, never one that
 * calls a good file old.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/registry_file.h"
#include "common/registry_int.h"

#define CHAIN "registry.ndjson"
#define ROTATIONS "rotations.ndjson"
#define BRANCHES "branches.ndjson"
#define FLOOR "registry.floor"
#define FLOOR_MAGIC "claw-registry-floor-1"
#define FLOOR_MAX 256

#define MEND "bring the file back from a backup or from another node"

static const char *failed(struct registry_file *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static const char *
failed(struct registry_file *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->error, sizeof(f->error), fmt, ap);
	va_end(ap);
	return f->error;
}

/* --- reading ------------------------------------------------------------- */

/* Takes a line; NULL or what is wrong with it. */
typedef const char *take_line(struct registry *, const char *line, size_t len);

static const char *
take_chain(struct registry *r, const char *line, size_t len)
{
	const char *why;

	return registry_apply(r, line, len, &why) == 0 ? NULL : why;
}

static const char *
take_branch(struct registry *r, const char *line, size_t len)
{
	const char *why;
	uint64_t from;

	/* What is no branch any more is left out when it is next written. */
	(void)registry_offer(r, line, len, &from, &why);
	return NULL;
}

/* Whole lines from a descriptor; *bytes of them. */
static const char *
read_lines(struct registry_file *f, int fd, const char *name,
    struct registry *r, take_line *take, uint64_t *bytes)
{
	char buf[2 * (REGISTRY_LINE_MAX + 1)], *line, *end;
	const char *why;
	uint64_t number = 0;
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, buf + have, sizeof(buf) - have)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return failed(f, "%s: %s", name, strerror(errno));
		have += (size_t)n;
		line = buf;
		while ((end = memchr(line, '\n',
			    have - (size_t)(line - buf))) != NULL) {
			number++;
			why = take(r, line, (size_t)(end - line));
			if (why != NULL)
				return failed(f,
				    "%s: line %" PRIu64 ": %s; " MEND, name,
				    number, why);
			*bytes += (size_t)(end - line) + 1;
			line = end + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
		if (have > REGISTRY_LINE_MAX)
			return failed(f,
			    "%s: line %" PRIu64
			    ": longer than 16384 bytes; " MEND,
			    name, number + 1);
	}
	if (have > 0)
		f->torn = true;
	return NULL;
}

/* Cut what follows the last whole line. */
static int
cut(const struct registry_file *f, const char *name, uint64_t bytes)
{
	int fd, r = 0;

	fd = openat(f->dirfd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) != 0 || fdatasync(fd) != 0)
		r = -errno;
	close(fd);
	return r;
}

static const char *
load_file(struct registry_file *f, const char *name, struct registry *r,
    take_line *take, uint64_t *bytes)
{
	bool torn_before = f->torn;
	const char *why;
	int e, fd;

	*bytes = 0;
	fd = openat(f->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT && strcmp(name, CHAIN) != 0)
		return NULL;
	if (fd == -1)
		return failed(f, "%s: %s; " MEND, name, strerror(errno));
	f->torn = false;
	why = read_lines(f, fd, name, r, take, bytes);
	close(fd);
	if (why == NULL && f->torn && f->writable && !registry_empty(r)) {
		e = cut(f, name, *bytes);
		if (e != 0)
			why = failed(f,
			    "%s: its torn last line cannot be cut: %s", name,
			    strerror(-e));
	}
	f->torn = f->torn || torn_before;
	return why;
}

static bool
unhex(const char *s, registry_hash out)
{
	unsigned int byte;
	size_t i;

	if (strspn(s, "0123456789abcdef") != (size_t)2 * REGISTRY_HASH_LEN)
		return false;
	for (i = 0; i < REGISTRY_HASH_LEN; i++) {
		if (sscanf(s + 2 * i, "%2x", &byte) != 1)
			return false;
		out[i] = (uint8_t)byte;
	}
	return true;
}

static void
hex(const registry_hash hash, char out[2 * REGISTRY_HASH_LEN + 1])
{
	static const char digit[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < REGISTRY_HASH_LEN; i++) {
		out[2 * i] = digit[hash[i] >> 4];
		out[2 * i + 1] = digit[hash[i] & 15];
	}
	out[2 * i] = '\0';
}

static int
floor_text(const struct registry_file *f, char out[FLOOR_MAX])
{
	char head[2 * REGISTRY_HASH_LEN + 1], hash[2 * REGISTRY_HASH_LEN + 1];

	hex(f->floor_head, head);
	hex(f->floor_hash, hash);
	return snprintf(out, FLOOR_MAX,
	    FLOOR_MAGIC "\n%" PRIu64 " %s\n%" PRIu64 " %s\n", f->floor_seq,
	    head, f->floor_rotations, hash);
}

static const char *
load_floor(struct registry_file *f)
{
	char text[FLOOR_MAX], again[FLOOR_MAX], a[80], b[80];
	ssize_t n;
	int fd;

	fd = openat(f->dirfd, FLOOR, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT)
		return NULL;
	n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd != -1)
		close(fd);
	if (n < 0)
		return failed(f, FLOOR ": %s", strerror(errno));
	text[n] = '\0';
	/* What was read, written again, is the very text. */
	if (sscanf(text,
		FLOOR_MAGIC "\n%20" SCNu64 " %79[0-9a-f]\n%20" SCNu64
			    " %79[0-9a-f]\n",
		&f->floor_seq, a, &f->floor_rotations, b) != 4 ||
	    !unhex(a, f->floor_head) || !unhex(b, f->floor_hash) ||
	    floor_text(f, again) != n || memcmp(text, again, (size_t)n) != 0)
		return failed(f,
		    FLOOR ": damaged; compare this node's registry with "
			  "another node's, then remove the file");
	f->floor = true;
	return NULL;
}

static const char *
check_floor(struct registry_file *f, struct registry *r)
{
	const uint8_t *hash = registry_hash_at(r, f->floor_seq);
	registry_hash rotations;
	size_t i;

	/* A fork that was resolved against what we had. */
	for (i = 0; i < r->state->settleds; i++)
		if (f->floor_seq > r->state->settled[i].common &&
		    f->floor_seq <= r->state->settled[i].seq)
			hash = f->floor_head;
	if (hash == NULL)
		return failed(f,
		    CHAIN ": rolled back: it ends at number %" PRIu64
			  ", this node was at %" PRIu64
			  "; bring it back from another node, or remove " FLOOR
			  " to go on with the old one",
		    registry_seq(r), f->floor_seq);
	if (memcmp(hash, f->floor_head, REGISTRY_HASH_LEN) != 0)
		return failed(f,
		    CHAIN ": rolled back: number %" PRIu64
			  " is not the update that this node had; bring it "
			  "back from another node, or remove " FLOOR
			  " to go on with this one",
		    f->floor_seq);
	if (f->floor_rotations > SIZE_MAX)
		return failed(f, FLOOR ": damaged");
	registry_rotations_hash(r, (size_t)f->floor_rotations, rotations);
	if (registry_rotations(r) < f->floor_rotations ||
	    memcmp(rotations, f->floor_hash, REGISTRY_HASH_LEN) != 0)
		return failed(f,
		    ROTATIONS ": rolled back: %zu of %" PRIu64
			      " rotations are there; bring it back from "
			      "another node, or remove " FLOOR,
		    registry_rotations(r), f->floor_rotations);
	return NULL;
}

/* A hash of what branches.ndjson should hold. */
static void
branches_hash(const struct registry *r, registry_hash out)
{
	size_t i, len, n = registry_branch_lines(r);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const char *line;
	bool ok =
	    ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	memset(out, 0, REGISTRY_HASH_LEN);
	for (i = 0; i < n && ok; i++) {
		line = registry_branch_line(r, i, &len);
		/* A NUL ends a line here. */
		ok = EVP_DigestUpdate(ctx, line, len + 1) == 1;
	}
	if (n > 0 && (!ok || EVP_DigestFinal_ex(ctx, out, NULL) != 1))
		abort();
	EVP_MD_CTX_free(ctx);
}

const char *
registry_file_load(struct registry_file *f, int dirfd, bool writable,
    struct registry *r)
{
	uint64_t branch_bytes;
	const char *why;

	memset(f, 0, sizeof(*f));
	f->dirfd = dirfd;
	f->writable = writable;
	why = load_file(f, CHAIN, r, take_chain, &f->bytes);
	if (why == NULL && registry_empty(r))
		why = failed(f, CHAIN ": its first line does not end; " MEND);
	if (why == NULL)
		why = load_file(f, ROTATIONS, r, reg_turn_kept,
		    &f->rotation_bytes);
	if (why == NULL)
		why = load_floor(f);
	if (why != NULL)
		return why;
	f->lines = registry_seq(r) + 1;
	memcpy(f->head, registry_head(r), sizeof(f->head));
	f->rotations = registry_rotations(r);
	if (f->floor && (why = check_floor(f, r)) != NULL)
		return why;
	why = load_file(f, BRANCHES, r, take_branch, &branch_bytes);
	if (why != NULL)
		return why;
	branches_hash(r, f->branches);
	return f->writable ? registry_file_sync(f, r) : NULL;
}

/* --- writing ------------------------------------------------------------- */

static int
write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, data, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EIO : -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A line that somebody holds. */
typedef const char *line_at(const struct registry *, size_t i, size_t *len);

static const char *
chain_at(const struct registry *r, size_t i, size_t *len)
{
	return registry_line(r, i, len);
}

static int
write_lines(int fd, const struct registry *r, line_at *at, size_t from,
    size_t to, uint64_t *bytes)
{
	const char *line;
	size_t i, len;
	int e = 0;

	for (i = from; i < to && e == 0; i++) {
		line = at(r, i, &len);
		e = write_all(fd, line, len);
		if (e == 0)
			e = write_all(fd, "\n", 1);
		*bytes += len + 1;
	}
	return e;
}

/* Lines behind those that a file of *bytes bytes has: all of them or none. */
static int
append(const struct registry_file *f, const char *name,
    const struct registry *r, line_at *at, size_t from, size_t to,
    uint64_t *bytes)
{
	uint64_t now = *bytes;
	int fd, e;

	fd = openat(f->dirfd, name,
	    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1)
		return -errno;
	e = write_lines(fd, r, at, from, to, &now);
	if (e == 0 && fdatasync(fd) != 0)
		e = -errno;
	if (e == 0 && *bytes == 0 && fsync(f->dirfd) != 0)
		e = -errno;
	if (e == 0)
		*bytes = now;
	else if (ftruncate(fd, (off_t)*bytes) != 0)
		e = -EIO;
	close(fd);
	return e;
}

/* A whole file under its name, or the one before. */
static int
replace(const struct registry_file *f, const char *name, int fd, int e)
{
	char temporary[32];

	(void)snprintf(temporary, sizeof(temporary), "%s.new", name);
	if (e == 0 && fsync(fd) != 0)
		e = -errno;
	close(fd);
	if (e == 0 && renameat(f->dirfd, temporary, f->dirfd, name) != 0)
		e = -errno;
	if (e != 0)
		(void)unlinkat(f->dirfd, temporary, 0);
	else if (fsync(f->dirfd) != 0)
		e = -errno;
	return e;
}

static int
open_new(const struct registry_file *f, const char *name)
{
	char temporary[32];
	int fd;

	(void)snprintf(temporary, sizeof(temporary), "%s.new", name);
	(void)unlinkat(f->dirfd, temporary, 0);
	fd = openat(f->dirfd, temporary,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd == -1 ? -errno : fd;
}

static int
rewrite(const struct registry_file *f, const char *name,
    const struct registry *r, line_at *at, size_t n, uint64_t *bytes)
{
	int fd = open_new(f, name);
	uint64_t now = 0;
	int e;

	if (fd < 0)
		return fd;
	e = replace(f, name, fd, write_lines(fd, r, at, 0, n, &now));
	if (e == 0)
		*bytes = now;
	return e;
}

static int
sync_chain(struct registry_file *f, struct registry *r)
{
	const uint8_t *ours = registry_hash_at(r, f->lines - 1);
	size_t n = (size_t)registry_seq(r) + 1;
	int e = 0;

	if (ours == NULL || memcmp(ours, f->head, REGISTRY_HASH_LEN) != 0)
		e = rewrite(f, CHAIN, r, chain_at, n, &f->bytes);
	else if (n > f->lines)
		e = append(f, CHAIN, r, chain_at, (size_t)f->lines, n,
		    &f->bytes);
	if (e == 0) {
		f->lines = n;
		memcpy(f->head, registry_head(r), sizeof(f->head));
	}
	return e;
}

static int
sync_rotations(struct registry_file *f, struct registry *r)
{
	size_t n = registry_rotations(r);
	int e = 0;

	if (n > f->rotations)
		e = append(f, ROTATIONS, r, registry_rotation_line,
		    f->rotations, n, &f->rotation_bytes);
	if (e == 0)
		f->rotations = n;
	return e;
}

static int
sync_branches(struct registry_file *f, struct registry *r)
{
	registry_hash want;
	uint64_t bytes = 0;
	int e = 0;

	branches_hash(r, want);
	if (memcmp(want, f->branches, sizeof(want)) == 0)
		return 0;
	if (registry_branch_lines(r) > 0)
		e = rewrite(f, BRANCHES, r, registry_branch_line,
		    registry_branch_lines(r), &bytes);
	else if (unlinkat(f->dirfd, BRANCHES, 0) != 0 && errno != ENOENT)
		e = -errno;
	if (e == 0)
		memcpy(f->branches, want, sizeof(want));
	return e;
}

static int
sync_floor(struct registry_file *f, struct registry *r)
{
	struct registry_file new = *f;
	char text[FLOOR_MAX];
	int fd, n, e;

	new.floor = true;
	new.floor_seq = reg_last_decision(r);
	memcpy(new.floor_head, registry_hash_at(r, new.floor_seq),
	    REGISTRY_HASH_LEN);
	new.floor_rotations = registry_rotations(r);
	registry_rotations_hash(r, registry_rotations(r), new.floor_hash);
	if (f->floor &&
	    new.floor_seq == f->floor_seq &&new.floor_rotations ==
		f->floor_rotations &&
	    memcmp(new.floor_head, f->floor_head, REGISTRY_HASH_LEN) == 0)
		return 0;
	n = floor_text(&new, text);
	fd = open_new(f, FLOOR);
	if (fd < 0)
		return fd;
	e = replace(f, FLOOR, fd, write_all(fd, text, (size_t)n));
	if (e == 0)
		*f = new;
	return e;
}

const char *
registry_file_sync(struct registry_file *f, struct registry *r)
{
	static const struct {
		const char *name;
		int (*sync)(struct registry_file *, struct registry *);
	} step[] = {
		{ CHAIN, sync_chain },
		{ ROTATIONS, sync_rotations },
		{ BRANCHES, sync_branches },
		{ FLOOR, sync_floor },
	};
	size_t i;
	int e;

	if (!f->writable || registry_empty(r))
		return failed(f, "the registry's files are not to be written");
	for (i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		e = step[i].sync(f, r);
		if (e != 0)
			return failed(f, "%s: %s", step[i].name, strerror(-e));
	}
	return NULL;
}
