/* SPDX-License-Identifier: ISC */
/*
 * audit.h - claw audit:verify, audit:prove, audit:vkey, audit:tail and
 * audit:export: everything that a copy of the audit log can tell offline.
 *
 * dir is one shard's directory or an audit directory with shards in it.  Each
 * function is a verb: it returns the exit status.
 */
#ifndef CLAW_AUDIT_H
#define CLAW_AUDIT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define AUDIT_WITNESSES_MAX 32

enum audit_status {
	AUDIT_OK = 0,
	AUDIT_NEGATIVE = 1, /* nothing in that range, no such line */
	AUDIT_USAGE = 64,
	AUDIT_DATA = 65,
	AUDIT_CANTCREAT = 73,
	AUDIT_IO = 74,
	AUDIT_BROKEN = 79,    /* integrity failure */
	AUDIT_TAIL = 80,      /* sound, but lines follow the checkpoint */
	AUDIT_UNEXPECTED = 81 /* sound, but nobody said what to expect */
};

#define AUDIT_IDENTITIES_MAX 64

struct audit_verify_opts {
	const char *dir;
	/*
	 * A shard's C2SP vkey, or the node's identity: ed25519:<base64url> or
	 * did:key:z6Mk...
	 */
	const char *vkey;
	/* With an identity: others that the node has had, before rotations. */
	const char *const *before;
	size_t nbefore;
	const char *expect; /* SIZE:ROOT of the newest shard, or NULL */
	bool json;
	const char *const *witness; /* vkeys of cosigners that must be there */
	size_t nwitness;
};
int audit_verify(const struct audit_verify_opts *, FILE *out, FILE *err);

struct audit_prove_opts {
	const char *dir; /* of several shards the newest is meant */
	uint64_t n;
	bool line; /* the line itself comes first */
};
/* Writes a c2sp.org/tlog-proof@v1. */
int audit_prove(const struct audit_prove_opts *, FILE *out, FILE *err);

/* The newest shard's vkey as its first line states it. */
int audit_vkey(const char *dir, FILE *out, FILE *err);

struct audit_tail_opts {
	const char *dir;
	uint64_t lines;
	bool follow;
	bool json;			   /* lines as they are */
	const volatile sig_atomic_t *stop; /* ends -f; may be NULL */
};
int audit_tail(const struct audit_tail_opts *, FILE *out, FILE *err);

struct audit_export_opts {
	const char *dir;
	const char *from; /* 2026-11-01 or RFC 3339; NULL: the beginning */
	const char *to;	  /* a date includes that day; NULL: the end */
	const char *dest; /* a directory to be made, or "-" */
};
int audit_export(const struct audit_export_opts *, FILE *out, FILE *err);

#endif /* CLAW_AUDIT_H */
