/* SPDX-License-Identifier: ISC */
/*
 * api.c - claw's side of the control socket (claw-api(7)).
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "claw/api.h"
#include "claw/out.h"

#define ANSWER_MAX (1u << 20) /* bytes of a line */
#define AUTH_TIMEOUT_MS 5000
#define COOKIE_HEX 64

static bool fail(struct api_error *, int, const char *, bool, const char *, ...)
    __attribute__((format(printf, 5, 6)));

static bool
fail(struct api_error *e, int status, const char *name, bool retryable,
    const char *fmt, ...)
{
	va_list ap;

	e->status = status;
	e->retryable = retryable;
	snprintf(e->name, sizeof(e->name), "%s", name);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return false;
}

int
api_conf(const struct cmd *c, struct conf *conf)
{
	struct conf_errors errors;
	char *text = NULL;
	size_t len = 0;
	FILE *f;
	int r;

	if (access(c->file, F_OK) == -1 && errno == ENOENT)
		return out_error(c, stderr, EX_CONFIG, "ConfigError",
		    "there is no %s: make a node with claw init, or name its "
		    "configuration with -f FILE",
		    c->file);
	conf_errors_init(&errors);
	r = conf_load_client(conf, &errors, c->file, c->envp);
	f = r != 0 && c->json ? open_memstream(&text, &len) : NULL;
	if (r != 0)
		conf_errors_print(&errors, f != NULL ? f : stderr);
	if (f != NULL && fclose(f) == 0)
		(void)out_error(c, stderr, EX_CONFIG, "ConfigError", "%s",
		    text);
	free(text);
	conf_errors_free(&errors);
	return r == 0 ? EX_OK : EX_CONFIG;
}

/* False, and silent, where there is none that this user may read. */
static bool
read_cookie(const struct conf *conf, char hex[COOKIE_HEX + 1])
{
	char path[CONF_TEXT_MAX + 8];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/cookie", conf->node_run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return false;
	n = read(fd, hex, COOKIE_HEX);
	close(fd);
	hex[n > 0 ? n : 0] = '\0';
	return n == COOKIE_HEX;
}

static bool
fail_connect(struct api_error *e, const struct conf *conf, const char *path)
{
	if (errno == ENOENT || errno == ECONNREFUSED)
		return fail(e, EX_UNAVAILABLE, "UnavailableError", true,
		    "%s is not running: start it with clawd -f %s%s",
		    conf->node_name, conf->file,
		    strncmp(conf->file, CLAW_SYSCONFDIR, 4) == 0 &&
			    geteuid() == 0 ?
			", or systemctl start clawd" :
			"");
	if (errno == EACCES || errno == EPERM)
		return fail(e, EX_NOPERM, "PolicyError", false,
		    "%s: %s; operators are members of the group %s", path,
		    strerror(errno), conf->control_group);
	return fail(e, EX_UNAVAILABLE, "UnavailableError", true, "%s: %s", path,
	    strerror(errno));
}

bool
api_open(struct api *api, const struct conf *conf, struct api_error *e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char hex[COOKIE_HEX + 1];
	json_t *r;
	int n;

	memset(api, 0, sizeof(*api));
	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/claw.sock",
	    conf->node_run_dir);
	api->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (api->fd == -1 || n >= (int)sizeof(sun.sun_path) ||
	    connect(api->fd, (const struct sockaddr *)&sun, sizeof(sun)) ==
		-1) {
		(void)fail_connect(e, conf, sun.sun_path);
		api_close(api);
		return false;
	}
	if (!read_cookie(conf, hex))
		return true;
	r = api_call(api, "auth", json_pack("{s:s}", "cookie", hex),
	    AUTH_TIMEOUT_MS, e);
	explicit_bzero(hex, sizeof(hex));
	if (r == NULL)
		api_close(api);
	json_decref(r);
	return r != NULL;
}

void
api_close(struct api *api)
{
	if (api->fd != -1)
		close(api->fd);
	free(api->buf);
	api->fd = -1;
	api->buf = NULL;
}

