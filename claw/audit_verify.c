/* SPDX-License-Identifier: ISC */
/*
 * audit_verify.c - claw audit:verify: is this log what its node signed?
 *
 * Owns the judgement and nothing else: it reads a directory that may have been
 * forged in every byte, and trusts only the key and the expectation that were
 * given on the command line.  What is absent is a failure.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "auditd/reader.h"
#include "auditd/shard.h"
#include "claw/audit.h"
#include "claw/audit_log.h"
#include "common/identity.h"
#include "common/b64.h"
#include "common/merkle.h"
#include "common/tile.h"

#define FINDINGS_MAX 20 /* more than these are counted, not told */
#define RETRIES 5	/* while the node publishes under our hands */
#define THREADS_MAX 4

struct finding {
	char *text;
	bool failure; /* or only a remark */
};

/* One run over one or more shards. */
struct check {
	const struct audit_verify_opts *opts;
	bool by_identity;
	uint8_t identity[AUDIT_IDENTITIES_MAX][32];
	size_t identities;
	struct note_vkey vkey;
	struct note_vkey witness[AUDIT_WITNESSES_MAX];
	struct finding finding[FINDINGS_MAX];
	size_t nfindings; /* told */
	uint64_t failures;
	uint64_t tail_lines;
	uint64_t tail_bytes; /* of a torn last line */
	uint64_t lines;
	uint64_t witnessed; /* cosignatures on the newest checkpoint */
	json_t *shards;
	/* The newest shard's checkpoint, for the summary. */
	struct note_checkpoint newest;
	char *newest_text;
};

/* One shard. */
struct look {
	struct check *c;
	const struct shard_ref *ref;
	const char *label; /* shard's name for messages */
	int dirfd;
	int log;
	char *text; /* checkpoint file */
	size_t text_len;
	struct note note;
	struct note_checkpoint cp;
	struct shard_head head;
	bool has_head;
	struct tile_grow grow;
	struct merkle tree;
	merkle_hash prev;
	bool root_seen;
	uint64_t tail_lines;
	uint64_t tail_bytes;
	struct look *before; /* the shard that precedes it */
};

