/* SPDX-License-Identifier: ISC */
/*
 * proxy.c - a TCP proxy that breaks connections at the byte it is told.
 *
 *	proxy LISTEN-ADDRESS PORT TARGET-ADDRESS PORT
 *
 * For tests that have no network namespaces. Says "ready PORT" when it listens
 * (port 0: any). Then a command a line on standard input and an answer a line
 * (README.md); connections are numbered from 1 as they come, "up" is from who
 * connected to the target. At the end of input statistics are the last line.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 256
#define RULES 256
#define PIECE 65536
#define HELD_MAX (64U << 20) /* bytes on their way, per direction */

enum { UP, DOWN, WAYS };
static const char *const way_names[WAYS] = { "up", "down" };

enum action { RESET, CLOSE, SILENCE, HALF, FLIP, ACTIONS };
static const char *const action_names[ACTIONS] = { "reset", "close", "silence",
	"half", "flip" };

/* What is to happen when byte number at of a way is next. */
struct rule {
	unsigned int connection; /* 0: each */
	int way;
	enum action action;
	uint64_t at;
	uint8_t mask;
};

struct piece {
	struct piece *next;
	int64_t due;
	size_t len, sent;
	uint8_t data[];
};

struct way {
	struct piece *first, **last;
	size_t held;
	uint64_t taken, passed, swallowed;
	int64_t next_drip;
	bool ended;	  /* the sender has */
	bool told;	  /* and the receiver knows */
	bool swallows;	  /* half-open from here on */
	bool stops;	  /* nothing more is read: a cut is due */
	enum action then; /* when all before has gone out */
};

struct connection {
	unsigned int number;
	int fd[WAYS]; /* where UP's bytes come from, where DOWN's do */
	bool open, silent, connecting;
	struct way way[WAYS];
	const char *end;
};

static struct connection conns[CONNECTIONS];
static struct rule rules[RULES];
static unsigned int n_conns, n_rules;
static struct sockaddr_storage target;
static socklen_t target_len;
static int listener;
static bool paused, refusing;
static int64_t delay_ns, drip_ns;
static size_t drip_bytes;

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
finish(struct connection *c, const char *how, bool reset)
{
	struct linger now = { 1, 0 };
	struct piece *p;
	int i;

	for (i = 0; i < WAYS; i++) {
		if (reset)
			setsockopt(c->fd[i], SOL_SOCKET, SO_LINGER, &now,
			    sizeof(now));
		close(c->fd[i]);
		c->fd[i] = -1;
		while ((p = c->way[i].first) != NULL) {
			c->way[i].first = p->next;
			free(p);
		}
		c->way[i].last = &c->way[i].first;
	}
	c->open = false;
	c->end = how;
}

static bool
concerns(const struct rule *r, const struct connection *c, int way)
{
	return r->way == way &&
	    (r->connection == 0 || r->connection == c->number);
}

/* The first rule at or behind the next byte, or NULL. */
static const struct rule *
next_rule(const struct connection *c, int way)
{
	const struct rule *found = NULL;
	unsigned int i;

	for (i = 0; i < n_rules; i++)
		if (rules[i].action != FLIP && concerns(&rules[i], c, way) &&
		    rules[i].at >= c->way[way].taken &&
		    (found == NULL || rules[i].at < found->at))
			found = &rules[i];
	return found;
}

static void
apply_rule(struct connection *c, struct way *w, enum action what)
{
	if (what == HALF) {
		w->swallows = true;
		c->end = "half";
	} else {
		w->stops = true;
		w->then = what;
	}
}

static void
flip(const struct connection *c, int way, uint64_t start, uint8_t *data,
    size_t len)
{
	unsigned int i;

	for (i = 0; i < n_rules; i++)
		if (rules[i].action == FLIP && concerns(&rules[i], c, way) &&
		    rules[i].at >= start && rules[i].at - start < len)
			data[rules[i].at - start] ^= rules[i].mask;
}

