/* SPDX-License-Identifier: ISC */
/*
 * frame.h - what two linkd say to each other after WELCOME.
 *
 * A frame is a type (u8), a length (u24) and that many bytes (welcome.h). The
 * head is judged before a byte of the body is waited for: the type must be
 * one of those that the link's purpose has, and the length one that the type
 * can have. Nothing here has a socket, a clock or memory of its own.
 */
#ifndef CLAW_LINKD_FRAME_H
#define CLAW_LINKD_FRAME_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "common/welcome.h"

enum frame_type {
	FRAME_PING = 2,
	FRAME_PONG = 3,
	FRAME_HAVE = 4,
	FRAME_PULL = 5,
	FRAME_LINES = 6,
	FRAME_CHALLENGE = 7,
	FRAME_EVIDENCE = 8,
	FRAME_JOIN = 9,
	FRAME_JOINED = 10,
	FRAME_BYE = 11
};

/* Why a link is closed, in BYE. Others than these are read as BYE_ERROR. */
enum frame_bye {
	BYE_DONE = 0,	  /* it is not needed any more */
	BYE_STOPPING = 1, /* the node stops */
	BYE_ENDED = 2,	  /* the registry no longer allows it */
	BYE_REFUSED = 3,  /* not attested again */
	BYE_PROTOCOL = 4, /* what came is not this protocol */
	BYE_SILENT = 5,	  /* no answer in time */
	BYE_ERROR = 6	  /* none of these */
};

#define FRAME_LINES_MAX 24576 /* bytes of lines in one frame */
#define FRAME_LEAF_MAX 1024
#define FRAME_JOIN_MAX 1024
#define FRAME_TEXT_MAX 255
/* rotations, more, next; then the lines */
#define FRAME_LINES_HEAD (1 + 1 + 8)
#define FRAME_BODY_MAX (FRAME_LINES_HEAD + FRAME_LINES_MAX)
#define FRAME_MAX (FRAME_HEAD_LEN + FRAME_BODY_MAX)

/* One frame. What points points into the bytes it was read from. */
struct frame {
	uint8_t type;
	uint64_t number;     /* PING, PONG: the sender's own */
	uint64_t seq;	     /* HAVE, JOINED: of the registry */
	uint8_t hash[32];    /* HAVE: head; CHALLENGE: nonce */
	uint8_t turns[32];   /* HAVE: digest of the rotations */
	uint8_t rotations;   /* PULL, LINES: 0 chain, 1 rotations */
	uint8_t more;	     /* LINES: there are more after these */
	uint64_t from;	     /* PULL: first line; LINES: the next */
	uint8_t code;	     /* JOINED: status; BYE: enum frame_bye */
	const uint8_t *data; /* LINES, EVIDENCE, JOIN */
	size_t len;
	char text[FRAME_TEXT_MAX + 1]; /* JOINED */
};

/*
 * Whether a link of that purpose (common/evidence.h) has this type, and the
 * type this length of a body: NULL, or what is wrong.
 */
const char *frame_head_check(uint8_t purpose, uint8_t type, uint32_t len);

/*
 * Write a whole frame. Its length; -EINVAL for a type that is none or a field
 * that its bounds do not allow; -ENOSPC.
 */
ssize_t frame_format(const struct frame *f, uint8_t *out, size_t size);

/* Read a body: 0, or -EBADMSG unless exactly one frame of that type is there.
 */
int frame_parse(uint8_t type, const uint8_t *body, size_t len, struct frame *f);

/* "PING"; "?" for a number that is none. */
const char *frame_name(uint8_t type);

/* What a BYE's code means, for a log. */
const char *frame_bye_text(uint8_t code);

#endif
