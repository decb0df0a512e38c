/* SPDX-License-Identifier: ISC */
/*
 * test_conf.c - a wrong claw.yaml never starts a node: every error in it is
 * told in one run, at its place, with what to write instead; a right one
 * gives exactly the values that it and the environment set.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/confkey.h"
#include "common/netaddr.h"

#define HASH                                                                   \
	"sha256:00112233445566778899aabbccddeeff"                              \
	"00112233445566778899aabbccddeeff"
#define GOOD                                                                   \
	"node:\n"                                                              \
	"  name: agent-tokyo-07\n"                                             \
	"  registry:\n"                                                        \
	"    genesis: \"" HASH "\"\n"

static char folder[] = "/tmp/claw-conf-XXXXXX";

/* All errors of a text, a line each; "" where there are none. */
static const char *
errors_of(const char *text)
{
	static char all[65536];
	struct conf_errors e;
	struct conf c;
	char line[4096];
	size_t i, o = 0;
	int error;

	conf_errors_init(&e);
	error = conf_parse(&c, &e, "/etc/claw/claw.yaml", text, strlen(text));
	assert_int_equal(error == 0, e.n == 0);
	all[0] = '\0';
	for (i = 0; i < e.n; i++) {
		conf_errors_text(&e, i, line, sizeof(line));
		assert_int_equal(strncmp(line, "/etc/claw/", 10), 0);
		o += (size_t)snprintf(all + o, sizeof(all) - o, "%s\n",
		    line + 10);
	}
	conf_errors_free(&e);
	return all;
}

static const char *
printed_errors(const char *text)
{
	static char all[65536];
	struct conf_errors e;
	struct conf c;
	FILE *f;

	memset(all, 0, sizeof(all));
	conf_errors_init(&e);
	assert_int_not_equal(
	    conf_parse(&c, &e, "claw.yaml", text, strlen(text)), 0);
	f = fmemopen(all, sizeof(all) - 1, "w");
	assert_non_null(f);
	conf_errors_print(&e, f);
	assert_int_equal(fclose(f), 0);
	conf_errors_free(&e);
	return all;
}

static void
parse_good(struct conf *c, const char *text)
{
	struct conf_errors e;

	conf_errors_init(&e);
	assert_int_equal(conf_parse(c, &e, "claw.yaml", text, strlen(text)), 0);
	assert_int_equal(e.n, 0);
	conf_errors_free(&e);
}

static void
the_least_file_gives_every_default(void **state)
{
	char text[CONF_TEXT_MAX], why[CONF_TEXT_MAX + 256];
	const struct confkey *k;
	struct conf c;
	size_t i;

	(void)state;
	parse_good(&c, GOOD);
	assert_string_equal(c.node_name, "agent-tokyo-07");
	assert_string_equal(c.registry_genesis, HASH);
	assert_string_equal(c.node_listen, "0.0.0.0:7946");
	assert_true(c.node_local_enclave);
	assert_int_equal(c.node_key_store, CONF_NODE_KEY_STORE_FILE);
	assert_int_equal(c.audit_checkpoint_interval_ms, 1000);
	assert_int_equal(c.audit_warn_at_percent, 75);
	assert_int_equal(c.audit_reserve_bytes, 4194304);
	assert_int_equal(c.control_max_clients, 64);
	assert_string_equal(c.metrics_listen, "");
	assert_int_equal(c.log_level, CONF_LOG_LEVEL_INFO);
	for (i = 0; i < CONF_KEY_MAX; i++) {
		k = confkey((enum conf_key)i);
		if (k->def == NULL)
			continue;
		assert_int_equal(conf_check_value((enum conf_key)i, k->def, why,
				     sizeof(why)),
		    0);
		conf_value_text(&c, (enum conf_key)i, text, sizeof(text));
		assert_string_equal(text, k->def);
		assert_int_equal(c.origin[i].from, CONF_FROM_DEFAULT);
	}
}

static void
every_key_can_be_written(void **state)
{
	struct conf c;

	(void)state;
	parse_good(&c,
	    "---\n" /* may be there */
	    "node:\n"
	    "  name: 7\n"
	    "  listen: '[2001:db8::1]:7946'\n"
	    "  data_dir: \"/srv/d\u00e4ta \\\"x\\\"\"\n"
	    "  log_dir: /srv/log\n"
	    "  run_dir: /srv/run   # run\n"
	    "  identity: {did_method: key, local_enclave: false,\n"
	    "    key_store: \"file\"}\n"
	    "  registry: {genesis: " HASH "}\n"
	    "audit:\n"
	    "  checkpoint_interval: 250ms\n"
	    "  warn_at: 1%\n"
	    "  refuse_at: 99%\n"
	    "  reserve: 1GiB\n"
	    "control:\n"
	    "  group: _Ops.1\n"
	    "  max_clients: 1024\n"
	    "metrics:\n"
	    "  listen: 127.0.0.1:9100\n"
	    "log:\n"
	    "  destination: syslog\n"
	    "  level: debug\n");
	assert_string_equal(c.node_name, "7");
	assert_string_equal(c.node_listen, "[2001:db8::1]:7946");
	assert_string_equal(c.node_data_dir, "/srv/d\u00e4ta \"x\"");
	assert_string_equal(c.node_run_dir, "/srv/run");
	assert_false(c.node_local_enclave);
	assert_int_equal(c.audit_checkpoint_interval_ms, 250);
	assert_int_equal(c.audit_warn_at_percent, 1);
	assert_int_equal(c.audit_refuse_at_percent, 99);
	assert_int_equal(c.audit_reserve_bytes, 1073741824);
	assert_string_equal(c.control_group, "_Ops.1");
	assert_int_equal(c.control_max_clients, 1024);
	assert_string_equal(c.metrics_listen, "127.0.0.1:9100");
	assert_int_equal(c.log_destination, CONF_LOG_DESTINATION_SYSLOG);
	assert_int_equal(c.log_level, CONF_LOG_LEVEL_DEBUG);
	assert_int_equal(c.origin[CONF_KEY_LOG_LEVEL].line, 23);
}

