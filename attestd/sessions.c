/* SPDX-License-Identifier: ISC */
/*
 * sessions.c - challenges and verdicts, one session each.
 *
 * A broker, meshd or sftd, opens a session before a connection is handed to its
 * worker: in which role, for what, to whom; and gets the challenge. The worker
 * brings the peer's leaf on its own channel. The verdict leaves when its record
 * is on the disk; keyd hears who the peer is, so that leaves are made for it
 * alone, and the broker hears it from here and not from the worker.
 */
#include <sys/queue.h>

#include <openssl/rand.h>

#include <errno.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attestd/attestd.h"
#include "attestd/joining.h"
#include "attestd/judge.h"
#include "attestd/visits.h"
#include "common/atls.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/sftframe.h"

#define SESSIONS_MAX 1024
/* linkd takes half a second for its last words, and a second for ours. */
#define OVER_S 5
#define REMEMBERED 64 /* refusals, for claw node:why */
#define PULLS_PER_SECOND 20
/* A session proves itself hourly and when the registry moves; linkd keeps to
 * nine an hour. */
#define AGAIN_MAX 32
#define AGAIN_S 3600
/* The streams of a transfer are attested side by side. */
#define AT_ONCE SFT_STREAMS_MAX

struct challenge {
	bool open; /* not answered yet */
	uint8_t nonce[32];
	uint64_t since_s;
};

/* One that waits for its record, which frees it. */
struct verdict {
	TAILQ_ENTRY(verdict) entry;
	struct session *session; /* NULL: it has ended meanwhile */
	uint32_t request;
	struct judgement j;
};

struct session {
	TAILQ_ENTRY(session) entry;
	uint32_t id;
	struct chan *chan; /* of its worker; NULL: not yet, or no more */
	bool open;	   /* its broker has told what it is */
	enum proc broker;
	uint8_t role, purpose;
	uint8_t agreed; /* what the peer's leaf was for, when it was let in */
	char dialled[EVIDENCE_NAME_SIZE]; /* or of an old link */
	char address[64];
	uint64_t began; /* witness_now() */
	struct challenge challenge[AT_ONCE];
	bool attested;
	unsigned int again; /* challenges since it was, within the hour */
	uint64_t again_s;   /* which began then */
	bool over;	    /* refused, or ended: its worker is to end */
	bool unproven;	    /* its lines are taken, and nothing else */
	char peer[EVIDENCE_NAME_SIZE];
	uint8_t key[32];
	uint8_t spki[EVIDENCE_SPKI_LEN];
	TAILQ_HEAD(, verdict) verdicts;
	unsigned int judged;	/* of them */
	struct verdict *joiner; /* let in to say JOIN; in no list */
	struct event *overdue;	/* a worker that goes on nevertheless */
};

static struct {
	TAILQ_HEAD(, session) all;
	unsigned int count;
	struct {
		char peer[EVIDENCE_NAME_SIZE];
		char why[JUDGE_REASON_MAX];
		uint64_t at_ms;
	} refused[REMEMBERED];
	unsigned int next_refused;
	unsigned int pulls; /* wanted in that second */
	uint64_t pulls_s;
} my = { .all = TAILQ_HEAD_INITIALIZER(my.all) };

static struct session *
find(uint32_t id)
{
	struct session *s;

	TAILQ_FOREACH(s, &my.all, entry)
		if (s->id == id)
			return s;
	return NULL;
}

/* meshd's word and the worker's channel may come in either order. */
static struct session *
find_or_make(uint32_t id)
{
	struct session *s = find(id);

	if (s != NULL || my.count >= SESSIONS_MAX)
		return s;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->id = id;
	TAILQ_INIT(&s->verdicts);
	my.count++;
	TAILQ_INSERT_TAIL(&my.all, s, entry);
	return s;
}

static void
count_attested(void)
{
	struct session *s;
	uint64_t n = 0;

	TAILQ_FOREACH(s, &my.all, entry)
		n += s->attested ? 1 : 0;
	counter_set(COUNTER_SESSIONS, n);
}

static void
end(struct session *s)
{
	struct verdict *v;

	TAILQ_REMOVE(&my.all, s, entry);
	my.count--;
	if (s->overdue != NULL)
		event_free(s->overdue);
	TAILQ_FOREACH(v, &s->verdicts, entry)
		v->session = NULL;
	free(s->joiner);
	free(s);
	count_attested();
}

