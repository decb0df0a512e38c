/* SPDX-License-Identifier: ISC */
/*
 * rpc.c - a line of JSON-RPC 2.0 as a checked request, and answers as lines.
 *
 * What may be asked, and with which parameters, is policy/methods.def; what
 * leaves this room is known to be in that table. No socket, no state. Batches
 * and notifications are not spoken here: every request has its id and its
 * line.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/identity.h"
#include "common/suggest.h"
#include "controld/rpc.h"

#define ID_MAX 128    /* bytes of an id that is a string */
#define LISTED_MAX 63 /* bytes of a name in a list of them */

static const struct rpc_method_def methods[RPC_METHODS] = {
#define CONNECTED RPC_CONNECTED
#define OPERATOR RPC_OPERATOR
#define RECORDED true
#define PLAIN false
#define METHOD(id, name, who, record, at_once, what)                           \
	[RPC_##id] = { name, who, record, at_once },
#include "policy/methods.def"
#undef METHOD
};

enum param_type { TEXT, HEX, FLAG, INT, KEY, NAMES, OBJECT };

static const struct param {
	enum rpc_method method;
	const char *name;
	enum param_type type;
	bool needed;
	size_t length;
} params[] = {
#define NEEDED true
#define OPTIONAL false
#define PARAM(method, name, type, need, length, what)                          \
	{ RPC_##method, name, type, need, length },
#include "policy/methods.def"
#undef PARAM
};

#define PARAMS (sizeof(params) / sizeof(params[0]))

static const struct {
	int code;
	const char *name;
} failures[RPC_FAILURES] = {
	[RPC_PARSE_ERROR] = { -32700, "InvalidError" },
	[RPC_INVALID_REQUEST] = { -32600, "InvalidError" },
	[RPC_METHOD_NOT_FOUND] = { -32601, "InvalidError" },
	[RPC_INVALID_PARAMS] = { -32602, "InvalidError" },
	[RPC_POLICY] = { -32001, "PolicyError" },
	[RPC_UNAVAILABLE] = { -32002, "UnavailableError" },
	[RPC_CONFIG] = { -32003, "ConfigError" },
	[RPC_FAILED] = { -32004, "FailedError" },
	[RPC_REGISTRY] = { -32005, "RegistryError" },
};

const struct rpc_method_def *
rpc_method_def(enum rpc_method m)
{
	return &methods[m];
}

void
rpc_fail(struct rpc_error *e, enum rpc_failure f, bool retryable,
    const char *fmt, ...)
{
	va_list ap;

	e->failure = f;
	e->retryable = retryable;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
}

static bool
take_id(json_t *root, struct rpc_request *r)
{
	json_t *id = json_object_get(root, "id");

	if (!json_is_integer(id) &&
	    !(json_is_string(id) && json_string_length(id) <= ID_MAX))
		return false;
	r->id = json_incref(id);
	return true;
}

static bool
take_method(json_t *root, struct rpc_request *r, struct rpc_error *e)
{
	const char *names[RPC_METHODS], *name, *near;
	unsigned int m;

	name = json_string_value(json_object_get(root, "method"));
	if (name == NULL) {
		rpc_fail(e, RPC_INVALID_REQUEST, false,
		    "a request names its method as a string");
		return false;
	}
	for (m = 0; m < RPC_METHODS; m++) {
		if (strcmp(methods[m].name, name) == 0) {
			r->method = (enum rpc_method)m;
			return true;
		}
		names[m] = methods[m].name;
	}
	near = suggest_nearest(name, names, RPC_METHODS);
	if (near != NULL)
		rpc_fail(e, RPC_METHOD_NOT_FOUND, false,
		    "no such method; did you mean %s?", near);
	else
		rpc_fail(e, RPC_METHOD_NOT_FOUND, false,
		    "no such method; claw-api(7) lists them");
	return false;
}

/* The method and its members are looked at; any other member is an error. */
static bool
take_members(json_t *root, struct rpc_error *e)
{
	static const char *const known[] = { "jsonrpc", "id", "method",
		"params" };
	const char *key, *version;
	json_t *value;
	size_t i;

	version = json_string_value(json_object_get(root, "jsonrpc"));
	if (version == NULL || strcmp(version, "2.0") != 0) {
		rpc_fail(e, RPC_INVALID_REQUEST, false,
		    "a request says \"jsonrpc\":\"2.0\"");
		return false;
	}
	json_object_foreach(root, key, value)
	{
		for (i = 0; i < 4 && strcmp(key, known[i]) != 0; i++)
			;
		if (i == 4) {
			rpc_fail(e, RPC_INVALID_REQUEST, false,
			    "a request has jsonrpc, id, method and params, "
			    "nothing else");
			return false;
		}
	}
	return true;
}

static bool
is_hex(const char *s)
{
	return s[strspn(s, "0123456789abcdef")] == '\0';
}

static bool
are_names(const json_t *list, size_t max)
{
	const json_t *name;
	size_t i;

	json_array_foreach(list, i, name)
	{
		if (json_string_length(name) == 0 ||
		    json_string_length(name) > LISTED_MAX)
			return false;
	}
	return json_is_array(list) && json_array_size(list) <= max;
}

static bool
param_good(const struct param *p, const json_t *value)
{
	size_t len = json_string_length(value);
	uint8_t key[IDENTITY_LEN];

	switch (p->type) {
	case TEXT:
		return json_is_string(value) && len >= 1 && len <= p->length;
	case HEX:
		return json_is_string(value) && len == p->length &&
		    is_hex(json_string_value(value));
	case FLAG:
		return json_is_boolean(value);
	case INT:
		return json_is_integer(value) &&
		    json_integer_value(value) >= 0 &&
		    (uint64_t)json_integer_value(value) <= p->length;
	case KEY:
		return json_is_string(value) &&
		    identity_parse(json_string_value(value), key) == 0;
	case NAMES:
		return are_names(value, p->length);
	case OBJECT:
		return json_is_object(value) &&
		    json_object_size(value) <= p->length;
	}
	return false;
}

static void
say_wrong(const struct param *p, struct rpc_error *e)
{
	switch (p->type) {
	case TEXT:
		rpc_fail(e, RPC_INVALID_PARAMS, false,
		    "%s: give a text of 1 to %zu bytes", p->name, p->length);
		break;
	case HEX:
		rpc_fail(e, RPC_INVALID_PARAMS, false,
		    "%s: give %zu hexadecimal digits", p->name, p->length);
		break;
	case FLAG:
		rpc_fail(e, RPC_INVALID_PARAMS, false, "%s: give true or false",
		    p->name);
		break;
	case INT:
		rpc_fail(e, RPC_INVALID_PARAMS, false,
		    "%s: give an integer from 0 to %zu", p->name, p->length);
		break;
	case KEY:
		rpc_fail(e, RPC_INVALID_PARAMS, false,
		    "%s: give a public key, as ed25519:... or did:key:...",
		    p->name);
		break;
	case NAMES:
		rpc_fail(e, RPC_INVALID_PARAMS, false,
		    "%s: give a list of at most %zu names", p->name, p->length);
		break;
	case OBJECT:
		rpc_fail(e, RPC_INVALID_PARAMS, false,
		    "%s: give an object with at most %zu members", p->name,
		    p->length);
		break;
	}
}

static bool
check_params(const struct rpc_request *r, struct rpc_error *e)
{
	const json_t *value;
	size_t i, known = 0;

	for (i = 0; i < PARAMS; i++) {
		if (params[i].method != r->method)
			continue;
		value = json_object_get(r->params, params[i].name);
		if (value == NULL && !params[i].needed)
			continue;
		if (value == NULL || !param_good(&params[i], value)) {
			say_wrong(&params[i], e);
			return false;
		}
		known++;
	}
	if (json_object_size(r->params) == known)
		return true;
	rpc_fail(e, RPC_INVALID_PARAMS, false,
	    "%s does not take one of these parameters; claw-api(7) lists them",
	    methods[r->method].name);
	return false;
}

static bool
take_params(json_t *root, struct rpc_request *r, struct rpc_error *e)
{
	json_t *p = json_object_get(root, "params");

	if (p != NULL && !json_is_object(p)) {
		rpc_fail(e, RPC_INVALID_PARAMS, false,
		    "params is an object of named parameters");
		return false;
	}
	r->params = p != NULL ? json_incref(p) : json_object();
	if (r->params == NULL) {
		rpc_fail(e, RPC_UNAVAILABLE, true, "out of memory");
		return false;
	}
	return check_params(r, e);
}

bool
rpc_parse(const char *line, size_t len, struct rpc_request *r,
    struct rpc_error *e)
{
	json_error_t why;
	json_t *root = NULL;
	bool good = false;

	memset(r, 0, sizeof(*r));
	if (len <= RPC_LINE_MAX)
		root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	if (root == NULL) {
		rpc_fail(e, RPC_PARSE_ERROR, false,
		    "not a line of JSON; one request to a line, of at most "
		    "%d bytes",
		    RPC_LINE_MAX);
		return false;
	}
	if (!json_is_object(root))
		rpc_fail(e, RPC_INVALID_REQUEST, false,
		    "a request is one object; batches are not taken");
	else if (!take_id(root, r))
		rpc_fail(e, RPC_INVALID_REQUEST, false,
		    "a request has an id, an integer or a string of at most "
		    "%d bytes",
		    ID_MAX);
	else
		good = take_members(root, e) && take_method(root, r, e) &&
		    take_params(root, r, e);
	json_decref(root);
	return good;
}

void
rpc_clear(struct rpc_request *r)
{
	json_decref(r->id);
	json_decref(r->params);
	r->id = r->params = NULL;
}

const char *
rpc_text(const struct rpc_request *r, const char *name)
{
	return json_string_value(json_object_get(r->params, name));
}

bool
rpc_flag(const struct rpc_request *r, const char *name, bool fallback)
{
	const json_t *value = json_object_get(r->params, name);

	return json_is_boolean(value) ? json_is_true(value) : fallback;
}

uint64_t
rpc_number(const struct rpc_request *r, const char *name, uint64_t fallback)
{
	const json_t *value = json_object_get(r->params, name);

	return json_is_integer(value) ? (uint64_t)json_integer_value(value) :
					fallback;
}

bool
rpc_key(const struct rpc_request *r, const char *name, uint8_t key[32])
{
	const char *text = rpc_text(r, name);

	return text != NULL && identity_parse(text, key) == 0;
}

/* Consumes the answer. */
static char *
as_line(json_t *answer)
{
	char *line = NULL;
	size_t len;

	if (answer == NULL)
		return NULL;
	len = json_dumpb(answer, NULL, 0, JSON_COMPACT | JSON_SORT_KEYS);
	if (len != 0 && (line = malloc(len + 2)) != NULL) {
		(void)json_dumpb(answer, line, len,
		    JSON_COMPACT | JSON_SORT_KEYS);
		line[len] = '\n';
		line[len + 1] = '\0';
	}
	json_decref(answer);
	return line;
}

char *
rpc_result(json_t *id, json_t *result)
{
	return as_line(json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id", id,
	    "result", result));
}

char *
rpc_error(json_t *id, const struct rpc_error *e)
{
	return as_line(json_pack("{s:s, s:o, s:{s:i, s:s, s:{s:s, s:b}}}",
	    "jsonrpc", "2.0", "id", id != NULL ? json_incref(id) : json_null(),
	    "error", "code", failures[e->failure].code, "message", e->text,
	    "data", "name", failures[e->failure].name, "retryable",
	    e->retryable ? 1 : 0));
}
