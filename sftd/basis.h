/* SPDX-License-Identifier: ISC */
/*
 * basis.h - an earlier file of a peer's, from which it need not send again
 * what is the same.
 */
#ifndef CLAW_SFTD_BASIS_H
#define CLAW_SFTD_BASIS_H

#include "sftd/transfer.h"

/*
 * Of what this peer has delivered and is still here: the last under the name
 * of t's offer, or else one that has its size and time. Its worker gets it,
 * for reading, with the journal of its chunks; where there is none, nothing.
 * One of more chunks than BASIS tells of would only take memory.
 */
void basis_hand_over(const struct transfer *t);

#endif
