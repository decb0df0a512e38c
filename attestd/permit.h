/* SPDX-License-Identifier: ISC */
/*
 * permit.h - which updates of the registry keyd may sign, and for how long.
 *
 * A permit is for one order that an operator gave or one invite that is open,
 * and is used up by the signature. controld asks for it; attestd, which asks
 * for the signature, cannot make one.
 */
#ifndef CLAW_ATTESTD_PERMIT_H
#define CLAW_ATTESTD_PERMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/regupdate.h"

#define PERMIT_MAX 32
#define PERMIT_SECONDS_MAX 86400 /* of an invite */
#define PERMIT_ORDER_S 60	 /* of an order, at most */
#define PERMIT_FRESH_S 600	 /* between two words that all is as it was */

/*
 * The permit's number, or 0 with the reason in *why. now_s: a clock that does
 * not go back.
 */
uint32_t
permit_add(const struct msg_PERMIT *m, uint64_t now_s, const char **why);

/* Takes one back; and all but those of invites, when controld has gone. */
void permit_end(uint32_t permit);
void permit_end_orders(void);

/*
 * Whether there is any that is not used up; whether one is an invite's, used
 * or not. Ends what has expired.
 */
bool permit_any(uint64_t now_s);
bool permit_invites(uint64_t now_s);

/* Whether an invite for that name has its permit, used or not. */
bool permit_invited(const char *name, uint64_t now_s);

/* Whether a permit covers this update; it is used up then. */
bool permit_use(const struct registry_update *u, uint64_t now_s);

/*
 * "fresh" needs no permit, and is said from time to time only: whether it may
 * be now, and that it was. One that could not be signed was not said.
 */
bool permit_fresh(uint64_t now_s);
void permit_fresh_said(uint64_t now_s);

#endif
