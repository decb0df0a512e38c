/* SPDX-License-Identifier: ISC */
/*
 * keyd_registry.c - updates of the registry, and tokens.
 *
 * An update is signed by the authority key if a permit covers it, which
 * controld asked for on an operator's order. The key's file is clawd's: it is
 * handed over with the first permit and forgotten with the last. "fresh" needs
 * no permit: an authority says it daily by itself, with a key that can say
 * nothing else.
 */
#include <sys/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attestd/keyd.h"
#include "attestd/keystore.h"
#include "attestd/permit.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"

#define CLOCK_SLACK_S 600 /* of an update's time against ours */
#define TOKEN_SECONDS_MAX 600
#define WAITING_MAX 8 /* as many as messages.def lets be unanswered */

/* Permits that wait for the authority key. */
static struct waiting {
	struct chan *chan; /* NULL: free */
	uint32_t request;
	uint32_t permit;
} waiting[WAITING_MAX];

static bool asked; /* clawd, for the file */

static uint64_t
seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec;
}

/* Without a permit nothing is signed with it. */
void
keyd_forget_authority(void)
{
	if (!permit_any(seconds(CLOCK_BOOTTIME)))
		keystore_forget(KEY_AUTHORITY);
}

static void
on_time_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	keyd_forget_authority();
}

static void
answer_permit(struct chan *c, uint32_t request, uint32_t permit)
{
	struct msg_PERMITTED done = { .permit = permit };

	if (keystore_public(KEY_AUTHORITY, done.authority) != 0)
		fatalx("authority key loaded and not there");
	(void)chan_send_PERMITTED(c, request, -1, &done);
}

static void
on_authority(struct chan *clawd, struct msg *m, void *arg)
{
	struct msg_REFUSED no = { .code = EIO,
		.text = "the authority key's file is not one of this node" };
	struct waiting *w;
	struct msg request;
	int r = -EIO;

	(void)clawd;
	(void)arg;
	asked = false;
	if (m != NULL && m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
	} else if (m != NULL)
		r = keystore_load_authority(m->fd);
	for (w = waiting; w < waiting + WAITING_MAX; w++) {
		if (w->chan == NULL)
			continue;
		request.id = w->request;
		if (r == 0)
			answer_permit(w->chan, w->request, w->permit);
		else {
			permit_end(w->permit);
			chan_refuse(w->chan, &request, no.code, false, "%s",
			    no.text);
		}
		w->chan = NULL;
	}
	keyd_forget_authority();
}

static void
want_authority(void)
{
	struct msg_AUTHORITY_WANTED want = { 0 };
	struct chan *clawd = child_parent();

	if (asked)
		return;
	asked = true;
	(void)chan_send_AUTHORITY_WANTED(clawd,
	    chan_ask(clawd, MSG_AUTHORITY_WANTED, on_authority, NULL), -1,
	    &want);
}

void
keyd_on_permit(struct chan *c, struct msg *m)
{
	uint8_t pub[KEY_PUBLIC_LEN];
	struct timeval until = { 0 };
	struct msg_PERMIT want;
	struct waiting *w;
	const char *why;
	uint32_t permit;

	if (!msg_get_PERMIT(&m->body, &want))
		fatalx("malformed PERMIT");
	permit = permit_add(&want, seconds(CLOCK_BOOTTIME), &why);
	if (permit == 0) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	until.tv_sec = (time_t)want.seconds + 1;
	if (event_base_once(child_base(), -1, EV_TIMEOUT, on_time_over, NULL,
		&until) == -1)
		fatalx("libevent has no timer for us");
	if (keystore_public(KEY_AUTHORITY, pub) == 0) {
		answer_permit(c, m->id, permit);
		return;
	}
	for (w = waiting; w < waiting + WAITING_MAX; w++)
		if (w->chan == NULL)
			break;
	if (w == waiting + WAITING_MAX) {
		permit_end(permit);
		keyd_refuse(c, m, EAGAIN, "too many permits at once");
		return;
	}
	*w = (struct waiting){ c, m->id, permit };
	want_authority();
}

void
keyd_on_permit_end(struct chan *c, struct msg *m)
{
	struct msg_PERMIT_END end;

	(void)c;
	if (!msg_get_PERMIT_END(&m->body, &end))
		fatalx("malformed PERMIT_END");
	permit_end(end.permit);
	keyd_forget_authority();
}

