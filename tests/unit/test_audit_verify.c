/* SPDX-License-Identifier: ISC */
/*
 * test_audit_verify.c - the promise of the audit log: whoever changes a byte
 * of a closed log, cuts it, reorders it or puts an older one in its place is
 * found by claw audit:verify --expect.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auditkit.h"
#include "claw/audit.h"
#include "common/b64.h"
#include "common/merkle.h"
#include "common/tile.h"

#define LINES 50

static FILE *null;

static int
verify_as(const char *dir, const char *vkey, const char *expect)
{
	struct audit_verify_opts o = { .dir = dir,
		.vkey = vkey,
		.expect = expect };

	return audit_verify(&o, null, null);
}

struct box {
	struct kit_node n;
	char dir[300];
	char log[340];
};

/* A closed log of so many lines. */
static void
box(struct box *b, const char *name, unsigned lines, bool shorter)
{
	struct shard *s;
	unsigned i;

	kit_node(&b->n);
	snprintf(b->dir, sizeof(b->dir), "%s/%s", b->n.dir, name);
	snprintf(b->log, sizeof(b->log), "%s/log.ndjson", b->dir);
	s = kit_open(&b->n, name, NULL);
	assert_non_null(s);
	for (i = 1; i < lines; i++) {
		if (shorter)
			kit_append_short(s, i);
		else
			kit_append(s, i);
		if (i % 1000 == 0)
			assert_int_equal(shard_commit(s), 0);
	}
	assert_int_equal(shard_commit(s), 0);
	assert_int_equal(kit_checkpoint(&b->n, s), 0);
	shard_close(s);
}

static int
verify(const struct box *b)
{
	return verify_as(b->dir, b->n.vkey_text, b->n.expect);
}

static void
test_statuses(void **state)
{
	struct shard *s;
	struct box b;
	char bad[160];

	(void)state;
	box(&b, "2026-11", LINES, false);
	assert_int_equal(verify(&b), 0);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, NULL), 81);
	assert_int_equal(verify_as(b.n.dir, b.n.identity_text, b.n.expect), 0);
	assert_int_equal(verify_as(b.dir, "nonsense", b.n.expect), 64);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, "nonsense"), 64);
	snprintf(bad, sizeof(bad), "1%s", b.n.expect);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, bad), 79);
	/* Lines that nobody signed: told apart, but not over a failure. */
	s = kit_open(&b.n, "2026-11", NULL);
	kit_fill(s, 3);
	shard_close(s);
	assert_int_equal(verify(&b), 80);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, NULL), 80);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, bad), 79);
	kit_node_free(&b.n);
}

static void
test_wrong_keys(void **state)
{
	struct note_vkey v;
	struct kit_key k;
	char text[NOTE_VKEY_MAX], b64[64], id[80];
	struct box b;

	(void)state;
	box(&b, "2026-11", 5, false);
	kit_key(&k, 0x77);
	assert_int_equal(note_vkey_make(&v, b.n.vkey.name, NOTE_ED25519, k.pub),
	    0);
	note_vkey_format(&v, text, sizeof(text));
	assert_int_equal(verify_as(b.dir, text, b.n.expect), 79);
	b64url_encode(k.pub, 32, b64, sizeof(b64));
	snprintf(id, sizeof(id), "ed25519:%s", b64);
	assert_int_equal(verify_as(b.dir, id, b.n.expect), 79);
	/* did:key test vector 0 of did-method-key: another key, readable. */
	assert_int_equal(verify_as(b.dir,
			     "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8"
			     "quG5GLVVQR3djdX3mDooWp",
			     b.n.expect),
	    79);
	kit_key_free(&k);
	kit_node_free(&b.n);
}

static void
flip(const char *path, size_t byte, int bit)
{
	uint8_t c;
	int fd = open(path, O_RDWR);

	assert_true(fd != -1);
	assert_int_equal(pread(fd, &c, 1, (off_t)byte), 1);
	c ^= (uint8_t)(1u << bit);
	assert_int_equal(pwrite(fd, &c, 1, (off_t)byte), 1);
	close(fd);
}

/*
 * Every change of one kind to every file of a closed log, shared out among
 * workers, each with a log of its own. What they count is the parent's to see.
 */
