/* SPDX-License-Identifier: ISC */
/*
 * manifest.h - the manifest of a plugin, version 1: claw-manifest(5).
 *
 * One run finds everything that is wrong, each with its line, column and what
 * to do about it.  What the beta had is refused and the step of the migration
 * named.  Uses jansson; keyd does not link it.
 */
#ifndef CLAW_COMMON_MANIFEST_H
#define CLAW_COMMON_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_MAX 65536	 /* bytes of the file */
#define MANIFEST_FINDINGS_MAX 64 /* more are counted, not told */
#define MANIFEST_NAME_MAX 63
#define MANIFEST_VERSION_MAX 63
#define MANIFEST_PATH_MAX 255

struct manifest {
	char name[MANIFEST_NAME_MAX + 1];
	char version[MANIFEST_VERSION_MAX + 1];
	uint64_t capabilities;			 /* policy/capabilities.def */
	char binary_path[MANIFEST_PATH_MAX + 1]; /* "" without binary */
	uint8_t binary_sha256[32];
	uint8_t digest[32]; /* SHA-256 of the file's bytes */
};

struct manifest_finding {
	const char *id;	     /* stays the same from version to version */
	bool breaks;	     /* or only a remark */
	unsigned int line;   /* from 1 */
	unsigned int column; /* in characters, from 1 */
	char field[64];	     /* attestation.keyType; "" for the whole */
	char message[192];   /* what is wrong */
	const char *fix;     /* what to do */
};

struct manifest_report {
	size_t n;	 /* told below, in the order of the file */
	size_t untold;	 /* found beyond MANIFEST_FINDINGS_MAX */
	size_t breaking; /* of all */
	struct manifest_finding finding[MANIFEST_FINDINGS_MAX];
};

/*
 * 0: a manifest of version 1, perhaps with remarks; -EINVAL: something breaks;
 * -EBADMSG: not JSON, or longer than MANIFEST_MAX, which is the one finding
 * then; -ENOMEM.  The manifest is filled in only on 0, its digest always.
 */
int manifest_parse(const void *data, size_t len, struct manifest *,
    struct manifest_report *);

#endif
