/* SPDX-License-Identifier: ISC */
/*
 * init.c - `claw init`: a new node.
 *
 * keyd is started just as it will be later, in its sandbox, and writes the
 * keys it makes into files that have no name yet; clawd syncs them and gives
 * them their names. What is interrupted leaves nothing that looks whole.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/init.h"
#include "clawd/place.h"
#include "clawd/spawn.h"
#include "common/chan.h"
#include "common/identity.h"
#include "common/log.h"

#define EX_CANTCREAT 73
#define EX_CONFIG 78
#define SOFT_WINDOW_S 86400   /* a day: warn, admit nobody new */
#define HARD_WINDOW_S 1209600 /* 14 days: refuse */
#define LINE_SIZE 2049

static struct {
	struct event_base *base;
	struct conf conf;
	char file[CONF_PATH_MAX];
	int node_fd, authority_fd;
	uint8_t identity[32];
	char line[LINE_SIZE]; /* genesis, with its newline */
	size_t line_len;
	uint8_t genesis[32];
	bool done;
} job = { .node_fd = -1, .authority_fd = -1 };

static void
give_up(const char *what)
{
	log_errorx("no node was made: %s", what);
	event_base_loopbreak(job.base);
}

static bool
refused(const struct msg *m)
{
	struct msg_REFUSED no;
	struct rbuf body;

	if (m != NULL && m->type != MSG_REFUSED)
		return false;
	if (m != NULL) {
		body = m->body;
		if (msg_get_REFUSED(&body, &no)) {
			give_up(no.text);
			return true;
		}
	}
	give_up("keyd has ended");
	return true;
}

/* The conversation with keyd: HELLO, node key, authority key, genesis. */

static void
on_genesis(struct chan *c, struct msg *m, void *arg)
{
	struct msg_GENESIS_SIGNED g;

	(void)c;
	(void)arg;
	if (refused(m))
		return;
	if (!msg_get_GENESIS_SIGNED(&m->body, &g) ||
	    g.line_len >= sizeof(job.line))
		fatalx("malformed GENESIS_SIGNED");
	memcpy(job.line, g.line, g.line_len);
	job.line_len = g.line_len;
	job.done = true;
	event_base_loopbreak(job.base);
}

static void
on_authority(struct chan *c, struct msg *m, void *arg)
{
	struct msg_GENESIS_SIGN g = { .time_s = (uint64_t)time(NULL),
		.soft_s = SOFT_WINDOW_S,
		.hard_s = HARD_WINDOW_S };

	(void)arg;
	if (!refused(m))
		(void)chan_send_GENESIS_SIGN(c,
		    chan_ask(c, MSG_GENESIS_SIGN, on_genesis, NULL), -1, &g);
}

static void
on_node_key(struct chan *c, struct msg *m, void *arg)
{
	struct msg_AUTHORITY_CREATE create = { 0 };
	struct msg_KEY_PUBLIC pub;

	(void)arg;
	if (refused(m))
		return;
	if (!msg_get_KEY_PUBLIC(&m->body, &pub))
		fatalx("malformed KEY_PUBLIC");
	memcpy(job.identity, pub.identity, sizeof(job.identity));
	(void)chan_send_AUTHORITY_CREATE(c,
	    chan_ask(c, MSG_AUTHORITY_CREATE, on_authority, NULL),
	    job.authority_fd, &create);
}

static void
on_hello(struct chan *c, struct msg *m)
{
	struct msg_KEY_CREATE create = { 0 };
	struct msg_HELLO hello;

	if (!msg_get_HELLO(&m->body, &hello))
		fatalx("malformed HELLO");
	if (hello.schema != msg_schema() || hello.failed != 0) {
		give_up("keyd is of another version, or its sandbox is open");
		return;
	}
	(void)chan_send_KEY_CREATE(c,
	    chan_ask(c, MSG_KEY_CREATE, on_node_key, NULL), job.node_fd,
	    &create);
}

static void
on_closed(struct chan *c)
{
	(void)c;
	give_up("keyd has ended; the log says why");
}

static void
on_violation(struct chan *c, uint16_t type, const char *reason)
{
	(void)c;
	(void)type;
	give_up(reason);
}

