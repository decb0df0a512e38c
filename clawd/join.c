/* SPDX-License-Identifier: ISC */
/*
 * join.c - `claw init --join`: a new node in a registry that others have.
 *
 * keyd, attestd and a linkd are started just as they will be later, each in
 * its sandbox, and clawd stands where meshd will: it dials the addresses of
 * the ticket and hands the socket over. It sees neither a key nor a byte of
 * the inviter's.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
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
#include "common/atls.h"
#include "common/chan.h"
#include "common/evidence.h"
#include "common/identity.h"
#include "common/joinreq.h"
#include "common/log.h"
#include "common/netaddr.h"
#include "common/ticket.h"

#define EX_TEMPFAIL 75
#define EX_NOPERM 77

#define JOINING_KEY "node.key.joining"
#define JOINING_NEXT "next.key.joining"
#define CONNECT_MS 5000
#define HANDSHAKE_MS 10000
#define ASK_AGAIN_S 2 /* while an operator there has to say yes */
#define LATE_S 60     /* after the ticket's expiry */
#define DROPS_MAX 5
#define ROUNDS_MAX 5
#define LINES_MAX 24576

/* A process that was started for this. */
struct helper {
	enum proc proc;
	pid_t pid;
	struct chan *chan;  /* clawd's */
	struct chan *meshd; /* meshd's, which is us */
	void (*ready)(void);
};

static struct {
	struct newnode nn;
	char name[TICKET_NAME_MAX + 1];
	struct ticket ticket; /* cleared at the end, its seed before */
	struct event_base *base;
	struct helper keyd, attestd, linkd;
	struct event *again; /* the next attempt, or the next question */
	uint32_t session;
	int key_fd, next_fd, socket_fd;
	bool key_is_new;
	char code[RECOVERY_TEXT_SIZE]; /* wiped when it was shown */
	uint8_t identity[32], sealing[32];
	uint8_t nonce[32];
	bool role_set, opened, served;
	size_t addr;
	bool waits; /* the inviter knows us, and somebody has to say yes */
	unsigned int drops;  /* links that were up, and then not */
	unsigned int rounds; /* through all addresses, since one was up */
	char told[256];
	char why[512]; /* the last thing that went wrong */
	int status;
	bool joined;
	/* By file: */
	struct joinreq request;
	bool requested;
	FILE *lines;
	struct chan *as_linkd;
} my = { .key_fd = -1, .next_fd = -1, .socket_fd = -1, .status = EX_TEMPFAIL };

static void start_linkd(void);
static void next_address(void);

/* The end. */

static void
leave(int status, const char *what)
{
	if (what != NULL)
		log_errorx("not joined: %s", what);
	my.status = status;
	event_base_loopbreak(my.base);
}

/* REFUSED, or no answer any more. */
static bool
refused(const struct msg *m, char text[256])
{
	struct msg_REFUSED no;
	struct rbuf body;

	snprintf(text, 256, "%s", "a process has ended; its log says why");
	if (m != NULL && m->type != MSG_REFUSED)
		return false;
	if (m != NULL) {
		body = m->body;
		if (msg_get_REFUSED(&body, &no))
			snprintf(text, 256, "%.255s", no.text);
	}
	return true;
}

static bool
given_up(const struct msg *m)
{
	char text[256];

	if (!refused(m, text))
		return false;
	leave(EX_CANTCREAT, text);
	return true;
}

/* Starting a process: HELLO, what it works with, configuration, START. */

static void
on_ready(struct chan *c, struct msg *m, void *arg)
{
	struct helper *h = arg;

	if (given_up(m))
		return;
	chan_set_when(c, WHEN_RUN);
	if (h->meshd != NULL)
		chan_set_when(h->meshd, WHEN_RUN);
	h->ready();
}

static void
on_committed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_START start = { 0 };

	if (!given_up(m))
		(void)chan_send_START(c, chan_ask(c, MSG_START, on_ready, arg),
		    -1, &start);
}

static void
on_staged(struct chan *c, struct msg *m, void *arg)
{
	struct msg_CONFIG_COMMIT commit = { .generation = 1 };

	if (!given_up(m))
		(void)chan_send_CONFIG_COMMIT(c,
		    chan_ask(c, MSG_CONFIG_COMMIT, on_committed, arg), -1,
		    &commit);
}

