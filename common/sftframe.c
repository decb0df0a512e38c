/* SPDX-License-Identifier: ISC */
/*
 * sftframe.c - the frames of a file transfer.
 *
 * Bytes of a peer that has proved who it is, and may be anybody's all the
 * same. Each type has one table row with what its body's length can be, so
 * that no length is believed before it was judged.
 */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/buf.h"
#include "common/merkle.h"
#include "common/nodename.h"
#include "common/sftframe.h"
#include "common/welcome.h"

#define OFFER_VERSION 1
#define OFFER_FILE 0
#define OFFER_TREE 1
#define OFFER_REPLACE 1
#define OFFER_DRY 2
#define OFFER_PACKED 4
#define OFFER_MIN (1 + 1 + 8 + 8 + 2 + 1 + 1 + 1 + 8 + 2)
#define ACCEPT_MIN (SFT_ID_LEN + 8 + 1 + 8 + 1)
#define ACCEPT_PACKED 1
#define CHUNK_PACKED 1
#define REASON_MIN (1 + 2)
#define MODE_SENT 07777
#define MODE_KEPT 0777
#define CLIENT_HELLO 0x16

#define OFFER_PREFIX "claw/offer/v1"
#define JOIN_PREFIX "claw/sft-join/v1"

_Static_assert(SFT_HEAD_LEN == FRAME_HEAD_LEN, "one kind of head");
_Static_assert(SFT_FRAME_MAX <= 0x10000, "a body is at most 64 KiB");
_Static_assert(SFT_HEAD_LEN + OFFER_MIN + SFT_NAME_MAX <= SFT_SMALL_MAX &&
	SFT_HEAD_LEN + SFT_RECEIPT_MAX <= SFT_SMALL_MAX,
    "small frames are small");

enum { BOTH = SFT_SENDER | SFT_RECEIVER };

