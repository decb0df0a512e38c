/* SPDX-License-Identifier: ISC */
/*
 * sftframe.h - what two ends of a file transfer say to each other: the frames
 * of the control session and of the data streams, claw-sft/1.
 *
 * The layouts are in claw-protocol(7).  Heads are judged before bodies are
 * read, bodies before anything is made of them; nothing here is allocated.
 * Parsers return 0 or -EBADMSG, which is the end of the session; formatters
 * return the length of the whole frame with its head, -EINVAL for what the
 * other end's parser would not take, or -ENOSPC.
 */
#ifndef CLAW_COMMON_SFTFRAME_H
#define CLAW_COMMON_SFTFRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SFT_HEAD_LEN 4 /* type u8, length of the body u24: as welcome.h */
#define SFT_ID_LEN 16
#define SFT_ROUTE_LEN 16
#define SFT_MAC_LEN 32
#define SFT_VALUE_LEN 32 /* BLAKE3: a chunk's value, or the root */
#define SFT_EXPORTER_LEN 32
#define SFT_NAME_MAX 1024
#define SFT_TEXT_MAX 255
#define SFT_STREAMS_MAX 8
#define SFT_CHUNK_LOG2_MIN 20
#define SFT_CHUNK_LOG2_MAX 25
#define SFT_CHUNKS_MAX (UINT32_C(1) << 24) /* of a file */
#define SFT_EPOCH_MAX (UINT64_C(1) << 62)
#define SFT_SEAL_MAX 512
#define SFT_RECEIPT_MAX 1024
#define SFT_LIST_MAX 4096	/* ranges of a HAVE, indices of an ACK */
#define SFT_BASIS_LIST_MAX 1024 /* values of a BASIS */
#define SFT_BASIS_MAX (UINT32_C(1) << 16) /* of a file: the first so many */
/* The longest body there is, and room for any frame. */
#define SFT_BODY_MAX (4 + 8 * SFT_LIST_MAX)
#define SFT_FRAME_MAX (SFT_HEAD_LEN + SFT_BODY_MAX)
/* A frame that is not HAVE or ACK fits here. */
#define SFT_SMALL_MAX 1280

/*
 * They count anew after WELCOME, which has left the stage: the first frame of
 * a session is WELCOME, and no later one is.
 */
enum sft_type {
	SFT_OFFER = 1,
	SFT_ACCEPT = 2,
	SFT_HAVE = 3,
	SFT_REFUSE = 4,
	SFT_ACK = 5,
	SFT_AGAIN = 6,
	SFT_SEAL = 7,
	SFT_RECEIPT = 8,
	SFT_ABORT = 9,
	SFT_PING = 10,
	SFT_PONG = 11,
	SFT_DONE = 12,
	SFT_BASIS = 13,
	SFT_LOST = 14,
	/* on data streams only */
	SFT_JOIN = 20,
	SFT_CHUNK = 21, /* has a head of its own, SFT_CHUNK_HEAD_LEN */
	SFT_END = 22,
	SFT_SAME = 23 /* a head as CHUNK's, no bytes, the value */
};

/* Who says it. */
enum sft_side { SFT_SENDER = 1, SFT_RECEIVER = 2 };

/* Of REFUSE, ABORT and the message XFER_FAILED. */
enum sft_code {
	SFT_DENIED = 1,
	SFT_TOO_LARGE = 2,
	SFT_NO_SPACE = 3,
	SFT_BAD_NAME = 4,
	SFT_EXISTS = 5,
	SFT_SOURCE_CHANGED = 6,
	SFT_HASH_MISMATCH = 7,
	SFT_PROTOCOL = 8,
	SFT_IO = 9,
	SFT_CANCELLED = 10,
	SFT_PAUSED = 11,
	SFT_STOPPING = 12,
	SFT_BUSY = 13,
	SFT_ATTESTATION = 14,
	SFT_TIMEOUT = 15,
	SFT_EPOCH = 16
};
#define SFT_CODE_MAX 16

/* Why a chunk is asked for again. */
enum sft_again_why {
	SFT_AGAIN_HASH = 1,
	SFT_AGAIN_BASIS = 2 /* it was SAME, and is no more what it was */
};

/* What holds a transfer up (XFER_PROGRESS). */
enum sft_limit {
	SFT_LIMIT_UNKNOWN = 0,
	SFT_LIMIT_NETWORK = 1,
	SFT_LIMIT_SENDER = 2, /* reading, hashing */
	SFT_LIMIT_DISK = 3,   /* the receiver's */
	SFT_LIMIT_RATE = 4
};

/*
 * A code as a word for programs ("no-space") and as words for a person; NULL
 * for a number that is no code.  A limit as a word; "unknown" for others.
 */
const char *sft_code_name(unsigned int code);
const char *sft_code_text(unsigned int code);
const char *sft_limit_name(unsigned int limit);
/* A type's name for logs; "frame" for others. */
const char *sft_type_name(unsigned int type);

/* --- the file, in chunks ------------------------------------------------ */

