/* SPDX-License-Identifier: ISC */
/*
 * call.pml - a call's set-up: OFFER, ANSWER, CONFIRM.
 *
 *   A -> B  OFFER    {names, Na, key a's hash, e_a} signed by A, sealed to B
 *   B -> A  ANSWER   {hash of OFFER, names, Nb, e_b,
 *                    leaf{B, callee, Na, A, key b}} signed by B, sealed to A
 *   A -> B  CONFIRM  {leaf{A, caller, Nb, B, key a}} under the key from e_a,
 *                    e_b and the hashes of OFFER and ANSWER
 *   B -> A  a candidate under the same key, when CONFIRM and DTLS are verified
 *
 * DTLS runs beside, with the leaves for certificates. Messages have the number
 * of the session that made them, or L_E, L_LIVE and L_OLD like leaves. The
 * callee's set of calls seen is left out: it may be lost, and nothing here
 * needs it.
 */
#include "common.pml"

#define CALLER	0
#define CALLEE	1

#define IDLE	0
#define OFFERED	1	/* caller: OFFER is out */
#define SURE	2	/* own leaf is out: in ANSWER, or in CONFIRM */
#define GRANTED	3	/* callee: CONFIRM and DTLS verified; rings, media */
#define MEDIA	4	/* caller: has the callee's candidate */

byte node[NS], role[NS], dial[NS], st[NS];

/* The session's view: the peer's message, its X25519 share, its leaf. */
byte pm[NS], pe[NS], pl[NS];

#ifdef NO_NONCE
#define NONCE_OK(i)	true
#elif defined(NO_NB)
#define NONCE_OK(i)	(role[i] == CALLEE || f_nonce == i)
#elif defined(NO_NA)
#define NONCE_OK(i)	(role[i] == CALLER || f_nonce == i)
#else
#define NONCE_OK(i)	(f_nonce == i)
#endif
#ifdef NO_ROLE
#define ROLE_OK(i)	true
#else
#define ROLE_OK(i)	(f_role == 1 - role[i])
#endif
#ifdef NO_PEER
#define PEER_OK(i)	true
#else
#define PEER_OK(i)	(f_peer == node[i])
#endif
#ifdef NO_CALLEE
#define CALLEE_OK(o, j)	true
#else
#define CALLEE_OK(o, j)	(O_CALLEE(o, j) == node[j])
#endif
#ifdef NO_CALLER
#define CALLER_OK(m, i)	true
#else
#define CALLER_OK(m, i)	((m < NS -> O_CALLER(pm[m], m) : \
			    (m == L_LIVE -> live_peer : node[i])) == node[i])
#endif
#ifdef NO_OFFER_HASH
#define HASH_OK(m, i)	true
#else
#define HASH_OK(m, i)	(m < NS -> pm[m] == i : m != L_OLD)
#endif
#ifdef NO_SPKI
#define SPKI_OK(o, l)	true
#else
#define SPKI_OK(o, l)	((o) < NS || (o) == L_OLD -> l == o : true)
#endif

/* Who an OFFER that session j has before it is from, and for. */
#define O_CALLER(o, j)	(o < NS -> node[o] : (o == L_LIVE -> live_name : \
			    (o == L_OLD -> OTHER(node[j]) : E)))
#define O_CALLEE(o, j)	(o < NS -> dial[o] : (o == L_LIVE -> live_peer : \
			    node[j]))

/*
 * Sealed messages are opened by whom they are for; the intruder can seal again
 * what was for itself. Others' shares it can copy into messages of its own
 * once it has opened the messages that they were in.
 */
#define FOR(n, m)	((n) == node[m] || (n) == E)
#define OFFER_AT(o, j)	(role[o] == CALLER && st[o] >= OFFERED && \
			    FOR(dial[o], j))
#define ANSWER_AT(m, i)	(role[m] == CALLEE && st[m] >= SURE && \
			    FOR(O_CALLER(pm[m], m), i))
#define SHARE_OF(k, r)	(k == X || (k < NS && role[k] == r && \
			    (r == CALLER -> st[k] >= OFFERED && dial[k] == E : \
			    st[k] >= SURE && O_CALLER(pm[k], k) == E)))

/*
 * What the intruder can sign: as itself, and what the worker taken over may. A
 * message of a call that is over stays as it was.
 */
