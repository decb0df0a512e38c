/* SPDX-License-Identifier: ISC */
/*
 * test_sft_commit.c - a file that a peer sent gets its name and its receipt,
 * whole or not at all, whenever the process ends in between.
 *
 * Every call of these rooms that changes something on the disk is a point at
 * which the process can end, or the call can fail.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The point that comes next; at `at` it ends, or fails with `error`. */
static struct {
	unsigned int next, at;
	int error;
} fault;

static bool
fault_here(void)
{
	if (++fault.next != fault.at)
		return false;
	if (fault.error == 0)
		_exit(42);
	errno = fault.error;
	return true;
}

#define fsync(fd) (fault_here() ? -1 : fsync(fd))
#define write(fd, p, n) (fault_here() ? -1 : write(fd, p, n))
#define renameat(a, b, c, d) (fault_here() ? -1 : renameat(a, b, c, d))
#define renameat2(a, b, c, d, e) (fault_here() ? -1 : renameat2(a, b, c, d, e))
#define mkdirat(a, b, c) (fault_here() ? -1 : mkdirat(a, b, c))
#define unlinkat(a, b, c) (fault_here() ? -1 : unlinkat(a, b, c))
#define fchmod(a, b) (fault_here() ? -1 : fchmod(a, b))
#define futimens(a, b) (fault_here() ? -1 : futimens(a, b))
#define fallocate(a, b, c, d) (fault_here() ? -1 : fallocate(a, b, c, d))
#include "sftd/store.c"
#define open_dir partial_open_dir
#include "sftd/partial.c"
#undef open_dir
#include "sftd/commit.c"
#undef fsync
#undef write
#undef renameat
#undef renameat2
#undef mkdirat
#undef unlinkat
#undef fchmod
#undef futimens
#undef fallocate

#include "tests/lib/sftkit.h"

#define MTIME UINT64_C(1600000000123456789)
static const char content[] = "what the peer has sent";
static const uint8_t root[32] = { 1, 2, 3 };

static char top[64];
static int sft = -1, files = -1;

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	return f->level == 0 ? 0 : remove(path);
}

static int
folder(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0750), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd != -1);
	return fd;
}

