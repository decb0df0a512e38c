/* SPDX-License-Identifier: ISC */
/*
 * test_operands.c - an order to change the registry is what the operator
 * wrote, member for member, or an error that names the operand; what was
 * written wrongly is never repeated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/capability.h"
#include "controld/operands.h"

#define KEY1 "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define KEY2 "ed25519:PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"
#define SEALING "x25519:hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct registry_update u;
static char why[256];

static bool
take(const char *op, const char *text)
{
	json_t *operands = json_loads(text, 0, NULL);
	bool good;

	assert_non_null(operands);
	memset(why, 0, sizeof(why));
	good = operands_read(op, operands, &u, why, sizeof(why));
	json_decref(operands);
	assert_int_equal(good, why[0] == '\0');
	return good;
}

/* It has a binary form, which is how it goes to attestd. */
static void
assert_sendable(void)
{
	static uint8_t bytes[REGUPDATE_BYTES_MAX];
	static struct registry_update again;
	ssize_t n = regupdate_put(&u, bytes, sizeof(bytes));

	assert_true(n > 0);
	assert_int_equal(regupdate_get(&again, bytes, (size_t)n), 0);
	assert_int_equal(again.op, u.op);
}

static void
every_operation_is_taken(void **state)
{
	static const char *const good[][2] = {
		{ "authorities",
		    "{\"authorities\":[\"" KEY1 "\"],\"threshold\":1}" },
		{ "authorities",
		    "{\"authorities\":[\"" KEY1 "\"],\"threshold\":1,"
		    "\"fresh\":[\"" KEY2 "\"]}" },
		{ "node-add",
		    "{\"name\":\"a\",\"identity\":\"" KEY1
		    "\",\"sealing\":\"" SEALING "\"}" },
		{ "node-anchor",
		    "{\"name\":\"a\",\"identity\":\"" KEY1
		    "\",\"sealing\":\"" SEALING "\",\"ksn\":1,\"event\":\"" HASH
		    "\"}" },
		{ "node-revoke", "{\"name\":\"a\"}" },
		{ "binary-allow",
		    "{\"name\":\"a\",\"version\":\"1\",\"channel\":\"ga\","
		    "\"sha256\":\"" HASH "\"}" },
		{ "binary-revoke",
		    "{\"sha256\":\"sha256:" HASH "\",\"reason\":\"old\"}" },
		{ "developer-add", "{\"name\":\"a\",\"key\":\"" KEY1 "\"}" },
		{ "developer-revoke", "{\"name\":\"a\"}" },
		{ "policy", "{\"soft_s\":1,\"hard_s\":2}" },
		{ "resolve", "{\"chosen\":\"" HASH "\"}" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!take(good[i][0], good[i][1]))
			fail_msg("%s: %s", good[i][0], why);
		assert_string_equal(regupdate_op_name(u.op), good[i][0]);
		assert_sendable();
	}
}

static void
a_node_is_what_was_written(void **state)
{
	(void)state;
	assert_true(take("node-add",
	    "{\"name\":\"tokyo\",\"identity\":\"" KEY1
	    "\",\"sealing\":\"" SEALING "\",\"next\":\"" HASH
	    "\",\"capabilities\":[\"voice.accept\",\"sft.send\"],\"zone\":"
	    "\"asia\",\"addresses\":[\"192.0.2.1:1\",\"[2001:db8::1]:2\"],"
	    "\"expiry\":1800000000}"));
	assert_string_equal(u.node.name, "tokyo");
	assert_string_equal(u.node.zone, "asia");
	assert_int_equal(u.node.identity[0], 0xd7);
	assert_int_equal(u.node.sealing[0], 0x85);
	assert_true(u.node.has_next);
	assert_int_equal(u.node.next[1], 0x11);
	assert_true(u.node.capabilities ==
	    (CAPABILITY_MASK(VOICE_ACCEPT) | CAPABILITY_MASK(SFT_SEND)));
	assert_int_equal(u.node.addresses, 2);
	assert_string_equal(u.node.address[1], "[2001:db8::1]:2");
	assert_int_equal(u.node.expiry_s, 1800000000);
	assert_string_equal(operands_subject(&u), "tokyo");
	assert_true(take("node-revoke", "{\"name\":\"a\",\"reason\":\"x\"}"));
	assert_false(u.node.has_next);
	assert_string_equal(u.reason, "x");
	assert_true(take("policy", "{\"soft_s\":60,\"hard_s\":3600}"));
	assert_int_equal(u.windows.soft_s, 60);
	assert_int_equal(u.windows.hard_s, 3600);
	assert_string_equal(operands_subject(&u), "");
}

