/* SPDX-License-Identifier: ISC */
/*
 * silent.h - common/log.h for a fuzzed process: nothing is said, and what
 * would end the process goes to die(), which the file that includes this has.
 */
#ifndef TESTS_FUZZ_SILENT_H
#define TESTS_FUZZ_SILENT_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

__attribute__((noreturn)) static void die(const char *why);

void
log_init(const char *n, bool p)
{
	(void)n;
	(void)p;
}
void
log_set_level(enum log_level l)
{
	(void)l;
}
void
log_warn(const char *f, ...)
{
	(void)f;
}
void
log_warnx(const char *f, ...)
{
	(void)f;
}
void
log_errorx(const char *f, ...)
{
	(void)f;
}
void
log_info(const char *f, ...)
{
	(void)f;
}
void
log_debug(const char *f, ...)
{
	(void)f;
}

void
fatal(const char *f, ...)
{
	fprintf(stderr, "%s: %s\n", f, strerror(errno));
	die(f);
}

void
fatalx(const char *f, ...)
{
	die(f);
}

#endif
