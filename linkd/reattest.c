/* SPDX-License-Identifier: ISC */
/*
 * reattest.c - both ends of a link prove themselves again, inside TLS.
 *
 * Either end challenges the other, for itself: a nonce of attestd's goes out
 * as CHALLENGE, a leaf of keyd's over the session's key comes back as
 * EVIDENCE, attestd judges it. The leaf names both ends' last challenges.
 * Which is a prover's last is the same at both ends because a challenge of
 * ours is held back while our own evidence is being made.
 *
 * It is due before the verdict ends, and when the registry has moved; the
 * latter no more often than keyd makes leaves. That a peer was revoked does
 * not wait for this: then attestd ends the session.
 */
#include <string.h>
#include <time.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "linkd/link.h"
#include "linkd/reattest.h"

#define HOURLY_S 3300
#define BEFORE_S 60 /* the verdict ends */
#define RETRY_S 2
#define ANSWER_S 5
/* After the registry moved: the peer pulls it first. */
#define MOVED_S 1
/* keyd makes 16 leaves an hour for a session. */
#define BURST 4
#define REFILL_S 400

static struct {
	struct event *due; /* when we challenge */
	uint64_t due_us;
	struct event *answer; /* when the peer has to have answered */
	bool asked;	      /* attestd, for a nonce or a verdict */
	bool waiting;	      /* for EVIDENCE */
	bool held;	      /* a nonce is there, to be sent after EVIDENCE */
	bool proving;	      /* keyd makes our leaf */
	bool again;	      /* it became due while one was under way */
	uint8_t nonce[32];
	uint64_t until;
	unsigned int tokens;
	uint64_t refilled_us;
} re;

static void
due_in(uint64_t seconds)
{
	struct timeval tv = { (time_t)seconds, 0 };

	re.due_us = link_now_us() + seconds * 1000000;
	evtimer_add(re.due, &tv);
}

/* The next one that nothing but time calls for. */
static void
due_by_time(void)
{
	uint64_t now = (uint64_t)time(NULL), left;

	left = re.until > now + BEFORE_S ? re.until - now - BEFORE_S : 1;
	due_in(left < HOURLY_S ? left : HOURLY_S);
}

static void
try_again(void)
{
	re.asked = re.waiting = false;
	if ((uint64_t)time(NULL) >= re.until)
		link_close(BYE_REFUSED,
		    "peer's verdict has ended and there is no other");
	else
		due_in(RETRY_S);
}

static void
challenge(void)
{
	struct frame f = { .type = FRAME_CHALLENGE };
	struct timeval tv = { ANSWER_S, 0 };

	if (re.proving) {
		re.held = true;
		return;
	}
	re.held = false;
	re.waiting = true;
	memcpy(link_own_nonce(), re.nonce, sizeof(re.nonce));
	memcpy(f.hash, re.nonce, sizeof(f.hash));
	evtimer_add(re.answer, &tv);
	link_send(&f);
}

static void
on_nonce(struct chan *c, struct msg *m, void *arg)
{
	struct msg_NONCE nonce;

	(void)c;
	(void)arg;
	if (!link_is_up())
		return;
	if (m == NULL || m->type == MSG_REFUSED) {
		try_again();
		return;
	}
	if (!msg_get_NONCE(&m->body, &nonce))
		fatalx("malformed NONCE");
	memcpy(re.nonce, nonce.nonce, sizeof(re.nonce));
	challenge();
}

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_RENONCE ask = { 0 };

	(void)fd;
	(void)what;
	(void)arg;
	if (!link_is_up())
		return;
	if (attestd == NULL) {
		try_again();
		return;
	}
	re.asked = true;
	re.again = false;
	(void)chan_send_RENONCE(attestd,
	    chan_ask(attestd, MSG_RENONCE, on_nonce, NULL), -1, &ask);
}

static void
on_no_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	link_close(BYE_SILENT, "peer did not attest again within %d s",
	    ANSWER_S);
}

/* Seconds until the next one because of the registry may begin. */
static uint64_t
take_token(void)
{
	uint64_t now = link_now_us(), refill = REFILL_S * UINT64_C(1000000);

	while (now - re.refilled_us >= refill) {
		re.refilled_us += refill;
		if (re.tokens < BURST)
			re.tokens++;
	}
	if (re.tokens > 0) {
		re.tokens--;
		return MOVED_S;
	}
	return (re.refilled_us + refill - now) / 1000000 + 1;
}

