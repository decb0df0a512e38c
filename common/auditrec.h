/* SPDX-License-Identifier: ISC */
/*
 * auditrec.h - a record on its way to auditd: built by senders, taken apart
 * by auditd.
 *
 * A record is an event of policy/audit_events.def with attributes of
 * policy/audit_attrs.def. On the wire an attribute is its number (u8), then a
 * u64 for NUM or a u16 length and bytes for the rest.
 */
#ifndef CLAW_COMMON_AUDITREC_H
#define CLAW_COMMON_AUDITREC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/chan.h"

#define AUDITREC_MAX_LEN 8192
#define AUDITREC_MAX_ATTRS 40

enum audit_event {
#define EVENT(id, number, name, senders, what) AUDIT_##id = (number),
#include "policy/audit_events.def"
#undef EVENT
};

enum audit_attr {
#define ATTR(id, number, name, type, max) AUDIT_ATTR_##id = (number),
#include "policy/audit_attrs.def"
#undef ATTR
};

enum audit_attr_type { AUDIT_TEXT, AUDIT_NUM, AUDIT_HEX, AUDIT_B64 };

enum audit_phase { AUDIT_SINGLE, AUDIT_INTENT, AUDIT_OUTCOME };

enum audit_outcome {
	AUDIT_NO_OUTCOME, /* an intent has none yet */
	AUDIT_OK,
	AUDIT_DENIED,
	AUDIT_FAILED,
	AUDIT_UNKNOWN
};

struct audit_attr_def {
	const char *name;
	enum audit_attr_type type;
	uint32_t max;
};

/* NULL for a number that is none. */
const struct audit_attr_def *audit_attr_def(unsigned int number);
const char *audit_event_name(unsigned int number);
bool audit_event_allowed(unsigned int number, enum proc sender);
const char *audit_outcome_name(unsigned int outcome);

/* A record being built. */
struct auditrec {
	struct msg_AUDIT_APPEND msg;
	uint8_t attrs[AUDITREC_MAX_LEN];
	struct wbuf w;
};

void auditrec_init(struct auditrec *r, enum audit_event event,
    enum audit_phase phase, enum audit_outcome outcome);
/* Longer texts are cut at the attribute's bound. */
void auditrec_text(struct auditrec *r, enum audit_attr a, const char *text);
void auditrec_num(struct auditrec *r, enum audit_attr a, uint64_t v);
void
auditrec_bytes(struct auditrec *r, enum audit_attr a, const void *p, size_t n);
/* The message, ready to be sent. */
const struct msg_AUDIT_APPEND *auditrec_msg(struct auditrec *r);

/* An attribute that was read. */
struct auditrec_attr {
	const struct audit_attr_def *def;
	uint64_t num;
	const uint8_t *data;
	size_t len;
};

/*
 * Takes attributes apart, each checked against its definition; none twice,
 * none of auditd's own. Number of them, or -EBADMSG.
 */
int auditrec_read(const void *p, size_t len,
    struct auditrec_attr out[AUDITREC_MAX_ATTRS]);

#endif
