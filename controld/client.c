/* SPDX-License-Identifier: ISC */
/*
 * client.c - connections to the control socket: who may, and lines in and out.
 *
 * The kernel says who a client is (SO_PEERCRED, SO_PEERGROUPS; never the
 * pid, which may be somebody else's by the time it is looked at). Where all
 * processes share one user, that user is no proof, and the cookie is asked
 * for besides. Bytes that come in are not looked at before both are settled,
 * but for the line that shows the cookie.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include <openssl/crypto.h>

#include "common/counters.h"
#include "common/log.h"
#include "controld/client.h"

#define IN_FLIGHT_MAX 16
/* What may lie unread for a client before no more is read from it. */
#define OUTPUT_MAX_BYTES (256u * 1024)
#define GROUPS_MAX 256
/* Descriptors that are no clients: channels, listener, event loop, spare. */
#define CLIENTS_HARD_MAX 960

/* Seconds: for the cookie, for the rest of a line, for the next request, for
 * taking what was answered. */
#define AUTH_S 5
#define PARTIAL_S 10
#define IDLE_S 900
#define UNREAD_S 30
/* Who has just connected when the end comes may still ask, for so long. */
#define LAST_CALL_MS 300
/* What the kernel says of a user that our user namespace does not have. */
#define OVERFLOW_UID 65534

struct client {
	LIST_ENTRY(client) entry;
	struct bufferevent *bev;
	struct event *deadline;
	struct request *requests;
	unsigned int in_flight;
	uint32_t uid;
	bool trusted; /* may do what OPERATOR may */
	bool partial; /* half a line lies there, the clock runs */
	bool closing; /* nothing more is read; ends when all is sent */
};

static struct {
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *pause;
	struct event *last_call;
	void (*on_request)(struct request *);
	void (*on_denied)(uint32_t, const char *);
	void (*idle)(void);
	struct client_policy policy;
	LIST_HEAD(, client) clients;
	unsigned int count;
	bool draining;
} my;

static void on_last_call(evutil_socket_t, short, void *);

unsigned int
client_count(void)
{
	return my.count;
}

static void
set_deadline(struct client *c, time_t seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	(void)event_add(c->deadline, &tv);
}

static void
drained(void)
{
	if (my.idle != NULL && my.count == 0)
		my.idle();
}

static void
client_free(struct client *c)
{
	struct request *r;

	for (r = c->requests; r != NULL; r = r->next)
		r->client = NULL;
	LIST_REMOVE(c, entry);
	my.count--;
	counter_set(COUNTER_API_CLIENTS, my.count);
	event_free(c->deadline);
	bufferevent_free(c->bev);
	free(c);
	drained();
}

/* No more requests; what has been answered still goes out. */
static void
client_close(struct client *c)
{
	c->closing = true;
	bufferevent_disable(c->bev, EV_READ);
	if (c->in_flight == 0 &&
	    evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		client_free(c);
	else
		set_deadline(c, UNREAD_S);
}

static void
put_line(struct client *c, char *line)
{
	/* Half an answer would be worse than none. */
	if (line == NULL || bufferevent_write(c->bev, line, strlen(line)) != 0)
		c->closing = true;
	/* Cookies came that way, and tokens go. */
	if (line != NULL)
		explicit_bzero(line, strlen(line));
	free(line);
}

static void
say_no(struct client *c, json_t *id, const struct rpc_error *e)
{
	counter_add(COUNTER_API_REFUSED, 1);
	put_line(c, rpc_error(id, e));
}

/* Whether another line may be taken from it now. */
static bool
may_ask(const struct client *c)
{
	return !c->closing && !my.draining && c->in_flight < IN_FLIGHT_MAX &&
	    evbuffer_get_length(bufferevent_get_output(c->bev)) <
	    OUTPUT_MAX_BYTES;
}

static void
take_request(struct client *c, const char *line, size_t len)
{
	struct rpc_error e;
	struct request *r = calloc(1, sizeof(*r));

	counter_add(COUNTER_API_REQUESTS, 1);
	if (r == NULL) {
		c->closing = true;
		return;
	}
	if (!rpc_parse(line, len, &r->rpc, &e)) {
		say_no(c, r->rpc.id, &e);
		/* Not our language: whatever follows is not either. */
		if (e.failure == RPC_PARSE_ERROR || !c->trusted)
			c->closing = true;
	} else if (!c->trusted &&
	    rpc_method_def(r->rpc.method)->who != RPC_CONNECTED) {
		rpc_fail(&e, RPC_POLICY, false,
		    "show the cookie first: {\"method\":\"auth\",\"params\":"
		    "{\"cookie\":...}} with what run_dir/cookie contains");
		say_no(c, r->rpc.id, &e);
		my.on_denied(c->uid, "no cookie shown");
		c->closing = true;
	} else {
		r->client = c;
		r->uid = c->uid;
		r->next = c->requests;
		c->requests = r;
		c->in_flight++;
		my.on_request(r);
		return;
	}
	rpc_clear(&r->rpc);
	free(r);
}

/* Half a line, or nothing: how long the client has for the next byte. */
static void
watch(struct client *c, size_t pending)
{
	if (pending == 0) {
		c->partial = false;
		if (c->in_flight > 0)
			(void)event_del(c->deadline);
		else
			set_deadline(c, c->trusted ? IDLE_S : AUTH_S);
	} else if (!c->partial && may_ask(c)) {
		c->partial = true;
		set_deadline(c, c->trusted ? PARTIAL_S : AUTH_S);
	}
}

static void
read_lines(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct rpc_error e;
	size_t len;
	char *line;

	while (may_ask(c) &&
	    (line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF)) != NULL) {
		c->partial = false;
		take_request(c, line, len);
		explicit_bzero(line, len); /* some lines hold a secret */
		free(line);
	}
	if (!c->closing && may_ask(c) &&
	    evbuffer_get_length(in) > RPC_LINE_MAX) {
		rpc_fail(&e, RPC_INVALID_REQUEST, false,
		    "a request has at most %d bytes", RPC_LINE_MAX);
		say_no(c, NULL, &e);
		c->closing = true;
	}
	if (c->closing) {
		client_close(c);
		return;
	}
	if (may_ask(c))
		bufferevent_enable(c->bev, EV_READ);
	else
		bufferevent_disable(c->bev, EV_READ);
	watch(c, evbuffer_get_length(in));
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	read_lines(arg);
}

