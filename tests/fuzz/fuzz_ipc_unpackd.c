/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_unpackd.c - unpackd under an sftd that was taken over, with a folder
 * that is the second half of the input and a directory in which somebody has
 * put links.
 *
 * It has no Landlock here: what it does by itself has to keep it in its
 * directory. Beside that lies another, which has to stay as it is.
 */
#define main unpackd_main
int unpackd_main(int, char **);
__attribute__((noreturn)) static void fuzz_exit(int status);
static int fuzz_confined(int dir);
#include <unistd.h>
#define _exit fuzz_exit
#define sandbox_enter_dir(dir) fuzz_confined(dir)
#include "unpackd/unpackd.c"
#undef sandbox_enter_dir
#undef _exit
#undef main

#include <sys/mman.h>

#include "tests/fuzz/ipc.h"
#include "tests/fuzz/scratch.h"

static const uint8_t *bundle;
static size_t bundle_len;
static int tree; /* the directory that it is handed */
static bool whole;

static int
fuzz_confined(int dir)
{
	(void)dir;
	return 0;
}

/* With its last word heard. */
static void
fuzz_exit(int status)
{
	listen_to_all();
	ipc_exit(status);
}

static void
in_top(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", top, name);
}

/* Beside the directory lies one that holds one file of one byte. */
static void
make_folders(void)
{
	char path[128];
	int fd;

	if (top[0] == '\0')
		scratch_make("unpackd");
	else
		scratch_clean();
	in_top(path, "outside");
	if (mkdir(path, 0700) == -1)
		abort();
	in_top(path, "outside/a");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1 || write(fd, "x", 1) != 1)
		abort();
	close(fd);
	in_top(path, "tree");
	if (mkdir(path, 0700) == -1)
		abort();
	tree = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (tree == -1)
		abort();
}

static void
check_outside(void)
{
	struct stat st;
	char path[128];

	in_top(path, "outside/a");
	if (stat(path, &st) == -1 || st.st_size != 1 || st.st_nlink != 1)
		abort();
	in_top(path, "outside");
	if (stat(path, &st) == -1 || st.st_nlink != 2)
		abort();
	/* Nothing but the one name. */
	in_top(path, "outside/a");
	if (unlink(path) == -1)
		abort();
	in_top(path, "outside");
	if (rmdir(path) == -1)
		abort();
}

/* Whether the bytes are a bundle from the first to the last. */
static bool
is_bundle(const uint8_t *in, size_t len)
{
	static struct bundle_reader r;
	const uint8_t *bytes;
	size_t n;
	int e;

	bundle_reader_init(&r);
	while ((e = bundle_next(&r, &in, &len, &bytes, &n)) == BUNDLE_ENTRY ||
	    e == BUNDLE_BYTES)
		continue;
	return e >= 0 && bundle_complete(&r);
}

static void
ipc_begin(void)
{
	static int file;
	size_t half = ipc.len / 2;

	bundle = ipc.data + half;
	bundle_len = ipc.len - half;
	ipc.len = half;
	whole = is_bundle(bundle, bundle_len);
	make_folders();
	memset(&job, 0, sizeof(job));
	job.dir = job.file = -1;
	prepare();
	if (file == 0)
		file = memfd_create("bundle", MFD_CLOEXEC);
	if (ftruncate(file, 0) == -1 ||
	    pwrite(file, bundle, bundle_len, 0) != (ssize_t)bundle_len)
		abort();
	ipc.file = file;
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_WORKER config = { .generation = 1 };

	msg_put_CONFIG_WORKER(w, &config);
}

/* Somebody who may write there puts a link where a name will be. */
static void
plant(uint8_t how)
{
	static const char *const names[] = { "a", "b", "b/c", "b/d" };
	char path[128], there[128], away[128];
	struct stat st;

	in_top(path, "tree/b");
	if ((how & 2) != 0 && mkdir(path, 0700) == -1 &&
	    (lstat(path, &st) == -1 || !S_ISDIR(st.st_mode)))
		return; /* not through a link of our own */
	snprintf(path, sizeof(path), "%s/tree/%s", top, names[how % 4]);
	in_top(there, how & 4 ? "outside" : "outside/a");
	in_top(away, "moved");
	if (rename(path, away) == -1 && errno != ENOENT)
		(void)unlink(path);
	(void)!symlink(there, path);
}

static void
ipc_step(uint8_t what)
{
	struct msg_UNPACK_INTO into = { 0 };
	struct msg_UNPACK want = { .size = bundle_len, .room = 1 << 20 };
	uint8_t how = what >> 3, body[32];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	switch ((what & 1) == 0 ? how % 4 : 4) {
	case 0:
		msg_put_UNPACK_INTO(&w, &into);
		send_to(PROC_SFTD, MSG_UNPACK_INTO, 0, &w,
		    how & 16 ? ipc.file : tree);
		break;
	case 1:
	case 2:
		want.size += how >> 4;
		want.remove = how >> 2 & 1;
		msg_put_UNPACK(&w, &want);
		send_to(PROC_SFTD, MSG_UNPACK, ++ipc.next_id[PROC_SFTD], &w,
		    ipc.file);
		break;
	default:
		plant(how);
		break;
	}
}

/* It says that all is unpacked only of what is a folder. */
static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct msg_UNPACKED done;
	struct msg copy = *m;

	(void)peer;
	if (m->type != MSG_UNPACKED)
		return;
	if (!msg_get_UNPACKED(&copy.body, &done) || done.code > SFT_CODE_MAX ||
	    (done.code == 0) != (done.text[0] == '\0') ||
	    (done.code == 0 && !whole && !job.unpack.remove))
		abort();
}

static void
ipc_end(void)
{
	if (job.unpack.depth > 0 || job.file != -1)
		unpack_close(&job.unpack);
	if (job.dir != -1)
		close(job.dir);
	if (job.file != -1)
		close(job.file);
	close(tree);
	if (job.event != NULL)
		event_free(job.event);
	check_outside();
}

static bool
ipc_may_die(const char *why)
{
	(void)why;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&unpackd, data, len);
}
