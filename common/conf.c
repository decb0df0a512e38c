/* SPDX-License-Identifier: ISC */
/*
 * conf.c - the node's configuration: from claw.yaml and the environment to
 * checked values.
 *
 * The file is read whole, every error in it is told in one run, and nothing
 * of a wrong configuration ever leaves this room. What may be written is
 * policy/config.def; how YAML is read is confyaml.c, how values are confkey.c.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/confkey.h"
#include "common/conftext.h"
#include "common/confyaml.h"
#include "common/suggest.h"

#define WHY_MAX (CONF_TEXT_MAX + 256)

static const struct {
	const char *name;
	enum conf_key key;
} aliases[] = {
#define ALIAS(name, key) { name, CONF_KEY_##key },
#include "policy/config.def"
#undef ALIAS
};

#define N_ALIASES (sizeof(aliases) / sizeof(aliases[0]))

/* What one reading of a file has gathered so far. */
struct reading {
	struct conf conf;
	struct conf_errors *errors;
	const struct conftext *text;
	char folder[CONF_PATH_MAX]; /* of the file; "" where not known */
	bool seen[CONF_KEY_MAX];    /* in the file, even if wrong */
	unsigned int column[CONF_KEY_MAX];
};

/* Whether the path is a section: a whole number of components of some key. */
static bool
is_section(const char *path)
{
	size_t i, n = strlen(path);

	for (i = 0; i < CONF_KEY_MAX; i++)
		if (strncmp(confkey((enum conf_key)i)->path, path, n) == 0 &&
		    confkey((enum conf_key)i)->path[n] == '.')
			return true;
	return false;
}

/*
 * The names that may stand directly in a section, each cut from its key's
 * path into names; "" is the file itself. Returns how many.
 */
static size_t
section_names(const char *section, char names[CONF_KEY_MAX][CONF_ENV_MAX],
    const char *list[CONF_KEY_MAX])
{
	size_t i, skip, len, n = 0;
	const char *path;

	skip = section[0] == '\0' ? 0 : strlen(section) + 1;
	for (i = 0; i < CONF_KEY_MAX; i++) {
		path = confkey((enum conf_key)i)->path;
		if (skip > 0 &&
		    (strncmp(path, section, skip - 1) != 0 ||
			path[skip - 1] != '.'))
			continue;
		len = strcspn(path + skip, ".");
		if (len >= CONF_ENV_MAX)
			continue;
		memcpy(names[n], path + skip, len);
		names[n][len] = '\0';
		list[n] = names[n];
		n++;
	}
	return n;
}

static void
tell_unknown(struct reading *r, const struct confyaml_node *node,
    const char *section)
{
	char names[CONF_KEY_MAX][CONF_ENV_MAX];
	const char *list[CONF_KEY_MAX], *near, *key;
	char hint[CONF_ENV_MAX + 32] = "";
	size_t n;

	key = strrchr(node->path, '.');
	key = key == NULL ? node->path : key + 1;
	n = section_names(section, names, list);
	near = suggest_nearest(key, list, n);
	if (near == NULL)
		near = conf_key_nearest(node->path);
	/*
	 * The message may go into a log, so it names only what resembles a
	 * key of ours: what does not may be anything, a pasted secret too.
	 * Who stands at a terminal sees the line itself below it.
	 */
	if (near != NULL)
		(void)snprintf(hint, sizeof(hint), " (did you mean \"%s\"?)",
		    near);
	conf_errors_add_until(r->errors, r->text, node->line, node->column,
	    node->end_column, "unknown key%s%s%s%s%s%s",
	    near != NULL ? " \"" : "", near != NULL ? key : "",
	    near != NULL ? "\"" : "", section[0] == '\0' ? "" : " in ", section,
	    hint);
}

/* The text of a value, which of a list is in joined; NULL: the fault is told
 * where it is. */
static const char *
text_of(struct reading *r, enum conf_key key, const struct confyaml_node *node,
    char joined[CONF_TEXT_MAX])
{
	char why[WHY_MAX];
	size_t i;

	if (!node->list)
		return node->text;
	if (confkey_list(key, node->text, joined, &i, why, sizeof(why)) == 0)
		return joined;
	conf_errors_add(r->errors, r->text, node->items[i].line,
	    node->items[i].column, "%s %s", node->path, why);
	return NULL;
}

