/* SPDX-License-Identifier: ISC */
/*
 * shard.h - one month of the audit log on disk: append, commit, recover,
 * publish.
 *
 * log.ndjson is the truth; tile/ and checkpoint are published from it.  No
 * key and no signature is made or judged here.  One process writes a shard.
 */
#ifndef AUDITD_SHARD_H
#define AUDITD_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "auditd/line.h"
#include "common/merkle.h"
#include "common/shardname.h"

#define SHARD_LOG "log.ndjson"
#define SHARD_CHECKPOINT "checkpoint"
#define SHARD_CHECKPOINT_TEMP ".checkpoint.new"
#define SHARD_NAME_MAX SHARDNAME_SIZE
#define SHARD_BUFFER_MAX (1u << 22) /* bytes that wait for a commit */

struct shard;

enum shard_damage {
	SHARD_SOUND = 0,
	SHARD_BAD_LINE,	     /* a line in the middle is not a line */
	SHARD_BAD_CHAIN,     /* n, prev or a leaf before the end does not fit */
	SHARD_SHORT,	     /* fewer lines than the last checkpoint states */
	SHARD_BAD_ROOT,	     /* the lines do not hash to the last checkpoint */
	SHARD_BAD_CHECKPOINT /* the checkpoint file is no checkpoint of it */
};

/* An intent that no later line of the shard gives an outcome for. */
struct shard_intent {
	uint64_t n;
	uint64_t offset; /* where its line is; shard_read() */
	uint32_t len;
};

struct shard_report {
	bool created;
	uint64_t lines; /* whole, chained lines */
	uint64_t bytes;
	int64_t newest_ms;   /* latest time of any line since clock.reset */
	uint64_t checkpoint; /* size of the published checkpoint, 0: none */
	uint8_t checkpoint_root[32]; /* as found on disk at the start */
	uint64_t torn_bytes;	     /* cut from the end; 0: nothing */
	uint8_t torn_sha256[32];
	enum shard_damage damage;
	uint64_t damage_line;	   /* index of the line (0-based) */
	uint64_t damage_offset;	   /* byte in log.ndjson */
	uint64_t tiles_rebuilt;	   /* files that were missing or wrong */
	struct shard_intent *open; /* shard_report_free() */
	size_t nopen;
	bool open_overflow; /* more than could be listed (65536) */
};

struct shard_opts {
	bool create; /* make the directory and an empty log if absent */
	/*
	 * The copy of this shard's last checkpoint that is kept elsewhere, its
	 * signature verified by the caller, or NULL.  Is it the larger one
	 * (a crash came between signing and publishing), it is published.
	 */
	const char *note;
	size_t note_len;
};

/*
 * Open shard `name` below the audit directory and recover it: check every
 * line, cut a torn tail, rebuild what is derived.  With damage it opens too,
 * for reading only, and says so in the report (appending gives -EROFS).
 * 0, -EINVAL: no shard name, -ENOENT, or -errno.
 */
int shard_open(int auditfd, const char *name, const struct shard_opts *,
    struct shard_report *, struct shard **);
void shard_close(struct shard *); /* uncommitted lines are dropped */
void shard_report_free(struct shard_report *);

const char *shard_name(const struct shard *);
uint64_t shard_size(const struct shard *);	      /* committed lines */
uint64_t shard_bytes(const struct shard *);	      /* committed bytes */
uint64_t shard_pending(const struct shard *);	      /* lines in the buffer */
uint64_t shard_checkpoint_size(const struct shard *); /* published */
bool shard_dead(const struct shard *);

/*
 * Write a line into the buffer; env's n and prev are filled in here.  *n (may
 * be NULL) is its index.  0, what line_write() says, -EAGAIN: the buffer is
 * full, commit first; -EROFS, -ESHUTDOWN: dead.
 */
int shard_append(struct shard *, const struct line_attr *, size_t,
    const struct line_sig *, size_t, struct line_env *env, uint64_t *n);

/*
 * Make everything in the buffer durable: write and fdatasync.  On failure none
 * of it happened and the buffer is empty again:
 * -ENOSPC (also for a quota): cut back to the last good end, usable.
 * -EIO: the write failed otherwise or fdatasync failed; the shard is dead.
 */
int shard_commit(struct shard *);

/*
 * Keep bytes allocated beyond the end of the log, for the records of running
 * work when the disk is full.  Cheap when it is there already.  0, -ENOSPC,
 * -EOPNOTSUPP: this file system cannot.
 */
int shard_reserve(struct shard *, uint64_t bytes);
uint64_t shard_reserved(const struct shard *); /* bytes left beyond the end */

/* Root at a size from the published checkpoint's to the committed one. */
int shard_root(const struct shard *, uint64_t size, merkle_hash root);
/*
 * Consistency proof from the published checkpoint to `size`; number of hashes
 * or -EINVAL.
 */
int shard_consistency(const struct shard *, uint64_t size,
    merkle_hash proof[MERKLE_PROOF_MAX]);

/*
 * Publish a signed checkpoint of this shard: tiles first, then the checkpoint
 * file, atomically and durably.  -EINVAL: not a checkpoint of these lines at
 * that size (origin's last element, size, root) or smaller than the published
 * one; -ENOSPC, -errno: the old one is still in place.
 */
int shard_publish(struct shard *, const char *note, size_t len);
/* The published checkpoint with a NUL: length, -ENOENT, -ENOSPC, -errno. */
ssize_t shard_checkpoint_read(const struct shard *, char *buf, size_t size);

/* Committed bytes of the log: len, or -errno. */
ssize_t
shard_read(const struct shard *, uint64_t offset, char *buf, size_t len);

/* Newest shard (common/shardname.h) below the audit directory, or the newest
 * one before an order: 0, -ENOENT or -errno. */
int shard_newest(int auditfd, char name[SHARD_NAME_MAX]);
int shard_before(int auditfd, uint64_t order, char name[SHARD_NAME_MAX]);

/* The published checkpoint of a shard that is not open; as above. */
ssize_t
shard_checkpoint_of(int auditfd, const char *name, char *buf, size_t size);

#endif /* AUDITD_SHARD_H */
