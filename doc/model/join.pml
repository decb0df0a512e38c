/* SPDX-License-Identifier: ISC */
/*
 * join.pml - a ticket, the new node J, the inviter A.
 *
 *   J -> A  ClientHello     share gc, nonce nc
 *   A -> J  server's flight leaf{A, server, nc} signed by the ticket's key
 *   J -> A  client's flight leaf{J, client, ns} signed by J's new key itself
 *   J -> A  JOIN            T, name, keys; signed by T and by the new identity
 *                           over exporter, leaf hashes, name, keys
 *   A       marks the ticket used by these keys, durably; adds the node
 *   A -> J  the chain, in which J looks for a node-add with its keys
 *
 * Sessions 0 and 1 are the inviter's, 2 and 3 two attempts of J with the same
 * keys. Of the inviter's sessions one may be the worker taken over: it reads
 * what J sends it and hands on what it likes. Ticket 0 is J's and may have been
 * stolen; ticket 1 was given to E, lawfully, for another name. The inviter's
 * parent ends the suite once, at any time, and starts it anew.
 */
#include "common.pml"

#define IS_J(i)		((i) == 2 || (i) == 3)

#define KEY_J	1
#define KEY_E	2

#define HELLO	1
#define ISSUED	2
#define SENT	3	/* J: JOIN is out; inviter: the client's leaf verified */
#define TAKEN_IN 4	/* inviter: JOIN accepted */
#define DONE	5	/* J: has its chain; inviter: has answered */

byte st[NS];
byte pg[NS], pn[NS], pl[NS];	/* the peer's share, nonce, leaf */
byte up[NS];			/* inviter: which start of the suite it is of */

byte stolen;			/* E knows ticket 0 */
byte live;			/* session 0 is the worker taken over */
byte start;			/* starts of the suite */

/* By ticket: the keys that used it, on disk and in memory; what was added. */
byte used[2], held[2], added[2];

#define CHANNEL(c, s)	(IS_J(c) && (s) < 2 && pg[c] == s && pn[c] == s && \
			    pl[c] == s && pg[s] == c && pn[s] == c)

#ifdef NO_NONCE
#define NONCE_OK(i)	true
#else
#define NONCE_OK(i)	(f_nonce == i)
#endif
#ifdef NO_INVITER
#define INVITER_OK	true
#else
#define INVITER_OK	(f_name == A)
#endif
#ifdef NO_NAME
#define NAME_OK(t)	true
#else
#define NAME_OK(t)	(t == 0)
#endif
#ifdef NO_KEYS
#define KEYS_OK(k)	true
#else
#define KEYS_OK(k)	(k == KEY_J)
#endif
#ifdef NO_IDSIG
#define NEED_IDSIG	false
#else
#define NEED_IDSIG	true
#endif
#ifdef NO_LEAFKEY
#define LEAFKEY_OK(s, k) true
#else
#define LEAFKEY_OK(s, k) ((IS_J(pl[s]) || pl[s] == L_OLD -> KEY_J : KEY_E) == k)
#endif

/*
 * A signature that J made in attempt c reaches the inviter's session s: on its
 * channel, or because the intruder could read it there; and it is over this
 * session, unless it says nothing of a session or the worker lies about it.
 */
#define HANDED(c, s)	(IS_J(c) && st[c] >= SENT && \
			    (pg[c] == X || (pg[c] == s && pg[s] == c)))
#ifdef NO_CONTEXT
#define CONTEXT_OK(c, s) true
#else
#define CONTEXT_OK(c, s) (CHANNEL(c, s) && pl[s] == c || live && s == 0)
#endif

/* T's signature, and the identity's: X is the intruder's, else of attempt o. */
#define SIG_T(o, s, t, k) \
	(o == X -> pg[s] == X && (t == 1 || stolen) : \
	    t == 0 && KEYS_OK(k) && HANDED(o, s) && CONTEXT_OK(o, s))
#define SIG_ID(o, s, t, k) \
	(o == X -> pg[s] == X && (k == KEY_E || !NEED_IDSIG) : \
	    NAME_OK(t) && k == KEY_J && HANDED(o, s) && CONTEXT_OK(o, s))

/* A ticket is free for these keys: nobody's, or theirs. */
#define FREE(t, k)	((used[t] == 0 || used[t] == k) && \
			    (held[t] == 0 || held[t] == k))

/* The suite that this session belongs to has ended. */
#define OVER(s)		(up[s] != start)

/* Whoever is added came with a ticket; one key a ticket. */
#define ADMISSION(s, t, k) \
	assert(added[t] == 0 || added[t] == k); \
	assert(k == KEY_E || t == 0); \
	assert(k == KEY_J || t == 1 || stolen); \
	assert(k == KEY_E || (live && s == 0) || \
	    (IS_J(pl[s]) && CHANNEL(pl[s], s) && st[pl[s]] >= SENT))

/* J is a node: the inviter added its keys, in the session that J had. */
#define JOINED(c) \
	assert(added[0] == KEY_J); \
	assert(pl[c] == L_LIVE || (pl[c] < 2 && CHANNEL(c, pl[c])))

#ifndef REACH
#define REACH	0
#endif
#define REACHED(c) \
	assert(!(REACH == 1 && pl[c] < 2) && \
	    !(REACH == 2 && c == 3 && st[2] == SENT && pg[2] < 2 && \
	    st[pg[2]] == DONE && start == 1) && \
	    !(REACH == 3 && pl[c] == L_LIVE))
