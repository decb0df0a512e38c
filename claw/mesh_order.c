/* SPDX-License-Identifier: ISC */
/*
 * mesh_order.c - the verbs that change the registry, and those with which more
 * than one authority do it: registry:propose, registry:sign, registry:submit.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/mesh.h"
#include "claw/out.h"
#include "common/identity.h"

#define WINDOW_MAX_S REGISTRY_WINDOW_MAX

/* registry:propose. The operands are those of claw-registry(5). */

static bool
is_list(const char *key)
{
	return strcmp(key, "capabilities") == 0 ||
	    strcmp(key, "addresses") == 0 || strcmp(key, "authorities") == 0 ||
	    strcmp(key, "fresh") == 0;
}

static bool
is_number(const char *key)
{
	return strcmp(key, "expiry") == 0 || strcmp(key, "threshold") == 0 ||
	    strcmp(key, "soft_s") == 0 || strcmp(key, "hard_s") == 0 ||
	    strcmp(key, "ksn") == 0;
}

/* "a,b" as a list of texts. */
static json_t *
list_of(const char *text)
{
	json_t *list = json_array();
	size_t n;

	if (*text == '\0')
		return list;
	for (;;) {
		n = strcspn(text, ",");
		(void)json_array_append_new(list, json_stringn(text, n));
		if (text[n] == '\0')
			return list;
		text += n + 1;
	}
}

static json_t *
value_of(const char *key, const char *text)
{
	char *end;
	long long number;

	if (is_list(key))
		return list_of(text);
	if (!is_number(key))
		return json_string(text);
	errno = 0;
	number = strtoll(text, &end, 10);
	return *end == '\0' && end != text && errno == 0 ?
	    json_integer(number) :
	    json_string(text);
}

int
registry_propose_run(const struct cmd *c)
{
	json_t *operands = json_object(), *r;
	const char *equals;
	char key[32];
	size_t i;
	int status;

	for (i = 1; i < c->n_operands; i++) {
		equals = strchr(c->operands[i], '=');
		if (equals == NULL ||
		    (size_t)(equals - c->operands[i]) >= sizeof(key)) {
			json_decref(operands);
			return out_error(c, stderr, EX_USAGE, "UsageError",
			    "operands are written as name=tokyo");
		}
		snprintf(key, sizeof(key), "%.*s",
		    (int)(equals - c->operands[i]), c->operands[i]);
		(void)json_object_set_new(operands, key,
		    value_of(key, equals + 1));
	}
	r = mesh_ask(c, "registry.propose",
	    json_pack("{s:s, s:o}", "op", c->operands[0], "operands", operands),
	    MESH_ASK_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	puts(mesh_text(r, "line"));
	json_decref(r);
	return out_finish(EX_OK);
}

/* Proposals in files. */

/* The one line of a file. */
static char *
read_proposal(const struct cmd *c, int *status)
{
	size_t len;
	char *line =
	    mesh_read(c, c->operands[0], REGISTRY_LINE_MAX + 1, &len, status);

	if (line == NULL)
		return NULL;
	if (len > 0 && line[len - 1] == '\n')
		line[--len] = '\0';
	if (len > 0 && strchr(line, '\n') == NULL)
		return line;
	*status = out_error(c, stderr, EX_DATAERR, "RegistryError",
	    "%s: a proposal is one line", c->operands[0]);
	free(line);
	return NULL;
}

/* Puts the line with one more signature in the place of the one before. */
static int
write_proposal(const struct cmd *c, const char *path, const char *line)
{
	char tmp[4096];
	struct stat st;
	mode_t mode = stat(path, &st) == 0 ? st.st_mode & 0777 : 0644;
	FILE *f = NULL;
	bool good = false;
	int n, fd = -1;

	n = snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path);
	if (n > 0 && (size_t)n < sizeof(tmp))
		fd = mkstemp(tmp);
	if (fd != -1 && fchmod(fd, mode) == 0)
		f = fdopen(fd, "w");
	if (f != NULL) {
		good = fprintf(f, "%s\n", line) > 0 && fflush(f) == 0 &&
		    fsync(fd) == 0;
		good = fclose(f) == 0 && good && rename(tmp, path) == 0;
	}
	if (good)
		return EX_OK;
	n = errno;
	if (fd != -1)
		(void)unlink(tmp);
	return out_error(c, stderr, EX_CANTCREAT, "IoError",
	    "%s: %s; it is signed all the same: %s", path, strerror(n), line);
}

