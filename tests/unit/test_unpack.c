/* SPDX-License-Identifier: ISC */
/*
 * test_unpack.c - folders that are made from bundles, and taken away again.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "unpackd/unpack.h"

#define ROOM (UINT64_C(1) << 20)

static char top[] = "/tmp/claw-unpack-XXXXXX";
static int dir;

static int
begin(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	if (mkdtemp(top) == NULL)
		return -1;
	dir = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir == -1 ? -1 : 0;
}

static int
end(void **state)
{
	(void)state;
	close(dir);
	/* Fails if anything was left. */
	return rmdir(top);
}

static size_t
put(uint8_t *out, size_t at, size_t size, enum bundle_type type,
    const char *name, const char *bytes)
{
	struct bundle_entry e = { .type = type,
		.size = strlen(bytes),
		.name_len = (uint16_t)strlen(name) };
	ssize_t n;

	memcpy(e.name, name, e.name_len);
	n = bundle_entry(&e, out + at, size - at);
	assert_true(n > 0);
	memcpy(out + at + n, bytes, e.size);
	return at + (size_t)n + e.size;
}

/* a, b/, b/c, b/l; its length. */
static size_t
make(uint8_t *out, size_t size)
{
	size_t n = BUNDLE_HEAD_LEN;

	assert_int_equal(bundle_head(4, 7, out), 0);
	n = put(out, n, size, BUNDLE_FILE, "a", "alpha");
	n = put(out, n, size, BUNDLE_FOLDER, "b", "");
	n = put(out, n, size, BUNDLE_FILE, "b/c", "cc");
	return put(out, n, size, BUNDLE_LINK, "b/l", "../a");
}

static int
run(const uint8_t *in, size_t len, bool remove, uint64_t room, char *why)
{
	static struct unpack u;
	int r;

	unpack_init(&u, dir, remove, room);
	r = unpack_feed(&u, in, len);
	if (r == 0 || (r == -EBADMSG && remove))
		r = unpack_end(&u);
	strcpy(why, u.why);
	unpack_close(&u);
	return r;
}

static bool
there(const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
test_made_and_removed(void **state)
{
	uint8_t in[512];
	size_t n = make(in, sizeof(in));
	char why[UNPACK_WHY_SIZE];

	(void)state;
	assert_int_equal(run(in, n, false, ROOM, why), 0);
	assert_true(there("a") && there("b/c") && there("b/l"));
	/* What a run before has left is replaced. */
	assert_int_equal(run(in, n, false, ROOM, why), 0);
	assert_int_equal(run(in, n, true, 0, why), 0);
	assert_int_equal(run(in, n, true, 0, why), 0);
}

/* Wherever it is cut: refused, and what was made is removed again. */
static void
test_half(void **state)
{
	uint8_t in[512];
	size_t n = make(in, sizeof(in)), i;
	char why[UNPACK_WHY_SIZE];

	(void)state;
	for (i = 0; i < n; i++) {
		assert_int_equal(run(in, i, false, ROOM, why), -EBADMSG);
		assert_int_equal(run(in, i, true, 0, why), 0);
		assert_false(there("a") || there("b"));
	}
}

/* Whatever byte is wrong: what was made before it is removed again. */
static void
test_broken(void **state)
{
	uint8_t in[512];
	size_t n = make(in, sizeof(in)), i;
	char why[UNPACK_WHY_SIZE];

	(void)state;
	for (i = 0; i < n; i++) {
		in[i] ^= 0x80;
		(void)run(in, n, false, ROOM, why);
		assert_int_equal(run(in, n, true, 0, why), 0);
		assert_false(there("a") || there("b"));
		in[i] ^= 0x80;
	}
}

/* Many small files: refused before the first is made. */
static void
test_no_room(void **state)
{
	uint8_t in[512];
	size_t n = make(in, sizeof(in));
	char why[UNPACK_WHY_SIZE];

	(void)state;
	assert_int_equal(run(in, n, false, UINT64_C(4) * 4096 + 6, why),
	    -ENOSPC);
	assert_string_equal(why, "there is no room for 4 files of 7 bytes");
	assert_false(there("a"));
	assert_int_equal(run(in, n, false, UINT64_C(4) * 4096 + 7, why), 0);
	assert_int_equal(run(in, n, true, 0, why), 0);
}

/* A link in a folder's place is not followed, and is removed. */
static void
test_link_there(void **state)
{
	uint8_t in[512];
	size_t n = make(in, sizeof(in));
	char why[UNPACK_WHY_SIZE];

	(void)state;
	assert_int_equal(symlinkat("/tmp", dir, "b"), 0);
	assert_int_equal(run(in, n, false, ROOM, why), -ENOTDIR);
	assert_string_equal(why, "cannot enter the folder b: Not a directory");
	assert_int_equal(run(in, n, true, 0, why), 0);
	assert_false(there("a") || there("b"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_and_removed, begin,
		    end),
		cmocka_unit_test_setup_teardown(test_half, begin, end),
		cmocka_unit_test_setup_teardown(test_broken, begin, end),
		cmocka_unit_test_setup_teardown(test_no_room, begin, end),
		cmocka_unit_test_setup_teardown(test_link_there, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
