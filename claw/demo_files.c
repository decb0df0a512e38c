/* SPDX-License-Identifier: ISC */
/*
 * demo_files.c - the act of claw demo in which a file crosses.
 *
 * beta sends alpha a file. In the middle of it the process that receives it is
 * killed, which is how a link ends that nobody ended: what was durable is
 * still there, the transfer goes on, and the receipt is verified by another
 * claw, from the registry and the file alone.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "claw/demo.h"
#include "claw/file.h"
#include "claw/mesh.h"

#define NAME "model.bin"
#define PIECE ((size_t)1 << 20)
#define SIZE_USUAL (UINT64_C(64) << 20)
#define SLOW_BELOW (UINT64_C(512) << 20)
#define EVENT_MS 60000
#define FIRST_MS 1000

extern char **environ;

/* Something that no compression and no hole makes smaller. */
static bool
make_source(const char *path, uint64_t size)
{
	uint64_t *piece = malloc(PIECE), x = 0x9e3779b97f4a7c15;
	uint64_t left = size;
	size_t i, n;
	int fd;
	bool good;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	good = fd != -1 && piece != NULL;
	while (good && left > 0 && !demo_interrupted) {
		for (i = 0; i < PIECE / sizeof(*piece); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			piece[i] = x;
		}
		n = left < PIECE ? (size_t)left : PIECE;
		good = write(fd, piece, n) == (ssize_t)n;
		left -= n;
	}
	if (fd != -1)
		close(fd);
	free(piece);
	return good && !demo_interrupted;
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The parent of a process that is an xferd; 0: it is none. */
static long
xferd_of(const char *pid)
{
	char path[64], text[256] = "", *p;
	long parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	p = fgets(text, sizeof(text), f);
	(void)fclose(f);
	if (p == NULL || (p = strstr(text, "(xferd) ")) == NULL)
		return 0;
	p += sizeof("(xferd) ") - 1;
	parent = p[0] == '\0' ? 0 : strtol(p + 1, NULL, 10);
	return parent;
}

/* Every xferd of that node: how many there were. */
static unsigned int
kill_workers(const struct demo_node *n)
{
	unsigned int killed = 0;
	struct dirent *e;
	DIR *dir = opendir("/proc");

	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
		    xferd_of(e->d_name) == (long)n->pid &&
		    kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL) == 0)
			killed++;
	if (dir != NULL)
		(void)closedir(dir);
	return killed;
}

/* What came of it, by what sftd told. */
struct course {
	uint64_t start_ms, first_ms; /* first byte sent; 0: none yet */
	uint64_t broken_at;	     /* durable when it was broken */
	uint64_t had;		     /* there when it went on */
	unsigned int killed;
	char id[64], blake3[80];
	char error[512];
	bool done;
};

static void
take(struct demo *d, struct course *c, const json_t *e)
{
	const char *what = mesh_text(e, "event");
	uint64_t durable = (uint64_t)mesh_number(e, "durable");

	if (strcmp(what, "progress") == 0) {
		if (c->first_ms == 0 && mesh_number(e, "sent") > 0)
			c->first_ms = now_ms() - c->start_ms;
		if (c->killed == 0 &&
		    durable > (uint64_t)mesh_number(e, "size") / 3) {
			c->broken_at = durable;
			c->killed = kill_workers(&d->alpha);
		}
	} else if (strcmp(what, "accepted") == 0) {
		snprintf(c->id, sizeof(c->id), "%s", mesh_text(e, "id"));
		if (mesh_true(e, "resumed"))
			c->had = (uint64_t)mesh_number(e, "have");
	} else if (strcmp(what, "receipt") == 0) {
		snprintf(c->blake3, sizeof(c->blake3), "%s",
		    mesh_text(e, "blake3"));
		c->done = true;
	} else if (strcmp(what, "error") == 0)
		snprintf(c->error, sizeof(c->error), "%s",
		    mesh_text(e, "text"));
}

static void
follow(struct demo *d, struct course *c, struct api *api)
{
	struct api_error e;
	json_t *event;

	while (!c->done && c->error[0] == '\0' && !demo_interrupted) {
		event = api_next(api, EVENT_MS, &e);
		if (event == NULL) {
			snprintf(c->error, sizeof(c->error), "%.500s", e.text);
			return;
		}
		take(d, c, event);
		json_decref(event);
	}
}