/* Of the control session: who says it, and what length its body can have. */
static const struct shape {
	const char *name;
	unsigned int from;
	uint32_t min;
	uint32_t max;
	uint32_t step; /* min, and a multiple of this */
} shapes[] = {
	[SFT_OFFER] = { "OFFER", SFT_SENDER, OFFER_MIN + 1,
	    OFFER_MIN + SFT_NAME_MAX, 1 },
	[SFT_ACCEPT] = { "ACCEPT", SFT_RECEIVER, ACCEPT_MIN + SFT_ROUTE_LEN,
	    ACCEPT_MIN + SFT_STREAMS_MAX *SFT_ROUTE_LEN, SFT_ROUTE_LEN },
	[SFT_HAVE] = { "HAVE", SFT_RECEIVER, 4, 4 + 8 * SFT_LIST_MAX, 8 },
	[SFT_REFUSE] = { "REFUSE", SFT_RECEIVER, REASON_MIN,
	    REASON_MIN + SFT_TEXT_MAX, 1 },
	[SFT_ACK] = { "ACK", SFT_RECEIVER, 4 + 4, 4 + 4 * SFT_LIST_MAX, 4 },
	[SFT_AGAIN] = { "AGAIN", SFT_RECEIVER, 5, 5, 1 },
	[SFT_SEAL] = { "SEAL", SFT_SENDER, 1, SFT_SEAL_MAX, 1 },
	[SFT_RECEIPT] = { "RECEIPT", SFT_RECEIVER, 1, SFT_RECEIPT_MAX, 1 },
	[SFT_ABORT] = { "ABORT", BOTH, REASON_MIN, REASON_MIN + SFT_TEXT_MAX,
	    1 },
	[SFT_PING] = { "PING", BOTH, 8, 8, 1 },
	[SFT_PONG] = { "PONG", BOTH, 8, 8, 1 },
	[SFT_DONE] = { "DONE", SFT_SENDER, 0, 0, 1 },
	[SFT_BASIS] = { "BASIS", SFT_RECEIVER, 4 + SFT_VALUE_LEN,
	    4 + SFT_BASIS_LIST_MAX *SFT_VALUE_LEN, SFT_VALUE_LEN },
	[SFT_LOST] = { "LOST", BOTH, 5, 5, 1 },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static const struct {
	const char *name;
	const char *text;
} codes[SFT_CODE_MAX + 1] = {
	[SFT_DENIED] = { "denied", "not allowed by policy" },
	[SFT_TOO_LARGE] = { "too-large", "the file is larger than allowed" },
	[SFT_NO_SPACE] = { "no-space", "no space left at the receiver" },
	[SFT_BAD_NAME] = { "bad-name", "the receiver does not take this name" },
	[SFT_EXISTS] = { "exists", "a file of this name is there already" },
	[SFT_SOURCE_CHANGED] = { "source-changed",
	    "the file was changed while it was sent" },
	[SFT_HASH_MISMATCH] = { "hash-mismatch",
	    "what arrived is not what was sent" },
	[SFT_PROTOCOL] = { "protocol", "the protocol was broken" },
	[SFT_IO] = { "io", "reading or writing failed" },
	[SFT_CANCELLED] = { "cancelled", "cancelled" },
	[SFT_PAUSED] = { "paused", "paused" },
	[SFT_STOPPING] = { "stopping", "the node stops" },
	[SFT_BUSY] = { "busy", "too many transfers at once" },
	[SFT_ATTESTATION] = { "attestation", "the peer is not attested" },
	[SFT_TIMEOUT] = { "timeout", "no answer in time" },
	[SFT_EPOCH] = { "epoch", "a later attempt of this transfer is known" },
};

static const char *const limits[] = {
	[SFT_LIMIT_UNKNOWN] = "unknown",
	[SFT_LIMIT_NETWORK] = "network",
	[SFT_LIMIT_SENDER] = "sender",
	[SFT_LIMIT_DISK] = "disk",
	[SFT_LIMIT_RATE] = "rate",
};

static bool
is_code(unsigned int code)
{
	return code >= 1 && code <= SFT_CODE_MAX;
}

const char *
sft_code_name(unsigned int code)
{
	return is_code(code) ? codes[code].name : NULL;
}

const char *
sft_code_text(unsigned int code)
{
	return is_code(code) ? codes[code].text : NULL;
}

const char *
sft_limit_name(unsigned int limit)
{
	return limit < sizeof(limits) / sizeof(limits[0]) ? limits[limit] :
							    limits[0];
}

const char *
sft_type_name(unsigned int type)
{
	switch (type) {
	case SFT_JOIN:
		return "JOIN";
	case SFT_CHUNK:
		return "CHUNK";
	case SFT_END:
		return "END";
	case SFT_SAME:
		return "SAME";
	default:
		return type < SHAPES && shapes[type].name != NULL ?
		    shapes[type].name :
		    "frame";
	}
}

/* --- the file, in chunks ------------------------------------------------ */

static bool
log2_ok(uint8_t chunk_log2)
{
	return chunk_log2 >= SFT_CHUNK_LOG2_MIN &&
	    chunk_log2 <= SFT_CHUNK_LOG2_MAX;
}

bool
sft_size_ok(uint64_t size, uint8_t chunk_log2)
{
	return log2_ok(chunk_log2) &&
	    size <= (uint64_t)SFT_CHUNKS_MAX << chunk_log2;
}

uint32_t
sft_chunks(uint64_t size, uint8_t chunk_log2)
{
	return (
	    uint32_t)((size + (UINT64_C(1) << chunk_log2) - 1) >> chunk_log2);
}

uint32_t
sft_chunk_len(uint64_t size, uint8_t chunk_log2, uint32_t index)
{
	uint64_t left = size - ((uint64_t)index << chunk_log2);
	uint32_t full = UINT32_C(1) << chunk_log2;

	return left < full ? (uint32_t)left : full;
}

uint64_t
sft_reread_s(uint64_t size)
{
	return size / 4000000;
}

/* --- heads -------------------------------------------------------------- */

static bool
shape_ok(const struct shape *s, uint32_t len)
{
	return len >= s->min && len <= s->max && (len - s->min) % s->step == 0;
}

int
sft_head_parse(const uint8_t in[SFT_HEAD_LEN], enum sft_side from,
    uint8_t *type, uint32_t *len)
{
	frame_head_get(in, type, len);
	if (*type >= SHAPES || (shapes[*type].from & from) == 0 ||
	    !shape_ok(&shapes[*type], *len))
		return -EBADMSG;
	return 0;
}

/* A body of that type begins, and its length is one that it can have. */
static bool
open_body(struct rbuf *r, enum sft_type type, const uint8_t *body, size_t len)
{
	rbuf_init(r, body, len);
	return len <= SFT_BODY_MAX && shape_ok(&shapes[type], (uint32_t)len);
}

static void
get_fixed(struct rbuf *r, uint8_t *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

/* The head of a frame whose body has len bytes. */
static void
put_head(struct wbuf *w, enum sft_type type, size_t len)
{
	uint8_t head[SFT_HEAD_LEN];

	frame_head_put(head, (uint8_t)type, (uint32_t)len);
	wbuf_put(w, head, sizeof(head));
}

static ssize_t
written(const struct wbuf *w)
{
	return w->failed ? -ENOSPC : (ssize_t)w->len;
}

/* --- control session ---------------------------------------------------- */

static bool
offer_ok(const struct sft_offer *o)
{
	return sft_size_ok(o->size, o->chunk_log2) &&
	    o->mtime_ns <= INT64_MAX && o->streams >= 1 &&
	    o->streams <= SFT_STREAMS_MAX && o->epoch < SFT_EPOCH_MAX &&
	    o->name_len >= 1 && o->name_len <= SFT_NAME_MAX;
}

ssize_t
sft_offer_format(const struct sft_offer *o, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!offer_ok(o))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, SFT_OFFER, (size_t)OFFER_MIN + o->name_len);
	wbuf_u8(&w, OFFER_VERSION);
	wbuf_u8(&w, o->tree ? OFFER_TREE : OFFER_FILE);
	wbuf_u64(&w, o->size);
	wbuf_u64(&w, o->mtime_ns);
	wbuf_u16(&w, o->mode & MODE_KEPT);
	wbuf_u8(&w, o->chunk_log2);
	wbuf_u8(&w, o->streams);
	wbuf_u8(&w,
	    (uint8_t)((o->replace ? OFFER_REPLACE : 0) |
		(o->dry ? OFFER_DRY : 0) | (o->packed ? OFFER_PACKED : 0)));
	wbuf_u64(&w, o->epoch);
	wbuf_bytes(&w, o->name, o->name_len);
	return written(&w);
}

