/* SPDX-License-Identifier: ISC */
/*
 * conftext.c - the text of a configuration file, its lines and places, and
 * errors that point at them.
 *
 * libyaml counts characters where an editor needs bytes; the line table here
 * is what turns one into the other. Errors are kept in the order of the file
 * and made printable when they are added, so that no file can send escape
 * sequences to the terminal of the person who checks it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/conftext.h"
#include "common/utf8.h"

#define MESSAGE_MAX 1536
#define SOURCE_MAX 240 /* longer source lines are not shown */

int
conftext_open(struct conftext *t, const char *buf, size_t len)
{
	size_t i, n = 1;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < len; i++)
		n += buf[i] == '\n';
	t->line_at = calloc(n, sizeof(*t->line_at));
	if (t->line_at == NULL)
		return -ENOMEM;
	t->buf = buf;
	t->len = len;
	t->n_lines = 1;
	for (i = 0; i < len; i++)
		if (buf[i] == '\n')
			t->line_at[t->n_lines++] = i + 1;
	return 0;
}

void
conftext_close(struct conftext *t)
{
	free(t->line_at);
	memset(t, 0, sizeof(*t));
}

static size_t
line_start(const struct conftext *t, unsigned int line)
{
	if (line == 0)
		return 0;
	return line > t->n_lines ? t->len : t->line_at[line - 1];
}

size_t
conftext_line_end(const struct conftext *t, unsigned int line)
{
	if (line == 0)
		return 0;
	return line >= t->n_lines ? t->len : t->line_at[line] - 1;
}

size_t
conftext_offset(const struct conftext *t, unsigned int line,
    unsigned int column)
{
	size_t at, end, n;
	uint32_t c;

	at = line_start(t, line);
	end = conftext_line_end(t, line);
	for (; column > 1 && at < end; column--) {
		n = conftext_char(t->buf + at, end - at, &c);
		at += n == 0 ? 1 : n;
	}
	return at;
}

void
conftext_place(const struct conftext *t, size_t offset, unsigned int *line,
    unsigned int *column)
{
	size_t at, n;
	uint32_t c;

	for (*line = t->n_lines; *line > 1; (*line)--)
		if (t->line_at[*line - 1] <= offset)
			break;
	*column = 1;
	for (at = line_start(t, *line); at < offset && at < t->len;
	     (*column)++) {
		n = conftext_char(t->buf + at, t->len - at, &c);
		at += n == 0 ? 1 : n;
	}
}

size_t
conftext_char(const char *p, size_t len, uint32_t *c)
{
	return len == 0 ? 0 : utf8_next((const uint8_t *)p, len, c);
}

bool
conftext_is_clean(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	return c != 0x2028 && c != 0x2029 && c != 0xfeff &&
	    (c & 0xfffe) != 0xfffe;
}

/* Characters that turn or hide the text around them. */
static bool
is_invisible(uint32_t c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x2069);
}

/* A copy in which each character is printable, and stays one column. */
static char *
printable(const char *p, size_t len, const char *tail)
{
	size_t at = 0, n, i, o = 0;
	uint32_t c = 0;
	char *out;

	out = malloc(len + strlen(tail) + 1);
	if (out == NULL)
		return NULL;
	while (at < len) {
		n = conftext_char(p + at, len - at, &c);
		if (n == 0 || !conftext_is_clean(c) || is_invisible(c)) {
			out[o++] = c == '\t' && n == 1 ? ' ' : '?';
			at += n == 0 ? 1 : n;
			continue;
		}
		for (i = 0; i < n; i++)
			out[o++] = p[at++];
	}
	memcpy(out + o, tail, strlen(tail) + 1);
	return out;
}

void
conf_errors_init(struct conf_errors *e)
{
	memset(e, 0, sizeof(*e));
}

void
conf_errors_free(struct conf_errors *e)
{
	size_t i;

	for (i = 0; i < e->n; i++) {
		free(e->list[i].message);
		free(e->list[i].source);
	}
	memset(e, 0, sizeof(*e));
}

