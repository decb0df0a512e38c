/* SPDX-License-Identifier: ISC */
/*
 * test_sftframe.c - the frames of a file transfer are what claw-protocol(7)
 * says, to the byte; whatever else a peer sends is refused by its head or by
 * its body; and a JOIN holds for one stream of one transfer.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/sftframe.h"

#define MIB (UINT64_C(1) << 20)

static struct sft_offer
an_offer(void)
{
	struct sft_offer o = { .size = 3 * MIB + 5,
		.mtime_ns = UINT64_C(1795270217123456789),
		.mode = 0640,
		.chunk_log2 = 20,
		.streams = 2,
		.replace = true,
		.epoch = 7,
		.name_len = 3 };

	memcpy(o.name, "a/b", 3);
	return o;
}

static struct sft_accept
an_accept(void)
{
	struct sft_accept a = { .epoch = 8, .streams = 2, .window = 16 * MIB };
	uint8_t i;

	for (i = 0; i < SFT_ID_LEN; i++) {
		a.id[i] = i;
		a.route[0][i] = (uint8_t)(0x20 + i);
		a.route[1][i] = (uint8_t)(0x40 + i);
	}
	return a;
}

/* The body of a frame, whose head says what it must. */
static const uint8_t *
body(const uint8_t *frame, ssize_t n, uint8_t want, enum sft_side from,
    uint32_t *len)
{
	uint8_t type;

	assert_true(n >= SFT_HEAD_LEN);
	assert_int_equal(sft_head_parse(frame, from, &type, len), 0);
	assert_int_equal(type, want);
	assert_int_equal(*len, n - SFT_HEAD_LEN);
	return frame + SFT_HEAD_LEN;
}

