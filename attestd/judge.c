/* SPDX-License-Identifier: ISC */
/*
 * judge.c - whether a leaf certificate proves that a peer is who it says.
 *
 * First what makes it an answer to this session's challenge and no other's,
 * then what the registry says of who signed it (claw-protocol(7), EVIDENCE).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attestd/judge.h"
#include "common/atls.h"
#include "common/capability.h"

static bool refuse(struct judgement *j, uint8_t alert, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool
refuse(struct judgement *j, uint8_t alert, const char *fmt, ...)
{
	va_list ap;

	j->alert = alert;
	va_start(ap, fmt);
	vsnprintf(j->reason, sizeof(j->reason), fmt, ap);
	va_end(ap);
	return false;
}

/* Is it an answer to our challenge, in this session? */
static bool
answers(const struct judge_session *s, struct judgement *j)
{
	const struct evidence *ev = &j->ev;

	if (s->nonce == NULL)
		return refuse(j, ATLS_BAD,
		    "it answers no challenge of ours that is still open");
	if (memcmp(ev->verifier_nonce, s->nonce, 32) != 0)
		return refuse(j, ATLS_BAD,
		    "it answers another challenge: replayed, or meant for "
		    "somebody else");
	if (memcmp(ev->prover_nonce, s->prover, 32) != 0)
		return refuse(j, ATLS_BAD, "the leaf is another session's");
	if (s->spki != NULL && memcmp(ev->spki, s->spki, sizeof(ev->spki)) != 0)
		return refuse(j, ATLS_BAD,
		    "it certifies another key than this session's");
	return true;
}

/* Is it for us, in the other role, for what was agreed on? */
static bool
is_for_us(const struct judge_session *s, struct judgement *j)
{
	const struct evidence *ev = &j->ev;

	if (ev->role !=
	    (s->role == EVIDENCE_CLIENT ? EVIDENCE_SERVER : EVIDENCE_CLIENT))
		return refuse(j, ATLS_BAD,
		    "it speaks as %s, as we do: reflected",
		    evidence_role_name(ev->role));
	if (strcmp(ev->name, s->self) == 0)
		return refuse(j, ATLS_BAD,
		    "it shows our own name: reflected, or two nodes have it");
	if (ev->purpose != s->purpose)
		return refuse(j, ATLS_BAD,
		    "the leaf is for purpose %s, and this is %s",
		    evidence_purpose_name(ev->purpose),
		    evidence_purpose_name(s->purpose));
	/* A client knows whom it dialled; a server may not know yet. */
	if (ev->peer[0] == '\0' ? s->role == EVIDENCE_SERVER :
				  strcmp(ev->peer, s->self) != 0)
		return refuse(j, ATLS_BAD,
		    ev->peer[0] == '\0' ? "it does not say for whom it is" :
					  "the leaf is for %s, not for us",
		    ev->peer);
	if (s->dialled[0] != '\0' && strcmp(ev->name, s->dialled) != 0)
		return refuse(j, ATLS_BAD, "%s was dialled, %s answered",
		    s->dialled, ev->name);
	return true;
}

uint8_t
judge_standing(enum registry_standing standing, const char *name, char *text,
    size_t size)
{
	static const struct {
		uint8_t alert;
		const char *text;
	} table[] = {
		[REGISTRY_OK] = { ATLS_ACCEPT, "" },
		[REGISTRY_OLD_KEY_OK] = { ATLS_ACCEPT, "" },
		[REGISTRY_UNKNOWN] = { ATLS_UNKNOWN,
		    "the registry has no node of that name; an authority adds "
		    "it with claw node:add, or invites it" },
		[REGISTRY_REVOKED] = { ATLS_REVOKED,
		    "the registry has revoked it; with new keys it can be "
		    "added again" },
		[REGISTRY_EXPIRED] = { ATLS_EXPIRED,
		    "its entry in the registry has expired; an authority adds "
		    "it again with claw node:add" },
		[REGISTRY_SUSPENDED] = { ATLS_POLICY,
		    "it has made two rotations of its keys with one number, "
		    "so one of them is not its own; an authority revokes it "
		    "and adds it with new keys" },
		[REGISTRY_WRONG_KEY] = { ATLS_BAD,
		    "the signature is not by the key that the registry has "
		    "for it" },
		[REGISTRY_UNSETTLED] = { ATLS_POLICY,
		    "two histories of the registry are known, and it is in "
		    "one of them alone; the authorities sign a resolve" },
	};

	snprintf(text, size, "%s: %s", name, table[standing].text);
	return table[standing].alert;
}

uint8_t
judge_freshness(const struct registry *r, uint64_t now_s, char *text,
    size_t size)
{
	struct registry_windows w = registry_windows(r);
	uint64_t age = 0;

	if (registry_freshness(r, now_s, &age) != REGISTRY_IS_HARD)
		return ATLS_ACCEPT;
	snprintf(text, size,
	    "our registry has had no news for %" PRIu64 " s, the hard window "
	    "is %" PRIu32 " s; bring a newer one with claw registry:import, "
	    "or check this machine's clock",
	    age, w.hard_s);
	return ATLS_POLICY;
}

/*
 * Under which of the node's keys the leaf is signed: what the registry says
 * of the node, and WRONG_KEY if under none.
 */
