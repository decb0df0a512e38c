/* SPDX-License-Identifier: ISC */
/*
 * mesh_node.c - the verbs about other nodes: node:ping, node:why, node:links,
 * node:add, node:revoke.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "claw/mesh.h"
#include "claw/out.h"
#include "common/b64.h"
#include "common/identity.h"
#include "common/joinreq.h"

#define EXPIRES_MAX_S (UINT64_C(100) * 366 * 86400)

/* node:ping */

static void
print_time(const json_t *us, const char *name, const char *what)
{
	long long t = mesh_number(us, name);

	if (t > 0)
		printf("  %-10s %8.3f ms  %s\n", name, (double)t / 1000, what);
}

static void
print_ping(const json_t *r)
{
	const json_t *us = json_object_get(r, "us");

	if (!mesh_true(r, "attested")) {
		printf("%s %s: %s\n", mesh_text(r, "address"),
		    mesh_true(r, "reached") ? "refused" : "not reached",
		    mesh_text(r, "reason"));
		return;
	}
	printf("%s at %s is attested; its registry is at update %lld\n",
	    mesh_text(r, "peer"), mesh_text(r, "address"),
	    mesh_number(r, "seq"));
	print_time(us, "connect", "connection");
	print_time(us, "leaf", "of the handshake: our leaf certificate");
	print_time(us, "verdict", "of the handshake: our verdict on its leaf");
	print_time(us, "handshake", "both have proved who they are");
	print_time(us, "welcome", "both have said WELCOME");
	print_time(us, "round_trip", "there and back");
}