static void
on_notice(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
}

static bool
ask_keyd(bool insecure)
{
	static const struct chan_handlers handlers[] = { { MSG_HELLO,
							     on_hello },
		{ MSG_VIOLATION, on_notice }, { 0, NULL } };
	static const struct chan_ops ops = { handlers, on_closed,
		on_violation };
	struct spawn s = { .conf = &job.conf,
		.log_fd = STDERR_FILENO,
		.insecure = insecure };
	struct chan *c;
	int channel, page;
	pid_t pid;

	pid = spawn_start(&s, PROC_KEYD, &channel, &page);
	if (pid == -1)
		return false;
	close(page);
	c = chan_new(job.base, channel, PROC_CLAWD, PROC_KEYD, &ops, NULL);
	if (c == NULL)
		fatalx("out of memory");
	event_base_dispatch(job.base);
	chan_free(c); /* keyd ends with its channel */
	waitpid(pid, NULL, 0);
	return job.done;
}

/* Files. */

static int
open_unnamed(enum place folder)
{
	char path[CONF_TEXT_MAX];
	int fd;

	if (!place_path(&job.conf, folder, path, sizeof(path)))
		return -1;
	fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1)
		log_warn("%s: no unnamed file can be made there", path);
	return fd;
}

/* Syncs an unnamed file and gives it its name, which must be free. */
static bool
name_file(int fd, enum place folder, const char *name, mode_t mode)
{
	char path[CONF_TEXT_MAX], to[CONF_TEXT_MAX + 64], from[64];
	int dir;
	bool ok;

	if (!place_path(&job.conf, folder, path, sizeof(path)))
		return false;
	snprintf(to, sizeof(to), "%s/%s", path, name);
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = dir != -1 && fchmod(fd, mode) == 0 && fsync(fd) == 0 &&
	    linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0 &&
	    fsync(dir) == 0;
	if (!ok)
		log_warn("%s", to);
	if (dir != -1)
		close(dir);
	return ok;
}

static bool
write_registry(void)
{
	int fd = open_unnamed(PLACE_REGISTRY);
	bool ok;

	job.line[job.line_len++] = '\n';
	ok = fd != -1 &&
	    write(fd, job.line, job.line_len) == (ssize_t)job.line_len &&
	    (getuid() != 0 ||
		fchown(fd, account_uid(PROC_ATTESTD),
		    account_gid(PROC_ATTESTD)) == 0) &&
	    name_file(fd, PLACE_REGISTRY, "registry.ndjson", 0644);
	if (fd != -1)
		close(fd);
	/* The pin: the hash of the line without its newline. */
	return ok &&
	    EVP_Digest(job.line, job.line_len - 1, job.genesis, NULL,
		EVP_sha256(), NULL) == 1;
}

static int
format_conf(const struct init_opts *opts, char *out, size_t size)
{
	char hex[65], folders[3 * CONF_TEXT_MAX] = "", listen[128] = "";
	int i;

	for (i = 0; i < 32; i++)
		snprintf(hex + i * 2, 3, "%02x", job.genesis[i]);
	if (opts->listen != NULL)
		snprintf(listen, sizeof(listen), "  listen: \"%s\"\n",
		    opts->listen);
	if (opts->dir != NULL)
		snprintf(folders, sizeof(folders),
		    "  data_dir: \"%s\"\n"
		    "  log_dir: \"%s\"\n"
		    "  run_dir: \"%s\"\n",
		    job.conf.node_data_dir, job.conf.node_log_dir,
		    job.conf.node_run_dir);
	return snprintf(out, size,
	    "# claw.yaml(5). Check a change with `claw config:check`, take it "
	    "with `claw reload`.\n"
	    "node:\n"
	    "  name: %s\n"
	    "%s%s"
	    "  registry:\n"
	    "    # What this node believes: never change it.\n"
	    "    genesis: \"sha256:%s\"\n",
	    opts->name, listen, folders, hex);
}

