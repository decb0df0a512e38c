/* SPDX-License-Identifier: ISC */
/*
 * test_confedit.c - config:set changes the value's bytes and no other: on
 * files of any layout with comments anywhere, what was not set is the same
 * byte for byte, and reading the result gives the value.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
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
#include "common/confedit.h"

#define HASH                                                                   \
	"sha256:00112233445566778899aabbccddeeff"                              \
	"00112233445566778899aabbccddeeff"
#define OTHER                                                                  \
	"sha256:ffeeddccbbaa99887766554433221100"                              \
	"ffeeddccbbaa99887766554433221100"
#define ROUNDS 400 /* random files; each has every key set in it twice */

/* Values that go together in any mixture, two for each key. */
static const char *const samples[CONF_KEY_MAX][2] = {
	[CONF_KEY_NODE_NAME] = { "agent-7", "b" },
	[CONF_KEY_NODE_LISTEN] = { "192.0.2.1:1", "[2001:db8::1]:65535" },
	[CONF_KEY_NODE_DATA_DIR] = { "/srv/d", "/d\u00e4ta/\u20ac # \"x\\y\"" },
	[CONF_KEY_NODE_LOG_DIR] = { "/srv/log: 1", "/l" },
	[CONF_KEY_NODE_RUN_DIR] = { "/run/x", "/'r' {a, b}" },
	[CONF_KEY_NODE_DID_METHOD] = { "key", "key" },
	[CONF_KEY_NODE_LOCAL_ENCLAVE] = { "true", "false" },
	[CONF_KEY_NODE_KEY_STORE] = { "file", "file" },
	[CONF_KEY_REGISTRY_GENESIS] = { HASH, OTHER },
	[CONF_KEY_AUDIT_CHECKPOINT_INTERVAL] = { "1s", "1500ms" },
	[CONF_KEY_AUDIT_WARN_AT] = { "5%", "50%" },
	[CONF_KEY_AUDIT_REFUSE_AT] = { "91%", "99%" },
	[CONF_KEY_AUDIT_RESERVE] = { "8M", "1G" },
	[CONF_KEY_SYNC_GOSSIP_PEERS] = { "192.0.2.1:1",
	    "192.0.2.1:1 [2001:db8::1]:65535" },
	[CONF_KEY_MESH_MAX_LINKS] = { "1", "500" },
	[CONF_KEY_MESH_MAX_PENDING] = { "1", "500" },
	[CONF_KEY_MESH_PER_ADDRESS] = { "1", "500" },
	[CONF_KEY_MESH_HANDSHAKE_TIMEOUT] = { "5s", "1m" },
	[CONF_KEY_MESH_POOL] = { "1", "32" },
	[CONF_KEY_SFT_LISTEN] = { "", "[::1]:7947" },
	[CONF_KEY_SFT_CHUNK_SIZE] = { "1M", "32M" },
	[CONF_KEY_SFT_STREAMS] = { "auto", "8" },
	[CONF_KEY_SFT_RESUME_BUFFER] = { "32M", "16G" },
	[CONF_KEY_SFT_MAX_BYTES] = { "512K", "1024G" },
	[CONF_KEY_SFT_VERIFY] = { "stream", "disk" },
	[CONF_KEY_SFT_COMPRESS] = { "auto", "never" },
	[CONF_KEY_SFT_MAX_TRANSFERS] = { "1", "60" },
	[CONF_KEY_SFT_ACCEPT] = { "allow",
	    "deny peer=a,b name=x:*; allow into=in/x" },
	[CONF_KEY_CONTROL_GROUP] = { "claw", "wheel" },
	[CONF_KEY_CONTROL_MAX_CLIENTS] = { "1", "1024" },
	[CONF_KEY_METRICS_LISTEN] = { "", "127.0.0.1:9100" },
	[CONF_KEY_LOG_DESTINATION] = { "auto", "journal" },
	[CONF_KEY_LOG_LEVEL] = { "info", "debug" },
};

static char folder[] = "/tmp/claw-confedit-XXXXXX";

struct text {
	char buf[CONF_FILE_MAX];
	size_t len;
	size_t at[CONF_KEY_MAX], end[CONF_KEY_MAX]; /* of each value, or 0 */
	uint64_t seed;
};

static unsigned int
pick(struct text *t, unsigned int n)
{
	t->seed = t->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(t->seed >> 33) % n;
}

