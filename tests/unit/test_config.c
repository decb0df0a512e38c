/* SPDX-License-Identifier: ISC */
/*
 * test_config.c - config:show, config:set and config:check say in their exit
 * status what became of the file, and on their output what is in it.
 */
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "claw/config.h"

#define HASH                                                                   \
	"sha256:00112233445566778899aabbccddeeff"                              \
	"00112233445566778899aabbccddeeff"
#define GOOD                                                                   \
	"node:\n"                                                              \
	"  name: a\n"                                                          \
	"  registry:\n"                                                        \
	"    genesis: \"" HASH "\"\n"

static char folder[] = "/tmp/claw-config-XXXXXX";
static char path[64];
static char out[8192], err[8192];
static FILE *out_file, *err_file;

static void
given(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
open_outputs(void)
{
	memset(out, 0, sizeof(out));
	memset(err, 0, sizeof(err));
	out_file = fmemopen(out, sizeof(out) - 1, "w");
	err_file = fmemopen(err, sizeof(err) - 1, "w");
	assert_non_null(out_file);
	assert_non_null(err_file);
}

static int
closed(int status)
{
	assert_int_equal(fclose(out_file), 0);
	assert_int_equal(fclose(err_file), 0);
	return status;
}

static int
set(const char *assignment)
{
	open_outputs();
	return closed(config_set(path, assignment, out_file, err_file));
}

static int
check(void)
{
	open_outputs();
	return closed(config_check(path, NULL, out_file, err_file));
}

static int
show(bool origin, bool json, char *const envp[])
{
	open_outputs();
	return closed(config_show(path,
	    (struct config_show_options){ .origin = origin, .json = json },
	    envp, out_file, err_file));
}

static void
check_tells_right_from_wrong(void **state)
{
	(void)state;
	given(GOOD);
	assert_int_equal(check(), 0);
	assert_string_equal(err, "");
	given(GOOD "log:\n  levle: info\n");
	assert_int_equal(check(), 78);
	assert_string_equal(out, "");
	assert_non_null(strstr(err,
	    ":6:3: unknown key \"levle\" in log (did you mean \"level\"?)\n"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(check(), 78);
	assert_non_null(strstr(err, "claw init"));
}

static void
show_prints_what_is_in_force(void **state)
{
	char variable[] = "CLAW_LOG_LEVEL=debug", *envp[] = { variable, NULL };

	(void)state;
	given(GOOD);
	assert_int_equal(show(false, false, NULL), 0);
	assert_non_null(strstr(out, "node:\n  name: a\n"));
	assert_null(strchr(out, '#'));
	assert_int_equal(show(true, false, envp), 0);
	assert_non_null(strstr(out, "  name: a  # claw.yaml:2\n"));
	assert_non_null(strstr(out, "  level: debug  # env CLAW_LOG_LEVEL\n"));
	assert_non_null(strstr(out, "  max_clients: 64  # default\n"));
	assert_int_equal(show(false, true, envp), 0);
	assert_non_null(strstr(out, "\"log.level\":\"debug\""));
	assert_non_null(strstr(out, "\"control.max_clients\":64,"));
	assert_non_null(strstr(out, "local_enclave\":true"));
	assert_int_equal(show(true, true, envp), 0);
	assert_non_null(strstr(out,
	    "\"node.name\":{\"origin\":\"claw.yaml:2\",\"value\":\"a\"}"));
	given("x");
	assert_int_equal(show(true, true, envp), 78);
	assert_string_equal(out, "");
}

static void
set_says_what_became_of_the_file(void **state)
{
	(void)state;
	given(GOOD "log:\n  level: info\n");
	assert_int_equal(set("log.level=debug"), 0);
	assert_non_null(strstr(out, ":6\n-  level: info\n+  level: debug\n"));
	assert_non_null(strstr(out, "claw reload"));
	assert_int_equal(set("node.name=b"), 0);
	assert_non_null(strstr(out, "when clawd starts again"));
	assert_int_equal(set("log.level"), 64);
	assert_int_equal(set("=x"), 64);
	assert_int_equal(set("log.levle=info"), 64);
	assert_non_null(strstr(err, "(did you mean \"log.level\"?)"));
	assert_int_equal(set("log.level=loud"), 64);
	assert_int_equal(set("audit.reserve=8388608"), 64);
	assert_int_equal(set("audit.warn_at=95%"), 78);
	assert_non_null(strstr(err, "the file is as it was"));
	assert_int_equal(check(), 0);
	given("node: {name: a, registry: {genesis: " HASH "}}\n");
	assert_int_equal(set("node.name=b"), 78);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(set("node.name=b"), 78);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(set("node.name=b"), 74);
	assert_int_equal(rmdir(path), 0);
}

static void
set_cannot_make_a_file_where_it_may_not_write(void **state)
{
	bool root = geteuid() == 0;

	(void)state;
	given(GOOD);
	assert_int_equal(chmod(folder, 0500), 0);
	if (root) {
		/* Root may write anywhere that is not read-only. */
		assert_int_equal(seteuid(65534), 0);
		assert_int_equal(set("node.name=b"), 74);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(chown(folder, 65534, 65534), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	assert_int_equal(set("node.name=b"), 73);
	assert_non_null(strstr(err, "cannot be made beside it: Permission"));
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_equal(check(), 0);
	assert_int_equal(unlink(path), 0);
}

static void
a_full_output_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	given(GOOD);
	assert_int_equal(config_check(path, NULL, full, stderr), 74);
	(void)fclose(full);
	assert_int_equal(unlink(path), 0);
}

static int
make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/claw.yaml", folder);
	return 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_tells_right_from_wrong),
		cmocka_unit_test(show_prints_what_is_in_force),
		cmocka_unit_test(set_says_what_became_of_the_file),
		cmocka_unit_test(set_cannot_make_a_file_where_it_may_not_write),
		cmocka_unit_test(a_full_output_is_an_error),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
