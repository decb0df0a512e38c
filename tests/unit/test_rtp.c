/* SPDX-License-Identifier: ISC */
/*
 * test_rtp.c - packets of a call: each field, each bound, every length and
 * every byte; what is counted of a stream and said about it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "voiced/rtcp.h"
#include "voiced/rtp.h"
#include "voiced/rtpstat.h"

#define S UINT64_C(1000000)

/* Two CSRCs, an extension of one word, three bytes, padding of five. */
static const uint8_t everything[] = { 0xb2, 0xef, 0x12, 0x34, 1, 2, 3, 4, 5, 6,
	7, 8, 0xc, 0xc, 0xc, 1, 0xc, 0xc, 0xc, 2, 0xbe, 0xde, 0, 1, 0x10, 0xff,
	0, 0, 'a', 'b', 'c', 0, 0, 0, 0, 5 };

static void
test_rtp_of_all_parts(void **state)
{
	struct rtp p;

	(void)state;
	assert_int_equal(rtp_parse(everything, sizeof(everything), &p), 0);
	assert_true(p.marker);
	assert_int_equal(p.type, 111);
	assert_int_equal(p.seq, 0x1234);
	assert_int_equal(p.timestamp, 0x01020304);
	assert_int_equal(p.ssrc, 0x05060708);
	assert_int_equal(p.len, 3);
	assert_memory_equal(p.payload, "abc", 3);
}

/* In memory that ends where the packet does, so that a read past it shows. */
static int
parse_copy(const uint8_t *data, size_t len, struct rtp *p, size_t *at)
{
	uint8_t *copy = malloc(len + 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy + 1, data, len);
	rc = rtp_parse(copy + 1, len, p);
	if (rc == 0) {
		*at = (size_t)(p->payload - (copy + 1));
		assert_true(*at >= RTP_HEAD_LEN && *at + p->len <= len);
	}
	free(copy);
	return rc;
}

static void
test_rtp_every_length_and_byte(void **state)
{
	uint8_t bytes[sizeof(everything)];
	unsigned int v;
	struct rtp p;
	size_t i, at;

	(void)state;
	/* Up to the payload's beginning; then the last byte is the padding. */
	for (i = 0; i <= 28; i++)
		assert_int_equal(parse_copy(everything, i, &p, &at), -EBADMSG);
	for (i = 0; i < sizeof(bytes); i++)
		for (v = 0; v < 256; v++) {
			memcpy(bytes, everything, sizeof(bytes));
			bytes[i] = (uint8_t)v;
			(void)parse_copy(bytes, sizeof(bytes), &p, &at);
		}
	memcpy(bytes, everything, sizeof(bytes));
	for (v = 0; v < 256; v++) {
		bytes[sizeof(bytes) - 1] = (uint8_t)v;
		assert_int_equal(parse_copy(bytes, sizeof(bytes), &p, &at),
		    v >= 1 && v <= 8 ? 0 : -EBADMSG);
	}
	/* Another version. */
	bytes[sizeof(bytes) - 1] = 5;
	bytes[0] = 0x72;
	assert_int_equal(parse_copy(bytes, sizeof(bytes), &p, &at), -EBADMSG);
	/* More CSRCs, more extension than there are bytes. */
	bytes[0] = 0xbf;
	assert_int_equal(parse_copy(bytes, sizeof(bytes), &p, &at), -EBADMSG);
	bytes[0] = 0xb2;
	bytes[22] = bytes[23] = 0xff;
	assert_int_equal(parse_copy(bytes, sizeof(bytes), &p, &at), -EBADMSG);
}

static void
test_rtp_there_and_back(void **state)
{
	uint8_t bytes[RTP_HEAD_LEN + 4] = { 0 };
	struct rtp p = { .seq = 65535, .timestamp = UINT32_MAX, .ssrc = 9 }, q;
	unsigned int type;

	(void)state;
	for (type = 0; type < 256; type++) {
		p.type = (uint8_t)type;
		p.marker = type % 2;
		if (type > 127 || (type >= 64 && type <= 95)) {
			assert_int_equal(rtp_head_format(&p, bytes), -EINVAL);
			continue;
		}
		assert_int_equal(rtp_head_format(&p, bytes), 0);
		assert_int_equal(rtp_kind(bytes, sizeof(bytes)), RTP_KIND_RTP);
		assert_int_equal(rtp_parse(bytes, sizeof(bytes), &q), 0);
		assert_int_equal(q.marker, p.marker);
		assert_int_equal(q.type, p.type);
		assert_int_equal(q.seq, p.seq);
		assert_int_equal(q.timestamp, p.timestamp);
		assert_int_equal(q.ssrc, p.ssrc);
		assert_int_equal(q.len, 4);
	}
}

