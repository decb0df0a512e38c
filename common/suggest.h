/* SPDX-License-Identifier: ISC */
/*
 * suggest.h - "did you mean": the one known word nearest to a mistyped one.
 */
#ifndef CLAW_COMMON_SUGGEST_H
#define CLAW_COMMON_SUGGEST_H

#include <stddef.h>

/*
 * Edits (insert, delete, replace, swap two neighbours) from one word to the
 * other, bytewise: Damerau-Levenshtein in its optimal string alignment form.
 * More than 2, or words over 63 bytes, is told as 3.
 */
unsigned int suggest_distance(const char *a, const char *b);

/*
 * The known word at most 2 edits away (1 for words of up to 3 bytes, where 2
 * edits would fit anything), the nearest, and the first of equals; NULL where
 * there is none. Entries of known may be NULL and are passed over.
 */
const char *
suggest_nearest(const char *word, const char *const *known, size_t n);

#endif