static void __attribute__((format(printf, 3, 4)))
tell(struct look *l, bool failure, const char *fmt, ...)
{
	struct check *c = l->c;
	struct finding *f = &c->finding[c->nfindings];
	char msg[1024], *p;
	va_list ap;

	c->failures += failure;
	if (c->nfindings == FINDINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (asprintf(&f->text, "%s: %s", l->label, msg) == -1) {
		f->text = NULL;
		return;
	}
	/* File names come from the copy; a terminal must not obey them. */
	for (p = f->text; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	f->failure = failure;
	c->nfindings++;
}

#define FAIL(l, ...) tell((l), true, __VA_ARGS__)
#define REMARK(l, ...) tell((l), false, __VA_ARGS__)

/*
 * A second opinion on "canonical", by a library that did not write the lines.
 * line_parse() alone decides most of it; this holds the two to each other.  It
 * costs several times what all other checks do, so that every core takes a
 * share: thread k of n reads the log for itself and judges each n-th line.
 */
struct opinion {
	pthread_t thread;
	bool started;
	int log;
	uint64_t limit; /* bytes of the log */
	uint64_t k, n;
	atomic_bool *stop; /* the other checks found the log broken */
	uint64_t bad;	   /* index of the first line that is not; UINT64_MAX */
};

/*
 * "env" is spelled out byte by byte in the grammar and leaves nothing to judge;
 * without it half of the time is saved.
 */
static bool
canonical(const char *line, size_t len)
{
	char head[LINE_BYTES_MAX], again[LINE_BYTES_MAX];
	struct line_view v;
	json_t *j;
	size_t n, m;

	/* The other pass says what is wrong with it. */
	if (line_parse(line, len, &v) != 0)
		return true;
	n = (size_t)(v.asig + v.asig_len - line);
	memcpy(head, line, n);
	head[n++] = '}';
	j = json_loadb(head, n, JSON_REJECT_DUPLICATES, NULL);
	if (j == NULL)
		return false;
	m = json_dumpb(j, again, sizeof(again), JSON_SORT_KEYS | JSON_COMPACT);
	json_decref(j);
	return n == m && memcmp(again, head, n) == 0;
}

static void *
opinion_run(void *arg)
{
	struct opinion *o = arg;
	struct reader r;
	const char *line;
	uint64_t i;
	size_t len;

	if (reader_open(&r, o->log, 0, o->limit) != 0) {
		o->bad = 0;
		return NULL;
	}
	for (i = 0; !atomic_load_explicit(o->stop, memory_order_relaxed) &&
	     reader_next(&r, &line, &len) == 1;
	     i++) {
		if (i % o->n != o->k || canonical(line, len))
			continue;
		o->bad = i;
		break;
	}
	reader_close(&r);
	return NULL;
}

static void
opinions_start(struct opinion *o, int log, uint64_t limit, atomic_bool *stop)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t k, n;

	/* Short logs are judged sooner than a thread starts. */
	n = cpus < 1 || limit < 1 << 20 ? 1 :
	    cpus > THREADS_MAX		? THREADS_MAX :
					  (uint64_t)cpus;
	json_object_seed(0);
	for (k = 0; k < n; k++) {
		o[k] = (struct opinion){ .log = log,
			.limit = limit,
			.k = k,
			.n = n,
			.stop = stop,
			.bad = UINT64_MAX };
		o[k].started = n > 1 &&
		    pthread_create(&o[k].thread, NULL, opinion_run, &o[k]) == 0;
	}
}

/* Index of the first line that is not canonical, or UINT64_MAX. */
static uint64_t
opinions_end(struct opinion *o)
{
	uint64_t k, bad = UINT64_MAX;

	for (k = 0; k < o[0].n; k++) {
		if (o[k].started)
			pthread_join(o[k].thread, NULL);
		else
			opinion_run(&o[k]);
		if (o[k].bad < bad)
			bad = o[k].bad;
	}
	return bad;
}

static bool
load_checkpoint(struct look *l)
{
	int ret;

	ret = audit_file_read(l->dirfd, SHARD_CHECKPOINT, NOTE_MAX, &l->text,
	    &l->text_len);
	if (ret != 0) {
		FAIL(l, "checkpoint: %s; without it nothing is proved",
		    strerror(-ret));
		return false;
	}
	if (note_parse(l->text, l->text_len, &l->note) != 0) {
		FAIL(l, "checkpoint: not a signed note");
		return false;
	}
	if (note_checkpoint_parse(l->note.text, l->note.text_len, &l->cp) !=
	    0) {
		FAIL(l, "checkpoint: not origin, size and root");
		return false;
	}
	if (l->cp.size == 0)
		FAIL(l, "checkpoint: its size is 0; a shard has a first line");
	return true;
}

/* The identity key's word for the log key, as keyd gave it. */
static void
check_endorsement(struct look *l)
{
	uint8_t msg[NOTE_ENDORSE_MAX], h[32];
	char prev[B64_LEN(32) + 1] = "";
	size_t i = 0;
	ssize_t n;

	if (l->head.prev_len != 0) {
		merkle_sha256(l->head.prev, l->head.prev_len, h);
		b64_encode(h, sizeof(h), prev, sizeof(prev));
	}
	n = note_endorse_statement(l->head.node, prev, l->head.shard,
	    l->head.vkey_text, msg, sizeof(msg));
	while (n >= 0 && i < l->c->identities &&
	    note_ed25519(l->c->identity[i], msg, (size_t)n,
		l->head.endorsement) != 0)
		i++;
	if (n < 0 || i == l->c->identities)
		FAIL(l,
		    SHARD_LOG " line 1: the identity key given did not "
			      "endorse this log key");
}

static void
check_head(struct look *l)
{
	const char *why;

	if (shard_head_load(l->log, &l->head, &why) != 0) {
		FAIL(l, SHARD_LOG " line 1: %s", why);
		return;
	}
	l->has_head = true;
	if (l->ref->name[0] != '\0' && strcmp(l->ref->name, l->head.shard) != 0)
		FAIL(l,
		    SHARD_LOG " line 1: opens shard %s, the directory is "
			      "%s",
		    l->head.shard, l->ref->name);
	if (strcmp(l->head.vkey.name, l->cp.origin) != 0)
		FAIL(l, "checkpoint: origin %s is not the log's, %s",
		    l->cp.origin, l->head.vkey.name);
	if (l->c->by_identity)
		check_endorsement(l);
	else if (memcmp(&l->c->vkey, &l->head.vkey, sizeof(l->c->vkey)) != 0)
		FAIL(l,
		    SHARD_LOG " line 1: states another vkey than the one "
			      "given");
}

static void
check_signature(struct look *l)
{
	struct note_vkey keys[1 + AUDIT_WITNESSES_MAX];
	size_t i, n = l->c->opts->nwitness;
	uint64_t who = 0;
	int ret;

	if (l->c->by_identity && !l->has_head)
		return;
	keys[0] = l->c->by_identity ? l->head.vkey : l->c->vkey;
	for (i = 0; i < n; i++)
		keys[1 + i] = l->c->witness[i];
	ret = note_verify(&l->note, keys, 1 + n, &who, NULL);
	if (ret == -ENOKEY)
		FAIL(l, "checkpoint: not signed by %s", keys[0].name);
	else if (ret != 0)
		FAIL(l, "checkpoint: a signature is wrong");
	if (strcmp(l->cp.origin, keys[0].name) != 0)
		FAIL(l, "checkpoint: origin %s is not the key's name, %s",
		    l->cp.origin, keys[0].name);
	l->c->witnessed = 0;
	for (i = 0; i < n; i++) {
		if ((who >> (1 + i) & 1) != 0)
			l->c->witnessed++;
		else if (ret == 0)
			REMARK(l, "checkpoint: no cosignature by %s",
			    keys[1 + i].name);
	}
}

/* The previous month's last checkpoint, as this one's first line has it. */
static void
check_prev(struct look *l)
{
	struct look *b = l->before;
	struct note n;

	if (!l->has_head)
		return;
	if (b == NULL) {
		if (l->head.prev_len != 0 && !l->c->opts->json &&
		    l->c->by_identity)
			REMARK(l,
			    "continues an earlier shard that is not "
			    "here");
		return;
	}
	if (note_parse(l->head.prev, l->head.prev_len, &n) != 0) {
		FAIL(l,
		    SHARD_LOG " line 1: prev_checkpoint is not a "
			      "checkpoint of %s",
		    b->label);
		return;
	}
	if (!b->has_head || note_verify(&n, &b->head.vkey, 1, NULL, NULL) != 0)
		FAIL(l,
		    SHARD_LOG " line 1: prev_checkpoint is not signed by "
			      "%s's log key",
		    b->label);
	if (n.text_len != b->note.text_len ||
	    memcmp(n.text, b->note.text, n.text_len) != 0)
		FAIL(l,
		    SHARD_LOG " line 1: %s's last checkpoint is not the "
			      "one stated here",
		    b->label);
}

/* Bytes that the first w entries of a tile take. */
static size_t
prefix(const struct tile *t, unsigned w, const uint8_t *data, size_t len)
{
	const uint8_t *entry;
	size_t off = 0, n;

	if (t->level != TILE_ENTRIES)
		return (size_t)w * MERKLE_HASH_LEN;
	while (w-- > 0 && tile_entry_next(data, len, &off, &entry, &n) == 1)
		;
	return off;
}

/*
 * Partial tiles of the same place.  A crash between the tiles and the
 * checkpoint, or before the superseded ones were removed, leaves some; they
 * are harmless as long as they say what the log says.
 */
static void
compare_partials(struct look *l, const struct tile *t, const uint8_t *data,
    size_t len)
{
	struct tile p = { t->level, t->index, TILE_WIDTH };
	char path[TILE_PATH_MAX + 4];
	struct dirent *e;
	DIR *d;
	int fd;

	if (tile_path(&p, path, TILE_PATH_MAX) < 0)
		return;
	memcpy(path + strlen(path), ".p", 3);
	fd = openat(l->dirfd, path,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		p.width = (unsigned)strtoul(e->d_name, NULL, 10);
		if (p.width == 0 || p.width > t->width ||
		    p.width == TILE_WIDTH || tile_expected(&p, l->cp.size))
			continue;
		if (tile_matches(l->dirfd, &p, data,
			prefix(t, p.width, data, len)) != 1)
			FAIL(l, "%s/%u: not what the log says", path, p.width);
	}
	closedir(d);
}

static int
compare(void *arg, const struct tile *t, const uint8_t *data, size_t len)
{
	struct look *l = arg;
	char path[TILE_PATH_MAX];
	bool there, wanted = tile_expected(t, l->cp.size) != 0;
	int same;

	compare_partials(l, t, data, len);
	same = tile_matches(l->dirfd, t, data, len);
	if (same == 1)
		return 0;
	tile_path(t, path, sizeof(path));
	there = faccessat(l->dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (same < 0)
		FAIL(l, "%s: %s", path, strerror(-same));
	else if (there)
		FAIL(l, "%s: not what the log says", path);
	else if (wanted)
		FAIL(l, "%s: missing", path);
	return 0;
}

static void
at_checkpoint(struct look *l)
{
	merkle_hash root;

	l->root_seen = true;
	merkle_root(&l->tree, root);
	if (memcmp(root, l->cp.root, sizeof(root)) != 0)
		FAIL(l,
		    SHARD_LOG ": its first %" PRIu64 " lines do not hash "
			      "to the checkpoint's root",
		    l->cp.size);
	(void)tile_grow_partials(&l->grow, compare, l);
}

/* One line; false stops, because nothing behind it can be judged. */
static bool
check_line(struct look *l, const char *line, size_t len)
{
	struct line_view v;
	merkle_hash leaf;
	uint64_t n = l->tree.size;

	if (line_parse(line, len, &v) != 0) {
		FAIL(l, SHARD_LOG " line %" PRIu64 ": not a canonical line",
		    n + 1);
		return false;
	}
	if (v.env.n != n) {
		FAIL(l,
		    SHARD_LOG " line %" PRIu64 ": is numbered %" PRIu64
			      ", expected %" PRIu64,
		    n + 1, v.env.n, n);
		return false;
	}
	if (memcmp(v.env.prev, l->prev, sizeof(l->prev)) != 0) {
		FAIL(l,
		    SHARD_LOG " line %" PRIu64 ": does not chain to the "
			      "line before it",
		    n + 1);
		return false;
	}
	merkle_leaf(line, len, leaf);
	if (tile_grow_add(&l->grow, line, len, leaf, compare, l) != 0) {
		FAIL(l, SHARD_LOG " line %" PRIu64 ": out of memory", n + 1);
		return false;
	}
	memcpy(l->prev, leaf, sizeof(leaf));
	merkle_append(&l->tree, leaf);
	if (n >= l->cp.size)
		l->tail_lines++;
	if (l->tree.size == l->cp.size)
		at_checkpoint(l);
	return true;
}

static void
check_lines(struct look *l, uint64_t limit)
{
	struct reader r;
	const char *line;
	size_t len;
	int ret;

	if ((ret = reader_open(&r, l->log, 0, limit)) != 0) {
		FAIL(l, SHARD_LOG ": %s", strerror(-ret));
		return;
	}
	while ((ret = reader_next(&r, &line, &len)) == 1)
		if (!check_line(l, line, len))
			break;
	/* Published ahead of the checkpoint, if anything is there. */
	if (ret != 1 && l->tail_lines != 0)
		(void)tile_grow_partials(&l->grow, compare, l);
	/* What a crash leaves behind the last line has no newline. */
	if (ret == -EBADMSG && l->root_seen && len <= LINE_BYTES_MAX) {
		l->tail_bytes = len;
		ret = 0;
	}
	if (ret == -EBADMSG)
		FAIL(l,
		    SHARD_LOG " line %" PRIu64 ": too long or without an "
			      "end",
		    l->tree.size + 1);
	else if (ret < 0)
		FAIL(l, SHARD_LOG ": %s", strerror(-ret));
	else if (ret == 0 && !l->root_seen && l->cp.size != 0)
		FAIL(l,
		    SHARD_LOG ": %" PRIu64 " lines, the checkpoint is of "
			      "%" PRIu64,
		    l->tree.size, l->cp.size);
	reader_close(&r);
}

/* Every line, by our grammar and by jansson's, up to the present end. */
static void
check_log(struct look *l)
{
	struct opinion o[THREADS_MAX];
	uint64_t bad, before = l->c->failures;
	atomic_bool stop = false;
	struct stat st;

	if (fstat(l->log, &st) == -1) {
		FAIL(l, SHARD_LOG ": %s", strerror(errno));
		return;
	}
	opinions_start(o, l->log, (uint64_t)st.st_size, &stop);
	check_lines(l, (uint64_t)st.st_size);
	if (l->c->failures != before)
		atomic_store(&stop, true);
	bad = opinions_end(o);
	if (bad < l->tree.size)
		FAIL(l, SHARD_LOG " line %" PRIu64 ": not in canonical form",
		    bad + 1);
}

/* Lies the tile within the lines that there are?  Then it was compared. */
static bool
judged(const struct tile *t, uint64_t size)
{
	struct tile p, full = { t->level, t->index, TILE_WIDTH };

	return tile_expected(&full, size) ||
	    (tile_partial(t->level, size, &p) && p.index == t->index &&
		t->width <= p.width);
}

static int
known_file(void *arg, const char *path, unsigned mode)
{
	struct look *l = arg;
	struct tile t;

	if (mode == S_IFREG && tile_is_temp(path)) {
		REMARK(l, "%s: left by a crash", path);
		return 0;
	}
	if (mode != S_IFREG || tile_path_parse(path, strlen(path), &t) != 0)
		FAIL(l, "%s: not a file of an audit log", path);
	else if (tile_expected(&t, l->cp.size))
		return 0;
	else if (judged(&t, l->tree.size))
		REMARK(l, "%s: left by a crash", path);
	else
		FAIL(l, "%s: not a tile of a log of %" PRIu64 " lines", path,
		    l->cp.size);
	return 0;
}

/* Nothing else may lie in a shard's directory. */
static void
check_files(struct look *l)
{
	struct dirent *e;
	DIR *d;
	int fd, ret;

	fd = openat(l->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL) {
		FAIL(l, "cannot list the directory: %s", strerror(errno));
		if (fd != -1)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, SHARD_CHECKPOINT_TEMP) == 0)
			REMARK(l, "%s: left by a crash", e->d_name);
		else if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, SHARD_LOG) != 0 &&
		    strcmp(e->d_name, SHARD_CHECKPOINT) != 0 &&
		    strcmp(e->d_name, "tile") != 0)
			FAIL(l, "%s: not a file of an audit log", e->d_name);
	}
	closedir(d);
	if ((ret = tile_walk(l->dirfd, known_file, l)) != 0)
		FAIL(l, "tile: %s", strerror(-ret));
}

