/* SPDX-License-Identifier: ISC */
/*
 * manifest.c - the manifest of a plugin, version 1: every fault in one run.
 *
 * jansson decides what is JSON and keeps members in the order of the file. It
 * does not keep where they stand, so the text is walked beside its values: a
 * walk that trusts the text, since jansson has read it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/capability.h"
#include "common/manifest.h"
#include "common/merkle.h"
#include "common/nodename.h"
#include "common/suggest.h"
#include "common/utf8.h"

#define PIPE "websocketFilePipe"
#define BETA_PLUGIN "secure-file-transfer"
#define FIX_SEE "see claw-manifest(5)"
#define FIX_PIPE                                                               \
	"remove it, declare \"binaryCapabilities\": [\"sft.send\", "           \
	"\"sft.receive\"] and use the file transfer; claw-manifest(5), "       \
	"MIGRATION, step 2"
#define FIX_CAPABILITIES                                                       \
	"add \"binaryCapabilities\" with every capability that the binary "    \
	"uses; claw-manifest(5), MIGRATION, step 1"
#define FIX_BINARY                                                             \
	"install the plugin's release of the ga channel in its place; "        \
	"claw-manifest(5), MIGRATION, step 3"

struct check {
	const char *text;
	size_t len;
	struct manifest *m;
	struct manifest_report *r;
	size_t version_at;
};

/* One member that an object may have. */
struct field {
	const char *name; /* of the member itself */
	const char *path; /* from the top */
	void (*take)(struct check *, json_t *, size_t at);
	const char *missing; /* the finding's id; NULL: may be left out */
	const char *fix;
};

/* Where offset at is, for a person. */
static void
place(const struct check *c, size_t at, struct manifest_finding *f)
{
	size_t i;

	f->line = 1;
	f->column = 1;
	for (i = 0; i < at && i < c->len; i++) {
		/* Characters: the bytes that begin one. */
		f->column += ((uint8_t)c->text[i] & 0xc0) != 0x80;
		if (c->text[i] == '\n') {
			f->line++;
			f->column = 1;
		}
	}
}

static void found(struct check *, size_t at, bool breaks, const char *id,
    const char *field, const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));

static void
found(struct check *c, size_t at, bool breaks, const char *id,
    const char *field, const char *fix, const char *fmt, ...)
{
	struct manifest_finding *f;
	va_list ap;

	if (breaks)
		c->r->breaking++;
	if (c->r->n == MANIFEST_FINDINGS_MAX) {
		c->r->untold++;
		return;
	}
	f = &c->r->finding[c->r->n++];
	f->id = id;
	f->breaks = breaks;
	f->fix = fix;
	snprintf(f->field, sizeof(f->field), "%s", field);
	place(c, at, f);
	va_start(ap, fmt);
	vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
}

/* Somebody's text as it may be shown: short, and no terminal obeys it. */
struct shown {
	char text[44];
};

static struct shown
show(const char *s)
{
	struct shown out;
	size_t i;

	for (i = 0; s[i] != '\0' && i < sizeof(out.text) - 4; i++)
		out.text[i] = s[i] >= 0x20 && s[i] <= 0x7e ? s[i] : '?';
	snprintf(out.text + i, 4, "%s", s[i] == '\0' ? "" : "...");
	return out;
}

/* The walk. Every function is given the offset of what it passes over. */

static size_t
skip_space(const struct check *c, size_t at)
{
	while (at < c->len && strchr(" \t\r\n", c->text[at]) != NULL &&
	    c->text[at] != '\0')
		at++;
	return at;
}

static size_t
skip_string(const struct check *c, size_t at)
{
	for (at++; at < c->len && c->text[at] != '"'; at++)
		if (c->text[at] == '\\')
			at++;
	return at + 1;
}

static size_t
skip_value(const struct check *c, size_t at)
{
	size_t depth = 0;

	do {
		at = skip_space(c, at);
		if (at >= c->len)
			return c->len;
		switch (c->text[at]) {
		case '"':
			at = skip_string(c, at);
			break;
		case '{':
		case '[':
			depth++;
			at++;
			break;
		case '}':
		case ']':
			depth--;
			at++;
			break;
		case ',':
		case ':':
			at++;
			break;
		default:
			for (at++; at < c->len; at++)
				if (strchr(" \t\r\n,:]}", c->text[at]) != NULL)
					break;
		}
	} while (depth > 0);
	return at;
}

/* From a value behind its comma to the next one. */
static size_t
skip_comma(const struct check *c, size_t at)
{
	at = skip_space(c, at);
	if (at < c->len && c->text[at] == ',')
		at = skip_space(c, at + 1);
	return at;
}