static void
configure_keyd(void)
{
	struct msg_CONFIG_KEYD m = { .generation = 1,
		.log_level = LOG_LEVEL_WARN };
	struct chan *c = my.keyd.chan;

	snprintf(m.node, sizeof(m.node), "%s", my.nn.name);
	memcpy(m.genesis, my.nn.genesis, sizeof(m.genesis));
	(void)chan_send_CONFIG_KEYD(c,
	    chan_ask(c, MSG_CONFIG_KEYD, on_staged, &my.keyd), -1, &m);
}

static void
configure_attestd(void)
{
	struct msg_CONFIG_ATTESTD m = { .generation = 1,
		.log_level = LOG_LEVEL_WARN };
	struct msg_JOINING joining;
	struct chan *c = my.attestd.chan;

	memcpy(joining.inviter, my.ticket.inviter, sizeof(joining.inviter));
	memcpy(joining.sealing, my.sealing, sizeof(joining.sealing));
	(void)chan_send_JOINING(c, 0, -1, &joining);
	snprintf(m.node, sizeof(m.node), "%s", my.nn.name);
	memcpy(m.genesis, my.nn.genesis, sizeof(m.genesis));
	memcpy(m.identity, my.identity, sizeof(m.identity));
	(void)chan_send_CONFIG_ATTESTD(c,
	    chan_ask(c, MSG_CONFIG_ATTESTD, on_staged, &my.attestd), -1, &m);
}

static void
configure_linkd(void)
{
	struct msg_CONFIG_WORKER m = { .generation = 1,
		.log_level = LOG_LEVEL_WARN };
	struct chan *c = my.linkd.chan;

	(void)chan_send_CONFIG_WORKER(c,
	    chan_ask(c, MSG_CONFIG_WORKER, on_staged, &my.linkd), -1, &m);
}

/* Keys. */

static bool
keep_key(void)
{
	if (!my.key_is_new)
		return true;
	if (my.next_fd != -1 &&
	    !newnode_name_file(&my.nn, my.next_fd, PLACE_KEYS, JOINING_NEXT,
		0600))
		return false;
	/* From here on these are the keys, whatever happens. */
	return newnode_name_file(&my.nn, my.key_fd, PLACE_KEYS, JOINING_KEY,
	    0600);
}

static void
say_words(void)
{
	char words[TICKET_WORDS_SIZE], key[IDENTITY_TEXT_SIZE];
	char at[NETADDR_LIST_SIZE];

	ticket_words(my.nn.genesis, my.identity, words);
	identity_text(my.identity, key);
	netaddr_list_text(&my.nn.at, at);
	printf("joining as %s, %s; the inviter sees the same six words:\n"
	       "  %s\n"
	       "the registry will say that it is reached at %s\n",
	    my.nn.name, key, words, my.nn.at.n > 0 ? at : "no address");
	fflush(stdout);
}

static void
on_request_signed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REQUEST_SIGNED done;

	(void)c;
	(void)arg;
	if (given_up(m))
		return;
	if (!msg_get_REQUEST_SIGNED(&m->body, &done))
		fatalx("malformed REQUEST_SIGNED");
	memcpy(my.request.sig, done.signature, sizeof(my.request.sig));
	my.requested = true;
	leave(EXIT_SUCCESS, NULL);
}

static void
sign_request(struct chan *c)
{
	struct msg_REQUEST_SIGN want = { 0 };

	snprintf(want.node, sizeof(want.node), "%s", my.nn.name);
	netaddr_list_text(&my.nn.at, want.addresses);
	my.request.at = my.nn.at;
	snprintf(my.request.name, sizeof(my.request.name), "%s", my.nn.name);
	memcpy(my.request.identity, my.identity, 32);
	memcpy(my.request.sealing, my.sealing, 32);
	(void)chan_send_REQUEST_SIGN(c,
	    chan_ask(c, MSG_REQUEST_SIGN, on_request_signed, NULL), -1, &want);
}