static void
a_list_stands_in_brackets_or_on_lines(void **state)
{
	static const char *const same[] = {
		"sft:\n  accept: [allow peer=a name=*.iso, \"deny\"]\n",
		"sft: {accept: [\"allow peer=a name=*.iso\", deny]}\n",
		"sft:\n  accept:\n  - allow peer=a name=*.iso # why\n\n"
		"  # and\n  - 'deny'\n",
		"sft:\n  accept:\n    -   allow peer=a name=*.iso\n"
		"    - deny\n  verify: disk\n",
		"sft:\n  accept: \"allow peer=a name=*.iso; deny\"\n",
	};
	struct conf c;
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", GOOD, same[i]);
		parse_good(&c, text);
		assert_string_equal(c.sft_accept,
		    "allow peer=a name=*.iso; deny");
	}
	parse_good(&c, GOOD "sft: {accept: []}\n");
	assert_string_equal(c.sft_accept, "");
	parse_good(&c,
	    GOOD "  sync:\n    gossip_peers:\n    - 192.0.2.1:1\n"
		 "    - \"[::1]:2\"\n");
	assert_string_equal(c.sync_gossip_peers, "192.0.2.1:1 [::1]:2");
}

/* Where the rule is, not where the list begins. */
static void
a_rule_that_is_wrong_is_told_with_its_place(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "  accept:\n  - deny peer=b\n  - alow\n",
		    ":8:5: sft.accept rule 2: begins with allow or deny\n" },
		{ "  accept: [deny peer=b, alow]\n",
		    ":6:25: sft.accept rule 2: begins" },
		{ "  accept:\n  - allow\n  - deny\n",
		    ":8:5: sft.accept rule 2: is never reached" },
		{ "  accept: allow max_size=8\n",
		    ":6:11: sft.accept rule 1: max_size= takes a size" },
		{ "  accept:\n  - allow\n  - deny; allow\n",
		    ":8:5: sft.accept takes a list of values without semi" },
		{ "  accept: ~\n", ":6:11: sft.accept has no value" },
	};
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(text, sizeof(text), "%ssft:\n%s", GOOD,
		    cases[i].text);
		if (strstr(errors_of(text), cases[i].error) == NULL)
			fail_msg("%s instead of %s", errors_of(text),
			    cases[i].error);
	}
	assert_non_null(strstr(errors_of(GOOD "  sync:\n    gossip_peers: "
					      "[\"1.2.3.4:5 1.2.3.4:6\"]\n"),
	    ":6:20: node.sync.gossip_peers takes a list of values without "
	    "spaces"));
}

static void
a_section_may_be_empty(void **state)
{
	struct conf c;

	(void)state;
	parse_good(&c, GOOD "audit:\n  # warn_at: 75%\ncontrol: {}\n");
	parse_good(&c, "# no newline at the end\n" GOOD "log: {level: warn}");
}

static void
all_errors_are_told_in_one_run(void **state)
{
	(void)state;
	assert_string_equal(
	    errors_of("node:\n"
		      "  nmae: x\n"
		      "  data_dir: data\n"
		      "  identity: {local_enclave: yes, key_store: tpm2}\n"
		      "audit:\n"
		      "  reserve: 8MB\n"
		      "  warn_at: 95\n"
		      "  warn_at: 95%\n"
		      "voice:\n"
		      "  gateway: {enabeld: true}\n"
		      "data_dir: /x\n"
		      "log: debug\n"),
	    "claw.yaml:1:1: node.name is missing\n"
	    "claw.yaml:2:3: unknown key \"nmae\" in node "
	    "(did you mean \"name\"?)\n"
	    "claw.yaml:3:13: node.data_dir must be an absolute path: write "
	    "/etc/claw/data\n"
	    "claw.yaml:4:29: node.identity.local_enclave takes true or "
	    "false: write true instead of yes\n"
	    "claw.yaml:4:45: node.identity.key_store cannot be \"tpm2\": not "
	    "available in this version\n"
	    "claw.yaml:6:12: audit.reserve needs one of the units K, M, G "
	    "(binary): write 8M for 8 MiB\n"
	    "claw.yaml:7:12: audit.warn_at is a percentage: write 95%\n"
	    "claw.yaml:8:3: the same key a second time; it is already "
	    "on line 7\n"
	    "claw.yaml:9:1: unknown key\n"
	    "claw.yaml:11:1: unknown key \"data_dir\" "
	    "(did you mean \"node.data_dir\"?)\n"
	    "claw.yaml:12:6: log is a section; its keys go on the lines "
	    "below it, indented\n"
	    "claw.yaml: node.registry.genesis is missing\n");
}