static void
look_open(struct look *l, struct check *c, const struct audit_dir *d, size_t i)
{
	memset(l, 0, sizeof(*l));
	l->c = c;
	l->ref = &d->shard[i];
	l->label = l->ref->name[0] != '\0' ? l->ref->name : "log";
	l->log = -1;
	l->dirfd = audit_dir_shard(d, i);
	tile_grow_init(&l->grow);
}

static void
look_close(struct look *l)
{
	if (l->log >= 0)
		close(l->log);
	if (l->dirfd >= 0)
		close(l->dirfd);
	l->log = l->dirfd = -1;
	tile_grow_free(&l->grow);
	shard_head_free(&l->head);
	free(l->text);
	l->text = NULL;
}

static void
look_at(struct look *l)
{
	if (l->dirfd < 0) {
		FAIL(l, "cannot open: %s", strerror(-l->dirfd));
		return;
	}
	if (!load_checkpoint(l))
		return;
	if ((l->log = audit_file_open(l->dirfd, SHARD_LOG)) < 0) {
		FAIL(l, SHARD_LOG ": %s", strerror(-l->log));
		return;
	}
	check_head(l);
	check_signature(l);
	check_prev(l);
	check_log(l);
	check_files(l);
	l->c->lines += l->tree.size;
	l->c->tail_lines += l->tail_lines;
	l->c->tail_bytes += l->tail_bytes;
}