/* Read what has come on a way, as far as a rule lets. */
static void
take(struct connection *c, int way)
{
	struct way *w = &c->way[way];
	const struct rule *r = w->swallows ? NULL : next_rule(c, way);
	size_t want = PIECE;
	struct piece *p;
	ssize_t n;

	if (r != NULL && r->at == w->taken) {
		apply_rule(c, w, r->action);
		if (w->stops)
			return;
	} else if (r != NULL && r->at - w->taken < want)
		want = (size_t)(r->at - w->taken);
	if ((p = malloc(sizeof(*p) + want)) == NULL)
		err(1, "memory");
	n = recv(c->fd[way], p->data, want, MSG_DONTWAIT);
	if (n <= 0) {
		free(p);
		if (n == 0)
			w->ended = true;
		else if (errno != EAGAIN && errno != EINTR)
			finish(c, "lost", true);
		return;
	}
	if (w->swallows) {
		w->swallowed += (uint64_t)n;
		free(p);
		return;
	}
	flip(c, way, w->taken, p->data, (size_t)n);
	p->next = NULL;
	p->due = now_ns() + delay_ns;
	p->len = (size_t)n;
	p->sent = 0;
	*w->last = p;
	w->last = &p->next;
	w->held += p->len;
	w->taken += p->len;
	r = next_rule(c, way);
	if (r != NULL && r->at == w->taken)
		apply_rule(c, w, r->action);
}

/* Bytes that the receiver's kernel has yet to confirm. */
static int
unconfirmed(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQ, &n) == -1 ? 0 : n;
}

/* Nothing is left before the cut. */
static void
cut(struct connection *c, const struct way *w, int to)
{
	if (w->then == SILENCE) {
		c->silent = true;
		c->end = "silence";
	} else if (unconfirmed(to) == 0)
		finish(c, action_names[w->then], w->then == RESET);
}

/* Pass on what is due. */
static void
give(struct connection *c, int way)
{
	struct way *w = &c->way[way];
	int to = c->fd[way == UP ? DOWN : UP];
	int64_t now = now_ns();
	struct piece *p;
	size_t len;
	ssize_t n;

	while ((p = w->first) != NULL && p->due <= now) {
		if (drip_bytes > 0 && w->next_drip > now)
			return;
		len = p->len - p->sent;
		if (drip_bytes > 0 && len > drip_bytes)
			len = drip_bytes;
		n = send(to, p->data + p->sent, len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				finish(c, "lost", true);
			return;
		}
		w->next_drip = now + drip_ns;
		p->sent += (size_t)n;
		w->passed += (uint64_t)n;
		w->held -= (size_t)n;
		if (p->sent < p->len)
			continue;
		if ((w->first = p->next) == NULL)
			w->last = &w->first;
		free(p);
	}
	if (w->first != NULL)
		return;
	if (w->stops)
		cut(c, w, to);
	else if (w->ended && !w->told && !w->swallows) {
		shutdown(to, SHUT_WR);
		w->told = true;
	}
}

static void
work(struct connection *c)
{
	int i, error = 0;
	socklen_t len = sizeof(error);
	struct pollfd p = { c->fd[DOWN], POLLOUT, 0 };

	if (c->connecting) {
		if (poll(&p, 1, 0) != 1)
			return;
		getsockopt(c->fd[DOWN], SOL_SOCKET, SO_ERROR, &error, &len);
		c->connecting = false;
		if (error != 0) {
			finish(c, "unreachable", true);
			return;
		}
	}
	for (i = 0; i < WAYS && c->open && !c->silent; i++) {
		if (!c->way[i].ended && !c->way[i].stops &&
		    c->way[i].held < HELD_MAX)
			take(c, i);
		if (c->open)
			give(c, i);
	}
	if (c->open && c->way[UP].told && c->way[DOWN].told)
		finish(c, "closed", false);
}

