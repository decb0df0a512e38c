/* SPDX-License-Identifier: ISC */
/*
 * confyaml.c - the small part of YAML that claw.yaml is written in.
 *
 * Sections within sections and one value on one line behind each key; in one
 * document, in UTF-8, indented with spaces. Everything by which YAML lets a
 * file say other than it seems to (duplicates, anchors, aliases, tags, merge
 * keys, more documents, exotic line breaks) is refused here, because libyaml
 * accepts it without a word. What the keys mean is not known in this room.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/confyaml.h"

#define LINE_MAX_BYTES 4096 /* keeps every walk along a line short */
#define IGNORED_MAX 32	    /* nesting, after which reading stops */

struct frame {
	int node; /* section that is open; -1 the file itself */
	bool want_key;
	int pending; /* node whose value comes next; -1 an ignored one */
};

struct reader {
	struct confyaml *y;
	struct conf_errors *e;
	const struct conftext *t;
	struct frame stack[CONFYAML_DEPTH];
	unsigned int depth;
	unsigned int ignored; /* open lists and sections nobody reads */
	int list;	      /* node whose list is open, or -1 */
	unsigned int documents;
	bool stop;
	int error;
};

static unsigned int
mark_line(yaml_mark_t m)
{
	return (unsigned int)m.line + 1;
}

static unsigned int
mark_column(yaml_mark_t m)
{
	return (unsigned int)m.column + 1;
}

static void
complain(struct reader *r, yaml_mark_t m, const char *what)
{
	conf_errors_add(r->e, r->t, mark_line(m), mark_column(m), "%s", what);
}

/* What is wrong with a character wherever it stands, or NULL. */
static const char *
bad_char(uint32_t c, bool in_comment)
{
	if (c == '\n' || (c == '\t' && in_comment))
		return NULL;
	if (c == '\t')
		return "a tab; use spaces";
	if (c == '\r')
		return "a carriage return; lines end in a newline alone "
		       "(dos2unix mends the file)";
	if (c == 0xfeff)
		return "a byte order mark; save the file as UTF-8 without one";
	if (c == 0x85 || c == 0x2028 || c == 0x2029)
		return "a Unicode line separator; lines end in a newline";
	return conftext_is_clean(c) ? NULL : "a control character";
}

/* Tells at most one bad character per line. */
static void
scan_chars(struct reader *r)
{
	const struct conftext *t = r->t;
	unsigned int line, column;
	size_t at, end, n;
	const char *what;
	bool comment;
	uint32_t c, before;

	for (line = 1; line <= t->n_lines; line++) {
		at = conftext_offset(t, line, 1);
		end = conftext_line_end(t, line);
		comment = false;
		before = ' ';
		what = NULL;
		if (end - at > LINE_MAX_BYTES)
			what = "a line of more than 4096 bytes";
		for (column = 1; what == NULL && at < end; column++) {
			n = conftext_char(t->buf + at, end - at, &c);
			if (n == 0) {
				what = "not UTF-8";
				break;
			}
			comment |= c == '#' && before == ' ';
			what = bad_char(c, comment);
			if (what != NULL)
				break;
			before = c;
			at += n;
		}
		if (what != NULL)
			conf_errors_add(r->e, t, line, column, "%s", what);
	}
}

/* Makes room for one more node; its index, or -1 with the error told. */
static int
new_node(struct reader *r, const char *key, yaml_event_t *ev)
{
	const struct frame *f = &r->stack[r->depth - 1];
	const char *above = f->node < 0 ? "" : r->y->nodes[f->node].path;
	struct confyaml_node *node, *all;
	size_t len;

	if (r->y->n == CONFYAML_NODES) {
		complain(r, ev->start_mark, "too many keys");
		r->stop = true;
		return -1;
	}
	if (r->y->n % 64 == 0) {
		all = reallocarray(r->y->nodes, r->y->n + 64, sizeof(*all));
		if (all == NULL)
			goto nomem;
		r->y->nodes = all;
	}
	node = &r->y->nodes[r->y->n];
	memset(node, 0, sizeof(*node));
	len = strlen(above) + strlen(key) + 2;
	node->path = malloc(len);
	if (node->path == NULL)
		goto nomem;
	(void)snprintf(node->path, len, "%s%s%s", above,
	    above[0] == '\0' ? "" : ".", key);
	node->parent = f->node;
	node->kind = CONFYAML_BROKEN;
	node->line = mark_line(ev->start_mark);
	node->column = mark_column(ev->start_mark);
	node->value_line = node->end_line = node->line;
	node->value_column = node->column;
	return (int)r->y->n++;
nomem:
	r->error = -ENOMEM;
	r->stop = true;
	return -1;
}

