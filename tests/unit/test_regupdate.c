/* SPDX-License-Identifier: ISC */
/*
 * test_regupdate.c - an update has one JSON, one binary form, and bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/capability.h"
#include "common/registry.h"

/* Keys that nobody checks are on the curve: any bytes of no small order. */
static void
fill(uint8_t *out, uint8_t with)
{
	memset(out, with, 32);
}

static void
set(char *out, size_t size, const char *s)
{
	assert_true((size_t)snprintf(out, size, "%s", s) < size);
}

#define SET(field, s) set(field, sizeof(field), s)

static struct registry_update
sample(enum registry_op op)
{
	struct registry_update u;

	memset(&u, 0, sizeof(u));
	u.v = 1;
	u.op = op;
	u.seq = op == REGISTRY_GENESIS ? 0 : 7;
	if (op != REGISTRY_GENESIS)
		fill(u.prev, 0xaa);
	u.time_s = 1795270217;
	switch (op) {
	case REGISTRY_GENESIS:
	case REGISTRY_AUTHORITIES:
		u.set.count = 3;
		u.set.threshold = 2;
		fill(u.set.authority[0], 0x11);
		fill(u.set.authority[1], 0x12);
		fill(u.set.authority[2], 0x13);
		u.set.has_fresh = true;
		fill(u.set.fresh[0], 0x21);
		fill(u.set.fresh[2], 0x23);
		u.windows.soft_s = 86400;
		u.windows.hard_s = 1209600;
		break;
	case REGISTRY_NODE_ADD:
	case REGISTRY_NODE_ANCHOR:
		SET(u.node.name, "node-1");
		fill(u.node.identity, 0x31);
		fill(u.node.sealing, 0x32);
		u.node.has_next = true;
		fill(u.node.next, 0x33);
		if (op == REGISTRY_NODE_ANCHOR) {
			u.node.ksn = 4;
			fill(u.node.event, 0x34);
			break;
		}
		u.node.capabilities =
		    CAPABILITY_MASK(VOICE_CONNECT) | CAPABILITY_MASK(SFT_SEND);
		SET(u.node.zone, "ward-3");
		u.node.addresses = 2;
		SET(u.node.address[0], "node-1.example:7411");
		SET(u.node.address[1], "[2001:db8::1]:7411");
		u.node.expiry_s = 1895270217;
		break;
	case REGISTRY_NODE_REVOKE:
		SET(u.node.name, "node-1");
		SET(u.reason, "lost in a taxi (2026-11-20)");
		break;
	case REGISTRY_BINARY_ALLOW:
		SET(u.binary.name, "bridge");
		SET(u.binary.version, "1.2.0-rc1");
		SET(u.binary.channel, "beta");
		u.binary.capabilities = CAPABILITY_MASK(VOICE_BRIDGE);
		fill(u.binary.sha256, 0x41);
		break;
	case REGISTRY_BINARY_REVOKE:
		fill(u.binary.sha256, 0x41);
		break;
	case REGISTRY_DEVELOPER_ADD:
	case REGISTRY_DEVELOPER_REVOKE:
		if (op == REGISTRY_DEVELOPER_ADD)
			fill(u.developer.key, 0x51);
		SET(u.developer.name, "alice");
		break;
	case REGISTRY_POLICY:
		u.windows.soft_s = 1;
		u.windows.hard_s = REGISTRY_WINDOW_MAX;
		break;
	case REGISTRY_RESOLVE:
		u.resolve.common = 5;
		u.resolve.heads = 2;
		fill(u.resolve.head[0], 0x61);
		fill(u.resolve.head[1], 0xaa);
		fill(u.resolve.chosen, 0xaa);
		break;
	case REGISTRY_FRESH:
	case REGISTRY_OP_MAX:
		break;
	}
	return u;
}

static struct registry_rotation
rotation(void)
{
	struct registry_rotation r = { .v = 1, .ksn = 3, .has_next = true };

	SET(r.name, "node-1");
	fill(r.prev, 0x71);
	fill(r.identity, 0x72);
	fill(r.sealing, 0x73);
	fill(r.next, 0x74);
	r.time_s = 1795270217;
	return r;
}

