/* SPDX-License-Identifier: ISC */
/*
 * demo_tamper.c - what somebody with a disk and bad intentions does to a log.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "claw/demo.h"

#define LOG_MAX (1 << 20)

bool
demo_shard(const char *audit, char *out, size_t size)
{
	const struct dirent *entry;
	char best[32] = "";
	DIR *list = opendir(audit);

	while (list != NULL && (entry = readdir(list)) != NULL)
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
		    strverscmp(entry->d_name, best) > 0)
			snprintf(best, sizeof(best), "%.31s", entry->d_name);
	if (list != NULL)
		closedir(list);
	return best[0] != '\0' &&
	    snprintf(out, size, "%s/%s", audit, best) < (int)size;
}

/* The origin, the size and the root are the first three lines. */
bool
demo_checkpoint(const char *audit, char *out, size_t size)
{
	char path[PATH_MAX], shard[PATH_MAX - 16], lines[3][256];
	FILE *f = NULL;
	size_t i, n = 0;

	if (demo_shard(audit, shard, sizeof(shard))) {
		snprintf(path, sizeof(path), "%s/checkpoint", shard);
		f = fopen(path, "re");
	}
	for (i = 0; f != NULL && i < 3; i++)
		if (fgets(lines[i], sizeof(lines[i]), f) != NULL) {
			lines[i][strcspn(lines[i], "\n")] = '\0';
			n++;
		}
	if (f != NULL)
		fclose(f);
	return n == 3 &&
	    snprintf(out, size, "%s:%s", lines[1], lines[2]) < (int)size;
}

/* The whole log in memory; the caller frees it. */
static char *
read_log(const char *audit, char path[PATH_MAX], size_t *len)
{
	char shard[PATH_MAX - 16];
	char *log = NULL;
	FILE *f;

	if (!demo_shard(audit, shard, sizeof(shard)))
		return NULL;
	snprintf(path, PATH_MAX, "%s/log.ndjson", shard);
	f = fopen(path, "re");
	if (f != NULL)
		log = malloc(LOG_MAX);
	if (log != NULL)
		*len = fread(log, 1, LOG_MAX, f);
	if (f != NULL)
		fclose(f);
	return log;
}

static bool
write_log(const char *path, const char *log, size_t len)
{
	FILE *f = fopen(path, "we");
	bool good = f != NULL && fwrite(log, 1, len, f) == len;

	return f != NULL && fclose(f) == 0 && good;
}

bool
demo_flip(const char *audit, long *where)
{
	char path[PATH_MAX];
	size_t len = 0;
	char *log = read_log(audit, path, &len);
	bool good;

	if (log == NULL || len < 2) {
		free(log);
		return false;
	}
	*where = (long)(len / 2);
	log[len / 2] = (char)(log[len / 2] ^ 1);
	good = write_log(path, log, len);
	free(log);
	return good;
}

/* The line that the middle of the log is in. */
bool
demo_cut_line(const char *audit, long *which)
{
	char path[PATH_MAX];
	size_t len = 0, i, from = 0, to;
	char *log = read_log(audit, path, &len);
	bool good;

	*which = 0;
	for (i = 0; log != NULL && i < len / 2; i++)
		if (log[i] == '\n') {
			from = i + 1;
			++*which;
		}
	for (to = from; log != NULL && to < len && log[to] != '\n'; to++)
		;
	if (log == NULL || to >= len) {
		free(log);
		return false;
	}
	to++;
	memmove(log + from, log + to, len - to);
	good = write_log(path, log, len - (to - from));
	free(log);
	return good;
}
