/* SPDX-License-Identifier: ISC */
/*
 * event.h - lines of JSON: what clients hear, and sft.ndjson.
 *
 * claw-sftd(8) has every line and its fields. Fields are only ever added.
 */
#ifndef CLAW_SFTD_EVENT_H
#define CLAW_SFTD_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_MAX 12288 /* of any line, with its newline */

/* A line being written. What does not fit makes it none. */
struct event_line {
	char text[EVENT_MAX];
	size_t len;
	bool failed;
};

/* what: "event" and its name, or NULL. */
void event_begin(struct event_line *l, const char *what);
void event_num(struct event_line *l, const char *name, uint64_t v);
void event_bool(struct event_line *l, const char *name, bool v);
/* What is not UTF-8 is shown as \xNN, spelled out. */
void
event_text(struct event_line *l, const char *name, const void *p, size_t n);
void event_str(struct event_line *l, const char *name, const char *text);
void
event_hex(struct event_line *l, const char *name, const uint8_t *p, size_t n);
/* Seconds and milliseconds of UTC. */
void event_time(struct event_line *l, const char *name, uint64_t ms);
/* The newline. Length; 0: there is no line. */
size_t event_end(struct event_line *l);

/* Of an sft_code: whether the same may succeed later, and what would help. */
bool event_retryable(unsigned int code);
const char *event_hint(unsigned int code);

#endif
