/* SPDX-License-Identifier: ISC */
/*
 * replay.c - a fuzz target without its engine.
 *
 * Where there is no libFuzzer this is main(): it gives the target every file
 * it is named, and every file in each folder it is named, once. So the corpus
 * is a test in every build, with gcc and under the sanitizers alike.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { INPUT_MAX_BYTES = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
replay_file(const char *path)
{
	uint8_t *data;
	size_t len;
	FILE *f;

	if ((f = fopen(path, "rb")) == NULL)
		err(1, "%s", path);
	if ((data = malloc(INPUT_MAX_BYTES)) == NULL)
		err(1, "malloc");
	len = fread(data, 1, INPUT_MAX_BYTES, f);
	if (ferror(f))
		err(1, "%s", path);
	fclose(f);
	/* Exactly as long as the input, so that a read past it is seen. */
	if (len > 0 && (data = realloc(data, len)) == NULL)
		err(1, "realloc");
	LLVMFuzzerTestOneInput(data, len);
	free(data);
}

static void
replay_folder(const char *folder)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int n;

	if ((dir = opendir(folder)) == NULL)
		err(1, "%s", folder);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		n = snprintf(path, sizeof(path), "%s/%s", folder,
		    entry->d_name);
		if (n < 0 || (size_t)n >= sizeof(path))
			errx(1, "%s: name too long", entry->d_name);
		replay_file(path);
	}
	closedir(dir);
}

int
main(int argc, char *argv[])
{
	struct stat st;
	int i;

	for (i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == -1)
			err(1, "%s", argv[i]);
		if (S_ISDIR(st.st_mode))
			replay_folder(argv[i]);
		else
			replay_file(argv[i]);
	}
	return 0;
}
