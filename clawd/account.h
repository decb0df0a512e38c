/* SPDX-License-Identifier: ISC */
/*
 * account.h - the users and the group that the processes run as.
 *
 * Under root each process has an account of its own (policy/processes.def);
 * otherwise all run as who started clawd.
 */
#ifndef CLAW_CLAWD_ACCOUNT_H
#define CLAW_CLAWD_ACCOUNT_H

#include <sys/types.h>

#include <stdbool.h>

#include "common/proc.h"

#define ACCOUNT_NO_GROUP ((gid_t)-1)

/*
 * Looks all accounts up, once. group: the operators' group; it may be
 * missing (then only root and the owner operate). False after saying in the
 * log which account is missing and what makes it.
 */
bool account_load(const char *group);

uid_t account_uid(enum proc p);
gid_t account_gid(enum proc p);
gid_t account_operators(void); /* or ACCOUNT_NO_GROUP */

#endif
