/* SPDX-License-Identifier: ISC */
/*
 * invite.c - invites, and who joins by them.
 *
 * A ticket admits one set of keys. Which ones is decided by who comes first
 * and is durable before anything follows from it: used(keys), the record, the
 * node-add under the invite's permit, the answer, in this order. So a crash
 * between any two of them leaves an invite that the same keys can go on with
 * and no others.
 *
 * The permit is keyd's and does not outlive it. An invite whose permit is lost
 * is closed: an operator has to invite again, and who has joined by half comes
 * with the same keys.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attestd/attestd.h"
#include "attestd/invite.h"
#include "common/child.h"
#include "common/evidence.h"
#include "common/identity.h"
#include "common/join.h"
#include "common/log.h"
#include "common/ticket.h"

#define LOOK_S 10 /* whether one has expired */
#define EXPIRY_MAX_S (86400 + 60)
/* So many are recorded whatever others do; then as refusals are. */
#define REUSES_SINGLY 10

#define VOID                                                                    \
	"the invite went with a restart of the inviter, whose operator has to " \
	"invite again"

/* JOIN_ANSWER.status */
#define ADDED 0
#define WAITS 1
#define REFUSED 2

static struct invite invites[INVITES_MAX];
static unsigned int invite_count;
static int invite_dir = -1;
static struct event *look;

/* Who waits for the end of what is under way: a joiner or an operator. */
struct asker {
	struct invite *invite;
	uint32_t request;
	uint32_t session;    /* 0: it is an operator */
	uint64_t chan;	     /* the operator's, child_serial() */
	struct invite draft; /* of INVITE_OPEN */
};

static bool
is_zero(const uint8_t key[32])
{
	static const uint8_t zero[32];

	return memcmp(key, zero, sizeof(zero)) == 0;
}

/* Somebody may still come with its ticket, or come again. */
static bool
takes_joiners(const struct invite *v)
{
	return v->state <= INVITE_IS_USED && v->expiry_s > attestd_now();
}

static bool
save(void)
{
	int r = invite_file_save(invite_dir, invites, invite_count);

	if (r != 0)
		log_warnx("invites cannot be written: %s", strerror(-r));
	return r == 0;
}

static bool
record(enum audit_event event, enum audit_outcome outcome,
    const struct invite *v, const uint8_t *key, const char *address,
    const char *reason, chan_done *done, void *arg)
{
	static struct auditrec rec;
	char text[IDENTITY_TEXT_SIZE];

	auditrec_init(&rec, event, AUDIT_SINGLE, outcome);
	auditrec_text(&rec, AUDIT_ATTR_NODE, v->name);
	auditrec_num(&rec, AUDIT_ATTR_EXPIRY, v->expiry_s);
	if (key != NULL) {
		identity_text(key, text);
		auditrec_text(&rec, AUDIT_ATTR_KEY, text);
	}
	if (address != NULL && address[0] != '\0')
		auditrec_text(&rec, AUDIT_ATTR_ADDRESS, address);
	if (reason != NULL)
		auditrec_text(&rec, AUDIT_ATTR_REASON, reason);
	return attestd_record(&rec, done, arg);
}

static void
expire(void)
{
	struct invite *v;
	bool any = false;

	for (v = invites; v < invites + invite_count; v++) {
		if (v->state > INVITE_IS_WAITING || v->busy ||
		    v->expiry_s > attestd_now())
			continue;
		v->state = INVITE_IS_EXPIRED;
		any = true;
		log_info("the invite for %s has expired", v->name);
		(void)record(AUDIT_INVITE_CLOSED, AUDIT_OK, v, NULL, NULL,
		    "expired", NULL, NULL);
	}
	if (any)
		(void)save();
}

/* The node-add that this invite led to, if it is there. */
static const struct registry_node *
added(const struct invite *v)
{
	const struct registry_node *n =
	    registry_node(attestd.registry, v->name);

	return n != NULL && !n->revoked &&
		memcmp(n->identity, v->identity, 32) == 0 &&
		memcmp(n->sealing, v->sealing, 32) == 0 ?
	    n :
	    NULL;
}

