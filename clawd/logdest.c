/* SPDX-License-Identifier: ISC */
/*
 * logdest.c - where descriptor 2 of every process leads.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "clawd/logdest.h"
#include "common/log.h"

static int pipe_fd = -1;
static char line[4096];
static size_t line_len;

/* systemd says "device:inode" of the journal's stream. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long dev, ino;
	struct stat st;

	return stream != NULL && sscanf(stream, "%lu:%lu", &dev, &ino) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
	    st.st_ino == ino;
}

/* One line of a process: "<N>" and text; what else it holds is cleaned. */
static void
pass_on(char *text, size_t len)
{
	int priority = LOG_INFO;
	size_t i;

	text[len] = '\0';
	if (len > 3 && text[0] == '<' && text[1] >= '0' && text[1] <= '7' &&
	    text[2] == '>') {
		priority = text[1] - '0';
		text += 3;
		len -= 3;
	}
	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	syslog(priority, "%s", text);
}

static void
on_lines(evutil_socket_t fd, short what, void *arg)
{
	char *start = line, *end;
	ssize_t n;

	(void)what;
	(void)arg;
	n = read(fd, line + line_len, sizeof(line) - 1 - line_len);
	if (n <= 0)
		return;
	line_len += (size_t)n;
	while ((end = memchr(start, '\n', line_len - (size_t)(start - line))) !=
	    NULL) {
		pass_on(start, (size_t)(end - start));
		start = end + 1;
	}
	line_len -= (size_t)(start - line);
	memmove(line, start, line_len);
	if (line_len == sizeof(line) - 1) {
		pass_on(line, line_len);
		line_len = 0;
	}
}

static bool
open_syslog(struct event_base *base, int *fd)
{
	struct event *ev;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) == -1 ||
	    fcntl(ends[0], F_SETFL, O_NONBLOCK) == -1 ||
	    dup2(ends[1], STDERR_FILENO) == -1) {
		log_warn("pipe for syslog");
		return false;
	}
	openlog("claw", LOG_NDELAY, LOG_DAEMON);
	ev = event_new(base, ends[0], EV_READ | EV_PERSIST, on_lines, NULL);
	if (ev == NULL || event_add(ev, NULL) == -1)
		return false;
	pipe_fd = ends[0];
	*fd = ends[1];
	return true;
}

void
logdest_flush(void)
{
	int i;

	for (i = 0; pipe_fd != -1 && i < 64; i++)
		on_lines(pipe_fd, EV_READ, NULL);
}

bool
logdest_open(struct event_base *base, const struct conf *conf, int *fd,
    bool *priority)
{
	*fd = STDERR_FILENO;
	*priority = conf->log_destination == CONF_LOG_DESTINATION_JOURNAL ||
	    conf->log_destination == CONF_LOG_DESTINATION_SYSLOG ||
	    (conf->log_destination == CONF_LOG_DESTINATION_AUTO &&
		stderr_is_journal());
	log_init("clawd", *priority);
	log_set_level((enum log_level)(conf->log_level - CONF_LOG_LEVEL_ERROR));
	return conf->log_destination != CONF_LOG_DESTINATION_SYSLOG ||
	    open_syslog(base, fd);
}
