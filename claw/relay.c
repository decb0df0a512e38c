/* SPDX-License-Identifier: ISC */
/*
 * relay.c - the verbs config:* and audit:* with the flags and defaults of the
 * command line, and their answers in its JSON.
 *
 * The rooms that do the work (config.c, audit_*.c) know neither the table of
 * flags nor the envelope that --json promises.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "claw/api.h"
#include "claw/audit.h"
#include "claw/cmd.h"
#include "claw/config.h"
#include "claw/out.h"

#define TAIL_LINES 10

/* What a verb said, kept until its status is known. */
struct said {
	FILE *out, *err;
	char *out_text, *err_text;
	size_t out_len, err_len;
};

static bool
said_open(struct said *s)
{
	memset(s, 0, sizeof(*s));
	s->out = open_memstream(&s->out_text, &s->out_len);
	s->err = open_memstream(&s->err_text, &s->err_len);
	return s->out != NULL && s->err != NULL;
}

static void
said_close(struct said *s)
{
	if (s->out != NULL)
		fclose(s->out);
	if (s->err != NULL)
		fclose(s->err);
	s->out = s->err = NULL;
}

static void
said_free(struct said *s)
{
	said_close(s);
	free(s->out_text);
	free(s->err_text);
}

static const char *
error_name(int status)
{
	switch (status) {
	case EX_USAGE:
		return "UsageError";
	case EX_CONFIG:
		return "ConfigError";
	case AUDIT_BROKEN:
	case AUDIT_TAIL:
	case AUDIT_UNEXPECTED:
		return "IntegrityError";
	case EX_DATAERR:
		return "InvalidError";
	default:
		return "FailedError";
	}
}

/* Without the "claw: " and the newlines of text for people. */
static int
say_error(const struct cmd *c, int status, char *text)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (strncmp(text, "claw: ", 6) == 0)
		text += 6;
	return out_error(c, stderr, status, error_name(status), "%s",
	    *text != '\0' ? text : "failed without a word");
}

/*
 * The end of a verb under --json: its output as an object (field NULL) or as
 * the text of one field, its complaints as an error.
 */
static int
said_as_json(const struct cmd *c, struct said *s, int status, const char *field)
{
	json_t *object;

	said_close(s);
	while (s->out_len > 0 && s->out_text[s->out_len - 1] == '\n')
		s->out_text[--s->out_len] = '\0';
	if (s->out_len == 0 && status != EX_OK) {
		status = say_error(c, status, s->err_text);
	} else {
		object = field != NULL ?
		    json_pack("{s:s}", field, s->out_text) :
		    json_loadb(s->out_text, s->out_len, 0, NULL);
		if (out_json(c, object) != EX_OK && status == EX_OK)
			status = EX_IOERR;
	}
	said_free(s);
	return status;
}

int
config_show_run(const struct cmd *c)
{
	struct config_show_options opt = {
		.origin = cmd_value(c, FLAG_SHOW_ORIGIN) != NULL,
		.json = c->json,
	};
	struct said s;
	json_t *values;
	int status;

	if (!c->json)
		return config_show(c->file, opt, c->envp, stdout, stderr);
	if (!said_open(&s))
		return EX_OSERR;
	status = config_show(c->file, opt, c->envp, s.out, s.err);
	if (status != EX_OK)
		return said_as_json(c, &s, status, NULL);
	said_close(&s);
	values = json_loadb(s.out_text, s.out_len, 0, NULL);
	status = out_json(c, json_pack("{s:o}", "values", values));
	said_free(&s);
	return status;
}

int
config_set_run(const struct cmd *c)
{
	struct said s;

	if (!c->json)
		return config_set(c->file, c->operands[0], stdout, stderr);
	if (!said_open(&s))
		return EX_OSERR;
	return said_as_json(c, &s,
	    config_set(c->file, c->operands[0], s.out, s.err), "text");
}

int
config_check_run(const struct cmd *c)
{
	struct said s;

	if (!c->json)
		return config_check(c->file, c->envp, stdout, stderr);
	if (!said_open(&s))
		return EX_OSERR;
	return said_as_json(c, &s, config_check(c->file, c->envp, s.out, s.err),
	    "text");
}

/* --dir, or the log of the configured node. */
static int
audit_dir(const struct cmd *c, enum cmd_flag flag, char *out, size_t size)
{
	const char *given = cmd_value(c, flag);
	struct conf conf;
	int status;

	if (given != NULL) {
		snprintf(out, size, "%s", given);
		return EX_OK;
	}
	status = api_conf(c, &conf);
	if (status == EX_OK)
		snprintf(out, size, "%s/audit", conf.node_log_dir);
	return status;
}

