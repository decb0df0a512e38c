/* SPDX-License-Identifier: ISC */
/*
 * journal.h - the open shard: who is answered when a record is durable,
 * checkpoints, and the change of months.
 *
 * Owns the shard, its sealed log key and the conversation with keyd. What
 * may be recorded, and by whom, is decided in auditd.c before it comes here.
 */
#ifndef CLAW_AUDITD_JOURNAL_H
#define CLAW_AUDITD_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auditd/line.h"
#include "common/chan.h"

struct journal_conf {
	char node[64];
	uint8_t genesis[32];
	uint32_t checkpoint_ms;
	uint8_t warn_percent, refuse_percent;
	uint64_t reserve_bytes;
};

/* Before the sandbox: what later could not be opened or loaded. */
void journal_prepare(void);

/* Takes a (new) configuration; before journal_start() too. */
void journal_configure(const struct journal_conf *conf);

/* Opens and recovers the newest shard, or makes one; ready is called when
 * records can be taken. Fatal if the log cannot be written. */
void journal_start(void (*ready)(void));

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

/* Called whenever journal_open() becomes true again. */
void journal_on_open(void (*fn)(void));

/*
 * Called after each commit, before anybody is answered: lines from this
 * number on, though they were given one, have not become part of the log.
 */
void journal_on_committed(void (*fn)(uint64_t size));

/* Intents of the open shard whose outcome is missing. */
void journal_intents(unsigned int count);

/* The name of the open shard. */
void journal_name(char name[16]);

/*
 * The log of the open shard, opened for reading, and what auditd knows of it:
 * how many records are durable and what they hash to. -1 between two shards.
 */
int journal_head(uint64_t *size, uint8_t root[32]);

/* Nobody of this channel is to be answered any more. */
void journal_forget(const struct chan *c);

/* Makes all durable, signs a last checkpoint, then calls done. */
void journal_drain(void (*done)(void));

/* Intents that an earlier run of the shard left open, one call each. */
typedef void journal_left_open(uint64_t number);
void journal_each_left_open(journal_left_open *fn);

#endif