static void
test_kinds(void **state)
{
	uint8_t bytes[32] = { 0 };
	enum rtp_kind kind;
	unsigned int i, second;

	(void)state;
	assert_int_equal(rtp_kind(bytes, 0), RTP_KIND_NONE);
	for (i = 0; i < 256; i++)
		for (second = 0; second < 256; second++) {
			bytes[0] = (uint8_t)i;
			bytes[1] = (uint8_t)second;
			kind = rtp_kind(bytes, sizeof(bytes));
			if (i <= 3)
				assert_int_equal(kind, RTP_KIND_STUN);
			else if (i >= 20 && i <= 63)
				assert_int_equal(kind, RTP_KIND_DTLS);
			else if (i < 128 || i > 191)
				assert_int_equal(kind, RTP_KIND_NONE);
			else if (second >= 192 && second <= 223)
				assert_int_equal(kind, RTP_KIND_RTCP);
			else
				assert_int_equal(kind, RTP_KIND_RTP);
		}
	for (i = 0; i < sizeof(bytes); i++) {
		bytes[0] = 1;
		assert_int_equal(rtp_kind(bytes, i) == RTP_KIND_STUN, i >= 20);
		bytes[0] = 0x80;
		bytes[1] = 111;
		assert_int_equal(rtp_kind(bytes, i) == RTP_KIND_RTP, i >= 12);
		bytes[1] = RTCP_SR;
		assert_int_equal(rtp_kind(bytes, i) == RTP_KIND_RTCP, i >= 8);
	}
}

static size_t
add(uint8_t *out, size_t len, size_t size, const struct rtcp *p)
{
	ssize_t n = rtcp_format(p, out + len, size - len);

	assert_true(n > 0 && n % 4 == 0);
	return len + (size_t)n;
}

/* SR with two reports, SDES, BYE of two. */
static size_t
compound(uint8_t *out, size_t size)
{
	static struct rtcp sr = { .type = RTCP_SR,
		.count = 2,
		.ssrc = 0xa1,
		.ntp = UINT64_C(0x0102030405060708),
		.timestamp = 48000,
		.packets = 50,
		.bytes = 4000,
		.report = { { 0xb1, 255, -0x800000, 65536, 7, 8, 9 },
		    { 0xb2, 0, 0x7fffff, 1, 2, 3, 4 } } };
	static struct rtcp sdes = { .type = RTCP_SDES,
		.count = 1,
		.ssrc = 0xa1,
		.cname = (const uint8_t *)"berlin",
		.cname_len = 6 };
	static struct rtcp bye = { .type = RTCP_BYE,
		.count = 2,
		.source = { 0xa1, 0xa2 } };
	size_t len;

	len = add(out, 0, size, &sr);
	len = add(out, len, size, &sdes);
	return add(out, len, size, &bye);
}

static void
test_rtcp_there_and_back(void **state)
{
	uint8_t bytes[256];
	size_t len = compound(bytes, sizeof(bytes));
	struct rtcp p;
	struct rbuf r;

	(void)state;
	assert_int_equal(rtcp_check(bytes, len), 0);
	rbuf_init(&r, bytes, len);
	assert_int_equal(rtcp_next(&r, &p), 1);
	assert_int_equal(p.type, RTCP_SR);
	assert_int_equal(p.ssrc, 0xa1);
	assert_true(p.ntp == UINT64_C(0x0102030405060708));
	assert_int_equal(p.timestamp, 48000);
	assert_int_equal(p.packets, 50);
	assert_int_equal(p.bytes, 4000);
	assert_int_equal(p.count, 2);
	assert_int_equal(p.report[0].ssrc, 0xb1);
	assert_int_equal(p.report[0].fraction, 255);
	assert_int_equal(p.report[0].lost, -0x800000);
	assert_int_equal(p.report[0].highest, 65536);
	assert_int_equal(p.report[0].jitter, 7);
	assert_int_equal(p.report[0].lsr, 8);
	assert_int_equal(p.report[0].dlsr, 9);
	assert_int_equal(p.report[1].lost, 0x7fffff);
	assert_int_equal(rtcp_next(&r, &p), 1);
	assert_int_equal(p.type, RTCP_SDES);
	assert_int_equal(p.cname_len, 6);
	assert_memory_equal(p.cname, "berlin", 6);
	assert_int_equal(rtcp_next(&r, &p), 1);
	assert_int_equal(p.type, RTCP_BYE);
	assert_int_equal(p.count, 2);
	assert_int_equal(p.source[1], 0xa2);
	assert_int_equal(rtcp_next(&r, &p), 0);
}

