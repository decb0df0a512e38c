/* SPDX-License-Identifier: ISC */
/*
 * nodename.h - what a node may be called.
 */
#ifndef CLAW_COMMON_NODENAME_H
#define CLAW_COMMON_NODENAME_H

#include <stdbool.h>
#include <stddef.h>

#define NODENAME_MAX 63

/* [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?, len bytes of it. */
bool nodename_ok(const char *name, size_t len);

#endif