/* All is sent; or was, before what has been written since. */
static void
on_written(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	if (!c->closing)
		read_lines(c);
	else if (c->in_flight == 0 &&
	    evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		client_free(c);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *c = arg;

	(void)bev;
	/*
	 * At the end of what it says it may still wait for answers; if it is
	 * gone altogether, writing them will tell.
	 */
	if ((what & BEV_EVENT_EOF) != 0)
		client_close(c);
	else
		client_free(c);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	client_free(arg);
}

static void
forget(struct request *r)
{
	struct client *c = r->client;
	struct request **at;

	if (c != NULL) {
		for (at = &c->requests; *at != r; at = &(*at)->next)
			;
		*at = r->next;
		c->in_flight--;
	}
	rpc_clear(&r->rpc);
	free(r);
}

/* An answer may be given while the client's lines are being read, or later,
 * when it can make room for the next line: then it is looked at again. */
static void
look_again(struct client *c)
{
	if (c != NULL)
		bufferevent_trigger(c->bev, EV_READ,
		    BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void
client_answer(struct request *r, json_t *result)
{
	struct client *c = r->client;

	if (c != NULL)
		put_line(c, rpc_result(r->rpc.id, result));
	else
		json_decref(result);
	forget(r);
	look_again(c);
}

void
client_refuse(struct request *r, const struct rpc_error *e)
{
	struct client *c = r->client;

	if (c != NULL)
		say_no(c, r->rpc.id, e);
	forget(r);
	look_again(c);
}

int
client_hand_over(struct request *r, json_t *result)
{
	struct client *c = r->client;
	struct rpc_error e;
	char *line = NULL;
	int fd = -1;

	if (c != NULL &&
	    (c->closing || c->in_flight != 1 ||
		evbuffer_get_length(bufferevent_get_input(c->bev)) > 0 ||
		evbuffer_get_length(bufferevent_get_output(c->bev)) > 0)) {
		json_decref(result);
		rpc_fail(&e, RPC_INVALID_REQUEST, false,
		    "this method takes the connection: ask nothing else on "
		    "it, and wait for the answer");
		client_refuse(r, &e);
		return -1;
	}
	line = rpc_result(r->rpc.id, result);
	if (c != NULL && line != NULL)
		fd = fcntl(bufferevent_getfd(c->bev), F_DUPFD_CLOEXEC, 0);
	forget(r);
	if (c != NULL) {
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
		client_free(c);
	}
	if (fd != -1 &&
	    send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) !=
		(ssize_t)strlen(line)) {
		close(fd);
		fd = -1;
	}
	free(line);
	return fd;
}

static bool
hex_bytes(const char *hex, uint8_t out[32])
{
	static const char digits[] = "0123456789abcdef";
	const char *hi, *lo;
	size_t i;

	if (strlen(hex) != 64)
		return false;
	for (i = 0; i < 32; i++) {
		hi = strchr(digits, hex[2 * i]);
		lo = strchr(digits, hex[2 * i + 1]);
		if (hi == NULL || lo == NULL)
			return false;
		out[i] = (uint8_t)((hi - digits) << 4 | (lo - digits));
	}
	return true;
}

bool
client_authenticate(struct client *c, const char *cookie_hex)
{
	uint8_t shown[32] = { 0 };
	bool right = !my.policy.need_cookie;

	if (!right)
		right = hex_bytes(cookie_hex, shown) &&
		    CRYPTO_memcmp(shown, my.policy.cookie, 32) == 0;
	explicit_bzero(shown, sizeof(shown));
	if (right && c != NULL)
		c->trusted = true;
	else if (!right && c != NULL) {
		my.on_denied(c->uid, "wrong cookie");
		c->closing = true;
	}
	return right;
}

/*
 * Root, the node's user, the operators. Where a normal user's node gave us a
 * user namespace, all others look the same in it, root among them: the cookie,
 * which only root can read besides the owner, tells them apart.
 */
static bool
is_let_in(int fd, uint32_t *uid)
{
	struct ucred who;
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(who);
	size_t i;

	*uid = UINT32_MAX;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == -1)
		return false;
	*uid = who.uid;
	if (who.uid == 0 || who.uid == my.policy.uid ||
	    (who.uid == OVERFLOW_UID && my.policy.need_cookie))
		return true;
	if (my.policy.gid == UINT32_MAX)
		return false;
	if (who.gid == my.policy.gid)
		return true;
	len = sizeof(groups);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == my.policy.gid)
			return true;
	return false;
}

