/* SPDX-License-Identifier: ISC */
/*
 * shard_recover.c - what a shard is after a restart, or a crash, or worse.
 *
 * Reads the log once, from the first line to the last byte.  What a crash can
 * leave behind is mended and reported; what a crash cannot explain is left as
 * it was found and reported as damage.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "auditd/reader.h"
#include "auditd/shard.h"
#include "auditd/shard_int.h"
#include "common/note.h"

#define OPEN_MAX_INTENTS 65536u
#define SECTOR 512u

struct recovery {
	struct shard *s;
	struct shard_report *rep;
	struct merkle all; /* every line read so far */
	uint64_t target;   /* size that the checkpoint states */
	size_t open_cap;
	size_t closed; /* entries of rep->open that have their outcome */
};

static void
damage(struct recovery *r, enum shard_damage what, uint64_t offset)
{
	if (r->rep->damage != SHARD_SOUND)
		return;
	r->rep->damage = what;
	r->rep->damage_line = r->all.size;
	r->rep->damage_offset = offset;
}

/* Size and root of the published checkpoint; its signature is not our part. */
static int
read_checkpoint(struct recovery *r)
{
	struct note_checkpoint c;
	struct note n;
	const char *slash;
	char *buf;
	ssize_t len;
	int ret = 0;

	if ((buf = malloc(NOTE_MAX + 1)) == NULL)
		return -ENOMEM;
	len = shard_checkpoint_read(r->s, buf, NOTE_MAX + 1);
	if (len == -ENOENT)
		goto out;
	if (len < 0 && len != -ENOSPC && len != -ELOOP) {
		ret = (int)len;
		goto out;
	}
	if (len < 0 || note_parse(buf, (size_t)len, &n) != 0 ||
	    note_checkpoint_parse(n.text, n.text_len, &c) != 0 ||
	    (slash = strrchr(c.origin, '/')) == NULL ||
	    strcmp(slash + 1, r->s->name) != 0 || c.size == 0) {
		damage(r, SHARD_BAD_CHECKPOINT, 0);
		goto out;
	}
	r->s->has_checkpoint = true;
	r->target = c.size;
	memcpy(r->rep->checkpoint_root, c.root, sizeof(c.root));
out:
	free(buf);
	return ret;
}

/* Drop the intents that have their outcome. */
static void
compact(struct recovery *r)
{
	struct shard_intent *o = r->rep->open;
	size_t i, k = 0;

	for (i = 0; i < r->rep->nopen; i++)
		if (o[i].len != 0)
			o[k++] = o[i];
	r->rep->nopen = k;
	r->closed = 0;
}

static int
intent_open(struct recovery *r, uint64_t n, uint64_t offset, size_t len)
{
	struct shard_report *rep = r->rep;
	struct shard_intent *p;
	size_t cap;

	if (rep->nopen == r->open_cap && r->closed > rep->nopen / 2)
		compact(r);
	if (rep->nopen == OPEN_MAX_INTENTS)
		compact(r);
	if (rep->nopen == OPEN_MAX_INTENTS) {
		rep->open_overflow = true;
		return 0;
	}
	if (rep->nopen == r->open_cap) {
		cap = r->open_cap == 0 ? 64 : r->open_cap * 2;
		p = reallocarray(rep->open, cap, sizeof(*p));
		if (p == NULL)
			return -ENOMEM;
		rep->open = p;
		r->open_cap = cap;
	}
	p = &rep->open[rep->nopen++];
	p->n = n;
	p->offset = offset;
	p->len = (uint32_t)len;
	return 0;
}

static void
intent_close(struct recovery *r, uint64_t n)
{
	size_t lo = 0, hi = r->rep->nopen, mid;
	struct shard_intent *o = r->rep->open;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (o[mid].n < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < r->rep->nopen && o[lo].n == n && o[lo].len != 0) {
		o[lo].len = 0;
		r->closed++;
	}
}

