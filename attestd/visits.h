/* SPDX-License-Identifier: ISC */
/*
 * visits.h - how often a peer that would be let in may come.
 *
 * Each time that a peer is let in is a record, and a peer decides how often it
 * comes. Each has VISITS_BURST at its disposal and gets one more a second:
 * more than any honest node needs, and less than fills a disk before somebody
 * sees it. Who comes oftener is refused, and refusals are summed up
 * (refusals.c).
 */
#ifndef CLAW_ATTESTD_VISITS_H
#define CLAW_ATTESTD_VISITS_H

#include <stdbool.h>
#include <stdint.h>

#define VISITS_BURST 4096
#define VISITS_PEERS 512 /* remembered; the least busy is forgotten */

/* Whether this peer may come now; that is one visit then. now_s: a clock that
 * does not go back. */
bool visits_allow(const char *peer, uint64_t now_s);

#endif
