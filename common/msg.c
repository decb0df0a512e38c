/* SPDX-License-Identifier: ISC */
/*
 * msg.c - the messages of policy/messages.def as C: rules and codec.
 *
 * Everything here is made from the one table; there is no message by hand.
 */
#include <assert.h>
#include <string.h>

#include "common/msg.h"
#include "common/utf8.h"

#define P(id) PROC_BIT(PROC_##id)
#define EVERYONE UINT32_MAX
#define BOOT WHEN_BOOT
#define RUN WHEN_RUN
#define DRAIN WHEN_DRAIN
#define ANYTIME (WHEN_BOOT | WHEN_RUN | WHEN_DRAIN)
#define NO_FD FD_NONE
#define FD_CHANNEL FD_IS_CHANNEL
#define FD_STREAM FD_IS_STREAM
#define FD_FILE FD_IS_FILE
#define FD_FOLDER FD_IS_FOLDER
#define ONCE LIMIT_ONCE
#define REPLY_ONLY LIMIT_REPLY

/*
 * The length of a character that may go into a log, an answer or a terminal
 * as it is; 0: what stands here is no UTF-8, or controls something.
 */
static size_t
clean_char(const uint8_t *p, size_t n)
{
	uint32_t c;
	size_t k = utf8_next(p, n, &c);

	return k == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) ? 0 : k;
}

static bool
text_clean(const uint8_t *p, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i += k)
		if ((k = clean_char(p + i, n - i)) == 0)
			return false;
	return true;
}

/* Fields of all messages one after another, FIELD_END behind each message. */
enum field_kind { FIELD_FIXED, FIELD_STR, FIELD_BYTES, FIELD_END };

static const struct field {
	uint16_t type;
	enum field_kind kind;
	uint32_t size; /* bytes, or the most there may be */
} fields[] = {
#define MSG(name, number, ...) { (number), FIELD_FIXED, 0 },
#define U8(f) { 0, FIELD_FIXED, 1 },
#define U16(f) { 0, FIELD_FIXED, 2 },
#define U32(f) { 0, FIELD_FIXED, 4 },
#define U64(f) { 0, FIELD_FIXED, 8 },
#define FIX(f, n) { 0, FIELD_FIXED, (n) },
#define STR(f, max) { 0, FIELD_STR, (max) },
#define BYTES(f, max) { 0, FIELD_BYTES, (max) },
#define END(name) { 0, FIELD_END, 0 },
#include "policy/messages.def"
};

static const struct msg_rule rules[] = {
#define NONE 0
#define MSG(name, number, from, to, states, fd, limit, reply)                  \
	{ (number), MSG_##reply, (from), (to), (states), (limit), (fd), #name },
#include "policy/messages.def"
};

#define RULES (sizeof(rules) / sizeof(rules[0]))
static_assert(RULES <= MSG_COUNT_MAX, "raise MSG_COUNT_MAX");

/* No two messages share a number: the compiler refuses equal case labels. */
static size_t
rule_index(uint16_t type)
{
	enum {
#define MSG(name, ...) INDEX_##name,
#include "policy/messages.def"
	};

	switch (type) {
#define MSG(name, number, ...)                                                 \
	case (number):                                                         \
		return INDEX_##name;
#include "policy/messages.def"
	default:
		return RULES;
	}
}

const struct msg_rule *
msg_rule(uint16_t type)
{
	size_t i = rule_index(type);

	return i < RULES ? &rules[i] : NULL;
}

const struct msg_rule *
msg_rules(size_t *count)
{
	*count = RULES;
	return rules;
}

size_t
msg_index(const struct msg_rule *rule)
{
	return (size_t)(rule - rules);
}

const char *
msg_name(uint16_t type)
{
	const struct msg_rule *rule = msg_rule(type);

	return rule == NULL ? "unknown" : rule->name;
}

/* First field entry of each message, found once. */
static const struct field *
first_field(const struct msg_rule *rule)
{
	static const struct field *first[RULES];
	size_t i = msg_index(rule), k;

	if (first[i] == NULL)
		for (k = 0; k < sizeof(fields) / sizeof(fields[0]); k++)
			if (fields[k].type == rule->type) {
				first[i] = &fields[k];
				break;
			}
	return first[i];
}

bool
msg_body_valid(const struct msg_rule *rule, const void *body, size_t len)
{
	const struct field *f;
	const uint8_t *p;
	struct rbuf r;
	uint16_t n;

	rbuf_init(&r, body, len);
	for (f = first_field(rule); f->kind != FIELD_END; f++) {
		if (f->kind == FIELD_FIXED) {
			rbuf_take(&r, f->size);
			continue;
		}
		p = rbuf_bytes(&r, &n);
		if (p == NULL || n > f->size)
			return false;
		if (f->kind == FIELD_STR && !text_clean(p, n))
			return false;
	}
	return rbuf_done(&r);
}

/* FNV-1a over the table's rows: enough to tell two builds apart. */
static uint32_t
fnv(uint32_t h, uint32_t v)
{
	int i;

	for (i = 0; i < 4; i++, v >>= 8)
		h = (h ^ (v & 0xff)) * 16777619u;
	return h;
}

uint32_t
msg_schema(void)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < RULES; i++) {
		h = fnv(h, rules[i].type);
		h = fnv(h, rules[i].senders);
		h = fnv(h, rules[i].receivers);
		h = fnv(h, rules[i].when);
		h = fnv(h, rules[i].reply);
		h = fnv(h, (uint32_t)rules[i].fd);
	}
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		h = fnv(h, fields[i].type);
		h = fnv(h, (uint32_t)fields[i].kind);
		h = fnv(h, fields[i].size);
	}
	return h;
}

