/* SPDX-License-Identifier: ISC */
/*
 * clawd.c - the parent: reads claw.yaml, opens what needs privilege, starts
 * the processes, watches them, restarts them.
 *
 * It never parses a byte that came from a peer or a client, and never sees a
 * key. What it knows of the house are the tables in policy/.
 *
 *	clawd -f FILE        run the node in the foreground
 *	clawd -n -f FILE     check the configuration, print nothing if it is
 *	                     good
 *	clawd --init ...     make a new node (what `claw init` runs)
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/init.h"
#include "clawd/kept.h"
#include "clawd/listen.h"
#include "clawd/logdest.h"
#include "clawd/notify.h"
#include "clawd/place.h"
#include "clawd/record.h"
#include "clawd/recover.h"
#include "clawd/signame.h"
#include "clawd/suite.h"
#include "common/log.h"
#include "common/ticket.h"

#define EX_USAGE 64
#define EX_CONFIG 78

struct options {
	const char *file;
	bool check_only;
	bool init;
	bool recover;
	struct init_opts new_node;
	bool insecure;
};

static void
usage(FILE *out)
{
	fputs("usage: clawd [-n] [-f FILE]\n"
	      "       clawd --recover [-f FILE]\n"
	      "       clawd --init [--dir DIR] --name NAME "
	      "[--listen ADDR:PORT]\n"
	      "                    [--address ADDR:PORT]... [--no-recovery]\n"
	      "                    [--join TICKET|@FILE|- | --request FILE |\n"
	      "                    --complete FILE --genesis HASH]\n"
	      "\n"
	      "  -f, --file FILE   configuration (" CLAW_SYSCONFDIR
	      "/claw/claw.yaml)\n"
	      "  -n, --check       check the configuration and exit\n"
	      "  -V, --version     print the version\n"
	      "  -h, --help        print this\n"
	      "\n"
	      "clawd stays in the foreground and logs to standard error. "
	      "See clawd(8).\n",
	    out);
}

/* A ticket on the command line is seen by everybody in ps(1). */
static char ticket[TICKET_TEXT_MAX + 1];

static void
hide_ticket(int argc, char **argv)
{
	char *at;
	int i;

	for (i = 1; i < argc; i++) {
		at = strstr(argv[i], TICKET_PREFIX);
		if (at == NULL)
			continue;
		snprintf(ticket, sizeof(ticket), "%s", at);
		explicit_bzero(at, strlen(at));
	}
}

/* Options that have no letter. */
enum {
	INIT = 256,
	DIR,
	NAME,
	LISTEN,
	ADDRESS,
	JOIN,
	REQUEST,
	COMPLETE,
	GENESIS,
	WITHOUT_CODE,
	RECOVER,
	INSECURE
};

static const struct option longs[] = {
	{ "file", required_argument, NULL, 'f' },
	{ "check", no_argument, NULL, 'n' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ "init", no_argument, NULL, INIT },
	{ "dir", required_argument, NULL, DIR },
	{ "name", required_argument, NULL, NAME },
	{ "listen", required_argument, NULL, LISTEN },
	{ "address", required_argument, NULL, ADDRESS },
	{ "join", required_argument, NULL, JOIN },
	{ "no-recovery", no_argument, NULL, WITHOUT_CODE },
	{ "recover", no_argument, NULL, RECOVER },
	{ "request", required_argument, NULL, REQUEST },
	{ "complete", required_argument, NULL, COMPLETE },
	{ "genesis", required_argument, NULL, GENESIS },
#ifdef CLAW_SANITIZERS
	{ "insecure-no-sandbox", no_argument, NULL, INSECURE },
#endif
	{ NULL, 0, NULL, 0 },
};

static void
add_address(struct init_opts *o, const char *address)
{
	if (o->addresses == NETADDR_MAX) {
		fprintf(stderr, "clawd: --address is given at most %d times\n",
		    NETADDR_MAX);
		exit(EX_USAGE);
	}
	o->address[o->addresses++] = address;
}

