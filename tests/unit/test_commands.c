/* SPDX-License-Identifier: ISC */
/*
 * test_commands.c - the command line is what its table says: every verb with
 * colons or spaces, no flag that the verb does not have, nothing guessed; and
 * help and completions name all of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "claw/cmd.h"

/* The verbs themselves are not what is tested here. */
#define VERB(id, name, operands, min, max, run, what)                          \
	int run(const struct cmd *c)                                           \
	{                                                                      \
		(void)c;                                                       \
		return 0;                                                      \
	}
#include "claw/commands.def"
#undef VERB

static struct cmd cmd;
static char err[4096];

/* Splits at spaces. */
static int
parse(const char *line)
{
	static char words[512];
	char *argv[32] = { NULL }, *save = NULL;
	char claw[] = "claw";
	int argc = 1, status;
	FILE *f;

	snprintf(words, sizeof(words), "%s", line);
	argv[0] = claw;
	for (argv[argc] = strtok_r(words, " ", &save); argv[argc] != NULL;
	     argv[argc] = strtok_r(NULL, " ", &save))
		argc++;
	memset(err, 0, sizeof(err));
	f = fmemopen(err, sizeof(err) - 1, "w");
	assert_non_null(f);
	status = cmd_parse(&cmd, argc, argv, f);
	fclose(f);
	assert_int_equal(status != 0, err[0] != '\0');
	return status;
}

static char *
printed(void (*print)(FILE *))
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	print(f);
	fclose(f);
	return text;
}

static void
every_verb_with_colons_and_with_spaces(void **state)
{
	char line[64], *colon;
	unsigned int v;

	(void)state;
	for (v = 0; v < VERB_MAX; v++) {
		const struct cmd_verb_def *def = cmd_verb_def((enum cmd_verb)v);

		assert_true(def->min <= 3 && def->max <= CMD_OPERANDS_MAX);
		snprintf(line, sizeof(line), "%s%.*s", def->name,
		    (int)(2 * def->min), " x x x");
		assert_int_equal(parse(line), 0);
		assert_int_equal(cmd.verb, v);
		assert_int_equal(cmd.n_operands, def->min);
		while ((colon = strchr(line, ':')) != NULL)
			*colon = ' ';
		assert_int_equal(parse(line), 0);
		assert_int_equal(cmd.verb, v);
		snprintf(line, sizeof(line), "%s --help", def->name);
		assert_int_equal(parse(line), 0);
		assert_true(cmd.help);
	}
}

static void
nothing_is_status(void **state)
{
	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(cmd.verb, VERB_STATUS);
	assert_true(cmd.bare);
	assert_int_equal(parse("--help"), 0);
	assert_int_equal(cmd.verb, VERB_HELP);
	assert_int_equal(parse("--version"), 0);
	assert_int_equal(cmd.verb, VERB_VERSION);
}

static void
flags_stand_anywhere(void **state)
{
	(void)state;
	assert_int_equal(parse("-f a.yaml --json audit prove 7 --dir=d"), 0);
	assert_string_equal(cmd.file, "a.yaml");
	assert_true(cmd.json);
	assert_string_equal(cmd.operands[0], "7");
	assert_string_equal(cmd_value(&cmd, FLAG_PROVE_DIR), "d");
	assert_null(cmd_value(&cmd, FLAG_PROVE_LINE));
	assert_int_equal(parse("audit:prove --line 7 --dir d -fa.yaml"), 0);
	assert_string_equal(cmd_value(&cmd, FLAG_PROVE_LINE), "");
	assert_string_equal(cmd.file, "a.yaml");
	/* A verb's own letter comes first behind it. */
	assert_int_equal(parse("-f a.yaml audit:tail -f -n3"), 0);
	assert_string_equal(cmd.file, "a.yaml");
	assert_string_equal(cmd_value(&cmd, FLAG_TAIL_FOLLOW), "");
	assert_string_equal(cmd_value(&cmd, FLAG_TAIL_LINES), "3");
	assert_int_equal(parse("audit:note -- --json"), 0);
	assert_string_equal(cmd.operands[0], "--json");
	assert_false(cmd.json);
	assert_int_equal(parse("audit:note -"), 0);
	assert_string_equal(cmd.operands[0], "-");
}

