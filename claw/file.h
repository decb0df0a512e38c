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

/* "8M", "20MB/s", "1.5G": bytes. K, M, G, T are binary; KB, MB, GB decimal.
 * False where it is none. */
bool file_size(const char *text, uint64_t *bytes);

/* "4.20 GB", for people. */
#define FILE_SIZE_TEXT 16
const char *file_size_text(uint64_t bytes, char out[FILE_SIZE_TEXT]);

/*
 * Text for a terminal: what could be an escape sequence or is no text is shown
 * as \xNN. out has room for 4 times the text and a NUL.
 */
const char *file_shown(const char *text, char *out, size_t size);

/* A transfer's id, 32 digits; false after saying that it is none. */
bool file_id(const struct cmd *c, const char *text);

/*
 * What sftd tells on the connection of a transfer, line by line: shown as it
 * comes. The exit status of the transfer.
 */
int file_follow(const struct cmd *c, struct api *api);

#endif