bool
conf_errors_any(const struct conf_errors *e)
{
	return e->n + e->n_dropped > 0;
}

/* Whether a stands before b: lines in their order, then what has no line. */
static bool
precedes(const struct conf_error *a, const struct conf_error *b)
{
	if (a->elsewhere != b->elsewhere)
		return b->elsewhere;
	if (a->line != b->line)
		return a->line != 0 && (b->line == 0 || a->line < b->line);
	return a->column < b->column;
}

static void __attribute__((format(printf, 3, 0))) insert(struct conf_errors *e,
    struct conf_error *new, const char *fmt, va_list ap)
{
	char message[MESSAGE_MAX];
	size_t i;

	if (e->n == CONF_ERRORS_MAX ||
	    vsnprintf(message, sizeof(message), fmt, ap) < 0 ||
	    (new->message = printable(message, strlen(message), "")) == NULL) {
		e->n_dropped++;
		free(new->source);
		return;
	}
	for (i = e->n; i > 0 && precedes(new, &e->list[i - 1]); i--)
		e->list[i] = e->list[i - 1];
	e->list[i] = *new;
	e->n++;
}

void
conf_errors_add(struct conf_errors *e, const struct conftext *t,
    unsigned int line, unsigned int column, const char *fmt, ...)
{
	struct conf_error new = { .line = line, .column = column };
	size_t at, len;
	va_list ap;

	if (t != NULL && line != 0 && e->n < CONF_ERRORS_MAX) {
		at = line_start(t, line);
		len = conftext_line_end(t, line) - at;
		if (len <= SOURCE_MAX)
			new.source = printable(t->buf + at, len, "");
	}
	va_start(ap, fmt);
	insert(e, &new, fmt, ap);
	va_end(ap);
}

void
conf_errors_add_until(struct conf_errors *e, const struct conftext *t,
    unsigned int line, unsigned int column, unsigned int until, const char *fmt,
    ...)
{
	struct conf_error new = { .line = line, .column = column };
	size_t at, end;
	va_list ap;

	if (e->n < CONF_ERRORS_MAX) {
		at = line_start(t, line);
		end = conftext_offset(t, line, until);
		if (end - at <= SOURCE_MAX)
			new.source = printable(t->buf + at, end - at,
			    end < conftext_line_end(t, line) ? " ..." : "");
	}
	va_start(ap, fmt);
	insert(e, &new, fmt, ap);
	va_end(ap);
}

void
conf_errors_add_env(struct conf_errors *e, const char *fmt, ...)
{
	struct conf_error new = { .elsewhere = true };
	va_list ap;

	va_start(ap, fmt);
	insert(e, &new, fmt, ap);
	va_end(ap);
}

void
conf_errors_text(const struct conf_errors *e, size_t i, char *buf, size_t len)
{
	const struct conf_error *x;

	if (len == 0)
		return;
	buf[0] = '\0';
	if (i >= e->n)
		return;
	x = &e->list[i];
	if (x->elsewhere)
		(void)snprintf(buf, len, "%s", x->message);
	else if (x->line == 0)
		(void)snprintf(buf, len, "%s: %s", e->file, x->message);
	else
		(void)snprintf(buf, len, "%s:%u:%u: %s", e->file, x->line,
		    x->column, x->message);
}

void
conf_errors_print(const struct conf_errors *e, FILE *f)
{
	char line[CONF_PATH_MAX + MESSAGE_MAX + 32];
	size_t i;

	for (i = 0; i < e->n; i++) {
		conf_errors_text(e, i, line, sizeof(line));
		(void)fprintf(f, "%s\n", line);
		if (e->list[i].source != NULL)
			(void)fprintf(f, "  %s\n  %*s^\n", e->list[i].source,
			    (int)e->list[i].column - 1, "");
	}
	if (e->n_dropped > 0)
		(void)fprintf(f, "%s: and %zu more\n", e->file, e->n_dropped);
}