int
node_ping_run(const struct cmd *c)
{
	const char *whom = c->operands[0];
	const char *param = strchr(whom, ':') != NULL ? "address" : "name";
	json_t *r;
	int status, result;

	r = mesh_ask(c, "node.ping", json_pack("{s:s}", param, whom),
	    MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	result = mesh_true(r, "attested") ? EX_OK :
	    mesh_true(r, "reached")	  ? EXIT_NEGATIVE :
					    EX_UNAVAILABLE;
	if (c->json)
		status = out_json(c, json_incref(r));
	else {
		print_ping(r);
		status = out_finish(EX_OK);
	}
	json_decref(r);
	return status != EX_OK ? status : result;
}

/* node:why */

static void
print_names(const json_t *names)
{
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	    printf("%s%s", i > 0 ? "," : "", json_string_value(name));
	if (json_array_size(names) == 0)
		printf("none");
}

static void
print_why(const json_t *r)
{
	char time[MESH_TIME_SIZE];

	printf("%s: %s\n", mesh_text(r, "standing"), mesh_text(r, "text"));
	if (json_is_string(json_object_get(r, "identity"))) {
		printf("  identity      %s\n", mesh_text(r, "identity"));
		printf("  capabilities  ");
		print_names(json_object_get(r, "capabilities"));
		printf("\n  added         by update %lld\n",
		    mesh_number(r, "added"));
	}
	if (mesh_number(r, "expiry") > 0)
		printf("  expires       %s\n",
		    mesh_time((uint64_t)mesh_number(r, "expiry"), time));
	if (mesh_text(r, "last_refusal")[0] != '\0')
		printf("  last refusal  %s, %s\n",
		    mesh_time((uint64_t)mesh_number(r, "last_refusal_ms") /
			    1000,
			time),
		    mesh_text(r, "last_refusal"));
}

int
node_why_run(const struct cmd *c)
{
	json_t *r;
	int status;
	bool admitted;

	r = mesh_ask(c, "node.why", json_pack("{s:s}", "name", c->operands[0]),
	    MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	admitted = mesh_true(r, "admitted");
	if (c->json)
		status = out_json(c, json_incref(r));
	else {
		print_why(r);
		status = out_finish(EX_OK);
	}
	json_decref(r);
	return status == EX_OK && !admitted ? EXIT_NEGATIVE : status;
}

/* node:links */

int
node_links_run(const struct cmd *c)
{
	char time[MESH_TIME_SIZE];
	const json_t *link;
	json_t *r;
	size_t i;
	int status;

	r = mesh_ask(c, "node.links", NULL, MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	json_array_foreach(json_object_get(r, "links"), i, link)
	    printf("%-20s %-22s %s  since %s  update %lld\n",
		mesh_text(link, "peer"), mesh_text(link, "address"),
		strcmp(mesh_text(link, "role"), "client") == 0 ? "dialled" :
								 "came   ",
		mesh_time((uint64_t)mesh_number(link, "since_ms") / 1000, time),
		mesh_number(link, "seq"));
	if (i == 0)
		puts("no links; claw registry:show lists the nodes");
	json_decref(r);
	return out_finish(EX_OK);
}

/* node:add, node:revoke */

static bool
set_expiry(const struct cmd *c, json_t *operands)
{
	const char *text = cmd_value(c, FLAG_ADD_EXPIRES);
	uint64_t seconds;

	if (text == NULL)
		return true;
	if (!mesh_seconds(c, FLAG_ADD_EXPIRES, text, 1, EXPIRES_MAX_S,
		&seconds))
		return false;
	(void)json_object_set_new(operands, "expiry",
	    json_integer((json_int_t)time(NULL) + (json_int_t)seconds));
	return true;
}

/* Who it is, as typed. NULL after saying what is missing. */
static json_t *
operands_typed(const struct cmd *c)
{
	const char *sealing = cmd_value(c, FLAG_ADD_SEALING);
	const char *next = cmd_value(c, FLAG_ADD_NEXT);

	if (c->n_operands == 2 && sealing != NULL)
		return json_pack("{s:s, s:s, s:s, s:s*}", "name",
		    c->operands[0], "identity", c->operands[1], "sealing",
		    sealing, "next", next);
	(void)out_error(c, stderr, EX_USAGE, "UsageError",
	    c->n_operands == 2 ?
		"node:add wants --sealing KEY, the node's key for what is "
		"sealed to it, x25519:...; claw node:invite needs no keys" :
		"node:add wants NAME and KEY, or --request FILE");
	return NULL;
}

static bool
read_request(const struct cmd *c, const char *path, struct joinreq *j)
{
	char *text;
	size_t len;
	int status;

	text = mesh_read(c, path, JOINREQ_TEXT_MAX, &len, &status);
	if (text == NULL)
		return false;
	if (len > 0 && text[len - 1] == '\n')
		len--;
	status = joinreq_parse(text, len, j);
	free(text);
	if (status != 0)
		(void)out_error(c, stderr, EX_DATAERR, "InvalidError",
		    status == -EKEYREJECTED ?
			"%s: it was changed on the way: it is not what its "
			"key has signed" :
			"%s: no request of claw init --request",
		    path);
	return status == 0;
}

/* What was typed beside the file is what it must say. */
static bool
as_expected(const struct cmd *c, const struct joinreq *j)
{
	uint8_t key[IDENTITY_LEN];

	if (c->n_operands > 0 && strcmp(c->operands[0], j->name) != 0)
		(void)out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "the request is of %s, not of %s", j->name, c->operands[0]);
	else if (c->n_operands > 1 &&
	    (identity_parse(c->operands[1], key) != 0 ||
		memcmp(key, j->identity, sizeof(key)) != 0))
		(void)out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "the request is of another key than %s", c->operands[1]);
	else
		return true;
	return false;
}

static json_t *
operands_of(const struct joinreq *j)
{
	char key[IDENTITY_TEXT_SIZE], sealing[B64URL_LEN(32) + 1], next[65];
	json_t *o;

	identity_text(j->identity, key);
	if (b64url_encode(j->sealing, 32, sealing, sizeof(sealing)) < 0)
		return NULL;
	o = json_pack("{s:s, s:s, s:s+}", "name", j->name, "identity", key,
	    "sealing", "x25519:", sealing);
	if (joinreq_has_next(j)) {
		mesh_hex(j->next, next);
		(void)json_object_set_new(o, "next", json_string(next));
	}
	return o;
}

/* The same of a file; *exit_status where there is none. */
static json_t *
operands_requested(const struct cmd *c, struct joinreq *j, int *exit_status)
{
	char key[IDENTITY_TEXT_SIZE], at[NETADDR_LIST_SIZE];

	*exit_status = EX_USAGE;
	if (cmd_value(c, FLAG_ADD_SEALING) != NULL ||
	    cmd_value(c, FLAG_ADD_NEXT) != NULL) {
		(void)out_error(c, stderr, EX_USAGE, "UsageError",
		    "the request says --sealing and --next");
		return NULL;
	}
	*exit_status = EX_DATAERR;
	if (!read_request(c, cmd_value(c, FLAG_ADD_REQUEST), j) ||
	    !as_expected(c, j))
		return NULL;
	identity_text(j->identity, key);
	netaddr_list_text(&j->at, at);
	if (!c->json)
		fprintf(stderr, "claw: adding %s, %s, reached at %s\n", j->name,
		    key, j->at.n > 0 ? at : "no address");
	return operands_of(j);
}

/* As typed, else as requested. */
static json_t *
addresses(const struct cmd *c, const struct joinreq *j)
{
	const char *typed[REGISTRY_ADDRESSES_MAX + 1];
	json_t *list = json_array();
	size_t i, n;

	n = cmd_values(c, FLAG_ADD_ADDRESS, typed, REGISTRY_ADDRESSES_MAX + 1);
	for (i = 0; i < n; i++)
		(void)json_array_append_new(list, json_string(typed[i]));
	for (i = 0; n == 0 && i < j->at.n; i++)
		(void)json_array_append_new(list, json_string(j->at.text[i]));
	return list;
}

int
node_add_run(const struct cmd *c)
{
	const char *zone = cmd_value(c, FLAG_ADD_ZONE);
	json_t *operands, *names;
	struct joinreq j = { 0 };
	int status = EX_USAGE;

	operands = cmd_value(c, FLAG_ADD_REQUEST) != NULL ?
	    operands_requested(c, &j, &status) :
	    operands_typed(c);
	if (operands == NULL)
		return status;
	names = mesh_names(c, FLAG_ADD_CAPABILITIES,
	    cmd_value(c, FLAG_ADD_CAPABILITIES));
	if (names == NULL) {
		json_decref(operands);
		return EX_USAGE;
	}
	(void)json_object_set_new(operands, "capabilities", names);
	(void)json_object_set_new(operands, "addresses", addresses(c, &j));
	if (zone != NULL)
		(void)json_object_set_new(operands, "zone", json_string(zone));
	if (!set_expiry(c, operands)) {
		json_decref(operands);
		return EX_USAGE;
	}
	return mesh_order(c, "node-add", operands);
}

int
node_revoke_run(const struct cmd *c)
{
	return mesh_order(c, "node-revoke",
	    json_pack("{s:s, s:s*}", "name", c->operands[0], "reason",
		cmd_value(c, FLAG_REVOKE_REASON)));
}
