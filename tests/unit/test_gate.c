/* SPDX-License-Identifier: ISC */
/*
 * test_gate.c - what passes the gate is what policy/messages.def allows: tried
 * for every message, sender, receiver and state, with every kind of
 * descriptor; limits, requests and answers.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/gate.h"

static const enum msg_when whens[] = { WHEN_BOOT, WHEN_RUN, WHEN_DRAIN };
static uint8_t packet[2 * MSG_MAX_LEN];
static struct msg m;
static struct gate_request *asked;
static const char *reason;

/* A packet of that type with the shortest body there is. */
static size_t
shortest(const struct msg_rule *rule, uint32_t id)
{
	size_t len;
	struct wbuf w;

	memset(packet, 0, sizeof(packet));
	for (len = 0; !msg_body_valid(rule, packet, len); len++)
		assert_true(len < MSG_MAX_LEN);
	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, rule->type);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, (uint32_t)len);
	wbuf_u32(&w, id);
	return MSG_HEADER_LEN + len;
}

static enum gate_verdict
check(struct gate *g, size_t len, int fd, unsigned int nfds, uint64_t now)
{
	enum gate_verdict v;

	m = (struct msg){ .fd = -1 };
	asked = NULL;
	reason = NULL;
	v = gate_check(g, packet, len, fd, nfds, now, &m, &asked, &reason);
	assert_int_equal(v == GATE_REFUSE, reason != NULL);
	assert_int_equal(v == GATE_REPLY, asked != NULL);
	return v;
}

/* One message, from `peer` to `self` in a state: a new channel each time. */
static enum gate_verdict
once(const struct msg_rule *rule, enum proc self, enum proc peer,
    enum msg_when when, int fd, unsigned int nfds, bool was_asked)
{
	enum gate_verdict v;
	struct gate g;
	uint32_t id = rule->limit == LIMIT_REPLY || rule->reply != MSG_NONE;
	const struct msg_rule *r;
	static int cookie;
	size_t n;

	gate_init(&g, self, peer);
	g.when = when;
	if (was_asked) {
		for (r = msg_rules(&n); r->reply != rule->type; r++)
			continue;
		assert_int_equal(gate_ask(&g, r, &cookie), 1);
	}
	v = check(&g, shortest(rule, id), fd, nfds, 1);
	free(asked);
	gate_clear(&g);
	return v;
}

/* Every row, every pair of processes, every state. */
static void
test_who_when_what(void **state)
{
	const struct msg_rule *r;
	unsigned int self, peer, k;
	int fds[5] = { -1, -1, -1, -1, -1 }, pair[2], stream[2];
	enum gate_verdict v;
	size_t i, n;
	bool may, answer;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	fds[FD_IS_CHANNEL] = pair[0];
	fds[FD_IS_STREAM] = stream[0];
	fds[FD_IS_FILE] = memfd_create("file", 0);
	fds[FD_IS_FOLDER] = open("/", O_PATH | O_DIRECTORY);
	r = msg_rules(&n);
	for (i = 0; i < n; i++)
		for (self = 0; self < PROC_MAX; self++)
			for (peer = 0; peer < PROC_MAX; peer++)
				for (k = 0; k < 3; k++) {
					may = (r[i].senders & PROC_BIT(peer)) !=
						0 &&
					    (r[i].receivers & PROC_BIT(self)) !=
						0 &&
					    (r[i].when & whens[k]) != 0;
					answer = r[i].limit == LIMIT_REPLY;
					v = once(&r[i], (enum proc)self,
					    (enum proc)peer, whens[k],
					    fds[r[i].fd], r[i].fd != FD_NONE,
					    answer && r[i].type != MSG_REFUSED);
					if (r[i].type == MSG_REFUSED)
						may = false; /* not asked */
					assert_int_equal(v,
					    !may       ? GATE_REFUSE :
						answer ? GATE_REPLY :
							 GATE_PASS);
				}
	close(pair[0]);
	close(pair[1]);
	close(stream[0]);
	close(stream[1]);
	close(fds[FD_IS_FILE]);
	close(fds[FD_IS_FOLDER]);
}