static void
what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *op, *operands, *names;
	} wrong[] = {
		{ "genesis", "{}", "op:" },
		{ "fresh", "{}", "op:" },
		{ "no-such", "{}", "op:" },
		{ "node-revoke", "{}", "name" },
		{ "node-revoke", "{\"name\":7}", "name" },
		{ "node-revoke", "{\"name\":\"\"}", "name" },
		{ "node-revoke", "{\"name\":\"A B\"}", "name" },
		{ "node-revoke", "{\"name\":\"a\",\"why\":\"b\"}", "reason" },
		{ "node-revoke", "{\"name\":\"a\",\"reason\":\"\\u00e9\"}",
		    "reason" },
		{ "node-add", "{\"name\":\"a\",\"identity\":\"" KEY1 "\"}",
		    "sealing" },
		{ "node-add",
		    "{\"name\":\"a\",\"identity\":\"" SEALING
		    "\",\"sealing\":\"" SEALING "\"}",
		    "identity" },
		{ "node-add",
		    "{\"name\":\"a\",\"identity\":\"" KEY1
		    "\",\"sealing\":\"" KEY1 "\"}",
		    "sealing" },
		{ "node-add",
		    "{\"name\":\"a\",\"identity\":\"" KEY1
		    "\",\"sealing\":\"" SEALING
		    "\",\"capabilities\":[\"root\"]}",
		    "capabilities" },
		{ "node-add",
		    "{\"name\":\"a\",\"identity\":\"" KEY1
		    "\",\"sealing\":\"" SEALING
		    "\",\"capabilities\":[\"sft.send\",\"sft.send\"]}",
		    "capabilities" },
		{ "node-add",
		    "{\"name\":\"a\",\"identity\":\"" KEY1
		    "\",\"sealing\":\"" SEALING
		    "\",\"addresses\":[\"a:1\",\"b:1\",\"c:1\",\"d:1\","
		    "\"e:1\"]}",
		    "addresses" },
		{ "node-add",
		    "{\"name\":\"a\",\"identity\":\"" KEY1
		    "\",\"sealing\":\"" SEALING "\",\"expiry\":-1}",
		    "expiry" },
		{ "binary-revoke", "{\"sha256\":\"00\"}", "sha256" },
		{ "policy", "{\"soft_s\":1,\"hard_s\":2147483648}", "hard_s" },
		{ "policy", "{\"soft_s\":2,\"hard_s\":1}", "policy" },
		{ "policy", "{\"soft_s\":1.5,\"hard_s\":2}", "soft_s" },
		{ "authorities", "{\"authorities\":[],\"threshold\":1}",
		    "authorities" },
		{ "authorities",
		    "{\"authorities\":[\"" KEY1 "\",\"" KEY2
		    "\"],\"threshold\":1}",
		    "threshold" },
		{ "authorities",
		    "{\"authorities\":[\"" KEY1 "\",\"" KEY2
		    "\"],\"threshold\":2,\"fresh\":[\"\"]}",
		    "fresh" },
		{ "resolve", "{\"chosen\":[]}", "chosen" },
		{ "resolve", "{\"chosen\":\"" HASH "\",\"heads\":[]}",
		    "chosen" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_false(take(wrong[i].op, wrong[i].operands));
		if (strstr(why, wrong[i].names) == NULL)
			fail_msg("%s %s says: %s", wrong[i].op,
			    wrong[i].operands, why);
	}
}

static void
what_was_written_is_not_repeated(void **state)
{
	(void)state;
	assert_false(take("canary-op", "{}"));
	assert_null(strstr(why, "canary"));
	assert_false(take("node-revoke", "{\"name\":\"a\",\"canary\":1}"));
	assert_null(strstr(why, "canary"));
	assert_false(take("node-revoke", "{\"name\":\"Canary\"}"));
	assert_null(strstr(why, "Canary"));
}

static void
too_many_keys_are_no_set(void **state)
{
	json_t *keys = json_array(), *operands;
	size_t i;

	(void)state;
	for (i = 0; i < REGISTRY_AUTHORITIES_MAX + 1; i++)
		json_array_append_new(keys, json_string(KEY1));
	operands = json_pack("{s:o, s:i}", "authorities", keys, "threshold",
	    REGISTRY_AUTHORITIES_MAX);
	assert_false(
	    operands_read("authorities", operands, &u, why, sizeof(why)));
	json_decref(operands);
}

/* Another head stands beside the chosen one, in order, until attestd puts the
 * right ones there. */
static void
a_resolve_has_a_form_for_any_head(void **state)
{
	char text[96];
	unsigned int i;

	(void)state;
	for (i = 0; i < 256; i++) {
		snprintf(text, sizeof(text), "{\"chosen\":\"%.62s%02x\"}", HASH,
		    i);
		assert_true(take("resolve", text));
		assert_int_equal(u.resolve.chosen[31], i);
		assert_sendable();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_is_taken),
		cmocka_unit_test(a_node_is_what_was_written),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(what_was_written_is_not_repeated),
		cmocka_unit_test(too_many_keys_are_no_set),
		cmocka_unit_test(a_resolve_has_a_form_for_any_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