void
sessions_worker(struct chan *c, bool up)
{
	struct session *s =
	    up ? find_or_make(child_session(c)) : find(child_session(c));

	if (s == NULL)
		return;
	if (up)
		s->chan = c;
	else if (s->chan == c)
		end(s);
}

void
sessions_broker_gone(enum proc broker)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&my.all); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->chan == NULL && s->broker == broker)
			end(s);
	}
}

/*
 * How many handshakes of a session may be under way. More than one only a
 * transfer has, once it is settled who its peer is.
 */
static unsigned int
at_once(const struct session *s)
{
	return s->broker == PROC_SFTD &&
		(s->attested || s->dialled[0] != '\0') ?
	    AT_ONCE :
	    1;
}

/* A fresh challenge, in the place of the oldest where there is no other. */
static const uint8_t *
challenge(struct session *s)
{
	struct challenge *c = &s->challenge[0];
	unsigned int i, n = at_once(s);

	for (i = 1; i < n && c->open; i++)
		if (!s->challenge[i].open ||
		    s->challenge[i].since_s < c->since_s)
			c = &s->challenge[i];
	if (RAND_bytes(c->nonce, sizeof(c->nonce)) != 1)
		fatalx("no random numbers");
	c->open = true;
	c->since_s = attestd_boot();
	return c->nonce;
}

/*
 * The challenge that this leaf answers, once: whatever comes of it, it is open
 * no more. Where none fits that is any other of ours; NULL: none is open. Which
 * it is the leaf says, and judge() compares.
 */
static const uint8_t *
take_challenge(struct session *s, const struct msg_JUDGE *m)
{
	uint8_t sig[EVIDENCE_SIG_LEN];
	struct challenge *c, *found = NULL;
	struct evidence ev;
	bool readable = evidence_parse(m->leaf, m->leaf_len, &ev, sig) == 0;

	for (c = s->challenge; c < s->challenge + AT_ONCE; c++) {
		if (!c->open || attestd_boot() - c->since_s > JUDGE_NONCE_S)
			continue;
		found = c;
		if (readable && memcmp(c->nonce, ev.verifier_nonce, 32) == 0)
			break;
	}
	if (found == NULL)
		return NULL;
	found->open = false;
	return found->nonce;
}

void
sessions_on_open(struct chan *c, struct msg *m)
{
	struct msg_SESSION_OPENED done = { 0 };
	struct msg_SESSION_OPEN want;
	struct session *s;

	if (!msg_get_SESSION_OPEN(&m->body, &want))
		fatalx("malformed SESSION_OPEN");
	if (want.session == 0 ||
	    (want.role != EVIDENCE_CLIENT && want.role != EVIDENCE_SERVER)) {
		child_violation(c, m, "neither client nor server");
		return;
	}
	s = find_or_make(want.session);
	if (s == NULL || s->open) {
		chan_refuse(c, m, s == NULL ? EAGAIN : EEXIST, s == NULL,
		    s == NULL ? "too many sessions" : "that session is open");
		return;
	}
	s->open = true;
	s->broker = chan_peer(c);
	s->role = want.role;
	s->purpose = want.purpose;
	s->began = witness_now();
	snprintf(s->dialled, sizeof(s->dialled), "%s", want.peer);
	snprintf(s->address, sizeof(s->address), "%s", want.address);
	memcpy(done.nonce, challenge(s), sizeof(done.nonce));
	done.joins = s->role == EVIDENCE_SERVER && invite_any_open();
	(void)chan_send_SESSION_OPENED(c, m->id, -1, &done);
}

void
sessions_on_closed(struct chan *c, struct msg *m)
{
	struct msg_SESSION_CLOSED closed;
	struct session *s;

	(void)c;
	if (!msg_get_SESSION_CLOSED(&m->body, &closed))
		fatalx("malformed SESSION_CLOSED");
	s = find(closed.session);
	/* With a worker, the end of its channel is the end of it. */
	if (s != NULL && s->chan == NULL)
		end(s);
}