static bool
write_conf(const struct init_opts *opts)
{
	char text[4 * CONF_TEXT_MAX], temp[CONF_PATH_MAX + 8];
	int fd, n = format_conf(opts, text, sizeof(text));
	bool ok;

	if (n < 0 || (size_t)n >= sizeof(text))
		return false;
	snprintf(temp, sizeof(temp), "%s.new", job.file);
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	ok = fd != -1 && write(fd, text, (size_t)n) == n && fsync(fd) == 0 &&
	    link(temp, job.file) == 0;
	if (!ok)
		log_warn("%s", job.file);
	if (fd != -1)
		close(fd);
	unlink(temp);
	return ok;
}

/* The configuration as it will be, checked before anything is made. */
static bool
plan(const struct init_opts *opts)
{
	char text[4 * CONF_TEXT_MAX], dir[PATH_MAX] = "";
	struct conf_errors errors;
	int n, r;

	conf_errors_init(&errors);
	if (opts->dir != NULL) {
		if (mkdir(opts->dir, 0755) == -1 && errno != EEXIST) {
			log_warn("cannot make the folder %s", opts->dir);
			return false;
		}
		if (realpath(opts->dir, dir) == NULL || strlen(dir) > 80) {
			log_errorx("%s: the path of a node may have at most 80 "
				   "characters (its sockets are below it)",
			    opts->dir);
			return false;
		}
		snprintf(job.conf.node_data_dir, 1000, "%s/data", dir);
		snprintf(job.conf.node_log_dir, 1000, "%s/log", dir);
		snprintf(job.conf.node_run_dir, 91, "%s/run", dir);
	}
	snprintf(job.file, sizeof(job.file), "%s/claw.yaml",
	    opts->dir != NULL ? dir : CLAW_SYSCONFDIR "/claw");
	n = format_conf(opts, text, sizeof(text));
	r = conf_parse(&job.conf, &errors, job.file, text,
	    n > 0 ? (size_t)n : 0);
	if (r != 0)
		conf_errors_print(&errors, stderr);
	conf_errors_free(&errors);
	if (r == 0 && access(job.file, F_OK) == 0) {
		log_errorx("%s is there already: this is a node", job.file);
		return false;
	}
	return r == 0;
}

static void
say(const struct init_opts *opts)
{
	char key[IDENTITY_TEXT_SIZE], did[IDENTITY_TEXT_SIZE];

	identity_text(job.identity, key);
	identity_did(job.identity, did);
	printf("node %s\n"
	       "  key    %s\n"
	       "  did    %s\n"
	       "  file   %s\n"
	       "Start it with: clawd -f %s\n",
	    opts->name, key, did, job.file, job.file);
}

int
init_node(const struct init_opts *opts)
{
	struct stat st;
	char key[CONF_TEXT_MAX];

	if (!plan(opts))
		return EX_CONFIG;
	if (opts->dir == NULL && mkdir(CLAW_SYSCONFDIR "/claw", 0755) == -1 &&
	    errno != EEXIST) {
		log_warn(CLAW_SYSCONFDIR "/claw");
		return EX_CANTCREAT;
	}
	if (!account_load(job.conf.control_group) ||
	    !place_make(&job.conf, true) || !place_check(&job.conf, true))
		return EX_CANTCREAT;
	if (place_path(&job.conf, PLACE_NODE_KEY, key, sizeof(key)) &&
	    lstat(key, &st) == 0) {
		log_errorx("%s is there, and %s is not: an earlier init was "
			   "interrupted, or the configuration was lost. Bring "
			   "it back, or remove the folder and begin again",
		    key, job.file);
		return EX_CANTCREAT;
	}
	job.base = event_base_new();
	job.node_fd = open_unnamed(PLACE_KEYS);
	job.authority_fd = open_unnamed(PLACE_KEYS);
	if (job.base == NULL || job.node_fd == -1 || job.authority_fd == -1)
		return EX_CANTCREAT;
	spawn_setup();
	if (!ask_keyd(opts->insecure) || !write_registry() ||
	    !name_file(job.authority_fd, PLACE_KEYS, "authority.key", 0600) ||
	    !name_file(job.node_fd, PLACE_KEYS, "node.key", 0600) ||
	    !write_conf(opts))
		return EX_CANTCREAT;
	say(opts);
	return EXIT_SUCCESS;
}