#define WORKERS_MAX 8
#define FILES_MAX 16
#define LARGE 4096 /* bytes */

struct tally {
	uint64_t changes, missed;
};

/* Makes the k-th of n shares of its changes; a worker has no assertions. */
typedef void share_fn(const struct box *, const char *file, size_t k, size_t n,
    struct tally *);

struct files {
	char path[FILES_MAX][300];
	size_t count;
};

static struct files *listed;
static size_t listed_root;

static int
list_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type != FTW_F)
		return 0;
	if (listed->count == FILES_MAX)
		return -1;
	snprintf(listed->path[listed->count], sizeof(listed->path[0]), "%s",
	    path + listed_root + 1);
	listed->count++;
	return 0;
}

/* All files of the log's directory, whatever they are called. */
static void
list_files(const struct box *b, struct files *f)
{
	f->count = 0;
	listed = f;
	listed_root = strlen(b->dir);
	assert_int_equal(nftw(b->dir, list_one, 16, FTW_PHYS), 0);
	/* The log, its checkpoint, the hashes and the entries. */
	assert_int_equal(f->count, 4);
}

static size_t
workers(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : (size_t)cpus;
}

/* What no worker can go on after; its parent sees that it has not finished. */
static void
need(bool fine, const char *path)
{
	if (fine)
		return;
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	_exit(2);
}

static void
judge(const struct box *b, const char *file, const char *what, size_t i,
    struct tally *t)
{
	int got = verify(b);

	t->changes++;
	if (got == 79)
		return;
	t->missed++;
	fprintf(stderr, "missed: %s %s %zu: status %d\n", file, what, i, got);
}

/*
 * The sanitizers take several times as long. They look for other errors than
 * a change that is missed, and find them at some of the bits as well.
 */
static size_t
bit_step(off_t size)
{
#ifdef CLAW_SANITIZERS
	const char *more = getenv("CLAW_LONG");

	if (size > LARGE && (more == NULL || strcmp(more, "1") != 0))
		return 7;
#else
	(void)size;
#endif
	return 1;
}

