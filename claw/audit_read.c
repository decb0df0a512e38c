/* SPDX-License-Identifier: ISC */
/*
 * audit_read.c - claw audit:prove, audit:vkey, audit:tail.
 *
 * Owns nothing.  Lines come from a log that may be damaged: what is shown to a
 * person is what the line's checked grammar lets through.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auditd/reader.h"
#include "auditd/shard.h"
#include "claw/audit.h"
#include "claw/audit_log.h"
#include "common/b64.h"
#include "common/merkle.h"
#include "common/utf8.h"

#define POLL_MS 200

/* The newest shard of a directory; its descriptor or -1 and a message. */
static int
newest(const char *verb, const char *path, FILE *err, struct audit_dir *d)
{
	int fd, ret;

	if ((ret = audit_dir_open(d, path)) != 0) {
		fprintf(err, "claw %s: %s: %s\n", verb, path,
		    ret == -ENOMSG ? "no audit log in there" : strerror(-ret));
		return -1;
	}
	if ((fd = audit_dir_shard(d, d->n - 1)) < 0) {
		fprintf(err, "claw %s: %s/%s: %s\n", verb, path,
		    d->shard[d->n - 1].name, strerror(-fd));
		audit_dir_close(d);
		return -1;
	}
	return fd;
}

int
audit_vkey(const char *dir, FILE *out, FILE *err)
{
	struct shard_head head;
	struct audit_dir d;
	const char *why = "";
	int fd, log, ret = AUDIT_IO;

	if ((fd = newest("audit:vkey", dir, err, &d)) == -1)
		return AUDIT_IO;
	if ((log = audit_file_open(fd, SHARD_LOG)) < 0)
		fprintf(err, "claw audit:vkey: " SHARD_LOG ": %s\n",
		    strerror(-log));
	else if (shard_head_load(log, &head, &why) != 0) {
		fprintf(err, "claw audit:vkey: " SHARD_LOG ": line 1 %s\n",
		    why);
		ret = AUDIT_DATA;
		shard_head_free(&head);
	} else {
		fprintf(out, "%s\n", head.vkey_text);
		ret = AUDIT_OK;
		shard_head_free(&head);
	}
	if (log >= 0)
		close(log);
	close(fd);
	audit_dir_close(&d);
	return ret;
}

/* Leaf hashes of the first n lines and a copy of line `want`. */
static int
leaves(int log, uint64_t n, uint64_t want, merkle_hash **out, char **line)
{
	struct reader r;
	merkle_hash *leaf;
	const char *s;
	uint64_t i;
	size_t len;
	int ret;

	if (n > SIZE_MAX / sizeof(*leaf))
		return -ENOMEM;
	if ((ret = reader_open(&r, log, 0, UINT64_MAX)) != 0)
		return ret;
	if ((leaf = calloc((size_t)n, sizeof(*leaf))) == NULL)
		ret = -ENOMEM;
	for (i = 0; ret == 0 && i < n; i++) {
		if ((ret = reader_next(&r, &s, &len)) != 1) {
			ret = ret < 0 ? ret : -EBADMSG;
			break;
		}
		ret = 0;
		merkle_leaf(s, len, leaf[i]);
		if (i == want && (*line = strndup(s, len)) == NULL)
			ret = -ENOMEM;
	}
	reader_close(&r);
	if (ret != 0) {
		free(leaf);
		return ret;
	}
	*out = leaf;
	return 0;
}

/* c2sp.org/tlog-proof@v1: index, path, and the checkpoint it leads to. */
static void
print_proof(const merkle_hash *leaf, uint64_t size, uint64_t n,
    const char *checkpoint, FILE *out)
{
	merkle_hash proof[MERKLE_PROOF_MAX];
	char b64[B64_LEN(MERKLE_HASH_LEN) + 1];
	int i, count;

	count = merkle_prove_inclusion(leaf, size, n, proof);
	fprintf(out, "c2sp.org/tlog-proof@v1\nindex %" PRIu64 "\n", n);
	for (i = 0; i < count; i++) {
		b64_encode(proof[i], MERKLE_HASH_LEN, b64, sizeof(b64));
		fprintf(out, "%s\n", b64);
	}
	fprintf(out, "\n%s", checkpoint);
}