/* What is about to be signed, for the person who signs it. */
static int
say_what(const struct cmd *c, struct api *api, const char *line)
{
	struct api_error e;
	char *update = NULL;
	json_t *r;

	r = api_call(api, "registry.inspect", json_pack("{s:s}", "line", line),
	    MESH_ASK_MS, &e);
	if (r == NULL)
		return api_report(c, &e);
	update = json_dumps(json_object_get(r, "update"),
	    JSON_COMPACT | JSON_SORT_KEYS);
	if (!c->json)
		fprintf(stderr, "claw: signing %s\n",
		    update != NULL ? update : "?");
	free(update);
	json_decref(r);
	return EX_OK;
}

static int
signed_line(const struct cmd *c, json_t *r)
{
	bool applied = mesh_true(r, "applied");
	int status;

	status = strcmp(c->operands[0], "-") == 0 ?
	    EX_OK :
	    write_proposal(c, c->operands[0], mesh_text(r, "line"));
	if (status != EX_OK) {
		json_decref(r);
		return status;
	}
	if (c->json)
		return out_json(c, r);
	if (strcmp(c->operands[0], "-") == 0)
		puts(mesh_text(r, "line"));
	else if (applied)
		printf("signed by enough: update %lld is in force\n",
		    mesh_number(r, "seq"));
	else
		printf("signed by %lld of %lld\n", mesh_number(r, "signatures"),
		    mesh_number(r, "threshold"));
	json_decref(r);
	return out_finish(EX_OK);
}

int
registry_sign_run(const struct cmd *c)
{
	struct api_error e;
	struct conf conf;
	struct api api;
	json_t *r = NULL;
	char *line;
	int status = api_conf(c, &conf);

	if (status != EX_OK)
		return status;
	line = read_proposal(c, &status);
	if (line == NULL)
		return status;
	if (!api_open(&api, &conf, &e)) {
		free(line);
		return api_report(c, &e);
	}
	status = say_what(c, &api, line);
	if (status == EX_OK) {
		r = api_call(&api, "registry.sign",
		    json_pack("{s:s}", "line", line), MESH_ORDER_MS, &e);
		if (r == NULL)
			status = api_report(c, &e);
	}
	api_close(&api);
	free(line);
	return r != NULL ? signed_line(c, r) : status;
}

int
registry_submit_run(const struct cmd *c)
{
	json_t *r;
	char *line;
	int status;

	line = read_proposal(c, &status);
	if (line == NULL)
		return status;
	r = mesh_ask(c, "registry.submit", json_pack("{s:s}", "line", line),
	    MESH_ORDER_MS, &status);
	free(line);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	printf(mesh_number(r, "taken") > 0 ?
		"in force: update %lld, head %s\n" :
		"the registry has it already; it is at update %lld, head %s\n",
	    mesh_number(r, "seq"), mesh_text(r, "head"));
	json_decref(r);
	return out_finish(EX_OK);
}

/* Authorities: the new set is made of the present one. */

static json_t *
set_json(const struct registry_set *set)
{
	static const registry_key none;
	json_t *keys = json_array(), *fresh = json_array(), *o;
	char text[IDENTITY_TEXT_SIZE];
	bool any = false;
	uint32_t i;

	for (i = 0; i < set->count; i++) {
		identity_text(set->authority[i], text);
		(void)json_array_append_new(keys, json_string(text));
		text[0] = '\0';
		if (memcmp(set->fresh[i], none, sizeof(none)) != 0) {
			identity_text(set->fresh[i], text);
			any = true;
		}
		(void)json_array_append_new(fresh, json_string(text));
	}
	o = json_pack("{s:o, s:I}", "authorities", keys, "threshold",
	    (json_int_t)set->threshold);
	if (any)
		(void)json_object_set_new(o, "fresh", fresh);
	else
		json_decref(fresh);
	return o;
}