/* SIZE:ROOT against the newest checkpoint. */
static void
check_expectation(struct look *l)
{
	char have[21 + B64_LEN(32) + 1], root[B64_LEN(32) + 1];

	if (l->c->opts->expect == NULL)
		return;
	b64_encode(l->cp.root, sizeof(l->cp.root), root, sizeof(root));
	snprintf(have, sizeof(have), "%" PRIu64 ":%s", l->cp.size, root);
	if (strcmp(have, l->c->opts->expect) != 0)
		FAIL(l, "checkpoint: states %s, expected was %s", have,
		    l->c->opts->expect);
}

static void
summarise(struct check *c, const struct look *l)
{
	char root[B64_LEN(32) + 1];

	b64_encode(l->cp.root, sizeof(l->cp.root), root, sizeof(root));
	c->newest = l->cp;
	free(c->newest_text);
	c->newest_text = l->text == NULL ? NULL : strdup(l->text);
	json_array_append_new(c->shards,
	    json_pack("{s:s,s:s,s:I,s:I,s:s,s:I}", "shard", l->label, "origin",
		l->cp.origin, "size", (json_int_t)l->cp.size, "lines",
		(json_int_t)l->tree.size, "root", root, "tail_lines",
		(json_int_t)l->tail_lines));
}

/* All shards in their order; each is compared with the one before. */
static int
run(struct check *c, const struct audit_dir *d)
{
	struct look *pair, *l, *before = NULL;
	size_t i;

	if ((pair = calloc(2, sizeof(*pair))) == NULL)
		return -ENOMEM;
	for (i = 0; i < d->n; i++) {
		l = &pair[i % 2];
		look_open(l, c, d, i);
		l->before = before;
		look_at(l);
		if (i == d->n - 1)
			check_expectation(l);
		summarise(c, l);
		if (before != NULL)
			look_close(before);
		before = l;
	}
	if (before != NULL)
		look_close(before);
	free(pair);
	return 0;
}

