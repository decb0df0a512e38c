/* SPDX-License-Identifier: ISC */
/*
 * test_file.c - sizes as people type and read them; and an sftd that was taken
 * over says what it likes about a transfer, but draws nothing on the terminal
 * of who follows it.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "claw/file.h"

/* The verbs themselves are not what is tested here. */
#define VERB(id, name, operands, min, max, run, what)                          \
	int run(const struct cmd *c);                                          \
	int run(const struct cmd *c)                                           \
	{                                                                      \
		(void)c;                                                       \
		return 0;                                                      \
	}
#include "claw/commands.def"
#undef VERB

static void
sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "8M", 8 << 20 },
		{ "8MiB", 8 << 20 },
		{ "8m", 8 << 20 },
		{ "20MB", 20000000 },
		{ "20MB/s", 20000000 },
		{ "1K/s", 1024 },
		{ "3B", 3 },
		{ "2GB", 2000000000 },
		{ "2G", UINT64_C(2) << 30 },
		{ "1T", UINT64_C(1) << 40 },
		{ "4194304T", UINT64_C(1) << 62 },
		{ "1125899906842624", UINT64_C(1) << 50 },
	};
	static const char *const bad[] = { "", "M", "-1", "+1", " 1", "1 M",
		"1.5G", "0x10", "8Q", "8MM", "8M/", "8M/h", "/s", "1/s/s",
		"4194305T", "1125899906842625", "99999999999999999999999",
		"18446744073709551617", "1GiBiBiBiB" };
	uint64_t n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		n = 77;
		if (!file_size(good[i].text, &n) || n != good[i].bytes)
			fail_msg("%s: %llu", good[i].text,
			    (unsigned long long)n);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (file_size(bad[i], &n))
			fail_msg("\"%s\" was taken for %llu", bad[i],
			    (unsigned long long)n);
}

static void
sizes_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} say[] = {
		{ 0, "0 B" },
		{ 999, "999 B" },
		{ 1000, "1.00 kB" },
		{ 9994, "9.99 kB" },
		{ 12345, "12.3 kB" },
		{ 999499, "999 kB" },
		{ 999500, "1.00 MB" },
		{ 4200000000, "4.20 GB" },
		{ UINT64_MAX, "18447 PB" },
	};
	char out[FILE_SIZE_TEXT];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(say) / sizeof(say[0]); i++)
		assert_string_equal(file_size_text(say[i].bytes, out),
		    say[i].text);
}

/* What following these lines prints, and ends with. */
static char printed[65536];

static int
follow(const char *lines, bool json)
{
	struct cmd c = { .json = json };
	struct api api = { .fd = -1 };
	int sv[2], out, err, tmp, status;
	ssize_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(write(sv[1], lines, strlen(lines)), strlen(lines));
	close(sv[1]);
	api.fd = sv[0];
	fflush(stdout);
	fflush(stderr);
	out = dup(STDOUT_FILENO);
	err = dup(STDERR_FILENO);
	tmp = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_true(out != -1 && err != -1 && tmp != -1);
	dup2(tmp, STDOUT_FILENO);
	dup2(tmp, STDERR_FILENO);
	status = file_follow(&c, &api);
	fflush(stdout);
	fflush(stderr);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	n = pread(tmp, printed, sizeof(printed) - 1, 0);
	assert_true(n >= 0);
	printed[n] = '\0';
	close(tmp);
	api_close(&api);
	return status;
}

