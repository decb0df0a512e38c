/* SPDX-License-Identifier: ISC */
/*
 * file_policy.c - the verb file:policy: which rule of sft.accept would decide.
 *
 * It asks the configuration and no node, so that a rule can be tried before it
 * is in force. What else is looked at when a file comes (capabilities, room,
 * what has the name already) is said by file:send --dry-run at the other end.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "claw/file.h"
#include "claw/out.h"
#include "common/nodename.h"
#include "common/sftrule.h"

struct answer {
	struct sftrule rule; /* number 0: none fits */
	uint64_t most;	     /* bytes */
	const char *refused; /* NULL: it would be taken */
};

static bool
read_operands(const struct cmd *c, uint64_t *size)
{
	const char *peer = c->operands[0], *name = c->operands[1];
	enum sftname_verdict v =
	    sftname_check((const uint8_t *)name, strlen(name));

	if (!nodename_ok(peer, strlen(peer)))
		(void)out_error(c, stderr, EX_USAGE, "UsageError",
		    "%s is no name of a node", peer);
	else if (v != SFTNAME_OK)
		(void)out_error(c, stderr, EX_USAGE, "UsageError",
		    "no file can be called that: %s", sftname_why(v));
	else if (c->n_operands > 2 && !file_size(c->operands[2], size))
		(void)out_error(c, stderr, EX_USAGE, "UsageError",
		    "%s is no size, as 512K, 8M or 10G", c->operands[2]);
	else
		return true;
	return false;
}

static void
decide(const struct conf *conf, const struct cmd *c, uint64_t size,
    struct answer *a)
{
	const char *name = c->operands[1];

	memset(a, 0, sizeof(*a));
	a->most = conf->sft_max_bytes;
	if (!sftrule_first(conf->sft_accept, c->operands[0],
		(const uint8_t *)name, strlen(name), &a->rule)) {
		a->rule.number = 0;
		a->refused = "no rule fits";
		return;
	}
	if (a->rule.max_size < a->most)
		a->most = a->rule.max_size;
	if (!a->rule.allow)
		a->refused = "the rule denies it";
	else if (size > a->most)
		a->refused = "it is too large";
}

static int
say_json(const struct cmd *c, const struct answer *a, const char *into)
{
	json_t *o = json_pack("{s:b}", "allowed", a->refused == NULL);

	if (a->refused != NULL)
		json_object_set_new(o, "reason", json_string(a->refused));
	if (a->rule.number != 0) {
		json_object_set_new(o, "rule",
		    json_integer((json_int_t)a->rule.number));
		json_object_set_new(o, "text",
		    json_stringn(a->rule.text, a->rule.len));
	}
	if (a->rule.allow) {
		json_object_set_new(o, "into", json_string(into));
		json_object_set_new(o, "max_size",
		    json_integer((json_int_t)a->most));
		json_object_set_new(o, "replace",
		    json_boolean(a->rule.replace));
	}
	return out_json(c, o);
}

static void
say(const struct answer *a, const char *into)
{
	char most[FILE_SIZE_TEXT];

	if (a->refused == NULL)
		puts("allowed");
	else
		printf("refused: %s\n", a->refused);
	if (a->rule.number != 0)
		printf("  rule %-6u %.*s\n", a->rule.number, (int)a->rule.len,
		    a->rule.text);
	if (!a->rule.allow)
		return;
	printf("  into        data_dir/files/%s\n", into);
	printf("  at most     %s\n", file_size_text(a->most, most));
	printf("  replacing   %s\n",
	    a->rule.replace ? "if the sender asks for it" : "never");
}

int
file_policy_run(const struct cmd *c)
{
	static struct conf conf;
	const char *into;
	struct answer a;
	uint64_t size = 0;
	int status;

	if (!read_operands(c, &size))
		return EX_USAGE;
	if ((status = api_conf(c, &conf)) != EX_OK)
		return status;
	decide(&conf, c, size, &a);
	into = a.rule.into[0] != '\0' ? a.rule.into : c->operands[0];
	status = EX_OK;
	if (c->json)
		status = say_json(c, &a, into);
	else
		say(&a, into);
	if (status == EX_OK && a.refused != NULL)
		status = EX_NOPERM;
	return out_finish(status);
}
