/* SPDX-License-Identifier: ISC */
/*
 * test_netaddr.c - what a node says of where it is reached is an address of
 * one machine, or is refused with a reason.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/netaddr.h"

static void
reachable(void **state)
{
	static const char *const good[] = { "192.0.2.1:7946", "127.0.0.1:1",
		"[2001:db8::1]:65535", "[::1]:7946" };
	static const char *const bad[] = { "", "0.0.0.0:7946", "[::]:7946",
		"0.1.2.3:7946", "224.0.0.1:7946", "255.255.255.255:7946",
		"[ff02::1]:7946", "[::ffff:192.0.2.1]:7946", "192.0.2.1",
		"192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:07946",
		"node.example:7946", "[fe80::1%eth0]:7946", " 192.0.2.1:7946",
		"192.0.2.1:7946 ", "192.0.2.01:7946" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (netaddr_fault(good[i]) != NULL)
			fail_msg("%s %s", good[i], netaddr_fault(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (netaddr_fault(bad[i]) == NULL)
			fail_msg("%s is taken", bad[i]);
	assert_true(netaddr_is_wildcard("0.0.0.0:7946"));
	assert_true(netaddr_is_wildcard("[::]:7946"));
	assert_false(netaddr_is_wildcard("[::1]:7946"));
	assert_false(netaddr_is_wildcard("nothing"));
}

static void
lists(void **state)
{
	static const char all[] = "192.0.2.1:1 192.0.2.1:2 [::1]:3 192.0.2.4:4";
	char text[NETADDR_LIST_SIZE];
	struct netaddr_list l;

	(void)state;
	assert_null(netaddr_list_parse(&l, all));
	assert_int_equal(l.n, 4);
	assert_string_equal(l.text[2], "[::1]:3");
	netaddr_list_text(&l, text);
	assert_string_equal(text, all);
	assert_non_null(netaddr_add(&l, "192.0.2.5:5"));
	assert_null(netaddr_list_parse(&l, ""));
	assert_int_equal(l.n, 0);
	netaddr_list_text(&l, text);
	assert_string_equal(text, "");
	assert_non_null(netaddr_list_parse(&l, "192.0.2.1:1 192.0.2.1:1"));
	assert_non_null(netaddr_list_parse(&l, "192.0.2.1:1  192.0.2.1:2"));
	assert_non_null(netaddr_list_parse(&l, "192.0.2.1:1 "));
	assert_non_null(netaddr_list_parse(&l, " 192.0.2.1:1"));
}

static void
bytes(void **state)
{
	static const char all[] = "192.0.2.1:1 [2001:db8::1]:2";
	struct netaddr_list l, back;
	uint8_t buf[NETADDR_BYTES_MAX];
	struct rbuf r;
	struct wbuf w;
	size_t i;

	(void)state;
	assert_null(netaddr_list_parse(&l, all));
	wbuf_init(&w, buf, sizeof(buf));
	netaddr_put(&w, &l);
	assert_false(w.failed);
	rbuf_init(&r, buf, w.len);
	assert_int_equal(netaddr_get(&r, &back), 0);
	assert_true(rbuf_done(&r));
	assert_memory_equal(&l, &back, sizeof(l));
	for (i = 0; i < w.len; i++) {
		rbuf_init(&r, buf, i);
		assert_int_equal(netaddr_get(&r, &back), -EBADMSG);
	}
	buf[0] = NETADDR_MAX + 1;
	rbuf_init(&r, buf, w.len);
	assert_int_equal(netaddr_get(&r, &back), -EBADMSG);
	buf[0] = 2;
	buf[3] = '\0';
	rbuf_init(&r, buf, w.len);
	assert_int_equal(netaddr_get(&r, &back), -EBADMSG);
	buf[3] = 'x';
	rbuf_init(&r, buf, w.len);
	assert_int_equal(netaddr_get(&r, &back), -EADDRNOTAVAIL);
	assert_true(rbuf_done(&r));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reachable),
		cmocka_unit_test(lists),
		cmocka_unit_test(bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