/* Whether the string from at to end is the pipe, however it is spelled. */
static bool
is_pipe(const struct check *c, size_t at, size_t end)
{
	json_t *s;
	bool is;

	if (memchr(c->text + at, '\\', end - at) == NULL)
		return end - at == sizeof(PIPE) + 1 &&
		    memcmp(c->text + at + 1, PIPE, sizeof(PIPE) - 1) == 0;
	s = json_loadb(c->text + at, end - at, JSON_DECODE_ANY, NULL);
	is = json_is_string(s) && strcmp(json_string_value(s), PIPE) == 0;
	json_decref(s);
	return is;
}

/* The pipe of the beta, wherever it is named. */
static void
find_pipe(struct check *c)
{
	size_t at, end;

	for (at = 0; at < c->len; at = end) {
		end = at + 1;
		if (c->text[at] != '"')
			continue;
		end = skip_string(c, at);
		if (is_pipe(c, at, end))
			found(c, at, true, "beta-websocketfilepipe", PIPE,
			    FIX_PIPE,
			    PIPE " was the beta's; this version has none");
	}
}

static void
unknown(struct check *c, const char *prefix, const char *key, size_t at,
    const struct field *fields, size_t n)
{
	const char *names[8], *near;
	char path[64];
	size_t i;

	if (strcmp(key, PIPE) == 0)
		return; /* told already */
	for (i = 0; i < n; i++)
		names[i] = fields[i].name;
	near = suggest_nearest(key, names, n);
	snprintf(path, sizeof(path), "%s%s", prefix, show(key).text);
	if (near != NULL)
		found(c, at, true, "unknown", path, "spell it right",
		    "there is no field %s; did you mean %s?", path, near);
	else
		found(c, at, true, "unknown", path,
		    "remove it, or update claw if it is of a later one",
		    "there is no field %s in version 1", path);
}

/* An object's members, each by its field; then what is missing. */
static void
take_members(struct check *c, json_t *object, size_t at, const char *prefix,
    const struct field *fields, size_t n)
{
	size_t i, key_at, cursor = skip_space(c, at + 1);
	unsigned int seen = 0;
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		key_at = cursor;
		cursor = skip_space(c, skip_string(c, cursor));
		cursor = skip_space(c, cursor + 1); /* the colon */
		for (i = 0; i < n; i++)
			if (strcmp(key, fields[i].name) == 0)
				break;
		if (i == n) {
			unknown(c, prefix, key, key_at, fields, n);
		} else {
			seen |= 1u << i;
			fields[i].take(c, value, cursor);
		}
		cursor = skip_comma(c, skip_value(c, cursor));
	}
	for (i = 0; i < n; i++)
		if ((seen >> i & 1) == 0 && fields[i].missing != NULL)
			found(c, at, true, fields[i].missing, fields[i].path,
			    fields[i].fix, "%s is missing", fields[i].path);
}

/* A string no longer than max bytes, or NULL after saying what is wrong. */
static const char *
text_of(struct check *c, json_t *value, size_t at, const char *path, size_t max)
{
	if (!json_is_string(value)) {
		found(c, at, true, "type", path, FIX_SEE, "%s must be a text",
		    path);
		return NULL;
	}
	if (json_string_length(value) == 0 || json_string_length(value) > max) {
		found(c, at, true, "value", path, FIX_SEE,
		    "%s must have 1 to %zu bytes", path, max);
		return NULL;
	}
	return json_string_value(value);
}

static void
take_name(struct check *c, json_t *value, size_t at)
{
	const char *s = text_of(c, value, at, "name", MANIFEST_NAME_MAX);

	if (s == NULL)
		return;
	if (nodename_ok(s, strlen(s)))
		memcpy(c->m->name, s, strlen(s) + 1);
	else
		found(c, at, true, "value", "name", FIX_SEE,
		    "name may have small letters, digits, and hyphens between "
		    "them, not \"%s\"",
		    show(s).text);
}

static bool
version_ok(const char *s)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
			(s[i] >= 'A' && s[i] <= 'Z') ||
			(s[i] >= '0' && s[i] <= '9') ||
			(i > 0 && strchr(".+_~-", s[i]) != NULL)))
			return false;
	return true;
}

static void
take_version(struct check *c, json_t *value, size_t at)
{
	const char *s = text_of(c, value, at, "version", MANIFEST_VERSION_MAX);

	if (s == NULL)
		return;
	c->version_at = at;
	if (version_ok(s))
		memcpy(c->m->version, s, strlen(s) + 1);
	else
		found(c, at, true, "value", "version", FIX_SEE,
		    "version may have letters, digits and .+_~-, not \"%s\"",
		    show(s).text);
}

