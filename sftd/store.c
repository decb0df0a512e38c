/* SPDX-License-Identifier: ISC */
/*
 * store.c - sftd's folder: small files that are durable when they are told of.
 *
 * Names in here are digits of our own making; nothing of a peer's becomes one.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/receipt.h"
#include "sftd/store.h"

/* Left to the rest of the node, whoever sends: a twentieth, at most this. */
#define RESERVE_MAX (UINT64_C(1) << 30)
#define SENT_LEN (8 + SFT_ID_LEN)
#define SENT_MAX 4096

static struct {
	int incoming, receipts, sent, files;
} store = { -1, -1, -1, -1 };

static int
open_dir(int above, const char *name)
{
	int fd;

	if (mkdirat(above, name, 0700) == -1 && errno != EEXIST)
		return -1;
	fd = openat(above, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

int
store_open(int sft_dir, int files_dir)
{
	store.incoming = open_dir(sft_dir, "incoming");
	store.receipts = open_dir(sft_dir, "receipts");
	store.sent = open_dir(sft_dir, "sent");
	store.files = files_dir;
	if (store.incoming == -1 || store.receipts == -1 || store.sent == -1 ||
	    fsync(sft_dir) == -1)
		return -errno;
	return 0;
}

void
store_close(void)
{
	if (store.incoming != -1)
		close(store.incoming);
	if (store.receipts != -1)
		close(store.receipts);
	if (store.sent != -1)
		close(store.sent);
	store.incoming = store.receipts = store.sent = store.files = -1;
}

int
store_incoming(void)
{
	return store.incoming;
}

int
store_delivered(void)
{
	return store.files;
}

uint64_t
store_room(void)
{
	uint64_t left, reserve;
	struct statvfs s;

	if (fstatvfs(store.incoming, &s) == -1)
		return 0;
	left = (uint64_t)s.f_bavail * s.f_frsize;
	reserve = (uint64_t)s.f_blocks * s.f_frsize / 20;
	if (reserve > RESERVE_MAX)
		reserve = RESERVE_MAX;
	return left > reserve ? left - reserve : 0;
}

uint64_t
store_inodes(void)
{
	struct statvfs s;

	if (fstatvfs(store.incoming, &s) == -1)
		return 0;
	return s.f_files == 0 ? UINT64_MAX : (uint64_t)s.f_favail;
}

void
store_hex(const uint8_t *p, size_t n, char *out)
{
	static const char digit[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digit[p[i] >> 4];
		out[2 * i + 1] = digit[p[i] & 15];
	}
	out[2 * n] = '\0';
}

static int
value_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f'    ? c - 'a' + 10 :
				      -1;
}

bool
store_unhex(const char *text, uint8_t *out, size_t n)
{
	int high, low;
	size_t i;

	if (strlen(text) != 2 * n)
		return false;
	for (i = 0; i < n; i++) {
		high = value_of(text[2 * i]);
		low = value_of(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int
write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EIO : -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
store_put(int dir, const char *name, const void *data, size_t len)
{
	char new[NAME_MAX + 1];
	int fd, r;

	if ((size_t)snprintf(new, sizeof(new), "%s.new", name) >= sizeof(new))
		return -ENAMETOOLONG;
	fd = openat(dir, new,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	r = write_all(fd, data, len);
	if (r == 0 && fsync(fd) == -1)
		r = -errno;
	close(fd);
	if (r == 0 && renameat(dir, new, dir, name) == -1)
		r = -errno;
	if (r == 0 && fsync(dir) == -1)
		r = -errno;
	if (r != 0)
		(void)unlinkat(dir, new, 0);
	return r;
}

ssize_t
store_get(int dir, const char *name, void *out, size_t size)
{
	size_t len = 0;
	ssize_t n = 1;
	char more;
	int fd;

	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	while (n > 0 && len < size) {
		n = read(fd, (uint8_t *)out + len, size - len);
		if (n == -1 && errno == EINTR)
			n = 1;
		else if (n == -1) {
			n = -errno;
			close(fd);
			return n;
		} else
			len += (size_t)n;
	}
	n = n > 0 ? read(fd, &more, 1) : 0;
	close(fd);
	return n == 0 ? (ssize_t)len : -EFBIG;
}

int
store_drop(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == -1)
		return errno == ENOENT ? 0 : -errno;
	return fsync(dir) == -1 ? -errno : 0;
}

/* What was offered by us. */

static void
sent_name(const uint8_t digest[32], char out[65])
{
	store_hex(digest, 32, out);
}

uint64_t
store_epoch(const uint8_t digest[32])
{
	uint8_t data[SENT_LEN];
	struct rbuf r;
	char name[65];

	sent_name(digest, name);
	if (store_get(store.sent, name, data, sizeof(data)) != SENT_LEN)
		return 0;
	rbuf_init(&r, data, sizeof(data));
	return rbuf_u64(&r);
}

int
store_epoch_set(const uint8_t digest[32], uint64_t epoch,
    const uint8_t id[SFT_ID_LEN])
{
	uint8_t data[SENT_LEN];
	struct wbuf w;
	char name[65];

	if (epoch <= store_epoch(digest) || epoch > SFT_EPOCH_MAX)
		return -ESTALE;
	wbuf_init(&w, data, sizeof(data));
	wbuf_u64(&w, epoch);
	wbuf_put(&w, id, SFT_ID_LEN);
	sent_name(digest, name);
	return store_put(store.sent, name, data, w.len);
}

/* Those that are old, and if there are too many, all but today's. */
void
store_sweep_sent(uint64_t seconds)
{
	uint64_t oldest = 0, now = (uint64_t)time(NULL);
	unsigned int n = 0;
	struct dirent *e;
	struct stat st;
	DIR *d;
	int fd;

	fd = openat(store.sent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' ||
		    fstatat(store.sent, e->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			-1)
			continue;
		oldest = n++ < SENT_MAX ? seconds : 86400;
		if ((uint64_t)st.st_mtime + oldest < now)
			(void)unlinkat(store.sent, e->d_name, 0);
	}
	closedir(d);
}

/* Receipts. */

static void
receipt_name(const uint8_t id[SFT_ID_LEN], char *out, size_t size)
{
	char hex[STORE_HEX_ID];

	store_hex(id, SFT_ID_LEN, hex);
	snprintf(out, size, "%s.json", hex);
}

/*
 * Whether a receipt is kept under that name that is not of what this seal is
 * of: ids of files that we sent were made by their receivers.
 */
static bool
is_taken(const char *name, const struct receipt_seal *seal, char *text)
{
	struct receipt_file *f = calloc(1, sizeof(*f));
	const struct receipt_seal *s = f == NULL ? NULL : &f->receipt.seal;
	const char *why;
	bool taken;
	ssize_t n;

	n = store_get(store.receipts, name, text, RECEIPT_JSON_MAX);
	taken = s == NULL ||
	    (n > 0 && receipt_json_read(text, (size_t)n, f, &why) == 0 &&
		(memcmp(s->offer, seal->offer, sizeof(s->offer)) != 0 ||
		    memcmp(s->root, seal->root, sizeof(s->root)) != 0));
	free(f);
	return taken;
}

int
store_receipt(const uint8_t *receipt, size_t len, const struct sft_offer *offer)
{
	struct receipt_file *f;
	char name[64], *text;
	uint8_t digest[32];
	ssize_t n = -ENOMEM;

	f = calloc(1, sizeof(*f));
	text = malloc(RECEIPT_JSON_MAX);
	if (f != NULL && text != NULL)
		n = receipt_parse(receipt, len, &f->receipt);
	if (n == 0 && offer != NULL) {
		const struct receipt_seal *s = &f->receipt.seal;

		sft_offer_digest(offer, s->sender.name, s->receiver, digest);
		f->has_offer = memcmp(digest, s->offer, sizeof(digest)) == 0;
		f->offer = *offer;
	}
	if (n == 0) {
		receipt_name(f->receipt.seal.id, name, sizeof(name));
		if (is_taken(name, &f->receipt.seal, text))
			n = -EEXIST;
	}
	if (n == 0)
		n = receipt_json_write(f, text, RECEIPT_JSON_MAX);
	if (n > 0)
		n = store_put(store.receipts, name, text, (size_t)n);
	free(text);
	free(f);
	return (int)n;
}

ssize_t
store_receipt_text(const uint8_t id[SFT_ID_LEN], char *out, size_t size)
{
	char name[64];

	receipt_name(id, name, sizeof(name));
	return store_get(store.receipts, name, out, size);
}
