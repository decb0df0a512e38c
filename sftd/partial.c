/* SPDX-License-Identifier: ISC */
/*
 * partial.c - a file that is not complete: incoming/<id>/.
 */
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include <openssl/sha.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/sftjournal.h"
#include "sftd/partial.h"
#include "sftd/store.h"

#define OFFER_MAGIC UINT64_C(0x636c61772f696e02) /* "claw/in", version 2 */
#define OFFER_MAX 2048

/* Whoever has a tree with something in it. */
static void (*clear_tree)(const uint8_t id[SFT_ID_LEN]);

static const char *const names[] = { "partial", "journal", "finish", "receipt",
	"finish.new", "receipt.new", "offer.new", "offer" };

static int
write_offer(int dir, const struct partial *p)
{
	uint8_t data[OFFER_MAX];
	struct wbuf w;

	wbuf_init(&w, data, sizeof(data));
	wbuf_u64(&w, OFFER_MAGIC);
	wbuf_put(&w, p->id, sizeof(p->id));
	wbuf_bytes(&w, p->peer, strlen(p->peer));
	wbuf_put(&w, p->digest, sizeof(p->digest));
	wbuf_u64(&w, p->epoch);
	wbuf_u64(&w, p->since_ms);
	wbuf_u64(&w, p->offer.size);
	wbuf_u64(&w, p->offer.mtime_ns);
	wbuf_u16(&w, p->offer.mode);
	wbuf_u8(&w, p->offer.chunk_log2);
	wbuf_u8(&w, p->offer.streams);
	wbuf_u8(&w, p->offer.replace);
	wbuf_u8(&w, p->offer.tree);
	wbuf_bytes(&w, p->offer.name, p->offer.name_len);
	wbuf_bytes(&w, p->into, strlen(p->into));
	wbuf_u8(&w, p->replaces);
	if (w.failed)
		return -EINVAL;
	return store_put(dir, "offer", data, w.len);
}

static int
read_offer(int dir, struct partial *p)
{
	uint8_t data[OFFER_MAX];
	const uint8_t *at;
	struct rbuf r;
	uint16_t n;
	ssize_t len;

	memset(p, 0, sizeof(*p));
	len = store_get(dir, "offer", data, sizeof(data));
	if (len < 0)
		return (int)len;
	rbuf_init(&r, data, (size_t)len);
	if (rbuf_u64(&r) != OFFER_MAGIC)
		return -EBADMSG;
	if ((at = rbuf_take(&r, sizeof(p->id))) != NULL)
		memcpy(p->id, at, sizeof(p->id));
	at = rbuf_bytes(&r, &n);
	if (at == NULL || n > NODENAME_MAX)
		return -EBADMSG;
	memcpy(p->peer, at, n);
	if ((at = rbuf_take(&r, sizeof(p->digest))) != NULL)
		memcpy(p->digest, at, sizeof(p->digest));
	p->epoch = rbuf_u64(&r);
	p->since_ms = rbuf_u64(&r);
	p->offer.size = rbuf_u64(&r);
	p->offer.mtime_ns = rbuf_u64(&r);
	p->offer.mode = rbuf_u16(&r);
	p->offer.chunk_log2 = rbuf_u8(&r);
	p->offer.streams = rbuf_u8(&r);
	p->offer.replace = rbuf_u8(&r) != 0;
	p->offer.tree = rbuf_u8(&r) != 0;
	at = rbuf_bytes(&r, &n);
	if (at == NULL || n == 0 || n > SFT_NAME_MAX)
		return -EBADMSG;
	memcpy(p->offer.name, at, n);
	p->offer.name_len = n;
	at = rbuf_bytes(&r, &n);
	if (at == NULL || n == 0 || n > SFTRULE_FOLDER_MAX)
		return -EBADMSG;
	memcpy(p->into, at, n);
	p->replaces = rbuf_u8(&r) != 0;
	return rbuf_done(&r) && nodename_ok(p->peer, strlen(p->peer)) ?
	    0 :
	    -EBADMSG;
}

