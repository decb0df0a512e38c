/* SPDX-License-Identifier: ISC */
/*
 * metricd.c - serves the counter pages.
 *
 * It holds the metrics sockets, which clawd bound, and a read-only mapping of
 * each process's page, which clawd hands over. From then on it needs nobody:
 * pages keep their values when their processes die, so it answers while the
 * others are stopped, dead or being replaced. It speaks to no sibling. Taken
 * over, it could lie about numbers.
 *
 * GET /metrics is all there is. A client that is slow, or says too much, is
 * cut off; when descriptors run short nobody is let in for a second.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"

#define REQUEST_TIMEOUT_S 10
#define HEADERS_MAX_BYTES 8192
#define BODY_MAX_BYTES 1024
#define LINGER_MS 200
/* limits.def gives 256 descriptors. A page that clawd sends needs a free one,
 * so clients get no more than this number. */
#define DESCRIPTORS_FULL 192

#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS_TYPE                                                       \
	"application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Every method that evhttp knows: it would say 501 to those left out. */
#define ALL_METHODS                                                            \
	(EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | \
	    EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |        \
	    EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH)

static struct counters_page *pages[PROC_MAX];
static struct evconnlistener *listeners[2];
static struct event *pause_over;
static bool draining;

static void
send_text(struct evhttp_request *req, int code, const char *reason,
    const char *type, const void *text, size_t len)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *body = evbuffer_new();

	/* evhttp would send the body to who asked for the head alone. */
	if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD)
		len = 0;
	if (body == NULL || evbuffer_add(body, text, len) == -1 ||
	    evhttp_add_header(headers, "Content-Type", type) == -1) {
		code = HTTP_SERVUNAVAIL;
		reason = "Out Of Memory";
	}
	evhttp_send_reply(req, code, reason, body);
	if (body != NULL)
		evbuffer_free(body);
}

static void
send_plain(struct evhttp_request *req, int code, const char *reason,
    const char *text)
{
	send_text(req, code, reason, TEXT_TYPE, text, strlen(text));
}

/* Only who asks for OpenMetrics by name gets it: the older form is what
 * everybody reads. */
static bool
wants_openmetrics(struct evhttp_request *req)
{
	const char *accept =
	    evhttp_find_header(evhttp_request_get_input_headers(req), "Accept");

	return accept != NULL &&
	    strstr(accept, "application/openmetrics-text") != NULL;
}

static void
send_metrics(struct evhttp_request *req)
{
	bool openmetrics = wants_openmetrics(req);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	counter_add(COUNTER_SCRAPES, 1);
	if (out != NULL) {
		counters_print(out, pages, openmetrics);
		if (fclose(out) == 0) {
			send_text(req, HTTP_OK, "OK",
			    openmetrics ? OPENMETRICS_TYPE : TEXT_TYPE, text,
			    len);
			free(text);
			return;
		}
	}
	free(text);
	send_plain(req, HTTP_SERVUNAVAIL, "Out Of Memory",
	    "out of memory: try again\n");
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;

	(void)arg;
	if (path == NULL ||
	    (strcmp(path, "/metrics") != 0 && strcmp(path, "/") != 0)) {
		send_plain(req, HTTP_NOTFOUND, "Not Found",
		    "there is only /metrics\n");
		return;
	}
	if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		(void)evhttp_add_header(evhttp_request_get_output_headers(req),
		    "Allow", "GET, HEAD");
		send_plain(req, HTTP_BADMETHOD, "Method Not Allowed",
		    "only GET and HEAD\n");
		return;
	}
	if (strcmp(path, "/metrics") == 0)
		send_metrics(req);
	else
		send_plain(req, HTTP_OK, "OK",
		    "claw " CLAW_VERSION ": the metrics are at /metrics\n");
}

/* Nobody is let in for a second. */
static void
pause_listeners(void)
{
	static const struct timeval second = { .tv_sec = 1 };
	size_t i;

	for (i = 0; i < 2; i++)
		if (listeners[i] != NULL)
			evconnlistener_disable(listeners[i]);
	(void)event_add(pause_over, &second);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	size_t i;

	(void)fd;
	(void)what;
	(void)arg;
	for (i = 0; i < 2 && !draining; i++)
		if (listeners[i] != NULL)
			evconnlistener_enable(listeners[i]);
}

