/* SPDX-License-Identifier: ISC */
/*
 * rights.c - what the registry lets a node do: why a peer is or would be
 * refused, and capability tokens.
 *
 * A token in a log would be a token for whoever reads the log: what is written
 * down is a keyed hash of its number.
 */
#include <openssl/rand.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attestd/attestd.h"
#include "attestd/judge.h"
#include "common/atls.h"
#include "common/child.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/token.h"

#define TOKEN_SECONDS 300
#define WAITING_MAX 16 /* as many as messages.def lets be unanswered */

static const char *
standing_name(enum registry_standing s)
{
	static const char *const names[] = {
		[REGISTRY_OK] = "ok",
		[REGISTRY_OLD_KEY_OK] = "ok",
		[REGISTRY_UNKNOWN] = "unknown",
		[REGISTRY_REVOKED] = "revoked",
		[REGISTRY_EXPIRED] = "expired",
		[REGISTRY_SUSPENDED] = "suspended",
		[REGISTRY_WRONG_KEY] = "wrong-key",
		[REGISTRY_UNSETTLED] = "unsettled",
	};

	return names[s];
}

void
rights_on_why(struct chan *c, struct msg *m)
{
	static const uint8_t nobody[32];
	enum registry_standing standing = REGISTRY_UNKNOWN;
	struct msg_WHY_SAID said = { 0 };
	const struct registry_node *node;
	struct msg_WHY want;
	const char *last;

	if (!msg_get_WHY(&m->body, &want))
		fatalx("malformed WHY");
	node = registry_node(attestd.registry, want.name);
	if (node != NULL) {
		standing = registry_standing(attestd.registry, node->name,
		    node->identity, attestd_now());
		memcpy(said.identity, node->identity, sizeof(said.identity));
		said.capabilities = node->capabilities;
		said.expiry = node->expiry_s;
		said.added = node->added_seq;
	} else
		memcpy(said.identity, nobody, sizeof(nobody));
	said.admitted = judge_standing(standing, want.name, said.text,
			    sizeof(said.text)) == ATLS_ACCEPT;
	if (said.admitted)
		said.admitted =
		    judge_freshness(attestd.registry, attestd_now(), said.text,
			sizeof(said.text)) == ATLS_ACCEPT;
	if (said.admitted)
		snprintf(said.text, sizeof(said.text),
		    "%s is let in when it proves who it is", want.name);
	snprintf(said.standing, sizeof(said.standing), "%s",
	    said.admitted || standing != REGISTRY_OK ? standing_name(standing) :
						       "stale");
	last = sessions_last_refusal(want.name, &said.last_ms);
	if (last != NULL)
		snprintf(said.last, sizeof(said.last), "%s", last);
	(void)chan_send_WHY_SAID(c, m->id, -1, &said);
}

/* Tokens. */

static struct waiting {
	uint64_t chan; /* child_serial(); 0: free */
	uint32_t request;
	struct msg_TOKEN token;
} waiting[WAITING_MAX];

static void
log_id(const uint8_t jti[TOKEN_JTI_LEN], char out[TOKEN_LOG_ID_SIZE])
{
	static uint8_t key[32];
	static bool made;

	if (!made && RAND_bytes(key, sizeof(key)) != 1)
		fatalx("no random numbers");
	made = true;
	token_log_id(key, jti, out);
}

static void
answer(struct waiting *w, uint16_t code, const char *why)
{
	struct chan *c = child_with(w->chan);
	struct msg m = { .id = w->request };

	if (c != NULL && why != NULL)
		chan_refuse(c, &m, code, code == EAGAIN, "%s", why);
	else if (c != NULL)
		(void)chan_send_TOKEN(c, w->request, -1, &w->token);
	explicit_bzero(w, sizeof(*w));
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	answer(arg, EAGAIN,
	    m == NULL || m->type == MSG_REFUSED ?
		"it could not be recorded, so there is no token" :
		NULL);
}

static void
record_token(struct waiting *w)
{
	static struct auditrec rec;
	char id[TOKEN_LOG_ID_SIZE], key[IDENTITY_TEXT_SIZE];
	struct token token;

	if (token_parse(w->token.token, strlen(w->token.token), &token) !=
	    TOKEN_OK) {
		answer(w, EIO, "keyd's answer is no token");
		return;
	}
	log_id(token.claims.jti, id);
	identity_text(token.claims.aud, key);
	auditrec_init(&rec, AUDIT_TOKEN_MINTED, AUDIT_SINGLE, AUDIT_OK);
	auditrec_text(&rec, AUDIT_ATTR_TOKEN_ID, id);
	auditrec_text(&rec, AUDIT_ATTR_KEY, key);
	auditrec_num(&rec, AUDIT_ATTR_EXPIRY, token.claims.exp);
	if (!attestd_record(&rec, on_recorded, w))
		on_recorded(NULL, NULL, w);
}