static int
check_copy(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len + 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy + 1, data, len);
	rc = rtcp_check(copy + 1, len);
	free(copy);
	return rc;
}

static void
test_rtcp_every_length_and_byte(void **state)
{
	uint8_t bytes[256];
	size_t len = compound(bytes, sizeof(bytes)), i;
	unsigned int v;
	uint8_t was;

	(void)state;
	/* Whole packets are a compound one, too: SR 76, SDES 20, BYE 12. */
	for (i = 0; i <= len; i++)
		assert_int_equal(check_copy(bytes, i),
		    i == 76 || i == 96 || i == len ? 0 : -EBADMSG);
	for (i = 0; i < len; i++) {
		was = bytes[i];
		for (v = 0; v < 256; v++) {
			bytes[i] = (uint8_t)v;
			(void)check_copy(bytes, len);
		}
		bytes[i] = was;
	}
	for (v = 0; v < 4; v++) {
		bytes[76] = (uint8_t)(v << 6 | 1);
		assert_int_equal(check_copy(bytes, len), v == 2 ? 0 : -EBADMSG);
	}
}

static void
test_rtcp_from_others(void **state)
{
	/* Feedback first, reduced size; RR without reports; padding of 4. */
	uint8_t mixed[] = { 0x81, 206, 0, 2, 1, 1, 1, 1, 2, 2, 2, 2, 0xa0, 201,
		0, 2, 3, 3, 3, 3, 0, 0, 0, 4 };
	/* Two chunks, a tool's name after the CNAME, one byte to the word. */
	static const uint8_t sdes[] = { 0x82, 202, 0, 6, 0, 0, 0, 1, 1, 1, 'c',
		6, 1, 't', 0, 0, 0, 0, 1, 0xff, 1, 2, 'n', 'm', 0, 0, 0, 0 };
	/* BYE with a reason. */
	static const uint8_t bye[] = { 0x81, 203, 0, 2, 0, 0, 0, 1, 3, 'e', 'n',
		'd' };
	struct rtcp p;
	struct rbuf r;
	unsigned int v;

	(void)state;
	rbuf_init(&r, mixed, sizeof(mixed));
	assert_int_equal(rtcp_next(&r, &p), 1);
	assert_int_equal(p.type, 206);
	assert_int_equal(p.count, 0);
	assert_int_equal(rtcp_next(&r, &p), 1);
	assert_int_equal(p.ssrc, 0x03030303);
	assert_int_equal(rtcp_next(&r, &p), 0);
	for (v = 0; v < 256; v++) {
		mixed[sizeof(mixed) - 1] = (uint8_t)v;
		assert_int_equal(check_copy(mixed, sizeof(mixed)),
		    v == 4 ? 0 : -EBADMSG);
	}
	/* Padding is for the last one. */
	mixed[sizeof(mixed) - 1] = 4;
	mixed[0] |= 0x20;
	mixed[11] = 4;
	assert_int_equal(check_copy(mixed, sizeof(mixed)), -EBADMSG);

	rbuf_init(&r, sdes, sizeof(sdes) - 4);
	assert_int_equal(rtcp_next(&r, &p), -EBADMSG);
	rbuf_init(&r, sdes, sizeof(sdes));
	assert_int_equal(rtcp_next(&r, &p), 1);
	assert_int_equal(p.ssrc, 1);
	assert_int_equal(p.cname_len, 1);
	assert_int_equal(p.cname[0], 'c');
	assert_int_equal(check_copy(bye, sizeof(bye)), 0);
}

