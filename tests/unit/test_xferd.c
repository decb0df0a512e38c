/* SPDX-License-Identifier: ISC */
/*
 * test_xferd.c - a file between two real xferds: whole, whatever its size, the
 * chunks' and the number of streams; and whole after either was killed.
 *
 * The xferds run in their sandbox; the rest of the house is xferkit.c.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/sftjournal.h"
#include "tests/lib/xferkit.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

static struct xend a, b;
static struct xfile f;

static const char *
below(void)
{
	const char *dir = getenv("TMPDIR");

	return dir != NULL ? dir : "/tmp";
}

static void
start(void)
{
	assert_true(xferkit_start(&a, &b, &f));
}

static void
said(const struct xend *e)
{
	if (e->has_failed)
		print_message("%s: %u, %s\n", e->who.name, e->failed.code,
		    e->failed.text);
	if (e->fault[0] != '\0')
		print_message("%s: %s\n", e->who.name, e->fault);
}

static void
arrives(void)
{
	bool ended = xferkit_until_ended(&a, &b);

	said(&a);
	said(&b);
	assert_true(ended);
	assert_int_equal(a.status, 0);
	assert_int_equal(b.status, 0);
	assert_string_equal(a.fault, "");
	assert_string_equal(b.fault, "");
	assert_false(a.has_failed);
	assert_false(b.has_failed);
	assert_true(a.sealed && a.receipt && b.complete);
	assert_memory_equal(a.root, f.root, 32);
	assert_memory_equal(b.root, f.root, 32);
	assert_true(xferkit_same(&f));
}

static bool
has_some(void *arg)
{
	const struct xend *e = arg;

	return e->progress.durable > 0 || e->ended;
}

static void
send_whole(uint64_t size, uint8_t log2, uint8_t streams)
{
	xferkit_file(&f, below(), size, log2, 0);
	start();
	a.streams = streams;
	xferkit_go(&a, &b);
	arrives();
	assert_int_equal(a.have, 0);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

static void
test_sizes(void **state)
{
	static const uint64_t size[] = { 0, 1, 1023, 1024, 1025, MIB - 1, MIB,
		MIB + 1, 2 * MIB, 7 * MIB + 12345 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++)
		send_whole(size[i], 20, 2);
}

static void
test_chunk_sizes(void **state)
{
	uint8_t log2;

	(void)state;
	for (log2 = 20; log2 <= 25; log2++) {
		send_whole((UINT64_C(1) << log2) - 1, log2, 1);
		send_whole(UINT64_C(1) << log2, log2, 2);
		send_whole((UINT64_C(1) << log2) + 1, log2, 2);
	}
}

static void
test_streams(void **state)
{
	uint8_t streams;

	(void)state;
	for (streams = 1; streams <= SFT_STREAMS_MAX; streams++)
		send_whole(24 * MIB + streams, 20, streams);
}

static void
test_holes(void **state)
{
	char path[320];
	struct stat st;

	(void)state;
	xferkit_file(&f, below(), 40 * MIB + 5, 20, 38 * MIB);
	start();
	xferkit_go(&a, &b);
	arrives();
	snprintf(path, sizeof(path), "%s/partial", f.dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 < 8 * MIB);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

/* The window is smaller than a chunk: one at a time, and it gets there. */
static void
test_small_window(void **state)
{
	(void)state;
	xferkit_file(&f, below(), 6 * MIB, 20, 0);
	start();
	b.window = 1000;
	xferkit_go(&a, &b);
	arrives();
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

static void
test_rate(void **state)
{
	(void)state;
	xferkit_file(&f, below(), 2 * MIB, 20, 0);
	start();
	a.rate = 4 * MIB;
	xferkit_go(&a, &b);
	arrives();
	assert_true(a.progresses >= 2);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

/* Killed at any point, then once more with the same files, until it is there.
 */
static void
test_killed(void **state)
{
	unsigned int round, tries, ms;
	uint64_t least;

	(void)state;
	srand(1);
	for (round = 0; round < (getenv("CLAW_LONG") != NULL ? 200 : 6);
	     round++) {
		xferkit_file(&f, below(), 48 * MIB + 77, 20, 0);
		least = 0;
		for (tries = 0;; tries++) {
			start();
			a.streams = (uint8_t)(1 + (unsigned int)rand() % 4);
			b.window = a.window = 16 * MIB;
			a.rate = tries < 4 ? 100 * MIB : 0;
			xferkit_go(&a, &b);
			if (tries == 4)
				break;
			ms = 20 + (unsigned int)rand() % 300;
			linkkit_wait(ms);
			if (a.receipt)
				break;
			kill(rand() % 2 == 0 ? a.pid : b.pid, SIGKILL);
			assert_true(xferkit_until_ended(&a, &b));
			/* What was durable once is so for good. */
			if (a.taken)
				assert_true(a.have >= least);
			if (a.progress.durable > least)
				least = a.progress.durable;
			xferkit_end(&a, &b);
		}
		arrives();
		assert_true(a.have >= least);
		xferkit_end(&a, &b);
		xferkit_remove(&f);
	}
}

/* One byte that is wrong costs its chunk and no other. */
static void
test_damaged_partial(void **state)
{
	char path[320];
	int fd;

	(void)state;
	xferkit_file(&f, below(), 16 * MIB, 20, 0);
	start();
	xferkit_go(&a, &b);
	arrives();
	xferkit_end(&a, &b);
	snprintf(path, sizeof(path), "%s/partial", f.dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 3 * (off_t)MIB + 5), 1);
	close(fd);
	start();
	xferkit_go(&a, &b);
	arrives();
	assert_int_equal(a.have, 15 * MIB);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

/* The journal is lost and the partial file is full of something else. */
static void
test_journal_lost(void **state)
{
	char path[320];
	int fd;

	(void)state;
	xferkit_file(&f, below(), 8 * MIB, 20, 6 * MIB);
	start();
	xferkit_go(&a, &b);
	arrives();
	xferkit_end(&a, &b);
	snprintf(path, sizeof(path), "%s/partial", f.dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "not zero", 8, 2 * (off_t)MIB + 100), 8);
	assert_int_equal(pwrite(fd, "not zero", 8, 5 * (off_t)MIB - 3), 8);
	close(fd);
	snprintf(path, sizeof(path), "%s/journal", f.dir);
	assert_int_equal(unlink(path), 0);
	start();
	xferkit_go(&a, &b);
	arrives();
	assert_int_equal(a.have, 0);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

/* Killed when all was there and nothing committed: nothing is sent again. */
static void
test_all_there(void **state)
{
	static const uint64_t size[] = { 5 * MIB + 3, 1000, 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		xferkit_file(&f, below(), size[i], 20, 0);
		start();
		xferkit_go(&a, &b);
		arrives();
		xferkit_end(&a, &b);
		start();
		xferkit_go(&a, &b);
		arrives();
		assert_int_equal(a.have, size[i]);
		assert_int_equal(a.progress.moved, 0);
		xferkit_end(&a, &b);
		xferkit_remove(&f);
	}
}

/* Sent once more, when the source is another one by then. */
static void
again_as(uint64_t size, uint64_t at)
{
	xferkit_keep(&f);
	xferkit_change(&f, size, at);
	start();
	xferkit_go(&a, &b);
	arrives();
	assert_int_equal(a.have, 0);
	assert_int_equal(a.progress.resent, 0);
	assert_int_equal(a.progress.same, b.progress.same);
	assert_int_equal(a.progress.moved, b.progress.moved);
	assert_int_equal(a.progress.durable, size);
	assert_int_equal(a.progress.moved, size - a.progress.same);
}

static void
first_of(uint64_t size)
{
	xferkit_file(&f, below(), size, 20, 0);
	start();
	xferkit_go(&a, &b);
	arrives();
	assert_int_equal(a.progress.same, 0);
	xferkit_end(&a, &b);
}

static void
done(void)
{
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

/* Of what the receiver has of an earlier file nothing is sent. */
static void
test_basis(void **state)
{
	static const struct {
		uint64_t before, after, at, sent;
	} is[] = {
		{ 8 * MIB + 5, 8 * MIB + 5, 3 * MIB + 7, MIB },
		{ 8 * MIB + 5, 8 * MIB + 5, 8 * MIB + 1, 5 },
		/* Longer, shorter: what was short or is, is another chunk. */
		{ 8 * MIB + 5, 9 * MIB, 8 * MIB + 6, MIB },
		{ 8 * MIB, 9 * MIB + 1, 9 * MIB, MIB + 1 },
		{ 8 * MIB, 6 * MIB + 9, 6 * MIB, 9 },
		/* One chunk is a root, more are none. */
		{ 2 * MIB, MIB, 5, MIB },
		{ MIB, 2 * MIB, MIB + 5, 2 * MIB },
		{ 900, 900, 5, 900 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
		first_of(is[i].before);
		again_as(is[i].after, is[i].at);
		assert_int_equal(a.progress.moved, is[i].sent);
		assert_true(a.progress.wire < is[i].sent + 2000);
		done();
	}
}

/* The same once more, and once more after that. */
static void
test_basis_whole(void **state)
{
	(void)state;
	first_of(4 * MIB + 1);
	again_as(4 * MIB + 1, 0);
	xferkit_end(&a, &b);
	again_as(4 * MIB + 1, 0);
	assert_int_equal(a.progress.moved, MIB);
	xferkit_end(&a, &b);
	/* As it was before last, but not what was kept. */
	again_as(4 * MIB + 1, 4 * MIB);
	assert_int_equal(a.progress.moved, 1);
	done();
}

/* After some that differ few are looked at; what is sent is right. */
static void
test_basis_differs(void **state)
{
	uint32_t i;

	(void)state;
	first_of(40 * MIB);
	for (i = 0; i < 32; i++)
		xferkit_change(&f, 40 * MIB, i * MIB + i);
	again_as(40 * MIB, 33 * MIB);
	/* 34 to 39 are the same; of these none may have been tried. */
	assert_true(a.progress.moved >= 33 * MIB);
	done();
}

static void
spoil(const char *name, uint64_t at, uint64_t size)
{
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd != -1);
	assert_int_equal(pwrite(fd, "spoilt", 6, (off_t)at), 6);
	if (size > 0)
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

/* Somebody has written to it since: its bytes come after all. */
static void
test_basis_changed(void **state)
{
	(void)state;
	first_of(8 * MIB);
	spoil("partial", 2 * MIB + 100, 0);
	again_as(8 * MIB, 7 * MIB);
	assert_int_equal(a.progress.moved, 2 * MIB);
	done();
	first_of(8 * MIB);
	spoil("partial", 100, 5 * MIB + 3);
	again_as(8 * MIB, 7 * MIB);
	assert_int_equal(a.progress.moved, 4 * MIB);
	done();
	/* Nor is the journal believed. */
	first_of(8 * MIB);
	spoil("journal", SFTJOURNAL_HEAD_LEN + 3 * 64 + 20, 0);
	again_as(8 * MIB, 7 * MIB);
	assert_int_equal(a.progress.moved, 8 * MIB);
	done();
}

static void
test_basis_of_other_chunks(void **state)
{
	(void)state;
	first_of(8 * MIB);
	xferkit_keep(&f);
	f.log2 = 21;
	start();
	xferkit_go(&a, &b);
	arrives();
	assert_int_equal(a.progress.moved, 8 * MIB);
	done();
}

/* Interrupted: what was made from the basis is durable as all else. */
static void
test_basis_resumed(void **state)
{
	(void)state;
	first_of(24 * MIB);
	xferkit_keep(&f);
	xferkit_change(&f, 24 * MIB, 0);
	xferkit_change(&f, 24 * MIB, 12 * MIB);
	start();
	a.rate = MIB;
	xferkit_go(&a, &b);
	assert_true(linkkit_until(has_some, &a));
	kill(b.pid, SIGKILL);
	assert_true(xferkit_until_ended(&a, &b));
	assert_true(a.progress.same > 0);
	xferkit_end(&a, &b);
	start();
	xferkit_go(&a, &b);
	arrives();
	assert_true(a.have > 0);
	assert_true(a.progress.moved <= 2 * MIB);
	done();
}

static void
go_packed(bool ours, bool theirs)
{
	start();
	a.packed = ours;
	b.packed = theirs;
	a.rate = 3 * MIB;
	xferkit_go(&a, &b);
	arrives();
	assert_int_equal(a.progress.moved, f.size);
	/* One may have heard the streams' ends. */
	assert_true(b.progress.wire <= a.progress.wire + 8);
	assert_true(a.progress.wire <= b.progress.wire + 8);
}

/* Where less bytes are faster, less are sent. */
static void
test_packed(void **state)
{
	(void)state;
	xferkit_words(&f, below(), 6 * MIB + 77, 22);
	go_packed(true, true);
	assert_true(a.progress.wire < f.size / 2);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
	xferkit_file(&f, below(), 6 * MIB + 77, 21, 0);
	go_packed(true, true);
	assert_true(a.progress.wire < f.size + 1000);
	done();
}

static void
test_not_packed(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		xferkit_words(&f, below(), 3 * MIB, 20);
		go_packed(i == 1, i == 2);
		assert_true(a.progress.wire > f.size);
		done();
	}
}

static void
test_refused(void **state)
{
	(void)state;
	xferkit_file(&f, below(), MIB, 20, 0);
	start();
	b.refuse = SFT_NO_SPACE;
	xferkit_go(&a, &b);
	assert_true(xferkit_until_ended(&a, &b));
	assert_true(a.has_failed && a.failed.by_peer);
	assert_int_equal(a.failed.code, SFT_NO_SPACE);
	assert_string_equal(a.failed.text, "the test says no");
	assert_int_equal(b.failed.code, SFT_NO_SPACE);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

static void
test_source_changes(void **state)
{
	char path[320];
	int fd;

	(void)state;
	xferkit_file(&f, below(), 32 * MIB, 20, 0);
	start();
	a.rate = 20 * MIB;
	xferkit_go(&a, &b);
	assert_true(linkkit_until(has_some, &a));
	snprintf(path, sizeof(path), "%s/source", f.dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	close(fd);
	assert_true(xferkit_until_ended(&a, &b));
	assert_int_equal(a.failed.code, SFT_SOURCE_CHANGED);
	assert_int_equal(b.failed.code, SFT_SOURCE_CHANGED);
	assert_true(b.failed.by_peer);
	assert_false(b.complete);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

static uint64_t mark;

static bool
moved_more(void *arg)
{
	const struct xend *e = arg;
	bool more = e->progress.moved > mark + 2 * MIB || e->ended;

	if (more)
		mark = e->progress.moved;
	return more;
}

/*
 * Streams are cut while they carry it: the others go on, and others are dialled
 * for those. What was sent by them is sent again, and little more.
 */
static void
test_cut_streams(void **state)
{
	unsigned int tcp, i;

	(void)state;
	for (tcp = 0; tcp < 2; tcp++) {
		xferkit_file(&f, below(), 64 * MIB + 9, 20, 0);
		start();
		a.tcp = tcp != 0;
		a.streams = 3;
		b.window = a.window = 8 * MIB;
		a.rate = 60 * MIB;
		mark = 0;
		xferkit_go(&a, &b);
		for (i = 0; i < 6; i++) {
			assert_true(linkkit_until(moved_more, &a));
			(void)shutdown(a.line[i % 3], SHUT_RDWR);
		}
		arrives();
		assert_true(b.routes_again);
		assert_int_equal(a.dials, 3 + 6);
		assert_true(a.progress.resent > 0);
		assert_true(a.progress.moved <= f.size + 6 * 8 * MIB);
		xferkit_end(&a, &b);
		xferkit_remove(&f);
	}
}

/* The last of them, and one too many: that attempt is over. */
static void
test_cut_too_often(void **state)
{
	unsigned int i;

	(void)state;
	xferkit_file(&f, below(), 64 * MIB, 20, 0);
	start();
	a.streams = 1;
	a.rate = 30 * MIB;
	mark = 0;
	xferkit_go(&a, &b);
	for (i = 0; i < 8 && !a.ended; i++) {
		assert_true(linkkit_until(moved_more, &a));
		(void)shutdown(a.line[0], SHUT_RDWR);
	}
	assert_true(xferkit_until_ended(&a, &b));
	assert_int_equal(a.failed.code, SFT_TIMEOUT);
	assert_non_null(strstr(a.failed.text, "stream 0"));
	xferkit_end(&a, &b);
	start();
	xferkit_go(&a, &b);
	arrives();
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

/* As long and as old as it was, but not what it was when a part of it came. */
static void
test_source_was_another(void **state)
{
	char path[320];
	int fd;

	(void)state;
	xferkit_file(&f, below(), 4 * MIB, 20, 0);
	start();
	xferkit_go(&a, &b);
	arrives();
	xferkit_end(&a, &b);
	snprintf(path, sizeof(path), "%s/source", f.dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, MIB), 1);
	close(fd);
	start();
	xferkit_go(&a, &b);
	assert_true(xferkit_until_ended(&a, &b));
	assert_int_equal(b.failed.code, SFT_SOURCE_CHANGED);
	assert_int_equal(a.failed.code, SFT_SOURCE_CHANGED);
	assert_true(a.failed.by_peer);
	assert_false(b.complete);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

/*
 * A verdict holds for a time, and a file may take longer: what was durable by
 * then stays, and nobody is told that he was not attested.
 */
static void
test_verdict_ends(void **state)
{
	(void)state;
	xferkit_file(&f, below(), 16 * MIB, 20, 0);
	start();
	a.who.verdict_s = 2;
	a.rate = 4 * MIB;
	xferkit_go(&a, &b);
	assert_true(xferkit_until_ended(&a, &b));
	assert_int_equal(a.failed.code, SFT_TIMEOUT);
	assert_int_equal(b.failed.code, SFT_TIMEOUT);
	assert_true(b.failed.by_peer);
	xferkit_end(&a, &b);
	start();
	xferkit_go(&a, &b);
	arrives();
	assert_true(a.have > 0);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

static void
test_stopped(void **state)
{
	struct msg_XFER_STOP stop = { .code = SFT_PAUSED, .text = "later" };

	(void)state;
	xferkit_file(&f, below(), 32 * MIB, 20, 0);
	start();
	a.rate = 20 * MIB;
	xferkit_go(&a, &b);
	assert_true(linkkit_until(has_some, &a));
	(void)chan_send_XFER_STOP(b.sftd, 0, -1, &stop);
	assert_true(xferkit_until_ended(&a, &b));
	assert_int_equal(a.failed.code, SFT_PAUSED);
	assert_true(a.failed.by_peer);
	assert_int_equal(b.failed.code, SFT_PAUSED);
	assert_int_equal(a.status, 0);
	assert_int_equal(b.status, 0);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

static void
test_session_ends(void **state)
{
	struct msg_SESSION_END end = { .reason = "beta was revoked" };

	(void)state;
	xferkit_file(&f, below(), 32 * MIB, 20, 0);
	start();
	a.rate = 20 * MIB;
	xferkit_go(&a, &b);
	assert_true(linkkit_until(has_some, &a));
	(void)chan_send_SESSION_END(a.attestd, 0, -1, &end);
	assert_true(xferkit_until_ended(&a, &b));
	assert_int_equal(a.failed.code, SFT_ATTESTATION);
	assert_false(b.complete);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

static void
on_drained(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)m;
	(void)arg;
}

static void
drain(struct xend *e)
{
	struct msg_DRAIN order = { .timeout_ms = 1000 };

	(void)chan_send_DRAIN(e->clawd,
	    chan_ask(e->clawd, MSG_DRAIN, on_drained, NULL), -1, &order);
}

/* One that waits in the pool ends in order, and has nothing to say. */
static void
test_drained(void **state)
{
	(void)state;
	xferkit_file(&f, below(), 32 * MIB, 20, 0);
	start();
	drain(&a);
	drain(&b);
	assert_true(xferkit_until_ended(&a, &b));
	assert_false(a.has_failed || b.has_failed);
	assert_int_equal(a.status, 0);
	xferkit_end(&a, &b);
	start();
	a.rate = 20 * MIB;
	xferkit_go(&a, &b);
	assert_true(linkkit_until(has_some, &a));
	drain(&a);
	assert_true(xferkit_until_ended(&a, &b));
	assert_int_equal(a.failed.code, SFT_STOPPING);
	assert_int_equal(b.failed.code, SFT_STOPPING);
	assert_true(b.failed.by_peer);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

static void
test_not_attested(void **state)
{
	(void)state;
	xferkit_file(&f, below(), MIB, 20, 0);
	start();
	b.who.alert = 44;
	xferkit_go(&a, &b);
	assert_true(xferkit_until_ended(&a, &b));
	assert_false(a.up || b.up || b.offered);
	assert_int_equal(a.failed.code, SFT_ATTESTATION);
	assert_true(a.failed.by_peer);
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_chunk_sizes),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_small_window),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_damaged_partial),
		cmocka_unit_test(test_journal_lost),
		cmocka_unit_test(test_all_there),
		cmocka_unit_test(test_basis),
		cmocka_unit_test(test_basis_whole),
		cmocka_unit_test(test_basis_differs),
		cmocka_unit_test(test_basis_changed),
		cmocka_unit_test(test_basis_of_other_chunks),
		cmocka_unit_test(test_basis_resumed),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_not_packed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_source_changes),
		cmocka_unit_test(test_cut_streams),
		cmocka_unit_test(test_cut_too_often),
		cmocka_unit_test(test_source_was_another),
		cmocka_unit_test(test_verdict_ends),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_session_ends),
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_not_attested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
