/* SPDX-License-Identifier: ISC */
/*
 * fuzz_rpc.c - any bytes as a line on the control socket: they are refused
 * with an error that is one line of JSON, or they are a request whose
 * parameters hold what policy/methods.def promises the handlers.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controld/operands.h"
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

/* Orders to the registry: no operand makes an update that has no form. */
static void
check_update(const struct rpc_request *r)
{
	static uint8_t bytes[REGUPDATE_BYTES_MAX];
	static struct registry_update u;
	char why[256] = "";

	if (rpc_text(r, "op") == NULL ||
	    !json_is_object(json_object_get(r->params, "operands")))
		abort();
	if (!operands_read(rpc_text(r, "op"),
		json_object_get(r->params, "operands"), &u, why, sizeof(why))) {
		if (why[0] == '\0')
			abort();
	} else if (regupdate_put(&u, bytes, sizeof(bytes)) <= 0)
		abort();
}

static void
check_invite(const struct rpc_request *r)
{
	uint8_t key[32];

	if (!rpc_key(r, "ticket_key", key) || rpc_text(r, "name") == NULL ||
	    strlen(rpc_text(r, "name")) > 63 ||
	    rpc_number(r, "expiry", UINT64_MAX) > 9007199254740991)
		abort();
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
	case RPC_REGISTRY_UPDATE:
	case RPC_REGISTRY_PROPOSE:
		check_update(r);
		break;
	case RPC_INVITE_OPEN:
		check_invite(r);
		break;
	case RPC_TOKEN_MINT:
	case RPC_TOKEN_CHECK:
		text = rpc_text(r, "leaf");
		if (text == NULL || strlen(text) != 64)
			abort();
		break;
	case RPC_REGISTRY_IMPORT:
		text = rpc_text(r, "lines");
		if (text == NULL || text[0] == '\0' || strlen(text) > 24576)
			abort();
		break;
	case RPC_REGISTRY_INSPECT:
	case RPC_REGISTRY_SIGN:
	case RPC_REGISTRY_SUBMIT:
		text = rpc_text(r, "line");
		if (text == NULL || text[0] == '\0' || strlen(text) > 16384)
			abort();
		break;
	case RPC_NODE_PING:
	case RPC_NODE_WHY:
	case RPC_INVITE_ANSWER:
		text = rpc_text(r, "name");
		if (text != NULL && strlen(text) > 63)
			abort();
		break;
	case RPC_REGISTRY_LINES:
		if (rpc_number(r, "from", 0) > 9007199254740991)
			abort();
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