static void
send_source(struct demo *d, const char *path, uint64_t size, struct course *c)
{
	struct api_error e;
	struct api api;
	json_t *r = NULL;
	int source = open(path, O_RDONLY | O_CLOEXEC);

	c->start_ms = now_ms();
	if (source != -1 && api_open(&api, &d->beta.conf, &e)) {
		/* Small chunks, and not too fast: there is to be a middle. */
		r = api_call(&api, "file.send",
		    json_pack("{s:s, s:s, s:i, s:I}", "peer", "alpha", "name",
			NAME, "chunk_size", 1 << 20, "rate",
			(json_int_t)(size < SLOW_BELOW ? size / 2 : 0)),
		    DEMO_ANSWER_MS, &e);
		if (r != NULL && file_bring(api.fd, source))
			follow(d, c, &api);
		api_close(&api);
	}
	if (r == NULL)
		snprintf(c->error, sizeof(c->error), "%.500s",
		    source == -1 ? strerror(errno) : e.text);
	json_decref(r);
	if (source != -1)
		close(source);
}

/* Another claw looks at it: its exit status. */
static int
verify(struct demo *d, const char *file, const char *receipt)
{
	char *argv[] = { "claw", "-f", d->beta.config, "file:verify-receipt",
		(char *)(uintptr_t)file, (char *)(uintptr_t)receipt, NULL };
	posix_spawn_file_actions_t quiet;
	int status = -1;
	pid_t pid;

	if (posix_spawn_file_actions_init(&quiet) != 0)
		return -1;
	(void)posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY,
	    0);
	(void)posix_spawn_file_actions_adddup2(&quiet, 1, 2);
	if (posix_spawn(&pid, "/proc/self/exe", &quiet, NULL, argv, environ) !=
		0 ||
	    waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		status = -1;
	(void)posix_spawn_file_actions_destroy(&quiet);
	return status == -1 ? -1 : WEXITSTATUS(status);
}

/* The receipt that beta has, as a file. */
static bool
keep_receipt(struct demo *d, const char *id, const char *path)
{
	struct api_error e;
	json_t *r = api_ask(&d->beta.conf, "file.receipt",
	    json_pack("{s:s}", "id", id), DEMO_ANSWER_MS, &e);
	bool good = r != NULL &&
	    json_dump_file(json_object_get(r, "receipt"), path, JSON_COMPACT) ==
		0;

	json_decref(r);
	return good;
}

/* One byte in the middle is another. */
static bool
change(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte = 0;
	bool good = fd != -1 && pread(fd, &byte, 1, (off_t)(size / 2)) == 1;

	byte ^= 1;
	good = good && pwrite(fd, &byte, 1, (off_t)(size / 2)) == 1;
	if (fd != -1)
		close(fd);
	return good;
}

static bool
check_receipt(struct demo *d, const struct course *c, const char *source,
    uint64_t size)
{
	char receipt[DEMO_PATH_MAX + 32], arrived[DEMO_PATH_MAX + 128];
	bool good;

	snprintf(receipt, sizeof(receipt), "%s/receipt.json", d->place.top);
	snprintf(arrived, sizeof(arrived), "%s/data/files/beta/%s",
	    d->alpha.dir, NAME);
	good = demo_held(d,
	    keep_receipt(d, c->id, receipt) && verify(d, arrived, receipt) == 0,
	    "claw file:verify-receipt: beta has sealed and alpha has "
	    "received blake3:%.16s...",
	    c->blake3);
	return demo_held(d,
	    good && change(source, size) &&
		verify(d, source, receipt) == EXIT_NEGATIVE,
	    "a file that differs in one bit is not the one they signed for");
}

bool
demo_send(struct demo *d)
{
	const char *wanted = cmd_value(d->cmd, FLAG_DEMO_FILE_SIZE);
	char source[DEMO_PATH_MAX + 32], size_text[FILE_SIZE_TEXT];
	char had[FILE_SIZE_TEXT];
	uint64_t size = SIZE_USUAL;
	struct course c = { 0 };

	demo_step(d, "send", "A file crosses, also when it is interrupted");
	if (wanted != NULL && (!file_size(wanted, &size) || size < 16 * PIECE))
		return demo_held(d, false, "--file-size %s: 16M or more",
		    wanted);
	snprintf(source, sizeof(source), "%s/%s", d->place.top, NAME);
	if (!make_source(source, size))
		return demo_held(d, false, "no room for a file of %s: %s",
		    file_size_text(size, size_text), strerror(errno));
	send_source(d, source, size, &c);
	(void)demo_held(d, c.first_ms > 0 && c.first_ms < FIRST_MS,
	    "claw file:send at beta: %s to alpha, the first byte %llu ms after "
	    "the command",
	    file_size_text(size, size_text), (unsigned long long)c.first_ms);
	(void)demo_held(d, c.killed > 0 && c.had >= c.broken_at && c.had > 0,
	    "the process that receives it is killed; it goes on, and %s are "
	    "not sent again",
	    file_size_text(c.had, had));
	if (!demo_held(d, c.done,
		"alpha has all of it, verified and under its "
		"name%s%s",
		c.error[0] == '\0' ? "" : ": ", c.error))
		return false;
	return check_receipt(d, &c, source, size);
}
