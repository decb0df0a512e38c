/* SPDX-License-Identifier: ISC */
/*
 * welcome.c - WELCOME: the first frame in either direction.
 *
 * Bytes of a peer that has proved who it is; nothing in them is believed but
 * compared with what this end knows. The layout is in claw-protocol(7).
 */
#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/evidence.h"
#include "common/welcome.h"

void
frame_head_put(uint8_t out[FRAME_HEAD_LEN], uint8_t type, uint32_t len)
{
	out[0] = type;
	out[1] = (uint8_t)(len >> 16 & 0xff);
	out[2] = (uint8_t)(len >> 8 & 0xff);
	out[3] = (uint8_t)(len & 0xff);
}

void
frame_head_get(const uint8_t in[FRAME_HEAD_LEN], uint8_t *type, uint32_t *len)
{
	*type = in[0];
	*len = (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

ssize_t
welcome_format(const struct welcome *w, uint8_t *out, size_t size)
{
	size_t len = (size_t)WELCOME_BODY_MIN + w->mine_len + w->yours_len;
	uint8_t head[FRAME_HEAD_LEN];
	struct wbuf b;

	if ((w->role != EVIDENCE_CLIENT && w->role != EVIDENCE_SERVER) ||
	    w->mine_len > sizeof(w->mine) || w->yours_len > sizeof(w->yours))
		return -EINVAL;
	frame_head_put(head, FRAME_WELCOME, (uint32_t)len);
	wbuf_init(&b, out, size);
	wbuf_put(&b, head, sizeof(head));
	wbuf_u8(&b, w->role);
	wbuf_u64(&b, w->seq);
	wbuf_put(&b, w->head, sizeof(w->head));
	wbuf_put(&b, w->own_leaf, sizeof(w->own_leaf));
	wbuf_put(&b, w->peer_leaf, sizeof(w->peer_leaf));
	wbuf_put(&b, w->exporter, sizeof(w->exporter));
	wbuf_bytes(&b, w->mine, w->mine_len);
	wbuf_bytes(&b, w->yours, w->yours_len);
	return b.failed ? -ENOSPC : (ssize_t)b.len;
}

ssize_t
welcome_len(const uint8_t head[FRAME_HEAD_LEN])
{
	uint32_t len;
	uint8_t type;

	frame_head_get(head, &type, &len);
	if (type != FRAME_WELCOME || len < WELCOME_BODY_MIN ||
	    len > WELCOME_BODY_MAX)
		return -EBADMSG;
	return (ssize_t)FRAME_HEAD_LEN + (ssize_t)len;
}

static void
get_hash(struct rbuf *r, uint8_t out[32])
{
	const uint8_t *p = rbuf_take(r, 32);

	if (p != NULL)
		memcpy(out, p, 32);
}

static void
get_checkpoint(struct rbuf *r, uint8_t out[WELCOME_CHECKPOINT_MAX],
    uint16_t *len)
{
	const uint8_t *p = rbuf_bytes(r, len);

	if (p == NULL || *len > WELCOME_CHECKPOINT_MAX) {
		r->failed = true;
		*len = 0;
		return;
	}
	memcpy(out, p, *len);
}

int
welcome_parse(const uint8_t *frame, size_t len, struct welcome *w)
{
	struct rbuf r;

	memset(w, 0, sizeof(*w));
	if (len < FRAME_HEAD_LEN || welcome_len(frame) != (ssize_t)len)
		return -EBADMSG;
	rbuf_init(&r, frame + FRAME_HEAD_LEN, len - FRAME_HEAD_LEN);
	w->role = rbuf_u8(&r);
	if (w->role != EVIDENCE_CLIENT && w->role != EVIDENCE_SERVER)
		return -EBADMSG;
	w->seq = rbuf_u64(&r);
	get_hash(&r, w->head);
	get_hash(&r, w->own_leaf);
	get_hash(&r, w->peer_leaf);
	get_hash(&r, w->exporter);
	get_checkpoint(&r, w->mine, &w->mine_len);
	get_checkpoint(&r, w->yours, &w->yours_len);
	return rbuf_done(&r) ? 0 : -EBADMSG;
}

const char *
welcome_check(const struct welcome *mine, const struct welcome *theirs)
{
	if (theirs->role == mine->role)
		return "role";
	if (memcmp(theirs->own_leaf, mine->peer_leaf, 32) != 0)
		return "sender's leaf";
	if (memcmp(theirs->peer_leaf, mine->own_leaf, 32) != 0)
		return "receiver's leaf";
	if (memcmp(theirs->exporter, mine->exporter, 32) != 0)
		return "exporter";
	if (theirs->seq == mine->seq &&
	    memcmp(theirs->head, mine->head, 32) != 0)
		return "registry head";
	return NULL;
}
