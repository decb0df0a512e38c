/* SPDX-License-Identifier: ISC */
/*
 * cmd.c - the command line: verbs and flags of claw/commands.def, parsed.
 *
 *	claw [-f FILE] [--json] noun:verb [flags] [operands]
 *
 * A space works in place of each colon. Nothing is abbreviated and nothing is
 * guessed: a word that is nearly a verb is named in the error, not executed.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "claw/cmd.h"
#include "claw/out.h"
#include "common/suggest.h"

static const struct cmd_verb_def verbs[VERB_MAX] = {
#define VERB(id, name, operands, min, max, run, what)                          \
	[VERB_##id] = { name, operands, min, max, run, what },
#include "claw/commands.def"
#undef VERB
};

static const struct cmd_flag_def flags[FLAG_MAX] = {
#define FLAG(id, verb, name, letter, arg, what)                                \
	[FLAG_##id] = { VERB_##verb, name, letter, arg, what, false },
#include "claw/commands.def"
#undef FLAG
};

static bool
may_repeat(enum cmd_flag f)
{
	switch (f) {
#define MANY(id) case FLAG_##id:
#include "claw/commands.def"
#undef MANY
		return true;
	default:
		return false;
	}
}

const struct cmd_verb_def *
cmd_verb_def(enum cmd_verb v)
{
	return &verbs[v];
}

const struct cmd_flag_def *
cmd_flag_def(enum cmd_flag f)
{
	return &flags[f];
}

const char *
cmd_value(const struct cmd *c, enum cmd_flag f)
{
	size_t i;

	for (i = 0; i < c->n_given; i++)
		if (c->given[i].flag == f)
			return c->given[i].value;
	return NULL;
}

size_t
cmd_values(const struct cmd *c, enum cmd_flag f, const char **out, size_t max)
{
	size_t i, n = 0;

	for (i = 0; i < c->n_given && n < max; i++)
		if (c->given[i].flag == f)
			out[n++] = c->given[i].value;
	return n;
}

/* The words of a command line, one after the other. */
struct words {
	int argc;
	char *const *argv;
	int next;
	bool flags_over; /* after -- */
	bool have_verb;
};

static bool
flag_applies(const struct cmd *c, const struct words *w, size_t f)
{
	return flags[f].verb == VERB_EVERY ||
	    (w->have_verb && flags[f].verb == c->verb);
}

static int
flag_unknown(struct cmd *c, const struct words *w, const char *name, FILE *err)
{
	const char *known[FLAG_MAX], *near;
	size_t f;

	for (f = 0; f < FLAG_MAX; f++)
		known[f] = flag_applies(c, w, f) ? flags[f].name : NULL;
	near = suggest_nearest(name, known, FLAG_MAX);
	if (near != NULL)
		return out_error(c, err, EX_USAGE, "UsageError",
		    "unknown flag --%s; did you mean --%s?", name, near);
	return out_error(c, err, EX_USAGE, "UsageError",
	    "unknown flag --%s; %s%s --help lists those there are", name,
	    w->have_verb ? "claw " : "claw",
	    w->have_verb ? verbs[c->verb].name : "");
}

static int
flag_note(struct cmd *c, enum cmd_flag f, const char *value, FILE *err)
{
	if (cmd_value(c, f) != NULL && !may_repeat(f) && f != FLAG_JSON &&
	    f != FLAG_HELP)
		return out_error(c, err, EX_USAGE, "UsageError",
		    "--%s is given twice", flags[f].name);
	if (c->n_given == CMD_GIVEN_MAX)
		return out_error(c, err, EX_USAGE, "UsageError",
		    "too many flags");
	c->given[c->n_given].flag = f;
	c->given[c->n_given++].value = value;
	if (f == FLAG_JSON)
		c->json = true;
	else if (f == FLAG_HELP)
		c->help = true;
	else if (f == FLAG_FILE)
		c->file = value;
	else if (f == FLAG_COLOR) {
		if (strcmp(value, "auto") == 0)
			c->color = COLOR_AUTO;
		else if (strcmp(value, "always") == 0)
			c->color = COLOR_ALWAYS;
		else if (strcmp(value, "never") == 0)
			c->color = COLOR_NEVER;
		else
			return out_error(c, err, EX_USAGE, "UsageError",
			    "--color is auto, always or never");
	}
	return 0;
}