/* Each time that a peer proves itself again is a record, too. */
static bool
too_often(struct session *s)
{
	uint64_t now = attestd_boot();

	if (!s->attested)
		return false;
	if (s->again == 0 || now - s->again_s >= AGAIN_S) {
		s->again = 0;
		s->again_s = now;
	}
	return ++s->again > AGAIN_MAX;
}

void
sessions_on_renonce(struct chan *c, struct msg *m)
{
	struct session *s = find(child_session(c));
	struct msg_NONCE done;

	if (s == NULL || !s->open || s->over) {
		chan_refuse(c, m, ENOENT, s == NULL || !s->over,
		    "that session is not open");
		return;
	}
	if (too_often(s)) {
		chan_refuse(c, m, EAGAIN, true,
		    "it has been attested often enough for this hour");
		return;
	}
	memcpy(done.nonce, challenge(s), sizeof(done.nonce));
	(void)chan_send_NONCE(c, m->id, -1, &done);
}

/* Records. */

static void
remember(const char *peer, const char *why)
{
	struct timespec now;

	if (peer[0] == '\0')
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(my.refused[my.next_refused].peer, sizeof(my.refused[0].peer),
	    "%s", peer);
	snprintf(my.refused[my.next_refused].why, sizeof(my.refused[0].why),
	    "%s", why);
	my.refused[my.next_refused].at_ms =
	    (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	my.next_refused = (my.next_refused + 1) % REMEMBERED;
}

const char *
sessions_last_refusal(const char *peer, uint64_t *at_ms)
{
	unsigned int i, k;

	for (i = 1; i <= REMEMBERED; i++) {
		k = (my.next_refused + REMEMBERED - i) % REMEMBERED;
		if (strcmp(my.refused[k].peer, peer) == 0) {
			*at_ms = my.refused[k].at_ms;
			return my.refused[k].why;
		}
	}
	return NULL;
}

static void
describe(struct auditrec *rec, const struct session *s, uint8_t purpose)
{
	if (s->id != 0)
		auditrec_num(rec, AUDIT_ATTR_SESSION, s->id);
	if (s->address[0] != '\0')
		auditrec_text(rec, AUDIT_ATTR_ADDRESS, s->address);
	auditrec_text(rec, AUDIT_ATTR_ROLE, evidence_role_name(s->role));
	if (purpose != 0)
		auditrec_text(rec, AUDIT_ATTR_PURPOSE,
		    evidence_purpose_name(purpose));
}

static void
describe_key(struct auditrec *rec, const uint8_t key[32])
{
	char text[IDENTITY_TEXT_SIZE];

	identity_text(key, text);
	auditrec_text(rec, AUDIT_ATTR_KEY, text);
}

/* A refusal, by us or of us; false: it is only counted, or cannot be. */
static bool
record_refusal(const struct session *s, uint8_t purpose, const char *peer,
    const char *why, chan_done *done, void *arg)
{
	static struct auditrec rec;

	counter_add(COUNTER_NOT_ATTESTED, 1);
	remember(peer[0] != '\0' ? peer : s->dialled, why);
	/* Whom we dialled is nobody's choice but ours. */
	if (s->role == EVIDENCE_SERVER && !refusals_singly(s->address))
		return false;
	log_warnx("%s%s%s refused: %s", s->address,
	    peer[0] != '\0' ? ", as " : "", peer, why);
	auditrec_init(&rec, AUDIT_PEER_REFUSED, AUDIT_SINGLE, AUDIT_DENIED);
	if (peer[0] != '\0' || s->dialled[0] != '\0')
		auditrec_text(&rec, AUDIT_ATTR_PEER,
		    peer[0] != '\0' ? peer : s->dialled);
	describe(&rec, s, purpose);
	auditrec_text(&rec, AUDIT_ATTR_REASON, why);
	return attestd_record(&rec, done, arg);
}

void
sessions_on_stranger(struct chan *c, struct msg *m)
{
	static const char *const how[] = { "peer said nothing",
		"peer speaks no TLS", "its route leads nowhere" };
	struct session s = { .role = EVIDENCE_SERVER };
	struct msg_STRANGER who;

	(void)c;
	if (!msg_get_STRANGER(&m->body, &who))
		fatalx("malformed STRANGER");
	snprintf(s.address, sizeof(s.address), "%s", who.address);
	(void)record_refusal(&s, 0, "",
	    who.how < sizeof(how) / sizeof(how[0]) ? how[who.how] :
						     "it is a stranger",
	    NULL, NULL);
}

/* Verdicts. */

static void
on_overdue(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct msg m = { .type = MSG_SESSION_END };

	(void)fd;
	(void)what;
	/* Its end ends the session. */
	if (s->chan != NULL)
		child_violation(s->chan, &m, "goes on after its end");
}

/* Nothing more is judged in it, and its worker ends or is ended. */
static void
over(struct session *s)
{
	static const struct timeval within = { OVER_S, 0 };

	s->over = true;
	s->attested = false;
	if (s->overdue == NULL &&
	    (s->overdue = evtimer_new(child_base(), on_overdue, s)) == NULL)
		fatalx("libevent has no timer for us");
	if (!evtimer_pending(s->overdue, NULL))
		(void)evtimer_add(s->overdue, &within);
	count_attested();
}

static void
send_verdict(struct verdict *verdict)
{
	struct session *s = verdict->session;
	struct judgement *j = &verdict->j;
	uint8_t theirs[2048];
	struct msg_VERDICT v = { .alert = j->alert,
		.capabilities = j->capabilities,
		.until = j->until_s,
		.seq = registry_seq(attestd.registry) };

	memcpy(v.head, registry_head(attestd.registry), sizeof(v.head));
	registry_turns(attestd.registry, v.turns);
	snprintf(v.peer, sizeof(v.peer), "%s", j->peer);
	snprintf(v.reason, sizeof(v.reason), "%s", j->reason);
	if (j->alert == ATLS_ACCEPT && s->attested && !s->unproven) {
		v.checkpoint_len = (uint16_t)witness_own(&v.checkpoint);
		v.theirs_len = (uint16_t)witness_of(s->peer, theirs);
		v.theirs = theirs;
	}
	if (s->chan != NULL)
		(void)chan_send_VERDICT(s->chan, verdict->request, -1, &v);
	TAILQ_REMOVE(&s->verdicts, verdict, entry);
	s->judged--;
	if (j->alert == ATLS_ACCEPT && j->ev.purpose == EVIDENCE_JOIN) {
		s->joiner = verdict; /* the JOIN itself is still to come */
		return;
	}
	if (j->alert != ATLS_ACCEPT)
		over(s);
	free(verdict);
}

static void
tell_broker(const struct session *s, const struct judgement *j)
{
	const struct registry_node *own =
	    registry_node(attestd.registry, attestd.node);
	struct msg_SESSION_ATTESTED attested = { .session = s->id,
		.purpose = j->ev.purpose,
		.capabilities = j->capabilities,
		.own = own == NULL || own->revoked ? 0 : own->capabilities,
		.seq = registry_seq(attestd.registry) };
	struct chan *broker = child_peer(s->broker);

	snprintf(attested.peer, sizeof(attested.peer), "%s", s->peer);
	memcpy(attested.key, s->key, sizeof(attested.key));
	memcpy(attested.head, registry_head(attestd.registry),
	    sizeof(attested.head));
	if (broker != NULL)
		(void)chan_send_SESSION_ATTESTED(broker, 0, -1, &attested);
}

/*
 * Whether the registry, as it is now, lets that go on. Who is pulled from or
 * pulls may be behind in everything but that it was revoked.
 */
static bool
stands(const char *peer, const uint8_t key[32], uint8_t purpose, uint8_t *alert,
    char *why, size_t size)
{
	enum registry_standing standing =
	    registry_standing(attestd.registry, peer, key, attestd_now());

	*alert = purpose == EVIDENCE_REGISTRY && standing != REGISTRY_REVOKED ?
	    ATLS_ACCEPT :
	    judge_standing(standing, peer, why, size);
	return *alert == ATLS_ACCEPT;
}

/* Who it is may be the session's peer now, if nothing has happened meanwhile.
 */
static void
let_in(struct session *s, struct judgement *j)
{
	/* While that was written, the peer may have been revoked. */
	if (!stands(j->peer, j->key, j->ev.purpose, &j->alert, j->reason,
		sizeof(j->reason))) {
		(void)record_refusal(s, j->ev.purpose, j->peer, j->reason, NULL,
		    NULL);
		return;
	}
	/* Or another stream's verdict has ended it. */
	if (s->over) {
		j->alert = ATLS_BAD;
		snprintf(j->reason, sizeof(j->reason), "the session has ended");
		return;
	}
	s->attested = true;
	s->unproven = j->unproven;
	memcpy(s->peer, j->peer, sizeof(s->peer));
	memcpy(s->key, j->key, sizeof(s->key));
	memcpy(s->spki, j->ev.spki, sizeof(s->spki));
	counter_add(COUNTER_ATTESTED, 1);
	count_attested();
	tell_broker(s, j);
}

static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct verdict *v = arg;
	struct judgement *j = &v->j;

	(void)c;
	if (v->session == NULL) {
		free(v);
		return;
	}
	/* No audit, no action. */
	if ((m == NULL || m->type == MSG_REFUSED) && j->alert == ATLS_ACCEPT) {
		j->alert = ATLS_BAD;
		snprintf(j->reason, sizeof(j->reason),
		    "that it was let in could not be recorded, so it was not");
	}
	if (j->alert == ATLS_ACCEPT && j->ev.purpose != EVIDENCE_JOIN)
		let_in(v->session, j);
	send_verdict(v);
}

