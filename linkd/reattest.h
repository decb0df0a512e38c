/* SPDX-License-Identifier: ISC */
/*
 * reattest.h - both ends of a link prove themselves again, inside TLS.
 */
#ifndef CLAW_LINKD_REATTEST_H
#define CLAW_LINKD_REATTEST_H

#include <stdint.h>

#include "linkd/frame.h"

/* The link is up; its verdict holds until then (seconds since 1970). */
void reattest_begin(uint64_t until);
/* The registry has moved, or attestd is another one: soon, not at once. */
void reattest_soon(void);

void reattest_on_challenge(const struct frame *f);
void reattest_on_evidence(const struct frame *f);

#endif