static void
an_error_shows_its_line_and_a_caret(void **state)
{
	(void)state;
	assert_string_equal(
	    printed_errors(GOOD
		"log: {destination: \"\u00e9\u20ac\", level: inof} # \u00e9\n"),
	    "claw.yaml:5:20: log.destination takes auto, stderr, journal or "
	    "syslog\n"
	    "  log: {destination: \"\u00e9\u20ac\", level: inof} # \u00e9\n"
	    "                     ^\n"
	    "claw.yaml:5:33: log.level takes error, warn, info or debug "
	    "(did you mean \"info\"?)\n"
	    "  log: {destination: \"\u00e9\u20ac\", level: inof} # \u00e9\n"
	    "                                  ^\n");
}

static void
a_power_of_two_is_one_and_the_nearest_is_named(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "7M", "must be a power of two; the nearest is 8M" },
		{ "5M", "must be a power of two; the nearest is 4M" },
		{ "31M", "must be a power of two; the nearest is 32M" },
		{ "1025K", "must be a power of two; the nearest is 1M" },
		{ "512K", "must lie between 1M and 32M" },
		{ "64M", "must lie between 1M and 32M" },
		{ "8388608", "needs one of the units" },
		{ "18446744073709551615G", "must lie between" },
		{ "8MB", "" },
		{ "big", "" },
		{ "-8M", "" },
	};
	static const char *const good[] = { "1M", "2M", "4M", "8M", "16M",
		"32M", "1024K" };
	char why[1500];
	struct conf c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(conf_check_value(CONF_KEY_SFT_CHUNK_SIZE,
				     good[i], why, sizeof(why)),
		    0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_not_equal(conf_check_value(CONF_KEY_SFT_CHUNK_SIZE,
					 bad[i].text, why, sizeof(why)),
		    0);
		if (strstr(why, bad[i].why) == NULL)
			fail_msg("%s: %s", bad[i].text, why);
	}
	parse_good(&c, GOOD "sft: {chunk_size: 16M}\n");
	assert_int_equal(c.sft_chunk_size, 16 << 20);
}

static void
what_stands_behind_an_unknown_key_is_not_shown(void **state)
{
	(void)state;
	assert_string_equal(printed_errors(GOOD "passphrase: CANARY\n"
						"passphrase: CANARY\n"),
	    "claw.yaml:5:1: unknown key\n"
	    "  passphrase: ...\n"
	    "  ^\n"
	    "claw.yaml:6:1: the same key a second time; it is already on "
	    "line 5\n"
	    "  passphrase: ...\n"
	    "  ^\n");
}

static void
no_file_can_talk_to_the_terminal(void **state)
{
	const char *out, *p;

	(void)state;
	out = printed_errors("\"\\x1b[31m\\u202e\": 1\n"
			     "node:\n"
			     "  name: \"\\x1b]0;x\\a\"\n");
	assert_non_null(strstr(out, "unknown key\n"));
	for (p = out; *p != '\0'; p++)
		assert_true(
		    *p == '\n' || ((unsigned char)*p >= 0x20 && *p != 0x7f));
	out = printed_errors("node: \x1b[31m\n\xff\xfe\nx: \xe2\x80\xa8\n");
	assert_null(strchr(out, 0x1b));
	assert_null(strchr(out, 0xff - 256));
	assert_non_null(strstr(out, ":1:7: a control character\n"));
	assert_non_null(strstr(out, ":2:1: not UTF-8\n"));
	assert_non_null(strstr(out, ":3:4: a Unicode line separator"));
}

