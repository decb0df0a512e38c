/* SPDX-License-Identifier: ISC */
/*
 * sftrule.c - sft.accept: rules for files that peers send.
 *
 * They are read where they are written down, so that what is wrong is told
 * with its line, and again by who decides: a rule is its text, and there is no
 * second form of it that could differ.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/sftname.h"
#include "common/sftrule.h"
#include "common/suggest.h"

#define WORD_MAX 63

enum word { PEER, NAME, MAX_SIZE, INTO, REPLACE, WORDS };

static const char *const words[WORDS] = { "peer", "name", "max_size", "into",
	"replace" };

static int
wrong(char *why, size_t len, const char *what)
{
	(void)snprintf(why, len, "%s", what);
	return -EINVAL;
}

/* Patterns. */

/* Bytes of the character at p; of what is no UTF-8, 1. */
static size_t
one_char(const uint8_t *p, size_t len)
{
	size_t n = 1;

	if (p[0] >= 0xc0)
		while (n < len && (p[n] & 0xc0) == 0x80)
			n++;
	return n;
}

/* Goes back to the last star alone, which is enough, and linear in both. */
static bool
fits_one(const char *glob, size_t n, const uint8_t *text, size_t len)
{
	size_t g = 0, t = 0, star = n, from = 0;

	while (t < len) {
		if (g < n && glob[g] == '*') {
			star = g++;
			from = t;
		} else if (g < n && glob[g] == '?') {
			g++;
			t += one_char(text + t, len - t);
		} else if (g < n && (uint8_t)glob[g] == text[t]) {
			g++;
			t++;
		} else if (star < n) {
			g = star + 1;
			t = ++from;
		} else
			return false;
	}
	while (g < n && glob[g] == '*')
		g++;
	return g == n;
}

bool
sftrule_fits(const char *globs, const uint8_t *text, size_t len)
{
	size_t n;

	for (;; globs += n + 1) {
		n = strcspn(globs, ",");
		if (fits_one(globs, n, text, len))
			return true;
		if (globs[n] == '\0')
			return false;
	}
}

/* One rule. */

static bool
has_empty(const char *globs)
{
	return globs[0] == '\0' || globs[0] == ',' ||
	    strstr(globs, ",,") != NULL || globs[strlen(globs) - 1] == ',';
}

static int
read_peers(struct sftrule *r, const char *value, char *why, size_t len)
{
	if (has_empty(value) ||
	    strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-*?,") !=
		strlen(value))
		return wrong(why, len,
		    "peer= takes names of nodes with commas between them, * "
		    "for any characters and ? for one");
	(void)snprintf(r->peers, sizeof(r->peers), "%s", value);
	return 0;
}

static int
read_names(struct sftrule *r, const char *value, char *why, size_t len)
{
	if (has_empty(value))
		return wrong(why, len,
		    "name= takes names of files with commas between them, * "
		    "for any characters and ? for one");
	(void)snprintf(r->names, sizeof(r->names), "%s", value);
	return 0;
}

static int
read_size(struct sftrule *r, const char *value, char *why, size_t len)
{
	static const char units[] = "KMGT";
	size_t n = strspn(value, "0123456789");
	const char *unit = value[n] == '\0' ? NULL : strchr(units, value[n]);
	uint64_t v = 0;
	size_t i;

	if (n == 0 || n > 15 || (n > 1 && value[0] == '0') || unit == NULL ||
	    (value[n + 1] != '\0' && strcmp(value + n + 1, "iB") != 0))
		return wrong(why, len,
		    "max_size= takes a size such as 512K, 8M, 10G");
	for (i = 0; i < n; i++)
		v = v * 10 + (uint64_t)(value[i] - '0');
	for (i = 0; i <= (size_t)(unit - units); i++) {
		if (v > UINT64_MAX / 1024)
			return wrong(why, len, "max_size= is too large");
		v *= 1024;
	}
	r->max_size = v;
	return 0;
}

static int
read_folder(struct sftrule *r, const char *value, char *why, size_t len)
{
	enum sftname_verdict v =
	    sftname_check((const uint8_t *)value, strlen(value));

	if (v == SFTNAME_ABSOLUTE)
		return wrong(why, len,
		    "into= takes a folder below data_dir/files, as images; to "
		    "have files elsewhere, mount all of data_dir there");
	if (v != SFTNAME_OK)
		return wrong(why, len,
		    "into= takes a folder below data_dir/files, as images or "
		    "from/tokyo");
	(void)snprintf(r->into, sizeof(r->into), "%s", value);
	return 0;
}

static int
read_value(struct sftrule *r, enum word word, const char *value, char *why,
    size_t len)
{
	switch (word) {
	case PEER:
		return read_peers(r, value, why, len);
	case NAME:
		return read_names(r, value, why, len);
	case MAX_SIZE:
		return read_size(r, value, why, len);
	case INTO:
		return read_folder(r, value, why, len);
	default:
		r->replace = strcmp(value, "yes") == 0;
		if (!r->replace && strcmp(value, "no") != 0)
			return wrong(why, len, "replace= takes yes or no");
		return 0;
	}
}

