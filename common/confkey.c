/* SPDX-License-Identifier: ISC */
/*
 * confkey.c - the keys of claw.yaml as data, and their values as text.
 *
 * policy/config.def becomes a table here, and each type of value has the one
 * function that reads it and the one that writes it. A unit is never guessed:
 * a bare number where seconds and minutes, or megabytes and mebibytes, could
 * be meant is refused with the text that would have been right.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/confkey.h"
#include "common/conftext.h"
#include "common/netaddr.h"
#include "common/sftrule.h"
#include "common/suggest.h"

enum { RESTART, RELOAD };
enum { NOENV, ENV };
enum { UNAVAILABLE, AVAILABLE };

static const struct confkey keys[CONF_KEY_MAX] = {
#define KEY(id, path, field, type, def, min, max, reload, env, desc)           \
	[CONF_KEY_##id] = { path, CONF_TYPE_##type,                            \
		offsetof(struct conf, field), def, min, max, reload == RELOAD, \
		env == ENV, desc },
#include "policy/config.def"
#undef KEY
};

static const struct {
	enum conf_key key;
	const char *text;
	bool available;
} values[CONF_VALUE_MAX] = {
#define VALUE(key, id, text, availability)                                     \
	[CONF_##key##_##                                                       \
	    id] = { CONF_KEY_##key, text, availability == AVAILABLE },
#include "policy/config.def"
#undef VALUE
};

struct unit {
	const char *text;
	uint64_t factor;
};

static const struct unit durations[] = { { "ms", 1 }, { "s", 1000 },
	{ "m", 60000 }, { "h", 3600000 }, { NULL, 0 } };
static const struct unit sizes[] = { { "K", UINT64_C(1) << 10 },
	{ "KiB", UINT64_C(1) << 10 }, { "M", UINT64_C(1) << 20 },
	{ "MiB", UINT64_C(1) << 20 }, { "G", UINT64_C(1) << 30 },
	{ "GiB", UINT64_C(1) << 30 }, { NULL, 0 } };
static const struct unit percents[] = { { "%", 1 }, { NULL, 0 } };
static const struct unit numbers[] = { { "", 1 }, { NULL, 0 } };

const struct confkey *
confkey(enum conf_key key)
{
	return &keys[key];
}

static const struct unit *
units_of(enum conf_type type)
{
	switch (type) {
	case CONF_TYPE_DURATION:
		return durations;
	case CONF_TYPE_SIZE:
	case CONF_TYPE_POW2:
		return sizes;
	case CONF_TYPE_PERCENT:
		return percents;
	default:
		return numbers;
	}
}

/* Largest unit that divides the number, so that 8M is not told as 8192K. */
static void
number_text(enum conf_type type, uint64_t v, char *buf, size_t len)
{
	const struct unit *u = units_of(type), *best = u, *i;

	for (i = u; i->text != NULL; i++)
		if (v % i->factor == 0 && i->factor > best->factor)
			best = i;
	(void)snprintf(buf, len, "%llu%s",
	    (unsigned long long)(v / best->factor), best->text);
}

static void
unit_advice(const struct confkey *k, const char *digits, size_t n,
    const char *rest, char *why, size_t len)
{
	if (n > 12)
		n = 12;
	switch (k->type) {
	case CONF_TYPE_DURATION:
		(void)snprintf(why, len,
		    "needs one of the units ms, s, m, h: write %.*ss for "
		    "%.*s seconds",
		    (int)n, digits, (int)n, digits);
		break;
	case CONF_TYPE_SIZE:
	case CONF_TYPE_POW2:
		(void)snprintf(why, len,
		    "needs one of the units K, M, G (binary): write %.*s%c "
		    "for %.*s %ciB",
		    (int)n, digits,
		    rest[0] == 'G' || rest[0] == 'K' ? rest[0] : 'M', (int)n,
		    digits, rest[0] == 'G' || rest[0] == 'K' ? rest[0] : 'M');
		break;
	case CONF_TYPE_PERCENT:
		(void)snprintf(why, len, "is a percentage: write %.*s%%",
		    (int)n, digits);
		break;
	default:
		(void)snprintf(why, len,
		    "is a whole number without a unit: write %.*s", (int)n,
		    digits);
	}
}

