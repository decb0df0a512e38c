/* SPDX-License-Identifier: ISC */
/*
 * send.h - the sending end: the source, what of it is sent, what is durable
 * over there.
 */
#ifndef CLAW_XFERD_SEND_H
#define CLAW_XFERD_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/sftframe.h"

struct stream;

/*
 * The offer and its source, of which it takes fd over. NULL, or why that
 * cannot be offered; then *code says it, too.
 */
const char *send_offer(int fd, uint64_t rate, enum sft_code *code);

/*
 * Before there are streams: a BASIS, false if it is none; chunks that the
 * receiver has.
 */
bool send_basis(const uint8_t *body, size_t len);
void send_have(struct sft_ranges *ranges);
uint64_t send_had(void); /* bytes of those */
/* Nothing more is there; hashing of what is begins. False: no threads. */
bool send_begin(void);

/* Durable over there. False: these were not sent. */
bool send_acked(struct sft_ranges *indices);
/* To be sent again. NULL, or why that cannot be. */
const char *send_again(uint32_t index, enum sft_again_why why);

/* A stream is lost: what it has sent after so many chunks is sent again. */
void send_lost(uint8_t birth, uint32_t came);

/* A thread with its stream, joined. */
void send_run(struct stream *s);

/* In the loop's turn: is it all sent? Then the source is looked at again. */
void send_turn(void);

/*
 * Bytes durable over there, those of them that were not sent, and chunks that
 * were sent again.
 */
void send_state(uint64_t *durable, uint64_t *same, uint64_t *resent);
/* All is durable over there. */
bool send_is_finished(void);
/* Whether we wait for the receiver's word. */
bool send_waits(void);

#endif
