/* SPDX-License-Identifier: ISC */
/*
 * path.h - where the rest of the installation is.
 */
#ifndef CLAW_CLAW_PATH_H
#define CLAW_CLAW_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* clawd beside this very program (../sbin/clawd), or where it is installed. */
void path_clawd(char out[PATH_MAX]);

/* The folder of the processes that this clawd would start. */
void path_libexec(char out[PATH_MAX]);

/* execve(2) with constant strings; returns only on failure. */
void path_exec(const char *const argv[], char *const envp[]);

#endif