int
sft_offer_parse(const uint8_t *body, size_t len, struct sft_offer *o)
{
	uint8_t flags, kind, version;
	const uint8_t *name;
	uint16_t mode;
	struct rbuf r;

	memset(o, 0, sizeof(*o));
	if (!open_body(&r, SFT_OFFER, body, len))
		return -EBADMSG;
	version = rbuf_u8(&r);
	kind = rbuf_u8(&r);
	o->size = rbuf_u64(&r);
	o->mtime_ns = rbuf_u64(&r);
	mode = rbuf_u16(&r);
	o->mode = mode & MODE_KEPT;
	o->chunk_log2 = rbuf_u8(&r);
	o->streams = rbuf_u8(&r);
	flags = rbuf_u8(&r);
	o->replace = (flags & OFFER_REPLACE) != 0;
	o->dry = (flags & OFFER_DRY) != 0;
	o->packed = (flags & OFFER_PACKED) != 0;
	o->tree = kind == OFFER_TREE;
	o->epoch = rbuf_u64(&r);
	name = rbuf_bytes(&r, &o->name_len);
	if (!rbuf_done(&r) || version != OFFER_VERSION || kind > OFFER_TREE ||
	    mode > MODE_SENT ||
	    flags > (OFFER_REPLACE | OFFER_DRY | OFFER_PACKED) || !offer_ok(o))
		return -EBADMSG;
	memcpy(o->name, name, o->name_len);
	return 0;
}

static bool
accept_ok(const struct sft_accept *a)
{
	size_t i, k;

	if (a->streams < 1 || a->streams > SFT_STREAMS_MAX || a->epoch < 1 ||
	    a->epoch > SFT_EPOCH_MAX || a->window == 0)
		return false;
	for (i = 0; i < a->streams; i++) {
		if (!sft_route_ok(a->route[i]))
			return false;
		for (k = 0; k < i; k++)
			if (memcmp(a->route[i], a->route[k], SFT_ROUTE_LEN) ==
			    0)
				return false;
	}
	return true;
}

ssize_t
sft_accept_format(const struct sft_accept *a, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!accept_ok(a))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, SFT_ACCEPT,
	    ACCEPT_MIN + (size_t)a->streams * SFT_ROUTE_LEN);
	wbuf_put(&w, a->id, sizeof(a->id));
	wbuf_u64(&w, a->epoch);
	wbuf_u8(&w, a->streams);
	wbuf_put(&w, a->route, (size_t)a->streams * SFT_ROUTE_LEN);
	wbuf_u64(&w, a->window);
	wbuf_u8(&w, a->packed ? ACCEPT_PACKED : 0);
	return written(&w);
}