static void
flip_bits(const struct box *b, const char *file, size_t k, size_t n,
    struct tally *t)
{
	char path[700];
	struct stat st;
	uint8_t *map;
	size_t i, step;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", b->dir, file);
	fd = open(path, O_RDWR | O_CLOEXEC);
	need(fd != -1 && fstat(fd, &st) == 0, path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	need(map != MAP_FAILED, path);
	step = bit_step(st.st_size);
	for (i = k * step; i < (size_t)st.st_size * 8; i += n * step) {
		map[i / 8] ^= (uint8_t)(1u << (i % 8));
		judge(b, file, "bit", i, t);
		map[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	munmap(map, (size_t)st.st_size);
	close(fd);
}

/* Every length of a file but its own, the longest first. */
static void
cut(const struct box *b, const char *file, size_t k, size_t n, struct tally *t)
{
	char path[700], *data;
	size_t i, len;

	snprintf(path, sizeof(path), "%s/%s", b->dir, file);
	kit_read_file(path, &data, &len);
	for (i = len; i-- > 0;) {
		if (i % n != k)
			continue;
		need(truncate(path, (off_t)i) == 0, path);
		judge(b, file, "cut to", i, t);
	}
	kit_write_file(path, data, len);
	free(data);
}

static pid_t
worker(const struct box *b, const struct files *f, share_fn *share, size_t k,
    size_t n, struct tally *t)
{
	pid_t pid = fork();
	size_t i;

	if (pid != 0)
		return pid;
	for (i = 0; i < f->count; i++) {
		share(b, f->path[i], k, n, &t[i]);
		/* All is as it was, or the rest would prove nothing. */
		need(verify(b) == 0, f->path[i]);
	}
	_exit(0);
}

/* In t the sums for each file of f. */
static void
share_out(share_fn *share, struct files *f, struct tally *t)
{
	struct tally(*all)[FILES_MAX];
	struct box b[WORKERS_MAX];
	pid_t pid[WORKERS_MAX];
	size_t i, k, n = workers();
	int status;

	all = mmap(NULL, n * sizeof(*all), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(all != MAP_FAILED);
	for (k = 0; k < n; k++)
		box(&b[k], "2026-11", LINES, true);
	list_files(&b[0], f);
	for (k = 0; k < n; k++)
		pid[k] = worker(&b[k], f, share, k, n, all[k]);
	memset(t, 0, sizeof(*t) * FILES_MAX);
	for (k = 0; k < n; k++) {
		assert_true(pid[k] != -1);
		assert_int_equal(waitpid(pid[k], &status, 0), pid[k]);
		assert_int_equal(status, 0);
		for (i = 0; i < f->count; i++) {
			t[i].changes += all[k][i].changes;
			t[i].missed += all[k][i].missed;
		}
		kit_node_free(&b[k].n);
	}
	munmap(all, n * sizeof(*all));
}

static off_t
size_of(const struct box *b, const char *file)
{
	char path[700];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", b->dir, file);
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* As many changes as there are to make, and none of them missed. */
static void
none_missed(share_fn *share, size_t each, const char *what)
{
	struct tally t[FILES_MAX];
	struct files f;
	struct box b;
	size_t i, step;
	off_t size;

	share_out(share, &f, t);
	box(&b, "2026-11", LINES, true);
	for (i = 0; i < f.count; i++) {
		size = size_of(&b, f.path[i]);
		step = each == 8 ? bit_step(size) : 1;
		print_message("# %s: %s %" PRIu64 ", missed %" PRIu64 "\n",
		    f.path[i], what, t[i].changes, t[i].missed);
		assert_int_equal(t[i].changes,
		    ((size_t)size * each + step - 1) / step);
		assert_int_equal(t[i].missed, 0);
	}
	kit_node_free(&b.n);
}

static void
test_every_flipped_bit(void **state)
{
	(void)state;
	none_missed(flip_bits, 8, "bits flipped");
}

static void
test_every_truncation(void **state)
{
	(void)state;
	none_missed(cut, 1, "lengths cut to");
}

/* The log as an array of lines with their newlines. */
struct lines {
	char *data;
	size_t len;
	char *at[LINES + 1];
};

static void
split_lines(const struct box *b, struct lines *l)
{
	char *p;
	size_t i;

	kit_read_file(b->log, &l->data, &l->len);
	p = l->data;
	for (i = 0; i < LINES; i++) {
		l->at[i] = p;
		p = strchr(p, '\n') + 1;
	}
	l->at[LINES] = p;
}

static void
put_lines(FILE *f, const struct lines *l, size_t from, size_t to)
{
	fwrite(l->at[from], 1, (size_t)(l->at[to] - l->at[from]), f);
}

static void
test_lines_moved(void **state)
{
	struct lines l;
	struct box b;
	size_t i, k, missed = 0;
	FILE *f;

	(void)state;
	box(&b, "2026-11", LINES, false);
	split_lines(&b, &l);
	for (i = 0; i < LINES; i++) {
		/* removed */
		f = fopen(b.log, "w");
		put_lines(f, &l, 0, i);
		put_lines(f, &l, i + 1, LINES);
		fclose(f);
		missed += verify(&b) != 79;
		for (k = 0; k < LINES; k++) {
			/* duplicated in front of k */
			f = fopen(b.log, "w");
			put_lines(f, &l, 0, k);
			put_lines(f, &l, i, i + 1);
			put_lines(f, &l, k, LINES);
			fclose(f);
			missed += verify(&b) != 79;
			if (k <= i)
				continue;
			/* i and k change places */
			f = fopen(b.log, "w");
			put_lines(f, &l, 0, i);
			put_lines(f, &l, k, k + 1);
			put_lines(f, &l, i + 1, k);
			put_lines(f, &l, i, i + 1);
			put_lines(f, &l, k + 1, LINES);
			fclose(f);
			missed += verify(&b) != 79;
		}
	}
	assert_int_equal(missed, 0);
	/* A copy of the last line, appended. */
	f = fopen(b.log, "w");
	put_lines(f, &l, 0, LINES);
	put_lines(f, &l, LINES - 1, LINES);
	fclose(f);
	assert_int_equal(verify(&b), 79);
	kit_write_file(b.log, l.data, l.len);
	assert_int_equal(verify(&b), 0);
	free(l.data);
	kit_node_free(&b.n);
}

static void
copy_tree(const char *from, const char *to)
{
	char cmd[1600];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s' && cp -a '%s' '%s'", to, from,
	    to);
	assert_int_equal(system(cmd), 0);
}

static void
test_older_checkpoint(void **state)
{
	char old[400], path[400], *data;
	struct shard *s;
	struct box b;
	size_t len;

	(void)state;
	box(&b, "2026-11", 20, false);
	snprintf(old, sizeof(old), "%s-old", b.dir);
	snprintf(path, sizeof(path), "%s/checkpoint", b.dir);
	copy_tree(b.dir, old);
	kit_read_file(path, &data, &len);
	s = kit_open(&b.n, "2026-11", NULL);
	kit_fill(s, 30);
	assert_int_equal(kit_checkpoint(&b.n, s), 0);
	shard_close(s);
	assert_int_equal(verify(&b), 0);
	/* The whole earlier state: only the expectation can tell. */
	assert_int_equal(verify_as(old, b.n.vkey_text, b.n.expect), 79);
	assert_int_equal(verify_as(old, b.n.vkey_text, NULL), 81);
	/* The earlier checkpoint over the present lines. */
	kit_write_file(path, data, len);
	assert_int_equal(verify(&b), 79);
	free(data);
	kit_rmtree(old);
	kit_node_free(&b.n);
}

/*
 * A crash between the new tiles and the new checkpoint, or between that and
 * the removal of what it supersedes, is no forgery.
 */
static void
test_crash_while_publishing(void **state)
{
	char dir[400], cmd[1600], path[500], expect[80];
	struct shard *s;
	struct box b;

	(void)state;
	box(&b, "2026-11", 300, false);
	memcpy(expect, b.n.expect, sizeof(expect));
	snprintf(dir, sizeof(dir), "%s-old", b.dir);
	copy_tree(b.dir, dir);
	s = kit_open(&b.n, "2026-11", NULL);
	kit_fill(s, 700);
	assert_int_equal(kit_checkpoint(&b.n, s), 0);
	kit_fill(s, 100);
	shard_close(s);
	snprintf(cmd, sizeof(cmd), "cp -a '%s/tile' '%s'", dir, b.dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(verify(&b), 80);
	snprintf(cmd, sizeof(cmd), "cp -a '%s/checkpoint' '%s'", dir, b.dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, expect), 80);
	assert_int_equal(verify(&b), 79);
	/* But what is left must say what the log says. */
	snprintf(path, sizeof(path), "%s/tile/0/003.p/232", b.dir);
	flip(path, 5000, 3);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, expect), 79);
	flip(path, 5000, 3);
	snprintf(path, sizeof(path), "%s/tile/entries/002", b.dir);
	flip(path, 5000, 3);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, expect), 79);
	flip(path, 5000, 3);
	assert_int_equal(verify_as(b.dir, b.n.vkey_text, expect), 80);
	kit_rmtree(dir);
	kit_node_free(&b.n);
}

