/* SPDX-License-Identifier: ISC */
/*
 * audit_export.c - claw audit:export: whole shards for an assessor, or the
 * lines of a period.
 *
 * Owns the directory that it makes.  An exported shard ends at its checkpoint,
 * its tiles are made anew from its lines, and what cannot be reproduced from
 * them is not exported: a copy that somebody verifies must not depend on when
 * it was taken.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auditd/reader.h"
#include "auditd/shard.h"
#include "claw/audit.h"
#include "claw/audit_log.h"
#include "common/b64.h"
#include "common/merkle.h"
#include "common/tile.h"

#define DAY_MS INT64_C(86400000)

/* What is exported and where to. */
struct export
{
	const struct audit_export_opts *o;
	int64_t from; /* ms, inclusive */
	int64_t to;   /* ms, exclusive */
	int dest;
	FILE *out;
	FILE *err;
	uint64_t lines;
	unsigned shards;
	char *summary;
	size_t summary_len;
	FILE *sum;
};

/*
 * 2026-11-21, or RFC 3339 with seconds, an optional fraction of three digits
 * and Z.  *day: it was a date only.
 */
static int
when(const char *s, int64_t *ms, bool *day)
{
	char full[LINE_TS_LEN + 1] = "0000-00-00T00:00:00.000Z";
	size_t len = strlen(s);

	*day = len == 10;
	if (len == 10 || (len == 20 && s[19] == 'Z'))
		memcpy(full, s, len == 10 ? 10 : 19);
	else if (len == LINE_TS_LEN)
		memcpy(full, s, LINE_TS_LEN);
	else
		return -EINVAL;
	return line_ts_parse(full, LINE_TS_LEN, ms);
}

static int
period(struct export *e)
{
	bool day;

	e->from = 0;
	e->to = INT64_MAX;
	if (e->o->from != NULL && when(e->o->from, &e->from, &day) != 0) {
		fprintf(e->err,
		    "claw audit:export: --from %s: give a date "
		    "(2026-11-01) or a time in UTC (2026-11-01T12:00:00Z)\n",
		    e->o->from);
		return AUDIT_USAGE;
	}
	if (e->o->to != NULL) {
		if (when(e->o->to, &e->to, &day) != 0) {
			fprintf(e->err,
			    "claw audit:export: --to %s: give a "
			    "date (2026-11-30) or a time in UTC "
			    "(2026-11-30T12:00:00Z)\n",
			    e->o->to);
			return AUDIT_USAGE;
		}
		if (day)
			e->to += DAY_MS;
	}
	if (e->from >= e->to) {
		fprintf(e->err, "claw audit:export: --from lies behind --to\n");
		return AUDIT_USAGE;
	}
	return 0;
}

static int
complain(struct export *e, const char *shard, const char *what, int ret)
{
	fprintf(e->err, "claw audit:export: %s: %s: %s\n", shard, what,
	    ret == -EBADMSG ? "damaged; see claw audit:verify" :
			      strerror(-ret));
	return ret == -EBADMSG ? AUDIT_BROKEN : AUDIT_IO;
}

/* Lines of the period to standard output. */
static int
print_lines(struct export *e, int log, const char *name)
{
	struct line_view v;
	struct reader r;
	const char *line;
	size_t len;
	int ret;

	if ((ret = reader_open(&r, log, 0, UINT64_MAX)) != 0)
		return complain(e, name, SHARD_LOG, ret);
	while ((ret = reader_next(&r, &line, &len)) == 1) {
		if (line_parse(line, len, &v) != 0)
			break;
		if (v.env.ts_ms < e->from || v.env.ts_ms >= e->to)
			continue;
		fwrite(line, 1, len, e->out);
		fputc('\n', e->out);
		e->lines++;
	}
	/* A line without its newline is not written yet. */
	if (ret == -EBADMSG && len <= LINE_BYTES_MAX)
		ret = 0;
	else if (ret == 1)
		ret = -EBADMSG;
	reader_close(&r);
	return ret == 0 ? 0 : complain(e, name, SHARD_LOG, ret);
}