/* value: what came behind "=" or stuck to the letter; NULL: nothing did. */
static int
flag_take(struct cmd *c, struct words *w, enum cmd_flag f, const char *value,
    FILE *err)
{
	if (flags[f].arg[0] == '\0') {
		if (value != NULL)
			return out_error(c, err, EX_USAGE, "UsageError",
			    "--%s takes no argument", flags[f].name);
		value = "";
	} else if (value == NULL) {
		if (w->next == w->argc)
			return out_error(c, err, EX_USAGE, "UsageError",
			    "--%s wants %s: %s", flags[f].name, flags[f].arg,
			    flags[f].what);
		value = w->argv[w->next++];
	}
	return flag_note(c, f, value, err);
}

static int
flag_long(struct cmd *c, struct words *w, const char *word, FILE *err)
{
	const char *equals = strchr(word, '=');
	size_t f, len = equals != NULL ? (size_t)(equals - word) : strlen(word);
	char name[64];

	if (len >= sizeof(name))
		return out_error(c, err, EX_USAGE, "UsageError",
		    "unknown flag --%s", word);
	memcpy(name, word, len);
	name[len] = '\0';
	for (f = 0; f < FLAG_MAX; f++)
		if (flag_applies(c, w, f) && strcmp(flags[f].name, name) == 0)
			return flag_take(c, w, (enum cmd_flag)f,
			    equals != NULL ? equals + 1 : NULL, err);
	return flag_unknown(c, w, name, err);
}

static int
flag_short(struct cmd *c, struct words *w, const char *word, FILE *err)
{
	size_t f, found = FLAG_MAX;

	for (f = 0; f < FLAG_MAX; f++)
		if (flag_applies(c, w, f) && flags[f].letter == word[0] &&
		    (found == FLAG_MAX || flags[f].verb != VERB_EVERY))
			found = f;
	if (found == FLAG_MAX ||
	    (word[1] != '\0' && flags[found].arg[0] == '\0'))
		return out_error(c, err, EX_USAGE, "UsageError",
		    "unknown flag -%s; claw --help lists those there are",
		    word);
	return flag_take(c, w, (enum cmd_flag)found,
	    word[1] != '\0' ? word + 1 : NULL, err);
}

static bool
is_flag(const struct words *w, const char *word)
{
	return !w->flags_over && word[0] == '-' && word[1] != '\0';
}

static enum cmd_verb
verb_by_name(const char *name)
{
	unsigned int v;

	for (v = 0; v < VERB_MAX; v++)
		if (strcmp(verbs[v].name, name) == 0)
			break;
	return (enum cmd_verb)v;
}

/* "audit" alone: the verbs that begin so. */
static int
verb_incomplete(struct cmd *c, const char *noun, FILE *err)
{
	size_t len = strlen(noun), n = 0;
	char list[512] = "";
	unsigned int v;

	for (v = 0; v < VERB_MAX; v++)
		if (strncmp(verbs[v].name, noun, len) == 0 &&
		    verbs[v].name[len] == ':' &&
		    n + strlen(verbs[v].name) + 2 < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n,
			    "%s%s", n > 0 ? ", " : "", verbs[v].name);
	if (n == 0)
		return 0;
	return out_error(c, err, EX_USAGE, "UsageError", "%s wants a verb: %s",
	    noun, list);
}

/* "ping" for api:ping. */
static const char *
verb_with_noun(const char *word)
{
	const char *colon;
	unsigned int v;

	for (v = 0; v < VERB_MAX; v++) {
		colon = strchr(verbs[v].name, ':');
		if (colon != NULL && strcmp(colon + 1, word) == 0)
			return verbs[v].name;
	}
	return NULL;
}

