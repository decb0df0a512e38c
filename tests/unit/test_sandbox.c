/* SPDX-License-Identifier: ISC */
/*
 * test_sandbox.c - what clawd tells a child about its sandbox arrives, and the
 * tables answer as they read.
 */
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/landlock_abi.h"
#include "common/sandbox.h"
#include "common/sandbox_int.h"

static void
given_travels(void **state)
{
	struct sandbox_given in = { SURROUNDING_SYSTEMD, SANDBOX_ALL,
		UINT32_MAX, UINT64_MAX, 4026531839, 1, true };
	struct sandbox_given out;
	char text[SANDBOX_GIVEN_SIZE];

	(void)state;
	memset(&out, 0, sizeof(out));
	assert_int_equal(sandbox_given_format(&in, text, sizeof(text)), 0);
	assert_int_equal(sandbox_given_parse(text, &out), 0);
	assert_int_equal(out.surrounding, in.surrounding);
	assert_int_equal(out.layers, in.layers);
	assert_int_equal(out.uid, in.uid);
	assert_true(out.netns == in.netns && out.ipcns == in.ipcns &&
	    out.utsns == in.utsns && out.user_ns);
	assert_int_equal(sandbox_given_format(&in, text, strlen(text)),
	    -ENOSPC);
}

static void
given_is_strict(void **state)
{
	static const char *const bad[] = {
		"",
		"sandbox",
		"sandbox=",
		"sandbox=0,0,0,1,1,1",
		"sandbox=0,0,0,1,1,1,",
		"sandbox=0,0,0,1,1,1,1,",
		"sandbox=0,0,0,1,1,1,1,1",
		"sandbox=0,0,0,1,1,1,2",
		"sandbox=0,0,0,1,1,1,1 ",
		"sandbox= 0,0,0,1,1,1,1",
		"sandbox=-1,0,0,1,1,1,1",
		"sandbox=4,0,0,1,1,1,1",
		"sandbox=0,80000000,0,1,1,1,1",
		"sandbox=0,0,4294967296,1,1,1,1",
		"sandbox=0,0,0,18446744073709551616,1,1,1",
		"sandbox=0,0,0,0x1,1,1,1",
		"sandbox=0,0,0,+1,1,1,1",
	};
	struct sandbox_given given;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sandbox_given_parse(bad[i], &given) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
}

static void
surroundings(void **state)
{
	(void)state;
	assert_int_equal(sandbox_surrounding_from(0, false, false),
	    SURROUNDING_ROOT);
	assert_int_equal(sandbox_surrounding_from(0, true, false),
	    SURROUNDING_SYSTEMD);
	assert_int_equal(sandbox_surrounding_from(0, true, true),
	    SURROUNDING_CONTAINER);
	assert_int_equal(sandbox_surrounding_from(1, true, true),
	    SURROUNDING_USER);
	sandbox_surrounding_set(SURROUNDING_SYSTEMD);
	assert_int_equal(sandbox_surrounding(), SURROUNDING_SYSTEMD);
}

/* Wherever a node runs, these are never left to chance. */
static void
always_needed(void **state)
{
	static const enum sandbox_layer must[] = { LAYER_CAPABILITIES,
		LAYER_NO_NEW_PRIVS, LAYER_DUMPABLE, LAYER_LIMITS,
		LAYER_SECCOMP };
	unsigned int i, s;

	(void)state;
	for (s = 0; s < SURROUNDING_MAX; s++) {
		for (i = 0; i < sizeof(must) / sizeof(must[0]); i++)
			assert_int_equal(
			    sandbox_need(must[i], (enum sandbox_surrounding)s),
			    NEED_MUST);
		assert_true(sandbox_need(LAYER_LANDLOCK,
				(enum sandbox_surrounding)s) >= NEED_KERNEL);
	}
	assert_int_equal(sandbox_need(LAYER_MAX, SURROUNDING_USER), NEED_MUST);
	assert_int_equal(sandbox_need(LAYER_USER, SURROUNDING_MAX), NEED_MUST);
}

