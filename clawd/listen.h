/* SPDX-License-Identifier: ISC */
/*
 * listen.h - the sockets that clawd keeps while processes come and go.
 */
#ifndef CLAW_CLAWD_LISTEN_H
#define CLAW_CLAWD_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "clawd/spawn.h"
#include "common/conf.h"

/* Binds all of them. False after saying why in the log. */
bool listen_open(const struct conf *conf, struct spawn_listen *out);

/*
 * The lock that keeps a second clawd off the same node, taken before
 * anything is touched. False after saying who holds it.
 */
bool listen_lock(const struct conf *conf);

/*
 * run_dir/cookie, mode 0600: what clients show where all processes are of
 * one user. No process of the suite can open it.
 */
bool listen_cookie(const struct conf *conf, uint8_t cookie[32]);

/* Removes the sockets' and the cookie's names. */
void listen_close(const struct conf *conf);

#endif
