/* SPDX-License-Identifier: ISC */
/*
 * shardname.h - names of the audit log's shards: "2026-11", "2026-11.2".
 *
 * A shard is a month; a month whose log was rolled back goes on as .1, .2 …
 */
#ifndef CLAW_COMMON_SHARDNAME_H
#define CLAW_COMMON_SHARDNAME_H

#include <stdbool.h>
#include <stdint.h>

#define SHARDNAME_SIZE 16     /* with its NUL */
#define SHARDNAME_PARTS 10000 /* orders from one month to the next */

/*
 * A number that grows with time: year, month, part. False for anything that
 * is not a canonical shard name (years 1970 to 9999, parts 1 to 9999).
 */
bool shardname_parse(const char *name, uint64_t *order);

/* The same order for the month that this moment (UTC, seconds) lies in. */
uint64_t shardname_order_at(int64_t time_s);

/* The name of an order. */
void shardname_format(uint64_t order, char out[SHARDNAME_SIZE]);

#endif