static void
parse_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "f:nVh", longs, NULL)) != -1)
		switch (c) {
		case 'f':
			o->file = optarg;
			break;
		case 'n':
			o->check_only = true;
			break;
		case INIT:
			o->init = true;
			break;
		case DIR:
			o->new_node.dir = optarg;
			break;
		case NAME:
			o->new_node.name = optarg;
			break;
		case LISTEN:
			o->new_node.listen = optarg;
			break;
		case ADDRESS:
			add_address(&o->new_node, optarg);
			break;
		case JOIN:
			o->new_node.join = optarg[0] != '\0' ? optarg : ticket;
			break;
		case RECOVER:
			o->recover = true;
			break;
		case WITHOUT_CODE:
			o->new_node.no_recovery = true;
			break;
		case REQUEST:
			o->new_node.request = optarg;
			break;
		case COMPLETE:
			o->new_node.complete = optarg;
			break;
		case GENESIS:
			o->new_node.genesis = optarg;
			break;
		case INSECURE:
			o->insecure = o->new_node.insecure = true;
			break;
		case 'V':
			puts("clawd " CLAW_VERSION);
			exit(EXIT_SUCCESS);
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			exit(EX_USAGE);
		}
	if (optind != argc ||
	    (o->init && o->new_node.name == NULL && o->new_node.join == NULL) ||
	    (!o->init &&
		(o->new_node.name != NULL || o->new_node.join != NULL ||
		    o->new_node.addresses > 0))) {
		usage(stderr);
		exit(EX_USAGE);
	}
}

/* A person at a terminal sees the lines of the file; a log never does. */
static void
print_errors(const struct conf_errors *errors)
{
	char text[CONF_TEXT_MAX];
	size_t i;

	if (isatty(STDERR_FILENO)) {
		conf_errors_print(errors, stderr);
		return;
	}
	for (i = 0; i < errors->n; i++) {
		conf_errors_text(errors, i, text, sizeof(text));
		log_errorx("%s", text);
	}
}

/* Who can write claw.yaml decides what the node does. */
static bool
only_owner_writes(const char *file)
{
	struct stat st;

	if (stat(file, &st) == -1)
		return true; /* reading it says what is wrong */
	if (st.st_uid != 0 && st.st_uid != getuid()) {
		log_errorx("%s belongs to uid %u and should belong to uid %u; "
			   "mend it with: chown %u %s",
		    file, st.st_uid, getuid(), getuid(), file);
		return false;
	}
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		log_errorx("%s has mode %04o: others may write it; mend it "
			   "with: chmod go-w %s",
		    file, st.st_mode & 07777, file);
		return false;
	}
	return true;
}

static bool
load_conf(const char *file)
{
	struct conf_errors errors;
	int r;

	if (!only_owner_writes(file))
		return false;
	conf_errors_init(&errors);
	r = conf_load(&suite.conf, &errors, file, environ);
	if (r != 0)
		print_errors(&errors);
	conf_errors_free(&errors);
	return r == 0;
}

/*
 * keys/running is there from the moment a node first records something until
 * it has stopped in order: found at a start, it crashed.
 */
static bool
running_path(char *out, size_t size)
{
	char path[CONF_TEXT_MAX];

	if (!place_path(&suite.conf, PLACE_KEYS, path, sizeof(path)))
		return false;
	return (size_t)snprintf(out, size, "%s/running", path) < size;
}

static bool
crashed_before(void)
{
	char name[CONF_TEXT_MAX + 16];
	int fd;

	if (!running_path(name, sizeof(name)))
		return false;
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return errno == EEXIST;
	close(fd);
	return false;
}