#define H(x)                                                                   \
	"sha256:" x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x  \
	    x x
#define PREV "\"prev\":\"" H("aa") "\","
#define TIME "\"time\":1795270217,\"v\":1"
#define K11 "ERERERERERERERERERERERERERERERERERERERERERE"
#define K12 "EhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhI"
#define K13 "ExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExM"
#define K21 "ISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhISE"
#define K23 "IyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyM"
#define K31 "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE"
#define K32 "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI"
#define K51 "UVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVE"
#define KEYS                                                                   \
	"\"authorities\":[\"ed25519:" K11 "\",\"ed25519:" K12                  \
	"\",\"ed25519:" K13 "\"],\"fresh\":[\"ed25519:" K21                    \
	"\",\"\",\"ed25519:" K23 "\"],"

static const char *const expected[REGISTRY_OP_MAX] = {
	[REGISTRY_GENESIS] = "{" KEYS "\"hard_s\":1209600,\"op\":\"genesis\","
			     "\"prev\":\"\",\"seq\":0,\"soft_s\":86400,"
			     "\"threshold\":2," TIME "}",
	[REGISTRY_AUTHORITIES] = "{" KEYS "\"op\":\"authorities\"," PREV
				 "\"seq\":7,\"threshold\":2," TIME "}",
	[REGISTRY_NODE_ADD] =
	    "{\"addresses\":[\"node-1.example:7411\",\"[2001:db8::1]:7411\"],"
	    "\"capabilities\":[\"sft.send\",\"voice.connect\"],"
	    "\"expiry\":1895270217,\"identity\":\"ed25519:" K31
	    "\",\"name\":\"node-1\",\"next\":\"" H(
		"33") "\",\"op\":\"node-add\"," PREV "\"sealing\":\"x25519:" K32
		      "\",\"seq\":7," TIME ",\"zone\":\"ward-3\"}",
	[REGISTRY_NODE_ANCHOR] = "{\"event\":\"" H(
	    "34") "\",\"identity\":\"ed25519:" K31
		  "\",\"ksn\":4,\"name\":\"node-1\",\"next\":\"" H(
		      "33") "\",\"op\":\"node-anchor\"," PREV
			    "\"sealing\":\"x25519:" K32 "\",\"seq\":7," TIME
			    "}",
	[REGISTRY_NODE_REVOKE] =
	    "{\"name\":\"node-1\",\"op\":\"node-revoke\"," PREV
	    "\"reason\":\"lost in a taxi (2026-11-20)\",\"seq\":7," TIME "}",
	[REGISTRY_BINARY_ALLOW] =
	    "{\"capabilities\":[\"voice.bridge\"],\"channel\":\"beta\","
	    "\"name\":\"bridge\",\"op\":\"binary-allow\"," PREV
	    "\"seq\":7,\"sha256\":\"4141414141414141414141414141414141414141"
	    "414141414141414141414141\"," TIME ",\"version\":\"1.2.0-rc1\"}",
	[REGISTRY_BINARY_REVOKE] =
	    "{\"op\":\"binary-revoke\"," PREV
	    "\"seq\":7,\"sha256\":\"4141414141414141414141414141414141414141"
	    "414141414141414141414141\"," TIME "}",
	[REGISTRY_DEVELOPER_ADD] =
	    "{\"key\":\"ed25519:" K51 "\",\"name\":\"alice\","
	    "\"op\":\"developer-add\"," PREV "\"seq\":7," TIME "}",
	[REGISTRY_DEVELOPER_REVOKE] =
	    "{\"name\":\"alice\",\"op\":\"developer-revoke\"," PREV
	    "\"seq\":7," TIME "}",
	[REGISTRY_POLICY] = "{\"hard_s\":2147483647,\"op\":\"policy\"," PREV
			    "\"seq\":7,\"soft_s\":1," TIME "}",
	[REGISTRY_FRESH] = "{\"op\":\"fresh\"," PREV "\"seq\":7," TIME "}",
	[REGISTRY_RESOLVE] =
	    "{\"chosen\":\"" H("aa") "\",\"common\":5,\"heads\":[\"" H(
		"61") "\",\"" H("aa") "\"],\"op\":\"resolve\"," PREV
				      "\"seq\":7," TIME "}",
};

