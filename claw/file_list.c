/* SPDX-License-Identifier: ISC */
/*
 * file_list.c - the verbs about transfers that there are: file:list,
 * file:show, file:pause, file:resume, file:cancel, file:receipt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "claw/file.h"
#include "claw/mesh.h"
#include "claw/out.h"

#define ID_DIGITS 32

bool
file_id(const struct cmd *c, const char *text)
{
	if (strlen(text) == ID_DIGITS &&
	    strspn(text, "0123456789abcdef") == ID_DIGITS)
		return true;
	(void)out_error(c, stderr, EX_USAGE, "UsageError",
	    "%s is no transfer's id: 32 hexadecimal digits; claw file:list "
	    "shows them",
	    text);
	return false;
}

static void
print_one(const json_t *t)
{
	char size[FILE_SIZE_TEXT], durable[FILE_SIZE_TEXT],
	    shown[FILE_SHOWN_SIZE];

	printf("%s  %-10s %s %-16s %9s of %9s  %s\n", mesh_text(t, "id"),
	    mesh_text(t, "state"),
	    strcmp(mesh_text(t, "direction"), "in") == 0 ? "from" : "to  ",
	    mesh_text(t, "peer"),
	    file_size_text((uint64_t)mesh_number(t, "durable"), durable),
	    file_size_text((uint64_t)mesh_number(t, "size"), size),
	    file_shown(mesh_text(t, "name"), shown));
}

int
file_list_run(const struct cmd *c)
{
	const json_t *t;
	json_t *r;
	size_t i;
	int status;

	r = mesh_ask(c, "file.list", NULL, MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	json_array_foreach(json_object_get(r, "transfers"), i, t) print_one(t);
	if (i == 0)
		puts("no transfers");
	json_decref(r);
	return out_finish(EX_OK);
}

static void
print_all(const json_t *t)
{
	char shown[FILE_SHOWN_SIZE], time[MESH_TIME_SIZE];

	print_one(t);
	printf("  started  %s\n",
	    mesh_time((uint64_t)mesh_number(t, "started_ms") / 1000, time));
	if (mesh_number(t, "ended_ms") > 0)
		printf("  ended    %s\n",
		    mesh_time((uint64_t)mesh_number(t, "ended_ms") / 1000,
			time));
	if (json_is_string(json_object_get(t, "blake3")))
		printf("  blake3   %s\n", mesh_text(t, "blake3"));
	printf("  sent     %lld bytes over the network, %lld chunks again\n",
	    mesh_number(t, "wire_bytes"), mesh_number(t, "resent"));
	if (mesh_number(t, "same_bytes") > 0)
		printf("  same     %lld bytes, there of an earlier file\n",
		    mesh_number(t, "same_bytes"));
	printf("  streams  %lld%s%s\n", mesh_number(t, "streams"),
	    mesh_text(t, "congestion")[0] == '\0' ? "" : ", by ",
	    file_shown(mesh_text(t, "congestion"), shown));
	if (mesh_text(t, "text")[0] != '\0')
		printf("  reason   %s\n",
		    file_shown(mesh_text(t, "text"), shown));
}

/* By its id, or by the one that it had until the receiver made that. */
static bool
is_it(const json_t *t, const char *id)
{
	if (strspn(id, "0") < ID_DIGITS - 8)
		return strcmp(mesh_text(t, "id"), id) == 0;
	return strtoll(id, NULL, 16) == mesh_number(t, "number");
}

int
file_show_run(const struct cmd *c)
{
	const json_t *t, *found = NULL;
	json_t *r;
	size_t i;
	int status;

	if (!file_id(c, c->operands[0]))
		return EX_USAGE;
	r = mesh_ask(c, "file.list", NULL, MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	json_array_foreach(json_object_get(r, "transfers"), i,
	    t) if (is_it(t, c->operands[0])) found = t;
	if (found == NULL)
		status = out_error(c, stderr, EXIT_NEGATIVE, "UnknownError",
		    "there is no transfer %s; claw file:list shows those "
		    "there are",
		    c->operands[0]);
	else if (c->json)
		status = out_json(c, json_copy((json_t *)(uintptr_t)found));
	else {
		print_all(found);
		status = out_finish(EX_OK);
	}
	json_decref(r);
	return status;
}

static int
order(const struct cmd *c, const char *method, const char *done)
{
	json_t *r;
	int status;

	if (!file_id(c, c->operands[0]))
		return EX_USAGE;
	r = mesh_ask(c, method, json_pack("{s:s}", "id", c->operands[0]),
	    MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	json_decref(r);
	puts(done);
	return out_finish(EX_OK);
}

int
file_pause_run(const struct cmd *c)
{
	return order(c, "file.pause", "paused; what is durable is kept");
}

int
file_resume_run(const struct cmd *c)
{
	return order(c, "file.resume", "goes on");
}

int
file_cancel_run(const struct cmd *c)
{
	return order(c, "file.cancel", "cancelled");
}

int
file_receipt_run(const struct cmd *c)
{
	json_t *r;
	int status;

	if (!file_id(c, c->operands[0]))
		return EX_USAGE;
	r = mesh_ask(c, "file.receipt",
	    json_pack("{s:s}", "id", c->operands[0]), MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	(void)json_dumpf(json_object_get(r, "receipt"), stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(r);
	return out_finish(EX_OK);
}