static void
tell_keyd(const struct session *s, const struct judgement *j)
{
	struct msg_SESSION_PEER peer = { .session = s->id };
	struct chan *keyd = child_peer(PROC_KEYD);

	snprintf(peer.peer, sizeof(peer.peer), "%s", j->peer);
	if (keyd != NULL)
		(void)chan_send_SESSION_PEER(keyd, 0, -1, &peer);
}

static void
want_pull(const struct session *s, const char *peer)
{
	struct msg_PULL_WANTED want = { .session = s->id };
	struct chan *meshd = child_peer(PROC_MESHD);
	uint64_t now = attestd_boot();

	/* Strangers can have this said as often as they like. */
	if (now != my.pulls_s)
		my.pulls = 0;
	my.pulls_s = now;
	if (my.pulls++ >= PULLS_PER_SECOND)
		return;
	snprintf(want.peer, sizeof(want.peer), "%s", peer);
	if (meshd != NULL)
		(void)chan_send_PULL_WANTED(meshd, 0, -1, &want);
}

/* What else a leaf shows than who it is. */
static void
note_beside(const struct session *s, const struct judgement *j)
{
	static struct auditrec rec;

	if (j->newer)
		want_pull(s, j->peer);
	if (!j->fork && (!j->skewed || j->alert != ATLS_ACCEPT))
		return;
	auditrec_init(&rec, j->fork ? AUDIT_REGISTRY_ALARM : AUDIT_CLOCK_SKEW,
	    AUDIT_SINGLE, j->fork ? AUDIT_FAILED : AUDIT_OK);
	auditrec_text(&rec, AUDIT_ATTR_PEER, j->peer);
	if (j->fork) {
		auditrec_text(&rec, AUDIT_ATTR_REASON, j->reason);
		auditrec_num(&rec, AUDIT_ATTR_SEQ, j->ev.seq);
		auditrec_bytes(&rec, AUDIT_ATTR_HEAD, j->ev.head, 32);
	}
	(void)attestd_record(&rec, NULL, NULL);
}