static void
take_value(struct reading *r, enum conf_key key,
    const struct confyaml_node *node)
{
	char why[WHY_MAX], joined[CONF_TEXT_MAX];
	const char *text;

	if (node->kind == CONFYAML_BROKEN)
		return;
	if (node->kind == CONFYAML_SECTION) {
		(void)snprintf(why, sizeof(why), "takes one value");
	} else if (node->list && !conf_value_is_list(key)) {
		(void)snprintf(why, sizeof(why), "takes one value and no list");
	} else if (node->null) {
		(void)snprintf(why, sizeof(why),
		    "has no value; write one, or remove the line");
	} else if (node->quoted && conf_value_is_plain(key)) {
		(void)snprintf(why, sizeof(why), "is written without quotes");
	} else if ((text = text_of(r, key, node, joined)) == NULL) {
		return;
	} else if (confkey_set(&r->conf, key, text,
		       r->folder[0] == '\0' ? NULL : r->folder, why,
		       sizeof(why)) == 0) {
		r->conf.origin[key].from = CONF_FROM_FILE;
		r->conf.origin[key].line = node->value_line;
		r->column[key] = node->value_column;
		return;
	}
	conf_errors_add(r->errors, r->text, node->value_line,
	    node->value_column, "%s %s", node->path, why);
}

static void
take_node(struct reading *r, const struct confyaml *y,
    const struct confyaml_node *node)
{
	const char *section;
	enum conf_key key;

	section = node->parent < 0 ? "" : y->nodes[node->parent].path;
	if (section[0] != '\0' && !is_section(section))
		return;
	key = conf_key_by_path(node->path);
	if (key < CONF_KEY_MAX) {
		r->seen[key] = true;
		take_value(r, key, node);
	} else if (!is_section(node->path)) {
		tell_unknown(r, node, section);
	} else if (node->kind == CONFYAML_VALUE && !node->null) {
		conf_errors_add(r->errors, r->text, node->value_line,
		    node->value_column,
		    "%s is a section; its keys go on the lines below it, "
		    "indented",
		    node->path);
	}
}

static int
set_defaults(struct reading *r)
{
	char why[WHY_MAX];
	size_t i;

	for (i = 0; i < CONF_KEY_MAX; i++)
		if (confkey((enum conf_key)i)->def != NULL &&
		    confkey_set(&r->conf, (enum conf_key)i,
			confkey((enum conf_key)i)->def, NULL, why,
			sizeof(why)) != 0) {
			conf_errors_add(r->errors, NULL, 0, 0,
			    "the built-in default of %s %s",
			    conf_key_path((enum conf_key)i), why);
			return -EINVAL;
		}
	return 0;
}

static void
tell_missing(struct reading *r, const struct confyaml *y)
{
	const struct confyaml_node *section;
	const struct confkey *k;
	char above[CONF_ENV_MAX];
	size_t i;

	for (i = 0; i < CONF_KEY_MAX; i++) {
		k = confkey((enum conf_key)i);
		if (k->def != NULL || r->seen[i])
			continue;
		(void)snprintf(above, sizeof(above), "%s", k->path);
		*strrchr(above, '.') = '\0';
		section = confyaml_find(y, above);
		if (section != NULL)
			conf_errors_add(r->errors, r->text, section->line,
			    section->column, "%s is missing", k->path);
		else
			conf_errors_add(r->errors, NULL, 0, 0, "%s is missing",
			    k->path);
	}
}

/* A rule between two keys is told where the later-set of them stands. */
static void
tell_both(struct reading *r, enum conf_key a, enum conf_key b, const char *what)
{
	char ta[CONF_TEXT_MAX], tb[CONF_TEXT_MAX];
	enum conf_key at;

	if (r->conf.origin[a].from == CONF_FROM_FILE &&
	    (r->conf.origin[b].from != CONF_FROM_FILE ||
		r->conf.origin[b].line < r->conf.origin[a].line))
		at = a;
	else
		at = b;
	conf_value_text(&r->conf, a, ta, sizeof(ta));
	conf_value_text(&r->conf, b, tb, sizeof(tb));
	if (r->conf.origin[a].from == CONF_FROM_ENV ||
	    r->conf.origin[b].from == CONF_FROM_ENV)
		conf_errors_add_env(r->errors,
		    "%s (%s) %s %s (%s), with what the environment sets",
		    conf_key_path(a), ta, what, conf_key_path(b), tb);
	else
		conf_errors_add(r->errors, r->text, r->conf.origin[at].line,
		    r->column[at], "%s (%s) %s %s (%s)", conf_key_path(a), ta,
		    what, conf_key_path(b), tb);
}

