/* SPDX-License-Identifier: ISC */
/*
 * test_sftjournal.c - what was synced is there again after any crash, what was
 * torn is not, and nothing that is changed by accident is believed.
 */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/merkle.h"
#include "common/sftjournal.h"

#define CHUNKS 20

static struct sftjournal_head
a_head(void)
{
	struct sftjournal_head h = { .sender = "tokyo",
		.receiver = "berlin",
		.size = CHUNKS * (UINT64_C(1) << 20),
		.chunk_log2 = 20,
		.epoch = 5 };

	memset(h.id, 0x11, sizeof(h.id));
	memset(h.offer, 0x22, sizeof(h.offer));
	return h;
}

static int
an_empty(void)
{
	int fd = memfd_create("journal", 0);

	assert_true(fd != -1);
	return fd;
}

static struct sftjournal *
reopen(int fd)
{
	struct sftjournal *j;

	assert_int_equal(sftjournal_open(fd, &j), 0);
	return j;
}

static struct sftjournal *
a_journal(int *fd)
{
	struct sftjournal_head h = a_head();

	*fd = an_empty();
	assert_int_equal(sftjournal_create(*fd, &h), 0);
	return reopen(*fd);
}

static struct sftjournal_claim
a_claim(uint32_t index, uint8_t value)
{
	struct sftjournal_claim c = { .index = index };

	memset(c.value, value, sizeof(c.value));
	return c;
}

static void
append(struct sftjournal *j, uint32_t index, uint8_t value)
{
	struct sftjournal_claim c = a_claim(index, value);

	assert_int_equal(sftjournal_append(j, &c, 1), 0);
}