static void
test_absence_fails(void **state)
{
	static const char *const files[] = { "checkpoint", "log.ndjson",
		"tile/0/000.p/50", "tile/entries/000.p/50" };
	char path[400], *data;
	struct box b;
	size_t i, len;

	(void)state;
	box(&b, "2026-11", LINES, false);
	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", b.dir, files[i]);
		kit_read_file(path, &data, &len);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(verify(&b), 79);
		/* A link to the right bytes is not the file. */
		snprintf(path, sizeof(path), "%s/../elsewhere", b.dir);
		kit_write_file(path, data, len);
		snprintf(path, sizeof(path), "%s/%s", b.dir, files[i]);
		assert_int_equal(symlink("/dev/null", path), 0);
		assert_int_equal(verify(&b), 79);
		assert_int_equal(unlink(path), 0);
		kit_write_file(path, data, len);
		free(data);
		assert_int_equal(verify(&b), 0);
	}
	snprintf(path, sizeof(path), "%s/tile/0/001.p", b.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/tile/0/001.p/9", b.dir);
	kit_write_file(path, "x", 1);
	assert_int_equal(verify(&b), 79);
	unlink(path);
	snprintf(path, sizeof(path), "%s/extra", b.dir);
	kit_write_file(path, "x", 1);
	assert_int_equal(verify(&b), 79);
	unlink(path);
	assert_int_equal(verify(&b), 0);
	kit_node_free(&b.n);
}

