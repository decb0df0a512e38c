/* SPDX-License-Identifier: ISC */
/*
 * config.h - the verbs config:show, config:set and config:check.
 *
 * Each works on the file alone, with no daemon running, prints its answer to
 * out and what is wrong to err, and returns the exit status: 0; 64 usage; 73
 * the new file cannot be made; 74 the file cannot be read or written; 78 the
 * configuration is wrong or missing.
 */
#ifndef CLAW_CLAW_CONFIG_H
#define CLAW_CLAW_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

struct config_show_options {
	bool origin; /* say where each value came from */
	bool json;
};

/* The configuration as a daemon with this environment would take it. */
int config_show(const char *file, struct config_show_options,
    char *const envp[], FILE *out, FILE *err);

/* assignment is "key=value"; prints the changed lines. */
int config_set(const char *file, const char *assignment, FILE *out, FILE *err);

/* Prints one line where all is well, every error where not. */
int config_check(const char *file, char *const envp[], FILE *out, FILE *err);

#endif
