/* SPDX-License-Identifier: ISC */
/*
 * claw.c - the command line.
 *
 * It has no right of its own: what it asks of a running node goes through the
 * control socket, what it reads (configuration, log, counters) it reads as
 * whoever calls it, whether the node runs or not. The verbs are
 * claw/commands.def; the small ones stand here.
 */
#include <sys/mman.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/api.h"
#include "claw/audit.h"
#include "claw/cmd.h"
#include "claw/out.h"
#include "claw/path.h"
#include "common/counters.h"
#include "common/netaddr.h"
#include "common/proc.h"

#define ANSWER_MS 10000
#define ORDER_MS 60000 /* a restart finishes what is under way */
#define NOTE_MAX 4096

/* Asks the node; prints the result as JSON, or through print. */
static int
ask(const struct cmd *c, const char *method, json_t *params, int timeout_ms,
    void (*print)(const json_t *))
{
	struct api_error e;
	struct conf conf;
	json_t *result;
	int status;

	status = api_conf(c, &conf);
	if (status != EX_OK) {
		json_decref(params);
		return status;
	}
	result = api_ask(&conf, method, params, timeout_ms, &e);
	if (result == NULL)
		return api_report(c, &e);
	if (c->json)
		return out_json(c, result);
	print(result);
	json_decref(result);
	return out_finish(EX_OK);
}

static const char *
text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "?";
}

static long long
number_of(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static void
print_pong(const json_t *result)
{
	(void)result;
	puts("the node answers");
}

int
ping_run(const struct cmd *c)
{
	return ask(c, "ping", NULL, ANSWER_MS, print_pong);
}

static void
print_identity(const json_t *result)
{
	const json_t *registry = json_object_get(result, "registry");

	printf("node        %s\n", text_of(result, "node"));
	printf("identity    %s\n", text_of(result, "identity"));
	printf("            %s\n", text_of(result, "did"));
	printf("sealing     %s\n", text_of(result, "sealing"));
	printf("registry    %s\n", text_of(result, "genesis"));
	printf("  entries   %lld\n", number_of(registry, "seq") + 1);
	printf("  head      %s\n", text_of(registry, "head"));
	printf("  authority %lld of %lld must sign\n",
	    number_of(registry, "threshold"),
	    number_of(registry, "authorities"));
}

int
show_run(const struct cmd *c)
{
	return ask(c, "node.show", NULL, ANSWER_MS, print_identity);
}

static void
print_done(const json_t *result)
{
	puts(text_of(result, "text"));
}

int
restart_run(const struct cmd *c)
{
	if (cmd_value(c, FLAG_RESTART_GRACEFUL) == NULL)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "say claw node:restart --graceful; for a hard restart, "
		    "claw node:stop and start clawd again");
	return ask(c, "node.restart", json_pack("{s:b}", "graceful", 1),
	    ORDER_MS, print_done);
}

int
stop_run(const struct cmd *c)
{
	return ask(c, "node.stop", NULL, ORDER_MS, print_done);
}

int
reload_run(const struct cmd *c)
{
	return ask(c, "reload", NULL, ORDER_MS, print_done);
}

static void
print_noted(const json_t *result)
{
	printf("record %lld of %s is durable\n", number_of(result, "n"),
	    text_of(result, "shard"));
}

int
audit_note_run(const struct cmd *c)
{
	char text[NOTE_MAX + 2];
	json_t *note;
	size_t n;

	if (strcmp(c->operands[0], "-") == 0) {
		n = fread(text, 1, sizeof(text) - 1, stdin);
		while (n > 0 && text[n - 1] == '\n')
			n--;
		note = json_stringn(text, n);
	} else {
		n = strlen(c->operands[0]);
		note = json_string(c->operands[0]);
	}
	if (note == NULL || n == 0 || n > NOTE_MAX) {
		json_decref(note);
		return out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "a note is UTF-8 text of 1 to %d bytes", NOTE_MAX);
	}
	return ask(c, "audit.note", json_pack("{s:o}", "text", note), ANSWER_MS,
	    print_noted);
}