static bool
record_attested(struct verdict *v)
{
	const struct session *s = v->session;
	const struct judgement *j = &v->j;
	static struct auditrec rec;

	auditrec_init(&rec,
	    j->unproven ? AUDIT_REGISTRY_ASKED : AUDIT_PEER_ATTESTED,
	    AUDIT_SINGLE, AUDIT_OK);
	auditrec_text(&rec, AUDIT_ATTR_PEER, j->peer);
	if (!j->unproven)
		describe_key(&rec, j->key);
	describe(&rec, s, j->ev.purpose);
	auditrec_num(&rec, AUDIT_ATTR_SEQ, j->ev.seq);
	return attestd_record(&rec, on_recorded, v);
}

/* What a peer makes us record by coming, it may not do without end. */
static void
bound_visits(const struct session *s, struct judgement *j)
{
	if (s->role != EVIDENCE_SERVER || s->attested ||
	    (j->alert != ATLS_ACCEPT && !j->fork) ||
	    j->ev.purpose == EVIDENCE_JOIN ||
	    visits_allow(j->peer, attestd_boot()))
		return;
	j->fork = j->newer = j->skewed = false;
	j->alert = ATLS_POLICY;
	snprintf(j->reason, sizeof(j->reason),
	    "%s comes too often: it was let in thousands of times and still "
	    "comes more than once a second; see what makes its node do that, "
	    "or revoke it",
	    j->peer);
}

