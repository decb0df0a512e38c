/* SPDX-License-Identifier: ISC */
/*
 * test_chan.c - one end of a channel: answers find who asked, a violation or
 * the end is told once, descriptors are never left behind, nothing blocks.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/chan.h"

/* auditd's end of its channel to controld; the other end is ours, raw. */
static struct event_base *base;
static struct chan *chan;
static int end;
static unsigned int requests, closed, violations, answers, nulls;
static const char *reason;
static struct msg last;

static void
on_append(struct chan *c, struct msg *m)
{
	assert_ptr_equal(c, chan);
	requests++;
	last = *m;
}

static void
on_sign(struct chan *c, struct msg *m)
{
	requests++;
	chan_refuse(c, m, EPERM, false, "no %s", "never");
}

static void
on_closed(struct chan *c)
{
	assert_ptr_equal(c, chan);
	closed++;
}

static void
on_violation(struct chan *c, uint16_t type, const char *why)
{
	assert_ptr_equal(c, chan);
	(void)type;
	violations++;
	reason = why;
}

static void
on_done(struct chan *c, struct msg *m, void *arg)
{
	assert_ptr_equal(c, chan);
	assert_ptr_equal(arg, &answers);
	answers++;
	nulls += m == NULL;
}

static const struct chan_handlers handlers[] = {
	{ MSG_AUDIT_APPEND, on_append },
	{ MSG_LOGKEY_CLOSE, on_sign },
	{ 0, NULL },
};

static const struct chan_ops ops = {
	.handlers = handlers,
	.closed = on_closed,
	.violation = on_violation,
};

static int
open_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
open_as(enum proc self, enum proc peer)
{
	int pair[2];

	requests = closed = violations = answers = nulls = 0;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	base = event_base_new();
	chan = chan_new(base, pair[0], self, peer, &ops, NULL);
	assert_non_null(chan);
	chan_set_when(chan, WHEN_RUN);
	end = pair[1];
}

static void
done(void)
{
	chan_free(chan);
	event_base_free(base);
	if (end != -1)
		close(end);
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
put(const void *p, size_t len, int fd, unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control;
	union {
		const void *in;
		void *out;
	} from = { .in = p };
	struct iovec iov = { from.out, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	unsigned int i;

	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cm) + i * sizeof(int), &fd,
			    sizeof(int));
	}
	assert_int_equal(sendmsg(end, &mh, MSG_NOSIGNAL), len);
}

/* A packet with a body of zeros. */
static void
put_type(uint16_t type, uint32_t id, size_t len)
{
	uint8_t packet[4096] = { 0 };
	struct wbuf w;

	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, type);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, (uint32_t)len);
	wbuf_u32(&w, id);
	put(packet, MSG_HEADER_LEN + len, -1, 0);
}

#define APPEND_LEN 14 /* of an AUDIT_APPEND without attributes */

static void
test_requests_and_answers(void **state)
{
	struct msg_AUDIT_APPENDED yes = { .number = 7 };
	uint8_t packet[256];

	(void)state;
	open_as(PROC_AUDITD, PROC_CONTROLD);
	put_type(MSG_AUDIT_APPEND, 3, APPEND_LEN);
	turn();
	assert_int_equal(requests, 1);
	assert_int_equal(last.id, 3);
	assert_int_equal(chan_send_AUDIT_APPENDED(chan, 3, -1, &yes), 0);
	assert_int_equal(recv(end, packet, sizeof(packet), MSG_DONTWAIT),
	    MSG_HEADER_LEN + 18);
	assert_int_equal(packet[11], 3);
	assert_int_equal(violations + closed, 0);
	done();
}

