/* SPDX-License-Identifier: ISC */
/*
 * tune.h - what a transfer makes of its link: how many streams, and by which
 * congestion control.
 *
 * What is known of the link is how long a connection took to be there, which
 * is one round trip.
 */
#ifndef CLAW_SFTD_TUNE_H
#define CLAW_SFTD_TUNE_H

#include <stdint.h>

#define TUNE_NAME_SIZE 16 /* of a congestion control */

/* Before the sandbox: how many processors there are. */
void tune_prepare(void);

/* How many streams there should be, where nobody has said. */
uint8_t tune_streams(uint32_t round_trip_us);

/*
 * This one socket's congestion control, where the link is long; the system's
 * stays what it is. The name of what is in force, "" if it cannot be told.
 */
void tune_socket(int fd, uint32_t round_trip_us, char name[TUNE_NAME_SIZE]);

#endif