static void
stopped_in_order(void)
{
	char name[CONF_TEXT_MAX + 16];

	if (running_path(name, sizeof(name)) && unlink(name) == -1)
		log_warn("%s", name);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)what;
	(void)arg;
	switch (sig) {
	case SIGCHLD:
		supervise_children();
		break;
	case SIGHUP:
		reload_start(NULL, NULL);
		break;
	default:
		log_info("%s: stopping", signame((int)sig));
		suite_stop(EXIT_SUCCESS);
		break;
	}
}

static void
catch_signals(void)
{
	static const int sigs[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT };
	struct event *ev;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		ev = evsignal_new(suite.base, sigs[i], on_signal, NULL);
		if (ev == NULL || evsignal_add(ev, NULL) == -1)
			fatalx("out of memory");
	}
}

/* Its own counters, in a page like everybody's. */
static void
count_self(void)
{
	char path[CONF_TEXT_MAX], name[CONF_TEXT_MAX + 16];
	unsigned int p;
	int fd;

	if (!place_path(&suite.conf, PLACE_COUNTERS, path, sizeof(path)))
		return;
	snprintf(name, sizeof(name), "%s/clawd", path);
	fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1 || counters_format(fd) != 0 || counters_attach(fd) != 0)
		log_warn("counter page %s", name);
	if (fd != -1)
		close(fd);
	suite.slot[PROC_CLAWD].page =
	    open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	counter_set(COUNTER_CONFIG_OK, 1);
	counter_set(COUNTER_SUITE_READY, 0);
	for (p = PROC_KEYD; p < PROC_SUITE_END; p++)
		suite_status((enum proc)p);
}

static int
run(const struct options *o)
{
	unsigned int p;
	bool unclean;

	for (p = 0; p < PROC_MAX; p++)
		suite.slot[p].page = -1;
	suite.generation = 1;
	suite.base = event_base_new();
	if (suite.base == NULL ||
	    !logdest_open(suite.base, &suite.conf, &suite.spawn.log_fd,
		&suite.spawn.log_priority))
		return EXIT_FAILURE;
	suite.spawn.conf = &suite.conf;
	suite.spawn.insecure = o->insecure;
	umask(022);
	boot_check_handlers();
	if (!account_load(suite.conf.control_group) ||
	    !place_make(&suite.conf, false) ||
	    !place_check(&suite.conf, false) || !listen_lock(&suite.conf) ||
	    !listen_open(&suite.conf, &suite.spawn.listen) ||
	    !listen_cookie(&suite.conf, suite.cookie) ||
	    !record_open(&suite.conf) || !kept_open(&suite.conf))
		return EX_CONFIG;
	notify_init();
	count_self();
	catch_signals();
	unclean = crashed_before();
	if (unclean)
		record_event(AUDIT_NODE_UNCLEAN, AUDIT_UNKNOWN);
	suite_start();
	event_base_dispatch(suite.base);
	listen_close(&suite.conf);
	/* What a start that failed could not record is recorded by the next. */
	if (suite.ever_ran || !unclean)
		stopped_in_order();
	log_info("stopped");
	logdest_flush();
	return suite.exit_status;
}

/*
 * clawd holds no key, but the cookie and both ends' worth of channels: no core
 * of it, and nobody of its user reads it. A leak checker has to, so not there.
 */
static void
shut_the_door(void)
{
	static const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) == -1)
		fatal("no limit on core files");
#ifndef CLAW_SANITIZERS
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("not dumpable");
#endif
}

int
main(int argc, char **argv)
{
	int status;
	struct options o = { .file = CLAW_SYSCONFDIR "/claw/claw.yaml" };

	hide_ticket(argc, argv);
	log_init("clawd", false);
	/* Whose memory nobody may read may not map users either. */
	spawn_setup();
	shut_the_door();
	parse_options(argc, argv, &o);
	if (o.init) {
		status = init_node(&o.new_node);
		explicit_bzero(ticket, sizeof(ticket));
		return status;
	}
	if (!load_conf(o.file))
		return EX_CONFIG;
	if (o.recover)
		return recover_node(o.insecure);
	return o.check_only ? EXIT_SUCCESS : run(&o);
}
