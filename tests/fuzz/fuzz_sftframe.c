/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sftframe.c - what a peer says in a file transfer: any bytes.
 *
 * The first byte says who speaks and how many chunks the file has; frames
 * follow. What is read is written again as the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/sftframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static uint8_t again[SFT_FRAME_MAX];
static uint32_t had, told; /* how far HAVE and BASIS have come */

static void
same(const uint8_t *frame, size_t len, ssize_t n)
{
	if (n != (ssize_t)len || memcmp(again, frame, len) != 0)
		abort();
}

static void
offer(const uint8_t *frame, size_t len)
{
	uint8_t digest[32], kept[SFT_SMALL_MAX];
	struct sft_accept a;
	struct sft_offer o;

	if (sft_offer_parse(frame + 4, len - 4, &o) != 0)
		return;
	memcpy(kept, frame, len);
	/* Bits of the mode that are not kept. */
	kept[22] = 0;
	kept[22] |= frame[22] & 1;
	same(kept, len, sft_offer_format(&o, again, sizeof(again)));
	sft_offer_digest(&o, "a", "b", digest);
	memset(&a, 0, sizeof(a));
	(void)sft_accept_fits(&o, &a);
	if (sft_chunks(o.size, o.chunk_log2) > SFT_CHUNKS_MAX)
		abort();
}

static void
accept_frame(const uint8_t *frame, size_t len)
{
	struct sft_accept a;

	if (sft_accept_parse(frame + 4, len - 4, &a) == 0)
		same(frame, len, sft_accept_format(&a, again, sizeof(again)));
}

static void
have(const uint8_t *frame, size_t len, uint32_t chunks)
{
	static uint8_t bits[(1 << 17) / 8];
	uint32_t count, end = 0, first, from = 0, i;
	struct sft_ranges all, ranges;
	bool last, wrote;

	if (sft_have_parse(frame + 4, len - 4, chunks, &had, &last, &ranges) !=
	    0)
		return;
	all = ranges;
	while (sft_ranges_next(&ranges, &first, &count)) {
		if (first >= chunks || count == 0 || count > chunks - first)
			abort();
		for (i = first; i < first + count; i++)
			bits[i / 8] |= (uint8_t)(1u << i % 8);
		end = first + count;
	}
	same(frame, len,
	    sft_have_format(bits, chunks, &from, &wrote, again, sizeof(again)));
	if (wrote != last || (!last && from != end))
		abort();
	while (sft_ranges_next(&all, &first, &count))
		for (i = first; i < first + count; i++)
			bits[i / 8] = 0;
}

static void
ack(const uint8_t *frame, size_t len, uint32_t chunks)
{
	static uint32_t index[SFT_LIST_MAX];
	struct sft_ranges list;
	uint32_t n = 0;

	if (sft_ack_parse(frame + 4, len - 4, chunks, &list) != 0)
		return;
	while (sft_ack_next(&list, &index[n]))
		if (index[n++] >= chunks)
			abort();
	same(frame, len, sft_ack_format(index, n, again, sizeof(again)));
}

static void
basis(const uint8_t *frame, size_t len, uint32_t chunks)
{
	static uint8_t values[SFT_BASIS_LIST_MAX][SFT_VALUE_LEN];
	uint32_t before = told, first, n;
	const uint8_t *value;

	if (sft_basis_parse(frame + 4, len - 4, chunks, &told, &first, &n,
		&value) != 0)
		return;
	if (n < 1 || n > SFT_BASIS_LIST_MAX || first < before ||
	    told != first + n || told > chunks || told > SFT_BASIS_MAX)
		abort();
	memcpy(values, value, (size_t)n * SFT_VALUE_LEN);
	same(frame, len,
	    sft_basis_format((const uint8_t(*)[SFT_VALUE_LEN])values, first, n,
		again, sizeof(again)));
}