/* An answer goes to who asked; what was given up goes to nobody. */
static void
test_late_answer(void **state)
{
	static const struct msg_CHECKPOINT_SIGN want = { .size = 1 };
	uint32_t a, b;

	(void)state;
	open_as(PROC_AUDITD, PROC_KEYD);
	a = chan_ask(chan, MSG_CHECKPOINT_SIGN, on_done, &answers);
	assert_int_equal(chan_send_CHECKPOINT_SIGN(chan, a, -1, &want), 0);
	b = chan_ask(chan, MSG_CHECKPOINT_SIGN, on_done, &answers);
	assert_int_equal(chan_send_CHECKPOINT_SIGN(chan, b, -1, &want), 0);
	chan_cancel(chan, a);
	put_type(MSG_CHECKPOINT_SIGNED, a, 64);
	turn();
	assert_int_equal(answers + violations, 0);
	put_type(MSG_CHECKPOINT_SIGNED, b, 64);
	turn();
	assert_int_equal(answers, 1);
	assert_int_equal(nulls, 0);
	put_type(MSG_CHECKPOINT_SIGNED, a, 64);
	turn();
	assert_int_equal(violations, 1);
	assert_string_equal(reason, "answer that nobody asked for");
	done();
	assert_int_equal(answers, 1);
}

/* Who still waits when the channel goes is told so, once. */
static void
test_nobody_waits_for_ever(void **state)
{
	(void)state;
	open_as(PROC_AUDITD, PROC_KEYD);
	(void)chan_ask(chan, MSG_CHECKPOINT_SIGN, on_done, &answers);
	(void)chan_ask(chan, MSG_CHECKPOINT_SIGN, on_done, &answers);
	chan_cancel(chan, chan_ask(chan, MSG_CHECKPOINT_SIGN, on_done, NULL));
	done();
	assert_int_equal(answers, 2);
	assert_int_equal(nulls, 2);
}

static void
test_refusal(void **state)
{
	struct msg_REFUSED no;
	uint8_t packet[256];
	struct rbuf r;
	ssize_t n;

	(void)state;
	open_as(PROC_KEYD, PROC_AUDITD);
	put_type(MSG_LOGKEY_CLOSE, 1, 2);
	turn();
	n = recv(end, packet, sizeof(packet), MSG_DONTWAIT);
	assert_true(n > MSG_HEADER_LEN);
	rbuf_init(&r, packet + MSG_HEADER_LEN, (size_t)n - MSG_HEADER_LEN);
	assert_true(msg_get_REFUSED(&r, &no));
	assert_int_equal(no.code, EPERM);
	assert_string_equal(no.text, "no never");
	done();
}

/* The other end goes: told once, whatever came before is still taken. */
static void
test_end(void **state)
{
	(void)state;
	open_as(PROC_AUDITD, PROC_CONTROLD);
	put_type(MSG_AUDIT_APPEND, 1, APPEND_LEN);
	put_type(MSG_AUDIT_APPEND, 2, APPEND_LEN);
	close(end);
	end = -1;
	turn();
	assert_int_equal(requests, 2);
	assert_int_equal(closed, 1);
	assert_int_equal(violations, 0);
	assert_int_equal(chan_send_AUDIT_APPENDED(chan, 1, -1,
			     &(struct msg_AUDIT_APPENDED){ 0 }),
	    -EPIPE);
	turn();
	assert_int_equal(closed, 1);
	done();
}

/* Who goes without reading all has said what he has said. */
static void
test_last_words(void **state)
{
	struct msg_AUDIT_APPENDED yes = { .number = 7 };
	int unread;

	(void)state;
	for (unread = 0; unread < 2; unread++) {
		open_as(PROC_AUDITD, PROC_CONTROLD);
		put_type(MSG_AUDIT_APPEND, 1, APPEND_LEN);
		turn();
		if (unread)
			(void)chan_send_AUDIT_APPENDED(chan, 1, -1, &yes);
		put_type(MSG_AUDIT_APPEND, 2, APPEND_LEN);
		close(end);
		end = -1;
		if (!unread)
			assert_true(
			    chan_send_AUDIT_APPENDED(chan, 1, -1, &yes) < 0);
		turn();
		assert_int_equal(requests, 2);
		assert_int_equal(closed, 1);
		assert_int_equal(violations, 0);
		done();
	}
}

