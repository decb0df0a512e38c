/* SPDX-License-Identifier: ISC */
/*
 * test_welcome.c - the first frame says one thing, and both ends compare it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/evidence.h"
#include "common/welcome.h"

static struct welcome mine, theirs;

static int
setup(void **state)
{
	(void)state;
	memset(&mine, 0, sizeof(mine));
	mine.role = EVIDENCE_SERVER;
	mine.seq = 7;
	memset(mine.head, 1, 32);
	memset(mine.own_leaf, 2, 32);
	memset(mine.peer_leaf, 3, 32);
	memset(mine.exporter, 4, 32);
	memcpy(mine.mine, "checkpoint", 10);
	mine.mine_len = 10;
	theirs = mine;
	theirs.role = EVIDENCE_CLIENT;
	memset(theirs.own_leaf, 3, 32);
	memset(theirs.peer_leaf, 2, 32);
	return 0;
}

static void
test_there_and_back(void **state)
{
	uint8_t frame[WELCOME_FRAME_MAX];
	struct welcome w;
	ssize_t n;

	(void)state;
	n = welcome_format(&mine, frame, sizeof(frame));
	assert_int_equal(n, FRAME_HEAD_LEN + WELCOME_BODY_MIN + 10);
	assert_int_equal(frame[0], FRAME_WELCOME);
	assert_int_equal(welcome_len(frame), n);
	assert_int_equal(welcome_parse(frame, (size_t)n, &w), 0);
	assert_memory_equal(&w, &mine, sizeof(w));
	/* As large as can be. */
	mine.mine_len = mine.yours_len = WELCOME_CHECKPOINT_MAX;
	memset(mine.yours, 'y', sizeof(mine.yours));
	n = welcome_format(&mine, frame, sizeof(frame));
	assert_int_equal(n, WELCOME_FRAME_MAX);
	assert_int_equal(welcome_parse(frame, (size_t)n, &w), 0);
	assert_memory_equal(&w, &mine, sizeof(w));
	assert_int_equal(welcome_format(&mine, frame, (size_t)n - 1), -ENOSPC);
}

static void
test_not_written(void **state)
{
	uint8_t frame[WELCOME_FRAME_MAX];

	(void)state;
	mine.role = EVIDENCE_CALLER;
	assert_int_equal(welcome_format(&mine, frame, sizeof(frame)), -EINVAL);
	mine.role = EVIDENCE_CLIENT;
	mine.yours_len = WELCOME_CHECKPOINT_MAX + 1;
	assert_int_equal(welcome_format(&mine, frame, sizeof(frame)), -EINVAL);
}

/* Cut, lengthened, or of another type: none of it is a WELCOME. */
static void
test_not_read(void **state)
{
	uint8_t frame[WELCOME_FRAME_MAX + 1];
	struct welcome w;
	ssize_t n;
	size_t i;

	(void)state;
	n = welcome_format(&mine, frame, sizeof(frame));
	for (i = 0; i < (size_t)n; i++)
		assert_int_equal(welcome_parse(frame, i, &w), -EBADMSG);
	assert_int_equal(welcome_parse(frame, (size_t)n + 1, &w), -EBADMSG);
	/* A length that fits, over a body that does not. */
	for (i = FRAME_HEAD_LEN; i < (size_t)n; i++) {
		frame_head_put(frame, FRAME_WELCOME,
		    (uint32_t)(i - FRAME_HEAD_LEN));
		assert_int_equal(welcome_parse(frame, i, &w), -EBADMSG);
	}
	n = welcome_format(&mine, frame, sizeof(frame));
	frame[0] = 2;
	assert_int_equal(welcome_len(frame), -EBADMSG);
	frame_head_put(frame, FRAME_WELCOME, WELCOME_BODY_MAX + 1);
	assert_int_equal(welcome_len(frame), -EBADMSG);
	frame_head_put(frame, FRAME_WELCOME, WELCOME_BODY_MIN - 1);
	assert_int_equal(welcome_len(frame), -EBADMSG);
	n = welcome_format(&mine, frame, sizeof(frame));
	frame[FRAME_HEAD_LEN] = 3; /* role */
	assert_int_equal(welcome_parse(frame, (size_t)n, &w), -EBADMSG);
}

static void
test_compared(void **state)
{
	struct welcome w;

	(void)state;
	assert_null(welcome_check(&mine, &theirs));
	assert_null(welcome_check(&theirs, &mine));
	w = mine; /* our own, sent back */
	assert_string_equal(welcome_check(&mine, &w), "role");
	w = theirs;
	w.own_leaf[31] ^= 1;
	assert_string_equal(welcome_check(&mine, &w), "sender's leaf");
	w = theirs;
	w.peer_leaf[0] ^= 1;
	assert_string_equal(welcome_check(&mine, &w), "receiver's leaf");
	w = theirs;
	w.exporter[16] ^= 1;
	assert_string_equal(welcome_check(&mine, &w), "exporter");
	w = theirs;
	w.head[3] ^= 1;
	assert_string_equal(welcome_check(&mine, &w), "registry head");
	/* A registry that is ahead has another head, and that is no fork. */
	w.seq++;
	assert_null(welcome_check(&mine, &w));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_there_and_back, setup),
		cmocka_unit_test_setup(test_not_written, setup),
		cmocka_unit_test_setup(test_not_read, setup),
		cmocka_unit_test_setup(test_compared, setup),
	};

	return cmocka_run_group_tests_name("welcome", tests, NULL, NULL);
}
