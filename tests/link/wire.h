/* SPDX-License-Identifier: ISC */
/*
 * wire.h - one direction of the link: a rate, a queue, a delay, and accidents.
 *
 * A packet waits for its turn (rate, queue), travels (delay, jitter) and meets
 * its fate on the way. What happens to segment number n of a direction follows
 * from the seed and n alone, so that a run can be had again.
 */
#ifndef TESTS_LINK_WIRE_H
#define TESTS_LINK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Setting, unit, default; a probability is between 0 and 1. */
#define WIRE_SETTINGS(X)                                                       \
	X(rate, RATE, 0)	/* bit/s of IP; 0: as fast as it goes */       \
	X(queue, SIZE, 1 << 20) /* bytes that wait for their turn */           \
	X(delay, TIME, 0)	/* ns, one way */                              \
	X(jitter, TIME, 0)	/* ns, at most; keeps the order */             \
	X(loss, CHANCE, 0)                                                     \
	X(burst, NUMBER, 1) /* segments lost together, on average */           \
	X(duplicate, CHANCE, 0)                                                \
	X(reorder, CHANCE, 0)	     /* held back for hold */                  \
	X(hold, TIME, 5 * 1000000.0) /* ns */                                  \
	X(flip, CHANCE, 0)	     /* a bit; the checksum shows it */        \
	X(corrupt, CHANCE, 0)	     /* a bit; the checksum does not */

struct wire_settings {
#define FIELD(name, unit, value) double name;
	WIRE_SETTINGS(FIELD)
#undef FIELD
};

/* Counted in segments unless the name says otherwise. */
#define WIRE_COUNTS(X)                                                         \
	X(taken)                                                               \
	X(taken_bytes)                                                         \
	X(delivered)                                                           \
	X(delivered_bytes)                                                     \
	X(payload_bytes) /* of TCP, delivered */                               \
	X(lost)                                                                \
	X(duplicated)                                                          \
	X(reordered)                                                           \
	X(flipped)                                                             \
	X(corrupted)                                                           \
	X(queue_dropped)                                                       \
	X(down_dropped)	   /* the link was down */                             \
	X(refused)	   /* by the device */                                 \
	X(swallowed_bytes) /* of payload, behind a cut */                      \
	X(cuts)                                                                \
	X(underway)                                                            \
	X(queue_max_bytes)

struct wire_counts {
#define FIELD(name) uint64_t name;
	WIRE_COUNTS(FIELD)
#undef FIELD
};

enum wire_cut { WIRE_UNCUT, WIRE_SILENCE, WIRE_RESET, WIRE_HALF };

struct wire;

/* From one TUN device's descriptor to another's; starts a thread. */
struct wire *wire_new(int in, int out, uint64_t seed);

void wire_set(struct wire *, const struct wire_settings *);
void wire_get(struct wire *, struct wire_settings *);
struct wire_counts wire_counted(struct wire *);

/* Nothing arrives, and what comes in waits. */
void wire_pause(struct wire *, bool);

/* Both directions of every wire; also ends what a cut has done. */
void wire_down(struct wire *, bool);

/* After so many more bytes of TCP payload in this direction. */
void wire_cut(struct wire *, enum wire_cut, uint64_t bytes);

void wire_stop(struct wire *);

#endif