static void
number_shape(const struct confkey *k, char *why, size_t len)
{
	static const char *const shapes[] = {
		[CONF_TYPE_INT] = "a whole number",
		[CONF_TYPE_PERCENT] = "a percentage such as 75%",
		[CONF_TYPE_DURATION] = "a duration such as 100ms, 30s, 5m, 1h",
		[CONF_TYPE_SIZE] = "a size such as 512K, 8M, 10G",
		[CONF_TYPE_POW2] = "a size such as 1M, 8M, 32M",
	};

	(void)snprintf(why, len, "takes %s", shapes[k->type]);
}

static uint64_t
nearest_pow2(uint64_t v)
{
	uint64_t p = 1;

	while (p <= v / 2)
		p *= 2;
	return v - p <= 2 * p - v ? p : 2 * p;
}

static int
read_number(const struct confkey *k, const char *text, uint64_t *v, char *why,
    size_t len)
{
	const struct unit *u;
	char least[32], most[32];
	size_t n;

	n = strspn(text, "0123456789");
	if (n == 0 || (n > 1 && text[0] == '0')) {
		number_shape(k, why, len);
		return -EINVAL;
	}
	for (u = units_of(k->type); u->text != NULL; u++)
		if (strcmp(text + n, u->text) == 0)
			break;
	if (u->text == NULL) {
		if (strspn(text + n, "KMGTBikmgb seconmiuthr%") ==
		    strlen(text + n))
			unit_advice(k, text, n, text + n, why, len);
		else
			number_shape(k, why, len);
		return -EINVAL;
	}
	errno = 0;
	*v = strtoull(text, NULL, 10);
	if (errno != 0 || n > 19 || *v > UINT64_MAX / u->factor ||
	    *v * u->factor < k->min || *v * u->factor > k->max) {
		number_text(k->type, k->min, least, sizeof(least));
		number_text(k->type, k->max, most, sizeof(most));
		(void)snprintf(why, len, "must lie between %s and %s", least,
		    most);
		return -EINVAL;
	}
	*v *= u->factor;
	if (k->type == CONF_TYPE_POW2 && (*v & (*v - 1)) != 0) {
		number_text(k->type, nearest_pow2(*v), least, sizeof(least));
		(void)snprintf(why, len,
		    "must be a power of two; the nearest is %s", least);
		return -EINVAL;
	}
	return 0;
}

static int
read_bool(const char *text, bool *v, char *why, size_t len)
{
	static const char *const yes[] = { "yes", "on", "y", "True", "TRUE",
		"Yes", "YES", "On", "ON", "Y", "1" };
	static const char *const no[] = { "no", "off", "n", "False", "FALSE",
		"No", "NO", "Off", "OFF", "N", "0" };
	size_t i;

	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
		*v = text[0] == 't';
		return 0;
	}
	(void)snprintf(why, len, "takes true or false");
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0)
			(void)snprintf(why, len,
			    "takes true or false: write true instead of %s",
			    yes[i]);
		if (strcmp(text, no[i]) == 0)
			(void)snprintf(why, len,
			    "takes true or false: write false instead of %s",
			    no[i]);
	}
	return -EINVAL;
}

static int
read_enum(enum conf_key key, const char *text, enum conf_value *v, char *why,
    size_t len)
{
	const char *known[CONF_VALUE_MAX];
	const char *near, *after;
	size_t i, n = 0, o;
	int w;

	for (i = 0; i < CONF_VALUE_MAX; i++) {
		if (values[i].key != key)
			continue;
		if (strcmp(values[i].text, text) != 0) {
			if (values[i].available)
				known[n++] = values[i].text;
			continue;
		}
		if (!values[i].available) {
			(void)snprintf(why, len,
			    "cannot be \"%s\": not available in this version",
			    values[i].text);
			return -EINVAL;
		}
		*v = (enum conf_value)i;
		return 0;
	}
	near = suggest_nearest(text, known, n);
	w = snprintf(why, len, "takes ");
	o = (size_t)w;
	for (i = 0; i < n && o < len; i++) {
		after = i + 2 == n ? " or " : ", ";
		w = snprintf(why + o, len - o, "%s%s", known[i],
		    i + 1 == n ? "" : after);
		o += (size_t)w;
	}
	if (near != NULL && o < len)
		(void)snprintf(why + o, len - o, " (did you mean \"%s\"?)",
		    near);
	return -EINVAL;
}

