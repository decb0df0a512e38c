/* SPDX-License-Identifier: ISC */
/*
 * file.h - what the verbs about file transfers share.
 */
#ifndef CLAW_CLAW_FILE_H
#define CLAW_CLAW_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "claw/api.h"
#include "claw/cmd.h"
#include "common/sftname.h"

/* "8M", "20MB/s", "1024": bytes. K, M, G, T are binary; KB, MB, GB decimal.
 * False where it is none. */
bool file_size(const char *text, uint64_t *bytes);

/* "4.20 GB", for people. */
#define FILE_SIZE_TEXT 16
const char *file_size_text(uint64_t bytes, char out[FILE_SIZE_TEXT]);

/* Text for a terminal: nothing of it is an escape sequence (sftname_show()). */
#define FILE_SHOWN_SIZE SFTNAME_SHOWN_SIZE
const char *file_shown(const char *text, char out[FILE_SHOWN_SIZE]);

/* Gives the source to the node, on the connection of file.send. */
bool file_bring(int socket, int source);

/* A transfer's id, 32 digits; false after saying that it is none. */
bool file_id(const struct cmd *c, const char *text);

/*
 * What sftd tells on the connection of a transfer, line by line: shown as it
 * comes. The exit status of the transfer.
 */
int file_follow(const struct cmd *c, struct api *api);

/*
 * A file without a name, where TMPDIR says. A descriptor, or minus the exit
 * status after saying why there is no room for that.
 */
int file_spool(const struct cmd *c, const char *what);

struct file_tree {
	bool links;	   /* symbolic links come in too */
	size_t links_left; /* how many were left out */
};

/*
 * A folder, or several files and folders, as one file (common/bundle.h),
 * which has the time of the latest of them. Symbolic links are never followed
 * but where they are a source; what is neither file, folder nor link is left
 * out, with a word. A descriptor, or minus the exit status after saying what
 * is wrong.
 */
int file_tree(const struct cmd *c, const char *const *sources, size_t n,
    struct file_tree *t);

#endif
