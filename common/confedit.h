/* SPDX-License-Identifier: ISC */
/*
 * confedit.h - sets one value in a claw.yaml and leaves every other byte.
 */
#ifndef CLAW_COMMON_CONFEDIT_H
#define CLAW_COMMON_CONFEDIT_H

#include <stddef.h>
#include <stdio.h>

#include "common/conf.h"

/*
 * The text with the key's value set, in a new buffer that the caller frees.
 * A key that is not there is added below the last one of its section, with
 * its sections, in the file's indentation. *out has the length *out_len and
 * is not NUL-terminated. name is what errors call the file.
 * 0; -EINVAL the value, the text or the result is wrong; -ENOTSUP the text
 * has a shape that is left to a person; -EFBIG; -ENOMEM. All but 0 are told
 * in e and leave *out NULL.
 */
int
confedit_text(const char *name, const char *buf, size_t len, enum conf_key key,
    const char *value, char **out, size_t *out_len, struct conf_errors *e);

/*
 * The same to a file, which is replaced at once or not at all, with its mode
 * and owner. The changed lines are printed to diff unless it is NULL.
 * Errors as above; -ENOENT no such file; -EIO it could not be read or
 * written; any other: the new file could not be made beside it.
 */
int confedit_file(const char *path, enum conf_key key, const char *value,
    struct conf_errors *e, FILE *diff);

#endif
