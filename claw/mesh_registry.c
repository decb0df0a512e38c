/* SPDX-License-Identifier: ISC */
/*
 * mesh_registry.c - the verbs registry:show, registry:verify, registry:export,
 * registry:import.
 *
 * The lines prove themselves, so nothing here believes the node that shows
 * them: what is printed was verified by this program.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "claw/mesh.h"
#include "claw/out.h"
#include "common/capability.h"
#include "common/identity.h"

#define LINES_MAX 24576 /* of one request */

static void
hash_text(const uint8_t hash[32], char out[72])
{
	size_t i;

	memcpy(out, "sha256:", 8);
	for (i = 0; i < 32; i++)
		snprintf(out + 7 + 2 * i, 3, "%02x", hash[i]);
}

static json_t *
hash_json(const uint8_t hash[32])
{
	char text[72];

	hash_text(hash, text);
	return json_string(text);
}

static json_t *
key_json(const uint8_t key[32])
{
	static const uint8_t none[32];
	char text[IDENTITY_TEXT_SIZE];

	if (memcmp(key, none, sizeof(none)) == 0)
		return json_null();
	identity_text(key, text);
	return json_string(text);
}

static json_t *
names_json(uint64_t mask)
{
	const char *names[CAPABILITIES_MAX];
	size_t i, n = capability_names(mask, names);
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		(void)json_array_append_new(list, json_string(names[i]));
	return list;
}

/* registry:show */

static const char *
standing_of(const struct registry *r, const struct registry_node *n)
{
	switch (
	    registry_standing(r, n->name, n->identity, (uint64_t)time(NULL))) {
	case REGISTRY_OK:
	case REGISTRY_OLD_KEY_OK:
		return "ok";
	case REGISTRY_REVOKED:
		return "revoked";
	case REGISTRY_EXPIRED:
		return "expired";
	case REGISTRY_SUSPENDED:
		return "suspended";
	case REGISTRY_UNSETTLED:
		return "unsettled";
	case REGISTRY_UNKNOWN:
	case REGISTRY_WRONG_KEY:
		break;
	}
	return "unknown";
}

static json_t *
nodes_json(const struct registry *r)
{
	const struct registry_node *n;
	json_t *list = json_array(), *addresses;
	uint32_t k;
	size_t i;

	for (i = 0; (n = registry_node_at(r, i)) != NULL; i++) {
		addresses = json_array();
		for (k = 0; k < n->addresses; k++)
			(void)json_array_append_new(addresses,
			    json_string(n->address[k]));
		(void)json_array_append_new(list,
		    json_pack(
			"{s:s, s:s, s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:s}",
			"name", n->name, "standing", standing_of(r, n),
			"identity", key_json(n->identity), "capabilities",
			names_json(n->capabilities), "zone", n->zone,
			"addresses", addresses, "expiry",
			(json_int_t)n->expiry_s, "added",
			(json_int_t)n->added_seq, "rotations",
			(json_int_t)n->ksn, "reason",
			n->revoked ? n->reason : ""));
	}
	return list;
}

static json_t *
binaries_json(const struct registry *r)
{
	const struct registry_binary *b;
	json_t *list = json_array();
	size_t i;

	for (i = 0; (b = registry_binary_at(r, i)) != NULL; i++)
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:s}", "name",
			b->name, "version", b->version, "channel", b->channel,
			"sha256", hash_json(b->sha256), "capabilities",
			names_json(b->capabilities), "revoked", (int)b->revoked,
			"reason", b->reason));
	return list;
}

static json_t *
developers_json(const struct registry *r)
{
	const struct registry_developer *d;
	json_t *list = json_array();
	size_t i;

	for (i = 0; (d = registry_developer_at(r, i)) != NULL; i++)
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:o, s:b, s:s}", "name", d->name, "key",
			key_json(d->key), "revoked", (int)d->revoked, "reason",
			d->reason));
	return list;
}

