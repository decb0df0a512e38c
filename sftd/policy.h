/* SPDX-License-Identifier: ISC */
/*
 * policy.h - whether a peer's file is taken.
 */
#ifndef CLAW_SFTD_POLICY_H
#define CLAW_SFTD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/sftframe.h"
#include "common/sftrule.h"

struct policy {
	uint64_t max_bytes;
	unsigned int max_transfers;
};

/* All that is looked at. */
struct policy_case {
	const char *peer;
	uint64_t theirs, ours; /* capabilities */
	const struct sft_offer *offer;
	const struct sftrule *rule; /* the first that fits; NULL: none */
	unsigned int under_way;	    /* transfers beside this one */
	bool resumes;		    /* its room is taken already */
	uint64_t room;		    /* bytes free, a reserve left aside */
	uint64_t inodes;	    /* free */
	bool changed; /* there was what it had delivered; now it is not */
	int there;    /* commit_there() */
};

struct policy_verdict {
	uint8_t code; /* enum sft_code; 0: taken */
	char text[SFT_TEXT_MAX + 1];
	/* The same with the rule that says so, which is the operator's. */
	char whole[2 * SFT_TEXT_MAX + 1];
};

void policy_judge(const struct policy *policy, const struct policy_case *c,
    struct policy_verdict *out);

/* Bytes that it takes, while it comes. */
uint64_t policy_need(const struct sft_offer *o);

/* An errno of store, partial or commit as a code and words for the peer. */
void policy_error(int error, struct policy_verdict *out);

#endif
