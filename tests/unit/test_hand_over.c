/* SPDX-License-Identifier: ISC */
/*
 * test_hand_over.c - a connection of the API becomes sftd's as a whole or not
 * at all: the answer is the last that its client hears from here, nothing that
 * the client had said or was still to be told is lost on the way, and who has
 * left is not handed over.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/event.h>

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

#include "controld/client.h"

#define ASK(id)                                                                \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"method\":\"file.list\"}\n"

static struct event_base *base;
static struct sockaddr_un name = { .sun_family = AF_UNIX };
static struct request *asked[8];
static size_t nasked;

static void
on_request(struct request *r)
{
	assert_true(nasked < sizeof(asked) / sizeof(asked[0]));
	asked[nasked++] = r;
}

static void
on_denied(uint32_t uid, const char *why)
{
	(void)uid;
	fail_msg("denied: %s", why);
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 20; i++)
		assert_int_not_equal(event_base_loop(base, EVLOOP_NONBLOCK),
		    -1);
}

static int
set_up(void **state)
{
	struct client_policy policy = { .uid = (uint32_t)geteuid(),
		.gid = (uint32_t)getegid(),
		.max_clients = 16 };
	socklen_t len = sizeof(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as in every process of the house */
	/* An abstract name of the kernel's choice. */
	if (fd == -1 ||
	    bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)) == -1 ||
	    listen(fd, 8) == -1 || (base = event_base_new()) == NULL)
		return -1;
	client_setup(base, fd, on_request, on_denied);
	client_set_policy(&policy);
	client_accept();
	return getsockname(fd, (struct sockaddr *)&name, &len);
}

static socklen_t
name_len(void)
{
	return (socklen_t)(sizeof(sa_family_t) + 6); /* NUL, five digits */
}

static int
caller(const char *says)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	nasked = 0;
	assert_int_equal(connect(fd, (struct sockaddr *)&name, name_len()), 0);
	assert_int_equal(write(fd, says, strlen(says)), strlen(says));
	turn();
	return fd;
}

static const char *
heard(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static json_t *
result(void)
{
	return json_pack("{s:i}", "transfer", 7);
}

static void
taken_as_a_whole(void **state)
{
	unsigned int before = client_count();
	int fd = caller(ASK(1)), theirs;
	char c = 0;

	(void)state;
	assert_int_equal(nasked, 1);
	theirs = client_hand_over(asked[0], result());
	assert_true(theirs >= 0);
	assert_int_not_equal(fcntl(theirs, F_GETFD) & FD_CLOEXEC, 0);
	assert_string_equal(heard(fd),
	    "{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":{\"transfer\":7}}\n");
	/* It is a client no more; what it says now is for who has it. */
	assert_int_equal(client_count(), before);
	assert_int_equal(write(fd, "S", 1), 1);
	turn();
	assert_int_equal(read(theirs, &c, 1), 1);
	assert_int_equal(c, 'S');
	assert_int_equal(write(theirs, "{}\n", 3), 3);
	assert_string_equal(heard(fd), "{}\n");
	close(theirs);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
}

/* Asked for more, before or behind: then it stays ours, and says why. */
static void
not_with_others_under_way(void **state)
{
	int fd = caller(ASK(1) ASK(2));

	(void)state;
	assert_int_equal(nasked, 2);
	assert_int_equal(client_hand_over(asked[0], result()), -1);
	turn();
	assert_non_null(strstr(heard(fd), "\"error\""));
	client_answer(asked[1], json_object());
	turn();
	assert_non_null(strstr(heard(fd), "\"id\":2"));
	/* And it goes on as before. */
	nasked = 0;
	assert_int_equal(write(fd, ASK(3), strlen(ASK(3))), strlen(ASK(3)));
	turn();
	assert_int_equal(nasked, 1);
	client_answer(asked[0], json_object());
	turn();
	assert_non_null(strstr(heard(fd), "\"id\":3"));
	close(fd);
	turn();
}

static void
not_with_half_a_line(void **state)
{
	int fd = caller(ASK(1) "S");

	(void)state;
	assert_int_equal(nasked, 1);
	assert_int_equal(client_hand_over(asked[0], result()), -1);
	turn();
	assert_non_null(strstr(heard(fd), "\"error\""));
	close(fd);
	turn();
}

static void
not_who_has_left(void **state)
{
	unsigned int before = client_count();
	int fd = caller(ASK(1));

	(void)state;
	assert_int_equal(nasked, 1);
	close(fd);
	turn();
	/* Known to be gone, or found to be: never an open descriptor. */
	assert_int_equal(client_hand_over(asked[0], result()), -1);
	turn();
	assert_int_equal(client_count(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_as_a_whole),
		cmocka_unit_test(not_with_others_under_way),
		cmocka_unit_test(not_with_half_a_line),
		cmocka_unit_test(not_who_has_left),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
