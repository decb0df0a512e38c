/* SPDX-License-Identifier: ISC */
/*
 * xfer.h - one end of one transfer: what the rooms of xferd share.
 *
 *	xferd.c		sftd's orders, and what the main loop is woken for
 *	control.c	the control session: its connection, frames in turn, the
 *			end
 *	stream.c	the data streams: dialled or come in, greeted, joined,
 *			each then a thread's
 *	send.c		what a stream of the sending end does, and what is sent
 *	pack.c		whether it compresses that
 *	receive.c	what a stream of the receiving end does, and what is
 *			there
 *	basis.c		an earlier file that it has chunks of
 *	commit.c	the receiving end's thread that makes durable
 *
 * The main thread has the event loop, the channels, the control session and
 * every handshake. A thread has its stream's connection and its buffer, and
 * nothing else without the lock; when it has something to say, it leaves it
 * here and wakes the loop. Threads are never waited for at the end: the process
 * ends, and they with it.
 */
#ifndef CLAW_XFERD_XFER_H
#define CLAW_XFERD_XFER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/sftframe.h"

/* Read, hashed and sent, or received, hashed and written, at a time. */
#define XFER_PIECE (128 * 1024)
/* A chunk whose hash was wrong is asked for so often. */
#define XFER_TRIES 3
#define XFER_TEXT (SFT_TEXT_MAX + 1)

struct xfer {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* by CLOCK_MONOTONIC */
	pthread_t main;

	/* Settled before there is a thread. */
	bool sends;
	struct sft_offer offer;
	uint8_t digest[32]; /* of the offer */
	uint32_t chunks;
	int file; /* the source, or the partial file */
	uint8_t id[SFT_ID_LEN];
	uint64_t window; /* bytes sent and not durable over there */
	bool packed;	 /* chunks may go compressed */

	/* Under the lock. */
	bool stop;     /* threads end */
	bool finished; /* nothing is to be sent any more */
	bool failed;   /* by a thread: why */
	bool by_peer;
	enum sft_code code;
	char text[XFER_TEXT];

	/* Counted by threads, read by the main one. */
	_Atomic uint64_t moved; /* bytes of chunks, all that came or went */
	_Atomic uint64_t wire;	/* what these were on the data streams */
	_Atomic uint64_t spent_ns[SFT_LIMIT_RATE + 1]; /* enum sft_limit */
};

extern struct xfer xf;

/* Once. */
void xfer_init(void);

/* From any thread: the loop looks at what is there. */
void xfer_wake(void);

/* From a thread: the transfer fails; the first reason counts. */
__attribute__((format(printf, 3, 4))) void
xfer_fault(enum sft_code code, bool by_peer, const char *fmt, ...);

/*
 * From the main thread: the transfer fails. sftd is told; the peer too, unless
 * it was its word. The process ends when that has left.
 */
__attribute__((format(printf, 3, 4))) void
xfer_fail(enum sft_code code, bool by_peer, const char *fmt, ...);

/* Start a thread of ours; false: there can be none. */
bool xfer_thread(void *(*run)(void *), void *arg);

/* CLOCK_MONOTONIC. */
uint64_t xfer_now_ns(void);
/* Time since then was spent on that; gives the time that it is. */
uint64_t xfer_spent(enum sft_limit on, uint64_t since_ns);
/* With the lock: until something has changed, or that time. */
void xfer_wait(void);
void xfer_wait_until(uint64_t ns);

/* What held the transfer up most, since this was asked last. */
enum sft_limit xfer_limit(void);

#endif