static void
ends(void **state)
{
	static const struct {
		const char *line;
		int status;
	} last[] = {
		{ "{\"event\":\"receipt\",\"ms\":1}", EX_OK },
		{ "{\"event\":\"detached\"}", EX_OK },
		{ "{\"event\":\"dry-run\"}", EX_OK },
		{ "{\"event\":\"error\",\"code\":1,\"text\":\"t\"}",
		    EX_NOPERM },
		{ "{\"event\":\"error\",\"code\":6,\"text\":\"t\"}",
		    EX_DATAERR },
		{ "{\"event\":\"error\",\"code\":10,\"text\":\"t\"}", 1 },
		{ "{\"event\":\"error\",\"code\":16,\"text\":\"t\"}",
		    EX_TEMPFAIL },
		{ "{\"event\":\"error\",\"code\":0}", EX_UNAVAILABLE },
		{ "{\"event\":\"error\",\"code\":17}", EX_UNAVAILABLE },
		{ "{\"event\":\"error\",\"code\":-1}", EX_UNAVAILABLE },
		{ "{\"event\":\"error\",\"code\":\"1\"}", EX_UNAVAILABLE },
		{ "{\"event\":\"error\",\"code\":9223372036854775807}",
		    EX_UNAVAILABLE },
	};
	char lines[256];
	size_t i;
	int json;

	(void)state;
	for (i = 0; i < sizeof(last) / sizeof(last[0]); i++)
		for (json = 0; json < 2; json++) {
			/* What is unknown is passed over, not an end. */
			snprintf(lines, sizeof(lines),
			    "{\"event\":\"new\"}\n{}\n%s\n{\"event\":1}\n",
			    last[i].line);
			assert_int_equal(follow(lines, json != 0),
			    last[i].status);
		}
	/* It ends and has not said how: that is no success. */
	assert_int_equal(follow("{\"event\":\"progress\"}\n", false),
	    EX_TEMPFAIL);
	assert_int_equal(follow("", false), EX_TEMPFAIL);
	assert_int_not_equal(follow("nonsense\n", false), EX_OK);
	assert_int_not_equal(follow("[]\n", false), EX_OK);
}

/* Escapes, returns, other lines, and C1 as a terminal may take it. */
#define EVIL "\\u001b[2J\\r\\n\\u009b31m\\u202e\\u0007\\u007f"

static void
draws_nothing(void **state)
{
	static const char *const events[] = {
		"{\"event\":\"attested\",\"peer\":\"" EVIL
		"\",\"address\":\"" EVIL "\",\"seq\":-1}",
		"{\"event\":\"accepted\",\"id\":\"" EVIL "\"}",
		"{\"event\":\"accepted\",\"id\":\"" EVIL
		"\",\"resumed\":true,\"have\":-5}",
		"{\"event\":\"again\",\"chunk\":-1,\"text\":\"" EVIL "\"}",
		"{\"event\":\"progress\",\"durable\":-1,\"size\":-1,"
		"\"rate\":-1,\"limit\":\"" EVIL "\"}",
		"{\"event\":\"" EVIL "\"}",
		"{\"event\":\"receipt\",\"ms\":-1,\"blake3\":\"" EVIL
		"\",\"id\":\"" EVIL "\",\"peer\":\"" EVIL "\"}",
		"{\"event\":\"error\",\"code\":1,\"text\":\"" EVIL
		"\",\"hint\":\"" EVIL "\",\"name\":\"" EVIL "\"}",
	};
	char lines[1024];
	size_t i, k, n;

	(void)state;
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		snprintf(lines, sizeof(lines), "%s\n{\"event\":\"detached\"}\n",
		    events[i]);
		(void)follow(lines, false);
		n = 0;
		for (k = 0; printed[k] != '\0'; k++) {
			n += printed[k] == '\n';
			if (printed[k] != '\n' &&
			    ((unsigned char)printed[k] < 0x20 ||
				(unsigned char)printed[k] == 0x7f))
				fail_msg("%s drew 0x%02x", events[i],
				    (unsigned int)printed[k]);
		}
		/* One line each, whatever it says, and the last event's. */
		assert_true(n <= 2);
		assert_null(strstr(printed, "\302\233"));
		assert_null(strstr(printed, "\342\200\256"));
	}
}

static void
json_is_one_line_an_event(void **state)
{
	(void)state;
	(void)follow("{\"event\":\"again\",\"text\":\"" EVIL "\"}\n"
		     "{\"event\":\"detached\"}\n",
	    true);
	assert_null(strchr(printed, '\033'));
	assert_null(strchr(printed, '\r'));
	assert_non_null(strstr(printed, "\\u001B"));
	assert_ptr_equal(strrchr(printed, '\n'), printed + strlen(printed) - 1);
	*strrchr(printed, '\n') = '\0';
	assert_non_null(strchr(printed, '\n'));
	*strchr(printed, '\n') = ' ';
	assert_null(strchr(printed, '\n'));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(sizes_for_people),
		cmocka_unit_test(ends),
		cmocka_unit_test(draws_nothing),
		cmocka_unit_test(json_is_one_line_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
