/* SPDX-License-Identifier: ISC */
/*
 * lastcp.c - the copy of the last checkpoint that auditd cannot touch.
 *
 * Two slots of one block each, written in turn and in place, so that a torn
 * write leaves the other one and a full disk changes nothing. A slot: a
 * number that grows, the body of CHECKPOINT_NOTED, FNV-1a over both.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clawd/lastcp.h"
#include "clawd/place.h"
#include "common/log.h"

#define SLOT_LEN 512

static int file = -1;
static uint64_t serial;
static struct msg_CHECKPOINT_NOTED newest;

static uint64_t
checksum(const uint8_t *p, size_t n)
{
	uint64_t h = UINT64_C(14695981039346656037);

	while (n-- > 0)
		h = (h ^ *p++) * UINT64_C(1099511628211);
	return h;
}

static void
read_slot(off_t at)
{
	struct msg_CHECKPOINT_NOTED noted;
	uint8_t slot[SLOT_LEN];
	struct rbuf r, body;
	const uint8_t *p;
	uint64_t number;
	uint16_t len;

	if (pread(file, slot, sizeof(slot), at) != sizeof(slot))
		return;
	rbuf_init(&r, slot, sizeof(slot));
	number = rbuf_u64(&r);
	p = rbuf_bytes(&r, &len);
	if (p == NULL || number <= serial ||
	    rbuf_u64(&r) != checksum(slot, 10 + (size_t)len) || r.failed)
		return;
	rbuf_init(&body, p, len);
	if (!msg_get_CHECKPOINT_NOTED(&body, &noted))
		return;
	serial = number;
	newest = noted;
}

bool
lastcp_open(const struct conf *conf)
{
	char path[CONF_TEXT_MAX], name[CONF_TEXT_MAX + 16];
	uint8_t empty[2 * SLOT_LEN] = { 0 };

	if (!place_path(conf, PLACE_KEYS, path, sizeof(path)))
		return false;
	snprintf(name, sizeof(name), "%s/checkpoint", path);
	file = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file == -1) {
		log_warn("%s", name);
		return false;
	}
	read_slot(0);
	read_slot(SLOT_LEN);
	if (lseek(file, 0, SEEK_END) < (off_t)sizeof(empty) &&
	    pwrite(file, empty, sizeof(empty), 0) != sizeof(empty)) {
		log_warn("%s", name);
		return false;
	}
	return true;
}

bool
lastcp_get(struct msg_CHECKPOINT_KNOWN *known)
{
	if (serial == 0)
		return false;
	memset(known, 0, sizeof(*known));
	memcpy(known->shard, newest.shard, sizeof(known->shard));
	known->size = newest.size;
	memcpy(known->root, newest.root, sizeof(known->root));
	return true;
}

void
lastcp_put(const struct msg_CHECKPOINT_NOTED *noted)
{
	uint8_t slot[SLOT_LEN] = { 0 }, body[SLOT_LEN - 32];
	struct wbuf w, b;

	newest = *noted;
	serial++;
	wbuf_init(&b, body, sizeof(body));
	msg_put_CHECKPOINT_NOTED(&b, noted);
	wbuf_init(&w, slot, sizeof(slot));
	wbuf_u64(&w, serial);
	wbuf_bytes(&w, body, b.len);
	wbuf_u64(&w, checksum(slot, w.len));
	if (pwrite(file, slot, sizeof(slot), (off_t)(serial % 2) * SLOT_LEN) !=
	    sizeof(slot))
		log_warn("the copy of the last checkpoint");
	/*
	 * Not synced: auditd's own copy is. What is lost here with the power
	 * is at most what the kernel had not written yet, and keyd believes a
	 * larger checkpoint that bears its own signature.
	 */
}