/* [a-z0-9]([a-z0-9-]*[a-z0-9])?: one label of a domain name, in lower case. */
static bool
is_name(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && s[0] != '-' && s[n - 1] != '-' &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool
is_group(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
				      "0123456789.-";

	return s[0] != '\0' && strchr("0123456789.-", s[0]) == NULL &&
	    strspn(s, letters) == strlen(s);
}

static bool
is_clean(const char *s)
{
	size_t n, len = strlen(s);
	uint32_t c;

	for (; len > 0; s += n, len -= n) {
		n = conftext_char(s, len, &c);
		if (n == 0 || !conftext_is_clean(c))
			return false;
	}
	return true;
}

/* Whether ".." is one of the path's components. */
static bool
climbs(const char *s)
{
	for (; (s = strstr(s, "..")) != NULL; s++)
		if ((s[2] == '/' || s[2] == '\0') && s[-1] == '/')
			return true;
	return false;
}

static int
check_path(const char *text, const char *base, char *why, size_t len)
{
	if (text[0] != '/') {
		while (strncmp(text, "./", 2) == 0)
			text += 2;
		if (base == NULL || strstr(text, "..") != NULL)
			(void)snprintf(why, len, "must be an absolute path");
		else
			(void)snprintf(why, len,
			    "must be an absolute path: write %s%s%s", base,
			    strcmp(base, "/") == 0 ? "" : "/", text);
		return -EINVAL;
	}
	if (climbs(text)) {
		(void)snprintf(why, len, "must not contain \"..\"");
		return -EINVAL;
	}
	return 0;
}

int
conf_hash_bytes(const char *text, uint8_t out[32])
{
	static const char hex[] = "0123456789abcdef";
	const char *high, *low;
	size_t i;

	if (strncmp(text, "sha256:", 7) != 0 || strlen(text) != 71)
		return -EINVAL;
	for (i = 0; i < 32; i++) {
		high = strchr(hex, text[7 + 2 * i]);
		low = strchr(hex, text[8 + 2 * i]);
		if (high == NULL || low == NULL)
			return -EINVAL;
		out[i] = (uint8_t)((high - hex) << 4 | (low - hex));
	}
	return 0;
}

/* Addresses, with one space between them. */
static bool
are_addrs(const char *text)
{
	struct sockaddr_storage ss;
	char one[64];
	socklen_t len;
	size_t n;

	for (;;) {
		n = strcspn(text, " ");
		if (n == 0 || n >= sizeof(one))
			return false;
		memcpy(one, text, n);
		one[n] = '\0';
		if (netaddr_parse(one, &ss, &len) != 0)
			return false;
		if (text[n] == '\0')
			return true;
		text += n + 1;
	}
}

/* What is wrong with a text that is no path, or NULL. */
static const char *
fault_of(const struct confkey *k, const char *text)
{
	struct sockaddr_storage ss;
	uint8_t hash[32];
	socklen_t len;

	switch (k->type) {
	case CONF_TYPE_NAME:
		if (!is_name(text))
			return "is made of lower-case letters, digits and "
			       "inner hyphens, as agent-tokyo-07";
		break;
	case CONF_TYPE_GROUP:
		if (!is_group(text))
			return "is not the name of a group";
		break;
	case CONF_TYPE_ADDR:
		if (netaddr_parse(text, &ss, &len) != 0)
			return "takes a numeric address and a port, as "
			       "\"192.0.2.1:7946\" or \"[2001:db8::1]:7946\"";
		break;
	case CONF_TYPE_ADDRS:
		if (!are_addrs(text))
			return "takes numeric addresses with their ports, as "
			       "\"192.0.2.1:7946\"";
		break;
	case CONF_TYPE_HASH:
		if (conf_hash_bytes(text, hash) != 0)
			return "takes \"sha256:\" and 64 lower-case "
			       "hexadecimal digits";
		break;
	default:
		break;
	}
	return NULL;
}

/* *rule: the one that is wrong, from 1. */
static int
check_rules(const char *text, unsigned int *rule, char *why, size_t len)
{
	char what[CONF_TEXT_MAX];
	int error = sftrule_check(text, rule, what, sizeof(what));

	if (error != 0)
		(void)snprintf(why, len, "rule %u: %s", *rule, what);
	return error;
}

static int
check_text(const struct confkey *k, const char *text, const char *base,
    char *why, size_t len)
{
	const char *fault = NULL;
	unsigned int rule;
	size_t n = strlen(text);

	if (n == 0 && k->min == 0)
		return 0;
	if (n == 0)
		fault = "must not be empty";
	else if (!is_clean(text))
		fault = "holds a control character or is not UTF-8";
	else
		fault = fault_of(k, text);
	if (fault != NULL) {
		(void)snprintf(why, len, "%s", fault);
		return -EINVAL;
	}
	if (n > k->max) {
		(void)snprintf(why, len, "must not be longer than %llu bytes",
		    (unsigned long long)k->max);
		return -EINVAL;
	}
	if (k->type == CONF_TYPE_PATH)
		return check_path(text, base, why, len);
	if (k->type == CONF_TYPE_RULES)
		return check_rules(text, &rule, why, len);
	return 0;
}

/* What is between the values of a list, as one text. */
static const char *
separator(enum conf_key key)
{
	return keys[key].type == CONF_TYPE_RULES ? SFTRULE_SEPARATOR : " ";
}

int
confkey_list(enum conf_key key, const char *lines, char out[CONF_TEXT_MAX],
    size_t *wrong, char *why, size_t len)
{
	const char *between = separator(key), *line = lines;
	unsigned int rule;
	size_t n, o = 0;
	int error = 0;

	out[0] = '\0';
	for (*wrong = 0; *line != '\0'; ++*wrong) {
		n = strcspn(line, "\n");
		if (memchr(line, between[0], n) != NULL) {
			(void)snprintf(why, len,
			    "takes a list of values without %s in them",
			    between[0] == ' ' ? "spaces" : "semicolons");
			return -EINVAL;
		}
		if (o + strlen(between) + n >= CONF_TEXT_MAX) {
			(void)snprintf(why, len, "is too long");
			return -EINVAL;
		}
		o += (size_t)snprintf(out + o, CONF_TEXT_MAX - o, "%s%.*s",
		    o > 0 ? between : "", (int)n, line);
		line += n + (line[n] == '\n');
	}
	if (keys[key].type == CONF_TYPE_RULES &&
	    (error = check_rules(out, &rule, why, len)) != 0)
		*wrong = rule - 1;
	return error;
}

int
confkey_set(struct conf *c, enum conf_key key, const char *text,
    const char *base, char *why, size_t len)
{
	const struct confkey *k = &keys[key];
	char *field = (char *)c + k->offset;
	enum conf_value word;
	uint64_t number;
	bool truth;
	int error;

	switch (k->type) {
	case CONF_TYPE_NAME:
	case CONF_TYPE_GROUP:
	case CONF_TYPE_PATH:
	case CONF_TYPE_ADDR:
	case CONF_TYPE_ADDRS:
	case CONF_TYPE_RULES:
	case CONF_TYPE_HASH:
		error = check_text(k, text, base, why, len);
		if (error == 0)
			memcpy(field, text, strlen(text) + 1);
		break;
	case CONF_TYPE_ENUM:
		error = read_enum(key, text, &word, why, len);
		if (error == 0)
			memcpy(field, &word, sizeof(word));
		break;
	case CONF_TYPE_BOOL:
		error = read_bool(text, &truth, why, len);
		if (error == 0)
			memcpy(field, &truth, sizeof(truth));
		break;
	default:
		error = read_number(k, text, &number, why, len);
		if (error == 0)
			memcpy(field, &number, sizeof(number));
		break;
	}
	return error;
}

void
conf_value_text(const struct conf *c, enum conf_key key, char *buf, size_t len)
{
	const struct confkey *k = &keys[key];
	const char *field = (const char *)c + k->offset;
	enum conf_value word;
	uint64_t number;
	bool truth;

	switch (k->type) {
	case CONF_TYPE_NAME:
	case CONF_TYPE_GROUP:
	case CONF_TYPE_PATH:
	case CONF_TYPE_ADDR:
	case CONF_TYPE_ADDRS:
	case CONF_TYPE_RULES:
	case CONF_TYPE_HASH:
		(void)snprintf(buf, len, "%s", field);
		break;
	case CONF_TYPE_ENUM:
		memcpy(&word, field, sizeof(word));
		(void)snprintf(buf, len, "%s", values[word].text);
		break;
	case CONF_TYPE_BOOL:
		memcpy(&truth, field, sizeof(truth));
		(void)snprintf(buf, len, "%s", truth ? "true" : "false");
		break;
	default:
		memcpy(&number, field, sizeof(number));
		number_text(k->type, number, buf, len);
		break;
	}
}

const char *
confkey_quote(const char *text, char out[CONF_QUOTED_MAX])
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_/.%-";
	size_t i, o = 0, n = strlen(text);

	if (n > 0 && strspn(text, plain) == n &&
	    strchr("%.-", text[0]) == NULL && strcasecmp(text, "null") != 0) {
		(void)snprintf(out, CONF_QUOTED_MAX, "%s", text);
		return out;
	}
	out[o++] = '"';
	for (i = 0; i < n && o < CONF_QUOTED_MAX - 3; i++) {
		if (text[i] == '"' || text[i] == '\\')
			out[o++] = '\\';
		out[o++] = text[i];
	}
	out[o++] = '"';
	out[o] = '\0';
	return out;
}

