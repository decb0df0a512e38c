/* SPDX-License-Identifier: ISC */
/*
 * sftname.c - names of files that a peer proposes.
 *
 * Any bytes may enter. What is refused here is what could lead out of the
 * peer's folder, what a terminal obeys, and what a person who reads the name
 * cannot see; the folder itself is kept by openat2(2), not by this.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/sftname.h"
#include "common/utf8.h"

static const char *const reasons[SFTNAME_VERDICTS] = {
	[SFTNAME_OK] = "the name is good",
	[SFTNAME_EMPTY] = "the name is empty",
	[SFTNAME_LONG] = "the name has more than 1024 bytes",
	[SFTNAME_ABSOLUTE] = "the name begins with a slash",
	[SFTNAME_PART_NONE] = "the name has two slashes together, or one at "
			      "its end",
	[SFTNAME_DOTS] = "the name has a part that is . or ..",
	[SFTNAME_PART_LONG] = "the name has a part of more than 255 bytes",
	[SFTNAME_DEEP] = "the name has more than 32 parts",
	[SFTNAME_UTF8] = "the name is not UTF-8",
	[SFTNAME_CONTROL] = "the name has a control character or a line's end",
	[SFTNAME_INVISIBLE] = "the name has a character that is not seen, or "
			      "that turns text around",
	[SFTNAME_SPACE] = "a part of the name begins or ends with white space",
};

struct range {
	uint32_t first;
	uint32_t last;
};

static bool
in(const struct range *r, size_t n, uint32_t cp)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (cp >= r[i].first && cp <= r[i].last)
			return true;
	return false;
}
#define IN(ranges, cp) in(ranges, sizeof(ranges) / sizeof((ranges)[0]), cp)

/* Unicode's Cc, and the two that end a line or a paragraph. */
static const struct range control[] = { { 0x0, 0x1f }, { 0x7f, 0x9f },
	{ 0x2028, 0x2029 } };

/*
 * Of Unicode's Cf and the like: marks and overrides of direction, what has no
 * width, annotations, a byte order mark, tags, noncharacters.
 * U+200C and U+200D are letters' business and not in it.
 */
static const struct range invisible[] = { { 0xad, 0xad }, { 0x34f, 0x34f },
	{ 0x61c, 0x61c }, { 0x115f, 0x1160 }, { 0x180e, 0x180e },
	{ 0x200b, 0x200b }, { 0x200e, 0x200f }, { 0x202a, 0x202e },
	{ 0x2060, 0x206f }, { 0x3164, 0x3164 }, { 0xfdd0, 0xfdef },
	{ 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff9, 0xfffb },
	{ 0xe0000, 0xe0fff } };

/* Unicode's Zs. */
static const struct range space[] = { { 0x20, 0x20 }, { 0xa0, 0xa0 },
	{ 0x1680, 0x1680 }, { 0x2000, 0x200a }, { 0x202f, 0x202f },
	{ 0x205f, 0x205f }, { 0x3000, 0x3000 } };

static enum sftname_verdict
character(uint32_t cp)
{
	if (IN(control, cp))
		return SFTNAME_CONTROL;
	/* The last two of every plane are noncharacters too. */
	if (IN(invisible, cp) || (cp & 0xfffe) == 0xfffe)
		return SFTNAME_INVISIBLE;
	return SFTNAME_OK;
}

/* One part: len > 0 bytes without a slash. */
static enum sftname_verdict
part(const uint8_t *s, size_t len)
{
	enum sftname_verdict v;
	uint32_t cp = 0;
	size_t i, n;

	if (len > SFTNAME_PART_MAX)
		return SFTNAME_PART_LONG;
	if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
		return SFTNAME_DOTS;
	for (i = 0; i < len; i += n) {
		n = utf8_next(s + i, len - i, &cp);
		if (n == 0)
			return SFTNAME_UTF8;
		if ((v = character(cp)) != SFTNAME_OK)
			return v;
		if (i == 0 && IN(space, cp))
			return SFTNAME_SPACE;
	}
	return IN(space, cp) ? SFTNAME_SPACE : SFTNAME_OK;
}

enum sftname_verdict
sftname_check(const uint8_t *name, size_t len)
{
	const uint8_t *slash;
	enum sftname_verdict v;
	size_t depth = 0, n;

	if (len == 0)
		return SFTNAME_EMPTY;
	if (len > SFTNAME_MAX)
		return SFTNAME_LONG;
	if (name[0] == '/')
		return SFTNAME_ABSOLUTE;
	for (;;) {
		slash = len > 0 ? memchr(name, '/', len) : NULL;
		n = slash == NULL ? len : (size_t)(slash - name);
		if (n == 0)
			return SFTNAME_PART_NONE;
		if (++depth > SFTNAME_DEPTH_MAX)
			return SFTNAME_DEEP;
		if ((v = part(name, n)) != SFTNAME_OK)
			return v;
		if (slash == NULL)
			return SFTNAME_OK;
		name += n + 1;
		len -= n + 1;
	}
}

const char *
sftname_why(enum sftname_verdict v)
{
	return (unsigned int)v < SFTNAME_VERDICTS ? reasons[v] : "the name";
}

/* The character at s as it is shown, at most 4 characters: its length. */
static size_t
shown(const uint8_t *s, size_t len, char out[5], size_t *eaten)
{
	uint32_t cp = 0; /* stays where these bytes are not UTF-8 */
	size_t n = utf8_next(s, len, &cp);

	*eaten = 1;
	if (cp == '\\') {
		memcpy(out, "\\\\", 3);
		return 2;
	}
	if (character(cp) == SFTNAME_OK) {
		memcpy(out, s, n);
		*eaten = n;
		return n;
	}
	/* Byte by byte: the rest of a character that is not shown comes here
	 * as bytes that are not UTF-8. */
	(void)snprintf(out, 5, "\\x%02x", s[0]);
	return 4;
}

size_t
sftname_show(const uint8_t *name, size_t len, char *out, size_t size)
{
	size_t at = 0, cut = 0, eaten, i, n;
	char one[5];

	for (i = 0; i < len; i += eaten) {
		n = shown(name + i, len - i, one, &eaten);
		if (n >= size - at) {
			memcpy(out + cut, "...", 4);
			return cut + 3;
		}
		memcpy(out + at, one, n);
		at += n;
		/* The last place from which the dots still fit. */
		if (size - at >= 4)
			cut = at;
	}
	out[at] = '\0';
	return at;
}