static void
on_keys(struct chan *c, struct msg *m, void *arg)
{
	struct msg_JOIN_BEGIN begin;
	struct msg_KEY_PUBLIC pub;

	(void)arg;
	if (given_up(m))
		return;
	if (!msg_get_KEY_PUBLIC(&m->body, &pub))
		fatalx("malformed KEY_PUBLIC");
	memcpy(my.identity, pub.identity, sizeof(my.identity));
	memcpy(my.sealing, pub.sealing, sizeof(my.sealing));
	memcpy(my.request.next, pub.next, sizeof(my.request.next));
	if (my.nn.opts->request == NULL)
		say_words();
	/* Said before the keys are kept: no attempt ends with one unseen. */
	if (my.key_is_new && my.next_fd != -1)
		newnode_say_code(my.code);
	if (!keep_key()) {
		leave(EX_CANTCREAT, "its keys could not be kept");
		return;
	}
	if (my.nn.opts->request != NULL) {
		sign_request(c);
		return;
	}
	if (my.nn.opts->join != NULL) {
		memcpy(begin.seed, my.ticket.seed, sizeof(begin.seed));
		netaddr_list_text(&my.nn.at, begin.addresses);
		(void)chan_send_JOIN_BEGIN(c, 0, -1, &begin);
		explicit_bzero(&begin, sizeof(begin));
		explicit_bzero(my.ticket.seed, sizeof(my.ticket.seed));
	}
	configure_keyd();
}

static void
create_key(struct chan *c)
{
	struct msg_KEY_CREATE create = { 0 };

	(void)chan_send_KEY_CREATE(c,
	    chan_ask(c, MSG_KEY_CREATE, on_keys, NULL), my.key_fd, &create);
}

static void
on_next_key(struct chan *c, struct msg *m, void *arg)
{
	struct msg_NEXT_MADE made;

	(void)arg;
	if (given_up(m))
		return;
	if (!msg_get_NEXT_MADE(&m->body, &made))
		fatalx("malformed NEXT_MADE");
	memcpy(my.code, made.code, sizeof(my.code));
	explicit_bzero(&made, sizeof(made));
	create_key(c);
}

static void
hand_over_key(struct chan *c)
{
	struct msg_NEXT_CREATE next = { 0 };
	struct msg_NEXT_FILE next_file = { 0 };
	struct msg_KEY_FILE file = { 0 };

	if (my.key_is_new && my.next_fd != -1)
		(void)chan_send_NEXT_CREATE(c,
		    chan_ask(c, MSG_NEXT_CREATE, on_next_key, NULL), my.next_fd,
		    &next);
	else if (my.key_is_new)
		create_key(c);
	else {
		if (my.next_fd != -1)
			(void)chan_send_NEXT_FILE(c, 0, my.next_fd, &next_file);
		(void)chan_send_KEY_FILE(c,
		    chan_ask(c, MSG_KEY_FILE, on_keys, NULL), my.key_fd, &file);
	}
}

static void
on_hello(struct chan *c, struct msg *m)
{
	struct helper *h = chan_arg(c);
	struct msg_HELLO hello;

	if (!msg_get_HELLO(&m->body, &hello))
		fatalx("malformed HELLO");
	if (hello.schema != msg_schema() || hello.failed != 0)
		leave(EX_CONFIG,
		    "a process is of another version, or its "
		    "sandbox is open");
	else if (h == &my.keyd)
		hand_over_key(c);
	else if (h == &my.attestd)
		configure_attestd();
	else
		configure_linkd();
}

/* Channels. */

static void
end_helper(struct helper *h)
{
	if (h->chan != NULL)
		chan_free(h->chan); /* it ends with its channel */
	if (h->meshd != NULL)
		chan_free(h->meshd);
	if (h->pid > 0)
		waitpid(h->pid, NULL, 0);
	h->chan = h->meshd = NULL;
	h->pid = 0;
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	next_address();
}

/* This session is over: the next address, from the event loop. */
static void
next_session(void)
{
	static const struct timeval now = { 0, 0 };

	event_del(my.again);
	event_assign(my.again, my.base, -1, 0, on_retry, NULL);
	(void)evtimer_add(my.again, &now);
}

static void
on_closed(struct chan *c)
{
	struct helper *h = chan_arg(c);

	if (h == &my.linkd && !my.joined)
		next_session();
	else if (h != &my.linkd)
		leave(EX_CANTCREAT, "a process has ended; its log says why");
}

static void
on_violation(struct chan *c, uint16_t type, const char *reason)
{
	(void)c;
	log_warnx("%s: %s", msg_name(type), reason);
	leave(EX_CANTCREAT, "a process said what it may not say");
}

static void
on_notice(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
}

static void on_link_up(struct chan *, struct msg *);
static void on_link_down(struct chan *, struct msg *);

