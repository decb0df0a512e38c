/* SPDX-License-Identifier: ISC */
/*
 * journal.h - records of the open shard: who is answered when one is durable,
 * and checkpoints.
 *
 * What may be recorded, and by whom, is decided in auditd.c before it comes
 * here; which shard is the open one, in rollover.c.
 */
#ifndef CLAW_AUDITD_JOURNAL_H
#define CLAW_AUDITD_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auditd/line.h"
#include "common/chan.h"
#include "common/shardname.h"

struct shard;

struct journal_conf {
	char node[64];
	uint8_t genesis[32];
	uint32_t checkpoint_ms;
	uint8_t warn_percent, refuse_percent;
	uint64_t reserve_bytes;
};

/* Before the sandbox: what later could not be opened or loaded. */
void journal_prepare(void);

/* Takes a (new) configuration; before rollover_start() too. */
void journal_configure(const struct journal_conf *conf);

/* How much a record may claim of the disk. */
enum journal_class {
	JOURNAL_NEW,	/* new work: refused when the disk is nearly full */
	JOURNAL_INTENT, /* new work that will bring an outcome */
	JOURNAL_RUNNING /* of what runs already: the reserve is for it */
};

/*
 * Appends a record with these attributes (sorted by name). When it is
 * durable, request id of c is answered; c NULL: nobody waits. *number is the
 * number it gets in the open shard. 0, or -ENOSPC, -EMSGSIZE, -EINVAL,
 * -EAGAIN (between two shards; the caller keeps it and comes again when
 * journal_open() is true).
 */
int journal_append(const struct line_attr *attrs, size_t count,
    enum journal_class class, struct chan *c, uint32_t id, uint64_t *number);

/* Whether records can be taken at this moment. */
bool journal_open(void);

/*
 * Called after each commit, before anybody is answered: lines from this
 * number on, though they were given one, have not become part of the log.
 */
void journal_on_committed(void (*fn)(uint64_t size));

/* Intents of the open shard whose outcome is missing. */
void journal_intents(unsigned int count);

/*
 * The log of the open shard, opened for reading, and what auditd knows of it:
 * its name, how many records are durable and what they hash to. -1 between
 * two shards.
 */
int journal_head(char name[SHARDNAME_SIZE], uint64_t *size, uint8_t root[32]);

/* Nobody of this channel is to be answered any more. */
void journal_forget(const struct chan *c);

/* Tells attestd (NULL: nobody) the newest checkpoint published. */
void journal_tell(struct chan *attestd);

/* Makes all durable, signs a last checkpoint, then calls done. */
void journal_drain(void (*done)(void));

/*
 * For rollover.c, in this order. Asked from time to time while a shard is
 * open, over says whether it is to take no more; closed is called when then
 * all of it is signed and published.
 */
void journal_start(bool (*over)(void), void (*closed)(void));

/* This shard, with this log key, is to be written and signed. */
void journal_take(struct shard *s, const uint8_t public[32]);

/* That key as a verifier key (C2SP signed-note): its length. */
size_t journal_vkey(char *out, size_t size);

/*
 * Publishes a checkpoint of it that keyd has signed before, then calls then;
 * a full disk puts off the publishing, not the call.
 */
void
journal_sign_again(uint64_t size, const uint8_t root[32], void (*then)(void));

/* Records can be taken. The first, if count is not 0, is this one: durable
 * when it returns. */
void journal_serve(const struct line_attr *first, size_t count);

/* The shard is about to be closed, or another one taken. */
void journal_leave(void);

/* What is there already has been written up to this time (ms since 1970). */
void journal_seen(int64_t newest_ms);

/* A line written now: boot id and both clocks. */
void journal_stamp(struct line_env *env);

#endif