void
keyd_on_permit_show(struct chan *c, struct msg *m)
{
	struct msg_PERMIT_SHOWN done;
	struct msg_PERMIT_SHOW want;

	if (!msg_get_PERMIT_SHOW(&m->body, &want))
		fatalx("malformed PERMIT_SHOW");
	done.there = permit_invited(want.name, seconds(CLOCK_BOOTTIME));
	(void)chan_send_PERMIT_SHOWN(c, m->id, -1, &done);
}

/* An order whose operator has gone is not carried out; an invite stays. */
void
keyd_controld_gone(struct chan *c)
{
	struct waiting *w;

	for (w = waiting; w < waiting + WAITING_MAX; w++)
		if (w->chan == c) {
			permit_end(w->permit);
			w->chan = NULL;
		}
	if (child_peer(PROC_CONTROLD) == NULL)
		permit_end_orders();
	keyd_forget_authority();
}

/* Why an update is not signed; NULL if it is. */
static const char *
update_refused(const struct registry_update *u)
{
	uint64_t now = seconds(CLOCK_REALTIME);

	if (u->time_s + CLOCK_SLACK_S < now || u->time_s > now + CLOCK_SLACK_S)
		return "its time is not this machine's";
	if (u->op == REGISTRY_FRESH)
		return permit_fresh(seconds(CLOCK_BOOTTIME)) ?
		    NULL :
		    "it was said a moment ago";
	return permit_use(u, seconds(CLOCK_BOOTTIME)) ?
	    NULL :
	    "no operator has asked for it";
}

void
keyd_on_update_sign(struct chan *c, struct msg *m)
{
	static struct registry_update u;
	struct registry_signature sig;
	struct msg_UPDATE_SIGNED done;
	struct msg_UPDATE_SIGN want;
	const char *why;

	if (!msg_get_UPDATE_SIGN(&m->body, &want))
		fatalx("malformed UPDATE_SIGN");
	if (regupdate_get(&u, want.update, want.update_len) != 0) {
		child_violation(c, m, "no update of a registry");
		return;
	}
	why = update_refused(&u);
	if (why != NULL) {
		keyd_refuse(c, m, EPERM, why);
		return;
	}
	if (statement_update(&u, &sig) != 0) {
		keyd_refuse(c, m, EIO, "the update could not be signed");
		return;
	}
	if (u.op == REGISTRY_FRESH)
		permit_fresh_said(seconds(CLOCK_BOOTTIME));
	counter_add(COUNTER_SIGNATURES, 1);
	memcpy(done.key, sig.kid, sizeof(done.key));
	memcpy(done.signature, sig.sig, sizeof(done.signature));
	(void)chan_send_UPDATE_SIGNED(c, m->id, -1, &done);
	keyd_forget_authority();
}

void
keyd_on_token_sign(struct chan *c, struct msg *m)
{
	struct msg_TOKEN_SIGNED done;
	struct token_claims claims = { 0 };
	uint64_t capabilities = keyd_capabilities();
	struct msg_TOKEN_SIGN want;

	if (!msg_get_TOKEN_SIGN(&m->body, &want))
		fatalx("malformed TOKEN_SIGN");
	if ((want.capabilities & ~capabilities) != 0 ||
	    want.capabilities == 0) {
		keyd_refuse(c, m, EPERM,
		    "the registry gives this node no such capability");
		return;
	}
	if (want.seconds == 0 || want.seconds > TOKEN_SECONDS_MAX) {
		keyd_refuse(c, m, EPERM, "a token lasts ten minutes at most");
		return;
	}
	memcpy(claims.aud, want.audience, sizeof(claims.aud));
	memcpy(claims.cnf, want.leaf, sizeof(claims.cnf));
	claims.cap = want.capabilities;
	claims.reg = keyd.follow.now.seq;
	if (statement_token(&claims, want.seconds, done.token,
		sizeof(done.token)) < 0) {
		keyd_refuse(c, m, EINVAL, "no token can be made of that");
		return;
	}
	counter_add(COUNTER_SIGNATURES, 1);
	(void)chan_send_TOKEN_SIGNED(c, m->id, -1, &done);
	explicit_bzero(&done, sizeof(done));
}
