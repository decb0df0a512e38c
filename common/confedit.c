/* SPDX-License-Identifier: ISC */
/*
 * confedit.c - sets one value in a claw.yaml and leaves every other byte.
 *
 * The file belongs to the person who wrote it, comments and all. So the value
 * is spliced into the bytes where it stands, the result is read again and
 * must say exactly what the old file said and the new value besides, and only
 * then does it take the file's place. Whatever this room is not sure of it
 * leaves to the person, and says what to write.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/confedit.h"
#include "common/confkey.h"
#include "common/conftext.h"
#include "common/confyaml.h"

#define INDENT_MAX 16
#define LINES_MAX (CONF_QUOTED_MAX + 512)

/* One edit: the bytes from at to end give way to text. */
struct edit {
	size_t at, end;
	char text[LINES_MAX];
	size_t len;
};

static void
edit_add(struct edit *ed, const char *s, size_t n)
{
	if (n > sizeof(ed->text) - ed->len)
		n = sizeof(ed->text) - ed->len;
	memcpy(ed->text + ed->len, s, n);
	ed->len += n;
}

static void
edit_indent(struct edit *ed, unsigned int n)
{
	for (; n > 0; n--)
		edit_add(ed, " ", 1);
}

static int
leave(struct conf_errors *e, const struct conftext *t, unsigned int line,
    unsigned int column, const char *shape, enum conf_key key)
{
	conf_errors_add(e, t, line, column, "%s; set %s here by hand", shape,
	    conf_key_path(key));
	return -ENOTSUP;
}

/* Whether what is there is that value. */
static bool
says(const struct confyaml_node *node, enum conf_key key, const char *value)
{
	char joined[CONF_TEXT_MAX], why[CONF_TEXT_MAX];
	size_t wrong;

	if (!node->list || !conf_value_is_list(key))
		return strcmp(node->text, value) == 0;
	return confkey_list(key, node->text, joined, &wrong, why,
		   sizeof(why)) == 0 &&
	    strcmp(joined, value) == 0;
}

/* The value's own bytes; quotes stay where there were quotes. */
static int
replace_value(struct edit *ed, struct conf_errors *e, const struct conftext *t,
    const struct confyaml_node *node, enum conf_key key, const char *value)
{
	char quoted[CONF_QUOTED_MAX];

	if (node->kind != CONFYAML_VALUE || node->block)
		return leave(e, t, node->line, node->column,
		    node->block ? "a list of several lines" : "not one value",
		    key);
	if (node->flow)
		return leave(e, t, node->value_line, node->value_column,
		    "in braces", key);
	ed->at = node->at;
	ed->end = node->end;
	if (!node->null && says(node, key, value)) {
		edit_add(ed, t->buf + ed->at, ed->end - ed->at);
		return 0;
	}
	if (ed->at > 0 && t->buf[ed->at - 1] == ':')
		edit_add(ed, " ", 1);
	(void)confkey_write(key, value, quoted);
	if (node->quoted && strchr("\"[", quoted[0]) == NULL &&
	    !conf_value_is_plain(key)) {
		edit_add(ed, "\"", 1);
		edit_add(ed, quoted, strlen(quoted));
		edit_add(ed, "\"", 1);
	} else {
		edit_add(ed, quoted, strlen(quoted));
	}
	return 0;
}

/* By how much the file indents a section's keys. */
static unsigned int
indent_step(const struct confyaml *y)
{
	const struct confyaml_node *n, *above;
	size_t i;

	for (i = 0; i < y->n; i++) {
		n = &y->nodes[i];
		if (n->parent < 0 || n->flow)
			continue;
		above = &y->nodes[n->parent];
		if (n->column > above->column)
			return n->column - above->column;
	}
	return 2;
}

/* The innermost section of the path that the file has, or NULL; *rest is
 * what of the path is then still to be written. */
static const struct confyaml_node *
innermost(const struct confyaml *y, const char *path, const char **rest)
{
	const struct confyaml_node *found = NULL, *node;
	char above[CONF_ENV_MAX * 2];
	const char *dot;

	*rest = path;
	for (dot = path; (dot = strchr(dot, '.')) != NULL; dot++) {
		(void)snprintf(above, sizeof(above), "%.*s", (int)(dot - path),
		    path);
		node = confyaml_find(y, above);
		if (node == NULL)
			break;
		found = node;
		*rest = dot + 1;
	}
	return found;
}

