/* SPDX-License-Identifier: ISC */
/*
 * help.c - claw/commands.def for people, for shells and for programs.
 */
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "claw/cmd.h"

void
cmd_synopsis(enum cmd_verb v, FILE *out)
{
	const struct cmd_verb_def *def = cmd_verb_def(v);
	unsigned int f;

	fprintf(out, "claw %s", def->name);
	for (f = 0; f < FLAG_MAX; f++) {
		const struct cmd_flag_def *flag =
		    cmd_flag_def((enum cmd_flag)f);

		if (flag->verb != v)
			continue;
		fprintf(out, " [--%s%s%s]", flag->name,
		    flag->arg[0] != '\0' ? " " : "", flag->arg);
	}
	if (def->operands[0] != '\0')
		fprintf(out, " %s", def->operands);
	fputc('\n', out);
}

static void
print_flags(enum cmd_verb v, FILE *out)
{
	char left[64], letter[8];
	unsigned int f;

	for (f = 0; f < FLAG_MAX; f++) {
		const struct cmd_flag_def *flag =
		    cmd_flag_def((enum cmd_flag)f);

		if (flag->verb != v)
			continue;
		if (flag->letter != 0)
			snprintf(letter, sizeof(letter), "-%c, ", flag->letter);
		else
			letter[0] = '\0';
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, flag->name,
		    flag->arg[0] != '\0' ? " " : "", flag->arg);
		fprintf(out, "  %-22s %s\n", left, flag->what);
	}
}

void
cmd_help(FILE *out)
{
	char left[64];
	unsigned int v;

	fputs("claw - a node that keeps its word: processes that are confined, "
	      "keys that stay\nwhere they are, a log that no one can quietly "
	      "change\n\n"
	      "usage: claw [-f FILE] [--json] VERB [flags] [operands]\n\n",
	    out);
	for (v = 0; v < VERB_MAX; v++) {
		const struct cmd_verb_def *def = cmd_verb_def((enum cmd_verb)v);

		snprintf(left, sizeof(left), "%s%s%s", def->name,
		    def->operands[0] != '\0' ? " " : "", def->operands);
		fprintf(out, "  %-22s %s\n", left, def->what);
	}
	fputs("\nEvery verb takes:\n", out);
	print_flags(VERB_EVERY, out);
	fputs("\nclaw help VERB says more; claw(1) says all, exit statuses "
	      "too. A space works in\nplace of a colon.\n",
	    out);
}

void
cmd_help_verb(enum cmd_verb v, FILE *out)
{
	fputs("usage: ", out);
	cmd_synopsis(v, out);
	fprintf(out, "\n%s\n\n", cmd_verb_def(v)->what);
	print_flags(v, out);
	print_flags(VERB_EVERY, out);
}

static json_t *
flags_json(enum cmd_verb v)
{
	json_t *list = json_array();
	unsigned int f;

	for (f = 0; f < FLAG_MAX; f++) {
		const struct cmd_flag_def *flag =
		    cmd_flag_def((enum cmd_flag)f);

		if (flag->verb == v)
			(void)json_array_append_new(list,
			    json_pack("{s:s, s:s#, s:s, s:s}", "name",
				flag->name, "letter", &flag->letter,
				flag->letter != 0 ? 1 : 0, "argument",
				flag->arg, "what", flag->what));
	}
	return list;
}

int
cmd_help_json(FILE *out)
{
	json_t *list = json_array(), *all;
	unsigned int v;
	int r;

	for (v = 0; v < VERB_MAX; v++) {
		const struct cmd_verb_def *def = cmd_verb_def((enum cmd_verb)v);

		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:o}", "name", def->name,
			"operands", def->operands, "what", def->what, "flags",
			flags_json((enum cmd_verb)v)));
	}
	all = json_pack("{s:s, s:o, s:o}", "schema", "claw.help/1", "verbs",
	    list, "flags", flags_json(VERB_EVERY));
	r = json_dumpf(all, out, JSON_COMPACT | JSON_SORT_KEYS);
	fputc('\n', out);
	json_decref(all);
	return r == 0 ? EX_OK : EX_IOERR;
}