/* As given, or as many as before if that is still more than half of them. */
static bool
set_threshold(const struct cmd *c, enum cmd_flag f, struct registry_set *set)
{
	const char *text = cmd_value(c, f);
	unsigned long k;
	char *end;

	if (text == NULL) {
		if (set->threshold > set->count)
			set->threshold = set->count;
		if (set->threshold * 2 <= set->count)
			set->threshold = set->count / 2 + 1;
		return true;
	}
	k = strtoul(text, &end, 10);
	if (*end == '\0' && k * 2 > set->count && k <= set->count) {
		set->threshold = (uint32_t)k;
		return true;
	}
	(void)out_error(c, stderr, EX_USAGE, "UsageError",
	    "--threshold is more than half of the %u authorities, and not more "
	    "than all",
	    set->count);
	return false;
}

static uint32_t
find(const struct registry_set *set, const registry_key key)
{
	uint32_t i;

	for (i = 0; i < set->count; i++)
		if (memcmp(set->authority[i], key, sizeof(registry_key)) == 0)
			break;
	return i;
}

static int
set_of(const struct cmd *c, struct registry_set *set)
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
	*set = *registry_set(r);
	if (!set->has_fresh)
		memset(set->fresh, 0, sizeof(set->fresh));
	registry_free(r);
	return EX_OK;
}

static int
key_wrong(const struct cmd *c, const char *what)
{
	return out_error(c, stderr, EX_USAGE, "UsageError",
	    "%s is a public key, as ed25519:... or did:key:...", what);
}

int
authority_key_run(const struct cmd *c)
{
	const char *key, *fresh;
	json_t *r;
	int status;

	r = mesh_ask(c, "registry.authority", NULL, MESH_ORDER_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	key = mesh_text(r, "authority");
	fresh = mesh_text(r, "fresh");
	printf("%s\n"
	       "  authority  %s\n"
	       "  fresh      %s\n"
	       "It signs when the authorities that there are have taken it "
	       "in, on one of their nodes:\n"
	       "  claw registry:authority:add %s --fresh %s\n",
	    mesh_true(r, "new") ? "this node has an authority key now" :
				  "this node's authority key",
	    key, fresh, key, fresh);
	json_decref(r);
	return out_finish(EX_OK);
}

int
authority_add_run(const struct cmd *c)
{
	const char *fresh = cmd_value(c, FLAG_AUTHORITY_FRESH);
	registry_key key, fresh_key = { 0 };
	struct registry_set set;
	int status;

	if (identity_parse(c->operands[0], key) != 0)
		return key_wrong(c, "KEY");
	if (fresh != NULL && identity_parse(fresh, fresh_key) != 0)
		return key_wrong(c, "--fresh");
	status = set_of(c, &set);
	if (status != EX_OK)
		return status;
	if (find(&set, key) < set.count)
		return out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "that key is an authority already");
	if (set.count == REGISTRY_AUTHORITIES_MAX)
		return out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "there are %d authorities, and no room for more",
		    REGISTRY_AUTHORITIES_MAX);
	memcpy(set.authority[set.count], key, sizeof(key));
	memcpy(set.fresh[set.count++], fresh_key, sizeof(fresh_key));
	if (!set_threshold(c, FLAG_AUTHORITY_ADD_THRESHOLD, &set))
		return EX_USAGE;
	return mesh_order(c, "authorities", set_json(&set));
}

int
authority_remove_run(const struct cmd *c)
{
	struct registry_set set;
	registry_key key;
	uint32_t i;
	int status;

	if (identity_parse(c->operands[0], key) != 0)
		return key_wrong(c, "KEY");
	status = set_of(c, &set);
	if (status != EX_OK)
		return status;
	i = find(&set, key);
	if (i == set.count || set.count == 1)
		return out_error(c, stderr, EX_DATAERR, "RegistryError",
		    i == set.count ? "that key is no authority" :
				     "the last authority cannot be removed");
	set.count--;
	memmove(set.authority[i], set.authority[i + 1],
	    (set.count - i) * sizeof(registry_key));
	memmove(set.fresh[i], set.fresh[i + 1],
	    (set.count - i) * sizeof(registry_key));
	if (!set_threshold(c, FLAG_AUTHORITY_REMOVE_THRESHOLD, &set))
		return EX_USAGE;
	return mesh_order(c, "authorities", set_json(&set));
}

