/* SPDX-License-Identifier: ISC */
/*
 * auditrec.c - a record on its way to auditd.
 */
#include <errno.h>
#include <string.h>

#include "common/auditrec.h"

#define OWN_ATTRS 128 /* from here on they are auditd's */
#define NUM_MAX ((UINT64_C(1) << 53) - 1)

#define TEXT AUDIT_TEXT
#define NUM AUDIT_NUM
#define HEX AUDIT_HEX
#define B64 AUDIT_B64

const struct audit_attr_def *
audit_attr_def(unsigned int number)
{
	static const struct audit_attr_def defs[256] = {
#define ATTR(id, number, name, type, max) [number] = { name, type, max },
#include "policy/audit_attrs.def"
#undef ATTR
	};

	return number < 256 && defs[number].name != NULL ? &defs[number] : NULL;
}

static const struct {
	unsigned int number;
	const char *name;
	uint32_t senders;
} events[] = {
#define P(id) PROC_BIT(PROC_##id)
#define EVENT(id, number, name, senders, what) { number, name, senders },
#include "policy/audit_events.def"
#undef EVENT
#undef P
};

#define EVENTS (sizeof(events) / sizeof(events[0]))

/* No two events have one number: this would not compile. */
__attribute__((unused)) static void
numbers_differ(unsigned int number)
{
	switch (number) {
#define EVENT(id, number, name, senders, what) case number:
#include "policy/audit_events.def"
#undef EVENT
	default:
		break;
	}
}

const char *
audit_event_name(unsigned int number)
{
	size_t i;

	for (i = 0; i < EVENTS; i++)
		if (events[i].number == number)
			return events[i].name;
	return NULL;
}

bool
audit_event_allowed(unsigned int number, enum proc sender)
{
	size_t i;

	for (i = 0; i < EVENTS; i++)
		if (events[i].number == number)
			return (events[i].senders & PROC_BIT(sender)) != 0;
	return false;
}

const char *
audit_outcome_name(unsigned int outcome)
{
	static const char *const names[] = {
		[AUDIT_OK] = "ok",
		[AUDIT_DENIED] = "denied",
		[AUDIT_FAILED] = "failed",
		[AUDIT_UNKNOWN] = "unknown",
	};

	return outcome < sizeof(names) / sizeof(names[0]) ? names[outcome] :
							    NULL;
}

void
auditrec_init(struct auditrec *r, enum audit_event event,
    enum audit_phase phase, enum audit_outcome outcome)
{
	memset(&r->msg, 0, sizeof(r->msg));
	r->msg.event = (uint16_t)event;
	r->msg.phase = (uint8_t)phase;
	r->msg.outcome = (uint8_t)outcome;
	wbuf_init(&r->w, r->attrs, sizeof(r->attrs));
}

void
auditrec_bytes(struct auditrec *r, enum audit_attr a, const void *p, size_t n)
{
	const struct audit_attr_def *def = audit_attr_def(a);

	if (def == NULL) {
		r->w.failed = true;
		return;
	}
	wbuf_u8(&r->w, (uint8_t)a);
	wbuf_bytes(&r->w, p, n < def->max ? n : def->max);
}

void
auditrec_text(struct auditrec *r, enum audit_attr a, const char *text)
{
	auditrec_bytes(r, a, text, strlen(text));
}

void
auditrec_num(struct auditrec *r, enum audit_attr a, uint64_t v)
{
	wbuf_u8(&r->w, (uint8_t)a);
	wbuf_u64(&r->w, v < NUM_MAX ? v : NUM_MAX);
}

const struct msg_AUDIT_APPEND *
auditrec_msg(struct auditrec *r)
{
	r->msg.attrs = r->attrs;
	r->msg.attrs_len = (uint16_t)r->w.len;
	return &r->msg;
}

static bool
read_one(struct rbuf *in, struct auditrec_attr *out)
{
	unsigned int number = rbuf_u8(in);
	uint16_t n;

	if (in->failed || number >= OWN_ATTRS)
		return false;
	out->def = audit_attr_def(number);
	if (out->def == NULL)
		return false;
	out->data = NULL;
	out->len = 0;
	out->num = 0;
	if (out->def->type == AUDIT_NUM) {
		out->num = rbuf_u64(in);
		return !in->failed && out->num <= NUM_MAX;
	}
	out->data = rbuf_bytes(in, &n);
	out->len = n;
	return out->data != NULL && n <= out->def->max;
}

int
auditrec_read(const void *p, size_t len,
    struct auditrec_attr out[AUDITREC_MAX_ATTRS])
{
	struct rbuf in;
	int i, n = 0;

	rbuf_init(&in, p, len);
	while (in.len > 0) {
		if (n == AUDITREC_MAX_ATTRS || !read_one(&in, &out[n]))
			return -EBADMSG;
		for (i = 0; i < n; i++)
			if (out[i].def == out[n].def)
				return -EBADMSG;
		n++;
	}
	return n;
}