static void
shapes_that_hide_meaning_are_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "log: {level: info}\nlog: {}\n",
		    ":6:1: the same key a second" },
		{ "log: {level: info, level: warn}\n",
		    ":5:20: the same key a second time" },
		{ "log: &a\n  level: info\n", ":5:6: an anchor" },
		{ "log:\n  level: &a info\n", ":6:10: an anchor" },
		{ "log: *a\n", ":5:6: an alias" },
		{ "*a : x\n", ":5:1: an alias" },
		{ "log:\n  level: !!str info\n", ":6:10: a tag" },
		{ "log: !x\n  level: info\n", ":5:6: a tag" },
		{ "log:\n  level: [info]\n",
		    ":6:10: log.level takes one value and no list" },
		{ "log:\n  level: [info,\n   x]\n",
		    "a list in brackets stands on one line" },
		{ "log:\n  level: [\"\"]\n", ":6:11: a value of a list" },
		{ "log:\n  level:\n  - a\n  -\n", ":8:4: a value of a list" },
		{ "log:\n  level:\n  - a\n    b\n", ":7:5: a value of a list" },
		{ "log:\n  level:\n  - a: b\n", ":7:5: a list holds values" },
		{ "log:\n  level: [{a: b}]\n", ":6:11: a list holds values" },
		{ "log:\n  level: [*a]\n", ":6:11: an alias" },
		{ "log:\n- level\n", ":6:1: log is a section" },
		{ "log:\n  <<: {level: info}\n", ":6:3: a merge key" },
		{ "log:\n\tlevel: info\n", ":6:1: a tab" },
		{ "log:\n  level:\tinfo\n", ":6:9: a tab" },
		{ "log:\r\n  level: info\n", ":5:5: a carriage return" },
		{ "---\nlog: {}\n", ":5:1: a second document" },
		{ "log.level: info\n", ":5:1: a dot in a key" },
		{ "[a]: b\n", ":5:1: not a key" },
		{ "? log\n: {}\n", ":5:3: a key and its colon" },
		{ "log:\n  level: |\n    info\n", ":6:10: a value stands" },
		{ "log:\n  level: in\n    fo\n", ":6:10: a value stands" },
		{ "log:\n  level: \"in\n    fo\"\n", ":6:10: a value stands" },
		{ "log:\n  level: ~\n", ":6:10: log.level has no value" },
		{ "log:\n  level:\n", ":6:9: log.level has no value" },
		{ "log:\n  level: {a: b}\n", ":6:10: log.level takes one" },
		{ "log:\n  level: \"in\\0fo\"\n", ":6:10: a control char" },
		{ "log:\n  level: {\n", "not YAML" },
		{ "log: \"x\n", "not YAML" },
		{ "log:\n   level: info\n  destination: auto\n", "not YAML" },
		{ "control:\n  max_clients: \"64\"\n",
		    ":6:16: control.max_clients is written without quotes" },
		{ "a: {b: {c: {d: {e: {f: {g: {h: {i: j}}}}}}}}\n",
		    ":5:32: too many sections" },
		{ "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
		    ":5:5: a list holds values" },
	};
	char text[2048];
	const char *all;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", GOOD, cases[i].text);
		all = errors_of(text);
		if (strstr(all, cases[i].error) == NULL)
			fail_msg("%s gave %s and not %s", text, all,
			    cases[i].error);
	}
	assert_non_null(
	    strstr(errors_of("\xef\xbb\xbf" GOOD), ":1:1: a byte order mark"));
	assert_non_null(
	    strstr(errors_of("%YAML 1.1\n---\n" GOOD), ":1:1: a directive"));
	assert_non_null(strstr(errors_of("node\n"), ":1:1: not a section"));
	assert_non_null(strstr(errors_of("- node\n"), ":1:1: not a section"));
	assert_string_equal(errors_of(""),
	    "claw.yaml: node.name is missing\n"
	    "claw.yaml: node.registry.genesis is missing\n");
	assert_string_equal(errors_of("# a\ttab in a comment\n" GOOD), "");
}

static void
sizes_are_bounded(void **state)
{
	struct conf_errors e;
	struct conf c;
	char *big;
	size_t i;

	(void)state;
	big = malloc(CONF_FILE_MAX + 1);
	assert_non_null(big);
	memset(big, '\n', CONF_FILE_MAX + 1);
	memcpy(big, GOOD, strlen(GOOD));
	conf_errors_init(&e);
	assert_int_equal(conf_parse(&c, &e, "x", big, CONF_FILE_MAX), 0);
	assert_int_equal(conf_parse(&c, &e, "x", big, CONF_FILE_MAX + 1),
	    -EFBIG);
	conf_errors_free(&e);
	for (i = 0; i < 2000; i++)
		(void)snprintf(big + i * 8, 9, "k%04zu: \n", i);
	conf_errors_init(&e);
	assert_int_equal(conf_parse(&c, &e, "x", big, 2000 * 8), -EINVAL);
	assert_int_equal(e.n, CONF_ERRORS_MAX);
	assert_true(e.n_dropped > 900);
	conf_errors_free(&e);
	free(big);
}

