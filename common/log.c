/* SPDX-License-Identifier: ISC */
/*
 * log.c - one line a message to descriptor 2, in key=value form.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define LINE_MAX_LEN 2048 /* of a whole line */
#define TAIL_MAX_LEN 168  /* of it kept for what follows the message */

static const char *log_name = "claw";
static bool log_priority;
static enum log_level log_level_max = LOG_LEVEL_INFO;
static unsigned long log_dropped;

static const struct {
	const char *word;
	int syslog;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARN] = { "warn", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

void
log_init(const char *name, bool priority)
{
	log_name = name;
	log_priority = priority;
}

void
log_set_level(enum log_level level)
{
	log_level_max = level;
}

/* Appends s, with quotes and control characters made visible. */
static size_t
put_quoted(char *line, size_t len, const char *s)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char c;

	for (; (c = (unsigned char)*s) != '\0' &&
	     len < LINE_MAX_LEN - TAIL_MAX_LEN;
	     s++) {
		if (c == '"' || c == '\\') {
			line[len++] = '\\';
			line[len++] = (char)c;
		} else if (c < 0x20 || c == 0x7f) {
			line[len++] = '\\';
			line[len++] = 'x';
			line[len++] = hex[c >> 4];
			line[len++] = hex[c & 15];
		} else
			line[len++] = (char)c;
	}
	return len;
}

static size_t
put_head(char *line, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	int n;

	if (log_priority)
		n = snprintf(line, LINE_MAX_LEN, "<%d>", levels[level].syslog);
	else {
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		n = (int)strftime(line, LINE_MAX_LEN, "time=%Y-%m-%dT%H:%M:%S",
		    &tm);
		n += snprintf(line + n, LINE_MAX_LEN - (size_t)n, ".%03ldZ ",
		    now.tv_nsec / 1000000);
	}
	n += snprintf(line + n, LINE_MAX_LEN - (size_t)n,
	    "level=%s proc=%s pid=%d msg=\"", levels[level].word, log_name,
	    (int)getpid());
	return (size_t)n;
}

/* What comes behind the message; its room was kept by put_quoted(). */
static size_t
put_tail(char *line, size_t len, int err)
{
	char tail[160];
	size_t n = 1;

	tail[0] = '"';
	if (err != 0)
		n += (size_t)snprintf(tail + n, 80, " errno=%d error=\"%.48s\"",
		    err, strerror(err));
	if (log_dropped > 0)
		n +=
		    (size_t)snprintf(tail + n, 40, " dropped=%lu", log_dropped);
	log_dropped = 0;
	tail[n++] = '\n';
	memcpy(line + len, tail, n);
	return len + n;
}

static void
put_line(const char *line, size_t len)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&pfd, 1, 0) != 1 || (pfd.revents & POLLOUT) == 0 ||
	    write(STDERR_FILENO, line, len) == -1)
		log_dropped++;
}

__attribute__((format(printf, 3, 0))) static void
log_line(enum log_level level, int err, const char *fmt, va_list ap)
{
	char text[1024], line[LINE_MAX_LEN];
	int saved = errno;
	size_t len;

	if (level > log_level_max)
		return;
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	len = put_head(line, level);
	len = put_quoted(line, len, text);
	len = put_tail(line, len, err);
	put_line(line, len);
	errno = saved;
}

#define LOG(level, err)                                                        \
	do {                                                                   \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, fmt);                                             \
		log_line((level), (err), fmt, ap);                             \
		va_end(ap);                                                    \
	} while (0)

void
log_warn(const char *fmt, ...)
{
	LOG(LOG_LEVEL_WARN, errno);
}

void
log_warnx(const char *fmt, ...)
{
	LOG(LOG_LEVEL_WARN, 0);
}

void
log_errorx(const char *fmt, ...)
{
	LOG(LOG_LEVEL_ERROR, 0);
}

void
log_info(const char *fmt, ...)
{
	LOG(LOG_LEVEL_INFO, 0);
}

void
log_debug(const char *fmt, ...)
{
	LOG(LOG_LEVEL_DEBUG, 0);
}

void
fatal(const char *fmt, ...)
{
	LOG(LOG_LEVEL_ERROR, errno);
	_exit(70);
}

void
fatalx(const char *fmt, ...)
{
	LOG(LOG_LEVEL_ERROR, 0);
	_exit(70);
}