static void
put(struct text *t, const char *s)
{
	size_t n = strlen(s);

	assert_true(t->len + n < sizeof(t->buf));
	memcpy(t->buf + t->len, s, n + 1);
	t->len += n;
}

static void
put_spaces(struct text *t, unsigned int n)
{
	while (n-- > 0)
		put(t, " ");
}

/* Comments and empty lines between two keys. */
static void
put_noise(struct text *t)
{
	static const char *const noise[] = { "", "", "", "\n", "   \n",
		"# plain\n", "      # \u00e9\u20ac\U0001f600 deep\n",
		"#\tnode: {name: x}\n", "  # key: \"value\"\n" };

	put(t, noise[pick(t, sizeof(noise) / sizeof(noise[0]))]);
}

static void
put_value(struct text *t, enum conf_key key, const char *value)
{
	const char *p;
	char c[3] = "\\x";
	bool plain;

	plain = value[0] != '\0' && strpbrk(value, " :#\"'{}[]\\") == NULL;
	if (conf_value_is_plain(key) || (plain && pick(t, 2) == 0)) {
		put(t, value);
	} else if (strchr(value, '\'') == NULL && pick(t, 2) == 0) {
		put(t, "'");
		put(t, value);
		put(t, "'");
	} else {
		put(t, "\"");
		for (p = value; *p != '\0'; p++) {
			c[1] = *p;
			put(t, *p == '"' || *p == '\\' ? c : c + 1);
		}
		put(t, "\"");
	}
}

static void
put_key(struct text *t, enum conf_key key, unsigned int indent)
{
	static const char *const tails[] = { "\n", "\n", "  \n", " # c\n",
		"   #\u00e9: 'x' \"\n" };
	const char *path = conf_key_path(key);

	put_noise(t);
	put_spaces(t, indent);
	put(t, strrchr(path, '.') + 1);
	put(t, pick(t, 8) == 0 ? " :" : ":");
	put_spaces(t, 1 + pick(t, 3));
	t->at[key] = t->len;
	put_value(t, key, samples[key][pick(t, 2)]);
	t->end[key] = t->len;
	put(t, tails[pick(t, sizeof(tails) / sizeof(tails[0]))]);
}

/* The keys directly in a section, in random order, each there or not. */
static void
put_keys(struct text *t, const char *section, unsigned int indent)
{
	size_t n = strlen(section), i, start = pick(t, CONF_KEY_MAX);
	const char *path;
	enum conf_key key;

	for (i = 0; i < CONF_KEY_MAX; i++) {
		key = (enum conf_key)((i * 5 + start) % CONF_KEY_MAX);
		path = conf_key_path(key);
		if (strncmp(path, section, n) != 0 || path[n] != '.' ||
		    strchr(path + n + 1, '.') != NULL)
			continue;
		if (key == CONF_KEY_NODE_NAME ||
		    key == CONF_KEY_REGISTRY_GENESIS || pick(t, 2) == 0)
			put_key(t, key, indent);
	}
}

static void
put_section(struct text *t, const char *path, unsigned int indent)
{
	const char *dot = strrchr(path, '.');

	put_noise(t);
	put_spaces(t, indent);
	put(t, dot == NULL ? path : dot + 1);
	put(t, pick(t, 3) == 0 ? ":   # section\n" : ":\n");
}

static void
make_file(struct text *t, uint64_t seed)
{
	static const char *const tops[] = { "audit", "control", "metrics",
		"mesh", "sft", "log" };
	const unsigned int n = sizeof(tops) / sizeof(tops[0]);
	unsigned int step, i, top, node_at;

	memset(t, 0, sizeof(*t));
	t->seed = seed * 2654435761u + 1;
	step = 1 + pick(t, 6);
	top = pick(t, n);
	node_at = pick(t, n + 1);
	if (pick(t, 4) == 0)
		put(t, "# head\n---\n");
	for (i = 0; i <= n; i++) {
		if (i == node_at) {
			put_section(t, "node", 0);
			if (pick(t, 2) == 0) {
				put_section(t, "node.identity", step);
				put_keys(t, "node.identity", 2 * step);
			}
			put_keys(t, "node", step);
			put_section(t, "node.registry", step);
			put_keys(t, "node.registry", 2 * step);
		} else if (pick(t, 3) > 0) {
			/* May stay without a key, which is allowed. */
			put_section(t, tops[top], 0);
			put_keys(t, tops[top], step);
			top = (top + 1) % n;
		}
	}
	put_noise(t);
	if (pick(t, 4) == 0)
		while (t->len > 0 && t->buf[t->len - 1] == '\n')
			t->len--;
}