static enum registry_standing
standing_of(const struct registry *r, const struct judge_session *s,
    struct judgement *j)
{
	const struct registry_node *node = registry_node(r, j->ev.name);
	static const registry_key nobody;
	enum registry_standing standing;

	/* Unknown, or known in one of two histories alone. */
	if (node == NULL)
		return registry_standing(r, j->ev.name, nobody, s->now_s);
	if (evidence_verify_sig(&j->ev, j->sig, node->identity) == 0)
		memcpy(j->key, node->identity, sizeof(j->key));
	else if (node->has_previous &&
	    evidence_verify_sig(&j->ev, j->sig, node->previous) == 0)
		memcpy(j->key, node->previous, sizeof(j->key));
	else
		return node->revoked ? REGISTRY_REVOKED : REGISTRY_WRONG_KEY;
	j->capabilities = node->capabilities;
	j->until_s = s->now_s + JUDGE_SESSION_S;
	if (node->expiry_s != 0 && node->expiry_s < j->until_s)
		j->until_s = node->expiry_s;
	standing = registry_standing(r, j->ev.name, j->key, s->now_s);
	if (standing == REGISTRY_OLD_KEY_OK &&
	    s->now_s + JUDGE_OLD_KEY_S < j->until_s)
		j->until_s = s->now_s + JUDGE_OLD_KEY_S;
	return standing;
}

/* The time of an update; the line is verified and canonical. */
static uint64_t
time_of(const struct registry *r, uint64_t seq)
{
	size_t len;
	const char *line = registry_line(r, seq, &len);
	const char *at = line == NULL ?
	    NULL :
	    memmem(line, len, "\"time\":", sizeof("\"time\":") - 1);

	return at == NULL ? 0 :
			    strtoull(at + sizeof("\"time\":") - 1, NULL, 10);
}

/* How the peer's registry stands to ours. */
static bool
agrees(const struct registry *r, const struct judge_session *s,
    struct judgement *j)
{
	const struct evidence *ev = &j->ev;
	uint64_t ours = registry_seq(r), missing;
	const uint8_t *head;
	uint8_t digest[32];

	if (ev->seq > ours)
		return true;
	head = registry_hash_at(r, ev->seq);
	if (head == NULL || memcmp(head, ev->head, 32) != 0) {
		j->fork = true;
		return refuse(j, ATLS_POLICY,
		    "its registry is another one from update %" PRIu64
		    " or before",
		    ev->seq);
	}
	missing = ev->seq == ours ? 0 : time_of(r, ev->seq + 1);
	if (ev->seq < ours && missing + registry_windows(r).hard_s < s->now_s)
		return refuse(j, ATLS_POLICY,
		    "its registry is stale: at update %" PRIu64 " of %" PRIu64
		    ", and it has lacked the next one for longer than the "
		    "hard window",
		    ev->seq, ours);
	if (ev->seq == ours && !registry_forked(r) &&
	    (capability_digest(j->capabilities, digest) != 0 ||
		memcmp(digest, ev->caps, sizeof(digest)) != 0))
		return refuse(j, ATLS_POLICY,
		    "it claims other capabilities than the registry gives it");
	return true;
}

static bool
registry_allows(const struct registry *r, const struct judge_session *s,
    struct judgement *j)
{
	enum registry_standing standing = standing_of(r, s, j);
	bool pull = s->purpose == EVIDENCE_REGISTRY;

	/*
	 * Who falls behind may always pull the lines, which verify themselves,
	 * if it signed by its key or the one before, and was not revoked.
	 */
	if (pull && j->until_s != 0 && standing != REGISTRY_REVOKED)
		return true;
	/*
	 * Whom we dialled for its lines may have rotated its keys since we
	 * heard of it last. Nothing is told to it, and its lines show it.
	 */
	if (pull && s->role == EVIDENCE_CLIENT &&
	    standing == REGISTRY_WRONG_KEY) {
		j->unproven = true;
		j->until_s = s->now_s + JUDGE_PULL_S;
		return true;
	}
	j->alert =
	    judge_standing(standing, j->ev.name, j->reason, sizeof(j->reason));
	if (j->ev.seq > registry_seq(r) || standing == REGISTRY_WRONG_KEY)
		j->newer = true;
	if (j->alert != ATLS_ACCEPT)
		return false;
	j->alert = judge_freshness(r, s->now_s, j->reason, sizeof(j->reason));
	return j->alert == ATLS_ACCEPT && agrees(r, s, j);
}

void
judge(const struct registry *r, const struct judge_session *s,
    const uint8_t *leaf, size_t len, struct judgement *out)
{
	struct evidence *ev = &out->ev;

	memset(out, 0, sizeof(*out));
	if (evidence_parse(leaf, len, ev, out->sig) != 0) {
		(void)refuse(out, ATLS_BAD,
		    "what it showed is no leaf certificate of a node");
		return;
	}
	memcpy(out->peer, ev->name, sizeof(out->peer));
	if (!answers(s, out) || !is_for_us(s, out))
		return;
	out->skewed = ev->not_before > (int64_t)s->now_s + JUDGE_SKEW_S ||
	    ev->not_after + JUDGE_SKEW_S < (int64_t)s->now_s;
	if (s->purpose == EVIDENCE_JOIN || !registry_allows(r, s, out))
		return;
	out->reason[0] = '\0';
}
