/* SPDX-License-Identifier: ISC */
/*
 * newnode.c - the folders and files of a node that is being made.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/newnode.h"
#include "common/confkey.h"
#include "common/identity.h"
#include "common/log.h"

static int
format_conf(const struct newnode *n, char *out, size_t size)
{
	char hex[65], folders[3 * CONF_TEXT_MAX] = "", listen[128] = "";
	char list[CONF_QUOTED_MAX], peers[CONF_QUOTED_MAX + 64] = "";
	int i;

	for (i = 0; i < 32; i++)
		snprintf(hex + i * 2, 3, "%02x", n->genesis[i]);
	if (n->opts->listen != NULL)
		snprintf(listen, sizeof(listen), "  listen: \"%s\"\n",
		    n->opts->listen);
	if (n->opts->dir != NULL)
		snprintf(folders, sizeof(folders),
		    "  data_dir: \"%s\"\n"
		    "  log_dir: \"%s\"\n"
		    "  run_dir: \"%s\"\n",
		    n->conf.node_data_dir, n->conf.node_log_dir,
		    n->conf.node_run_dir);
	if (n->peers[0] != '\0')
		snprintf(peers, sizeof(peers),
		    "  sync:\n"
		    "    gossip_peers: %s\n",
		    confkey_write(CONF_KEY_SYNC_GOSSIP_PEERS, n->peers, list));
	return snprintf(out, size,
	    "# claw.yaml(5). Check a change with `claw config:check`, take it "
	    "with `claw reload`.\n"
	    "node:\n"
	    "  name: %s\n"
	    "%s%s"
	    "  registry:\n"
	    "    # What this node believes: never change it.\n"
	    "    genesis: \"sha256:%s\"\n"
	    "%s",
	    n->name, listen, folders, hex, peers);
}

bool
newnode_plan(struct newnode *nn)
{
	char text[6 * CONF_TEXT_MAX], dir[PATH_MAX] = "";
	struct conf_errors errors;
	int n, r;

	conf_errors_init(&errors);
	if (nn->opts->dir != NULL) {
		if (mkdir(nn->opts->dir, 0755) == -1 && errno != EEXIST) {
			log_warn("cannot make the folder %s", nn->opts->dir);
			return false;
		}
		if (realpath(nn->opts->dir, dir) == NULL || strlen(dir) > 80) {
			log_errorx("%s: the path of a node may have at most 80 "
				   "characters (its sockets are below it)",
			    nn->opts->dir);
			return false;
		}
		snprintf(nn->conf.node_data_dir, 1000, "%s/data", dir);
		snprintf(nn->conf.node_log_dir, 1000, "%s/log", dir);
		snprintf(nn->conf.node_run_dir, 91, "%s/run", dir);
	}
	snprintf(nn->file, sizeof(nn->file), "%s/claw.yaml",
	    nn->opts->dir != NULL ? dir : CLAW_SYSCONFDIR "/claw");
	n = format_conf(nn, text, sizeof(text));
	r = conf_parse(&nn->conf, &errors, nn->file, text,
	    n > 0 ? (size_t)n : 0);
	if (r != 0)
		conf_errors_print(&errors, stderr);
	conf_errors_free(&errors);
	if (r == 0 && access(nn->file, F_OK) == 0) {
		log_errorx("%s is there already: this is a node", nn->file);
		return false;
	}
	return r == 0;
}

/* Until this process ends. */
static bool
lock(const struct newnode *n)
{
	int fd = place_open_dir(&n->conf, PLACE_KEYS);

	if (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	log_warn("%s: another claw init is at work here", n->file);
	if (fd != -1)
		close(fd);
	return false;
}

bool
newnode_make(struct newnode *n)
{
	if (n->opts->dir == NULL &&
	    mkdir(CLAW_SYSCONFDIR "/claw", 0755) == -1 && errno != EEXIST) {
		log_warn(CLAW_SYSCONFDIR "/claw");
		return false;
	}
	return account_load(n->conf.control_group) &&
	    place_make(&n->conf, true) && place_check(&n->conf, true) &&
	    lock(n);
}

/* The folder that a file is in, synced. */
static bool
sync_above(const char *file)
{
	char dir[CONF_PATH_MAX];
	int fd;
	bool ok;

	snprintf(dir, sizeof(dir), "%s", file);
	*strrchr(dir, '/') = '\0';
	fd = open(dir[0] != '\0' ? dir : "/",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = fd != -1 && fsync(fd) == 0;
	if (fd != -1)
		close(fd);
	return ok;
}

bool
newnode_write_conf(const struct newnode *nn)
{
	char text[6 * CONF_TEXT_MAX], temp[CONF_PATH_MAX + 8];
	int fd, n = format_conf(nn, text, sizeof(text));
	bool ok;

	if (n < 0 || (size_t)n >= sizeof(text))
		return false;
	snprintf(temp, sizeof(temp), "%s.new", nn->file);
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	ok = fd != -1 && write(fd, text, (size_t)n) == n && fsync(fd) == 0 &&
	    link(temp, nn->file) == 0 && sync_above(nn->file);
	if (!ok)
		log_warn("%s", nn->file);
	if (fd != -1)
		close(fd);
	unlink(temp);
	return ok;
}

void
newnode_say(const struct newnode *n, const uint8_t identity[32])
{
	char key[IDENTITY_TEXT_SIZE], did[IDENTITY_TEXT_SIZE];

	identity_text(identity, key);
	identity_did(identity, did);
	printf("node %s\n"
	       "  key    %s\n"
	       "  did    %s\n"
	       "  file   %s\n"
	       "Start it with: clawd -f %s\n",
	    n->name, key, did, n->file, n->file);
}

void
newnode_say_code(char code[RECOVERY_TEXT_SIZE])
{
	char text[RECOVERY_TEXT_SIZE + 256];
	ssize_t w = 0;
	size_t n, at;

	n = (size_t)snprintf(text, sizeof(text),
	    "Recovery code, shown this once; keep it on paper, away from this "
	    "machine:\n"
	    "  %s\n"
	    "Who has it and this node's files can replace its keys "
	    "(claw node:attest --rotate-keys).\n",
	    code);
	fflush(stdout);
	for (at = 0; at < n && w >= 0; at += (size_t)w)
		w = write(STDOUT_FILENO, text + at, n - at);
	explicit_bzero(text, sizeof(text));
	explicit_bzero(code, RECOVERY_TEXT_SIZE);
}
