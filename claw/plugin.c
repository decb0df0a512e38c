/* SPDX-License-Identifier: ISC */
/*
 * plugin.c - claw plugin:doctor: what is wrong with a plugin's manifest, all
 * of it in one run, as compilers say it. Reads one file and asks nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/out.h"
#include "common/capability.h"
#include "common/manifest.h"

/* At most one byte more than a manifest may have: its length, or -1. */
static ssize_t
read_manifest(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n != 0 && len < size) {
		n = read(fd, buf + len, size - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static void
hex(const uint8_t *p, size_t n, char *out)
{
	size_t i;

	for (i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static json_t *
capabilities(uint64_t mask)
{
	const char *names[CAPABILITIES_MAX];
	size_t i, n = capability_names(mask, names);
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		(void)json_array_append_new(list, json_string(names[i]));
	return list;
}

/* The manifest as it was understood; NULL if it is none. */
static json_t *
understood(const struct manifest *m, int verdict)
{
	char sha256[65];
	json_t *j;

	if (verdict != 0)
		return NULL;
	j = json_pack("{s:s, s:s, s:o}", "name", m->name, "version", m->version,
	    "binaryCapabilities", capabilities(m->capabilities));
	if (m->binary_path[0] != '\0') {
		hex(m->binary_sha256, sizeof(m->binary_sha256), sha256);
		(void)json_object_set_new(j, "binary",
		    json_pack("{s:s, s:s}", "path", m->binary_path, "sha256",
			sha256));
	}
	return j;
}

static int
report_json(const struct cmd *c, const char *file, const struct manifest *m,
    const struct manifest_report *r, int verdict)
{
	json_t *list = json_array(), *j;
	char digest[65];
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct manifest_finding *f = &r->finding[i];

		(void)json_array_append_new(list,
		    json_pack("{s:s, s:b, s:i, s:i, s:s, s:s, s:s}", "id",
			f->id, "breaks", f->breaks, "line", (int)f->line,
			"column", (int)f->column, "field", f->field, "message",
			f->message, "fix", f->fix));
	}
	hex(m->digest, sizeof(m->digest), digest);
	/* A name that is not UTF-8 is left out. */
	j = json_pack("{s:o, s:I, s:I, s:s, s:o*, s:o*}", "findings", list,
	    "breaking", (json_int_t)r->breaking, "untold",
	    (json_int_t)r->untold, "sha256", digest, "file", json_string(file),
	    "manifest", understood(m, verdict));
	return out_json(c, j);
}

static int
report_text(const struct cmd *c, const char *file, const struct manifest *m,
    const struct manifest_report *r, int verdict)
{
	char digest[65];
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct manifest_finding *f = &r->finding[i];

		printf("%s:%u:%u: %s%s%s: %s [%s]\n    -> %s\n", file, f->line,
		    f->column,
		    out_on(c, stdout, f->breaks ? OUT_BAD : OUT_WARN),
		    f->breaks ? "error" : "remark", out_off(c, stdout),
		    f->message, f->id, f->fix);
	}
	if (r->untold > 0)
		printf("%s: and %zu more\n", file, r->untold);
	if (verdict == 0) {
		hex(m->digest, sizeof(m->digest), digest);
		printf("%s: %sgood%s: %s %s, sha256 %s\n", file,
		    out_on(c, stdout, OUT_GOOD), out_off(c, stdout), m->name,
		    m->version, digest);
	} else {
		printf("%s: %zu to mend\n", file, r->breaking);
	}
	return out_finish(EX_OK);
}

int
plugin_doctor_run(const struct cmd *c)
{
	static char text[MANIFEST_MAX + 1];
	static struct manifest_report report;
	const char *file = c->operands[0];
	struct manifest m;
	ssize_t len;
	int fd, verdict, status, saved;

	fd = strcmp(file, "-") == 0 ? STDIN_FILENO :
				      open(file, O_RDONLY | O_CLOEXEC);
	len = fd == -1 ? -1 : read_manifest(fd, text, sizeof(text));
	saved = errno;
	if (fd > STDIN_FILENO)
		close(fd);
	if (len == -1)
		return out_error(c, stderr, EX_IOERR, "IoError", "%s: %s", file,
		    strerror(saved));
	verdict = manifest_parse(text, (size_t)len, &m, &report);
	if (verdict == -ENOMEM)
		return out_error(c, stderr, EX_OSERR, "IoError", "%s: %s", file,
		    strerror(ENOMEM));
	status = c->json ? report_json(c, file, &m, &report, verdict) :
			   report_text(c, file, &m, &report, verdict);
	if (status != EX_OK || verdict == 0)
		return status;
	return verdict == -EBADMSG ? EX_DATAERR : EXIT_NEGATIVE;
}