static off_t
length(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

static void
test_head(void **state)
{
	struct sftjournal_head back, h = a_head();
	uint8_t raw[SFTJOURNAL_HEAD_LEN + 1], want[32];
	uint8_t in[20 + 224] = "claw/sft-journal/v1";
	int fd = an_empty();

	(void)state;
	memset(&back, 0xff, sizeof(back));
	assert_int_equal(sftjournal_peek(fd, &back), -ENODATA);
	assert_int_equal(sftjournal_create(fd, &h), 0);
	assert_int_equal(sftjournal_peek(fd, &back), 0);
	assert_memory_equal(&back, &h, sizeof(h));
	assert_int_equal(sftjournal_create(fd, &h), -EEXIST);
	/* The bytes, frozen with version 1. */
	assert_int_equal(pread(fd, raw, sizeof(raw), 0), SFTJOURNAL_HEAD_LEN);
	assert_memory_equal(raw, "clawsftj\0\0\0\1\x14\0\0\0", 16);
	assert_memory_equal(raw + 16, "\0\0\0\0\1\x40\0\0\0\0\0\0\0\0\0\5", 16);
	assert_memory_equal(raw + 32, h.id, 16);
	assert_memory_equal(raw + 48, h.offer, 32);
	assert_memory_equal(raw + 80, h.sender, 64);
	assert_memory_equal(raw + 144, h.receiver, 64);
	memcpy(in + 20, raw, 224);
	merkle_sha256(in, sizeof(in), want);
	assert_memory_equal(raw + 224, want, 32);
	close(fd);
}

static void
refused(const struct sftjournal_head *h)
{
	int fd = an_empty();

	assert_int_equal(sftjournal_create(fd, h), -EINVAL);
	assert_int_equal(length(fd), 0);
	close(fd);
}

static void
test_head_refused(void **state)
{
	struct sftjournal_head h;

	(void)state;
#define REFUSED(change)                                                        \
	do {                                                                   \
		h = a_head();                                                  \
		change;                                                        \
		refused(&h);                                                   \
	} while (0)
	REFUSED(h.sender[0] = '\0');
	REFUSED(h.sender[0] = 'T');
	REFUSED(memset(h.sender, 'a', sizeof(h.sender)));
	REFUSED(h.receiver[0] = '/');
	REFUSED(h.epoch = 0);
	REFUSED(h.epoch = SFT_EPOCH_MAX + 1);
	REFUSED(h.chunk_log2 = 19);
	REFUSED(h.size = (UINT64_C(1) << 44) + 1);
	h = a_head();
	assert_int_equal(sftjournal_create(-1, &h), -EBADF);
	assert_int_equal(sftjournal_peek(-1, &h), -EBADF);
}

/* A header with a byte changed and, if asked for, with a check that fits. */
static int
changed(size_t at, uint8_t with, bool fit)
{
	uint8_t in[20 + 224] = "claw/sft-journal/v1", raw[256];
	struct sftjournal_head h;
	struct sftjournal *j;
	int fd, ret;

	sftjournal_close(a_journal(&fd));
	assert_int_equal(pread(fd, raw, 256, 0), 256);
	if (raw[at] == with)
		return 0;
	raw[at] = with;
	if (fit) {
		memcpy(in + 20, raw, 224);
		merkle_sha256(in, sizeof(in), raw + 224);
	}
	assert_int_equal(pwrite(fd, raw, 256, 0), 256);
	ret = sftjournal_peek(fd, &h);
	assert_int_equal(sftjournal_open(fd, &j), ret);
	assert_true((j == NULL) == (ret != 0));
	sftjournal_close(j);
	close(fd);
	return ret;
}

static void
test_head_damaged(void **state)
{
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < 256; i++) {
		ret = i >= 8 && i < 12 ? -EPROTONOSUPPORT : -EBADMSG;
		assert_int_equal(changed(i, 0xfe, false), ret);
	}
	assert_int_equal(changed(0, 'C', true), -EBADMSG);
	assert_int_equal(changed(12, 19, true), -EBADMSG);
	assert_int_equal(changed(12, 21, true), 0);
	assert_int_equal(changed(13, 1, true), -EBADMSG);
	assert_int_equal(changed(15, 1, true), -EBADMSG);
	assert_int_equal(changed(16, 1, true), -EBADMSG);    /* size */
	assert_int_equal(changed(24, 0x41, true), -EBADMSG); /* epoch */
	assert_int_equal(changed(31, 0, true), -EBADMSG);
	assert_int_equal(changed(80, 'T', true), -EBADMSG);
	assert_int_equal(changed(86, 'x', true), -EBADMSG); /* behind NUL */
	assert_int_equal(changed(143, 'x', true), -EBADMSG);
	assert_int_equal(changed(144, '.', true), -EBADMSG);
	assert_int_equal(changed(207, 'x', true), -EBADMSG);
	assert_int_equal(changed(208, 1, true), -EBADMSG);
	assert_int_equal(changed(223, 1, true), -EBADMSG);
}

static void
test_short(void **state)
{
	struct sftjournal *j;
	int fd, i;

	(void)state;
	for (i = 0; i < SFTJOURNAL_HEAD_LEN; i += 15) {
		sftjournal_close(a_journal(&fd));
		assert_int_equal(ftruncate(fd, i), 0);
		assert_int_equal(sftjournal_open(fd, &j), -ENODATA);
		assert_null(j);
		close(fd);
	}
	sftjournal_close(NULL);
	assert_int_equal(sftjournal_open(-1, &j), -EBADF);
}

