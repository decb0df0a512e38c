/* SPDX-License-Identifier: ISC */
/*
 * shardname.c - names of the audit log's shards.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/shardname.h"

static uint64_t
order_of(unsigned int year, unsigned int month, unsigned int part)
{
	return ((uint64_t)year * 12 + month - 1) * SHARDNAME_PARTS + part;
}

void
shardname_format(uint64_t order, char out[SHARDNAME_SIZE])
{
	unsigned int part = (unsigned int)(order % SHARDNAME_PARTS);
	unsigned int month = (unsigned int)(order / SHARDNAME_PARTS % 12 + 1);
	unsigned int year =
	    (unsigned int)(order / SHARDNAME_PARTS / 12 % 10000);

	if (part == 0)
		snprintf(out, SHARDNAME_SIZE, "%04u-%02u", year, month);
	else
		snprintf(out, SHARDNAME_SIZE, "%04u-%02u.%u", year, month,
		    part);
}

bool
shardname_parse(const char *name, uint64_t *order)
{
	unsigned int year, month, part = 0;
	char again[SHARDNAME_SIZE];

	if (strlen(name) >= SHARDNAME_SIZE ||
	    sscanf(name, "%4u-%2u.%4u", &year, &month, &part) < 2 ||
	    year < 1970 || month < 1 || month > 12)
		return false;
	*order = order_of(year, month, part);
	/* One way to write each: whatever differs from it is no name. */
	shardname_format(*order, again);
	return strcmp(name, again) == 0;
}

uint64_t
shardname_order_at(int64_t time_s)
{
	time_t t = (time_t)time_s;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < 70)
		return 0;
	return order_of((unsigned int)tm.tm_year + 1900,
	    (unsigned int)tm.tm_mon + 1, 0);
}