static void
test_offer(void **state)
{
	/* Frozen with claw-sft/1. */
	static const uint8_t want[] = { 1, 0, 0, 36, 1, 0, 0, 0, 0, 0, 0, 0x30,
		0, 5, 0x18, 0xea, 0x14, 0xc0, 0x2f, 0x7b, 0x67, 0x15, 0x01,
		0xa0, 20, 2, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 3, 'a', '/', 'b' };
	struct sft_offer back, o = an_offer();
	uint8_t out[SFT_SMALL_MAX];
	const uint8_t *b;
	uint32_t len;
	ssize_t n;

	(void)state;
	n = sft_offer_format(&o, out, sizeof(out));
	assert_int_equal(n, sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	b = body(out, n, SFT_OFFER, SFT_SENDER, &len);
	assert_int_equal(sft_offer_parse(b, len, &back), 0);
	assert_memory_equal(&back, &o, sizeof(o));
	assert_int_equal(sft_offer_format(&o, out, (size_t)n - 1), -ENOSPC);
	assert_int_equal(sft_offer_parse(b, len - 1, &back), -EBADMSG);

	o.mode = 04755;
	o.replace = false;
	o.dry = true;
	o.packed = true;
	o.name_len = SFT_NAME_MAX;
	n = sft_offer_format(&o, out, sizeof(out));
	b = body(out, n, SFT_OFFER, SFT_SENDER, &len);
	assert_int_equal(sft_offer_parse(b, len, &back), 0);
	assert_int_equal(back.mode, 0755);
	assert_false(back.replace);
	assert_true(back.dry);
	assert_true(back.packed);
	assert_int_equal(b[22], 2 | 4);
	assert_int_equal(back.name_len, SFT_NAME_MAX);
	/* A sender that leaves the bits there does no harm. */
	out[SFT_HEAD_LEN + 18] = 0x0f;
	assert_int_equal(sft_offer_parse(b, len, &back), 0);
	assert_int_equal(back.mode, 0755);
}

/* One byte of a good offer replaced. */
static void
bad_offer(size_t at, uint8_t with)
{
	uint8_t out[SFT_SMALL_MAX];
	struct sft_offer back, o = an_offer();
	ssize_t n = sft_offer_format(&o, out, sizeof(out));

	assert_int_equal(sft_offer_parse(out + SFT_HEAD_LEN,
			     (size_t)n - SFT_HEAD_LEN, &back),
	    0);
	out[SFT_HEAD_LEN + at] = with;
	if (sft_offer_parse(out + SFT_HEAD_LEN, (size_t)n - SFT_HEAD_LEN,
		&back) != -EBADMSG)
		fail_msg("byte %zu is %u and is taken", at, with);
}

static void
test_offer_bad(void **state)
{
	struct sft_offer o;
	uint8_t out[SFT_SMALL_MAX];

	(void)state;
	bad_offer(0, 0); /* version */
	bad_offer(0, 2);
	bad_offer(1, 2);     /* kind */
	bad_offer(2, 1);     /* size: too many chunks */
	bad_offer(10, 0x80); /* mtime */
	bad_offer(18, 0x10); /* mode */
	bad_offer(20, 19);   /* chunks */
	bad_offer(20, 26);
	bad_offer(21, 0); /* streams */
	bad_offer(21, 9);
	bad_offer(22, 8);    /* flags */
	bad_offer(23, 0x40); /* epoch */
	bad_offer(32, 2);    /* name: longer, shorter */
	bad_offer(32, 4);
	bad_offer(31, 1);
#define REFUSED(change)                                                        \
	do {                                                                   \
		o = an_offer();                                                \
		change;                                                        \
		assert_int_equal(sft_offer_format(&o, out, sizeof(out)),       \
		    -EINVAL);                                                  \
	} while (0)
	REFUSED(o.size = (UINT64_C(1) << 44) + 1);
	REFUSED(o.size = UINT64_MAX);
	REFUSED(o.mtime_ns = UINT64_C(1) << 63);
	REFUSED(o.chunk_log2 = 19);
	REFUSED(o.chunk_log2 = 26);
	REFUSED(o.chunk_log2 = 255);
	REFUSED(o.streams = 0);
	REFUSED(o.streams = 9);
	REFUSED(o.epoch = SFT_EPOCH_MAX);
	REFUSED(o.name_len = 0);
	REFUSED(o.name_len = SFT_NAME_MAX + 1);
	o = an_offer();
	o.size = UINT64_C(1) << 44;
	assert_true(sft_offer_format(&o, out, sizeof(out)) > 0);
}

static void
test_digest(void **state)
{
	/* sha256 of the bytes that claw-protocol(7) says, made by hand. */
	static const uint8_t want[32] = { 0x1b, 0x6d, 0x86, 0x84, 0x9a, 0xf4,
		0x8c, 0xdc, 0x28, 0x41, 0x43, 0xa8, 0x17, 0x87, 0x12, 0x01,
		0xfc, 0x19, 0x84, 0xa6, 0x39, 0xe2, 0xf3, 0xec, 0x5d, 0xc2,
		0x09, 0x6b, 0xc0, 0xfb, 0x60, 0xb2 };
	struct sft_offer o = an_offer();
	uint8_t d[32];

	(void)state;
	sft_offer_digest(&o, "tokyo", "berlin", d);
	assert_memory_equal(d, want, sizeof(want));
	/* What may differ from attempt to attempt. */
	o.epoch = 100;
	o.streams = 8;
	o.dry = true;
	o.packed = true;
	o.mode |= 04000;
	sft_offer_digest(&o, "tokyo", "berlin", d);
	assert_memory_equal(d, want, sizeof(want));
#define OTHER(change)                                                          \
	do {                                                                   \
		o = an_offer();                                                \
		change;                                                        \
		sft_offer_digest(&o, "tokyo", "berlin", d);                    \
		assert_memory_not_equal(d, want, sizeof(want));                \
	} while (0)
	OTHER(o.size++);
	OTHER(o.mtime_ns++);
	OTHER(o.mode ^= 1);
	OTHER(o.chunk_log2++);
	OTHER(o.replace = false);
	OTHER(o.name[0]++);
	OTHER(o.name_len--);
	o = an_offer();
	sft_offer_digest(&o, "tokyo2", "berlin", d);
	assert_memory_not_equal(d, want, sizeof(want));
	sft_offer_digest(&o, "berlin", "tokyo", d);
	assert_memory_not_equal(d, want, sizeof(want));
}

static void
test_accept(void **state)
{
	struct sft_accept a = an_accept(), back;
	struct sft_offer o = an_offer();
	uint8_t out[SFT_SMALL_MAX];
	const uint8_t *b;
	uint32_t len;
	ssize_t n;

	(void)state;
	n = sft_accept_format(&a, out, sizeof(out));
	assert_int_equal(n, 4 + 16 + 8 + 1 + 32 + 8 + 1);
	b = body(out, n, SFT_ACCEPT, SFT_RECEIVER, &len);
	assert_int_equal(sft_accept_parse(b, len, &back), 0);
	assert_memory_equal(&back, &a, sizeof(a));
	assert_memory_equal(b, a.id, 16);
	assert_int_equal(b[23], 8);
	assert_int_equal(b[24], 2);
	assert_memory_equal(b + 25, a.route, 32);
	assert_int_equal(b[61], 1); /* 16 MiB */
	assert_int_equal(b[65], 0);
	assert_int_equal(sft_accept_format(&a, out, (size_t)n - 1), -ENOSPC);
	assert_int_equal(sft_accept_parse(b, len - 1, &back), -EBADMSG);
	assert_int_equal(sft_accept_parse(b, len - 16, &back), -EBADMSG);
	a.streams = 8;
	a.packed = true;
	for (n = 2; n < 8; n++)
		a.route[n][0] = (uint8_t)n;
	n = sft_accept_format(&a, out, sizeof(out));
	b = body(out, n, SFT_ACCEPT, SFT_RECEIVER, &len);
	assert_int_equal(sft_accept_parse(b, len, &back), 0);
	assert_memory_equal(&back, &a, sizeof(a));

	a = an_accept();
	assert_true(sft_accept_fits(&o, &a));
	a.epoch = 7;
	assert_false(sft_accept_fits(&o, &a));
	a = an_accept();
	o.streams = 1;
	assert_false(sft_accept_fits(&o, &a));
	o = an_offer();
	a.packed = true;
	assert_false(sft_accept_fits(&o, &a));
	o.packed = true;
	assert_true(sft_accept_fits(&o, &a));
}

static void
bad_accept(size_t at, uint8_t with)
{
	uint8_t out[SFT_SMALL_MAX];
	struct sft_accept a = an_accept(), back;
	ssize_t n = sft_accept_format(&a, out, sizeof(out));

	out[SFT_HEAD_LEN + at] = with;
	if (sft_accept_parse(out + SFT_HEAD_LEN, (size_t)n - SFT_HEAD_LEN,
		&back) != -EBADMSG)
		fail_msg("byte %zu is %u and is taken", at, with);
}

static void
test_accept_bad(void **state)
{
	struct sft_accept a;
	uint8_t out[SFT_SMALL_MAX];
	size_t i;

	(void)state;
	bad_accept(16, 0x41); /* epoch */
	bad_accept(23, 0);
	bad_accept(24, 0); /* streams */
	bad_accept(24, 1);
	bad_accept(24, 3);
	bad_accept(24, 9);
	bad_accept(24, 255);
	bad_accept(25, 0x16); /* a route that looks like TLS */
	bad_accept(41, 0x16);
	bad_accept(61, 0); /* window */
	bad_accept(65, 2); /* flags */
#undef REFUSED
#define REFUSED(change)                                                        \
	do {                                                                   \
		a = an_accept();                                               \
		change;                                                        \
		assert_int_equal(sft_accept_format(&a, out, sizeof(out)),      \
		    -EINVAL);                                                  \
	} while (0)
	REFUSED(a.epoch = 0);
	REFUSED(a.epoch = SFT_EPOCH_MAX + 1);
	REFUSED(a.streams = 0);
	/* Nine, and the eight that there is room for are all good. */
	REFUSED(for (i = 2; i < 8; i++) a.route[i][0] = (uint8_t)i;
		a.streams = 9);
	REFUSED(a.window = 0);
	REFUSED(a.route[1][0] = 0x16);
	REFUSED(memcpy(a.route[1], a.route[0], 16));
	a = an_accept();
	a.epoch = SFT_EPOCH_MAX;
	a.route[1][15]++;
	assert_true(sft_accept_format(&a, out, sizeof(out)) > 0);
}

static void
test_reason(void **state)
{
	char text[SFT_TEXT_MAX + 20];
	uint8_t out[SFT_SMALL_MAX];
	struct sft_reason r;
	const uint8_t *b;
	uint32_t len;
	ssize_t n;

	(void)state;
	n = sft_reason_format(SFT_REFUSE, SFT_EXISTS, "x\x1b\xfc", out,
	    sizeof(out));
	assert_int_equal(n, 10);
	assert_memory_equal(out, "\x04\0\0\6\5\0\3x??", 10);
	b = body(out, n, SFT_REFUSE, SFT_RECEIVER, &len);
	assert_int_equal(sft_reason_parse(b, len, &r), 0);
	assert_int_equal(r.code, SFT_EXISTS);
	assert_string_equal(r.text, "x??");
	assert_int_equal(
	    sft_reason_format(SFT_REFUSE, SFT_EXISTS, "abc", out, 9), -ENOSPC);
	n = sft_reason_format(SFT_ABORT, SFT_EPOCH, NULL, out, sizeof(out));
	b = body(out, n, SFT_ABORT, SFT_SENDER, &len);
	assert_int_equal(sft_reason_parse(b, len, &r), 0);
	assert_string_equal(r.text, sft_code_text(SFT_EPOCH));
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	n = sft_reason_format(SFT_ABORT, SFT_IO, text, out, sizeof(out));
	b = body(out, n, SFT_ABORT, SFT_RECEIVER, &len);
	assert_int_equal(sft_reason_parse(b, len, &r), 0);
	assert_int_equal(strlen(r.text), SFT_TEXT_MAX);
	n = sft_reason_format(SFT_ABORT, SFT_IO, "", out, sizeof(out));
	b = body(out, n, SFT_ABORT, SFT_RECEIVER, &len);
	assert_int_equal(sft_reason_parse(b, len, &r), 0);
	assert_string_equal(r.text, "");

	assert_int_equal(sft_reason_format(SFT_DONE, 1, "", out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(sft_reason_format(SFT_ABORT, 0, "", out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(sft_reason_format(SFT_ABORT, 17, "", out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(sft_reason_parse((const uint8_t *)"\0\0\1a", 4, &r),
	    -EBADMSG);
	assert_int_equal(sft_reason_parse((const uint8_t *)"\x11\0\1a", 4, &r),
	    -EBADMSG);
	assert_int_equal(sft_reason_parse((const uint8_t *)"\1\0\1\x1b", 4, &r),
	    -EBADMSG);
	assert_int_equal(sft_reason_parse((const uint8_t *)"\1\0\1\x7f", 4, &r),
	    -EBADMSG);
	assert_int_equal(sft_reason_parse((const uint8_t *)"\1\0\2a", 4, &r),
	    -EBADMSG);
	assert_int_equal(sft_reason_parse((const uint8_t *)"\1\0\0a", 4, &r),
	    -EBADMSG);
	assert_int_equal(sft_reason_parse((const uint8_t *)"\1\0", 2, &r),
	    -EBADMSG);
	memset(out, 'a', sizeof(out));
	memcpy(out, "\1\1\0", 3); /* 256 bytes of text */
	assert_int_equal(sft_reason_parse(out, 3 + 256, &r), -EBADMSG);
}

static void
test_small(void **state)
{
	uint8_t out[SFT_SMALL_MAX], thing[SFT_RECEIPT_MAX + 1] = { 1, 2, 3 };
	uint32_t index, len;
	const uint8_t *b;
	uint64_t number;
	uint8_t why;
	ssize_t n;

	(void)state;
	n = sft_again_format(0x010203, SFT_AGAIN_HASH, out, sizeof(out));
	assert_int_equal(n, 9);
	assert_memory_equal(out, "\6\0\0\5\0\1\2\3\1", 9);
	b = body(out, n, SFT_AGAIN, SFT_RECEIVER, &len);
	assert_int_equal(sft_again_parse(b, len, 0x010204, &index, &why), 0);
	assert_int_equal(index, 0x010203);
	assert_int_equal(why, SFT_AGAIN_HASH);
	assert_int_equal(sft_again_parse(b, len, 0x010203, &index, &why),
	    -EBADMSG);
	assert_int_equal(sft_again_parse(b, 4, 0x010204, &index, &why),
	    -EBADMSG);
	assert_int_equal(
	    sft_again_parse(b, (UINT64_C(1) << 32) + 5, 0x010204, &index, &why),
	    -EBADMSG);
	out[8] = 2;
	assert_int_equal(sft_again_parse(b, len, 0x010204, &index, &why), 0);
	assert_int_equal(why, SFT_AGAIN_BASIS);
	out[8] = 3;
	assert_int_equal(sft_again_parse(b, len, 0x010204, &index, &why),
	    -EBADMSG);
	assert_int_equal(sft_again_format(1, 3, out, sizeof(out)), -EINVAL);
	assert_int_equal(sft_again_format(1 << 24, 1, out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(sft_again_format(1, 0, out, sizeof(out)), -EINVAL);
	assert_int_equal(sft_again_format(1, 1, out, 8), -ENOSPC);

	n = sft_lost_format(7, 0x010203, out, sizeof(out));
	assert_int_equal(n, 9);
	assert_memory_equal(out, "\16\0\0\5\7\0\1\2\3", 9);
	b = body(out, n, SFT_LOST, SFT_SENDER, &len);
	assert_int_equal(sft_lost_parse(b, len, &why, &index), 0);
	assert_int_equal(why, 7);
	assert_int_equal(index, 0x010203);
	assert_int_equal(sft_lost_parse(b, 4, &why, &index), -EBADMSG);
	out[4] = 8;
	assert_int_equal(sft_lost_parse(b, len, &why, &index), -EBADMSG);
	assert_int_equal(sft_lost_format(8, 0, out, sizeof(out)), -EINVAL);

	n = sft_signed_format(SFT_SEAL, thing, 512, out, sizeof(out));
	b = body(out, n, SFT_SEAL, SFT_SENDER, &len);
	assert_memory_equal(b, thing, 512);
	n = sft_signed_format(SFT_RECEIPT, thing, 1024, out, sizeof(out));
	b = body(out, n, SFT_RECEIPT, SFT_RECEIVER, &len);
	assert_memory_equal(b, thing, 1024);
	assert_int_equal(
	    sft_signed_format(SFT_SEAL, thing, 513, out, sizeof(out)), -EINVAL);
	assert_int_equal(
	    sft_signed_format(SFT_RECEIPT, thing, 1025, out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(
	    sft_signed_format(SFT_SEAL, thing, 0, out, sizeof(out)), -EINVAL);
	assert_int_equal(sft_signed_format(SFT_SEAL, thing,
			     (UINT64_C(1) << 32) + 1, out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(
	    sft_signed_format(SFT_OFFER, thing, 50, out, sizeof(out)), -EINVAL);
	assert_int_equal(sft_signed_format(SFT_SEAL, thing, 50, out, 53),
	    -ENOSPC);

	n = sft_ping_format(SFT_PING, 0x0102030405060708, out, sizeof(out));
	assert_int_equal(n, 12);
	assert_memory_equal(out, "\x0a\0\0\x08\1\2\3\4\5\6\7\x08", 12);
	b = body(out, n, SFT_PING, SFT_SENDER, &len);
	assert_int_equal(sft_ping_parse(b, len, &number), 0);
	assert_int_equal(number, 0x0102030405060708);
	assert_int_equal(sft_ping_parse(b, 7, &number), -EBADMSG);
	n = sft_ping_format(SFT_PONG, 1, out, sizeof(out));
	assert_int_equal(sft_ping_parse(out + 3, 9, &number), -EBADMSG);
	body(out, n, SFT_PONG, SFT_RECEIVER, &len);
	assert_int_equal(sft_ping_format(SFT_DONE, 1, out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(sft_ping_format(SFT_PING, 1, out, 11), -ENOSPC);

	n = sft_empty_format(SFT_DONE, out, sizeof(out));
	assert_int_equal(n, 4);
	body(out, n, SFT_DONE, SFT_SENDER, &len);
	assert_int_equal(sft_empty_format(SFT_PING, out, sizeof(out)), -EINVAL);
	assert_int_equal(sft_empty_format(SFT_END, out, 3), -ENOSPC);
}

/* Who may say what, and how long it may be: all of it. */
static void
test_heads(void **state)
{
	static const struct {
		uint8_t type;
		unsigned int from;
		uint32_t min, max, step;
	} want[] = {
		{ 1, 1, 34, 1057, 1 },
		{ 2, 2, 50, 162, 16 },
		{ 3, 2, 4, 32772, 8 },
		{ 4, 2, 3, 258, 1 },
		{ 5, 2, 8, 16388, 4 },
		{ 6, 2, 5, 5, 1 },
		{ 7, 1, 1, 512, 1 },
		{ 8, 2, 1, 1024, 1 },
		{ 9, 3, 3, 258, 1 },
		{ 10, 3, 8, 8, 1 },
		{ 11, 3, 8, 8, 1 },
		{ 12, 1, 0, 0, 1 },
		{ 13, 2, 36, 32772, 32 },
		{ 14, 3, 5, 5, 1 },
	};
	const size_t n = sizeof(want) / sizeof(want[0]);
	uint8_t head[SFT_HEAD_LEN], type;
	uint32_t at, len, most;
	unsigned int side, t;
	size_t i;
	int ret;

	(void)state;
	for (t = 0; t < 256; t++) {
		for (i = 0; i < n && want[i].type != t; i++)
			;
		for (side = 1; side <= 2; side++) {
			/* Of no type there is none of any length. */
			most = t < 32 ? 0x8100 : 0x40;
			for (at = 0; at < most; at++) {
				head[0] = (uint8_t)t;
				head[1] = 0;
				head[2] = (uint8_t)(at >> 8);
				head[3] = (uint8_t)at;
				ret = i < n && (want[i].from & side) != 0 &&
					at >= want[i].min &&
					at <= want[i].max &&
					(at - want[i].min) % want[i].step == 0 ?
				    0 :
				    -EBADMSG;
				if (sft_head_parse(head, (enum sft_side)side,
					&type, &len) != ret)
					fail_msg("type %u, side %u, %u bytes",
					    t, side, at);
			}
			head[1] = 1;
			head[2] = 0;
			head[3] = 8;
			assert_int_equal(sft_head_parse(head,
					     (enum sft_side)side, &type, &len),
			    -EBADMSG);
		}
	}
}

static void
test_chunks(void **state)
{
	(void)state;
	assert_int_equal(sft_chunks(0, 20), 0);
	assert_int_equal(sft_chunks(1, 20), 1);
	assert_int_equal(sft_chunks(MIB, 20), 1);
	assert_int_equal(sft_chunks(MIB + 1, 20), 2);
	assert_int_equal(sft_chunks(UINT64_C(1) << 44, 20), 1 << 24);
	assert_int_equal(sft_chunks(UINT64_C(1) << 49, 25), 1 << 24);
	assert_int_equal(sft_chunk_len(MIB + 1, 20, 0), MIB);
	assert_int_equal(sft_chunk_len(MIB + 1, 20, 1), 1);
	assert_int_equal(sft_chunk_len(2 * MIB, 20, 1), MIB);
	assert_int_equal(sft_chunk_len(UINT64_C(1) << 49, 25, (1 << 24) - 1),
	    1 << 25);
	assert_true(sft_size_ok(0, 20));
	assert_true(sft_size_ok(UINT64_C(1) << 49, 25));
	assert_false(sft_size_ok((UINT64_C(1) << 49) + 1, 25));
	assert_false(sft_size_ok(1, 19));
	assert_false(sft_size_ok(1, 26));
	assert_false(sft_size_ok(1, 64));
}

static void
set(uint8_t *bits, uint32_t first, uint32_t count)
{
	for (; count > 0; first++, count--)
		bits[first / 8] |= (uint8_t)(1u << first % 8);
}

/* What is said to be there is what is there, in as many frames as it takes. */
static void
have_both_ways(const uint8_t *bits, uint32_t chunks, unsigned int frames)
{
	static uint8_t back[SFT_CHUNKS_MAX / 8], out[SFT_FRAME_MAX];
	uint32_t count, first, from = 0, heard = 0, len;
	struct sft_ranges ranges;
	bool end, last = false;
	unsigned int seen = 0;
	const uint8_t *b;
	ssize_t n;

	memset(back, 0, sizeof(back));
	while (!last) {
		n = sft_have_format(bits, chunks, &from, &last, out,
		    sizeof(out));
		b = body(out, n, SFT_HAVE, SFT_RECEIVER, &len);
		assert_int_equal(
		    sft_have_parse(b, len, chunks, &heard, &end, &ranges), 0);
		assert_int_equal(end, last);
		while (sft_ranges_next(&ranges, &first, &count))
			set(back, first, count);
		assert_false(sft_ranges_next(&ranges, &first, &count));
		seen++;
	}
	assert_int_equal(seen, frames);
	assert_memory_equal(back, bits, (chunks + 7) / 8);
}

static void
test_have(void **state)
{
	static uint8_t bits[SFT_CHUNKS_MAX / 8];
	uint32_t i;

	(void)state;
	have_both_ways(bits, 0, 1);
	have_both_ways(bits, 100, 1);
	have_both_ways(bits, SFT_CHUNKS_MAX, 1);
	set(bits, 0, 1);
	have_both_ways(bits, 1, 1);
	set(bits, 5, 40);
	set(bits, 64, 8);
	set(bits, 99, 1);
	have_both_ways(bits, 100, 1);
	set(bits, 0, 1 << 20);
	have_both_ways(bits, 1 << 20, 1);
	memset(bits, 0, sizeof(bits));
	for (i = 0; i < 4095; i++)
		set(bits, 3 * i, 2);
	have_both_ways(bits, 30000, 1);
	set(bits, 20000, 1);
	have_both_ways(bits, 30000, 2); /* 4096: a second frame, empty */
	set(bits, 20002, 1);
	have_both_ways(bits, 30000, 2);
	memset(bits, 0x55, sizeof(bits));
	have_both_ways(bits, SFT_CHUNKS_MAX, SFT_CHUNKS_MAX / 2 / 4096 + 1);
}

static int
have(const char *text, size_t len, uint32_t chunks, uint32_t *from)
{
	struct sft_ranges ranges;
	uint32_t a, b;
	bool last;
	int ret = sft_have_parse((const uint8_t *)text, len, chunks, from,
	    &last, &ranges);

	if (ret != 0)
		assert_false(sft_ranges_next(&ranges, &a, &b));
	return ret;
}
#define HAVE(text, chunks, from)                                               \
	((at = (from)), have(text, sizeof(text) - 1, chunks, &at))

static void
test_have_bad(void **state)
{
	uint8_t bits[2] = { 1, 0 }, out[64];
	uint32_t at;
	bool last;

	(void)state;
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\2\0\0\0\3", 5, 0), 0);
	assert_int_equal(at, 6);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\2\0\0\0\3", 5, 2), 0);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\2\0\0\0\3", 5, 3), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\2\0\0\0\3", 4, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\2\0\0\0\0", 5, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\5\0\0\0\1", 5, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\6\0\0\0\0", 5, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\6\0\0\0\1", 5, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\2\xff\xff\xff\xff", 5, 0),
	    -EBADMSG);
	/* Adjacent, overlapping, backwards. */
	assert_int_equal(HAVE("\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\1", 5, 0),
	    0);
	assert_int_equal(HAVE("\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\1", 5, 0),
	    -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\2\0\0\0\1", 5, 0),
	    -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\2\0\0\0\3\0\0\0\1\0\0\0\1\0\0\0\1", 5, 0),
	    -EBADMSG);
	/* A count that is not the body's. */
	assert_int_equal(HAVE("\0\0\0\0\0\0\0\2\0\0\0\3", 5, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\2\0\0\0\2\0\0\0\3", 5, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\1\0\0\0\2\0\0\0", 5, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0", 5, 0), -EBADMSG);
	assert_int_equal(HAVE("\0\0\0\0", 5, 0), 0);
	at = 0;
	assert_int_equal(sft_have_format(bits, 9, &at, &last, out, 15),
	    -ENOSPC);
	assert_int_equal(at, 0);
	assert_int_equal(sft_have_format(bits, 9, &at, &last, out, 16), 16);
	/* From where one stopped: what lies before is not said again. */
	at = 3;
	bits[0] = 0;
	bits[1] = 1;
	assert_int_equal(sft_have_format(bits, 16, &at, &last, out, 16), 16);
	assert_memory_equal(out + 4, "\0\0\0\1\0\0\0\x08\0\0\0\1", 12);
	at = 10;
	assert_int_equal(sft_have_format(bits, 9, &at, &last, out, 16),
	    -EINVAL);
	at = 0;
	assert_int_equal(
	    sft_have_format(bits, SFT_CHUNKS_MAX + 1, &at, &last, out, 16),
	    -EINVAL);
}

static void
test_ack(void **state)
{
	static uint8_t out[SFT_FRAME_MAX];
	static uint32_t many[SFT_LIST_MAX + 1];
	static const uint32_t three[] = { 9, 1, 9 };
	struct sft_ranges list;
	const uint8_t *b;
	uint32_t i, len;
	ssize_t n;

	(void)state;
	n = sft_ack_format(three, 3, out, sizeof(out));
	assert_int_equal(n, 20);
	assert_memory_equal(out, "\5\0\0\x10\0\0\0\3\0\0\0\x09\0\0\0\1", 16);
	b = body(out, n, SFT_ACK, SFT_RECEIVER, &len);
	assert_int_equal(sft_ack_parse(b, len, 10, &list), 0);
	assert_true(sft_ack_next(&list, &i));
	assert_int_equal(i, 9);
	assert_true(sft_ack_next(&list, &i));
	assert_int_equal(i, 1);
	assert_true(sft_ack_next(&list, &i));
	assert_int_equal(i, 9);
	assert_false(sft_ack_next(&list, &i));
	assert_int_equal(sft_ack_parse(b, len, 9, &list), -EBADMSG);
	assert_false(sft_ack_next(&list, &i));
	assert_int_equal(sft_ack_parse(b, len - 4, 10, &list), -EBADMSG);
	assert_false(sft_ack_next(&list, &i));
	assert_int_equal(sft_ack_parse(b, 4, 10, &list), -EBADMSG);
	out[7] = 0;
	assert_int_equal(sft_ack_parse(b, 4, 10, &list), -EBADMSG);
	assert_int_equal(sft_ack_format(three, 3, out, 19), -ENOSPC);
	assert_int_equal(sft_ack_format(three, 0, out, sizeof(out)), -EINVAL);
	n = sft_ack_format(many, SFT_LIST_MAX, out, sizeof(out));
	b = body(out, n, SFT_ACK, SFT_RECEIVER, &len);
	assert_int_equal(sft_ack_parse(b, len, 1, &list), 0);
	assert_int_equal(
	    sft_ack_format(many, SFT_LIST_MAX + 1, out, sizeof(out)), -EINVAL);
	many[4] = SFT_CHUNKS_MAX;
	assert_int_equal(sft_ack_format(many, 5, out, sizeof(out)), -EINVAL);
}

static void
test_join(void **state)
{
	/* By another implementation of HMAC. */
	static const uint8_t want[SFT_MAC_LEN] = { 0x73, 0x19, 0xb2, 0x40, 0xd3,
		0xd4, 0x2f, 0xdb, 0x69, 0x3c, 0xce, 0xb9, 0xd8, 0xdf, 0xf3,
		0x6e, 0xb3, 0xba, 0x01, 0x92, 0x50, 0x03, 0x46, 0x53, 0xa1,
		0x46, 0xf2, 0x62, 0xab, 0x6d, 0x9e, 0x34 };
	uint8_t control[32], stream[32], out[SFT_JOIN_LEN], other[32];
	struct sft_join back, j = { .index = 3 };
	uint8_t i;

	(void)state;
	for (i = 0; i < 32; i++) {
		control[i] = i;
		stream[i] = (uint8_t)(0x80 + i);
		j.id[i / 2] = (uint8_t)(0x40 + i / 2);
	}
	assert_int_equal(sft_join_mac(control, stream, j.id, 3, j.mac), 0);
	assert_memory_equal(j.mac, want, sizeof(want));
	assert_int_equal(sft_join_format(&j, out), 0);
	assert_memory_equal(out, "\x14\0\0\x31", 4);
	assert_memory_equal(out + 4, j.id, 16);
	assert_int_equal(out[20], 3);
	assert_memory_equal(out + 21, want, 32);
	assert_int_equal(sft_join_parse(out, &back), 0);
	assert_memory_equal(&back, &j, sizeof(j));
	assert_int_equal(sft_join_check(&j, control, stream, j.id, 3), 0);

	memcpy(other, control, 32);
	other[31] ^= 1;
	assert_int_equal(sft_join_check(&j, other, stream, j.id, 3),
	    -EKEYREJECTED);
	memcpy(other, stream, 32);
	other[31] ^= 1;
	assert_int_equal(sft_join_check(&j, control, other, j.id, 3),
	    -EKEYREJECTED);
	memcpy(other, j.id, 16);
	other[15] ^= 1;
	assert_int_equal(sft_join_check(&j, control, stream, other, 3),
	    -EKEYREJECTED);
	assert_int_equal(sft_join_check(&j, control, stream, j.id, 2),
	    -EKEYREJECTED);
	/* As if it were of the other one, with the right one's MAC. */
	back = j;
	back.index = 2;
	assert_int_equal(sft_join_check(&back, control, stream, j.id, 3),
	    -EKEYREJECTED);
	assert_int_equal(sft_join_check(&back, control, stream, j.id, 2),
	    -EKEYREJECTED);
	back = j;
	back.id[0] ^= 1;
	assert_int_equal(sft_join_check(&back, control, stream, j.id, 3),
	    -EKEYREJECTED);
	for (i = 0; i < SFT_MAC_LEN; i++) {
		back = j;
		back.mac[i] ^= 0x80;
		assert_int_equal(
		    sft_join_check(&back, control, stream, j.id, 3),
		    -EKEYREJECTED);
	}

	out[0] = SFT_CHUNK;
	assert_int_equal(sft_join_parse(out, &back), -EBADMSG);
	out[0] = SFT_JOIN;
	out[3]++;
	assert_int_equal(sft_join_parse(out, &back), -EBADMSG);
	out[3]--;
	out[20] = SFT_STREAMS_MAX;
	assert_int_equal(sft_join_parse(out, &back), -EBADMSG);
	j.index = SFT_STREAMS_MAX;
	assert_int_equal(sft_join_format(&j, out), -EINVAL);
}

static void
chunk_head(bool same, bool packed, uint32_t index, uint32_t length,
    uint8_t out[SFT_CHUNK_HEAD_LEN])
{
	const struct sft_chunk c = { same, packed, index, length };

	sft_chunk_format(&c, out);
}

static int
chunk_of(const uint8_t *head, uint64_t size)
{
	struct sft_chunk c;

	return sft_chunk_parse(head, size, 20, &c);
}

static void
test_data(void **state)
{
	uint8_t head[SFT_CHUNK_HEAD_LEN], route[SFT_ROUTE_LEN] = { 0 };
	struct sft_chunk c;
	uint32_t i;

	(void)state;
	chunk_head(false, false, 3, 5, head);
	assert_memory_equal(head, "\x15\0\0\0\0\0\0\3\0\0\0\5", 12);
	assert_int_equal(sft_data_len(head), SFT_CHUNK_HEAD_LEN);
	assert_int_equal(sft_chunk_parse(head, 3 * MIB + 5, 20, &c), 0);
	assert_int_equal(c.index, 3);
	assert_int_equal(c.len, 5);
	assert_false(c.same || c.packed);
	assert_int_equal(chunk_of(head, 3 * MIB + 6), -EBADMSG);
	assert_int_equal(chunk_of(head, 3 * MIB), -EBADMSG);
	assert_int_equal(chunk_of(head, 4 * MIB), -EBADMSG);
	assert_int_equal(chunk_of(head, 0), -EBADMSG);
	chunk_head(false, false, 2, MIB, head);
	assert_int_equal(chunk_of(head, 3 * MIB + 5), 0);
	/* A whole one, behind the last. */
	chunk_head(false, false, 4, MIB, head);
	assert_int_equal(chunk_of(head, 3 * MIB + 5), -EBADMSG);
	chunk_head(false, false, 0, MIB, head);
	assert_int_equal(chunk_of(head, 0), -EBADMSG);
	chunk_head(false, false, 2, MIB, head);
	for (i = 1; i < 4; i++) {
		head[i] = 2;
		assert_int_equal(sft_data_len(head), -EBADMSG);
		assert_int_equal(chunk_of(head, 3 * MIB + 5), -EBADMSG);
		head[i] = 0;
	}
	assert_int_equal(sft_empty_format(SFT_END, head, 4), 4);
	assert_int_equal(sft_data_len(head), SFT_HEAD_LEN);
	assert_int_equal(chunk_of(head, 3 * MIB + 5), -EBADMSG);
	head[1] = 1;
	assert_int_equal(sft_data_len(head), -EBADMSG);
	head[1] = 0;
	head[0] = SFT_JOIN;
	assert_int_equal(sft_data_len(head), -EBADMSG);
	head[0] = 24;
	assert_int_equal(sft_data_len(head), -EBADMSG);
	route[0] = 0x16;
	assert_false(sft_route_ok(route));
	route[0] = 0x17;
	route[1] = 0x16;
	assert_true(sft_route_ok(route));
}

static void
test_other_chunks(void **state)
{
	uint8_t head[SFT_CHUNK_HEAD_LEN];
	struct sft_chunk c;

	(void)state;
	chunk_head(false, true, 2, MIB, head);
	assert_memory_equal(head, "\x15\1\0\0\0\0\0\2\0\x10\0\0", 12);
	assert_int_equal(sft_chunk_parse(head, 3 * MIB, 20, &c), 0);
	assert_true(c.packed && !c.same);
	chunk_head(true, false, 2, MIB, head);
	assert_memory_equal(head, "\x17\0\0\0\0\0\0\2\0\x10\0\0", 12);
	assert_int_equal(sft_data_len(head), SFT_CHUNK_HEAD_LEN);
	assert_int_equal(sft_chunk_parse(head, 3 * MIB, 20, &c), 0);
	assert_true(c.same && !c.packed);
	assert_int_equal(c.index, 2);
	assert_int_equal(c.len, MIB);
	assert_int_equal(chunk_of(head, 2 * MIB + 1), -EBADMSG);
	/* What is the same has no bytes that could be packed. */
	head[1] = 1;
	assert_int_equal(sft_data_len(head), -EBADMSG);
	assert_int_equal(chunk_of(head, 3 * MIB), -EBADMSG);
}

static int
basis(const uint8_t *p, size_t len, uint32_t chunks, uint32_t from)
{
	const uint8_t *value;
	uint32_t first, n;

	return sft_basis_parse(p, len, chunks, &from, &first, &n, &value);
}

static void
test_basis(void **state)
{
	static uint8_t value[SFT_BASIS_LIST_MAX + 1][SFT_VALUE_LEN];
	static uint8_t out[SFT_FRAME_MAX];
	uint32_t first, n, len, from = 5;
	const uint8_t *b, *v;
	ssize_t size;

	(void)state;
	value[0][0] = 1;
	value[1][31] = 2;
	size = sft_basis_format((const uint8_t(*)[32])value, 5, 2, out,
	    sizeof(out));
	assert_int_equal(size, 4 + 4 + 64);
	assert_memory_equal(out, "\x0d\0\0\x44\0\0\0\5\1", 9);
	b = body(out, size, SFT_BASIS, SFT_RECEIVER, &len);
	assert_int_equal(sft_basis_parse(b, len, 7, &from, &first, &n, &v), 0);
	assert_int_equal(first, 5);
	assert_int_equal(n, 2);
	assert_int_equal(from, 7);
	assert_memory_equal(v, value, 64);
	assert_int_equal(basis(b, len, 7, 6), -EBADMSG); /* backwards */
	assert_int_equal(basis(b, len, 6, 0), -EBADMSG); /* beyond the file */
	assert_int_equal(basis(b, len, 5, 0), -EBADMSG);
	assert_int_equal(basis(b, len - 1, 7, 0), -EBADMSG);
	assert_int_equal(basis(b, len - 32, 7, 0), 0);
	assert_int_equal(basis(b, 4, 7, 0), -EBADMSG);
	memset(out + 4, 0xff, 4);
	assert_int_equal(basis(b, len, UINT32_MAX, 0), -EBADMSG);

	/* As many as there may be, and one more. */
	size = sft_basis_format((const uint8_t(*)[32])value, 0,
	    SFT_BASIS_LIST_MAX, out, sizeof(out));
	b = body(out, size, SFT_BASIS, SFT_RECEIVER, &len);
	assert_int_equal(basis(b, len, SFT_BASIS_LIST_MAX, 0), 0);
	assert_int_equal(basis(b, len + 32, SFT_BASIS_LIST_MAX + 1, 0),
	    -EBADMSG);
	assert_int_equal(sft_basis_format((const uint8_t(*)[32])value, 0,
			     SFT_BASIS_LIST_MAX + 1, out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(sft_basis_format((const uint8_t(*)[32])value, 0, 0,
			     out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(
	    sft_basis_format((const uint8_t(*)[32])value, 0, 2, out, 71),
	    -ENOSPC);
	assert_true(sft_basis_format((const uint8_t(*)[32])value,
			SFT_BASIS_MAX - 1, 1, out, sizeof(out)) > 0);
	assert_int_equal(sft_basis_format((const uint8_t(*)[32])value,
			     SFT_BASIS_MAX, 1, out, sizeof(out)),
	    -EINVAL);
	memcpy(out + 4, "\0\1\0\0", 4);
	assert_int_equal(basis(out + 4, 36, SFT_CHUNKS_MAX, 0), -EBADMSG);
}

static void
test_words(void **state)
{
	unsigned int i, k;

	(void)state;
	assert_null(sft_code_name(0));
	assert_null(sft_code_text(0));
	assert_null(sft_code_name(17));
	assert_null(sft_code_text(17));
	for (i = 1; i <= SFT_CODE_MAX; i++) {
		assert_non_null(sft_code_name(i));
		assert_non_null(sft_code_text(i));
		for (k = 1; k < i; k++)
			assert_string_not_equal(sft_code_name(i),
			    sft_code_name(k));
	}
	assert_string_equal(sft_code_name(SFT_NO_SPACE), "no-space");
	assert_string_equal(sft_limit_name(SFT_LIMIT_DISK), "disk");
	assert_string_equal(sft_limit_name(SFT_LIMIT_RATE), "rate");
	assert_string_equal(sft_limit_name(5), "unknown");
	assert_string_equal(sft_type_name(SFT_OFFER), "OFFER");
	assert_string_equal(sft_type_name(SFT_DONE), "DONE");
	assert_string_equal(sft_type_name(SFT_JOIN), "JOIN");
	assert_string_equal(sft_type_name(SFT_CHUNK), "CHUNK");
	assert_string_equal(sft_type_name(SFT_END), "END");
	assert_string_equal(sft_type_name(0), "frame");
	assert_string_equal(sft_type_name(SFT_BASIS), "BASIS");
	assert_string_equal(sft_type_name(SFT_SAME), "SAME");
	assert_string_equal(sft_type_name(SFT_LOST), "LOST");
	assert_string_equal(sft_type_name(15), "frame");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_offer_bad),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_accept_bad),
		cmocka_unit_test(test_reason),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_have),
		cmocka_unit_test(test_have_bad),
		cmocka_unit_test(test_ack),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_other_chunks),
		cmocka_unit_test(test_basis),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