void
reattest_begin(uint64_t until)
{
	re.due = evtimer_new(child_base(), on_due, NULL);
	re.answer = evtimer_new(child_base(), on_no_answer, NULL);
	if (re.due == NULL || re.answer == NULL)
		fatalx("out of memory");
	re.until = until;
	re.tokens = BURST;
	re.refilled_us = link_now_us();
	due_by_time();
}

void
reattest_soon(void)
{
	uint64_t wait;

	if (!link_is_up() || link_purpose() != EVIDENCE_MESH)
		return;
	if (re.again || re.asked || re.waiting || re.held) {
		re.again = true;
		return;
	}
	wait = take_token();
	if (re.due_us > link_now_us() + wait * 1000000)
		due_in(wait);
	re.again = true; /* what moves until then is covered */
}

static void
on_verdict(struct chan *c, struct msg *m, void *arg)
{
	struct msg_VERDICT v;
	struct msg_REFUSED no;
	bool again = re.again;

	(void)c;
	(void)arg;
	re.asked = false;
	if (!link_is_up())
		return;
	if (m == NULL) {
		try_again();
		return;
	}
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		if (no.retry)
			try_again();
		else
			link_close(BYE_REFUSED,
			    "peer not attested again: %.200s", no.text);
		return;
	}
	if (!msg_get_VERDICT(&m->body, &v))
		fatalx("malformed VERDICT");
	if (v.alert != 0) {
		link_close(BYE_REFUSED, "peer not attested again: %.220s",
		    v.reason);
		return;
	}
	re.until = v.until;
	link_own_head(v.seq, v.head, v.turns);
	due_by_time();
	re.again = false;
	if (again)
		reattest_soon();
}

void
reattest_on_evidence(const struct frame *f)
{
	struct chan *attestd = child_peer(PROC_ATTESTD);
	struct msg_JUDGE ask = { .purpose = link_purpose(),
		.leaf = f->data,
		.leaf_len = (uint16_t)f->len };

	if (!re.waiting) {
		link_close(BYE_PROTOCOL, "peer sent EVIDENCE unasked");
		return;
	}
	re.waiting = false;
	evtimer_del(re.answer);
	if (attestd == NULL) {
		try_again();
		return;
	}
	memcpy(ask.prover, link_peer_nonce(), sizeof(ask.prover));
	(void)chan_send_JUDGE(attestd,
	    chan_ask(attestd, MSG_JUDGE, on_verdict, NULL), -1, &ask);
}

/* The prover's end. */

static void
on_leaf(struct chan *c, struct msg *m, void *arg)
{
	struct msg_LEAF_ISSUED issued;
	struct msg_REFUSED no = { .text = "it is gone" };
	struct frame f = { .type = FRAME_EVIDENCE };

	(void)c;
	(void)arg;
	re.proving = false;
	if (!link_is_up())
		return;
	if (m == NULL || m->type == MSG_REFUSED) {
		if (m != NULL && !msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		link_close(BYE_ERROR, "no leaf from keyd: %.200s", no.text);
		return;
	}
	if (!msg_get_LEAF_ISSUED(&m->body, &issued))
		fatalx("malformed LEAF_ISSUED");
	if (issued.leaf_len == 0) {
		link_close(BYE_ERROR, "no leaf from keyd: an empty one");
		return;
	}
	f.data = issued.leaf;
	f.len = issued.leaf_len;
	link_send(&f);
	if (re.held && link_is_up())
		challenge();
}

void
reattest_on_challenge(const struct frame *f)
{
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_LEAF ask = { .purpose = link_purpose() };

	if (re.proving) {
		link_close(BYE_PROTOCOL, "peer sent CHALLENGE twice at a time");
		return;
	}
	memcpy(link_peer_nonce(), f->hash, sizeof(f->hash));
	if (keyd == NULL) {
		link_close(BYE_ERROR, "no leaf: keyd is gone");
		return;
	}
	re.proving = true;
	memcpy(ask.spki, link_spki(), sizeof(ask.spki));
	memcpy(ask.verifier, f->hash, sizeof(ask.verifier));
	memcpy(ask.prover, link_own_nonce(), sizeof(ask.prover));
	(void)chan_send_LEAF(keyd, chan_ask(keyd, MSG_LEAF, on_leaf, NULL), -1,
	    &ask);
}