static void
conclude(struct verdict *v)
{
	const struct session *s = v->session;
	struct judgement *j = &v->j;

	bound_visits(s, j);
	if (j->alert != ATLS_ACCEPT) {
		note_beside(s, j);
		if (!record_refusal(s, j->ev.purpose, j->peer, j->reason,
			on_recorded, v))
			send_verdict(v); /* which is the end of it */
		return;
	}
	if (j->ev.purpose == EVIDENCE_JOIN) {
		/* A joiner's leaf is for its inviter. */
		if (s->role == EVIDENCE_CLIENT)
			tell_keyd(s, j);
		send_verdict(v);
		return;
	}
	/* keyd first: the worker may want a leaf for this peer at once. */
	tell_keyd(s, j);
	note_beside(s, j);
	if (!record_attested(v))
		on_recorded(NULL, NULL, v);
}

/* We join: is it who invited us? */
static void
judge_inviter(struct judgement *j)
{
	const char *why = joining_refuses(&j->ev, j->sig);

	if (why == NULL)
		return;
	j->alert = ATLS_UNKNOWN;
	snprintf(j->reason, sizeof(j->reason), "%s", why);
}

/* What more than the leaf decides whether it is accepted. */
static void
judge_beside(const struct session *s, uint8_t purpose, struct judgement *j)
{
	if (s->role == EVIDENCE_CLIENT && purpose != s->purpose) {
		j->alert = ATLS_BAD;
		snprintf(j->reason, sizeof(j->reason),
		    "it was not dialled for that");
	} else if (purpose == EVIDENCE_JOIN && s->role == EVIDENCE_CLIENT)
		judge_inviter(j);
	else if (purpose == EVIDENCE_JOIN && !invite_is_open(j->peer)) {
		j->alert = ATLS_UNKNOWN;
		snprintf(j->reason, sizeof(j->reason),
		    "no invite is open for %s", j->peer);
	}
}

/* In the session's list. */
static struct verdict *
verdict_new(struct session *s, uint32_t request)
{
	struct verdict *v = calloc(1, sizeof(*v));

	if (v == NULL)
		fatalx("out of memory");
	v->session = s;
	v->request = request;
	TAILQ_INSERT_TAIL(&s->verdicts, v, entry);
	s->judged++;
	return v;
}

void
sessions_on_judge(struct chan *c, struct msg *m)
{
	struct session *s = find(child_session(c));
	struct judge_session js = { .self = attestd.node,
		.now_s = attestd_now() };
	struct verdict *v;
	struct msg_JUDGE want;

	if (!msg_get_JUDGE(&m->body, &want))
		fatalx("malformed JUDGE");
	if (s == NULL || !s->open || s->over || s->joiner != NULL) {
		chan_refuse(c, m, ENOENT, s == NULL || !s->over,
		    "that session is not open");
		return;
	}
	if ((want.purpose == EVIDENCE_SFT) != (s->broker == PROC_SFTD)) {
		child_violation(c, m, "not what its broker's sessions are for");
		return;
	}
	if (s->judged >= at_once(s)) {
		child_violation(c, m,
		    "more verdicts at a time than handshakes");
		return;
	}
	v = verdict_new(s, m->id);
	js.role = s->role;
	js.purpose = want.purpose;
	js.dialled = s->attested ? s->peer : s->dialled;
	js.prover = want.prover;
	/* Each stream of a transfer has a handshake of its own, and a key. */
	js.spki = s->attested && s->broker != PROC_SFTD ? s->spki : NULL;
	js.nonce = take_challenge(s, &want);
	judge(attestd.registry, &js, want.leaf, want.leaf_len, &v->j);
	if (v->j.alert == ATLS_ACCEPT)
		judge_beside(s, want.purpose, &v->j);
	if (v->j.alert == ATLS_ACCEPT)
		s->agreed = want.purpose;
	conclude(v);
}