static void
test_claims(void **state)
{
	struct sftjournal_claim many[SFTJOURNAL_BATCH_MAX + 1];
	struct sftjournal *j;
	uint32_t i;
	int fd;

	(void)state;
	j = a_journal(&fd);
	assert_int_equal(sftjournal_chunks(j), CHUNKS);
	assert_int_equal(sftjournal_claimed(j), 0);
	assert_int_equal(sftjournal_records(j), 0);
	assert_int_equal(sftjournal_epoch(j), 5);
	assert_false(sftjournal_torn(j));
	assert_string_equal(sftjournal_head(j)->sender, "tokyo");
	assert_null(sftjournal_value(j, 3));
	append(j, 3, 0x33);
	append(j, 19, 0x19);
	append(j, 3, 0x34); /* sent again */
	assert_int_equal(sftjournal_sync(j), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(sftjournal_claimed(j), 2);
		assert_int_equal(sftjournal_records(j), 3);
		assert_true(sftjournal_has(j, 3));
		assert_true(sftjournal_has(j, 19));
		assert_false(sftjournal_has(j, 4));
		assert_false(sftjournal_has(j, CHUNKS));
		assert_false(sftjournal_has(j, UINT32_MAX));
		assert_int_equal(sftjournal_value(j, 3)[31], 0x34);
		assert_int_equal(sftjournal_values(j)[19][0], 0x19);
		assert_int_equal(sftjournal_bits(j)[0], 8);
		assert_int_equal(sftjournal_bits(j)[2], 8);
		sftjournal_close(j);
		assert_int_equal(length(fd), 256 + 3 * 64);
		j = reopen(fd);
	}
	/* Forgotten until it is claimed again. */
	sftjournal_drop(j, 3);
	sftjournal_drop(j, 3);
	sftjournal_drop(j, 1);
	sftjournal_drop(j, CHUNKS);
	assert_int_equal(sftjournal_claimed(j), 1);
	assert_null(sftjournal_value(j, 3));
	assert_true(sftjournal_has(j, 19));
	append(j, 3, 0x35);
	assert_int_equal(sftjournal_claimed(j), 2);
	assert_int_equal(sftjournal_value(j, 3)[0], 0x35);

	for (i = 0; i <= SFTJOURNAL_BATCH_MAX; i++)
		many[i] = a_claim(i % CHUNKS, (uint8_t)i);
	assert_int_equal(sftjournal_append(j, many, 0), -EINVAL);
	assert_int_equal(sftjournal_append(j, many, SFTJOURNAL_BATCH_MAX + 1),
	    -EINVAL);
	assert_int_equal(sftjournal_append(j, many, SFTJOURNAL_BATCH_MAX), 0);
	assert_int_equal(sftjournal_claimed(j), CHUNKS);
	many[7].index = CHUNKS;
	assert_int_equal(sftjournal_append(j, many, 8), -EINVAL);
	assert_int_equal(sftjournal_records(j), 4 + 256);
	append(j, 0, 1);
	sftjournal_close(j);
	j = reopen(fd);
	assert_int_equal(sftjournal_records(j), 4 + 256 + 1);
	assert_int_equal(sftjournal_claimed(j), CHUNKS);
	assert_int_equal(sftjournal_value(j, 0)[0], 1);
	assert_int_equal(sftjournal_value(j, 15)[0], 255);
	sftjournal_close(j);
	close(fd);
}

static void
test_record_bytes(void **state)
{
	uint8_t in[20 + 24 + 40] = "claw/sft-journal/v1", raw[256 + 128];
	struct sftjournal *j;
	uint8_t want[32];
	int fd;

	(void)state;
	j = a_journal(&fd);
	append(j, 7, 0x77);
	assert_int_equal(sftjournal_bump(j, 9), 0);
	assert_int_equal(pread(fd, raw, sizeof(raw), 0), sizeof(raw));
	assert_memory_equal(raw + 256, "\1\0\0\0\0\0\0\7", 8);
	assert_int_equal(raw[256 + 8], 0x77);
	assert_int_equal(raw[256 + 39], 0x77);
	memcpy(in + 20, raw + 224, 24);
	memcpy(in + 44, raw + 256, 40);
	merkle_sha256(in, sizeof(in), want);
	assert_memory_equal(raw + 256 + 40, want, 24);
	assert_memory_equal(raw + 320, "\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09",
	    16);
	memcpy(in + 20, raw + 256 + 40, 24);
	memcpy(in + 44, raw + 320, 40);
	merkle_sha256(in, sizeof(in), want);
	assert_memory_equal(raw + 320 + 40, want, 24);
	sftjournal_close(j);
	close(fd);
}

