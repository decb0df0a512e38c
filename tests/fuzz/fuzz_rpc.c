/* SPDX-License-Identifier: ISC */
/*
 * fuzz_rpc.c - any bytes as a line on the control socket: they are refused
 * with an error that is one line of JSON, or they are a request whose
 * parameters hold what policy/methods.def promises the handlers.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_line(char *line)
{
	json_t *answer;
	size_t len;

	if (line == NULL)
		abort();
	len = strlen(line);
	if (len == 0 || strchr(line, '\n') != line + len - 1)
		abort();
	answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(answer))
		abort();
	json_decref(answer);
	free(line);
}

static void
check_request(const struct rpc_request *r)
{
	const char *text;

	if ((unsigned int)r->method >= RPC_METHODS || r->id == NULL ||
	    !json_is_object(r->params))
		abort();
	switch (r->method) {
	case RPC_AUTH:
		text = rpc_text(r, "cookie");
		if (text == NULL || strlen(text) != 64)
			abort();
		break;
	case RPC_AUDIT_NOTE:
		text = rpc_text(r, "text");
		if (text == NULL || text[0] == '\0' || strlen(text) > 4096)
			abort();
		break;
	case RPC_NODE_RESTART:
		(void)rpc_flag(r, "graceful", true);
		break;
	default:
		if (json_object_size(r->params) != 0)
			abort();
	}
	check_line(rpc_result(r->id, json_object()));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	union {
		const uint8_t *in;
		const char *out;
	} line = { .in = data };
	struct rpc_request r;
	struct rpc_error e;

	if (rpc_parse(line.out, len, &r, &e))
		check_request(&r);
	else if (e.text[0] == '\0')
		abort();
	else
		check_line(rpc_error(r.id, &e));
	rpc_clear(&r);
	return 0;
}
