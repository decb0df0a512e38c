/* SPDX-License-Identifier: ISC */
/*
 * cmd.h - the command line: verbs and flags of claw/commands.def, parsed.
 */
#ifndef CLAW_CLAW_CMD_H
#define CLAW_CLAW_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit statuses beyond sysexits.h are listed in claw(1). */
#define EXIT_NEGATIVE 1

enum cmd_verb {
#define VERB(id, name, operands, min, max, run, what) VERB_##id,
#include "claw/commands.def"
#undef VERB
	VERB_MAX,
	VERB_EVERY = VERB_MAX
};

enum cmd_flag {
#define FLAG(id, verb, name, letter, arg, what) FLAG_##id,
#include "claw/commands.def"
#undef FLAG
	FLAG_MAX
};

enum cmd_color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

#define CMD_GIVEN_MAX 48
#define CMD_OPERANDS_MAX 16

/* One invocation. Strings are argv's. */
struct cmd {
	enum cmd_verb verb;
	const char *file; /* configuration: -f, or the default */
	bool json;
	bool help;
	bool bare; /* no verb was given */
	enum cmd_color color;
	char *const *envp;
	char joined[64]; /* the verb as typed, for errors */
	const char *operands[CMD_OPERANDS_MAX];
	size_t n_operands;
	struct {
		enum cmd_flag flag;
		const char *value; /* "" where it takes none */
	} given[CMD_GIVEN_MAX];
	size_t n_given;
};

struct cmd_verb_def {
	const char *name;
	const char *operands;
	size_t min, max;
	int (*run)(const struct cmd *);
	const char *what;
};

struct cmd_flag_def {
	enum cmd_verb verb; /* VERB_EVERY */
	const char *name;
	char letter;
	const char *arg;
	const char *what;
	bool many;
};

const struct cmd_verb_def *cmd_verb_def(enum cmd_verb v);
const struct cmd_flag_def *cmd_flag_def(enum cmd_flag f);

/*
 * Takes a command line apart. 0, or 64 after saying on err what is wrong and
 * what was perhaps meant; c->json tells in which form.
 */
int cmd_parse(struct cmd *c, int argc, char *const argv[], FILE *err);

/* The value of a flag, "" if it takes none; NULL if it was not given. */
const char *cmd_value(const struct cmd *c, enum cmd_flag f);
/* All values of a flag that may be repeated; how many. */
size_t
cmd_values(const struct cmd *c, enum cmd_flag f, const char **out, size_t max);

/* The usage line of a verb, as `claw audit:prove [--dir DIR] [--line] N`. */
void cmd_synopsis(enum cmd_verb v, FILE *out);
void cmd_help(FILE *out);
void cmd_help_verb(enum cmd_verb v, FILE *out);
/* The whole table: {"schema":"claw.help/1","verbs":[...]}. */
int cmd_help_json(FILE *out);
/* 0, or 64 for a shell that is not known. */
int cmd_completion(const char *shell, FILE *out);

#define VERB(id, name, operands, min, max, run, what)                          \
	int run(const struct cmd *);
#include "claw/commands.def"
#undef VERB

#endif