int
sft_accept_parse(const uint8_t *body, size_t len, struct sft_accept *a)
{
	struct rbuf r;
	uint8_t flags;
	size_t i;

	memset(a, 0, sizeof(*a));
	if (!open_body(&r, SFT_ACCEPT, body, len))
		return -EBADMSG;
	get_fixed(&r, a->id, sizeof(a->id));
	a->epoch = rbuf_u64(&r);
	a->streams = rbuf_u8(&r);
	for (i = 0; i < a->streams && i < SFT_STREAMS_MAX; i++)
		get_fixed(&r, a->route[i], SFT_ROUTE_LEN);
	a->window = rbuf_u64(&r);
	flags = rbuf_u8(&r);
	a->packed = (flags & ACCEPT_PACKED) != 0;
	return rbuf_done(&r) && flags <= ACCEPT_PACKED && accept_ok(a) ?
	    0 :
	    -EBADMSG;
}

bool
sft_accept_fits(const struct sft_offer *o, const struct sft_accept *a)
{
	return a->streams <= o->streams && a->epoch > o->epoch &&
	    (!a->packed || o->packed);
}

static bool
printable(char c)
{
	return c >= ' ' && c <= '~';
}

ssize_t
sft_reason_format(enum sft_type type, unsigned int code, const char *text,
    uint8_t *out, size_t size)
{
	char clean[SFT_TEXT_MAX];
	struct wbuf w;
	size_t i, len;

	if ((type != SFT_REFUSE && type != SFT_ABORT) || !is_code(code))
		return -EINVAL;
	if (text == NULL)
		text = codes[code].text;
	len = strnlen(text, sizeof(clean));
	for (i = 0; i < len; i++)
		clean[i] = printable(text[i]) ? text[i] : '?';
	wbuf_init(&w, out, size);
	put_head(&w, type, REASON_MIN + len);
	wbuf_u8(&w, (uint8_t)code);
	wbuf_bytes(&w, clean, len);
	return written(&w);
}

int
sft_reason_parse(const uint8_t *body, size_t len, struct sft_reason *reason)
{
	const uint8_t *text;
	struct rbuf r;
	uint16_t i, n;

	memset(reason, 0, sizeof(*reason));
	if (!open_body(&r, SFT_ABORT, body, len))
		return -EBADMSG;
	reason->code = rbuf_u8(&r);
	text = rbuf_bytes(&r, &n);
	if (!rbuf_done(&r) || !is_code(reason->code))
		return -EBADMSG;
	for (i = 0; i < n; i++)
		if (!printable((char)text[i]))
			return -EBADMSG;
	memcpy(reason->text, text, n);
	return 0;
}

static bool
why_ok(uint8_t why)
{
	return why == SFT_AGAIN_HASH || why == SFT_AGAIN_BASIS;
}

ssize_t
sft_again_format(uint32_t index, uint8_t why, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (index >= SFT_CHUNKS_MAX || !why_ok(why))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, SFT_AGAIN, 5);
	wbuf_u32(&w, index);
	wbuf_u8(&w, why);
	return written(&w);
}

ssize_t
sft_lost_format(uint8_t stream, uint32_t chunks, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (stream >= SFT_STREAMS_MAX)
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, SFT_LOST, 5);
	wbuf_u8(&w, stream);
	wbuf_u32(&w, chunks);
	return written(&w);
}

int
sft_lost_parse(const uint8_t *body, size_t len, uint8_t *stream,
    uint32_t *chunks)
{
	struct rbuf r;

	if (!open_body(&r, SFT_LOST, body, len))
		return -EBADMSG;
	*stream = rbuf_u8(&r);
	*chunks = rbuf_u32(&r);
	return *stream < SFT_STREAMS_MAX ? 0 : -EBADMSG;
}

int
sft_again_parse(const uint8_t *body, size_t len, uint32_t chunks,
    uint32_t *index, uint8_t *why)
{
	struct rbuf r;

	if (!open_body(&r, SFT_AGAIN, body, len))
		return -EBADMSG;
	*index = rbuf_u32(&r);
	*why = rbuf_u8(&r);
	return *index < chunks && why_ok(*why) ? 0 : -EBADMSG;
}