static bool
send_all(struct api *api, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(api->fd, p, len, MSG_NOSIGNAL);
		if (n == -1 && errno != EINTR)
			return false;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static int
left_ms(const struct timespec *end)
{
	struct timespec now;
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = ((int64_t)end->tv_sec - now.tv_sec) * 1000 +
	    (end->tv_nsec - now.tv_nsec) / 1000000;
	return ms > 0 ? (int)ms : 0;
}

/* One more piece from the socket: 1, 0 at its end or -1 with errno. */
static int
read_more(struct api *api, const struct timespec *end)
{
	struct pollfd pfd = { .fd = api->fd, .events = POLLIN };
	char *bigger;
	ssize_t n;
	int r;

	if (api->len >= ANSWER_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	r = poll(&pfd, 1, left_ms(end));
	if (r <= 0) {
		errno = r == 0 ? ETIMEDOUT : errno;
		return r == -1 && errno == EINTR ? 1 : -1;
	}
	bigger = realloc(api->buf, api->len + 65536);
	if (bigger == NULL)
		return -1;
	api->buf = bigger;
	n = recv(api->fd, api->buf + api->len, 65536, 0);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? 0 : -1;
	api->len += (size_t)n;
	return 1;
}

/* The next line as JSON, taken off the buffer; NULL with *e filled. */
static json_t *
read_answer(struct api *api, int timeout_ms, struct api_error *e)
{
	struct timespec end;
	char *newline;
	json_t *answer;
	size_t used;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	while (api->len == 0 ||
	    (newline = memchr(api->buf, '\n', api->len)) == NULL) {
		r = read_more(api, &end);
		if (r == 1)
			continue;
		if (r == 0)
			(void)fail(e, EX_UNAVAILABLE, "UnavailableError", true,
			    "the connection ended before the answer came: "
			    "controld was replaced; try again");
		else
			(void)fail(e, EX_TEMPFAIL, "UnavailableError", true,
			    "clawd is there but no answer comes (%s): its "
			    "processes may be starting again; clawd's log "
			    "says why",
			    strerror(errno));
		return NULL;
	}
	used = (size_t)(newline - api->buf) + 1;
	answer = json_loadb(api->buf, used, 0, NULL);
	memmove(api->buf, newline + 1, api->len - used);
	api->len -= used;
	if (!json_is_object(answer)) {
		(void)fail(e, EX_PROTOCOL, "InvalidError", false,
		    "what answers on the control socket does not speak "
		    "claw-api(7)");
		json_decref(answer);
		return NULL;
	}
	return answer;
}

static void
take_error(const json_t *error, struct api_error *e)
{
	static const struct {
		const char *name;
		int status;
	} statuses[] = {
		{ "PolicyError", EX_NOPERM },
		{ "UnavailableError", EX_TEMPFAIL },
		{ "ConfigError", EX_CONFIG },
		{ "InvalidError", EX_DATAERR },
		{ "RegistryError", EX_DATAERR },
	};
	const char *name, *text;
	const json_t *data = json_object_get(error, "data");
	size_t i;

	name = json_string_value(json_object_get(data, "name"));
	text = json_string_value(json_object_get(error, "message"));
	(void)fail(e, EXIT_NEGATIVE, name != NULL ? name : "FailedError",
	    json_is_true(json_object_get(data, "retryable")), "%s",
	    text != NULL ? text : "an error without a message");
	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (strcmp(e->name, statuses[i].name) == 0)
			e->status = statuses[i].status;
}

json_t *
api_call(struct api *api, const char *method, json_t *params, int timeout_ms,
    struct api_error *e)
{
	json_t *request, *answer, *result = NULL;
	char *line;
	bool sent;

	request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id",
	    (int)++api->next_id, "method", method, "params",
	    params != NULL ? params : json_object());
	line = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (line == NULL) {
		(void)fail(e, EX_DATAERR, "InvalidError", false,
		    "%s: what was given is not UTF-8", method);
		return NULL;
	}
	/* Who is turned away is told so before the end: look in any case. */
	sent = send_all(api, line, strlen(line)) && send_all(api, "\n", 1);
	explicit_bzero(line, strlen(line));
	free(line);
	(void)sent;
	answer = read_answer(api, timeout_ms, e);
	if (answer == NULL)
		return NULL;
	result = json_incref(json_object_get(answer, "result"));
	if (result == NULL)
		take_error(json_object_get(answer, "error"), e);
	json_decref(answer);
	return result;
}

json_t *
api_next(struct api *api, int timeout_ms, struct api_error *e)
{
	return read_answer(api, timeout_ms, e);
}

json_t *
api_ask(const struct conf *conf, const char *method, json_t *params,
    int timeout_ms, struct api_error *e)
{
	struct api api;
	json_t *result;

	if (!api_open(&api, conf, e)) {
		json_decref(params);
		return NULL;
	}
	result = api_call(&api, method, params, timeout_ms, e);
	api_close(&api);
	return result;
}

int
api_report(const struct cmd *c, const struct api_error *e)
{
	return out_error_retry(c, stderr, e->status, e->name, e->retryable,
	    e->text);
}
