/* SPDX-License-Identifier: ISC */
/*
 * join_suite.c - the processes of a join.
 *
 * keyd, attestd and a linkd are started just as they will be later, each in
 * its sandbox, and clawd stands where meshd will.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clawd/join_int.h"
#include "clawd/keytalk.h"
#include "clawd/spawn.h"
#include "common/identity.h"
#include "common/log.h"

/* The end. */

void
join_leave(int status, const char *what)
{
	if (what != NULL)
		log_errorx("not joined: %s", what);
	joining.status = status;
	event_base_loopbreak(joining.base);
}

bool
join_given_up(const struct msg *m)
{
	struct msg_REFUSED no;

	if (!chan_is_refused(m, &no))
		return false;
	join_leave(EX_CANTCREAT, no.text);
	return true;
}

/* Starting a process: HELLO, what it works with, configuration, START. */

static void
on_ready(struct chan *c, struct msg *m, void *arg)
{
	struct join_process *h = arg;

	if (join_given_up(m))
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

	if (!join_given_up(m))
		(void)chan_send_START(c, chan_ask(c, MSG_START, on_ready, arg),
		    -1, &start);
}

static void
on_staged(struct chan *c, struct msg *m, void *arg)
{
	struct msg_CONFIG_COMMIT commit = { .generation = 1 };

	if (!join_given_up(m))
		(void)chan_send_CONFIG_COMMIT(c,
		    chan_ask(c, MSG_CONFIG_COMMIT, on_committed, arg), -1,
		    &commit);
}

static void
configure_keyd(void)
{
	struct msg_CONFIG_KEYD m = { .generation = 1,
		.log_level = LOG_LEVEL_WARN };
	struct chan *c = joining.keyd.chan;

	snprintf(m.node, sizeof(m.node), "%s", joining.nn.name);
	memcpy(m.genesis, joining.nn.genesis, sizeof(m.genesis));
	(void)chan_send_CONFIG_KEYD(c,
	    chan_ask(c, MSG_CONFIG_KEYD, on_staged, &joining.keyd), -1, &m);
}

static void
configure_attestd(void)
{
	struct msg_CONFIG_ATTESTD m = { .generation = 1,
		.log_level = LOG_LEVEL_WARN };
	struct msg_JOINING begin;
	struct chan *c = joining.attestd.chan;

	memcpy(begin.inviter, joining.ticket.inviter, sizeof(begin.inviter));
	memcpy(begin.sealing, joining.sealing, sizeof(begin.sealing));
	(void)chan_send_JOINING(c, 0, -1, &begin);
	snprintf(m.node, sizeof(m.node), "%s", joining.nn.name);
	memcpy(m.genesis, joining.nn.genesis, sizeof(m.genesis));
	memcpy(m.identity, joining.identity, sizeof(m.identity));
	(void)chan_send_CONFIG_ATTESTD(c,
	    chan_ask(c, MSG_CONFIG_ATTESTD, on_staged, &joining.attestd), -1,
	    &m);
}

static void
configure_linkd(void)
{
	struct msg_CONFIG_WORKER m = { .generation = 1,
		.log_level = LOG_LEVEL_WARN };
	struct chan *c = joining.linkd.chan;

	(void)chan_send_CONFIG_WORKER(c,
	    chan_ask(c, MSG_CONFIG_WORKER, on_staged, &joining.linkd), -1, &m);
}

static void
configure(const struct join_process *h)
{
	if (h == &joining.attestd)
		configure_attestd();
	else
		configure_linkd();
}

/* Keys. */

static void
say_words(void)
{
	char words[TICKET_WORDS_SIZE], key[IDENTITY_TEXT_SIZE];
	char at[NETADDR_LIST_SIZE];

	ticket_words(joining.nn.genesis, joining.identity, words);
	identity_text(joining.identity, key);
	netaddr_list_text(&joining.nn.at, at);
	printf("joining as %s, %s; the inviter sees the same six words:\n"
	       "  %s\n"
	       "the registry will say that it is reached at %s\n",
	    joining.nn.name, key, words,
	    joining.nn.at.n > 0 ? at : "no address");
	fflush(stdout);
}

static void
on_keys(struct chan *c, const struct keytalk_keys *keys, const char *why)
{
	struct msg_JOIN_BEGIN begin;

	if (keys == NULL) {
		join_leave(EX_CANTCREAT, why);
		return;
	}
	memcpy(joining.identity, keys->identity, sizeof(joining.identity));
	memcpy(joining.sealing, keys->sealing, sizeof(joining.sealing));
	memcpy(joining.request.next, keys->next, sizeof(joining.request.next));
	memcpy(joining.code, keys->code, sizeof(joining.code));
	if (joining.nn.opts->request == NULL)
		say_words();
	/* Said before the keys are kept: no attempt ends with one unseen. */
	if (joining.key_is_new && joining.next_fd != -1)
		newnode_say_code(joining.code);
	if (!join_keep_keys()) {
		join_leave(EX_CANTCREAT, "its keys could not be kept");
		return;
	}
	if (joining.nn.opts->request != NULL) {
		join_sign_request(c);
		return;
	}
	if (joining.nn.opts->join != NULL) {
		memcpy(begin.seed, joining.ticket.seed, sizeof(begin.seed));
		netaddr_list_text(&joining.nn.at, begin.addresses);
		(void)chan_send_JOIN_BEGIN(c, 0, -1, &begin);
		explicit_bzero(&begin, sizeof(begin));
		explicit_bzero(joining.ticket.seed,
		    sizeof(joining.ticket.seed));
	}
	configure_keyd();
}