/* Rules that no single key can break. */
static void
check_together(struct reading *r)
{
	static const enum conf_key dirs[] = { CONF_KEY_NODE_DATA_DIR,
		CONF_KEY_NODE_LOG_DIR, CONF_KEY_NODE_RUN_DIR };
	const char *path[] = { r->conf.node_data_dir, r->conf.node_log_dir,
		r->conf.node_run_dir };
	size_t i, j;

	if (r->conf.audit_warn_at_percent >= r->conf.audit_refuse_at_percent)
		tell_both(r, CONF_KEY_AUDIT_WARN_AT, CONF_KEY_AUDIT_REFUSE_AT,
		    "must be less than");
	for (i = 0; i < 3; i++)
		for (j = i + 1; j < 3; j++)
			if (strcmp(path[i], path[j]) == 0)
				tell_both(r, dirs[i], dirs[j],
				    "must not be the same folder as");
}

/* The key that a variable sets, allowed or not; CONF_KEY_MAX if none. */
static enum conf_key
key_of_variable(const char *name)
{
	char variable[CONF_ENV_MAX];
	size_t i;

	for (i = 0; i < N_ALIASES; i++)
		if (strcmp(aliases[i].name, name) == 0)
			return aliases[i].key;
	for (i = 0; i < CONF_KEY_MAX; i++)
		if (strcmp(confkey_variable((enum conf_key)i, variable),
			name) == 0)
			return (enum conf_key)i;
	return CONF_KEY_MAX;
}

static void
tell_unknown_variable(struct reading *r, const char *name)
{
	char names[CONF_KEY_MAX][CONF_ENV_MAX];
	const char *list[CONF_KEY_MAX + N_ALIASES], *near;
	size_t i;

	for (i = 0; i < CONF_KEY_MAX; i++)
		list[i] = conf_key_env((enum conf_key)i, names[i]);
	for (i = 0; i < N_ALIASES; i++)
		list[CONF_KEY_MAX + i] = aliases[i].name;
	near = suggest_nearest(name, list, CONF_KEY_MAX + N_ALIASES);
	conf_errors_add_env(r->errors,
	    "%s: the environment sets a variable that no key has%s%s%s; "
	    "unset it",
	    name, near == NULL ? "" : " (did you mean ",
	    near == NULL ? "" : near, near == NULL ? "" : "?)");
}

static void
take_variable(struct reading *r, const char *entry, bool strict)
{
	char name[CONF_ENV_MAX], why[WHY_MAX];
	struct conf_origin *origin;
	enum conf_key key;
	size_t len;

	len = strcspn(entry, "=");
	(void)snprintf(name, sizeof(name), "%.*s",
	    len < sizeof(name) ? (int)len : (int)sizeof(name) - 1, entry);
	key = len < sizeof(name) ? key_of_variable(name) : CONF_KEY_MAX;
	if (key == CONF_KEY_MAX) {
		if (strict)
			tell_unknown_variable(r, name);
		return;
	}
	if (!confkey(key)->env) {
		conf_errors_add_env(r->errors,
		    "%s: %s cannot be set from the environment; write it "
		    "into the file and unset the variable",
		    name, conf_key_path(key));
		return;
	}
	origin = &r->conf.origin[key];
	if (origin->from == CONF_FROM_ENV) {
		conf_errors_add_env(r->errors,
		    "%s: %s is already set by %s; unset one of them", name,
		    conf_key_path(key), origin->env);
		return;
	}
	if (confkey_set(&r->conf, key, entry[len] == '=' ? entry + len + 1 : "",
		NULL, why, sizeof(why)) != 0) {
		conf_errors_add_env(r->errors, "%s: %s %s", name,
		    conf_key_path(key), why);
		return;
	}
	origin->from = CONF_FROM_ENV;
	origin->line = 0;
	(void)snprintf(origin->env, sizeof(origin->env), "%s", name);
}

/* Folder of an absolute name; "" for any other. */
static void
folder_of(const char *file, char folder[CONF_PATH_MAX])
{
	char *slash;

	folder[0] = '\0';
	if (file[0] != '/' || strlen(file) >= CONF_PATH_MAX)
		return;
	memcpy(folder, file, strlen(file) + 1);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
}