static void
read_conf(struct conf *c, const char *buf, size_t len)
{
	struct conf_errors e;

	conf_errors_init(&e);
	if (conf_parse(c, &e, "claw.yaml", buf, len) != 0) {
		conf_errors_print(&e, stderr);
		fail_msg("not a configuration:\n%.*s", (int)len, buf);
	}
	conf_errors_free(&e);
}

/* Exactly the value's bytes gave way, or whole lines came in between. */
static void
check_bytes(const struct text *t, enum conf_key key, const char *out,
    size_t len)
{
	size_t at = t->at[key], tail = t->len - t->end[key];

	if (t->end[key] == 0) {
		for (at = 0; at < t->len && t->buf[at] == out[at]; at++)
			;
		tail = t->len - at;
		assert_true(len > t->len);
	}
	assert_true(len >= at + tail);
	assert_memory_equal(t->buf, out, at);
	assert_memory_equal(t->buf + t->len - tail, out + len - tail, tail);
	if (t->end[key] != 0)
		assert_null(memchr(out + at, '\n', len - at - tail));
}

static void
set_and_check(const struct text *t, enum conf_key key, const char *value)
{
	enum conf_key changed[CONF_KEY_MAX];
	struct conf before, after;
	struct conf_errors e;
	char text[CONF_TEXT_MAX], *out;
	size_t out_len, n;
	int error;

	read_conf(&before, t->buf, t->len);
	conf_errors_init(&e);
	error = confedit_text("claw.yaml", t->buf, t->len, key, value, &out,
	    &out_len, &e);
	if (error != 0) {
		conf_errors_print(&e, stderr);
		fail_msg("%s=%s in:\n%.*s", conf_key_path(key), value,
		    (int)t->len, t->buf);
	}
	conf_errors_free(&e);
	read_conf(&after, out, out_len);
	conf_value_text(&after, key, text, sizeof(text));
	assert_string_equal(text, value);
	assert_int_equal(after.origin[key].from, CONF_FROM_FILE);
	n = conf_diff(&before, &after, changed);
	assert_true(n == 0 || (n == 1 && changed[0] == key));
	check_bytes(t, key, out, out_len);
	conf_value_text(&before, key, text, sizeof(text));
	if (t->end[key] != 0 && strcmp(text, value) == 0) {
		assert_int_equal(t->len, out_len);
		assert_memory_equal(t->buf, out, out_len);
	}
	free(out);
}

static void
every_untouched_byte_is_the_same(void **state)
{
	static struct text t;
	size_t key, present = 0;
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= ROUNDS; seed++) {
		make_file(&t, seed);
		for (key = 0; key < CONF_KEY_MAX; key++) {
			set_and_check(&t, (enum conf_key)key, samples[key][0]);
			set_and_check(&t, (enum conf_key)key, samples[key][1]);
			present += t.end[key] != 0;
		}
	}
	/* Both cases have really been met, and often. */
	assert_in_range(present, ROUNDS * CONF_KEY_MAX / 5,
	    ROUNDS * CONF_KEY_MAX * 3 / 4);
}

struct edit_case {
	const char *before;
	enum conf_key key;
	const char *value, *after; /* NULL: refused with the error */
	const char *error;
};

#define NODE "node: {name: a, registry: {genesis: " HASH "}}\n"

