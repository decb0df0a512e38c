/* SPDX-License-Identifier: ISC */
/*
 * test_witness.c - a log that was set back is an alarm; two sessions at a time
 * are none.
 */
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

#include "attestd/attestd.h"
#include "common/b64.h"
#include "common/note.h"

struct attestd attestd = { .node = "alpha" };

static char folder[] = "/tmp/test_witness.XXXXXX";
static unsigned int alarms;

bool
attestd_record(struct auditrec *r, chan_done *done, void *arg)
{
	(void)done;
	(void)arg;
	assert_int_equal(auditrec_msg(r)->event, AUDIT_LOG_ALARM);
	alarms++;
	return true;
}

/* Beta's WELCOME in a session that began then, with so many records. */
static const char *
welcome(uint64_t began, const char *shard, unsigned int size, uint8_t root)
{
	uint8_t hash[32], sig[68];
	char text[512], root64[64], sig64[128];

	memset(hash, root, sizeof(hash));
	memset(sig, 1, sizeof(sig));
	root64[b64_put(hash, sizeof(hash), root64)] = '\0';
	sig64[b64_put(sig, sizeof(sig), sig64)] = '\0';
	snprintf(text, sizeof(text),
	    "0000000000000000/beta/%s\n%u\n%s\n\n"
	    "\xe2\x80\x94 0000000000000000/beta/%s %s\n",
	    shard, size, root64, shard, sig64);
	return witness_take("beta", began, text, strlen(text), NULL, 0);
}

static void
test_set_back(void **state)
{
	(void)state;
	alarms = 0;
	assert_null(welcome(witness_now(), "2026-10", 7, 7));
	assert_null(welcome(witness_now(), "2026-10", 7, 7));
	assert_null(welcome(witness_now(), "2026-10", 9, 9));
	assert_int_equal(alarms, 0);
	assert_null(welcome(witness_now(), "2026-10", 8, 8));
	assert_int_equal(alarms, 1);
	assert_null(welcome(witness_now(), "2026-10", 9, 8));
	assert_int_equal(alarms, 2);
	assert_null(welcome(witness_now(), "2026-09", 99, 9));
	assert_int_equal(alarms, 3);
	assert_null(welcome(witness_now(), "2026-11", 1, 1));
	assert_int_equal(alarms, 3);
	assert_non_null(
	    witness_take("beta", witness_now(), "junk", 4, NULL, 0));
}

static void
test_two_at_a_time(void **state)
{
	uint64_t one = witness_now(), other = witness_now();

	(void)state;
	alarms = 0;
	assert_null(welcome(one, "2026-12", 20, 20));
	/* Said before that one, and read after it. */
	assert_null(welcome(other, "2026-12", 10, 10));
	assert_int_equal(alarms, 0);
	/* As long as that one, and another log: no time explains it. */
	assert_null(welcome(other, "2026-12", 20, 10));
	assert_int_equal(alarms, 1);
	/* It has not taken the newer one's place. */
	assert_null(welcome(witness_now(), "2026-12", 10, 10));
	assert_int_equal(alarms, 2);
	assert_null(welcome(witness_now(), "2026-12", 21, 21));
	assert_int_equal(alarms, 2);
}

static int
setup(void **state)
{
	int fd;

	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	witness_load(fd);
	return fd == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/checkpoint.beta", folder);
	unlink(path);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_back),
		cmocka_unit_test(test_two_at_a_time),
	};

	return cmocka_run_group_tests_name("witness", tests, setup, teardown);
}