static void
values_are_held_to_their_type_and_bounds(void **state)
{
	static const struct {
		enum conf_key key;
		const char *text, *why; /* NULL: good */
	} cases[] = {
		{ CONF_KEY_NODE_NAME, "a", NULL },
		{ CONF_KEY_NODE_NAME, "0-9", NULL },
		{ CONF_KEY_NODE_NAME, "", "must not be empty" },
		{ CONF_KEY_NODE_NAME, "-a", "is made of" },
		{ CONF_KEY_NODE_NAME, "a-", "is made of" },
		{ CONF_KEY_NODE_NAME, "A", "is made of" },
		{ CONF_KEY_NODE_NAME, "a.b", "is made of" },
		{ CONF_KEY_NODE_NAME,
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaaaa",
		    "longer than 63" },
		{ CONF_KEY_NODE_LISTEN, "[::]:1", NULL },
		{ CONF_KEY_NODE_LISTEN, "1.2.3.4:65535", NULL },
		{ CONF_KEY_NODE_LISTEN, "1.2.3.4:65536", "numeric" },
		{ CONF_KEY_NODE_LISTEN, "1.2.3.4:0", "numeric" },
		{ CONF_KEY_NODE_LISTEN, "1.2.3.4:", "numeric" },
		{ CONF_KEY_NODE_LISTEN, "1.2.3.4", "numeric" },
		{ CONF_KEY_NODE_LISTEN, "::1:80", "numeric" },
		{ CONF_KEY_NODE_LISTEN, "[::1:80", "numeric" },
		{ CONF_KEY_NODE_LISTEN, "[]:80", "numeric" },
		{ CONF_KEY_NODE_LISTEN, ":80", "numeric" },
		{ CONF_KEY_NODE_LISTEN, "localhost:80", "numeric" },
		{ CONF_KEY_NODE_LISTEN, "", NULL },
		{ CONF_KEY_SYNC_GOSSIP_PEERS, "192.0.2.1:1 [::1]:2", NULL },
		{ CONF_KEY_SYNC_GOSSIP_PEERS, "", NULL },
		{ CONF_KEY_SYNC_GOSSIP_PEERS, "192.0.2.1:1  [::1]:2",
		    "numeric addresses" },
		{ CONF_KEY_SYNC_GOSSIP_PEERS, "192.0.2.1", "numeric" },
		{ CONF_KEY_MESH_POOL, "33", "between 1 and 32" },
		{ CONF_KEY_METRICS_LISTEN, "", NULL },
		{ CONF_KEY_NODE_DATA_DIR, "/", NULL },
		{ CONF_KEY_NODE_DATA_DIR, "/a..b/..c/d..", NULL },
		{ CONF_KEY_NODE_DATA_DIR, "/a/../b", "\"..\"" },
		{ CONF_KEY_NODE_DATA_DIR, "/a/..", "\"..\"" },
		{ CONF_KEY_NODE_DATA_DIR, "/a\n", "control character" },
		{ CONF_KEY_NODE_DATA_DIR, "/\xff", "not UTF-8" },
		{ CONF_KEY_NODE_DATA_DIR, "/\xc0\xaf", "not UTF-8" },
		{ CONF_KEY_NODE_DATA_DIR, "a/b", "absolute" },
		{ CONF_KEY_NODE_DATA_DIR, "~/b", "absolute" },
		{ CONF_KEY_NODE_RUN_DIR,
		    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		    "longer than 90" },
		{ CONF_KEY_REGISTRY_GENESIS, "sha256:00", "64 lower-case" },
		{ CONF_KEY_REGISTRY_GENESIS,
		    "sha256:00112233445566778899AABBCCDDEEFF"
		    "00112233445566778899aabbccddeeff",
		    "64 lower-case" },
		{ CONF_KEY_NODE_LOCAL_ENCLAVE, "True",
		    "write true instead of True" },
		{ CONF_KEY_NODE_LOCAL_ENCLAVE, "off",
		    "write false instead of off" },
		{ CONF_KEY_NODE_LOCAL_ENCLAVE, "maybe", "true or false" },
		{ CONF_KEY_NODE_KEY_STORE, "pkcs11",
		    "not available in this version" },
		{ CONF_KEY_NODE_KEY_STORE, "fiel", "did you mean \"file\"" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "60s", NULL },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "1m", NULL },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "100ms", NULL },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "99ms",
		    "between 100ms and 1m" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "61s", "between" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "1h", "between" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "5124095576030432h",
		    "between" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "30",
		    "write 30s for 30 seconds" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "30 s", "write 30s" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "30sec", "write 30s" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "1.5s", "takes a dur" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "-1s", "takes a dur" },
		{ CONF_KEY_AUDIT_CHECKPOINT_INTERVAL, "01s", "takes a dur" },
		{ CONF_KEY_AUDIT_RESERVE, "1024K", NULL },
		{ CONF_KEY_AUDIT_RESERVE, "8MiB", NULL },
		{ CONF_KEY_AUDIT_RESERVE, "1G", NULL },
		{ CONF_KEY_AUDIT_RESERVE, "1023K", "between 1M and 1G" },
		{ CONF_KEY_AUDIT_RESERVE, "2G", "between" },
		{ CONF_KEY_AUDIT_RESERVE, "18446744073709551617K", "between" },
		{ CONF_KEY_AUDIT_RESERVE, "17179869185G", "between" },
		{ CONF_KEY_AUDIT_RESERVE, "99999999999999999999999999999G",
		    "between" },
		{ CONF_KEY_AUDIT_RESERVE, "8388608", "units K, M, G" },
		{ CONF_KEY_AUDIT_RESERVE, "8m", "write 8M" },
		{ CONF_KEY_AUDIT_RESERVE, "8GB", "write 8G for 8 GiB" },
		{ CONF_KEY_AUDIT_WARN_AT, "99%", NULL },
		{ CONF_KEY_AUDIT_WARN_AT, "100%", "between 1% and 99%" },
		{ CONF_KEY_AUDIT_WARN_AT, "0.75", "percentage" },
		{ CONF_KEY_CONTROL_MAX_CLIENTS, "1", NULL },
		{ CONF_KEY_CONTROL_MAX_CLIENTS, "0", "between 1 and 1024" },
		{ CONF_KEY_CONTROL_MAX_CLIENTS, "0x10", "whole number" },
		{ CONF_KEY_CONTROL_MAX_CLIENTS, "1K", "without a unit" },
		{ CONF_KEY_CONTROL_GROUP, "0", "name of a group" },
		{ CONF_KEY_CONTROL_GROUP, "a b", "name of a group" },
	};
	char why[1500];
	size_t i;
	int error;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why[0] = '\0';
		error = conf_check_value(cases[i].key, cases[i].text, why,
		    sizeof(why));
		if (cases[i].why == NULL)
			assert_int_equal(error, 0);
		else if (error == 0 || strstr(why, cases[i].why) == NULL)
			fail_msg("%s=%s gave \"%s\"",
			    conf_key_path(cases[i].key), cases[i].text, why);
	}
}

