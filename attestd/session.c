/* SPDX-License-Identifier: ISC */
/*
 * session.c - which sessions keyd knows, and which leaf each may have.
 */
#include <stdio.h>
#include <string.h>

#include "attestd/session.h"

static struct session {
	uint32_t id;		       /* 0: free */
	enum proc broker;	       /* who gave it its role */
	bool claimed;		       /* a worker has asked on its channel */
	bool said;		       /* its seal or receipt was signed */
	uint8_t role, purpose;	       /* a server's: 0 until its first leaf */
	char peer[EVIDENCE_NAME_SIZE]; /* whom we dialled, later who it is */
	bool attested;
	unsigned int leaves; /* since `since` */
	uint64_t since;
} sessions[SESSION_MAX];
static size_t sessions_used; /* those behind have been free ever since */

static bool joining;

static struct session *
find(uint32_t id)
{
	size_t i;

	for (i = 0; i < sessions_used; i++)
		if (sessions[i].id == id)
			return &sessions[i];
	return NULL;
}

static struct session *
find_room(void)
{
	struct session *s = find(0);

	if (s == NULL && sessions_used < SESSION_MAX)
		s = &sessions[sessions_used++];
	return s;
}

void
session_allow_join(void)
{
	joining = true;
}

/* A client's purpose; a server's leaf tells it later. */
static bool
may_dial(enum proc broker, uint8_t purpose)
{
	if (broker == PROC_SFTD)
		return purpose == EVIDENCE_SFT;
	return purpose == EVIDENCE_MESH || purpose == EVIDENCE_REGISTRY ||
	    (purpose == EVIDENCE_JOIN && joining);
}

const char *
session_role(const struct msg_SESSION_ROLE *m, enum proc broker)
{
	struct session *s;

	if (m->session == 0 ||
	    (m->role != EVIDENCE_CLIENT && m->role != EVIDENCE_SERVER))
		return "neither a client nor a server";
	if (m->role == EVIDENCE_SERVER ? m->purpose != 0 || m->peer[0] != '\0' :
					 !may_dial(broker, m->purpose))
		return "not a purpose that this broker has";
	if (find(m->session) != NULL)
		return "that session has a role";
	s = find_room();
	if (s == NULL)
		return "too many sessions";
	*s = (struct session){ .id = m->session,
		.broker = broker,
		.role = m->role,
		.purpose = m->purpose };
	snprintf(s->peer, sizeof(s->peer), "%s", m->peer);
	return NULL;
}

void
session_peer(const struct msg_SESSION_PEER *m)
{
	struct session *s = m->session == 0 ? NULL : find(m->session);

	/* Who it has been, it stays. */
	if (s == NULL || s->attested)
		return;
	s->attested = true;
	s->leaves = 0;
	snprintf(s->peer, sizeof(s->peer), "%s", m->peer);
}

void
session_end(uint32_t id)
{
	struct session *s = id == 0 ? NULL : find(id);

	if (s != NULL)
		memset(s, 0, sizeof(*s));
}

void
session_end_unclaimed(enum proc broker)
{
	size_t i;

	for (i = 0; i < SESSION_MAX; i++)
		if (!sessions[i].claimed && sessions[i].broker == broker)
			memset(&sessions[i], 0, sizeof(sessions[i]));
}

/* Why a purpose does not go with a role; NULL if it does. */
static const char *
purpose_refused(const struct session *s, uint8_t purpose, bool joins)
{
	if (s->role == EVIDENCE_CLIENT)
		return purpose == s->purpose ? NULL :
					       "not what was dialled for";
	/* One connection is for one thing: what its first leaf was for. */
	if (s->purpose != 0 && purpose != s->purpose)
		return "not what this session's first leaf was for";
	if (s->broker == PROC_SFTD)
		return purpose == EVIDENCE_SFT ? NULL :
						 "not a transfer's purpose";
	if (purpose == EVIDENCE_JOIN)
		return joins ? NULL : "no invite is open";
	return purpose == EVIDENCE_MESH || purpose == EVIDENCE_REGISTRY ?
	    NULL :
	    "not a purpose of a link";
}

bool
session_is_for(uint32_t id, enum proc worker)
{
	const struct session *s = id == 0 ? NULL : find(id);

	return s == NULL || (s->broker == PROC_SFTD) == (worker == PROC_XFERD);
}

const char *
session_leaf(uint32_t id, uint8_t purpose, bool joins, uint64_t now_s,
    struct evidence *ev)
{
	struct session *s = id == 0 ? NULL : find(id);
	const char *why;

	if (s == NULL)
		return "a session without a role";
	s->claimed = true;
	why = purpose_refused(s, purpose, joins);
	if (why != NULL)
		return why;
	/* The hour begins with its first leaf. */
	if (s->attested &&
	    (s->leaves == 0 || now_s - s->since >= SESSION_LEAVES_S)) {
		s->since = now_s;
		s->leaves = 0;
	}
	if (s->leaves >= (s->attested ? SESSION_LEAVES : 1))
		return s->attested ? "it has had its leaves for this hour" :
				     "it has had its leaf, and no peer";
	s->leaves++;
	s->purpose = purpose;
	ev->role = s->role;
	ev->purpose = purpose;
	snprintf(ev->peer, sizeof(ev->peer), "%s", s->peer);
	return NULL;
}

const char *
session_transfer(uint32_t id, uint8_t role, const char **peer)
{
	struct session *s = id == 0 ? NULL : find(id);

	if (s == NULL || s->broker != PROC_SFTD || !s->claimed)
		return "no session of a transfer";
	if (s->role != role)
		return role == EVIDENCE_CLIENT ? "who receives does not seal" :
						 "who sends gives no receipt";
	if (!s->attested)
		return "its peer is not attested";
	if (s->said)
		return "it has had its word";
	*peer = s->peer;
	return NULL;
}

void
session_said(uint32_t id)
{
	struct session *s = id == 0 ? NULL : find(id);

	if (s != NULL)
		s->said = true;
}
