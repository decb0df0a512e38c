/* SPDX-License-Identifier: ISC */
/*
 * test_frame.c - frames of a link: each type there and back, each bound, and
 * which link has which.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/evidence.h"
#include "linkd/frame.h"

static const uint8_t bytes[FRAME_LINES_MAX + 1] = "some bytes";

/* The least and the most of each type, and who has it. */
static const struct {
	struct frame f;
	uint32_t least, most;
	const char *links; /* m, r, j */
} types[] = {
	{ { .type = FRAME_PING, .number = 7 }, 8, 8, "mrj" },
	{ { .type = FRAME_PONG, .number = UINT64_MAX }, 8, 8, "mrj" },
	{ { .type = FRAME_HAVE, .seq = 9, .hash = "head" }, 72, 72, "m" },
	{ { .type = FRAME_PULL, .rotations = 1, .from = 3 }, 9, 9, "mrj" },
	{ { .type = FRAME_LINES,
	      .more = 1,
	      .from = 4,
	      .data = bytes,
	      .len = FRAME_LINES_MAX },
	    10, 24586, "mrj" },
	{ { .type = FRAME_CHALLENGE, .hash = "nonce" }, 32, 32, "m" },
	{ { .type = FRAME_EVIDENCE, .data = bytes, .len = 600 }, 1, 1024, "m" },
	{ { .type = FRAME_JOIN, .data = bytes, .len = 1024 }, 1, 1024, "j" },
	{ { .type = FRAME_JOINED, .code = 2, .seq = 1, .text = "no" }, 11, 266,
	    "j" },
	{ { .type = FRAME_BYE, .code = BYE_SILENT }, 1, 1, "mrj" },
};
#define TYPES (sizeof(types) / sizeof(types[0]))

static void
test_there_and_back(void **state)
{
	static uint8_t out[FRAME_MAX], again[FRAME_MAX];
	struct frame f;
	uint32_t len;
	uint8_t type;
	ssize_t n;
	size_t i;

	(void)state;
	for (i = 0; i < TYPES; i++) {
		n = frame_format(&types[i].f, out, sizeof(out));
		assert_true(n > FRAME_HEAD_LEN);
		frame_head_get(out, &type, &len);
		assert_int_equal(type, types[i].f.type);
		assert_int_equal(len, n - FRAME_HEAD_LEN);
		assert_int_equal(
		    frame_parse(type, out + FRAME_HEAD_LEN, len, &f), 0);
		assert_int_equal(f.number, types[i].f.number);
		assert_int_equal(f.seq, types[i].f.seq);
		assert_int_equal(f.from, types[i].f.from);
		assert_int_equal(f.more, types[i].f.more);
		assert_int_equal(f.rotations, types[i].f.rotations);
		assert_int_equal(f.code, types[i].f.code);
		assert_int_equal(f.len, types[i].f.len);
		assert_memory_equal(f.hash, types[i].f.hash, sizeof(f.hash));
		assert_string_equal(f.text, types[i].f.text);
		assert_int_equal(frame_format(&f, again, sizeof(again)), n);
		assert_memory_equal(out, again, (size_t)n);
		assert_int_equal(frame_format(&f, again, (size_t)n - 1),
		    -ENOSPC);
	}
}

static void
test_every_length(void **state)
{
	struct frame f;
	const char *why;
	uint32_t len;
	size_t i;

	(void)state;
	for (i = 0; i < TYPES; i++)
		for (len = 0; len < 30000; len++) {
			why = frame_head_check(EVIDENCE_JOIN, types[i].f.type,
			    len);
			if (strchr(types[i].links, 'j') == NULL)
				assert_non_null(why);
			else if (len < types[i].least || len > types[i].most)
				assert_non_null(why);
			else
				assert_null(why);
			if (len < types[i].least || len > types[i].most)
				assert_int_equal(frame_parse(types[i].f.type,
						     bytes, len, &f),
				    -EBADMSG);
		}
	/* The longest that the head can say, of every type. */
	for (i = 0; i < 256; i++)
		assert_non_null(
		    frame_head_check(EVIDENCE_MESH, (uint8_t)i, 0xffffff));
}