static void
keys_are_checked_against_each_other(void **state)
{
	(void)state;
	assert_string_equal(errors_of(GOOD "audit:\n"
					   "  refuse_at: 50%\n"),
	    "claw.yaml:6:14: audit.warn_at (75%) must be less than "
	    "audit.refuse_at (50%)\n");
	assert_non_null(strstr(errors_of("node:\n"
					 "  name: a\n"
					 "  registry: {genesis: " HASH "}\n"
					 "  data_dir: /a\n"
					 "  run_dir: /a\n"),
	    ":5:12: node.data_dir (/a) must not be the same folder"));
}

static void
addresses_and_hashes_become_bytes(void **state)
{
	struct sockaddr_storage ss;
	uint8_t hash[32];
	socklen_t len;

	(void)state;
	assert_int_equal(netaddr_parse("127.0.0.1:80", &ss, &len), 0);
	assert_int_equal(ss.ss_family, AF_INET);
	assert_int_equal(netaddr_parse("[::1]:80", &ss, &len), 0);
	assert_int_equal(ss.ss_family, AF_INET6);
	assert_int_equal(netaddr_parse("", &ss, &len), -EINVAL);
	assert_int_equal(conf_hash_bytes(HASH, hash), 0);
	assert_int_equal(hash[1], 0x11);
	assert_int_equal(hash[31], 0xff);
	assert_int_equal(conf_hash_bytes("sha256:", hash), -EINVAL);
}

/* The file written, its path in a static buffer. */
static const char *
file_with(const char *name, const char *text, mode_t mode)
{
	static char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* The first error of loading GOOD under this environment, or "". */
static const char *
environment(struct conf *c, const char *const *entries, bool client)
{
	static char text[4096];
	char *envp[8] = { NULL };
	struct conf_errors e;
	const char *path;
	size_t i;
	int error;

	for (i = 0; entries[i] != NULL; i++)
		envp[i] = strdup(entries[i]);
	path = file_with("claw.yaml", GOOD, 0600);
	conf_errors_init(&e);
	error = client ? conf_load_client(c, &e, path, envp) :
			 conf_load(c, &e, path, envp);
	assert_int_equal(error, e.n == 0 ? 0 : -EINVAL);
	conf_errors_text(&e, 0, text, sizeof(text));
	conf_errors_free(&e);
	for (i = 0; envp[i] != NULL; i++)
		free(envp[i]);
	return text;
}

#define ENV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void
the_environment_overrides_what_it_may(void **state)
{
	char text[64];
	struct conf c;

	(void)state;
	assert_string_equal(
	    environment(&c,
		ENV("HOME=/x", "CLAW_DATA=/d", "CLAW_NODE_LOG_DIR=/l",
		    "CLAW_RUN_DIR=/r", "CLAW_AUDIT_WARN_AT=80%",
		    "CLAW_METRICS_LISTEN="),
		false),
	    "");
	assert_string_equal(c.node_data_dir, "/d");
	assert_string_equal(c.node_log_dir, "/l");
	assert_string_equal(c.node_run_dir, "/r");
	assert_int_equal(c.audit_warn_at_percent, 80);
	conf_origin_text(&c, CONF_KEY_NODE_DATA_DIR, text, sizeof(text));
	assert_string_equal(text, "env CLAW_DATA");
	conf_origin_text(&c, CONF_KEY_NODE_NAME, text, sizeof(text));
	assert_string_equal(text, "claw.yaml:2");
	conf_origin_text(&c, CONF_KEY_LOG_LEVEL, text, sizeof(text));
	assert_string_equal(text, "default");
}

static void
the_environment_cannot_say_who_the_node_is(void **state)
{
	static const enum conf_key fixed[] = { CONF_KEY_NODE_NAME,
		CONF_KEY_REGISTRY_GENESIS, CONF_KEY_NODE_DID_METHOD,
		CONF_KEY_NODE_LOCAL_ENCLAVE, CONF_KEY_NODE_KEY_STORE,
		CONF_KEY_CONTROL_GROUP };
	static const char *const entries[] = { "CLAW_NODE_NAME=a",
		"CLAW_NODE_REGISTRY_GENESIS=" HASH,
		"CLAW_NODE_IDENTITY_DID_METHOD=key",
		"CLAW_NODE_IDENTITY_LOCAL_ENCLAVE=false",
		"CLAW_NODE_IDENTITY_KEY_STORE=file",
		"CLAW_CONTROL_GROUP=users" };
	char name[CONF_ENV_MAX];
	struct conf c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		assert_null(conf_key_env(fixed[i], name));
		assert_non_null(strstr(environment(&c, ENV(entries[i]), false),
		    "cannot be set from the environment"));
		assert_non_null(strstr(environment(&c, ENV(entries[i]), true),
		    "cannot be set from the environment"));
	}
}

