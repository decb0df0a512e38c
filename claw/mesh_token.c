/* SPDX-License-Identifier: ISC */
/*
 * mesh_token.c - the verbs token:mint and token:check.
 *
 * A token is printed to standard output and read from standard input: never
 * an argument, which every process can read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "claw/mesh.h"
#include "claw/out.h"
#include "common/token.h"

/* The digits of a hash that a flag gives; NULL after saying that it is none. */
static const char *
leaf_of(const struct cmd *c, enum cmd_flag f)
{
	const char *text = cmd_value(c, f);
	uint8_t hash[32];

	if (text != NULL && mesh_hash(text, hash))
		return strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
	(void)out_error(c, stderr, EX_USAGE, "UsageError",
	    "%s wants --leaf SHA256, 64 hexadecimal digits",
	    cmd_verb_def(c->verb)->name);
	return NULL;
}

int
token_mint_run(const struct cmd *c)
{
	const char *audience = cmd_value(c, FLAG_MINT_AUDIENCE);
	const char *list = cmd_value(c, FLAG_MINT_CAPABILITIES);
	const char *ttl = cmd_value(c, FLAG_MINT_TTL);
	const char *leaf = leaf_of(c, FLAG_MINT_LEAF);
	uint64_t seconds = 300;
	json_t *names, *r;
	int status;

	if (leaf == NULL)
		return EX_USAGE;
	if (audience == NULL)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "token:mint wants --audience KEY, the identity of the "
		    "node that is to follow it");
	if (ttl != NULL &&
	    !mesh_seconds(c, FLAG_MINT_TTL, ttl, 1, TOKEN_LIFE_MAX, &seconds))
		return EX_USAGE;
	names = mesh_names(c, FLAG_MINT_CAPABILITIES, list);
	if (names == NULL)
		return EX_USAGE;
	r = mesh_ask(c, "token.mint",
	    json_pack("{s:s, s:s, s:o, s:I}", "audience", audience, "leaf",
		leaf, "capabilities", names, "seconds", (json_int_t)seconds),
	    MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	puts(mesh_text(r, "token"));
	json_decref(r);
	return out_finish(EX_OK);
}

static void
print_checked(const json_t *r)
{
	char time[MESH_TIME_SIZE];
	const json_t *name;
	size_t i;

	if (!mesh_true(r, "good")) {
		printf("not followed: %s\n", mesh_text(r, "why"));
		return;
	}
	printf("good until %s: %s grants",
	    mesh_time((uint64_t)mesh_number(r, "expiry"), time),
	    mesh_text(r, "issuer"));
	json_array_foreach(json_object_get(r, "capabilities"), i, name)
	    printf(" %s", json_string_value(name));
	putchar('\n');
}

int
token_check_run(const struct cmd *c)
{
	const char *leaf = leaf_of(c, FLAG_CHECK_LEAF);
	char *token;
	size_t len;
	json_t *r;
	int status;
	bool good;

	if (leaf == NULL)
		return EX_USAGE;
	token = mesh_read(c, "-", TOKEN_MAX, &len, &status);
	if (token == NULL)
		return status;
	token[strcspn(token, "\r\n")] = '\0';
	r = mesh_ask(c, "token.check",
	    json_pack("{s:s, s:s}", "token", token, "leaf", leaf), MESH_ASK_MS,
	    &status);
	explicit_bzero(token, len);
	free(token);
	if (r == NULL)
		return status;
	good = mesh_true(r, "good");
	if (c->json)
		status = out_json(c, json_incref(r));
	else {
		print_checked(r);
		status = out_finish(EX_OK);
	}
	json_decref(r);
	return status == EX_OK && !good ? EXIT_NEGATIVE : status;
}
