/* SPDX-License-Identifier: ISC */
/*
 * test_permit.c - what keyd signs with an authority's key, and what it never
 * does: nothing that no operator asked for, and that once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attestd/permit.h"

#define NOW UINT64_C(5000)
#define CAPS UINT64_C(0x3)

static struct registry_update update;

static int
setup(void **state)
{
	(void)state;
	update = (struct registry_update){ .v = REGISTRY_VERSION,
		.op = REGISTRY_NODE_ADD,
		.seq = 7,
		.time_s = 1795270000 };
	snprintf(update.node.name, sizeof(update.node.name), "guest");
	memset(update.prev, 0x77, sizeof(update.prev));
	memset(update.node.identity, 0x11, sizeof(registry_key));
	memset(update.node.sealing, 0x22, sizeof(registry_key));
	update.node.capabilities = CAPS;
	assert_false(permit_any(0));
	return 0;
}

/* As if a day and more had gone by. */
static int
teardown(void **state)
{
	(void)state;
	return permit_invites(UINT64_MAX) ? -1 : 0;
}

static uint32_t
ask(const struct msg_PERMIT *m, uint64_t now_s)
{
	const char *why = "";
	uint32_t id = permit_add(m, now_s, &why);

	if (id == 0)
		assert_true(why != NULL && why[0] != '\0');
	else
		assert_null(why);
	return id;
}

static struct msg_PERMIT
order(void)
{
	struct msg_PERMIT m = { .op = (uint8_t)update.op, .seconds = 60 };

	assert_int_equal(regupdate_digest(&update, m.digest), 0);
	return m;
}

static struct msg_PERMIT
invite(const char *name)
{
	struct msg_PERMIT m = { .op = REGISTRY_NODE_ADD,
		.seconds = 600,
		.capabilities = CAPS };

	snprintf(m.subject, sizeof(m.subject), "%s", name);
	return m;
}

static void
test_order_is_used_up(void **state)
{
	struct msg_PERMIT m = order();

	(void)state;
	assert_false(permit_use(&update, NOW));
	assert_true(ask(&m, NOW) != 0);
	assert_true(permit_any(NOW));
	assert_false(permit_invites(NOW));
	/* Where it stands in the chain, the chain decides. */
	update.seq++;
	update.time_s++;
	memset(update.prev, 0x78, sizeof(update.prev));
	assert_true(permit_use(&update, NOW));
	assert_false(permit_use(&update, NOW));
	assert_false(permit_any(NOW));
	/* Two orders are two. */
	assert_true(ask(&m, NOW) != ask(&m, NOW));
	assert_true(permit_use(&update, NOW));
	assert_true(permit_use(&update, NOW));
	assert_false(permit_use(&update, NOW));
}

/* One change to what was ordered, and it is another update. */
#define OTHER(change)                                                          \
	do {                                                                   \
		struct registry_update was = update;                           \
		change;                                                        \
		assert_false(permit_use(&update, NOW));                        \
		update = was;                                                  \
	} while (0)

static void
test_order_is_exact(void **state)
{
	struct msg_PERMIT m = order();

	(void)state;
	assert_true(ask(&m, NOW) != 0);
	OTHER(update.node.name[0] = 'h');
	OTHER(update.node.identity[31] ^= 1);
	OTHER(update.node.sealing[0] ^= 1);
	OTHER(update.node.capabilities = 1);
	OTHER(update.node.capabilities = 7);
	OTHER(update.node.expiry_s = 1);
	OTHER(update.node.has_next = true; update.node.next[0] = 1);
	OTHER(snprintf(update.node.zone, sizeof(update.node.zone), "z"));
	OTHER(update.op = REGISTRY_NODE_REVOKE);
	OTHER(update.op = REGISTRY_FRESH);
	OTHER(update.node.name[0] = '\0');
	assert_true(permit_use(&update, NOW));
}

/* A digest that fits does not make up for an op that does not. */
static void
test_op_counts(void **state)
{
	struct msg_PERMIT m = order();

	(void)state;
	m.op = REGISTRY_NODE_ANCHOR;
	assert_true(ask(&m, NOW) != 0);
	assert_false(permit_use(&update, NOW));
}

static void
test_order_expires(void **state)
{
	struct msg_PERMIT m = order();

	(void)state;
	assert_true(ask(&m, NOW) != 0);
	assert_true(permit_any(NOW + 59));
	assert_false(permit_use(&update, NOW + 60));
	assert_false(permit_any(NOW));
	assert_true(ask(&m, NOW) != 0);
	assert_true(permit_use(&update, NOW + 59));
}

static void
test_invite(void **state)
{
	struct msg_PERMIT m = invite("guest");

	(void)state;
	assert_true(ask(&m, NOW) != 0);
	assert_true(permit_invites(NOW));
	OTHER(snprintf(update.node.name, sizeof(update.node.name), "host"));
	OTHER(snprintf(update.node.name, sizeof(update.node.name), "guest2"));
	OTHER(update.node.capabilities = CAPS | 4);
	OTHER(update.op = REGISTRY_NODE_REVOKE; update.node.capabilities = 0);
	OTHER(update.op = REGISTRY_NODE_ANCHOR);
	OTHER(memset(update.node.identity, 0, sizeof(registry_key)));
	/* Any key, fewer capabilities; once. */
	memset(update.node.identity, 0x33, sizeof(registry_key));
	update.node.capabilities = 1;
	assert_true(permit_use(&update, NOW + 599));
	assert_false(permit_use(&update, NOW + 599));
	assert_false(permit_any(NOW + 599));
	/* Who joined may ask again, until the invite ends. */
	assert_true(permit_invites(NOW + 599));
	assert_false(permit_invites(NOW + 600));
}