static void
welcome(void)
{
	struct connection *c;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int one = 1, i;

	if (fd == -1)
		return;
	if (refusing || n_conns == CONNECTIONS) {
		close(fd);
		return;
	}
	c = &conns[n_conns++];
	c->number = n_conns;
	c->open = c->connecting = true;
	c->end = "open";
	c->fd[UP] = fd;
	c->fd[DOWN] = socket(target.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd[DOWN] == -1)
		err(1, "socket");
	for (i = 0; i < WAYS; i++) {
		c->way[i].last = &c->way[i].first;
		setsockopt(c->fd[i], IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
	}
	if (connect(c->fd[DOWN], (struct sockaddr *)&target, target_len) ==
		-1 &&
	    errno != EINPROGRESS)
		finish(c, "unreachable", true);
}

/* Commands. */

static void
statistics(void)
{
	unsigned int i;
	int w;

	printf("{\"connections\": [");
	for (i = 0; i < n_conns; i++) {
		printf("%s{\"end\": \"%s\"", i == 0 ? "" : ", ", conns[i].end);
		for (w = 0; w < WAYS; w++)
			printf(", \"%s\": {\"taken\": %" PRIu64
			       ", \"passed\": %" PRIu64
			       ", \"swallowed\": %" PRIu64 "}",
			    way_names[w], conns[i].way[w].taken,
			    conns[i].way[w].passed, conns[i].way[w].swallowed);
		putchar('}');
	}
	printf("]}\n");
}

static bool
integer(const char *text, uint64_t most, uint64_t *value)
{
	char *rest;

	errno = 0;
	*value = strtoull(text, &rest, 0);
	return rest != text && *rest == '\0' && errno == 0 && *value <= most;
}

/* ACTION CONNECTION|* up|down BYTE [MASK] */
static bool
new_rule(char **words, int n)
{
	struct rule r = { .mask = 1 };
	uint64_t v = 0;
	int a, w;

	if (n < 4 || n > 5 || n_rules == RULES)
		return false;
	for (a = 0; a < ACTIONS && strcmp(words[0], action_names[a]) != 0; a++)
		;
	for (w = 0; w < WAYS && strcmp(words[2], way_names[w]) != 0; w++)
		;
	if (a == ACTIONS || w == WAYS || (n == 5 && a != FLIP))
		return false;
	if (strcmp(words[1], "*") != 0 && !integer(words[1], UINT_MAX, &v))
		return false;
	r.connection = (unsigned int)v;
	r.way = w;
	r.action = (enum action)a;
	if (!integer(words[3], UINT64_MAX, &r.at))
		return false;
	if (n == 5) {
		if (!integer(words[4], 255, &v))
			return false;
		r.mask = (uint8_t)v;
	}
	rules[n_rules++] = r;
	return true;
}

static bool
obey(char **words, int n)
{
	uint64_t ms, bytes;

	if (n == 1 && strcmp(words[0], "pause") == 0)
		paused = true;
	else if (n == 1 && strcmp(words[0], "resume") == 0)
		paused = false;
	else if (n == 1 && strcmp(words[0], "refuse") == 0)
		refusing = true;
	else if (n == 1 && strcmp(words[0], "accept") == 0)
		refusing = false;
	else if (n == 1 && strcmp(words[0], "clear") == 0)
		n_rules = 0;
	else if (n == 2 && strcmp(words[0], "delay") == 0 &&
	    integer(words[1], 1000000, &ms))
		delay_ns = (int64_t)ms * 1000000;
	else if (n == 3 && strcmp(words[0], "drip") == 0 &&
	    integer(words[1], PIECE, &bytes) &&
	    integer(words[2], 1000000, &ms)) {
		drip_bytes = (size_t)bytes;
		drip_ns = (int64_t)ms * 1000000;
	} else
		return n > 0 && new_rule(words, n);
	return true;
}

static void
command(char *line)
{
	char *words[6], *save = NULL, *w = strtok_r(line, " \t\n", &save);
	int n = 0;

	for (; w != NULL && n < 6; w = strtok_r(NULL, " \t\n", &save))
		words[n++] = w;
	if (n == 1 && strcmp(words[0], "stats") == 0)
		statistics();
	else
		puts(obey(words, n) ? "ok" : "error: not understood");
}

/* Lines that have come so far; false at the end of input. */
static bool
commands(void)
{
	static char line[512];
	static size_t len;
	ssize_t n = read(0, line + len, sizeof(line) - 1 - len);
	char *end;

	if (n <= 0)
		return n == -1 && errno == EINTR;
	len += (size_t)n;
	line[len] = '\0';
	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		command(line);
		len -= (size_t)(end + 1 - line);
		memmove(line, end + 1, len + 1);
	}
	if (len == sizeof(line) - 1)
		errx(65, "a command is too long");
	return true;
}