/* Three months, each embedding the last checkpoint of the one before. */
static void
months(struct kit_node *n)
{
	static const char *const name[] = { "2026-09", "2026-10", "2026-10.1" };
	struct shard *s;
	size_t i;

	kit_node(n);
	for (i = 0; i < 3; i++) {
		s = kit_open(n, name[i], NULL);
		assert_non_null(s);
		kit_fill(s, 10 + 3 * i);
		assert_int_equal(kit_checkpoint(n, s), 0);
		shard_close(s);
	}
}

static void
rename_in(const struct kit_node *n, const char *from, const char *to)
{
	assert_int_equal(renameat(n->fd, from, n->fd, to), 0);
}

static void
test_months(void **state)
{
	struct kit_node n;
	struct shard *s;

	(void)state;
	months(&n);
	assert_int_equal(verify_as(n.dir, n.identity_text, n.expect), 0);
	assert_int_equal(verify_as(n.dir, n.vkey_text, n.expect), 64);
	/* Two months change places. */
	rename_in(&n, "2026-09", "x");
	rename_in(&n, "2026-10", "2026-09");
	rename_in(&n, "x", "2026-10");
	assert_int_equal(verify_as(n.dir, n.identity_text, n.expect), 79);
	rename_in(&n, "2026-10", "x");
	rename_in(&n, "2026-09", "2026-10");
	rename_in(&n, "x", "2026-09");
	assert_int_equal(verify_as(n.dir, n.identity_text, n.expect), 0);
	/* A month taken out of the middle. */
	rename_in(&n, "2026-10", "x");
	assert_int_equal(verify_as(n.dir, n.identity_text, n.expect), 79);
	rename_in(&n, "x", "2026-10");
	/* A closed month that goes on and is signed again with its key. */
	s = kit_open(&n, "2026-10", NULL);
	kit_fill(s, 1);
	assert_int_equal(kit_checkpoint(&n, s), 0);
	shard_close(s);
	assert_int_equal(verify_as(n.dir, n.identity_text, NULL), 79);
	kit_node_free(&n);
}

/* Random changes of a long log. */
static void
test_random_on_100000(void **state)
{
	struct box b;
	struct stat st;
	char path[400];
	unsigned i, seed = 20261121, missed = 0;
	size_t at;
	int fd;

	(void)state;
	box(&b, "2026-11", 100000, true);
	assert_int_equal(verify(&b), 0);
	assert_int_equal(stat(b.log, &st), 0);
	for (i = 0; i < 24; i++) {
		at = (size_t)((double)rand_r(&seed) / RAND_MAX *
		    (double)(st.st_size - 1));
		snprintf(path, sizeof(path),
		    i % 3 == 0	   ? "%s/tile/0/%03u" :
			i % 3 == 1 ? "%s/tile/entries/%03u" :
				     "%s/log.ndjson",
		    b.dir, (unsigned)(at % 390));
		if (i % 3 != 2)
			at %= 8192;
		flip(path, at, (int)(i % 8));
		missed += verify(&b) != 79;
		flip(path, at, (int)(i % 8));
	}
	fd = open(b.log, O_RDWR);
	assert_int_equal(ftruncate(fd, st.st_size - 300), 0);
	close(fd);
	missed += verify(&b) != 79;
	assert_int_equal(missed, 0);
	kit_node_free(&b.n);
}

/* Text that a verb prints. */
static char *
slurp(FILE *f, char **buf)
{
	fclose(f);
	return *buf;
}