ssize_t
sft_signed_format(enum sft_type type, const void *bytes, size_t len,
    uint8_t *out, size_t size)
{
	struct wbuf w;

	if ((type != SFT_SEAL && type != SFT_RECEIPT) || len > SFT_BODY_MAX ||
	    !shape_ok(&shapes[type], (uint32_t)len))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, type, len);
	wbuf_put(&w, bytes, len);
	return written(&w);
}

ssize_t
sft_ping_format(enum sft_type type, uint64_t number, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (type != SFT_PING && type != SFT_PONG)
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, type, 8);
	wbuf_u64(&w, number);
	return written(&w);
}

int
sft_ping_parse(const uint8_t *body, size_t len, uint64_t *number)
{
	struct rbuf r;

	rbuf_init(&r, body, len);
	*number = rbuf_u64(&r);
	return rbuf_done(&r) ? 0 : -EBADMSG;
}

ssize_t
sft_empty_format(enum sft_type type, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (type != SFT_DONE && type != SFT_END)
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, type, 0);
	return written(&w);
}

/* --- lists: HAVE, ACK --------------------------------------------------- */

static bool
has(const uint8_t *bits, uint32_t i)
{
	return (bits[i / 8] >> i % 8 & 1) != 0;
}

/* The first i from `at` on whose bit is `set`, or chunks. */
static uint32_t
find(const uint8_t *bits, uint32_t chunks, uint32_t at, bool set)
{
	uint8_t skip = set ? 0 : 0xff;

	while (at < chunks && has(bits, at) != set) {
		if (at % 8 == 0 && chunks - at >= 8 && bits[at / 8] == skip)
			at += 8;
		else
			at++;
	}
	return at;
}

ssize_t
sft_have_format(const uint8_t *bits, uint32_t chunks, uint32_t *from,
    bool *last, uint8_t *out, size_t size)
{
	uint32_t at = *from, end, n = 0;
	size_t most;
	struct wbuf w;

	if (chunks > SFT_CHUNKS_MAX || at > chunks)
		return -EINVAL;
	wbuf_init(&w, out, size);
	/* The count is known at the end. */
	put_head(&w, SFT_HAVE, 0);
	wbuf_u32(&w, 0);
	for (; n < SFT_LIST_MAX; n++) {
		at = find(bits, chunks, at, true);
		if (at == chunks)
			break;
		end = find(bits, chunks, at, false);
		wbuf_u32(&w, at);
		wbuf_u32(&w, end - at);
		at = end;
	}
	if (w.failed)
		return -ENOSPC;
	most = w.len;
	wbuf_init(&w, out, size);
	put_head(&w, SFT_HAVE, most - SFT_HEAD_LEN);
	wbuf_u32(&w, n);
	*from = at;
	*last = n < SFT_LIST_MAX;
	return (ssize_t)most;
}

bool
sft_ranges_next(struct sft_ranges *ranges, uint32_t *first, uint32_t *count)
{
	struct rbuf r;

	if (ranges->left == 0)
		return false;
	rbuf_init(&r, ranges->at, 8);
	*first = rbuf_u32(&r);
	*count = rbuf_u32(&r);
	ranges->at += 8;
	ranges->left--;
	return true;
}

/* A list: its count, and as many elements of that size. */
static bool
open_list(struct rbuf *r, enum sft_type type, const uint8_t *body, size_t len,
    size_t element, struct sft_ranges *list)
{
	list->at = NULL;
	list->left = 0;
	if (!open_body(r, type, body, len) ||
	    rbuf_u32(r) != (len - 4) / element)
		return false;
	list->at = r->data;
	list->left = (uint32_t)((len - 4) / element);
	return true;
}

int
sft_have_parse(const uint8_t *body, size_t len, uint32_t chunks, uint32_t *from,
    bool *last, struct sft_ranges *ranges)
{
	uint32_t at = *from, count, first;
	struct sft_ranges walk;
	struct rbuf r;

	if (!open_list(&r, SFT_HAVE, body, len, 8, ranges))
		return -EBADMSG;
	walk = *ranges;
	while (sft_ranges_next(&walk, &first, &count)) {
		if (first < at || first >= chunks || count == 0 ||
		    count > chunks - first) {
			ranges->left = 0;
			return -EBADMSG;
		}
		/* The chunk behind a range is not had: it would be in it. */
		at = first + count + 1;
	}
	*from = at;
	*last = ranges->left < SFT_LIST_MAX;
	return 0;
}

