/* SPDX-License-Identifier: ISC */
/*
 * init.c - `claw init`: a new node.
 *
 * keyd is started just as it will be later, in its sandbox, and writes the
 * keys it makes into files that have no name yet; clawd syncs them and gives
 * them their names. What is interrupted leaves nothing that looks whole.
 */
#include <sys/stat.h>

#include <openssl/evp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/init.h"
#include "clawd/keytalk.h"
#include "clawd/newnode.h"
#include "clawd/reached.h"
#include "common/chan.h"
#include "common/log.h"

#define SOFT_WINDOW_S 86400   /* a day: warn, admit nobody new */
#define HARD_WINDOW_S 1209600 /* 14 days: refuse */
#define LINES_SIZE 4097

static struct {
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
}

static bool
refused(const struct msg *m)
{
	struct msg_REFUSED no;

	if (!chan_is_refused(m, &no))
		return false;
	give_up(no.text);
	keytalk_end();
	return true;
}

/* Next key and node key, authority key, genesis. */

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
	keytalk_end();
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
on_keys(struct chan *c, const struct keytalk_keys *keys, const char *why)
{
	struct msg_AUTHORITY_CREATE create = { 0 };

	if (keys == NULL) {
		give_up(why);
		keytalk_end();
		return;
	}
	memcpy(job.identity, keys->identity, sizeof(job.identity));
	memcpy(job.code, keys->code, sizeof(job.code));
	(void)chan_send_AUTHORITY_CREATE(c,
	    chan_ask(c, MSG_AUTHORITY_CREATE, on_authority, NULL),
	    job.authority_fd, &create);
}

static void
begin(struct chan *c)
{
	keytalk_make(c, job.nn.opts->no_recovery ? -1 : job.next_fd,
	    job.node_fd, on_keys);
}

static bool
ask_keyd(bool insecure)
{
	const struct keytalk talk = { .conf = &job.nn.conf,
		.insecure = insecure,
		.begin = begin,
		.failed = give_up };

	return keytalk_run(&talk) && job.done;
}

/* Files. */

static bool
write_registry(void)
{
	int fd = place_unnamed(&job.nn.conf, PLACE_REGISTRY);
	const char *end;
	bool ok;

	ok = fd != -1 &&
	    write(fd, job.line, job.line_len) == (ssize_t)job.line_len &&
	    (getuid() != 0 ||
		fchown(fd, account_uid(PROC_ATTESTD),
		    account_gid(PROC_ATTESTD)) == 0) &&
	    place_name(&job.nn.conf, fd, PLACE_REGISTRY, "registry.ndjson",
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
	if (place_file(&job.nn.conf, PLACE_KEYS, "node.key", key,
		sizeof(key)) &&
	    lstat(key, &st) == 0) {
		log_errorx("%s is there, and %s is not: an earlier init was "
			   "interrupted, or the configuration was lost. Bring "
			   "it back, or remove the folder and begin again",
		    key, job.nn.file);
		return EX_CANTCREAT;
	}
	job.node_fd = place_unnamed(&job.nn.conf, PLACE_KEYS);
	job.authority_fd = place_unnamed(&job.nn.conf, PLACE_KEYS);
	job.next_fd = place_unnamed(&job.nn.conf, PLACE_KEYS);
	if (job.node_fd == -1 || job.authority_fd == -1 || job.next_fd == -1)
		return EX_CANTCREAT;
	if (!ask_keyd(opts->insecure) || !write_registry() ||
	    !place_name(&job.nn.conf, job.authority_fd, PLACE_KEYS,
		"authority.key", 0600) ||
	    (!opts->no_recovery &&
		!place_name(&job.nn.conf, job.next_fd, PLACE_KEYS, "next.key",
		    0600)) ||
	    !place_name(&job.nn.conf, job.node_fd, PLACE_KEYS, "node.key",
		0600) ||
	    !newnode_write_conf(&job.nn))
		return EX_CANTCREAT;
	newnode_say(&job.nn, job.identity);
	if (!opts->no_recovery)
		newnode_say_code(job.code);
	return EXIT_SUCCESS;
}
