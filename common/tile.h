/* SPDX-License-Identifier: ISC */
/*
 * tile.h - the directory layout of c2sp.org/tlog-tiles: names of tiles, what
 * is in them, and writing them below a directory descriptor.
 *
 * A tile is a pure function of the log.  struct tile_grow is fed the lines and
 * hands every tile that gets complete to a callback: auditd's callback writes
 * it, the verifier's compares it.
 */
#ifndef COMMON_TILE_H
#define COMMON_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/merkle.h"

#define TILE_WIDTH 256u
#define TILE_LEVELS 8	  /* levels 0..7: 2^64 leaves */
#define TILE_ENTRIES (-1) /* "level" of an entry bundle */
#define TILE_PATH_MAX 64u
#define TILE_ENTRY_MAX 65535u /* bytes of a line in a bundle */

struct tile {
	int level;	/* 0..TILE_LEVELS-1, or TILE_ENTRIES */
	uint64_t index; /* N */
	unsigned width; /* 1..256; 256 is a full tile */
};

/* tile/<L>/<N>[.p/<W>], tile/entries/<N>[.p/<W>]: length or -EINVAL/-ENOSPC. */
ssize_t tile_path(const struct tile *, char *buf, size_t size);
/* Strict inverse (exactly what tile_path() writes): 0 or -EINVAL. */
int tile_path_parse(const char *, size_t len, struct tile *);
/* Does a tree of this size have exactly this tile? */
int tile_expected(const struct tile *, uint64_t size);
/* The partial tile of a level at a size: 1, or 0 if there is none. */
int tile_partial(int level, uint64_t size, struct tile *);

/* data is valid during the call; a non-zero return stops the growth. */
typedef int
tile_emit_fn(void *arg, const struct tile *, const uint8_t *data, size_t len);

struct tile_grow {
	uint64_t size;
	merkle_hash part[TILE_LEVELS][TILE_WIDTH];
	uint8_t *bundle; /* lines of the entry bundle that is not full yet */
	size_t bundle_len;
	size_t bundle_cap;
};

void tile_grow_init(struct tile_grow *);
void tile_grow_free(struct tile_grow *);
/* Make `to` (initialised) the same as `from`: 0 or -ENOMEM. */
int tile_grow_copy(struct tile_grow *to, const struct tile_grow *from);
/*
 * Add a line and its leaf hash.  Full tiles are emitted (emit may be NULL).
 * 0, -EMSGSIZE, -ENOMEM or what emit returned.
 */
int tile_grow_add(struct tile_grow *, const void *line, size_t len,
    const merkle_hash leaf, tile_emit_fn *emit, void *arg);
/* Emit the partial tiles of the present size. */
int tile_grow_partials(const struct tile_grow *, tile_emit_fn *, void *arg);

/*
 * Next entry of a bundle at *off: 1 with its place, 0 at the end, -EBADMSG.
 */
int tile_entry_next(const uint8_t *bundle, size_t len, size_t *off,
    const uint8_t **entry, size_t *entry_len);

/*
 * Write a tile below dirfd: directories as needed, temporary name, rename.
 * Not synced, because it can be made again.  0 or -errno.
 */
int tile_write(int dirfd, const struct tile *, const uint8_t *, size_t);
/* Remove a tile and the .p directory that it leaves empty; absence is fine. */
int tile_remove(int dirfd, const struct tile *);
/* Does the file hold exactly these bytes?  1, 0 (differs or absent), -errno. */
int tile_matches(int dirfd, const struct tile *, const uint8_t *, size_t);
/* Remove what a tree grown from a to b no longer has (partials of a). */
int tile_remove_superseded(int dirfd, uint64_t a, uint64_t b);

/*
 * Call fn for every file below dirfd/tile with its path from dirfd.  Depth and
 * path are bounded; what is not a regular file is reported with S_IFMT bits
 * other than S_IFREG.  fn's non-zero return ends the walk and is returned.
 */
typedef int tile_walk_fn(void *arg, const char *path, unsigned mode);
int tile_walk(int dirfd, tile_walk_fn *, void *arg);

/* Whether a path is that of a tile's temporary file, left by a crash. */
bool tile_is_temp(const char *path);

#endif /* COMMON_TILE_H */