static int
prove(int fd, const struct audit_prove_opts *o, FILE *out, FILE *err)
{
	struct note_checkpoint c;
	struct note n;
	merkle_hash *leaf = NULL, root;
	char *text = NULL, *line = NULL;
	size_t len;
	int log = -1, ret, st = AUDIT_DATA;

	ret = audit_file_read(fd, SHARD_CHECKPOINT, NOTE_MAX, &text, &len);
	if (ret != 0 || note_parse(text, len, &n) != 0 ||
	    note_checkpoint_parse(n.text, n.text_len, &c) != 0) {
		fprintf(err,
		    "claw audit:prove: no checkpoint to prove "
		    "against: %s\n",
		    ret != 0 ? strerror(-ret) : "malformed");
		goto out;
	}
	if (o->n >= c.size) {
		fprintf(err,
		    "claw audit:prove: the checkpoint covers lines 0 "
		    "to %" PRIu64 "; line %" PRIu64 " is not among them%s\n",
		    c.size - 1, o->n, " (yet)");
		st = AUDIT_NEGATIVE;
		goto out;
	}
	if ((log = audit_file_open(fd, SHARD_LOG)) < 0 ||
	    (ret = leaves(log, c.size, o->n, &leaf, &line)) != 0) {
		fprintf(err, "claw audit:prove: " SHARD_LOG ": %s\n",
		    strerror(log < 0 ? -log : -ret));
		goto out;
	}
	merkle_root_of((const merkle_hash *)leaf, c.size, root);
	if (memcmp(root, c.root, sizeof(root)) != 0) {
		fprintf(err,
		    "claw audit:prove: the log does not hash to its "
		    "checkpoint; see claw audit:verify\n");
		st = AUDIT_BROKEN;
		goto out;
	}
	if (o->line)
		fprintf(out, "%s\n", line);
	print_proof((const merkle_hash *)leaf, c.size, o->n, text, out);
	st = AUDIT_OK;
out:
	if (log >= 0)
		close(log);
	free(leaf);
	free(line);
	free(text);
	return st;
}

int
audit_prove(const struct audit_prove_opts *o, FILE *out, FILE *err)
{
	struct audit_dir d;
	int fd, ret;

	if ((fd = newest("audit:prove", o->dir, err, &d)) == -1)
		return AUDIT_IO;
	ret = prove(fd, o, out, err);
	close(fd);
	audit_dir_close(&d);
	return ret;
}

/*
 * Characters that would make a terminal show something else than is there:
 * line and paragraph separators, direction marks and overrides.
 */
static bool
misleads(uint32_t c)
{
	return c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) ||
	    c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

static void
print_safe(const char *s, size_t len, FILE *out)
{
	uint32_t cp = 0;
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_next((const uint8_t *)s + i, len - i, &cp);
		if (n == 0)
			n = 1;
		if (misleads(cp))
			fprintf(out, "\\u{%" PRIx32 "}", cp);
		else
			fwrite(s + i, 1, n, out);
	}
}

/* "2026-11-21 11:00:00.000  42  session.open  peer="..." reason=..." */
static void
print_line(const char *line, size_t len, bool json, FILE *out)
{
	const char *name, *value;
	size_t off = 0, nlen, vlen;
	struct line_view v;
	char ts[LINE_TS_LEN + 1], event[128];

	if (json) {
		fwrite(line, 1, len, out);
		fputc('\n', out);
		return;
	}
	if (line_parse(line, len, &v) != 0) {
		fprintf(out, "(not an audit line, %zu bytes)\n", len);
		return;
	}
	line_ts_format(v.env.ts_ms, ts);
	if (line_text(&v, "event", event, sizeof(event)) < 0)
		memcpy(event, "-", 2);
	fprintf(out, "%.10s %.12s %6" PRIu64 "  ", ts, ts + 11, v.env.n);
	print_safe(event, strlen(event), out);
	while (line_next(&v, &off, &name, &nlen, &value, &vlen) == 1) {
		if (nlen == 5 && memcmp(name, "event", 5) == 0)
			continue;
		fprintf(out, " %.*s=", (int)nlen, name);
		print_safe(value, vlen, out);
	}
	fputc('\n', out);
}