static void
on_token_signed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_TOKEN_SIGNED done;
	struct waiting *w = arg;
	struct msg_REFUSED no;

	(void)c;
	if (m == NULL) {
		answer(w, EAGAIN, "keyd went away");
		return;
	}
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		answer(w, no.code, no.text);
		return;
	}
	if (!msg_get_TOKEN_SIGNED(&m->body, &done))
		fatalx("malformed TOKEN_SIGNED");
	snprintf(w->token.token, sizeof(w->token.token), "%s", done.token);
	explicit_bzero(&done, sizeof(done));
	record_token(w);
}

void
rights_on_mint(struct chan *c, struct msg *m)
{
	const struct registry_node *self =
	    registry_node(attestd.registry, attestd.node);
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_TOKEN_SIGN sign = { 0 };
	struct msg_TOKEN_MINT want;
	struct waiting *w;
	uint32_t id = 0;

	if (!msg_get_TOKEN_MINT(&m->body, &want))
		fatalx("malformed TOKEN_MINT");
	for (w = waiting; w < waiting + WAITING_MAX; w++)
		if (w->chan == 0)
			break;
	if (w < waiting + WAITING_MAX && keyd != NULL)
		id = chan_ask(keyd, MSG_TOKEN_SIGN, on_token_signed, w);
	if (id == 0) {
		chan_refuse(c, m, EAGAIN, true,
		    "keyd is not there, or too many tokens are asked for");
		return;
	}
	w->chan = child_serial(c);
	w->request = m->id;
	memcpy(sign.audience, want.audience, sizeof(sign.audience));
	memcpy(sign.leaf, want.leaf, sizeof(sign.leaf));
	sign.capabilities = want.capabilities != 0 ? want.capabilities :
	    self != NULL			   ? self->capabilities :
						     0;
	sign.seconds = want.seconds != 0 ? want.seconds : TOKEN_SECONDS;
	(void)chan_send_TOKEN_SIGN(keyd, id, -1, &sign);
}

/* token_verify() asks who a key belongs to. */
static int
lookup(void *arg, const uint8_t key[32], uint64_t *cap)
{
	const struct registry_node *node =
	    registry_node_by_key(attestd.registry, key);

	(void)arg;
	if (node == NULL)
		return -ENOENT;
	*cap = node->capabilities;
	switch (registry_standing(attestd.registry, node->name, key,
	    attestd_now())) {
	case REGISTRY_OK:
	case REGISTRY_OLD_KEY_OK:
		return 0;
	default:
		return -EKEYREVOKED;
	}
}

void
rights_on_check(struct chan *c, struct msg *m)
{
	struct token_expect expect = { .now = attestd_now(),
		.registry = registry_seq(attestd.registry),
		.lookup = lookup };
	struct msg_TOKEN_CHECKED done = { 0 };
	const struct registry_node *issuer;
	struct msg_TOKEN_CHECK want;
	enum token_verdict verdict;
	struct token token;

	if (!msg_get_TOKEN_CHECK(&m->body, &want))
		fatalx("malformed TOKEN_CHECK");
	memcpy(expect.aud, attestd.identity, sizeof(expect.aud));
	memcpy(expect.leaf, want.leaf, sizeof(expect.leaf));
	verdict = token_parse(want.token, strlen(want.token), &token);
	if (verdict == TOKEN_OK)
		verdict = token_verify(&token, &expect);
	/* Who issued it may have been revoked long ago, for all we know. */
	done.good = verdict == TOKEN_OK &&
	    judge_freshness(attestd.registry, expect.now, done.why,
		sizeof(done.why)) == ATLS_ACCEPT;
	if (verdict != TOKEN_OK)
		snprintf(done.why, sizeof(done.why), "%s",
		    token_verdict_text(verdict));
	else if (done.good) {
		issuer =
		    registry_node_by_key(attestd.registry, token.claims.iss);
		if (issuer != NULL)
			snprintf(done.issuer, sizeof(done.issuer), "%s",
			    issuer->name);
		done.capabilities = token.claims.cap;
		done.expiry = token.claims.exp;
	}
	explicit_bzero(&want, sizeof(want));
	(void)chan_send_TOKEN_CHECKED(c, m->id, -1, &done);
}
