/* SPDX-License-Identifier: ISC */
/*
 * fuzz_jitter.c - the jitter buffer under any packets at any times.
 *
 * Whatever comes: what is to be decoded is a length that Opus has, time goes
 * on, and no packet is played twice.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "voiced/jitter.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
take(struct jitter *j, uint64_t us)
{
	uint64_t frames = j->stats.frames;
	int64_t played = j->played;
	struct jitter_out out;
	bool frame;

	jitter_get(j, us, &out);
	frame = out.kind == JITTER_FRAME;
	if (out.samples < JITTER_STEP || out.samples > 48 * JITTER_STEP ||
	    out.samples % JITTER_STEP != 0 ||
	    abs(out.adjust) > (int)out.samples / 128 ||
	    (!frame && out.adjust != 0) ||
	    (out.data != NULL) != (frame || out.kind == JITTER_FEC) ||
	    j->stats.frames != frames + frame || j->pos < j->played)
		abort();
	if (frame &&
	    (j->played <= played || out.data < j->slot[0].data ||
		out.data + out.len > (uint8_t *)(j->slot + JITTER_SLOTS)))
		abort();
}

/*
 * Steps of a first byte and what it has: times are relative, small ones and
 * large ones; so are sequence numbers and timestamps, as those of streams are.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct jitter j;
	static uint8_t payload[2000];
	struct rtp p = { .payload = payload };
	uint64_t us = 0, accepted = 0, arrival;
	uint8_t op;
	struct rbuf r;

	jitter_init(&j);
	rbuf_init(&r, data, len);
	while (r.len > 0 && !r.failed) {
		op = rbuf_u8(&r);
		us += op & 0x80 ? (uint64_t)rbuf_u32(&r) << (op & 31) :
				  (uint64_t)(op & 15) * 2500;
		if (op & 0x40) {
			take(&j, us);
			continue;
		}
		p.seq = (uint16_t)(p.seq + (int8_t)rbuf_u8(&r));
		p.timestamp += op & 0x20 ?
		    rbuf_u32(&r) :
		    (uint32_t)(int8_t)rbuf_u8(&r) * JITTER_STEP;
		p.ssrc = op & 0x10 ? rbuf_u8(&r) : p.ssrc;
		payload[0] = rbuf_u8(&r);
		payload[1] = rbuf_u8(&r);
		p.len = rbuf_u8(&r) * 7;
		/* Late by up to a second, or as it is. */
		arrival = us + (uint64_t)rbuf_u8(&r) * 4000;
		if (jitter_put(&j, &p, arrival) == 0)
			accepted++;
		if (j.stats.frames > accepted || j.stats.delay < 0 ||
		    j.n_transit > JITTER_WINDOW)
			abort();
	}
	return 0;
}
