/* SPDX-License-Identifier: ISC */
/*
 * place.h - files and folders of the node (policy/places.def).
 *
 * Makes what is missing, checks what is there: its kind, its owner, and that
 * nobody may do more with it than the table says.
 */
#ifndef CLAW_CLAWD_PLACE_H
#define CLAW_CLAWD_PLACE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

#include "common/conf.h"

enum place {
#define PLACE(id, below, path, kind, owner, mode, when, why) PLACE_##id,
#include "policy/places.def"
#undef PLACE
	PLACE_MAX
};

/* The full path; false if it does not fit. */
bool place_path(const struct conf *conf, enum place p, char *out, size_t size);

/* Makes the folders of the table that are missing: with init all of them,
 * else those that a start makes. False after saying why in the log. */
bool place_make(const struct conf *conf, bool init);

/*
 * Checks everything. Each fault is one line in the log: what is there, what
 * should be, and the command that mends it. init: files need not be there.
 */
bool place_check(const struct conf *conf, bool init);

/* A file in a folder of the table, by name; false: it does not fit. */
bool place_file(const struct conf *conf, enum place folder, const char *name,
    char *out, size_t size);

/*
 * A file in it that has no name yet, 0600. -1 after saying why. What a crash
 * leaves of it is nothing.
 */
int place_unnamed(const struct conf *conf, enum place folder);
/* Syncs it and gives it its name, which must be free; false after saying why
 * not. The name is durable. */
bool place_name(const struct conf *conf, int fd, enum place folder,
    const char *name, mode_t mode);

/* Opens a folder for a child's birth (O_CLOEXEC), or -1 with errno. */
int place_open_dir(const struct conf *conf, enum place p);
/* A file that only grows, for appending. */
int place_open_log(const struct conf *conf, enum place p);

#endif
