/* SPDX-License-Identifier: ISC */
/*
 * notify.c - sd_notify(3) without libsystemd.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/notify.h"
#include "common/log.h"

static int sock = -1;
static uint32_t watchdog_ms;

static void
send_text(const char *text)
{
	if (sock != -1 &&
	    send(sock, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
		log_debug("notification not taken");
}

void
notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t len;

	if (usec != NULL &&
	    (pid == NULL || strtol(pid, NULL, 10) == (long)getpid()))
		watchdog_ms = (uint32_t)(strtoull(usec, NULL, 10) / 2000);
	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    strlen(path) >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, strlen(path));
	len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* Connected now: a later change of root or namespace does not matter.
	 */
	if (sock != -1 &&
	    connect(sock, (const struct sockaddr *)&sun, len) == -1) {
		log_warn("NOTIFY_SOCKET %s", path);
		close(sock);
		sock = -1;
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void
notify_ready(void)
{
	send_text("READY=1");
}

void
notify_reloading(void)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	send_text(text);
}

void
notify_stopping(void)
{
	send_text("STOPPING=1");
}

void
notify_watchdog(void)
{
	if (watchdog_ms != 0)
		send_text("WATCHDOG=1");
}

void
notify_status(const char *fmt, ...)
{
	char text[256] = "STATUS=";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + 7, sizeof(text) - 7, fmt, ap);
	va_end(ap);
	send_text(text);
}

uint32_t
notify_watchdog_ms(void)
{
	return watchdog_ms;
}