/* Other authorities have yet to sign what ours has. */
static bool
is_proposed(const struct invite *v)
{
	uint32_t have, need;

	return v->proposal[0] != '\0' &&
	    registry_signed(attestd.registry, v->proposal, strlen(v->proposal),
		&have, &need, NULL) == NULL;
}

/* The permit has gone with the keyd that had it. */
static void
close_lost(struct invite *v)
{
	const char *why = v->proposal[0] != '\0' ?
	    "the registry has moved on since it was signed" :
	    "the node was restarted";

	v->state = INVITE_IS_VOID;
	(void)save();
	log_warnx("the invite for %s is void: %s; invite again", v->name, why);
	(void)record(AUDIT_INVITE_CLOSED, AUDIT_FAILED, v,
	    v->has_keys ? v->identity : NULL, NULL, why, NULL, NULL);
}

static void
on_permit_shown(struct chan *c, struct msg *m, void *arg)
{
	struct msg_PERMIT_SHOWN shown;
	struct invite *v = arg;

	(void)c;
	if (m == NULL || m->type == MSG_REFUSED)
		return;
	if (!msg_get_PERMIT_SHOWN(&m->body, &shown))
		fatalx("malformed PERMIT_SHOWN");
	if (shown.there == 0 && takes_joiners(v) && !is_proposed(v) &&
	    !v->busy && added(v) == NULL)
		close_lost(v);
}

/* After a start: is what the file says still so? */
static void
ask_for_permits(struct chan *keyd)
{
	struct msg_PERMIT_SHOW want = { 0 };
	struct invite *v;

	for (v = invites; v < invites + invite_count; v++) {
		if (!takes_joiners(v) || added(v) != NULL)
			continue;
		memcpy(want.name, v->name, sizeof(want.name));
		(void)chan_send_PERMIT_SHOW(keyd,
		    chan_ask(keyd, MSG_PERMIT_SHOW, on_permit_shown, v), -1,
		    &want);
	}
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval every = { LOOK_S, 0 };

	(void)fd;
	(void)what;
	(void)arg;
	expire();
	if (invite_any_open())
		(void)evtimer_add(look, &every);
}

const char *
invite_load(int dirfd)
{
	int n = invite_file_load(dirfd, invites, INVITES_MAX);

	if (n < 0)
		return n == -EBADMSG ?
		    "invites.ndjson in the registry's folder is damaged; "
		    "remove it, and invite again" :
		    "invites.ndjson in the registry's folder cannot be read";
	invite_dir = dirfd;
	invite_count = (unsigned int)n;
	if (look == NULL)
		look = evtimer_new(child_base(), on_look, NULL);
	if (look == NULL)
		fatalx("out of memory");
	on_look(-1, 0, NULL);
	if (child_peer(PROC_KEYD) != NULL)
		ask_for_permits(child_peer(PROC_KEYD));
	return NULL;
}

bool
invite_any_open(void)
{
	unsigned int i;

	for (i = 0; i < invite_count; i++)
		if (takes_joiners(&invites[i]))
			return true;
	return false;
}

bool
invite_is_open(const char *name)
{
	unsigned int i;

	for (i = 0; i < invite_count; i++)
		if (takes_joiners(&invites[i]) &&
		    strcmp(invites[i].name, name) == 0)
			return true;
	return false;
}

/* Answers. */

static struct asker *
asker_new(struct chan *c, const struct msg *m, struct invite *v)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (a == NULL)
		fatalx("out of memory");
	a->invite = v;
	a->request = m->id;
	a->session = child_session(c);
	a->chan = child_serial(c);
	return a;
}