/* When there is something to do but what descriptors say. */
static int
patience_ms(const struct connection *c, int64_t now)
{
	int ms = 1000, i;
	int64_t due;

	for (i = 0; i < WAYS; i++) {
		const struct way *w = &c->way[i];

		if (w->first == NULL) {
			if (w->stops)
				return 1;
			continue;
		}
		due = w->first->due;
		if (drip_bytes > 0 && w->next_drip > due)
			due = w->next_drip;
		if (due > now && (due - now) / 1000000 < ms)
			ms = (int)((due - now) / 1000000) + 1;
	}
	return ms;
}

static int
watch(const struct connection *c, struct pollfd *fds)
{
	int64_t now = now_ns();
	int i, n = 0;

	for (i = 0; i < WAYS; i++) {
		const struct way *w = &c->way[i];
		const struct way *back = &c->way[i == UP ? DOWN : UP];
		short events = 0;

		if (!w->ended && !w->stops && w->held < HELD_MAX &&
		    !c->connecting)
			events |= POLLIN;
		if ((back->first != NULL && back->first->due <= now &&
			(drip_bytes == 0 || back->next_drip <= now)) ||
		    (c->connecting && i == DOWN))
			events |= POLLOUT;
		if (events != 0)
			fds[n++] = (struct pollfd){ c->fd[i], events, 0 };
	}
	return n;
}

static void
serve(void)
{
	static struct pollfd fds[2 + CONNECTIONS * WAYS];
	unsigned int i;
	int n, wait, ms;

	for (;;) {
		fds[0] = (struct pollfd){ 0, POLLIN, 0 };
		fds[1] = (struct pollfd){ listener, POLLIN, 0 };
		n = 2;
		wait = 1000;
		for (i = 0; i < n_conns && !paused; i++) {
			if (!conns[i].open || conns[i].silent)
				continue;
			n += watch(&conns[i], fds + n);
			ms = patience_ms(&conns[i], now_ns());
			if (ms < wait)
				wait = ms;
		}
		if (poll(fds, (nfds_t)n, wait) == -1 && errno != EINTR)
			err(1, "poll");
		if (fds[0].revents && !commands())
			return;
		if (fds[1].revents)
			welcome();
		for (i = 0; i < n_conns && !paused; i++)
			if (conns[i].open && !conns[i].silent)
				work(&conns[i]);
	}
}

static void
look_up(const char *host, const char *port, struct sockaddr_storage *to,
    socklen_t *len)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int r = getaddrinfo(host, port, &hints, &found);

	if (r != 0)
		errx(64, "%s %s: %s", host, port, gai_strerror(r));
	memcpy(to, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
}

int
main(int argc, char **argv)
{
	struct sockaddr_storage here;
	char port[NI_MAXSERV];
	socklen_t len;
	int one = 1;

	if (argc != 5)
		errx(64, "see the comment in proxy.c");
	signal(SIGPIPE, SIG_IGN);
	look_up(argv[1], argv[2], &here, &len);
	look_up(argv[3], argv[4], &target, &target_len);
	listener = socket(here.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listener == -1 ||
	    bind(listener, (struct sockaddr *)&here, len) == -1 ||
	    listen(listener, 64) == -1 ||
	    getsockname(listener, (struct sockaddr *)&here, &len) == -1 ||
	    getnameinfo((struct sockaddr *)&here, len, NULL, 0, port,
		sizeof(port), NI_NUMERICSERV) != 0)
		err(1, "%s %s", argv[1], argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready %s\n", port);
	serve();
	statistics();
	return 0;
}
