/* SPDX-License-Identifier: ISC */
/*
 * join.c - `claw init --join`: a new node in a registry that others have.
 *
 * The command: what it is given, and what it leaves on the disk. Who does what:
 *
 *	keys		keys/next.key.joining and keys/node.key.joining,
 *			durable before anybody hears of them; the same ones
 *			for every attempt
 *	linkd		the session, JOIN, and the registry
 *	attestd		verifies it from the ticket's genesis to a node-add
 *			with exactly these keys, and then writes it
 *	clawd		keys/node.key, claw.yaml, in this order: a node exists
 *			when its configuration does
 *
 * The same command goes on wherever it was interrupted. By file (--request,
 * --complete) it is the same without a session: somebody carries the request
 * there and the registry back.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/join_int.h"
#include "clawd/place.h"
#include "clawd/reached.h"
#include "common/log.h"
#include "common/netaddr.h"

#define JOINING_KEY "node.key.joining"
#define JOINING_NEXT "next.key.joining"

struct joining joining = {
	.key_fd = -1, .next_fd = -1, .socket_fd = -1, .status = EX_TEMPFAIL
};

/* Files. */

bool
join_keep_keys(void)
{
	if (!joining.key_is_new)
		return true;
	if (joining.next_fd != -1 &&
	    !place_name(&joining.nn.conf, joining.next_fd, PLACE_KEYS,
		JOINING_NEXT, 0600))
		return false;
	/* From here on these are the keys, whatever happens. */
	return place_name(&joining.nn.conf, joining.key_fd, PLACE_KEYS,
	    JOINING_KEY, 0600);
}

