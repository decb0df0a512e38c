/* SPDX-License-Identifier: ISC */
/*
 * sftjournal.c - the journal of a partial file.
 *
 * Owns the memory of what is claimed, and no descriptor. A record's check is
 * a hash over the check before it and the record, so one that is whole proves
 * all before it whole, and what an earlier attempt left behind a torn record
 * does not fit what is written over it. It finds accidents: who can write the
 * file can write a chain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/merkle.h"
#include "common/sftjournal.h"

#define MAGIC "clawsftj"
#define MAGIC_LEN 8
#define PREFIX "claw/sft-journal/v1"
#define NAME_LEN (NODENAME_MAX + 1)
#define RESERVED_LEN 16
#define HEAD_CHECK_LEN 32
#define HEAD_CHECKED (SFTJOURNAL_HEAD_LEN - HEAD_CHECK_LEN)
#define CHECK_LEN 24
#define CHECKED (SFTJOURNAL_RECORD_LEN - CHECK_LEN)

enum kind { KIND_CLAIM = 1, KIND_EPOCH = 2 };

struct sftjournal {
	int fd;
	int failed; /* of fdatasync: final */
	struct sftjournal_head head;
	uint64_t epoch;
	uint64_t records;
	bool torn;
	uint32_t chunks;
	uint32_t claimed;
	uint8_t chain[CHECK_LEN]; /* the last record's check */
	uint8_t *bits;
	uint8_t (*values)[SFT_VALUE_LEN];
};

struct record {
	uint8_t kind;
	uint32_t index;
	uint8_t value[SFT_VALUE_LEN];
};

_Static_assert(CHECKED == 1 + 3 + 4 + SFT_VALUE_LEN, "a record's fields");
_Static_assert(HEAD_CHECKED ==
	MAGIC_LEN + 4 + 4 + 8 + 8 + SFT_ID_LEN + 32 + 2 * NAME_LEN +
	    RESERVED_LEN,
    "a header's fields");

/* --- the disk ----------------------------------------------------------- */