/* Binaries. */

static bool
digest_file(FILE *f, uint8_t out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char buf[65536];
	size_t n;
	bool good =
	    ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	while (good && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		good = EVP_DigestUpdate(ctx, buf, n) == 1;
	good = good && !ferror(f) && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

/* A hash as given, or that of the file. */
static int
hash_of(const struct cmd *c, const char *what, char hex[65])
{
	uint8_t hash[32];
	bool good;
	FILE *f;

	if (mesh_hash(what, hash)) {
		mesh_hex(hash, hex);
		return EX_OK;
	}
	f = fopen(what, "re");
	good = f != NULL && digest_file(f, hash);
	if (f != NULL)
		fclose(f);
	if (!good)
		return out_error(c, stderr, EX_IOERR, "IoError",
		    "%s: neither a SHA-256 nor a file that can be read", what);
	mesh_hex(hash, hex);
	return EX_OK;
}

int
binary_allow_run(const struct cmd *c)
{
	const char *channel = cmd_value(c, FLAG_BINARY_CHANNEL);
	json_t *names;
	char hex[65];
	int status = hash_of(c, c->operands[2], hex);

	if (status != EX_OK)
		return status;
	names = mesh_names(c, FLAG_BINARY_CAPABILITIES,
	    cmd_value(c, FLAG_BINARY_CAPABILITIES));
	if (names == NULL)
		return EX_USAGE;
	return mesh_order(c, "binary-allow",
	    json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", c->operands[0],
		"version", c->operands[1], "channel",
		channel != NULL ? channel : "ga", "sha256", hex, "capabilities",
		names));
}

int
binary_revoke_run(const struct cmd *c)
{
	uint8_t hash[32];
	char hex[65];

	if (!mesh_hash(c->operands[0], hash))
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "SHA256 has 64 hexadecimal digits; claw registry:show "
		    "lists the binaries");
	mesh_hex(hash, hex);
	return mesh_order(c, "binary-revoke",
	    json_pack("{s:s, s:s*}", "sha256", hex, "reason",
		cmd_value(c, FLAG_BINARY_REASON)));
}

/* Developers, windows, forks. */

int
developer_add_run(const struct cmd *c)
{
	return mesh_order(c, "developer-add",
	    json_pack("{s:s, s:s}", "name", c->operands[0], "key",
		c->operands[1]));
}

int
developer_revoke_run(const struct cmd *c)
{
	return mesh_order(c, "developer-revoke",
	    json_pack("{s:s, s:s*}", "name", c->operands[0], "reason",
		cmd_value(c, FLAG_DEVELOPER_REASON)));
}

int
registry_policy_run(const struct cmd *c)
{
	const char *soft = cmd_value(c, FLAG_POLICY_SOFT);
	const char *hard = cmd_value(c, FLAG_POLICY_HARD);
	uint64_t soft_s, hard_s;

	if (soft == NULL || hard == NULL)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "registry:policy wants --soft and --hard, as --soft 24h "
		    "--hard 14d");
	if (!mesh_seconds(c, FLAG_POLICY_SOFT, soft, 1, WINDOW_MAX_S,
		&soft_s) ||
	    !mesh_seconds(c, FLAG_POLICY_HARD, hard, soft_s, WINDOW_MAX_S,
		&hard_s))
		return EX_USAGE;
	return mesh_order(c, "policy",
	    json_pack("{s:I, s:I}", "soft_s", (json_int_t)soft_s, "hard_s",
		(json_int_t)hard_s));
}

int
registry_resolve_run(const struct cmd *c)
{
	uint8_t hash[32];
	char hex[65];

	if (!mesh_hash(c->operands[0], hash))
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "HEAD is a hash; claw registry:show lists the heads");
	mesh_hex(hash, hex);
	return mesh_order(c, "resolve", json_pack("{s:s}", "chosen", hex));
}