static void
test_epoch(void **state)
{
	struct sftjournal *j;
	int fd;

	(void)state;
	j = a_journal(&fd);
	assert_int_equal(sftjournal_bump(j, 5), -EINVAL);
	assert_int_equal(sftjournal_bump(j, 4), -EINVAL);
	assert_int_equal(sftjournal_bump(j, SFT_EPOCH_MAX + 1), -EINVAL);
	assert_int_equal(sftjournal_bump(j, 6), 0);
	assert_int_equal(sftjournal_bump(j, 6), -EINVAL);
	append(j, 1, 1);
	assert_int_equal(sftjournal_bump(j, SFT_EPOCH_MAX), 0);
	assert_int_equal(sftjournal_epoch(j), SFT_EPOCH_MAX);
	sftjournal_close(j);
	j = reopen(fd);
	assert_int_equal(sftjournal_epoch(j), SFT_EPOCH_MAX);
	assert_int_equal(sftjournal_records(j), 3);
	assert_int_equal(sftjournal_head(j)->epoch, 5);
	sftjournal_close(j);
	close(fd);
}

/* Cut at every byte: what is whole before the cut stays. */
static void
test_torn(void **state)
{
	struct sftjournal *j;
	uint8_t raw[256 + 4 * 64];
	off_t cut;
	uint32_t i;
	int fd, part;

	(void)state;
	j = a_journal(&fd);
	for (i = 0; i < 4; i++)
		append(j, i, (uint8_t)i);
	sftjournal_close(j);
	assert_int_equal(pread(fd, raw, sizeof(raw), 0), sizeof(raw));
	close(fd);
	for (cut = 256; cut <= (off_t)sizeof(raw); cut++) {
		part = an_empty();
		assert_int_equal(pwrite(part, raw, (size_t)cut, 0), cut);
		j = reopen(part);
		assert_int_equal(sftjournal_records(j), (cut - 256) / 64);
		assert_int_equal(sftjournal_claimed(j), (cut - 256) / 64);
		assert_true(sftjournal_torn(j) == ((cut - 256) % 64 != 0));
		/* It goes on where the whole ones end. */
		append(j, 9, 9);
		sftjournal_close(j);
		j = reopen(part);
		assert_int_equal(sftjournal_records(j), (cut - 256) / 64 + 1);
		assert_true(sftjournal_has(j, 9));
		assert_false(sftjournal_torn(j));
		sftjournal_close(j);
		close(part);
	}
}

/* A byte changed anywhere: that record and all behind it are gone. */
static void
test_damaged(void **state)
{
	struct sftjournal *j;
	uint8_t c, other;
	off_t at;
	uint32_t i;
	int fd;

	(void)state;
	j = a_journal(&fd);
	for (i = 0; i < 4; i++)
		append(j, i, (uint8_t)i);
	sftjournal_close(j);
	for (at = 256; at < 256 + 4 * 64; at++) {
		assert_int_equal(pread(fd, &c, 1, at), 1);
		other = c ^ 0x40;
		assert_int_equal(pwrite(fd, &other, 1, at), 1);
		j = reopen(fd);
		assert_int_equal(sftjournal_claimed(j), (at - 256) / 64);
		assert_true(sftjournal_torn(j));
		sftjournal_close(j);
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
	}
	close(fd);
}

/*
 * What an earlier attempt left behind the torn record does not come back when
 * the next one has written over it.
 */
static void
test_left_behind(void **state)
{
	struct sftjournal *j;
	uint8_t zero = 0;
	uint32_t i;
	int fd;

	(void)state;
	j = a_journal(&fd);
	for (i = 0; i < 4; i++)
		append(j, i, (uint8_t)i);
	sftjournal_close(j);
	assert_int_equal(pwrite(fd, &zero, 1, 256 + 64 + 63), 1);
	j = reopen(fd);
	assert_int_equal(sftjournal_claimed(j), 1);
	assert_int_equal(sftjournal_bump(j, 6), 0);
	sftjournal_close(j);
	j = reopen(fd);
	assert_int_equal(sftjournal_records(j), 2);
	assert_int_equal(sftjournal_claimed(j), 1);
	sftjournal_close(j);
	close(fd);
}