ssize_t
sft_ack_format(const uint32_t *index, uint32_t n, uint8_t *out, size_t size)
{
	struct wbuf w;
	uint32_t i;

	if (n < 1 || n > SFT_LIST_MAX)
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, SFT_ACK, 4 + (size_t)n * 4);
	wbuf_u32(&w, n);
	for (i = 0; i < n; i++) {
		if (index[i] >= SFT_CHUNKS_MAX)
			return -EINVAL;
		wbuf_u32(&w, index[i]);
	}
	return written(&w);
}

bool
sft_ack_next(struct sft_ranges *list, uint32_t *index)
{
	struct rbuf r;

	if (list->left == 0)
		return false;
	rbuf_init(&r, list->at, 4);
	*index = rbuf_u32(&r);
	list->at += 4;
	list->left--;
	return true;
}

int
sft_ack_parse(const uint8_t *body, size_t len, uint32_t chunks,
    struct sft_ranges *list)
{
	struct sft_ranges walk;
	struct rbuf r;
	uint32_t i;

	if (!open_list(&r, SFT_ACK, body, len, 4, list))
		return -EBADMSG;
	walk = *list;
	while (sft_ack_next(&walk, &i)) {
		if (i >= chunks) {
			list->left = 0;
			return -EBADMSG;
		}
	}
	return 0;
}

/* --- what the receiver has of an earlier file: BASIS --------------------- */

ssize_t
sft_basis_format(const uint8_t (*value)[SFT_VALUE_LEN], uint32_t first,
    uint32_t n, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (n < 1 || n > SFT_BASIS_LIST_MAX || first > SFT_BASIS_MAX - n)
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_head(&w, SFT_BASIS, 4 + (size_t)n * SFT_VALUE_LEN);
	wbuf_u32(&w, first);
	wbuf_put(&w, value, (size_t)n * SFT_VALUE_LEN);
	return written(&w);
}

int
sft_basis_parse(const uint8_t *body, size_t len, uint32_t chunks,
    uint32_t *from, uint32_t *first, uint32_t *n, const uint8_t **value)
{
	uint32_t most = chunks < SFT_BASIS_MAX ? chunks : SFT_BASIS_MAX;
	struct rbuf r;

	if (!open_body(&r, SFT_BASIS, body, len))
		return -EBADMSG;
	*first = rbuf_u32(&r);
	*n = (uint32_t)((len - 4) / SFT_VALUE_LEN);
	if (*first < *from || *first >= most || *n > most - *first)
		return -EBADMSG;
	*value = body + 4;
	*from = *first + *n;
	return 0;
}

/* --- data streams ------------------------------------------------------- */

bool
sft_route_ok(const uint8_t route[SFT_ROUTE_LEN])
{
	return route[0] != CLIENT_HELLO;
}

int
sft_join_format(const struct sft_join *j, uint8_t out[SFT_JOIN_LEN])
{
	struct wbuf w;

	if (j->index >= SFT_STREAMS_MAX)
		return -EINVAL;
	wbuf_init(&w, out, SFT_JOIN_LEN);
	put_head(&w, SFT_JOIN, SFT_JOIN_LEN - SFT_HEAD_LEN);
	wbuf_put(&w, j->id, sizeof(j->id));
	wbuf_u8(&w, j->index);
	wbuf_put(&w, j->mac, sizeof(j->mac));
	return 0;
}

int
sft_join_parse(const uint8_t in[SFT_JOIN_LEN], struct sft_join *j)
{
	struct rbuf r;
	uint32_t len;
	uint8_t type;

	memset(j, 0, sizeof(*j));
	frame_head_get(in, &type, &len);
	if (type != SFT_JOIN || len != SFT_JOIN_LEN - SFT_HEAD_LEN)
		return -EBADMSG;
	rbuf_init(&r, in + SFT_HEAD_LEN, len);
	get_fixed(&r, j->id, sizeof(j->id));
	j->index = rbuf_u8(&r);
	get_fixed(&r, j->mac, sizeof(j->mac));
	return j->index < SFT_STREAMS_MAX ? 0 : -EBADMSG;
}