/* First and last time in a log whose lines run forward. */
static int
overlaps(struct export *e, int log, uint64_t size, bool *yes)
{
	struct line_view v;
	struct reader r;
	const char *line;
	uint64_t i;
	size_t len;
	int ret;

	*yes = false;
	if ((ret = reader_open(&r, log, 0, UINT64_MAX)) != 0)
		return ret;
	for (i = 0; i < size && !*yes; i++) {
		ret = reader_next(&r, &line, &len);
		if (ret != 1 || line_parse(line, len, &v) != 0) {
			ret = ret < 0 ? ret : -EBADMSG;
			break;
		}
		ret = 0;
		*yes = v.env.ts_ms >= e->from && v.env.ts_ms < e->to;
	}
	reader_close(&r);
	return ret;
}

static int
emit(void *arg, const struct tile *t, const uint8_t *data, size_t len)
{
	const int *dirfd = arg;

	return tile_write(*dirfd, t, data, len);
}

static int
create(int dirfd, const char *name)
{
	int fd;

	fd = openat(dirfd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd == -1 ? -errno : fd;
}

static int
write_file(int dirfd, const char *name, const char *data, size_t len)
{
	FILE *f;
	int fd, ret = 0;

	if ((fd = create(dirfd, name)) < 0)
		return fd;
	if ((f = fdopen(fd, "w")) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	if (fwrite(data, 1, len, f) != len)
		ret = -EIO;
	if (fclose(f) == EOF && ret == 0)
		ret = -errno;
	return ret;
}

/* `size` lines from log to a new log, and the tiles that they make. */
static int
copy_log(int log, int to, uint64_t size, merkle_hash root)
{
	struct tile_grow *g = NULL;
	struct reader r = { .fd = -1 };
	struct merkle m;
	merkle_hash leaf;
	const char *line;
	FILE *f = NULL;
	size_t len;
	int fd, ret;

	merkle_init(&m);
	if ((fd = create(to, SHARD_LOG)) < 0)
		return fd;
	if ((f = fdopen(fd, "w")) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	ret = -ENOMEM;
	if ((g = malloc(sizeof(*g))) == NULL)
		goto out;
	tile_grow_init(g);
	if ((ret = reader_open(&r, log, 0, UINT64_MAX)) != 0)
		goto out;
	while (m.size < size) {
		if ((ret = reader_next(&r, &line, &len)) != 1) {
			ret = ret < 0 ? ret : -EBADMSG;
			goto out;
		}
		fwrite(line, 1, len, f);
		fputc('\n', f);
		merkle_leaf(line, len, leaf);
		merkle_append(&m, leaf);
		if ((ret = tile_grow_add(g, line, len, leaf, emit, &to)) != 0)
			goto out;
	}
	ret = tile_grow_partials(g, emit, &to);
	merkle_root(&m, root);
out:
	if (g != NULL)
		tile_grow_free(g);
	free(g);
	reader_close(&r);
	if (fclose(f) == EOF && ret == 0)
		ret = -errno;
	return ret;
}

/* One shard up to its checkpoint. */
static int
copy_shard(struct export *e, int dirfd, int log, const char *name)
{
	struct note_checkpoint c;
	struct shard_head h;
	struct note n;
	merkle_hash root;
	char b64[B64_LEN(32) + 1], *text;
	const char *why;
	size_t len;
	bool yes;
	int to, ret;

	if ((ret = audit_file_read(dirfd, SHARD_CHECKPOINT, NOTE_MAX, &text,
		 &len)) != 0)
		return complain(e, name, SHARD_CHECKPOINT, ret);
	memset(&h, 0, sizeof(h));
	to = ret = -EBADMSG;
	if (note_parse(text, len, &n) != 0 ||
	    note_checkpoint_parse(n.text, n.text_len, &c) != 0 ||
	    shard_head_load(log, &h, &why) != 0)
		goto out;
	if ((ret = overlaps(e, log, c.size, &yes)) != 0 || !yes)
		goto out;
	if (mkdirat(e->dest, h.shard, 0700) == -1) {
		ret = -errno;
		goto out;
	}
	to = openat(e->dest, h.shard,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ret = to == -1 ? -errno : copy_log(log, to, c.size, root);
	if (ret == 0 && memcmp(root, c.root, sizeof(root)) != 0)
		ret = -EBADMSG;
	if (ret == 0)
		ret = write_file(to, SHARD_CHECKPOINT, text, len);
	if (ret != 0)
		goto out;
	b64_encode(c.root, sizeof(c.root), b64, sizeof(b64));
	fprintf(e->sum,
	    "shard   %s\n  vkey  %s\n  size and root\n        %" PRIu64
	    ":%s\n  check claw audit:verify --dir %s --vkey '%s' "
	    "--expect %" PRIu64 ":%s\n\n",
	    h.shard, h.vkey_text, c.size, b64, h.shard, h.vkey_text, c.size,
	    b64);
	e->lines += c.size;
	e->shards++;
out:
	if (to >= 0)
		close(to);
	shard_head_free(&h);
	free(text);
	return ret == 0 ? 0 : complain(e, name, "copying", ret);
}

static int
one(struct export *e, const struct audit_dir *d, size_t i)
{
	const char *name =
	    d->shard[i].name[0] == '\0' ? "log" : d->shard[i].name;
	int dirfd, log, ret;

	if ((dirfd = audit_dir_shard(d, i)) < 0)
		return complain(e, name, "opening", dirfd);
	if ((log = audit_file_open(dirfd, SHARD_LOG)) < 0)
		ret = complain(e, name, SHARD_LOG, log);
	else if (e->dest == -1)
		ret = print_lines(e, log, name);
	else
		ret = copy_shard(e, dirfd, log, name);
	if (log >= 0)
		close(log);
	close(dirfd);
	return ret;
}

static int
open_dest(struct export *e)
{
	const char *dest = e->o->dest;

	e->dest = -1;
	if (strcmp(dest, "-") == 0)
		return 0;
	if (mkdir(dest, 0700) == -1 ||
	    (e->dest = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		fprintf(e->err,
		    "claw audit:export: %s: %s; give a directory "
		    "that does not exist yet\n",
		    dest, strerror(errno));
		return AUDIT_CANTCREAT;
	}
	if ((e->sum = open_memstream(&e->summary, &e->summary_len)) == NULL)
		return AUDIT_IO;
	fprintf(e->sum,
	    "Audit log of a claw node: whole shards, each up to "
	    "its last checkpoint.\nThe formats are those of claw-audit(5): "
	    "C2SP tlog-tiles and signed notes over\nlog.ndjson, one JSON "
	    "object a line.  The vkeys below come from the log itself:\n"
	    "compare them, or the node's identity key, with what you have "
	    "from elsewhere.\nAll shards at once: claw audit:verify --dir . "
	    "--vkey IDENTITY --expect SIZE:ROOT\n(of the last one; keep this "
	    "file outside the copy that you check).\n\n");
	return 0;
}

/* The summary beside the shards; 0 or a status. */
static int
finish(struct export *e, int st)
{
	int ret;

	if (e->dest == -1)
		return fflush(e->out) == EOF || ferror(e->out) ? AUDIT_IO : st;
	if (fclose(e->sum) == EOF)
		return AUDIT_IO;
	ret = write_file(e->dest, "SUMMARY", e->summary, e->summary_len);
	free(e->summary);
	if (st == 0 && ret != 0)
		return complain(e, e->o->dest, "SUMMARY", ret);
	if (st == 0)
		fprintf(e->out,
		    "%" PRIu64 " lines in %u shard%s copied to "
		    "%s; SUMMARY there says how to check them\n",
		    e->lines, e->shards, e->shards == 1 ? "" : "s", e->o->dest);
	return st;
}

int
audit_export(const struct audit_export_opts *o, FILE *out, FILE *err)
{
	struct export e = { .o = o, .dest = -1, .out = out, .err = err };
	struct audit_dir d;
	size_t i;
	int ret, st;

	if ((st = period(&e)) != 0)
		return st;
	if ((ret = audit_dir_open(&d, o->dir)) != 0) {
		fprintf(err, "claw audit:export: %s: %s\n", o->dir,
		    ret == -ENOMSG ? "no audit log in there" : strerror(-ret));
		return AUDIT_IO;
	}
	if ((st = open_dest(&e)) == 0) {
		for (i = 0; i < d.n && st == 0; i++)
			st = one(&e, &d, i);
		st = finish(&e, st);
		if (st == 0 && e.lines == 0)
			st = AUDIT_NEGATIVE;
	}
	if (e.dest != -1)
		close(e.dest);
	audit_dir_close(&d);
	return st;
}