static void
answer_joiner(struct chan *c, uint32_t request, uint8_t status, uint64_t seq,
    const char *text)
{
	struct msg_JOIN_ANSWER done = { .status = status, .seq = seq };

	snprintf(done.text, sizeof(done.text), "%s", text);
	if (c != NULL)
		(void)chan_send_JOIN_ANSWER(c, request, -1, &done);
}

/* To whoever asked, if he is still there; ends the asker. */
static void
answer(struct asker *a, uint8_t status, uint64_t seq, const char *text)
{
	struct msg_INVITE_ANSWERED done = { 0 };
	struct chan *c = child_with(a->chan);
	struct msg m = { .id = a->request };

	a->invite->busy = false;
	if (a->session != 0)
		answer_joiner(sessions_chan(a->session), a->request, status,
		    seq, text);
	else if (c == NULL)
		log_warnx("whoever answered for %s has gone", a->invite->name);
	else if (status == REFUSED)
		chan_refuse(c, &m, EPERM, false, "%s", text);
	else
		(void)chan_send_INVITE_ANSWERED(c, a->request, -1, &done);
	free(a);
}

/* Adding. */

static void
on_joined(struct asker *a, const struct registry_node *n)
{
	struct invite *v = a->invite;
	char words[TICKET_WORDS_SIZE];

	ticket_words(attestd.genesis, v->identity, words);
	log_info("%s has joined, update %" PRIu64 ": %s", v->name, n->added_seq,
	    words);
	if (v->proposal[0] != '\0') {
		v->proposal[0] = '\0';
		(void)save();
	}
	answer(a, ADDED, n->added_seq, "");
}

static void
on_update(const struct chain_result *result, void *arg)
{
	struct asker *a = arg;
	struct invite *v = a->invite;
	const struct registry_node *n = added(v);
	char text[128];

	if (n != NULL) {
		on_joined(a, n);
	} else if (result->why == NULL) {
		if (result->len < sizeof(v->proposal))
			memcpy(v->proposal, result->line, result->len + 1);
		(void)save();
		snprintf(text, sizeof(text),
		    "%" PRIu32 " of %" PRIu32 " authorities have signed; the "
		    "others are asked by the operator",
		    result->have, result->need);
		log_info("%s waits to be added: %s", v->name, text);
		answer(a, WAITS, 0, text);
	} else if (result->code == EPERM) {
		close_lost(v);
		answer(a, REFUSED, 0, VOID);
	} else {
		log_warnx("%s was not added: %s", v->name, result->why);
		answer(a, result->code == EAGAIN ? WAITS : REFUSED, 0,
		    result->why);
	}
}

static void
add(struct asker *a)
{
	static struct registry_update u;
	struct invite *v = a->invite;
	const struct registry_node *n = added(v);
	size_t i;

	if (n != NULL) {
		on_joined(a, n);
		return;
	}
	memset(&u, 0, sizeof(u));
	u.op = REGISTRY_NODE_ADD;
	snprintf(u.node.name, sizeof(u.node.name), "%s", v->name);
	memcpy(u.node.identity, v->identity, sizeof(u.node.identity));
	memcpy(u.node.sealing, v->sealing, sizeof(u.node.sealing));
	u.node.has_next = !is_zero(v->next_hash);
	memcpy(u.node.next, v->next_hash, sizeof(u.node.next));
	u.node.capabilities = v->capabilities;
	u.node.addresses = (uint32_t)v->at.n;
	for (i = 0; i < v->at.n; i++)
		snprintf(u.node.address[i], sizeof(u.node.address[i]), "%s",
		    v->at.text[i]);
	chain_update(&u, on_update, a);
}

/* No record, no action. */
static void
on_use_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct asker *a = arg;

	(void)c;
	if (m == NULL || m->type == MSG_REFUSED)
		answer(a, WAITS, 0, "the inviter cannot record it now");
	else {
		a->invite->recorded = true;
		add(a);
	}
}