static void
small(uint8_t type, const uint8_t *frame, size_t len, uint32_t chunks)
{
	struct sft_reason reason;
	uint64_t number;
	uint32_t index;
	uint8_t why;

	switch (type) {
	case SFT_REFUSE:
	case SFT_ABORT:
		if (sft_reason_parse(frame + 4, len - 4, &reason) == 0)
			same(frame, len,
			    sft_reason_format((enum sft_type)type, reason.code,
				reason.text, again, sizeof(again)));
		break;
	case SFT_LOST:
		if (sft_lost_parse(frame + 4, len - 4, &why, &index) == 0)
			same(frame, len,
			    sft_lost_format(why, index, again, sizeof(again)));
		break;
	case SFT_AGAIN:
		if (sft_again_parse(frame + 4, len - 4, chunks, &index, &why) ==
		    0)
			same(frame, len,
			    sft_again_format(index, why, again, sizeof(again)));
		break;
	case SFT_SEAL:
	case SFT_RECEIPT:
		same(frame, len,
		    sft_signed_format((enum sft_type)type, frame + 4, len - 4,
			again, sizeof(again)));
		break;
	case SFT_PING:
	case SFT_PONG:
		if (sft_ping_parse(frame + 4, len - 4, &number) != 0)
			abort();
		same(frame, len,
		    sft_ping_format((enum sft_type)type, number, again,
			sizeof(again)));
		break;
	case SFT_DONE:
		same(frame, len, sft_empty_format(SFT_DONE, again, 4));
		break;
	default:
		abort();
	}
}

/* A whole frame, whose head is good. */
static void
one(uint8_t type, const uint8_t *frame, size_t len, uint32_t chunks)
{
	if (type == SFT_OFFER)
		offer(frame, len);
	else if (type == SFT_ACCEPT)
		accept_frame(frame, len);
	else if (type == SFT_HAVE)
		have(frame, len, chunks);
	else if (type == SFT_BASIS)
		basis(frame, len, chunks);
	else if (type == SFT_ACK)
		ack(frame, len, chunks);
	else
		small(type, frame, len, chunks);
}

/* The same bytes, come in over a data stream. */
static void
data_stream(const uint8_t *data, size_t len)
{
	uint8_t head[SFT_CHUNK_HEAD_LEN], out[SFT_JOIN_LEN];
	static const uint8_t exporter[32];
	struct sft_join j;
	struct sft_chunk c;

	if (len >= SFT_JOIN_LEN && sft_join_parse(data, &j) == 0) {
		if (sft_join_format(&j, out) != 0 ||
		    memcmp(out, data, sizeof(out)) != 0)
			abort();
		if (sft_join_check(&j, exporter, exporter, j.id, j.index) == 0)
			abort();
		data += SFT_JOIN_LEN;
		len -= SFT_JOIN_LEN;
	}
	if (len < SFT_CHUNK_HEAD_LEN ||
	    sft_chunk_parse(data, UINT64_C(3) << 20 | 7, 20, &c) != 0)
		return;
	sft_chunk_format(&c, head);
	if (c.len == 0 || c.len > 1 << 20 || (c.same && c.packed) ||
	    memcmp(head, data, sizeof(head)) != 0 ||
	    sft_data_len(data) != SFT_CHUNK_HEAD_LEN)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t body, chunks;
	enum sft_side from;
	uint8_t type;

	if (len == 0)
		return 0;
	from = (data[0] & 1) != 0 ? SFT_SENDER : SFT_RECEIVER;
	chunks = UINT32_C(1) << (data[0] >> 1) % 18;
	had = told = 0;
	data_stream(data + 1, len - 1);
	for (data++, len--; len >= SFT_HEAD_LEN; data += body, len -= body) {
		if (sft_head_parse(data, from, &type, &body) != 0)
			break;
		if (body > SFT_BODY_MAX)
			abort();
		body += SFT_HEAD_LEN;
		if (body > len)
			break;
		one(type, data, body, chunks);
	}
	return 0;
}
