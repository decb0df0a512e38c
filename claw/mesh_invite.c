/* SPDX-License-Identifier: ISC */
/*
 * mesh_invite.c - the verbs node:invite, invite:list, invite:confirm,
 * invite:close.
 *
 * The ticket is made here. Its secret goes to standard output and nowhere
 * else; the node gets the public half of the key in it.
 */
#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "claw/mesh.h"
#include "claw/out.h"
#include "common/identity.h"
#include "common/ticket.h"

#define EXPIRES_S 600
#define EXPIRES_MAX_S 86400

/* An address that nobody else can dial. */
static bool
is_wildcard(const char *address)
{
	return address[0] == '\0' || strncmp(address, "0.0.0.0:", 8) == 0 ||
	    strncmp(address, "[::]:", 5) == 0;
}

static bool
add_address(struct ticket *t, const char *address)
{
	if (t->n_addrs == TICKET_ADDRS_MAX ||
	    strlen(address) >= sizeof(t->addr[0]))
		return false;
	snprintf(t->addr[t->n_addrs++], sizeof(t->addr[0]), "%s", address);
	return true;
}

/* As --address says; or what the registry has for this node; or where it
 * listens. */
static int
set_addresses(const struct cmd *c, struct ticket *t, const struct conf *conf,
    struct api *api)
{
	const char *given[TICKET_ADDRS_MAX + 1];
	const struct registry_node *self;
	struct registry *r;
	size_t i, n;
	int status;

	n = cmd_values(c, FLAG_INVITE_ADDRESS, given, TICKET_ADDRS_MAX + 1);
	for (i = 0; i < n; i++)
		if (!regupdate_address_ok(given[i]) ||
		    !add_address(t, given[i]))
			return out_error(c, stderr, EX_USAGE, "UsageError",
			    "--address is ADDR:PORT, at most %d times",
			    TICKET_ADDRS_MAX);
	if (n > 0)
		return EX_OK;
	r = mesh_registry(c, api, conf, &status);
	if (r == NULL)
		return status;
	self = registry_node(r, conf->node_name);
	for (i = 0; self != NULL && i < self->addresses; i++)
		(void)add_address(t, self->address[i]);
	registry_free(r);
	if (t->n_addrs == 0 && !is_wildcard(conf->node_listen))
		(void)add_address(t, conf->node_listen);
	if (t->n_addrs > 0)
		return EX_OK;
	return out_error(c, stderr, EX_USAGE, "UsageError",
	    "where is this node reached? say --address ADDR:PORT, or set "
	    "node.listen to an address of its own");
}

static int
set_inviter(const struct cmd *c, struct ticket *t, struct api *api)
{
	struct api_error e;
	json_t *self;
	bool right;

	self = api_call(api, "node.show", NULL, MESH_ASK_MS, &e);
	if (self == NULL)
		return api_report(c, &e);
	right = identity_parse(mesh_text(self, "identity"), t->inviter) == 0 &&
	    mesh_hash(mesh_text(self, "genesis"), t->genesis);
	json_decref(self);
	if (right)
		return EX_OK;
	return out_error(c, stderr, EX_PROTOCOL, "InvalidError",
	    "the node does not say who it is");
}

/* Everything but the seed, from what was typed. */
static int
draft(const struct cmd *c, struct ticket *t)
{
	const char *name = cmd_value(c, FLAG_INVITE_NAME);
	const char *expires = cmd_value(c, FLAG_INVITE_EXPIRES);
	const char *pubkey = cmd_value(c, FLAG_INVITE_PUBKEY);
	uint64_t seconds = EXPIRES_S;
	uint8_t key[IDENTITY_LEN];

	if (name == NULL || !regupdate_name_ok(name))
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "node:invite wants --name NAME: letters a to z, digits and "
		    "hyphens");
	if (expires != NULL &&
	    !mesh_seconds(c, FLAG_INVITE_EXPIRES, expires, 1, EXPIRES_MAX_S,
		&seconds))
		return EX_USAGE;
	if (pubkey != NULL && identity_parse(pubkey, key) != 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--pubkey is an identity, as ed25519:... or did:key:...");
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->expiry = (uint64_t)time(NULL) + seconds;
	return EX_OK;
}

