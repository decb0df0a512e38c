/* SPDX-License-Identifier: ISC */
/*
 * event.c - lines of JSON: what clients hear, and sft.ndjson.
 *
 * Names of files and reasons come from peers: nothing of them reaches a line
 * but as the inside of a JSON string.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/sftframe.h"
#include "common/sftname.h"
#include "common/utf8.h"
#include "sftd/event.h"

__attribute__((format(printf, 2, 3))) static void
put(struct event_line *l, const char *fmt, ...)
{
	size_t room = sizeof(l->text) - l->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		l->failed = true;
	else
		l->len += (size_t)n;
}

static void
field(struct event_line *l, const char *name)
{
	put(l, "%s\"%s\":", l->len > 1 ? "," : "", name);
}

void
event_begin(struct event_line *l, const char *what)
{
	l->len = 0;
	l->failed = false;
	put(l, "{");
	if (what != NULL)
		event_str(l, "event", what);
}

void
event_num(struct event_line *l, const char *name, uint64_t v)
{
	field(l, name);
	put(l, "%" PRIu64, v);
}

void
event_bool(struct event_line *l, const char *name, bool v)
{
	field(l, name);
	put(l, "%s", v ? "true" : "false");
}

static void
quoted(struct event_line *l, const uint8_t *p, size_t n)
{
	size_t i;

	put(l, "\"");
	for (i = 0; i < n && !l->failed; i++)
		if (p[i] == '"' || p[i] == '\\')
			put(l, "\\%c", p[i]);
		else if (p[i] < 0x20 || p[i] == 0x7f)
			put(l, "\\u%04x", p[i]);
		else
			put(l, "%c", p[i]);
	put(l, "\"");
}

/* What readers of JSON take: many stop at a NUL, however it is spelt. */
static bool
is_utf8(const uint8_t *p, size_t n)
{
	uint32_t cp;
	size_t i, k;

	for (i = 0; i < n; i += k)
		if ((k = utf8_next(p + i, n - i, &cp)) == 0 || cp == 0)
			return false;
	return true;
}

void
event_text(struct event_line *l, const char *name, const void *p, size_t n)
{
	char shown[SFTNAME_SHOWN_SIZE];

	field(l, name);
	if (is_utf8(p, n)) {
		quoted(l, p, n);
		return;
	}
	n = sftname_show(p, n, shown, sizeof(shown));
	quoted(l, (const uint8_t *)shown, n);
}

void
event_str(struct event_line *l, const char *name, const char *text)
{
	event_text(l, name, text, strlen(text));
}

void
event_hex(struct event_line *l, const char *name, const uint8_t *p, size_t n)
{
	size_t i;

	field(l, name);
	put(l, "\"");
	for (i = 0; i < n; i++)
		put(l, "%02x", p[i]);
	put(l, "\"");
}

void
event_time(struct event_line *l, const char *name, uint64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		text[0] = '\0';
	field(l, name);
	put(l, "\"%s.%03uZ\"", text, (unsigned int)(ms % 1000));
}

size_t
event_end(struct event_line *l)
{
	put(l, "}\n");
	return l->failed ? 0 : l->len;
}

static const struct {
	bool retryable;
	const char *hint;
} codes[SFT_CODE_MAX + 1] = {
	[SFT_DENIED] = { false,
	    "claw node:why NAME shows what the registry lets a node do" },
	[SFT_TOO_LARGE] = { false,
	    "sft.max_bytes is the limit, at either end" },
	[SFT_NO_SPACE] = { true, "make room at the receiver" },
	[SFT_BAD_NAME] = { false, "--name sends it under another name" },
	[SFT_EXISTS] = { false,
	    "--name sends it under another name, --replace in place of it" },
	[SFT_SOURCE_CHANGED] = { true,
	    "send it again when nothing writes to it" },
	[SFT_HASH_MISMATCH] = { true,
	    "look at memory, disk and what is between" },
	[SFT_PROTOCOL] = { false, "are both ends of one version?" },
	[SFT_IO] = { true, "the logs of both ends say more" },
	[SFT_CANCELLED] = { false, "" },
	[SFT_PAUSED] = { true, "claw file:resume goes on with it" },
	[SFT_STOPPING] = { true, "send it again when the node is up" },
	[SFT_BUSY] = { true, "try again later" },
	[SFT_ATTESTATION] = { false, "claw node:ping says why" },
	[SFT_TIMEOUT] = { true, "send it again; it goes on where it was" },
	[SFT_EPOCH] = { false,
	    "one of the ends was set back to an older state" },
};

bool
event_retryable(unsigned int code)
{
	return code <= SFT_CODE_MAX && codes[code].retryable;
}

const char *
event_hint(unsigned int code)
{
	return code <= SFT_CODE_MAX && codes[code].hint != NULL ?
	    codes[code].hint :
	    "";
}
