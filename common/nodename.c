/* SPDX-License-Identifier: ISC */
/*
 * nodename.c - what a node may be called: a label of a host's name, in lower
 * case, so that it goes into URLs, files and certificates as it is.
 */
#include "common/nodename.h"

static bool
alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
nodename_ok(const char *name, size_t len)
{
	size_t i;

	if (len == 0 || len > NODENAME_MAX || !alnum(name[0]) ||
	    !alnum(name[len - 1]))
		return false;
	for (i = 0; i < len; i++)
		if (!alnum(name[i]) && name[i] != '-')
			return false;
	return true;
}