static int
open_dir(const uint8_t id[SFT_ID_LEN])
{
	char hex[STORE_HEX_ID];
	int fd;

	store_hex(id, SFT_ID_LEN, hex);
	fd = openat(store_incoming(), hex,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd == -1 ? -errno : fd;
}

int
partial_dir(const struct partial *p)
{
	return open_dir(p->id);
}

static int
begin_journal(int dir, const struct partial *p, const char *self,
    uint64_t epoch)
{
	struct sftjournal_head head = { .size = p->offer.size,
		.chunk_log2 = p->offer.chunk_log2,
		.epoch = epoch };
	int fd, r;

	memcpy(head.id, p->id, sizeof(head.id));
	memcpy(head.offer, p->digest, sizeof(head.offer));
	snprintf(head.sender, sizeof(head.sender), "%s", p->peer);
	snprintf(head.receiver, sizeof(head.receiver), "%s", self);
	if (unlinkat(dir, "journal", 0) == -1 && errno != ENOENT)
		return -errno;
	fd = openat(dir, "journal",
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	r = sftjournal_create(fd, &head);
	if (r == 0 && fsync(dir) == -1)
		r = -errno;
	if (r != 0) {
		close(fd);
		return r;
	}
	return fd;
}

/*
 * All of its room at once, so that a full disk is found out before. In memory
 * that would clear each page, while everybody waits, only for it to be written
 * a moment later: there it is enough that there was room when it began.
 */
static int
reserve(int fd, uint64_t size)
{
	struct statfs fs;

	if (size == 0)
		return 0;
	if (fstatfs(fd, &fs) == -1)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC) {
		if (fallocate(fd, 0, 0, (off_t)size) == 0)
			return 0;
		if (errno != EOPNOTSUPP)
			return -errno;
	}
	return ftruncate(fd, (off_t)size) == 0 ? 0 : -errno;
}

static int
make_file(int dir, uint64_t size)
{
	int fd, r;

	fd = openat(dir, "partial",
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	r = reserve(fd, size);
	if (r == 0 && fsync(fd) == -1)
		r = -errno;
	close(fd);
	return r;
}

static int
fill(int dir, const struct partial *p, const char *self)
{
	int fd, r;

	if ((r = make_file(dir, p->offer.size)) != 0)
		return r;
	if ((fd = begin_journal(dir, p, self, p->epoch)) < 0)
		return fd;
	close(fd);
	if ((r = write_offer(dir, p)) != 0)
		return r;
	return fsync(store_incoming()) == -1 ? -errno : 0;
}

static uint64_t
wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int
make(struct partial *p, const char *self)
{
	char hex[STORE_HEX_ID];
	int dir, r;

	if (getrandom(p->id, sizeof(p->id), 0) != sizeof(p->id))
		return -EIO;
	/* Ids of which the first is 0 are sftd's own, until there is one. */
	p->id[0] |= 0x80;
	p->epoch = p->offer.epoch + 1;
	p->since_ms = wall_ms();
	store_hex(p->id, sizeof(p->id), hex);
	if (mkdirat(store_incoming(), hex, 0700) == -1)
		return -errno;
	if ((dir = open_dir(p->id)) < 0)
		return dir;
	r = fill(dir, p, self);
	close(dir);
	if (r != 0)
		(void)partial_remove(p->id);
	return r;
}

int
partial_make(struct partial *p, const char *self)
{
	int r;

	if (p->offer.epoch >= SFT_EPOCH_MAX)
		return -ESTALE;
	r = make(p, self);
	/* What was not made has no id: nobody can go on with it. */
	if (r != 0)
		memset(p->id, 0, sizeof(p->id));
	return r;
}

int
partial_again(struct partial *p, uint64_t theirs)
{
	uint64_t before = p->epoch;
	int dir, r;

	if (theirs < before)
		theirs = before;
	if (theirs >= SFT_EPOCH_MAX)
		return -ESTALE;
	if ((dir = open_dir(p->id)) < 0)
		return dir;
	p->epoch = theirs + 1;
	r = write_offer(dir, p);
	if (r != 0)
		p->epoch = before;
	close(dir);
	return r;
}

/* Whether it is the journal of this one, and not full. */
static bool
journal_fits(int fd, const struct partial *p)
{
	struct sftjournal_head head;
	struct stat st;
	uint64_t most = SFTJOURNAL_HEAD_LEN +
	    SFTJOURNAL_RECORD_LEN *
		SFTJOURNAL_RECORDS_MAX(
		    sft_chunks(p->offer.size, p->offer.chunk_log2));

	return fstat(fd, &st) == 0 && (uint64_t)st.st_size < most &&
	    sftjournal_peek(fd, &head) == 0 &&
	    memcmp(head.id, p->id, sizeof(head.id)) == 0 &&
	    memcmp(head.offer, p->digest, sizeof(head.offer)) == 0 &&
	    head.size == p->offer.size &&
	    head.chunk_log2 == p->offer.chunk_log2;
}

int
partial_files(const struct partial *p, const char *self, int *file,
    int *journal)
{
	struct stat st;
	int dir, r = 0;

	*journal = -1;
	if ((dir = open_dir(p->id)) < 0) {
		if (*file != -1)
			close(*file);
		*file = -1;
		return dir;
	}
	if (*file == -1)
		*file = openat(dir, "partial", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	*journal = openat(dir, "journal", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (*file == -1 || fstat(*file, &st) == -1)
		r = -errno;
	/* Its worker may have made it any length. */
	else if ((uint64_t)st.st_size != p->offer.size &&
	    ftruncate(*file, (off_t)p->offer.size) == -1)
		r = -errno;
	else if (*journal == -1 || !journal_fits(*journal, p)) {
		if (*journal != -1)
			close(*journal);
		/* Not of this attempt: the file is no blank one any more. */
		*journal = begin_journal(dir, p, self,
		    p->epoch > 1 ? p->epoch - 1 : 1);
		r = *journal < 0 ? *journal : 0;
	}
	close(dir);
	if (r != 0) {
		if (*file != -1)
			close(*file);
		if (*journal >= 0)
			close(*journal);
		*file = *journal = -1;
	}
	return r;
}

uint64_t
partial_touched(const struct partial *p)
{
	uint64_t at = 0;
	struct stat st;
	int dir;

	if ((dir = open_dir(p->id)) < 0)
		return 0;
	if (fstatat(dir, "journal", &st, AT_SYMLINK_NOFOLLOW) == 0)
		at = (uint64_t)st.st_mtime;
	if (fstatat(dir, "offer", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (uint64_t)st.st_mtime > at)
		at = (uint64_t)st.st_mtime;
	close(dir);
	return at;
}

/* The offer first: half removed it is none, and swept at the next start. */
static int
remove_named(const char *hex)
{
	uint8_t id[SFT_ID_LEN];
	size_t i;
	int dir, r;

	dir = openat(store_incoming(), hex,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir == -1)
		return errno == ENOENT ? 0 : -errno;
	(void)unlinkat(dir, "offer", 0);
	if (unlinkat(dir, "tree", AT_REMOVEDIR) == -1 && errno != ENOENT) {
		r = -errno;
		close(dir);
		if (r == -EEXIST)
			r = -ENOTEMPTY;
		if (r == -ENOTEMPTY && clear_tree != NULL &&
		    store_unhex(hex, id, sizeof(id)))
			clear_tree(id);
		return r;
	}
	for (i = sizeof(names) / sizeof(names[0]); i-- > 0;)
		(void)unlinkat(dir, names[i], 0);
	close(dir);
	if (unlinkat(store_incoming(), hex, AT_REMOVEDIR) == -1)
		return -errno;
	return fsync(store_incoming()) == -1 ? -errno : 0;
}

void
partial_with_tree(void (*clear)(const uint8_t id[SFT_ID_LEN]))
{
	clear_tree = clear;
}

/*
 * Its worker is of another user, and the group is what a folder in which it is
 * made has: hence these bits, and no chmod(2), which would take the group's
 * inheritance away. Nobody else comes by the folder that it is in.
 */
static int
make_tree(int dir)
{
	mode_t mask = umask(0);
	int r =
	    mkdirat(dir, "tree", 0777) == -1 && errno != EEXIST ? -errno : 0;

	(void)umask(mask);
	if (r != 0)
		return r;
	r = openat(dir, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return r == -1 ? -errno : r;
}

int
partial_tree(const uint8_t id[SFT_ID_LEN], int *file)
{
	int dir, tree;

	if ((dir = open_dir(id)) < 0)
		return dir;
	*file = openat(dir, "partial", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	tree = *file == -1 ? -errno : make_tree(dir);
	close(dir);
	if (tree < 0 && *file != -1) {
		close(*file);
		*file = -1;
	}
	return tree;
}

int
partial_remove(const uint8_t id[SFT_ID_LEN])
{
	char hex[STORE_HEX_ID];

	store_hex(id, SFT_ID_LEN, hex);
	return remove_named(hex);
}

static void
load_one(const char *hex, void (*each)(const struct partial *p))
{
	uint8_t id[SFT_ID_LEN];
	struct partial p;
	int dir, r;

	if (!store_unhex(hex, id, sizeof(id))) {
		log_warnx("incoming/%s is nothing of ours; it stays", hex);
		return;
	}
	if ((dir = open_dir(id)) < 0)
		return;
	r = read_offer(dir, &p);
	close(dir);
	if (r == 0 && memcmp(p.id, id, sizeof(id)) == 0) {
		each(&p);
		return;
	}
	/* Begun and never told to anybody. What cannot be read now may be
	 * read the next time. */
	if (r == -ENOENT || r == -EBADMSG || r == 0) {
		log_info("incoming/%s was begun and not more; removed", hex);
		(void)remove_named(hex);
	}
}

void
partial_load(void (*each)(const struct partial *p))
{
	struct dirent *e;
	DIR *d;
	int fd;

	fd = openat(store_incoming(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL)
		fatal("incoming/ cannot be read");
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			load_one(e->d_name, each);
	closedir(d);
}