/* What may come on clawd's own channels, and on those of meshd's place. */
static const struct chan_handlers handlers[] = {
	{ MSG_HELLO, on_hello },
	{ MSG_VIOLATION, on_notice },
	{ MSG_SESSION_ATTESTED, on_notice },
	{ MSG_PEER_ADDRESS, on_notice },
	{ MSG_REGISTRY_NOTED, on_notice },
	{ MSG_PULL_WANTED, on_notice },
	{ MSG_LINK_UP, on_link_up },
	{ MSG_LINK_DOWN, on_link_down },
	{ 0, NULL },
};

static const struct chan_ops ops = { handlers, on_closed, on_violation };

/* A channel between two of them; b NULL: to us, in meshd's place. */
static void
connect_pair(struct helper *a, struct helper *b, uint32_t session)
{
	struct msg_PEER to_a = { .session = session };
	struct msg_PEER to_b = { .session = session };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		fatal("socketpair");
	to_a.proc = (uint8_t)(b == NULL ? PROC_MESHD : b->proc);
	to_b.proc = (uint8_t)a->proc;
	(void)chan_send_PEER(a->chan, 0, pair[0], &to_a);
	close(pair[0]);
	if (b != NULL) {
		(void)chan_send_PEER(b->chan, 0, pair[1], &to_b);
		close(pair[1]);
		return;
	}
	a->meshd = chan_new(my.base, pair[1], PROC_MESHD, a->proc, &ops, a);
	if (a->meshd == NULL)
		fatalx("out of memory");
	chan_set_when(a->meshd, WHEN_RUN);
}

static bool
start(struct helper *h, enum proc p, void (*ready)(void))
{
	struct spawn s = { .conf = &my.nn.conf,
		.log_fd = STDERR_FILENO,
		.insecure = my.nn.opts->insecure };
	int channel, page;

	*h = (struct helper){ .proc = p, .ready = ready };
	h->pid = spawn_start(&s, p, &channel, &page);
	if (h->pid == -1) {
		leave(EX_CANTCREAT, "a process could not be started");
		return false;
	}
	close(page);
	h->chan = chan_new(my.base, channel, PROC_CLAWD, p, &ops, h);
	if (h->chan == NULL)
		fatalx("out of memory");
	return true;
}

/* The session: as meshd does it. */

static int
dial(const char *address)
{
	struct pollfd p = { .events = POLLOUT };
	struct sockaddr_storage ss;
	int error = 0;
	socklen_t len, error_len = sizeof(error);

	if (netaddr_parse(address, &ss, &len) != 0) {
		snprintf(my.why, sizeof(my.why),
		    "%s: only numeric addresses are dialled", address);
		return -1;
	}
	p.fd =
	    socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p.fd == -1)
		error = errno;
	else if (connect(p.fd, (struct sockaddr *)&ss, len) == 0)
		return p.fd;
	else if (errno != EINPROGRESS)
		error = errno;
	else if (poll(&p, 1, CONNECT_MS) != 1)
		error = ETIMEDOUT;
	else if (getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &error_len) ==
		0 &&
	    error == 0)
		return p.fd;
	snprintf(my.why, sizeof(my.why), "%s cannot be reached: %s", address,
	    strerror(error));
	if (p.fd != -1)
		close(p.fd);
	return -1;
}

static void
serve(void)
{
	struct msg_LINK_SERVE order = { .role = EVIDENCE_CLIENT,
		.purpose = EVIDENCE_JOIN,
		.handshake_ms = HANDSHAKE_MS };

	if (!my.role_set || !my.opened)
		return;
	memcpy(order.nonce, my.nonce, sizeof(order.nonce));
	snprintf(order.address, sizeof(order.address), "%.63s",
	    my.ticket.addr[my.addr]);
	(void)chan_send_LINK_SERVE(my.linkd.meshd, 0, my.socket_fd, &order);
	close(my.socket_fd);
	my.socket_fd = -1;
}

static void
on_role_set(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (given_up(m))
		return;
	my.role_set = true;
	serve();
}

static void
on_opened(struct chan *c, struct msg *m, void *arg)
{
	struct msg_SESSION_OPENED opened;

	(void)c;
	(void)arg;
	if (given_up(m))
		return;
	if (!msg_get_SESSION_OPENED(&m->body, &opened))
		fatalx("malformed SESSION_OPENED");
	memcpy(my.nonce, opened.nonce, sizeof(my.nonce));
	my.opened = true;
	serve();
}

