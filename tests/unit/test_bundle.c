/* SPDX-License-Identifier: ISC */
/*
 * test_bundle.c - a folder that comes as one file is read as it was written,
 * whatever pieces it comes in, and what would lead out of its folder, or come
 * twice, is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/bundle.h"

struct item {
	enum bundle_type type;
	const char *name;
	const char *data; /* bytes, or where a link leads */
};

static const struct item good[] = {
	{ BUNDLE_FILE, "a", "alpha" },
	{ BUNDLE_FOLDER, "b", "" },
	{ BUNDLE_FILE, "b/empty", "" },
	{ BUNDLE_FOLDER, "b/sub", "" },
	{ BUNDLE_LINK, "b/sub/l", "../../a" },
	{ BUNDLE_FILE, "b/z", "zeta" },
	{ BUNDLE_FILE, "b!", "after what is in b" },
	{ BUNDLE_FILE, "b0", "nought" },
	{ BUNDLE_LINK, "c", "b/sub" },
};

static uint8_t bundle[8192];

/* count and bytes: what is added to what is true. */
static size_t
make(const struct item *items, size_t n, int count, int bytes)
{
	struct bundle_entry e;
	uint64_t sum = 0;
	size_t len = BUNDLE_HEAD_LEN, i;
	ssize_t r;

	for (i = 0; i < n; i++) {
		memset(&e, 0, sizeof(e));
		e.type = items[i].type;
		e.size = strlen(items[i].data);
		e.mtime_ns = e.type == BUNDLE_LINK ? 0 : 1000 + i;
		e.runs = e.type == BUNDLE_FILE && i % 2 == 0;
		e.name_len = (uint16_t)strlen(items[i].name);
		memcpy(e.name, items[i].name, e.name_len);
		r = bundle_entry(&e, bundle + len, sizeof(bundle) - len);
		if (r < 0)
			return 0;
		len += (size_t)r;
		memcpy(bundle + len, items[i].data, e.size);
		len += (size_t)e.size;
		sum += e.type == BUNDLE_FILE ? e.size : 0;
	}
	assert_int_equal(
	    bundle_head(n + (size_t)count, sum + (size_t)bytes, bundle), 0);
	return len;
}

/* Read in pieces of that length: the last event, or -EBADMSG. */
static int
read_all(size_t len, size_t piece)
{
	static struct bundle_reader r;
	const uint8_t *in, *bytes;
	size_t at, left, n;
	int e;

	bundle_reader_init(&r);
	for (at = 0;; at += piece) {
		left = len - at < piece ? len - at : piece;
		in = bundle + at;
		do
			e = bundle_next(&r, &in, &left, &bytes, &n);
		while (e == BUNDLE_ENTRY || e == BUNDLE_BYTES);
		if (e < 0 || at + piece >= len)
			return e;
	}
}

static void
test_read(void **state)
{
	static struct bundle_reader r;
	size_t len = make(good, sizeof(good) / sizeof(good[0]), 0, 0);
	size_t piece, at, left, n, i, took;
	const uint8_t *in, *bytes;
	int e;

	(void)state;
	assert_int_not_equal(len, 0);
	for (piece = 1; piece < len + 2; piece++) {
		bundle_reader_init(&r);
		i = 0;
		took = 0;
		for (at = 0; at < len; at += piece) {
			in = bundle + at;
			left = len - at < piece ? len - at : piece;
			while ((e = bundle_next(&r, &in, &left, &bytes, &n)) ==
				BUNDLE_ENTRY ||
			    e == BUNDLE_BYTES) {
				if (e == BUNDLE_BYTES) {
					assert_memory_equal(bytes,
					    good[i - 1].data + took, n);
					took += n;
					continue;
				}
				assert_string_equal(r.entry.name, good[i].name);
				assert_int_equal(r.entry.type, good[i].type);
				assert_int_equal(r.entry.size,
				    strlen(good[i].data));
				if (good[i].type == BUNDLE_LINK)
					assert_string_equal(r.target,
					    good[i].data);
				else
					assert_int_equal(r.entry.mtime_ns,
					    1000 + i);
				if (i > 0 && good[i - 1].type == BUNDLE_FILE)
					assert_int_equal(took,
					    strlen(good[i - 1].data));
				took = 0;
				i++;
			}
			assert_int_equal(e,
			    at + piece >= len ? BUNDLE_DONE : BUNDLE_MORE);
		}
		assert_int_equal(i, sizeof(good) / sizeof(good[0]));
		assert_true(bundle_complete(&r));
	}
}

#define BAD(text, ...)                                                         \
	{                                                                      \
		text,                                                          \
		{                                                              \
			__VA_ARGS__                                            \
		}                                                              \
	}