static void
on_hello(struct chan *c, struct msg *m)
{
	struct join_process *h = chan_arg(c);
	const char *why = keytalk_hello(m);

	if (why != NULL)
		join_leave(EX_CONFIG, why);
	else if (h != &joining.keyd)
		configure(h);
	else if (joining.key_is_new)
		keytalk_make(c, joining.next_fd, joining.key_fd, on_keys);
	else
		keytalk_load(c, joining.next_fd, joining.key_fd, on_keys);
}

/* Channels. */

void
join_end(struct join_process *h)
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
on_closed(struct chan *c)
{
	struct join_process *h = chan_arg(c);

	if (h == &joining.linkd && !joining.joined)
		join_next_session();
	else if (h != &joining.linkd)
		join_leave(EX_CANTCREAT,
		    "a process has ended; its log says why");
}

static void
on_violation(struct chan *c, uint16_t type, const char *reason)
{
	(void)c;
	log_warnx("%s: %s", msg_name(type), reason);
	join_leave(EX_CANTCREAT, "a process said what it may not say");
}

static void
on_notice(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
}

/* What may come on clawd's own channels, and on those of meshd's place. */
static const struct chan_handlers handlers[] = {
	{ MSG_HELLO, on_hello },
	{ MSG_VIOLATION, on_notice },
	{ MSG_SESSION_ATTESTED, on_notice },
	{ MSG_PEER_ADDRESS, on_notice },
	{ MSG_REGISTRY_NOTED, on_notice },
	{ MSG_PULL_WANTED, on_notice },
	{ MSG_LINK_UP, join_on_link_up },
	{ MSG_LINK_DOWN, join_on_link_down },
	{ 0, NULL },
};

const struct chan_ops join_ops = { handlers, on_closed, on_violation };

void
join_connect(struct join_process *a, struct join_process *b, uint32_t session)
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
	a->meshd =
	    chan_new(joining.base, pair[1], PROC_MESHD, a->proc, &join_ops, a);
	if (a->meshd == NULL)
		fatalx("out of memory");
	chan_set_when(a->meshd, WHEN_RUN);
}

bool
join_start(struct join_process *h, enum proc p, void (*ready)(void))
{
	struct spawn s = { .conf = &joining.nn.conf,
		.log_fd = STDERR_FILENO,
		.insecure = joining.nn.opts->insecure };
	int channel, page;

	*h = (struct join_process){ .proc = p, .ready = ready };
	h->pid = spawn_start(&s, p, &channel, &page);
	if (h->pid == -1) {
		join_leave(EX_CANTCREAT, "a process could not be started");
		return false;
	}
	close(page);
	h->chan = chan_new(joining.base, channel, PROC_CLAWD, p, &join_ops, h);
	if (h->chan == NULL)
		fatalx("out of memory");
	return true;
}

/* Whether there is a node now. */

static void
finish(void)
{
	joining.joined = true;
	join_leave(EXIT_SUCCESS, NULL);
}

/* Does the registry, as we hold it, name us? */
static void
check(chan_done *done, int not_yet)
{
	struct msg_JOIN_CHECK ask = { 0 };
	struct chan *c = joining.attestd.chan;

	(void)chan_send_JOIN_CHECK(c,
	    chan_ask(c, MSG_JOIN_CHECK, done, (void *)(intptr_t)not_yet), -1,
	    &ask);
}

static void
on_checked(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REFUSED no;

	(void)c;
	if (chan_is_refused(m, &no))
		join_leave(no.retry ? (int)(intptr_t)arg : EX_DATA, no.text);
	else
		finish();
}

void
join_try_finish(int not_yet)
{
	check(on_checked, not_yet);
}

/* Everything is there to begin with. */

static void
on_first_checked(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REFUSED no;

	(void)c;
	(void)arg;
	if (!chan_is_refused(m, &no))
		finish(); /* an earlier attempt came that far */
	else if (joining.nn.opts->complete != NULL)
		join_offer_lines();
	else
		join_next_address();
}

static void
attestd_ready(void)
{
	check(on_first_checked, EX_DATA);
}

static void
keyd_ready(void)
{
	join_connect(&joining.keyd, NULL, 0);
	if (!join_start(&joining.attestd, PROC_ATTESTD, attestd_ready))
		return;
	join_connect(&joining.attestd, &joining.keyd, 0);
	join_connect(&joining.attestd, NULL, 0);
	if (joining.nn.opts->complete != NULL)
		join_stand_for_linkd();
}

void
join_run(void)
{
	joining.base = event_base_new();
	if (joining.base == NULL)
		fatalx("out of memory");
	join_prepare_link();
	if (join_start(&joining.keyd, PROC_KEYD, keyd_ready))
		event_base_dispatch(joining.base);
	event_del(joining.again);
	if (joining.as_linkd != NULL)
		chan_free(joining.as_linkd);
	join_end(&joining.linkd);
	join_end(&joining.attestd);
	join_end(&joining.keyd);
	ticket_clear(&joining.ticket);
}