static int
open_invite(const struct cmd *c, const struct ticket *t, struct api *api)
{
	char key_text[IDENTITY_TEXT_SIZE];
	uint8_t pub[TICKET_KEY_LEN];
	struct api_error e;
	json_t *names, *params, *result;

	names = mesh_names(c, FLAG_INVITE_CAPABILITIES,
	    cmd_value(c, FLAG_INVITE_CAPABILITIES));
	if (names == NULL)
		return EX_USAGE;
	if (ticket_key(t->seed, t->genesis, NULL, pub) != 0) {
		json_decref(names);
		return out_error(c, stderr, EX_OSERR, "FailedError",
		    "the ticket's key cannot be made");
	}
	identity_text(pub, key_text);
	params = json_pack("{s:s, s:s, s:o, s:I, s:b, s:s*}", "name", t->name,
	    "ticket_key", key_text, "capabilities", names, "expiry",
	    (json_int_t)t->expiry, "confirm",
	    cmd_value(c, FLAG_INVITE_CONFIRM_FIRST) != NULL, "pinned",
	    cmd_value(c, FLAG_INVITE_PUBKEY));
	result = api_call(api, "invite.open", params, MESH_ORDER_MS, &e);
	if (result == NULL)
		return api_report(c, &e);
	json_decref(result);
	return EX_OK;
}

static int
print_ticket(const struct cmd *c, const struct ticket *t, const char *text)
{
	char until[MESH_TIME_SIZE];

	if (c->json)
		return out_json(c,
		    json_pack("{s:s, s:s, s:I}", "ticket", text, "name",
			t->name, "expiry", (json_int_t)t->expiry));
	puts(text);
	fprintf(stderr,
	    "claw: good until %s, once; there: claw init --dir DIR --name %s "
	    "--join -\n",
	    mesh_time(t->expiry, until), t->name);
	return out_finish(EX_OK);
}

int
mesh_invite(const struct cmd *c, struct ticket *t, char text[TICKET_TEXT_MAX])
{
	struct api_error e;
	struct conf conf;
	struct api api;
	int status = draft(c, t);

	if (status == EX_OK)
		status = api_conf(c, &conf);
	if (status != EX_OK)
		return status;
	if (!api_open(&api, &conf, &e))
		return api_report(c, &e);
	status = set_inviter(c, t, &api);
	if (status == EX_OK)
		status = set_addresses(c, t, &conf, &api);
	if (status == EX_OK &&
	    (RAND_bytes(t->seed, sizeof(t->seed)) != 1 ||
		ticket_format(t, text, TICKET_TEXT_MAX) < 0))
		status = out_error(c, stderr, EX_OSERR, "FailedError",
		    "no ticket can be made of that");
	if (status == EX_OK)
		status = open_invite(c, t, &api);
	api_close(&api);
	return status;
}

int
node_invite_run(const struct cmd *c)
{
	char text[TICKET_TEXT_MAX];
	struct ticket t = { 0 };
	int status = mesh_invite(c, &t, text);

	if (status == EX_OK)
		status = print_ticket(c, &t, text);
	ticket_clear(&t);
	explicit_bzero(text, sizeof(text));
	return status;
}

/* invite:list */

static void
print_invite(const json_t *v)
{
	char time[MESH_TIME_SIZE];
	const char *state = mesh_text(v, "state");
	const char *at = mesh_text(v, "addresses");

	if (strcmp(state, "used") == 0)
		state = mesh_true(v, "added") ? "joined" : "not signed yet";
	printf("%-20s %-14s %s", mesh_text(v, "name"), state,
	    mesh_time((uint64_t)mesh_number(v, "expiry"), time));
	if (json_is_string(json_object_get(v, "identity")))
		printf("  %s\n%37s%s\n%37sreached at %s",
		    mesh_text(v, "identity"), "", mesh_text(v, "words"), "",
		    at[0] != '\0' ? at : "no address");
	putchar('\n');
	/* For the file that the other authorities sign. */
	if (!mesh_true(v, "added") && mesh_text(v, "proposal")[0] == '{')
		puts(mesh_text(v, "proposal"));
}

int
invite_list_run(const struct cmd *c)
{
	const json_t *v;
	json_t *r;
	size_t i;
	int status;

	r = mesh_ask(c, "invite.list", NULL, MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	json_array_foreach(json_object_get(r, "invites"), i, v) print_invite(v);
	if (i == 0)
		puts("no invites; make one with claw node:invite --name NAME");
	json_decref(r);
	return out_finish(EX_OK);
}

/* invite:confirm, invite:close */

static int
answer(const struct cmd *c, bool yes)
{
	json_t *r;
	int status;

	r = mesh_ask(c, "invite.answer",
	    json_pack("{s:s, s:b}", "name", c->operands[0], "yes", (int)yes),
	    MESH_ORDER_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	json_decref(r);
	printf(yes ? "%s may join\n" : "the invite for %s is closed\n",
	    c->operands[0]);
	return out_finish(EX_OK);
}

int
invite_confirm_run(const struct cmd *c)
{
	return answer(c, true);
}

int
invite_close_run(const struct cmd *c)
{
	return answer(c, false);
}