static const struct {
	const char *what;
	struct item items[4];
} bad[] = {
	BAD("twice", { BUNDLE_FILE, "a", "" }, { BUNDLE_FILE, "a", "" }),
	BAD("not in order", { BUNDLE_FILE, "b", "" }, { BUNDLE_FILE, "a", "" }),
	BAD("order of bytes, not of parts", { BUNDLE_FOLDER, "b", "" },
	    { BUNDLE_FILE, "b!", "" }, { BUNDLE_FILE, "b/a", "" }),
	BAD("below a file", { BUNDLE_FILE, "a", "" },
	    { BUNDLE_FILE, "a/b", "" }),
	BAD("below a link", { BUNDLE_FOLDER, "a", "" },
	    { BUNDLE_LINK, "b", "a" }, { BUNDLE_FILE, "b/x", "" }),
	BAD("below nothing", { BUNDLE_FILE, "a/b", "" }),
	BAD("below a folder that was left", { BUNDLE_FOLDER, "a", "" },
	    { BUNDLE_FOLDER, "b", "" }, { BUNDLE_FILE, "c/x", "" }),
	BAD("a folder half named", { BUNDLE_FOLDER, "ab", "" },
	    { BUNDLE_FILE, "ab/c", "" }, { BUNDLE_FILE, "ac/d", "" }),
	BAD("a link up", { BUNDLE_LINK, "a", "../x" }),
	BAD("a link to the root", { BUNDLE_LINK, "a", "/etc/passwd" }),
	BAD("a link down and up", { BUNDLE_FOLDER, "a", "" },
	    { BUNDLE_LINK, "a/b", "c/.." }),
};

static void
test_refused(void **state)
{
	size_t i, n, len, piece;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (n = 0; n < 4 && bad[i].items[n].name != NULL;)
			n++;
		len = make(bad[i].items, n, 0, 0);
		assert_int_not_equal(len, 0);
		for (piece = 1; piece <= len; piece += 7)
			if (read_all(len, piece) >= 0)
				fail_msg("%s was taken", bad[i].what);
	}
}

static void
test_counts(void **state)
{
	size_t n = sizeof(good) / sizeof(good[0]), len;

	(void)state;
	len = make(good, n, 0, 0);
	assert_int_equal(read_all(len, 64), BUNDLE_DONE);
	assert_int_equal(read_all(len - 1, 64), BUNDLE_MORE);
	assert_true(read_all(len + 1, 64) < 0);
	len = make(good, n, 1, 0);
	assert_int_equal(read_all(len, 64), BUNDLE_MORE);
	len = make(good, n, -1, 0);
	assert_true(read_all(len, 64) < 0);
	len = make(good, n, 0, 1);
	assert_true(read_all(len, 64) < 0);
	len = make(good, n, 0, -1);
	assert_true(read_all(len, 64) < 0);
	len = make(good, 0, 0, 0);
	assert_int_equal(read_all(len, 64), BUNDLE_DONE);
	len = make(good, 0, 0, 5);
	assert_true(read_all(len, 64) < 0);
	assert_true(bundle_head(BUNDLE_ENTRIES_MAX + 1, 0, bundle) < 0);
}

static void
test_not_written(void **state)
{
	struct bundle_entry e = { .type = BUNDLE_FILE,
		.name_len = 4,
		.name = "../x" };
	uint8_t out[2048];

	(void)state;
	assert_true(bundle_entry(&e, out, sizeof(out)) < 0);
	memcpy(e.name, "good", 4);
	assert_true(bundle_entry(&e, out, sizeof(out)) > 0);
	assert_true(bundle_entry(&e, out, 10) < 0);
	e.mtime_ns = UINT64_MAX;
	assert_true(bundle_entry(&e, out, sizeof(out)) < 0);
	e.mtime_ns = 0;
	e.type = BUNDLE_FOLDER;
	e.size = 1;
	assert_true(bundle_entry(&e, out, sizeof(out)) < 0);
	e.type = (enum bundle_type)9;
	assert_true(bundle_entry(&e, out, sizeof(out)) < 0);
}

#define L(name, target)                                                        \
	bundle_link_ok((const uint8_t *)(name), strlen(name),                  \
	    (const uint8_t *)(target), strlen(target))

static void
test_links(void **state)
{
	(void)state;
	assert_true(L("a", "b"));
	assert_true(L("a", "b/c"));
	assert_true(L("a", "..."));
	assert_true(L("a/b", "../c"));
	assert_true(L("a/b", ".."));
	assert_true(L("a/b/c", "../../x"));
	assert_false(L("a", ""));
	assert_false(L("a", ".."));
	assert_false(L("a", "/b"));
	assert_false(L("a/b", "../.."));
	assert_false(L("a/b", "../../x"));
	assert_false(L("a/b", "x/../.."));
	/* x may be a link to where this is. */
	assert_false(L("a/b", "x/.."));
	assert_false(L("a/b", "./.."));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_not_written),
		cmocka_unit_test(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