static void
linkd_ready(void)
{
	struct msg_SESSION_ROLE role = { .session = my.session,
		.role = EVIDENCE_CLIENT,
		.purpose = EVIDENCE_JOIN };
	struct msg_SESSION_OPEN open = { .session = my.session,
		.role = EVIDENCE_CLIENT,
		.purpose = EVIDENCE_JOIN };
	struct chan *keyd = my.keyd.meshd, *attestd = my.attestd.meshd;

	snprintf(open.address, sizeof(open.address), "%.63s",
	    my.ticket.addr[my.addr]);
	(void)chan_send_SESSION_ROLE(keyd,
	    chan_ask(keyd, MSG_SESSION_ROLE, on_role_set, NULL), -1, &role);
	(void)chan_send_SESSION_OPEN(attestd,
	    chan_ask(attestd, MSG_SESSION_OPEN, on_opened, NULL), -1, &open);
}

static void
start_linkd(void)
{
	my.session++;
	my.role_set = my.opened = my.served = false;
	if (!start(&my.linkd, PROC_LINKD, linkd_ready))
		return;
	connect_pair(&my.linkd, &my.keyd, my.session);
	connect_pair(&my.linkd, &my.attestd, my.session);
	connect_pair(&my.linkd, NULL, my.session);
}

/* Where there is nobody to wait for, the ticket's addresses are tried once. */
static void
next_address(void)
{
	struct timeval pause = { ASK_AGAIN_S, 0 };

	if (my.socket_fd != -1)
		close(my.socket_fd);
	my.socket_fd = -1;
	if (my.linkd.pid > 0) {
		end_helper(&my.linkd);
		my.addr++;
	}
	for (; my.addr < my.ticket.n_addrs; my.addr++) {
		my.socket_fd = dial(my.ticket.addr[my.addr]);
		if (my.socket_fd != -1) {
			start_linkd();
			return;
		}
		log_warnx("%s", my.why);
	}
	if (!my.waits || ++my.rounds > ROUNDS_MAX ||
	    (uint64_t)time(NULL) > my.ticket.expiry + LATE_S) {
		leave(my.status, my.why);
		return;
	}
	my.addr = 0;
	event_del(my.again);
	event_assign(my.again, my.base, -1, 0, on_retry, NULL);
	(void)evtimer_add(my.again, &pause);
}

/* The link. */

static void ask_to_join(void);

static void
on_ask_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	ask_to_join();
}

static void
wait_and_ask(const char *text)
{
	struct timeval pause = { ASK_AGAIN_S, 0 };

	my.waits = true;
	if (strcmp(my.told, text) != 0) {
		printf("waiting: %s\n", text);
		fflush(stdout);
	}
	snprintf(my.told, sizeof(my.told), "%s", text);
	if ((uint64_t)time(NULL) > my.ticket.expiry + LATE_S) {
		leave(EX_TEMPFAIL,
		    "nobody at the inviter said yes before the "
		    "ticket expired");
		return;
	}
	event_del(my.again);
	event_assign(my.again, my.base, -1, 0, on_ask_again, NULL);
	(void)evtimer_add(my.again, &pause);
}

static void
finish(void)
{
	my.joined = true;
	leave(EXIT_SUCCESS, NULL);
}

/* Does the registry, as we hold it, name us? */
static void
on_pulled_checked(struct chan *c, struct msg *m, void *arg)
{
	char text[256];

	(void)c;
	(void)arg;
	if (refused(m, text))
		leave(EX_DATA, text);
	else
		finish();
}

static void
check(chan_done *done)
{
	struct msg_JOIN_CHECK ask = { 0 };
	struct chan *c = my.attestd.chan;

	(void)chan_send_JOIN_CHECK(c, chan_ask(c, MSG_JOIN_CHECK, done, NULL),
	    -1, &ask);
}

static void
on_pulled(struct chan *c, struct msg *m, void *arg)
{
	struct msg_LINK_PULLED pulled;

	(void)c;
	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED)
		return; /* the link's end says why */
	if (!msg_get_LINK_PULLED(&m->body, &pulled))
		fatalx("malformed LINK_PULLED");
	if (pulled.why[0] != '\0')
		log_warnx("the inviter's registry: %s", pulled.why);
	check(on_pulled_checked);
}

