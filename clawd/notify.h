/* SPDX-License-Identifier: ISC */
/*
 * notify.h - sd_notify(3) without libsystemd.
 *
 * A datagram of KEY=value lines to $NOTIFY_SOCKET; nothing where it is unset.
 */
#ifndef CLAW_CLAWD_NOTIFY_H
#define CLAW_CLAWD_NOTIFY_H

#include <stdint.h>

/* Takes NOTIFY_SOCKET and WATCHDOG_USEC out of the environment. */
void notify_init(void);

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Milliseconds between two notify_watchdog(); 0 where nobody waits. */
uint32_t notify_watchdog_ms(void);

#endif