/* Where a new key of that section goes: after which line, how far in. */
static int
find_place(const struct confyaml *y, const struct conftext *t,
    const struct confyaml_node *section, unsigned int *line,
    unsigned int *indent)
{
	size_t i, first = 0;

	if (section == NULL) {
		if (y->flow)
			return -ENOTSUP;
		*indent = y->n == 0 ? 0 : y->nodes[0].column - 1;
		*line = y->n == 0 ? t->n_lines : 0;
		for (i = 0; i < y->n; i++)
			if (y->nodes[i].end_line > *line)
				*line = y->nodes[i].end_line;
	} else if (section->kind == CONFYAML_SECTION && !section->flow) {
		first = (size_t)(section - y->nodes) + 1;
		if (first >= y->n)
			return -ENOTSUP;
		*indent = y->nodes[first].column - 1;
		*line = section->end_line;
	} else if (section->kind == CONFYAML_VALUE && section->null &&
	    section->at == section->end && !section->flow) {
		*indent = section->column - 1 + indent_step(y);
		*line = section->line;
	} else {
		return -ENOTSUP;
	}
	return *indent > INDENT_MAX ? -ENOTSUP : 0;
}

static int
add_key(struct edit *ed, struct conf_errors *e, const struct conftext *t,
    const struct confyaml *y, enum conf_key key, const char *value)
{
	const struct confyaml_node *section;
	char quoted[CONF_QUOTED_MAX];
	unsigned int line, indent;
	const char *rest, *dot;

	section = innermost(y, conf_key_path(key), &rest);
	if (find_place(y, t, section, &line, &indent) != 0)
		return leave(e, t, section == NULL ? 1 : section->value_line,
		    section == NULL ? 1 : section->value_column,
		    "not a section of indented lines", key);
	ed->at = conftext_line_end(t, line);
	if (ed->at < t->len)
		ed->at++;
	else if (t->len > 0 && t->buf[t->len - 1] != '\n')
		edit_add(ed, "\n", 1);
	ed->end = ed->at;
	for (; (dot = strchr(rest, '.')) != NULL; rest = dot + 1) {
		edit_indent(ed, indent);
		edit_add(ed, rest, (size_t)(dot - rest));
		edit_add(ed, ":\n", 2);
		indent += indent_step(y);
	}
	edit_indent(ed, indent);
	edit_add(ed, rest, strlen(rest));
	edit_add(ed, ": ", 2);
	(void)confkey_write(key, value, quoted);
	edit_add(ed, quoted, strlen(quoted));
	edit_add(ed, "\n", 1);
	return 0;
}

/* Whether the node is the key, or a section around it. */
static bool
leads_to(const char *path, const char *set)
{
	size_t n = strlen(path);

	return strncmp(path, set, n) == 0 && (set[n] == '.' || set[n] == '\0');
}

/* Whether b says all that a says, whatever they say of the key set. */
static bool
keeps(const struct confyaml *a, const struct confyaml *b, const char *set)
{
	const struct confyaml_node *x, *y;
	size_t i;

	for (i = 0; i < a->n; i++) {
		x = &a->nodes[i];
		if (leads_to(x->path, set))
			continue;
		y = confyaml_find(b, x->path);
		if (y == NULL || y->kind != x->kind)
			return false;
		if (x->kind == CONFYAML_VALUE &&
		    (y->quoted != x->quoted || strcmp(y->text, x->text) != 0))
			return false;
	}
	return true;
}

/* Reads the result as anybody would: it must be right, hold the new value,
 * and besides say what it said before and nothing else. */
static int
verify(const char *name, const struct confyaml *before, const char *buf,
    size_t len, enum conf_key key, const char *value, struct conf_errors *e)
{
	const char *path = conf_key_path(key);
	const struct confyaml_node *node;
	struct confyaml after = { 0 };
	struct conftext t;
	struct conf c;
	int error;

	error = conf_parse(&c, e, name, buf, len);
	if (error != 0)
		return error;
	error = conftext_open(&t, buf, len);
	if (error == 0)
		error = confyaml_read(&after, e, &t);
	if (error == 0) {
		node = confyaml_find(&after, path);
		if (node == NULL || node->text == NULL ||
		    !says(node, key, value) || !keeps(before, &after, path) ||
		    !keeps(&after, before, path)) {
			conf_errors_add(e, NULL, 0, 0,
			    "has a shape that is not edited; set %s by hand",
			    path);
			error = -ENOTSUP;
		}
	}
	confyaml_free(&after);
	conftext_close(&t);
	return error;
}