static void
test_prove(void **state)
{
	struct audit_prove_opts o = { 0 };
	merkle_hash leaf, root, proof[MERKLE_PROOF_MAX];
	char *buf = NULL, *p, *nl, want[64];
	uint64_t index;
	struct box b;
	size_t len, count;
	FILE *f;

	(void)state;
	box(&b, "2026-11", 300, false);
	o.dir = b.n.dir;
	o.line = true;
	assert_int_equal(b64_decode(strchr(b.n.expect, ':') + 1, 44, root, 32),
	    32);
	for (index = 0; index < 300; index += 13) {
		f = open_memstream(&buf, &len);
		o.n = index;
		assert_int_equal(audit_prove(&o, f, null), 0);
		p = slurp(f, &buf);
		nl = strchr(p, '\n');
		merkle_leaf(p, (size_t)(nl - p), leaf);
		p = nl + 1;
		snprintf(want, sizeof(want),
		    "c2sp.org/tlog-proof@v1\nindex %" PRIu64 "\n", index);
		assert_memory_equal(p, want, strlen(want));
		p += strlen(want);
		for (count = 0; *p != '\n'; count++, p += 45)
			assert_int_equal(b64_decode(p, 44, proof[count], 32),
			    32);
		assert_string_equal(p + 1, b.n.note);
		assert_int_equal(merkle_verify_inclusion(index, 300, leaf,
				     (const merkle_hash *)proof, count, root),
		    0);
		free(buf);
	}
	o.n = 300;
	assert_int_equal(audit_prove(&o, null, null), 1);
	kit_node_free(&b.n);
}

static void
test_vkey_and_tail(void **state)
{
	struct audit_tail_opts o = { .lines = 3 };
	char *buf = NULL;
	struct box b;
	size_t len, i, lines = 0;
	FILE *f;

	(void)state;
	box(&b, "2026-11", 20, false);
	f = open_memstream(&buf, &len);
	assert_int_equal(audit_vkey(b.n.dir, f, null), 0);
	slurp(f, &buf); /* len is right only after this */
	assert_memory_equal(buf, b.n.vkey_text, len - 1);
	free(buf);
	f = open_memstream(&buf, &len);
	o.dir = b.n.dir;
	assert_int_equal(audit_tail(&o, f, null), 0);
	slurp(f, &buf);
	for (i = 0; i < len; i++) {
		lines += buf[i] == '\n';
		/* Nothing that a terminal would obey. */
		assert_true((uint8_t)buf[i] >= 0x20 || buf[i] == '\n');
	}
	assert_int_equal(lines, 3);
	assert_non_null(strstr(buf, "session.open"));
	free(buf);
	kit_node_free(&b.n);
}

static void
test_export_verifies(void **state)
{
	struct audit_export_opts o = { 0 };
	char dest[300], *buf = NULL;
	struct kit_node n;
	struct shard *s;
	size_t len;
	FILE *f;

	(void)state;
	months(&n);
	/* An unsigned tail stays behind. */
	s = kit_open(&n, "2026-10.1", NULL);
	kit_fill(s, 2);
	shard_close(s);
	assert_int_equal(verify_as(n.dir, n.identity_text, n.expect), 80);
	snprintf(dest, sizeof(dest), "%s/export", n.dir);
	o.dir = n.dir;
	o.dest = dest;
	assert_int_equal(audit_export(&o, null, null), 0);
	assert_int_equal(verify_as(dest, n.identity_text, n.expect), 0);
	assert_int_equal(audit_export(&o, null, null), 73);
	o.dest = "-";
	o.from = "2026-11-21";
	o.to = "2026-11-21T11:00:00.002Z";
	f = open_memstream(&buf, &len);
	assert_int_equal(audit_export(&o, f, null), 0);
	slurp(f, &buf);
	/* Of each shard line 0 and the two first ones of the kit. */
	assert_non_null(strstr(buf, "\"ts\":\"2026-11-21T11:00:00.001Z\""));
	assert_null(strstr(buf, "\"ts\":\"2026-11-21T11:00:00.002Z\""));
	free(buf);
	o.from = "2026-11-22";
	o.to = NULL;
	assert_int_equal(audit_export(&o, null, null), 1);
	o.from = "yesterday";
	assert_int_equal(audit_export(&o, null, null), 64);
	kit_node_free(&n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_wrong_keys),
		cmocka_unit_test(test_every_flipped_bit),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_lines_moved),
		cmocka_unit_test(test_older_checkpoint),
		cmocka_unit_test(test_crash_while_publishing),
		cmocka_unit_test(test_absence_fails),
		cmocka_unit_test(test_months),
		cmocka_unit_test(test_random_on_100000),
		cmocka_unit_test(test_prove),
		cmocka_unit_test(test_vkey_and_tail),
		cmocka_unit_test(test_export_verifies),
	};

	null = fopen("/dev/null", "w");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
