/* SPDX-License-Identifier: ISC */
/*
 * clock.c - what time it is, for all that is judged by time.
 *
 * The machine's clock, but never before what enough of the registry's
 * authorities have said and never before the last record of our own audit log:
 * who can set the clock back does not bring back what has expired. Never a
 * peer's word. From the log's last record time goes on by the boot clock.
 *
 * If one of these was ahead itself, an operator says so (claw clock:reset):
 * that is recorded, and what the log and the registry had by then counts for
 * nothing any more. The log remembers that itself; for the registry, it is in
 * a file beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attestd/attestd.h"
#include "common/child.h"
#include "common/log.h"

#define FILE_NAME "clock"
#define FILE_NEW "clock.new"
#define MAGIC "claw-clock-1"
#define FAR_S 60 /* behind: somebody should know */

static struct {
	int dirfd;
	bool has_reset;
	uint64_t reset_seq;	 /* updates up to it say nothing of the time */
	uint64_t newest_s;	 /* of the log; 0: not known yet */
	uint64_t newest_boot_ms; /* when that was */
	bool told;
	/* clock:reset under way: who asked for it, */
	uint64_t asker;	  /* child_serial(); */
	uint32_t request; /* 0: nobody */
	uint64_t before;
} my = { .dirfd = -1 };

static uint64_t
seconds(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec;
}

static uint64_t
boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Whole seconds: the floor is never ahead of a clock that is right. */
static uint64_t
since_newest(void)
{
	return (boot_ms() - my.newest_boot_ms) / 1000;
}

/* It may not be before this. */
static uint64_t
floor_of(void)
{
	uint64_t t = 0, log = 0;

	if (!my.has_reset || registry_seq(attestd.registry) > my.reset_seq)
		t = registry_time(attestd.registry);
	if (my.newest_s != 0)
		log = my.newest_s + since_newest();
	return t > log ? t : log;
}

static void
tell(uint64_t machine, uint64_t floor)
{
	bool far = machine + FAR_S < floor;

	if (far && !my.told)
		log_warnx("this machine's clock is %" PRIu64 " s behind what "
			  "the registry or the audit log has seen, which "
			  "counts instead; set the clock, or, if it is right, "
			  "say so with claw clock:reset",
		    floor - machine);
	my.told = far;
}

uint64_t
attestd_now(void)
{
	uint64_t machine = seconds(CLOCK_REALTIME), floor = floor_of();

	tell(machine, floor);
	return machine < floor ? floor : machine;
}

uint64_t
attestd_boot(void)
{
	return seconds(CLOCK_BOOTTIME);
}

static void
set_newest(uint64_t s)
{
	my.newest_s = s;
	my.newest_boot_ms = boot_ms();
}

void
clock_recorded(void)
{
	uint64_t machine = seconds(CLOCK_REALTIME);

	if (my.newest_s != 0 && machine > my.newest_s + since_newest())
		set_newest(machine);
}

/* NULL, or why it cannot be read; not there: nobody has reset anything. */
static const char *
read_reset(void)
{
	char text[64], again[64];
	uint64_t seq;
	ssize_t n;
	int fd;

	fd = openat(my.dirfd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? NULL : strerror(errno);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, MAGIC " %" SCNu64, &seq) != 1)
		return "it is damaged";
	snprintf(again, sizeof(again), MAGIC " %" PRIu64 "\n", seq);
	if (strcmp(text, again) != 0)
		return "it is damaged";
	my.has_reset = true;
	my.reset_seq = seq;
	return NULL;
}

void
clock_load(int dirfd)
{
	const char *why;

	my.dirfd = dirfd;
	why = read_reset();
	/* Without it the floor is higher, and that is told. */
	if (why != NULL)
		log_warnx("registry/" FILE_NAME ": %s; if the clock is said to "
			  "be behind, claw clock:reset writes it anew",
		    why);
}

void
clock_loaded(struct msg *m)
{
	struct msg_AUDIT_APPENDED done;
	struct rbuf body = m->body;

	if (m->type != MSG_AUDIT_APPENDED)
		return;
	if (!msg_get_AUDIT_APPENDED(&body, &done))
		fatalx("malformed AUDIT_APPENDED");
	set_newest(done.newest);
	(void)attestd_now();
}

/* Whole or not at all. 0 or -errno. */
static int
write_reset(void)
{
	char text[64];
	int fd, r = 0, n;

	n = snprintf(text, sizeof(text), MAGIC " %" PRIu64 "\n",
	    registry_seq(attestd.registry));
	fd = openat(my.dirfd, FILE_NEW,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1)
		return -errno;
	if (write(fd, text, (size_t)n) != n)
		r = -EIO;
	if (r == 0 && fsync(fd) == -1)
		r = -errno;
	close(fd);
	if (r == 0 && renameat(my.dirfd, FILE_NEW, my.dirfd, FILE_NAME) == -1)
		r = -errno;
	if (r == 0 && fsync(my.dirfd) == -1)
		r = -errno;
	return r;
}

static const char *
reset(struct msg *m)
{
	static char why[128];
	int r;

	if (m == NULL || m->type != MSG_AUDIT_APPENDED)
		return "it could not be recorded";
	clock_loaded(m);
	r = write_reset();
	if (r != 0) {
		snprintf(why, sizeof(why),
		    "the registry's folder cannot be written: %s",
		    strerror(-r));
		return why;
	}
	my.has_reset = true;
	my.reset_seq = registry_seq(attestd.registry);
	return NULL;
}

static void
on_reset_recorded(struct chan *auditd, struct msg *m, void *arg)
{
	struct msg_CLOCK_IS done = { .before = my.before };
	struct msg request = { .id = my.request };
	struct chan *c = child_with(my.asker);
	const char *why = reset(m);

	(void)auditd;
	(void)arg;
	my.request = 0;
	done.now = attestd_now();
	if (why == NULL)
		log_warnx("an operator has reset the clock, from %" PRIu64
			  " to %" PRIu64,
		    done.before, done.now);
	if (c != NULL && why == NULL)
		(void)chan_send_CLOCK_IS(c, request.id, -1, &done);
	else if (c != NULL)
		chan_refuse(c, &request, EIO, true, "%s", why);
	sessions_review();
}

void
clock_on_reset(struct chan *c, struct msg *m)
{
	uint64_t machine = seconds(CLOCK_REALTIME);
	struct msg_CLOCK_RESET want;
	static struct auditrec rec;

	if (!msg_get_CLOCK_RESET(&m->body, &want))
		fatalx("malformed CLOCK_RESET");
	if (my.request != 0) {
		chan_refuse(c, m, EAGAIN, true, "it is being reset");
		return;
	}
	my.asker = child_serial(c);
	my.before = attestd_now();
	auditrec_init(&rec, AUDIT_CLOCK_RESET, AUDIT_SINGLE, AUDIT_OK);
	auditrec_num(&rec, AUDIT_ATTR_SECONDS,
	    my.before > machine ? my.before - machine : 0);
	auditrec_num(&rec, AUDIT_ATTR_SEQ, registry_seq(attestd.registry));
	my.request = m->id;
	if (!attestd_record(&rec, on_reset_recorded, NULL)) {
		my.request = 0;
		chan_refuse(c, m, EAGAIN, true, "auditd is not there");
	}
}