static int
status(const struct check *c)
{
	if (c->failures != 0)
		return AUDIT_BROKEN;
	if (c->tail_lines != 0 || c->tail_bytes != 0)
		return AUDIT_TAIL;
	return c->opts->expect == NULL ? AUDIT_UNEXPECTED : AUDIT_OK;
}

static void
reset(struct check *c)
{
	size_t i;

	for (i = 0; i < c->nfindings; i++)
		free(c->finding[i].text);
	c->nfindings = 0;
	c->failures = c->tail_lines = c->tail_bytes = c->lines = 0;
	json_decref(c->shards);
	c->shards = json_array();
}

/* Did the node publish while we looked?  Then what we saw proves nothing. */
static bool
moved(const struct check *c, const struct audit_dir *d)
{
	char *text = NULL;
	size_t len;
	bool yes = false;
	int fd;

	if (c->newest_text == NULL || (fd = audit_dir_shard(d, d->n - 1)) < 0)
		return false;
	if (audit_file_read(fd, SHARD_CHECKPOINT, NOTE_MAX, &text, &len) == 0)
		yes = strcmp(text, c->newest_text) != 0;
	free(text);
	close(fd);
	return yes;
}

static void
report_json(const struct check *c, FILE *out)
{
	json_t *findings = json_array(), *all;
	size_t i;

	for (i = 0; i < c->nfindings; i++)
		json_array_append_new(findings,
		    json_pack("{s:b,s:s}", "failure", c->finding[i].failure,
			"text", c->finding[i].text));
	all = json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:o,s:O}", "status",
	    status(c), "failures", (json_int_t)c->failures, "lines",
	    (json_int_t)c->lines, "tail_lines", (json_int_t)c->tail_lines,
	    "torn_bytes", (json_int_t)c->tail_bytes, "cosignatures",
	    (json_int_t)c->witnessed, "findings", findings, "shards",
	    c->shards);
	json_dumpf(all, out, JSON_COMPACT | JSON_SORT_KEYS);
	fputc('\n', out);
	json_decref(all);
}