/* Byte past the colon that ends a key on the key's own line, or 0. */
static size_t
colon_after(const struct reader *r, const yaml_event_t *ev)
{
	size_t at, end;

	at = conftext_offset(r->t, mark_line(ev->end_mark),
	    mark_column(ev->end_mark));
	end = conftext_line_end(r->t, mark_line(ev->end_mark));
	while (at < end && r->t->buf[at] == ' ')
		at++;
	return at < end && r->t->buf[at] == ':' ? at + 1 : 0;
}

/* A key: returns the node it opens, or -1 to ignore its value. */
static int
take_key(struct reader *r, yaml_event_t *ev)
{
	const char *key = (const char *)ev->data.scalar.value;
	const struct confyaml_node *other;
	unsigned int line;
	int node;

	if (strlen(key) != ev->data.scalar.length || key[0] == '\0' ||
	    strlen(key) > CONFYAML_KEY_MAX) {
		complain(r, ev->start_mark, "not a key");
		return -1;
	}
	if (strcmp(key, "<<") == 0) {
		complain(r, ev->start_mark,
		    "a merge key; write the keys out instead");
		return -1;
	}
	if (strchr(key, '.') != NULL) {
		complain(r, ev->start_mark,
		    "a dot in a key; write the section, and the key "
		    "indented on the line below it");
		return -1;
	}
	if (colon_after(r, ev) == 0) {
		complain(r, ev->start_mark,
		    "a key and its colon stand on one line");
		return -1;
	}
	node = new_node(r, key, ev);
	if (node < 0)
		return -1;
	conftext_place(r->t, colon_after(r, ev), &line,
	    &r->y->nodes[node].end_column);
	other = confyaml_find(r->y, r->y->nodes[node].path);
	if (other != NULL && other != &r->y->nodes[node]) {
		conf_errors_add_until(r->e, r->t, r->y->nodes[node].line,
		    r->y->nodes[node].column, r->y->nodes[node].end_column,
		    "the same key a second time; it is already on line %u",
		    other->line);
		free(r->y->nodes[node].path);
		r->y->n--;
		return -1;
	}
	return node;
}

static bool
is_null(const yaml_event_t *ev)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	size_t i;

	if (ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		if (strcmp((char *)ev->data.scalar.value, nulls[i]) == 0)
			return true;
	return false;
}

static void
take_value(struct reader *r, struct confyaml_node *node, yaml_event_t *ev)
{
	const char *text = (const char *)ev->data.scalar.value;
	yaml_scalar_style_t style = ev->data.scalar.style;

	node->value_line = mark_line(ev->start_mark);
	node->value_column = mark_column(ev->start_mark);
	node->end_line = mark_line(ev->end_mark);
	if (style == YAML_LITERAL_SCALAR_STYLE ||
	    style == YAML_FOLDED_SCALAR_STYLE ||
	    node->value_line != node->end_line) {
		complain(r, ev->start_mark, "a value stands on one line");
		return;
	}
	if (strlen(text) != ev->data.scalar.length) {
		complain(r, ev->start_mark, "a control character");
		return;
	}
	node->text = strdup(text);
	if (node->text == NULL) {
		r->error = -ENOMEM;
		r->stop = true;
		return;
	}
	node->kind = CONFYAML_VALUE;
	node->quoted = style != YAML_PLAIN_SCALAR_STYLE;
	node->null = is_null(ev);
	node->at = conftext_offset(r->t, node->value_line, node->value_column);
	node->end =
	    conftext_offset(r->t, node->end_line, mark_column(ev->end_mark));
}

static bool
is_start(const yaml_event_t *ev)
{
	return ev->type == YAML_MAPPING_START_EVENT ||
	    ev->type == YAML_SEQUENCE_START_EVENT;
}

/* Opens a list behind a key: its values are texts of one line each. */
static void
open_list(struct reader *r, int node, yaml_event_t *ev)
{
	struct confyaml_node *n = &r->y->nodes[node];

	n->block = ev->data.sequence_start.style != YAML_FLOW_SEQUENCE_STYLE;
	n->value_line = mark_line(ev->start_mark);
	n->value_column = mark_column(ev->start_mark);
	n->at = conftext_offset(r->t, n->value_line, n->value_column);
	n->text = strdup("");
	n->list = n->quoted = true;
	r->list = node;
	if (n->text == NULL) {
		r->error = -ENOMEM;
		r->stop = true;
	}
}