static void
on_joined(struct chan *c, struct msg *m, void *arg)
{
	struct msg_LINK_JOINED joined;
	struct msg_LINK_PULL pull = { 0 };

	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED)
		return; /* the link's end says why */
	if (!msg_get_LINK_JOINED(&m->body, &joined))
		fatalx("malformed LINK_JOINED");
	switch (joined.status) {
	case 0:
		(void)chan_send_LINK_PULL(c,
		    chan_ask(c, MSG_LINK_PULL, on_pulled, NULL), -1, &pull);
		break;
	case 1:
		wait_and_ask(joined.text);
		break;
	default:
		snprintf(my.why, sizeof(my.why), "the inviter refused: %s",
		    joined.text);
		leave(EX_NOPERM, my.why);
		break;
	}
}

static void
ask_to_join(void)
{
	struct msg_LINK_JOIN ask = { 0 };
	struct chan *c = my.linkd.meshd;

	if (c != NULL)
		(void)chan_send_LINK_JOIN(c,
		    chan_ask(c, MSG_LINK_JOIN, on_joined, NULL), -1, &ask);
}

static void
on_link_up(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
	my.served = true;
	my.rounds = 0;
	ask_to_join();
}

/* What an inviter that lets nobody in looks like from here. */
static bool
shut(const struct msg_LINK_DOWN *down)
{
	return down->by_peer != 0 &&
	    (down->alert == 120 || down->alert == ATLS_UNKNOWN ||
		down->alert == 80);
}

static void
on_link_down(struct chan *c, struct msg *m)
{
	struct msg_LINK_DOWN down;

	(void)c;
	if (!msg_get_LINK_DOWN(&m->body, &down))
		fatalx("malformed LINK_DOWN");
	snprintf(my.why, sizeof(my.why), "%s: %s%s", my.ticket.addr[my.addr],
	    down.reason,
	    shut(&down) && !my.served ?
		"; it has no open invite for this name: used, withdrawn, "
		"expired, or the node was restarted since" :
		"");
	log_warnx("%s", my.why);
	if (my.served)
		my.waits = ++my.drops <= DROPS_MAX;
	if (!my.served && !my.waits)
		my.status = down.alert != 0 ? EX_NOPERM : EX_TEMPFAIL;
}

/* The registry from a file, as a linkd would bring it. */

static void offer_lines(void);

static void
on_taken(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_TAKEN taken;
	char text[256];

	(void)c;
	(void)arg;
	if (refused(m, text)) {
		leave(EX_DATA, text);
		return;
	}
	if (!msg_get_REGISTRY_TAKEN(&m->body, &taken))
		fatalx("malformed REGISTRY_TAKEN");
	if (taken.why[0] != '\0') {
		snprintf(my.why, sizeof(my.why), "%s: %s", my.nn.opts->complete,
		    taken.why);
		leave(EX_DATA, my.why);
		return;
	}
	offer_lines();
}

/*
 * As many whole lines as fit; nothing of them is looked at but where they end
 * and whether they are rotations, which have another place.
 */
static void
offer_lines(void)
{
	static char bytes[LINES_MAX];
	struct msg_REGISTRY_OFFER offer = { .lines = (uint8_t *)bytes };
	long from = ftell(my.lines);
	size_t n = fread(bytes, 1, sizeof(bytes), my.lines), used = 0;
	const char *end;
	bool turn;

	while ((end = memchr(bytes + used, '\n', n - used)) != NULL) {
		turn = strncmp(bytes + used, "{\"r\":", 5) == 0;
		if (used > 0 && turn != (offer.rotations != 0))
			break;
		offer.rotations = turn;
		used = (size_t)(end - bytes) + 1;
	}
	if (n > 0 && used == 0) {
		leave(EX_DATA, "the file is no registry: a line does not end");
		return;
	}
	if (n == 0 || fseek(my.lines, from + (long)used, SEEK_SET) == -1) {
		check(on_pulled_checked);
		return;
	}
	offer.lines_len = (uint16_t)used;
	(void)chan_send_REGISTRY_OFFER(my.as_linkd,
	    chan_ask(my.as_linkd, MSG_REGISTRY_OFFER, on_taken, NULL), -1,
	    &offer);
}

/* Everything is there to begin with. */

static void
on_first_checked(struct chan *c, struct msg *m, void *arg)
{
	char text[256];

	(void)c;
	(void)arg;
	if (!refused(m, text))
		finish(); /* an earlier attempt came that far */
	else if (my.nn.opts->complete != NULL)
		offer_lines();
	else
		next_address();
}

static void
attestd_ready(void)
{
	check(on_first_checked);
}