static void
start_empty(void)
{
	store_close();
	if (sft != -1)
		close(sft);
	if (files != -1)
		close(files);
	(void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	sft = folder("sft");
	files = folder("files");
	memset(&fault, 0, sizeof(fault));
	assert_int_equal(store_open(sft, files), 0);
}

static struct partial
offered(const char *name)
{
	struct partial p = { .peer = "alpha",
		.into = "alpha",
		.offer = { .size = sizeof(content),
		    .mtime_ns = MTIME,
		    .mode = 0755,
		    .chunk_log2 = 20,
		    .streams = 2 } };

	p.offer.name_len = (uint16_t)strlen(name);
	memcpy(p.offer.name, name, p.offer.name_len);
	sft_offer_digest(&p.offer, "alpha", "beta", p.digest);
	return p;
}

/* What its worker does. */
static void
fill_it(const struct partial *p)
{
	int file = -1, journal;

	assert_int_equal(partial_files(p, "beta", &file, &journal), 0);
	assert_int_equal(pwrite(file, content, sizeof(content), 0),
	    sizeof(content));
	close(file);
	close(journal);
}

static struct partial
arrived(const char *name)
{
	struct partial p = offered(name);

	assert_int_equal(partial_make(&p, "beta"), 0);
	fill_it(&p);
	return p;
}

static int
receipt_for(const struct partial *p)
{
	uint8_t seal[SFT_SEAL_MAX], receipt[SFT_RECEIPT_MAX];
	size_t n;

	n = sftkit_seal("alpha", "beta", p->id, p->digest, root, p->offer.size,
	    seal);
	n = sftkit_receipt("beta", seal, n, receipt);
	return commit_receipt(p, receipt, n);
}

/* As the sending end has it. */
static int
store_the_receipt(const struct partial *p)
{
	uint8_t seal[SFT_SEAL_MAX], receipt[SFT_RECEIPT_MAX];
	size_t n;

	n = sftkit_seal("alpha", "beta", p->id, p->digest, root, p->offer.size,
	    seal);
	n = sftkit_receipt("beta", seal, n, receipt);
	return store_receipt(receipt, n, &p->offer);
}

/* As incoming.c does it. */
static int
finish_all(const struct partial *p)
{
	int r = commit_begin(p, root);

	if (r == 0 && (r = commit_place(p)) != 0)
		(void)commit_undo(p);
	return r == 0 ? receipt_for(p) : r;
}

/* As a start does it: finished if it was begun, else the sender comes back. */
static struct partial found;
static unsigned int finds;

static void
find(const struct partial *p)
{
	found = *p;
	finds++;
}

static int
start_anew(void)
{
	uint8_t receipt[SFT_RECEIPT_MAX];
	struct finish f;
	int r;

	finds = 0;
	partial_load(find);
	if (finds != 1)
		return -ENOENT;
	if (commit_state(&found, &f) == 0 && !f.placed &&
	    (r = commit_place(&found)) != 0)
		return r;
	if (commit_answer(&found, receipt, sizeof(receipt)) > 0)
		return 0;
	return finish_all(&found);
}

static bool
named(const char *path)
{
	struct stat st;

	return fstatat(files, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
has_receipt(const struct partial *p)
{
	char text[8192];

	return store_receipt_text(p->id, text, sizeof(text)) > 0;
}

static void
all_is_right(const struct partial *p, const char *path)
{
	char back[sizeof(content) + 1];
	struct stat st;
	int dir;

	assert_int_equal(fstatat(files, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_true((uint64_t)st.st_mtim.tv_sec == MTIME / 1000000000);
	assert_int_equal(store_get(files, path, back, sizeof(back)),
	    sizeof(content));
	assert_memory_equal(back, content, sizeof(content));
	assert_true(has_receipt(p));
	assert_true((dir = partial_dir(p)) >= 0);
	assert_int_equal(fstatat(dir, "partial", &st, 0), -1);
	close(dir);
}

static int
in_child(int (*what)(void), unsigned int at)
{
	int status;
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0) {
		memset(&fault, 0, sizeof(fault));
		fault.at = at;
		_exit(what() == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static struct partial here;

static int
finish_here(void)
{
	return finish_all(&here);
}

/*
 * It ends at every point of the finish, and then at every point of the start
 * after it; what then starts in peace puts it right.
 */
static void
test_ends_anywhere(void **state)
{
	unsigned int at, then;
	int first, second;

	(void)state;
	for (at = 1;; at++) {
		for (then = 1;; then++) {
			start_empty();
			here = arrived("a/b/file");
			first = in_child(finish_here, at);
			assert_true(first == 0 || first == 42);
			/* No receipt before the name. */
			assert_true(
			    !has_receipt(&here) || named("alpha/a/b/file"));
			second = in_child(start_anew, then);
			assert_true(second == 0 || second == 42);
			assert_true(
			    !has_receipt(&here) || named("alpha/a/b/file"));
			assert_int_equal(start_anew(), 0);
			all_is_right(&here, "alpha/a/b/file");
			if (second == 0)
				break;
		}
		if (first == 0)
			break;
	}
	/* So many there are; none was jumped over. */
	assert_true(at > 15);
}

/* A call fails at every point: an error, nothing wrong, and done again. */
static void
test_fails_anywhere(void **state)
{
	static const int errors[] = { EIO, ENOSPC };
	unsigned int at, i;
	int r;

	(void)state;
	for (i = 0; i < 2; i++)
		for (at = 1, r = -1; r != 0; at++) {
			start_empty();
			here = arrived("a/file");
			memset(&fault, 0, sizeof(fault));
			fault.at = at;
			fault.error = errors[i];
			r = finish_here();
			assert_true(r == 0 || r == -errors[i]);
			assert_true(
			    !has_receipt(&here) || named("alpha/a/file"));
			fault.at = 0;
			assert_int_equal(start_anew(), 0);
			all_is_right(&here, "alpha/a/file");
		}
}

/* A peer that gives a file the id of another's receipt does not get it lost. */
static void
test_receipts_stay(void **state)
{
	char before[8192], after[8192];
	struct partial p, other;
	ssize_t n;

	(void)state;
	start_empty();
	p = offered("file");
	other = offered("another");
	memset(p.id, 7, sizeof(p.id));
	memset(other.id, 7, sizeof(other.id));
	assert_int_equal(store_the_receipt(&p), 0);
	assert_true((n = store_receipt_text(p.id, before, 8192)) > 0);
	assert_int_equal(store_the_receipt(&other), -EEXIST);
	assert_int_equal(store_receipt_text(p.id, after, 8192), n);
	assert_memory_equal(before, after, (size_t)n);
	assert_int_equal(store_the_receipt(&p), 0);
}

/*
 * Moved, and before that could be written down the process ended; then somebody
 * took the file away, or put another there: no receipt for that.
 */
static void
test_taken_away(void **state)
{
	int another, dir, fd;

	(void)state;
	for (another = 0; another < 2; another++) {
		start_empty();
		here = arrived("file");
		assert_int_equal(commit_begin(&here, root), 0);
		assert_true((dir = partial_dir(&here)) >= 0);
		assert_int_equal(mkdirat(files, "alpha", 0750), 0);
		assert_int_equal(renameat(dir, "partial", files, "away"), 0);
		close(dir);
		if (another) {
			fd = openat(files, "alpha/file", O_CREAT | O_WRONLY,
			    0640);
			assert_true(fd != -1);
			close(fd);
		}
		assert_int_equal(commit_place(&here), -ENOENT);
		assert_false(has_receipt(&here));
		assert_int_equal(renameat(files, "away", files, "alpha/file"),
		    0);
		assert_int_equal(commit_place(&here), 0);
	}
}

/* Ended while it is begun: it counts whole or not at all. */
static int
make_here(void)
{
	struct partial p = offered("file");

	return partial_make(&p, "beta");
}

static void
test_ends_while_begun(void **state)
{
	unsigned int at;
	int r;

	(void)state;
	for (at = 1, r = -1; r != 0; at++) {
		start_empty();
		r = in_child(make_here, at);
		finds = 0;
		partial_load(find);
		assert_true(finds <= 1);
		if (finds == 1) {
			fill_it(&found);
			assert_int_equal(finish_all(&found), 0);
		}
		/* Swept: an id of which nobody knows leaves nothing. */
		finds = 0;
		partial_load(find);
		assert_true(finds <= 1);
	}
	assert_int_equal(finds, 1);
}

static void
test_once_more(void **state)
{
	(void)state;
	start_empty();
	here = arrived("file");
	assert_int_equal(finish_here(), 0);
	assert_int_equal(finish_here(), 0);
	assert_int_equal(start_anew(), 0);
	all_is_right(&here, "alpha/file");
}

static void
test_nothing_overwritten(void **state)
{
	struct finish f;
	int fd;

	(void)state;
	start_empty();
	here = arrived("file");
	assert_int_equal(mkdirat(files, "alpha", 0750), 0);
	fd = openat(files, "alpha/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(finish_here(), -EEXIST);
	assert_false(has_receipt(&here));
	assert_int_equal(commit_state(&here, &f), -ENOENT);
	/* It can still have it when the name is free. */
	assert_int_equal(unlinkat(files, "alpha/file", 0), 0);
	assert_int_equal(finish_here(), 0);
	all_is_right(&here, "alpha/file");
}

static void
test_replaced_when_asked(void **state)
{
	int fd;

	(void)state;
	start_empty();
	here = arrived("file");
	here.replaces = true;
	assert_int_equal(mkdirat(files, "alpha", 0750), 0);
	fd = openat(files, "alpha/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(finish_here(), 0);
	all_is_right(&here, "alpha/file");
	/* A folder gives way to no file. */
	start_empty();
	here = arrived("file");
	here.replaces = true;
	assert_int_equal(mkdirat(files, "alpha", 0750), 0);
	assert_int_equal(mkdirat(files, "alpha/file", 0750), 0);
	assert_int_equal(finish_here(), -EEXIST);
}

/* Links anywhere on the way lead nowhere. */
static void
test_no_link_is_followed(void **state)
{
	static const char *const where[] = { "alpha", "alpha/a", "alpha/a/b" };
	char outside[128];
	unsigned int i;
	int r;

	(void)state;
	for (i = 0; i < 3; i++) {
		start_empty();
		snprintf(outside, sizeof(outside), "%s/outside", top);
		assert_int_equal(mkdir(outside, 0750), 0);
		here = arrived("a/b/file");
		if (i > 0)
			assert_int_equal(mkdirat(files, "alpha", 0750), 0);
		if (i > 1)
			assert_int_equal(mkdirat(files, "alpha/a", 0750), 0);
		assert_int_equal(symlinkat(outside, files, where[i]), 0);
		r = commit_there("alpha", here.offer.name, here.offer.name_len);
		assert_true(r == -ELOOP || r == -ENOTDIR);
		r = finish_here();
		assert_true(r == -ELOOP || r == -ENOTDIR);
		assert_int_equal(rmdir(outside), 0);
		assert_false(has_receipt(&here));
	}
	/* The last one of the name is replaced by nothing. */
	start_empty();
	here = arrived("file");
	here.replaces = true;
	assert_int_equal(mkdirat(files, "alpha", 0750), 0);
	assert_int_equal(symlinkat("/etc/passwd", files, "alpha/file"), 0);
	assert_int_equal(finish_here(), -EEXIST);
}

/* A rule says where to, and that nothing is replaced: also after a crash. */
static void
test_where_a_rule_says(void **state)
{
	int fd;

	(void)state;
	start_empty();
	here = offered("a/file");
	snprintf(here.into, sizeof(here.into), "in/from");
	assert_int_equal(partial_make(&here, "beta"), 0);
	fill_it(&here);
	finds = 0;
	partial_load(find);
	assert_int_equal(finds, 1);
	assert_string_equal(found.into, "in/from");
	assert_false(found.replaces);
	assert_int_equal(finish_all(&found), 0);
	all_is_right(&here, "in/from/a/file");
	/* What was there when it began was nothing, whatever was asked. */
	start_empty();
	here = arrived("file");
	here.offer.replace = true;
	assert_int_equal(mkdirat(files, "alpha", 0750), 0);
	fd = openat(files, "alpha/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(finish_here(), -EEXIST);
	/* Nor out of the folder, nor through a link in it. */
	assert_int_equal(commit_there("../x", (const uint8_t *)"file", 4),
	    -EINVAL);
	assert_int_equal(symlinkat("alpha", files, "in"), 0);
	fd = commit_there("in", (const uint8_t *)"file", 4);
	assert_true(fd == -ELOOP || fd == -ENOTDIR);
}

static void
test_another_size(void **state)
{
	int file = -1, journal;

	(void)state;
	start_empty();
	here = arrived("file");
	assert_int_equal(partial_files(&here, "beta", &file, &journal), 0);
	assert_int_equal(ftruncate(file, 5), 0);
	close(file);
	close(journal);
	assert_int_equal(finish_here(), -EFBIG);
	assert_false(named("alpha/file"));
}

/* What was delivered is found again, unless it is another one by now. */
static void
test_placed(void **state)
{
	struct finish f;
	int fd;

	(void)state;
	start_empty();
	here = arrived("file");
	assert_int_equal(finish_here(), 0);
	assert_int_equal(commit_state(&here, &f), 0);
	assert_true(f.placed);
	assert_memory_equal(f.root, root, 32);
	assert_true((fd = commit_placed(&here, &f)) >= 0);
	/* It cannot be written by. */
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	close(fd);
	fd = openat(files, "alpha/file", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	close(fd);
	assert_int_equal(commit_placed(&here, &f), -ENOENT);
}

/* Another file in its place, as who puts back a copy leaves it. */
static void
copy_over(int dir, const char *name, const char *data, size_t len)
{
	int fd;

	fd = openat(dir, "copy", O_WRONLY | O_CREAT | O_CLOEXEC, 0750);
	assert_true(fd != -1);
	assert_int_equal(pwrite(fd, data, len, 0), len);
	close(fd);
	assert_int_equal(renameat(dir, "copy", dir, name), 0);
}

static void
test_put_back(void **state)
{
	struct finish f;
	int dir, fd;

	(void)state;
	start_empty();
	here = arrived("file");
	assert_int_equal(finish_here(), 0);
	copy_over(files, "alpha/file", content, sizeof(content));
	assert_int_equal(commit_state(&here, &f), 0);
	assert_int_equal(commit_placed(&here, &f), -ENOENT);
	assert_true((fd = commit_instead(&here)) >= 0);
	close(fd);
	/* Its hash was right. */
	assert_int_equal(commit_adopt(&here), 0);
	assert_int_equal(commit_state(&here, &f), 0);
	assert_true((fd = commit_placed(&here, &f)) >= 0);
	close(fd);
	all_is_right(&here, "alpha/file");
	copy_over(files, "alpha/file", content, sizeof(content) - 1);
	assert_int_equal(commit_instead(&here), -ENOENT);
	/* Before it has its name nobody knows what the copy is. */
	start_empty();
	here = arrived("file");
	assert_int_equal(commit_begin(&here, root), 0);
	assert_true((dir = partial_dir(&here)) >= 0);
	copy_over(dir, "partial", content, sizeof(content));
	close(dir);
	assert_int_equal(commit_place(&here), -ESTALE);
	assert_false(named("alpha/file"));
	assert_int_equal(commit_undo(&here), 0);
	assert_int_equal(commit_state(&here, &f), -ENOENT);
	assert_int_equal(finish_here(), 0);
	all_is_right(&here, "alpha/file");
}

static void
test_epochs(void **state)
{
	struct partial p;
	uint8_t id[16] = { 9 };
	uint64_t before;

	(void)state;
	start_empty();
	p = offered("file");
	p.offer.epoch = 4;
	assert_int_equal(partial_make(&p, "beta"), 0);
	assert_int_equal(p.epoch, 5);
	assert_int_equal(partial_again(&p, 3), 0);
	assert_int_equal(p.epoch, 6);
	assert_int_equal(partial_again(&p, 10), 0);
	assert_int_equal(p.epoch, 11);
	before = p.epoch;
	assert_int_equal(partial_again(&p, SFT_EPOCH_MAX), -ESTALE);
	assert_int_equal(p.epoch, before);
	finds = 0;
	partial_load(find);
	assert_int_equal(finds, 1);
	assert_int_equal(found.epoch, 11);
	/* The sender's side. */
	assert_int_equal(store_epoch(p.digest), 0);
	assert_int_equal(store_epoch_set(p.digest, 11, id), 0);
	assert_int_equal(store_epoch(p.digest), 11);
	assert_int_equal(store_epoch_set(p.digest, 11, id), -ESTALE);
	assert_int_equal(store_epoch_set(p.digest, 10, id), -ESTALE);
	assert_int_equal(store_epoch_set(p.digest, 12, id), 0);
}

/* A journal that its worker has spoilt is begun anew. */
static void
test_spoilt_journal(void **state)
{
	struct sftjournal_head head;
	int file = -1, journal;

	(void)state;
	start_empty();
	here = arrived("file");
	assert_int_equal(partial_files(&here, "beta", &file, &journal), 0);
	assert_int_equal(pwrite(journal, "nonsense", 8, 0), 8);
	close(file);
	close(journal);
	file = -1;
	assert_int_equal(partial_files(&here, "beta", &file, &journal), 0);
	assert_int_equal(sftjournal_peek(journal, &head), 0);
	assert_memory_equal(head.id, here.id, sizeof(head.id));
	close(file);
	close(journal);
}

static int
make_top(void **state)
{
	(void)state;
	/* Where syncing costs nothing, if there is such a place. */
	snprintf(top, sizeof(top), "/dev/shm/claw-commit-XXXXXX");
	if (mkdtemp(top) != NULL)
		return 0;
	snprintf(top, sizeof(top), "/tmp/claw-commit-XXXXXX");
	return mkdtemp(top) == NULL ? -1 : 0;
}

static int
remove_top(void **state)
{
	(void)state;
	(void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return rmdir(top);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_anywhere),
		cmocka_unit_test(test_fails_anywhere),
		cmocka_unit_test(test_taken_away),
		cmocka_unit_test(test_receipts_stay),
		cmocka_unit_test(test_ends_while_begun),
		cmocka_unit_test(test_once_more),
		cmocka_unit_test(test_nothing_overwritten),
		cmocka_unit_test(test_replaced_when_asked),
		cmocka_unit_test(test_no_link_is_followed),
		cmocka_unit_test(test_where_a_rule_says),
		cmocka_unit_test(test_another_size),
		cmocka_unit_test(test_placed),
		cmocka_unit_test(test_put_back),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_spoilt_journal),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
