/* SPDX-License-Identifier: ISC */
/*
 * fuzz_gate.c - the gate alone: packets from anybody to anybody, with changes
 * of state, requests of our own and answers, checked against what the table
 * says of each packet.
 *
 * A step: one byte what; for a packet type u16, id u8, nfds u8, length u8,
 * body; the header is right unless the byte's high bit is set.
 */
#include <sys/socket.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const uint8_t *input;
static size_t left;

static uint8_t
take(void)
{
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

/* What passed is what the table allows, and nothing is owed to nobody. */
static void
passed(const struct gate *g, const struct msg *m, unsigned int nfds)
{
	if (m->rule == NULL || m->rule != msg_rule(m->type) ||
	    (m->rule->senders & PROC_BIT(g->peer)) == 0 ||
	    (m->rule->receivers & PROC_BIT(g->self)) == 0 ||
	    (m->rule->when & (uint32_t)g->when) == 0 ||
	    nfds != (m->rule->fd == FD_NONE ? 0 : 1) ||
	    !msg_body_valid(m->rule, m->body.data, m->body.len))
		abort();
}

static void
packet(struct gate *g, uint8_t what, int fd, uint64_t now)
{
	static uint8_t buf[70000];
	struct gate_request *asked = NULL;
	const char *reason = NULL;
	struct msg m = { .fd = -1 };
	uint16_t type = take();
	unsigned int nfds;
	size_t n;
	struct wbuf w;

	type = (uint16_t)(type << 8 | take());
	wbuf_init(&w, buf, sizeof(buf));
	wbuf_u16(&w, type);
	wbuf_u16(&w, 0);
	n = take();
	nfds = (unsigned int)(n >> 5);
	nfds = nfds < 5 ? 0 : nfds - 4;
	wbuf_u32(&w, 0);
	wbuf_u32(&w, n & 31);
	n = take();
	if (n == 255)
		n = (size_t)take() << 8 | take();
	if (n > left)
		n = left;
	wbuf_put(&w, input, n);
	input += n;
	left -= n;
	buf[6] = (uint8_t)(n >> 8);
	buf[7] = (uint8_t)n;
	if ((what & 0x80) != 0) {
		buf[take() % MSG_HEADER_LEN] ^= take();
		w.len -= take() % MSG_HEADER_LEN;
	}
	switch (gate_check(g, buf, w.len, nfds > 0 ? fd : -1, nfds, now, &m,
	    &asked, &reason)) {
	case GATE_PASS:
		passed(g, &m, nfds);
		if (m.rule->limit == LIMIT_REPLY)
			abort();
		break;
	case GATE_REPLY:
		passed(g, &m, nfds);
		if (m.type != MSG_REFUSED && m.type != asked->rule->reply)
			abort();
		free(asked);
		break;
	case GATE_LATE:
		passed(g, &m, nfds);
		break;
	case GATE_REFUSE:
		if (reason == NULL)
			abort();
		break;
	}
}

static void
ask(struct gate *g, uint8_t what)
{
	static int somebody;
	const struct msg_rule *r;
	size_t n;

	r = msg_rules(&n);
	r += take() % n;
	if (r->reply != MSG_NONE)
		(void)gate_ask(g, r, (what & 8) != 0 ? &somebody : NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum msg_when whens[] = { WHEN_BOOT, WHEN_RUN,
		WHEN_DRAIN };
	static int pair[2] = { -1, -1 };
	uint64_t now = 1;
	uint8_t what;
	struct gate g;

	if (pair[0] == -1 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == -1)
		abort();
	input = data;
	left = len;
	what = take();
	gate_init(&g, (enum proc)(what % PROC_MAX),
	    (enum proc)((what / PROC_MAX) % PROC_MAX));
	while (left > 0) {
		what = take();
		switch (what & 7) {
		case 5:
			g.when = whens[(what >> 3) % 3];
			break;
		case 6:
			ask(&g, what);
			break;
		case 7:
			now += what >> 3;
			what = take();
			(void)gate_answer(&g, what,
			    (uint16_t)(take() << 8 | take()));
			break;
		default:
			packet(&g, what,
			    (what & 0x40) != 0 ? STDERR_FILENO : pair[0], now);
			break;
		}
	}
	gate_clear(&g);
	return 0;
}