/* 0 or -ENOMEM. */
static int
add_item(struct confyaml_node *n, const char *text, yaml_mark_t at)
{
	struct confyaml_place *items;
	char *longer;

	items = reallocarray(n->items, n->n_items + 1, sizeof(*items));
	if (items == NULL)
		return -ENOMEM;
	n->items = items;
	if (asprintf(&longer, "%s%s%s", n->text, n->n_items > 0 ? "\n" : "",
		text) == -1)
		return -ENOMEM;
	items[n->n_items].line = mark_line(at);
	items[n->n_items++].column = mark_column(at);
	free(n->text);
	n->text = longer;
	return 0;
}

static void
take_item(struct reader *r, yaml_event_t *ev)
{
	struct confyaml_node *n = &r->y->nodes[r->list];
	const char *text = (const char *)ev->data.scalar.value;

	if (ev->type != YAML_SCALAR_EVENT) {
		complain(r, ev->start_mark, "a list holds values alone");
		r->ignored = is_start(ev);
		return;
	}
	/* A block ends with its last value; libyaml notices later. */
	n->end_line = mark_line(ev->end_mark);
	if (mark_line(ev->start_mark) != n->end_line ||
	    strlen(text) != ev->data.scalar.length || text[0] == '\0' ||
	    strchr(text, '\n') != NULL) {
		complain(r, ev->start_mark,
		    "a value of a list is not empty and stands on one line");
		return;
	}
	if (add_item(n, text, ev->start_mark) != 0) {
		r->error = -ENOMEM;
		r->stop = true;
	}
}

static void
close_list(struct reader *r, yaml_event_t *ev)
{
	struct confyaml_node *n = &r->y->nodes[r->list];

	r->list = -1;
	if (!n->block) {
		n->end_line = mark_line(ev->end_mark);
		n->end = conftext_offset(r->t, n->end_line,
		    mark_column(ev->end_mark));
	}
	if (!n->block && n->end_line != n->value_line)
		complain(r, ev->start_mark,
		    "a list in brackets stands on one line; or write each "
		    "value on a line of its own, after \"- \"");
	else
		n->kind = CONFYAML_VALUE;
}

/* Opens a section behind a key (node >= 0) or the file's own (-1). */
static void
open_section(struct reader *r, int node, yaml_event_t *ev)
{
	bool flow = ev->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
	struct confyaml_node *n;

	if (r->depth == CONFYAML_DEPTH) {
		complain(r, ev->start_mark, "too many sections in each other");
		r->ignored = 1;
		return;
	}
	if (node < 0) {
		r->y->flow = flow;
	} else {
		n = &r->y->nodes[node];
		n->kind = CONFYAML_SECTION;
		n->flow |= flow;
		n->value_line = mark_line(ev->start_mark);
		n->value_column = mark_column(ev->start_mark);
	}
	r->stack[r->depth++] = (struct frame){ node, true, -1 };
}

static void
close_section(struct reader *r, yaml_event_t *ev)
{
	int node = r->stack[--r->depth].node;
	struct confyaml_node *n;
	size_t i;

	if (node < 0)
		return;
	n = &r->y->nodes[node];
	if (n->flow)
		n->end_line = mark_line(ev->end_mark);
	/* A block ends where its last key does; libyaml only notices at the
	 * next token, which may be pages below. */
	for (i = (size_t)node + 1; i < r->y->n; i++)
		if (r->y->nodes[i].end_line > n->end_line)
			n->end_line = r->y->nodes[i].end_line;
}

/* Anchors and tags, on whatever they stand. */
static void
refuse_properties(struct reader *r, yaml_event_t *ev)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (ev->type == YAML_SCALAR_EVENT) {
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
	} else if (ev->type == YAML_MAPPING_START_EVENT) {
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
	}
	if (anchor != NULL)
		complain(r, ev->start_mark,
		    "an anchor; write the value where it is needed");
	if (tag != NULL)
		complain(r, ev->start_mark,
		    "a tag; each key has one type, leave the tag out");
}

/* The outermost node: a section without a name, or nothing. */
static void
take_root(struct reader *r, yaml_event_t *ev)
{
	if (ev->type == YAML_MAPPING_START_EVENT) {
		open_section(r, -1, ev);
		return;
	}
	if (ev->type == YAML_SCALAR_EVENT && is_null(ev))
		return;
	complain(r, ev->start_mark,
	    "not a section; the file is made of lines like \"node:\"");
	r->ignored = is_start(ev);
}

