/* SPDX-License-Identifier: ISC */
/*
 * scratch.h - a folder on a memory file system for a fuzzed process that has
 * files; it is gone when the fuzzer ends, unless it fell over.
 */
#ifndef TESTS_FUZZ_SCRATCH_H
#define TESTS_FUZZ_SCRATCH_H

#include <sys/stat.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char top[64]; /* its path */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	return f->level == 0 ? 0 : remove(path);
}

/* Removes all that is in it. */
static void
scratch_clean(void)
{
	(void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
scratch_leave(void)
{
	scratch_clean();
	rmdir(top);
}

static void
scratch_make(const char *process)
{
	static const char *const where[] = { "/dev/shm", "/tmp" };
	size_t i;

	for (i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		snprintf(top, sizeof(top), "%s/fuzz-%s-%d", where[i], process,
		    (int)getpid());
		if (mkdir(top, 0700) == 0) {
			atexit(scratch_leave);
			return;
		}
	}
	abort();
}

#endif