#define WORKER(r)	(live_name != NOBODY && live_role == r)
#define CAN_OFFER(m, e) \
	(SHARE_OF(e, CALLER) && (m == L_E || (m == L_LIVE && WORKER(CALLER)) \
	    || (m == L_OLD && OWNED(m) && e == X)))
#define CAN_ANSWER(m, e, l) \
	(SHARE_OF(e, CALLEE) && (m == L_E || (m == L_LIVE && WORKER(CALLEE)) \
	    || (m == L_OLD && OWNED(m) && e == X && l == L_OLD)))

/* The same key under CONFIRM at both ends. */
#ifdef NO_KEY_HASHES
#define SAME_KEY(a, b)	(role[a] == CALLER && role[b] == CALLEE && \
			    pe[a] == b && pe[b] == a)
#else
#define SAME_KEY(a, b)	(role[a] == CALLER && role[b] == CALLEE && \
			    pe[a] == b && pe[b] == a && pm[a] == b && \
			    pm[b] == a)
#endif

/* The key in leaf l finishes DTLS with i: the intruder, or who expects i. */
#define CAN_DTLS(l, i)	(OWNED(l) || (l < NS && st[l] >= SURE && \
			    (role[l] == CALLEE || pl[l] == i)))

#ifdef EARLY_GRANT
#define CONFIRM_OK(l, j) true
#else
#define CONFIRM_OK(l, j) (f_name == O_CALLER(pm[j], j) && ROLE_OK(j) && \
			    NONCE_OK(j) && PEER_OK(j) && SPKI_OK(pm[j], l))
#endif
#ifdef EARLY_MEDIA
#define CANDIDATE_AT(i)	true
#else
#define CANDIDATE_AT(i)	(pe[i] == X || \
			    (SAME_KEY(i, pe[i]) && st[pe[i]] >= GRANTED))
#endif

/* The caller a and the callee b are in one call. */
#define AGREE(a, b)	(role[a] == CALLER && role[b] == CALLEE && \
			    dial[a] == node[b] && node[a] != node[b] && \
			    pm[a] == b && pm[b] == a && pl[a] == b && \
			    pe[a] == b && pe[b] == a)
#define TWIN(x, i)	(x != i && role[x] == role[i] && pl[x] == pl[i] && \
			    st[x] >= SURE && \
			    (role[x] == CALLER || st[x] >= GRANTED))
#define ALONE(i)	!(TWIN(0, i) || TWIN(1, i) || TWIN(2, i) || TWIN(3, i))

/* The callee j has granted: rings, sends and plays media. */
#define CALLEE_AGREES(j) \
	assert(!HONEST(O_CALLER(pm[j], j)) || \
	    TAKEN(O_CALLER(pm[j], j), CALLER, node[j]) || \
	    (pm[j] < NS && AGREE(pm[j], j) && pl[j] == pm[j] && \
	    st[pm[j]] >= SURE && ALONE(j)))
/* The caller i sends media. */
#define CALLER_AGREES(i) \
	assert(!HONEST(dial[i]) || TAKEN(dial[i], CALLEE, node[i]) || \
	    (pm[i] < NS && AGREE(i, pm[i]) && pl[pm[i]] == i && \
	    st[pm[i]] >= GRANTED && ALONE(i)))

#ifndef REACH
#define REACH	0
#endif
#define REACHED_CALLEE(j) \
	assert(!(REACH == 1 && pl[j] < NS) && \
	    !(REACH == 3 && pl[j] == L_E) && !(REACH == 5 && pl[j] == L_LIVE))
#define REACHED_CALLER(i) \
	assert(!(REACH == 2 && pl[i] < NS) && \
	    !(REACH == 4 && pl[i] == L_E) && !(REACH == 6 && pl[i] == L_LIVE))

/* What leaf l says to session i. */
inline open_leaf(l, i)
{
	if
	:: l < NS && role[l] == CALLEE ->
		f_name = node[l]; f_role = CALLEE;
		f_nonce = (pm[l] < NS -> pm[l] : (pm[l] == L_OLD -> OLD : i));
		f_peer = O_CALLER(pm[l], l)
	:: l < NS && role[l] == CALLER ->
		f_name = node[l]; f_role = CALLER;
		f_nonce = (pm[l] < NS -> pm[l] : i);
		f_peer = dial[l]
	:: l == L_LIVE ->
		f_name = live_name; f_role = live_role; f_nonce = i;
		f_peer = live_peer
	:: l == L_OLD ->
		f_name = OTHER(node[i]); f_role = 1 - role[i]; f_nonce = OLD;
		f_peer = node[i]
	:: l == L_E || l == L_EKEY ->
		f_name = E; f_role = 1 - role[i]; f_nonce = i;
		f_peer = node[i]
	fi
}

