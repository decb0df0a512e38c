/* SPDX-License-Identifier: ISC */
/*
 * test_manifest.c - everything that is wrong with a manifest is found in one
 * run, where it is; and what the beta had is refused with the step to take.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/capability.h"
#include "common/manifest.h"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ATTESTATION                                                            \
	"\"attestation\":{\"required\":true,\"keyType\":\"ed25519\"}"
#define BINARY "\"binary\":{\"path\":\"bin/p\",\"sha256\":\"" SUM "\"}"
#define REST ",\"binaryCapabilities\":[]," ATTESTATION "," BINARY

static struct manifest m;
static struct manifest_report r;

static int
parse(const char *text)
{
	return manifest_parse(text, strlen(text), &m, &r);
}

/* The findings as "id field line:column", one after the other. */
static const char *
findings(const char *text)
{
	static char all[4096];
	size_t i, len = 0;

	(void)parse(text);
	all[0] = '\0';
	for (i = 0; i < r.n; i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len,
		    "%s%s %s %u:%u", i > 0 ? "; " : "", r.finding[i].id,
		    r.finding[i].field, r.finding[i].line, r.finding[i].column);
	return all;
}

/* What was published as the form of a manifest is good, now and later. */
static void
test_frozen(void **state)
{
	static const char text[] = "{\n"
				   "  \"name\": \"my-enterprise-plugin\",\n"
				   "  \"version\": \"2.1.0\",\n"
				   "  \"binaryCapabilities\": [\n"
				   "    \"sft.send\",\n"
				   "    \"sft.receive\",\n"
				   "    \"voice.bridge\"\n"
				   "  ],\n"
				   "  \"attestation\": {\n"
				   "    \"required\": true,\n"
				   "    \"keyType\": \"ed25519\"\n"
				   "  }\n"
				   "}\n";
	static const uint8_t digest[] = { 0xaa, 0x86, 0xc3, 0x41, 0x39, 0x9a,
		0x85, 0x80 };

	(void)state;
	assert_int_equal(parse(text), 0);
	assert_string_equal(m.name, "my-enterprise-plugin");
	assert_string_equal(m.version, "2.1.0");
	assert_int_equal(m.capabilities,
	    CAPABILITY_MASK(SFT_SEND) | CAPABILITY_MASK(SFT_RECEIVE) |
		CAPABILITY_MASK(VOICE_BRIDGE));
	assert_string_equal(m.binary_path, "");
	assert_memory_equal(m.digest, digest, sizeof(digest));
	assert_int_equal(r.breaking, 0);
	assert_string_equal(findings(text), "no-binary binary 1:1");
	assert_int_equal(parse("{" BINARY "," ATTESTATION
			       ",\"binaryCapabilities\":[],\"version\":\"1\","
			       "\"name\":\"p\"}"),
	    0);
	assert_int_equal(r.n, 0);
	assert_string_equal(m.binary_path, "bin/p");
	assert_int_equal(m.binary_sha256[0], 0x01);
	assert_int_equal(m.binary_sha256[31], 0xef);
}

static void
test_all_in_one_run(void **state)
{
	(void)state;
	assert_string_equal(findings("{}"),
	    "missing attestation 1:1; no-binary binary 1:1; "
	    "beta-capabilities binaryCapabilities 1:1; missing name 1:1; "
	    "missing version 1:1");
	assert_string_equal(
	    findings("{\"name\":\"UP\",\n"
		     " \"version\":7,\n"
		     "\t\"attestation\":{\"required\":false,\"kind\":[{},[]],\n"
		     "  \"keyType\":\"p256\"}, \"binaryCapabilities\":\n"
		     "[\"sft.send\",\"sft.sent\",5, \"sft.send\"],\n"
		     "\"\xc3\xa9\":1, \"extra\": {\"name\":\"}\\\"]\"},\n"
		     "\"binary\":{\"path\":\"/bin/sh\",\"sha256\":\"00\"}}"),
	    "value name 1:9; type version 2:12; value attestation.required "
	    "3:28; unknown attestation.kind 3:34; value attestation.keyType "
	    "4:13; value binaryCapabilities 5:13; type binaryCapabilities "
	    "5:24; value binaryCapabilities 5:27; unknown ?? 6:1; unknown "
	    "extra 6:8; value binary.path 7:18; value binary.sha256 7:37");
	assert_int_equal(r.breaking, 12);
	assert_non_null(strstr(r.finding[5].message, "did you mean sft.send?"));
	assert_int_equal(m.capabilities, 0);
	assert_string_equal(findings("[]"), "type  1:1");
	assert_int_equal(parse("[]"), -EINVAL);
	assert_string_equal(
	    findings("{\"name\":\"p\",\"version\":\"1\",\"attestation\":1,"
		     "\"binaryCapabilities\":\"sft.send\",\"binary\":[]}"),
	    "type attestation 1:41; type binaryCapabilities 1:64; type binary "
	    "1:84");
}

