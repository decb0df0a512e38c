/* SPDX-License-Identifier: ISC */
/*
 * audit_log.h - finding and opening shards for the audit verbs.
 */
#ifndef CLAW_AUDIT_LOG_H
#define CLAW_AUDIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "auditd/line.h"
#include "common/note.h"
#include "common/shardname.h"

#define AUDIT_SHARDS_MAX 4096

struct shard_ref {
	char name[SHARDNAME_SIZE]; /* "" where the directory bears another */
	uint64_t order;
};

/* A directory with one shard or several, oldest first. */
struct audit_dir {
	int fd;
	bool single; /* fd is the shard itself */
	size_t n;
	struct shard_ref *shard;
};

/* 0, -ENOENT: no log in there, or -errno. */
int audit_dir_open(struct audit_dir *, const char *path);
void audit_dir_close(struct audit_dir *);
/* Descriptor of a shard's directory, or -errno. */
int audit_dir_shard(const struct audit_dir *, size_t i);

/*
 * Whole file, at most max bytes, with a NUL, for the caller to free.  -ENOENT,
 * -EFBIG, -ELOOP (not a plain file), -errno.
 */
int audit_file_read(int dirfd, const char *name, size_t max, char **, size_t *);
/* A regular file for reading: descriptor or -errno. */
int audit_file_open(int dirfd, const char *name);

/* What line 0 of a shard says of it. */
struct shard_head {
	char node[NOTE_NAME_MAX + 1]; /* from the vkey's name */
	char shard[SHARDNAME_SIZE];
	char vkey_text[NOTE_VKEY_MAX];
	struct note_vkey vkey;
	uint8_t endorsement[NOTE_SIG_LEN];
	char *prev; /* text of the previous shard's last checkpoint, or "" */
	size_t prev_len;
};
/* 0 or -EBADMSG with *why; to be freed either way. */
int shard_head_read(const char *line, size_t len, struct shard_head *,
    const char **why);
/* The same from the shard's log. */
int shard_head_load(int log, struct shard_head *, const char **why);
void shard_head_free(struct shard_head *);

#endif /* CLAW_AUDIT_LOG_H */
