/* SPDX-License-Identifier: ISC */
/*
 * test_shard.c - what was acknowledged is there after any crash, a torn tail
 * is cut and told, damage is told and left alone, and a full disk takes back
 * exactly what was not acknowledged.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auditkit.h"
#include "common/merkle.h"

#define NAME "2026-11"

static struct kit_node n;
static char log_path[340];

static int
setup(void **state)
{
	(void)state;
	kit_node(&n);
	snprintf(log_path, sizeof(log_path), "%s/" NAME "/log.ndjson", n.dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	kit_node_free(&n);
	return 0;
}

/* A shard of so many lines, checkpointed at `at` (0: never), closed. */
static void
make(uint64_t lines, uint64_t at)
{
	struct shard *s = kit_open(&n, NAME, NULL);

	assert_non_null(s);
	if (at > 1)
		kit_fill(s, at - 1);
	if (at != 0)
		assert_int_equal(kit_checkpoint(&n, s), 0);
	kit_fill(s, lines - (at == 0 ? 1 : at));
	shard_close(s);
}

static void
append_raw(const void *data, size_t len)
{
	FILE *f = fopen(log_path, "a");

	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static off_t
size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void
test_goes_on_after_restart(void **state)
{
	struct shard_report rep;
	struct shard *s;
	uint64_t i, size = 1;

	(void)state;
	for (i = 0; i < 12; i++) {
		s = kit_open(&n, NAME, &rep);
		assert_int_equal(rep.damage, SHARD_SOUND);
		assert_int_equal(rep.torn_bytes, 0);
		assert_int_equal(rep.tiles_rebuilt, 0);
		assert_int_equal(rep.created, i == 0);
		assert_int_equal(shard_size(s), size);
		kit_fill(s, 100 + i);
		size += 100 + i;
		if (i % 3 != 2)
			assert_int_equal(kit_checkpoint(&n, s), 0);
		kit_append(s, 1); /* never committed */
		assert_int_equal(shard_pending(s), 1);
		shard_report_free(&rep);
		shard_close(s);
	}
}

/* Every length of a torn line is cut, and what was cut is told. */
static void
test_torn_tail(void **state)
{
	struct shard_report rep;
	struct shard *s;
	uint8_t h[32];
	char *data;
	size_t len, i;

	(void)state;
	make(10, 4);
	kit_read_file(log_path, &data, &len);
	for (i = 1; i < 300; i += 7) {
		append_raw(data, i);
		s = kit_open(&n, NAME, &rep);
		assert_int_equal(rep.damage, SHARD_SOUND);
		assert_int_equal(rep.torn_bytes, i);
		merkle_sha256(data, i, h);
		assert_memory_equal(h, rep.torn_sha256, 32);
		assert_int_equal(shard_size(s), 10);
		assert_int_equal(size_of(log_path), len);
		shard_report_free(&rep);
		shard_close(s);
	}
	free(data);
}

/* Blocks of zeros: later ones reached the disk and earlier ones did not. */
static void
test_hole_of_a_crash(void **state)
{
	static char zeros[4096];
	struct shard_report rep;
	struct shard *s;
	char *data;
	size_t len;

	(void)state;
	make(10, 4);
	kit_read_file(log_path, &data, &len);
	append_raw(zeros, sizeof(zeros));
	append_raw("\n", 1);
	append_raw(data, len);
	s = kit_open(&n, NAME, &rep);
	assert_int_equal(rep.damage, SHARD_SOUND);
	assert_int_equal(rep.torn_bytes, sizeof(zeros) + 1 + len);
	assert_int_equal(shard_size(s), 10);
	shard_report_free(&rep);
	shard_close(s);
	free(data);
}

static void
poke(off_t at, char c)
{
	int fd = open(log_path, O_RDWR);

	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static void
expect_damage(enum shard_damage what, uint64_t line)
{
	struct shard_report rep;
	off_t size = size_of(log_path);
	struct line_env env = { .boot = KIT_BOOT, .ts_ms = KIT_TS };
	struct shard *s = kit_open(&n, NAME, &rep);

	assert_non_null(s);
	assert_int_equal(rep.damage, what);
	assert_int_equal(rep.damage_line, line);
	assert_int_equal(size_of(log_path), size);
	assert_int_equal(shard_append(s, NULL, 0, NULL, 0, &env, NULL), -EROFS);
	assert_int_equal(shard_publish(s, n.note, n.note_len), -EROFS);
	shard_report_free(&rep);
	shard_close(s);
}

static off_t
line_start(unsigned line)
{
	char *data, *p;
	size_t len;
	off_t at;

	kit_read_file(log_path, &data, &len);
	for (p = data; line > 0; line--)
		p = strchr(p, '\n') + 1;
	at = p - data;
	free(data);
	return at;
}

static void
test_damage_is_left_alone(void **state)
{
	char path[340];

	(void)state;
	make(20, 10);
	poke(line_start(15), 'X');
	expect_damage(SHARD_BAD_LINE, 15);
	poke(line_start(15), '{');
	poke(line_start(5), 'X');
	expect_damage(SHARD_BAD_LINE, 5);
	poke(line_start(5), '{');
	/* Another value in the same form: the next line does not chain. */
	poke(line_start(15) + 18, '9');
	expect_damage(SHARD_BAD_CHAIN, 16);
	/* Fewer lines than were signed. */
	assert_int_equal(truncate(log_path, line_start(7)), 0);
	expect_damage(SHARD_SHORT, 7);
	assert_int_equal(truncate(log_path, line_start(6) + 20), 0);
	expect_damage(SHARD_BAD_LINE, 6);
	snprintf(path, sizeof(path), "%s/" NAME "/checkpoint", n.dir);
	kit_write_file(path, "no checkpoint\n", 14);
	expect_damage(SHARD_BAD_CHECKPOINT, 0);
}

static void
test_other_root(void **state)
{
	struct shard *s;

	(void)state;
	/* A checkpoint of ten lines, then ten other lines under it. */
	make(10, 10);
	assert_int_equal(truncate(log_path, line_start(9)), 0);
	s = kit_open(&n, NAME, NULL);
	assert_non_null(s);
	shard_close(s);
	{
		char path[340], *note;
		size_t len;

		snprintf(path, sizeof(path), "%s/" NAME "/checkpoint", n.dir);
		kit_read_file(path, &note, &len);
		unlink(path);
		s = kit_open(&n, NAME, NULL);
		kit_append_short(s, 77);
		assert_int_equal(shard_commit(s), 0);
		shard_close(s);
		kit_write_file(path, note, len);
		free(note);
	}
	expect_damage(SHARD_BAD_ROOT, 10);
}

static void
test_tiles_are_rebuilt(void **state)
{
	struct shard_report rep;
	struct shard *s;
	char path[340];

	(void)state;
	make(700, 600);
	snprintf(path, sizeof(path), "%s/" NAME "/tile/0/001", n.dir);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/" NAME "/tile/entries/000", n.dir);
	kit_write_file(path, "x", 1);
	/* Left by a crash while the next one was published. */
	snprintf(path, sizeof(path), "%s/" NAME "/tile/0/002.p/99", n.dir);
	kit_write_file(path, "x", 1);
	snprintf(path, sizeof(path), "%s/" NAME "/tile/.new", n.dir);
	kit_write_file(path, "x", 1);
	s = kit_open(&n, NAME, &rep);
	assert_int_equal(rep.damage, SHARD_SOUND);
	assert_int_equal(rep.tiles_rebuilt, 3);
	shard_report_free(&rep);
	shard_close(s);
	assert_int_equal(access(path, F_OK), -1);
	s = kit_open(&n, NAME, &rep);
	assert_int_equal(rep.tiles_rebuilt, 0);
	shard_report_free(&rep);
	shard_close(s);
}

static void
intent(struct shard *s, bool open, uint64_t of)
{
	struct line_env env = { .boot = KIT_BOOT, .ts_ms = KIT_TS };
	struct line_attr a = { "phase", LINE_TEXT, 0, "intent", 6 };
	struct line_attr b = { "intent", LINE_U64, of, NULL, 0 };

	assert_int_equal(
	    shard_append(s, open ? &a : &b, 1, NULL, 0, &env, NULL), 0);
}

static void
test_open_intents(void **state)
{
	struct shard_report rep;
	struct shard *s = kit_open(&n, NAME, NULL);
	struct line_view v;
	char line[1024];
	uint64_t i;

	(void)state;
	for (i = 1; i <= 1000; i++)
		intent(s, true, 0);
	for (i = 1; i <= 1000; i++)
		if (i != 3 && i != 500)
			intent(s, false, i);
	assert_int_equal(shard_commit(s), 0);
	shard_close(s);
	s = kit_open(&n, NAME, &rep);
	assert_int_equal(rep.nopen, 2);
	assert_int_equal(rep.open[0].n, 3);
	assert_int_equal(rep.open[1].n, 500);
	assert_int_equal(
	    shard_read(s, rep.open[1].offset, line, rep.open[1].len),
	    rep.open[1].len);
	assert_int_equal(line_parse(line, rep.open[1].len, &v), 0);
	assert_true(v.is_intent && v.env.n == 500);
	shard_report_free(&rep);
	shard_close(s);
}

/* From checkpoint to checkpoint the proof that keyd asks for. */
static void
test_consistency(void **state)
{
	struct shard *s = kit_open(&n, NAME, NULL);
	merkle_hash p[MERKLE_PROOF_MAX], old, new;
	uint64_t m, size;
	int c, i;

	(void)state;
	assert_int_equal(kit_checkpoint(&n, s), 0);
	for (i = 1; i < 60; i++) {
		m = shard_size(s);
		assert_int_equal(shard_root(s, m, old), 0);
		kit_fill(s, (uint64_t)i);
		size = shard_size(s) - (uint64_t)(i % 2);
		c = shard_consistency(s, size, p);
		assert_true(c >= 0);
		assert_int_equal(shard_root(s, size, new), 0);
		assert_int_equal(merkle_verify_consistency(m, old, size, new,
				     (const merkle_hash *)p, (size_t)c),
		    0);
		assert_int_equal(kit_checkpoint(&n, s), 0);
		assert_int_equal(shard_checkpoint_size(s), shard_size(s));
	}
	assert_int_equal(shard_consistency(s, shard_size(s) + 1, p), -EINVAL);
	assert_int_equal(shard_consistency(s, shard_size(s) - 1, p), -EINVAL);
	shard_close(s);
}

static void
test_publish_refuses(void **state)
{
	struct shard *s = kit_open(&n, NAME, NULL), *other;
	char old[4096], *p;
	ssize_t len;

	(void)state;
	kit_fill(s, 5);
	assert_int_equal(kit_checkpoint(&n, s), 0);
	len = shard_checkpoint_read(s, old, sizeof(old));
	assert_int_equal(len, n.note_len);
	assert_string_equal(old, n.note);
	assert_int_equal(shard_checkpoint_read(s, old, 10), -ENOSPC);
	kit_fill(s, 5);
	kit_note(&n, s, 9);
	p = strchr(n.note, '\n') + 3; /* the root */
	*p = *p == 'A' ? 'B' : 'A';
	assert_int_equal(shard_publish(s, n.note, n.note_len), -EINVAL);
	kit_note(&n, s, 9);
	assert_int_equal(shard_publish(s, n.note, n.note_len), 0);
	/* A smaller one, another shard's, garbage. */
	assert_int_equal(shard_publish(s, old, (size_t)len), -EINVAL);
	assert_int_equal(shard_publish(s, "x", 1), -EINVAL);
	other = kit_open(&n, "2026-12", NULL);
	assert_int_equal(shard_publish(other, n.note, n.note_len), -EINVAL);
	shard_close(other);
	shard_close(s);
}

/* Signed, but the crash came before it was published. */
static void
test_other_copy_is_published(void **state)
{
	struct shard_opts o = { 0 };
	struct shard_report rep;
	struct shard *s = kit_open(&n, NAME, NULL);

	(void)state;
	kit_fill(s, 20);
	assert_int_equal(kit_checkpoint(&n, s), 0);
	kit_fill(s, 20);
	kit_note(&n, s, 30);
	shard_close(s);
	o.note = n.note;
	o.note_len = n.note_len;
	assert_int_equal(shard_open(n.fd, NAME, &o, &rep, &s), 0);
	assert_int_equal(rep.damage, SHARD_SOUND);
	assert_int_equal(shard_checkpoint_size(s), 30);
	shard_close(s);
	/* More was signed than is here: the log was rolled back. */
	assert_int_equal(truncate(log_path, line_start(30)), 0);
	s = kit_open(&n, NAME, NULL);
	kit_fill(s, 20);
	kit_note(&n, s, 45);
	shard_close(s);
	assert_int_equal(truncate(log_path, line_start(40)), 0);
	assert_int_equal(shard_open(n.fd, NAME, &o, &rep, &s), 0);
	assert_int_equal(rep.damage, SHARD_SHORT);
	shard_close(s);
}

static void
test_full_disk(void **state)
{
	struct rlimit was, lim;
	struct shard *s;
	off_t end;
	uint64_t i, size;

	(void)state;
	make(10, 5);
	s = kit_open(&n, NAME, NULL);
	assert_non_null(s);
	end = size_of(log_path);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	lim = was;
	lim.rlim_cur = (rlim_t)end + 1500; /* three lines and a half */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	for (i = 0; i < 20; i++)
		kit_append(s, i);
	assert_int_equal(shard_commit(s), -ENOSPC);
	assert_int_equal(size_of(log_path), end);
	assert_int_equal(shard_size(s), 10);
	assert_int_equal(shard_pending(s), 0);
	assert_false(shard_dead(s));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	kit_fill(s, 20);
	size = shard_size(s);
	assert_int_equal(size, 30);
	assert_int_equal(kit_checkpoint(&n, s), 0);
	shard_close(s);
	s = kit_open(&n, NAME, NULL);
	assert_int_equal(shard_size(s), size);
	shard_close(s);
}

static void
test_reserve(void **state)
{
	struct shard *s = kit_open(&n, NAME, NULL);
	struct stat st;

	(void)state;
	assert_int_equal(shard_reserve(s, 1 << 20), 0);
	assert_true(shard_reserved(s) >= 1 << 20);
	assert_int_equal(stat(log_path, &st), 0);
	assert_int_equal((uint64_t)st.st_size, shard_bytes(s));
	assert_true(st.st_blocks * 512 >= 1 << 20);
	kit_fill(s, 100);
	assert_int_equal(shard_reserve(s, 1 << 20), 0);
	shard_close(s);
	/* What is allocated beyond the end is no torn tail. */
	s = kit_open(&n, NAME, NULL);
	assert_int_equal(shard_size(s), 101);
	shard_close(s);
}

static void
test_names(void **state)
{
	struct shard_report rep;
	struct shard_opts o = { 0 };
	struct shard *s;
	char name[SHARD_NAME_MAX];

	(void)state;
	assert_int_equal(shard_newest(n.fd, name), -ENOENT);
	assert_int_equal(shard_open(n.fd, "../x", &o, &rep, &s), -EINVAL);
	assert_int_equal(shard_open(n.fd, NAME, &o, &rep, &s), -ENOENT);
	shard_close(kit_open(&n, "2026-11", NULL));
	shard_close(kit_open(&n, "2026-11.10", NULL));
	shard_close(kit_open(&n, "2026-11.9", NULL));
	assert_int_equal(shard_newest(n.fd, name), 0);
	assert_string_equal(name, "2026-11.10");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_goes_on_after_restart),
		T(test_torn_tail),
		T(test_hole_of_a_crash),
		T(test_damage_is_left_alone),
		T(test_other_root),
		T(test_tiles_are_rebuilt),
		T(test_open_intents),
		T(test_consistency),
		T(test_publish_refuses),
		T(test_other_copy_is_published),
		T(test_full_disk),
		T(test_reserve),
		T(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
