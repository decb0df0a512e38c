/* SPDX-License-Identifier: ISC */
/*
 * partial.h - a file that is not complete: incoming/<id>/.
 *
 *	offer		what the peer offered, and the epoch: of our making
 *	partial		the file; a worker writes it
 *	tree		the folder that the file is, as another worker unpacks
 *			it; it is that worker's user who owns what is in it
 *	journal		which chunks are durable; a worker writes it
 *	finish		what is to be done or was done at the end: commit.h
 *	receipt		what was answered
 *
 * A folder counts once its offer is there; what else a crash left is swept.
 */
#ifndef CLAW_SFTD_PARTIAL_H
#define CLAW_SFTD_PARTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/nodename.h"
#include "common/sftframe.h"
#include "common/sftrule.h"

struct partial {
	uint8_t id[SFT_ID_LEN];
	char peer[NODENAME_MAX + 1];
	struct sft_offer offer;
	uint8_t digest[32];
	uint64_t epoch; /* of the latest attempt */
	uint64_t since_ms;
	char into[SFTRULE_FOLDER_MAX + 1]; /* below files/; where its name is */
	bool replaces; /* a file that is there: asked for, and allowed */
};

/*
 * A new one: room for the file is taken. id is chosen, epoch is 1 above the
 * offer's. 0; -ENOSPC, or -errno, and nothing is left of it: id is all 0.
 */
int partial_make(struct partial *p, const char *self);

/*
 * One more attempt: its epoch, above ours and the peer's, is durable. 0;
 * -ESTALE: there is no higher one; or -errno.
 */
int partial_again(struct partial *p, uint64_t theirs);

/*
 * The file and its journal, for a worker. A journal that is no journal of this
 * one is begun anew. *file: -1, or where the file is by now. 0; or -errno, and
 * both are closed.
 */
int partial_files(const struct partial *p, const char *self, int *file,
    int *journal);

/* Its folder. A descriptor, or -errno. */
int partial_dir(const struct partial *p);

/* All that was left by runs before; those that are none are removed. */
void partial_load(void (*each)(const struct partial *p));

/* When something was last written to it, seconds since 1970; 0: unknown. */
uint64_t partial_touched(const struct partial *p);

/*
 * What is in a tree its worker has to take away, which needs the file for it.
 * partial_remove() leaves both, says whose they are and returns -ENOTEMPTY; it
 * is called again when the tree is empty. So does partial_load().
 */
void partial_with_tree(void (*clear)(const uint8_t id[SFT_ID_LEN]));

/*
 * The tree, empty or with what a run before left: a place to go through, that
 * everybody who holds it may write in. A descriptor or -errno.
 */
int partial_tree(const uint8_t id[SFT_ID_LEN], int *file);

/* Gone, with all that is in it. 0 or -errno. */
int partial_remove(const uint8_t id[SFT_ID_LEN]);

#endif