const struct evidence *
sessions_joiner(const struct chan *c, const uint8_t **sig, const char **address)
{
	struct session *s = find(child_session(c));

	if (s == NULL || s->joiner == NULL || s->role != EVIDENCE_SERVER)
		return NULL;
	*sig = s->joiner->j.sig;
	*address = s->address;
	return &s->joiner->j.ev;
}

struct chan *
sessions_chan(uint32_t session)
{
	const struct session *s = find(session);

	return s == NULL ? NULL : s->chan;
}

void
sessions_on_checkpoints(struct chan *c, struct msg *m)
{
	struct session *s = find(child_session(c));
	struct msg_PEER_CHECKPOINTS cp;
	const char *why;

	if (!msg_get_PEER_CHECKPOINTS(&m->body, &cp))
		fatalx("malformed PEER_CHECKPOINTS");
	/* Who has not proved its name says nothing of that node's log. */
	if (s == NULL || !s->attested || s->unproven)
		return;
	why = witness_take(s->peer, s->began, cp.theirs, cp.theirs_len, cp.ours,
	    cp.ours_len);
	if (why != NULL)
		log_warnx("%s: WELCOME: %s", s->peer, why);
}

void
sessions_on_failed(struct chan *c, struct msg *m)
{
	struct session *s = find(child_session(c));
	struct msg_LINK_FAILED failed;
	const struct verdict *v;

	if (!msg_get_LINK_FAILED(&m->body, &failed))
		fatalx("malformed LINK_FAILED");
	if (s == NULL || !s->open)
		return;
	v = s->joiner != NULL ? s->joiner : TAILQ_FIRST(&s->verdicts);
	/* Whose doing it was, the reason says. */
	(void)record_refusal(s, s->agreed != 0 ? s->agreed : s->purpose,
	    v != NULL ? v->j.peer : s->peer, failed.reason, NULL, NULL);
}

/* Sessions under way. */

static void
end_by_registry(struct session *s, const char *why)
{
	static struct auditrec rec;
	struct msg_SESSION_END ended;

	log_warnx("session %u is ended: %s", s->id, why);
	auditrec_init(&rec, AUDIT_PEER_ENDED, AUDIT_SINGLE, AUDIT_DENIED);
	auditrec_text(&rec, AUDIT_ATTR_PEER,
	    s->peer[0] != '\0' ? s->peer : s->dialled);
	describe(&rec, s, 0);
	auditrec_text(&rec, AUDIT_ATTR_REASON, why);
	(void)attestd_record(&rec, NULL, NULL);
	over(s);
	snprintf(ended.reason, sizeof(ended.reason), "%s", why);
	(void)chan_send_SESSION_END(s->chan, 0, -1, &ended);
}

/* One that is not attested (yet, or again) ends if it cannot be. */
static void
review_other(struct session *s)
{
	const struct registry_node *node = s->dialled[0] == '\0' ?
	    NULL :
	    registry_node(attestd.registry, s->dialled);
	char why[JUDGE_REASON_MAX];

	if (!s->open || s->over || node == NULL || !node->revoked)
		return;
	(void)judge_standing(REGISTRY_REVOKED, s->dialled, why, sizeof(why));
	end_by_registry(s, why);
}

void
sessions_review(void)
{
	struct msg_HEAD_MOVED moved = { .seq = registry_seq(attestd.registry) };
	char why[JUDGE_REASON_MAX];
	struct session *s;
	uint8_t alert;

	memcpy(moved.head, registry_head(attestd.registry), sizeof(moved.head));
	registry_turns(attestd.registry, moved.turns);
	TAILQ_FOREACH(s, &my.all, entry) {
		if (s->chan == NULL || s->unproven)
			continue;
		if (!s->attested) {
			review_other(s);
			continue;
		}
		if (!stands(s->peer, s->key, s->agreed, &alert, why,
			sizeof(why)))
			end_by_registry(s, why);
		else
			(void)chan_send_HEAD_MOVED(s->chan, 0, -1, &moved);
	}
	count_attested();
}
