/* SPDX-License-Identifier: ISC */
/*
 * fuzz_manifest.c - a plugin's manifest, as anybody may have written it.
 *
 * What is found is within the file and fit to be shown; a manifest without
 * breaking findings says everything that it must.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/capability.h"
#include "common/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
shown(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s < ' ' || *s > '~')
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct manifest_report r;
	struct manifest m;
	size_t i;
	int ret;

	ret = manifest_parse(data, len, &m, &r);
	if (ret != 0 && ret != -EINVAL && ret != -EBADMSG)
		abort();
	if ((ret == 0) != (r.breaking == 0) || (ret != 0 && r.n == 0))
		abort();
	if (ret == 0 &&
	    (m.name[0] == '\0' || m.version[0] == '\0' ||
		(m.capabilities & ~capability_all()) != 0))
		abort();
	/* A member of that name; a path may well hold the word. */
	if (ret == 0 && memmem(data, len, "websocketFilePipe\":", 19) != NULL)
		abort();
	for (i = 0; i < r.n; i++) {
		shown(r.finding[i].message);
		shown(r.finding[i].field);
		if (r.finding[i].line == 0 || r.finding[i].column == 0 ||
		    r.finding[i].line > len + 1 ||
		    r.finding[i].column > len + 1 || r.finding[i].fix == NULL)
			abort();
	}
	return 0;
}