/* Offset at which the last n lines begin. */
static int
find_tail(int log, uint64_t n, uint64_t *from)
{
	char buf[16384];
	uint64_t end, seen = 0;
	struct stat st;
	ssize_t got;
	size_t chunk, i;

	if (fstat(log, &st) == -1)
		return -errno;
	*from = 0;
	for (end = (uint64_t)st.st_size; end > 0; end -= chunk) {
		chunk = end < sizeof(buf) ? (size_t)end : sizeof(buf);
		got = pread(log, buf, chunk, (off_t)(end - chunk));
		if (got != (ssize_t)chunk)
			return got < 0 ? -errno : -EIO;
		for (i = chunk; i-- > 0;) {
			if (buf[i] != '\n')
				continue;
			/* The newline that ends line n+1 from behind. */
			if (seen++ == n) {
				*from = end - chunk + i + 1;
				return 0;
			}
		}
	}
	return 0;
}

/* Print whole lines from *off on. */
static int
print_from(int log, uint64_t *off, bool json, FILE *out)
{
	struct reader r;
	const char *line;
	size_t len;
	int ret;

	if ((ret = reader_open(&r, log, *off, UINT64_MAX)) != 0)
		return ret;
	while ((ret = reader_next(&r, &line, &len)) == 1) {
		print_line(line, len, json, out);
		*off = r.offset + len + 1;
	}
	reader_close(&r);
	/* What has no newline is being written, or will be cut. */
	if (ret == -EBADMSG && len <= LINE_BYTES_MAX)
		ret = 0;
	return ret;
}

static void
nap(void)
{
	struct timespec t = { 0, POLL_MS * 1000000L };

	nanosleep(&t, NULL);
}

/* A newer shard: its log takes the place of *log. */
static void
follow_on(const char *path, struct audit_dir *d, int *log, uint64_t *off)
{
	struct audit_dir now;
	int fd, next;

	if (d->single || audit_dir_open(&now, path) != 0)
		return;
	if (now.shard[now.n - 1].order > d->shard[d->n - 1].order &&
	    (fd = audit_dir_shard(&now, now.n - 1)) >= 0) {
		if ((next = audit_file_open(fd, SHARD_LOG)) >= 0) {
			close(*log);
			*log = next;
			*off = 0;
			audit_dir_close(d);
			*d = now;
			now.fd = -1;
			now.shard = NULL;
		}
		close(fd);
	}
	audit_dir_close(&now);
}

int
audit_tail(const struct audit_tail_opts *o, FILE *out, FILE *err)
{
	struct audit_dir d;
	uint64_t off = 0;
	int fd, log, ret;

	if ((fd = newest("audit:tail", o->dir, err, &d)) == -1)
		return AUDIT_IO;
	log = audit_file_open(fd, SHARD_LOG);
	close(fd);
	ret = log < 0 ? log : find_tail(log, o->lines, &off);
	while (ret == 0) {
		ret = print_from(log, &off, o->json, out);
		if (fflush(out) == EOF || !o->follow)
			break;
		if (o->stop != NULL && *o->stop)
			break;
		follow_on(o->dir, &d, &log, &off);
		nap();
	}
	if (ret != 0)
		fprintf(err, "claw audit:tail: " SHARD_LOG ": %s\n",
		    ret == -EBADMSG ? "not an audit log; see claw "
				      "audit:verify" :
				      strerror(-ret));
	if (log >= 0)
		close(log);
	audit_dir_close(&d);
	if (ret != 0)
		return ret == -EBADMSG ? AUDIT_DATA : AUDIT_IO;
	return ferror(out) ? AUDIT_IO : AUDIT_OK;
}