static int
unknown_word(const char *text, size_t n, char *why, size_t len)
{
	const char *near;
	char word[WORD_MAX + 1];

	(void)snprintf(word, sizeof(word), "%.*s",
	    n > WORD_MAX ? WORD_MAX : (int)n, text);
	near = suggest_nearest(word, words, WORDS);
	(void)snprintf(why, len,
	    "after allow or deny come peer=, name=, max_size=, into= and "
	    "replace=, without spaces in them%s%s%s",
	    near != NULL ? " (did you mean \"" : "", near != NULL ? near : "",
	    near != NULL ? "=\"?)" : "");
	return -EINVAL;
}

/* One of "peer=..." and so on; seen has a bit for each. */
static int
read_word(struct sftrule *r, const char *text, size_t n, unsigned int *seen,
    char *why, size_t len)
{
	const char *equals = memchr(text, '=', n);
	size_t key = equals == NULL ? n : (size_t)(equals - text);
	char value[SFTRULE_GLOBS_MAX + 1];
	unsigned int w;

	for (w = 0; w < WORDS; w++)
		if (strlen(words[w]) == key && memcmp(words[w], text, key) == 0)
			break;
	if (w == WORDS || equals == NULL)
		return unknown_word(text, key, why, len);
	if ((*seen & 1u << w) != 0) {
		(void)snprintf(why, len, "has %s= twice%s", words[w],
		    w <= NAME ? "; put a comma between what it may be" : "");
		return -EINVAL;
	}
	*seen |= 1u << w;
	n -= key + 1;
	if (n >= sizeof(value)) {
		(void)snprintf(why, len,
		    "has more than %zu bytes after %s=", sizeof(value) - 1,
		    words[w]);
		return -EINVAL;
	}
	memcpy(value, equals + 1, n);
	value[n] = '\0';
	return read_value(r, (enum word)w, value, why, len);
}

static bool
is_word(const char *text, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(text, word, n) == 0;
}

int
sftrule_read(const char *text, size_t len, struct sftrule *out, char *why,
    size_t why_len)
{
	unsigned int seen = 0;
	size_t at, n;
	int r;

	memset(out, 0, sizeof(*out));
	out->text = text;
	out->len = len;
	out->max_size = UINT64_MAX;
	out->replace = true;
	for (at = 0; at < len; at++)
		if (strchr("\"\\;\n", text[at]) != NULL)
			return wrong(why, why_len,
			    "has a quote, a backslash or a semicolon; ? stands "
			    "for any one character");
	for (n = 0; n < len && text[n] != ' '; n++)
		;
	out->allow = is_word(text, n, "allow");
	if (!out->allow && !is_word(text, n, "deny"))
		return wrong(why, why_len, "begins with allow or deny");
	for (at = n; at < len; at += n) {
		for (; at < len && text[at] == ' '; at++)
			;
		for (n = 0; at + n < len && text[at + n] != ' '; n++)
			;
		if (n == 0)
			break;
		r = read_word(out, text + at, n, &seen, why, why_len);
		if (r != 0)
			return r;
	}
	if (!out->allow &&
	    (seen & (1u << MAX_SIZE | 1u << INTO | 1u << REPLACE)) != 0)
		return wrong(why, why_len,
		    "denies: only peer= and name= say what");
	return 0;
}

/* All of them. */

/* The next rule of *all, which goes on behind it; NULL: no more. */
static const char *
next_rule(const char **all, size_t *len)
{
	const char *rule = *all, *end;

	if (rule[0] == '\0')
		return NULL;
	end = strstr(rule, SFTRULE_SEPARATOR);
	*len = end == NULL ? strlen(rule) : (size_t)(end - rule);
	*all = rule + *len + (end == NULL ? 0 : strlen(SFTRULE_SEPARATOR));
	return rule;
}

int
sftrule_check(const char *all, unsigned int *number, char *why, size_t why_len)
{
	const char *text;
	struct sftrule r;
	bool last = false;
	size_t len;

	*number = 0;
	while ((text = next_rule(&all, &len)) != NULL) {
		++*number;
		if (last)
			return wrong(why, why_len,
			    "is never reached: the rule before it fits "
			    "everything");
		if (sftrule_read(text, len, &r, why, why_len) != 0)
			return -EINVAL;
		last = r.peers[0] == '\0' && r.names[0] == '\0';
	}
	return 0;
}

bool
sftrule_first(const char *all, const char *peer, const uint8_t *name,
    size_t name_len, struct sftrule *out)
{
	unsigned int number = 0;
	const char *text;
	char why[256];
	size_t len;

	while ((text = next_rule(&all, &len)) != NULL) {
		number++;
		if (sftrule_read(text, len, out, why, sizeof(why)) != 0)
			return false;
		out->number = number;
		if ((out->peers[0] == '\0' ||
			sftrule_fits(out->peers, (const uint8_t *)peer,
			    strlen(peer))) &&
		    (out->names[0] == '\0' ||
			sftrule_fits(out->names, name, name_len)))
			return true;
	}
	return false;
}