static void
test_json_of_every_operation(void **state)
{
	char json[REGUPDATE_JSON_MAX];
	struct registry_update u;
	unsigned int op;

	(void)state;
	for (op = 0; op < REGISTRY_OP_MAX; op++) {
		u = sample((enum registry_op)op);
		assert_int_equal(regupdate_json(&u, json, sizeof(json)),
		    strlen(expected[op]));
		assert_string_equal(json, expected[op]);
		/* One byte less is too little, and so is all before it. */
		assert_int_equal(regupdate_json(&u, json, strlen(expected[op])),
		    -ENOSPC);
		assert_int_equal(regupdate_op(regupdate_op_name(u.op)), op);
	}
	assert_int_equal(regupdate_op("node-adds"), REGISTRY_OP_MAX);
	assert_null(regupdate_op_name(REGISTRY_OP_MAX));
}

static void
test_json_of_a_rotation(void **state)
{
	struct registry_rotation r = rotation(), back;
	char json[REGUPDATE_JSON_MAX];
	uint8_t bytes[REGUPDATE_BYTES_MAX];
	ssize_t n, i;

	(void)state;
	assert_true(regupdate_rotation_json(&r, json, sizeof(json)) > 0);
	assert_string_equal(json,
	    "{\"identity\":\"ed25519:"
	    "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI\","
	    "\"ksn\":3,\"name\":\"node-1\",\"next\":\"" H("74") "\",\"prev\":\"" H(
		"71") "\",\"sealing\":\"x25519:"
		      "c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M\"," TIME
		      "}");
	n = regupdate_rotation_put(&r, bytes, sizeof(bytes));
	assert_true(n > 0);
	assert_int_equal(regupdate_rotation_get(&back, bytes, (size_t)n), 0);
	assert_memory_equal(&back, &r, sizeof(r));
	for (i = 0; i < n; i++)
		assert_int_equal(
		    regupdate_rotation_get(&back, bytes, (size_t)i), -EBADMSG);
	r.ksn = 0;
	assert_int_equal(regupdate_rotation_json(&r, json, sizeof(json)),
	    -EINVAL);
}

static void
test_bytes_come_back(void **state)
{
	uint8_t bytes[REGUPDATE_BYTES_MAX + 1], again[REGUPDATE_BYTES_MAX];
	char json[REGUPDATE_JSON_MAX];
	struct registry_update u, back;
	unsigned int op;
	ssize_t n, i;

	(void)state;
	for (op = 0; op < REGISTRY_OP_MAX; op++) {
		u = sample((enum registry_op)op);
		n = regupdate_put(&u, bytes, sizeof(bytes));
		assert_in_range(n, 1, REGUPDATE_BYTES_MAX);
		assert_int_equal(regupdate_get(&back, bytes, (size_t)n), 0);
		assert_true(regupdate_json(&back, json, sizeof(json)) > 0);
		assert_string_equal(json, expected[op]);
		assert_int_equal(regupdate_put(&back, again, sizeof(again)), n);
		assert_memory_equal(again, bytes, (size_t)n);
		assert_int_equal(regupdate_put(&u, again, (size_t)n - 1),
		    -ENOSPC);
		for (i = 0; i < n; i++)
			assert_int_equal(regupdate_get(&back, bytes, (size_t)i),
			    -EBADMSG);
		bytes[n] = 0;
		assert_int_equal(regupdate_get(&back, bytes, (size_t)n + 1),
		    -EBADMSG);
	}
}

