/* SPDX-License-Identifier: ISC */
/*
 * line.c - one line of the audit log: the only writer, and the strict reader.
 *
 * Owns the grammar of claw-audit(5).  Text of any origin may enter the writer
 * and any bytes the reader; neither allocates, and what the reader accepts is
 * in canonical form because the grammar leaves no second spelling.
 */
#include <errno.h>
#include <string.h>

#include "auditd/line.h"
#include "common/b64.h"
#include "common/utf8.h"

static const char hexdigit[] = "0123456789abcdef";

/* Bounded writer: past the end it only remembers that it was. */
struct out {
	char *p;
	char *end;
	bool full;
};

static void
put(struct out *o, const char *s, size_t len)
{
	if ((size_t)(o->end - o->p) < len) {
		o->full = true;
		return;
	}
	memcpy(o->p, s, len);
	o->p += len;
}

#define PUT(o, literal) put((o), (literal), sizeof(literal) - 1)

static void
put_u64(struct out *o, uint64_t v)
{
	char buf[20];
	size_t i = sizeof(buf);

	do {
		buf[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	put(o, buf + i, sizeof(buf) - i);
}

static void
put_b64(struct out *o, const void *data, size_t len)
{
	if (len > LINE_BYTES_MAX || (size_t)(o->end - o->p) < B64_LEN(len)) {
		o->full = true;
		return;
	}
	o->p += b64_put(data, len, o->p);
}

static void
put_hex(struct out *o, const uint8_t *data, size_t len)
{
	size_t i;

	if (len > LINE_BYTES_MAX || (size_t)(o->end - o->p) < 2 * len) {
		o->full = true;
		return;
	}
	for (i = 0; i < len; i++) {
		*o->p++ = hexdigit[data[i] >> 4];
		*o->p++ = hexdigit[data[i] & 15];
	}
}

/* A byte as the visible text \xNN (in JSON the backslash is doubled). */
static void
put_byte(struct out *o, uint8_t b)
{
	char esc[5] = { '\\', '\\', 'x', hexdigit[b >> 4], hexdigit[b & 15] };

	put(o, esc, sizeof(esc));
}

/* Bytes that stand for themselves in a JSON string: 0x20..0x7e but " and \. */
static bool
is_plain(uint8_t b)
{
	return b >= 0x20 && b < 0x7f && b != '"' && b != '\\';
}

/* The character or byte at s that is not plain; its length. */
static size_t
put_special(struct out *o, const uint8_t *s, size_t len)
{
	uint32_t cp = 0;
	size_t i, n;

	if (s[0] == '"') {
		PUT(o, "\\\"");
		return 1;
	}
	if (s[0] == '\\') {
		/* A literal "\x" must not look like an escaped byte. */
		if (len > 1 && s[1] == 'x')
			put_byte(o, s[0]);
		else
			PUT(o, "\\\\");
		return 1;
	}
	n = utf8_next(s, len, &cp);
	if (n > 1 && cp >= 0xa0) {
		put(o, (const char *)s, n);
		return n;
	}
	n = n == 0 ? 1 : n;
	for (i = 0; i < n; i++)
		put_byte(o, s[i]);
	return n;
}

static void
put_text(struct out *o, const uint8_t *s, size_t len)
{
	size_t i, run;

	for (i = 0; i < len && !o->full;) {
		for (run = i; run < len && is_plain(s[run]); run++)
			;
		put(o, (const char *)s + i, run - i);
		i = run;
		if (i < len)
			i += put_special(o, s + i, len - i);
	}
}

/* [a-z][a-z0-9_]*: plain, and sorted alike as bytes and as UTF-16. */
static bool
name_ok(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > LINE_NAME_MAX || s[0] < 'a' || s[0] > 'z')
		return false;
	for (i = 1; i < len; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') &&
		    !(s[i] >= '0' && s[i] <= '9') && s[i] != '_')
			return false;
	return true;
}

/* Order of two names of known length. */
static int
name_cmp(const char *a, size_t alen, const char *b, size_t blen)
{
	int c = memcmp(a, b, alen < blen ? alen : blen);

	if (c != 0)
		return c;
	return alen == blen ? 0 : alen < blen ? -1 : 1;
}

static int
put_act(struct out *o, const struct line_attr *a, size_t n)
{
	size_t i, len;

	if (n > LINE_ATTRS_MAX)
		return -EINVAL;
	PUT(o, "{\"act\":{");
	for (i = 0; i < n; i++) {
		len = strnlen(a[i].name, LINE_NAME_MAX + 1);
		if (!name_ok(a[i].name, len) ||
		    (i > 0 && strcmp(a[i - 1].name, a[i].name) >= 0))
			return -EINVAL;
		if (i > 0)
			PUT(o, ",");
		PUT(o, "\"");
		put(o, a[i].name, len);
		PUT(o, "\":");
		if (a[i].type == LINE_U64) {
			if (a[i].u64 > LINE_INT_MAX)
				return -EINVAL;
			put_u64(o, a[i].u64);
			continue;
		}
		PUT(o, "\"");
		if (a[i].type == LINE_TEXT)
			put_text(o, a[i].data, a[i].len);
		else if (a[i].type == LINE_HEX)
			put_hex(o, a[i].data, a[i].len);
		else
			put_b64(o, a[i].data, a[i].len);
		PUT(o, "\"");
	}
	PUT(o, "}");
	return 0;
}

static int
put_asig(struct out *o, const struct line_sig *s, size_t n)
{
	size_t i;

	if (n > LINE_SIGS_MAX)
		return -EINVAL;
	PUT(o, ",\"asig\":[");
	for (i = 0; i < n; i++) {
		size_t klen = strnlen(s[i].kid, LINE_KID_MAX + 1);
		size_t rlen = strnlen(s[i].role, LINE_ROLE_MAX + 1);

		if (klen > LINE_KID_MAX || rlen > LINE_ROLE_MAX ||
		    s[i].sig_len > LINE_SIG_MAX)
			return -EINVAL;
		if (i > 0)
			PUT(o, ",");
		PUT(o, "{\"kid\":\"");
		put_text(o, (const uint8_t *)s[i].kid, klen);
		PUT(o, "\",\"role\":\"");
		put_text(o, (const uint8_t *)s[i].role, rlen);
		PUT(o, "\",\"sig\":\"");
		put_b64(o, s[i].sig, s[i].sig_len);
		PUT(o, "\"}");
	}
	PUT(o, "]");
	return 0;
}

/* 8-4-4-4-12 lower-case hex digits. */
static bool
boot_ok(const char *s, size_t len)
{
	size_t i;

	if (len != LINE_BOOT_LEN)
		return false;
	for (i = 0; i < len; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (s[i] != '-')
				return false;
		} else if (!(s[i] >= '0' && s[i] <= '9') &&
		    !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	}
	return true;
}

static int
put_env(struct out *o, const struct line_env *e)
{
	char ts[LINE_TS_LEN + 1];

	if (!boot_ok(e->boot, strnlen(e->boot, sizeof(e->boot))) ||
	    e->mono_ms > LINE_INT_MAX || e->n > LINE_INT_MAX ||
	    line_ts_format(e->ts_ms, ts) != 0)
		return -EINVAL;
	PUT(o, ",\"env\":{\"boot\":\"");
	put(o, e->boot, LINE_BOOT_LEN);
	PUT(o, "\",\"mono\":");
	put_u64(o, e->mono_ms);
	PUT(o, ",\"n\":");
	put_u64(o, e->n);
	PUT(o, ",\"prev\":\"");
	put_b64(o, e->prev, sizeof(e->prev));
	PUT(o, "\",\"ts\":\"");
	put(o, ts, LINE_TS_LEN);
	PUT(o, "\"}}");
	return 0;
}

ssize_t
line_write(char *buf, size_t size, const struct line_attr *attr, size_t nattr,
    const struct line_sig *sig, size_t nsig, const struct line_env *env)
{
	struct out o = { buf,
		buf + (size < LINE_BYTES_MAX ? size : LINE_BYTES_MAX), false };
	int ret;

	if ((ret = put_act(&o, attr, nattr)) != 0 ||
	    (ret = put_asig(&o, sig, nsig)) != 0 ||
	    (ret = put_env(&o, env)) != 0)
		return ret;
	return o.full ? -EMSGSIZE : (ssize_t)(o.p - buf);
}

/* Cursor of the reader; a failed step leaves it anywhere. */
struct in {
	const char *p;
	const char *end;
};

static bool
eat(struct in *in, const char *literal, size_t len)
{
	if ((size_t)(in->end - in->p) < len || memcmp(in->p, literal, len) != 0)
		return false;
	in->p += len;
	return true;
}

#define EAT(in, literal) eat((in), (literal), sizeof(literal) - 1)

/* An integer in its only spelling, 0..2^53-1. */
static bool
eat_u64(struct in *in, uint64_t *v)
{
	const char *start = in->p;

	*v = 0;
	while (in->p < in->end && *in->p >= '0' && *in->p <= '9' &&
	    in->p - start < 16)
		*v = *v * 10 + (uint64_t)(*in->p++ - '0');
	if (in->p == start || (*start == '0' && in->p - start > 1))
		return false;
	return *v <= LINE_INT_MAX;
}

/*
 * A string behind its opening quote, through the closing one.  *raw and *len:
 * what lies between, still escaped.
 */
static bool
eat_string(struct in *in, const char **raw, size_t *len)
{
	uint32_t cp = 0;
	size_t n;

	*raw = in->p;
	for (;;) {
		while (in->p < in->end && is_plain((uint8_t)*in->p))
			in->p++;
		if (in->p == in->end)
			return false;
		if (*in->p == '"')
			break;
		if (*in->p == '\\') {
			if (in->end - in->p < 2 ||
			    (in->p[1] != '"' && in->p[1] != '\\'))
				return false;
			in->p += 2;
			continue;
		}
		n = utf8_next((const uint8_t *)in->p, (size_t)(in->end - in->p),
		    &cp);
		if (n < 2 || cp < 0xa0)
			return false;
		in->p += n;
	}
	*len = (size_t)(in->p++ - *raw);
	return true;
}

static bool
eat_name(struct in *in, const char **name, size_t *len)
{
	if (!EAT(in, "\"") || !eat_string(in, name, len))
		return false;
	return name_ok(*name, *len) && EAT(in, ":");
}

/* A value; *raw and *len are its JSON text with any quotes. */
static bool
eat_value(struct in *in, const char **raw, size_t *len)
{
	const char *s;
	size_t n;
	uint64_t v;

	*raw = in->p;
	if (EAT(in, "\"") ? !eat_string(in, &s, &n) : !eat_u64(in, &v))
		return false;
	*len = (size_t)(in->p - *raw);
	return true;
}

static bool
is(const char *s, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(s, what, len) == 0;
}

/* The two attributes that recovery looks for. */
static bool
note_attr(struct line_view *v, const char *name, size_t nlen, const char *value,
    size_t vlen)
{
	struct in in = { value, value + vlen };

	if (is(name, nlen, "phase") && is(value, vlen, "\"intent\""))
		v->is_intent = true;
	if (is(name, nlen, "intent")) {
		v->has_intent = true;
		return eat_u64(&in, &v->intent);
	}
	return true;
}

static bool
eat_act(struct in *in, struct line_view *v)
{
	const char *name, *value, *last = NULL;
	size_t nlen, vlen, llen = 0, count = 0;

	v->act = in->p;
	if (!EAT(in, "{"))
		return false;
	while (in->p < in->end && *in->p != '}') {
		if ((count > 0 && !EAT(in, ",")) || count == LINE_ATTRS_MAX ||
		    !eat_name(in, &name, &nlen) ||
		    !eat_value(in, &value, &vlen))
			return false;
		if (last != NULL && name_cmp(last, llen, name, nlen) >= 0)
			return false;
		if (!note_attr(v, name, nlen, value, vlen))
			return false;
		last = name;
		llen = nlen;
		count++;
	}
	if (!EAT(in, "}"))
		return false;
	v->act_len = (size_t)(in->p - v->act);
	return true;
}

static bool
eat_asig(struct in *in, struct line_view *v)
{
	const char *s;
	size_t len, count = 0;

	v->asig = in->p;
	if (!EAT(in, "["))
		return false;
	while (in->p < in->end && *in->p != ']') {
		if ((count > 0 && !EAT(in, ",")) || count == LINE_SIGS_MAX)
			return false;
		if (!EAT(in, "{\"kid\":\"") || !eat_string(in, &s, &len) ||
		    !EAT(in, ",\"role\":\"") || !eat_string(in, &s, &len) ||
		    !EAT(in, ",\"sig\":\"") || !eat_string(in, &s, &len) ||
		    b64_decode(s, len, NULL, 0) < 0 || !EAT(in, "}"))
			return false;
		count++;
	}
	if (!EAT(in, "]"))
		return false;
	v->asig_len = (size_t)(in->p - v->asig);
	return true;
}

static bool
eat_env(struct in *in, struct line_env *e)
{
	const char *s;
	size_t len;

	if (!EAT(in, "{\"boot\":\"") || !eat_string(in, &s, &len) ||
	    !boot_ok(s, len))
		return false;
	memcpy(e->boot, s, LINE_BOOT_LEN);
	e->boot[LINE_BOOT_LEN] = '\0';
	if (!EAT(in, ",\"mono\":") || !eat_u64(in, &e->mono_ms) ||
	    !EAT(in, ",\"n\":") || !eat_u64(in, &e->n) ||
	    !EAT(in, ",\"prev\":\"") || !eat_string(in, &s, &len) ||
	    b64_decode(s, len, e->prev, sizeof(e->prev)) != sizeof(e->prev))
		return false;
	if (!EAT(in, ",\"ts\":\"") || !eat_string(in, &s, &len) ||
	    line_ts_parse(s, len, &e->ts_ms) != 0)
		return false;
	return EAT(in, "}");
}

int
line_parse(const char *line, size_t len, struct line_view *v)
{
	struct in in = { line, line + len };

	memset(v, 0, sizeof(*v));
	if (len > LINE_BYTES_MAX || !EAT(&in, "{\"act\":") ||
	    !eat_act(&in, v) || !EAT(&in, ",\"asig\":") || !eat_asig(&in, v) ||
	    !EAT(&in, ",\"env\":") || !eat_env(&in, &v->env) ||
	    !EAT(&in, "}") || in.p != in.end)
		return -EBADMSG;
	return 0;
}

int
line_next(const struct line_view *v, size_t *off, const char **name,
    size_t *name_len, const char **value, size_t *value_len)
{
	struct in in = { v->act + *off, v->act + v->act_len };

	/* Behind the brace or the comma; the line has been checked. */
	if (v->act_len - *off < 2 || in.p[1] == '}')
		return 0;
	in.p++;
	if (!eat_name(&in, name, name_len) || !eat_value(&in, value, value_len))
		return 0;
	*off = (size_t)(in.p - v->act);
	return 1;
}

static int
find(const struct line_view *v, const char *name, struct in *value)
{
	const char *n, *raw;
	size_t off = 0, nlen, len;

	while (line_next(v, &off, &n, &nlen, &raw, &len) == 1)
		if (is(n, nlen, name)) {
			value->p = raw;
			value->end = raw + len;
			return 0;
		}
	return -ENOENT;
}

ssize_t
line_text(const struct line_view *v, const char *name, char *buf, size_t size)
{
	struct in in;
	size_t n = 0;

	if (find(v, name, &in) != 0)
		return -ENOENT;
	if (*in.p != '"')
		return -EINVAL;
	for (in.p++, in.end--; in.p < in.end; in.p++) {
		if (*in.p == '\\')
			in.p++;
		if (n + 1 >= size)
			return -ENOSPC;
		buf[n++] = *in.p;
	}
	if (n >= size)
		return -ENOSPC;
	buf[n] = '\0';
	return (ssize_t)n;
}

/* Value of a hex digit, or -1. */
static int
nibble(char c)
{
	const char *p = c == '\0' ? NULL : strchr(hexdigit, c);

	return p == NULL ? -1 : (int)(p - hexdigit);
}

ssize_t
line_bytes(const struct line_view *v, const char *name, char *buf, size_t size)
{
	ssize_t i, k = 0, n;
	int hi, lo;

	if ((n = line_text(v, name, buf, size)) < 0)
		return n;
	for (i = 0; i < n; i++) {
		if (buf[i] == '\\' && n - i >= 4 && buf[i + 1] == 'x' &&
		    (hi = nibble(buf[i + 2])) != -1 &&
		    (lo = nibble(buf[i + 3])) != -1) {
			buf[k++] = (char)(hi << 4 | lo);
			i += 3;
		} else
			buf[k++] = buf[i];
	}
	buf[k] = '\0';
	return k;
}

int
line_u64(const struct line_view *v, const char *name, uint64_t *value)
{
	struct in in;

	if (find(v, name, &in) != 0)
		return -ENOENT;
	return eat_u64(&in, value) ? 0 : -EINVAL;
}

static bool
leap(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int64_t
month_days(int64_t y, int64_t m)
{
	static const int8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
		30, 31 };

	return m == 2 && leap(y) ? 29 : days[m - 1];
}

/* Days from 1970-01-01 to the first of January of year y. */
static int64_t
year_start(int64_t y)
{
	int64_t p = y - 1;

	return (y - 1970) * 365 + (p / 4 - p / 100 + p / 400) -
	    (1969 / 4 - 1969 / 100 + 1969 / 400);
}

/* v as `width` digits. */
static void
pad(char *p, int64_t v, int width)
{
	while (width-- > 0) {
		p[width] = (char)('0' + v % 10);
		v /= 10;
	}
}

int
line_ts_format(int64_t ms, char out[LINE_TS_LEN + 1])
{
	int64_t day, in_day, y, m = 1;

	if (ms < 0 || ms / 86400000 >= year_start(10000))
		return -EINVAL;
	day = ms / 86400000;
	in_day = ms % 86400000;
	y = 1970 + day / 366;
	while (year_start(y + 1) <= day)
		y++;
	day -= year_start(y);
	for (; day >= month_days(y, m); m++)
		day -= month_days(y, m);
	memcpy(out, "yyyy-mm-ddThh:mm:ss.mmmZ", LINE_TS_LEN + 1);
	pad(out, y, 4);
	pad(out + 5, m, 2);
	pad(out + 8, day + 1, 2);
	pad(out + 11, in_day / 3600000, 2);
	pad(out + 14, in_day / 60000 % 60, 2);
	pad(out + 17, in_day / 1000 % 60, 2);
	pad(out + 20, in_day % 1000, 3);
	return 0;
}

static int64_t
number(const char *s, int width)
{
	int64_t v = 0;

	for (; width > 0; width--)
		v = v * 10 + (*s++ - '0');
	return v;
}

int
line_ts_parse(const char *s, size_t len, int64_t *ms)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	int64_t y, mo, d, h, mi, se, i, days;

	if (len != LINE_TS_LEN)
		return -EINVAL;
	for (i = 0; i < (int64_t)LINE_TS_LEN; i++)
		if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' :
				      s[i] != shape[i])
			return -EINVAL;
	y = number(s, 4);
	mo = number(s + 5, 2);
	d = number(s + 8, 2);
	h = number(s + 11, 2);
	mi = number(s + 14, 2);
	se = number(s + 17, 2);
	if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > month_days(y, mo) ||
	    h > 23 || mi > 59 || se > 59)
		return -EINVAL;
	days = year_start(y) + d - 1;
	for (i = 1; i < mo; i++)
		days += month_days(y, i);
	*ms =
	    (((days * 24 + h) * 60 + mi) * 60 + se) * 1000 + number(s + 20, 3);
	return 0;
}
