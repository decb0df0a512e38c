/* SPDX-License-Identifier: ISC */
/*
 * confyaml.h - the small part of YAML that claw.yaml is written in.
 */
#ifndef CLAW_COMMON_CONFYAML_H
#define CLAW_COMMON_CONFYAML_H

#include "common/conftext.h"

#define CONFYAML_DEPTH 8    /* sections within sections */
#define CONFYAML_NODES 1024 /* keys in one file */
#define CONFYAML_KEY_MAX 64 /* bytes of one key */

enum confyaml_kind {
	CONFYAML_SECTION,
	CONFYAML_VALUE,
	CONFYAML_BROKEN /* its error has been told */
};

struct confyaml_place {
	unsigned int line, column;
};

/* A key and what stands behind it. Lines and columns count from 1. */
struct confyaml_node {
	char *path; /* "node.data_dir" */
	int parent; /* index, or -1 */
	enum confyaml_kind kind;
	unsigned int line, column;	       /* of the key */
	unsigned int end_column;	       /* past the key's colon */
	unsigned int value_line, value_column; /* of the value */
	unsigned int end_line;		       /* the last line it is on */
	size_t at, end; /* bytes of a value, as written */
	char *text;	/* the value itself; a list's with newlines between */
	bool quoted;
	bool list;  /* ["like", "this"] on one line, or a block */
	bool block; /* a line for each value, with a dash before it */
	struct confyaml_place *items; /* of the values of a list */
	size_t n_items;
	bool null; /* nothing there, or ~ or null */
	bool flow; /* a section in braces, or anything in one */
};

struct confyaml {
	struct confyaml_node *nodes; /* in the order of the file */
	size_t n;
	bool flow;  /* the whole file is in braces */
	bool whole; /* read to its end */
};

/*
 * Reads the text. Whatever is not in our part of YAML is told in e; y then
 * holds what could still be read. 0, -EINVAL where anything was told, or
 * -ENOMEM. confyaml_free in every case.
 */
int confyaml_read(struct confyaml *y, struct conf_errors *e,
    const struct conftext *t);
void confyaml_free(struct confyaml *y);

/* The node of that path, or NULL. */
const struct confyaml_node *
confyaml_find(const struct confyaml *, const char *path);

#endif