static void
on_accept_error(struct evconnlistener *l, void *arg)
{
	(void)l;
	(void)arg;
	log_warn("no connection can be accepted");
	pause_listeners();
}

/*
 * Called for each connection. evhttp does not count them, the kernel does: it
 * gives out the lowest free descriptor.
 */
static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	int lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	(void)arg;
	if (lowest != -1)
		close(lowest);
	if (lowest == -1 || lowest >= DESCRIPTORS_FULL) {
		log_warnx("too many connections");
		pause_listeners();
	}
	return bufferevent_socket_new(base, -1, 0);
}

static void
serve(struct evhttp *http, int fd, struct evconnlistener **listener)
{
	struct evhttp_bound_socket *bound;

	if (evutil_make_socket_nonblocking(fd) == -1 ||
	    (bound = evhttp_accept_socket_with_handle(http, fd)) == NULL)
		fatalx("descriptor %d is no listening socket", fd);
	*listener = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(*listener, on_accept_error);
	/* Until START. */
	evconnlistener_disable(*listener);
}

static void
prepare(void)
{
	struct evhttp *http = evhttp_new(child_base());

	pause_over = event_new(child_base(), -1, 0, on_pause_over, NULL);
	if (http == NULL || pause_over == NULL)
		fatalx("libevent has no HTTP server for us");
	/* evhttp dates its answers; the C library wants its zone's file. */
	tzset();
	evhttp_set_timeout(http, REQUEST_TIMEOUT_S);
	evhttp_set_max_headers_size(http, HEADERS_MAX_BYTES);
	evhttp_set_max_body_size(http, BODY_MAX_BYTES);
	evhttp_set_allowed_methods(http, ALL_METHODS);
	evhttp_set_default_content_type(http, NULL);
	evhttp_set_gencb(http, on_request, NULL);
	evhttp_set_bevcb(http, on_connection, NULL);
	serve(http, DESC_METRICS_SOCKET, &listeners[0]);
	if (fcntl(DESC_METRICS_TCP, F_GETFD) != -1)
		serve(http, DESC_METRICS_TCP, &listeners[1]);
}

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_METRICD config;

	return msg_get_CONFIG_METRICD(&m->body, &config) ?
	    NULL :
	    "malformed configuration";
}

static void
start(void)
{
	on_pause_over(-1, 0, NULL);
	child_ready();
}

static void
on_linger_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	child_drained();
}

/* Who has just connected still gets an answer; evhttp does not tell when the
 * last one has it. */
static void
drain(uint32_t timeout_ms)
{
	const struct timeval linger = { .tv_usec = LINGER_MS * 1000 };

	(void)timeout_ms;
	draining = true;
	pause_listeners();
	if (event_base_once(child_base(), -1, EV_TIMEOUT, on_linger_over, NULL,
		&linger) == -1)
		child_drained();
}

static void
on_counter_page(struct chan *c, struct msg *m)
{
	struct msg_COUNTER_PAGE where;
	struct counters_page *page;

	(void)c;
	if (!msg_get_COUNTER_PAGE(&m->body, &where) || where.proc >= PROC_MAX)
		fatalx("clawd sends the page of a process that is none");
	page = counters_map(m->fd);
	if (page == NULL) {
		log_warn("page of %s", proc_name((enum proc)where.proc));
		return;
	}
	counters_unmap(pages[where.proc]);
	pages[where.proc] = page;
}

static const struct chan_handlers from_clawd[] = {
	{ MSG_COUNTER_PAGE, on_counter_page },
	{ 0, NULL },
};

static const struct child metricd = {
	.self = PROC_METRICD,
	.from_parent = from_clawd,
	.prepare = prepare,
	.config = MSG_CONFIG_METRICD,
	.stage = stage,
	.start = start,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	child_run(&metricd, argc, argv);
}