static void
take_capability(struct check *c, json_t *item, size_t at)
{
	static const char field[] = "binaryCapabilities";
	const char *names[CAPABILITIES_MAX], *s, *near;
	uint64_t bit;
	size_t n;

	s = text_of(c, item, at, field, 63);
	if (s == NULL || strcmp(s, PIPE) == 0)
		return;
	bit = capability_of(s, strlen(s));
	if (bit != 0 && (c->m->capabilities & bit) != 0) {
		found(c, at, true, "value", field, "remove one of them",
		    "%s is there twice", s);
	} else if (bit == 0) {
		n = capability_names(capability_all(), names);
		near = suggest_nearest(s, names, n);
		found(c, at, true, "value", field, FIX_SEE,
		    "there is no capability %s%s%s%s", show(s).text,
		    near != NULL ? "; did you mean " : "",
		    near != NULL ? near : "", near != NULL ? "?" : "");
	}
	c->m->capabilities |= bit;
}

static void
take_capabilities(struct check *c, json_t *value, size_t at)
{
	size_t i, cursor = skip_space(c, at + 1);
	json_t *item;

	if (!json_is_array(value)) {
		found(c, at, true, "type", "binaryCapabilities", FIX_SEE,
		    "binaryCapabilities must be a list of texts");
		return;
	}
	json_array_foreach(value, i, item)
	{
		take_capability(c, item, cursor);
		cursor = skip_comma(c, skip_value(c, cursor));
	}
}

static void
take_required(struct check *c, json_t *value, size_t at)
{
	if (!json_is_true(value))
		found(c, at, true, json_is_false(value) ? "value" : "type",
		    "attestation.required", "set it to true",
		    "attestation.required must be true: nothing is open "
		    "without attestation");
}

static void
take_key_type(struct check *c, json_t *value, size_t at)
{
	const char *s = text_of(c, value, at, "attestation.keyType", 63);

	if (s != NULL && strcmp(s, "ed25519") != 0)
		found(c, at, true, "value", "attestation.keyType",
		    "set it to \"ed25519\"",
		    "attestation.keyType must be \"ed25519\", not \"%s\"",
		    show(s).text);
}

static void
take_attestation(struct check *c, json_t *value, size_t at)
{
	static const struct field fields[] = {
		{ "required", "attestation.required", take_required, "missing",
		    "add \"required\": true" },
		{ "keyType", "attestation.keyType", take_key_type, "missing",
		    "add \"keyType\": \"ed25519\"" },
	};

	if (json_is_object(value))
		take_members(c, value, at, "attestation.", fields, 2);
	else
		found(c, at, true, "type", "attestation", FIX_SEE,
		    "attestation must be an object");
}

/* Below the manifest's folder, in one spelling, and fit to be shown. */
static bool
path_ok(const char *s)
{
	size_t i, k, len = strlen(s), part;
	uint32_t cp = 0;

	for (i = 0; i < len; i += k) {
		k = utf8_next((const uint8_t *)s + i, len - i, &cp);
		if (k == 0 || cp < 0x20 || cp == '\\' ||
		    (cp >= 0x7f && cp < 0xa0))
			return false;
	}
	for (;; s += part + 1) {
		part = strcspn(s, "/");
		if (part == 0 || (part == 1 && s[0] == '.') ||
		    (part == 2 && memcmp(s, "..", 2) == 0))
			return false;
		if (s[part] == '\0')
			return true;
	}
}

static void
take_path(struct check *c, json_t *value, size_t at)
{
	const char *s = text_of(c, value, at, "binary.path", MANIFEST_PATH_MAX);

	if (s == NULL)
		return;
	if (path_ok(s))
		memcpy(c->m->binary_path, s, strlen(s) + 1);
	else
		found(c, at, true, "value", "binary.path", FIX_SEE,
		    "binary.path must be relative and stay below the "
		    "manifest's folder, not \"%s\"",
		    show(s).text);
}

static void
take_sha256(struct check *c, json_t *value, size_t at)
{
	static const char digits[] = "0123456789abcdef";
	const char *s = text_of(c, value, at, "binary.sha256", 64), *hi, *lo;
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < 32 && strlen(s) == 64; i++) {
		hi = strchr(digits, s[2 * i]);
		lo = strchr(digits, s[2 * i + 1]);
		if (hi == NULL || lo == NULL)
			break;
		c->m->binary_sha256[i] =
		    (uint8_t)((hi - digits) << 4 | (lo - digits));
	}
	if (i < 32)
		found(c, at, true, "value", "binary.sha256",
		    "put in what sha256sum prints",
		    "binary.sha256 must be 64 digits of 0-9 and a-f");
}