static json_t *
authorities_json(const struct registry *r)
{
	const struct registry_set *set = registry_set(r);
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < set->count; i++)
		(void)json_array_append_new(list,
		    json_pack("{s:o, s:o}", "key", key_json(set->authority[i]),
			"fresh",
			set->has_fresh ? key_json(set->fresh[i]) :
					 json_null()));
	return list;
}

static const char *
freshness_name(enum registry_freshness f)
{
	return f == REGISTRY_IS_FRESH ? "fresh" :
	    f == REGISTRY_IS_SOFT     ? "old" :
					"too old";
}

static json_t *
registry_json(const struct registry *r, json_t *fork)
{
	struct registry_windows w = registry_windows(r);
	uint64_t age = 0;
	const char *fresh =
	    freshness_name(registry_freshness(r, (uint64_t)time(NULL), &age));

	if (age > REGISTRY_NUMBER_MAX)
		age = REGISTRY_NUMBER_MAX;
	return json_pack("{s:o, s:I, s:o, s:I, s:o, s:I, s:I, s:I, s:s, s:o, "
			 "s:o, s:o, s:o}",
	    "genesis", hash_json(registry_genesis(r)), "seq",
	    (json_int_t)registry_seq(r), "head", hash_json(registry_head(r)),
	    "threshold", (json_int_t)registry_set(r)->threshold, "authorities",
	    authorities_json(r), "soft_s", (json_int_t)w.soft_s, "hard_s",
	    (json_int_t)w.hard_s, "age_s", (json_int_t)age, "freshness", fresh,
	    "fork", fork != NULL ? fork : json_null(), "nodes", nodes_json(r),
	    "binaries", binaries_json(r), "developers", developers_json(r));
}

static void
print_authorities(const json_t *r)
{
	const json_t *a, *list = json_object_get(r, "authorities");
	size_t i;

	printf("authorities %lld of %zu must sign\n",
	    mesh_number(r, "threshold"), json_array_size(list));
	json_array_foreach(list, i, a) printf("  %s\n", mesh_text(a, "key"));
}

static void
print_nodes(const json_t *r)
{
	const json_t *n, *list = json_object_get(r, "nodes");
	const json_t *addresses, *names;
	size_t i, k;

	printf("nodes       %zu\n", json_array_size(list));
	json_array_foreach(list, i, n)
	{
		addresses = json_object_get(n, "addresses");
		names = json_object_get(n, "capabilities");
		printf("  %-20s %-9s %s", mesh_text(n, "name"),
		    mesh_text(n, "standing"), mesh_text(n, "identity"));
		for (k = 0; k < json_array_size(addresses); k++)
			printf(" %s",
			    json_string_value(json_array_get(addresses, k)));
		for (k = 0; k < json_array_size(names); k++)
			printf("%s%s", k == 0 ? "  " : ",",
			    json_string_value(json_array_get(names, k)));
		if (mesh_text(n, "reason")[0] != '\0')
			printf("  (%s)", mesh_text(n, "reason"));
		putchar('\n');
	}
}

static void
print_rest(const json_t *r)
{
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(r, "binaries"), i,
	    o) printf("binary      %s %s %s %s%s\n", mesh_text(o, "name"),
	    mesh_text(o, "version"), mesh_text(o, "channel"),
	    mesh_text(o, "sha256"), mesh_true(o, "revoked") ? " revoked" : "");
	json_array_foreach(json_object_get(r, "developers"), i, o)
	    printf("developer   %s %s%s\n", mesh_text(o, "name"),
		mesh_text(o, "key"), mesh_true(o, "revoked") ? " revoked" : "");
}

static void
print_fork(const json_t *fork)
{
	const json_t *head;
	size_t i;

	if (!json_is_object(fork))
		return;
	printf("FORKED      after update %lld; what is in one of the branches "
	       "alone does not count. Heads:\n",
	    mesh_number(fork, "common"));
	json_array_foreach(json_object_get(fork, "heads"), i, head)
	    printf("  %s\n", json_string_value(head));
	printf("  choose one: claw registry:resolve HEAD\n");
}

