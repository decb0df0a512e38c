/* SPDX-License-Identifier: ISC */
/*
 * config.c - the verbs config:show, config:set and config:check.
 *
 * Nothing here is known of YAML or of single keys: common/conf.c reads,
 * common/confedit.c edits, and this room turns what they say into output and
 * an exit status.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "claw/config.h"
#include "common/conf.h"
#include "common/confedit.h"

static int
status_of(int error)
{
	switch (error) {
	case 0:
		return EX_OK;
	case -EIO:
	case -ENOMEM:
		return EX_IOERR;
	default:
		return EX_CONFIG;
	}
}

static int
load(struct conf *c, const char *file, char *const envp[], FILE *err)
{
	struct conf_errors e;
	int error;

	conf_errors_init(&e);
	error = conf_load(c, &e, file, envp);
	conf_errors_print(&e, err);
	conf_errors_free(&e);
	return status_of(error);
}

static json_t *
json_of_value(const struct conf *c, enum conf_key key)
{
	char text[CONF_TEXT_MAX];

	conf_value_text(c, key, text, sizeof(text));
	if (!conf_value_is_plain(key))
		return json_string(text);
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return json_boolean(text[0] == 't');
	return json_integer(strtoll(text, NULL, 10));
}

/* {"node.name": {"value": "a", "origin": "claw.yaml:2"}, ...}; without
 * origins {"node.name": "a", ...}. */
static int
show_json(const struct conf *c, bool origin, FILE *out)
{
	char from[CONF_TEXT_MAX];
	json_t *all, *value;
	size_t i;
	int error = -1;

	all = json_object();
	for (i = 0; i < CONF_KEY_MAX && all != NULL; i++) {
		value = json_of_value(c, (enum conf_key)i);
		conf_origin_text(c, (enum conf_key)i, from, sizeof(from));
		if (origin && value != NULL)
			value = json_pack("{s:o, s:s}", "value", value,
			    "origin", from);
		if (json_object_set_new(all, conf_key_path((enum conf_key)i),
			value) != 0)
			goto out;
	}
	error = json_dumpf(all, out, JSON_COMPACT | JSON_SORT_KEYS);
	(void)fputc('\n', out);
out:
	json_decref(all);
	return error == 0 ? EX_OK : EX_IOERR;
}

/* A full disk or a closed pipe behind out is an error like any other. */
static int
finish(int status, FILE *out)
{
	if (fflush(out) != 0 || ferror(out))
		return status == EX_OK ? EX_IOERR : status;
	return status;
}

int
config_show(const char *file, struct config_show_options opt,
    char *const envp[], FILE *out, FILE *err)
{
	struct conf c;
	int status;

	status = load(&c, file, envp, err);
	if (status != EX_OK)
		return status;
	if (opt.json)
		status = show_json(&c, opt.origin, out);
	else
		conf_print(&c, out, opt.origin);
	return finish(status, out);
}

int
config_check(const char *file, char *const envp[], FILE *out, FILE *err)
{
	struct conf c;
	int status;

	status = load(&c, file, envp, err);
	if (status == EX_OK)
		(void)fprintf(out, "%s: good\n", file);
	return finish(status, out);
}

/* The key before the "=", or CONF_KEY_MAX with the reason told. */
static enum conf_key
parse_assignment(const char *assignment, const char **value, FILE *err)
{
	char path[256], why[CONF_TEXT_MAX + 256];
	const char *equals = strchr(assignment, '='), *near;
	enum conf_key key;

	if (equals == NULL || (size_t)(equals - assignment) >= sizeof(path)) {
		(void)fprintf(err,
		    "claw: config:set takes key=value, as log.level=debug\n");
		return CONF_KEY_MAX;
	}
	(void)snprintf(path, sizeof(path), "%.*s", (int)(equals - assignment),
	    assignment);
	*value = equals + 1;
	key = conf_key_by_path(path);
	if (key == CONF_KEY_MAX) {
		near = conf_key_nearest(path);
		(void)fprintf(err, "claw: unknown key \"%s\"%s%s%s\n", path,
		    near == NULL ? "" : " (did you mean \"",
		    near == NULL ? "" : near, near == NULL ? "" : "\"?)");
		return CONF_KEY_MAX;
	}
	if (conf_check_value(key, *value, why, sizeof(why)) != 0) {
		(void)fprintf(err, "claw: %s %s\n", path, why);
		return CONF_KEY_MAX;
	}
	return key;
}

int
config_set(const char *file, const char *assignment, FILE *out, FILE *err)
{
	struct conf_errors e;
	const char *value;
	enum conf_key key;
	int error;

	key = parse_assignment(assignment, &value, err);
	if (key == CONF_KEY_MAX)
		return EX_USAGE;
	conf_errors_init(&e);
	error = confedit_file(file, key, value, &e, out);
	conf_errors_print(&e, err);
	conf_errors_free(&e);
	switch (error) {
	case 0:
		(void)fprintf(out, "%s\n",
		    conf_key_reloads(key) ?
			"claw reload makes a running node take it" :
			"a running node takes it when clawd starts again");
		return finish(EX_OK, out);
	case -EINVAL:
	case -ENOTSUP:
	case -EFBIG:
		(void)fprintf(err, "claw: the file is as it was\n");
		return EX_CONFIG;
	case -EIO:
	case -ENOMEM:
		return EX_IOERR;
	case -ENOENT:
		return EX_CONFIG;
	default:
		return EX_CANTCREAT;
	}
}
