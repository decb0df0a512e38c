/* SPDX-License-Identifier: ISC */
/*
 * test_rpc.c - what is not a request of policy/methods.def never gets past
 * the parser, and every refusal says what to do in the form that claw-api(7)
 * promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controld/rpc.h"

static struct rpc_request request;
static struct rpc_error failure;

static bool
parse(const char *line)
{
	rpc_clear(&request);
	return rpc_parse(line, strlen(line), &request, &failure);
}

#define REFUSED(line, why)                                                     \
	do {                                                                   \
		assert_false(parse(line));                                     \
		assert_int_equal(failure.failure, why);                        \
		assert_int_not_equal(failure.text[0], '\0');                   \
	} while (0)

static void
a_request_is_taken(void **state)
{
	(void)state;
	assert_true(
	    parse("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}"));
	assert_int_equal(request.method, RPC_PING);
	assert_int_equal(json_integer_value(request.id), 7);
	assert_true(parse("{\"params\":{\"text\":\"h\\u00e9\"},\"id\":\"a\","
			  "\"method\":\"audit.note\",\"jsonrpc\":\"2.0\"}\r"));
	assert_int_equal(request.method, RPC_AUDIT_NOTE);
	assert_string_equal(rpc_text(&request, "text"), "h\303\251");
	assert_null(rpc_text(&request, "other"));
	assert_true(parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
			  "\"node.restart\",\"params\":{\"graceful\":false}}"));
	assert_false(rpc_flag(&request, "graceful", true));
	assert_true(parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
			  "\"node.restart\"}"));
	assert_true(rpc_flag(&request, "graceful", true));
	rpc_clear(&request);
}

static void
what_is_no_request_is_refused(void **state)
{
	(void)state;
	REFUSED("", RPC_PARSE_ERROR);
	REFUSED("{", RPC_PARSE_ERROR);
	REFUSED("{} {}", RPC_PARSE_ERROR);
	REFUSED("{\"id\":1,\"id\":2}", RPC_PARSE_ERROR);
	REFUSED("{\"id\":\"\\u0000\"}", RPC_PARSE_ERROR);
	REFUSED("\"\377\"", RPC_PARSE_ERROR);
	REFUSED("7", RPC_PARSE_ERROR);
	REFUSED("[]", RPC_INVALID_REQUEST);
	REFUSED("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
	    RPC_INVALID_REQUEST);
	REFUSED("{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}",
	    RPC_INVALID_REQUEST);
	REFUSED("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
	    RPC_INVALID_REQUEST);
	REFUSED("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}",
	    RPC_INVALID_REQUEST);
	REFUSED("{\"id\":1,\"method\":\"ping\"}", RPC_INVALID_REQUEST);
	REFUSED("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}",
	    RPC_INVALID_REQUEST);
	REFUSED("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":1}",
	    RPC_INVALID_REQUEST);
	REFUSED("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":3}",
	    RPC_INVALID_REQUEST);
	rpc_clear(&request);
}

static void
a_method_is_suggested(void **state)
{
	(void)state;
	REFUSED("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"staus\"}",
	    RPC_METHOD_NOT_FOUND);
	assert_non_null(strstr(failure.text, "status"));
	/* The answer can name the request. */
	assert_int_equal(json_integer_value(request.id), 1);
	REFUSED("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"launch\"}",
	    RPC_METHOD_NOT_FOUND);
	rpc_clear(&request);
}

#define NOTE                                                                   \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"audit.note\",\"params\":"
#define AUTH "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"auth\",\"params\":"
#define HALF "00112233445566778899aabbccddeeff"

static void
params_are_what_the_table_says(void **state)
{
	(void)state;
	REFUSED(NOTE "[\"text\"]}", RPC_INVALID_PARAMS);
	REFUSED(NOTE "{}}", RPC_INVALID_PARAMS);
	REFUSED(NOTE "{\"text\":\"\"}}", RPC_INVALID_PARAMS);
	REFUSED(NOTE "{\"text\":7}}", RPC_INVALID_PARAMS);
	REFUSED(NOTE "{\"text\":\"a\",\"more\":1}}", RPC_INVALID_PARAMS);
	assert_true(parse(AUTH "{\"cookie\":\"" HALF HALF "\"}}"));
	REFUSED(AUTH "{\"cookie\":\"" HALF "\"}}", RPC_INVALID_PARAMS);
	REFUSED(AUTH "{\"cookie\":\"" HALF HALF "0\"}}", RPC_INVALID_PARAMS);
	REFUSED(AUTH "{\"cookie\":\"" HALF
		     "00112233445566778899aabbccddeefg\"}}",
	    RPC_INVALID_PARAMS);
	/* What was shown is not shown again. */
	assert_null(strstr(failure.text, "eefg"));
	REFUSED("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\","
		"\"params\":{\"text\":\"a\"}}",
	    RPC_INVALID_PARAMS);
	REFUSED("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.restart\","
		"\"params\":{\"graceful\":1}}",
	    RPC_INVALID_PARAMS);
	rpc_clear(&request);
}

#define TYPED(method, params)                                                  \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method                   \
	"\",\"params\":" params "}"
#define KEY "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define DID "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"

