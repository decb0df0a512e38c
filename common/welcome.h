/* SPDX-License-Identifier: ISC */
/*
 * welcome.h - WELCOME: the first frame in either direction.
 *
 * In TLS 1.3 a client has finished before the server has judged it. The
 * server's WELCOME tells it that it passed; the client's, that both mean the
 * same session. A frame is a type (u8), a length (u24) and that many bytes.
 */
#ifndef CLAW_COMMON_WELCOME_H
#define CLAW_COMMON_WELCOME_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD_LEN 4 /* type u8, length of the body u24 */
#define FRAME_WELCOME 1

#define WELCOME_CHECKPOINT_MAX 2048
/* role, seq, four hashes, two checkpoints with their lengths */
#define WELCOME_BODY_MIN (1 + 8 + 4 * 32 + 2 * 2)
#define WELCOME_BODY_MAX (WELCOME_BODY_MIN + 2 * WELCOME_CHECKPOINT_MAX)
#define WELCOME_FRAME_MAX (FRAME_HEAD_LEN + WELCOME_BODY_MAX)

struct welcome {
	uint8_t role;	       /* sender's: EVIDENCE_CLIENT, EVIDENCE_SERVER */
	uint64_t seq;	       /* sender's registry: last update */
	uint8_t head[32];      /* and its hash */
	uint8_t own_leaf[32];  /* SHA-256 of the sender's certificate */
	uint8_t peer_leaf[32]; /* and of the receiver's, as the sender saw it */
	uint8_t exporter[32];  /* EXPORTER-claw-session */
	/* Signed checkpoints of audit logs, as notes; 0 bytes: none. */
	uint16_t mine_len;
	uint16_t yours_len;
	uint8_t mine[WELCOME_CHECKPOINT_MAX];  /* sender's latest */
	uint8_t yours[WELCOME_CHECKPOINT_MAX]; /* receiver's, held by sender */
};

/* Type and body's length of a frame, as they come first on the wire. */
void frame_head_put(uint8_t out[FRAME_HEAD_LEN], uint8_t type, uint32_t len);
void
frame_head_get(const uint8_t in[FRAME_HEAD_LEN], uint8_t *type, uint32_t *len);

/*
 * Write the whole frame. Returns its length, -EINVAL (role, a checkpoint's
 * length) or -ENOSPC.
 */
ssize_t welcome_format(const struct welcome *w, uint8_t *out, size_t size);

/*
 * Bytes of the WELCOME frame that begins with head, or -EBADMSG if this head
 * begins none: ask before anything else is read or stored.
 */
ssize_t welcome_len(const uint8_t head[FRAME_HEAD_LEN]);

/* Read a whole frame: 0 or -EBADMSG. */
int welcome_parse(const uint8_t *frame, size_t len, struct welcome *w);

/*
 * Whether the peer's WELCOME speaks of the session that ours speaks of: NULL,
 * or what the first field that differs is called. A registry that is ahead or
 * behind is none; one that has another head at the same update is.
 */
const char *
welcome_check(const struct welcome *mine, const struct welcome *theirs);

#endif