static void
test_which_link_has_which(void **state)
{
	size_t i;
	unsigned int type, purpose;

	(void)state;
	for (i = 0; i < TYPES; i++) {
		assert_int_equal(frame_head_check(EVIDENCE_MESH,
				     types[i].f.type, types[i].least) == NULL,
		    strchr(types[i].links, 'm') != NULL);
		assert_int_equal(frame_head_check(EVIDENCE_REGISTRY,
				     types[i].f.type, types[i].least) == NULL,
		    strchr(types[i].links, 'r') != NULL);
		for (purpose = 0; purpose < 256; purpose++)
			if (purpose != EVIDENCE_MESH &&
			    purpose != EVIDENCE_REGISTRY &&
			    purpose != EVIDENCE_JOIN)
				assert_non_null(
				    frame_head_check((uint8_t)purpose,
					types[i].f.type, types[i].least));
	}
	/* WELCOME is said once, before all of these. */
	for (type = 0; type < 256; type++)
		if (type < FRAME_PING || type > FRAME_BYE)
			assert_non_null(
			    frame_head_check(EVIDENCE_MESH, (uint8_t)type, 8));
}

static void
test_fields_out_of_bounds(void **state)
{
	static uint8_t out[FRAME_MAX + 16];
	uint8_t body[FRAME_LINES_HEAD] = { 2 };
	uint8_t joined[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 'o', '\n' };
	struct frame f = { .type = FRAME_PULL, .rotations = 2 };

	(void)state;
	assert_int_equal(frame_format(&f, out, sizeof(out)), -EINVAL);
	f = (struct frame){ .type = FRAME_WELCOME };
	assert_int_equal(frame_format(&f, out, sizeof(out)), -EINVAL);
	f = (struct frame){ .type = FRAME_LINES,
		.data = bytes,
		.len = FRAME_LINES_MAX + 1 };
	assert_int_equal(frame_format(&f, out, sizeof(out)), -EINVAL);
	f = (struct frame){ .type = FRAME_EVIDENCE, .data = bytes };
	assert_int_equal(frame_format(&f, out, sizeof(out)), -EINVAL);
	f = (struct frame){ .type = FRAME_JOINED, .text = "\xc3\xa4" };
	assert_int_equal(frame_format(&f, out, sizeof(out)), -EINVAL);
	/* rotations 2, more 2; text that is none, text cut short. */
	assert_int_equal(frame_parse(FRAME_LINES, body, sizeof(body), &f),
	    -EBADMSG);
	body[0] = 0;
	body[1] = 2;
	assert_int_equal(frame_parse(FRAME_LINES, body, sizeof(body), &f),
	    -EBADMSG);
	assert_int_equal(frame_parse(FRAME_JOINED, joined, sizeof(joined), &f),
	    -EBADMSG);
	joined[12] = 'k';
	assert_int_equal(frame_parse(FRAME_JOINED, joined, sizeof(joined), &f),
	    0);
	assert_string_equal(f.text, "ok");
	assert_int_equal(frame_parse(FRAME_JOINED, joined, 12, &f), -EBADMSG);
	joined[10] = 1;
	assert_int_equal(frame_parse(FRAME_JOINED, joined, sizeof(joined), &f),
	    -EBADMSG);
}

/* A code of a later version is a reason like any other. */
static void
test_names(void **state)
{
	unsigned int i;

	(void)state;
	assert_string_equal(frame_name(FRAME_HAVE), "HAVE");
	assert_string_equal(frame_name(FRAME_WELCOME), "?");
	assert_string_equal(frame_name(255), "?");
	for (i = 0; i < 256; i++)
		assert_non_null(frame_bye_text((uint8_t)i));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_which_link_has_which),
		cmocka_unit_test(test_fields_out_of_bounds),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
