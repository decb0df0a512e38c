/* SPDX-License-Identifier: ISC */
/*
 * test_sandbox.c - what clawd tells a child about its sandbox arrives, and the
 * tables answer as they read.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
