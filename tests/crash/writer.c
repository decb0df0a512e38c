/* SPDX-License-Identifier: ISC */
/*
 * writer.c - a program that keeps its promises over a crash, and some that do
 * not, for the test of what is to find them out.
 *
 *	writer MODE DIR
 *
 * "replace" puts three contents in place of each other under the name final
 * and promises each; "journal" writes four chunks and promises each when the
 * journal has it. The other modes leave out or misplace one thing. Exit status
 * 1: a call failed, and nothing was promised since.
 */
#include <sys/stat.h>

#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 8192
#define CHUNKS 4

/* There when record.so is. */
void crash_mark(const char *) __attribute__((weak));

static bool no_dir_sync, no_file_sync, late_sync, believes_retry;
static bool journal_first, no_source_sync;

static const struct {
	const char *mode;
	bool *flaw;
} modes[] = {
	{ "replace", NULL },
	{ "journal", NULL },
	{ "no-dir-sync", &no_dir_sync },
	{ "no-file-sync", &no_file_sync },
	{ "late-sync", &late_sync },
	{ "believes-retry", &believes_retry },
	{ "journal-first", &journal_first },
	{ "move", NULL },
	{ "no-source-sync", &no_source_sync },
};

static void
promise(int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	if (crash_mark != NULL)
		crash_mark(text);
}

static void
write_all(int fd, const char *data, size_t len, off_t off)
{
	ssize_t n;

	for (; len > 0; data += n, off += n, len -= (size_t)n)
		if ((n = pwrite(fd, data, len, off)) <= 0)
			err(1, "pwrite");
}

static void
sync_file(int fd)
{
	if (fdatasync(fd) == -1 && !(believes_retry && fdatasync(fd) == 0))
		err(1, "fdatasync");
}

static void
replace(int dir, int n)
{
	char data[3 * CHUNK];
	size_t len = 5000 + (size_t)n * 3000;
	int fd =
	    openat(dir, "new", O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

	memset(data, 'a' + n, len);
	if (fd == -1)
		err(1, "new");
	write_all(fd, data, len, 0);
	if (!no_file_sync && !late_sync)
		sync_file(fd);
	if (renameat(dir, "new", dir, "final") == -1)
		err(1, "rename");
	if (late_sync)
		sync_file(fd);
	if (!no_dir_sync && fsync(dir) == -1)
		err(1, "fsync");
	close(fd);
	promise(n);
}

/* From one folder to another: in one of them, always, and then in one only. */
static void
move(int dir)
{
	int from, to, fd;

	if (mkdirat(dir, "from", 0700) == -1 || mkdirat(dir, "to", 0700) == -1)
		err(1, "mkdir");
	from = openat(dir, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = openat(dir, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(from, "final", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (from == -1 || to == -1 || fd == -1)
		err(1, "from, to");
	write_all(fd, "moved", 5, 0);
	if (fsync(fd) == -1 || fsync(from) == -1 || fsync(dir) == -1)
		err(1, "fsync");
	promise(0);
	if (renameat2(from, "final", to, "final", RENAME_NOREPLACE) == -1)
		err(1, "rename");
	if (fsync(to) == -1 || (!no_source_sync && fsync(from) == -1))
		err(1, "fsync");
	promise(1);
}

static void
journal(int dir)
{
	int data = openat(dir, "data", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	int log = openat(dir, "journal", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	char chunk[CHUNK], line[8];
	int i;

	if (data == -1 || log == -1)
		err(1, "data, journal");
	if (fallocate(data, 0, 0, (off_t)CHUNK * CHUNKS) == -1)
		err(1, "fallocate");
	if (fsync(data) == -1 || fsync(log) == -1 || fsync(dir) == -1)
		err(1, "fsync");
	for (i = 0; i < CHUNKS; i++) {
		memset(chunk, 'A' + i, sizeof(chunk));
		write_all(data, chunk, sizeof(chunk), (off_t)i * CHUNK);
		if (!journal_first)
			sync_file(data);
		snprintf(line, sizeof(line), "%d\n", i);
		write_all(log, line, 2, (off_t)i * 2);
		sync_file(log);
		if (journal_first)
			sync_file(data);
		promise(i);
	}
}

int
main(int argc, char **argv)
{
	size_t i;
	int dir, n;

	if (argc != 3)
		errx(64, "usage: writer MODE DIR");
	dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1)
		err(1, "%s", argv[2]);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].mode) == 0)
			break;
	if (i == sizeof(modes) / sizeof(modes[0]))
		errx(64, "no mode %s", argv[1]);
	if (modes[i].flaw != NULL)
		*modes[i].flaw = true;
	if (strncmp(argv[1], "journal", 7) == 0)
		journal(dir);
	else if (no_source_sync || strcmp(argv[1], "move") == 0)
		move(dir);
	else
		for (n = 0; n < 3; n++)
			replace(dir, n);
	return 0;
}