/* Count what differs; it is written only once all lines have been judged. */
static int
compare(void *arg, const struct tile *t, const uint8_t *data, size_t len)
{
	struct recovery *r = arg;
	int same;

	same = tile_matches(r->s->dirfd, t, data, len);
	if (same < 0)
		return same;
	r->rep->tiles_rebuilt += same == 0;
	return 0;
}

static int
write_different(void *arg, const struct tile *t, const uint8_t *data,
    size_t len)
{
	struct recovery *r = arg;
	int same;

	same = tile_matches(r->s->dirfd, t, data, len);
	if (same != 0)
		return same < 0 ? same : 0;
	return tile_write(r->s->dirfd, t, data, len);
}

/* The line is the last one under the checkpoint: does its root hold? */
static int
at_checkpoint(struct recovery *r, uint64_t end)
{
	merkle_hash root;

	r->s->base = r->all;
	r->s->base_bytes = end;
	merkle_root(&r->all, root);
	if (memcmp(root, r->rep->checkpoint_root, sizeof(root)) != 0) {
		damage(r, SHARD_BAD_ROOT, end);
		return 0;
	}
	return tile_grow_partials(&r->s->grow, compare, r);
}

/* An operator may say that the times before were wrong. */
static void
note_time(struct recovery *r, const struct line_view *v)
{
	char event[32];

	if (v->env.ts_ms >= r->rep->newest_ms ||
	    (line_text(v, "event", event, sizeof(event)) > 0 &&
		strcmp(event, LINE_CLOCK_RESET) == 0))
		r->rep->newest_ms = v->env.ts_ms;
}

/* A line that parses: 0 and it counts, -EBADMSG: it does not chain. */
static int
take(struct recovery *r, const struct line_view *v, const char *line,
    size_t len, uint64_t offset)
{
	struct shard *s = r->s;
	merkle_hash leaf;
	int ret = 0;

	if (v->env.n != r->all.size ||
	    memcmp(v->env.prev, s->prev, sizeof(s->prev)) != 0)
		return -EBADMSG;
	merkle_leaf(line, len, leaf);
	if (r->all.size < r->target)
		ret = tile_grow_add(&s->grow, line, len, leaf, compare, r);
	else
		ret = shard_leaf_add(s, leaf);
	if (ret != 0)
		return ret;
	if (v->has_intent)
		intent_close(r, v->intent);
	if (v->is_intent)
		ret = intent_open(r, v->env.n, offset, len);
	note_time(r, v);
	memcpy(s->prev, leaf, sizeof(leaf));
	merkle_append(&r->all, leaf);
	s->bytes = offset + len + 1;
	if (ret == 0 && r->all.size == r->target)
		ret = at_checkpoint(r, s->bytes);
	return ret;
}

/*
 * Bytes that are no line (got is what reader_next() said of them).  A crash in
 * the middle of a commit leaves them at the end; it can also leave blocks of
 * zeros, where later blocks reached the disk and earlier ones did not, and
 * then no line behind them was ever acknowledged.  A line behind anything else
 * means that somebody was here.
 */
static int
bad_bytes(struct recovery *r, struct reader *in, int got, const char *line,
    size_t len)
{
	static const char zeros[SECTOR];
	struct line_view v;
	uint64_t offset = in->offset;
	int ret;

	if (r->all.size < r->target) {
		damage(r, SHARD_BAD_LINE, offset);
		return 0;
	}
	while (got != 0) {
		if (memmem(line, len, zeros, sizeof(zeros)) != NULL)
			return 0;
		if (got == -EBADMSG && (ret = reader_skip(in)) != 0)
			return ret == -ENOENT ? 0 : ret;
		got = reader_next(in, &line, &len);
		if (got < 0 && got != -EBADMSG)
			return got;
		if (got == 1 && line_parse(line, len, &v) == 0) {
			damage(r, SHARD_BAD_LINE, offset);
			return 0;
		}
	}
	return 0;
}