static void
stand_for_linkd(void)
{
	struct msg_PEER peer = { .proc = PROC_LINKD, .session = 1 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		fatal("socketpair");
	(void)chan_send_PEER(my.attestd.chan, 0, pair[0], &peer);
	close(pair[0]);
	my.as_linkd = chan_new(my.base, pair[1], PROC_LINKD, PROC_ATTESTD, &ops,
	    &my.attestd);
	if (my.as_linkd == NULL)
		fatalx("out of memory");
	chan_set_when(my.as_linkd, WHEN_RUN);
}

static void
keyd_ready(void)
{
	connect_pair(&my.keyd, NULL, 0);
	if (!start(&my.attestd, PROC_ATTESTD, attestd_ready))
		return;
	connect_pair(&my.attestd, &my.keyd, 0);
	connect_pair(&my.attestd, NULL, 0);
	if (my.nn.opts->complete != NULL)
		stand_for_linkd();
}

/* Files. */

/* The next key of an attempt before this one, or a new one. */
static bool
open_next(bool new)
{
	char next[CONF_TEXT_MAX + 64];

	if (!newnode_path(&my.nn, PLACE_KEYS, JOINING_NEXT, next, sizeof(next)))
		return false;
	if (!new) {
		my.next_fd = open(next, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		return my.next_fd != -1 || errno == ENOENT;
	}
	/* Of an attempt that did not get as far as its keys. */
	if (unlink(next) == -1 && errno != ENOENT)
		return false;
	if (my.nn.opts->no_recovery)
		return true;
	my.next_fd = newnode_unnamed(&my.nn, PLACE_KEYS);
	return my.next_fd != -1;
}

static bool
open_keys(void)
{
	char joining[CONF_TEXT_MAX + 64], key[CONF_TEXT_MAX + 64];
	struct stat st;

	if (!newnode_path(&my.nn, PLACE_KEYS, JOINING_KEY, joining,
		sizeof(joining)) ||
	    !newnode_path(&my.nn, PLACE_KEYS, "node.key", key, sizeof(key)))
		return false;
	my.key_fd = open(joining, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (my.key_fd != -1)
		return open_next(false);
	if (errno != ENOENT) {
		log_warn("%s", joining);
		return false;
	}
	if (lstat(key, &st) == 0) {
		log_errorx("%s is there, and %s is not: this was a node, or "
			   "claw init without --join was interrupted. Bring "
			   "it back, or remove the folder and begin again",
		    key, my.nn.file);
		return false;
	}
	if (my.nn.opts->complete != NULL) {
		log_errorx("%s is missing: the keys are made with --request",
		    joining);
		return false;
	}
	my.key_is_new = true;
	my.key_fd = newnode_unnamed(&my.nn, PLACE_KEYS);
	return my.key_fd != -1 && open_next(true);
}

/* attestd has written it, and as it writes everything: for itself. */
static bool
publish_registry(void)
{
	char path[CONF_TEXT_MAX + 64];
	bool ok;
	int fd;

	if (!newnode_path(&my.nn, PLACE_REGISTRY, "registry.ndjson", path,
		sizeof(path)))
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
publish_one(const char *joining, const char *name)
{
	char from[CONF_TEXT_MAX + 64], to[CONF_TEXT_MAX + 64];
	bool ok;

	ok = newnode_path(&my.nn, PLACE_KEYS, joining, from, sizeof(from)) &&
	    newnode_path(&my.nn, PLACE_KEYS, name, to, sizeof(to)) &&
	    (link(from, to) == 0 || errno == EEXIST);
	if (!ok)
		log_warn("keys/%s", name);
	return ok;
}

/* The names of the keys; an attempt before this one may have given them. */
static bool
publish_keys(void)
{
	int dir = place_open_dir(&my.nn.conf, PLACE_KEYS);
	bool ok;

	ok = dir != -1 &&
	    (my.next_fd == -1 || publish_one(JOINING_NEXT, "next.key")) &&
	    publish_one(JOINING_KEY, "node.key") && fsync(dir) == 0;
	if (dir != -1)
		close(dir);
	return ok;
}

static void
forget_one(const char *name)
{
	char path[CONF_TEXT_MAX + 64];

	if (newnode_path(&my.nn, PLACE_KEYS, name, path, sizeof(path)) &&
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
static void
take_addresses(void)
{
	struct sockaddr_storage ss;
	socklen_t len;
	size_t i, n = 0;

	for (i = 0; i < my.ticket.n_addrs; i++)
		if (netaddr_parse(my.ticket.addr[i], &ss, &len) == 0 &&
		    n + strlen(my.ticket.addr[i]) + 2 < sizeof(my.nn.peers))
			n += (size_t)snprintf(my.nn.peers + n,
			    sizeof(my.nn.peers) - n, "%s%s", n == 0 ? "" : " ",
			    my.ticket.addr[i]);
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
	r = ticket_parse(text, strlen(text), &my.ticket, &why);
	explicit_bzero(text, sizeof(text));
	if (r != 0) {
		log_errorx("not joined: %s", why);
		return EX_DATA;
	}
	if (opts->name != NULL && strcmp(opts->name, my.ticket.name) != 0) {
		log_errorx("not joined: the ticket is for %s, not for %s",
		    my.ticket.name, opts->name);
		return EX_DATA;
	}
	if (my.ticket.expiry <= (uint64_t)time(NULL)) {
		t = (time_t)my.ticket.expiry;
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ",
		    gmtime_r(&t, &tm));
		log_errorx("not joined: the ticket has expired at %s by this "
			   "machine's clock; ask for another one",
		    when);
		return EX_NOPERM;
	}
	snprintf(my.name, sizeof(my.name), "%s", my.ticket.name);
	my.nn.name = my.name;
	memcpy(my.nn.genesis, my.ticket.genesis, sizeof(my.nn.genesis));
	take_addresses();
	return 0;
}

/* By file. */

static int
take_file(const struct init_opts *opts)
{
	if (opts->name == NULL) {
		log_errorx("a node that joins by file needs --name");
		return EX_DATA;
	}
	snprintf(my.name, sizeof(my.name), "%s", opts->name);
	my.nn.name = my.name;
	if (opts->complete == NULL)
		return 0;
	if (opts->genesis == NULL ||
	    conf_hash_bytes(opts->genesis, my.nn.genesis) != 0) {
		log_errorx("--complete needs --genesis sha256:HASH, the hash "
			   "that claw registry:show prints there; get it from "
			   "a person, not with the file");
		return EX_DATA;
	}
	my.lines = fopen(opts->complete, "re");
	if (my.lines == NULL)
		log_warn("%s", opts->complete);
	return my.lines == NULL ? EX_DATA : 0;
}

static int
write_request(void)
{
	const char *to = my.nn.opts->request;
	char text[JOINREQ_TEXT_MAX];
	FILE *f;
	bool ok;

	if (joinreq_format(&my.request, text, sizeof(text)) < 0)
		return EX_CONFIG;
	f = strcmp(to, "-") == 0 ? stdout : fopen(to, "we");
	ok = f != NULL && fprintf(f, "%s\n", text) > 0 && fflush(f) == 0;
	if (f != NULL && f != stdout)
		ok = fclose(f) == 0 && ok;
	if (!ok)
		log_warn("%s", to);
	return ok ? EXIT_SUCCESS : EX_CANTCREAT;
}

/* Runs until something ends it. */
static void
run(void)
{
	my.base = event_base_new();
	my.again =
	    my.base == NULL ? NULL : evtimer_new(my.base, on_retry, NULL);
	if (my.again == NULL)
		fatalx("out of memory");
	spawn_setup();
	if (start(&my.keyd, PROC_KEYD, keyd_ready))
		event_base_dispatch(my.base);
	event_del(my.again);
	if (my.as_linkd != NULL)
		chan_free(my.as_linkd);
	end_helper(&my.linkd);
	end_helper(&my.attestd);
	end_helper(&my.keyd);
	ticket_clear(&my.ticket);
}

int
join_node(const struct init_opts *opts)
{
	int status;

	signal(SIGPIPE, SIG_IGN);
	my.nn.opts = opts;
	status = opts->join != NULL ? take_ticket(opts) : take_file(opts);
	if (status != 0)
		return status;
	if (!newnode_plan(&my.nn))
		return EX_CONFIG;
	if (!reached_at(opts, my.nn.conf.node_listen,
		opts->join != NULL ? &my.ticket : NULL, &my.nn.at))
		return EX_DATA;
	if (!newnode_make(&my.nn) || !open_keys())
		return EX_CANTCREAT;
	run();
	if (my.requested)
		return write_request();
	if (!my.joined)
		return my.status;
	if (!publish_registry() || !publish_keys() ||
	    !newnode_write_conf(&my.nn))
		return EX_CANTCREAT;
	forget_attempt();
	newnode_say(&my.nn, my.identity);
	return EXIT_SUCCESS;
}
