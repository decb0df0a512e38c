/* SPDX-License-Identifier: ISC */
/*
 * test_tile.c - tiles: names, contents, and that growth in any steps leaves
 * the same files.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <cmocka.h>

#include "auditkit.h"
#include "common/tile.h"

static void
test_paths(void **state)
{
	static const struct {
		struct tile t;
		const char *path;
	} v[] = { { { 0, 1234067, 256 }, "tile/0/x001/x234/067" },
		{ { 0, 0, 1 }, "tile/0/000.p/1" },
		{ { 1, 273, 256 }, "tile/1/273" },
		{ { 2, 999, 255 }, "tile/2/999.p/255" },
		{ { TILE_ENTRIES, 1000, 5 }, "tile/entries/x001/000.p/5" } };
	static const char *const bad[] = { "", "tile", "tile/0", "tile/0/0",
		"tile/0/00", "tile/0/0000", "tile/00/000", "tile/8/000",
		"tile/-1/000", "tile/0/x000/001", "tile/0/000.p",
		"tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256",
		"tile/0/000.p/01", "tile/0/000/", "tile/0//000",
		"tile/0/001/234", "tile/entries", "tile/entries/000.p/1x",
		"tile/../0/000", "tile/0/x001", "tile/0/x001/", "/tile/0/000",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/999" };
	char buf[TILE_PATH_MAX];
	struct tile t;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_true(tile_path(&v[i].t, buf, sizeof(buf)) > 0);
		assert_string_equal(buf, v[i].path);
		assert_int_equal(tile_path_parse(buf, strlen(buf), &t), 0);
		assert_int_equal(t.level, v[i].t.level);
		assert_int_equal(t.index, v[i].t.index);
		assert_int_equal(t.width, v[i].t.width);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tile_path_parse(bad[i], strlen(bad[i]), &t),
		    -EINVAL);
}

static int
writer(void *arg, const struct tile *t, const uint8_t *data, size_t len)
{
	return tile_write(*(int *)arg, t, data, len);
}

static int
comparer(void *arg, const struct tile *t, const uint8_t *data, size_t len)
{
	return tile_matches(*(int *)arg, t, data, len) == 1 ? 0 : -EBADMSG;
}

struct seen {
	uint64_t size;
	size_t files;
};

static int
count(void *arg, const char *path, unsigned mode)
{
	struct seen *s = arg;
	struct tile t;

	assert_int_equal(mode, S_IFREG);
	assert_int_equal(tile_path_parse(path, strlen(path), &t), 0);
	assert_true(tile_expected(&t, s->size));
	s->files++;
	return 0;
}

static void
grow_to(struct tile_grow *g, uint64_t size, tile_emit_fn *fn, int *fd)
{
	merkle_hash leaf;
	char line[64];
	int n;

	while (g->size < size) {
		n = snprintf(line, sizeof(line), "line %llu",
		    (unsigned long long)g->size);
		merkle_leaf(line, (size_t)n, leaf);
		assert_int_equal(
		    tile_grow_add(g, line, (size_t)n, leaf, fn, fd), 0);
	}
	assert_int_equal(tile_grow_partials(g, fn, fd), 0);
}

/* Growth in uneven steps leaves exactly the tiles of the final size. */
static void
test_growth(void **state)
{
	static const uint64_t size[] = { 1, 2, 255, 256, 257, 511, 512, 1000,
		65535, 65536, 65537, 66000 };
	struct tile_grow *g = malloc(sizeof(*g)), *again = malloc(sizeof(*g));
	struct seen s;
	char dir[256];
	uint64_t n;
	size_t i, want;
	int fd;

	(void)state;
	kit_tmpdir(dir, sizeof(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	tile_grow_init(g);
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		n = g->size;
		grow_to(g, size[i], writer, &fd);
		assert_int_equal(tile_remove_superseded(fd, n, size[i]), 0);
		tile_grow_init(again);
		grow_to(again, size[i], comparer, &fd);
		tile_grow_free(again);
		s = (struct seen){ size[i], 0 };
		assert_int_equal(tile_walk(fd, count, &s), 0);
		want = 2 * ((size_t)(size[i] + 255) / 256);
		for (n = size[i] / 256; n != 0; n /= 256)
			want += (size_t)(n + 255) / 256;
		assert_int_equal(s.files, want);
	}
	tile_grow_free(g);
	free(g);
	free(again);
	close(fd);
	kit_rmtree(dir);
}

static void
test_bundle(void **state)
{
	static const uint8_t b[] = { 0, 1, 'a', 0, 0, 0, 2, 'b', 'c' };
	const uint8_t *e;
	size_t off = 0, len;

	(void)state;
	assert_int_equal(tile_entry_next(b, sizeof(b), &off, &e, &len), 1);
	assert_int_equal(len, 1);
	assert_int_equal(tile_entry_next(b, sizeof(b), &off, &e, &len), 1);
	assert_int_equal(len, 0);
	assert_int_equal(tile_entry_next(b, sizeof(b), &off, &e, &len), 1);
	assert_memory_equal(e, "bc", 2);
	assert_int_equal(tile_entry_next(b, sizeof(b), &off, &e, &len), 0);
	off = 0;
	assert_int_equal(tile_entry_next(b, 2, &off, &e, &len), -EBADMSG);
	assert_int_equal(tile_entry_next(b, 1, &off, &e, &len), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_bundle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
