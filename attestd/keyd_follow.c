/* SPDX-License-Identifier: ISC */
/*
 * keyd_follow.c - the registry, as attestd brings it and clawd keeps it.
 *
 * attestd is the messenger: what it brings counts for its signatures
 * (follow.h). That leaves it which of this node's own rotations it brings, and
 * to bring nothing. clawd is told of what has come to be known, so that the
 * next keyd goes on from there; of more than NOTES in a second it is told the
 * last one alone, since attestd could make us a flood.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "attestd/keyd.h"
#include "attestd/keystore.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"

#define NOTES 20

static struct {
	/* What clawd kept, until the configuration says who we are. */
	uint8_t known[FOLLOW_BYTES_MAX];
	size_t known_len;
	/* What clawd was told last. */
	uint8_t noted[FOLLOW_BYTES_MAX];
	size_t noted_len;
	struct event *wait;
	time_t second;
	unsigned int notes; /* in it */
} my;

void
keyd_on_registry_known(struct chan *c, struct msg *m)
{
	struct msg_REGISTRY_KNOWN known;

	(void)c;
	if (!msg_get_REGISTRY_KNOWN(&m->body, &known))
		fatalx("malformed REGISTRY_KNOWN");
	my.known_len = known.state_len;
	memcpy(my.known, known.state, known.state_len);
}

void
keyd_follow_start(void)
{
	follow_begin(&keyd.follow, keyd.node.name, keyd.node.genesis);
	if (my.known_len == 0)
		return;
	keyd.ready = follow_get(&keyd.follow, my.known, my.known_len) == 0;
	if (!keyd.ready)
		log_warnx("keys/registry is not of this node: the registry is "
			  "followed from its genesis");
	my.known_len = 0;
}

uint64_t
keyd_capabilities(void)
{
	uint8_t pub[KEY_PUBLIC_LEN];

	return keystore_public(KEY_IDENTITY, pub) == 0 ?
	    follow_capabilities(&keyd.follow, pub) :
	    0;
}

static void note(void);

static void
on_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	note();
}

/* Whether it has to wait for the next second. */
static bool
too_often(void)
{
	static const struct timeval wait = { 1, 0 };
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	if (now.tv_sec != my.second)
		my.notes = 0;
	my.second = now.tv_sec;
	if (my.notes++ < NOTES)
		return false;
	if (my.wait == NULL &&
	    (my.wait = evtimer_new(child_base(), on_time, NULL)) == NULL)
		fatalx("libevent has no timer for us");
	if (evtimer_pending(my.wait, NULL) == 0 &&
	    evtimer_add(my.wait, &wait) == -1)
		fatalx("libevent has no timer for us");
	return true;
}

static void
note(void)
{
	struct msg_REGISTRY_NOTED noted = { .seq = keyd.follow.now.base_seq };
	uint8_t state[FOLLOW_BYTES_MAX];
	ssize_t n;

	if (!keyd.follow.now.begun)
		return;
	n = follow_put(&keyd.follow, state, sizeof(state));
	if (n < 0)
		fatalx("what is known of the registry has no form");
	if (((size_t)n == my.noted_len &&
		memcmp(state, my.noted, my.noted_len) == 0) ||
	    too_often())
		return;
	memcpy(my.noted, state, (size_t)n);
	my.noted_len = (size_t)n;
	memcpy(noted.head, keyd.follow.now.base, sizeof(noted.head));
	noted.state = state;
	noted.state_len = (uint16_t)n;
	(void)chan_send_REGISTRY_NOTED(child_parent(), 0, -1, &noted);
}

/* What follow.h answers; *broken: it is in no form at all. */
static const char *
take_one(struct rbuf *r, bool rotation, bool *broken)
{
	static struct registry_signature sigs[REGISTRY_SIGS_MAX];
	static struct registry_update u;
	struct registry_rotation turn;
	size_t n;

	*broken = rotation ?
	    regupdate_rotation_signed_get(&turn, sigs, &n, r) != 0 :
	    regupdate_signed_get(&u, sigs, &n, r) != 0;
	if (*broken)
		return NULL;
	return rotation ? follow_rotation(&keyd.follow, &turn, sigs, n) :
			  follow_update(&keyd.follow, &u, sigs, n);
}

static void
answer(struct chan *c, const struct msg *m)
{
	const struct follow_state *at = follow_where(&keyd.follow);
	struct msg_FOLLOWED done = { .begun = at->begun,
		.seq = at->seq,
		.base_seq = at->base_seq,
		.ksn = at->self.ksn };

	memcpy(done.head, at->head, sizeof(done.head));
	memcpy(done.base, at->base, sizeof(done.base));
	memcpy(done.rotation, at->self.rotation, sizeof(done.rotation));
	(void)chan_send_FOLLOWED(c, m->id, -1, &done);
}

void
keyd_on_follow(struct chan *c, struct msg *m)
{
	struct msg_FOLLOW want;
	const char *why = NULL;
	bool broken = false;
	struct rbuf r;

	if (!msg_get_FOLLOW(&m->body, &want))
		fatalx("malformed FOLLOW");
	if (want.whole != 0)
		follow_walk(&keyd.follow);
	rbuf_init(&r, want.lines, want.lines_len);
	while (why == NULL && !broken && r.len > 0)
		why = take_one(&r, want.rotations != 0, &broken);
	if (broken) {
		child_violation(c, m, "no updates of a registry");
		return;
	}
	if (why == NULL && want.end != 0)
		why = follow_end(&keyd.follow);
	note();
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	if (want.end != 0) {
		keyd.ready = true;
		keyd_rotate_self(&keyd.follow.now.self);
	}
	answer(c, m);
}
