/* SPDX-License-Identifier: ISC */
/*
 * operands.h - an operator's update of the registry: JSON in, a checked
 * struct out.
 */
#ifndef CLAW_CONTROLD_OPERANDS_H
#define CLAW_CONTROLD_OPERANDS_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

#include "common/regupdate.h"

/*
 * The update that an operation and its operands are. Its place in the chain
 * is not known yet: seq and prev are such that it has a binary form, attestd
 * puts the right ones there. Of a `resolve` only the chosen head is right.
 * False, and why names the operand: one is missing, wrong, or not known.
 */
bool operands_read(const char *op, const json_t *operands,
    struct registry_update *u, char *why, size_t size);

/* Whom it is about, for records and permits: a name, or "". */
const char *operands_subject(const struct registry_update *u);

#endif
