/* SPDX-License-Identifier: ISC */
/*
 * invite.c - invites, and who joins by them.
 */
#include "attestd/attestd.h"
#include "common/child.h"
#include "common/log.h"
