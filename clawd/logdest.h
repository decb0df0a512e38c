/* SPDX-License-Identifier: ISC */
/*
 * logdest.h - where descriptor 2 of every process leads.
 *
 * stderr as it is, the journal (stderr with priorities), or syslog: then all
 * write into a pipe and clawd passes the lines on.
 */
#ifndef CLAW_CLAWD_LOGDEST_H
#define CLAW_CLAWD_LOGDEST_H

#include <event2/event.h>

#include <stdbool.h>

#include "common/conf.h"

/*
 * Sets clawd's own log up. *fd is what children get as descriptor 2,
 * *priority whether lines begin with "<N>". False after saying why.
 */
bool logdest_open(struct event_base *base, const struct conf *conf, int *fd,
    bool *priority);

/* Passes on what still lies in the pipe. */
void logdest_flush(void);

#endif