static void
layouts_are_kept(void **state)
{
	static const struct edit_case cases[] = {
		{ NODE "log:\n  level: info # why\n", CONF_KEY_LOG_LEVEL,
		    "debug", NODE "log:\n  level: debug # why\n", NULL },
		{ NODE "log:\n  level: 'info'\n", CONF_KEY_LOG_LEVEL, "debug",
		    NODE "log:\n  level: \"debug\"\n", NULL },
		{ NODE "log:\n  level:   # later\n", CONF_KEY_LOG_LEVEL, "warn",
		    NODE "log:\n  level: warn   # later\n", NULL },
		{ NODE "log:\n  level: ~\n", CONF_KEY_LOG_LEVEL, "warn",
		    NODE "log:\n  level: warn\n", NULL },
		{ NODE "log: # x\n    # level: info\n", CONF_KEY_LOG_LEVEL,
		    "warn", NODE "log: # x\n  level: warn\n    # level: info\n",
		    NULL },
		{ NODE "log:\n   destination: auto\n\n# end",
		    CONF_KEY_LOG_LEVEL, "warn",
		    NODE "log:\n   destination: auto\n   level: warn\n\n# end",
		    NULL },
		{ NODE "log:\n   destination: auto", CONF_KEY_LOG_LEVEL, "warn",
		    NODE "log:\n   destination: auto\n   level: warn\n", NULL },
		{ "# \u00e9\n" NODE "# end\n", CONF_KEY_METRICS_LISTEN,
		    "[::1]:9",
		    "# \u00e9\n" NODE "metrics:\n  listen: \"[::1]:9\"\n"
		    "# end\n",
		    NULL },
		{ NODE "log:\n  level: wrong\n", CONF_KEY_LOG_LEVEL, "warn",
		    NODE "log:\n  level: warn\n", NULL },
		{ NODE "sft:\n  accept: [allow] # all\n", CONF_KEY_SFT_ACCEPT,
		    "deny peer=a; allow",
		    NODE "sft:\n  accept: [\"deny peer=a\", \"allow\"] # all\n",
		    NULL },
		{ NODE "sft:\n  accept:\n  - deny\n\n# end\n",
		    CONF_KEY_SFT_VERIFY, "disk",
		    NODE "sft:\n  accept:\n  - deny\n  verify: disk\n\n"
			 "# end\n",
		    NULL },
		/* Left to a person. */
		{ NODE "sft:\n  accept:\n  - deny\n", CONF_KEY_SFT_ACCEPT,
		    "allow", NULL, ":3:3: a list of several lines; set" },
		{ NODE, CONF_KEY_NODE_NAME, "b", NULL,
		    ":1:14: in braces; set node.name here by hand" },
		{ NODE, CONF_KEY_NODE_LISTEN, "1.2.3.4:5", NULL,
		    ":1:7: not a section of indented lines; set node.listen" },
		{ "{" NODE "}\n", CONF_KEY_LOG_LEVEL, "warn", NULL,
		    ":1:1: not a section of indented lines" },
		{ NODE "log: ~\n", CONF_KEY_LOG_LEVEL, "warn", NULL,
		    ":2:6: not a section of indented lines" },
		{ NODE "log: {}\n", CONF_KEY_LOG_LEVEL, "warn", NULL,
		    ":2:6: not a section of indented lines" },
		{ NODE "log:\n  level: |\n    info\n", CONF_KEY_LOG_LEVEL,
		    "warn", NULL, ":3:10: a value stands on one line" },
		{ NODE "log:\n  level: &a info\n", CONF_KEY_LOG_LEVEL, "warn",
		    NULL, ":3:10: an anchor" },
		{ NODE "...\n", CONF_KEY_LOG_LEVEL, "warn",
		    NODE "log:\n  level: warn\n...\n", NULL },
		/* The whole result must be right. */
		{ NODE "x: 1\n", CONF_KEY_LOG_LEVEL, "warn", NULL,
		    ":2:1: unknown key" },
		{ NODE, CONF_KEY_AUDIT_WARN_AT, "95%", NULL,
		    "must be less than audit.refuse_at" },
		{ NODE, CONF_KEY_LOG_LEVEL, "loud", NULL, "log.level takes" },
		{ "", CONF_KEY_LOG_LEVEL, "warn", NULL,
		    "node.name is missing" },
	};
	struct conf_errors e;
	char *out, text[4096];
	size_t i, len;
	int error;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		conf_errors_init(&e);
		error =
		    confedit_text("x", cases[i].before, strlen(cases[i].before),
			cases[i].key, cases[i].value, &out, &len, &e);
		conf_errors_text(&e, 0, text, sizeof(text));
		conf_errors_free(&e);
		if (cases[i].after == NULL) {
			assert_null(out);
			assert_int_not_equal(error, 0);
			if (strstr(text, cases[i].error) == NULL)
				fail_msg("%s instead of %s", text,
				    cases[i].error);
			continue;
		}
		if (error != 0 || len != strlen(cases[i].after) ||
		    memcmp(out, cases[i].after, len) != 0)
			fail_msg("%s%.*s\ninstead of\n%s", text,
			    out == NULL ? 0 : (int)len, out, cases[i].after);
		free(out);
	}
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void
holds(const char *path, const char *want)
{
	char text[4096] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	(void)fclose(f);
	assert_string_equal(text, want);
}