const char *
confkey_write(enum conf_key key, const char *text, char out[CONF_QUOTED_MAX])
{
	const char *between = separator(key);
	const char end[] = { between[0], '\0' };
	size_t o = 0, n;

	if (!conf_value_is_list(key))
		return confkey_quote(text, out);
	out[o++] = '[';
	while (*text != '\0' && o < CONF_QUOTED_MAX - 2) {
		n = strcspn(text, end);
		o += (size_t)snprintf(out + o, CONF_QUOTED_MAX - o,
		    "%s\"%.*s\"", o > 1 ? ", " : "", (int)n, text);
		text += n + (text[n] == '\0' ? 0 : strlen(between));
	}
	if (o > CONF_QUOTED_MAX - 2)
		o = CONF_QUOTED_MAX - 2;
	out[o++] = ']';
	out[o] = '\0';
	return out;
}

bool
conf_value_is_list(enum conf_key key)
{
	return keys[key].type == CONF_TYPE_ADDRS ||
	    keys[key].type == CONF_TYPE_RULES;
}

bool
conf_value_is_plain(enum conf_key key)
{
	return keys[key].type == CONF_TYPE_BOOL ||
	    keys[key].type == CONF_TYPE_INT;
}

const char *
conf_key_path(enum conf_key key)
{
	return (unsigned int)key < CONF_KEY_MAX ? keys[key].path : "?";
}