/* More faults than are told are counted. */
static void
test_many(void **state)
{
	char text[8192];
	size_t i, len = 1;

	(void)state;
	text[0] = '{';
	for (i = 0; i < 100; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "\"member%zu\":[%zu],", i, i);
	snprintf(text + len, sizeof(text) - len,
	    "\"name\":\"p\",\"version\":\"1\"" REST "}");
	assert_int_equal(parse(text), -EINVAL);
	assert_int_equal(r.n, MANIFEST_FINDINGS_MAX);
	assert_int_equal(r.untold, 100 - MANIFEST_FINDINGS_MAX);
	assert_int_equal(r.breaking, 100);
}

static const char *
one(const char *text)
{
	if (parse(text) != -EINVAL || r.n != 1)
		fail_msg("%s: %s", text, findings(text));
	return r.finding[0].fix;
}

/* Each thing of the beta names the step of the migration. */
static void
test_beta(void **state)
{
	static const char *const betas[] = { "202653", "v202653", "2026.5.3",
		"v202653-2", "1.0.0-beta.1" };
	static const char *const others[] = { "2.1.0", "202654", "v202654",
		"2026530", "2026.5.30" };
	char text[1024];
	size_t i;

	(void)state;
	assert_non_null(
	    strstr(one("{\"name\":\"p\",\"version\":\"1\"," ATTESTATION
		       "," BINARY "}"),
		"MIGRATION, step 1"));
	assert_non_null(strstr(one("{\"name\":\"p\",\"version\":\"1\","
				   "\"websocketFilePipe\":true" REST "}"),
	    "MIGRATION, step 2"));
	/* However it is spelled, and wherever it is. */
	assert_string_equal(
	    findings("{\"name\":\"p\",\"version\":\"1\",\"websocket\\u0046ileP"
		     "ipe\":{\"to\":[\"websocketFilePip\\u0065\"]}" REST "}"),
	    "beta-websocketfilepipe websocketFilePipe 1:27; "
	    "beta-websocketfilepipe websocketFilePipe 1:59");
	assert_string_equal(
	    findings("{\"name\":\"p\",\"version\":\"1\"," ATTESTATION "," BINARY
		     ",\"binaryCapabilities\":[\"websocketFilePipe\"]}"),
	    "beta-websocketfilepipe websocketFilePipe 1:203");
	for (i = 0; i < sizeof(betas) / sizeof(betas[0]); i++) {
		snprintf(text, sizeof(text),
		    "{\"name\":\"secure-file-transfer\",\"version\":\"%s\"" REST
		    "}",
		    betas[i]);
		assert_non_null(strstr(one(text), "MIGRATION, step 3"));
		snprintf(text, sizeof(text),
		    "{\"name\":\"secure-file-transfer\",\"version\":\"%s\"" REST
		    "}",
		    others[i]);
		assert_int_equal(parse(text), 0);
	}
}

static int
with_path(const char *path)
{
	char text[1024];

	snprintf(text, sizeof(text),
	    "{\"name\":\"p\",\"version\":\"1\",\"binaryCapabilities\":[]," ATTESTATION
	    ",\"binary\":{\"path\":\"%s\",\"sha256\":\"" SUM "\"}}",
	    path);
	return parse(text);
}

/* A manifest names nothing outside its own folder. */
static void
test_paths(void **state)
{
	static const char *const bad[] = { "/p", "..", "../p", "a/../p", "a/..",
		"a//p", "a/", ".", "./p", "", "a\\\\p", "a\\u0007",
		"a\\u009bm" };
	static const char *const good[] = { "p", "a/p", "..p", "a/...", ".p",
		"\xc3\xa4/p", "p q" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (with_path(bad[i]) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (with_path(good[i]) != 0)
			fail_msg("%s is refused", good[i]);
}

static void
test_not_json(void **state)
{
	static const char *const texts[] = { "", " ", "{", "{\"a\":1,}", "nul",
		"{\"a\":1}x", "{\"a\":1,\"a\":2}", "\xef\xbb\xbf{}",
		"{\"\xff\":1}", "{\"\\u0000\":1}", "{'a':1}" };
	static char big[MANIFEST_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (parse(texts[i]) != -EBADMSG)
			fail_msg("%s is taken", texts[i]);
		assert_int_equal(r.n, 1);
		assert_string_equal(r.finding[0].id, "json");
	}
	assert_string_equal(findings("{\n \"a\" 1}"), "json  2:6");
	memset(big, ' ', sizeof(big));
	memcpy(big, "{}", 2);
	assert_int_equal(manifest_parse(big, MANIFEST_MAX, &m, &r), -EINVAL);
	assert_int_equal(manifest_parse(big, sizeof(big), &m, &r), -EBADMSG);
}

/* What others wrote is shown so that no terminal obeys it. */
static void
test_shown(void **state)
{
	const char *p;
	size_t i;

	(void)state;
	(void)parse("{\"name\":\"\\u001b[2J\",\"\\u001b]0;x\\u0007\":1,"
		    "\"version\":\"\\n\"}");
	for (i = 0; i < r.n; i++) {
		for (p = r.finding[i].message; *p != '\0'; p++)
			assert_true(*p >= ' ' && *p <= '~');
		for (p = r.finding[i].field; *p != '\0'; p++)
			assert_true(*p >= ' ' && *p <= '~');
	}
	(void)parse("{\"a\":\x1b]0;x\x07}");
	for (p = r.finding[0].message; *p != '\0'; p++)
		assert_true(*p >= ' ' && *p <= '~');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_all_in_one_run),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_beta),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_shown),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