static int
set_file(const char *path, const char *value, char *diff, size_t len)
{
	struct conf_errors e;
	FILE *f;
	int error;

	memset(diff, 0, len);
	f = fmemopen(diff, len - 1, "w");
	assert_non_null(f);
	conf_errors_init(&e);
	error = confedit_file(path, CONF_KEY_LOG_LEVEL, value, &e, f);
	assert_int_equal(error == 0, e.n == 0);
	conf_errors_free(&e);
	(void)fclose(f);
	return error;
}

static void
a_file_is_replaced_with_its_mode_and_owner(void **state)
{
	char path[64], link[64], diff[1024], want[1024];
	struct stat was, is, ls;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/claw.yaml", folder);
	(void)snprintf(link, sizeof(link), "%s/link.yaml", folder);
	write_file(path, NODE "log:\n  level: info\n");
	assert_int_equal(chmod(path, 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(symlink("claw.yaml", link), 0);
	assert_int_equal(stat(path, &was), 0);

	assert_int_equal(set_file(link, "debug", diff, sizeof(diff)), 0);
	(void)snprintf(want, sizeof(want),
	    "%s:3\n-  level: info\n"
	    "+  level: debug\n",
	    link);
	assert_string_equal(diff, want);
	holds(path, NODE "log:\n  level: debug\n");
	assert_int_equal(stat(path, &is), 0);
	assert_int_equal(lstat(link, &ls), 0);
	assert_true(S_ISLNK(ls.st_mode));
	assert_int_not_equal(is.st_ino, was.st_ino);
	assert_int_equal(is.st_mode, was.st_mode);
	assert_int_equal(is.st_uid, was.st_uid);
	assert_int_equal(is.st_gid, was.st_gid);

	/* Nothing to change: not even the inode. */
	was = is;
	assert_int_equal(set_file(path, "debug", diff, sizeof(diff)), 0);
	assert_string_equal(diff, "");
	assert_int_equal(stat(path, &is), 0);
	assert_int_equal(is.st_ino, was.st_ino);

	/* Refused: the file stays as it was, and nothing beside it. */
	assert_int_equal(set_file(path, "loud", diff, sizeof(diff)), -EINVAL);
	holds(path, NODE "log:\n  level: debug\n");
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(set_file(path, "warn", diff, sizeof(diff)), -ENOENT);
}

/* Sets one key to one value after the other, as a process of its own, and
 * fails where its last value is gone when it comes back. */
static pid_t
editor(const char *path, enum conf_key key, unsigned int last)
{
	char value[16], before[CONF_TEXT_MAX];
	struct conf_errors e;
	struct conf c;
	unsigned int i;
	pid_t pid;

	pid = fork();
	if (pid != 0)
		return pid;
	conf_errors_init(&e);
	for (i = 1; i <= last; i++) {
		if (conf_load(&c, &e, path, NULL) != 0)
			_exit(1);
		conf_value_text(&c, key, before, sizeof(before));
		if (i > 1 && strcmp(before, value) != 0)
			_exit(2);
		(void)snprintf(value, sizeof(value), "%u%s", i,
		    key == CONF_KEY_AUDIT_WARN_AT ? "%" : "");
		if (confedit_file(path, key, value, &e, NULL) != 0)
			_exit(3);
	}
	_exit(0);
}

static void
two_edits_at_a_time_do_not_undo_each_other(void **state)
{
	char path[64];
	int status, i;
	pid_t pid;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/claw.yaml", folder);
	write_file(path, NODE "control:\n  max_clients: 1\n");
	assert_true(editor(path, CONF_KEY_AUDIT_WARN_AT, 70) > 0);
	assert_true(editor(path, CONF_KEY_CONTROL_MAX_CLIENTS, 70) > 0);
	for (i = 0; i < 2; i++) {
		pid = wait(&status);
		assert_true(pid > 0);
		assert_int_equal(status, 0);
	}
	holds(path,
	    NODE "control:\n  max_clients: 70\n"
		 "audit:\n  warn_at: 70%\n");
	assert_int_equal(unlink(path), 0);
}

static int
make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL ? -1 : 0;
}

/* Fails, as it should, where an edit left a temporary file behind. */
static int
remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_untouched_byte_is_the_same),
		cmocka_unit_test(layouts_are_kept),
		cmocka_unit_test(a_file_is_replaced_with_its_mode_and_owner),
		cmocka_unit_test(two_edits_at_a_time_do_not_undo_each_other),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
