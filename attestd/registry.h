/* SPDX-License-Identifier: ISC */
/*
 * registry.h - the chain of updates that says whom this node believes.
 *
 * registry.ndjson verifies itself: its first line hashes to the genesis hash
 * pinned in claw.yaml and is signed by the authorities it names. Format:
 * claw-registry(5).
 */
#ifndef CLAW_ATTESTD_REGISTRY_H
#define CLAW_ATTESTD_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#define REGISTRY_LINE_MAX 16384
#define REGISTRY_AUTHORITIES_MAX 32

struct registry {
	uint64_t seq;
	uint8_t head[32]; /* hash of the last line */
	uint32_t authorities;
	uint32_t threshold;
	uint32_t soft_s, hard_s;
	uint8_t authority[REGISTRY_AUTHORITIES_MAX][32];
};

/*
 * Verifies a genesis line (without newline) against its pin. NULL, or what is
 * wrong with it.
 */
const char *registry_genesis(const char *line, size_t len,
    const uint8_t pin[32], struct registry *out);

/* Reads and verifies the chain below dirfd. NULL, or what is wrong. */
const char *
registry_load(int dirfd, const uint8_t pin[32], struct registry *out);

#endif