static bool
get_fix(struct rbuf *r, void *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p == NULL)
		return false;
	memcpy(out, p, n);
	return true;
}

/*
 * Texts are of people, files and other processes, and some were cut to fit:
 * what the other end's gate would not take becomes a question mark.
 */
static void
put_str(struct wbuf *w, const char *s, size_t max)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t i, k, n = strnlen(s, max);

	wbuf_u16(w, (uint16_t)n);
	for (i = 0; i < n; i += k) {
		k = clean_char(p + i, n - i);
		if (k > 0) {
			wbuf_put(w, p + i, k);
			continue;
		}
		wbuf_u8(w, '?');
		k = 1;
	}
}

static bool
get_str(struct rbuf *r, char *out, size_t max)
{
	const uint8_t *p;
	uint16_t n;

	p = rbuf_bytes(r, &n);
	if (p == NULL || n > max || !text_clean(p, n)) {
		r->failed = true;
		return false;
	}
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

/* Encoders. */
#define MSG(name, ...)                                                         \
	void msg_put_##name(struct wbuf *w, const struct msg_##name *m)        \
	{
#define U8(f) wbuf_u8(w, m->f);
#define U16(f) wbuf_u16(w, m->f);
#define U32(f) wbuf_u32(w, m->f);
#define U64(f) wbuf_u64(w, m->f);
#define FIX(f, n) wbuf_put(w, m->f, (n));
#define STR(f, max) put_str(w, m->f, (max));
#define BYTES(f, max)                                                          \
	if (m->f##_len > (max))                                                \
		w->failed = true;                                              \
	wbuf_bytes(w, m->f, m->f##_len);
#define END(name)                                                              \
	(void)w;                                                               \
	(void)m;                                                               \
	}
#include "policy/messages.def"

/* Decoders. */
#define MSG(name, ...)                                                         \
	bool msg_get_##name(struct rbuf *r, struct msg_##name *m)              \
	{
#define U8(f) m->f = rbuf_u8(r);
#define U16(f) m->f = rbuf_u16(r);
#define U32(f) m->f = rbuf_u32(r);
#define U64(f) m->f = rbuf_u64(r);
#define FIX(f, n)                                                              \
	if (!get_fix(r, m->f, (n)))                                            \
		return false;
#define STR(f, max)                                                            \
	if (!get_str(r, m->f, (max)))                                          \
		return false;
#define BYTES(f, max)                                                          \
	m->f = rbuf_bytes(r, &m->f##_len);                                     \
	if (m->f == NULL || m->f##_len > (max))                                \
		return false;
#define END(name)                                                              \
	m->end_of_body = 0;                                                    \
	return rbuf_done(r);                                                   \
	}
#include "policy/messages.def"
