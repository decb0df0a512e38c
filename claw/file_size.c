/* SPDX-License-Identifier: ISC */
/*
 * file_size.c - sizes and rates as people type them.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "claw/file.h"

bool
file_size(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *unit;
		uint64_t factor;
	} units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "K", UINT64_C(1) << 10 },
		{ "M", UINT64_C(1) << 20 },
		{ "G", UINT64_C(1) << 30 },
		{ "T", UINT64_C(1) << 40 },
		{ "KiB", UINT64_C(1) << 10 },
		{ "MiB", UINT64_C(1) << 20 },
		{ "GiB", UINT64_C(1) << 30 },
		{ "TiB", UINT64_C(1) << 40 },
		{ "KB", UINT64_C(1000) },
		{ "MB", UINT64_C(1000000) },
		{ "GB", UINT64_C(1000000000) },
		{ "TB", UINT64_C(1000000000000) },
	};
	unsigned long long n;
	char unit[8], *end;
	size_t i, len;

	if (text[0] < '0' || text[0] > '9')
		return false;
	n = strtoull(text, &end, 10);
	len = strlen(end);
	if (len >= 2 && strcmp(end + len - 2, "/s") == 0)
		len -= 2;
	if (len >= sizeof(unit) || n > UINT64_C(1) << 50)
		return false;
	memcpy(unit, end, len);
	unit[len] = '\0';
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcasecmp(unit, units[i].unit) == 0) {
			if (n > (UINT64_C(1) << 62) / units[i].factor)
				return false;
			*bytes = n * units[i].factor;
			return true;
		}
	return false;
}