/* Each message with every kind and number of descriptors. */
static void
test_descriptors(void **state)
{
	enum { FILE_FD, CHANNEL_FD, STREAM_FD, DIR_FD, PIPE_FD, KINDS };
	const struct msg_rule *r;
	int fd[KINDS], seq[2], stream[2], p[2];
	unsigned int self, peer, nfds, k;
	enum gate_verdict v;
	size_t i, n;
	bool right;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seq), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	assert_int_equal(pipe(p), 0);
	fd[FILE_FD] = memfd_create("file", 0);
	fd[CHANNEL_FD] = seq[0];
	fd[STREAM_FD] = stream[0];
	fd[DIR_FD] = open("/", O_PATH | O_DIRECTORY);
	fd[PIPE_FD] = p[0];
	r = msg_rules(&n);
	for (i = 0; i < n; i++) {
		if (r[i].type == MSG_REFUSED)
			continue;
		for (peer = 0; (r[i].senders & PROC_BIT(peer)) == 0;)
			peer++;
		for (self = 0; (r[i].receivers & PROC_BIT(self)) == 0;)
			self++;
		for (k = 0; k < KINDS; k++)
			for (nfds = 0; nfds < 6; nfds++) {
				right = r[i].fd == FD_NONE ? nfds == 0 :
							     nfds == 1 &&
					k ==
					    (r[i].fd == FD_IS_FILE ?
						    FILE_FD :
						    r[i].fd == FD_IS_FOLDER ?
						    DIR_FD :
						    r[i].fd == FD_IS_STREAM ?
						    STREAM_FD :
						    CHANNEL_FD);
				v = once(&r[i], (enum proc)self,
				    (enum proc)peer,
				    (r[i].when & WHEN_RUN) != 0 ? WHEN_RUN :
								  WHEN_BOOT,
				    nfds == 0 ? -1 : fd[k], nfds,
				    r[i].limit == LIMIT_REPLY);
				assert_int_equal(v == GATE_REFUSE, !right);
			}
	}
	for (k = 0; k < 2; k++) {
		close(seq[k]);
		close(stream[k]);
		close(p[k]);
	}
	close(fd[FILE_FD]);
	close(fd[DIR_FD]);
}