static int
read_text(struct reading *r, const struct conftext *t)
{
	struct confyaml y;
	size_t i;
	int error;

	r->text = t;
	error = set_defaults(r);
	if (error != 0)
		return error;
	error = confyaml_read(&y, r->errors, t);
	for (i = 0; i < y.n; i++)
		take_node(r, &y, &y.nodes[i]);
	/* What is missing can be told only where all was read. */
	if (y.whole)
		tell_missing(r, &y);
	confyaml_free(&y);
	return error == -ENOMEM ? error : 0;
}

/* file is the absolute name or "", shown is what the person calls it. */
static int
parse(struct conf *c, struct conf_errors *e, const char *file,
    const char *shown, const char *buf, size_t len, char *const envp[],
    bool strict)
{
	struct reading r = { .errors = e };
	struct conftext t;
	int error;

	(void)snprintf(e->file, sizeof(e->file), "%s", shown);
	if (len > CONF_FILE_MAX) {
		conf_errors_add(e, NULL, 0, 0, "is larger than %d bytes",
		    CONF_FILE_MAX);
		return -EFBIG;
	}
	folder_of(file, r.folder);
	(void)snprintf(r.conf.file, sizeof(r.conf.file), "%s", file);
	error = conftext_open(&t, buf, len);
	if (error == 0)
		error = read_text(&r, &t);
	for (; error == 0 && envp != NULL && *envp != NULL; envp++)
		if (strncmp(*envp, "CLAW_", 5) == 0)
			take_variable(&r, *envp, strict);
	if (error == 0 && !conf_errors_any(e))
		check_together(&r);
	conftext_close(&t);
	if (error == -ENOMEM)
		conf_errors_add(e, NULL, 0, 0, "out of memory");
	if (error == 0 && conf_errors_any(e))
		error = -EINVAL;
	if (error == 0)
		*c = r.conf;
	return error;
}

int
conf_parse(struct conf *c, struct conf_errors *e, const char *name,
    const char *buf, size_t len)
{
	return parse(c, e, name[0] == '/' ? name : "", name, buf, len, NULL,
	    false);
}