static void
a_mistyped_variable_is_an_error_in_daemons(void **state)
{
	struct conf c;

	(void)state;
	assert_string_equal(environment(&c, ENV("CLAW_DTAA=/x"), false),
	    "CLAW_DTAA: the environment sets a variable that no key has "
	    "(did you mean CLAW_DATA?); unset it");
	assert_string_equal(environment(&c, ENV("CLAW_DTAA=/x"), true), "");
	assert_non_null(
	    strstr(environment(&c, ENV("CLAW_="), false), "CLAW_: "));
	assert_non_null(strstr(environment(&c, ENV("CLAW_DATA"), false),
	    "must not be empty"));
	assert_non_null(
	    strstr(environment(&c, ENV("CLAW_LOG_LEVEL=loud"), false),
		"CLAW_LOG_LEVEL: log.level takes"));
	assert_non_null(
	    strstr(environment(&c, ENV("CLAW_DATA=/a", "CLAW_NODE_DATA_DIR=/b"),
		       false),
		"already set by CLAW_DATA"));
	assert_non_null(
	    strstr(environment(&c, ENV("CLAW_AUDIT_WARN_AT=95%"), false),
		"must be less than audit.refuse_at"));
}

static int
load_error(const char *path, const char *part)
{
	struct conf_errors e;
	char text[4096];
	struct conf c;
	int error;

	conf_errors_init(&e);
	error = conf_load(&c, &e, path, NULL);
	conf_errors_text(&e, 0, text, sizeof(text));
	conf_errors_free(&e);
	if (strstr(text, part) == NULL)
		fail_msg("%s instead of %s", text, part);
	return error;
}

static void
a_file_that_cannot_be_trusted_is_not_read(void **state)
{
	char path[128], *big;

	(void)state;
	assert_int_equal(
	    load_error("/nonexistent/claw.yaml", "claw init makes"), -ENOENT);
	assert_int_equal(load_error("/", "not a regular file"), -EINVAL);
	assert_int_equal(load_error(file_with("w.yaml", GOOD, 0602),
			     "(mode 0602); chmod o-w"),
	    -EINVAL);
	(void)snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load_error(path, "not a regular file"), -EINVAL);
	(void)unlink(path);
	big = malloc(CONF_FILE_MAX + 2);
	assert_non_null(big);
	memset(big, '#', CONF_FILE_MAX + 1);
	big[CONF_FILE_MAX + 1] = '\0';
	assert_int_equal(
	    load_error(file_with("big.yaml", big, 0600), "larger than 65536"),
	    -EFBIG);
	free(big);
}

static void
a_wrong_file_changes_nothing(void **state)
{
	struct conf_errors e;
	struct conf c, was;

	(void)state;
	parse_good(&c, GOOD);
	was = c;
	conf_errors_init(&e);
	assert_int_equal(conf_parse(&c, &e, "x", "node:\n  name: b\n", 16),
	    -EINVAL);
	conf_errors_free(&e);
	assert_memory_equal(&c, &was, sizeof(c));
}

static void
a_reload_names_what_it_cannot_change(void **state)
{
	enum conf_key changed[CONF_KEY_MAX];
	struct conf a, b;
	char names[128], small[8];

	(void)state;
	parse_good(&a, GOOD);
	b = a;
	assert_int_equal(conf_diff(&a, &b, changed), 0);
	assert_int_equal(conf_diff_fixed(&a, &b, names, sizeof(names)), 0);
	assert_string_equal(names, "");
	b.log_level = CONF_LOG_LEVEL_DEBUG;
	b.audit_warn_at_percent = 50;
	assert_int_equal(conf_diff(&a, &b, changed), 2);
	assert_int_equal(changed[0], CONF_KEY_AUDIT_WARN_AT);
	assert_int_equal(changed[1], CONF_KEY_LOG_LEVEL);
	assert_int_equal(conf_diff_fixed(&a, &b, names, sizeof(names)), 0);
	(void)snprintf(b.node_name, sizeof(b.node_name), "x");
	(void)snprintf(b.node_listen, sizeof(b.node_listen), "1.1.1.1:1");
	assert_int_equal(conf_diff_fixed(&a, &b, names, sizeof(names)), 2);
	assert_string_equal(names, "node.name, node.listen");
	assert_int_equal(conf_diff_fixed(&a, &b, small, sizeof(small)), 2);
}

static void
what_is_printed_can_be_read_again(void **state)
{
	char text[8192] = "";
	enum conf_key changed[CONF_KEY_MAX];
	struct conf a, b;
	FILE *f;
	int i;

	(void)state;
	parse_good(&a, GOOD);
	(void)snprintf(a.node_data_dir, sizeof(a.node_data_dir),
	    "/a # \"b\\c\": \u00e9 'd'");
	(void)snprintf(a.node_name, sizeof(a.node_name), "null");
	(void)snprintf(a.sft_accept, sizeof(a.sft_accept),
	    "deny name=a:?#*,[x]; allow peer=b into='c'");
	a.audit_reserve_bytes = 5 << 20;
	a.audit_checkpoint_interval_ms = 1500;
	for (i = 0; i < 2; i++) {
		f = fmemopen(text, sizeof(text) - 1, "w");
		assert_non_null(f);
		conf_print(&a, f, i == 1);
		assert_int_equal(fclose(f), 0);
		parse_good(&b, text);
		assert_int_equal(conf_diff(&a, &b, changed), 0);
	}
	assert_non_null(strstr(text, "checkpoint_interval: 1500ms  # "));
}