static int
make_edit(struct edit *ed, struct conf_errors *e, const struct conftext *t,
    const struct confyaml *y, enum conf_key key, const char *value)
{
	const struct confyaml_node *node;
	char why[CONF_TEXT_MAX];

	if (conf_check_value(key, value, why, sizeof(why)) != 0) {
		conf_errors_add(e, NULL, 0, 0, "%s %s", conf_key_path(key),
		    why);
		return -EINVAL;
	}
	node = confyaml_find(y, conf_key_path(key));
	if (node != NULL)
		return replace_value(ed, e, t, node, key, value);
	return add_key(ed, e, t, y, key, value);
}

int
confedit_text(const char *name, const char *buf, size_t len, enum conf_key key,
    const char *value, char **out, size_t *out_len, struct conf_errors *e)
{
	struct edit ed = { 0 };
	struct confyaml y = { 0 };
	struct conftext t;
	char *new = NULL;
	size_t n = 0;
	int error;

	*out = NULL;
	(void)snprintf(e->file, sizeof(e->file), "%s", name);
	if (len > CONF_FILE_MAX) {
		conf_errors_add(e, NULL, 0, 0, "is larger than %d bytes",
		    CONF_FILE_MAX);
		return -EFBIG;
	}
	error = conftext_open(&t, buf, len);
	if (error == 0)
		error = confyaml_read(&y, e, &t);
	if (error == 0)
		error = make_edit(&ed, e, &t, &y, key, value);
	if (error != 0)
		goto out;
	n = len - (ed.end - ed.at) + ed.len;
	new = malloc(n);
	if (new == NULL) {
		error = -ENOMEM;
		goto out;
	}
	memcpy(new, buf, ed.at);
	memcpy(new + ed.at, ed.text, ed.len);
	memcpy(new + ed.at + ed.len, buf + ed.end, len - ed.end);
	error = verify(name, &y, new, n, key, value, e);
	if (error == 0) {
		*out = new;
		*out_len = n;
		new = NULL;
	}
out:
	if (error == -ENOMEM)
		conf_errors_add(e, NULL, 0, 0, "out of memory");
	free(new);
	confyaml_free(&y);
	conftext_close(&t);
	return error;
}

static bool
same_line(const struct conftext *a, unsigned int la, const struct conftext *b,
    unsigned int lb)
{
	size_t at = conftext_offset(a, la, 1), bt = conftext_offset(b, lb, 1);
	size_t n = conftext_line_end(a, la) - at;

	return n == conftext_line_end(b, lb) - bt &&
	    memcmp(a->buf + at, b->buf + bt, n) == 0;
}

static void
print_lines(FILE *f, char sign, const struct conftext *t, unsigned int first,
    unsigned int last)
{
	size_t at, n;

	for (; first <= last; first++) {
		at = conftext_offset(t, first, 1);
		n = conftext_line_end(t, first) - at;
		if (n > 0 || first < t->n_lines)
			(void)fprintf(f, "%c%.*s\n", sign, (int)n, t->buf + at);
	}
}

/* The lines that differ; confyaml.c has seen that both texts are clean. */
static void
print_diff(FILE *f, const char *path, const struct conftext *a,
    const struct conftext *b)
{
	unsigned int first = 1, last_a = a->n_lines, last_b = b->n_lines;

	while (
	    first <= last_a && first <= last_b && same_line(a, first, b, first))
		first++;
	while (last_a >= first && last_b >= first &&
	    same_line(a, last_a, b, last_b)) {
		last_a--;
		last_b--;
	}
	if (first > last_a && first > last_b)
		return;
	(void)fprintf(f, "%s:%u\n", path, first);
	print_lines(f, '-', a, first, last_a);
	print_lines(f, '+', b, first, last_b);
}

static void
show_change(FILE *f, const char *path, const char *old, size_t old_len,
    const char *new, size_t new_len)
{
	struct conftext a = { 0 }, b = { 0 };

	if (conftext_open(&a, old, old_len) == 0 &&
	    conftext_open(&b, new, new_len) == 0)
		print_diff(f, path, &a, &b);
	conftext_close(&a);
	conftext_close(&b);
}