const char *
conf_key_description(enum conf_key key)
{
	return (unsigned int)key < CONF_KEY_MAX ? keys[key].description : "?";
}

bool
conf_key_reloads(enum conf_key key)
{
	return (unsigned int)key < CONF_KEY_MAX && keys[key].reload;
}

enum conf_key
conf_key_by_path(const char *path)
{
	unsigned int i;

	for (i = 0; i < CONF_KEY_MAX; i++)
		if (strcmp(keys[i].path, path) == 0)
			return (enum conf_key)i;
	return CONF_KEY_MAX;
}

/* A key known under another section counts as near: "data_dir". */
const char *
conf_key_nearest(const char *path)
{
	const char *known[CONF_KEY_MAX], *near, *last, *dot;
	size_t i;

	for (i = 0; i < CONF_KEY_MAX; i++)
		known[i] = keys[i].path;
	near = suggest_nearest(path, known, CONF_KEY_MAX);
	if (near != NULL)
		return near;
	dot = strrchr(path, '.');
	last = dot == NULL ? path : dot + 1;
	for (i = 0; i < CONF_KEY_MAX; i++) {
		dot = strrchr(keys[i].path, '.');
		if (dot != NULL && strcmp(dot + 1, last) == 0)
			return keys[i].path;
	}
	return NULL;
}

const char *
confkey_variable(enum conf_key key, char buf[CONF_ENV_MAX])
{
	char *p;

	(void)snprintf(buf, CONF_ENV_MAX, "CLAW_%s", keys[key].path);
	for (p = buf + 5; *p != '\0'; p++) {
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
		else if (*p == '.')
			*p = '_';
	}
	return buf;
}

const char *
conf_key_env(enum conf_key key, char buf[CONF_ENV_MAX])
{
	if ((unsigned int)key >= CONF_KEY_MAX || !keys[key].env)
		return NULL;
	return confkey_variable(key, buf);
}
