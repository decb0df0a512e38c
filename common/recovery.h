/* SPDX-License-Identifier: ISC */
/*
 * recovery.h - the recovery code of a node: twelve words, 132 bits.
 *
 * keyd makes it, a person keeps it, and nothing else does: it opens the file
 * of the node's next identity key (claw-keyd(8), FILES).
 */
#ifndef CLAW_COMMON_RECOVERY_H
#define CLAW_COMMON_RECOVERY_H

#include <stddef.h>
#include <stdint.h>

#define RECOVERY_WORDS 12
#define RECOVERY_LEN 17	       /* bytes; the last has four bits */
#define RECOVERY_TEXT_SIZE 128 /* with its NUL */

/* The words, lower case, a space between two. */
void
recovery_text(const uint8_t code[RECOVERY_LEN], char out[RECOVERY_TEXT_SIZE]);

/*
 * Words as a person types them: any case, spaces, tabs, commas, hyphens and
 * line ends between, each whole or its first four letters. 0; -EINVAL: *word
 * is the number (from 1) of the first that is none, 0 if there are not
 * twelve. Takes no branch on more than the words themselves.
 */
int recovery_parse(const char *text, uint8_t code[RECOVERY_LEN],
    unsigned int *word);

#endif