/* A record of these 40 bytes, with a check that fits. */
static bool
taken(const uint8_t record[40])
{
	uint8_t in[20 + 24 + 40] = "claw/sft-journal/v1", raw[64], hash[32];
	struct sftjournal *j;
	bool ret;
	int fd;

	sftjournal_close(a_journal(&fd));
	assert_int_equal(pread(fd, in + 20, 24, 224), 24);
	memcpy(in + 44, record, 40);
	memcpy(raw, record, 40);
	merkle_sha256(in, sizeof(in), hash);
	memcpy(raw + 40, hash, 24);
	assert_int_equal(pwrite(fd, raw, 64, 256), 64);
	j = reopen(fd);
	ret = sftjournal_records(j) == 1;
	assert_true(sftjournal_torn(j) != ret);
	sftjournal_close(j);
	close(fd);
	return ret;
}

static void
test_made_up(void **state)
{
	uint8_t r[40] = { 1 };

	(void)state;
	assert_true(taken(r));
	r[0] = 0;
	assert_false(taken(r));
	r[0] = 3;
	assert_false(taken(r));
	r[0] = 1;
	r[1] = 1;
	assert_false(taken(r));
	r[1] = 0;
	r[3] = 1;
	assert_false(taken(r));
	r[3] = 0;
	r[7] = CHUNKS - 1;
	assert_true(taken(r));
	r[7] = CHUNKS;
	assert_false(taken(r));
	memset(r + 4, 0xff, 4);
	assert_false(taken(r));
	memset(r, 0, sizeof(r));
	r[0] = 2;
	r[15] = 6;
	assert_true(taken(r));
	r[0] = 3;
	assert_false(taken(r));
	r[0] = 1;
	assert_true(taken(r));
	r[0] = 2;
	r[7] = 1;
	assert_false(taken(r));
	r[7] = 0;
	r[16] = 1;
	assert_false(taken(r));
	r[16] = 0;
	r[39] = 1;
	assert_false(taken(r));
	r[39] = 0;
	r[15] = 5;
	assert_false(taken(r));
	r[8] = 0x40;
	r[15] = 0;
	assert_true(taken(r));
	r[15] = 1;
	assert_false(taken(r));
}

/* A disk that is full, and one that fails. */
static void
test_faults(void **state)
{
	struct sftjournal_claim c = a_claim(2, 2);
	int fd, full = open("/dev/full", O_RDWR), keep;
	int null = open("/dev/null", O_RDWR);
	struct sftjournal *j;

	(void)state;
	assert_true(full != -1 && null != -1);
	j = a_journal(&fd);
	append(j, 1, 1);
	keep = dup(fd);
	assert_int_equal(dup2(full, fd), fd);
	assert_int_equal(sftjournal_append(j, &c, 1), -ENOSPC);
	assert_int_equal(sftjournal_bump(j, 6), -ENOSPC);
	assert_false(sftjournal_has(j, 2));
	assert_int_equal(sftjournal_records(j), 1);
	assert_int_equal(sftjournal_epoch(j), 5);
	/* There is room again. */
	assert_int_equal(dup2(keep, fd), fd);
	append(j, 3, 3);
	assert_int_equal(sftjournal_sync(j), 0);
	sftjournal_close(j);
	j = reopen(fd);
	assert_int_equal(sftjournal_records(j), 2);
	assert_true(sftjournal_has(j, 3));
	/* What cannot be synced fails, and for good. */
	assert_int_equal(dup2(null, fd), fd);
	assert_int_equal(sftjournal_append(j, &c, 1), 0);
	assert_int_equal(sftjournal_sync(j), -EINVAL);
	assert_int_equal(dup2(keep, fd), fd);
	assert_int_equal(sftjournal_sync(j), -EINVAL);
	assert_int_equal(sftjournal_append(j, &c, 1), -EINVAL);
	assert_int_equal(sftjournal_bump(j, 7), -EINVAL);
	assert_int_equal(length(fd), 256 + 2 * 64);
	sftjournal_close(j);
	j = reopen(fd);
	assert_int_equal(sftjournal_records(j), 2);
	assert_int_equal(dup2(null, fd), fd);
	assert_int_equal(sftjournal_bump(j, 7), -EINVAL);
	assert_int_equal(dup2(keep, fd), fd);
	assert_int_equal(sftjournal_bump(j, 8), -EINVAL);
	sftjournal_close(j);
	close(fd);
	close(keep);
	close(full);
	close(null);
}