static void
test_invite_of_one_key(void **state)
{
	struct msg_PERMIT m = invite("guest");

	(void)state;
	memset(m.pinned, 0x44, sizeof(m.pinned));
	assert_true(ask(&m, NOW) != 0);
	memset(update.node.identity, 0x33, sizeof(registry_key));
	assert_false(permit_use(&update, NOW));
	memset(update.node.identity, 0x44, sizeof(registry_key));
	assert_true(permit_use(&update, NOW));
}

static void
test_invite_expires(void **state)
{
	struct msg_PERMIT m = invite("guest");

	(void)state;
	assert_true(ask(&m, NOW) != 0);
	assert_false(permit_use(&update, NOW + 600));
	assert_false(permit_invites(NOW));
	assert_true(ask(&m, NOW) != 0);
	assert_true(permit_use(&update, NOW + 599));
}

static void
test_what_is_no_permit(void **state)
{
	struct msg_PERMIT m;

	(void)state;
	m = order();
	m.op = REGISTRY_GENESIS;
	assert_int_equal(ask(&m, NOW), 0);
	m.op = REGISTRY_FRESH;
	assert_int_equal(ask(&m, NOW), 0);
	m.op = REGISTRY_OP_MAX;
	assert_int_equal(ask(&m, NOW), 0);
	m.op = UINT8_MAX;
	assert_int_equal(ask(&m, NOW), 0);
	m = order();
	m.seconds = 0;
	assert_int_equal(ask(&m, NOW), 0);
	m.seconds = PERMIT_ORDER_S + 1;
	assert_int_equal(ask(&m, NOW), 0);
	m.seconds = UINT32_MAX;
	assert_int_equal(ask(&m, NOW), 0);
	m = invite("");
	assert_int_equal(ask(&m, NOW), 0);
	m = invite("guest");
	m.op = REGISTRY_NODE_REVOKE;
	assert_int_equal(ask(&m, NOW), 0);
	m.op = REGISTRY_AUTHORITIES;
	assert_int_equal(ask(&m, NOW), 0);
	m = invite("guest");
	m.seconds = PERMIT_SECONDS_MAX + 1;
	assert_int_equal(ask(&m, NOW), 0);
	assert_false(permit_any(NOW));
	m.seconds = PERMIT_SECONDS_MAX;
	assert_true(ask(&m, NOW) != 0);
}

static void
test_full(void **state)
{
	struct msg_PERMIT m = invite("guest");
	uint32_t id = 0;
	int i;

	(void)state;
	for (i = 0; i < PERMIT_MAX; i++) {
		id = ask(&m, NOW);
		assert_true(id != 0);
	}
	assert_int_equal(ask(&m, NOW), 0);
	permit_end(id);
	assert_true(ask(&m, NOW) != 0);
	/* What has expired makes room. */
	assert_int_equal(ask(&m, NOW + 599), 0);
	assert_true(ask(&m, NOW + 600) != 0);
}

static void
test_taken_back(void **state)
{
	struct msg_PERMIT one = order(), two = invite("guest");
	uint32_t id = ask(&one, NOW);

	(void)state;
	permit_end(id + 1);
	permit_end(0);
	assert_true(permit_any(NOW));
	permit_end(id);
	assert_false(permit_use(&update, NOW));
	/* The operator has gone; who was invited may still come. */
	assert_true(ask(&one, NOW) != 0);
	assert_true(ask(&two, NOW) != 0);
	permit_end_orders();
	assert_true(permit_invites(NOW));
	update.node.capabilities = 0;
	assert_true(permit_use(&update, NOW));
	assert_false(permit_any(NOW));
}

/* A permit that is none covers nothing. */
static void
test_nothing_covers_nothing(void **state)
{
	(void)state;
	memset(&update, 0, sizeof(update));
	assert_false(permit_use(&update, NOW));
}

/* What could not be signed was not said, and may be asked for again. */
static void
test_fresh(void **state)
{
	(void)state;
	assert_true(permit_fresh(1));
	assert_true(permit_fresh(1));
	permit_fresh_said(1);
	assert_false(permit_fresh(1));
	assert_false(permit_fresh(PERMIT_FRESH_S));
	assert_true(permit_fresh(PERMIT_FRESH_S + 1));
	assert_true(permit_fresh(PERMIT_FRESH_S + 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order_is_used_up),
		TEST(test_order_is_exact),
		TEST(test_op_counts),
		TEST(test_order_expires),
		TEST(test_invite),
		TEST(test_invite_of_one_key),
		TEST(test_invite_expires),
		TEST(test_what_is_no_permit),
		TEST(test_full),
		TEST(test_taken_back),
		TEST(test_nothing_covers_nothing),
		TEST(test_fresh),
	};

	return cmocka_run_group_tests_name("permit", tests, NULL, NULL);
}