/* Whether a file may be this long: size <= SFT_CHUNKS_MAX chunks. */
bool sft_size_ok(uint64_t size, uint8_t chunk_log2);
/* For a size and log2 that are ok: number of chunks; 0 of an empty file. */
uint32_t sft_chunks(uint64_t size, uint8_t chunk_log2);
/* Bytes of chunk `index`, which is below sft_chunks(). */
uint32_t sft_chunk_len(uint64_t size, uint8_t chunk_log2, uint32_t index);

/*
 * Seconds that an end may take, beyond what it waits for anything, to read a
 * file of this size once more and write it elsewhere: 4 MB/s is a slow disk.
 */
uint64_t sft_reread_s(uint64_t size);

/* --- heads -------------------------------------------------------------- */

/*
 * The head of a frame that comes from that side on the control session: its
 * type, and its body's length, which this type can have.
 */
int sft_head_parse(const uint8_t in[SFT_HEAD_LEN], enum sft_side from,
    uint8_t *type, uint32_t *len);

/* --- control session ---------------------------------------------------- */

struct sft_offer {
	uint64_t size;	   /* bytes; sft_size_ok() */
	uint64_t mtime_ns; /* since 1970, at most INT64_MAX */
	uint16_t mode;	   /* 0777 of it; other bits are dropped */
	uint8_t chunk_log2;
	uint8_t streams; /* at most that many are wanted */
	bool replace;
	bool dry;
	bool tree;	/* a folder, as bundle.h has it; size is the bundle's */
	bool packed;	/* chunks may be compressed: sftblock.h */
	uint64_t epoch; /* below SFT_EPOCH_MAX */
	uint16_t name_len;	    /* 1 to SFT_NAME_MAX */
	uint8_t name[SFT_NAME_MAX]; /* bytes: ask sftname.h */
};

struct sft_accept {
	uint8_t id[SFT_ID_LEN];
	uint64_t epoch; /* 1 to SFT_EPOCH_MAX */
	uint8_t streams;
	uint8_t route[SFT_STREAMS_MAX][SFT_ROUTE_LEN]; /* all different */
	uint64_t window; /* bytes, not 0: sent and not acknowledged */
	bool packed;	 /* chunks may come compressed */
};

/* REFUSE and ABORT. */
struct sft_reason {
	uint8_t code;
	char text[SFT_TEXT_MAX + 1]; /* printable ASCII */
};

ssize_t sft_offer_format(const struct sft_offer *, uint8_t *, size_t);
int sft_offer_parse(const uint8_t *body, size_t len, struct sft_offer *);

ssize_t sft_accept_format(const struct sft_accept *, uint8_t *, size_t);
int sft_accept_parse(const uint8_t *body, size_t len, struct sft_accept *);
/*
 * Whether this answers that: no more streams, a later epoch, and compressed
 * only what may be.
 */
bool sft_accept_fits(const struct sft_offer *, const struct sft_accept *);

/*
 * SFT_REFUSE or SFT_ABORT. Of the text (NULL: the code's) what is no printable
 * ASCII becomes '?', and what is too long is cut.
 */
ssize_t sft_reason_format(enum sft_type type, unsigned int code,
    const char *text, uint8_t *out, size_t size);
int sft_reason_parse(const uint8_t *body, size_t len, struct sft_reason *);

ssize_t sft_again_format(uint32_t index, uint8_t why, uint8_t *, size_t);
int sft_again_parse(const uint8_t *body, size_t len, uint32_t chunks,
    uint32_t *index, uint8_t *why);

/*
 * SFT_SEAL or SFT_RECEIPT: the body is the signed thing itself.  There is no
 * parser: the head has its length, receipt.h reads it.
 */
ssize_t sft_signed_format(enum sft_type type, const void *bytes, size_t len,
    uint8_t *out, size_t size);

/* SFT_PING or SFT_PONG. */
ssize_t sft_ping_format(enum sft_type type, uint64_t number, uint8_t *, size_t);
int sft_ping_parse(const uint8_t *body, size_t len, uint64_t *number);

/*
 * SFT_LOST: this stream has broken. From the receiver with the number of chunks
 * that had come whole by it; from the sender with 0, who wants to hear that.
 */
ssize_t sft_lost_format(uint8_t stream, uint32_t chunks, uint8_t *, size_t);
int sft_lost_parse(const uint8_t *body, size_t len, uint8_t *stream,
    uint32_t *chunks);

/* SFT_DONE or SFT_END: a head and nothing. */
ssize_t sft_empty_format(enum sft_type type, uint8_t *, size_t);

/* --- lists: HAVE, ACK --------------------------------------------------- */

/*
 * HAVE, as many frames as it takes.  Chunk i is had if bit i % 8 of
 * bits[i / 8] is set.  *from is 0 before the first frame and then this
 * function's; *last is set when this frame is the last: it has fewer than
 * SFT_LIST_MAX ranges.
 */
ssize_t sft_have_format(const uint8_t *bits, uint32_t chunks, uint32_t *from,
    bool *last, uint8_t *out, size_t size);