/* A header that is not as it should be. */
static void
test_headers(void **state)
{
	const struct msg_rule *rule = msg_rule(MSG_LOGKEY_CLOSE);
	size_t len, i;
	struct gate g;

	(void)state;
	gate_init(&g, PROC_KEYD, PROC_AUDITD);
	g.when = WHEN_RUN;
	len = shortest(rule, 1);
	for (i = 0; i < len; i++)
		assert_int_equal(check(&g, i, -1, 0, 1), GATE_REFUSE);
	assert_int_equal(check(&g, len + 1, -1, 0, 1), GATE_REFUSE);
	/* Every bit of type, flags and length is looked at. */
	for (i = 0; i < 64; i++) {
		packet[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(check(&g, len, -1, 0, 1), GATE_REFUSE);
		packet[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(check(&g, len, -1, 0, 1), GATE_PASS);
	gate_clear(&g);
}

static void
test_request_ids(void **state)
{
	const struct msg_rule *rule = msg_rule(MSG_AUDIT_APPEND);
	struct gate g;

	(void)state;
	gate_init(&g, PROC_AUDITD, PROC_CONTROLD);
	g.when = WHEN_RUN;
	assert_int_equal(check(&g, shortest(rule, 0), -1, 0, 1), GATE_REFUSE);
	assert_int_equal(check(&g, shortest(rule, 5), -1, 0, 1), GATE_PASS);
	assert_int_equal(check(&g, shortest(rule, 5), -1, 0, 1), GATE_REFUSE);
	assert_int_equal(check(&g, shortest(rule, 4), -1, 0, 1), GATE_REFUSE);
	/* An answered number does not come back either. */
	assert_true(gate_answer(&g, 5, MSG_AUDIT_APPENDED));
	assert_int_equal(check(&g, shortest(rule, 5), -1, 0, 1), GATE_REFUSE);
	assert_int_equal(check(&g, shortest(rule, UINT32_MAX), -1, 0, 1),
	    GATE_PASS);
	/* A notice has none. */
	gate_clear(&g);
	gate_init(&g, PROC_CLAWD, PROC_METRICD);
	rule = msg_rule(MSG_VIOLATION);
	assert_int_equal(check(&g, shortest(rule, 1), -1, 0, 1), GATE_REFUSE);
	gate_clear(&g);
}

/* What we answer is what was asked, once. */
static void
test_our_answers(void **state)
{
	const struct msg_rule *rule = msg_rule(MSG_AUDIT_APPEND);
	struct gate g;

	(void)state;
	gate_init(&g, PROC_AUDITD, PROC_CONTROLD);
	g.when = WHEN_RUN;
	assert_false(gate_answer(&g, 1, MSG_AUDIT_APPENDED));
	assert_int_equal(check(&g, shortest(rule, 1), -1, 0, 1), GATE_PASS);
	assert_int_equal(check(&g, shortest(rule, 2), -1, 0, 1), GATE_PASS);
	assert_false(gate_answer(&g, 3, MSG_AUDIT_APPENDED));
	assert_false(gate_answer(&g, 1, MSG_LOGKEY));
	assert_true(gate_answer(&g, 2, MSG_REFUSED));
	assert_false(gate_answer(&g, 2, MSG_REFUSED));
	assert_true(gate_answer(&g, 1, MSG_AUDIT_APPENDED));
	assert_true(TAILQ_EMPTY(&g.owed));
	gate_clear(&g);
}

/* What we are answered is what we asked, once. */
static void
test_their_answers(void **state)
{
	const struct msg_rule *ask = msg_rule(MSG_CHECKPOINT_SIGN);
	const struct msg_rule *yes = msg_rule(MSG_CHECKPOINT_SIGNED);
	const struct msg_rule *no = msg_rule(MSG_REFUSED);
	static int cookie;
	struct gate g;

	(void)state;
	gate_init(&g, PROC_AUDITD, PROC_KEYD);
	g.when = WHEN_RUN;
	assert_int_equal(check(&g, shortest(yes, 1), -1, 0, 1), GATE_REFUSE);
	assert_int_equal(check(&g, shortest(no, 1), -1, 0, 1), GATE_REFUSE);
	assert_int_equal(gate_ask(&g, ask, &cookie), 1);
	assert_int_equal(gate_ask(&g, ask, &cookie), 2);
	assert_int_equal(check(&g, shortest(msg_rule(MSG_LOGKEY), 1), -1, 0, 1),
	    GATE_REFUSE);
	assert_int_equal(check(&g, shortest(yes, 3), -1, 0, 1), GATE_REFUSE);
	assert_int_equal(check(&g, shortest(yes, 2), -1, 0, 1), GATE_REPLY);
	assert_ptr_equal(asked->cookie, &cookie);
	assert_int_equal(asked->id, 2);
	free(asked);
	assert_int_equal(check(&g, shortest(yes, 2), -1, 0, 1), GATE_REFUSE);
	assert_int_equal(check(&g, shortest(no, 1), -1, 0, 1), GATE_REPLY);
	free(asked);
	assert_int_equal(check(&g, shortest(no, 1), -1, 0, 1), GATE_REFUSE);
	gate_clear(&g);
}

/* An answer to what was given up is no violation, and comes once too. */
static void
test_late_answers(void **state)
{
	const struct msg_rule *yes = msg_rule(MSG_CHECKPOINT_SIGNED);
	static int cookie;
	struct gate g;

	(void)state;
	gate_init(&g, PROC_AUDITD, PROC_KEYD);
	g.when = WHEN_DRAIN;
	(void)gate_ask(&g, msg_rule(MSG_CHECKPOINT_SIGN), &cookie);
	TAILQ_FIRST(&g.asked)->cookie = NULL;
	assert_int_equal(check(&g, shortest(msg_rule(MSG_LOGKEY), 1), -1, 0, 1),
	    GATE_REFUSE);
	assert_int_equal(check(&g, shortest(yes, 1), -1, 0, 1), GATE_LATE);
	assert_int_equal(g.late, 1);
	assert_int_equal(check(&g, shortest(yes, 1), -1, 0, 1), GATE_REFUSE);
	gate_clear(&g);
}

/* Each limit of the table: so many, and not one more. */
static void
test_limits(void **state)
{
	const struct msg_rule *r;
	unsigned int self, peer;
	int fd, pair[2], stream[2], file, folder;
	struct gate g;
	uint32_t k, most;
	size_t i, n, len;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	file = memfd_create("file", 0);
	folder = open("/", O_PATH | O_DIRECTORY);
	r = msg_rules(&n);
	for (i = 0; i < n; i++) {
		if (r[i].limit == LIMIT_REPLY)
			continue;
		for (peer = 0; (r[i].senders & PROC_BIT(peer)) == 0;)
			peer++;
		for (self = 0; (r[i].receivers & PROC_BIT(self)) == 0;)
			self++;
		gate_init(&g, (enum proc)self, (enum proc)peer);
		g.when = (r[i].when & WHEN_RUN) != 0 ? WHEN_RUN : WHEN_BOOT;
		fd = r[i].fd == FD_NONE	    ? -1 :
		    r[i].fd == FD_IS_FILE   ? file :
		    r[i].fd == FD_IS_FOLDER ? folder :
		    r[i].fd == FD_IS_STREAM ? stream[0] :
					      pair[0];
		most = r[i].limit == LIMIT_ONCE ? 1 : r[i].limit;
		for (k = 1; k <= most; k++) {
			len = shortest(&r[i], r[i].reply == MSG_NONE ? 0 : k);
			assert_int_equal(check(&g, len, fd, fd != -1, 7),
			    GATE_PASS);
		}
		len = shortest(&r[i], r[i].reply == MSG_NONE ? 0 : k);
		assert_int_equal(check(&g, len, fd, fd != -1, 7), GATE_REFUSE);
		/* An answer makes room for a request, a second for notices. */
		if (r[i].reply != MSG_NONE)
			assert_true(gate_answer(&g, 1, r[i].reply));
		assert_int_equal(check(&g, len, fd, fd != -1, 8),
		    r[i].limit == LIMIT_ONCE ? GATE_REFUSE : GATE_PASS);
		gate_clear(&g);
	}
	close(file);
	close(folder);
	close(stream[0]);
	close(stream[1]);
	close(pair[0]);
	close(pair[1]);
}

/* Ids of our own never come twice; at the end there are none. */
static void
test_our_ids(void **state)
{
	const struct msg_rule *ask = msg_rule(MSG_PING);
	struct gate g;

	(void)state;
	gate_init(&g, PROC_CLAWD, PROC_KEYD);
	assert_int_equal(gate_ask(&g, ask, NULL), 1);
	g.next_id = UINT32_MAX - 1;
	assert_true(gate_ask(&g, ask, NULL) == UINT32_MAX);
	assert_int_equal(gate_ask(&g, ask, NULL), 0);
	gate_clear(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_when_what),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_request_ids),
		cmocka_unit_test(test_our_answers),
		cmocka_unit_test(test_their_answers),
		cmocka_unit_test(test_late_answers),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_our_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