int
sft_join_mac(const uint8_t control[SFT_EXPORTER_LEN],
    const uint8_t stream[SFT_EXPORTER_LEN], const uint8_t id[SFT_ID_LEN],
    uint8_t index, uint8_t mac[SFT_MAC_LEN])
{
	uint8_t in[sizeof(JOIN_PREFIX) + SFT_EXPORTER_LEN + SFT_ID_LEN + 1];
	struct wbuf w;

	wbuf_init(&w, in, sizeof(in));
	wbuf_put(&w, JOIN_PREFIX, sizeof(JOIN_PREFIX)); /* with its zero */
	wbuf_put(&w, stream, SFT_EXPORTER_LEN);
	wbuf_put(&w, id, SFT_ID_LEN);
	wbuf_u8(&w, index);
	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, control,
		SFT_EXPORTER_LEN, in, w.len, mac, SFT_MAC_LEN, NULL) == NULL)
		return -EIO;
	return 0;
}

int
sft_join_check(const struct sft_join *j,
    const uint8_t control[SFT_EXPORTER_LEN],
    const uint8_t stream[SFT_EXPORTER_LEN], const uint8_t id[SFT_ID_LEN],
    uint8_t index)
{
	uint8_t mac[SFT_MAC_LEN];

	/* The MAC says the same; these two are cheaper to be told by. */
	if (j->index != index || memcmp(j->id, id, SFT_ID_LEN) != 0 ||
	    sft_join_mac(control, stream, id, index, mac) != 0 ||
	    CRYPTO_memcmp(mac, j->mac, sizeof(mac)) != 0)
		return -EKEYREJECTED;
	return 0;
}

ssize_t
sft_data_len(const uint8_t in[SFT_HEAD_LEN])
{
	/* What is reserved has no meaning yet. */
	if (in[1] > (in[0] == SFT_CHUNK ? CHUNK_PACKED : 0) || in[2] != 0 ||
	    in[3] != 0)
		return -EBADMSG;
	if (in[0] == SFT_CHUNK || in[0] == SFT_SAME)
		return SFT_CHUNK_HEAD_LEN;
	return in[0] == SFT_END ? SFT_HEAD_LEN : -EBADMSG;
}

void
sft_chunk_format(const struct sft_chunk *c, uint8_t out[SFT_CHUNK_HEAD_LEN])
{
	struct wbuf w;

	wbuf_init(&w, out, SFT_CHUNK_HEAD_LEN);
	wbuf_u8(&w, c->same ? SFT_SAME : SFT_CHUNK);
	wbuf_u8(&w, c->packed ? CHUNK_PACKED : 0);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, c->index);
	wbuf_u32(&w, c->len);
}

int
sft_chunk_parse(const uint8_t in[SFT_CHUNK_HEAD_LEN], uint64_t size,
    uint8_t chunk_log2, struct sft_chunk *c)
{
	struct rbuf r;

	rbuf_init(&r, in + SFT_HEAD_LEN, SFT_CHUNK_HEAD_LEN - SFT_HEAD_LEN);
	c->same = in[0] == SFT_SAME;
	c->packed = in[1] == CHUNK_PACKED;
	c->index = rbuf_u32(&r);
	c->len = rbuf_u32(&r);
	if (sft_data_len(in) != SFT_CHUNK_HEAD_LEN ||
	    c->index >= sft_chunks(size, chunk_log2) ||
	    c->len != sft_chunk_len(size, chunk_log2, c->index))
		return -EBADMSG;
	return 0;
}

/* --- what identifies an offer ------------------------------------------- */

void
sft_offer_digest(const struct sft_offer *o, const char *sender,
    const char *receiver, uint8_t out[32])
{
	uint8_t in[sizeof(OFFER_PREFIX) + 2 * (NODENAME_MAX + 1) + OFFER_MIN +
	    SFT_NAME_MAX];
	struct wbuf w;

	wbuf_init(&w, in, sizeof(in));
	wbuf_put(&w, OFFER_PREFIX, sizeof(OFFER_PREFIX)); /* with its zero */
	wbuf_put(&w, sender, strnlen(sender, NODENAME_MAX));
	wbuf_u8(&w, 0);
	wbuf_put(&w, receiver, strnlen(receiver, NODENAME_MAX));
	wbuf_u8(&w, 0);
	wbuf_u8(&w, OFFER_VERSION);
	wbuf_u8(&w, o->tree ? OFFER_TREE : OFFER_FILE);
	wbuf_u64(&w, o->size);
	wbuf_u64(&w, o->mtime_ns);
	wbuf_u16(&w, o->mode & MODE_KEPT);
	wbuf_u8(&w, o->chunk_log2);
	wbuf_u8(&w, o->replace ? OFFER_REPLACE : 0);
	wbuf_bytes(&w, o->name, o->name_len);
	merkle_sha256(in, w.len, out);
}
