/* SPDX-License-Identifier: ISC */
/*
 * reached.h - where others will reach a node that is being made.
 */
#ifndef CLAW_CLAWD_REACHED_H
#define CLAW_CLAWD_REACHED_H

#include <stdbool.h>

#include "clawd/init.h"
#include "common/netaddr.h"
#include "common/ticket.h"

/*
 * What the registry is to say: the --address there are, none for "none"; or
 * node.listen. Where that is a wildcard, this machine's own address on the way
 * to the inviter, which a ticket (else NULL) names; nothing if there is none.
 * False after saying what is wrong.
 */
bool reached_at(const struct init_opts *opts, const char *listen,
    const struct ticket *ticket, struct netaddr_list *out);

#endif