inline any_maker(x)
{
	if
	:: x = L_E
	:: x = L_LIVE
	:: x = L_OLD
	fi
}

inline any_share(x)
{
	if
	:: any_session(x)
	:: x = X
	fi
}

proctype caller(byte i)
{
	byte m, e, l, s;

	atomic {
		if
		:: dial[i] = OTHER(node[i])
		:: dial[i] = E
		fi;
		st[i] = OFFERED
	}

	/* ANSWER: as an honest callee made it, or the intruder's. */
	atomic {
		if
		:: any_session(m); e = m; l = m
		:: any_maker(m); any_share(e); any_leaf(l)
		fi;
		open_leaf(l, i);
		/* who signed it */
		s = (m < NS -> node[m] : (m == L_LIVE -> live_name :
		    (m == L_OLD -> OTHER(node[i]) : E)));
		if
		:: (m < NS -> ANSWER_AT(m, i) : CAN_ANSWER(m, e, l)) &&
		    s == dial[i] && CALLER_OK(m, i) && HASH_OK(m, i) &&
		    f_name == dial[i] &&
		    ROLE_OK(i) && NONCE_OK(i) && PEER_OK(i) ->
			pm[i] = m; pe[i] = e; pl[i] = l;
			st[i] = SURE;
			CLOSE_LEAF;
			m = 0; e = 0; l = 0; s = 0
		:: else -> goto end
		fi
	}

	/* CONFIRM is out. A candidate of the callee's, and DTLS. */
	atomic {
		if
		:: CANDIDATE_AT(i) && CAN_DTLS(pl[i], i)
		:: goto end
		fi;
		st[i] = MEDIA;
		CALLER_AGREES(i);
		REACHED_CALLER(i);
end:		CLOSE_LEAF;
		m = 0; e = 0; l = 0; s = 0
	}
}

proctype callee(byte i)
{
	byte m, e, l;

	/* OFFER: as an honest caller made it, or the intruder's. */
	atomic {
		if
		:: any_session(m); e = m
		:: any_maker(m); any_share(e)
		fi;
		if
		:: (m < NS -> OFFER_AT(m, i) : CAN_OFFER(m, e)) &&
		    O_CALLER(m, i) != node[i] && CALLEE_OK(m, i) ->
			pm[i] = m; pe[i] = e;
			st[i] = SURE;
			m = 0; e = 0
		:: else -> goto end
		fi
	}

	/* CONFIRM under the key, with a leaf; DTLS with that leaf. */
	atomic {
		any_leaf(l);
		open_leaf(l, i);
		if
		:: (pe[i] == X -> true :
		    l == pe[i] && st[l] >= SURE && SAME_KEY(l, i)) &&
		    CAN_DTLS(l, i) && CONFIRM_OK(l, i) ->
			pl[i] = l;
			st[i] = GRANTED;
			CALLEE_AGREES(i);
			REACHED_CALLEE(i)
		:: else
		fi;
end:		CLOSE_LEAF;
		m = 0; e = 0; l = 0
	}
}

inline session(i, n, r)
{
	node[i] = n; role[i] = r; dial[i] = NOBODY;
	pm[i] = L_E; pe[i] = X; pl[i] = L_E
}

/* Any worker of this node. */
inline take_over(n)
{
	live_name = n;
	if
	:: live_role = CALLER
	:: live_role = CALLEE
	fi;
	if
	:: live_peer = E
	:: live_peer = OTHER(n)
	fi
}

init
{
	atomic {
		if
		:: true
#ifndef NO_THEFT
		:: take_over(A)
		:: take_over(B)
#endif
		fi;
		if
		:: live_name != B ->
			session(0, A, CALLER); session(1, A, CALLEE);
			session(2, B, CALLER); session(3, B, CALLEE);
			run caller(0); run callee(1);
			run caller(2); run callee(3)
		:: session(0, A, CALLER); session(1, A, CALLER);
			session(2, B, CALLEE); session(3, B, CALLEE);
			run caller(0); run caller(1);
			run callee(2); run callee(3)
		fi
	}
}
