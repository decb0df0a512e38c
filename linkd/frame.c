/* SPDX-License-Identifier: ISC */
/*
 * frame.c - what two linkd say to each other after WELCOME.
 *
 * Bytes of a peer. The layout of each type is one function that writes and
 * one that reads; the lengths it can have stand in one table. The protocol is
 * described in claw-protocol(7).
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/evidence.h"
#include "linkd/frame.h"

#define ON(purpose) (1u << EVIDENCE_##purpose)

static const struct {
	const char *name;
	uint32_t least, most; /* bytes of the body */
	unsigned int links;   /* purposes that have it */
} table[] = {
	[FRAME_PING] = { "PING", 8, 8, ON(MESH) | ON(REGISTRY) | ON(JOIN) },
	[FRAME_PONG] = { "PONG", 8, 8, ON(MESH) | ON(REGISTRY) | ON(JOIN) },
	[FRAME_HAVE] = { "HAVE", 72, 72, ON(MESH) },
	[FRAME_PULL] = { "PULL", 9, 9, ON(MESH) | ON(REGISTRY) | ON(JOIN) },
	[FRAME_LINES] = { "LINES", FRAME_LINES_HEAD, FRAME_BODY_MAX,
	    ON(MESH) | ON(REGISTRY) | ON(JOIN) },
	[FRAME_CHALLENGE] = { "CHALLENGE", 32, 32, ON(MESH) },
	[FRAME_EVIDENCE] = { "EVIDENCE", 1, FRAME_LEAF_MAX, ON(MESH) },
	[FRAME_JOIN] = { "JOIN", 1, FRAME_JOIN_MAX, ON(JOIN) },
	[FRAME_JOINED] = { "JOINED", 1 + 8 + 2, 1 + 8 + 2 + FRAME_TEXT_MAX,
	    ON(JOIN) },
	[FRAME_BYE] = { "BYE", 1, 1, ON(MESH) | ON(REGISTRY) | ON(JOIN) },
};

static bool
known(uint8_t type)
{
	return type < sizeof(table) / sizeof(table[0]) &&
	    table[type].name != NULL;
}

const char *
frame_name(uint8_t type)
{
	return known(type) ? table[type].name : "?";
}

const char *
frame_bye_text(uint8_t code)
{
	static const char *const text[] = {
		[BYE_DONE] = "it needs this link no more",
		[BYE_STOPPING] = "it is stopping",
		[BYE_ENDED] = "its registry no longer allows us",
		[BYE_REFUSED] = "it did not attest us again",
		[BYE_PROTOCOL] = "it found us to break the protocol",
		[BYE_SILENT] = "it waited for an answer of ours in vain",
		[BYE_ERROR] = "of a fault of its own",
	};

	return code <= BYE_ERROR ? text[code] : text[BYE_ERROR];
}

const char *
frame_head_check(uint8_t purpose, uint8_t type, uint32_t len)
{
	if (!known(type))
		return "a frame of a type that is none";
	if (purpose >= 32 || (table[type].links & 1u << purpose) == 0)
		return "a frame that this kind of link does not have";
	if (len < table[type].least || len > table[type].most)
		return "a frame of a length that its type cannot have";
	return NULL;
}