static void
test_rtcp_that_cannot_be_said(void **state)
{
	static uint8_t out[1024];
	struct rtcp p = { .type = RTCP_RR, .count = RTCP_COUNT_MAX };
	size_t i;

	(void)state;
	assert_int_equal(rtcp_format(&p, out, sizeof(out)), 8 + 31 * 24);
	for (i = 0; i < 8 + 31 * 24; i++)
		assert_int_equal(rtcp_format(&p, out, i), -ENOSPC);
	p.report[30].lost = 0x800000;
	assert_int_equal(rtcp_format(&p, out, sizeof(out)), -EINVAL);
	p.report[30].lost = -0x800001;
	assert_int_equal(rtcp_format(&p, out, sizeof(out)), -EINVAL);
	p.report[30].lost = 0;
	p.count++;
	assert_int_equal(rtcp_format(&p, out, sizeof(out)), -EINVAL);
	p.type = 204;
	p.count = 0;
	assert_int_equal(rtcp_format(&p, out, sizeof(out)), -EINVAL);
	p.type = RTCP_SDES;
	p.count = 1;
	assert_int_equal(rtcp_format(&p, out, sizeof(out)), -EINVAL);
	/* Names of every length. */
	p.cname = out + 512;
	for (i = 0; i <= RTCP_CNAME_MAX; i++) {
		p.cname_len = (uint8_t)i;
		assert_int_equal(rtcp_format(&p, out, sizeof(out)),
		    (10 + i) / 4 * 4 + 4);
		assert_int_equal(rtcp_check(out, (10 + i) / 4 * 4 + 4), 0);
	}
}

/* --- statistics ---------------------------------------------------------- */

static bool
receive(struct rtpstat_in *s, uint16_t seq, uint32_t timestamp, uint64_t us)
{
	return rtpstat_received(s,
	    &(struct rtp){ .seq = seq, .timestamp = timestamp }, us);
}

static void
test_lost_and_wrapped(void **state)
{
	struct rtpstat_in s;
	struct rtcp_report b;
	unsigned int i;

	(void)state;
	rtpstat_in_init(&s, 77);
	rtpstat_report(&s, 0, &b);
	assert_int_equal(b.ssrc, 77);
	assert_int_equal(b.lost, 0);
	/* The first one is on probation; its successor is the beginning. */
	assert_false(receive(&s, 65529, 0, 0));
	for (i = 0; i < 100; i++)
		if (i % 4 != 3)
			assert_true(receive(&s, (uint16_t)(65530 + i), i * 960,
			    i * 20000));
	rtpstat_report(&s, 2 * S, &b);
	/* The 100th would have been lost: 24 of 99. */
	assert_int_equal(b.highest, 65530 + 98);
	assert_int_equal(b.lost, 24);
	assert_int_equal(b.fraction, 24 * 256 / 99);
	assert_int_equal(b.jitter, 0);
	assert_int_equal(b.lsr, 0);
	assert_int_equal(b.dlsr, 0);
	/* Of the next interval none; then more than were sent. */
	for (i = 99; i < 150; i++)
		receive(&s, (uint16_t)(65530 + i), i * 960, i * 20000);
	rtpstat_report(&s, 3 * S, &b);
	assert_int_equal(b.fraction, 0);
	assert_int_equal(b.lost, 24);
	for (i = 110; i < 150; i++)
		receive(&s, (uint16_t)(65530 + i), i * 960, i * 20000);
	rtpstat_report(&s, 3 * S, &b);
	assert_int_equal(b.fraction, 0);
	assert_int_equal(b.lost, 24 - 40);
}

static void
test_sequences_that_jump(void **state)
{
	struct rtpstat_in s;
	struct rtcp_report b;

	(void)state;
	rtpstat_in_init(&s, 1);
	/* Not two in a row: still on probation. */
	assert_false(receive(&s, 10, 0, 0));
	assert_false(receive(&s, 12, 0, 0));
	assert_true(receive(&s, 13, 0, 0));
	/* One far off; two that follow each other are a new beginning. */
	assert_false(receive(&s, 20000, 0, 0));
	assert_true(receive(&s, 14, 0, 0));
	assert_false(receive(&s, 30000, 0, 0));
	assert_false(receive(&s, 40000, 0, 0));
	assert_true(receive(&s, 40001, 0, 0));
	rtpstat_report(&s, 0, &b);
	assert_int_equal(b.highest, 40001);
	assert_int_equal(b.lost, 0);
	/* Just within: 2999 ahead, and 99 behind. */
	assert_true(receive(&s, 43000, 0, 0));
	assert_true(receive(&s, 42901, 0, 0));
	assert_false(receive(&s, 42900, 0, 0));
	assert_false(receive(&s, 46000, 0, 0));
	assert_int_equal(rtpstat_lost(&s), 3000 - 3);
}

