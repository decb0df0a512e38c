/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sftjournal.c - a journal that an accident or a worker that was taken
 * over has left: any bytes.
 *
 * So that records are reached, the input is also taken as records whose
 * checks are right. What was read can be appended to, and read again.
 */
#include <sys/mman.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/merkle.h"
#include "common/sftjournal.h"

#define PREFIX_LEN 20
#define KEPT (SFTJOURNAL_RECORD_LEN - 24)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int fd = -1;

static void
put(const void *data, size_t len, off_t off)
{
	if (len > 0 && pwrite(fd, data, len, off) != (ssize_t)len)
		abort();
}

static void
consistent(const struct sftjournal *j)
{
	uint32_t chunks = sftjournal_chunks(j), i, n = 0;

	/* Whoever has many chunks is not looked at one by one. */
	if (chunks > 4096)
		return;
	for (i = 0; i < chunks; i++)
		if (sftjournal_has(j, i)) {
			if (sftjournal_value(j, i) != sftjournal_values(j)[i])
				abort();
			n++;
		}
	if (n != sftjournal_claimed(j))
		abort();
}

static void
use(void)
{
	struct sftjournal_claim claim = { .index = 0 };
	uint64_t epoch, records;
	struct sftjournal *j;

	if (sftjournal_open(fd, &j) != 0) {
		if (j != NULL)
			abort();
		return;
	}
	consistent(j);
	records = sftjournal_records(j);
	epoch = sftjournal_epoch(j);
	if (sftjournal_bump(j, epoch + 1) == 0) {
		records++;
		epoch++;
	}
	if (sftjournal_append(j, &claim, 1) == 0)
		records++;
	consistent(j);
	sftjournal_close(j);
	if (sftjournal_open(fd, &j) != 0 || sftjournal_records(j) != records ||
	    sftjournal_epoch(j) != epoch)
		abort();
	consistent(j);
	sftjournal_close(j);
}

/* KEPT bytes of each record; what is checked is right. */
static void
made_up(const uint8_t *data, size_t len)
{
	struct sftjournal_head h = { .sender = "a",
		.receiver = "b",
		.size = UINT64_C(9) << 20,
		.chunk_log2 = 20,
		.epoch = 1 };
	uint8_t in[PREFIX_LEN + 24 + KEPT] = "claw/sft-journal/v1", hash[32];
	off_t at = SFTJOURNAL_HEAD_LEN;

	if (sftjournal_create(fd, &h) != 0 ||
	    pread(fd, in + PREFIX_LEN, 24, at - 32) != 24)
		abort();
	for (; len >= KEPT; data += KEPT, len -= KEPT) {
		memcpy(in + PREFIX_LEN + 24, data, KEPT);
		merkle_sha256(in, sizeof(in), hash);
		put(data, KEPT, at);
		put(hash, 24, at + KEPT);
		memcpy(in + PREFIX_LEN, hash, 24);
		at += SFTJOURNAL_RECORD_LEN;
	}
	put(data, len, at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct sftjournal_head h;

	if (fd == -1 && (fd = memfd_create("journal", 0)) == -1)
		abort();
	if (ftruncate(fd, 0) == -1)
		abort();
	put(data, len, 0);
	/* Memory for the chunks of a header that says many takes its time. */
	if (sftjournal_peek(fd, &h) == 0 &&
	    sft_chunks(h.size, h.chunk_log2) <= 1 << 16)
		use();
	if (ftruncate(fd, 0) == -1)
		abort();
	made_up(data, len);
	use();
	return 0;
}