static void
use(struct asker *a, const char *address)
{
	struct invite *v = a->invite;

	v->busy = true;
	/* Who asks again and again has one record, not one each time. */
	if (v->recorded)
		add(a);
	else if (!record(AUDIT_INVITE_CLOSED, AUDIT_OK, v, v->identity, address,
		     "used", on_use_recorded, a))
		on_use_recorded(NULL, NULL, a);
}

/* A joiner asks. */

static struct invite *
invite_of(const uint8_t ticket[32])
{
	unsigned int i;

	for (i = 0; i < invite_count; i++)
		if (memcmp(invites[i].ticket, ticket, 32) == 0)
			return &invites[i];
	return NULL;
}

static bool
same_keys(const struct invite *v, const struct join *j)
{
	return memcmp(v->identity, j->identity, 32) == 0 &&
	    memcmp(v->sealing, j->sealing, 32) == 0 &&
	    memcmp(v->next_hash, j->next_hash, 32) == 0;
}

/*
 * Whether this session's peer made this request, with the ticket of an invite
 * and for its name. NULL, or why not.
 */
static const char *
authentic(const struct msg_JOIN_ASK *ask, const struct evidence *leaf,
    const uint8_t *sig, struct join *j, struct invite **v)
{
	struct join_binding b;
	const char *why = NULL;

	switch (join_get(ask->join, ask->join_len, j)) {
	case 0:
		break;
	case -EADDRNOTAVAIL:
		return "the request has an address that nobody could dial: "
		       "they are numeric, of one machine each, and no two "
		       "the same";
	default:
		return "the request is malformed, or of a newer version";
	}
	if (strcmp(leaf->name, j->name) != 0 ||
	    evidence_verify_sig(leaf, sig, j->identity) != 0)
		return "the session is not under the key and the name that "
		       "the request is for";
	*v = invite_of(j->ticket);
	if (*v == NULL)
		return "there is no invite with that ticket";
	memcpy(b.exporter, ask->exporter, sizeof(b.exporter));
	memcpy(b.genesis, attestd.genesis, sizeof(b.genesis));
	memcpy(b.client_leaf, ask->peer_leaf, sizeof(b.client_leaf));
	memcpy(b.server_leaf, ask->own_leaf, sizeof(b.server_leaf));
	(void)join_verify(j, &b, (*v)->name, (*v)->ticket, &why);
	return why;
}

static const char *
admissible(const struct invite *v, const struct join *j)
{
	if (v->state == INVITE_IS_CLOSED)
		return "the invite was withdrawn";
	if (v->state == INVITE_IS_VOID)
		return VOID;
	if (!is_zero(v->pinned) && memcmp(v->pinned, j->identity, 32) != 0)
		return "the invite is for another key";
	if (v->has_keys && !same_keys(v, j))
		return "the ticket was used with other keys";
	if (v->state == INVITE_IS_EXPIRED ||
	    (!v->has_keys && v->expiry_s <= attestd_now()))
		return "the invite has expired";
	return NULL;
}

static void
refuse(struct chan *c, const struct msg *m, struct invite *v,
    const struct evidence *leaf, const struct join *j, const char *address,
    const char *why)
{
	static struct auditrec rec;
	char key[IDENTITY_TEXT_SIZE];
	bool reuse = v != NULL && v->has_keys && !same_keys(v, j);

	if (reuse && v->reuses < REUSES_SINGLY)
		v->reuses++;
	else if (reuse && !refusals_singly(address))
		goto out;
	if (reuse) {
		log_warnx("the ticket for %s, which was used, came again with "
			  "other keys from %s: whoever has it is not who "
			  "joined; if in doubt, revoke %s",
		    v->name, address, v->name);
		(void)record(AUDIT_TICKET_REUSE, AUDIT_DENIED, v, j->identity,
		    address, why, NULL, NULL);
	} else if (refusals_singly(address)) {
		log_warnx("%s, as %s, did not join: %s", address, leaf->name,
		    why);
		auditrec_init(&rec, AUDIT_PEER_REFUSED, AUDIT_SINGLE,
		    AUDIT_DENIED);
		auditrec_text(&rec, AUDIT_ATTR_PEER, leaf->name);
		auditrec_text(&rec, AUDIT_ATTR_ADDRESS, address);
		auditrec_text(&rec, AUDIT_ATTR_PURPOSE, "join");
		auditrec_text(&rec, AUDIT_ATTR_REASON, why);
		if (v != NULL) {
			identity_text(j->identity, key);
			auditrec_text(&rec, AUDIT_ATTR_KEY, key);
		}
		(void)attestd_record(&rec, NULL, NULL);
	}
out:
	answer_joiner(c, m->id, REFUSED, 0, why);
}