/* The next key of an attempt before this one, or a new one. */
static bool
open_next(bool new)
{
	char next[CONF_TEXT_MAX + 64];

	if (!place_file(&joining.nn.conf, PLACE_KEYS, JOINING_NEXT, next,
		sizeof(next)))
		return false;
	if (!new) {
		joining.next_fd = open(next, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		return joining.next_fd != -1 || errno == ENOENT;
	}
	/* Of an attempt that did not get as far as its keys. */
	if (unlink(next) == -1 && errno != ENOENT)
		return false;
	if (joining.nn.opts->no_recovery)
		return true;
	joining.next_fd = place_unnamed(&joining.nn.conf, PLACE_KEYS);
	return joining.next_fd != -1;
}

static bool
open_keys(void)
{
	char kept[CONF_TEXT_MAX + 64], key[CONF_TEXT_MAX + 64];
	struct stat st;

	if (!place_file(&joining.nn.conf, PLACE_KEYS, JOINING_KEY, kept,
		sizeof(kept)) ||
	    !place_file(&joining.nn.conf, PLACE_KEYS, "node.key", key,
		sizeof(key)))
		return false;
	joining.key_fd = open(kept, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (joining.key_fd != -1)
		return open_next(false);
	if (errno != ENOENT) {
		log_warn("%s", kept);
		return false;
	}
	if (lstat(key, &st) == 0) {
		log_errorx("%s is there, and %s is not: this was a node, or "
			   "claw init without --join was interrupted. Bring "
			   "it back, or remove the folder and begin again",
		    key, joining.nn.file);
		return false;
	}
	if (joining.nn.opts->complete != NULL) {
		log_errorx("%s is missing: the keys are made with --request",
		    kept);
		return false;
	}
	joining.key_is_new = true;
	joining.key_fd = place_unnamed(&joining.nn.conf, PLACE_KEYS);
	return joining.key_fd != -1 && open_next(true);
}

/* attestd has written it, and as it writes everything: for itself. */
static bool
publish_registry(void)
{
	char path[CONF_TEXT_MAX + 64];
	bool ok;
	int fd;

	if (!place_file(&joining.nn.conf, PLACE_REGISTRY, "registry.ndjson",
		path, sizeof(path)))
		return false;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ok = fd != -1 && fchmod(fd, 0644) == 0;
	if (!ok)
		log_warn("%s", path);
	if (fd != -1)
		close(fd);
	return ok;
}

static bool
publish_one(const char *kept, const char *name)
{
	char from[CONF_TEXT_MAX + 64], to[CONF_TEXT_MAX + 64];
	bool ok;

	ok = place_file(&joining.nn.conf, PLACE_KEYS, kept, from,
		 sizeof(from)) &&
	    place_file(&joining.nn.conf, PLACE_KEYS, name, to, sizeof(to)) &&
	    (link(from, to) == 0 || errno == EEXIST);
	if (!ok)
		log_warn("keys/%s", name);
	return ok;
}

/* The names of the keys; an attempt before this one may have given them. */
static bool
publish_keys(void)
{
	int dir = place_open_dir(&joining.nn.conf, PLACE_KEYS);
	bool ok;

	ok = dir != -1 &&
	    (joining.next_fd == -1 || publish_one(JOINING_NEXT, "next.key")) &&
	    publish_one(JOINING_KEY, "node.key") && fsync(dir) == 0;
	if (dir != -1)
		close(dir);
	return ok;
}

static void
forget_one(const char *name)
{
	char path[CONF_TEXT_MAX + 64];

	if (place_file(&joining.nn.conf, PLACE_KEYS, name, path,
		sizeof(path)) &&
	    unlink(path) == -1 && errno != ENOENT)
		log_warn("%s", path);
}

static void
forget_attempt(void)
{
	forget_one(JOINING_NEXT);
	forget_one(JOINING_KEY);
}

/* The ticket. */

static bool
read_text(int fd, char *out, size_t size)
{
	size_t n = 0;
	ssize_t r;

	while (n < size - 1 && (r = read(fd, out + n, size - 1 - n)) > 0) {
		n += (size_t)r;
		if (memchr(out, '\n', n) != NULL)
			break;
	}
	out[n] = '\0';
	out[strcspn(out, " \t\r\n")] = '\0';
	return n > 0;
}

static bool
read_ticket(const char *from, char *text, size_t size)
{
	int fd = STDIN_FILENO;
	bool ok;

	if (strcmp(from, "-") != 0 && from[0] != '@') {
		snprintf(text, size, "%s", from);
		return true;
	}
	if (from[0] == '@')
		fd = open(from + 1, O_RDONLY | O_CLOEXEC);
	ok = fd != -1 && read_text(fd, text, size);
	if (!ok)
		log_errorx("no ticket could be read from %s",
		    from[0] == '@' ? from + 1 : "standard input");
	if (fd > STDIN_FILENO)
		close(fd);
	return ok;
}

/* For the configuration: where the mesh is found again. */
/* For the configuration: where the mesh is found again. */
static void
take_addresses(void)
{
	struct sockaddr_storage ss;
	socklen_t len;
	size_t i, n = 0;

	for (i = 0; i < joining.ticket.n_addrs; i++)
		if (netaddr_parse(joining.ticket.addr[i], &ss, &len) == 0 &&
		    n + strlen(joining.ticket.addr[i]) + 2 <
			sizeof(joining.nn.peers))
			n += (size_t)snprintf(joining.nn.peers + n,
			    sizeof(joining.nn.peers) - n, "%s%s",
			    n == 0 ? "" : " ", joining.ticket.addr[i]);
}

static int
take_ticket(const struct init_opts *opts)
{
	char text[TICKET_TEXT_MAX + 2], when[32];
	const char *why = NULL;
	struct tm tm;
	time_t t;
	int r;

	if (!read_ticket(opts->join, text, sizeof(text)))
		return EX_DATA;
	r = ticket_parse(text, strlen(text), &joining.ticket, &why);
	explicit_bzero(text, sizeof(text));
	if (r != 0) {
		log_errorx("not joined: %s", why);
		return EX_DATA;
	}
	if (opts->name != NULL &&
	    strcmp(opts->name, joining.ticket.name) != 0) {
		log_errorx("not joined: the ticket is for %s, not for %s",
		    joining.ticket.name, opts->name);
		return EX_DATA;
	}
	if (joining.ticket.expiry <= (uint64_t)time(NULL)) {
		t = (time_t)joining.ticket.expiry;
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ",
		    gmtime_r(&t, &tm));
		log_errorx("not joined: the ticket has expired at %s by this "
			   "machine's clock; ask for another one",
		    when);
		return EX_NOPERM;
	}
	snprintf(joining.name, sizeof(joining.name), "%s", joining.ticket.name);
	joining.nn.name = joining.name;
	memcpy(joining.nn.genesis, joining.ticket.genesis,
	    sizeof(joining.nn.genesis));
	take_addresses();
	return 0;
}

int
join_node(const struct init_opts *opts)
{
	int status;

	signal(SIGPIPE, SIG_IGN);
	joining.nn.opts = opts;
	status = opts->join != NULL ? take_ticket(opts) : join_take_file(opts);
	if (status != 0)
		return status;
	if (!newnode_plan(&joining.nn))
		return EX_CONFIG;
	if (!reached_at(opts, joining.nn.conf.node_listen,
		opts->join != NULL ? &joining.ticket : NULL, &joining.nn.at))
		return EX_DATA;
	if (!newnode_make(&joining.nn) || !open_keys())
		return EX_CANTCREAT;
	join_run();
	if (joining.requested)
		return join_write_request();
	if (!joining.joined)
		return joining.status;
	if (!publish_registry() || !publish_keys() ||
	    !newnode_write_conf(&joining.nn))
		return EX_CANTCREAT;
	forget_attempt();
	newnode_say(&joining.nn, joining.identity);
	return EXIT_SUCCESS;
}