static void
take_keyed(struct reader *r, yaml_event_t *ev)
{
	struct frame *f = &r->stack[r->depth - 1];
	struct confyaml_node *node;
	int pending = f->pending;

	if (f->want_key) {
		f->want_key = false;
		f->pending = -1;
		if (ev->type == YAML_SCALAR_EVENT) {
			pending = take_key(r, ev);
			f->pending = pending;
			if (pending >= 0 &&
			    (f->node < 0 ? r->y->flow :
					   r->y->nodes[f->node].flow))
				r->y->nodes[pending].flow = true;
		} else {
			complain(r, ev->start_mark, "not a key");
			r->ignored = is_start(ev);
		}
		return;
	}
	f->want_key = true;
	if (pending < 0) {
		r->ignored = is_start(ev);
		return;
	}
	node = &r->y->nodes[pending];
	if (ev->type == YAML_MAPPING_START_EVENT) {
		open_section(r, pending, ev);
	} else if (ev->type == YAML_SCALAR_EVENT) {
		take_value(r, node, ev);
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		open_list(r, pending, ev);
	}
}

static void
take_node(struct reader *r, yaml_event_t *ev)
{
	if (r->ignored > 0) {
		r->ignored += is_start(ev);
		r->stop = r->ignored > IGNORED_MAX;
		return;
	}
	refuse_properties(r, ev);
	if (ev->type == YAML_ALIAS_EVENT)
		complain(r, ev->start_mark, "an alias; write the value itself");
	if (r->list >= 0)
		take_item(r, ev);
	else if (r->depth > 0)
		take_keyed(r, ev);
	else if (ev->type != YAML_ALIAS_EVENT)
		take_root(r, ev);
}

static void
take_document(struct reader *r, yaml_event_t *ev)
{
	if (r->documents++ > 0) {
		complain(r, ev->start_mark,
		    "a second document; the file holds one");
		r->stop = true;
	}
	if (ev->data.document_start.version_directive != NULL ||
	    ev->data.document_start.tag_directives.start !=
		ev->data.document_start.tag_directives.end)
		complain(r, ev->start_mark, "a directive; leave it out");
}

static void
take_event(struct reader *r, yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		take_document(r, ev);
		break;
	case YAML_ALIAS_EVENT:
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		take_node(r, ev);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		if (r->ignored > 0)
			r->ignored--;
		else if (r->list >= 0)
			close_list(r, ev);
		else
			close_section(r, ev);
		break;
	case YAML_STREAM_END_EVENT:
		r->y->whole = true;
		r->stop = true;
		break;
	default:
		break;
	}
}

/* libyaml stops at the first thing it cannot read, and so must we. */
static void
tell_syntax(struct reader *r, const yaml_parser_t *p)
{
	yaml_mark_t m = p->problem_mark;

	if (p->error == YAML_MEMORY_ERROR) {
		r->error = -ENOMEM;
		return;
	}
	if (m.line == 0 && m.column == 0)
		m = p->context_mark;
	conf_errors_add(r->e, r->t, mark_line(m), mark_column(m),
	    "not YAML%s%s: %s; what follows was not read",
	    p->context == NULL ? "" : " ", p->context == NULL ? "" : p->context,
	    p->problem == NULL ? "unreadable" : p->problem);
}

int
confyaml_read(struct confyaml *y, struct conf_errors *e,
    const struct conftext *t)
{
	struct reader r = { .y = y, .e = e, .t = t, .list = -1 };
	yaml_parser_t parser;
	yaml_event_t ev;

	memset(y, 0, sizeof(*y));
	scan_chars(&r);
	if (conf_errors_any(e))
		return -EINVAL;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)t->buf,
	    t->len);
	while (!r.stop) {
		if (!yaml_parser_parse(&parser, &ev)) {
			tell_syntax(&r, &parser);
			break;
		}
		take_event(&r, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	if (r.error != 0)
		return r.error;
	return conf_errors_any(e) ? -EINVAL : 0;
}

void
confyaml_free(struct confyaml *y)
{
	size_t i;

	for (i = 0; i < y->n; i++) {
		free(y->nodes[i].path);
		free(y->nodes[i].text);
		free(y->nodes[i].items);
	}
	free(y->nodes);
	memset(y, 0, sizeof(*y));
}

const struct confyaml_node *
confyaml_find(const struct confyaml *y, const char *path)
{
	size_t i;

	for (i = 0; i < y->n; i++)
		if (strcmp(y->nodes[i].path, path) == 0)
			return &y->nodes[i];
	return NULL;
}
