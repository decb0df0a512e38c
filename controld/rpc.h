/* SPDX-License-Identifier: ISC */
/*
 * rpc.h - a line of JSON-RPC 2.0 as a checked request, and answers as lines.
 */
#ifndef CLAW_CONTROLD_RPC_H
#define CLAW_CONTROLD_RPC_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPC_LINE_MAX 65536 /* bytes of a request, without its newline */
#define RPC_TEXT_MAX 600   /* bytes of an error's sentence, with its NUL */

enum rpc_method {
#define METHOD(id, name, who, record, at_once, what) RPC_##id,
#include "policy/methods.def"
#undef METHOD
	RPC_METHODS
};

enum rpc_who { RPC_CONNECTED, RPC_OPERATOR };

struct rpc_method_def {
	const char *name;
	enum rpc_who who;
	bool recorded;
	unsigned int at_once;
};

/* The row of policy/methods.def; m is below RPC_METHODS. */
const struct rpc_method_def *rpc_method_def(enum rpc_method m);

/* Names of errors (data.name), each with its JSON-RPC code. */
enum rpc_failure {
	RPC_PARSE_ERROR,
	RPC_INVALID_REQUEST,
	RPC_METHOD_NOT_FOUND,
	RPC_INVALID_PARAMS,
	RPC_POLICY,	 /* not allowed to this client */
	RPC_UNAVAILABLE, /* may succeed later */
	RPC_CONFIG,	 /* the configuration was not taken */
	RPC_FAILED,	 /* tried and did not work */
	RPC_REGISTRY,	 /* the registry's rules do not allow it */
	RPC_FAILURES
};

struct rpc_error {
	enum rpc_failure failure;
	bool retryable;
	char text[RPC_TEXT_MAX];
};

/* Sets the error; the sentence says what to do. */
void rpc_fail(struct rpc_error *e, enum rpc_failure f, bool retryable,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* id is a string or an integer, params an object that policy/methods.def
 * has checked. Both are the request's; rpc_clear() lets go of them. */
struct rpc_request {
	enum rpc_method method;
	json_t *id;
	json_t *params;
};

/*
 * Takes one line apart, without its newline. On failure *e says why, and
 * r->id is set if the line had one, so that the answer can name it; call
 * rpc_clear() in both cases.
 */
bool rpc_parse(const char *line, size_t len, struct rpc_request *r,
    struct rpc_error *e);
void rpc_clear(struct rpc_request *r);

/* A member of checked params; NULL, false or the fallback if not given. */
const char *rpc_text(const struct rpc_request *r, const char *name);
bool rpc_flag(const struct rpc_request *r, const char *name, bool fallback);
uint64_t
rpc_number(const struct rpc_request *r, const char *name, uint64_t fallback);
bool rpc_key(const struct rpc_request *r, const char *name, uint8_t key[32]);

/*
 * The answer as a line with its newline; the caller frees it. NULL when out
 * of memory. rpc_result() takes the result over; id may be NULL in an error.
 */
char *rpc_result(json_t *id, json_t *result);
char *rpc_error(json_t *id, const struct rpc_error *e);

#endif