/* The first to come; durable before anything follows from it. */
static bool
claim(struct invite *v, const struct join *j)
{
	memcpy(v->identity, j->identity, sizeof(v->identity));
	memcpy(v->sealing, j->sealing, sizeof(v->sealing));
	memcpy(v->next_hash, j->next_hash, sizeof(v->next_hash));
	v->at = j->at;
	v->has_keys = true;
	v->state = v->confirm ? INVITE_IS_WAITING : INVITE_IS_USED;
	if (save())
		return true;
	/* What is on the disk decides after a crash: either will do. */
	v->has_keys = false;
	v->state = INVITE_IS_OPEN;
	return false;
}

static void
announce_waiting(const struct invite *v, const char *address)
{
	char words[TICKET_WORDS_SIZE], at[NETADDR_LIST_SIZE];

	ticket_words(attestd.genesis, v->identity, words);
	netaddr_list_text(&v->at, at);
	log_info("%s at %s asks to join and waits for an operator's yes: %s; "
		 "to be reached at %s",
	    v->name, address, words, v->at.n > 0 ? at : "no address");
}

void
invite_on_join(struct chan *c, struct msg *m)
{
	static struct join j;
	const struct evidence *leaf;
	const uint8_t *sig = NULL;
	const char *address = "", *why;
	struct invite *v = NULL;
	struct msg_JOIN_ASK ask;
	bool first;

	if (!msg_get_JOIN_ASK(&m->body, &ask))
		fatalx("malformed JOIN_ASK");
	leaf = sessions_joiner(c, &sig, &address);
	if (leaf == NULL) {
		chan_refuse(c, m, ENOENT, true, "the session is not known");
		return;
	}
	expire();
	memset(&j, 0, sizeof(j));
	why = authentic(&ask, leaf, sig, &j, &v);
	if (why == NULL)
		why = admissible(v, &j);
	if (why != NULL) {
		refuse(c, m, v, leaf, &j, address, why);
		return;
	}
	first = !v->has_keys;
	if (v->busy || (first && !claim(v, &j))) {
		answer_joiner(c, m->id, WAITS, 0,
		    v->busy ? "it is being added" :
			      "the inviter cannot write it down now");
		return;
	}
	if (v->state == INVITE_IS_WAITING) {
		if (first)
			announce_waiting(v, address);
		answer_joiner(c, m->id, WAITS, 0,
		    "an operator at the inviter has to say yes");
		return;
	}
	if (added(v) != NULL)
		answer_joiner(c, m->id, ADDED, added(v)->added_seq, "");
	else if (is_proposed(v))
		answer_joiner(c, m->id, WAITS, 0,
		    "other authorities have yet to sign");
	else
		use(asker_new(c, m, v), address);
}

/* Operators. */

/*
 * Who was added by an invite before this process began may not know it yet,
 * and keyd has no leaf for him any more: the same name may be invited again,
 * for his keys alone.
 */
static const struct invite *
added_before(const char *name)
{
	const struct invite *v;

	for (v = invites; v < invites + invite_count; v++)
		if (strcmp(v->name, name) == 0 && v->has_keys && !v->recorded &&
		    v->state == INVITE_IS_USED && takes_joiners(v) &&
		    added(v) != NULL)
			return v;
	return NULL;
}

