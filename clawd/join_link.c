/* SPDX-License-Identifier: ISC */
/*
 * join_link.c - the session with the inviter, as meshd would have it.
 *
 * The addresses of the ticket are dialled one after the other, and each socket
 * is handed to a linkd of its own. Neither a key nor a byte of the inviter's is
 * seen here.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/join_int.h"
#include "common/atls.h"
#include "common/evidence.h"
#include "common/log.h"
#include "common/netaddr.h"

#define CONNECT_MS 5000
#define HANDSHAKE_MS 10000
#define ASK_AGAIN_S 2 /* while an operator there has to say yes */
#define LATE_S 60     /* after the ticket's expiry */
#define DROPS_MAX 5
#define ROUNDS_MAX 5

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	join_next_address();
}

void
join_prepare_link(void)
{
	joining.again = evtimer_new(joining.base, on_retry, NULL);
	if (joining.again == NULL)
		fatalx("out of memory");
}

void
join_next_session(void)
{
	static const struct timeval now = { 0, 0 };

	event_del(joining.again);
	event_assign(joining.again, joining.base, -1, 0, on_retry, NULL);
	(void)evtimer_add(joining.again, &now);
}

/* The session. */

static int
dial(const char *address)
{
	struct pollfd p = { .events = POLLOUT };
	struct sockaddr_storage ss;
	int error = 0;
	socklen_t len, error_len = sizeof(error);

	if (netaddr_parse(address, &ss, &len) != 0) {
		snprintf(joining.why, sizeof(joining.why),
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
	snprintf(joining.why, sizeof(joining.why), "%s cannot be reached: %s",
	    address, strerror(error));
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

	if (!joining.role_set || !joining.opened)
		return;
	memcpy(order.nonce, joining.nonce, sizeof(order.nonce));
	snprintf(order.address, sizeof(order.address), "%.63s",
	    joining.ticket.addr[joining.addr]);
	(void)chan_send_LINK_SERVE(joining.linkd.meshd, 0, joining.socket_fd,
	    &order);
	close(joining.socket_fd);
	joining.socket_fd = -1;
}

static void
on_role_set(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (join_given_up(m))
		return;
	joining.role_set = true;
	serve();
}

static void
on_opened(struct chan *c, struct msg *m, void *arg)
{
	struct msg_SESSION_OPENED opened;

	(void)c;
	(void)arg;
	if (join_given_up(m))
		return;
	if (!msg_get_SESSION_OPENED(&m->body, &opened))
		fatalx("malformed SESSION_OPENED");
	memcpy(joining.nonce, opened.nonce, sizeof(joining.nonce));
	joining.opened = true;
	serve();
}

static void
linkd_ready(void)
{
	struct msg_SESSION_ROLE role = { .session = joining.session,
		.role = EVIDENCE_CLIENT,
		.purpose = EVIDENCE_JOIN };
	struct msg_SESSION_OPEN open = { .session = joining.session,
		.role = EVIDENCE_CLIENT,
		.purpose = EVIDENCE_JOIN };
	struct chan *keyd = joining.keyd.meshd,
		    *attestd = joining.attestd.meshd;

	snprintf(open.address, sizeof(open.address), "%.63s",
	    joining.ticket.addr[joining.addr]);
	(void)chan_send_SESSION_ROLE(keyd,
	    chan_ask(keyd, MSG_SESSION_ROLE, on_role_set, NULL), -1, &role);
	(void)chan_send_SESSION_OPEN(attestd,
	    chan_ask(attestd, MSG_SESSION_OPEN, on_opened, NULL), -1, &open);
}

static void
start_linkd(void)
{
	joining.session++;
	joining.role_set = joining.opened = joining.served = false;
	if (!join_start(&joining.linkd, PROC_LINKD, linkd_ready))
		return;
	join_connect(&joining.linkd, &joining.keyd, joining.session);
	join_connect(&joining.linkd, &joining.attestd, joining.session);
	join_connect(&joining.linkd, NULL, joining.session);
}

/* Where there is nobody to wait for, the ticket's addresses are tried once. */
void
join_next_address(void)
{
	struct timeval pause = { ASK_AGAIN_S, 0 };

	if (joining.socket_fd != -1)
		close(joining.socket_fd);
	joining.socket_fd = -1;
	if (joining.linkd.pid > 0) {
		join_end(&joining.linkd);
		joining.addr++;
	}
	for (; joining.addr < joining.ticket.n_addrs; joining.addr++) {
		joining.socket_fd = dial(joining.ticket.addr[joining.addr]);
		if (joining.socket_fd != -1) {
			start_linkd();
			return;
		}
		log_warnx("%s", joining.why);
	}
	if (!joining.waits || ++joining.rounds > ROUNDS_MAX ||
	    (uint64_t)time(NULL) > joining.ticket.expiry + LATE_S) {
		join_leave(joining.status, joining.why);
		return;
	}
	joining.addr = 0;
	event_del(joining.again);
	event_assign(joining.again, joining.base, -1, 0, on_retry, NULL);
	(void)evtimer_add(joining.again, &pause);
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

	joining.waits = true;
	if (strcmp(joining.told, text) != 0) {
		printf("waiting: %s\n", text);
		fflush(stdout);
	}
	snprintf(joining.told, sizeof(joining.told), "%s", text);
	if ((uint64_t)time(NULL) > joining.ticket.expiry + LATE_S) {
		join_leave(EX_TEMPFAIL,
		    "nobody at the inviter said yes before the "
		    "ticket expired");
		return;
	}
	event_del(joining.again);
	event_assign(joining.again, joining.base, -1, 0, on_ask_again, NULL);
	(void)evtimer_add(joining.again, &pause);
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
	/* The inviter may have been interrupted before it sent its lines. */
	join_try_finish(EX_TEMPFAIL);
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
		snprintf(joining.why, sizeof(joining.why),
		    "the inviter refused: %s", joined.text);
		join_leave(EX_NOPERM, joining.why);
		break;
	}
}

static void
ask_to_join(void)
{
	struct msg_LINK_JOIN ask = { 0 };
	struct chan *c = joining.linkd.meshd;

	if (c != NULL)
		(void)chan_send_LINK_JOIN(c,
		    chan_ask(c, MSG_LINK_JOIN, on_joined, NULL), -1, &ask);
}

void
join_on_link_up(struct chan *c, struct msg *m)
{
	(void)c;
	(void)m;
	joining.served = true;
	joining.rounds = 0;
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

void
join_on_link_down(struct chan *c, struct msg *m)
{
	struct msg_LINK_DOWN down;

	(void)c;
	if (!msg_get_LINK_DOWN(&m->body, &down))
		fatalx("malformed LINK_DOWN");
	snprintf(joining.why, sizeof(joining.why), "%s: %s%s",
	    joining.ticket.addr[joining.addr], down.reason,
	    shut(&down) && !joining.served ?
		"; it has no open invite for this name: used, withdrawn, "
		"expired, or the node was restarted since" :
		"");
	log_warnx("%s", joining.why);
	if (joining.served)
		joining.waits = ++joining.drops <= DROPS_MAX;
	if (!joining.served && !joining.waits)
		joining.status = down.alert != 0 ? EX_NOPERM : EX_TEMPFAIL;
}