/* The whole file in buf, which has room for one byte too many. */
static int
slurp(int fd, char *buf, size_t *len)
{
	ssize_t n;

	*len = 0;
	while (*len <= CONF_FILE_MAX) {
		n = read(fd, buf + *len, CONF_FILE_MAX + 1 - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return 0;
}

/* O_NONBLOCK: a FIFO must not hold us before fstat has seen what it is. */
static int
open_file(struct conf_errors *e, const char *path)
{
	struct stat st;
	int fd, error;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		error = -errno;
		conf_errors_add(e, NULL, 0, 0, "cannot be opened: %s%s",
		    strerror(-error),
		    error == -ENOENT ? "; claw init makes a node and its file" :
				       "");
		return error;
	}
	error = fstat(fd, &st) != 0 ? -errno : 0;
	if (error != 0) {
		conf_errors_add(e, NULL, 0, 0, "cannot be examined: %s",
		    strerror(-error));
	} else if (!S_ISREG(st.st_mode)) {
		conf_errors_add(e, NULL, 0, 0, "is not a regular file");
		error = -EINVAL;
	} else if ((st.st_mode & S_IWOTH) != 0) {
		conf_errors_add(e, NULL, 0, 0,
		    "may be written by everybody (mode %04o); chmod o-w %s",
		    st.st_mode & 07777, path);
		error = -EINVAL;
	}
	if (error != 0) {
		(void)close(fd);
		return error;
	}
	return fd;
}

static int
absolute(const char *path, char out[CONF_PATH_MAX])
{
	char cwd[CONF_PATH_MAX];
	int n;

	if (path[0] == '/')
		n = snprintf(out, CONF_PATH_MAX, "%s", path);
	else if (getcwd(cwd, sizeof(cwd)) == NULL)
		return -errno;
	else
		n = snprintf(out, CONF_PATH_MAX, "%s/%s", cwd, path);
	return n < 0 || n >= CONF_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int
load(struct conf *c, struct conf_errors *e, const char *path,
    char *const envp[], bool strict)
{
	char file[CONF_PATH_MAX], *buf = NULL;
	size_t len;
	int fd, error;

	(void)snprintf(e->file, sizeof(e->file), "%s", path);
	fd = open_file(e, path);
	if (fd < 0)
		return fd;
	error = absolute(path, file);
	if (error == 0) {
		buf = malloc(CONF_FILE_MAX + 1);
		error = buf == NULL ? -ENOMEM : slurp(fd, buf, &len);
	}
	if (error == 0)
		error = parse(c, e, file, path, buf, len, envp, strict);
	else
		conf_errors_add(e, NULL, 0, 0, "cannot be read: %s",
		    strerror(-error));
	free(buf);
	(void)close(fd);
	return error;
}

int
conf_load(struct conf *c, struct conf_errors *e, const char *path,
    char *const envp[])
{
	return load(c, e, path, envp, true);
}

int
conf_load_client(struct conf *c, struct conf_errors *e, const char *path,
    char *const envp[])
{
	return load(c, e, path, envp, false);
}

int
conf_check_value(enum conf_key key, const char *text, char *why, size_t len)
{
	struct conf c;

	if ((unsigned int)key >= CONF_KEY_MAX)
		return -EINVAL;
	return confkey_set(&c, key, text, NULL, why, len);
}

size_t
conf_diff(const struct conf *old, const struct conf *new,
    enum conf_key *changed)
{
	char a[CONF_TEXT_MAX], b[CONF_TEXT_MAX];
	size_t i, n = 0;

	for (i = 0; i < CONF_KEY_MAX; i++) {
		conf_value_text(old, (enum conf_key)i, a, sizeof(a));
		conf_value_text(new, (enum conf_key)i, b, sizeof(b));
		if (strcmp(a, b) != 0)
			changed[n++] = (enum conf_key)i;
	}
	return n;
}

size_t
conf_diff_fixed(const struct conf *old, const struct conf *new, char *buf,
    size_t len)
{
	enum conf_key changed[CONF_KEY_MAX];
	size_t i, n, o = 0, fixed = 0;
	int w;

	if (len > 0)
		buf[0] = '\0';
	n = conf_diff(old, new, changed);
	for (i = 0; i < n; i++) {
		if (conf_key_reloads(changed[i]))
			continue;
		w = snprintf(buf + o, len - o, "%s%s", fixed == 0 ? "" : ", ",
		    conf_key_path(changed[i]));
		if (w > 0 && (size_t)w < len - o)
			o += (size_t)w;
		fixed++;
	}
	return fixed;
}

void
conf_origin_text(const struct conf *c, enum conf_key key, char *buf, size_t len)
{
	const struct conf_origin *o = &c->origin[key];
	const char *base = strrchr(c->file, '/');

	switch (o->from) {
	case CONF_FROM_FILE:
		(void)snprintf(buf, len, "%s:%u",
		    base == NULL ? "claw.yaml" : base + 1, o->line);
		break;
	case CONF_FROM_ENV:
		(void)snprintf(buf, len, "env %s", o->env);
		break;
	default:
		(void)snprintf(buf, len, "default");
	}
}

/* Opens the sections of path that the one before it was not in. */
static void
print_sections(FILE *f, const char *before, const char *path)
{
	const char *p = path, *dot;
	int indent = 0;

	for (; (dot = strchr(p, '.')) != NULL; p = dot + 1, indent += 2)
		if (strncmp(before, path, (size_t)(dot - path) + 1) != 0)
			(void)fprintf(f, "%*s%.*s:\n", indent, "",
			    (int)(dot - p), p);
	(void)fprintf(f, "%*s%s: ", indent, "", p);
}

void
conf_print(const struct conf *c, FILE *f, bool origins)
{
	char text[CONF_TEXT_MAX], quoted[CONF_QUOTED_MAX];
	const char *before = "", *path;
	size_t i;

	for (i = 0; i < CONF_KEY_MAX; i++) {
		path = conf_key_path((enum conf_key)i);
		print_sections(f, before, path);
		conf_value_text(c, (enum conf_key)i, text, sizeof(text));
		(void)fprintf(f, "%s",
		    confkey_write((enum conf_key)i, text, quoted));
		if (origins) {
			conf_origin_text(c, (enum conf_key)i, text,
			    sizeof(text));
			(void)fprintf(f, "  # %s", text);
		}
		(void)fputc('\n', f);
		before = path;
	}
}