static int
read_lines(struct recovery *r)
{
	struct line_view v;
	struct reader in;
	const char *line;
	size_t len;
	int ret;

	if ((ret = reader_open(&in, r->s->log, 0, UINT64_MAX)) != 0)
		return ret;
	while (r->rep->damage == SHARD_SOUND) {
		ret = reader_next(&in, &line, &len);
		if (ret == 0 || (ret < 0 && ret != -EBADMSG))
			break;
		if (ret < 0 || line_parse(line, len, &v) != 0) {
			ret = bad_bytes(r, &in, ret, line, len);
			break;
		}
		ret = take(r, &v, line, len, in.offset);
		if (ret == -EBADMSG) {
			damage(r, SHARD_BAD_CHAIN, in.offset);
			ret = 0;
		}
		if (ret != 0)
			break;
	}
	reader_close(&in);
	if (ret == 1)
		ret = 0;
	if (ret == 0 && r->all.size < r->target)
		damage(r, SHARD_SHORT, r->s->bytes);
	return ret;
}

/* Cut what follows the last line and keep what it was. */
static int
cut_tail(struct recovery *r)
{
	struct shard *s = r->s;
	EVP_MD_CTX *ctx;
	uint8_t buf[16384];
	uint64_t off = s->bytes;
	ssize_t n = 0;
	int ret = -EIO;

	if ((ctx = EVP_MD_CTX_new()) == NULL)
		return -ENOMEM;
	if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		goto out;
	while ((n = pread(s->log, buf, sizeof(buf), (off_t)off)) > 0) {
		if (EVP_DigestUpdate(ctx, buf, (size_t)n) != 1)
			goto out;
		off += (uint64_t)n;
	}
	if (n < 0 || EVP_DigestFinal_ex(ctx, r->rep->torn_sha256, NULL) != 1)
		goto out;
	r->rep->torn_bytes = off - s->bytes;
	if (ftruncate(s->log, (off_t)s->bytes) == -1 || fsync(s->log) == -1)
		goto out;
	ret = 0;
out:
	if (ret != 0 && n < 0)
		ret = -errno;
	EVP_MD_CTX_free(ctx);
	return ret;
}

/* Left-overs of a crash while publishing: our own names only. */
static int
sweep(void *arg, const char *path, unsigned mode)
{
	struct recovery *r = arg;
	struct tile t;

	if (mode != S_IFREG)
		return 0;
	if (tile_is_temp(path)) {
		unlinkat(r->s->dirfd, path, 0);
		return 0;
	}
	if (tile_path_parse(path, strlen(path), &t) != 0 ||
	    tile_expected(&t, r->s->base.size))
		return 0;
	r->rep->tiles_rebuilt++;
	return tile_remove(r->s->dirfd, &t);
}

static int
rebuild(struct recovery *r)
{
	struct tile_grow *g;
	uint64_t off = 0;
	int ret;

	if ((g = malloc(sizeof(*g))) == NULL)
		return -ENOMEM;
	tile_grow_init(g);
	ret = shard_grow(r->s, g, &off, r->s->base.size, write_different, r);
	if (ret == 0)
		ret = tile_grow_partials(g, write_different, r);
	tile_grow_free(g);
	free(g);
	return ret;
}

int
shard_recover(struct shard *s, struct shard_report *rep)
{
	struct recovery r = { .s = s, .rep = rep };
	struct stat st;
	int ret;

	/* Just made: nothing to find, and no more right to look around. */
	if (rep->created)
		return 0;
	if ((ret = read_checkpoint(&r)) != 0 || (ret = read_lines(&r)) != 0)
		return ret;
	compact(&r);
	s->tail = r.all;
	rep->lines = s->tail.size;
	rep->bytes = s->bytes;
	if (rep->damage != SHARD_SOUND) {
		s->readonly = true;
		return 0;
	}
	if (fstat(s->log, &st) == -1)
		return -errno;
	if ((uint64_t)st.st_size > s->bytes && (ret = cut_tail(&r)) != 0)
		return ret;
	if (rep->tiles_rebuilt != 0 && (ret = rebuild(&r)) != 0)
		return ret;
	unlinkat(s->dirfd, SHARD_CHECKPOINT_TEMP, 0);
	return tile_walk(s->dirfd, sweep, &r);
}
