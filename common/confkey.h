/* SPDX-License-Identifier: ISC */
/*
 * confkey.h - the keys of claw.yaml as data, and their values as text.
 * For the rooms that read and edit claw.yaml.
 */
#ifndef CLAW_COMMON_CONFKEY_H
#define CLAW_COMMON_CONFKEY_H

#include "common/conf.h"

enum conf_type {
	CONF_TYPE_NAME,
	CONF_TYPE_GROUP,
	CONF_TYPE_PATH,
	CONF_TYPE_ADDR,
	CONF_TYPE_ADDRS,
	CONF_TYPE_RULES,
	CONF_TYPE_HASH,
	CONF_TYPE_ENUM,
	CONF_TYPE_BOOL,
	CONF_TYPE_INT,
	CONF_TYPE_PERCENT,
	CONF_TYPE_DURATION,
	CONF_TYPE_SIZE,
	CONF_TYPE_POW2 /* a size that is a power of two */
};

/* One line of policy/config.def; offset is the field's in struct conf. */
struct confkey {
	const char *path;
	enum conf_type type;
	size_t offset;
	const char *def;
	uint64_t min, max;
	bool reload, env;
	const char *description;
};

/* The line of that key, which must be below CONF_KEY_MAX. */
const struct confkey *confkey(enum conf_key);

/*
 * Writes the text's value into the key's field of c. base, where not NULL, is
 * the absolute folder of the file, for the suggestion to a relative path.
 * 0, or -EINVAL with a clause in why that follows the key's name ("needs a
 * unit: write 30s") and c untouched.
 */
int confkey_set(struct conf *c, enum conf_key, const char *text,
    const char *base, char *why, size_t len);

/*
 * The values of a list, which have newlines between them, as the one text that
 * confkey_set() takes. 0; or -EINVAL with a clause in why, and *wrong is the
 * value, from 0, that it is about.
 */
int confkey_list(enum conf_key, const char *lines, char out[CONF_TEXT_MAX],
    size_t *wrong, char *why, size_t len);

/* CLAW_<SECTION>_<KEY>, whether or not the environment may set it. */
const char *confkey_variable(enum conf_key, char buf[CONF_ENV_MAX]);

/* Twice the text and its quotes. */
#define CONF_QUOTED_MAX (2 * CONF_TEXT_MAX + 2)

/*
 * A clean value as YAML: itself where nothing in it could be taken for
 * syntax, otherwise in double quotes, in out. Returns out.
 */
const char *confkey_quote(const char *text, char out[CONF_QUOTED_MAX]);

/* The same for the value of a key: a list in brackets where it takes one. */
const char *
confkey_write(enum conf_key key, const char *text, char out[CONF_QUOTED_MAX]);

#endif
