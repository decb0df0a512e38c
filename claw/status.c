/* SPDX-License-Identifier: ISC */
/*
 * status.c - claw status: the node and its processes on one screen, and the
 * command to go on with. At most 12 lines.
 */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "claw/api.h"
#include "claw/cmd.h"
#include "claw/out.h"

#define ANSWER_MS 5000

static const char *
text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "?";
}

/* "3 h", from milliseconds since the epoch. */
static void
age(json_int_t since_ms, char *out, size_t size)
{
	static const struct {
		long long seconds;
		const char *unit;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" },
		{ 1, "s" } };
	long long s = (long long)time(NULL) - (long long)(since_ms / 1000);
	size_t i = 0;

	if (since_ms == 0) {
		snprintf(out, size, "-");
		return;
	}
	if (s < 0)
		s = 0;
	while (i < 3 && s < units[i].seconds)
		i++;
	snprintf(out, size, "%lld %s", s / units[i].seconds, units[i].unit);
}

static void
user_of(json_int_t uid, char *out, size_t size)
{
	const struct passwd *pw = getpwuid((uid_t)uid);

	if (pw != NULL)
		snprintf(out, size, "%s", pw->pw_name);
	else
		snprintf(out, size, "%lld", (long long)uid);
}

static enum out_style
style_of(const char *state)
{
	return strcmp(state, "ready") == 0 ? OUT_GOOD :
	    strcmp(state, "down") == 0	   ? OUT_BAD :
					     OUT_WARN;
}

/* "10 layers, 17 probes", or what is wrong with it. */
static void
sandbox_of(const json_t *process, char *out, size_t size)
{
	const json_t *s = json_object_get(process, "sandbox");
	size_t layers = json_array_size(json_object_get(s, "layers"));
	size_t failed = json_array_size(json_object_get(s, "probes_failed"));
	size_t missing = json_array_size(json_object_get(s, "missing"));
	size_t passed = json_array_size(json_object_get(s, "probes_passed"));

	if (layers == 0)
		snprintf(out, size, "-");
	else if (failed > 0)
		snprintf(out, size, "%zu probes FAILED", failed);
	else if (missing > 0)
		snprintf(out, size, "%zu layers, %zu probes, %zu missing",
		    layers, passed, missing);
	else
		snprintf(out, size, "%zu layers, %zu probes", layers, passed);
}

static void
print_process(const struct cmd *c, const json_t *p)
{
	char since[32], user[64], box[96];
	const char *state = text_of(p, "state");

	age(json_integer_value(json_object_get(p, "started_ms")), since,
	    sizeof(since));
	user_of(json_integer_value(json_object_get(p, "uid")), user,
	    sizeof(user));
	sandbox_of(p, box, sizeof(box));
	printf("  %-9s %s%-8s%s %7lld  %-15s %6s  %s", text_of(p, "name"),
	    out_on(c, stdout, style_of(state)), state, out_off(c, stdout),
	    (long long)json_integer_value(json_object_get(p, "pid")), user,
	    since, box);
	if (json_integer_value(json_object_get(p, "restarts")) > 0)
		printf("  restarted %lld times, last: %s",
		    (long long)json_integer_value(
			json_object_get(p, "restarts")),
		    text_of(p, "last_end"));
	putchar('\n');
}

static void
print_status(const struct cmd *c, const json_t *result, const char *flag,
    const char *file)
{
	bool ready = json_is_true(json_object_get(result, "ready"));
	const json_t *p;
	size_t i;

	printf("%s%s%s  %s%s%s  claw %s\n", out_on(c, stdout, OUT_BOLD),
	    text_of(result, "node"), out_off(c, stdout),
	    out_on(c, stdout, ready ? OUT_GOOD : OUT_WARN),
	    ready ? "ready" : "not ready", out_off(c, stdout),
	    text_of(result, "version"));
	json_array_foreach(json_object_get(result, "processes"), i, p)
	    print_process(c, p);
	printf("next: claw%s%s %s\n", flag, file,
	    ready ? "audit:tail" : "doctor");
}

/* No configuration and no verb: somebody is new here. */
static int
welcome(const struct cmd *c)
{
	printf("claw %s: no node is configured here (no %s).\n"
	       "try it:    claw demo\n"
	       "make one:  claw init --dir DIR --name NAME\n"
	       "all verbs: claw --help\n",
	    CLAW_VERSION, c->file);
	return out_finish(EX_CONFIG);
}

int
status_run(const struct cmd *c)
{
	bool is_default = cmd_value(c, FLAG_FILE) == NULL;
	struct api_error e;
	struct conf conf;
	json_t *result;
	FILE *f;
	int status;

	if (c->bare && is_default && !c->json) {
		f = fopen(c->file, "re");
		if (f == NULL)
			return welcome(c);
		fclose(f);
	}
	status = api_conf(c, &conf);
	if (status != EX_OK)
		return status;
	result = api_ask(&conf, "status", NULL, ANSWER_MS, &e);
	if (result == NULL)
		return api_report(c, &e);
	if (c->json)
		return out_json(c, result);
	print_status(c, result, is_default ? "" : " -f ",
	    is_default ? "" : c->file);
	json_decref(result);
	return out_finish(EX_OK);
}