static void
some_flags_repeat(void **state)
{
	const char *all[4];

	(void)state;
	assert_int_equal(parse("audit:verify --witness a --witness b --vkey c"),
	    0);
	assert_int_equal(cmd_values(&cmd, FLAG_VERIFY_WITNESS, all, 4), 2);
	assert_string_equal(all[1], "b");
	assert_int_equal(parse("audit:verify --vkey a --vkey b"), 0);
	assert_int_equal(cmd_values(&cmd, FLAG_VERIFY_VKEY, all, 4), 2);
	assert_string_equal(all[0], "a");
	assert_int_equal(parse("audit:verify --expect a --expect b"), 64);
}

static void
nothing_is_guessed(void **state)
{
	static const struct {
		const char *line, *says;
	} wrong[] = {
		{ "statsu", "did you mean status?" },
		{ "ping", "did you mean api:ping?" },
		{ "audit tial", "did you mean audit:tail?" },
		{ "audit", "audit wants a verb: audit:verify" },
		{ "stat", "unknown verb stat" },
		{ "xyzzy", "claw --help" },
		{ "status --jsno", "did you mean --json?" },
		{ "status --keep", "unknown flag --keep" },
		{ "status -x", "unknown flag -x" },
		{ "status me", "takes no operand" },
		{ "--dir d status", "unknown flag --dir" },
		{ "audit:prove", "wants N" },
		{ "audit:prove 1 2", "nothing more" },
		{ "audit:tail --lines", "wants COUNT" },
		{ "demo --keep=yes", "takes no argument" },
		{ "--color=blue", "auto, always or never" },
		{ "-f a -f b status", "twice" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(wrong[i].line), 64);
		if (strstr(err, wrong[i].says) == NULL)
			fail_msg("claw %s says: %s", wrong[i].line, err);
	}
}

static void
errors_are_json_where_json_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(parse("--json statsu"), 64);
	assert_int_equal(strncmp(err, "{\"error\":{", 10), 0);
	assert_non_null(strstr(err, "\"schema\":\"claw.error/1\""));
	assert_int_equal(parse("statsu --json"), 64);
	assert_int_equal(err[0], '{');
}

static void
help_names_all(void **state)
{
	char *text = printed(cmd_help), *line;
	size_t longest = 0;
	unsigned int v;

	(void)state;
	for (v = 0; v < VERB_MAX; v++)
		assert_non_null(
		    strstr(text, cmd_verb_def((enum cmd_verb)v)->what));
	for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (strlen(line) > longest)
			longest = strlen(line);
	assert_in_range(longest, 1, 80);
	free(text);
}

static void
complete_bash(FILE *f)
{
	assert_int_equal(cmd_completion("bash", f), 0);
}

static void
complete_zsh(FILE *f)
{
	assert_int_equal(cmd_completion("zsh", f), 0);
}

static void
complete_fish(FILE *f)
{
	assert_int_equal(cmd_completion("fish", f), 0);
}

static void
completions_name_all(void **state)
{
	static void (*const shells[])(
	    FILE *) = { complete_bash, complete_zsh, complete_fish };
	char name[64], *text, *colon;
	unsigned int v, f;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		text = printed(shells[i]);
		for (v = 0; v < VERB_MAX; v++) {
			snprintf(name, sizeof(name), "%s",
			    cmd_verb_def((enum cmd_verb)v)->name);
			assert_non_null(strstr(text, name));
			colon = strchr(name, ':');
			if (colon != NULL)
				*colon = '\0';
		}
		for (f = 0; f < FLAG_MAX; f++)
			assert_non_null(
			    strstr(text, cmd_flag_def((enum cmd_flag)f)->name));
		free(text);
	}
	assert_int_equal(cmd_completion("tcsh", stderr), 64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verb_with_colons_and_with_spaces),
		cmocka_unit_test(nothing_is_status),
		cmocka_unit_test(flags_stand_anywhere),
		cmocka_unit_test(some_flags_repeat),
		cmocka_unit_test(nothing_is_guessed),
		cmocka_unit_test(errors_are_json_where_json_is_asked_for),
		cmocka_unit_test(help_names_all),
		cmocka_unit_test(completions_name_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
