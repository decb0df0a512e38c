/* SPDX-License-Identifier: ISC */
/*
 * mesh.c - what the verbs about other nodes and the registry share.
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

json_t *
mesh_ask(const struct cmd *c, const char *method, json_t *params,
    int timeout_ms, int *status)
{
	struct api_error e;
	struct conf conf;
	json_t *result;

	*status = api_conf(c, &conf);
	if (*status != EX_OK) {
		json_decref(params);
		return NULL;
	}
	result = api_ask(&conf, method, params, timeout_ms, &e);
	if (result == NULL)
		*status = api_report(c, &e);
	return result;
}

const char *
mesh_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "?";
}

long long
mesh_number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

bool
mesh_true(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

int
mesh_updated(const struct cmd *c, json_t *result)
{
	bool applied = mesh_true(result, "applied");
	long long have = mesh_number(result, "signatures");
	long long need = mesh_number(result, "threshold");
	int status;

	if (c->json)
		status = out_json(c, json_incref(result));
	else if (applied) {
		printf("in force: update %lld, head %s\n",
		    mesh_number(result, "seq"), mesh_text(result, "head"));
		status = out_finish(EX_OK);
	} else {
		printf("%s\n", mesh_text(result, "line"));
		fprintf(stderr,
		    "claw: not in force: %lld of %lld have signed; put the "
		    "line above into a file and let other authorities say claw "
		    "registry:sign FILE\n",
		    have, need);
		status = out_finish(EX_OK);
	}
	json_decref(result);
	return status == EX_OK && !applied ? EXIT_NEGATIVE : status;
}

int
mesh_order(const struct cmd *c, const char *op, json_t *operands)
{
	json_t *result;
	int status;

	result = mesh_ask(c, "registry.update",
	    json_pack("{s:s, s:o}", "op", op, "operands", operands),
	    MESH_ORDER_MS, &status);
	return result != NULL ? mesh_updated(c, result) : status;
}

/* The registry. */

const char *
mesh_take_lines(struct registry *r, const char *text, size_t len)
{
	const char *end, *why = NULL;
	size_t n;

	while (why == NULL && len > 0) {
		end = memchr(text, '\n', len);
		if (end == NULL)
			return "its last line does not end";
		n = (size_t)(end - text);
		if (strncmp(text, "{\"r\":", 5) == 0) {
			if (registry_rotate(r, text, n, &why) <
			    REGISTRY_TURN_AHEAD)
				why = NULL;
			else if (why == NULL)
				why = "rotations that do not follow";
		} else if (registry_apply(r, text, n, &why) == 0)
			why = NULL;
		text = end + 1;
		len -= n + 1;
	}
	return why;
}

/* All lines of one kind. */
static bool
pull(struct api *api, struct registry *r, bool rotations, struct api_error *e)
{
	const char *why;
	json_t *part;
	json_int_t from = 0;
	bool more = true;

	while (more) {
		part = api_call(api, "registry.lines",
		    json_pack("{s:I, s:b}", "from", from, "rotations",
			rotations ? 1 : 0),
		    MESH_ASK_MS, e);
		if (part == NULL)
			return false;
		why = mesh_take_lines(r, mesh_text(part, "lines"),
		    json_string_length(json_object_get(part, "lines")));
		more = mesh_true(part, "more");
		from = mesh_number(part, "next");
		json_decref(part);
		if (why == NULL)
			continue;
		e->status = EX_DATAERR;
		e->retryable = false;
		snprintf(e->name, sizeof(e->name), "RegistryError");
		snprintf(e->text, sizeof(e->text),
		    "the registry that the node shows does not verify: %s",
		    why);
		return false;
	}
	return true;
}

struct registry *
mesh_registry(const struct cmd *c, struct api *api, const struct conf *conf,
    int *status)
{
	struct registry *r;
	struct api_error e;
	uint8_t pin[32];

	if (conf_hash_bytes(conf->registry_genesis, pin) != 0 ||
	    (r = registry_new(pin)) == NULL) {
		*status = out_error(c, stderr, EX_OSERR, "FailedError",
		    "out of memory");
		return NULL;
	}
	if (pull(api, r, false, &e) && pull(api, r, true, &e))
		return r;
	*status = api_report(c, &e);
	registry_free(r);
	return NULL;
}

/* Files. */

