/* SPDX-License-Identifier: ISC */
/*
 * stream.h - the data streams of a transfer.
 *
 * A stream is greeted like the control session, by the same peer, and one
 * after the other, for keyd and attestd answer one question of a session at a
 * time. Then it is a thread's, which begins with JOIN.
 */
#ifndef CLAW_XFERD_STREAM_H
#define CLAW_XFERD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/atls.h"
#include "common/sftframe.h"

struct stream;

/* Both ends have agreed on so many. The sending end dials the first. */
void streams_begin(const struct sft_accept *accept);
/* XFER_STREAM. False: there is no such stream, or it is there already. */
bool streams_take(uint8_t index, int fd);
/* Our registry has moved. */
void
streams_head(uint64_t seq, const uint8_t head[32], const uint8_t turns[32]);
/* Connections are cut, so that no thread waits for one. */
void streams_interrupt(void);
/* How many threads are at work. */
unsigned int streams_running(void);

/*
 * From the stream's thread. False: it has failed, and the transfer with it,
 * unless that is over. stream_get() gives exactly n bytes.
 */
bool stream_send(struct stream *s, const void *buf, size_t n);
bool stream_get(struct stream *s, void *buf, size_t n);
void stream_bye(struct stream *s);

#endif