/* The ranges of one HAVE, in the body that was parsed. */
struct sft_ranges {
	const uint8_t *at;
	uint32_t left;
};

/*
 * One HAVE: ranges of at least one chunk, ascending, with a gap between two of
 * them, none beyond the file, over all frames (*from as above).
 */
int sft_have_parse(const uint8_t *body, size_t len, uint32_t chunks,
    uint32_t *from, bool *last, struct sft_ranges *);
/* The next range of what was parsed; false after the last. */
bool sft_ranges_next(struct sft_ranges *, uint32_t *first, uint32_t *count);

/* ACK of n (1 to SFT_LIST_MAX) chunks, in any order. */
ssize_t
sft_ack_format(const uint32_t *index, uint32_t n, uint8_t *out, size_t size);
/* Every index is below chunks; one may come twice. */
int sft_ack_parse(const uint8_t *body, size_t len, uint32_t chunks,
    struct sft_ranges *);
/* The next index of what was parsed; false after the last. */
bool sft_ack_next(struct sft_ranges *, uint32_t *index);

/* --- what the receiver has of an earlier file: BASIS --------------------- */

/*
 * Values of n (1 to SFT_BASIS_LIST_MAX) chunks from `first` on, which the
 * receiver can make from what it has: for one that hashes to the same, SAME
 * stands for its bytes. None beyond SFT_BASIS_MAX.
 */
ssize_t sft_basis_format(const uint8_t (*value)[SFT_VALUE_LEN], uint32_t first,
    uint32_t n, uint8_t *out, size_t size);
/*
 * Ascending over all frames; *from as with HAVE. *value: n of SFT_VALUE_LEN
 * bytes, in the body.
 */
int sft_basis_parse(const uint8_t *body, size_t len, uint32_t chunks,
    uint32_t *from, uint32_t *first, uint32_t *n, const uint8_t **value);

/* --- data streams ------------------------------------------------------- */

/* Not 0x16, with which a ClientHello begins. */
bool sft_route_ok(const uint8_t route[SFT_ROUTE_LEN]);

#define SFT_JOIN_LEN (SFT_HEAD_LEN + SFT_ID_LEN + 1 + SFT_MAC_LEN)

struct sft_join {
	uint8_t id[SFT_ID_LEN];
	uint8_t index; /* of the stream, below SFT_STREAMS_MAX */
	uint8_t mac[SFT_MAC_LEN];
};

/* Fixed length: the whole frame, with its head. -EINVAL for an index. */
int sft_join_format(const struct sft_join *, uint8_t out[SFT_JOIN_LEN]);
int sft_join_parse(const uint8_t in[SFT_JOIN_LEN], struct sft_join *);

/*
 * The MAC of a JOIN, HMAC-SHA256 under the control session's exporter.  0 or
 * -EIO if the library fails.
 */
int sft_join_mac(const uint8_t control[SFT_EXPORTER_LEN],
    const uint8_t stream[SFT_EXPORTER_LEN], const uint8_t id[SFT_ID_LEN],
    uint8_t index, uint8_t mac[SFT_MAC_LEN]);
/*
 * Whether this JOIN is of this stream, transfer and place: 0, or
 * -EKEYREJECTED.  Compared in constant time.
 */
int
sft_join_check(const struct sft_join *, const uint8_t control[SFT_EXPORTER_LEN],
    const uint8_t stream[SFT_EXPORTER_LEN], const uint8_t id[SFT_ID_LEN],
    uint8_t index);

/*
 * A chunk: this head, the bytes, then SFT_VALUE_LEN bytes of its value.  If it
 * is packed the bytes are in blocks, as sftblock.h has them.  Of a chunk that
 * is the same as the basis' there are no bytes.  After the last chunk comes
 * END, which is the first SFT_HEAD_LEN bytes of a head and no more.
 */
#define SFT_CHUNK_HEAD_LEN 12

struct sft_chunk {
	bool same;   /* SFT_SAME */
	bool packed; /* never if same */
	uint32_t index;
	uint32_t len; /* of the chunk, however many bytes follow */
};

/*
 * From the first SFT_HEAD_LEN bytes after JOIN: bytes of the head that they
 * begin, SFT_CHUNK_HEAD_LEN, or SFT_HEAD_LEN for END; or -EBADMSG.
 */
ssize_t sft_data_len(const uint8_t in[SFT_HEAD_LEN]);

void
sft_chunk_format(const struct sft_chunk *, uint8_t out[SFT_CHUNK_HEAD_LEN]);
/* Of a file of that size: the chunk is one of it, and its length is right. */
int sft_chunk_parse(const uint8_t in[SFT_CHUNK_HEAD_LEN], uint64_t size,
    uint8_t chunk_log2, struct sft_chunk *);

/* --- what identifies an offer ------------------------------------------- */

/*
 * SHA-256 of what is offered, by whom, to whom; names of nodes, checked.  The
 * same file offered again has the same: epoch, streams, dry and packed are no
 * part.
 */
void sft_offer_digest(const struct sft_offer *, const char *sender,
    const char *receiver, uint8_t out[32]);

#endif