static void
print_checked(const json_t *result)
{
	if (json_is_true(json_object_get(result, "sound")))
		printf(
		    "%lld records of %s are on the disk as they were written\n",
		    number_of(result, "records"), text_of(result, "shard"));
	else
		printf("%s is damaged on the disk: %s; keep a copy, then find "
		       "the rest with claw audit:verify\n",
		    text_of(result, "shard"), text_of(result, "what"));
}

int
audit_check_run(const struct cmd *c)
{
	struct api_error e;
	struct conf conf;
	json_t *result;
	int status = api_conf(c, &conf);
	bool sound;

	if (status != EX_OK)
		return status;
	result = api_ask(&conf, "audit.check", NULL, ORDER_MS, &e);
	if (result == NULL)
		return api_report(c, &e);
	sound = json_is_true(json_object_get(result, "sound"));
	if (c->json)
		status = out_json(c, result);
	else {
		print_checked(result);
		json_decref(result);
		status = out_finish(EX_OK);
	}
	return status == EX_OK && !sound ? AUDIT_BROKEN : status;
}

/* A process's page; NULL, and silent, if it has none. */
static struct counters_page *
open_page(const struct conf *conf, enum proc p)
{
	char path[CONF_TEXT_MAX + 64];
	struct counters_page *page = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s/counters/%s", conf->node_run_dir,
	    proc_name(p));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1)
		return NULL;
	page = counters_map(fd);
	close(fd);
	return page;
}

int
metrics_run(const struct cmd *c)
{
	struct counters_page *pages[PROC_MAX];
	bool openmetrics = cmd_value(c, FLAG_METRICS_OPENMETRICS) != NULL;
	struct conf conf;
	unsigned int p, n = 0;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int status;

	status = api_conf(c, &conf);
	if (status != EX_OK)
		return status;
	for (p = 0; p < PROC_MAX; p++) {
		pages[p] = open_page(&conf, (enum proc)p);
		n += pages[p] != NULL;
	}
	if (n == 0)
		return out_error(c, stderr, EX_UNAVAILABLE, "UnavailableError",
		    "%s/counters: nothing can be read there; has the node "
		    "ever been started?",
		    conf.node_run_dir);
	if (!c->json) {
		counters_print(stdout, pages, openmetrics);
		return out_finish(EX_OK);
	}
	out = open_memstream(&text, &len);
	if (out == NULL)
		return EX_OSERR;
	counters_print(out, pages, openmetrics);
	fclose(out);
	status = out_json(c,
	    json_pack("{s:s, s:s}", "format",
		openmetrics ? "openmetrics" : "prometheus", "text", text));
	free(text);
	return status;
}

/*
 * A ticket is a secret that everybody sees in ps(1): it is taken out of our
 * arguments, and clawd reads it from its standard input.
 */
static bool
hand_over_ticket(const char *join)
{
	char *arg = (char *)(uintptr_t)join;
	size_t n = strlen(join);
	int fd = memfd_create("ticket", MFD_CLOEXEC);
	bool ok;

	ok = fd != -1 && write(fd, join, n) == (ssize_t)n &&
	    lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDIN_FILENO) != -1;
	explicit_bzero(arg, n);
	if (fd != -1)
		close(fd);
	return ok;
}

