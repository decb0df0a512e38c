/* SPDX-License-Identifier: ISC */
/*
 * counters.h - the shared pages of policy/counters.def.
 *
 * A page is a file below run_dir/counters that clawd makes. Its owner, one
 * process, maps it for writing; everyone else reads. Writers use relaxed
 * atomics and never wait. Readers trust nothing they read but its type.
 */
#ifndef CLAW_COMMON_COUNTERS_H
#define CLAW_COMMON_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/proc.h"

#define COUNTERS_PAGE_LEN 4096

enum counter {
#define COUNTER(id, proc, name, type, labels, help) COUNTER_##id,
#include "policy/counters.def"
#undef COUNTER
	COUNTER_MAX
};

/*
 * Owner's side: maps the page open on fd (read-write) as this process's own.
 * 0, or -errno. Until then counting goes nowhere and is harmless.
 */
int counters_attach(int fd);
void counter_add(enum counter c, uint64_t n);
void counter_set(enum counter c, uint64_t v);
uint64_t counter_get(enum counter c);

/* Reader's side: a page mapped read-only. NULL with errno set on failure. */
struct counters_page;
struct counters_page *counters_map(int fd);
void counters_unmap(struct counters_page *page);

/* Makes an open file into an empty page, keeping one that is there. */
int counters_format(int fd);

/*
 * Prints all pages (NULL where there is none) as Prometheus text 0.0.4, or
 * as OpenMetrics 1.0. pages[p] belongs to process p.
 */
void counters_print(FILE *out, struct counters_page *const pages[PROC_MAX],
    bool openmetrics);

#endif