/* Flags of one verb and of every verb, each as --name. */
static void
put_flag_words(enum cmd_verb v, FILE *out)
{
	const char *space = "";
	unsigned int f;

	for (f = 0; f < FLAG_MAX; f++) {
		const struct cmd_flag_def *flag =
		    cmd_flag_def((enum cmd_flag)f);

		if (flag->verb != v && flag->verb != VERB_EVERY)
			continue;
		fprintf(out, "%s--%s", space, flag->name);
		space = " ";
	}
}

static void
completion_bash(FILE *out)
{
	unsigned int v;

	fputs("# bash completion of claw, made by `claw completion bash`\n"
	      "_claw()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb= flags= i w\n"
	      "\tif declare -F _get_comp_words_by_ref >/dev/null; then\n"
	      "\t\tlocal words cword\n"
	      "\t\t_get_comp_words_by_ref -n : cur words cword\n"
	      "\telse\n"
	      "\t\tlocal words=(\"${COMP_WORDS[@]}\") cword=$COMP_CWORD\n"
	      "\tfi\n"
	      "\tfor ((i = 1; i < cword; i++)); do\n"
	      "\t\tw=${words[i]}\n"
	      "\t\tcase $w in\n"
	      "\t\t-f|--file|--color) ((i++)) ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) verb=$w; break ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $verb in\n",
	    out);
	for (v = 0; v < VERB_MAX; v++) {
		fprintf(out, "\t%s) flags=\"",
		    cmd_verb_def((enum cmd_verb)v)->name);
		put_flag_words((enum cmd_verb)v, out);
		fputs("\" ;;\n", out);
	}
	fputs("\t'') flags=\"", out);
	put_flag_words(VERB_EVERY, out);
	for (v = 0; v < VERB_MAX; v++)
		fprintf(out, " %s", cmd_verb_def((enum cmd_verb)v)->name);
	fputs("\" ;;\n\tesac\n"
	      "\tcase $verb in\n"
	      "\tcompletion) flags=\"$flags bash zsh fish\" ;;\n"
	      "\tesac\n"
	      "\tcase ${words[cword-1]} in\n"
	      "\t-f|--file|--dir) COMPREPLY=($(compgen -f -- \"$cur\"));"
	      " return ;;\n"
	      "\t--color) flags=\"auto always never\" ;;\n"
	      "\tesac\n"
	      "\tCOMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n"
	      "\tif declare -F __ltrim_colon_completions >/dev/null; then\n"
	      "\t\t__ltrim_colon_completions \"$cur\"\n"
	      "\tfi\n"
	      "}\ncomplete -F _claw claw\n",
	    out);
}

/* A text between single quotes, for zsh's name:what and for fish. */
static void
put_quoted(const char *s, const char *escape, FILE *out)
{
	for (; *s != '\0'; s++) {
		if (*s == '\'')
			fputs("'\\''", out);
		else if (strchr(escape, *s) != NULL)
			fprintf(out, "\\%c", *s);
		else
			fputc(*s, out);
	}
}

static void
zsh_flags(enum cmd_verb v, FILE *out)
{
	unsigned int f;

	for (f = 0; f < FLAG_MAX; f++) {
		const struct cmd_flag_def *flag =
		    cmd_flag_def((enum cmd_flag)f);

		if (flag->verb != v && flag->verb != VERB_EVERY)
			continue;
		fprintf(out, " \\\n\t\t'--%s[", flag->name);
		put_quoted(flag->what, "[]:", out);
		fputs("]", out);
		if (strcmp(flag->arg, "WHEN") == 0)
			fputs(":when:(auto always never)", out);
		else if (flag->arg[0] != '\0') {
			fputs(":", out);
			put_quoted(flag->arg, ":", out);
			fputs(strcmp(flag->arg, "DIR") == 0    ? ":_files -/" :
				strcmp(flag->arg, "FILE") == 0 ? ":_files" :
								 ":",
			    out);
		}
		fputs("'", out);
	}
	fputs("\n", out);
}