static void
test_jitter_of_arrivals(void **state)
{
	struct rtpstat_in s;
	struct rtcp_report b;
	uint32_t i;

	(void)state;
	rtpstat_in_init(&s, 1);
	/* Nothing is to be compared with the first, nor with a new first. */
	for (i = 0; i < 3; i++)
		receive(&s, (uint16_t)i, 1000 * 960 + i * 960, i * 20000);
	for (i = 0; i < 3; i++)
		receive(&s, (uint16_t)(9000 + i), i * 960, i * 20000);
	assert_int_equal(s.received, 2);
	assert_int_equal(s.jitter, 0);
	/* Each second packet 5 ms late: transit differs by 240 samples. */
	rtpstat_in_init(&s, 1);
	for (i = 0; i < 500; i++)
		receive(&s, (uint16_t)i, UINT32_MAX - 100 * 960 + i * 960,
		    3 * S + i * 20000 + i % 2 * 5000);
	rtpstat_report(&s, 0, &b);
	assert_in_range(b.jitter, 238, 240);
	/* A timestamp of nonsense fades, and overflows nothing. */
	receive(&s, 500, 0x7fffffff, 0);
	for (i = 501; i < 1000; i++)
		receive(&s, (uint16_t)i, i * 960, i * 20000);
	rtpstat_report(&s, 0, &b);
	assert_in_range(b.jitter, 0, 1);
	for (i = 0; i < 10000; i++)
		receive(&s, (uint16_t)(1000 + i), i % 2 << 31, 0);
	rtpstat_report(&s, 0, &b);
	assert_true(b.jitter > UINT32_C(1) << 30);
}

static void
test_round_trip(void **state)
{
	struct rtpstat_out out = { .ssrc = 5 };
	struct rtpstat_in in;
	struct rtcp_report b;
	struct rtcp sr;
	uint64_t base, wait;
	int64_t trip;

	(void)state;
	rtpstat_sent(&out, &(struct rtp){ .len = 80 });
	rtpstat_sent(&out, &(struct rtp){ .len = 81 });
	/* Clocks of both ends differ by an hour; the middle of NTP wraps. */
	for (base = S; base < 200000 * S; base += 6553 * S + 123457)
		for (wait = 0; wait < 20 * S; wait += 4 * S + 999) {
			rtpstat_sender(&out, base, 960, &sr);
			assert_int_equal(sr.packets, 2);
			assert_int_equal(sr.bytes, 161);
			rtpstat_in_init(&in, 5);
			rtpstat_sr(&in, &sr, base + 3600 * S + 35000);
			rtpstat_report(&in, base + 3600 * S + 35000 + wait, &b);
			trip =
			    rtpstat_round_trip(&b, base + 35000 + wait + 45000);
			assert_in_range(trip, 79900, 80100);
		}
	/* A clock that is a little behind; no SR; one that we never sent. */
	assert_int_equal(rtpstat_round_trip(&b, base - 6553 * S - 123457), -1);
	b = (struct rtcp_report){ .lsr = 100 << 16, .dlsr = 10 };
	assert_int_equal(rtpstat_round_trip(&b, 100 * S), 0);
	b.lsr = 1;
	assert_int_equal(rtpstat_round_trip(&b, 100 * S), -1);
	b.lsr = 0;
	assert_int_equal(rtpstat_round_trip(&b, 1000), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rtp_of_all_parts),
		cmocka_unit_test(test_rtp_every_length_and_byte),
		cmocka_unit_test(test_rtp_there_and_back),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_rtcp_there_and_back),
		cmocka_unit_test(test_rtcp_every_length_and_byte),
		cmocka_unit_test(test_rtcp_from_others),
		cmocka_unit_test(test_rtcp_that_cannot_be_said),
		cmocka_unit_test(test_lost_and_wrapped),
		cmocka_unit_test(test_sequences_that_jump),
		cmocka_unit_test(test_jitter_of_arrivals),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
