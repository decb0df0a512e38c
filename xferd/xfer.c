/* SPDX-License-Identifier: ISC */
/*
 * xfer.c - what threads and the main loop share: the lock, the bell, faults.
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/child.h"
#include "common/log.h"
#include "xferd/control.h"
#include "xferd/receive.h"
#include "xferd/send.h"
#include "xferd/stream.h"
#include "xferd/xfer.h"

/* A thread's frames are small; its pieces are on the heap. */
#define STACK (256 * 1024)

struct xfer xf = { .file = -1 };

static int bell = -1;
static struct event *rung;

/* The loop's turn: what threads have left. */
static void
on_bell(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	(void)what;
	(void)arg;
	if (read(fd, &n, sizeof(n)) == -1 && errno != EAGAIN)
		fatal("eventfd");
	pthread_mutex_lock(&xf.lock);
	if (xf.failed) {
		pthread_mutex_unlock(&xf.lock);
		xfer_fail(xf.code, xf.by_peer, "%s", xf.text);
		return;
	}
	pthread_mutex_unlock(&xf.lock);
	streams_turn();
	if (xf.sends)
		send_turn();
	else
		receive_turn();
}

void
xfer_wake(void)
{
	const uint64_t one = 1;

	/* EAGAIN: it has been rung more often than anybody can count. */
	if (write(bell, &one, sizeof(one)) == -1 && errno != EAGAIN)
		fatal("eventfd");
}

void
xfer_init(void)
{
	pthread_condattr_t attr;

	xf.main = pthread_self();
	bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bell == -1 || pthread_mutex_init(&xf.lock, NULL) != 0 ||
	    pthread_condattr_init(&attr) != 0 ||
	    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(&xf.changed, &attr) != 0)
		fatal("threads");
	pthread_condattr_destroy(&attr);
	rung =
	    event_new(child_base(), bell, EV_READ | EV_PERSIST, on_bell, NULL);
	if (rung == NULL || event_add(rung, NULL) != 0)
		fatalx("libevent has no event for us");
}

void
xfer_fault(enum sft_code code, bool by_peer, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&xf.lock);
	if (!xf.failed && !xf.stop) {
		xf.failed = true;
		xf.code = code;
		xf.by_peer = by_peer;
		va_start(ap, fmt);
		vsnprintf(xf.text, sizeof(xf.text), fmt, ap);
		va_end(ap);
	}
	xf.stop = true;
	pthread_cond_broadcast(&xf.changed);
	pthread_mutex_unlock(&xf.lock);
	xfer_wake();
}

void
xfer_fail(enum sft_code code, bool by_peer, const char *fmt, ...)
{
	char text[XFER_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&xf.lock);
	xf.stop = true;
	pthread_cond_broadcast(&xf.changed);
	pthread_mutex_unlock(&xf.lock);
	control_fail(code, by_peer, text);
}

bool
xfer_thread(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t t;
	int r;

	if (pthread_attr_init(&attr) != 0)
		return false;
	(void)pthread_attr_setstacksize(&attr, STACK);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0)
		log_warnx("no thread: %s", strerror(r));
	return r == 0;
}

uint64_t
xfer_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t
xfer_spent(enum sft_limit on, uint64_t since_ns)
{
	uint64_t now = xfer_now_ns();

	atomic_fetch_add_explicit(&xf.spent_ns[on], now - since_ns,
	    memory_order_relaxed);
	return now;
}

void
xfer_wait(void)
{
	pthread_cond_wait(&xf.changed, &xf.lock);
}

void
xfer_wait_until(uint64_t ns)
{
	const struct timespec ts = { (time_t)(ns / 1000000000),
		(long)(ns % 1000000000) };

	(void)pthread_cond_timedwait(&xf.changed, &xf.lock, &ts);
}

enum sft_limit
xfer_limit(void)
{
	static uint64_t seen[SFT_LIMIT_RATE + 1];
	static enum sft_limit last;
	uint64_t now, most = 0;
	int i;

	for (i = SFT_LIMIT_UNKNOWN; i <= SFT_LIMIT_RATE; i++) {
		now =
		    atomic_load_explicit(&xf.spent_ns[i], memory_order_relaxed);
		if (now - seen[i] > most) {
			most = now - seen[i];
			last = (enum sft_limit)i;
		}
		seen[i] = now;
	}
	return last;
}