/* What makes nodes is clawd; claw only finds it. */
int
init_run(const struct cmd *c)
{
	static const struct {
		enum cmd_flag flag;
		const char *name;
	} by_file[] = { { FLAG_INIT_REQUEST, "--request" },
		{ FLAG_INIT_COMPLETE, "--complete" },
		{ FLAG_INIT_GENESIS, "--genesis" } };
	const char *name = cmd_value(c, FLAG_INIT_NAME);
	const char *dir = cmd_value(c, FLAG_INIT_DIR);
	const char *listen = cmd_value(c, FLAG_INIT_LISTEN);
	const char *join = cmd_value(c, FLAG_INIT_JOIN);
	char clawd[PATH_MAX];
	const char *at[NETADDR_MAX + 1], *argv[21 + 2 * NETADDR_MAX];
	size_t i, addresses, n = 0;

	if (join != NULL && strcmp(join, "-") != 0 && join[0] != '@') {
		if (!hand_over_ticket(join))
			return out_error(c, stderr, EX_UNAVAILABLE,
			    "UnavailableError", "the ticket: %s",
			    strerror(errno));
		join = "-";
	}
	if (name == NULL && join == NULL)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "init wants a name for the node: claw init --dir DIR "
		    "--name NAME");
	if (dir == NULL && geteuid() != 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "only root can make the system's node; name a folder of "
		    "your own with --dir DIR");
	addresses = cmd_values(c, FLAG_INIT_ADDRESS, at, NETADDR_MAX + 1);
	if (addresses > NETADDR_MAX)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--address is given at most %d times", NETADDR_MAX);
	path_clawd(clawd);
	argv[n++] = clawd;
	argv[n++] = "--init";
	for (i = 0; i < addresses; i++) {
		argv[n++] = "--address";
		argv[n++] = at[i];
	}
	if (name != NULL) {
		argv[n++] = "--name";
		argv[n++] = name;
	}
	if (join != NULL) {
		argv[n++] = "--join";
		argv[n++] = join;
	}
	for (i = 0; i < sizeof(by_file) / sizeof(by_file[0]); i++)
		if (cmd_value(c, by_file[i].flag) != NULL) {
			argv[n++] = by_file[i].name;
			argv[n++] = cmd_value(c, by_file[i].flag);
		}
	if (dir != NULL) {
		argv[n++] = "--dir";
		argv[n++] = dir;
	}
	if (listen != NULL) {
		argv[n++] = "--listen";
		argv[n++] = listen;
	}
	if (cmd_value(c, FLAG_INIT_NO_RECOVERY) != NULL)
		argv[n++] = "--no-recovery";
#ifdef CLAW_SANITIZERS
	argv[n++] = "--insecure-no-sandbox";
#endif
	argv[n] = NULL;
	path_exec(argv, c->envp);
	return out_error(c, stderr, EX_UNAVAILABLE, "UnavailableError",
	    "%s: %s; is claw installed as a whole?", clawd, strerror(errno));
}

int
completion_run(const struct cmd *c)
{
	if (cmd_completion(c->operands[0], stdout) != EX_OK)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "completion is for bash, zsh or fish");
	return out_finish(EX_OK);
}

int
version_run(const struct cmd *c)
{
	if (c->json)
		return out_json(c, json_pack("{s:s}", "version", CLAW_VERSION));
	puts("claw " CLAW_VERSION);
	return out_finish(EX_OK);
}

/* help takes a verb as words, like the command line itself. */
int
help_run(const struct cmd *c)
{
	char *argv[6] = { NULL };
	struct cmd what;
	size_t i;
	int status;

	if (c->json)
		return out_finish(cmd_help_json(stdout));
	if (c->n_operands == 0) {
		cmd_help(stdout);
		return out_finish(EX_OK);
	}
	for (i = 0; i < c->n_operands; i++)
		argv[1 + i] = strdup(c->operands[i]);
	argv[1 + i] = strdup("--help");
	status = cmd_parse(&what, (int)i + 2, argv, stderr);
	if (status == EX_OK)
		cmd_help_verb(what.verb, stdout);
	for (i = 1; i < 6; i++)
		free(argv[i]);
	return status == EX_OK ? out_finish(EX_OK) : status;
}

int
main(int argc, char **argv)
{
	struct cmd c;
	int status;

	signal(SIGPIPE, SIG_IGN);
	/* Before anything confines us or our copy of the C library. */
	json_object_seed(0);
	status = cmd_parse(&c, argc, argv, stderr);
	if (status != 0)
		return status;
	c.envp = environ;
	if (c.help) {
		cmd_help_verb(c.verb, stdout);
		return out_finish(EX_OK);
	}
	return cmd_verb_def(c.verb)->run(&c);
}
