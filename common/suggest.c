/* SPDX-License-Identifier: ISC */
/*
 * suggest.c - "did you mean": the one known word nearest to a mistyped one.
 *
 * Used by the configuration and by the command line. Owns nothing; words may
 * come from anybody and be of any length.
 */
#include <string.h>

#include "common/suggest.h"

#define WORD_MAX 63
#define TOO_FAR 3

static unsigned int
min2(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int
suggest_distance(const char *a, const char *b)
{
	/* Rows i - 2, i - 1 and i of the matrix, in turn. */
	unsigned int rows[3][WORD_MAX + 1] = { 0 };
	unsigned int *before, *above, *row, d;
	size_t i, j, na, nb;

	na = strnlen(a, WORD_MAX + 1);
	nb = strnlen(b, WORD_MAX + 1);
	if (na > WORD_MAX || nb > WORD_MAX)
		return TOO_FAR;
	for (j = 0; j <= nb; j++)
		rows[0][j] = (unsigned int)j;
	for (i = 1; i <= na; i++) {
		before = rows[(i + 1) % 3];
		above = rows[(i + 2) % 3];
		row = rows[i % 3];
		row[0] = (unsigned int)i;
		for (j = 1; j <= nb; j++) {
			d = above[j - 1] + (a[i - 1] != b[j - 1]);
			d = min2(d, min2(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d = min2(d, before[j - 2] + 1);
			row[j] = d;
		}
	}
	return min2(rows[na % 3][nb], TOO_FAR);
}

const char *
suggest_nearest(const char *word, const char *const *known, size_t n)
{
	const char *best = NULL;
	unsigned int d, nearest;
	size_t i;

	nearest = strnlen(word, 4) > 3 ? 3 : 2;
	for (i = 0; i < n; i++) {
		if (known[i] == NULL)
			continue;
		d = suggest_distance(word, known[i]);
		if (d < nearest) {
			nearest = d;
			best = known[i];
		}
	}
	return best;
}
