/* SPDX-License-Identifier: ISC */
/*
 * kept.c - how far the log and the registry have been, kept where the
 * processes that write them cannot reach.
 *
 * A file is two slots of the same length, written in turn and in place, so that
 * a torn write leaves the other one and a full disk changes nothing. A slot: a
 * number that grows, the body of the message that brought it, FNV-1a over both.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clawd/kept.h"
#include "clawd/place.h"
#include "common/log.h"

#define SLOT_MAX 4608
#define OTHER 32 /* of a slot: what is not the body */
#define BODY_MAX (SLOT_MAX - OTHER)

struct kept {
	const char *name;
	size_t slot; /* its length */
	int file;
	uint64_t serial; /* 0: nothing was kept yet */
	uint8_t body[BODY_MAX];
	uint16_t len;
};

static struct kept checkpoint = { .name = "checkpoint",
	.slot = 512,
	.file = -1 };
static struct kept registry = { .name = "registry",
	.slot = SLOT_MAX,
	.file = -1 };

static uint64_t
checksum(const uint8_t *p, size_t n)
{
	uint64_t h = UINT64_C(14695981039346656037);

	while (n-- > 0)
		h = (h ^ *p++) * UINT64_C(1099511628211);
	return h;
}

static void
read_slot(struct kept *k, off_t at)
{
	uint8_t slot[SLOT_MAX];
	struct rbuf r;
	const uint8_t *p;
	uint64_t number;
	uint16_t len;

	if (pread(k->file, slot, k->slot, at) != (ssize_t)k->slot)
		return;
	rbuf_init(&r, slot, k->slot);
	number = rbuf_u64(&r);
	p = rbuf_bytes(&r, &len);
	if (p == NULL || len > k->slot - OTHER || number <= k->serial ||
	    rbuf_u64(&r) != checksum(slot, 10 + (size_t)len) || r.failed)
		return;
	k->serial = number;
	k->len = len;
	memcpy(k->body, p, len);
}

static bool
open_one(struct kept *k, const char *folder)
{
	char name[CONF_TEXT_MAX + 16];
	static const uint8_t empty[2 * SLOT_MAX];
	size_t size = 2 * k->slot;

	snprintf(name, sizeof(name), "%s/%s", folder, k->name);
	k->file = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (k->file == -1) {
		log_warn("%s", name);
		return false;
	}
	read_slot(k, 0);
	read_slot(k, (off_t)k->slot);
	if (lseek(k->file, 0, SEEK_END) < (off_t)size &&
	    pwrite(k->file, empty, size, 0) != (ssize_t)size) {
		log_warn("%s", name);
		return false;
	}
	return true;
}

bool
kept_open(const struct conf *conf)
{
	char path[CONF_TEXT_MAX];

	return place_path(conf, PLACE_KEYS, path, sizeof(path)) &&
	    open_one(&checkpoint, path) && open_one(&registry, path);
}

/*
 * Not synced: the writers' own copies are. What is lost here with the power
 * is at most what the kernel had not written yet.
 */
static void
put(struct kept *k)
{
	uint8_t slot[SLOT_MAX] = { 0 };
	struct wbuf w;

	k->serial++;
	wbuf_init(&w, slot, k->slot);
	wbuf_u64(&w, k->serial);
	wbuf_bytes(&w, k->body, k->len);
	wbuf_u64(&w, checksum(slot, w.len));
	if (pwrite(k->file, slot, k->slot,
		(off_t)((k->serial % 2) * k->slot)) != (ssize_t)k->slot)
		log_warn("the copy in keys/%s", k->name);
}

bool
kept_checkpoint(struct msg_CHECKPOINT_KNOWN *known)
{
	struct msg_CHECKPOINT_NOTED noted;
	struct rbuf r;

	rbuf_init(&r, checkpoint.body, checkpoint.len);
	if (checkpoint.serial == 0 || !msg_get_CHECKPOINT_NOTED(&r, &noted))
		return false;
	memset(known, 0, sizeof(*known));
	memcpy(known->shard, noted.shard, sizeof(known->shard));
	known->size = noted.size;
	memcpy(known->root, noted.root, sizeof(known->root));
	return true;
}

bool
kept_registry(struct msg_REGISTRY_NOTED *known)
{
	struct rbuf r;

	rbuf_init(&r, registry.body, registry.len);
	return registry.serial != 0 && msg_get_REGISTRY_NOTED(&r, known);
}

void
kept_put_checkpoint(const struct msg_CHECKPOINT_NOTED *noted)
{
	struct wbuf w;

	wbuf_init(&w, checkpoint.body, sizeof(checkpoint.body));
	msg_put_CHECKPOINT_NOTED(&w, noted);
	checkpoint.len = (uint16_t)w.len;
	put(&checkpoint);
}

void
kept_put_registry(const struct msg_REGISTRY_NOTED *noted)
{
	struct wbuf w;

	wbuf_init(&w, registry.body, sizeof(registry.body));
	msg_put_REGISTRY_NOTED(&w, noted);
	registry.len = (uint16_t)w.len;
	put(&registry);
}
