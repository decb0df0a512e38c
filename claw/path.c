/* SPDX-License-Identifier: ISC */
/*
 * path.c - where the rest of the installation is.
 *
 * A tree that was moved as a whole works where it lies; PATH is never asked.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "claw/path.h"

/* "beside" is relative to this program's folder. */
static void
find(const char *beside, const char *installed, char out[PATH_MAX])
{
	char self[PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash != NULL) {
			*slash = '\0';
			slash = strrchr(self, '/');
		}
		if (slash != NULL) {
			*slash = '\0';
			snprintf(out, PATH_MAX, "%s/%s", self, beside);
			if (access(out, X_OK) == 0)
				return;
		}
	}
	snprintf(out, PATH_MAX, "%s", installed);
}

void
path_clawd(char out[PATH_MAX])
{
	find("sbin/clawd", CLAW_SBINDIR "/clawd", out);
}

void
path_libexec(char out[PATH_MAX])
{
	char *slash;

	find("libexec/claw/keyd", CLAW_LIBEXECDIR "/keyd", out);
	slash = strrchr(out, '/');
	if (slash != NULL)
		*slash = '\0';
}

void
path_exec(const char *const argv[], char *const envp[])
{
	union {
		const char *const *in;
		char *const *out;
	} words = { .in = argv };

	(void)execve(argv[0], words.out, envp);
}