char *
mesh_read(const struct cmd *c, const char *path, size_t max, size_t *len,
    int *status)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	char *text = malloc(max + 1);

	*len = 0;
	*status = EX_OK;
	if (f != NULL && text != NULL) {
		*len = fread(text, 1, max + 1, f);
		if (ferror(f))
			*status = EX_IOERR;
	}
	if (f == NULL || text == NULL || *status != EX_OK)
		*status = out_error(c, stderr, EX_IOERR, "IoError", "%s: %s",
		    path, strerror(errno));
	else if (*len > max)
		*status = out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "%s: longer than %zu bytes", path, max);
	else if (memchr(text, '\0', *len) != NULL)
		*status = out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "%s: not a text", path);
	if (f != NULL && !is_stdin)
		fclose(f);
	if (*status == EX_OK) {
		text[*len] = '\0';
		return text;
	}
	free(text);
	return NULL;
}

/* Values of flags. */

static uint64_t
unit_of(char c)
{
	switch (c) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	default:
		return 0;
	}
}

bool
mesh_seconds(const struct cmd *c, enum cmd_flag f, const char *text,
    uint64_t min, uint64_t max, uint64_t *seconds)
{
	size_t n = strspn(text, "0123456789");
	uint64_t unit = n > 0 && n < 10 ? unit_of(text[n]) : 0;

	if (unit != 0 && text[n + 1] == '\0') {
		*seconds = strtoull(text, NULL, 10) * unit;
		if (*seconds >= min && *seconds <= max)
			return true;
	}
	(void)out_error(c, stderr, EX_USAGE, "UsageError",
	    "--%s is a time as 30s, 10m, 24h or 90d, from %" PRIu64
	    " to %" PRIu64 " seconds",
	    cmd_flag_def(f)->name, min, max);
	return false;
}

json_t *
mesh_names(const struct cmd *c, enum cmd_flag f, const char *list)
{
	const char *names[CAPABILITIES_MAX];
	char known[CAPABILITY_LIST_MAX];
	json_t *out = json_array();
	uint64_t mask = 0;
	size_t i, n;

	if (list != NULL && capability_parse(list, &mask) != 0) {
		json_decref(out);
		(void)capability_list(capability_all(), known, sizeof(known));
		(void)out_error(c, stderr, EX_USAGE, "UsageError",
		    "--%s is a list, with commas, of: %s",
		    cmd_flag_def(f)->name, known);
		return NULL;
	}
	n = capability_names(mask, names);
	for (i = 0; i < n; i++)
		(void)json_array_append_new(out, json_string(names[i]));
	return out;
}

static uint8_t
digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void
mesh_hex(const uint8_t hash[32], char out[65])
{
	size_t i;

	for (i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

bool
mesh_hash(const char *text, uint8_t out[32])
{
	size_t i;

	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
		return false;
	for (i = 0; i < 32; i++)
		out[i] =
		    (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	return true;
}

const char *
mesh_time(uint64_t seconds, char out[MESH_TIME_SIZE])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds > REGISTRY_NUMBER_MAX || gmtime_r(&t, &tm) == NULL ||
	    strftime(out, MESH_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, MESH_TIME_SIZE, "?");
	return out;
}

struct registry *
mesh_registry_file(const struct cmd *c, const char *path, const char *genesis,
    int *status)
{
	const char *why;
	struct registry *r;
	uint8_t pin[32];
	size_t len;
	char *text;

	if (genesis == NULL || !mesh_hash(genesis, pin)) {
		*status = out_error(c, stderr, EX_USAGE, "UsageError",
		    "%s wants --genesis HASH, the hash of the registry's "
		    "first line as you know it from elsewhere",
		    cmd_verb_def(c->verb)->name);
		return NULL;
	}
	text = mesh_read(c, path, MESH_REGISTRY_MAX, &len, status);
	if (text == NULL)
		return NULL;
	r = registry_new(pin);
	why = r == NULL ? "out of memory" : mesh_take_lines(r, text, len);
	if (why == NULL && registry_empty(r))
		why = "it is empty";
	free(text);
	if (why == NULL)
		return r;
	if (r != NULL && !registry_empty(r))
		*status = out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "%s: after update %" PRIu64 ": %s", path, registry_seq(r),
		    why);
	else
		*status = out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "%s: %s", path, why);
	registry_free(r);
	return NULL;
}
