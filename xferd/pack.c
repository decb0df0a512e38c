/* SPDX-License-Identifier: ISC */
/*
 * pack.c - the sending end: whether a stream compresses what it sends.
 *
 * What was measured is that of runs of blocks: a single one says little, as
 * it goes into the socket's buffer or waits for what is in it.
 */
#include <stdlib.h>

#include "xferd/pack.h"
#include "xferd/xfer.h"

#define RUN 8 /* blocks */
#define MIB (1024 * 1024)
/* A MiB that is gone in this time (500 MB a second): zstd takes longer. */
#define FAST_NS 2000000
/* What does not shrink by a tenth is left as it is. */
#define SHORT_ENOUGH(n) ((n) / 10 * 9)
#define MISSES 2	/* of a run: it is given up */
#define STALE 16	/* runs that the network did not hold up */
#define BACK_OFF_MAX 64 /* runs until it is tried again */

struct pack {
	bool allowed;
	struct sftblock_packer *packer; /* once it is tried */
	size_t before;
	uint8_t *out;

	bool blocks; /* this chunk */
	bool on;     /* this run */
	unsigned int stale, wait, back_off;
	/* Nanoseconds a MiB takes, of late; 0: not known. */
	uint64_t plain_ns, packed_ns;

	/* This run. */
	size_t bytes;
	uint64_t packing_ns, sending_ns;
	unsigned int misses;
};

struct pack *
pack_new(bool allowed, size_t before, size_t behind)
{
	struct pack *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->allowed = allowed;
	p->before = before;
	p->back_off = 1;
	if (!allowed)
		return p;
	p->out = malloc(before + SFTBLOCK_SIZE + behind);
	if (p->out == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

void
pack_free(struct pack *p)
{
	if (p == NULL)
		return;
	sftblock_packer_free(p->packer);
	free(p->out);
	free(p);
}

static void
new_run(struct pack *p)
{
	p->bytes = 0;
	p->misses = 0;
	p->packing_ns = p->sending_ns = 0;
}

static void
turn_off(struct pack *p)
{
	p->on = false;
	p->packed_ns = 0; /* of another time when it is tried again */
	p->wait = p->back_off;
	if (p->back_off < BACK_OFF_MAX)
		p->back_off *= 2;
}

static void
learn(uint64_t *known, uint64_t ns)
{
	*known = *known == 0 ? ns : (*known * 3 + ns) / 4;
}

/* After a run that was compressed. */
static void
go_on(struct pack *p, uint64_t ns)
{
	if (p->misses >= MISSES) {
		turn_off(p);
		return;
	}
	learn(&p->packed_ns, ns);
	if (p->packed_ns > SHORT_ENOUGH(p->plain_ns)) {
		turn_off(p);
		return;
	}
	p->back_off = 1;
	/*
	 * Who waits for the network with less bytes would wait longer with
	 * more. Who does not might do without by now: that is measured anew.
	 */
	if (p->sending_ns >= p->packing_ns)
		p->stale = 0;
	else if (++p->stale >= STALE) {
		p->stale = 0;
		p->plain_ns = 0;
		p->on = false;
	}
}

static void
next_run(struct pack *p)
{
	uint64_t ns = (p->packing_ns + p->sending_ns) * MIB / p->bytes;

	if (p->on)
		go_on(p, ns);
	else {
		learn(&p->plain_ns, ns);
		if (p->plain_ns < FAST_NS || !p->blocks)
			;
		else if (p->wait > 0)
			p->wait--;
		else
			p->on = true;
	}
	new_run(p);
}

bool
pack_begin(struct pack *p)
{
	p->blocks = p->allowed && (p->plain_ns == 0 || p->plain_ns >= FAST_NS);
	if (!p->blocks)
		p->on = false;
	new_run(p);
	return p->blocks;
}

uint8_t *
pack_block(struct pack *p, uint8_t *in, size_t n, size_t *len)
{
	uint64_t since;

	*len = n;
	if (!p->on)
		return in;
	if (p->packer == NULL && (p->packer = sftblock_packer_new()) == NULL) {
		/* It goes without. */
		p->on = p->allowed = false;
		return in;
	}
	since = xfer_now_ns();
	*len = sftblock_pack(p->packer, in, n, p->out + p->before,
	    SHORT_ENOUGH(n));
	p->packing_ns += xfer_now_ns() - since;
	if (*len > 0)
		return p->out + p->before;
	p->misses++;
	*len = n;
	return in;
}

void
pack_sent(struct pack *p, size_t n, uint64_t ns)
{
	p->bytes += n;
	p->sending_ns += ns;
	if (p->bytes >= RUN * SFTBLOCK_SIZE || p->misses >= MISSES)
		next_run(p);
}