/* Behind a violation nothing is taken any more. */
static void
test_violation_is_the_last(void **state)
{
	(void)state;
	open_as(PROC_AUDITD, PROC_CONTROLD);
	put_type(MSG_AUDIT_APPEND, 1, APPEND_LEN);
	put_type(MSG_AUDIT_APPEND, 1, APPEND_LEN);
	put_type(MSG_AUDIT_APPEND, 2, APPEND_LEN);
	turn();
	turn();
	assert_int_equal(requests, 1);
	assert_int_equal(violations, 1);
	assert_int_equal(closed, 0);
	done();
}

/* A packet of no bytes is a violation, not an end. */
static void
test_empty_packet(void **state)
{
	(void)state;
	open_as(PROC_AUDITD, PROC_CONTROLD);
	put(NULL, 0, -1, 0);
	turn();
	assert_int_equal(violations, 1);
	assert_int_equal(closed, 0);
	done();
}

static void
test_too_long(void **state)
{
	static const size_t lens[] = { MSG_MAX_LEN, MSG_MAX_LEN + 1,
		2 * MSG_MAX_LEN };
	static uint8_t packet[2 * MSG_MAX_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		open_as(PROC_AUDITD, PROC_CONTROLD);
		put(packet, lens[i], -1, 0);
		turn();
		assert_int_equal(violations, 1);
		done();
	}
}

/* However many descriptors come, with whatever packet, none stays. */
static void
test_descriptors_are_closed(void **state)
{
	static const unsigned int counts[] = { 1, 2, 4, 5, 8, 253 };
	static const size_t lens[] = { 0, 1, MSG_HEADER_LEN };
	static const uint8_t packet[MSG_HEADER_LEN];
	int before = open_fds(), file = memfd_create("file", MFD_CLOEXEC);
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (k = 0; k < 3; k++) {
			open_as(PROC_AUDITD, PROC_CONTROLD);
			put(packet, lens[k], file, counts[i]);
			/* Those behind the last word are closed, too. */
			put(packet, MSG_HEADER_LEN, file, 3);
			turn();
			assert_int_equal(violations, 1);
			done();
			assert_int_equal(open_fds(), before + 1);
		}
	close(file);
}

/* A send never blocks; who never reads is told on, when it is too much. */
static void
test_never_read(void **state)
{
	static const struct msg_PROC_STATUS status = { .proc = 1 };
	unsigned int i;

	(void)state;
	open_as(PROC_CLAWD, PROC_CONTROLD);
	for (i = 0; i < 1000000; i++)
		if (chan_send_PROC_STATUS(chan, 0, -1, &status) != 0)
			break;
	assert_in_range(i, 1000, 999999);
	assert_false(chan_has_room(chan, 1));
	assert_int_equal(violations + closed, 0);
	turn();
	assert_int_equal(violations, 1);
	assert_string_equal(reason, "does not read");
	assert_int_equal(closed, 0);
	done();
}

/* What was queued arrives whole and in order once the other end reads. */
static void
test_queue(void **state)
{
	struct msg_PROC_STATUS status = { .proc = 1 };
	uint8_t packet[256];
	unsigned int i, sent = 4000, n = 0;
	struct rbuf r;

	(void)state;
	open_as(PROC_CLAWD, PROC_CONTROLD);
	for (i = 0; i < sent; i++) {
		status.pid = i;
		assert_int_equal(chan_send_PROC_STATUS(chan, 0, -1, &status),
		    0);
	}
	while (n < sent) {
		while (recv(end, packet, sizeof(packet), MSG_DONTWAIT) > 0) {
			rbuf_init(&r, packet + MSG_HEADER_LEN + 2, 4);
			assert_int_equal(rbuf_u32(&r), n);
			n++;
		}
		turn();
	}
	assert_int_equal(violations + closed, 0);
	done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_and_answers),
		cmocka_unit_test(test_late_answer),
		cmocka_unit_test(test_nobody_waits_for_ever),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_violation_is_the_last),
		cmocka_unit_test(test_empty_packet),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_descriptors_are_closed),
		cmocka_unit_test(test_never_read),
		cmocka_unit_test(test_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