static void
every_layer_is_probed(void **state)
{
	unsigned int p, l;

	(void)state;
	for (p = 0; p < PROC_MAX; p++) {
		if ((P_ALL & PROC_BIT(p)) == 0)
			continue;
		for (l = 0; l < LAYER_MAX; l++)
			/* Only signals could tell; the negative tests do. */
			if (l != LAYER_SCOPE &&
			    /* They have the host's network, and are to. */
			    (l != LAYER_NETWORK ||
				(p != PROC_MESHD && p != PROC_SFTD)) &&
			    sandbox_probes_of((enum proc)p, SANDBOX_BIT(l)) ==
				0)
				fail_msg("nothing probes %s in %s",
				    sandbox_layer_name((enum sandbox_layer)l),
				    proc_name((enum proc)p));
		assert_int_equal(sandbox_probes_of((enum proc)p, 0), 0);
	}
	assert_int_equal(sandbox_probes_of(PROC_MAX, SANDBOX_ALL), 0);
}

static void
clawd_has_none(void **state)
{
	struct sandbox_report rep;
	struct sock_filter *f;
	size_t n;

	(void)state;
	assert_int_equal(
	    sandbox_filter_compile(PROC_CLAWD, SANDBOX_FIRST, &f, &n), -EINVAL);
	assert_int_equal(
	    sandbox_enter(PROC_CLAWD, NULL, NULL, 0, SANDBOX_ALL, &rep),
	    -EINVAL);
	assert_string_equal(rep.text,
	    "process: has no sandbox: Invalid argument");
}

static void
table_reads(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	unsigned int i;

	(void)state;
	assert_non_null(out);
	assert_int_equal(sandbox_table_print(out), 0);
	assert_int_equal(fclose(out), 0);
	for (i = 0; i < LAYER_MAX; i++)
		assert_non_null(
		    strstr(text, sandbox_layer_name((enum sandbox_layer)i)));
	for (i = 0; i < PROBE_MAX; i++)
		assert_non_null(
		    strstr(text, sandbox_probe_name((enum sandbox_probe)i)));
	assert_non_null(strstr(text, "mmap"));
	assert_non_null(
	    strstr(text, " if ONLY_BITS(2, PROT_READ | PROT_WRITE)"));
	free(text);
}

/* What a process may that has got its directory: 0, or which act was wrong. */
static int
act_confined(int inside, int outside)
{
	const int make = O_WRONLY | O_CREAT | O_EXCL;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    sandbox_enter_dir(inside) != 0)
		return 1;
	if (openat(inside, "made", make, 0600) == -1 ||
	    mkdirat(inside, "folder", 0700) == -1 ||
	    openat(inside, "folder/made", make, 0600) == -1 ||
	    symlinkat("made", inside, "link") == -1 ||
	    unlinkat(inside, "made", 0) == -1)
		return 2;
	if (openat(outside, "made", make, 0600) != -1 ||
	    mkdirat(outside, "folder", 0700) != -1 ||
	    symlinkat("there", outside, "link") != -1 ||
	    unlinkat(outside, "there", 0) != -1 ||
	    openat(outside, "there", O_WRONLY) != -1 ||
	    openat(inside, "../outside/there", O_WRONLY) != -1)
		return 3;
	return 0;
}

static void
a_late_directory_is_the_only_one(void **state)
{
	char top[] = "/tmp/test_sandbox.XXXXXX", command[64];
	int dir, inside, outside, status;
	pid_t pid;

	(void)state;
	if (syscall(LL_SYS_CREATE_RULESET, NULL, 0,
		LL_CREATE_RULESET_VERSION) <= 0)
		skip();
	assert_non_null(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(dir, "inside", 0700), 0);
	assert_int_equal(mkdirat(dir, "outside", 0700), 0);
	inside = openat(dir, "inside", O_PATH | O_DIRECTORY);
	outside = openat(dir, "outside", O_PATH | O_DIRECTORY);
	close(openat(outside, "there", O_WRONLY | O_CREAT, 0600));
	pid = fork();
	if (pid == 0)
		_exit(act_confined(inside, outside));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	assert_int_equal(system(command), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(inside);
	close(outside);
	close(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(given_travels),
		cmocka_unit_test(given_is_strict),
		cmocka_unit_test(surroundings),
		cmocka_unit_test(always_needed),
		cmocka_unit_test(every_layer_is_probed),
		cmocka_unit_test(clawd_has_none),
		cmocka_unit_test(table_reads),
		cmocka_unit_test(a_late_directory_is_the_only_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