static int
write_all(int fd, const char *buf, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, buf, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The file's bytes in a new buffer, and its mode and owner. */
static int
read_all(const char *path, char **buf, size_t *len, struct stat *st)
{
	ssize_t n;
	int fd, error = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EIO;
	*len = 0;
	*buf = malloc(CONF_FILE_MAX + 1);
	if (*buf == NULL)
		error = -ENOMEM;
	else if (fstat(fd, st) != 0 || !S_ISREG(st->st_mode))
		error = -EIO;
	while (error == 0 && *len <= CONF_FILE_MAX) {
		n = read(fd, *buf + *len, CONF_FILE_MAX + 1 - *len);
		if (n == 0)
			break;
		if (n > 0)
			*len += (size_t)n;
		else if (errno != EINTR)
			error = -EIO;
	}
	(void)close(fd);
	return error;
}

/*
 * Gives the open temporary file its content and the old one's mode and owner,
 * and makes it durable before anybody can see it.
 */
static int
fill(int fd, const struct stat *old, const char *buf, size_t len)
{
	struct stat st;
	int error;

	error = write_all(fd, buf, len);
	if (error != 0)
		return error;
	if (fstat(fd, &st) != 0)
		return -errno;
	if ((st.st_uid != old->st_uid || st.st_gid != old->st_gid) &&
	    fchown(fd, old->st_uid, old->st_gid) != 0)
		return -errno;
	if (fchmod(fd, old->st_mode & 07777) != 0 || fsync(fd) != 0)
		return -errno;
	return 0;
}

/* dir_fd is the folder of path, to be synced once the name points anew. */
static int
replace_file(const char *path, int dir_fd, const struct stat *old,
    const char *buf, size_t len, struct conf_errors *e)
{
	char temp[CONF_PATH_MAX + 8];
	const char *base;
	int fd, error;

	base = strrchr(path, '/') + 1;
	(void)snprintf(temp, sizeof(temp), "%.*s.%s.XXXXXX", (int)(base - path),
	    path, base);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0) {
		error = -errno;
		conf_errors_add(e, NULL, 0, 0,
		    "the new file cannot be made beside it: %s",
		    strerror(-error));
		return error == -EIO ? -EACCES : error;
	}
	error = fill(fd, old, buf, len);
	if (close(fd) != 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(temp, path) != 0)
		error = -errno;
	if (error != 0)
		(void)unlink(temp);
	else if (fsync(dir_fd) != 0)
		error = -errno;
	if (error == 0)
		return 0;
	conf_errors_add(e, NULL, 0, 0, "cannot be written: %s%s",
	    strerror(-error),
	    error == -EPERM ?
		"; only root can keep its owner, run this as the owner" :
		"");
	return -EIO;
}

/* With the folder locked, so that two edits do not undo each other. */
static int
edit_locked(const char *path, const char *shown, int dir_fd, enum conf_key key,
    const char *value, struct conf_errors *e, FILE *diff)
{
	char *buf = NULL, *new = NULL;
	size_t len = 0, new_len = 0;
	struct stat st;
	int error;

	error = read_all(path, &buf, &len, &st);
	if (error != 0)
		conf_errors_add(e, NULL, 0, 0, "cannot be read");
	else
		error = confedit_text(shown, buf, len, key, value, &new,
		    &new_len, e);
	if (error == 0 && (len != new_len || memcmp(buf, new, len) != 0)) {
		error = replace_file(path, dir_fd, &st, new, new_len, e);
		if (error == 0 && diff != NULL)
			show_change(diff, shown, buf, len, new, new_len);
	}
	free(new);
	free(buf);
	return error;
}

int
confedit_file(const char *path, enum conf_key key, const char *value,
    struct conf_errors *e, FILE *diff)
{
	char dir[CONF_PATH_MAX], *real;
	int dir_fd, error;

	(void)snprintf(e->file, sizeof(e->file), "%s", path);
	/* A link stays a link: what it points to is replaced. */
	real = realpath(path, NULL);
	if (real == NULL || strlen(real) >= sizeof(dir)) {
		error = real != NULL || errno != ENOENT ? -EIO : -ENOENT;
		conf_errors_add(e, NULL, 0, 0, "cannot be found%s",
		    error == -ENOENT ? "; claw init makes a node and its file" :
				       "");
		free(real);
		return error;
	}
	(void)snprintf(dir, sizeof(dir), "%s", real);
	*(strrchr(dir, '/') + 1) = '\0';
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || flock(dir_fd, LOCK_EX) != 0) {
		conf_errors_add(e, NULL, 0, 0,
		    "its folder cannot be opened: %s", strerror(errno));
		error = -EIO;
	} else {
		error = edit_locked(real, path, dir_fd, key, value, e, diff);
	}
	if (dir_fd >= 0)
		(void)close(dir_fd);
	free(real);
	return error;
}