/* Text of a peer goes to a person: nothing but printable ASCII. */
static bool
clean(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

static void
put_body(struct wbuf *w, const struct frame *f)
{
	switch (f->type) {
	case FRAME_PING:
	case FRAME_PONG:
		wbuf_u64(w, f->number);
		break;
	case FRAME_HAVE:
		wbuf_u64(w, f->seq);
		wbuf_put(w, f->hash, sizeof(f->hash));
		wbuf_put(w, f->turns, sizeof(f->turns));
		break;
	case FRAME_PULL:
		wbuf_u8(w, f->rotations);
		wbuf_u64(w, f->from);
		break;
	case FRAME_LINES:
		wbuf_u8(w, f->rotations);
		wbuf_u8(w, f->more);
		wbuf_u64(w, f->from);
		wbuf_put(w, f->data, f->len);
		break;
	case FRAME_CHALLENGE:
		wbuf_put(w, f->hash, sizeof(f->hash));
		break;
	case FRAME_EVIDENCE:
	case FRAME_JOIN:
		wbuf_put(w, f->data, f->len);
		break;
	case FRAME_JOINED:
		wbuf_u8(w, f->code);
		wbuf_u64(w, f->seq);
		wbuf_bytes(w, f->text, strnlen(f->text, FRAME_TEXT_MAX));
		break;
	default: /* FRAME_BYE */
		wbuf_u8(w, f->code);
		break;
	}
}

/* Whether the fields are such as a reader takes. */
static bool
sendable(const struct frame *f)
{
	const uint8_t *text = (const uint8_t *)f->text;

	return known(f->type) && f->rotations <= 1 && f->more <= 1 &&
	    clean(text, strnlen(f->text, FRAME_TEXT_MAX));
}

ssize_t
frame_format(const struct frame *f, uint8_t *out, size_t size)
{
	struct wbuf w;
	size_t len;

	if (!sendable(f))
		return -EINVAL;
	wbuf_init(&w, out, size);
	if (size < FRAME_HEAD_LEN)
		return -ENOSPC;
	w.len = FRAME_HEAD_LEN;
	put_body(&w, f);
	if (w.failed)
		return -ENOSPC;
	len = w.len - FRAME_HEAD_LEN;
	if (len < table[f->type].least || len > table[f->type].most)
		return -EINVAL;
	frame_head_put(out, f->type, (uint32_t)len);
	return (ssize_t)w.len;
}

static void
get_hash(struct rbuf *r, uint8_t out[32])
{
	const uint8_t *p = rbuf_take(r, 32);

	if (p != NULL)
		memcpy(out, p, 32);
}

/* All that is left. */
static void
get_rest(struct rbuf *r, struct frame *f)
{
	f->len = r->len;
	f->data = rbuf_take(r, r->len);
}

static void
get_text(struct rbuf *r, struct frame *f)
{
	const uint8_t *p;
	uint16_t len;

	p = rbuf_bytes(r, &len);
	if (p == NULL || len > FRAME_TEXT_MAX || !clean(p, len)) {
		r->failed = true;
		return;
	}
	memcpy(f->text, p, len);
}

static void
get_body(struct rbuf *r, struct frame *f)
{
	switch (f->type) {
	case FRAME_PING:
	case FRAME_PONG:
		f->number = rbuf_u64(r);
		break;
	case FRAME_HAVE:
		f->seq = rbuf_u64(r);
		get_hash(r, f->hash);
		get_hash(r, f->turns);
		break;
	case FRAME_PULL:
		f->rotations = rbuf_u8(r);
		f->from = rbuf_u64(r);
		break;
	case FRAME_LINES:
		f->rotations = rbuf_u8(r);
		f->more = rbuf_u8(r);
		f->from = rbuf_u64(r);
		get_rest(r, f);
		break;
	case FRAME_CHALLENGE:
		get_hash(r, f->hash);
		break;
	case FRAME_EVIDENCE:
	case FRAME_JOIN:
		get_rest(r, f);
		break;
	case FRAME_JOINED:
		f->code = rbuf_u8(r);
		f->seq = rbuf_u64(r);
		get_text(r, f);
		break;
	default: /* FRAME_BYE */
		f->code = rbuf_u8(r);
		break;
	}
}

int
frame_parse(uint8_t type, const uint8_t *body, size_t len, struct frame *f)
{
	struct rbuf r;

	memset(f, 0, sizeof(*f));
	if (!known(type) || len < table[type].least || len > table[type].most)
		return -EBADMSG;
	f->type = type;
	rbuf_init(&r, body, len);
	get_body(&r, f);
	if (!rbuf_done(&r) || f->rotations > 1 || f->more > 1)
		return -EBADMSG;
	return 0;
}