static void
report_text(const struct check *c, FILE *out, FILE *err)
{
	char root[B64_LEN(32) + 1];
	int st = status(c);
	size_t i;

	for (i = 0; i < c->nfindings; i++)
		fprintf(err, "claw audit:verify: %s%s\n",
		    c->finding[i].failure ? "" : "note: ", c->finding[i].text);
	if (st == AUDIT_BROKEN) {
		if (c->failures > c->nfindings)
			fprintf(err,
			    "claw audit:verify: and more; %" PRIu64
			    " findings in all\n",
			    c->failures);
		fprintf(err,
		    "claw audit:verify: NOT what was signed; keep "
		    "this copy and compare it with another\n");
		return;
	}
	b64_encode(c->newest.root, 32, root, sizeof(root));
	fprintf(out,
	    "verified %" PRIu64 " lines, %zu shard%s, origin %s\n"
	    "%" PRIu64 ":%s\n",
	    c->lines - c->tail_lines, json_array_size(c->shards),
	    json_array_size(c->shards) == 1 ? "" : "s", c->newest.origin,
	    c->newest.size, root);
	if (st == AUDIT_TAIL)
		fprintf(err,
		    "claw audit:verify: %" PRIu64 " lines and %" PRIu64
		    " bytes of a torn one follow the checkpoint: nobody signed "
		    "them\n",
		    c->tail_lines, c->tail_bytes);
	if (c->opts->expect == NULL)
		fprintf(err,
		    "claw audit:verify: without --expect SIZE:ROOT a "
		    "log that was cut back whole looks the same\n");
}

