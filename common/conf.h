/* SPDX-License-Identifier: ISC */
/*
 * conf.h - the node's configuration, claw.yaml, as checked values.
 *
 * The keys are policy/config.def. A struct conf is plain data: it owns
 * nothing, may be copied by assignment and needs no release.
 */
#ifndef CLAW_COMMON_CONF_H
#define CLAW_COMMON_CONF_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_FILE_MAX 65536 /* bytes of claw.yaml */
#define CONF_PATH_MAX 1024  /* bytes of the file's own name, with NUL */
#define CONF_TEXT_MAX 2048  /* bytes of any value as text, with NUL */
#define CONF_ENV_MAX 64	    /* bytes of a variable's name, with NUL */
#define CONF_ERRORS_MAX 64  /* further errors are only counted */

enum conf_key {
#define KEY(id, path, field, type, def, min, max, reload, env, desc)           \
	CONF_KEY_##id,
#include "policy/config.def"
#undef KEY
	CONF_KEY_MAX
};

/* The words of all ENUM keys: CONF_LOG_LEVEL_INFO, CONF_NODE_KEY_STORE_FILE.
 * Within one key they ascend in the order of the table. */
enum conf_value {
#define VALUE(key, id, text, availability) CONF_##key##_##id,
#include "policy/config.def"
#undef VALUE
	CONF_VALUE_MAX
};

/* Where a value came from. */
struct conf_origin {
	enum { CONF_FROM_DEFAULT, CONF_FROM_FILE, CONF_FROM_ENV } from;
	unsigned int line;	/* of the value, from 1; CONF_FROM_FILE only */
	char env[CONF_ENV_MAX]; /* variable; CONF_FROM_ENV only */
};

#define CONF_FIELD_NAME(field, max) char field[(max) + 1];
#define CONF_FIELD_GROUP(field, max) char field[(max) + 1];
#define CONF_FIELD_PATH(field, max) char field[(max) + 1];
#define CONF_FIELD_ADDR(field, max) char field[(max) + 1];
#define CONF_FIELD_ADDRS(field, max) char field[(max) + 1];
#define CONF_FIELD_RULES(field, max) char field[(max) + 1];
#define CONF_FIELD_HASH(field, max) char field[(max) + 1];
#define CONF_FIELD_ENUM(field, max) enum conf_value field;
#define CONF_FIELD_BOOL(field, max) bool field;
#define CONF_FIELD_INT(field, max) uint64_t field;
#define CONF_FIELD_PERCENT(field, max) uint64_t field;
#define CONF_FIELD_DURATION(field, max) uint64_t field;
#define CONF_FIELD_SIZE(field, max) uint64_t field;
#define CONF_FIELD_POW2(field, max) uint64_t field;

struct conf {
#define KEY(id, path, field, type, def, min, max, reload, env, desc)           \
	CONF_FIELD_##type(field, max)
#include "policy/config.def"
#undef KEY
	/* As given to conf_load, made absolute; "" after conf_parse. */
	char file[CONF_PATH_MAX];
	struct conf_origin origin[CONF_KEY_MAX];
};

/* What was wrong with one configuration, in the order of the file. */
struct conf_error {
	unsigned int line;   /* from 1; 0 where no line can be named */
	unsigned int column; /* in characters, from 1 */
	bool elsewhere;	     /* not in the file: the environment */
	char *message;	     /* one line, without the place, printable */
	char *source;	     /* that line of the file, printable, or NULL */
};

struct conf_errors {
	char file[CONF_PATH_MAX];
	struct conf_error list[CONF_ERRORS_MAX];
	size_t n;
	size_t n_dropped;
};

void conf_errors_init(struct conf_errors *);
void conf_errors_free(struct conf_errors *);

/*
 * All errors for a person: "claw.yaml:14:5: unknown key ...", the source line
 * and a caret under the place. For the person who has the file at hand: the
 * source line may show what does not belong in a log.
 */
void conf_errors_print(const struct conf_errors *, FILE *);

/* Error i in one line "file:line:column: message", as a log may hold it:
 * no value of the file is quoted except paths. */
void
conf_errors_text(const struct conf_errors *, size_t i, char *buf, size_t len);

/*
 * Reads and checks the file, then applies the CLAW_* variables of envp (NULL:
 * none). Any error leaves *c untouched and at least one entry in *e, which
 * the caller has initialised and frees.
 * 0; -EINVAL the content or a variable is wrong; -EFBIG over CONF_FILE_MAX;
 * -ENOMEM; otherwise the errno of open or read, negative.
 */
int conf_load(struct conf *c, struct conf_errors *e, const char *path,
    char *const envp[]);

/* The same for a client: a CLAW_* variable that is no key's is ignored. */
int conf_load_client(struct conf *c, struct conf_errors *e, const char *path,
    char *const envp[]);

/*
 * Checks len bytes in memory. "name" is what errors call the file; its folder
 * is what a relative path is measured from in the suggestion. No environment.
 * 0, -EINVAL, -EFBIG or -ENOMEM.
 */
int conf_parse(struct conf *c, struct conf_errors *e, const char *name,
    const char *buf, size_t len);

/*
 * Which keys differ, in table order; returns how many. changed has room for
 * CONF_KEY_MAX.
 */
size_t conf_diff(const struct conf *old, const struct conf *new,
    enum conf_key *changed);

/*
 * Names the changed keys that only a restart can change: "node.name,
 * node.listen". Returns how many there are; buf is "" where none.
 */
size_t conf_diff_fixed(const struct conf *old, const struct conf *new,
    char *buf, size_t len);

/* Path of a key, as "node.data_dir"; "?" out of range. */
const char *conf_key_path(enum conf_key);

/* What the key is for, one sentence. */
const char *conf_key_description(enum conf_key);

/* The key of that path, or CONF_KEY_MAX. */
enum conf_key conf_key_by_path(const char *path);

/* The known path most like this one, or NULL. */
const char *conf_key_nearest(const char *path);

/* Whether a reload may change it. */
bool conf_key_reloads(enum conf_key);

/* CLAW_<SECTION>_<KEY>, or NULL where the environment may not set it. */
const char *conf_key_env(enum conf_key, char buf[CONF_ENV_MAX]);

/* The value as claw.yaml would write it, without quotes. */
void conf_value_text(const struct conf *, enum conf_key, char *buf, size_t len);

/* Whether the value is a number or a boolean in JSON too. */
bool conf_value_is_plain(enum conf_key);

/* Whether it is a list in the file, and one text elsewhere: addresses with
 * spaces between them, rules with "; ". */
bool conf_value_is_list(enum conf_key);

/* "default", "claw.yaml:3" or "env CLAW_DATA". */
void
conf_origin_text(const struct conf *, enum conf_key, char *buf, size_t len);

/*
 * The whole configuration as a claw.yaml that conf_parse accepts; with
 * origins, each line ends in a comment that says where its value came from.
 */
void conf_print(const struct conf *, FILE *, bool origins);

/*
 * Parses one value as the key demands, without a file: the same rules and
 * messages. 0, or -EINVAL with the reason in why (at most len bytes).
 */
int conf_check_value(enum conf_key, const char *text, char *why, size_t len);

/* The 32 bytes of a HASH value; 0 or -EINVAL. */
int conf_hash_bytes(const char *text, uint8_t out[32]);

#endif