static void
numbers_keys_lists_and_objects(void **state)
{
	uint8_t key[32];

	(void)state;
	assert_true(parse(TYPED("registry.lines", "{}")));
	assert_true(rpc_number(&request, "from", 7) == 7);
	assert_true(parse(TYPED("registry.lines", "{\"from\":12}")));
	assert_true(rpc_number(&request, "from", 7) == 12);
	assert_true(
	    parse(TYPED("registry.lines", "{\"from\":9007199254740991}")));
	REFUSED(TYPED("registry.lines", "{\"from\":9007199254740992}"),
	    RPC_INVALID_PARAMS);
	REFUSED(TYPED("registry.lines", "{\"from\":-1}"), RPC_INVALID_PARAMS);
	REFUSED(TYPED("registry.lines", "{\"from\":1.0}"), RPC_INVALID_PARAMS);
	REFUSED(TYPED("registry.lines", "{\"from\":\"1\"}"),
	    RPC_INVALID_PARAMS);
	assert_true(parse(TYPED("invite.open",
	    "{\"name\":\"a\",\"ticket_key\":\"" KEY
	    "\",\"expiry\":1,\"pinned\":\"" DID
	    "\",\"capabilities\":[\"sft.send\"]}")));
	assert_true(rpc_key(&request, "ticket_key", key));
	assert_int_equal(key[0], 0xd7);
	assert_true(rpc_key(&request, "pinned", key));
	assert_false(rpc_key(&request, "name", key));
	REFUSED(TYPED("invite.open",
		    "{\"name\":\"a\",\"ticket_key\":\"" KEY
		    "A\",\"expiry\":1}"),
	    RPC_INVALID_PARAMS);
	REFUSED(TYPED("invite.open",
		    "{\"name\":\"a\",\"ticket_key\":\"" KEY
		    "\",\"expiry\":1,\"capabilities\":[7]}"),
	    RPC_INVALID_PARAMS);
	REFUSED(TYPED("invite.open",
		    "{\"name\":\"a\",\"ticket_key\":\"" KEY
		    "\",\"expiry\":1,\"capabilities\":\"sft.send\"}"),
	    RPC_INVALID_PARAMS);
	assert_true(parse(TYPED("registry.update",
	    "{\"op\":\"policy\",\"operands\":{\"soft_s\":1}}")));
	REFUSED(TYPED("registry.update", "{\"op\":\"policy\",\"operands\":[]}"),
	    RPC_INVALID_PARAMS);
	REFUSED(TYPED("registry.update", "{\"op\":\"policy\"}"),
	    RPC_INVALID_PARAMS);
	rpc_clear(&request);
}

static void
a_text_ends_where_the_table_says(void **state)
{
	char line[8192], text[4098];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[4097] = '\0';
	snprintf(line, sizeof(line), NOTE "{\"text\":\"%s\"}}", text);
	REFUSED(line, RPC_INVALID_PARAMS);
	text[4096] = '\0';
	snprintf(line, sizeof(line), NOTE "{\"text\":\"%s\"}}", text);
	assert_true(parse(line));
	rpc_clear(&request);
}

static void
a_line_ends_where_the_manual_says(void **state)
{
	char *line = malloc(RPC_LINE_MAX + 2);

	(void)state;
	assert_non_null(line);
	memset(line, ' ', RPC_LINE_MAX + 1);
	memcpy(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", 40);
	line[RPC_LINE_MAX] = '\0';
	assert_true(parse(line));
	line[RPC_LINE_MAX] = ' ';
	line[RPC_LINE_MAX + 1] = '\0';
	REFUSED(line, RPC_PARSE_ERROR);
	free(line);
	/* Nesting is bounded by the parser, not by the stack. */
	line = malloc(RPC_LINE_MAX + 1);
	assert_non_null(line);
	memset(line, '[', RPC_LINE_MAX);
	line[RPC_LINE_MAX] = '\0';
	REFUSED(line, RPC_PARSE_ERROR);
	free(line);
	rpc_clear(&request);
}

static void
answers_are_one_line(void **state)
{
	char *line;

	(void)state;
	assert_true(
	    parse("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}"));
	line = rpc_result(request.id, json_pack("{s:s}", "a", "b\nc"));
	assert_string_equal(line,
	    "{\"id\":7,\"jsonrpc\":\"2.0\",\"result\":"
	    "{\"a\":\"b\\nc\"}}\n");
	free(line);
	rpc_fail(&failure, RPC_UNAVAILABLE, true, "try %s", "again");
	line = rpc_error(request.id, &failure);
	assert_string_equal(line,
	    "{\"error\":{\"code\":-32002,\"data\":{\"name\":"
	    "\"UnavailableError\",\"retryable\":true},\"message\":"
	    "\"try again\"},\"id\":7,\"jsonrpc\":\"2.0\"}\n");
	free(line);
	line = rpc_error(NULL, &failure);
	assert_non_null(strstr(line, "\"id\":null"));
	free(line);
	rpc_clear(&request);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(a_method_is_suggested),
		cmocka_unit_test(params_are_what_the_table_says),
		cmocka_unit_test(numbers_keys_lists_and_objects),
		cmocka_unit_test(a_text_ends_where_the_table_says),
		cmocka_unit_test(a_line_ends_where_the_manual_says),
		cmocka_unit_test(answers_are_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
