/* SPDX-License-Identifier: ISC */
/*
 * receive.h - the receiving end: the partial file, what of it is there.
 */
#ifndef CLAW_XFERD_RECEIVE_H
#define CLAW_XFERD_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/sftframe.h"
#include "common/sftjournal.h"

struct stream;

/*
 * The partial file and its journal, which it takes over. What the journal
 * claims is read and hashed; then receive_turn() goes on. NULL, or why these
 * are not of this offer; *code says it, too.
 */
const char *receive_begin(int partial, int journal, uint64_t epoch,
    unsigned int threads, enum sft_code *code);

/* What is there, for HAVE; a bit a chunk. Before there are streams. */
const uint8_t *receive_bits(void);

/* A thread with its stream, joined. */
void receive_run(struct stream *s);

/* In the loop's turn: what is to be said to the peer. */
void receive_turn(void);

/* Whether something was there when this attempt began. */
bool receive_resumed(void);

/*
 * All chunks are durable, the peer has been told, and they fold to this. False:
 * not yet. The first
 * word of it ends the thread that makes durable.
 */
bool receive_root(uint8_t root[SFT_VALUE_LEN]);

/* Bytes, those of them that were here before, and chunks asked for again. */
void receive_state(uint64_t *durable, uint64_t *same, uint64_t *again);
/* Whether the peer has to send something. */
bool receive_waits(void);
/* What was received is durable, or cannot be. */
bool receive_settled(void);

/* With the lock: every chunk is durable. */
bool receive_is_whole(void);

/* From commit.c, with the lock: these chunks are durable. */
void receive_durable(const struct sftjournal_claim *claim, size_t n);
/* From commit.c, with the lock: there is room for so many more. */
bool receive_has_room(size_t n);

#endif