static const char *
draft_refused(const struct msg_INVITE_OPEN *want)
{
	const struct registry_node *n =
	    registry_node(attestd.registry, want->name);
	uint64_t now = attestd_now();

	if (!regupdate_name_ok(want->name))
		return "that is no name of a node";
	if (n != NULL && !n->revoked && added_before(want->name) == NULL)
		return "the registry has a node of that name; revoke it first";
	if (strcmp(want->name, attestd.node) == 0)
		return "that is this node itself";
	if (want->expiry <= now || want->expiry > now + EXPIRY_MAX_S)
		return "an invite lasts up to a day";
	if (is_zero(want->ticket) || invite_of(want->ticket) != NULL)
		return "that ticket is not a new one";
	return NULL;
}

/*
 * A free place, or that of one which is over; if there is none, that of the
 * one whose node was added first: it only answers the same keys again. NULL:
 * all wait for somebody.
 */
static struct invite *
free_place(void)
{
	struct invite *v, *oldest = NULL;

	if (invite_count < INVITES_MAX)
		return &invites[invite_count++];
	for (v = invites; v < invites + invite_count; v++) {
		if (v->busy)
			continue;
		if (!takes_joiners(v))
			return v;
		if (added(v) != NULL &&
		    (oldest == NULL ||
			added(v)->added_seq < added(oldest)->added_seq))
			oldest = v;
	}
	return oldest;
}

/* A name has one invite: a new one takes the place of what was not used. */
static const char *
withdraw_others(const char *name)
{
	struct invite *v;

	for (v = invites; v < invites + invite_count; v++) {
		if (!takes_joiners(v) || strcmp(v->name, name) != 0)
			continue;
		if (v->busy)
			return "somebody is joining under that name just now";
		v->state = INVITE_IS_CLOSED;
		(void)record(AUDIT_INVITE_CLOSED, AUDIT_OK, v, NULL, NULL,
		    "another one was opened", NULL, NULL);
	}
	return NULL;
}

static void
on_opened(struct chan *c, struct msg *m, void *arg)
{
	static const struct timeval every = { LOOK_S, 0 };
	struct msg_INVITE_OPENED done = { 0 };
	struct asker *a = arg;
	struct msg request = { .id = a->request };
	const char *why = NULL;
	struct invite *v;

	if (m == NULL || m->type == MSG_REFUSED)
		why = "it could not be recorded";
	if (why == NULL)
		why = withdraw_others(a->draft.name);
	v = why == NULL ? free_place() : NULL;
	if (why == NULL && v == NULL)
		why = "as many invites as there can be are open; close one, "
		      "or wait until one is used or expires";
	if (v != NULL) {
		*v = a->draft;
		if (!save()) {
			v->state = INVITE_IS_CLOSED;
			why = "it could not be written down";
		}
		(void)evtimer_add(look, &every);
	}
	c = child_with(a->chan);
	if (c == NULL) {
		log_warnx("whoever invited %s has gone", a->draft.name);
		if (v != NULL)
			v->state = INVITE_IS_CLOSED;
	} else if (why != NULL)
		chan_refuse(c, &request, EAGAIN, true, "%s", why);
	else
		(void)chan_send_INVITE_OPENED(c, a->request, -1, &done);
	free(a);
}

void
invite_on_open(struct chan *c, struct msg *m)
{
	struct msg_INVITE_OPEN want;
	const struct invite *before;
	struct asker *a;
	const char *why;

	if (!msg_get_INVITE_OPEN(&m->body, &want))
		fatalx("malformed INVITE_OPEN");
	expire();
	why = draft_refused(&want);
	if (why != NULL) {
		chan_refuse(c, m, EINVAL, false, "%s", why);
		return;
	}
	a = asker_new(c, m, NULL);
	snprintf(a->draft.name, sizeof(a->draft.name), "%s", want.name);
	memcpy(a->draft.ticket, want.ticket, sizeof(a->draft.ticket));
	memcpy(a->draft.pinned, want.pinned, sizeof(a->draft.pinned));
	a->draft.capabilities = want.capabilities;
	a->draft.expiry_s = want.expiry;
	a->draft.confirm = want.confirm != 0;
	before = added_before(want.name);
	if (before != NULL) {
		a->draft = *before;
		memcpy(a->draft.ticket, want.ticket, sizeof(a->draft.ticket));
		memcpy(a->draft.pinned, before->identity, 32);
		a->draft.expiry_s = want.expiry;
	}
	if (!record(AUDIT_INVITE_OPENED, AUDIT_OK, &a->draft,
		is_zero(a->draft.pinned) ? NULL : a->draft.pinned, NULL, NULL,
		on_opened, a))
		on_opened(NULL, NULL, a);
}