int
audit_verify_run(const struct cmd *c)
{
	const char *witness[AUDIT_WITNESSES_MAX];
	const char *vkeys[AUDIT_IDENTITIES_MAX] = { NULL };
	char dir[CONF_TEXT_MAX + 8];
	struct audit_verify_opts opts = {
		.dir = dir,
		.expect = cmd_value(c, FLAG_VERIFY_EXPECT),
		.json = c->json,
		.witness = witness,
	};
	struct said s;
	size_t n;
	int status;

	n = cmd_values(c, FLAG_VERIFY_VKEY, vkeys, AUDIT_IDENTITIES_MAX);
	opts.vkey = vkeys[0];
	opts.before = vkeys + 1;
	opts.nbefore = n > 0 ? n - 1 : 0;
	if (opts.vkey == NULL)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "audit:verify wants --vkey VKEY: the log's key, as claw "
		    "audit:vkey printed it when you trusted the node, or the "
		    "node's identity");
	status = audit_dir(c, FLAG_VERIFY_DIR, dir, sizeof(dir));
	if (status != EX_OK)
		return status;
	opts.nwitness =
	    cmd_values(c, FLAG_VERIFY_WITNESS, witness, AUDIT_WITNESSES_MAX);
	if (!c->json)
		return out_finish(audit_verify(&opts, stdout, stderr));
	if (!said_open(&s))
		return EX_OSERR;
	return said_as_json(c, &s, audit_verify(&opts, s.out, s.err), NULL);
}

static bool
take_number(const char *text, uint64_t *n)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*n = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

int
audit_prove_run(const struct cmd *c)
{
	char dir[CONF_TEXT_MAX + 8];
	struct audit_prove_opts opts = {
		.dir = dir,
		.line = cmd_value(c, FLAG_PROVE_LINE) != NULL,
	};
	struct said s;
	int status;

	if (!take_number(c->operands[0], &opts.n))
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "audit:prove wants the number of a record, as its "
		    "env.n says");
	status = audit_dir(c, FLAG_PROVE_DIR, dir, sizeof(dir));
	if (status != EX_OK)
		return status;
	if (!c->json)
		return out_finish(audit_prove(&opts, stdout, stderr));
	if (!said_open(&s))
		return EX_OSERR;
	return said_as_json(c, &s, audit_prove(&opts, s.out, s.err), "proof");
}

int
audit_vkey_run(const struct cmd *c)
{
	char dir[CONF_TEXT_MAX + 8];
	struct said s;
	int status;

	status = audit_dir(c, FLAG_VKEY_DIR, dir, sizeof(dir));
	if (status != EX_OK)
		return status;
	if (!c->json)
		return out_finish(audit_vkey(dir, stdout, stderr));
	if (!said_open(&s))
		return EX_OSERR;
	return said_as_json(c, &s, audit_vkey(dir, s.out, s.err), "vkey");
}

static volatile sig_atomic_t stop_tail;

static void
on_stop(int sig)
{
	(void)sig;
	stop_tail = 1;
}

int
audit_tail_run(const struct cmd *c)
{
	char dir[CONF_TEXT_MAX + 8];
	const char *lines = cmd_value(c, FLAG_TAIL_LINES);
	struct audit_tail_opts opts = {
		.dir = dir,
		.lines = TAIL_LINES,
		.follow = cmd_value(c, FLAG_TAIL_FOLLOW) != NULL,
		.json = c->json,
		.stop = &stop_tail,
	};
	struct sigaction sa = { .sa_handler = on_stop };
	int status;

	if (lines != NULL && !take_number(lines, &opts.lines))
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--lines wants a number");
	status = audit_dir(c, FLAG_TAIL_DIR, dir, sizeof(dir));
	if (status != EX_OK)
		return status;
	if (opts.follow) {
		(void)sigaction(SIGINT, &sa, NULL);
		(void)sigaction(SIGTERM, &sa, NULL);
	}
	return out_finish(audit_tail(&opts, stdout, stderr));
}

int
audit_export_run(const struct cmd *c)
{
	char dir[CONF_TEXT_MAX + 8];
	struct audit_export_opts opts = {
		.dir = dir,
		.from = cmd_value(c, FLAG_EXPORT_FROM),
		.to = cmd_value(c, FLAG_EXPORT_TO),
		.dest = c->operands[0],
	};
	int status;

	status = audit_dir(c, FLAG_EXPORT_DIR, dir, sizeof(dir));
	if (status != EX_OK)
		return status;
	return out_finish(audit_export(&opts, stdout, stderr));
}