/* The largest there can be fits all bounds. */
static void
test_largest(void **state)
{
	struct registry_signature sigs[REGISTRY_SIGS_MAX];
	struct registry_update u = sample(REGISTRY_GENESIS);
	uint8_t bytes[REGUPDATE_BYTES_MAX];
	char line[REGISTRY_LINE_MAX + 1];
	uint8_t i;

	(void)state;
	u.set.count = REGISTRY_AUTHORITIES_MAX;
	u.set.threshold = REGISTRY_AUTHORITIES_MAX;
	for (i = 0; i < REGISTRY_AUTHORITIES_MAX; i++) {
		fill(u.set.authority[i], (uint8_t)(0x10 + i));
		fill(u.set.fresh[i], (uint8_t)(0x70 + i));
	}
	for (i = 0; i < REGISTRY_SIGS_MAX; i++) {
		fill(sigs[i].kid, (uint8_t)(0xff - i));
		memset(sigs[i].sig, i, sizeof(sigs[i].sig));
	}
	assert_null(regupdate_check(&u));
	assert_true(regupdate_put(&u, bytes, sizeof(bytes)) > 0);
	assert_true(regupdate_line(&u, sigs, REGISTRY_SIGS_MAX, line,
			sizeof(line)) > 0);
	u = sample(REGISTRY_NODE_ADD);
	memset(u.node.name, 'n', sizeof(u.node.name) - 1);
	memset(u.node.zone, 'z', sizeof(u.node.zone) - 1);
	u.node.capabilities = capability_all();
	u.node.addresses = REGISTRY_ADDRESSES_MAX;
	for (i = 0; i < REGISTRY_ADDRESSES_MAX; i++) {
		memset(u.node.address[i], 'a' + i,
		    sizeof(u.node.address[i]) - 1);
		memcpy(u.node.address[i] + sizeof(u.node.address[i]) - 7,
		    ":65535", 7);
	}
	assert_null(regupdate_check(&u));
	assert_true(regupdate_put(&u, bytes, sizeof(bytes)) > 0);
	assert_true(regupdate_line(&u, sigs, REGISTRY_SIGS_MAX, line,
			sizeof(line)) > 0);
}

static void
test_line_has_its_signers_in_order(void **state)
{
	struct registry_update u = sample(REGISTRY_FRESH);
	struct registry_signature sigs[2];
	char one[REGISTRY_LINE_MAX], other[REGISTRY_LINE_MAX];

	(void)state;
	memset(sigs, 0, sizeof(sigs));
	fill(sigs[0].kid, 2);
	fill(sigs[1].kid, 1);
	assert_true(regupdate_line(&u, sigs, 2, one, sizeof(one)) > 0);
	fill(sigs[0].kid, 1);
	fill(sigs[1].kid, 2);
	assert_true(regupdate_line(&u, sigs, 2, other, sizeof(other)) > 0);
	assert_string_equal(one, other);
	fill(sigs[1].kid, 1);
	assert_int_equal(regupdate_line(&u, sigs, 2, one, sizeof(one)),
	    -EINVAL);
	assert_true(regupdate_line(&u, NULL, 0, one, sizeof(one)) > 0);
	assert_memory_equal(one, "{\"sigs\":[],\"u\":{", 16);
}

