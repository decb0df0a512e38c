/* SPDX-License-Identifier: ISC */
/*
 * shard_name.c - names of shards: "2026-11", and "2026-11.1" for the one that
 * had to be opened within the month.
 *
 * Owns the spelling and the order.  Names in a directory may enter.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "auditd/shard.h"

bool
shard_name_parse(const char *s, unsigned *year, unsigned *month, unsigned *k)
{
	static const char shape[] = "dddd-dd";
	size_t i, len = strnlen(s, SHARD_NAME_MAX);

	if (len < 7 || len >= SHARD_NAME_MAX)
		return false;
	for (i = 0; i < 7; i++)
		if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != '-')
			return false;
	*year = (unsigned)((s[0] - '0') * 1000 + (s[1] - '0') * 100 +
	    (s[2] - '0') * 10 + (s[3] - '0'));
	*month = (unsigned)((s[5] - '0') * 10 + (s[6] - '0'));
	*k = 0;
	if (*month < 1 || *month > 12 || (len > 7 && s[7] != '.') || len == 8)
		return false;
	for (i = 8; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || (i == 8 && s[i] == '0') ||
		    i > 14)
			return false;
		*k = *k * 10 + (unsigned)(s[i] - '0');
	}
	return true;
}

int
shard_name_cmp(const char *a, const char *b)
{
	unsigned v[2][3] = {{0}};
	int i;

	shard_name_parse(a, &v[0][0], &v[0][1], &v[0][2]);
	shard_name_parse(b, &v[1][0], &v[1][1], &v[1][2]);
	for (i = 0; i < 3; i++)
		if (v[0][i] != v[1][i])
			return v[0][i] < v[1][i] ? -1 : 1;
	return 0;
}

int
shard_newest(int auditfd, char name[SHARD_NAME_MAX])
{
	struct dirent *e;
	unsigned y, m, k;
	DIR *d;
	int fd;

	name[0] = '\0';
	fd = openat(auditfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(d)) != NULL)
		if (shard_name_parse(e->d_name, &y, &m, &k) &&
		    (name[0] == '\0' || shard_name_cmp(name, e->d_name) < 0))
			memcpy(name, e->d_name, strlen(e->d_name) + 1);
	closedir(d);
	return name[0] == '\0' ? -ENOENT : 0;
}