static void
print_registry(const json_t *r)
{
	printf("registry    %s\n", mesh_text(r, "genesis"));
	printf("update      %lld, %s: the last word is %lld s old\n",
	    mesh_number(r, "seq"), mesh_text(r, "freshness"),
	    mesh_number(r, "age_s"));
	printf("head        %s\n", mesh_text(r, "head"));
	print_fork(json_object_get(r, "fork"));
	print_authorities(r);
	print_nodes(r);
	print_rest(r);
}

static int
show(const struct cmd *c, struct api *api, const struct conf *conf)
{
	struct api_error e;
	struct registry *r;
	json_t *where, *all;
	int status;

	where = api_call(api, "registry.show", NULL, MESH_ASK_MS, &e);
	if (where == NULL)
		return api_report(c, &e);
	r = mesh_registry(c, api, conf, &status);
	if (r == NULL) {
		json_decref(where);
		return status;
	}
	all = registry_json(r, json_incref(json_object_get(where, "fork")));
	registry_free(r);
	json_decref(where);
	if (c->json)
		return out_json(c, all);
	print_registry(all);
	json_decref(all);
	return out_finish(EX_OK);
}

int
registry_show_run(const struct cmd *c)
{
	struct api_error e;
	struct conf conf;
	struct api api;
	int status = api_conf(c, &conf);

	if (status != EX_OK)
		return status;
	if (!api_open(&api, &conf, &e))
		return api_report(c, &e);
	status = show(c, &api, &conf);
	api_close(&api);
	return status;
}

/* registry:verify */

static int
print_verified(const struct cmd *c, const struct registry *r)
{
	char head[72];

	if (c->json)
		return out_json(c, registry_json(r, NULL));
	hash_text(registry_head(r), head);
	printf("%" PRIu64 ":%s\n", registry_seq(r), head);
	return out_finish(EX_OK);
}

int
registry_verify_run(const struct cmd *c)
{
	struct registry *r;
	int status;

	r = mesh_registry_file(c, c->operands[0],
	    cmd_value(c, FLAG_REGISTRY_GENESIS), &status);
	if (r == NULL)
		return status;
	status = print_verified(c, r);
	registry_free(r);
	return status;
}

/* registry:export */

static void
write_line(FILE *f, const char *line, size_t len)
{
	(void)fwrite(line, 1, len, f);
	(void)fputc('\n', f);
}

/* What has been verified, and nothing else. */
static void
write_registry(FILE *f, const struct registry *r)
{
	const char *line;
	uint64_t seq;
	size_t i, len;

	for (seq = 0; (line = registry_line(r, seq, &len)) != NULL; seq++)
		write_line(f, line, len);
	for (i = 0; i < registry_rotations(r); i++) {
		line = registry_rotation_line(r, i, &len);
		if (line != NULL)
			write_line(f, line, len);
	}
}

static int
write_file(const struct cmd *c, const char *path, const struct registry *r)
{
	FILE *f = fopen(path, "wxe");
	char head[72];
	bool good;

	if (f == NULL)
		return out_error(c, stderr, EX_CANTCREAT, "IoError", "%s: %s",
		    path, strerror(errno));
	write_registry(f, r);
	good = fflush(f) == 0 && !ferror(f) && fsync(fileno(f)) == 0;
	if (fclose(f) != 0 || !good)
		return out_error(c, stderr, EX_IOERR, "IoError", "%s: %s", path,
		    strerror(errno));
	hash_text(registry_head(r), head);
	if (c->json)
		return out_json(c,
		    json_pack("{s:s, s:I, s:s}", "file", path, "seq",
			(json_int_t)registry_seq(r), "head", head));
	printf("%" PRIu64 ":%s\n", registry_seq(r), head);
	return out_finish(EX_OK);
}