/* The keys and the expectation; 0 or AUDIT_USAGE. */
static int
check_opts(struct check *c, const struct audit_dir *d, FILE *err)
{
	const struct audit_verify_opts *o = c->opts;
	const char *colon = o->expect == NULL ? NULL : strchr(o->expect, ':');
	uint8_t root[32];
	size_t i;

	if (o->expect != NULL &&
	    (colon == NULL || colon == o->expect ||
		strspn(o->expect, "0123456789") !=
		    (size_t)(colon - o->expect) ||
		b64_decode(colon + 1, strlen(colon + 1), root, 32) != 32)) {
		fprintf(err,
		    "claw audit:verify: --expect wants SIZE:ROOT, the "
		    "number of lines and the root in base64, as audit:verify "
		    "prints them\n");
		return AUDIT_USAGE;
	}
	if (o->nwitness > AUDIT_WITNESSES_MAX)
		return AUDIT_USAGE;
	for (i = 0; i < o->nwitness; i++)
		if (note_vkey_parse(o->witness[i], strlen(o->witness[i]),
			&c->witness[i]) != 0 ||
		    c->witness[i].type != NOTE_COSIGNATURE) {
			fprintf(err,
			    "claw audit:verify: %s is not a "
			    "cosigner's vkey\n",
			    o->witness[i]);
			return AUDIT_USAGE;
		}
	c->by_identity = identity_parse(o->vkey, c->identity[0]) == 0;
	c->identities = 1;
	for (i = 0; i < o->nbefore; i++)
		if (!c->by_identity || c->identities == AUDIT_IDENTITIES_MAX ||
		    identity_parse(o->before[i],
			c->identity[c->identities++]) != 0) {
			fprintf(err,
			    "claw audit:verify: --vkey is given more than once "
			    "for the identities that a node has had, and for "
			    "nothing else\n");
			return AUDIT_USAGE;
		}
	if (!c->by_identity &&
	    (note_vkey_parse(o->vkey, strlen(o->vkey), &c->vkey) != 0 ||
		c->vkey.type != NOTE_ED25519)) {
		fprintf(err,
		    "claw audit:verify: --vkey is neither a log's "
		    "vkey (name+id+key) nor an identity (ed25519:... or "
		    "did:key:...)\n");
		return AUDIT_USAGE;
	}
	if (!c->by_identity && d->n > 1) {
		fprintf(err,
		    "claw audit:verify: %zu shards are here and each "
		    "has its own vkey; give the node's identity key, or the "
		    "directory of one\n",
		    d->n);
		return AUDIT_USAGE;
	}
	return 0;
}

int
audit_verify(const struct audit_verify_opts *opts, FILE *out, FILE *err)
{
	struct audit_dir d;
	struct check *c;
	int ret, tries = 0;

	if (opts->dir == NULL || opts->vkey == NULL) {
		fprintf(err,
		    "claw audit:verify: --dir and --vkey are "
		    "needed\n");
		return AUDIT_USAGE;
	}
	if ((ret = audit_dir_open(&d, opts->dir)) != 0) {
		fprintf(err, "claw audit:verify: %s: %s\n", opts->dir,
		    ret == -ENOMSG ? "no audit log in there" : strerror(-ret));
		return ret == -ENOMSG ? AUDIT_BROKEN : AUDIT_IO;
	}
	ret = AUDIT_IO;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		goto out;
	c->opts = opts;
	if ((ret = check_opts(c, &d, err)) != 0)
		goto out;
	do {
		reset(c);
		if (run(c, &d) != 0) {
			ret = AUDIT_IO;
			goto out;
		}
		ret = status(c);
	} while (ret == AUDIT_BROKEN && moved(c, &d) && ++tries < RETRIES);
	if (opts->json)
		report_json(c, out);
	else
		report_text(c, out, err);
out:
	if (c != NULL) {
		reset(c);
		json_decref(c->shards);
		free(c->newest_text);
	}
	free(c);
	audit_dir_close(&d);
	return ret;
}