/* Bytes read, fewer than len only at the end of the file; or -errno. */
static ssize_t
read_at(int fd, uint8_t *out, size_t len, uint64_t off)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(fd, out + done, len - done, (off_t)(off + done));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int
write_at(int fd, const uint8_t *data, size_t len, uint64_t off)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pwrite(fd, data + done, len - done, (off_t)(off + done));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static int
sync_fd(int fd)
{
	while (fdatasync(fd) == -1)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* --- header ------------------------------------------------------------- */

static bool
head_ok(const struct sftjournal_head *h)
{
	return sft_size_ok(h->size, h->chunk_log2) && h->epoch >= 1 &&
	    h->epoch <= SFT_EPOCH_MAX &&
	    nodename_ok(h->sender, strnlen(h->sender, NAME_LEN)) &&
	    nodename_ok(h->receiver, strnlen(h->receiver, NAME_LEN));
}

static void
head_check(const uint8_t head[HEAD_CHECKED], uint8_t check[HEAD_CHECK_LEN])
{
	uint8_t in[sizeof(PREFIX) + HEAD_CHECKED];

	memcpy(in, PREFIX, sizeof(PREFIX)); /* with its zero */
	memcpy(in + sizeof(PREFIX), head, HEAD_CHECKED);
	merkle_sha256(in, sizeof(in), check);
}

static void
put_name(struct wbuf *w, const char *name)
{
	char field[NAME_LEN] = { 0 };

	memcpy(field, name, strnlen(name, sizeof(field) - 1));
	wbuf_put(w, field, sizeof(field));
}

int
sftjournal_create(int fd, const struct sftjournal_head *h)
{
	static const uint8_t zero[RESERVED_LEN];
	uint8_t out[SFTJOURNAL_HEAD_LEN];
	struct wbuf w;
	ssize_t n;
	int ret;

	if (!head_ok(h))
		return -EINVAL;
	if ((n = read_at(fd, out, 1, 0)) != 0)
		return n < 0 ? (int)n : -EEXIST;
	wbuf_init(&w, out, sizeof(out));
	wbuf_put(&w, MAGIC, MAGIC_LEN);
	wbuf_u32(&w, SFTJOURNAL_VERSION);
	wbuf_u8(&w, h->chunk_log2);
	wbuf_put(&w, zero, 3);
	wbuf_u64(&w, h->size);
	wbuf_u64(&w, h->epoch);
	wbuf_put(&w, h->id, sizeof(h->id));
	wbuf_put(&w, h->offer, sizeof(h->offer));
	put_name(&w, h->sender);
	put_name(&w, h->receiver);
	wbuf_put(&w, zero, RESERVED_LEN);
	head_check(out, out + HEAD_CHECKED);
	if ((ret = write_at(fd, out, sizeof(out), 0)) != 0)
		return ret;
	return sync_fd(fd);
}

static void
get_fixed(struct rbuf *r, void *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

/* Whether the next n bytes are zero. */
static bool
get_zero(struct rbuf *r, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);
	uint8_t seen = 0;
	size_t i;

	for (i = 0; p != NULL && i < n; i++)
		seen |= p[i];
	return p != NULL && seen == 0;
}

/* A name, and zeros up to the end of its field; without, it is too long. */
static bool
get_name(struct rbuf *r, char out[NAME_LEN])
{
	struct rbuf rest;
	size_t n;

	get_fixed(r, out, NAME_LEN);
	n = strnlen(out, NAME_LEN);
	rbuf_init(&rest, out + n, NAME_LEN - n);
	return get_zero(&rest, NAME_LEN - n);
}

static int
parse_head(const uint8_t in[SFTJOURNAL_HEAD_LEN], struct sftjournal_head *h)
{
	uint8_t check[HEAD_CHECK_LEN];
	struct rbuf r;
	bool ok;

	memset(h, 0, sizeof(*h));
	rbuf_init(&r, in, HEAD_CHECKED);
	if (memcmp(rbuf_take(&r, MAGIC_LEN), MAGIC, MAGIC_LEN) != 0)
		return -EBADMSG;
	if (rbuf_u32(&r) != SFTJOURNAL_VERSION)
		return -EPROTONOSUPPORT;
	head_check(in, check);
	if (memcmp(check, in + HEAD_CHECKED, sizeof(check)) != 0)
		return -EBADMSG;
	h->chunk_log2 = rbuf_u8(&r);
	ok = get_zero(&r, 3);
	h->size = rbuf_u64(&r);
	h->epoch = rbuf_u64(&r);
	get_fixed(&r, h->id, sizeof(h->id));
	get_fixed(&r, h->offer, sizeof(h->offer));
	ok = get_name(&r, h->sender) && ok;
	ok = get_name(&r, h->receiver) && ok;
	ok = get_zero(&r, RESERVED_LEN) && ok;
	return ok && head_ok(h) ? 0 : -EBADMSG;
}

/* The header, and its check, with which the chain begins. */
static int
read_head(int fd, struct sftjournal_head *h, uint8_t chain[CHECK_LEN])
{
	uint8_t in[SFTJOURNAL_HEAD_LEN];
	ssize_t n;

	if ((n = read_at(fd, in, sizeof(in), 0)) < 0)
		return (int)n;
	if ((size_t)n < sizeof(in))
		return -ENODATA;
	memcpy(chain, in + HEAD_CHECKED, CHECK_LEN);
	return parse_head(in, h);
}

int
sftjournal_peek(int fd, struct sftjournal_head *h)
{
	uint8_t chain[CHECK_LEN];

	return read_head(fd, h, chain);
}

/* --- records ------------------------------------------------------------ */

static void
record_check(const uint8_t chain[CHECK_LEN], const uint8_t record[CHECKED],
    uint8_t out[CHECK_LEN])
{
	uint8_t in[sizeof(PREFIX) + CHECK_LEN + CHECKED], hash[32];

	memcpy(in, PREFIX, sizeof(PREFIX));
	memcpy(in + sizeof(PREFIX), chain, CHECK_LEN);
	memcpy(in + sizeof(PREFIX) + CHECK_LEN, record, CHECKED);
	merkle_sha256(in, sizeof(in), hash);
	memcpy(out, hash, CHECK_LEN);
}

/* Write the record behind the one whose check is in chain, and move on. */
static void
put_record(const struct record *rec, uint8_t chain[CHECK_LEN],
    uint8_t out[SFTJOURNAL_RECORD_LEN])
{
	static const uint8_t zero[3];
	struct wbuf w;

	wbuf_init(&w, out, SFTJOURNAL_RECORD_LEN);
	wbuf_u8(&w, rec->kind);
	wbuf_put(&w, zero, sizeof(zero));
	wbuf_u32(&w, rec->index);
	wbuf_put(&w, rec->value, sizeof(rec->value));
	record_check(chain, out, out + CHECKED);
	memcpy(chain, out + CHECKED, CHECK_LEN);
}

static void
claim(struct sftjournal *j, uint32_t index, const uint8_t *value)
{
	if (!sftjournal_has(j, index)) {
		j->bits[index / 8] |= (uint8_t)(1u << index % 8);
		j->claimed++;
	}
	memcpy(j->values[index], value, SFT_VALUE_LEN);
}

static bool
take_epoch(struct sftjournal *j, const struct record *rec)
{
	struct rbuf r;
	uint64_t epoch;

	rbuf_init(&r, rec->value, sizeof(rec->value));
	epoch = rbuf_u64(&r);
	if (rec->index != 0 || !get_zero(&r, SFT_VALUE_LEN - 8) ||
	    epoch <= j->epoch || epoch > SFT_EPOCH_MAX)
		return false;
	j->epoch = epoch;
	return true;
}

/* The next record as it was read; false where the journal ends. */
static bool
take_record(struct sftjournal *j, const uint8_t in[SFTJOURNAL_RECORD_LEN])
{
	uint8_t check[CHECK_LEN];
	struct record rec;
	struct rbuf r;

	record_check(j->chain, in, check);
	if (memcmp(check, in + CHECKED, sizeof(check)) != 0)
		return false;
	rbuf_init(&r, in, CHECKED);
	rec.kind = rbuf_u8(&r);
	if (!get_zero(&r, 3))
		return false;
	rec.index = rbuf_u32(&r);
	get_fixed(&r, rec.value, sizeof(rec.value));
	if (rec.kind == KIND_CLAIM && rec.index < j->chunks)
		claim(j, rec.index, rec.value);
	else if (rec.kind != KIND_EPOCH || !take_epoch(j, &rec))
		return false;
	memcpy(j->chain, check, sizeof(check));
	j->records++;
	return true;
}

static uint64_t
end_of(const struct sftjournal *j)
{
	return SFTJOURNAL_HEAD_LEN + j->records * SFTJOURNAL_RECORD_LEN;
}

static int
read_records(struct sftjournal *j)
{
	uint8_t block[SFTJOURNAL_BATCH_MAX * SFTJOURNAL_RECORD_LEN];
	size_t i;
	ssize_t n;

	do {
		n = read_at(j->fd, block, sizeof(block), end_of(j));
		if (n < 0)
			return (int)n;
		for (i = 0; i + SFTJOURNAL_RECORD_LEN <= (size_t)n;
		     i += SFTJOURNAL_RECORD_LEN)
			if (j->records >= SFTJOURNAL_RECORDS_MAX(j->chunks) ||
			    !take_record(j, block + i))
				break;
		j->torn = i < (size_t)n;
	} while (i == sizeof(block));
	return 0;
}

int
sftjournal_open(int fd, struct sftjournal **out)
{
	struct sftjournal *j;
	int ret;

	*out = NULL;
	if ((j = calloc(1, sizeof(*j))) == NULL)
		return -ENOMEM;
	j->fd = fd;
	if ((ret = read_head(fd, &j->head, j->chain)) != 0)
		goto out;
	j->epoch = j->head.epoch;
	j->chunks = sft_chunks(j->head.size, j->head.chunk_log2);
	/* At least one of each, so that NULL says no memory. */
	j->bits = calloc(j->chunks / 8 + 1, 1);
	j->values = calloc((size_t)j->chunks + 1, SFT_VALUE_LEN);
	ret = -ENOMEM;
	if (j->bits == NULL || j->values == NULL)
		goto out;
	ret = read_records(j);
out:
	if (ret == 0)
		*out = j;
	else
		sftjournal_close(j);
	return ret;
}

void
sftjournal_close(struct sftjournal *j)
{
	if (j == NULL)
		return;
	free(j->bits);
	free(j->values);
	free(j);
}

/* n records, already chained, become part of the journal. */
static int
write_records(struct sftjournal *j, const uint8_t *block, size_t n,
    const uint8_t chain[CHECK_LEN])
{
	int ret;

	if (j->records + n > SFTJOURNAL_RECORDS_MAX(j->chunks))
		return -EFBIG;
	ret = write_at(j->fd, block, n * SFTJOURNAL_RECORD_LEN, end_of(j));
	if (ret != 0)
		return ret;
	memcpy(j->chain, chain, CHECK_LEN);
	j->records += n;
	return 0;
}

int
sftjournal_bump(struct sftjournal *j, uint64_t epoch)
{
	uint8_t chain[CHECK_LEN], out[SFTJOURNAL_RECORD_LEN];
	struct record rec = { .kind = KIND_EPOCH };
	struct wbuf w;
	int ret;

	if (j->failed != 0)
		return j->failed;
	if (epoch <= j->epoch || epoch > SFT_EPOCH_MAX)
		return -EINVAL;
	wbuf_init(&w, rec.value, sizeof(rec.value));
	wbuf_u64(&w, epoch);
	memcpy(chain, j->chain, sizeof(chain));
	put_record(&rec, chain, out);
	if ((ret = write_records(j, out, 1, chain)) != 0)
		return ret;
	j->epoch = epoch;
	return sftjournal_sync(j);
}

int
sftjournal_append(struct sftjournal *j, const struct sftjournal_claim *claims,
    size_t n)
{
	uint8_t block[SFTJOURNAL_BATCH_MAX * SFTJOURNAL_RECORD_LEN];
	uint8_t chain[CHECK_LEN];
	struct record rec = { .kind = KIND_CLAIM };
	size_t i;
	int ret;

	if (j->failed != 0)
		return j->failed;
	if (n < 1 || n > SFTJOURNAL_BATCH_MAX)
		return -EINVAL;
	memcpy(chain, j->chain, sizeof(chain));
	for (i = 0; i < n; i++) {
		if (claims[i].index >= j->chunks)
			return -EINVAL;
		rec.index = claims[i].index;
		memcpy(rec.value, claims[i].value, sizeof(rec.value));
		put_record(&rec, chain, block + i * SFTJOURNAL_RECORD_LEN);
	}
	if ((ret = write_records(j, block, n, chain)) != 0)
		return ret;
	for (i = 0; i < n; i++)
		claim(j, claims[i].index, claims[i].value);
	return 0;
}

int
sftjournal_sync(struct sftjournal *j)
{
	if (j->failed == 0)
		j->failed = sync_fd(j->fd);
	return j->failed;
}

/* --- what is claimed ---------------------------------------------------- */

const struct sftjournal_head *
sftjournal_head(const struct sftjournal *j)
{
	return &j->head;
}

uint64_t
sftjournal_epoch(const struct sftjournal *j)
{
	return j->epoch;
}

uint64_t
sftjournal_records(const struct sftjournal *j)
{
	return j->records;
}

bool
sftjournal_torn(const struct sftjournal *j)
{
	return j->torn;
}

uint32_t
sftjournal_chunks(const struct sftjournal *j)
{
	return j->chunks;
}

uint32_t
sftjournal_claimed(const struct sftjournal *j)
{
	return j->claimed;
}

bool
sftjournal_has(const struct sftjournal *j, uint32_t index)
{
	return index < j->chunks && (j->bits[index / 8] >> index % 8 & 1) != 0;
}

const uint8_t *
sftjournal_value(const struct sftjournal *j, uint32_t index)
{
	return sftjournal_has(j, index) ? j->values[index] : NULL;
}

void
sftjournal_drop(struct sftjournal *j, uint32_t index)
{
	if (!sftjournal_has(j, index))
		return;
	j->bits[index / 8] &= (uint8_t) ~(1u << index % 8);
	j->claimed--;
}

const uint8_t *
sftjournal_bits(const struct sftjournal *j)
{
	return j->bits;
}

const uint8_t (*sftjournal_values(const struct sftjournal *j))[SFT_VALUE_LEN]
{
	return (const uint8_t(*)[SFT_VALUE_LEN])j->values;
}
