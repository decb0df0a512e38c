/* SPDX-License-Identifier: ISC */
/*
 * doctor.h - what /proc shows of a process's confinement.
 */
#ifndef CLAW_CLAW_DOCTOR_H
#define CLAW_CLAW_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "claw/api.h"

/*
 * Describes it in text. True if the kernel says: no new privileges, a filter
 * in force, no capabilities.
 */
bool doctor_confined(long long pid, char *text, size_t size);

#endif
