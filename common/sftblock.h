/* SPDX-License-Identifier: ISC */
/*
 * sftblock.h - a chunk's bytes, compressed: blocks one after the other.
 *
 * Each block stands for SFTBLOCK_SIZE bytes of the chunk, the last one for
 * what is left, so both ends know its length before it comes: a head, and then
 * the bytes as they are or one frame of zstd, which is shorter (RFC 8878).
 * Blocks depend on nothing before them.  claw-protocol(7) has the layout.
 *
 * What is handed to zstd is a peer's; what comes out goes into a buffer of
 * exactly the length that it must have, and nothing is allocated by what the
 * bytes say.
 */
#ifndef CLAW_COMMON_SFTBLOCK_H
#define CLAW_COMMON_SFTBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SFTBLOCK_SIZE (128 * 1024)
#define SFTBLOCK_HEAD_LEN 4

struct sftblock_head {
	bool stored;  /* as it is */
	uint32_t len; /* bytes that follow */
};

/* Of a block that stands for n bytes, 1 to SFTBLOCK_SIZE. */
void sftblock_head_format(const struct sftblock_head *,
    uint8_t out[SFTBLOCK_HEAD_LEN]);
/* 0; -EBADMSG: stored with another length, or packed and not shorter. */
int sftblock_head_parse(const uint8_t in[SFTBLOCK_HEAD_LEN], size_t n,
    struct sftblock_head *);

/* Room to compress in, for one thread. NULL: no memory. */
struct sftblock_packer *sftblock_packer_new(void);
void sftblock_packer_free(struct sftblock_packer *); /* NULL is fine */
/* The bytes' length, at most `most`; 0: it does not get that short. */
size_t sftblock_pack(struct sftblock_packer *, const void *in, size_t n,
    void *out, size_t most);

/* The same to decompress in. */
struct sftblock_unpacker *sftblock_unpacker_new(void);
void sftblock_unpacker_free(struct sftblock_unpacker *);
/* One frame to exactly n bytes. 0, or -EBADMSG. */
int sftblock_unpack(struct sftblock_unpacker *, const void *in, size_t len,
    void *out, size_t n);

#endif