static void
completion_zsh(FILE *out)
{
	unsigned int v;

	fputs("#compdef claw\n"
	      "# zsh completion of claw, made by `claw completion zsh`\n"
	      "_claw()\n{\n"
	      "\tlocal -a verbs\n"
	      "\tlocal verb i\n"
	      "\tverbs=(\n",
	    out);
	for (v = 0; v < VERB_MAX; v++) {
		fputs("\t\t'", out);
		put_quoted(cmd_verb_def((enum cmd_verb)v)->name, ":", out);
		fputs(":", out);
		put_quoted(cmd_verb_def((enum cmd_verb)v)->what, "", out);
		fputs("'\n", out);
	}
	fputs("\t)\n"
	      "\tfor ((i = 2; i < CURRENT; i++)); do\n"
	      "\t\tcase $words[i] in\n"
	      "\t\t-f|--file|--color) ((i++)) ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) verb=$words[i]; break ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tif [[ -z $verb && $words[CURRENT] != -* ]]; then\n"
	      "\t\t_describe verb verbs\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tcase $verb in\n",
	    out);
	for (v = 0; v < VERB_MAX; v++) {
		fprintf(out, "\t%s) _arguments",
		    cmd_verb_def((enum cmd_verb)v)->name);
		if (v == VERB_COMPLETION)
			fputs(" '*:shell:(bash zsh fish)'", out);
		else if (v == VERB_AUDIT_EXPORT)
			fputs(" '*:destination:_files'", out);
		zsh_flags((enum cmd_verb)v, out);
		fputs("\t\t;;\n", out);
	}
	fputs("\t'') _arguments", out);
	zsh_flags(VERB_EVERY, out);
	fputs("\t\t;;\n\tesac\n}\n_claw \"$@\"\n", out);
}

static void
completion_fish(FILE *out)
{
	unsigned int v, f;

	fputs("# fish completion of claw, made by `claw completion fish`\n"
	      "complete -c claw -f\n",
	    out);
	for (v = 0; v < VERB_MAX; v++) {
		fprintf(out,
		    "complete -c claw -n __fish_use_subcommand -a '%s' -d '",
		    cmd_verb_def((enum cmd_verb)v)->name);
		put_quoted(cmd_verb_def((enum cmd_verb)v)->what, "\\", out);
		fputs("'\n", out);
	}
	for (f = 0; f < FLAG_MAX; f++) {
		const struct cmd_flag_def *flag =
		    cmd_flag_def((enum cmd_flag)f);

		fputs("complete -c claw", out);
		if (flag->verb != VERB_EVERY)
			fprintf(out, " -n '__fish_seen_subcommand_from %s'",
			    cmd_verb_def(flag->verb)->name);
		fprintf(out, " -l %s", flag->name);
		if (flag->letter != 0)
			fprintf(out, " -s %c", flag->letter);
		if (strcmp(flag->arg, "WHEN") == 0)
			fputs(" -x -a 'auto always never'", out);
		else if (strcmp(flag->arg, "FILE") == 0 ||
		    strcmp(flag->arg, "DIR") == 0)
			fputs(" -r -F", out);
		else if (flag->arg[0] != '\0')
			fputs(" -x", out);
		fputs(" -d '", out);
		put_quoted(flag->what, "\\", out);
		fputs("'\n", out);
	}
	fputs("complete -c claw -n '__fish_seen_subcommand_from completion' "
	      "-a 'bash zsh fish'\n",
	    out);
}

int
cmd_completion(const char *shell, FILE *out)
{
	if (strcmp(shell, "bash") == 0)
		completion_bash(out);
	else if (strcmp(shell, "zsh") == 0)
		completion_zsh(out);
	else if (strcmp(shell, "fish") == 0)
		completion_fish(out);
	else
		return EX_USAGE;
	return EX_OK;
}
