/* SPDX-License-Identifier: ISC */
/*
 * sftrule.h - sft.accept: rules for files that peers send.
 *
 *	allow peer=tokyo-* name=*.iso max_size=2G into=images replace=no
 *	deny peer=guest-*
 *	allow
 *
 * The first that fits the peer and the file's name decides; where none fits
 * the file is not taken. As one text the rules have "; " between them.
 */
#ifndef CLAW_COMMON_SFTRULE_H
#define CLAW_COMMON_SFTRULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SFTRULE_ALL_MAX 2047   /* bytes of all rules as one text */
#define SFTRULE_GLOBS_MAX 255  /* bytes of what follows peer= or name= */
#define SFTRULE_FOLDER_MAX 255 /* bytes of a folder */
#define SFTRULE_SEPARATOR "; "

struct sftrule {
	unsigned int number; /* from 1 */
	const char *text;    /* in the text that it was read from */
	size_t len;
	bool allow;
	char peers[SFTRULE_GLOBS_MAX + 1]; /* "": any */
	char names[SFTRULE_GLOBS_MAX + 1]; /* "": any */
	uint64_t max_size;		   /* bytes; UINT64_MAX: any */
	char into[SFTRULE_FOLDER_MAX + 1]; /* "": the peer's own folder */
	bool replace; /* a file that is there may give way, if asked */
};

/*
 * Reads one rule. 0, or -EINVAL with a clause in why that says what to write
 * instead; of the rule itself it quotes words that are nearly ours, no more.
 */
int sftrule_read(const char *text, size_t len, struct sftrule *out, char *why,
    size_t why_len);

/* All rules as one text; also that each can be reached. As sftrule_read(),
 * *number is the rule that is wrong. */
int
sftrule_check(const char *all, unsigned int *number, char *why, size_t why_len);

/*
 * The first rule of a checked text that fits: true, and it is in *out. The
 * size decides nothing here: who decides by this rule holds it to max_size.
 */
bool sftrule_first(const char *all, const char *peer, const uint8_t *name,
    size_t name_len, struct sftrule *out);

/*
 * Whether a text fits one of the patterns, which have commas between them: *
 * stands for any characters, slashes too, and ? for one.
 */
bool sftrule_fits(const char *globs, const uint8_t *text, size_t len);

#endif
