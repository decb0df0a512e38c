/* SPDX-License-Identifier: ISC */
/*
 * recovery.c - the recovery code of a node: twelve words, 132 bits.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/recovery.h"

#define BITS 11
#define WORD_MAX_LEN 8

static const char *const words[] = {
#define WORD(word) word,
#include "common/words.def"
#undef WORD
};
_Static_assert(sizeof(words) / sizeof(words[0]) == 1u << BITS,
    "eleven bits a word");
_Static_assert(RECOVERY_WORDS *(WORD_MAX_LEN + 1) < RECOVERY_TEXT_SIZE,
    "twelve words fit");

void
recovery_text(const uint8_t code[RECOVERY_LEN], char out[RECOVERY_TEXT_SIZE])
{
	size_t bit = 0, i, k, n, len = 0;
	unsigned int index;

	for (i = 0; i < RECOVERY_WORDS; i++) {
		for (index = 0, k = 0; k < BITS; k++, bit++)
			index =
			    index << 1 | (code[bit / 8] >> (7 - bit % 8) & 1);
		n = strlen(words[index]);
		memcpy(out + len, words[index], n);
		len += n;
		out[len++] = i + 1 < RECOVERY_WORDS ? ' ' : '\0';
	}
}

/* The number of a word, -1: it is none. */
static int
find(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(words[i], word, len) == 0 &&
		    (words[i][len] == '\0' || len == 4))
			return (int)i;
	return -1;
}

static void
put_bits(uint8_t code[RECOVERY_LEN], size_t at, int index)
{
	size_t k;

	for (k = 0; k < BITS; k++, at++)
		if ((index >> (BITS - 1 - k) & 1) != 0)
			code[at / 8] |= (uint8_t)(0x80u >> at % 8);
}

int
recovery_parse(const char *text, uint8_t code[RECOVERY_LEN], unsigned int *word)
{
	static const char between[] = " \t\r\n,-";
	char one[WORD_MAX_LEN + 1];
	size_t i, len;
	unsigned int n = 0;
	int index = 0;

	memset(code, 0, RECOVERY_LEN);
	for (text += strspn(text, between); *text != '\0' && index != -1;
	     text += strspn(text, between)) {
		len = strcspn(text, between);
		index = -1;
		if (n == RECOVERY_WORDS)
			break;
		for (i = 0; i < len && i < WORD_MAX_LEN; i++)
			one[i] = (char)tolower((unsigned char)text[i]);
		if (len <= WORD_MAX_LEN && len >= 3)
			index = find(one, len);
		if (index != -1)
			put_bits(code, (size_t)n++ * BITS, index);
		text += len;
	}
	explicit_bzero(one, sizeof(one));
	if (index != -1 && n == RECOVERY_WORDS)
		return 0;
	*word = index == -1 && n < RECOVERY_WORDS ? n + 1 : 0;
	explicit_bzero(code, RECOVERY_LEN);
	return -EINVAL;
}