int
registry_export_run(const struct cmd *c)
{
	struct registry *r;
	struct api_error e;
	struct conf conf;
	struct api api;
	int status = api_conf(c, &conf);

	if (status != EX_OK)
		return status;
	if (!api_open(&api, &conf, &e))
		return api_report(c, &e);
	r = mesh_registry(c, &api, &conf, &status);
	api_close(&api);
	if (r == NULL)
		return status;
	if (c->n_operands == 1 && strcmp(c->operands[0], "-") != 0)
		status = write_file(c, c->operands[0], r);
	else {
		write_registry(stdout, r);
		status = out_finish(EX_OK);
	}
	registry_free(r);
	return status;
}

/* registry:import */

static bool
is_rotation(const char *line)
{
	return strncmp(line, "{\"r\":", 5) == 0;
}

/* Bytes of whole lines of one kind that fit in a request; 0: the first does
 * not. */
static size_t
portion(const char *text, size_t len)
{
	bool rotations = is_rotation(text);
	size_t n = 0, line;
	const char *end;

	while (n < len) {
		end = memchr(text + n, '\n', len - n);
		line = end != NULL ? (size_t)(end - text) - n + 1 : 0;
		if (line == 0 || n + line > LINES_MAX ||
		    is_rotation(text + n) != rotations)
			break;
		n += line;
	}
	return n;
}

struct import {
	long long taken, seq;
	char head[72];
	char why[256];
};

/* One request. False: it was not answered. */
static bool
offer(struct api *api, const char *text, size_t n, struct import *done,
    struct api_error *e)
{
	json_t *lines = json_stringn(text, n), *r;

	if (lines == NULL) {
		snprintf(done->why, sizeof(done->why), "it is not UTF-8");
		return true;
	}
	r = api_call(api, "registry.import",
	    json_pack("{s:o, s:b}", "lines", lines, "rotations",
		(int)is_rotation(text)),
	    MESH_ORDER_MS, e);
	if (r == NULL)
		return false;
	done->taken += mesh_number(r, "taken");
	done->seq = mesh_number(r, "seq");
	snprintf(done->head, sizeof(done->head), "%s", mesh_text(r, "head"));
	snprintf(done->why, sizeof(done->why), "%s", mesh_text(r, "why"));
	json_decref(r);
	return true;
}

static int
import(const struct cmd *c, struct api *api, const char *text, size_t len)
{
	struct import done = { 0 };
	struct api_error e;
	size_t n;

	while (len > 0 && done.why[0] == '\0') {
		n = portion(text, len);
		if (n == 0) {
			snprintf(done.why, sizeof(done.why),
			    "a line that does not end, or is too long");
			break;
		}
		if (!offer(api, text, n, &done, &e))
			return api_report(c, &e);
		text += n;
		len -= n;
	}
	if (done.why[0] != '\0')
		return out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "%s: %s; %lld lines before it were new and are taken",
		    c->operands[0], done.why, done.taken);
	if (c->json)
		return out_json(c,
		    json_pack("{s:I, s:I, s:s}", "taken",
			(json_int_t)done.taken, "seq", (json_int_t)done.seq,
			"head", done.head));
	printf("%lld new lines; the registry is at update %lld\n", done.taken,
	    done.seq);
	return out_finish(EX_OK);
}

int
registry_import_run(const struct cmd *c)
{
	struct api_error e;
	struct conf conf;
	struct api api;
	size_t len;
	char *text;
	int status = api_conf(c, &conf);

	if (status != EX_OK)
		return status;
	text = mesh_read(c, c->operands[0], MESH_REGISTRY_MAX, &len, &status);
	if (text == NULL)
		return status;
	if (len == 0)
		status = out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "%s: it is empty", c->operands[0]);
	else if (!api_open(&api, &conf, &e))
		status = api_report(c, &e);
	else {
		status = import(c, &api, text, len);
		api_close(&api);
	}
	free(text);
	return status;
}
