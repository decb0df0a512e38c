/* SPDX-License-Identifier: ISC */
/*
 * sftblock.c - a chunk's bytes, compressed: blocks one after the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "common/buf.h"
#include "common/sftblock.h"

#define STORED (UINT32_C(1) << 31)
/* The fastest that still finds words. */
#define LEVEL 1
#define WINDOW_LOG 17
#define MAGIC_LEN 4

_Static_assert(SFTBLOCK_SIZE == 1 << WINDOW_LOG, "a block is one window");

struct sftblock_packer {
	ZSTD_CCtx *ctx;
};

struct sftblock_unpacker {
	ZSTD_DCtx *ctx;
};

void
sftblock_head_format(const struct sftblock_head *h,
    uint8_t out[SFTBLOCK_HEAD_LEN])
{
	struct wbuf w;

	wbuf_init(&w, out, SFTBLOCK_HEAD_LEN);
	wbuf_u32(&w, (h->stored ? STORED : 0) | h->len);
}

int
sftblock_head_parse(const uint8_t in[SFTBLOCK_HEAD_LEN], size_t n,
    struct sftblock_head *h)
{
	struct rbuf r;
	uint32_t v;

	rbuf_init(&r, in, SFTBLOCK_HEAD_LEN);
	v = rbuf_u32(&r);
	h->stored = (v & STORED) != 0;
	h->len = v & ~STORED;
	if (h->stored ? h->len != n : h->len == 0 || h->len >= n)
		return -EBADMSG;
	return 0;
}

struct sftblock_packer *
sftblock_packer_new(void)
{
	static const struct {
		ZSTD_cParameter name;
		int value;
	} set[] = {
		{ ZSTD_c_compressionLevel, LEVEL },
		{ ZSTD_c_windowLog, WINDOW_LOG },
		/* TLS and the chunk's value are check enough. */
		{ ZSTD_c_checksumFlag, 0 },
	};
	struct sftblock_packer *p = calloc(1, sizeof(*p));
	size_t i;

	if (p == NULL || (p->ctx = ZSTD_createCCtx()) == NULL) {
		free(p);
		return NULL;
	}
	for (i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		if (ZSTD_isError(ZSTD_CCtx_setParameter(p->ctx, set[i].name,
			set[i].value))) {
			sftblock_packer_free(p);
			return NULL;
		}
	return p;
}

void
sftblock_packer_free(struct sftblock_packer *p)
{
	if (p != NULL)
		(void)ZSTD_freeCCtx(p->ctx);
	free(p);
}

size_t
sftblock_pack(struct sftblock_packer *p, const void *in, size_t n, void *out,
    size_t most)
{
	size_t len = ZSTD_compress2(p->ctx, out, most, in, n);

	return ZSTD_isError(len) ? 0 : len;
}

struct sftblock_unpacker *
sftblock_unpacker_new(void)
{
	struct sftblock_unpacker *u = calloc(1, sizeof(*u));

	if (u != NULL && (u->ctx = ZSTD_createDCtx()) == NULL) {
		free(u);
		u = NULL;
	}
	return u;
}

void
sftblock_unpacker_free(struct sftblock_unpacker *u)
{
	if (u != NULL)
		(void)ZSTD_freeDCtx(u->ctx);
	free(u);
}

/*
 * Only a frame of today's format, and no other behind it: libraries may have
 * been built with the formats of before 1.0, whose code nobody looks at any
 * more, and would take them, or frames that are skipped.
 */
static bool
is_one_frame(const uint8_t *in, size_t len)
{
	static const uint8_t magic[MAGIC_LEN] = { 0x28, 0xb5, 0x2f, 0xfd };

	return len > sizeof(magic) && memcmp(in, magic, sizeof(magic)) == 0 &&
	    ZSTD_findFrameCompressedSize(in, len) == len;
}

int
sftblock_unpack(struct sftblock_unpacker *u, const void *in, size_t len,
    void *out, size_t n)
{
	if (!is_one_frame(in, len) ||
	    ZSTD_decompressDCtx(u->ctx, out, n, in, len) != n)
		return -EBADMSG;
	return 0;
}
