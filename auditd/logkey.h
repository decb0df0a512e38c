/* SPDX-License-Identifier: ISC */
/*
 * logkey.h - the open shard's log key, sealed by keyd, as a file.
 *
 * auditd cannot open the seal. The file lasts as long as its shard is open;
 * then it is overwritten and removed, so that what was signed with the key
 * cannot be signed anew, by anybody.
 */
#ifndef CLAW_AUDITD_LOGKEY_H
#define CLAW_AUDITD_LOGKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGKEY_SEALED_MAX 128

/* Durable when it returns; fatal if that cannot be. */
void logkey_store(const char *shard, const uint8_t *sealed, size_t len,
    const uint8_t endorsement[64]);

/* False if there is none, or it is no such file. */
bool logkey_load(const char *shard, uint8_t sealed[LOGKEY_SEALED_MAX],
    size_t *len, uint8_t endorsement[64]);

void logkey_destroy(const char *shard);

/* Whether there is a file for that shard, good or not. */
bool logkey_exists(const char *shard);

#endif
