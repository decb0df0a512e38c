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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/init.h"
#include "clawd/newnode.h"
#include "clawd/reached.h"
#include "clawd/spawn.h"
#include "common/chan.h"
#include "common/log.h"

#define SOFT_WINDOW_S 86400   /* a day: warn, admit nobody new */
#define HARD_WINDOW_S 1209600 /* 14 days: refuse */
#define LINES_SIZE 4097

static struct {
	struct event_base *base;
	struct newnode nn;
	int node_fd, authority_fd, next_fd;
	char code[RECOVERY_TEXT_SIZE]; /* wiped when it was shown */
	uint8_t identity[32];
	char line[LINES_SIZE]; /* genesis, and this node */
	size_t line_len;
	bool done;
} job = { .node_fd = -1, .authority_fd = -1, .next_fd = -1 };

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

/* The conversation with keyd: HELLO, next key, node key, authority key,
 * genesis. */

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
	snprintf(g.node, sizeof(g.node), "%s", job.nn.name);
	netaddr_list_text(&job.nn.at, g.addresses);
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
create_key(struct chan *c)
{
	struct msg_KEY_CREATE create = { 0 };

	(void)chan_send_KEY_CREATE(c,
	    chan_ask(c, MSG_KEY_CREATE, on_node_key, NULL), job.node_fd,
	    &create);
}

static void
on_next_key(struct chan *c, struct msg *m, void *arg)
{
	struct msg_NEXT_MADE made;

	(void)arg;
	if (refused(m))
		return;
	if (!msg_get_NEXT_MADE(&m->body, &made))
		fatalx("malformed NEXT_MADE");
	memcpy(job.code, made.code, sizeof(job.code));
	explicit_bzero(&made, sizeof(made));
	create_key(c);
}

static void
on_hello(struct chan *c, struct msg *m)
{
	struct msg_NEXT_CREATE next = { 0 };
	struct msg_HELLO hello;

	if (!msg_get_HELLO(&m->body, &hello))
		fatalx("malformed HELLO");
	if (hello.schema != msg_schema() || hello.failed != 0) {
		give_up("keyd is of another version, or its sandbox is open");
		return;
	}
	if (job.nn.opts->no_recovery)
		create_key(c);
	else
		(void)chan_send_NEXT_CREATE(c,
		    chan_ask(c, MSG_NEXT_CREATE, on_next_key, NULL),
		    job.next_fd, &next);
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
	struct spawn s = { .conf = &job.nn.conf,
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

static bool
write_registry(void)
{
	int fd = newnode_unnamed(&job.nn, PLACE_REGISTRY);
	const char *end;
	bool ok;

	ok = fd != -1 &&
	    write(fd, job.line, job.line_len) == (ssize_t)job.line_len &&
	    (getuid() != 0 ||
		fchown(fd, account_uid(PROC_ATTESTD),
		    account_gid(PROC_ATTESTD)) == 0) &&
	    newnode_name_file(&job.nn, fd, PLACE_REGISTRY, "registry.ndjson",
		0644);
	if (fd != -1)
		close(fd);
	/* The pin: the hash of the first line without its newline. */
	end = memchr(job.line, '\n', job.line_len);
	return ok && end != NULL &&
	    EVP_Digest(job.line, (size_t)(end - job.line), job.nn.genesis, NULL,
		EVP_sha256(), NULL) == 1;
}

int
init_node(const struct init_opts *opts)
{
	char key[CONF_TEXT_MAX + 64];
	struct stat st;

	if (opts->join != NULL || opts->request != NULL ||
	    opts->complete != NULL)
		return join_node(opts);
	job.nn.opts = opts;
	job.nn.name = opts->name;
	if (!newnode_plan(&job.nn))
		return EX_CONFIG;
	if (!reached_at(opts, job.nn.conf.node_listen, NULL, &job.nn.at))
		return EX_DATA;
	if (!newnode_make(&job.nn))
		return EX_CANTCREAT;
	if (newnode_path(&job.nn, PLACE_KEYS, "node.key", key, sizeof(key)) &&
	    lstat(key, &st) == 0) {
		log_errorx("%s is there, and %s is not: an earlier init was "
			   "interrupted, or the configuration was lost. Bring "
			   "it back, or remove the folder and begin again",
		    key, job.nn.file);
		return EX_CANTCREAT;
	}
	job.base = event_base_new();
	job.node_fd = newnode_unnamed(&job.nn, PLACE_KEYS);
	job.authority_fd = newnode_unnamed(&job.nn, PLACE_KEYS);
	job.next_fd = newnode_unnamed(&job.nn, PLACE_KEYS);
	if (job.base == NULL || job.node_fd == -1 || job.authority_fd == -1 ||
	    job.next_fd == -1)
		return EX_CANTCREAT;
	spawn_setup();
	if (!ask_keyd(opts->insecure) || !write_registry() ||
	    !newnode_name_file(&job.nn, job.authority_fd, PLACE_KEYS,
		"authority.key", 0600) ||
	    (!opts->no_recovery &&
		!newnode_name_file(&job.nn, job.next_fd, PLACE_KEYS, "next.key",
		    0600)) ||
	    !newnode_name_file(&job.nn, job.node_fd, PLACE_KEYS, "node.key",
		0600) ||
	    !newnode_write_conf(&job.nn))
		return EX_CANTCREAT;
	newnode_say(&job.nn, job.identity);
	if (!opts->no_recovery)
		newnode_say_code(job.code);
	return EXIT_SUCCESS;
}
