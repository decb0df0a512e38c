/* SPDX-License-Identifier: ISC */
/*
 * note.h - C2SP signed notes (signed-note v1.0.0), checkpoints
 * (tlog-checkpoint v1.0.0) and Ed25519 cosignatures (tlog-cosignature v1).
 *
 * No function here signs: keyd signs the bytes of a body, note_compose() makes
 * the note of them.  Nothing allocates; a parsed note points into its buffer.
 */
#ifndef COMMON_NOTE_H
#define COMMON_NOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NOTE_MAX 65536u	   /* bytes of a note */
#define NOTE_SIGS_MAX 32u  /* signature lines of a note */
#define NOTE_NAME_MAX 255u /* bytes of a key's name */
#define NOTE_PUB_LEN 32u
#define NOTE_SIG_LEN 64u
/* name + 8 hex digits + base64 of 33 bytes, two plus signs, NUL */
#define NOTE_VKEY_MAX (NOTE_NAME_MAX + 1 + 8 + 1 + 44 + 1)
/* origin, 20 digits, base64 of 32 bytes, three newlines, NUL */
#define NOTE_BODY_MAX (NOTE_NAME_MAX + 1 + 20 + 1 + 44 + 1 + 1)
/* What note_compose() adds: LF, dash, space, name, space, base64(68), LF */
#define NOTE_SIGLINE_MAX (1 + 3 + 1 + NOTE_NAME_MAX + 1 + 92 + 1)
/* A checkpoint with one signature, with its NUL. */
#define NOTE_CHECKPOINT_MAX (NOTE_BODY_MAX + NOTE_SIGLINE_MAX)

#define NOTE_ED25519 0x01     /* signature over the body */
#define NOTE_COSIGNATURE 0x04 /* cosignature/v1: over time and body */

struct note_vkey {
	char name[NOTE_NAME_MAX + 1];
	uint32_t id;
	uint8_t type; /* NOTE_ED25519 or NOTE_COSIGNATURE */
	uint8_t pub[NOTE_PUB_LEN];
};

/* Fill in a key and its id.  -EINVAL: not a key name, unknown type. */
int note_vkey_make(struct note_vkey *, const char *name, uint8_t type,
    const uint8_t pub[NOTE_PUB_LEN]);
/*
 * name+hex(id)+base64(type || key).  -EINVAL: malformed or the id is not this
 * key's; -ENOTSUP: well-formed, of a type that is not ours.
 */
int note_vkey_parse(const char *, size_t len, struct note_vkey *);
/* Length without NUL, or -ENOSPC. */
ssize_t note_vkey_format(const struct note_vkey *, char *buf, size_t size);

struct note_sig {
	const char *name; /* into the note's buffer */
	size_t name_len;
	const char *b64; /* base64 of id || signature, checked */
	size_t b64_len;
	uint32_t id;
};

struct note {
	const char *text; /* the signed bytes, with the last newline */
	size_t text_len;
	size_t nsigs;
	struct note_sig sig[NOTE_SIGS_MAX];
};

/* -EBADMSG: not a note; -EMSGSIZE: beyond our bounds. */
int note_parse(const char *, size_t len, struct note *);

/*
 * Verify with nkeys (at most 64) known keys.  Signatures by other keys are
 * ignored, and so is the second one by a key.  *who (may be NULL) gets bit i
 * for keys[i]; times (may be NULL, nkeys long) the time, in seconds since
 * 1970, that a cosignature of keys[i] states.
 * 0; -EKEYREJECTED: a known key's signature is wrong; -ENOKEY: no known key of
 * type Ed25519 signed it (cosignatures alone do not make a note authentic);
 * -EINVAL: two of the keys share name and id.
 */
int note_verify(const struct note *, const struct note_vkey *keys, size_t nkeys,
    uint64_t *who, uint64_t *times);

/* One detached Ed25519 signature by a raw public key: 0 or -EKEYREJECTED. */
int note_ed25519(const uint8_t pub[NOTE_PUB_LEN], const void *msg, size_t len,
    const uint8_t sig[NOTE_SIG_LEN]);

/* A body (text ending in LF) and its ready signature become a note. */
ssize_t note_compose(const char *body, size_t len, const struct note_vkey *,
    const uint8_t sig[NOTE_SIG_LEN], char *buf, size_t size);

struct note_checkpoint {
	char origin[NOTE_NAME_MAX + 1];
	uint64_t size; /* leaves, at most 2^63-1 */
	uint8_t root[32];
};

/* Body of a checkpoint: length without NUL, -EINVAL, -ENOSPC. */
ssize_t
note_checkpoint_format(const struct note_checkpoint *, char *buf, size_t size);
/* Strict: three lines, no extension lines.  -EBADMSG. */
int note_checkpoint_parse(const char *, size_t len, struct note_checkpoint *);

/*
 * The bytes by which an identity key endorses a shard's log key:
 * "claw/log-key/v1" 0x00 {"node":..,"prev":..,"shard":..,"vkey":..}.
 * prev is base64 of the SHA-256 of the previous shard's last checkpoint, or
 * "".  None of the four may need escaping (-EINVAL).  Length or -ENOSPC.
 */
#define NOTE_ENDORSE_MAX 1024u
ssize_t note_endorse_statement(const char *node, const char *prev,
    const char *shard, const char *vkey, uint8_t *buf, size_t size);

#endif /* COMMON_NOTE_H */