static void
take_binary(struct check *c, json_t *value, size_t at)
{
	static const struct field fields[] = {
		{ "path", "binary.path", take_path, "missing",
		    "add \"path\", relative to the manifest" },
		{ "sha256", "binary.sha256", take_sha256, "missing",
		    "add \"sha256\": what sha256sum prints" },
	};

	if (json_is_object(value))
		take_members(c, value, at, "binary.", fields, 2);
	else
		found(c, at, true, "type", "binary", FIX_SEE,
		    "binary must be an object");
}

/* Versions under which the file transfer was a beta. */
static bool
beta_version(const char *v)
{
	static const char *const numbers[] = { "202653", "2026.5.3" };
	size_t i, n;

	if (strstr(v, "beta") != NULL)
		return true;
	v += v[0] == 'v';
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		n = strlen(numbers[i]);
		if (strncmp(v, numbers[i], n) == 0 &&
		    (v[n] < '0' || v[n] > '9'))
			return true;
	}
	return false;
}

static void
take_manifest(struct check *c, json_t *root)
{
	static const struct field fields[] = {
		{ "name", "name", take_name, "missing", "add \"name\"" },
		{ "version", "version", take_version, "missing",
		    "add \"version\"" },
		{ "binaryCapabilities", "binaryCapabilities", take_capabilities,
		    "beta-capabilities", FIX_CAPABILITIES },
		{ "attestation", "attestation", take_attestation, "missing",
		    "add \"attestation\": {\"required\": true, "
		    "\"keyType\": \"ed25519\"}" },
		{ "binary", "binary", take_binary, NULL, NULL },
	};
	size_t at = skip_space(c, 0);

	if (!json_is_object(root)) {
		found(c, at, true, "type", "", FIX_SEE,
		    "a manifest is an object");
		return;
	}
	take_members(c, root, at, "", fields,
	    sizeof(fields) / sizeof(fields[0]));
	find_pipe(c);
	if (strcmp(c->m->name, BETA_PLUGIN) == 0 && beta_version(c->m->version))
		found(c, c->version_at, true, "beta-binary", "version",
		    FIX_BINARY, BETA_PLUGIN " %s is the beta's transfer binary",
		    c->m->version);
	if (json_object_get(root, "binary") == NULL)
		found(c, at, false, "no-binary", "binary",
		    "add \"binary\" with its path and sha256",
		    "binary is not there: this is a declaration only, and "
		    "nothing can be started by it");
}

static int
by_place(const void *a, const void *b)
{
	const struct manifest_finding *f = a, *g = b;

	if (f->line != g->line)
		return f->line < g->line ? -1 : 1;
	if (f->column != g->column)
		return f->column < g->column ? -1 : 1;
	return strcmp(f->field, g->field);
}

/* The one finding of a file that cannot be read as JSON. */
static int
no_json(struct manifest_report *r, const json_error_t *e, const char *what)
{
	struct manifest_finding *f = &r->finding[0];

	r->n = r->breaking = 1;
	f->id = "json";
	f->breaks = true;
	f->line = e != NULL && e->line > 0 ? (unsigned int)e->line : 1;
	f->column = e != NULL && e->column > 0 ? (unsigned int)e->column : 1;
	f->fix = FIX_SEE;
	snprintf(f->message, sizeof(f->message), "%.*s",
	    (int)sizeof(f->message) - 1, what);
	return -EBADMSG;
}

/* jansson quotes what it read, which may be anything. */
static int
bad_json(struct manifest_report *r, const json_error_t *e)
{
	char text[sizeof(e->text) + 16];
	size_t i;

	snprintf(text, sizeof(text), "not JSON: %s", e->text);
	for (i = 0; text[i] != '\0'; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = '?';
	return no_json(r, e, text);
}

int
manifest_parse(const void *data, size_t len, struct manifest *m,
    struct manifest_report *r)
{
	struct check c = { .text = data, .len = len, .m = m, .r = r };
	uint8_t digest[32];
	json_error_t error;
	json_t *root;
	int ret = 0;

	memset(m, 0, sizeof(*m));
	memset(r, 0, sizeof(*r));
	merkle_sha256(data, len, digest);
	if (len > MANIFEST_MAX) {
		ret = no_json(r, NULL, "longer than 65536 bytes");
		goto out;
	}
	root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL &&
	    json_error_code(&error) == json_error_out_of_memory) {
		ret = -ENOMEM;
		goto out;
	}
	if (root == NULL) {
		ret = bad_json(r, &error);
		goto out;
	}
	take_manifest(&c, root);
	json_decref(root);
	qsort(r->finding, r->n, sizeof(r->finding[0]), by_place);
	if (r->breaking > 0)
		ret = -EINVAL;
out:
	if (ret != 0)
		memset(m, 0, sizeof(*m));
	memcpy(m->digest, digest, sizeof(digest));
	return ret;
}