static int
verb_unknown(struct cmd *c, const char *word, bool alone, FILE *err)
{
	const char *names[VERB_MAX], *near, *typed = c->joined;
	unsigned int v;
	int status;

	status = alone ? verb_incomplete(c, word, err) : 0;
	if (status != 0)
		return status;
	for (v = 0; v < VERB_MAX; v++)
		names[v] = verbs[v].name;
	near = suggest_nearest(typed, names, VERB_MAX);
	if (near == NULL) {
		typed = word;
		near = verb_with_noun(word);
	}
	if (near == NULL)
		near = suggest_nearest(typed, names, VERB_MAX);
	if (near != NULL)
		return out_error(c, err, EX_USAGE, "UsageError",
		    "unknown verb %s; did you mean %s?", typed, near);
	return out_error(c, err, EX_USAGE, "UsageError",
	    "unknown verb %s; claw --help lists those there are", typed);
}

/*
 * One word, or two or three with spaces for the colons; the longest that is a
 * verb counts.
 */
static int
take_verb(struct cmd *c, struct words *w, FILE *err)
{
	const char *first = w->argv[w->next - 1];
	char joined[64];
	enum cmd_verb v;
	int n, taken = -1;
	size_t len = 0;

	for (n = 0; n < 3 && w->next - 1 + n < w->argc; n++) {
		const char *word = w->argv[w->next - 1 + n];

		if ((n > 0 && is_flag(w, word)) ||
		    len + strlen(word) + 2 > sizeof(joined))
			break;
		len += (size_t)snprintf(joined + len, sizeof(joined) - len,
		    "%s%s", n > 0 ? ":" : "", word);
		if (n <= 1)
			memcpy(c->joined, joined, len + 1);
		v = verb_by_name(joined);
		if (v != VERB_MAX) {
			c->verb = v;
			taken = n;
		}
	}
	if (taken == -1) {
		if (c->joined[0] == '\0')
			snprintf(c->joined, sizeof(c->joined), "%.60s", first);
		return verb_unknown(c, first, n <= 1, err);
	}
	w->next += taken;
	w->have_verb = true;
	return 0;
}

static int
take_operand(struct cmd *c, const char *word, FILE *err)
{
	const struct cmd_verb_def *def = &verbs[c->verb];

	if (c->n_operands == def->max) {
		if (def->max == 0)
			return out_error(c, err, EX_USAGE, "UsageError",
			    "%s takes no operand; what is \"%s\"?", def->name,
			    word);
		return out_error(c, err, EX_USAGE, "UsageError",
		    "%s takes %s and nothing more; quote a text with spaces",
		    def->name, def->operands);
	}
	c->operands[c->n_operands++] = word;
	return 0;
}

static int
take_word(struct cmd *c, struct words *w, FILE *err)
{
	const char *word = w->argv[w->next++];

	if (!w->flags_over && strcmp(word, "--") == 0) {
		w->flags_over = true;
		return 0;
	}
	if (!w->have_verb && strcmp(word, "--version") == 0) {
		c->verb = VERB_VERSION;
		w->have_verb = true;
		return 0;
	}
	if (is_flag(w, word))
		return word[1] == '-' ? flag_long(c, w, word + 2, err) :
					flag_short(c, w, word + 1, err);
	return w->have_verb ? take_operand(c, word, err) : take_verb(c, w, err);
}

int
cmd_parse(struct cmd *c, int argc, char *const argv[], FILE *err)
{
	struct words w = { .argc = argc, .argv = argv, .next = 1 };
	int i, status = 0;

	memset(c, 0, sizeof(*c));
	c->file = CLAW_SYSCONFDIR "/claw/claw.yaml";
	/* Errors before --json want to be JSON too. */
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			c->json = true;
	while (w.next < argc && status == 0)
		status = take_word(c, &w, err);
	if (status != 0)
		return status;
	if (!w.have_verb) {
		c->bare = !c->help;
		c->verb = c->help ? VERB_HELP : VERB_STATUS;
		c->help = false;
	}
	if (!c->help && c->n_operands < verbs[c->verb].min)
		return out_error(c, err, EX_USAGE, "UsageError",
		    "%s wants %s: %s", verbs[c->verb].name,
		    verbs[c->verb].operands, verbs[c->verb].what);
	return 0;
}