void
invite_on_show(struct chan *c, struct msg *m)
{
	struct msg_INVITE done = { .count = invite_count };
	struct msg_INVITE_SHOW want;
	const struct invite *v;

	if (!msg_get_INVITE_SHOW(&m->body, &want))
		fatalx("malformed INVITE_SHOW");
	expire();
	if (want.index < invite_count) {
		v = &invites[want.index];
		snprintf(done.name, sizeof(done.name), "%s", v->name);
		done.expiry = v->expiry_s;
		done.state = (uint8_t)v->state;
		done.added = v->has_keys && added(v) != NULL;
		if (v->has_keys) {
			memcpy(done.identity, v->identity,
			    sizeof(done.identity));
			ticket_words(attestd.genesis, v->identity, done.words);
			netaddr_list_text(&v->at, done.addresses);
		}
		done.proposal = (const uint8_t *)v->proposal;
		done.proposal_len = (uint16_t)strlen(v->proposal);
	}
	(void)chan_send_INVITE(c, m->id, -1, &done);
}

/* The one under that name which an operator can decide on. */
static struct invite *
to_decide(const char *name)
{
	struct invite *v;

	for (v = invites; v < invites + invite_count; v++)
		if (strcmp(v->name, name) == 0 &&
		    (v->state <= INVITE_IS_WAITING ||
			(v->state == INVITE_IS_USED && added(v) == NULL)))
			return v;
	return NULL;
}

static void
withdraw(struct chan *c, struct msg *m, struct invite *v)
{
	struct msg_INVITE_ANSWERED done = { 0 };

	v->state = INVITE_IS_CLOSED;
	if (!save()) {
		chan_refuse(c, m, EIO, true, "it cannot be written down");
		return;
	}
	(void)record(AUDIT_INVITE_CLOSED, AUDIT_DENIED, v,
	    v->has_keys ? v->identity : NULL, NULL, "withdrawn", NULL, NULL);
	(void)chan_send_INVITE_ANSWERED(c, m->id, -1, &done);
}

void
invite_on_answer(struct chan *c, struct msg *m)
{
	struct msg_INVITE_ANSWER want;
	struct invite *v;

	if (!msg_get_INVITE_ANSWER(&m->body, &want))
		fatalx("malformed INVITE_ANSWER");
	expire();
	v = to_decide(want.name);
	if (v == NULL || (want.yes != 0 && !v->has_keys)) {
		chan_refuse(c, m, ENOENT, false,
		    v == NULL ? "there is no open invite for %s" :
				"nobody has come with the ticket for %s yet",
		    want.name);
		return;
	}
	if (v->busy) {
		chan_refuse(c, m, EAGAIN, true, "%s is being added", want.name);
		return;
	}
	if (want.yes == 0) {
		withdraw(c, m, v);
		return;
	}
	if (is_proposed(v)) {
		chan_refuse(c, m, EAGAIN, true,
		    "this node has said yes; other authorities have yet to "
		    "sign");
		return;
	}
	v->state = INVITE_IS_USED;
	if (!save()) {
		v->state = INVITE_IS_WAITING;
		chan_refuse(c, m, EIO, true, "it cannot be written down");
		return;
	}
	use(asker_new(c, m, v), NULL);
}