static void
test_most(void **state)
{
	struct sftjournal_head h = a_head();
	struct sftjournal_claim many[SFTJOURNAL_BATCH_MAX];
	struct sftjournal *j;
	uint8_t rec[64];
	uint64_t i;
	int fd = an_empty();

	(void)state;
	/* A short one: 4096 + 4 records. */
	h.size = 1;
	assert_int_equal(sftjournal_create(fd, &h), 0);
	j = reopen(fd);
	for (i = 0; i < SFTJOURNAL_BATCH_MAX; i++)
		many[i] = a_claim(0, (uint8_t)i);
	for (i = 0; i < 16; i++)
		assert_int_equal(sftjournal_append(j, many, 256), 0);
	assert_int_equal(sftjournal_append(j, many, 5), -EFBIG);
	assert_int_equal(sftjournal_append(j, many, 4), 0);
	assert_int_equal(sftjournal_append(j, many, 1), -EFBIG);
	assert_int_equal(sftjournal_bump(j, 6), -EFBIG);
	assert_int_equal(sftjournal_records(j), 4100);
	sftjournal_close(j);
	/* One more that fits, but is one too many. */
	assert_int_equal(pread(fd, rec, 64, 256 + 4099 * 64), 64);
	{
		uint8_t in[20 + 24 + 40] = "claw/sft-journal/v1", hash[32];

		memcpy(in + 20, rec + 40, 24);
		memcpy(in + 44, rec, 40);
		merkle_sha256(in, sizeof(in), hash);
		memcpy(rec + 40, hash, 24);
	}
	assert_int_equal(pwrite(fd, rec, 64, 256 + 4100 * 64), 64);
	j = reopen(fd);
	assert_int_equal(sftjournal_records(j), 4100);
	assert_true(sftjournal_torn(j));
	sftjournal_close(j);
	close(fd);
}

/* What errno was left at by somebody else does not matter. */
static void
test_errno(void **state)
{
	struct sftjournal *j;
	int fd;

	(void)state;
	errno = EINTR;
	j = a_journal(&fd);
	errno = EINTR;
	append(j, 1, 1);
	errno = EINTR;
	assert_int_equal(sftjournal_sync(j), 0);
	sftjournal_close(j);
	errno = EINTR;
	j = reopen(fd);
	assert_true(sftjournal_has(j, 1));
	sftjournal_close(j);
	close(fd);
}

/* An empty file has no chunks; a large one needs no memory for what is not. */
static void
test_sizes(void **state)
{
	struct sftjournal_head h = a_head();
	struct sftjournal_claim c = a_claim(0, 0);
	struct sftjournal *j;
	int fd = an_empty();

	(void)state;
	h.size = 0;
	assert_int_equal(sftjournal_create(fd, &h), 0);
	j = reopen(fd);
	assert_int_equal(sftjournal_chunks(j), 0);
	assert_false(sftjournal_has(j, 0));
	assert_int_equal(sftjournal_append(j, &c, 1), -EINVAL);
	assert_int_equal(sftjournal_bump(j, 6), 0);
	sftjournal_close(j);
	close(fd);
	fd = an_empty();
	h.size = UINT64_C(1) << 44;
	assert_int_equal(sftjournal_create(fd, &h), 0);
	j = reopen(fd);
	append(j, SFT_CHUNKS_MAX - 1, 1);
	assert_true(sftjournal_has(j, SFT_CHUNKS_MAX - 1));
	assert_int_equal(sftjournal_claimed(j), 1);
	sftjournal_close(j);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_head_refused),
		cmocka_unit_test(test_head_damaged),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_record_bytes),
		cmocka_unit_test(test_epoch),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_made_up),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