static void
test_texts(void **state)
{
	static const char *const good[] = { "node1.example:1", "10.0.0.1:65535",
		"[::1]:7411", "[fe80::1%eth0]:80" };
	static const char *const bad[] = { "", ":1", "host", "host:", "host:0",
		"host:065", "host:65536", "host:123456", "ho st:1", "a:b:1",
		"::1:80", "[]:1", "[::1]", "[::1]80", "[::1]:0", "h]:1",
		"[a]b:1", "host:1\n", "h\"st:1", "h\\:1" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(regupdate_address_ok(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(regupdate_address_ok(bad[i]));
	assert_true(regupdate_name_ok("a"));
	assert_true(regupdate_name_ok("node-1"));
	assert_false(regupdate_name_ok(""));
	assert_false(regupdate_name_ok("-a"));
	assert_false(regupdate_name_ok("a-"));
	assert_false(regupdate_name_ok("Node"));
	assert_false(regupdate_name_ok("a.b"));
	assert_true(regupdate_reason_ok(""));
	assert_true(regupdate_reason_ok("stolen, see ticket 5/7 (ops)."));
	assert_false(regupdate_reason_ok("say \"why\""));
	assert_false(regupdate_reason_ok("two\nlines"));
	assert_false(regupdate_reason_ok("back\\slash"));
}

#define REFUSED(op, change)                                                    \
	do {                                                                   \
		struct registry_update u = sample(op);                         \
		uint8_t b[REGUPDATE_BYTES_MAX];                                \
		change;                                                        \
		assert_non_null(regupdate_check(&u));                          \
		assert_int_equal(regupdate_put(&u, b, sizeof(b)), -EINVAL);    \
	} while (0)

static void
test_bounds(void **state)
{
	(void)state;
	REFUSED(REGISTRY_FRESH, u.v = 2);
	REFUSED(REGISTRY_FRESH, u.seq = 0);
	REFUSED(REGISTRY_FRESH, u.seq = UINT64_C(1) << 53);
	REFUSED(REGISTRY_FRESH, u.time_s = UINT64_C(1) << 53);
	REFUSED(REGISTRY_GENESIS, u.seq = 1);
	REFUSED(REGISTRY_GENESIS, u.prev[0] = 1);
	REFUSED(REGISTRY_GENESIS, u.set.count = 0);
	REFUSED(REGISTRY_GENESIS, u.set.count = 33);
	REFUSED(REGISTRY_GENESIS, u.set.threshold = 1);
	REFUSED(REGISTRY_GENESIS, u.set.threshold = 4);
	REFUSED(REGISTRY_GENESIS, u.windows.soft_s = 0);
	REFUSED(REGISTRY_GENESIS, u.windows.hard_s = 86399);
	REFUSED(REGISTRY_GENESIS, u.windows.hard_s = UINT32_C(1) << 31);
	REFUSED(REGISTRY_AUTHORITIES, fill(u.set.authority[1], 0x11));
	REFUSED(REGISTRY_AUTHORITIES, fill(u.set.authority[1], 0));
	REFUSED(REGISTRY_AUTHORITIES, fill(u.set.fresh[2], 0x21));
	REFUSED(REGISTRY_AUTHORITIES, fill(u.set.fresh[2], 0x11));
	REFUSED(REGISTRY_AUTHORITIES,
	    memset(u.set.fresh, 0, sizeof(u.set.fresh)));
	REFUSED(REGISTRY_NODE_ADD, u.node.name[0] = 'N');
	REFUSED(REGISTRY_NODE_ADD, fill(u.node.identity, 0));
	REFUSED(REGISTRY_NODE_ADD, fill(u.node.sealing, 0));
	REFUSED(REGISTRY_NODE_ADD, fill(u.node.next, 0));
	REFUSED(REGISTRY_NODE_ADD, u.node.capabilities |= UINT64_C(1) << 63);
	REFUSED(REGISTRY_NODE_ADD, u.node.addresses = 5);
	REFUSED(REGISTRY_NODE_ADD, SET(u.node.address[1], "x"));
	REFUSED(REGISTRY_NODE_ADD,
	    SET(u.node.address[1], "node-1.example:7411"));
	REFUSED(REGISTRY_NODE_ADD, SET(u.node.zone, "Ward"));
	REFUSED(REGISTRY_NODE_ADD, u.node.expiry_s = UINT64_MAX);
	REFUSED(REGISTRY_NODE_ANCHOR, u.node.ksn = 0);
	REFUSED(REGISTRY_NODE_REVOKE, SET(u.reason, "\t"));
	REFUSED(REGISTRY_BINARY_ALLOW, SET(u.binary.name, ""));
	REFUSED(REGISTRY_BINARY_ALLOW, SET(u.binary.version, ""));
	REFUSED(REGISTRY_BINARY_ALLOW, SET(u.binary.version, "1 2"));
	REFUSED(REGISTRY_BINARY_ALLOW, SET(u.binary.channel, "GA"));
	REFUSED(REGISTRY_DEVELOPER_ADD, fill(u.developer.key, 0));
	REFUSED(REGISTRY_DEVELOPER_REVOKE, SET(u.developer.name, "a b"));
	REFUSED(REGISTRY_POLICY, u.windows.soft_s = 0);
	REFUSED(REGISTRY_RESOLVE, u.resolve.heads = 1);
	REFUSED(REGISTRY_RESOLVE, u.resolve.heads = 9);
	REFUSED(REGISTRY_RESOLVE, u.resolve.common = 6);
	REFUSED(REGISTRY_RESOLVE, fill(u.resolve.head[0], 0xab));
	REFUSED(REGISTRY_RESOLVE, fill(u.resolve.chosen, 0x61));
	REFUSED(REGISTRY_RESOLVE, fill(u.resolve.head[1], 0xac));
}

/* A permit is for what an update does, wherever it comes to stand. */
static void
test_digest_has_no_place(void **state)
{
	struct registry_update u, moved;
	registry_hash one, other, seen[REGISTRY_OP_MAX];
	unsigned int op, i;

	(void)state;
	for (op = 0; op < REGISTRY_OP_MAX; op++) {
		u = moved = sample((enum registry_op)op);
		moved.seq = 99;
		moved.time_s = 5;
		fill(moved.prev, 0x99);
		assert_int_equal(regupdate_digest(&u, one), 0);
		assert_int_equal(regupdate_digest(&moved, other), 0);
		assert_memory_equal(one, other, sizeof(one));
		memcpy(seen[op], one, sizeof(one));
		for (i = 0; i < op; i++)
			assert_memory_not_equal(seen[i], one, sizeof(one));
	}
	u = sample(REGISTRY_NODE_ADD);
	u.node.capabilities = 0;
	assert_int_equal(regupdate_digest(&u, one), 0);
	assert_memory_not_equal(seen[REGISTRY_NODE_ADD], one, sizeof(one));
	u.node.addresses = 200;
	assert_int_equal(regupdate_digest(&u, one), -EINVAL);
}

static void
test_capabilities(void **state)
{
	const char *names[CAPABILITIES_MAX];
	char text[CAPABILITY_LIST_MAX];
	uint64_t mask;

	(void)state;
	assert_int_equal(capability_of("sft.send", 8),
	    CAPABILITY_MASK(SFT_SEND));
	assert_int_equal(capability_of("sft.send", 7), 0);
	assert_int_equal(capability_parse("voice.connect,sft.send", &mask), 0);
	assert_true(capability_list(mask, text, sizeof(text)) > 0);
	assert_string_equal(text, "sft.send,voice.connect");
	assert_int_equal(capability_list(mask, text, 22), -ENOSPC);
	assert_int_equal(capability_names(mask, names), 2);
	assert_string_equal(names[0], "sft.send");
	assert_int_equal(capability_parse("", &mask), 0);
	assert_int_equal(mask, 0);
	assert_int_equal(capability_parse("sft.send,", &mask), -EINVAL);
	assert_int_equal(capability_parse(",sft.send", &mask), -EINVAL);
	assert_int_equal(capability_parse("sft.send,sft.send", &mask), -EINVAL);
	assert_int_equal(capability_parse("sft.fly", &mask), -EINVAL);
	assert_int_equal(capability_list(UINT64_C(1) << 63, text, sizeof(text)),
	    -EINVAL);
	assert_true(capability_list(capability_all(), text, sizeof(text)) > 0);
	assert_non_null(capability_text("sft.send"));
	assert_null(capability_text("sft"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_of_every_operation),
		cmocka_unit_test(test_json_of_a_rotation),
		cmocka_unit_test(test_bytes_come_back),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_line_has_its_signers_in_order),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_digest_has_no_place),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