/* One line to somebody who is not let in, as far as his socket takes it. */
static void
turn_away(int fd, const struct rpc_error *e)
{
	char *line = rpc_error(NULL, e);

	counter_add(COUNTER_API_REFUSED, 1);
	if (line != NULL)
		(void)send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);
	free(line);
	close(fd);
}

static struct client *
client_new(int fd, uint32_t uid)
{
	static const struct timeval unread = { .tv_sec = UNREAD_S };
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->uid = uid;
	c->trusted = !my.policy.need_cookie;
	c->bev = bufferevent_socket_new(my.base, fd,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (c->bev != NULL)
		c->deadline = event_new(my.base, -1, 0, on_deadline, c);
	if (c->deadline == NULL) {
		if (c->bev != NULL)
			bufferevent_free(c->bev);
		free(c);
		return NULL;
	}
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	/* One byte more than a line with its newline shows that it is long. */
	bufferevent_setwatermark(c->bev, EV_READ, 0, RPC_LINE_MAX + 2);
	(void)bufferevent_set_timeouts(c->bev, NULL, &unread);
	return c;
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
    int salen, void *arg)
{
	struct rpc_error e;
	struct client *c;
	uint32_t uid;

	(void)l;
	(void)sa;
	(void)salen;
	(void)arg;
	if (!is_let_in(fd, &uid)) {
		rpc_fail(&e, RPC_POLICY, false,
		    "only root, the node's user and members of the group in "
		    "control.group may use this socket");
		turn_away(fd, &e);
		my.on_denied(uid, "neither owner nor operator");
		return;
	}
	if (my.count >= my.policy.max_clients || my.count >= CLIENTS_HARD_MAX) {
		rpc_fail(&e, RPC_UNAVAILABLE, true,
		    "too many connections (control.max_clients is %u): close "
		    "one, or try again",
		    my.policy.max_clients);
		turn_away(fd, &e);
		return;
	}
	c = client_new(fd, uid);
	if (c == NULL) {
		close(fd);
		return;
	}
	LIST_INSERT_HEAD(&my.clients, c, entry);
	my.count++;
	counter_set(COUNTER_API_CLIENTS, my.count);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	watch(c, 0);
}

/* Out of descriptors, most likely: trying again at once would only spin. */
static void
on_accept_error(struct evconnlistener *l, void *arg)
{
	static const struct timeval second = { .tv_sec = 1 };

	(void)arg;
	log_warn("no connection can be accepted");
	evconnlistener_disable(l);
	(void)event_add(my.pause, &second);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (my.idle == NULL)
		evconnlistener_enable(my.listener);
}

void
client_setup(struct event_base *base, int listener,
    void (*on_request)(struct request *),
    void (*on_denied)(uint32_t, const char *))
{
	my.base = base;
	my.on_request = on_request;
	my.on_denied = on_denied;
	LIST_INIT(&my.clients);
	if (evutil_make_socket_nonblocking(listener) == -1)
		fatalx("descriptor %d is no socket", listener);
	my.pause = event_new(base, -1, 0, on_pause_over, NULL);
	my.last_call = event_new(base, -1, 0, on_last_call, NULL);
	my.listener = evconnlistener_new(base, on_accept, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0,
	    listener);
	if (my.listener == NULL || my.pause == NULL || my.last_call == NULL)
		fatalx("libevent has no listener for us");
	evconnlistener_set_error_cb(my.listener, on_accept_error);
}

void
client_set_policy(const struct client_policy *policy)
{
	my.policy = *policy;
}

void
client_accept(void)
{
	if (evconnlistener_enable(my.listener) == -1)
		fatalx("the control socket cannot be watched");
}

static void
on_last_call(evutil_socket_t fd, short what, void *arg)
{
	struct client *c, *next;

	(void)fd;
	(void)what;
	(void)arg;
	my.draining = true;
	for (c = LIST_FIRST(&my.clients); c != NULL; c = next) {
		next = LIST_NEXT(c, entry);
		client_close(c);
	}
}

void
client_drain(void (*idle)(void))
{
	const struct timeval tv = { .tv_usec = LAST_CALL_MS * 1000 };

	my.idle = idle;
	evconnlistener_disable(my.listener);
	drained();
	(void)event_add(my.last_call, &tv);
}