static void
names_of_keys_are_found(void **state)
{
	(void)state;
	assert_int_equal(conf_key_by_path("log.level"), CONF_KEY_LOG_LEVEL);
	assert_int_equal(conf_key_by_path("log"), CONF_KEY_MAX);
	assert_string_equal(conf_key_nearest("log.levle"), "log.level");
	assert_string_equal(conf_key_nearest("genesis"),
	    "node.registry.genesis");
	assert_null(conf_key_nearest("voice.codec"));
	assert_string_equal(conf_key_path(CONF_KEY_MAX), "?");
}

/* As the manual's source has it: without the folder that the build chose. */
static const char *
printed_default(const struct confkey *k)
{
	const char *p = strstr(k->def, "/claw"), *next;

	/* The last one: a prefix may hold the name, too. */
	while (p != NULL && (next = strstr(p + 1, "/claw")) != NULL)
		p = next;
	if (k->type != CONF_TYPE_PATH || p == NULL)
		return k->def;
	if (strcmp(k->path, "node.run_dir") == 0)
		return p;
	return p - strlen("/lib");
}

static char *
manual(void)
{
	const char *srcdir = getenv("srcdir");
	char path[4096], *text;
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/man/claw.yaml.5",
	    srcdir == NULL ? "." : srcdir);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	text = calloc(1, 65536);
	assert_non_null(text);
	n = fread(text, 1, 65535, f);
	assert_true(n > 0 && n < 65535);
	(void)fclose(f);
	return text;
}

static void
the_manual_has_every_key(void **state)
{
	char want[256], env[CONF_ENV_MAX], *text = manual(), *at, *end;
	const struct confkey *k;
	size_t i;

	(void)state;
	for (i = 0; i < CONF_KEY_MAX; i++) {
		k = confkey((enum conf_key)i);
		(void)snprintf(want, sizeof(want), ".It Cm %s ", k->path);
		at = strstr(text, want);
		if (at == NULL)
			fail_msg("the manual lacks %s", k->path);
		end = strstr(at + 1, "\n.It Cm ");
		if (end != NULL)
			*end = '\0';
		if (k->def == NULL)
			assert_non_null(strstr(at, "Required"));
		else if (strstr(at, printed_default(k)) == NULL)
			fail_msg("%s: no default %s", k->path, k->def);
		if ((strstr(at, "\nReload.") != NULL) != k->reload ||
		    (strstr(at, "\nRestart.") != NULL) == k->reload)
			fail_msg("%s: reload or restart?", k->path);
		if (conf_key_env((enum conf_key)i, env) != NULL) {
			if (strstr(at, env) == NULL)
				fail_msg("%s: no %s", k->path, env);
		} else if (strstr(at, "CLAW_") != NULL) {
			fail_msg("%s: has no variable", k->path);
		}
		if (end != NULL)
			*end = '\n';
	}
	free(text);
}

static int
make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
remove_folder(void **state)
{
	static const char *const names[] = { "claw.yaml", "w.yaml",
		"big.yaml" };
	char path[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)unlink(path);
	}
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_file_gives_every_default),
		cmocka_unit_test(every_key_can_be_written),
		cmocka_unit_test(a_list_stands_in_brackets_or_on_lines),
		cmocka_unit_test(a_rule_that_is_wrong_is_told_with_its_place),
		cmocka_unit_test(a_section_may_be_empty),
		cmocka_unit_test(all_errors_are_told_in_one_run),
		cmocka_unit_test(an_error_shows_its_line_and_a_caret),
		cmocka_unit_test(
		    what_stands_behind_an_unknown_key_is_not_shown),
		cmocka_unit_test(no_file_can_talk_to_the_terminal),
		cmocka_unit_test(shapes_that_hide_meaning_are_refused),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(values_are_held_to_their_type_and_bounds),
		cmocka_unit_test(keys_are_checked_against_each_other),
		cmocka_unit_test(addresses_and_hashes_become_bytes),
		cmocka_unit_test(the_environment_overrides_what_it_may),
		cmocka_unit_test(the_environment_cannot_say_who_the_node_is),
		cmocka_unit_test(a_mistyped_variable_is_an_error_in_daemons),
		cmocka_unit_test(a_file_that_cannot_be_trusted_is_not_read),
		cmocka_unit_test(a_wrong_file_changes_nothing),
		cmocka_unit_test(a_reload_names_what_it_cannot_change),
		cmocka_unit_test(what_is_printed_can_be_read_again),
		cmocka_unit_test(
		    a_power_of_two_is_one_and_the_nearest_is_named),
		cmocka_unit_test(names_of_keys_are_found),
		cmocka_unit_test(the_manual_has_every_key),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