#define REACHED_REFUSAL(t, k) \
	assert(used[t] != k); \
	assert(!(REACH == 4 && k == KEY_J) && !(REACH == 5 && k == KEY_E))
#define REACHED_ANSWER(t, k) \
	assert(!(REACH == 6 && t == 0 && k == KEY_E) && \
	    !(REACH == 7 && t == 1))

proctype joiner(byte i)
{
	byte g, l;

	st[i] = HELLO;

	/* The inviter's flight; its leaf must verify under the ticket's key. */
	atomic {
		if
		:: g = 0; l = 0
		:: g = 1; l = 1
		:: g = X; l = L_E
		:: g = X; l = L_LIVE
		:: g = X; l = L_OLD
		fi;
		f_name = (l == L_E -> E : A);
		f_nonce = (l < NS -> pn[l] : (l == L_OLD -> OLD : i));
		if
		:: (g == X -> OWNED(l) && (l != L_LIVE || live) :
		    st[g] >= ISSUED && pg[g] == i && pn[g] == i) &&
		    INVITER_OK && NONCE_OK(i) ->
			pg[i] = g; pn[i] = g; pl[i] = l;
			st[i] = SENT;
			CLOSE_LEAF;
			g = 0; l = 0
		:: else -> goto end
		fi
	}

	/* A chain with our keys, on this channel. */
	atomic {
		if
		:: (pg[i] == X -> added[0] == KEY_J :
		    st[pg[i]] == DONE && pg[pg[i]] == i)
		:: goto end
		fi;
		st[i] = DONE;
		JOINED(i);
		REACHED(i);
end:		CLOSE_LEAF;
		g = 0; l = 0
	}
}

proctype inviter(byte i)
{
	byte g, l, t, k;

	/* ClientHello. The worker taken over has the intruder on its channel. */
	atomic {
		if
		:: g = 2
		:: g = 3
		:: g = X
		fi;
		if
		:: (g == X || st[g] >= HELLO) && !(live && i == 0 && g != X) ->
			pg[i] = g; pn[i] = g;
			up[i] = start;
			st[i] = ISSUED;
			g = 0
		:: else -> goto end
		fi
	}

	/* The client's flight: a leaf under a key that nobody knows yet. */
	atomic {
		if
		:: l = 2
		:: l = 3
		:: l = L_E
		:: l = L_OLD
		fi;
		f_nonce = (l < NS -> (pn[l] == X -> i : pn[l]) :
		    (l == L_OLD -> OLD : i));
		if
		:: !OVER(i) && NONCE_OK(i) &&
		    (l < NS -> st[l] >= SENT &&
		    (CHANNEL(l, i) || (live && i == 0 && pg[l] == X)) :
		    pg[i] == X && OWNED(l)) ->
			pl[i] = l;
			st[i] = SENT;
			CLOSE_LEAF;
			l = 0
		:: else -> goto end
		fi
	}

	/* JOIN: who signed, for which ticket, with which keys. */
	atomic {
		if
		:: t = 0
		:: t = 1
		fi;
		if
		:: k = KEY_J
		:: k = KEY_E
		fi;
		if
		:: g = 2
		:: g = 3
		:: g = X
		fi;
		if
		:: l = 2
		:: l = 3
		:: l = X
		fi;
		if
		:: !OVER(i) && LEAFKEY_OK(i, k) &&
		    SIG_T(g, i, t, k) && SIG_ID(l, i, t, k) -> g = 0; l = 0
		:: else -> goto end
		fi;
		if
		:: FREE(t, k)
		:: else ->
			REACHED_REFUSAL(t, k);
			goto end
		fi;
#ifdef CHECK_THEN_MARK
	}
	atomic {
		if
		:: OVER(i) -> goto end
		:: else
		fi;
#endif
		held[t] = k;
#ifndef LATE_USED
		used[t] = k;
#endif
		st[i] = TAKEN_IN
	}

	/* The node is added; the registry is on disk. */
	atomic {
		if
		:: OVER(i) -> goto end
		:: else
		fi;
		ADMISSION(i, t, k);
		added[t] = k;
		st[i] = DONE;
		REACHED_ANSWER(t, k)
	}
	atomic {
#ifdef LATE_USED
		if
		:: !OVER(i) -> used[t] = k
		:: else
		fi;
#else
		skip;
#endif
end:		CLOSE_LEAF;
		g = 0; l = 0; t = 0; k = 0
	}
}

/* The inviter ends and starts: what was in memory only is gone. */
proctype crash()
{
	atomic {
		start = 1;
		held[0] = 0; held[1] = 0
	}
}

init
{
	atomic {
		if
		:: stolen = 0
		:: stolen = 1
		fi;
		if
		:: live = 0
#ifndef NO_THEFT
		:: live = 1
#endif
		fi;
		pg[0] = X; pg[1] = X; pg[2] = X; pg[3] = X;
		pn[0] = X; pn[1] = X; pn[2] = X; pn[3] = X;
		pl[0] = L_E; pl[1] = L_E; pl[2] = L_E; pl[3] = L_E;
		run inviter(0); run inviter(1);
		run joiner(2); run joiner(3);
		run crash()
	}
}
