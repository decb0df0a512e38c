/* SPDX-License-Identifier: ISC */
/*
 * stream.h - the data streams of a transfer.
 *
 * A stream is greeted like the control session, by the same peer, all of them
 * at the same time. Then it is a thread's, which begins with JOIN.
 */
#ifndef CLAW_XFERD_STREAM_H
#define CLAW_XFERD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/atls.h"
#include "common/sftframe.h"

struct stream;

/*
 * The sending end, which has offered so many: they are dialled while the other
 * end thinks about it, and say nothing until it has accepted.
 */
void streams_ahead(unsigned int count);
/* Both ends have agreed on so many. */
void streams_begin(const struct sft_accept *accept);
/* XFER_STREAM. False: there is no such stream, or it is there already. */
bool streams_take(uint8_t index, int fd);
/* Our registry has moved. */
void
streams_head(uint64_t seq, const uint8_t head[32], const uint8_t turns[32]);
/* Connections are cut, so that no thread waits for one. */
void streams_interrupt(void);
/* In the loop's turn: threads that have left. */
void streams_turn(void);
/* LOST. NULL, or what is wrong with it. */
const char *streams_lost(uint8_t index, uint32_t chunks);
/* XFER_NO_STREAM. */
void streams_none(uint8_t index, const char *why);
/* How many threads are at work. */
unsigned int streams_running(void);

/*
 * Of a stream of the sending end: its number among all that there were, below
 * 16, and, with the lock, that its thread is to end.
 */
uint8_t stream_birth(const struct stream *s);
bool stream_leaves(const struct stream *s);
/* With the lock: a chunk begins, or has come whole; its number, from 0. */
uint32_t stream_chunk(struct stream *s);

/*
 * From the stream's thread. False: it has failed, and the thread is to end.
 * stream_get() gives exactly n bytes.
 */
bool stream_send(struct stream *s, const void *buf, size_t n);
bool stream_get(struct stream *s, void *buf, size_t n);
void stream_bye(struct stream *s);

#endif
